/**
 * The official Anthropic client with a local server:
 *
 *     deno run --allow-net --allow-env examples/anthropic_client.ts "Why is the sky blue?"
 *
 * Add `--fake` to get the answers from a fake LM Studio. In your own project, leave out "./fake.ts" and import from
 * "@patinox/lmstudio" instead of "../mod.ts" (or, on Deno, from "jsr:@patinox/lmstudio" without installing it).
 */
import "./fake.ts";
import process from "node:process";
// Not used here, but Deno 2.9 does not find the client without it, as with `openai`: see docs/openai-clients.md.
import "zod";
import Anthropic, { APIError } from "npm:@anthropic-ai/sdk@^1.14.0";
import { isProviderError, LMStudioProvider } from "../mod.ts";

const [question = "Why is the sky blue? Answer in two sentences."] = process.argv.slice(2);

const lmstudio = new LMStudioProvider();
const client = new Anthropic({ ...lmstudio.toAnthropic(), maxRetries: 0 });
try {
  // The client requires a model name: use the loaded model's.
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
  // The client's own errors: an error from the server, or one that `fetch` rejected with.
  else if (error instanceof APIError) console.error(`${error.status ?? ""} ${error.message}`);
  else throw error;
  process.exitCode = 1;
}
