/**
 * Prints an answer as it is generated:
 *
 *     deno run --allow-net --allow-env examples/stream.ts "Why is the sky blue?"
 *
 * Add `--fake` to get the answers from a fake LM Studio. In your own project, leave out "./fake.ts" and import from
 * "@patinox/lmstudio" instead of "../mod.ts" (or, on Deno, from "jsr:@patinox/lmstudio" without installing it).
 */
import "./fake.ts";
import process from "node:process";
import { isProviderError, LMStudioProvider } from "../mod.ts";

const [question = "Why is the sky blue? Answer in two sentences."] = process.argv.slice(2);

const lmstudio = new LMStudioProvider();
// Ctrl+C stops the model as well, not just this program.
const interrupt = new AbortController();
process.once("SIGINT", () => interrupt.abort());

const stream = lmstudio.streamCompletion(
  { messages: [{ role: "system", content: "Be brief." }, question], temperature: 0.7 },
  { signal: interrupt.signal },
);
try {
  for await (const text of stream.textStream) process.stdout.write(text);

  const { model, finishReason, usage, stats } = await stream.response();
  console.log(`\n\n${model}: ${finishReason}`);
  const speed = stats?.tokensPerSecond;
  console.log(
    `${usage?.completionTokens ?? "?"} tokens${
      speed === undefined ? "" : `, ${speed.toFixed(1)}/s`
    }`,
  );
} catch (error) {
  if (interrupt.signal.aborted) console.log("\nStopped.");
  else if (isProviderError(error)) console.error(`\n${error.message}`);
  else throw error;
  process.exitCode = 1;
}
