/**
 * A batch job: classifies the lines of a file, several at a time, and shows its progress. If Ctrl+C or a failure stops
 * it, run it again and it continues where it left off:
 *
 *     deno run -A examples/batch.ts reviews.txt sorted.jsonl
 *
 * Without a file, it makes up 500 reviews.
 *
 * Add `--fake` to get the answers from a fake LM Studio. In your own project, leave out "./fake.ts" and import from
 * "@patinox/lmstudio" instead of "../mod.ts" (or, on Deno, from "jsr:@patinox/lmstudio" without installing it).
 */
import "./fake.ts";
import { rmSync } from "node:fs";
import { appendFile, readFile, truncate, writeFile } from "node:fs/promises";
import process from "node:process";
import * as z from "zod";
import { isProviderError, LMStudioProvider } from "../mod.ts";

const [source, results = "sorted.jsonl"] = process.argv.slice(2);
/** As many requests as LM Studio serves at once: "Max Concurrent Predictions" of the model. */
const AT_A_TIME = 4;
const PROGRESS_EVERY = 50;
const Review = z.object({
  sentiment: z.enum(["positive", "negative"]),
  topic: z.enum(["quality", "delivery", "price"]),
});

const Line = z.object({ index: z.number(), text: z.string() });
const LINE_START = '{"index":';

const lmstudio = new LMStudioProvider();
const texts = source === undefined ? madeUp(500) : await linesOf(source);
await lock(`${results}.lock`);
const done = await readResults();
const left = [...texts.entries()].filter(([index]) => !done.has(index));
const stopping = new AbortController();
process.once("SIGINT", () => stopping.abort());
const startedAt = performance.now();
let finished = 0;
let failed = 0;
if (done.size > 0) console.error(`${done.size} of ${texts.length} are already done`);

// All workers take from the same list, so that none is idle while there is work left.
const entries = left.values();
const workers = Array.from({ length: AT_A_TIME }, () => work(entries));
try {
  await Promise.all(workers);
  console.log(`${done.size + finished} of ${texts.length} are done, ${failed} failed`);
} catch (error) {
  stopping.abort();
  // Let the other workers write the answers they already have: these count, too.
  await Promise.allSettled(workers);
  console.error(isProviderError(error) ? error.message : "Stopped.");
  console.error(`${done.size + finished} of ${texts.length} are done. Run it again to continue.`);
  if (!isProviderError(error) && error !== stopping.signal.reason) throw error;
  process.exitCode = 1;
}

async function work(entries: Iterable<[number, string]>): Promise<void> {
  const { signal } = stopping;
  for (const [index, text] of entries) {
    try {
      const { object } = await lmstudio.completeObject({
        messages: [{ role: "system", content: "Classify this review." }, text],
        schema: Review,
      }, { signal });
      await appendFile(results, `${JSON.stringify({ index, text, ...object })}\n`);
      finished++;
    } catch (error) {
      // An answer that does not match the schema affects one text; a server that is gone affects them all.
      if (!isProviderError(error, "parse")) throw error;
      failed++;
      console.error(`${index}: ${error.message}`);
    }
    if ((finished + failed) % PROGRESS_EVERY === 0) showProgress();
  }
}

function showProgress(): void {
  const perSecond = (finished + failed) / ((performance.now() - startedAt) / 1000);
  const secondsLeft = Math.round((left.length - finished - failed) / perSecond);
  console.error(`${done.size + finished} of ${texts.length}, ${secondsLeft} s left`);
}

/** Numbers of the finished texts; a text that has changed since is not finished. */
async function readResults(): Promise<Set<number>> {
  const numbers = new Set<number>();
  const content = await readIfThere(results);
  const lines = content.split("\n");
  // A killed program may leave half a line at the end: the next result must not continue it.
  const half = lines.pop() ?? "";
  if (half !== "" && LINE_START.startsWith(half.slice(0, LINE_START.length))) {
    await truncate(results, new TextEncoder().encode(content.slice(0, -half.length)).length);
  } else lines.push(half);
  for (const line of lines.filter((line) => line !== "")) {
    const { index, text } = readLine(line);
    if (texts[index] === text) numbers.add(index);
  }
  return numbers;
}

function readLine(line: string): z.infer<typeof Line> {
  try {
    return Line.parse(JSON.parse(line));
  } catch {
    throw new Error(`${results} contains something else than results: ${line.slice(0, 80)}`);
  }
}

/** Two runs at once would do the same work twice. */
async function lock(file: string): Promise<void> {
  const holder = Number(await readIfThere(file));
  if (isRunning(holder)) {
    console.error(`Process ${holder} is already writing ${results}. If it is not, delete ${file}.`);
    process.exit(1);
  }
  // A killed run leaves its lock behind.
  rmSync(file, { force: true });
  await writeFile(file, String(process.pid), { flag: "wx" });
  process.on("exit", () => rmSync(file, { force: true }));
}

function isRunning(pid: number): boolean {
  try {
    return pid > 0 && process.kill(pid, 0);
  } catch {
    return false;
  }
}

async function readIfThere(file: string): Promise<string> {
  return await readFile(file, "utf8").catch((error) => {
    if (error.code !== "ENOENT") throw error;
    return "";
  });
}

async function linesOf(file: string): Promise<string[]> {
  return (await readFile(file, "utf8")).split(/\r?\n/).filter((line) => line.trim() !== "");
}

function madeUp(count: number): string[] {
  const things = ["The kettle", "The lamp", "The chair", "The radio"];
  const verdicts = ["broke after a week.", "works as promised.", "came late.", "looks lovely."];
  return Array.from(
    { length: count },
    (_, index) => `${things[index % 4]} no. ${index} ${verdicts[(index >> 2) % 4]}`,
  );
}
