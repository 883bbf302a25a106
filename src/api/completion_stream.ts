/**
 * `POST /v1/chat/completions` with `stream: true`: the answer as it is generated.
 *
 * @see https://lmstudio.ai/docs/developer/openai-compat/chat-completions
 * @module
 */

import type { ToolCallDelta } from "../core/messages.ts";
import { isRecord } from "../core/request_checks.ts";
import type {
  CompletionResponse,
  FinishReason,
  PartialAnswer,
  StreamingChunk,
} from "../core/types.ts";
import type { ErrorContext } from "../transport/error_mapping.ts";
import type { Transport } from "../transport/transport.ts";
import {
  CHAT_PATH,
  decodeCompletion,
  reasoningOf,
  repairFinishReason,
  toCompletionResponse,
} from "./completions.ts";
import { FrameStream, type FrameStreamRequest, type StreamSummary } from "./frame_stream.ts";
import { type SplitText, splitThinking, ThinkSplitter, type ThinkTags } from "./think_splitter.ts";
import { ToolCallAssembler } from "./tool_call_assembler.ts";
import { textOf, TOO_MANY_CALLS } from "./wire_choice.ts";

/** What a streamed completion is asked with; the body as `encodeCompletionRequest` gives it, with the model. */
export interface ChatStreamRequest extends FrameStreamRequest<CompletionResponse> {
  /** Tags of thoughts in the text. */
  readonly tags: ThinkTags;
}

/** One streamed completion: `next()` until it gives `undefined`, then `response()`. */
export class ChatStream extends FrameStream<CompletionResponse> {
  readonly #tags: ThinkTags;
  readonly #think: ThinkSplitter;
  readonly #tools = new ToolCallAssembler();
  #content = "";
  #reasoning = "";
  /** The text as it came, tags included. */
  #text = "";
  #hasOwnReasoning = false;

  constructor(transport: Transport, request: ChatStreamRequest) {
    super(transport, CHAT_PATH, request);
    this.#tags = request.tags;
    this.#think = new ThinkSplitter(request.tags);
  }

  override partial(): PartialAnswer | undefined {
    const toolCalls = this.#tools.calls();
    const { content, reasoning } = this.#split();
    if (content === "" && reasoning === "" && toolCalls.length === 0) return undefined;
    return { content, ...(reasoning === "" ? {} : { reasoning }), toolCalls };
  }

  protected override takeChoice(choice: Record<string, unknown>): StreamingChunk | undefined {
    const { delta } = choice;
    if (!isRecord(delta)) return undefined;
    const text = textOf(delta.content);
    const split = text === "" ? undefined : this.#think.feed(text);
    const content = split?.content ?? "";
    this.#text += text;
    const ownReasoning = reasoningOf(delta);
    if (ownReasoning !== "") this.#hasOwnReasoning = true;
    const reasoning = ownReasoning + (split?.reasoning ?? "");
    const calls = delta.tool_calls === undefined ? NO_CALLS : this.#tools.feed(delta.tool_calls);
    if (this.#tools.isOverfull) throw this.tooMuch(TOO_MANY_CALLS);
    if (content !== "" || calls.length > 0) this.markPiece("text");
    // Held-back text is a token too, though it is not given out yet.
    else if (text !== "" || reasoning !== "") this.markPiece("thought");
    this.countText(text.length + ownReasoning.length + lengthOf(calls));
    return this.#chunk(content, reasoning, calls);
  }

  protected override takeRest(): StreamingChunk | undefined {
    const { content, reasoning } = this.#think.end();
    return this.#chunk(content, reasoning);
  }

  protected override finishReasonFor(reason: string | undefined): FinishReason {
    return repairFinishReason(reason, this.#tools.calls());
  }

  protected override decodeWhole(
    value: unknown,
    elapsedMs: number,
    context: ErrorContext,
  ): CompletionResponse {
    return decodeCompletion(value, elapsedMs, context, this.#tags);
  }

  protected override chunkOf(whole: CompletionResponse): StreamingChunk | undefined {
    const calls = whole.toolCalls.map((call, index) => ({ index, ...call }));
    return this.#chunk(whole.content, whole.reasoning ?? "", calls);
  }

  protected override assemble(
    { id, model, finishReason, more }: StreamSummary,
  ): CompletionResponse {
    return toCompletionResponse({
      id,
      model,
      ...this.#split(),
      toolCalls: this.#tools.calls(),
      finishReason,
    }, more);
  }

  /** All that has come, as `decodeCompletion` splits it: it may be known only now that an opening tag is missing. */
  #split(): SplitText {
    if (this.#text !== "" && !this.#hasOwnReasoning) return splitThinking(this.#text, this.#tags);
    // What waits for the rest of a tag has arrived, too.
    const held = this.#think.held();
    return {
      content: this.#content + held.content,
      reasoning: this.#reasoning + held.reasoning,
    };
  }

  #chunk(
    content: string,
    reasoning: string,
    toolCalls: StreamingChunk["toolCalls"] = NO_CALLS,
  ): StreamingChunk | undefined {
    if (content === "" && reasoning === "" && toolCalls.length === 0) return undefined;
    const chunk: StreamingChunk = { content, isFinal: false };
    this.#content += content;
    if (reasoning !== "") {
      this.#reasoning += reasoning;
      chunk.reasoning = reasoning;
    }
    if (toolCalls.length > 0) chunk.toolCalls = toolCalls;
    return chunk;
  }
}

function lengthOf(calls: readonly ToolCallDelta[]): number {
  let length = 0;
  for (const { id = "", name = "", arguments: text = "" } of calls) {
    length += id.length + name.length + text.length;
  }
  return length;
}

const NO_CALLS: NonNullable<StreamingChunk["toolCalls"]> = [];
