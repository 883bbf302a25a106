/** `POST /v1/completions` of the fake: continues a text, whole or streamed. */

import {
  answerOverflow,
  type CompletionOptions,
  encodeErrorFrame,
  numberOf,
  passWholeAnswer,
  wantsUsage,
} from "./fake_completions.ts";
import { countTokens } from "./fake_completion_request.ts";
import type { Instance, ModelStore } from "./fake_models.ts";
import type { FakeAnswer } from "./fake_options.ts";
import { cutAtStop, type Script, textTokens } from "./fake_script.ts";
import {
  decodeBody,
  encodeFrame,
  type Frame,
  type IdSource,
  isSince,
  jsonAnswer,
  type JsonObject,
  refuse,
  type Route,
  sleep,
} from "./fake_wire.ts";

/** A finished text that only has to be sent. */
interface Continuation {
  readonly id: string;
  readonly created: number;
  readonly model: string;
  readonly tokens: readonly string[];
  readonly finishReason: string;
  readonly usage: JsonObject;
}

/** The route for text completions; every release has it. */
export function textRoutes(
  models: ModelStore,
  script: Script,
  ids: IdSource,
  options: CompletionOptions,
): Route[] {
  return [{
    method: "POST",
    path: "/v1/completions",
    async handle(call) {
      const body = decodeBody(call);
      const { prompt } = body;
      // The real wording is not known; this imitates the chat completions route.
      if (prompt === undefined || prompt === null) throw refuse(400, "'prompt' field is required");
      if (typeof prompt !== "string") throw refuse(400, "'prompt' field must be a string");
      const instance = await models.acquire(body.model, "llm", call.signal);
      const promptTokens = countTokens(prompt.length);
      if (promptTokens > instance.contextLength) {
        return answerOverflow(promptTokens, instance, body.stream === true, options.version);
      }
      const answer = await script.next(body);
      const text = goOn(answer, body, prompt, promptTokens, instance, ids);
      if (body.stream === true) {
        const withUsage = wantsUsage(body, options.version);
        return {
          kind: "stream",
          frames: framesOf(text, instance, withUsage, options, call.signal),
          errorFrame: encodeErrorFrame,
        };
      }
      await passWholeAnswer(text.tokens.length, instance, options, call.signal);
      const { id, created, model, finishReason, usage } = text;
      return jsonAnswer({
        id,
        object: "text_completion",
        created,
        model,
        choices: [choiceOf(text.tokens.join(""), finishReason)],
        usage,
        ...(isSince(options.version, "0.3.25") ? { stats: {} } : {}),
      });
    },
  }];
}

function goOn(
  answer: FakeAnswer,
  body: JsonObject,
  prompt: string,
  promptTokens: number,
  instance: Instance,
  ids: IdSource,
): Continuation {
  const reasoning = textTokens(answer.reasoning);
  // This route has no field for reasoning: the model writes its own tags.
  const tagged = reasoning.length === 0 ? [] : ["<think>\n", ...reasoning, "\n</think>", "\n\n"];
  const all = [...tagged, ...cutAtStop(textTokens(answer.content), body.stop)];
  const limit = numberOf(body.max_tokens) ?? -1;
  const isLimited = limit >= 0 && all.length > limit;
  const written = isLimited ? all.slice(0, limit) : all;
  const promptCount = answer.usage?.promptTokens ?? promptTokens;
  // At the limit LM Studio reports one token fewer than it wrote.
  const completionCount = answer.usage?.completionTokens ??
    (isLimited ? Math.max(0, limit - 1) : written.length);
  return {
    id: `cmpl-${ids.alphanumeric(21)}`,
    created: Math.floor(Date.now() / 1_000),
    model: answer.model ?? instance.id,
    tokens: body.echo === true ? [prompt, ...written] : written,
    finishReason: answer.finishReason ?? (isLimited ? "length" : "stop"),
    usage: {
      prompt_tokens: promptCount,
      completion_tokens: completionCount,
      total_tokens: answer.usage?.totalTokens ?? promptCount + completionCount,
    },
  };
}

async function* framesOf(
  { id, created, model, tokens, finishReason, usage }: Continuation,
  instance: Instance,
  withUsage: boolean,
  options: CompletionOptions,
  signal: AbortSignal,
): AsyncGenerator<Frame, void, undefined> {
  const frame = (fields: JsonObject) =>
    encodeFrame({ id, object: "text_completion", created, model, ...fields });
  await sleep(options.firstTokenMs, signal);
  for (const [position, token] of tokens.entries()) {
    if (position > 0) await sleep(options.tokenMs, signal);
    if (instance.unloaded) {
      const text = encodeErrorFrame("Model unloaded by user or API request.");
      return yield { kind: "end", text };
    }
    const reason = options.streamFinish === "beside-pieces" ? finishReason : null;
    yield { kind: "token", text: frame({ choices: [choiceOf(token, reason)] }) };
  }
  yield { kind: "finish", text: frame({ choices: [choiceOf("", finishReason)] }) };
  if (withUsage) yield { kind: "other", text: frame({ choices: [], usage }) };
  yield { kind: "end", text: encodeFrame("[DONE]") };
}

function choiceOf(text: string, finishReason: string | null): JsonObject {
  return { index: 0, text, logprobs: null, finish_reason: finishReason };
}
