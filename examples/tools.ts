/**
 * Lets the model call your own tools, and shows the calls as they happen:
 *
 *     deno run --allow-net --allow-env examples/tools.ts "Do I need an umbrella in Oslo?"
 *
 * Add `--fake` to get the answers from a fake LM Studio. In your own project, leave out "./fake.ts" and import from
 * "@patinox/lmstudio" instead of "../mod.ts" (or, on Deno, from "jsr:@patinox/lmstudio" without installing it).
 */
import "./fake.ts";
import process from "node:process";
import * as z from "zod";
import { isProviderError, LMStudioProvider, tool } from "../mod.ts";

const [question = "Do I need an umbrella in Oslo, and what time is it?"] = process.argv.slice(2);

const weather = tool({
  name: "weather",
  description: "The weather in a city for a number of days",
  parameters: z.object({ city: z.string(), days: z.number().int().default(1) }),
  execute: ({ city, days }) => ({ city, days, sky: "rain" }),
});
const now = tool({
  name: "now",
  description: "Date and time",
  execute: () => new Date().toISOString(),
});

const stream = new LMStudioProvider().streamTools({ messages: question, tools: [weather, now] });
try {
  for await (const event of stream) {
    if (event.type === "chunk") process.stdout.write(event.chunk.content);
    else if (event.type === "call") console.log(`> ${event.call.name} ${event.call.arguments}`);
    else console.log(`< ${event.call.name} ${event.result}`);
  }
  const { rounds, usage } = await stream.result();
  console.log(`\n\n${rounds} answers, ${usage?.totalTokens ?? "?"} tokens`);
} catch (error) {
  if (!isProviderError(error)) throw error;
  console.error(`\n${error.message}`);
  process.exitCode = 1;
}
