/** Memory used by one call to a server with endless bodies, in its own process. */
import { run } from "../runtimes/command.ts";
import { startFlood } from "./flood.mjs";
import { CASES } from "./memory.mjs";

const LIMIT_MS = 90_000;

/** A call to such a server: the body it gets, the call, the expected end, and the MiB it may use. */
export type MemoryCase = readonly [body: string, call: unknown, end: string, maxMib: number];

/** Runs a case of `memory.mjs`; returns the MiB it used, and any problem with that or with its end. */
export async function measure(
  command: readonly string[],
  folder: string,
  name: string,
): Promise<{ mib: number; problem: string | undefined }> {
  const cases: Readonly<Record<string, MemoryCase>> = CASES;
  const [, , end = "", maxMib = 0] = cases[name] ?? [];
  const flood = await startFlood();
  try {
    const script = [...command, `${folder}/memory.mjs`, flood.url, name];
    const { success, stdout, stderr } = await run(script, { cwd: folder, limitMs: LIMIT_MS });
    if (!success) return { mib: NaN, problem: `${name}: ${stderr}` };
    const got: { end: string; mib: number } = JSON.parse(stdout);
    const isRight = got.end === end && got.mib <= maxMib;
    return { mib: got.mib, problem: isRight ? undefined : `${name}: ${got.end}, ${got.mib} MiB` };
  } finally {
    await flood.close();
  }
}
