/**
 * Model listings: LM Studio's own, `GET /api/v1/models` (0.4 and later) and `GET /api/v0/models`, and the one of every
 * OpenAI-compatible server, `GET /v1/models`.
 *
 * @see https://lmstudio.ai/docs/developer/rest/list
 * @see https://lmstudio.ai/docs/developer/rest/endpoints
 * @see https://lmstudio.ai/docs/developer/openai-compat/models
 * @module
 */

import { type ApiError, isProviderError, providerError } from "../core/errors.ts";
import { answeringInstance, isNamedForEmbedding, maxTokensOf } from "../core/listed_models.ts";
import { LISTING_ACTION } from "../core/model_names.ts";
import { isRecord, withoutUndefined } from "../core/fields.ts";
import type { CallOptions, LoadedInstance, ModelCapabilities, ModelInfo } from "../core/types.ts";
import { callError, type ErrorContext } from "../transport/error_mapping.ts";
import type { Transport } from "../transport/transport.ts";

/** A listing route and the shape of its answer: LM Studio answers 200 even for unknown routes. */
export interface Listing {
  readonly path: string;
  /** Field of the answer that holds the entries. */
  readonly field: string;
  /** Decodes a model; `undefined` if it is not an entry of this listing. */
  readonly decode: (entry: Entry, provider: string) => ModelInfo | undefined;
}

const OPENAI_LISTING: Listing = { path: "/v1/models", field: "data", decode: decodeOpenAI };

/** LM Studio's listings, most detailed first, and the one of other servers. */
export const LISTINGS: Readonly<Record<"lmstudio" | "openai", readonly Listing[]>> = {
  lmstudio: [
    { path: "/api/v1/models", field: "models", decode: decodeV1 },
    { path: "/api/v0/models", field: "data", decode: decodeV0 },
    OPENAI_LISTING,
  ],
  openai: [OPENAI_LISTING],
};

const LISTING_TIMEOUT_MS = 30_000;
/** Time for which a found listing is used before others are tried: a server may be updated while we run. */
const REMEMBERED_MS = 30_000;
/** Limit on the loaded instances, and the variants, of one model: a listing may claim any number. */
const MOST_PER_MODEL = 1000;
/** Limit on entries: even a listing of bounded size may have millions, and nobody has this many models. */
const MOST_ENTRIES = 50_000;

/** Lists the models of one server, and remembers which listing it serves. */
export class ModelLister {
  readonly #transport: Transport;
  readonly #listings: readonly Listing[];
  readonly #provider: string;
  #remembered: Listing | undefined;
  #rememberedAt = 0;
  /** Whether the first listing's route is missing, rather than its answer unreadable. */
  #lacksFirst = false;

  constructor(transport: Transport, listings: readonly Listing[], provider: string) {
    this.#transport = transport;
    this.#listings = listings;
    this.#provider = provider;
  }

  /** Asks the server. Only an unknown route, a 404 or another shape leads to the next listing. */
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

  /** Whether the most detailed listing was found missing recently. */
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
    const models = decodeListing(listing, value, this.#provider);
    if (models === undefined) {
      throw notLMStudio(`${path} does not return a list of models`, 200, context);
    }
    return mergeByName(models);
  }
}

/** Whether an error means "not this route", so that another may be tried. */
function isAbsence(error: unknown): boolean {
  if (!isProviderError(error)) return false;
  const { code, status = 0 } = error;
  switch (code) {
    case "not_lm_studio":
      // A redirect leads away from this server, whatever the route. Browsers show it without its status.
      return status >= 200 && (status < 300 || status >= 400);
    case "unexpected_endpoint":
    case "malformed_response":
      return true;
    default:
      return status === 404 || status === 405;
  }
}

/** Whether the server says that it does not have this route. */
function isUnknownRoute(error: unknown): boolean {
  return isProviderError(error) &&
    (error.code === "unexpected_endpoint" || error.status === 404 || error.status === 405);
}

/** The error if there is no listing at all: the last one says why, unless it was only a 404. */
function noListing(last: unknown): unknown {
  if (!isProviderError(last, "invalid-request")) return last;
  const { status, service, endpoint, attempts } = last;
  return providerError(
    "not_lm_studio",
    `Cannot ${LISTING_ACTION}: the server has no route for this and answered ${status}`,
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

// --- Decoding ---------------------------------------------------------------------------------

// By hand, field by field: for LM Studio's full listing of 500 models, a zod schema took six times as long as
// `JSON.parse`, and copying each entry and picking the known fields half as long. The fields that identify an entry
// of the listing are required; any other field is left out if it has the wrong type.

/** An entry of a listing as sent. */
type Entry = Readonly<Record<string, unknown>>;

/** The readable models of a list; `undefined` if there are none, since it is then another kind of listing. */
function decodeListing(
  { field, decode }: Listing,
  value: unknown,
  provider: string,
): ModelInfo[] | undefined {
  const list = isRecord(value) ? value[field] : undefined;
  if (!Array.isArray(list)) return undefined;
  const models: ModelInfo[] = [];
  const length = Math.min(list.length, MOST_ENTRIES);
  for (let at = 0; at < length; at++) {
    const entry: unknown = list[at];
    const model = isRecord(entry) ? decode(entry, provider) : undefined;
    if (model !== undefined) models.push(model);
  }
  return models.length === 0 && list.length > 0 ? undefined : models;
}

/** Decodes an entry of `GET /api/v1/models`. */
function decodeV1(entry: Entry, provider: string): ModelInfo | undefined {
  const id = textIn(entry.key);
  const type = textIn(entry.type);
  if (id === undefined || type === undefined) return undefined;
  const capabilities = recordIn(entry.capabilities);
  const isTrained = flagIn(capabilities?.trained_for_tool_use);
  const reasoning = recordIn(capabilities?.reasoning);
  const model = toModelInfo(id, textIn(entry.display_name) ?? id, provider, type, entry);
  model.capabilities.supportsTools = type === "llm" || isTrained === true;
  model.capabilities.supportsVision = capabilities?.vision === true;
  model.capabilities.supportsReasoning = reasoning !== undefined;
  if (isTrained !== undefined) model.capabilities.trainedForTools = isTrained;
  const publisher = textIn(entry.publisher);
  if (publisher !== undefined) model.publisher = publisher;
  const architecture = textIn(entry.architecture);
  if (architecture !== undefined) model.architecture = architecture;
  const quantization = textIn(recordIn(entry.quantization)?.name);
  if (quantization !== undefined) model.quantization = quantization;
  const format = textIn(entry.format);
  if (format !== undefined) model.format = format;
  const params = textIn(entry.params_string);
  if (params !== undefined) model.params = params;
  const sizeBytes = countIn(entry.size_bytes);
  if (sizeBytes !== undefined) model.sizeBytes = sizeBytes;
  const options = textsIn(reasoning?.allowed_options);
  if (options !== undefined) {
    const preset = textIn(reasoning?.default);
    model.reasoning = preset === undefined ? { options } : { options, default: preset };
  }
  const variants = textsIn(entry.variants);
  if (variants !== undefined) model.variants = variants;
  const selectedVariant = textIn(entry.selected_variant);
  if (selectedVariant !== undefined) model.selectedVariant = selectedVariant;
  const instances = instancesIn(entry.loaded_instances);
  if (instances !== undefined) {
    model.loaded = instances.length > 0;
    model.instances = instances;
  }
  setContext(model, lengthIn(entry.max_context_length), answeringInstance(model)?.contextLength);
  return model;
}

/** Decodes loaded instances. A malformed one is left out, without losing the others. */
function instancesIn(list: unknown): LoadedInstance[] | undefined {
  if (!Array.isArray(list)) return undefined;
  const instances: LoadedInstance[] = [];
  for (const instance of list) {
    const id = isRecord(instance) ? textIn(instance.id) : undefined;
    if (id === undefined) continue;
    if (instances.length === MOST_PER_MODEL) break;
    const config = recordIn(instance.config);
    instances.push(withoutUndefined({
      id,
      contextLength: lengthIn(config?.context_length),
      evalBatchSize: countIn(config?.eval_batch_size),
      parallel: countIn(config?.parallel),
      flashAttention: flagIn(config?.flash_attention),
      numExperts: countIn(config?.num_experts),
      offloadKvCacheToGpu: flagIn(config?.offload_kv_cache_to_gpu),
    }));
  }
  return instances;
}

/** A map, because a server may call a type `constructor`. */
const V0_TYPES: ReadonlyMap<string, string> = new Map([["vlm", "llm"], [
  "embeddings",
  "embedding",
]]);

/** Decodes an entry of `GET /api/v0/models`. */
function decodeV0(entry: Entry, provider: string): ModelInfo | undefined {
  const id = textIn(entry.id);
  const ownType = textIn(entry.type);
  const state = textIn(entry.state);
  if (id === undefined || ownType === undefined || state === undefined) return undefined;
  const type = V0_TYPES.get(ownType) ?? ownType;
  // Missing before 0.3.16, and if there is nothing to list, so its absence says nothing about tools.
  const isTrained = textsIn(entry.capabilities)?.includes("tool_use");
  const model = toModelInfo(id, id, provider, type, entry);
  model.capabilities.supportsTools = type === "llm" || isTrained === true;
  model.capabilities.supportsVision = ownType === "vlm";
  if (isTrained !== undefined) model.capabilities.trainedForTools = isTrained;
  model.loaded = state === "loaded";
  const publisher = textIn(entry.publisher);
  if (publisher !== undefined) model.publisher = publisher;
  const architecture = textIn(entry.arch);
  if (architecture !== undefined) model.architecture = architecture;
  const quantization = textIn(entry.quantization);
  if (quantization !== undefined) model.quantization = quantization;
  const format = textIn(entry.compatibility_type);
  if (format !== undefined) model.format = format;
  setContext(model, lengthIn(entry.max_context_length), lengthIn(entry.loaded_context_length));
  return model;
}

/** Decodes an entry of `GET /v1/models`: LM Studio sends only the id, other servers add fields of their own. */
function decodeOpenAI(entry: Entry, provider: string): ModelInfo | undefined {
  const id = textIn(entry.id);
  if (id === undefined) return undefined;
  // The only clue to its type; LM Studio's bundled embedding model is named like this, too.
  const type = isNamedForEmbedding(id) ? "embedding" : "llm";
  const model = toModelInfo(id, id, provider, type, entry);
  // Sent by llama.cpp's router.
  const state = textIn(recordIn(entry.status)?.value);
  if (state !== undefined) model.loaded = state === "loaded";
  // From llama.cpp: the context in training, and the context as loaded.
  const meta = recordIn(entry.meta);
  setContext(
    model,
    lengthIn(meta?.n_ctx_train) ?? lengthIn(entry.max_model_len) /* vLLM */ ??
      lengthIn(entry.max_context_length) ?? lengthIn(entry.context_length) ??
      lengthIn(entry.context_window),
    // The context of an unloaded model says nothing about the next load.
    model.loaded === false ? undefined : lengthIn(meta?.n_ctx),
  );
  return model;
}

/** A model with nothing known but this. */
function toModelInfo(
  id: string,
  name: string,
  provider: string,
  type: string,
  raw: unknown,
): ModelInfo {
  const isEmbedding = type === "embedding";
  const capabilities: ModelCapabilities = {
    maxTokens: maxTokensOf(undefined, undefined),
    supportsTools: false,
    supportsVision: false,
    supportsStreaming: !isEmbedding,
    supportsEmbeddings: isEmbedding,
    supportsReasoning: false,
    // No server sends anything that would allow a better guess.
    speedTier: "standard",
    qualityTier: "standard",
  };
  return { id, name, provider, type, capabilities, raw };
}

function setContext(
  model: ModelInfo,
  maxContextLength: number | undefined,
  loadedContextLength: number | undefined,
): void {
  if (maxContextLength !== undefined) model.maxContextLength = maxContextLength;
  if (loadedContextLength !== undefined) model.loadedContextLength = loadedContextLength;
  model.capabilities.maxTokens = maxTokensOf(loadedContextLength, maxContextLength);
}

function textIn(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

function countIn(value: unknown): number | undefined {
  return typeof value === "number" && value >= 0 && value < Infinity ? value : undefined;
}

/** Reads a context length; some servers write 0 for unknown. */
function lengthIn(value: unknown): number | undefined {
  return value === 0 ? undefined : countIn(value);
}

function flagIn(value: unknown): boolean | undefined {
  return typeof value === "boolean" ? value : undefined;
}

function textsIn(value: unknown): string[] | undefined {
  return Array.isArray(value) ? value.filter((text) => typeof text === "string") : undefined;
}

function recordIn(value: unknown): Entry | undefined {
  return isRecord(value) ? value : undefined;
}

/** Merges entries of the same model, with all their instances and variants: some builds list a model several times. */
function mergeByName(models: ModelInfo[]): ModelInfo[] {
  const names = new Set<string>();
  for (const { id } of models) names.add(id);
  if (names.size === models.length) return models;
  const groups = new Map<string, [ModelInfo, ...ModelInfo[]]>();
  for (const model of models) {
    const group = groups.get(model.id);
    if (group === undefined) groups.set(model.id, [model]);
    else group.push(model);
  }
  return Array.from(groups.values(), (group) => group.length === 1 ? group[0] : merge(group));
}

function merge(group: readonly [ModelInfo, ...ModelInfo[]]): ModelInfo {
  // A loaded entry has more detail.
  const main = group.find(({ loaded }) => loaded === true) ?? group[0];
  const inOrder = [main, ...group.filter((model) => model !== main)];
  const variants = new Set(inOrder.flatMap(({ variants = [] }) => variants));
  const all = uniqueInstances(inOrder.flatMap(({ instances = [] }) => instances));
  const instances = all.slice(0, MOST_PER_MODEL);
  const tellInstances = group.some(({ instances }) => instances !== undefined);
  const loadedContextLength = tellInstances
    ? answeringInstance({ id: main.id, instances })?.contextLength
    : smallest(group.map(({ loadedContextLength }) => loadedContextLength));
  return withoutUndefined({
    ...main,
    capabilities: {
      ...main.capabilities,
      maxTokens: maxTokensOf(loadedContextLength, main.maxContextLength),
    },
    loadedContextLength,
    variants: variants.size === 0 ? main.variants : [...variants].slice(0, MOST_PER_MODEL),
    instances: tellInstances ? instances : undefined,
  });
}

/** Of two entries for the same instance, keeps the one with less context, which is safe to rely on. */
function uniqueInstances(instances: readonly LoadedInstance[]): LoadedInstance[] {
  const byId = new Map<string, LoadedInstance>();
  for (const instance of instances) {
    const same = byId.get(instance.id);
    const { contextLength = Infinity } = same ?? {};
    if (same === undefined || (instance.contextLength ?? Infinity) < contextLength) {
      byId.set(instance.id, instance);
    }
  }
  return [...byId.values()];
}

function smallest(lengths: readonly (number | undefined)[]): number | undefined {
  return lengths.reduce((a, b) => a === undefined || (b !== undefined && b < a) ? b : a);
}
