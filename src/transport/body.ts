/**
 * Reads the body of a response, bounded, and lets go of it whatever happens.
 *
 * @module
 */

import { startTimer } from "./timers.ts";

/** Bounds of a body. */
export interface BodyLimits {
  readonly maxBytes: number;
  readonly timeoutMs: number;
  /** Ends the reading; the caller knows why. */
  readonly signal: AbortSignal;
}

/** What could be read of a body. */
export interface BodyText {
  readonly text: string;
  /** `stopped`: by the time limit or the signal. */
  readonly end: "whole" | "too-large" | "failed" | "stopped";
  readonly bytes: number;
  /** What reading rejected with, for `failed`. */
  readonly failure?: unknown;
}

/** Reads text. Does not reject: a body that breaks off gives what had arrived. */
export async function readBody(response: Response, limits: BodyLimits): Promise<BodyText> {
  const reader = response.body?.getReader();
  if (reader === undefined) return { text: "", end: "whole", bytes: 0 };
  // Deno 2.9 drops a byte order mark at the start of every piece, not only of the text.
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  const pieces: string[] = [];
  let bytes = 0;
  let isStopped = false;
  // Cancelling settles a pending read also where a user's own `fetch` does not heed its signal.
  const stop = (): void => {
    isStopped = true;
    reader.cancel().catch(() => {});
  };
  const stopTimer = startTimer(limits.timeoutMs, stop);
  limits.signal.addEventListener("abort", stop);
  if (limits.signal.aborted) stop();
  const result = (end: BodyText["end"], failure?: unknown): BodyText => ({
    text: (pieces.join("") + decoder.decode()).replace(/^\uFEFF/, ""),
    end: isStopped ? "stopped" : end,
    bytes,
    failure,
  });
  try {
    while (true) {
      const { done, value } = await reader.read();
      if (done) return result("whole");
      bytes += value.byteLength;
      const surplus = bytes - limits.maxBytes;
      const kept = surplus > 0 ? value.subarray(0, value.byteLength - surplus) : value;
      pieces.push(decoder.decode(kept, { stream: true }));
      if (surplus > 0) return result("too-large");
    }
  } catch (failure) {
    return result("failed", failure);
  } finally {
    stopTimer();
    limits.signal.removeEventListener("abort", stop);
    // Without this the server goes on writing. Not awaited: a body that never settles must not hold us.
    reader.cancel().catch(() => {});
  }
}

/** Lets go of a body that nobody wants. */
export function discardBody(response: Response): void {
  response.body?.cancel().catch(() => {});
}
