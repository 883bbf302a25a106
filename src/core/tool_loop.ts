/**
 * Tool loop: requests, events and results of `runTools` and `streamTools`.
 *
 * @module
 */

import type { ImagePart, Message, ToolCall } from "./messages.ts";
import type { CompletionRequest, CompletionResponse, StreamingChunk, Usage } from "./types.ts";

/** Completion request whose tools are run. */
export interface RunToolsRequest extends CompletionRequest {
  /**
   * Maximum number of answers by the model. If the last one still calls tools, these calls are not run, and the method
   * rejects with code `tool_loop_limit`.
   * @default {8}
   */
  maxRounds?: number | undefined;
  /**
   * Called and awaited before each call of a tool that has `execute`, one call after the other. Return nothing to let
   * the tool run, `{ deny }` to tell the model why not, or `{ arguments }` to run it with other arguments. Any
   * other value is refused; an exception ends the whole loop. `call` has the tool's own name, and the arguments as the
   * model wrote them.
   */
  onToolCall?:
    | ((
      call: ToolCall,
    ) => ToolDecision | undefined | void | Promise<ToolDecision | undefined | void>)
    | undefined;
  /**
   * Whether the tool calls of an answer run at the same time.
   * @default {true}
   */
  parallel?: boolean | undefined;
}

/** Decision about a tool call: deny it, or run it with other arguments. */
export type ToolDecision =
  | {
    /** Reason, sent to the model instead of a result. */
    readonly deny: string;
  }
  | {
    /** JSON text to run the tool with; validated like the model's own arguments. */
    readonly arguments: string;
  };

/** Result of a conversation with tools, once the model calls no more of them. */
export interface RunToolsResult {
  /** The last answer. Its `toolCalls` are for tools without `execute`, which you run yourself. */
  response: CompletionResponse;
  /** The whole conversation, including the last answer. To continue, push to it and pass it as `messages`. */
  messages: Message[];
  /** Number of answers by the model. */
  rounds: number;
  /** Sum over all answers, if the server reports usage. */
  usage?: Usage;
}

/** Event of a tool loop, discriminated by `type`; `round` counts the answers from 1. */
export type ToolEvent =
  | {
    /** Chunk of an answer. */
    type: "chunk";
    /** Number of the answer. */
    round: number;
    /** Chunk as from `streamCompletion`. */
    chunk: StreamingChunk;
  }
  | {
    /** Tool call about to be run. */
    type: "call";
    /** Number of the answer that contains the call. */
    round: number;
    /** The call to run. */
    call: ToolCall;
  }
  | {
    /** Tool call that has finished; results of parallel calls arrive in the order in which they finish. */
    type: "result";
    /** Number of the answer that contains the call. */
    round: number;
    /** The call that was run. */
    call: ToolCall;
    /** Result as sent to the model. */
    result: string;
    /** Images shown to the model with the result, as `data:` URLs. */
    images?: ImagePart[];
    /** Whether the call failed, was denied, or could not be run. */
    isError: boolean;
  };

/**
 * Stream of a conversation with tools. Nothing is sent until you start reading; a tool call runs when you ask for the
 * event after its `call` event. It has one consumer: iterate it, or use `result()`.
 */
export interface ToolStream extends AsyncIterable<ToolEvent>, AsyncDisposable {
  /**
   * Resolves when the first event has arrived. Reading the stream afterwards still yields it.
   *
   * @throws the error that came instead of an event.
   */
  started(): Promise<void>;
  /**
   * Reads the rest of the stream and returns the same as `runTools`.
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
