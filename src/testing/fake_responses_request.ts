/** What LM Studio refuses in a request to `/v1/responses`, in its own wording. */

import { isObject, type JsonObject, Refusal } from "./fake_wire.ts";

/** About this many characters make a token. */
const CHARACTERS_PER_TOKEN = 4;
/** Rough cost of an image. */
const TOKENS_PER_IMAGE = 256;

/** Throws a refusal if the body is invalid. */
export function checkResponsesInput(body: JsonObject): void {
  const { input } = body;
  const isInput = typeof input === "string" || (Array.isArray(input) && input.every(isObject));
  if (!isInput) throw invalidInput("input");
  for (const { type, image_url } of partsOf(body)) {
    if (type !== "input_image") continue;
    if (!/^data:image\/(png|jpe?g);base64,/i.test(String(image_url))) throw invalidInput("input");
  }
  const tools = Array.isArray(body.tools) ? body.tools : [];
  for (const [index, tool] of tools.entries()) {
    if (!isTool(tool)) throw invalidInput(`tools.${index}`);
  }
}

/** Whether the input has an image. */
export function hasImages(body: JsonObject): boolean {
  return partsOf(body).some(({ type }) => type === "input_image");
}

/** Rough number of tokens in a request. */
export function countTokens({ input, instructions, tools }: JsonObject): number {
  const images = partsOf({ input }).filter(({ type }) => type === "input_image");
  const text = JSON.stringify([input, instructions ?? "", tools ?? ""]);
  const urls = images.reduce((sum, { image_url }) => sum + String(image_url).length, 0);
  return Math.ceil((text.length - urls) / CHARACTERS_PER_TOKEN) + images.length * TOKENS_PER_IMAGE;
}

/** Tools are flat here, unlike in completions: name and parameters are next to the type. */
function isTool(tool: unknown): boolean {
  if (!isObject(tool)) return false;
  if (tool.type === "mcp") {
    return typeof tool.server_label === "string" && typeof tool.server_url === "string";
  }
  const { parameters } = tool;
  return tool.type === "function" && typeof tool.name === "string" && isObject(parameters) &&
    parameters.type === "object" && isObject(parameters.properties);
}

function invalidInput(param: string): Refusal {
  const error = { message: "Invalid input", type: "invalid_request_error", param, code: "custom" };
  return new Refusal(400, { error });
}

function partsOf({ input }: JsonObject): JsonObject[] {
  const items = Array.isArray(input) ? input.filter(isObject) : [];
  return items.flatMap(({ content }) => Array.isArray(content) ? content.filter(isObject) : []);
}
