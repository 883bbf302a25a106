/**
 * Call to a server: its options, its signals, its attempts, until there is a response whose body can be read.
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

/** Settings that every call to one server has in common. */
export interface ServerSettings extends ReachedServer {
  readonly apiToken?: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs?: number | undefined;
  readonly connectTimeoutMs: number;
  readonly firstTokenTimeoutMs: number;
  readonly idleTimeoutMs: number;
  /** Whether nobody set `idleTimeoutMs`: then it is not for models that may call tools. */
  readonly isIdleTimeoutDefault?: boolean | undefined;
  readonly maxRetries: number;
  /** Replaces the process's environment, for hints about proxies. */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  /** Remedy of `unauthorized`, where the code's own does not help. */
  readonly unauthorizedHint?: string | undefined;
  /** Shown the body of each answer that is an error, as it came. */
  readonly onErrorBody?: ((status: number, bodyText: string) => void) | undefined;
}

/** A request that another client wrote: sent as it is, and its answer is given back under every status. */
export interface ForeignRequest {
  /** All of them, the provider's included. */
  readonly headers: Headers;
  readonly body: BodyInit | undefined;
  /** Whatever else the client gave, such as a `dispatcher`; neither method, headers nor body. */
  readonly init: RequestInit;
}

/** Request as it is sent. */
export interface TransportRequest {
  readonly method: string;
  /** Path below the base URL, such as `/v1/models`. */
  readonly path: string;
  /** Path in errors, where a part of it may be an echo. */
  readonly shownPath?: string | undefined;
  /** Sent behind the path, but in no error: it may hold a key. */
  readonly query?: string | undefined;
  readonly body?: Readonly<Record<string, unknown>> | undefined;
  /** Sent in place of `body`, which then only says what an echo would be. */
  readonly foreign?: ForeignRequest | undefined;
  readonly policy: RetryPolicy;
  /** Completes "Cannot …" in errors. */
  readonly action: string;
  /** Model asked for, for errors. */
  readonly model?: string | undefined;
  /** First version of the server that has the route, where not every version in use does. */
  readonly since?: string | undefined;
  /** Remedy of `model_not_found`, where that is not to name another model of this server. */
  readonly notFoundHint?: string | undefined;
  /** Whether a 2xx body is the answer although it has a field `error`: that of a job that failed says why. */
  readonly isAnswer?: ((value: unknown) => boolean) | undefined;
  /** Returns what had arrived of the answer, for errors. */
  readonly partial?: (() => PartialAnswer | undefined) | undefined;
  /** Returns the same of a whole answer that says that it failed. */
  readonly partialOf?: ((value: unknown) => PartialAnswer | undefined) | undefined;
}

/** Limit of a call until its response is there. */
export interface CallLimit {
  readonly phase: Extract<TimeoutPhase, "total" | "first-token">;
  readonly ms: number;
  /** By `performance.now()`. */
  readonly startedAt: number;
}

const ERROR_BODY_BYTES = 64 * 1024;
/** An error whose body does not end is made of what had come. */
const ERROR_BODY_MS = 5000;

/** Facts of an origin. */
export interface OriginState {
  /** Whether it has answered before: only then can its connection be a pooled one. */
  usedBefore: boolean;
  /**
   * Routes of newer versions that it was found not to have, and until when that counts, by `performance.now()`: an
   * old server is not asked in vain each time, but it may be updated while we run.
   */
  readonly missingRoutes: Map<string, number>;
}

const MISSING_ROUTE_MS = 30_000;
/** A server that says who it is does so at once, also while it loads a model. */
const GREETING_MS = 300;

/** Call to a server. `finish()` must be called when it is over. */
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
  /** Of the attempt under way: one that took no connection is aborted without the call. */
  #controller = new AbortController();
  /** Why the call ended, once it has. */
  #end: { readonly reason: unknown } | undefined;
  #wasReset = false;
  /** Number of times the server said that it loads its model. */
  #timesLoading = 0;
  /** Of the current attempt: `isBroken` of its failure, and the status of its answer. */
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

  /** Whether the request goes through a `fetch` of the user's own. */
  get isOwnFetch(): boolean {
    return this.#server.fetch !== undefined;
  }

  /** Signal of the attempt under way: aborted by the caller, by a timer, or when the call is over. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Ends whatever is under way with this reason, unless it has ended already. */
  abort(reason: unknown): void {
    if (this.#end !== undefined) return;
    this.#end = { reason };
    this.#controller.abort(reason);
  }

  /** Throws the reason of a call that has ended. */
  throwIfEnded(): void {
    if (this.#end !== undefined) throw this.#end.reason;
  }

  /**
   * Ends the call: stops its timers, lets go of the caller's signal and of the connection. Idempotent.
   *
   * @param isRead whether the answer was read to its end: then nothing is left to be let go of, and an abort would
   * cost more than all else here.
   */
  finish(isRead = false): void {
    this.#stopLimit();
    this.#stopListening();
    if (isRead) this.#end ??= { reason: CALL_OVER };
    else this.abort(CALL_OVER);
  }

  /**
   * Sends the request, again where that is allowed, until `accept` takes a 2xx response. The limit holds
   * until then.
   */
  async send<T>(limit: CallLimit, accept: (response: Response) => T | Promise<T>): Promise<T> {
    this.throwIfEnded();
    const body = this.#encodeBody();
    this.#refuseMissingRoute();
    const remainingMs = (): number => limit.ms - (performance.now() - limit.startedAt);
    // What is sent then would run for nobody.
    if (remainingMs() <= 0) throw this.timeoutError(limit.phase, limit.ms, NOT_SENT);
    this.#stopLimit = startTimer(remainingMs(), () => void this.#giveUp(limit));
    this.status({ phase: "waiting" });
    // `onStatus` may have ended the call: what was sent then would run for nobody.
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
        // What ended the call is its reason, however the runtime wraps it.
        this.throwIfEnded();
        const delayMs = this.#delayBeforeRetry(error, {
          policy: this.#request.policy,
          elapsedMs: performance.now() - sentAt,
          originUsedBefore,
          isBroken: this.#isBroken,
          wasReset: this.#wasReset,
          answer: this.answer,
        }, limit);
        // Waiting past the limit could only end in a timeout, which says less than this error.
        if (delayMs === undefined || delayMs >= remainingMs()) throw await this.#explain(error);
        this.#controller = new AbortController();
        if (this.#timesLoading === 1 && isLoading(error)) this.status({ phase: "loading" });
        await sleep(delayMs, this.signal);
      }
    }
  }

  /** Calls `onStatus`. What it throws ends the call, also where it is async and rejects later. */
  status(status: CallStatus): void {
    const result: unknown = this.#options.onStatus?.(status);
    if (result instanceof Promise) result.catch((reason) => this.abort(reason));
  }

  /** Returns what every error of this call states. */
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

  /** Masks what was sent in a text. Made on the first error: making it costs more than a request. */
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

  /** Error of a timer of this call that ran out. */
  timeoutError(phase: TimeoutPhase, timeoutMs: number, hint?: string): TimeoutError {
    return timeoutError(phase, timeoutMs, this.context(), hint);
  }

  /** Error of a connection that broke while the answer was read. */
  resetError(cause: unknown): NetworkError {
    const context = this.context();
    const state = "the connection broke before the answer was complete";
    return callError(context, "connection_reset", state, {
      hint: this.#resetHint,
      cause: safeCause(cause, context.redact),
    });
  }

  /** Ends the call, whose time is over. */
  async #giveUp({ phase, ms }: CallLimit): Promise<void> {
    let hint: string | undefined;
    // A server that is known may load a model in silence; of any other it is asked who it is.
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
    // Some paths have an id in them.
    for (const [route, until] of missingRoutes) if (until <= now) missingRoutes.delete(route);
    missingRoutes.set(this.#route, now + MISSING_ROUTE_MS);
  }

  /** @throws what the server said when it was asked for this route. */
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
    // Made only for the few calls that wait for so long.
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
      // It has failed already: looking for its cause takes time of its own.
      stopProbe();
      throw await this.#explainFailure(error);
    } finally {
      stopProbe();
    }
    if (!isReadable(response, this.isOwnFetch)) {
      throw callError(this.context(), "unknown", "`fetch` gave nothing that can be read", {
        hint:
          "The option `fetch` must give a new `Response`, whose body nobody has read, at each call.",
      });
    }
    this.#origin.usedBefore = true;
    this.#status = response.status === 0 ? undefined : response.status;
    const isGivenBack = foreign !== undefined && response.status >= 400;
    if (!response.ok && !isGivenBack) throw await this.#errorOf(response);
    this.answer = "headers";
    return response;
  }

  /** Names in lower case: a caller's spelling must not send a header twice. */
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
      // Followed, a redirect would carry token and headers to another origin.
      redirect: "manual",
      signal,
    };
    if (body === undefined) return init;
    // Deno sends a request again by itself when a reused connection closes before any answer; what it
    // reads from a stream it cannot send twice.
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

  /** No header has come in time: gives the attempt up if the server does not even take a connection. */
  async #probe(timeoutMs: number, headersCame: AbortSignal): Promise<void> {
    if (await isReachable(this.#server, this.endpoint, timeoutMs, headersCame)) return;
    if (headersCame.aborted) return;
    const hint = await connectionHintFor(this.#server, "late");
    // They may have come while the hint was loaded.
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

  /** Failure as the caller sees it. Its cause is looked for only here: most that are sent again succeed. */
  async #explain(error: unknown): Promise<unknown> {
    const unanswered = this.#unanswered;
    if (unanswered?.error !== error) return error;
    // It has failed, whatever time that takes.
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

/** Reason of every call that is over. One for all: making one takes as long as all the rest of a call. */
const CALL_OVER = new DOMException("The call is over", "AbortError");

const NOT_SENT = "Raise `timeoutMs`: the time was over before the request could be sent.";
const MAY_HAVE_RUN =
  "The call may have run on the server all the same: look before you send it again.";

function isLoading(error: unknown): boolean {
  return isProviderError(error) && error.code === "model_loading";
}

function hasToolSchemasAlone(body: TransportRequest["body"]): boolean {
  return Array.isArray(body?.tools) && body.tools.length > 0 && body.response_format === undefined;
}
