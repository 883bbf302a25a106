/**
 * An LM Studio language model as the AI SDK calls it.
 *
 * @module
 */

import type { TrimInfo } from "../core/context_policy.ts";
import { isRecord } from "../core/fields.ts";
import { isProviderError } from "../core/errors.ts";
import type { ToolCall, ToolCallDelta } from "../core/messages.ts";
import { isSameModel } from "../core/model_names.ts";
import type {
  CallOptions,
  CompletionResponse,
  CompletionStream,
  GenerationStats,
  StreamingChunk,
  Usage,
} from "../core/types.ts";
import type { LMStudioProvider } from "../provider/lmstudio.ts";
import { type CallIds, repairCall } from "../members/tool_answer.ts";
import { NAME, toCompletionCall } from "./call.ts";
import { toSdkError } from "./call_error.ts";
import type {
  JsonObject,
  LanguageModelV4,
  LanguageModelV4CallOptions,
  LanguageModelV4Content,
  LanguageModelV4FinishReason,
  LanguageModelV4GenerateResult,
  LanguageModelV4ResponseMetadata,
  LanguageModelV4StreamPart,
  LanguageModelV4StreamResult,
  LanguageModelV4ToolCall,
  LanguageModelV4Usage,
  SharedV4ProviderMetadata,
  SharedV4Warning,
} from "./specification.ts";

/** The provider behind a model, shared by all models of one AI SDK provider. */
export interface ModelSource {
  readonly provider: LMStudioProvider;
  /** Default call options. */
  readonly defaults: CallOptions;
}

/** A language model; it calls `complete` and `streamCompletion`. */
export class LanguageModel implements LanguageModelV4 {
  readonly specificationVersion = "v4";
  readonly provider: string = `${NAME}.chat`;
  readonly modelId: string;
  readonly supportedUrls: Record<string, RegExp[]> = {};
  readonly #source: ModelSource;

  constructor(modelId: string, source: ModelSource) {
    this.modelId = modelId;
    this.#source = source;
  }

  async doGenerate(call: LanguageModelV4CallOptions): Promise<LanguageModelV4GenerateResult> {
    const { provider } = this.#source;
    const { request, options, warnings, ids } = this.#read(call);
    try {
      const answer = await provider.complete(request, options);
      return {
        content: contentOf(answer, ids),
        finishReason: finishReasonOf(answer.finishReason),
        usage: usageOf(answer.usage, answer.raw),
        providerMetadata: metadataOf(this.modelId, answer),
        response: { ...responseOf(answer), body: answer.raw },
        warnings,
      };
    } catch (error) {
      throw this.#sdkError(error);
    }
  }

  async doStream(call: LanguageModelV4CallOptions): Promise<LanguageModelV4StreamResult> {
    const { provider } = this.#source;
    const { request, options, warnings, ids } = this.#read(call);
    const stream = provider.streamCompletion(request, options);
    try {
      // A failure before the first chunk rejects the call, so that the SDK retries it; a later one becomes a part of
      // the stream.
      await stream.started();
    } catch (error) {
      throw this.#sdkError(error);
    }
    return { stream: this.#parts(stream, warnings, ids, options.signal) };
  }

  #read(call: LanguageModelV4CallOptions): ReturnType<typeof toCompletionCall> {
    return toCompletionCall(this.modelId || undefined, call, this.#source.defaults);
  }

  #sdkError(error: unknown): unknown {
    return toSdkError(error, { modelId: this.modelId, modelType: "languageModel" });
  }

  #parts(
    stream: CompletionStream,
    warnings: SharedV4Warning[],
    ids: CallIds,
    signal: AbortSignal | undefined,
  ): ReadableStream<LanguageModelV4StreamPart> {
    const chunks = stream[Symbol.asyncIterator]();
    let parts: PartWriter;
    return new ReadableStream<LanguageModelV4StreamPart>({
      start: (controller) => {
        parts = new PartWriter(controller, ids);
        controller.enqueue({ type: "stream-start", warnings });
      },
      pull: async (controller) => {
        try {
          // The stream does not pull again after a pull that enqueued nothing, so read on until there is a part.
          while (true) {
            const { done, value } = await chunks.next();
            const hasPart = done !== true && parts.write(value);
            if (done === true || value.isFinal) break;
            if (hasPart) return;
          }
          const answer = await stream.response();
          parts.finish(answer, metadataOf(this.modelId, answer));
          controller.close();
        } catch (error) {
          // The SDK recognizes an abort by the stream's error, not by a part.
          if (signal?.aborted === true) controller.error(error);
          else {
            parts.fail(this.#sdkError(error), refusedAnswer(error));
            controller.close();
          }
        }
      },
      cancel: (reason) => stream.cancel(reason),
      // Read whether or not anybody reads the parts: after a `break` the SDK keeps an unread copy of the stream, and a
      // generation that never ends would keep its connection and its place in the queue for good.
    }, { highWaterMark: Infinity });
  }
}

// --- The parts of a stream --------------------------------------------------------------------

type Block = "text" | "reasoning";

/** A tool call that is still arriving. */
interface OpenCall {
  /** The id the server sent; several calls may have the same one. */
  wireId: string;
  id: string;
  name: string;
  /** The arguments so far. */
  text: string;
  /** Those that arrived before the id or the name. */
  held: string;
  isStarted: boolean;
}

/** Writes an answer as parts: tool calls, and blocks that begin and end, one open at a time. */
class PartWriter {
  readonly #controller: ReadableStreamDefaultController<LanguageModelV4StreamPart>;
  readonly #ids: CallIds;
  /** By their index in the answer. */
  readonly #calls: OpenCall[] = [];
  #block: Block | undefined;
  #blockId = "";
  #blocks = 0;

  constructor(
    controller: ReadableStreamDefaultController<LanguageModelV4StreamPart>,
    ids: CallIds,
  ) {
    this.#controller = controller;
    this.#ids = ids;
  }

  /** Writes a chunk; returns whether it produced a part. */
  write({ content, reasoning, toolCalls }: StreamingChunk): boolean {
    let hasPart = false;
    if (reasoning !== undefined && reasoning !== "") {
      this.#add("reasoning", reasoning);
      hasPart = true;
    }
    if (content !== "") {
      this.#add("text", content);
      hasPart = true;
    }
    for (const delta of toolCalls ?? []) hasPart = this.#addCall(delta) || hasPart;
    return hasPart;
  }

  /** Writes the remaining parts once the answer is complete. */
  finish(answer: CompletionResponse, providerMetadata: SharedV4ProviderMetadata): void {
    this.#closeBlock();
    const begun = this.#begun();
    for (const call of answer.toolCalls) {
      // What looked like a call may have been reasoning, and calls may share an id.
      const at = begun.findIndex(({ wireId, name, text }) =>
        wireId === call.id && name === call.name && text === call.arguments
      );
      const [own] = at === -1 ? [] : begun.splice(at, 1);
      const id = own?.id ?? this.#ids.take(call.id);
      const repaired = repairCall(call, id);
      if (own === undefined) {
        this.#controller.enqueue({ type: "tool-input-start", id, toolName: repaired.name });
        this.#addInput(id, repaired.arguments);
      }
      this.#controller.enqueue({ type: "tool-input-end", id });
      this.#controller.enqueue(toSdkCall(repaired));
    }
    for (const { id } of begun) this.#controller.enqueue({ type: "tool-input-end", id });
    this.#controller.enqueue({ type: "response-metadata", ...responseOf(answer) });
    this.#controller.enqueue({
      type: "finish",
      finishReason: finishReasonOf(answer.finishReason),
      usage: usageOf(answer.usage, answer.raw),
      providerMetadata,
    });
  }

  /** Writes the reason why there is no answer. @param refused a whole answer that was refused. */
  fail(error: unknown, refused: CompletionResponse | undefined): void {
    this.#closeBlock();
    for (const { id } of this.#begun()) this.#controller.enqueue({ type: "tool-input-end", id });
    if (refused !== undefined) {
      this.#controller.enqueue({ type: "response-metadata", ...responseOf(refused) });
    }
    this.#controller.enqueue({ type: "error", error });
    this.#controller.enqueue({
      type: "finish",
      finishReason: { unified: "error", raw: refused?.finishReason },
      usage: usageOf(refused?.usage, refused?.raw),
      providerMetadata: refused === undefined ? { [NAME]: {} } : metadataOf("", refused),
    });
  }

  #begun(): OpenCall[] {
    return this.#calls.filter(({ isStarted }) => isStarted);
  }

  #add(block: Block, delta: string): void {
    if (this.#block !== block) {
      this.#closeBlock();
      this.#block = block;
      this.#blockId = String(this.#blocks++);
      this.#controller.enqueue({ type: `${block}-start`, id: this.#blockId });
    }
    this.#controller.enqueue({ type: `${block}-delta`, id: this.#blockId, delta });
  }

  #closeBlock(): void {
    if (this.#block === undefined) return;
    this.#controller.enqueue({ type: `${this.#block}-end`, id: this.#blockId });
    this.#block = undefined;
  }

  /** Adds to a call; returns whether it produced a part. A call is shown once its id and name are known. */
  #addCall({ index, id = "", name = "", arguments: text = "" }: ToolCallDelta): boolean {
    const call = this.#calls[index] ??= {
      wireId: "",
      id: "",
      name: "",
      text: "",
      held: "",
      isStarted: false,
    };
    call.wireId ||= id;
    call.id ||= id === "" ? "" : this.#ids.take(id);
    call.name ||= name;
    call.text += text;
    call.held += text;
    if (call.id === "" || call.name.trim() === "") return false;
    if (!call.isStarted) {
      this.#closeBlock();
      this.#controller.enqueue({ type: "tool-input-start", id: call.id, toolName: call.name });
      call.isStarted = true;
    }
    this.#addInput(call.id, call.held);
    call.held = "";
    return true;
  }

  #addInput(id: string, delta: string): void {
    if (delta !== "") this.#controller.enqueue({ type: "tool-input-delta", id, delta });
  }
}

// --- Whole answers ----------------------------------------------------------------------------

function contentOf(
  { reasoning, content, toolCalls }: CompletionResponse,
  ids: CallIds,
): LanguageModelV4Content[] {
  const parts: LanguageModelV4Content[] = [];
  if (reasoning !== undefined && reasoning !== "") {
    parts.push({ type: "reasoning", text: reasoning });
  }
  if (content !== "") parts.push({ type: "text", text: content });
  return [
    ...parts,
    ...toolCalls.map((call) => toSdkCall(repairCall(call, ids.take(call.id)))),
  ];
}

function toSdkCall(
  { id: toolCallId, name: toolName, arguments: input, source }: ToolCall,
): LanguageModelV4ToolCall {
  return {
    type: "tool-call",
    toolCallId,
    toolName,
    input,
    ...(source === undefined ? {} : { providerMetadata: { [NAME]: { source } } }),
  };
}

const FINISH_REASONS: ReadonlyMap<string, LanguageModelV4FinishReason["unified"]> = new Map([
  ["stop", "stop"],
  ["length", "length"],
  ["content_filter", "content-filter"],
  ["tool_calls", "tool-calls"],
  ["function_call", "tool-calls"],
]);

function finishReasonOf(raw: string): LanguageModelV4FinishReason {
  return { unified: FINISH_REASONS.get(raw) ?? "other", raw };
}

function usageOf(usage: Usage | undefined, body: unknown): LanguageModelV4Usage {
  const { promptTokens, completionTokens, cachedTokens, reasoningTokens } = usage ?? {};
  const raw = isRecord(body) && isRecord(body.usage) ? body.usage as JsonObject : undefined;
  return {
    inputTokens: {
      total: promptTokens,
      noCache: without(promptTokens, cachedTokens),
      cacheRead: cachedTokens,
      cacheWrite: undefined,
    },
    outputTokens: {
      total: completionTokens,
      text: without(completionTokens, reasoningTokens),
      reasoning: reasoningTokens,
    },
    ...(raw === undefined ? {} : { raw }),
  };
}

/** The answer that an error refuses. */
function refusedAnswer(error: unknown): CompletionResponse | undefined {
  return isProviderError(error, "api") && error.code === "tool_choice_ignored"
    ? error.response as CompletionResponse | undefined
    : undefined;
}

/** The difference, if both numbers are known. */
function without(all: number | undefined, part: number | undefined): number | undefined {
  return all === undefined || part === undefined ? undefined : Math.max(0, all - part);
}

function responseOf({ id, model, raw }: CompletionResponse): LanguageModelV4ResponseMetadata {
  const created = isRecord(raw) && typeof raw.created === "number" ? raw.created : NaN;
  const timestamp = new Date(created * 1000);
  return {
    ...(id === "" ? {} : { id }),
    // Consumers write it as text, which throws for an invalid date.
    ...(Number.isNaN(timestamp.getTime()) ? {} : { timestamp }),
    ...(model === "" ? {} : { modelId: model }),
  };
}

function metadataOf(
  modelId: string,
  { model, stats, trimmed }: CompletionResponse,
): SharedV4ProviderMetadata {
  return {
    [NAME]: {
      ...(stats === undefined ? {} : { stats: statsOf(stats) }),
      ...(trimmed === undefined ? {} : { trimmed: trimOf(trimmed) }),
      ...substitutionOf(modelId, model),
    },
  };
}

/** Only the numbers: metadata is sent to browsers and stored with the conversation. */
function trimOf({ dropped, ...numbers }: TrimInfo): JsonObject {
  return { ...numbers, dropped: dropped.length };
}

function statsOf({ draft, ...stats }: GenerationStats): JsonObject {
  return { ...stats, ...(draft === undefined ? {} : { draft: { ...draft } }) };
}

/** Metadata for an answer by another model than the one requested, if `onModelSubstituted` allowed it. */
export function substitutionOf(requested: string, answered: string): JsonObject {
  if (requested === "" || answered === "" || isSameModel(requested, answered)) return {};
  return { substituted: { requested, answered } };
}
