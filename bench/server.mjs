/**
 * The stub server, in its own process so that its work does not count as a client's. Everything is
 * encoded before the first request. Prints its port.
 *
 * The first part of a path says how a stream is sent: `/whole-20000/` is 20 000 tokens as fast as the
 * client reads them, `/events-3000/` one event per write, `/cut-3000/` parts cut at random places. The
 * last two keep a pace that every client can follow. Otherwise a slow client would get more events per
 * read, and seem cheaper than it is.
 */
import { createServer } from "node:http";
import process from "node:process";
import * as answers from "./answers.mjs";

const SLICE_BYTES = 16 * 1024;
const PACE_US = 250;
const MODELS = 500;
const VECTORS = 64;
const DIMENSIONS = 1536;

const json = new Map(
  Object.entries({
    "/v1/chat/completions": answers.completion(),
    "/api/chat": answers.ollamaCompletion(),
    "/v1/embeddings": answers.embeddings(VECTORS, DIMENSIONS),
    "/api/embed": answers.ollamaEmbeddings(VECTORS, DIMENSIONS),
    "/v1/models": answers.bareListing(MODELS),
    "/api/v1/models": answers.fullListing(MODELS),
    "/api/tags": answers.ollamaListing(MODELS),
  }).map(([path, text]) => [path, Buffer.from(text)]),
);

const streams = new Map();

/** Parts of a stream, one per write. */
function partsOf(kind, tokens, isOllama) {
  const name = `${kind}-${tokens}-${isOllama}`;
  const known = streams.get(name);
  if (known !== undefined) return known;
  const events = isOllama ? answers.ollamaLines(tokens) : answers.completionEvents(tokens);
  const parts = kind === "whole"
    ? slices(Buffer.from(events.join("")))
    : kind === "cut"
    ? answers.cutAtRandom(events)
    : events.map((event) => Buffer.from(event));
  streams.set(name, parts);
  return parts;
}

function slices(bytes) {
  const parts = [];
  for (let at = 0; at < bytes.length; at += SLICE_BYTES) {
    parts.push(bytes.subarray(at, at + SLICE_BYTES));
  }
  return parts;
}

/** Paced answers in progress. They take turns, one part at a time. */
const paced = [];
let nextWriteAt = 0n;

/** Writes the next part when it is due. Polls the clock, because no timer is precise enough. */
function writeInTurn() {
  const now = process.hrtime.bigint();
  if (now >= nextWriteAt) {
    nextWriteAt = now + BigInt(PACE_US * 1000);
    const entry = paced.shift();
    if (!entry.response.destroyed) {
      entry.response.write(entry.parts[entry.at++]);
      if (entry.at < entry.parts.length) paced.push(entry);
      else entry.response.end();
    }
  }
  if (paced.length > 0) setImmediate(writeInTurn);
}

function stream(response, kind, tokens, isOllama) {
  const type = isOllama ? "application/x-ndjson" : "text/event-stream";
  response.writeHead(200, { "content-type": type });
  const parts = partsOf(kind, tokens, isOllama);
  if (kind === "whole") {
    for (const part of parts) response.write(part);
    return response.end();
  }
  paced.push({ response, parts, at: 0 });
  if (paced.length === 1) setImmediate(writeInTurn);
}

const server = createServer((request, response) => {
  let body = "";
  request.setEncoding("utf8");
  request.on("data", (text) => body += text);
  request.on("end", () => {
    const [, kind, tokens, path] = /^\/(\w+)-(\d+)(\/.*)$/.exec(request.url) ?? [];
    const isOllama = path === "/api/chat";
    const bytes = json.get(path);
    if (bytes === undefined) {
      response.writeHead(404, { "content-type": "application/json" });
      return response.end(`{"error":"Unexpected endpoint or method. (${request.method} ${path})"}`);
    }
    if (body !== "" && JSON.parse(body).stream === true) {
      return stream(response, kind, Number(tokens), isOllama);
    }
    response.writeHead(200, {
      "content-type": "application/json; charset=utf-8",
      "content-length": bytes.length,
    });
    response.end(bytes);
  });
});
server.keepAliveTimeout = 60_000;
server.on("connection", (socket) => socket.setNoDelay(true));

// Encoded before the first request, so that no client has to wait for it.
const [wanted = "[]"] = process.argv.slice(2);
for (const [kind, tokens] of JSON.parse(wanted)) {
  for (const isOllama of [false, true]) partsOf(kind, tokens, isOllama);
}
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
// The parent process has ended.
process.stdin.on("end", () => process.exit()).resume();
