/**
 * Testing your own code without a model: what it sends, and how it handles an answer and a failure. The same file runs
 * on all runtimes:
 *
 *     deno test examples/summary_test.ts
 *     node --test summary_test.ts
 *     bun test summary_test.ts
 *
 * In your own project, copy summary.ts too, and in both files import from "@patinox/lmstudio" instead of "../mod.ts", and
 * from "@patinox/lmstudio/testing" instead of "../src/testing/mod.ts".
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { LMStudioProvider } from "../mod.ts";
import { createFakeLMStudio, type FakeLMStudioOptions } from "../src/testing/mod.ts";
import { summarize } from "./summary.ts";

const TEXT = "The sky is blue because air scatters blue light most.";

/** A fake, and a provider connected to it that ignores the environment. */
function connect(options: FakeLMStudioOptions) {
  const fake = createFakeLMStudio({ strict: true, ...options });
  return { fake, provider: new LMStudioProvider({ fetch: fake.fetch, env: {}, maxRetries: 0 }) };
}

test("the model is asked for one sentence, and gets the text", async () => {
  const { fake, provider } = connect({ replies: [" Air makes it blue.\n"] });
  assert.equal(await summarize(provider, TEXT), "Air makes it blue.");
  const [chat] = fake.chats;
  assert.deepEqual([chat?.system, chat?.prompt], ["Sum it up in one sentence.", TEXT]);
  fake.assertDone();
});

test("without LM Studio, the summary is the beginning of the text", async () => {
  const { provider } = connect({ faults: [{ fault: { type: "refuse" }, times: Infinity }] });
  assert.equal(await summarize(provider, TEXT), "The sky is blue beca…");
});

test("other errors are not hidden", async () => {
  const { provider } = connect({ models: [] });
  await assert.rejects(summarize(provider, TEXT), { code: "no_model_loaded" });
});
