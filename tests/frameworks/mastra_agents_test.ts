/**
 * Frameworks that accept AI SDK models, with `createLMStudio()`: programs from the packages' own guides in which only
 * the model is replaced.
 */
import { Mastra } from "npm:@mastra/core@1.71.0";
import { Agent as MastraAgent } from "npm:@mastra/core@1.71.0/agent";
import { createTool } from "npm:@mastra/core@1.71.0/tools";
import { Agent, type Model, run, setTracingDisabled, tool, user } from "npm:@openai/agents@0.20.0";
import { aisdk } from "npm:@openai/agents-extensions@0.18.0/ai-sdk";
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import * as z from "zod";
import { createLMStudio } from "../../src/ai_sdk/mod.ts";
import { createFakeLMStudio, type FakeLMStudioOptions } from "../../src/testing/mod.ts";
import { rejection } from "../support/wire.ts";

const PIXEL_URL = "data:image/png;base64," +
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII=";

// Traces would go to a service on the internet.
setTracingDisabled(true);

type WireMessage = { role: string; content: unknown };

function connect(fakeOptions: FakeLMStudioOptions) {
  const fake = createFakeLMStudio({ models: [{ id: "m", vision: true }], ...fakeOptions });
  const lmstudio = createLMStudio({ env: {}, fetch: fake.fetch });
  /** The messages of the requests to models. */
  const asked = (): WireMessage[][] =>
    fake.requests.filter(({ method }) => method === "POST").map(({ body }) =>
      (body as { messages: WireMessage[] }).messages
    );
  return { fake, lmstudio, asked };
}

const callOf = (name: string, args: Record<string, unknown> = {}) => ({
  toolCalls: [{ name, arguments: args }],
});

// --- Mastra -----------------------------------------------------------------------------------

function mastraAgent(replies: FakeLMStudioOptions["replies"]) {
  const { lmstudio, asked } = connect({ replies });
  const weather = createTool({
    id: "get-weather",
    description: "Tells the weather of a city",
    inputSchema: z.object({ city: z.string() }),
    outputSchema: z.object({ city: z.string(), celsius: z.number() }),
    execute: ({ city }) => Promise.resolve({ city, celsius: 21 }),
  });
  const agent = new MastraAgent({
    id: "weather-agent",
    name: "Weather Agent",
    instructions: "You tell the weather.",
    model: lmstudio("m"),
    tools: { weather },
  });
  return { agent, asked };
}

Deno.test("mastra: an agent answers with a tool, whole and streamed", async () => {
  const replies = [callOf("weather", { city: "Århus" }), "It is warm in Århus."];
  const whole = mastraAgent(replies);
  const response = await whole.agent.generate("How is it in Århus?");
  assertEquals(response.text, "It is warm in Århus.");
  assertEquals(response.toolResults.length, 1);

  const streamed = mastraAgent(replies);
  const stream = await streamed.agent.stream("How is it in Århus?");
  let text = "";
  for await (const chunk of stream.textStream) text += chunk;
  assertEquals(text, "It is warm in Århus.");
  assert(((await stream.usage).totalTokens ?? 0) > 0);

  for (const { asked } of [whole, streamed]) {
    const last = asked().at(-1)?.at(-1);
    assertEquals([last?.role, last?.content], ["tool", '{"city":"Århus","celsius":21}']);
  }
});

Deno.test("mastra: structured output", async () => {
  const plan = { items: [{ name: "Morning", activities: ["coffee"] }] };
  const { agent } = mastraAgent([JSON.stringify(plan)]);
  const schema = z.object({
    items: z.array(z.object({ name: z.string(), activities: z.array(z.string()) })),
  });
  const { object } = await agent.generate("Plan my day.", { structuredOutput: { schema } });
  assertEquals(object, plan);
});

Deno.test("mastra: an error has our message", async () => {
  const { lmstudio } = connect({ apiToken: "sk-lm-abcd1234:abcdefghij0123456789" });
  const agent = new MastraAgent({
    id: "a",
    name: "A",
    instructions: "Hello.",
    model: lmstudio("m"),
  });
  // It would print what is checked here.
  new Mastra({ agents: { agent }, logger: false });
  const error = await rejection(agent.generate("Hello"));
  assertStringIncludes(String((error as Error).message), "apiToken");
});

// --- OpenAI's agents --------------------------------------------------------------------------

/** The package's types contradict each other under `exactOptionalPropertyTypes`, whatever the model. */
const modelOf = (model: Parameters<typeof aisdk>[0]): Model => aisdk(model) as Model;

const getWeather = tool({
  name: "get_weather",
  description: "Tells the weather of a city",
  parameters: z.object({ city: z.string() }),
  execute: ({ city }) => Promise.resolve(`The sun shines in ${city}.`),
});

Deno.test("openai agents: an agent hands over to another, which calls a tool", async () => {
  const { lmstudio, asked } = connect({
    replies: [
      callOf("transfer_to_Weather_Data_Agent"),
      { reasoning: "Two cities.", ...callOf("get_weather", { city: "Oakland" }) },
      "Sunny.",
    ],
  });
  const model = modelOf(lmstudio("m"));
  const data = new Agent({
    name: "Weather Data Agent",
    instructions: "You have weather data.",
    handoffDescription: "Knows the weather",
    tools: [getWeather],
    model,
  });
  const helper = new Agent({
    name: "Assistant",
    instructions: "You help.",
    handoffs: [data],
    model,
  });
  const result = await run(helper, "What is the weather in Oakland?");
  assertEquals(result.finalOutput, "Sunny.");
  assertEquals(result.lastAgent?.name, "Weather Data Agent");
  const last = asked().at(-1)?.at(-1);
  assertEquals([last?.role, last?.content], ["tool", "The sun shines in Oakland."]);
  assert(result.runContext.usage.totalTokens > 0);
});

Deno.test("openai agents: streamed", async () => {
  const { lmstudio } = connect({
    replies: [callOf("get_weather", { city: "Oakland" }), { content: ["Sun", "ny."] }],
  });
  const agent = new Agent({
    name: "Weather agent",
    instructions: "You tell the weather.",
    tools: [getWeather],
    model: modelOf(lmstudio("m")),
  });
  const stream = await run(agent, "What is the weather in Oakland?", { stream: true });
  let text = "";
  for await (const chunk of stream.toTextStream()) text += chunk;
  await stream.completed;
  assertEquals([text, stream.finalOutput], ["Sunny.", "Sunny."]);
});

Deno.test("openai agents: an image returned by a tool is shown to the model", async () => {
  const { lmstudio, asked } = connect({ replies: [callOf("fetch_image"), "A dot."] });
  const fetchImage = tool({
    name: "fetch_image",
    description: "Gives an image",
    parameters: z.object({}),
    execute: () => Promise.resolve({ type: "image" as const, image: PIXEL_URL }),
  });
  const agent = new Agent({
    name: "Assistant",
    instructions: "You describe images.",
    tools: [fetchImage],
    model: modelOf(lmstudio("m")),
  });
  assertEquals((await run(agent, "Describe the image.")).finalOutput, "A dot.");
  const messages = asked().at(-1) ?? [];
  assertEquals(messages.at(-2)?.role, "tool");
  assertStringIncludes(JSON.stringify(messages.at(-1)), PIXEL_URL);
});

Deno.test("openai agents: an object as the final output, and an image from the user", async () => {
  const city = { name: "Paris", population: 2_100_000 };
  const { lmstudio, asked } = connect({ replies: [JSON.stringify(city)] });
  const agent = new Agent({
    name: "Geographer",
    instructions: "You know cities.",
    outputType: z.object({ name: z.string(), population: z.number() }),
    model: modelOf(lmstudio("m")),
  });
  const question = user([
    { type: "input_text", text: "Which city is this?" },
    { type: "input_image", image: PIXEL_URL },
  ]);
  assertEquals((await run(agent, [question])).finalOutput, city);
  assertStringIncludes(JSON.stringify(asked()[0]), PIXEL_URL);
});
