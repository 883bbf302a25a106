/**
 * Names of models: people and servers write the same model in several ways.
 *
 * @module
 */

import type { ModelInfo } from "./types.ts";

interface ModelName {
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

function agree(a: string | undefined, b: string | undefined): boolean {
  return a === undefined || b === undefined || a === b;
}

function parseModelName(name: string): ModelName {
  const folded = name.trim().toLowerCase().replace(/:\d+$/, "");
  const at = folded.lastIndexOf("@");
  const withoutVariant = at > 0 ? folded.slice(0, at) : folded;
  const slash = withoutVariant.indexOf("/");
  return {
    publisher: slash > 0 ? withoutVariant.slice(0, slash) : undefined,
    base: slash > 0 ? withoutVariant.slice(slash + 1) : withoutVariant,
    variant: at > 0 ? folded.slice(at + 1) : undefined,
  };
}

/** The model of a listing that a name means: by its exact id, then an instance's id, then in other spellings. */
export function findModel(models: readonly ModelInfo[], name: string): ModelInfo | undefined {
  return models.find((model) => model.id === name) ??
    models.find((model) => model.instances?.some((instance) => instance.id === name)) ??
    models.find((model) => namesOf(model).some((known) => isSameModel(known, name)));
}

/** Whether two names mean the same model of a listing: one may be an instance's id or an alias. */
export function isSameListedModel(models: readonly ModelInfo[], a: string, b: string): boolean {
  return models.some((model) => {
    const names = namesOf(model);
    return [a, b].every((name) => names.some((known) => isSameModel(known, name)));
  });
}

function namesOf(model: ModelInfo): string[] {
  return [
    model.id,
    ...(model.variants ?? []),
    ...(model.instances ?? []).map((instance) => instance.id),
  ];
}
