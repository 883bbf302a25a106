/** The provider as a web page loads it: it must bundle, work, need no `node:` module, and not grow unnoticed. */
import { createFakeLMStudio } from "@patinox/lmstudio/testing";
import { fileURLToPath, pathToFileURL } from "node:url";
import { fail, type Outcome, run } from "./command.ts";

const ENTRY = "browser_entry";
const HERE = fileURLToPath(new URL("./", import.meta.url));
/**
 * In kB (1000 bytes) for what is loaded at the start. Room for a fifth more than when it was last
 * looked at; raise it knowingly.
 */
const LIMITS_KB: Record<keyof Sizes, number> = { raw: 480, minified: 235, gzip: 80 };

interface Sizes {
  raw: number;
  minified: number;
  gzip: number;
}

/** The chunks of a bundle, by what loads them. */
interface Chunks {
  /** What the entry imports statically, itself included. */
  atStart: string;
  /** What is loaded on first use. */
  later: string;
}

/** Bundles into this folder, measures, and runs what came of it. */
export async function bundleForBrowsers(folder: string): Promise<Outcome> {
  const raw = await bundle(`${folder}/raw`, []);
  if (!raw.success) return raw;
  const minified = await bundle(`${folder}/minified`, ["--minify"]);
  if (!minified.success) return minified;
  const seconds = raw.seconds + minified.seconds;

  const plain = await readChunks(`${folder}/raw`);
  const small = await readChunks(`${folder}/minified`);
  const sizes = {
    raw: kilobytes(plain.atStart),
    minified: kilobytes(small.atStart),
    gzip: await gzipKilobytes(small.atStart),
  };
  const problems = [...findProblems(plain, sizes), ...await tryOut(`${folder}/minified`)];
  const laterKb = await gzipKilobytes(small.later);
  const stdout = `${sizes.raw} kB, minified ${sizes.minified} kB, gzip ${sizes.gzip} kB; ` +
    `on first use (zod) gzip ${laterKb} kB more`;
  const outcome = { success: true, stdout, stderr: "", seconds };
  return problems.length === 0 ? outcome : { ...fail(outcome, problems.join("\n")), stdout };
}

function bundle(outdir: string, flags: string[]): Promise<Outcome> {
  const options = ["--platform", "browser", "--code-splitting", "--outdir", outdir, ...flags];
  return run([Deno.execPath(), "bundle", ...options, `${ENTRY}.ts`], { cwd: HERE });
}

function findProblems(chunks: Chunks, sizes: Sizes): string[] {
  const problems: string[] = [];
  const node = /\b(?:from|import|require)\s*\(?\s*["'](node:[^"']+)["']/;
  for (const text of [chunks.atStart, chunks.later]) {
    const [, module] = node.exec(text) ?? [];
    if (module !== undefined) problems.push(`${module} is imported`);
  }
  if (chunks.atStart.includes("ZodType")) problems.push("zod is loaded at the start");
  if (!chunks.later.includes("ZodType")) problems.push("zod is not found where it is expected");
  for (const [name, limit] of Object.entries(LIMITS_KB)) {
    const size = sizes[name as keyof Sizes];
    if (size > limit) problems.push(`${name}: ${size} kB, more than ${limit} kB`);
  }
  return problems;
}

/** That it runs: the lazy chunk is loaded by the listing. */
async function tryOut(folder: string): Promise<string[]> {
  const { LMStudioProvider } = await import(pathToFileURL(`${folder}/${ENTRY}.js`).href);
  const fake = createFakeLMStudio({ replies: ["Hello."] });
  const provider = new LMStudioProvider({ fetch: fake.fetch, env: {} });
  try {
    const models = await provider.listModels();
    const { content } = await provider.complete("?");
    return models.length > 0 && content === "Hello." ? [] : ["the bundle gives wrong answers"];
  } catch (error) {
    return [`the bundle does not run: ${error}`];
  }
}

async function readChunks(folder: string): Promise<Chunks> {
  const files = new Map<string, string>();
  for await (const { name } of Deno.readDir(folder)) {
    files.set(name, await Deno.readTextFile(`${folder}/${name}`));
  }
  const start = new Set([`${ENTRY}.js`]);
  // A set gives what is added to it while it is gone through.
  for (const name of start) {
    const text = files.get(name);
    if (text === undefined) throw new Error(`Cannot find ${name} of the bundle in ${folder}`);
    for (const [, file = ""] of text.matchAll(/\b(?:from|import)\s*["']\.\/([^"']+)["']/g)) {
      start.add(file);
    }
  }
  const join = (isWanted: boolean): string =>
    [...files].filter(([name]) => start.has(name) === isWanted).map(([, text]) => text).join("");
  return { atStart: join(true), later: join(false) };
}

function kilobytes(text: string): number {
  return Math.round(new TextEncoder().encode(text).length / 100) / 10;
}

async function gzipKilobytes(text: string): Promise<number> {
  const stream = new Blob([text]).stream().pipeThrough(new CompressionStream("gzip"));
  return Math.round((await new Response(stream).arrayBuffer()).byteLength / 100) / 10;
}
