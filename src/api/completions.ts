/**
 * `POST /v1/chat/completions`, whole and streamed.
 *
 * @see https://lmstudio.ai/docs/developer/openai-compat/chat-completions
 * @module
 */

import { isRecord } from "../core/fields.ts";
import { importOnUse } from "../core/import_on_use.ts";
import type { AssistantMessage, ToolCall, ToolCallDelta } from "../core/messages.ts";
import type {
  CompletionRequest,
  CompletionResponse,
  FinishReason,
  GenerationStats,
  PartialAnswer,
  StreamingChunk,
  Usage,
} from "../core/types.ts";
import { finishReasonOf, type FrameContent } from "../transport/event_reader.ts";
import { malformedResponse } from "../transport/transport.ts";
import {
  decodeServerStats,
  decodeUsage,
  firstChoice,
  measureStats,
  textOf,
  TOO_MANY_CALLS,
  TOO_MANY_HINT,
} from "./answer_parts.ts";
import { checkCompletionRequest, encodeCompletionRequest } from "./completion_request.ts";
import { frameFields, FrameReader, type FrameSummary, GrowingText } from "./frames.ts";
import type { Body, Decoding, RouteRequest, StreamedCall, StreamedRoute } from "./route.ts";
import { splitAsStreamed, type SplitText, splitThinking, ThinkSplitter } from "./think_splitter.ts";
import { ToolCallAssembler } from "./tool_call_assembler.ts";
import type { ToolUse } from "./tool_use.ts";

/** The completions route. */
export const COMPLETIONS: StreamedRoute<CompletionRequest, CompletionResponse, StreamingChunk> = {
  path: "/v1/chat/completions",
  policy: () => "stateless",
  check: checkCompletionRequest,
  encode: (request, { refusal, fetchImage, action }) =>
    encodeCompletionRequest(request, refusal, fetchImage, action),
  decode: decodeCompletion,
  toolUse: (request, body, action) =>
    body.tools === undefined ? undefined : loadToolUse(request, body, action),
  judge: (answer, { toolUse, context }) => toolUse?.check(answer, context),
  streamFields: frameFields,
  stream: (call) => new CompletionReader(call),
  answeredBy: ({ model }) => model,
  overflow: ({ contextOverflowPolicy: policy = "error", onTrim, maxTokens, sendReasoning }) =>
    policy === "error"
      ? undefined
      : { policy, onTrim, maxTokens, withReasoning: sendReasoning === true },
};

/** Loads `ToolUse` on demand: few requests have tools. */
async function loadToolUse(
  request: RouteRequest,
  body: Body,
  action: string,
): Promise<ToolUse> {
  const { ToolUse } = await importOnUse(() => import("./tool_use.ts"), action);
  return new ToolUse(body, request);
}

// --- A whole answer ---------------------------------------------------------------------------

/** Parts of a finished answer, whole or streamed. */
interface AnswerParts {
  readonly id: string;
  readonly model: string;
  readonly content: string;
  readonly reasoning: string;
  readonly toolCalls: ToolCall[];
  readonly finishReason: string | undefined;
}

/** Builds a `CompletionResponse`. */
function toCompletionResponse(
  parts: AnswerParts,
  more: {
    readonly usage?: Usage | undefined;
    readonly stats?: GenerationStats;
    readonly raw: unknown;
  },
): CompletionResponse {
  const { id, model, content, reasoning, toolCalls } = parts;
  const message: AssistantMessage = { role: "assistant", content };
  // Assigned one by one: spreading what may be absent takes several times as long.
  if (reasoning !== "") message.reasoning = reasoning;
  if (toolCalls.length > 0) message.toolCalls = toolCalls;
  const response = { id, model, message, content } as CompletionResponse;
  if (reasoning !== "") response.reasoning = reasoning;
  response.toolCalls = toolCalls;
  response.finishReason = repairFinishReason(parts.finishReason, toolCalls);
  if (more.usage !== undefined) response.usage = more.usage;
  if (more.stats !== undefined) response.stats = more.stats;
  response.raw = more.raw;
  return response;
}

/** Before 0.3.15, answers with tool calls finish with "stop". */
function repairFinishReason(
  reason: string | undefined,
  toolCalls: readonly ToolCall[],
): FinishReason {
  const isStop = reason === undefined || reason === "stop";
  return isStop && toolCalls.length > 0 ? "tool_calls" : reason ?? "stop";
}

/** Decodes a whole answer. */
function decodeCompletion(
  value: unknown,
  { context, elapsedMs, tags, toolUse }: Decoding,
): CompletionResponse {
  const choice = isRecord(value) && Array.isArray(value.choices)
    ? firstChoice(value.choices)
    : undefined;
  if (!isRecord(value) || choice === undefined || !isRecord(choice.message)) {
    throw malformedResponse("the answer has no choices[0].message", value, context);
  }
  const { message } = choice;
  const ownReasoning = reasoningOf(message);
  const text = textOf(message.content);
  // A model with a separate reasoning field does not leave out an opening tag.
  const split = ownReasoning === "" ? splitThinking(text, tags) : splitAsStreamed(text, tags);
  const { tool_calls: calls } = message;
  const hasCalls = toolUse !== undefined || (Array.isArray(calls) && calls.length > 0);
  const assembler = hasCalls ? new ToolCallAssembler() : undefined;
  assembler?.feedWhole(calls);
  const answerText = assembler && toolUse?.textOf(assembler);
  const content = answerText === undefined ? split.content : answerText.end(split.content).text;
  if (assembler?.isOverfull === true) {
    const state = `the answer has ${TOO_MANY_CALLS}`;
    throw malformedResponse(state, undefined, context, undefined, TOO_MANY_HINT);
  }
  const usage = decodeUsage(value.usage, value.timings);
  return toCompletionResponse({
    id: textOf(value.id),
    model: textOf(value.model) || (context.model ?? ""),
    content,
    reasoning: ownReasoning + split.reasoning,
    toolCalls: assembler?.calls() ?? [],
    finishReason: finishReasonOf(choice.finish_reason),
  }, {
    usage,
    stats: decodeServerStats(value) ?? measureStats(usage, elapsedMs),
    raw: value,
  });
}

/** Reasoning, under either of its names: `reasoning_content` since 0.3.9, `reasoning` for gpt-oss. */
function reasoningOf(message: Record<string, unknown>): string {
  return textOf(message.reasoning_content) || textOf(message.reasoning);
}

// --- A streamed answer ------------------------------------------------------------------------

class CompletionReader extends FrameReader<CompletionResponse> {
  readonly #think = new ThinkSplitter(this.tags);
  readonly #tools = new ToolCallAssembler();
  /** Takes tool calls out of the text; only if the request has tools. */
  readonly #answerText = this.toolUse?.textOf(this.#tools);
  /** The text as received, tags and calls included. */
  readonly #text = new GrowingText();
  readonly #reasoning = new GrowingText();
  #hasOwnReasoning = false;

  constructor(call: StreamedCall<CompletionResponse>) {
    super(COMPLETIONS, call);
  }

  override partial(): PartialAnswer | undefined {
    const { content, reasoning = "", toolCalls } = this.whole ??
      { ...this.#split(), toolCalls: this.#toolCalls };
    if (content === "" && reasoning === "" && toolCalls.length === 0) return undefined;
    return { content, ...(reasoning === "" ? {} : { reasoning }), toolCalls };
  }

  protected override plainText({ delta }: Record<string, unknown>): string {
    if (!isRecord(delta) || typeof delta.content !== "string") return "";
    const { tool_calls: calls } = delta;
    const hasCalls = Array.isArray(calls) ? calls.length > 0 : calls !== undefined;
    return hasCalls || reasoningOf(delta) !== "" ? "" : delta.content;
  }

  protected override takePlainText(text: string, items: StreamingChunk[]): FrameContent {
    if (this.#answerText !== undefined || !this.#think.passes(text)) {
      return this.#take(text, "", NO_CALLS, items);
    }
    this.events.countText(text.length);
    this.#text.push(text);
    items.push({ content: text, isFinal: false });
    return "text";
  }

  protected override takeChoice(
    { delta }: Record<string, unknown>,
    items: StreamingChunk[],
  ): FrameContent {
    if (!isRecord(delta)) return "nothing";
    const calls = delta.tool_calls === undefined ? NO_CALLS : this.#tools.feed(delta.tool_calls);
    return this.#take(textOf(delta.content), reasoningOf(delta), calls, items);
  }

  #take(
    text: string,
    ownReasoning: string,
    wireCalls: readonly ToolCallDelta[],
    items: StreamingChunk[],
  ): FrameContent {
    const split = text === "" ? NO_TEXT : this.#think.feed(text);
    if (ownReasoning !== "") this.#hasOwnReasoning = true;
    const reasoning = ownReasoning + split.reasoning;
    this.events.countText(text.length + ownReasoning.length + lengthOf(wireCalls));
    this.#text.push(text);
    this.#reasoning.push(reasoning);
    const taken = this.#answerText?.feed(split.content);
    const content = taken?.text ?? split.content;
    const calls = taken === undefined ? wireCalls : [...wireCalls, ...taken.calls];
    if (this.#tools.isOverfull) throw this.tooMuch(TOO_MANY_CALLS);
    this.#give(content, reasoning, calls, items);
    if (content !== "" || calls.length > 0) return "text";
    // Held-back text counts as a token, too, though it has not been given out yet.
    return text !== "" || reasoning !== "" ? "reasoning" : "nothing";
  }

  protected override takeRest(items: StreamingChunk[]): void {
    const { content, reasoning } = this.#think.end();
    this.#reasoning.push(reasoning);
    const taken = this.#answerText?.end(content);
    if (this.#tools.isOverfull) throw this.tooMuch(TOO_MANY_CALLS);
    this.#give(taken?.text ?? content, reasoning, taken?.calls ?? NO_CALLS, items);
    this.#answerText?.settle(this.#splitText().content);
  }

  protected override finishReasonFor(reason: string | undefined): FinishReason {
    return repairFinishReason(reason, this.#toolCalls);
  }

  protected override giveWhole(whole: CompletionResponse, items: StreamingChunk[]): void {
    const calls = whole.toolCalls.map((call, index) => ({ index, ...call }));
    this.#give(whole.content, whole.reasoning ?? "", calls, items);
  }

  protected override answerOf(
    { id, model, finishReason, more }: FrameSummary,
  ): CompletionResponse {
    const toolCalls = this.#toolCalls;
    return toCompletionResponse({ id, model, ...this.#split(), toolCalls, finishReason }, more);
  }

  /** The answer so far, split as `decodeCompletion` does: a missing opening tag may have become apparent only now. */
  #split(): SplitText {
    const split = this.#splitText();
    return { ...split, content: this.#answerText?.left(split.content) ?? split.content };
  }

  get #toolCalls(): ToolCall[] {
    return this.#answerText?.calls ?? this.#tools.calls();
  }

  #splitText(): SplitText {
    const text = this.#text.toString();
    if (text !== "" && !this.#hasOwnReasoning) return splitThinking(text, this.tags);
    const { content } = splitAsStreamed(text, this.tags);
    // Text held back until its tag is complete has arrived, too.
    return { content, reasoning: this.#reasoning + this.#think.held().reasoning };
  }

  #give(
    content: string,
    reasoning: string,
    toolCalls: readonly ToolCallDelta[],
    items: StreamingChunk[],
  ): void {
    if (content === "" && reasoning === "" && toolCalls.length === 0) return;
    const chunk: StreamingChunk = { content, isFinal: false };
    if (reasoning !== "") chunk.reasoning = reasoning;
    if (toolCalls.length > 0) chunk.toolCalls = [...toolCalls];
    items.push(chunk);
  }
}

function lengthOf(calls: readonly ToolCallDelta[]): number {
  let length = 0;
  for (const { id = "", name = "", arguments: text = "" } of calls) {
    length += id.length + name.length + text.length;
  }
  return length;
}

const NO_CALLS: readonly ToolCallDelta[] = [];
const NO_TEXT: SplitText = { content: "", reasoning: "" };
