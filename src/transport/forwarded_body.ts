/**
 * Bodies of answers on their way to another client: bytes as they come, with the timers that run only while that
 * client waits, and with errors where it would take an end for the end.
 *
 * @module
 */

import { parseJson } from "../core/plain_text.ts";
import { isRecord } from "../core/fields.ts";
import type { Call } from "./call.ts";
import { Ending, finishReasonOf, type Piece } from "./event_reader.ts";
import { callError, errorFromUndecodable } from "./error_mapping.ts";
import {
  type ErrorStyle,
  PLAIN_ERRORS,
  TYPED_ERRORS,
  withErrorObject,
} from "./forwarded_errors.ts";
import type { EventReader, Pull } from "./event_reader.ts";
import type { SseEvent } from "./sse.ts";
import { startTimer, untilAborted } from "./timers.ts";

/** Nothing is read before it is asked for: timers would run against the client's own pauses. */
const ON_DEMAND = { highWaterMark: 0 };
/** An error is no longer than this; anything longer is passed on as it is. */
const MAX_ERROR_BYTES = 64 * 1024;

/** The body as it is. Ends the call with itself. */
export function bytesBody(
  response: Response,
  call: Call,
  idleTimeoutMs: number,
): ReadableStream<Uint8Array> {
  const reader = response.body?.getReader();
  // A user's own `fetch` may not tie the body to the signal.
  call.signal.addEventListener("abort", () => void reader?.cancel().catch(() => {}));
  const onTime = (): void => call.abort(call.timeoutError("idle", idleTimeoutMs));
  return new ReadableStream({
    async pull(controller) {
      const stopTimer = startTimer(idleTimeoutMs, onTime);
      try {
        const read = reader?.read().catch((cause: unknown) => {
          throw call.signal.aborted ? call.signal.reason : call.resetError(cause);
        });
        const result = await untilAborted(Promise.resolve(read), call.signal);
        if (result?.value !== undefined) return controller.enqueue(result.value);
        controller.close();
        call.finish();
      } catch (error) {
        call.finish();
        throw error;
      } finally {
        stopTimer();
      }
    },
    cancel: () => call.finish(),
  }, ON_DEMAND);
}

/** The body of an error, as it is unless it is JSON whose error is a text. Ends the call with itself. */
export function errorBody(
  response: Response,
  call: Call,
  idleTimeoutMs: number,
  style: ErrorStyle,
): ReadableStream<Uint8Array> {
  const reader = bytesBody(response, call, idleTimeoutMs).getReader();
  /** What may be such JSON. */
  let start: Uint8Array[] | undefined = [];
  let length = 0;
  return new ReadableStream({
    async pull(controller) {
      while (true) {
        const { done, value } = await reader.read();
        if (value !== undefined) {
          length += value.byteLength;
          if (start === undefined) return controller.enqueue(value);
          start.push(value);
        }
        if (!done && length <= MAX_ERROR_BYTES) continue;
        const bytes = concatenate(start ?? []);
        const changed = done ? withErrorObject(new TextDecoder().decode(bytes), style) : undefined;
        const rest = changed === undefined ? bytes : new TextEncoder().encode(changed);
        if (rest.byteLength > 0) controller.enqueue(rest);
        start = undefined;
        return done ? controller.close() : undefined;
      }
    },
    cancel: (reason) => reader.cancel(reason),
  }, ON_DEMAND);
}

function concatenate(pieces: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(pieces.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.byteLength;
  }
  return all;
}

/** Whose events a stream has. */
export type StreamKind = "completions" | "messages" | "other";

/** A stream on its way to another client. */
export interface ForwardedStream {
  readonly reader: EventReader;
  /** The route it comes from: the end of these two can be told from a cut. */
  readonly kind: StreamKind;
  /** Whether it is over with the first finish reason. */
  readonly isSingle: boolean;
}

/**
 * The events as they come, whole and each on its own lines; comments, which only keep a connection open, are left
 * out. Ends the call with itself.
 *
 * @param first what was pulled already.
 */
export function eventsBody(stream: ForwardedStream, first?: Pull): ReadableStream<Uint8Array> {
  const { reader } = stream;
  const watch = new Watch(stream);
  const encoder = new TextEncoder();
  let pulled = first;
  return new ReadableStream({
    async pull(controller) {
      try {
        let text = "";
        while (text === "" && !watch.isDone) {
          const pull = pulled ?? await reader.pull();
          pulled = undefined;
          text = watch.take(pull);
        }
        if (text !== "") controller.enqueue(encoder.encode(text));
        if (!watch.isDone) return;
        controller.close();
        reader.close();
      } catch (error) {
        reader.close();
        throw error;
      }
    },
    cancel: () => reader.close(),
  }, ON_DEMAND);
}

/** What of a stream has to be known: whether the model has begun, and whether it has come to an end. */
class Watch {
  isDone = false;
  readonly #stream: ForwardedStream;
  #hasToken = false;
  #isEmpty = true;
  /** Of the one answer, or of the last one that said something. */
  readonly #ending: Ending;
  /** Whether an error came, which the client raises. */
  #hasError = false;

  constructor(stream: ForwardedStream) {
    this.#stream = stream;
    // Of several answers the first may be finished long before the others: the timers are not told.
    this.#ending = new Ending(stream.isSingle ? stream.reader : NO_TIMERS);
  }

  /** What to write. @throws {StreamError} the stream broke off. */
  take(pull: Pull): string {
    const { reader } = this.#stream;
    if (pull.kind === "events") return this.#takeEvents(pull.events);
    if (pull.kind === "text") {
      const response = { status: pull.status, bodyText: pull.text };
      throw errorFromUndecodable(response, "the answer is not a stream", reader.context);
    }
    this.isDone = true;
    const { unfinished } = pull;
    if (unfinished !== undefined && isDoneMark(unfinished)) return written(unfinished);
    if (this.#stream.kind !== "other" && !this.#hasError && !this.#ending.isWhole) {
      const state = this.#isEmpty ? "the stream was empty" : "the stream broke off";
      throw callError(reader.context, "stream_truncated", state, {
        // What had arrived is with the client.
        hint: "Send the request again.",
      });
    }
    return "";
  }

  #takeEvents(events: readonly SseEvent[]): string {
    let text = "";
    const style = this.#stream.kind === "messages" ? TYPED_ERRORS : PLAIN_ERRORS;
    for (const event of events) {
      if (event.data === "" && event.event === "") continue;
      text += written({ ...event, data: withErrorObject(event.data, style) ?? event.data });
      this.isDone ||= isDoneMark(event);
      // What comes after it is nobody's.
      if (this.isDone) break;
      this.#look(event);
      if (this.isDone) break;
    }
    return text;
  }

  #look({ event, data }: SseEvent): void {
    const { reader, kind } = this.#stream;
    this.#isEmpty = false;
    if (!this.#hasToken && isToken(parseJson(data))) {
      this.#hasToken = true;
      reader.markFirstToken();
    }
    if (kind === "messages") return this.#takeMessageEvent(event, data);
    if (kind === "other") return;
    // Inside of a text the quotes would have a backslash before them.
    const mayFinish = this.#ending.isFinished || /"finish_reason"\s*:\s*"/.test(data);
    // A piece alone needs no look: nearly all are.
    if (mayFinish) this.#takeFrame(parseJson(data));
    else if (event === "error" || /"error"\s*:\s*["{]/.test(data)) this.#hasError = true;
    else this.#ending.take("text", undefined);
  }

  /** Events of `/v1/messages`: the reason to stop stands in `message_delta`, and `message_stop` is the last one. */
  #takeMessageEvent(event: string, data: string): void {
    if (event === "content_block_delta") return this.#ending.take("text", undefined);
    const frame = parseJson(data);
    const type = isRecord(frame) ? frame.type : event;
    if (type === "message_stop") this.isDone = true;
    else if (type === "error") this.#hasError = true;
    else if (type === "content_block_delta") this.#ending.take("text", undefined);
    else if (isRecord(frame) && isRecord(frame.delta)) {
      this.#ending.take("nothing", finishReasonOf(frame.delta.stop_reason));
    }
  }

  #takeFrame(frame: unknown): void {
    const choices = isRecord(frame) && Array.isArray(frame.choices) ? frame.choices : [];
    for (const choice of choices) {
      if (!isRecord(choice)) continue;
      // What comes after the end of one of several answers may be of another.
      const piece = this.#stream.isSingle ? pieceOf(choice) : "nothing";
      this.#ending.take(piece, finishReasonOf(choice.finish_reason));
    }
    if (isRecord(frame) && frame.error) this.#hasError = true;
  }
}

const NO_TIMERS = { markFinish() {}, markUnfinished() {} };

function isDoneMark({ data }: SseEvent): boolean {
  return data.length < 32 && data.trim() === "[DONE]";
}

function written({ event, data }: SseEvent): string {
  const name = event === "" ? "" : `event: ${event}\n`;
  return `${name}data: ${data.replaceAll("\n", "\ndata: ")}\n\n`;
}

/** Whether the model has begun: before, it may load and read the prompt for minutes. */
function isToken(value: unknown): boolean {
  if (!isRecord(value)) return true;
  if (Array.isArray(value.choices)) return value.choices.some(isTokenChoice);
  // Events of `/v1/responses` and its like, which tell of the answer before there is one.
  return typeof value.type !== "string" ||
    !/(?:created|queued|in_progress|added|start|started|ping|progress)$/.test(value.type);
}

function isTokenChoice(choice: unknown): boolean {
  if (!isRecord(choice)) return false;
  return pieceOf(choice) !== "nothing" || finishReasonOf(choice.finish_reason) !== undefined;
}

function pieceOf({ delta, text }: Record<string, unknown>): Piece {
  if (isFilled(text)) return "text";
  if (!isRecord(delta)) return "nothing";
  if (isFilled(delta.content) || isFilled(delta.tool_calls)) return "text";
  return isFilled(delta.reasoning) || isFilled(delta.reasoning_content) ? "thought" : "nothing";
}

function isFilled(value: unknown): boolean {
  return (typeof value === "string" || Array.isArray(value)) && value.length > 0;
}
