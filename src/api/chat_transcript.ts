/**
 * The text and tool calls of a native chat received so far, for callers who never get the whole answer.
 *
 * @module
 */

import { jsonText } from "../core/plain_text.ts";
import type { ToolCall } from "../core/messages.ts";
import type { ChatEvent, ChatOutputItem } from "../core/chat.ts";
import type { PartialAnswer } from "../core/types.ts";
import {
  splitAsStreamed,
  type SplitText,
  splitThinking,
  type ThinkTags,
} from "./think_splitter.ts";
import { MOST_PARTS } from "./answer_parts.ts";

/** Separates the messages of one answer when they are joined. */
const BETWEEN = "\n\n";

/** Joins texts of one kind. */
function joinTexts(texts: readonly string[]): string {
  return texts.filter((text) => text !== "").join(BETWEEN);
}

/** Joins the messages of an answer, and its reasoning, including any inside the messages. */
function splitTexts(
  messages: readonly string[],
  reasoningTexts: readonly string[],
  tags: ThinkTags,
): SplitText {
  // A model that sends its reasoning separately does not leave out an opening tag in its messages.
  const split = reasoningTexts.some((text) => text !== "") ? splitAsStreamed : splitThinking;
  const parts = messages.map((text) => split(text, tags));
  return {
    content: joinTexts(parts.map(({ content }) => content)),
    reasoning: joinTexts([...reasoningTexts, ...parts.map(({ reasoning }) => reasoning)]),
  };
}

/** The text and the reasoning of an output. */
export function textsOfOutput(output: readonly ChatOutputItem[], tags: ThinkTags): SplitText {
  const textsOf = (type: "message" | "reasoning"): string[] =>
    output.flatMap((item) => item.type === type ? [item.content] : []);
  return splitTexts(textsOf("message"), textsOf("reasoning"), tags);
}

/** The tool calls that the server has run. The wire has no ids for them. */
export function callsOfOutput(output: readonly ChatOutputItem[]): ToolCall[] {
  return output.filter((item) => item.type === "tool_call").map((item, index) => ({
    id: `call_${index}`,
    name: item.tool,
    arguments: jsonText(item.arguments),
  }));
}

/** Collects text and tool calls from the events. */
export class ChatTranscript {
  readonly #texts = { message: [] as string[], reasoning: [] as string[] };
  readonly #calls: ToolCall[] = [];
  /** The last call, until its tool has answered. */
  #call: ToolCall | undefined;
  readonly #tags: ThinkTags;

  /** @param tags tag pairs that mark reasoning in messages. */
  constructor(tags: ThinkTags) {
    this.#tags = tags;
  }

  /** Whether the answer exceeds the limit on tool calls or messages. */
  get isOverfull(): boolean {
    const { message, reasoning } = this.#texts;
    return this.#calls.length > MOST_PARTS || message.length + reasoning.length > MOST_PARTS;
  }

  /** Adds an event, if it carries text or a tool call. */
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

  /** The answer received so far, if any. */
  partial(): PartialAnswer | undefined {
    const { message, reasoning: reasoningTexts } = this.#texts;
    const { content, reasoning } = splitTexts(message, reasoningTexts, this.#tags);
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
