/**
 * Requests of the native chat: checked, and encoded as the body of `POST /api/v1/chat`. Only documented keys are sent:
 * the server refuses any other, in words that do not help the user.
 *
 * @see https://lmstudio.ai/docs/developer/rest/chat
 * @module
 */

import type { ChatInputPart, ChatIntegration, ChatRequest } from "../core/chat.ts";
import {
  anything,
  arrayOf,
  count,
  describe,
  flag,
  headers,
  names,
  nonEmptyText,
  oneOf,
  reasoningTags,
  type RefusalMaker,
  required,
  type Rule,
  table,
  text,
  textOr,
  variants,
} from "../core/checks.ts";
import { imagePart, SAMPLING } from "./completion_request.ts";
import { encodeImages, type FetchImage } from "./images.ts";

// --- Checks -------------------------------------------------------------------------------------

/** URL of an MCP server. It may contain a key, so messages do not show it. */
export const serverUrl: Rule<string> = (value, of, refusal) => {
  if (typeof value === "string" && /^https?:\/\/[^\s/]/i.test(value) && URL.canParse(value)) {
    return value;
  }
  throw refusal(`${of} is not an http or https URL`);
};

/** Names of the tools of an MCP server or plugin that the model may call. */
export const allowedTools: Rule<readonly string[]> = names("tool names");

const spoken: Rule<string> = (value, of, refusal) => {
  const given = text(value, of, refusal);
  if (given === "") throw refusal(`${of} cannot be empty`);
  return given;
};

const part = variants<ChatInputPart>(
  "type",
  {
    text: table<Extract<ChatInputPart, { type: "text" }>>({
      type: anything,
      content: required(spoken),
    }),
    image: imagePart,
  },
  { remark: "part" },
);

type Of<Type> = Extract<Exclude<ChatIntegration, string>, { type: Type }>;

const integration = variants<Exclude<ChatIntegration, string>>("type", {
  plugin: table<Of<"plugin">>({ type: anything, id: required(nonEmptyText), allowedTools }),
  ephemeral_mcp: table<Of<"ephemeral_mcp">>({
    type: anything,
    serverLabel: required(nonEmptyText),
    serverUrl: required(serverUrl),
    allowedTools,
    headers,
  }),
}, { form: "a plugin id or an object", show: describe });

const CHAT_REQUEST = table<ChatRequest>({
  model: nonEmptyText,
  input: required(textOr(arrayOf(part, { form: "a string or an array of parts" }))),
  previousResponseId: nonEmptyText,
  temperature: SAMPLING.temperature,
  topP: SAMPLING.topP,
  topK: SAMPLING.topK,
  minP: SAMPLING.minP,
  repeatPenalty: SAMPLING.repeatPenalty,
  maxTokens: SAMPLING.maxTokens,
  contextLength: count,
  systemPrompt: text,
  store: flag,
  // In the order of LM Studio's documentation.
  reasoning: oneOf(["off", "low", "medium", "high", "on"]),
  reasoningTags,
  integrations: arrayOf(
    (value, of, refusal) =>
      typeof value === "string"
        ? nonEmptyText(value, of, refusal)
        : integration(value, of, refusal),
    { mayBeEmpty: true, show: describe },
  ),
}, { whole: "the request is", form: "an object with `input`" });

/** Checks a request and returns a copy of it; throws if it cannot be sent. */
export function checkChatRequest(request: unknown, refusal: RefusalMaker): ChatRequest {
  return CHAT_REQUEST(request, "", refusal);
}

// --- Encoding -----------------------------------------------------------------------------------

/** The body for a checked request, without the model. */
export async function encodeChatRequest(
  request: ChatRequest,
  refusal: RefusalMaker,
  fetchImage: FetchImage,
): Promise<Record<string, unknown>> {
  const { maxTokens } = request;
  return {
    input: await encodeInput(request.input, refusal, fetchImage),
    system_prompt: request.systemPrompt,
    integrations: request.integrations?.map(encodeIntegration),
    temperature: request.temperature,
    top_p: request.topP,
    top_k: request.topK,
    min_p: request.minP,
    repeat_penalty: request.repeatPenalty,
    // No client is known to send -1 here, and the default is no limit.
    max_output_tokens: maxTokens === -1 ? undefined : maxTokens,
    reasoning: request.reasoning,
    context_length: request.contextLength,
    store: request.store,
    previous_response_id: request.previousResponseId,
  };
}

async function encodeInput(
  input: ChatRequest["input"],
  refusal: RefusalMaker,
  fetchImage: FetchImage,
): Promise<unknown> {
  if (typeof input === "string") return input;
  // LM Studio's documentation calls a text part "message" in its table and "text" in its example; without images,
  // one string avoids the choice.
  const texts = input.map((part) => part.type === "text" ? part.content : undefined);
  if (texts.every((text) => text !== undefined)) return texts.join("\n\n");
  const images = input.flatMap((part, index) =>
    part.type === "image" ? [{ part, path: `input[${index}].image` }] : []
  );
  const urls = (await encodeImages(images, refusal, fetchImage)).values();
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
