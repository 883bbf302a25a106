/**
 * Requests that nothing came back for: why, and what to do about it.
 *
 * @module
 */

import { isLoopback } from "../core/base_url.ts";
import { connectionHint, type ConnectionTrouble } from "../core/connection_hints.ts";
import {
  type NetworkError,
  providerError,
  type TimeoutError,
  type TimeoutPhase,
} from "../core/errors.ts";
import { isBrowser } from "../platform/runtime.ts";
import { readSurroundings } from "../platform/surroundings.ts";
import type { ErrorContext } from "./error_mapping.ts";
import { explainFailedSend, type FetchFailure } from "./fetch_failure.ts";
import { explainInBrowser, type FetchedServer } from "./reachability.ts";
import { safeCause } from "./safe_cause.ts";

/** A server, and who knows where else on this machine it may be. */
export interface ReachedServer extends FetchedServer {
  /**
   * Looks whether the service answers at another address of this machine. Asked once a call has failed, for no longer
   * than a person would notice, and never where `fetch` is a user's own.
   */
  readonly lookElsewhere?:
    | ((baseUrl: string, signal: AbortSignal) => Promise<string | undefined>)
    | undefined;
}

/** The request that failed. */
export interface FailedRequest {
  readonly server: ReachedServer;
  /** Completes "Cannot …". */
  readonly action: string;
  readonly connectTimeoutMs: number;
  readonly signal: AbortSignal;
  readonly context: ErrorContext;
  /** What to do where the request may have run. */
  readonly resetHint: string | undefined;
}

/** What to do about a trouble, as far as the address and the program's surroundings tell; else the code's hint. */
export function hintFor(
  { baseUrl, service }: ReachedServer,
  trouble: ConnectionTrouble,
  answersAt?: string,
): string | undefined {
  return connectionHint({ trouble, url: baseUrl, service, answersAt, ...readSurroundings() });
}

const TIMEOUTS = {
  connect: { code: "timeout_connect", state: "the server took no connection" },
  "first-token": { code: "timeout_first_token", state: "the model gave no token" },
  idle: { code: "timeout_idle", state: "the server sent nothing more" },
  total: { code: "timeout_total", state: "the server did not finish" },
} as const;

/** A timer of a call ran out. @param action completes "Cannot …". */
export function timeoutError(
  action: string,
  phase: TimeoutPhase,
  timeoutMs: number,
  context: ErrorContext & { readonly hint: string | undefined },
): TimeoutError {
  const { code, state } = TIMEOUTS[phase];
  return providerError(code, `Cannot ${action}: ${state} within ${timeoutMs} ms`, {
    ...context,
    phase,
    timeoutMs,
  });
}

/** A rejection of `fetch` before any answer. */
export class Unanswered {
  /** Says what happened, not yet why. */
  readonly error: NetworkError;
  /** As in `FetchFailure`. */
  readonly isBroken: boolean;
  readonly #request: FailedRequest;
  readonly #trouble: ConnectionTrouble | undefined;
  readonly #toError: (likely?: string) => NetworkError;

  private constructor(
    cause: unknown,
    request: FailedRequest,
    { code, state, hint, trouble, isPermanent }: Seen,
    isBroken = false,
  ) {
    const { action, context, resetHint } = request;
    const mayHaveRun = code === "connection_reset" ? resetHint : undefined;
    this.#toError = (likely) =>
      providerError(code, `Cannot ${action}: ${state}`, {
        ...context,
        hint: mayHaveRun ?? hint ?? likely,
        ...(isPermanent === true ? { retriable: false } : {}),
        cause: safeCause(cause, context.redact),
      });
    this.error = this.#toError();
    this.isBroken = isBroken;
    this.#request = request;
    this.#trouble = trouble;
  }

  /** Tells what a rejection means. In a page, where all look the same, the server is asked once more. */
  static async of(cause: unknown, request: FailedRequest): Promise<Unanswered> {
    const failure = explainFailedSend(cause, request.context.endpoint);
    const { server, connectTimeoutMs, signal } = request;
    const seen = isBrowser() ? await explainInBrowser(server, connectTimeoutMs, signal) : failure;
    return new Unanswered(cause, request, seen, failure.isBroken);
  }

  /** The same error with its likely cause, once it has been looked where else the server may be. */
  async explain(): Promise<NetworkError> {
    const { server, signal } = this.#request;
    if (this.#trouble === undefined) return this.error;
    const { baseUrl, fetch, lookElsewhere } = server;
    const isToLook = this.#trouble === "refused" && isLoopback(baseUrl) && fetch === undefined;
    const answersAt = isToLook ? await lookElsewhere?.(baseUrl, signal) : undefined;
    return this.#toError(hintFor(server, this.#trouble, answersAt));
  }
}

/** What is made of a rejection. */
type Seen = Omit<FetchFailure, "code"> & {
  readonly code: FetchFailure["code"] | "blocked_by_browser";
};
