/**
 * Field names of objects: describes unknown ones and finds the likely intended name. A misspelled option that is
 * silently ignored costs more than an error.
 *
 * @module
 */

import { cutText, quoteText } from "./plain_text.ts";

const LONGEST_SHOWN = 80;
/** Comparison time grows with the product of both lengths; no field name is this long. */
const LONGEST_COMPARED = 100;

/** Remark on unknown names: the name that is meant, or what to do instead. */
export interface FieldRemark {
  /** The names, separated by spaces, in lower case without `_` and `-`. */
  readonly names: string;
  /** The remark applies only if this field is known: it identifies the kind of request or options. */
  readonly beside?: string;
  /** The name that is meant; the remark applies only if this name is known. */
  readonly meant?: string;
  readonly advice?: string;
}

/** Advice for a field of the request that was passed as an option. */
export const OF_THE_REQUEST: string = "it is a field of the request, the first argument";
/** Advice for an option of the call that was passed elsewhere. */
export const OF_THE_CALL: string = "it is an option of the call, the last argument";
/** Folded names of the sampling settings. */
export const SAMPLING_NAMES: string =
  "temperature topp topk minp maxtokens stop seed presencepenalty frequencypenalty repeatpenalty logitbias reasoning " +
  "ttlseconds draftmodel";

/** Names that other libraries use for options. */
export const OPTION_NAMES: readonly FieldRemark[] = [
  { names: "apikey token bearertoken", meant: "apiToken" },
  { names: "baseuri endpoint url host", meant: "baseUrl" },
  { names: "timeout", meant: "timeoutMs" },
  { names: "retries", meant: "maxRetries" },
  { names: "abortsignal", meant: "signal" },
];

/**
 * Remarks on options, including those shared with requests. Constructors throw synchronously, so these are always
 * loaded; the others, in `field_remarks.ts`, load with the first refusal.
 */
export const OPTION_REMARKS: readonly FieldRemark[] = [
  ...OPTION_NAMES,
  { names: "stream", advice: "use streamCompletion() to stream" },
  { names: "streamoptions includeusage", advice: "usage is always requested" },
  { names: "n bestof numreturnsequences", advice: "LM Studio returns one answer per request" },
  {
    names: "numgpu ngpulayers gpulayers gpu gpuoffload numthread numthreads",
    advice: "set it in LM Studio's own settings for the model",
  },
  {
    names: `${SAMPLING_NAMES} messages prompt input tools toolchoice schema schemaname extrabody`,
    beside: "apiToken",
    advice: OF_THE_REQUEST,
  },
  { names: "signal abortsignal onstatus", advice: OF_THE_CALL },
];

/** Describes the first unknown own field that has a value: `unknown field "max_tokens" (did you mean "maxTokens"?)`. */
export function describeUnknownField(
  value: object,
  known: ReadonlySet<string>,
  noun: "field" | "option",
  remarks: readonly FieldRemark[] = OPTION_REMARKS,
): string | undefined {
  for (const name of Object.keys(value)) {
    if (known.has(name) || Reflect.get(value, name) === undefined) continue;
    return `unknown ${noun} ${quote(name)}${adviceFor(name, known, remarks)}`;
  }
  return undefined;
}

function adviceFor(
  name: string,
  known: ReadonlySet<string>,
  remarks: readonly FieldRemark[],
): string {
  const advice = sameName(name, known) === undefined
    ? remarkOn(name, known, remarks)?.advice
    : undefined;
  if (advice !== undefined) return ` (${advice})`;
  const nearest = nearestName(name, known, remarks);
  return nearest === undefined ? "" : ` (did you mean "${nearest}"?)`;
}

function remarkOn(
  name: string,
  known: ReadonlySet<string>,
  remarks: readonly FieldRemark[],
): FieldRemark | undefined {
  const folded = fold(name);
  return remarks.find(({ names, beside, meant }) =>
    names.split(" ").includes(folded) && (beside === undefined || known.has(beside)) &&
    (meant === undefined || known.has(meant))
  );
}

/** Quotes text for an error message, on one line and cut to a line's length. */
export function quote(text: string): string {
  return quoteText(cutText(text, LONGEST_SHOWN + 1));
}

/** The name in `known` that an unknown name most likely means. */
export function nearestName(
  name: string,
  known: Iterable<string>,
  remarks: readonly FieldRemark[] = OPTION_REMARKS,
): string | undefined {
  const names = new Set(known);
  const same = sameName(name, names) ?? remarkOn(name, names, remarks)?.meant;
  if (same !== undefined) return same;
  const folded = fold(name);
  let best: string | undefined;
  let bestDistance = Math.max(1, Math.floor(folded.length / 3)) + 1;
  for (const candidate of names) {
    const distance = editDistance(folded, fold(candidate));
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

/** The name in `known` that differs only in case or separators. */
function sameName(name: string, known: Iterable<string>): string | undefined {
  const folded = fold(name);
  return [...known].find((candidate) => fold(candidate) === folded);
}

function fold(name: string): string {
  return name.toLowerCase().replaceAll(/[_\-\s]/g, "");
}

/** Number of letters to add, drop, replace or swap with a neighbour to get from one text to the other. */
export function editDistance(a: string, b: string): number {
  if (a.length > LONGEST_COMPARED || b.length > LONGEST_COMPARED) return Infinity;
  // A common start and end costs nothing, and most names that are compared are alike.
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

/** A copy without fields that are `undefined`. */
export function withoutUndefined<T extends object>(
  fields: T,
): { [K in keyof T]: Exclude<T[K], undefined> } {
  // A loop: `Object.fromEntries` takes six times as long, which is noticeable on a listing of hundreds of models.
  const known: Partial<T> = {};
  for (const key in fields) if (fields[key] !== undefined) known[key] = fields[key];
  return known as { [K in keyof T]: Exclude<T[K], undefined> };
}

/** Tests whether a value is an object other than an array. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
