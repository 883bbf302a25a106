/**
 * `POST /api/v1/chat` with `stream: true`: the events of one answer. Ends with `chat.end`, not with the body:
 * some servers leave the connection open.
 *
 * @see https://lmstudio.ai/docs/developer/rest/streaming-events
 * @module
 */

import {
  type AnyProviderError,
  isProviderError,
  type StreamError,
  withResponse,
} from "../core/errors.ts";
import type { ChatEvent, ChatResponse } from "../core/chat.ts";
import { parseJson } from "../core/plain_text.ts";
import { isRecord } from "../core/request_checks.ts";
import type { CallOptions, CallStatus, PartialAnswer } from "../core/types.ts";
import {
  callError,
  errorFromWire,
  readWireError,
  startOf,
  type WireError,
} from "../transport/error_mapping.ts";
import type { EventReader } from "../transport/event_reader.ts";
import type { SseEvent } from "../transport/sse.ts";
import { decodeJson, malformedResponse, type Transport } from "../transport/transport.ts";
import { chatRequest, decodeChatAnswer, type UnreadableAnswer } from "./chat.ts";
import { decodeChatEvent } from "./chat_fields.ts";
import { callsOfOutput, ChatTranscript } from "./chat_transcript.ts";
import { measureStreamStats, millisecondsOf } from "./usage.ts";
import { PulledItems } from "./pulled_items.ts";
import { TOO_MANY_HINT, TOO_MANY_ITEMS } from "./wire_choice.ts";
import type { ThinkTags } from "./think_splitter.ts";

/** What a streamed chat is asked with. */
export interface NativeChatStreamRequest {
  /** As `encodeChatRequest` gives it, with the model. */
  readonly body: Record<string, unknown>;
  readonly action: string;
  readonly options: CallOptions;
  /** Of thoughts in messages. */
  readonly tags: ThinkTags;
  /** Told that the server loads a model, and that it has. */
  readonly onModelLoad: () => void;
}

/** One streamed chat: `next()` until it gives `undefined`, then `response()`. */
export class NativeChatStream {
  readonly #reader: EventReader;
  readonly #options: CallOptions;
  readonly #onModelLoad: () => void;
  readonly #tags: ThinkTags;
  readonly #transcript: ChatTranscript;
  readonly #startedAt = performance.now();
  readonly #items = new PulledItems<ChatEvent>(() => this.#fill());
  /** What an `error` event said; the answer may follow. */
  #wireError: WireError | undefined;
  #isEmpty = true;
  #phase: CallStatus["phase"] = "waiting";
  #firstTokenAt: number | undefined;
  #modelInstanceId: string;
  #modelLoadMs: number | undefined;
  #answer: ChatResponse | undefined;
  #finalEvent: ChatEvent | undefined;

  constructor(transport: Transport, request: NativeChatStreamRequest) {
    const { body, action, options, tags, onModelLoad } = request;
    this.#tags = tags;
    this.#transcript = new ChatTranscript(tags);
    this.#options = options;
    this.#onModelLoad = onModelLoad;
    this.#modelInstanceId = typeof body.model === "string" ? body.model : "";
    this.#reader = transport.events({
      ...chatRequest({ ...body, stream: true }, action),
      partial: () => this.partial(),
    }, options);
  }

  /** The next event; `undefined` after the final one. */
  next(): Promise<ChatEvent | undefined> {
    return this.#items.next();
  }

  /** An event that is there already. */
  take(): ChatEvent | undefined {
    return this.#items.take();
  }

  /** Whether the answer is whole, and well, with this event. */
  isFinal(event: ChatEvent): boolean {
    return event === this.#finalEvent;
  }

  /** Stops the server and lets go of the connection. Idempotent. */
  close(): void {
    this.#reader.close();
  }

  /** What has arrived, if anything has. */
  partial(): PartialAnswer | undefined {
    if (this.#answer === undefined) return this.#transcript.partial();
    const { content, reasoning, output } = this.#answer;
    const toolCalls = callsOfOutput(output);
    if (content === "" && reasoning === undefined && toolCalls.length === 0) {
      return this.#transcript.partial();
    }
    return { content, ...(reasoning === undefined ? {} : { reasoning }), toolCalls };
  }

  /** The whole answer, once `next()` has given `undefined`. */
  response(): ChatResponse {
    if (this.#answer === undefined) throw this.#brokenOff();
    return this.#answer;
  }

  async #fill(): Promise<void> {
    try {
      const pull = await this.#reader.pull();
      if (pull.kind === "text") await this.#takeWholeAnswer(pull.status, pull.text);
      else if (pull.kind === "events") await this.#takeEvents(pull.events);
      else await this.#takeEnd(pull.unfinished);
    } catch (error) {
      this.#fail(error);
    }
    if (this.#items.isOver) this.close();
  }

  #fail(error: unknown): void {
    const isAborted = this.#options.signal?.aborted === true;
    // What broke after the server had said what is wrong says less.
    const isLess = this.#wireError !== undefined && !isAborted && isProviderError(error);
    this.#items.fail(isLess ? this.#serverError(this.#wireError) : error);
  }

  async #takeEvents(events: readonly SseEvent[]): Promise<void> {
    for (const event of events) {
      const end = this.#takeEvent(event);
      if (end !== undefined) return await this.#takeAnswer(end.result);
    }
  }

  /** Gives the frame of `chat.end`. */
  #takeEvent(event: SseEvent): Record<string, unknown> | undefined {
    const data = event.data.trim();
    if (data === "") return undefined;
    if (data === "[DONE]") throw this.#brokenOff();
    const frame = parseJson(data);
    const type = isRecord(frame) && typeof frame.type === "string" ? frame.type : event.event;
    // One without a kind is of a server that fails before it knows what is asked for.
    if (type === "error" || (type === "" && readWireError(frame) !== undefined)) {
      this.#takeError(frame, data);
      return undefined;
    }
    if (!isRecord(frame)) {
      const state = frame === undefined ? "not JSON" : "no object";
      throw this.#malformed(`an event that is ${state}${startOf(data, this.#reader.context)}`);
    }
    if (type === "") throw this.#malformed("an event without a type");
    this.#isEmpty = false;
    if (type === "chat.end") return frame;
    const decoded = decodeChatEvent(type, frame);
    // Arguments of calls are kept as well.
    if (type.startsWith("tool_call.")) this.#reader.countText(data.length);
    this.#heed(decoded);
    this.#transcript.take(decoded);
    if (this.#transcript.isOverfull) throw this.#malformed(TOO_MANY_ITEMS, TOO_MANY_HINT);
    this.#items.push(decoded);
    return undefined;
  }

  /** What an event means for the timers, for `onStatus` and for the answer. */
  #heed(event: ChatEvent): void {
    switch (event.type) {
      case "chat.start":
        this.#modelInstanceId = event.modelInstanceId || this.#modelInstanceId;
        break;
      case "model_load.start":
        this.#onModelLoad();
        this.#tell("loading");
        break;
      case "model_load.progress":
        this.#tell("loading", event.progress);
        break;
      case "model_load.end":
        this.#onModelLoad();
        if (event.loadTimeSeconds > 0) this.#modelLoadMs = millisecondsOf(event.loadTimeSeconds);
        break;
      case "prompt_processing.start":
        this.#tell("processing");
        break;
      case "prompt_processing.progress":
        this.#tell("processing", event.progress);
        break;
      case "message.delta":
      case "reasoning.delta":
        if (event.content === "") break;
        this.#reader.countText(event.content.length);
        this.#markToken();
        break;
      case "tool_call.start":
      case "tool_call.arguments":
      case "tool_call.success":
      case "tool_call.failure":
        this.#markToken();
        break;
      default:
        // `tool_call.name` is not documented: the model has begun a call, and writes its arguments.
        if (event.type.startsWith("tool_call.")) this.#markToken();
    }
  }

  #tell(phase: CallStatus["phase"], progress?: number): void {
    this.#phase = phase;
    this.#reader.status(progress === undefined ? { phase } : { phase, progress });
  }

  #markToken(): void {
    if (this.#firstTokenAt === undefined) {
      this.#firstTokenAt = performance.now();
      this.#reader.markFirstToken();
    }
    // After a tool the prompt is processed again.
    if (this.#phase !== "generating") this.#tell("generating");
  }

  #takeError(frame: unknown, data: string): void {
    const wire = readWireError(frame) ??
      { message: isRecord(frame) && typeof frame.message === "string" ? frame.message : data };
    const { type = "unknown", message, code, param } = wire;
    this.#isEmpty = false;
    // MCP servers echo what they do not like: the headers of the request.
    const { redact } = this.#reader.context;
    this.#items.push({
      type: "error",
      error: {
        type: ERROR_TYPES.has(type) ? type : redact(type),
        message: redact(message),
        ...(code === undefined ? {} : { code: redact(code) }),
        ...(param === undefined ? {} : { param: redact(param) }),
      },
    });
    // The first says what went wrong; what else fails by it does not put off the end.
    if (this.#wireError !== undefined) return;
    this.#wireError = wire;
    this.#reader.markFirstToken();
    this.#reader.markFinish();
  }

  async #takeEnd(unfinished: SseEvent | undefined): Promise<void> {
    const frame = parseJson(unfinished?.data ?? "");
    // JSON that is whole was not cut, whatever is missing behind it.
    if (isRecord(frame) && frame.type === "chat.end") return await this.#takeAnswer(frame.result);
    throw this.#brokenOff();
  }

  /** A server that does not stream answers with the whole; it may be an error under 200. */
  async #takeWholeAnswer(status: number, text: string): Promise<void> {
    const value = decodeJson(status, text, this.#reader.context);
    this.#markToken();
    await this.#takeAnswer(
      value,
      ({ fault, issues, hint }) =>
        malformedResponse(`the answer has ${fault}`, value, this.#reader.context, issues, hint),
    );
  }

  async #takeAnswer(
    result: unknown,
    errorOf: (unreadable: UnreadableAnswer) => Error = ({ fault, hint }) =>
      this.#malformed(
        hint === undefined ? "a `chat.end` without an answer" : `a \`chat.end\` with ${fault}`,
        hint,
      ),
  ): Promise<void> {
    // At once: the connection may stay open for as long as we do.
    this.close();
    this.#items.finish();
    const finishedAt = performance.now();
    const firstTokenAt = this.#firstTokenAt ?? finishedAt;
    const decoded = await decodeChatAnswer(result, {
      modelInstanceId: this.#modelInstanceId,
      tags: this.#tags,
      modelLoadMs: this.#modelLoadMs,
      measure: (usage) =>
        measureStreamStats(usage, finishedAt - firstTokenAt, firstTokenAt - this.#startedAt),
    });
    if ("issues" in decoded) throw errorOf(decoded);
    this.#answer = decoded.response;
    const event: ChatEvent = { type: "chat.end", result: decoded.response };
    this.#items.push(event);
    if (this.#wireError === undefined) this.#finalEvent = event;
    else this.#items.fail(this.#serverError(this.#wireError));
  }

  /** What the server said, with the answer where that had come. */
  #serverError(wire: WireError | undefined): AnyProviderError {
    const error = errorFromWire(wire ?? { message: "" }, undefined, this.#reader.context);
    return this.#answer === undefined ? error : withResponse(error, this.#answer);
  }

  #brokenOff(): StreamError {
    return this.#error(
      this.#isEmpty
        ? "the stream was empty"
        : "the stream broke off: it ended without its `chat.end`",
      "stream_truncated",
      CUT_HINT,
    );
  }

  #malformed(what: string, hint?: string): StreamError {
    return this.#error(`the stream has ${what}`, "malformed_stream", hint);
  }

  #error(
    state: string,
    code: "stream_truncated" | "malformed_stream",
    hint?: string,
  ): StreamError {
    const { context } = this.#reader;
    return callError(context, code, state, { hint });
  }
}

/** As documented. Programs tell errors by them, so none is masked where a prompt has the same word in it. */
const ERROR_TYPES: ReadonlySet<string> = new Set([
  "invalid_request",
  "unknown",
  "mcp_connection_error",
  "plugin_connection_error",
  "not_implemented",
  "model_not_found",
  "model_load_failed",
  "job_not_found",
  "internal_error",
]);

/** A schema that is no grammar, for one, ends a stream without a word. */
const CUT_HINT =
  "LM Studio's server log (`lms log stream`) says why. `partial` has what had arrived; tools may have run.";
