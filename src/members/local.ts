/**
 * Choice of a server for each call of a `LocalProvider`, from those that discovery finds, and of another one if that
 * server is gone.
 *
 * @module
 */

import { checkCompletionRequest } from "../api/completion_request.ts";
import { COMPLETIONS } from "../api/completions.ts";
import { checkRareFields } from "../api/rare_fields.ts";
import type { LMStudioProviderOptions, ResolvedCascade } from "../core/config.ts";
import { searchedFor } from "../discovery/not_found.ts";
import { isProviderError } from "../core/errors.ts";
import { renamed } from "../core/renamed_errors.ts";
import { importOnUse } from "../core/import_on_use.ts";
import { findModel } from "../core/listed_models.ts";
import { isSameModel, LISTING_ACTION } from "../core/model_names.ts";
import { checkCallOptions, nonEmptyText, type RefusalMaker, refusalMaker } from "../core/checks.ts";
import type { ServiceFinder, ServiceInfo, ServiceType } from "../core/services.ts";
import type { DecisionRequest, DecisionResponse } from "../core/decisions.ts";
import type {
  CallOptions,
  CompletionRequest,
  CompletionResponse,
  EmbeddingRequest,
  EmbeddingResponse,
  ModelCapabilities,
  ModelInfo,
} from "../core/types.ts";
import { sortByPreference } from "../discovery/candidates.ts";
import { call, openStream } from "../server/calls.ts";
import { DIALECTS, Server } from "../server/server.ts";
import { wordsOf } from "../transport/redact.ts";
import {
  FailoverSource,
  firstAnswer,
  isServerGone,
  mergeListings,
  type Turns,
} from "./failover.ts";
import { cascadeAt } from "./found_config.ts";
import { modelNotFound, type SilentServer } from "./model_not_found.ts";

/** Steps before a call: the action their own errors name, and the state that the error of the call gets after its action. */
const FIRST_STEPS: readonly (readonly [own: string, state: string])[] = [
  [LISTING_ACTION, ""],
  [`find ${searchedFor(undefined)}`, ": no local server was found"],
  [`find ${searchedFor("lmstudio")}`, ": LM Studio was not found"],
  [`find ${searchedFor("ollama")}`, ": Ollama was not found"],
];

/** Settings of a `LocalProvider`, read and checked by its constructor. */
export interface LocalSettings {
  /** Display name in errors. */
  readonly service: string;
  readonly cascade: ResolvedCascade;
  readonly env: LMStudioProviderOptions["env"];
  readonly finder: ServiceFinder;
  readonly preference: ServiceType | undefined;
}

/** A call that needs a server. */
interface ModelCall {
  /** Completes "Cannot …". */
  readonly action: string;
  readonly model: string | undefined;
  readonly signal: AbortSignal | undefined;
  /** Makes text from a server safe to show. */
  readonly show: (text: string) => string;
}

/** A server that has a model. */
interface ModelAt {
  readonly service: ServiceInfo;
  /** The model's id there. */
  readonly id: string;
}

/** The servers of a `LocalProvider`. */
export class LocalServers {
  readonly #settings: LocalSettings;
  /** Keyed by type and endpoint. */
  readonly #servers = new Map<string, Server>();

  constructor(settings: LocalSettings) {
    this.#settings = settings;
  }

  /** Implements `LocalProvider.listModels`. */
  async listModels(options: CallOptions | undefined): Promise<ModelInfo[]> {
    const checked = checkCallOptions(options, this.#refusalMaker(LISTING_ACTION));
    const services = await this.#services(checked.signal);
    return mergeListings(await this.#listAll(services, checked));
  }

  /** Implements `LocalProvider.complete`. */
  async complete(
    request: string | CompletionRequest,
    options: CallOptions | undefined,
  ): Promise<CompletionResponse> {
    const action = "complete";
    const turns = this.#turns(this.#completionCall(action, request, options));
    return await firstAnswer(
      turns,
      (server) => call(server, COMPLETIONS, action, request, options),
    );
  }

  /** Implements `LocalProvider.streamCompletion`, from its first read on. */
  openStream(
    action: string,
    request: string | CompletionRequest,
    options: CallOptions | undefined,
    signal: AbortSignal,
  ): FailoverSource<Server> {
    const call = { ...this.#completionCall(action, request, options), signal };
    return new FailoverSource(
      this.#turns(call),
      (server) => openStream(server, COMPLETIONS, action, request, options, signal),
    );
  }

  /** Implements `LocalProvider.embed`. */
  async embed(
    request: EmbeddingRequest,
    options: CallOptions | undefined,
  ): Promise<EmbeddingResponse> {
    const action = "embed";
    const refusal = this.#refusalMaker(action);
    const checked = checkCallOptions(options, refusal);
    const [{ EMBEDDINGS }, { embed }] = await Promise.all([
      importOnUse(() => import("../api/embeddings.ts"), action),
      importOnUse(() => import("./embeddings.ts"), action),
    ]);
    const { config } = this.#settings.cascade;
    const { model = config.embeddingModel, input } = EMBEDDINGS.check(request, refusal);
    const show = wordsOf(config, checked, { input });
    return await firstAnswer(
      this.#turns({ action, model, signal: checked.signal, show }),
      (server) => embed(server, request, options),
    );
  }

  /** Implements `LocalProvider.decide`. */
  async decide(
    request: DecisionRequest,
    options: CallOptions | undefined,
  ): Promise<DecisionResponse> {
    const action = "decide";
    const refusal = this.#refusalMaker(action);
    const checked = checkCallOptions(options, refusal);
    const [{ DECISION_REQUEST }, { decide }] = await Promise.all([
      importOnUse(() => import("../api/decisions.ts"), action),
      importOnUse(() => import("./decisions.ts"), action),
    ]);
    const { config } = this.#settings.cascade;
    const { model = config.decisionModel, input } = DECISION_REQUEST(request, "", refusal);
    const show = wordsOf(config, checked, { messages: input });
    return await firstAnswer(
      this.#turns({ action, model, signal: checked.signal, show }),
      (server) => decide(server, request, options),
    );
  }

  /** Implements `LocalProvider.supportsModel`. */
  async supportsModel(model: string, options: CallOptions | undefined): Promise<boolean> {
    return await this.#lookUp(model, options, "look up a model") !== undefined;
  }

  /** Implements `LocalProvider.modelCapabilities`. */
  async modelCapabilities(
    model: string,
    options: CallOptions | undefined,
  ): Promise<ModelCapabilities | undefined> {
    const found = await this.#lookUp(model, options, "look up a model's capabilities");
    return found && await this.#serverOf(found.service).modelCapabilities(found.id, options);
  }

  #refusalMaker(action: string): RefusalMaker {
    return refusalMaker(action, this.#settings.service);
  }

  #completionCall(action: string, request: unknown, options: unknown): ModelCall {
    const refusal = this.#refusalMaker(action);
    const { config } = this.#settings.cascade;
    const checked = checkCallOptions(options, refusal);
    const given = checkCompletionRequest(request, refusal);
    // Checked here rather than when the request is encoded, which would be after the search for servers.
    checkRareFields(given, refusal);
    const { model = config.model, messages } = given;
    const show = wordsOf(config, checked, { messages });
    return { action, model, signal: checked.signal, show };
  }

  async #lookUp(
    model: string,
    options: CallOptions | undefined,
    action: string,
  ): Promise<ModelAt | undefined> {
    const refusal = this.#refusalMaker(action);
    const { signal } = checkCallOptions(options, refusal);
    nonEmptyText(model, "model", refusal);
    try {
      return await this.#locate({ signal }, model);
    } catch (error) {
      signal?.throwIfAborted();
      // Unlike everywhere else, "cannot say" is an answer here.
      if (isProviderError(error)) return undefined;
      throw error;
    }
  }

  // --- Which server -----------------------------------------------------------------------------

  /** Turns to the server that has the model and, if it is gone, to one other. If that is gone too, the call fails. */
  #turns(call: ModelCall): Turns<Server> {
    let asked: ServiceInfo | undefined;
    return {
      next: async (failed) => {
        const service = failed === undefined
          ? await this.#serverFor(call)
          : await this.#otherServerFor(call, asked, failed.error);
        asked = asked === undefined ? service : undefined;
        return this.#serverOf(service);
      },
    };
  }

  /** The server to ask first. If there is none, the error names the call, then the search that failed. */
  async #serverFor(call: ModelCall): Promise<ServiceInfo> {
    try {
      return await this.#place(call);
    } catch (error) {
      throw FIRST_STEPS.reduce(
        (told, [own, state]) => renamed(told, own, call.action + state),
        error,
      );
    }
  }

  async #place({ action, model, signal, show }: ModelCall): Promise<ServiceInfo> {
    if (model === undefined) return await this.#preferred(signal);
    const silent: SilentServer[] = [];
    const found = await this.#locate({ signal }, model, silent);
    if (found !== undefined) return found.service;
    throw modelNotFound(action, model, await this.#services(signal), silent, show);
  }

  /** Another server that can handle the call after one failed. @throws the error of the first if there is none. */
  async #otherServerFor(
    { model, signal }: ModelCall,
    failed: ServiceInfo | undefined,
    error: unknown,
  ): Promise<ServiceInfo> {
    signal?.throwIfAborted();
    if (failed === undefined || !isProviderError(error) || !isServerGone(error)) throw error;
    let others: ServiceInfo[];
    try {
      others = (await this.#services(signal, true))
        .filter(({ endpoint }) => endpoint !== failed.endpoint);
    } catch {
      signal?.throwIfAborted();
      throw error;
    }
    const other = model === undefined ? others[0] : findAt(others, model)?.service;
    if (other === undefined) throw error;
    return other;
  }

  /** Finds a model: first in what discovery knows, then in the listings of the servers, then on new servers. */
  async #locate(
    { signal }: Pick<ModelCall, "signal">,
    model: string,
    silent: SilentServer[] = [],
  ): Promise<ModelAt | undefined> {
    const preferred = findAt([await this.#preferred(signal)], model);
    if (preferred !== undefined) return preferred;
    const services = await this.#services(signal);
    const known = findAt(services, model) ??
      await this.#locateInListings(services, model, signal, silent);
    if (known !== undefined) return known;
    const endpoints = new Set(services.map(({ endpoint }) => endpoint));
    const all = await this.#services(signal, true);
    return findAt(all.filter(({ endpoint }) => !endpoints.has(endpoint)), model);
  }

  /** Finds a model in the listings, which include aliases and new models that discovery does not know. */
  async #locateInListings(
    services: readonly ServiceInfo[],
    model: string,
    signal: AbortSignal | undefined,
    silent: SilentServer[],
  ): Promise<ModelAt | undefined> {
    const listings = await this.#listAll(services, { signal }, silent);
    for (const [index, service] of services.entries()) {
      const models = listings[index] ?? [];
      if (service.type === "lmstudio") {
        if (findModel(models, model) !== undefined) return { service, id: model };
        continue;
      }
      const found = findAt([{ ...service, models: models.map(({ id }) => id) }], model);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** The listing of each server, empty for one that fails. @throws the error of the first if all fail. */
  async #listAll(
    services: readonly ServiceInfo[],
    options: CallOptions,
    silent: SilentServer[] = [],
  ): Promise<ModelInfo[][]> {
    const results = await Promise.allSettled(
      services.map((service) => this.#serverOf(service).listModels(options)),
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

  /** The server for requests that name no model. Returns as soon as no server with higher preference can be found. */
  async #preferred(signal: AbortSignal | undefined): Promise<ServiceInfo> {
    const service = await this.#settings.finder.find(undefined, { signal });
    // A finder that the user passed in has a preference of its own.
    if (this.#settings.preference === undefined || service.type === this.#settings.preference) {
      return service;
    }
    const [first = service] = await this.#services(signal);
    return first;
  }

  /** All usable servers, the preferred one first; never empty. */
  async #services(signal: AbortSignal | undefined, force = false): Promise<ServiceInfo[]> {
    // Both calls share one round; if there is no server, the error of `find` lists what was tried.
    const [found, preferred] = await Promise.all([
      this.#settings.finder.discover({ force, signal }),
      this.#settings.finder.find(undefined, { signal }),
    ]);
    const usable = found.filter(({ status }) => status !== "unavailable");
    return usable.length === 0 ? [preferred] : sortByPreference(usable, this.#settings.preference);
  }

  #serverOf({ type, endpoint }: ServiceInfo): Server {
    const key = `${type} ${endpoint}`;
    const known = this.#servers.get(key);
    if (known !== undefined) return known;
    const { cascade, env } = this.#settings;
    const own = cascadeAt(cascade, endpoint);
    const { config, entries } = own;
    // The API token and headers are meant for LM Studio; no other server may see them.
    const { apiToken: _, ...shared } = config;
    const server = type === "lmstudio"
      ? new Server(config, DIALECTS.lmstudio, env, own)
      : new Server({ ...shared, headers: {} }, DIALECTS[type], env, { entries });
    this.#servers.set(key, server);
    return server;
  }
}

/** The first server that has the model, as far as discovery knows: under its exact id, else under another spelling. */
function findAt(services: readonly ServiceInfo[], model: string): ModelAt | undefined {
  const exact = services.find(({ models }) => models.includes(model));
  if (exact !== undefined) return { service: exact, id: model };
  for (const service of services) {
    const id = service.models.find((known) => isSameAt(service.type, known, model));
    // LM Studio accepts other spellings, and a name may mean one particular instance, so the name is sent unchanged.
    if (id !== undefined) return { service, id: service.type === "lmstudio" ? model : id };
  }
  return undefined;
}

/** For Ollama, a name without a tag means the tag `latest`, and a tag of digits is a tag like any other. */
function isSameAt(type: ServiceType, a: string, b: string): boolean {
  return type === "lmstudio" ? isSameModel(a, b) : withTag(a) === withTag(b);
}

function withTag(name: string): string {
  const folded = name.trim().toLowerCase();
  return /:[^/]*$/.test(folded) ? folded : `${folded}:latest`;
}
