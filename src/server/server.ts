/**
 * One server as every call needs it: sending requests, choosing a model, and checking which model answered.
 *
 * @module
 */

import type { FetchImage } from "../api/images.ts";
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
import { isProviderError, providerError } from "../core/errors.ts";
import { quote } from "../core/fields.ts";
import { isSameModel, LISTING_ACTION } from "../core/model_names.ts";
import { checkCallOptions, nonEmptyText, type RefusalMaker, refusalMaker } from "../core/checks.ts";
import { describeUnwritable } from "../core/plain_text.ts";
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
import type { ListedModels, ListedServer, Substitution } from "./models.ts";

/** Properties of a kind of server. */
export interface Dialect {
  /** Name to show, such as `LM Studio`. */
  readonly service: string;
  /** Name in code, such as `lmstudio`. */
  readonly provider: string;
  readonly listings: ListedServer["dialect"]["listings"];
  /** Whether the server may answer with a model other than the one requested. */
  readonly substitutesModels: boolean;
  /** Whether loading a model for a request may evict another, even in the middle of an answer. */
  readonly mayEvict: boolean;
  /** Simultaneous generations of one model, if neither the configuration nor a listing says. */
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

/** Any server with `/v1`. Only the server knows how many requests it can answer at a time: some, a hundred. */
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

/** Dialects by the type that discovery reports. For Ollama, only the OpenAI-compatible routes are used. */
export const DIALECTS: Readonly<Record<ServiceType, Dialect>> = {
  lmstudio: LM_STUDIO,
  ollama: openAICompatible("ollama", "Ollama"),
};

/** A request with the model that is to answer it. */
export interface AddressedRequest {
  readonly model: string;
  readonly body: Record<string, unknown>;
  /** Completes "Cannot …". */
  readonly action: string;
}

/** A prompt and the number of tokens that the server counted for it. */
export interface CountedPrompt {
  readonly model: string;
  readonly body: Readonly<Record<string, unknown>>;
  readonly promptTokens: number;
}

const MAX_COUNTED = 8;
/** Longer prompts are not kept: what they teach is not worth the memory. */
const MAX_COUNTED_TOKENS = 32_768;

/** Answers of the routes that compare the answering model with the requested one. */
export type ComparedAnswer = NonNullable<ModelSubstitution["response"]>;

/** Settings that name the model for calls that name none, by model type. */
const MODEL_SETTINGS = {
  llm: "model",
  embedding: "embeddingModel",
  decision: "decisionModel",
} as const;

/** Kept for the next server: even a cached `import()` costs a turn of the event loop. */
let loaded: typeof import("./models.ts") | undefined;

/** One server and its models. */
export class Server implements ListedServer {
  readonly config: ResolvedConfig;
  readonly service: string;
  readonly transport: Transport;
  readonly dialect: Dialect;
  /** Imported when first needed: a request that names its model does not need it. */
  #models: ListedModels | undefined;
  /** Oldest first. */
  #counted: CountedPrompt[] = [];

  constructor(
    config: ResolvedConfig,
    dialect: Dialect,
    env: Readonly<Record<string, string | undefined>> | undefined,
    cascade: Pick<ResolvedCascade, "entries" | "unauthorizedHint">,
  ) {
    this.config = config;
    this.service = dialect.service;
    this.dialect = dialect;
    const { service } = dialect;
    const lookElsewhere = dialect.provider === "lmstudio"
      ? (baseUrl: string, signal: AbortSignal) =>
        // If the hint cannot be found, the error it belongs to must still be thrown.
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
  }

  /** The models of the server. @param action completes "Cannot …". */
  async models(action: string, signal: AbortSignal | undefined): Promise<ListedModels> {
    if (loaded === undefined) {
      const load = importOnUse(() => import("./models.ts"), action);
      loaded = await untilAborted(load, signal);
    }
    // If two calls get here at once, both use the first one's instance, with its cache.
    return this.#models ??= new loaded.ListedModels(this);
  }

  /** Makes errors for one kind of call; `action` completes "Cannot …". */
  refusalMaker(action: string): RefusalMaker {
    return refusalMaker(action, this.service);
  }

  /** Keeps the prompt of a call without `contextOverflowPolicy`, for the first call with one to learn from. */
  noteCounted(prompt: CountedPrompt): void {
    const { body: { messages }, promptTokens } = prompt;
    const isText = Array.isArray(messages) &&
      messages.every(({ content }) => typeof content === "string");
    // Prompts with images are not kept either.
    if (!isText || promptTokens > MAX_COUNTED_TOKENS) return;
    if (this.#counted.push(prompt) > MAX_COUNTED) this.#counted.shift();
  }

  /** Returns the counted prompts and forgets them. */
  takeCounted(): readonly CountedPrompt[] {
    const counted = this.#counted;
    this.#counted = [];
    return counted;
  }

  /** The tag pairs to search answers for. @param own the request's, used instead of the configured ones. */
  thinkTags(own: readonly ReasoningTags[] | undefined): ThinkTags {
    return thinkTags(own ?? this.config.reasoningTags);
  }

  /** Makes the image fetcher for one call. @param streamSignal the stream's, used instead of the caller's. */
  imageFetcher(action: string, options: CallOptions, streamSignal?: AbortSignal): FetchImage {
    return async (url, path, failed) => {
      const signal = streamSignal ?? options.signal;
      // `timeoutMs` does not apply to streams.
      const timeoutMs = streamSignal === undefined
        ? options.timeoutMs ?? this.config.timeoutMs
        : Infinity;
      const { fetch } = this.config;
      const limits = { fetch, action, refusal: this.refusalMaker(action), signal, timeoutMs };
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

  /** Returns whether the server has a model, as `ModelProvider.supportsModel`. */
  async supportsModel(model: string, options: CallOptions | undefined): Promise<boolean> {
    return await this.#lookUp(model, options, "look up a model") !== undefined;
  }

  /** Returns the capabilities of a model, as `ModelProvider.modelCapabilities`. */
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
    nonEmptyText(model, "model", refusal);
    return await this.find(model, checked, action);
  }

  /** As `ListedModels.list`. */
  async list(options: CallOptions, action: string): Promise<ModelInfo[]> {
    // Without an extra `await` once it is imported: the signal must be heeded from the start.
    this.#models ??= loaded && new loaded.ListedModels(this);
    return await (this.#models ?? await this.models(action, options.signal)).list(options, action);
  }

  /** As `ListedModels.listTogether`. */
  async listTogether(options: CallOptions, action: string): Promise<readonly ModelInfo[]> {
    return await (await this.models(action, options.signal)).listTogether(options, action);
  }

  /** As `ListedModels.find`. */
  async find(name: string, options: CallOptions, action: string): Promise<ModelInfo | undefined> {
    return await (await this.models(action, options.signal)).find(name, options, action);
  }

  /** As `Dialect.mayEvict`. */
  get mayEvict(): boolean {
    return this.dialect.mayEvict;
  }

  /** As `Dialect.usualParallel`. */
  get usualParallel(): number {
    return this.dialect.usualParallel;
  }

  /** The last listing, if it is at most `maxAgeMs` old. It must not be changed. */
  recentModels(maxAgeMs: number): readonly ModelInfo[] | undefined {
    return this.#models?.recent(maxAgeMs);
  }

  /** Drops the listing: the server's models have changed. */
  dropListing(): void {
    this.#models?.drop();
  }

  /** Whether a recent listing showed a server without the routes of the newest API. */
  get lacksNewestApi(): boolean {
    return this.#models?.lacksNewest === true;
  }

  /** The model in the last listing, whatever its age; sends nothing. */
  listed(model: string): ModelInfo | undefined {
    return this.#models?.listed(model);
  }

  /**
   * A request with its model: the one named, or else the configured one, or else the loaded one.
   *
   * @param fields of the request: what cannot be written is refused before the server is asked what is loaded.
   */
  withModel(
    action: string,
    named: string | undefined,
    fields: Readonly<Record<string, unknown>>,
    options: CallOptions,
    type: ModelType = "llm",
  ): AddressedRequest | Promise<AddressedRequest> {
    const own = named ?? this.config[MODEL_SETTINGS[type]];
    if (own === undefined) return this.#chooseModel(action, fields, options, type);
    return this.#address(action, own, own, fields);
  }

  async #chooseModel(
    action: string,
    fields: Readonly<Record<string, unknown>>,
    options: CallOptions,
    type: ModelType,
  ): Promise<AddressedRequest> {
    this.#checkWritable(action, fields);
    const models = await this.models(action, options.signal);
    const model = await models.choose(action, options, fields, type);
    return this.#address(action, model, this.words(options, fields)(model), fields);
  }

  /** @param shown the model's name made safe to show: a listed name may echo a secret. */
  #address(
    action: string,
    model: string,
    shown: string,
    fields: Readonly<Record<string, unknown>>,
  ): AddressedRequest {
    return { model, body: { model, ...fields }, action: `${action} with model ${quote(shown)}` };
  }

  /** Makes text from this server safe to show in errors. @param body whose prompts are masked if they are echoed. */
  words(options: CallOptions, body?: Readonly<Record<string, unknown>>): (text: string) => string {
    return wordsOf(this.config, options, body);
  }

  /** Options for the rest of a call: `timeoutMs` covers all of it. */
  remaining(options: CallOptions, startedAt: number): CallOptions {
    const timeoutMs = options.timeoutMs ?? this.config.timeoutMs;
    if (timeoutMs === undefined) return options;
    return { ...options, timeoutMs: Math.max(1, timeoutMs - (performance.now() - startedAt)) };
  }

  /**
   * Checks which model answered: the server may use another one under status 200, without saying so.
   *
   * @throws {ModelNotAvailableError} code `model_substituted`, unless the configuration says otherwise.
   */
  checkAnswer(
    addressed: AddressedRequest,
    answered: string,
    options: CallOptions,
    arrived: Partial<ArrivedAnswer<ComparedAnswer>>,
  ): Promise<void> | undefined {
    const policy: OnModelSubstituted = this.config.onModelSubstituted;
    if (!this.dialect.substitutesModels || policy === "ignore") return undefined;
    if (answered === "" || isSameModel(addressed.model, answered)) return undefined;
    return this.#checkOther(addressed, answered, options, arrived, policy);
  }

  async #checkOther(
    { model: requested, action, body }: AddressedRequest,
    answered: string,
    options: CallOptions,
    arrived: Partial<ArrivedAnswer<ComparedAnswer>>,
    policy: Exclude<OnModelSubstituted, "ignore">,
  ): Promise<void> {
    const show = this.words(options, body);
    let substitution: Substitution | undefined;
    try {
      const models = await this.models(action, options.signal);
      const type = typeOfAnswer(arrived.response);
      substitution = await models.explainSubstitution(requested, answered, type, options, show);
      if (substitution === undefined) return;
    } catch (error) {
      options.signal?.throwIfAborted();
      // Without a listing, the names alone decide.
      if (!isProviderError(error)) throw error;
    }
    if (policy !== "throw") {
      const { response } = arrived;
      const told: unknown = policy({
        requested,
        answered,
        ...(response === undefined ? {} : { response }),
      });
      // An async callback is awaited, but an abort ends the wait.
      if (told instanceof Promise) await untilAborted(told, options.signal);
      return;
    }
    throw providerError(
      "model_substituted",
      `Cannot ${action}: the model ${quote(show(answered))} answered instead${
        substitution?.reason ?? ""
      }`,
      {
        service: this.service,
        endpoint: this.config.baseUrl,
        hint: substitution?.hint,
        model: shownModel(requested, action, show),
        available: substitution?.available,
        response: arrived.response,
        partial: arrived.partial ?? partialOf(arrived.response),
      },
    );
  }

  #checkWritable(action: string, fields: Readonly<Record<string, unknown>>): void {
    // Messages and prompts are already known to be text: writing a long conversation twice takes as long as sending it.
    const { messages: _messages, prompt: _prompt, ...own } = fields;
    try {
      JSON.stringify(own);
    } catch (cause) {
      throw providerError(
        "serialization_failed",
        `Cannot ${action}: ${describeUnwritable(own)} cannot be written as JSON`,
        {
          service: this.service,
          endpoint: this.config.baseUrl,
          attempts: 0,
          cause,
        },
      );
    }
  }
}

/** The type of model that gave this answer. */
function typeOfAnswer(response: ComparedAnswer | undefined): ModelType {
  if (response === undefined) return "llm";
  return "embeddings" in response ? "embedding" : "answers" in response ? "decision" : "llm";
}

/** The parts of an answer that errors carry; embeddings and decisions have none. */
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
