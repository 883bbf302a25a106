/** One request and its answer: recorded, abortable, and sent at the reader's pace. */

import { type BodyChunk, chunksOf, placeOf } from "./fake_faults.ts";
import type { FaultKind, RecordedRequest } from "./fake_options.ts";
import type { Answer } from "./fake_wire.ts";

type Recording = { -readonly [Name in keyof RecordedRequest]: RecordedRequest[Name] };

/** Follows one request until its answer is sent, broken off, or no longer wanted. */
export class Exchange {
  readonly record: Recording;
  readonly #client: AbortSignal;
  readonly #controller: AbortController = new AbortController();
  #isOver = false;

  constructor(method: string, path: string, headers: Headers, client: AbortSignal) {
    this.record = {
      method,
      path,
      headers: Object.fromEntries(headers),
      body: undefined,
      aborted: false,
      completed: false,
      chunksWritten: 0,
      status: undefined,
      attempt: 1,
    };
    this.#client = client;
    if (client.aborted) this.#leave();
    else client.addEventListener("abort", this.#leave, { once: true });
  }

  /** Aborts when the client disconnects. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Waits for the value, but only as long as the client does. */
  async whileWanted<Value>(value: Promise<Value>): Promise<Value> {
    let stop = () => {};
    const left = new Promise<never>((_, reject) => {
      stop = () => reject(this.signal.reason);
      if (this.signal.aborted) stop();
      else this.signal.addEventListener("abort", stop, { once: true });
    });
    try {
      return await Promise.race([value, left]);
    } finally {
      this.signal.removeEventListener("abort", stop);
    }
  }

  /** Records that nothing more will be sent. */
  end(isComplete: boolean): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.record.completed = isComplete;
    this.#client.removeEventListener("abort", this.#leave);
  }

  /** The response. With `awaitFirstChunk` it is held back until the first chunk of the body is ready. */
  async respond(
    answer: Answer,
    status: number,
    headers: Headers,
    fault: FaultKind | undefined,
    awaitFirstChunk: boolean,
  ): Promise<Response> {
    this.record.status = status;
    const chunks = chunksOf(answer, fault, this.signal);
    if (answer.kind === "body") {
      if (placeOf(fault) !== "body") {
        // A whole body counts as sent before the client has read it.
        this.record.chunksWritten = answer.text === "" ? 0 : 1;
        this.end(true);
      }
      if (answer.text === "") return new Response(null, { status, headers });
    }
    const first = awaitFirstChunk ? await this.whileWanted(chunks.next()) : undefined;
    return new Response(this.#body(chunks, first), { status, headers });
  }

  /** Generates nothing ahead of the reader, so that a test sees exactly how far it read. */
  #body(
    chunks: AsyncGenerator<BodyChunk, void, undefined>,
    first: IteratorResult<BodyChunk, void> | undefined,
  ): ReadableStream<Uint8Array> {
    const encoder = new TextEncoder();
    let ready = first;
    let stopListening = () => {};
    return new ReadableStream<Uint8Array>({
      start: (controller) => {
        const fail = () => controller.error(this.#client.reason);
        this.#client.addEventListener("abort", fail, { once: true });
        stopListening = () => this.#client.removeEventListener("abort", fail);
      },
      pull: async (controller) => {
        try {
          const next = ready ?? await chunks.next();
          ready = undefined;
          if (this.signal.aborted) return;
          if (!next.done) {
            controller.enqueue(encoder.encode(next.value.text));
            if (!this.#isOver) this.record.chunksWritten++;
          }
          if (next.done || next.value.isLast) {
            this.end(true);
            stopListening();
            controller.close();
          }
        } catch (error) {
          this.end(false);
          stopListening();
          controller.error(error);
        }
      },
      cancel: async (reason) => {
        this.#leave(reason);
        stopListening();
        await chunks.return();
      },
    }, { highWaterMark: 0 });
  }

  readonly #leave = (reason?: unknown): void => {
    if (this.#isOver) return;
    this.end(false);
    this.record.aborted = true;
    this.#controller.abort(this.#client.aborted ? this.#client.reason : reason);
  };
}
