/**
 * Listening to a signal that many calls may share.
 *
 * @module
 */

const SHARED = new WeakMap<AbortSignal, SharedListener>();

/**
 * Calls back when the signal is aborted, not if it is already; returns what stops it. All who listen to one signal
 * share one listener on it: at the eleventh Node 20 warns of a memory leak, and one signal often serves a program.
 */
export function listenToAbort(signal: AbortSignal | undefined, onAbort: () => void): () => void {
  if (signal === undefined) return () => {};
  let shared = SHARED.get(signal);
  if (shared === undefined) SHARED.set(signal, shared = new SharedListener(signal));
  return shared.add(onAbort);
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
