/**
 * The `ModelProvider` methods over one server. What differs between kinds of servers is in a `Dialect`.
 *
 * @module
 */

import { requestCompletion } from "../api/chat.ts";
import { checkCompletionRequest } from "../api/chat_checks.ts";
import { encodeCompletionRequest } from "../api/chat_request.ts";
import { ChatStream } from "../api/chat_stream.ts";
import { type Listing, ModelLister } from "../api/models.ts";
import type { OnModelSubstituted, ResolvedConfig } from "../core/config.ts";
import { isProviderError, ModelNotAvailableError } from "../core/errors.ts";
import { quote } from "../core/fields.ts";
import { findModel, isSameListedModel, isSameModel } from "../core/model_names.ts";
import { checkCallOptions, checkName, refusal, type Refuse } from "../core/request_checks.ts";
import type {
  CallOptions,
  CompletionRequest,
  CompletionResponse,
  CompletionStream,
  EmbeddingRequest,
  EmbeddingResponse,
  ModelCapabilities,
  ModelInfo,
  PartialAnswer,
} from "../core/types.ts";
import { untilAborted } from "../transport/timers.ts";
import { Transport } from "../transport/transport.ts";
import { LazyCompletionStream } from "./completion_stream.ts";
import { checkEmbeddingRequest, embedInBatches } from "./embedding.ts";
import { ModelCache } from "./model_cache.ts";
import { chooseChatModel, chooseEmbeddingModel } from "./model_choice.ts";

/** What one kind of server does its own way. */
export interface Dialect {
  /** Name for people, such as `LM Studio`. */
  readonly service: string;
  /** Name for programs, such as `lmstudio`. */
  readonly provider: string;
  readonly listings: readonly Listing[];
  /** Whether the server may let another model answer than the one asked for. */
  readonly substitutesModels: boolean;
}

/** A choice of model may rest on a listing this old: a chat must not ask twice a second what is loaded. */
const CHOICE_MAX_AGE_MS = 2000;

/** Everything a provider does, but its name. */
export class Engine {
  readonly transport: Transport;
  readonly #config: ResolvedConfig;
  readonly #dialect: Dialect;
  readonly #lister: ModelLister;
  readonly #models: ModelCache;

  constructor(
    config: ResolvedConfig,
    dialect: Dialect,
    env: Readonly<Record<string, string | undefined>> | undefined,
  ) {
    this.#config = config;
    this.#dialect = dialect;
    this.transport = new Transport({ ...config, service: dialect.service, env });
    this.#lister = new ModelLister(this.transport, dialect.listings, dialect.provider);
    this.#models = new ModelCache((options) => this.#lister.list(options));
  }

  /** As `ModelProvider.listModels`. */
  async listModels(options: CallOptions | undefined): Promise<ModelInfo[]> {
    const checked = checkCallOptions(options, this.#refuse("list models"));
    const models = await this.#lister.list(checked);
    this.#models.put(models);
    // The cache must not change when the caller sorts or edits what it got.
    return structuredClone(models);
  }

  /** As `ModelProvider.complete`. */
  async complete(
    input: string | CompletionRequest,
    options: CallOptions | undefined,
  ): Promise<CompletionResponse> {
    const startedAt = performance.now();
    const { request, checked, fields } = await this.#encode("complete", input, options);
    const model = request.model ?? await this.#chooseChatModel("complete", checked);
    const action = `complete with model ${quote(model)}`;
    const body = { model, ...fields };
    const response = await requestCompletion(this.transport, body, action, checked, startedAt);
    const rest = this.#rest(checked, startedAt);
    await this.#checkAnswer(action, model, response.model, rest, { response });
    return response;
  }

  /** As `ModelProvider.streamCompletion`. */
  streamCompletion(
    input: string | CompletionRequest,
    options: CallOptions | undefined,
  ): CompletionStream {
    const label = { action: "stream a completion", service: this.#dialect.service };
    const open = async (signal: AbortSignal): Promise<ChatStream> => {
      const { request, checked, fields } = await this.#encode(label.action, input, options);
      const own: CallOptions = { ...checked, signal };
      const model = request.model ?? await this.#chooseChatModel(label.action, own);
      const action = `${label.action} with model ${quote(model)}`;
      return new ChatStream(this.transport, {
        body: { model, ...fields },
        action,
        options: own,
        onModel: (answered, arrived) => this.#checkAnswer(action, model, answered, own, arrived),
      });
    };
    return new LazyCompletionStream(open, options?.signal, label);
  }

  /** As `ModelProvider.embed`. */
  async embed(
    input: EmbeddingRequest,
    options: CallOptions | undefined,
  ): Promise<EmbeddingResponse> {
    const startedAt = performance.now();
    const refuse = this.#refuse("embed");
    const checked = checkCallOptions(options, refuse);
    const request = checkEmbeddingRequest(input, refuse);
    const model = request.model ?? this.#config.embeddingModel ??
      chooseEmbeddingModel(
        await this.#models.get(CHOICE_MAX_AGE_MS, checked),
        this.#choiceContext("embed"),
      );
    const action = `embed with model ${quote(model)}`;
    const known = new Set<string>();
    const onBatch = async (response: EmbeddingResponse, signal: AbortSignal): Promise<void> => {
      // Every batch may be answered by another model; each is told once.
      if (known.has(response.model)) return;
      known.add(response.model);
      const rest = { ...this.#rest(checked, startedAt), signal };
      await this.#checkAnswer(action, model, response.model, rest, { response });
    };
    const batch = { transport: this.transport, model, action, options: checked, startedAt };
    return await embedInBatches(request, batch, onBatch);
  }

  /** As `ModelProvider.supportsModel`. */
  async supportsModel(model: string, options: CallOptions | undefined): Promise<boolean> {
    return await this.#find(model, options, "look up a model") !== undefined;
  }

  /** As `ModelProvider.modelCapabilities`. */
  async modelCapabilities(
    model: string,
    options: CallOptions | undefined,
  ): Promise<ModelCapabilities | undefined> {
    const found = await this.#find(model, options, "look up a model's capabilities");
    return found === undefined ? undefined : { ...found.capabilities };
  }

  #refuse(action: string): Refuse {
    return refusal(action, this.#dialect.service);
  }

  /** Everything that can be refused is, before anything is sent. */
  async #encode(
    action: string,
    input: unknown,
    options: unknown,
  ): Promise<{
    request: CompletionRequest;
    checked: CallOptions;
    fields: Record<string, unknown>;
  }> {
    const refuse = this.#refuse(action);
    const checked = checkCallOptions(options, refuse);
    const request = checkCompletionRequest(input, refuse);
    const fields = await encodeCompletionRequest(request, refuse);
    return { request: { ...request, model: request.model ?? this.#config.model }, checked, fields };
  }

  /** Options for what is still to be done in a call: `timeoutMs` is for all of it. */
  #rest(options: CallOptions, startedAt: number): CallOptions {
    const timeoutMs = options.timeoutMs ?? this.#config.timeoutMs;
    if (timeoutMs === undefined) return options;
    return { ...options, timeoutMs: Math.max(1, timeoutMs - (performance.now() - startedAt)) };
  }

  async #chooseChatModel(action: string, options: CallOptions): Promise<string> {
    const models = await this.#models.get(CHOICE_MAX_AGE_MS, options);
    return chooseChatModel(models, this.#choiceContext(action));
  }

  #choiceContext(action: string): { action: string; service: string; endpoint: string } {
    return { action, service: this.#dialect.service, endpoint: this.#config.baseUrl };
  }

  async #find(
    model: string,
    options: CallOptions | undefined,
    action: string,
  ): Promise<ModelInfo | undefined> {
    const refuse = this.#refuse(action);
    const checked = checkCallOptions(options, refuse);
    checkName("model", model ?? null, refuse);
    try {
      checked.signal?.throwIfAborted();
      const known = findModel(this.#models.recent(this.#config.modelCacheTtlMs) ?? [], model);
      // A model that is not there may be new.
      return known ?? findModel(await this.#models.refresh(checked), model);
    } catch (error) {
      checked.signal?.throwIfAborted();
      // "Cannot say" is an answer here, unlike everywhere else.
      if (isProviderError(error)) return undefined;
      throw error;
    }
  }

  /** The wrong model may answer, under 200 and without a word. */
  async #checkAnswer(
    action: string,
    requested: string,
    answered: string,
    options: CallOptions,
    arrived: {
      response?: CompletionResponse | EmbeddingResponse | undefined;
      partial?: PartialAnswer | undefined;
    },
  ): Promise<void> {
    const policy: OnModelSubstituted = this.#config.onModelSubstituted;
    if (!this.#dialect.substitutesModels || policy === "ignore") return;
    if (answered === "" || isSameModel(requested, answered)) return;
    // An alias that is younger than the listing is no substitution.
    const known = this.#models.recent(CHOICE_MAX_AGE_MS) ?? [];
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
    const isEmbedding = arrived.response !== undefined && "embeddings" in arrived.response;
    const candidates = models.filter(({ type }) => (type === "embedding") === isEmbedding);
    throw new ModelNotAvailableError(
      `Cannot ${action}: the model ${quote(answered)} answered instead`,
      {
        code: "model_substituted",
        service: this.#dialect.service,
        endpoint: this.#config.baseUrl,
        model: requested,
        available: candidates.length === 0 ? undefined : candidates.map(({ id }) => id),
        response: arrived.response,
        partial: arrived.partial ?? partialOf(arrived.response),
      },
    );
  }

  /** An alias is known only from the listing; without one the names alone decide. */
  async #listingForNames(options: CallOptions): Promise<readonly ModelInfo[]> {
    try {
      return await this.#models.refresh(options);
    } catch (error) {
      options.signal?.throwIfAborted();
      if (isProviderError(error)) return [];
      throw error;
    }
  }
}

function partialOf(
  response: CompletionResponse | EmbeddingResponse | undefined,
): PartialAnswer | undefined {
  if (response === undefined || !("content" in response)) return undefined;
  const { content, reasoning, toolCalls } = response;
  return { content, ...(reasoning === undefined ? {} : { reasoning }), toolCalls };
}
