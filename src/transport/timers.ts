/**
 * Waiting in requests: timers, and signals that many calls may share.
 *
 * @module
 */

import { startBackgroundTimer } from "../platform/runtime.ts";

/** Longest delay of `setTimeout`: runtimes fire longer timers immediately. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;
/** If a timer is this late, the program itself was busy. */
const BUSY_MS = 50;
/** Time to read what arrived while the program was busy. */
const CATCH_UP_MS = 100;

/** Calls back after `ms` (never for `Infinity`); returns a function that cancels the timer. */
export function startTimer(ms: number, onTime: () => void): () => void {
  if (ms > LONGEST_TIMER_MS) return () => {};
  const dueAt = performance.now() + Math.max(0, ms);
  // After a long block, a program runs its timers before it reads what arrived meanwhile. Waiting a few more turns
  // (headers and body take several) lets it in, so that the server is not blamed for our own silence.
  let timer = setTimeout(() => {
    const wasBusy = performance.now() - dueAt > BUSY_MS;
    timer = setTimeout(onTime, wasBusy ? CATCH_UP_MS : 0);
  }, Math.max(0, ms));
  return () => clearTimeout(timer);
}

/**
 * Timer for many consecutive waits, such as the reads of a stream. It keeps running from one wait to the next and checks
 * the time when it fires: creating a timer for each token took a fifth of the time per token.
 */
export class WaitTimer {
  readonly #onLate: () => void;
  readonly #isKept: boolean;
  #stopTimer: (() => void) | undefined;
  /** End of the wait that the timer is set for, by `performance.now()`. */
  #setFor = Infinity;
  /** End of the current wait. */
  #dueAt = Infinity;

  /**
   * @param onLate called when a wait takes too long.
   * @param isKept whether the timer may keep running between waits. It then does not keep the program alive, so something
   * else must do so during a wait.
   */
  constructor(onLate: () => void, isKept: boolean) {
    this.#onLate = onLate;
    this.#isKept = isKept;
  }

  /** Begins a wait of at most `ms`; `Infinity` means no limit. */
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

  /** Stops the timer for good. */
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
    // See `startTimer`.
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

/** Waits `ms`; rejects with the signal's reason as soon as the signal is aborted. */
export async function sleep(ms: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  let stop = (): void => {};
  try {
    await untilAborted(new Promise<void>((resolve) => stop = startTimer(ms, resolve)), signal);
  } finally {
    stop();
  }
}

/** Waits for a promise; rejects with the signal's reason as soon as the signal is aborted. */
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

/** The shared listener of each signal. */
const LISTENERS = new WeakMap<AbortSignal, SharedListener>();

/**
 * Calls back when the signal is aborted, but not if it already is; returns a function that stops listening. All
 * callbacks of a signal share one listener: Node 20 warns of a memory leak at the eleventh, and many programs use one
 * signal for everything.
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
      // An earlier callback may have removed this one.
      if (this.#callbacks.has(callback)) callback();
    }
  };

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  add(onAbort: () => void): () => void {
    // Wrapped, because the same function may be added twice.
    const callback = (): void => onAbort();
    if (this.#callbacks.size === 0) this.#signal.addEventListener("abort", this.#onAbort);
    this.#callbacks.add(callback);
    return () => {
      const wasLast = this.#callbacks.delete(callback) && this.#callbacks.size === 0;
      if (wasLast) this.#signal.removeEventListener("abort", this.#onAbort);
    };
  }
}
