/**
 * Turns a prompt of the AI SDK into messages of a completion request.
 *
 * @module
 */

import type {
  AssistantMessage,
  ContentPart,
  ImagePart,
  Message,
  ToolCall,
} from "../core/messages.ts";
import { type CallOutcome, SHOWN_BELOW, ToldResults } from "../members/tool_result.ts";
import { unsupported } from "./call_error.ts";
import type {
  LanguageModelV4FilePart,
  LanguageModelV4Message,
  LanguageModelV4TextPart,
  LanguageModelV4ToolResultOutput,
  LanguageModelV4ToolResultPart,
} from "./specification.ts";

/** Warns that a feature is left out, once per feature. */
export type LeaveOut = (feature: string, details?: string) => void;

type UserPart = LanguageModelV4TextPart | LanguageModelV4FilePart;
type AssistantPart = Extract<LanguageModelV4Message, { role: "assistant" }>["content"][number];

const AS_TEXT =
  "LM Studio accepts text and images (PNG and JPEG). Send the file's content as text.";

/** @throws the SDK's `UnsupportedFunctionalityError` for a file that is neither text nor an image. */
export function toMessages(
  prompt: readonly LanguageModelV4Message[],
  leaveOut: LeaveOut,
): Message[] {
  return prompt.flatMap((message): Message[] => {
    switch (message.role) {
      case "system":
        return [{ role: "system", content: message.content }];
      case "user":
        return [{ role: "user", content: toContent(message.content) }];
      case "assistant":
        return assistantMessages(message.content, leaveOut);
      case "tool": {
        const results = message.content.filter((part) => part.type === "tool-result");
        return toolMessages(results, leaveOut);
      }
    }
  });
}

/** A message's content; a plain string if it is a single text. */
function toContent(parts: readonly UserPart[]): string | ContentPart[] {
  const [first, ...more] = parts.map(toPart);
  if (first === undefined) return "";
  return first.type === "text" && more.length === 0 ? first.text : [first, ...more];
}

/** @throws the same errors as `toMessages`. */
export function toPart(part: UserPart): ContentPart {
  if (part.type === "text") return { type: "text", text: part.text };
  const { data, mediaType } = part;
  const [kind = ""] = mediaType.split("/");
  switch (data.type) {
    case "text":
      return { type: "text", text: data.text };
    case "reference":
      throw unsupported(
        "file references",
        "Cannot send a file by reference: LM Studio keeps no files. Send its bytes or its text.",
      );
    case "url":
      if (kind === "image") return { type: "image", image: data.url };
      throw unsupportedFile(mediaType);
    case "data":
      // The image's format is read from its bytes: the media type may be `image/*`.
      if (kind === "image") return { type: "image", image: imageOf(data.data) };
      if (kind === "text") return { type: "text", text: decodeText(data.data) };
      throw unsupportedFile(mediaType);
  }
}

function unsupportedFile(mediaType: string): Error {
  return unsupported(
    `files of type ${mediaType}`,
    `Cannot send a file of type ${mediaType}: ${AS_TEXT}`,
  );
}

function imageOf(data: Uint8Array | string): Uint8Array | string {
  return typeof data === "string" ? `data:image/*;base64,${data}` : data;
}

function decodeText(data: Uint8Array | string): string {
  const bytes = typeof data === "string"
    ? Uint8Array.from(atob(data), (char) => char.charCodeAt(0))
    : data;
  return new TextDecoder().decode(bytes);
}

/** Returns several messages if the message contains results of tools that another provider ran. */
function assistantMessages(parts: readonly AssistantPart[], leaveOut: LeaveOut): Message[] {
  const messages: Message[] = [];
  let text = "";
  let reasoning = "";
  let toolCalls: ToolCall[] = [];
  const flush = (): void => {
    const message: AssistantMessage = { role: "assistant", content: text };
    if (reasoning !== "") message.reasoning = reasoning;
    if (toolCalls.length > 0) message.toolCalls = toolCalls;
    messages.push(message);
    [text, reasoning, toolCalls] = ["", "", []];
  };
  for (const part of parts) {
    switch (part.type) {
      case "text":
        text += part.text;
        break;
      case "reasoning":
        reasoning += part.text;
        break;
      case "tool-call":
        toolCalls.push({
          id: part.toolCallId,
          name: part.toolName,
          // Arguments that were not JSON come back as the text the model wrote.
          arguments: typeof part.input === "string" ? part.input : JSON.stringify(part.input ?? {}),
        });
        break;
      case "tool-result":
        if (text !== "" || reasoning !== "" || toolCalls.length > 0) flush();
        messages.push(...toolMessages([part], leaveOut));
        break;
      case "tool-approval-response":
        break;
      default:
        leaveOut(`${part.type} parts of assistants`, "Only the assistant's text is sent.");
    }
  }
  if (messages.length === 0 || text !== "" || reasoning !== "" || toolCalls.length > 0) flush();
  return messages;
}

function toolMessages(
  results: readonly LanguageModelV4ToolResultPart[],
  leaveOut: LeaveOut,
): Message[] {
  const settled = results.map(({ toolCallId, toolName, output }) => ({
    call: { id: toolCallId, name: toolName, arguments: "{}" },
    outcome: outcomeOf(output, leaveOut),
  }));
  return new ToldResults(settled).messages();
}

function outcomeOf(output: LanguageModelV4ToolResultOutput, leaveOut: LeaveOut): CallOutcome {
  switch (output.type) {
    case "text":
    case "error-text":
      return { result: output.value, isError: output.type === "error-text" };
    case "json":
    case "error-json":
      return {
        // Not every caller turns undefined into null.
        result: JSON.stringify(output.value) ?? "null",
        isError: output.type === "error-json",
      };
    case "execution-denied":
      return { result: output.reason ?? "The user did not allow this call.", isError: true };
    case "content":
      return outcomeOfParts(output.value, leaveOut);
  }
}

function outcomeOfParts(
  parts: Extract<LanguageModelV4ToolResultOutput, { type: "content" }>["value"],
  leaveOut: LeaveOut,
): CallOutcome {
  const texts: string[] = [];
  const images: ImagePart[] = [];
  for (const item of parts) {
    if (item.type === "custom") {
      leaveOut("custom parts of tool results");
      continue;
    }
    const part = toPart(item);
    if (part.type === "image") images.push(part);
    texts.push(part.type === "image" ? SHOWN_BELOW : part.text);
  }
  const result = texts.join("\n");
  return { result, isError: false, ...(images.length === 0 ? {} : { images }) };
}
