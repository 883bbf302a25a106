/**
 * Loads modules that need zod, the only dependency.
 *
 * @module
 */

import { importOnUse } from "./import_on_use.ts";

/**
 * Imports a module that imports zod. This can fail: a bundle or an import map may leave zod out, or there may be no
 * network on the first run.
 *
 * @param purpose completes "zod, which …, did not load".
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
      "Install zod (`deno add npm:zod`, `npm install zod`), and keep it in bundles and import maps; see `cause`.",
  });
}
