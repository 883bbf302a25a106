/**
 * LM Studio's own chat (0.4.0 and later): two turns of a conversation that the server stores, with progress:
 *
 *     deno run --allow-net --allow-env examples/chat.ts "Name a planet." "And its moons?"
 *
 * Add `--fake` to get the answers from a fake LM Studio. In your own project, leave out "./fake.ts" and import from
 * "@patinox/lmstudio" instead of "../mod.ts" (or, on Deno, from "jsr:@patinox/lmstudio" without installing it).
 */
import "./fake.ts";
import process from "node:process";
import { type CallStatus, isProviderError, LMStudioProvider } from "../mod.ts";

const [first = "Name a planet.", second = "And its moons?"] = process.argv.slice(2);

const { chat } = new LMStudioProvider();

function onStatus({ phase, progress }: CallStatus): void {
  if (phase === "loading" || phase === "processing") {
    console.error(`[${phase} ${progress === undefined ? "" : `${Math.round(100 * progress)} %`}]`);
  }
}

async function ask(input: string, previousResponseId?: string): Promise<string | undefined> {
  const stream = chat.stream({ input, previousResponseId }, { onStatus });
  for await (const event of stream) {
    if (event.type === "message.delta") process.stdout.write(event.content);
    if (event.type === "tool_call.success") console.log(`[${event.tool}: ${event.output}]`);
  }
  const { responseId, usage, stats } = await stream.response();
  const speed = stats.tokensPerSecond?.toFixed(1) ?? "?";
  console.log(`\n(${usage?.promptTokens ?? "?"} tokens read, ${speed}/s)\n`);
  return responseId;
}

try {
  await ask(second, await ask(first));
} catch (error) {
  if (!isProviderError(error)) throw error;
  console.error(`\n${error.message}`);
  process.exitCode = 1;
}
