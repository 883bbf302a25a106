/**
 * The three listings of models as the servers send them: only what is read, loose about all but the ids.
 * In a file of its own because it loads zod, which costs more than everything else at start: imported on
 * first use only.
 *
 * @module
 */

import * as z from "zod";

/** An entry of `GET /api/v1/models`. */
export interface V1Entry {
  readonly key: string;
  readonly type: string;
  readonly display_name?: string | undefined;
  readonly publisher?: string | undefined;
  readonly architecture?: string | undefined;
  readonly quantization?: { readonly name?: string | undefined } | undefined;
  readonly size_bytes?: number | undefined;
  readonly params_string?: string | undefined;
  readonly loaded_instances?: readonly V1Instance[] | undefined;
  readonly max_context_length?: number | undefined;
  readonly format?: string | undefined;
  readonly capabilities?: {
    readonly vision?: boolean | undefined;
    readonly trained_for_tool_use?: boolean | undefined;
    readonly reasoning?: object | undefined;
  } | undefined;
  readonly variants?: string[] | undefined;
}

/** A loaded copy in an entry of `GET /api/v1/models`. */
export interface V1Instance {
  readonly id: string;
  readonly config?: {
    readonly context_length?: number | undefined;
    readonly eval_batch_size?: number | undefined;
    readonly parallel?: number | undefined;
    readonly flash_attention?: boolean | undefined;
    readonly num_experts?: number | undefined;
    readonly offload_kv_cache_to_gpu?: boolean | undefined;
  } | undefined;
}

/** An entry of `GET /api/v0/models`. */
export interface V0Entry {
  readonly id: string;
  readonly type: string;
  readonly state: string;
  readonly publisher?: string | undefined;
  readonly arch?: string | undefined;
  readonly compatibility_type?: string | undefined;
  readonly quantization?: string | undefined;
  readonly max_context_length?: number | undefined;
  readonly loaded_context_length?: number | undefined;
  readonly capabilities?: string[] | undefined;
}

/** An entry of `GET /v1/models`. */
export interface OpenAIEntry {
  readonly id: string;
}

const text = z.string().min(1).optional().catch(undefined);
const count = z.number().nonnegative().optional().catch(undefined);
/** Some say 0 where they do not know. */
const length = z.number().positive().optional().catch(undefined);
const flag = z.boolean().optional().catch(undefined);

const instance = z.object({
  id: z.string().min(1),
  config: z.object({
    context_length: length,
    eval_batch_size: count,
    parallel: count,
    flash_attention: flag,
    num_experts: count,
    offload_kv_cache_to_gpu: flag,
  }).optional().catch(undefined),
});

const v1Entry = z.object({
  key: z.string().min(1),
  type: z.string().min(1),
  display_name: text,
  publisher: text,
  architecture: text,
  quantization: z.object({ name: text }).optional().catch(undefined),
  size_bytes: count,
  params_string: text,
  loaded_instances: z.array(instance).optional().catch(undefined),
  max_context_length: length,
  format: text,
  capabilities: z.object({
    vision: flag,
    trained_for_tool_use: flag,
    reasoning: z.looseObject({}).optional().catch(undefined),
  }).optional().catch(undefined),
  variants: z.array(z.string()).optional().catch(undefined),
});

const v0Entry = z.object({
  id: z.string().min(1),
  type: z.string().min(1),
  state: z.string().min(1),
  publisher: text,
  arch: text,
  compatibility_type: text,
  quantization: text,
  max_context_length: length,
  loaded_context_length: length,
  capabilities: z.array(z.string()).optional().catch(undefined),
});

const openAIEntry = z.object({ id: z.string().min(1) });

const v1Listing = z.object({ models: z.array(v1Entry) });
const v0Listing = z.object({ data: z.array(v0Entry) });
const openAIListing = z.object({ data: z.array(openAIEntry) });

/** The entries of `GET /api/v1/models`, or `undefined` when it is something else. */
export function parseV1Listing(value: unknown): V1Entry[] | undefined {
  return v1Listing.safeParse(value).data?.models;
}

/** The entries of `GET /api/v0/models`, or `undefined` when it is something else. */
export function parseV0Listing(value: unknown): V0Entry[] | undefined {
  return v0Listing.safeParse(value).data?.data;
}

/** The entries of `GET /v1/models`, or `undefined` when it is something else. */
export function parseOpenAIListing(value: unknown): OpenAIEntry[] | undefined {
  return openAIListing.safeParse(value).data?.data;
}
