/** OpenAI's agents: our default provider, our `openai` instead of `@ai-sdk/openai`'s, and no traces. */
import {
  Agent,
  type Model,
  setDefaultModelProvider,
  setTracingDisabled,
} from "npm:@openai/agents@0.20.0";
import { aisdk } from "npm:@openai/agents-extensions@0.18.0/ai-sdk";
import { createLMStudio, type LMStudioProviderV4 } from "../../../src/ai_sdk/mod.ts";

const lmstudio = createLMStudio();

/** Replaces the import from `@ai-sdk/openai`. */
export const openai: LMStudioProviderV4 = lmstudio;

// The package's types contradict each other under `exactOptionalPropertyTypes`, whatever the model.
setDefaultModelProvider({ getModel: (name = "m") => aisdk(lmstudio(name)) as Model });
setTracingDisabled(true);

// One of the programs uses it without importing it.
Object.assign(globalThis, { Agent });
