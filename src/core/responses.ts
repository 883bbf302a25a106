/**
 * Requests and answers of `LMStudioProvider.responses`. Their fields have this package's names, but the output items of
 * an answer and the events (`responses_events.ts`) are as sent by the server.
 *
 * @see https://lmstudio.ai/docs/developer/openai-compat/responses
 * @module
 */

import type { EventStream } from "./event_stream.ts";
import type { ContentPart, Tool, ToolCall } from "./messages.ts";
import type { ResponsesEvent, ResponsesOutputItem } from "./responses_events.ts";
import type { CallOptions, GenerationStats, ReasoningTags, Usage } from "./types.ts";

/** Responses, `POST /v1/responses`: answers that the server remembers. LM Studio 0.3.29 and later. */
export interface ResponsesApi {
  /**
   * Generates a whole answer. There is no timeout by default, since a model may load first. Retried only if the
   * connection was refused, unless `store` is false and there is no `previousResponseId`.
   *
   * @throws {InvalidRequestError} code `previous_response_not_found`, or the request cannot be answered as written.
   * @throws {ModelNotAvailableError} there is no model, it is unknown, or a different one answered.
   * @throws {ApiError} code `unsupported_by_server` before 0.3.29; or the answer has the status `failed`.
   * @throws {NetworkError} the server cannot be reached.
   * @see https://lmstudio.ai/docs/developer/openai-compat/responses
   *
   * @example
   * ```ts
   * import { LMStudioProvider } from "jsr:@patinox/lmstudio";
   *
   * const { responses } = new LMStudioProvider();
   * const first = await responses.create({ input: "Name a prime below 50." });
   * const next = await responses.create({ input: "Double it.", previousResponseId: first.id });
   * console.log(next.text, next.usage?.totalTokens);
   * ```
   */
  create(request: ResponsesRequest, options?: CallOptions): Promise<ResponsesAnswer>;
  /**
   * Streams the answer as it is generated. Returns immediately; the request is sent when you start reading, and leaving
   * the loop stops the generation. `response()` returns the same as `create()`.
   *
   * @throws when you start reading, as `create()`; after an `error` or `response.failed` event, the error it reports;
   * later {StreamError}, {TimeoutError} or {NetworkError}, with the part received in `partial`.
   * @see https://lmstudio.ai/docs/developer/openai-compat/responses
   *
   * @example
   * ```ts
   * import { LMStudioProvider } from "jsr:@patinox/lmstudio";
   *
   * const stream = new LMStudioProvider().responses.stream({ input: "Write a haiku." });
   * for await (const event of stream) {
   *   if (event.type === "response.output_text.delta") console.log(event.delta);
   * }
   * console.log((await stream.response()).usage?.totalTokens);
   * ```
   */
  stream(
    request: ResponsesRequest,
    options?: CallOptions,
  ): EventStream<ResponsesEvent, ResponsesAnswer>;
}

/** Response request. Only `input` is required. This route has no structured output: use `complete()`. */
export interface ResponsesRequest {
  /**
   * Model id.
   * @default {the configured model, else the loaded one}
   */
  model?: string | undefined;
  /**
   * Input to answer. A string is a user message; adjacent strings form one message, joined by a blank line. Items from
   * an earlier answer's `output` may be passed back unchanged.
   */
  input: string | readonly (string | ResponsesInputItem)[];
  /** Instructions to the model, placed before the input. Not carried over from the previous answer. */
  instructions?: string | undefined;
  /** `id` of a stored answer to continue from. */
  previousResponseId?: string | undefined;
  /**
   * Whether the server keeps the answer, for `previousResponseId`.
   * @default {the server does}
   */
  store?: boolean | undefined;
  /** Functions the model may call, and MCP servers whose tools LM Studio calls itself. */
  tools?: readonly (Tool | ResponsesMcpTool)[] | undefined;
  /**
   * Whether the model must call tools; `{ name }` requires that function.
   * @default {"auto"}
   */
  toolChoice?: "auto" | "none" | "required" | { readonly name: string } | undefined;
  /** Reasoning effort of a reasoning model. This route does not know `off` and `on`, which leave it to the server. */
  reasoning?: "off" | "on" | "low" | "medium" | "high" | undefined;
  /**
   * Additional pairs of tags that enclose reasoning in this model's text, as in completions. Not sent; events are not
   * changed by it.
   * @default {`reasoningTags` of the provider}
   */
  reasoningTags?: readonly ReasoningTags[] | undefined;
  /**
   * Maximum number of tokens to generate, including reasoning: a positive integer, or -1 for no limit.
   * @default {no limit}
   */
  maxOutputTokens?: number | undefined;
  /**
   * Randomness, 0 or more: 0 always picks the likeliest token.
   * @default {the model's own}
   */
  temperature?: number | undefined;
  /** Nucleus sampling: keep the likeliest tokens that make up this share of the probability, 0 to 1. */
  topP?: number | undefined;
  /** Additional fields for the server, sent unchanged; may not set `model`, `input` or `stream`. */
  extraBody?: Readonly<Record<string, unknown>> | undefined;
}

/** Item of the input. */
export type ResponsesInputItem =
  | ResponsesMessage
  | ResponsesFunctionCall
  | ResponsesFunctionCallOutput
  | ResponsesItemReference
  | ResponsesOutputItem;

/** Message of the conversation. */
export interface ResponsesMessage {
  /** May be omitted. */
  type?: "message" | undefined;
  /** Role of the speaker; LM Studio treats `developer` as `system`. */
  role: "system" | "developer" | "user" | "assistant";
  /** Text, or text and images; text only for an assistant. */
  content: string | readonly ContentPart[];
}

/** Function call by the model, passed back to it because the server does not keep the answer. */
export interface ResponsesFunctionCall {
  /** Discriminates `ResponsesInputItem`. */
  type: "function_call";
  /** `id` of the `ToolCall`. */
  callId: string;
  /** Name of the function. */
  name: string;
  /** Arguments as JSON text. */
  arguments: string;
}

/** Result of a function call. */
export interface ResponsesFunctionCallOutput {
  /** Discriminates `ResponsesInputItem`. */
  type: "function_call_output";
  /** `id` of the `ToolCall` it answers. */
  callId: string;
  /** The result, as text. */
  output: string;
}

/** Reference to an item the server has stored. */
export interface ResponsesItemReference {
  /** Discriminates `ResponsesInputItem`. */
  type: "item_reference";
  /** Id of the item. */
  id: string;
}

/** Remote MCP server whose tools LM Studio calls itself. This must be allowed in LM Studio's settings. */
export interface ResponsesMcpTool {
  /** Distinguishes an MCP server from a function. */
  type: "mcp";
  /** Name of the MCP server, for the model and in the answer. */
  serverLabel: string;
  /** URL of the MCP server, `http:` or `https:`. */
  serverUrl: string;
  /**
   * Names of the tools the model may use.
   * @default {all}
   */
  allowedTools?: readonly string[] | undefined;
  /** Headers for the MCP server. Values never appear in errors. */
  headers?: Readonly<Record<string, string>> | undefined;
}

/** Whole answer of the responses route. */
export interface ResponsesAnswer {
  /** The server's id for this answer; pass it as `previousResponseId` to continue. */
  id: string;
  /** The model that answered, as the server names it. */
  model: string;
  /** `incomplete` if a limit cut the answer short: `raw.incomplete_details` says which. */
  status: "completed" | "incomplete" | (string & Record<never, never>);
  /** The text, without reasoning; several messages are joined by a blank line; `""` if there is none. */
  text: string;
  /** The model's reasoning, if there is any. */
  reasoning?: string;
  /** The model's function calls, each with the server's `call_id` as its `id`; empty if there are none. */
  toolCalls: ToolCall[];
  /** The output items in order, as sent by the server. */
  output: ResponsesOutputItem[];
  /** Tokens read and written, if the server reports them. */
  usage?: Usage;
  /** Speed of the generation. */
  stats: GenerationStats;
  /** The decoded body; for a stream, the response in its last event. */
  raw: unknown;
}
