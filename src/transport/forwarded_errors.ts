/**
 * Errors on their way to another client. LM Studio sends many as `{"error":"text"}`; clients look for
 * `error.message`, and show the status alone where it is missing.
 *
 * @module
 */

import { parseJson } from "../core/plain_text.ts";
import { isRecord } from "../core/fields.ts";

/** The JSON with its error as an object, where it was a text; `undefined` where there is nothing to change. */
export function withErrorObject(json: string): string | undefined {
  // Most of a stream is no error, and need not be decoded for this.
  if (!/"error"\s*:\s*"/.test(json)) return undefined;
  const value = parseJson(json);
  if (!isRecord(value) || typeof value.error !== "string" || value.error.trim() === "") {
    return undefined;
  }
  return JSON.stringify({ ...value, error: { message: value.error } });
}
