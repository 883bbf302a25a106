/**
 * A TCP server for what no HTTP library would do: bytes on demand, resets, connections that are never
 * accepted. Listens on a free port of 127.0.0.1.
 */

const ENCODER = new TextEncoder();
const DECODER = new TextDecoder();

/** Handles one connection, which is closed when the promise settles. */
export type RawHandler = (connection: RawConnection, index: number) => Promise<void> | void;

/** The server's side of one connection. */
export class RawConnection {
  readonly #conn: Deno.TcpConn;
  #isClosed = false;

  constructor(conn: Deno.TcpConn) {
    this.#conn = conn;
  }

  /** The next request, head and body; `""` when the client closed instead. */
  async request(): Promise<string> {
    let text = "";
    while (!isWholeRequest(text)) {
      const chunk = await this.#read(65_536);
      if (chunk === "") return "";
      text += chunk;
    }
    return text;
  }

  /** Waits for a request and leaves it unread, so that closing causes a reset. */
  async taste(): Promise<void> {
    await this.#read(1);
  }

  /** Writes everything; `false` if the client is gone. */
  async write(text: string | Uint8Array): Promise<boolean> {
    const bytes = typeof text === "string" ? ENCODER.encode(text) : text;
    try {
      for (let at = 0; at < bytes.length;) at += await this.#conn.write(bytes.subarray(at));
      return true;
    } catch {
      return false;
    }
  }

  /** A whole response with `Content-Length`; the connection stays open unless the headers say otherwise. */
  respond(status: number, body: string, headers: Record<string, string> = {}): Promise<boolean> {
    return this.write(
      head(status, {
        "content-type": "application/json",
        "content-length": String(ENCODER.encode(body).length),
        ...headers,
      }) + body,
    );
  }

  /** The head of a chunked response. */
  startChunked(status = 200, headers: Record<string, string> = {}): Promise<boolean> {
    return this.write(
      head(status, {
        "content-type": "text/event-stream",
        "transfer-encoding": "chunked",
        ...headers,
      }),
    );
  }

  /** One chunk; `""` is the end of the body. */
  chunk(text: string): Promise<boolean> {
    return this.write(`${ENCODER.encode(text).length.toString(16)}\r\n${text}\r\n`);
  }

  /** Resolves when the client has closed its side. */
  async gone(): Promise<void> {
    while (await this.#read(65_536) !== "");
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#conn.close();
  }

  async #read(size: number): Promise<string> {
    const buffer = new Uint8Array(size);
    try {
      const count = await this.#conn.read(buffer);
      return count === null ? "" : DECODER.decode(buffer.subarray(0, count));
    } catch {
      return "";
    }
  }
}

export interface RawServer extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  /** Connections accepted so far. */
  readonly connections: number;
}

/** Serves every connection with `handler`. Disposal rethrows its exceptions. */
export function rawServer(handler: RawHandler): RawServer {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const open = new Set<RawConnection>();
  const running: Promise<void>[] = [];
  const failures: unknown[] = [];
  let connections = 0;
  const serve = async (connection: RawConnection, index: number): Promise<void> => {
    try {
      await handler(connection, index);
    } catch (error) {
      failures.push(error);
    } finally {
      open.delete(connection);
      connection.close();
    }
  };
  const accepting = (async () => {
    for await (const conn of listener) {
      const connection = new RawConnection(conn);
      open.add(connection);
      running.push(serve(connection, connections++));
    }
  })();
  const { port } = listener.addr;
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    get connections() {
      return connections;
    },
    async [Symbol.asyncDispose]() {
      listener.close();
      await accepting;
      for (const connection of open) connection.close();
      await Promise.all(running);
      if (failures.length > 0) throw failures[0];
    },
  };
}

/** A port that nothing listens on. */
export function closedPort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/** A port whose backlog is full: a client gets no answer at all, as from a missing host. */
export async function deafServer(): Promise<RawServer> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0, tcpBacklog: 1 });
  const { port } = listener.addr;
  const fillers: Deno.TcpConn[] = [];
  const abandoned = new AbortController();
  // One connection more than the backlog is accepted; the next one never is.
  let isFull = false;
  while (!isFull) {
    const timer = setTimeout(() => abandoned.abort(), 200);
    try {
      const options = { hostname: "127.0.0.1", port, signal: abandoned.signal };
      fillers.push(await Deno.connect(options));
    } catch {
      isFull = true;
    } finally {
      clearTimeout(timer);
    }
  }
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    connections: 0,
    [Symbol.asyncDispose]() {
      for (const filler of fillers) filler.close();
      listener.close();
      return Promise.resolve();
    },
  };
}

function head(status: number, headers: Record<string, string>): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status} Whatever\r\n${lines.join("")}\r\n`;
}

function isWholeRequest(text: string): boolean {
  const end = text.indexOf("\r\n\r\n");
  if (end === -1) return false;
  const headers = text.slice(0, end);
  if (/^transfer-encoding: *chunked/im.test(headers)) return text.endsWith("\r\n0\r\n\r\n");
  const length = /^content-length: *(\d+)/im.exec(headers)?.[1] ?? "0";
  return ENCODER.encode(text.slice(end + 4)).length >= Number(length);
}
