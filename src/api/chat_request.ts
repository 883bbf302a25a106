/**
 * Requests of the native chat, written as the body of `POST /api/v1/chat`: only keys that are documented, since
 * the server refuses all others.
 *
 * @see https://lmstudio.ai/docs/developer/rest/chat
 * @module
 */

import type { ChatIntegration, ChatRequest } from "../core/chat.ts";
import type { Refuse } from "../core/request_checks.ts";
import { encodeImages, type FetchImage } from "./images.ts";

/** The body for a checked request, but for the model. */
export async function encodeChatRequest(
  request: ChatRequest,
  refuse: Refuse,
  fetchImage: FetchImage,
): Promise<Record<string, unknown>> {
  const { maxTokens } = request;
  return {
    input: await encodeInput(request.input, refuse, fetchImage),
    system_prompt: request.systemPrompt,
    integrations: request.integrations?.map(encodeIntegration),
    temperature: request.temperature,
    top_p: request.topP,
    top_k: request.topK,
    min_p: request.minP,
    repeat_penalty: request.repeatPenalty,
    // Nobody was seen to send -1 here, and no limit is the default.
    max_output_tokens: maxTokens === -1 ? undefined : maxTokens,
    reasoning: request.reasoning,
    context_length: request.contextLength,
    store: request.store,
    previous_response_id: request.previousResponseId,
  };
}

async function encodeInput(
  given: ChatRequest["input"],
  refuse: Refuse,
  fetchImage: FetchImage,
): Promise<unknown> {
  if (typeof given === "string") return given;
  // What the caller adds while images are fetched is for the next request.
  const input = [...given];
  // The documentation calls a text part "message" in its table and "text" in its example: without an image
  // there is no need to choose.
  const texts = input.map((part) => part.type === "text" ? part.content : undefined);
  if (texts.every((text) => text !== undefined)) return texts.join("\n\n");
  const images = input.flatMap((part, index) =>
    part.type === "image" ? [{ part, path: `input[${index}].image` }] : []
  );
  const urls = (await encodeImages(images, refuse, fetchImage)).values();
  return input.map((part) =>
    part.type === "text"
      ? { type: "text", content: part.content }
      : { type: "image", data_url: urls.next().value }
  );
}

function encodeIntegration(integration: ChatIntegration): unknown {
  if (typeof integration === "string") return integration;
  const { type, allowedTools: allowed_tools } = integration;
  if (type === "plugin") return { type, id: integration.id, allowed_tools };
  const { serverLabel: server_label, serverUrl: server_url, headers } = integration;
  return { type, server_label, server_url, allowed_tools, headers };
}
