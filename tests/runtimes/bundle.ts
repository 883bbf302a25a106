/** The provider as a web page loads it: it must bundle, work, need no `node:` module, and not grow unnoticed. */
import { createFakeLMStudio } from "@patinox/lmstudio/testing";
import { fileURLToPath, pathToFileURL } from "node:url";
import { runInThisContext } from "node:vm";
import {
  bundle,
  bundleIntoOne,
  type Chunks,
  gzipKilobytes,
  kilobytes,
  readChunks,
} from "./chunks.ts";
import { fail, type Outcome } from "./command.ts";
import type { WorkerScope } from "./worker_entry.ts";

const ENTRY = "browser_entry";
const WORKER = "worker_entry";
const HERE = fileURLToPath(new URL("./", import.meta.url));
/**
 * Limit in kB (1000 bytes) for what is loaded at startup: a fifth more than at the last check. Raise it
 * deliberately.
 */
const LIMITS_KB: Record<keyof Sizes, number> = { raw: 480, minified: 235, gzip: 80 };

interface Sizes {
  raw: number;
  minified: number;
  gzip: number;
}

/** Bundles into this folder, measures the bundle and runs it. */
export async function bundleForBrowsers(folder: string): Promise<Outcome> {
  const common = { cwd: HERE, file: `${ENTRY}.ts` };
  const rawEntry = { ...common, outdir: `${folder}/raw` };
  const smallEntry = { ...common, outdir: `${folder}/minified`, flags: ["--minify"] };
  const raw = await bundle(rawEntry);
  if (!raw.success) return raw;
  const minified = await bundle(smallEntry);
  if (!minified.success) return minified;
  const workerEntry = { ...common, file: `${WORKER}.ts`, outdir: `${folder}/worker` };
  const worker = await bundleIntoOne(workerEntry);
  if (!worker.success) return worker;
  const seconds = raw.seconds + minified.seconds + worker.seconds;

  const plain = await readChunks(rawEntry);
  const small = await readChunks(smallEntry);
  const sizes = {
    raw: kilobytes(plain.atStart),
    minified: kilobytes(small.atStart),
    gzip: gzipKilobytes(small.atStart),
  };
  const problems = [
    ...findProblems(plain, sizes),
    ...await tryOut(`${folder}/minified`),
    ...await tryOutWorker(await Deno.readTextFile(`${folder}/worker/${WORKER}.js`)),
  ];
  const laterKb = gzipKilobytes(small.later);
  const stdout = `${sizes.raw} kB, minified ${sizes.minified} kB, gzip ${sizes.gzip} kB; ` +
    `on first use (zod) gzip ${laterKb} kB more`;
  const outcome = { success: true, stdout, stderr: "", seconds };
  return problems.length === 0 ? outcome : { ...fail(outcome, problems.join("\n")), stdout };
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

/** Checks that it runs: the listing loads the lazy chunk. */
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

/** As a classic script, like a service worker: without `import()`, which is not allowed there. */
async function tryOutWorker(code: string): Promise<string[]> {
  const [found] = /\bimport\((?!\)).{0,40}/.exec(code) ?? [];
  if (found !== undefined) return [`the bundle for service workers has ${found}`];
  runInThisContext(code);
  const { answers } = globalThis as typeof globalThis & Partial<WorkerScope>;
  const fake = createFakeLMStudio({ replies: () => "Hello." });
  try {
    const given = await answers?.(fake.fetch);
    const isRight = given?.every((text) => text === "Hello.");
    return isRight === true ? [] : [`the bundle for service workers gives ${given}`];
  } catch (error) {
    return [`the bundle for service workers does not run: ${error}`];
  }
}
