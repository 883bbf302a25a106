/**
 * Parts that the answers of several routes share: the choice that is read, text, usage, statistics, and the limit on
 * tool calls and output items.
 *
 * @module
 */

import { isRecord, withoutUndefined } from "../core/fields.ts";
import type { GenerationStats, Usage } from "../core/types.ts";

/** Limit on the tool calls, or output items, of one answer: without it an endless answer would fill the memory. */
export const MOST_PARTS = 100_000;
/** Fault of an answer with more tool calls than that. */
export const TOO_MANY_CALLS: string = `more than ${MOST_PARTS} tool calls`;
/** Hint for an answer with too many tool calls or items. */
export const TOO_MANY_HINT = "Set a token limit to stop endless answers, or use another model.";

/** Only the choice with index 0 is read. */
export function firstChoice(choices: readonly unknown[]): Record<string, unknown> | undefined {
  for (const choice of choices) {
    if (isRecord(choice) && (choice.index === 0 || choice.index === undefined)) return choice;
  }
  return undefined;
}

/** Text, whether a string or an array of text parts; `""` for anything else. */
export function textOf(value: unknown): string {
  if (typeof value === "string") return value;
  if (!Array.isArray(value)) return "";
  return value.map((part) => isRecord(part) && typeof part.text === "string" ? part.text : "").join(
    "",
  );
}

/**
 * The `usage` of an answer; `undefined` if it has none.
 *
 * @param timings sent by llama.cpp's server; they count the tokens read from its cache.
 */
export function decodeUsage(wire: unknown, timings?: unknown): Usage | undefined {
  if (!isRecord(wire)) return undefined;
  const promptTokens = numberOf(wire.prompt_tokens);
  const completionTokens = numberOf(wire.completion_tokens);
  if (promptTokens === undefined && completionTokens === undefined) return undefined;
  const { completion_tokens_details: written, prompt_tokens_details: read } = wire;
  const reasoningTokens = isRecord(written) ? numberOf(written.reasoning_tokens) : undefined;
  const cachedTokens = (isRecord(read) ? numberOf(read.cached_tokens) : undefined) ??
    (isRecord(timings) ? numberOf(timings.cache_n) : undefined);
  const usage: Usage = {
    promptTokens: promptTokens ?? 0,
    completionTokens: completionTokens ?? 0,
    totalTokens: numberOf(wire.total_tokens) ?? (promptTokens ?? 0) + (completionTokens ?? 0),
  };
  if (reasoningTokens !== undefined) usage.reasoningTokens = reasoningTokens;
  if (cachedTokens !== undefined) usage.cachedTokens = cachedTokens;
  return usage;
}

/** The `stats` of an answer; `undefined` if they are empty: most versions send `{}`. */
export function decodeStats(wire: unknown): GenerationStats | undefined {
  if (!isRecord(wire) || isEmpty(wire)) return undefined;
  const draft: GenerationStats["draft"] = withoutUndefined({
    model: nameOf(wire.draft_model),
    totalTokens: numberOf(wire.total_draft_tokens_count),
    acceptedTokens: numberOf(wire.accepted_draft_tokens_count),
    rejectedTokens: numberOf(wire.rejected_draft_tokens_count),
    ignoredTokens: numberOf(wire.ignored_draft_tokens_count),
  });
  const stats: Omit<GenerationStats, "source"> = withoutUndefined({
    tokensPerSecond: numberOf(wire.tokens_per_second),
    timeToFirstTokenMs: millisecondsOf(
      wire.time_to_first_token ?? wire.time_to_first_token_seconds,
    ),
    generationMs: millisecondsOf(wire.generation_time),
    modelLoadMs: millisecondsOf(wire.model_load_time_seconds),
    stopReason: nameOf(wire.stop_reason),
    draft: Object.keys(draft).length === 0 ? undefined : draft,
  });
  return Object.keys(stats).length === 0 ? undefined : { ...stats, source: "server" };
}

/** The statistics of an answer or a stream frame: LM Studio's `stats`, or the `timings` of llama.cpp's server. */
export function decodeServerStats(
  { stats, timings }: Readonly<Record<string, unknown>>,
): GenerationStats | undefined {
  return decodeStats(stats) ?? decodeTimings(timings);
}

/** The `timings` of llama.cpp's server; times are in milliseconds. */
function decodeTimings(wire: unknown): GenerationStats | undefined {
  if (!isRecord(wire)) return undefined;
  const draft: GenerationStats["draft"] = withoutUndefined({
    totalTokens: numberOf(wire.draft_n),
    acceptedTokens: numberOf(wire.draft_n_accepted),
  });
  const stats: Omit<GenerationStats, "source"> = withoutUndefined({
    tokensPerSecond: numberOf(wire.predicted_per_second),
    timeToFirstTokenMs: numberOf(wire.prompt_ms),
    generationMs: numberOf(wire.predicted_ms),
    draft: Object.keys(draft).length === 0 ? undefined : draft,
  });
  return Object.keys(stats).length === 0 ? undefined : { ...stats, source: "server" };
}

/** Statistics of a whole answer, measured here. @param generationMs duration of the whole call. */
export function measureStats(usage: Usage | undefined, generationMs: number): GenerationStats {
  const tokens = usage?.completionTokens ?? 0;
  const tokensPerSecond = tokens * 1000 / generationMs;
  return tokensPerSecond > 0 && tokensPerSecond < Infinity
    ? { tokensPerSecond, generationMs, source: "measured" }
    : { generationMs, source: "measured" };
}

/** A shorter phase only read a buffer; nothing was generated in it. */
const SHORTEST_GENERATION_MS = 10;
/** No model is faster: something in between held the answer back and released it all at once. */
const HIGHEST_TOKENS_PER_SECOND = 10_000;

/** Statistics of a stream, measured here. @param generationMs time from the first token to the last. */
export function measureStreamStats(
  usage: Usage | undefined,
  generationMs: number,
  timeToFirstTokenMs: number,
): GenerationStats {
  const { tokensPerSecond, ...rest } = measureStats(usage, generationMs);
  const isSpeed = tokensPerSecond !== undefined && generationMs >= SHORTEST_GENERATION_MS &&
    tokensPerSecond <= HIGHEST_TOKENS_PER_SECOND;
  return { ...(isSpeed ? { tokensPerSecond } : {}), timeToFirstTokenMs, ...rest };
}

/** Converts seconds to milliseconds; `undefined` for anything that is not a duration. */
export function millisecondsOf(seconds: unknown): number | undefined {
  const value = numberOf(seconds);
  return value === undefined ? undefined : value * 1000;
}

/** Reads counts and durations: some servers write -1 for unknown. Sums of larger numbers could be `Infinity`. */
export function numberOf(value: unknown): number | undefined {
  const isAmount = typeof value === "number" && value >= 0 && value <= Number.MAX_SAFE_INTEGER;
  return isAmount ? value : undefined;
}

function isEmpty(fields: object): boolean {
  for (const _ in fields) return false;
  return true;
}

function nameOf(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}
