/**
 * The interface every Patinox provider implements, and the values that go in and out of it.
 *
 * Input fields are `?: T | undefined`, and `undefined` means absent, so that callers can pass their own
 * optional values on. Output fields are `?: T`: a field that is not known is not there.
 *
 * @module
 */

import type { ContextOverflowPolicy, TrimInfo } from "./context_policy.ts";
import type { EventStream } from "./event_stream.ts";
import type { AssistantMessage, Message, Tool, ToolCall, ToolCallDelta } from "./messages.ts";
import type { JsonSchema, StandardSchema } from "./schema.ts";

/** One source of language models: what an agent needs from a server, whatever the server is. */
export interface ModelProvider {
  /** Short name of the provider, such as `"lmstudio"`. */
  readonly name: string;
  /** The models the server has. Always asks the server. */
  listModels(options?: CallOptions): Promise<ModelInfo[]>;
  /** One whole answer. */
  complete(
    request: string | CompletionRequest,
    options?: CallOptions,
  ): Promise<CompletionResponse>;
  /** The answer as it is generated. Returns at once; the request is sent at the first pull. */
  streamCompletion(request: string | CompletionRequest, options?: CallOptions): CompletionStream;
  /** One vector per input, in order. */
  embed(request: EmbeddingRequest, options?: CallOptions): Promise<EmbeddingResponse>;
  /** Whether the server has this model; `false` when the server cannot say. */
  supportsModel(model: string, options?: CallOptions): Promise<boolean>;
  /** What this model can do; `undefined` when the server cannot say. */
  modelCapabilities(model: string, options?: CallOptions): Promise<ModelCapabilities | undefined>;
}

/** Options of one call: the top of the configuration cascade. */
export interface CallOptions {
  /** Aborting it ends the call, which rejects with `signal.reason`, unwrapped. */
  signal?: AbortSignal | undefined;
  /** Headers of this call; they win over the provider's. Values never appear in errors. */
  headers?: Readonly<Record<string, string>> | undefined;
  /**
   * How often a failed request may be sent again, 0 to 10. Above 0, a server that says it loads its model is asked
   * again whatever the number, within the limit of the call, else for a minute.
   * @default {2}
   */
  maxRetries?: number | undefined;
  /**
   * Milliseconds for the whole call, all attempts included; `Infinity` is no limit. Streams do not use it.
   * @default {30000 for listings, status and probes; none for generation, embeddings and load}
   */
  timeoutMs?: number | undefined;
  /**
   * Milliseconds until the server must have accepted a connection.
   * @default {5000}
   */
  connectTimeoutMs?: number | undefined;
  /**
   * Streams: milliseconds until the first token.
   * @default {600000}
   */
  firstTokenTimeoutMs?: number | undefined;
  /**
   * Streams: milliseconds of silence allowed after the first token.
   * @default {120000; with tools or integrations in the request `firstTokenTimeoutMs`, since a call is sent when it is whole}
   */
  idleTimeoutMs?: number | undefined;
  /** Told what the server is doing during silent minutes. What it throws ends the call. */
  onStatus?: ((status: CallStatus) => void) | undefined;
  /**
   * Called when this call has to wait in the queue of this program (`maxConcurrency` of the provider), and whenever its
   * position changes: 1 is next. It may grow: requests for the model in memory go before those that load another. Not
   * called where nothing has to be waited for. What it throws ends the call.
   */
  onQueue?: ((place: { position: number }) => void) | undefined;
}

/** What a call is waiting for. */
export interface CallStatus {
  /** `waiting` on sending, `loading` a model, `processing` the prompt, `generating` from the first token on. */
  phase: "waiting" | "loading" | "processing" | "generating";
  /** 0 to 1, where the server tells. */
  progress?: number;
}

/** What to complete, and how. Only `messages` is needed. */
export interface CompletionRequest {
  /**
   * Model id.
   * @default {the configured model, else the one that is loaded}
   */
  model?: string | undefined;
  /** A string is a user message; neighbouring strings are one message, joined by a blank line. */
  messages: string | readonly (string | Message)[];
  /**
   * Randomness, 0 or more: 0 always takes the likeliest token.
   * @default {the model's own}
   */
  temperature?: number | undefined;
  /** Nucleus sampling: keep the likeliest tokens that make up this share, 0 to 1. */
  topP?: number | undefined;
  /** Keep only this many of the likeliest tokens. */
  topK?: number | undefined;
  /** Drop tokens less likely than this share of the likeliest, 0 to 1. Whether `/v1` honours it is not documented. */
  minP?: number | undefined;
  /**
   * Tokens to generate at most: a positive integer, or -1 for no limit.
   * @default {no limit}
   */
  maxTokens?: number | undefined;
  /** Text (or texts) that end the answer. */
  stop?: string | readonly string[] | undefined;
  /** Seed of the sampling. LM Studio accepts it, but does not promise the same answer twice. */
  seed?: number | undefined;
  /** Penalty for tokens that are there already. */
  presencePenalty?: number | undefined;
  /** Penalty by how often a token is there already. */
  frequencyPenalty?: number | undefined;
  /** llama.cpp's repeat penalty; 1 is none. */
  repeatPenalty?: number | undefined;
  /** Token id to bias. */
  logitBias?: Readonly<Record<string, number>> | undefined;
  /** Tools the model may call. */
  tools?: readonly Tool[] | undefined;
  /**
   * `{ name }` asks for that one tool. An answer that does not call what `"required"` or a name asks for is an
   * `ApiError` with code `tool_choice_ignored`, and on its `response`.
   * @default {"auto"}
   */
  toolChoice?: "auto" | "none" | "required" | { readonly name: string } | undefined;
  /**
   * What becomes of calls that the model wrote into its text, where the server left them: `"parse"` takes well-formed
   * calls to the tools of this request out of the text and gives them as `toolCalls`, each with `source: "text"`;
   * `"leave"` leaves them.
   * @default {"parse"}
   */
  textToolCalls?: "parse" | "leave" | undefined;
  /** Ask for JSON of this shape. */
  schema?: StandardSchema | JsonSchema | undefined;
  /**
   * Name of the schema on the wire.
   * @default {"response"}
   */
  schemaName?: string | undefined;
  /** How much a reasoning model may think. */
  reasoning?: "off" | "on" | "low" | "medium" | "high" | undefined;
  /**
   * Pairs of tags between which this model writes its thoughts into its text, such as `[["<thought>", "</thought>"]]`,
   * beside those that are known (`<think>`, `[THINK]`, `<seed:think>`, the channels of Gemma 4 and gpt-oss, and more).
   * @default {`reasoningTags` of the provider}
   */
  reasoningTags?: readonly ReasoningTags[] | undefined;
  /**
   * Whether the `reasoning` of assistant messages is sent back, as `reasoning_content`: some models keep to a plan
   * only if they see their thoughts. In tool loops as well.
   * @default {false}
   */
  sendReasoning?: boolean | undefined;
  /** Seconds a model that is loaded by this request stays loaded when idle. */
  ttlSeconds?: number | undefined;
  /** Smaller model for speculative decoding. */
  draftModel?: string | undefined;
  /**
   * What becomes of a conversation that is longer than the context of the model. Other policies than `"error"` cut it
   * before it is sent, where the context as loaded and the model's tokens are known from this provider's earlier answers,
   * and otherwise once the server has refused with numbers: then it is sent once more.
   * @default {"error"}
   */
  contextOverflowPolicy?: ContextOverflowPolicy | undefined;
  /** Called before a request is sent with less than the whole conversation. What it throws ends the call. */
  onTrim?: ((info: TrimInfo) => void) | undefined;
  /** Sent as it is, beside the rest; may not set `model`, `messages` or `stream`. */
  extraBody?: Readonly<Record<string, unknown>> | undefined;
}

/** A whole answer. */
export interface CompletionResponse {
  /** The server's id of this answer. */
  id: string;
  /** The model that answered, as the server names it. */
  model: string;
  /** The answer as a message, to push into the history. */
  message: AssistantMessage;
  /** The text, without reasoning; `""` when there is none. */
  content: string;
  /**
   * What the model thought, where it shows it: in either of the server's fields, or between tags such as `<think>` in the
   * text; several thoughts are parted by a blank line. Where only the closing tag came, since the opening one was in the
   * prompt, all before it is the thought; the chunks of a stream cannot tell that in time, its `response()` does.
   */
  reasoning?: string;
  /** Empty when the model asked for none. */
  toolCalls: ToolCall[];
  /** Why the model stopped. */
  finishReason: FinishReason;
  /** Tokens read and written, where the server tells. */
  usage?: Usage;
  /** How fast it came. */
  stats?: GenerationStats;
  /** What `contextOverflowPolicy` left out of the conversation; absent where all of it was sent. */
  trimmed?: TrimInfo;
  /** The decoded body; of a stream, its last frame. */
  raw: unknown;
}

/** Why the model stopped. Servers may have reasons of their own. */
export type FinishReason = "stop" | "length" | "tool_calls" | (string & Record<never, never>);

/** A piece of a streamed answer. */
export interface StreamingChunk {
  /** More of the text; `""` when this chunk carries something else. */
  content: string;
  /** True for the last chunk, and only for it. */
  isFinal: boolean;
  /** More of the reasoning. */
  reasoning?: string;
  /** Pieces of tool calls. */
  toolCalls?: ToolCallDelta[];
  /** Always on the final chunk. */
  model?: string;
  /** On the final chunk. */
  finishReason?: FinishReason;
  /** On the final chunk, where the server tells. */
  usage?: Usage;
  /** On the final chunk. */
  stats?: GenerationStats;
}

/**
 * An answer while it is generated. It has one consumer: iterate it, or take `textStream`, one of the web
 * streams, or `response()`, which has the shape of `complete()`.
 */
export interface CompletionStream<Answer = CompletionResponse>
  extends EventStream<StreamingChunk, Answer> {
  /** The text alone, piece by piece. */
  readonly textStream: AsyncIterable<string>;
  /**
   * The text as UTF-8 bytes, for `new Response(…)`.
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
   * The answer of a web server: the text as it is generated, once the first piece is there, as
   * `text/plain; charset=utf-8` where `init` has no other type. It is the consumer from the call on; cancelling its
   * body, as web servers do when the client leaves, stops the generation.
   *
   * @param init status and headers, as `new Response()` takes them.
   * @throws what `started()` throws.
   * @throws {InvalidRequestError} before anything is sent: the stream has a consumer, or no response can be made of `init`.
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

/** What to embed. */
export interface EmbeddingRequest {
  /**
   * Model id.
   * @default {`embeddingModel` of the configuration, else the loaded embedding model, else the only one}
   */
  model?: string | undefined;
  /** One text or several; none may be empty. */
  input: string | readonly string[];
  /**
   * Numbers per vector: a whole number above 0, at most what the model has. The server is asked for them; where it
   * ignores that, as LM Studio does, vectors are cut to their first numbers and brought to length 1 here, and the answer
   * says `truncated`. Only vectors of models that are trained for it (Matryoshka) keep their meaning so.
   * @default {all that the model has}
   */
  dimensions?: number | undefined;
  /**
   * Texts per request at most. Fewer go into one where they are together longer than 1 048 576 characters (UTF-16
   * units, as `length` counts); a single text that is longer is sent alone.
   * @default {64}
   */
  batchSize?: number | undefined;
  /**
   * Requests at a time; engines have crashed under parallel embedding.
   * @default {1}
   */
  concurrency?: number | undefined;
  /**
   * Called after each batch, with the number of texts that have their vector; it only grows, whichever batch is
   * first under `concurrency`. What it throws ends the call.
   */
  onProgress?: ((done: number, total: number) => void) | undefined;
}

/** Vectors, one per input, in the order of the inputs. */
export interface EmbeddingResponse {
  /** The model that answered, as the server names it. */
  model: string;
  /** One vector per input; all have the same length. */
  embeddings: number[][];
  /** The vectors were cut to `dimensions` here, since the server gave more; absent where it gave what was asked for. */
  truncated?: "client";
  /** Inputs whose vector may not be of all of their text; absent where there are none. */
  warnings?: EmbeddingWarning[];
  /** Tokens read, where the server counts them; LM Studio says 0. */
  usage?: Usage;
}

/**
 * A text that is likely longer than the context of the embedding model: the server embeds its beginning, and says
 * nothing. An estimate: tokens are guessed from characters, a fifth more or less for prose, and the context is known
 * only where this provider has listed the models before, as it does to choose one.
 */
export interface EmbeddingWarning {
  /** Such as `input_truncated`. */
  code: "input_truncated";
  /** Which input. */
  index: number;
  /** Tokens it likely has. */
  estimatedTokens: number;
  /** Tokens the model takes: as loaded, else at most. */
  contextLength: number;
}

/**
 * A pair of tags between which a model writes its thoughts into its text: `["<think>", "</think>"]`, or with names.
 */
export type ReasoningTags =
  | readonly [open: string, close: string]
  | { readonly open: string; readonly close: string };

/** Tokens read and written. */
export interface Usage {
  /** Tokens of the request. */
  promptTokens: number;
  /** Tokens of the answer, reasoning included. */
  completionTokens: number;
  /** Both together. */
  totalTokens: number;
  /** Tokens of reasoning: part of `completionTokens`. */
  reasoningTokens?: number;
  /** Tokens that the server still had from earlier requests: part of `promptTokens`. */
  cachedTokens?: number;
}

/** How fast the answer came. */
export interface GenerationStats {
  /**
   * Tokens of the answer per second; measured over the whole call where it was not streamed. Not measured for
   * a stream that came all at once (from the first token to the last in less than 10 ms, or more than 10 000
   * tokens per second): that would be the speed of whatever held it back.
   */
  tokensPerSecond?: number;
  /** From sending to the first token, in milliseconds. */
  timeToFirstTokenMs?: number;
  /** From the first token to the last, in milliseconds; measured over the whole call where it was not streamed. */
  generationMs?: number;
  /** Time to load the model, in milliseconds, where this call loaded it. */
  modelLoadMs?: number;
  /** The engine's own word for why it stopped, such as `eosFound`. */
  stopReason?: string;
  /** How well speculative decoding went. */
  draft?: {
    /** The draft model. */
    model?: string;
    /** Tokens it proposed. */
    totalTokens?: number;
    /** Tokens the main model took. */
    acceptedTokens?: number;
    /** Tokens it did not take. */
    rejectedTokens?: number;
    /** Tokens it did not look at. */
    ignoredTokens?: number;
  };
  /** Who says so: the server, or our own clock. */
  source: "server" | "measured";
}

/** What a model can do. */
export interface ModelCapabilities {
  /**
   * Context length in tokens: the loaded one where known, else the maximum, else 4096, which nobody told: then
   * `loadedContextLength` and `maxContextLength` of the `ModelInfo` are both absent.
   */
  maxTokens: number;
  /** Can be given tools. LM Studio gives tools to every language model; `trainedForTools` tells how well that goes. */
  supportsTools: boolean;
  /**
   * Whether it was trained to call tools. `false`: it is told of them by LM Studio's default prompt alone, and may write
   * its calls into the text. Absent where the server does not tell.
   */
  trainedForTools?: boolean;
  /** Takes images. */
  supportsVision: boolean;
  /** Can stream its answers. */
  supportsStreaming: boolean;
  /** Makes embeddings, not text. */
  supportsEmbeddings: boolean;
  /** Thinks before it answers. */
  supportsReasoning: boolean;
  /** Local models cost nothing; absent. */
  inputCostPer1k?: number;
  /** Local models cost nothing; absent. */
  outputCostPer1k?: number;
  /** The framework's scale; `standard` where nothing is known. */
  speedTier: "instant" | "fast" | "standard" | "slow";
  /** The framework's scale; `standard` where nothing is known. */
  qualityTier: "lite" | "standard" | "premium" | "ultra";
}

/** One model of a server. */
export interface ModelInfo {
  /** The name to use in requests. */
  id: string;
  /** The display name where the server has one, else the id. */
  name: string;
  /** `lmstudio`, `ollama`, … */
  provider: string;
  /** `llm` (models with vision too) or `embedding`. */
  type: "llm" | "embedding" | (string & Record<never, never>);
  /** What it can do. */
  capabilities: ModelCapabilities;
  /** Absent where the server does not tell. */
  loaded?: boolean;
  /** Tokens it can be loaded with; absent where the server does not tell. */
  maxContextLength?: number;
  /**
   * Tokens it is loaded with; absent where it is not loaded, or the server does not tell. Of several copies that of the
   * one that answers requests for this name: the copy of that id, else the one under the model's own id, else the
   * smallest.
   */
  loadedContextLength?: number;
  /** Who published it. */
  publisher?: string;
  /** Such as `qwen3`. */
  architecture?: string;
  /** Such as `Q4_K_M`. */
  quantization?: string;
  /** Such as `gguf` or `mlx`. */
  format?: string;
  /** Such as `8B`. */
  params?: string;
  /** Size on disk. */
  sizeBytes?: number;
  /** Reasoning settings; absent where it has none, or the server does not tell. */
  reasoning?: {
    /** Settings it takes, such as `["off", "on"]` or `["low", "medium", "high"]`. */
    options: string[];
    /** Setting of requests that name none; absent where the server does not tell. */
    default?: string;
  };
  /** Ids of the variants of this model that are downloaded. */
  variants?: string[];
  /** The one of `variants` that is loaded under the model's id, as chosen in LM Studio. */
  selectedVariant?: string;
  /** The copies in memory. */
  instances?: LoadedInstance[];
  /** The entry as the server sent it. */
  raw: unknown;
}

/** A copy of a model in memory. */
export interface LoadedInstance {
  /** The name to send requests to this copy. */
  id: string;
  /** Tokens it is loaded with. */
  contextLength?: number;
  /** Tokens of the prompt it reads at a time. */
  evalBatchSize?: number;
  /** How many requests it serves at a time. */
  parallel?: number;
  /** Whether flash attention is on. */
  flashAttention?: boolean;
  /** Experts it uses, of a mixture-of-experts model. */
  numExperts?: number;
  /** Whether the key-value cache is on the GPU. */
  offloadKvCacheToGpu?: boolean;
}

/** What had arrived of an answer when it failed. */
export interface PartialAnswer {
  /** The text. */
  content: string;
  /** What the model thought. */
  reasoning?: string;
  /** Calls, the last perhaps cut. */
  toolCalls: ToolCall[];
}
