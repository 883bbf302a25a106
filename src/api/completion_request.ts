/**
 * Completion requests, written as the body of `POST /v1/chat/completions`.
 *
 * @see https://lmstudio.ai/docs/developer/openai-compat/chat-completions
 * @module
 */

import { isRecord, type Refuse } from "../core/request_checks.ts";
import type { AssistantMessage, ContentPart, Message, Tool, ToolCall } from "../core/messages.ts";
import type { CompletionRequest } from "../core/types.ts";
import { quote } from "../core/fields.ts";
import { describe } from "../core/value_checks.ts";
import type { FetchImage, PlacedImage } from "./images.ts";
import { importOnUse } from "../core/import_on_use.ts";
import { toJsonSchema } from "./json_schema.ts";
import { encodeSampling, withExtraBody } from "./sampling.ts";

/**
 * The body for a checked request, but for the model: what cannot be written is refused before one is looked for.
 * Images behind addresses are fetched when all else has been written.
 *
 * @param action completes "Cannot …".
 */
export async function encodeCompletionRequest(
  request: CompletionRequest,
  refuse: Refuse,
  fetchImage: FetchImage,
  action: string,
): Promise<Record<string, unknown>> {
  const { schema, schemaName, toolChoice, reasoning, extraBody } = request;
  // Copies: what the caller adds while a schema is written or an image is fetched was not checked, and is for the next
  // request.
  const messages = typeof request.messages === "string"
    ? [request.messages]
    : [...request.messages];
  const given = [...request.tools ?? []];
  const body: Record<string, unknown> = {
    messages: undefined,
    ...encodeSampling(request),
    // "off" is refused by the server, "none" is its word; "on" is what it does anyway.
    reasoning_effort: reasoning === "off" ? "none" : reasoning === "on" ? undefined : reasoning,
  };
  if (given.length > 0) {
    const tools = await Promise.all(given.map((tool) => encodeTool(tool, refuse, action)));
    // The server takes only words, so a named choice is "required" among that one tool.
    const named = typeof toolChoice === "object" ? toolChoice.name : undefined;
    body.tools = named === undefined ? tools : tools.filter((tool) => tool.function.name === named);
    body.tool_choice = named === undefined ? toolChoice : "required";
  }
  if (schema !== undefined) {
    body.response_format = {
      type: "json_schema",
      json_schema: {
        name: schemaName ?? "response",
        strict: true,
        schema: await toJsonSchema(schema, {
          name: "schema",
          code: "unsupported_response_format",
          refuse,
          action,
        }),
      },
    };
  }
  body.messages = await encodeMessages(messages, refuse, fetchImage);
  return withExtraBody(body, extraBody);
}

async function encodeMessages(
  messages: readonly (string | Message)[],
  refuse: Refuse,
  fetchImage: FetchImage,
): Promise<Record<string, unknown>[]> {
  const images = imagesOf(messages);
  const urls = images.length === 0 ? [] : await encodeLazily(images, refuse, fetchImage);
  const urlOf = new Map(images.map(({ part }, index) => [part, urls[index] ?? ""]));
  const encoded: Record<string, unknown>[] = [];
  let texts: string[] = [];
  const flush = (): void => {
    if (texts.length > 0) encoded.push({ role: "user", content: texts.join("\n\n") });
    texts = [];
  };
  for (const message of messages) {
    if (typeof message === "string") {
      texts.push(message);
      continue;
    }
    flush();
    encoded.push(encodeMessage(message, urlOf));
  }
  flush();
  return encoded;
}

async function encodeLazily(
  images: readonly PlacedImage[],
  refuse: Refuse,
  fetchImage: FetchImage,
): Promise<string[]> {
  const { encodeImages } = await importOnUse(() => import("./images.ts"), "send images");
  return await encodeImages(images, refuse, fetchImage);
}

function imagesOf(messages: readonly (string | Message)[]): PlacedImage[] {
  const images: PlacedImage[] = [];
  for (const [at, message] of messages.entries()) {
    if (typeof message === "string" || !Array.isArray(message.content)) continue;
    for (const [index, part] of message.content.entries()) {
      if (part.type !== "image") continue;
      images.push({ part, path: `messages[${at}].content[${index}].image` });
    }
  }
  return images;
}

function encodeMessage(
  message: Message,
  urlOf: ReadonlyMap<ContentPart, string>,
): Record<string, unknown> {
  if (message.role === "assistant") return encodeAssistantMessage(message);
  if (message.role === "tool") {
    return { role: "tool", tool_call_id: message.toolCallId, content: message.content };
  }
  const { role, content, name } = message;
  if (typeof content === "string") return { role, content, name };
  const parts = content.map((part) =>
    part.type === "text"
      ? { type: "text", text: part.text }
      : { type: "image_url", image_url: { url: urlOf.get(part) } }
  );
  return { role, content: parts, name };
}

function encodeAssistantMessage(message: AssistantMessage): Record<string, unknown> {
  const calls = message.toolCalls ?? [];
  return {
    role: "assistant",
    // Without it, or with null, the server answers 400.
    content: message.content ?? "",
    tool_calls: calls.length === 0 ? undefined : calls.map(encodeToolCall),
  };
}

function encodeToolCall(call: ToolCall): Record<string, unknown> {
  return {
    id: call.id,
    type: "function",
    // Engines refuse a history whose arguments do not parse, such as those of a truncated answer, and chat
    // templates one whose arguments are no object.
    function: { name: call.name, arguments: isObjectText(call.arguments) ? call.arguments : "{}" },
  };
}

/** Whether this is an object in JSON. */
export function isObjectText(text: string): boolean {
  try {
    return isRecord(JSON.parse(text));
  } catch {
    return false;
  }
}

/** A function as the chat route takes it. */
export interface WireTool {
  readonly type: "function";
  readonly function: {
    readonly name: string;
    readonly description: string | undefined;
    readonly parameters: Record<string, unknown>;
  };
}

/** A function on the wire. @param action completes "Cannot …". */
export async function encodeTool(tool: Tool, refuse: Refuse, action: string): Promise<WireTool> {
  const name = `parameters of tool ${quote(tool.name)}`;
  const { parameters = {} } = tool;
  const use = { name, code: "invalid_tool_schema", refuse, action } as const;
  const schema = await toJsonSchema(parameters, use);
  if (schema.type !== undefined && schema.type !== "object") {
    throw refuse(`${name} have type ${describe(schema.type)}, not "object"`, "invalid_tool_schema");
  }
  return {
    type: "function",
    function: {
      name: tool.name,
      description: tool.description,
      // The server refuses parameters without both.
      parameters: { ...schema, type: "object", properties: schema.properties ?? {} },
    },
  };
}
