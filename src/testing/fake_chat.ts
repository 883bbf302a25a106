/** `POST /api/v1/chat` of the fake (since 0.4.0): conversations kept by the server, and events for all it does. */

import type { Instance, ModelStore, StoredModel } from "./fake_models.ts";
import { checkChatRequest, countImages, textsOf } from "./fake_chat_request.ts";
import type { FakeAnswer, FakeToolRun } from "./fake_options.ts";
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
  Refusal,
  refuseNative,
  type Route,
  sleep,
} from "./fake_wire.ts";

/** About this many characters make a token. */
const CHARACTERS_PER_TOKEN = 4;
const TOKENS_PER_IMAGE = 256;
/** The speed to report if the options set none. */
const TOKENS_PER_SECOND = 50;
const LOAD_STEPS = [0.25, 0.5, 0.75, 1];

/** How the native chat behaves. */
export interface ChatOptions {
  readonly firstTokenMs: number;
  readonly tokenMs: number;
  readonly streamCalls: "in-pieces" | "whole" | "under-one-index";
  readonly jit: boolean;
  readonly jitLoadMs: number;
  readonly integrations: boolean;
}

/** The route of the native chat. */
export function chatRoutes(
  models: ModelStore,
  script: Script,
  ids: IdSource,
  options: ChatOptions,
): Route[] {
  /** Tokens of each conversation so far, by the id of its last answer. */
  const store = new Map<string, number>();
  return [{
    method: "POST",
    path: "/api/v1/chat",
    since: "0.4.0",
    async handle(call) {
      const body = decodeBody(call);
      checkChatRequest(body, options.integrations);
      const found = find(models, body, options);
      const before = tokensBefore(store, body.previous_response_id);
      const turn = new Turn(models, found, body, before, await script.next(body), options);
      const frames = turn.run(call);
      const withId = body.store === false ? {} : { response_id: `resp_${ids.hex(48)}` };
      turn.onEnd = (tokens) => {
        if (withId.response_id !== undefined) store.set(withId.response_id, tokens);
        return withId;
      };
      if (body.stream === true) {
        return {
          kind: "stream",
          frames,
          errorFrame: (message, fault) =>
            turn.fail(fault?.errorType ?? "internal_error", message, fault?.withEnd ?? true),
        };
      }
      return await wholeAnswer(turn, frames);
    },
  }];
}

async function wholeAnswer(
  turn: Turn,
  frames: AsyncGenerator<Frame, void, undefined>,
): Promise<Answer> {
  for await (const _ of frames);
  // Unlike on the other routes, an unloaded model is a 500 here.
  if (turn.failure !== undefined) throw refuseNative(500, turn.failure.type, turn.failure.message);
  return jsonAnswer(turn.result());
}

function find(
  models: ModelStore,
  body: JsonObject,
  options: ChatOptions,
): { model: StoredModel; instance: Instance | undefined } {
  const found = models.lookUp(body.model);
  // Unlike on the other routes, no other model answers instead. The real wording is not known.
  if (found === undefined || found.model.type !== "llm") {
    throw refuseNative(404, "model_not_found", `Model '${body.model}' not found`, {
      param: "model",
    });
  }
  const { model, instance } = found;
  if (instance === undefined && !options.jit) {
    throw refuseNative(400, "model_not_found", `Model '${model.id}' is not loaded`);
  }
  const { reasoning } = body;
  if (reasoning !== undefined && !model.reasoning.includes(String(reasoning))) {
    const settings = model.reasoning.map((setting) => `'${setting}'`).join(", ");
    const message = settings === ""
      ? `Model '${model.id}' does not expose reasoning configuration.`
      : `Reasoning setting '${reasoning}' is not supported by model '${model.id}'. ` +
        `Supported settings: ${settings}.`;
    throw refuseNative(400, "invalid_request", message, {
      param: "reasoning",
      code: "invalid_value",
    });
  }
  if (countImages(body.input) > 0 && !model.vision) {
    const message = "Model does not support images. Please use a model that does.";
    throw refuseNative(400, "invalid_request", message);
  }
  return found;
}

function tokensBefore(store: ReadonlyMap<string, number>, id: unknown): number {
  if (id === undefined) return 0;
  const tokens = store.get(String(id));
  if (tokens !== undefined) return tokens;
  throw refuseNative(
    400,
    "invalid_request",
    `Prediction history node with id '${id}' not found while attempting to build chat history chain`,
    { code: "previous_response_not_found", param: "previous_response_id" },
  );
}

/** One turn of a conversation while it is generated. */
class Turn {
  /** Stores the conversation; returns the fields this adds to the answer. */
  onEnd: (tokens: number) => JsonObject = () => ({});
  /** The failure, if there was one. */
  failure: { readonly type: string; readonly message: string } | undefined;
  readonly #models: ModelStore;
  readonly #model: StoredModel;
  readonly #body: JsonObject;
  readonly #answer: FakeAnswer;
  readonly #options: ChatOptions;
  readonly #inputTokens: number;
  readonly #output: JsonObject[] = [];
  #instance: Instance | undefined;
  #loadSeconds: number | undefined;
  #tokens = 0;
  #reasoningTokens = 0;

  constructor(
    models: ModelStore,
    found: { readonly model: StoredModel; readonly instance: Instance | undefined },
    body: JsonObject,
    tokensBefore: number,
    answer: FakeAnswer,
    options: ChatOptions,
  ) {
    this.#models = models;
    this.#model = found.model;
    this.#instance = found.instance;
    this.#body = body;
    this.#answer = answer;
    this.#options = options;
    const characters = [...textsOf(body.input), String(body.system_prompt ?? "")].join("").length;
    this.#inputTokens = tokensBefore + Math.ceil(characters / CHARACTERS_PER_TOKEN) +
      TOKENS_PER_IMAGE * countImages(body.input);
  }

  /** Every event, in order. */
  async *run({ signal }: Call): AsyncGenerator<Frame, void, undefined> {
    yield { kind: "start", text: encodeEvent("chat.start", { model_instance_id: this.#id }) };
    if (this.#instance === undefined) {
      const isLoaded = yield* this.#load(signal);
      if (!isLoaded) return;
    }
    const contextLength = Math.max(
      this.#instance?.contextLength ?? 0,
      Number(this.#body.context_length ?? 0),
    );
    if (this.#inputTokens > contextLength) {
      const text = this.fail(
        "internal_error",
        `The number of tokens to keep from the initial prompt is greater than the context length ` +
          `(n_keep: ${this.#inputTokens}>= n_ctx: ${contextLength}). Try to load the model with a ` +
          "larger context length, or provide a shorter input",
        true,
      );
      return yield { kind: "end", text };
    }
    yield* this.#prompt(signal);
    const reasoning = this.#body.reasoning === "off" ? [] : textTokens(this.#answer.reasoning);
    yield* this.#say("reasoning", reasoning, signal);
    for (const run of this.#answer.toolRuns ?? []) {
      yield* this.#use(run, signal);
      yield* this.#prompt(signal);
    }
    yield* this.#say("message", textTokens(this.#answer.content), signal);
    if (this.failure === undefined) yield { kind: "end", text: this.#encodeEnd() };
  }

  /** The answer's body as far as it is generated. */
  result(): JsonObject {
    const { firstTokenMs, tokenMs } = this.#options;
    const { usage } = this.#answer;
    return {
      model_instance_id: this.#id,
      output: this.#output,
      stats: {
        input_tokens: usage?.promptTokens ?? this.#inputTokens,
        total_output_tokens: usage?.completionTokens ?? this.#tokens,
        reasoning_output_tokens: usage?.reasoningTokens ?? this.#reasoningTokens,
        tokens_per_second: tokenMs > 0 ? 1000 / tokenMs : TOKENS_PER_SECOND,
        time_to_first_token_seconds: firstTokenMs / 1000,
        ...(this.#loadSeconds === undefined ? {} : { model_load_time_seconds: this.#loadSeconds }),
      },
      ...this.onEnd(this.#inputTokens + this.#tokens),
    };
  }

  /** The frames of an error and of the `chat.end` that may follow it. */
  fail(type: string, message: string, withEnd: boolean): string {
    this.failure = { type, message };
    const error = encodeEvent("error", { error: { type, message } });
    return withEnd ? error + this.#encodeEnd() : error;
  }

  get #id(): string {
    return this.#answer.model ?? this.#instance?.id ?? this.#model.id;
  }

  #encodeEnd(): string {
    return encodeEvent("chat.end", { result: this.result() });
  }

  async *#load(signal: AbortSignal): AsyncGenerator<Frame, boolean, undefined> {
    const about = { model_instance_id: this.#model.id };
    const { jitLoadMs } = this.#options;
    const loading = this.#models.loadOnRequest(this.#model, signal)
      .catch((error: unknown) => ({ error }));
    yield mark("model_load.start", about);
    for (const progress of LOAD_STEPS) {
      await sleep(jitLoadMs / LOAD_STEPS.length, signal);
      if (this.#model.loadError === undefined || progress < 1) {
        yield mark("model_load.progress", { ...about, progress });
      }
    }
    const loaded = await loading;
    if ("error" in loaded) {
      if (!(loaded.error instanceof Refusal)) throw loaded.error;
      const text = this.fail("model_load_failed", this.#model.loadError ?? "", true);
      yield { kind: "end", text };
      return false;
    }
    this.#instance = loaded;
    this.#loadSeconds = jitLoadMs / 1000;
    yield mark("model_load.end", { ...about, load_time_seconds: this.#loadSeconds });
    return true;
  }

  async *#prompt(signal: AbortSignal): AsyncGenerator<Frame, void, undefined> {
    const half = this.#options.firstTokenMs / 2;
    yield mark("prompt_processing.start");
    await sleep(half, signal);
    yield mark("prompt_processing.progress", { progress: 0.5 });
    await sleep(half, signal);
    yield mark("prompt_processing.progress", { progress: 1 });
    yield mark("prompt_processing.end");
  }

  async *#say(
    type: "reasoning" | "message",
    tokens: readonly string[],
    signal: AbortSignal,
  ): AsyncGenerator<Frame, void, undefined> {
    const limit = Number(this.#body.max_output_tokens ?? Infinity);
    if (this.failure !== undefined || tokens.length === 0 || this.#tokens >= limit) return;
    const item = { type, content: "" };
    this.#output.push(item);
    yield mark(`${type}.start`);
    for (const content of tokens) {
      if (this.#tokens >= limit) break;
      if (this.#tokens > 0) await sleep(this.#options.tokenMs, signal);
      if (this.#instance?.unloaded) {
        const message = "Model unloaded by user or API request.";
        return yield { kind: "end", text: this.fail("internal_error", message, true) };
      }
      yield { kind: "token", text: encodeEvent(`${type}.delta`, { content }) };
      // Count the token only now: a fault may have replaced it.
      this.#tokens++;
      if (type === "reasoning") this.#reasoningTokens++;
      item.content += content;
    }
    yield type === "message"
      ? { kind: "finish", text: encodeEvent("message.end") }
      : mark("reasoning.end");
  }

  async *#use(
    { tool, failure, ...run }: FakeToolRun,
    signal: AbortSignal,
  ): AsyncGenerator<Frame, void, undefined> {
    const provider_info = providerOf(this.#body.integrations);
    const { arguments: given = {}, output = "[]" } = run;
    if (failure !== undefined) {
      const { type, reason } = failure;
      const details = type === "invalid_arguments" ? { arguments: given, provider_info } : {};
      const metadata = { type, tool_name: tool, ...details };
      this.#output.push({ type: "invalid_tool_call", reason, metadata });
      return yield mark("tool_call.failure", { reason, metadata });
    }
    const call = { tool, arguments: given, provider_info };
    yield mark("tool_call.start", { tool, provider_info });
    if (this.#options.streamCalls === "whole") {
      // This event is not documented; its fields are not known.
      yield mark("tool_call.name", { tool });
      const written = argumentTokens(JSON.stringify(given)).length;
      await sleep(written * this.#options.tokenMs, signal);
    }
    yield mark("tool_call.arguments", call);
    yield mark("tool_call.success", { tool, arguments: given, output, provider_info });
    this.#output.push({ type: "tool_call", tool, arguments: given, output, provider_info });
  }
}

/** The request's first integration, since the script does not say which one has the tool. */
function providerOf(integrations: unknown): JsonObject {
  const [first = "mcp/fake"] = Array.isArray(integrations) ? integrations : [];
  if (isObject(first) && first.type === "ephemeral_mcp") {
    return { type: "ephemeral_mcp", server_label: first.server_label };
  }
  return { type: "plugin", plugin_id: isObject(first) ? first.id : first };
}

function mark(type: string, fields: JsonObject = {}): Frame {
  return { kind: "mark", text: encodeEvent(type, fields) };
}

function encodeEvent(type: string, fields: JsonObject = {}): string {
  return encodeFrame({ type, ...fields }, type);
}
