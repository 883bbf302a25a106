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
  /** What may be part of a tag, or white space before one. */
  #held = "";

  /** What is certain after this piece. */
  feed(piece: string): SplitText {
    // Nearly every piece: kept free of any work.
    if (this.#state === "answer") return { content: piece, reasoning: "" };
    const text = this.#held + piece;
    this.#held = "";
    if (this.#state === "start") return this.#start(text);
    if (this.#state === "thinking") return this.#think(text);
    return this.#answer(text);
  }

  /** What was held back, at the end of the text. */
  end(): SplitText {
    const held = this.#held;
    this.#held = "";
    if (this.#state === "thinking") return { content: "", reasoning: held.trimEnd() };
    return { content: this.#state === "thought" ? "" : held, reasoning: "" };
  }

  #start(text: string): SplitText {
    const trimmed = text.trimStart();
    if (trimmed.startsWith(OPEN)) {
      this.#state = "thinking";
      this.#isBegun = false;
      return this.#think(trimmed.slice(OPEN.length));
    }
    if (OPEN.startsWith(trimmed)) {
      this.#held = text;
      return NOTHING;
    }
    this.#state = "answer";
    return { content: text, reasoning: "" };
  }

  /** Whether any reasoning has been given out: only white space before it is dropped. */
  #isBegun = false;

  #think(text: string): SplitText {
    const rest = this.#isBegun ? text : text.trimStart();
    const close = rest.indexOf(CLOSE);
    if (close !== -1) {
      this.#state = "thought";
      const { content } = this.#answer(rest.slice(close + CLOSE.length));
      return { content, reasoning: rest.slice(0, close).trimEnd() };
    }
    // White space and the start of a tag wait: what follows decides whether they are reasoning.
    const certain = rest.slice(0, rest.length - tagStartLength(rest)).trimEnd();
    this.#held = rest.slice(certain.length);
    this.#isBegun ||= certain !== "";
    return { content: "", reasoning: certain };
  }

  #answer(text: string): SplitText {
    const content = text.trimStart();
    if (content !== "") this.#state = "answer";
    return { content, reasoning: "" };
  }
}

/** Splits a whole text, as it would be split had it been streamed. */
export function splitThinking(text: string): SplitText {
  const splitter = new ThinkSplitter();
  const start = splitter.feed(text);
  const end = splitter.end();
  return { content: start.content + end.content, reasoning: start.reasoning + end.reasoning };
}

const NOTHING: SplitText = { content: "", reasoning: "" };

/** How many characters at the end of `text` begin a closing tag. */
function tagStartLength(text: string): number {
  for (let length = Math.min(CLOSE.length - 1, text.length); length > 0; length--) {
    if (text.endsWith(CLOSE.slice(0, length))) return length;
  }
  return 0;
}
