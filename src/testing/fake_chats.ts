/** The requests to generate, in one form for all routes. */

import type { FakeChat, FakeChatMessage, RecordedRequest } from "./fake_options.ts";
import { isObject, type JsonObject } from "./fake_wire.ts";

const ROUTES: Readonly<Record<string, FakeChat["route"]>> = {
  "/v1/chat/completions": "completions",
  "/api/v0/chat/completions": "completions",
  "/v1/completions": "text",
  "/api/v0/completions": "text",
  "/v1/responses": "responses",
  "/api/v1/chat": "chat",
  "/v1/messages": "messages",
};

/** The `FakeChat` of a request; empty if the request does not generate. */
export function readChat(request: RecordedRequest): FakeChat[] {
  const route = ROUTES[request.path.replace(/\?.*/, "")];
  const { body } = request;
  if (request.method !== "POST" || route === undefined || !isObject(body)) return [];
  const all = messagesOf(body);
  const messages = all.filter(({ role }) => role !== "system" && role !== "developer");
  const told = [
    ...[body.system, body.system_prompt, body.instructions].map(textOf),
    ...all.filter((message) => !messages.includes(message)).map(({ content }) => content),
  ].filter((text) => text !== "");
  return [{
    route,
    model: typeof body.model === "string" ? body.model : undefined,
    system: told.length === 0 ? undefined : told.join("\n\n"),
    messages,
    prompt: messages.findLast(({ role }) => role === "user")?.content ?? "",
    images: countImages(body),
    tools: toolNames(body.tools),
    stream: body.stream === true,
    attempt: request.attempt,
    body,
    request,
  }];
}

/** Describes a request for a message: its prompt and its model. */
export function describeChat(body: JsonObject): string {
  const prompt = messagesOf(body).findLast(({ role }) => role === "user")?.content ?? "";
  const model = typeof body.model === "string" ? ` of ${body.model}` : "";
  const start = prompt.length > 80 ? `${prompt.slice(0, 80)}…` : prompt;
  return `${JSON.stringify(start)}${model}`;
}

function messagesOf(body: JsonObject): FakeChatMessage[] {
  if (typeof body.prompt === "string") return [{ role: "user", content: body.prompt }];
  const list = body.messages ?? body.input;
  if (typeof list === "string") return [{ role: "user", content: list }];
  if (!Array.isArray(list)) return [];
  // In the native chat the input is a list of parts of one message.
  if (
    list.length > 0 &&
    list.every((entry) => isObject(entry) && entry.role === undefined && isPart(entry))
  ) {
    return [{ role: "user", content: textOf(list) }];
  }
  return list.filter(isObject).map((entry) => ({
    role: typeof entry.role === "string" ? entry.role : String(entry.type ?? ""),
    content: textOf(entry.content ?? entry.output),
  }));
}

function isPart({ type }: JsonObject): boolean {
  return type === "text" || type === "message" || type === "image";
}

function textOf(content: unknown): string {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return "";
  return content.filter(isObject).map(({ text, content }) => text ?? content)
    .filter((text) => typeof text === "string").join("\n");
}

function countImages(value: unknown): number {
  if (Array.isArray(value)) {
    return value.reduce<number>((sum, entry) => sum + countImages(entry), 0);
  }
  if (!isObject(value)) return 0;
  if (typeof value.type === "string" && /image/.test(value.type)) return 1;
  return Object.values(value).reduce<number>((sum, entry) => sum + countImages(entry), 0);
}

function toolNames(tools: unknown): string[] {
  if (!Array.isArray(tools)) return [];
  return tools.filter(isObject).flatMap((tool) => {
    const name = isObject(tool.function) ? tool.function.name : tool.name;
    return typeof name === "string" ? [name] : [];
  });
}
