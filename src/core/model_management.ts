/**
 * Management of models: finding, loading, unloading, downloading.
 *
 * @module
 */

import type { EventStream } from "./event_stream.ts";
import type { CallOptions, ModelInfo } from "./types.ts";

/**
 * Settings for loading a model. LM Studio's own settings for the model fill in what is not given. Only
 * `contextLength` matters to every engine; the others are read by LM Studio's llama.cpp engine, for language
 * models, and are without effect elsewhere.
 */
export interface LoadOptions {
  /** Tokens the model can hold: prompt and answer together. */
  contextLength?: number | undefined;
  /** Tokens of the prompt that are read at a time. llama.cpp. */
  evalBatchSize?: number | undefined;
  /** Whether to use flash attention, which takes less memory. llama.cpp. */
  flashAttention?: boolean | undefined;
  /** Experts used per token, of a mixture-of-experts model. llama.cpp. */
  numExperts?: number | undefined;
  /** Whether the key-value cache goes to the GPU. llama.cpp. */
  offloadKvCacheToGpu?: boolean | undefined;
}

/** Settings a model was loaded with, as the server reports them. */
export interface LoadConfig {
  /** Tokens it can hold. */
  contextLength?: number;
  /** Tokens of the prompt it reads at a time. */
  evalBatchSize?: number;
  /** Whether flash attention is on. */
  flashAttention?: boolean;
  /** Experts used per token, of a mixture-of-experts model. */
  numExperts?: number;
  /** Whether the key-value cache is on the GPU. */
  offloadKvCacheToGpu?: boolean;
}

/** A model that was loaded. */
export interface LoadedModel {
  /** The name to send requests to this copy, such as `qwen/qwen3-8b`, or `qwen/qwen3-8b:2` of a second one. */
  instanceId: string;
  /** Purpose of the model. */
  type: "llm" | "embedding" | (string & Record<never, never>);
  /** Seconds the load took. */
  loadTimeSeconds: number;
  /** Its settings; absent where the server does not report them. The context may be smaller than was asked. */
  config?: LoadConfig;
}

/** Settings a model must be loaded with, and whether it is unloaded afterwards. */
export interface EnsureLoadedOptions extends LoadOptions {
  /**
   * Whether disposing the lease unloads the model, if it was loaded for the lease and nobody else holds one.
   * @default {false}
   */
  unloadOnDispose?: boolean | undefined;
}

/** A model that is in memory. Disposing the lease releases it: see `EnsureLoadedOptions.unloadOnDispose`. */
export interface ModelLease extends AsyncDisposable {
  /** The name to send requests to this copy. */
  readonly instanceId: string;
  /** False where this call, or one it shared the load with, loaded it. */
  readonly alreadyLoaded: boolean;
  /** Tokens it can hold, where the server reports it; fewer than asked if the model cannot hold more. */
  readonly contextLength?: number;
}

/** Options of a download: the quantization, and the interval between looks. */
export interface DownloadOptions {
  /**
   * Such as `Q4_K_M`. LM Studio takes it for Hugging Face links only.
   * @default {LM Studio's choice for this machine}
   */
  quantization?: string | undefined;
  /**
   * Milliseconds between two looks at the download.
   * @default {1000}
   */
  pollIntervalMs?: number | undefined;
}

/** Progress of a download. */
export interface DownloadProgress {
  /** The server's id of it, for `downloadStatus()`; absent where nothing had to be downloaded. */
  jobId?: string;
  /** `completed`, `already_downloaded` and `failed` are final. */
  status:
    | "downloading"
    | "paused"
    | "completed"
    | "failed"
    | "already_downloaded"
    | (string & Record<never, never>);
  /** Bytes downloaded so far. */
  downloadedBytes?: number;
  /** Bytes of the whole download. */
  totalBytes?: number;
  /** Current speed, while it is `downloading`. */
  bytesPerSecond?: number;
  /** Estimated end, by the server: ISO 8601, such as `2026-10-03T15:43:12.102Z`. */
  estimatedCompletion?: string;
}

/**
 * Status of a download. `await` asks the server once and gives the progress now; iterating asks again and again until
 * the download ends. Neither sends anything before it is used, and either may be used more than once.
 */
export interface DownloadStatus
  extends AsyncIterable<DownloadProgress>, PromiseLike<DownloadProgress> {}

/**
 * The models of the server, as `LMStudioProvider.models`. Names are taken as people write them: without the
 * publisher, with an `@variant`, in any case.
 *
 * All but `get` need LM Studio 0.4.0 or later; on an older one each fails with code
 * `unsupported_by_server`. Nothing has to be loaded before it is used: by default LM Studio loads a model with
 * the first request for it.
 */
export interface ModelsApi {
  /**
   * The model of this name. Always asks the server, by the same routes as `listModels()`, so it works with
   * every version.
   *
   * @param name such as `qwen/qwen3-8b`, `Qwen3-8B`, `qwen3-8b@q4_k_m`, or the id of a loaded copy, whose context
   * `loadedContextLength` then is. One that fits several models is the one that is loaded.
   * @throws {ModelNotAvailableError} code `model_not_found`: there is none, and the nearest names are in the
   * message and in `available`; or there are several, all of them are, and the hint says what the name lacks.
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
   * Loads a model, by `POST /api/v1/models/load`: one more copy, if it is in memory already. Most programs
   * want `ensureLoaded()`. No time limit by default. Of several variants LM Studio loads the selected one only.
   *
   * The route reports no progress: `onStatus` gets `loading` once a second until the load ends.
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
   * Unloads models, by `POST /api/v1/models/unload`. Whoever waits for an answer of one gets an error, code
   * `model_unloaded`.
   *
   * @param nameOrInstance the name of a model, for all its copies, or the id of one copy, such as
   * `qwen/qwen3-8b:2`.
   * @returns the ids of the copies that are gone now; `[]` where none was loaded.
   * @throws {ModelNotAvailableError} code `model_not_found`: no model and no copy has this name, and the nearest are
   * in the message and in `available`; or it fits several models.
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
   * Loads a model unless it is in memory. Concurrent calls share one load, under any spelling of the name; an abort ends
   * only the wait of its own call, and a failure is not kept: the next call tries again.
   *
   * A copy with less context than `contextLength` does not count as loaded, so one more is loaded beside it;
   * the other settings are for the case that it must be loaded. A copy whose context is not known counts. If
   * the model is loaded with less than asked, `contextLength` of the lease says so, and it is not loaded again for more;
   * a copy that got no more than one that was there is unloaded again, and that one is given.
   *
   * With `unloadOnDispose`, disposing the lease unloads the model, provided that this provider loaded it, and
   * when the last lease on it is disposed; a lease without this option keeps it in memory.
   *
   * The route reports no progress: `onStatus` gets `loading` once a second until the load ends. An aborted load
   * may continue on the server.
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
  ensureLoaded(
    name: string,
    load?: EnsureLoadedOptions,
    options?: CallOptions,
  ): Promise<ModelLease>;
  /**
   * Downloads a model, by `POST /api/v1/models/download`, and reports its progress to the end. Nothing is
   * sent before the first pull; `response()` waits for the end without the steps.
   *
   * Leaving the loop, an abort or an error ends the waiting, not the download: LM Studio continues it, and no route
   * stops it. `downloadStatus()` follows it again by its `jobId`. A pause, made in LM Studio, does not end the stream;
   * lost polls are repeated.
   *
   * @param model a name of LM Studio's catalogue, such as `ibm/granite-4-micro`, or a link to a repository on
   * Hugging Face.
   * @returns one consumer's stream of progress. One that failed is given as an item, then thrown.
   * @throws {ApiError} code `server_error`: the download failed, with the reason where the server gives one;
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
  ): EventStream<DownloadProgress, DownloadProgress>;
  /**
   * A download that was started before, by `GET /api/v1/models/download/status/{jobId}`: `await` gives its
   * progress now, iterating follows it to its end as `download()` does.
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
   *   break; // The download continues.
   * }
   * ```
   */
  downloadStatus(
    jobId: string,
    options?: CallOptions & Pick<DownloadOptions, "pollIntervalMs">,
  ): DownloadStatus;
}
