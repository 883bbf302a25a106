/** The models of the fake: which are downloaded, which are loaded, and the routes that list them. */

import type { FakeModel } from "./fake_options.ts";
import {
  type Answer,
  isSince,
  jsonAnswer,
  type JsonObject,
  refuse,
  refuseModel,
  type Route,
  sleep,
} from "./fake_wire.ts";

const BUNDLED_EMBEDDING_MODEL: FakeModel = {
  id: "text-embedding-nomic-embed-text-v1.5",
  loaded: false,
  displayName: "Nomic Embed Text v1.5",
  publisher: "nomic-ai",
};

const DEFAULT_MODELS: readonly FakeModel[] = [
  {
    id: "google/gemma-4-26b-a4b",
    displayName: "Gemma 4 26B A4B",
    architecture: "gemma4",
    sizeBytes: 17_990_911_801,
    params: "26B-A4B",
    maxContextLength: 262_144,
    vision: true,
    reasoning: ["off", "on"],
    numExperts: 8,
  },
  {
    id: "openai/gpt-oss-20b",
    loaded: false,
    displayName: "gpt-oss 20B",
    architecture: "gpt-oss",
    quantization: "MXFP4",
    sizeBytes: 12_109_566_560,
    params: "20B",
    reasoning: ["low", "medium", "high"],
    numExperts: 4,
  },
  BUNDLED_EMBEDDING_MODEL,
];

/** What a model is for. */
export type ModelType = NonNullable<FakeModel["type"]>;

/** A loaded instance of a model. */
export interface Instance {
  readonly id: string;
  readonly model: StoredModel;
  readonly contextLength: number;
  /** The rest of its load configuration, with the names on the wire. */
  readonly config: JsonObject;
  /** Whether a request loaded it, so that the next such load unloads it. */
  readonly jit: boolean;
  /** Set when it is unloaded; a generation in progress then has to stop. */
  unloaded: boolean;
}

/** A downloaded model, every value filled in. */
export interface StoredModel {
  readonly id: string;
  readonly type: ModelType;
  readonly displayName: string;
  readonly publisher: string;
  readonly architecture: string;
  readonly quantization: string;
  readonly bitsPerWeight: number;
  readonly format: "gguf" | "mlx";
  readonly sizeBytes: number;
  readonly params: string | null;
  readonly maxContextLength: number;
  readonly contextLength: number;
  readonly tools: boolean;
  readonly vision: boolean;
  readonly reasoning: readonly string[];
  readonly numExperts: number | undefined;
  readonly dimensions: number;
  readonly obeysDimensions: boolean;
  readonly loadError: string | undefined;
  readonly fittingContextLength: number;
  /** The selected variant, such as `google/gemma-4-26b-a4b@q4_k_m`. */
  readonly variant: string;
  /** All downloaded variants, the selected one first. */
  readonly variants: readonly string[];
}

/** How the store behaves. */
export interface ModelStoreOptions {
  readonly version: string;
  readonly listing: "lmstudio" | "llama.cpp" | "vllm";
  /** Entries put before the models in every listing. */
  readonly oddEntries: readonly unknown[];
  readonly jit: boolean;
  readonly jitLoadMs: number;
  readonly substitution: boolean;
  /** Whether a load by a request unloads the model that an earlier request loaded. */
  readonly autoEvict: boolean;
}

/** Load configuration, with the names on the wire. */
export interface FakeLoadConfig {
  readonly context_length?: number;
  readonly [name: string]: unknown;
}

/** The models and their loaded instances. */
export class ModelStore {
  readonly #options: ModelStoreOptions;
  readonly #models: StoredModel[] = [];
  #instances: Instance[] = [];

  constructor(models: readonly (string | FakeModel)[] | undefined, options: ModelStoreOptions) {
    this.#options = options;
    for (const entry of models ?? DEFAULT_MODELS) {
      const given = typeof entry === "string" ? { id: entry } : entry;
      const model = fillIn(given);
      this.#models.push(model);
      for (const instance of given.instances ?? (given.loaded === false ? [] : [model.id])) {
        const { id, contextLength = model.contextLength } = typeof instance === "string"
          ? { id: instance }
          : instance;
        this.#add(model, id, false, { context_length: contextLength });
      }
    }
  }

  /**
   * The instance that serves a request naming this model: a loaded one, one loaded now, or the only loaded
   * model if the name is unknown. Throws a refusal if there is none.
   */
  async acquire(
    name: unknown,
    type: ModelType,
    signal: AbortSignal,
  ): Promise<Instance> {
    const instance = this.#instances.find((instance) => instance.id === name);
    const model = instance?.model ?? this.find(name);
    if (model !== undefined && model.type !== type) {
      throw refuseModel(404, `Failed to load model "${name}". Error: Model is not ${type}.`);
    }
    const loaded = instance ?? this.#instances.find((instance) => instance.model === model);
    if (loaded !== undefined) return loaded;
    if (model !== undefined && this.#options.jit) return await this.#load(model, signal);

    const candidates = this.#instances.filter((instance) => instance.model.type === type);
    const [only] = candidates;
    const isNamed = typeof name === "string" && name !== "";
    if (only !== undefined && candidates.length === 1 && (this.#options.substitution || !isNamed)) {
      return only;
    }
    if (only === undefined && (!isNamed || !this.#options.jit)) throw this.#noModelLoaded();
    throw this.#unknownModel(String(name), type);
  }

  /** The model of this name and the instance that would answer; loads and substitutes nothing. */
  lookUp(name: unknown): { model: StoredModel; instance: Instance | undefined } | undefined {
    const named = this.#instances.find((instance) => instance.id === name);
    const model = named?.model ??
      this.#models.find((model) => model.id === name || model.variant === name);
    if (model === undefined) return undefined;
    return { model, instance: named ?? this.#of(model)[0] };
  }

  /** Loads a model as a request for it does with JIT on. */
  async loadOnRequest(model: StoredModel, signal: AbortSignal): Promise<Instance> {
    return await this.#load(model, signal);
  }

  /** The routes that list models. */
  routes(): Route[] {
    const { listing, oddEntries } = this.#options;
    if (listing !== "lmstudio") {
      const encode = listing === "vllm" ? this.#encodeVllm : this.#encodeLlamaCpp;
      return [{ method: "GET", path: "/v1/models", handle: () => this.#list(encode) }];
    }
    return [
      { method: "GET", path: "/v1/models", handle: () => this.#list(encodeOpenAIModel) },
      {
        method: "GET",
        path: /^\/v1\/models\/(.+)$/,
        handle: ({ params: [id] }) => this.#get(id, encodeOpenAIModel, 404),
      },
      {
        method: "GET",
        path: "/api/v0/models",
        since: "0.3.6",
        handle: () => this.#list(this.#encodeV0),
      },
      {
        method: "GET",
        path: /^\/api\/v0\/models\/(.+)$/,
        since: "0.3.6",
        handle: ({ params: [id] }) => this.#get(id, this.#encodeV0, 400),
      },
      {
        method: "GET",
        path: "/api/v1/models",
        since: "0.4.0",
        handle: () =>
          jsonAnswer({
            models: [
              ...oddEntries,
              ...this.#models.map((model) => encodeV1(model, this.#of(model))),
            ],
          }),
      },
    ];
  }

  #list(encode: EncodeModel): Answer {
    return jsonAnswer(
      {
        data: [
          ...this.#options.oddEntries,
          ...this.#listed().map(([id, model]) => encode(id, model)),
        ],
        object: "list",
      },
      { pretty: true },
    );
  }

  #get(id: string | undefined, encode: EncodeModel, missing: number): Answer {
    const found = this.#listed().find(([listed]) => listed === id);
    if (found === undefined) throw refuse(missing, `Model with identifier '${id}' not found`);
    return jsonAnswer(encode(...found), { pretty: true });
  }

  /** All downloaded models with JIT on, only the loaded ones with JIT off. */
  #listed(): [id: string, model: StoredModel][] {
    return this.#options.jit && this.#options.listing !== "vllm"
      ? this.#models.map((model) => [model.id, model])
      : this.#instances.map(({ id, model }) => [id, model]);
  }

  readonly #encodeV0 = (id: string, model: StoredModel): JsonObject => {
    const loaded = this.#loadedAs(id, model);
    const capabilities = model.tools && isSince(this.#options.version, "0.3.16");
    return {
      id,
      object: "model",
      type: listedType(model),
      publisher: model.publisher,
      arch: model.architecture,
      compatibility_type: model.format,
      quantization: model.quantization,
      state: loaded === undefined ? "not-loaded" : "loaded",
      max_context_length: model.maxContextLength,
      ...(loaded === undefined ? {} : { loaded_context_length: loaded.contextLength }),
      ...(capabilities ? { capabilities: ["tool_use"] } : {}),
    };
  };

  readonly #encodeLlamaCpp = (id: string, model: StoredModel): JsonObject => {
    const loaded = this.#loadedAs(id, model);
    return {
      id,
      aliases: [],
      tags: [],
      object: "model",
      owned_by: "llamacpp",
      created: 1_777_909_820,
      status: { value: loaded === undefined ? "unloaded" : "loaded", args: [] },
      ...(loaded === undefined ? {} : {
        meta: {
          vocab_type: 2,
          n_vocab: 59_392,
          n_ctx: loaded.contextLength,
          n_ctx_train: model.maxContextLength,
          n_embd: model.dimensions,
          size: model.sizeBytes,
        },
      }),
    };
  };

  readonly #encodeVllm = (id: string, model: StoredModel): JsonObject => ({
    id,
    object: "model",
    created: 1_777_909_820,
    owned_by: "vllm",
    root: id,
    parent: null,
    max_model_len: this.#loadedAs(id, model)?.contextLength ?? null,
  });

  /** The instance listed under this id. */
  #loadedAs(id: string, model: StoredModel): Instance | undefined {
    return this.#instances.find((instance) => instance.id === id) ?? this.#of(model)[0];
  }

  #of(model: StoredModel): Instance[] {
    return this.#instances.filter((instance) => instance.model === model);
  }

  async #load(model: StoredModel, signal: AbortSignal): Promise<Instance> {
    await sleep(this.#options.jitLoadMs, signal);
    if (model.loadError !== undefined) {
      throw refuseModel(
        this.#statusOfModelErrors,
        `Failed to load model "${model.id}". Error: ${model.loadError}`,
      );
    }
    const [loadedMeanwhile] = this.#of(model);
    if (loadedMeanwhile !== undefined) return loadedMeanwhile;
    if (this.#options.autoEvict) this.#remove((instance) => instance.jit);
    return this.#add(model, model.id, true);
  }

  /** The downloaded model with this key, or with this selected variant. */
  find(name: unknown): StoredModel | undefined {
    return this.#models.find((model) => model.id === name || model.variant === name);
  }

  /** Whether this is the name of a variant that is downloaded but not selected. */
  isOtherVariant(name: unknown): boolean {
    return this.#models.some(({ variants }) => variants.some((variant) => variant === name));
  }

  /** Adds an instance, one that no load by a request unloads. */
  add(model: StoredModel, config: FakeLoadConfig): Instance {
    let id = model.id;
    for (let number = 2; this.#instances.some((instance) => instance.id === id); number++) {
      id = `${model.id}:${number}`;
    }
    return this.#add(model, id, false, config);
  }

  /** Unloads an instance; returns whether it was loaded. */
  remove(id: unknown): boolean {
    return this.#remove((instance) => instance.id === id);
  }

  /** Adds a model whose download has completed. */
  addModel(given: FakeModel): void {
    this.#models.push(fillIn(given));
  }

  #remove(isMeant: (instance: Instance) => boolean): boolean {
    const before = this.#instances;
    this.#instances = before.filter((instance) => !isMeant(instance));
    for (const instance of before) instance.unloaded ||= isMeant(instance);
    return this.#instances.length < before.length;
  }

  #add(model: StoredModel, id: string, jit: boolean, given: FakeLoadConfig = {}): Instance {
    const { context_length = model.contextLength, ...config } = given;
    // An assumption: no request for more than a model's maximum was observed.
    const { maxContextLength, fittingContextLength } = model;
    const contextLength = Math.min(context_length, maxContextLength, fittingContextLength);
    const instance = { id, model, contextLength, config, jit, unloaded: false };
    this.#instances.push(instance);
    return instance;
  }

  #noModelLoaded(): Error {
    const text = (command: string) =>
      `No models loaded. Please load a model in the developer page or use the ${command} command.`;
    return this.#hasNewErrors
      ? refuse(400, text("'lms load'"))
      : refuseModel(404, text("`lms load`"));
  }

  #unknownModel(name: string, type: ModelType): Error {
    const ids = this.#models.filter((model) => model.type === type).map((model) => model.id);
    if (!this.#hasNewErrors) {
      return refuseModel(
        404,
        `Model "${name}" not found. Please specify a valid model.\n\nYour models:\n\n${
          ids.join("\n")
        }`,
      );
    }
    const advice = ids.length === 0
      ? `There are no downloaded ${type} models.`
      : `Please specify a valid downloaded model (e.g., ${ids.slice(0, 3).join(", ")}).`;
    return refuseModel(400, `Invalid model identifier "${name}". ${advice}`);
  }

  /** Whether errors have the wording and status observed since 2025-11. */
  get #hasNewErrors(): boolean {
    return isSince(this.#options.version, "0.3.31");
  }

  get #statusOfModelErrors(): number {
    return this.#hasNewErrors ? 400 : 404;
  }
}

type EncodeModel = (id: string, model: StoredModel) => JsonObject;

function encodeOpenAIModel(id: string): JsonObject {
  return { id, object: "model", owned_by: "organization_owner" };
}

function listedType({ type, vision }: StoredModel): string {
  if (type === "embedding") return "embeddings";
  return type === "llm" && vision ? "vlm" : type;
}

function encodeV1(model: StoredModel, instances: readonly Instance[]): JsonObject {
  const isLLM = model.type !== "embedding";
  return {
    type: model.type,
    publisher: model.publisher,
    key: model.id,
    display_name: model.displayName,
    ...(isLLM ? { architecture: model.architecture } : {}),
    quantization: { name: model.quantization, bits_per_weight: model.bitsPerWeight },
    size_bytes: model.sizeBytes,
    params_string: model.params,
    loaded_instances: instances.map((instance) => ({
      id: instance.id,
      config: encodeConfig(instance, { parallel: 4 }),
    })),
    max_context_length: model.maxContextLength,
    format: model.format,
    ...(isLLM
      ? {
        capabilities: {
          vision: model.vision,
          trained_for_tool_use: model.tools,
          ...(model.reasoning.length === 0 ? {} : {
            reasoning: { allowed_options: model.reasoning, default: model.reasoning.at(-1) },
          }),
        },
        description: null,
        variants: model.variants,
        selected_variant: model.variant,
      }
      : {}),
  };
}

/** The load configuration in a listing; embedding models have only the context length. */
export function encodeConfig(
  { model, contextLength, config }: Instance,
  more: JsonObject = {},
): JsonObject {
  if (model.type === "embedding") return { context_length: contextLength };
  return {
    context_length: contextLength,
    eval_batch_size: 512,
    ...more,
    flash_attention: true,
    ...(model.numExperts === undefined ? {} : { num_experts: model.numExperts }),
    offload_kv_cache_to_gpu: true,
    ...config,
  };
}

function fillIn(given: FakeModel): StoredModel {
  const type = given.type ?? (given.id.startsWith("text-embedding-") ? "embedding" : "llm");
  const isLLM = type !== "embedding";
  const slash = given.id.indexOf("/");
  const quantization = given.quantization ?? "Q4_K_M";
  const maxContextLength = given.maxContextLength ?? (isLLM ? 131_072 : 2_048);
  const ownVariant = given.id.includes("@")
    ? given.id
    : `${given.id}@${quantization.toLowerCase()}`;
  const variants = given.variants ?? [ownVariant];
  return {
    id: given.id,
    type,
    displayName: given.displayName ?? given.id.slice(slash + 1),
    publisher: given.publisher ?? (slash < 0 ? "lmstudio-community" : given.id.slice(0, slash)),
    architecture: given.architecture ?? (isLLM ? "llama" : "nomic-bert"),
    quantization,
    bitsPerWeight: given.bitsPerWeight ?? 4,
    format: given.format ?? "gguf",
    sizeBytes: given.sizeBytes ?? (isLLM ? 4_920_000_000 : 84_106_624),
    params: given.params ?? null,
    maxContextLength,
    contextLength: given.contextLength ?? Math.min(4_096, maxContextLength),
    tools: given.tools ?? type === "llm",
    vision: given.vision ?? false,
    reasoning: given.reasoning ?? [],
    numExperts: given.numExperts,
    dimensions: given.dimensions ?? 768,
    obeysDimensions: given.obeysDimensions ?? false,
    loadError: given.loadError,
    fittingContextLength: given.fittingContextLength ?? Infinity,
    variant: variants[0] ?? ownVariant,
    variants,
  };
}
