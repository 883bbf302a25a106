/**
 * The three listings of models as the servers send them: only what is read, loose about all but what makes an entry
 * one of its listing. An entry that is well-formed is taken as it is; zod is for the others, which it mends or refuses,
 * since it takes several times as long. In a file of its own because of zod, which costs more than everything else at
 * start: imported on first use only.
 *
 * @module
 */

import * as z from "zod";
import { isRecord } from "../core/fields.ts";

/** What servers leave out or send as `null` where they do not know it. */
type Told<T> = T | null | undefined;

/** An entry of `GET /api/v1/models`. */
export interface V1Entry {
  readonly key: string;
  readonly type: string;
  readonly display_name?: Told<string>;
  readonly publisher?: Told<string>;
  readonly architecture?: Told<string>;
  readonly quantization?: Told<{ readonly name?: Told<string> }>;
  readonly size_bytes?: Told<number>;
  readonly params_string?: Told<string>;
  readonly loaded_instances?: Told<readonly V1Instance[]>;
  readonly max_context_length?: Told<number>;
  readonly format?: Told<string>;
  readonly capabilities?: Told<{
    readonly vision?: Told<boolean>;
    readonly trained_for_tool_use?: Told<boolean>;
    readonly reasoning?: Told<V1Reasoning>;
  }>;
  readonly variants?: Told<readonly string[]>;
  readonly selected_variant?: Told<string>;
}

/** The reasoning settings in an entry of `GET /api/v1/models`. */
export interface V1Reasoning {
  readonly allowed_options?: Told<readonly string[]>;
  readonly default?: Told<string>;
}

/** A loaded copy in an entry of `GET /api/v1/models`. */
export interface V1Instance {
  readonly id: string;
  readonly config?: Told<{
    readonly context_length?: Told<number>;
    readonly eval_batch_size?: Told<number>;
    readonly parallel?: Told<number>;
    readonly flash_attention?: Told<boolean>;
    readonly num_experts?: Told<number>;
    readonly offload_kv_cache_to_gpu?: Told<boolean>;
  }>;
}

/** An entry of `GET /api/v0/models`. */
export interface V0Entry {
  readonly id: string;
  readonly type: string;
  readonly state: string;
  readonly publisher?: Told<string>;
  readonly arch?: Told<string>;
  readonly compatibility_type?: Told<string>;
  readonly quantization?: Told<string>;
  readonly max_context_length?: Told<number>;
  readonly loaded_context_length?: Told<number>;
  readonly capabilities?: Told<readonly string[]>;
}

/** An entry of `GET /v1/models`: LM Studio tells the id alone, other servers have fields of their own. */
export interface OpenAIEntry {
  readonly id: string;
  /** llama.cpp's router. */
  readonly status?: Told<{ readonly value?: Told<string> }>;
  /** llama.cpp: as it is loaded, and as it was trained. */
  readonly meta?: Told<{ readonly n_ctx?: Told<number>; readonly n_ctx_train?: Told<number> }>;
  /** vLLM. */
  readonly max_model_len?: Told<number>;
  readonly max_context_length?: Told<number>;
  readonly context_length?: Told<number>;
  readonly context_window?: Told<number>;
}

/** An entry that is one of the listing, and as it was sent. */
export interface Read<Entry> {
  readonly entry: Entry;
  readonly raw: unknown;
}

/** A listing has bounded bytes, which may still be millions of entries; nobody has as many models as this. */
const MOST_ENTRIES = 50_000;

// --- What is well-formed ----------------------------------------------------------------------

type Check = (value: unknown) => boolean;
type Shape<T> = { readonly [K in keyof Required<T>]: Check };

function isName(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}

function told(check: Check): Check {
  return (value) => value === undefined || value === null || check(value);
}

function listOf(check: Check): Check {
  return (value) => Array.isArray(value) && value.every(check);
}

function shaped<T>(shape: Shape<T>): Check {
  const fields = Object.entries(shape) as [string, Check][];
  return (value) => isRecord(value) && fields.every(([name, check]) => check(value[name]));
}

const isText = told(isName);
const isCount = told((value) => Number.isFinite(value) && (value as number) >= 0);
/** Some say 0 where they do not know. */
const isLength = told((value) => Number.isFinite(value) && (value as number) > 0);
const isFlag = told((value) => typeof value === "boolean");
const isTexts = told(listOf((value) => typeof value === "string"));

const isV1Entry = shaped<V1Entry>({
  key: isName,
  type: isName,
  display_name: isText,
  publisher: isText,
  architecture: isText,
  quantization: told(shaped<NonNullable<V1Entry["quantization"]>>({ name: isText })),
  size_bytes: isCount,
  params_string: isText,
  loaded_instances: told(listOf(shaped<V1Instance>({
    id: isName,
    config: told(shaped<NonNullable<V1Instance["config"]>>({
      context_length: isLength,
      eval_batch_size: isCount,
      parallel: isCount,
      flash_attention: isFlag,
      num_experts: isCount,
      offload_kv_cache_to_gpu: isFlag,
    })),
  }))),
  max_context_length: isLength,
  format: isText,
  capabilities: told(shaped<NonNullable<V1Entry["capabilities"]>>({
    vision: isFlag,
    trained_for_tool_use: isFlag,
    reasoning: told(shaped<V1Reasoning>({ allowed_options: isTexts, default: isText })),
  })),
  variants: isTexts,
  selected_variant: isText,
});

const isV0Entry = shaped<V0Entry>({
  id: isName,
  type: isName,
  state: isName,
  publisher: isText,
  arch: isText,
  compatibility_type: isText,
  quantization: isText,
  max_context_length: isLength,
  loaded_context_length: isLength,
  capabilities: isTexts,
});

const isOpenAIEntry = shaped<OpenAIEntry>({
  id: isName,
  status: told(shaped<NonNullable<OpenAIEntry["status"]>>({ value: isText })),
  meta: told(shaped<NonNullable<OpenAIEntry["meta"]>>({ n_ctx: isLength, n_ctx_train: isLength })),
  max_model_len: isLength,
  max_context_length: isLength,
  context_length: isLength,
  context_window: isLength,
});

// --- What is mended ---------------------------------------------------------------------------

const text = z.string().min(1).optional().catch(undefined);
const count = z.number().nonnegative().optional().catch(undefined);
const length = z.number().positive().optional().catch(undefined);
const flag = z.boolean().optional().catch(undefined);
const texts = z.array(z.unknown())
  .transform((list) => list.filter((item) => typeof item === "string"))
  .optional().catch(undefined);

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
  // One odd copy is left out, the others are in memory all the same.
  loaded_instances: z.array(instance.optional().catch(undefined))
    .transform((list) => list.filter((copy) => copy !== undefined)).optional().catch(undefined),
  max_context_length: length,
  format: text,
  capabilities: z.object({
    vision: flag,
    trained_for_tool_use: flag,
    reasoning: z.object({ allowed_options: texts, default: text }).optional().catch(undefined),
  }).optional().catch(undefined),
  variants: texts,
  selected_variant: text,
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
  capabilities: texts,
});

const openAIEntry = z.object({
  id: z.string().min(1),
  status: z.object({ value: text }).optional().catch(undefined),
  meta: z.object({ n_ctx: length, n_ctx_train: length }).optional().catch(undefined),
  max_model_len: length,
  max_context_length: length,
  context_length: length,
  context_window: length,
});

// --- Reading ----------------------------------------------------------------------------------

/** The entries of `GET /api/v1/models`, or `undefined` when it is something else. */
export function parseV1Listing(value: unknown): Read<V1Entry>[] | undefined {
  return readEntries(isRecord(value) ? value.models : undefined, isV1Entry, v1Entry);
}

/** The entries of `GET /api/v0/models`, or `undefined` when it is something else. */
export function parseV0Listing(value: unknown): Read<V0Entry>[] | undefined {
  return readEntries(isRecord(value) ? value.data : undefined, isV0Entry, v0Entry);
}

/** The entries of `GET /v1/models`, or `undefined` when it is something else. */
export function parseOpenAIListing(value: unknown): Read<OpenAIEntry>[] | undefined {
  return readEntries(isRecord(value) ? value.data : undefined, isOpenAIEntry, openAIEntry);
}

/** The entries that can be read. Of a list in which none can, it is not this listing. */
function readEntries<Entry>(
  list: unknown,
  isWellFormed: Check,
  schema: z.ZodType<Entry>,
): Read<Entry>[] | undefined {
  if (!Array.isArray(list)) return undefined;
  const read: Read<Entry>[] = [];
  for (const raw of list.slice(0, MOST_ENTRIES)) {
    const entry = isWellFormed(raw) ? raw as Entry : schema.safeParse(raw).data;
    if (entry !== undefined) read.push({ entry, raw });
  }
  return read.length === 0 && list.length > 0 ? undefined : read;
}
