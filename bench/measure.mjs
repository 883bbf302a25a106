/**
 * Measures one client on one row, in its own process: `measure.mjs '{"client":…}'`. Calls after the
 * warm-up count; the last line of output is the result as JSON.
 */
import process from "node:process";

const task = JSON.parse(process.argv.at(-1));
const result = task.method === "import" ? await measureImport(task) : await measureCalls(task);
console.log(JSON.stringify(result));
// Idle connections in a client's pool must not keep the process alive.
process.exit();

/** Imports another package and file first, so that one-time costs of the runtime are not measured. */
async function measureImport({ specifier }) {
  await import("bench-empty");
  await import("./clients/requests.mjs");
  const before = cpu();
  await import(specifier);
  return { cpuUs: cpu() - before };
}

async function measureCalls({ client, method, url, warmUp, calls, atOnce }) {
  const { [method]: prepare } = await import(`./clients/${client}.mjs`);
  const call = prepare(url);
  const run = atOnce === 1
    ? call
    : async () => sum(await Promise.all(Array.from({ length: atOnce }, call)));
  let checksum;
  for (let i = 0; i < warmUp; i++) checksum = await run();
  const before = cpu();
  const startedAt = performance.now();
  for (let i = 0; i < calls; i++) checksum = await run();
  return {
    cpuUs: (cpu() - before) / calls,
    wallUs: (performance.now() - startedAt) * 1000 / calls,
    // `maxRSS` is in kB on all runtimes.
    peakBytes: process.resourceUsage().maxRSS * 1024,
    checksum,
  };
}

function cpu() {
  const { user, system } = process.cpuUsage();
  return user + system;
}

function sum(numbers) {
  return numbers.reduce((total, number) => total + number, 0);
}
