/**
 * Validation by schemas of any library, with the issues found in words.
 *
 * @module
 */

import { describePath } from "./unwritable.ts";
import { cutText, withoutUnseen } from "./plain_text.ts";
import type { SchemaIssue, StandardSchema } from "./schema.ts";

/** Verdict of a schema on a value. */
export type SchemaVerdict =
  | { readonly kind: "valid"; readonly value: unknown }
  | { readonly kind: "invalid"; readonly issues: readonly SchemaIssue[] }
  | { readonly kind: "thrown"; readonly error: unknown };

/** Some libraries quote the value, which may be as long as an answer. */
const LONGEST_MESSAGE = 200;

const NO_REASON: readonly SchemaIssue[] = [{ message: "The value does not fit" }];

/** Validates. Does not reject: what a validator throws is a verdict, too. */
export async function checkBySchema(
  schema: StandardSchema,
  value: unknown,
): Promise<SchemaVerdict> {
  const standard = schema["~standard"];
  // One that only describes itself as JSON Schema.
  if (typeof standard.validate !== "function") return { kind: "valid", value };
  try {
    const result = await standard.validate(value);
    if (typeof result !== "object" || result === null) {
      return { kind: "thrown", error: new TypeError("The schema's validate() gave no result") };
    }
    if (result.issues === undefined) return { kind: "valid", value: result.value };
    const issues = Array.isArray(result.issues) ? result.issues.map(toPlainIssue) : [];
    return { kind: "invalid", issues: issues.length > 0 ? issues : NO_REASON };
  } catch (error) {
    return { kind: "thrown", error };
  }
}

/** One line: `tags[0].name: Invalid input: expected string, received number`. */
export function describeIssue({ message, path = [] }: SchemaIssue): string {
  return path.length === 0 ? message : `${describePath(path.map(keyOf))}: ${message}`;
}

/** Libraries' own issues have much more on them, input values included. */
function toPlainIssue({ message, path }: SchemaIssue): SchemaIssue {
  return {
    message: cutText(withoutUnseen(String(message)), LONGEST_MESSAGE),
    ...(path === undefined ? {} : { path: Array.from(path, keyOf) }),
  };
}

function keyOf(step: PropertyKey | { readonly key: PropertyKey }): PropertyKey {
  return typeof step === "object" ? step.key : step;
}
