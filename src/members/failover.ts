/**
 * Failover within one call: providers are asked one after another until one answers, whole or streamed.
 *
 * @module
 */

import type { ItemSource } from "../api/route.ts";
import type { AnyProviderError } from "../core/errors.ts";
import type { ToolCall } from "../core/messages.ts";
import type {
  CompletionResponse,
  CompletionStream,
  ModelInfo,
  PartialAnswer,
  StreamingChunk,
} from "../core/types.ts";

/** Order in which providers are asked. */
export interface Turns<Provider> {
  /**
   * Returns the provider to ask first or, after a failure, next. If there is none left, rejects with the error for the
   * caller.
   */
  next(failed?: { readonly error: unknown }): Promise<Provider>;
  /** Called when the provider has answered; for a stream, with its first chunk. */
  onAnswer?(): void;
}

/** Asks providers in turn and returns the first answer. */
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

/** Codes of errors for an unreachable server. */
const GONE_CODES: ReadonlySet<string> = new Set([
  "connection_refused",
  "connection_reset",
  "service_not_found",
  "timeout_connect",
]);

/** Whether the server itself was unreachable. For the host of an image, a retry would not help, so that does not count. */
export function isServerGone({ code, retriable }: AnyProviderError): boolean {
  return retriable && GONE_CODES.has(code);
}

/** Merges the models of several providers; if an id occurs more than once, keeps the first. */
export function mergeListings(listings: readonly (readonly ModelInfo[])[]): ModelInfo[] {
  const byId = new Map<string, ModelInfo>();
  for (const model of listings.flat()) if (!byId.has(model.id)) byId.set(model.id, model);
  return [...byId.values()];
}

/** Source of the chunks of one completion. */
export type ChunkSource = ItemSource<StreamingChunk, CompletionResponse>;

/** Takes chunks from the first provider that delivers one. From then on, its errors go to the caller. */
export class FailoverSource<Provider> implements ChunkSource {
  readonly #turns: Turns<Provider>;
  readonly #open: (provider: Provider) => ChunkSource | Promise<ChunkSource>;
  #source: ChunkSource | undefined;
  #hasBegun = false;
  #isClosed = false;

  constructor(
    turns: Turns<Provider>,
    open: (provider: Provider) => ChunkSource | Promise<ChunkSource>,
  ) {
    this.#turns = turns;
    this.#open = open;
  }

  async fill(items: StreamingChunk[]): Promise<boolean> {
    if (this.#hasBegun && this.#source !== undefined) return await this.#source.fill(items);
    const first = await firstAnswer(this.#turns, (provider) => this.#begin(provider, items));
    this.#hasBegun = true;
    if ("error" in first) throw first.error;
    return first.isAll;
  }

  partial(): PartialAnswer | undefined {
    return this.#source?.partial();
  }

  response(): CompletionResponse | Promise<CompletionResponse> {
    if (this.#source === undefined) throw new TypeError("No stream has begun");
    return this.#source.response();
  }

  close(): void {
    this.#isClosed = true;
    this.#source?.close();
  }

  /** Gets the first chunks from one provider. An error that follows them is returned, since it goes to the caller. */
  async #begin(
    provider: Provider,
    items: StreamingChunk[],
  ): Promise<{ readonly isAll: boolean } | { readonly error: unknown }> {
    const source = await this.#open(provider);
    this.#source = source;
    // Closed while this provider was being chosen: nothing has been sent yet.
    if (this.#isClosed) source.close();
    try {
      let isAll = false;
      while (!isAll && items.length === 0) isAll = await source.fill(items);
      return { isAll };
    } catch (error) {
      if (items.length > 0) return { error };
      source.close();
      throw error;
    }
  }
}

/** The chunks of any provider's stream, which may be third-party code. */
export class StreamSource implements ChunkSource {
  readonly #stream: CompletionStream;
  #iterator: AsyncIterator<StreamingChunk> | undefined;
  #response: Promise<CompletionResponse> | undefined;
  #content = "";
  #reasoning = "";
  readonly #toolCalls: ToolCall[] = [];

  constructor(stream: CompletionStream) {
    this.#stream = stream;
  }

  async fill(items: StreamingChunk[]): Promise<boolean> {
    this.#iterator ??= this.#stream[Symbol.asyncIterator]();
    const { done, value } = await this.#iterator.next();
    if (done === true) return true;
    this.#note(value);
    // Requested right away: the answer is complete now, and cancelling the stream later must not spoil it.
    if (value.isFinal) this.#keepResponse();
    items.push(value);
    return value.isFinal;
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
    if (this.#response === undefined) this.#stream.cancel().catch(() => {});
  }

  #keepResponse(): Promise<CompletionResponse> {
    if (this.#response !== undefined) return this.#response;
    const response = this.#stream.response();
    // The response may never be asked for.
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
