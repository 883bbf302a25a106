/**
 * A stream users hold: starts at the first pull, has one consumer, and stops the generation when it is left.
 *
 * @module
 */

import {
  callSite,
  type InvalidRequestError,
  providerError,
  type StreamError,
  withCallSite,
} from "../core/errors.ts";
import type { EventStream } from "../core/event_stream.ts";
import type { PartialAnswer } from "../core/types.ts";
import { listenToAbort } from "../transport/timers.ts";

/** Where the items come from, such as one streamed request. */
export interface ItemSource<Item, Answer> {
  /** The next item; `undefined` after the final one. */
  next(): Promise<Item | undefined>;
  /** An item that is there already. */
  take(): Item | undefined;
  /** Whether the answer is whole with this item: leaving after it is no cancelling. */
  isFinal(item: Item): boolean;
  /** What has arrived, if anything has. */
  partial(): PartialAnswer | undefined;
  /** The whole answer, after the final item. */
  response(): Answer | Promise<Answer>;
  /** Lets go of everything. Idempotent. */
  close(): void;
}

/** What a stream is called in errors. */
export interface StreamLabel {
  /** Completes "Cannot …". */
  readonly action: string;
  readonly service: string;
}

/** How a stream begins. */
export interface StreamOpening<Item, Answer> {
  /** Checks the request and makes the source; its signal is aborted by the caller and by `cancel()`. */
  readonly open: (signal: AbortSignal) => Promise<ItemSource<Item, Answer>>;
  /** As `callerSignalOf` gives it. */
  readonly callerSignal: AbortSignal | undefined;
  readonly label: StreamLabel;
}

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

const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined };

/** A stream over a source that is opened at the first pull. */
export class LazyStream<Item, Answer> implements EventStream<Item, Answer> {
  readonly #open: StreamOpening<Item, Answer>["open"];
  readonly #callerSignal: AbortSignal | undefined;
  readonly #label: StreamLabel;
  /** Where the stream was asked for. */
  readonly #site = callSite(LazyStream);
  readonly #controller = new AbortController();
  #source: ItemSource<Item, Answer> | undefined;
  #outcome: Outcome | undefined;
  #hasConsumer = false;
  /** The pull under way: pulls are answered in their order. */
  #pending: Promise<unknown> | undefined;
  /** The first pull, whoever made it: what `started()` waits for. */
  #first: Promise<IteratorResult<Item, undefined>> | undefined;
  /** The first pull where `started()` made it: its outcome is the consumer's, an error as well. */
  #kept: Promise<IteratorResult<Item, undefined>> | undefined;
  #response: Promise<Answer> | undefined;
  #stopListening: (() => void) | undefined;

  constructor({ open, callerSignal, label }: StreamOpening<Item, Answer>) {
    this.#open = open;
    this.#callerSignal = callerSignal;
    this.#label = label;
  }

  [Symbol.asyncIterator](): AsyncIterator<Item> {
    const refused = this.#claim();
    if (refused !== undefined) return { next: () => Promise.reject(refused) };
    return {
      next: () => this.#takeKept() ?? this.#next(),
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

  /** What `started()` has pulled already. */
  #takeKept(): Promise<IteratorResult<Item, undefined>> | undefined {
    const kept = this.#kept;
    this.#kept = undefined;
    // Aborted with items still to come: the next pull says so.
    const isAborted = this.#outcome === undefined && this.#controller.signal.aborted;
    return isAborted ? undefined : kept;
  }

  #next(): Promise<IteratorResult<Item, undefined>> {
    if (this.#pending === undefined) {
      // Several tokens come with one read: those that are there already cost no further wait.
      const item = this.#outcome === undefined && !this.#controller.signal.aborted
        ? this.#source?.take()
        : undefined;
      if (item !== undefined) return Promise.resolve(this.#give(item));
    }
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
      const item = await source.next();
      // Left meanwhile: a source that has ended with it is no whole answer.
      if (this.#isCancelled()) return DONE;
      if (item !== undefined) return this.#give(item);
      this.#end({ kind: "done" });
      return DONE;
    } catch (cause) {
      // The consumer stopped it: whatever broke by that is no news.
      if (this.#isCancelled()) return DONE;
      const error = withCallSite(cause, this.#site);
      this.#end({ kind: "failed", error });
      throw error;
    }
  }

  /** With the final item the answer is whole: leaving after it is no cancelling. */
  #give(value: Item): IteratorResult<Item, undefined> {
    if (this.#source?.isFinal(value) === true) this.#end({ kind: "done" });
    return { done: false, value };
  }

  async #start(): Promise<ItemSource<Item, Answer>> {
    const signal = this.#callerSignal;
    const onAbort = (): void => {
      this.#controller.abort(signal?.reason);
      // A user's own `fetch` may not heed the signal, and nobody may pull again. A pull sees to it itself.
      if (this.#pending === undefined) this.#source?.close();
    };
    this.#stopListening = listenToAbort(signal, onAbort);
    if (signal?.aborted === true) onAbort();
    this.#controller.signal.throwIfAborted();
    const source = await this.#open(this.#controller.signal);
    this.#source = source;
    return source;
  }

  #isCancelled(): boolean {
    return this.#outcome?.kind === "cancelled";
  }

  #end(outcome: Outcome): void {
    this.#outcome = outcome;
    this.#stopListening?.();
    this.#source?.close();
    this.#controller.abort(new DOMException("The stream is over", "AbortError"));
  }

  async #drain(): Promise<Answer> {
    this.#hasConsumer = true;
    while (this.#outcome === undefined) await this.#next();
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
    const items = this[Symbol.asyncIterator]();
    const pull = async (): Promise<IteratorResult<T, undefined>> => {
      while (true) {
        const result = await items.next();
        if (result.done === true) return DONE;
        const value = map(result.value);
        if (value !== undefined) return { done: false, value };
      }
    };
    let last: Promise<unknown> = Promise.resolve();
    return {
      next: () => {
        // One after the other: a pull that leaves an item out must not be overtaken.
        const next = last.then(pull, pull);
        last = next;
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
