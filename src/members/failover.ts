/**
 * Turns at one call: providers that are asked one after another, until one answers, whole or streamed.
 *
 * @module
 */

import type { AnyProviderError } from "../core/errors.ts";
import type { ToolCall } from "../core/messages.ts";
import type {
  CompletionResponse,
  CompletionStream,
  ModelInfo,
  PartialAnswer,
  StreamingChunk,
} from "../core/types.ts";
import type { ChunkSource } from "../server/completion_stream.ts";

/** Order in which providers are asked. */
export interface Turns<Provider> {
  /**
   * The provider to ask first or, once one has failed, next. Rejects where there is no other, with the error for the
   * caller.
   */
  next(failed?: { readonly error: unknown }): Promise<Provider>;
  /** Called when the provider has answered; a stream has with its first chunk. */
  onAnswer?(): void;
}

/** The answer of the first provider that gives one. */
export async function firstAnswer<Provider, Answer>(
  turns: Turns<Provider>,
  ask: (provider: Provider) => Promise<Answer>,
): Promise<Answer> {
  let provider = await turns.next();
  while (true) {
    try {
      const answer = await ask(provider);
      turns.onAnswer?.();
      return answer;
    } catch (error) {
      provider = await turns.next({ error });
    }
  }
}

/** The server was not there. */
const GONE_CODES: ReadonlySet<string> = new Set([
  "connection_refused",
  "connection_reset",
  "service_not_found",
  "timeout_connect",
]);

/** Whether the server itself was not there, rather than another host, that of an image, which no retry mends. */
export function isServerGone({ code, retriable }: AnyProviderError): boolean {
  return retriable && GONE_CODES.has(code);
}

/** The models of several providers; of two with the same id the first. */
export function mergeListings(listings: readonly (readonly ModelInfo[])[]): ModelInfo[] {
  const byId = new Map<string, ModelInfo>();
  for (const model of listings.flat()) if (!byId.has(model.id)) byId.set(model.id, model);
  return [...byId.values()];
}

/** Chunks of the first stream that gives one; from then on its failures are the answer's. */
export class FailoverStream<Provider> implements ChunkSource {
  readonly #turns: Turns<Provider>;
  readonly #open: (provider: Provider) => CompletionStream;
  #stream: CompletionStream | undefined;
  #iterator: AsyncIterator<StreamingChunk> | undefined;
  #response: Promise<CompletionResponse> | undefined;
  #isClosed = false;
  #content = "";
  #reasoning = "";
  readonly #toolCalls: ToolCall[] = [];

  constructor(turns: Turns<Provider>, open: (provider: Provider) => CompletionStream) {
    this.#turns = turns;
    this.#open = open;
  }

  async next(): Promise<StreamingChunk | undefined> {
    const result = await (this.#iterator?.next() ?? this.#first());
    if (result.done === true) return undefined;
    this.#note(result.value);
    // Asked for at once: it is whole now, and cancelling the stream later must not spoil it.
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

  #first(): Promise<IteratorResult<StreamingChunk, unknown>> {
    return firstAnswer(this.#turns, async (provider) => {
      const stream = this.#open(provider);
      this.#stream = stream;
      // Left while this provider was looked for: the stream has sent nothing yet.
      if (this.#isClosed) await stream.cancel();
      const iterator = stream[Symbol.asyncIterator]();
      const result = await iterator.next();
      this.#iterator = iterator;
      return result;
    });
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
