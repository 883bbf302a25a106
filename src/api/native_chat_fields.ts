/**
 * Names and values of the native chat, from the wire's to ours: camelCase at every depth, and every field that a
 * kind of event or output promises. By hand: this runs per token.
 *
 * @module
 */

import { jsonText } from "../core/json_text.ts";
import type { ChatEvent, ChatOutputItem } from "../core/native_chat.ts";
import { isRecord } from "../core/request_checks.ts";

/** Below these the names are somebody else's: of a tool's parameters, of headers. */
const FOREIGN: ReadonlySet<string> = new Set(["arguments", "headers"]);
/** No answer is nested like this; what is must not exhaust the stack. */
const MAX_DEPTH = 64;

/** A field that a kind promises, by what stands for it where the server leaves it out. */
type Promised = Readonly<Record<string, "" | 0 | { readonly of: Promised }>>;

const INSTANCE: Promised = { modelInstanceId: "" };
const CONTENT: Promised = { content: "" };
const CALL: Promised = { tool: "", arguments: { of: {} } };
const FAILURE: Promised = { reason: "", metadata: { of: { type: "", toolName: "" } } };
const NOTHING: Promised = {};

const EVENTS: ReadonlyMap<string, Promised> = new Map<ChatEvent["type"], Promised>([
  ["chat.start", INSTANCE],
  ["model_load.start", INSTANCE],
  ["model_load.progress", { ...INSTANCE, progress: 0 }],
  ["model_load.end", { ...INSTANCE, loadTimeSeconds: 0 }],
  ["prompt_processing.progress", { progress: 0 }],
  ["reasoning.delta", CONTENT],
  ["tool_call.start", { tool: "" }],
  ["tool_call.arguments", CALL],
  ["tool_call.success", { ...CALL, output: "" }],
  ["tool_call.failure", FAILURE],
  ["message.delta", CONTENT],
]);
const ITEMS: ReadonlyMap<string, Promised> = new Map<ChatOutputItem["type"], Promised>([
  ["message", CONTENT],
  ["reasoning", CONTENT],
  ["tool_call", { ...CALL, output: "" }],
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
      typeof value !== "object" || FOREIGN.has(name) ? value : camelCaseWithin(value, depth + 1),
    ]),
  );
}

function camelCaseWithin(value: unknown, depth: number): unknown {
  if (depth > MAX_DEPTH) return value;
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

/** What is promised is there, and of its type: a user's `event.content.length` must not throw. */
function promise(fields: Fields, promised: Promised): Fields {
  for (const [name, empty] of Object.entries(promised)) {
    const value = fields[name];
    if (empty === "") fields[name] = textOf(value);
    else if (empty === 0) fields[name] = typeof value === "number" ? value : 0;
    else fields[name] = promise(isRecord(value) ? value : {}, empty.of);
  }
  // Optional, so absent rather than null.
  if ("providerInfo" in fields && !isRecord(fields.providerInfo)) delete fields.providerInfo;
  return fields;
}

function textOf(value: unknown): string {
  if (typeof value === "string") return value;
  return value === undefined || value === null ? "" : jsonText(value);
}
