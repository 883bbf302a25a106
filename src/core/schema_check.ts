/**
 * Validation with schemas from any library, and descriptions of the issues found.
 *
 * @module
 */

import { describePath } from "./unwritable.ts";
import { cutText, withoutUnseen } from "./plain_text.ts";
import type { SchemaIssue, StandardSchema } from "./schema.ts";

/** Result of validating a value. */
export type SchemaVerdict =
  | { readonly kind: "valid"; readonly value: unknown }
  | { readonly kind: "invalid"; readonly issues: readonly SchemaIssue[] }
  | { readonly kind: "thrown"; readonly error: unknown };

/** Longest message kept: some libraries quote the value, which may be as long as an answer. */
const LONGEST_MESSAGE = 200;

const NO_REASON: readonly SchemaIssue[] = [{ message: "Rejected without a reason" }];

/** Validates a value. Never rejects: an exception from the validator is returned as a verdict. */
export async function checkBySchema(
  schema: StandardSchema,
  value: unknown,
): Promise<SchemaVerdict> {
  const standard = schema["~standard"];
  // The schema can only generate JSON Schema.
  if (typeof standard.validate !== "function") return { kind: "valid", value };
  try {
    const result = await standard.validate(value);
    if (typeof result !== "object" || result === null) {
      return { kind: "thrown", error: new TypeError("The schema's validate() returned no result") };
    }
    if (result.issues === undefined) return { kind: "valid", value: result.value };
    const issues = Array.isArray(result.issues) ? result.issues.map(toPlainIssue) : [];
    return { kind: "invalid", issues: issues.length > 0 ? issues : NO_REASON };
  } catch (error) {
    return { kind: "thrown", error };
  }
}

/** Describes an issue on one line: `tags[0].name: Invalid input: expected string, received number`. */
export function describeIssue({ message, path = [] }: SchemaIssue): string {
  return path.length === 0 ? message : `${describePath(path.map(keyOf))}: ${message}`;
}

/** Keeps the message and the path only: issues from libraries have more fields, including input values. */
function toPlainIssue({ message, path }: SchemaIssue): SchemaIssue {
  return {
    message: cutText(withoutUnseen(String(message)), LONGEST_MESSAGE),
    ...(path === undefined ? {} : { path: Array.from(path, keyOf) }),
  };
}

function keyOf(step: PropertyKey | { readonly key: PropertyKey }): PropertyKey {
  return typeof step === "object" ? step.key : step;
}
