/**
 * A provider over whatever servers are found on this machine.
 *
 * @module
 */

import { checkCompletionRequest } from "../api/completion_checks.ts";
import { LISTING_ACTION } from "../api/models.ts";
import { importOnUse, snapshot } from "../core/import_on_use.ts";
import type { LMStudioProviderOptions, ResolvedCascade, ResolvedConfig } from "../core/config.ts";
import { isServiceType } from "../core/discovery_options.ts";
import { fromCaller, isProviderError, toldAs } from "../core/errors.ts";
import { findModel, isSameModel } from "../core/model_names.ts";
import { checkCallOptions, checkName, refusal, type Refuse } from "../core/request_checks.ts";
import type { ServiceFinder, ServiceInfo, ServiceType } from "../core/services.ts";
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
import { readPreference, sortByPreference } from "../discovery/candidates.ts";
import { readVariables, resolveWithSources } from "../platform/environment.ts";
import { wordsOf } from "../transport/redact.ts";
import { LazyCompletionStream } from "../server/completion_stream.ts";
import { callerSignalOf } from "../server/lazy_stream.ts";
import { DIALECTS } from "../server/dialects.ts";
import { Engine } from "../server/engine.ts";
import { modelNotFound, type Silence } from "../server/model_not_found.ts";
import { ServerModels } from "../server/server_models.ts";
import { FailoverStream } from "./failover_stream.ts";
import { embed } from "./lazy_members.ts";
import {
  finderFor,
  FRAMEWORK_VARIABLES,
  namedProvider,
  PROVIDER_VARIABLES,
  resolveAt,
} from "./server_search.ts";

/** The server is gone since it was found: another may do instead. */
const GONE_CODES: ReadonlySet<string> = new Set([
  "connection_refused",
  "connection_reset",
  "timeout_connect",
]);

/** What is asked of which server, for errors and for another try. */
interface Errand {
  /** Completes "Cannot …". */
  readonly action: string;
  readonly model: string | undefined;
  readonly signal: AbortSignal | undefined;
  /** Shows what a server wrote. */
  readonly show: (text: string) => string;
}

/** A server that has a model. */
interface Place {
  readonly service: ServiceInfo;
  /** The model's id there. */
  readonly id: string;
}

/**
 * Models on the servers that discovery finds: LM Studio, and Ollama by its OpenAI-compatible routes. A request goes
 * to the server that has its model; one that names none goes to the preferred server, which chooses. A server that
 * is gone when it is asked is replaced by another one that can do the same, if there is one.
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
  readonly #cascade: ResolvedCascade;
  readonly #config: ResolvedConfig;
  readonly #env: LMStudioProviderOptions["env"];
  readonly #finder: ServiceFinder;
  readonly #preference: ServiceType | undefined;
  /** By type and endpoint. */
  readonly #engines = new Map<string, Engine>();

  /**
   * Touches no network.
   *
   * @param options as for `new LMStudioProvider()`; `discovery` says how to look for servers. `apiToken` and
   * `headers` go to the configured address only or, where none is configured, to LM Studio servers on this machine.
   * @throws {ConfigurationError} naming the option, variable or file, and the value.
   */
  constructor(options: LMStudioProviderOptions = {}) {
    const cascade = resolveWithSources(options, undefined, FRAMEWORK_VARIABLES);
    const variables = readVariables(options, PROVIDER_VARIABLES);
    const named = namedProvider(variables);
    this.#cascade = cascade;
    this.#config = cascade.config;
    this.#env = options.env;
    this.#finder = finderFor(options);
    this.#preference = variables.LOCAL_PROVIDER_PREFERENCE !== undefined
      ? readPreference(variables)
      : isServiceType(named)
      ? named
      : undefined;
  }

  /**
   * The models of all servers; of two with the same id that of the preferred server. Servers that do not answer are
   * left out.
   *
   * @throws {NetworkError} code `service_not_found`: there is no server.
   *
   * @example
   * ```ts
   * import { LocalProvider } from "jsr:@patinox/lmstudio";
   *
   * console.log((await new LocalProvider().listModels()).map(({ id }) => id));
   * ```
   */
  async listModels(options?: CallOptions): Promise<ModelInfo[]> {
    return await fromCaller(async () => {
      const checked = checkCallOptions(options, this.#refuse(LISTING_ACTION));
      const services = await this.#services(checked.signal);
      const listings = await this.#listAll(services, checked);
      const byId = new Map<string, ModelInfo>();
      for (const model of listings.flat()) if (!byId.has(model.id)) byId.set(model.id, model);
      return [...byId.values()];
    });
  }

  /**
   * One whole answer, of the server that has the model.
   *
   * @throws {NetworkError} code `service_not_found`: there is no server.
   * @throws {ModelNotAvailableError} code `model_not_found`: no server has this model.
   *
   * @example
   * ```ts
   * import { LocalProvider } from "jsr:@patinox/lmstudio";
   *
   * const { content, model } = await new LocalProvider().complete("Name three planets.");
   * console.log(model, content);
   * ```
   */
  async complete(
    request: string | CompletionRequest,
    options?: CallOptions,
  ): Promise<CompletionResponse> {
    return await fromCaller(async () => {
      const errand = this.#completionErrand("complete", request, options);
      return await this.#run(errand, (engine) => engine.complete(request, options));
    });
  }

  /**
   * The answer as it is generated, by the server that has the model. Returns at once; servers are looked for at the
   * first pull.
   *
   * @throws at the first pull, as `complete()`.
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
    // deno-lint-ignore require-await -- the type is a promise
    const open = async (signal: AbortSignal): Promise<FailoverStream> => {
      const errand = { ...this.#completionErrand(action, request, options), signal };
      let failed: ServiceInfo | undefined;
      return new FailoverStream(async (failure) => {
        const service = failure === undefined
          ? await this.#route(errand)
          : await this.#routeElsewhere(errand, failed, failure.error);
        // One other server is enough: what fails there, too, is not for want of a server.
        failed = failed === undefined ? service : undefined;
        return this.#engineOf(service).streamCompletion(request, { ...options, signal });
      });
    };
    return new LazyCompletionStream(open, callerSignalOf(options), { action, service: SERVICE });
  }

  /**
   * One vector per input, in order, of the server that has the model.
   *
   * @throws {NetworkError} code `service_not_found`: there is no server.
   * @throws {ModelNotAvailableError} no server has this model, or none was named and there are several.
   *
   * @example
   * ```ts
   * import { LocalProvider } from "jsr:@patinox/lmstudio";
   *
   * console.log((await new LocalProvider().embed({ input: "sea" })).embeddings[0]?.length);
   * ```
   */
  async embed(request: EmbeddingRequest, options?: CallOptions): Promise<EmbeddingResponse> {
    return await fromCaller(async () => {
      const refuse = this.#refuse("embed");
      const checked = checkCallOptions(options, refuse);
      const { signal } = checked;
      const given = snapshot(request);
      const { checkEmbeddingRequest } = await importOnUse(
        () => import("../members/embeddings.ts"),
        "embed",
      );
      const { model = this.#config.embeddingModel, input } = checkEmbeddingRequest(given, refuse);
      return await this.#run(
        { action: "embed", model, signal, show: wordsOf(this.#config, checked, { input }) },
        (engine) => embed(engine.server, given, options),
      );
    });
  }

  /**
   * Whether any server has this model; `false` when none can say.
   *
   * @throws {InvalidRequestError} the name is empty.
   *
   * @example
   * ```ts
   * import { LocalProvider } from "jsr:@patinox/lmstudio";
   *
   * const local = new LocalProvider();
   * console.log(await local.supportsModel("qwen/qwen3-8b"));
   * ```
   */
  async supportsModel(model: string, options?: CallOptions): Promise<boolean> {
    return await fromCaller(async () => {
      return await this.#lookUp(model, options, "look up a model") !== undefined;
    });
  }

  /**
   * What this model can do, as the server that has it says; `undefined` when none has it or can say.
   *
   * @throws {InvalidRequestError} the name is empty.
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
  async modelCapabilities(
    model: string,
    options?: CallOptions,
  ): Promise<ModelCapabilities | undefined> {
    return await fromCaller(async () => {
      const place = await this.#lookUp(model, options, "look up a model's capabilities");
      return place && await this.#engineOf(place.service).modelCapabilities(place.id, options);
    });
  }

  #refuse(action: string): Refuse {
    return refusal(action, SERVICE);
  }

  #completionErrand(action: string, request: unknown, options: unknown): Errand {
    const refuse = this.#refuse(action);
    const checked = checkCallOptions(options, refuse);
    const { model = this.#config.model, messages } = checkCompletionRequest(request, refuse);
    const show = wordsOf(this.#config, checked, { messages });
    return { action, model, signal: checked.signal, show };
  }

  async #lookUp(
    model: string,
    options: CallOptions | undefined,
    action: string,
  ): Promise<Place | undefined> {
    const refuse = this.#refuse(action);
    const { signal } = checkCallOptions(options, refuse);
    checkName("model", model ?? null, refuse);
    try {
      return await this.#placeOf({ signal }, model);
    } catch (error) {
      signal?.throwIfAborted();
      // "Cannot say" is an answer here, unlike everywhere else.
      if (isProviderError(error)) return undefined;
      throw error;
    }
  }

  async #run<T>(errand: Errand, call: (engine: Engine) => Promise<T>): Promise<T> {
    const service = await this.#route(errand);
    try {
      return await call(this.#engineOf(service));
    } catch (error) {
      return await call(this.#engineOf(await this.#routeElsewhere(errand, service, error)));
    }
  }

  // --- Which server -----------------------------------------------------------------------------

  async #route(errand: Errand): Promise<ServiceInfo> {
    const { model, signal } = errand;
    if (model === undefined) return await this.#preferred(signal);
    const silent: Silence[] = [];
    const { action, show } = errand;
    const place = await toldAs(
      LISTING_ACTION,
      action,
      () => this.#placeOf(errand, model, silent),
    );
    if (place !== undefined) return place.service;
    throw modelNotFound(action, model, await this.#services(signal), silent, show);
  }

  /** Another server that can do the same, after this one failed; rethrows the failure where there is none. */
  async #routeElsewhere(
    { model, signal }: Errand,
    failed: ServiceInfo | undefined,
    error: unknown,
  ): Promise<ServiceInfo> {
    signal?.throwIfAborted();
    if (failed === undefined || !isProviderError(error) || !GONE_CODES.has(error.code)) throw error;
    // It was not the server, but another host: that of an image.
    if (!error.retriable) throw error;
    let others: ServiceInfo[];
    try {
      others = (await this.#services(signal, true))
        .filter(({ endpoint }) => endpoint !== failed.endpoint);
    } catch {
      signal?.throwIfAborted();
      throw error;
    }
    const other = model === undefined ? others[0] : findPlace(others, model)?.service;
    if (other === undefined) throw error;
    return other;
  }

  /** Where a model is: as discovery knows, then as the servers themselves say, then on servers that are new. */
  async #placeOf(
    { signal }: Pick<Errand, "signal">,
    model: string,
    silent: Silence[] = [],
  ): Promise<Place | undefined> {
    const preferred = findPlace([await this.#preferred(signal)], model);
    if (preferred !== undefined) return preferred;
    const services = await this.#services(signal);
    const known = findPlace(services, model) ??
      await this.#askAll(services, model, signal, silent);
    if (known !== undefined) return known;
    const endpoints = new Set(services.map(({ endpoint }) => endpoint));
    const all = await this.#services(signal, true);
    return findPlace(all.filter(({ endpoint }) => !endpoints.has(endpoint)), model);
  }

  /** Listings tell aliases and new models, which discovery does not know. */
  async #askAll(
    services: readonly ServiceInfo[],
    model: string,
    signal: AbortSignal | undefined,
    silent: Silence[],
  ): Promise<Place | undefined> {
    const listings = await this.#listAll(services, { signal }, silent);
    for (const [index, service] of services.entries()) {
      const models = listings[index] ?? [];
      if (service.type === "lmstudio") {
        if (findModel(models, model) !== undefined) return { service, id: model };
        continue;
      }
      const place = findPlace([{ ...service, models: models.map(({ id }) => id) }], model);
      if (place !== undefined) return place;
    }
    return undefined;
  }

  /** The listing of each server, empty for one that fails. @throws what the first said, if all fail. */
  async #listAll(
    services: readonly ServiceInfo[],
    options: CallOptions,
    silent: Silence[] = [],
  ): Promise<ModelInfo[][]> {
    const results = await Promise.allSettled(
      services.map((service) => this.#engineOf(service).listModels(options)),
    );
    options.signal?.throwIfAborted();
    const [first] = results;
    if (first?.status === "rejected" && results.every(({ status }) => status === "rejected")) {
      throw first.reason;
    }
    for (const [index, service] of services.entries()) {
      const result = results[index];
      if (result?.status === "rejected") silent.push({ service, error: result.reason });
    }
    return results.map((result) => result.status === "fulfilled" ? result.value : []);
  }

  /** The server for requests that name no model: known as soon as no other can be preferred to it. */
  async #preferred(signal: AbortSignal | undefined): Promise<ServiceInfo> {
    const service = await this.#finder.find(undefined, { signal });
    // A finder that was handed in has a preference of its own.
    if (this.#preference === undefined || service.type === this.#preference) return service;
    const [first = service] = await this.#services(signal);
    return first;
  }

  /** All servers that can be used, the preferred one first; never none. */
  async #services(signal: AbortSignal | undefined, force = false): Promise<ServiceInfo[]> {
    // Together they are one round, and `find` says best what was tried in vain.
    const [found, preferred] = await Promise.all([
      this.#finder.discover({ force, signal }),
      this.#finder.find(undefined, { signal }),
    ]);
    const usable = found.filter(({ status }) => status !== "unavailable");
    return usable.length === 0 ? [preferred] : sortByPreference(usable, this.#preference);
  }

  #engineOf({ type, endpoint }: ServiceInfo): Engine {
    const key = `${type} ${endpoint}`;
    const known = this.#engines.get(key);
    if (known !== undefined) return known;
    const cascade = resolveAt(endpoint, this.#cascade);
    const { config, entries } = cascade;
    // Token and headers were given for LM Studio: another server must not see them.
    const { apiToken: _, ...shared } = config;
    const engine = new Engine(
      type === "lmstudio"
        ? new ServerModels(config, DIALECTS.lmstudio, this.#env, cascade)
        : new ServerModels({ ...shared, headers: {} }, DIALECTS[type], this.#env, { entries }),
    );
    this.#engines.set(key, engine);
    return engine;
  }
}

/** What these errors are about, for people. */
const SERVICE = "the local servers";

/** The first server whose models, as discovery knows them, have this one: by its exact id, then by another spelling. */
function findPlace(services: readonly ServiceInfo[], model: string): Place | undefined {
  const exact = services.find(({ models }) => models.includes(model));
  if (exact !== undefined) return { service: exact, id: model };
  for (const service of services) {
    const id = service.models.find((known) => isSameAt(service.type, known, model));
    // LM Studio knows spellings, and tells the copies of a model apart by what they are called.
    if (id !== undefined) return { service, id: service.type === "lmstudio" ? model : id };
  }
  return undefined;
}

/** To Ollama a name without a tag means the tag `latest`, and tags of digits are tags like any other. */
function isSameAt(type: ServiceType, a: string, b: string): boolean {
  return type === "lmstudio" ? isSameModel(a, b) : withTag(a) === withTag(b);
}

function withTag(name: string): string {
  const folded = name.trim().toLowerCase();
  return /:[^/]*$/.test(folded) ? folded : `${folded}:latest`;
}
