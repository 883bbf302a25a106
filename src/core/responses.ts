/**
 * What goes in and out of `LMStudioProvider.responses`. Requests and answers have this package's names; the
 * items of an answer are as they are on the wire, and so are the events (`responses_events.ts`).
 *
 * @see https://lmstudio.ai/docs/developer/openai-compat/responses
 * @module
 */

import type { EventStream } from "./event_stream.ts";
import type { ContentPart, Tool, ToolCall } from "./messages.ts";
import type { ResponsesEvent, ResponsesOutputItem } from "./responses_events.ts";
import type { CallOptions, GenerationStats, ReasoningTags, Usage } from "./types.ts";

/** `POST /v1/responses`: answers that the server remembers. LM Studio 0.3.29 and later. */
export interface ResponsesApi {
  /**
   * One whole answer. No time limit by default: a model may load first. Sent again only when the connection was
   * refused, unless `store` is false and there is no `previousResponseId`.
   *
   * @throws {InvalidRequestError} code `previous_response_not_found`, or the request cannot be answered as it is.
   * @throws {ModelNotAvailableError} no model, an unknown one, or another one answered.
   * @throws {ApiError} code `unsupported_by_server` before 0.3.29; the answer has the status `failed`.
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
   * The answer as it is generated. Returns at once; the request is sent at the first pull, and leaving the loop
   * stops the generation. `response()` has the shape of `create()`.
   *
   * @throws at the first pull, as `create()`; after an `error` or `response.failed` event, what it says; later
   * {StreamError}, {TimeoutError} or {NetworkError} with `partial`, what had arrived.
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

/** What to answer, and how. Only `input` is needed. The route has no structured output: use `complete()`. */
export interface ResponsesRequest {
  /**
   * Model id.
   * @default {the configured model, else the one that is loaded}
   */
  model?: string | undefined;
  /**
   * A text is a user message; neighbouring texts are one, joined by a blank line. Items of an earlier answer's
   * `output` may be given back as they came.
   */
  input: string | readonly (string | ResponsesInputItem)[];
  /** What the model is told before the input. Not carried over from the previous answer. */
  instructions?: string | undefined;
  /** `id` of a stored answer to go on from. */
  previousResponseId?: string | undefined;
  /**
   * Whether the server keeps the answer, for `previousResponseId`.
   * @default {the server does}
   */
  store?: boolean | undefined;
  /** Functions the model may call, and MCP servers whose tools LM Studio calls by itself. */
  tools?: readonly (Tool | ResponsesMcpTool)[] | undefined;
  /**
   * `{ name }` asks for that one function.
   * @default {"auto"}
   */
  toolChoice?: "auto" | "none" | "required" | { readonly name: string } | undefined;
  /** How much a reasoning model may think. The route has no words for `off` and `on`: they leave it to the server. */
  reasoning?: "off" | "on" | "low" | "medium" | "high" | undefined;
  /**
   * Pairs of tags between which this model writes its thoughts into its text, as in completions. Not sent; events are
   * as they came.
   * @default {`reasoningTags` of the provider}
   */
  reasoningTags?: readonly ReasoningTags[] | undefined;
  /**
   * Tokens to generate at most, reasoning included: a positive integer, or -1 for no limit.
   * @default {no limit}
   */
  maxOutputTokens?: number | undefined;
  /**
   * Randomness, 0 or more: 0 always takes the likeliest token.
   * @default {the model's own}
   */
  temperature?: number | undefined;
  /** Nucleus sampling: keep the likeliest tokens that make up this share, 0 to 1. */
  topP?: number | undefined;
  /** Sent as it is, beside the rest; may not set `model`, `input` or `stream`. */
  extraBody?: Readonly<Record<string, unknown>> | undefined;
}

/** A piece of the conversation. */
export type ResponsesInputItem =
  | ResponsesMessage
  | ResponsesFunctionCall
  | ResponsesFunctionCallOutput
  | ResponsesItemReference
  | ResponsesOutputItem;

/** A message of the conversation. */
export interface ResponsesMessage {
  /** May be left out. */
  type?: "message" | undefined;
  /** Who speaks; `developer` is LM Studio's `system`. */
  role: "system" | "developer" | "user" | "assistant";
  /** Text, or text and images; an assistant's is text. */
  content: string | readonly ContentPart[];
}

/** A call the model asked for, told to it again: where the server keeps no answers. */
export interface ResponsesFunctionCall {
  /** Discriminates `ResponsesInputItem`. */
  type: "function_call";
  /** `id` of the `ToolCall`. */
  callId: string;
  /** Which function. */
  name: string;
  /** JSON text. */
  arguments: string;
}

/** What a function gave. */
export interface ResponsesFunctionCallOutput {
  /** Discriminates `ResponsesInputItem`. */
  type: "function_call_output";
  /** `id` of the `ToolCall` it answers. */
  callId: string;
  /** The result, as text. */
  output: string;
}

/** An item that the server has. */
export interface ResponsesItemReference {
  /** Discriminates `ResponsesInputItem`. */
  type: "item_reference";
  /** Its id. */
  id: string;
}

/** A remote MCP server, whose tools LM Studio calls by itself. It must be allowed in LM Studio's settings. */
export interface ResponsesMcpTool {
  /** Tells it from a function. */
  type: "mcp";
  /** Name of the server, for the model and in the answer. */
  serverLabel: string;
  /** Its address, `http:` or `https:`. */
  serverUrl: string;
  /**
   * The tools that may be used.
   * @default {all}
   */
  allowedTools?: readonly string[] | undefined;
  /** Sent to the MCP server. Values never appear in errors. */
  headers?: Readonly<Record<string, string>> | undefined;
}

/** A whole answer. */
export interface ResponsesAnswer {
  /** The server's id of this answer, for `previousResponseId` of the next. */
  id: string;
  /** The model that answered, as the server names it. */
  model: string;
  /** `incomplete` where a limit cut it: `raw.incomplete_details` has which. */
  status: "completed" | "incomplete" | (string & Record<never, never>);
  /** The text, without reasoning; several messages are joined by a blank line; `""` when there is none. */
  text: string;
  /** What the model thought, where it shows it. */
  reasoning?: string;
  /** Functions to call; `id` is the wire's `call_id`. Empty when the model asked for none. */
  toolCalls: ToolCall[];
  /** The items of the answer in their order, as on the wire. */
  output: ResponsesOutputItem[];
  /** Tokens read and written, where the server tells. */
  usage?: Usage;
  /** How fast it came. */
  stats: GenerationStats;
  /** The decoded body; of a stream, the response in its last event. */
  raw: unknown;
}
