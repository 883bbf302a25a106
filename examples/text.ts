/**
 * A text goes on, without a chat. A base model fits best:
 *
 *     deno run --allow-net --allow-env examples/text.ts "Once upon a time"
 *
 * `--fake` behind it lets a fake LM Studio answer. In your own project leave out "./fake.ts", and import from
 * "@patinox/lmstudio" instead of "../mod.ts" (on Deno without installing it, from "jsr:@patinox/lmstudio").
 */
import "./fake.ts";
import process from "node:process";
import { isProviderError, LMStudioProvider } from "../mod.ts";

const [prompt = "Once upon a time"] = process.argv.slice(2);

const stream = new LMStudioProvider().streamText({ prompt, maxTokens: 100, stop: "\n\n" });
try {
  let isFirst = true;
  for await (const text of stream.textStream) {
    process.stdout.write(isFirst ? prompt + text : text);
    isFirst = false;
  }
  const { model, finishReason } = await stream.response();
  console.log(`\n\n${model}: ${finishReason}`);
} catch (error) {
  if (!isProviderError(error)) throw error;
  console.error(`\n${error.message}`);
  process.exitCode = 1;
}
