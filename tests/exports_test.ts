/** Every public name, by hand: an addition or a loss is seen here before users see it. */
import { assertEquals } from "@std/assert";

const ROOT = new URL("../", import.meta.url);

interface Names {
  values: string[];
  types: string[];
}

const EXPORTS: Record<string, Names> = {
  ".": {
    values: [
      "AllProvidersFailedError",
      "ApiError",
      "AuthenticationError",
      "ConfigurationError",
      "FallbackProvider",
      "InvalidRequestError",
      "LMStudioProvider",
      "LocalProvider",
      "ModelNotAvailableError",
      "NetworkError",
      "OpenAICompatibleProvider",
      "ParseError",
      "ProviderError",
      "RateLimitedError",
      "SerializationError",
      "ServiceDiscovery",
      "StreamError",
      "TimeoutError",
      "UnknownProviderError",
      "createDefaultProvider",
      "fromMcpTool",
      "isProviderError",
      "resolveConfig",
      "tool",
    ],
    types: [
      "AnyProviderError",
      "AssistantMessage",
      "CallOptions",
      "CallStatus",
      "ChatApi",
      "ChatEvent",
      "ChatInputPart",
      "ChatIntegration",
      "ChatOutputItem",
      "ChatRequest",
      "ChatResponse",
      "ChatToolFailure",
      "ChatToolProvider",
      "ChatUnknownKind",
      "CompletionRequest",
      "CompletionResponse",
      "CompletionStream",
      "ConfigEntry",
      "ConfigSource",
      "ContentPart",
      "ContextOverflowPolicy",
      "DecisionAnswer",
      "DecisionQuestion",
      "DecisionRequest",
      "DecisionResponse",
      "DiscoverOptions",
      "DownloadOptions",
      "DownloadProgress",
      "DownloadStatus",
      "EmbeddingRequest",
      "EmbeddingResponse",
      "EnsureLoadedOptions",
      "ErrorCode",
      "ErrorKind",
      "EventStream",
      "FinishReason",
      "GenerationStats",
      "HealthCheckOptions",
      "ImagePart",
      "JsonSchema",
      "KnownCode",
      "LMStudioProviderOptions",
      "LoadConfig",
      "LoadOptions",
      "LoadedInstance",
      "LoadedModel",
      "McpTool",
      "McpToolResult",
      "Message",
      "ModelCapabilities",
      "ModelInfo",
      "ModelLease",
      "ModelProvider",
      "ModelSubstitution",
      "ModelsApi",
      "MonitorOptions",
      "ObjectRequest",
      "ObjectResponse",
      "OnModelSubstituted",
      "AnthropicClientOptions",
      "OpenAIClientOptions",
      "OpenAICompatibleProviderOptions",
      "OverflowInfo",
      "PartialAnswer",
      "ProviderErrorOptions",
      "ReasoningTags",
      "ResolvedConfig",
      "ResponsesAnswer",
      "ResponsesApi",
      "ResponsesEvent",
      "ResponsesFunctionCall",
      "ResponsesFunctionCallOutput",
      "ResponsesInputItem",
      "ResponsesItemReference",
      "ResponsesMcpTool",
      "ResponsesMessage",
      "ResponsesOutputItem",
      "ResponsesRequest",
      "ResponsesUnknownEvent",
      "RunToolsRequest",
      "RunToolsResult",
      "SchemaIssue",
      "SchemaOutput",
      "ServiceCandidate",
      "ServiceDiscoveryOptions",
      "ServiceFinder",
      "ServiceInfo",
      "ServiceMonitor",
      "ServiceType",
      "StandardSchema",
      "StandardSchemaProps",
      "StandardSchemaResult",
      "StreamingChunk",
      "TextCompletionRequest",
      "TextCompletionResponse",
      "TimeoutPhase",
      "Tool",
      "ToolArguments",
      "ToolCall",
      "ToolCallDelta",
      "ToolContext",
      "ToolDecision",
      "ToolDefinition",
      "ToolEvent",
      "ToolMessage",
      "ToolStream",
      "TrimInfo",
      "Usage",
      "UserMessage",
    ],
  },
  "./ai-sdk": {
    values: ["createLMStudio"],
    types: [
      "EmbeddingModelV4",
      "EmbeddingModelV4CallOptions",
      "EmbeddingModelV4Result",
      "JsonObject",
      "JsonValue",
      "LanguageModelV4",
      "LanguageModelV4CallOptions",
      "LanguageModelV4Content",
      "LanguageModelV4FilePart",
      "LanguageModelV4FinishReason",
      "LanguageModelV4FunctionTool",
      "LanguageModelV4GenerateResult",
      "LanguageModelV4Message",
      "LanguageModelV4OtherPart",
      "LanguageModelV4ProviderTool",
      "LanguageModelV4ReasoningPart",
      "LanguageModelV4ResponseMetadata",
      "LanguageModelV4StreamPart",
      "LanguageModelV4StreamResult",
      "LanguageModelV4TextPart",
      "LanguageModelV4ToolCall",
      "LanguageModelV4ToolCallPart",
      "LanguageModelV4ToolChoice",
      "LanguageModelV4ToolResultOutput",
      "LanguageModelV4ToolResultPart",
      "LanguageModelV4Usage",
      "LMStudioProviderV4",
      "SharedV4FileData",
      "SharedV4ProviderMetadata",
      "SharedV4ProviderOptions",
      "SharedV4Warning",
    ],
  },
  "./testing": {
    values: ["createFakeLMStudio", "testModelProvider"],
    types: [
      "BadJsonFault",
      "ConformanceOptions",
      "CutFault",
      "DelayFault",
      "EmptyStreamFault",
      "ErrorFrameFault",
      "FakeAnswer",
      "FakeDecision",
      "FakeDownload",
      "FakeFault",
      "FakeLMStudio",
      "FakeLMStudioOptions",
      "FakeListenOptions",
      "FakeListener",
      "FakeModel",
      "FakeReply",
      "FakeReplyFunction",
      "FakeToolCall",
      "FakeToolRun",
      "FaultKind",
      "FaultPlace",
      "HtmlFault",
      "ModelProvider",
      "ProviderFactory",
      "LoadingFault",
      "RateLimitFault",
      "RecordedRequest",
      "RedirectFault",
      "RefuseFault",
      "RespondFault",
      "StallFault",
      "Usage",
    ],
  },
};

interface DenoDoc {
  nodes: Record<string, { symbols?: { name: string; declarations: { kind: string }[] }[] }>;
}

async function readEntries(): Promise<Record<string, string>> {
  return JSON.parse(await Deno.readTextFile(new URL("deno.json", ROOT))).exports;
}

async function documented(file: string): Promise<Names> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["doc", "--json", file],
    cwd: ROOT,
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  const { nodes } = JSON.parse(new TextDecoder().decode(stdout)) as DenoDoc;
  const symbols = Object.values(nodes).flatMap(({ symbols = [] }) => symbols);
  const isType = ({ declarations }: typeof symbols[number]) =>
    declarations.every(({ kind }) => ["interface", "typeAlias"].includes(kind));
  return {
    values: symbols.filter((symbol) => !isType(symbol)).map(({ name }) => name).sort(),
    types: symbols.filter(isType).map(({ name }) => name).sort(),
  };
}

Deno.test("every entry of deno.json has its list of names", async () => {
  assertEquals(Object.keys(EXPORTS).sort(), Object.keys(await readEntries()).sort());
});

for (const [entry, file] of Object.entries(await readEntries())) {
  Deno.test(`${entry} exports the names listed for it and no others`, async () => {
    const { values = [], types = [] } = EXPORTS[entry] ?? {};
    const module: Record<string, unknown> = await import(new URL(file, ROOT).href);
    assertEquals(Object.keys(module).sort(), [...values].sort());
    assertEquals(await documented(file), { values: [...values].sort(), types: [...types].sort() });
  });
}
