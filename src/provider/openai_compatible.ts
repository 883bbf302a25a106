/**
 * Provider for any server with OpenAI-compatible routes.
 *
 * @module
 */

import { COMPLETIONS } from "../api/completions.ts";
import { normalizeBaseUrl } from "../core/base_url.ts";
import { anything, must, required, type Rule, table } from "../core/checks.ts";
import {
  configurationError,
  type LMStudioProviderOptions,
  resolveCascade,
  type ResolvedCascade,
  variablesRecord,
} from "../core/config.ts";
import { fromCaller } from "../core/errors.ts";
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
import { call, streamChunks } from "../server/calls.ts";
import { openAICompatible, Server } from "../server/server.ts";
import { decide, embed } from "./lazy_members.ts";

/** Options of `new OpenAICompatibleProvider()`. None of them is read from the environment. */
export interface OpenAICompatibleProviderOptions extends
  Omit<
    LMStudioProviderOptions,
    "baseUrl" | "onModelSubstituted" | "discovery" | "configFile" | "envFile"
  > {
  /** Short name of the provider, such as `"vllm"`, also used as `ModelInfo.provider`. */
  name: string;
  /**
   * Display name of the service, used in errors.
   * @default {the name}
   */
  service?: string | undefined;
  /** Root of the server, with or without `/v1`. */
  baseUrl: string;
}

const shortName: Rule<string> = /* @__PURE__ */ must(
  "a name",
  (value) => typeof value === "string" && value.trim() !== "",
);

/**
 * Options marked `anything` are checked later, by the configuration. The calls are marked as pure so that bundles
 * without this class drop the table.
 */
const OPTIONS = /* @__PURE__ */ table<OpenAICompatibleProviderOptions>({
  name: /* @__PURE__ */ required(shortName),
  service: shortName,
  baseUrl: /* @__PURE__ */ required((value, of, refusal) => {
    if (value === undefined) throw refusal(`${of} is missing`);
    return value;
  }),
  env: variablesRecord,
  apiToken: anything,
  model: anything,
  embeddingModel: anything,
  decisionModel: anything,
  timeoutMs: anything,
  connectTimeoutMs: anything,
  firstTokenTimeoutMs: anything,
  idleTimeoutMs: anything,
  maxRetries: anything,
  modelCacheTtlMs: anything,
  maxConcurrency: anything,
  reasoningTags: anything,
  headers: anything,
  fetch: anything,
}, { noun: "option", whole: "the options are", prefix: "option " });

/** Port used if the address has none: the default for plain HTTP. */
const DEFAULT_PORT = 80;

/**
 * Provider for the models on any server that has `GET /v1/models`, `POST /v1/chat/completions` and
 * `POST /v1/embeddings`, such as llama.cpp's server or vLLM. Uses nothing that only LM Studio supports.
 *
 * @example
 * ```ts
 * import { OpenAICompatibleProvider } from "jsr:@patinox/lmstudio";
 *
 * const vllm = new OpenAICompatibleProvider({ name: "vllm", baseUrl: "http://127.0.0.1:8000/v1" });
 * const { content } = await vllm.complete({ messages: "Hello", model: "google/gemma-4-26b-a4b" });
 * console.log(content);
 * ```
 */
export class OpenAICompatibleProvider implements ModelProvider {
  /** The `name` option. */
  readonly name: string;
  readonly #server: Server;

  /**
   * Creates a provider. Sends nothing.
   *
   * @throws {ConfigurationError} if an option is invalid; the message names the option and its value.
   */
  constructor(options: OpenAICompatibleProviderOptions) {
    const { name, service, cascade } = resolveOptions(options);
    this.name = name;
    const dialect = openAICompatible(name, service);
    this.#server = new Server(cascade.config, dialect, options.env, cascade);
  }

  /**
   * Lists the models on the server via `GET /v1/models`, which returns little more than their ids.
   *
   * @throws {NetworkError} if the server cannot be reached.
   * @throws {AuthenticationError} if the server requires an API token.
   *
   * @example
   * ```ts
   * import { OpenAICompatibleProvider } from "jsr:@patinox/lmstudio";
   *
   * const vllm = new OpenAICompatibleProvider({ name: "vllm", baseUrl: "http://127.0.0.1:8000" });
   * for (const { id } of await vllm.listModels()) console.log(id);
   * ```
   */
  listModels(options?: CallOptions): Promise<ModelInfo[]> {
    return fromCaller(() => this.#server.listModels(options));
  }

  /**
   * Completes a request with one whole answer via `POST /v1/chat/completions`.
   *
   * @throws {ModelNotAvailableError} if there is no model to ask, or the model is unknown.
   * @throws {InvalidRequestError} if the request is invalid, or the server rejects it.
   * @throws {NetworkError} if the server cannot be reached.
   *
   * @example
   * ```ts
   * import { OpenAICompatibleProvider } from "jsr:@patinox/lmstudio";
   *
   * const vllm = new OpenAICompatibleProvider({ name: "vllm", baseUrl: "http://127.0.0.1:8000" });
   * const { usage } = await vllm.complete({ messages: "Hello", model: "google/gemma-4-26b-a4b" });
   * console.log(usage?.totalTokens);
   * ```
   */
  complete(
    request: string | CompletionRequest,
    options?: CallOptions,
  ): Promise<CompletionResponse> {
    return fromCaller(() => call(this.#server, COMPLETIONS, "complete", request, options));
  }

  /**
   * Streams the answer as it is generated. Returns at once; the request is sent when you first read from the stream.
   * Leaving the loop stops the generation.
   *
   * @throws at the first read, the same errors as `complete()`; later a {StreamError}, {TimeoutError} or
   * {NetworkError} whose `partial` holds the answer received so far.
   *
   * @example
   * ```ts
   * import { OpenAICompatibleProvider } from "jsr:@patinox/lmstudio";
   *
   * const vllm = new OpenAICompatibleProvider({
   *   name: "vllm",
   *   baseUrl: "http://127.0.0.1:8000",
   *   model: "google/gemma-4-26b-a4b",
   * });
   * for await (const text of vllm.streamCompletion("Hello").textStream) console.log(text);
   * ```
   */
  streamCompletion(request: string | CompletionRequest, options?: CallOptions): CompletionStream {
    return streamChunks(this.#server, COMPLETIONS, "stream a completion", request, options);
  }

  /**
   * Embeds texts via `POST /v1/embeddings`: one vector per input, in order.
   *
   * @throws {InvalidRequestError} if an input is empty.
   * @throws {ParseError} if the vectors do not match the inputs.
   *
   * @example
   * ```ts
   * import { OpenAICompatibleProvider } from "jsr:@patinox/lmstudio";
   *
   * const server = new OpenAICompatibleProvider({ name: "llama.cpp", baseUrl: "127.0.0.1:8080" });
   * const { embeddings } = await server.embed({ input: "sea" });
   * console.log(embeddings[0]?.length);
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
   * @example
   * ```ts
   * import { OpenAICompatibleProvider } from "jsr:@patinox/lmstudio";
   *
   * const provider = new OpenAICompatibleProvider({
   *   name: "llama.cpp",
   *   baseUrl: "http://127.0.0.1:8080",
   * });
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
   * Checks whether the server lists a model; `false` if it cannot say.
   *
   * @throws {InvalidRequestError} if the name is empty.
   *
   * @example
   * ```ts
   * import { OpenAICompatibleProvider } from "jsr:@patinox/lmstudio";
   *
   * const vllm = new OpenAICompatibleProvider({ name: "vllm", baseUrl: "http://127.0.0.1:8000" });
   * console.log(await vllm.supportsModel("qwen/qwen3-8b"));
   * ```
   */
  supportsModel(model: string, options?: CallOptions): Promise<boolean> {
    return fromCaller(() => this.#server.supportsModel(model, options));
  }

  /**
   * Returns the capabilities of a model, as far as its name reveals them; `undefined` if the server does not list it.
   *
   * @throws {InvalidRequestError} if the name is empty.
   *
   * @example
   * ```ts
   * import { OpenAICompatibleProvider } from "jsr:@patinox/lmstudio";
   *
   * const vllm = new OpenAICompatibleProvider({ name: "vllm", baseUrl: "http://127.0.0.1:8000" });
   * const capabilities = await vllm.modelCapabilities("qwen/qwen3-8b");
   * console.log(capabilities?.maxTokens);
   * ```
   */
  modelCapabilities(
    model: string,
    options?: CallOptions,
  ): Promise<ModelCapabilities | undefined> {
    return fromCaller(() => this.#server.modelCapabilities(model, options));
  }
}

function resolveOptions(
  options: unknown,
): { name: string; service: string; cascade: ResolvedCascade } {
  const { name, service = name, env: _, baseUrl, ...rest } = OPTIONS(
    options,
    "",
    (state) => configurationError(state, undefined, "OpenAI-compatible"),
  );
  const given: Record<string, unknown> = { ...rest, baseUrl };
  // An invalid address stays unchanged, so that the configuration rejects it in its usual words.
  const address = normalizeBaseUrl(typeof baseUrl === "string" ? baseUrl : "", DEFAULT_PORT);
  if (address.problem === undefined) given.baseUrl = address.url;
  const cascade = resolveCascade({ options: given, env: {}, service });
  return { name, service, cascade };
}
