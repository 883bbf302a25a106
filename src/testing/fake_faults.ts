/** Faults: which one hits a request, and what it does to the answer. */

import type { FakeFault, FaultKind, FaultPlace } from "./fake_options.ts";
import {
  type Answer,
  type BodyAnswer,
  type Frame,
  jsonAnswer,
  stall,
  type StreamAnswer,
} from "./fake_wire.ts";

/** A chunk of a body, ready to be sent. */
export interface BodyChunk {
  readonly text: string;
  /** Whether the body ends with this chunk. */
  readonly isLast: boolean;
}

/** The faults that are not used up. */
export class FaultList {
  readonly #left: { fault: FakeFault; skip: number; times: number }[];

  constructor(faults: readonly FakeFault[]) {
    this.#left = faults.map((fault) => ({
      fault,
      skip: fault.skip ?? 0,
      times: fault.times ?? 1,
    }));
  }

  /** The fault that hits a request for this path; counts as one use of it. */
  take(path: string): FaultKind | undefined {
    for (const entry of this.#left) {
      if (entry.times <= 0 || !matches(entry.fault.path, path)) continue;
      if (entry.skip > 0) {
        entry.skip--;
        continue;
      }
      entry.times--;
      return entry.fault.fault;
    }
    return undefined;
  }
}

/** The answer of a fault that keeps the request from reaching a route. */
export function answerInstead(fault: FaultKind | undefined): BodyAnswer | undefined {
  switch (fault?.type) {
    case "respond": {
      const { status = 500, body = "", headers = {} } = fault;
      if (typeof body !== "string") {
        const answer = jsonAnswer(body, { status });
        return { ...answer, headers: { ...answer.headers, ...headers } };
      }
      const type = "application/json; charset=utf-8";
      const isTyped = Object.keys(headers).some((name) => name.toLowerCase() === "content-type");
      return {
        kind: "body",
        status,
        headers: isTyped ? headers : { "Content-Type": type, ...headers },
        text: body,
      };
    }
    case "html": {
      const { status = 502 } = fault;
      const text = "<!DOCTYPE html>\n<html><head><title>502 Bad Gateway</title></head>" +
        "<body><center><h1>502 Bad Gateway</h1></center><hr><center>nginx</center></body></html>\n";
      return { kind: "body", status, headers: { "Content-Type": "text/html" }, text };
    }
    case "redirect": {
      const { status = 307, location } = fault;
      return { kind: "body", status, headers: { Location: location }, text: "" };
    }
    case "rate-limit": {
      const answer = jsonAnswer({ error: "Too many requests" }, { status: 429 });
      const retryAfter = String(fault.retryAfter ?? 1);
      return { ...answer, headers: { ...answer.headers, "Retry-After": retryAfter } };
    }
    case "loading": {
      const { words = "llama.cpp", retryAfter } = fault;
      const answer = jsonAnswer({ error: LOADING_ERRORS[words] }, { status: 503 });
      return retryAfter === undefined
        ? answer
        : { ...answer, headers: { ...answer.headers, "Retry-After": String(retryAfter) } };
    }
    default:
      return undefined;
  }
}

const LOADING_ERRORS = {
  "llama.cpp": { code: 503, message: "Loading model", type: "unavailable_error" },
  ollama: "server busy, please try again.  maximum pending requests exceeded",
} as const;

/** Where a stall or a cut happens. */
export function placeOf(fault: FaultKind | undefined): FaultPlace | undefined {
  switch (fault?.type) {
    case "stall":
      return fault.at ?? (fault.afterTokens === undefined ? "headers" : "body");
    case "cut":
      return fault.at ?? "body";
    case "error-frame":
    case "bad-json":
    case "empty-stream":
      return "body";
    default:
      return undefined;
  }
}

/** The answer after the fault, as far as the fault shows in its status and headers. */
export function spoil(answer: Answer, fault: FaultKind | undefined): Answer {
  if (answer.kind === "stream") return answer;
  switch (fault?.type) {
    case "error-frame":
      return jsonAnswer({ error: fault.message }, { status: 400 });
    case "bad-json":
      return { ...answer, text: firstHalf(answer.text) };
    case "cut":
      return fault.clean ? { ...answer, text: firstHalf(answer.text) } : answer;
    case "empty-stream":
      return { ...answer, text: "" };
    default:
      return answer;
  }
}

/** The body chunk by chunk, with the fault applied. */
export function chunksOf(
  answer: Answer,
  fault: FaultKind | undefined,
  signal: AbortSignal,
): AsyncGenerator<BodyChunk, void, undefined> {
  return answer.kind === "body"
    ? bodyChunks(answer.text, fault, signal)
    : streamChunks(answer.frames, answer.errorFrame, fault, signal);
}

async function* bodyChunks(
  text: string,
  fault: FaultKind | undefined,
  signal: AbortSignal,
): AsyncGenerator<BodyChunk, void, undefined> {
  const isHit = placeOf(fault) === "body" &&
    (fault?.type === "stall" || (fault?.type === "cut" && !fault.clean));
  if (!isHit) {
    yield { text, isLast: true };
    return;
  }
  yield { text: firstHalf(text), isLast: false };
  await strike(fault, signal);
}

async function* streamChunks(
  frames: AsyncGenerator<Frame, void, undefined>,
  errorFrame: StreamAnswer["errorFrame"],
  fault: FaultKind | undefined,
  signal: AbortSignal,
): AsyncGenerator<BodyChunk, void, undefined> {
  const place = placeOf(fault);
  const afterTokens = fault !== undefined && "afterTokens" in fault ? fault.afterTokens ?? 0 : 0;
  let tokens = 0;
  try {
    if (fault?.type === "empty-stream") return;
    if (place === "body" && afterTokens === 0) {
      yield* breakFrame(fault, errorFrame, signal);
      return;
    }
    for await (const { kind, text } of frames) {
      // If the answer has fewer tokens, the fault hits at their end.
      const isBefore = kind === "token" || kind === "start" || kind === "mark";
      if (place === "body" && (tokens >= afterTokens || !isBefore)) {
        yield* breakFrame(fault, errorFrame, signal);
        return;
      }
      const isHit = place === kind;
      yield { text, isLast: kind === "end" && !isHit };
      if (isHit) {
        await strike(fault, signal);
        return;
      }
      if (kind === "token") tokens++;
    }
  } finally {
    await frames.return();
  }
}

/** What is sent instead of the next frame. */
async function* breakFrame(
  fault: FaultKind | undefined,
  errorFrame: StreamAnswer["errorFrame"],
  signal: AbortSignal,
): AsyncGenerator<BodyChunk, void, undefined> {
  switch (fault?.type) {
    case "error-frame":
      yield { text: errorFrame(fault.message, fault), isLast: true };
      return;
    case "bad-json":
      yield {
        text: `data: {"id":"chatcmpl-um3b2l9t12bzrtha63q8","object":"chat.comp\n\n`,
        isLast: true,
      };
      return;
    default:
      await strike(fault, signal);
  }
}

/** Stalls, or breaks the connection. */
async function strike(fault: FaultKind | undefined, signal: AbortSignal): Promise<void> {
  if (fault?.type === "stall") await stall(signal);
  if (fault?.type === "cut" && !fault.clean) throw brokenConnection("terminated", "ECONNRESET");
}

/** The error `fetch` rejects with when a connection breaks or cannot be made. */
export function brokenConnection(message: string, code: string): TypeError {
  const cause = Object.assign(new Error(`${code} (fake)`), { code });
  return new TypeError(message, { cause });
}

function matches(pattern: string | RegExp | undefined, path: string): boolean {
  if (pattern === undefined) return true;
  return typeof pattern === "string" ? pattern === path : path.search(pattern) >= 0;
}

function firstHalf(text: string): string {
  return text.slice(0, Math.floor(text.length / 2));
}
