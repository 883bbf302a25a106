/**
 * The interface every Patinox provider implements, with its requests and answers.
 *
 * Input fields are `?: T | undefined`, and `undefined` means absent, so that callers can pass on their own optional
 * values. Output fields are `?: T`: a field that is not known is absent.
 *
 * @module
 */

import type { ContextOverflowPolicy, TrimInfo } from "./context_policy.ts";
import type { EventStream } from "./event_stream.ts";
import type { AssistantMessage, Message, Tool, ToolCall, ToolCallDelta } from "./messages.ts";
import type { JsonSchema, StandardSchema } from "./schema.ts";

/** Source of language models: what an agent needs from a server of any kind. */
export interface ModelProvider {
  /** Short name of the provider, such as `"lmstudio"`. */
  readonly name: string;
  /** Lists the models the server has. Always asks the server. */
  listModels(options?: CallOptions): Promise<ModelInfo[]>;
  /** Generates a whole answer. */
  complete(
    request: string | CompletionRequest,
    options?: CallOptions,
  ): Promise<CompletionResponse>;
  /** Streams the answer as it is generated. Returns immediately; the request is sent when you start reading. */
  streamCompletion(request: string | CompletionRequest, options?: CallOptions): CompletionStream;
  /** Embeds texts: one vector per input, in order. */
  embed(request: EmbeddingRequest, options?: CallOptions): Promise<EmbeddingResponse>;
  /** Tests whether the server has a model; `false` if the server cannot say. */
  supportsModel(model: string, options?: CallOptions): Promise<boolean>;
  /** Returns what a model can do; `undefined` if the server cannot say. */
  modelCapabilities(model: string, options?: CallOptions): Promise<ModelCapabilities | undefined>;
}

/** Options of one call; they take precedence over the provider's. */
export interface CallOptions {
  /** Signal that aborts the call, which then rejects with `signal.reason`, unwrapped. */
  signal?: AbortSignal | undefined;
  /** Headers of this call; they override the provider's. Values never appear in errors. */
  headers?: Readonly<Record<string, string>> | undefined;
  /**
   * How often to retry a failed request, 0 to 10. Unless this is 0, a request is retried as often as necessary while
   * the server is still loading its model, until the call times out or, without a timeout, for a minute.
   * @default {2}
   */
  maxRetries?: number | undefined;
  /**
   * Timeout of the whole call with all its attempts, in milliseconds; `Infinity` disables it. Not used by streams.
   * @default {30000 for listings, status and probes; none for generation, embeddings and load}
   */
  timeoutMs?: number | undefined;
  /**
   * Timeout for connecting to the server, in milliseconds.
   * @default {5000}
   */
  connectTimeoutMs?: number | undefined;
  /**
   * Streams: timeout until the first token, in milliseconds.
   * @default {600000}
   */
  firstTokenTimeoutMs?: number | undefined;
  /**
   * Streams: longest silence allowed after the first token, in milliseconds.
   * @default {120000; `firstTokenTimeoutMs` for requests with tools or integrations, since a call arrives only when complete}
   */
  idleTimeoutMs?: number | undefined;
  /** Called with the status of the call while it waits for the server. An exception it throws ends the call. */
  onStatus?: ((status: CallStatus) => void) | undefined;
  /**
   * Called when this call has to wait in this program's queue (the provider's `maxConcurrency`), and whenever its
   * position changes: 1 is next. The position may grow, since requests for the loaded model go before requests that
   * load another. Not called if the call need not wait. An exception it throws ends the call.
   */
  onQueue?: ((place: { position: number }) => void) | undefined;
}

/** Status of a call that is waiting for the server. */
export interface CallStatus {
  /** `waiting` once sent, `loading` a model, `processing` the prompt, `generating` from the first token on. */
  phase: "waiting" | "loading" | "processing" | "generating";
  /** Progress of the phase from 0 to 1, if the server reports it. */
  progress?: number;
}

/** Completion request. Only `messages` is required. */
export interface CompletionRequest {
  /**
   * Model id.
   * @default {the configured model, else the loaded one}
   */
  model?: string | undefined;
  /**
   * Conversation to continue. A string is a user message; adjacent strings form one message, joined by a blank line.
   */
  messages: string | readonly (string | Message)[];
  /**
   * Randomness, 0 or more: 0 always picks the likeliest token.
   * @default {the model's own}
   */
  temperature?: number | undefined;
  /** Nucleus sampling: keep the likeliest tokens that make up this share of the probability, 0 to 1. */
  topP?: number | undefined;
  /** Keep only this many of the likeliest tokens. */
  topK?: number | undefined;
  /** Drop tokens less likely than this share of the likeliest one, 0 to 1. Whether `/v1` honors it is undocumented. */
  minP?: number | undefined;
  /**
   * Maximum number of tokens to generate: a positive integer, or -1 for no limit.
   * @default {no limit}
   */
  maxTokens?: number | undefined;
  /** Text or texts that end the answer. */
  stop?: string | readonly string[] | undefined;
  /** Sampling seed. LM Studio accepts it, but does not promise the same answer twice. */
  seed?: number | undefined;
  /** Penalty for tokens that have already appeared. */
  presencePenalty?: number | undefined;
  /** Penalty for tokens in proportion to how often they have appeared. */
  frequencyPenalty?: number | undefined;
  /** llama.cpp's repeat penalty; 1 means none. */
  repeatPenalty?: number | undefined;
  /** Bias by token id. */
  logitBias?: Readonly<Record<string, number>> | undefined;
  /** Tools the model may call. */
  tools?: readonly Tool[] | undefined;
  /**
   * Whether the model must call tools; `{ name }` requires that tool. If the answer lacks a call that `"required"` or a
   * name demands, the completion fails with an `ApiError`, code `tool_choice_ignored`, with the answer on `response`.
   * @default {"auto"}
   */
  toolChoice?: "auto" | "none" | "required" | { readonly name: string } | undefined;
  /**
   * What to do with tool calls that the model wrote into its text and the server left there. `"parse"` removes
   * well-formed calls to this request's tools from the text and returns them as `toolCalls`, each with
   * `source: "text"`; `"leave"` keeps them in the text.
   * @default {"parse"}
   */
  textToolCalls?: "parse" | "leave" | undefined;
  /** Schema for structured output: the answer is JSON that matches it. */
  schema?: StandardSchema | JsonSchema | undefined;
  /**
   * Name of the schema in the HTTP request.
   * @default {"response"}
   */
  schemaName?: string | undefined;
  /** Reasoning effort of a reasoning model. */
  reasoning?: "off" | "on" | "low" | "medium" | "high" | undefined;
  /**
   * Additional pairs of tags that enclose reasoning in this model's text, such as `[["<thought>", "</thought>"]]`.
   * Known ones (`<think>`, `[THINK]`, `<seed:think>`, the channels of Gemma 4 and gpt-oss, and more) need not be
   * listed.
   * @default {`reasoningTags` of the provider}
   */
  reasoningTags?: readonly ReasoningTags[] | undefined;
  /**
   * Whether to send the `reasoning` of assistant messages back as `reasoning_content`, in tool loops too. Some models
   * stick to a plan only if they see their reasoning.
   * @default {false}
   */
  sendReasoning?: boolean | undefined;
  /** How long a model loaded by this request stays loaded when idle, in seconds. */
  ttlSeconds?: number | undefined;
  /** Smaller model for speculative decoding. */
  draftModel?: string | undefined;
  /**
   * What to do with a conversation longer than the model's context. Policies other than `"error"` trim it before
   * sending if the loaded context length and the model's tokenization are known from this provider's earlier answers.
   * Otherwise they trim it after the server refuses it with token counts, and send it once more.
   * @default {"error"}
   */
  contextOverflowPolicy?: ContextOverflowPolicy | undefined;
  /** Called before a trimmed conversation is sent. An exception it throws ends the call. */
  onTrim?: ((info: TrimInfo) => void) | undefined;
  /** Additional fields for the server, sent unchanged; may not set `model`, `messages` or `stream`. */
  extraBody?: Readonly<Record<string, unknown>> | undefined;
}

/** Whole answer of a completion. */
export interface CompletionResponse {
  /** The server's id for this answer. */
  id: string;
  /** The model that answered, as the server names it. */
  model: string;
  /** The answer as a message, to push onto the conversation. */
  message: AssistantMessage;
  /** The text, without reasoning; `""` if there is none. */
  content: string;
  /**
   * The model's reasoning, if there is any, from either of the server's fields or from tags such as `<think>` in the
   * text; several blocks are joined by a blank line. If only the closing tag arrived, because the opening one was in
   * the prompt, everything before it is reasoning. Stream chunks cannot tell in time, but the stream's `response()`
   * can.
   */
  reasoning?: string;
  /** The model's tool calls; empty if there are none. */
  toolCalls: ToolCall[];
  /** Why the model stopped. */
  finishReason: FinishReason;
  /** Tokens read and written, if the server reports them. */
  usage?: Usage;
  /** Speed of the generation. */
  stats?: GenerationStats;
  /** What `contextOverflowPolicy` left out of the conversation; absent if all of it was sent. */
  trimmed?: TrimInfo;
  /** The decoded body; for a stream, its last frame. */
  raw: unknown;
}

/** Why the model stopped. Servers may have reasons of their own. */
export type FinishReason = "stop" | "length" | "tool_calls" | (string & Record<never, never>);

/** Chunk of a streamed answer. */
export interface StreamingChunk {
  /** New text; `""` if this chunk carries something else. */
  content: string;
  /** True for the last chunk only. */
  isFinal: boolean;
  /** New reasoning. */
  reasoning?: string;
  /** New parts of tool calls. */
  toolCalls?: ToolCallDelta[];
  /** The model that answered; always on the final chunk. */
  model?: string;
  /** Why the model stopped; on the final chunk. */
  finishReason?: FinishReason;
  /** Tokens read and written; on the final chunk, if the server reports them. */
  usage?: Usage;
  /** Speed of the generation; on the final chunk. */
  stats?: GenerationStats;
}

/**
 * An answer while it is being generated. It has one consumer: iterate it, or use `textStream`, one of the web streams,
 * or `response()`, which returns the same as `complete()`.
 */
export interface CompletionStream<Answer = CompletionResponse>
  extends EventStream<StreamingChunk, Answer> {
  /** The text only, as it arrives. */
  readonly textStream: AsyncIterable<string>;
  /**
   * Returns the text as UTF-8 bytes, for `new Response(…)`.
   *
   * @example
   * ```ts
   * import { LMStudioProvider } from "jsr:@patinox/lmstudio";
   *
   * const stream = new LMStudioProvider().streamCompletion("Hello!");
   * console.log(await new Response(stream.toTextStream()).text());
   * ```
   */
  toTextStream(): ReadableStream<Uint8Array>;
  /**
   * Returns a web server's response that streams the text, once the first chunk has arrived. Its type is
   * `text/plain; charset=utf-8` unless `init` sets another. The response becomes the stream's consumer; cancelling its
   * body, as web servers do when the client disconnects, stops the generation.
   *
   * @param init status and headers, as for `new Response()`.
   * @throws the same as `started()`.
   * @throws {InvalidRequestError} before sending: the stream already has a consumer, or `init` is invalid.
   *
   * @example
   * ```ts
   * import { isProviderError, LMStudioProvider } from "jsr:@patinox/lmstudio";
   *
   * const lmstudio = new LMStudioProvider();
   *
   * async function handler(request: Request): Promise<Response> {
   *   const { signal } = request;
   *   try {
   *     return await lmstudio.streamCompletion(await request.text(), { signal }).toResponse();
   *   } catch (error) {
   *     if (!isProviderError(error)) throw error;
   *     return new Response("The model cannot answer.", { status: 502 });
   *   }
   * }
   *
   * const request = new Request("http://localhost/", { method: "POST", body: "Why is the sky blue?" });
   * console.log(await (await handler(request)).text());
   * ```
   */
  toResponse(init?: ResponseInit): Promise<Response>;
}

/** Embedding request. Only `input` is required. */
export interface EmbeddingRequest {
  /**
   * Model id.
   * @default {the configured `embeddingModel`, else the loaded embedding model, else the only one}
   */
  model?: string | undefined;
  /** One text or several; none may be empty. */
  input: string | readonly string[];
  /**
   * Numbers per vector: a whole number above 0, at most as many as the model has. If the server ignores this, as LM
   * Studio does, vectors are cut to their first numbers and normalized to length 1 here, and `truncated` is set on the
   * answer. Shortened vectors stay meaningful only for models trained for it (Matryoshka).
   * @default {all that the model has}
   */
  dimensions?: number | undefined;
  /**
   * Maximum number of texts per HTTP request. Fewer are sent if together they exceed 1 048 576 characters (UTF-16
   * units, as `length` counts); a longer single text is sent alone.
   * @default {64}
   */
  batchSize?: number | undefined;
  /**
   * Number of HTTP requests at a time. Engines have crashed under parallel embedding.
   * @default {1}
   */
  concurrency?: number | undefined;
  /**
   * Called after each batch with the number of texts embedded so far. The number only grows, even if `concurrency` lets
   * batches finish out of order. An exception it throws ends the call.
   */
  onProgress?: ((done: number, total: number) => void) | undefined;
}

/** Vectors, one per input, in the order of the inputs. */
export interface EmbeddingResponse {
  /** The model that answered, as the server names it. */
  model: string;
  /** One vector per input, all of the same length. */
  embeddings: number[][];
  /** Set if the server returned longer vectors and they were cut to `dimensions` here. */
  truncated?: "client";
  /** Inputs whose text may not be embedded in full; absent if there are none. */
  warnings?: EmbeddingWarning[];
  /** Tokens read, if the server counts them; LM Studio reports 0. */
  usage?: Usage;
}

/**
 * Warning that a text is probably longer than the embedding model's context: the server then embeds only its beginning
 * and does not say so. Tokens are estimated from characters, for prose to within about a fifth. The context length is
 * known only if this provider has listed the models before, as it does to choose one.
 */
export interface EmbeddingWarning {
  /** Kind of warning. */
  code: "input_truncated";
  /** Index of the input. */
  index: number;
  /** Estimated tokens of the input. */
  estimatedTokens: number;
  /** Context length of the model in tokens: as loaded, else the maximum. */
  contextLength: number;
}

/**
 * Pair of tags that enclose reasoning in a model's text: `["<think>", "</think>"]`, or as an object.
 */
export type ReasoningTags =
  | readonly [open: string, close: string]
  | { readonly open: string; readonly close: string };

/** Tokens read and written. */
export interface Usage {
  /** Tokens in the request. */
  promptTokens: number;
  /** Tokens in the answer, including reasoning. */
  completionTokens: number;
  /** Sum of `promptTokens` and `completionTokens`. */
  totalTokens: number;
  /** Reasoning tokens, part of `completionTokens`. */
  reasoningTokens?: number;
  /** Tokens the server still had cached from earlier requests, part of `promptTokens`. */
  cachedTokens?: number;
}

/** Speed of a generation. */
export interface GenerationStats {
  /**
   * Tokens of the answer per second, measured over the whole call if it was not streamed. Not measured for a stream
   * that arrived all at once (less than 10 ms from first to last token, or more than 10 000 tokens per second): that
   * would be the speed of whatever buffered it.
   */
  tokensPerSecond?: number;
  /** Time from sending to the first token, in milliseconds. */
  timeToFirstTokenMs?: number;
  /** Time from the first token to the last, in milliseconds; measured over the whole call if it was not streamed. */
  generationMs?: number;
  /** Time to load the model, in milliseconds, if this call loaded it. */
  modelLoadMs?: number;
  /** The engine's own stop reason, such as `eosFound`. */
  stopReason?: string;
  /** Results of speculative decoding. */
  draft?: {
    /** The draft model. */
    model?: string;
    /** Tokens it proposed. */
    totalTokens?: number;
    /** Tokens the main model accepted. */
    acceptedTokens?: number;
    /** Tokens the main model rejected. */
    rejectedTokens?: number;
    /** Tokens the main model did not check. */
    ignoredTokens?: number;
  };
  /** Source of the figures: the server, or our own clock. */
  source: "server" | "measured";
}

/** Capabilities of a model. */
export interface ModelCapabilities {
  /**
   * Context length in tokens: as loaded if known, else the maximum, else an assumed 4096. It is assumed if both
   * `loadedContextLength` and `maxContextLength` of the `ModelInfo` are absent.
   */
  maxTokens: number;
  /** Whether it accepts tools. In LM Studio every language model does; `trainedForTools` tells how reliably. */
  supportsTools: boolean;
  /**
   * Whether it was trained to call tools. If `false`, it learns of them only from LM Studio's default prompt, and may
   * write its calls into the text. Absent if the server does not say.
   */
  trainedForTools?: boolean;
  /** Whether it accepts images. */
  supportsVision: boolean;
  /** Whether it can stream answers. */
  supportsStreaming: boolean;
  /** Whether it generates embeddings instead of text. */
  supportsEmbeddings: boolean;
  /** Whether it reasons before it answers. */
  supportsReasoning: boolean;
  /** Absent: local models are free. */
  inputCostPer1k?: number;
  /** Absent: local models are free. */
  outputCostPer1k?: number;
  /** Speed on the framework's scale; `standard` if unknown. */
  speedTier: "instant" | "fast" | "standard" | "slow";
  /** Quality on the framework's scale; `standard` if unknown. */
  qualityTier: "lite" | "standard" | "premium" | "ultra";
}

/** A model on a server. */
export interface ModelInfo {
  /** Name to use in requests. */
  id: string;
  /** Display name if the server has one, else the id. */
  name: string;
  /** Name of the provider, such as `lmstudio` or `ollama`. */
  provider: string;
  /** Kind of model: `llm` (including vision models) or `embedding`. */
  type: "llm" | "embedding" | (string & Record<never, never>);
  /** What it can do. */
  capabilities: ModelCapabilities;
  /** Whether it is loaded; absent if the server does not say. */
  loaded?: boolean;
  /** Largest context length it can be loaded with, in tokens; absent if the server does not say. */
  maxContextLength?: number;
  /**
   * Context length it is loaded with, in tokens; absent if it is not loaded or the server does not say. With several
   * instances, this is the context of the one that answers requests for this name: the instance with that id, else the
   * one with the model's own id, else the smallest.
   */
  loadedContextLength?: number;
  /** Publisher of the model. */
  publisher?: string;
  /** Architecture, such as `qwen3`. */
  architecture?: string;
  /** Quantization, such as `Q4_K_M`. */
  quantization?: string;
  /** File format, such as `gguf` or `mlx`. */
  format?: string;
  /** Number of parameters, such as `8B`. */
  params?: string;
  /** Size on disk in bytes. */
  sizeBytes?: number;
  /** Reasoning settings; absent if it has none or the server does not say. */
  reasoning?: {
    /** Accepted settings, such as `["off", "on"]` or `["low", "medium", "high"]`. */
    options: string[];
    /** Setting for requests that do not name one; absent if the server does not say. */
    default?: string;
  };
  /** Ids of the downloaded variants of this model. */
  variants?: string[];
  /** Variant that is loaded under the model's id, as selected in LM Studio. */
  selectedVariant?: string;
  /** Loaded instances of the model. */
  instances?: LoadedInstance[];
  /** The entry as sent by the server. */
  raw: unknown;
}

/** Loaded instance of a model: a copy in memory. */
export interface LoadedInstance {
  /** Name to use in requests for this instance. */
  id: string;
  /** Context length it is loaded with, in tokens. */
  contextLength?: number;
  /** Number of prompt tokens it processes at a time. */
  evalBatchSize?: number;
  /** Number of requests it serves at a time. */
  parallel?: number;
  /** Whether flash attention is on. */
  flashAttention?: boolean;
  /** Number of experts used by a mixture-of-experts model. */
  numExperts?: number;
  /** Whether the key-value cache is on the GPU. */
  offloadKvCacheToGpu?: boolean;
}

/** Part of an answer received before it failed. */
export interface PartialAnswer {
  /** The text so far. */
  content: string;
  /** The reasoning so far. */
  reasoning?: string;
  /** The tool calls so far; the last may be incomplete. */
  toolCalls: ToolCall[];
}
