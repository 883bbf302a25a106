/**
 * Finds the model servers on this machine, and gets an answer from one of them:
 *
 *     deno run --allow-net --allow-env --allow-read examples/discovery.ts
 *
 * Add `--fake` to get the answers from a fake LM Studio. In your own project, leave out "./fake.ts" and import from
 * "@patinox/lmstudio" instead of "../mod.ts" (or, on Deno, from "jsr:@patinox/lmstudio" without installing it).
 */
import "./fake.ts";
import process from "node:process";
import { isProviderError, LocalProvider, ServiceDiscovery } from "../mod.ts";

const discovery = new ServiceDiscovery({ timeoutMs: 2000 });
for (const { type, endpoint, version, status, models, metrics } of await discovery.discover()) {
  const name = version === undefined ? type : `${type} ${version}`;
  console.log(`${name} at ${endpoint}: ${status}, ${Math.round(metrics.averageResponseMs)} ms`);
  console.log(`  ${models.join(", ") || "no models listed"}`);
}

// Uses what was found: LM Studio, or Ollama through its OpenAI-compatible routes.
const local = new LocalProvider({ discovery });
try {
  const [model] = (await local.listModels()).filter(({ type }) => type !== "embedding");
  const { content } = await local.complete({ model: model?.id, messages: "Say hello, briefly." });
  console.log(`\n${model?.provider} ${model?.id}: ${content}`);
} catch (error) {
  if (!isProviderError(error)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
