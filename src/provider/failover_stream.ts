/**
 * One stream out of several that are tried in turn: the first that gives a chunk is it.
 *
 * @module
 */

import type { ToolCall } from "../core/messages.ts";
import type {
  CompletionResponse,
  CompletionStream,
  PartialAnswer,
  StreamingChunk,
} from "../core/types.ts";
import type { ChunkSource } from "../server/completion_stream.ts";

/** The stream to try next, given what the one before failed with. Rejects where there is none. */
export type OpenNext = (failure?: { readonly error: unknown }) => Promise<CompletionStream>;

/** Chunks of the first stream that gives one; from then on its failures are the answer's. */
export class FailoverStream implements ChunkSource {
  readonly #openNext: OpenNext;
  readonly #onFirst: () => void;
  #stream: CompletionStream | undefined;
  #iterator: AsyncIterator<StreamingChunk> | undefined;
  #response: Promise<CompletionResponse> | undefined;
  #isClosed = false;
  #content = "";
  #reasoning = "";
  readonly #toolCalls: ToolCall[] = [];

  /** @param onFirst told when the first chunk has come. */
  constructor(openNext: OpenNext, onFirst: () => void = () => {}) {
    this.#openNext = openNext;
    this.#onFirst = onFirst;
  }

  async next(): Promise<StreamingChunk | undefined> {
    const result = await (this.#iterator?.next() ?? this.#first());
    if (result.done === true) return undefined;
    this.#note(result.value);
    // Asked for at once: it is whole now, and letting go of the stream must not spoil it.
    if (result.value.isFinal) this.#keepResponse();
    return result.value;
  }

  take(): undefined {
    return undefined;
  }

  isFinal(chunk: StreamingChunk): boolean {
    return chunk.isFinal;
  }

  partial(): PartialAnswer | undefined {
    const [content, reasoning, toolCalls] = [this.#content, this.#reasoning, this.#toolCalls];
    if (content === "" && reasoning === "" && toolCalls.length === 0) return undefined;
    return { content, ...(reasoning === "" ? {} : { reasoning }), toolCalls: [...toolCalls] };
  }

  response(): Promise<CompletionResponse> {
    return this.#keepResponse();
  }

  close(): void {
    this.#isClosed = true;
    if (this.#response === undefined) this.#stream?.cancel().catch(() => {});
  }

  async #first(): Promise<IteratorResult<StreamingChunk, unknown>> {
    let stream = await this.#open();
    while (true) {
      try {
        const iterator = stream[Symbol.asyncIterator]();
        const result = await iterator.next();
        this.#iterator = iterator;
        this.#onFirst();
        return result;
      } catch (error) {
        stream = await this.#open({ error });
      }
    }
  }

  async #open(failure?: { readonly error: unknown }): Promise<CompletionStream> {
    const stream = await this.#openNext(failure);
    this.#stream = stream;
    // Left while the next one was looked for: it has sent nothing yet.
    if (this.#isClosed) await stream.cancel();
    return stream;
  }

  #keepResponse(): Promise<CompletionResponse> {
    if (this.#response !== undefined) return this.#response;
    const response = this.#stream?.response() ??
      Promise.reject(new TypeError("No stream has begun"));
    // Nobody may ever ask for it.
    response.catch(() => {});
    this.#response = response;
    return response;
  }

  #note({ content, reasoning = "", toolCalls = [] }: StreamingChunk): void {
    this.#content += content;
    this.#reasoning += reasoning;
    for (const { index, id, name, arguments: text = "" } of toolCalls) {
      const call = this.#toolCalls[index] ??= { id: "", name: "", arguments: "" };
      if (id !== undefined) call.id = id;
      if (name !== undefined) call.name = name;
      call.arguments += text;
    }
  }
}
