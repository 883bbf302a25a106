/**
 * Requests to one server: `json()` for a whole answer, `events()` for a stream. Code above this layer sees decoded JSON
 * and events, never a `Response`.
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

/** Larger than any answer, so that a body without end cannot fill the memory. */
const MAX_BODY_BYTES = 256 * 1024 * 1024;
/** Larger than any listing or status, which contain no images or vectors. */
const MAX_READ_BYTES = 64 * 1024 * 1024;
/** Number of characters that show what a body is. */
const SNIPPET_LENGTH = 200;

/** A decoded answer that is not an error. */
export interface JsonAnswer {
  readonly value: unknown;
  /** Time from sending the request to the end of the body. */
  readonly elapsedMs: number;
  /** Facts for errors about this answer. */
  readonly context: ErrorContext;
}

/** HTTP client for one server. */
export class Transport {
  readonly server: ServerSettings;
  readonly #origin: OriginState = { usedBefore: false, missingRoutes: new Map() };
  readonly #maxBodyBytes: number;

  /** @param maxBodyBytes limits the body of a whole answer, and the text of a streamed one. */
  constructor(server: ServerSettings, maxBodyBytes: number = MAX_BODY_BYTES) {
    this.server = server;
    this.#maxBodyBytes = maxBodyBytes;
  }

  /**
   * Sends a request and returns the decoded answer. Rejects with an error in the body, whatever the status.
   *
   * @param defaultTimeoutMs timeout of the whole call if neither the call nor the provider sets one.
   * @param startedAt start of the call, if this request is one of several.
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
        // Longer than what is shown, because an echo of the prompt is not recognized if it is cut.
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
   * Reads the body of an answer. With a known length, the runtime's own method takes a third of the time of a loop. But
   * if the connection breaks, it does not say whether anything had arrived, and a `read` is retried only if not.
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

  /** Opens a stream of events. The request is sent at the first pull. */
  events(request: TransportRequest, options: CallOptions): EventReader {
    const call = new Call(this.server, request, options, this.#origin);
    const timeouts = streamTimeouts(this.server, request.body, options);
    return new EventReader(call, timeouts, this.#maxBodyBytes);
  }

  /**
   * Sends a request for a client that uses `fetch`: see `forward()`.
   *
   * @param ownKeys the API keys that clients may have got from this package.
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
    // A value that is not a signal is rejected later, with the rest of the request.
    const signal = typeof given?.addEventListener === "function" ? given : undefined;
    return await untilAborted(send(), signal);
  }
}

/** Decodes a 2xx body. @throws the error in the body, or an error if the body is not JSON. */
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
    // The parser's message quotes the body, so it is not passed on as the cause.
    throw errorFromUndecodable({ status, bodyText: text }, "the answer is not JSON", context);
  }
  const wire = isAnswer?.(value) === true ? undefined : readWireError(value);
  if (wire === undefined) return value;
  const partial = found(context.partial) ?? partialOf?.(value);
  throw errorFromWire(wire, status, partial === undefined ? context : { ...context, partial });
}

/** Creates the error for unexpected JSON. @param hint replaces the default, which blames the address. */
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
