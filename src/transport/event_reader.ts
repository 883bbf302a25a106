/**
 * Reader for the events of one streamed answer. Its timeouts run only while we wait for the server.
 *
 * @module
 */

import type { CallOptions, CallStatus } from "../core/types.ts";
import { concatenate } from "./body.ts";
import type { Call, ServerSettings } from "./call.ts";
import { callError, type ErrorContext } from "./error_mapping.ts";
import { SseDecoder, type SseEvent, SseLimitError } from "./sse.ts";
import { WaitTimer } from "./timers.ts";

/** Timeouts of a stream, in milliseconds. */
export interface StreamTimeouts {
  readonly firstTokenTimeoutMs: number;
  readonly idleTimeoutMs: number;
}

/**
 * Returns the timeouts of one stream. The server sends a tool call only when it is complete, and is silent while the
 * model writes it. So if tools may be called, the idle timeout defaults to that of the first token.
 *
 * @param body the body of the request.
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

/** Time to wait after the finish reason: only usage and `[DONE]` can follow. */
const FINISH_GRACE_MS = 2000;
/** More leading white space than this is not an answer. */
const MAX_HEAD_BYTES = 64 * 1024;
/** Maximum size of an answer that is not a stream. */
const MAX_JSON_BYTES = 16 * 1024 * 1024;

/** Result of a pull: events, a whole JSON text if the answer is not a stream, or the end. */
export type Pull =
  | { readonly kind: "events"; readonly events: readonly SseEvent[] }
  | { readonly kind: "text"; readonly status: number; readonly text: string }
  | { readonly kind: "end"; readonly unfinished: SseEvent | undefined };

/** Reader for the events of one call. `close()` must be called when it is over. */
export class EventReader {
  readonly #call: Call;
  readonly #timeouts: StreamTimeouts;
  readonly #maxTextLength: number;
  #textLength = 0;
  readonly #decoder = new SseDecoder();
  #reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  #status = 0;
  #phase: "first-token" | "idle" | "finish" = "first-token";
  /** Time left in a phase in which waits add up. */
  #remainingMs: number;
  /** Bytes received before it is clear whether this is a stream; then `undefined`. */
  #head: Uint8Array | undefined = new Uint8Array();
  #isEventStream = false;
  /** The first bytes received, kept until the first event. */
  #eventless: Uint8Array[] | undefined = [];
  #eventlessBytes = 0;
  #isClosed = false;
  #isOutOfTime = false;
  /** Settles a pending read, even if a user's own `fetch` does not tie the body to the signal. */
  readonly #stop = (): void => void this.#reader?.cancel().catch(() => {});
  readonly #timer: WaitTimer;

  /** @param maxTextLength limits the text of the answer, in characters. */
  constructor(call: Call, timeouts: StreamTimeouts, maxTextLength: number = Infinity) {
    this.#call = call;
    this.#timeouts = timeouts;
    this.#maxTextLength = maxTextLength;
    // The runtime's `fetch` keeps the program alive while it reads; a user's own may not.
    this.#timer = new WaitTimer(() => {
      this.#isOutOfTime = true;
      this.#stop();
    }, !call.isOwnFetch);
    this.#remainingMs = timeouts.firstTokenTimeoutMs;
  }

  /** Facts that every error of this stream states. */
  get context(): ErrorContext {
    return this.#call.context();
  }

  /** Reports a status to the caller. See `Call.status`. */
  status(status: CallStatus): void {
    this.#call.status(status);
  }

  /**
   * Counts text that will be kept, so that a model that never stops cannot fill the memory.
   *
   * @throws {StreamError} if the answer is longer than the limit.
   */
  countText(length: number): void {
    this.#textLength += length;
    if (this.#textLength <= this.#maxTextLength) return;
    const state = `the answer is longer than ${this.#maxTextLength} characters`;
    throw callError(this.context, "malformed_stream", state, {
      hint: "Set a token limit to stop endless answers; `partial` has the part that arrived.",
    });
  }

  /** Notes the first token: from now on the idle timeout applies. */
  markFirstToken(): void {
    if (this.#phase === "first-token") this.#phase = "idle";
  }

  /**
   * Notes the finish reason: from now on, a failure counts as the end.
   *
   * @param isSure whether only the end can follow. The wait for it is then `FINISH_GRACE_MS`, else the idle timeout.
   */
  markFinish(isSure = true): void {
    this.#phase = "finish";
    this.#remainingMs = isSure ? FINISH_GRACE_MS : this.#timeouts.idleTimeoutMs;
  }

  /** Notes that more of the answer followed its finish reason, so that was not the end. */
  markUnfinished(): void {
    this.#phase = "idle";
  }

  /**
   * Waits for more of the answer. The first pull sends the request.
   *
   * @throws the caller's reason, a timeout or a network error. After the finish reason, a failure counts as the end.
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
        // Look only at the new bytes, since those kept are blank: looking at all of them each time took 40 s for 60 000
        // chunks.
        const first = firstByte(bytes);
        // Some servers send white space until their answer is ready.
        this.#head = first === undefined && head.byteLength + bytes.byteLength <= MAX_HEAD_BYTES
          ? concatenate([head, bytes])
          : undefined;
        if (first !== undefined && isTextStart(first)) {
          return await this.#readText(reader, concatenate([head, bytes]));
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

  #keepEventless(chunks: Uint8Array[], bytes: Uint8Array): void {
    if (this.#eventlessBytes >= MAX_HEAD_BYTES) return;
    // Skip white space that only keeps the connection open.
    if (chunks.length === 0 && firstByte(bytes) === undefined) return;
    chunks.push(bytes);
    this.#eventlessBytes += bytes.byteLength;
  }

  /** Handles the end, of a stream or of an answer that is not one. */
  #end(unfinished: SseEvent | undefined): Pull {
    const decoder = new TextDecoder();
    const chunks = this.#eventless ?? [];
    const text = chunks.map((chunk) => decoder.decode(chunk, { stream: true })).join("");
    const isStream = this.#isClosed || unfinished !== undefined ||
      text.trim() === "" || /^(?:(?:data|event|id|retry)?:|(?:data|event|id|retry)$)/m.test(text);
    if (isStream) return { kind: "end", unfinished };
    if (!this.#isEventStream) return { kind: "text", status: this.#status, text };
    throw callError(this.context, "malformed_stream", "the stream contains no event");
  }

  /** Stops the server and releases everything. Idempotent. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#timer.end();
    this.#call.signal.removeEventListener("abort", this.#stop);
    // Without this, the server keeps generating after a `break`.
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

  /** Reads from this response. @param startedAt when its request was sent, by `performance.now()`. */
  adopt(response: Response, startedAt: number): void {
    this.#status = response.status;
    this.#isEventStream = isEventStream(response);
    this.#reader = response.body?.getReader();
    // One listener for all reads, since there may be a read for each token.
    this.#call.signal.addEventListener("abort", this.#stop);
    this.#remainingMs -= performance.now() - startedAt;
  }

  /** The next bytes; `undefined` at the end, which includes being closed, or out of time after the finish reason. */
  async #read(
    reader: ReadableStreamDefaultReader<Uint8Array>,
  ): Promise<Uint8Array | undefined> {
    const { signal } = this.#call;
    signal.throwIfAborted();
    const isIdle = this.#phase === "idle";
    if (!isIdle && this.#remainingMs <= 0) {
      // Otherwise a server that keeps sending events without a token would never time out.
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
      const state = "an event in the stream is too large";
      throw callError(this.context, "malformed_stream", state, { cause });
    }
  }

  /** Reads the whole text of an answer that is not a stream. */
  async #readText(
    reader: ReadableStreamDefaultReader<Uint8Array>,
    first: Uint8Array,
  ): Promise<Pull> {
    // As in `readBody`: Deno 2.9 also drops byte order marks inside the text.
    const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    let text = decoder.decode(first, { stream: true });
    let bytes: Uint8Array | undefined;
    while (text.length < MAX_JSON_BYTES && (bytes = await this.#read(reader)) !== undefined) {
      text += decoder.decode(bytes, { stream: true });
    }
    return { kind: "text", status: this.#status, text: text.replace(/^\uFEFF/, "") };
  }
}

/** Whether a response has the content type of an event stream. */
export function isEventStream({ headers }: Response): boolean {
  return /^\s*text\/event-stream\b/i.test(headers.get("content-type") ?? "");
}

const END: Pull = { kind: "end", unfinished: undefined };

/** The first byte that is neither white space nor part of a byte order mark. */
function firstByte(bytes: Uint8Array): number | undefined {
  return bytes.find((byte) => !BLANK_BYTES.has(byte));
}

/** Space, tab, line ends, and U+FEFF in UTF-8. */
const BLANK_BYTES: ReadonlySet<number> = new Set([0x20, 0x09, 0x0a, 0x0d, 0xef, 0xbb, 0xbf]);

/** Whether a body begins like JSON or HTML; a stream begins with a field name or a colon. */
function isTextStart(byte: number): boolean {
  return byte === 0x7b /* { */ || byte === 0x5b /* [ */ || byte === 0x3c /* < */;
}

// --- The end ------------------------------------------------------------------------------------

/** Kind of content in a frame, besides a finish reason. */
export type FrameContent = "nothing" | "reasoning" | "text";

/**
 * Tracks whether a streamed answer has ended. A finish reason says so, but some servers send one with every frame: if
 * more content follows, it was not the end. Sets the reader's timeouts accordingly.
 */
export class Ending {
  readonly #reader: Pick<EventReader, "markFinish" | "markUnfinished">;
  #reason: string | undefined;
  /** Whether no content followed the last reason. */
  #isFinished = false;
  #wasWrong = false;
  /** Whether some text came without a reason. If so, text that comes with a reason is the last. */
  #hasPlainText = false;

  constructor(reader: Pick<EventReader, "markFinish" | "markUnfinished">) {
    this.#reader = reader;
  }

  /** The last finish reason. */
  get reason(): string | undefined {
    return this.#reason;
  }

  /** Whether there was a finish reason and no content followed it. */
  get isFinished(): boolean {
    return this.#isFinished;
  }

  /** Whether the answer is complete if the stream ends here without `[DONE]`. */
  get isWhole(): boolean {
    return this.#isFinished && !this.#wasWrong;
  }

  /** Processes one frame. */
  take(content: FrameContent, reason: string | undefined): void {
    if (content !== "nothing") {
      if (this.#isFinished) {
        this.#wasWrong = true;
        this.#isFinished = false;
        this.#reader.markUnfinished();
      }
      if (reason === undefined && content === "text") this.#hasPlainText = true;
    }
    if (reason === undefined) return;
    this.#reason = reason;
    // Some servers repeat the reason in all later frames; that does not restart the wait for the end.
    if (this.#isFinished) return;
    this.#isFinished = true;
    this.#reader.markFinish(!this.#wasWrong && (content === "nothing" || this.#hasPlainText));
  }
}

/** Reads a finish reason; some servers send the word "none" or "null" instead of null. */
export function finishReasonOf(value: unknown): string | undefined {
  if (typeof value !== "string" || value === "") return undefined;
  return /^(?:none|null)$/i.test(value) ? undefined : value;
}
