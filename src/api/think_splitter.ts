/**
 * Splits a model's reasoning from its answer if the model writes both into its text, such as `<think>…</think>`.
 *
 * @module
 */

import { isJson } from "../core/plain_text.ts";
import type { ReasoningTags } from "../core/types.ts";

/** Answer and reasoning, separated. */
export interface SplitText {
  readonly content: string;
  readonly reasoning: string;
}

interface TagPair {
  readonly open: string;
  readonly close: string;
  /** A tag that also ends the reasoning because it begins the answer. It has the same first character as `close`. */
  readonly alsoCloses?: string;
  /** Whether the closing tag also ends answers, so that it means nothing without the opening tag. */
  readonly isAlsoEnd?: boolean;
}

/** Tags of models known to write their reasoning into the text, each with the models that do. */
const KNOWN_PAIRS: readonly TagPair[] = [
  // DeepSeek, Qwen and most others.
  { open: "<think>", close: "</think>" },
  // Mistral.
  { open: "[THINK]", close: "[/THINK]" },
  // Gemma 4.
  { open: "<|channel>thought", close: "<channel|>" },
  // gpt-oss, whose chat template names its channels like this ("harmony").
  {
    open: "<|channel|>analysis<|message|>",
    close: "<|end|>",
    alsoCloses: "<|channel|>final<|message|>",
    isAlsoEnd: true,
  },
  // Seed-OSS.
  { open: "<seed:think>", close: "</seed:think>" },
  // Kimi.
  { open: "◁think▷", close: "◁/think▷" },
  // Command A.
  { open: "<|START_THINKING|>", close: "<|END_THINKING|>" },
];
/** Marks between reasoning and answer that belong to neither, such as gpt-oss's channel for answers. */
const KNOWN_MARKS: readonly string[] = ["<|start|>assistant", "<|channel|>final<|message|>"];

/** A tag or a mark; a mark has no pair. */
interface Start {
  readonly text: string;
  readonly pair?: TagPair;
}

/** The tags to search for. */
export class ThinkTags {
  readonly pairs: readonly TagPair[];
  /** Opening tags and marks, longest first, because one may begin with another. */
  readonly #starts: readonly Start[];
  /** Codes of the first characters of opening tags, and of a backtick; codes below 128 are in a table as well. */
  readonly #codes: ReadonlySet<number>;
  readonly #ascii = new Uint8Array(128);
  /** The same characters: one regular expression per chunk is faster than a lookup per character. */
  readonly #notable: RegExp;
  /** First characters of all tags and marks. */
  readonly #tagStart: RegExp;

  /** @param own pairs of other models, in addition to the known ones. */
  constructor(own: readonly ReasoningTags[] = []) {
    this.pairs = [...own.map(pairOf), ...KNOWN_PAIRS];
    this.#starts = [
      ...this.pairs.map((pair) => ({ text: pair.open, pair })),
      ...KNOWN_MARKS.map((text) => ({ text })),
    ].sort((a, b) => b.text.length - a.text.length);
    this.#codes = new Set([BACKTICK, ...this.pairs.map(({ open }) => open.charCodeAt(0))]);
    for (const code of this.#codes) this.#ascii[code] = 1;
    this.#notable = anyOf(this.#codes);
    this.#tagStart = anyOf([
      ...KNOWN_MARKS.map((text) => text.charCodeAt(0)),
      ...this.pairs.flatMap(({ open, close }) => [open.charCodeAt(0), close.charCodeAt(0)]),
    ]);
  }

  /** Whether a text may contain a tag. Most contain none and need no splitting. */
  mayBeIn(text: string): boolean {
    return this.#tagStart.test(text);
  }

  /** Whether a character may begin an opening tag, or code. */
  isNotable(code: number): boolean {
    return code < 128 ? this.#ascii[code] === 1 : this.#codes.has(code);
  }

  /** Whether a chunk of an answer contains none of these characters. */
  isOrdinary(chunk: string): boolean {
    return !this.#notable.test(chunk);
  }

  /** The tag or mark at a position; `"cut"` if the text ends too early to tell. */
  startAt(text: string, at: number): Start | "cut" | undefined {
    const rest = text.slice(at, at + (this.#starts[0]?.text.length ?? 0));
    for (const start of this.#starts) {
      if (rest.startsWith(start.text)) return start;
      if (start.text.startsWith(rest)) return "cut";
    }
    return undefined;
  }

  /** The closing tag at a position, if it cannot be part of an answer; `"cut"` if the text ends too early to tell. */
  closeAt(text: string, at: number): string | "cut" | undefined {
    for (const { close, isAlsoEnd } of this.pairs) {
      if (isAlsoEnd === true) continue;
      const rest = text.slice(at, at + close.length);
      if (rest === close) return close;
      if (close.startsWith(rest)) return "cut";
    }
    return undefined;
  }
}

/** A regular expression that matches any character with one of these codes. */
function anyOf(codes: Iterable<number>): RegExp {
  const units = Array.from(codes, (code) => `\\u${code.toString(16).padStart(4, "0")}`);
  return new RegExp(`[${units.join("")}]`);
}

function pairOf(tags: ReasoningTags): TagPair {
  const [open, close] = "open" in tags ? [tags.open, tags.close] : tags;
  // White space next to the tags is dropped.
  return { open: open.trim(), close: close.trim() };
}

const BACKTICK = 0x60;
const LINE_FEED = 0x0a;
const KNOWN_TAGS: ThinkTags = new ThinkTags();

/** The tags to look for: the known ones and the user's own. */
export function thinkTags(own: readonly ReasoningTags[] | undefined): ThinkTags {
  return own === undefined || own.length === 0 ? KNOWN_TAGS : new ThinkTags(own);
}

/**
 * Splits text that arrives in chunks, with tags cut anywhere. White space next to the tags is dropped; a tag that is
 * never closed makes everything after it reasoning; several blocks of reasoning are separated by a blank line. After
 * other text, a tag counts only outside code and JSON, and only if it is meant as a tag, not mentioned: see `#isMeant`.
 */
export class ThinkSplitter {
  readonly #tags: ThinkTags;
  #state: "start" | "reasoning" | "reasoned" | "answer" | "json" = "start";
  #pair: TagPair | undefined;
  /** White space held back until something follows. Only appended to: examining it per chunk would be quadratic. */
  #space = "";
  /** Text that may be the beginning of a tag. */
  #tag = "";
  /** Whether the current block of reasoning has any text yet: white space before that is dropped. */
  #isBegun = false;
  #hasThoughts = false;
  #hasReasoning = false;
  /** The last chunks of the answer: the text before a tag shows whether the tag is meant. */
  readonly #given: string[] = [];
  #givenAt = 0;
  readonly #code = new CodeSpans();
  #content = "";
  #reasoning = "";

  constructor(tags: ThinkTags = KNOWN_TAGS) {
    this.#tags = tags;
  }

  /**
   * Whether a chunk belongs to the answer unchanged, as nearly every chunk does. If so it counts as fed; otherwise call
   * `feed`.
   */
  passes(chunk: string): boolean {
    if (this.#state === "json") return true;
    if (this.#state !== "answer" || this.#tag !== "" || !this.#isPlain(chunk)) return false;
    this.#remember(chunk);
    return true;
  }

  /** Takes a chunk; returns the text that is certain now. */
  feed(chunk: string): SplitText {
    if (this.passes(chunk)) return { content: chunk, reasoning: "" };
    const text = this.#tag + chunk;
    this.#tag = this.#content = this.#reasoning = "";
    for (let at = 0; at < text.length;) at = this.#step(text, at);
    return { content: this.#content, reasoning: this.#reasoning };
  }

  /** The text held back, as it would be split if the text ended here. */
  held(): SplitText {
    const isSpaceOnly = this.#tag === "" && this.#state !== "start";
    const held = isSpaceOnly ? "" : this.#space + this.#tag;
    return this.#state === "reasoning"
      ? { content: "", reasoning: held }
      : { content: held, reasoning: "" };
  }

  /** Ends the text; returns what was held back. */
  end(): SplitText {
    const held = this.held();
    this.#space = this.#tag = "";
    return held;
  }

  /** Whether a chunk of the answer contains no tag and neither opens nor closes code. */
  #isPlain(chunk: string): boolean {
    return this.#code.isOpen
      ? !chunk.includes("`") && this.#code.passes(chunk)
      : this.#tags.isOrdinary(chunk);
  }

  /** Reads on from a position; returns the position reached. */
  #step(text: string, at: number): number {
    switch (this.#state) {
      case "start":
      case "reasoned":
        return this.#beforeAnswer(text, at);
      case "reasoning":
        return this.#think(text, at);
      case "answer":
        return this.#answer(text, at);
      case "json":
        this.#content += text.slice(at);
        return text.length;
    }
  }

  /** At the start of the text, or after reasoning: either the answer or more reasoning begins. */
  #beforeAnswer(text: string, at: number): number {
    const from = skipSpace(text, at);
    this.#space += text.slice(at, from);
    if (from === text.length) return from;
    const start = this.#tags.startAt(text, from) ??
      (this.#state === "start" ? this.#tags.closeAt(text, from) : undefined);
    if (start === "cut") {
      this.#tag = text.slice(from);
      return text.length;
    }
    if (start !== undefined) {
      this.#space = "";
      if (typeof start === "object" && start.pair !== undefined) this.#open(start.pair);
      else this.#state = "reasoned";
      return from + (typeof start === "object" ? start.text : start).length;
    }
    const before = this.#answerSoFar();
    const isFirst = before === "";
    // Between two parts of the answer, with reasoning in between, white space may be all that separates two words.
    if (this.#state === "start" || !(isFirst || /\s$/.test(before))) this.#give(this.#space);
    this.#space = "";
    // An answer in JSON may have the tags inside its strings.
    const beginsJson = isFirst && (text[from] === "{" || text[from] === "[");
    this.#state = beginsJson ? "json" : "answer";
    return from;
  }

  #open(pair: TagPair): void {
    this.#pair = pair;
    this.#state = "reasoning";
    this.#isBegun = false;
    this.#hasThoughts = true;
  }

  #think(text: string, at: number): number {
    if (this.#pair === undefined) return text.length;
    const close = findClose(text, at, this.#pair);
    if (close === undefined) {
      const held = Math.max(
        beginningLength(text, at, this.#pair.close),
        beginningLength(text, at, this.#pair.alsoCloses ?? ""),
      );
      this.#tag = text.slice(text.length - held);
      this.#reason(text.slice(at, text.length - held));
      return text.length;
    }
    this.#reason(text.slice(at, close.at));
    this.#space = "";
    this.#state = "reasoned";
    return close.at + close.tag.length;
  }

  /** Gives out reasoning that contains no tags; white space at its end is held back. */
  #reason(text: string): void {
    const body = this.#isBegun ? text : text.trimStart();
    const certain = body.trimEnd();
    if (certain === "") {
      this.#space += body;
      return;
    }
    if (!this.#isBegun && this.#hasReasoning) this.#reasoning += "\n\n";
    this.#isBegun = this.#hasReasoning = true;
    this.#reasoning += this.#space + certain;
    this.#space = body.slice(certain.length);
  }

  #answer(text: string, begin: number): number {
    for (let at = begin; at < text.length; at++) {
      const code = text.charCodeAt(at);
      const mayStart = this.#tags.isNotable(code) && !this.#code.isOpen;
      const start = mayStart ? this.#tags.startAt(text, at) : undefined;
      const isTag = start === "cut" || start?.pair !== undefined;
      if (isTag) {
        const next = start === "cut" ? undefined : text[at + start.text.length];
        // Only as much as is examined: with a whole line, a text full of tags would be read again for each tag.
        const line = text.slice(Math.max(begin, at - SPACE_LOOKED_AT), at);
        const before = at - begin < SPACE_LOOKED_AT ? this.#answerSoFar() + line : line;
        const isMeant = this.#isMeant(before, next);
        if (isMeant !== false) this.#give(text.slice(begin, at));
        if (isMeant === undefined || (isMeant && start === "cut")) {
          this.#tag = text.slice(at);
          return text.length;
        }
        if (isMeant && start !== "cut" && start?.pair !== undefined) {
          this.#open(start.pair);
          return at + start.text.length;
        }
      }
      this.#code.note(code);
    }
    this.#give(text.slice(begin));
    return text.length;
  }

  /**
   * Whether an opening tag after answer text is meant as a tag, not mentioned. It must not be in quotes, and must be at
   * the start of a line or sentence, directly after a word, or at the end of a line. Models that have already reasoned
   * may open it anywhere, unless it looks like a word among others.
   *
   * @param before the end of the answer so far.
   * @param next the character after the tag; `undefined` if it has not arrived yet.
   */
  #isMeant(before: string, next: string | undefined): boolean | undefined {
    if (QUOTES.test(before)) return false;
    if (STARTS.test(before)) return true;
    if (next === undefined) return undefined;
    if (next === "\n" || next === "\r") return true;
    const mayBeWord = /\s$/.test(before) && !this.#hasThoughts;
    return !mayBeWord && !/[ \t.,;:!?"'`)\]/|*-]/.test(next);
  }

  #give(text: string): void {
    this.#content += text;
    this.#remember(text);
  }

  #remember(text: string): void {
    if (text !== "") this.#given[this.#givenAt++ % SPACE_LOOKED_AT] = text;
  }

  /** The end of the answer so far, at least `SPACE_LOOKED_AT` characters if there are as many. */
  #answerSoFar(): string {
    const at = this.#givenAt % SPACE_LOOKED_AT;
    const ends = [...this.#given.slice(at), ...this.#given.slice(0, at)];
    return ends.map((text) => text.slice(-SPACE_LOOKED_AT)).join("");
  }
}

/** Tracks whether the text is inside Markdown code, a span or a fenced block. */
export class CodeSpans {
  /** Length of the run of backticks that opened the current code; 0 outside of code. */
  #length = 0;
  /** Backticks at the end of the text read so far. */
  #backticks = 0;

  /** Whether the next character may be in code. */
  get isOpen(): boolean {
    return this.#length !== 0 || this.#backticks !== 0;
  }

  /** Whether a chunk without backticks changes no state. */
  passes(chunk: string): boolean {
    if (this.#backticks > 0) return false;
    return this.#length === 0 || this.#length >= FENCE_LENGTH || !chunk.includes("\n");
  }

  /** Reads a character. Runs of backticks open and close code; code opened by less than a fence ends with its line. */
  note(code: number): void {
    if (code === BACKTICK) {
      this.#backticks++;
      return;
    }
    if (this.#backticks > 0) {
      if (this.#length === 0) this.#length = this.#backticks;
      else if (this.#backticks >= this.#length) this.#length = 0;
      this.#backticks = 0;
    }
    if (code === LINE_FEED && this.#length < FENCE_LENGTH) this.#length = 0;
  }
}

/** Finds the first tag that ends the reasoning. */
function findClose(
  text: string,
  from: number,
  { close, alsoCloses }: TagPair,
): { readonly at: number; readonly tag: string } | undefined {
  if (alsoCloses === undefined) {
    const at = text.indexOf(close, from);
    return at === -1 ? undefined : { at, tag: close };
  }
  // One pass: searching for a tag that is missing would read the whole text again for each block of reasoning.
  const first = close.charAt(0);
  for (let at = text.indexOf(first, from); at !== -1; at = text.indexOf(first, at + 1)) {
    if (text.startsWith(close, at)) return { at, tag: close };
    if (text.startsWith(alsoCloses, at)) return { at, tag: alsoCloses };
  }
  return undefined;
}

function skipSpace(text: string, at: number): number {
  return text.length - text.slice(at).trimStart().length;
}

/** Number of characters at the end of `text`, from `at` on, that may begin a tag. */
function beginningLength(text: string, at: number, tag: string): number {
  for (let length = Math.min(tag.length - 1, text.length - at); length > 0; length--) {
    if (text.endsWith(tag.slice(0, length))) return length;
  }
  return 0;
}

/**
 * Splits a whole text as if it had been streamed, with one addition: chat templates that put the opening tag into the
 * prompt leave only the closing one, and everything before it is reasoning. A stream cannot know that in time.
 */
export function splitThinking(text: string, tags: ThinkTags = KNOWN_TAGS): SplitText {
  if (!tags.mayBeIn(text)) return { content: text, reasoning: "" };
  for (const pair of tags.pairs) {
    if (pair.isAlsoEnd === true) continue;
    const close = findLoneClose(text, pair);
    if (close === -1) continue;
    const reasoning = text.slice(0, close).trim();
    const rest = splitAsStreamed(text.slice(close + pair.close.length).trimStart(), tags);
    return {
      content: rest.content,
      reasoning: [reasoning, rest.reasoning].filter((part) => part !== "").join("\n\n"),
    };
  }
  return splitAsStreamed(text, tags);
}

/** Splits a whole text exactly as if it had been streamed. */
export function splitAsStreamed(text: string, tags: ThinkTags = KNOWN_TAGS): SplitText {
  const splitter = new ThinkSplitter(tags);
  const start = splitter.feed(text);
  const end = splitter.end();
  return { content: start.content + end.content, reasoning: start.reasoning + end.reasoning };
}

/**
 * Position of the first closing tag of a text that has no opening tag; -1 if there is none, or if it seems to be only
 * mentioned: in quotes, in code, in JSON, or among the words of a line.
 */
function findLoneClose(text: string, { open, close }: TagPair): number {
  const at = text.indexOf(close);
  if (at === -1) return -1;
  const before = text.slice(0, at);
  const after = text.slice(at + close.length);
  // Without the final `>`, because an opening tag may have attributes.
  if (before.includes(open.replace(/>$/, "")) || !isBalanced(after, open, close)) return -1;
  if (/["'`([\u2018\u201c\u00ab]$/.test(before) && /^["'`)\]\u2019\u201d\u00bb]/.test(after)) {
    return -1;
  }
  const line = before.slice(before.lastIndexOf("\n") + 1);
  // An odd number of backticks in the line, or of fences above it, leaves code open.
  if (line.split("`").length % 2 === 0) return -1;
  if (before.split(/^ {0,3}```/m).length % 2 === 0) return -1;
  const isAmongWords = /\S[ \t]+$/.test(line.slice(-SPACE_LOOKED_AT)) && /^[ \t]*\S/.test(after);
  // JSON may have the tag inside its strings.
  return isAmongWords || isJson(text) ? -1 : at;
}

/** Whether every opening tag is closed and no other closing tag is left. */
function isBalanced(text: string, open: string, close: string): boolean {
  let at = 0;
  while (true) {
    const opened = text.indexOf(open, at);
    const closed = text.indexOf(close, at);
    if (opened === -1 || closed === -1 || closed < opened) return opened === -1 && closed === -1;
    at = closed + close.length;
  }
}

/** Characters examined before a tag: no sentence has more blanks than this between two words. */
const SPACE_LOOKED_AT = 16;
const FENCE_LENGTH = 3;
/** End of a text after which something is quoted. A straight quote may also close a quotation. */
export const QUOTES: RegExp = /[`(\u2018\u201c\u00ab]$|(?:^|[\s([{])["']$/;
/** End of a text after which a line or a sentence begins. */
const STARTS = /(?:^|[\n.!?\u2026\u3002\uff01\uff1f])["')\]*_\u2019\u201d\u00bb]*[ \t]*$/;
