/**
 * Schemas of the management routes' answers: strict only about the fields we need. In a file of its own because it
 * loads zod: imported on first use only.
 *
 * @module
 */

import * as z from "zod";

/** The answer of `POST /api/v1/models/load`. */
export interface WireLoaded {
  readonly instance_id: string;
  readonly type?: string | undefined;
  readonly load_time_seconds?: number | undefined;
  readonly load_config?: {
    readonly context_length?: number | undefined;
    readonly eval_batch_size?: number | undefined;
    readonly flash_attention?: boolean | undefined;
    readonly num_experts?: number | undefined;
    readonly offload_kv_cache_to_gpu?: boolean | undefined;
  } | undefined;
}

/** A download job, as sent by both download routes. */
export interface WireJob {
  readonly job_id?: string | undefined;
  readonly status: string;
  readonly total_size_bytes?: number | undefined;
  readonly downloaded_bytes?: number | undefined;
  readonly bytes_per_second?: number | undefined;
  readonly estimated_completion?: string | undefined;
}

const text = z.string().min(1).optional().catch(undefined);
const count = z.number().nonnegative().optional().catch(undefined);
const flag = z.boolean().optional().catch(undefined);

const loaded = z.object({
  instance_id: z.string().min(1),
  type: text,
  load_time_seconds: count,
  load_config: z.object({
    context_length: z.number().positive().optional().catch(undefined),
    eval_batch_size: count,
    flash_attention: flag,
    num_experts: count,
    offload_kv_cache_to_gpu: flag,
  }).optional().catch(undefined),
});

const job = z.object({
  job_id: text,
  status: z.string().min(1),
  total_size_bytes: count,
  downloaded_bytes: count,
  bytes_per_second: count,
  estimated_completion: text,
});

/** Parses a loaded model; `undefined` if the value is something else. */
export function parseLoaded(value: unknown): WireLoaded | undefined {
  return loaded.safeParse(value).data;
}

/** Parses a download job; `undefined` if the value is something else. */
export function parseJob(value: unknown): WireJob | undefined {
  return job.safeParse(value).data;
}
