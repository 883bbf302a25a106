/** The figures of docs/scaling.md: `deno task queue [requests] [seed]`. */
import { type Load, runLoad } from "./support/queue_load.ts";

const [requests = 200, seed = 1] = Deno.args.map(Number);
const LOADS: readonly (readonly [shown: string, load: Pick<Load, "callers" | "isQueued">])[] = [
  ["all at once", { callers: requests, isQueued: true }],
  ["24 callers in loops", { callers: 24, isQueued: true }],
  ["8 callers in loops", { callers: 8, isQueued: true }],
  ["all at once, without the queue", { callers: requests, isQueued: false }],
  ["24 callers in loops, without the queue", { callers: 24, isQueued: false }],
];

console.log(
  `| ${requests} requests for three models | answered | cut off | model loads |`,
);
console.log("| --- | --: | --: | --: |");
for (const [shown, load] of LOADS) {
  const { answered, cut, loads } = await runLoad({ ...load, requests, models: 3, seed });
  console.log(`| ${shown} | ${answered} | ${cut} | ${loads} |`);
}
