/**
 * `POST /v1/responses`, whole and streamed. Events are passed on unchanged, whatever their type, which is read from the
 * data because `event:` lines may be missing.
 *
 * @see https://lmstudio.ai/docs/developer/openai-compat/responses
 * @see https://platform.openai.com/docs/api-reference/responses-streaming
 * @module
 */

import { parseJson } from "../core/plain_text.ts";
import { isRecord } from "../core/fields.ts";
import type { ResponsesAnswer, ResponsesRequest } from "../core/responses.ts";
import type { ResponsesEvent } from "../core/responses_events.ts";
import type { PartialAnswer } from "../core/types.ts";
import { errorFromWire, readWireError, type WireError } from "../transport/error_mapping.ts";
import type { SseEvent } from "../transport/sse.ts";
import { malformedResponse } from "../transport/transport.ts";
import { decodeStats, measureStats, MOST_PARTS, textOf, TOO_MANY_HINT } from "./answer_parts.ts";
import { decodeResponsesUsage, TOO_MANY_ITEMS } from "./usage.ts";
import { itemsOf, OutputAssembler, type OutputParts, readOutput } from "./responses_output.ts";
import { checkResponsesRequest, encodeResponsesRequest } from "./responses_request.ts";
import {
  AnswerReader,
  type Body,
  type Decoding,
  type StreamedCall,
  type StreamedRoute,
} from "./route.ts";

/** The responses route. */
export const RESPONSES: StreamedRoute<ResponsesRequest, ResponsesAnswer, ResponsesEvent> = {
  path: "/v1/responses",
  since: "0.3.29",
  // The server stores every answer unless told not to.
  policy: ({ store, previous_response_id: previous }) =>
    store === false && typeof previous !== "string" ? "stateless" : "stateful",
  check: checkResponsesRequest,
  encode: (request, { refusal, fetchImage, action }) =>
    encodeResponsesRequest(request, refusal, fetchImage, action),
  decode: decodeResponse,
  streamFields: () => ({ stream: true }),
  stream: (call) => new ResponsesReader(call),
  answeredBy: ({ model }) => model,
  partialOf: (value, tags) =>
    isRecord(value) ? partialOf(readOutput(value.output, tags)) : undefined,
};

// --- A whole answer ---------------------------------------------------------------------------

/** Decodes a whole answer. @throws {ProviderError} the server's error, if the answer has failed. */
function decodeResponse(value: unknown, { context, elapsedMs, tags }: Decoding): ResponsesAnswer {
  if (!isRecord(value) || !Array.isArray(value.output)) {
    throw malformedResponse("the answer has no output", value, context);
  }
  if (value.output.length > MOST_PARTS) {
    const state = `the answer has ${TOO_MANY_ITEMS}`;
    throw malformedResponse(state, undefined, context, undefined, TOO_MANY_HINT);
  }
  const parts = readOutput(value.output, tags);
  if (value.status === "failed") {
    const partial = partialOf(parts);
    const { status } = context;
    throw errorFromWire(readWireError(value) ?? { message: "" }, status, {
      ...context,
      ...(partial === undefined ? {} : { partial }),
    });
  }
  const usage = decodeResponsesUsage(value.usage);
  return {
    id: textOf(value.id),
    model: textOf(value.model) || (context.model ?? ""),
    status: textOf(value.status) || "completed",
    ...fieldsOf(parts),
    output: itemsOf(value.output),
    ...(usage === undefined ? {} : { usage }),
    stats: decodeStats(value.stats) ?? measureStats(usage, elapsedMs),
    raw: value,
  };
}

/** The fields of an answer, from the parts of its output. */
function fieldsOf(
  { text, reasoning, toolCalls }: OutputParts,
): Pick<ResponsesAnswer, "text" | "reasoning" | "toolCalls"> {
  return { text, ...(reasoning === "" ? {} : { reasoning }), toolCalls };
}

/** The parts of an answer that errors carry; `undefined` if there are none yet. */
function partialOf({ text, reasoning, toolCalls }: OutputParts): PartialAnswer | undefined {
  if (text === "" && reasoning === "" && toolCalls.length === 0) return undefined;
  return { content: text, ...(reasoning === "" ? {} : { reasoning }), toolCalls };
}

// --- A streamed answer ------------------------------------------------------------------------

/** Events that end the answer; nothing after them is read. */
const END_TYPES: ReadonlySet<unknown> = new Set([
  "response.completed",
  "response.incomplete",
  "response.failed",
]);

class ResponsesReader extends AnswerReader<ResponsesEvent, ResponsesAnswer> {
  readonly #output = new OutputAssembler(this.tags);
  #isEmpty = true;
  /** The response in the latest event that carries one. */
  #snapshot: Body = {};
  #id = "";
  /** The model named last: early events may repeat the one requested, and only the last one names who answered. */
  #model = "";
  #answer: ResponsesAnswer | undefined;

  constructor(call: StreamedCall<ResponsesAnswer>) {
    super(RESPONSES, call);
  }

  override partial(): PartialAnswer | undefined {
    return partialOf(this.#parts());
  }

  protected override takeEvent({ event: name, data }: SseEvent, items: ResponsesEvent[]): boolean {
    const frame = parseJson(data);
    if (!isRecord(frame)) {
      // Whatever an `error` event holds, it is not part of the answer.
      throw name === "error" ? this.#errorOf({ message: data }) : this.unreadable(frame, data);
    }
    const type = typeof frame.type === "string" ? frame.type : "";
    // An error inside an event of the answer is meant for the model, such as a tool's; any other ends the stream.
    const isError = name === "error" || type === "error" ||
      (!type.startsWith("response.") && readWireError(frame) !== undefined);
    if (type === "") {
      const wire = readWireError(frame) ?? (isError ? wireErrorOf(frame) : undefined);
      if (wire !== undefined) throw this.#errorOf(wire);
      throw this.error("the stream has an event without a type", "malformed_stream");
    }
    this.#isEmpty = false;
    if (isRecord(frame.response)) this.#takeSnapshot(frame.response);
    // Parts that arrive whole stay in memory too: items, and texts at ever new indexes.
    this.events.countText(typeof frame.delta === "string" ? frame.delta.length : data.length);
    if (this.#output.feed(frame) || END_TYPES.has(type)) this.markToken();
    if (this.#output.isOverfull || itemCount(this.#snapshot.output) > MOST_PARTS) {
      throw this.error(`the stream has ${TOO_MANY_ITEMS}`, "malformed_stream", TOO_MANY_HINT);
    }
    // Unchanged: the server decides what an event holds, the types only describe it.
    items.push(frame as unknown as ResponsesEvent);
    if (isError) throw this.#errorOf(readWireError(frame) ?? wireErrorOf(frame));
    if (!END_TYPES.has(type)) return false;
    if (type === "response.failed" || this.#snapshot.status === "failed") {
      throw this.#errorOf(readWireError(this.#snapshot) ?? readWireError(frame) ?? { message: "" });
    }
    return true;
  }

  #takeSnapshot(response: Body): void {
    this.#snapshot = response;
    this.#id = textOf(response.id) || this.#id;
    const model = textOf(response.model);
    if (model === "" || model === this.#model) return;
    this.#model = model;
    this.noteModel(model);
  }

  protected override takeDone(): boolean {
    if (this.#isEmpty) throw this.error("the stream was empty", "stream_truncated");
    return true;
  }

  protected override takeEnd(): boolean {
    const state = this.#isEmpty ? "the stream was empty" : "the stream was cut off";
    throw this.error(state, "stream_truncated");
  }

  protected override takeWhole(whole: ResponsesAnswer, items: ResponsesEvent[]): void {
    const type = whole.status === "incomplete" ? "response.incomplete" : "response.completed";
    if (isRecord(whole.raw)) this.#snapshot = whole.raw;
    items.push({ type, response: { ...this.#snapshot, id: whole.id } });
  }

  /** Always returns the same object. */
  override response(): ResponsesAnswer {
    this.#answer ??= super.response();
    return this.#answer;
  }

  protected override assemble(): ResponsesAnswer {
    const response = this.#snapshot;
    const usage = decodeResponsesUsage(response.usage);
    return {
      id: this.#id,
      model: this.#model || this.askedModel,
      status: answerStatus(response.status),
      ...fieldsOf(this.#parts()),
      output: this.#output.items(response.output),
      ...(usage === undefined ? {} : { usage }),
      stats: decodeStats(response.stats) ?? this.measure(usage),
      raw: response,
    };
  }

  /** The output of the last event, completed with what only earlier events carried. */
  #parts(): OutputParts {
    return this.#output.parts(this.#snapshot.output);
  }

  #errorOf(wire: WireError): Error {
    return errorFromWire(wire, undefined, this.context);
  }
}

function itemCount(output: unknown): number {
  return Array.isArray(output) ? output.length : 0;
}

/** Status of a finished stream: it cannot be in progress, whatever its first events said. */
function answerStatus(status: unknown): string {
  const text = textOf(status);
  return text === "" || text === "in_progress" || text === "queued" ? "completed" : text;
}

/** Reads an `error` event with its fields next to `type`, not below `error`. */
function wireErrorOf({ message, code, param }: Body): WireError {
  return readWireError({ error: { message, code, param } }) ?? { message: "" };
}
