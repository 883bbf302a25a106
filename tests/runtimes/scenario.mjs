/**
 * What must work wherever the package is installed, without a test framework: run by `run.ts` inside a
 * project that has the package, on every runtime. Prints what fails, and how many checks there were;
 * exit code 1 if any failed. It must end by itself, as any program that uses the package must.
 *
 * Argument: JSON, see `run.ts`.
 */
import assert from "node:assert/strict";
import { check, entries, RUNTIME, summarize } from "./harness.mjs";

for (const [specifier, names] of Object.entries(entries)) {
  await check(`import ${specifier}`, async () => {
    assert.deepEqual(Object.keys(await import(specifier)).sort(), names);
  });
}

// Imported only now: an entry that cannot be imported has been told by its name.
await import("./checks_answers.mjs");
await import("./checks_members.mjs");
await import("./checks_failures.mjs");
await import("./checks_timers.mjs");
await import("./checks_setup.mjs");
await import("./checks_discovery.mjs");
await import("./checks_cli.mjs");
if (RUNTIME === "node") await import("./checks_node_fetch.mjs");
summarize();
