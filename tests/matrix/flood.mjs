/** A server with endless bodies, plain or compressed to a thousandth. */
import { Buffer } from "node:buffer";
import { createServer } from "node:http";
import { constants, deflateRawSync } from "node:zlib";

const MIB = 1024 * 1024;
const GZIP_HEAD = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);

/** Name → the start of a body, what follows forever (or a number of times), and its headers. */
const BODIES = {
  bomb: { type: "application/json", isPacked: true, chunk: " ".repeat(MIB) },
  "bomb of a known length": {
    type: "application/json",
    isPacked: true,
    chunk: " ".repeat(MIB),
    chunks: 1024,
  },
  "bomb in a stream": {
    type: "text/event-stream",
    isPacked: true,
    chunk: "x".repeat(MIB),
    start: "data: ",
  },
  "bomb in the place of an image": {
    type: "image/png",
    isPacked: true,
    chunk: "\u0000".repeat(MIB),
  },
  endless: { type: "application/json", start: '{"a":"', chunk: "x".repeat(MIB) },
  "endless error": {
    type: "application/json",
    status: 500,
    start: '{"a":"',
    chunk: "x".repeat(MIB),
  },
  "endless stream": { type: "text/event-stream", start: "data: ", chunk: "x".repeat(MIB) },
  "endless comments": { type: "text/event-stream", chunk: ": still here\n\n".repeat(10_000) },
};
/** A listing of this length, with realistic models. */
const LISTING_BYTES = 100 * MIB;

/** Serves each body for every request below a path with its name. */
export async function startFlood() {
  const open = new Set();
  const server = createServer(async (request, reply) => {
    const name = decodeURIComponent(request.url.split("/")[1]);
    reply.on("error", () => {});
    try {
      await (name === "listing" ? list(reply) : flood(BODIES[name], reply));
    } catch {
      reply.destroy();
    }
  });
  server.on("connection", (socket) => open.add(socket.on("close", () => open.delete(socket))));
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(resolve);
        for (const socket of open) socket.destroy();
      }),
  };
}

async function flood(body, reply) {
  const { type, status = 200, isPacked = false, start = "", chunk, chunks = Infinity } = body;
  const pack = (text) =>
    isPacked ? deflateRawSync(text, { finishFlush: constants.Z_FULL_FLUSH }) : Buffer.from(text);
  const bytes = pack(chunk);
  reply.writeHead(status, {
    "content-type": type,
    ...isPacked && { "content-encoding": "gzip" },
    ...chunks < Infinity && { "content-length": GZIP_HEAD.length + bytes.length * chunks },
  });
  if (isPacked) await write(reply, GZIP_HEAD);
  if (start !== "") await write(reply, pack(start));
  for (let written = 0; written < chunks; written++) await write(reply, bytes);
  reply.end();
}

async function list(reply) {
  reply.writeHead(200, { "content-type": "application/json", "content-length": LISTING_BYTES });
  const end = "]}";
  let text = '{"models":[';
  let left = LISTING_BYTES;
  for (let i = 0; left > 100_000; i++) {
    text += `${i === 0 ? "" : ","}{"type":"llm","key":"model-${i}","loaded_instances":[]}`;
    if (text.length < 65_536) continue;
    left -= text.length;
    await write(reply, text);
    text = "";
  }
  reply.end(text + " ".repeat(left - text.length - end.length) + end);
}

/** Writes at the client's pace; rejects once the client is gone. */
async function write(reply, data) {
  if (reply.destroyed || reply.closed) throw new Error("The client has left");
  if (reply.write(data)) return await new Promise((resolve) => setImmediate(resolve));
  await new Promise((resolve, reject) => {
    const onClose = () => reject(new Error("The client has left"));
    reply.once("close", onClose);
    reply.once("drain", () => {
      reply.off("close", onClose);
      resolve();
    });
  });
}
