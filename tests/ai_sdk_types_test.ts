/**
 * The hand-written interfaces of `./ai-sdk` against those of `@ai-sdk/provider`: ours accept at least as much and return
 * at most as much. The type checker runs these tests; Deno only starts them.
 */
import type {
  EmbeddingModelV4 as SdkEmbeddingModel,
  EmbeddingModelV4CallOptions as SdkEmbeddingCall,
  EmbeddingModelV4Result as SdkEmbeddings,
  Experimental_DecisionModelV4 as SdkDecisionModel,
  Experimental_DecisionModelV4CallOptions as SdkDecisionCall,
  Experimental_DecisionModelV4Result as SdkDecisions,
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
import type { JSONSchema7 } from "npm:@types/json-schema@^7.0.15";
import type { createLMStudio } from "../src/ai_sdk/mod.ts";
import type {
  DecisionModelV4,
  DecisionModelV4CallOptions,
  DecisionModelV4Result,
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

/** Whether the first type is assignable to the second; `any` does not count. */
type Fits<Given, Wanted> = IsAny<Given> extends true ? false
  : IsAny<Wanted> extends true ? false
  : [Given] extends [Wanted] ? true
  : false;
/** Compiles only for `true`; not for `boolean` either, the result for a type that was not found. */
function fits<_ extends true>(): void {}
type IsAny<T> = 0 extends 1 & T ? true : false;

Deno.test("ai-sdk types: the SDK's arguments are assignable to ours", () => {
  fits<Fits<SdkCall, LanguageModelV4CallOptions>>();
  fits<Fits<SdkMessage, LanguageModelV4Message>>();
  fits<Fits<SdkFileData, SharedV4FileData>>();
  fits<Fits<SdkToolOutput, LanguageModelV4ToolResultOutput>>();
  fits<Fits<SdkFunctionTool, LanguageModelV4FunctionTool>>();
  // The package does not include the JSON Schema types that it imports, so its schemas are any.
  fits<Fits<JSONSchema7, LanguageModelV4FunctionTool["inputSchema"]>>();
  fits<Fits<SdkProviderTool, LanguageModelV4ProviderTool>>();
  fits<Fits<SdkToolChoice, LanguageModelV4ToolChoice>>();
  fits<Fits<SdkEmbeddingCall, EmbeddingModelV4CallOptions>>();
  fits<Fits<SdkDecisionCall, DecisionModelV4CallOptions>>();
});

Deno.test("ai-sdk types: our results are assignable to the SDK's", () => {
  fits<Fits<LanguageModelV4Content, SdkContent>>();
  fits<Fits<LanguageModelV4StreamPart, SdkPart>>();
  fits<Fits<LanguageModelV4StreamResult, SdkStream>>();
  fits<Fits<LanguageModelV4Usage, SdkUsage>>();
  fits<Fits<LanguageModelV4GenerateResult, SdkAnswer>>();
  fits<Fits<SharedV4ProviderMetadata, SdkMetadata>>();
  fits<Fits<SharedV4Warning, SdkWarning>>();
  fits<Fits<EmbeddingModelV4Result, SdkEmbeddings>>();
  fits<Fits<DecisionModelV4Result, SdkDecisions>>();
});

Deno.test("ai-sdk types: the models and the provider are the SDK's", () => {
  fits<Fits<LanguageModelV4, SdkLanguageModel>>();
  fits<Fits<EmbeddingModelV4, SdkEmbeddingModel>>();
  fits<Fits<DecisionModelV4, SdkDecisionModel>>();
  fits<Fits<LMStudioProviderV4, ProviderV4>>();
  fits<Fits<ReturnType<typeof createLMStudio>, ProviderV4>>();
});

Deno.test("ai-sdk types: the comparison notices a difference, and any", () => {
  // @ts-expect-error -- no part
  fits<Fits<{ type: "text" }, SdkPart>>();
  // @ts-expect-error -- no model
  fits<Fits<Omit<LanguageModelV4, "doStream">, SdkLanguageModel>>();
  // @ts-expect-error -- any
  // deno-lint-ignore no-explicit-any -- what is looked for
  fits<Fits<any, SdkPart>>();
});
