/**
 * Runs each test file in its own `deno test`, several at a time: on two cores the whole suite takes half as long, no
 * file is affected by what another did to its process, and a hanging file is named.
 */
export interface TestRun {
  /** The folder that contains the files, and the working directory of their processes. */
  readonly root: URL;
  readonly files: readonly string[];
  /** Flags passed to `deno test` before the file. */
  readonly flags: readonly string[];
  /** Arguments of a `deno` command to run at the same time, such as `["check"]`; it counts like a file. */
  readonly also?: readonly string[] | undefined;
  /** Time limit of a file. */
  readonly limitMs: number;
  readonly workers: number;
  print(text: string): void;
}

interface Outcome {
  readonly ok: boolean;
  readonly output: string;
}

interface Counts {
  passed: number;
  steps: number;
  failed: number;
  ignored: number;
}

const LINE_WIDTH = 100;
const SUM =
  /^(?:ok|FAILED) \| (\d+) passed(?: \((\d+) steps?\))? \| (\d+) failed(?: \(\d+ steps?\))?(?: \| (\d+) ignored)?/gm;

/** Sorted paths of the test files in a folder of `root`, except those below a path in `excluded`. */
export async function testFilesOf(
  root: URL,
  excluded: readonly string[],
  below = "./",
): Promise<string[]> {
  const files: string[] = [];
  const walk = async (folder: string): Promise<void> => {
    for await (const { name, isDirectory } of Deno.readDir(new URL(folder, root))) {
      const path = `${folder === "./" ? "" : folder}${name}${isDirectory ? "/" : ""}`;
      if (name.startsWith(".") || name === "node_modules" || excluded.includes(path)) continue;
      if (isDirectory) await walk(path);
      else if (name.endsWith("_test.ts")) files.push(path);
    }
  };
  await walk(below);
  return files.sort();
}

/** Prints a word for each passed file, the whole output of each failed one, and the totals; returns the exit code. */
export async function runTestFiles(run: TestRun): Promise<number> {
  const started = Date.now();
  const total: Counts = { passed: 0, steps: 0, failed: 0, ignored: 0 };
  const failedNames: string[] = [];
  const jobs = run.files.map((file) => ({ name: file, args: ["test", ...run.flags, file] }));
  if (run.also !== undefined) jobs.unshift({ name: String(run.also[0]), args: [...run.also] });
  let column = 0;

  const finish = (name: string, isFile: boolean, { ok, output }: Outcome): void => {
    const counts = countsOf(output);
    // Such a file failed as a whole: none of its tests was counted.
    if (!ok && counts.failed === 0) counts.failed = 1;
    for (const key of ["passed", "steps", "failed", "ignored"] as const) total[key] += counts[key];
    if (!ok) {
      failedNames.push(name);
      run.print(`${column > 0 ? "\n" : ""}\n${name}\n${output}\n`);
      column = 0;
      return;
    }
    const word = isFile ? `${shortName(name)} ${counts.passed}` : name;
    const separator = column === 0 ? "" : column + word.length + 2 > LINE_WIDTH ? ",\n" : ", ";
    column = separator === ", " ? column + word.length + 2 : word.length;
    run.print(separator + word);
  };

  const work = async (): Promise<void> => {
    for (let job = jobs.shift(); job !== undefined; job = jobs.shift()) {
      finish(job.name, job.args[0] === "test", await runDeno(job.args, job.name, run));
    }
  };
  await Promise.all(Array.from({ length: run.workers }, work));

  const ok = failedNames.length === 0;
  const ignored = total.ignored > 0 ? ` | ${total.ignored} ignored` : "";
  const steps = total.steps > 0 ? ` (${total.steps} step${total.steps === 1 ? "" : "s"})` : "";
  const seconds = Math.round((Date.now() - started) / 1000);
  if (!ok) run.print(`\n\nFailed: ${failedNames.join(", ")}`);
  run.print(
    `\n\n${
      ok ? "ok" : "FAILED"
    } | ${total.passed} passed${steps} | ${total.failed} failed${ignored} (${seconds}s)\n`,
  );
  return ok ? 0 : 1;
}

async function runDeno(args: string[], name: string, run: TestRun): Promise<Outcome> {
  const child = new Deno.Command(Deno.execPath(), {
    args,
    cwd: run.root,
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    child.kill("SIGKILL");
  }, run.limitMs);
  try {
    const { success, stdout, stderr } = await child.output();
    const decoder = new TextDecoder();
    const late = isLate ? `${name}: still running after ${run.limitMs / 1000} s\n` : "";
    return { ok: success, output: decoder.decode(stderr) + decoder.decode(stdout) + late };
  } finally {
    clearTimeout(timer);
  }
}

/** The last totals in an output: a test may print some as well. */
function countsOf(output: string): Counts {
  const [, passed, steps, failed, ignored] = [...output.matchAll(SUM)].at(-1) ?? [];
  return {
    passed: Number(passed ?? 0),
    steps: Number(steps ?? 0),
    failed: Number(failed ?? 0),
    ignored: Number(ignored ?? 0),
  };
}

function shortName(file: string): string {
  return file.replace(/^.*\//, "").replace(/_test\.ts$/, "");
}
