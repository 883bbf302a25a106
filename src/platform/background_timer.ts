/**
 * Timers that do not keep a program alive.
 *
 * @module
 */

interface DenoTimers {
  readonly Deno?: { unrefTimer?(id: number): void };
}

/** Calls back after `ms`, if the program still runs then; returns what stops it. */
export function startBackgroundTimer(ms: number, onTime: () => void): () => void {
  const timer: unknown = setTimeout(onTime, ms);
  if (typeof timer === "object" && timer !== null && "unref" in timer) {
    (timer as { unref(): void }).unref();
  } else if (typeof timer === "number") {
    // Deno up to 2.8 and browsers have numbers; a page has no end that a timer could hold up.
    (globalThis as unknown as DenoTimers).Deno?.unrefTimer?.(timer);
  }
  return () => clearTimeout(timer as ReturnType<typeof setTimeout>);
}
