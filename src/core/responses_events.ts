/**
 * The events of a streamed response, as they are on the wire: the types that OpenAI documents for what LM
 * Studio can do. Others come through as they are.
 *
 * @see https://platform.openai.com/docs/api-reference/responses-streaming
 * @module
 */

/**
 * One event, discriminated by `type`. Which of them LM Studio sends, and in which order, differs with version and
 * model. Events of other types come through as well: keep a `default` branch, see `ResponsesUnknownEvent`.
 */
export type ResponsesEvent =
  | ResponsesStartEvent
  | ResponsesEndEvent
  | ResponsesItemEvent
  | ResponsesPartEvent
  | ResponsesDeltaEvent
  | ResponsesTextEvent
  | ResponsesRefusalEvent
  | ResponsesAnnotationEvent
  | ResponsesSummaryPartEvent
  | ResponsesSummaryDeltaEvent
  | ResponsesSummaryTextEvent
  | ResponsesArgumentsDeltaEvent
  | ResponsesArgumentsEvent
  | ResponsesMcpEvent
  | ResponsesErrorEvent;

/** What every event has. */
export interface ResponsesEventBase {
  /** Counts the events of a stream. */
  readonly sequence_number?: number;
}

/** The response as far as it is, in the events that begin and end it. */
export interface ResponsesSnapshot {
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
}

/** An item of an answer, as on the wire: more fields and more types come with new versions. */
export interface ResponsesOutputItem {
  /** `message`, `reasoning`, `function_call`, `mcp_call`, `mcp_list_tools` or another. */
  readonly type: string;
  /** The server's id of the item. */
  readonly id: string;
  /** Everything else, by the type. */
  readonly [field: string]: unknown;
}

/** The server has begun. */
export interface ResponsesStartEvent extends ResponsesEventBase {
  /** Discriminates `ResponsesEvent`. */
  readonly type: "response.created" | "response.queued" | "response.in_progress";
  /** Without output yet. */
  readonly response: ResponsesSnapshot;
}

/** The last event. After `response.failed` the iteration throws what it says. */
export interface ResponsesEndEvent extends ResponsesEventBase {
  /** Discriminates `ResponsesEvent`. */
  readonly type: "response.completed" | "response.incomplete" | "response.failed";
  /** The whole response. */
  readonly response: ResponsesSnapshot;
}

/** An item of the output begins or ends: a message, reasoning, a call. */
export interface ResponsesItemEvent extends ResponsesEventBase {
  /** Discriminates `ResponsesEvent`. */
  readonly type: "response.output_item.added" | "response.output_item.done";
  /** Position in the output. */
  readonly output_index: number;
  /** As far as it is. */
  readonly item: ResponsesOutputItem;
}

/** A part of an item begins or ends. */
export interface ResponsesPartEvent extends ResponsesEventBase {
  /** Discriminates `ResponsesEvent`. */
  readonly type: "response.content_part.added" | "response.content_part.done";
  /** Of the item. */
  readonly item_id: string;
  /** Position of the item in the output. */
  readonly output_index: number;
  /** Position of the part in the item. */
  readonly content_index: number;
  /** As far as it is. */
  readonly part: ResponsesPart;
}

/** A part of an item. */
export interface ResponsesPart {
  /** `output_text`, `reasoning_text`, `refusal` or `summary_text`. */
  readonly type: string;
  /** Everything else, by the type. */
  readonly [field: string]: unknown;
}

/** More text, of the answer, of the reasoning or of a refusal. */
export interface ResponsesDeltaEvent extends ResponsesEventBase {
  /** Discriminates `ResponsesEvent`. */
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
export interface ResponsesTextEvent extends ResponsesEventBase {
  /** Discriminates `ResponsesEvent`. */
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
export interface ResponsesRefusalEvent extends ResponsesEventBase {
  /** Discriminates `ResponsesEvent`. */
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
export interface ResponsesAnnotationEvent extends ResponsesEventBase {
  /** Discriminates `ResponsesEvent`. */
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
export interface ResponsesSummaryPartEvent extends ResponsesEventBase {
  /** Discriminates `ResponsesEvent`. */
  readonly type: "response.reasoning_summary_part.added" | "response.reasoning_summary_part.done";
  /** Of the item. */
  readonly item_id: string;
  /** Position of the item in the output. */
  readonly output_index: number;
  /** Position of the part in the summary. */
  readonly summary_index: number;
  /** As far as it is. */
  readonly part: ResponsesPart;
}

/** More of a summary of the reasoning. */
export interface ResponsesSummaryDeltaEvent extends ResponsesEventBase {
  /** Discriminates `ResponsesEvent`. */
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
export interface ResponsesSummaryTextEvent extends ResponsesEventBase {
  /** Discriminates `ResponsesEvent`. */
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
export interface ResponsesArgumentsDeltaEvent extends ResponsesEventBase {
  /** Discriminates `ResponsesEvent`. */
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
export interface ResponsesArgumentsEvent extends ResponsesEventBase {
  /** Discriminates `ResponsesEvent`. */
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
export interface ResponsesMcpEvent extends ResponsesEventBase {
  /** Discriminates `ResponsesEvent`. */
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
export interface ResponsesErrorEvent extends ResponsesEventBase {
  /** Discriminates `ResponsesEvent`. */
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

/**
 * An event of a type that is not listed here, which comes through untouched. The union `ResponsesEvent` leaves it
 * out, or no `switch` could tell the known ones apart; in its `default` branch assign to this type.
 */
export interface ResponsesUnknownEvent extends ResponsesEventBase {
  /** As the server sends it. Whatever else the event has is there as well. */
  readonly type: string;
}
