/**
 * Reading of response bodies: bounded, and always releasing the body.
 *
 * @module
 */

import { startTimer } from "./timers.ts";

/** Bounds of a body. */
export interface BodyLimits {
  readonly maxBytes: number;
  readonly timeoutMs: number;
  /** Stops reading; the caller knows why. */
  readonly signal: AbortSignal;
}

/** How reading a body ended. */
export interface BodyEnd {
  /** `stopped` means by the timeout or the signal. */
  readonly end: "whole" | "too-large" | "failed" | "stopped";
  readonly bytes: number;
  /** Error that reading rejected with, for `failed`. */
  readonly failure?: unknown;
}

/** The text of a body, as far as it could be read. */
export interface BodyText extends BodyEnd {
  readonly text: string;
}

/** Reads a body as text. Does not reject: if the body breaks off, returns the text received so far. */
export async function readBody(response: Response, limits: BodyLimits): Promise<BodyText> {
  // Deno 2.9 drops a byte order mark at the start of every chunk, not just at the start of the text.
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  const texts: string[] = [];
  const end = await readChunks(response, limits, (chunk) => {
    texts.push(decoder.decode(chunk, { stream: true }));
  });
  return { ...end, text: (texts.join("") + decoder.decode()).replace(/^\uFEFF/, "") };
}

/** Length of the body in bytes, according to the headers; `Infinity` if they do not say, or if it is compressed. */
export function lengthOf({ headers }: Response): number {
  const length = headers.get("content-length");
  if (length === null || headers.get("content-encoding") !== null) return Infinity;
  return /^\d+$/.test(length) ? Number(length) : Infinity;
}

/**
 * Reads a body of known length with the runtime's own `text()`, which the signal of its `fetch` ends. Like `readBody`,
 * does not reject. If the body breaks off, the runtime does not say how much had arrived, so some is assumed.
 */
export async function readText(response: Response): Promise<BodyText> {
  try {
    const text = await response.text();
    return { end: "whole", bytes: text.length, text };
  } catch (failure) {
    return { end: "failed", bytes: 1, text: "", failure };
  }
}

/** Reads a body chunk by chunk. Like `readBody`, does not reject. */
export async function readChunks(
  response: Response,
  limits: BodyLimits,
  onChunk: (chunk: Uint8Array) => void,
): Promise<BodyEnd> {
  const reader = response.body?.getReader();
  if (reader === undefined) return { end: "whole", bytes: 0 };
  let bytes = 0;
  let isStopped = false;
  // Cancelling settles a pending read even if a user's own `fetch` ignores its signal.
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
      onChunk(surplus > 0 ? value.subarray(0, value.byteLength - surplus) : value);
      if (surplus > 0) return result("too-large");
    }
  } catch (failure) {
    return result("failed", failure);
  } finally {
    stopTimer();
    limits.signal.removeEventListener("abort", stop);
    // Without this, the server keeps writing. Not awaited, because a body that never settles must not block us.
    reader.cancel().catch(() => {});
  }
}

/** Releases a body that is not needed. */
export function discardBody(response: Response): void {
  response.body?.cancel().catch(() => {});
}

/**
 * Whether this is a response whose body can be read. A user's own `fetch` may return anything.
 *
 * @param isOwnFetch whether the response comes from a user's own `fetch`.
 */
export function isReadable(response: unknown, isOwnFetch = true): boolean {
  if (typeof response !== "object" || response === null) return false;
  // Accessing `body` makes Bun create a stream, which makes reading a tenth slower.
  if (!isOwnFetch && response instanceof Response) return !response.bodyUsed;
  const { status, headers, body, bodyUsed } = response as Partial<Response>;
  return typeof status === "number" && typeof headers?.get === "function" && bodyUsed !== true &&
    (body === undefined || body === null ||
      (typeof body.getReader === "function" && !body.locked));
}

/** Joins the chunks of a body. */
export function concatenate(chunks: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(chunks.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.byteLength;
  }
  return all;
}
