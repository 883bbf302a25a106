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
import { unsupported, unwritable } from "./call_error.ts";
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
  const writer = new MessageWriter(leaveOut);
  for (const message of prompt) {
    switch (message.role) {
      case "system":
        writer.add({ role: "system", content: message.content });
        break;
      case "user":
        writer.add({ role: "user", content: toContent(message.content) });
        break;
      case "assistant":
        writer.addAssistant(message.content);
        break;
      case "tool":
        for (const part of message.content) if (part.type === "tool-result") writer.addResult(part);
        break;
      default:
        throw unknownKind("messages", (message as { role?: unknown }).role);
    }
  }
  return writer.messages();
}

/** A kind that a later version of the SDK may have added. */
function unknownKind(things: string, kind: unknown): Error {
  const feature = `${things} of type ${String(kind)}`;
  return unsupported(
    feature,
    `Cannot send ${feature}: this version does not know them. Update this package, or send their content as text.`,
  );
}

/** A value as JSON; a BigInt, into which a tool's schema may turn a number, as its digits. */
export function toJson(value: unknown, name: string): string | undefined {
  try {
    return JSON.stringify(
      value,
      (_key, part: unknown) => typeof part === "bigint" ? String(part) : part,
    );
  } catch (cause) {
    throw unwritable(name, cause);
  }
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
  if (part.type !== "file") throw unknownKind("parts", (part as { type?: unknown }).type);
  const { data, mediaType } = part;
  const [kind = ""] = mediaType.toLowerCase().split("/");
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
      if (kind === "text") return { type: "text", text: decodeText(data.data, mediaType) };
      throw unsupportedFile(mediaType);
    default:
      throw unknownKind("files", (data as { type?: unknown }).type);
  }
}

function unsupportedFile(mediaType: string): Error {
  return unsupported(
    `files of type ${mediaType}`,
    `Cannot send a file of type ${mediaType}: ${AS_TEXT}`,
  );
}

function imageOf(data: Uint8Array | string): Uint8Array | string {
  return typeof data === "string" ? `data:image/*;base64,${plainBase64(data)}` : data;
}

function decodeText(data: Uint8Array | string, mediaType: string): string {
  if (typeof data !== "string") return new TextDecoder().decode(data);
  try {
    const bytes = Uint8Array.from(atob(plainBase64(data)), (char) => char.charCodeAt(0));
    return new TextDecoder().decode(bytes);
  } catch {
    throw unsupported(
      `files of type ${mediaType}`,
      `Cannot send a file of type ${mediaType}: its data is not base64. Pass its bytes, or its text as a text part.`,
    );
  }
}

/** The SDK also accepts base64 in the alphabet for URLs, `atob` does not. */
function plainBase64(text: string): string {
  return text.replaceAll("-", "+").replaceAll("_", "/");
}

/** Collects messages; tool results in a row are told together, because the images among them follow them. */
class MessageWriter {
  readonly #leaveOut: LeaveOut;
  readonly #messages: Message[] = [];
  #results: LanguageModelV4ToolResultPart[] = [];

  constructor(leaveOut: LeaveOut) {
    this.#leaveOut = leaveOut;
  }

  messages(): Message[] {
    this.#tellResults();
    return this.#messages;
  }

  add(message: Message): void {
    this.#tellResults();
    this.#messages.push(message);
  }

  addResult(result: LanguageModelV4ToolResultPart): void {
    this.#results.push(result);
  }

  /** Adds several messages if the parts contain results of tools that another provider ran. */
  addAssistant(parts: readonly AssistantPart[]): void {
    let text = "";
    let reasoning = "";
    let toolCalls: ToolCall[] = [];
    const flush = (): void => {
      const message: AssistantMessage = { role: "assistant", content: text };
      if (reasoning !== "") message.reasoning = reasoning;
      if (toolCalls.length > 0) message.toolCalls = toolCalls;
      this.add(message);
      [text, reasoning, toolCalls] = ["", "", []];
    };
    const hasContent = (): boolean => text !== "" || reasoning !== "" || toolCalls.length > 0;
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
            arguments: typeof part.input === "string"
              ? part.input
              : toJson(part.input, "the input of a tool call") ?? "{}",
          });
          break;
        case "tool-result":
          if (hasContent()) flush();
          this.addResult(part);
          break;
        case "tool-approval-response":
          break;
        default:
          this.#leaveOut(
            `${part.type} parts in assistant messages`,
            "Only the assistant's text is sent.",
          );
      }
    }
    if (hasContent() || !parts.some(({ type }) => type === "tool-result")) flush();
  }

  #tellResults(): void {
    const settled = this.#results.map(({ toolCallId, toolName, output }) => ({
      call: { id: toolCallId, name: toolName, arguments: "{}" },
      outcome: outcomeOf(output, this.#leaveOut),
    }));
    this.#results = [];
    this.#messages.push(...new ToldResults(settled).messages());
  }
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
        result: toJson(output.value, "a tool result") ?? "null",
        isError: output.type === "error-json",
      };
    case "execution-denied":
      return { result: output.reason ?? "The user did not allow this call.", isError: true };
    case "content":
      return outcomeOfParts(output.value, leaveOut);
    default:
      throw unknownKind("tool results", (output as { type?: unknown }).type);
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
      leaveOut("custom parts in tool results");
      continue;
    }
    const part = toPart(item);
    if (part.type === "image") images.push(part);
    texts.push(part.type === "image" ? SHOWN_BELOW : part.text);
  }
  const result = texts.join("\n");
  return { result, isError: false, ...(images.length === 0 ? {} : { images }) };
}
