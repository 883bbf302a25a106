/**
 * Configuration of this process: applies the cascade of `core/config.ts` to its environment and to the files that
 * options name.
 *
 * @module
 */

import {
  checkOptions,
  CONFIG_VARIABLES,
  type ConfigInputs,
  configurationError,
  type LMStudioProviderOptions,
  resolveCascade,
  type ResolvedCascade,
  type ResolvedConfig,
} from "../core/config.ts";
import { unquote } from "../core/base_url.ts";
import { builtinModule, globals, isGranted } from "./runtime.ts";

/**
 * Resolves the configuration of a provider with these options: defaults, then `configFile`, `envFile`, the environment
 * and the options, each overriding the one before. Sends nothing.
 *
 * @param options the same as for `new LMStudioProvider()`.
 * @param env used instead of the process's environment and of `options.env`.
 * @returns a frozen object that shows no secrets when printed.
 * @throws {ConfigurationError} if a value is invalid; the message names the value and its option, variable or file.
 *
 * @example
 * ```ts
 * import { resolveConfig } from "jsr:@patinox/lmstudio";
 *
 * const config = resolveConfig({ maxRetries: 0 }, { LMSTUDIO_HOST: "192.168.1.20" });
 * console.log(config.baseUrl); // http://192.168.1.20:1234
 * ```
 */
export function resolveConfig(
  options: LMStudioProviderOptions = {},
  env?: Readonly<Record<string, string | undefined>>,
): ResolvedConfig {
  return resolveWithSources(options, env).config;
}

/** Like `resolveConfig`, with the source of each value. @param moreVariables read after those that every provider reads. */
export function resolveWithSources(
  options: LMStudioProviderOptions,
  env?: Readonly<Record<string, string | undefined>>,
  moreVariables: NonNullable<ConfigInputs["moreVariables"]> = {},
): ResolvedCascade {
  checkOptions(options);
  const dotenv = options.envFile === undefined ? undefined : readDotenv(options.envFile);
  const file = options.configFile === undefined
    ? undefined
    : { name: options.configFile, text: readNamedFile("configFile", options.configFile) };
  return resolveCascade({
    options,
    env: env ?? options.env ??
      readEnvironment([...CONFIG_VARIABLES, ...Object.values(moreVariables).flat()]),
    dotenv,
    file,
    moreVariables,
  });
}

function readDotenv(name: string): { name: string; values: Readonly<Record<string, string>> } {
  const values = parseDotenv(readNamedFile("envFile", name));
  if (values === undefined) throw configurationError("option envFile needs Deno, Bun or Node");
  return { name, values };
}

function readNamedFile(option: string, path: string): string {
  if (typeof path !== "string" || path === "") {
    throw configurationError(`option ${option} is not a file path`);
  }
  const result = readTextFile(path);
  if (result.problem !== undefined) {
    throw configurationError(
      `option ${option}: cannot read ${path}: ${result.problem}`,
      result.hint ?? "Correct the path, or omit the option.",
    );
  }
  return result.text;
}

// --- Variables --------------------------------------------------------------------------------

/**
 * Reads only the named variables. A variable that Deno does not let us read counts as absent. The permission is queried
 * first, since reading a variable without it prompts or throws.
 */
export function readEnvironment(names: readonly string[]): Record<string, string> {
  const values: Record<string, string> = {};
  for (const name of names) {
    const value = readVariable(name);
    if (value !== undefined) values[name] = value;
  }
  return values;
}

function readVariable(variable: string): string | undefined {
  const { Deno } = globals();
  try {
    // Not on Deno, where reading `process` loads its whole Node layer.
    if (Deno === undefined) return globals().process?.env?.[variable];
    return isGranted({ name: "env", variable }) ? Deno.env?.get(variable) : undefined;
  } catch {
    return undefined;
  }
}

/** Reads the named variables from the environment, else from the `.env` file. An empty one counts as absent. */
export function readVariables(
  { env, envFile }: Pick<LMStudioProviderOptions, "env" | "envFile">,
  names: readonly string[],
): Record<string, string> {
  const dotenv = envFile === undefined ? undefined : readTextFile(envFile);
  // If the file cannot be read, resolving the configuration has already thrown.
  const written = dotenv?.problem === undefined ? parseDotenv(dotenv?.text ?? "") : undefined;
  const given = env ?? readEnvironment(names);
  const values: Record<string, string> = {};
  for (const name of names) {
    const value = unquote(given[name] ?? "") || unquote(written?.[name] ?? "");
    if (value) values[name] = value;
  }
  return values;
}

// --- Files ------------------------------------------------------------------------------------
// Read synchronously, because constructors cannot wait.

/** Text of a file, or why it cannot be read and what to do about it. */
type FileResult =
  | { readonly text: string; readonly problem?: undefined }
  | { readonly problem: string; readonly hint?: string | undefined };

interface FileReader {
  readFileSync(path: string): Uint8Array;
}

/** Reads a file that a user named. */
export function readTextFile(path: string): FileResult {
  const fs = builtinModule<FileReader>("node:fs");
  if (fs === undefined) {
    return {
      problem: "this runtime cannot read files",
      hint: "Use Deno, Bun, or Node 20.16 or later; elsewhere, pass the values as options.",
    };
  }
  let bytes: Uint8Array;
  try {
    bytes = fs.readFileSync(path);
  } catch (error) {
    return explain(error, path);
  }
  try {
    // Drops the byte order mark that some editors write.
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    // UTF-16 without a mark looks like UTF-8 full of NULs: such a `.env` file would seem to be empty.
    if (!text.includes("\0")) return { text };
  } catch {
    // Not UTF-8.
  }
  return { problem: "it is not UTF-8 text", hint: "Save it as UTF-8." };
}

/** Parses the text of a `.env` file; `undefined` if the runtime cannot. */
function parseDotenv(text: string): Readonly<Record<string, string>> | undefined {
  return builtinModule<{ parseEnv?(text: string): Record<string, string> }>("node:util")
    ?.parseEnv?.(text);
}

function explain(error: unknown, path: string): FileResult {
  const { name, code } = error as { name?: string; code?: string };
  if (code === "ENOENT") return { problem: "there is no such file" };
  if (code === "EISDIR") return { problem: "it is a folder" };
  if (name === "NotCapable") {
    return { problem: "Deno does not allow it", hint: `Run Deno with \`--allow-read=${path}\`.` };
  }
  if (code === "EACCES" || code === "EPERM" || code === "ERR_ACCESS_DENIED") {
    return { problem: "reading it is not allowed" };
  }
  return { problem: code ?? name ?? "unknown reason" };
}
