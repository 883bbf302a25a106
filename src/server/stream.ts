/**
 * The stream that users hold: it starts at the first pull, has one consumer, and stops the generation if abandoned.
 *
 * @module
 */

import type { ItemSource } from "../api/route.ts";
import {
  callSite,
  type InvalidRequestError,
  providerError,
  type StreamError,
  withCallSite,
  withRemark,
} from "../core/errors.ts";
import type { EventStream } from "../core/event_stream.ts";
import type { CompletionResponse, CompletionStream, StreamingChunk } from "../core/types.ts";
import { listenToAbort, untilAborted } from "../transport/timers.ts";

/** Names a stream in its errors. */
export interface StreamLabel {
  /** Completes "Cannot …". */
  readonly action: string;
  readonly service: string;
}

/** Checks the request and makes the source; the signal is aborted by the caller's signal and by `cancel()`. */
export type OpenSource<Item, Answer> = (signal: AbortSignal) => Promise<ItemSource<Item, Answer>>;

/**
 * The signal in the caller's unchecked options. If reading it throws, the check of the options reports that at the
 * first pull, because methods that return a stream never throw.
 */
export function callerSignalOf(
  options: { readonly signal?: AbortSignal | undefined } | undefined,
): AbortSignal | undefined {
  try {
    const signal = options?.signal;
    // Anything else is refused at the first pull, too. Signals of another realm or a polyfill count.
    return typeof signal?.addEventListener === "function" ? signal : undefined;
  } catch {
    return undefined;
  }
}

type Outcome =
  | { readonly kind: "done" }
  | { readonly kind: "failed"; readonly error: unknown }
  | { readonly kind: "cancelled"; readonly reason: unknown };

/** Shared by all streams: its stack is no use, and making one costs more than the rest of a stream's end. */
const STREAM_OVER = new DOMException("The stream is over", "AbortError");
const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined };

/** A stream over a source that is opened at the first pull. */
export class ItemStream<Item, Answer> implements EventStream<Item, Answer> {
  readonly #open: OpenSource<Item, Answer>;
  readonly #callerSignal: AbortSignal | undefined;
  readonly #label: StreamLabel;
  /** Where the stream was created. */
  readonly #site = callSite(ItemStream);
  readonly #controller = new AbortController();
  #source: ItemSource<Item, Answer> | undefined;
  /** The only queue between source and consumer: most reads yield several items. */
  readonly #items: Item[] = [];
  #at = 0;
  /** Number of queued items that may be given out; 0 once the stream is aborted or over. */
  #readyItems = 0;
  /** Whether nothing follows the queued items. */
  #isAll = false;
  /** Thrown after the queued items. */
  #queuedFailure: { readonly error: unknown } | undefined;
  #outcome: Outcome | undefined;
  #hasConsumer = false;
  /** The pull in progress: pulls are answered in order. */
  #pending: Promise<unknown> | undefined;
  /** The first pull, whoever made it: `started()` awaits it. */
  #first: Promise<IteratorResult<Item, undefined>> | undefined;
  /** The first pull, if `started()` made it: its result or error is the consumer's. */
  #kept: Promise<IteratorResult<Item, undefined>> | undefined;
  #response: Promise<Answer> | undefined;
  #stopListening: (() => void) | undefined;

  /** @param options of the call, unchecked; only their signal is read here. */
  constructor(
    label: StreamLabel,
    options: { readonly signal?: AbortSignal | undefined } | undefined,
    open: OpenSource<Item, Answer>,
  ) {
    this.#open = open;
    this.#callerSignal = callerSignalOf(options);
    this.#label = label;
  }

  [Symbol.asyncIterator](): AsyncIterator<Item> {
    const refused = this.#claim();
    if (refused !== undefined) return { next: () => Promise.reject(refused) };
    return {
      next: () => this.#kept === undefined ? this.#next() : this.#takeKept() ?? this.#next(),
      return: async () => {
        await this.cancel();
        return DONE;
      },
    };
  }

  async started(): Promise<void> {
    if (this.#first === undefined) this.#kept = this.#next();
    const result = await this.#first;
    if (result?.done === true && this.#outcome?.kind !== "done") throw this.#failure();
  }

  response(): Promise<Answer> {
    this.#response ??= this.#drain();
    return this.#response;
  }

  // deno-lint-ignore require-await -- all its work is synchronous; its type is a promise
  async cancel(reason?: unknown): Promise<void> {
    this.#kept = undefined;
    if (this.#outcome !== undefined) return;
    const signal = this.#callerSignal;
    // If the caller aborted and then left the loop, the abort is the reason why there is no answer.
    this.#end(
      signal?.aborted === true
        ? { kind: "failed", error: signal.reason }
        : { kind: "cancelled", reason },
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cancel();
  }

  toReadableStream(): ReadableStream<Item> {
    return this.toWebStream((item) => item);
  }

  /** Makes the caller the consumer; returns the error if there already is one. */
  #claim(): InvalidRequestError | undefined {
    const refused = this.secondConsumer();
    this.#hasConsumer = true;
    return refused;
  }

  /** The error for a second consumer, if there is a first. */
  protected secondConsumer(): InvalidRequestError | undefined {
    if (!this.#hasConsumer) return undefined;
    return this.refuse("this stream already has a consumer", {
      hint: "Iterate a stream only once; `response()` returns the whole answer.",
    });
  }

  /** An error for a call on this stream that is not possible. */
  protected refuse(
    state: string,
    details: { readonly hint: string; readonly cause?: unknown },
  ): InvalidRequestError {
    const { action, service } = this.#label;
    const code = "invalid_request";
    return providerError(code, `Cannot ${action}: ${state}`, {
      service,
      attempts: 0,
      ...details,
    });
  }

  /** The item that `started()` has already pulled. */
  #takeKept(): Promise<IteratorResult<Item, undefined>> | undefined {
    const kept = this.#kept;
    this.#kept = undefined;
    // If the stream was aborted with items left, the next pull reports the abort.
    const isAborted = this.#outcome === undefined && this.#controller.signal.aborted;
    return isAborted ? undefined : kept;
  }

  /** Whether an item is ready without waiting. Read for each token, so it uses only our own fields, not the signal. */
  get #isReady(): boolean {
    return this.#at < this.#readyItems && this.#pending === undefined;
  }

  #next(): Promise<IteratorResult<Item, undefined>> {
    if (this.#isReady) return Promise.resolve({ done: false, value: this.#take() });
    const pull = (this.#pending ?? Promise.resolve()).then(() => this.#pull());
    const onSettled = (): void => {
      if (this.#pending === settled) this.#pending = undefined;
    };
    const settled = pull.then(onSettled, onSettled);
    this.#pending = settled;
    this.#first ??= pull;
    return pull;
  }

  async #pull(): Promise<IteratorResult<Item, undefined>> {
    // An error is thrown once; after it, as after the end, the stream is over.
    if (this.#outcome !== undefined) return DONE;
    try {
      const source = this.#source ?? await this.#start();
      this.#controller.signal.throwIfAborted();
      while (this.#at === this.#items.length) {
        if (this.#queuedFailure !== undefined) throw this.#queuedFailure.error;
        if (this.#isAll) {
          this.#end({ kind: "done" });
          return DONE;
        }
        await this.#fill(source);
        // If the stream was cancelled meanwhile, a source that ends does not make the answer whole.
        if (this.#isCancelled()) return DONE;
      }
      return { done: false, value: this.#take() };
    } catch (cause) {
      const error = withCallSite(await withRemark(cause), this.#site);
      // The consumer cancelled, so failures caused by that are not reported.
      if (this.#isCancelled()) return DONE;
      this.#end({ kind: "failed", error });
      throw error;
    }
  }

  async #fill(source: ItemSource<Item, Answer>): Promise<void> {
    this.#items.length = this.#readyItems = this.#at = 0;
    try {
      this.#isAll = await source.fill(this.#items);
    } catch (error) {
      this.#queuedFailure = { error };
    }
    if (this.#outcome === undefined && !this.#controller.signal.aborted) {
      this.#readyItems = this.#items.length;
    }
  }

  /** The next queued item. The last one completes the answer, so leaving after it does not cancel. */
  #take(): Item {
    const item = this.#items[this.#at++] as Item;
    if (this.#isAll && this.#at === this.#items.length) this.#end({ kind: "done" });
    return item;
  }

  async #start(): Promise<ItemSource<Item, Answer>> {
    const signal = this.#callerSignal;
    const onAbort = (): void => {
      this.#readyItems = 0;
      this.#controller.abort(signal?.reason);
      // A user's own `fetch` may ignore the signal, and nobody may pull again. A pull in progress closes by itself.
      if (this.#pending === undefined) this.#source?.close();
    };
    this.#stopListening = listenToAbort(signal, onAbort);
    if (signal?.aborted === true) onAbort();
    this.#controller.signal.throwIfAborted();
    const opening = this.#open(this.#controller.signal);
    // The imports behind it ignore the signal.
    this.#source = await untilAborted(opening, this.#controller.signal);
    return this.#source;
  }

  #isCancelled(): boolean {
    return this.#outcome?.kind === "cancelled";
  }

  #end(outcome: Outcome): void {
    this.#outcome = outcome;
    this.#readyItems = 0;
    this.#stopListening?.();
    this.#source?.close();
    // After a whole answer there is nothing left to abort.
    if (outcome.kind !== "done") this.#controller.abort(STREAM_OVER);
  }

  async #drain(): Promise<Answer> {
    this.#hasConsumer = true;
    while (this.#outcome === undefined) {
      while (this.#isReady) this.#take();
      if (this.#outcome === undefined) await this.#next();
    }
    if (this.#outcome.kind !== "done" || this.#source === undefined) throw this.#failure();
    return this.#source.response();
  }

  /** The reason why there is no whole answer. */
  #failure(): unknown {
    const outcome = this.#outcome;
    if (outcome?.kind === "failed") return outcome.error;
    return (outcome?.kind === "cancelled" ? outcome.reason : undefined) ?? this.#cancelledError();
  }

  #cancelledError(): StreamError {
    const { action, service } = this.#label;
    return providerError("stream_truncated", `Cannot ${action}: the stream was cancelled`, {
      service,
      hint: "`partial` has the part that arrived.",
      partial: this.#source?.partial(),
    });
  }

  /** Maps the items; those mapped to `undefined` are left out. */
  protected map<T>(map: (item: Item) => T | undefined): AsyncIterator<T, undefined> {
    const isConsumer = !this.#hasConsumer;
    const items = this[Symbol.asyncIterator]();
    const pull = async (): Promise<IteratorResult<T, undefined>> => {
      while (true) {
        const result = await items.next();
        if (result.done === true) return DONE;
        const value = map(result.value);
        if (value !== undefined) return { done: false, value };
      }
    };
    /** The pull in progress: later pulls must not overtake one that skips items. */
    let last: Promise<unknown> | undefined;
    return {
      next: () => {
        const isFree = isConsumer && last === undefined && this.#kept === undefined;
        while (isFree && this.#isReady) {
          const value = map(this.#take());
          if (value !== undefined) return Promise.resolve({ done: false, value });
        }
        const next = last === undefined ? pull() : last.then(pull, pull);
        const onSettled = (): void => {
          if (last === settled) last = undefined;
        };
        const settled = next.then(onSettled, onSettled);
        last = settled;
        return next;
      },
      return: async () => {
        await items.return?.();
        return DONE;
      },
    };
  }

  /**
   * A web stream that pulls only on demand: if nobody reads it, nothing starts.
   *
   * @param claimed the result of `map`, for a caller that becomes the consumer before the stream is read.
   */
  protected toWebStream<T>(
    map: (item: Item) => T | undefined,
    claimed?: AsyncIterator<T, undefined>,
  ): ReadableStream<T> {
    let iterator = claimed;
    let isConsumer = claimed !== undefined;
    return new ReadableStream<T>({
      pull: async (controller) => {
        if (iterator === undefined) {
          isConsumer = !this.#hasConsumer;
          iterator = this.map(map);
        }
        const result = await iterator.next();
        if (result.done === true) controller.close();
        else controller.enqueue(result.value);
      },
      // A second consumer must not end what the first one reads.
      cancel: async (reason) => {
        if (isConsumer || !this.#hasConsumer) await this.cancel(reason);
      },
    }, { highWaterMark: 0 });
  }
}

/** A stream of chunks, as for completions and text completions. */
export class ChunkStream<Answer = CompletionResponse> extends ItemStream<StreamingChunk, Answer>
  implements CompletionStream<Answer> {
  get textStream(): AsyncIterable<string> {
    const text = ({ content }: StreamingChunk) => content === "" ? undefined : content;
    return { [Symbol.asyncIterator]: () => this.map(text) };
  }

  toTextStream(): ReadableStream<Uint8Array> {
    return this.toWebStream(textEncoder());
  }

  async toResponse(init: ResponseInit = {}): Promise<Response> {
    // Checked before waiting: otherwise the second of two callers would get a 200 whose body breaks.
    const second = this.secondConsumer();
    if (second !== undefined) throw second;
    const encode = textEncoder();
    const response = this.#respond(this.toWebStream(encode, this.map(encode)), init);
    await this.started();
    return response;
  }

  /** Made before anything is sent: if there can be no response, nothing is generated. */
  #respond(body: ReadableStream<Uint8Array>, init: ResponseInit): Response {
    try {
      const response = new Response(body, init);
      if (!response.headers.has("content-type")) {
        response.headers.set("content-type", "text/plain; charset=utf-8");
      }
      return response;
    } catch (cause) {
      const hint = "Pass what `new Response()` accepts; the status must allow a body.";
      throw this.refuse("`new Response()` rejects these settings", { hint, cause });
    }
  }
}

/** The text of chunks as UTF-8. */
function textEncoder(): (chunk: StreamingChunk) => Uint8Array | undefined {
  const encoder = new TextEncoder();
  let held = "";
  return ({ content, isFinal }) => {
    const text = held + content;
    // A chunk may end with half a surrogate pair; the other half is in the next chunk.
    held = !isFinal && /[\ud800-\udbff]$/.test(text) ? text.slice(-1) : "";
    const whole = text.slice(0, text.length - held.length);
    return whole === "" ? undefined : encoder.encode(whole);
  };
}
