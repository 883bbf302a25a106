/**
 * The events of a streamed response, as they are on the wire: the types that OpenAI documents for what LM
 * Studio can do. Others come through as they are.
 *
 * @see https://platform.openai.com/docs/api-reference/responses-streaming
 * @module
 */

/** An item of an answer, as on the wire: more fields and more types come with new versions. */
export interface ResponsesOutputItem {
  /** `message`, `reasoning`, `function_call`, `mcp_call`, `mcp_list_tools` or another. */
  readonly type: string;
  /** The server's id of the item. */
  readonly id: string;
  /** Everything else, by the type. */
  readonly [field: string]: unknown;
}

/**
 * One event, discriminated by `type`. Which of them LM Studio sends, and in which order, differs with version and
 * model. Events of other types come through as well: keep a `default` branch, see `ResponsesUnknownEvent`. The type of
 * one of them is `Extract<ResponsesEvent, { type: "response.output_text.delta" }>`.
 */
export type ResponsesEvent =
  & {
    /** Counts the events of a stream. */
    readonly sequence_number?: number;
  }
  & (
    /** The response begins, gets on or ends. After `response.failed` the iteration throws what it says. */
    | {
      readonly type:
        | "response.created"
        | "response.queued"
        | "response.in_progress"
        | "response.completed"
        | "response.incomplete"
        | "response.failed";
      /** The response as far as it is: whole in the event that ends it. */
      readonly response: {
        /** Of the answer. */
        readonly id: string;
        /** `queued`, `in_progress`, `completed`, `incomplete` or `failed`. */
        readonly status?: string;
        /** The model that answers. */
        readonly model?: string;
        /** Empty until the end. */
        readonly output?: readonly ResponsesOutputItem[];
        /** Everything else. */
        readonly [field: string]: unknown;
      };
    }
    /** An item of the output begins or ends: a message, reasoning, a call. */
    | {
      readonly type: "response.output_item.added" | "response.output_item.done";
      /** Position in the output. */
      readonly output_index: number;
      /** As far as it is. */
      readonly item: ResponsesOutputItem;
    }
    /** A part of an item begins or ends. */
    | {
      readonly type: "response.content_part.added" | "response.content_part.done";
      /** Of the item. */
      readonly item_id: string;
      /** Position of the item in the output. */
      readonly output_index: number;
      /** Position of the part in the item. */
      readonly content_index: number;
      /** As far as it is: `output_text`, `reasoning_text`, `refusal` or `summary_text`. */
      readonly part: { readonly type: string; readonly [field: string]: unknown };
    }
    /** More text, of the answer, of the reasoning or of a refusal. */
    | {
      readonly type:
        | "response.output_text.delta"
        | "response.reasoning_text.delta"
        | "response.refusal.delta";
      /** Of the item. */
      readonly item_id: string;
      /** Position of the item in the output. */
      readonly output_index: number;
      /** Position of the part in the item. */
      readonly content_index: number;
      /** The text. */
      readonly delta: string;
    }
    /** A text is whole. Reasoning may come in this event alone, without pieces before. */
    | {
      readonly type: "response.output_text.done" | "response.reasoning_text.done";
      /** Of the item. */
      readonly item_id: string;
      /** Position of the item in the output. */
      readonly output_index: number;
      /** Position of the part in the item. */
      readonly content_index: number;
      /** The whole text. */
      readonly text: string;
    }
    /** A refusal is whole. */
    | {
      readonly type: "response.refusal.done";
      /** Of the item. */
      readonly item_id: string;
      /** Position of the item in the output. */
      readonly output_index: number;
      /** Position of the part in the item. */
      readonly content_index: number;
      /** The whole refusal. */
      readonly refusal: string;
    }
    /** A remark on the text, such as a source. */
    | {
      readonly type: "response.output_text.annotation.added";
      /** Of the item. */
      readonly item_id: string;
      /** Position of the item in the output. */
      readonly output_index: number;
      /** Position of the part in the item. */
      readonly content_index: number;
      /** Position of the remark. */
      readonly annotation_index: number;
      /** The remark. */
      readonly annotation: unknown;
    }
    /** A part of a summary of the reasoning begins or ends. */
    | {
      readonly type:
        | "response.reasoning_summary_part.added"
        | "response.reasoning_summary_part.done";
      /** Of the item. */
      readonly item_id: string;
      /** Position of the item in the output. */
      readonly output_index: number;
      /** Position of the part in the summary. */
      readonly summary_index: number;
      /** As far as it is: `output_text`, `reasoning_text`, `refusal` or `summary_text`. */
      readonly part: { readonly type: string; readonly [field: string]: unknown };
    }
    /** More of a summary of the reasoning. */
    | {
      readonly type: "response.reasoning_summary_text.delta";
      /** Of the item. */
      readonly item_id: string;
      /** Position of the item in the output. */
      readonly output_index: number;
      /** Position of the part in the summary. */
      readonly summary_index: number;
      /** The text. */
      readonly delta: string;
    }
    /** A part of a summary of the reasoning is whole. */
    | {
      readonly type: "response.reasoning_summary_text.done";
      /** Of the item. */
      readonly item_id: string;
      /** Position of the item in the output. */
      readonly output_index: number;
      /** Position of the part in the summary. */
      readonly summary_index: number;
      /** The whole text. */
      readonly text: string;
    }
    /** More of a call's arguments. */
    | {
      readonly type:
        | "response.function_call_arguments.delta"
        | "response.mcp_call_arguments.delta";
      /** Of the item. */
      readonly item_id: string;
      /** Position of the item in the output. */
      readonly output_index: number;
      /** A piece of JSON text. */
      readonly delta: string;
    }
    /** A call's arguments are whole. */
    | {
      readonly type:
        | "response.function_call_arguments.done"
        | "response.mcp_call_arguments.done";
      /** Of the item. */
      readonly item_id: string;
      /** Position of the item in the output. */
      readonly output_index: number;
      /** JSON text. */
      readonly arguments: string;
    }
    /** What LM Studio does with a remote MCP server. */
    | {
      readonly type:
        | "response.mcp_list_tools.in_progress"
        | "response.mcp_list_tools.completed"
        | "response.mcp_list_tools.failed"
        | "response.mcp_call.in_progress"
        | "response.mcp_call.completed"
        | "response.mcp_call.failed";
      /** Of the item. */
      readonly item_id: string;
      /** Position of the item in the output. */
      readonly output_index: number;
    }
    /** The server failed. The iteration throws what it says after this event. */
    | {
      readonly type: "error";
      /** What is wrong, for people, where it stands here. */
      readonly message?: string;
      /** What is wrong, for programs, where it stands here. */
      readonly code?: string | null;
      /** Which field of the request is meant. */
      readonly param?: string | null;
      /** All of that, where it stands in an object of its own. */
      readonly error?: unknown;
    }
  );

/**
 * An event of a type that is not listed here, which comes through untouched. The union `ResponsesEvent` leaves it
 * out, or no `switch` could tell the known ones apart; in its `default` branch assign to this type.
 */
export interface ResponsesUnknownEvent {
  /** Counts the events of a stream. */
  readonly sequence_number?: number;
  /** As the server sends it. Whatever else the event has is there as well. */
  readonly type: string;
}
