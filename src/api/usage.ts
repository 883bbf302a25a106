/**
 * Usage as the routes other than completions name it, and the sum over several answers.
 *
 * @module
 */

import { isRecord } from "../core/fields.ts";
import type { Usage } from "../core/types.ts";
import { decodeUsage, MOST_PARTS, numberOf } from "./answer_parts.ts";

/** Fault of an answer with too many items. */
export const TOO_MANY_ITEMS: string = `more than ${MOST_PARTS} items`;

/** The `usage` of responses and decisions, whose field names differ from those of completions. */
export function decodeResponsesUsage(wire: unknown): Usage | undefined {
  if (!isRecord(wire)) return undefined;
  return decodeUsage({
    prompt_tokens: wire.input_tokens,
    completion_tokens: wire.output_tokens,
    total_tokens: wire.total_tokens,
    prompt_tokens_details: wire.input_tokens_details,
    completion_tokens_details: wire.output_tokens_details,
  });
}

/** The usage that the native chat reports in its `stats`; `undefined` if there is none. */
export function decodeChatUsage(stats: unknown): Usage | undefined {
  if (!isRecord(stats)) return undefined;
  const promptTokens = numberOf(stats.input_tokens);
  const completionTokens = numberOf(stats.total_output_tokens);
  if (promptTokens === undefined && completionTokens === undefined) return undefined;
  const reasoningTokens = numberOf(stats.reasoning_output_tokens);
  return {
    promptTokens: promptTokens ?? 0,
    completionTokens: completionTokens ?? 0,
    totalTokens: (promptTokens ?? 0) + (completionTokens ?? 0),
    ...(reasoningTokens === undefined ? {} : { reasoningTokens }),
  };
}

/** Adds up the usage of two answers. */
export function addUsage(sum: Usage | undefined, more: Usage | undefined): Usage | undefined {
  if (sum === undefined || more === undefined) return sum ?? more;
  return {
    promptTokens: sum.promptTokens + more.promptTokens,
    completionTokens: sum.completionTokens + more.completionTokens,
    totalTokens: sum.totalTokens + more.totalTokens,
    ...addDetail("reasoningTokens", sum, more),
    ...addDetail("cachedTokens", sum, more),
  };
}

/** The sum of a number that not every server sends. */
function addDetail(
  name: "reasoningTokens" | "cachedTokens",
  sum: Usage,
  more: Usage,
): Partial<Usage> {
  if (sum[name] === undefined && more[name] === undefined) return {};
  return { [name]: (sum[name] ?? 0) + (more[name] ?? 0) };
}
