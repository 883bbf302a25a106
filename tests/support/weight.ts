/**
 * What importing the module costs, compared with the record in `tests/weight.json`. Run as a program it
 * records the current numbers:
 *
 *     npx --yes deno@2.9 run -A tests/support/weight.ts
 */
import { fileURLToPath } from "node:url";
import { bundle, gzipKilobytes, readChunks } from "../runtimes/chunks.ts";
import { readGraph, staticGraph } from "./import_graph.ts";

const ROOT = new URL("../../", import.meta.url);
const RECORD = new URL("tests/weight.json", ROOT);
/** Leaves room for the few bytes of a bug fix; the check is for features that everybody would load. */
const BUNDLE_MARGIN = 1.02;
const PROGRAM = `import { LMStudioProvider } from "${new URL("mod.ts", ROOT)}";
const lmstudio = new LMStudioProvider({ model: "qwen/qwen3-8b" });
for await (const { content } of lmstudio.streamCompletion("Hello")) console.log(content);
`;

/** The content of `tests/weight.json`. */
export interface Weight {
  /** Modules on the static graph of `mod.ts`, each with its source size in bytes. */
  modules: Record<string, number>;
  /** What a program that streams one completion loads at startup, minified and gzipped. */
  bundleKb: number;
  /** Packages installed along with the module. */
  packages: string[];
}

export async function readRecord(): Promise<Weight> {
  return JSON.parse(await Deno.readTextFile(RECORD));
}

export async function weigh(): Promise<Weight> {
  const [modules, bundleKb, packages] = await Promise.all([
    weighModules(),
    weighBundle(),
    listPackages(),
  ]);
  return { modules, bundleKb, packages };
}

async function weighModules(): Promise<Record<string, number>> {
  const files = [...staticGraph("mod.ts", await readGraph([]))].sort();
  const sizes = files.map(async (file) =>
    [file, (await Deno.stat(new URL(file, ROOT))).size] as const
  );
  return Object.fromEntries(await Promise.all(sizes));
}

async function weighBundle(): Promise<number> {
  const cwd = await Deno.makeTempDir({ prefix: "lmstudio-weight-" });
  try {
    const config = fileURLToPath(new URL("deno.json", ROOT));
    const flags = ["--minify", "--external", "zod", "--config", config];
    const entry = { cwd, file: "program.ts", outdir: `${cwd}/bundle`, flags };
    await Deno.writeTextFile(`${cwd}/program.ts`, PROGRAM);
    const { success, stderr } = await bundle(entry);
    if (!success) throw new Error(`Cannot bundle a program that streams: ${stderr}`);
    return gzipKilobytes((await readChunks(entry)).atStart);
  } finally {
    await Deno.remove(cwd, { recursive: true });
  }
}

async function listPackages(): Promise<string[]> {
  const { exports } = JSON.parse(await Deno.readTextFile(new URL("deno.json", ROOT)));
  const names = new Set<string>();
  for (const entry of Object.values<string>(exports)) {
    const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["info", "--json", entry],
      cwd: ROOT,
    }).output();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
    const { npmPackages }: { npmPackages: Record<string, { name: string }> } = JSON.parse(
      new TextDecoder().decode(stdout),
    );
    for (const { name } of Object.values(npmPackages)) names.add(name);
  }
  return [...names].sort();
}

/** A sentence for each number that has grown, saying what is new; empty if none has. */
export function findGrowth(recorded: Weight, now: Weight): string[] {
  const problems: string[] = [];
  const before = Object.keys(recorded.modules);
  const after = Object.keys(now.modules);
  const added = after.filter((file) => !before.includes(file));
  if (after.length > before.length) {
    problems.push(
      `Importing mod.ts loads ${after.length} modules, ${before.length} were recorded. ` +
        `New: ${added.join(", ")}.`,
    );
  }
  if (now.bundleKb > recorded.bundleKb * BUNDLE_MARGIN) {
    problems.push(
      `A program that streams one completion takes ${now.bundleKb} kB, ` +
        `${recorded.bundleKb} kB were recorded. Sources: ${listGrown(recorded, now)}.`,
    );
  }
  const packages = now.packages.filter((name) => !recorded.packages.includes(name));
  if (packages.length > 0) {
    problems.push(`Installing the module installs more packages: ${packages.join(", ")}.`);
  }
  return problems;
}

/** Largest growth first; a handful is enough to know where to look. */
function listGrown(recorded: Weight, now: Weight): string {
  return Object.entries(now.modules)
    .map(([file, size]) => ({ file, bytes: size - (recorded.modules[file] ?? 0) }))
    .filter(({ bytes }) => bytes > 0)
    .sort((a, b) => b.bytes - a.bytes)
    .slice(0, 8)
    .map(({ file, bytes }) => `${file} +${bytes}`)
    .join(", ") || "none has grown, so what the bundler leaves out has";
}

if (import.meta.main) {
  const record = { ...await readRecord(), ...await weigh() };
  await Deno.writeTextFile(RECORD, JSON.stringify(record, null, 2) + "\n");
  const { modules, bundleKb, packages } = record;
  console.log(`${Object.keys(modules).length} modules, ${bundleKb} kB, ${packages.join(", ")}`);
}
