/**
 * What answers of several routes have in common: a list of choices, text in them, and how much there can be.
 *
 * @module
 */

import { isRecord } from "../core/request_checks.ts";

/** Tool calls, or items of output, of one answer: what has more could go on until the memory is full. */
export const MOST_PARTS = 100_000;
/** What an answer with more of them has. */
export const TOO_MANY_CALLS: string = `more than ${MOST_PARTS} tool calls`;
/** The same of items. */
export const TOO_MANY_ITEMS: string = `more than ${MOST_PARTS} items`;
/** What to do about either. */
export const TOO_MANY_HINT =
  "Set a limit of tokens against endless answers, or take another model.";

/** Only the choice with index 0 is read. */
export function firstChoice(choices: readonly unknown[]): Record<string, unknown> | undefined {
  for (const choice of choices) {
    if (isRecord(choice) && (choice.index === 0 || choice.index === undefined)) return choice;
  }
  return undefined;
}

/** Text, also where it came as an array of text parts; `""` for anything else. */
export function textOf(value: unknown): string {
  if (typeof value === "string") return value;
  if (!Array.isArray(value)) return "";
  return value.map((part) => isRecord(part) && typeof part.text === "string" ? part.text : "").join(
    "",
  );
}
