/**
 * Questions one after the other; the oldest turns are left out once the context of the model is full:
 *
 *     deno run --allow-net --allow-env examples/context.ts "Why is the sky blue?" "And at night?"
 *
 * `--fake` behind it lets a fake LM Studio answer. In your own project leave out "./fake.ts", and import from
 * "@patinox/lmstudio" instead of "../mod.ts" (on Deno without installing it, from "jsr:@patinox/lmstudio").
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
      console.log(`(${trimmed.dropped.length} messages left out of ${messages.length})`);
    }
    console.log(content);
    messages.push(message);
  }
} catch (error) {
  if (!isProviderError(error)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
