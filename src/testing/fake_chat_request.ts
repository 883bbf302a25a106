/** What LM Studio's native chat refuses: its schema is strict, and its errors have their own shape. */

import { isObject, type JsonObject, Refusal, refuseNative } from "./fake_wire.ts";

const REASONING = ["off", "low", "medium", "high", "on"];
/** Every key, with the check of its value. */
const KEYS: Readonly<Record<string, (value: unknown) => boolean>> = {
  model: isText,
  input: (value) => isText(value) || (Array.isArray(value) && value.length > 0),
  system_prompt: isText,
  integrations: Array.isArray,
  stream: isFlag,
  temperature: isNumber,
  top_p: isNumber,
  top_k: Number.isInteger,
  min_p: isNumber,
  repeat_penalty: isNumber,
  max_output_tokens: Number.isInteger,
  reasoning: (value) => REASONING.includes(String(value)),
  context_length: Number.isInteger,
  store: isFlag,
  previous_response_id: (value) => isText(value) && String(value).startsWith("resp_"),
};
const INPUT_KEYS: Readonly<Record<string, readonly string[]>> = {
  // The documentation's table has the first, its example the second.
  text: ["type", "content"],
  message: ["type", "content"],
  image: ["type", "data_url"],
};
const INTEGRATION_KEYS: Readonly<Record<string, readonly string[]>> = {
  plugin: ["type", "id", "allowed_tools"],
  ephemeral_mcp: ["type", "server_label", "server_url", "allowed_tools", "headers"],
};

/** Throws a refusal if the body is invalid. */
export function checkChatRequest(body: JsonObject, mayIntegrate: boolean): void {
  checkKeys(body, Object.keys(KEYS));
  for (const param of ["model", "input"]) {
    if (body[param] !== undefined) continue;
    const code = "missing_required_parameter";
    throw refuseNative(400, "invalid_request", `"${param}" is required`, { code, param });
  }
  for (const [param, isRight] of Object.entries(KEYS)) {
    if (body[param] !== undefined && !isRight(body[param])) throw invalid(param);
  }
  if (Array.isArray(body.input)) checkEntries(body.input, INPUT_KEYS, "input");
  if (!Array.isArray(body.integrations)) return;
  const objects = body.integrations.filter((integration) => !isText(integration));
  checkEntries(objects, INTEGRATION_KEYS, "integrations");
  const [first] = body.integrations;
  if (mayIntegrate || first === undefined) return;
  const id = isText(first) ? first : String(first.id ?? first.server_label);
  throw new Refusal(403, {
    error: {
      message: `Permission denied to use plugin '${id}'. Ensure that the server configuration ` +
        "allows plugin usage and, if using an API token, it has the necessary permissions.",
      type: "invalid_request",
      param: "integrations",
      code: null,
    },
  });
}

/** All texts in the input. */
export function textsOf(input: unknown): string[] {
  if (!Array.isArray(input)) return [String(input)];
  return input.filter(isObject).flatMap(({ content }) => isText(content) ? [content] : []);
}

/** Number of images in the input. */
export function countImages(input: unknown): number {
  return Array.isArray(input) ? input.filter(({ type }) => type === "image").length : 0;
}

function checkEntries(
  entries: readonly unknown[],
  keys: Readonly<Record<string, readonly string[]>>,
  param: string,
): void {
  for (const entry of entries) {
    const known = isObject(entry) ? keys[String(entry.type)] : undefined;
    if (!isObject(entry) || known === undefined) throw invalid(param);
    checkKeys(entry, known);
    const isImage = entry.type === "image";
    if (isImage && !/^data:image\/(png|jpe?g);base64,/i.test(String(entry.data_url))) {
      throw invalid("input");
    }
  }
}

function checkKeys(value: JsonObject, known: readonly string[]): void {
  const unknown = Object.keys(value).filter((key) => !known.includes(key));
  if (unknown.length === 0) return;
  const list = unknown.map((key) => `'${key}'`).join(", ");
  throw refuseNative(400, "invalid_request", `Unrecognized key(s) in object: ${list}`, {
    code: "unrecognized_keys",
  });
}

function invalid(param: string): Refusal {
  const code = "invalid_value";
  return refuseNative(400, "invalid_request", `Invalid value for "${param}"`, { code, param });
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}

function isNumber(value: unknown): boolean {
  return typeof value === "number";
}

function isFlag(value: unknown): boolean {
  return typeof value === "boolean";
}
