/**
 * A TCP proxy between a client and a server that answers as no server should: it reads each request, gets the answer
 * from the server, and passes it on with a fault. It records requests and connections that are still busy.
 */
import { Buffer } from "node:buffer";
import { request as ask } from "node:http";
import { createServer } from "node:net";

/** The route of a call before the tested one. */
export const WARM_PATH = "/v1/warm";

/**
 * Starts one on a free port of 127.0.0.1.
 *
 * @param upstream address of the server.
 * @param target the requests a fault is for, as `METHOD /path`; all others are answered as the server does.
 * @param fault one of `faults.mjs`.
 */
export async function startProxy(upstream, target, fault) {
  const connections = new Set();
  const requests = [];
  const server = createServer((socket) => {
    const connection = new Connection(socket);
    connections.add(connection);
    socket.on("close", () => connections.delete(connection));
    // The client may leave at any time.
    socket.on("error", () => {});
    serve(connection).catch(() => socket.destroy());
  });

  async function serve(connection) {
    while (true) {
      const request = await connection.request();
      if (request === undefined) return;
      const line = `${request.method} ${request.path}`;
      requests.push(line);
      const isTarget = target.test(line);
      const acted = isTarget
        ? await fault.request?.(connection, request, elsewhere.url)
        : undefined;
      const isActed = isTarget && fault.request !== undefined && acted !== "go on";
      if (isActed && acted !== "answered") return;
      if (!isActed) {
        const answer = await forward(upstream, request);
        if (isTarget && fault.answer !== undefined) {
          await fault.answer(connection, answer, request);
        } else await connection.send(answer);
      }
      connection.served++;
      connection.isBusy = false;
      if (request.path === WARM_PATH) fault.between?.(connection);
    }
  }

  const elsewhere = await startElsewhere();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    /** Requests that arrived at the other server, which should get none. */
    elsewhere: () => elsewhere.received(),
    /** Requests that the fault hit, including those it kept from the server. */
    hits: () => requests.filter((line) => target.test(line)).length,
    /** Connections whose answer has neither ended nor been cancelled. */
    busy: () => [...connections].filter(({ isBusy }) => isBusy).length,
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const { socket } of connections) socket.destroy();
      await Promise.all([closed, elsewhere.close()]);
    },
  };
}

/** A server that only records what it is sent. */
async function startElsewhere() {
  let received = "";
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.on("data", (data) => {
      received += data;
      socket.end("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n");
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    received: () => received,
    close: () => new Promise((resolve) => server.close(resolve)),
  };
}

/** The proxy's side of one connection of the client. */
export class Connection {
  isBusy = false;
  /** Answers that were written to their end. */
  served = 0;
  #bytes = Buffer.alloc(0);
  #hasEnded = false;
  #wake = () => {};

  constructor(socket) {
    this.socket = socket;
    // Small writes must be sent immediately.
    socket.setNoDelay(true);
    socket.on("data", (data) => {
      this.#bytes = Buffer.concat([this.#bytes, data]);
      this.#wake();
    });
    for (const event of ["end", "close"]) {
      socket.on(event, () => {
        this.#hasEnded = true;
        this.#wake();
      });
    }
  }

  /** The next request; `undefined` if the client closed instead. */
  async request() {
    while (true) {
      const request = parseRequest(this.#bytes);
      if (request !== undefined) {
        this.isBusy = true;
        this.#bytes = this.#bytes.subarray(request.length);
        return request;
      }
      if (this.#hasEnded) return undefined;
      await new Promise((resolve) => this.#wake = resolve);
    }
  }

  /** Writes everything at the client's pace; rejects once the client is gone. */
  async write(data) {
    const { socket } = this;
    if (socket.destroyed) throw new Error("The client has left");
    if (socket.write(data)) return;
    await new Promise((resolve, reject) => {
      const settle = () => {
        socket.off("drain", settle);
        socket.off("close", settle);
        if (socket.destroyed) reject(new Error("The client has left"));
        else resolve();
      };
      socket.on("drain", settle);
      socket.on("close", settle);
    });
  }

  /** Writes an answer as HTTP/1.1, with its length, or chunked with one event per chunk. */
  async send(answer, headers = {}) {
    await this.write(head(answer, headers) + bodyOf(answer));
  }

  /** Breaks the connection, as if the server had crashed. */
  reset() {
    this.socket.resetAndDestroy();
  }

  /** Closes the server's side; the client's side stays open. */
  halfClose() {
    this.socket.end();
  }

  /** Resolves when the client has closed. */
  async gone() {
    while (!this.#hasEnded) await new Promise((resolve) => this.#wake = resolve);
    this.isBusy = false;
  }
}

/** The head of an answer; further headers override others, `undefined` removes one. */
export function head(answer, headers = {}, version = "HTTP/1.1") {
  const framing = answer.isStream
    ? { "transfer-encoding": "chunked" }
    : { "content-length": String(Buffer.byteLength(answer.body)) };
  const all = { "content-type": answer.type, ...framing, ...headers };
  const lines = Object.entries(all).filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}: ${value}\r\n`);
  return `${version} ${answer.status} Whatever\r\n${lines.join("")}\r\n`;
}

/** The body of an answer, chunked if it is a stream. */
export function bodyOf(answer) {
  if (!answer.isStream) return answer.body;
  return eventsOf(answer).map((event) => chunk(event)).join("") + chunk("");
}

export function chunk(data, extension = "") {
  return `${Buffer.byteLength(data).toString(16)}${extension}\r\n${data}\r\n`;
}

/** The events of a stream, each with the blank line after it. */
export function eventsOf({ body }) {
  return body.match(/[\s\S]+?\n\n/g) ?? [];
}

/** The server's own answer, read to its end. */
function forward(upstream, { method, path, body, type }) {
  return new Promise((resolve, reject) => {
    const headers = { "content-length": body.length, connection: "close" };
    if (type !== undefined) headers["content-type"] = type;
    const sent = ask(upstream + path, { method, headers, agent: false }, (reply) => {
      const chunks = [];
      reply.on("data", (chunk) => chunks.push(chunk));
      reply.on("error", reject);
      reply.on("end", () => {
        const contentType = reply.headers["content-type"] ?? "text/plain";
        resolve({
          status: reply.statusCode,
          type: contentType,
          isStream: contentType.includes("event-stream"),
          body: Buffer.concat(chunks).toString(),
        });
      });
    });
    sent.on("error", reject);
    sent.end(body);
  });
}

/** The first request in these bytes, once it is complete. */
function parseRequest(bytes) {
  const headEnd = bytes.indexOf("\r\n\r\n");
  if (headEnd === -1) return undefined;
  const [line, ...headers] = bytes.subarray(0, headEnd).toString().split("\r\n");
  const [method, path] = line.split(" ");
  const header = (name) =>
    headers.find((text) => text.toLowerCase().startsWith(`${name}:`))?.slice(name.length + 1)
      .trim();
  const start = headEnd + 4;
  const common = { method, path, type: header("content-type"), headers: headers.join("; ") };
  if (header("transfer-encoding")?.toLowerCase() !== "chunked") {
    const end = start + Number(header("content-length") ?? 0);
    if (bytes.length < end) return undefined;
    return { ...common, body: bytes.subarray(start, end), length: end };
  }
  const chunks = [];
  for (let at = start;;) {
    const lineEnd = bytes.indexOf("\r\n", at);
    if (lineEnd === -1) return undefined;
    const size = parseInt(bytes.subarray(at, lineEnd).toString(), 16);
    const end = lineEnd + 2 + size + 2;
    if (bytes.length < end) return undefined;
    if (size === 0) return { ...common, body: Buffer.concat(chunks), length: end };
    chunks.push(bytes.subarray(lineEnd + 2, end - 2));
    at = end;
  }
}
