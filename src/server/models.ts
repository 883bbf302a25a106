/**
 * The models of one server, loaded with the first question about them: the last listing, which of it a name means, the
 * choice of one where none is named, and what the listing says of a wrong answer.
 *
 * @module
 */

import { LISTINGS, ModelLister } from "../api/models.ts";
import type { ModelType } from "../api/route.ts";
import type { ResolvedConfig } from "../core/config.ts";
import { isProviderError, type ModelNotAvailableError, providerError } from "../core/errors.ts";
import { quote } from "../core/fields.ts";
import {
  answeringCopy,
  asAsked,
  findModel,
  isNamedForEmbedding,
  isSameListedModel,
  namesIn,
  nearestNames,
  withoutCopies,
} from "../core/listed_models.ts";
import { LISTING_ACTION } from "../core/model_names.ts";
import { cutText } from "../core/plain_text.ts";
import { toldAs } from "../core/renamed_errors.ts";
import type { CallOptions, ModelInfo } from "../core/types.ts";
import { untilAborted } from "../transport/timers.ts";
import type { Transport } from "../transport/transport.ts";

/** The server whose models they are. */
export interface ListedServer {
  readonly config: ResolvedConfig;
  readonly service: string;
  readonly transport: Transport;
  readonly dialect: { readonly provider: string; readonly listings: keyof typeof LISTINGS };
  words(options: CallOptions, body?: Readonly<Record<string, unknown>>): (text: string) => string;
}

/** A choice of model may rest on a listing this old: a chat must not ask twice a second what is loaded. */
const CHOICE_MAX_AGE_MS = 2000;

/** Where LM Studio has what it takes a model for. */
const OVERRIDE_TYPE: string =
  'in LM Studio, under My Models, the gear beside it, set "Override Domain Type" to "Text Embedding" (newer versions ' +
  "have this for GGUF models only).";
/** State of an embedding by a model that LM Studio takes for another type. */
export const TAKEN_FOR_LLM = "the server takes it for a language model";
/** Its remedy. */
export const USE_EMBEDDING_MODEL: string =
  `Use an embedding model, or if this is one: ${OVERRIDE_TYPE}`;

/** Part of the error of an answer by another model than the one asked for. */
export interface Substitution {
  /** The end of what happened. */
  readonly reason: string;
  readonly hint: string | undefined;
  readonly available: readonly string[] | undefined;
}

/** The models of one server. */
export class ListedModels {
  readonly #server: ListedServer;
  readonly #lister: ModelLister;
  readonly #cache: ModelCache;

  constructor(server: ListedServer) {
    const { transport, dialect: { listings, provider } } = server;
    this.#server = server;
    this.#lister = new ModelLister(transport, LISTINGS[listings], provider);
    this.#cache = new ModelCache((options) => this.#lister.list(options));
  }

  /** Whether the last listing, not long ago, showed a server without the routes of the newest API. */
  get lacksNewest(): boolean {
    return this.#lister.lacksNewest;
  }

  /** Forgets what was listed: the server's models have changed. */
  drop(): void {
    this.#cache.drop();
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

  /** The model of this name, under any spelling; `undefined` where there is none or the server cannot say. */
  async find(name: string, options: CallOptions, action: string): Promise<ModelInfo | undefined> {
    try {
      options.signal?.throwIfAborted();
      const { modelCacheTtlMs } = this.#server.config;
      const known = findModel(this.#cache.recent(modelCacheTtlMs) ?? [], name);
      // A model that is not there may be new.
      const found = known ?? findModel(await this.listTogether(options, action), name);
      return found && asAsked(found, name);
    } catch (error) {
      options.signal?.throwIfAborted();
      // "Cannot say" is an answer here, unlike everywhere else. A broken installation is none.
      if (isProviderError(error) && error.kind !== "unknown") return undefined;
      throw error;
    }
  }

  /** The last listing, if it is at most `maxAgeMs` old. Not to be changed. */
  recent(maxAgeMs: number): readonly ModelInfo[] | undefined {
    return this.#cache.recent(maxAgeMs);
  }

  /** The model as it was listed last, however long ago; nothing is asked. */
  listed(name: string): ModelInfo | undefined {
    const found = findModel(this.#cache.recent(Infinity) ?? [], name);
    return found && asAsked(found, name);
  }

  /** Chooses the model of a call that names none. @param fields of its request. */
  async choose(
    action: string,
    options: CallOptions,
    fields: Readonly<Record<string, unknown>>,
    type: ModelType,
  ): Promise<string> {
    const { service, config } = this.#server;
    const show = this.#server.words(options, fields);
    const ask = () => this.#cache.get(CHOICE_MAX_AGE_MS, options);
    const models = await toldAs(LISTING_ACTION, action, ask);
    return CHOICES[type](models, { action, service, endpoint: config.baseUrl, show });
  }

  /**
   * What the listing says of an answer by another model; `undefined` where it has both names for one: an alias that is
   * younger than the last listing is no substitution.
   */
  async explainSubstitution(
    requested: string,
    answered: string,
    wanted: ModelType,
    options: CallOptions,
    show: (text: string) => string,
  ): Promise<Substitution | undefined> {
    const known = this.#cache.recent(CHOICE_MAX_AGE_MS) ?? [];
    if (isSameListedModel(known, requested, answered)) return undefined;
    const models = await this.#cache.refresh(options);
    if (isSameListedModel(models, requested, answered)) return undefined;
    const candidates = models.filter(({ type }) =>
      wanted === "llm" ? type !== "embedding" && type !== "decision" : type === wanted
    );
    const listed = findModel(models, requested);
    const isMistaken = wanted === "embedding" && listed !== undefined && isTakenForLLM(listed);
    const near = nearestNames(namesIn(candidates), requested, MAX_AVAILABLE);
    const reason = isMistaken
      ? `; ${TAKEN_FOR_LLM}`
      : listed === undefined && near.length > 0
      ? `; the server does not have ${quote(requested)}, ${shownNearest(near, show)}`
      : "";
    return {
      reason,
      hint: isMistaken ? USE_EMBEDDING_MODEL : undefined,
      available: candidates.length === 0 ? undefined : shownIds(candidates, show),
    };
  }
}

/** Whether the server takes a model for one that writes: of a listing that tells types; the one that tells ids alone does not tell what is loaded either. */
export function isTakenForLLM({ type, loaded }: ModelInfo): boolean {
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

// --- The last listing ---------------------------------------------------------------------------

/** A listing under way, and how many wait for it. */
interface Round {
  readonly models: Promise<ModelInfo[]>;
  readonly controller: AbortController;
  waiting: number;
}

/** Remembers a listing; callers who ask at the same time share one request. */
class ModelCache {
  readonly #list: (options: CallOptions) => Promise<ModelInfo[]>;
  #models: readonly ModelInfo[] | undefined;
  #listedAt = 0;
  /** How often it was dropped. */
  #drops = 0;
  /** By the options they were asked with: a limit of one caller, or its headers, are not another's. */
  readonly #rounds = new Map<string, Round>();

  constructor(list: (options: CallOptions) => Promise<ModelInfo[]>) {
    this.#list = list;
  }

  /** A listing at most `maxAgeMs` old. */
  async get(maxAgeMs: number, options: CallOptions): Promise<readonly ModelInfo[]> {
    options.signal?.throwIfAborted();
    return this.recent(maxAgeMs) ?? await this.refresh(options);
  }

  /** The last listing, if it is at most `maxAgeMs` old. */
  recent(maxAgeMs: number): readonly ModelInfo[] | undefined {
    return performance.now() - this.#listedAt <= maxAgeMs ? this.#models : undefined;
  }

  /** A new listing. */
  async refresh(options: CallOptions): Promise<readonly ModelInfo[]> {
    options.signal?.throwIfAborted();
    const { signal, onStatus: _, onQueue: __, ...rest } = options;
    // A limit runs from each caller's own beginning: who comes later must not get what is left of another's.
    if (rest.timeoutMs !== undefined) return await this.ask(options);
    const key = keyOf(rest);
    const round = this.#rounds.get(key) ?? this.#begin(key, rest);
    round.waiting++;
    try {
      return await untilAborted(round.models, signal);
    } finally {
      round.waiting--;
      // Nobody waits any more: one caller's abort must not fail the others, the last one's ends it.
      if (round.waiting === 0) {
        if (this.#rounds.get(key) === round) this.#rounds.delete(key);
        round.controller.abort();
      }
    }
  }

  /** A new listing that is shared with nobody. */
  async ask(options: CallOptions): Promise<ModelInfo[]> {
    const drops = this.#drops;
    const models = await this.#list(options);
    // Asked before the models changed, it may say what was.
    if (drops === this.#drops) {
      this.#models = models;
      this.#listedAt = performance.now();
    }
    return models;
  }

  /** Forgets the listing, and what listings under way will say: the server's models have changed. */
  drop(): void {
    this.#models = undefined;
    // Who waits for one goes on waiting; who comes now begins another.
    this.#rounds.clear();
    this.#drops++;
  }

  #begin(key: string, options: CallOptions): Round {
    const controller = new AbortController();
    const models = this.ask({ ...options, signal: controller.signal });
    // Every waiter may have left by the time it fails.
    models.catch(() => {});
    const round: Round = { models, controller, waiting: 0 };
    this.#rounds.set(key, round);
    return round;
  }
}

/** Equal for equal options. */
function keyOf(options: CallOptions): string {
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  // JSON has no `Infinity`.
  return JSON.stringify(given.sort(), (_, value) => value === Infinity ? "Infinity" : value);
}

// --- The choice ---------------------------------------------------------------------------------

/** Of `available` in an error: more than anybody reads. */
export const MAX_AVAILABLE = 200;
const LONGEST_NAME = 80;
/** Of names that are like one which is not there. */
const SHOWN_NEAREST = 3;

/** The call that a model is chosen for. */
interface ChoiceContext {
  /** Completes "Cannot …" in errors. */
  readonly action: string;
  readonly service: string;
  readonly endpoint: string;
  /** Shows what the server wrote. */
  readonly show: (text: string) => string;
}

/** Chooses a model by its type in listings. */
const CHOICES: Readonly<
  Record<ModelType, (models: readonly ModelInfo[], context: ChoiceContext) => string>
> = {
  llm: chooseLLM,
  embedding: (models, context) =>
    chooseByType("embedding", "embeddingModel", models, context, noEmbeddingModel),
  // That listings have this type is assumed: it is the word of LM Studio's SDK.
  decision: (models, context) =>
    chooseByType("decision", "decisionModel", models, context, noDecisionModel),
};

/**
 * The one loaded LLM; where the server does not tell what is loaded, the only LLM it lists.
 *
 * @throws {ModelNotAvailableError} code `no_model_loaded`, naming the candidates.
 */
function chooseLLM(models: readonly ModelInfo[], context: ChoiceContext): string {
  const candidates = models.filter((model) => model.type === "llm");
  const isStateKnown = candidates.some((model) => model.loaded !== undefined);
  const eligible = withoutCopies(
    isStateKnown ? candidates.filter((model) => model.loaded === true) : candidates,
  );
  const [only] = eligible;
  if (only !== undefined && eligible.length === 1) return nameToAsk(only);
  const state = eligible.length > 1
    ? isStateKnown
      ? `no model was named and several are loaded (${names(eligible, context)})`
      : `no model was named and the server has several (${names(eligible, context)})`
    : candidates.length > 0
    ? `no model was named and none is loaded (downloaded: ${names(candidates, context)})`
    : "no model was named and the server lists no language model";
  const hint = eligible.length > 1
    ? "Name one of them as `model`, in the request or in the provider's options."
    : undefined;
  throw noModel(state, eligible.length > 0 ? eligible : candidates, hint, context);
}

/**
 * The loaded model of a type that is no LLM, else the only one listed.
 *
 * @param none makes the error where the server lists none.
 * @throws {ModelNotAvailableError} code `no_model_loaded`, naming the candidates.
 */
function chooseByType(
  type: "embedding" | "decision",
  setting: string,
  models: readonly ModelInfo[],
  context: ChoiceContext,
  none: (models: readonly ModelInfo[], context: ChoiceContext) => ModelNotAvailableError,
): string {
  const candidates = models.filter((model) => model.type === type);
  const loaded = candidates.filter((model) => model.loaded === true);
  const eligible = withoutCopies(loaded.length > 0 ? loaded : candidates);
  const [only] = eligible;
  if (only !== undefined && eligible.length === 1) return nameToAsk(only);
  if (candidates.length === 0) throw none(models, context);
  const state = `no model was named and the server has several for ${type}s (${
    names(eligible, context)
  })`;
  const hint =
    `Name one of them as \`model\` in the request, or as \`${setting}\` in the provider's options.`;
  throw noModel(state, eligible, hint, context);
}

/** None is listed as one: LM Studio takes some for language models. */
function noEmbeddingModel(
  models: readonly ModelInfo[],
  context: ChoiceContext,
): ModelNotAvailableError {
  const mistaken = models.filter(({ id }) => isNamedForEmbedding(id));
  const state = "no model was named and the server lists no embedding model" +
    (mistaken.length === 0 ? "" : ` (listed as language models: ${names(mistaken, context)})`);
  const hint = context.service !== "LM Studio"
    ? "Add one to the server, or name a model in the request."
    : "Download one, such as `lms get nomic-embed-text-v1.5`" +
      (models.length === 0
        ? "."
        : `; or for one that is listed as a language model: ${OVERRIDE_TYPE}`);
  return noModel(state, mistaken, hint, context);
}

function noDecisionModel(
  _models: readonly ModelInfo[],
  context: ChoiceContext,
): ModelNotAvailableError {
  const state = "no model was named and the server lists no decision model";
  const hint = context.service === "LM Studio"
    ? "Download a decision model and load it, or name one as `model`: a chat model does not answer such questions."
    : "Add one to the server, or name a model in the request.";
  return noModel(state, [], hint, context);
}

/** A name that is in memory: asked by its key, a model that is loaded under an alias may be loaded once more. */
function nameToAsk(model: ModelInfo): string {
  return answeringCopy(model)?.id ?? model.id;
}

function noModel(
  state: string,
  available: readonly ModelInfo[],
  hint: string | undefined,
  { action, service, endpoint, show }: ChoiceContext,
): ModelNotAvailableError {
  return providerError("no_model_loaded", `Cannot ${action}: ${state}`, {
    service,
    endpoint,
    hint,
    available: shownIds(available, show),
  });
}

function names(models: readonly ModelInfo[], { show }: ChoiceContext): string {
  return shownNames(models.map(({ id }) => id), show);
}

/** The first of some names that are near one which is not there, as the end of a sentence. */
export function shownNearest(near: readonly string[], show: (text: string) => string): string {
  const verb = near.length === 1 ? "is" : "are";
  return `the nearest ${verb} ${shownNames(near.slice(0, SHOWN_NEAREST), show)}`;
}

/** Ids of models in an error message, not more than anybody reads. @param show shows what the server wrote. */
export function shownNames(
  ids: readonly string[],
  show: (text: string) => string,
  most = 10,
): string {
  const shown = ids.slice(0, most).map((id) => cutText(show(id), LONGEST_NAME)).join(", ");
  return ids.length > most ? `${shown} and ${ids.length - most} more` : shown;
}

/** Ids of models that could be asked instead. @param show shows what the server wrote. */
export function shownIds(
  models: readonly Pick<ModelInfo, "id">[],
  show: (text: string) => string,
): string[] {
  return models.slice(0, MAX_AVAILABLE).map(({ id }) => show(id));
}
