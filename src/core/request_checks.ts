/**
 * Checks of what callers hand in, before anything is sent. What is refused is named with its value, except
 * where the value is text of a prompt.
 *
 * @module
 */

import type { KnownCode } from "./error_codes.ts";
import { type InvalidRequestError, providerError } from "./errors.ts";
import { describeUnknownField } from "./fields.ts";
import type { CallOptions } from "./types.ts";
import { type Check, checkHeaders, checkRetries, checkTime, describe } from "./value_checks.ts";

/** Makes the error for a request that is refused: completes "Cannot …: ". */
export type Refuse = (
  state: string,
  code?: Extract<
    KnownCode,
    | "invalid_request"
    | "unsupported_content"
    | "invalid_tool_schema"
    | "unsupported_response_format"
  >,
  hint?: string,
) => InvalidRequestError;

/** A `Refuse` for one kind of call, such as `complete`. */
export function refusal(action: string, service: string): Refuse {
  return (state, code = "invalid_request", hint) =>
    providerError(code, `Cannot ${action}: ${state}`, { service, attempts: 0, hint });
}

const BEYOND = "A field that only the server knows goes into `extraBody`.";

/** Refuses fields that are not known, with the likeliest one that is. */
export function checkFields(
  value: object,
  known: ReadonlySet<string>,
  noun: "field" | "option",
  refuse: Refuse,
  path = "",
): void {
  const unknown = describeUnknownField(value, known, noun);
  if (unknown === undefined) return;
  const hint = known.has("extraBody") ? BEYOND : undefined;
  throw refuse(path === "" ? unknown : `${path} has an ${unknown}`, "invalid_request", hint);
}

/** What a number must be, in words and as a test. */
export interface NumberRule {
  readonly form: string;
  readonly accepts: (value: number) => boolean;
}

/** Refuses what is neither absent nor such a number. */
export function checkNumber(name: string, value: unknown, rule: NumberRule, refuse: Refuse): void {
  if (value === undefined) return;
  if (typeof value === "number" && rule.accepts(value)) return;
  throw refuse(`${name} is ${describe(value)}, not ${rule.form}`);
}

/** Refuses what is neither absent nor a name: text that is not empty. */
export function checkName(name: string, value: unknown, refuse: Refuse): void {
  if (value === undefined) return;
  if (typeof value !== "string") throw refuse(`${name} is ${describe(value)}, not text`);
  if (value.trim() === "") throw refuse(`${name} cannot be empty`);
}

/** Refuses what is neither absent nor a function. */
export function checkCallback(name: string, value: unknown, refuse: Refuse): void {
  if (value !== undefined && typeof value !== "function") {
    throw refuse(`${name} is ${describe(value)}, not a function`);
  }
}

/** Refuses what is neither absent nor a list of names. */
export function checkNames(name: string, value: unknown, what: string, refuse: Refuse): void {
  if (value === undefined) return;
  if (!Array.isArray(value)) throw refuse(`${name} is not an array of ${what}`);
  // Not `every`, which goes past a place without an item: JSON writes null there.
  const index = value.findIndex((item) => typeof item !== "string" || item.trim() === "");
  if (index === -1) return;
  throw refuse(`${name} is not an array of ${what}: there is ${describe(value[index])} among them`);
}

/** Whether a value is an object that is no array. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const CALL_OPTION_CHECKS: readonly (readonly [keyof CallOptions, Check])[] = [
  ["timeoutMs", checkTime],
  ["connectTimeoutMs", checkTime],
  ["firstTokenTimeoutMs", checkTime],
  ["idleTimeoutMs", checkTime],
  ["maxRetries", checkRetries],
  ["headers", checkHeaders],
];
const CALL_OPTIONS: ReadonlySet<string> = new Set<keyof CallOptions>([
  "signal",
  "onStatus",
  ...CALL_OPTION_CHECKS.map(([name]) => name),
]);

/** Refuses call options that cannot be used, and returns a copy of them, `{}` when there are none. */
export function checkCallOptions(options: unknown, refuse: Refuse): CallOptions {
  if (options === undefined) return {};
  if (!isRecord(options)) {
    // Text may be a prompt.
    const shown = typeof options === "string" ? "text" : describe(options);
    throw refuse(`the options are ${shown}, not an object`);
  }
  checkFields(options, CALL_OPTIONS, "option", refuse);
  const checked: Record<string, unknown> = { ...options };
  for (const [name, check] of CALL_OPTION_CHECKS) {
    if (options[name] === undefined) continue;
    const result = check(options[name]);
    if ("problem" in result) throw refuse(`${name} ${result.problem}`);
    checked[name] = result.value;
  }
  checkCallback("onStatus", options.onStatus, refuse);
  const { signal } = options;
  const isSignal = isRecord(signal) && "aborted" in signal &&
    typeof signal.addEventListener === "function";
  if (signal !== undefined && !isSignal) {
    throw refuse(`signal is ${describe(signal)}, not an AbortSignal`);
  }
  return checked;
}
