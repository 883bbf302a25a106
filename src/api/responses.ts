/**
 * `POST /v1/responses`: one whole answer.
 *
 * @see https://lmstudio.ai/docs/developer/openai-compat/responses
 * @module
 */

import { isRecord } from "../core/request_checks.ts";
import type { ResponsesAnswer } from "../core/responses.ts";
import type { CallOptions, PartialAnswer, Usage } from "../core/types.ts";
import { type ErrorContext, errorFromWire, readWireError } from "../transport/error_mapping.ts";
import {
  malformedResponse,
  type Transport,
  type TransportRequest,
} from "../transport/transport.ts";
import { MOST_PARTS, textOf, TOO_MANY_HINT, TOO_MANY_ITEMS } from "./wire_choice.ts";
import { itemsOf, type OutputParts, readOutput } from "./responses_output.ts";
import type { ThinkTags } from "./think_splitter.ts";
import { decodeStats, decodeUsage, measureStats } from "./usage.ts";

/** The request for a body, streamed or not. @param tags around thoughts in the answer's texts. */
export function responsesRequest(
  body: Record<string, unknown>,
  action: string,
  tags: ThinkTags,
): TransportRequest {
  // The server keeps every answer unless it is told not to.
  const isStateless = body.store === false && typeof body.previous_response_id !== "string";
  return {
    method: "POST",
    path: "/v1/responses",
    body,
    policy: isStateless ? "stateless" : "stateful",
    action,
    model: textOf(body.model),
    since: "0.3.29",
    partialOf: (value) => isRecord(value) ? partialOf(readOutput(value.output, tags)) : undefined,
  };
}

/**
 * Asks for one answer.
 *
 * @param body as `encodeResponsesRequest` gives it, with the model.
 * @param startedAt when the call began that this request is part of.
 * @param tags around thoughts in the answer's texts.
 */
export async function requestResponse(
  transport: Transport,
  body: Record<string, unknown>,
  action: string,
  options: CallOptions,
  startedAt: number,
  tags: ThinkTags,
): Promise<ResponsesAnswer> {
  const sentAt = performance.now();
  const request = responsesRequest(body, action, tags);
  const { value, context } = await transport.json(request, options, Infinity, startedAt);
  return decodeResponse(value, performance.now() - sentAt, context, tags);
}

/** Decodes a whole answer. @throws what it says, where it says that it failed. */
export function decodeResponse(
  value: unknown,
  elapsedMs: number,
  context: ErrorContext,
  tags: ThinkTags,
): ResponsesAnswer {
  if (!isRecord(value) || !Array.isArray(value.output)) {
    throw malformedResponse("the answer has no output", value, context);
  }
  if (value.output.length > MOST_PARTS) {
    const state = `the answer has ${TOO_MANY_ITEMS}`;
    throw malformedResponse(state, undefined, context, undefined, TOO_MANY_HINT);
  }
  const parts = readOutput(value.output, tags);
  if (value.status === "failed") {
    const partial = partialOf(parts);
    const { status } = context;
    throw errorFromWire(readWireError(value) ?? { message: "" }, status, {
      ...context,
      ...(partial === undefined ? {} : { partial }),
    });
  }
  const usage = decodeResponsesUsage(value.usage);
  return {
    id: textOf(value.id),
    model: textOf(value.model) || (context.model ?? ""),
    status: textOf(value.status) || "completed",
    ...fieldsOf(parts),
    output: itemsOf(value.output),
    ...(usage === undefined ? {} : { usage }),
    stats: decodeStats(value.stats) ?? measureStats(usage, elapsedMs),
    raw: value,
  };
}

/** The fields of an answer for the parts of its output. */
export function fieldsOf(
  { text, reasoning, toolCalls }: OutputParts,
): Pick<ResponsesAnswer, "text" | "reasoning" | "toolCalls"> {
  return { text, ...(reasoning === "" ? {} : { reasoning }), toolCalls };
}

/** What an error has of an answer; `undefined` when nothing had come. */
export function partialOf({ text, reasoning, toolCalls }: OutputParts): PartialAnswer | undefined {
  if (text === "" && reasoning === "" && toolCalls.length === 0) return undefined;
  return { content: text, ...(reasoning === "" ? {} : { reasoning }), toolCalls };
}

/** The `usage` of a response, which names its numbers otherwise than chat does. */
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
