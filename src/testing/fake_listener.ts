/** The fake over HTTP: a real server on 127.0.0.1, for Deno, Node and Bun. */

import type { IncomingMessage, ServerResponse } from "node:http";
import type { FakeListener, FakeListenOptions } from "./fake_options.ts";

/** Headers that `node:http` writes on its own. */
const OWN_HEADERS: readonly string[] = ["connection", "keep-alive"];

/** Answers a request until the signal reports that the client has disconnected. */
type Serve = (request: Request, signal: AbortSignal) => Promise<Response>;

/** Starts the HTTP server. */
export async function listen(
  serve: Serve,
  { port = 0 }: FakeListenOptions = {},
): Promise<FakeListener> {
  const { createServer } = await import("node:http");
  const open = new Set<AbortController>();
  let origin = "";
  const server = createServer((message, reply) => {
    const client = new AbortController();
    open.add(client);
    reply.once("close", () => {
      open.delete(client);
      if (!reply.writableFinished) client.abort(new Error("The client has left"));
    });
    answer(serve, origin, message, reply, client.signal).catch(() => {
      // To a client, a rejected answer is a broken connection.
      reply.destroy();
      message.socket.destroy();
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => {
      server.off("error", reject);
      resolve();
    });
  });
  const address = server.address();
  const actualPort = typeof address === "object" && address !== null ? address.port : port;
  origin = `http://127.0.0.1:${actualPort}`;
  let closing: Promise<void> | undefined;
  return {
    url: origin,
    port: actualPort,
    [Symbol.asyncDispose]: () =>
      closing ??= new Promise<void>((resolve) => {
        const closeConnections = (): void => {
          for (const client of open) client.abort(new Error("The server is closing"));
          server.closeAllConnections();
        };
        // Closing once is not enough: a connection that is just being accepted is not in the list yet,
        // and its client may keep it open forever.
        const timer = setInterval(closeConnections, 20);
        server.close(() => {
          clearInterval(timer);
          resolve();
        });
        closeConnections();
      }),
  };
}

async function answer(
  serve: Serve,
  origin: string,
  message: IncomingMessage,
  reply: ServerResponse,
  signal: AbortSignal,
): Promise<void> {
  const { method = "GET", url = "/", headers } = message;
  const chunks: Uint8Array[] = [];
  for await (const chunk of message) chunks.push(chunk);
  const body = new Blob(chunks as BlobPart[]);
  const request = new Request(origin + url, {
    method,
    headers: Object.entries(headers).map((
      [name, value],
    ): [string, string] => [name, String(value)]),
    body: body.size > 0 && method !== "GET" && method !== "HEAD" ? body : null,
  });
  const response = await serve(request, signal);
  const outgoing: Record<string, string> = {};
  response.headers.forEach((value, name) => {
    if (!OWN_HEADERS.includes(name)) outgoing[name] = value;
  });
  reply.writeHead(response.status, outgoing);
  reply.flushHeaders();
  await writeBody(response, reply);
}

/**
 * Writes a body and ends the reply. Waits until each chunk is flushed: otherwise several would arrive as one, and a
 * broken connection would lose what was written.
 */
export async function writeBody(response: Response, reply: ServerResponse): Promise<void> {
  const reader = response.body?.getReader();
  while (reader !== undefined) {
    const { done, value } = await reader.read();
    if (done) break;
    await new Promise<void>((resolve) => {
      reply.once("close", resolve);
      reply.write(value, () => {
        reply.off("close", resolve);
        resolve();
      });
    });
  }
  reply.end();
}
