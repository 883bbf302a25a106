/**
 * The models of a listing that names mean, and the names that are near one which is not there.
 *
 * @module
 */

import { editDistance } from "./fields.ts";
import { agree, isSameModel, parseModelName, withoutCopyNumber } from "./model_names.ts";
import type { LoadedInstance, ModelInfo } from "./types.ts";

/** Servers that tell no context length: what the framework assumes. */
const ASSUMED_CONTEXT = 4096;
/** Comparing two names takes the product of their lengths: of more, the likeliest by their letters. */
const MOST_COMPARED = 200;
/** Letters are distinguished modulo this: enough for names. */
const LETTERS = 128;

/**
 * The model of a listing that a name means. Of several that fit as well (see `fittingModels`), the first that
 * is loaded.
 */
export function findModel(models: readonly ModelInfo[], name: string): ModelInfo | undefined {
  const found = fittingModels(models, name);
  return found.find((model) => model.loaded === true) ?? found[0];
}

/**
 * The models of a listing that a name may mean: by its exact id, then an instance's exact id, then one of these
 * but for case, then in other spellings. Several where it fits several as well.
 */
export function fittingModels(models: readonly ModelInfo[], name: string): readonly ModelInfo[] {
  const { folded } = parseModelName(name);
  const isFolded = (known: string): boolean => parseModelName(known).folded === folded;
  const fits: readonly ((model: ModelInfo) => boolean)[] = [
    (model) => model.id === name,
    (model) => instanceIds(model).includes(name),
    (model) => isFolded(model.id),
    (model) => instanceIds(model).some(isFolded),
    (model) => isNameOf(model, name),
  ];
  for (const fit of fits) {
    const found = models.filter(fit);
    if (found.length > 0) return found;
  }
  return [];
}

/** The names of a listing that requests take: ids first, then what copies in memory are called otherwise. */
export function namesIn(models: readonly ModelInfo[]): string[] {
  const ids = new Set(models.map(({ id }) => id));
  const others = models.flatMap(instanceIds).filter((id) => !ids.has(withoutCopyNumber(id)));
  return [...new Set([...ids, ...others])];
}

/** Some of these names, the likeliest to be meant by another name first. */
export function nearestNames(known: readonly string[], name: string, most: number): string[] {
  const { base } = parseModelName(name);
  const letters = new Int32Array(LETTERS);
  for (let at = 0; at < base.length; at++) letters[base.charCodeAt(at) % LETTERS]!++;
  const candidates = known.map((id) => {
    const { base: other } = parseModelName(id);
    // People leave out sizes, dates and endings: a part of a name is near, however short.
    const isPart = other.includes(base) || base.includes(other);
    const distance = isPart ? 0 : lettersApart(letters.slice(), base.length, other);
    return { id, other, isPart, distance };
  }).sort(byDistance);
  const compared = candidates.slice(0, MOST_COMPARED).map(({ id, other, isPart }) => ({
    id,
    distance: isPart ? 0 : editDistance(base, other),
  })).sort(byDistance);
  return [...compared, ...candidates.slice(MOST_COMPARED)].slice(0, most).map(({ id }) => id);
}

function byDistance(a: { readonly distance: number }, b: { readonly distance: number }): number {
  return a.distance === b.distance ? 0 : a.distance - b.distance;
}

/** At most the edits between two words: the letters that only one of them has. @param letters is used up. */
function lettersApart(letters: Int32Array, length: number, other: string): number {
  let added = 0;
  for (let at = 0; at < other.length; at++) {
    const letter = other.charCodeAt(at) % LETTERS;
    if (letters[letter]! > 0) letters[letter]!--;
    else added++;
  }
  return Math.max(added, length - other.length + added);
}

/**
 * The models of a listing without further copies: with just-in-time loading off, LM Studio's older listings have
 * `x` and `x:2` side by side, which are one model. Other servers' `x:2` may be a model of its own.
 */
export function withoutCopies(models: readonly ModelInfo[]): readonly ModelInfo[] {
  const originals = new Set(models.map(({ id }) => withoutCopyNumber(id)));
  if (originals.size === models.length) return models;
  const seen = new Set(models.map(({ id }) => id).filter((id) => originals.has(id)));
  return models.filter(({ id, provider }) => {
    const original = withoutCopyNumber(id);
    if (provider !== "lmstudio" || original === id) return true;
    if (seen.has(original)) return false;
    seen.add(original);
    return true;
  });
}

/** The copies of a model that a name allows: those that are not known to be of another `@variant`. */
export function copiesOf(
  model: Pick<ModelInfo, "instances">,
  name: string,
): readonly LoadedInstance[] {
  const { variant } = parseModelName(name);
  return (model.instances ?? []).filter(({ id }) => agree(parseModelName(id).variant, variant));
}

/**
 * The copy in memory that answers requests for this name: the one of that id, else the one under the model's own, else
 * it may be any. Of several, the one with the least context.
 */
export function answeringCopy(
  model: Pick<ModelInfo, "id" | "instances">,
  name: string = model.id,
): LoadedInstance | undefined {
  // Most models of a listing: reading their names costs more than all else of them.
  if (model.instances === undefined || model.instances.length === 0) return undefined;
  const copies = copiesOf(model, name);
  const folded = name.trim().toLowerCase();
  const fits: readonly ((id: string) => boolean)[] = [
    (id) => id === name,
    (id) => id.toLowerCase() === folded,
    (id) => id === model.id,
    () => true,
  ];
  for (const fit of fits) {
    const [first, ...others] = copies.filter(({ id }) => fit(id));
    if (first !== undefined) return others.reduce(smaller, first);
  }
  return undefined;
}

/** A model with the context of the copy that answers requests for this name. */
export function asAsked(model: ModelInfo, name: string): ModelInfo {
  const contextLength = answeringCopy(model, name)?.contextLength;
  if (contextLength === model.loadedContextLength || model.instances === undefined) return model;
  const { loadedContextLength: _, ...rest } = model;
  return {
    ...rest,
    capabilities: {
      ...model.capabilities,
      maxTokens: maxTokensOf(contextLength, model.maxContextLength),
    },
    ...(contextLength === undefined ? {} : { loadedContextLength: contextLength }),
  };
}

/** Context length for a model's capabilities: the loaded one where known, else the maximum, else a guess. */
export function maxTokensOf(
  loadedContextLength: number | null | undefined,
  maxContextLength: number | null | undefined,
): number {
  return loadedContextLength ?? maxContextLength ?? ASSUMED_CONTEXT;
}

/**
 * Whether two names mean the same model, one of them perhaps an alias that only the listing explains. It never
 * makes two variants one: both would fit the shorter name that is listed.
 */
export function isSameListedModel(models: readonly ModelInfo[], a: string, b: string): boolean {
  if (isSameModel(a, b)) return true;
  return agree(parseModelName(a).variant, parseModelName(b).variant) &&
    models.some((model) =>
      isInstanceOf(model, a) && isNameOf(model, b) || isInstanceOf(model, b) && isNameOf(model, a)
    );
}

function smaller(a: LoadedInstance, b: LoadedInstance): LoadedInstance {
  return (b.contextLength ?? Infinity) < (a.contextLength ?? Infinity) ? b : a;
}

function instanceIds(model: ModelInfo): string[] {
  return (model.instances ?? []).map((instance) => instance.id);
}

/** Whether a name is an id of a copy in memory, but for what never matters. */
export function isInstanceOf(model: ModelInfo, name: string): boolean {
  const { folded } = parseModelName(name);
  return instanceIds(model).some((id) => parseModelName(id).folded === folded);
}

function isNameOf(model: ModelInfo, name: string): boolean {
  return [model.id, ...(model.variants ?? []), ...instanceIds(model)]
    .some((known) => isSameModel(known, name));
}

/** Whether a model's name says that it is for embeddings. Many that are do not say so. */
export function isNamedForEmbedding(id: string): boolean {
  return /(?:^|[-_/.])embed/i.test(id);
}
