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
   * @param callerSignal as it was given, so not checked.
   */
  constructor(
    open: (signal: AbortSignal) => Promise<ChunkSource<Answer>>,
    callerSignal: AbortSignal | undefined,
    label: StreamLabel,
  ) {
    super({ open, callerSignal, label, isFinal: (chunk) => chunk.isFinal });
  }

  get textStream(): AsyncIterable<string> {
    const text = ({ content }: StreamingChunk) => content === "" ? undefined : content;
    return { [Symbol.asyncIterator]: () => this.map(text) };
  }

  toTextStream(): ReadableStream<Uint8Array> {
    const encoder = new TextEncoder();
    let held = "";
    return this.toWebStream(({ content, isFinal }) => {
      const text = held + content;
      // Half of a character may come alone: its other half is in the next piece.
      held = !isFinal && /[\ud800-\udbff]$/.test(text) ? text.slice(-1) : "";
      const whole = text.slice(0, text.length - held.length);
      return whole === "" ? undefined : encoder.encode(whole);
    });
  }
}
