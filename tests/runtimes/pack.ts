/**
 * Packs the module as npm users get it, into the current folder or the one given, and checks its types: that every
 * declaration an entry point leads to is in the tarball, and that a user's program compiles with them.
 *
 * `deno pack` on its own lists every module without declarations. Most have none, since no public type leads to them:
 * in a hundred such lines you cannot see whether one of them matters.
 */
import process from "node:process";
import { fileURLToPath } from "node:url";
import { must } from "./command.ts";

const HERE = fileURLToPath(new URL("./", import.meta.url));
const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const DENO = Deno.execPath();

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly exports: Record<string, { readonly types: string }>;
}

/** Packs into a file whose types have been checked; if something is wrong, there is no file. */
export async function pack(tarball: string): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "lmstudio-pack-" });
  try {
    const packed = `${folder}/package.tgz`;
    await must([DENO, "pack", "--allow-dirty", "--output", packed], { cwd: ROOT });
    await must(["tar", "-xzf", packed, "-C", folder], { cwd: folder });
    const manifest: Manifest = JSON.parse(
      await Deno.readTextFile(`${folder}/package/package.json`),
    );
    const entries = Object.values(manifest.exports).map(({ types }) => types);
    const missing = await missingDeclarations(`${folder}/package/`, entries);
    if (missing.length > 0) {
      throw new Error(`Cannot pack the module: it lacks the declarations ${missing.join(", ")}`);
    }
    await checkProgram(folder, manifest);
    await Deno.copyFile(packed, tarball);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Missing declarations that an entry point leads to: for users they would silently be `any`. */
export async function missingDeclarations(
  folder: string,
  entries: readonly string[],
): Promise<string[]> {
  const missing: string[] = [];
  // Grows during the iteration.
  const reached = new Set(entries.map((entry) => new URL(entry, "file:///").pathname));
  for (const path of reached) {
    const text = await Deno.readTextFile(folder + path.slice(1)).catch(() => undefined);
    if (text === undefined) missing.push(path.slice(1));
    // Examples in comments import no relative path.
    for (const [, target = ""] of (text ?? "").matchAll(/(?:from|import)\s*\(?\s*"(\.[^"]+)"/g)) {
      reached.add(new URL(target.replace(/\.js$/, ".d.ts"), `file://${path}`).pathname);
    }
  }
  return missing.sort();
}

/** `consumer.ts`, in a project that has the package. */
async function checkProgram(folder: string, { name, version }: Manifest): Promise<void> {
  const project = `${folder}/project`;
  await Deno.mkdir(`${project}/node_modules/${name.split("/")[0]}`, { recursive: true });
  await Deno.rename(`${folder}/package`, `${project}/node_modules/${name}`);
  const dependencies = { [name]: version };
  const settings = JSON.stringify({ private: true, type: "module", dependencies });
  await Deno.writeTextFile(`${project}/package.json`, settings);
  await Deno.copyFile(`${HERE}consumer.ts`, `${project}/consumer.ts`);
  await must([DENO, "check", "--node-modules-dir=manual", "consumer.ts"], { cwd: project });
}

/** The file name that `npm pack` would use. */
async function defaultName(): Promise<string> {
  const { name, version } = JSON.parse(await Deno.readTextFile(`${ROOT}deno.json`));
  return `${name.replace("@", "").replace("/", "-")}-${version}.tgz`;
}

if (import.meta.main) {
  const tarball = Deno.args[0] ?? await defaultName();
  try {
    await pack(tarball);
    console.log(`${await Deno.realPath(tarball)}: packed, its types checked`);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}
