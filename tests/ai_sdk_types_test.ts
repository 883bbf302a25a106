/**
 * The interfaces of `./ai-sdk`, written out by hand, against those of `@ai-sdk/provider`: what ours take is at least as
 * wide, what they give at most. The type checker runs these tests; Deno only starts them.
 */
import type {
  EmbeddingModelV4 as SdkEmbeddingModel,
  EmbeddingModelV4CallOptions as SdkEmbeddingCall,
  EmbeddingModelV4Result as SdkEmbeddings,
  LanguageModelV4 as SdkLanguageModel,
  LanguageModelV4CallOptions as SdkCall,
  LanguageModelV4Content as SdkContent,
  LanguageModelV4FunctionTool as SdkFunctionTool,
  LanguageModelV4GenerateResult as SdkAnswer,
  LanguageModelV4Message as SdkMessage,
  LanguageModelV4ProviderTool as SdkProviderTool,
  LanguageModelV4StreamPart as SdkPart,
  LanguageModelV4StreamResult as SdkStream,
  LanguageModelV4ToolChoice as SdkToolChoice,
  LanguageModelV4ToolResultOutput as SdkToolOutput,
  LanguageModelV4Usage as SdkUsage,
  ProviderV4,
  SharedV4FileData as SdkFileData,
  SharedV4ProviderMetadata as SdkMetadata,
  SharedV4Warning as SdkWarning,
} from "npm:@ai-sdk/provider@^4.0.38";
import { assertType } from "@std/testing/types";
import type { createLMStudio } from "../src/ai_sdk/mod.ts";
import type {
  EmbeddingModelV4,
  EmbeddingModelV4CallOptions,
  EmbeddingModelV4Result,
  LanguageModelV4,
  LanguageModelV4CallOptions,
  LanguageModelV4Content,
  LanguageModelV4FunctionTool,
  LanguageModelV4GenerateResult,
  LanguageModelV4Message,
  LanguageModelV4ProviderTool,
  LanguageModelV4StreamPart,
  LanguageModelV4StreamResult,
  LanguageModelV4ToolChoice,
  LanguageModelV4ToolResultOutput,
  LanguageModelV4Usage,
  LMStudioProviderV4,
  SharedV4FileData,
  SharedV4ProviderMetadata,
  SharedV4Warning,
} from "../src/ai_sdk/mod.ts";

/** Whether a value of the first type can be given where the second is wanted; `any` is no answer. */
type Fits<Given, Wanted> = IsAny<Given> extends true ? false
  : IsAny<Wanted> extends true ? false
  : [Given] extends [Wanted] ? true
  : false;
type IsAny<T> = 0 extends 1 & T ? true : false;

Deno.test("ai-sdk types: what the SDK asks with can be given to ours", () => {
  assertType<Fits<SdkCall, LanguageModelV4CallOptions>>(true);
  assertType<Fits<SdkMessage, LanguageModelV4Message>>(true);
  assertType<Fits<SdkFileData, SharedV4FileData>>(true);
  assertType<Fits<SdkToolOutput, LanguageModelV4ToolResultOutput>>(true);
  assertType<Fits<SdkFunctionTool, LanguageModelV4FunctionTool>>(true);
  assertType<Fits<SdkProviderTool, LanguageModelV4ProviderTool>>(true);
  assertType<Fits<SdkToolChoice, LanguageModelV4ToolChoice>>(true);
  assertType<Fits<SdkEmbeddingCall, EmbeddingModelV4CallOptions>>(true);
});

Deno.test("ai-sdk types: what ours give can be given to the SDK", () => {
  assertType<Fits<LanguageModelV4Content, SdkContent>>(true);
  assertType<Fits<LanguageModelV4StreamPart, SdkPart>>(true);
  assertType<Fits<LanguageModelV4StreamResult, SdkStream>>(true);
  assertType<Fits<LanguageModelV4Usage, SdkUsage>>(true);
  assertType<Fits<LanguageModelV4GenerateResult, SdkAnswer>>(true);
  assertType<Fits<SharedV4ProviderMetadata, SdkMetadata>>(true);
  assertType<Fits<SharedV4Warning, SdkWarning>>(true);
  assertType<Fits<EmbeddingModelV4Result, SdkEmbeddings>>(true);
});

Deno.test("ai-sdk types: the models and the provider are the SDK's", () => {
  assertType<Fits<LanguageModelV4, SdkLanguageModel>>(true);
  assertType<Fits<EmbeddingModelV4, SdkEmbeddingModel>>(true);
  assertType<Fits<LMStudioProviderV4, ProviderV4>>(true);
  assertType<Fits<ReturnType<typeof createLMStudio>, ProviderV4>>(true);
});

Deno.test("ai-sdk types: the comparison sees a difference, and any", () => {
  assertType<Fits<{ type: "text" }, SdkPart>>(false);
  assertType<Fits<Omit<LanguageModelV4, "doStream">, SdkLanguageModel>>(false);
  // deno-lint-ignore no-explicit-any -- what is looked for
  assertType<Fits<any, SdkPart>>(false);
  // Nothing of what is compared is itself any.
  assertType<IsAny<LanguageModelV4FunctionTool["inputSchema"]>>(false);
  assertType<IsAny<SdkFunctionTool["inputSchema"]>>(false);
});
