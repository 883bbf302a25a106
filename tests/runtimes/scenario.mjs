/**
 * What must work wherever the package is installed, without a test framework: `run.ts` runs it inside a
 * project that has the package, on every runtime. Prints failures and the number of checks; exit code 1
 * if any failed. It must end on its own, like any program that uses the package.
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

// Imported only now, after an entry point that cannot be imported would have been reported by name.
await import("./checks_answers.mjs");
await import("./checks_members.mjs");
await import("./checks_failures.mjs");
await import("./checks_timers.mjs");
await import("./checks_setup.mjs");
await import("./checks_discovery.mjs");
await import("./checks_cli.mjs");
if (RUNTIME === "node") await import("./checks_node_fetch.mjs");
summarize();
