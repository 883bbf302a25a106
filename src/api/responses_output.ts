/**
 * The output of a response: read from its items, or assembled from events, which is needed if a stream broke or its
 * last event does not repeat what was streamed.
 *
 * @module
 */

import { jsonText, parseJson } from "../core/plain_text.ts";
import type { ToolCall } from "../core/messages.ts";
import { isRecord } from "../core/fields.ts";
import type { ResponsesOutputItem } from "../core/responses_events.ts";
import { MOST_PARTS, textOf } from "./answer_parts.ts";
import { splitThinking, type ThinkTags } from "./think_splitter.ts";

/** The parts of an output that users ask for. */
export interface OutputParts {
  /** `""` if there is none. */
  readonly text: string;
  /** `""` if there is none. */
  readonly reasoning: string;
  readonly toolCalls: ToolCall[];
}

/** Reads the items of a whole output. @param tags tag pairs that mark reasoning in its texts. */
export function readOutput(output: unknown, tags: ThinkTags): OutputParts {
  return joinParts(itemsOf(output).map(readItem), tags);
}

/** The items of an output, without anything that is not an item. */
export function itemsOf(output: unknown): ResponsesOutputItem[] {
  return Array.isArray(output) ? output.filter(isItem) : [];
}

/** Fills the gaps of `first` from `second`. */
function completeParts(first: OutputParts, second: OutputParts): OutputParts {
  return {
    text: first.text || second.text,
    reasoning: first.reasoning || second.reasoning,
    toolCalls: first.toolCalls.length > 0 ? first.toolCalls : second.toolCalls,
  };
}

/** The parts of one item. */
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
  // If the server does not take out the tags, they are at the start of the text.
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

/** One item while it arrives. Its texts are kept by part index; several parts make one text. */
interface Slot {
  item: Readonly<Record<string, unknown>>;
  /** Whether the server sent the item itself; otherwise it is assembled from deltas. */
  isGiven: boolean;
  /** Whether the server sent the item as done. */
  isOver: boolean;
  readonly text: Map<unknown, string>;
  readonly reasoning: Map<unknown, string>;
  readonly summary: Map<unknown, string>;
  /** Arguments of a call, as last sent whole. */
  arguments: string;
  /** Arguments streamed since then. */
  streamed: string;
  /** Arguments examined last, and whether they are meaningful. */
  judged: { readonly text: string; readonly isSaid: boolean };
}

const NOTHING_JUDGED: Slot["judged"] = { text: "", isSaid: false };

/** Assembles an output from events. Texts are kept, events are not. */
export class OutputAssembler {
  readonly #tags: ThinkTags;
  readonly #slots: Slot[] = [];
  /**
   * The latest item under each name that events use for it: its type together with its id, its call's id or its index,
   * and its type alone.
   */
  readonly #byName = new Map<string, Slot>();

  /** @param tags tag pairs that mark reasoning in the texts. */
  constructor(tags: ThinkTags) {
    this.#tags = tags;
  }

  /** Whether there are more items than an answer can have. */
  get isOverfull(): boolean {
    return this.#slots.length > MOST_PARTS;
  }

  /** Takes one event; returns whether it carried any part of the answer. */
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
        this.#slot(event, callTypeOf(type)).streamed += textOf(delta);
        return textOf(delta) !== "";
      case "response.function_call_arguments.done":
      case "response.mcp_call_arguments.done": {
        const slot = this.#slot(event, callTypeOf(type));
        takeWholeArguments(slot, event.arguments);
        // Some servers do not send the name when the item begins.
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

  /** The parts received so far. @param output the output of the last event, if there was one. */
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
   * The items of the last event, completed with what only earlier events carried. If it has none: the items that the
   * server sent on the way, and every call that the caller has to answer.
   */
  items(output: unknown): ResponsesOutputItem[] {
    const items = itemsOf(output);
    if (items.length > 0) return this.#completed(items);
    return this.#slots.filter((slot) => slot.isGiven || isAnswerable(slot)).map(itemOf).filter(
      isItem,
    );
  }

  /**
   * Completes each call with its streamed arguments, and each text: some last events say `{}` although arguments were
   * streamed. Calls missing from the last event are added at the end.
   */
  #completed(items: readonly ResponsesOutputItem[]): ResponsesOutputItem[] {
    const repeated = new Set<Slot>();
    let isKnown = true;
    const completed = items.map((item, index) => {
      const slot = this.#find({ output_index: index, item }, item.type);
      // Only once: if a thousand items named the same one, its streamed text would be copied a thousand times.
      if (slot !== undefined && repeated.has(slot)) return item;
      if (!isCall(item)) {
        if (slot === undefined) return item;
        repeated.add(slot);
        return withText(item, slot);
      }
      const told = slot === undefined ? item : withHead(item, slot.item);
      // Found by its index alone, it is another call if its name differs.
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
    // An unknown call may be one of the streamed ones under another id, so none is added.
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
    // A call counts as part of the answer as soon as it begins; a message is still empty then.
    if (item.type.endsWith("_call")) return true;
    const { text, reasoning } = readItem(item);
    return text !== "" || reasoning !== "";
  }

  /** The item that an event is about; a new one if there is none yet. */
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
        streamed: "",
        judged: NOTHING_JUDGED,
      };
      this.#slots.push(slot);
      for (const name of placesOf(event, type)) this.#byName.set(name, slot);
    }
    for (const id of idsOf(event)) this.#byName.set(`${type} ${id}`, slot);
    return slot;
  }

  /** Finds by ids first: some servers give every item index 0, and others change the ids on the way. */
  #find(event: Readonly<Record<string, unknown>>, type: string): Slot | undefined {
    const ids = idsOf(event);
    for (const id of ids) {
      const slot = this.#byName.get(`${type} ${id}`);
      if (slot !== undefined && !isOtherCall(slot, event)) return slot;
    }
    const [place = type] = placesOf(event, type);
    const slot = this.#byName.get(place);
    if (slot === undefined || isOtherCall(slot, event)) return undefined;
    // Nothing marks it as a different item, or it is an item of the last event, which repeats finished ones.
    if (ids.length === 0 && place !== type || event.type === undefined) return slot;
    const isBegun = event.type === "response.output_item.added" && slot.isGiven;
    // Deltas of calls that were never announced by an item can be told apart only by their ids.
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

/** The ids by which an event, or the item in it, names its call and its item; the most reliable first. */
function idsOf({ call_id, item_id, item }: Readonly<Record<string, unknown>>): string[] {
  const own = isRecord(item) ? [item.call_id, item.id] : [];
  return [call_id, item_id, ...own].map(textOf).filter((id) => id !== "");
}

/** The names under which an item is found without ids: its index, then its type, meaning the latest of that type. */
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

/** The arguments of a call as known so far: streamed text comes after what was sent whole. */
function argumentsSoFar(slot: Slot): string {
  return laterArguments(slot, slot.arguments, slot.streamed);
}

function takeWholeArguments(slot: Slot, value: unknown): void {
  slot.arguments = laterArguments(slot, argumentsSoFar(slot), argumentsOf(value));
  slot.streamed = "";
}

/**
 * Returns the later arguments, unless they say less: some servers send `{}` or nothing in events after the one with
 * the arguments.
 */
function laterArguments(slot: Slot, earlier: string, later: string): string {
  if (later.trim() === "") return earlier;
  // `later` is parsed only once, on arrival; `earlier` may be long and comes again with each event.
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
  // Without a call id, uses the item's id, as `toolCalls` does, so that the call's result can refer to it.
  const told = isAnswerable(slot) ? withHead(item, { call_id: item.id }) : item;
  return withArguments(told, argumentsSoFar(slot));
}

/** The item, with its streamed text if it has none. */
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

/** The item of a call, with a missing name or id filled in. */
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
