/**
 * Providers for the servers that discovery finds: `LocalProvider` for all of them, and the default provider.
 *
 * @module
 */

import {
  type ConfigInputs,
  configurationError,
  isSet,
  type LMStudioProviderOptions,
} from "../core/config.ts";
import { isServiceType } from "../core/discovery_options.ts";
import { fromCaller } from "../core/errors.ts";
import { snapshot } from "../core/import_on_use.ts";
import type { ServiceFinder, ServiceType } from "../core/services.ts";
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
import { describe } from "../core/checks.ts";
import { finderFor } from "../discovery/discovery.ts";
import { readPreference } from "../discovery/settings.ts";
import type { LocalServers, LocalSettings } from "../members/local.ts";
import { readVariables, resolveWithSources } from "../platform/environment.ts";
import { importForCall } from "../server/calls.ts";
import { ChunkStream } from "../server/stream.ts";
import { lmstudioAt, LMStudioProvider } from "./lmstudio.ts";

/** Environment variables with which the framework chooses a provider. */
const PROVIDER_VARIABLES: readonly string[] = [
  "PATINOX_MODEL_PROVIDER",
  "LOCAL_PROVIDER_PREFERENCE",
];
/** The framework's names for settings that providers read from variables of their own. */
const FRAMEWORK_VARIABLES: NonNullable<ConfigInputs["moreVariables"]> = {
  model: ["PATINOX_MODEL_DEFAULT"],
};
/** Display name in errors. */
const SERVICE = "the local servers";

/**
 * Provider for the models on all servers that discovery finds: LM Studio, and Ollama through its OpenAI-compatible
 * routes. A request goes to the server that has its model; if it names no model, it goes to the preferred server, which
 * chooses one. If that server turns out to be gone, another server that can handle the request takes over.
 *
 * @example
 * ```ts
 * import { LocalProvider } from "jsr:@patinox/lmstudio";
 *
 * const local = new LocalProvider();
 * for (const { id, provider } of await local.listModels()) console.log(provider, id);
 * console.log((await local.complete("Say hello.")).content);
 * ```
 */
export class LocalProvider implements ModelProvider {
  /** `"local"`. */
  readonly name = "local" as const;
  readonly #settings: LocalSettings;
  #servers: LocalServers | undefined;

  /**
   * Creates a provider. Sends nothing.
   *
   * @param options the same as for `new LMStudioProvider()`; `discovery` says how to look for servers. `apiToken` and
   * `headers` are sent only to the configured address or, if none is configured, to LM Studio servers on this machine.
   * @throws {ConfigurationError} if a value is invalid; the message names the value and its option, variable or file.
   */
  constructor(options: LMStudioProviderOptions = {}) {
    const cascade = resolveWithSources(options, undefined, FRAMEWORK_VARIABLES);
    const variables = readVariables(options, PROVIDER_VARIABLES);
    const named = namedProvider(variables);
    this.#settings = {
      service: SERVICE,
      cascade,
      env: options.env,
      finder: finderFor(options),
      preference: variables.LOCAL_PROVIDER_PREFERENCE !== undefined
        ? readPreference(variables)
        : isServiceType(named)
        ? named
        : undefined,
    };
  }

  /**
   * Lists the models of all servers. If several servers have a model with the same id, only the preferred server's is
   * listed. Servers that do not answer are left out.
   *
   * @throws {NetworkError} code `service_not_found` if no server is found.
   *
   * @example
   * ```ts
   * import { LocalProvider } from "jsr:@patinox/lmstudio";
   *
   * console.log((await new LocalProvider().listModels()).map(({ id }) => id));
   * ```
   */
  listModels(options?: CallOptions): Promise<ModelInfo[]> {
    return fromCaller(async () => (await this.#load("list models", options)).listModels(options));
  }

  /**
   * Completes a request with one whole answer, from the server that has the model.
   *
   * @throws {NetworkError} code `service_not_found` if no server is found.
   * @throws {ModelNotAvailableError} code `model_not_found` if no server has the model.
   *
   * @example
   * ```ts
   * import { LocalProvider } from "jsr:@patinox/lmstudio";
   *
   * const { content, model } = await new LocalProvider().complete("Name three planets.");
   * console.log(model, content);
   * ```
   */
  complete(
    request: string | CompletionRequest,
    options?: CallOptions,
  ): Promise<CompletionResponse> {
    return fromCaller(async () => {
      const given = snapshot(request);
      return (await this.#load("complete", options)).complete(given, options);
    });
  }

  /**
   * Streams the answer as it is generated, from the server that has the model. Returns at once; the search for servers
   * starts when you first read from the stream.
   *
   * @throws at the first read, the same errors as `complete()`.
   *
   * @example
   * ```ts
   * import { LocalProvider } from "jsr:@patinox/lmstudio";
   *
   * const stream = new LocalProvider().streamCompletion("Write a haiku about the sea.");
   * for await (const text of stream.textStream) console.log(text);
   * ```
   */
  streamCompletion(request: string | CompletionRequest, options?: CallOptions): CompletionStream {
    const action = "stream a completion";
    const open = async (signal: AbortSignal) => {
      const given = snapshot(request);
      return (await this.#load(action, options)).openStream(action, given, options, signal);
    };
    return new ChunkStream({ action, service: SERVICE }, options, open);
  }

  /**
   * Embeds texts on the server that has the model: one vector per input, in order.
   *
   * @throws {NetworkError} code `service_not_found` if no server is found.
   * @throws {ModelNotAvailableError} if no server has the model, or you named none and there are several.
   *
   * @example
   * ```ts
   * import { LocalProvider } from "jsr:@patinox/lmstudio";
   *
   * console.log((await new LocalProvider().embed({ input: "sea" })).embeddings[0]?.length);
   * ```
   */
  embed(request: EmbeddingRequest, options?: CallOptions): Promise<EmbeddingResponse> {
    return fromCaller(async () => {
      const given = snapshot(request);
      return (await this.#load("embed", options)).embed(given, options);
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
   * import { LocalProvider } from "jsr:@patinox/lmstudio";
   *
   * const provider = new LocalProvider();
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
      return await (await this.#load("decide", options)).decide(given, options) as DecisionResponse<
        Questions
      >;
    });
  }

  /**
   * Checks whether any server has a model; `false` if no server can say.
   *
   * @throws {InvalidRequestError} if the name is empty.
   *
   * @example
   * ```ts
   * import { LocalProvider } from "jsr:@patinox/lmstudio";
   *
   * const local = new LocalProvider();
   * console.log(await local.supportsModel("qwen/qwen3-8b"));
   * ```
   */
  supportsModel(model: string, options?: CallOptions): Promise<boolean> {
    return fromCaller(async () => {
      return (await this.#load("look up a model", options)).supportsModel(model, options);
    });
  }

  /**
   * Returns the capabilities of a model, from the server that has it; `undefined` if no server has it or can say.
   *
   * @throws {InvalidRequestError} if the name is empty.
   *
   * @example
   * ```ts
   * import { LocalProvider } from "jsr:@patinox/lmstudio";
   *
   * const local = new LocalProvider();
   * const capabilities = await local.modelCapabilities("qwen/qwen3-8b");
   * console.log(capabilities?.maxTokens);
   * ```
   */
  modelCapabilities(
    model: string,
    options?: CallOptions,
  ): Promise<ModelCapabilities | undefined> {
    return fromCaller(async () => {
      const servers = await this.#load("look up a model's capabilities", options);
      return await servers.modelCapabilities(model, options);
    });
  }

  async #load(action: string, options: CallOptions | undefined): Promise<LocalServers> {
    const { LocalServers } = await importForCall(
      () => import("../members/local.ts"),
      action,
      options,
    );
    return this.#servers ??= new LocalServers(this.#settings);
  }
}

/**
 * Creates the provider this machine is set up for: the one that `PATINOX_MODEL_PROVIDER` names (`lmstudio`, `ollama` or
 * `local`), else LM Studio at its configured address, else the server that discovery prefers. Sends nothing unless it
 * has to look for a server.
 *
 * @param options the same as for `new LMStudioProvider()`; `discovery` says how to look for servers.
 * @throws {NetworkError} code `service_not_found`, listing each address tried and why it failed.
 * @throws {ConfigurationError} if a value is invalid; the message names the value and its option, variable or file.
 *
 * @example
 * ```ts
 * import { createDefaultProvider } from "jsr:@patinox/lmstudio";
 *
 * const provider = await createDefaultProvider();
 * console.log(provider.name, (await provider.complete("Say hello.")).content);
 * ```
 */
export async function createDefaultProvider(
  options: LMStudioProviderOptions = {},
): Promise<ModelProvider> {
  return await fromCaller(async () => {
    const { model } = resolveWithSources(options, undefined, FRAMEWORK_VARIABLES).config;
    const variables = readVariables(options, PROVIDER_VARIABLES);
    // Of the providers, only the local one reads the framework's variable: pass its value on to the others.
    const configured = resolveWithSources(options);
    const own = model === configured.config.model ? options : { ...options, model };
    const isAddressGiven = isSet(configured, "baseUrl");
    const preference = readPreference(variables);
    switch (namedProvider(variables)) {
      case "lmstudio":
        return isAddressGiven ? new LMStudioProvider(own) : await LMStudioProvider.discover(own);
      case "ollama":
        return only("ollama", own);
      case "local":
        return new LocalProvider(own);
      case undefined:
        break;
    }
    if (isAddressGiven && preference !== "ollama") return new LMStudioProvider(own);
    const finder = finderFor(own);
    const { type, endpoint } = await finder.find();
    return type === "lmstudio"
      ? await lmstudioAt(endpoint, own)
      : only(type, { ...own, discovery: finder });
  });
}

function only(type: ServiceType, options: LMStudioProviderOptions): LocalProvider {
  return new LocalProvider({ ...options, discovery: onlyType(type, finderFor(options)) });
}

/** Finder limited to servers of one type. */
function onlyType(type: ServiceType, finder: ServiceFinder): ServiceFinder {
  return {
    discover: async (options) =>
      (await finder.discover(options)).filter((service) => service.type === type),
    find: (_type, options) => finder.find(type, options),
  };
}

/** The provider that `PATINOX_MODEL_PROVIDER` names; `undefined` if it is not set. */
function namedProvider(
  { PATINOX_MODEL_PROVIDER: named }: Readonly<Record<string, string>>,
): ServiceType | "local" | undefined {
  const name = named?.toLowerCase();
  if (name === undefined || name === "local" || isServiceType(name)) return name;
  const state = `variable PATINOX_MODEL_PROVIDER is ${
    describe(named)
  }, not lmstudio, ollama or local`;
  throw configurationError(state, undefined, "default");
}
