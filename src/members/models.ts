/**
 * Model management on one LM Studio server: finding, loading and unloading.
 *
 * @module
 */

import {
  isProviderError,
  type ModelNotAvailableError,
  providerError,
  type TimeoutError,
} from "../core/errors.ts";
import { quote } from "../core/fields.ts";
import type {
  EnsureLoadedOptions,
  LoadedModel,
  LoadOptions,
  ModelLease,
} from "../core/model_management.ts";
import { distinctionHint } from "../core/load_names.ts";
import {
  asAsked,
  fittingModels,
  namesIn,
  nearestNames,
  withoutExtraInstances,
} from "../core/listed_models.ts";
import { withoutInstanceNumber } from "../core/model_names.ts";
import {
  checkCallOptions,
  checkOptions,
  count,
  describe,
  extend,
  flag,
  nonEmptyText,
  table,
} from "../core/checks.ts";
import type { CallOptions, ModelInfo } from "../core/types.ts";
import { waitForLoad, type WaitLimit } from "./load_wait.ts";
import { checkManagement } from "./management_support.ts";
import { MAX_AVAILABLE, shownNames, shownNearest } from "../server/models.ts";
import { loadedInstances, ModelLoads, type Target, targetOf } from "./model_loads.ts";
import type { Server } from "../server/server.ts";

const SHOWN_FITTING = 3;
const NOT_IN_MEMORY = "Use the id of a model or an instance from `listModels()`.";

/** Implements finding, loading and unloading for `LMStudioProvider.models`. */
export class ModelManager {
  readonly #server: Server;
  readonly #loads: ModelLoads;

  constructor(server: Server) {
    this.#server = server;
    this.#loads = new ModelLoads(server);
  }

  async get(name: string, options?: CallOptions): Promise<ModelInfo> {
    const refusal = this.#server.refusalMaker("find a model");
    const checked = checkCallOptions(options, refusal);
    nonEmptyText(name, "name", refusal);
    const action = `find model ${quote(name)}`;
    const models = await this.#server.list(checked, action);
    return asAsked(this.#pick(models, name, action, checked), name);
  }

  async load(name: string, load?: LoadOptions, options?: CallOptions): Promise<LoadedModel> {
    const refusal = this.#server.refusalMaker("load a model");
    const checked = checkCallOptions(options, refusal);
    nonEmptyText(name, "name", refusal);
    const asked = checkOptions(LOAD_OPTIONS, load, refusal);
    const action = `load model ${quote(name)}`;
    checkManagement(this.#server, action);
    return await waitForLoad(checked, this.#limit(action, checked), async (wait) => {
      const found = await this.#findToLoad(name, action, wait.options);
      checkManagement(this.#server, action);
      wait.loading();
      const rest = { ...wait.options, timeoutMs: Infinity };
      return await this.#loads.load(found, { load: asked, action }, rest);
    });
  }

  async unload(nameOrInstance: string, options?: CallOptions): Promise<string[]> {
    const startedAt = performance.now();
    const refusal = this.#server.refusalMaker("unload a model");
    const checked = checkCallOptions(options, refusal);
    nonEmptyText(nameOrInstance, "nameOrInstance", refusal);
    const action = `unload model ${quote(nameOrInstance)}`;
    checkManagement(this.#server, action);
    const models = await this.#listIfAny(checked, action);
    checkManagement(this.#server, action);
    const listed = models && this.#instancesToUnload(models, nameOrInstance, action, checked);
    const unloaded: string[] = [];
    // A name that is not listed may still be an instance: the server decides.
    for (const id of listed ?? [nameOrInstance]) {
      const rest = this.#server.remaining(checked, startedAt);
      const wasThere = await this.#loads.unload(id, action, rest);
      // A listed instance may have gone in the meantime; only an unknown name is an error.
      if (!wasThere && listed === undefined) {
        throw this.#notFound(models, nameOrInstance, action, checked, NOT_IN_MEMORY);
      }
      unloaded.push(id);
    }
    return unloaded;
  }

  async ensureLoaded(
    name: string,
    load?: EnsureLoadedOptions,
    options?: CallOptions,
  ): Promise<ModelLease> {
    const refusal = this.#server.refusalMaker("load a model");
    const checked = checkCallOptions(options, refusal);
    nonEmptyText(name, "name", refusal);
    const asked = checkOptions(ENSURE_OPTIONS, load, refusal);
    const action = `load model ${quote(name)}`;
    return await waitForLoad(checked, this.#limit(action, checked), (wait) => {
      const find = async (): Promise<ModelInfo> => {
        const models = await this.#server.listTogether(wait.options, action);
        // An older server may list only loaded models: "too old" explains more than "does not have it".
        if (fittingModels(models, name).length === 0) checkManagement(this.#server, action);
        return this.#pick(models, name, action, wait.options);
      };
      return this.#loads.ensure({ name, load: asked, action, find }, wait);
    });
  }

  /** The model that a name means. @throws {ModelNotAvailableError} if there is none, or there are several. */
  #pick(
    models: readonly ModelInfo[],
    name: string,
    action: string,
    options: CallOptions,
  ): ModelInfo {
    const found = withoutExtraInstances(fittingModels(models, name));
    const loaded = found.filter((model) => model.loaded === true);
    const [only] = found.length === 1 ? found : loaded;
    if (only !== undefined && (found.length === 1 || loaded.length === 1)) return only;
    if (found.length === 0) throw this.#notFound(models, name, action, options);
    const ids = found.map(({ id }) => id);
    const show = this.#server.words(options);
    throw this.#unavailable(
      name,
      `Cannot ${action}: the name matches several models: ${shownNames(ids, show, SHOWN_FITTING)}`,
      {
        available: ids.slice(0, MAX_AVAILABLE).map(show),
        hint: distinctionHint(found),
      },
    );
  }

  /** @param models the listing; `undefined` if the server has none. */
  #notFound(
    models: readonly ModelInfo[] | undefined,
    name: string,
    action: string,
    options: CallOptions,
    hint?: string,
  ): ModelNotAvailableError {
    const show = this.#server.words(options);
    const near = nearestNames(namesIn(models ?? []), name, MAX_AVAILABLE);
    const state = near.length > 0
      ? `the server does not have it; ${shownNearest(near, show)}`
      : models === undefined
      ? "the server does not have it"
      : "the server has no models";
    return this.#unavailable(name, `Cannot ${action}: ${state}`, {
      available: near.map(show),
      hint,
    });
  }

  #unavailable(
    model: string,
    message: string,
    more: { readonly available: readonly string[]; readonly hint?: string | undefined },
  ): ModelNotAvailableError {
    const { service, config } = this.#server;
    const endpoint = config.baseUrl;
    return providerError("model_not_found", message, {
      service,
      endpoint,
      model,
      ...more,
    });
  }

  async #findToLoad(name: string, action: string, options: CallOptions): Promise<Target> {
    const models = await this.#listIfAny(options, action);
    // Checked before the name is looked up, since an older server may not list all its models.
    checkManagement(this.#server, action);
    if (models === undefined) return { id: name, type: "llm" };
    return targetOf(this.#pick(models, name, action, options), name);
  }

  /** Lists the models; `undefined` if the server has no listing. It then decides itself what a name means. */
  async #listIfAny(
    options: CallOptions,
    action: string,
  ): Promise<readonly ModelInfo[] | undefined> {
    try {
      return await this.#server.list(options, action);
    } catch (error) {
      if (!isProviderError(error) || !NO_LISTING.has(error.code)) throw error;
      return undefined;
    }
  }

  /** Ids of the instances to unload; `undefined` if nothing in the listing has this name. */
  #instancesToUnload(
    models: readonly ModelInfo[],
    name: string,
    action: string,
    options: CallOptions,
  ): string[] | undefined {
    if (fittingModels(models, name).length === 0) return undefined;
    const all = models.flatMap((model) => loadedInstances(model, model.id).map(({ id }) => id));
    if (!models.some(({ id }) => id === name)) {
      const folded = name.trim().toLowerCase();
      const instance = all.find((id) => id === name) ??
        all.find((id) => id.toLowerCase() === folded);
      const isKey = models.some(({ id }) => id.toLowerCase() === folded);
      if (instance !== undefined && !isKey) return [instance];
      const model = this.#pick(models, name, action, options);
      // `x:2` means one instance of `x`, which is gone: do not unload the others.
      if (withoutInstanceNumber(name.trim()) !== name.trim() && !isKey) return [];
      return loadedInstances(model, name).map(({ id }) => id);
    }
    return loadedInstances(this.#pick(models, name, action, options), name).map(({ id }) => id);
  }

  #limit(action: string, options: CallOptions): WaitLimit {
    const { service, config } = this.#server;
    const ms = options.timeoutMs ?? config.timeoutMs ?? Infinity;
    const error = (): TimeoutError =>
      providerError(
        "timeout_total",
        `Cannot ${action}: the server did not finish within ${ms} ms`,
        {
          service,
          endpoint: config.baseUrl,
          phase: "total",
          timeoutMs: ms,
        },
      );
    return { ms, error };
  }
}

/** Codes of a failed listing that mean the server has none. */
const NO_LISTING: ReadonlySet<string> = new Set([
  "unexpected_endpoint",
  "not_lm_studio",
  "malformed_response",
]);

const LOAD_OPTIONS = table<LoadOptions>({
  contextLength: count,
  evalBatchSize: count,
  flashAttention: flag,
  numExperts: count,
  offloadKvCacheToGpu: flag,
}, { noun: "option", whole: "the load options are", show: describe });
const ENSURE_OPTIONS = extend<LoadOptions, Pick<EnsureLoadedOptions, "unloadOnDispose">>(
  LOAD_OPTIONS,
  { unloadOnDispose: flag },
);
