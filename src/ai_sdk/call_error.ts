/**
 * Turns errors of this package into errors of the AI SDK. The SDK recognizes its errors by symbols, not by classes, so
 * that any package can create them.
 *
 * @see https://github.com/vercel/ai/tree/main/packages/provider/src/errors
 * @module
 */

import { type AnyProviderError, isProviderError, providerError } from "../core/errors.ts";

/** The SDK's names for the errors created here. */
type SdkErrorName =
  | "AI_APICallError"
  | "AI_InvalidResponseDataError"
  | "AI_LoadSettingError"
  | "AI_NoSuchModelError"
  | "AI_UnsupportedFunctionalityError";

const MARKER = "vercel.ai.error";

/** An error that passes the SDK's `isInstance` for each of these names. The first becomes its `name`. */
class SdkError extends Error {
  constructor(names: readonly SdkErrorName[], message: string, fields: Record<string, unknown>) {
    const { cause, ...rest } = fields;
    super(message, cause === undefined ? undefined : { cause });
    for (const symbol of [MARKER, ...names.map((name) => `${MARKER}.${name}`)]) {
      Object.defineProperty(this, Symbol.for(symbol), { value: true });
    }
    Object.defineProperty(this, "name", { value: names[0] });
    for (const [name, value] of Object.entries(rest)) {
      if (value !== undefined) Object.defineProperty(this, name, { value, enumerable: true });
    }
  }
}

/** A failed call is an `APICallError`; with these codes it is more specific as well. */
const NAMES_BY_CODE: Readonly<Record<string, readonly SdkErrorName[]>> = {
  model_not_found: ["AI_NoSuchModelError", "AI_APICallError"],
  unsupported_content: ["AI_UnsupportedFunctionalityError", "AI_APICallError"],
  malformed_response: ["AI_InvalidResponseDataError", "AI_APICallError"],
  malformed_stream: ["AI_InvalidResponseDataError", "AI_APICallError"],
  invalid_configuration: ["AI_LoadSettingError"],
};
const CALL: readonly SdkErrorName[] = ["AI_APICallError"];

/** Kind of model in the SDK. */
export type ModelType = "languageModel" | "embeddingModel" | "decisionModel" | "imageModel";

/** The requested model. */
export interface AskedModel {
  readonly modelId: string;
  readonly modelType: ModelType;
}

/**
 * Turns an error of this package into one of the SDK's, with the same message and the original as `cause`. Anything
 * else, such as the reason of an abort, is returned unchanged. The result has neither prompt nor API token.
 */
export function toSdkError(error: unknown, asked?: AskedModel): unknown {
  return isProviderError(error)
    ? new SdkError(NAMES_BY_CODE[error.code] ?? CALL, error.message, fieldsOf(error, asked))
    : error;
}

function fieldsOf(error: AnyProviderError, asked: AskedModel | undefined): Record<string, unknown> {
  const { code, kind, hint, endpoint, status, retriable, retryAfterMs } = error;
  return {
    cause: error,
    url: endpoint ?? "",
    // Left empty: the request has the prompt, which belongs in no error.
    requestBodyValues: {},
    statusCode: status,
    isRetryable: retriable,
    // The SDK waits this long before it retries.
    responseHeaders: retryAfterMs === undefined
      ? undefined
      : { "retry-after-ms": String(retryAfterMs) },
    data: { code, kind, hint },
    ...(code === "model_not_found" ? asked : undefined),
    functionality: code === "unsupported_content" ? "message content" : undefined,
  };
}

/** The error for a kind of model that LM Studio does not have. */
export function noSuchModel(asked: AskedModel, message: string): Error {
  return new SdkError(["AI_NoSuchModelError"], message, { ...asked });
}

/** The error for a part of a call that has no JSON. */
export function unwritable(name: string, cause: unknown): unknown {
  return toSdkError(providerError(
    "serialization_failed",
    `Cannot send ${name}: it cannot be written as JSON`,
    { service: "LM Studio", attempts: 0, cause },
  ));
}

/** The error for content that cannot be sent to LM Studio. */
export function unsupported(functionality: string, message: string): Error {
  return new SdkError(["AI_UnsupportedFunctionalityError"], message, { functionality });
}
