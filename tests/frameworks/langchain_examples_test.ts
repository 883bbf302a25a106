/** Programs from LangChain's installed documentation, with the options of `toOpenAI()`. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { type Block, type Example, type Framework, runExample } from "./published_examples.ts";

const LANGCHAIN: Framework = {
  setup: "langchain.ts",
  package: "@langchain/openai",
  replaced: ["@langchain/openai"],
};
const CHAT = "dist/chat_models/index.d.ts";
/** Each program in the class's comment continues these. */
const MODEL: Block = { file: CHAT, under: "Instantiate" };
const CALL: Block = { file: CHAT, under: "Invoking" };

const run = (example: Example) =>
  runExample(LANGCHAIN, { models: ["gpt-4o-mini", "gpt-4o-2024-08-06"], ...example });

Deno.test("langchain: the README's chain of prompt, model and parser", async () => {
  const { output, asked } = await run({
    blocks: [{ package: "@langchain/core", file: "README.md", under: "🤔 What is this?" }],
    replies: [{ content: ["The ", "sky ", "scatters."] }],
  });
  assertEquals(output.split("\n").map((line) => line.trim()), ["The", "sky", "scatters."]);
  assertEquals([asked[0].model, asked[0].stream], ["gpt-4o-mini", true]);
  assertStringIncludes(asked[0].messages[0].content, "Why is the sky blue?");
});

Deno.test("langchain: invoke, and its usage", async () => {
  const { output, asked } = await run({
    blocks: [MODEL, CALL, { file: CHAT, under: "Usage Metadata" }],
    replies: ["J'adore programmer.", "Encore."],
  });
  assertStringIncludes(output, "J'adore programmer.");
  assert(/input_tokens: [1-9]/.test(output), output);
  assertEquals(asked.length, 2);
});

Deno.test("langchain: a stream, chunk by chunk and as a whole", async () => {
  const reply = { content: ["J'adore ", "programmer."] };
  const { output, asked } = await run({
    blocks: [
      MODEL,
      CALL,
      { file: CHAT, under: "Streaming Chunks" },
      { file: CHAT, under: "Aggregate Streamed Chunks" },
    ],
    replies: ["First.", reply, reply],
  });
  assertStringIncludes(output, '"content": "J\'adore "');
  assertStringIncludes(output, '"content": "J\'adore programmer."');
  assertEquals(asked.map(({ stream }) => stream ?? false), [false, true, true]);
});

Deno.test("langchain: tools are bound, and called", async () => {
  const names = ["GetWeather", "GetPopulation"];
  const { output, asked } = await run({
    blocks: [MODEL, { file: CHAT, under: "Bind tools" }],
    replies: [{
      toolCalls: names.map((name) => ({ name, arguments: { location: "New York, NY" } })),
    }],
  });
  for (const name of names) assertStringIncludes(output, `name: "${name}"`);
  assertStringIncludes(output, "New York, NY");
  // deno-lint-ignore no-explicit-any -- JSON of the wire
  assertEquals(asked[0].tools.map((tool: any) => tool.function.name), names);
});

Deno.test("langchain: structured output", async () => {
  const joke = { setup: "Why?", punchline: "Because.", rating: 3 };
  const { output, asked } = await run({
    blocks: [MODEL, { file: CHAT, under: "Structured Output" }],
    replies: [JSON.stringify(joke)],
  });
  assertEquals(output, Deno.inspect(joke));
  assertEquals(asked[0].response_format.type, "json_schema");
});

Deno.test("langchain: a vector, from the README", async () => {
  const { output, asked } = await run({
    blocks: [{ file: "README.md", under: "Embeddings" }],
    after: "console.log(res.length > 0 && res.every(Number.isFinite));",
    models: [{ id: "text-embedding-ada-002", type: "embedding" }],
  });
  assertEquals(output, "true");
  assertEquals(asked.length, 1);
});
