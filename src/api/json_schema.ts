/**
 * JSON Schema out of what users hand in.
 *
 * @module
 */

import { isRecord, type Refuse } from "../core/request_checks.ts";
import type { JsonSchema, StandardSchema } from "../core/schema.ts";

const GIVE_JSON_SCHEMA =
  "Use a schema that gives JSON Schema (zod 4, ArkType, Valibot or another one through its `toStandardJsonSchema`), or plain JSON Schema.";

/**
 * Libraries may know only one of the two, and throw for the other. The older one comes first: engines know its tuples
 * (`items` as a list), and take the `items: false` of the newer one for a schema.
 */
const TARGETS = ["draft-07", "draft-2020-12"];

/** Whether a value follows Standard Schema. ArkType's are functions. */
export function isStandardSchema(value: unknown): value is StandardSchema {
  return (typeof value === "object" || typeof value === "function") && value !== null &&
    "~standard" in value && isRecord(value["~standard"]);
}

/**
 * The JSON Schema of `schema`: plain JSON Schema as it is, of others what goes in.
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
  for (const target of TARGETS) {
    try {
      const written: unknown = jsonSchema.input({ target });
      if (isRecord(written) && !(written instanceof Promise)) return withNamedRefs(written);
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

// --- References -------------------------------------------------------------------------------

/** Below these there are values, not schemas. */
const VALUE_KEYWORDS: ReadonlySet<string> = new Set(["const", "enum", "default", "examples"]);
/** Below these the keys are names, not keywords. */
const NAME_KEYWORDS: ReadonlySet<string> = new Set([
  "properties",
  "patternProperties",
  "dependentSchemas",
  "definitions",
  "$defs",
]);

/**
 * The same schema with every reference of the form `#/…` and an outermost schema that is none. llama.cpp refuses `#`,
 * which is how zod writes a recursive schema; ArkType's has a reference outermost, where tools need `properties`.
 */
function withNamedRefs(schema: Record<string, unknown>): Record<string, unknown> {
  const root = inlineRoot(schema);
  const keyword = "$defs" in root ? "$defs" : "definitions";
  const { [keyword]: definitions, $schema: _draft, ...self } = root;
  const known = isRecord(definitions) ? definitions : {};
  let name = "self";
  while (Object.hasOwn(known, name)) name += "_";
  let isUsed = false;
  const rename = (part: unknown, areNames: boolean): unknown => {
    if (Array.isArray(part)) return part.map((item) => rename(item, false));
    if (!isRecord(part)) return part;
    const entries = Object.entries(part).map(([key, value]) => {
      if (!areNames && key === "$ref" && value === "#") {
        isUsed = true;
        return [key, `#/${keyword}/${name}`];
      }
      if (!areNames && VALUE_KEYWORDS.has(key)) return [key, value];
      return [key, rename(value, !areNames && NAME_KEYWORDS.has(key))];
    });
    return Object.fromEntries(entries);
  };
  const renamed = rename({ ...root, [keyword]: { ...known, [name]: self } }, false);
  return isUsed && isRecord(renamed) ? renamed : root;
}

function inlineRoot(schema: Record<string, unknown>): Record<string, unknown> {
  const { $ref: reference, ...rest } = schema;
  const [, keyword = "", name = ""] = typeof reference === "string"
    ? /^#\/(\$defs|definitions)\/([^/~%]+)$/.exec(reference) ?? []
    : [];
  const definitions = schema[keyword];
  const target = isRecord(definitions) && Object.hasOwn(definitions, name)
    ? definitions[name]
    : undefined;
  return isRecord(target) ? { ...rest, ...target } : schema;
}
