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

/** The options of `new OpenAICompatibleProvider()`. Nothing is read from the environment. */
export interface OpenAICompatibleProviderOptions extends
  Omit<
    LMStudioProviderOptions,
    "baseUrl" | "onModelSubstituted" | "discovery" | "configFile" | "envFile"
  > {
  /** Short name of the provider, such as `"vllm"`; `ModelInfo.provider` has it too. */
  name: string;
  /**
   * Name of the service for people, in errors.
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
 * The other options come before their rules with the configuration. Marked as pure, for bundles without this class.
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

/** Port where the address has none: that of plain http. */
const DEFAULT_PORT = 80;

/**
 * Models on any server that has `GET /v1/models`, `POST /v1/chat/completions` and `POST /v1/embeddings`, such as
 * llama.cpp's server or vLLM. What only LM Studio does is not asked of it.
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
  /** As given. */
  readonly name: string;
  readonly #server: Server;

  /**
   * Touches no network.
   *
   * @throws {ConfigurationError} naming the option and the value.
   */
  constructor(options: OpenAICompatibleProviderOptions) {
    const { name, service, cascade } = resolveOptions(options);
    this.name = name;
    const dialect = openAICompatible(name, service);
    this.#server = new Server(cascade.config, dialect, options.env, cascade);
  }

  /**
   * Lists the models of the server, by `GET /v1/models`: little more than their ids.
   *
   * @throws {NetworkError} the server cannot be reached.
   * @throws {AuthenticationError} the server wants a token.
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
   * Completes a request with one whole answer, by `POST /v1/chat/completions`.
   *
   * @throws {ModelNotAvailableError} no model, or an unknown one.
   * @throws {InvalidRequestError} the request cannot be answered as it is.
   * @throws {NetworkError} the server cannot be reached.
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
   * Streams the answer as it is generated. Returns at once; the request is sent at the first pull. Leaving the loop stops
   * the server.
   *
   * @throws at the first pull, as `complete()`; later {StreamError}, {TimeoutError} or {NetworkError} with
   * `partial`, what had arrived.
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
   * Embeds texts, by `POST /v1/embeddings`: one vector per input, in order.
   *
   * @throws {InvalidRequestError} an input is empty.
   * @throws {ParseError} the vectors do not fit the inputs.
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
   * Checks whether the server lists a model; `false` when it cannot say.
   *
   * @throws {InvalidRequestError} the name is empty.
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
   * Capabilities of a model, as far as its name shows them; `undefined` when the server does not list it.
   *
   * @throws {InvalidRequestError} the name is empty.
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
  // What is no address is refused with the rest, in the same words.
  const address = normalizeBaseUrl(typeof baseUrl === "string" ? baseUrl : "", DEFAULT_PORT);
  if (address.problem === undefined) given.baseUrl = address.url;
  const cascade = resolveCascade({ options: given, env: {}, service });
  return { name, service, cascade };
}
