/** Runs a script of its own: what permissions do, and whether a process ends, shows only there. */

const ROOT = new URL("../../", import.meta.url);
/** Loading and running takes a second; a script that hangs must not hang the tests. */
const LIMIT_MS = 30_000;

export interface ScriptResult {
  readonly code: number;
  /** What it printed, without the line end. */
  readonly output: string;
  readonly errors: string;
  /** Every permission it made use of, or asked for, such as `net 127.0.0.1:1234`. */
  readonly permissions: readonly string[];
}

/**
 * Runs TypeScript that may import from `mod` (mod.ts) and use `Deno.args`.
 *
 * @param flags permissions; none beyond them are asked for.
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
    const child = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--no-prompt",
        "--no-check",
        `--config=${new URL("deno.json", ROOT).pathname}`,
        ...flags,
        file,
        ...options.args ?? [],
      ],
      clearEnv: true,
      env: {
        ...inherited(),
        NO_COLOR: "1",
        DENO_AUDIT_PERMISSIONS: audit,
        ...options.env,
      },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const timer = setTimeout(() => child.kill("SIGKILL"), LIMIT_MS);
    const { code, stdout, stderr } = await child.output();
    clearTimeout(timer);
    const decoder = new TextDecoder();
    return {
      code,
      output: decoder.decode(stdout).trim(),
      errors: decoder.decode(stderr).trim(),
      permissions: await readAudit(audit),
    };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function readAudit(file: string): Promise<string[]> {
  const text = await Deno.readTextFile(file).catch(() => "");
  const lines = text.split("\n").filter((line) => line !== "");
  const entries = lines.map((line) => JSON.parse(line) as { permission: string; value: unknown });
  return [...new Set(entries.map(({ permission, value }) => `${permission} ${value}`))];
}

/** What Deno itself needs: a variable such as `HTTP_PROXY` must not reach the script by accident. */
export function inherited(): Record<string, string> {
  const names = ["PATH", "HOME", "TMPDIR", "DENO_DIR", "SystemRoot", "USERPROFILE", "LOCALAPPDATA"];
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = Deno.env.get(name);
      return value === undefined ? [] : [[name, value]];
    }),
  );
}
