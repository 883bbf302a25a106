/**
 * Takes calls that a model wrote into its text out of it, where the server did not: calls to tools that were declared,
 * with arguments that fit, in the formats that models are known to write.
 *
 * @see https://lmstudio.ai/docs/developer/openai-compat/tools
 * @module
 */

import { parseJson } from "../core/plain_text.ts";
import { isRecord } from "../core/fields.ts";
import { ToolsByName } from "../core/tool_names.ts";
import {
  type CallableTool,
  fits,
  type Format,
  FORMATS,
  matchStart,
  startsAt,
  type TextToolCall,
} from "./text_call_formats.ts";
import { CodeSpans, QUOTES } from "./think_splitter.ts";

/** Text and calls, apart. */
export interface TextAndCalls {
  readonly text: string;
  readonly calls: readonly TextToolCall[];
}

/** A text held for longer than this is text: a model may not end what it began. */
export const LONGEST_CALL = 1_048_576;
/** Closing markers within the values of one call: each costs a look at all of it. */
const MOST_MARKERS = 32;
/** The first characters of all formats, and of code. */
const NOTABLE = /[<[`]/;
const NO_CALLS: readonly TextToolCall[] = [];

/** A call under way. */
interface OpenCall {
  readonly format: Format;
  readonly name: string;
  /** What came before its body. */
  readonly start: string;
  /** Whether it is spoken of: it is text, and so are the parts of it that look like calls. */
  readonly isQuoted: boolean;
  readonly body: string[];
  length: number;
  /** Markers that were found not to be its end. */
  markers: number;
}

/**
 * Takes calls out of a text that arrives in pieces, cut anywhere. A call is given when it is whole. Whatever is not
 * a call to a declared tool, with arguments that fit, stays text as it came, and so does what is in code or in quotes.
 * White space around calls belongs to neither side, but behind other text.
 */
export class TextToolCalls {
  readonly #tools: ToolsByName<CallableTool>;
  readonly #formats: readonly Format[];
  #state: "blank" | "text" | "json" = "blank";
  #isFirst = true;
  /** White space that waits for what follows it. */
  #space = "";
  /** What may be the start of a call. */
  #start = "";
  #open: OpenCall | undefined;
  /** The end of an outer tag that may come. */
  #mayFollow = "";
  #hasCalls = false;
  /** The last two characters of the text. */
  #end = "";
  readonly #code = new CodeSpans();
  #text = "";
  #calls: TextToolCall[] = [];

  /** @param isJsonAsked whether the text is meant to be JSON, so that JSON alone is no call. */
  constructor(tools: readonly CallableTool[], isJsonAsked = false) {
    this.#tools = new ToolsByName(tools);
    this.#formats = isJsonAsked ? FORMATS.filter(({ isWhole }) => isWhole !== true) : FORMATS;
  }

  /** What is certain after this piece. */
  feed(piece: string): TextAndCalls {
    if (this.#passes(piece)) {
      this.#end = (this.#end + piece.slice(-2)).slice(-2);
      return { text: piece, calls: NO_CALLS };
    }
    const text = this.#start + piece;
    this.#start = this.#text = "";
    this.#calls = [];
    for (let at = 0; at < text.length;) {
      at = this.#open === undefined ? this.#outside(text, at) : this.#inside(text, at, this.#open);
    }
    return { text: this.#text, calls: this.#calls };
  }

  /** What is held back, and would be text if the answer broke off here. */
  held(): string {
    return this.#space + this.#start + (this.#open === undefined ? "" : textOf(this.#open));
  }

  /** What was held back, at the end of the text. */
  end(): TextAndCalls {
    this.#text = "";
    this.#calls = [];
    const open = this.#open;
    if (open !== undefined && (open.format.endsWithText || open.format.isWhole)) this.#close(open);
    if (!(this.#hasCalls && this.held().trim() === "")) this.#text += this.held();
    this.#space = this.#start = "";
    this.#open = undefined;
    return { text: this.#text, calls: this.#calls };
  }

  /** Nearly every piece: kept free of any other work. */
  #passes(piece: string): boolean {
    if (this.#open !== undefined || this.#start !== "" || piece === "") return false;
    if (this.#state === "json") return true;
    return this.#state === "text" && !NOTABLE.test(piece) && this.#code.passes(piece);
  }

  /** Reads text; returns how far it got. */
  #outside(text: string, begin: number): number {
    if (this.#state === "json") {
      this.#give(text.slice(begin));
      return text.length;
    }
    let from = begin;
    if (this.#state === "blank") {
      from = text.length - text.slice(begin).trimStart().length;
      this.#space += text.slice(begin, from);
      if (from === text.length) return from;
      const follows = this.#mayFollow === "" ? false : startsAt(this.#mayFollow, text, from);
      if (follows === "cut") return this.#wait(text, from);
      if (follows) {
        this.#space = "";
        const { length } = this.#mayFollow;
        this.#mayFollow = "";
        return from + length;
      }
    }
    for (let at = from; at < text.length; at++) {
      const code = text.charCodeAt(at);
      const isFirst = this.#isFirst && at === from;
      if ((isFirst || text[at] === "<" || text[at] === "[") && !this.#code.isOpen) {
        const before = at - from < 2 ? this.#end + text.slice(from, at) : text.slice(at - 2, at);
        const found = this.#find(text, at, isFirst);
        if (found !== undefined) {
          if (at > from) this.#pass(text.slice(from, at));
          if (found === "cut") return this.#wait(text, at);
          this.#isFirst = false;
          this.#open = {
            ...found,
            start: text.slice(at, found.at),
            isQuoted: QUOTES.test(before),
            body: [],
            length: 0,
            markers: 0,
          };
          return found.at;
        }
        if (isFirst && text[at] === "{") {
          // An answer in JSON may have markers in a text of its own.
          this.#state = "json";
          this.#pass(text.slice(from));
          return text.length;
        }
      }
      this.#isFirst = false;
      this.#code.note(code);
    }
    this.#pass(text.slice(from));
    return text.length;
  }

  #wait(text: string, at: number): number {
    this.#start = text.slice(at);
    return text.length;
  }

  /** The format that begins at a place; `"cut"` where the text ends before it can be told. */
  #find(text: string, at: number, isFirst: boolean) {
    let isCut = false;
    for (const format of this.#formats) {
      if (format.isWhole && !isFirst) continue;
      const match = matchStart(format.start, text, at, this.#tools);
      if (match === "cut") isCut = true;
      else if (match !== undefined) return { format, ...match };
    }
    return isCut ? "cut" : undefined;
  }

  /** Reads a call under way; returns how far it got. */
  #inside(text: string, at: number, open: OpenCall): number {
    const { close = "" } = open.format;
    const piece = text.slice(at, at + LONGEST_CALL - open.length);
    const last = open.body.at(-1) ?? "";
    const end = close === "" ? -1 : (last + piece).indexOf(close);
    if (end === -1) {
      // The marker may be cut: its beginning stays a piece of its own, which is looked at again.
      const kept = close === "" ? 0 : Math.min(close.length - 1, last.length + piece.length);
      const joined = last + piece;
      open.body[Math.max(0, open.body.length - 1)] = joined.slice(0, joined.length - kept);
      open.body.push(joined.slice(joined.length - kept));
      open.length += piece.length;
      if (open.length >= LONGEST_CALL) this.#fail(open);
      return at + piece.length;
    }
    const taken = end + close.length - last.length;
    open.body[Math.max(0, open.body.length - 1)] = last + piece.slice(0, taken);
    open.length += taken;
    if (!this.#close(open, close.length)) {
      if (++open.markers > MOST_MARKERS) this.#fail(open);
      else open.body.push("");
    }
    return at + taken;
  }

  /** Takes what may be a whole call. Returns whether it is settled. */
  #close(open: OpenCall, markerLength = 0): boolean {
    const body = open.body.join("");
    const reading = open.format.read(
      body.slice(0, body.length - markerLength),
      open.name,
      this.#tools,
    );
    if (reading === "open" && markerLength > 0) return false;
    const calls = Array.isArray(reading) && !open.isQuoted
      ? reading.map((call) => this.#declared(call))
      : [];
    if (calls.length === 0 || calls.includes(undefined)) {
      this.#fail(open);
      return true;
    }
    for (const call of calls) if (call !== undefined) this.#calls.push(call);
    this.#open = undefined;
    this.#hasCalls = true;
    this.#state = "blank";
    this.#space = this.#end = "";
    this.#mayFollow = open.format.mayFollow ?? "";
    return true;
  }

  /** The call under the name that was declared; undefined where it does not fit. */
  #declared(call: TextToolCall): TextToolCall | undefined {
    const tool = this.#tools.get(call.name);
    const value = parseJson(call.arguments);
    if (tool === undefined || !isRecord(value) || !fits(value, tool.parameters)) return undefined;
    return { ...call, name: tool.name };
  }

  /** It was text. */
  #fail(open: OpenCall): void {
    const text = textOf(open);
    this.#open = undefined;
    for (let at = 0; at < text.length; at++) this.#code.note(text.charCodeAt(at));
    this.#pass(text);
  }

  /** Gives out text, and the white space that waited for it. */
  #pass(text: string): void {
    this.#give(this.#space + text);
    this.#space = this.#mayFollow = "";
    if (this.#state === "blank") this.#state = "text";
  }

  #give(text: string): void {
    this.#text += text;
    this.#end = (this.#end + text.slice(-2)).slice(-2);
  }
}

function textOf(open: OpenCall): string {
  return open.start + open.body.join("");
}

/** Takes the calls out of a whole text, as they would be taken had it been streamed. */
export function takeToolCalls(
  text: string,
  tools: readonly CallableTool[],
  isJsonAsked = false,
): TextAndCalls {
  const reader = new TextToolCalls(tools, isJsonAsked);
  const start = reader.feed(text);
  const end = reader.end();
  return { text: start.text + end.text, calls: [...start.calls, ...end.calls] };
}
