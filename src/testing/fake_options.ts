/** Options of the fake LM Studio, and what it records. */

import type { Usage } from "../core/types.ts";

/** How the fake server is set up. Every field is optional: by default it is a current LM Studio. */
export interface FakeLMStudioOptions {
  /**
   * The downloaded models; a plain string is the id of a model with default values.
   * @default {a loaded LLM, one that is not loaded, and the bundled embedding model}
   */
  models?: readonly (string | FakeModel)[] | undefined;
  /**
   * What the model says: a list of answers used in order, one per generation, or a function of the request.
   * When the list runs out or the function returns nothing, the default answer is used: a sentence or, if
   * the request has a schema, the smallest JSON value that satisfies it.
   */
  replies?: readonly FakeReply[] | FakeReplyFunction | undefined;
  /**
   * What decision models answer, by question name, or a function of the request's body.
   * @default {0.5 for a predicate, the first option of a choice, the lowest level of a score}
   */
  decisions?:
    | Readonly<Record<string, FakeDecision>>
    | ((
      body: Readonly<Record<string, unknown>>,
    ) =>
      | Readonly<Record<string, FakeDecision>>
      | undefined
      | Promise<Readonly<Record<string, FakeDecision>> | undefined>)
    | undefined;
  /** The API token that requests must carry; without it they get 401. @default {no authentication} */
  apiToken?: string | undefined;
  /**
   * The LM Studio release to imitate: decides which routes exist and how errors are worded. `"0.3"` is the last
   * release of that line.
   * @default {"0.4.25"}
   */
  version?: string | undefined;
  /**
   * Whose listing to imitate. `"llama.cpp"` is its router, which says which models are loaded and with what context;
   * `"vllm"` lists the models it serves, with their maximum length. Neither has the listings of LM Studio's own API.
   * @default {"lmstudio"}
   */
  listing?: "lmstudio" | "llama.cpp" | "vllm" | undefined;
  /** Entries put before the models in every listing, such as `null` or one without `type`. @default {none} */
  oddEntries?: readonly unknown[] | undefined;
  /** Whether a request loads the model it names ("just in time"). @default {true} */
  jit?: boolean | undefined;
  /** Milliseconds of silence while a request loads a model. @default {0} */
  jitLoadMs?: number | undefined;
  /** Milliseconds that `POST /api/v1/models/load` takes. @default {0} */
  loadMs?: number | undefined;
  /**
   * Whether a request that loads a model unloads the one an earlier request loaded, even in the middle of an
   * answer. Never before 0.3.9. @default {true}
   */
  autoEvict?: boolean | undefined;
  /**
   * The models that can be downloaded, and how each download goes; any other model is not found.
   * @default {`ibm/granite-4-micro`, done at the fourth status request}
   */
  downloads?: readonly FakeDownload[] | undefined;
  /** Milliseconds until the first token. @default {0} */
  firstTokenMs?: number | undefined;
  /** Milliseconds between tokens; a whole answer takes as long as all of its tokens. @default {0} */
  tokenMs?: number | undefined;
  /**
   * When the headers of a stream are sent. Reports disagree on which of the two LM Studio does.
   * @default {"at-once"}
   */
  streamHeaders?: "at-once" | "at-first-token" | undefined;
  /**
   * How a streamed answer delivers its tool calls. `"whole"`: each in one chunk, after silence for as long as it takes
   * to write, as newer versions do with some models; in the native chat the silence comes before
   * `tool_call.arguments`. `"under-one-index"`: all with index 0 and without ids, as other servers do.
   * @default {"in-pieces"; before 0.3.17 "whole"}
   */
  streamCalls?: "in-pieces" | "whole" | "under-one-index" | undefined;
  /**
   * Where a streamed completion gives its finish reason. `"beside-pieces"`: in every chunk, as other servers do.
   * @default {"at-end"}
   */
  streamFinish?: "at-end" | "beside-pieces" | undefined;
  /** Where reasoning goes. Always `"think-tags"` before 0.3.9. @default {"reasoning_content"} */
  reasoningField?: "reasoning_content" | "reasoning" | "think-tags" | undefined;
  /**
   * Where a streamed response carries a call's arguments. `"done-only"`: in `function_call_arguments.done`, while every
   * item has `{}`. `"deltas-only"`: in deltas, while later events leave them empty. Both were observed with other
   * versions and models.
   * @default {"everywhere": in `function_call_arguments.done` and in the items, without deltas}
   */
  callArguments?: "everywhere" | "done-only" | "deltas-only" | undefined;
  /** Whether the only loaded model answers, with 200, a request for an unknown model. @default {true} */
  substitution?: boolean | undefined;
  /** Whether the native chat may use plugins and MCP servers; if not, it answers 403. @default {true} */
  integrations?: boolean | undefined;
  /** Whether the server sends CORS headers and answers preflight requests. @default {false} */
  cors?: boolean | undefined;
  /**
   * Whether unexpected requests fail: a generation once `replies` are used up, or a route that no release has. The
   * server answers 400, saying what was asked, and `assertDone()` throws.
   * @default {false}
   */
  strict?: boolean | undefined;
  /**
   * Recording to replay instead of all the above: a folder written by the `record` command, or its exchanges.
   * @default {none}
   */
  recording?: string | readonly RecordedExchange[] | undefined;
  /** The faults: what goes wrong, and when. @default {none} */
  faults?: readonly FakeFault[] | undefined;
}

/** A downloaded model. */
export interface FakeModel {
  /** Key of the model, such as `"qwen/qwen3-8b"`. */
  id: string;
  /**
   * What the model is for. That listings use the word `"decision"` is an assumption.
   * @default {"embedding" for ids that start with "text-embedding-", otherwise "llm"}
   */
  type?: "llm" | "embedding" | "decision" | undefined;
  /** Whether the model is loaded. @default {true} */
  loaded?: boolean | undefined;
  /** The loaded instances or their ids, such as an alias or `"x:2"`. @default {the model's id, if loaded} */
  instances?:
    | readonly (string | {
      /** The name that requests use. */
      id: string;
      /** Context length it is loaded with, in tokens. @default {the model's `contextLength`} */
      contextLength?: number | undefined;
    })[]
    | undefined;
  /**
   * Ids of the downloaded variants. The first is the selected one; the others cannot be loaded under any name.
   * @default {the id with its quantization, such as `"qwen/qwen3-8b@q4_k_m"`; just the id if it has an `@`}
   */
  variants?: readonly string[] | undefined;
  /** Display name. @default {the part of the id after the slash} */
  displayName?: string | undefined;
  /** Publisher. @default {the part of the id before the slash, otherwise "lmstudio-community"} */
  publisher?: string | undefined;
  /** Model family. @default {"llama"; "nomic-bert" for embedding models} */
  architecture?: string | undefined;
  /** Quantization. @default {"Q4_K_M"} */
  quantization?: string | undefined;
  /** Bits per weight of the quantization. @default {4} */
  bitsPerWeight?: number | undefined;
  /** File format; it decides the engine, and MLX words its errors differently. @default {"gguf"} */
  format?: "gguf" | "mlx" | undefined;
  /** Size on disk. @default {4920000000; 84106624 for embedding models} */
  sizeBytes?: number | undefined;
  /** Number of parameters, such as `"8B"`. @default {none} */
  params?: string | undefined;
  /** The largest context the model supports, in tokens. @default {131072; 2048 for embedding models} */
  maxContextLength?: number | undefined;
  /** The context it is loaded with, in tokens. @default {4096, or `maxContextLength` if that is smaller} */
  contextLength?: number | undefined;
  /**
   * The largest context that fits into memory, in tokens. A load that asks for more gets this context, but its answer
   * repeats the length asked for: the "auto-fit" of MLX models. Which of the two lengths the real answer states is
   * not published.
   * @default {no limit}
   */
  fittingContextLength?: number | undefined;
  /** Whether it was trained for tool use. @default {true for LLMs, otherwise false} */
  tools?: boolean | undefined;
  /** Whether it accepts images. @default {false} */
  vision?: boolean | undefined;
  /** The reasoning settings it allows; the last one is its default. @default {none} */
  reasoning?: readonly string[] | undefined;
  /** Number of active experts of a mixture-of-experts model. @default {none} */
  numExperts?: number | undefined;
  /** Vector length of an embedding model. @default {768} */
  dimensions?: number | undefined;
  /** Whether it obeys a request's `dimensions`, as other servers do; LM Studio ignores them. @default {false} */
  obeysDimensions?: boolean | undefined;
  /** The message that loading it fails with. @default {loading succeeds} */
  loadError?: string | undefined;
}

/** A model that can be downloaded, and what each status request about its download returns. */
export interface FakeDownload {
  /** The model to ask for: a catalog name or a Hugging Face link. */
  model: string;
  /** Total size. @default {2279145003} */
  sizeBytes?: number | undefined;
  /**
   * The progress that each answer reports, in order, starting with the answer to the download request; the last one
   * repeats. A number is the share downloaded so far, and 1 means completed; a pause or failure keeps the previous
   * share.
   * @default {[0, 0.25, 0.5, 0.75, 1]}
   */
  progress?: readonly (number | "paused" | "failed")[] | undefined;
  /** Reason for a failure, sent in the field `error`. @default {none} */
  error?: string | undefined;
  /** Speed to report. @default {7834710.74} */
  bytesPerSecond?: number | undefined;
}

/** A predicate's probability, a choice's value or a score; `null` is a refusal. */
export type FakeDecision = number | string | boolean | null;

/** What the model says: just its text, or a whole answer. */
export type FakeReply = string | FakeAnswer;

/** An answer from the model. */
export interface FakeAnswer {
  /**
   * The text; a list sets the exact chunks it is streamed in. A tool call in the text, such as
   * `<tool_call>{"name": "now", "arguments": {}}</tool_call>`, stays text, as on a server that cannot parse it.
   * @default {""}
   */
  content?: string | readonly string[] | undefined;
  /** Reasoning that precedes the text. @default {none} */
  reasoning?: string | readonly string[] | undefined;
  /** The model's tool calls. The native chat has none. @default {none} */
  toolCalls?: readonly FakeToolCall[] | undefined;
  /** Native chat: tools from `integrations` that the server runs before the text. @default {none} */
  toolRuns?: readonly FakeToolRun[] | undefined;
  /** Finish reason. @default {"length" at the request's limit, "tool_calls" after tool calls, otherwise "stop"} */
  finishReason?: string | undefined;
  /** Usage to report instead of the counted numbers. */
  usage?: Partial<Usage> | undefined;
  /** Model to report instead of the one that answers. */
  model?: string | undefined;
}

/** A tool call by the model. */
export interface FakeToolCall {
  /** Name of the tool. */
  name: string;
  /** JSON text, sent unchanged, or a value to encode as JSON. @default {{}} */
  arguments?: unknown;
  /** Id of the call. @default {nine digits; in responses `call_` and sixteen digits} */
  id?: string | undefined;
}

/** A tool that the server runs itself, in the native chat. */
export interface FakeToolRun {
  /** Name of the tool. */
  tool: string;
  /** The arguments the model passes. @default {{}} */
  arguments?: Readonly<Record<string, unknown>> | undefined;
  /** What the tool returns. @default {"[]"} */
  output?: string | undefined;
  /** Why the call is invalid: an unknown tool or wrong arguments. @default {the call is valid} */
  failure?: { type: "invalid_name" | "invalid_arguments"; reason: string } | undefined;
}

/** Chooses the answer from the request's body; `undefined` means the default answer. */
export type FakeReplyFunction = (
  body: Readonly<Record<string, unknown>>,
) => FakeReply | undefined | Promise<FakeReply | undefined>;

/** A fault and the requests it hits. Each request gets the first matching fault that is not used up. */
export interface FakeFault {
  /** Path of the request without its query, or a pattern. @default {every path} */
  path?: string | RegExp | undefined;
  /** How many matching requests to let through first. @default {0} */
  skip?: number | undefined;
  /** How many requests to hit; `Infinity` for all. @default {1} */
  times?: number | undefined;
  /** What happens to these requests. */
  fault: FaultKind;
}

/** What can go wrong. */
export type FaultKind =
  | RefuseFault
  | StallFault
  | CutFault
  | DelayFault
  | ErrorFrameFault
  | RespondFault
  | BadJsonFault
  | HtmlFault
  | RedirectFault
  | EmptyStreamFault
  | RateLimitFault
  | LoadingFault;

/**
 * Where in an answer a fault happens: before its headers, in its body, after the chunk with the finish
 * reason, or at its end. Only the first two apply to a body that is not streamed. Native chat streams also
 * have `start`, after `chat.start`; their `finish` is the end of the message.
 */
export type FaultPlace = "headers" | "start" | "body" | "finish" | "end";

/** The connection is refused. Over `listen` it is closed without an answer. */
export interface RefuseFault {
  /** Kind of fault. */
  type: "refuse";
}

/** Silence, until the client gives up. */
export interface StallFault {
  /** Kind of fault. */
  type: "stall";
  /** Where it happens. @default {"headers", or "body" with `afterTokens`} */
  at?: FaultPlace | undefined;
  /** Stream: how many tokens to send first. @default {0} */
  afterTokens?: number | undefined;
}

/** The connection breaks. */
export interface CutFault {
  /** Kind of fault. */
  type: "cut";
  /** Where it happens. @default {"body"} */
  at?: FaultPlace | undefined;
  /** Stream: how many tokens to send first. Of other bodies the first half is sent. @default {0} */
  afterTokens?: number | undefined;
  /** Whether the body ends cleanly, only too early; no effect with `at: "headers"`. @default {false} */
  clean?: boolean | undefined;
}

/** The headers come late; the answer itself is normal. */
export interface DelayFault {
  /** Kind of fault. */
  type: "delay";
  /** Delay in milliseconds. */
  ms: number;
}

/** `event: error` in a stream, or JSON with 400 if no stream was requested. */
export interface ErrorFrameFault {
  /** Kind of fault. */
  type: "error-frame";
  /** The error's message. */
  message: string;
  /** How many tokens to send first. @default {0} */
  afterTokens?: number | undefined;
  /** Native chat: the error's `type`. @default {"internal_error"} */
  errorType?: string | undefined;
  /** Native chat: whether `chat.end` follows, with the text generated so far. @default {true} */
  withEnd?: boolean | undefined;
}

/** An arbitrary answer instead of the normal one. */
export interface RespondFault {
  /** Kind of fault. */
  type: "respond";
  /** Status of the answer. @default {500} */
  status?: number | undefined;
  /** The body: a string is sent unchanged, any other value as JSON. @default {""} */
  body?: unknown;
  /** Headers to add or override. @default {none} */
  headers?: Readonly<Record<string, string>> | undefined;
}

/** JSON that stops in the middle: the body, or the last frame of a stream. */
export interface BadJsonFault {
  /** Kind of fault. */
  type: "bad-json";
  /** Stream: how many tokens to send first. @default {0} */
  afterTokens?: number | undefined;
}

/** A proxy's error page. */
export interface HtmlFault {
  /** Kind of fault. */
  type: "html";
  /** Status of the page. @default {502} */
  status?: number | undefined;
}

/** A redirect. */
export interface RedirectFault {
  /** Kind of fault. */
  type: "redirect";
  /** Target of the redirect. */
  location: string;
  /** Status of the redirect. @default {307} */
  status?: number | undefined;
}

/** Status 200 with an empty body. */
export interface EmptyStreamFault {
  /** Kind of fault. */
  type: "empty-stream";
}

/** Status 429, which LM Studio itself never sends, but proxies do. */
export interface RateLimitFault {
  /** Kind of fault. */
  type: "rate-limit";
  /** Value of `Retry-After`: seconds or a date. @default {1} */
  retryAfter?: number | string | undefined;
}

/** Status 503 from a server whose model is not ready yet. LM Studio loads silently; other servers send this. */
export interface LoadingFault {
  /** Kind of fault. */
  type: "loading";
  /** Whose wording: llama.cpp's "Loading model" or Ollama's "server busy". @default {"llama.cpp"} */
  words?: "llama.cpp" | "ollama" | undefined;
  /** Value of `Retry-After`: seconds or a date. @default {no such header} */
  retryAfter?: number | string | undefined;
}

/** A request the fake has received. Some fields change while the answer is written. */
export interface RecordedRequest {
  /** Such as `POST`. */
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** The decoded JSON body; `undefined` if there is no body or it is not JSON. */
  readonly body: unknown;
  /** Whether the client disconnected before the answer was complete. */
  readonly aborted: boolean;
  /** Whether the whole answer was written. */
  readonly completed: boolean;
  /** Chunks of the body written so far; for a stream, its frames. */
  readonly chunksWritten: number;
  /** Status of the answer; `undefined` until there is one. */
  readonly status: number | undefined;
  /** 1 for a first attempt; counts up when a failed request is sent again. */
  readonly attempt: number;
}

/** A request to generate, in one form for all routes that do. */
export interface FakeChat {
  /** The route. */
  readonly route: "completions" | "text" | "responses" | "chat" | "messages";
  /** The requested model. */
  readonly model: string | undefined;
  /** The system prompt; several system messages are joined by a blank line. */
  readonly system: string | undefined;
  /** The conversation without system messages; `content` leaves out parts that are not text. */
  readonly messages: readonly FakeChatMessage[];
  /** The text of the last user message. */
  readonly prompt: string;
  /** Number of images in the request. */
  readonly images: number;
  /** Names of the tools the model may call. */
  readonly tools: readonly string[];
  /** Whether a stream was requested. */
  readonly stream: boolean;
  /** The `attempt` of the request. */
  readonly attempt: number;
  /** The whole request body. */
  readonly body: Readonly<Record<string, unknown>>;
  /** The recorded request. */
  readonly request: RecordedRequest;
}

/** A message of a `FakeChat`. */
export interface FakeChatMessage {
  /** Role of the sender. */
  readonly role: string;
  /** Text of the message. */
  readonly content: string;
}

/** One recorded request and its answer. Secrets and prompts are masked without changing their length in bytes. */
export interface RecordedExchange {
  /** Version of this format. */
  format: 1;
  /** When the request arrived, in ISO 8601. */
  recordedAt: string;
  /** What is known about the server. */
  server: {
    /** The release, if one was given when recording. */
    version?: string | undefined;
    /** The newest listing it has, such as `/api/v1/models`; this tells 0.4 from 0.3. */
    listing?: string | undefined;
  };
  /** The request. */
  request: {
    /** Such as `POST`. */
    method: string;
    /** Path and query. */
    path: string;
    /** Names in lower case. */
    headers: Readonly<Record<string, string>>;
    /** The decoded JSON body, or its text if it is not JSON. */
    body?: unknown;
  };
  /** The answer; absent if none arrived. */
  response?: {
    /** Status of the answer. */
    status: number;
    /** Header names and values as received. */
    headers: readonly (readonly [name: string, value: string])[];
    /** The chunks of the body as they arrived. */
    chunks: readonly RecordedChunk[];
    /** Whether the body was complete: the connection was not cut and the client stayed. */
    ended: boolean;
  } | undefined;
}

/** A chunk of a body. */
export interface RecordedChunk {
  /** Arrival time in milliseconds after the request. */
  atMs: number;
  /** The chunk as text, if it is valid UTF-8. */
  text?: string | undefined;
  /** Otherwise its bytes. */
  base64?: string | undefined;
}

/** Options of `listen`. */
export interface FakeListenOptions {
  /** Port on 127.0.0.1. @default {0, any free one} */
  port?: number | undefined;
}

/** A listening fake. Disposing of it closes the port and all its connections. */
export interface FakeListener extends AsyncDisposable {
  /** Such as `http://127.0.0.1:41234`. */
  readonly url: string;
  /** The port it listens on. */
  readonly port: number;
}

/** A fake LM Studio, reached within the process by `fetch` or over HTTP by `listen`. */
export interface FakeLMStudio {
  /** A replacement for the global `fetch`: this server answers, whatever the host. */
  readonly fetch: (input: string | URL | Request, init?: RequestInit) => Promise<Response>;
  /** The server as a function, for `Deno.serve` and the like. Rejects if the connection would break. */
  readonly handler: (request: Request) => Promise<Response>;
  /** The requests received so far, in order. */
  readonly requests: readonly RecordedRequest[];
  /** The requests to generate received so far, in order. Embeddings are not included. */
  readonly chats: readonly FakeChat[];
  /** How many replies of the list are not used yet. */
  readonly repliesLeft: number;
  /**
   * Throws an `Error` if replies of the list are left over or, with `strict`, an unexpected request was made. Call it
   * at the end of a test.
   */
  readonly assertDone: () => void;
  /** Starts an HTTP server, on Deno, Node or Bun. */
  readonly listen: (options?: FakeListenOptions) => Promise<FakeListener>;
}
