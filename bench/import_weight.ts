/** Whether importing the module weighs more than was recorded, as a ratio to a peer: the only number that travels. */
import { type Run, valuesOf } from "./report.ts";
import { RUNTIMES } from "./setup.ts";
import { estimate, ratios } from "./statistics.ts";

const WEIGHT = new URL("../tests/weight.json", import.meta.url);
const PEER = "openai";
/** Busy machines are noisy: what it shall find is a graph that has grown, not a percent. */
const MARGIN = 1.4;

/** A sentence for each runtime on which it weighs more; empty if all is well. */
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
      `Importing weighs more on ${runtime}: ${median.toFixed(2)} of what ${PEER} takes, ` +
        `${ratio} was recorded. tests/weight_test.ts names the modules that were added.`,
    );
  }
  return problems;
}
