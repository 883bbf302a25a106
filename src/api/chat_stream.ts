/**
 * `POST /v1/chat/completions` with `stream: true`: the answer as it is generated, decoded by hand because
 * this runs per token.
 *
 * @see https://lmstudio.ai/docs/developer/openai-compat/chat-completions
 * @module
 */

import { StreamError } from "../core/errors.ts";
import { isRecord } from "../core/request_checks.ts";
import type {
  CallOptions,
  CompletionResponse,
  GenerationStats,
  PartialAnswer,
  StreamingChunk,
  Usage,
} from "../core/types.ts";
import { errorFromWire, readWireError } from "../transport/error_mapping.ts";
import type { EventReader } from "../transport/event_reader.ts";
import type { SseEvent } from "../transport/sse.ts";
import { decodeJson, type Transport } from "../transport/transport.ts";
import {
  CHAT_PATH,
  decodeCompletion,
  firstChoice,
  reasoningOf,
  repairFinishReason,
  textOf,
  toCompletionResponse,
} from "./chat.ts";
import { ThinkSplitter } from "./think_splitter.ts";
import { ToolCallAssembler } from "./tool_call_assembler.ts";
import { decodeStats, decodeUsage, measureStats } from "./usage.ts";

/** What a streamed completion is asked with. */
export interface ChatStreamRequest {
  /** As `encodeCompletionRequest` gives it, with the model. */
  readonly body: Record<string, unknown>;
  readonly action: string;
  readonly options: CallOptions;
  /**
   * Told the model that answers, and what has arrived, before the first chunk is given out. What it throws
   * ends the stream.
   */
  readonly onModel: (
    model: string,
    arrived: {
      /** Where the server did not stream. */
      response: CompletionResponse | undefined;
      partial: PartialAnswer | undefined;
    },
  ) => void | Promise<void>;
}

/** One streamed completion: `next()` until it gives `undefined`, then `response()`. */
export class ChatStream {
  readonly #reader: EventReader;
  readonly #request: ChatStreamRequest;
  readonly #think = new ThinkSplitter();
  readonly #tools = new ToolCallAssembler();
  readonly #startedAt = performance.now();
  /** Decoded, not yet given out. */
  #queue: StreamingChunk[] = [];
  #queueAt = 0;
  /** Comes after the chunks before it. */
  #failure: { readonly error: unknown } | undefined;
  #isOver = false;
  #firstTokenAt: number | undefined;
  #finishedAt: number | undefined;
  #id = "";
  #model = "";
  #isModelChecked = false;
  #content = "";
  #reasoning = "";
  #finishReason: string | undefined;
  #usage: Usage | undefined;
  #serverStats: GenerationStats | undefined;
  #raw: unknown;
  #whole: CompletionResponse | undefined;

  constructor(transport: Transport, request: ChatStreamRequest) {
    this.#request = request;
    const { body, action, options } = request;
    this.#reader = transport.events({
      method: "POST",
      path: CHAT_PATH,
      // Without asking there is no usage. `extraBody` may ask for something else.
      body: { stream_options: { include_usage: true }, ...body, stream: true },
      policy: "stateless",
      action,
      model: textOf(body.model),
      partial: () => this.partial(),
    }, options);
  }

  /** The next chunk; `undefined` after the final one. */
  async next(): Promise<StreamingChunk | undefined> {
    while (this.#queueAt === this.#queue.length) {
      if (this.#failure !== undefined) throw this.#failure.error;
      if (this.#isOver) return undefined;
      this.#queue = [];
      this.#queueAt = 0;
      await this.#fill();
    }
    return this.#queue[this.#queueAt++];
  }

  /** A chunk that is there already: most tokens come several to a read, and waiting costs more than decoding. */
  take(): StreamingChunk | undefined {
    return this.#queueAt < this.#queue.length ? this.#queue[this.#queueAt++] : undefined;
  }

  /** Stops the server and lets go of the connection. Idempotent. */
  close(): void {
    this.#reader.close();
  }

  /** What has arrived, if anything has. */
  partial(): PartialAnswer | undefined {
    const toolCalls = this.#tools.calls();
    // What waits for the rest of a tag has arrived, too.
    const held = this.#think.held();
    const content = this.#content + held.content;
    const reasoning = this.#reasoning + held.reasoning;
    if (content === "" && reasoning === "" && toolCalls.length === 0) return undefined;
    return { content, ...(reasoning === "" ? {} : { reasoning }), toolCalls };
  }

  /** An error of this stream, with what has arrived. */
  error(state: string, code: "stream_truncated" | "malformed_stream"): StreamError {
    const { context } = this.#reader;
    return new StreamError(`Cannot ${context.action}: ${state}`, { ...context, code });
  }

  /** The whole answer, once `next()` has given `undefined`. */
  response(): CompletionResponse {
    if (this.#whole !== undefined) return this.#whole;
    return toCompletionResponse({
      id: this.#id,
      model: this.#answeringModel(),
      content: this.#content,
      reasoning: this.#reasoning,
      toolCalls: this.#tools.calls(),
      finishReason: this.#finishReason,
    }, {
      ...(this.#usage === undefined ? {} : { usage: this.#usage }),
      stats: this.#stats(),
      raw: this.#raw,
    });
  }

  async #fill(): Promise<void> {
    try {
      const pull = await this.#reader.pull();
      if (pull.kind === "text") this.#takeWholeAnswer(pull.status, pull.text);
      else if (pull.kind === "events") this.#takeEvents(pull.events);
      else this.#takeEnd(pull.unfinished);
    } catch (error) {
      this.#fail(error);
    }
    await this.#checkModel();
    if (this.#isOver) this.close();
  }

  async #checkModel(): Promise<void> {
    if (this.#isModelChecked || this.#model === "") return;
    this.#isModelChecked = true;
    try {
      await this.#request.onModel(this.#model, {
        response: this.#whole,
        partial: this.partial(),
      });
    } catch (error) {
      // Nothing of another model's answer is given out as this one's.
      this.#queue = [];
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    this.#failure = { error };
    this.#isOver = true;
  }

  #takeEvents(events: readonly SseEvent[]): void {
    for (const event of events) {
      try {
        this.#takeEvent(event);
      } catch (error) {
        return this.#fail(error);
      }
      if (this.#isOver) return;
    }
  }

  #takeEvent(event: SseEvent): void {
    const { data } = event;
    if (data === "" || data.trim() === "") return;
    if (data.length < 32 && data.trim() === "[DONE]") return this.#takeDone();
    const frame = parseFrame(data);
    if (event.event === "error" || (isRecord(frame) && frame.error !== undefined)) {
      this.#takeErrorFrame(event, frame);
    }
    if (!isRecord(frame)) {
      const state = frame === undefined ? "not JSON" : "no object";
      throw this.error(`the stream has an event that is ${state}`, "malformed_stream");
    }
    this.#raw = frame;
    if (this.#id === "") this.#id = textOf(frame.id);
    if (this.#model === "") this.#model = textOf(frame.model);
    if (frame.usage) this.#usage = decodeUsage(frame.usage) ?? this.#usage;
    if (frame.stats) this.#serverStats = decodeStats(frame.stats) ?? this.#serverStats;
    if (Array.isArray(frame.choices)) {
      const choice = firstChoice(frame.choices);
      if (choice !== undefined) this.#takeChoice(choice);
    }
  }

  #takeErrorFrame({ event, data }: SseEvent, frame: unknown): void {
    // Whatever an `error` event holds, it is no part of the answer.
    const unread = isRecord(frame) ? textOf(frame.message) : data;
    const wire = readWireError(frame) ?? (event === "error" ? { message: unread } : undefined);
    if (wire !== undefined) throw errorFromWire(wire, undefined, this.#reader.context);
  }

  #takeChoice(choice: Record<string, unknown>): void {
    const { delta, finish_reason: finishReason } = choice;
    if (isRecord(delta)) {
      const text = textOf(delta.content);
      const split = text === "" ? undefined : this.#think.feed(text);
      const reasoning = reasoningOf(delta) + (split?.reasoning ?? "");
      const calls = delta.tool_calls === undefined ? NO_CALLS : this.#tools.feed(delta.tool_calls);
      // Held-back text is a token too, though it is not given out yet.
      if (text !== "" || reasoning !== "" || calls.length > 0) this.#markFirstToken();
      this.#give(split?.content ?? "", reasoning, calls);
    }
    // Some repeat it in every frame that follows: the wait for the end is not begun anew.
    if (typeof finishReason === "string" && finishReason !== "" && !this.#finishReason) {
      this.#markFirstToken();
      this.#finishReason = finishReason;
      this.#finishedAt = performance.now();
      this.#reader.markFinish();
    }
  }

  #give(
    content: string,
    reasoning: string,
    toolCalls: StreamingChunk["toolCalls"] = NO_CALLS,
  ): void {
    if (content === "" && reasoning === "" && toolCalls.length === 0) return;
    const chunk: StreamingChunk = { content, isFinal: false };
    this.#content += content;
    if (reasoning !== "") {
      this.#reasoning += reasoning;
      chunk.reasoning = reasoning;
    }
    if (toolCalls.length > 0) chunk.toolCalls = toolCalls;
    this.#queue.push(chunk);
  }

  #markFirstToken(): void {
    if (this.#firstTokenAt !== undefined) return;
    this.#firstTokenAt = performance.now();
    this.#reader.markFirstToken();
    this.#reader.status({ phase: "generating" });
  }

  #takeDone(): void {
    if (this.#raw === undefined) throw this.error("the stream was empty", "stream_truncated");
    this.#finish();
  }

  #takeEnd(unfinished: SseEvent | undefined): void {
    if (unfinished?.data.trim() === "[DONE]") return this.#takeDone();
    if (this.#finishReason !== undefined) return this.#finish();
    const state = this.#raw === undefined ? "the stream was empty" : "the stream broke off";
    throw this.error(state, "stream_truncated");
  }

  #finish(): void {
    const { content, reasoning } = this.#think.end();
    this.#give(content, reasoning);
    this.#finishedAt ??= performance.now();
    const finishReason = repairFinishReason(this.#finishReason, this.#tools.calls());
    this.#giveFinal(finishReason, this.#usage, this.#stats());
  }

  #giveFinal(
    finishReason: CompletionResponse["finishReason"],
    usage: Usage | undefined,
    stats: GenerationStats | undefined,
  ): void {
    this.#queue.push({
      content: "",
      isFinal: true,
      model: this.#answeringModel(),
      finishReason,
      ...(usage === undefined ? {} : { usage }),
      ...(stats === undefined ? {} : { stats }),
    });
    this.#isOver = true;
  }

  /** A server that does not stream answers with the whole; it may be an error under 200. */
  #takeWholeAnswer(status: number, text: string): void {
    const { context } = this.#reader;
    const value = decodeJson(status, text, context);
    const whole = decodeCompletion(value, performance.now() - this.#startedAt, context);
    this.#markFirstToken();
    this.#model = whole.model;
    this.#give(
      whole.content,
      whole.reasoning ?? "",
      whole.toolCalls.map((call, index) => ({ index, ...call })),
    );
    this.#whole = whole;
    this.#giveFinal(whole.finishReason, whole.usage, whole.stats);
  }

  /** Where the server does not say, the model that was asked. */
  #answeringModel(): string {
    return this.#model || textOf(this.#request.body.model);
  }

  #stats(): GenerationStats {
    if (this.#serverStats !== undefined) return this.#serverStats;
    const finishedAt = this.#finishedAt ?? performance.now();
    const firstTokenAt = this.#firstTokenAt ?? finishedAt;
    return measureStats(this.#usage, finishedAt - firstTokenAt, firstTokenAt - this.#startedAt);
  }
}

/** The JSON of an event; `undefined` when it is none. */
function parseFrame(data: string): unknown {
  try {
    return JSON.parse(data);
  } catch {
    return undefined;
  }
}

const NO_CALLS: NonNullable<StreamingChunk["toolCalls"]> = [];
