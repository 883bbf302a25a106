/**
 * Programs from the installed documentation of OpenAI's agents, with `createLMStudio()`. Two of them can run here: of the
 * README's others, one clones a repository from the internet and one needs a microphone. Other uses of agents are in
 * `mastra_agents_test.ts`.
 */
import { assertEquals } from "@std/assert";
import { type Example, type Framework, runExample } from "./published_examples.ts";

const AGENTS: Framework = {
  setup: "agents.ts",
  package: "@openai/agents",
  replaced: ["@ai-sdk/openai"],
};

const run = (example: Example) => runExample(AGENTS, example);

Deno.test("openai agents: the README's agent, with our models as the default", async () => {
  const { output, asked } = await run({
    blocks: [{ file: "README.md", under: "Build a text agent" }],
    replies: ["It calls itself, again."],
  });
  assertEquals(output, "It calls itself, again.");
  // deno-lint-ignore no-explicit-any -- JSON of the wire
  assertEquals(asked.map(({ messages }) => messages.map(({ role }: any) => role)), [
    ["system", "user"],
  ]);
});

Deno.test("openai agents: aisdk()", async () => {
  const { output, asked } = await run({
    blocks: [{
      package: "@openai/agents-extensions",
      file: "dist/ai-sdk/index.d.ts",
      under: "",
    }],
    before: 'import { run } from "@openai/agents";',
    after: 'console.log((await run(agent, "Hello")).finalOutput);',
    models: ["gpt-4o"],
    replies: ["Hi."],
  });
  assertEquals(output, "Hi.");
  assertEquals(asked.map(({ model }) => model), ["gpt-4o"]);
});
