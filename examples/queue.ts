/**
 * Asks many questions at once, two at a time, and shows who is next.
 *
 *     deno run --allow-net --allow-env examples/queue.ts "Why is the sky blue?" "What is tin?" "Who was Ada Lovelace?"
 *
 * `--fake` behind it lets a fake LM Studio answer. In your own project leave out "./fake.ts", and import from
 * "@patinox/lmstudio" instead of "../mod.ts" (on Deno without installing it, from "jsr:@patinox/lmstudio").
 */
import "./fake.ts";
import process from "node:process";
import { isProviderError, LMStudioProvider } from "../mod.ts";

const lmstudio = new LMStudioProvider({ maxConcurrency: 2 });
const questions = process.argv.slice(2);
if (questions.length === 0) questions.push("Why is the sky blue?", "What is tin?", "What is air?");
try {
  await Promise.all(questions.map(async (question) => {
    const { content } = await lmstudio.complete(
      { messages: question, maxTokens: 100 },
      { onQueue: ({ position }) => console.log(`waits as number ${position}: ${question}`) },
    );
    console.log(`${question} ${content}`);
  }));
} catch (error) {
  if (!isProviderError(error)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
