/**
 * LM Studio as a provider for the AI SDK (`ai` 7), and so for everything that accepts its models, such as Mastra and
 * the OpenAI Agents SDK.
 *
 * @example
 * ```ts
 * import { generateText } from "npm:ai@7";
 * import { createLMStudio } from "jsr:@patinox/lmstudio/ai-sdk";
 *
 * const lmstudio = createLMStudio();
 * const { text } = await generateText({
 *   model: lmstudio("google/gemma-4-26b-a4b"),
 *   prompt: "Why is the sky blue?",
 * });
 * console.log(text);
 * ```
 *
 * @module
 */

import type { LMStudioProviderOptions } from "../core/config.ts";
import { LMStudioProvider } from "../provider/lmstudio.ts";
import { noSuchModel, toSdkError } from "./call_error.ts";
import { DecisionModel } from "./decision_model.ts";
import { EmbeddingModel } from "./embedding_model.ts";
import { LanguageModel, type ModelSource } from "./language_model.ts";
import type { EmbeddingModelV4, LanguageModelV4, LMStudioProviderV4 } from "./specification.ts";

export type {
  DecisionModelV4,
  DecisionModelV4Answer,
  DecisionModelV4CallOptions,
  DecisionModelV4Input,
  DecisionModelV4Question,
  DecisionModelV4Result,
  DecisionModelV4StatePart,
  EmbeddingModelV4,
  EmbeddingModelV4CallOptions,
  EmbeddingModelV4Result,
  JsonObject,
  JsonValue,
  LanguageModelV4,
  LanguageModelV4CallOptions,
  LanguageModelV4Content,
  LanguageModelV4FilePart,
  LanguageModelV4FinishReason,
  LanguageModelV4FunctionTool,
  LanguageModelV4GenerateResult,
  LanguageModelV4Message,
  LanguageModelV4OtherPart,
  LanguageModelV4ProviderTool,
  LanguageModelV4ReasoningPart,
  LanguageModelV4ResponseMetadata,
  LanguageModelV4StreamPart,
  LanguageModelV4StreamResult,
  LanguageModelV4TextPart,
  LanguageModelV4ToolCall,
  LanguageModelV4ToolCallPart,
  LanguageModelV4ToolChoice,
  LanguageModelV4ToolResultOutput,
  LanguageModelV4ToolResultPart,
  LanguageModelV4Usage,
  LMStudioProviderV4,
  SharedV4FileData,
  SharedV4ProviderMetadata,
  SharedV4ProviderOptions,
  SharedV4Warning,
} from "./specification.ts";

/**
 * Creates a provider for the AI SDK. It sends nothing until a model is used.
 *
 * The SDK retries failed calls according to its own `maxRetries`. This package does not retry as well, unless the
 * options or the environment set `maxRetries` here.
 *
 * @param options the options of `new LMStudioProvider()`, or an existing provider, for example from
 * `LMStudioProvider.discover()`.
 * @throws the SDK's `LoadSettingError`, with a `ConfigurationError` as its `cause`.
 * @see https://ai-sdk.dev/docs
 *
 * @example
 * ```ts
 * import { streamText } from "npm:ai@7";
 * import { createLMStudio } from "jsr:@patinox/lmstudio/ai-sdk";
 *
 * const lmstudio = createLMStudio({ firstTokenTimeoutMs: 120_000 });
 * const { textStream } = streamText({ model: lmstudio(), prompt: "Write a haiku about the sea." });
 * for await (const text of textStream) console.log(text);
 * ```
 */
export function createLMStudio(
  options: LMStudioProviderOptions | LMStudioProvider = {},
): LMStudioProviderV4 {
  const source = sourceOf(options);
  const languageModel = (modelId = ""): LanguageModelV4 => new LanguageModel(modelId, source);
  const embeddingModel = (modelId = ""): EmbeddingModelV4 => new EmbeddingModel(modelId, source);
  return Object.assign((modelId?: string) => languageModel(modelId), {
    specificationVersion: "v4" as const,
    languageModel,
    embeddingModel,
    textEmbeddingModel: embeddingModel,
    decisionModel: (modelId = "") => new DecisionModel(modelId, source),
    imageModel: (modelId: string): never => {
      throw noSuchModel(
        { modelId, modelType: "imageModel" },
        "Cannot generate images: LM Studio has no image models. Its models read images and write text.",
      );
    },
  });
}

function sourceOf(options: LMStudioProviderOptions | LMStudioProvider): ModelSource {
  try {
    const provider = options instanceof LMStudioProvider ? options : new LMStudioProvider(options);
    const retries = provider.explainConfig().find(({ key }) => key === "maxRetries");
    return { provider, defaults: retries?.source === "default" ? { maxRetries: 0 } : {} };
  } catch (error) {
    throw toSdkError(error);
  }
}
