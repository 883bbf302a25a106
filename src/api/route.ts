/**
 * A route as data, and the base of the readers of its streams. One generic call and one generic stream
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

/** A JSON object of the wire. */
export type Body = Readonly<Record<string, unknown>>;

/** Fields that the generic call reads, whatever else a route's request has. */
export interface RouteRequest {
  readonly model?: string | undefined;
  readonly reasoningTags?: readonly ReasoningTags[] | undefined;
  readonly textToolCalls?: CompletionRequest["textToolCalls"];
  readonly toolChoice?: CompletionRequest["toolChoice"];
}

/** Tools for encoding a request. */
export interface Encoding {
  /** Completes "Cannot …". */
  readonly action: string;
  readonly refusal: RefusalMaker;
  readonly fetchImage: FetchImage;
}

/** What to do where a conversation is longer than the context of its model. */
export interface Overflow {
  readonly policy: Exclude<ContextOverflowPolicy, "error">;
  readonly onTrim: ((info: TrimInfo) => void) | undefined;
  readonly maxTokens: number | undefined;
  /** Thoughts are sent as well. */
  readonly withReasoning: boolean;
}

/** Facts about an answer beside its body. */
export interface Decoding {
  /** For errors; has the model that was asked. */
  readonly context: ErrorContext;
  /** The body that was sent. */
  readonly sent: Body;
  /** From sending to the end of the body. */
  readonly elapsedMs: number;
  /** Tags of thoughts in the text. */
  readonly tags: ThinkTags;
  /** Where the request has tools. */
  readonly toolUse?: ToolUse | undefined;
}

/** Types of models in listings that requests are for. */
export type ModelType = "llm" | "embedding" | "decision";

/** A route: how it is asked, and how its answers are read. */
export interface Route<Request extends RouteRequest, Answer> {
  readonly path: string;
  /** First version of the server that has the route, where not every version in use does. */
  readonly since?: string;
  /** The type of model to choose where none is named; `llm` by default. */
  readonly modelType?: ModelType;
  /** Whether a request may be sent again. */
  policy(body: Body): RetryPolicy;
  /** Refuses a request that cannot be sent, and returns it in the form `encode` takes. */
  check(input: unknown, refusal: RefusalMaker): Request;
  /** The body of a checked request, but for the model. */
  encode(request: Request, encoding: Encoding): Body | Promise<Body>;
  /** Loads what reads the answers, before anything is sent: one that cannot be read would be lost. */
  load?(action: string): Promise<unknown>;
  /** What a request with tools asks of its answers; loaded before anything is sent, as above. */
  toolUse?(request: RouteRequest, body: Body, action: string): Promise<ToolUse> | undefined;
  /** Reads a whole answer. */
  decode(value: unknown, decoding: Decoding): Answer | Promise<Answer>;
  /** Throws where a whole answer is not what the request insists on. The model has been compared before. */
  judge?(answer: Answer, decoding: Decoding): void;
  /** The model that answered; left out where another than the one asked for is no substitution. */
  answeredBy?(answer: Answer): string;
  /** What to do with a conversation that does not fit; `undefined` where the server decides. */
  overflow?(request: Request): Overflow | undefined;
  /** Whether the server loaded a model for this answer: listings from before do not count then. */
  hasLoaded?(answer: Answer): boolean;
  /** The part that had arrived of a whole answer that says that it failed. */
  partialOf?(value: unknown, tags: ThinkTags): PartialAnswer | undefined;
}

/** A route whose answers come as they are generated, too. */
export interface StreamedRoute<Request extends RouteRequest, Answer, Item>
  extends Route<Request, Answer> {
  /** Fields of the body that ask for a stream. */
  streamFields(body: Body): Body;
  /** Reads a streamed answer. */
  stream(call: StreamedCall<Answer>): AnswerReader<Item, Answer>;
}

/** An answer, as far as it had come when its model became known. */
export interface ArrivedAnswer<Answer> {
  /** Where the answer came whole. */
  readonly response: Answer | undefined;
  readonly partial: PartialAnswer | undefined;
}

/** One streamed call of a route. */
export interface StreamedCall<Answer> {
  readonly transport: Transport;
  readonly request: TransportRequest;
  readonly options: CallOptions;
  readonly tags: ThinkTags;
  /** Where the request has tools. */
  readonly toolUse?: ToolUse | undefined;
  /**
   * Called with the model that answers, before anything of its answer is given out. An error it throws ends the stream,
   * and nothing of that answer is given out.
   */
  readonly onAnsweredBy: (model: string, arrived: ArrivedAnswer<Answer>) => void | Promise<void>;
  /** Called when the server begins to load a model, and when it has. */
  readonly onModelLoad: () => void;
  /** Called with the tokens of a whole answer. */
  readonly onUsage?: (usage: Usage) => void;
  /** Its place among the requests of this program; one of an answer that nobody else may wait for needs none. */
  readonly place?: Place;
}

/** Place of a request among those that the models of one server answer. */
export interface Place {
  /** Since when nobody reads its stream; `undefined` while it is read, and for whole answers. */
  unreadSince?: number | undefined;
  /** Waits until the request may be sent; nothing is returned where it may at once. */
  enter(): Promise<void> | undefined;
  /** Lets the next one in. Idempotent; one that has not entered never will. */
  leave(): void;
}

/** Where the items of a stream come from, such as one streamed call. The stream has the only queue. */
export interface ItemSource<Item, Answer> {
  /**
   * Waits for more and adds it to `items`, in order. What is added before a failure counts.
   *
   * @returns whether that is all: with the last of them the answer is whole.
   */
  fill(items: Item[]): Promise<boolean>;
  /** The answer so far; `undefined` where nothing of it has come. */
  partial(): PartialAnswer | undefined;
  /** The whole answer, after the last item. */
  response(): Answer | Promise<Answer>;
  /** Lets go of everything. Idempotent. */
  close(): void;
}

const OPEN_BRACE = 0x7b;

/** Reads one streamed answer; what its events mean is for the readers of each route. */
export abstract class AnswerReader<Item, Answer> implements ItemSource<Item, Answer> {
  /** The events as they come, with their timers. */
  protected readonly events: EventReader;
  /** The answer, where the server did not stream. */
  protected whole: Answer | undefined;
  protected finishedAt: number | undefined;
  readonly #route: Pick<Route<RouteRequest, Answer>, "decode" | "judge" | "answeredBy">;
  readonly #call: StreamedCall<Answer>;
  #startedAt = performance.now();
  #hasEntered = false;
  #firstTokenAt: number | undefined;
  /** Models that were named as the one that answers, and not yet compared. */
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

  /** Takes an event that is neither blank nor `[DONE]`; gives whether the answer is over with it. */
  protected abstract takeEvent(event: SseEvent, items: Item[]): boolean;

  /** Takes `[DONE]`. */
  protected abstract takeDone(items: Item[]): boolean;

  /** Takes the end of the connection, without `[DONE]`. */
  protected abstract takeEnd(unfinished: SseEvent | undefined, items: Item[]): boolean;

  /** Takes a whole answer, of a server that does not stream. */
  protected abstract takeWhole(whole: Answer, items: Item[]): void;

  /** The answer, put together from what came. */
  protected abstract assemble(): Answer;

  /** Reads what takes time, once the connection is let go of: some servers keep it open for as long as we do. */
  protected finish?(items: Item[]): Promise<void>;

  /** The failure to tell, where the server had said more before. */
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
    // What was waited for is not the server's time.
    this.#startedAt = performance.now();
  }

  response(): Answer {
    return this.whole ?? this.assemble();
  }

  /** Context of the errors of this stream. */
  protected get context(): ErrorContext {
    return this.events.context;
  }

  /** The model that was asked. */
  protected get askedModel(): string {
    return this.#call.request.model ?? "";
  }

  protected get tags(): ThinkTags {
    return this.#call.tags;
  }

  protected get toolUse(): ToolUse | undefined {
    return this.#call.toolUse;
  }

  /** An error of this stream, with what has arrived. */
  protected error(
    state: string,
    code: "stream_truncated" | "malformed_stream",
    hint?: string,
  ): StreamError {
    const { context } = this;
    return callError(context, code, state, { hint });
  }

  /** The error for an event that is no JSON object. @param frame `undefined` where it is no JSON. */
  protected unreadable(frame: unknown, data: string): StreamError {
    const state = frame === undefined ? "not JSON" : "no object";
    const start = startOf(data, this.context);
    return this.error(`the stream has an event that is ${state}${start}`, "malformed_stream");
  }

  /** A part of the answer has come; gives whether it is the first. */
  protected markToken(): boolean {
    if (this.#firstTokenAt !== undefined) return false;
    this.#firstTokenAt = performance.now();
    this.events.markFirstToken();
    this.status({ phase: "generating" });
    return true;
  }

  /** Tells the caller, as `CallOptions.onStatus`. */
  protected status(status: CallStatus): void {
    this.events.status(status);
  }

  /** Notes a model that is named as the one that answers. */
  protected noteModel(model: string): void {
    this.#unchecked.push(model);
  }

  /** Notes that the server loads a model. */
  protected noteModelLoad(): void {
    this.#call.onModelLoad();
  }

  /** Notes the tokens of the answer, now that it is whole. */
  protected noteUsage(usage: Usage | undefined): void {
    if (usage !== undefined) this.#call.onUsage?.(usage);
  }

  /** Whether the caller has ended the call. */
  protected get isAborted(): boolean {
    return this.#call.options.signal?.aborted === true;
  }

  /** Statistics by our own clock. */
  protected measure(usage: Usage | undefined): GenerationStats {
    const finishedAt = this.finishedAt ?? performance.now();
    const firstTokenAt = this.#firstTokenAt ?? finishedAt;
    return measureStreamStats(usage, finishedAt - firstTokenAt, firstTokenAt - this.#startedAt);
  }

  /** Refuses an answer that is not what the request insists on: called before its end is given out. */
  protected judge(answerOf: () => Answer): void {
    const { context, tags, toolUse } = this;
    if (toolUse === undefined) return;
    const { body: sent = {} } = this.#call.request;
    this.#route.judge?.(answerOf(), { context, sent, elapsedMs: 0, tags, toolUse });
  }

  /** Takes the events of one read; gives whether the answer is over with them. */
  protected takeEvents(events: readonly SseEvent[], items: Item[]): boolean {
    for (const event of events) if (this.takeAnyEvent(event, items)) return true;
    return false;
  }

  /** Takes an event, whatever it is; gives whether the answer is over with it. */
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

  /** A server that does not stream answers with the whole; it may be an error under 200. */
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
    // Each event may name another model, and few names are wrong: only for those it is put together.
    const arrived: ArrivedAnswer<Answer> = {
      response: this.whole,
      get partial() {
        return readPartial();
      },
    };
    try {
      for (const model of this.#unchecked.splice(0)) await this.#call.onAnsweredBy(model, arrived);
    } catch (error) {
      // Nothing of another model's answer is given out as this one's.
      items.length = 0;
      this.close();
      throw error;
    }
  }
}
