/**
 * Every way a call can fail: one class per kind, a code that says which failure it is, and a sentence that
 * says what to do.
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

/** Fields that an error is made of, beside its message. */
export interface ProviderErrorOptions {
  /** Which failure; decides the defaults of `retriable` and `hint`. */
  code: ErrorCode;
  /** Name of the service for people, such as `"LM Studio"`. */
  service?: string | undefined;
  /** URL of the call, without credentials. */
  endpoint?: string | undefined;
  /** HTTP status, where there was a response. */
  status?: number | undefined;
  /** Whether trying again later can help. @default {what the code says} */
  retriable?: boolean | undefined;
  /** Milliseconds that the server asks to wait. */
  retryAfterMs?: number | undefined;
  /** Requests that were sent. @default {1} */
  attempts?: number | undefined;
  /** Remedy, in one sentence. @default {the code's} */
  hint?: string | undefined;
  /** Part of the answer that had arrived. */
  partial?: PartialAnswer | undefined;
  /** Error that the runtime threw. */
  cause?: unknown;
}

const BRAND = Symbol.for("@patinox/lmstudio/ProviderError");

/**
 * Error that every call of this package rejects with, the caller's own abort aside. The message is
 * `Cannot <verb> <what>: <state>`, then the hint. Neither a token nor a prompt is in it.
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
  /** Which class of failure; closed, to `switch` on. */
  abstract readonly kind: ErrorKind;
  /** Which failure. */
  readonly code: ErrorCode;
  /** Whether trying again later can help. */
  readonly retriable: boolean;
  /** Number of requests that were sent; 0 when the input was refused. */
  readonly attempts: number;
  /** Remedy, in one sentence; part of the message. */
  readonly hint: string;
  /** Name of the service for people, such as `"LM Studio"`. */
  declare readonly service?: string;
  /** URL of the call, without credentials. */
  declare readonly endpoint?: string;
  /** HTTP status, where there was a response. */
  declare readonly status?: number;
  /** Milliseconds that the server asks to wait. */
  declare readonly retryAfterMs?: number;
  /** Part of the answer that had arrived. */
  declare readonly partial?: PartialAnswer;

  /** Joins the message and the hint. */
  constructor(message: string, options: ProviderErrorOptions) {
    const { code } = options;
    const known = isKnownCode(code)
      ? { ...ERROR_CODES[code], hint: defaultHint(code, options.service) }
      : { retriable: false, hint: "" };
    const hint = withoutUnseen(options.hint ?? known.hint);
    super(
      // Whoever prints it must see what is there, whoever wrote that.
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

  /** Returns the error as plain data, safe to log: no token, no prompt and nothing of the answer is in it. */
  toJSON(): Record<string, unknown> {
    // `cause` is left out: what a runtime puts there is not ours to vouch for.
    const json: Record<string, unknown> = { name: this.name, message: this.message };
    return Object.assign(json, this);
  }
}

Object.defineProperty(ProviderError.prototype, BRAND, { value: true });

/** Error of a server that failed, or is not what was expected. */
export class ApiError extends ProviderError {
  static {
    nameClass(this, "ApiError");
  }
  /** Which class of failure. */
  override readonly kind = "api" as const;
  /**
   * Code `tool_choice_ignored`: the answer. LM Studio's own chat: the `chat.end` that came with the failure, with what
   * was generated until then.
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

/** Error of a connection that did not come about, or broke. */
export class NetworkError extends ProviderError {
  static {
    nameClass(this, "NetworkError");
  }
  /** Which class of failure. */
  override readonly kind = "network" as const;
}

/** Error of a server that wants a token, or does not allow this one to do it. */
export class AuthenticationError extends ProviderError {
  static {
    nameClass(this, "AuthenticationError");
  }
  /** Which class of failure. */
  override readonly kind = "authentication" as const;
}

/** Error of a server that asks to wait: see `retryAfterMs`. */
export class RateLimitedError extends ProviderError {
  static {
    nameClass(this, "RateLimitedError");
  }
  /** Which class of failure. */
  override readonly kind = "rate-limited" as const;
}

/** Error of a model that cannot answer: unknown, not loaded, of the wrong type, or another one answered. */
export class ModelNotAvailableError extends ProviderError {
  static {
    nameClass(this, "ModelNotAvailableError");
  }
  /** Which class of failure. */
  override readonly kind = "model-not-available" as const;
  /** Model that was asked for. */
  declare readonly model?: string;
  /** Models that could be asked instead. */
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

/** Error of a request that cannot be answered as it is; thrown before sending where possible. */
export class InvalidRequestError extends ProviderError {
  static {
    nameClass(this, "InvalidRequestError");
  }
  /** Which class of failure. */
  override readonly kind = "invalid-request" as const;
  /** LM Studio's own chat: the `chat.end` that came with the failure, with what was generated until then. */
  declare readonly response?: ChatResponse;
  /** Code `context_overflow`: tokens of the request, where the server says. */
  declare readonly promptTokens?: number;
  /** Code `context_overflow`: tokens that the loaded model can hold, where the server says. */
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

/** Name of a timer. */
export type TimeoutPhase = "connect" | "first-token" | "idle" | "total";

/** Error of a timer that ran out. */
export class TimeoutError extends ProviderError {
  static {
    nameClass(this, "TimeoutError");
  }
  /** Which class of failure. */
  override readonly kind = "timeout" as const;
  /** Timer that ran out. */
  readonly phase: TimeoutPhase;
  /** Its limit, in milliseconds. */
  readonly timeoutMs: number;

  /** Adds the timer to a `ProviderError`. */
  constructor(
    message: string,
    options: ProviderErrorOptions & { phase: TimeoutPhase; timeoutMs: number },
  ) {
    super(message, options);
    this.phase = options.phase;
    this.timeoutMs = options.timeoutMs;
  }
}

/** Error of an option, a variable or a file whose value cannot be used. */
export class ConfigurationError extends ProviderError {
  static {
    nameClass(this, "ConfigurationError");
  }
  /** Which class of failure. */
  override readonly kind = "configuration" as const;
}

/** Error of a list of providers that all failed. */
export class AllProvidersFailedError extends ProviderError {
  static {
    nameClass(this, "AllProvidersFailedError");
  }
  /** Which class of failure. */
  override readonly kind = "all-providers-failed" as const;
  /** Errors of the providers, in their order. */
  readonly errors: readonly unknown[];

  /** Adds the providers' errors to a `ProviderError`. */
  constructor(message: string, options: ProviderErrorOptions & { errors: readonly unknown[] }) {
    super(message, options);
    this.errors = options.errors;
  }

  /** Returns the error as plain data; of a provider's error that is not a `ProviderError` only the name. */
  override toJSON(): Record<string, unknown> {
    return {
      ...super.toJSON(),
      errors: this.errors.map((error) =>
        isProviderError(error) ? error.toJSON() : error instanceof Error ? error.name : typeof error
      ),
    };
  }
}

/** Error of a request that cannot be written as JSON. */
export class SerializationError extends ProviderError {
  static {
    nameClass(this, "SerializationError");
  }
  /** Which class of failure. */
  override readonly kind = "serialization" as const;
}

/** Error of a stream that was cut, empty or not readable. */
export class StreamError extends ProviderError {
  static {
    nameClass(this, "StreamError");
  }
  /** Which class of failure. */
  override readonly kind = "stream" as const;
}

/** Error of an answer that cannot be decoded. */
export class ParseError extends ProviderError {
  static {
    nameClass(this, "ParseError");
  }
  /** Which class of failure. */
  override readonly kind = "parse" as const;
  /** Faults of the answer, and where they are. */
  declare readonly issues?: readonly SchemaIssue[];
  /** Start of the body, at most 200 characters, without secrets. */
  declare readonly bodySnippet?: string;
  /** `completeObject`: why the model stopped. */
  declare readonly finishReason?: FinishReason;
  /** `completeObject`: the answer that is not the object, with its usage. */
  declare readonly response?: CompletionResponse;

  /** Adds what is wrong with the body to a `ProviderError`. */
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
    // What a schema says of a model's answer quotes it; what ours say of a server's listing does not.
    const setIssues = options.response === undefined ? setIfKnown : hideIfKnown;
    setIssues(this, "issues", options.issues);
    // Part of an answer: not for whatever prints the error.
    hideIfKnown(this, "bodySnippet", options.bodySnippet);
  }
}

/** Error of a failure that has no class of its own. */
export class UnknownProviderError extends ProviderError {
  static {
    nameClass(this, "UnknownProviderError");
  }
  /** Which class of failure. */
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

/** Fields that the errors of a class are made of. */
type FieldsOfKind<K extends ErrorKind> = K extends "api" ? ConstructorParameters<typeof ApiError>[1]
  : K extends "model-not-available" ? ConstructorParameters<typeof ModelNotAvailableError>[1]
  : K extends "invalid-request" ? ConstructorParameters<typeof InvalidRequestError>[1]
  : K extends "timeout" ? ConstructorParameters<typeof TimeoutError>[1]
  : K extends "all-providers-failed" ? ConstructorParameters<typeof AllProvidersFailedError>[1]
  : K extends "parse" ? ConstructorParameters<typeof ParseError>[1]
  : ProviderErrorOptions;

// Not `Omit` alone, which keeps of a union what all its members have.
type WithoutCode<T> = T extends unknown ? Omit<T, "code"> : never;

/** Class of a code's errors. */
export type ErrorOf<C extends KnownCode> = Extract<AnyProviderError, { kind: KindOf<C> }>;
/** Fields of a code's errors, as its class takes them. */
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

/** Error of a code, in the class that the code belongs to. */
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
 * Whether a value is an error of this package, of a given kind if one is named. Works across copies of the
 * package, where `instanceof` does not.
 *
 * @example
 * ```ts
 * import { isProviderError, TimeoutError } from "jsr:@patinox/lmstudio";
 *
 * const error: unknown = new TimeoutError("Cannot complete: no token came", {
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

/** Adds the answer that came with a failure, where that can have left anything of one. */
export function withResponse(error: AnyProviderError, response: ChatResponse): AnyProviderError {
  if (error.kind === "api" || error.kind === "invalid-request") {
    hideIfKnown<ApiError | InvalidRequestError, "response">(error, "response", response);
  }
  return error;
}

/** Place where a call was made; without a stack where the runtime has none. */
export interface CallSite {
  readonly stack?: string;
}

/**
 * Place that a call is made at. Taken at each call, whether it fails or not: once an answer is waited for, the caller is
 * on no stack. The text is only written when it is read.
 *
 * @param above this function and those it calls are left out.
 */
export function callSite(above: unknown): CallSite {
  const site: CallSite = {};
  // Not in every browser.
  const capture: unknown = Reflect.get(Error, "captureStackTrace");
  if (typeof capture === "function") capture.call(Error, site, above);
  return site;
}

/** Adds the place of the call to the stack of an error of ours; others are given as they are. */
export function withCallSite(error: unknown, site: CallSite): unknown {
  const { stack } = site;
  if (stack === undefined || !isProviderError(error) || error.stack === undefined) return error;
  const known = new Set(error.stack.split("\n").map(placeOf));
  const missing = stack.split("\n").filter((line) => {
    const place = placeOf(line);
    return place !== undefined && !known.has(place);
  });
  // An `Error.prepareStackTrace` of the program's own may make it anything.
  if (missing.length > 0) Reflect.set(error, "stack", [error.stack, ...missing].join("\n"));
  return error;
}

/** File and line of a line in a stack: an asynchronous call has another column there than the call itself. */
function placeOf(line: string): string | undefined {
  return /^\s+at (?:.*\(|async )?(.+:\d+):\d+\)?$/.exec(line)?.[1];
}

type Remarks = typeof import("./field_remarks.ts");

const REMARKED = new WeakMap<object, (remarks: Remarks) => Error>();

/** A refusal that `withRemark` can say more about. */
export function remarkable(make: (remarks?: Remarks) => Error): Error {
  const error = make();
  REMARKED.set(error, make);
  return error;
}

/**
 * The refusal with what is to be done instead, any other error as it is. The remarks load here, so that programs whose
 * requests are right do not carry them; where they do not load, the refusal is right without.
 */
export async function withRemark(error: unknown): Promise<unknown> {
  const make = error instanceof Error ? REMARKED.get(error) : undefined;
  if (make === undefined) return error;
  return await import("./field_remarks.ts").then(make, () => error);
}

/** Runs a call: the errors of ours that it fails with have the caller's line in their stack. */
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

// An own `name` on each error would be printed twice by the runtimes' inspectors; the class name would be
// lost to minifiers.
function nameClass(of: { prototype: Error }, name: string): void {
  Object.defineProperty(of.prototype, "name", { value: name, configurable: true, writable: true });
}

// Absent rather than `undefined`: a logged error then shows only what is known.
function setIfKnown<T extends object, K extends keyof T & string>(
  target: T,
  key: K,
  value: T[K] | undefined,
): void {
  if (value !== undefined) {
    Object.defineProperty(target, key, { value, enumerable: true, configurable: true });
  }
}

// Answers are for the caller, not for whatever prints an error: not enumerable, so neither inspectors nor
// `toJSON` show them.
function hideIfKnown<T extends object, K extends keyof T & string>(
  target: T,
  key: K,
  value: T[K] | undefined,
): void {
  if (value !== undefined) {
    Object.defineProperty(target, key, { value, enumerable: false, configurable: true });
  }
}
