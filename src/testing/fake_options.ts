/** What a fake LM Studio can be told to be and to do. */

import type { Usage } from "../core/types.ts";

/** How the fake server is set up. Every field is optional: without any it is a current LM Studio. */
export interface FakeLMStudioOptions {
  /**
   * The models that are downloaded; a plain string is the id of one with default values.
   * @default {a loaded LLM, one that is not loaded, and the bundled embedding model}
   */
  models?: readonly (string | FakeModel)[] | undefined;
  /**
   * What the model says: answers consumed in order, one per generation, or a function of the request.
   * Where it gives nothing (any more), the default answer is given: a sentence, or, asked for JSON by a
   * schema, the smallest value that satisfies it.
   */
  replies?: readonly FakeReply[] | FakeReplyFunction | undefined;
  /**
   * What decision models answer, by the names of the questions, or a function of the request's body.
   * @default {0.5 for a predicate, the first choice, the lowest level}
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
  /** Requests without this token get 401, as with authentication on. @default {no authentication} */
  apiToken?: string | undefined;
  /**
   * The LM Studio release to be: decides which routes exist and how errors are worded. `"0.3"` is the last that
   * begins so.
   * @default {"0.4.25"}
   */
  version?: string | undefined;
  /**
   * Whose listing it has. `"llama.cpp"` is its router, which tells what is loaded and its context; `"vllm"` lists what it
   * serves, with the length of its requests. Neither has the listings of LM Studio's own API.
   * @default {"lmstudio"}
   */
  listing?: "lmstudio" | "llama.cpp" | "vllm" | undefined;
  /** Entries that all listings have before the models, such as `null` or one without `type`. @default {none} */
  oddEntries?: readonly unknown[] | undefined;
  /** Whether a request loads the model it names ("just in time"). @default {true} */
  jit?: boolean | undefined;
  /** Milliseconds of silence while a model is loaded by a request. @default {0} */
  jitLoadMs?: number | undefined;
  /** Milliseconds that `POST /api/v1/models/load` takes. @default {0} */
  loadMs?: number | undefined;
  /**
   * Whether loading a model by a request throws out the one that was loaded so before, even in the middle of an
   * answer. Before 0.3.9 never. @default {true}
   */
  autoEvict?: boolean | undefined;
  /**
   * What can be downloaded, and how that goes; anything else is not there.
   * @default {`ibm/granite-4-micro`, which takes four looks}
   */
  downloads?: readonly FakeDownload[] | undefined;
  /** Milliseconds until the first token. @default {0} */
  firstTokenMs?: number | undefined;
  /** Milliseconds between tokens; an answer that is not streamed waits for all of them. @default {0} */
  tokenMs?: number | undefined;
  /**
   * When the headers of a stream are sent; which of the two LM Studio does is disputed.
   * @default {"at-once"}
   */
  streamHeaders?: "at-once" | "at-first-token" | undefined;
  /**
   * How a streamed answer gives its tool calls. `"whole"`: each in one piece, after silence for as long as it takes to
   * write it, as newer versions do with some models; in the native chat the silence is before
   * `tool_call.arguments`. `"under-one-index"`: all with the index 0 and without ids, as other servers do.
   * @default {"in-pieces", before 0.3.17 whole}
   */
  streamCalls?: "in-pieces" | "whole" | "under-one-index" | undefined;
  /**
   * Where a streamed completion says why it stops. `"beside-pieces"`: beside each piece as well, as other servers do.
   * @default {"at-end"}
   */
  streamFinish?: "at-end" | "beside-pieces" | undefined;
  /** Where reasoning is put. Before 0.3.9 always `"think-tags"`. @default {"reasoning_content"} */
  reasoningField?: "reasoning_content" | "reasoning" | "think-tags" | undefined;
  /**
   * Where a streamed response tells a call's arguments. `"done-only"`: in `function_call_arguments.done`, and every item
   * says `{}`. `"deltas-only"`: in deltas, and what comes after them says nothing. Both were seen with other versions
   * and models.
   * @default {"everywhere": in `function_call_arguments.done` and in the items, without deltas}
   */
  callArguments?: "everywhere" | "done-only" | "deltas-only" | undefined;
  /** Whether the one loaded model answers, with 200, for a model nobody has. @default {true} */
  substitution?: boolean | undefined;
  /** Whether the native chat may use plugins and MCP servers; else it answers 403. @default {true} */
  integrations?: boolean | undefined;
  /** Whether answers carry CORS headers and preflights are answered. @default {false} */
  cors?: boolean | undefined;
  /**
   * Whether what nobody expected fails: a generation once `replies` are used up, or a route that no release has. It is
   * answered with 400 that says what was asked, and `assertDone()` throws.
   * @default {false}
   */
  strict?: boolean | undefined;
  /**
   * What to say again instead of all the above: a folder that `record` of the command line wrote, or its exchanges.
   * @default {none}
   */
  recording?: string | readonly RecordedExchange[] | undefined;
  /** What goes wrong, and when. */
  faults?: readonly FakeFault[] | undefined;
}

/** A downloaded model. */
export interface FakeModel {
  /** Key of the model, such as `"qwen/qwen3-8b"`. */
  id: string;
  /**
   * What it is for. That listings have the word `"decision"` is assumed.
   * @default {"embedding" for ids that start with "text-embedding-", else "llm"}
   */
  type?: "llm" | "embedding" | "decision" | undefined;
  /** Whether it is in memory. @default {true} */
  loaded?: boolean | undefined;
  /** The copies in memory, or their ids, as an alias or `"x:2"` gives them. @default {the id, when loaded} */
  instances?:
    | readonly (string | {
      /** Name that requests are sent to. */
      id: string;
      /** Tokens it is loaded with. @default {`contextLength` of the model} */
      contextLength?: number | undefined;
    })[]
    | undefined;
  /**
   * Ids of its downloaded variants. The first is the selected one; the others are not loaded, by whatever name.
   * @default {the id with its quantization, such as `"qwen/qwen3-8b@q4_k_m"`; of an id with an `@` the id}
   */
  variants?: readonly string[] | undefined;
  /** Name to show. @default {the part of the id after the slash} */
  displayName?: string | undefined;
  /** Who publishes it. @default {the part of the id before the slash, else "lmstudio-community"} */
  publisher?: string | undefined;
  /** Family it belongs to. @default {"llama", of embedding models "nomic-bert"} */
  architecture?: string | undefined;
  /** How it is quantized. @default {"Q4_K_M"} */
  quantization?: string | undefined;
  /** Bits the quantization takes per weight. @default {4} */
  bitsPerWeight?: number | undefined;
  /** `"mlx"` words its errors in its own way. @default {"gguf"} */
  format?: "gguf" | "mlx" | undefined;
  /** Size on disk. @default {4920000000, of embedding models 84106624} */
  sizeBytes?: number | undefined;
  /** Such as `"8B"`. @default {none} */
  params?: string | undefined;
  /** Tokens the model can take at most. @default {131072, of embedding models 2048} */
  maxContextLength?: number | undefined;
  /** Tokens it takes as loaded. @default {4096, or maxContextLength where that is less} */
  contextLength?: number | undefined;
  /**
   * Tokens that fit into memory. A load that asks for more gets these, and is told that it got what it asked for: the
   * "auto-fit" of MLX models. Which of the two the real answer tells nobody has published.
   * @default {what is asked for}
   */
  fittingContextLength?: number | undefined;
  /** Whether it was trained for tools. @default {true, of embedding models false} */
  tools?: boolean | undefined;
  /** Whether it takes images. @default {false} */
  vision?: boolean | undefined;
  /** The reasoning settings it allows; the last is its default. @default {none} */
  reasoning?: readonly string[] | undefined;
  /** Active experts, of models that have some. @default {none} */
  numExperts?: number | undefined;
  /** Numbers per vector, of embedding models. @default {768} */
  dimensions?: number | undefined;
  /** Whether it gives as many as a request asks for, as other servers do; LM Studio ignores that. @default {false} */
  obeysDimensions?: boolean | undefined;
  /** Loading it fails with this message. @default {it loads} */
  loadError?: string | undefined;
}

/** A model that can be downloaded, and what each look at its download shows. */
export interface FakeDownload {
  /** What is asked for: a name of the catalogue, or a link to Hugging Face. */
  model: string;
  /** Size in the end. @default {2279145003} */
  sizeBytes?: number | undefined;
  /**
   * What the answers show, one after the other, the start's first; the last one stays. A number is the share that
   * is there, 1 is completed; a pause and a failure keep the share before them.
   * @default {[0, 0.25, 0.5, 0.75, 1]}
   */
  progress?: readonly (number | "paused" | "failed")[] | undefined;
  /** Why it fails, in the field `error`. @default {nothing is said} */
  error?: string | undefined;
  /** Speed to report. @default {7834710.74} */
  bytesPerSecond?: number | undefined;
}

/** The probability of a predicate, the value of a choice, the score on a scale; `null` is a refusal. */
export type FakeDecision = number | string | boolean | null;

/** What the model says: its text, or more than that. */
export type FakeReply = string | FakeAnswer;

/** An answer of the model. */
export interface FakeAnswer {
  /**
   * The text; a list gives the exact pieces it is streamed in. A call in it, such as
   * `<tool_call>{"name": "now", "arguments": {}}</tool_call>`, stays text, as of a server that cannot read it.
   * @default {""}
   */
  content?: string | readonly string[] | undefined;
  /** What it thinks before. @default {nothing} */
  reasoning?: string | readonly string[] | undefined;
  /** The tools it wants called. The native chat has none. @default {none} */
  toolCalls?: readonly FakeToolCall[] | undefined;
  /** Native chat: the tools of `integrations` that the server runs before the text. @default {none} */
  toolRuns?: readonly FakeToolRun[] | undefined;
  /** Why it stops. @default {"length" at the request's limit, "tool_calls" after calls, else "stop"} */
  finishReason?: string | undefined;
  /** Numbers to report in place of the counted ones. */
  usage?: Partial<Usage> | undefined;
  /** Model to report in place of the one that answers. */
  model?: string | undefined;
}

/** A tool the model wants called. */
export interface FakeToolCall {
  /** Name of the tool. */
  name: string;
  /** JSON text as it is, or a value to be written as JSON. @default {{}} */
  arguments?: unknown;
  /** Id of the call. @default {nine digits; in responses `call_` and sixteen} */
  id?: string | undefined;
}

/** A tool that the server runs itself, in the native chat. */
export interface FakeToolRun {
  /** Name of the tool. */
  tool: string;
  /** What the model gives it. @default {{}} */
  arguments?: Readonly<Record<string, unknown>> | undefined;
  /** What the tool gives. @default {"[]"} */
  output?: string | undefined;
  /** The call is invalid, for this reason: no such tool, or wrong arguments. @default {it runs} */
  failure?: { type: "invalid_name" | "invalid_arguments"; reason: string } | undefined;
}

/** Decides the answer by the request's body; `undefined` gives the default answer. */
export type FakeReplyFunction = (
  body: Readonly<Record<string, unknown>>,
) => FakeReply | undefined | Promise<FakeReply | undefined>;

/** One thing that goes wrong. The first fault of the list that matches and is not used up is taken. */
export interface FakeFault {
  /** Path of the request without its query, or a pattern for it. @default {every path} */
  path?: string | RegExp | undefined;
  /** How many matching requests are let through before. @default {0} */
  skip?: number | undefined;
  /** How many requests it hits; `Infinity` for all. @default {1} */
  times?: number | undefined;
  /** What happens to them. */
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
 * reason, or at its end. A body that is not streamed has only the first two. Streams of the native chat have
 * `start` as well, after `chat.start`; their `finish` is the end of the message.
 */
export type FaultPlace = "headers" | "start" | "body" | "finish" | "end";

/** No connection comes about. Over `listen` the connection is closed without a word. */
export interface RefuseFault {
  /** Which fault it is. */
  type: "refuse";
}

/** Silence, until the client gives up. */
export interface StallFault {
  /** Which fault it is. */
  type: "stall";
  /** Where it happens. @default {"headers", or "body" with `afterTokens`} */
  at?: FaultPlace | undefined;
  /** Tokens sent before, in a stream. @default {0} */
  afterTokens?: number | undefined;
}

/** The connection breaks. */
export interface CutFault {
  /** Which fault it is. */
  type: "cut";
  /** Where it happens. @default {"body"} */
  at?: FaultPlace | undefined;
  /** Tokens sent before, in a stream; of other bodies the first half is sent. @default {0} */
  afterTokens?: number | undefined;
  /** The body ends in order, only too early; with `at: "headers"` it makes no difference. @default {false} */
  clean?: boolean | undefined;
}

/** The headers come late; all else is as it should be. */
export interface DelayFault {
  /** Which fault it is. */
  type: "delay";
  /** How late, in milliseconds. */
  ms: number;
}

/** `event: error` in a stream; as JSON with 400 where none was asked for. */
export interface ErrorFrameFault {
  /** Which fault it is. */
  type: "error-frame";
  /** The words of the error. */
  message: string;
  /** Tokens sent before. @default {0} */
  afterTokens?: number | undefined;
  /** Native chat: the `type` of the error. @default {"internal_error"} */
  errorType?: string | undefined;
  /** Native chat: whether `chat.end` follows, with what was generated. @default {true} */
  withEnd?: boolean | undefined;
}

/** Any answer, in place of the right one. */
export interface RespondFault {
  /** Which fault it is. */
  type: "respond";
  /** Status of the answer. @default {500} */
  status?: number | undefined;
  /** A string is sent as it is, all else as JSON. @default {""} */
  body?: unknown;
  /** More headers, or other values of the usual ones. @default {none} */
  headers?: Readonly<Record<string, string>> | undefined;
}

/** JSON that stops in the middle: the body, or a frame of a stream, which then ends. */
export interface BadJsonFault {
  /** Which fault it is. */
  type: "bad-json";
  /** Tokens sent before, in a stream. @default {0} */
  afterTokens?: number | undefined;
}

/** The page of a proxy. */
export interface HtmlFault {
  /** Which fault it is. */
  type: "html";
  /** Status of the page. @default {502} */
  status?: number | undefined;
}

/** The client is sent elsewhere. */
export interface RedirectFault {
  /** Which fault it is. */
  type: "redirect";
  /** Where to. */
  location: string;
  /** Status of the redirect. @default {307} */
  status?: number | undefined;
}

/** 200, and then nothing at all. */
export interface EmptyStreamFault {
  /** Which fault it is. */
  type: "empty-stream";
}

/** 429, which LM Studio itself never sends; proxies do. */
export interface RateLimitFault {
  /** Which fault it is. */
  type: "rate-limit";
  /** Value of `Retry-After`: seconds or a date. @default {1} */
  retryAfter?: number | string | undefined;
}

/** 503 with the words of a server that has no model ready yet: LM Studio loads in silence, others say so. */
export interface LoadingFault {
  /** Which fault it is. */
  type: "loading";
  /** Whose words: llama.cpp's "Loading model", or Ollama's "server busy". @default {"llama.cpp"} */
  words?: "llama.cpp" | "ollama" | undefined;
  /** Value of `Retry-After`: seconds or a date. @default {no such header} */
  retryAfter?: number | string | undefined;
}

/** A request the fake has got. The last three fields change while the answer is written. */
export interface RecordedRequest {
  /** Such as `POST`. */
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** The decoded JSON body; `undefined` without a body, or when it is no JSON. */
  readonly body: unknown;
  /** Whether the client left before the answer was complete. */
  readonly aborted: boolean;
  /** Whether the answer was written to its end. */
  readonly completed: boolean;
  /** Pieces of the body written so far: frames of a stream. */
  readonly chunksWritten: number;
  /** Status of the answer; `undefined` until there is one. */
  readonly status: number | undefined;
  /** 1, or more where it is the same request again after one that failed: a retry. */
  readonly attempt: number;
}

/** A call of a route that generates, as far as all of these routes have it. */
export interface FakeChat {
  /** Which route. */
  readonly route: "completions" | "text" | "responses" | "chat" | "messages";
  /** The model that was asked for. */
  readonly model: string | undefined;
  /** What the model is told before; texts of several system messages are joined by a blank line. */
  readonly system: string | undefined;
  /** The conversation without the system's messages; parts that are no text are left out of `content`. */
  readonly messages: readonly FakeChatMessage[];
  /** The text of the last user message. */
  readonly prompt: string;
  /** Images in it. */
  readonly images: number;
  /** Names of the tools it may call. */
  readonly tools: readonly string[];
  /** Whether a stream was asked for. */
  readonly stream: boolean;
  /** As in `RecordedRequest`. */
  readonly attempt: number;
  /** The whole body. */
  readonly body: Readonly<Record<string, unknown>>;
  /** The request it came in. */
  readonly request: RecordedRequest;
}

/** A message of a call. */
export interface FakeChatMessage {
  /** Who says it. */
  readonly role: string;
  /** Its text. */
  readonly content: string;
}

/** One request and its answer. Secrets and prompts are masked, with as many bytes as they had. */
export interface RecordedExchange {
  /** Version of this format. */
  format: 1;
  /** When the request came: ISO 8601. */
  recordedAt: string;
  /** What is known of the server. */
  server: {
    /** The release, where whoever recorded it gave one. */
    version?: string | undefined;
    /** The newest listing it has, such as `/api/v1/models`: tells 0.4 from 0.3. */
    listing?: string | undefined;
  };
  /** What was asked. */
  request: {
    /** Such as `POST`. */
    method: string;
    /** Path and query. */
    path: string;
    /** Names in lower case. */
    headers: Readonly<Record<string, string>>;
    /** The decoded JSON body, or its text where it is none. */
    body?: unknown;
  };
  /** What was answered; absent where nothing came. */
  response?: {
    /** Status of the answer. */
    status: number;
    /** Names as they came. */
    headers: readonly (readonly [name: string, value: string])[];
    /** The pieces of the body as they came. */
    chunks: readonly RecordedChunk[];
    /** Whether it came to its end: the connection was not cut, and nobody left. */
    ended: boolean;
  } | undefined;
}

/** A piece of a body. */
export interface RecordedChunk {
  /** Milliseconds after the request. */
  atMs: number;
  /** The piece, where it is whole UTF-8. */
  text?: string | undefined;
  /** Else its bytes. */
  base64?: string | undefined;
}

/** Options of `listen`. */
export interface FakeListenOptions {
  /** Port on 127.0.0.1. @default {0, any free one} */
  port?: number | undefined;
}

/** A fake that is listening. Disposing it closes the port and all its connections. */
export interface FakeListener extends AsyncDisposable {
  /** Such as `http://127.0.0.1:41234`. */
  readonly url: string;
  /** The port it got. */
  readonly port: number;
}

/** A fake LM Studio, with its two doors: `fetch` within the process, `listen` over HTTP. */
export interface FakeLMStudio {
  /** Stands in for the global `fetch`: whatever the host, this server answers. */
  readonly fetch: (input: string | URL | Request, init?: RequestInit) => Promise<Response>;
  /** The server as a function, for `Deno.serve` and its like. Rejects where a connection would break. */
  readonly handler: (request: Request) => Promise<Response>;
  /** What it was asked so far, in order. */
  readonly requests: readonly RecordedRequest[];
  /** What it was asked to generate so far, in order. Embeddings are not among them. */
  readonly chats: readonly FakeChat[];
  /** Replies of the list that were not used yet. */
  readonly repliesLeft: number;
  /**
   * Throws an `Error` where replies of the list are left, or, with `strict`, something was asked that nobody expected:
   * the last line of a test.
   */
  readonly assertDone: () => void;
  /** Starts an HTTP server (Deno, Node, Bun). */
  readonly listen: (options?: FakeListenOptions) => Promise<FakeListener>;
}
