/**
 * The AI SDK: its `AI_SDK_DEFAULT_PROVIDER`, which answers for models that are strings, and the names that its
 * documentation has for "your model", are ours.
 */
// What a program of the documentation imports.
import "npm:dotenv@18.0.10/config";
import type { LanguageModel } from "npm:ai@7.0.173";
import { createLMStudio } from "../../../src/ai_sdk/mod.ts";

const lmstudio = createLMStudio();
const model: LanguageModel = lmstudio("m");

Object.assign(globalThis, {
  AI_SDK_DEFAULT_PROVIDER: lmstudio,
  __MODEL__: model,
  yourModel: model,
  // A line of its own, in place of the import of a provider.
  __PROVIDER_IMPORT__: undefined,
});
