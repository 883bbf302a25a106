/**
 * Tells the reasoning from the answer where a model writes both into its text, as
 * `<think>…</think>` at the start.
 *
 * @module
 */

/** Text and reasoning, apart. */
export interface SplitText {
  readonly content: string;
  readonly reasoning: string;
}

const OPEN = "<think>";
const CLOSE = "</think>";

/**
 * Splits a text that arrives in pieces, tags cut anywhere. White space next to the tags belongs to neither
 * side; a tag that is never closed makes all of the text reasoning.
 */
export class ThinkSplitter {
  #state: "start" | "thinking" | "thought" | "answer" = "start";
  /** White space that waits for what follows it. Only ever added to: looking at it per piece would be quadratic. */
  #space = "";
  /** What may be the beginning of a tag. */
  #tag = "";
  /** Whether any reasoning has been given out: white space before it is dropped. */
  #isBegun = false;

  /** What is certain after this piece. */
  feed(piece: string): SplitText {
    // Nearly every piece: kept free of any work.
    if (this.#state === "answer") return { content: piece, reasoning: "" };
    const text = this.#tag + piece;
    this.#tag = "";
    if (this.#state === "start") return this.#start(text);
    if (this.#state === "thinking") return this.#think(text);
    return this.#answer(text);
  }

  /** What is held back, and would be given out if the text ended here. */
  held(): SplitText {
    const held = this.#tag === "" && this.#state !== "start" ? "" : this.#space + this.#tag;
    return this.#state === "thinking"
      ? { content: "", reasoning: held }
      : { content: held, reasoning: "" };
  }

  /** What was held back, at the end of the text. */
  end(): SplitText {
    const held = this.held();
    this.#space = this.#tag = "";
    return held;
  }

  #start(text: string): SplitText {
    const trimmed = text.trimStart();
    if (trimmed.startsWith(OPEN)) {
      this.#state = "thinking";
      this.#space = "";
      return this.#think(trimmed.slice(OPEN.length));
    }
    if (OPEN.startsWith(trimmed)) {
      this.#space += text.slice(0, text.length - trimmed.length);
      this.#tag = trimmed;
      return NOTHING;
    }
    this.#state = "answer";
    return { content: this.#takeSpace() + text, reasoning: "" };
  }

  #think(text: string): SplitText {
    const close = text.indexOf(CLOSE);
    if (close !== -1) {
      const reasoning = this.#reason(text.slice(0, close));
      this.#space = "";
      this.#state = "thought";
      return { content: this.#answer(text.slice(close + CLOSE.length)).content, reasoning };
    }
    const tagLength = tagStartLength(text);
    this.#tag = text.slice(text.length - tagLength);
    return { content: "", reasoning: this.#reason(text.slice(0, text.length - tagLength)) };
  }

  /** The reasoning in a text without tags; white space at its end waits. */
  #reason(text: string): string {
    const body = this.#isBegun ? text : text.trimStart();
    const certain = body.trimEnd();
    if (certain === "") {
      this.#space += body;
      return "";
    }
    this.#isBegun = true;
    const reasoning = this.#takeSpace() + certain;
    this.#space = body.slice(certain.length);
    return reasoning;
  }

  #answer(text: string): SplitText {
    const content = text.trimStart();
    if (content !== "") this.#state = "answer";
    return { content, reasoning: "" };
  }

  #takeSpace(): string {
    const space = this.#space;
    this.#space = "";
    return space;
  }
}

/**
 * Splits a whole text as it would be split had it been streamed; but where templates put the opening tag into the
 * prompt, only the closing one comes, and then all before it is reasoning. A stream cannot know that in time.
 */
export function splitThinking(text: string): SplitText {
  const close = findLoneClose(text);
  if (close !== -1) {
    return {
      content: text.slice(close + CLOSE.length).trimStart(),
      reasoning: text.slice(0, close).trim(),
    };
  }
  return splitAsStreamed(text);
}

/** Splits a whole text, exactly as it would be split had it been streamed. */
export function splitAsStreamed(text: string): SplitText {
  const splitter = new ThinkSplitter();
  const start = splitter.feed(text);
  const end = splitter.end();
  return { content: start.content + end.content, reasoning: start.reasoning + end.reasoning };
}

/**
 * Where the one closing tag of a text is that has no opening tag; -1 also where it is rather spoken of than meant:
 * in quotes, in code, in JSON, or among the words of a line.
 */
function findLoneClose(text: string): number {
  const at = text.indexOf(CLOSE);
  if (at === -1 || at !== text.lastIndexOf(CLOSE) || text.includes("<think")) return -1;
  const before = text.slice(0, at);
  const after = text.slice(at + CLOSE.length);
  if (/["'`([\u2018\u201c\u00ab]$/.test(before) && /^["'`)\]\u2019\u201d\u00bb]/.test(after)) {
    return -1;
  }
  const line = before.slice(before.lastIndexOf("\n") + 1);
  // An odd number: a code span, or a block, is still open.
  if (line.split("`").length % 2 === 0) return -1;
  if (before.split(/^ {0,3}```/m).length % 2 === 0) return -1;
  const isAmongWords = /\S[ \t]+$/.test(line.slice(-SPACE_LOOKED_AT)) && /^[ \t]*\S/.test(after);
  return isAmongWords || isJson(text) ? -1 : at;
}

/** An answer in JSON may have the tag in a text of its own. */
function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** More blanks than this between two words are none of a sentence. */
const SPACE_LOOKED_AT = 16;

const NOTHING: SplitText = { content: "", reasoning: "" };

/** How many characters at the end of `text` begin a closing tag. */
function tagStartLength(text: string): number {
  for (let length = Math.min(CLOSE.length - 1, text.length); length > 0; length--) {
    if (text.endsWith(CLOSE.slice(0, length))) return length;
  }
  return 0;
}
