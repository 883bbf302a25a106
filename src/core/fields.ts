/**
 * Refuses fields nobody reads: a misspelt option that is silently ignored costs more than an error.
 *
 * @module
 */

import { cutText, quoteText } from "./plain_text.ts";

const LONGEST_SHOWN = 80;
/** Comparing takes the product of two lengths, and no field is as long as this. */
const LONGEST_COMPARED = 100;

/** Names other libraries use for ours, once `_`, `-` and case are gone. */
const ALIASES: ReadonlyMap<string, string | readonly string[]> = new Map(Object.entries({
  apikey: "apiToken",
  token: "apiToken",
  bearertoken: "apiToken",
  baseuri: "baseUrl",
  endpoint: "baseUrl",
  url: "baseUrl",
  host: "baseUrl",
  timeout: "timeoutMs",
  retries: "maxRetries",
  maxcompletiontokens: "maxTokens",
  maxoutputtokens: "maxTokens",
  numpredict: "maxTokens",
  stopsequences: "stop",
  prompt: "messages",
  messages: ["prompt", "input"],
  system: "instructions",
  systemprompt: "instructions",
  maxtokens: "maxOutputTokens",
  responseformat: "schema",
  reasoningeffort: "reasoning",
  ttl: "ttlSeconds",
  abortsignal: "signal",
  texts: "input",
  inputs: "input",
  functions: "tools",
  inputschema: "parameters",
  maxsteps: "maxRounds",
  maxturns: "maxRounds",
  maxiterations: "maxRounds",
  paralleltoolcalls: "parallel",
  handler: "execute",
  run: "execute",
}));

/** Names that have a better answer than another name. */
const REMARKS: ReadonlyMap<string, string> = new Map(Object.entries({
  stream: "use streamCompletion() to stream",
  n: "LM Studio gives one answer per request",
  signal: "it is an option of the call, the last argument",
}));

/** The first own field with a value that is not in `known`, described: `unknown field "max_tokens" (did you mean "maxTokens"?)`. */
export function describeUnknownField(
  value: object,
  known: ReadonlySet<string>,
  noun: "field" | "option",
): string | undefined {
  for (const [name, field] of Object.entries(value)) {
    if (field === undefined || known.has(name)) continue;
    const remark = REMARKS.get(name);
    const nearest = nearestName(name, known);
    const advice = nearest !== undefined
      ? ` (did you mean "${nearest}"?)`
      : remark !== undefined
      ? ` (${remark})`
      : "";
    return `unknown ${noun} ${quote(name)}${advice}`;
  }
  return undefined;
}

/** Text in an error message: of one line, and not longer than one. */
export function quote(text: string): string {
  return quoteText(cutText(text, LONGEST_SHOWN + 1));
}

/** The likeliest of `known` for a name that is not among them. */
export function nearestName(name: string, known: Iterable<string>): string | undefined {
  const names = [...known];
  const folded = fold(name);
  const same = names.find((candidate) => fold(candidate) === folded);
  if (same !== undefined) return same;
  const alias = [ALIASES.get(folded) ?? []].flat().find((name) => names.includes(name));
  if (alias !== undefined) return alias;
  let best: string | undefined;
  let bestDistance = Math.max(1, Math.floor(folded.length / 3)) + 1;
  for (const candidate of names) {
    const distance = editDistance(folded, fold(candidate));
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

function fold(name: string): string {
  return name.toLowerCase().replaceAll(/[_\-\s]/g, "");
}

/** How many letters to add, drop, replace or swap with their neighbour. */
export function editDistance(a: string, b: string): number {
  if (a.length > LONGEST_COMPARED || b.length > LONGEST_COMPARED) return Infinity;
  // What both have at their ends costs nothing, and most of what is compared is alike.
  let start = 0;
  let [aEnd, bEnd] = [a.length, b.length];
  while (start < aEnd && start < bEnd && a[start] === b[start]) start++;
  while (aEnd > start && bEnd > start && a[aEnd - 1] === b[bEnd - 1]) {
    aEnd--;
    bEnd--;
  }
  const [left, right] = [a.slice(start, aEnd), b.slice(start, bEnd)];
  let beforePrevious = new Uint8Array(right.length + 1);
  let previous = new Uint8Array(right.length + 1);
  let current = new Uint8Array(right.length + 1);
  for (let j = 1; j <= right.length; j++) previous[j] = j;
  for (let i = 1; i <= left.length; i++) {
    const letter = left.charCodeAt(i - 1);
    const letterBefore = i > 1 ? left.charCodeAt(i - 2) : -1;
    let known = current[0] = i;
    let before = -1;
    for (let j = 1; j <= right.length; j++) {
      const other = right.charCodeAt(j - 1);
      let least = Math.min(
        previous[j - 1]! + (letter === other ? 0 : 1),
        previous[j]! + 1,
        known + 1,
      );
      const isSwapped = letter === before && letterBefore === other;
      if (isSwapped) least = Math.min(least, beforePrevious[j - 2]! + 1);
      current[j] = known = least;
      before = other;
    }
    [beforePrevious, previous, current] = [previous, current, beforePrevious];
  }
  return previous[right.length]!;
}

/** A copy without what is `undefined`. */
export function withoutUndefined<T extends object>(
  fields: T,
): { [K in keyof T]: Exclude<T[K], undefined> } {
  // A loop: `Object.fromEntries` takes six times as long, which a listing of hundreds shows.
  const known: Partial<T> = {};
  for (const key in fields) if (fields[key] !== undefined) known[key] = fields[key];
  return known as { [K in keyof T]: Exclude<T[K], undefined> };
}
