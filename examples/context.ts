/**
 * Asks questions one after another, leaving out the oldest turns once the model's context is full:
 *
 *     deno run --allow-net --allow-env examples/context.ts "Why is the sky blue?" "And at night?"
 *
 * Add `--fake` to get the answers from a fake LM Studio. In your own project, leave out "./fake.ts" and import from
 * "@patinox/lmstudio" instead of "../mod.ts" (or, on Deno, from "jsr:@patinox/lmstudio" without installing it).
 */
import "./fake.ts";
import process from "node:process";
import { isProviderError, LMStudioProvider, type Message } from "../mod.ts";

const lmstudio = new LMStudioProvider();
const messages: Message[] = [{ role: "system", content: "Be brief." }];
try {
  for (const question of process.argv.slice(2)) {
    messages.push({ role: "user", content: question });
    const { message, content, trimmed } = await lmstudio.complete({
      messages,
      maxTokens: 500,
      contextOverflowPolicy: "rollingWindow",
    });
    if (trimmed !== undefined) {
      console.log(`(${trimmed.dropped.length} of ${messages.length} messages left out)`);
    }
    console.log(content);
    messages.push(message);
  }
} catch (error) {
  if (!isProviderError(error)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
