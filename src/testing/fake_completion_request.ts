/** What LM Studio refuses in a completion request before it asks a model, in its own wording. */

import { isObject, isSince, type JsonObject, refuse } from "./fake_wire.ts";

/** About this many characters make a token. */
const CHARACTERS_PER_TOKEN = 4;
/** Rough cost of an image. */
const TOKENS_PER_IMAGE = 256;

/** Throws a refusal if the body of a completion request is invalid. */
export function checkCompletionRequest(body: JsonObject, version: string): void {
  checkMessages(body.messages);
  if (Array.isArray(body.tools)) checkTools(body.tools);
  if (isObject(body.tool_choice) && isSince(version, "0.3.15")) {
    throw refuse(
      400,
      "Invalid tool_choice type: 'object'. Supported string values: none, auto, required",
    );
  }
  if (isObject(body.response_format)) {
    const types = isSince(version, "0.3.18") ? ["json_schema", "text"] : ["json_schema"];
    if (!types.includes(String(body.response_format["type"]))) {
      const list = types.map((type) => `'${type}'`).join(" or ");
      throw refuse(400, `'response_format.type' must be ${list}`);
    }
  }
}

/** Whether any message has an image. */
export function hasImages(body: JsonObject): boolean {
  return partsOf(body).some((part) => part.type === "image_url");
}

/** Rough number of tokens in the prompt. */
export function countPromptTokens(body: JsonObject): number {
  let characters = 0;
  let images = 0;
  const messages = Array.isArray(body.messages) ? body.messages : [];
  for (const message of messages) {
    if (!isObject(message)) continue;
    if (typeof message.content === "string") characters += message.content.length;
    if (message.tool_calls !== undefined) {
      characters += JSON.stringify(message.tool_calls).length;
    }
  }
  for (const part of partsOf(body)) {
    if (part.type === "image_url") images++;
    else characters += String(part.text ?? "").length;
  }
  if (body.tools !== undefined) characters += JSON.stringify(body.tools).length;
  return countTokens(characters) + images * TOKENS_PER_IMAGE;
}

/** Rough number of tokens in a text of this length. */
export function countTokens(characters: number): number {
  return Math.ceil(characters / CHARACTERS_PER_TOKEN);
}

function checkMessages(messages: unknown): void {
  if (messages === undefined || messages === null) {
    throw refuse(400, "'messages' field is required");
  }
  if (!Array.isArray(messages) || !messages.every(isObject)) {
    throw refuse(
      400,
      "Invalid 'messages' in payload. Please check the structure of your 'messages' and try again",
    );
  }
  for (const { content } of messages) {
    const isContent = typeof content === "string" ||
      (Array.isArray(content) && content.every(isObject));
    if (!isContent) {
      throw refuse(
        400,
        "Invalid 'content': 'content' field must be a string or an array of objects..",
      );
    }
  }
  for (const part of partsOf({ messages })) {
    if (part.type !== "image_url") continue;
    const url = isObject(part.image_url) ? part.image_url["url"] : undefined;
    if (!/^data:image\/(png|jpe?g);base64,/i.test(String(url))) {
      throw refuse(400, "'url' field must be a base64 encoded image.");
    }
  }
}

/** The real message is zod's list of issues as pretty-printed JSON. */
function checkTools(tools: readonly unknown[]): void {
  for (const [index, tool] of tools.entries()) {
    const definition = isObject(tool) ? tool.function : undefined;
    const parameters = isObject(definition) ? definition.parameters : undefined;
    if (parameters === undefined) continue;
    const path = [index, "function", "parameters"];
    const issue = !isObject(parameters) || parameters.type !== "object"
      ? {
        code: "invalid_union_discriminator",
        options: ["object"],
        path: [...path, "type"],
        message: "Invalid discriminator value. Expected 'object'",
      }
      : isObject(parameters.properties)
      ? undefined
      : {
        code: "invalid_type",
        expected: "object",
        received: parameters.properties === undefined ? "undefined" : typeof parameters.properties,
        path: [...path, "properties"],
        message: "Required",
      };
    if (issue !== undefined) throw refuse(400, JSON.stringify([issue], null, 2));
  }
}

function partsOf(body: JsonObject): JsonObject[] {
  const messages = Array.isArray(body.messages) ? body.messages.filter(isObject) : [];
  return messages.flatMap(({ content }) => Array.isArray(content) ? content.filter(isObject) : []);
}
