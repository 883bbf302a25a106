/**
 * A server on 127.0.0.1 that sends exactly the given bytes at exactly the given moments, and records
 * its requests, how much it wrote, and when the client left.
 */

const FIXTURES = new URL("../../fixtures/", import.meta.url);
const encoder = new TextEncoder();

/** A part of a body. A promise is awaited before the next part is written. */
export type BodyChunk = string | Uint8Array | Promise<unknown>;

/** An answer. */
export interface StubAnswer {
  /** @default {200} */
  status?: number;
  /** @default {`application/json`} */
  headers?: Record<string, string>;
  body?: string | readonly BodyChunk[];
  /** `break`: the connection breaks after the last part; `hang`: nothing more is sent. @default {"close"} */
  end?: "close" | "break" | "hang";
}

/** Answers by method and path, such as `GET /v1/models`. */
export type StubRoutes = Record<
  string,
  StubAnswer | ((request: StubRequest) => StubAnswer | Promise<StubAnswer>)
>;

/** One request and what became of its answer. */
export class StubRequest {
  readonly method: string;
  /** Including the query. */
  readonly path: string;
  readonly headers: Headers;
  /** The decoded JSON; `undefined` without a body. */
  readonly body: Record<string, unknown>;
  /** Parts written so far, not counting promises. */
  written = 0;
  isFinished = false;
  hasLeft = false;
  /** Settles when the client leaves before the answer is finished. */
  readonly left: Promise<void>;
  readonly #leave: () => void;

  constructor(request: Request, text: string) {
    const { pathname, search } = new URL(request.url);
    this.method = request.method;
    this.path = pathname + search;
    this.headers = request.headers;
    this.body = text === "" ? {} : JSON.parse(text);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.left = promise;
    this.#leave = resolve;
  }

  /** The answer, written part by part as it is read. */
  respond({ status = 200, headers, body = "", end = "close" }: StubAnswer): Response {
    const chunks = typeof body === "string" ? [body] : [...body];
    const stream = new ReadableStream<Uint8Array<ArrayBuffer>>({
      pull: async (controller) => {
        while (chunks.length > 0) {
          const chunk = chunks.shift()!;
          if (chunk instanceof Promise) await chunk;
          if (this.hasLeft) return;
          if (chunk instanceof Promise || chunk.length === 0) continue;
          this.written++;
          const bytes = typeof chunk === "string" ? encoder.encode(chunk) : new Uint8Array(chunk);
          return controller.enqueue(bytes);
        }
        if (end === "hang") return await this.left;
        this.isFinished = true;
        controller.close();
      },
      cancel: () => {
        if (this.isFinished) return;
        this.hasLeft = true;
        this.#leave();
      },
    }, { highWaterMark: 0 });
    return new Response(stream, {
      status,
      headers: {
        "content-type": "application/json; charset=utf-8",
        "x-powered-by": "Express",
        ...headers,
        // Closing before this many bytes breaks the connection.
        ...(end === "break" ? { "content-length": "1000000000" } : {}),
      },
    });
  }
}

/** A listening stub. */
export interface StubServer extends AsyncDisposable {
  /** Such as `http://127.0.0.1:41234`. */
  readonly url: string;
  readonly requests: readonly StubRequest[];
  /** The requests of this route, such as `POST /v1/embeddings`. */
  readonly on: (route: string) => StubRequest[];
}

/** Starts the server. Other routes answer as LM Studio does: with 200. */
export function serveStub(
  routes: StubRoutes,
  otherwise: (request: StubRequest) => StubAnswer = unexpectedEndpoint,
): StubServer {
  const requests: StubRequest[] = [];
  const controller = new AbortController();
  const options = { hostname: "127.0.0.1", port: 0, signal: controller.signal, onListen() {} };
  const server = Deno.serve(options, async (incoming) => {
    const request = new StubRequest(incoming, await incoming.text());
    requests.push(request);
    const route = routes[`${request.method} ${request.path}`];
    if (route === undefined) return request.respond(otherwise(request));
    return request.respond(typeof route === "function" ? await route(request) : route);
  });
  return {
    url: `http://127.0.0.1:${server.addr.port}`,
    requests,
    on: (route) => requests.filter(({ method, path }) => `${method} ${path}` === route),
    [Symbol.asyncDispose]: async () => {
      controller.abort();
      await server.finished;
    },
  };
}

/** LM Studio's answer, with status 200, for a route that does not exist. */
export function unexpectedEndpoint({ method, path }: StubRequest): StubAnswer {
  return json({ error: `Unexpected endpoint or method. (${method} ${path})` });
}

/** A JSON answer. */
export function json(value: unknown, status = 200): StubAnswer {
  return { status, body: JSON.stringify(value) };
}

/** A streamed answer. */
export function events(body: string | readonly BodyChunk[], end?: StubAnswer["end"]): StubAnswer {
  return {
    headers: { "content-type": "text/event-stream" },
    body,
    ...(end === undefined ? {} : { end }),
  };
}

/** The text of a file below `fixtures/`. */
export function fixture(path: string): string {
  return Deno.readTextFileSync(new URL(path, FIXTURES));
}

/** The names of the files in a folder below `fixtures/` with this ending. */
export function fixtureNames(folder: string, ending: string): string[] {
  return [...Deno.readDirSync(new URL(folder, FIXTURES))].map(({ name }) => name)
    .filter((name) => name.endsWith(ending)).sort();
}

/** A file below `fixtures/` as an answer. */
export function fixtureAnswer(path: string, status = 200): StubAnswer {
  return { status, body: fixture(path) };
}

/** A gate that a test opens to let the server continue. */
export function gate(): { readonly opened: Promise<void>; readonly open: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { opened: promise, open: () => resolve() };
}

/** Bytes in chunks of this size, to cover every place where a network may cut. */
export function cut(text: string, size: number): Uint8Array[] {
  const bytes = encoder.encode(text);
  return Array.from(
    { length: Math.ceil(bytes.length / size) },
    (_, index) => bytes.subarray(index * size, (index + 1) * size),
  );
}

/** A replacement for `fetch` that returns exactly these chunks, one per read, for every request. */
export function fetchOf(answer: StubAnswer): typeof globalThis.fetch {
  return async (input, init) => {
    const incoming = new Request(input, init);
    return new StubRequest(incoming, await incoming.text()).respond(answer);
  };
}
