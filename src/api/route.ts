/**
 * A route as data, and the base class of the readers of its streams. One generic call and one generic stream
 * (`server/calls.ts`) serve all routes.
 *
 * @module
 */

import type { ContextOverflowPolicy, TrimInfo } from "../core/context_policy.ts";
import type { StreamError } from "../core/errors.ts";
import type { RefusalMaker } from "../core/checks.ts";
import type { RetryPolicy } from "../core/retry.ts";
import type {
  CallOptions,
  CallStatus,
  CompletionRequest,
  GenerationStats,
  PartialAnswer,
  ReasoningTags,
  Usage,
} from "../core/types.ts";
import { callError, type ErrorContext, startOf } from "../transport/error_mapping.ts";
import type { EventReader } from "../transport/event_reader.ts";
import type { SseEvent } from "../transport/sse.ts";
import { decodeJson, type Transport, type TransportRequest } from "../transport/transport.ts";
import { measureStreamStats } from "./answer_parts.ts";
import type { FetchImage } from "./images.ts";
import type { ThinkTags } from "./think_splitter.ts";
import type { ToolUse } from "./tool_use.ts";

/** A JSON object as sent or received. */
export type Body = Readonly<Record<string, unknown>>;

/** Fields that the generic call reads from the request of any route. */
export interface RouteRequest {
  readonly model?: string | undefined;
  readonly reasoningTags?: readonly ReasoningTags[] | undefined;
  readonly textToolCalls?: CompletionRequest["textToolCalls"];
  readonly toolChoice?: CompletionRequest["toolChoice"];
}

/** Context for encoding a request. */
export interface Encoding {
  /** Completes "Cannot …". */
  readonly action: string;
  readonly refusal: RefusalMaker;
  readonly fetchImage: FetchImage;
}

/** What to do if a conversation is longer than the context of its model. */
export interface Overflow {
  readonly policy: Exclude<ContextOverflowPolicy, "error">;
  readonly onTrim: ((info: TrimInfo) => void) | undefined;
  readonly maxTokens: number | undefined;
  /** Whether reasoning is sent as well. */
  readonly withReasoning: boolean;
}

/** Context for decoding an answer. */
export interface Decoding {
  /** For errors; names the model that was requested. */
  readonly context: ErrorContext;
  /** The body that was sent. */
  readonly sent: Body;
  /** Time from sending to the end of the body. */
  readonly elapsedMs: number;
  /** Tag pairs that mark reasoning in the text. */
  readonly tags: ThinkTags;
  /** Present if the request has tools. */
  readonly toolUse?: ToolUse | undefined;
}

/** Model types, as in listings, that routes use. */
export type ModelType = "llm" | "embedding" | "decision";

/** A route: how requests are sent and how answers are read. */
export interface Route<Request extends RouteRequest, Answer> {
  readonly path: string;
  /** First version of the server with the route, if some versions in use lack it. */
  readonly since?: string;
  /** The type of model to choose if the request names none; `llm` by default. */
  readonly modelType?: ModelType;
  /** Whether a request may be sent again. */
  policy(body: Body): RetryPolicy;
  /** Checks a request and returns it in the form `encode` accepts; throws if it cannot be sent. */
  check(input: unknown, refusal: RefusalMaker): Request;
  /** The body of a checked request, without the model. */
  encode(request: Request, encoding: Encoding): Body | Promise<Body>;
  /** Imports what decoding needs, before anything is sent: an answer that cannot be decoded would be lost. */
  load?(action: string): Promise<unknown>;
  /** Rules for the answers to a request with tools; imported before anything is sent, for the same reason. */
  toolUse?(request: RouteRequest, body: Body, action: string): Promise<ToolUse> | undefined;
  /** Decodes a whole answer. */
  decode(value: unknown, decoding: Decoding): Answer | Promise<Answer>;
  /** Throws if a whole answer does not do what the request insists on. Its model has already been compared. */
  judge?(answer: Answer, decoding: Decoding): void;
  /** The model that answered, to compare with the one requested; absent if the route does not compare them. */
  answeredBy?(answer: Answer): string;
  /** What to do with a conversation that does not fit; `undefined` leaves the decision to the server. */
  overflow?(request: Request): Overflow | undefined;
  /** Whether the server loaded a model for this answer, which makes earlier listings stale. */
  hasLoaded?(answer: Answer): boolean;
  /** The partial answer in a whole answer that reports a failure. */
  partialOf?(value: unknown, tags: ThinkTags): PartialAnswer | undefined;
}

/** A route that can also stream its answers. */
export interface StreamedRoute<Request extends RouteRequest, Answer, Item>
  extends Route<Request, Answer> {
  /** Fields of the body that ask for a stream. */
  streamFields(body: Body): Body;
  /** Reads a streamed answer. */
  stream(call: StreamedCall<Answer>): AnswerReader<Item, Answer>;
}

/** The part of an answer received when its model became known. */
export interface ArrivedAnswer<Answer> {
  /** The whole answer, if the server did not stream. */
  readonly response: Answer | undefined;
  readonly partial: PartialAnswer | undefined;
}

/** One streamed call of a route. */
export interface StreamedCall<Answer> {
  readonly transport: Transport;
  readonly request: TransportRequest;
  readonly options: CallOptions;
  readonly tags: ThinkTags;
  /** Present if the request has tools. */
  readonly toolUse?: ToolUse | undefined;
  /**
   * Called with the model that answers, before any item of its answer is given out. If it throws, the stream ends and
   * nothing of that answer is given out.
   */
  readonly onAnsweredBy: (model: string, arrived: ArrivedAnswer<Answer>) => void | Promise<void>;
  /** Called when the server starts loading a model, and when it has finished. */
  readonly onModelLoad: () => void;
  /** Called with the usage of a whole answer. */
  readonly onUsage?: (usage: Usage) => void;
  /** Place in the queue of this program; a call without one neither waits nor keeps others waiting. */
  readonly place?: Place;
}

/** Place of a request in the queue for the models of one server. */
export interface Place {
  /** Time since which nobody has read the stream; `undefined` while it is being read, and for whole answers. */
  unreadSince?: number | undefined;
  /** Waits until the request may be sent; returns nothing if it may be sent at once. */
  enter(): Promise<void> | undefined;
  /** Lets the next request in. Idempotent; if this request has not entered yet, it never will. */
  leave(): void;
}

/** Source of a stream's items, such as one streamed call. The stream, not the source, queues them. */
export interface ItemSource<Item, Answer> {
  /**
   * Waits for more items and adds them to `items`, in order. Items added before a failure are still delivered.
   *
   * @returns whether these were the last ones, which makes the answer whole.
   */
  fill(items: Item[]): Promise<boolean>;
  /** The answer so far; `undefined` if nothing has arrived. */
  partial(): PartialAnswer | undefined;
  /** The whole answer, after the last item. */
  response(): Answer | Promise<Answer>;
  /** Releases everything. Idempotent. */
  close(): void;
}

const OPEN_BRACE = 0x7b;

/** Reads one streamed answer; the subclass of each route interprets its events. */
export abstract class AnswerReader<Item, Answer> implements ItemSource<Item, Answer> {
  /** The stream's events, under its timeouts. */
  protected readonly events: EventReader;
  /** The answer, if the server did not stream. */
  protected whole: Answer | undefined;
  protected finishedAt: number | undefined;
  readonly #route: Pick<Route<RouteRequest, Answer>, "decode" | "judge" | "answeredBy">;
  readonly #call: StreamedCall<Answer>;
  #startedAt = performance.now();
  #hasEntered = false;
  #firstTokenAt: number | undefined;
  /** Models named as the one that answers, not compared yet. */
  #unchecked: string[] = [];

  constructor(
    route: Pick<Route<RouteRequest, Answer>, "decode" | "judge" | "answeredBy">,
    call: StreamedCall<Answer>,
  ) {
    this.#route = route;
    this.#call = call;
    const request = { ...call.request, partial: () => this.partial() };
    this.events = call.transport.events(request, call.options);
  }

  abstract partial(): PartialAnswer | undefined;

  /** Takes an event that is neither blank nor `[DONE]`; returns whether it ends the answer. */
  protected abstract takeEvent(event: SseEvent, items: Item[]): boolean;

  /** Takes `[DONE]`. */
  protected abstract takeDone(items: Item[]): boolean;

  /** Takes the end of the connection, without `[DONE]`. */
  protected abstract takeEnd(unfinished: SseEvent | undefined, items: Item[]): boolean;

  /** Takes a whole answer, from a server that does not stream. */
  protected abstract takeWhole(whole: Answer, items: Item[]): void;

  /** The answer, assembled from what has arrived. */
  protected abstract assemble(): Answer;

  /** Decodes what takes time, after closing the connection: some servers keep it open as long as we do. */
  protected finish?(items: Item[]): Promise<void>;

  /** The error to report: the server may have reported a better one earlier. */
  protected explain(error: unknown): unknown {
    return error;
  }

  async fill(items: Item[]): Promise<boolean> {
    let isOver = false;
    let failure: { readonly error: unknown } | undefined;
    const { place } = this.#call;
    try {
      if (!this.#hasEntered) await this.#enter();
      else if (place !== undefined) place.unreadSince = undefined;
      const pull = await this.events.pull();
      if (pull.kind === "events") isOver = this.takeEvents(pull.events, items);
      else if (pull.kind === "text") isOver = await this.#takeText(pull.status, pull.text, items);
      else isOver = this.#takeEnd(pull.unfinished, items);
      if (isOver) {
        this.finishedAt ??= performance.now();
        this.close();
        await this.finish?.(items);
      }
    } catch (error) {
      failure = { error: this.explain(error) };
    }
    if (this.#unchecked.length > 0) await this.#checkModels(items);
    if (failure === undefined) {
      if (place !== undefined) place.unreadSince = performance.now();
      return isOver;
    }
    this.close();
    throw failure.error;
  }

  close(): void {
    this.events.close();
    this.#call.place?.leave();
  }

  async #enter(): Promise<void> {
    this.#hasEntered = true;
    const entered = this.#call.place?.enter();
    if (entered === undefined) return;
    await entered;
    // Time spent in the queue does not count as the server's.
    this.#startedAt = performance.now();
  }

  response(): Answer {
    return this.whole ?? this.assemble();
  }

  /** Context of the errors of this stream. */
  protected get context(): ErrorContext {
    return this.events.context;
  }

  /** The model that was requested. */
  protected get askedModel(): string {
    return this.#call.request.model ?? "";
  }

  protected get tags(): ThinkTags {
    return this.#call.tags;
  }

  protected get toolUse(): ToolUse | undefined {
    return this.#call.toolUse;
  }

  /** An error of this stream, with what has arrived so far. */
  protected error(
    state: string,
    code: "stream_truncated" | "malformed_stream",
    hint?: string,
  ): StreamError {
    const { context } = this;
    return callError(context, code, state, { hint });
  }

  /** The error for an event that is not a JSON object. @param frame `undefined` if it is not JSON at all. */
  protected unreadable(frame: unknown, data: string): StreamError {
    const state = frame === undefined ? "not JSON" : "not an object";
    const start = startOf(data, this.context);
    return this.error(`the stream has an event that is ${state}${start}`, "malformed_stream");
  }

  /** Records that part of the answer has arrived; returns whether it is the first. */
  protected markToken(): boolean {
    if (this.#firstTokenAt !== undefined) return false;
    this.#firstTokenAt = performance.now();
    this.events.markFirstToken();
    this.status({ phase: "generating" });
    return true;
  }

  /** Reports a status to the caller's `onStatus`. */
  protected status(status: CallStatus): void {
    this.events.status(status);
  }

  /** Records a model named as the one that answers. */
  protected noteModel(model: string): void {
    this.#unchecked.push(model);
  }

  /** Records that the server loads a model. */
  protected noteModelLoad(): void {
    this.#call.onModelLoad();
  }

  /** Reports the usage of the answer, now that it is whole. */
  protected noteUsage(usage: Usage | undefined): void {
    if (usage !== undefined) this.#call.onUsage?.(usage);
  }

  /** Whether the caller has aborted the call. */
  protected get isAborted(): boolean {
    return this.#call.options.signal?.aborted === true;
  }

  /** Statistics measured here. */
  protected measure(usage: Usage | undefined): GenerationStats {
    const finishedAt = this.finishedAt ?? performance.now();
    const firstTokenAt = this.#firstTokenAt ?? finishedAt;
    return measureStreamStats(usage, finishedAt - firstTokenAt, firstTokenAt - this.#startedAt);
  }

  /** Throws if an answer does not do what the request insists on; called before its end is given out. */
  protected judge(answerOf: () => Answer): void {
    const { context, tags, toolUse } = this;
    if (toolUse === undefined) return;
    const { body: sent = {} } = this.#call.request;
    this.#route.judge?.(answerOf(), { context, sent, elapsedMs: 0, tags, toolUse });
  }

  /** Takes the events of one read; returns whether they end the answer. */
  protected takeEvents(events: readonly SseEvent[], items: Item[]): boolean {
    for (const event of events) if (this.takeAnyEvent(event, items)) return true;
    return false;
  }

  /** Takes any event; returns whether it ends the answer. */
  protected takeAnyEvent(event: SseEvent, items: Item[]): boolean {
    const { data } = event;
    if (data.charCodeAt(0) === OPEN_BRACE) return this.takeEvent(event, items);
    const text = data.trim();
    if (text === "") return false;
    return text === "[DONE]" ? this.takeDone(items) : this.takeEvent(event, items);
  }

  #takeEnd(unfinished: SseEvent | undefined, items: Item[]): boolean {
    if (unfinished?.data.trim() === "[DONE]") return this.takeDone(items);
    return this.takeEnd(unfinished, items);
  }

  /** Takes the whole answer of a server that does not stream; it may be an error under status 200. */
  async #takeText(status: number, text: string, items: Item[]): Promise<boolean> {
    const { context } = this;
    const value = decodeJson(status, text, context, this.#call.request);
    const elapsedMs = performance.now() - this.#startedAt;
    const { tags, toolUse } = this;
    const { body: sent = {} } = this.#call.request;
    const whole = await this.#route.decode(value, { context, sent, elapsedMs, tags, toolUse });
    this.markToken();
    this.whole = whole;
    const model = this.#route.answeredBy?.(whole) ?? "";
    if (model !== "") this.noteModel(model);
    this.takeWhole(whole, items);
    return true;
  }

  async #checkModels(items: Item[]): Promise<void> {
    const readPartial = (): PartialAnswer | undefined => this.partial();
    // Every event may name a model, and few names are wrong, so the partial answer is assembled only on demand.
    const arrived: ArrivedAnswer<Answer> = {
      response: this.whole,
      get partial() {
        return readPartial();
      },
    };
    try {
      for (const model of this.#unchecked.splice(0)) await this.#call.onAnsweredBy(model, arrived);
    } catch (error) {
      // Nothing of another model's answer is given out as if it were this one's.
      items.length = 0;
      this.close();
      throw error;
    }
  }
}
