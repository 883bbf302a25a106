/**
 * Model names: users and servers write the same name in several ways.
 *
 * @module
 */

/** Completes "Cannot …" for calls that only list models. */
export const LISTING_ACTION = "list models";
/** Number at the end of the name of an additional instance. */
const INSTANCE_NUMBER = /:\d+$/;

/** Parts of a model name. */
export interface ModelName {
  /** The whole name in lower case, without an instance number. */
  readonly folded: string;
  readonly publisher: string | undefined;
  readonly base: string;
  readonly variant: string | undefined;
}

/**
 * Tests whether two names mean the same model. Case and an instance's `:2` never matter; a publisher or an `@variant`
 * matters only if both names have one.
 */
export function isSameModel(a: string, b: string): boolean {
  if (a === b) return true;
  const [left, right] = [parseModelName(a), parseModelName(b)];
  return left.base === right.base && agree(left.publisher, right.publisher) &&
    agree(left.variant, right.variant);
}

/** Removes the number of an instance, such as `:2`, from a name. */
export function withoutInstanceNumber(name: string): string {
  return name.replace(INSTANCE_NUMBER, "");
}

/** Tests whether two parts of names are equal, or at least one is missing. */
export function agree(a: string | undefined, b: string | undefined): boolean {
  return a === undefined || b === undefined || a === b;
}

/** Splits a name into its parts, ignoring case and an instance's number. */
export function parseModelName(name: string): ModelName {
  const folded = name.trim().toLowerCase().replace(INSTANCE_NUMBER, "");
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
