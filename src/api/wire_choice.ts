/**
 * What answers of several routes have in common: a list of choices, and text in them.
 *
 * @module
 */

import { isRecord } from "../core/request_checks.ts";

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
