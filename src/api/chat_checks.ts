/**
 * Refuses requests of the native chat that the server would refuse: its schema is strict, and its words do not
 * say what is meant.
 *
 * @module
 */

import type { ChatIntegration, ChatRequest } from "../core/chat.ts";
import {
  checkFields,
  checkName,
  checkNames,
  checkNumber,
  isRecord,
  type NumberRule,
  type Refuse,
} from "../core/request_checks.ts";
import { checkHeaders, describe, describeType } from "../core/value_checks.ts";
import { checkImage, checkPartType, checkTags, REASONING } from "./completion_checks.ts";
import { SAMPLING_RULES } from "./sampling.ts";

const NUMBER_RULES: Readonly<Partial<Record<keyof ChatRequest, NumberRule>>> = {
  temperature: SAMPLING_RULES.temperature,
  topP: SAMPLING_RULES.topP,
  topK: SAMPLING_RULES.topK,
  minP: SAMPLING_RULES.minP,
  repeatPenalty: SAMPLING_RULES.repeatPenalty,
  maxTokens: SAMPLING_RULES.maxTokens,
  contextLength: {
    form: "a whole number above 0",
    accepts: (n) => Number.isInteger(n) && n > 0,
  },
};
const REQUEST_FIELDS: ReadonlySet<string> = new Set(
  [
    "model",
    "input",
    "systemPrompt",
    "previousResponseId",
    "store",
    "integrations",
    "contextLength",
    "reasoning",
    "reasoningTags",
    "temperature",
    "topP",
    "topK",
    "minP",
    "repeatPenalty",
    "maxTokens",
  ] satisfies (keyof ChatRequest)[],
);
const PART_FIELDS = {
  text: new Set(["type", "content"]),
  image: new Set(["type", "image", "mediaType"]),
} as const;
const INTEGRATION_FIELDS = {
  plugin: new Set(["type", "id", "allowedTools"]),
  ephemeral_mcp: new Set(["type", "serverLabel", "serverUrl", "allowedTools", "headers"]),
} as const satisfies Record<Exclude<ChatIntegration, string>["type"], ReadonlySet<string>>;

/** Refuses a request that cannot be sent. */
export function checkChatRequest(request: unknown, refuse: Refuse): ChatRequest {
  if (!isRecord(request)) {
    throw refuse(`the request is ${describeType(request)}, not an object with \`input\``);
  }
  checkFields(request, REQUEST_FIELDS, "field", refuse);
  checkName("model", request.model, refuse);
  checkInput(request.input, refuse);
  checkName("previousResponseId", request.previousResponseId, refuse);
  for (const [name, rule] of Object.entries(NUMBER_RULES)) {
    checkNumber(name, request[name], rule, refuse);
  }
  const { systemPrompt, store, reasoning } = request;
  if (systemPrompt !== undefined && typeof systemPrompt !== "string") {
    throw refuse(`systemPrompt is ${describe(systemPrompt)}, not text`);
  }
  if (store !== undefined && typeof store !== "boolean") {
    throw refuse(`store is ${describe(store)}, not true or false`);
  }
  if (reasoning !== undefined && !REASONING.has(reasoning)) {
    throw refuse(`reasoning is ${describe(reasoning)}, not "off", "low", "medium", "high" or "on"`);
  }
  checkTags(request.reasoningTags, refuse);
  checkIntegrations(request.integrations, refuse);
  return request as unknown as ChatRequest;
}

function checkInput(input: unknown, refuse: Refuse): void {
  if (typeof input !== "string" && !Array.isArray(input)) {
    throw refuse(`input is ${describe(input)}, not text or an array of parts`);
  }
  if (input.length === 0) throw refuse("input cannot be empty");
  if (typeof input === "string") return;
  for (const [index, part] of input.entries()) {
    const path = `input[${index}]`;
    if (!isRecord(part)) throw refuse(`${path} is ${describeType(part)}, not an object`);
    const { content } = part;
    const type = checkPartType(part.type, path, refuse);
    checkFields(part, PART_FIELDS[type], "field", refuse, path);
    if (type === "text") {
      if (typeof content !== "string") {
        throw refuse(`${path}.content is ${describe(content)}, not text`);
      }
      if (content === "") throw refuse(`${path}.content cannot be empty`);
      continue;
    }
    checkImage(part, path, refuse);
  }
}

function checkIntegrations(integrations: unknown, refuse: Refuse): void {
  if (integrations === undefined) return;
  if (!Array.isArray(integrations)) {
    throw refuse(`integrations is ${describe(integrations)}, not an array`);
  }
  for (const [index, integration] of integrations.entries()) {
    checkIntegration(integration, `integrations[${index}]`, refuse);
  }
}

function checkIntegration(integration: unknown, path: string, refuse: Refuse): void {
  if (typeof integration === "string") return checkName(path, integration, refuse);
  if (!isRecord(integration)) {
    throw refuse(`${path} is ${describe(integration)}, not a plugin's id or an object`);
  }
  const { type, id, serverLabel, serverUrl, allowedTools, headers } = integration;
  if (type !== "plugin" && type !== "ephemeral_mcp") {
    throw refuse(`${path}.type is ${describe(type)}, not "plugin" or "ephemeral_mcp"`);
  }
  checkFields(integration, INTEGRATION_FIELDS[type], "field", refuse, path);
  checkNames(`${path}.allowedTools`, allowedTools, "tools' names", refuse);
  if (type === "plugin") return checkName(`${path}.id`, id ?? "", refuse);
  checkName(`${path}.serverLabel`, serverLabel ?? "", refuse);
  // Addresses of MCP servers may have a key in them: it is not said.
  if (typeof serverUrl !== "string" || !isWebAddress(serverUrl)) {
    throw refuse(`${path}.serverUrl is not an http or https address`);
  }
  if (headers === undefined) return;
  const checked = checkHeaders(headers);
  if ("problem" in checked) throw refuse(`${path}.headers ${checked.problem}`);
}

function isWebAddress(text: string): boolean {
  try {
    return /^https?:$/.test(new URL(text).protocol);
  } catch {
    return false;
  }
}
