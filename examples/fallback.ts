/**
 * Tries a machine on the network first, and falls back to this one:
 *
 *     deno run --allow-net --allow-env examples/fallback.ts http://192.168.1.20:1234
 *
 * Add `--fake` to get the answers from a fake LM Studio. In your own project, leave out "./fake.ts" and import from
 * "@patinox/lmstudio" instead of "../mod.ts" (or, on Deno, from "jsr:@patinox/lmstudio" without installing it).
 */
import "./fake.ts";
import process from "node:process";
import { FallbackProvider, isProviderError, LMStudioProvider } from "../mod.ts";

const [first = "http://192.168.1.20:1234"] = process.argv.slice(2);

const provider = new FallbackProvider([
  // Give up quickly: there is another server to try.
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
    // The answer had started: the text received so far is not lost.
    console.error(`\n${error.message}\nReceived so far: ${error.partial?.content ?? "nothing"}`);
  } else throw error;
  process.exitCode = 1;
}
