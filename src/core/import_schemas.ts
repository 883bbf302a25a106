/**
 * Loads what needs zod, the only dependency.
 *
 * @module
 */

import { importOnUse } from "./import_on_use.ts";

/**
 * Imports a module that imports zod, the only dependency: a bundle or an import map may have left it out, or there may
 * be no network on the first run.
 *
 * @param purpose what zod does for it.
 * @throws {UnknownProviderError} as `importOnUse`.
 */
export async function importSchemas<Module>(
  load: () => Promise<Module>,
  action: string,
  purpose = "reads the answer",
): Promise<Module> {
  return await importOnUse(load, action, {
    name: `zod, which ${purpose},`,
    hint:
      "Install it beside this package (`deno add npm:zod`, `npm install zod`), and let bundlers and import " +
      "maps keep it; `cause` says what failed.",
  });
}
