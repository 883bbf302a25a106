/**
 * Errors on their way to another client. LM Studio sends many as `{"error":"text"}`; clients look for
 * `error.message`, and show the status alone where it is missing. Those of Anthropic's routes look for
 * `error.type` as well.
 *
 * @module
 */

import { parseJson } from "../core/plain_text.ts";
import { isRecord } from "../core/fields.ts";

/** How a family of clients expects an error, beside its message. */
export interface ErrorStyle {
  /** Whether an error has to say `"type": "error"` beside it and a type of its own, as Anthropic's do. */
  readonly isTyped: boolean;
}

/** Errors as clients of OpenAI's routes read them. */
export const PLAIN_ERRORS: ErrorStyle = { isTyped: false };
/** Errors as clients of `/v1/messages` read them. */
export const TYPED_ERRORS: ErrorStyle = { isTyped: true };

/** The JSON with its error as the client expects it; `undefined` where there is nothing to change. */
export function withErrorObject(json: string, { isTyped }: ErrorStyle): string | undefined {
  // Most of a stream is no error, and need not be decoded for this.
  if (!(isTyped ? /"error"/ : /"error"\s*:\s*"/).test(json)) return undefined;
  const value = parseJson(json);
  if (!isRecord(value)) return undefined;
  const { error } = value;
  const isText = typeof error === "string" && error.trim() !== "";
  const given = isText ? { message: error } : isRecord(error) ? error : undefined;
  if (given === undefined) return undefined;
  if (!isTyped) return isText ? JSON.stringify({ ...value, error: given }) : undefined;
  if (value.type === "error" && typeof given.type === "string") return undefined;
  const type = typeof given.type === "string" ? given.type : "api_error";
  return JSON.stringify({ ...value, type: "error", error: { ...given, type } });
}
