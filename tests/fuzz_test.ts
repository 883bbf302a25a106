/** A short fuzz of every property; `deno task fuzz` runs more. A failure says how to repeat its case. */
import { assertEquals } from "@std/assert";
import { runProperty } from "./fuzz/harness.ts";
import { PROPERTIES } from "./fuzz/properties.ts";

/** How many of 100 000 cases to run: a few seconds in total. */
const SHARE = 1 / 100;

for (const property of PROPERTIES) {
  Deno.test(`fuzz: ${property.name}`, async () => {
    const seed = Math.floor(Math.random() * 2 ** 31);
    const { failure } = await runProperty(property, Math.ceil(property.share * SHARE), seed);
    assertEquals(failure, undefined, failure);
  });
}
