/**
 * Lists the models, and loads one for as long as it is needed:
 *
 *     deno run --allow-net --allow-env examples/models.ts
 *     deno run --allow-net --allow-env examples/models.ts qwen3-8b 8192
 *
 * The second command loads the model with a context of 8192 tokens, unless it is already loaded, and unloads it
 * afterwards.
 *
 * Add `--fake` to get the answers from a fake LM Studio. In your own project, leave out "./fake.ts" and import from
 * "@patinox/lmstudio" instead of "../mod.ts" (or, on Deno, from "jsr:@patinox/lmstudio" without installing it).
 */
import "./fake.ts";
import process from "node:process";
import { isProviderError, LMStudioProvider } from "../mod.ts";

const [name, contextLength] = process.argv.slice(2);

const lmstudio = new LMStudioProvider();
try {
  for (const { id, type, loaded, sizeBytes } of await lmstudio.listModels()) {
    const size = sizeBytes === undefined ? "?" : (sizeBytes / 1e9).toFixed(1);
    console.log(id, type, `${size} GB`, loaded ? "loaded" : "");
  }
  if (name !== undefined) await ask(name, contextLength);
} catch (error) {
  if (!isProviderError(error)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}

async function ask(name: string, contextLength?: string): Promise<void> {
  const startedAt = performance.now();
  // `await using` would be shorter, but Node 22 does not know it.
  const lease = await lmstudio.models.ensureLoaded(name, {
    contextLength: contextLength === undefined ? undefined : Number(contextLength),
    unloadOnDispose: true,
  }, {
    onStatus: ({ phase }) => {
      const seconds = Math.round((performance.now() - startedAt) / 1000);
      if (phase === "loading") console.log(`loading ${name}, ${seconds} s`);
    },
  });
  try {
    console.log(
      lease.instanceId,
      lease.alreadyLoaded ? "was already loaded" : "loaded",
      lease.contextLength,
    );
    const model = lease.instanceId;
    const { content } = await lmstudio.complete({ model, messages: "Say hello." });
    console.log(content);
  } finally {
    await lease[Symbol.asyncDispose]();
  }
}
