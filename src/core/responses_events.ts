/**
 * Events of a streamed response, as sent by the server: the types that OpenAI documents and LM Studio supports. Events
 * of other types are passed through unchanged.
 *
 * @see https://platform.openai.com/docs/api-reference/responses-streaming
 * @module
 */

/** Output item of an answer, as sent by the server. New versions may add fields and types. */
export interface ResponsesOutputItem {
  /** Type, such as `message`, `reasoning`, `function_call`, `mcp_call` or `mcp_list_tools`. */
  readonly type: string;
  /** The server's id for the item. */
  readonly id: string;
  /** Other fields, depending on the type. */
  readonly [field: string]: unknown;
}

/**
 * Event of a streamed response, discriminated by `type`. Which events LM Studio sends, and in which order, depends on
 * version and model. Events of other types are passed through: keep a `default` branch, see `ResponsesUnknownEvent`. To
 * get the type of one event, use `Extract<ResponsesEvent, { type: "response.output_text.delta" }>`.
 */
export type ResponsesEvent =
  & {
    /** Sequence number of the event in the stream. */
    readonly sequence_number?: number;
  }
  & (
    /** The response begins, progresses or ends. After `response.failed`, the iteration throws the error it reports. */
    | {
      readonly type:
        | "response.created"
        | "response.queued"
        | "response.in_progress"
        | "response.completed"
        | "response.incomplete"
        | "response.failed";
      /** The response so far; complete in the event that ends it. */
      readonly response: {
        /** Id of the answer. */
        readonly id: string;
        /** Status: `queued`, `in_progress`, `completed`, `incomplete` or `failed`. */
        readonly status?: string;
        /** The model that answers. */
        readonly model?: string;
        /** Output items; empty until the end. */
        readonly output?: readonly ResponsesOutputItem[];
        /** Other fields. */
        readonly [field: string]: unknown;
      };
    }
    /** An output item begins or ends: a message, reasoning or a call. */
    | {
      readonly type: "response.output_item.added" | "response.output_item.done";
      /** Position in the output. */
      readonly output_index: number;
      /** The item so far. */
      readonly item: ResponsesOutputItem;
    }
    /** A part of an item begins or ends. */
    | {
      readonly type: "response.content_part.added" | "response.content_part.done";
      /** Id of the item. */
      readonly item_id: string;
      /** Position of the item in the output. */
      readonly output_index: number;
      /** Position of the part in the item. */
      readonly content_index: number;
      /** The part so far: `output_text`, `reasoning_text`, `refusal` or `summary_text`. */
      readonly part: { readonly type: string; readonly [field: string]: unknown };
    }
    /** New text of the answer, the reasoning or a refusal. */
    | {
      readonly type:
        | "response.output_text.delta"
        | "response.reasoning_text.delta"
        | "response.refusal.delta";
      /** Id of the item. */
      readonly item_id: string;
      /** Position of the item in the output. */
      readonly output_index: number;
      /** Position of the part in the item. */
      readonly content_index: number;
      /** The new text. */
      readonly delta: string;
    }
    /** A text is complete. Reasoning may arrive in this event only, without deltas before it. */
    | {
      readonly type: "response.output_text.done" | "response.reasoning_text.done";
      /** Id of the item. */
      readonly item_id: string;
      /** Position of the item in the output. */
      readonly output_index: number;
      /** Position of the part in the item. */
      readonly content_index: number;
      /** The whole text. */
      readonly text: string;
    }
    /** A refusal is complete. */
    | {
      readonly type: "response.refusal.done";
      /** Id of the item. */
      readonly item_id: string;
      /** Position of the item in the output. */
      readonly output_index: number;
      /** Position of the part in the item. */
      readonly content_index: number;
      /** The whole refusal. */
      readonly refusal: string;
    }
    /** A new annotation of the text, such as a source. */
    | {
      readonly type: "response.output_text.annotation.added";
      /** Id of the item. */
      readonly item_id: string;
      /** Position of the item in the output. */
      readonly output_index: number;
      /** Position of the part in the item. */
      readonly content_index: number;
      /** Position of the annotation. */
      readonly annotation_index: number;
      /** The annotation. */
      readonly annotation: unknown;
    }
    /** A part of a reasoning summary begins or ends. */
    | {
      readonly type:
        | "response.reasoning_summary_part.added"
        | "response.reasoning_summary_part.done";
      /** Id of the item. */
      readonly item_id: string;
      /** Position of the item in the output. */
      readonly output_index: number;
      /** Position of the part in the summary. */
      readonly summary_index: number;
      /** The part so far: `output_text`, `reasoning_text`, `refusal` or `summary_text`. */
      readonly part: { readonly type: string; readonly [field: string]: unknown };
    }
    /** New text of a reasoning summary. */
    | {
      readonly type: "response.reasoning_summary_text.delta";
      /** Id of the item. */
      readonly item_id: string;
      /** Position of the item in the output. */
      readonly output_index: number;
      /** Position of the part in the summary. */
      readonly summary_index: number;
      /** The new text. */
      readonly delta: string;
    }
    /** A part of a reasoning summary is complete. */
    | {
      readonly type: "response.reasoning_summary_text.done";
      /** Id of the item. */
      readonly item_id: string;
      /** Position of the item in the output. */
      readonly output_index: number;
      /** Position of the part in the summary. */
      readonly summary_index: number;
      /** The whole text. */
      readonly text: string;
    }
    /** New text of a call's arguments. */
    | {
      readonly type:
        | "response.function_call_arguments.delta"
        | "response.mcp_call_arguments.delta";
      /** Id of the item. */
      readonly item_id: string;
      /** Position of the item in the output. */
      readonly output_index: number;
      /** New JSON text. */
      readonly delta: string;
    }
    /** A call's arguments are complete. */
    | {
      readonly type:
        | "response.function_call_arguments.done"
        | "response.mcp_call_arguments.done";
      /** Id of the item. */
      readonly item_id: string;
      /** Position of the item in the output. */
      readonly output_index: number;
      /** The arguments as JSON text. */
      readonly arguments: string;
    }
    /** Progress of LM Studio's work with a remote MCP server. */
    | {
      readonly type:
        | "response.mcp_list_tools.in_progress"
        | "response.mcp_list_tools.completed"
        | "response.mcp_list_tools.failed"
        | "response.mcp_call.in_progress"
        | "response.mcp_call.completed"
        | "response.mcp_call.failed";
      /** Id of the item. */
      readonly item_id: string;
      /** Position of the item in the output. */
      readonly output_index: number;
    }
    /** The server failed. The iteration throws the error after this event. */
    | {
      readonly type: "error";
      /** Description for users, if not in `error`. */
      readonly message?: string;
      /** Error code, if not in `error`. */
      readonly code?: string | null;
      /** Field of the request that caused the failure. */
      readonly param?: string | null;
      /** Object with the details, if they are not in the event itself. */
      readonly error?: unknown;
    }
  );

/**
 * Event of a type that is not listed here, passed through unchanged. It is not part of the union `ResponsesEvent`,
 * since a `switch` could then not narrow it; in its `default` branch, assign the event to this type.
 */
export interface ResponsesUnknownEvent {
  /** Sequence number of the event in the stream. */
  readonly sequence_number?: number;
  /** Type as sent by the server. The event also has the other fields the server sent. */
  readonly type: string;
}
