/**
 * `parse` and `load` of `@std/dotenv` on `node:util`, for networks that reach npm but not JSR;
 * `tests/run.ts` chooses. It does not expand `$NAME` in values.
 */
import { parseEnv } from "node:util";

export interface LoadOptions {
  /** By default `./.env`; a missing file counts as empty. */
  envPath?: string | URL | null;
  /** Whether to set variables that are not set in the environment yet. */
  export?: boolean;
}

export function parse(text: string): Record<string, string> {
  return Object.assign(Object.create(null), parseEnv(text));
}

export function loadSync(options: LoadOptions = {}): Record<string, string> {
  const { envPath = ".env", export: exports = false } = options;
  const variables = envPath ? parse(readIfThere(envPath)) : {};
  for (const [key, value] of Object.entries(variables)) {
    if (exports && Deno.env.get(key) === undefined) Deno.env.set(key, value);
  }
  return variables;
}

// deno-lint-ignore require-await
export async function load(options: LoadOptions = {}): Promise<Record<string, string>> {
  return loadSync(options);
}

function readIfThere(path: string | URL): string {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  }
}
