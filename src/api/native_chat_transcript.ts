/**
 * What has arrived of a native chat while it streams, for whoever does not get the whole.
 *
 * @module
 */

import { jsonText } from "../core/json_text.ts";
import type { ToolCall } from "../core/messages.ts";
import type { ChatEvent, ChatOutputItem } from "../core/native_chat.ts";
import type { PartialAnswer } from "../core/types.ts";
import { MOST_PARTS } from "./wire_choice.ts";

/** Several messages of one answer are one text. */
const BETWEEN = "\n\n";

/** The texts of one kind, as one. */
function joinTexts(texts: readonly string[]): string {
  return texts.filter((text) => text !== "").join(BETWEEN);
}

/** The texts of an output of this kind, as one. */
export function textOfOutput(
  output: readonly ChatOutputItem[],
  type: "message" | "reasoning",
): string {
  return joinTexts(output.flatMap((item) => item.type === type ? [item.content] : []));
}

/** The tools that the server has run. The wire has no ids for them. */
export function callsOfOutput(output: readonly ChatOutputItem[]): ToolCall[] {
  return output.filter((item) => item.type === "tool_call").map((item, index) => ({
    id: `call_${index}`,
    name: item.tool,
    arguments: jsonText(item.arguments),
  }));
}

/** Collects what the events tell. */
export class ChatTranscript {
  readonly #texts = { message: [] as string[], reasoning: [] as string[] };
  readonly #calls: ToolCall[] = [];
  /** The last call, while the tool has not answered. */
  #call: ToolCall | undefined;

  /** Whether there are more calls or messages than an answer can have. */
  get isOverfull(): boolean {
    const { message, reasoning } = this.#texts;
    return this.#calls.length > MOST_PARTS || message.length + reasoning.length > MOST_PARTS;
  }

  /** Takes what is text or a call. */
  take(event: ChatEvent): void {
    switch (event.type) {
      case "message.start":
        this.#texts.message.push("");
        break;
      case "reasoning.start":
        this.#texts.reasoning.push("");
        break;
      case "message.delta":
        append(this.#texts.message, event.content);
        break;
      case "reasoning.delta":
        append(this.#texts.reasoning, event.content);
        break;
      case "tool_call.start":
        this.#begin(event.tool);
        break;
      case "tool_call.arguments":
      case "tool_call.success":
        this.#fill(event.tool, jsonText(event.arguments));
        if (event.type === "tool_call.success") this.#call = undefined;
        break;
      case "tool_call.failure":
        this.#call = undefined;
        break;
    }
  }

  /** What has arrived, if anything has. */
  partial(): PartialAnswer | undefined {
    const content = joinTexts(this.#texts.message);
    const reasoning = joinTexts(this.#texts.reasoning);
    if (content === "" && reasoning === "" && this.#calls.length === 0) return undefined;
    return {
      content,
      ...(reasoning === "" ? {} : { reasoning }),
      toolCalls: this.#calls.map((call) => ({ ...call })),
    };
  }

  #begin(name: string): ToolCall {
    const call = { id: `call_${this.#calls.length}`, name, arguments: "" };
    this.#calls.push(call);
    this.#call = call;
    return call;
  }

  #fill(name: string, text: string): void {
    const call = this.#call?.name === name ? this.#call : this.#begin(name);
    call.arguments = text;
  }
}

function append(texts: string[], text: string): void {
  const last = texts.pop() ?? "";
  texts.push(last + text);
}
