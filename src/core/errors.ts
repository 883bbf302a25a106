/**
 * Errors: one class per kind of failure, a code for the exact cause, and a hint that says what to do.
 *
 * @module
 */

import type { ChatResponse } from "./chat.ts";
import type { DecisionResponse } from "./decisions.ts";
import type { ResponsesAnswer } from "./responses.ts";
import type { TextCompletionResponse } from "./text.ts";
import type {
  CompletionResponse,
  EmbeddingResponse,
  FinishReason,
  PartialAnswer,
} from "./types.ts";
import { withoutUnseen } from "./plain_text.ts";
import type { SchemaIssue } from "./schema.ts";
import {
  defaultHint,
  ERROR_CODES,
  type ErrorCode,
  type ErrorKind,
  isKnownCode,
  type KindOf,
  type KnownCode,
} from "./error_codes.ts";

/** Fields of an error, besides its message. */
export interface ProviderErrorOptions {
  /** Exact failure; sets the defaults of `retriable` and `hint`. */
  code: ErrorCode;
  /** Display name of the service, such as `"LM Studio"`. */
  service?: string | undefined;
  /** URL of the call, without credentials. */
  endpoint?: string | undefined;
  /** HTTP status, if there was a response. */
  status?: number | undefined;
  /** Whether trying again later can help. @default {the code's} */
  retriable?: boolean | undefined;
  /** Milliseconds the server asks you to wait. */
  retryAfterMs?: number | undefined;
  /** Number of requests sent. @default {1} */
  attempts?: number | undefined;
  /** What to do, in one sentence. @default {the code's} */
  hint?: string | undefined;
  /** Part of the answer received before the failure. */
  partial?: PartialAnswer | undefined;
  /** Error thrown by the runtime. */
  cause?: unknown;
}

const BRAND = Symbol.for("@patinox/lmstudio/ProviderError");

/**
 * Error that every call of this package rejects with, unless you aborted the call yourself. The message is
 * `Cannot <verb> <what>: <state>`, followed by the hint. It never contains an API token or a prompt.
 *
 * @example
 * ```ts
 * import { isProviderError, LMStudioProvider } from "jsr:@patinox/lmstudio";
 *
 * try {
 *   await new LMStudioProvider().complete({ messages: "Hello", temperature: -1 });
 * } catch (error) {
 *   if (!isProviderError(error)) throw error;
 *   console.log(error.code, "-", error.hint);
 * }
 * ```
 */
export abstract class ProviderError extends Error {
  /** Kind of failure, one per class; a closed set to `switch` on. */
  abstract readonly kind: ErrorKind;
  /** Exact failure. */
  readonly code: ErrorCode;
  /** Whether trying again later can help. */
  readonly retriable: boolean;
  /** Number of requests sent; 0 if the input was refused. */
  readonly attempts: number;
  /** What to do, in one sentence; also part of the message. */
  readonly hint: string;
  /** Display name of the service, such as `"LM Studio"`. */
  declare readonly service?: string;
  /** URL of the call, without credentials. */
  declare readonly endpoint?: string;
  /** HTTP status, if there was a response. */
  declare readonly status?: number;
  /** Milliseconds the server asks you to wait. */
  declare readonly retryAfterMs?: number;
  /** Part of the answer received before the failure. */
  declare readonly partial?: PartialAnswer;

  /** Joins the message and the hint. */
  constructor(message: string, options: ProviderErrorOptions) {
    const { code } = options;
    const known = isKnownCode(code)
      ? { ...ERROR_CODES[code], hint: defaultHint(code, options.service) }
      : { retriable: false, hint: "" };
    const hint = withoutUnseen(options.hint ?? known.hint);
    super(
      // A server's text may contain invisible characters that change how the message prints.
      withoutUnseen(joinSentences(message, hint)),
      options.cause === undefined ? undefined : { cause: options.cause },
    );
    this.code = code;
    this.retriable = options.retriable ?? known.retriable;
    this.attempts = options.attempts ?? 1;
    this.hint = hint;
    setIfKnown(this, "service", options.service);
    setIfKnown(this, "endpoint", options.endpoint);
    setIfKnown(this, "status", options.status);
    setIfKnown(this, "retryAfterMs", options.retryAfterMs);
    hideIfKnown(this, "partial", options.partial);
  }

  /** Returns the error as plain data that is safe to log: no API token, no prompt, no part of the answer. */
  toJSON(): Record<string, unknown> {
    // `cause` is left out: we cannot vouch for what a runtime puts in it.
    const json: Record<string, unknown> = { name: this.name, message: this.message };
    return Object.assign(json, this);
  }
}

Object.defineProperty(ProviderError.prototype, BRAND, { value: true });

/** API error: the server failed, or is not the kind of server expected. */
export class ApiError extends ProviderError {
  static {
    nameClass(this, "ApiError");
  }
  /** Discriminates `AnyProviderError`. */
  override readonly kind = "api" as const;
  /**
   * Code `tool_choice_ignored`: the answer. Native chat: the result of the `chat.end` event that followed the failure,
   * with everything generated until then.
   */
  declare readonly response?: ChatResponse | CompletionResponse;

  /** Adds the answer to a `ProviderError`. */
  constructor(
    message: string,
    options: ProviderErrorOptions & { response?: CompletionResponse | undefined },
  ) {
    super(message, options);
    hideIfKnown<ApiError, "response">(this, "response", options.response);
  }
}

/** Network error: no connection could be made, or it broke. */
export class NetworkError extends ProviderError {
  static {
    nameClass(this, "NetworkError");
  }
  /** Discriminates `AnyProviderError`. */
  override readonly kind = "network" as const;
}

/** Authentication error: the server requires an API token, or this token lacks the permission. */
export class AuthenticationError extends ProviderError {
  static {
    nameClass(this, "AuthenticationError");
  }
  /** Discriminates `AnyProviderError`. */
  override readonly kind = "authentication" as const;
}

/** Rate limit error: the server asks you to wait; see `retryAfterMs`. */
export class RateLimitedError extends ProviderError {
  static {
    nameClass(this, "RateLimitedError");
  }
  /** Discriminates `AnyProviderError`. */
  override readonly kind = "rate-limited" as const;
}

/** Model error: the model is unknown, not loaded or of the wrong type, or a different model answered. */
export class ModelNotAvailableError extends ProviderError {
  static {
    nameClass(this, "ModelNotAvailableError");
  }
  /** Discriminates `AnyProviderError`. */
  override readonly kind = "model-not-available" as const;
  /** Requested model. */
  declare readonly model?: string;
  /** Models you could request instead. */
  declare readonly available?: readonly string[];
  /** Code `model_substituted`: the other model's answer. */
  declare readonly response?:
    | CompletionResponse
    | DecisionResponse
    | EmbeddingResponse
    | ResponsesAnswer
    | TextCompletionResponse;

  /** Adds the model to a `ProviderError`. */
  constructor(
    message: string,
    options: ProviderErrorOptions & {
      model?: string | undefined;
      available?: readonly string[] | undefined;
      response?:
        | CompletionResponse
        | DecisionResponse
        | EmbeddingResponse
        | ResponsesAnswer
        | TextCompletionResponse
        | undefined;
    },
  ) {
    super(message, options);
    setIfKnown(
      this,
      "model",
      options.model === undefined ? undefined : withoutUnseen(options.model),
    );
    setIfKnown(this, "available", options.available?.map((name) => withoutUnseen(name)));
    hideIfKnown(this, "response", options.response);
  }
}

/** Request error: the request cannot be answered as written. Thrown before sending if possible. */
export class InvalidRequestError extends ProviderError {
  static {
    nameClass(this, "InvalidRequestError");
  }
  /** Discriminates `AnyProviderError`. */
  override readonly kind = "invalid-request" as const;
  /**
   * Native chat: the result of the `chat.end` event that followed the failure, with everything generated until then.
   */
  declare readonly response?: ChatResponse;
  /** Code `context_overflow`: tokens in the request, if the server reports them. */
  declare readonly promptTokens?: number;
  /** Code `context_overflow`: the loaded model's context length in tokens, if the server reports it. */
  declare readonly contextLength?: number;

  /** Adds the two numbers of a context overflow to a `ProviderError`. */
  constructor(
    message: string,
    options: ProviderErrorOptions & {
      promptTokens?: number | undefined;
      contextLength?: number | undefined;
    },
  ) {
    super(message, options);
    setIfKnown(this, "promptTokens", options.promptTokens);
    setIfKnown(this, "contextLength", options.contextLength);
  }
}

/** Phase of a call that has its own timeout. */
export type TimeoutPhase = "connect" | "first-token" | "idle" | "total";

/** Timeout error: a time limit of the call was exceeded. */
export class TimeoutError extends ProviderError {
  static {
    nameClass(this, "TimeoutError");
  }
  /** Discriminates `AnyProviderError`. */
  override readonly kind = "timeout" as const;
  /** Phase that took too long. */
  readonly phase: TimeoutPhase;
  /** Time limit of the phase, in milliseconds. */
  readonly timeoutMs: number;

  /** Adds the phase and its limit to a `ProviderError`. */
  constructor(
    message: string,
    options: ProviderErrorOptions & { phase: TimeoutPhase; timeoutMs: number },
  ) {
    super(message, options);
    this.phase = options.phase;
    this.timeoutMs = options.timeoutMs;
  }
}

/** Configuration error: the value of an option, a variable or a file cannot be used. */
export class ConfigurationError extends ProviderError {
  static {
    nameClass(this, "ConfigurationError");
  }
  /** Discriminates `AnyProviderError`. */
  override readonly kind = "configuration" as const;
}

/** Fallback error: every provider in the list failed. */
export class AllProvidersFailedError extends ProviderError {
  static {
    nameClass(this, "AllProvidersFailedError");
  }
  /** Discriminates `AnyProviderError`. */
  override readonly kind = "all-providers-failed" as const;
  /** Errors of the providers, in order. */
  readonly errors: readonly unknown[];

  /** Adds the providers' errors to a `ProviderError`. */
  constructor(message: string, options: ProviderErrorOptions & { errors: readonly unknown[] }) {
    super(message, options);
    this.errors = options.errors;
  }

  /** Returns the error as plain data; for a provider's error that is not a `ProviderError`, only its name. */
  override toJSON(): Record<string, unknown> {
    return {
      ...super.toJSON(),
      errors: this.errors.map((error) =>
        isProviderError(error) ? error.toJSON() : error instanceof Error ? error.name : typeof error
      ),
    };
  }
}

/** Serialization error: the request cannot be written as JSON. */
export class SerializationError extends ProviderError {
  static {
    nameClass(this, "SerializationError");
  }
  /** Discriminates `AnyProviderError`. */
  override readonly kind = "serialization" as const;
}

/** Stream error: the stream was cut off, empty or unreadable. */
export class StreamError extends ProviderError {
  static {
    nameClass(this, "StreamError");
  }
  /** Discriminates `AnyProviderError`. */
  override readonly kind = "stream" as const;
}

/** Parse error: the answer cannot be decoded. */
export class ParseError extends ProviderError {
  static {
    nameClass(this, "ParseError");
  }
  /** Discriminates `AnyProviderError`. */
  override readonly kind = "parse" as const;
  /** Issues found in the answer, with their paths. */
  declare readonly issues?: readonly SchemaIssue[];
  /** Start of the body: at most 200 characters, without secrets. */
  declare readonly bodySnippet?: string;
  /** `completeObject`: why the model stopped. */
  declare readonly finishReason?: FinishReason;
  /** `completeObject`: the answer that is not a valid object, with its usage. */
  declare readonly response?: CompletionResponse;

  /** Adds the issues and the body to a `ProviderError`. */
  constructor(
    message: string,
    options: ProviderErrorOptions & {
      issues?: readonly SchemaIssue[] | undefined;
      bodySnippet?: string | undefined;
      finishReason?: FinishReason | undefined;
      response?: CompletionResponse | undefined;
    },
  ) {
    super(message, options);
    setIfKnown(this, "finishReason", options.finishReason);
    hideIfKnown(this, "response", options.response);
    // Issues with a model's answer quote it; issues with a server's listing do not.
    const setIssues = options.response === undefined ? setIfKnown : hideIfKnown;
    setIssues(this, "issues", options.issues);
    // Part of an answer, so hidden when the error is printed.
    hideIfKnown(this, "bodySnippet", options.bodySnippet);
  }
}

/** Unknown error: a failure with no class of its own. */
export class UnknownProviderError extends ProviderError {
  static {
    nameClass(this, "UnknownProviderError");
  }
  /** Discriminates `AnyProviderError`. */
  override readonly kind = "unknown" as const;
}

/** Every error of this package, discriminated by `kind`. */
export type AnyProviderError =
  | ApiError
  | NetworkError
  | AuthenticationError
  | RateLimitedError
  | ModelNotAvailableError
  | InvalidRequestError
  | TimeoutError
  | ConfigurationError
  | AllProvidersFailedError
  | SerializationError
  | StreamError
  | ParseError
  | UnknownProviderError;

/** Constructor options of the class of a kind. */
type FieldsOfKind<K extends ErrorKind> = K extends "api" ? ConstructorParameters<typeof ApiError>[1]
  : K extends "model-not-available" ? ConstructorParameters<typeof ModelNotAvailableError>[1]
  : K extends "invalid-request" ? ConstructorParameters<typeof InvalidRequestError>[1]
  : K extends "timeout" ? ConstructorParameters<typeof TimeoutError>[1]
  : K extends "all-providers-failed" ? ConstructorParameters<typeof AllProvidersFailedError>[1]
  : K extends "parse" ? ConstructorParameters<typeof ParseError>[1]
  : ProviderErrorOptions;

// `Omit` alone would keep only the fields that all members of a union share.
type WithoutCode<T> = T extends unknown ? Omit<T, "code"> : never;

/** Error class of a code. */
export type ErrorOf<C extends KnownCode> = Extract<AnyProviderError, { kind: KindOf<C> }>;
/** Constructor options of a code's class, without the code. */
export type FieldsOf<C extends KnownCode> = WithoutCode<FieldsOfKind<KindOf<C>>>;

const CLASSES: {
  readonly [K in ErrorKind]: new (
    message: string,
    options: FieldsOfKind<K>,
  ) => Extract<AnyProviderError, { kind: K }>;
} = {
  "api": ApiError,
  "network": NetworkError,
  "authentication": AuthenticationError,
  "rate-limited": RateLimitedError,
  "model-not-available": ModelNotAvailableError,
  "invalid-request": InvalidRequestError,
  "timeout": TimeoutError,
  "configuration": ConfigurationError,
  "all-providers-failed": AllProvidersFailedError,
  "serialization": SerializationError,
  "stream": StreamError,
  "parse": ParseError,
  "unknown": UnknownProviderError,
};

/** Creates an error of the class its code belongs to. */
export function providerError<C extends KnownCode>(
  code: C,
  message: string,
  fields: FieldsOf<C>,
): ErrorOf<C> {
  const Class = CLASSES[ERROR_CODES[code].kind] as unknown as new (
    message: string,
    options: ProviderErrorOptions,
  ) => ErrorOf<C>;
  return new Class(message, { ...fields, code });
}

/**
 * Tests whether a value is an error of this package, optionally of one kind. Works across copies of the package,
 * unlike `instanceof`.
 *
 * @example
 * ```ts
 * import { isProviderError, TimeoutError } from "jsr:@patinox/lmstudio";
 *
 * const error: unknown = new TimeoutError("Cannot complete: no token arrived", {
 *   code: "timeout_first_token",
 *   phase: "first-token",
 *   timeoutMs: 1000,
 * });
 * if (isProviderError(error, "timeout")) console.log(error.phase, error.timeoutMs);
 * ```
 */
export function isProviderError<K extends ErrorKind = ErrorKind>(
  value: unknown,
  kind?: K,
): value is Extract<AnyProviderError, { kind: K }> {
  if (typeof value !== "object" || value === null || !(BRAND in value)) return false;
  return kind === undefined || (value as unknown as ProviderError).kind === kind;
}

/** Adds the answer that came with a failure, if errors of its class can carry one. */
export function withResponse(error: AnyProviderError, response: ChatResponse): AnyProviderError {
  if (error.kind === "api" || error.kind === "invalid-request") {
    hideIfKnown<ApiError | InvalidRequestError, "response">(error, "response", response);
  }
  return error;
}

/** Place a call was made from; has no stack on runtimes without `Error.captureStackTrace`. */
export interface CallSite {
  readonly stack?: string;
}

/**
 * Captures the place a call is made from. This happens on every call, even one that succeeds: once the answer is
 * awaited, the caller is no longer on the stack. The stack is only turned into text when read.
 *
 * @param above leaves out this function and the functions it calls.
 */
export function callSite(above: unknown): CallSite {
  const site: CallSite = {};
  // Not available in every browser.
  const capture: unknown = Reflect.get(Error, "captureStackTrace");
  if (typeof capture === "function") capture.call(Error, site, above);
  return site;
}

/** Adds the place of the call to the stack of one of our errors; returns other errors unchanged. */
export function withCallSite(error: unknown, site: CallSite): unknown {
  const { stack } = site;
  if (stack === undefined || !isProviderError(error) || error.stack === undefined) return error;
  const known = new Set(error.stack.split("\n").map(placeOf));
  const missing = stack.split("\n").filter((line) => {
    const place = placeOf(line);
    return place !== undefined && !known.has(place);
  });
  // A program's own `Error.prepareStackTrace` may make the stack any value.
  if (missing.length > 0) Reflect.set(error, "stack", [error.stack, ...missing].join("\n"));
  return error;
}

/** File and line of a stack frame, without the column, which differs between an async frame and the call itself. */
function placeOf(line: string): string | undefined {
  return /^\s+at (?:.*\(|async )?(.+:\d+):\d+\)?$/.exec(line)?.[1];
}

type Remarks = typeof import("./field_remarks.ts");

const REMARKED = new WeakMap<object, (remarks: Remarks) => Error>();

/** Creates a refusal to which `withRemark` can add advice. */
export function remarkable(make: (remarks?: Remarks) => Error): Error {
  const error = make();
  REMARKED.set(error, make);
  return error;
}

/**
 * Returns the refusal with advice on what to write instead; returns any other error unchanged. The remarks load here so
 * that programs with valid requests do not carry them; if they fail to load, the refusal is still correct.
 */
export async function withRemark(error: unknown): Promise<unknown> {
  const make = error instanceof Error ? REMARKED.get(error) : undefined;
  if (make === undefined) return error;
  return await import("./field_remarks.ts").then(make, () => error);
}

/** Runs a call so that our errors have the caller's line in their stack. */
export async function fromCaller<T>(
  call: () => PromiseLike<T>,
  site: CallSite = callSite(fromCaller),
): Promise<T> {
  try {
    return await call();
  } catch (error) {
    throw withCallSite(await withRemark(error), site);
  }
}

function joinSentences(message: string, hint: string): string {
  if (hint === "") return message;
  return `${message}${/[.!?…]$/.test(message) ? "" : "."} ${hint}`;
}

// Inspectors would print an own `name` on each error twice, and minifiers would change the class name.
function nameClass(of: { prototype: Error }, name: string): void {
  Object.defineProperty(of.prototype, "name", { value: name, configurable: true, writable: true });
}

// Absent rather than `undefined`, so that a logged error shows only what is known.
function setIfKnown<T extends object, K extends keyof T & string>(
  target: T,
  key: K,
  value: T[K] | undefined,
): void {
  if (value !== undefined) {
    Object.defineProperty(target, key, { value, enumerable: true, configurable: true });
  }
}

// Answers are for the caller, not for logs: non-enumerable fields are shown by neither inspectors nor `toJSON`.
function hideIfKnown<T extends object, K extends keyof T & string>(
  target: T,
  key: K,
  value: T[K] | undefined,
): void {
  if (value !== undefined) {
    Object.defineProperty(target, key, { value, enumerable: false, configurable: true });
  }
}
