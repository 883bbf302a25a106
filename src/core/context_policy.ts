/**
 * Trimming: which messages of a conversation to send if not all of them fit into the model's context.
 *
 * Pure: takes what is known about the context and the model's tokens, and returns the messages to send.
 *
 * @module
 */

import type { Message } from "./messages.ts";
import { countMessage, type Counts, RunningCounts, type TokenEstimator } from "./token_estimate.ts";

/**
 * What to do with a conversation longer than the model's context. System and developer messages, and the last user
 * message with everything after it, are always sent. A tool call is never separated from its result, nor a result from
 * the tool's images: a user message with images directly after results belongs to the turn before it.
 *
 * - `"error"`: send everything and let the server decide, which usually means an error with code `context_overflow`.
 * - `"rollingWindow"`: drop the oldest turns (a turn begins with a user message), as many as necessary. In a turn with
 *   several tool calls, keep the user message and drop only the oldest calls if that is enough.
 * - `"truncateMiddle"`: keep the first turn and the newest turns, and drop those in between.
 * - a function: send the messages it returns.
 *
 * @example
 * ```ts
 * import { type ContextOverflowPolicy, LMStudioProvider } from "jsr:@patinox/lmstudio";
 *
 * // Drop images first.
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

/** Conversation that does not fit, as passed to a function used as `contextOverflowPolicy`. */
export interface OverflowInfo {
  /** The whole conversation; adjacent strings in the request are one user message. Do not modify it. */
  readonly messages: readonly Message[];
  /** Context length of the model as loaded, in tokens. */
  readonly contextLength: number;
  /** Maximum tokens of `messages`: the context minus the share kept for the answer. */
  readonly maxPromptTokens: number;
  /** Tokens of the whole prompt, including tools: as the server counted them if it refused, else estimated. */
  readonly promptTokens: number;
  /** Estimates a bound, rarely exceeded, for the tokens of a prompt with these messages, including tools. */
  countTokens(messages: readonly Message[]): number;
}

/**
 * What was left out of a conversation to make it fit. Passed to `onTrim`, and returned as `trimmed` on the answer.
 *
 * @example
 * ```ts
 * import { LMStudioProvider } from "jsr:@patinox/lmstudio";
 *
 * await new LMStudioProvider().complete({
 *   messages: "Why is the sky blue?",
 *   contextOverflowPolicy: "rollingWindow",
 *   onTrim: ({ dropped, contextLength }) => {
 *     console.log(`${dropped.length} messages dropped to fit ${contextLength} tokens`);
 *   },
 * });
 * ```
 */
export interface TrimInfo {
  /** Policy that was applied; `"custom"` is your own function. */
  readonly policy: "truncateMiddle" | "rollingWindow" | "custom";
  /** The messages that were not sent, in order; for a function, the messages of the conversation it did not return. */
  readonly dropped: readonly Message[];
  /**
   * `estimate`: trimmed before anything was sent. `refusal`: trimmed after the server refused the whole, with counts.
   */
  readonly cause: "estimate" | "refusal";
  /** Context length of the model as loaded, in tokens. */
  readonly contextLength: number;
  /** Tokens of the whole prompt: as the server counted them if it refused, else estimated. */
  readonly promptTokens: number;
  /** Estimated tokens of the prompt that was sent; the answer's `usage.promptTokens` has the server's count. */
  readonly sentTokens: number;
}

/**
 * With fewer answers to learn from, a prompt is trimmed only if it is expected not to fit, not if it merely might not.
 */
const ENOUGH_ANSWERS = 5;
/** Share of the context kept for an answer without a length limit. */
const ANSWER_SHARE = 1 / 16;
/**
 * Largest share kept for an answer with a length limit: an answer as long as the context would leave no room for a
 * question.
 */
const MAX_ANSWER_SHARE = 1 / 2;

/** Maximum tokens of a prompt. @param maxTokens of the request. */
export function maxPromptTokens(contextLength: number, maxTokens: number | undefined): number {
  const wanted = maxTokens === undefined || maxTokens < 0
    ? contextLength * ANSWER_SHARE
    : Math.min(maxTokens, contextLength * MAX_ANSWER_SHARE);
  return Math.floor(contextLength - wanted);
}

/** Request to trim, with what is known about the model it goes to. */
export interface TrimTask {
  readonly policy: Exclude<ContextOverflowPolicy, "error">;
  readonly messages: readonly Message[];
  /** Counts of everything besides the messages, from `countFrame`. */
  readonly frame: Counts;
  readonly estimator: TokenEstimator;
  /** Context length of the model as loaded, in tokens. */
  readonly contextLength: number;
  /** `maxTokens` of the request. */
  readonly maxTokens?: number | undefined;
  /** Whether reasoning is sent too. */
  readonly withReasoning?: boolean | undefined;
  /** Whether the server refused the whole, or a part of it that should have fit. */
  readonly isRefused?: boolean | undefined;
  /** Tokens of the whole, as the server counted them. */
  readonly refusedTokens?: number | undefined;
}

/** Messages to send instead of the whole conversation. */
export interface Trimmed {
  readonly messages: readonly Message[];
  /** Their indexes in the conversation; absent for a function, which may return any messages. */
  readonly kept?: readonly number[];
  readonly info: TrimInfo;
}

/**
 * Returns the messages to send if a conversation does not fit; `undefined` if it fits, if too little is known to tell,
 * or if nothing may be dropped. Runs in time proportional to the text.
 */
export function trimToFit(task: TrimTask): Trimmed | undefined {
  const { policy, messages, estimator, contextLength, isRefused = false, refusedTokens } = task;
  // Estimates for a common tokenizer are good enough to trim by the server's counts, but not to trim unasked.
  if (estimator.answers === 0 && !isRefused) return undefined;
  const budget = maxPromptTokens(contextLength, task.maxTokens);
  const sizes = new Sizes(task);
  const whole = estimator.estimate(sizes.whole());
  const expected = estimator.answers < ENOUGH_ANSWERS ? whole.tokens : whole.atMost;
  if (!isRefused && expected <= budget) return undefined;
  const promptTokens = refusedTokens ?? Math.round(whole.tokens);
  const cause = isRefused ? "refusal" as const : "estimate" as const;
  const infoFor = (
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
    return { messages: sent, info: infoFor("custom", dropped, countsOf(sent)) };
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
  return {
    messages: messages.filter(isSent),
    kept,
    info: infoFor(policy, dropped, sizes.of(ranges)),
  };
}

/** Messages from one index up to, but not including, another. */
type Range = readonly [from: number, to: number];

function isPinned({ role }: Message): boolean {
  return role === "system" || role === "developer";
}

/** Counts of any part of a conversation. */
class Sizes {
  /** Counts of everything that is always sent. */
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

  /** Counts of a request with these messages and everything that is always sent. */
  of(ranges: readonly Range[]): Counts {
    const counts = this.#fixed.slice();
    for (const [from, to] of ranges) this.#running.addTo(counts, from, to);
    return counts;
  }

  whole(): Counts {
    return this.of([[0, this.#length]]);
  }
}

/** Places where a conversation can be cut. */
interface Turns {
  /** Starts of the turns that may be dropped, followed by the start of the part that is always kept. */
  readonly starts: readonly number[];
  /** Number of messages. */
  readonly end: number;
  /** For a turn: the end of its user messages, and the start of each later step of calls and answers. */
  steps(from: number, to: number): { readonly head: number; readonly starts: readonly number[] };
}

function turnsOf(messages: readonly Message[]): Turns {
  const end = messages.length;
  const firstNeeded = neededFrom(messages);
  /** Tests that no result from this index on answers a call before it. */
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
    // Adjacent user messages are one turn, but only the last one must be kept.
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

/** Tests for images; those of tools are in a user message, since results can only be text. */
function hasImages({ content }: Message): boolean {
  return Array.isArray(content) && content.some(({ type }) => type === "image");
}

/** For each index, the first message that the messages from there on depend on: the call of a result. */
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

/** Keeps the newest turns that fit. @param before part of the beginning that is kept too. */
function rollingWindow({ starts, end, steps }: Turns, fits: Fits, before?: Range): Range[] {
  const first = before === undefined ? 0 : starts.indexOf(before[1]);
  const kept = before === undefined ? [] : [before];
  const fitsFrom = (index: number) => fits([...kept, [starts[index] ?? end, end]]);
  const index = firstThat(first, starts.length - 1, fitsFrom);
  const from = starts[index] ?? end;
  if (index === first) return [...kept, [from, end]];
  // Of the turn that does not fit as a whole, keep its question and its newest steps.
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

/** Keeps the first turn and the newest turns, then more of the beginning if there is room left. */
function truncateMiddle(turns: Turns, fits: Fits): Range[] {
  const { starts, end } = turns;
  const last = starts.at(-1) ?? 0;
  const second = starts[1];
  if (second === undefined || !fits([[0, second], [last, end]])) return rollingWindow(turns, fits);
  const kept = rollingWindow(turns, fits, [0, second]);
  const [, ...tail] = kept;
  const from = tail[0]?.[0] ?? last;
  const gap = starts.filter((start) => start >= second && start <= from);
  // The last beginning that fits is the longest one.
  const more = firstThat(0, gap.length, (at) => !fits([[0, gap[at] ?? from], ...tail])) - 1;
  return [[0, gap[Math.max(0, more)] ?? second], ...tail];
}

/** Binary search: the least number from `from` to `to` for which `has` is true; `to` if it is true for none below. */
function firstThat(from: number, to: number, has: (index: number) => boolean): number {
  let [low, high] = [from, to];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (has(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}
