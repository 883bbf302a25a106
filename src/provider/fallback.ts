/**
 * Provider that tries several others in order.
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
 * Provider that asks several other providers in order. If one fails with an error that a retry could fix, or does not
 * have the model, the next one is asked; any other error is thrown unchanged. A stream can switch providers only before
 * its first chunk. A provider whose server was unreachable is asked last for a while: for 1 s at first, and up to 30 s if
 * it stays unreachable.
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
   * Creates a provider from a copy of the array.
   *
   * @param providers the providers, in the order in which to ask them.
   * @throws {ConfigurationError} if the array is empty, or an item is not a provider.
   */
  constructor(providers: readonly ModelProvider[]) {
    checkProviders(providers);
    this.#providers = [...providers];
  }

  /**
   * Lists the models of all providers. If several have a model with the same id, only the first is listed. Providers
   * that cannot be reached are left out.
   *
   * @throws {AllProvidersFailedError} if none can be reached.
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
   * Completes a request with one whole answer, from the first provider that can answer it.
   *
   * @throws {AllProvidersFailedError} if none can; `errors` holds the error of each.
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
   * Streams the answer as it is generated, from the first provider that delivers a chunk. An error after that chunk ends
   * the stream, with `partial`: no other provider starts the answer again.
   *
   * @throws at the first read, the same errors as `complete()`.
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
   * Embeds texts, with the first provider that can: one vector per input, in order.
   *
   * @throws {AllProvidersFailedError} if none can; `errors` holds the error of each.
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
   * @throws {InvalidRequestError} if the name is empty.
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
   * Returns the capabilities of a model, from the first provider that has it; `undefined` if none does.
   *
   * @throws {InvalidRequestError} if the name is empty.
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

  /** Shares one list among all calls, so that each knows which providers the others found unreachable. */
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
      hint: "Pass an array with at least one provider, such as `new LMStudioProvider()`.",
    });
  if (!Array.isArray(providers)) throw refusal("the providers are not an array");
  if (providers.length === 0) {
    throw refusal("the array of providers is empty");
  }
  for (const [index, provider] of providers.entries()) {
    const missing = METHODS.find((method) => typeof provider?.[method] !== "function");
    if (missing !== undefined) {
      throw refusal(`providers[${index}] is not a ModelProvider: it has no ${missing}()`);
    }
  }
}
