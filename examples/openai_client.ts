/**
 * The official OpenAI client on a local server:
 *
 *     deno run --allow-net --allow-env examples/openai_client.ts "Why is the sky blue?"
 *
 * `--fake` behind it lets a fake LM Studio answer. In your own project leave out "./fake.ts", and import from
 * "@patinox/lmstudio" instead of "../mod.ts" (on Deno without installing it, from "jsr:@patinox/lmstudio").
 */
import "./fake.ts";
import process from "node:process";
// Not used here, but without it Deno 2.9 does not find `openai`: see docs/openai-clients.md.
import "zod";
import OpenAI, { APIError } from "npm:openai@^7.57.0";
import { isProviderError, LMStudioProvider } from "../mod.ts";

const [question = "Why is the sky blue? Answer in two sentences."] = process.argv.slice(2);

const lmstudio = new LMStudioProvider();
const client = new OpenAI({ ...lmstudio.toOpenAI(), maxRetries: 0 });
try {
  // The client wants a name: that of the model that is loaded.
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
  // What the client raises itself: an answer of the server, or what `fetch` rejected with.
  else if (error instanceof APIError) console.error(`${error.status ?? ""} ${error.message}`);
  else throw error;
  process.exitCode = 1;
}
