/**
 * Runs `deno` over the whole repository: `test`, `test:frameworks` (tests that need packages of a hundred megabytes),
 * `test:doc` (the examples in comments and Markdown), `check`, `doc:lint` or `coverage`; further arguments are
 * passed on.
 *
 * `deno.json` imports `@std/*` from JSR. If JSR cannot be reached, the same run is made with an
 * import map that has the adapters of `tests/offline/` instead, so npm is enough.
 */
import process from "node:process";
import { WITHOUT_LM_STUDIO } from "./support/script.ts";
import { runTestFiles, testFilesOf } from "./support/test_files.ts";

const ROOT = new URL("../", import.meta.url);
const JSR_PROBE_MS = 5_000;
/** Many times as long as they take: a hanging test fails instead of keeping everyone waiting. */
const RUN_LIMIT_MS = 10 * 60_000;
const FILE_LIMIT_MS = 5 * 60_000;
const ADAPTERS: Record<string, string> = {
  "@std/assert": "tests/offline/assert.ts",
  "@std/dotenv": "tests/offline/dotenv.ts",
  "@std/http/server-sent-event-stream": "tests/offline/http_sse.ts",
  "@std/testing/time": "tests/offline/testing_time.ts",
  "@std/testing/types": "tests/offline/testing_types.ts",
};
const TEST_FLAGS = [
  "--sanitize-ops",
  "--sanitize-resources",
  "--no-prompt",
  "--allow-read",
  "--allow-write",
  "--allow-env",
  "--allow-sys",
  "--allow-run",
  "--allow-net=127.0.0.1,localhost,[::1],0.0.0.0",
  WITHOUT_LM_STUDIO,
];
const DOC_PRELOAD = "./tests/fake_fetch.ts";
const DOC_FILES = ["mod.ts", "src/", "README.md", "docs/"];
/** Not in `test`: these download three hundred megabytes. */
const FRAMEWORKS = "tests/frameworks/";

interface Config {
  exports: Record<string, string>;
  imports: Record<string, string>;
  lock: boolean;
  test: { exclude: string[] };
}

if (import.meta.main) {
  const [command, ...rest] = Deno.args;
  const temporary = await Deno.makeTempDir({ prefix: "lmstudio-" });
  try {
    process.exitCode = await run(command, rest, temporary);
  } finally {
    await Deno.remove(temporary, { recursive: true });
  }
}

async function run(
  command: string | undefined,
  rest: string[],
  temporary: string,
): Promise<number> {
  const config: Config = JSON.parse(await Deno.readTextFile(new URL("deno.json", ROOT)));
  if (command === "doc:lint") {
    return await deno(["doc", "--lint", ...rest, ...Object.values(config.exports)]);
  }
  const imports = await importFlags(config.imports, temporary);
  switch (command) {
    case "test":
      return await test([...imports, ...TEST_FLAGS], rest, await allTestFiles(config), imports);
    case "test:frameworks": {
      // The repository's configuration excludes them, even if they are named.
      const { imports: map, lock } = config;
      const path = `${temporary}/deno.json`;
      await Deno.writeTextFile(path, JSON.stringify({ imports: map, lock }));
      const flags = [`--config=${path}`, ...imports, ...TEST_FLAGS];
      // `check` checks their types.
      return await test(flags, rest, await testFilesOf(ROOT, [], FRAMEWORKS));
    }
    case "check":
      return await deno(["check", ...imports, ...rest]);
    case "test:doc": {
      const files = rest.length > 0 ? rest : DOC_FILES.filter(exists);
      return await deno(["test", ...imports, "-A", "--doc", `--preload=${DOC_PRELOAD}`, ...files]);
    }
    case "coverage": {
      const profile = `${temporary}/coverage`;
      const flags = [`--coverage=${profile}`, "--coverage-raw-data-only"];
      const files = await allTestFiles(config);
      return await test([...imports, ...TEST_FLAGS, ...flags], rest, files, imports) ||
        await deno(["coverage", `--include=^${ROOT.href}src/`, profile]);
    }
    default:
      console.error(
        `Cannot run ${command ?? "nothing"}: ` +
          "expected test, test:frameworks, test:doc, check, doc:lint or coverage.",
      );
      return 2;
  }
}

function allTestFiles(config: Config): Promise<string[]> {
  return testFilesOf(ROOT, config.test.exclude);
}

/**
 * Runs the named tests with the report of `deno test`; without names, all `files` with a short report.
 *
 * @param check flags for one type check of all files: separate checks would each check src/ again.
 */
async function test(
  flags: string[],
  named: string[],
  files: string[],
  check?: string[],
): Promise<number> {
  if (named.length > 0) return await deno(["test", ...flags, ...named]);
  return await runTestFiles({
    root: ROOT,
    files,
    flags: ["--no-check", ...flags],
    also: check === undefined ? undefined : ["check", "--quiet", ...check, ...files],
    limitMs: FILE_LIMIT_MS,
    // Some files spend most of their time waiting.
    workers: navigator.hardwareConcurrency + 1,
    print: (text) => process.stdout.write(text),
  });
}

/** Nothing if JSR answers, otherwise the flag for a run without it. */
async function importFlags(
  imports: Record<string, string>,
  temporary: string,
): Promise<string[]> {
  const probe = Object.values(imports).find((target) => target.startsWith("jsr:"));
  if (probe === undefined || await isReachable(probe)) return [];
  const map: Record<string, string> = {};
  for (const [name, target] of Object.entries(imports)) {
    if (target.startsWith("jsr:")) continue;
    map[name] = target;
    // deno.json implies this entry, a plain import map does not.
    if (target.startsWith("npm:")) map[`${name}/`] = `${target.replace("npm:", "npm:/")}/`;
  }
  for (const [name, file] of Object.entries(ADAPTERS)) map[name] = new URL(file, ROOT).href;
  const path = `${temporary}/import_map.json`;
  await Deno.writeTextFile(path, JSON.stringify({ imports: map }, null, 2));
  console.error(`JSR cannot be reached: tests/offline/ stands in for @std.`);
  return [`--import-map=${path}`];
}

async function isReachable(specifier: string): Promise<boolean> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["cache", "--quiet", specifier],
    cwd: ROOT,
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  const timer = setTimeout(() => child.kill("SIGKILL"), JSR_PROBE_MS);
  const { success } = await child.status;
  clearTimeout(timer);
  return success;
}

async function deno(args: string[]): Promise<number> {
  const child = new Deno.Command(Deno.execPath(), { args, cwd: ROOT, stdin: "null" }).spawn();
  const timer = setTimeout(() => {
    console.error(`Cannot finish deno ${args[0]}: still running after ${RUN_LIMIT_MS / 1000} s.`);
    child.kill("SIGKILL");
  }, RUN_LIMIT_MS);
  const { code } = await child.status;
  clearTimeout(timer);
  return code;
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(new URL(path, ROOT)) !== undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
