/** OpenAI's agents: the default provider is ours, `openai` of `@ai-sdk/openai` is, and no trace is sent. */
import {
  Agent,
  type Model,
  setDefaultModelProvider,
  setTracingDisabled,
} from "npm:@openai/agents@0.20.0";
import { aisdk } from "npm:@openai/agents-extensions@0.18.0/ai-sdk";
import { createLMStudio, type LMStudioProviderV4 } from "../../../src/ai_sdk/mod.ts";

const lmstudio = createLMStudio();

/** In place of the one that is imported from `@ai-sdk/openai`. */
export const openai: LMStudioProviderV4 = lmstudio;

// The types of the package do not fit each other under `exactOptionalPropertyTypes`, whatever the model.
setDefaultModelProvider({ getModel: (name = "m") => aisdk(lmstudio(name)) as Model });
setTracingDisabled(true);

// One of the programs uses it without importing it.
Object.assign(globalThis, { Agent });
