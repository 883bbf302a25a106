/**
 * Bodies of answers forwarded to another client. Bytes pass through as they arrive; timeouts run only while the client
 * waits. A body that breaks off throws, because the client would take it for complete otherwise.
 *
 * @module
 */

import { parseJson } from "../core/plain_text.ts";
import { isRecord } from "../core/fields.ts";
import type { Call } from "./call.ts";
import { concatenate } from "./body.ts";
import { Ending, finishReasonOf, type FrameContent } from "./event_reader.ts";
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

/** Read only on demand: otherwise timeouts would run during the client's own pauses. */
const ON_DEMAND = { highWaterMark: 0 };
/** Maximum size of an error; anything longer is passed on unchanged. */
const MAX_ERROR_BYTES = 64 * 1024;

/** The body unchanged. The call ends with it. */
export function bytesBody(
  response: Response,
  call: Call,
  idleTimeoutMs: number,
): ReadableStream<Uint8Array> {
  const reader = response.body?.getReader();
  // A user's own `fetch` may not have tied the body to the signal.
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

/** The body of an error: unchanged, unless it is JSON in a shape the client cannot read. The call ends with it. */
export function errorBody(
  response: Response,
  call: Call,
  idleTimeoutMs: number,
  style: ErrorStyle,
): ReadableStream<Uint8Array> {
  const reader = bytesBody(response, call, idleTimeoutMs).getReader();
  /** Start of the body, which may be such JSON. */
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

/** Kind of events in a stream. */
export type StreamKind = "completions" | "messages" | "other";

/** A stream forwarded to another client. */
export interface ForwardedStream {
  readonly reader: EventReader;
  /** The kind of route. Only in completions and messages can a normal end be distinguished from a cut. */
  readonly kind: StreamKind;
  /** Whether it ends with the first finish reason. */
  readonly isSingle: boolean;
}

/**
 * The events as they arrive, each complete. Comments, which only keep the connection open, are left out. The call ends
 * with this body.
 *
 * @param first a pull already made.
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

/** Watches a stream to see whether the model has begun, and whether it has finished. */
class Watch {
  isDone = false;
  readonly #stream: ForwardedStream;
  #hasToken = false;
  #isEmpty = true;
  /** End of the one answer, or of the last one with content. */
  readonly #ending: Ending;
  /** Whether the stream contained an error, which the client throws itself. */
  #hasError = false;

  constructor(stream: ForwardedStream) {
    this.#stream = stream;
    // With several answers, the first may finish long before the others, so the timeouts stay as they are.
    this.#ending = new Ending(stream.isSingle ? stream.reader : NO_TIMEOUTS);
  }

  /** Processes a pull and returns the text to write. @throws {StreamError} if the stream was cut off. */
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
      const state = this.#isEmpty ? "the stream was empty" : "the stream was cut off";
      throw callError(reader.context, "stream_truncated", state, {
        // The client already has the answer so far.
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
      // Ignore anything after `[DONE]`.
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
    // Within a text, the quotes would be escaped.
    const mayFinish = this.#ending.isFinished || /"finish_reason"\s*:\s*"/.test(data);
    // An event with content only, as nearly all are, does not have to be parsed.
    if (mayFinish) this.#takeFrame(parseJson(data));
    else if (event === "error" || /"error"\s*:\s*["{]/.test(data)) this.#hasError = true;
    else this.#ending.take("text", undefined);
  }

  /** Processes an event of `/v1/messages`. `message_delta` has the stop reason, and `message_stop` comes last. */
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
      // With several answers, content after the end of one may belong to another.
      const content = this.#stream.isSingle ? contentOf(choice) : "nothing";
      this.#ending.take(content, finishReasonOf(choice.finish_reason));
    }
    if (isRecord(frame) && frame.error) this.#hasError = true;
  }
}

const NO_TIMEOUTS = { markFinish() {}, markUnfinished() {} };

function isDoneMark({ data }: SseEvent): boolean {
  return data.length < 32 && data.trim() === "[DONE]";
}

function written({ event, data }: SseEvent): string {
  const name = event === "" ? "" : `event: ${event}\n`;
  return `${name}data: ${data.replaceAll("\n", "\ndata: ")}\n\n`;
}

/** Whether the model has begun. Before that, loading and prompt processing may take minutes. */
function isToken(value: unknown): boolean {
  if (!isRecord(value)) return true;
  if (Array.isArray(value.choices)) return value.choices.some(isTokenChoice);
  // Events of `/v1/responses` and similar routes that announce the answer.
  return typeof value.type !== "string" ||
    !/(?:created|queued|in_progress|added|start|started|ping|progress)$/.test(value.type);
}

function isTokenChoice(choice: unknown): boolean {
  if (!isRecord(choice)) return false;
  return contentOf(choice) !== "nothing" || finishReasonOf(choice.finish_reason) !== undefined;
}

function contentOf({ delta, text }: Record<string, unknown>): FrameContent {
  if (isFilled(text)) return "text";
  if (!isRecord(delta)) return "nothing";
  if (isFilled(delta.content) || isFilled(delta.tool_calls)) return "text";
  return isFilled(delta.reasoning) || isFilled(delta.reasoning_content) ? "reasoning" : "nothing";
}

function isFilled(value: unknown): boolean {
  return (typeof value === "string" || Array.isArray(value)) && value.length > 0;
}
