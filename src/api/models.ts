/**
 * The models of a server: LM Studio's own listings, `GET /api/v1/models` (0.4 and later) and
 * `GET /api/v0/models`, and the one every OpenAI-compatible server has, `GET /v1/models`.
 *
 * @see https://lmstudio.ai/docs/developer/rest/list
 * @see https://lmstudio.ai/docs/developer/rest/endpoints
 * @see https://lmstudio.ai/docs/developer/openai-compat/models
 * @module
 */

import { type ApiError, isProviderError, providerError } from "../core/errors.ts";
import { answeringCopy, isNamedForEmbedding, maxTokensOf } from "../core/model_names.ts";
import type { CallOptions, LoadedInstance, ModelCapabilities, ModelInfo } from "../core/types.ts";
import { callError, type ErrorContext } from "../transport/error_mapping.ts";
import type { Transport } from "../transport/transport.ts";
import type { OpenAIEntry, V0Entry, V1Entry } from "./listing_schemas.ts";
import { importSchemas } from "../core/import_on_use.ts";

/** A listing's route, and what it must look like: unknown routes answer 200 too. */
export interface Listing {
  readonly path: string;
  readonly decode: (value: unknown, provider: string) => Promise<ModelInfo[] | undefined>;
}

/** LM Studio's listings, the one that tells most first. */
export const LMSTUDIO_LISTINGS: readonly Listing[] = [
  { path: "/api/v1/models", decode: decodeV1 },
  { path: "/api/v0/models", decode: decodeV0 },
  { path: "/v1/models", decode: decodeOpenAI },
];

/** Completes "Cannot …" where a listing is all that was asked for. */
export const LISTING_ACTION = "list models";
const LISTING_TIMEOUT_MS = 30_000;
/** A server may be updated while we run; until this long after, it is taken for the old one. */
const REMEMBERED_MS = 30_000;
/** Of one model in memory, and of its variants: nobody has as many, but a listing may say so. */
const MOST_COPIES = 1000;

/** Lists the models of one server, and remembers which listing it has. */
export class ModelLister {
  readonly #transport: Transport;
  readonly #listings: readonly Listing[];
  readonly #provider: string;
  #remembered: Listing | undefined;
  #rememberedAt = 0;
  /** The first listing has no route, which tells more than that its answer could not be read. */
  #lacksFirst = false;

  constructor(transport: Transport, listings: readonly Listing[], provider: string) {
    this.#transport = transport;
    this.#listings = listings;
    this.#provider = provider;
  }

  /** Asks the server. On to the next listing at an unknown route, a 404 or another shape, at nothing else. */
  async list(options: CallOptions): Promise<ModelInfo[]> {
    const isRecent = performance.now() - this.#rememberedAt <= REMEMBERED_MS;
    const remembered = isRecent ? this.#remembered : undefined;
    const others = this.#listings.filter((listing) => listing !== remembered);
    const startedAt = performance.now();
    let last: unknown;
    for (const listing of remembered === undefined ? others : [remembered, ...others]) {
      try {
        const models = await this.#ask(listing, options, startedAt);
        if (listing !== remembered) this.#rememberedAt = performance.now();
        this.#remembered = listing;
        return models;
      } catch (error) {
        if (!isAbsence(error)) throw error;
        if (listing === this.#listings[0]) this.#lacksFirst = isUnknownRoute(error);
        last = error;
      }
    }
    throw noListing(last);
  }

  /** Whether the listing that tells most was found to be missing, not long ago. */
  get lacksNewest(): boolean {
    return this.#remembered !== undefined && this.#remembered !== this.#listings[0] &&
      this.#lacksFirst && performance.now() - this.#rememberedAt <= REMEMBERED_MS;
  }

  async #ask(listing: Listing, options: CallOptions, startedAt: number): Promise<ModelInfo[]> {
    const { path } = listing;
    const { value, context } = await this.#transport.json(
      { method: "GET", path, policy: "read", action: LISTING_ACTION },
      options,
      LISTING_TIMEOUT_MS,
      startedAt,
    );
    const models = await listing.decode(value, this.#provider);
    if (models === undefined) throw notLMStudio(`${path} gives no list of models`, 200, context);
    return mergeByName(models);
  }
}

/** Whether an error means "not this route", so that another may be tried. */
function isAbsence(error: unknown): boolean {
  if (!isProviderError(error)) return false;
  const { code, status = 0 } = error;
  switch (code) {
    case "not_lm_studio":
      // A redirect, which a browser shows without its status, leads away from this server whatever the route.
      return status >= 200 && (status < 300 || status >= 400);
    case "unexpected_endpoint":
    case "malformed_response":
      return true;
    default:
      return status === 404 || status === 405;
  }
}

/** Whether the server says that it has no such route. */
function isUnknownRoute(error: unknown): boolean {
  return isProviderError(error) &&
    (error.code === "unexpected_endpoint" || error.status === 404 || error.status === 405);
}

/** No listing at all: what the last one said tells why, except where it only said 404. */
function noListing(last: unknown): unknown {
  if (!isProviderError(last, "invalid-request")) return last;
  const { status, service, endpoint, attempts } = last;
  return providerError(
    "not_lm_studio",
    `Cannot ${LISTING_ACTION}: no route for it, the server answers ${status}`,
    {
      service,
      endpoint,
      attempts,
      status,
    },
  );
}

function notLMStudio(state: string, status: number, context: ErrorContext): ApiError {
  return callError({ ...context, action: LISTING_ACTION }, "not_lm_studio", state, { status });
}

function importListingSchemas(): Promise<typeof import("./listing_schemas.ts")> {
  return importSchemas(() => import("./listing_schemas.ts"), LISTING_ACTION);
}

async function decodeV1(value: unknown, provider: string): Promise<ModelInfo[] | undefined> {
  const { parseV1Listing } = await importListingSchemas();
  return parseV1Listing(value)?.map(({ entry, raw }) => fromV1(entry, raw, provider));
}

async function decodeV0(value: unknown, provider: string): Promise<ModelInfo[] | undefined> {
  const { parseV0Listing } = await importListingSchemas();
  return parseV0Listing(value)?.map(({ entry, raw }) => fromV0(entry, raw, provider));
}

/** Decodes `GET /v1/models`: of LM Studio no more than ids, of others what they tell beside them. */
export async function decodeOpenAI(
  value: unknown,
  provider: string,
): Promise<ModelInfo[] | undefined> {
  const { parseOpenAIListing } = await importListingSchemas();
  return parseOpenAIListing(value)?.map(({ entry, raw }) => fromOpenAI(entry, raw, provider));
}

function fromV1(entry: V1Entry, raw: unknown, provider: string): ModelInfo {
  const { key, capabilities } = entry;
  const instances = entry.loaded_instances?.slice(0, MOST_COPIES).map(({ id, config }) =>
    known<LoadedInstance>({
      id,
      contextLength: config?.context_length,
      evalBatchSize: config?.eval_batch_size,
      parallel: config?.parallel,
      flashAttention: config?.flash_attention,
      numExperts: config?.num_experts,
      offloadKvCacheToGpu: config?.offload_kv_cache_to_gpu,
    })
  );
  const { allowed_options: options, default: preset } = capabilities?.reasoning ?? {};
  const isTrained = capabilities?.trained_for_tool_use;
  return toModelInfo({
    id: key,
    name: entry.display_name ?? key,
    provider,
    type: entry.type,
    loaded: instances === undefined ? undefined : instances.length > 0,
    maxContextLength: entry.max_context_length,
    loadedContextLength: instances && answeringCopy({ id: key, instances })?.contextLength,
    publisher: entry.publisher,
    architecture: entry.architecture,
    quantization: entry.quantization?.name,
    format: entry.format,
    params: entry.params_string,
    sizeBytes: entry.size_bytes,
    reasoning: options &&
      known<NonNullable<ModelInfo["reasoning"]>>({ options: [...options], default: preset }),
    variants: entry.variants && [...entry.variants],
    selectedVariant: entry.selected_variant,
    instances,
    raw,
  }, {
    supportsTools: entry.type === "llm" || isTrained === true,
    supportsVision: capabilities?.vision === true,
    supportsReasoning: Boolean(capabilities?.reasoning),
  }, isTrained);
}

/** A map, as a server may call a type `constructor`. */
const V0_TYPES: ReadonlyMap<string, string> = new Map([["vlm", "llm"], [
  "embeddings",
  "embedding",
]]);

function fromV0(entry: V0Entry, raw: unknown, provider: string): ModelInfo {
  const type = V0_TYPES.get(entry.type) ?? entry.type;
  // Before 0.3.16, and where there is nothing else to list, it has no capabilities: that says nothing of tools.
  const isTrained = entry.capabilities?.includes("tool_use");
  return toModelInfo({
    id: entry.id,
    name: entry.id,
    provider,
    type,
    loaded: entry.state === "loaded",
    maxContextLength: entry.max_context_length,
    loadedContextLength: entry.loaded_context_length,
    publisher: entry.publisher,
    architecture: entry.arch,
    quantization: entry.quantization,
    format: entry.compatibility_type,
    raw,
  }, {
    supportsTools: type === "llm" || isTrained === true,
    supportsVision: entry.type === "vlm",
  }, isTrained);
}

function fromOpenAI(entry: OpenAIEntry, raw: unknown, provider: string): ModelInfo {
  const { id, status, meta } = entry;
  // The only sign of what it is; LM Studio names its bundled model so too.
  const type = isNamedForEmbedding(id) ? "embedding" : "llm";
  const loaded = status?.value === undefined || status.value === null
    ? undefined
    : status.value === "loaded";
  return toModelInfo({
    id,
    name: id,
    provider,
    type,
    loaded,
    maxContextLength: meta?.n_ctx_train ?? entry.max_model_len ?? entry.max_context_length ??
      entry.context_length ?? entry.context_window,
    // What one that was unloaded had is no promise of what it gets.
    loadedContextLength: loaded === false ? undefined : meta?.n_ctx,
    raw,
  }, {});
}

function toModelInfo(
  fields: { [K in keyof Omit<ModelInfo, "capabilities">]: ModelInfo[K] | null | undefined },
  told: Partial<ModelCapabilities>,
  trainedForTools?: boolean | null,
): ModelInfo {
  const isEmbedding = fields.type === "embedding";
  const capabilities: ModelCapabilities = {
    maxTokens: maxTokensOf(fields.loadedContextLength, fields.maxContextLength),
    supportsTools: false,
    supportsVision: false,
    supportsStreaming: !isEmbedding,
    supportsEmbeddings: isEmbedding,
    supportsReasoning: false,
    // Nothing a server tells allows a better guess.
    speedTier: "standard",
    qualityTier: "standard",
    ...told,
  };
  if (typeof trainedForTools === "boolean") capabilities.trainedForTools = trainedForTools;
  return known<ModelInfo>({ ...fields, capabilities });
}

/** A copy without what the server does not tell. */
function known<T extends object>(fields: { [K in keyof T]: T[K] | null | undefined }): T {
  const known: Partial<T> = {};
  for (const key in fields) {
    const value = fields[key];
    if (value !== undefined && value !== null) known[key] = value;
  }
  return known as T;
}

/** Some builds list a model several times: once is enough, with the copies and variants of all. */
function mergeByName(models: readonly ModelInfo[]): ModelInfo[] {
  const groups = new Map<string, [ModelInfo, ...ModelInfo[]]>();
  for (const model of models) {
    const group = groups.get(model.id);
    if (group === undefined) groups.set(model.id, [model]);
    else group.push(model);
  }
  return Array.from(groups.values(), (group) => group.length === 1 ? group[0] : merge(group));
}

function merge(group: readonly [ModelInfo, ...ModelInfo[]]): ModelInfo {
  // A loaded one says more.
  const main = group.find(({ loaded }) => loaded === true) ?? group[0];
  const inOrder = [main, ...group.filter((model) => model !== main)];
  const variants = new Set(inOrder.flatMap(({ variants = [] }) => variants));
  const copies = uniqueCopies(inOrder.flatMap(({ instances = [] }) => instances));
  const instances = copies.slice(0, MOST_COPIES);
  const tellCopies = group.some(({ instances }) => instances !== undefined);
  const loadedContextLength = tellCopies
    ? answeringCopy({ id: main.id, instances })?.contextLength
    : smallest(group.map(({ loadedContextLength }) => loadedContextLength));
  return known<ModelInfo>({
    ...main,
    capabilities: {
      ...main.capabilities,
      maxTokens: maxTokensOf(loadedContextLength, main.maxContextLength),
    },
    loadedContextLength,
    variants: variants.size === 0 ? main.variants : [...variants].slice(0, MOST_COPIES),
    instances: tellCopies ? instances : undefined,
  });
}

/** Of a copy that is told twice, that with less context: whoever counts on it is right in any case. */
function uniqueCopies(copies: readonly LoadedInstance[]): LoadedInstance[] {
  const byId = new Map<string, LoadedInstance>();
  for (const copy of copies) {
    const same = byId.get(copy.id);
    const { contextLength = Infinity } = same ?? {};
    if (same === undefined || (copy.contextLength ?? Infinity) < contextLength) {
      byId.set(copy.id, copy);
    }
  }
  return [...byId.values()];
}

function smallest(lengths: readonly (number | undefined)[]): number | undefined {
  return lengths.reduce((a, b) => a === undefined || (b !== undefined && b < a) ? b : a);
}
