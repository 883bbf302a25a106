/**
 * The official OpenAI client with a local server:
 *
 *     deno run --allow-net --allow-env examples/openai_client.ts "Why is the sky blue?"
 *
 * Add `--fake` to get the answers from a fake LM Studio. In your own project, leave out "./fake.ts" and import from
 * "@patinox/lmstudio" instead of "../mod.ts" (or, on Deno, from "jsr:@patinox/lmstudio" without installing it).
 */
import "./fake.ts";
import process from "node:process";
// Not used here, but Deno 2.9 does not find `openai` without it: see docs/openai-clients.md.
import "zod";
import OpenAI, { APIError } from "npm:openai@^7.57.0";
import { isProviderError, LMStudioProvider } from "../mod.ts";

const [question = "Why is the sky blue? Answer in two sentences."] = process.argv.slice(2);

const lmstudio = new LMStudioProvider();
const client = new OpenAI({ ...lmstudio.toOpenAI(), maxRetries: 0 });
try {
  // The client requires a model name: use the loaded model's.
  const models = await lmstudio.listModels();
  const model = models.find(({ type, loaded }) => type === "llm" && loaded) ?? models[0];
  const stream = await client.chat.completions.create({
    model: model?.id ?? "",
    messages: [{ role: "system", content: "Be brief." }, { role: "user", content: question }],
    stream: true,
  });
  for await (const { choices } of stream) process.stdout.write(choices[0]?.delta.content ?? "");
  console.log();
} catch (error) {
  if (isProviderError(error)) console.error(error.message);
  // The client's own errors: an error from the server, or one that `fetch` rejected with.
  else if (error instanceof APIError) console.error(`${error.status ?? ""} ${error.message}`);
  else throw error;
  process.exitCode = 1;
}
