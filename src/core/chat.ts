/**
 * LM Studio's own chat: what goes in and what comes out. The server keeps the conversation, runs the tools of
 * plugins and MCP servers itself, and tells what it is doing.
 *
 * @module
 */

import type { EventStream } from "./event_stream.ts";
import type { ImagePart } from "./messages.ts";
import type { CallOptions, GenerationStats, ReasoningTags, Usage } from "./types.ts";

/**
 * LM Studio's own chat, `POST /api/v1/chat` (0.4.0 and later): the value of `LMStudioProvider.chat`.
 *
 * It is stateful: each answer has a `responseId`, which `previousResponseId` of a later request goes on from.
 * A request is sent again only where no connection came about, since the server may have run tools meanwhile.
 */
export interface ChatApi {
  /**
   * One whole answer. No time limit by default: a model may load first, and tools may run.
   *
   * @throws {InvalidRequestError} the request cannot be answered as it is; before sending, where that shows.
   * @throws {ModelNotAvailableError} code `no_model_loaded`, `model_not_found` or `model_load_failed`.
   * @throws {AuthenticationError} code `forbidden`: plugins or MCP servers are not allowed.
   * @throws {ApiError} code `unsupported_by_server` before 0.4.0; `server_error` where an MCP server fails.
   * @throws {NetworkError} the server cannot be reached.
   * @see https://lmstudio.ai/docs/developer/rest/chat
   *
   * @example
   * ```ts
   * import { LMStudioProvider } from "jsr:@patinox/lmstudio";
   *
   * const { chat } = new LMStudioProvider();
   * const { responseId } = await chat.send({ input: "My favourite colour is blue." });
   * const { content, usage, stats } = await chat.send({
   *   input: "Which colour did I mention?",
   *   previousResponseId: responseId,
   * });
   * console.log(content, usage?.totalTokens, stats.tokensPerSecond);
   * ```
   */
  send(request: ChatRequest, options?: CallOptions): Promise<ChatResponse>;

  /**
   * The answer as it comes, event by event. Returns at once; the request is sent at the first pull. Leaving
   * the loop stops the generation. The last event is `chat.end`, with the answer that `response()` gives.
   *
   * An `error` event is given out like the others; so is the `chat.end` that follows it, within 2 s. Then the
   * stream throws the error, with that answer as `response` of an `ApiError` or `InvalidRequestError`. While a
   * tool runs the server may be silent: `idleTimeoutMs` bounds that, too.
   *
   * @throws at the first pull, as `send()`; later {StreamError} (code `stream_truncated`: the stream ended
   * without `chat.end`), {TimeoutError} or {NetworkError} with `partial`, what had arrived.
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
   *       // Kinds of later versions come through, too.
   *       const other: ChatUnknownKind = event;
   *       console.log(other.type);
   *     }
   *   }
   * }
   * ```
   */
  stream(request: ChatRequest, options?: CallOptions): EventStream<ChatEvent, ChatResponse>;
}

/** What to ask in LM Studio's own chat. Only `input` is needed. */
export interface ChatRequest {
  /**
   * Model id.
   * @default {the configured model, else the one that is loaded}
   */
  model?: string | undefined;
  /** What the user says: text, or parts with images. Texts without an image are joined by a blank line. */
  input: string | readonly ChatInputPart[];
  /** Tells the model how to behave. */
  systemPrompt?: string | undefined;
  /** `responseId` of the answer to go on from. Several requests may go on from one answer. */
  previousResponseId?: string | undefined;
  /**
   * Whether the server keeps the conversation; without it there is no `responseId`.
   * @default {true}
   */
  store?: boolean | undefined;
  /**
   * Plugins and MCP servers whose tools the model may use; the server runs them.
   * @default {none}
   */
  integrations?: readonly ChatIntegration[] | undefined;
  /**
   * Tokens of context. More than the default is recommended with `integrations`.
   * @default {the model's}
   */
  contextLength?: number | undefined;
  /** How much a reasoning model may think; a setting that the model does not have is an error. */
  reasoning?: "off" | "low" | "medium" | "high" | "on" | undefined;
  /**
   * Pairs of tags between which this model writes its thoughts into its messages, as in completions. Not sent.
   * @default {`reasoningTags` of the provider}
   */
  reasoningTags?: readonly ReasoningTags[] | undefined;
  /**
   * Randomness, 0 or more: 0 always takes the likeliest token.
   * @default {the model's own}
   */
  temperature?: number | undefined;
  /** Nucleus sampling: keep the likeliest tokens that make up this share, 0 to 1. */
  topP?: number | undefined;
  /** Keep only this many of the likeliest tokens. */
  topK?: number | undefined;
  /** Drop tokens less likely than this share of the likeliest, 0 to 1. */
  minP?: number | undefined;
  /** Penalty for repeating tokens; 1 is none. */
  repeatPenalty?: number | undefined;
  /**
   * Tokens to generate at most: a positive integer, or -1 for no limit.
   * @default {no limit}
   */
  maxTokens?: number | undefined;
}

/** Text or an image of what the user says. */
export type ChatInputPart = { type: "text"; content: string } | ImagePart;

/** Tools for the model: the id of a plugin (such as `"mcp/playwright"`), the same with a choice, or an MCP server. */
export type ChatIntegration =
  | string
  /** A plugin of the server, or an MCP server of its `mcp.json`. */
  | {
    type: "plugin";
    /** Such as `"mcp/playwright"`. */
    id: string;
    /**
     * Names of the tools the model may use.
     * @default {all}
     */
    allowedTools?: readonly string[] | undefined;
  }
  /** An MCP server for this request alone. The server must allow that in its settings. */
  | {
    type: "ephemeral_mcp";
    /** What to call it. */
    serverLabel: string;
    /** Its address, http or https. */
    serverUrl: string;
    /**
     * Names of the tools the model may use.
     * @default {all}
     */
    allowedTools?: readonly string[] | undefined;
    /** Headers for it. Values never appear in errors. */
    headers?: Readonly<Record<string, string>> | undefined;
  };

/** A whole answer of LM Studio's own chat. */
export interface ChatResponse {
  /** To go on from; absent with `store: false`. */
  responseId?: string;
  /** The copy of the model that answered. */
  modelInstanceId: string;
  /** The text of all messages, joined by a blank line; `""` when there is none. */
  content: string;
  /** What the model thought, joined likewise, where it shows it. */
  reasoning?: string;
  /** Everything it wrote and did, in order. Kinds of later versions come through: see `ChatUnknownKind`. */
  output: ChatOutputItem[];
  /** Tokens read (earlier turns and tool definitions included) and written, where the server tells. */
  usage?: Usage;
  /** How fast it came: by the server, else measured. */
  stats: GenerationStats;
  /** The decoded body; of a stream, the `result` of its `chat.end`. */
  raw: unknown;
}

/**
 * One thing the model wrote or did, discriminated by `type`. Tools run on the server: `tool_call` has what came
 * of it; `invalid_tool_call` never ran.
 */
export type ChatOutputItem =
  | { type: "message"; content: string }
  | { type: "reasoning"; content: string }
  | {
    type: "tool_call";
    tool: string;
    arguments: Record<string, unknown>;
    /** What the tool gave, as text. */
    output: string;
    providerInfo?: ChatToolProvider;
  }
  | { type: "invalid_tool_call"; reason: string; metadata: ChatToolFailure };

/** Whose tool it is. */
export interface ChatToolProvider {
  /** Kind of provider. */
  type: "plugin" | "ephemeral_mcp" | (string & Record<never, never>);
  /** Of a plugin. */
  pluginId?: string;
  /** Of an MCP server of the request. */
  serverLabel?: string;
}

/** Which call failed, and how. */
export interface ChatToolFailure {
  /** No such tool, or arguments that do not fit it. */
  type: "invalid_name" | "invalid_arguments" | (string & Record<never, never>);
  /** The tool the model wanted. */
  toolName: string;
  /** Of `invalid_arguments`: what the model gave. */
  arguments?: Record<string, unknown>;
  /** Of `invalid_arguments`: whose tool it is. */
  providerInfo?: ChatToolProvider;
}

/**
 * One event of a streamed chat, discriminated by `type`, which is as the server sends it; the other fields are
 * in camelCase. `progress` is 0 to 1, `content` the piece that has come, `modelInstanceId` the copy of the model,
 * `providerInfo` whose tool it is, `result` what `send()` gives. Kinds of later versions come through at run
 * time: see `ChatUnknownKind`.
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
    /** What the tool gave, as text. */
    output: string;
    providerInfo?: ChatToolProvider;
  }
  | { type: "tool_call.failure"; reason: string; metadata: ChatToolFailure }
  | { type: "message.start" }
  | { type: "message.delta"; content: string }
  | { type: "message.end" }
  /** The stream throws it, too, as an error of its code. */
  | {
    type: "error";
    error: {
      /** Such as `mcp_connection_error`, `model_load_failed` or `internal_error`. */
      type: string;
      /** For people; without secrets and without echoes of the prompt. */
      message: string;
      /** A finer code, such as `missing_required_parameter`. */
      code?: string;
      /** The parameter it is about. */
      param?: string;
    };
  }
  | { type: "chat.end"; result: ChatResponse };

/**
 * An event, or a part of an answer, of a kind that this version does not know. The unions `ChatEvent` and
 * `ChatOutputItem` leave it out, or no `switch` could tell the known ones apart; in its `default` branch assign
 * to this type.
 */
export interface ChatUnknownKind {
  /** As the server sends it. */
  type: string;
  /** In camelCase. */
  [field: string]: unknown;
}
