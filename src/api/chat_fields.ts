/**
 * Names and values of the native chat, from the wire's to ours: camelCase at every depth, and every field that a
 * kind of event or output promises. By hand: this runs per token.
 *
 * @module
 */

import { jsonText } from "../core/plain_text.ts";
import type { ChatEvent, ChatOutputItem } from "../core/chat.ts";
import { isRecord } from "../core/fields.ts";

/** Below these the names are somebody else's: of a tool's parameters, of headers. */
const FOREIGN: ReadonlySet<string> = new Set(["arguments", "headers"]);
/** No answer is nested like this; what is must not exhaust the stack. */
const MAX_DEPTH = 64;

/**
 * A field that a kind promises, by its type: an amount is 0 or more, a share from 0 to 1. One with `?` behind its name
 * may be absent, and is where it is of another type.
 */
type Promised = Readonly<Record<string, "text" | "amount" | "share" | { readonly of: Promised }>>;

const INSTANCE: Promised = { modelInstanceId: "text" };
const CONTENT: Promised = { content: "text" };
const PROVIDER: Promised = {
  "providerInfo?": { of: { type: "text", "pluginId?": "text", "serverLabel?": "text" } },
};
const CALL: Promised = { tool: "text", arguments: { of: {} }, ...PROVIDER };
const FAILURE: Promised = {
  reason: "text",
  metadata: { of: { type: "text", toolName: "text", "arguments?": { of: {} }, ...PROVIDER } },
};
const NOTHING: Promised = {};

const EVENTS: ReadonlyMap<string, Promised> = new Map<ChatEvent["type"], Promised>([
  ["chat.start", INSTANCE],
  ["model_load.start", INSTANCE],
  ["model_load.progress", { ...INSTANCE, progress: "share" }],
  ["model_load.end", { ...INSTANCE, loadTimeSeconds: "amount" }],
  ["prompt_processing.progress", { progress: "share" }],
  ["reasoning.delta", CONTENT],
  ["tool_call.start", { tool: "text", ...PROVIDER }],
  ["tool_call.arguments", CALL],
  ["tool_call.success", { ...CALL, output: "text" }],
  ["tool_call.failure", FAILURE],
  ["message.delta", CONTENT],
]);
const ITEMS: ReadonlyMap<string, Promised> = new Map<ChatOutputItem["type"], Promised>([
  ["message", CONTENT],
  ["reasoning", CONTENT],
  ["tool_call", { ...CALL, output: "text" }],
  ["invalid_tool_call", FAILURE],
]);

/** An event other than `error` and `chat.end`. */
export function decodeChatEvent(type: string, wire: Record<string, unknown>): ChatEvent {
  const event = promise(toCamelCase(wire, 0), EVENTS.get(type) ?? NOTHING);
  event.type = type;
  return event as unknown as ChatEvent;
}

/** A part of the output. */
export function decodeChatItem(wire: Readonly<Record<string, unknown>>): ChatOutputItem {
  const item = promise(toCamelCase(wire, 0), ITEMS.get(String(wire.type)) ?? NOTHING);
  return item as unknown as ChatOutputItem;
}

function toCamelCase(wire: Readonly<Record<string, unknown>>, depth: number): Fields {
  // Not by assignment: `__proto__` is a name like any other in JSON.
  return Object.fromEntries(
    Object.entries(wire).map(([name, value]) => [
      name.includes("_") ? camelCase(name) : name,
      FOREIGN.has(name) ? value : camelCaseWithin(value, depth + 1),
    ]),
  );
}

function camelCaseWithin(value: unknown, depth: number): unknown {
  // `1e999` is `Infinity`, and no number of anything.
  if (typeof value === "number") return Number.isFinite(value) ? value : undefined;
  if (typeof value !== "object" || depth > MAX_DEPTH) return value;
  if (Array.isArray(value)) return value.map((entry) => camelCaseWithin(entry, depth + 1));
  return isRecord(value) ? toCamelCase(value, depth) : value;
}

function camelCase(name: string): string {
  return name.replace(
    /_+([a-z0-9])/gi,
    (match, letter: string, at: number) => at === 0 ? match : letter.toUpperCase(),
  );
}

type Fields = Record<string, unknown>;

/** Adds promised fields that are missing, and corrects their types: a user's `event.content.length` must not throw. */
function promise(fields: Fields, promised: Promised): Fields {
  for (const [written, type] of Object.entries(promised)) {
    const name = written.replace("?", "");
    const value = fields[name];
    const isFitting = typeof type === "object"
      ? isRecord(value)
      : type === "text"
      ? typeof value === "string"
      : typeof value === "number";
    if (name !== written && !isFitting) {
      delete fields[name];
    } else if (type === "text") fields[name] = textOf(value);
    else if (type === "amount") fields[name] = amountOf(value);
    else if (type === "share") fields[name] = Math.min(amountOf(value), 1);
    else fields[name] = promise(isRecord(value) ? value : {}, type.of);
  }
  return fields;
}

function amountOf(value: unknown): number {
  return typeof value === "number" && value >= 0 ? value : 0;
}

function textOf(value: unknown): string {
  if (typeof value === "string") return value;
  return value === undefined || value === null ? "" : jsonText(value);
}
