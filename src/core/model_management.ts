/**
 * What the management of models takes and gives: finding, loading, unloading, downloading.
 *
 * @module
 */

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
  /** Such as `Q4_K_M`. LM Studio takes it for Hugging Face links only. @default {LM Studio's choice for this machine} */
  quantization?: string | undefined;
  /** Milliseconds between two looks at the download. @default {1000} */
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
