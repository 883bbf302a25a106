/**
 * Messages, the parts they are made of, and the tools a model may call.
 *
 * @module
 */

import type { JsonSchema, StandardSchema } from "./schema.ts";

/** One message of a conversation, discriminated by `role`. */
export type Message =
  /** Instructions to the model; `developer` is their newer name, and LM Studio treats both alike. */
  | {
    role: "system" | "developer";
    /** What the model is told. */
    content: string | readonly ContentPart[];
    /** Who speaks, where several do. */
    name?: string | undefined;
  }
  | UserMessage
  | AssistantMessage
  | ToolMessage;

/** What the user says or shows. */
export interface UserMessage {
  /** Discriminates `Message`. */
  role: "user";
  /** Text, or text and images. */
  content: string | readonly ContentPart[];
  /** Who speaks, where several do. */
  name?: string | undefined;
}

/** What the model said, or which tools it wants called. */
export interface AssistantMessage {
  /** Discriminates `Message`. */
  role: "assistant";
  /** The text; sent as `""` when absent, since the server refuses messages without it. */
  content?: string | undefined;
  /** What the model thought: kept for you, and sent back only with `sendReasoning`. */
  reasoning?: string | undefined;
  /** The calls it asked for; each needs a `ToolMessage`. */
  toolCalls?: readonly ToolCall[] | undefined;
}

/** The answer of a tool. */
export interface ToolMessage {
  /** Discriminates `Message`. */
  role: "tool";
  /** Id of the `ToolCall` it answers. */
  toolCallId: string;
  /** What the tool gave, as text. */
  content: string;
}

/** Text or an image inside a message. */
export type ContentPart = { type: "text"; text: string } | ImagePart;

/** An image inside a message, PNG or JPEG. */
export interface ImagePart {
  /** Discriminates `ContentPart`. */
  type: "image";
  /**
   * The bytes, a `Blob`, a `data:` URL in base64, or an http(s) address, which is fetched from where the program runs:
   * without headers of yours, 20 MiB and 30 s at most. The format is read from the bytes.
   */
  image: string | URL | Uint8Array | Blob;
  /** Such as `image/png`; compared with the bytes when given. */
  mediaType?: string | undefined;
}

/** A function the model may ask for. */
export interface Tool {
  /** Name the model calls it by. */
  name: string;
  /** Tells the model what it is for. */
  description?: string | undefined;
  /**
   * Shape of the arguments: an object.
   * @default {no arguments}
   */
  parameters?: JsonSchema | StandardSchema | undefined;
  /**
   * What `runTools` and `streamTools` run when the model calls it; sent nowhere. `args` is what the schema gives;
   * for plain JSON Schema the decoded arguments, unchecked. The model is told the result, text as it is and all
   * else as JSON, and what is thrown. An `ImagePart`, or a list of content parts with one, is shown to it: in a user
   * message behind the results, since those are text alone. `tool()` types `args` by the schema.
   */
  // Taken from a method, whose parameters may be narrower than these: a tool knows the shape of its arguments.
  execute?:
    | { run(args: Record<string, unknown>, context: ToolContext): unknown }["run"]
    | undefined;
}

/** What a tool is told beside its arguments. */
export interface ToolContext {
  /** Id of the call. */
  readonly toolCallId: string;
  /** Aborted when nobody waits for the result any more. */
  readonly signal?: AbortSignal | undefined;
  /** The conversation, up to and with the message that has this call. */
  readonly messages: readonly Message[];
}

/** A call the model asked for. */
export interface ToolCall {
  /** Ties the tool's answer to the call. */
  id: string;
  /** Which tool. */
  name: string;
  /** JSON text, as the model wrote it: it may not parse. */
  arguments: string;
  /** `"text"` where the model wrote the call into its text, and it was taken out there; see `textToolCalls`. */
  source?: "text";
}

/** A piece of a call while it streams. */
export interface ToolCallDelta {
  /** Position of the call in the answer; the pieces of one call share it. */
  index: number;
  /** Only in one piece, as a rule the first. */
  id?: string;
  /** Only in one piece, as a rule the first. */
  name?: string;
  /** More of the JSON text. */
  arguments?: string;
  /** As of `ToolCall`; such a call comes in one piece. */
  source?: "text";
}
