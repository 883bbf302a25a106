/** Medians of a few noisy numbers, with confidence intervals. */

export interface Estimate {
  median: number;
  low: number;
  high: number;
  /** Probability that the true median is between `low` and `high`; below 95 % if there are too few rounds. */
  coverage: number;
}

const WANTED_COVERAGE = 0.95;

/**
 * Estimates the median, with the narrowest interval between an order statistic and its mirror image that
 * contains it with at least 95 % probability, or the whole range if that is less likely. Makes no
 * assumption about the noise.
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

/** Probability that the median is between the values of this rank from below and from above. */
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

/** Values by number of the round. */
export type Rounds = ReadonlyMap<number, number>;

/** Ratios of the rounds that both have. Whatever slows down a whole round affects both, and cancels out. */
export function ratios(values: Rounds, against: Rounds): number[] {
  return [...values].flatMap(([round, value]) => {
    const divisor = against.get(round);
    return divisor === undefined ? [] : [value / divisor];
  });
}
