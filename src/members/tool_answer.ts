/**
 * Repair of answers in a tool loop, so that their calls can be run and their messages sent back.
 *
 * @module
 */

import { isObjectText } from "../api/completion_request.ts";
import type { AssistantMessage, Message, ToolCall } from "../core/messages.ts";
import type { CompletionRequest, CompletionResponse } from "../core/types.ts";

/** Some chat templates accept only ids of nine letters or digits, the form of LM Studio's own. */
const FIRST_OWN_ID = 100_000_000;
/** Name for calls without one: servers reject a history that contains such a call. */
const NO_NAME = "unnamed";

/** Tool call ids in a conversation. They must be unique, but some servers count from 0 in each answer. */
export class CallIds {
  readonly #used = new Set<string>();
  #next = FIRST_OWN_ID;

  constructor(messages: readonly Message[]) {
    for (const message of messages) {
      if (message.role === "assistant") message.toolCalls?.forEach(({ id }) => this.#used.add(id));
    }
  }

  /** Returns this id, or a new one if it is empty or taken. */
  take(id: string): string {
    let own = id;
    while (own.trim() === "" || this.#used.has(own)) own = String(this.#next++);
    this.#used.add(own);
    return own;
  }
}

/** Returns the call with this id, and with a name and arguments that can be sent back. */
export function repairCall(call: ToolCall, id: string): ToolCall {
  return {
    ...call,
    id,
    name: call.name.trim() === "" ? NO_NAME : call.name,
    arguments: call.arguments.trim() === "" ? "{}" : call.arguments,
  };
}

/** Returns the answer with unique call ids and with a message that the server accepts in the history. */
export function repairAnswer(response: CompletionResponse, ids: CallIds): CompletionResponse {
  if (response.toolCalls.length === 0) return response;
  const toolCalls = response.toolCalls.map((call) => repairCall(call, ids.take(call.id)));
  const message: AssistantMessage = {
    ...response.message,
    // Engines and templates reject a history in which arguments are not an object.
    toolCalls: toolCalls.map((call) =>
      isObjectText(call.arguments) ? { ...call } : { ...call, arguments: "{}" }
    ),
  };
  return { ...response, message, toolCalls };
}

/** Converts a conversation to messages: strings become user messages, and neighbouring strings one message. */
export function toMessages(messages: CompletionRequest["messages"]): Message[] {
  const result: Message[] = [];
  let isText = false;
  for (const message of typeof messages === "string" ? [messages] : messages) {
    const last = result.at(-1);
    if (typeof message !== "string") result.push(message);
    else if (isText && last !== undefined) {
      result[result.length - 1] = { role: "user", content: `${last.content}\n\n${message}` };
    } else result.push({ role: "user", content: message });
    isText = typeof message === "string";
  }
  return result;
}
