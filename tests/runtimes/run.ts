/**
 * Packs the module as npm users get it, installs the tarball in an empty project, runs
 * `scenario.mjs` there on every runtime, and has TypeScript check the declarations. One line
 * each; exit code 1 if one failed.
 */
import process from "node:process";

const ROOT = new URL("../../", import.meta.url);
const NODE_MAJORS = [20, 22, 24];
const BUN = "bun@1.4";
const TYPESCRIPT = ["typescript@5", "@types/node@20"];
/** What users must have in their tsconfig.json: the one or the other. */
const TYPE_SETTINGS: Record<string, { lib: string[]; types: string[] }> = {
  "lib es2022 and @types/node": { lib: ["es2022"], types: ["node"] },
  "lib es2022, dom and esnext.disposable": {
    lib: ["es2022", "dom", "esnext.disposable"],
    types: [],
  },
};

interface Runtime {
  name: string;
  command: string[];
}

interface Outcome {
  success: boolean;
  output: string;
  seconds: number;
}

const project = await Deno.makeTempDir({ prefix: "lmstudio-runtimes-" });
try {
  await installPackage();
  const names = await readNames();
  await Deno.copyFile(new URL("scenario.mjs", import.meta.url), `${project}/scenario.mjs`);
  for (const { name, command } of await listRuntimes()) {
    const version = (await run([...command, "--version"], project)).output.trim();
    const scenario = [...command, `${project}/scenario.mjs`, JSON.stringify(names)];
    report(`${name} ${version}`, await run(scenario, project));
  }
  await must(["npm", "install", "--no-audit", "--no-fund", ...TYPESCRIPT], project);
  for (const [name, settings] of Object.entries(TYPE_SETTINGS)) {
    report(`tsc with ${name}`, await checkTypes(Object.keys(names), settings));
  }
} finally {
  await Deno.remove(project, { recursive: true });
}

function report(name: string, { success, output, seconds }: Outcome): void {
  console.log(`${name}: ${success ? "ok" : "FAILED"} (${seconds.toFixed(1)}s)`);
  if (output.trim() !== "") console.log(output.trim().replace(/^/gm, "    "));
  if (!success) process.exitCode = 1;
}

async function installPackage(): Promise<void> {
  const tarball = `${project}/package.tgz`;
  await must([Deno.execPath(), "pack", "--allow-dirty", "--output", tarball], ROOT.pathname);
  await Deno.writeTextFile(
    `${project}/package.json`,
    JSON.stringify({ private: true, type: "module" }),
  );
  await must(["npm", "install", "--no-audit", "--no-fund", tarball], project);
}

/** What each entry exports on Deno, which the others must export as well. */
async function readNames(): Promise<Record<string, string[]>> {
  const { name, exports } = JSON.parse(await Deno.readTextFile(new URL("deno.json", ROOT)));
  const names: Record<string, string[]> = {};
  for (const [entry, file] of Object.entries<string>(exports)) {
    const module: Record<string, unknown> = await import(new URL(file, ROOT).href);
    names[entry.replace(".", name)] = Object.keys(module).sort();
  }
  return names;
}

async function listRuntimes(): Promise<Runtime[]> {
  const installed = (await run(["node", "--version"], project)).output.trim();
  const nodes = NODE_MAJORS.map((major) => ({
    name: "node",
    command: installed.startsWith(`v${major}.`)
      ? ["node"]
      : ["npx", "--yes", "--package", `node@${major}`, "node"],
  }));
  return [...nodes, { name: "bun", command: ["npx", "--yes", BUN] }];
}

/** The declarations of every entry, on their own: `skipLibCheck` would hide what is missing. */
async function checkTypes(
  entries: string[],
  settings: { lib: string[]; types: string[] },
): Promise<Outcome> {
  const imports = entries.map((entry, i) => `export * as entry${i} from "${entry}";\n`);
  await Deno.writeTextFile(`${project}/consumer.ts`, imports.join(""));
  const compilerOptions = {
    ...settings,
    exactOptionalPropertyTypes: true,
    module: "nodenext",
    noEmit: true,
    skipLibCheck: false,
    strict: true,
    target: "es2022",
  };
  const files = ["consumer.ts"];
  await Deno.writeTextFile(
    `${project}/tsconfig.json`,
    JSON.stringify({ compilerOptions, files }),
  );
  return await run(["npx", "tsc", "--project", project], project);
}

async function must(command: string[], cwd: string): Promise<void> {
  const { success, output } = await run(command, cwd);
  if (!success) throw new Error(`Cannot run ${command.join(" ")}:\n${output}`);
}

async function run([file = "", ...args]: string[], cwd: string): Promise<Outcome> {
  const started = Date.now();
  const { success, stdout, stderr } = await new Deno.Command(file, {
    args,
    cwd,
    stdin: "null",
    env: { NO_COLOR: "1", npm_config_update_notifier: "false", npm_config_loglevel: "error" },
  }).output();
  const decoder = new TextDecoder();
  const output = decoder.decode(stdout) + decoder.decode(stderr);
  return { success, output, seconds: (Date.now() - started) / 1000 };
}
