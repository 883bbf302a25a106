/**
 * `POST /api/v1/chat`, LM Studio's own chat, whole and as it is generated. A stream ends with `chat.end`, not with the
 * body: some servers leave the connection open.
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

/** The route of chats. */
export const CHAT: StreamedRoute<ChatRequest, ChatResponse, ChatEvent> = {
  path: "/api/v1/chat",
  since: "0.4.0",
  // The server keeps the conversation and runs tools: what is sent twice may have happened twice.
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

/** Facts about an answer beside its body. */
interface AroundChatAnswer {
  /** Where the answer does not say. */
  readonly modelInstanceId: string;
  /** Of thoughts in messages. */
  readonly tags: ThinkTags;
  /** Where the answer does not say how fast it came. */
  readonly measure: (usage: Usage | undefined) => GenerationStats;
  /** Told by an event, where the answer does not say. */
  readonly modelLoadMs?: number | undefined;
}

/** The reader of whole answers. Loaded before anything is sent: tools may run for an answer that could not be read. */
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
  /** An `error` event said it; the answer may follow. */
  #wireError: WireError | undefined;
  #isEmpty = true;
  #phase: CallStatus["phase"] = "waiting";
  #modelInstanceId = this.askedModel;
  #modelLoadMs: number | undefined;
  /** Of `chat.end`. */
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
    // What broke after the server had said what is wrong says less.
    const isLess = this.#wireError !== undefined && !this.isAborted && isProviderError(error);
    return isLess ? this.#serverError(this.#wireError) : error;
  }

  protected override takeEvent(event: SseEvent, items: ChatEvent[]): boolean {
    const data = event.data.trim();
    const frame = parseJson(data);
    const type = isRecord(frame) && typeof frame.type === "string" ? frame.type : event.event;
    // One without a kind is of a server that fails before it knows what is asked for.
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
    // Arguments of calls are kept as well.
    if (type.startsWith("tool_call.")) this.events.countText(data.length);
    this.#heed(decoded);
    this.#transcript.take(decoded);
    if (this.#transcript.isOverfull) throw this.#malformed(TOO_MANY_ITEMS, TOO_MANY_HINT);
    items.push(decoded);
    return false;
  }

  /** Heeds what an event means for the timers, for `onStatus` and for the answer. */
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
        // `tool_call.name` is not documented: the model has begun a call, and writes its arguments.
        if (event.type.startsWith("tool_call.")) this.#heedToken();
    }
  }

  #tell(phase: CallStatus["phase"], progress?: number): void {
    this.#phase = phase;
    this.status(progress === undefined ? { phase } : { phase, progress });
  }

  #heedToken(): void {
    if (this.markToken()) this.#phase = "generating";
    // After a tool the prompt is processed again.
    else if (this.#phase !== "generating") this.#tell("generating");
  }

  #takeError(frame: unknown, data: string, items: ChatEvent[]): void {
    const wire = readWireError(frame) ??
      { message: isRecord(frame) && typeof frame.message === "string" ? frame.message : data };
    const { type = "unknown", message, code, param } = wire;
    this.#isEmpty = false;
    // MCP servers echo what they do not like: the headers of the request.
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
    // The first says what went wrong; what else fails by it does not put off the end.
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
    // JSON that is whole was not cut, whatever is missing behind it.
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

  /** The server's own words, with the answer where that had come. */
  #serverError(wire: WireError | undefined): AnyProviderError {
    const error = errorFromWire(wire ?? { message: "" }, undefined, this.context);
    return this.#answer === undefined ? error : withResponse(error, this.#answer);
  }

  #brokenOff(): StreamError {
    return this.error(
      this.#isEmpty
        ? "the stream was empty"
        : "the stream broke off: it ended without its `chat.end`",
      "stream_truncated",
      CUT_HINT,
    );
  }

  #malformed(what: string, hint?: string): StreamError {
    return this.error(`the stream has ${what}`, "malformed_stream", hint);
  }
}

/** As documented. Programs tell errors by them, so none is masked where a prompt has the same word in it. */
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

/** A schema that is no grammar, for one, ends a stream without a word. */
const CUT_HINT =
  "LM Studio's server log (`lms log stream`) says why. `partial` has what had arrived; tools may have run.";
