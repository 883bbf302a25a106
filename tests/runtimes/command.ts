/** Runs other programs: no input, no noise, a time limit. */

/** The result. */
export interface Outcome {
  success: boolean;
  /** Its last line is a summary. */
  stdout: string;
  /** The problem, if any. */
  stderr: string;
  seconds: number;
}

interface RunOptions {
  cwd: string;
  limitMs?: number;
  /** In addition to this process's own variables. */
  env?: Record<string, string>;
}

/** Long enough for empty caches and a slow registry. */
const LIMIT_MS = 5 * 60_000;
/** No colors, no advertising, and no proxy: a user's own would intercept the scenario's requests. */
const QUIET: Record<string, string> = {
  NO_COLOR: "1",
  DENO_NO_UPDATE_CHECK: "1",
  npm_config_update_notifier: "false",
  npm_config_loglevel: "error",
};
const NO_PROXY = "127.0.0.1,localhost";

/** Runs a command to its end. */
export async function run(command: string[], { cwd, limitMs, env }: RunOptions): Promise<Outcome> {
  const [file = "", ...args] = command;
  const started = performance.now();
  const limit = limitMs ?? LIMIT_MS;
  const child = new Deno.Command(file, {
    args,
    cwd,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    env: { ...QUIET, NO_PROXY, no_proxy: NO_PROXY, ...env },
  }).spawn();
  let isTooLate = false;
  const timer = setTimeout(() => {
    isTooLate = true;
    child.kill("SIGKILL");
  }, limit);
  const { success, stdout, stderr } = await child.output();
  clearTimeout(timer);
  const decoder = new TextDecoder();
  const late = isTooLate ? `has not ended by itself after ${limit / 1000} s\n` : "";
  return {
    success,
    stdout: decoder.decode(stdout),
    stderr: late + decoder.decode(stderr),
    seconds: (performance.now() - started) / 1000,
  };
}

/** Runs a command that must succeed. */
export async function must(command: string[], options: RunOptions): Promise<Outcome> {
  const outcome = await run(command, options);
  const { success, stdout, stderr } = outcome;
  if (!success) throw new Error(`Cannot run ${command.join(" ")}:\n${stdout}${stderr}`);
  return outcome;
}

/** The same outcome, marked as failed for this reason. */
export function fail(outcome: Outcome, reason: string): Outcome {
  return { ...outcome, success: false, stdout: "", stderr: reason };
}
