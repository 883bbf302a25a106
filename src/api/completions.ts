/**
 * `POST /v1/chat/completions`: one whole answer.
 *
 * @see https://lmstudio.ai/docs/developer/openai-compat/chat-completions
 * @module
 */

import { isRecord } from "../core/request_checks.ts";
import type { AssistantMessage, ToolCall } from "../core/messages.ts";
import type { CallOptions, CompletionResponse, FinishReason } from "../core/types.ts";
import { finishReasonOf } from "../transport/ending.ts";
import type { ErrorContext } from "../transport/error_mapping.ts";
import {
  malformedResponse,
  type Transport,
  type TransportRequest,
} from "../transport/transport.ts";
import { splitAsStreamed, splitThinking, type ThinkTags } from "./think_splitter.ts";
import { ToolCallAssembler } from "./tool_call_assembler.ts";
import { decodeServerStats, decodeUsage, measureStats } from "./usage.ts";
import { firstChoice, textOf, TOO_MANY_CALLS, TOO_MANY_HINT } from "./wire_choice.ts";

/** The route of completions. */
export const CHAT_PATH = "/v1/chat/completions";

/**
 * Asks for one answer.
 *
 * @param body as `encodeCompletionRequest` gives it, with the model.
 * @param startedAt when the call began that this request is part of.
 * @param tags of thoughts in the text.
 */
export async function requestCompletion(
  transport: Transport,
  body: Record<string, unknown>,
  action: string,
  options: CallOptions,
  startedAt: number,
  tags: ThinkTags,
): Promise<CompletionResponse> {
  const sentAt = performance.now();
  const request: TransportRequest = {
    method: "POST",
    path: CHAT_PATH,
    body,
    policy: "stateless",
    action,
    model: typeof body.model === "string" ? body.model : undefined,
  };
  const { value, context } = await transport.json(request, options, Infinity, startedAt);
  return decodeCompletion(value, performance.now() - sentAt, context, tags);
}

/** What a finished answer consists of, whichever way it came. */
export interface AnswerParts {
  readonly id: string;
  readonly model: string;
  readonly content: string;
  readonly reasoning: string;
  readonly toolCalls: ToolCall[];
  readonly finishReason: string | undefined;
}

/** Puts a `CompletionResponse` together. */
export function toCompletionResponse(
  parts: AnswerParts,
  more: Pick<CompletionResponse, "usage" | "stats" | "raw">,
): CompletionResponse {
  const { id, model, content, reasoning, toolCalls } = parts;
  const message: AssistantMessage = {
    role: "assistant",
    content,
    ...(reasoning === "" ? {} : { reasoning }),
    ...(toolCalls.length === 0 ? {} : { toolCalls }),
  };
  return {
    id,
    model,
    message,
    content,
    ...(reasoning === "" ? {} : { reasoning }),
    toolCalls,
    finishReason: repairFinishReason(parts.finishReason, toolCalls),
    ...more,
  };
}

/** Before 0.3.15 answers that call tools finish with "stop". */
export function repairFinishReason(
  reason: string | undefined,
  toolCalls: readonly ToolCall[],
): FinishReason {
  const isStop = reason === undefined || reason === "stop";
  return isStop && toolCalls.length > 0 ? "tool_calls" : reason ?? "stop";
}

/** Decodes a whole answer. */
export function decodeCompletion(
  value: unknown,
  elapsedMs: number,
  context: ErrorContext,
  tags: ThinkTags,
): CompletionResponse {
  const choice = isRecord(value) && Array.isArray(value.choices)
    ? firstChoice(value.choices)
    : undefined;
  if (!isRecord(value) || choice === undefined || !isRecord(choice.message)) {
    throw malformedResponse("the answer has no choices[0].message", value, context);
  }
  const { message } = choice;
  const ownReasoning = reasoningOf(message);
  const text = textOf(message.content);
  // What has its reasoning in a field of its own has no tag left out.
  const split = ownReasoning === "" ? splitThinking(text, tags) : splitAsStreamed(text, tags);
  const assembler = new ToolCallAssembler();
  assembler.feedWhole(message.tool_calls);
  if (assembler.isOverfull) {
    const state = `the answer has ${TOO_MANY_CALLS}`;
    throw malformedResponse(state, undefined, context, undefined, TOO_MANY_HINT);
  }
  const usage = decodeUsage(value.usage, value.timings);
  return toCompletionResponse({
    id: textOf(value.id),
    model: textOf(value.model) || (context.model ?? ""),
    content: split.content,
    reasoning: ownReasoning + split.reasoning,
    toolCalls: assembler.calls(),
    finishReason: finishReasonOf(choice.finish_reason),
  }, {
    ...(usage === undefined ? {} : { usage }),
    stats: decodeServerStats(value) ?? measureStats(usage, elapsedMs),
    raw: value,
  });
}

/** Reasoning under either of its names: `reasoning_content` since 0.3.9, `reasoning` for gpt-oss. */
export function reasoningOf(message: Record<string, unknown>): string {
  return textOf(message.reasoning_content) || textOf(message.reasoning);
}
