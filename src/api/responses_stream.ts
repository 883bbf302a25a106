/**
 * `POST /v1/responses` with `stream: true`: the events as they are on the wire, told by `type` in their data,
 * as `event:` lines may be missing. They are given out untouched, of whatever type they are.
 *
 * @see https://platform.openai.com/docs/api-reference/responses-streaming
 * @module
 */

import type { StreamError } from "../core/errors.ts";
import { parseJson } from "../core/plain_text.ts";
import { isRecord } from "../core/request_checks.ts";
import type { ResponsesAnswer } from "../core/responses.ts";
import type { ResponsesEvent } from "../core/responses_events.ts";
import type { CallOptions, PartialAnswer } from "../core/types.ts";
import {
  callError,
  errorFromWire,
  readWireError,
  startOf,
  type WireError,
} from "../transport/error_mapping.ts";
import type { EventReader } from "../transport/event_reader.ts";
import type { SseEvent } from "../transport/sse.ts";
import { decodeJson, type Transport, type TransportRequest } from "../transport/transport.ts";
import { MOST_PARTS, textOf, TOO_MANY_HINT, TOO_MANY_ITEMS } from "./wire_choice.ts";
import {
  decodeResponse,
  decodeResponsesUsage,
  fieldsOf,
  partialOf,
  responsesRequest,
} from "./responses.ts";
import { OutputAssembler, type OutputParts } from "./responses_output.ts";
import { PulledItems } from "./pulled_items.ts";
import type { ThinkTags } from "./think_splitter.ts";
import { decodeStats, measureStreamStats } from "./usage.ts";

/** What a streamed response is asked with. */
export interface ResponsesStreamRequest {
  /** As `encodeResponsesRequest` gives it, with the model. */
  readonly body: Record<string, unknown>;
  readonly action: string;
  readonly options: CallOptions;
  /** Tags around thoughts in the answer's texts. */
  readonly tags: ThinkTags;
  /**
   * Told the model that answers, and what has arrived, before the event that names it is given out. What it
   * throws ends the stream.
   */
  readonly onModel: (
    model: string,
    arrived: {
      /** Where the server did not stream. */
      readonly response: ResponsesAnswer | undefined;
      readonly partial: PartialAnswer | undefined;
    },
  ) => void | Promise<void>;
}

type Frame = Readonly<Record<string, unknown>>;

/** With these the answer is over, and nothing after them is read. */
const END_TYPES: ReadonlySet<unknown> = new Set([
  "response.completed",
  "response.incomplete",
  "response.failed",
]);

/** One streamed response: `next()` until it gives `undefined`, then `response()`. */
export class ResponsesStream {
  readonly #reader: EventReader;
  readonly #wireRequest: TransportRequest;
  readonly #onModel: ResponsesStreamRequest["onModel"];
  readonly #tags: ThinkTags;
  readonly #output: OutputAssembler;
  readonly #startedAt = performance.now();
  readonly #items = new PulledItems<ResponsesEvent>(() => this.#fill());
  #isEmpty = true;
  #firstTokenAt: number | undefined;
  #finishedAt: number | undefined;
  /** The response in the latest event that has one. */
  #snapshot: Frame = {};
  #id = "";
  /** Every model that was named as the one that answers, the latest last. */
  readonly #models: string[] = [];
  #checkedModels = 0;
  #whole: ResponsesAnswer | undefined;
  #answer: ResponsesAnswer | undefined;

  constructor(
    transport: Transport,
    { body, action, options, tags, onModel }: ResponsesStreamRequest,
  ) {
    this.#onModel = onModel;
    this.#tags = tags;
    this.#output = new OutputAssembler(tags);
    this.#wireRequest = {
      ...responsesRequest({ ...body, stream: true }, action, tags),
      partial: () => this.partial(),
    };
    this.#reader = transport.events(this.#wireRequest, options);
  }

  /** The next event; `undefined` after the last one. */
  next(): Promise<ResponsesEvent | undefined> {
    return this.#items.next();
  }

  /** An event that is there already: most come several to a read, and waiting costs more than decoding. */
  take(): ResponsesEvent | undefined {
    return this.#items.take();
  }

  /** Whether the answer is whole with this event: after one that failed comes the error. */
  isFinal(event: ResponsesEvent): boolean {
    if (event.type !== "response.completed" && event.type !== "response.incomplete") return false;
    // Typed as what is documented; what came may lack it.
    const response: { readonly status?: unknown } | undefined = event.response;
    return response?.status !== "failed";
  }

  /** Stops the server and lets go of the connection. Idempotent. */
  close(): void {
    this.#reader.close();
  }

  /** What has arrived, if anything has. */
  partial(): PartialAnswer | undefined {
    return partialOf(this.#parts());
  }

  /** The whole answer, once `next()` has given `undefined` or the last event. */
  response(): ResponsesAnswer {
    this.#answer ??= this.#whole ?? this.#toAnswer();
    return this.#answer;
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
    if (!this.#items.isOver) return;
    this.#finishedAt = performance.now();
    this.close();
  }

  /** The first events may repeat the name that was asked, and only the last tell who answered. */
  async #checkModel(): Promise<void> {
    const putTogether = (): PartialAnswer | undefined => this.partial();
    // Each event may name another model, and few names are wrong: only for those it is put together.
    const arrived = {
      response: this.#whole,
      get partial() {
        return putTogether();
      },
    };
    try {
      for (const model of this.#models.slice(this.#checkedModels)) {
        this.#checkedModels++;
        await this.#onModel(model, arrived);
      }
    } catch (error) {
      // Nothing of another model's answer is given out as this one's.
      this.#items.clear();
      this.#items.fail(error);
    }
  }

  #takeSnapshot(response: Frame): void {
    this.#snapshot = response;
    this.#id = textOf(response.id) || this.#id;
    const model = textOf(response.model);
    if (model !== "" && model !== this.#models.at(-1)) this.#models.push(model);
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

  #takeEvent({ event: name, data }: SseEvent): void {
    if (data.trim() === "") return;
    if (data.length < 32 && data.trim() === "[DONE]") return this.#takeDone();
    const frame = parseJson(data);
    if (!isRecord(frame)) {
      // Whatever an `error` event holds, it is no part of the answer.
      if (name === "error") throw this.#errorOf({ message: data });
      const state = frame === undefined ? "not JSON" : "no object";
      const start = startOf(data, this.#reader.context);
      throw this.#streamError(
        `the stream has an event that is ${state}${start}`,
        "malformed_stream",
      );
    }
    const type = typeof frame.type === "string" ? frame.type : "";
    // Beside an event of the answer an error is told to the model, such as a tool's; elsewhere it is the end.
    const isError = name === "error" || type === "error" ||
      (!type.startsWith("response.") && readWireError(frame) !== undefined);
    if (type === "") {
      const wire = readWireError(frame) ?? (isError ? wireErrorOf(frame) : undefined);
      if (wire !== undefined) throw this.#errorOf(wire);
      throw this.#streamError("the stream has an event without a type", "malformed_stream");
    }
    this.#isEmpty = false;
    if (isRecord(frame.response)) this.#takeSnapshot(frame.response);
    // What comes whole is kept as well: texts under ever new places, items.
    this.#reader.countText(typeof frame.delta === "string" ? frame.delta.length : data.length);
    if (this.#output.feed(frame) || END_TYPES.has(type)) this.#markFirstToken();
    if (this.#output.isOverfull || itemCount(this.#snapshot.output) > MOST_PARTS) {
      throw this.#streamError(
        `the stream has ${TOO_MANY_ITEMS}`,
        "malformed_stream",
        TOO_MANY_HINT,
      );
    }
    // As it came: what it holds is the server's to say, and types only describe it.
    this.#items.push(frame as unknown as ResponsesEvent);
    if (isError) throw this.#errorOf(readWireError(frame) ?? wireErrorOf(frame));
    if (!END_TYPES.has(type)) return;
    if (type === "response.failed" || this.#snapshot.status === "failed") {
      throw this.#errorOf(readWireError(this.#snapshot) ?? readWireError(frame) ?? { message: "" });
    }
    this.#items.finish();
  }

  #markFirstToken(): void {
    if (this.#firstTokenAt !== undefined) return;
    this.#firstTokenAt = performance.now();
    this.#reader.markFirstToken();
    this.#reader.status({ phase: "generating" });
  }

  #takeDone(): void {
    if (this.#isEmpty) throw this.#streamError("the stream was empty", "stream_truncated");
    this.#items.finish();
  }

  #takeEnd(unfinished: SseEvent | undefined): void {
    if (unfinished?.data.trim() === "[DONE]") return this.#takeDone();
    const state = this.#isEmpty ? "the stream was empty" : "the stream broke off";
    throw this.#streamError(state, "stream_truncated");
  }

  /** A server that does not stream answers with the whole; it may be an error under 200. */
  #takeWholeAnswer(status: number, text: string): void {
    const { context } = this.#reader;
    const value = decodeJson(status, text, context, this.#wireRequest);
    const elapsedMs = performance.now() - this.#startedAt;
    const whole = decodeResponse(value, elapsedMs, context, this.#tags);
    this.#markFirstToken();
    this.#whole = whole;
    this.#takeSnapshot(value as Frame);
    const type = whole.status === "incomplete" ? "response.incomplete" : "response.completed";
    this.#items.push({ type, response: { ...this.#snapshot, id: whole.id } });
    this.#items.finish();
  }

  #toAnswer(): ResponsesAnswer {
    const response = this.#snapshot;
    const usage = decodeResponsesUsage(response.usage);
    const finishedAt = this.#finishedAt ?? performance.now();
    const firstTokenAt = this.#firstTokenAt ?? finishedAt;
    return {
      id: this.#id,
      model: this.#models.at(-1) ?? textOf(this.#wireRequest.model),
      status: answerStatus(response.status),
      ...fieldsOf(this.#parts()),
      output: this.#output.items(response.output),
      ...(usage === undefined ? {} : { usage }),
      stats: decodeStats(response.stats) ??
        measureStreamStats(usage, finishedAt - firstTokenAt, firstTokenAt - this.#startedAt),
      raw: response,
    };
  }

  /** By the last event, and from the others what it does not repeat. */
  #parts(): OutputParts {
    return this.#output.parts(this.#snapshot.output);
  }

  #errorOf(wire: WireError): Error {
    return errorFromWire(wire, undefined, this.#reader.context);
  }

  /** An error of this stream, with what has arrived. */
  #streamError(
    state: string,
    code: "stream_truncated" | "malformed_stream",
    hint?: string,
  ): StreamError {
    const { context } = this.#reader;
    return callError(context, code, state, { hint });
  }
}

function itemCount(output: unknown): number {
  return Array.isArray(output) ? output.length : 0;
}

/** A stream that is over has no answer in progress, whatever its first events said. */
function answerStatus(status: unknown): string {
  const text = textOf(status);
  return text === "" || text === "in_progress" || text === "queued" ? "completed" : text;
}

/** An `error` event whose fields stand beside its type. */
function wireErrorOf({ message, code, param }: Frame): WireError {
  return readWireError({ error: { message, code, param } }) ?? { message: "" };
}
