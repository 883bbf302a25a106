/**
 * Decoder for Server-Sent Events as in the WHATWG standard: bytes in, events out, with no regard to JSON or `[DONE]`.
 *
 * @module
 */

const DEFAULT_MAX_EVENT_BYTES = 16 * 1024 * 1024;
const CHUNKS_PER_BLOCK = 64;

/** One event, as the standard dispatches it. */
export interface SseEvent {
  /** The value of the `event:` line; `""` if there was none. */
  readonly event: string;
  /** The values of the `data:` lines, joined by line feeds. */
  readonly data: string;
}

/** Error for an event larger than the limit. */
export class SseLimitError extends Error {
  override readonly name = "SseLimitError";
  /** The limit. */
  readonly maxEventBytes: number;

  constructor(maxEventBytes: number) {
    super(`Cannot read event: it is larger than ${maxEventBytes} bytes`);
    this.maxEventBytes = maxEventBytes;
  }
}

/**
 * Decodes one event stream from chunks of any size. The events do not depend on where the chunks
 * were cut. Takes linear time and holds no more than the event under way.
 */
export class SseDecoder {
  /** `ignoreBOM` keeps byte order marks: Deno (2.9) would also drop one at the start of a later chunk. */
  readonly #utf8 = new TextDecoder("utf-8", { ignoreBOM: true });
  /** Character to drop if the next text starts with it: a byte order mark, or the LF of a CRLF. */
  #droppable = "\ufeff";
  readonly #maxEventBytes: number;
  /** The line under way, without its line end; only the colon if it is a comment. */
  readonly #line = new ChunkedText();
  #lineIsComment = false;
  /** The data lines of the event under way. */
  readonly #data = new ChunkedText();
  #event = "";
  #failure: SseLimitError | undefined;

  /**
   * @param options `maxEventBytes` limits the memory for one event, in bytes of UTF-8: its data and
   * the line under way, except for comments. The default is 16 MiB.
   */
  constructor(options: { maxEventBytes?: number | undefined } = {}) {
    this.#maxEventBytes = options.maxEventBytes ?? DEFAULT_MAX_EVENT_BYTES;
  }

  /**
   * Returns the events completed by these bytes, in order.
   *
   * @throws {SseLimitError} if an event exceeds the limit. If the same bytes completed earlier
   * events, these are returned and the next call throws, so that none are lost.
   */
  feed(bytes: Uint8Array): SseEvent[] {
    if (this.#failure) throw this.#failure;
    const events: SseEvent[] = [];
    let text = this.#decodeLines(bytes);
    // Read the held text only once a line end arrives, so that it is read once.
    if (!this.#line.isEmpty && text.includes("\n")) text = this.#line.take() + text;
    // A UTF-16 unit takes at most three bytes. While even that stays within the limit, there is no
    // need to measure the lines, which would look at every character.
    const nearLimit = this.#data.bytes + 3 * text.length > this.#maxEventBytes;

    let start = 0;
    let end = text.indexOf("\n");
    while (end !== -1) {
      const isWhole = text[end + 1] === "\n" && text.startsWith("data: ", start);
      if (isWhole && this.#data.isEmpty && !nearLimit) {
        // Nearly every event from a model is one such line. Handling it here saves half the searches
        // and the joining.
        events.push({ event: this.#event, data: text.slice(start + 6, end) });
        this.#event = "";
        end++;
      } else {
        const line = text.slice(start, end);
        const newBytes = nearLimit && !line.startsWith(":") ? utf8Length(line) : 0;
        if (this.#data.bytes + newBytes > this.#maxEventBytes) return this.#fail(events);
        this.#endLine(line, events);
      }
      start = end + 1;
      end = text.indexOf("\n", start);
    }
    this.#hold(text.slice(start));
    const heldBytes = this.#line.bytes + this.#data.bytes;
    return heldBytes > this.#maxEventBytes ? this.#fail(events) : events;
  }

  /**
   * Ends the stream. The standard drops an event that no blank line ends. Here it is returned, with
   * all its fields up to the last byte, because only the caller knows whether it counts.
   *
   * @throws {SseLimitError} if the limit was exceeded before.
   */
  end(): SseEvent | undefined {
    if (this.#failure) throw this.#failure;
    const events: SseEvent[] = [];
    this.#hold(this.#utf8.decode());
    this.#endLine(this.#line.take(), events);
    this.#endLine("", events);
    return events[0];
  }

  /** Decodes bytes; drops the byte order mark at the start and turns all line ends into line feeds. */
  #decodeLines(bytes: Uint8Array): string {
    let text = this.#utf8.decode(bytes, { stream: true });
    if (text === "") return text;
    if (this.#droppable !== "" && text.startsWith(this.#droppable)) text = text.slice(1);
    this.#droppable = "";
    if (text.includes("\r")) {
      // A CR at the end counts at once: waiting for a possible LF would hold back a complete event.
      if (text.endsWith("\r")) this.#droppable = "\n";
      text = text.replace(/\r\n?/g, "\n");
    }
    return text;
  }

  /** Appends to the line under way. */
  #hold(text: string): void {
    if (text === "") return;
    if (this.#line.isEmpty) this.#lineIsComment = text.startsWith(":");
    if (!this.#lineIsComment) this.#line.push(text);
    else if (this.#line.isEmpty) this.#line.push(":");
  }

  /** Processes a complete line: a field, a comment, or the blank line that ends an event. */
  #endLine(line: string, events: SseEvent[]): void {
    if (line === "") {
      if (!this.#data.isEmpty) events.push({ event: this.#event, data: this.#data.take() });
      this.#event = "";
    } else if (line.startsWith("data:") || line === "data") {
      const value = fieldValue(line, 5);
      this.#data.push(this.#data.isEmpty ? value : "\n" + value);
    } else if (line.startsWith("event:") || line === "event") {
      this.#event = fieldValue(line, 6);
    }
    // Otherwise a comment, `id` or `retry` (nothing here reconnects), or an unknown field.
  }

  #fail(events: SseEvent[]): SseEvent[] {
    this.#failure = new SseLimitError(this.#maxEventBytes);
    if (events.length === 0) throw this.#failure;
    return events;
  }
}

/**
 * Text that arrives in chunks and is read once: searching it again with each chunk takes seconds for
 * a line of 1 MiB in 16 000 chunks. The chunks are joined block by block rather than all at the end,
 * because each keeps the text it was cut from in memory, and a short one costs several times its size.
 */
class ChunkedText {
  #blocks: string[] = [];
  #recent: string[] = [];
  /** The size in UTF-8. */
  bytes = 0;

  /** Whether nothing was pushed. An empty chunk counts as something. */
  get isEmpty(): boolean {
    return this.#recent.length === 0 && this.#blocks.length === 0;
  }

  push(chunk: string): void {
    this.bytes += utf8Length(chunk);
    if (this.#recent.push(chunk) < CHUNKS_PER_BLOCK) return;
    this.#blocks.push(this.#recent.join(""));
    this.#recent.length = 0;
  }

  /** Returns the text and clears it. */
  take(): string {
    const text = this.#blocks.join("") + this.#recent.join("");
    this.#blocks.length = 0;
    this.#recent.length = 0;
    this.bytes = 0;
    return text;
  }
}

/** The text after the colon and one optional space; `""` if there is no colon. */
function fieldValue(line: string, afterColon: number): string {
  return line.slice(line[afterColon] === " " ? afterColon + 1 : afterColon);
}

function utf8Length(text: string): number {
  let bytes = text.length;
  if (!/[\u0080-\uffff]/.test(text)) return bytes; // takes a third of the time of the loop
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    // Each half of a surrogate pair stands for two of the pair's four bytes.
    if (unit >= 0x80) bytes += unit < 0x800 || (unit >= 0xd800 && unit <= 0xdfff) ? 1 : 2;
  }
  return bytes;
}
