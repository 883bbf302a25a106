/**
 * Loads the schemas that need zod. It is the only dependency, loaded on first use, so that is when it can be
 * missing: a bundle without it, an import map that replaces the package's, no network on the first run.
 *
 * @module
 */

import { UnknownProviderError } from "../core/errors.ts";

/**
 * What the import gives.
 *
 * @param load imports a module that imports zod.
 * @param action completes "Cannot …".
 * @throws {UnknownProviderError} zod is not there. The next call tries again.
 */
export async function importSchemas<Module>(
  load: () => Promise<Module>,
  action: string,
): Promise<Module> {
  try {
    return await load();
  } catch (cause) {
    throw new UnknownProviderError(`Cannot ${action}: zod, which reads the answer, did not load`, {
      code: "unknown",
      cause,
      hint:
        "Install it beside this package (`deno add npm:zod`, `npm install zod`), and let bundlers and import " +
        "maps keep it; `cause` says what failed.",
    });
  }
}
