/**
 * A user's script: imports, calls, and is done. It must end on its own, without `process.exit()`, whatever
 * it leaves behind: pooled connections, timers of minutes, streams that were abandoned or never read.
 *
 * Arguments: the address of a server, and of one that does not exist. Prints the results as JSON.
 */
import { isProviderError, LMStudioProvider } from "@patinox/lmstudio";
import process from "node:process";

const [baseUrl, nowhere] = process.argv.slice(2);
const lmstudio = new LMStudioProvider({ baseUrl, env: {}, maxRetries: 0 });
const outcome = {};
try {
  outcome.models = (await lmstudio.listModels()).length;
  outcome.content = (await lmstudio.complete("Hello")).content;
  for await (const { content } of lmstudio.streamCompletion("Count")) {
    outcome.firstToken = content;
    break;
  }
  outcome.vectors = (await lmstudio.embed({ input: ["sea", "ocean"] })).embeddings.length;
  lmstudio.streamCompletion("Never read");
  const streams = [
    lmstudio.streamText("Count"),
    lmstudio.streamTools({ messages: "Count", tools: [] }),
    lmstudio.responses.stream({ input: "Count" }),
    lmstudio.chat.stream({ input: "Count" }),
    lmstudio.models.download("ibm/granite-4-micro"),
  ];
  outcome.left = 0;
  for (const stream of streams) {
    for await (const _ of stream) {
      outcome.left++;
      break;
    }
  }
  // It stays loaded: there is nothing to release.
  outcome.alreadyLoaded = (await lmstudio.models.ensureLoaded("qwen/qwen3-8b")).alreadyLoaded;
  await new LMStudioProvider({ baseUrl: nowhere, env: {}, maxRetries: 0 }).listModels();
} catch (error) {
  if (!isProviderError(error)) throw error;
  outcome.code = error.code;
  outcome.hint = error.hint;
}
console.log(JSON.stringify(outcome));
