/**
 * A streamed answer of the OpenAI-compatible routes: frames of JSON that end with `[DONE]`. What their
 * choices hold is for those who extend it. Decoded by hand, because this runs per token.
 *
 * @module
 */

import type { StreamError } from "../core/errors.ts";
import { parseJson } from "../core/plain_text.ts";
import { isRecord } from "../core/request_checks.ts";
import type {
  CallOptions,
  FinishReason,
  GenerationStats,
  PartialAnswer,
  StreamingChunk,
  Usage,
} from "../core/types.ts";
import {
  callError,
  type ErrorContext,
  errorFromWire,
  readWireError,
  startOf,
} from "../transport/error_mapping.ts";
import { Ending, finishReasonOf, type Piece } from "../transport/ending.ts";
import type { EventReader } from "../transport/event_reader.ts";
import type { SseEvent } from "../transport/sse.ts";
import { decodeJson, type Transport } from "../transport/transport.ts";
import { firstChoice, textOf, TOO_MANY_HINT } from "./wire_choice.ts";
import { PulledItems } from "./pulled_items.ts";
import { decodeServerStats, decodeUsage, measureStreamStats } from "./usage.ts";

/** What a streamed answer is asked with. */
export interface FrameStreamRequest<Answer> {
  /** The body, with the model. */
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
      response: Answer | undefined;
      partial: PartialAnswer | undefined;
    },
  ) => void | Promise<void>;
}

/** What every answer has, whatever it is an answer to. */
interface AnyAnswer {
  model: string;
  finishReason: FinishReason;
  usage?: Usage;
  stats?: GenerationStats;
}

/** What all frames together say, beside the choices. */
export interface StreamSummary {
  readonly id: string;
  readonly model: string;
  readonly finishReason: FinishReason;
  readonly more: { usage?: Usage; stats: GenerationStats; raw: unknown };
}

/** One streamed answer: `next()` until it gives `undefined`, then `response()`. */
export abstract class FrameStream<Answer extends AnyAnswer> {
  readonly #reader: EventReader;
  readonly #request: FrameStreamRequest<Answer>;
  readonly #startedAt = performance.now();
  readonly #items = new PulledItems<StreamingChunk>(() => this.#fill());
  #firstTokenAt: number | undefined;
  #finishedAt: number | undefined;
  #id = "";
  #model = "";
  #isModelChecked = false;
  readonly #ending: Ending;
  /** Of the frame that is being read. */
  #piece: Piece = "nothing";
  #usage: Usage | undefined;
  #serverStats: GenerationStats | undefined;
  #raw: unknown;
  #whole: Answer | undefined;

  constructor(transport: Transport, path: string, request: FrameStreamRequest<Answer>) {
    this.#request = request;
    const { body, action, options } = request;
    this.#reader = transport.events({
      method: "POST",
      path,
      body: { ...body, stream_options: askForUsage(body.stream_options), stream: true },
      policy: "stateless",
      action,
      model: textOf(body.model),
      partial: () => this.partial(),
    }, options);
    this.#ending = new Ending(this.#reader);
  }

  /** What has arrived, if anything has. */
  abstract partial(): PartialAnswer | undefined;

  /** The chunk for one choice, if it has anything for the user; `markPiece()` at whatever is a token. */
  protected abstract takeChoice(choice: Record<string, unknown>): StreamingChunk | undefined;

  /** What was held back, now that nothing follows. */
  protected abstract takeRest(): StreamingChunk | undefined;

  /** The finish reason for people; `undefined` where the server gave none. */
  protected abstract finishReasonFor(reason: string | undefined): FinishReason;

  /** A whole answer, where the server did not stream. */
  protected abstract decodeWhole(value: unknown, elapsedMs: number, context: ErrorContext): Answer;

  /** All of a whole answer in one chunk. */
  protected abstract chunkOf(whole: Answer): StreamingChunk | undefined;

  /** The answer, put together from what came. */
  protected abstract assemble(summary: StreamSummary): Answer;

  /** The next chunk; `undefined` after the final one. */
  next(): Promise<StreamingChunk | undefined> {
    return this.#items.next();
  }

  /** A chunk that is there already: most tokens come several to a read, and waiting costs more than decoding. */
  take(): StreamingChunk | undefined {
    return this.#items.take();
  }

  /** Whether this chunk is the last. */
  isFinal(chunk: StreamingChunk): boolean {
    return chunk.isFinal;
  }

  /** Stops the server and lets go of the connection. Idempotent. */
  close(): void {
    this.#reader.close();
  }

  /** An error of this stream, with what has arrived. */
  error(state: string, code: "stream_truncated" | "malformed_stream", hint?: string): StreamError {
    const { context } = this.#reader;
    return callError(context, code, state, { hint });
  }

  /** The whole answer, once `next()` has given `undefined`. */
  response(): Answer {
    return this.#whole ?? this.assemble({
      id: this.#id,
      model: this.#answeringModel(),
      finishReason: this.finishReasonFor(this.#ending.reason),
      more: {
        ...(this.#usage === undefined ? {} : { usage: this.#usage }),
        stats: this.#stats(),
        raw: this.#raw,
      },
    });
  }

  /** No answer has as much of something. */
  protected tooMuch(what: string): StreamError {
    return this.error(`the stream has ${what}`, "malformed_stream", TOO_MANY_HINT);
  }

  /** The frame has a piece of the answer in it. */
  protected markPiece(piece: Piece): void {
    this.#piece = piece;
    if (this.#firstTokenAt === undefined) this.#markFirstToken();
  }

  /** Text of the answer that is kept. @throws {StreamError} it is too much. */
  protected countText(length: number): void {
    this.#reader.countText(length);
  }

  #markFirstToken(): void {
    if (this.#firstTokenAt !== undefined) return;
    this.#firstTokenAt = performance.now();
    this.#reader.markFirstToken();
    this.#reader.status({ phase: "generating" });
  }

  async #fill(): Promise<void> {
    try {
      const pull = await this.#reader.pull();
      if (pull.kind === "text") this.#takeWholeAnswer(pull.status, pull.text);
      else if (pull.kind === "events") this.#takeEvents(pull.events);
      else this.#takeEnd(pull.unfinished);
    } catch (error) {
      this.#items.fail(error);
    }
    await this.#checkModel();
    if (this.#items.isOver) this.close();
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
      this.#items.clear();
      this.#items.fail(error);
    }
  }

  #takeEvents(events: readonly SseEvent[]): void {
    for (const event of events) {
      try {
        this.#takeEvent(event);
      } catch (error) {
        return this.#items.fail(error);
      }
      if (this.#items.isOver) return;
    }
  }

  #takeEvent(event: SseEvent): void {
    const { data } = event;
    if (data === "" || data.trim() === "") return;
    if (data.length < 32 && data.trim() === "[DONE]") return this.#takeDone();
    const frame = parseJson(data);
    if (event.event === "error" || (isRecord(frame) && frame.error !== undefined)) {
      this.#takeErrorFrame(event, frame);
    }
    if (!isRecord(frame)) {
      const state = frame === undefined ? "not JSON" : "no object";
      const start = startOf(data, this.#reader.context);
      throw this.error(`the stream has an event that is ${state}${start}`, "malformed_stream");
    }
    this.#raw = frame;
    if (this.#id === "") this.#id = textOf(frame.id);
    if (this.#model === "") this.#model = textOf(frame.model);
    if (frame.usage) this.#usage = decodeUsage(frame.usage, frame.timings) ?? this.#usage;
    if (frame.stats || frame.timings) {
      this.#serverStats = decodeServerStats(frame) ?? this.#serverStats;
    }
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
    this.#piece = "nothing";
    this.#give(this.takeChoice(choice));
    const reason = finishReasonOf(choice.finish_reason);
    if (reason !== undefined) this.#markFirstToken();
    const wasFinished = this.#ending.isFinished;
    this.#ending.take(this.#piece, reason);
    if (this.#piece === "nothing" && wasFinished) return;
    this.#finishedAt = reason === undefined ? undefined : performance.now();
  }

  #give(chunk: StreamingChunk | undefined): void {
    if (chunk !== undefined) this.#items.push(chunk);
  }

  #takeDone(): void {
    if (this.#raw === undefined) throw this.error("the stream was empty", "stream_truncated");
    this.#finish();
  }

  #takeEnd(unfinished: SseEvent | undefined): void {
    if (unfinished?.data.trim() === "[DONE]") return this.#takeDone();
    if (this.#ending.isWhole) return this.#finish();
    const state = this.#raw === undefined ? "the stream was empty" : "the stream broke off";
    throw this.error(state, "stream_truncated");
  }

  #finish(): void {
    this.#give(this.takeRest());
    this.#finishedAt ??= performance.now();
    this.#giveFinal(this.finishReasonFor(this.#ending.reason), this.#usage, this.#stats());
  }

  #giveFinal(
    finishReason: FinishReason,
    usage: Usage | undefined,
    stats: GenerationStats | undefined,
  ): void {
    this.#items.push({
      content: "",
      isFinal: true,
      model: this.#answeringModel(),
      finishReason,
      ...(usage === undefined ? {} : { usage }),
      ...(stats === undefined ? {} : { stats }),
    });
    this.#items.finish();
  }

  /** A server that does not stream answers with the whole; it may be an error under 200. */
  #takeWholeAnswer(status: number, text: string): void {
    const { context } = this.#reader;
    const value = decodeJson(status, text, context);
    const whole = this.decodeWhole(value, performance.now() - this.#startedAt, context);
    this.#markFirstToken();
    this.#model = whole.model;
    this.#give(this.chunkOf(whole));
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
    return measureStreamStats(
      this.#usage,
      finishedAt - firstTokenAt,
      firstTokenAt - this.#startedAt,
    );
  }
}

/**
 * Without asking there is no usage. The user's own options are kept, one that says no to usage too; what is
 * no object is sent as it is.
 */
function askForUsage(own: unknown): unknown {
  if (own === undefined) return { include_usage: true };
  if (!isRecord(own) || own.include_usage !== undefined) return own;
  return { ...own, include_usage: true };
}
