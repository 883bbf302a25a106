/**
 * Puts streamed tool calls together, and repairs what versions of LM Studio get wrong in them: empty or
 * missing ids and names, names repeated in every piece, gaps in the index, empty lists.
 *
 * @module
 */

import { jsonText } from "../core/json_text.ts";
import { isRecord } from "../core/request_checks.ts";
import type { ToolCall, ToolCallDelta } from "../core/messages.ts";

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
    const delta: ToolCallDelta = { index };
    if (slot.id === "" && id !== "") slot.id = delta.id = id;
    if (slot.name === "" && name !== "") slot.name = delta.name = name;
    if (text !== "") {
      slot.arguments += text;
      delta.arguments = text;
    }
    return Object.keys(delta).length > 1 ? [delta] : [];
  }

  /** The call this piece belongs to. Our own index has no gaps, whatever the wire's has. */
  #slot(wireIndex: unknown, id: string): readonly [number, Slot] {
    const isSameIndex = (slot: Slot): boolean =>
      typeof wireIndex !== "number" || slot.wireIndex === wireIndex;
    const byId = id === ""
      ? -1
      : this.#slots.findIndex((slot) => slot.id === id && isSameIndex(slot));
    // Without a number and an id it goes on with the last call.
    const isNew = typeof wireIndex !== "number" && id !== "";
    const known = byId !== -1 || isNew ? byId : this.#slots.findLastIndex(isSameIndex);
    const slot = this.#slots[known];
    // Servers that number every call 0 tell them apart by id.
    if (slot !== undefined && (id === "" || slot.id === "" || slot.id === id)) return [known, slot];
    const added: Slot = {
      wireIndex: typeof wireIndex === "number" ? wireIndex : undefined,
      id: "",
      name: "",
      arguments: "",
    };
    this.#slots.push(added);
    return [this.#slots.length - 1, added];
  }
}

/** Some servers send the arguments as an object. */
function argumentsText(value: unknown): string {
  if (typeof value === "string") return value;
  return isRecord(value) ? jsonText(value) : "";
}
