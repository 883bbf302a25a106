/**
 * Streamed answers of the OpenAI-compatible routes: JSON frames that end with `[DONE]`. Subclasses of the reader read
 * what the choices hold. Decoded by hand, because this runs per token.
 *
 * @module
 */

import { parseJson } from "../core/plain_text.ts";
import { isRecord } from "../core/fields.ts";
import type { FinishReason, GenerationStats, StreamingChunk, Usage } from "../core/types.ts";
import { Ending, finishReasonOf, type FrameContent } from "../transport/event_reader.ts";
import { errorFromWire, readWireError } from "../transport/error_mapping.ts";
import type { SseEvent } from "../transport/sse.ts";
import {
  decodeServerStats,
  decodeUsage,
  firstChoice,
  textOf,
  TOO_MANY_HINT,
} from "./answer_parts.ts";
import { AnswerReader, type Body } from "./route.ts";

/** Fields that every framed answer has, whatever the route. */
interface FrameAnswer {
  model: string;
  finishReason: FinishReason;
  usage?: Usage;
  stats?: GenerationStats;
}

/** Fields of an answer that are collected over all frames, apart from the choices. */
export interface FrameSummary {
  readonly id: string;
  readonly model: string;
  readonly finishReason: FinishReason;
  readonly more: { usage?: Usage; stats: GenerationStats; raw: unknown };
}

/** Fields of the body that ask for a stream with usage. */
export function frameFields({ stream_options: own }: Body): Body {
  return { stream_options: askForUsage(own), stream: true };
}

/**
 * The server sends usage only if asked. The user's own options are kept, even `include_usage: false`; a value that is
 * not an object is sent unchanged.
 */
function askForUsage(own: unknown): unknown {
  if (own === undefined) return { include_usage: true };
  if (!isRecord(own) || own.include_usage !== undefined) return own;
  return { ...own, include_usage: true };
}

/** Reads one streamed answer that arrives in frames. */
export abstract class FrameReader<Answer extends FrameAnswer>
  extends AnswerReader<StreamingChunk, Answer> {
  readonly #ending = new Ending(this.events);
  readonly #envelope = new Envelope();
  /** Whether the last frame was text without a finish reason: another one like it changes no state. */
  #isFlowing = false;
  #id = "";
  #model = "";
  #usage: Usage | undefined;
  #serverStats: GenerationStats | undefined;
  /** The last frame, or its text if it was not parsed. */
  #raw: unknown;
  #rawText: string | undefined;

  /** Takes one choice; returns what part of the answer it holds. */
  protected abstract takeChoice(
    choice: Record<string, unknown>,
    items: StreamingChunk[],
  ): FrameContent;

  /** The text of a choice that holds nothing else worth reading; `""` for any other choice. */
  protected abstract plainText(choice: Record<string, unknown>): string;

  /** Takes the text of such a choice; otherwise like `takeChoice`. */
  protected abstract takePlainText(text: string, items: StreamingChunk[]): FrameContent;

  /** Adds the text that was held back, now that nothing follows. */
  protected abstract takeRest(items: StreamingChunk[]): void;

  /** The finish reason to report; `undefined` if the server sent none. */
  protected abstract finishReasonFor(reason: string | undefined): FinishReason;

  /** Adds the chunks of a whole answer, except the final one. */
  protected abstract giveWhole(whole: Answer, items: StreamingChunk[]): void;

  /** The answer, assembled from the frames received. */
  protected abstract answerOf(summary: FrameSummary): Answer;

  protected override takeEvents(events: readonly SseEvent[], items: StreamingChunk[]): boolean {
    for (const event of events) {
      const text = event.event === "" ? this.#envelope.textOf(event.data) : undefined;
      if (text !== undefined) {
        this.#rawText = event.data;
        const content = this.takePlainText(text, items);
        if (content !== "text" || !this.#isFlowing) this.#takeContent(content, undefined);
      } else if (this.takeAnyEvent(event, items)) return true;
    }
    return false;
  }

  protected override takeEvent(event: SseEvent, items: StreamingChunk[]): boolean {
    const { data } = event;
    const frame = parseJson(data);
    if (event.event === "error" || (isRecord(frame) && frame.error !== undefined)) {
      this.#takeErrorFrame(event, frame);
    }
    if (!isRecord(frame)) throw this.unreadable(frame, data);
    this.#raw = frame;
    this.#rawText = undefined;
    if (this.#id === "") this.#id = textOf(frame.id);
    if (this.#model === "") {
      this.#model = textOf(frame.model);
      if (this.#model !== "") this.noteModel(this.#model);
    }
    if (frame.usage) this.#usage = decodeUsage(frame.usage, frame.timings) ?? this.#usage;
    if (frame.stats || frame.timings) {
      this.#serverStats = decodeServerStats(frame) ?? this.#serverStats;
    }
    const choice = Array.isArray(frame.choices) ? firstChoice(frame.choices) : undefined;
    if (choice === undefined) return false;
    const content = this.takeChoice(choice, items);
    this.#takeContent(content, finishReasonOf(choice.finish_reason));
    if (event.event === "") this.#envelope.learn(data, frame, this.#plainTextOf);
    return false;
  }

  /** The text of a frame that holds nothing else, or nothing new. */
  readonly #plainTextOf = (frame: unknown): string => {
    if (!isRecord(frame) || !Array.isArray(frame.choices)) return "";
    if (frame.error !== undefined || frame.usage || frame.stats || frame.timings) return "";
    const choice = firstChoice(frame.choices);
    if (choice === undefined || finishReasonOf(choice.finish_reason) !== undefined) return "";
    return this.plainText(choice);
  };

  #takeErrorFrame({ event, data }: SseEvent, frame: unknown): void {
    // Whatever an `error` event holds, it is not part of the answer.
    const unread = isRecord(frame) ? textOf(frame.message) : data;
    const wire = readWireError(frame) ?? (event === "error" ? { message: unread } : undefined);
    if (wire !== undefined) throw errorFromWire(wire, undefined, this.context);
  }

  #takeContent(content: FrameContent, reason: string | undefined): void {
    this.#isFlowing = content === "text" && reason === undefined;
    if (content !== "nothing" || reason !== undefined) this.markToken();
    const wasFinished = this.#ending.isFinished;
    this.#ending.take(content, reason);
    if (content === "nothing" && wasFinished) return;
    this.finishedAt = reason === undefined ? undefined : performance.now();
  }

  protected override takeDone(items: StreamingChunk[]): boolean {
    if (this.#isEmpty) throw this.error("the stream was empty", "stream_truncated");
    return this.#giveFinal(items);
  }

  protected override takeEnd(_unfinished: SseEvent | undefined, items: StreamingChunk[]): boolean {
    if (this.#ending.isWhole) return this.#giveFinal(items);
    const state = this.#isEmpty ? "the stream was empty" : "the stream was cut off";
    throw this.error(state, "stream_truncated");
  }

  protected override takeWhole(whole: Answer, items: StreamingChunk[]): void {
    this.noteUsage(whole.usage);
    this.giveWhole(whole, items);
    this.judge(() => whole);
    items.push(finalChunk(whole.model || this.askedModel, whole));
  }

  protected override assemble(): Answer {
    const { usage, stats } = this.#figures();
    return this.answerOf({
      id: this.#id,
      model: this.#answeringModel,
      finishReason: this.finishReasonFor(this.#ending.reason),
      more: {
        ...(usage === undefined ? {} : { usage }),
        stats,
        raw: this.#rawText === undefined ? this.#raw : parseJson(this.#rawText),
      },
    });
  }

  #giveFinal(items: StreamingChunk[]): true {
    this.takeRest(items);
    this.finishedAt ??= performance.now();
    this.noteUsage(this.#usage);
    this.judge(() => this.assemble());
    const finishReason = this.finishReasonFor(this.#ending.reason);
    items.push(finalChunk(this.#answeringModel, { finishReason, ...this.#figures() }));
    return true;
  }

  #figures(): { usage: Usage | undefined; stats: GenerationStats } {
    const usage = this.#usage;
    return { usage, stats: this.#serverStats ?? this.measure(usage) };
  }

  get #isEmpty(): boolean {
    return this.#raw === undefined;
  }

  /** The model that answered; the one requested if the server does not say. */
  get #answeringModel(): string {
    return this.#model || this.askedModel;
  }

  /** The error for an answer over a limit. */
  protected tooMuch(what: string): Error {
    return this.error(`the stream has ${what}`, "malformed_stream", TOO_MANY_HINT);
  }
}

function finalChunk(
  model: string,
  { finishReason, usage, stats }: {
    readonly finishReason: FinishReason;
    readonly usage?: Usage | undefined;
    readonly stats?: GenerationStats | undefined;
  },
): StreamingChunk {
  return {
    content: "",
    isFinal: true,
    model,
    finishReason,
    ...(usage === undefined ? {} : { usage }),
    ...(stats === undefined ? {} : { stats }),
  };
}

/** Most frames parsed before another envelope is learned, while none matches: learning each would cost more. */
const LONGEST_PAUSE = 64;

/**
 * The JSON around the text of a frame. Most frames of a stream differ only in their text, and cutting that out is
 * several times faster than parsing the frame.
 *
 * If a frame has the same bytes before and after its text, and a valid JSON string between them, it is the same frame
 * with another text: nothing is guessed. All other frames are parsed.
 */
class Envelope {
  /** Everything up to the quote before the text. */
  #before = "";
  /** Everything from the quote after the text. */
  #after = "";
  /** Whether any frame has matched this envelope. */
  #isUsed = false;
  #pause = 0;
  #nextPause = 0;

  /** The text of a frame that matches this envelope. */
  textOf(data: string): string | undefined {
    const from = this.#before.length;
    const to = data.length - this.#after.length;
    if (from === 0 || to <= from) return undefined;
    // Faster than `startsWith` and `endsWith`, which compare character by character.
    if (data.slice(to) !== this.#after || data.slice(0, from) !== this.#before) return undefined;
    this.#isUsed = true;
    const text = data.slice(from, to);
    return SPECIAL.test(text) ? unquote(text) : text;
  }

  /**
   * Learns the envelope of a frame.
   *
   * @param textOf returns the text of a frame that holds nothing else worth reading, `""` for any other.
   */
  learn(data: string, frame: unknown, textOf: (frame: unknown) => string): void {
    if (this.#pause > 0) {
      this.#pause--;
      return;
    }
    const text = textOf(frame);
    if (text === "") return;
    this.#nextPause = this.#isUsed ? 0 : Math.min(2 * this.#nextPause + 1, LONGEST_PAUSE);
    this.#pause = this.#nextPause;
    this.#isUsed = false;
    this.#before = "";
    const quoted = JSON.stringify(text);
    const at = data.lastIndexOf(quoted);
    if (at === -1) return;
    const before = data.slice(0, at + 1);
    const after = data.slice(at + quoted.length - 1);
    // The match may be another field with the same value: replacing it shows whether it is the text.
    const other = text === "a" ? "b" : "a";
    if (textOf(parseJson(before + other + after)) !== other) return;
    this.#before = copy(before);
    this.#after = copy(after);
  }
}

/** A copy of a text that shares no memory: a slice keeps alive the whole read it was cut from. */
function copy(text: string): string {
  return JSON.parse(JSON.stringify(text));
}

/** Characters that a JSON string must escape, or that end it. */
// deno-lint-ignore no-control-regex
const SPECIAL = /["\\\u0000-\u001f]/;

/** Decodes a JSON string that has lost its quotes; `undefined` if it is not valid. */
function unquote(text: string): string | undefined {
  const value = parseJson(`"${text}"`);
  return typeof value === "string" ? value : undefined;
}

/**
 * Text that grows by small chunks. Joined in blocks: with `+=` alone, each chunk would keep alive the whole read it was
 * cut from.
 */
export class GrowingText {
  #blocks = "";
  #recent: string[] = [];

  /** Adds a chunk. */
  push(chunk: string): void {
    if (this.#recent.push(chunk) < CHUNKS_PER_BLOCK) return;
    this.#blocks += this.#recent.join("");
    this.#recent = [];
  }

  /** The whole text. */
  toString(): string {
    return this.#blocks + this.#recent.join("");
  }
}

const CHUNKS_PER_BLOCK = 64;
