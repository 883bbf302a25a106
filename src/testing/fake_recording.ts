/**
 * Recordings of what a program and a server sent each other, one file per exchange, as the `record` command writes
 * them; and how the fake replays them.
 */

import { readTextFile } from "../platform/environment.ts";
import { listFolder } from "../platform/files.ts";
import type { RecordedChunk, RecordedExchange } from "./fake_options.ts";
import { describe } from "../core/checks.ts";
import { isObject, jsonAnswer, parseJson, sleep } from "./fake_wire.ts";

/** The exchanges of a folder that `record` wrote, in order. @throws {TypeError} naming a file that is not one. */
export function readRecording(folder: string): RecordedExchange[] {
  const files = listFolder(folder).filter((name) => name.endsWith(".json"));
  if (files.length === 0) {
    throw new TypeError(
      `Cannot read the recording ${JSON.stringify(folder)}: it has no exchanges`,
    );
  }
  return files.map((name) => {
    const result = readTextFile(`${folder}/${name}`);
    if (result.problem !== undefined) throw new TypeError(`Cannot read ${name}: ${result.problem}`);
    return checkExchange(parseJson(result.text), name);
  });
}

/** Refuses anything that is not an exchange. @throws {TypeError} */
export function checkExchange(value: unknown, name: string): RecordedExchange {
  const problem = !isObject(value)
    ? `is ${describe(value)}, not an object`
    : value.format !== 1
    ? `has format ${describe(value.format)}, not 1`
    : !isObject(value.request) || typeof value.request.method !== "string" ||
        typeof value.request.path !== "string"
    ? "has no request"
    : value.response !== undefined &&
        !(isObject(value.response) && Array.isArray(value.response.chunks))
    ? "has a response without chunks"
    : undefined;
  if (problem !== undefined) throw new TypeError(`Cannot use the recording: ${name} ${problem}`);
  return value as unknown as RecordedExchange;
}

/** The bytes of a chunk. */
export function bytesOfChunk({ text, base64 }: RecordedChunk): Uint8Array {
  if (base64 === undefined) return new TextEncoder().encode(text ?? "");
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

/** Headers about the connection; the replay's own connection sets them. */
const CONNECTION_HEADERS: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "transfer-encoding",
]);

/**
 * Replays a recording: the answers of each route in order, the last one repeatedly. Streams and whole answers count as
 * different routes.
 */
export class Player {
  readonly #answers = new Map<string, RecordedExchange[]>();
  /** Whether chunks keep their recorded timing. */
  readonly #isTimed: boolean;

  constructor(exchanges: readonly RecordedExchange[], isTimed = false) {
    this.#isTimed = isTimed;
    for (const exchange of exchanges) {
      const key = keyOf(exchange.request.method, exchange.request.path, exchange.request.body);
      const list = this.#answers.get(key) ?? [];
      list.push(exchange);
      this.#answers.set(key, list);
    }
  }

  /** The answer to a request; throws if the recording has no response to it. */
  answer(method: string, path: string, body: unknown, signal: AbortSignal): Response {
    const list = this.#answers.get(keyOf(method, path, body));
    if (list === undefined) {
      const { text, status } = jsonAnswer({
        error: `The recording has no ${method} ${path.replace(/\?.*/, "")}. Recorded: ${
          [...this.#answers.keys()].join(", ")
        }`,
      }, { status: 404 });
      return new Response(text, { status, headers: { "Content-Type": "application/json" } });
    }
    const exchange = list.length > 1 ? list.shift() : list[0];
    const response = exchange?.response;
    if (response === undefined) {
      throw new TypeError("fetch failed", { cause: new Error("nothing was recorded") });
    }
    const headers = new Headers();
    for (const [name, value] of response.headers) {
      if (!CONNECTION_HEADERS.has(name.toLowerCase())) headers.append(name, value);
    }
    if (response.chunks.length === 0 && response.ended) {
      return new Response(null, { status: response.status, headers });
    }
    return new Response(this.#body(response.chunks, response.ended, signal), {
      status: response.status,
      headers,
    });
  }

  #body(
    chunks: readonly RecordedChunk[],
    isWhole: boolean,
    signal: AbortSignal,
  ): ReadableStream<Uint8Array> {
    const left = [...chunks];
    const started = Date.now();
    return new ReadableStream<Uint8Array>({
      pull: async (controller) => {
        const chunk = left.shift();
        if (chunk === undefined) {
          if (isWhole) controller.close();
          else controller.error(new TypeError("terminated"));
          return;
        }
        if (this.#isTimed) await sleep(chunk.atMs - (Date.now() - started), signal);
        controller.enqueue(bytesOfChunk(chunk));
      },
    }, { highWaterMark: 0 });
  }
}

function keyOf(method: string, path: string, body: unknown): string {
  const isStream = isObject(body) && body.stream === true;
  return `${method} ${path.replace(/\?.*/, "")}${isStream ? " (stream)" : ""}`;
}
