/**
 * Names of models that are to be loaded, which must be those of the listing.
 *
 * @module
 */

import { isInstanceOf } from "./listed_models.ts";
import { parseModelName, withoutCopyNumber } from "./model_names.ts";
import type { ModelInfo } from "./types.ts";

/** Name to send to load a model: as it is listed, and a variant only where that is not the selected one. */
export function nameToLoad(model: ModelInfo, name: string): string {
  const { folded, variant } = parseModelName(name);
  const own = parseModelName(model.id);
  if (variant === undefined || own.folded === folded || own.variant === variant) return model.id;
  const isMeant = (known: string): boolean => parseModelName(known).variant === variant;
  if (isMeant(selectedVariant(model) ?? "")) return model.id;
  const listed = model.variants?.find(isMeant);
  if (listed !== undefined) return listed;
  // Not listed: for the server to refuse. Any other variant in its place would be a surprise.
  return isInstanceOf(model, name) ? model.id : `${withoutCopyNumber(model.id)}@${variant}`;
}

/** Hint on what to add to a name that fits several models: the parts in which they differ. */
export function whatTellsApart(models: readonly ModelInfo[]): string {
  const names = models.map(({ id }) => parseModelName(id));
  const differ = (part: "publisher" | "base" | "variant"): boolean =>
    new Set(names.map((name) => name[part])).size > 1;
  const parts = [
    ...(differ("publisher") ? ["the publisher before it, as in `publisher/model`"] : []),
    ...(differ("variant") ? ["the variant behind it, as in `model@q4_k_m`"] : []),
  ];
  if (parts.length === 0 || differ("base")) return "Write the name exactly as it is listed.";
  return `Write ${parts.join(", and ")}.`;
}

function selectedVariant({ selectedVariant, variants = [] }: ModelInfo): string | undefined {
  return selectedVariant ?? (variants.length === 1 ? variants[0] : undefined);
}
