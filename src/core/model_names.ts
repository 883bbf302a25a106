/**
 * Names of models: people and servers write the same model in several ways.
 *
 * @module
 */

import { editDistance } from "./fields.ts";
import type { LoadedInstance, ModelInfo } from "./types.ts";

/** What the second copy of a model has behind its name. */
const COPY_NUMBER = /:\d+$/;

interface ModelName {
  /** All of it, without what never matters. */
  readonly folded: string;
  readonly publisher: string | undefined;
  readonly base: string;
  readonly variant: string | undefined;
}

/**
 * Whether two names mean the same model: `:2` (an instance) and case never matter, a publisher or an
 * `@variant` only where both sides have one.
 */
export function isSameModel(a: string, b: string): boolean {
  const [left, right] = [parseModelName(a), parseModelName(b)];
  return left.base === right.base && agree(left.publisher, right.publisher) &&
    agree(left.variant, right.variant);
}

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

/** The ids of a listing, the likeliest to be meant by a name first. */
export function nearestModelIds(models: readonly ModelInfo[], name: string): string[] {
  const { base } = parseModelName(name);
  const distance = (id: string): number => {
    const { base: known } = parseModelName(id);
    // People leave out sizes, dates and endings: a part of a name is near, however short.
    return known.includes(base) || base.includes(known) ? 0 : editDistance(base, known);
  };
  return models.map(({ id }) => ({ id, distance: distance(id) }))
    .sort((a, b) => a.distance - b.distance)
    .map(({ id }) => id);
}

/** The name without what tells the copies of a model apart, `:2`. */
export function withoutCopyNumber(name: string): string {
  return name.replace(COPY_NUMBER, "");
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
export function copiesOf(model: ModelInfo, name: string): readonly LoadedInstance[] {
  const { variant } = parseModelName(name);
  return (model.instances ?? []).filter(({ id }) => agree(parseModelName(id).variant, variant));
}

/** The name that loads what is meant: a variant where one is named, else the model's own. */
export function nameToLoad(model: ModelInfo, name: string): string {
  const { variant } = parseModelName(name);
  if (variant === undefined) return model.id;
  const listed = model.variants?.find((known) => parseModelName(known).variant === variant);
  // Not listed: for the server to refuse. Any other variant in its place would be a surprise.
  return listed ?? `${withoutCopyNumber(model.id)}@${variant}`;
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

function agree(a: string | undefined, b: string | undefined): boolean {
  return a === undefined || b === undefined || a === b;
}

function parseModelName(name: string): ModelName {
  const folded = name.trim().toLowerCase().replace(COPY_NUMBER, "");
  const at = folded.lastIndexOf("@");
  const withoutVariant = at > 0 ? folded.slice(0, at) : folded;
  const slash = withoutVariant.indexOf("/");
  return {
    folded,
    publisher: slash > 0 ? withoutVariant.slice(0, slash) : undefined,
    base: slash > 0 ? withoutVariant.slice(slash + 1) : withoutVariant,
    variant: at > 0 ? folded.slice(at + 1) : undefined,
  };
}

function instanceIds(model: ModelInfo): string[] {
  return (model.instances ?? []).map((instance) => instance.id);
}

function isInstanceOf(model: ModelInfo, name: string): boolean {
  const { folded } = parseModelName(name);
  return instanceIds(model).some((id) => parseModelName(id).folded === folded);
}

function isNameOf(model: ModelInfo, name: string): boolean {
  return [model.id, ...(model.variants ?? []), ...instanceIds(model)]
    .some((known) => isSameModel(known, name));
}
