/**
 * A machine in the network first, this one where that is off:
 *
 *     deno run --allow-net --allow-env examples/fallback.ts http://192.168.1.20:1234
 *
 * `--fake` behind it lets a fake LM Studio answer. In your own project leave out "./fake.ts", and import from
 * "@patinox/lmstudio" instead of "../mod.ts" (on Deno without installing it, from "jsr:@patinox/lmstudio").
 */
import "./fake.ts";
import process from "node:process";
import { FallbackProvider, isProviderError, LMStudioProvider } from "../mod.ts";

const [first = "http://192.168.1.20:1234"] = process.argv.slice(2);

const provider = new FallbackProvider([
  // Not tried for long: the other one is waiting.
  new LMStudioProvider({ baseUrl: first, connectTimeoutMs: 1000, maxRetries: 0 }),
  new LMStudioProvider(),
]);
try {
  const stream = provider.streamCompletion("In one sentence: why keep a spare?");
  for await (const text of stream.textStream) process.stdout.write(text);
  console.log(`\n\n${(await stream.response()).model} answered.`);
} catch (error) {
  if (isProviderError(error, "all-providers-failed")) {
    for (const failure of error.errors) console.error(String(failure));
  } else if (isProviderError(error)) {
    // It had begun: what had arrived is not lost.
    console.error(`\n${error.message}\nUntil then: ${error.partial?.content ?? "nothing"}`);
  } else throw error;
  process.exitCode = 1;
}
