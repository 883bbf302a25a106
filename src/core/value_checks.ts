/**
 * What single values must be: of options, variables and files, and of a call's options. A check gives the
 * value as it is used, or what is wrong with it, to go after its name in an error.
 *
 * @module
 */

import { normalizeBaseUrl } from "./base_url.ts";
import { quote } from "./fields.ts";
import { unquote } from "./quotes.ts";
import type { ReasoningTags } from "./types.ts";

/** What a check gives. */
export type Checked<T = unknown> = { readonly value: T } | { readonly problem: string };

/** Whether a value can be used. */
export type Check<T = unknown> = (value: unknown) => Checked<T>;

/** A value in an error message. Never used for tokens, header values and prompts. */
export function describe(value: unknown): string {
  if (typeof value === "string") return quote(value);
  if (Array.isArray(value)) return "an array";
  if (typeof value === "object" && value !== null) return "an object";
  return typeof value === "function" ? "a function" : String(value);
}

/** A value where text of a prompt may stand: text is not said. */
export function describeType(value: unknown): string {
  return typeof value === "string" ? "text" : describe(value);
}

/** The address of a server, normalised. */
export function checkBaseUrl(value: unknown): Checked<string> {
  if (typeof value !== "string") return { problem: `is ${describe(value)}, not an address` };
  const result = normalizeBaseUrl(value);
  if (result.problem === undefined) return { value: result.url };
  return {
    problem: result.display === "" ? result.problem : `"${result.display}" ${result.problem}`,
  };
}

/** A token, which is never said. */
export function checkToken(value: unknown): Checked<string> {
  if (typeof value !== "string") return { problem: `is of type ${typeof value}, not text` };
  const token = unquote(value);
  if (token === "") return { problem: "is empty; leave it out if the server wants no token" };
  const prefix = /^(?:authorization\s*:\s*)?bearer(?=[\s:]|$)/i.exec(token)?.[0];
  if (prefix !== undefined) {
    return {
      problem: `begins with ${describe(prefix)}, which is not of the token: leave that out`,
    };
  }
  // Which character it is would tell a part of it.
  if (!/^[\x21-\x7e]+$/.test(token)) {
    return { problem: "has white space or other characters that cannot stand in a token" };
  }
  return { value: token };
}

/** The name of a model. */
export function checkModelName(value: unknown): Checked<string> {
  if (typeof value !== "string") return { problem: `is ${describe(value)}, not a model name` };
  return value.trim() === "" ? { problem: "is empty" } : { value: value.trim() };
}

/** Milliseconds to wait: above 0; `Infinity` switches the timer off. */
export function checkTime(value: unknown): Checked<number> {
  if (typeof value === "number" && value > 0) return { value };
  return { problem: `is ${describe(value)}, not a number of milliseconds above 0` };
}

/** A number of retries: 0 to 10. */
export function checkRetries(value: unknown): Checked<number> {
  if (typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= 10) {
    return { value };
  }
  return { problem: `is ${describe(value)}, not a whole number from 0 to 10` };
}

/** The headers of a request, as a frozen copy without those that are `undefined`. Values are never said. */
export function checkHeaders(value: unknown): Checked<Readonly<Record<string, string>>> {
  if (typeof value !== "object" || value === null || Symbol.iterator in value) {
    return { problem: "is not an object of header names and values" };
  }
  const headers: [string, string][] = [];
  for (const [name, text] of Object.entries(value)) {
    const legal = /^[!#$%&'*+.^_`|~0-9a-z-]*/i.exec(name)?.[0] ?? "";
    if (name === "" || legal !== name) {
      // No more of it: people write `"Authorization: Bearer …"` into the name.
      const shown = name === "" ? name : `${legal}…`;
      return { problem: `has the name ${describe(shown)}, which is not a header's` };
    }
    if (text === undefined) continue;
    if (typeof text !== "string" || !/^[\t\x20-\x7e\x80-\xff]*$/.test(text)) {
      return { problem: `has a value for ${describe(name)} that cannot stand in a header` };
    }
    headers.push([name, text]);
  }
  return { value: Object.freeze(Object.fromEntries(headers)) };
}

/** Pairs of tags around thoughts, as frozen copies. */
export function checkReasoningTags(value: unknown): Checked<readonly ReasoningTags[]> {
  if (!Array.isArray(value)) {
    return { problem: `is ${describe(value)}, not an array of pairs such as ${PAIR}` };
  }
  const pairs: ReasoningTags[] = [];
  for (const [index, given] of Array.from<unknown>(value).entries()) {
    const [open, close] = tagsOf(given);
    if (typeof open !== "string" || typeof close !== "string") {
      return { problem: `has an entry [${index}] that is not a pair such as ${PAIR}` };
    }
    for (const tag of [open, close]) {
      if (tag.trim() === "" || tag.length > LONGEST_TAG) {
        const state = tag.trim() === "" ? "empty" : `longer than ${LONGEST_TAG} characters`;
        return { problem: `has an entry [${index}] with a tag that is ${state}` };
      }
    }
    if (open.trim() === close.trim()) {
      return { problem: `has an entry [${index}] whose tags are both ${quote(open)}` };
    }
    pairs.push(Object.freeze({ open, close }));
  }
  return { value: Object.freeze(pairs) };
}

/** The tags of a pair in either of its forms; what is none has none. */
function tagsOf(given: unknown): readonly unknown[] {
  if (Array.isArray(given)) return given.length === 2 ? given : [];
  if (typeof given !== "object" || given === null) return [];
  const { open, close, ...more } = given as Readonly<Record<string, unknown>>;
  return Object.keys(more).length === 0 ? [open, close] : [];
}

const PAIR = '["<think>", "</think>"]';
/** More than any model's: what may be the beginning of a tag is held back while the text comes. */
const LONGEST_TAG = 200;

/** A function. */
export function checkFunction(value: unknown): Checked {
  if (typeof value === "function") return { value };
  return { problem: `is ${describe(value)}, not a function` };
}

/** What to do when another model answers. */
export function checkOnModelSubstituted(value: unknown): Checked {
  if (value === "throw" || value === "ignore" || typeof value === "function") return { value };
  return { problem: `is ${describe(value)}, not "throw", "ignore" or a function` };
}
