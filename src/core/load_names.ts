/**
 * Names for loading models: the server accepts them only as listed.
 *
 * @module
 */

import { isInstanceOf } from "./listed_models.ts";
import { parseModelName, withoutInstanceNumber } from "./model_names.ts";
import type { ModelInfo } from "./types.ts";

/** Name to send to load a model: as listed, with a variant only if it is not the selected one. */
export function nameToLoad(model: ModelInfo, name: string): string {
  const { folded, variant } = parseModelName(name);
  const own = parseModelName(model.id);
  if (variant === undefined || own.folded === folded || own.variant === variant) return model.id;
  const isMeant = (known: string): boolean => parseModelName(known).variant === variant;
  if (isMeant(selectedVariant(model) ?? "")) return model.id;
  const listed = model.variants?.find(isMeant);
  if (listed !== undefined) return listed;
  // Not listed: let the server refuse it. Loading another variant instead would be a surprise.
  return isInstanceOf(model, name) ? model.id : `${withoutInstanceNumber(model.id)}@${variant}`;
}

/** Hint on what to add to a name that matches several models: the parts in which they differ. */
export function distinctionHint(models: readonly ModelInfo[]): string {
  const names = models.map(({ id }) => parseModelName(id));
  const differ = (part: "publisher" | "base" | "variant"): boolean =>
    new Set(names.map((name) => name[part])).size > 1;
  const parts = [
    ...(differ("publisher") ? ["the publisher, as in `publisher/model`"] : []),
    ...(differ("variant") ? ["the variant, as in `model@q4_k_m`"] : []),
  ];
  if (parts.length === 0 || differ("base")) return "Write the name exactly as listed.";
  return `Add ${parts.join(", and ")}.`;
}

function selectedVariant({ selectedVariant, variants = [] }: ModelInfo): string | undefined {
  return selectedVariant ?? (variants.length === 1 ? variants[0] : undefined);
}
