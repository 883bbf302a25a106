/**
 * Deno's column of the fault matrix, with the faults that end at once. `deno task matrix` runs all of them on every
 * runtime.
 */
import { assert, assertEquals } from "@std/assert";
import { runCells } from "./matrix/cells.mjs";
import { FAULTS } from "./matrix/faults.mjs";
import { type Cell, fixedPart } from "./matrix/run.ts";

interface Fault {
  readonly expected: Readonly<Record<string, string>>;
  readonly on?: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

const FAULTS_HERE = [
  "none",
  "drop",
  "drop in the body",
  "reset before",
  "reset in the body",
  "half-close in the body",
  "reordered events",
  "left open",
  "web page",
  "nothing",
  "gzip cut",
  "bad chunk",
  "closed in between",
  "closed on use",
  "redirect elsewhere",
  "echo",
  "echo in the status line",
  "echo in an address",
  "echo that is not HTTP",
  "echo in a chunk",
  "control characters",
];

Deno.test("matrix: each fault has the expected outcome on every method, once, and leaves nothing behind", async () => {
  const cells: Cell[] = await runCells({ faults: FAULTS_HERE });
  assert(cells.length > 250, String(cells.length));
  const failed = cells.filter(({ problems }) => problems.length > 0);
  assertEquals(failed.map(({ fault, method, problems }) => [fault, method, problems]), []);
});

Deno.test("matrix: no fault may make a stateful call run more than once", () => {
  const faults: Readonly<Record<string, Fault>> = FAULTS;
  const tables = Object.values(faults).flatMap(({ expected, on = {} }) => [
    expected,
    ...Object.values(on),
  ]);
  for (const expected of tables) {
    for (const kind of ["stateful", "stateful stream", "*"] as const) {
      const outcome = expected[kind];
      const isForOthers = kind === "*" && "stateful" in expected && "stateful stream" in expected;
      if (!isForOthers) assert(!outcome?.includes("×"), `${kind}: ${outcome}`);
    }
  }
});

Deno.test("matrix: docs/reliability.md has the current table", async () => {
  const text = await Deno.readTextFile(new URL("../docs/reliability.md", import.meta.url));
  assert(text.includes(fixedPart()), "run `deno task matrix`");
});
