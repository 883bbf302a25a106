/** Runs checks one after another, one line each; a failure does not stop the others. */

const CHECK_LIMIT_MS = 20_000;
const POLL_MS = 10;

let passed = 0;
const failed: string[] = [];
const unhandled: unknown[] = [];

// Otherwise the first failure would end the run without naming its check.
globalThis.addEventListener("unhandledrejection", (event) => {
  event.preventDefault();
  unhandled.push(event.reason);
});

/** Prints one line: the claim, and whether it is true. */
export async function check(name: string, body: () => Promise<void>): Promise<boolean> {
  const started = performance.now();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const running = body();
  running.catch(() => {});
  const limit = new Promise<never>((_, reject) => {
    const error = new Error(`still waiting after ${CHECK_LIMIT_MS / 1000} s`);
    timer = setTimeout(() => reject(error), CHECK_LIMIT_MS);
  });
  let failure: unknown;
  try {
    await Promise.race([running, limit]);
    if (unhandled.length > 0) throw unhandled.shift();
    passed++;
  } catch (error) {
    failure = error ?? new Error("failed without a reason");
    failed.push(name);
    unhandled.length = 0;
  } finally {
    clearTimeout(timer);
  }
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`${name}: ${failure === undefined ? "ok" : "FAILED"} (${seconds}s)`);
  if (failure !== undefined) console.log(describe(failure).replace(/^/gm, "    "));
  return failure === undefined;
}

/** Lists failed checks; returns whether there are none. */
export function summarize(): boolean {
  for (const reason of unhandled) failed.push(`a rejection nobody handled: ${describe(reason)}`);
  for (const name of failed) console.log(`Failed: ${name}`);
  console.log(`${passed} of ${passed + failed.length} system checks passed.`);
  return failed.length === 0 && passed > 0;
}

/** Waits until the condition is true; the check's time limit ends the wait. */
export async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, POLL_MS));
}

/** What the promise rejects with. */
export async function rejection(promise: Promise<unknown>): Promise<unknown> {
  let value: unknown;
  try {
    value = await promise;
  } catch (error) {
    return error;
  }
  throw new Error(`expected a rejection, got ${JSON.stringify(value)}`);
}

function describe(failure: unknown): string {
  return failure instanceof Error ? failure.stack ?? failure.message : String(failure);
}
