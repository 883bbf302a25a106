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

/** Options of an OpenAI-style client, under the names that most such clients use. */
export interface OpenAIClientOptions {
  /** Root of the server's OpenAI-style routes, such as `http://127.0.0.1:1234/v1`. */
  baseURL: string;
  /** The API token, or `"lm-studio"` if there is none: such clients refuse to work without a key. */
  apiKey: string;
  /**
   * Works like the global `fetch`, but only for addresses below the server's. Sends each request once, with the
   * provider's API token, headers and timeouts, and returns the server's own answer, with two exceptions: an error
   * under status 200 gets status 400, and a stream that is cut off throws instead of ending. Rejects with an
   * `AnyProviderError`, or with `signal.reason`.
   */
  fetch: typeof globalThis.fetch;
}

/** Options of an Anthropic-style client, under the names that most such clients use. */
export interface AnthropicClientOptions {
  /** Root of the server, such as `http://127.0.0.1:1234`; such clients append `/v1/messages` themselves. */
  baseURL: string;
  /** The API token, or `"lm-studio"` if there is none: such clients refuse to work without a key. */
  apiKey: string;
  /** `null`, which keeps such clients from reading a second credential from the environment. */
  authToken: null;
  /** Like `OpenAIClientOptions.fetch`, with every error in Anthropic's shape, whatever shape the server sent. */
  fetch: typeof globalThis.fetch;
}

/** The key that LM Studio's own examples use. */
const PLACEHOLDER_KEY = "lm-studio";

/** Configurations for servers that discovery found, keyed by options made for each; users' own options have none. */
const FOUND = new WeakMap<LMStudioProviderOptions, ResolvedCascade>();

/**
 * Provider for the models on an LM Studio server: answers (whole or streamed, with tools, images and typed objects),
 * embeddings and decisions. `chat`, `responses` and `models` have APIs of their own.
 *
 * A provider is cheap to create, holds no connection and no timer, and can serve many calls at once. Every method
 * rejects with an `AnyProviderError`, or with your own `signal.reason`.
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
   * LM Studio's own chat, `POST /api/v1/chat` (0.4.0 and later): the server keeps the conversation, runs the tools
   * of plugins and MCP servers, and reports progress while it loads the model and processes the prompt.
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
   * Responses, which the server remembers so that you can continue them: `POST /v1/responses` (0.3.29 and later).
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
   * Model management: finds, loads, unloads and downloads models via `/api/v1/models` (0.4.0 and later). `get`
   * works with every version.
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
   * Creates a provider. Sends nothing.
   *
   * @throws {ConfigurationError} if a value is invalid; the message names the value and its option, variable or file.
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
   * Finds LM Studio and creates a provider for it. Tries the configured address, then the one in LM Studio's own
   * settings, then 127.0.0.1:1234. The API token and headers are sent only to the configured address or, if none is
   * configured, to a server on this machine.
   *
   * @param options the same as for the constructor; `discovery` says how to look.
   * @throws {NetworkError} code `service_not_found`, listing each address tried and why it failed, or
   * `permission_denied` if no connection is allowed at all.
   * @throws {ConfigurationError} if a value is invalid; the message names the value and its option, variable or file.
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
   * Lists the models on the server, both downloaded and loaded. Always asks the server: `GET /api/v1/models`, or on
   * older versions `GET /api/v0/models` or `GET /v1/models`, which returns ids only.
   *
   * @throws {NetworkError} if the server cannot be reached.
   * @throws {AuthenticationError} if the server requires an API token.
   * @throws {ApiError} code `not_lm_studio` or `unexpected_endpoint` if something else answers at the address.
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
   * Completes a request with one whole answer via `POST /v1/chat/completions`. There is no timeout by default,
   * because the server may have to load the model first.
   *
   * @throws {ModelNotAvailableError} if there is no model to ask, the model is unknown, or a different model answered.
   * @throws {InvalidRequestError} if the request is invalid, or the server rejects it.
   * @throws {ApiError} code `tool_choice_ignored` if the answer does not call the tool that `toolChoice` asks for.
   * @throws {NetworkError} if the server cannot be reached.
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
   * Streams the answer as it is generated via `POST /v1/chat/completions` with `stream: true`. Returns at once;
   * the request is sent when you first read from the stream. Leaving the loop stops the generation.
   *
   * @throws at the first read, the same errors as `complete()`; later a {StreamError}, {TimeoutError} or
   * {NetworkError} whose `partial` holds the answer received so far.
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
   * Continues a text via `POST /v1/completions`. No chat template is applied, so base models work best.
   * Retries, timeouts and the check for a substituted model work as in `complete()`.
   *
   * @throws the same errors as `complete()`.
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
   * Streams the continuation of a text via `POST /v1/completions` with `stream: true`. The stream works like
   * that of `streamCompletion()`, with the text in `content`; `response()` returns what `completeText()` returns.
   *
   * @throws at the first read, the same errors as `complete()`; later, those of `streamCompletion()`.
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
   * Completes a request with an object: JSON that `schema` validates and types via `POST /v1/chat/completions`
   * with `response_format`.
   *
   * @throws {ParseError} if the answer does not match the schema or was cut off; see `issues`, `partial`,
   * `finishReason` and `response`.
   * @throws {InvalidRequestError} if the schema is missing or provides no JSON Schema.
   * @throws the same errors as `complete()`.
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
   * Streams an object while the model writes it: the object so far each time it changes, and finally the validated
   * object. Each event is a separate copy. Fields appear in the order the model writes them; strings grow, and numbers
   * appear once they are complete. Only the last event is validated, with defaults filled in and transformations
   * applied. A repair (`maxRepairs`) starts over with an empty object. Returns at once; the request is sent when you
   * first read from the stream. Leaving the loop stops the generation.
   *
   * @returns a stream whose `response()` returns what `completeObject()` returns.
   * @throws at the first read, the errors of `completeObject()` for an invalid request; later, after the events received
   * so far, any other error of `completeObject()` or `streamCompletion()`.
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
   * Runs the tools that the model calls and sends it their results, until it calls none. `response` is the last
   * answer, `messages` the whole conversation. The tool's schema checks the arguments; if a call is invalid or fails,
   * the model is told. `timeoutMs` applies to each answer; only `signal` limits the tools.
   *
   * @throws {ApiError} code `tool_loop_limit` if the model still calls tools after `maxRounds` answers.
   * @throws the same errors as `complete()`, and anything that `onToolCall` throws.
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
   * Runs tools like `runTools` and streams what happens: chunks of the answers, tool calls, and each result as it
   * arrives. Returns at once; the request is sent when you first read from the stream. Leaving the loop stops the
   * model and aborts the tools.
   *
   * @throws at the first read, the same errors as `runTools()`; later, those of `streamCompletion()`, with `partial`.
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
   * Embeds texts in batches via `POST /v1/embeddings`: one vector per input, in order.
   *
   * @throws {InvalidRequestError} if an input is empty.
   * @throws {ParseError} if the vectors do not match the inputs.
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
   * Asks a decision model typed questions about a text, messages or images: how likely a statement is, which choice
   * fits, or where something falls on a scale. The answers are probabilities rather than text, and typed by their
   * questions. Uses `POST /v1/decisions`, or `POST /v1/systemone` if the server does not have that route.
   *
   * @throws {InvalidRequestError} if a question is invalid; the message names the field.
   * @throws {ModelNotAvailableError} code `no_model_loaded` if there is no decision model, or `wrong_model_type` if the
   * model is not a decision model.
   * @throws {ApiError} code `unsupported_by_server` if the server has no route for decisions.
   * @throws {ParseError} if the answer leaves out a question, or answers one you did not ask.
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
   * Checks whether the server has a model, under any spelling of its name; `false` if the server cannot say. Uses a
   * listing at most `modelCacheTtlMs` old, and refreshes it if the model is not in it.
   *
   * @throws {InvalidRequestError} if the name is empty.
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
   * Returns the capabilities of a model; `undefined` if the server does not have it or cannot say. Uses the same
   * listing as `supportsModel`.
   *
   * @throws {InvalidRequestError} if the name is empty.
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
   * Returns options that make an OpenAI-style client use this server: `new OpenAI(provider.toOpenAI())`. Its requests
   * carry this provider's API token, headers and timeouts. An error that LM Studio reports under status 200 becomes a
   * 400, so that the client throws it.
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
   * Returns options that make an Anthropic-style client use this server: `new Anthropic(provider.toAnthropic())`. Its
   * requests carry this provider's API token, headers and timeouts. Every error, including those that LM Studio reports
   * under status 200, has the shape such clients read, and a stream that is cut off throws instead of ending.
   *
   * LM Studio has had `POST /v1/messages` since 0.4.1.
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
   * Lists every value of the configuration and where it came from, with secrets masked.
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
      // The placeholder as well, even if there is an API token: people hard-code it next to `fetch`.
      fetch: (input, init) => transport.forward([apiKey, PLACEHOLDER_KEY], input, init),
    };
  }
}

/** Creates a provider for a server that discovery found, without the secrets meant for other addresses. */
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
