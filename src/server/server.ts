/**
 * One server, as every call needs it: the way to it, which model to ask, and whether it was that one that answered.
 *
 * @module
 */

import type { FetchImage } from "../api/images.ts";
import type { LISTINGS, ModelLister } from "../api/models.ts";
import type { ArrivedAnswer, ModelType } from "../api/route.ts";
import { importOnUse } from "../core/import_on_use.ts";
import { type ThinkTags, thinkTags } from "../api/think_splitter.ts";
import {
  isSet,
  type ModelSubstitution,
  type OnModelSubstituted,
  type ResolvedCascade,
  type ResolvedConfig,
} from "../core/config.ts";
import { isProviderError, providerError, toldAs } from "../core/errors.ts";
import { quote } from "../core/fields.ts";
import {
  asAsked,
  findModel,
  isSameListedModel,
  isSameModel,
  LISTING_ACTION,
  namesIn,
  nearestNames,
} from "../core/model_names.ts";
import { checkCallOptions, nonEmptyText, type RefusalMaker, refusalMaker } from "../core/checks.ts";
import type { ServiceType } from "../core/services.ts";
import type {
  CallOptions,
  ModelCapabilities,
  ModelInfo,
  PartialAnswer,
  ReasoningTags,
} from "../core/types.ts";
import { shownModel } from "../transport/error_mapping.ts";
import { wordsOf } from "../transport/redact.ts";
import { untilAborted } from "../transport/timers.ts";
import { Transport } from "../transport/transport.ts";
import {
  type ChoiceContext,
  MAX_AVAILABLE,
  MODEL_CHOICES,
  ModelCache,
  OVERRIDE_TYPE,
  shownIds,
  shownNearest,
} from "./models.ts";

/** Properties of one kind of server. */
export interface Dialect {
  /** Name for people, such as `LM Studio`. */
  readonly service: string;
  /** Name for programs, such as `lmstudio`. */
  readonly provider: string;
  readonly listings: keyof typeof LISTINGS;
  /** Whether the server may let another model answer than the one asked for. */
  readonly substitutesModels: boolean;
  /** Whether loading a model for a request may throw another out, even in the middle of its answer. */
  readonly mayEvict: boolean;
  /** Generations of one model at a time, where neither the configuration nor a listing tells. */
  readonly usualParallel: number;
}

/** LM Studio, with its own listings. */
export const LM_STUDIO: Dialect = {
  service: "LM Studio",
  provider: "lmstudio",
  listings: "lmstudio",
  substitutesModels: true,
  mayEvict: true,
  usualParallel: 4,
};

/** Any server with `/v1`. How many it answers at a time only it knows: some a hundred. */
export function openAICompatible(provider: string, service: string): Dialect {
  return {
    service,
    provider,
    listings: "openai",
    substitutesModels: false,
    mayEvict: false,
    usualParallel: Infinity,
  };
}

/** Dialects by the type that discovery tells. Ollama is only ever asked by its OpenAI-compatible routes. */
export const DIALECTS: Readonly<Record<ServiceType, Dialect>> = {
  lmstudio: LM_STUDIO,
  ollama: openAICompatible("ollama", "Ollama"),
};

/** A request that says which model is to answer. */
export interface AddressedRequest {
  readonly model: string;
  readonly body: Record<string, unknown>;
  /** Completes "Cannot …". */
  readonly action: string;
}

/** A prompt, and the tokens that the server counted of it. */
export interface CountedPrompt {
  readonly model: string;
  readonly body: Readonly<Record<string, unknown>>;
  readonly promptTokens: number;
}

const MAX_COUNTED = 8;
/** Longer prompts are not kept in memory for what they may teach. */
const MAX_COUNTED_TOKENS = 32_768;

/** Answers of the routes whose model is compared with the one asked for. */
export type ComparedAnswer = NonNullable<ModelSubstitution["response"]>;

/** A choice of model may rest on a listing this old: a chat must not ask twice a second what is loaded. */
const CHOICE_MAX_AGE_MS = 2000;

/** Codes of embeddings by a model that LM Studio takes for another type. */
const WRONG_TYPE_CODES: ReadonlySet<string> = new Set([
  "no_model_loaded",
  "model_not_found",
  "wrong_model_type",
]);
const TAKEN_FOR_LLM = "the server takes it for a language model";
const USE_EMBEDDING_MODEL = `Use an embedding model, or if this is one: ${OVERRIDE_TYPE}`;

/** One server: the way to it, and its models. */
export class Server {
  readonly config: ResolvedConfig;
  readonly service: string;
  readonly transport: Transport;
  readonly #dialect: Dialect;
  /** Loaded with the first listing: a request that names its model needs none. */
  #lister: ModelLister | undefined;
  readonly #cache: ModelCache;
  /** The newest last. */
  #counted: CountedPrompt[] = [];

  constructor(
    config: ResolvedConfig,
    dialect: Dialect,
    env: Readonly<Record<string, string | undefined>> | undefined,
    cascade: Pick<ResolvedCascade, "entries" | "unauthorizedHint">,
  ) {
    this.config = config;
    this.service = dialect.service;
    this.#dialect = dialect;
    const { service } = dialect;
    const lookElsewhere = dialect.provider === "lmstudio"
      ? (baseUrl: string, signal: AbortSignal) =>
        // A hint that cannot be had must not stand in the way of the error it is for.
        import("../discovery/elsewhere.ts").then(
          ({ findElsewhere }) => findElsewhere(baseUrl, signal, env),
          () => undefined,
        )
      : undefined;
    this.transport = new Transport({
      ...config,
      isIdleTimeoutDefault: !isSet(cascade, "idleTimeoutMs"),
      service,
      env,
      unauthorizedHint: cascade.unauthorizedHint,
      lookElsewhere,
    });
    this.#cache = new ModelCache(async (options) => {
      const lister = this.#lister ?? await untilAborted(this.#loadLister(), options.signal);
      return await lister.list(options);
    });
  }

  async #loadLister(): Promise<ModelLister> {
    const { LISTINGS, ModelLister } = await importOnUse(
      () => import("../api/models.ts"),
      LISTING_ACTION,
    );
    const { listings, provider } = this.#dialect;
    // Of two that came at once, the first has begun to remember.
    return this.#lister ??= new ModelLister(this.transport, LISTINGS[listings], provider);
  }

  /** Makes the errors of one kind of call; `action` completes "Cannot …". */
  refusalMaker(action: string): RefusalMaker {
    return refusalMaker(action, this.service);
  }

  /** Keeps a prompt of a call without a `contextOverflowPolicy`: the first call with one learns from it. */
  noteCounted(prompt: CountedPrompt): void {
    const { body: { messages }, promptTokens } = prompt;
    const isText = Array.isArray(messages) &&
      messages.every(({ content }) => typeof content === "string");
    // Nor images.
    if (!isText || promptTokens > MAX_COUNTED_TOKENS) return;
    if (this.#counted.push(prompt) > MAX_COUNTED) this.#counted.shift();
  }

  /** Gives the prompts that were counted, once. */
  takeCounted(): readonly CountedPrompt[] {
    const counted = this.#counted;
    this.#counted = [];
    return counted;
  }

  /** The tags that the text of an answer is searched for. @param own of the request, in place of the configured ones. */
  thinkTags(own: readonly ReasoningTags[] | undefined): ThinkTags {
    return thinkTags(own ?? this.config.reasoningTags);
  }

  /** Fetches the images of one call. @param streamSignal of a stream, in place of the caller's. */
  imageFetcher(action: string, options: CallOptions, streamSignal?: AbortSignal): FetchImage {
    const signal = streamSignal ?? options.signal;
    // `timeoutMs` is not for streams.
    const timeoutMs = streamSignal === undefined
      ? options.timeoutMs ?? this.config.timeoutMs
      : Infinity;
    const { fetch } = this.config;
    const limits = { fetch, action, refusal: this.refusalMaker(action), signal, timeoutMs };
    return async (url, path, failed) => {
      const load = () => import("../transport/fetch_file.ts");
      const { fetchFile } = await importOnUse(load, action);
      return await fetchFile(url, path, limits, failed);
    };
  }

  /** Lists models, as `ModelProvider.listModels`. */
  async listModels(options: CallOptions | undefined): Promise<ModelInfo[]> {
    return await this.list(
      checkCallOptions(options, this.refusalMaker(LISTING_ACTION)),
      LISTING_ACTION,
    );
  }

  /** Tells whether there is a model, as `ModelProvider.supportsModel`. */
  async supportsModel(model: string, options: CallOptions | undefined): Promise<boolean> {
    return await this.#lookUp(model, options, "look up a model") !== undefined;
  }

  /** Gives the capabilities of a model, as `ModelProvider.modelCapabilities`. */
  async modelCapabilities(
    model: string,
    options: CallOptions | undefined,
  ): Promise<ModelCapabilities | undefined> {
    const found = await this.#lookUp(model, options, "look up a model's capabilities");
    return found === undefined ? undefined : { ...found.capabilities };
  }

  async #lookUp(
    model: string,
    options: CallOptions | undefined,
    action: string,
  ): Promise<ModelInfo | undefined> {
    const refusal = this.refusalMaker(action);
    const checked = checkCallOptions(options, refusal);
    nonEmptyText(model ?? null, "model", refusal);
    return await this.find(model, checked, action);
  }

  /** Lists what the server has now. The array is the caller's. @param action completes "Cannot …". */
  async list(options: CallOptions, action: string): Promise<ModelInfo[]> {
    const models = await toldAs(LISTING_ACTION, action, () => this.#cache.ask(options));
    // The cache must not change when the caller sorts or edits what it got.
    return models.map(copyModel);
  }

  /** Lists what the server has now, asked for together with whoever asks at the same time. Not to be changed. */
  async listTogether(options: CallOptions, action: string): Promise<readonly ModelInfo[]> {
    return await toldAs(LISTING_ACTION, action, () => this.#cache.refresh(options));
  }

  /** As `Dialect.mayEvict`. */
  get mayEvict(): boolean {
    return this.#dialect.mayEvict;
  }

  /** As `Dialect.usualParallel`. */
  get usualParallel(): number {
    return this.#dialect.usualParallel;
  }

  /** The last listing, if it is at most `maxAgeMs` old. Not to be changed. */
  recentModels(maxAgeMs: number): readonly ModelInfo[] | undefined {
    return this.#cache.recent(maxAgeMs);
  }

  /** The models have changed: nothing that was listed before counts any more. */
  dropListing(): void {
    this.#cache.drop();
  }

  /** Whether the last listing, not long ago, showed a server without the routes of the newest API. */
  get lacksNewestApi(): boolean {
    return this.#lister?.lacksNewest === true;
  }

  /** The model of this name, under any spelling; `undefined` where there is none or the server cannot say. */
  async find(
    model: string,
    options: CallOptions,
    action: string,
  ): Promise<ModelInfo | undefined> {
    try {
      options.signal?.throwIfAborted();
      const known = findModel(this.#cache.recent(this.config.modelCacheTtlMs) ?? [], model);
      // A model that is not there may be new.
      const found = known ?? findModel(await this.listTogether(options, action), model);
      return found && asAsked(found, model);
    } catch (error) {
      options.signal?.throwIfAborted();
      // "Cannot say" is an answer here, unlike everywhere else. A broken installation is none.
      if (isProviderError(error) && error.kind !== "unknown") return undefined;
      throw error;
    }
  }

  /** The model as it was listed last, however long ago; nothing is asked. */
  listed(model: string): ModelInfo | undefined {
    const found = findModel(this.#cache.recent(Infinity) ?? [], model);
    return found && asAsked(found, model);
  }

  /**
   * A request with the model it is for: the one that is named, else the configured one, else the one that is loaded.
   *
   * @param fields of the request: what cannot be written is refused before the server is asked what is loaded.
   */
  async withModel(
    action: string,
    named: string | undefined,
    fields: Readonly<Record<string, unknown>>,
    options: CallOptions,
    type: ModelType = "llm",
  ): Promise<AddressedRequest> {
    const { setting, choose } = MODEL_CHOICES[type];
    const own = named ?? this.config[setting];
    if (own !== undefined) return this.#address(action, own, own, fields);
    this.#checkWritable(action, fields);
    const models = await this.#recent(options, action);
    const model = choose(models, this.#choiceContext(action, options, fields));
    return this.#address(action, model, this.words(options, fields)(model), fields);
  }

  /** @param shown the model's name as it may stand in errors: one that was listed may be an echo. */
  #address(
    action: string,
    model: string,
    shown: string,
    fields: Readonly<Record<string, unknown>>,
  ): AddressedRequest {
    return { model, body: { model, ...fields }, action: `${action} with model ${quote(shown)}` };
  }

  /** Shows what this server says in the errors of a call. @param body an echo of its prompts is masked. */
  words(options: CallOptions, body?: Readonly<Record<string, unknown>>): (text: string) => string {
    return wordsOf(this.config, options, body);
  }

  /** Options for what is still to be done in a call: `timeoutMs` is for all of it. */
  remaining(options: CallOptions, startedAt: number): CallOptions {
    const timeoutMs = options.timeoutMs ?? this.config.timeoutMs;
    if (timeoutMs === undefined) return options;
    return { ...options, timeoutMs: Math.max(1, timeoutMs - (performance.now() - startedAt)) };
  }

  /**
   * The wrong model may answer, under 200 and without a word.
   *
   * @throws {ModelNotAvailableError} code `model_substituted`, unless the configuration says otherwise.
   */
  async checkAnswer(
    { model: requested, action, body }: AddressedRequest,
    answered: string,
    options: CallOptions,
    arrived: Partial<ArrivedAnswer<ComparedAnswer>>,
  ): Promise<void> {
    const policy: OnModelSubstituted = this.config.onModelSubstituted;
    if (!this.#dialect.substitutesModels || policy === "ignore") return;
    if (answered === "" || isSameModel(requested, answered)) return;
    // An alias that is younger than the listing is no substitution.
    const known = this.#cache.recent(CHOICE_MAX_AGE_MS) ?? [];
    if (isSameListedModel(known, requested, answered)) return;
    const models = await this.#listingForNames(options);
    if (isSameListedModel(models, requested, answered)) return;
    if (policy !== "throw") {
      const { response } = arrived;
      const told: unknown = policy({
        requested,
        answered,
        ...(response === undefined ? {} : { response }),
      });
      // An async callback is waited for, but not longer than the caller waits.
      if (told instanceof Promise) await untilAborted(told, options.signal);
      return;
    }
    const wanted = typeOfAnswer(arrived.response);
    const isEmbedding = wanted === "embedding";
    const candidates = models.filter(({ type }) =>
      wanted === "llm" ? type !== "embedding" && type !== "decision" : type === wanted
    );
    const show = this.words(options, body);
    const listed = findModel(models, requested);
    const isMistaken = isEmbedding && listed !== undefined && isTakenForLLM(listed);
    const near = nearestNames(namesIn(candidates), requested, MAX_AVAILABLE);
    const reason = isMistaken
      ? `; ${TAKEN_FOR_LLM}`
      : listed === undefined && near.length > 0
      ? `; the server does not have ${quote(requested)}, ${shownNearest(near, show)}`
      : "";
    throw providerError(
      "model_substituted",
      `Cannot ${action}: the model ${quote(show(answered))} answered instead${reason}`,
      {
        service: this.service,
        endpoint: this.config.baseUrl,
        hint: isMistaken ? USE_EMBEDDING_MODEL : undefined,
        model: shownModel(requested, action, show),
        available: candidates.length === 0 ? undefined : shownIds(candidates, show),
        response: arrived.response,
        partial: arrived.partial ?? partialOf(arrived.response),
      },
    );
  }

  /**
   * The error of an embedding, where it failed because LM Studio takes the model for a language model: then it says that
   * no model is loaded, or does not know it.
   */
  async explainEmbeddingFailure(
    action: string,
    model: string,
    error: unknown,
    options: CallOptions,
  ): Promise<unknown> {
    if (this.#dialect.provider !== "lmstudio" || !isProviderError(error)) return error;
    if (!WRONG_TYPE_CODES.has(error.code)) return error;
    const listed = await this.find(model, options, action);
    if (listed === undefined || !isTakenForLLM(listed)) return error;
    const { endpoint, attempts, status } = error;
    return providerError("wrong_model_type", `Cannot ${action}: ${TAKEN_FOR_LLM}`, {
      service: this.service,
      endpoint,
      attempts,
      status,
      hint: USE_EMBEDDING_MODEL,
      model,
      cause: error,
    });
  }

  /** An alias is known only from the listing; without one the names alone decide. */
  async #listingForNames(options: CallOptions): Promise<readonly ModelInfo[]> {
    try {
      return await this.#cache.refresh(options);
    } catch (error) {
      options.signal?.throwIfAborted();
      if (isProviderError(error)) return [];
      throw error;
    }
  }

  #checkWritable(action: string, fields: Readonly<Record<string, unknown>>): void {
    // Messages and prompts were checked to be text: writing a long conversation twice takes as long as sending it.
    const { messages: _messages, prompt: _prompt, ...own } = fields;
    try {
      JSON.stringify(own);
    } catch (cause) {
      throw providerError(
        "serialization_failed",
        `Cannot ${action}: the request cannot be written as JSON`,
        {
          service: this.service,
          endpoint: this.config.baseUrl,
          attempts: 0,
          cause,
        },
      );
    }
  }

  /** A listing to choose a model from. */
  async #recent(options: CallOptions, action: string): Promise<readonly ModelInfo[]> {
    const ask = () => this.#cache.get(CHOICE_MAX_AGE_MS, options);
    return await toldAs(LISTING_ACTION, action, ask);
  }

  #choiceContext(
    action: string,
    options: CallOptions,
    fields: Readonly<Record<string, unknown>>,
  ): ChoiceContext {
    const { service, config } = this;
    return { action, service, endpoint: config.baseUrl, show: this.words(options, fields) };
  }
}

/** The type of model that gives such an answer. */
function typeOfAnswer(response: ComparedAnswer | undefined): ModelType {
  if (response === undefined) return "llm";
  return "embeddings" in response ? "embedding" : "answers" in response ? "decision" : "llm";
}

/** Of a listing that tells types; the one that tells ids alone does not tell what is loaded either. */
function isTakenForLLM({ type, loaded }: ModelInfo): boolean {
  return type !== "embedding" && loaded !== undefined;
}

/**
 * A copy that may be edited. By hand: `structuredClone` took a third of the time of a listing, and has no stack for
 * what is nested thousands of times. `raw` is the server's, and nothing here reads it again.
 */
function copyModel(model: ModelInfo): ModelInfo {
  const copy = { ...model };
  copy.capabilities = { ...copy.capabilities };
  if (copy.variants !== undefined) copy.variants = [...copy.variants];
  if (copy.instances !== undefined) {
    copy.instances = copy.instances.map((instance) => ({ ...instance }));
  }
  if (copy.reasoning !== undefined) {
    copy.reasoning = { ...copy.reasoning, options: [...copy.reasoning.options] };
  }
  return copy;
}

/** The parts of an answer that errors carry; of embeddings and decisions none. */
export function partialOf(response: ComparedAnswer | undefined): PartialAnswer | undefined {
  if (response === undefined || "embeddings" in response || "answers" in response) return undefined;
  if ("output" in response) {
    const { text, reasoning, toolCalls } = response;
    return { content: text, ...(reasoning === undefined ? {} : { reasoning }), toolCalls };
  }
  if ("text" in response) return { content: response.text, toolCalls: [] };
  const { content, reasoning, toolCalls } = response;
  return { content, ...(reasoning === undefined ? {} : { reasoning }), toolCalls };
}
