/** Separate processes: the only way to test permissions and process exit. */

/** Keeps an LM Studio that runs on this machine from answering in place of a test's own server, or of none. */
export const WITHOUT_LM_STUDIO = "--deny-net=127.0.0.1:1234";

const ROOT = new URL("../../", import.meta.url);
/** Loading and running takes a second; a hanging script must not hang the tests. */
const LIMIT_MS = 30_000;

/** The output of a process, without the line break at the end. */
export interface Ended {
  readonly code: number;
  readonly output: string;
  readonly errors: string;
}

export interface ScriptResult extends Ended {
  /** Every permission it used or requested, such as `net 127.0.0.1:1234`. */
  readonly permissions: readonly string[];
}

/**
 * Runs TypeScript that may import from `mod` (mod.ts) and use `Deno.args`.
 *
 * @param flags permissions; Deno prompts for no others.
 */
export async function runScript(
  source: string,
  flags: string[],
  options: { args?: string[]; env?: Record<string, string> } = {},
): Promise<ScriptResult> {
  const folder = await Deno.makeTempDir({ prefix: "lmstudio-script-" });
  try {
    const file = `${folder}/script.ts`;
    const audit = `${folder}/audit.jsonl`;
    await Deno.writeTextFile(file, source.replaceAll('"mod"', `"${ROOT.href}mod.ts"`));
    const ended = await runDeno([
      "run",
      "--no-prompt",
      "--no-check",
      `--config=${new URL("deno.json", ROOT).pathname}`,
      ...flags,
      file,
      ...options.args ?? [],
    ], { env: { DENO_AUDIT_PERMISSIONS: audit, ...options.env } });
    return { ...ended, permissions: await readAudit(audit) };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Runs Deno with only the environment it needs. */
export async function runDeno(
  args: string[],
  options: { env?: Record<string, string>; cwd?: string; stdin?: string } = {},
): Promise<Ended> {
  const child = new Deno.Command(Deno.execPath(), {
    args,
    clearEnv: true,
    env: { ...inherited(), NO_COLOR: "1", ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const timer = setTimeout(() => child.kill("SIGKILL"), LIMIT_MS);
  const writer = child.stdin.getWriter();
  // A process that has already ended does not read its input.
  await writer.write(new TextEncoder().encode(options.stdin)).catch(() => {});
  await writer.close().catch(() => {});
  const { code, stdout, stderr } = await child.output();
  clearTimeout(timer);
  const decoder = new TextDecoder();
  return { code, output: decoder.decode(stdout).trim(), errors: decoder.decode(stderr).trim() };
}

/** Runs Deno with the whole environment, which has what downloads need; throws if it fails, else returns its output. */
export async function expectDeno(args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), { args, cwd: ROOT })
    .output();
  const decoder = new TextDecoder();
  if (!success) throw new Error(`deno ${args.join(" ")}: ${decoder.decode(stderr)}`);
  return decoder.decode(stdout);
}

async function readAudit(file: string): Promise<string[]> {
  const text = await Deno.readTextFile(file).catch(() => "");
  const lines = text.split("\n").filter((line) => line !== "");
  const entries = lines.map((line) => JSON.parse(line) as { permission: string; value: unknown });
  return [...new Set(entries.map(({ permission, value }) => `${permission} ${value}`))];
}

/** Only what Deno itself needs: a variable such as `HTTP_PROXY` must not reach the script by accident. */
function inherited(): Record<string, string> {
  const names = ["PATH", "HOME", "TMPDIR", "DENO_DIR", "SystemRoot", "USERPROFILE", "LOCALAPPDATA"];
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = Deno.env.get(name);
      return value === undefined ? [] : [[name, value]];
    }),
  );
}
