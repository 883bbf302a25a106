/**
 * Variables beside those of the configuration cascade.
 *
 * @module
 */

import type { LMStudioProviderOptions } from "../core/config.ts";
import { unquote } from "../core/quotes.ts";
import { readEnvironment } from "./environment.ts";
import { parseDotenv, readTextFile } from "./files.ts";

/** The named variables, from the environment, else from the `.env` file. Empty means absent. */
export function readVariables(
  { env, envFile }: Pick<LMStudioProviderOptions, "env" | "envFile">,
  names: readonly string[],
): Record<string, string> {
  const dotenv = envFile === undefined ? undefined : readTextFile(envFile);
  // A file that cannot be read was refused with the rest of the configuration.
  const written = dotenv?.problem === undefined ? parseDotenv(dotenv?.text ?? "") : undefined;
  const given = env ?? readEnvironment(names);
  const values: Record<string, string> = {};
  for (const name of names) {
    const value = unquote(given[name] ?? "") || unquote(written?.[name] ?? "");
    if (value) values[name] = value;
  }
  return values;
}
