/**
 * What a request with tools asks of its answers: that calls in their text are found, and that the tool was called
 * which had to be.
 *
 * @module
 */

import { providerError } from "../core/errors.ts";
import { isRecord, quote } from "../core/fields.ts";
import { ToolsByName } from "../core/tool_names.ts";
import type { ToolCall, ToolCallDelta } from "../core/messages.ts";
import type { CompletionRequest, CompletionResponse, PartialAnswer } from "../core/types.ts";
import type { ErrorContext } from "../transport/error_mapping.ts";
import type { CallableTool, TextToolCall } from "./text_call_formats.ts";
import { takeToolCalls, TextToolCalls } from "./text_tool_calls.ts";
import type { ToolCallAssembler } from "./tool_call_assembler.ts";

const CUT_HINT =
  "The answer reached its token limit before a call: raise `maxTokens`; `response` has the answer.";

/** The use of tools in the answers to one request. */
export class ToolUse {
  readonly #tools: readonly CallableTool[];
  readonly #isTextRead: boolean;
  readonly #isJsonAsked: boolean;
  readonly #choice: CompletionRequest["toolChoice"];

  /** @param body as it is sent, but for the model. */
  constructor(
    { tools, response_format: format }: Readonly<Record<string, unknown>>,
    { textToolCalls, toolChoice }: Pick<CompletionRequest, "textToolCalls" | "toolChoice">,
  ) {
    this.#tools = Array.isArray(tools) ? tools.flatMap(callableTool) : [];
    this.#isTextRead = textToolCalls !== "leave" && toolChoice !== "none";
    this.#isJsonAsked = format !== undefined;
    this.#choice = toolChoice;
  }

  /** Reads the text of one answer; undefined where the calls in it are to be left. */
  textOf(calls: ToolCallAssembler): AnswerText | undefined {
    return this.#isTextRead ? new AnswerText(calls, this.#tools, this.#isJsonAsked) : undefined;
  }

  /**
   * Refuses an answer without the call that had to be made.
   *
   * @throws {ApiError} code `tool_choice_ignored`, with the answer.
   */
  check(response: CompletionResponse, context: ErrorContext): void {
    const choice = this.#choice;
    if (choice === undefined || choice === "auto" || choice === "none") return;
    const { content, reasoning, toolCalls, finishReason } = response;
    const asked = choice === "required" ? undefined : choice.name;
    const isKept = asked === undefined
      ? toolCalls.length > 0
      : toolCalls.some(({ name }) => new ToolsByName(this.#tools).get(name)?.name === asked);
    if (isKept) return;
    const missing = asked === undefined ? "a tool" : `the tool ${quote(asked)}`;
    const partial: PartialAnswer = {
      content,
      ...(reasoning === undefined ? {} : { reasoning }),
      toolCalls,
    };
    const { service, endpoint, attempts } = context;
    throw providerError(
      "tool_choice_ignored",
      `Cannot ${context.action}: the answer had to call ${missing}, and does not`,
      {
        service,
        endpoint,
        attempts,
        hint: finishReason === "length" ? CUT_HINT : undefined,
        partial,
        response,
      },
    );
  }
}

/** Some chat templates take only ids of nine letters or digits, which LM Studio's own are. */
const LOWEST_ID = 100_000_000;

/** The text of an answer without the calls in it, which are added to those of the wire. */
export class AnswerText {
  readonly #calls: ToolCallAssembler;
  readonly #tools: readonly CallableTool[];
  readonly #isJsonAsked: boolean;
  readonly #reader: TextToolCalls;
  /** What there is, once all has come. */
  #settled: { readonly text: string; readonly calls: ToolCall[] } | undefined;

  constructor(calls: ToolCallAssembler, tools: readonly CallableTool[], isJsonAsked: boolean) {
    this.#calls = calls;
    this.#tools = tools;
    this.#isJsonAsked = isJsonAsked;
    this.#reader = new TextToolCalls(tools, isJsonAsked);
  }

  /** What is certain after this piece. */
  feed(piece: string): { readonly text: string; readonly calls: ToolCallDelta[] } {
    const { text, calls } = this.#reader.feed(piece);
    return { text, calls: calls.flatMap((call) => this.#add(call)) };
  }

  /** Takes the last piece, and what was held back before. */
  end(piece: string): { readonly text: string; readonly calls: ToolCallDelta[] } {
    const last = this.feed(piece);
    const { text, calls } = this.#reader.end();
    return {
      text: last.text + text,
      calls: [...last.calls, ...calls.flatMap((call) => this.#add(call))],
    };
  }

  /** The calls, all that came of the wire included. */
  get calls(): ToolCall[] {
    return this.#settled?.calls ?? this.#calls.calls();
  }

  /** The text that is left of all that has come, thoughts apart: what waits for the rest of a call counts. */
  left(content: string): string {
    if (this.#settled !== undefined) return this.#settled.text;
    const reader = new TextToolCalls(this.#tools, this.#isJsonAsked);
    return reader.feed(content).text + reader.held();
  }

  /**
   * Settles which calls there are, once all has come: only then it may be known that what came first were thoughts, and
   * what looked like calls in them was none. The others keep their ids.
   */
  settle(content: string): void {
    const given = this.#calls.calls();
    const old = given.filter(({ source }) => source === "text");
    const { text, calls } = takeToolCalls(content, this.#tools, this.#isJsonAsked);
    const settled = new Map<ToolCall | undefined, ToolCall>();
    const more: ToolCall[] = [];
    // Thoughts come first: those behind them were given last.
    for (const call of calls.toReversed()) {
      const last = old.pop();
      const isSame = last?.name === call.name && last.arguments === call.arguments;
      const added: ToolCall = { id: isSame ? last.id : this.#newId(), ...call, source: "text" };
      if (last === undefined) more.unshift(added);
      else settled.set(last, added);
    }
    const inOrder = given.flatMap((call) =>
      call.source === "text" ? settled.get(call) ?? [] : [call]
    );
    this.#settled = { text, calls: [...more, ...inOrder] };
  }

  #add(call: TextToolCall): ToolCallDelta[] {
    return this.#calls.addWhole({ id: this.#newId(), ...call, source: "text" });
  }

  #newId(): string {
    while (true) {
      const id = String(LOWEST_ID + Math.floor(Math.random() * 9 * LOWEST_ID));
      if (!this.#calls.hasId(id)) return id;
    }
  }
}

/** A tool as it was sent. */
function callableTool(tool: unknown): CallableTool[] {
  if (!isRecord(tool) || !isRecord(tool.function)) return [];
  const { name, parameters } = tool.function;
  if (typeof name !== "string") return [];
  return [{ name, parameters: isRecord(parameters) ? parameters : {} }];
}
