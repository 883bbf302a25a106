/**
 * Members of several requests keep what the earlier ones gave when a later one fails.
 *
 * @module
 */

import { isProviderError } from "../core/errors.ts";
import type { PartialAnswer } from "../core/types.ts";

/**
 * Asks the server; an error that has no `partial` of its own gets what had arrived before.
 *
 * @param isOurs tells an error of this call from what a caller aborts with.
 */
export async function keepingPartial<T>(
  ask: () => Promise<T>,
  partialOf: () => PartialAnswer | undefined,
  isOurs: (error: unknown) => boolean,
): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    const partial = partialOf();
    if (isProviderError(error) && isOurs(error) && error.partial === undefined && partial) {
      Object.defineProperty(error, "partial", { value: partial, configurable: true });
    }
    throw error;
  }
}
