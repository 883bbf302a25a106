/**
 * The AI SDK: provides its `AI_SDK_DEFAULT_PROVIDER`, which is used for models given as strings, and the names that
 * its documentation uses for "your model".
 */
// Imported by a program of the documentation.
import "npm:dotenv@18.0.10/config";
import type { LanguageModel } from "npm:ai@7.0.173";
import { createLMStudio } from "../../../src/ai_sdk/mod.ts";

const lmstudio = createLMStudio();
const model: LanguageModel = lmstudio("m");

Object.assign(globalThis, {
  AI_SDK_DEFAULT_PROVIDER: lmstudio,
  __MODEL__: model,
  yourModel: model,
  // Replaces a provider's import, on its own line.
  __PROVIDER_IMPORT__: undefined,
});
