/** Model management of the fake: `POST /api/v1/models/load`, `/unload`, `/download`, and download status. */

import {
  encodeConfig,
  type FakeLoadConfig,
  type Instance,
  type ModelStore,
} from "./fake_models.ts";
import type { FakeDownload, FakeLMStudioOptions } from "./fake_options.ts";
import {
  decodeBody,
  type IdSource,
  jsonAnswer,
  type JsonObject,
  type Refusal,
  refuseNative,
  type Route,
  sleep,
} from "./fake_wire.ts";

const SINCE = "0.4.0";
const DEFAULT_DOWNLOADS: readonly FakeDownload[] = [{ model: "ibm/granite-4-micro" }];
const DEFAULT_PROGRESS = [0, 0.25, 0.5, 0.75, 1] as const;
const LOAD_FIELDS = {
  context_length: "number",
  eval_batch_size: "number",
  flash_attention: "boolean",
  num_experts: "number",
  offload_kv_cache_to_gpu: "boolean",
  echo_load_config: "boolean",
} as const;

/** The routes that manage models. */
export function managementRoutes(
  models: ModelStore,
  ids: IdSource,
  { loadMs = 0, downloads = DEFAULT_DOWNLOADS }: FakeLMStudioOptions,
): Route[] {
  const jobs = new Map<string, Job>();
  return [
    {
      method: "POST",
      path: "/api/v1/models/load",
      since: SINCE,
      async handle(call) {
        const { model: name, echo_load_config, ...config } = fieldsOf(decodeBody(call), "model", {
          ...LOAD_FIELDS,
        });
        const model = models.find(name);
        if (model === undefined) throw notFound(name, models.isOtherVariant(name));
        await sleep(loadMs, call.signal);
        if (model.loadError !== undefined) {
          throw refuseNative(400, "model_load_failed", model.loadError);
        }
        // A load always adds an instance, even if the model is already loaded.
        const instance = models.add(model, config as FakeLoadConfig);
        return jsonAnswer({
          type: model.type,
          instance_id: instance.id,
          load_time_seconds: loadMs / 1000,
          status: "loaded",
          ...(echo_load_config === true ? { load_config: toldConfig(instance, config) } : {}),
        });
      },
    },
    {
      method: "POST",
      path: "/api/v1/models/unload",
      since: SINCE,
      handle(call) {
        const { instance_id } = fieldsOf(decodeBody(call), "instance_id", {});
        if (models.remove(instance_id)) return jsonAnswer({ instance_id });
        // The status was observed, the wording was not.
        const message = `Model instance '${instance_id}' not found.`;
        throw refuseNative(404, "model_not_found", message);
      },
    },
    {
      method: "POST",
      path: "/api/v1/models/download",
      since: SINCE,
      handle(call) {
        const { model } = fieldsOf(decodeBody(call), "model", { quantization: "string" });
        const key = keyOf(String(model));
        if (models.find(key) !== undefined) return jsonAnswer({ status: "already_downloaded" });
        const known = [...jobs.values()].find((job) => job.of.model === model && job.isRunning);
        const of = downloads.find((download) => download.model === model);
        if (of === undefined) throw notFound(model);
        const job = known ?? new Job(`job_${ids.digits(10)}`, of);
        jobs.set(job.id, job);
        return jsonAnswer(job.look(models));
      },
    },
    {
      method: "GET",
      path: /^\/api\/v1\/models\/download\/status\/([^/]+)$/,
      since: SINCE,
      handle({ params: [id = ""] }) {
        const job = jobs.get(id);
        if (job !== undefined) return jsonAnswer(job.look(models));
        // The type is documented, the status and the wording are not.
        const message = `No download job with id '${id}'`;
        throw refuseNative(404, "job_not_found", message);
      },
    },
  ];
}

/** A download that advances by one step each time its status is requested. */
class Job {
  readonly id: string;
  readonly of: FakeDownload;
  readonly #left: (number | "paused" | "failed")[];
  readonly #startedAt = new Date().toISOString();
  #share = 0;
  #state: "downloading" | "paused" | "failed" | "completed" = "downloading";

  constructor(id: string, of: FakeDownload) {
    this.id = id;
    this.of = of;
    this.#left = [...of.progress ?? DEFAULT_PROGRESS];
  }

  get isRunning(): boolean {
    return this.#state === "downloading" || this.#state === "paused";
  }

  /** Advances by one step and returns the status. */
  look(models: ModelStore): JsonObject {
    const step = this.#left.shift();
    if (typeof step === "number") this.#share = step;
    if (step !== undefined) {
      this.#state = typeof step === "string" ? step : step >= 1 ? "completed" : "downloading";
    }
    const { sizeBytes = 2_279_145_003, bytesPerSecond = 7_834_710.74, error, model } = this.of;
    if (this.#state === "completed" && models.find(keyOf(model)) === undefined) {
      models.addModel({ id: keyOf(model), loaded: false, sizeBytes });
    }
    const downloaded = Math.floor(sizeBytes * this.#share);
    const msLeft = (sizeBytes - downloaded) / bytesPerSecond * 1000;
    return {
      job_id: this.id,
      status: this.#state,
      total_size_bytes: sizeBytes,
      downloaded_bytes: downloaded,
      ...(this.#state === "downloading"
        ? {
          bytes_per_second: bytesPerSecond,
          estimated_completion: new Date(Date.now() + msLeft).toISOString(),
        }
        : {}),
      started_at: this.#startedAt,
      ...(this.#state === "completed" ? { completed_at: new Date().toISOString() } : {}),
      // An assumption: no documentation says where the reason for a failure is.
      ...(this.#state === "failed" && error !== undefined ? { error } : {}),
    };
  }
}

/** The key of a downloaded model; for a link, the part after the host. */
function keyOf(model: string): string {
  return model.replace(/^https?:\/\/[^/]+\//, "").toLowerCase();
}

/** The fields of a body; these routes refuse unknown fields. */
function fieldsOf(
  body: JsonObject,
  required: string,
  optional: Readonly<Record<string, string>>,
): JsonObject {
  const known: Readonly<Record<string, string>> = { [required]: "string", ...optional };
  if (body[required] === undefined) {
    throw refuseNative(400, "invalid_request", `"${required}" is required`, {
      code: "missing_required_parameter",
      param: required,
    });
  }
  const unknown = Object.keys(body).filter((name) => known[name] === undefined);
  if (unknown.length > 0) {
    const list = unknown.map((name) => `'${name}'`).join(", ");
    const message = `Unrecognized key(s) in object: ${list}`;
    throw refuseNative(400, "invalid_request", message, { code: "unrecognized_keys" });
  }
  for (const [name, value] of Object.entries(body)) {
    const type: string = typeof value;
    if (type === known[name]) continue;
    const message = `Expected ${known[name]}, received ${type}`;
    throw refuseNative(400, "invalid_request", message, { code: "invalid_type", param: name });
  }
  return body;
}

/** The configuration in the answer to a load: if less context fits than was asked for, the one asked for. */
function toldConfig(instance: Instance, { context_length }: FakeLoadConfig): JsonObject {
  const told = encodeConfig(instance);
  const { contextLength, model } = instance;
  if (contextLength < model.fittingContextLength || context_length === undefined) return told;
  return { ...told, context_length: Math.min(context_length, model.maxContextLength) };
}

/** The type is documented, the status and the variant wording were observed, the other wording is assumed. */
function notFound(name: unknown, isOtherVariant = false): Refusal {
  const message = isOtherVariant
    ? `Model '${name}' not found in downloaded models.`
    : `Could not resolve '${name}'.`;
  return refuseNative(404, "model_not_found", message);
}
