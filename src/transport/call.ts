/**
 * Call to a server: its options, signals and attempts, up to a response whose body can be read.
 *
 * @module
 */

import {
  type AnyProviderError,
  isProviderError,
  type NetworkError,
  type TimeoutError,
  type TimeoutPhase,
} from "../core/errors.ts";
import {
  backoffMs,
  type FailedAttempt,
  loadingDelayMs,
  type RetryPolicy,
  shouldRetry,
} from "../core/retry.ts";
import { describeUnwritable } from "../core/plain_text.ts";
import type { CallOptions, CallStatus, PartialAnswer } from "../core/types.ts";
import { withoutFetchCaps } from "../platform/network.ts";
import { isBrowser, isDeno } from "../platform/runtime.ts";
import { listenToAbort, sleep, startTimer } from "./timers.ts";
import { isReadable, readBody } from "./body.ts";
import {
  callError,
  type ErrorContext,
  errorFromResponse,
  errorFromWire,
  proxyHint,
} from "./error_mapping.ts";
import {
  answersGreeting,
  connectionHintFor,
  explainUnanswered,
  fetchFrom,
  isReachable,
  type ReachedServer,
  timeoutError,
  type Unanswered,
} from "./no_answer.ts";
import { createRedactor, safeCause, secretsOf, secretsOfQuery } from "./redact.ts";

/** Settings shared by all calls to one server. */
export interface ServerSettings extends ReachedServer {
  readonly apiToken?: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs?: number | undefined;
  readonly connectTimeoutMs: number;
  readonly firstTokenTimeoutMs: number;
  readonly idleTimeoutMs: number;
  /** Whether `idleTimeoutMs` is the default, which is not used for requests with tools or integrations. */
  readonly isIdleTimeoutDefault?: boolean | undefined;
  readonly maxRetries: number;
  /** Replaces the process's environment, for hints about proxies. */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  /** Hint for `unauthorized`, if the default one does not help. */
  readonly unauthorizedHint?: string | undefined;
  /** Called with the raw body of each error response. */
  readonly onErrorBody?: ((status: number, bodyText: string) => void) | undefined;
}

/** A request that another client wrote. It is sent unchanged, and its answer is returned whatever the status. */
export interface ForeignRequest {
  /** All headers, including the provider's. */
  readonly headers: Headers;
  readonly body: BodyInit | undefined;
  /** Anything else the client passed, such as a `dispatcher`; not the method, headers or body. */
  readonly init: RequestInit;
}

/** A request to send. */
export interface TransportRequest {
  readonly method: string;
  /** Path below the base URL, such as `/v1/models`. */
  readonly path: string;
  /** Path to show in errors, if a part of the real one may be an echo of the prompt. */
  readonly shownPath?: string | undefined;
  /** Sent after the path, but never shown in errors: it may contain a key. */
  readonly query?: string | undefined;
  readonly body?: Readonly<Record<string, unknown>> | undefined;
  /** Sent instead of `body`, which then only serves to recognize echoes of the prompt. */
  readonly foreign?: ForeignRequest | undefined;
  readonly policy: RetryPolicy;
  /** Completes "Cannot …" in errors. */
  readonly action: string;
  /** Requested model, for errors. */
  readonly model?: string | undefined;
  /** First version of the server that has the route, if some versions in use lack it. */
  readonly since?: string | undefined;
  /** Hint for `model_not_found`, if naming another model does not help. */
  readonly notFoundHint?: string | undefined;
  /** Whether a 2xx body is an answer despite its field `error`, as in the status of a failed job. */
  readonly isAnswer?: ((value: unknown) => boolean) | undefined;
  /** Returns the answer received so far, for errors. */
  readonly partial?: (() => PartialAnswer | undefined) | undefined;
  /** Returns the same from a whole answer that reports a failure. */
  readonly partialOf?: ((value: unknown) => PartialAnswer | undefined) | undefined;
}

/** Timeout of a call, up to its response. */
export interface CallLimit {
  readonly phase: Extract<TimeoutPhase, "total" | "first-token">;
  readonly ms: number;
  /** By `performance.now()`. */
  readonly startedAt: number;
}

const ERROR_BODY_BYTES = 64 * 1024;
/** Timeout for the body of an error response, after which the part received is used. */
const ERROR_BODY_MS = 5000;

/** What is known about an origin. */
export interface OriginState {
  /** Whether it has answered before. Only then can a connection come from the pool. */
  usedBefore: boolean;
  /**
   * Routes that the server turned out to lack, each with the time (by `performance.now()`) until which it is assumed.
   * This saves useless requests to an old server, but notices if the server is updated.
   */
  readonly missingRoutes: Map<string, number>;
}

const MISSING_ROUTE_MS = 30_000;
/** Timeout for the greeting. LM Studio answers it at once, even while it loads a model. */
const GREETING_MS = 300;

/** A call to a server. `finish()` must be called when it is over. */
export class Call {
  readonly endpoint: string;
  /** Requests sent so far. */
  attempts = 0;
  /** Progress of the answer of the current attempt. */
  answer: FailedAttempt["answer"] = "none";
  readonly #server: ServerSettings;
  readonly #request: TransportRequest;
  readonly #options: CallOptions;
  readonly #origin: OriginState;
  #mask: ((text: string) => string) | undefined;
  readonly #stopListening: () => void;
  /** Controller of the current attempt: if no connection is accepted, only the attempt is aborted, not the call. */
  #controller = new AbortController();
  /** Why the call ended, once it has. */
  #end: { readonly reason: unknown } | undefined;
  #wasReset = false;
  /** Number of times the server said that it loads its model. */
  #timesLoading = 0;
  /** State of the current attempt: `isBroken` of its failure, and the status of its answer. */
  #isBroken = false;
  #status: number | undefined;
  #stopLimit: () => void = () => {};
  #unanswered: Unanswered | undefined;

  constructor(
    server: ServerSettings,
    request: TransportRequest,
    options: CallOptions,
    origin: OriginState,
  ) {
    this.endpoint = server.baseUrl + request.path;
    this.#server = server;
    this.#request = request;
    this.#options = options;
    this.#origin = origin;
    const { signal } = options;
    const onAbort = (): void => this.abort(signal?.reason);
    this.#stopListening = listenToAbort(signal, onAbort);
    if (signal?.aborted === true) onAbort();
  }

  /** Whether the request goes through a user's own `fetch`. */
  get isOwnFetch(): boolean {
    return this.#server.fetch !== undefined;
  }

  /** Signal of the current attempt: aborted by the caller, by a timeout, or when the call is over. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Ends the call with this reason, unless it has already ended. */
  abort(reason: unknown): void {
    if (this.#end !== undefined) return;
    this.#end = { reason };
    this.#controller.abort(reason);
  }

  /** If the call has ended, throws the reason. */
  throwIfEnded(): void {
    if (this.#end !== undefined) throw this.#end.reason;
  }

  /**
   * Ends the call: stops its timers and releases the caller's signal and the connection. Idempotent.
   *
   * @param isRead whether the answer was read to its end. Then there is nothing to abort, which would cost more than
   * everything else here.
   */
  finish(isRead = false): void {
    this.#stopLimit();
    this.#stopListening();
    if (isRead) this.#end ??= { reason: CALL_OVER };
    else this.abort(CALL_OVER);
  }

  /**
   * Sends the request, with retries if they are allowed, until `accept` returns for a 2xx response. The timeout applies
   * until then.
   */
  async send<T>(limit: CallLimit, accept: (response: Response) => T | Promise<T>): Promise<T> {
    this.throwIfEnded();
    const body = this.#encodeBody();
    this.#refuseMissingRoute();
    const remainingMs = (): number => limit.ms - (performance.now() - limit.startedAt);
    // The answer would come too late.
    if (remainingMs() <= 0) throw this.timeoutError(limit.phase, limit.ms, NOT_SENT);
    this.#stopLimit = startTimer(remainingMs(), () => void this.#giveUp(limit));
    this.status({ phase: "waiting" });
    // `onStatus` may have ended the call, so that nobody would get the answer.
    this.throwIfEnded();
    while (true) {
      const sentAt = performance.now();
      const originUsedBefore = this.#origin.usedBefore;
      try {
        this.answer = "none";
        this.#isBroken = false;
        this.#status = undefined;
        this.attempts++;
        const accepted = await accept(await this.#attempt(body));
        this.#stopLimit();
        return accepted;
      } catch (error) {
        // If the call was ended, throw that reason, however the runtime wraps it.
        this.throwIfEnded();
        const delayMs = this.#delayBeforeRetry(error, {
          policy: this.#request.policy,
          elapsedMs: performance.now() - sentAt,
          originUsedBefore,
          isBroken: this.#isBroken,
          wasReset: this.#wasReset,
          answer: this.answer,
        }, limit);
        // Waiting past the timeout could only lead to a timeout error, which says less than this one.
        if (delayMs === undefined || delayMs >= remainingMs()) throw await this.#explain(error);
        this.#controller = new AbortController();
        if (this.#timesLoading === 1 && isLoading(error)) this.status({ phase: "loading" });
        await sleep(delayMs, this.signal);
      }
    }
  }

  /** Calls `onStatus`. An error it throws ends the call, even if it is async and rejects later. */
  status(status: CallStatus): void {
    const result: unknown = this.#options.onStatus?.(status);
    if (result instanceof Promise) result.catch((reason) => this.abort(reason));
  }

  /** Returns the facts that every error of this call states. */
  context(): ErrorContext {
    const { baseUrl, service, env, unauthorizedHint } = this.#server;
    return {
      action: this.#request.action,
      service,
      endpoint: this.#server.baseUrl + (this.#request.shownPath ?? this.#request.path),
      attempts: this.attempts,
      status: this.#status,
      model: this.#request.model,
      since: this.#request.since,
      onMissingRoute: () => this.#rememberMissingRoute(),
      notFoundHint: this.#request.notFoundHint,
      unauthorizedHint,
      hasToolSchemasAlone: hasToolSchemasAlone(this.#request.body),
      redact: (text) => this.#redact(text),
      partial: this.#request.partial,
      proxyHint: () => proxyHint(baseUrl, env),
    };
  }

  /** Masks secrets and prompts in a text. Prepared on the first error, since that costs more than a request. */
  #redact(text: string): string {
    this.#mask ??= createRedactor(
      [
        ...secretsOf(this.#server, this.#options),
        ...secretsOfQuery(this.#request.query ?? ""),
      ],
      this.#request.body,
    );
    return this.#mask(text);
  }

  /** Creates the error for a timeout of this call. */
  timeoutError(phase: TimeoutPhase, timeoutMs: number, hint?: string): TimeoutError {
    return timeoutError(phase, timeoutMs, this.context(), hint);
  }

  /** Creates the error for a connection that broke while the answer was being read. */
  resetError(cause: unknown): NetworkError {
    const context = this.context();
    const state = "the connection broke before the answer was complete";
    return callError(context, "connection_reset", state, {
      hint: this.#resetHint,
      cause: safeCause(cause, context.redact),
    });
  }

  /** Ends the call after its timeout. */
  async #giveUp({ phase, ms }: CallLimit): Promise<void> {
    let hint: string | undefined;
    // A known server may be silently loading a model; any other is asked for its greeting.
    if (this.answer === "none" && this.#status === undefined && !this.#origin.usedBefore) {
      const isSilent = this.#server.fetch === undefined
        ? !isBrowser() && !await answersGreeting(this.#server, GREETING_MS, this.signal)
        : this.#request.policy === "read";
      if (isSilent) hint = await connectionHintFor(this.#server, "silent");
    }
    this.abort(this.timeoutError(phase, ms, hint));
  }

  get #resetHint(): string | undefined {
    return this.#request.policy === "stateful" ? MAY_HAVE_RUN : undefined;
  }

  get #route(): string {
    return `${this.#request.method} ${this.#request.path}`;
  }

  #rememberMissingRoute(): void {
    const { missingRoutes } = this.#origin;
    const now = performance.now();
    // Drop what has expired, because paths that contain an id would pile up.
    for (const [route, until] of missingRoutes) if (until <= now) missingRoutes.delete(route);
    missingRoutes.set(this.#route, now + MISSING_ROUTE_MS);
  }

  /** @throws the error that the server returned for this route. */
  #refuseMissingRoute(): void {
    if (this.#origin.missingRoutes.size === 0) return;
    const until = this.#origin.missingRoutes.get(this.#route) ?? -Infinity;
    if (performance.now() >= until) return;
    const message = `Unexpected endpoint or method. (${this.#route})`;
    throw errorFromWire({ message }, undefined, { ...this.context(), onMissingRoute: undefined });
  }

  #delayBeforeRetry(
    error: unknown,
    attempt: FailedAttempt,
    { ms: limitMs, startedAt }: CallLimit,
  ): number | undefined {
    if (!isProviderError(error) || !shouldRetry(error, attempt)) return undefined;
    const maxRetries = this.#options.maxRetries ?? this.#server.maxRetries;
    if (isLoading(error) && maxRetries > 0) {
      const elapsedMs = performance.now() - startedAt;
      return loadingDelayMs(++this.#timesLoading, error.retryAfterMs, { elapsedMs, limitMs });
    }
    if (this.attempts - this.#timesLoading > maxRetries) return undefined;
    this.#wasReset ||= error.code === "connection_reset";
    return backoffMs(this.attempts - this.#timesLoading, error.retryAfterMs, Math.random);
  }

  async #attempt(body: BodyInit | undefined): Promise<Response> {
    const { query = "", foreign } = this.#request;
    const { signal } = this;
    const connectMs = this.#options.connectTimeoutMs ?? this.#server.connectTimeoutMs;
    // Created only for the few calls that wait that long.
    let probe: AbortController | undefined;
    const stopTimer = startTimer(connectMs, () => {
      probe = new AbortController();
      void this.#probe(connectMs, probe.signal);
    });
    const stopProbe = (): void => {
      stopTimer();
      probe?.abort();
    };
    let response: Response;
    try {
      response = await fetchFrom(this.#server, this.endpoint + query, this.#init(body));
    } catch (error) {
      signal.throwIfAborted();
      // The attempt has failed: finding the cause has its own timeout.
      stopProbe();
      throw await this.#explainFailure(error);
    } finally {
      stopProbe();
    }
    if (!isReadable(response, this.isOwnFetch)) {
      throw callError(this.context(), "unknown", "`fetch` returned nothing that can be read", {
        hint:
          "The option `fetch` must return a new `Response` on each call, with a body not yet read.",
      });
    }
    this.#origin.usedBefore = true;
    this.#status = response.status === 0 ? undefined : response.status;
    const isGivenBack = foreign !== undefined && response.status >= 400;
    if (!response.ok && !isGivenBack) throw await this.#errorOf(response);
    this.answer = "headers";
    return response;
  }

  /** Headers with names in lower case, so that a caller's spelling cannot send a header twice. */
  #headers(body: BodyInit | undefined): Record<string, string> {
    const headers: Record<string, string> = { accept: "application/json, text/event-stream" };
    if (body !== undefined) headers["content-type"] = "application/json";
    if (this.#server.apiToken !== undefined) {
      headers.authorization = `Bearer ${this.#server.apiToken}`;
    }
    for (const own of [this.#server.headers, this.#options.headers]) {
      for (const name in own) headers[name.toLowerCase()] = own[name] ?? "";
    }
    return headers;
  }

  #init(body: BodyInit | undefined): RequestInit & { signal: AbortSignal } {
    const { method, policy, foreign } = this.#request;
    const { isOwnFetch, signal } = this;
    const headers = foreign?.headers ?? this.#headers(body);
    const init: RequestInit & { signal: AbortSignal } = {
      ...(isOwnFetch ? undefined : withoutFetchCaps()),
      ...foreign?.init,
      method,
      headers: isOwnFetch && foreign === undefined ? new Headers(headers) : headers,
      // A redirect that is followed would carry the API token and headers to another origin.
      redirect: "manual",
      signal,
    };
    if (body === undefined) return init;
    // Deno resends a request itself if a reused connection closes before any answer. It cannot do that with a body
    // read from a stream.
    const isStream = typeof body === "string" && policy === "stateful" && !isOwnFetch && isDeno();
    init.body = isStream ? new Blob([body]).stream() : body;
    return init;
  }

  #encodeBody(): BodyInit | undefined {
    if (this.#request.foreign !== undefined) return this.#request.foreign.body;
    const { body } = this.#request;
    if (body === undefined) return undefined;
    try {
      return JSON.stringify(body);
    } catch (cause) {
      const context = this.context();
      const state = `${describeUnwritable(body)} cannot be written as JSON`;
      throw callError(context, "serialization_failed", state, {
        cause: safeCause(cause, context.redact),
      });
    }
  }

  /** Called if no headers arrive in time: ends the attempt if the server does not even accept a connection. */
  async #probe(timeoutMs: number, headersCame: AbortSignal): Promise<void> {
    if (await isReachable(this.#server, this.endpoint, timeoutMs, headersCame)) return;
    if (headersCame.aborted) return;
    const hint = await connectionHintFor(this.#server, "late");
    // The headers may have arrived while the hint was loading.
    if (headersCame.aborted) return;
    this.#controller.abort(this.timeoutError("connect", timeoutMs, hint));
  }

  async #explainFailure(cause: unknown): Promise<AnyProviderError> {
    this.#unanswered = await explainUnanswered(
      cause,
      this.#server,
      this.context(),
      this.#options.connectTimeoutMs ?? this.#server.connectTimeoutMs,
      this.signal,
      this.#resetHint,
    );
    this.#isBroken = this.#unanswered.isBroken;
    return this.#unanswered.error;
  }

  /** Completes an error for the caller. The cause is investigated only here, since most retries succeed. */
  async #explain(error: unknown): Promise<unknown> {
    const unanswered = this.#unanswered;
    if (unanswered?.error !== error) return error;
    // The call has failed, however long finding the cause takes.
    this.#stopLimit();
    const explained = await unanswered?.explain();
    this.signal.throwIfAborted();
    return explained;
  }

  async #errorOf(response: Response): Promise<AnyProviderError> {
    const { text } = await readBody(response, {
      maxBytes: ERROR_BODY_BYTES,
      timeoutMs: ERROR_BODY_MS,
      signal: this.signal,
    });
    this.#server.onErrorBody?.(response.status, text);
    return errorFromResponse(
      { status: response.status, headers: response.headers, bodyText: text },
      this.context(),
    );
  }
}

/** Reason of every call that is over. Shared, because creating one takes as long as the rest of a call. */
const CALL_OVER = new DOMException("The call is over", "AbortError");

const NOT_SENT = "Raise `timeoutMs`: it expired before the request could be sent.";
const MAY_HAVE_RUN =
  "The request may have run on the server anyway: check before you send it again.";

function isLoading(error: unknown): boolean {
  return isProviderError(error) && error.code === "model_loading";
}

function hasToolSchemasAlone(body: TransportRequest["body"]): boolean {
  return Array.isArray(body?.tools) && body.tools.length > 0 && body.response_format === undefined;
}
