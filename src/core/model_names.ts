/**
 * Names of models: people and servers write the same model in several ways.
 *
 * @module
 */

/** Completes "Cannot …" where a listing is all that was asked for. */
export const LISTING_ACTION = "list models";
/** Number behind the name of a further copy of a model. */
const COPY_NUMBER = /:\d+$/;

/** The parts of a name. */
export interface ModelName {
  /** The whole name in one spelling. */
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
  if (a === b) return true;
  const [left, right] = [parseModelName(a), parseModelName(b)];
  return left.base === right.base && agree(left.publisher, right.publisher) &&
    agree(left.variant, right.variant);
}

/** The name without the number of a copy, `:2`. */
export function withoutCopyNumber(name: string): string {
  return name.replace(COPY_NUMBER, "");
}

/** Whether two parts of names do not contradict each other. */
export function agree(a: string | undefined, b: string | undefined): boolean {
  return a === undefined || b === undefined || a === b;
}

/** The parts of a name, without what never matters. */
export function parseModelName(name: string): ModelName {
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
