/**
 * Messages, their content parts, and the tools a model may call.
 *
 * @module
 */

import type { JsonSchema, StandardSchema } from "./schema.ts";

/** Message of a conversation, discriminated by `role`. */
export type Message =
  /** Instructions to the model; `developer` is the newer name, and LM Studio treats both alike. */
  | {
    role: "system" | "developer";
    /** The instructions. */
    content: string | readonly ContentPart[];
    /** Name of the speaker, if there are several. */
    name?: string | undefined;
  }
  | UserMessage
  | AssistantMessage
  | ToolMessage;

/** Message from the user. */
export interface UserMessage {
  /** Discriminates `Message`. */
  role: "user";
  /** Text, or text and images. */
  content: string | readonly ContentPart[];
  /** Name of the speaker, if there are several. */
  name?: string | undefined;
}

/** Message from the model: its answer, its tool calls, or both. */
export interface AssistantMessage {
  /** Discriminates `Message`. */
  role: "assistant";
  /** The text; sent as `""` if absent, since the server refuses messages without it. */
  content?: string | undefined;
  /** The model's reasoning; for you only, unless `sendReasoning` sends it back. */
  reasoning?: string | undefined;
  /** The model's tool calls; each needs a `ToolMessage`. */
  toolCalls?: readonly ToolCall[] | undefined;
}

/** Message with the result of a tool call. */
export interface ToolMessage {
  /** Discriminates `Message`. */
  role: "tool";
  /** Id of the `ToolCall` it answers. */
  toolCallId: string;
  /** The tool's result, as text. */
  content: string;
}

/** Text or image in a message. */
export type ContentPart = { type: "text"; text: string } | ImagePart;

/** Image in a message, PNG or JPEG. */
export interface ImagePart {
  /** Discriminates `ContentPart`. */
  type: "image";
  /**
   * The bytes, a `Blob`, a base64 `data:` URL, or an http(s) URL, which this program fetches without your headers, up
   * to 20 MiB and 30 s. The format is detected from the bytes.
   */
  image: string | URL | Uint8Array | Blob;
  /** Media type, such as `image/png`; checked against the bytes if given. */
  mediaType?: string | undefined;
}

/** Tool: a function the model may call. */
export interface Tool {
  /** Name the model calls it by. */
  name: string;
  /** Tells the model what the tool is for. */
  description?: string | undefined;
  /**
   * Schema of the arguments, which must be an object.
   * @default {no arguments}
   */
  parameters?: JsonSchema | StandardSchema | undefined;
  /**
   * Function that `runTools` and `streamTools` run when the model calls the tool; never sent. `args` is the schema's
   * output; with plain JSON Schema, the decoded arguments, unchecked. The model gets the result (text unchanged,
   * everything else as JSON) or the error thrown. If the result is an `ImagePart`, or a list of content parts with one,
   * the model sees the images in a user message after the results, which can only be text. `tool()` types `args` from
   * the schema.
   */
  // Derived from a method, so that parameters may be narrower: a tool knows the shape of its arguments.
  execute?:
    | { run(args: Record<string, unknown>, context: ToolContext): unknown }["run"]
    | undefined;
}

/** Context passed to a tool besides its arguments. */
export interface ToolContext {
  /** Id of the call. */
  readonly toolCallId: string;
  /** Aborted when the result is no longer needed. */
  readonly signal?: AbortSignal | undefined;
  /** The conversation up to and including the message with this call. */
  readonly messages: readonly Message[];
}

/** Tool call by the model. */
export interface ToolCall {
  /** Links the result to the call. */
  id: string;
  /** Name of the tool. */
  name: string;
  /** JSON text as the model wrote it; it may not parse. */
  arguments: string;
  /** `"text"` if the model wrote the call into its text and it was removed from there; see `textToolCalls`. */
  source?: "text";
}

/** Part of a tool call while it streams. */
export interface ToolCallDelta {
  /** Position of the call in the answer, the same for all parts of a call. */
  index: number;
  /** Id of the call; in one part only, usually the first. */
  id?: string;
  /** Name of the tool; in one part only, usually the first. */
  name?: string;
  /** New JSON text. */
  arguments?: string;
  /** As in `ToolCall`; such a call arrives in one part. */
  source?: "text";
}
