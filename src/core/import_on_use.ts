/**
 * Loads on first use what few programs need: that is when it can be missing.
 *
 * @module
 */

import { providerError } from "./errors.ts";

/** Part that is loaded, in words for the error where it is missing. */
interface Part {
  /** For people, as the beginning of "… did not load". */
  readonly name: string;
  readonly hint: string;
}

const OWN_PART: Part = {
  name: "a part of this package",
  hint:
    "Let bundlers keep its `import()` calls or write all into one file, as service workers need it; `cause` says " +
    "what failed.",
};

/**
 * Imports a part.
 *
 * @param load imports it.
 * @param action completes "Cannot …".
 * @throws {UnknownProviderError} it is not there. The next call tries again.
 */
export async function importOnUse<Module>(
  load: () => Promise<Module>,
  action: string,
  { name, hint }: Part = OWN_PART,
): Promise<Module> {
  try {
    return await load();
  } catch (cause) {
    throw providerError("unknown", `Cannot ${action}: ${name} did not load`, {
      cause,
      hint,
    });
  }
}

/**
 * A copy of a request, its lists included: what the caller does to it while a part loads is for the next call. What is
 * no object is given as it is, for the checks to refuse.
 */
export function snapshot<Request>(request: Request): Request {
  if (typeof request !== "object" || request === null || Array.isArray(request)) return request;
  const copy: object = Object.fromEntries(
    Object.entries(request).map(([name, value]) => [name, copyList(value)]),
  );
  // Objects of a class may have fields from their prototype. Hidden, as there: what nobody knows of it is not refused.
  for (let part: object | null = request; part !== null; part = Object.getPrototypeOf(part)) {
    for (const name of Object.getOwnPropertyNames(part)) {
      if (name in copy) continue;
      Object.defineProperty(copy, name, { value: copyList(Reflect.get(request, name)) });
    }
  }
  return copy as Request;
}

function copyList(value: unknown): unknown {
  return Array.isArray(value) ? [...value] : value;
}
