/**
 * What the management of models takes and gives: finding, loading, unloading, downloading.
 *
 * @module
 */

import type { EventStream } from "./event_stream.ts";
import type { CallOptions, ModelInfo } from "./types.ts";

/**
 * How a model is loaded. What is not given is as LM Studio's own settings for this model say. Only
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

/** How a model was loaded, as the server says. */
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
  /** What it is for. */
  type: "llm" | "embedding" | (string & Record<never, never>);
  /** How long it took. */
  loadTimeSeconds: number;
  /** How it was loaded; absent where the server does not tell. Its context may be smaller than was asked. */
  config?: LoadConfig;
}

/** What a model must be loaded with, and what becomes of it afterwards. */
export interface EnsureLoadedOptions extends LoadOptions {
  /**
   * Whether disposing the lease unloads the model, if it was loaded for the lease and nobody else holds one.
   * @default {false}
   */
  unloadOnDispose?: boolean | undefined;
}

/** A model that is in memory. Disposing it lets go of it: see `EnsureLoadedOptions.unloadOnDispose`. */
export interface ModelLease extends AsyncDisposable {
  /** The name to send requests to this copy. */
  readonly instanceId: string;
  /** False where this call, or one it shared the load with, loaded it. */
  readonly alreadyLoaded: boolean;
  /** Tokens it can hold, where the server tells; smaller than asked if the model cannot hold more. */
  readonly contextLength?: number;
}

/** What to download, and how often to look. */
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

/** How a download does. */
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
  /** What is there by now. */
  downloadedBytes?: number;
  /** What it will be in the end. */
  totalBytes?: number;
  /** Current speed, while it is `downloading`. */
  bytesPerSecond?: number;
  /** When it will be done, as the server estimates: ISO 8601, such as `2026-10-03T15:43:12.102Z`. */
  estimatedCompletion?: string;
}

/**
 * A download, followed. `await` asks the server once and gives how it does now; iterating looks again and
 * again until it is done. Neither happens before it is asked for, and either may be done more than once.
 */
export interface DownloadStatus
  extends AsyncIterable<DownloadProgress>, PromiseLike<DownloadProgress> {}

/**
 * The models of the server, as `LMStudioProvider.models`. Names are taken as people write them: without the
 * publisher, with an `@variant`, in any case.
 *
 * All but `get` need LM Studio 0.4.0 or later; an older one is told by one error, code
 * `unsupported_by_server`. Nothing has to be loaded before it is used: by default LM Studio loads a model with
 * the first request for it.
 */
export interface ModelsApi {
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
  get(name: string, options?: CallOptions): Promise<ModelInfo>;
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
  load(name: string, load?: LoadOptions, options?: CallOptions): Promise<LoadedModel>;
  /**
   * Unloads models, by `POST /api/v1/models/unload`. Whoever waits for an answer of one gets an error, code
   * `model_unloaded`.
   *
   * @param nameOrInstance the name of a model, for all its copies, or the id of one copy, such as
   * `qwen/qwen3-8b:2`.
   * @returns the ids of the copies that are gone now; `[]` where none was loaded, or nothing has this name.
   * @throws {ModelNotAvailableError} code `model_not_found`: the name fits models of two publishers.
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
  ensureLoaded(
    name: string,
    load?: EnsureLoadedOptions,
    options?: CallOptions,
  ): Promise<ModelLease>;
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
  ): EventStream<DownloadProgress, DownloadProgress>;
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
  ): DownloadStatus;
}
