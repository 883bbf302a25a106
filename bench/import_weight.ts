/** Checks that importing costs no more than recorded, relative to another client: only a ratio is comparable. */
import { type Run, valuesOf } from "./report.ts";
import { RUNTIMES } from "./setup.ts";
import { estimate, ratios } from "./statistics.ts";

const WEIGHT = new URL("../tests/weight.json", import.meta.url);
const PEER = "openai";
/** Tolerance for noisy machines: the check is meant to find a larger import graph, not a few percent. */
const MARGIN = 1.4;

/** Returns a sentence for each runtime on which importing costs more; empty if there is none. */
export async function checkImports(runs: readonly Run[]): Promise<string[]> {
  const { importRatio }: { importRatio: Record<string, number> } = JSON.parse(
    await Deno.readTextFile(WEIGHT),
  );
  const problems: string[] = [];
  for (const runtime of RUNTIMES) {
    const ratio = importRatio[runtime];
    const shares = ratios(
      valuesOf(runs, "import", runtime, "ours"),
      valuesOf(runs, "import", runtime, PEER),
    );
    if (ratio === undefined || shares.length === 0) continue;
    const { median } = estimate(shares);
    if (median <= ratio * MARGIN) continue;
    problems.push(
      `Importing costs more on ${runtime}: ${median.toFixed(2)} times ${PEER}, ` +
        `instead of the recorded ${ratio}. tests/weight_test.ts names the modules that were added.`,
    );
  }
  return problems;
}
