/**
 * Mastra: a gateway in its model router takes every model given as a string, such as "openai/…", and returns ours.
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
// The list has the type of its initial content, not of what the router accepts.
defaultGateways.unshift(gateway as unknown as Gateway);
