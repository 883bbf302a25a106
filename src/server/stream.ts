/**
 * A stream users hold: starts at the first pull, has one consumer, and stops the generation when it is left.
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

/** Names of a stream in its errors. */
export interface StreamLabel {
  /** Completes "Cannot …". */
  readonly action: string;
  readonly service: string;
}

/** Checks the request and makes the source; the signal is aborted by the caller and by `cancel()`. */
export type OpenSource<Item, Answer> = (signal: AbortSignal) => Promise<ItemSource<Item, Answer>>;

/**
 * The signal in options as they were given. What throws when it is read is for the check of the options, at the first
 * pull: a stream method throws nothing.
 */
export function callerSignalOf(
  options: { readonly signal?: AbortSignal | undefined } | undefined,
): AbortSignal | undefined {
  try {
    const signal = options?.signal;
    // What is no signal is refused at the first pull, too. One of another realm or a polyfill counts.
    return typeof signal?.addEventListener === "function" ? signal : undefined;
  } catch {
    return undefined;
  }
}

type Outcome =
  | { readonly kind: "done" }
  | { readonly kind: "failed"; readonly error: unknown }
  | { readonly kind: "cancelled"; readonly reason: unknown };

/** One for all streams: its stack says nothing, and takes longer to make than all else at the end. */
const STREAM_OVER = new DOMException("The stream is over", "AbortError");
const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined };

/** A stream over a source that is opened at the first pull. */
export class ItemStream<Item, Answer> implements EventStream<Item, Answer> {
  readonly #open: OpenSource<Item, Answer>;
  readonly #callerSignal: AbortSignal | undefined;
  readonly #label: StreamLabel;
  /** Where the stream was asked for. */
  readonly #site = callSite(ItemStream);
  readonly #controller = new AbortController();
  #source: ItemSource<Item, Answer> | undefined;
  /** The one queue between the source and the consumer: most items come several to a read. */
  readonly #items: Item[] = [];
  #at = 0;
  /** How many items of the queue may be given out; none once the stream is aborted or over. */
  #readyItems = 0;
  /** Whether nothing will follow what is in the queue. */
  #isAll = false;
  /** Follows what is in the queue. */
  #queuedFailure: { readonly error: unknown } | undefined;
  #outcome: Outcome | undefined;
  #hasConsumer = false;
  /** The pull under way: pulls are answered in their order. */
  #pending: Promise<unknown> | undefined;
  /** The first pull, whoever made it: `started()` waits for it. */
  #first: Promise<IteratorResult<Item, undefined>> | undefined;
  /** The first pull where `started()` made it: its outcome is the consumer's, an error as well. */
  #kept: Promise<IteratorResult<Item, undefined>> | undefined;
  #response: Promise<Answer> | undefined;
  #stopListening: (() => void) | undefined;

  /** @param options of the call, as they were given; only their signal is read here. */
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

  // deno-lint-ignore require-await -- everything it does is done at once; its type is a promise
  async cancel(reason?: unknown): Promise<void> {
    this.#kept = undefined;
    if (this.#outcome !== undefined) return;
    const signal = this.#callerSignal;
    // Whoever aborts and then leaves the loop has aborted: that, not the leaving, is why there is no answer.
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

  /** Makes the caller the consumer, or gives the error for a second one. */
  #claim(): InvalidRequestError | undefined {
    const refused = this.secondConsumer();
    this.#hasConsumer = true;
    return refused;
  }

  /** The error for a second consumer, where there is a first. */
  protected secondConsumer(): InvalidRequestError | undefined {
    if (!this.#hasConsumer) return undefined;
    return this.refuse("this stream already has a consumer", {
      hint: "Iterate a stream once; `response()` gives the whole answer afterwards.",
    });
  }

  /** An error for what is asked of this stream. */
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

  /** The item that `started()` has pulled already. */
  #takeKept(): Promise<IteratorResult<Item, undefined>> | undefined {
    const kept = this.#kept;
    this.#kept = undefined;
    // Aborted with items still to come: the next pull says so.
    const isAborted = this.#outcome === undefined && this.#controller.signal.aborted;
    return isAborted ? undefined : kept;
  }

  /** Whether an item is there that costs no wait. Asked for each token: fields of ours, and no signal's. */
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
    // An error is thrown once; after it, as after the end, there is nothing more.
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
        // Left meanwhile: a source that has ended with it is no whole answer.
        if (this.#isCancelled()) return DONE;
      }
      return { done: false, value: this.#take() };
    } catch (cause) {
      const error = withCallSite(await withRemark(cause), this.#site);
      // The consumer stopped it: whatever broke by that is no news.
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

  /** The next item of the queue. With the last one the answer is whole: leaving after it is no cancelling. */
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
      // A user's own `fetch` may not heed the signal, and nobody may pull again. A pull sees to it itself.
      if (this.#pending === undefined) this.#source?.close();
    };
    this.#stopListening = listenToAbort(signal, onAbort);
    if (signal?.aborted === true) onAbort();
    this.#controller.signal.throwIfAborted();
    const opening = this.#open(this.#controller.signal);
    // What loads for it heeds no signal.
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
    // Where all has come there is nothing left to be ended.
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

  /** Why there is no whole answer. */
  #failure(): unknown {
    const outcome = this.#outcome;
    if (outcome?.kind === "failed") return outcome.error;
    return (outcome?.kind === "cancelled" ? outcome.reason : undefined) ?? this.#cancelledError();
  }

  #cancelledError(): StreamError {
    const { action, service } = this.#label;
    return providerError("stream_truncated", `Cannot ${action}: the stream was cancelled`, {
      service,
      hint: "`partial` has what had arrived.",
      partial: this.#source?.partial(),
    });
  }

  /** The items as something else; those that are `undefined` are left out. */
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
    /** The pull under way: one that leaves an item out must not be overtaken. */
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
   * Pulls only when asked: a web stream that nobody reads starts nothing.
   *
   * @param claimed what `map` gave to who wants to be the consumer before it is read.
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
      // One that came second must not end what the first one reads.
      cancel: async (reason) => {
        if (isConsumer || !this.#hasConsumer) await this.cancel(reason);
      },
    }, { highWaterMark: 0 });
  }
}

/** A stream of pieces of text, as completions and text completions give them. */
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
