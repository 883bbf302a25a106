/**
 * The models of one LM Studio: finding, loading, unloading, downloading.
 *
 * @module
 */

import { isProviderError, ModelNotAvailableError, TimeoutError } from "../core/errors.ts";
import { quote } from "../core/fields.ts";
import type {
  DownloadOptions,
  DownloadProgress,
  DownloadStatus,
  EnsureLoadedOptions,
  LoadedModel,
  LoadOptions,
  ModelLease,
} from "../core/model_management.ts";
import {
  fittingModels,
  nameToLoad,
  nearestModelIds,
  withoutCopies,
  withoutCopyNumber,
} from "../core/model_names.ts";
import {
  checkCallOptions,
  checkFields,
  checkName,
  checkNumber,
  isRecord,
  type Refuse,
} from "../core/request_checks.ts";
import type { CallOptions, EventStream, ModelInfo } from "../core/types.ts";
import { describe } from "../core/value_checks.ts";
import { followDownload, followJob, type ManagedServer } from "./download.ts";
import { waitForLoad, type WaitLimit } from "./load_wait.ts";
import { ManagementSupport } from "./management_support.ts";
import { shownNames } from "./model_choice.ts";
import { loadedCopies, ModelLoads } from "./model_loads.ts";
import type { ServerModels } from "./server_models.ts";

const SHOWN_NEAREST = 3;
const MAX_AVAILABLE = 200;

/**
 * The models of the server, as `LMStudioProvider.models`. Names are taken as people write them: without the
 * publisher, with an `@variant`, in any case.
 *
 * All but `get` need LM Studio 0.4.0 or later; an older one is told by one error, code
 * `unsupported_by_server`. Nothing has to be loaded before it is used: by default LM Studio loads a model with
 * the first request for it.
 */
export class LMStudioModels {
  readonly #server: ServerModels;
  readonly #managed: ManagedServer;
  readonly #loads: ModelLoads;

  /** Made by `LMStudioProvider`. */
  constructor(server: ServerModels) {
    this.#server = server;
    const support = new ManagementSupport(server);
    this.#managed = { server, support };
    this.#loads = new ModelLoads(server, support);
  }

  /**
   * The model of this name. Always asks the server, by the same routes as `listModels()`, so it works with
   * every version.
   *
   * @param name such as `qwen/qwen3-8b`, `Qwen3-8B`, `qwen3-8b@q4_k_m`, or the id of a loaded copy. One that
   * fits models of two publishers is the one that is loaded.
   * @throws {ModelNotAvailableError} code `model_not_found`: there is none, and the nearest names are in the
   * message and in `available`; or there are several, and all of them are.
   *
   * @example
   * ```ts
   * import { LMStudioProvider } from "jsr:@patinox/lmstudio";
   *
   * const { id, loaded, maxContextLength } = await new LMStudioProvider().models.get("gpt-oss-20b");
   * console.log(id, loaded, maxContextLength);
   * ```
   */
  async get(name: string, options?: CallOptions): Promise<ModelInfo> {
    const refuse = this.#server.refuse("find a model");
    const checked = checkCallOptions(options, refuse);
    checkName("name", name ?? null, refuse);
    return this.#pick(await this.#server.list(checked), name, `find model ${quote(name)}`);
  }

  /**
   * Loads a model, by `POST /api/v1/models/load`: one more copy, if it is in memory already. Most programs
   * want `ensureLoaded()`. No time limit by default.
   *
   * The route tells no progress: `onStatus` is told `loading` once a second while it lasts.
   *
   * @throws {ModelNotAvailableError} codes `model_not_found`, `model_load_failed`, `insufficient_resources`.
   * @throws {ApiError} code `unsupported_by_server`: LM Studio is older than 0.4.0.
   * @throws {NetworkError} code `connection_reset`: the load may go on all the same.
   * @see https://lmstudio.ai/docs/developer/rest/load
   *
   * @example
   * ```ts
   * import { LMStudioProvider } from "jsr:@patinox/lmstudio";
   *
   * const { models } = new LMStudioProvider();
   * const { instanceId, loadTimeSeconds, config } = await models.load("gpt-oss-20b", {
   *   contextLength: 8192,
   * });
   * console.log(instanceId, loadTimeSeconds, config?.contextLength);
   * await models.unload(instanceId);
   * ```
   */
  async load(name: string, load?: LoadOptions, options?: CallOptions): Promise<LoadedModel> {
    const refuse = this.#server.refuse("load a model");
    const checked = checkCallOptions(options, refuse);
    checkName("name", name ?? null, refuse);
    const asked = checkLoad(load, LOAD_OPTIONS, refuse);
    const action = `load model ${quote(name)}`;
    this.#managed.support.check(action);
    return await waitForLoad(checked, this.#limit(action, checked), async (wait) => {
      const found = await this.#findToLoad(name, action, wait.options);
      this.#managed.support.check(action);
      wait.loading();
      const rest = { ...wait.options, timeoutMs: Infinity };
      return await this.#loads.load(found, { load: asked, action }, rest);
    });
  }

  /**
   * Unloads models, by `POST /api/v1/models/unload`. Whoever waits for an answer of one gets an error, code
   * `model_unloaded`.
   *
   * @param nameOrInstance the name of a model, for all its copies, or the id of one copy, such as
   * `qwen/qwen3-8b:2`.
   * @returns the ids of the copies that are gone now; `[]` where none was loaded.
   * @throws {ModelNotAvailableError} code `model_not_found`: nothing has this name.
   * @throws {ApiError} code `unsupported_by_server`: LM Studio is older than 0.4.0.
   * @see https://lmstudio.ai/docs/developer/rest/unload
   *
   * @example
   * ```ts
   * import { LMStudioProvider } from "jsr:@patinox/lmstudio";
   *
   * const { models } = new LMStudioProvider();
   * await models.ensureLoaded("gpt-oss-20b");
   * console.log(await models.unload("gpt-oss-20b")); // [ "openai/gpt-oss-20b" ]
   * ```
   */
  async unload(nameOrInstance: string, options?: CallOptions): Promise<string[]> {
    const startedAt = performance.now();
    const refuse = this.#server.refuse("unload a model");
    const checked = checkCallOptions(options, refuse);
    checkName("nameOrInstance", nameOrInstance ?? null, refuse);
    const action = `unload model ${quote(nameOrInstance)}`;
    this.#managed.support.check(action);
    const models = await this.#server.list(checked);
    this.#managed.support.check(action);
    const ids = this.#copiesToUnload(models, nameOrInstance, action);
    for (const id of ids) {
      await this.#loads.unload(id, action, this.#server.rest(checked, startedAt));
    }
    return ids;
  }

  /**
   * Sees to it that a model is in memory: loads it only if it is not. However many ask at the same time, under
   * whatever spelling, it is loaded once; who aborts ends only the own wait, and a failure is not kept: who
   * asks next tries again.
   *
   * A copy with less context than `contextLength` does not count as loaded, so one more is loaded beside it;
   * the other settings are for the case that it must be loaded. A copy whose context is not known counts. If
   * the model is loaded with less than asked, `contextLength` of the lease tells.
   *
   * With `unloadOnDispose`, disposing the lease unloads the model, provided that this provider loaded it, and
   * when the last lease on it is disposed; a lease without this option keeps it in memory.
   *
   * The route tells no progress: `onStatus` is told `loading` once a second while it lasts. An aborted load
   * may go on at the server.
   *
   * @throws {ModelNotAvailableError} codes `model_not_found`, `model_load_failed`, `insufficient_resources`.
   * @throws {ApiError} code `unsupported_by_server`: it is not loaded, and LM Studio is older than 0.4.0.
   * @see https://lmstudio.ai/docs/developer/rest/load
   *
   * @example
   * ```ts
   * import { LMStudioProvider } from "jsr:@patinox/lmstudio";
   *
   * const lmstudio = new LMStudioProvider();
   * await using lease = await lmstudio.models.ensureLoaded("gpt-oss-20b", {
   *   contextLength: 8192,
   *   unloadOnDispose: true,
   * });
   * const { content } = await lmstudio.complete({ model: lease.instanceId, messages: "Hello." });
   * console.log(lease.alreadyLoaded, content);
   * ```
   */
  async ensureLoaded(
    name: string,
    load?: EnsureLoadedOptions,
    options?: CallOptions,
  ): Promise<ModelLease> {
    const refuse = this.#server.refuse("load a model");
    const checked = checkCallOptions(options, refuse);
    checkName("name", name ?? null, refuse);
    const asked = checkLoad(load, ENSURE_OPTIONS, refuse);
    const action = `load model ${quote(name)}`;
    return await waitForLoad(checked, this.#limit(action, checked), (wait) => {
      const find = async (): Promise<ModelInfo> =>
        this.#pick(await this.#server.listTogether(wait.options), name, action);
      return this.#loads.ensure({ name, load: asked, action, find }, wait);
    });
  }

  /**
   * Downloads a model, by `POST /api/v1/models/download`, and tells how it does until it is done. Nothing is
   * sent before the first pull; `response()` waits for the end without the steps.
   *
   * Leaving the loop, an abort or an error ends the waiting, not the download: LM Studio goes on, and no route
   * stops it. `downloadStatus()` takes it up again by its `jobId`. A pause, made in LM Studio, is waited
   * through; looks that get no answer are repeated.
   *
   * @param model a name of LM Studio's catalogue, such as `ibm/granite-4-micro`, or a link to a repository on
   * Hugging Face.
   * @returns one consumer's stream of progress. One that failed is given as an item, then thrown.
   * @throws {ApiError} code `server_error`: the download failed, with the reason where the server tells;
   * `unsupported_by_server`: LM Studio is older than 0.4.0.
   * @throws {ModelNotAvailableError} code `model_not_found`: nothing there to download.
   * @see https://lmstudio.ai/docs/developer/rest/download
   *
   * @example
   * ```ts
   * import { LMStudioProvider } from "jsr:@patinox/lmstudio";
   *
   * const { models } = new LMStudioProvider();
   * const progress = models.download("ibm/granite-4-micro", { pollIntervalMs: 100 });
   * for await (const { status, downloadedBytes, totalBytes } of progress) {
   *   console.log(status, downloadedBytes, totalBytes);
   * }
   * ```
   */
  download(
    model: string,
    download?: DownloadOptions,
    options?: CallOptions,
  ): EventStream<DownloadProgress, DownloadProgress> {
    return followDownload(this.#managed, model, download, options);
  }

  /**
   * A download that was started before, by `GET /api/v1/models/download/status/{jobId}`: `await` gives how it
   * does now, iterating follows it to its end as `download()` does.
   *
   * @throws {ApiError} code `job_not_found`: the server does not know it, or no longer;
   * `unsupported_by_server`: LM Studio is older than 0.4.0.
   * @see https://lmstudio.ai/docs/developer/rest/download-status
   *
   * @example
   * ```ts
   * import { LMStudioProvider } from "jsr:@patinox/lmstudio";
   *
   * const { models } = new LMStudioProvider();
   * for await (const { jobId } of models.download("ibm/granite-4-micro")) {
   *   if (jobId === undefined) break; // It is there already.
   *   console.log((await models.downloadStatus(jobId)).status);
   *   break; // The download goes on.
   * }
   * ```
   */
  downloadStatus(
    jobId: string,
    options?: CallOptions & Pick<DownloadOptions, "pollIntervalMs">,
  ): DownloadStatus {
    return followJob(this.#managed, jobId, options);
  }

  /** The model that is meant. */
  #pick(models: readonly ModelInfo[], name: string, action: string): ModelInfo {
    const found = withoutCopies(fittingModels(models, name));
    const loaded = found.filter((model) => model.loaded === true);
    const [only] = found.length === 1 ? found : loaded;
    if (only !== undefined && (found.length === 1 || loaded.length === 1)) return only;
    const isAmbiguous = found.length > 1;
    const near = isAmbiguous ? found.map(({ id }) => id) : nearestModelIds(models, name);
    const { service, config } = this.#server;
    const state = isAmbiguous
      ? `it may be any of ${shownNames(near, SHOWN_NEAREST)}`
      : near.length === 0
      ? "the server has no models"
      : `the server does not have it; the nearest are ${shownNames(near.slice(0, SHOWN_NEAREST))}`;
    throw new ModelNotAvailableError(`Cannot ${action}: ${state}`, {
      code: "model_not_found",
      service,
      endpoint: config.baseUrl,
      model: name,
      available: near.slice(0, MAX_AVAILABLE),
      hint: isAmbiguous ? "Write the publisher before the name as well." : undefined,
    });
  }

  /** The name to load. Where the server gives no list at all, it decides what the name means. */
  async #findToLoad(
    name: string,
    action: string,
    options: CallOptions,
  ): Promise<Pick<ModelInfo, "id" | "type">> {
    let models: readonly ModelInfo[];
    try {
      models = await this.#server.list(options);
    } catch (error) {
      if (!isProviderError(error) || !NO_LISTING.has(error.code)) throw error;
      return { id: name, type: "llm" };
    }
    // Before the name is looked at: an older server may not list what it has.
    this.#managed.support.check(action);
    const model = this.#pick(models, name, action);
    return { id: nameToLoad(model, name), type: model.type };
  }

  #copiesToUnload(models: readonly ModelInfo[], name: string, action: string): string[] {
    const all = models.flatMap((model) => loadedCopies(model, model.id).map(({ id }) => id));
    if (!models.some(({ id }) => id === name)) {
      const folded = name.trim().toLowerCase();
      const copy = all.find((id) => id === name) ?? all.find((id) => id.toLowerCase() === folded);
      const isKey = models.some(({ id }) => id.toLowerCase() === folded);
      if (copy !== undefined && !isKey) return [copy];
      const model = this.#pick(models, name, action);
      // `x:2` is one copy of `x`, and gone: the others are not meant.
      if (withoutCopyNumber(name.trim()) !== name.trim() && !isKey) return [];
      return loadedCopies(model, name).map(({ id }) => id);
    }
    return loadedCopies(this.#pick(models, name, action), name).map(({ id }) => id);
  }

  #limit(action: string, options: CallOptions): WaitLimit {
    const { service, config } = this.#server;
    const ms = options.timeoutMs ?? config.timeoutMs ?? Infinity;
    const error = (): TimeoutError =>
      new TimeoutError(`Cannot ${action}: the server did not finish within ${ms} ms`, {
        code: "timeout_total",
        service,
        endpoint: config.baseUrl,
        phase: "total",
        timeoutMs: ms,
      });
    return { ms, error };
  }
}

/** What a listing fails with where the server has none. */
const NO_LISTING: ReadonlySet<string> = new Set([
  "unexpected_endpoint",
  "not_lm_studio",
  "malformed_response",
]);

const LOAD_OPTIONS: ReadonlySet<string> = new Set<keyof LoadOptions>([
  "contextLength",
  "evalBatchSize",
  "flashAttention",
  "numExperts",
  "offloadKvCacheToGpu",
]);
const ENSURE_OPTIONS: ReadonlySet<string> = new Set([...LOAD_OPTIONS, "unloadOnDispose"]);
const COUNTS = ["contextLength", "evalBatchSize", "numExperts"] as const;
const FLAGS = ["flashAttention", "offloadKvCacheToGpu", "unloadOnDispose"] as const;

function checkLoad(
  load: unknown,
  known: ReadonlySet<string>,
  refuse: Refuse,
): EnsureLoadedOptions {
  if (load === undefined) return {};
  if (!isRecord(load)) throw refuse(`the load's options are ${describe(load)}, not an object`);
  checkFields(load, known, "option", refuse);
  for (const name of COUNTS) {
    const rule = {
      form: "a whole number above 0",
      accepts: (value: number) => Number.isSafeInteger(value) && value > 0,
    };
    checkNumber(name, load[name], rule, refuse);
  }
  for (const name of FLAGS) {
    const value = load[name];
    if (value !== undefined && typeof value !== "boolean") {
      throw refuse(`${name} is ${describe(value)}, not true or false`);
    }
  }
  return { ...load };
}
