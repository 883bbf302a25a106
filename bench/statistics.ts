/** Medians of few and noisy numbers, and how sure they are. */

export interface Estimate {
  median: number;
  low: number;
  high: number;
  /** How likely the true median is between `low` and `high`: below 95 % where there are too few rounds. */
  coverage: number;
}

const WANTED_COVERAGE = 0.95;

/**
 * The median and the narrowest interval, from one order statistic to its mirror image, that has it with
 * 95 %; the whole range where even that has less. It takes nothing for granted about the noise.
 */
export function estimate(values: readonly number[]): Estimate {
  if (values.length === 0) throw new Error("Cannot estimate: there are no values");
  const sorted = [...values].sort((a, b) => a - b);
  const count = sorted.length;
  let rank = 1;
  while (coverage(count, rank + 1) >= WANTED_COVERAGE) rank++;
  const upper = sorted[count >> 1]!;
  const lower = sorted[(count - 1) >> 1]!;
  return {
    median: (lower + upper) / 2,
    low: sorted[rank - 1]!,
    high: sorted[count - rank]!,
    coverage: coverage(count, rank),
  };
}

/** How likely the median is between the values of this rank from below and from above. */
function coverage(count: number, rank: number): number {
  if (2 * rank > count) return 0;
  let below = 0;
  let term = 2 ** -count;
  for (let i = 0; i < rank; i++) {
    below += term;
    term *= (count - i) / (i + 1);
  }
  return 1 - 2 * below;
}

/** By the number of the round. */
export type Rounds = ReadonlyMap<number, number>;

/** Ratios taken round by round, where both have the round: what slows a whole round down is in both. */
export function ratios(values: Rounds, against: Rounds): number[] {
  return [...values].flatMap(([round, value]) => {
    const divisor = against.get(round);
    return divisor === undefined ? [] : [value / divisor];
  });
}
