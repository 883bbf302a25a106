/**
 * Completion requests: checked, so that nothing is sent that the server would refuse, misread or silently ignore, and
 * written as the body of `POST /v1/chat/completions`. The routes of text, responses and native chat take parts of both.
 *
 * @see https://lmstudio.ai/docs/developer/openai-compat/chat-completions
 * @module
 */

import {
  alternatives,
  anything,
  arrayOf,
  callback,
  describe,
  describeType,
  finite,
  flag,
  must,
  nonEmptyText,
  number,
  oneOf,
  reasoningTags,
  type RefusalMaker,
  required,
  type Rule,
  type Rules,
  type Table,
  table,
  text,
  textOf,
  textOr,
  variants,
} from "../core/checks.ts";
import { importOnUse } from "../core/import_on_use.ts";
import { isRecord } from "../core/fields.ts";
import type {
  AssistantMessage,
  ContentPart,
  ImagePart,
  Message,
  ToolCall,
  ToolMessage,
  UserMessage,
} from "../core/messages.ts";
import type { TextCompletionRequest } from "../core/text.ts";
import type { CompletionRequest } from "../core/types.ts";
import type { FetchImage, PlacedImage } from "./images.ts";

// --- Sampling -----------------------------------------------------------------------------------

/** The settings that all generations of the OpenAI-compatible routes share. */
export type Sampling = Omit<
  TextCompletionRequest,
  "model" | "prompt" | "suffix" | "echo" | "extraBody"
>;

const share = number("a number from 0 to 1", (n) => n >= 0 && n <= 1);

/** Rules of the settings. */
export const SAMPLING: Rules<Sampling> = {
  temperature: number("a number of 0 or more", (n) => n >= 0 && Number.isFinite(n)),
  topP: share,
  topK: number("a whole number of 0 or more", (n) => Number.isInteger(n) && n >= 0),
  minP: share,
  maxTokens: number(
    "a whole number above 0, or -1 for no limit",
    (n) => Number.isInteger(n) && (n > 0 || n === -1),
  ),
  seed: number("a whole number", Number.isInteger),
  presencePenalty: finite,
  frequencyPenalty: finite,
  repeatPenalty: number("a number above 0", (n) => n > 0 && Number.isFinite(n)),
  ttlSeconds: number("a whole number above 0", (n) => Number.isInteger(n) && n > 0),
  stop: (stop, of, refusal) => {
    const texts: readonly unknown[] = Array.isArray(stop) ? [...stop] : [stop];
    // Not `find`: `undefined` may be what is found.
    const index = texts.findIndex((item) => typeof item !== "string" || item === "");
    if (texts.length > 0 && index === -1) return Array.isArray(stop) ? texts : stop;
    const shown = texts.length === 0 ? stop : texts[index];
    throw refusal(`${of} is ${describe(shown)}, not text or several texts, none of them empty`);
  },
  logitBias: (bias, of, refusal) => {
    if (isRecord(bias) && Object.values(bias).every(Number.isFinite)) return bias;
    throw refusal(`${of} is not an object of token ids and numbers`);
  },
  draftModel: nonEmptyText,
};

/** Names of the settings on the wire. */
const SAMPLING_ON_WIRE: Readonly<Record<keyof Sampling, string>> = {
  temperature: "temperature",
  topP: "top_p",
  topK: "top_k",
  minP: "min_p",
  maxTokens: "max_tokens",
  stop: "stop",
  seed: "seed",
  presencePenalty: "presence_penalty",
  frequencyPenalty: "frequency_penalty",
  repeatPenalty: "repeat_penalty",
  logitBias: "logit_bias",
  ttlSeconds: "ttl",
  draftModel: "draft_model",
};

/** The settings that are set, under their names on the wire. */
export function encodeSampling(request: Sampling): Record<string, unknown> {
  const body: Record<string, unknown> = {};
  let field: keyof Sampling;
  for (field in SAMPLING_ON_WIRE) {
    const value = request[field];
    if (value !== undefined) body[SAMPLING_ON_WIRE[field]] = value;
  }
  return body;
}

// --- Fields of the user's own -------------------------------------------------------------------

/**
 * Rule of an `extraBody`, which must not take away what the method itself sends.
 *
 * @param writable of `unwritable.ts`; where it is left out, encoding applies it.
 */
export function extraBody(
  reserved: readonly string[],
  writable: Rule = anything,
): Rule<Record<string, unknown>> {
  return (extra, of, refusal) => {
    if (!isRecord(extra)) throw refusal(`${of} is ${describe(extra)}, not an object`);
    for (const field of reserved) {
      if (extra[field] !== undefined) throw refusal(`${of} may not set "${field}"`);
    }
    writable(extra, of, refusal);
    return extra;
  };
}

/** The body with the user's own fields, which win. */
export function withExtraBody(
  body: Readonly<Record<string, unknown>>,
  extra: TextCompletionRequest["extraBody"],
): Record<string, unknown> {
  // `undefined` means absent here too: it must not take away what is set.
  if (extra === undefined) return { ...body };
  const given = Object.entries(extra).filter(([, value]) => value !== undefined);
  return { ...body, ...Object.fromEntries(given) };
}

// --- Messages -----------------------------------------------------------------------------------

/** Rule of images: an address, a `data:` URL, bytes or a `Blob`. */
export const image: Rule<ImagePart["image"]> = (value, of, refusal) => {
  const isImage = typeof value === "string" || value instanceof Uint8Array ||
    value instanceof Blob || value instanceof URL;
  if (isImage) return value;
  throw refusal(
    `${of} is ${describeType(value)}, not bytes, a Blob, a data: URL or an address`,
    "unsupported_content",
  );
};

/** An image as a part of a message. */
export const imagePart: Table<ImagePart> = table<ImagePart>({
  type: anything,
  mediaType: nonEmptyText,
  image: required(image),
});

const textPart = table<Extract<ContentPart, { type: "text" }>>({
  type: anything,
  text: required(text),
});

/** A part of a message. */
const contentPart: Rule<ContentPart> = variants<ContentPart>(
  "type",
  { text: textPart, image: imagePart },
  { remark: "part" },
);

/** Text, or parts with images. */
export const content: Rule<string | ContentPart[]> = textOr(
  arrayOf(contentPart, { form: "text or an array of parts" }),
  true,
);

const toolCall = table<ToolCall>({
  id: required(nonEmptyText),
  name: required(nonEmptyText),
  arguments: required(textOf("JSON text")),
  source: oneOf(["text"]),
});

const saying = { role: anything, name: nonEmptyText, content: required(content) };

const instructions = table<Extract<Message, { role: "system" | "developer" }>>(saying);

const MESSAGES: Readonly<Record<Message["role"], Rule<Message>>> = {
  system: instructions,
  developer: instructions,
  user: table<UserMessage>(saying),
  assistant: table<AssistantMessage>({
    role: anything,
    content: text,
    reasoning: text,
    toolCalls: arrayOf(toolCall, { mayBeEmpty: true }),
  }),
  tool: table<ToolMessage>({
    role: anything,
    toolCallId: required(nonEmptyText),
    content: required(text),
  }),
};

/** A conversation. */
export const messages: Rule<string | (string | Message)[]> = textOr(
  arrayOf(
    textOr(variants("role", MESSAGES, { form: "text or an object", remark: "role" })),
    { form: "text or an array" },
  ),
);

// --- The request --------------------------------------------------------------------------------

/** Rule of the settings of reasoning. */
export const reasoning: Rule<CompletionRequest["reasoning"]> = oneOf([
  "off",
  "on",
  "low",
  "medium",
  "high",
]);

const POLICIES = ["error", "truncateMiddle", "rollingWindow"];
const overflowPolicy: Rule = must(
  `${alternatives(POLICIES).replace(" or ", ", ")} or a function`,
  (policy) => POLICIES.some((word) => word === policy),
);

/** A completion request. */
export const COMPLETION_REQUEST: Table<CompletionRequest> = table<CompletionRequest>({
  model: nonEmptyText,
  ...SAMPLING,
  messages: required(messages),
  schema: anything,
  schemaName: nonEmptyText,
  reasoning,
  reasoningTags,
  sendReasoning: flag,
  contextOverflowPolicy: (policy, of, refusal) =>
    typeof policy === "function" ? policy : overflowPolicy(policy, of, refusal),
  onTrim: callback,
  // The rest of the rules of these three loads with the first request that has one: `rare_fields.ts`.
  tools: arrayOf(anything, { mayBeEmpty: true, show: describe }),
  toolChoice: anything,
  textToolCalls: oneOf(["parse", "leave"]),
  extraBody: extraBody(["model", "messages", "stream"]),
}, { whole: "the request is", form: "text or an object" });

/**
 * Refuses a request that cannot be sent, but for what encoding its rare fields refuses, and gives it as an object: a
 * copy, its lists included.
 */
export function checkCompletionRequest(request: unknown, refusal: RefusalMaker): CompletionRequest {
  if (typeof request !== "string") return COMPLETION_REQUEST(request, "", refusal);
  // All that could be wrong with it.
  return request === "" ? COMPLETION_REQUEST({ messages: "" }, "", refusal) : { messages: request };
}

/**
 * The body for a checked request, but for the model: what cannot be written is refused before one is looked for.
 * Images behind addresses are fetched when all else has been written.
 *
 * @param action completes "Cannot …".
 */
export async function encodeCompletionRequest(
  request: CompletionRequest,
  refusal: RefusalMaker,
  fetchImage: FetchImage,
  action: string,
): Promise<Record<string, unknown>> {
  const { messages, tools = [], schema, toolChoice, reasoning, extraBody } = request;
  const hasRareField = tools.length > 0 || schema !== undefined || toolChoice !== undefined ||
    extraBody !== undefined;
  const body: Record<string, unknown> = { messages: undefined, ...encodeSampling(request) };
  // "off" is refused by the server, "none" is its word; "on" is what it does anyway.
  if (reasoning !== undefined && reasoning !== "on") {
    body.reasoning_effort = reasoning === "off" ? "none" : reasoning;
  }
  if (hasRareField) {
    const { encodeRareFields } = await importOnUse(() => import("./rare_fields.ts"), action);
    Object.assign(body, await encodeRareFields(request, refusal, action));
  }
  const all = typeof messages === "string" ? [messages] : messages;
  const written = encodeMessages(all, refusal, fetchImage, {
    withReasoning: request.sendReasoning === true,
    isTraced: request.contextOverflowPolicy !== undefined,
  });
  // Each wait is a turn in which other code may run, and costs as much as writing a message.
  body.messages = written instanceof Promise ? await written : written;
  return extraBody === undefined ? body : withExtraBody(body, extraBody);
}

/** Messages that were written, as the caller gave them. */
const SOURCES = new WeakMap<object, Message>();

/** The message that one on the wire was made of, where that was kept. */
export function sourceOf(encoded: object): Message | undefined {
  return SOURCES.get(encoded);
}

/** How messages are written. */
interface MessageEncoding {
  /** Thoughts are sent as well. */
  readonly withReasoning: boolean;
  /** For `sourceOf`. */
  readonly isTraced: boolean;
  /** Field of the request that they are in; `messages` by default. */
  readonly field?: string;
}

/** Messages on the wire, in their order; neighbouring strings are one. A promise only where there are images. */
export function encodeMessages(
  messages: readonly (string | Message)[],
  refusal: RefusalMaker,
  fetchImage: FetchImage,
  encoding: MessageEncoding,
): Record<string, unknown>[] | Promise<Record<string, unknown>[]> {
  const images = imagesOf(messages, encoding.field ?? "messages");
  if (images.length === 0) return writeMessages(messages, NO_URLS, encoding);
  return encodeLazily(images, refusal, fetchImage).then((urls) => {
    const urlOf = new Map(images.map(({ part }, index) => [part, urls[index] ?? ""]));
    return writeMessages(messages, urlOf, encoding);
  });
}

const NO_URLS: ReadonlyMap<ContentPart, string> = new Map();

/** @param urlOf the images' addresses. */
function writeMessages(
  messages: readonly (string | Message)[],
  urlOf: ReadonlyMap<ContentPart, string>,
  { withReasoning, isTraced }: MessageEncoding,
): Record<string, unknown>[] {
  const encoded: Record<string, unknown>[] = [];
  let texts: string[] = [];
  const push = (message: Message): void => {
    const written = encodeMessage(message, urlOf, withReasoning);
    if (isTraced) SOURCES.set(written, message);
    encoded.push(written);
  };
  const flush = (): void => {
    if (texts.length > 0) push({ role: "user", content: texts.join("\n\n") });
    texts = [];
  };
  for (const message of messages) {
    if (typeof message === "string") {
      texts.push(message);
      continue;
    }
    flush();
    push(message);
  }
  flush();
  return encoded;
}

async function encodeLazily(
  images: readonly PlacedImage[],
  refusal: RefusalMaker,
  fetchImage: FetchImage,
): Promise<string[]> {
  const { encodeImages } = await importOnUse(() => import("./images.ts"), "send images");
  return await encodeImages(images, refusal, fetchImage);
}

function imagesOf(messages: readonly (string | Message)[], name: string): PlacedImage[] {
  const images: PlacedImage[] = [];
  for (const [at, message] of messages.entries()) {
    if (typeof message === "string" || !Array.isArray(message.content)) continue;
    for (const [index, part] of message.content.entries()) {
      if (part.type !== "image") continue;
      images.push({ part, path: `${name}[${at}].content[${index}].image` });
    }
  }
  return images;
}

function encodeMessage(
  message: Message,
  urlOf: ReadonlyMap<ContentPart, string>,
  withReasoning: boolean,
): Record<string, unknown> {
  if (message.role === "assistant") return encodeAssistantMessage(message, withReasoning);
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

function encodeAssistantMessage(
  message: AssistantMessage,
  withReasoning: boolean,
): Record<string, unknown> {
  const calls = message.toolCalls ?? [];
  return {
    role: "assistant",
    // Without it, or with null, the server answers 400.
    content: message.content ?? "",
    reasoning_content: withReasoning ? message.reasoning : undefined,
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
