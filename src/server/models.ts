/**
 * The models of one server: the last listing, lookup by name, the choice of a model if none is named, and what the
 * listing says about an answer from the wrong model. Imported when first needed.
 *
 * @module
 */

import { LISTINGS, ModelLister } from "../api/models.ts";
import type { ModelType } from "../api/route.ts";
import type { ResolvedConfig } from "../core/config.ts";
import { isProviderError, type ModelNotAvailableError, providerError } from "../core/errors.ts";
import { quote } from "../core/fields.ts";
import {
  answeringInstance,
  asAsked,
  findModel,
  isNamedForEmbedding,
  isSameListedModel,
  namesIn,
  nearestNames,
  withoutExtraInstances,
} from "../core/listed_models.ts";
import { LISTING_ACTION } from "../core/model_names.ts";
import { cutText } from "../core/plain_text.ts";
import { renameErrors } from "../core/renamed_errors.ts";
import type { CallOptions, ModelInfo } from "../core/types.ts";
import { untilAborted } from "../transport/timers.ts";
import type { Transport } from "../transport/transport.ts";

/** The server that has the models. */
export interface ListedServer {
  readonly config: ResolvedConfig;
  readonly service: string;
  readonly transport: Transport;
  readonly dialect: { readonly provider: string; readonly listings: keyof typeof LISTINGS };
  words(options: CallOptions, body?: Readonly<Record<string, unknown>>): (text: string) => string;
}

/** Maximum age of a listing used to choose a model: a chat must not list models twice a second. */
const CHOICE_MAX_AGE_MS = 2000;

/** Where LM Studio has the setting for a model's type. */
const OVERRIDE_TYPE: string =
  'open My Models in LM Studio, click the gear next to it and set "Override Domain Type" to "Text Embedding" ' +
  "(newer versions have this for GGUF models only).";
/** State of an error about embedding with a model that LM Studio lists under another type. */
export const TAKEN_FOR_LLM = "the server lists it as a language model";
/** Hint for that error. */
export const USE_EMBEDDING_MODEL: string =
  `Use an embedding model, or if this is one, ${OVERRIDE_TYPE}`;

/** Parts of the error about an answer from a model other than the one requested. */
export interface Substitution {
  /** End of the sentence that says what happened. */
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

  /** Whether a recent listing showed a server without the routes of the newest API. */
  get lacksNewest(): boolean {
    return this.#lister.lacksNewest;
  }

  /** Drops the listing: the server's models have changed. */
  drop(): void {
    this.#cache.drop();
  }

  /** Lists the server's models now. The array belongs to the caller. @param action completes "Cannot …". */
  async list(options: CallOptions, action: string): Promise<ModelInfo[]> {
    const models = await renameErrors(LISTING_ACTION, action, () => this.#cache.ask(options));
    // A copy, so that the caller can sort and edit it without changing the cache.
    return models.map(copyModel);
  }

  /** Lists the server's models now, sharing the request with simultaneous callers. The result must not be changed. */
  async listTogether(options: CallOptions, action: string): Promise<readonly ModelInfo[]> {
    return await renameErrors(LISTING_ACTION, action, () => this.#cache.refresh(options));
  }

  /** Finds a model under any spelling of its name; `undefined` if there is none or the server cannot say. */
  async find(name: string, options: CallOptions, action: string): Promise<ModelInfo | undefined> {
    try {
      options.signal?.throwIfAborted();
      const { modelCacheTtlMs } = this.#server.config;
      const known = findModel(this.#cache.recent(modelCacheTtlMs) ?? [], name);
      // A model that is not in the listing may be new.
      const found = known ?? findModel(await this.listTogether(options, action), name);
      return found && asAsked(found, name);
    } catch (error) {
      options.signal?.throwIfAborted();
      // Here, unlike anywhere else, "cannot say" is a valid answer; a broken installation is not.
      if (isProviderError(error) && error.kind !== "unknown") return undefined;
      throw error;
    }
  }

  /** The last listing, if it is at most `maxAgeMs` old. It must not be changed. */
  recent(maxAgeMs: number): readonly ModelInfo[] | undefined {
    return this.#cache.recent(maxAgeMs);
  }

  /** The model in the last listing, whatever its age; sends nothing. */
  listed(name: string): ModelInfo | undefined {
    const found = findModel(this.#cache.recent(Infinity) ?? [], name);
    return found && asAsked(found, name);
  }

  /** Chooses the model for a call that names none. @param fields of the request. */
  async choose(
    action: string,
    options: CallOptions,
    fields: Readonly<Record<string, unknown>>,
    type: ModelType,
  ): Promise<string> {
    const { service, config } = this.#server;
    const show = this.#server.words(options, fields);
    const ask = () => this.#cache.get(CHOICE_MAX_AGE_MS, options);
    const models = await renameErrors(LISTING_ACTION, action, ask);
    return CHOICES[type](models, { action, service, endpoint: config.baseUrl, show });
  }

  /**
   * Explains, from the listing, why another model answered; `undefined` if both names mean the same model: an alias
   * newer than the last listing is not a substitution.
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
      ? `; the server lists ${quote(requested)} as a language model`
      : listed === undefined && near.length > 0
      ? `; the server does not have ${quote(requested)}; ${shownNearest(near, show)}`
      : "";
    return {
      reason,
      hint: isMistaken ? USE_EMBEDDING_MODEL : undefined,
      available: candidates.length === 0 ? undefined : shownIds(candidates, show),
    };
  }
}

/** Whether the server lists a model as a language model. A listing without types does not say what is loaded either. */
export function isTakenForLLM({ type, loaded }: ModelInfo): boolean {
  return type !== "embedding" && loaded !== undefined;
}

/**
 * A copy that may be edited. By hand: `structuredClone` took a third of the time of a listing, and overflows the stack
 * on deeply nested values. `raw` is not copied, since nothing here reads it again.
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

/** A listing in progress, and the number of callers waiting for it. */
interface Round {
  readonly models: Promise<ModelInfo[]>;
  readonly controller: AbortController;
  waiting: number;
}

/** Remembers a listing; simultaneous callers share one request. */
class ModelCache {
  readonly #list: (options: CallOptions) => Promise<ModelInfo[]>;
  #models: readonly ModelInfo[] | undefined;
  #listedAt = 0;
  /** Number of times the listing was dropped. */
  #drops = 0;
  /** By call options: one caller's timeout or headers must not apply to another. */
  readonly #rounds = new Map<string, Round>();

  constructor(list: (options: CallOptions) => Promise<ModelInfo[]>) {
    this.#list = list;
  }

  /** Returns a listing at most `maxAgeMs` old. */
  async get(maxAgeMs: number, options: CallOptions): Promise<readonly ModelInfo[]> {
    options.signal?.throwIfAborted();
    return this.recent(maxAgeMs) ?? await this.refresh(options);
  }

  /** The last listing, if it is at most `maxAgeMs` old. */
  recent(maxAgeMs: number): readonly ModelInfo[] | undefined {
    return performance.now() - this.#listedAt <= maxAgeMs ? this.#models : undefined;
  }

  /** Requests a new listing, or shares one in progress. */
  async refresh(options: CallOptions): Promise<readonly ModelInfo[]> {
    options.signal?.throwIfAborted();
    const { signal, onStatus: _, onQueue: __, ...rest } = options;
    // A timeout runs from each caller's own start: a later caller must not get the rest of an earlier one's.
    if (rest.timeoutMs !== undefined) return await this.ask(options);
    const key = keyOf(rest);
    const round = this.#rounds.get(key) ?? this.#begin(key, rest);
    round.waiting++;
    try {
      return await untilAborted(round.models, signal);
    } finally {
      round.waiting--;
      // An abort ends only that caller's wait; once nobody waits any more, the request is aborted.
      if (round.waiting === 0) {
        if (this.#rounds.get(key) === round) this.#rounds.delete(key);
        round.controller.abort();
      }
    }
  }

  /** Requests a new listing without sharing it. */
  async ask(options: CallOptions): Promise<ModelInfo[]> {
    const drops = this.#drops;
    const models = await this.#list(options);
    // If the models have changed since the request, the listing may be out of date.
    if (drops === this.#drops) {
      this.#models = models;
      this.#listedAt = performance.now();
    }
    return models;
  }

  /** Drops the listing and the results of listings in progress: the server's models have changed. */
  drop(): void {
    this.#models = undefined;
    // Callers already waiting keep waiting; new callers start another request.
    this.#rounds.clear();
    this.#drops++;
  }

  #begin(key: string, options: CallOptions): Round {
    const controller = new AbortController();
    const models = this.ask({ ...options, signal: controller.signal });
    // By the time it fails, every waiting caller may have left.
    models.catch(() => {});
    const round: Round = { models, controller, waiting: 0 };
    this.#rounds.set(key, round);
    return round;
  }
}

/** A key that is the same for equal options. */
function keyOf(options: CallOptions): string {
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  // JSON has no `Infinity`.
  return JSON.stringify(given.sort(), (_, value) => value === Infinity ? "Infinity" : value);
}

// --- The choice ---------------------------------------------------------------------------------

/** Limit on `available` in an error: nobody reads more. */
export const MAX_AVAILABLE = 200;
const LONGEST_NAME = 80;
/** Limit on the nearest names shown for an unknown one. */
const SHOWN_NEAREST = 3;

/** The call that a model is chosen for. */
interface ChoiceContext {
  /** Completes "Cannot …" in errors. */
  readonly action: string;
  readonly service: string;
  readonly endpoint: string;
  /** Makes text from the server safe to show. */
  readonly show: (text: string) => string;
}

/** Chooses a model by its type in listings. */
const CHOICES: Readonly<
  Record<ModelType, (models: readonly ModelInfo[], context: ChoiceContext) => string>
> = {
  llm: chooseLLM,
  embedding: (models, context) =>
    chooseByType("embedding", "embeddingModel", models, context, noEmbeddingModel),
  // Assumes that listings have this type: it is the word in LM Studio's SDK.
  decision: (models, context) =>
    chooseByType("decision", "decisionModel", models, context, noDecisionModel),
};

/**
 * Chooses the one loaded LLM; if the server does not say what is loaded, the only LLM it lists.
 *
 * @throws {ModelNotAvailableError} code `no_model_loaded`, naming the candidates.
 */
function chooseLLM(models: readonly ModelInfo[], context: ChoiceContext): string {
  const candidates = models.filter((model) => model.type === "llm");
  const isStateKnown = candidates.some((model) => model.loaded !== undefined);
  const eligible = withoutExtraInstances(
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
 * Chooses the loaded model of a type other than LLM, or the only one listed.
 *
 * @param none makes the error if the server lists none.
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
  const eligible = withoutExtraInstances(loaded.length > 0 ? loaded : candidates);
  const [only] = eligible;
  if (only !== undefined && eligible.length === 1) return nameToAsk(only);
  if (candidates.length === 0) throw none(models, context);
  const state = `no model was named and the server has several ${type} models (${
    names(eligible, context)
  })`;
  const hint =
    `Name one of them as \`model\` in the request, or as \`${setting}\` in the provider's options.`;
  throw noModel(state, eligible, hint, context);
}

/** The error if no model is listed as an embedding model: LM Studio lists some as language models. */
function noEmbeddingModel(
  models: readonly ModelInfo[],
  context: ChoiceContext,
): ModelNotAvailableError {
  const mistaken = models.filter(({ id }) => isNamedForEmbedding(id));
  const state = "no model was named and the server lists no embedding model" +
    (mistaken.length === 0 ? "" : ` (listed as language models: ${names(mistaken, context)})`);
  const hint = context.service !== "LM Studio"
    ? "Add one to the server, or name a model in the request."
    : "Download one, for example with `lms get nomic-embed-text-v1.5`" +
      (models.length === 0 ? "." : `; if one is listed as a language model, ${OVERRIDE_TYPE}`);
  return noModel(state, mistaken, hint, context);
}

function noDecisionModel(
  _models: readonly ModelInfo[],
  context: ChoiceContext,
): ModelNotAvailableError {
  const state = "no model was named and the server lists no decision model";
  const hint = context.service === "LM Studio"
    ? "Download and load a decision model, or name one as `model`: language models cannot answer these questions."
    : "Add one to the server, or name a model in the request.";
  return noModel(state, [], hint, context);
}

/** A loaded name: a model loaded under an alias and requested by its key might be loaded a second time. */
function nameToAsk(model: ModelInfo): string {
  return answeringInstance(model)?.id ?? model.id;
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

/** The names nearest to an unknown one, as the end of a sentence. */
export function shownNearest(near: readonly string[], show: (text: string) => string): string {
  const names = near.length === 1 ? "name is" : "names are";
  return `the closest ${names} ${shownNames(near.slice(0, SHOWN_NEAREST), show)}`;
}

/** Model ids as text for an error message, limited to a readable number. @param show makes server text safe to show. */
export function shownNames(
  ids: readonly string[],
  show: (text: string) => string,
  most = 10,
): string {
  const shown = ids.slice(0, most).map((id) => cutText(show(id), LONGEST_NAME)).join(", ");
  return ids.length > most ? `${shown} and ${ids.length - most} more` : shown;
}

/** Ids of models to use instead. @param show makes server text safe to show. */
export function shownIds(
  models: readonly Pick<ModelInfo, "id">[],
  show: (text: string) => string,
): string[] {
  return models.slice(0, MAX_AVAILABLE).map(({ id }) => show(id));
}
