/**
 * Provider made of several: what one cannot do, the next one does.
 *
 * @module
 */

import { type ConfigurationError, fromCaller, providerError } from "../core/errors.ts";
import { snapshot } from "../core/import_on_use.ts";
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
import type { ProviderList } from "../members/fallback.ts";
import { importForCall } from "../server/calls.ts";
import { ChunkStream } from "../server/stream.ts";

const METHODS = [
  "listModels",
  "complete",
  "streamCompletion",
  "embed",
  "supportsModel",
  "modelCapabilities",
] as const;

/**
 * Asks providers in their order: the next one where one fails in a way that a retry could mend, or does not have
 * the model; any other failure is thrown as it is. A stream changes over before its first chunk only. A provider
 * whose server was not there is asked last for a while: 1 s at first, up to 30 s when it stays away.
 *
 * @example
 * ```ts
 * import { FallbackProvider, LMStudioProvider } from "jsr:@patinox/lmstudio";
 *
 * const provider = new FallbackProvider([
 *   new LMStudioProvider({ baseUrl: "http://10.0.0.5:1234" }),
 *   new LMStudioProvider(),
 * ]);
 * const { content } = await provider.complete("Say hello.");
 * console.log(content);
 * ```
 */
export class FallbackProvider implements ModelProvider {
  /** `"fallback"`. */
  readonly name = "fallback" as const;
  readonly #providers: readonly ModelProvider[];
  #list: ProviderList | undefined;

  /**
   * Keeps the list as it is now.
   *
   * @param providers in the order in which they are asked.
   * @throws {ConfigurationError} the array is empty, or an item is no provider.
   */
  constructor(providers: readonly ModelProvider[]) {
    checkProviders(providers);
    this.#providers = [...providers];
  }

  /**
   * Lists the models of all providers; of two with the same id the first. Providers that cannot be reached are left out.
   *
   * @throws {AllProvidersFailedError} none can be reached.
   *
   * @example
   * ```ts
   * import { FallbackProvider, LMStudioProvider } from "jsr:@patinox/lmstudio";
   *
   * const provider = new FallbackProvider([new LMStudioProvider()]);
   * console.log((await provider.listModels()).length);
   * ```
   */
  listModels(options?: CallOptions): Promise<ModelInfo[]> {
    return fromCaller(async () => (await this.#load("list models", options)).listModels(options));
  }

  /**
   * Completes a request with one whole answer, of the first provider that can give it.
   *
   * @throws {AllProvidersFailedError} none can; `errors` has what each of them said.
   *
   * @example
   * ```ts
   * import { FallbackProvider, isProviderError, LMStudioProvider } from "jsr:@patinox/lmstudio";
   *
   * const provider = new FallbackProvider([new LMStudioProvider()]);
   * try {
   *   console.log((await provider.complete("Hello")).content);
   * } catch (error) {
   *   if (!isProviderError(error, "all-providers-failed")) throw error;
   *   console.log(error.errors);
   * }
   * ```
   */
  complete(
    request: string | CompletionRequest,
    options?: CallOptions,
  ): Promise<CompletionResponse> {
    return fromCaller(async () => {
      const given = snapshot(request);
      const list = await this.#load("complete", options);
      return await list.call("complete", options, (provider) => provider.complete(given, options));
    });
  }

  /**
   * Streams the answer as it is generated, by the first provider that gives a chunk. What fails after that chunk fails with
   * `partial`: an answer is never begun twice.
   *
   * @throws at the first pull, as `complete()`.
   *
   * @example
   * ```ts
   * import { FallbackProvider, LMStudioProvider } from "jsr:@patinox/lmstudio";
   *
   * const provider = new FallbackProvider([new LMStudioProvider()]);
   * for await (const text of provider.streamCompletion("Hello").textStream) console.log(text);
   * ```
   */
  streamCompletion(request: string | CompletionRequest, options?: CallOptions): CompletionStream {
    const action = "stream a completion";
    const open = async (signal: AbortSignal) => {
      const given = snapshot(request);
      return (await this.#load(action, options)).openStream(action, given, options, signal);
    };
    return new ChunkStream({ action, service: this.name }, options, open);
  }

  /**
   * Embeds texts: one vector per input, of the first provider that can give them.
   *
   * @throws {AllProvidersFailedError} none can; `errors` has what each of them said.
   *
   * @example
   * ```ts
   * import { FallbackProvider, LMStudioProvider } from "jsr:@patinox/lmstudio";
   *
   * const provider = new FallbackProvider([new LMStudioProvider()]);
   * console.log((await provider.embed({ input: "sea" })).embeddings.length);
   * ```
   */
  embed(request: EmbeddingRequest, options?: CallOptions): Promise<EmbeddingResponse> {
    return fromCaller(async () => {
      const given = snapshot(request);
      const list = await this.#load("embed", options);
      return await list.call("embed", options, (provider) => provider.embed(given, options));
    });
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
   * import { FallbackProvider, LMStudioProvider } from "jsr:@patinox/lmstudio";
   *
   * const provider = new FallbackProvider([new LMStudioProvider()]);
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
    return fromCaller(async () => {
      const given = snapshot(request);
      const list = await this.#load("decide", options);
      return await list.decide(given, options) as DecisionResponse<Questions>;
    });
  }

  /**
   * Checks whether any of the providers has a model.
   *
   * @throws {InvalidRequestError} the name is empty.
   *
   * @example
   * ```ts
   * import { FallbackProvider, LMStudioProvider } from "jsr:@patinox/lmstudio";
   *
   * const provider = new FallbackProvider([new LMStudioProvider()]);
   * console.log(await provider.supportsModel("qwen/qwen3-8b"));
   * ```
   */
  supportsModel(model: string, options?: CallOptions): Promise<boolean> {
    return fromCaller(async () => {
      const list = await this.#load("look up a model", options);
      const ask = (provider: ModelProvider) => provider.supportsModel(model, options);
      return Boolean(await list.lookUp(ask, Boolean));
    });
  }

  /**
   * Capabilities of a model, from the first provider that has it.
   *
   * @throws {InvalidRequestError} the name is empty.
   *
   * @example
   * ```ts
   * import { FallbackProvider, LMStudioProvider } from "jsr:@patinox/lmstudio";
   *
   * const provider = new FallbackProvider([new LMStudioProvider()]);
   * const capabilities = await provider.modelCapabilities("qwen/qwen3-8b");
   * console.log(capabilities?.maxTokens);
   * ```
   */
  modelCapabilities(
    model: string,
    options?: CallOptions,
  ): Promise<ModelCapabilities | undefined> {
    return fromCaller(async () => {
      const list = await this.#load("look up a model's capabilities", options);
      const ask = (provider: ModelProvider) => provider.modelCapabilities(model, options);
      return await list.lookUp(ask, (capabilities) => capabilities !== undefined);
    });
  }

  /** One list for all calls: they learn from each other which provider is gone. */
  async #load(action: string, options: CallOptions | undefined): Promise<ProviderList> {
    const { ProviderList } = await importForCall(
      () => import("../members/fallback.ts"),
      action,
      options,
    );
    return this.#list ??= new ProviderList(this.name, this.#providers);
  }
}

function checkProviders(providers: unknown): void {
  const refusal = (state: string): ConfigurationError =>
    providerError("invalid_configuration", `Cannot configure the fallback provider: ${state}`, {
      attempts: 0,
    });
  if (!Array.isArray(providers)) throw refusal("the providers are not an array");
  if (providers.length === 0) {
    throw refusal("the array of providers is empty: it needs at least one");
  }
  for (const [index, provider] of providers.entries()) {
    const missing = METHODS.find((method) => typeof provider?.[method] !== "function");
    if (missing !== undefined) {
      throw refusal(`providers[${index}] is no ModelProvider: it has no ${missing}()`);
    }
  }
}
