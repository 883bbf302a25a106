/**
 * Retries: whether to send a failed request again, and after what delay. Only this module decides that: `retriable` is
 * for the caller, and covers more than we retry ourselves.
 *
 * @module
 */

import type { AnyProviderError } from "./errors.ts";

/**
 * Effect of sending a request twice. `read`: none. `stateless`: generates twice, which keeps the machine busy without
 * the caller knowing. `stateful`: changes something twice.
 */
export type RetryPolicy = "read" | "stateless" | "stateful";

/** Facts about a failed attempt, besides its error. */
export interface FailedAttempt {
  readonly policy: RetryPolicy;
  /** Time from sending to failing. */
  readonly elapsedMs: number;
  /** Whether this origin has answered before, so that the connection may have come from the pool. */
  readonly originUsedBefore: boolean;
  /** Whether the runtime said that the connection broke, rather than just that something failed. */
  readonly isBroken: boolean;
  /** Whether this call has already retried a reset. */
  readonly wasReset: boolean;
  /** How much of a 2xx answer had arrived when the attempt failed. */
  readonly answer: "none" | "headers" | "body";
}

/** A reset this soon after sending, on an origin used before, means that the server had closed a pooled connection. */
const STALE_CONNECTION_MS = 1000;
const BASE_DELAY_MS = 250;
const MAX_DELAY_MS = 8000;
const MAX_RETRY_AFTER_MS = 60_000;
const LONGEST_RETRY_AFTER = 100;
const FIRST_LOADING_DELAY_MS = 1000;
const MAX_LOADING_DELAY_MS = 10_000;
/** How long to retry a server that is loading its model if the call has no timeout. */
const LOADING_PATIENCE_MS = 60_000;

const READ_STATUSES: ReadonlySet<number> = new Set([408, 429, 502, 503, 504]);
const STATELESS_STATUSES: ReadonlySet<number> = new Set([429, 503]);

/** Decides whether to send a failed request again; never once a byte of the answer's body has arrived. */
export function shouldRetry(error: AnyProviderError, attempt: FailedAttempt): boolean {
  if (!error.retriable || attempt.answer === "body") return false;
  // The server refused before doing anything, whatever the request would do.
  if (error.code === "connection_refused" || error.code === "model_loading") return true;
  if (attempt.policy === "stateful") return false;
  if (attempt.policy === "read") {
    return error.code === "connection_reset" || error.kind === "timeout" ||
      READ_STATUSES.has(error.status ?? 0);
  }
  // A generation may still be running after a reset or a timeout, unless the connection was dead before the request
  // could reach the server. Twice in a row, a dead connection is no longer an explanation.
  if (error.code === "connection_reset") {
    return attempt.answer === "none" && attempt.isBroken && attempt.originUsedBefore &&
      !attempt.wasReset && attempt.elapsedMs < STALE_CONNECTION_MS;
  }
  return STATELESS_STATUSES.has(error.status ?? 0);
}

/**
 * Delay in milliseconds before attempt `attempt + 1`: as the server asked, but at most 60 s, else exponential back-off
 * with full jitter.
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
 * Delay in milliseconds before retrying a server that is loading its model or has no free slot; `undefined` if the
 * retry would come too late. A load takes as long as it takes, so these retries are not counted, and jitter would only
 * add to the wait.
 *
 * @param times number of such answers in this call so far.
 * @param elapsedMs time since the call began.
 * @param limitMs timeout of the call.
 */
export function loadingDelayMs(
  times: number,
  retryAfterMs: number | undefined,
  { elapsedMs, limitMs }: { readonly elapsedMs: number; readonly limitMs: number },
): number | undefined {
  const own = Math.min(MAX_LOADING_DELAY_MS, FIRST_LOADING_DELAY_MS * 2 ** (times - 1));
  const delayMs = retryAfterMs === undefined
    ? own
    // Retrying without a delay would keep the server busy for a minute.
    : Math.max(FIRST_LOADING_DELAY_MS, Math.min(retryAfterMs, MAX_RETRY_AFTER_MS));
  const patienceMs = Number.isFinite(limitMs) ? limitMs : LOADING_PATIENCE_MS;
  return elapsedMs + delayMs < patienceMs ? delayMs : undefined;
}

/** Parses a `Retry-After` header, seconds or an HTTP date, to milliseconds from now; `undefined` if unreadable. */
export function parseRetryAfter(value: string | null, nowMs: number): number | undefined {
  // No date is this long, and searching a long text for one takes time in proportion to the square of its length.
  if (value === null || value.length > LONGEST_RETRY_AFTER) return undefined;
  const text = value.trim();
  if (/^\d+(\.\d+)?$/.test(text)) return safeMs(Math.ceil(Number(text) * 1000));
  // `Date.parse` accepts "-5", "2" and "maybe 5" as dates; an HTTP date contains a month and a time.
  if (!/[a-z]{3}.*\d\d:\d\d:\d\d/i.test(text)) return undefined;
  // The oldest form of HTTP dates ends with the year and has no zone; `Date.parse` would assume the local one.
  const date = Date.parse(/ \d{4}$/.test(text) ? `${text} GMT` : text);
  return safeMs(Math.max(0, date - nowMs));
}

/** Returns a number of milliseconds that a timer can wait; `undefined` for others. */
function safeMs(ms: number): number | undefined {
  return Number.isSafeInteger(ms) ? ms : undefined;
}
