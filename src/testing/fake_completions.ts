/** `POST /v1/chat/completions` of the fake: one generation, whole or streamed. */

import { checkCompletionRequest, countPromptTokens, hasImages } from "./fake_completion_request.ts";
import type { Instance, ModelStore } from "./fake_models.ts";
import type { FakeAnswer } from "./fake_options.ts";
import { argumentTokens, cutAtStop, type Script, textTokens } from "./fake_script.ts";
import {
  type Answer,
  decodeBody,
  encodeFrame,
  type Frame,
  type IdSource,
  isObject,
  isSince,
  jsonAnswer,
  type JsonObject,
  refuse,
  type Route,
  sleep,
} from "./fake_wire.ts";

/** How the route behaves. */
export interface CompletionOptions {
  readonly version: string;
  readonly firstTokenMs: number;
  readonly tokenMs: number;
  readonly reasoningField: "reasoning_content" | "reasoning" | "think-tags";
  readonly streamCalls: "in-pieces" | "whole" | "under-one-index";
  readonly streamFinish: "at-end" | "beside-pieces";
}

/** One token of an answer. */
type Token =
  | { readonly kind: "content" | "reasoning"; readonly text: string }
  | {
    readonly kind: "call";
    readonly index: number;
    readonly arguments: string;
    readonly head?: CallHead;
    /** How many tokens the model writes for this entry. @default {1} */
    readonly written?: number;
  };

interface CallHead {
  readonly id: string;
  readonly name: string;
}

/** A finished answer that only has to be sent. */
interface Generation {
  readonly id: string;
  readonly created: number;
  readonly model: string;
  readonly tokens: readonly Token[];
  readonly finishReason: string;
  readonly usage: JsonObject;
}

/** The route for chat completions. */
export function completionRoutes(
  models: ModelStore,
  script: Script,
  ids: IdSource,
  options: CompletionOptions,
): Route[] {
  return [{
    method: "POST",
    path: "/v1/chat/completions",
    async handle(call) {
      const body = decodeBody(call);
      checkCompletionRequest(body, options.version);
      const instance = await models.acquire(body.model, "llm", call.signal);
      if (hasImages(body) && !instance.model.vision) {
        throw refuse(400, "Model does not support images. Please use a model that does.");
      }
      const promptTokens = countPromptTokens(body);
      if (promptTokens > instance.contextLength) {
        return answerOverflow(promptTokens, instance, body.stream === true, options.version);
      }
      const answer = await script.next(body);
      const generation = generate(answer, body, instance, promptTokens, ids, options);
      if (body.stream === true) {
        const withUsage = wantsUsage(body, options.version);
        return {
          kind: "stream",
          frames: framesOf(generation, instance, withUsage, options, call.signal),
          errorFrame: encodeErrorFrame,
        };
      }
      await passWholeAnswer(countWritten(generation.tokens), instance, options, call.signal);
      return jsonAnswer(encodeCompletion(generation, options));
    },
  }];
}

/** Whether a stream ends with its usage. */
export function wantsUsage({ stream_options: wanted }: JsonObject, version: string): boolean {
  return isObject(wanted) && wanted.include_usage === true && isSince(version, "0.3.18");
}

/** Waits as long as a whole answer takes; its model may be unloaded meanwhile. */
export async function passWholeAnswer(
  tokens: number,
  instance: Instance,
  { firstTokenMs, tokenMs }: CompletionOptions,
  signal: AbortSignal,
): Promise<void> {
  await sleep(firstTokenMs, signal);
  await sleep(tokenMs * Math.max(0, tokens - 1), signal);
  if (instance.unloaded) throw refuse(400, "Model unloaded by user or API request.");
}

function generate(
  answer: FakeAnswer,
  body: JsonObject,
  instance: Instance,
  promptTokens: number,
  ids: IdSource,
  options: CompletionOptions,
): Generation {
  const all = tokensOf(answer, body.stop, ids, options);
  const limit = numberOf(body.max_tokens) ?? numberOf(body.max_completion_tokens) ?? -1;
  const isLimited = limit >= 0 && countWritten(all) > limit;
  const tokens = isLimited ? upTo(limit, all) : all;
  // At the limit LM Studio reports one token fewer than it wrote.
  const completionTokens = isLimited ? Math.max(0, limit - 1) : countWritten(tokens);
  const reasoningTokens = tokens.filter((token) => token.kind === "reasoning").length;
  const hasCalls = tokens.some((token) => token.kind === "call");
  const prompt = answer.usage?.promptTokens ?? promptTokens;
  const completion = answer.usage?.completionTokens ?? completionTokens;
  return {
    id: `chatcmpl-${ids.alphanumeric(21)}`,
    created: Math.floor(Date.now() / 1_000),
    model: answer.model ?? instance.id,
    tokens,
    finishReason: answer.finishReason ?? (isLimited ? "length" : hasCalls ? "tool_calls" : "stop"),
    usage: {
      prompt_tokens: prompt,
      completion_tokens: completion,
      total_tokens: answer.usage?.totalTokens ?? prompt + completion,
      ...(answer.usage?.cachedTokens === undefined
        ? {}
        : { prompt_tokens_details: { cached_tokens: answer.usage.cachedTokens } }),
      ...(isSince(options.version, "0.4.0")
        ? {
          completion_tokens_details: {
            reasoning_tokens: answer.usage?.reasoningTokens ?? reasoningTokens,
          },
        }
        : {}),
    },
  };
}

function tokensOf(
  answer: FakeAnswer,
  stop: unknown,
  ids: IdSource,
  options: CompletionOptions,
): Token[] {
  const content = cutAtStop(textTokens(answer.content), stop);
  const reasoning = textTokens(answer.reasoning);
  const inContent = (texts: readonly string[]): Token[] =>
    texts.map((text) => ({ kind: "content", text }));
  const tokens: Token[] = [];
  if (reasoning.length > 0 && reasoningFieldOf(options) === "think-tags") {
    tokens.push(...inContent(["<think>\n", ...reasoning, "\n</think>", "\n\n"]));
  } else {
    for (const text of reasoning) tokens.push({ kind: "reasoning", text });
  }
  tokens.push(...inContent(content));
  // Before 0.3.6 the model does not get to see the tools.
  const calls = isSince(options.version, "0.3.6") ? answer.toolCalls ?? [] : [];
  for (const [index, call] of calls.entries()) {
    const head = { id: call.id ?? ids.digits(9), name: call.name };
    const { arguments: value = {} } = call;
    const text = typeof value === "string" ? value : JSON.stringify(value);
    const written = argumentTokens(text);
    if (!isSince(options.version, "0.3.17")) {
      tokens.push({ kind: "call", index, head, arguments: text });
    } else if (options.streamCalls === "whole") {
      tokens.push({ kind: "call", index, head, arguments: text, written: written.length + 1 });
    } else {
      tokens.push({ kind: "call", index, head, arguments: "" });
      for (const part of written) tokens.push({ kind: "call", index, arguments: part });
    }
  }
  return tokens;
}

/** How many tokens the model writes for these entries. */
function countWritten(tokens: readonly Token[]): number {
  return tokens.reduce((sum, token) => sum + writtenFor(token), 0);
}

/** The entries that are complete when the model reaches a token limit. */
function upTo(limit: number, tokens: readonly Token[]): Token[] {
  let written = 0;
  return tokens.filter((token) => (written += writtenFor(token)) <= limit);
}

function writtenFor(token: Token): number {
  return token.kind === "call" ? token.written ?? 1 : 1;
}

async function* framesOf(
  generation: Generation,
  instance: Instance,
  withUsage: boolean,
  options: CompletionOptions,
  signal: AbortSignal,
): AsyncGenerator<Frame, void, undefined> {
  const { id, created, model, finishReason, usage } = generation;
  const chunk = (fields: JsonObject) =>
    encodeFrame({
      id,
      object: "chat.completion.chunk",
      created,
      model,
      system_fingerprint: model,
      ...fields,
    });
  const choice = (delta: JsonObject, finish_reason: string | null) =>
    chunk({ choices: [{ index: 0, delta, logprobs: null, finish_reason }] });

  // Streams have had this finish reason since 0.3.15.
  const knowsReason = finishReason !== "tool_calls" || isSince(options.version, "0.3.15");
  const reason = knowsReason ? finishReason : "stop";
  const besideTokens = options.streamFinish === "beside-pieces" ? reason : null;
  await sleep(options.firstTokenMs, signal);
  for (const [position, token] of generation.tokens.entries()) {
    const written = writtenFor(token) - (position === 0 ? 1 : 0);
    if (written > 0) await sleep(written * options.tokenMs, signal);
    if (instance.unloaded) {
      const text = encodeErrorFrame("Model unloaded by user or API request.");
      return yield { kind: "end", text };
    }
    const delta = { role: "assistant", ...encodeDelta(token, options) };
    yield { kind: "token", text: choice(delta, besideTokens) };
  }
  yield { kind: "finish", text: choice({}, reason) };
  if (withUsage) yield { kind: "other", text: chunk({ choices: [], usage }) };
  yield { kind: "end", text: encodeFrame("[DONE]") };
}

function encodeDelta(token: Token, options: CompletionOptions): JsonObject {
  switch (token.kind) {
    case "content":
      return { content: token.text };
    case "reasoning":
      return { [reasoningFieldOf(options)]: token.text };
    case "call": {
      const { head, arguments: text } = token;
      const isJoined = options.streamCalls === "under-one-index";
      const index = isJoined ? 0 : token.index;
      if (head === undefined) return { tool_calls: [{ index, function: { arguments: text } }] };
      const { id, name } = head;
      const fields = { type: "function", function: { name, arguments: text } };
      return { tool_calls: [isJoined ? { index, ...fields } : { index, id, ...fields }] };
    }
  }
}

function encodeCompletion(generation: Generation, options: CompletionOptions): JsonObject {
  const { id, created, model, tokens, finishReason, usage } = generation;
  const textOf = (kind: "content" | "reasoning") =>
    tokens.map((token) => token.kind === kind ? token.text : "").join("");
  const calls: { id: string; type: "function"; function: { name: string; arguments: string } }[] =
    [];
  for (const token of tokens) {
    if (token.kind !== "call") continue;
    const { head } = token;
    if (head !== undefined) {
      calls.push({ id: head.id, type: "function", function: { name: head.name, arguments: "" } });
    }
    const call = calls.at(-1);
    if (call !== undefined) call.function.arguments += token.arguments;
  }
  const isCurrent = isSince(options.version, "0.3.25");
  const content = textOf("content");
  const reasoning = textOf("reasoning");
  const field = reasoningFieldOf(options);
  const hasField = field !== "think-tags" &&
    (reasoning !== "" || (field === "reasoning_content" && isSince(options.version, "0.4.0")));
  return {
    id,
    object: "chat.completion",
    created,
    model,
    choices: [{
      index: 0,
      message: {
        role: "assistant",
        // Older builds leave it out when there are tool calls.
        ...(isCurrent || calls.length === 0 ? { content } : {}),
        ...(hasField ? { [field]: reasoning } : {}),
        ...(isCurrent || calls.length > 0 ? { tool_calls: calls } : {}),
      },
      logprobs: null,
      finish_reason: finishReason,
    }],
    usage,
    ...(isCurrent ? { stats: {} } : {}),
    system_fingerprint: model,
  };
}

/** The context overflow, worded as each release and engine does: status 400, or an error frame under 200. */
export function answerOverflow(
  promptTokens: number,
  { model, contextLength }: Instance,
  isStream: boolean,
  version: string,
): Answer {
  const advice = "Try to load the model with a larger context length, or provide a shorter input";
  let message: string;
  let isFrame = false;
  if (model.format === "mlx") {
    message =
      `Input does not fit in context length. The input has ${promptTokens} tokens, but the ` +
      `context length only supports ${contextLength} tokens.`;
    isFrame = isStream;
  } else if (isSince(version, "0.4.20")) {
    const error = {
      code: 400,
      message: `request (${promptTokens} tokens) exceeds the available context size ` +
        `(${contextLength} tokens), try increasing it`,
      type: "exceed_context_size_error",
      n_prompt_tokens: promptTokens,
      n_ctx: contextLength,
    };
    message = `Engine protocol predict request returned 400: ${JSON.stringify({ error })}`;
    isFrame = isStream;
  } else if (isSince(version, "0.4.0")) {
    message = `The number of tokens to keep from the initial prompt is greater than the context ` +
      `length (n_keep: ${promptTokens}>= n_ctx: ${contextLength}). ${advice}`;
  } else {
    message =
      `Trying to keep the first ${promptTokens} tokens when context the overflows. However, ` +
      `the model is loaded with context length of only ${contextLength} tokens, which is not ` +
      `enough. ${advice}`;
  }
  if (!isFrame) throw refuse(400, message);
  return { kind: "stream", frames: errorFrames(message), errorFrame: encodeErrorFrame };
}

async function* errorFrames(message: string): AsyncGenerator<Frame, void, undefined> {
  yield { kind: "end", text: encodeErrorFrame(message) };
}

/** An error in a stream, in the form of the `/v1` routes. */
export function encodeErrorFrame(message: string): string {
  return encodeFrame({ error: { message }, message }, "error");
}

function reasoningFieldOf(
  { reasoningField, version }: CompletionOptions,
): CompletionOptions["reasoningField"] {
  return isSince(version, "0.3.9") ? reasoningField : "think-tags";
}

/** The value, if it is a number. */
export function numberOf(value: unknown): number | undefined {
  return typeof value === "number" ? value : undefined;
}
