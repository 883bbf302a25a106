/**
 * Requests to one server: `json()` for one answer, `events()` for a stream of them. Everything above sees
 * decoded JSON and events, never a `Response`.
 *
 * @module
 */

import type { AnyProviderError } from "../core/errors.ts";
import { importOnUse } from "../core/import_on_use.ts";
import { jsonText } from "../core/plain_text.ts";
import type { SchemaIssue } from "../core/schema.ts";
import type { CallOptions } from "../core/types.ts";
import { type BodyText, lengthOf, readBody, readText } from "./body.ts";
import {
  Call,
  type CallLimit,
  type OriginState,
  type ServerSettings,
  type TransportRequest,
} from "./call.ts";
import {
  callError,
  type ErrorContext,
  errorFromUndecodable,
  errorFromWire,
  found,
  readWireError,
} from "./error_mapping.ts";
import { EventReader, streamTimeouts } from "./event_reader.ts";
import { showWords } from "./redact.ts";
import { untilAborted } from "./timers.ts";

export type { ServerSettings, TransportRequest } from "./call.ts";

/** More than any answer: a body that never ends must not fill the memory. */
const MAX_BODY_BYTES = 256 * 1024 * 1024;
/** More than any listing or status: what a server says of itself needs no room for images and vectors. */
const MAX_READ_BYTES = 64 * 1024 * 1024;
/** Characters of a body that are enough to see what it is. */
const SNIPPET_LENGTH = 200;

/** A decoded answer that is no error. */
export interface JsonAnswer {
  readonly value: unknown;
  /** From sending to the end of the body. */
  readonly elapsedMs: number;
  /** Facts that every error about this answer states. */
  readonly context: ErrorContext;
}

/** Way to one server. */
export class Transport {
  readonly server: ServerSettings;
  readonly #origin: OriginState = { usedBefore: false, missingRoutes: new Map() };
  readonly #maxBodyBytes: number;

  /** @param maxBodyBytes bounds the body of an answer that is no stream, and the text of one that is. */
  constructor(server: ServerSettings, maxBodyBytes: number = MAX_BODY_BYTES) {
    this.server = server;
    this.#maxBodyBytes = maxBodyBytes;
  }

  /**
   * Gets one answer, decoded. An error in the body rejects under every status.
   *
   * @param defaultTimeoutMs limit of the whole call where neither the call nor the provider sets one.
   * @param startedAt when the call began, where this request is one of several.
   */
  async json(
    request: TransportRequest,
    options: CallOptions,
    defaultTimeoutMs: number,
    startedAt: number = performance.now(),
  ): Promise<JsonAnswer> {
    const call = new Call(this.server, request, options, this.#origin);
    const ms = options.timeoutMs ?? this.server.timeoutMs ?? defaultTimeoutMs;
    const limit: CallLimit = { phase: "total", ms, startedAt };
    let isRead = false;
    try {
      const { status, body } = await call.send(limit, async (response) => {
        const body = await this.#readBody(response, request, call.signal);
        call.throwIfEnded();
        if (body.bytes > 0) call.answer = "body";
        if (body.end === "failed") throw call.resetError(body.failure);
        isRead = body.end === "whole";
        return { status: response.status, body };
      });
      const context = call.context();
      if (body.end === "too-large") {
        const state = `the answer is larger than ${this.#boundOf(request)} bytes`;
        // More than is shown: an echo that is cut is not found.
        const start = body.text.slice(0, 32 * SNIPPET_LENGTH);
        throw errorFromUndecodable({ status, bodyText: start, isCut: true }, state, context);
      }
      const value = decodeJson(status, body.text, context, request);
      return { value, elapsedMs: performance.now() - startedAt, context };
    } finally {
      call.finish(isRead);
    }
  }

  /**
   * Reads the body of an answer. The runtime reads one of a known length in a third of the time that a loop takes, but
   * does not say whether any of it had come when it broke: a `read` is sent again only if none had.
   */
  #readBody(
    response: Response,
    request: TransportRequest,
    signal: AbortSignal,
  ): Promise<BodyText> {
    const maxBytes = this.#boundOf(request);
    const isOwnFetch = this.server.fetch !== undefined;
    if (request.policy !== "read" && !isOwnFetch && lengthOf(response) <= maxBytes) {
      return readText(response);
    }
    return readBody(response, { maxBytes, timeoutMs: Infinity, signal });
  }

  #boundOf({ policy }: TransportRequest): number {
    return policy === "read" ? Math.min(this.#maxBodyBytes, MAX_READ_BYTES) : this.#maxBodyBytes;
  }

  /** Opens a stream of events. Nothing is sent before its first pull. */
  events(request: TransportRequest, options: CallOptions): EventReader {
    const call = new Call(this.server, request, options, this.#origin);
    const timeouts = streamTimeouts(this.server, request.body, options);
    return new EventReader(call, timeouts, this.#maxBodyBytes);
  }

  /**
   * Sends a request as `fetch` does, for a client that only knows of that: see `forward()`.
   *
   * @param ownKeys what clients have as their keys from us.
   */
  async forward(
    ownKeys: readonly string[],
    input: RequestInfo | URL,
    init?: RequestInit,
  ): Promise<Response> {
    const send = async (): Promise<Response> => {
      const { forward } = await importOnUse(() => import("./forward.ts"), "send a request");
      return await forward(this.server, this.#origin, ownKeys, input, init);
    };
    const given = init?.signal ?? (input instanceof Request ? input.signal : undefined);
    // What is no signal is refused with the rest of the request.
    const signal = typeof given?.addEventListener === "function" ? given : undefined;
    return await untilAborted(send(), signal);
  }
}

/** Decodes a 2xx body. @throws what the body says, or that it says nothing readable. */
export function decodeJson(
  status: number,
  text: string,
  context: ErrorContext,
  { isAnswer, partialOf }: Pick<TransportRequest, "isAnswer" | "partialOf"> = {},
): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The parser's own message quotes the body, so it is not passed on as the cause.
    throw errorFromUndecodable({ status, bodyText: text }, "the answer is not JSON", context);
  }
  const wire = isAnswer?.(value) === true ? undefined : readWireError(value);
  if (wire === undefined) return value;
  const partial = found(context.partial) ?? partialOf?.(value);
  throw errorFromWire(wire, status, partial === undefined ? context : { ...context, partial });
}

/** Error for JSON that is not the answer that was expected. @param hint where the address is not to blame. */
export function malformedResponse(
  state: string,
  value: unknown,
  context: ErrorContext,
  issues?: readonly SchemaIssue[],
  hint?: string,
): AnyProviderError {
  const text = jsonText(value);
  return callError(context, "malformed_response", state, {
    issues,
    hint,
    bodySnippet: showWords(text, context.redact),
  });
}
