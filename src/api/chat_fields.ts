/**
 * Decodes the events and output of the native chat: camelCase names at every depth, and every field that a kind of
 * event or item promises. Written by hand, without zod, because it runs per token.
 *
 * @module
 */

import { jsonText } from "../core/plain_text.ts";
import type { ChatEvent, ChatOutputItem } from "../core/chat.ts";
import { isRecord } from "../core/fields.ts";

/** Names below these fields belong to someone else: a tool's parameters, HTTP headers. */
const FOREIGN: ReadonlySet<string> = new Set(["arguments", "headers"]);
/** No real answer is nested deeper; a hostile one must not exhaust the stack. */
const MAX_DEPTH = 64;

/**
 * The fields that a kind promises, by type: an amount is 0 or more, a share lies between 0 and 1. A field whose name
 * ends in `?` is optional, and is dropped if it has another type.
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

/** Decodes any event except `error` and `chat.end`. */
export function decodeChatEvent(type: string, wire: Record<string, unknown>): ChatEvent {
  const event = promise(toCamelCase(wire, 0), EVENTS.get(type) ?? NOTHING);
  event.type = type;
  return event as unknown as ChatEvent;
}

/** Decodes an item of the output. */
export function decodeChatItem(wire: Readonly<Record<string, unknown>>): ChatOutputItem {
  const item = promise(toCamelCase(wire, 0), ITEMS.get(String(wire.type)) ?? NOTHING);
  return item as unknown as ChatOutputItem;
}

function toCamelCase(wire: Readonly<Record<string, unknown>>, depth: number): Fields {
  // Not by assignment: in JSON, `__proto__` is a name like any other.
  return Object.fromEntries(
    Object.entries(wire).map(([name, value]) => [
      name.includes("_") ? camelCase(name) : name,
      FOREIGN.has(name) ? value : camelCaseWithin(value, depth + 1),
    ]),
  );
}

function camelCaseWithin(value: unknown, depth: number): unknown {
  // JSON's `1e999` parses as `Infinity`, which is no useful number.
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

/** Adds missing promised fields and corrects wrong types, so that a user's `event.content.length` cannot throw. */
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
