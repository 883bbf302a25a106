/** The runtimes by their own executables: `npx` would be in every start, and what has to be ended would go on behind it. */
import { type Outcome, run } from "./command.ts";

const BUN = "bun@1.4";

/** Where a runtime is, or why it cannot be had. */
export type Executable = { version: string; path: string } | { problem: Outcome };

/** Node of this major: the installed one where it is that, else the one npm has. */
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
