/** The smallest value that satisfies a JSON Schema: the fake's answer when JSON is requested. */

import { isObject, type JsonObject } from "./fake_wire.ts";

const MAX_DEPTH = 24;

const FORMATS: Readonly<Record<string, string>> = {
  "date-time": "2025-01-01T00:00:00Z",
  "date": "2025-01-01",
  "time": "00:00:00Z",
  "duration": "PT1S",
  "email": "someone@example.com",
  "hostname": "example.com",
  "ipv4": "127.0.0.1",
  "ipv6": "::1",
  "uri": "https://example.com/",
  "url": "https://example.com/",
  "uuid": "00000000-0000-4000-8000-000000000000",
};

/** A value of this shape, as shallow as the schema allows. Patterns are ignored. */
export function sampleOf(schema: unknown): unknown {
  // A recursive schema has its smallest value at the first depth that suffices.
  for (let depth = 1; depth <= MAX_DEPTH; depth++) {
    const found = sample(schema, schema, depth);
    if (found !== undefined) return found.value;
  }
  return null;
}

interface Found {
  readonly value: unknown;
}

/** `undefined` if there is no value within this depth. */
function sample(schema: unknown, root: unknown, depth: number): Found | undefined {
  if (depth <= 0 || schema === false) return undefined;
  if (!isObject(schema)) return { value: null };
  if ("const" in schema) return { value: schema.const };
  if (Array.isArray(schema.enum)) return { value: schema.enum[0] };
  if ("default" in schema) return { value: schema.default };
  if (typeof schema.$ref === "string") {
    return sample(resolve(schema.$ref, root), root, depth - 1);
  }
  const { anyOf, oneOf, allOf, ...rest } = schema;
  const alternatives = anyOf ?? oneOf;
  if (Array.isArray(alternatives)) {
    for (const alternative of alternatives) {
      const found = sample(merge(rest, alternative, root), root, depth - 1);
      if (found !== undefined) return found;
    }
    return undefined;
  }
  if (Array.isArray(allOf)) {
    const merged = allOf.reduce((sum: JsonObject, part) => merge(sum, part, root), rest);
    return sample(merged, root, depth - 1);
  }
  switch (typeOf(schema)) {
    case "object":
      return sampleObject(schema, root, depth);
    case "array":
      return sampleArray(schema, root, depth);
    case "string":
      return { value: sampleString(schema) };
    case "integer":
    case "number":
      return { value: sampleNumber(schema) };
    case "boolean":
      return { value: false };
    default:
      return { value: null };
  }
}

function sampleObject(schema: JsonObject, root: unknown, depth: number): Found | undefined {
  const properties = isObject(schema.properties) ? schema.properties : {};
  const required = Array.isArray(schema.required) ? schema.required.map(String) : [];
  const value: Record<string, unknown> = {};
  for (const name of required) {
    const found = sample(properties[name] ?? {}, root, depth - 1);
    if (found === undefined) return undefined;
    value[name] = found.value;
  }
  return { value };
}

function sampleArray(schema: JsonObject, root: unknown, depth: number): Found | undefined {
  const prefix: readonly unknown[] = Array.isArray(schema.prefixItems)
    ? schema.prefixItems
    : Array.isArray(schema.items)
    ? schema.items
    : [];
  const value: unknown[] = [];
  const length = Math.max(numberOf(schema.minItems, 0), prefix.length);
  for (let index = 0; index < length; index++) {
    const found = sample(prefix[index] ?? schema.items ?? {}, root, depth - 1);
    if (found === undefined) return undefined;
    value.push(found.value);
  }
  return { value };
}

function sampleString(schema: JsonObject): string {
  const format = FORMATS[String(schema.format)];
  if (format !== undefined) return format;
  return "text".padEnd(numberOf(schema.minLength, 0), "x")
    .slice(0, numberOf(schema.maxLength, Infinity));
}

function sampleNumber(schema: JsonObject): number {
  const step = numberOf(schema.multipleOf, schema.type === "integer" ? 1 : 0);
  const above = schema.exclusiveMinimum;
  const below = schema.exclusiveMaximum;
  const low = Math.max(numberOf(schema.minimum, -Infinity), numberOf(above, -Infinity));
  const high = Math.min(numberOf(schema.maximum, Infinity), numberOf(below, Infinity));
  let value = low > 0 ? low : high < 0 ? high : 0;
  if (step > 0) value = (low > 0 ? Math.ceil(value / step) : Math.floor(value / step)) * step;
  const gap = step > 0 ? step : Number.isFinite(low + high) ? (high - low) / 2 : 1;
  if (typeof above === "number" && value <= above) value += gap;
  if (typeof below === "number" && value >= below) value -= gap;
  return value;
}

function typeOf(schema: JsonObject): string | undefined {
  const { type } = schema;
  if (typeof type === "string") return type;
  if (Array.isArray(type)) return String(type[0]);
  if ("properties" in schema || "required" in schema) return "object";
  return "items" in schema || "prefixItems" in schema ? "array" : undefined;
}

function merge(one: JsonObject, other: unknown, root: unknown): JsonObject {
  const target = isObject(other) && typeof other.$ref === "string"
    ? resolve(other.$ref, root)
    : other;
  if (!isObject(target)) return one;
  const lists = [one.required, target.required].filter(Array.isArray).flat();
  const merged: Record<string, unknown> = { ...one, ...target };
  if (isObject(one.properties) && isObject(target.properties)) {
    merged.properties = { ...one.properties, ...target.properties };
  }
  if (lists.length > 0) merged.required = lists;
  return merged;
}

/** Follows `#/…` within the document. */
function resolve(reference: string, root: unknown): unknown {
  let target = root;
  for (const step of reference.replace(/^#\/?/, "").split("/")) {
    if (step === "") continue;
    const name = decodeURIComponent(step).replaceAll("~1", "/").replaceAll("~0", "~");
    target = isObject(target) ? target[name] : undefined;
  }
  return target;
}

function numberOf(value: unknown, fallback: number): number {
  return typeof value === "number" ? value : fallback;
}
