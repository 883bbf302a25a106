/**
 * The output of a response: read whole from its items, or put together from the events that carried it, for
 * what is left of a stream that broke and for a last event that does not repeat what was streamed.
 *
 * @module
 */

import { jsonText } from "../core/json_text.ts";
import type { ToolCall } from "../core/messages.ts";
import { isRecord } from "../core/request_checks.ts";
import type { ResponsesOutputItem } from "../core/responses_events.ts";
import { MOST_PARTS, textOf } from "./wire_choice.ts";
import { splitThinking } from "./think_splitter.ts";

/** What users want to know of an output. */
export interface OutputParts {
  /** `""` when there is none. */
  readonly text: string;
  /** `""` when there is none. */
  readonly reasoning: string;
  readonly toolCalls: ToolCall[];
}

/** Reads the items of a whole output. */
export function readOutput(output: unknown): OutputParts {
  return joinParts(itemsOf(output).map(readItem));
}

/** The items of an output; what is none is left out. */
export function itemsOf(output: unknown): ResponsesOutputItem[] {
  return Array.isArray(output) ? output.filter(isItem) : [];
}

/** What is in `first`, and from `second` what is not. */
export function completeParts(first: OutputParts, second: OutputParts): OutputParts {
  return {
    text: first.text || second.text,
    reasoning: first.reasoning || second.reasoning,
    toolCalls: first.toolCalls.length > 0 ? first.toolCalls : second.toolCalls,
  };
}

/** What one item says. */
interface ItemParts {
  readonly text: string;
  readonly reasoning: string;
  readonly toolCall?: ToolCall | undefined;
}

function isItem(value: unknown): value is ResponsesOutputItem {
  return isRecord(value) && typeof value.type === "string";
}

function readItem(item: Readonly<Record<string, unknown>>): ItemParts {
  switch (item.type) {
    case "message":
      return { text: textOf(item.content), reasoning: "" };
    case "reasoning":
      return { text: "", reasoning: textOf(item.content) || summaryOf(item.summary) };
    case "function_call": {
      const toolCall = {
        id: textOf(item.call_id) || textOf(item.id),
        name: textOf(item.name),
        arguments: argumentsOf(item.arguments),
      };
      return { text: "", reasoning: "", toolCall };
    }
    default:
      return { text: "", reasoning: "" };
  }
}

function summaryOf(summary: unknown): string {
  if (!Array.isArray(summary)) return textOf(summary);
  return paragraphs(summary.map((part) => textOf([part])));
}

/** Some servers send the arguments as an object. */
function argumentsOf(value: unknown): string {
  return isRecord(value) ? jsonText(value) : textOf(value);
}

function joinParts(items: readonly ItemParts[]): OutputParts {
  // Where the server does not take the tags out, they stand at the start of the text.
  const { content, reasoning } = splitThinking(paragraphs(items.map(({ text }) => text)));
  return {
    text: content,
    reasoning: paragraphs([...items.map((item) => item.reasoning), reasoning]),
    toolCalls: items.flatMap(({ toolCall }) => toolCall ?? [])
      .filter(({ name, arguments: text }) => name !== "" || text !== "")
      .map((call, index) => ({ ...call, id: call.id || `call_${index}` })),
  };
}

function paragraphs(texts: readonly string[]): string {
  return texts.filter((text) => text !== "").join("\n\n");
}

/** One item while it comes. The texts are by the number of the part: several parts are one text. */
interface Slot {
  item: Record<string, unknown>;
  /** Whether the server gave the item itself: else it is made of what its pieces tell. */
  isGiven: boolean;
  readonly text: Map<unknown, string>;
  readonly reasoning: Map<unknown, string>;
  readonly summary: Map<unknown, string>;
  arguments: string;
}

/** Puts an output together from events. Text is kept, events are not. */
export class OutputAssembler {
  readonly #slots = new Map<unknown, Slot>();

  /** Whether there are more than an answer can have. */
  get isOverfull(): boolean {
    return this.#slots.size > MOST_PARTS;
  }

  /** Takes one event. Tells whether something of the answer came with it. */
  feed(event: Readonly<Record<string, unknown>>): boolean {
    const { type, delta } = event;
    switch (type) {
      case "response.output_text.delta":
        return append(this.#slot(event, "message").text, event.content_index, delta);
      case "response.output_text.done":
        return replace(this.#slot(event, "message").text, event.content_index, event.text);
      case "response.reasoning_text.delta":
        return append(this.#slot(event, "reasoning").reasoning, event.content_index, delta);
      case "response.reasoning_text.done":
        return replace(this.#slot(event, "reasoning").reasoning, event.content_index, event.text);
      case "response.reasoning_summary_text.delta":
        return append(this.#slot(event, "reasoning").summary, event.summary_index, delta);
      case "response.reasoning_summary_text.done":
        return replace(this.#slot(event, "reasoning").summary, event.summary_index, event.text);
      case "response.function_call_arguments.delta":
        this.#slot(event, "function_call").arguments += textOf(delta);
        return textOf(delta) !== "";
      case "response.function_call_arguments.done": {
        const slot = this.#slot(event, "function_call");
        slot.arguments = argumentsOf(event.arguments) || slot.arguments;
        // Not every server says it when the item begins.
        if (textOf(slot.item.name) === "") slot.item.name = event.name;
        return true;
      }
      case "response.output_item.added":
      case "response.output_item.done":
        return this.#takeItem(event);
      default:
        return typeof delta === "string" && delta !== "";
    }
  }

  /** What has come. */
  parts(): OutputParts {
    return joinParts([...this.#slots.values()].map((slot) => {
      const { text, reasoning, toolCall } = readItem(slot.item);
      return {
        text: [...slot.text.values()].join("") || text,
        reasoning: [...slot.reasoning.values()].join("") ||
          paragraphs([...slot.summary.values()]) || reasoning,
        toolCall: toolCall && { ...toolCall, arguments: slot.arguments || toolCall.arguments },
      };
    }));
  }

  /** The items as far as the server gave them as such. */
  items(): ResponsesOutputItem[] {
    return [...this.#slots.values()].filter(({ isGiven }) => isGiven)
      .map(({ item }) => item).filter(isItem);
  }

  #takeItem(event: Readonly<Record<string, unknown>>): boolean {
    const { item } = event;
    if (!isItem(item)) return false;
    const slot = this.#slot(event, item.type);
    slot.item = { ...item };
    slot.isGiven = true;
    // A call begins with its item; a message that begins is still empty.
    if (item.type.endsWith("_call")) return true;
    const { text, reasoning } = readItem(item);
    return text !== "" || reasoning !== "";
  }

  #slot(event: Readonly<Record<string, unknown>>, type: string): Slot {
    const { output_index: index, item_id: id } = event;
    const key = typeof index === "number" ? index : typeof id === "string" ? id : type;
    let slot = this.#slots.get(key);
    if (slot === undefined) {
      const item = { type, ...(typeof id === "string" ? { id } : {}) };
      slot = {
        item,
        isGiven: false,
        text: new Map(),
        reasoning: new Map(),
        summary: new Map(),
        arguments: "",
      };
      this.#slots.set(key, slot);
    }
    return slot;
  }
}

function append(texts: Map<unknown, string>, index: unknown, delta: unknown): boolean {
  if (typeof delta !== "string" || delta === "") return false;
  texts.set(index, (texts.get(index) ?? "") + delta);
  return true;
}

function replace(texts: Map<unknown, string>, index: unknown, text: unknown): boolean {
  if (typeof text !== "string" || text === "") return false;
  texts.set(index, text);
  return true;
}
