/**
 * Looks up names in a model list, and suggests similar names for unknown ones.
 *
 * @module
 */

import { editDistance } from "./fields.ts";
import { agree, isSameModel, parseModelName, withoutInstanceNumber } from "./model_names.ts";
import type { LoadedInstance, ModelInfo } from "./types.ts";

/** Context length the framework assumes if the server reports none. */
const ASSUMED_CONTEXT = 4096;
/**
 * Edit distance takes time in proportion to the product of both lengths, so only the most similar names are compared.
 */
const MOST_COMPARED = 200;
/** Letters are told apart modulo this, which is enough for names. */
const LETTERS = 128;

/** Finds the model that a name means. If several match equally well (see `fittingModels`), the first loaded one. */
export function findModel(models: readonly ModelInfo[], name: string): ModelInfo | undefined {
  const found = fittingModels(models, name);
  return found.find((model) => model.loaded === true) ?? found[0];
}

/**
 * Finds the models that a name may mean: by exact id, then by an instance's exact id, then by either ignoring case,
 * then by other spellings. Returns several if they match equally well.
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

/** Lists the names that requests accept: ids first, then instance ids that differ from them. */
export function namesIn(models: readonly ModelInfo[]): string[] {
  const ids = new Set(models.map(({ id }) => id));
  const others = models.flatMap(instanceIds).filter((id) => !ids.has(withoutInstanceNumber(id)));
  return [...new Set([...ids, ...others])];
}

/** Returns the known names most similar to a name, the most similar first. */
export function nearestNames(known: readonly string[], name: string, most: number): string[] {
  const { base } = parseModelName(name);
  const letters = new Int32Array(LETTERS);
  for (let at = 0; at < base.length; at++) letters[base.charCodeAt(at) % LETTERS]!++;
  const candidates = known.map((id) => {
    const { base: other } = parseModelName(id);
    // Users leave out sizes, dates and suffixes, so a part of a name counts as similar, however short.
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

/** Lower bound for the edit distance: the letters that only one of two words has. @param letters is modified. */
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
 * Removes additional instances from a list: with just-in-time loading off, LM Studio's older listings have `x` and
 * `x:2` side by side, which are one model. On other servers, `x:2` may be a model of its own.
 */
export function withoutExtraInstances(models: readonly ModelInfo[]): readonly ModelInfo[] {
  const originals = new Set(models.map(({ id }) => withoutInstanceNumber(id)));
  if (originals.size === models.length) return models;
  const seen = new Set(models.map(({ id }) => id).filter((id) => originals.has(id)));
  return models.filter(({ id, provider }) => {
    const original = withoutInstanceNumber(id);
    if (provider !== "lmstudio" || original === id) return true;
    if (seen.has(original)) return false;
    seen.add(original);
    return true;
  });
}

/** Returns the instances of a model that a name allows: those not known to be of another `@variant`. */
export function instancesNamed(
  model: Pick<ModelInfo, "instances">,
  name: string,
): readonly LoadedInstance[] {
  const { variant } = parseModelName(name);
  return (model.instances ?? []).filter(({ id }) => agree(parseModelName(id).variant, variant));
}

/**
 * Finds the instance that answers requests for a name: the one with that id, else the one with the model's own id, else
 * any. Among several, the one with the smallest context.
 */
export function answeringInstance(
  model: Pick<ModelInfo, "id" | "instances">,
  name: string = model.id,
): LoadedInstance | undefined {
  // True for most models in a listing; parsing their names would cost more than everything else.
  if (model.instances === undefined || model.instances.length === 0) return undefined;
  const instances = instancesNamed(model, name);
  const folded = name.trim().toLowerCase();
  const fits: readonly ((id: string) => boolean)[] = [
    (id) => id === name,
    (id) => id.toLowerCase() === folded,
    (id) => id === model.id,
    () => true,
  ];
  for (const fit of fits) {
    const [first, ...others] = instances.filter(({ id }) => fit(id));
    if (first !== undefined) return others.reduce(smaller, first);
  }
  return undefined;
}

/** Returns a model with the context length of the instance that answers requests for a name. */
export function asAsked(model: ModelInfo, name: string): ModelInfo {
  const contextLength = answeringInstance(model, name)?.contextLength;
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

/** Context length for a model's capabilities: as loaded if known, else the maximum, else an assumed one. */
export function maxTokensOf(
  loadedContextLength: number | null | undefined,
  maxContextLength: number | null | undefined,
): number {
  return loadedContextLength ?? maxContextLength ?? ASSUMED_CONTEXT;
}

/**
 * Tests whether two names mean the same model, even if one is an alias known only from the listing. Two different
 * variants never match, although both would match a listed name without a variant.
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

/** Tests whether a name is the id of one of a model's instances, ignoring case and instance numbers. */
export function isInstanceOf(model: ModelInfo, name: string): boolean {
  const { folded } = parseModelName(name);
  return instanceIds(model).some((id) => parseModelName(id).folded === folded);
}

function isNameOf(model: ModelInfo, name: string): boolean {
  return [model.id, ...(model.variants ?? []), ...instanceIds(model)]
    .some((known) => isSameModel(known, name));
}

/** Tests whether a model's name says that it is for embeddings. Many embedding models' names do not. */
export function isNamedForEmbedding(id: string): boolean {
  return /(?:^|[-_/.])embed/i.test(id);
}
