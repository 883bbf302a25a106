/**
 * The output of a response: read whole from its items, or put together from the events that carried it, for
 * what is left of a stream that broke and for a last event that does not repeat what was streamed.
 *
 * @module
 */

import { jsonText, parseJson } from "../core/plain_text.ts";
import type { ToolCall } from "../core/messages.ts";
import { isRecord } from "../core/fields.ts";
import type { ResponsesOutputItem } from "../core/responses_events.ts";
import { MOST_PARTS, textOf } from "./answer_parts.ts";
import { splitThinking, type ThinkTags } from "./think_splitter.ts";

/** What users want to know of an output. */
export interface OutputParts {
  /** `""` when there is none. */
  readonly text: string;
  /** `""` when there is none. */
  readonly reasoning: string;
  readonly toolCalls: ToolCall[];
}

/** Reads the items of a whole output. @param tags around thoughts in its texts. */
export function readOutput(output: unknown, tags: ThinkTags): OutputParts {
  return joinParts(itemsOf(output).map(readItem), tags);
}

/** The items of an output; what is none is left out. */
export function itemsOf(output: unknown): ResponsesOutputItem[] {
  return Array.isArray(output) ? output.filter(isItem) : [];
}

/** What is in `first`, and from `second` what is not. */
function completeParts(first: OutputParts, second: OutputParts): OutputParts {
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

function joinParts(items: readonly ItemParts[], tags: ThinkTags): OutputParts {
  // Where the server does not take the tags out, they stand at the start of the text.
  const { content, reasoning } = splitThinking(paragraphs(items.map(({ text }) => text)), tags);
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
  item: Readonly<Record<string, unknown>>;
  /** Whether the server gave the item itself: else it is made of what its pieces tell. */
  isGiven: boolean;
  /** Whether the server gave the item as one that is over. */
  isOver: boolean;
  readonly text: Map<unknown, string>;
  readonly reasoning: Map<unknown, string>;
  readonly summary: Map<unknown, string>;
  /** Arguments of a call as far as the server gave them whole. */
  arguments: string;
  /** What was streamed of them since. */
  pieces: string;
  /** Arguments that were looked at last, and whether they say anything. */
  judged: { readonly text: string; readonly isSaid: boolean };
}

const NOTHING_JUDGED: Slot["judged"] = { text: "", isSaid: false };

/** Puts an output together from events. Text is kept, events are not. */
export class OutputAssembler {
  readonly #tags: ThinkTags;
  readonly #slots: Slot[] = [];
  /**
   * The latest of each name that events have for an item: its type with its id, with the id of its call, with its
   * place, and alone.
   */
  readonly #byName = new Map<string, Slot>();

  /** @param tags around thoughts in the texts. */
  constructor(tags: ThinkTags) {
    this.#tags = tags;
  }

  /** Whether there are more than an answer can have. */
  get isOverfull(): boolean {
    return this.#slots.length > MOST_PARTS;
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
      case "response.mcp_call_arguments.delta":
        this.#slot(event, callTypeOf(type)).pieces += textOf(delta);
        return textOf(delta) !== "";
      case "response.function_call_arguments.done":
      case "response.mcp_call_arguments.done": {
        const slot = this.#slot(event, callTypeOf(type));
        takeWholeArguments(slot, event.arguments);
        // Not every server says the name when the item begins.
        slot.item = withHead(slot.item, event);
        return true;
      }
      case "response.output_item.added":
      case "response.output_item.done":
        return this.#takeItem(event);
      default:
        return typeof delta === "string" && delta !== "";
    }
  }

  /** What has come. @param output of the last event, where there was one. */
  parts(output: unknown): OutputParts {
    const streamed = joinParts(
      this.#slots.map((slot) => {
        const { text, reasoning, toolCall } = readItem(itemOf(slot));
        return {
          text: [...slot.text.values()].join("") || text,
          reasoning: [...slot.reasoning.values()].join("") ||
            paragraphs([...slot.summary.values()]) || reasoning,
          toolCall,
        };
      }),
      this.#tags,
    );
    const items = itemsOf(output);
    return items.length === 0
      ? streamed
      : completeParts(readOutput(this.#completed(items), this.#tags), streamed);
  }

  /**
   * The items as the last event has them, with what had come before it and it does not repeat; where it has none,
   * those that the server gave as they came, and every call, which must be there to be answered.
   */
  items(output: unknown): ResponsesOutputItem[] {
    const items = itemsOf(output);
    if (items.length > 0) return this.#completed(items);
    return this.#slots.filter((slot) => slot.isGiven || isAnswerable(slot)).map(itemOf).filter(
      isItem,
    );
  }

  /**
   * Each call with its arguments, and each text: a last event was seen to say `{}` where they had been streamed. A
   * call that it leaves out stands at the end.
   */
  #completed(items: readonly ResponsesOutputItem[]): ResponsesOutputItem[] {
    const repeated = new Set<Slot>();
    let isKnown = true;
    const completed = items.map((item, index) => {
      const slot = this.#find({ output_index: index, item }, item.type);
      // Once is enough: what was streamed of one would be as much again in each of a thousand that name it.
      if (slot !== undefined && repeated.has(slot)) return item;
      if (!isCall(item)) {
        if (slot === undefined) return item;
        repeated.add(slot);
        return withText(item, slot);
      }
      const told = slot === undefined ? item : withHead(item, slot.item);
      // Found by its place alone it is another call where even the name is another.
      if (
        slot === undefined || (textOf(slot.item.name) !== "" && told.name !== slot.item.name)
      ) {
        isKnown = false;
        return item;
      }
      repeated.add(slot);
      return withArguments(
        told,
        laterArguments(slot, argumentsSoFar(slot), argumentsOf(item.arguments)),
      );
    });
    // One that is not known may be one of those that were streamed, under another id.
    if (!isKnown) return completed;
    const missing = this.#slots.filter((slot) => isAnswerable(slot) && !repeated.has(slot));
    return [...completed, ...missing.map(itemOf).filter(isItem)];
  }

  #takeItem(event: Readonly<Record<string, unknown>>): boolean {
    const { item } = event;
    if (!isItem(item)) return false;
    const slot = this.#slot(event, item.type);
    slot.item = isCall(item) ? withHead(item, slot.item) : item;
    slot.isGiven = true;
    if (event.type === "response.output_item.done") {
      slot.isOver = true;
      takeWholeArguments(slot, item.arguments);
    } else slot.arguments = laterArguments(slot, slot.arguments, argumentsOf(item.arguments));
    // A call begins with its item; a message that begins is still empty.
    if (item.type.endsWith("_call")) return true;
    const { text, reasoning } = readItem(item);
    return text !== "" || reasoning !== "";
  }

  /** The item that an event is about, which begins with it where there is none. */
  #slot(event: Readonly<Record<string, unknown>>, type: string): Slot {
    let slot = this.#find(event, type);
    if (slot === undefined) {
      const { item_id: id } = event;
      slot = {
        item: { type, ...(typeof id === "string" ? { id } : {}) },
        isGiven: false,
        isOver: false,
        text: new Map(),
        reasoning: new Map(),
        summary: new Map(),
        arguments: "",
        pieces: "",
        judged: NOTHING_JUDGED,
      };
      this.#slots.push(slot);
      for (const name of placesOf(event, type)) this.#byName.set(name, slot);
    }
    for (const id of idsOf(event)) this.#byName.set(`${type} ${id}`, slot);
    return slot;
  }

  /** By ids first: some servers count every item as the first, and others change the ids on the way. */
  #find(event: Readonly<Record<string, unknown>>, type: string): Slot | undefined {
    const ids = idsOf(event);
    for (const id of ids) {
      const slot = this.#byName.get(`${type} ${id}`);
      if (slot !== undefined && !isOtherCall(slot, event)) return slot;
    }
    const [place = type] = placesOf(event, type);
    const slot = this.#byName.get(place);
    if (slot === undefined || isOtherCall(slot, event)) return undefined;
    // Nothing says that it is another, or it is an item of the last event, which repeats those that are over.
    if (ids.length === 0 && place !== type || event.type === undefined) return slot;
    const isBegun = event.type === "response.output_item.added" && slot.isGiven;
    // Pieces of calls that no item has told of are told apart by their ids alone.
    const isOther = !isRecord(event.item) && !slot.isGiven && ids.length > 0 &&
      textOf(slot.item.id) !== "";
    return slot.isOver || isBegun || isOther ? undefined : slot;
  }
}

function callTypeOf(eventType: string): string {
  return eventType.startsWith("response.mcp_") ? "mcp_call" : "function_call";
}

function isCall({ type }: Readonly<Record<string, unknown>>): boolean {
  return type === "function_call" || type === "mcp_call";
}

/** How an event, or the item in it, names its call and its item, the surest first. */
function idsOf({ call_id, item_id, item }: Readonly<Record<string, unknown>>): string[] {
  const own = isRecord(item) ? [item.call_id, item.id] : [];
  return [call_id, item_id, ...own].map(textOf).filter((id) => id !== "");
}

/** Where an event says that its item stands; the latest of its type stands for no place. */
function placesOf(
  { output_index: index }: Readonly<Record<string, unknown>>,
  type: string,
): string[] {
  return typeof index === "number" ? [`${type} at ${index}`, type] : [type];
}

function isOtherCall({ item }: Slot, event: Readonly<Record<string, unknown>>): boolean {
  const known = textOf(item.call_id);
  const told = textOf(event.call_id) || (isRecord(event.item) ? textOf(event.item.call_id) : "");
  return known !== "" && told !== "" && known !== told;
}

// --- Arguments --------------------------------------------------------------------------------

/** What is known of a call's arguments: what is streamed comes after what was said before. */
function argumentsSoFar(slot: Slot): string {
  return laterArguments(slot, slot.arguments, slot.pieces);
}

function takeWholeArguments(slot: Slot, value: unknown): void {
  slot.arguments = laterArguments(slot, argumentsSoFar(slot), argumentsOf(value));
  slot.pieces = "";
}

/**
 * What was said later, except where that is less than what had come: servers were seen to send `{}` or nothing in
 * the events after the one with the arguments.
 */
function laterArguments(slot: Slot, earlier: string, later: string): string {
  if (later.trim() === "") return earlier;
  // What is later is read once, as it comes; what is earlier may be long, and asked for again at each event.
  if (!isEmpty(later) && parseJson(later) !== undefined) return later;
  if (slot.judged.text !== earlier) {
    const isSaid = !isEmpty(earlier) && parseJson(earlier) !== undefined;
    slot.judged = { text: earlier, isSaid };
  }
  return slot.judged.isSaid ? earlier : later;
}

function isEmpty(text: string): boolean {
  return /^\s*(?:\{\s*\}|\[\s*\]|""|null)?\s*$/.test(text);
}

/** Whether it is a call that the caller has to answer. */
function isAnswerable({ item }: Slot): boolean {
  return item.type === "function_call" && textOf(item.name) !== "";
}

function itemOf(slot: Slot): Readonly<Record<string, unknown>> {
  const { item } = slot;
  if (!isCall(item)) return withText(item, slot);
  // What is told of it in `toolCalls`, where the server gives no other: its result must find it.
  const told = isAnswerable(slot) ? withHead(item, { call_id: item.id }) : item;
  return withArguments(told, argumentsSoFar(slot));
}

/** The item, with what was streamed of it where it has nothing. */
function withText<T extends Readonly<Record<string, unknown>>>(item: T, slot: Slot): T {
  const { text, reasoning } = readItem(item);
  const isMessage = item.type === "message";
  const streamed = isMessage ? slot.text : slot.reasoning;
  const all = [...streamed.values()].join("");
  if (all === "" || text !== "" || reasoning !== "") return item;
  const part = isMessage
    ? { type: "output_text", text: all, annotations: [] }
    : { type: "reasoning_text", text: all };
  return { ...item, content: [part] };
}

function withArguments<T extends Readonly<Record<string, unknown>>>(item: T, text: string): T {
  return argumentsOf(item.arguments) === text ? item : { ...item, arguments: text };
}

/** The item of a call, with its name and id from elsewhere where it has none. */
function withHead<T extends Readonly<Record<string, unknown>>>(
  item: T,
  { name, call_id }: Readonly<Record<string, unknown>>,
): T {
  const isNameless = textOf(item.name) === "" && textOf(name) !== "";
  const isWithoutId = textOf(item.call_id) === "" && textOf(call_id) !== "";
  if (!isNameless && !isWithoutId) return item;
  return { ...item, ...(isNameless ? { name } : {}), ...(isWithoutId ? { call_id } : {}) };
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
