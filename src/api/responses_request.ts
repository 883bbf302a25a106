/**
 * Requests for `POST /v1/responses`: checked and encoded. Unlike in completions, tools are flat, and calls and their
 * results are items of their own, next to the messages.
 *
 * @see https://lmstudio.ai/docs/developer/openai-compat/responses
 * @module
 */

import type { ContentPart, Tool } from "../core/messages.ts";
import {
  anything,
  arrayOf,
  flag,
  headers,
  nonEmptyText,
  reasoningTags,
  type RefusalMaker,
  required,
  type Rule,
  table,
  text,
  textOf,
  textOr,
  variants,
} from "../core/checks.ts";
import { isRecord } from "../core/fields.ts";
import type {
  ResponsesFunctionCall,
  ResponsesFunctionCallOutput,
  ResponsesInputItem,
  ResponsesItemReference,
  ResponsesMcpTool,
  ResponsesMessage,
  ResponsesRequest,
} from "../core/responses.ts";
import { writable } from "../core/unwritable.ts";
import { allowedTools, serverUrl } from "./chat_request.ts";
import { content, extraBody, reasoning, SAMPLING, withExtraBody } from "./completion_request.ts";
import { encodeImages, type FetchImage, type PlacedImage } from "./images.ts";
import { choiceAmong, encodeTool, tool, toolChoice, toolsOf } from "./rare_fields.ts";

// --- Checks -------------------------------------------------------------------------------------

const said = table({ type: anything, role: anything, content: required(content) });
const answered: Rule = (value, of, refusal) => {
  const given = said(value, of, refusal) as ResponsesMessage;
  const parts = typeof given.content === "string" ? [] : given.content;
  const index = parts.findIndex(({ type }) => type !== "text");
  if (index === -1) return given;
  throw refusal(`${of}.content[${index}] is an image, which an assistant message cannot have`);
};
const message = variants("role", {
  system: said,
  developer: said,
  user: said,
  assistant: answered,
});

const ITEMS = variants("type", {
  message,
  function_call: table<ResponsesFunctionCall>({
    type: anything,
    callId: required(nonEmptyText),
    name: required(nonEmptyText),
    arguments: required(textOf("a JSON string")),
  }),
  function_call_output: table<ResponsesFunctionCallOutput>({
    type: anything,
    callId: required(nonEmptyText),
    output: required(text),
  }),
  item_reference: table<ResponsesItemReference>({ type: anything, id: required(nonEmptyText) }),
}, { form: "a string or an object", otherwise: ", or the type of an item from an answer" });

const item: Rule = (value, of, refusal) => {
  if (isRecord(value)) {
    if (isWireItem(value)) return value;
    if (value.role === "tool" && (value.type ?? "message") === "message") {
      const type = "function_call_output";
      throw refusal(`${of} has the role "tool": use { type: "${type}", callId, output } instead`);
    }
    if (value.type === undefined) return message(value, of, refusal);
  }
  return ITEMS(value, of, refusal);
};

/** Whether this item comes from an answer's `output`: only those have an id from the server, and wire fields. */
function isWireItem(item: Record<string, unknown>): boolean {
  const { type, id } = item;
  if (typeof type !== "string") return false;
  if (type === "function_call") return typeof item.call_id === "string";
  return typeof id === "string" && id !== "" && type !== "item_reference" &&
    type !== "function_call_output";
}

const mcpTool = table<ResponsesMcpTool>({
  type: anything,
  serverLabel: required(nonEmptyText),
  serverUrl: required(serverUrl),
  allowedTools,
  headers,
});

const anyTool: Rule<Tool | ResponsesMcpTool> = (value, of, refusal) => {
  if (isRecord(value) && isRecord(value.function)) {
    throw refusal(`${of} has the form of another route: use { name, description, parameters }`);
  }
  return isRecord(value) && value.type === "mcp"
    ? mcpTool(value, of, refusal)
    : tool(value, of, refusal);
};

const RESPONSES_REQUEST = table<ResponsesRequest>({
  model: nonEmptyText,
  input: required(textOr(arrayOf(textOr(item), { form: "a string or an array" }))),
  instructions: text,
  previousResponseId: nonEmptyText,
  store: flag,
  tools: toolsOf(
    anyTool,
    (tool) => isMcpTool(tool) ? ["serverLabel", tool.serverLabel] : ["name", tool.name],
  ),
  toolChoice,
  reasoning,
  reasoningTags,
  maxOutputTokens: SAMPLING.maxTokens,
  temperature: SAMPLING.temperature,
  topP: SAMPLING.topP,
  extraBody: extraBody(["model", "input", "stream"], writable),
}, {
  whole: "the request is",
  between: [
    // A tool of an MCP server satisfies `required`, too.
    choiceAmong(({ tools = [] }, choice) =>
      tools.flatMap((tool) =>
        !isMcpTool(tool) ? [tool.name] : choice === "required" ? [tool.serverLabel] : []
      )
    ),
  ],
});

/** Checks a request and returns a copy; throws if the server would refuse, misread or silently ignore part of it. */
export function checkResponsesRequest(request: unknown, refusal: RefusalMaker): ResponsesRequest {
  if (isRecord(request) && request.schema !== undefined) {
    const state = "LM Studio ignores `schema` on this route";
    throw refusal(state, "unsupported_response_format", "Use `complete()` for structured output.");
  }
  return RESPONSES_REQUEST(request, "", refusal);
}

// --- Encoding ---------------------------------------------------------------------------------

/**
 * The body for a checked request, without the model. Images behind URLs are fetched last.
 *
 * @param action completes "Cannot …".
 */
export async function encodeResponsesRequest(
  request: ResponsesRequest,
  refusal: RefusalMaker,
  fetchImage: FetchImage,
  action: string,
): Promise<Record<string, unknown>> {
  const { input, tools: given = [], reasoning, maxOutputTokens, toolChoice, extraBody } = request;
  const body: Record<string, unknown> = {
    input: undefined,
    instructions: request.instructions,
    previous_response_id: request.previousResponseId,
    store: request.store,
    // The route documents only effort levels; it would refuse "on" and "off".
    reasoning: reasoning === undefined || reasoning === "off" || reasoning === "on"
      ? undefined
      : { effort: reasoning },
    max_output_tokens: maxOutputTokens === -1 ? undefined : maxOutputTokens,
    temperature: request.temperature,
    top_p: request.topP,
  };
  if (given.length > 0) {
    // As in completions, a named choice becomes "required" with that function alone.
    const named = typeof toolChoice === "object" ? toolChoice.name : undefined;
    const tools = named === undefined
      ? given
      : given.filter((tool) => !isMcpTool(tool) && tool.name === named);
    body.tools = await Promise.all(
      tools.map((tool) => isMcpTool(tool) ? encodeMcpTool(tool) : flat(tool, refusal, action)),
    );
    body.tool_choice = named === undefined ? toolChoice : "required";
  }
  body.input = await encodeInput(input, refusal, fetchImage);
  return withExtraBody(body, extraBody);
}

function isMcpTool(tool: Tool | ResponsesMcpTool): tool is ResponsesMcpTool {
  return "type" in tool && tool.type === "mcp";
}

async function flat(
  tool: Tool,
  refusal: RefusalMaker,
  action: string,
): Promise<Record<string, unknown>> {
  const { type, function: definition } = await encodeTool(tool, refusal, action);
  return { type, ...definition };
}

function encodeMcpTool(tool: ResponsesMcpTool): Record<string, unknown> {
  return {
    type: "mcp",
    server_label: tool.serverLabel,
    server_url: tool.serverUrl,
    allowed_tools: tool.allowedTools,
    headers: tool.headers,
  };
}

async function encodeInput(
  input: ResponsesRequest["input"],
  refusal: RefusalMaker,
  fetchImage: FetchImage,
): Promise<string | Record<string, unknown>[]> {
  if (typeof input === "string") return input;
  const images = imagesOf(input);
  const urls = await encodeImages(images, refusal, fetchImage);
  const urlOf = new Map(images.map(({ part }, index) => [part, urls[index] ?? ""]));
  const items: Record<string, unknown>[] = [];
  let texts: string[] = [];
  const flush = (): void => {
    if (texts.length > 0) items.push(userMessage(texts.join("\n\n")));
    texts = [];
  };
  // As in completions: many chat templates do not accept two user messages in a row.
  for (const item of input) {
    if (typeof item === "string") {
      texts.push(item);
      continue;
    }
    flush();
    items.push(encodeItem(item, urlOf));
  }
  flush();
  return items;
}

function imagesOf(input: readonly (string | ResponsesInputItem)[]): PlacedImage[] {
  return input.flatMap((item, at) => {
    const { content } = messageOf(item) ?? {};
    if (content === undefined || typeof content === "string") return [];
    return content.flatMap((part, index) =>
      part.type === "image" ? [{ part, path: `input[${at}].content[${index}].image` }] : []
    );
  });
}

/** The item, if it is a message in our form rather than an item from an answer. */
function messageOf(item: string | ResponsesInputItem): ResponsesMessage | undefined {
  if (typeof item === "string" || isWireItem({ ...item })) return undefined;
  return "role" in item ? item as ResponsesMessage : undefined;
}

function userMessage(content: string): Record<string, unknown> {
  return { type: "message", role: "user", content };
}

function encodeItem(
  item: ResponsesInputItem,
  urlOf: ReadonlyMap<ContentPart, string>,
): Record<string, unknown> {
  const fields: Record<string, unknown> = { ...item };
  if (isWireItem(fields)) return fields;
  switch (fields.type) {
    case "function_call": {
      const { callId, name, arguments: text } = item as ResponsesFunctionCall;
      return { type: "function_call", call_id: callId, name, arguments: text };
    }
    case "function_call_output": {
      const { callId, output } = item as ResponsesFunctionCallOutput;
      return { type: "function_call_output", call_id: callId, output };
    }
    case "item_reference":
      return fields;
    default: {
      const { role, content } = item as ResponsesMessage;
      const encoded = typeof content === "string" ? content : encodeParts(role, content, urlOf);
      return { type: "message", role, content: encoded };
    }
  }
}

function encodeParts(
  role: ResponsesMessage["role"],
  parts: readonly ContentPart[],
  urlOf: ReadonlyMap<ContentPart, string>,
): Record<string, unknown>[] {
  const type = role === "assistant" ? "output_text" : "input_text";
  return parts.map((part) =>
    part.type === "text"
      ? { type, text: part.text }
      : { type: "input_image", image_url: urlOf.get(part) }
  );
}
