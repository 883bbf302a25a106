/**
 * Reads the events of one streamed answer, with the timers of a stream, which run only while we wait for
 * the server.
 *
 * @module
 */

import type { CallOptions, CallStatus } from "../core/types.ts";
import type { Call, ServerSettings } from "./call.ts";
import { callError, type ErrorContext } from "./error_mapping.ts";
import { SseDecoder, type SseEvent, SseLimitError } from "./sse.ts";
import { WaitTimer } from "./timers.ts";

/** Timers of a stream, in milliseconds. */
export interface StreamTimeouts {
  readonly firstTokenTimeoutMs: number;
  readonly idleTimeoutMs: number;
}

/**
 * The timers of one stream. The server sends a tool call when it is whole, and is silent while the model writes it:
 * where there may be one, the default limit is that of the first token.
 *
 * @param body of the request.
 */
export function streamTimeouts(
  server: Pick<ServerSettings, "firstTokenTimeoutMs" | "idleTimeoutMs" | "isIdleTimeoutDefault">,
  body: Readonly<Record<string, unknown>> = {},
  options: CallOptions = {},
): StreamTimeouts {
  const firstTokenTimeoutMs = options.firstTokenTimeoutMs ?? server.firstTokenTimeoutMs;
  const isSilent = server.isIdleTimeoutDefault === true &&
    [body.tools, body.integrations].some((list) => Array.isArray(list) && list.length > 0);
  const idleTimeoutMs = isSilent ? firstTokenTimeoutMs : server.idleTimeoutMs;
  return { firstTokenTimeoutMs, idleTimeoutMs: options.idleTimeoutMs ?? idleTimeoutMs };
}

/** After the finish reason only usage and `[DONE]` can come. */
const FINISH_GRACE_MS = 2000;
/** So much white space before an answer is none. */
const MAX_HEAD_BYTES = 64 * 1024;
/** An answer that is no stream is no longer than this. */
const MAX_JSON_BYTES = 16 * 1024 * 1024;

/** What a pull gives: events, a whole JSON text where no stream came, or the end. */
export type Pull =
  | { readonly kind: "events"; readonly events: readonly SseEvent[] }
  | { readonly kind: "text"; readonly status: number; readonly text: string }
  | { readonly kind: "end"; readonly unfinished: SseEvent | undefined };

/** The events of one call. `close()` must be called when it is over. */
export class EventReader {
  readonly #call: Call;
  readonly #timeouts: StreamTimeouts;
  readonly #maxTextLength: number;
  #textLength = 0;
  readonly #decoder = new SseDecoder();
  #reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  #status = 0;
  #phase: "first-token" | "idle" | "finish" = "first-token";
  /** What is left of the phase's time, where waits add up. */
  #remainingMs: number;
  /** What came before it could be told whether this is a stream; `undefined` from then on. */
  #head: Uint8Array | undefined = new Uint8Array();
  #isEventStream = false;
  /** The start of what came, until there is an event in it. */
  #eventless: Uint8Array[] | undefined = [];
  #eventlessBytes = 0;
  #isClosed = false;
  #isOutOfTime = false;
  /** Settles a read under way, also where a user's own `fetch` does not tie the body to the signal. */
  readonly #stop = (): void => void this.#reader?.cancel().catch(() => {});
  readonly #timer: WaitTimer;

  /** @param maxTextLength bounds the text of the answer, in characters. */
  constructor(call: Call, timeouts: StreamTimeouts, maxTextLength: number = Infinity) {
    this.#call = call;
    this.#timeouts = timeouts;
    this.#maxTextLength = maxTextLength;
    // The runtime's own `fetch` keeps the program alive while it reads; a user's may have nothing that does.
    this.#timer = new WaitTimer(() => {
      this.#isOutOfTime = true;
      this.#stop();
    }, !call.isOwnFetch);
    this.#remainingMs = timeouts.firstTokenTimeoutMs;
  }

  /** What every error of this stream says. */
  get context(): ErrorContext {
    return this.#call.context();
  }

  /** Tells the caller, as `Call.status`. */
  status(status: CallStatus): void {
    this.#call.status(status);
  }

  /**
   * Counts text that is going to be kept: a model that never stops must not fill the memory.
   *
   * @throws {StreamError} an answer has no more than that.
   */
  countText(length: number): void {
    this.#textLength += length;
    if (this.#textLength <= this.#maxTextLength) return;
    const state = `the answer is longer than ${this.#maxTextLength} characters`;
    throw callError(this.context, "malformed_stream", state, {
      hint: "Set a limit of tokens against endless answers; `partial` has what had arrived.",
    });
  }

  /** The first token came: from now on silence is bounded by the idle timer. */
  markFirstToken(): void {
    if (this.#phase === "first-token") this.#phase = "idle";
  }

  /**
   * The finish reason came: whatever happens from now on is the end.
   *
   * @param isSure whether nothing but the end can follow: it may take `FINISH_GRACE_MS`, else as long as any piece.
   */
  markFinish(isSure = true): void {
    this.#phase = "finish";
    this.#remainingMs = isSure ? FINISH_GRACE_MS : this.#timeouts.idleTimeoutMs;
  }

  /** More of the answer came after its finish reason: it was not the end. */
  markUnfinished(): void {
    this.#phase = "idle";
  }

  /**
   * Waits for more. The first pull sends the request.
   *
   * @throws the caller's reason, a timeout, or a network failure; after the finish reason failures are the end.
   */
  async pull(): Promise<Pull> {
    if (this.#isClosed) return END;
    if (this.#reader === undefined) await this.#open();
    const reader = this.#reader;
    if (reader === undefined) return END;
    while (true) {
      const bytes = await this.#read(reader);
      if (bytes === undefined) {
        return this.#end(this.#decode(() => this.#decoder.end()));
      }
      const head = this.#head;
      if (head !== undefined) {
        // What was kept is blank: read again with each piece, 60 000 pieces took 40 s.
        const first = firstByte(bytes);
        // Some servers send white space for as long as their answer is not ready.
        this.#head = first === undefined && head.byteLength + bytes.byteLength <= MAX_HEAD_BYTES
          ? concatenate(head, bytes)
          : undefined;
        if (first !== undefined && isTextStart(first)) {
          return await this.#readText(reader, concatenate(head, bytes));
        }
      }
      const events = this.#decode(() => this.#decoder.feed(bytes));
      if (events.length > 0) {
        this.#eventless = undefined;
        return { kind: "events", events };
      }
      if (this.#eventless !== undefined) this.#keepEventless(this.#eventless, bytes);
    }
  }

  #keepEventless(pieces: Uint8Array[], bytes: Uint8Array): void {
    if (this.#eventlessBytes >= MAX_HEAD_BYTES) return;
    // White space to keep the connection open is not part of it.
    if (pieces.length === 0 && firstByte(bytes) === undefined) return;
    pieces.push(bytes);
    this.#eventlessBytes += bytes.byteLength;
  }

  /** The end: of a stream, or of something else that has no line of one. */
  #end(unfinished: SseEvent | undefined): Pull {
    const decoder = new TextDecoder();
    const pieces = this.#eventless ?? [];
    const text = pieces.map((piece) => decoder.decode(piece, { stream: true })).join("");
    const isStream = this.#isClosed || unfinished !== undefined ||
      text.trim() === "" || /^(?:(?:data|event|id|retry)?:|(?:data|event|id|retry)$)/m.test(text);
    if (isStream) return { kind: "end", unfinished };
    if (!this.#isEventStream) return { kind: "text", status: this.#status, text };
    throw callError(this.context, "malformed_stream", "the stream has no event in it");
  }

  /** Stops the server and lets go of everything. Idempotent. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#timer.end();
    this.#call.signal.removeEventListener("abort", this.#stop);
    // Without the cancel the server goes on generating after a `break`.
    this.#stop();
    this.#call.finish();
  }

  async #open(): Promise<void> {
    const startedAt = performance.now();
    const { firstTokenTimeoutMs } = this.#timeouts;
    try {
      const limit = { phase: "first-token", ms: firstTokenTimeoutMs, startedAt } as const;
      await this.#call.send(limit, (response) => this.adopt(response, startedAt));
    } catch (error) {
      if (this.#isClosed) return;
      throw error;
    }
  }

  /** Reads this response of the call, which was sent at `startedAt`, by `performance.now()`. */
  adopt(response: Response, startedAt: number): void {
    this.#status = response.status;
    this.#isEventStream = isEventStream(response);
    this.#reader = response.body?.getReader();
    // One listener for all reads: there may be one for each token.
    this.#call.signal.addEventListener("abort", this.#stop);
    this.#remainingMs -= performance.now() - startedAt;
  }

  /** The next bytes; `undefined` at the end, also when closed meanwhile or out of time after the finish. */
  async #read(
    reader: ReadableStreamDefaultReader<Uint8Array>,
  ): Promise<Uint8Array | undefined> {
    const { signal } = this.#call;
    signal.throwIfAborted();
    const isIdle = this.#phase === "idle";
    if (!isIdle && this.#remainingMs <= 0) {
      // A server that keeps sending what is no token would push the timer on for ever.
      if (this.#phase === "finish") return undefined;
      throw this.#timeoutError();
    }
    const startedAt = isIdle ? 0 : performance.now();
    this.#isOutOfTime = false;
    const ms = isIdle ? this.#timeouts.idleTimeoutMs : this.#remainingMs;
    this.#timer.start(ms);
    let failure: { readonly cause: unknown } | undefined;
    let bytes: Uint8Array | undefined;
    try {
      bytes = (await reader.read()).value;
    } catch (cause) {
      failure = { cause };
    } finally {
      this.#timer.stop();
    }
    if (!isIdle) this.#remainingMs -= performance.now() - startedAt;
    if (this.#isClosed) return undefined;
    const isFailed = this.#isOutOfTime || failure !== undefined;
    if (this.#phase === "finish" && isFailed) return undefined;
    if (signal.aborted) throw signal.reason;
    if (this.#isOutOfTime) throw this.#timeoutError();
    if (failure !== undefined) throw this.#call.resetError(failure.cause);
    return bytes;
  }

  #timeoutError(): Error {
    return this.#phase === "idle"
      ? this.#call.timeoutError("idle", this.#timeouts.idleTimeoutMs)
      : this.#call.timeoutError("first-token", this.#timeouts.firstTokenTimeoutMs);
  }

  #decode<T>(step: () => T): T {
    try {
      return step();
    } catch (cause) {
      if (!(cause instanceof SseLimitError)) throw cause;
      const state = "one event of the stream is too large";
      throw callError(this.context, "malformed_stream", state, { cause });
    }
  }

  /** No stream came: the whole text, for whoever asked. */
  async #readText(
    reader: ReadableStreamDefaultReader<Uint8Array>,
    first: Uint8Array,
  ): Promise<Pull> {
    // As in `readBody`: Deno 2.9 drops byte order marks inside the text too.
    const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    let text = decoder.decode(first, { stream: true });
    let bytes: Uint8Array | undefined;
    while (text.length < MAX_JSON_BYTES && (bytes = await this.#read(reader)) !== undefined) {
      text += decoder.decode(bytes, { stream: true });
    }
    return { kind: "text", status: this.#status, text: text.replace(/^\uFEFF/, "") };
  }
}

/** Whether a response says that it is a stream of events. */
export function isEventStream({ headers }: Response): boolean {
  return /^\s*text\/event-stream\b/i.test(headers.get("content-type") ?? "");
}

const END: Pull = { kind: "end", unfinished: undefined };

/** The first byte that is neither white space nor of a byte order mark. */
function firstByte(bytes: Uint8Array): number | undefined {
  return bytes.find((byte) => !BLANK_BYTES.has(byte));
}

/** Space, tab, line ends, and U+FEFF in UTF-8. */
const BLANK_BYTES: ReadonlySet<number> = new Set([0x20, 0x09, 0x0a, 0x0d, 0xef, 0xbb, 0xbf]);

/** Whether a body begins like JSON or HTML: a stream begins with a field name or a colon. */
function isTextStart(byte: number): boolean {
  return byte === 0x7b /* { */ || byte === 0x5b /* [ */ || byte === 0x3c /* < */;
}

function concatenate(a: Uint8Array, b: Uint8Array): Uint8Array {
  const all = new Uint8Array(a.byteLength + b.byteLength);
  all.set(a);
  all.set(b, a.byteLength);
  return all;
}

// --- The end ------------------------------------------------------------------------------------

/** Part of the answer in a frame, beside a finish reason. */
export type Piece = "nothing" | "thought" | "text";

/**
 * Whether a streamed answer has come to its end. A finish reason says so, but some servers put one beside every piece:
 * what comes after it shows that it was not the end. Sets the reader's timers by them.
 */
export class Ending {
  readonly #reader: Pick<EventReader, "markFinish" | "markUnfinished">;
  #reason: string | undefined;
  /** Whether nothing of the answer came after the last reason. */
  #isFinished = false;
  #wasWrong = false;
  /** Whether text came without a reason: then a piece that comes with one is the last. */
  #hasPlainText = false;

  constructor(reader: Pick<EventReader, "markFinish" | "markUnfinished">) {
    this.#reader = reader;
  }

  /** Last finish reason. */
  get reason(): string | undefined {
    return this.#reason;
  }

  /** Whether nothing of the answer came after a finish reason. */
  get isFinished(): boolean {
    return this.#isFinished;
  }

  /** Whether a stream that ends here without `[DONE]` is whole. */
  get isWhole(): boolean {
    return this.#isFinished && !this.#wasWrong;
  }

  /** Takes in one frame. */
  take(piece: Piece, reason: string | undefined): void {
    if (piece !== "nothing") {
      if (this.#isFinished) {
        this.#wasWrong = true;
        this.#isFinished = false;
        this.#reader.markUnfinished();
      }
      if (reason === undefined && piece === "text") this.#hasPlainText = true;
    }
    if (reason === undefined) return;
    this.#reason = reason;
    // Some repeat it in every frame that follows: the wait for the end is not begun anew.
    if (this.#isFinished) return;
    this.#isFinished = true;
    this.#reader.markFinish(!this.#wasWrong && (piece === "nothing" || this.#hasPlainText));
  }
}

/** A finish reason; some servers write the word for none. */
export function finishReasonOf(value: unknown): string | undefined {
  if (typeof value !== "string" || value === "") return undefined;
  return /^(?:none|null)$/i.test(value) ? undefined : value;
}
