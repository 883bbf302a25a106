/**
 * Loads what is needed on first use only: that is when it can be missing. Of zod, the only dependency: a bundle
 * without it, an import map that replaces the package's, no network on the first run.
 *
 * @module
 */

import { UnknownProviderError } from "../core/errors.ts";

/**
 * What the import gives.
 *
 * @param load imports a module that imports zod.
 * @param action completes "Cannot …".
 * @param purpose what zod does for it.
 * @throws {UnknownProviderError} zod is not there. The next call tries again.
 */
export async function importSchemas<Module>(
  load: () => Promise<Module>,
  action: string,
  purpose = "reads the answer",
): Promise<Module> {
  try {
    return await load();
  } catch (cause) {
    throw new UnknownProviderError(`Cannot ${action}: zod, which ${purpose}, did not load`, {
      code: "unknown",
      cause,
      hint:
        "Install it beside this package (`deno add npm:zod`, `npm install zod`), and let bundlers and import " +
        "maps keep it; `cause` says what failed.",
    });
  }
}

/**
 * Loads a part of this module.
 *
 * @param load imports it.
 * @param action completes "Cannot …".
 * @throws {UnknownProviderError} it is not there. The next call tries again.
 */
export async function importOnUse<Module>(
  load: () => Promise<Module>,
  action: string,
): Promise<Module> {
  try {
    return await load();
  } catch (cause) {
    throw new UnknownProviderError(`Cannot ${action}: a part of this package did not load`, {
      code: "unknown",
      cause,
      hint:
        "Let bundlers keep its `import()` calls or write all into one file, as service workers need it; `cause` " +
        "says what failed.",
    });
  }
}

/**
 * A copy of a request, its lists included: what the caller does to it while a part loads is for the next call. What is
 * no object is given as it is, for the checks to refuse.
 */
export function snapshot<Request>(request: Request): Request {
  if (typeof request !== "object" || request === null || Array.isArray(request)) return request;
  const copy: Record<string, unknown> = Object.fromEntries(Object.entries(request));
  for (const name in copy) {
    const value = copy[name];
    if (Array.isArray(value)) copy[name] = [...value];
  }
  return copy as Request;
}
