/**
 * LM Studio for TypeScript: find the server, manage its models, get answers (whole or streamed, with tools, images and
 * typed objects) and compute embeddings. Errors say what to do. Works in Deno, Bun, Node (20 and later) and the
 * browser.
 *
 * @example
 * ```ts
 * import { LMStudioProvider } from "jsr:@patinox/lmstudio";
 *
 * const lmstudio = new LMStudioProvider();
 * const { content } = await lmstudio.complete("Say hello in three languages.");
 * console.log(content);
 * ```
 *
 * @module
 */

// Providers
export { LMStudioProvider } from "./src/provider/lmstudio.ts";
export { createDefaultProvider, LocalProvider } from "./src/provider/local.ts";
export { FallbackProvider } from "./src/provider/fallback.ts";
export { OpenAICompatibleProvider } from "./src/provider/openai_compatible.ts";
export type { OpenAICompatibleProviderOptions } from "./src/provider/openai_compatible.ts";

// Decisions
export type {
  DecisionAnswer,
  DecisionQuestion,
  DecisionRequest,
  DecisionResponse,
} from "./src/core/decisions.ts";

// Conversations longer than the context
export type { ContextOverflowPolicy, OverflowInfo, TrimInfo } from "./src/core/context_policy.ts";

// The interface of every provider: requests, answers, streams, models
export type {
  CallOptions,
  CallStatus,
  CompletionRequest,
  CompletionResponse,
  CompletionStream,
  EmbeddingRequest,
  EmbeddingResponse,
  EmbeddingWarning,
  FinishReason,
  GenerationStats,
  LoadedInstance,
  ModelCapabilities,
  ModelInfo,
  ModelProvider,
  PartialAnswer,
  ReasoningTags,
  StreamingChunk,
  Usage,
} from "./src/core/types.ts";
export type { EventStream } from "./src/core/event_stream.ts";
export type {
  AssistantMessage,
  ContentPart,
  ImagePart,
  Message,
  Tool,
  ToolCall,
  ToolCallDelta,
  ToolContext,
  ToolMessage,
  UserMessage,
} from "./src/core/messages.ts";

// Tools and typed objects
export { fromMcpTool, tool } from "./src/core/tool.ts";
export type { McpTool, McpToolResult, ToolArguments, ToolDefinition } from "./src/core/tool.ts";
export type {
  RunToolsRequest,
  RunToolsResult,
  ToolDecision,
  ToolEvent,
  ToolStream,
} from "./src/core/tool_loop.ts";
export type { ObjectRequest, ObjectResponse } from "./src/members/objects.ts";
export type {
  DeepPartial,
  JsonSchema,
  SchemaIssue,
  SchemaOutput,
  StandardSchema,
  StandardSchemaProps,
  StandardSchemaResult,
} from "./src/core/schema.ts";

// Beyond the interface: text completions, responses, LM Studio's own chat, model management, other clients
export type { TextCompletionRequest, TextCompletionResponse } from "./src/core/text.ts";
export type {
  ResponsesAnswer,
  ResponsesApi,
  ResponsesFunctionCall,
  ResponsesFunctionCallOutput,
  ResponsesInputItem,
  ResponsesItemReference,
  ResponsesMcpTool,
  ResponsesMessage,
  ResponsesRequest,
} from "./src/core/responses.ts";
export type {
  ResponsesEvent,
  ResponsesOutputItem,
  ResponsesUnknownEvent,
} from "./src/core/responses_events.ts";
export type {
  ChatApi,
  ChatEvent,
  ChatInputPart,
  ChatIntegration,
  ChatOutputItem,
  ChatRequest,
  ChatResponse,
  ChatToolFailure,
  ChatToolProvider,
  ChatUnknownKind,
} from "./src/core/chat.ts";
export type {
  DownloadOptions,
  DownloadProgress,
  DownloadStatus,
  EnsureLoadedOptions,
  LoadConfig,
  LoadedModel,
  LoadOptions,
  ModelLease,
  ModelsApi,
} from "./src/core/model_management.ts";
export type { AnthropicClientOptions, OpenAIClientOptions } from "./src/provider/lmstudio.ts";

// Finding servers
export { ServiceDiscovery } from "./src/discovery/discovery.ts";
export type {
  DiscoverOptions,
  HealthCheckOptions,
  MonitorOptions,
  ServiceCandidate,
  ServiceDiscoveryOptions,
  ServiceFinder,
  ServiceInfo,
  ServiceMonitor,
  ServiceType,
} from "./src/core/services.ts";

// Configuration
export { resolveConfig } from "./src/platform/environment.ts";
export type {
  ConfigEntry,
  ConfigSource,
  LMStudioProviderOptions,
  ModelSubstitution,
  OnModelSubstituted,
  ResolvedConfig,
} from "./src/core/config.ts";

// Errors
export {
  AllProvidersFailedError,
  ApiError,
  AuthenticationError,
  ConfigurationError,
  InvalidRequestError,
  isProviderError,
  ModelNotAvailableError,
  NetworkError,
  ParseError,
  ProviderError,
  RateLimitedError,
  SerializationError,
  StreamError,
  TimeoutError,
  UnknownProviderError,
} from "./src/core/errors.ts";
export type { AnyProviderError, ProviderErrorOptions, TimeoutPhase } from "./src/core/errors.ts";
export type { ErrorCode, ErrorKind, KnownCode } from "./src/core/error_codes.ts";
