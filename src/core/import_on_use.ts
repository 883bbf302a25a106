/**
 * Loads rarely needed modules on first use, with a clear error if one is missing.
 *
 * @module
 */

import { providerError } from "./errors.ts";

/** Wording of the error for a module that fails to load. */
interface Part {
  /** Subject of "… did not load". */
  readonly name: string;
  readonly hint: string;
}

const OWN_PART: Part = {
  name: "a part of this package",
  hint:
    "Configure your bundler to keep `import()` calls, or to write a single file, as service workers need; see `cause`.",
};

/**
 * Imports a module on first use.
 *
 * @param load imports the module.
 * @param action completes "Cannot …".
 * @throws {UnknownProviderError} the module cannot be loaded. The next call tries again.
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
 * Copies a request and its lists, so that changes the caller makes while a module loads do not affect this call.
 * Returns a value that is not an object unchanged, for the checks to refuse.
 */
export function snapshot<Request>(request: Request): Request {
  if (typeof request !== "object" || request === null || Array.isArray(request)) return request;
  const copy: object = Object.fromEntries(
    Object.entries(request).map(([name, value]) => [name, copyList(value)]),
  );
  // Class instances may inherit fields from their prototype. Those are copied as non-enumerable, as they are there, so
  // that unknown ones are not refused.
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
