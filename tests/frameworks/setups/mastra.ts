/**
 * Mastra: a gateway of its model router claims every model that is a string, such as "openai/…", and gives ours.
 */
import { defaultGateways } from "npm:@mastra/core@1.71.0/llm";
import { createLMStudio } from "../../../src/ai_sdk/mod.ts";

type Gateway = Parameters<typeof defaultGateways.unshift>[0];

const lmstudio = createLMStudio();
const gateway = {
  id: "lmstudio",
  name: "LM Studio",
  handlesModel: () => true,
  fetchProviders: () => Promise.resolve({}),
  buildUrl: () => undefined,
  getApiKey: () => Promise.resolve("none"),
  resolveLanguageModel: () => lmstudio("m"),
};
// The list is typed as what it holds at first, not as what the router takes.
defaultGateways.unshift(gateway as unknown as Gateway);
