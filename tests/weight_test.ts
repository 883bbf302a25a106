/** What importing the module costs: it may shrink unnoticed, but not grow. */
import { assertEquals } from "@std/assert";
import { findGrowth, readRecord, weigh, type Weight } from "./support/weight.ts";

Deno.test("weight: importing, bundling and installing cost no more than tests/weight.json says", async () => {
  assertEquals(findGrowth(await readRecord(), await weigh()), []);
});

const RECORDED: Weight = {
  modules: { "mod.ts": 100, "src/core/a.ts": 200 },
  bundleKb: 40,
  packages: ["zod"],
};

Deno.test("weight: an added module is named", () => {
  const modules = { ...RECORDED.modules, "src/core/b.ts": 10 };
  assertEquals(findGrowth(RECORDED, { ...RECORDED, modules }), [
    "Importing mod.ts loads 3 modules, 2 were recorded. New: src/core/b.ts.",
  ]);
});

Deno.test("weight: replacing one module by another is not growth", () => {
  const modules = { "mod.ts": 100, "src/core/b.ts": 900 };
  assertEquals(findGrowth(RECORDED, { ...RECORDED, modules, bundleKb: 40.7 }), []);
  assertEquals(findGrowth(RECORDED, { modules: {}, bundleKb: 1, packages: [] }), []);
});

Deno.test("weight: a bundle that grows names the sources that have grown, largest first", () => {
  const modules = { "mod.ts": 101, "src/core/a.ts": 150, "src/core/c.ts": 30 };
  const [, problem] = findGrowth(RECORDED, { ...RECORDED, modules, bundleKb: 41 });
  assertEquals(
    problem,
    "A program that streams one completion takes 41 kB, 40 kB were recorded. " +
      "Sources: src/core/c.ts +30, mod.ts +1.",
  );
});

Deno.test("weight: an added package is named", () => {
  assertEquals(findGrowth(RECORDED, { ...RECORDED, packages: ["undici", "zod"] }), [
    "Installing the module installs more packages: undici.",
  ]);
});
