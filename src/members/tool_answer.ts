/**
 * What a tool loop makes of an answer: calls that can be run and answered, and a message that can be sent back.
 *
 * @module
 */

import { isObjectText } from "../api/completion_request.ts";
import type { AssistantMessage, Message, ToolCall } from "../core/messages.ts";
import type { CompletionRequest, CompletionResponse } from "../core/types.ts";

/** Some chat templates take only ids of nine letters or digits, which LM Studio's own are. */
const FIRST_OWN_ID = 100_000_000;
/** A history is refused with a call that has no name. */
const NO_NAME = "unnamed";

/** The ids of a conversation: an answer must be tied to one call, and servers may count from 0 in each answer. */
export class CallIds {
  readonly #used = new Set<string>();
  #next = FIRST_OWN_ID;

  constructor(messages: readonly Message[]) {
    for (const message of messages) {
      if (message.role === "assistant") message.toolCalls?.forEach(({ id }) => this.#used.add(id));
    }
  }

  /** This id, or another one where it is missing or taken. */
  take(id: string): string {
    let own = id;
    while (own.trim() === "" || this.#used.has(own)) own = String(this.#next++);
    this.#used.add(own);
    return own;
  }
}

/** The answer with ids of its own, and with a message that the server takes back. */
export function repairAnswer(response: CompletionResponse, ids: CallIds): CompletionResponse {
  if (response.toolCalls.length === 0) return response;
  const toolCalls = response.toolCalls.map((call): ToolCall => ({
    ...call,
    id: ids.take(call.id),
    name: call.name.trim() === "" ? NO_NAME : call.name,
    arguments: call.arguments.trim() === "" ? "{}" : call.arguments,
  }));
  const message: AssistantMessage = {
    ...response.message,
    // Engines and templates refuse a history with arguments that are no object.
    toolCalls: toolCalls.map((call) =>
      isObjectText(call.arguments) ? { ...call } : { ...call, arguments: "{}" }
    ),
  };
  return { ...response, message, toolCalls };
}

/** The conversation as messages: text is a user's, neighbouring texts are one, as on the wire. */
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
