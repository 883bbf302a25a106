/**
 * Errors of a request that is made on behalf of another call, such as the listing that a model is chosen from.
 *
 * @module
 */

import { type AnyProviderError, isProviderError, type ProviderErrorOptions } from "./errors.ts";

/** Hidden from inspectors, and part of an error all the same. */
const HIDDEN_FIELDS = ["cause", "partial", "response", "issues", "bodySnippet"] as const;

/**
 * Runs a request that is made on behalf of another call: an error of ours then names that call. It is a new one, since
 * several calls may wait for the same request.
 *
 * @param own completes "Cannot …" in the errors of the request.
 * @param action completes "Cannot …" in the call's.
 */
export async function toldAs<T>(
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

/** The error of a request as `toldAs` throws it; any other as it is. */
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
