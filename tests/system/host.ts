/** Fake LM Studio hosts over HTTP: one that can be killed, and one that writes only when allowed to. */

import { createFakeLMStudio } from "../../src/testing/mod.ts";
import type { FakeLMStudio, FakeLMStudioOptions, RecordedRequest } from "../../src/testing/mod.ts";

/** A listening host. */
export interface Host extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  readonly fake: FakeLMStudio;
}

/** A host whose streams are written frame by frame, as the test allows. */
export interface SteppedHost extends Host {
  /** Allows this many more frames. */
  allow(frames: number): void;
}

/** Starts a host; disposal kills it, and every connection breaks. */
export async function startHost(options: FakeLMStudioOptions, port = 0): Promise<Host> {
  const fake = createFakeLMStudio(options);
  const listener = await fake.listen({ port });
  return {
    url: listener.url,
    port: listener.port,
    fake,
    [Symbol.asyncDispose]: () => listener[Symbol.asyncDispose](),
  };
}

/** Starts a host that holds back every frame of a stream until allowed. */
export function startSteppedHost(options: FakeLMStudioOptions): SteppedHost {
  const fake = createFakeLMStudio(options);
  let allowed = 0;
  let wake = (): void => {};
  const permit = async (): Promise<void> => {
    while (allowed === 0) await new Promise<void>((resolve) => wake = resolve);
    allowed--;
  };
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    async (request) => {
      const response = await fake.handler(await copyOf(request));
      if (!response.headers.get("content-type")?.startsWith("text/event-stream")) return response;
      return new Response(stepped(response.body, permit), response);
    },
  );
  return {
    url: `http://127.0.0.1:${server.addr.port}`,
    port: server.addr.port,
    fake,
    allow(frames) {
      allowed += frames;
      wake();
    },
    async [Symbol.asyncDispose]() {
      this.allow(Infinity);
      await server.shutdown();
    },
  };
}

/** The newest request for this path. */
export function lastRequest({ fake }: Host, path: string): RecordedRequest {
  const found = fake.requests.findLast((request) => request.path === path);
  if (found === undefined) throw new Error(`the host got no request for ${path}`);
  return found;
}

function stepped(
  body: ReadableStream<Uint8Array> | null,
  permit: () => Promise<void>,
): ReadableStream<Uint8Array> {
  if (body === null) throw new Error("a stream without a body");
  const reader = body.getReader();
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      await permit();
      const { done, value } = await reader.read();
      if (done) controller.close();
      else controller.enqueue(value);
    },
    cancel: (reason) => reader.cancel(reason),
  }, { highWaterMark: 0 });
}

/** Without Deno's signal, which aborts after every answer: cancellation of the body shows that the client has left. */
async function copyOf({ url, method, headers, body }: Request): Promise<Request> {
  return new Request(url, {
    method,
    headers,
    body: body === null ? null : await new Response(body).text(),
  });
}
