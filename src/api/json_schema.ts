/**
 * Turns the schemas that users pass into JSON Schema. Loaded with the first request that has a schema or tools.
 *
 * @module
 */

import { describeType, type RefusalMaker } from "../core/checks.ts";
import { isRecord, quote } from "../core/fields.ts";
import { importSchemas } from "../core/import_schemas.ts";
import type { JsonSchema, StandardSchema } from "../core/schema.ts";
import { findUnwritable } from "../core/unwritable.ts";

/** How a schema is used, for errors about it. */
export interface SchemaUse {
  /** Name of the schema in errors. */
  readonly name: string;
  readonly code: "invalid_tool_schema" | "unsupported_response_format";
  readonly refusal: RefusalMaker;
  /** Completes "Cannot …". */
  readonly action: string;
}

const GIVE_JSON_SCHEMA =
  "Use a schema that provides JSON Schema (zod 4, ArkType, or Valibot through `toStandardJsonSchema`), or plain JSON Schema.";
const NOT_ZOD_3 =
  "Write it with zod 4 (`npm:zod@4`, or `zod/v4` from zod 3.25), or pass plain JSON Schema, such as the output of the " +
  "package zod-to-json-schema.";
const UNWRAP =
  "Pass only the inner JSON Schema: the wrapper that OpenAI's clients need is added for you.";
const WRAP_FIELDS = 'Put the fields under `properties`: `{ type: "object", properties: { … } }`.';

/**
 * A library may know only one of the two and throw for the other. The older one comes first because engines know its
 * tuples (`items` as a list) but mistake the newer one's `items: false` for a schema.
 */
const TARGETS = ["draft-07", "draft-2020-12"] as const;

/** How each library writes an object schema. */
const WRAPPERS: Readonly<Record<string, string>> = {
  "zod": "z.object({ … })",
  "zod 3": "z.object({ … })",
  "valibot": "toStandardJsonSchema(v.object({ … }))",
  "arktype": "type({ … })",
};

/** Whether a value follows Standard Schema. ArkType schemas are functions. */
export function isStandardSchema(value: unknown): value is StandardSchema {
  return (typeof value === "object" || typeof value === "function") && value !== null &&
    "~standard" in value && isRecord(value["~standard"]);
}

/** The JSON Schema of `schema`: plain JSON Schema unchanged, otherwise the schema of the library's input. */
export async function toJsonSchema(
  schema: JsonSchema | StandardSchema,
  use: SchemaUse,
): Promise<Record<string, unknown>> {
  const { name, code, refusal } = use;
  const library = libraryOf(schema);
  if (library === undefined) {
    checkPlainSchema(schema, use);
    return { ...schema };
  }
  for (const target of TARGETS) {
    const write = await writerOf(schema, target, use);
    if (write === undefined) {
      const hint = library === "zod 3" ? NOT_ZOD_3 : GIVE_JSON_SCHEMA;
      throw refusal(
        `${name}, made with ${library}, cannot provide JSON Schema`,
        code,
        hint,
      );
    }
    try {
      const written: unknown = write();
      if (isRecord(written) && !(written instanceof Promise)) return withNamedRefs(written);
    } catch {
      continue;
    }
  }
  throw refusal(
    `${name}, made with ${library}, cannot be written as JSON Schema`,
    code,
    GIVE_JSON_SCHEMA,
  );
}

/** Returns a function that writes a library's schema as JSON Schema, if the library can. */
async function writerOf(
  schema: unknown,
  target: typeof TARGETS[number],
  { action }: SchemaUse,
): Promise<(() => unknown) | undefined> {
  const { jsonSchema } = isStandardSchema(schema) ? schema["~standard"] : {};
  if (typeof jsonSchema?.input === "function") return () => jsonSchema.input({ target });
  // zod 4 has had `jsonSchema` since 4.2 and zod/mini never: our own zod reads the schemas of both.
  if (!isZod4(schema)) return undefined;
  const load = () => import("./zod_schemas.ts");
  const { writeZodSchema } = await importSchemas(load, action, "writes the schema");
  return () => writeZodSchema(schema, target);
}

/** The library a schema was made with; `undefined` if it is not a library's schema. */
function libraryOf(value: unknown): string | undefined {
  const isObject = (typeof value === "object" || typeof value === "function") && value !== null;
  if (!isObject) return undefined;
  // Before 3.24, zod 3 schemas do not follow Standard Schema.
  const isZod3 = !isZod4(value) && "_def" in value && "safeParse" in value;
  if (isZod3) return "zod 3";
  return isStandardSchema(value) ? value["~standard"].vendor : undefined;
}

function isZod4(value: unknown): boolean {
  return typeof value === "object" && value !== null && "_zod" in value && isRecord(value._zod);
}

// --- Plain JSON Schema ------------------------------------------------------------------------

/** The keywords, and the type a value must have so as not to be a user's own field of the same name. */
const KEYWORDS: Readonly<
  Record<Exclude<keyof JsonSchema, "~standard" | "_def">, "text" | "any">
> = {
  $schema: "text",
  $id: "text",
  $anchor: "text",
  $comment: "text",
  $ref: "text",
  $defs: "any",
  definitions: "any",
  title: "text",
  description: "text",
  default: "any",
  examples: "any",
  deprecated: "any",
  readOnly: "any",
  writeOnly: "any",
  nullable: "any",
  type: "any",
  enum: "any",
  const: "any",
  properties: "any",
  patternProperties: "any",
  additionalProperties: "any",
  unevaluatedProperties: "any",
  propertyNames: "any",
  required: "any",
  dependencies: "any",
  dependentRequired: "any",
  dependentSchemas: "any",
  minProperties: "any",
  maxProperties: "any",
  items: "any",
  prefixItems: "any",
  additionalItems: "any",
  unevaluatedItems: "any",
  contains: "any",
  minContains: "any",
  maxContains: "any",
  minItems: "any",
  maxItems: "any",
  uniqueItems: "any",
  minLength: "any",
  maxLength: "any",
  pattern: "text",
  format: "text",
  contentEncoding: "text",
  contentMediaType: "text",
  minimum: "any",
  maximum: "any",
  exclusiveMinimum: "any",
  exclusiveMaximum: "any",
  multipleOf: "any",
  allOf: "any",
  anyOf: "any",
  oneOf: "any",
  not: "any",
  if: "any",
  then: "any",
  else: "any",
};
const TYPES: ReadonlySet<unknown> = new Set([
  ...["object", "array", "string", "number", "integer", "boolean", "null"],
]);
/** Field names shown in the error about a schema without keywords. */
const SHOWN_NAMES = 3;

/** Refuses a schema that would be sent as something else, or that describes nothing. */
function checkPlainSchema(schema: unknown, { name, code, refusal }: SchemaUse): void {
  if (!isRecord(schema)) {
    throw refusal(`${name} is ${describeType(schema)}, not a schema`, code, GIVE_JSON_SCHEMA);
  }
  const found = findUnwritable(schema, (value) => {
    const library = libraryOf(value);
    return library === undefined ? undefined : `a schema made with ${library}`;
  });
  if (found !== undefined) {
    const library = found.what.replace("a schema made with ", "");
    const isShape = Object.keys(schema).includes(found.path);
    const place = isShape ? quote(found.path) : found.path;
    const state = `${place === "" ? "" : `the field ${place} of `}${name} is ${found.what}`;
    if (library === found.what) throw refusal(state, code, GIVE_JSON_SCHEMA);
    const wrapper = WRAPPERS[library] ?? "an object of that library";
    const why = isShape ? ": a raw shape is not a schema" : ", inside plain JSON Schema";
    throw refusal(
      `${state}${why}`,
      code,
      `Pass one schema for the whole object, such as ${wrapper}.`,
    );
  }
  const names = Object.keys(schema).filter((field) => schema[field] !== undefined);
  const isKeyword = (field: string): boolean =>
    Object.hasOwn(KEYWORDS, field) || field.startsWith("$");
  if (names.length > 0 && !names.some(isKeyword)) {
    const shown = names.slice(0, SHOWN_NAMES).map(quote).join(", ");
    const state = `no field of ${name} is a JSON Schema keyword, such as "type": found ${shown}`;
    throw refusal(state, code, isRecord(schema.schema) ? UNWRAP : WRAP_FIELDS);
  }
  const types: unknown[] = [schema.type].flat();
  const odd = types.find((type): type is string => typeof type === "string" && !TYPES.has(type));
  if (odd !== undefined) {
    const state = `the type of ${name} is ${quote(odd)}, not one of ${[...TYPES].join(", ")}`;
    throw refusal(state, code, isRecord(schema.json_schema) ? UNWRAP : undefined);
  }
  for (const [field, form] of Object.entries(KEYWORDS)) {
    // An object here is a user's field, not the keyword of that name.
    if (!isRecord(schema[field]) || (form === "any" && field !== "type")) continue;
    throw refusal(
      `the field ${quote(field)} of ${name} is an object, not a string`,
      code,
      WRAP_FIELDS,
    );
  }
}

// --- References -------------------------------------------------------------------------------

/** Keywords that hold values, not schemas. */
const VALUE_KEYWORDS: ReadonlySet<string> = new Set(["const", "enum", "default", "examples"]);
/** Keywords that hold an object whose keys are names, not keywords. */
const NAME_KEYWORDS: ReadonlySet<string> = new Set([
  "properties",
  "patternProperties",
  "dependentSchemas",
  "definitions",
  "$defs",
]);

/**
 * Rewrites a schema so that every reference has the form `#/…` and the root is not a reference. llama.cpp refuses `#`,
 * which zod writes for recursive schemas; ArkType puts a reference at the root, where tools need `properties`.
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
