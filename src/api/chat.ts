/**
 * `POST /api/v1/chat`: one whole answer of LM Studio's own chat.
 *
 * @see https://lmstudio.ai/docs/developer/rest/chat
 * @module
 */

import type { ChatResponse } from "../core/chat.ts";
import { isRecord } from "../core/request_checks.ts";
import type { SchemaIssue } from "../core/schema.ts";
import type { CallOptions, GenerationStats, Usage } from "../core/types.ts";
import {
  malformedResponse,
  type Transport,
  type TransportRequest,
} from "../transport/transport.ts";
import { decodeChatItem } from "./chat_fields.ts";
import { importSchemas } from "../core/import_on_use.ts";
import { MOST_PARTS, TOO_MANY_HINT, TOO_MANY_ITEMS } from "./wire_choice.ts";
import { textsOfOutput } from "./chat_transcript.ts";
import type { ThinkTags } from "./think_splitter.ts";
import { decodeChatUsage, decodeStats, measureStats } from "./usage.ts";

/** What every request of this route is. */
export function chatRequest(
  body: Record<string, unknown>,
  action: string,
): TransportRequest {
  return {
    method: "POST",
    path: "/api/v1/chat",
    body,
    // The server keeps the conversation and runs tools: what is sent twice may have happened twice.
    policy: "stateful",
    since: "0.4.0",
    action,
    model: typeof body.model === "string" ? body.model : undefined,
  };
}

/**
 * Asks for one answer.
 *
 * @param body as `encodeChatRequest` gives it, with the model.
 * @param startedAt when the call began that this request is part of.
 * @param tags of thoughts in messages.
 */
export async function requestChat(
  transport: Transport,
  body: Record<string, unknown>,
  action: string,
  options: CallOptions,
  startedAt: number,
  tags: ThinkTags,
): Promise<ChatResponse> {
  const sentAt = performance.now();
  const request = chatRequest(body, action);
  const { value, context } = await transport.json(request, options, Infinity, startedAt);
  const elapsedMs = performance.now() - sentAt;
  const decoded = await decodeChatAnswer(value, {
    modelInstanceId: request.model ?? "",
    tags,
    measure: (usage) => measureStats(usage, elapsedMs),
  });
  if ("issues" in decoded) {
    const { fault, issues, hint } = decoded;
    throw malformedResponse(`the answer has ${fault}`, value, context, issues, hint);
  }
  return decoded.response;
}

/** What is known of an answer beside its body. */
export interface AroundChatAnswer {
  /** Where the answer does not say. */
  readonly modelInstanceId: string;
  /** Of thoughts in messages. */
  readonly tags: ThinkTags;
  /** Where the answer does not say how fast it came. */
  readonly measure: (usage: Usage | undefined) => GenerationStats;
  /** Told by an event, where the answer does not say. */
  readonly modelLoadMs?: number | undefined;
}

/**
 * What reads whole answers. To be called before anything is sent, too: an answer that cannot be read would be lost
 * with the tools that were run for it.
 */
export function importChatSchemas(
  action: string,
): Promise<typeof import("./chat_schemas.ts")> {
  return importSchemas(() => import("./chat_schemas.ts"), action);
}

/** What is wrong with an answer that cannot be read. */
export interface UnreadableAnswer {
  /** What it has. */
  readonly fault: string;
  readonly issues: readonly SchemaIssue[];
  readonly hint?: string;
}

/** Decodes a whole answer. */
export async function decodeChatAnswer(
  value: unknown,
  around: AroundChatAnswer,
): Promise<{ readonly response: ChatResponse } | UnreadableAnswer> {
  if (isRecord(value) && Array.isArray(value.output) && value.output.length > MOST_PARTS) {
    return { fault: TOO_MANY_ITEMS, issues: [], hint: TOO_MANY_HINT };
  }
  const { parseChatAnswer } = await importChatSchemas("read the answer of a chat");
  const parsed = parseChatAnswer(value);
  if ("issues" in parsed) return { fault: "no output", ...parsed };
  const { answer } = parsed;
  const output = answer.output.map(decodeChatItem);
  const { content, reasoning } = textsOfOutput(output, around.tags);
  const usage = decodeChatUsage(answer.stats);
  const stats = decodeStats(answer.stats) ?? around.measure(usage);
  const { modelLoadMs = around.modelLoadMs } = stats;
  const response: ChatResponse = {
    ...(answer.response_id === undefined ? {} : { responseId: answer.response_id }),
    modelInstanceId: answer.model_instance_id ?? around.modelInstanceId,
    content,
    ...(reasoning === "" ? {} : { reasoning }),
    output,
    ...(usage === undefined ? {} : { usage }),
    stats: { ...stats, ...(modelLoadMs === undefined ? {} : { modelLoadMs }) },
    raw: value,
  };
  return { response };
}
