/**
 * Usage as routes beside the completions name it, and the sum of several answers.
 *
 * @module
 */

import { isRecord } from "../core/fields.ts";
import type { Usage } from "../core/types.ts";
import { decodeUsage, MOST_PARTS, numberOf } from "./answer_parts.ts";

/** Fault of an answer with more items. */
export const TOO_MANY_ITEMS: string = `more than ${MOST_PARTS} items`;

/** The `usage` of responses and decisions, which name their numbers otherwise than completions do. */
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

/** The tokens that the native chat counts in its `stats`; `undefined` where there are none. */
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

/** The usage of two answers together. */
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

/** A number that not every server tells. */
function addDetail(
  name: "reasoningTokens" | "cachedTokens",
  sum: Usage,
  more: Usage,
): Partial<Usage> {
  if (sum[name] === undefined && more[name] === undefined) return {};
  return { [name]: (sum[name] ?? 0) + (more[name] ?? 0) };
}
