/**
 * Retries: when a failed request is sent again, and after how long. It is decided here alone: `retriable` is for the
 * caller, and means more than that we send again by ourselves.
 *
 * @module
 */

import type { AnyProviderError } from "./errors.ts";

/**
 * Effect of sending a request twice.
 * `read`: nothing. `stateless`: generate twice, which keeps the machine busy behind the caller's back.
 * `stateful`: change something twice.
 */
export type RetryPolicy = "read" | "stateless" | "stateful";

/** Facts of a failed attempt, beside its error. */
export interface FailedAttempt {
  readonly policy: RetryPolicy;
  /** From sending to failing. */
  readonly elapsedMs: number;
  /** Whether this origin had answered before, so that the connection may have been a pooled one. */
  readonly originUsedBefore: boolean;
  /** Whether the runtime said that the connection broke, and not only that something failed. */
  readonly isBroken: boolean;
  /** Whether a reset has been retried in this call already. */
  readonly wasReset: boolean;
  /** Progress of a 2xx answer before it failed. */
  readonly answer: "none" | "headers" | "body";
}

/** A reset this soon after sending, on an origin used before, is a pooled connection that the server had closed. */
const STALE_CONNECTION_MS = 1000;
const BASE_DELAY_MS = 250;
const MAX_DELAY_MS = 8000;
const MAX_RETRY_AFTER_MS = 60_000;
const LONGEST_RETRY_AFTER = 100;
const FIRST_LOADING_DELAY_MS = 1000;
const MAX_LOADING_DELAY_MS = 10_000;
/** Time for which a server that loads its model is asked again where the call has no limit. */
const LOADING_PATIENCE_MS = 60_000;

const READ_STATUSES: ReadonlySet<number> = new Set([408, 429, 502, 503, 504]);
const STATELESS_STATUSES: ReadonlySet<number> = new Set([429, 503]);

/** Whether this failure allows sending the request again; never once a byte of an answer's body had come. */
export function shouldRetry(error: AnyProviderError, attempt: FailedAttempt): boolean {
  if (!error.retriable || attempt.answer === "body") return false;
  // The server has refused it before doing anything, whatever it would do.
  if (error.code === "connection_refused" || error.code === "model_loading") return true;
  if (attempt.policy === "stateful") return false;
  if (attempt.policy === "read") {
    return error.code === "connection_reset" || error.kind === "timeout" ||
      READ_STATUSES.has(error.status ?? 0);
  }
  // A generation may still be running behind a reset or a timeout, except where the connection was dead
  // before the request could reach the server. Twice in a row that is no explanation any more.
  if (error.code === "connection_reset") {
    return attempt.answer === "none" && attempt.isBroken && attempt.originUsedBefore &&
      !attempt.wasReset && attempt.elapsedMs < STALE_CONNECTION_MS;
  }
  return STATELESS_STATUSES.has(error.status ?? 0);
}

/**
 * Milliseconds to wait before attempt `attempt + 1`: what the server asked for, at most 60 s, else
 * exponential back-off with full jitter.
 */
export function backoffMs(
  attempt: number,
  retryAfterMs: number | undefined,
  random: () => number,
): number {
  if (retryAfterMs !== undefined) return Math.min(retryAfterMs, MAX_RETRY_AFTER_MS);
  return random() * Math.min(MAX_DELAY_MS, BASE_DELAY_MS * 2 ** (attempt - 1));
}

/**
 * Milliseconds to wait for a server that loads its model, or has no place free, before asking it for the time after
 * `times`; `undefined` when that would be too late. Loading takes as long as it takes, so the number of retries does
 * not count here, and jitter would only make it longer.
 *
 * @param elapsedMs since the call began.
 * @param limitMs of the call.
 */
export function loadingDelayMs(
  times: number,
  retryAfterMs: number | undefined,
  { elapsedMs, limitMs }: { readonly elapsedMs: number; readonly limitMs: number },
): number | undefined {
  const own = Math.min(MAX_LOADING_DELAY_MS, FIRST_LOADING_DELAY_MS * 2 ** (times - 1));
  const delayMs = retryAfterMs === undefined
    ? own
    // Asked again at once, for a minute, it would only be kept busy.
    : Math.max(FIRST_LOADING_DELAY_MS, Math.min(retryAfterMs, MAX_RETRY_AFTER_MS));
  const patienceMs = Number.isFinite(limitMs) ? limitMs : LOADING_PATIENCE_MS;
  return elapsedMs + delayMs < patienceMs ? delayMs : undefined;
}

/** A `Retry-After` header in milliseconds from now: seconds or an HTTP date; `undefined` when unreadable. */
export function parseRetryAfter(value: string | null, nowMs: number): number | undefined {
  // No date is longer, and looking for one in a long text takes the square of its length.
  if (value === null || value.length > LONGEST_RETRY_AFTER) return undefined;
  const text = value.trim();
  if (/^\d+(\.\d+)?$/.test(text)) return safeMs(Math.ceil(Number(text) * 1000));
  // `Date.parse` reads "-5", "2" and "maybe 5" as dates: an HTTP date has a month and a time in it.
  if (!/[a-z]{3}.*\d\d:\d\d:\d\d/i.test(text)) return undefined;
  // The oldest of its forms ends with the year and has no zone, which `Date.parse` takes for the local one.
  const date = Date.parse(/ \d{4}$/.test(text) ? `${text} GMT` : text);
  return safeMs(Math.max(0, date - nowMs));
}

/** Milliseconds that can be waited for; `undefined` for any others. */
function safeMs(ms: number): number | undefined {
  return Number.isSafeInteger(ms) ? ms : undefined;
}
