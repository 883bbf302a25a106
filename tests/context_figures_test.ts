/** A short run of the measurements in docs/context.md; `deno task context` runs them all. */
import { assertEquals, assertGreater, assertLess } from "@std/assert";
import { measure } from "./support/context_run.ts";
import { LLAMA } from "./support/llama.ts";

for (const policy of ["rollingWindow", "truncateMiddle"] as const) {
  Deno.test(`${policy}: the budget is kept and used up, against a real tokenizer`, async () => {
    const runs = [
      await measure(LLAMA, policy, { conversations: 90, seed: 1, is: "learnt" }),
      await measure(LLAMA, policy, { conversations: 300, seed: 2, is: "known" }),
    ];
    for (const { trimmed, mostUsed, full, failed, broken } of runs) {
      assertGreater(trimmed, 290);
      assertEquals(failed, 0);
      assertEquals(broken, []);
      assertLess(mostUsed, 1.01);
      assertGreater(full, 0.95);
    }
  });
}

Deno.test("an unknown model refuses once, then answers what fits its numbers", async () => {
  const is = "unknown";
  const found = await measure(LLAMA, "rollingWindow", { conversations: 120, seed: 4, is });
  assertEquals([found.refused, found.failed, found.broken], [120, 0, []]);
});
