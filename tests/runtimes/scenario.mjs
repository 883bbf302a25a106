/**
 * What must work wherever the package is installed: run inside a project that has it, on any
 * runtime, without a test framework. Prints one line per check that fails; exit code 1 if any did.
 *
 * Argument: JSON, the names of every entry: `{ "@patinox/lmstudio": ["LMStudioProvider", ...] }`.
 */
import assert from "node:assert/strict";
import process from "node:process";

const entries = JSON.parse(process.argv[2] ?? "{}");
let failures = 0;
let checks = 0;

async function check(name, run) {
  checks++;
  try {
    await run();
  } catch (error) {
    failures++;
    console.error(`${name}: ${error?.stack ?? error}`);
  }
}

for (const [specifier, names] of Object.entries(entries)) {
  await check(`import ${specifier}`, async () => {
    assert.deepEqual(Object.keys(await import(specifier)).sort(), names);
  });
}

console.log(`${checks - failures} of ${checks} checks`);
process.exitCode = failures > 0 ? 1 : 0;
