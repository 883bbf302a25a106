/**
 * What `runTools` and `streamTools` take and give.
 *
 * @module
 */

import type { ImagePart, Message, ToolCall } from "./messages.ts";
import type { CompletionRequest, CompletionResponse, StreamingChunk, Usage } from "./types.ts";

/** A completion request whose tools are run. */
export interface RunToolsRequest extends CompletionRequest {
  /**
   * Answers of the model at most. When the last of them asks for tools again, the call rejects with code
   * `tool_loop_limit`, and these calls are not run.
   * @default {8}
   */
  maxRounds?: number | undefined;
  /**
   * Asked before each call of a tool that has `execute`, one after the other, and waited for: nothing to let it run,
   * `{ deny }` to tell the model why not, `{ arguments }` to run it with these. Anything else is refused; what
   * it throws ends the whole call. The call has the tool's own name, and the arguments as the model wrote them.
   */
  onToolCall?:
    | ((
      call: ToolCall,
    ) => ToolDecision | undefined | void | Promise<ToolDecision | undefined | void>)
    | undefined;
  /**
   * Whether the calls of one answer run at the same time.
   * @default {true}
   */
  parallel?: boolean | undefined;
}

/** What becomes of a call that is not simply run. */
export type ToolDecision =
  | {
    /** Told to the model in place of a result. */
    readonly deny: string;
  }
  | {
    /** JSON text to run the tool with; checked like the model's own. */
    readonly arguments: string;
  };

/** A conversation with tools, once the model needs no more of them. */
export interface RunToolsResult {
  /** The last answer. Its `toolCalls` are those of tools without `execute`, which are yours to run. */
  response: CompletionResponse;
  /** The whole conversation, with the last answer: to go on with, push to it and hand it in as `messages`. */
  messages: Message[];
  /** Answers of the model. */
  rounds: number;
  /** Of all answers together, where the server tells. */
  usage?: Usage;
}

/** What happens while tools are run; `round` counts the answers from 1. */
export type ToolEvent =
  | {
    /** Discriminates `ToolEvent`: a piece of an answer. */
    type: "chunk";
    /** Which answer. */
    round: number;
    /** As of `streamCompletion`. */
    chunk: StreamingChunk;
  }
  | {
    /** Discriminates `ToolEvent`: a call, before it is run. */
    type: "call";
    /** Which answer asked for it. */
    round: number;
    /** What is to be run. */
    call: ToolCall;
  }
  | {
    /** Discriminates `ToolEvent`: a call is done; calls that run together come as they finish. */
    type: "result";
    /** Which answer asked for it. */
    round: number;
    /** What was run. */
    call: ToolCall;
    /** What the model is told. */
    result: string;
    /** Images that it is shown beside, as `data:` URLs. */
    images?: ImagePart[];
    /** Whether it failed, was denied, or could not be run. */
    isError: boolean;
  };

/**
 * A conversation with tools while it happens. Nothing is sent before the first pull; a call is run when what
 * comes after its `call` event is asked for. It has one consumer: iterate it, or take `result()`.
 */
export interface ToolStream extends AsyncIterable<ToolEvent>, AsyncDisposable {
  /**
   * Resolves when the first event is there, which stays for whoever reads the stream.
   *
   * @throws what came instead.
   */
  started(): Promise<void>;
  /**
   * Drains what is left and gives what `runTools` gives.
   *
   * @example
   * ```ts
   * import { LMStudioProvider, tool } from "jsr:@patinox/lmstudio";
   *
   * const now = tool({ name: "now", execute: () => new Date().toISOString() });
   * const stream = new LMStudioProvider().streamTools({ messages: "What time is it?", tools: [now] });
   * const { response, rounds } = await stream.result();
   * console.log(response.content, rounds);
   * ```
   */
  result(): Promise<RunToolsResult>;
  /** Stops the model and aborts the tools. Idempotent; leaving a `for await` loop does the same. */
  cancel(reason?: unknown): Promise<void>;
}
