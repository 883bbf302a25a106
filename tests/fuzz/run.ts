/**
 * Fuzzes the module: `deno task fuzz [--cases 100000] [--seed N] [--only NAME[,NAME]] [--path PATH]`. Without a seed it
 * chooses one and prints it; each failure is printed with the command that repeats its case.
 */
import { runProperty } from "./harness.ts";
import { PROPERTIES } from "./properties.ts";

/** The sum of the properties' shares. */
const WHOLE = PROPERTIES.reduce((sum, { share }) => sum + share, 0);

const given = new Map<string, string>();
for (let at = 0; at < Deno.args.length; at += 2) {
  given.set(Deno.args[at]!.replace(/^--/, ""), Deno.args[at + 1] ?? "");
}
const cases = Number(given.get("cases") ?? 100_000);
const seed = Number(given.get("seed") ?? Math.floor(Math.random() * 2 ** 31));
const only = given.get("only")?.split(",");
const chosen = PROPERTIES.filter(({ name }) => only === undefined || only.includes(name));
if (chosen.length === 0 || !(cases > 0) || !Number.isInteger(seed)) {
  console.error(`Cannot fuzz that. Properties: ${PROPERTIES.map(({ name }) => name).join(", ")}`);
  Deno.exit(2);
}

console.log(`seed ${seed}`);
let ran = 0;
let failed = 0;
const chosenShare = chosen.reduce((sum, { share }) => sum + share, 0);
for (const property of chosen) {
  const count = Math.max(
    1,
    Math.round(cases * property.share / (only === undefined ? WHOLE : chosenShare)),
  );
  const outcome = await runProperty(property, count, seed, given.get("path"));
  ran += outcome.cases;
  console.log(
    `${outcome.failure === undefined ? "ok    " : "FAILED"} ${outcome.name.padEnd(20)} ` +
      `${String(outcome.cases).padStart(7)} cases ${(outcome.ms / 1000).toFixed(1).padStart(6)} s`,
  );
  if (outcome.failure === undefined) continue;
  failed++;
  console.error(outcome.failure);
}
console.log(`${ran} cases, ${failed} of ${chosen.length} properties failed`);
Deno.exit(failed === 0 ? 0 : 1);
