/**
 * Loading, unloading and downloading: `POST /api/v1/models/load`, `/unload` and `/download`, and
 * `GET /api/v1/models/download/status/{job}`, all since 0.4.0.
 *
 * @see https://lmstudio.ai/docs/developer/rest/load
 * @see https://lmstudio.ai/docs/developer/rest/unload
 * @see https://lmstudio.ai/docs/developer/rest/download
 * @see https://lmstudio.ai/docs/developer/rest/download-status
 * @module
 */

import { type ApiError, isProviderError, providerError } from "../core/errors.ts";
import { isRecord, withoutUndefined } from "../core/fields.ts";
import type {
  DownloadOptions,
  DownloadProgress,
  LoadConfig,
  LoadedModel,
  LoadOptions,
} from "../core/model_management.ts";
import type { CallOptions, ModelInfo } from "../core/types.ts";
import { callError, type ErrorContext } from "../transport/error_mapping.ts";
import { showWords, wordsOf } from "../transport/redact.ts";
import { malformedResponse, type Transport } from "../transport/transport.ts";
import { importSchemas } from "../core/import_schemas.ts";

/** First version with these routes. */
export const MANAGEMENT_SINCE = "0.4.0";

const STATUS_TIMEOUT_MS = 30_000;
const NOT_IN_CATALOG =
  "Use a name from https://lmstudio.ai/models, such as ibm/granite-4-micro, or the URL of a Hugging Face repository " +
  "with GGUF or MLX files.";

/** Job ids usable in a URL: a lone surrogate cannot be encoded, and an id of dots alone leads to another route. */
const JOB_ID = /^(?!\.{1,2}$)[\x21-\x7e]{1,200}$/;

/** State of a download job. */
export interface DownloadJob {
  readonly progress: DownloadProgress;
  /** The error to throw if the job failed. */
  readonly failure?: ApiError | undefined;
}

/** Loads a model, even if it is already in memory. No time limit: loading may take minutes. */
export async function requestLoad(
  transport: Transport,
  model: {
    readonly name: string;
    readonly type: ModelInfo["type"];
    readonly notFoundHint?: string | undefined;
  },
  load: LoadOptions,
  action: string,
  options: CallOptions,
): Promise<LoadedModel> {
  // Imported before sending: if the answer could not be read, the loaded model would be lost track of.
  const { parseLoaded } = await importManagementSchemas(action);
  const { value, elapsedMs, context } = await transport.json(
    {
      method: "POST",
      path: "/api/v1/models/load",
      // The server refuses keys it does not know, so only these are sent, and only if given.
      body: {
        model: model.name,
        ...withoutUndefined({
          context_length: load.contextLength,
          eval_batch_size: load.evalBatchSize,
          flash_attention: load.flashAttention,
          num_experts: load.numExperts,
          offload_kv_cache_to_gpu: load.offloadKvCacheToGpu,
        }),
        // Without the echo, nobody would know whether the model got the requested context.
        echo_load_config: true,
      },
      policy: "stateful",
      action,
      model: model.name,
      since: MANAGEMENT_SINCE,
      notFoundHint: model.notFoundHint,
    },
    options,
    Infinity,
  );
  const loaded = parseLoaded(value);
  if (loaded === undefined) {
    throw malformedResponse("the answer has no instance id", value, context);
  }
  const { instance_id, type, load_time_seconds, load_config } = loaded;
  const config: LoadConfig | undefined = load_config && withoutUndefined({
    contextLength: load_config.context_length,
    evalBatchSize: load_config.eval_batch_size,
    flashAttention: load_config.flash_attention,
    numExperts: load_config.num_experts,
    offloadKvCacheToGpu: load_config.offload_kv_cache_to_gpu,
  });
  return {
    instanceId: instance_id,
    type: type ?? model.type,
    loadTimeSeconds: load_time_seconds ?? elapsedMs / 1000,
    ...(config === undefined ? {} : { config }),
  };
}

/** Unloads one instance; returns whether it was loaded, and does not throw if it was not. */
export async function requestUnload(
  transport: Transport,
  instanceId: string,
  action: string,
  options: CallOptions,
): Promise<boolean> {
  try {
    await transport.json(
      {
        method: "POST",
        path: "/api/v1/models/unload",
        body: { instance_id: instanceId },
        // Sent twice, it does no harm: the second request finds the instance gone.
        policy: "read",
        action,
        model: instanceId,
        since: MANAGEMENT_SINCE,
      },
      options,
      STATUS_TIMEOUT_MS,
    );
    return true;
  } catch (error) {
    if (!isGone(error)) throw error;
    return false;
  }
}

/** Starts a download. @param model a name from the catalog, or a link to Hugging Face. */
export async function requestDownload(
  transport: Transport,
  model: string,
  { quantization }: DownloadOptions,
  action: string,
  options: CallOptions,
): Promise<DownloadJob> {
  await importManagementSchemas(action);
  const { value, context } = await transport.json(
    {
      method: "POST",
      path: "/api/v1/models/download",
      body: { model, ...withoutUndefined({ quantization }) },
      policy: "stateful",
      action,
      model,
      since: MANAGEMENT_SINCE,
      notFoundHint: NOT_IN_CATALOG,
      isAnswer: isJob,
    },
    options,
    STATUS_TIMEOUT_MS,
  );
  const job = await decodeJob(value, context);
  if (job === undefined) throw malformedResponse("the answer has no status", value, context);
  const { jobId, status } = job.progress;
  const isOver = isFinal(status) || status === "failed";
  if (jobId === undefined && !isOver) {
    throw malformedResponse("the answer has no job id", value, context);
  }
  return job;
}

/** Gets the status of a download. */
export async function requestDownloadStatus(
  transport: Transport,
  jobId: string,
  action: string,
  options: CallOptions,
): Promise<DownloadJob> {
  const pathOf = (id: string): string => `/api/v1/models/download/status/${encodeURIComponent(id)}`;
  try {
    const { value, context } = await transport.json(
      {
        method: "GET",
        path: pathOf(jobId),
        // The server wrote the id, so it is masked like any text of a server.
        shownPath: pathOf(wordsOf(transport.server, options)(jobId)),
        policy: "read",
        action,
        since: MANAGEMENT_SINCE,
        isAnswer: isJob,
      },
      options,
      STATUS_TIMEOUT_MS,
    );
    const job = await decodeJob(value, context);
    if (job === undefined) throw malformedResponse("the answer has no status", value, context);
    return { ...job, progress: { jobId, ...job.progress } };
  } catch (error) {
    throw asJobNotFound(error, action);
  }
}

function importManagementSchemas(
  action: string,
): Promise<typeof import("./management_schemas.ts")> {
  return importSchemas(() => import("./management_schemas.ts"), action);
}

/** Whether this status means a download that ended well. */
export function isFinal(status: DownloadProgress["status"]): boolean {
  return status === "completed" || status === "already_downloaded";
}

/** A failed job may state its reason in a field `error`; it is still an answer. */
function isJob(value: unknown): boolean {
  return isRecord(value) && value.status === "failed";
}

async function decodeJob(value: unknown, context: ErrorContext): Promise<DownloadJob | undefined> {
  const { parseJob } = await importManagementSchemas(context.action);
  const job = parseJob(value);
  if (job === undefined) return undefined;
  const progress = withoutUndefined({
    jobId: job.job_id === undefined || !JOB_ID.test(job.job_id) ? undefined : job.job_id,
    status: job.status,
    downloadedBytes: job.downloaded_bytes,
    totalBytes: job.total_size_bytes,
    bytesPerSecond: job.bytes_per_second,
    estimatedCompletion: job.estimated_completion,
  });
  return { progress, failure: job.status === "failed" ? failureOf(value, context) : undefined };
}

/** The reason a job failed. Which field has it is not documented. */
function failureOf(value: unknown, context: ErrorContext): ApiError {
  const { error, message, reason, error_message, failure_reason }: Record<string, unknown> =
    isRecord(value) ? value : {};
  const said = [isRecord(error) ? error.message : error, message, reason, error_message]
    .concat(failure_reason)
    .find((text): text is string => typeof text === "string" && text.trim() !== "");
  const shown = said === undefined ? "the download failed" : showWords(said, context.redact);
  return callError(context, "server_error", shown, {
    hint:
      "Check the disk space, the connection to huggingface.co and the server's log (`lms log stream`), then start the " +
      "download again: LM Studio resumes where it stopped.",
  });
}

/** Whether the server says, under whatever status, that an instance is not loaded. */
function isGone(error: unknown): boolean {
  if (!isProviderError(error)) return false;
  switch (error.code) {
    case "model_not_found":
    case "model_not_loaded":
    case "model_unloaded":
      return true;
    case "unsupported_by_server":
    case "unexpected_endpoint":
    case "not_lm_studio":
      return false;
    default:
      return error.status === 404;
  }
}

/** Maps a 404 to `job_not_found`: the wording for an unknown job is not documented, but the status is enough. */
function asJobNotFound(error: unknown, action: string): unknown {
  if (!isProviderError(error) || error.status !== 404) return error;
  if (error.kind !== "invalid-request" && error.kind !== "model-not-available") return error;
  const { service, endpoint, attempts, status } = error;
  return providerError("job_not_found", `Cannot ${action}: the server has no such job`, {
    service,
    endpoint,
    attempts,
    status,
  });
}
