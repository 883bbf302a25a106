/**
 * Errors forwarded to another client. LM Studio sends many as `{"error":"text"}`, but clients look for `error.message`
 * and show only the status without it. Clients of Anthropic-style routes also look for `error.type`.
 *
 * @module
 */

import { parseJson } from "../core/plain_text.ts";
import { isRecord } from "../core/fields.ts";

/** The form of errors that a family of clients expects. */
export interface ErrorStyle {
  /** Whether an error needs a type of its own, and `"type": "error"` next to it, as in Anthropic's API. */
  readonly isTyped: boolean;
}

/** Errors for clients of OpenAI-style routes. */
export const PLAIN_ERRORS: ErrorStyle = { isTyped: false };
/** Errors for clients of `/v1/messages`. */
export const TYPED_ERRORS: ErrorStyle = { isTyped: true };

/** Rewrites JSON so that its error has the form the client expects; `undefined` if nothing has to change. */
export function withErrorObject(json: string, { isTyped }: ErrorStyle): string | undefined {
  // Most events of a stream are not errors, so parsing them is avoided.
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
