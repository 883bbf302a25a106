/**
 * Applies a request's tools to its answers: finds tool calls in their text, and checks that a required call was made.
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
  "Raise `maxTokens`: the answer reached its token limit before the call; `response` has the answer.";

/** Handles tools in the answers to one request. */
export class ToolUse {
  readonly #tools: readonly CallableTool[];
  readonly #isTextRead: boolean;
  readonly #isJsonAsked: boolean;
  readonly #choice: CompletionRequest["toolChoice"];

  /** @param body as sent, without the model. */
  constructor(
    { tools, response_format: format }: Readonly<Record<string, unknown>>,
    { textToolCalls, toolChoice }: Pick<CompletionRequest, "textToolCalls" | "toolChoice">,
  ) {
    this.#tools = Array.isArray(tools) ? tools.flatMap(callableTool) : [];
    this.#isTextRead = textToolCalls !== "leave" && toolChoice !== "none";
    this.#isJsonAsked = format !== undefined;
    this.#choice = toolChoice;
  }

  /** Returns a reader for the text of one answer; `undefined` if calls in it are to be left alone. */
  textOf(calls: ToolCallAssembler): AnswerText | undefined {
    return this.#isTextRead ? new AnswerText(calls, this.#tools, this.#isJsonAsked) : undefined;
  }

  /**
   * Refuses an answer that lacks the required call.
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
      `Cannot ${context.action}: the answer had to call ${missing} but did not`,
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

/** Some chat templates accept only ids of nine letters or digits; LM Studio's own ids look like that. */
const LOWEST_ID = 100_000_000;

/** The text of an answer without the calls in it, which are added to the server's own. */
export class AnswerText {
  readonly #calls: ToolCallAssembler;
  readonly #tools: readonly CallableTool[];
  readonly #isJsonAsked: boolean;
  readonly #reader: TextToolCalls;
  /** The final text and calls, once everything has arrived. */
  #settled: { readonly text: string; readonly calls: ToolCall[] } | undefined;

  constructor(calls: ToolCallAssembler, tools: readonly CallableTool[], isJsonAsked: boolean) {
    this.#calls = calls;
    this.#tools = tools;
    this.#isJsonAsked = isJsonAsked;
    this.#reader = new TextToolCalls(tools, isJsonAsked);
  }

  /** Takes a chunk; returns the text and calls that are certain now. */
  feed(chunk: string): { readonly text: string; readonly calls: ToolCallDelta[] } {
    const { text, calls } = this.#reader.feed(chunk);
    return { text, calls: calls.flatMap((call) => this.#add(call)) };
  }

  /** Takes the last chunk; returns it with everything held back. */
  end(chunk: string): { readonly text: string; readonly calls: ToolCallDelta[] } {
    const last = this.feed(chunk);
    const { text, calls } = this.#reader.end();
    return {
      text: last.text + text,
      calls: [...last.calls, ...calls.flatMap((call) => this.#add(call))],
    };
  }

  /** The calls, including those the server sent as such. */
  get calls(): ToolCall[] {
    return this.#settled?.calls ?? this.#calls.calls();
  }

  /** The text of the answer without calls and reasoning; text that may yet turn into a call counts. */
  left(content: string): string {
    if (this.#settled !== undefined) return this.#settled.text;
    const reader = new TextToolCalls(this.#tools, this.#isJsonAsked);
    return reader.feed(content).text + reader.held();
  }

  /**
   * Settles which calls there are, once everything has arrived: only then may it be clear that the first part was
   * reasoning, and that anything in it that looked like a call was not one. Calls that remain keep their ids.
   */
  settle(content: string): void {
    const given = this.#calls.calls();
    const old = given.filter(({ source }) => source === "text");
    const { text, calls } = takeToolCalls(content, this.#tools, this.#isJsonAsked);
    const settled = new Map<ToolCall | undefined, ToolCall>();
    const more: ToolCall[] = [];
    // Reasoning comes first, so calls after it are the last ones given out.
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

/** Reads a tool from the body as sent. */
function callableTool(tool: unknown): CallableTool[] {
  if (!isRecord(tool) || !isRecord(tool.function)) return [];
  const { name, parameters } = tool.function;
  if (typeof name !== "string") return [];
  return [{ name, parameters: isRecord(parameters) ? parameters : {} }];
}
