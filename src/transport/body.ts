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

/** End of reading a body. */
export interface BodyEnd {
  /** `stopped`: by the time limit or the signal. */
  readonly end: "whole" | "too-large" | "failed" | "stopped";
  readonly bytes: number;
  /** Error that reading rejected with, for `failed`. */
  readonly failure?: unknown;
}

/** Text that could be read of a body. */
export interface BodyText extends BodyEnd {
  readonly text: string;
}

/** Reads text. Does not reject: a body that breaks off gives what had arrived. */
export async function readBody(response: Response, limits: BodyLimits): Promise<BodyText> {
  // Deno 2.9 drops a byte order mark at the start of every piece, not only of the text.
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  const texts: string[] = [];
  const end = await readPieces(response, limits, (piece) => {
    texts.push(decoder.decode(piece, { stream: true }));
  });
  return { ...end, text: (texts.join("") + decoder.decode()).replace(/^\uFEFF/, "") };
}

/** Bytes that a response says its body has; `Infinity` where it does not, or where they are compressed. */
export function lengthOf({ headers }: Response): number {
  const length = headers.get("content-length");
  if (length === null || headers.get("content-encoding") !== null) return Infinity;
  return /^\d+$/.test(length) ? Number(length) : Infinity;
}

/**
 * Reads text of a known length, as the runtime does it by itself: it ends with the signal of its `fetch`. Does not
 * reject, as `readBody`; how much of a body that breaks off had arrived is not known, and taken for something.
 */
export async function readText(response: Response): Promise<BodyText> {
  try {
    const text = await response.text();
    return { end: "whole", bytes: text.length, text };
  } catch (failure) {
    return { end: "failed", bytes: 1, text: "", failure };
  }
}

/** Reads piece by piece. Does not reject, as `readBody`. */
export async function readPieces(
  response: Response,
  limits: BodyLimits,
  onPiece: (piece: Uint8Array) => void,
): Promise<BodyEnd> {
  const reader = response.body?.getReader();
  if (reader === undefined) return { end: "whole", bytes: 0 };
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
  const result = (end: BodyEnd["end"], failure?: unknown): BodyEnd => ({
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
      onPiece(surplus > 0 ? value.subarray(0, value.byteLength - surplus) : value);
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

/**
 * Whether this is a response whose body can be read; a user's own `fetch` may give anything.
 *
 * @param isOwnFetch whether it is of a `fetch` of the user's own.
 */
export function isReadable(response: unknown, isOwnFetch = true): boolean {
  if (typeof response !== "object" || response === null) return false;
  // Bun makes a stream of a body that is looked at, and reads it a tenth more slowly from then on.
  if (!isOwnFetch && response instanceof Response) return !response.bodyUsed;
  const { status, headers, body, bodyUsed } = response as Partial<Response>;
  return typeof status === "number" && typeof headers?.get === "function" && bodyUsed !== true &&
    (body === undefined || body === null ||
      (typeof body.getReader === "function" && !body.locked));
}
