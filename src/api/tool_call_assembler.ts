/**
 * Assembles streamed tool calls, and repairs what some versions of LM Studio get wrong: empty or missing ids and names,
 * names repeated in every delta, gaps in the index, empty lists.
 *
 * @module
 */

import { jsonText } from "../core/plain_text.ts";
import { isRecord } from "../core/fields.ts";
import type { ToolCall, ToolCallDelta } from "../core/messages.ts";
import { MOST_PARTS } from "./answer_parts.ts";

interface Slot {
  id: string;
  name: string;
  arguments: string;
  readonly object: ObjectScanner;
  /** As in `ToolCall`. */
  readonly source?: "text";
}

/** The calls of one answer. */
export class ToolCallAssembler {
  readonly #slots: Slot[] = [];
  /** Slot numbers by the index and id on the wire: searching the slots would be quadratic. */
  readonly #lastOfIndex = new Map<unknown, number>();
  readonly #byId = new Map<unknown, Map<string, number>>();
  readonly #ids = new Set<string>();
  /** Number of the last slot that came from the server. */
  #lastOfWire = -1;
  #isOverfull = false;

  /** Whether there were more than `MOST_PARTS` calls; the excess is dropped. */
  get isOverfull(): boolean {
    return this.#isOverfull;
  }

  /** Takes the `tool_calls` of a delta; returns them repaired, without empty ones. */
  feed(wireCalls: unknown): ToolCallDelta[] {
    if (!Array.isArray(wireCalls)) return [];
    return wireCalls.flatMap((wireCall) => isRecord(wireCall) ? this.#feedCall(wireCall) : []);
  }

  /** Takes the `tool_calls` of a whole answer, where each entry is a separate call, with or without an index. */
  feedWhole(wireCalls: unknown): void {
    if (!Array.isArray(wireCalls)) return;
    this.feed(wireCalls.map((call, index) => isRecord(call) ? { ...call, index } : call));
  }

  /** The calls so far. An entry with neither a name nor arguments is left out. */
  calls(): ToolCall[] {
    return this.#slots.flatMap((slot, index) =>
      slot.name === "" && slot.arguments === "" ? [] : [{
        id: slot.id || `call_${index}`,
        name: slot.name,
        arguments: slot.arguments,
        ...(slot.source === undefined ? {} : { source: slot.source }),
      }]
    );
  }

  /** Whether a call has this id. */
  hasId(id: string): boolean {
    return this.#ids.has(id);
  }

  /** Adds a whole call that did not come from the server. */
  addWhole(call: ToolCall): ToolCallDelta[] {
    const slot = { ...call, object: new ObjectScanner() };
    slot.object.feed(call.arguments);
    this.#ids.add(call.id);
    const index = this.#add(slot);
    return index === MOST_PARTS ? [] : [{ index, ...call }];
  }

  #feedCall(wireCall: Record<string, unknown>): ToolCallDelta[] {
    const wireFunction = isRecord(wireCall.function) ? wireCall.function : {};
    const id = typeof wireCall.id === "string" ? wireCall.id : "";
    const name = typeof wireFunction.name === "string" ? wireFunction.name : "";
    const text = argumentsText(wireFunction.arguments);
    // An empty delta must not take up an index.
    if (id === "" && name === "" && text === "") return [];
    const wireIndex = typeof wireCall.index === "number" ? wireCall.index : undefined;
    const index = this.#find(wireIndex, { id, name, text }) ?? this.#addOfWire(wireIndex);
    const slot = this.#slots[index];
    if (slot === undefined) return [];
    const delta: ToolCallDelta = { index };
    if (slot.id === "" && id !== "") {
      slot.id = delta.id = id;
      this.#ids.add(id);
      const ids = this.#byId.get(wireIndex) ?? new Map<string, number>();
      this.#byId.set(wireIndex, ids.set(id, index));
    }
    if (slot.name === "" && name !== "") slot.name = delta.name = name;
    if (text !== "") {
      slot.arguments += text;
      slot.object.feed(text);
      delta.arguments = text;
    }
    return Object.keys(delta).length > 1 ? [delta] : [];
  }

  /** The call that a delta continues. Our own index has no gaps, whatever the server's has. */
  #find(
    wireIndex: number | undefined,
    { id, name, text }: { id: string; name: string; text: string },
  ): number | undefined {
    const known = id === "" ? undefined : this.#byId.get(wireIndex)?.get(id);
    if (known !== undefined) {
      // If all calls have the same id, only the end of an object separates them.
      return this.#slots[known]?.object.isWhole && beginsObject(text) ? undefined : known;
    }
    // Without an index, a delta continues the last call.
    const last = wireIndex === undefined
      ? this.#lastOfWire
      : this.#lastOfIndex.get(wireIndex) ?? -1;
    const slot = this.#slots[last];
    if (slot === undefined) return undefined;
    if (slot.object.isWhole) {
      // Some servers give every call index 0 and no id: after a whole object, the next call begins.
      return name !== "" || beginsObject(text) || (id !== "" && slot.id !== "") ? undefined : last;
    }
    if (name !== "" && slot.name !== "" && name !== slot.name) return undefined;
    // A new id starts a new call, but not in the middle of another call: some servers give each delta its own id.
    const isMiddle = name === "" || (slot.object.isOpen && text !== "" && !beginsObject(text));
    return id === "" || slot.id === "" || isMiddle ? last : undefined;
  }

  /** Adds a slot for a call from the server; returns its number. */
  #addOfWire(wireIndex: number | undefined): number {
    const index = this.#add({ id: "", name: "", arguments: "", object: new ObjectScanner() });
    if (index === MOST_PARTS) return index;
    this.#lastOfWire = index;
    if (wireIndex !== undefined) this.#lastOfIndex.set(wireIndex, index);
    return index;
  }

  /** Adds a slot; returns its number, under which there is no slot if it would exceed the limit. */
  #add(slot: Slot): number {
    if (this.#slots.length < MOST_PARTS) return this.#slots.push(slot) - 1;
    this.#isOverfull = true;
    return MOST_PARTS;
  }
}

function beginsObject(text: string): boolean {
  return text.trimStart().startsWith("{");
}

/** Detects when a JSON object that arrives in chunks is whole; reads each character once. */
class ObjectScanner {
  #depth = 0;
  #isInText = false;
  #isEscaped = false;
  #state: "start" | "open" | "whole" | "other" = "start";

  /** Whether the object has been closed. */
  get isWhole(): boolean {
    return this.#state === "whole";
  }

  /** Whether the object has begun but not ended. */
  get isOpen(): boolean {
    return this.#state === "open";
  }

  /** Reads the next chunk. */
  feed(chunk: string): void {
    for (let at = 0; at < chunk.length && this.#state !== "other"; at++) {
      const code = chunk.charCodeAt(at);
      if (this.#state === "open") this.#step(code);
      else if (this.#state === "start" && code === OPEN_BRACE) {
        this.#state = "open";
        this.#depth = 1;
      } else if (!BLANKS.has(code)) this.#state = "other";
    }
  }

  #step(code: number): void {
    if (this.#isEscaped) this.#isEscaped = false;
    else if (this.#isInText) {
      if (code === BACKSLASH) this.#isEscaped = true;
      else if (code === QUOTE) this.#isInText = false;
    } else if (code === QUOTE) this.#isInText = true;
    else if (code === OPEN_BRACE) this.#depth++;
    else if (code === CLOSE_BRACE && --this.#depth === 0) this.#state = "whole";
  }
}

const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const BLANKS: ReadonlySet<number> = new Set([0x20, 0x09, 0x0a, 0x0d]);

/** Arguments as text; some servers send them as an object. */
function argumentsText(value: unknown): string {
  if (typeof value === "string") return value;
  return isRecord(value) ? jsonText(value) : "";
}
