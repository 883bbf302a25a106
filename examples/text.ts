/**
 * Continues a text, without a conversation. A base model works best:
 *
 *     deno run --allow-net --allow-env examples/text.ts "Once upon a time"
 *
 * Add `--fake` to get the answers from a fake LM Studio. In your own project, leave out "./fake.ts" and import from
 * "@patinox/lmstudio" instead of "../mod.ts" (or, on Deno, from "jsr:@patinox/lmstudio" without installing it).
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
