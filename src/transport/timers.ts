/**
 * Timers of the request path.
 *
 * @module
 */

import { listenToAbort } from "./abort_listeners.ts";

/** Runtimes fire longer timers at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;
/** A timer that is so late was kept waiting by the program itself. */
const BUSY_MS = 50;
/** To read what arrived meanwhile. */
const CATCH_UP_MS = 100;

/** Calls back after `ms`, never for `Infinity`; returns what stops it. */
export function startTimer(ms: number, onTime: () => void): () => void {
  if (ms > LONGEST_TIMER_MS) return () => {};
  const dueAt = performance.now() + Math.max(0, ms);
  // A program that was busy for long sees its timers before what arrived meanwhile. More turns let that
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
  let stopListening = (): void => {};
  try {
    await new Promise<void>((resolve, reject) => {
      stop = startTimer(ms, resolve);
      stopListening = listenToAbort(signal, () => reject(signal.reason));
    });
  } finally {
    stop();
    stopListening();
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
