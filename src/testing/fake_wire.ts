/** The form of LM Studio's answers on the wire, whatever their content: JSON, errors, frames, headers. */

import type { ErrorFrameFault } from "./fake_options.ts";

/** A JSON object. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** A request on its way to a route. */
export interface Call {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  readonly headers: Headers;
  /** Matches of the groups in the route's pattern. */
  readonly params: readonly string[];
  /** The raw body. */
  readonly text: string;
  /** Aborts when the client disconnects. */
  readonly signal: AbortSignal;
}

/** A route of the server. */
export interface Route {
  readonly method: string;
  /** The path, or a pattern whose groups become `params`. */
  readonly path: string | RegExp;
  /** First release that has it. */
  readonly since?: string;
  readonly handle: (call: Call) => Answer | Promise<Answer>;
}

/** What a route returns. */
export type Answer = BodyAnswer | StreamAnswer;

/** A whole body. */
export interface BodyAnswer {
  readonly kind: "body";
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
}

/** Server-sent events. */
export interface StreamAnswer {
  readonly kind: "stream";
  readonly frames: AsyncGenerator<Frame, void, undefined>;
  /** How these routes write an error into a stream. */
  readonly errorFrame: (message: string, fault?: ErrorFrameFault) => string;
}

/** One event, as text. */
export interface Frame {
  /** `end` is the last frame. Some routes have `start` for the first and `mark` for the frames around tokens. */
  readonly kind: "start" | "mark" | "token" | "finish" | "other" | "end";
  readonly text: string;
}

/** Thrown by routes to answer with an error. */
export class Refusal extends Error {
  readonly answer: BodyAnswer;

  constructor(status: number, body: unknown) {
    super(`Refused with ${status}`);
    this.name = "Refusal";
    this.answer = jsonAnswer(body, { status });
  }
}

/** `{"error":"text"}`, the most common shape. */
export function refuse(status: number, message: string): Refusal {
  return new Refusal(status, { error: message });
}

/** The OpenAI-like shape of `/v1` for a model that cannot be used. */
export function refuseModel(status: number, message: string): Refusal {
  return new Refusal(status, {
    error: { message, type: "invalid_request_error", param: "model", code: "model_not_found" },
  });
}

/** `{"error":{"type","message","code","param"}}`, the error shape of `/api/v1`. */
export function refuseNative(
  status: number,
  type: string,
  message: string,
  more: { readonly code?: string; readonly param?: string } = {},
): Refusal {
  return new Refusal(status, { error: { type, message, ...more } });
}

/**
 * Puts a refusal of `work` into the shape that a route has for its errors.
 *
 * @param encode gets the refusal's error: its message, with more fields if the error has them.
 */
export async function refusedAs<Value>(
  work: Promise<Value>,
  encode: (error: JsonObject) => JsonObject,
): Promise<Value> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const body = parseJson(error.answer.text);
    const said = isObject(body) ? body.error : undefined;
    throw new Refusal(error.answer.status, encode(isObject(said) ? said : { message: said }));
  }
}

/** A JSON body with the headers Express sets. */
export function jsonAnswer(
  body: unknown,
  { status = 200, pretty = false }: { status?: number; pretty?: boolean } = {},
): BodyAnswer {
  const text = JSON.stringify(body, null, pretty ? 2 : undefined);
  return {
    kind: "body",
    status,
    headers: { "Content-Type": "application/json; charset=utf-8", "ETag": weakETag(text) },
    text,
  };
}

/** `event:` and `data:` lines of one frame. */
export function encodeFrame(data: unknown, event?: string): string {
  const name = event === undefined ? "" : `event: ${event}\n`;
  return `${name}data: ${typeof data === "string" ? data : JSON.stringify(data)}\n\n`;
}

/** The body as a JSON object; throws a refusal if it is anything else. */
export function decodeBody(call: Call): JsonObject {
  const value = parseJson(call.text);
  // The real wording is not known, only that the status is a 4xx.
  if (!isObject(value)) throw refuse(400, "Request body is not valid JSON");
  return value;
}

/** The parsed text; `undefined` if it is not JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Whether this is an object and not an array. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Whether a release is at least this one. */
export function isSince(version: string, first: string): boolean {
  const [have, need] = [version, first].map((text) => text.split(".").map(Number));
  for (let index = 0; index < 3; index++) {
    const difference = (have?.[index] ?? 0) - (need?.[index] ?? 0);
    if (difference !== 0) return difference > 0;
  }
  return true;
}

/** Waits. On abort it clears its timer and rejects with the signal's reason. */
export function sleep(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.reject(signal.reason);
  if (ms <= 0) return Promise.resolve();
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", abort);
      resolve();
    }, ms);
    const abort = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    signal.addEventListener("abort", abort, { once: true });
  });
}

/** Never resolves; rejects with the signal's reason on abort. */
export function stall(signal: AbortSignal): Promise<never> {
  if (signal.aborted) return Promise.reject(signal.reason);
  return new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}

/** Ids that look like LM Studio's but are the same in every run. */
export class IdSource {
  #state = 0x2f6e2b1;

  /** Lower-case letters and digits. */
  alphanumeric(length: number): string {
    return this.#pick("abcdefghijklmnopqrstuvwxyz0123456789", length);
  }

  /** Hexadecimal digits. */
  hex(length: number): string {
    return this.#pick("0123456789abcdef", length);
  }

  /** Digits. */
  digits(length: number): string {
    return this.#pick("123456789", length);
  }

  #pick(alphabet: string, length: number): string {
    let text = "";
    while (text.length < length) {
      this.#state = (Math.imul(this.#state, 1_664_525) + 1_013_904_223) >>> 0;
      text += alphabet[(this.#state >>> 8) % alphabet.length];
    }
    return text;
  }
}

/** 32 bits of FNV-1a. */
export function hash32(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  }
  return hash >>> 0;
}

/** An ETag in Express's form, length and digest, though the digest is not SHA-1. */
function weakETag(text: string): string {
  const length = new TextEncoder().encode(text).length.toString(16);
  let digest = "";
  for (let round = 0; digest.length < 27; round++) digest += hash32(`${round}${text}`).toString(36);
  return `W/"${length}-${digest.slice(0, 27)}"`;
}
