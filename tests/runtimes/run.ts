/**
 * Packs the module as npm users get it, installs the tarball in an empty project, and runs `scenario.mjs`
 * there on Node and Bun, and on Deno from the source. Then has TypeScript check a user's program against
 * the declarations, and bundles the provider for browsers. One line each; exit code 1 if one failed.
 */
import process from "node:process";
import { fileURLToPath } from "node:url";
import { bundleForBrowsers } from "./bundle.ts";
import { fail, must, type Outcome, run } from "./command.ts";
import { pack } from "./pack.ts";
import { type Executable, findBun, findNode } from "./executables.ts";

const HERE = fileURLToPath(new URL("./", import.meta.url));
const ROOT = new URL("../../", import.meta.url);
const DENO = Deno.execPath();
const NODE_MAJORS = [20, 22, 24];
/** Many times as long as a scenario takes on an idle machine: one that does not end on its own fails. */
const SCENARIO_LIMIT_MS = 240_000;
const DEV_PACKAGES = [
  "typescript@5",
  "@types/node@20",
  // Each has its own kind of dispatcher; see `checks_node_fetch.mjs`.
  ...[6, 7, 8].map((major) => `undici${major}@npm:undici@${major}`),
];
/** What users must have in their tsconfig.json: one of the first two. The third shows what `dom` alone lacks. */
const TYPE_SETTINGS: Record<string, TypeSettings> = {
  "lib es2022 and @types/node": { lib: ["es2022"], types: ["node"], module: "nodenext" },
  "lib es2022, dom and esnext.disposable": {
    lib: ["es2022", "dom", "esnext.disposable"],
    types: [],
    module: "esnext",
    moduleResolution: "bundler",
  },
  "lib es2022 and dom alone, which lack only Disposable": {
    lib: ["es2022", "dom"],
    types: [],
    module: "esnext",
    moduleResolution: "bundler",
    lacks: /\b(?:Async)?Disposable\b/,
  },
};
/** On Deno the scenario gets only these permissions, and a user's script may only connect. */
const DENO_SCENARIO = [
  "run",
  "--no-prompt",
  "--allow-env",
  "--allow-read",
  "--allow-write",
  "--allow-run",
  "--allow-sys",
  "--allow-net=127.0.0.1,lmstudio.invalid",
];
const DENO_SCRIPT = ["run", "--no-prompt", "--allow-net=127.0.0.1"];

interface TypeSettings {
  lib: string[];
  types: string[];
  module: string;
  moduleResolution?: string;
  /** What every error must be about, if errors are expected. */
  lacks?: RegExp;
}

interface Runtime {
  name: string;
  /** The command before the script; absent if the runtime is not available. */
  command?: string[];
  problem?: Outcome;
  folder: string;
  childFlags: string[];
}

const project = await Deno.makeTempDir({ prefix: "lmstudio-runtimes-" });
try {
  const names = await readNames();
  const [runtimes] = await Promise.all([listRuntimes(), installPackage(Object.keys(names))]);
  for (const { name, command, problem, folder, childFlags } of runtimes) {
    const argument = JSON.stringify({ entries: names, childFlags });
    const scenario = [...command ?? [], `${folder}/scenario.mjs`, argument];
    const options = { cwd: folder, limitMs: SCENARIO_LIMIT_MS };
    report(name, problem ?? withoutNoise(await run(scenario, options)));
  }
  const typeChecks = Object.entries(TYPE_SETTINGS).map(async ([name, settings], i) => ({
    name,
    outcome: await checkTypes(settings, `tsconfig.${i}.json`),
  }));
  for (const { name, outcome } of await Promise.all(typeChecks)) {
    report(`tsc with ${name}`, outcome);
  }
  report("bundle for browsers", await bundleForBrowsers(`${project}/bundle`));
} finally {
  await Deno.remove(project, { recursive: true });
}

/** A line: `node 20.20.2: ok, 60 of 60 checks (9.1 s)`; below it, what failed. */
function report(name: string, { success, stdout, stderr, seconds }: Outcome): void {
  const summary = stdout.trim().split("\n").at(-1) ?? "";
  const verdict = success ? "ok" : "FAILED";
  console.log(`${name}: ${verdict}${summary && `, ${summary}`} (${seconds.toFixed(1)} s)`);
  if (success) return;
  process.exitCode = 1;
  const rest = stdout.trim().split("\n").slice(0, -1).join("\n");
  for (const line of `${rest}\n${stderr}`.split("\n")) {
    if (line.trim() !== "") console.log(`    ${name}: ${line}`);
  }
}

/** A runtime's warnings, such as about leaking listeners, count as failures, too. */
function withoutNoise(outcome: Outcome): Outcome {
  return { ...outcome, success: outcome.success && outcome.stderr === "" };
}

/** The exports of each entry point on Deno, which must be the same on the others. */
async function readNames(): Promise<Record<string, string[]>> {
  const { name, exports } = JSON.parse(await Deno.readTextFile(new URL("deno.json", ROOT)));
  const names: Record<string, string[]> = {};
  for (const [entry, file] of Object.entries<string>(exports)) {
    const module: Record<string, unknown> = await import(new URL(file, ROOT).href);
    names[entry.replace(".", name)] = Object.keys(module).sort();
  }
  return names;
}

async function installPackage(entries: string[]): Promise<void> {
  const tarball = `${project}/package.tgz`;
  await pack(tarball);
  const manifest = JSON.stringify({ private: true, type: "module" });
  await Deno.writeTextFile(`${project}/package.json`, manifest);
  await must(["npm", "install", "--no-audit", "--no-fund", tarball, ...DEV_PACKAGES], {
    cwd: project,
  });
  for await (const { name } of Deno.readDir(HERE)) {
    if (name.endsWith(".mjs") || name === "consumer.ts") {
      await Deno.copyFile(HERE + name, `${project}/${name}`);
    }
  }
  const imports = entries.map((entry, i) => `export * as entry${i} from "${entry}";\n`);
  await Deno.writeTextFile(`${project}/entries.ts`, imports.join(""));
}

async function listRuntimes(): Promise<Runtime[]> {
  const nodes = NODE_MAJORS.map(async (major) =>
    asRuntime("node", `node ${major}`, await findNode(major, HERE))
  );
  const bun = findBun(HERE).then((found) => asRuntime("bun", "bun", found));
  const deno = {
    name: `deno ${Deno.version.deno}`,
    command: [DENO, ...DENO_SCENARIO],
    folder: HERE,
    childFlags: DENO_SCRIPT,
  };
  return [...await Promise.all([...nodes, bun]), deno];
}

function asRuntime(kind: string, wanted: string, found: Executable): Runtime {
  const common = { folder: project, childFlags: [] };
  return "problem" in found
    ? { name: wanted, problem: found.problem, ...common }
    : { name: `${kind} ${found.version}`, command: [found.path], ...common };
}

/** A user's program, and the declarations of each entry point alone: `skipLibCheck` would hide what they lack. */
async function checkTypes({ lacks, ...settings }: TypeSettings, file: string): Promise<Outcome> {
  const compilerOptions = {
    ...settings,
    exactOptionalPropertyTypes: true,
    noEmit: true,
    skipLibCheck: false,
    strict: true,
    target: "es2022",
  };
  const files = ["entries.ts", "consumer.ts"];
  await Deno.writeTextFile(`${project}/${file}`, JSON.stringify({ compilerOptions, files }));
  const tsc = [
    `${project}/node_modules/typescript/bin/tsc`,
    "--project",
    file,
    "--pretty",
    "false",
  ];
  const outcome = await run(["node", ...tsc], { cwd: project });
  const errors = outcome.stdout.split("\n").filter((line) => line.includes("error TS"));
  const others = lacks === undefined ? errors : errors.filter((line) => !lacks.test(line));
  if (others.length > 0) return fail(outcome, others.join("\n"));
  const isAsExpected = outcome.success === (lacks === undefined);
  return isAsExpected
    ? { ...outcome, success: true, stdout: "" }
    : fail(outcome, outcome.success ? "it is no longer lacking" : outcome.stdout + outcome.stderr);
}
