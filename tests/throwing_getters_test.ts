/** Options whose fields throw when they are read: a rejection at the first pull, as any other refusal. */
import { assertEquals, assertRejects } from "@std/assert";
import { FallbackProvider, LMStudioProvider, LocalProvider } from "../mod.ts";
import { createFakeLMStudio } from "../src/testing/mod.ts";

const THROWN = new Error("thrown by a getter");

function throwing(name: string): Record<string, never> {
  return Object.defineProperty({}, name, {
    enumerable: true,
    get: () => {
      throw THROWN;
    },
  }) as Record<string, never>;
}

Deno.test("streams: a getter of the options that throws is a rejection at the first pull", async () => {
  const fake = createFakeLMStudio({ models: ["m"] });
  const lmstudio = new LMStudioProvider({ env: {}, fetch: fake.fetch, model: "m" });
  const local = new LocalProvider({ env: {}, fetch: fake.fetch });
  const methods: Record<string, (options: Record<string, never>) => AsyncIterable<unknown>> = {
    streamCompletion: (options) => lmstudio.streamCompletion("?", options),
    streamText: (options) => lmstudio.streamText("?", options),
    streamTools: (options) => lmstudio.streamTools({ messages: "?" }, options),
    "chat.stream": (options) => lmstudio.chat.stream({ input: "?" }, options),
    "responses.stream": (options) => lmstudio.responses.stream({ input: "?" }, options),
    "models.download": (options) => lmstudio.models.download("m", undefined, options),
    "local.streamCompletion": (options) => local.streamCompletion("?", options),
    "fallback.streamCompletion": (options) =>
      new FallbackProvider([lmstudio]).streamCompletion("?", options),
  };
  for (const [method, open] of Object.entries(methods)) {
    for (const name of ["signal", "headers"]) {
      const pulled = open(throwing(name))[Symbol.asyncIterator]().next();
      assertEquals(await assertRejects(() => pulled), THROWN, `${method}, ${name}`);
    }
  }
  assertEquals(fake.requests, []);
});

Deno.test("streams: a signal whose own fields throw is a rejection at the first pull", async () => {
  const fake = createFakeLMStudio({ models: ["m"] });
  const lmstudio = new LMStudioProvider({ env: {}, fetch: fake.fetch, model: "m" });
  for (const name of ["addEventListener", "aborted"]) {
    const options = { signal: throwing(name) } as unknown as Record<string, never>;
    for (
      const open of [
        () => lmstudio.streamCompletion("?", options),
        () => lmstudio.streamText("?", options),
        () => lmstudio.chat.stream({ input: "?" }, options),
        () => new FallbackProvider([lmstudio]).streamCompletion("?", options),
      ]
    ) {
      const stream = open();
      await assertRejects(() => stream[Symbol.asyncIterator]().next(), name);
    }
  }
  assertEquals(fake.requests, []);
});
