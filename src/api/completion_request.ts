/**
 * Completion requests: checked, so that nothing is sent that the server would refuse, misread or silently ignore, and
 * encoded as the body of `POST /v1/chat/completions`. The text, responses and native chat routes share parts of both.
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

/** Sampling settings shared by all OpenAI-compatible generation routes. */
export type Sampling = Omit<
  TextCompletionRequest,
  "model" | "prompt" | "suffix" | "echo" | "extraBody"
>;

const share = number("a number from 0 to 1", (n) => n >= 0 && n <= 1);

/** Rules for the sampling settings. */
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
    // Not `find`: the faulty item may itself be `undefined`.
    const index = texts.findIndex((item) => typeof item !== "string" || item === "");
    if (texts.length > 0 && index === -1) return Array.isArray(stop) ? texts : stop;
    const shown = texts.length === 0 ? stop : texts[index];
    throw refusal(
      `${of} is ${describe(shown)}, not a string or an array of strings, none of them empty`,
    );
  },
  logitBias: (bias, of, refusal) => {
    if (isRecord(bias) && Object.values(bias).every(Number.isFinite)) return bias;
    throw refusal(`${of} is not an object that maps token ids to numbers`);
  },
  draftModel: nonEmptyText,
};

/** Wire names of the settings. */
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

/** Adds the settings of a checked request to a body, under their wire names. */
export function encodeSampling(request: Sampling, body: Record<string, unknown>): void {
  // Through the request: it has few fields, and only known ones.
  let field: keyof Sampling;
  for (field in request) {
    const name: string | undefined = SAMPLING_ON_WIRE[field];
    if (name !== undefined && request[field] !== undefined) body[name] = request[field];
  }
}

// --- Fields of the user's own -------------------------------------------------------------------

/**
 * Rule for `extraBody`, which must not override what the method itself sends.
 *
 * @param writable the rule from `unwritable.ts`; without it, encoding applies that rule later.
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

/** The body with the user's extra fields, which win. */
export function withExtraBody(
  body: Readonly<Record<string, unknown>>,
  extra: TextCompletionRequest["extraBody"],
): Record<string, unknown> {
  // Here too, `undefined` means absent: it must not remove a field that is set.
  if (extra === undefined) return { ...body };
  const given = Object.entries(extra).filter(([, value]) => value !== undefined);
  return { ...body, ...Object.fromEntries(given) };
}

// --- Messages -----------------------------------------------------------------------------------

/** Rule for images: a URL, a `data:` URL, bytes or a `Blob`. */
const image: Rule<ImagePart["image"]> = (value, of, refusal) => {
  const isImage = typeof value === "string" || value instanceof Uint8Array ||
    value instanceof Blob || value instanceof URL;
  if (isImage) return value;
  throw refusal(
    `${of} is ${describeType(value)}, not bytes, a Blob or a URL`,
    "unsupported_content",
  );
};

/** An image part of a message. */
export const imagePart: Table<ImagePart> = table<ImagePart>({
  type: anything,
  mediaType: nonEmptyText,
  image: required(image),
});

const textPart = table<Extract<ContentPart, { type: "text" }>>({
  type: anything,
  text: required(text),
});

/** Any part of a message. */
const contentPart: Rule<ContentPart> = variants<ContentPart>(
  "type",
  { text: textPart, image: imagePart },
  { remark: "part" },
);

/** Text, or parts with images. */
export const content: Rule<string | ContentPart[]> = textOr(
  arrayOf(contentPart, { form: "a string or an array of parts" }),
  true,
);

const toolCall = table<ToolCall>({
  id: required(nonEmptyText),
  name: required(nonEmptyText),
  arguments: required(textOf("a JSON string")),
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
    textOr(variants("role", MESSAGES, { form: "a string or an object", remark: "role" })),
    { form: "a string or an array" },
  ),
);

// --- The request --------------------------------------------------------------------------------

/** Rule for `reasoning`. */
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
  // The other rules for these three are in `rare_fields.ts`, loaded with the first request that has one of them.
  tools: arrayOf(anything, { mayBeEmpty: true, show: describe }),
  toolChoice: anything,
  textToolCalls: oneOf(["parse", "leave"]),
  extraBody: extraBody(["model", "messages", "stream"]),
}, { whole: "the request is", form: "a string or an object" });

/**
 * Checks a request and returns a copy, lists included; throws if it cannot be sent. The rare fields are checked when
 * they are encoded.
 */
export function checkCompletionRequest(request: unknown, refusal: RefusalMaker): CompletionRequest {
  if (typeof request !== "string") return COMPLETION_REQUEST(request, "", refusal);
  // An empty text is the only fault it can have.
  return request === "" ? COMPLETION_REQUEST({ messages: "" }, "", refusal) : { messages: request };
}

/**
 * The body for a checked request, without the model: a request that cannot be encoded is refused before a model is
 * chosen. Images behind URLs are fetched last.
 *
 * @param action completes "Cannot …".
 */
export function encodeCompletionRequest(
  request: CompletionRequest,
  refusal: RefusalMaker,
  fetchImage: FetchImage,
  action: string,
): Record<string, unknown> | Promise<Record<string, unknown>> {
  const { tools = [], schema, toolChoice, reasoning, extraBody } = request;
  const hasRareField = tools.length > 0 || schema !== undefined || toolChoice !== undefined ||
    extraBody !== undefined;
  const body: Record<string, unknown> = { messages: undefined };
  encodeSampling(request, body);
  // The server's word for "off" is "none"; "on" is its default.
  if (reasoning !== undefined && reasoning !== "on") {
    body.reasoning_effort = reasoning === "off" ? "none" : reasoning;
  }
  if (hasRareField) return withRareFields(body, request, refusal, fetchImage, action);
  const written = writeConversation(request, refusal, fetchImage);
  // Most requests need no waiting, which would cost more than the rest of the encoding.
  if (written instanceof Promise) return written.then((messages) => ({ ...body, messages }));
  body.messages = written;
  return body;
}

async function withRareFields(
  body: Record<string, unknown>,
  request: CompletionRequest,
  refusal: RefusalMaker,
  fetchImage: FetchImage,
  action: string,
): Promise<Record<string, unknown>> {
  const { encodeRareFields } = await importOnUse(() => import("./rare_fields.ts"), action);
  Object.assign(body, await encodeRareFields(request, refusal, action));
  body.messages = await writeConversation(request, refusal, fetchImage);
  const { extraBody } = request;
  return extraBody === undefined ? body : withExtraBody(body, extraBody);
}

function writeConversation(
  { messages, sendReasoning, contextOverflowPolicy }: CompletionRequest,
  refusal: RefusalMaker,
  fetchImage: FetchImage,
): Record<string, unknown>[] | Promise<Record<string, unknown>[]> {
  const all = typeof messages === "string" ? [messages] : messages;
  return encodeMessages(all, refusal, fetchImage, {
    withReasoning: sendReasoning === true,
    isTraced: contextOverflowPolicy !== undefined,
  });
}

/** Encoded messages, each with the message the caller passed. */
const SOURCES = new WeakMap<object, Message>();

/** The caller's message behind an encoded one, if it was recorded. */
export function sourceOf(encoded: object): Message | undefined {
  return SOURCES.get(encoded);
}

/** Options for encoding messages. */
interface MessageEncoding {
  /** Whether reasoning is sent as well. */
  readonly withReasoning: boolean;
  /** Whether `sourceOf` is to find the original messages. */
  readonly isTraced: boolean;
  /** Field of the request that holds the messages; `messages` by default. */
  readonly field?: string;
}

/** Encodes messages in order; neighbouring strings become one message. Returns a promise only if there are images. */
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

/** @param urlOf URL of each image. */
function writeMessages(
  messages: readonly (string | Message)[],
  urlOf: ReadonlyMap<ContentPart, string>,
  { withReasoning, isTraced }: MessageEncoding,
): Record<string, unknown>[] {
  const encoded: Record<string, unknown>[] = [];
  let text: string | undefined;
  for (let at = 0; at <= messages.length; at++) {
    const message = messages[at];
    if (typeof message === "string") {
      text = text === undefined ? message : `${text}\n\n${message}`;
      continue;
    }
    if (text !== undefined) push({ role: "user", content: text });
    text = undefined;
    if (message !== undefined) push(message);
  }
  return encoded;

  function push(message: Message): void {
    const written = encodeMessage(message, urlOf, withReasoning);
    if (isTraced) SOURCES.set(written, message);
    encoded.push(written);
  }
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
    // The server answers 400 if `content` is missing or null.
    content: message.content ?? "",
    reasoning_content: withReasoning ? message.reasoning : undefined,
    tool_calls: calls.length === 0 ? undefined : calls.map(encodeToolCall),
  };
}

function encodeToolCall(call: ToolCall): Record<string, unknown> {
  return {
    id: call.id,
    type: "function",
    // Engines refuse a history with arguments that do not parse, such as those of a truncated answer; chat templates
    // refuse arguments that are not an object.
    function: { name: call.name, arguments: isObjectText(call.arguments) ? call.arguments : "{}" },
  };
}

/** Whether a text is a JSON object. */
export function isObjectText(text: string): boolean {
  try {
    return isRecord(JSON.parse(text));
  } catch {
    return false;
  }
}
