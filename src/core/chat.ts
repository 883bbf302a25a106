/**
 * LM Studio's native chat: requests, answers and events. The server keeps the conversation, runs the tools of plugins
 * and MCP servers itself, and reports what it is doing.
 *
 * @module
 */

import type { EventStream } from "./event_stream.ts";
import type { ImagePart } from "./messages.ts";
import type { CallOptions, GenerationStats, ReasoningTags, Usage } from "./types.ts";

/**
 * LM Studio's native chat, `POST /api/v1/chat` (0.4.0 and later): the type of `LMStudioProvider.chat`.
 *
 * It is stateful: each answer has a `responseId`; pass it as `previousResponseId` to continue the conversation. A
 * request is retried only if no connection could be made, since the server may already have run tools.
 */
export interface ChatApi {
  /**
   * Generates a whole answer. There is no timeout by default, since a model may load first and tools may run.
   *
   * @throws {InvalidRequestError} the request cannot be answered as written; thrown before sending if possible.
   * @throws {ModelNotAvailableError} code `no_model_loaded`, `model_not_found` or `model_load_failed`.
   * @throws {AuthenticationError} code `forbidden`: plugins or MCP servers are not allowed.
   * @throws {ApiError} code `unsupported_by_server` before 0.4.0; `server_error` if an MCP server fails.
   * @throws {NetworkError} the server cannot be reached.
   * @see https://lmstudio.ai/docs/developer/rest/chat
   *
   * @example
   * ```ts
   * import { LMStudioProvider } from "jsr:@patinox/lmstudio";
   *
   * const { chat } = new LMStudioProvider();
   * const { responseId } = await chat.send({ input: "My favorite color is blue." });
   * const { content, usage, stats } = await chat.send({
   *   input: "Which color did I mention?",
   *   previousResponseId: responseId,
   * });
   * console.log(content, usage?.totalTokens, stats.tokensPerSecond);
   * ```
   */
  send(request: ChatRequest, options?: CallOptions): Promise<ChatResponse>;

  /**
   * Streams the answer, event by event. Returns immediately; the request is sent when you start reading. Leaving the
   * loop stops the generation. The last event is `chat.end`, with the answer that `response()` returns.
   *
   * An `error` event is yielded like any other, and so is the `chat.end` that follows it within 2 s. Then the stream
   * throws the error; an `ApiError` or `InvalidRequestError` has that answer as its `response`. The server may be
   * silent while a tool runs; `idleTimeoutMs` limits that silence too.
   *
   * @throws when you start reading, as `send()`; later {StreamError} (code `stream_truncated`: the stream ended without
   * `chat.end`), {TimeoutError} or {NetworkError}, with the part received in `partial`.
   * @see https://lmstudio.ai/docs/developer/rest/streaming-events
   *
   * @example
   * ```ts
   * import { LMStudioProvider, type ChatUnknownKind } from "jsr:@patinox/lmstudio";
   *
   * const { chat } = new LMStudioProvider();
   * const onStatus = ({ phase, progress = 0 }: { phase: string; progress?: number }) =>
   *   console.log(phase, `${Math.round(100 * progress)} %`);
   * for await (const event of chat.stream({ input: "Why is the sky blue?" }, { onStatus })) {
   *   switch (event.type) {
   *     case "message.delta":
   *       console.log(event.content);
   *       break;
   *     case "tool_call.success":
   *       console.log(event.tool, event.arguments, event.output);
   *       break;
   *     case "chat.end":
   *       console.log(event.result.responseId);
   *       break;
   *     default: {
   *       // Event types of later server versions are passed through.
   *       const other: ChatUnknownKind = event;
   *       console.log(other.type);
   *     }
   *   }
   * }
   * ```
   */
  stream(request: ChatRequest, options?: CallOptions): EventStream<ChatEvent, ChatResponse>;
}

/** Request of LM Studio's native chat. Only `input` is required. */
export interface ChatRequest {
  /**
   * Model id.
   * @default {the configured model, else the loaded one}
   */
  model?: string | undefined;
  /** The user's message: text, or text and image parts. Without images, texts are joined by a blank line. */
  input: string | readonly ChatInputPart[];
  /** Instructions to the model. */
  systemPrompt?: string | undefined;
  /** `responseId` of the answer to continue from. Several requests may continue from the same answer. */
  previousResponseId?: string | undefined;
  /**
   * Whether the server keeps the conversation; if not, there is no `responseId`.
   * @default {true}
   */
  store?: boolean | undefined;
  /**
   * Plugins and MCP servers whose tools the model may use; the server runs them.
   * @default {none}
   */
  integrations?: readonly ChatIntegration[] | undefined;
  /**
   * Context length in tokens. With `integrations`, more than the default is recommended.
   * @default {the model's}
   */
  contextLength?: number | undefined;
  /** Reasoning effort of a reasoning model. A setting the model does not have is an error. */
  reasoning?: "off" | "low" | "medium" | "high" | "on" | undefined;
  /**
   * Additional pairs of tags that enclose reasoning in this model's messages, as in completions. Not sent.
   * @default {`reasoningTags` of the provider}
   */
  reasoningTags?: readonly ReasoningTags[] | undefined;
  /**
   * Randomness, 0 or more: 0 always picks the likeliest token.
   * @default {the model's own}
   */
  temperature?: number | undefined;
  /** Nucleus sampling: keep the likeliest tokens that make up this share of the probability, 0 to 1. */
  topP?: number | undefined;
  /** Keep only this many of the likeliest tokens. */
  topK?: number | undefined;
  /** Drop tokens less likely than this share of the likeliest one, 0 to 1. */
  minP?: number | undefined;
  /** Penalty for repeated tokens; 1 means none. */
  repeatPenalty?: number | undefined;
  /**
   * Maximum number of tokens to generate: a positive integer, or -1 for no limit.
   * @default {no limit}
   */
  maxTokens?: number | undefined;
}

/** Text or image in the user's message. */
export type ChatInputPart = { type: "text"; content: string } | ImagePart;

/**
 * Source of tools for the model: the id of a plugin (such as `"mcp/playwright"`), a plugin with a selection of its
 * tools, or an MCP server.
 */
export type ChatIntegration =
  | string
  /** A plugin on the server, or an MCP server in its `mcp.json`. */
  | {
    type: "plugin";
    /** Id of the plugin, such as `"mcp/playwright"`. */
    id: string;
    /**
     * Names of the tools the model may use.
     * @default {all}
     */
    allowedTools?: readonly string[] | undefined;
  }
  /** An MCP server for this request only. LM Studio must allow this in its settings. */
  | {
    type: "ephemeral_mcp";
    /** Name for the MCP server. */
    serverLabel: string;
    /** URL of the MCP server, http or https. */
    serverUrl: string;
    /**
     * Names of the tools the model may use.
     * @default {all}
     */
    allowedTools?: readonly string[] | undefined;
    /** Headers for the MCP server. Values never appear in errors. */
    headers?: Readonly<Record<string, string>> | undefined;
  };

/** Whole answer of LM Studio's native chat. */
export interface ChatResponse {
  /** Id to continue from, as `previousResponseId`; absent with `store: false`. */
  responseId?: string;
  /** Id of the model instance that answered. */
  modelInstanceId: string;
  /** The text of all messages, joined by a blank line; `""` if there is none. */
  content: string;
  /** The model's reasoning, if there is any, joined by a blank line. */
  reasoning?: string;
  /**
   * Everything the model wrote and did, in order. Types of later server versions are included: see `ChatUnknownKind`.
   */
  output: ChatOutputItem[];
  /** Tokens read (including earlier turns and tool definitions) and written, if the server reports them. */
  usage?: Usage;
  /** Speed of the generation: from the server, else measured. */
  stats: GenerationStats;
  /** The decoded body; for a stream, the `result` of its `chat.end`. */
  raw: unknown;
}

/**
 * Output item: something the model wrote or did, discriminated by `type`. Tools run on the server: a `tool_call` has
 * the tool's output; an `invalid_tool_call` was never run.
 */
export type ChatOutputItem =
  | { type: "message"; content: string }
  | { type: "reasoning"; content: string }
  | {
    type: "tool_call";
    tool: string;
    arguments: Record<string, unknown>;
    /** The tool's result, as text. */
    output: string;
    providerInfo?: ChatToolProvider;
  }
  | { type: "invalid_tool_call"; reason: string; metadata: ChatToolFailure };

/** Provider of a tool. */
export interface ChatToolProvider {
  /** Kind of provider. */
  type: "plugin" | "ephemeral_mcp" | (string & Record<never, never>);
  /** Id of the plugin, if it is one. */
  pluginId?: string;
  /** Label of the request's MCP server, if it is one. */
  serverLabel?: string;
}

/** Tool call that failed, and the reason. */
export interface ChatToolFailure {
  /** Kind of failure: no such tool, or arguments that do not match its schema. */
  type: "invalid_name" | "invalid_arguments" | (string & Record<never, never>);
  /** Name of the tool as the model called it. */
  toolName: string;
  /** For `invalid_arguments`, the model's arguments. */
  arguments?: Record<string, unknown>;
  /** For `invalid_arguments`, the provider of the tool. */
  providerInfo?: ChatToolProvider;
}

/**
 * Event of a streamed chat, discriminated by `type`, whose value is as sent by the server; field names are in
 * camelCase. `progress` is 0 to 1, `content` the new text, `modelInstanceId` the model instance, `providerInfo` the
 * provider of the tool, and `result` what `send()` returns. Event types of later server versions are passed through:
 * see `ChatUnknownKind`.
 *
 * @see https://lmstudio.ai/docs/developer/rest/streaming-events
 */
export type ChatEvent =
  | { type: "chat.start"; modelInstanceId: string }
  | { type: "model_load.start"; modelInstanceId: string }
  | { type: "model_load.progress"; modelInstanceId: string; progress: number }
  | { type: "model_load.end"; modelInstanceId: string; loadTimeSeconds: number }
  | { type: "prompt_processing.start" }
  | { type: "prompt_processing.progress"; progress: number }
  | { type: "prompt_processing.end" }
  | { type: "reasoning.start" }
  | { type: "reasoning.delta"; content: string }
  | { type: "reasoning.end" }
  | { type: "tool_call.start"; tool: string; providerInfo?: ChatToolProvider }
  | {
    type: "tool_call.arguments";
    tool: string;
    arguments: Record<string, unknown>;
    providerInfo?: ChatToolProvider;
  }
  | {
    type: "tool_call.success";
    tool: string;
    arguments: Record<string, unknown>;
    /** The tool's result, as text. */
    output: string;
    providerInfo?: ChatToolProvider;
  }
  | { type: "tool_call.failure"; reason: string; metadata: ChatToolFailure }
  | { type: "message.start" }
  | { type: "message.delta"; content: string }
  | { type: "message.end" }
  /** Failure, which the stream also throws as a `ProviderError`. */
  | {
    type: "error";
    error: {
      /** Kind of failure, such as `mcp_connection_error`, `model_load_failed` or `internal_error`. */
      type: string;
      /** Description for users, without secrets or parts of the prompt. */
      message: string;
      /** More specific code, such as `missing_required_parameter`. */
      code?: string;
      /** Parameter that caused the failure. */
      param?: string;
    };
  }
  | { type: "chat.end"; result: ChatResponse };

/**
 * Event or output item of a type that this version does not know. It is not part of the unions `ChatEvent` and
 * `ChatOutputItem`, since a `switch` could then not narrow them; in its `default` branch, assign the value to this
 * type.
 */
export interface ChatUnknownKind {
  /** Type as sent by the server. */
  type: string;
  /** Other fields, in camelCase. */
  [field: string]: unknown;
}
