/**
 * Command options as data, from which argument parsing, usage errors and help text are derived.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { nearestName, quote } from "../core/fields.ts";
import type { LMStudioProviderOptions } from "../core/config.ts";
import { readTextFile } from "../platform/environment.ts";
import { LMStudioProvider } from "../provider/lmstudio.ts";
import { alignColumns, type Terminal, wrap } from "./terminal.ts";

/** Option of a command. */
export interface Option {
  /** Name of the value in the help text. An option without one is a flag. */
  readonly value?: string;
  /** One-letter form. */
  readonly short?: string;
  readonly help: string;
}

/** Parsed arguments of a command. */
export interface Given {
  /** Option values. A flag is `"true"`; of a repeated option, the last value counts. */
  readonly options: Readonly<Record<string, string | undefined>>;
  /** Every value of each option, in order. */
  readonly repeated: Readonly<Record<string, readonly string[]>>;
  readonly positionals: readonly string[];
  readonly terminal: Terminal;
}

/** Command: its arguments, its help text and what it does. */
export interface Command {
  /** What follows the command's name, such as `<model> [options]`. */
  readonly usage: string;
  /** Description, in full sentences. */
  readonly about: string;
  readonly options: Readonly<Record<string, Option>>;
  /** Command lines without the program's name, each with its effect. */
  readonly examples: readonly (readonly [line: string, effect: string])[];
  /** Allowed number of positional arguments. @default {[0, 0]} */
  readonly positionals?: readonly [least: number, most: number];
  /** @returns the exit code. */
  run(given: Given): Promise<number>;
}

/** Options of every command. */
const COMMON: Readonly<Record<string, Option>> = {
  help: { short: "h", help: "Show this help." },
  debug: { help: "Show the stack trace of an error." },
};

/** Options of commands that talk to a server. */
export const SERVER_OPTIONS: Readonly<Record<string, Option>> = {
  "base-url": {
    value: "URL",
    help: "Address of the server. Default: LMSTUDIO_BASE_URL, then http://127.0.0.1:1234.",
  },
  "env-file": { value: "FILE", help: "A .env file with variables such as LM_API_TOKEN." },
  "config-file": { value: "FILE", help: "A JSON file with provider options." },
};

/** Error for arguments that the command does not accept. */
export class UsageError extends Error {
  override name = "UsageError";
}

/**
 * Parses the arguments of a command.
 *
 * @throws {UsageError} naming an unknown option and the closest known one.
 */
export function readArguments(
  name: string,
  command: Command,
  args: readonly string[],
): Omit<Given, "terminal"> {
  const known = { ...command.options, ...COMMON };
  const { tokens, positionals } = parseArgs({
    args: [...args],
    options: Object.fromEntries(
      Object.entries(known).map(([option, { value, short }]) => [option, {
        type: value === undefined ? "boolean" as const : "string" as const,
        ...(short === undefined ? {} : { short }),
      }]),
    ),
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const options: Record<string, string> = {};
  const repeated: Record<string, string[]> = {};
  for (const token of tokens) {
    if (token.kind !== "option") continue;
    const option = Object.hasOwn(known, token.name) ? known[token.name] : undefined;
    if (option === undefined) {
      const nearest = nearestName(token.name, Object.keys(known));
      throw new UsageError(
        `Cannot run ${name}: it has no option ${shownOption(token.rawName)}` +
          (nearest === undefined
            ? `. See \`lmstudio ${name} --help\`.`
            : `. Did you mean --${nearest}?`),
      );
    }
    if (option.value === undefined) {
      if (token.value !== undefined) {
        throw new UsageError(`Cannot run ${name}: --${token.name} is a flag and takes no value.`);
      }
      options[token.name] = "true";
      continue;
    }
    // In `--model --json` the value was forgotten; `--json` is not meant as a model name.
    if (token.value === undefined || (!token.inlineValue && /^--./.test(token.value))) {
      throw new UsageError(
        `Cannot run ${name}: --${token.name} needs a value, as in --${token.name} ${option.value}.`,
      );
    }
    options[token.name] = token.value;
    (repeated[token.name] ??= []).push(token.value);
  }
  const [least, most] = command.positionals ?? [0, 0];
  if (options.help === undefined) {
    if (positionals.length < least) {
      throw new UsageError(
        `Cannot run ${name}: it needs ${command.usage.replace(" [options]", "")}. ` +
          `See \`lmstudio ${name} --help\`.`,
      );
    }
    if (positionals.length > most) {
      throw new UsageError(
        `Cannot run ${name}: ${quote(positionals[most] ?? "")} is one argument too many. ` +
          `See \`lmstudio ${name} --help\`.`,
      );
    }
  }
  return { options, repeated, positionals };
}

function shownOption(rawName: string): string {
  return quote(rawName).slice(1, -1);
}

/** Help text of a command. */
export function helpOf(name: string, command: Command, columns: number): string {
  const options = Object.entries({ ...command.options, ...COMMON });
  const names = options.map(([option, { value, short }]) =>
    `  ${short === undefined ? "" : `-${short}, `}--${option}${
      value === undefined ? "" : ` ${value}`
    }`
  );
  const width = Math.max(...names.map((text) => text.length)) + 2;
  const lines = options.flatMap(([, { help }], at) => {
    const [first = "", ...rest] = wrap(help, Math.max(20, columns - width));
    return [
      (names[at] ?? "").padEnd(width) + first,
      ...rest.map((line) => " ".repeat(width) + line),
    ];
  });
  return [
    `Usage: lmstudio ${name} ${command.usage}`,
    "",
    ...wrap(command.about, columns),
    "",
    "Options:",
    ...lines,
    "",
    "Examples:",
    ...alignColumns(command.examples.map(([line, effect]) => [`  lmstudio ${line}`, effect])),
  ].join("\n");
}

// --- Values -----------------------------------------------------------------------------------

/** Reads an option as a whole number above 0. @throws {UsageError} */
export function numberOf({ options }: Given, name: string): number | undefined {
  const text = options[name];
  if (text === undefined) return undefined;
  const value = Number(text.replaceAll("_", ""));
  if (!Number.isInteger(value) || value <= 0) {
    throw new UsageError(`Cannot use --${name} ${quote(text)}: it is not a whole number above 0.`);
  }
  return value;
}

/** Reads a text file named on the command line. @throws {UsageError} */
function readFileOf(what: string, path: string): string {
  const result = readTextFile(path);
  if (result.problem === undefined) return result.text;
  throw new UsageError(`Cannot read ${what} ${quote(path)}: ${result.problem}.`);
}

/** Reads a JSON file named on the command line. @throws {UsageError} */
export function readJsonFile(what: string, path: string): unknown {
  const text = readFileOf(what, path);
  try {
    return JSON.parse(text);
  } catch {
    throw new UsageError(`Cannot read ${what} ${quote(path)}: it is not JSON.`);
  }
}

/** Provider options from the command line. */
export function providerOptions({ options, terminal }: Given): LMStudioProviderOptions {
  const { env } = terminal.streams;
  return {
    baseUrl: options["base-url"],
    envFile: options["env-file"],
    configFile: options["config-file"],
    model: options.model,
    ...(env === undefined ? {} : { env }),
  };
}

/** Creates the provider that the command line describes. */
export function providerOf(given: Given, more: LMStudioProviderOptions = {}): LMStudioProvider {
  return new LMStudioProvider({ ...providerOptions(given), ...more });
}

/** Runs work that Ctrl+C aborts. */
export async function untilInterrupted<Result>(
  { terminal }: Given,
  work: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const controller = new AbortController();
  const stop = terminal.streams.onInterrupt(() => controller.abort(new Interrupted()));
  try {
    return await work(controller.signal);
  } finally {
    stop();
  }
}

/** Abort reason after Ctrl+C. */
export class Interrupted extends Error {
  override name = "Interrupted";
  override message = "Interrupted";
}
