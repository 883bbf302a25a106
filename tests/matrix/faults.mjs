/**
 * The faults of the matrix: what the proxy does to an answer, and what each kind of method makes of it.
 *
 * `request` acts in place of the server (and says whether it has `answered`, or lets the server `go on`), `answer` on the server's answer, `between` once another answer was sent on the
 * connection. `expected` says by the kind of the method (see `methods.mjs`; `*` for all others, and a method's own name
 * goes before its kind) what comes of it: `right`, what the method is for; `as it came`, an answer of what came;
 * `false`, what a question gives where the server cannot say; a status of a client's response; else kind and code of the
 * error. ` ×2` is the number of requests
 * where it is not one; ` | ` is between outcomes of a race. `on` has what is otherwise on a runtime.
 */
import { Buffer } from "node:buffer";
import { gzipSync } from "node:zlib";
import { PROMPT } from "./methods.mjs";
import { bodyOf, chunk, eventsOf, head } from "./proxy.mjs";

const BROKEN = "network/connection_reset";
const CUT = "stream/stream_truncated";
const LATE = "timeout/timeout_first_token";
const SILENT = "timeout/timeout_idle";
/** No byte of an answer's body had come: what can be done twice is sent again. */
const BROKEN_BEFORE = {
  read: `${BROKEN} ×2`,
  question: "false ×2",
  repeatable: `${BROKEN} ×2`,
  "*": BROKEN,
};
/** Some had, which the client has seen. */
const BROKEN_WITHIN = { question: "false", "*": BROKEN };
/** Deno sends what a pooled connection had taken once more by itself. */
const TWICE_BY_ITSELF = { deno: { repeatable: `${BROKEN} ×3` } };
const ECHOED = {
  question: "false",
  client: "status 400",
  "streaming client": "status 400",
  "*": "invalid-request/invalid_request",
};
/** Nothing in a streamed completion tells its chunks apart; the others end with the whole answer. */
const COMPLETED_BY_RESULT = {
  streamObject: "parse/malformed_response",
  stream: "as it came",
  "*": "right",
};
/** Once the server has shown that it is there, no method waits for longer than these. */
export const SHORT_LIMITS = {
  timeoutMs: 900,
  connectTimeoutMs: 250,
  firstTokenTimeoutMs: 900,
  idleTimeoutMs: 600,
};
const LINE_BYTES = 17 * 1024 * 1024;
const HEADER_BYTES = 1024 * 1024;

export const FAULTS = {
  "none": {
    says: "an untouched answer",
    expected: { "*": "right" },
  },
  "delay": {
    says: "the answer is 150 ms late",
    answer: async (connection, answer) => {
      await sleep(150);
      await connection.send(answer);
    },
    expected: { "*": "right" },
  },
  "drop": {
    says: "the connection is accepted, but nothing is sent",
    limits: SHORT_LIMITS,
    request: (connection) => connection.gone(),
    expected: {
      question: "false",
      stream: LATE,
      "stateful stream": LATE,
      "streaming client": LATE,
      "*": "timeout/timeout_total",
    },
  },
  "drop in the body": {
    says: "silence after half of the answer",
    limits: SHORT_LIMITS,
    answer: async (connection, answer) => {
      await connection.write(firstHalf(answer));
      await connection.gone();
    },
    expected: {
      question: "false",
      stream: SILENT,
      "stateful stream": SILENT,
      "streaming client": SILENT,
      // Its first half has no token yet.
      "chat.stream": LATE,
      "*": "timeout/timeout_total",
    },
  },
  "reset before": {
    says: "the connection breaks once the request has arrived",
    request: (connection) => connection.reset(),
    expected: BROKEN_BEFORE,
    on: TWICE_BY_ITSELF,
  },
  "reset in the body": {
    says: "the connection breaks after half of the answer",
    answer: async (connection, answer) => {
      await connection.write(firstHalf(answer));
      // After the client has seen it: a reset may overtake what was written.
      await sleep(60);
      connection.reset();
    },
    expected: { question: "false", "*": BROKEN },
  },
  "half-close before": {
    says: "the server closes its side before answering",
    request: (connection) => {
      connection.halfClose();
      return connection.gone();
    },
    expected: BROKEN_BEFORE,
    on: TWICE_BY_ITSELF,
  },
  "half-close in the body": {
    says: "the server closes its side after half of the answer",
    answer: async (connection, answer) => {
      await connection.write(firstHalf(answer));
      await sleep(60);
      connection.halfClose();
      await connection.gone();
    },
    expected: BROKEN_WITHIN,
  },
  "trickle": {
    says: "a few bytes at a time",
    answer: async (connection, answer) => {
      const bytes = Buffer.from(head(answer) + bodyOf(answer));
      const size = Math.max(7, Math.ceil(bytes.length / 150));
      for (let at = 0; at < bytes.length; at += size) {
        await connection.write(bytes.subarray(at, at + size));
        await sleep(1);
      }
    },
    expected: { "*": "right" },
  },
  "duplicated events": {
    says: "every event of a stream is sent twice",
    isOfStreams: true,
    answer: (connection, answer) =>
      sendEvents(connection, answer, eventsOf(answer).flatMap((event) => [event, event])),
    expected: COMPLETED_BY_RESULT,
  },
  "reordered events": {
    says: "neighbouring events of a stream are swapped",
    isOfStreams: true,
    answer: (connection, answer) => {
      const events = eventsOf(answer);
      for (let at = 0; at + 1 < events.length; at += 2) {
        [events[at], events[at + 1]] = [events[at + 1], events[at]];
      }
      return sendEvents(connection, answer, events);
    },
    expected: COMPLETED_BY_RESULT,
  },
  "left open": {
    says: "a complete stream, then the connection stays open",
    isOfStreams: true,
    answer: async (connection, answer) => {
      await connection.write(head(answer) + eventsOf(answer).map((event) => chunk(event)).join(""));
      await connection.gone();
    },
    expected: { "*": "right" },
  },
  "oversized line": {
    says: "a line of 17 MiB in the middle of a stream",
    isOfStreams: true,
    answer: async (connection, answer) => {
      const [first = ""] = eventsOf(answer);
      await connection.write(head(answer) + chunk(first));
      const part = "x".repeat(LINE_BYTES / 17);
      await connection.write(chunk("data: "));
      for (let at = 0; at < LINE_BYTES; at += part.length) await connection.write(chunk(part));
      await connection.write(chunk("\n\n") + chunk(""));
    },
    expected: { "*": "stream/malformed_stream" },
  },
  "endless headers": {
    says: "1 MiB of headers that do not end",
    answer: async (connection, answer) => {
      await connection.write(head(answer).slice(0, -2));
      const line = `x-more: ${"x".repeat(1000)}\r\n`;
      for (let at = 0; at < HEADER_BYTES; at += line.length) await connection.write(line);
      await connection.gone();
    },
    expected: BROKEN_BEFORE,
  },
  "wrong content type": {
    says: "the right answer, declared as `text/html`",
    answer: (connection, answer) => connection.send({ ...answer, type: "text/html" }),
    expected: { "*": "right" },
  },
  "web page": {
    says: "an HTML page with status 200",
    answer: (connection) =>
      connection.send({ status: 200, type: "text/html", body: "<!doctype html><p>Sign in</p>" }),
    expected: {
      read: "api/not_lm_studio ×3",
      question: "false ×3",
      client: "status 400",
      "streaming client": "status 400",
      "*": "api/not_lm_studio",
    },
  },
  "nothing": {
    says: "204 without a body",
    answer: (connection, answer) =>
      connection.write(`HTTP/1.1 204 No Content\r\ncontent-type: ${answer.type}\r\n\r\n`),
    expected: {
      read: "parse/malformed_response ×3",
      question: "false ×3",
      stream: CUT,
      "stateful stream": CUT,
      client: "as it came",
      "streaming client": "as it came",
      "*": "parse/malformed_response",
    },
  },
  "not HTTP": {
    says: "the greeting of a mail server",
    request: (connection) => {
      connection.socket.end("220 mail ready\r\n");
      return connection.gone();
    },
    expected: BROKEN_BEFORE,
  },
  "gzip": {
    says: "compressed and declared as such",
    answer: (connection, answer) => sendBytes(connection, answer, gzipSync(answer.body)),
    expected: { "*": "right" },
  },
  "gzip cut": {
    says: "compressed, with the end missing",
    answer: (connection, answer) => {
      const bytes = gzipSync(answer.body);
      return sendBytes(connection, answer, bytes.subarray(0, bytes.length / 2));
    },
    expected: { ...BROKEN_BEFORE, repeatable: "right ×2" },
    on: {
      // It takes the end of what is compressed for the end of what is in it.
      node: {
        read: "parse/malformed_response ×3",
        question: "false ×3",
        stream: CUT,
        "stateful stream": CUT,
        "streaming client": CUT,
        // The client finds it out, as with any JSON of which the end is missing.
        client: "as it came",
        repeatable: "parse/malformed_response",
        "*": "parse/malformed_response",
      },
    },
  },
  "no gzip": {
    says: "declared as compressed, but plain",
    answer: (connection, answer) => sendBytes(connection, answer, Buffer.from(answer.body)),
    expected: { ...BROKEN_BEFORE, repeatable: "right ×2" },
  },
  "chunk extensions": {
    says: "every chunk has extensions",
    answer: (connection, answer) => {
      const parts = answer.isStream ? eventsOf(answer) : answer.body.match(/[^]{1,40}/g);
      const chunks = parts.map((part) => chunk(part, ";name=value"));
      return connection.write(chunkedHead(answer) + chunks.join("") + chunk(""));
    },
    expected: { "*": "right" },
  },
  "bad chunk": {
    says: "a chunk whose size is not a number",
    answer: async (connection, answer) => {
      const half = answer.isStream ? eventsOf(answer)[0] : answer.body.slice(0, 40);
      await connection.write(chunkedHead(answer) + chunk(half));
      await sleep(60);
      await connection.write(`zz\r\n${half}\r\n`);
      await connection.gone();
    },
    expected: BROKEN_WITHIN,
  },
  "100-continue": {
    says: "100 before the answer, although nobody requested it",
    answer: async (connection, answer) => {
      await connection.write("HTTP/1.1 100 Continue\r\n\r\n");
      await connection.send(answer);
    },
    expected: { "*": "right" },
    // Node takes it for a broken answer.
    on: { node: BROKEN_BEFORE },
  },
  "early hints": {
    says: "103 before the answer",
    answer: async (connection, answer) => {
      await connection.write("HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n");
      await connection.send(answer);
    },
    expected: { "*": "right" },
  },
  "closed in between": {
    says: "the connection of an earlier call is closed before this call",
    isWarm: true,
    between: (connection) => setTimeout(() => connection.halfClose(), 10),
    expected: { "*": "right" },
  },
  "closed on use": {
    says: "that connection breaks when this call's request arrives on it",
    isWarm: true,
    request: (connection) => {
      if (connection.served === 0) return "go on";
      connection.reset();
    },
    expected: {
      stateful: BROKEN,
      "stateful stream": BROKEN,
      // After a listing on that connection, which may be in use still: then they have another one.
      "models.load": `${BROKEN} | right`,
      "models.ensureLoaded": `${BROKEN} | right`,
      repeatable: "right ×2 | right",
      // Clients have retries of their own.
      client: BROKEN,
      "streaming client": BROKEN,
      "*": "right ×2",
    },
    on: { deno: { client: "right ×2", "streaming client": "right ×2" } },
  },
  "HTTP/1.0": {
    says: "no length and no chunks: the answer ends with the connection",
    answer: async (connection, answer) => {
      const headers = { "content-length": undefined, "transfer-encoding": undefined };
      await connection.write(head(answer, headers, "HTTP/1.0") + answer.body);
      connection.halfClose();
    },
    expected: { "*": "right" },
  },
  "redirect loop": {
    says: "307 to the same URL",
    answer: (connection) =>
      connection.send({ status: 307, type: "text/plain", body: "" }, { location: "?again" }),
    expected: { question: "false", "*": "api/not_lm_studio" },
  },
  "redirect elsewhere": {
    says: "307 to another server on this machine",
    request: async (connection, _, elsewhere) => {
      const headers = { location: elsewhere };
      await connection.send({ status: 307, type: "text/plain", body: "" }, headers);
      return "answered";
    },
    expected: { question: "false", "*": "api/not_lm_studio" },
  },
  "echo": {
    says: "400, with the request repeated in the error message",
    request: (connection, request) => refuse(connection, echoOf(request)),
    // It has `response_format` in it.
    expected: {
      completeObject: "invalid-request/unsupported_response_format",
      streamObject: "invalid-request/unsupported_response_format",
      ...ECHOED,
    },
  },
  "echo in the status line": {
    says: "400, with the request repeated as the reason phrase",
    request: async (connection, request) => {
      await connection.write(`HTTP/1.1 400 ${echoOf(request)}\r\ncontent-length: 0\r\n\r\n`);
      return "answered";
    },
    expected: ECHOED,
  },
  "echo in an address": {
    says: "307 to a URL with the request repeated in it",
    request: async (connection, request, elsewhere) => {
      const location = `${elsewhere}/${encodeURI(echoOf(request))}`;
      await connection.send({ status: 307, type: "text/plain", body: "" }, { location });
      return "answered";
    },
    expected: { question: "false", "*": "api/not_lm_studio" },
  },
  "echo that is not HTTP": {
    says: "the request, sent back unchanged",
    request: (connection, request) => {
      connection.socket.end(`${echoOf(request)}\r\n`);
      return connection.gone();
    },
    expected: BROKEN_BEFORE,
  },
  "echo in a chunk": {
    says: "the request, repeated instead of a chunk size",
    answer: async (connection, answer, request) => {
      const half = answer.isStream ? eventsOf(answer)[0] : answer.body.slice(0, 40);
      await connection.write(chunkedHead(answer) + chunk(half));
      await sleep(60);
      await connection.write(`${echoOf(request)}\r\n`);
      await connection.gone();
    },
    expected: BROKEN_WITHIN,
  },
  "control characters": {
    says: "400, with a message that would clear a terminal",
    request: (connection) => refuse(connection, "\u001b[2J\u001b]0;x\u0007\u202eGone\r\u0000"),
    expected: ECHOED,
  },
  "one answer too many": {
    says: "followed by a second answer that nobody requested",
    answer: async (connection, answer) => {
      const surplus = { status: 200, type: "application/json", body: '{"surplus":true}' };
      await connection.write(head(answer) + bodyOf(answer) + head(surplus) + bodyOf(surplus));
    },
    expected: { "*": "right" },
  },
};

/** Whether a fault concerns a kind of method. */
export function concerns(fault, kind) {
  return !fault.isOfStreams || kind.startsWith("stream") || kind.endsWith("stream");
}

/** What a method is to make of a fault on a runtime: its outcomes, and the number of requests each takes. */
export function expectationOf(fault, name, kind, runtime) {
  const table = { ...fault.expected, ...fault.on?.[runtime] };
  return table[name] ?? table[kind] ?? table["*"];
}

/** What a request has that is nobody's business, first, since errors show a part; then the rest, in one line. */
function echoOf({ headers, body }) {
  const text = body.toString().replaceAll(/\s+/g, " ");
  const [key] = /x-api-key: [^;]*/i.exec(headers) ?? [];
  const [token] = /bearer [^;]*/i.exec(headers) ?? [];
  const prompt = text.includes(PROMPT) ? PROMPT : "";
  return `Wrong: ${token} ${key} ${prompt} ${headers} ${text}`;
}

async function refuse(connection, message) {
  const body = JSON.stringify({ error: { message, type: "invalid_request_error" } });
  await connection.send({ status: 400, type: "application/json", body });
  return "answered";
}

/** The head, and half of the body as it goes over the wire. */
function firstHalf(answer) {
  if (!answer.isStream) return head(answer) + answer.body.slice(0, answer.body.length / 2);
  const events = eventsOf(answer);
  return head(answer) +
    events.slice(0, events.length / 2).map((event) => chunk(event)).join("");
}

function chunkedHead(answer) {
  return head(answer, { "content-length": undefined, "transfer-encoding": "chunked" });
}

async function sendEvents(connection, answer, events) {
  await connection.send({ ...answer, body: events.join("") });
}

async function sendBytes(connection, answer, bytes) {
  await connection.write(
    head(answer, {
      "content-encoding": "gzip",
      "content-length": String(bytes.length),
      "transfer-encoding": undefined,
    }),
  );
  await connection.write(bytes);
}

function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
