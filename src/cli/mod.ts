/**
 * Command line of this package: `doctor`, which finds out why a server does not work, `models`, `chat` and more.
 *
 * ```sh
 * deno run -A jsr:@patinox/lmstudio/cli doctor
 * ```
 *
 * @module
 */

import { realpathSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { runCommandLine } from "./command_line.ts";
import { processStreams } from "./terminal.ts";

/**
 * Runs a command. Reads the process's stdin, and writes to its stdout and stderr.
 *
 * @param args the command and its options, such as `["models", "--json"]`.
 * @returns the exit code: 0 for success, otherwise a code for the kind of error; see `docs/cli.md`. Does not reject if
 * the command fails.
 *
 * @example
 * ```ts
 * import { main } from "jsr:@patinox/lmstudio/cli";
 *
 * const exitCode = await main(["--help"]);
 * if (exitCode !== 0) throw new Error("no help");
 * ```
 */
export function main(args: readonly string[]): Promise<number> {
  return runCommandLine(args, processStreams());
}

/** Whether this file is the main module. Node before 24.2 has no `import.meta.main`. */
function isStarted(): boolean {
  const { main: isMain }: { main?: boolean } = import.meta;
  if (isMain !== undefined) return isMain;
  const script = process.argv[1];
  if (script === undefined || !import.meta.url.startsWith("file:")) return false;
  try {
    return realpathSync(script) === fileURLToPath(import.meta.url);
  } catch {
    return false;
  }
}

if (isStarted()) process.exitCode = await main(process.argv.slice(2));
