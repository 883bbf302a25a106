/**
 * Partial answers for members that send several requests: if a later one fails, earlier answers are not lost.
 *
 * @module
 */

import { isProviderError } from "../core/errors.ts";
import type { PartialAnswer } from "../core/types.ts";

/**
 * Asks the server. An error without a `partial` of its own gets the earlier answer as `partial`.
 *
 * @param isOurs distinguishes errors of this call from the caller's own abort reason.
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
