/**
 * `POST /v1/messages` of the fake (since 0.4.1): answers in Anthropic's shape, whole or streamed. The order and fields
 * of the events follow Anthropic's documentation.
 */

import type { Instance, ModelStore } from "./fake_models.ts";
import type { FakeAnswer } from "./fake_options.ts";
import { argumentTokens, type Script, textTokens } from "./fake_script.ts";
import {
  type Answer,
  type Call,
  decodeBody,
  encodeFrame,
  type Frame,
  type IdSource,
  isObject,
  jsonAnswer,
  type JsonObject,
  parseJson,
  Refusal,
  refusedAs,
  type Route,
  sleep,
} from "./fake_wire.ts";

/** How the route behaves. */
export interface MessagesOptions {
  readonly firstTokenMs: number;
  readonly tokenMs: number;
}

/** A block of the answer's content, with the tokens it is streamed in. */
interface Block {
  readonly start: JsonObject;
  /** The delta for one token. */
  readonly delta: (token: string) => JsonObject;
  readonly whole: (text: string) => JsonObject;
  readonly tokens: readonly string[];
}

/** A finished answer that only has to be sent. */
interface Generation {
  readonly head: JsonObject;
  readonly blocks: readonly Block[];
  readonly stopReason: string;
  readonly usage: { readonly input_tokens: number; readonly output_tokens: number };
}

const OVERFLOW =
  "The number of tokens to keep from the initial prompt is greater than the context length. Try to load the model " +
  "with a larger context length, or provide a shorter input";

/** The route for messages. */
export function messagesRoutes(
  models: ModelStore,
  script: Script,
  ids: IdSource,
  options: MessagesOptions,
): Route[] {
  const handle = async (call: Call): Promise<Answer> => {
    const body = decodeBody(call);
    checkMessages(body);
    const instance = await refusedAs(
      models.acquire(body.model, "llm", call.signal),
      ({ message }) => encodeError(message),
    );
    if (hasImages(body.messages) && !instance.model.vision) {
      throw refuseWith(400, "Model does not support images. Please use a model that does.");
    }
    const promptTokens = countTokens(body);
    const isStream = body.stream === true;
    if (promptTokens > instance.contextLength) {
      // Observed for streams: status 200 and a single event.
      if (!isStream) throw refuseWith(500, OVERFLOW, "api_error");
      return { kind: "stream", frames: only(errorFrame(OVERFLOW)), errorFrame };
    }
    const answer = await script.next(body);
    const generation = generate(answer, body, instance, promptTokens, ids);
    if (isStream) {
      return {
        kind: "stream",
        frames: framesOf(generation, instance, options, call.signal),
        errorFrame: (message) => errorFrame(message),
      };
    }
    await sleep(options.firstTokenMs, call.signal);
    const { usage, blocks, head, stopReason } = generation;
    await sleep(options.tokenMs * Math.max(0, usage.output_tokens - 1), call.signal);
    if (instance.unloaded) throw refuseWith(400, "Model unloaded by user or API request.");
    return jsonAnswer({
      ...head,
      content: blocks.map(({ whole, tokens }) => whole(tokens.join(""))),
      stop_reason: stopReason,
      stop_sequence: null,
      usage,
    });
  };
  return [{ method: "POST", path: "/v1/messages", since: "0.4.1", handle }];
}

function checkMessages({ messages, max_tokens: limit }: JsonObject): void {
  if (!Array.isArray(messages) || messages.length === 0) {
    throw refuseWith(400, "request.messages: Required");
  }
  if (typeof limit !== "number") throw refuseWith(400, "request.max_tokens: Required");
  for (const message of messages) {
    const content = isObject(message) ? message.content : undefined;
    if (typeof content === "string") continue;
    if (!Array.isArray(content)) throw refuseWith(400, "request.messages: Invalid input");
    // Observed: the server refuses images in tool results.
    const results = content.filter((part) => isObject(part) && part.type === "tool_result");
    if (hasImages(results.map((part) => ({ content: part.content })))) {
      throw refuseWith(400, "request.messages: Invalid input");
    }
  }
}

function hasImages(messages: unknown): boolean {
  if (!Array.isArray(messages)) return false;
  return messages.some(({ content }) =>
    Array.isArray(content) && content.some((part) => isObject(part) && part.type === "image")
  );
}

/** Rough token count: four characters a token; an image's data counts as a thousand characters at most. */
function countTokens({ messages, system, tools }: JsonObject): number {
  const isData = (key: string, value: unknown): unknown =>
    key === "data" && typeof value === "string" ? value.slice(0, 1_000) : value;
  return Math.ceil(JSON.stringify([messages, system, tools], isData).length / 4);
}

function refuseWith(status: number, message: string, type?: string): Refusal {
  return new Refusal(status, encodeError(message, type));
}

function encodeError(message: unknown, type = "invalid_request_error"): JsonObject {
  return { type: "error", error: { type, message } };
}

function errorFrame(message: string): string {
  return encodeFrame(encodeError(message, "api_error"), "error");
}

async function* only(text: string): AsyncGenerator<Frame, void, undefined> {
  yield { kind: "end", text };
}

function generate(
  answer: FakeAnswer,
  body: JsonObject,
  instance: Instance,
  promptTokens: number,
  ids: IdSource,
): Generation {
  let left = Number(body.max_tokens);
  let isLimited = false;
  const blocks: Block[] = [];
  const add = (all: readonly string[], block: Omit<Block, "tokens">): void => {
    const tokens = all.slice(0, left);
    if (tokens.length < all.length) isLimited = true;
    left -= tokens.length;
    // A block that would only start at the limit is left out.
    if (tokens.length > 0 || all.length === 0) blocks.push({ ...block, tokens });
  };
  const reasoning = textTokens(answer.reasoning);
  const content = textTokens(answer.content);
  if (reasoning.length > 0) {
    add(reasoning, {
      start: { type: "thinking", thinking: "", signature: "" },
      delta: (thinking) => ({ type: "thinking_delta", thinking }),
      whole: (thinking) => ({ type: "thinking", thinking, signature: "" }),
    });
  }
  if (content.length > 0) {
    add(content, {
      start: { type: "text", text: "" },
      delta: (text) => ({ type: "text_delta", text }),
      whole: (text) => ({ type: "text", text }),
    });
  }
  for (
    const { id = `toolu_${ids.digits(9)}`, name, arguments: value = {} } of answer.toolCalls ?? []
  ) {
    const text = typeof value === "string" ? value : JSON.stringify(value);
    add(argumentTokens(text), {
      start: { type: "tool_use", id, name, input: {} },
      delta: (partial_json) => ({ type: "input_json_delta", partial_json }),
      whole: (json) => ({ type: "tool_use", id, name, input: parseJson(json) ?? {} }),
    });
  }
  const written = blocks.reduce((sum, { tokens }) => sum + tokens.length, 0);
  const usesTools = blocks.some(({ start }) => start.type === "tool_use");
  return {
    head: {
      id: `msg_${ids.alphanumeric(24)}`,
      type: "message",
      role: "assistant",
      model: answer.model ?? instance.id,
    },
    blocks,
    stopReason: answer.finishReason ??
      (isLimited ? "max_tokens" : usesTools ? "tool_use" : "end_turn"),
    usage: {
      input_tokens: answer.usage?.promptTokens ?? promptTokens,
      output_tokens: answer.usage?.completionTokens ?? written,
    },
  };
}

async function* framesOf(
  { head, blocks, stopReason, usage }: Generation,
  instance: Instance,
  options: MessagesOptions,
  signal: AbortSignal,
): AsyncGenerator<Frame, void, undefined> {
  const frame = (kind: Frame["kind"], type: string, fields: JsonObject): Frame => ({
    kind,
    text: encodeFrame({ type, ...fields }, type),
  });
  const begun = { ...head, content: [], stop_reason: null, stop_sequence: null };
  yield frame("mark", "message_start", {
    message: { ...begun, usage: { ...usage, output_tokens: 0 } },
  });
  await sleep(options.firstTokenMs, signal);
  let isFirst = true;
  for (const [index, { start, delta, tokens }] of blocks.entries()) {
    yield frame("mark", "content_block_start", { index, content_block: start });
    for (const token of tokens) {
      if (!isFirst) await sleep(options.tokenMs, signal);
      isFirst = false;
      if (instance.unloaded) {
        return yield { kind: "end", text: errorFrame("Model unloaded by user or API request.") };
      }
      yield frame("token", "content_block_delta", { index, delta: delta(token) });
    }
    yield frame("mark", "content_block_stop", { index });
  }
  const delta = { stop_reason: stopReason, stop_sequence: null };
  yield frame("finish", "message_delta", { delta, usage });
  yield frame("end", "message_stop", {});
}
