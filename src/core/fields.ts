/**
 * Refuses fields nobody reads: a misspelt option that is silently ignored costs more than an error.
 *
 * @module
 */

/** Names other libraries use for ours, once `_`, `-` and case are gone. */
const ALIASES: Readonly<Record<string, string>> = {
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
  responseformat: "schema",
  reasoningeffort: "reasoning",
  ttl: "ttlSeconds",
  abortsignal: "signal",
  texts: "input",
  inputs: "input",
  functions: "tools",
  inputschema: "parameters",
};

/** Names that have a better answer than another name. */
const REMARKS: Readonly<Record<string, string>> = {
  stream: "use streamCompletion() to stream",
  n: "LM Studio gives one answer per request",
};

/** The first own field with a value that is not in `known`, described: `unknown field "max_tokens" (did you mean "maxTokens"?)`. */
export function describeUnknownField(
  value: object,
  known: ReadonlySet<string>,
  noun: "field" | "option",
): string | undefined {
  for (const [name, field] of Object.entries(value)) {
    if (field === undefined || known.has(name)) continue;
    const remark = REMARKS[name];
    const nearest = nearestName(name, known);
    const advice = nearest !== undefined
      ? ` (did you mean "${nearest}"?)`
      : remark !== undefined
      ? ` (${remark})`
      : "";
    return `unknown ${noun} "${name.slice(0, 60)}"${advice}`;
  }
  return undefined;
}

/** The likeliest of `known` for a name that is not among them. */
export function nearestName(name: string, known: Iterable<string>): string | undefined {
  const names = [...known];
  const folded = fold(name);
  const same = names.find((candidate) => fold(candidate) === folded);
  if (same !== undefined) return same;
  const alias = ALIASES[folded];
  if (alias !== undefined && names.includes(alias)) return alias;
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

function editDistance(a: string, b: string): number {
  if (a.length > 100 || b.length > 100) return 100;
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const substituted = previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      current.push(Math.min(substituted, previous[j]! + 1, current[j - 1]! + 1));
    }
    previous = current;
  }
  return previous[b.length]!;
}
