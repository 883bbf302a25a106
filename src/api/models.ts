/**
 * The models of a server: LM Studio's own listings, `GET /api/v1/models` (0.4 and later) and
 * `GET /api/v0/models`, and the one every OpenAI-compatible server has, `GET /v1/models`.
 *
 * @see https://lmstudio.ai/docs/developer/rest/list
 * @see https://lmstudio.ai/docs/developer/rest/endpoints
 * @see https://lmstudio.ai/docs/developer/openai-compat/models
 * @module
 */

import { withoutUndefined } from "../core/fields.ts";
import { ApiError, isProviderError } from "../core/errors.ts";
import type { CallOptions, LoadedInstance, ModelCapabilities, ModelInfo } from "../core/types.ts";
import type { ErrorContext } from "../transport/error_mapping.ts";
import type { Transport } from "../transport/transport.ts";
import type { V0Entry, V1Entry } from "./listing_schemas.ts";
import { importSchemas } from "./schema_import.ts";

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

const LISTING_TIMEOUT_MS = 30_000;
/** A server may be updated while we run; until this long after, it is taken for the old one. */
const REMEMBERED_MS = 30_000;
/** Servers that tell no context length: what the framework assumes. */
const DEFAULT_MAX_TOKENS = 4096;

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
      { method: "GET", path, policy: "read", action: "list models" },
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
  return new ApiError(`Cannot list models: no route for it, the server answers ${status}`, {
    code: "not_lm_studio",
    service,
    endpoint,
    attempts,
    status,
  });
}

function notLMStudio(state: string, status: number, context: ErrorContext): ApiError {
  return new ApiError(`Cannot list models: ${state}`, {
    ...context,
    code: "not_lm_studio",
    status,
  });
}

function importListingSchemas(): Promise<typeof import("./listing_schemas.ts")> {
  return importSchemas(() => import("./listing_schemas.ts"), "list models");
}

async function decodeV1(value: unknown, provider: string): Promise<ModelInfo[] | undefined> {
  const { parseV1Listing } = await importListingSchemas();
  return parseV1Listing(value)?.map((entry, index) =>
    fromV1(entry, rawEntry(value, "models", index), provider)
  );
}

async function decodeV0(value: unknown, provider: string): Promise<ModelInfo[] | undefined> {
  const { parseV0Listing } = await importListingSchemas();
  return parseV0Listing(value)?.map((entry, index) =>
    fromV0(entry, rawEntry(value, "data", index), provider)
  );
}

/** Decodes `GET /v1/models`, which tells no more than ids. */
export async function decodeOpenAI(
  value: unknown,
  provider: string,
): Promise<ModelInfo[] | undefined> {
  const { parseOpenAIListing } = await importListingSchemas();
  return parseOpenAIListing(value)?.map(({ id }, index) => {
    // The only sign of what it is; LM Studio names its bundled model so too.
    const type = /(?:^|[-_/.])embed/i.test(id) ? "embedding" : "llm";
    return toModelInfo({ id, name: id, provider, type, raw: rawEntry(value, "data", index) }, {});
  });
}

/** An entry before validation, which drops what it does not know. */
function rawEntry(value: unknown, key: "models" | "data", index: number): unknown {
  return (value as { readonly [key: string]: readonly unknown[] })[key]?.[index];
}

function fromV1(entry: V1Entry, raw: unknown, provider: string): ModelInfo {
  const instances = entry.loaded_instances?.map(({ id, config }): LoadedInstance =>
    withoutUndefined({
      id,
      contextLength: config?.context_length,
      evalBatchSize: config?.eval_batch_size,
      parallel: config?.parallel,
      flashAttention: config?.flash_attention,
      numExperts: config?.num_experts,
      offloadKvCacheToGpu: config?.offload_kv_cache_to_gpu,
    })
  );
  return toModelInfo({
    id: entry.key,
    name: entry.display_name ?? entry.key,
    provider,
    type: entry.type,
    loaded: instances === undefined ? undefined : instances.length > 0,
    maxContextLength: entry.max_context_length,
    loadedContextLength: instances?.[0]?.contextLength,
    publisher: entry.publisher,
    architecture: entry.architecture,
    quantization: entry.quantization?.name,
    format: entry.format,
    params: entry.params_string,
    sizeBytes: entry.size_bytes,
    variants: entry.variants,
    instances,
    raw,
  }, {
    supportsTools: entry.capabilities?.trained_for_tool_use === true,
    supportsVision: entry.capabilities?.vision === true,
    supportsReasoning: entry.capabilities?.reasoning !== undefined,
  });
}

/** A map, as a server may call a type `constructor`. */
const V0_TYPES: ReadonlyMap<string, string> = new Map([["vlm", "llm"], [
  "embeddings",
  "embedding",
]]);

function fromV0(entry: V0Entry, raw: unknown, provider: string): ModelInfo {
  const type = V0_TYPES.get(entry.type) ?? entry.type;
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
    supportsTools: entry.capabilities?.includes("tool_use") === true,
    supportsVision: entry.type === "vlm",
  });
}

function toModelInfo(
  fields: { [K in keyof Omit<ModelInfo, "capabilities">]: ModelInfo[K] | undefined },
  known: Partial<ModelCapabilities>,
): ModelInfo {
  const isEmbedding = fields.type === "embedding";
  const capabilities: ModelCapabilities = {
    maxTokens: fields.loadedContextLength ?? fields.maxContextLength ?? DEFAULT_MAX_TOKENS,
    supportsTools: false,
    supportsVision: false,
    supportsStreaming: !isEmbedding,
    supportsEmbeddings: isEmbedding,
    supportsReasoning: false,
    // Nothing a server tells allows a better guess.
    speedTier: "standard",
    qualityTier: "standard",
    ...known,
  };
  return withoutUndefined({ ...fields, capabilities }) as ModelInfo;
}

/** Some builds list a model several times: once is enough, with the copies and variants of all. */
function mergeByName(models: readonly ModelInfo[]): ModelInfo[] {
  const byId = new Map<string, ModelInfo>();
  for (const model of models) {
    const known = byId.get(model.id);
    byId.set(model.id, known === undefined ? model : merge(known, model));
  }
  return [...byId.values()];
}

function merge(first: ModelInfo, second: ModelInfo): ModelInfo {
  // The loaded one says more.
  const [main, other] = first.loaded !== true && second.loaded === true
    ? [second, first]
    : [first, second];
  const variants = main.variants ?? other.variants;
  const instances = main.instances ?? other.instances;
  const added = (other.instances ?? []).filter(({ id }) =>
    !instances?.some((instance) => instance.id === id)
  );
  return {
    ...main,
    ...(variants === undefined
      ? {}
      : { variants: [...new Set([...variants, ...other.variants ?? []])] }),
    ...(instances === undefined ? {} : { instances: [...instances, ...added] }),
  };
}
