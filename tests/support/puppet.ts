/** A `fetch` that does nothing on its own, and time that passes only when a test says so. */
import { FakeTime } from "@std/testing/time";

const encoder = new TextEncoder();

/** One call of the puppet `fetch`. */
export interface PuppetCall {
  readonly url: string;
  readonly init: RequestInit;
  readonly signal: AbortSignal;
  /** Whether the body was cancelled. */
  readonly isCancelled: boolean;
  /** Sends the head of an answer; the test sends the body. */
  respond(status?: number, headers?: Record<string, string>): void;
  send(text: string): void;
  end(): void;
  /** Breaks the body, or rejects if there is no answer yet. */
  fail(error: unknown): void;
}

/** A `fetch` whose calls the test answers. It ignores signals, like the worst custom ones. */
export class Puppet {
  readonly calls: PuppetCall[] = [];

  get last(): PuppetCall {
    const call = this.calls.at(-1);
    if (call === undefined) throw new Error("Expected a request, there was none");
    return call;
  }

  readonly fetch = (url: RequestInfo | URL, init: RequestInit = {}): Promise<Response> => {
    const { promise, resolve, reject } = Promise.withResolvers<Response>();
    let body: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>> | undefined;
    let isCancelled = false;
    this.calls.push({
      url: String(url),
      init,
      signal: init.signal ?? new AbortController().signal,
      get isCancelled() {
        return isCancelled;
      },
      respond: (status = 200, headers = {}) => {
        const stream = new ReadableStream<Uint8Array<ArrayBuffer>>({
          start: (controller) => void (body = controller),
          cancel: () => void (isCancelled = true),
        });
        resolve(new Response(stream, { status, headers }));
      },
      send: (text) => body?.enqueue(encoder.encode(text)),
      end: () => body?.close(),
      fail: (error) => body === undefined ? reject(error) : body.error(error),
    });
    return promise;
  };
}

/** Runs while time stands still; `pass` advances timers and the monotonic clock together. */
export async function inFakeTime(
  run: (pass: (ms: number) => Promise<void>) => Promise<void>,
): Promise<void> {
  using time = new FakeTime();
  const { now } = performance;
  // An integer: with fractions a difference can end before the timer it was used for.
  let clock = Math.ceil(now.call(performance));
  performance.now = () => clock;
  try {
    await run(async (ms) => {
      await time.runMicrotasks();
      clock += ms;
      time.tick(ms);
      await time.runMicrotasks();
    });
  } finally {
    performance.now = now;
  }
}
