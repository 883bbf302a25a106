/**
 * One server, as every call needs it: the way to it, which model to ask, and whether it was that one that answered.
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

/** Properties of one kind of server. */
export interface Dialect {
  /** Name for people, such as `LM Studio`. */
  readonly service: string;
  /** Name for programs, such as `lmstudio`. */
  readonly provider: string;
  readonly listings: ListedServer["dialect"]["listings"];
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

/** Settings that name a model for calls that name none, by its type in listings. */
const MODEL_SETTINGS = {
  llm: "model",
  embedding: "embeddingModel",
  decision: "decisionModel",
} as const;

/** Kept for the next server: an `import()` takes a turn even of what is there. */
let loaded: typeof import("./models.ts") | undefined;

/** One server: the way to it, and its models. */
export class Server implements ListedServer {
  readonly config: ResolvedConfig;
  readonly service: string;
  readonly transport: Transport;
  readonly dialect: Dialect;
  /** Loaded with the first question about them: a request that names its model needs none. */
  #models: ListedModels | undefined;
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
    this.dialect = dialect;
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
  }

  /** The models of the server. @param action completes "Cannot …". */
  async models(action: string, signal: AbortSignal | undefined): Promise<ListedModels> {
    if (loaded === undefined) {
      const load = importOnUse(() => import("./models.ts"), action);
      loaded = await untilAborted(load, signal);
    }
    // Of two that came at once, the first has begun to remember.
    return this.#models ??= new loaded.ListedModels(this);
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
    return async (url, path, failed) => {
      const signal = streamSignal ?? options.signal;
      // `timeoutMs` is not for streams.
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

  /** As `ListedModels.list`. */
  async list(options: CallOptions, action: string): Promise<ModelInfo[]> {
    // Without a turn where they are loaded: the signal is listened to at once.
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

  /** The last listing, if it is at most `maxAgeMs` old. Not to be changed. */
  recentModels(maxAgeMs: number): readonly ModelInfo[] | undefined {
    return this.#models?.recent(maxAgeMs);
  }

  /** The models have changed: nothing that was listed before counts any more. */
  dropListing(): void {
    this.#models?.drop();
  }

  /** Whether the last listing, not long ago, showed a server without the routes of the newest API. */
  get lacksNewestApi(): boolean {
    return this.#models?.lacksNewest === true;
  }

  /** The model as it was listed last, however long ago; nothing is asked. */
  listed(model: string): ModelInfo | undefined {
    return this.#models?.listed(model);
  }

  /**
   * A request with the model it is for: the one that is named, else the configured one, else the one that is loaded.
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
      // Without a listing the names alone decide.
      if (!isProviderError(error)) throw error;
    }
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
    // Messages and prompts were checked to be text: writing a long conversation twice takes as long as sending it.
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

/** The type of model that gives such an answer. */
function typeOfAnswer(response: ComparedAnswer | undefined): ModelType {
  if (response === undefined) return "llm";
  return "embeddings" in response ? "embedding" : "answers" in response ? "decision" : "llm";
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
