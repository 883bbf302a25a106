/**
 * JSON Schema out of what users hand in.
 *
 * @module
 */

import { isRecord, type Refuse } from "../core/request_checks.ts";
import type { JsonSchema, StandardSchema } from "../core/schema.ts";

const GIVE_JSON_SCHEMA =
  "Use a schema that gives JSON Schema (zod 4, ArkType, or another one through `toStandardJsonSchema`), or plain JSON Schema.";

/** Whether a value follows Standard Schema. ArkType's are functions. */
export function isStandardSchema(value: unknown): value is StandardSchema {
  return (typeof value === "object" || typeof value === "function") && value !== null &&
    "~standard" in value && isRecord(value["~standard"]);
}

/**
 * The JSON Schema of `schema`.
 *
 * @param name what the schema is, for errors.
 */
export function toJsonSchema(
  schema: JsonSchema | StandardSchema,
  name: string,
  code: "invalid_tool_schema" | "unsupported_response_format",
  refuse: Refuse,
): Record<string, unknown> {
  if (!isStandardSchema(schema)) {
    if (isRecord(schema)) return { ...schema };
    throw refuse(`${name} is not a schema`, code, GIVE_JSON_SCHEMA);
  }
  const { jsonSchema, vendor } = schema["~standard"];
  if (typeof jsonSchema?.input !== "function") {
    throw refuse(`${name}, a schema of ${vendor}, gives no JSON Schema`, code, GIVE_JSON_SCHEMA);
  }
  // Libraries may know only one of the two, and throw for the other.
  for (const target of ["draft-07", "draft-2020-12"]) {
    try {
      return jsonSchema.input({ target });
    } catch {
      continue;
    }
  }
  throw refuse(
    `${name}, a schema of ${vendor}, cannot be written as JSON Schema`,
    code,
    GIVE_JSON_SCHEMA,
  );
}
