/**
 * Waiting on the request path: timers, and signals that many calls may share.
 *
 * @module
 */

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
