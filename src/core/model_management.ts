/**
 * Model management: finding, loading, unloading and downloading models.
 *
 * @module
 */

import type { EventStream } from "./event_stream.ts";
import type { CallOptions, ModelInfo } from "./types.ts";

/**
 * Settings for loading a model. Settings you omit default to LM Studio's own settings for the model. Only
 * `contextLength` works with every engine; the others apply to language models on LM Studio's llama.cpp engine and have
 * no effect elsewhere.
 */
export interface LoadOptions {
  /** Context length in tokens, for prompt and answer together. */
  contextLength?: number | undefined;
  /** Number of prompt tokens processed at a time (llama.cpp only). */
  evalBatchSize?: number | undefined;
  /** Whether to use flash attention, which needs less memory (llama.cpp only). */
  flashAttention?: boolean | undefined;
  /** Number of experts used per token by a mixture-of-experts model (llama.cpp only). */
  numExperts?: number | undefined;
  /** Whether to keep the key-value cache on the GPU (llama.cpp only). */
  offloadKvCacheToGpu?: boolean | undefined;
}

/** Settings a model was loaded with, as reported by the server. */
export interface LoadConfig {
  /** Context length in tokens. */
  contextLength?: number;
  /** Number of prompt tokens processed at a time. */
  evalBatchSize?: number;
  /** Whether flash attention is on. */
  flashAttention?: boolean;
  /** Number of experts used per token by a mixture-of-experts model. */
  numExperts?: number;
  /** Whether the key-value cache is on the GPU. */
  offloadKvCacheToGpu?: boolean;
}

/** Result of loading a model. */
export interface LoadedModel {
  /** Name to use in requests for this instance, such as `qwen/qwen3-8b`, or `qwen/qwen3-8b:2` for a second one. */
  instanceId: string;
  /** Kind of model. */
  type: "llm" | "embedding" | (string & Record<never, never>);
  /** Time the load took, in seconds. */
  loadTimeSeconds: number;
  /** Settings of the instance, if the server reports them. The context may be smaller than requested. */
  config?: LoadConfig;
}

/** Settings a model must be loaded with, and whether to unload it afterwards. */
export interface EnsureLoadedOptions extends LoadOptions {
  /**
   * Whether disposing the lease unloads the model, if it was loaded for the lease and no other lease holds it.
   * @default {false}
   */
  unloadOnDispose?: boolean | undefined;
}

/** Lease on a loaded model. Dispose it to release the model: see `EnsureLoadedOptions.unloadOnDispose`. */
export interface ModelLease extends AsyncDisposable {
  /** Name to use in requests for this instance. */
  readonly instanceId: string;
  /** False if the model was loaded by this call, or by one it shared the load with. */
  readonly alreadyLoaded: boolean;
  /** Context length in tokens, if the server reports it; smaller than requested if the model cannot hold more. */
  readonly contextLength?: number;
}

/** Options of a download: the quantization and the polling interval. */
export interface DownloadOptions {
  /**
   * Quantization, such as `Q4_K_M`. LM Studio accepts it for Hugging Face links only.
   * @default {LM Studio's choice for this machine}
   */
  quantization?: string | undefined;
  /**
   * Interval between status requests, in milliseconds.
   * @default {1000}
   */
  pollIntervalMs?: number | undefined;
}

/** Progress of a download. */
export interface DownloadProgress {
  /** The server's id for the download, for `downloadStatus()`; absent if nothing had to be downloaded. */
  jobId?: string;
  /** Status of the download; `completed`, `already_downloaded` and `failed` are final. */
  status:
    | "downloading"
    | "paused"
    | "completed"
    | "failed"
    | "already_downloaded"
    | (string & Record<never, never>);
  /** Bytes downloaded so far. */
  downloadedBytes?: number;
  /** Size of the whole download in bytes. */
  totalBytes?: number;
  /** Current speed, while `downloading`. */
  bytesPerSecond?: number;
  /** The server's estimate of the time of completion in ISO 8601, such as `2026-10-03T15:43:12.102Z`. */
  estimatedCompletion?: string;
}

/**
 * Status of a download. `await` it to ask the server once for the current progress; iterate it to poll until the
 * download ends. Nothing is sent until you do either, and you can do both more than once.
 */
export interface DownloadStatus
  extends AsyncIterable<DownloadProgress>, PromiseLike<DownloadProgress> {}

/**
 * Model management: the type of `LMStudioProvider.models`. You can write names as you like: without the publisher, with
 * an `@variant`, in any case.
 *
 * All methods except `get` require LM Studio 0.4.0 or later; on older versions they fail with code
 * `unsupported_by_server`. You need not load a model before you use it: by default, LM Studio loads it on the first
 * request.
 */
export interface ModelsApi {
  /**
   * Gets the model with a name. Always asks the server, through the same routes as `listModels()`, so it works with
   * every version.
   *
   * @param name such as `qwen/qwen3-8b`, `Qwen3-8B`, `qwen3-8b@q4_k_m`, or the id of an instance, whose context length
   * is then returned as `loadedContextLength`. If several models match, the loaded one is returned.
   * @throws {ModelNotAvailableError} code `model_not_found`: no model matches, and the message and `available` name the
   * most similar ones; or several models match, `available` names them, and the hint says what to add to the name.
   *
   * @example
   * ```ts
   * import { LMStudioProvider } from "jsr:@patinox/lmstudio";
   *
   * const { id, loaded, maxContextLength } = await new LMStudioProvider().models.get("gpt-oss-20b");
   * console.log(id, loaded, maxContextLength);
   * ```
   */
  get(name: string, options?: CallOptions): Promise<ModelInfo>;
  /**
   * Loads a model with `POST /api/v1/models/load`, or another instance of it if it is loaded already. Most programs
   * need `ensureLoaded()` instead. There is no timeout by default. If a model has several variants, LM Studio loads
   * only the selected one.
   *
   * The route reports no progress: `onStatus` is called with `loading` once a second until the load ends.
   *
   * @throws {ModelNotAvailableError} codes `model_not_found`, `model_load_failed`, `insufficient_resources`.
   * @throws {ApiError} code `unsupported_by_server`: LM Studio is older than 0.4.0.
   * @throws {NetworkError} code `connection_reset`: the load may continue.
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
  load(name: string, load?: LoadOptions, options?: CallOptions): Promise<LoadedModel>;
  /**
   * Unloads models with `POST /api/v1/models/unload`. Calls that are waiting for an answer from one fail with code
   * `model_unloaded`.
   *
   * @param nameOrInstance the name of a model, to unload all its instances, or the id of one instance, such as
   * `qwen/qwen3-8b:2`.
   * @returns the ids of the unloaded instances; `[]` if none was loaded.
   * @throws {ModelNotAvailableError} code `model_not_found`: no model or instance matches, and the message and
   * `available` name the most similar ones; or several models match.
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
  unload(nameOrInstance: string, options?: CallOptions): Promise<string[]>;
  /**
   * Ensures that a model is loaded. Concurrent calls share one load, however they spell the name. An abort ends only
   * its own call's wait, and failures are not cached: the next call tries again.
   *
   * An instance with a smaller context than `contextLength` does not count as loaded, so another one is loaded next to
   * it; an instance whose context is unknown counts. The other settings apply only if the model has to be loaded. If LM
   * Studio loads it with less context than requested, the lease's `contextLength` says so, and there is no second
   * attempt. If the new instance got no more context than an existing one, it is unloaded and the lease is for the
   * existing one.
   *
   * With `unloadOnDispose`, the model is unloaded when its last lease is disposed, provided that this provider loaded
   * it; a lease without this option keeps it loaded.
   *
   * The route reports no progress: `onStatus` is called with `loading` once a second until the load ends. An aborted
   * load may continue on the server.
   *
   * @throws {ModelNotAvailableError} codes `model_not_found`, `model_load_failed`, `insufficient_resources`.
   * @throws {ApiError} code `unsupported_by_server`: the model is not loaded, and LM Studio is older than 0.4.0.
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
  ensureLoaded(
    name: string,
    load?: EnsureLoadedOptions,
    options?: CallOptions,
  ): Promise<ModelLease>;
  /**
   * Downloads a model with `POST /api/v1/models/download` and streams the progress. Nothing is sent until you start
   * reading. To wait for the end only, use `response()`.
   *
   * Leaving the loop, an abort or an error ends the wait, not the download: LM Studio continues it, and there is no
   * route to stop it. To follow it again, pass its `jobId` to `downloadStatus()`. A pause in LM Studio does not end the
   * stream, and failed status requests are retried.
   *
   * @param model a name from LM Studio's catalog, such as `ibm/granite-4-micro`, or a link to a Hugging Face
   * repository.
   * @returns a stream of progress for one consumer. The status `failed` is yielded, then thrown as an error.
   * @throws {ApiError} code `server_error`: the download failed, with the reason if the server reports one;
   * `unsupported_by_server`: LM Studio is older than 0.4.0.
   * @throws {ModelNotAvailableError} code `model_not_found`: there is nothing to download.
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
  ): EventStream<DownloadProgress, DownloadProgress>;
  /**
   * Returns the status of an earlier download from `GET /api/v1/models/download/status/{jobId}`: `await` it for the
   * current progress, or iterate it to follow the download to its end, as with `download()`.
   *
   * @throws {ApiError} code `job_not_found`: the server does not know the download, or no longer does;
   * `unsupported_by_server`: LM Studio is older than 0.4.0.
   * @see https://lmstudio.ai/docs/developer/rest/download-status
   *
   * @example
   * ```ts
   * import { LMStudioProvider } from "jsr:@patinox/lmstudio";
   *
   * const { models } = new LMStudioProvider();
   * for await (const { jobId } of models.download("ibm/granite-4-micro")) {
   *   if (jobId === undefined) break; // Already downloaded.
   *   console.log((await models.downloadStatus(jobId)).status);
   *   break; // The download continues.
   * }
   * ```
   */
  downloadStatus(
    jobId: string,
    options?: CallOptions & Pick<DownloadOptions, "pollIntervalMs">,
  ): DownloadStatus;
}
