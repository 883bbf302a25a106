/**
 * Waiting for a load, which takes minutes and says nothing: the caller is told that it goes on, and may leave.
 *
 * @module
 */

import type { CallOptions } from "../core/types.ts";
import { listenToAbort, startTimer, untilAborted } from "../transport/timers.ts";

/** The load route tells no progress; a sign of life this often lets callers show the time that has passed. */
const SIGN_OF_LIFE_MS = 1000;

/** One caller's wait. */
export interface LoadWait {
  /** Aborted when the caller leaves: by its signal, its limit, or what its `onStatus` throws. */
  readonly signal: AbortSignal;
  /** Options for the requests of this call, with that signal. The limit and `onStatus` are seen to here. */
  readonly options: CallOptions;
  /** From now on a model is loaded: tells so, again and again until the wait ends. Idempotent. */
  readonly loading: () => void;
}

/** The time a caller gives a call, all its requests included. */
export interface WaitLimit {
  readonly ms: number;
  readonly error: () => unknown;
}

/** Runs a call for one caller, and rejects with the reason as soon as that caller leaves. */
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
    // Whatever is still under way for this caller is for nobody.
    controller.abort(new DOMException("The call is over", "AbortError"));
  }
}
