/** The runtimes' own executables: `npx` would slow down every start, and killing it would leave the runtime running. */
import { type Outcome, run } from "./command.ts";

const BUN = "bun@1.4";

/** The path of a runtime, or why it is not available. */
export type Executable = { version: string; path: string } | { problem: Outcome };

/** Node of this major version: the installed one if it matches, otherwise npm's. */
export async function findNode(major: number, cwd: string): Promise<Executable> {
  const installed = (await run(["node", "--version"], { cwd })).stdout.trim();
  return await ask(
    installed.startsWith(`v${major}.`)
      ? ["node"]
      : ["npx", "--yes", "--package", `node@${major}`, "node"],
    "process.versions.node",
    cwd,
  );
}

export function findBun(cwd: string): Promise<Executable> {
  return ask(["npx", "--yes", BUN], "Bun.version", cwd);
}

async function ask(command: string[], version: string, cwd: string): Promise<Executable> {
  const script = `console.log(${version} + " " + process.execPath)`;
  const outcome = await run([...command, "--eval", script], { cwd });
  const [, actual, path] = /^(\S+) (.+)$/m.exec(outcome.stdout) ?? [];
  return outcome.success && actual !== undefined && path !== undefined
    ? { version: actual, path }
    : { problem: outcome };
}
