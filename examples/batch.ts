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
import { appendFile, readFile } from "node:fs/promises";
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

const lmstudio = new LMStudioProvider();
const texts = source === undefined ? madeUp(500) : await linesOf(source);
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
      await appendFile(results, `${JSON.stringify({ index, ...object })}\n`);
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

/** Numbers of the finished texts. A line that was cut off when the program ended does not count. */
async function readResults(): Promise<Set<number>> {
  const numbers = new Set<number>();
  for (const line of await linesOf(results).catch(() => [])) {
    try {
      numbers.add(JSON.parse(line).index);
    } catch {
      // This text is classified again. End the broken line, so that new results start on their own.
      await appendFile(results, "\n");
    }
  }
  return numbers;
}

async function linesOf(file: string): Promise<string[]> {
  return (await readFile(file, "utf8")).split("\n").filter((line) => line.trim() !== "");
}

function madeUp(count: number): string[] {
  const things = ["The kettle", "The lamp", "The chair", "The radio"];
  const verdicts = ["broke after a week.", "works as promised.", "came late.", "looks lovely."];
  return Array.from(
    { length: count },
    (_, index) => `${things[index % 4]} no. ${index} ${verdicts[(index >> 2) % 4]}`,
  );
}
