/**
 * The command line of this package: `doctor`, which finds out why a server cannot be used, `models`, `chat`, and more.
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
 * Runs a command. Writes to the process's output and errors, and reads its input.
 *
 * @param args the command and its options, such as `["models", "--json"]`.
 * @returns the exit code: 0 for success, others by the class of the failure; see `docs/cli.md`. Never rejects for a
 * failure of a command.
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

/** Whether this file is what was started. Node before 24.2 does not say. */
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
