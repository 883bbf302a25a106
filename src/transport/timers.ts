/**
 * Waiting on the request path: timers, and signals that many calls may share.
 *
 * @module
 */

import { startBackgroundTimer } from "../platform/runtime.ts";

/** Runtimes fire longer timers at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;
/** A timer that is so late was kept waiting by the program itself. */
const BUSY_MS = 50;
/** Time to read what arrived meanwhile. */
const CATCH_UP_MS = 100;

/** Calls back after `ms`, never for `Infinity`; returns what stops it. */
export function startTimer(ms: number, onTime: () => void): () => void {
  if (ms > LONGEST_TIMER_MS) return () => {};
  const dueAt = performance.now() + Math.max(0, ms);
  // A program that was busy for long runs its timers before it reads what arrived meanwhile. More turns let that
  // in (headers and body take several): a server must not be given up for silence of ours.
  let timer = setTimeout(() => {
    const wasBusy = performance.now() - dueAt > BUSY_MS;
    timer = setTimeout(onTime, wasBusy ? CATCH_UP_MS : 0);
  }, Math.max(0, ms));
  return () => clearTimeout(timer);
}

/**
 * Timer of many waits that follow each other, one at a time, such as the reads of a stream. It goes on from one wait to
 * the next and looks at the time when it rings: making a timer for each token took a fifth of the time of a token.
 */
export class WaitTimer {
  readonly #onLate: () => void;
  readonly #isKept: boolean;
  #stopTimer: (() => void) | undefined;
  /** End of the wait that the timer was set for, by `performance.now()`. */
  #setFor = Infinity;
  /** End of the wait under way. */
  #dueAt = Infinity;

  /**
   * @param onLate called when a wait takes too long.
   * @param isKept whether a timer may be left from one wait to the next: then it keeps no program alive, so something
   * else must while there is a wait.
   */
  constructor(onLate: () => void, isKept: boolean) {
    this.#onLate = onLate;
    this.#isKept = isKept;
  }

  /** Begins a wait of at most `ms`, without end for `Infinity`. */
  start(ms: number): void {
    if (ms > LONGEST_TIMER_MS) return;
    const now = performance.now();
    this.#dueAt = now + Math.max(0, ms);
    if (this.#stopTimer === undefined || this.#setFor > this.#dueAt) this.#set(now);
  }

  /** Ends the wait. */
  stop(): void {
    this.#dueAt = Infinity;
    if (!this.#isKept) this.end();
  }

  /** Ends it for good. */
  end(): void {
    this.#dueAt = Infinity;
    this.#stopTimer?.();
    this.#stopTimer = undefined;
  }

  #set(now: number): void {
    this.#stopTimer?.();
    this.#setFor = this.#dueAt;
    this.#call(Math.max(0, this.#dueAt - now), () => this.#ring());
  }

  #ring(): void {
    const dueAt = this.#dueAt;
    if (dueAt === Infinity) return;
    const now = performance.now();
    if (dueAt > this.#setFor) return this.#set(now);
    // As in `startTimer`.
    this.#call(now - dueAt > BUSY_MS ? CATCH_UP_MS : 0, () => {
      if (this.#dueAt === dueAt) this.#onLate();
      else if (this.#dueAt !== Infinity) this.#set(performance.now());
    });
  }

  #call(ms: number, onTime: () => void): void {
    const ring = (): void => {
      this.#stopTimer = undefined;
      onTime();
    };
    if (this.#isKept) {
      this.#stopTimer = startBackgroundTimer(ms, ring);
      return;
    }
    const timer = setTimeout(ring, ms);
    this.#stopTimer = () => clearTimeout(timer);
  }
}

/** Waits `ms`; rejects with the signal's reason as soon as it is aborted. */
export async function sleep(ms: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  let stop = (): void => {};
  try {
    await untilAborted(new Promise<void>((resolve) => stop = startTimer(ms, resolve)), signal);
  } finally {
    stop();
  }
}

/** Waits for a promise, but rejects with the signal's reason as soon as that is aborted. */
export async function untilAborted<T>(
  promise: Promise<T>,
  signal: AbortSignal | undefined,
): Promise<T> {
  if (signal === undefined) return await promise;
  let stopListening = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    stopListening = listenToAbort(signal, () => reject(signal.reason));
    if (signal.aborted) reject(signal.reason);
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    stopListening();
  }
}

/** Callbacks of each signal that is listened to. */
const LISTENERS = new WeakMap<AbortSignal, SharedListener>();

/**
 * Calls back when the signal is aborted, not if it is already; returns what stops it. All who listen to one signal
 * share one listener on it: at the eleventh Node 20 warns of a memory leak, and one signal often serves a program.
 */
export function listenToAbort(signal: AbortSignal | undefined, onAbort: () => void): () => void {
  if (signal === undefined) return () => {};
  let listener = LISTENERS.get(signal);
  if (listener === undefined) LISTENERS.set(signal, listener = new SharedListener(signal));
  return listener.add(onAbort);
}

class SharedListener {
  readonly #signal: AbortSignal;
  readonly #callbacks = new Set<() => void>();
  readonly #onAbort = (): void => {
    for (const callback of [...this.#callbacks]) {
      // One of those before may have stopped it.
      if (this.#callbacks.has(callback)) callback();
    }
  };

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  add(onAbort: () => void): () => void {
    // One of its own: the same function may listen twice.
    const callback = (): void => onAbort();
    if (this.#callbacks.size === 0) this.#signal.addEventListener("abort", this.#onAbort);
    this.#callbacks.add(callback);
    return () => {
      const wasLast = this.#callbacks.delete(callback) && this.#callbacks.size === 0;
      if (wasLast) this.#signal.removeEventListener("abort", this.#onAbort);
    };
  }
}
