/**
 * Puts streamed tool calls together, and repairs what versions of LM Studio get wrong in them: empty or
 * missing ids and names, names repeated in every piece, gaps in the index, empty lists.
 *
 * @module
 */

import { jsonText } from "../core/json_text.ts";
import { isRecord } from "../core/request_checks.ts";
import type { ToolCall, ToolCallDelta } from "../core/messages.ts";
import { MOST_PARTS } from "./wire_choice.ts";

interface Slot {
  /** What the wire calls it. */
  readonly wireIndex: number | undefined;
  id: string;
  name: string;
  arguments: string;
}

/** The calls of one answer. */
export class ToolCallAssembler {
  readonly #slots: Slot[] = [];
  /** Where they are: searched one by one, 30 000 calls in one answer took 6 s, during which nothing else ran. */
  readonly #places = new SlotPlaces();
  #isOverfull = false;

  /** Whether there were more than `MOST_PARTS`, which are not taken. */
  get isOverfull(): boolean {
    return this.#isOverfull;
  }

  /** Takes the `tool_calls` of a delta; gives the repaired pieces, none where they say nothing. */
  feed(wireCalls: unknown): ToolCallDelta[] {
    if (!Array.isArray(wireCalls)) return [];
    return wireCalls.flatMap((wireCall) => isRecord(wireCall) ? this.#feedCall(wireCall) : []);
  }

  /** Takes the `tool_calls` of a whole answer, where each entry is a call of its own, numbered or not. */
  feedWhole(wireCalls: unknown): void {
    if (!Array.isArray(wireCalls)) return;
    this.feed(wireCalls.map((call, index) => isRecord(call) ? { ...call, index } : call));
  }

  /** The calls so far. A call that has neither a name nor arguments is none. */
  calls(): ToolCall[] {
    return this.#slots.flatMap((slot, index) =>
      slot.name === "" && slot.arguments === ""
        ? []
        : [{ id: slot.id || `call_${index}`, name: slot.name, arguments: slot.arguments }]
    );
  }

  #feedCall(wireCall: Record<string, unknown>): ToolCallDelta[] {
    const wireFunction = isRecord(wireCall.function) ? wireCall.function : {};
    const id = typeof wireCall.id === "string" ? wireCall.id : "";
    const name = typeof wireFunction.name === "string" ? wireFunction.name : "";
    const text = argumentsText(wireFunction.arguments);
    // Such a piece must not take up a number.
    if (id === "" && name === "" && text === "") return [];
    const [index, slot] = this.#slot(wireCall.index, id);
    if (slot === undefined) return [];
    const delta: ToolCallDelta = { index };
    if (slot.id === "" && id !== "") {
      slot.id = delta.id = id;
      this.#places.nameSlot(index, slot);
    }
    if (slot.name === "" && name !== "") slot.name = delta.name = name;
    if (text !== "") {
      slot.arguments += text;
      delta.arguments = text;
    }
    return Object.keys(delta).length > 1 ? [delta] : [];
  }

  /** The call this piece belongs to; none where it would be one too many. Our own index has no gaps. */
  #slot(wireIndex: unknown, id: string): readonly [number, Slot | undefined] {
    const number = typeof wireIndex === "number" ? wireIndex : undefined;
    const byId = id === "" ? undefined : this.#places.first(id, number);
    // Without a number and an id it goes on with the last call.
    const isNew = number === undefined && id !== "";
    const known = byId ?? (isNew ? undefined : this.#places.last(number)) ?? -1;
    const slot = this.#slots[known];
    // Servers that number every call 0 tell them apart by id.
    if (slot !== undefined && (id === "" || slot.id === "" || slot.id === id)) return [known, slot];
    const index = this.#slots.length;
    if (index >= MOST_PARTS) {
      this.#isOverfull = true;
      return [index, undefined];
    }
    const added: Slot = { wireIndex: number, id: "", name: "", arguments: "" };
    this.#slots.push(added);
    this.#places.add(index, added);
    return [index, added];
  }
}

/** Where calls are, by what the wire calls them. */
class SlotPlaces {
  readonly #lastByNumber = new Map<number | undefined, number>();
  readonly #firstById = new Map<string, number>();
  readonly #firstByNumberAndId = new Map<string, number>();

  /** The last call of this number; without one, the last of all. */
  last(wireIndex: number | undefined): number | undefined {
    return this.#lastByNumber.get(wireIndex);
  }

  /** The first call of this id, among those of this number if there is one. */
  first(id: string, wireIndex: number | undefined): number | undefined {
    return wireIndex === undefined
      ? this.#firstById.get(id)
      : this.#firstByNumberAndId.get(`${wireIndex} ${id}`);
  }

  add(index: number, { wireIndex }: Slot): void {
    this.#lastByNumber.set(wireIndex, index);
    this.#lastByNumber.set(undefined, index);
  }

  /** A call has got its id. */
  nameSlot(index: number, { id, wireIndex }: Slot): void {
    setIfLower(this.#firstById, id, index);
    if (wireIndex !== undefined) {
      setIfLower(this.#firstByNumberAndId, `${wireIndex} ${id}`, index);
    }
  }
}

/** A call may get its id after a later one has got the same. */
function setIfLower(places: Map<string, number>, key: string, index: number): void {
  places.set(key, Math.min(places.get(key) ?? index, index));
}

/** Some servers send the arguments as an object. */
function argumentsText(value: unknown): string {
  if (typeof value === "string") return value;
  return isRecord(value) ? jsonText(value) : "";
}
