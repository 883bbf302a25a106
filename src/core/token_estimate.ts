/**
 * Token estimates for requests, from their characters and the token counts in earlier answers of the same model.
 *
 * No server counts tokens for us, and tokenizers for all models would take megabytes. But every answer reports the
 * tokens of its whole prompt, and a tokenizer is nearly linear in `FEATURES`: characters by kind, and the number of
 * runs of each kind. The weights are learnt by recursive least squares, starting from those of common tokenizers. The
 * method also tells how certain an estimate is: less for a language it has not seen, since its letters occur in other
 * proportions. A single ratio of tokens to characters would cost half as much, but be 40 % off between English prose
 * and a log file.
 *
 * @module
 */

import type { Message } from "./messages.ts";

/** Feature that is counted: its name, its tokens with common tokenizers, and how much these differ. */
type Feature = readonly [name: string, weight: number, spread: number];

const LETTERS = [..."abcdefghijklmnopqrstuvwxyz"];

const FEATURES: readonly Feature[] = [
  // One feature per letter: none costs much, but their proportions identify the language.
  ...LETTERS.map((letter): Feature => [letter, 0.03, 0.3]),
  ["upper", 0.1, 0.15],
  ["digit", 0.6, 0.45],
  ["quote", 0.35, 0.3],
  ["comma", 0.1, 0.25],
  ["bracket", 0.1, 0.2],
  ["line art", 0.1, 0.2],
  ["symbol", 0.35, 0.3],
  ["space", 0.15, 0.2],
  ["tab", 0.2, 0.2],
  ["line", 1, 0.4],
  ["control", 0.8, 0.8],
  ["accented", 0.9, 0.5],
  ["greek", 0.7, 0.4],
  ["cyrillic", 0.2, 0.2],
  ["semitic", 0.6, 0.4],
  ["devanagari", 0.7, 0.5],
  ["thai", 0.7, 0.4],
  ["other script", 0.9, 0.6],
  ["han", 0.95, 0.4],
  ["kana", 0.95, 0.4],
  ["hangul", 1, 0.5],
  ["wide", 0.7, 0.4],
  ["typographic", 0.8, 0.8],
  // Half of a surrogate pair, such as for an emoji.
  ["half", 1.2, 0.8],
  ["other", 1, 0.8],
  // Starts of runs, and long runs.
  ["word", 0.85, 0.3],
  ["hump", 0.75, 0.3],
  ["long", 0.25, 0.25],
  ["number", 0.6, 0.5],
  ["punctuation", 0.7, 0.35],
  ["cyrillic word", 1.2, 0.9],
  ["indent", -0.1, 0.15],
  // Text added by the chat template.
  ["prompt", 20, 40],
  ["message", 5, 3],
  ["call", 12, 8],
  // From 64 (SmolVLM), 256 (Gemma) and 576 (LLaVA) to a few thousand (Qwen-VL, depending on size).
  ["image", 700, 500],
  ["tools", 80, 120],
  ["tool text", 0.25, 0.08],
  // Servers turn the schema into a grammar; whether any shows it to the model too is undocumented.
  ["schema text", 0.05, 0.12],
];

const SIZE = FEATURES.length;
const NAMES = FEATURES.map(([name]) => name);
const at = (name: string): number => NAMES.indexOf(name);
const [UPPER, DIGIT] = [at("upper"), at("digit")];
const [WORD, HUMP, LONG, NUMBER] = [at("word"), at("hump"), at("long"), at("number")];
const [PUNCTUATION, CYRILLIC_WORD, INDENT] = [at("punctuation"), at("cyrillic word"), at("indent")];
const [PROMPT, MESSAGE, CALL, IMAGE] = [at("prompt"), at("message"), at("call"), at("image")];
const [TOOLS, TOOL_TEXT, SCHEMA_TEXT] = [at("tools"), at("tool text"), at("schema text")];

/** Number of times each feature occurs. Counts of parts add up to the counts of the whole. */
export type Counts = Float64Array;

/** Creates empty counts. */
export function noCounts(): Counts {
  return new Float64Array(SIZE);
}

/** Prefix sums of the counts of a list's parts, so that the counts of any range take one subtraction. */
export class RunningCounts {
  readonly #sums: Float64Array;
  /** Counts of all parts so far; add to it, then call `next()`. */
  readonly sum: Counts = noCounts();
  #length = 0;

  /** @param parts number of parts there will be. */
  constructor(parts: number) {
    this.#sums = new Float64Array((parts + 1) * SIZE);
  }

  /** Ends a part. */
  next(): void {
    this.#sums.set(this.sum, ++this.#length * SIZE);
  }

  /** Adds the counts of the parts from one index up to, but not including, another. */
  addTo(counts: Counts, from: number, to: number): void {
    for (let index = 0; index < SIZE; index++) {
      counts[index]! += this.#sums[to * SIZE + index]! - this.#sums[from * SIZE + index]!;
    }
  }
}

const RANGES: readonly (readonly [first: number, last: number, name: string])[] = [
  [0x00, 0x1f, "control"],
  [0x20, 0x20, "space"],
  [0x21, 0x7f, "symbol"],
  [0x30, 0x39, "digit"],
  [0x41, 0x5a, "upper"],
  [0x80, 0xbf, "typographic"],
  [0xc0, 0x24f, "accented"],
  [0x300, 0x36f, "accented"],
  [0x370, 0x3ff, "greek"],
  [0x400, 0x52f, "cyrillic"],
  [0x530, 0x8ff, "semitic"],
  [0x900, 0x97f, "devanagari"],
  [0x980, 0x1dff, "other script"],
  [0xe00, 0xeff, "thai"],
  [0x1100, 0x11ff, "hangul"],
  [0x1e00, 0x1eff, "accented"],
  [0x1f00, 0x1fff, "greek"],
  [0x2000, 0x206f, "typographic"],
  [0x3000, 0x303f, "wide"],
  [0x3040, 0x30ff, "kana"],
  [0x3130, 0x318f, "hangul"],
  [0x3400, 0x9fff, "han"],
  [0xac00, 0xd7af, "hangul"],
  [0xd800, 0xdfff, "half"],
  [0xf900, 0xfaff, "han"],
  [0xff00, 0xffef, "wide"],
];
const SINGLES: readonly (readonly [characters: string, name: string])[] = [
  ["\t", "tab"],
  ["\n\r", "line"],
  ["\"'`", "quote"],
  [".,;:!?", "comma"],
  ["{}[]()<>", "bracket"],
  ["-_=/\\*#|", "line art"],
];

/** Kinds of runs. */
const [OUTSIDE, LOWER_RUN, UPPER_RUN, DIGITS, SIGNS, WHITE, CYRILLIC_RUN] = [0, 1, 2, 3, 4, 5, 6];
const RUN_OF = new Uint8Array(SIZE);
for (const letter of [...LETTERS, "accented"]) RUN_OF[at(letter)] = LOWER_RUN;
for (const sign of ["quote", "comma", "bracket", "line art", "symbol"]) RUN_OF[at(sign)] = SIGNS;
for (const white of ["space", "tab", "line"]) RUN_OF[at(white)] = WHITE;
RUN_OF[UPPER] = UPPER_RUN;
RUN_OF[DIGIT] = DIGITS;
RUN_OF[at("cyrillic")] = CYRILLIC_RUN;

/** Length up to which most tokenizers have a word as one token. */
const SHORT_WORD = 6;

/** Feature of each UTF-16 unit. A table, since branches would take three times as long. */
const KIND_OF = kindTable();

function kindTable(): Uint8Array {
  const table = new Uint8Array(0x10000).fill(at("other"));
  for (const [first, last, name] of RANGES) table.fill(at(name), first, last + 1);
  for (const [characters, name] of [...SINGLES, ...LETTERS.map((letter) => [letter, letter])]) {
    for (const character of characters ?? "") table[character.charCodeAt(0)] = at(name ?? "");
  }
  return table;
}

/** Integer counts of one text. Adding to the floating-point counts directly took twice as long. */
const TALLY = new Uint32Array(SIZE + 1);
/** Index in `TALLY` that is never read. */
const NOTHING = SIZE;

/** Feature to count when one kind of run follows another. A table, since branches took twice as long. */
const EVENT_OF = eventTable();

function eventTable(): Uint8Array {
  const table = new Uint8Array(64).fill(NOTHING);
  const set = (next: number, feature: number, before: readonly number[]) => {
    for (const run of before) table[(run << 3) | next] = feature;
  };
  const all = [OUTSIDE, LOWER_RUN, UPPER_RUN, DIGITS, SIGNS, WHITE, CYRILLIC_RUN];
  const noWord = [OUTSIDE, DIGITS, SIGNS, WHITE, CYRILLIC_RUN];
  set(LOWER_RUN, WORD, noWord);
  set(UPPER_RUN, WORD, noWord);
  set(UPPER_RUN, HUMP, [LOWER_RUN]);
  set(DIGITS, NUMBER, all.filter((run) => run !== DIGITS));
  set(SIGNS, PUNCTUATION, all.filter((run) => run !== SIGNS));
  set(CYRILLIC_RUN, CYRILLIC_WORD, all.filter((run) => run !== CYRILLIC_RUN));
  set(WHITE, INDENT, [WHITE]);
  return table;
}

function countText(text: string, into: Counts): void {
  let run = OUTSIDE;
  let length = 0;
  for (let index = 0; index < text.length; index++) {
    const kind = KIND_OF[text.charCodeAt(index)]!;
    const next = RUN_OF[kind]!;
    const event = EVENT_OF[(run << 3) | next]!;
    TALLY[kind]!++;
    TALLY[event]!++;
    length = event === NOTHING ? length + 1 : 1;
    if (length > SHORT_WORD && next === LOWER_RUN) TALLY[LONG]!++;
    run = next;
  }
  for (let index = 0; index < SIZE; index++) into[index]! += TALLY[index]!;
  TALLY.fill(0);
}

/** Estimates the tokens of a single text with common tokenizers. */
export function estimateTokens(text: string): number {
  const counts = noCounts();
  countText(text, counts);
  let tokens = 0;
  for (const [row, [, weight]] of FEATURES.entries()) tokens += counts[row]! * weight;
  return Math.round(tokens);
}

/** Adds the counts of a message. @param withReasoning whether reasoning is sent too. */
export function countMessage(message: Message, into: Counts, withReasoning = false): void {
  into[MESSAGE]!++;
  const { content } = message;
  if (typeof content === "string") countText(content, into);
  else {
    for (const part of content ?? []) {
      if (part.type === "text") countText(part.text, into);
      else into[IMAGE]!++;
    }
  }
  if (message.role !== "assistant") return;
  if (withReasoning && message.reasoning !== undefined) countText(message.reasoning, into);
  for (const { name, arguments: written } of message.toolCalls ?? []) {
    into[CALL]!++;
    countText(name, into);
    countText(written, into);
  }
}

/** Counts everything in a request besides its messages. @param tools as JSON text, like `schema`. */
export function countFrame(tools = "", schema = ""): Counts {
  const counts = noCounts();
  counts[PROMPT] = 1;
  counts[TOOLS] = tools === "" ? 0 : 1;
  counts[TOOL_TEXT] = tools.length;
  counts[SCHEMA_TEXT] = schema.length;
  return counts;
}

/** Estimated tokens of a prompt. */
export interface TokenEstimate {
  /** Expected tokens. */
  readonly tokens: number;
  /** Bound that is rarely exceeded; the more the prompt resembles earlier ones, the closer it is to `tokens`. */
  readonly atMost: number;
}

/** Share by which the tokens of a text can differ from the estimate, even if it resembles earlier ones. */
const OWN_NOISE = 0.009;
/** Tokens that a chat template adds or omits depending on the order of messages. */
const TEMPLATE_NOISE = 3;
/** Number of standard deviations in `atMost`. */
const CAUTION = 2;
/** Share by which common tokenizers differ as a whole. */
const COMMON_SPREAD = 0.15;
/** Share of the initial uncertainty added back with each answer, so that changes can be learnt. */
const FORGETTING = 0.00005;
/** A count that differs by a larger factor counts something else, such as only uncached tokens. */
const BELIEVABLE = 3;

/** Estimator of the tokens of one model. */
export class TokenEstimator {
  readonly #weights = Float64Array.from(FEATURES, ([, weight]) => weight);
  readonly #covariance = firstCovariance();
  #answers = 0;
  /** Mean square of the errors, relative to the expected deviations; 1 is as expected. */
  #surprise = 1;

  /** Number of answers it has learnt from. */
  get answers(): number {
    return this.#answers;
  }

  /** Estimates the tokens of a prompt with these counts. */
  estimate(counts: Counts): TokenEstimate {
    const { tokens, variance } = this.#predict(counts);
    const deviation = Math.sqrt(variance * this.#surprise);
    return { tokens, atMost: tokens + CAUTION * deviation };
  }

  /** Learns from the tokens a server counted. @returns whether the count was plausible. */
  learn(counts: Counts, promptTokens: number): boolean {
    const { tokens, variance } = this.#predict(counts);
    const factor = promptTokens / tokens;
    if (!(factor > 1 / BELIEVABLE && factor < BELIEVABLE)) return false;
    const error = promptTokens - tokens;
    const gain = this.#gain(counts);
    const square = error * error / variance;
    const total = variance + noiseOf(promptTokens) - noiseOf(tokens);
    for (let row = 0; row < SIZE; row++) {
      this.#weights[row]! += gain[row]! * error / total;
      const share = gain[row]! / total;
      if (share === 0) continue;
      for (let column = 0; column < SIZE; column++) {
        this.#covariance[row * SIZE + column]! -= share * gain[column]!;
      }
    }
    for (let row = 0; row < SIZE; row++) {
      this.#covariance[row * SIZE + row]! += FORGETTING * FEATURES[row]![2] ** 2;
    }
    this.#answers++;
    this.#surprise = Math.max(1, this.#surprise + (Math.min(square, 9) - this.#surprise) / 16);
    return true;
  }

  #predict(counts: Counts): { tokens: number; variance: number } {
    let tokens = 0;
    let variance = 0;
    for (let row = 0; row < SIZE; row++) {
      const count = counts[row]!;
      if (count === 0) continue;
      tokens += count * this.#weights[row]!;
      const start = row * SIZE;
      // The covariance is symmetric, so the half below the diagonal counts twice.
      let sum = count * this.#covariance[start + row]!;
      for (let column = 0; column < row; column++) {
        sum += 2 * counts[column]! * this.#covariance[start + column]!;
      }
      variance += count * sum;
    }
    // Weights may be negative, but a token count never is.
    tokens = Math.max(1, tokens);
    return { tokens, variance: Math.max(0, variance) + noiseOf(tokens) };
  }

  #gain(counts: Counts): Float64Array {
    const gain = new Float64Array(SIZE);
    for (let column = 0; column < SIZE; column++) {
      const count = counts[column]!;
      if (count === 0) continue;
      const start = column * SIZE;
      for (let row = 0; row < SIZE; row++) gain[row]! += count * this.#covariance[start + row]!;
    }
    return gain;
  }
}

function noiseOf(tokens: number): number {
  return (OWN_NOISE * tokens) ** 2 + TEMPLATE_NOISE ** 2;
}

function firstCovariance(): Float64Array {
  const covariance = new Float64Array(SIZE * SIZE);
  for (const [row, [, weight, spread]] of FEATURES.entries()) {
    for (const [column, [, other]] of FEATURES.entries()) {
      covariance[row * SIZE + column] = COMMON_SPREAD ** 2 * weight * other;
    }
    covariance[row * SIZE + row]! += spread ** 2;
  }
  return covariance;
}
