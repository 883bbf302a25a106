/**
 * A lazy stream whose items are pieces of text, as chat and text completions give them.
 *
 * @module
 */

import type { CompletionResponse, CompletionStream, StreamingChunk } from "../core/types.ts";
import { type ItemSource, LazyStream, type StreamLabel } from "./lazy_stream.ts";

/** Where the chunks come from. */
export type ChunkSource<Answer = CompletionResponse> = ItemSource<StreamingChunk, Answer>;

/** A `CompletionStream` over a source that is opened at the first pull. */
export class LazyCompletionStream<Answer = CompletionResponse>
  extends LazyStream<StreamingChunk, Answer>
  implements CompletionStream<Answer> {
  /**
   * @param open checks the request and makes the source; its signal is aborted by the caller and by `cancel()`.
   * @param callerSignal as `callerSignalOf` gives it.
   */
  constructor(
    open: (signal: AbortSignal) => Promise<ChunkSource<Answer>>,
    callerSignal: AbortSignal | undefined,
    label: StreamLabel,
  ) {
    super({ open, callerSignal, label });
  }

  get textStream(): AsyncIterable<string> {
    const text = ({ content }: StreamingChunk) => content === "" ? undefined : content;
    return { [Symbol.asyncIterator]: () => this.map(text) };
  }

  toTextStream(): ReadableStream<Uint8Array> {
    return this.toWebStream(textEncoder());
  }

  async toResponse(init: ResponseInit = {}): Promise<Response> {
    // Before it waits: of two that ask, one would else answer 200 with a body that breaks.
    const second = this.secondConsumer();
    if (second !== undefined) throw second;
    const encode = textEncoder();
    const response = this.#respond(this.toWebStream(encode, this.map(encode)), init);
    await this.started();
    return response;
  }

  /** Made before anything is sent: nothing is generated for a response that cannot be. */
  #respond(body: ReadableStream<Uint8Array>, init: ResponseInit): Response {
    try {
      const response = new Response(body, init);
      if (!response.headers.has("content-type")) {
        response.headers.set("content-type", "text/plain; charset=utf-8");
      }
      return response;
    } catch (cause) {
      const hint =
        "`toResponse()` takes what `new Response()` takes, with a status that has a body.";
      throw this.refuse("no response can be made of these settings", { hint, cause });
    }
  }
}

/** The text of chunks as UTF-8. */
function textEncoder(): (chunk: StreamingChunk) => Uint8Array | undefined {
  const encoder = new TextEncoder();
  let held = "";
  return ({ content, isFinal }) => {
    const text = held + content;
    // Half of a character may come alone: its other half is in the next piece.
    held = !isFinal && /[\ud800-\udbff]$/.test(text) ? text.slice(-1) : "";
    const whole = text.slice(0, text.length - held.length);
    return whole === "" ? undefined : encoder.encode(whole);
  };
}
