/** Runs with a monotonic clock that the test advances; timers are not affected. */
export async function withClock(
  run: (pass: (ms: number) => void) => Promise<void>,
): Promise<void> {
  const now = performance.now.bind(performance);
  let passed = 0;
  performance.now = () => now() + passed;
  try {
    await run((ms) => passed += ms);
  } finally {
    performance.now = now;
  }
}
