/** Programs from the AI SDK's installed documentation, with `createLMStudio()`. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { type Example, type Framework, runExample } from "./published_examples.ts";

const AI: Framework = { setup: "ai.ts", package: "ai" };
const CORE = "docs/03-ai-sdk-core";
const REFERENCE = "docs/07-reference/01-ai-sdk-core";
const RECIPE = {
  recipe: {
    name: "Lasagna",
    ingredients: [{ name: "pasta", amount: "500 g" }],
    steps: ["Layer.", "Bake."],
  },
};

const run = (example: Example) => runExample(AI, example);

const callOf = (name: string, args: Record<string, unknown>) => ({
  toolCalls: [{ name, arguments: args }],
});

/** The results that a request sends back to the model. */
// deno-lint-ignore no-explicit-any -- JSON of the wire
const resultsIn = (body: any): unknown[] =>
  // deno-lint-ignore no-explicit-any -- JSON of the wire
  body.messages.filter(({ role }: any) => role === "tool").map(({ content }: any) =>
    JSON.parse(content)
  );

Deno.test("ai: generateText", async () => {
  const { output, asked } = await run({
    blocks: [{ file: `${REFERENCE}/01-generate-text.mdx`, under: "`generateText()`" }],
    replies: ["On Lantern Day everyone carries a light."],
  });
  assertEquals(output, "On Lantern Day everyone carries a light.");
  assertEquals(asked.map(({ model, stream }) => [model, stream]), [["m", undefined]]);
});

Deno.test("ai: streamText", async () => {
  const { output, asked } = await run({
    blocks: [{ file: `${REFERENCE}/02-stream-text.mdx`, under: "`streamText()`" }],
    replies: [{ content: ["On Lantern Day ", "everyone ", "carries a light."] }],
  });
  assertEquals(output, "On Lantern Day everyone carries a light.");
  assertEquals(asked.map(({ model, stream }) => [model, stream]), [["m", true]]);
});

Deno.test("ai: the getting-started chat streams, and calls two tools", async () => {
  const { output, asked } = await run({
    blocks: [{ file: "docs/02-getting-started/06-nodejs.mdx", under: "Adding a second tool" }],
    stdin: "How warm is it in New York?\n",
    replies: [
      callOf("weather", { location: "New York" }),
      callOf("convertFahrenheitToCelsius", { temperature: 50 }),
      "It is 10 degrees.",
    ],
  });
  assertStringIncludes(output, '"celsius": 10');
  assertMatch(output, /It is 10 degrees\.$/);
  const [first, second, third] = asked;
  assertEquals(asked.length, 3);
  // deno-lint-ignore no-explicit-any -- JSON of the wire
  assertEquals(first.tools.map((tool: any) => tool.function.name), [
    "weather",
    "convertFahrenheitToCelsius",
  ]);
  assertEquals(resultsIn(second).length, 1);
  assertEquals(resultsIn(third)[1], { celsius: 10 });
});

Deno.test("ai: an agent with two tools", async () => {
  const { output, asked } = await run({
    blocks: [{ file: "docs/03-agents/01-overview.mdx", under: "ToolLoopAgent Class" }],
    replies: [
      callOf("weather", { location: "San Francisco" }),
      callOf("convertFahrenheitToCelsius", { temperature: 68 }),
      "It is 20 degrees.",
    ],
  });
  assertMatch(output, /^It is 20 degrees\.\n/);
  assertEquals(resultsIn(asked[2])[1], { celsius: 20 });
});

Deno.test("ai: a tool that needs approval", async () => {
  const { output, asked } = await run({
    blocks: [{
      file: `${REFERENCE}/16-tool-loop-agent.mdx`,
      under: "Example: Approved Tool Execution",
    }],
    replies: [callOf("weather", { location: "Paris" }), "It is dry."],
  });
  assertEquals(output, "It is dry.");
  assertEquals(resultsIn(asked[1]), [{ location: "Paris", temperature: 72 }]);
});

Deno.test("ai: Output.object", async () => {
  const { output, asked } = await run({
    blocks: [{
      file: `${CORE}/10-generating-structured-data.mdx`,
      under: "Generating Structured Outputs",
    }],
    after: "console.log(JSON.stringify(output));",
    replies: [JSON.stringify(RECIPE)],
  });
  assertEquals(JSON.parse(output), RECIPE);
  const { type, json_schema: { schema } } = asked[0].response_format;
  assertEquals([type, schema.required], ["json_schema", ["recipe"]]);
});

Deno.test("ai: Output.object, streamed", async () => {
  const text = JSON.stringify(RECIPE);
  const { output, asked } = await run({
    blocks: [{
      file: `${CORE}/10-generating-structured-data.mdx`,
      under: "Stream Structured Outputs",
    }],
    replies: [{ content: [text.slice(0, 30), text.slice(30)] }],
  });
  assertMatch(output, /^\{ recipe: \{ name: "Lasagna" \} \}\n/);
  assertStringIncludes(output, 'steps: [ "Layer.", "Bake." ]');
  assertEquals([asked[0].stream, asked[0].response_format.type], [true, "json_schema"]);
});

Deno.test("ai: Output.object of a model that reasons first", async () => {
  const { output } = await run({
    blocks: [{
      file: `${CORE}/10-generating-structured-data.mdx`,
      under: "Accessing Reasoning",
    }],
    replies: [{ reasoning: "Something with pasta.", content: JSON.stringify(RECIPE) }],
  });
  assertEquals(output, "Something with pasta.");
});

Deno.test("ai: Output.array, element by element", async () => {
  const heroes = ["Mira", "Bram", "Ysolde"].map((name) => ({
    name,
    class: "bard",
    description: "Sings.",
  }));
  const { output } = await run({
    blocks: [{ file: `${REFERENCE}/28-output.mdx`, under: "Streaming with `elementStream`" }],
    replies: [JSON.stringify({ elements: heroes })],
  });
  assertEquals(output.match(/name: "\w+"/g), heroes.map(({ name }) => `name: "${name}"`));
});

Deno.test("ai: reasoning effort, by model name", async () => {
  const { output, asked } = await run({
    blocks: [{ file: `${CORE}/26-reasoning.mdx`, under: "Basic Usage" }],
    after: "console.log([text, reasoningText].join(' / '));",
    models: [{ id: "anthropic/claude-sonnet-5.5", reasoning: ["low", "medium", "high"] }],
    replies: [{ reasoning: "Growth slows.", content: "About nine billion." }],
  });
  assertEquals(output, "About nine billion. / Growth slows.");
  assertEquals(asked[0].reasoning_effort, "medium");
});

Deno.test("ai: embedMany", async () => {
  const { output, asked } = await run({
    blocks: [{ file: `${CORE}/30-embeddings.mdx`, under: "Embedding Similarity" }],
    models: [{ id: "openai/text-embedding-3-small", type: "embedding" }],
  });
  assertMatch(output, /^cosine similarity: -?[01]?\.?\d+$/);
  assertEquals(asked.map(({ model, input }) => [model, input.length]), [
    ["openai/text-embedding-3-small", 2],
  ]);
});

Deno.test("ai: decide, with a choice, a score and a predicate", async () => {
  const { output, asked } = await run({
    blocks: [{ file: `${CORE}/32-decisions.mdx`, under: "Decisions" }],
    after: `const { answers } = await triage(
      globalThis.AI_SDK_DEFAULT_PROVIDER.decisionModel("m"),
      "I was charged twice.",
    );
    console.log(JSON.stringify([answers.department.choice, answers.severity, answers.requestsRefund]));`,
    models: [{ id: "m", type: "decision" }],
    decisions: { department: "billing", severity: 1, requestsRefund: 0.9 },
  });
  const [department, severity, refund] = JSON.parse(output);
  assertEquals(department, "billing");
  assertEquals([severity.type, refund.type, refund.probability], ["score", "boolean", 0.9]);
  assertEquals(asked.length, 1);
});

Deno.test("ai: decide, by model name", async () => {
  const { output, asked } = await run({
    blocks: [{ file: `${CORE}/32-decisions.mdx`, under: "Default-provider strings" }],
    after: "console.log(result.answers.refund.probability);",
    models: [{ id: "typesafe-ai/jev", type: "decision" }],
    decisions: { refund: 0.75 },
  });
  assertEquals([output, asked[0].model], ["0.75", "typesafe-ai/jev"]);
});
