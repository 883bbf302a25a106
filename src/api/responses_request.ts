/**
 * Requests for `POST /v1/responses`: checked, then written as the route wants them. Unlike in chat, tools are
 * flat, and calls and their results are items beside the messages.
 *
 * @see https://lmstudio.ai/docs/developer/openai-compat/responses
 * @module
 */

import type { ContentPart, Tool } from "../core/messages.ts";
import {
  checkFields,
  checkName,
  checkNames,
  checkNumber,
  isRecord,
  type NumberRule,
  type Refuse,
} from "../core/request_checks.ts";
import type {
  ResponsesFunctionCall,
  ResponsesFunctionCallOutput,
  ResponsesInputItem,
  ResponsesItemReference,
  ResponsesMcpTool,
  ResponsesMessage,
  ResponsesRequest,
} from "../core/responses.ts";
import { checkHeaders, describe, describeType } from "../core/value_checks.ts";
import {
  checkContentPart,
  checkTags,
  checkTool,
  checkToolChoice,
  REASONING,
} from "./completion_checks.ts";
import { encodeTool } from "./completion_request.ts";
import { encodeImages, type FetchImage, type PlacedImage } from "./images.ts";
import { checkExtraBody, SAMPLING_RULES, withExtraBody } from "./sampling.ts";

const REQUEST_FIELDS: ReadonlySet<string> = new Set(
  [
    "model",
    "input",
    "instructions",
    "previousResponseId",
    "store",
    "tools",
    "toolChoice",
    "reasoning",
    "reasoningTags",
    "maxOutputTokens",
    "temperature",
    "topP",
    "extraBody",
  ] satisfies (keyof ResponsesRequest)[],
);
const NUMBERS: Readonly<Record<string, NumberRule>> = {
  maxOutputTokens: SAMPLING_RULES.maxTokens,
  temperature: SAMPLING_RULES.temperature,
  topP: SAMPLING_RULES.topP,
};
const MESSAGE_FIELDS: ReadonlySet<string> = new Set(
  ["type", "role", "content"] satisfies (keyof ResponsesMessage)[],
);
const CALL_FIELDS: ReadonlySet<string> = new Set(
  ["type", "callId", "name", "arguments"] satisfies (keyof ResponsesFunctionCall)[],
);
const OUTPUT_FIELDS: ReadonlySet<string> = new Set(
  ["type", "callId", "output"] satisfies (keyof ResponsesFunctionCallOutput)[],
);
const REFERENCE_FIELDS: ReadonlySet<string> = new Set(
  ["type", "id"] satisfies (keyof ResponsesItemReference)[],
);
const MCP_FIELDS: ReadonlySet<string> = new Set(
  ["type", "serverLabel", "serverUrl", "allowedTools", "headers"] satisfies (
    keyof ResponsesMcpTool
  )[],
);
const ROLES: ReadonlySet<unknown> = new Set(["system", "developer", "user", "assistant"]);

// --- Checks -----------------------------------------------------------------------------------

/** Refuses a request that the server would refuse, misread or silently ignore. */
export function checkResponsesRequest(request: unknown, refuse: Refuse): ResponsesRequest {
  if (!isRecord(request)) throw refuse(`the request is ${describeType(request)}, not an object`);
  if (request.schema !== undefined) {
    const state = "LM Studio ignores `schema` on this route";
    throw refuse(state, "unsupported_response_format", "Use `complete()` for structured output.");
  }
  checkFields(request, REQUEST_FIELDS, "field", refuse);
  checkName("model", request.model, refuse);
  checkInput(request.input, refuse);
  const { instructions, store, reasoning, extraBody } = request;
  if (instructions !== undefined && typeof instructions !== "string") {
    throw refuse(`instructions is ${describe(instructions)}, not text`);
  }
  checkName("previousResponseId", request.previousResponseId, refuse);
  if (store !== undefined && typeof store !== "boolean") {
    throw refuse(`store is ${describe(store)}, not true or false`);
  }
  checkTools(request.tools, request.toolChoice, refuse);
  if (reasoning !== undefined && !REASONING.has(reasoning)) {
    throw refuse(`reasoning is ${describe(reasoning)}, not "off", "on", "low", "medium" or "high"`);
  }
  checkTags(request.reasoningTags, refuse);
  for (const [name, rule] of Object.entries(NUMBERS)) {
    checkNumber(name, request[name], rule, refuse);
  }
  checkExtraBody(extraBody, ["model", "input", "stream"], refuse);
  return request as unknown as ResponsesRequest;
}

function checkInput(input: unknown, refuse: Refuse): void {
  if (input === "" || (Array.isArray(input) && input.length === 0)) {
    throw refuse("input cannot be empty");
  }
  if (typeof input === "string") return;
  if (!Array.isArray(input)) throw refuse(`input is ${describe(input)}, not text or an array`);
  for (const [index, item] of input.entries()) {
    const path = `input[${index}]`;
    if (item === "") throw refuse(`${path} cannot be empty`);
    if (typeof item !== "string") checkItem(item, path, refuse);
  }
}

function checkItem(item: unknown, path: string, refuse: Refuse): void {
  if (!isRecord(item)) throw refuse(`${path} is ${describeType(item)}, not text or an object`);
  if (isWireItem(item)) return;
  switch (item.type) {
    case undefined:
    case "message":
      return checkMessage(item, path, refuse);
    case "function_call":
      checkFields(item, CALL_FIELDS, "field", refuse, path);
      checkName(`${path}.callId`, item.callId ?? "", refuse);
      checkName(`${path}.name`, item.name ?? "", refuse);
      return checkText(`${path}.arguments`, item.arguments, "JSON text", refuse);
    case "function_call_output":
      checkFields(item, OUTPUT_FIELDS, "field", refuse, path);
      checkName(`${path}.callId`, item.callId ?? "", refuse);
      return checkText(`${path}.output`, item.output, "text", refuse);
    case "item_reference":
      checkFields(item, REFERENCE_FIELDS, "field", refuse, path);
      return checkName(`${path}.id`, item.id ?? "", refuse);
    default:
      throw refuse(
        `${path}.type is ${describe(item.type)}, not "message", "function_call", ` +
          '"function_call_output", "item_reference" or the type of an item that an answer had',
      );
  }
}

/** Whether an answer's `output` had this item: only those have an id of the server and fields of the wire. */
function isWireItem(item: Record<string, unknown>): boolean {
  const { type, id } = item;
  if (typeof type !== "string") return false;
  if (type === "function_call") return typeof item.call_id === "string";
  return typeof id === "string" && id !== "" && type !== "item_reference" &&
    type !== "function_call_output";
}

function checkMessage(message: Record<string, unknown>, path: string, refuse: Refuse): void {
  const { role, content } = message;
  if (role === "tool") {
    const type = "function_call_output";
    throw refuse(`${path} has the role "tool": give { type: "${type}", callId, output } instead`);
  }
  if (!ROLES.has(role)) {
    throw refuse(
      `${path}.role is ${describe(role)}, not "system", "developer", "user" or "assistant"`,
    );
  }
  checkFields(message, MESSAGE_FIELDS, "field", refuse, path);
  if (typeof content === "string") return;
  if (!Array.isArray(content)) {
    throw refuse(`${path}.content is ${describeType(content)}, not text or an array of parts`);
  }
  if (content.length === 0) throw refuse(`${path}.content cannot be empty`);
  for (const [index, part] of content.entries()) {
    const partPath = `${path}.content[${index}]`;
    checkContentPart(part, partPath, refuse);
    if (role === "assistant" && isRecord(part) && part.type !== "text") {
      throw refuse(`${partPath} is an image, and an assistant's message has none`);
    }
  }
}

function checkText(name: string, value: unknown, form: string, refuse: Refuse): void {
  if (typeof value !== "string") throw refuse(`${name} is ${describe(value)}, not ${form}`);
}

function checkTools(tools: unknown, choice: unknown, refuse: Refuse): void {
  if (tools !== undefined && !Array.isArray(tools)) {
    throw refuse(`tools is ${describe(tools)}, not an array`);
  }
  const names = new Set<unknown>();
  const labels = new Set<unknown>();
  for (const [index, tool] of (tools ?? []).entries()) {
    const path = `tools[${index}]`;
    if (isRecord(tool) && isRecord(tool.function)) {
      throw refuse(
        `${path} is written as for another route: give { name, description, parameters }`,
      );
    }
    if (isRecord(tool) && tool.type === "mcp") checkMcpTool(tool, path, labels, refuse);
    else checkTool(tool, path, names, refuse);
  }
  checkToolChoice(choice, choice === "required" ? new Set([...names, ...labels]) : names, refuse);
}

function checkMcpTool(
  tool: Record<string, unknown>,
  path: string,
  labels: Set<unknown>,
  refuse: Refuse,
): void {
  checkFields(tool, MCP_FIELDS, "field", refuse, path);
  const { serverLabel, serverUrl, allowedTools, headers } = tool;
  checkName(`${path}.serverLabel`, serverLabel ?? "", refuse);
  if (labels.has(serverLabel)) {
    throw refuse(`${path}.serverLabel is ${describe(serverLabel)}, used twice`);
  }
  labels.add(serverLabel);
  // Not said: people put keys into addresses.
  if (typeof serverUrl !== "string" || !/^https?:\/\/[^\s/]/i.test(serverUrl)) {
    throw refuse(`${path}.serverUrl is not an http: or https: address`);
  }
  checkNames(`${path}.allowedTools`, allowedTools, "tools' names", refuse);
  if (headers !== undefined) {
    const checked = checkHeaders(headers);
    if ("problem" in checked) throw refuse(`${path}.headers ${checked.problem}`);
  }
}

// --- Encoding ---------------------------------------------------------------------------------

/**
 * The body for a checked request, but for the model. Images behind addresses are fetched when all else has been
 * written.
 *
 * @param action completes "Cannot …".
 */
export async function encodeResponsesRequest(
  request: ResponsesRequest,
  refuse: Refuse,
  fetchImage: FetchImage,
  action: string,
): Promise<Record<string, unknown>> {
  const { reasoning, maxOutputTokens, toolChoice, extraBody } = request;
  // As in chat: copies.
  const input = typeof request.input === "string" ? request.input : [...request.input];
  const given = [...request.tools ?? []];
  const body: Record<string, unknown> = {
    input: undefined,
    instructions: request.instructions,
    previous_response_id: request.previousResponseId,
    store: request.store,
    // The route documents efforts alone; another word could only be refused.
    reasoning: reasoning === undefined || reasoning === "off" || reasoning === "on"
      ? undefined
      : { effort: reasoning },
    max_output_tokens: maxOutputTokens === -1 ? undefined : maxOutputTokens,
    temperature: request.temperature,
    top_p: request.topP,
  };
  if (given.length > 0) {
    // As in chat: a named choice is "required" among that one function.
    const named = typeof toolChoice === "object" ? toolChoice.name : undefined;
    const tools = named === undefined
      ? given
      : given.filter((tool) => !isMcpTool(tool) && tool.name === named);
    body.tools = await Promise.all(
      tools.map((tool) => isMcpTool(tool) ? encodeMcpTool(tool) : flat(tool, refuse, action)),
    );
    body.tool_choice = named === undefined ? toolChoice : "required";
  }
  body.input = await encodeInput(input, refuse, fetchImage);
  return withExtraBody(body, extraBody);
}

function isMcpTool(tool: Tool | ResponsesMcpTool): tool is ResponsesMcpTool {
  return "type" in tool && tool.type === "mcp";
}

async function flat(
  tool: Tool,
  refuse: Refuse,
  action: string,
): Promise<Record<string, unknown>> {
  const { type, function: definition } = await encodeTool(tool, refuse, action);
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
  refuse: Refuse,
  fetchImage: FetchImage,
): Promise<string | Record<string, unknown>[]> {
  if (typeof input === "string") return input;
  const images = imagesOf(input);
  const urls = await encodeImages(images, refuse, fetchImage);
  const urlOf = new Map(images.map(({ part }, index) => [part, urls[index] ?? ""]));
  const items: Record<string, unknown>[] = [];
  let texts: string[] = [];
  const flush = (): void => {
    if (texts.length > 0) items.push(userMessage(texts.join("\n\n")));
    texts = [];
  };
  // As in chat: many templates take no two messages of a user in a row.
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

/** The item where it is a message of ours, and not one of the wire. */
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
