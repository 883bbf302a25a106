/**
 * Which messages of a conversation are sent where not all of them fit into the context of the model.
 *
 * Pure: what is known of the context and of the model's tokens goes in, the messages to send come out.
 *
 * @module
 */

import type { Message } from "./messages.ts";
import { countMessage, type Counts, RunningCounts, type TokenEstimator } from "./token_estimate.ts";

/**
 * What becomes of a conversation that is longer than the context of the model. System and developer messages, and the
 * last user message with all after it, are always sent; a tool call is never parted from its result, nor that from the
 * images of the tool: a user message with images right behind results is of the turn before it.
 *
 * - `"error"`: nothing is done here; the server decides, as a rule by an error of code `context_overflow`.
 * - `"rollingWindow"`: the oldest turns are dropped (a turn begins with a user message), as many as must be. Of a turn
 *   with several tool calls the user message stays and only its oldest calls go, where that is enough.
 * - `"truncateMiddle"`: the first turn stays, and the newest; those between are dropped.
 * - a function: the messages it returns are sent.
 *
 * @example
 * ```ts
 * import { type ContextOverflowPolicy, LMStudioProvider } from "jsr:@patinox/lmstudio";
 *
 * // Images are the first to go.
 * const contextOverflowPolicy: ContextOverflowPolicy = ({ messages }) =>
 *   messages.map((message) =>
 *     message.role === "user" && typeof message.content !== "string"
 *       ? { ...message, content: message.content.filter(({ type }) => type === "text") }
 *       : message
 *   );
 * const { trimmed } = await new LMStudioProvider().complete({
 *   messages: "Why is the sky blue?",
 *   contextOverflowPolicy,
 * });
 * console.log(trimmed?.dropped.length ?? 0);
 * ```
 */
export type ContextOverflowPolicy =
  | "error"
  | "truncateMiddle"
  | "rollingWindow"
  | ((info: OverflowInfo) => Message[]);

/** A conversation that does not fit, as a `contextOverflowPolicy` that is a function is told of it. */
export interface OverflowInfo {
  /** The whole conversation; neighbouring strings of the request are one user message. Not to be changed. */
  readonly messages: readonly Message[];
  /** Tokens of the context, as the model is loaded. */
  readonly contextLength: number;
  /** Tokens that `messages` may have: the context without what is kept for the answer. */
  readonly maxPromptTokens: number;
  /** Tokens of the whole prompt, tools included: as the server counted them where it refused, else estimated. */
  readonly promptTokens: number;
  /** Tokens that a prompt of these messages hardly ever exceeds, tools included. An estimate. */
  countTokens(messages: readonly Message[]): number;
}

/**
 * What was left out of a conversation so that it fits, told to `onTrim` and as `trimmed` of the answer.
 *
 * @example
 * ```ts
 * import { LMStudioProvider } from "jsr:@patinox/lmstudio";
 *
 * await new LMStudioProvider().complete({
 *   messages: "Why is the sky blue?",
 *   contextOverflowPolicy: "rollingWindow",
 *   onTrim: ({ dropped, contextLength }) => {
 *     console.log(`${dropped.length} messages left out for ${contextLength} tokens`);
 *   },
 * });
 * ```
 */
export interface TrimInfo {
  /** What decided: `"custom"` is a function of yours. */
  readonly policy: "truncateMiddle" | "rollingWindow" | "custom";
  /** The messages that were not sent, in their order. Of a function's: those of the conversation it did not return. */
  readonly dropped: readonly Message[];
  /** `estimate`: before anything was sent. `refusal`: the server had refused the whole, with its numbers. */
  readonly cause: "estimate" | "refusal";
  /** Tokens of the context, as the model is loaded. */
  readonly contextLength: number;
  /** Tokens of the whole prompt: counted by the server where it refused, else estimated. */
  readonly promptTokens: number;
  /** Tokens of the prompt that was sent, estimated; `usage.promptTokens` of the answer has the server's count. */
  readonly sentTokens: number;
}

/** Fewer answers are no ground to cut what is merely not sure to fit. */
const ENOUGH_ANSWERS = 5;
/** Of the context, kept for an answer whose length nobody limits… */
const ANSWER_SHARE = 1 / 16;
/** …and at most of it for one that is limited: an answer as long as the context leaves no room for a question. */
const MAX_ANSWER_SHARE = 1 / 2;

/** Tokens a prompt may have. @param maxTokens of the request. */
export function maxPromptTokens(contextLength: number, maxTokens: number | undefined): number {
  const wanted = maxTokens === undefined || maxTokens < 0
    ? contextLength * ANSWER_SHARE
    : Math.min(maxTokens, contextLength * MAX_ANSWER_SHARE);
  return Math.floor(contextLength - wanted);
}

/** A request, and what is known of where it goes. */
export interface TrimTask {
  readonly policy: Exclude<ContextOverflowPolicy, "error">;
  readonly messages: readonly Message[];
  /** Counts of what is sent beside the messages, as `countFrame` gives them. */
  readonly frame: Counts;
  readonly estimator: TokenEstimator;
  /** Tokens of the context as loaded. */
  readonly contextLength: number;
  /** `maxTokens` of the request. */
  readonly maxTokens?: number | undefined;
  /** Thoughts are sent as well. */
  readonly withReasoning?: boolean | undefined;
  /** The server has refused the whole, or a part of it that should have fitted. */
  readonly isRefused?: boolean | undefined;
  /** Tokens it counted of the whole. */
  readonly refusedTokens?: number | undefined;
}

/** What to send in place of the whole conversation. */
export interface Trimmed {
  readonly messages: readonly Message[];
  /** Which messages of the conversation these are; of a function, they may be any. */
  readonly kept?: readonly number[];
  readonly info: TrimInfo;
}

/**
 * What to send of a conversation that does not fit; `undefined` where it fits, nobody knows, or nothing may be dropped.
 * Takes time in proportion to the text.
 */
export function trimToFit(task: TrimTask): Trimmed | undefined {
  const { policy, messages, estimator, contextLength, isRefused = false, refusedTokens } = task;
  // What a common tokenizer would make of it is good enough to trim by the server's numbers, not to trim unasked.
  if (estimator.answers === 0 && !isRefused) return undefined;
  const budget = maxPromptTokens(contextLength, task.maxTokens);
  const sizes = new Sizes(task);
  const whole = estimator.estimate(sizes.whole());
  const expected = estimator.answers < ENOUGH_ANSWERS ? whole.tokens : whole.atMost;
  if (!isRefused && expected <= budget) return undefined;
  const promptTokens = refusedTokens ?? Math.round(whole.tokens);
  const cause = isRefused ? "refusal" as const : "estimate" as const;
  const told = (
    name: TrimInfo["policy"],
    dropped: readonly Message[],
    counts: Counts,
  ): TrimInfo => {
    const sentTokens = Math.round(estimator.estimate(counts).tokens);
    return { policy: name, dropped, cause, contextLength, promptTokens, sentTokens };
  };
  if (typeof policy === "function") {
    const countsOf = (some: readonly Message[]) => new Sizes({ ...task, messages: some }).whole();
    const sent = policy({
      messages,
      contextLength,
      maxPromptTokens: budget,
      promptTokens,
      countTokens: (some) => Math.ceil(estimator.estimate(countsOf(some)).atMost),
    });
    const dropped = messages.filter((message) => !sent.includes(message));
    return { messages: sent, info: told("custom", dropped, countsOf(sent)) };
  }
  const fits = (ranges: readonly Range[]) => estimator.estimate(sizes.of(ranges)).atMost <= budget;
  const turns = turnsOf(messages);
  const ranges = policy === "rollingWindow"
    ? rollingWindow(turns, fits)
    : truncateMiddle(turns, fits);
  const isSent = (message: Message, index: number) =>
    isPinned(message) || ranges.some(([from, to]) => index >= from && index < to);
  const dropped = messages.filter((message, index) => !isSent(message, index));
  if (dropped.length === 0) return undefined;
  const kept = [...messages.keys()].filter((index) => isSent(messages[index]!, index));
  return { messages: messages.filter(isSent), kept, info: told(policy, dropped, sizes.of(ranges)) };
}

/** Messages from one index up to, but without, another. */
type Range = readonly [from: number, to: number];

function isPinned({ role }: Message): boolean {
  return role === "system" || role === "developer";
}

/** What any part of a conversation counts. */
class Sizes {
  /** Of what is always sent. */
  readonly #fixed: Counts;
  readonly #running: RunningCounts;
  readonly #length: number;

  constructor({ messages, frame, withReasoning }: TrimTask) {
    this.#fixed = frame.slice();
    this.#length = messages.length;
    this.#running = new RunningCounts(messages.length);
    for (const message of messages) {
      countMessage(message, isPinned(message) ? this.#fixed : this.#running.sum, withReasoning);
      this.#running.next();
    }
  }

  /** Of a request with these of the messages, and what is always sent. */
  of(ranges: readonly Range[]): Counts {
    const counts = this.#fixed.slice();
    for (const [from, to] of ranges) this.#running.addTo(counts, from, to);
    return counts;
  }

  whole(): Counts {
    return this.of([[0, this.#length]]);
  }
}

/** Where a conversation can be cut. */
interface Turns {
  /** Where turns begin that may be dropped, and last where what always stays begins. */
  readonly starts: readonly number[];
  /** Number of messages. */
  readonly end: number;
  /** Of a turn: where its own user messages end, and where each later step of calls and answers begins. */
  steps(from: number, to: number): { readonly head: number; readonly starts: readonly number[] };
}

function turnsOf(messages: readonly Message[]): Turns {
  const end = messages.length;
  const firstNeeded = neededFrom(messages);
  /** No result behind this place answers a call before it. */
  const isWhole = (index: number) => (firstNeeded[index] ?? end) >= index;
  const before = (index: number) => {
    let at = index - 1;
    while (at >= 0 && isPinned(messages[at]!)) at--;
    return at;
  };
  const isQuestion = (index: number) =>
    messages[index]?.role === "user" &&
    !(hasImages(messages[index]) && messages[before(index)]?.role === "tool");
  const starts = [0];
  let last = end - 1;
  while (last > 0 && !isQuestion(last)) last--;
  for (let index = 1; index <= last; index++) {
    if (!isQuestion(index) || !isWhole(index)) continue;
    const at = before(index);
    // Neighbouring user messages are one turn, but the last one alone is what must stay.
    if (at >= 0 && (index === last || !isQuestion(at))) starts.push(index);
  }
  const steps = (from: number, to: number) => {
    let head = from;
    while (head < to && (messages[head]?.role === "user" || isPinned(messages[head]!))) head++;
    const later: number[] = [];
    for (let index = head + 1; index < to; index++) {
      if (messages[index]?.role === "assistant" && isWhole(index)) later.push(index);
    }
    return { head, starts: head === from ? [] : later };
  };
  return { starts, end, steps };
}

/** Images of tools stand in a user message, since results are text alone. */
function hasImages({ content }: Message): boolean {
  return Array.isArray(content) && content.some(({ type }) => type === "image");
}

/** For each place the first message that what stands from there on cannot do without: the call of a result. */
function neededFrom(messages: readonly Message[]): Int32Array {
  const callOf = new Map<string, number>();
  const needed = new Int32Array(messages.length);
  for (const [index, message] of messages.entries()) {
    needed[index] = index;
    if (message.role === "assistant") {
      for (const { id } of message.toolCalls ?? []) callOf.set(id, index);
    } else if (message.role === "tool") needed[index] = callOf.get(message.toolCallId) ?? index;
  }
  for (let index = messages.length - 2; index >= 0; index--) {
    needed[index] = Math.min(needed[index]!, needed[index + 1]!);
  }
  return needed;
}

type Fits = (ranges: readonly Range[]) => boolean;

/** The newest turns that fit. @param before what is kept of the beginning. */
function rollingWindow({ starts, end, steps }: Turns, fits: Fits, before?: Range): Range[] {
  const first = before === undefined ? 0 : starts.indexOf(before[1]);
  const kept = before === undefined ? [] : [before];
  const fitsFrom = (index: number) => fits([...kept, [starts[index] ?? end, end]]);
  const index = firstThat(first, starts.length - 1, fitsFrom);
  const from = starts[index] ?? end;
  if (index === first) return [...kept, [from, end]];
  // Of the turn that does not fit as a whole, its question and its newest steps.
  const start = starts[index - 1] ?? 0;
  const turn = steps(start, from);
  const withSteps = (at: number): Range[] => [
    ...kept,
    [start, turn.head],
    [turn.starts[at] ?? end, end],
  ];
  const step = firstThat(0, turn.starts.length, (at) => fits(withSteps(at)));
  return step < turn.starts.length ? withSteps(step) : [...kept, [from, end]];
}

/** The first turn and the newest; where room is left then, more of the beginning. */
function truncateMiddle(turns: Turns, fits: Fits): Range[] {
  const { starts, end } = turns;
  const last = starts.at(-1) ?? 0;
  const second = starts[1];
  if (second === undefined || !fits([[0, second], [last, end]])) return rollingWindow(turns, fits);
  const kept = rollingWindow(turns, fits, [0, second]);
  const [, ...tail] = kept;
  const from = tail[0]?.[0] ?? last;
  const gap = starts.filter((start) => start >= second && start <= from);
  // The longest beginning that fits is the last that does.
  const more = firstThat(0, gap.length, (at) => !fits([[0, gap[at] ?? from], ...tail])) - 1;
  return [[0, gap[Math.max(0, more)] ?? second], ...tail];
}

/** The least number from `from` up to `to` that has what all above it have; `to` if none below has it. */
function firstThat(from: number, to: number, has: (index: number) => boolean): number {
  let [low, high] = [from, to];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (has(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}
