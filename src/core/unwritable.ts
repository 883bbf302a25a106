/**
 * Values that are to be written as JSON: what JSON would drop, or turn into something else without a word. Loads with the
 * first request that has such values.
 *
 * @module
 */

import type { Rule } from "./checks.ts";
import { isRecord, quote } from "./fields.ts";

/** Rule of an object of fields that are sent as they are. */
export const writable: Rule = (value, of, refusal) => {
  // The fields are sent, not the object: a `toJSON` among them would write the whole request.
  const found = isRecord(value) && Object.hasOwn(value, "toJSON") && writesItself(value)
    ? { path: "toJSON", what: "a function" }
    : findUnwritable(value);
  if (found === undefined) return value;
  const place = found.path === "" ? of : `${of}.${found.path}`;
  throw refusal(`${place} is ${found.what}, which JSON cannot hold`);
};

/** A place in a value: `tags[0].name`. */
export function describePath(path: readonly PropertyKey[]): string {
  const text = path.map((key) => {
    if (typeof key === "number") return `[${key}]`;
    return typeof key === "string" && /^[a-z_$][\w$]{0,79}$/i.test(key)
      ? `.${key}`
      : `[${quote(String(key))}]`;
  }).join("");
  return text.replace(/^\./, "");
}

/** Part of a value that cannot be written. */
export interface Unwritable {
  /** Its place, such as `stop[1]`; empty for the value itself. */
  readonly path: string;
  /** Its kind, such as `undefined` or `a function`. */
  readonly what: string;
}

/** Says what is wrong with a value, if anything is. */
export type Judge = (value: unknown) => string | undefined;

interface Place {
  readonly value: unknown;
  readonly key?: PropertyKey;
  readonly parent?: Place;
}

/**
 * The first value below `root` that JSON cannot hold. Fields that are `undefined` are absent, items of an array are
 * not: there JSON has `null`. By a list of its own and not by recursion: what is handed in may be nested without end.
 *
 * @param judge asked before, of each value: what must not be there for another reason.
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
    // A cycle is refused where the JSON is written.
    seen.add(value);
    const parent = place;
    // Not `entries()` of an object alone: an array without an item has none there, and `null` in JSON.
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

/** Whether JSON asks it for what to write. */
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

/** `a RegExp`, `a Map`: JSON writes them as `{}` and drops their content. */
function emptyInstance(value: object): string | undefined {
  const prototype: object | null = Object.getPrototypeOf(value);
  // Objects of another realm have another `Object.prototype`, which has none above it either.
  if (prototype === null || Object.getPrototypeOf(prototype) === null) return undefined;
  if (Array.isArray(value) || writesItself(value) || Object.keys(value).length > 0) {
    return undefined;
  }
  const { name } = value.constructor;
  return name === "" ? "an instance of a class" : `a ${name}`;
}
