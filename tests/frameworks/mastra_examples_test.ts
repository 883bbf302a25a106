/** Programs from Mastra's installed documentation, with `createLMStudio()`. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { type Block, type Example, type Framework, runExample } from "./published_examples.ts";

const MASTRA: Framework = { setup: "mastra.ts", package: "@mastra/core" };
const DOCS = "dist/docs/references";
const OVERVIEW = `${DOCS}/docs-agents-overview.md`;
/** The files at the beginning of the overview, for a weather agent. */
const WEATHER: Record<string, Block> = {
  "src/mastra/tools/weather-tool.ts": { file: OVERVIEW, under: "Agents", index: 0 },
  "src/mastra/agents/weather-agent.ts": { file: OVERVIEW, under: "Agents", index: 1 },
  "src/mastra/index.ts": { file: OVERVIEW, under: "Agents", index: 2 },
};
/** The files of its quickstart. */
const ASSISTANT: Record<string, Block> = {
  "src/mastra/agents/test-agent.ts": { file: OVERVIEW, under: "Quickstart", index: 0 },
  "src/mastra/index.ts": { file: OVERVIEW, under: "Quickstart", index: 1 },
};
const CALL = { toolCalls: [{ name: "weatherTool", arguments: { location: "Lagos" } }] };

const run = (example: Example) => runExample(MASTRA, example);

Deno.test("mastra: the overview's agent, in several files", async () => {
  const { output, asked } = await run({
    blocks: [{ file: OVERVIEW, under: "Agents", index: 3 }],
    files: WEATHER,
    replies: [CALL, "It is sunny in Lagos."],
  });
  assertEquals(output, "It is sunny in Lagos.");
  assertEquals(asked.length, 2);
  assertEquals(asked[0].messages[0].role, "system");
  assertStringIncludes(asked[1].messages.at(-1).content, '"conditions":"sunny"');
});

Deno.test("mastra: the quickstart's agent answers, and streams", async () => {
  const { output, asked } = await run({
    files: ASSISTANT,
    before: 'import { mastra } from "./src/mastra/index.ts";\n{',
    blocks: [{ file: OVERVIEW, under: ".generate()" }],
    after: "}",
    replies: ["Begin with coffee."],
  });
  assertEquals(output, "Begin with coffee.");
  assertEquals(asked.length, 1);

  const streamed = await run({
    files: ASSISTANT,
    before: 'import { mastra } from "./src/mastra/index.ts";',
    blocks: [{ file: OVERVIEW, under: ".stream()" }],
    replies: [{ content: ["Begin ", "with ", "coffee."] }],
  });
  assertEquals(streamed.output, "Begin with coffee.");
  assertEquals(streamed.asked.map(({ stream }) => stream), [true]);
});

Deno.test("mastra: structured output", async () => {
  const plan = [{ name: "Morning", activities: ["coffee"] }];
  const { output, asked } = await run({
    files: ASSISTANT,
    before: 'import { testAgent } from "./src/mastra/agents/test-agent.ts";',
    blocks: [{ file: `${DOCS}/docs-agents-structured-output.md`, under: "Zod" }],
    replies: [JSON.stringify({ elements: plan })],
  });
  assertEquals(output, Deno.inspect(plan));
  assertEquals(asked.map(({ response_format: { type } }) => type), ["json_schema"]);
});

Deno.test("mastra: the tool calls and results of an answer", async () => {
  const { output } = await run({
    files: WEATHER,
    before: 'import { weatherAgent as agent } from "./src/mastra/agents/weather-agent.ts";',
    blocks: [{ file: `${DOCS}/reference-agents-generate.md`, under: "Response structure" }],
    replies: [CALL, "It is sunny in Lagos."],
  });
  const result = { location: "Lagos", temperatureCelsius: 21, conditions: "sunny" };
  const [called, id, , ...rest] = output.split("\n");
  assertEquals(called, "tool-call");
  assert(id !== "");
  assertEquals(rest, [
    "weatherTool",
    '{ location: "Lagos" }',
    "tool-result",
    "weatherTool",
    Deno.inspect(result),
  ]);
});
