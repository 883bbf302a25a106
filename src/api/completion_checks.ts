/**
 * Refuses completion requests that the server would refuse, misread or silently ignore.
 *
 * @module
 */

import {
  checkCallback,
  checkFields,
  checkName,
  isRecord,
  type Refuse,
} from "../core/request_checks.ts";
import type { ContentPart, Message } from "../core/messages.ts";
import type { CompletionRequest } from "../core/types.ts";
import { checkReasoningTags, describe, describeType } from "../core/value_checks.ts";
import { checkExtraBody, checkSampling, SAMPLING_FIELDS } from "./sampling.ts";

/** The fields of a completion request. */
export const REQUEST_FIELDS: ReadonlySet<string> = new Set(
  [
    "model",
    "messages",
    ...SAMPLING_FIELDS,
    "tools",
    "toolChoice",
    "schema",
    "schemaName",
    "reasoning",
    "reasoningTags",
    "extraBody",
  ] satisfies (keyof CompletionRequest)[],
);

const MESSAGE_FIELDS: Readonly<Record<Message["role"], ReadonlySet<string>>> = {
  system: new Set(["role", "content", "name"]),
  developer: new Set(["role", "content", "name"]),
  user: new Set(["role", "content", "name"]),
  assistant: new Set(["role", "content", "reasoning", "toolCalls"]),
  tool: new Set(["role", "toolCallId", "content"]),
};
const PART_FIELDS: Readonly<Record<ContentPart["type"], ReadonlySet<string>>> = {
  text: new Set(["type", "text"]),
  image: new Set(["type", "image", "mediaType"]),
};
const TOOL_FIELDS: ReadonlySet<string> = new Set(["name", "description", "parameters", "execute"]);
/** For those who come from OpenAI's client. */
const FLAT_TOOL_HINT =
  "Give a tool as `{ name, description, parameters, execute }`, without `function` around it.";
/** Roles and kinds of parts under the names of other libraries and of the wire. */
const ROLE_HINTS: ReadonlyMap<unknown, string> = new Map([
  ["human", 'Write the role "user".'],
  ...["ai", "bot", "model"].map((role) => [role, 'Write the role "assistant".'] as const),
  ["function", 'Give the result of a call as `{ role: "tool", toolCallId, content }`.'],
]);
const PART_HINTS: ReadonlyMap<unknown, string> = new Map([
  ...["image_url", "input_image", "imageUrl", "image-url", "media"].map((type) =>
    [
      type,
      'Give an image as `{ type: "image", image }`: an address, a data: URL or bytes.',
    ] as const
  ),
  ...["input_text", "output_text"].map((type) =>
    [type, 'Give text as a part of the type "text".'] as const
  ),
  ...["file", "input_file", "document", "pdf"].map((type) =>
    [type, "Only images are taken: give the text of a file as text."] as const
  ),
  ...["audio", "input_audio", "audio_url", "video", "video_url"].map((type) =>
    [type, "LM Studio takes texts and images alone."] as const
  ),
  ...["tool_result", "tool-result", "function_call_output"].map((type) =>
    [type, 'A result is a message of its own: `{ role: "tool", toolCallId, content }`.'] as const
  ),
  ...["tool_use", "tool-call", "tool_call", "function_call"].map((type) =>
    [type, "An assistant's calls are its `toolCalls`: `[{ id, name, arguments }]`."] as const
  ),
]);
const ANSWER_HINT = "Give the `message` of an answer, not the answer.";
const TOOL_CALL_FIELDS: ReadonlySet<string> = new Set(["id", "name", "arguments"]);
/** The settings of reasoning. */
export const REASONING: ReadonlySet<unknown> = new Set(["off", "on", "low", "medium", "high"]);

/**
 * Refuses a request that cannot be sent, and returns it as an object.
 *
 * @param moreFields fields that the caller checks and takes out.
 */
export function checkCompletionRequest(
  request: unknown,
  refuse: Refuse,
  moreFields: readonly string[] = [],
): CompletionRequest {
  const checked = typeof request === "string" ? { messages: request } : request;
  if (!isRecord(checked)) {
    throw refuse(`the request is ${describe(request)}, not text or an object`);
  }
  const known = moreFields.length === 0
    ? REQUEST_FIELDS
    : new Set([...REQUEST_FIELDS, ...moreFields]);
  checkFields(checked, known, "field", refuse);
  checkName("model", checked.model, refuse);
  checkSampling(checked, refuse);
  checkMessages(checked.messages, refuse);
  checkName("schemaName", checked.schemaName, refuse);
  if (checked.reasoning !== undefined && !REASONING.has(checked.reasoning)) {
    throw refuse(
      `reasoning is ${describe(checked.reasoning)}, not "off", "on", "low", "medium" or "high"`,
    );
  }
  checkTags(checked.reasoningTags, refuse);
  checkTools(checked.tools, checked.toolChoice, refuse);
  checkExtraBody(checked.extraBody, ["model", "messages", "stream"], refuse);
  return checked as unknown as CompletionRequest;
}

/** Refuses what are no pairs of tags around thoughts. */
export function checkTags(tags: unknown, refuse: Refuse): void {
  if (tags === undefined) return;
  const checked = checkReasoningTags(tags);
  if ("problem" in checked) throw refuse(`reasoningTags ${checked.problem}`);
}

function checkMessages(messages: unknown, refuse: Refuse): void {
  if (messages === "" || (Array.isArray(messages) && messages.length === 0)) {
    throw refuse("messages cannot be empty");
  }
  if (typeof messages === "string") return;
  if (!Array.isArray(messages)) {
    throw refuse(`messages is ${describe(messages)}, not text or an array`);
  }
  for (const [index, message] of messages.entries()) {
    const path = `messages[${index}]`;
    if (message === "") throw refuse(`${path} cannot be empty`);
    if (typeof message !== "string") checkMessage(message, path, refuse);
  }
}

function checkMessage(message: unknown, path: string, refuse: Refuse): void {
  if (!isRecord(message)) {
    throw refuse(`${path} is ${describeType(message)}, not text or an object`);
  }
  const { role, content } = message;
  if (typeof role !== "string" || !Object.hasOwn(MESSAGE_FIELDS, role)) {
    throw refuse(
      `${path}.role is ${describe(role)}, not "system", "developer", "user", "assistant" or "tool"`,
      "invalid_request",
      isRecord(message.message) ? ANSWER_HINT : ROLE_HINTS.get(role),
    );
  }
  checkFields(message, MESSAGE_FIELDS[role as Message["role"]], "field", refuse, path);
  if (role === "assistant") {
    if (content !== undefined && typeof content !== "string") {
      throw refuse(`${path}.content is ${describeType(content)}, not text`);
    }
    return checkToolCalls(message.toolCalls, `${path}.toolCalls`, refuse);
  }
  if (role === "tool") {
    checkName(`${path}.toolCallId`, message.toolCallId ?? "", refuse);
    if (typeof content !== "string") {
      throw refuse(`${path}.content is ${describeType(content)}, not text`);
    }
    return;
  }
  checkName(`${path}.name`, message.name, refuse);
  checkContent(content, `${path}.content`, refuse);
}

function checkContent(content: unknown, path: string, refuse: Refuse): void {
  if (typeof content === "string") return;
  if (!Array.isArray(content)) {
    throw refuse(`${path} is ${describeType(content)}, not text or an array of parts`);
  }
  if (content.length === 0) throw refuse(`${path} cannot be empty`);
  for (const [index, part] of content.entries()) {
    checkContentPart(part, `${path}[${index}]`, refuse);
  }
}

/** Refuses what is neither text nor an image of a message. */
export function checkContentPart(part: unknown, path: string, refuse: Refuse): void {
  if (!isRecord(part)) throw refuse(`${path} is ${describeType(part)}, not an object`);
  const type = checkPartType(part.type, path, refuse);
  checkFields(part, PART_FIELDS[type], "field", refuse, path);
  if (type === "text" && typeof part.text !== "string") {
    throw refuse(`${path}.text is ${describeType(part.text)}, not text`);
  }
  if (type === "image") checkImage(part, path, refuse);
}

/** Refuses what is no kind of part. */
export function checkPartType(
  type: unknown,
  path: string,
  refuse: Refuse,
): ContentPart["type"] {
  if (type === "text" || type === "image") return type;
  const state = `${path}.type is ${describe(type)}, not "text" or "image"`;
  throw refuse(state, "invalid_request", PART_HINTS.get(type));
}

/** Refuses a part whose image is none. */
export function checkImage(part: Record<string, unknown>, path: string, refuse: Refuse): void {
  const { image, mediaType } = part;
  checkName(`${path}.mediaType`, mediaType, refuse);
  const isImage = typeof image === "string" || image instanceof Uint8Array ||
    image instanceof Blob || image instanceof URL;
  if (isImage) return;
  throw refuse(
    `${path}.image is ${describeType(image)}, not bytes, a Blob, a data: URL or an address`,
    "unsupported_content",
  );
}

function checkToolCalls(calls: unknown, path: string, refuse: Refuse): void {
  if (calls === undefined) return;
  if (!Array.isArray(calls)) throw refuse(`${path} is ${describeType(calls)}, not an array`);
  for (const [index, call] of calls.entries()) {
    const callPath = `${path}[${index}]`;
    if (!isRecord(call)) throw refuse(`${callPath} is ${describeType(call)}, not an object`);
    checkFields(call, TOOL_CALL_FIELDS, "field", refuse, callPath);
    checkName(`${callPath}.id`, call.id ?? "", refuse);
    checkName(`${callPath}.name`, call.name ?? "", refuse);
    if (typeof call.arguments !== "string") {
      throw refuse(`${callPath}.arguments is ${describeType(call.arguments)}, not JSON text`);
    }
  }
}

function checkTools(tools: unknown, choice: unknown, refuse: Refuse): void {
  if (tools !== undefined && !Array.isArray(tools)) {
    throw refuse(`tools is ${describe(tools)}, not an array`);
  }
  const names = new Set<unknown>();
  for (const [index, tool] of (tools ?? []).entries()) {
    checkTool(tool, `tools[${index}]`, names, refuse);
  }
  checkToolChoice(choice, names, refuse);
}

/** Refuses what is no function, or has the name of one of `names`, to which its own is added. */
export function checkTool(tool: unknown, path: string, names: Set<unknown>, refuse: Refuse): void {
  if (!isRecord(tool)) throw refuse(`${path} is ${describe(tool)}, not an object`);
  const refuseField: Refuse = isRecord(tool.function)
    ? (state) => refuse(state, "invalid_request", FLAT_TOOL_HINT)
    : refuse;
  checkFields(tool, TOOL_FIELDS, "field", refuseField, path);
  checkName(`${path}.name`, tool.name ?? "", refuse);
  if (names.has(tool.name)) throw refuse(`${path}.name is ${describe(tool.name)}, used twice`);
  names.add(tool.name);
  if (tool.description !== undefined && typeof tool.description !== "string") {
    throw refuse(`${path}.description is ${describe(tool.description)}, not text`);
  }
  checkCallback(`${path}.execute`, tool.execute, refuse);
}

/** Refuses what is no choice among functions of these names. */
export function checkToolChoice(
  choice: unknown,
  names: ReadonlySet<unknown>,
  refuse: Refuse,
): void {
  if (choice === undefined || choice === "auto" || choice === "none") return;
  const name = isRecord(choice) ? choice.name : undefined;
  if (choice !== "required" && typeof name !== "string") {
    throw refuse(`toolChoice is ${describe(choice)}, not "auto", "none", "required" or { name }`);
  }
  if (names.size === 0) throw refuse("toolChoice asks for a tool, but there are no tools");
  if (name !== undefined && !names.has(name)) {
    throw refuse(
      `toolChoice names ${describe(name)}, but the tools are ${
        [...names].map(describe).join(", ")
      }`,
    );
  }
}
