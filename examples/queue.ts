/**
 * Asks several questions at once, of which the server gets two at a time, and shows who is waiting:
 *
 *     deno run --allow-net --allow-env examples/queue.ts "Why is the sky blue?" "What is tin?" "Who was Ada Lovelace?"
 *
 * Add `--fake` to get the answers from a fake LM Studio. In your own project, leave out "./fake.ts" and import from
 * "@patinox/lmstudio" instead of "../mod.ts" (or, on Deno, from "jsr:@patinox/lmstudio" without installing it).
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
      { onQueue: ({ position }) => console.log(`waiting at position ${position}: ${question}`) },
    );
    console.log(`${question} ${content}`);
  }));
} catch (error) {
  if (!isProviderError(error)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
