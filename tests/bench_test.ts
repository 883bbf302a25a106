/** How `deno task bench` turns its measurements into figures. */
import { assert, assertAlmostEquals, assertEquals, assertStringIncludes } from "@std/assert";
import { checkImports } from "../bench/import_weight.ts";
import { drawPlot } from "../bench/plot.ts";
import { compareWithBars, formatTables, type Place, type Results } from "../bench/report.ts";
import { type ClientName, ROWS } from "../bench/rows.ts";
import { estimate, ratios } from "../bench/statistics.ts";

Deno.test("estimate: the median and its 95 % interval", () => {
  const nine = estimate([9, 1, 8, 2, 7, 3, 6, 4, 5]);
  assertEquals([nine.median, nine.low, nine.high], [5, 2, 8]);
  assertAlmostEquals(nine.coverage, 0.961, 0.001);
  const fifteen = estimate(Array.from({ length: 15 }, (_, i) => i));
  assertEquals([fifteen.median, fifteen.low, fifteen.high], [7, 3, 11]);
});

Deno.test("estimate: the range of a few values, with its confidence", () => {
  const four = estimate([4, 1, 3, 2]);
  assertEquals([four.median, four.low, four.high, four.coverage], [2.5, 1, 4, 0.875]);
  assertEquals(estimate([3]), { median: 3, low: 3, high: 3, coverage: 0 });
});

Deno.test("ratios: by rounds, skipping a round that either of the two lacks", () => {
  const ours = new Map([[0, 2], [1, 9], [2, 4]]);
  const peer = new Map([[2, 8], [0, 4], [3, 1]]);
  assertEquals(ratios(ours, peer), [0.5, 0.5]);
  assertEquals(ratios(ours, new Map()), []);
});

/** Nine rounds, each slower than the one before. */
function resultsOf(values: Record<string, number>, runtime: Place = "deno"): Results {
  return {
    command: "deno task bench",
    date: "2026-11-26",
    versions: { openai: "7.57.0" },
    runtimes: [{ name: "deno", version: "2.9.6" }],
    rounds: 9,
    runs: Object.entries(values).flatMap(([key, value]) => {
      const [row = "", client] = key.split(" ");
      return Array.from({ length: 9 }, (_, round) => ({
        row,
        runtime,
        client: client as ClientName,
        round,
        value: value * (1 + round),
      }));
    }),
  };
}

Deno.test("bars: ratios round by round, so that a slow round cancels out", () => {
  const [standing, ...others] = compareWithBars(
    resultsOf({ "stream ours": 2, "stream openai": 4 }),
    ROWS,
  );
  assertEquals(others, []);
  assert(standing !== undefined);
  assertEquals([standing.bar, standing.against, standing.runtime], [0.33, "openai", "deno"]);
  assertEquals([standing.ours.low, standing.ours.median, standing.ours.high], [0.5, 0.5, 0.5]);
});

Deno.test("tables: met, missed, and each client's cost", () => {
  const rows = ROWS.filter(({ id }) => id === "completion");
  const text = formatTables(
    resultsOf({ "completion ours": 2, "completion openai": 8, "completion hand-written": 1 }),
    rows,
  );
  assertStringIncludes(text, "deno 2.9.6, openai 7.57.0");
  const cells = text.split("\n").map((line) => line.split("|").map((cell) => cell.trim()));
  const verdicts = cells.filter(([, title]) => title === "whole completion");
  assertEquals(verdicts.map((line) => line.slice(2, -1)), [
    ["÷ openai", "deno", "0.25", "≤ 0.40", "met"],
    ["÷ fetch + scan + JSON.parse", "deno", "2.00", "≤ 1.35", "missed"],
  ]);
  const [ours] = cells.filter(([, client]) => client === "@patinox/lmstudio");
  assertEquals(ours?.slice(2, -1), ["10.0", "0.25"]);
});

Deno.test("bars: several of ours, each against its own peer", () => {
  const results = resultsOf({ "stream ours-ai-sdk": 1, "stream ai-sdk": 4 });
  const [standing, ...others] = compareWithBars(results, ROWS);
  assertEquals(others, []);
  assert(standing !== undefined);
  assertEquals([standing.of, standing.against, standing.bar], ["ours-ai-sdk", "ai-sdk", 0.6]);
  assertEquals(standing.ours.median, 0.25);
  assertStringIncludes(formatTables(results, ROWS), "per token, by @patinox/lmstudio/ai-sdk");
  assertStringIncludes(drawPlot([standing]), "stream, ai-sdk ÷ @ai-sdk/openai-compatible, deno");
});

Deno.test("plot: a line for each bar, well-formed whatever a label contains", () => {
  const standings = compareWithBars(
    resultsOf({ "stream ours": 2, "stream openai": 4, "listing ours": 90, "listing openai": 1 }),
    ROWS,
  );
  const labelled = standings.map((standing) => ({
    ...standing,
    row: { ...standing.row, id: `${standing.row.id} <&>` },
  }));
  const svg = drawPlot(labelled);
  assertEquals(svg.split("<rect").length - 1, 1 + standings.length);
  assertStringIncludes(svg, "stream &lt;&amp;&gt; ÷ openai, deno");
  assertStringIncludes(svg, "0.50 / 0.33");
  // A value far outside is clipped at the edge, not drawn outside.
  const [, width] = /viewBox="0 0 (\d+)/.exec(svg) ?? [];
  for (const [, x] of svg.matchAll(/x\d?="(\d+(?:\.\d+)?)"/g)) assert(Number(x) <= Number(width));
});

Deno.test("import weight: fails if importing takes clearly more than was recorded", async () => {
  const { importRatio } = JSON.parse(
    await Deno.readTextFile(new URL("weight.json", import.meta.url)),
  );
  const weigh = (share: number) =>
    checkImports(resultsOf({ "import ours": share, "import openai": 1 }).runs);
  assertEquals(await weigh(importRatio.deno * 1.3), []);
  const [problem, ...others] = await weigh(importRatio.deno * 2);
  assertStringIncludes(problem ?? "", "Importing costs more on deno");
  assertEquals(others, []);
});
