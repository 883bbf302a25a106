/**
 * Names of models: people and servers write the same model in several ways.
 *
 * @module
 */

import type { ModelInfo } from "./types.ts";

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
 * The model of a listing that a name means: by its exact id, then an instance's exact id, then one of these
 * but for case, then in other spellings. Of several that fit as well, the first that is loaded.
 */
export function findModel(models: readonly ModelInfo[], name: string): ModelInfo | undefined {
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
    if (found.length > 0) return found.find((model) => model.loaded === true) ?? found[0];
  }
  return undefined;
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
  const folded = name.trim().toLowerCase().replace(/:\d+$/, "");
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
