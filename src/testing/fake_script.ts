/** What the fake's models say: the script of their answers, and the tokens they write it in. */

import type { FakeAnswer, FakeReply, FakeReplyFunction } from "./fake_options.ts";
import { sampleOf } from "./fake_schema.ts";
import { isObject, type JsonObject, type Refusal } from "./fake_wire.ts";

const DEFAULT_REPLY = "Hello! I am a language model on your own machine. What can I do for you?";

/** What the model is going to say, in order. */
export class Script {
  readonly #decide: FakeReplyFunction;
  readonly #list: FakeReply[];
  /** Called when no reply is left for a request; absent if the default answer is used then. */
  readonly #onNone: ((body: JsonObject) => Refusal) | undefined;

  constructor(
    replies: readonly FakeReply[] | FakeReplyFunction = [],
    onNone?: (body: JsonObject) => Refusal,
  ) {
    this.#list = typeof replies === "function" ? [] : [...replies];
    this.#decide = typeof replies === "function" ? replies : () => this.#list.shift();
    this.#onNone = onNone;
  }

  /** How many replies of the list are not used yet. */
  get left(): number {
    return this.#list.length;
  }

  /** The answer to this request. */
  async next(body: JsonObject): Promise<FakeAnswer> {
    const reply = await this.#decide(body);
    if (reply === undefined && this.#onNone !== undefined) throw this.#onNone(body);
    const answer = reply ?? defaultReply(body);
    return typeof answer === "string" ? { content: answer } : answer;
  }
}

/** Splits a text into words, each with the space before it. */
export function textTokens(text: string | readonly string[] | undefined): readonly string[] {
  return typeof text === "string" ? text.match(/\s*\S+|\s+$/g) ?? [] : text ?? [];
}

/** Splits a call's arguments into tokens. */
export function argumentTokens(text: string): readonly string[] {
  return text.match(/\w+|\W+/g) ?? [];
}

/** The tokens up to the first stop text. */
export function cutAtStop(tokens: readonly string[], stop: unknown): readonly string[] {
  const stops = (Array.isArray(stop) ? stop : [stop]).filter((text) =>
    typeof text === "string" && text !== ""
  );
  const whole = tokens.join("");
  const ends = stops.map((text) => whole.indexOf(text)).filter((end) => end >= 0);
  if (ends.length === 0) return tokens;
  let left = Math.min(...ends);
  const kept: string[] = [];
  for (const token of tokens) {
    if (left <= 0) break;
    kept.push(token.slice(0, left));
    left -= token.length;
  }
  return kept;
}

function defaultReply(body: JsonObject): FakeReply {
  const format = body.response_format;
  if (isObject(format) && isObject(format.json_schema)) {
    return JSON.stringify(sampleOf(format.json_schema.schema));
  }
  return DEFAULT_REPLY;
}
