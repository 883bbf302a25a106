/**
 * Errors of a request made on behalf of another call, such as the listing from which a model is chosen.
 *
 * @module
 */

import { type AnyProviderError, isProviderError, type ProviderErrorOptions } from "./errors.ts";

/** Fields of an error that are not enumerable but must be copied too. */
const HIDDEN_FIELDS = ["cause", "partial", "response", "issues", "bodySnippet"] as const;

/**
 * Runs a request on behalf of another call, so that our errors name that call. They are new errors, since several calls
 * may wait for the same request.
 *
 * @param own completes "Cannot …" in the errors of the request.
 * @param action completes "Cannot …" in the errors of the call.
 */
export async function renameErrors<T>(
  own: string,
  action: string,
  request: () => Promise<T>,
): Promise<T> {
  try {
    return await request();
  } catch (error) {
    throw renamed(error, own, action);
  }
}

/** Returns the error of a request as `renameErrors` throws it; returns any other error unchanged. */
export function renamed(error: unknown, own: string, action: string): unknown {
  const from = `Cannot ${own}: `;
  if (own === action || !isProviderError(error) || !error.message.startsWith(from)) return error;
  const { message, hint, code } = error;
  const state = hint !== "" && message.endsWith(` ${hint}`)
    ? message.slice(from.length, -hint.length - 1)
    : message.slice(from.length);
  const make = error.constructor as new (
    message: string,
    options: ProviderErrorOptions,
  ) => AnyProviderError;
  const copy = new make(`Cannot ${action}: ${state}`, { code, hint });
  for (const name of [...Object.keys(error), ...HIDDEN_FIELDS]) {
    const field = Object.getOwnPropertyDescriptor(error, name);
    if (field !== undefined) Object.defineProperty(copy, name, field);
  }
  return copy;
}
