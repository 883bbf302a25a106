/**
 * Takes tool calls out of the text of an answer, if the server left them there: calls to declared tools, with fitting
 * arguments, in the formats that models are known to write.
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

/** Text and calls, separated. */
export interface TextAndCalls {
  readonly text: string;
  readonly calls: readonly TextToolCall[];
}

/** A call longer than this is treated as text: some models never end what they began. */
export const LONGEST_CALL = 1_048_576;
/** Limit on closing markers inside one call's values: each one costs a parse of the whole call. */
const MOST_MARKERS = 32;
/** The first characters of all formats, and of Markdown code. */
const NOTABLE = /[<[`]/;
const NO_CALLS: readonly TextToolCall[] = [];

/** A call that has begun and not ended. */
interface OpenCall {
  readonly format: Format;
  readonly name: string;
  /** The text before its body. */
  readonly start: string;
  /** Whether it is only mentioned, in quotes: it stays text, including any calls that seem to be inside it. */
  readonly isQuoted: boolean;
  readonly body: string[];
  length: number;
  /** Closing markers found so far that did not end it. */
  markers: number;
}

/**
 * Takes calls out of text that arrives in chunks, cut anywhere. A call is returned once it is whole. Anything that is
 * not a call to a declared tool with fitting arguments stays text, unchanged, and so does anything in code or quotes.
 * White space around calls is dropped, except after other text.
 */
export class TextToolCalls {
  readonly #tools: ToolsByName<CallableTool>;
  readonly #formats: readonly Format[];
  #state: "blank" | "text" | "json" = "blank";
  #isFirst = true;
  /** White space held back until something follows it. */
  #space = "";
  /** Text that may be the start of a call. */
  #start = "";
  #open: OpenCall | undefined;
  /** The end of an outer tag that may follow. */
  #mayFollow = "";
  #hasCalls = false;
  /** The last two characters of the text. */
  #end = "";
  readonly #code = new CodeSpans();
  #text = "";
  #calls: TextToolCall[] = [];

  /** @param isJsonAsked whether the text should be JSON, in which case JSON on its own is not a call. */
  constructor(tools: readonly CallableTool[], isJsonAsked = false) {
    this.#tools = new ToolsByName(tools);
    this.#formats = isJsonAsked ? FORMATS.filter(({ isWhole }) => isWhole !== true) : FORMATS;
  }

  /** Takes a chunk; returns the text and calls that are certain now. */
  feed(chunk: string): TextAndCalls {
    if (this.#passes(chunk)) {
      this.#end = (this.#end + chunk.slice(-2)).slice(-2);
      return { text: chunk, calls: NO_CALLS };
    }
    const text = this.#start + chunk;
    this.#start = this.#text = "";
    this.#calls = [];
    for (let at = 0; at < text.length;) {
      at = this.#open === undefined ? this.#outside(text, at) : this.#inside(text, at, this.#open);
    }
    return { text: this.#text, calls: this.#calls };
  }

  /** The text held back, which would count as text if the answer ended here. */
  held(): string {
    return this.#space + this.#start + (this.#open === undefined ? "" : textOf(this.#open));
  }

  /** Ends the text; returns what was held back. */
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

  /** Whether a chunk is text and changes nothing. Nearly all are, so this does no other work. */
  #passes(chunk: string): boolean {
    if (this.#open !== undefined || this.#start !== "" || chunk === "") return false;
    if (this.#state === "json") return true;
    return this.#state === "text" && !NOTABLE.test(chunk) && this.#code.passes(chunk);
  }

  /** Reads text outside of calls; returns the position reached. */
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
          // An answer in JSON may have markers inside its strings.
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

  /** The format of a call that begins at a position; `"cut"` if the text ends too early to tell. */
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

  /** Reads a call that has begun; returns the position reached. */
  #inside(text: string, at: number, open: OpenCall): number {
    const { close = "" } = open.format;
    const part = text.slice(at, at + LONGEST_CALL - open.length);
    const last = open.body.at(-1) ?? "";
    const end = close === "" ? -1 : (last + part).indexOf(close);
    if (end === -1) {
      // The marker may be cut in two, so a possible start of it is kept as a separate part and examined again.
      const kept = close === "" ? 0 : Math.min(close.length - 1, last.length + part.length);
      const joined = last + part;
      open.body[Math.max(0, open.body.length - 1)] = joined.slice(0, joined.length - kept);
      open.body.push(joined.slice(joined.length - kept));
      open.length += part.length;
      if (open.length >= LONGEST_CALL) this.#fail(open);
      return at + part.length;
    }
    const taken = end + close.length - last.length;
    open.body[Math.max(0, open.body.length - 1)] = last + part.slice(0, taken);
    open.length += taken;
    if (!this.#close(open, close.length)) {
      if (++open.markers > MOST_MARKERS) this.#fail(open);
      else open.body.push("");
    }
    return at + taken;
  }

  /** Tries to read a call that may be whole; returns whether it is settled, as a call or as text. */
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

  /** The call, under the tool's declared name; `undefined` if its arguments do not fit. */
  #declared(call: TextToolCall): TextToolCall | undefined {
    const tool = this.#tools.get(call.name);
    const value = parseJson(call.arguments);
    if (tool === undefined || !isRecord(value) || !fits(value, tool.parameters)) return undefined;
    return { ...call, name: tool.name };
  }

  /** Gives out a call that has turned out to be text. */
  #fail(open: OpenCall): void {
    const text = textOf(open);
    this.#open = undefined;
    for (let at = 0; at < text.length; at++) this.#code.note(text.charCodeAt(at));
    this.#pass(text);
  }

  /** Gives out text, with the white space held back before it. */
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

/** Takes the calls out of a whole text, with the same result as if it had been streamed. */
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
