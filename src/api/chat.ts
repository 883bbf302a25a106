/**
 * `POST /api/v1/chat`, LM Studio's own chat, whole and streamed. A stream ends with `chat.end`, not with the body: some
 * servers leave the connection open.
 *
 * @see https://lmstudio.ai/docs/developer/rest/chat
 * @see https://lmstudio.ai/docs/developer/rest/streaming-events
 * @module
 */

import type { ChatEvent, ChatRequest, ChatResponse } from "../core/chat.ts";
import {
  type AnyProviderError,
  isProviderError,
  type StreamError,
  withResponse,
} from "../core/errors.ts";
import { importSchemas } from "../core/import_schemas.ts";
import { parseJson } from "../core/plain_text.ts";
import { isRecord } from "../core/fields.ts";
import type { SchemaIssue } from "../core/schema.ts";
import type { CallStatus, GenerationStats, PartialAnswer, Usage } from "../core/types.ts";
import { errorFromWire, readWireError, type WireError } from "../transport/error_mapping.ts";
import type { SseEvent } from "../transport/sse.ts";
import { malformedResponse } from "../transport/transport.ts";
import {
  decodeStats,
  measureStats,
  millisecondsOf,
  MOST_PARTS,
  TOO_MANY_HINT,
} from "./answer_parts.ts";
import { decodeChatUsage, TOO_MANY_ITEMS } from "./usage.ts";
import { decodeChatEvent, decodeChatItem } from "./chat_fields.ts";
import { checkChatRequest, encodeChatRequest } from "./chat_request.ts";
import { callsOfOutput, ChatTranscript, textsOfOutput } from "./chat_transcript.ts";
import { AnswerReader, type Decoding, type StreamedCall, type StreamedRoute } from "./route.ts";
import type { ThinkTags } from "./think_splitter.ts";

/** The chat route. */
export const CHAT: StreamedRoute<ChatRequest, ChatResponse, ChatEvent> = {
  path: "/api/v1/chat",
  since: "0.4.0",
  // The server keeps the conversation and runs tools: sent twice, a request could take effect twice.
  policy: () => "stateful",
  check: checkChatRequest,
  encode: (request, { refusal, fetchImage }) => encodeChatRequest(request, refusal, fetchImage),
  load: importChatSchemas,
  decode: decodeWhole,
  streamFields: () => ({ stream: true }),
  stream: (call) => new ChatReader(call),
  hasLoaded: ({ stats }) => stats.modelLoadMs !== undefined,
};

// --- A whole answer ---------------------------------------------------------------------------

async function decodeWhole(
  value: unknown,
  { context, elapsedMs, tags }: Decoding,
): Promise<ChatResponse> {
  const decoded = await decodeChatAnswer(value, {
    modelInstanceId: context.model ?? "",
    tags,
    measure: (usage) => measureStats(usage, elapsedMs),
  });
  if ("response" in decoded) return decoded.response;
  const { fault, issues, hint } = decoded;
  throw malformedResponse(`the answer has ${fault}`, value, context, issues, hint);
}

/** Context for decoding an answer. */
interface AroundChatAnswer {
  /** Used if the answer does not name one. */
  readonly modelInstanceId: string;
  /** Tag pairs that mark reasoning in messages. */
  readonly tags: ThinkTags;
  /** Used if the answer has no statistics of its own. */
  readonly measure: (usage: Usage | undefined) => GenerationStats;
  /** From the `model_load.end` event; used if the answer does not say. */
  readonly modelLoadMs?: number | undefined;
}

/** Imports the parser of answers. Called before sending: otherwise tools could run for an answer nobody can read. */
function importChatSchemas(
  action: string,
): Promise<typeof import("./chat_schemas.ts")> {
  return importSchemas(() => import("./chat_schemas.ts"), action);
}

/** Fault of an answer that cannot be read. */
interface UnreadableAnswer {
  /** Completes "the answer has …". */
  readonly fault: string;
  readonly issues: readonly SchemaIssue[];
  readonly hint?: string;
}

/** Decodes a whole answer. */
async function decodeChatAnswer(
  value: unknown,
  around: AroundChatAnswer,
): Promise<{ readonly response: ChatResponse } | UnreadableAnswer> {
  if (isRecord(value) && Array.isArray(value.output) && value.output.length > MOST_PARTS) {
    return { fault: TOO_MANY_ITEMS, issues: [], hint: TOO_MANY_HINT };
  }
  const { parseChatAnswer } = await importChatSchemas("read the answer of a chat");
  const parsed = parseChatAnswer(value);
  if ("issues" in parsed) return { fault: "no output", ...parsed };
  const { answer } = parsed;
  const output = answer.output.map(decodeChatItem);
  const { content, reasoning } = textsOfOutput(output, around.tags);
  const usage = decodeChatUsage(answer.stats);
  const stats = decodeStats(answer.stats) ?? around.measure(usage);
  const { modelLoadMs = around.modelLoadMs } = stats;
  const response: ChatResponse = {
    ...(answer.response_id === undefined ? {} : { responseId: answer.response_id }),
    modelInstanceId: answer.model_instance_id ?? around.modelInstanceId,
    content,
    ...(reasoning === "" ? {} : { reasoning }),
    output,
    ...(usage === undefined ? {} : { usage }),
    stats: { ...stats, ...(modelLoadMs === undefined ? {} : { modelLoadMs }) },
    raw: value,
  };
  return { response };
}

// --- A streamed answer ------------------------------------------------------------------------

class ChatReader extends AnswerReader<ChatEvent, ChatResponse> {
  readonly #transcript = new ChatTranscript(this.tags);
  /** From an `error` event; the answer may still follow. */
  #wireError: WireError | undefined;
  #isEmpty = true;
  #phase: CallStatus["phase"] = "waiting";
  #modelInstanceId = this.askedModel;
  #modelLoadMs: number | undefined;
  /** The `result` of `chat.end`. */
  #result: unknown;
  #answer: ChatResponse | undefined;

  constructor(call: StreamedCall<ChatResponse>) {
    super(CHAT, call);
  }

  override partial(): PartialAnswer | undefined {
    if (this.#answer === undefined) return this.#transcript.partial();
    const { content, reasoning, output } = this.#answer;
    const toolCalls = callsOfOutput(output);
    if (content === "" && reasoning === undefined && toolCalls.length === 0) {
      return this.#transcript.partial();
    }
    return { content, ...(reasoning === undefined ? {} : { reasoning }), toolCalls };
  }

  protected override explain(error: unknown): unknown {
    // The server's own error wins over later failures.
    const isLess = this.#wireError !== undefined && !this.isAborted && isProviderError(error);
    return isLess ? this.#serverError(this.#wireError) : error;
  }

  protected override takeEvent(event: SseEvent, items: ChatEvent[]): boolean {
    const data = event.data.trim();
    const frame = parseJson(data);
    const type = isRecord(frame) && typeof frame.type === "string" ? frame.type : event.event;
    // A frame without a type comes from a server that fails before it knows which route was called.
    if (type === "error" || (type === "" && readWireError(frame) !== undefined)) {
      this.#takeError(frame, data, items);
      return false;
    }
    if (!isRecord(frame)) throw this.unreadable(frame, data);
    if (type === "") throw this.#malformed("an event without a type");
    this.#isEmpty = false;
    if (type === "chat.end") {
      this.#result = frame.result;
      return true;
    }
    const decoded = decodeChatEvent(type, frame);
    // The arguments of tool calls are kept in memory as well.
    if (type.startsWith("tool_call.")) this.events.countText(data.length);
    this.#heed(decoded);
    this.#transcript.take(decoded);
    if (this.#transcript.isOverfull) throw this.#malformed(TOO_MANY_ITEMS, TOO_MANY_HINT);
    items.push(decoded);
    return false;
  }

  /** Applies an event to the timeouts, to `onStatus` and to the answer. */
  #heed(event: ChatEvent): void {
    switch (event.type) {
      case "chat.start":
        this.#modelInstanceId = event.modelInstanceId || this.#modelInstanceId;
        break;
      case "model_load.start":
        this.noteModelLoad();
        this.#tell("loading");
        break;
      case "model_load.progress":
        this.#tell("loading", event.progress);
        break;
      case "model_load.end":
        this.noteModelLoad();
        if (event.loadTimeSeconds > 0) this.#modelLoadMs = millisecondsOf(event.loadTimeSeconds);
        break;
      case "prompt_processing.start":
        this.#tell("processing");
        break;
      case "prompt_processing.progress":
        this.#tell("processing", event.progress);
        break;
      case "message.delta":
      case "reasoning.delta":
        if (event.content === "") break;
        this.events.countText(event.content.length);
        this.#heedToken();
        break;
      case "tool_call.start":
      case "tool_call.arguments":
      case "tool_call.success":
      case "tool_call.failure":
        this.#heedToken();
        break;
      default:
        // The undocumented `tool_call.name`: the model has begun a call and is writing its arguments.
        if (event.type.startsWith("tool_call.")) this.#heedToken();
    }
  }

  #tell(phase: CallStatus["phase"], progress?: number): void {
    this.#phase = phase;
    this.status(progress === undefined ? { phase } : { phase, progress });
  }

  #heedToken(): void {
    if (this.markToken()) this.#phase = "generating";
    // After a tool has run, the prompt is processed again.
    else if (this.#phase !== "generating") this.#tell("generating");
  }

  #takeError(frame: unknown, data: string, items: ChatEvent[]): void {
    const wire = readWireError(frame) ??
      { message: isRecord(frame) && typeof frame.message === "string" ? frame.message : data };
    const { type = "unknown", message, code, param } = wire;
    this.#isEmpty = false;
    // MCP servers echo what they reject, request headers included.
    const { redact } = this.context;
    items.push({
      type: "error",
      error: {
        type: ERROR_TYPES.has(type) ? type : redact(type),
        message: redact(message),
        ...(code === undefined ? {} : { code: redact(code) }),
        ...(param === undefined ? {} : { param: redact(param) }),
      },
    });
    // The first error says what went wrong; the errors it causes must not delay the end.
    if (this.#wireError !== undefined) return;
    this.#wireError = wire;
    this.events.markFirstToken();
    this.events.markFinish();
  }

  protected override takeDone(): boolean {
    throw this.#brokenOff();
  }

  protected override takeEnd(unfinished: SseEvent | undefined): boolean {
    const frame = parseJson(unfinished?.data ?? "");
    // Complete JSON was not cut, even if the blank line after it is missing.
    if (!isRecord(frame) || frame.type !== "chat.end") throw this.#brokenOff();
    this.#result = frame.result;
    return true;
  }

  protected override takeWhole(whole: ChatResponse, items: ChatEvent[]): void {
    this.#answer = whole;
    items.push({ type: "chat.end", result: whole });
  }

  protected override async finish(items: ChatEvent[]): Promise<void> {
    if (this.#answer !== undefined) return;
    const decoded = await decodeChatAnswer(this.#result, {
      modelInstanceId: this.#modelInstanceId,
      tags: this.tags,
      modelLoadMs: this.#modelLoadMs,
      measure: (usage) => this.measure(usage),
    });
    if (!("response" in decoded)) {
      const { fault, hint } = decoded;
      const isTooMuch = hint !== undefined;
      const what = isTooMuch ? `a \`chat.end\` with ${fault}` : "a `chat.end` without an answer";
      throw this.#malformed(what, hint);
    }
    this.takeWhole(decoded.response, items);
    if (this.#wireError !== undefined) throw this.#serverError(this.#wireError);
  }

  protected override assemble(): ChatResponse {
    if (this.#answer === undefined) throw this.#brokenOff();
    return this.#answer;
  }

  /** The server's own error, with the answer if it arrived. */
  #serverError(wire: WireError | undefined): AnyProviderError {
    const error = errorFromWire(wire ?? { message: "" }, undefined, this.context);
    return this.#answer === undefined ? error : withResponse(error, this.#answer);
  }

  #brokenOff(): StreamError {
    return this.error(
      this.#isEmpty ? "the stream was empty" : "the stream was cut off before its `chat.end`",
      "stream_truncated",
      CUT_HINT,
    );
  }

  #malformed(what: string, hint?: string): StreamError {
    return this.error(`the stream has ${what}`, "malformed_stream", hint);
  }
}

/** The documented types. Programs branch on them, so they are not masked even if the prompt contains the same word. */
const ERROR_TYPES: ReadonlySet<string> = new Set([
  "invalid_request",
  "unknown",
  "mcp_connection_error",
  "plugin_connection_error",
  "not_implemented",
  "model_not_found",
  "model_load_failed",
  "job_not_found",
  "internal_error",
]);

/** A schema that cannot be turned into a grammar, for example, ends the stream without an error. */
const CUT_HINT =
  "See LM Studio's server log (`lms log stream`); `partial` has the part that arrived, and tools may have run.";
