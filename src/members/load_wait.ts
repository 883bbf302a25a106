/**
 * One caller's wait for a load, which can take minutes without a word from the server: the caller gets regular signs of
 * life and may leave at any time.
 *
 * @module
 */

import type { CallOptions } from "../core/types.ts";
import { listenToAbort, startTimer, untilAborted } from "../transport/timers.ts";

/** Interval of `onStatus` calls. The load route reports no progress, but callers can show the time that has passed. */
const SIGN_OF_LIFE_MS = 1000;

/** One caller's wait. */
export interface LoadWait {
  /** Aborted when the caller leaves: through its signal, its timeout, or an error from its `onStatus`. */
  readonly signal: AbortSignal;
  /** Options for the requests of this call, with that signal. The timeout and `onStatus` are handled here. */
  readonly options: CallOptions;
  /** Reports that a model is loading, repeatedly until the wait ends. Idempotent. */
  readonly loading: () => void;
}

/** Timeout for a call with all its requests. */
export interface WaitLimit {
  readonly ms: number;
  readonly error: () => unknown;
}

/** Runs a call for one caller and rejects with the reason as soon as that caller leaves. */
export async function waitForLoad<T>(
  { signal: callerSignal, onStatus, timeoutMs: _, ...rest }: CallOptions,
  limit: WaitLimit,
  run: (wait: LoadWait) => Promise<T>,
): Promise<T> {
  callerSignal?.throwIfAborted();
  const controller = new AbortController();
  const { signal } = controller;
  const onAbort = (): void => controller.abort(callerSignal?.reason);
  const stopListening = listenToAbort(callerSignal, onAbort);
  const stopLimit = startTimer(limit.ms, () => controller.abort(limit.error()));
  let stopSigns: (() => void) | undefined;
  const tell = (phase: "waiting" | "loading"): void => {
    try {
      const told: unknown = onStatus?.({ phase });
      if (told instanceof Promise) told.catch((reason) => controller.abort(reason));
    } catch (error) {
      controller.abort(error);
    }
  };
  const sign = (): void => {
    if (signal.aborted) return;
    stopSigns = startTimer(SIGN_OF_LIFE_MS, sign);
    tell("loading");
  };
  const loading = (): void => {
    if (stopSigns === undefined && onStatus !== undefined) sign();
  };
  try {
    tell("waiting");
    signal.throwIfAborted();
    return await untilAborted(run({ signal, options: { ...rest, signal }, loading }), signal);
  } finally {
    stopSigns?.();
    stopLimit();
    stopListening();
    // Nobody needs what is still under way for this caller.
    controller.abort(new DOMException("The call is over", "AbortError"));
  }
}
