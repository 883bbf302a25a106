/**
 * What has arrived of a native chat while it streams, for whoever does not get the whole.
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

/** Several messages of one answer are one text. */
const BETWEEN = "\n\n";

/** The texts of one kind, as one. */
function joinTexts(texts: readonly string[]): string {
  return texts.filter((text) => text !== "").join(BETWEEN);
}

/** The messages of an answer as one text, and its thoughts, those within messages too. */
function splitTexts(
  messages: readonly string[],
  thoughts: readonly string[],
  tags: ThinkTags,
): SplitText {
  // What has its thoughts apart has no tag left out.
  const split = thoughts.some((text) => text !== "") ? splitAsStreamed : splitThinking;
  const parts = messages.map((text) => split(text, tags));
  return {
    content: joinTexts(parts.map(({ content }) => content)),
    reasoning: joinTexts([...thoughts, ...parts.map(({ reasoning }) => reasoning)]),
  };
}

/** The text of an output, and its thoughts. */
export function textsOfOutput(output: readonly ChatOutputItem[], tags: ThinkTags): SplitText {
  const textsOf = (type: "message" | "reasoning"): string[] =>
    output.flatMap((item) => item.type === type ? [item.content] : []);
  return splitTexts(textsOf("message"), textsOf("reasoning"), tags);
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
  readonly #tags: ThinkTags;

  /** @param tags of thoughts in messages. */
  constructor(tags: ThinkTags) {
    this.#tags = tags;
  }

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
    const { message, reasoning: thoughts } = this.#texts;
    const { content, reasoning } = splitTexts(message, thoughts, this.#tags);
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
