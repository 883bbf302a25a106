/**
 * Errors of this package as the AI SDK knows them: it recognises its own by symbols, not by classes, so that they may
 * come from anywhere.
 *
 * @see https://github.com/vercel/ai/tree/main/packages/provider/src/errors
 * @module
 */

import { type AnyProviderError, isProviderError } from "../core/errors.ts";

/** The SDK's names of the errors that come from here. */
type SdkErrorName =
  | "AI_APICallError"
  | "AI_InvalidResponseDataError"
  | "AI_LoadSettingError"
  | "AI_NoSuchModelError"
  | "AI_UnsupportedFunctionalityError";

const MARKER = "vercel.ai.error";

/** An error for which the SDK's `isInstance` of each of its names holds. The first is its `name`. */
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

/** A failed call is an `APICallError`; by its code it may be one of these first. */
const NAMES_BY_CODE: Readonly<Record<string, readonly SdkErrorName[]>> = {
  model_not_found: ["AI_NoSuchModelError", "AI_APICallError"],
  unsupported_content: ["AI_UnsupportedFunctionalityError", "AI_APICallError"],
  malformed_response: ["AI_InvalidResponseDataError", "AI_APICallError"],
  malformed_stream: ["AI_InvalidResponseDataError", "AI_APICallError"],
  invalid_configuration: ["AI_LoadSettingError"],
};
const CALL: readonly SdkErrorName[] = ["AI_APICallError"];

/** Purpose of a model of the SDK. */
export type ModelType = "languageModel" | "embeddingModel" | "decisionModel" | "imageModel";

/** Which model was asked. */
export interface AskedModel {
  readonly modelId: string;
  readonly modelType: ModelType;
}

/**
 * An error of this package as the SDK's own, with the same sentence and the error itself as `cause`; whatever else was
 * thrown, such as the reason of an abort, as it is. Neither a prompt nor a token is in it.
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
    // The prompt is in the request: no error has it.
    requestBodyValues: {},
    statusCode: status,
    isRetryable: retriable,
    // The SDK waits as long as this says before it asks again.
    responseHeaders: retryAfterMs === undefined
      ? undefined
      : { "retry-after-ms": String(retryAfterMs) },
    data: { code, kind, hint },
    ...(code === "model_not_found" ? asked : undefined),
    functionality: code === "unsupported_content" ? "content of a message" : undefined,
  };
}

/** The error for a model of a kind that LM Studio does not have. */
export function noSuchModel(asked: AskedModel, message: string): Error {
  return new SdkError(["AI_NoSuchModelError"], message, { ...asked });
}

/** The error for what cannot be sent to LM Studio. */
export function unsupported(functionality: string, message: string): Error {
  return new SdkError(["AI_UnsupportedFunctionalityError"], message, { functionality });
}
