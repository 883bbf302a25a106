/**
 * Checks of values to be written as JSON: finds those that JSON would silently drop or change. Loads with the first
 * request that needs such checks.
 *
 * @module
 */

import type { Rule } from "./checks.ts";
import { isRecord, quote } from "./fields.ts";

/** Rule for an object whose fields are sent unchanged. */
export const writable: Rule = (value, of, refusal) => {
  // The fields are merged into the request: a `toJSON` function among them would replace the whole request.
  const found = isRecord(value) && Object.hasOwn(value, "toJSON") && writesItself(value)
    ? { path: "toJSON", what: "a function" }
    : findUnwritable(value);
  if (found === undefined) return value;
  const place = found.path === "" ? of : `${of}.${found.path}`;
  throw refusal(`${place} is ${found.what}, which JSON cannot represent`);
};

/** Describes a path in a value: `tags[0].name`. */
export function describePath(path: readonly PropertyKey[]): string {
  const text = path.map((key) => {
    if (typeof key === "number") return `[${key}]`;
    return typeof key === "string" && /^[a-z_$][\w$]{0,79}$/i.test(key)
      ? `.${key}`
      : `[${quote(String(key))}]`;
  }).join("");
  return text.replace(/^\./, "");
}

/** Part of a value that cannot be written as JSON. */
export interface Unwritable {
  /** Path of the part, such as `stop[1]`; empty for the value itself. */
  readonly path: string;
  /** Kind of the part, such as `undefined` or `a function`. */
  readonly what: string;
}

/** Describes what is wrong with a value; returns `undefined` if nothing is. */
export type Judge = (value: unknown) => string | undefined;

interface Place {
  readonly value: unknown;
  readonly key?: PropertyKey;
  readonly parent?: Place;
}

/**
 * Finds the first value in `root` that JSON cannot represent. Fields that are `undefined` count as absent, but array
 * items do not: JSON would write `null`. Iterates instead of recursing, since values may be nested arbitrarily deep.
 *
 * @param judge additional check, called on each value first.
 */
export function findUnwritable(
  root: unknown,
  judge: Judge = () => undefined,
): Unwritable | undefined {
  const seen = new Set<unknown>();
  const waiting: Place[] = [{ value: root }];
  for (let place = waiting.pop(); place !== undefined; place = waiting.pop()) {
    const { value } = place;
    const what = judge(value) ?? notJson(value);
    if (what !== undefined) return { path: describePath(keysTo(place)), what };
    if (typeof value !== "object" || value === null || seen.has(value) || writesItself(value)) {
      continue;
    }
    // A cycle is refused later, when the JSON is written.
    seen.add(value);
    const parent = place;
    // Not `Object.entries` for arrays: it skips holes, which JSON writes as `null`.
    const inside: Place[] = Array.isArray(value)
      ? Array.from(value, (item: unknown, key) => ({ value: item, key, parent }))
      : Object.entries(value).filter(([, field]) => field !== undefined)
        .map(([key, field]) => ({ value: field, key, parent }));
    for (const next of inside.reverse()) waiting.push(next);
  }
  return undefined;
}

function keysTo(place: Place): PropertyKey[] {
  const keys: PropertyKey[] = [];
  for (let at: Place | undefined = place; at !== undefined; at = at.parent) {
    if (at.key !== undefined) keys.unshift(at.key);
  }
  return keys;
}

/** Tests whether a value has a `toJSON` method. */
function writesItself(value: object): boolean {
  return typeof Reflect.get(value, "toJSON") === "function";
}

function notJson(value: unknown): string | undefined {
  switch (typeof value) {
    case "function":
      return "a function";
    case "symbol":
      return "a symbol";
    case "undefined":
      return "undefined";
    case "number":
      return Number.isFinite(value) ? undefined : String(value);
    case "object":
      return value === null ? undefined : emptyInstance(value);
    default:
      return undefined;
  }
}

/** Describes an instance, such as one of `RegExp` or `Map`, which JSON writes as `{}`, without its content. */
function emptyInstance(value: object): string | undefined {
  const prototype: object | null = Object.getPrototypeOf(value);
  // Plain objects of another realm have another `Object.prototype`, but that has no prototype either.
  if (prototype === null || Object.getPrototypeOf(prototype) === null) return undefined;
  if (Array.isArray(value) || writesItself(value) || Object.keys(value).length > 0) {
    return undefined;
  }
  const { name } = value.constructor;
  return `an instance of ${name || "a class"}`;
}
