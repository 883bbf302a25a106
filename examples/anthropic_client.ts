/**
 * The official Anthropic client on a local server:
 *
 *     deno run --allow-net --allow-env examples/anthropic_client.ts "Why is the sky blue?"
 *
 * `--fake` behind it lets a fake LM Studio answer. In your own project leave out "./fake.ts", and import from
 * "@patinox/lmstudio" instead of "../mod.ts" (on Deno without installing it, from "jsr:@patinox/lmstudio").
 */
import "./fake.ts";
import process from "node:process";
// Not used here, but without it Deno 2.9 does not find the client, as with `openai`: see docs/openai-clients.md.
import "zod";
import Anthropic, { APIError } from "npm:@anthropic-ai/sdk@^1.14.0";
import { isProviderError, LMStudioProvider } from "../mod.ts";

const [question = "Why is the sky blue? Answer in two sentences."] = process.argv.slice(2);

const lmstudio = new LMStudioProvider();
const client = new Anthropic({ ...lmstudio.toAnthropic(), maxRetries: 0 });
try {
  // The client wants a name: that of the model that is loaded.
  const models = await lmstudio.listModels();
  const model = models.find(({ type, loaded }) => type === "llm" && loaded) ?? models[0];
  const stream = client.messages.stream({
    model: model?.id ?? "",
    max_tokens: 500,
    system: "Be brief.",
    messages: [{ role: "user", content: question }],
  });
  stream.on("text", (text: string) => void process.stdout.write(text));
  await stream.finalMessage();
  console.log();
} catch (error) {
  if (isProviderError(error)) console.error(error.message);
  // What the client raises itself: an answer of the server, or what `fetch` rejected with.
  else if (error instanceof APIError) console.error(`${error.status ?? ""} ${error.message}`);
  else throw error;
  process.exitCode = 1;
}
