/**
 * Validation of requests and options, before anything is sent. A table has one rule per field; unknown fields, missing
 * fields and the wording of every refusal follow from it. A refusal names the field and its value, unless the value may
 * be a secret or part of a prompt.
 *
 * @module
 */

import type { KnownCode } from "./error_codes.ts";
import { providerError, remarkable } from "./errors.ts";
import { describeUnknownField, isRecord, quote } from "./fields.ts";
import type { CallOptions, ReasoningTags } from "./types.ts";

/** Creates the error for a refusal; `state` completes "Cannot …: ". */
export type RefusalMaker = (
  state: string,
  code?: Extract<
    KnownCode,
    | "invalid_request"
    | "unsupported_content"
    | "invalid_tool_schema"
    | "unsupported_response_format"
  >,
  hint?: string,
) => Error;

/** Returns the maker of refusals for one kind of call, such as `complete`. */
export function refusalMaker(action: string, service: string): RefusalMaker {
  return (state, code = "invalid_request", hint) =>
    providerError(code, `Cannot ${action}: ${state}`, { service, attempts: 0, hint });
}

// --- Values in messages -------------------------------------------------------------------------

/** Describes a value for an error message. Never used for tokens, header values or prompts. */
export function describe(value: unknown): string {
  if (typeof value === "string") return quote(value);
  if (Array.isArray(value)) return "an array";
  if (typeof value === "object" && value !== null) return "an object";
  return typeof value === "function" ? "a function" : String(value);
}

/** Describes a value that may be part of a prompt: strings are not shown. */
export function describeType(value: unknown): string {
  return typeof value === "string" ? "a string" : describe(value);
}

/** Lists alternatives: `"a", "b" or "c"`. */
export function alternatives(words: readonly string[]): string {
  const quoted = words.map((word) => `"${word}"`);
  const last = quoted.pop() ?? "";
  return quoted.length === 0 ? last : `${quoted.join(", ")} or ${last}`;
}

// --- Rules for single values --------------------------------------------------------------------

/**
 * Rule for a value: returns the value to use, or throws a refusal. Not called for an absent field unless the field is
 * `required`.
 *
 * @param of name of the value in the refusal, such as `messages[0].role`.
 */
export interface Rule<T = unknown> {
  (value: unknown, of: string, refusal: RefusalMaker): T;
  readonly isRequired?: boolean;
}

/** Makes the rule of a required field. */
export function required<T>(rule: Rule<T>): Rule<T> {
  const own: Rule<T> = (value, of, refusal) => rule(value, of, refusal);
  return Object.assign(own, { isRequired: true });
}

/** Accepts anything. */
export const anything: Rule = (value) => value;

/** Rule for values that a test accepts. @param form completes "… is 5, not ". */
export function must<T>(form: string, accepts: (value: unknown) => boolean): Rule<T> {
  return (value, of, refusal) => {
    if (accepts(value)) return value as T;
    throw refusal(`${of} is ${describe(value)}, not ${form}`);
  };
}

/** Rule for numbers that a test accepts. */
export function number(form: string, accepts: (value: number) => boolean): Rule<number> {
  return must(form, (value) => typeof value === "number" && accepts(value));
}

/** Rule for one of several words. */
export function oneOf<T>(words: readonly string[]): Rule<T> {
  return must(alternatives(words), (value) => words.some((word) => word === value));
}

/** Any finite number. */
export const finite: Rule<number> = number("a number", Number.isFinite);
/** Count, above 0. */
export const count: Rule<number> = number(
  "a whole number above 0",
  (n) => Number.isSafeInteger(n) && n > 0,
);
/** Count, or `Infinity` for no limit. */
export const countOrAll: Rule<number> = number(
  "a whole number above 0, or Infinity",
  (n) => n === Infinity || Number.isSafeInteger(n) && n > 0,
);
/** Timeout in milliseconds; `Infinity` disables it. */
export const time: Rule<number> = number("a number of milliseconds above 0", (n) => n > 0);
/** Number of retries. */
export const retries: Rule<number> = wholeNumber(0, 10);
/** Any text. */
export const text: Rule<string> = textOf("a string");
/** A boolean. */
export const flag: Rule<boolean> = must("true or false", (value) => typeof value === "boolean");
/** A function. */
export const callback: Rule = must("a function", (value) => typeof value === "function");

/** Rule for whole numbers in a range. */
export function wholeNumber(least: number, most: number): Rule<number> {
  return number(
    `a whole number from ${least} to ${most}`,
    (n) => Number.isInteger(n) && n >= least && n <= most,
  );
}

/** Rule for text. @param form such as `a JSON string`. */
export function textOf(form: string): Rule<string> {
  return must(form, (value) => typeof value === "string");
}

/** Non-empty text, such as a name. */
export const nonEmptyText: Rule<string> = (value, of, refusal) => {
  const given = text(value, of, refusal);
  if (given.trim() !== "") return given;
  throw empty(of, refusal);
};

function empty(of: string, refusal: RefusalMaker): Error {
  return refusal(`${of} cannot be empty`);
}

/** Rule for a list of names. @param what such as `tools' names`. */
export function names(what: string): Rule<readonly string[]> {
  return (value, of, refusal) => {
    if (!Array.isArray(value)) throw refusal(`${of} is not an array of ${what}`);
    // Not `every`, which skips holes in an array; JSON writes them as null.
    const index = value.findIndex((item) => typeof item !== "string" || item.trim() === "");
    if (index === -1) return value;
    throw refusal(
      `${of} is not an array of ${what}: it contains ${describe(value[index])}`,
    );
  };
}

/** Headers of a request, as a frozen copy without `undefined` values. Values are never shown. */
export const headers: Rule<Readonly<Record<string, string>>> = (value, of, refusal) => {
  if (typeof value !== "object" || value === null || Symbol.iterator in value) {
    throw refusal(`${of} is not an object of header names and values`);
  }
  const given: [string, string][] = [];
  for (const [header, content] of Object.entries(value)) {
    const legal = /^[!#$%&'*+.^_`|~0-9a-z-]*/i.exec(header)?.[0] ?? "";
    if (header === "" || legal !== header) {
      // Show only the legal start: users put `"Authorization: Bearer …"` into the name.
      const shown = header === "" ? header : `${legal}…`;
      throw refusal(`${of} has the name ${describe(shown)}, which is not a valid header name`);
    }
    if (content === undefined) continue;
    if (typeof content !== "string" || !/^[\t\x20-\x7e\x80-\xff]*$/.test(content)) {
      throw refusal(`${of} has a value for ${describe(header)} that is not valid in a header`);
    }
    given.push([header, content]);
  }
  return Object.freeze(Object.fromEntries(given));
};

const PAIR = '["<think>", "</think>"]';
/** Longer than any model's tags. Text that may begin a tag is held back while streaming, so the length is limited. */
const LONGEST_TAG = 200;

/** Pairs of tags around reasoning, as frozen copies. */
export const reasoningTags: Rule<readonly ReasoningTags[]> = (value, of, refusal) => {
  if (!Array.isArray(value)) {
    throw refusal(`${of} is ${describe(value)}, not an array of pairs such as ${PAIR}`);
  }
  const pairs = Array.from<unknown, ReasoningTags>(value, (given, index) => {
    const refused = (state: string): Error => refusal(`${of}[${index}] ${state}`);
    const [open, close] = tagsOf(given);
    if (typeof open !== "string" || typeof close !== "string") {
      throw refused(`is not a pair such as ${PAIR}`);
    }
    for (const tag of [open, close]) {
      if (tag.trim() === "") throw refused("has an empty tag");
      if (tag.length > LONGEST_TAG) {
        throw refused(`has a tag longer than ${LONGEST_TAG} characters`);
      }
    }
    if (open.trim() === close.trim()) throw refused(`has ${quote(open)} as both tags`);
    return Object.freeze({ open, close });
  });
  return Object.freeze(pairs);
};

/** The two tags of a pair in either form; an empty list if the value is not a pair. */
function tagsOf(given: unknown): readonly unknown[] {
  if (Array.isArray(given)) return given.length === 2 ? given : [];
  if (!isRecord(given)) return [];
  const { open, close, ...more } = given;
  return Object.keys(more).length === 0 ? [open, close] : [];
}

// --- Rules for lists and objects ----------------------------------------------------------------

/** Rule for an array whose items must all pass a rule. Returns a copy. */
export function arrayOf<T>(
  rule: Rule<T>,
  { form = "an array", show = describeType, mayBeEmpty = false }: {
    readonly form?: string;
    readonly show?: (value: unknown) => string;
    readonly mayBeEmpty?: boolean;
  } = {},
): Rule<T[]> {
  return (value, of, refusal) => {
    if (!Array.isArray(value)) throw refusal(`${of} is ${show(value)}, not ${form}`);
    if (value.length === 0 && !mayBeEmpty) throw empty(of, refusal);
    const items: T[] = [];
    // A plain loop also visits holes; `Array.from` takes twice as long, which shows on a long conversation.
    for (let index = 0; index < value.length; index++) {
      items.push(rule(value[index], `${of}[${index}]`, refusal));
    }
    return items;
  };
}

/** Rule for text, or for values that pass another rule. */
export function textOr<T>(rule: Rule<T>, mayBeEmpty = false): Rule<T | string> {
  return (value, of, refusal) => {
    if (typeof value !== "string") return rule(value, of, refusal);
    if (value === "" && !mayBeEmpty) throw empty(of, refusal);
    return value;
  };
}

/** A rule for each field. */
export type Rules<T> = { readonly [Field in keyof T]-?: Rule };

/** Rule across fields: describes what is wrong with their combination. Each field has already passed its own rule. */
export type RuleBetween<T> = (fields: T) => string | undefined | false;

/** Settings of a table, besides its rules. */
export interface TableSettings<T> {
  readonly noun?: "field" | "option";
  /** Subject and verb for an object without a path, such as `the request is`. */
  readonly whole?: string;
  /** Expected form of the object, in words. */
  readonly form?: string;
  /** Describes a refused value. */
  readonly show?: (value: unknown) => string;
  /** Prefix of field names for an object without a path. */
  readonly prefix?: string;
  /** Whether to return the checked object itself instead of a copy. */
  readonly isKept?: boolean;
  readonly between?: readonly RuleBetween<T>[];
}

/** Rule for an object with the fields of a table. */
export interface Table<T> extends Rule<T> {
  readonly rules: Rules<T>;
  readonly settings: TableSettings<T>;
}

const BEYOND = "To send a field that only the server knows, use `extraBody`.";

/** Rule for an object. Returns a copy and reads each field once: getters may throw or return a different value. */
export function table<T extends object>(
  rules: Rules<T>,
  settings: TableSettings<T> = {},
): Table<T> {
  const {
    noun = "field",
    whole = "",
    form = "an object",
    show = describeType,
    prefix = "",
    isKept = false,
    between = [],
  } = settings;
  const rows: [string, Rule][] = Object.entries(rules);
  const known: ReadonlySet<string> = new Set(Object.keys(rules));
  const check: Rule<T> = (value, of, refusal) => {
    if (!isRecord(value)) {
      throw refusal(`${of === "" ? whole : `${of} is`} ${show(value)}, not ${form}`);
    }
    const given: Record<string, unknown> = { ...value };
    refuseUnknown(given, known, noun, of, refusal);
    for (const [field, rule] of rows) {
      // Class instances may inherit the field from their prototype.
      const content = field in given ? given[field] : value[field];
      if (content === undefined && rule.isRequired !== true) continue;
      given[field] = rule(content, of === "" ? prefix + field : `${of}.${field}`, refusal);
    }
    for (const rule of between) {
      const state = rule(given as T);
      if (typeof state === "string") throw refusal(of === "" ? state : `${of} ${state}`);
    }
    return (isKept ? value : given) as T;
  };
  return Object.assign(check, { rules, settings });
}

/** A table with additional fields, or with other rules for some of its fields. */
export function extend<T extends object, More extends object>(
  { rules, settings }: Table<T>,
  more: Rules<More>,
  own: TableSettings<T & More> = {},
): Table<T & More> {
  const between = [...settings.between ?? [], ...own.between ?? []];
  return table<T & More>(
    { ...rules, ...more } as Rules<T & More>,
    { ...settings as TableSettings<T & More>, ...own, between },
  );
}

/** Refuses unknown fields and suggests the likeliest known one. */
export function refuseUnknown(
  value: object,
  known: ReadonlySet<string>,
  noun: "field" | "option",
  of: string,
  refusal: RefusalMaker,
): void {
  if (describeUnknownField(value, known, noun) === undefined) return;
  throw remarkable((remarks) => {
    const unknown = describeUnknownField(value, known, noun, remarks?.FIELD_REMARKS) ?? "";
    const hint = known.has("extraBody") ? BEYOND : undefined;
    return refusal(of === "" ? unknown : `${of} has an ${unknown}`, "invalid_request", hint);
  });
}

/** Rule for a discriminated union: one field, such as `type`, selects the table. */
export function variants<T>(
  key: string,
  tables: Readonly<Record<string, Rule<T>>>,
  { form = "an object", show = describeType, otherwise = "", remark }: {
    readonly form?: string;
    readonly show?: (value: unknown) => string;
    /** Text after the list of alternatives. */
    readonly otherwise?: string;
    /** Which hints apply to an unknown variant. */
    readonly remark?: "role" | "part";
  } = {},
): Rule<T> {
  const words = alternatives(Object.keys(tables));
  return (value, of, refusal) => {
    if (!isRecord(value)) throw refusal(`${of} is ${show(value)}, not ${form}`);
    const kind = value[key];
    const rule = typeof kind === "string" && Object.hasOwn(tables, kind) ? tables[kind] : undefined;
    if (rule !== undefined) return rule(value, of, refusal);
    const state = `${of}.${key} is ${describe(kind)}, not ${words}${otherwise}`;
    throw remarkable((remarks) =>
      refusal(
        state,
        "invalid_request",
        remark === undefined ? undefined : remarks?.kindHint(remark, kind, value),
      )
    );
  };
}

// --- Call options -------------------------------------------------------------------------------

/** Rule for abort signals. */
export const abortSignal: Rule<AbortSignal> = must(
  "an AbortSignal",
  (value) => isRecord(value) && "aborted" in value && typeof value.addEventListener === "function",
);

/** Options of a call. */
export const CALL_OPTIONS: Table<CallOptions> = table<CallOptions>({
  timeoutMs: time,
  connectTimeoutMs: time,
  firstTokenTimeoutMs: time,
  idleTimeoutMs: time,
  maxRetries: retries,
  headers,
  onStatus: callback,
  onQueue: callback,
  signal: abortSignal,
}, { noun: "option", whole: "the options are" });

/** Refuses unusable call options; returns a copy. */
export function checkCallOptions(options: unknown, refusal: RefusalMaker): CallOptions {
  return checkOptions(CALL_OPTIONS, options, refusal);
}

/** Refuses unusable options; returns a copy, or `{}` if there are none. */
export function checkOptions<T extends object>(
  options: Table<T>,
  given: unknown,
  refusal: RefusalMaker,
): T {
  return given === undefined ? {} as T : options(given, "", refusal);
}
