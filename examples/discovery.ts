/**
 * The servers on this machine, and an answer from whichever is there:
 *
 *     deno run --allow-net --allow-env --allow-read examples/discovery.ts
 *
 * `--fake` behind it lets a fake LM Studio answer. In your own project leave out "./fake.ts", and import from
 * "@patinox/lmstudio" instead of "../mod.ts" (on Deno without installing it, from "jsr:@patinox/lmstudio").
 */
import "./fake.ts";
import process from "node:process";
import { isProviderError, LocalProvider, ServiceDiscovery } from "../mod.ts";

const discovery = new ServiceDiscovery({ timeoutMs: 2000 });
for (const { type, endpoint, version, status, models, metrics } of await discovery.discover()) {
  const name = version === undefined ? type : `${type} ${version}`;
  console.log(`${name} at ${endpoint}: ${status}, ${Math.round(metrics.averageResponseMs)} ms`);
  console.log(`  ${models.join(", ") || "tells no models"}`);
}

// Over whatever was found: LM Studio, or Ollama by its OpenAI-compatible routes.
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
