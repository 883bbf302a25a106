/** A small deterministic generator of numbers from 0 up to 1, so that failures can be repeated. */
export function randomizer(seed: number): () => number {
  return () => {
    seed = (seed * 1664525 + 1013904223) >>> 0;
    return seed / 2 ** 32;
  };
}
