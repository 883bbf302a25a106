/**
 * Provider for LM Studio.
 *
 * @module
 */

import { COMPLETIONS } from "../api/completions.ts";
import type { ConfigEntry, LMStudioProviderOptions, ResolvedCascade } from "../core/config.ts";
import { isFinder, resolveDiscoveryOptions } from "../core/discovery_options.ts";
import { fromCaller } from "../core/errors.ts";
import { importOnUse, snapshot } from "../core/import_on_use.ts";
import type { ModelsApi } from "../core/model_management.ts";
import type { DecisionQuestion, DecisionRequest, DecisionResponse } from "../core/decisions.ts";
import type {
  CallOptions,
  CompletionRequest,
  CompletionResponse,
  CompletionStream,
  EmbeddingRequest,
  EmbeddingResponse,
  ModelCapabilities,
  ModelInfo,
  ModelProvider,
} from "../core/types.ts";
import type { ChatApi } from "../core/chat.ts";
import type { ResponsesApi } from "../core/responses.ts";
import type { EventStream } from "../core/event_stream.ts";
import type { DeepPartial, JsonSchema, SchemaOutput, StandardSchema } from "../core/schema.ts";
import type { TextCompletionRequest, TextCompletionResponse } from "../core/text.ts";
import type { RunToolsRequest, RunToolsResult, ToolStream } from "../core/tool_loop.ts";
import { resolveWithSources } from "../platform/environment.ts";
import { call, streamChunks } from "../server/calls.ts";
import { LM_STUDIO, Server } from "../server/server.ts";
import {
  completeObject,
  completeText,
  decide,
  embed,
  LazyChat,
  LazyModels,
  LazyResponses,
  runTools,
  streamObject,
  streamText,
  streamTools,
} from "./lazy_members.ts";
import type { ObjectRequest, ObjectResponse } from "../members/objects.ts";

/** The options of an OpenAI-style client, under the names that most of them use. */
export interface OpenAIClientOptions {
  /** Root of the server's OpenAI-style routes, such as `http://127.0.0.1:1234/v1`. */
  baseURL: string;
  /** The API token, or `"lm-studio"` where there is none: such clients refuse to be without. */
  apiKey: string;
  /**
   * Takes what the global `fetch` takes, for addresses below the server's alone, sends it once, with the provider's
   * token, headers and timers, and answers as the server does. But an error under 200 has the status 400, and a
   * stream that breaks off breaks. Rejects with an error of `AnyProviderError`, or with the `signal.reason`.
   */
  fetch: typeof globalThis.fetch;
}

/** The options of an Anthropic-style client, under the names that most of them use. */
export interface AnthropicClientOptions {
  /** Root of the server, such as `http://127.0.0.1:1234`: such clients add `/v1/messages` themselves. */
  baseURL: string;
  /** The API token, or `"lm-studio"` where there is none: such clients refuse to be without. */
  apiKey: string;
  /** `null`: such clients take one of the two, and look for the other in the environment where it is not given. */
  authToken: null;
  /** As `OpenAIClientOptions.fetch`; errors have Anthropic's shape, whatever the server's have. */
  fetch: typeof globalThis.fetch;
}

/** In LM Studio's own examples. */
const PLACEHOLDER_KEY = "lm-studio";

/** Configuration for a server that was found, by the options made for it: users of the constructor have none. */
const FOUND = new WeakMap<LMStudioProviderOptions, ResolvedCascade>();

/**
 * Models on an LM Studio server: they answer, whole or streamed, with tools, images and typed objects, and embed;
 * `chat`, `responses` and `models` have what LM Studio itself adds.
 *
 * A provider is cheap, holds no connection and no timer, and may be used for many calls at a time. Every
 * method rejects with an error of `AnyProviderError`, or with the caller's own `signal.reason`.
 *
 * @example
 * ```ts
 * import { LMStudioProvider } from "jsr:@patinox/lmstudio";
 *
 * const lmstudio = new LMStudioProvider();
 * for await (const { content } of lmstudio.streamCompletion("Why is the sky blue?")) {
 *   console.log(content);
 * }
 * ```
 */
export class LMStudioProvider implements ModelProvider {
  /** `"lmstudio"`. */
  readonly name = "lmstudio" as const;
  /**
   * LM Studio's own chat, `POST /api/v1/chat` (0.4.0): the server keeps the conversation, runs the tools of
   * plugins and MCP servers, and reports the progress of loading and of reading the prompt.
   *
   * @see https://lmstudio.ai/docs/developer/rest/chat
   *
   * @example
   * ```ts
   * import { LMStudioProvider } from "jsr:@patinox/lmstudio";
   *
   * const { content, responseId } = await new LMStudioProvider().chat.send({ input: "Hello!" });
   * console.log(content, responseId);
   * ```
   */
  readonly chat: ChatApi;
  /**
   * Answers that the server remembers, by `POST /v1/responses` (0.3.29 and later).
   *
   * @see https://lmstudio.ai/docs/developer/openai-compat/responses
   *
   * @example
   * ```ts
   * import { LMStudioProvider } from "jsr:@patinox/lmstudio";
   *
   * const { responses } = new LMStudioProvider();
   * const first = await responses.create({ input: "Name a prime below 50." });
   * const stream = responses.stream({ input: "Double it.", previousResponseId: first.id });
   * for await (const event of stream) {
   *   if (event.type === "response.output_text.delta") console.log(event.delta);
   * }
   * ```
   */
  readonly responses: ResponsesApi;
  /**
   * Finding, loading, unloading and downloading models: by `/api/v1/models` (0.4.0 and later), `get` with any.
   *
   * @see https://lmstudio.ai/docs/developer/rest
   *
   * @example
   * ```ts
   * import { LMStudioProvider } from "jsr:@patinox/lmstudio";
   *
   * const { instanceId } = await new LMStudioProvider().models.ensureLoaded("gpt-oss-20b");
   * console.log(instanceId);
   * ```
   */
  readonly models: ModelsApi;
  readonly #server: Server;
  readonly #entries: readonly ConfigEntry[];

  /**
   * Touches no network.
   *
   * @throws {ConfigurationError} naming the option, variable or file, and the value.
   */
  constructor(options: LMStudioProviderOptions = {}) {
    const cascade = FOUND.get(options) ?? resolveWithSources(options);
    const { config, entries } = cascade;
    const { discovery } = options;
    if (discovery !== undefined && !isFinder(discovery)) resolveDiscoveryOptions(discovery);
    this.#server = new Server(config, LM_STUDIO, options.env, cascade);
    this.models = new LazyModels(this.#server);
    this.chat = new LazyChat(this.#server);
    this.responses = new LazyResponses(this.#server);
    this.#entries = entries;
  }

  /**
   * Finds LM Studio and makes a provider for it: at the configured address, the one in LM Studio's own settings,
   * or 127.0.0.1:1234, in this order. Token and headers go to the configured address only or, where none is
   * configured, to a server on this machine.
   *
   * @param options as for the constructor; `discovery` says how to look.
   * @throws {NetworkError} code `service_not_found`, with what was tried and why each failed; or
   * `permission_denied`, where no connection at all is allowed.
   * @throws {ConfigurationError} naming the option, variable or file, and the value.
   *
   * @example
   * ```ts
   * import { LMStudioProvider } from "jsr:@patinox/lmstudio";
   *
   * const lmstudio = await LMStudioProvider.discover({ discovery: { timeoutMs: 1000 } });
   * console.log(lmstudio.explainConfig().find(({ key }) => key === "baseUrl")?.value);
   * ```
   */
  static async discover(options: LMStudioProviderOptions = {}): Promise<LMStudioProvider> {
    return await fromCaller(async () => {
      const given = snapshot(options);
      const load = () => import("../discovery/search.ts");
      const { finderOf } = await importOnUse(load, "find LM Studio");
      const { endpoint } = await finderOf(given).find("lmstudio");
      return await lmstudioAt(endpoint, given);
    });
  }

  /**
   * Lists the models of the server, downloaded or loaded. Always asks the server: `GET /api/v1/models`, on older
   * versions `GET /api/v0/models` or `GET /v1/models`, which has ids alone.
   *
   * @throws {NetworkError} the server cannot be reached.
   * @throws {AuthenticationError} the server wants a token.
   * @throws {ApiError} code `not_lm_studio` or `unexpected_endpoint`: something else answers there.
   * @see https://lmstudio.ai/docs/developer/rest/list
   *
   * @example
   * ```ts
   * import { LMStudioProvider } from "jsr:@patinox/lmstudio";
   *
   * for (const model of await new LMStudioProvider().listModels()) {
   *   console.log(model.id, model.type, model.loaded ? "loaded" : "");
   * }
   * ```
   */
  listModels(options?: CallOptions): Promise<ModelInfo[]> {
    return fromCaller(() => this.#server.listModels(options));
  }

  /**
   * Completes a request with one whole answer, by `POST /v1/chat/completions`. No time limit by default: a model may load first.
   *
   * @throws {ModelNotAvailableError} no model, an unknown one, or another one answered.
   * @throws {InvalidRequestError} the request cannot be answered as it is.
   * @throws {ApiError} code `tool_choice_ignored`: the answer has no call of the tool that `toolChoice` asks for.
   * @throws {NetworkError} the server cannot be reached.
   * @see https://lmstudio.ai/docs/developer/openai-compat/chat-completions
   *
   * @example
   * ```ts
   * import { LMStudioProvider } from "jsr:@patinox/lmstudio";
   *
   * const { content, usage } = await new LMStudioProvider().complete({
   *   messages: [{ role: "system", content: "Be brief." }, "Name three planets."],
   *   temperature: 0.2,
   * });
   * console.log(content, usage?.totalTokens);
   * ```
   */
  complete(
    request: string | CompletionRequest,
    options?: CallOptions,
  ): Promise<CompletionResponse> {
    return fromCaller(() => call(this.#server, COMPLETIONS, "complete", request, options));
  }

  /**
   * Streams the answer as it is generated, by `POST /v1/chat/completions` with `stream: true`. Returns at once; the
   * request is sent at the first pull. Leaving the loop stops the generation.
   *
   * @throws at the first pull, as `complete()`; later {StreamError}, {TimeoutError} or {NetworkError} with
   * `partial`, what had arrived.
   * @see https://lmstudio.ai/docs/developer/openai-compat/chat-completions
   *
   * @example
   * ```ts
   * import { LMStudioProvider } from "jsr:@patinox/lmstudio";
   *
   * const stream = new LMStudioProvider().streamCompletion("Write a haiku about the sea.");
   * for await (const text of stream.textStream) console.log(text);
   * const { usage } = await stream.response();
   * console.log(usage?.completionTokens);
   * ```
   */
  streamCompletion(request: string | CompletionRequest, options?: CallOptions): CompletionStream {
    return streamChunks(this.#server, COMPLETIONS, "stream a completion", request, options);
  }

  /**
   * Continues a text, by `POST /v1/completions`: no chat template is applied, so a base model fits
   * best. Sent again, limited in time and compared with the asked model as `complete()`.
   *
   * @throws as `complete()`.
   * @see https://lmstudio.ai/docs/developer/openai-compat/completions
   *
   * @example
   * ```ts
   * import { LMStudioProvider } from "jsr:@patinox/lmstudio";
   *
   * const { text, finishReason } = await new LMStudioProvider().completeText({
   *   prompt: "The meaning of life is",
   *   maxTokens: 20,
   *   stop: "\n",
   * });
   * console.log(text, finishReason);
   * ```
   */
  completeText(
    request: string | TextCompletionRequest,
    options?: CallOptions,
  ): Promise<TextCompletionResponse> {
    return fromCaller(() => completeText(this.#server, request, options));
  }

  /**
   * Streams the continuation of a text, by `POST /v1/completions` with `stream: true`: a stream like that of
   * `streamCompletion()`, with the text in `content`; `response()` gives what `completeText()` gives.
   *
   * @throws at the first pull, as `complete()`; later as `streamCompletion()`.
   * @see https://lmstudio.ai/docs/developer/openai-compat/completions
   *
   * @example
   * ```ts
   * import { LMStudioProvider } from "jsr:@patinox/lmstudio";
   *
   * const stream = new LMStudioProvider().streamText("Once upon a time");
   * for await (const text of stream.textStream) console.log(text);
   * console.log((await stream.response()).finishReason);
   * ```
   */
  streamText(
    request: string | TextCompletionRequest,
    options?: CallOptions,
  ): CompletionStream<TextCompletionResponse> {
    return streamText(this.#server, request, options);
  }

  /**
   * Completes a request with an object: JSON, validated and typed by `schema`, by `POST /v1/chat/completions` with `response_format`.
   *
   * @throws {ParseError} the answer does not fit, or was cut: `issues`, `partial`, `finishReason`, `response`.
   * @throws {InvalidRequestError} the schema is missing or gives no JSON Schema; else as `complete()`.
   * @see https://lmstudio.ai/docs/developer/openai-compat/structured-output
   *
   * @example
   * ```ts
   * import { LMStudioProvider } from "jsr:@patinox/lmstudio";
   * import * as z from "npm:zod@4";
   *
   * const { object } = await new LMStudioProvider().completeObject({
   *   messages: "Ada Lovelace was born in 1815.",
   *   schema: z.object({ name: z.string(), born: z.number().int() }),
   *   maxRepairs: 1,
   * });
   * console.log(object.name.toUpperCase(), object.born + 1);
   * ```
   */
  completeObject<Schema extends StandardSchema | JsonSchema>(
    request: ObjectRequest<Schema>,
    options?: CallOptions,
  ): Promise<ObjectResponse<SchemaOutput<Schema>>> {
    return fromCaller(() => completeObject(this.#server, request, options));
  }

  /**
   * As `completeObject`, while the model writes: the object so far, as often as it has changed, and last the one that is
   * validated. Each item is a copy, and stands for itself: fields come in the order they are written in, a text grows, a
   * number is there once it is whole. Before the last nothing is validated, no default filled in and nothing
   * transformed. A repair (`maxRepairs`) begins anew. Returns at once; nothing is sent before the
   * first pull. Leaving the loop stops the generation.
   *
   * @returns a stream whose `response()` gives what `completeObject()` gives.
   * @throws at the first pull what `completeObject()` refuses; after the items before it, what `completeObject()` throws,
   * or what `streamCompletion()` does.
   * @see https://lmstudio.ai/docs/developer/openai-compat/structured-output
   *
   * @example
   * ```ts
   * import { LMStudioProvider } from "jsr:@patinox/lmstudio";
   * import * as z from "npm:zod@4";
   *
   * const stream = new LMStudioProvider().streamObject({
   *   messages: "Name three seas.",
   *   schema: z.object({ seas: z.array(z.string()) }),
   * });
   * for await (const { seas = [] } of stream) console.log(seas.join(", "));
   * const { object, response } = await stream.response();
   * console.log(object.seas.length, response.usage?.totalTokens);
   * ```
   */
  streamObject<Schema extends StandardSchema | JsonSchema>(
    request: ObjectRequest<Schema>,
    options?: CallOptions,
  ): EventStream<DeepPartial<SchemaOutput<Schema>>, ObjectResponse<SchemaOutput<Schema>>> {
    return streamObject(this.#server, request, options);
  }

  /**
   * Runs the tools that the model calls and returns their results to it until it calls none: `response` is its last answer,
   * `messages` the whole conversation. Arguments are checked by the tool's schema; a call that fails or is not
   * valid is told to the model. `timeoutMs` is for each answer; tools have no limit but `signal`.
   *
   * @throws {ApiError} code `tool_loop_limit`: it still calls tools after `maxRounds` answers.
   * @throws as `complete()`; and what `onToolCall` throws.
   * @see https://lmstudio.ai/docs/developer/openai-compat/tools
   *
   * @example
   * ```ts
   * import { LMStudioProvider, tool } from "jsr:@patinox/lmstudio";
   *
   * const now = tool({ name: "now", execute: () => new Date().toISOString() });
   * const { response } = await new LMStudioProvider().runTools({
   *   messages: "What time is it?",
   *   tools: [now],
   * });
   * console.log(response.content);
   * ```
   */
  runTools(request: RunToolsRequest, options?: CallOptions): Promise<RunToolsResult> {
    return fromCaller(() => runTools(this.#server, request, options));
  }

  /**
   * As `runTools`, while it happens: pieces of the answers, calls, and their results as they finish. Returns at
   * once; nothing is sent before the first pull. Leaving the loop stops the model and aborts the tools.
   *
   * @throws at the first pull, as `runTools()`; later as `streamCompletion()`, with `partial`.
   * @see https://lmstudio.ai/docs/developer/openai-compat/tools
   *
   * @example
   * ```ts
   * import { LMStudioProvider, tool } from "jsr:@patinox/lmstudio";
   *
   * const now = tool({ name: "now", execute: () => new Date().toISOString() });
   * const stream = new LMStudioProvider().streamTools({ messages: "What time is it?", tools: [now] });
   * for await (const event of stream) {
   *   if (event.type === "chunk") console.log(event.chunk.content);
   *   else if (event.type === "result") console.log(event.call.name, event.result);
   * }
   * console.log((await stream.result()).rounds);
   * ```
   */
  streamTools(request: RunToolsRequest, options?: CallOptions): ToolStream {
    return streamTools(this.#server, request, options);
  }

  /**
   * Embeds texts, by `POST /v1/embeddings` in batches: one vector per input, in order.
   *
   * @throws {InvalidRequestError} an input is empty.
   * @throws {ParseError} the vectors do not fit the inputs.
   * @see https://lmstudio.ai/docs/developer/openai-compat/embeddings
   *
   * @example
   * ```ts
   * import { LMStudioProvider } from "jsr:@patinox/lmstudio";
   *
   * const { embeddings } = await new LMStudioProvider().embed({ input: ["sea", "ocean"] });
   * console.log(embeddings.length, embeddings[0]?.length);
   * ```
   */
  embed(request: EmbeddingRequest, options?: CallOptions): Promise<EmbeddingResponse> {
    return fromCaller(() => embed(this.#server, request, options));
  }

  /**
   * Answers typed questions about a text, messages or images by a decision model: how likely a statement is, which choice
   * fits, where on a scale it is. Answers are probabilities, not text, and typed by their questions. By
   * `POST /v1/decisions`, else by `POST /v1/systemone`.
   *
   * @throws {InvalidRequestError} a question cannot be asked; its field is named.
   * @throws {ModelNotAvailableError} code `no_model_loaded`: there is no decision model; `wrong_model_type`: the model is
   * for something else.
   * @throws {ApiError} code `unsupported_by_server`: the server has no route for decisions.
   * @throws {ParseError} the answer lacks a question, or has one that nobody asked.
   *
   * @see https://lmstudio.ai/docs/developer/openai-compat/decisions
   *
   * @example
   * ```ts
   * import { LMStudioProvider } from "jsr:@patinox/lmstudio";
   *
   * const provider = new LMStudioProvider();
   * const { answers } = await provider.decide({
   *   model: "typesafe/kev-4b",
   *   input: "I was charged twice. Please fix this today.",
   *   questions: {
   *     angry: { type: "predicate", instructions: "Is the customer angry?" },
   *     team: { type: "choice", instructions: "Whose is it?", choices: ["billing", "support"] },
   *     urgency: { type: "score", instructions: "How urgent is it?", levels: ["low", "middle", "high"] },
   *   },
   * });
   * if (answers.team.type === "choice") console.log(answers.team.choice, answers.team.confidence);
   * ```
   */
  decide<const Questions extends Readonly<Record<string, DecisionQuestion>>>(
    request: DecisionRequest<Questions>,
    options?: CallOptions,
  ): Promise<DecisionResponse<Questions>> {
    return fromCaller(() => decide(this.#server, request, options));
  }

  /**
   * Checks whether the server has a model, under any spelling; `false` when the server cannot say. Uses a listing
   * at most `modelCacheTtlMs` old, asked for anew when the model is not in it.
   *
   * @throws {InvalidRequestError} the name is empty.
   *
   * @example
   * ```ts
   * import { LMStudioProvider } from "jsr:@patinox/lmstudio";
   *
   * console.log(await new LMStudioProvider().supportsModel("qwen/qwen3-8b"));
   * ```
   */
  supportsModel(model: string, options?: CallOptions): Promise<boolean> {
    return fromCaller(() => this.#server.supportsModel(model, options));
  }

  /**
   * Capabilities of a model; `undefined` when the server does not have it or cannot say. Uses the same
   * listing as `supportsModel`.
   *
   * @throws {InvalidRequestError} the name is empty.
   *
   * @example
   * ```ts
   * import { LMStudioProvider } from "jsr:@patinox/lmstudio";
   *
   * const capabilities = await new LMStudioProvider().modelCapabilities("qwen/qwen3-8b");
   * console.log(capabilities?.maxTokens, capabilities?.supportsTools);
   * ```
   */
  modelCapabilities(
    model: string,
    options?: CallOptions,
  ): Promise<ModelCapabilities | undefined> {
    return fromCaller(() => this.#server.modelCapabilities(model, options));
  }

  /**
   * Options for an OpenAI-style client of this server: `new OpenAI(provider.toOpenAI())`. Its requests
   * carry this provider's token, headers and timers, and what LM Studio reports under 200 becomes a 400 that
   * such clients raise.
   *
   * @see https://lmstudio.ai/docs/developer/openai-compat
   *
   * @example
   * ```ts
   * import { LMStudioProvider } from "jsr:@patinox/lmstudio";
   *
   * const { baseURL, fetch } = new LMStudioProvider().toOpenAI();
   * const answer = await fetch(`${baseURL}/models`);
   * console.log(answer.status, await answer.json());
   * ```
   */
  toOpenAI(): OpenAIClientOptions {
    return { ...this.#keyAndFetch(), baseURL: `${this.#server.config.baseUrl}/v1` };
  }

  /**
   * What an Anthropic-style client needs to talk to this server: `new Anthropic(provider.toAnthropic())`. Its requests
   * carry this provider's token, headers and timers. Every error has the shape such clients read, also one that LM
   * Studio reports under 200, and a stream that is cut breaks.
   *
   * LM Studio has `POST /v1/messages` since 0.4.1.
   *
   * @see https://lmstudio.ai/docs/developer/anthropic-compat
   *
   * @example
   * ```ts
   * import { LMStudioProvider } from "jsr:@patinox/lmstudio";
   *
   * const { baseURL, fetch } = new LMStudioProvider().toAnthropic();
   * const answer = await fetch(`${baseURL}/v1/messages`, {
   *   method: "POST",
   *   headers: { "content-type": "application/json" },
   *   body: JSON.stringify({
   *     model: "google/gemma-4-26b-a4b",
   *     max_tokens: 100,
   *     messages: [{ role: "user", content: "Hello" }],
   *   }),
   * });
   * console.log(answer.status, await answer.json());
   * ```
   */
  toAnthropic(): AnthropicClientOptions {
    return { ...this.#keyAndFetch(), baseURL: this.#server.config.baseUrl, authToken: null };
  }

  /**
   * Lists every value of the configuration and where it came from; secrets masked.
   *
   * @example
   * ```ts
   * import { LMStudioProvider } from "jsr:@patinox/lmstudio";
   *
   * for (const { key, value, source, origin } of new LMStudioProvider().explainConfig()) {
   *   console.log(key, value, source, origin ?? "");
   * }
   * ```
   */
  explainConfig(): ConfigEntry[] {
    return this.#entries.map((entry) => ({ ...entry }));
  }

  #keyAndFetch(): Pick<OpenAIClientOptions, "apiKey" | "fetch"> {
    const { config, transport } = this.#server;
    const apiKey = config.apiToken ?? PLACEHOLDER_KEY;
    return {
      apiKey,
      // The placeholder also where a token is: people write it down beside `fetch`.
      fetch: (input, init) => transport.forward([apiKey, PLACEHOLDER_KEY], input, init),
    };
  }
}

/** Makes a provider for the server at an address that was found, without the secrets that are not for it. */
export async function lmstudioAt(
  endpoint: string,
  options: LMStudioProviderOptions,
): Promise<LMStudioProvider> {
  const load = () => import("../members/found_config.ts");
  const { cascadeAt } = await importOnUse(load, "find LM Studio");
  const own = { ...options };
  FOUND.set(own, cascadeAt(resolveWithSources(options), endpoint));
  return new LMStudioProvider(own);
}
