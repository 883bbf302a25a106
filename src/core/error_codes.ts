/**
 * Error codes, each with its class, whether a retry can help, and the default hint. The code decides; the HTTP status
 * counts only if neither the body nor its wording says more.
 *
 * @module
 */

/** Error kinds, one per class; a closed set to `switch` on. */
export type ErrorKind =
  | "api"
  | "network"
  | "authentication"
  | "rate-limited"
  | "model-not-available"
  | "invalid-request"
  | "timeout"
  | "configuration"
  | "all-providers-failed"
  | "serialization"
  | "stream"
  | "parse"
  | "unknown";

/** Error codes of this version; minor versions may add more. */
export type KnownCode =
  | "server_error"
  | "model_crashed"
  | "model_unloaded"
  | "unexpected_endpoint"
  | "not_lm_studio"
  | "unsupported_by_server"
  | "tool_loop_limit"
  | "tool_choice_ignored"
  | "job_not_found"
  | "model_loading"
  | "connection_refused"
  | "connection_reset"
  | "service_not_found"
  | "permission_denied"
  | "blocked_by_browser"
  | "unauthorized"
  | "forbidden"
  | "rate_limited"
  | "model_not_found"
  | "no_model_loaded"
  | "model_not_loaded"
  | "model_load_failed"
  | "insufficient_resources"
  | "wrong_model_type"
  | "model_substituted"
  | "invalid_request"
  | "context_overflow"
  | "unsupported_content"
  | "invalid_tool_schema"
  | "unsupported_response_format"
  | "previous_response_not_found"
  | "timeout_connect"
  | "timeout_first_token"
  | "timeout_idle"
  | "timeout_total"
  | "invalid_configuration"
  | "all_providers_failed"
  | "serialization_failed"
  | "stream_truncated"
  | "malformed_stream"
  | "malformed_response"
  | "unknown";

/** Error code of this version or a later one. */
export type ErrorCode = KnownCode | (string & Record<never, never>);

/** Meaning of a code: its kind, whether a retry can help, and the default hint. */
export interface CodeEntry {
  readonly kind: ErrorKind;
  readonly retriable: boolean;
  readonly hint: string;
  /** Hint for servers other than LM Studio, if `hint` would mislead there. */
  readonly otherHint?: string | undefined;
}

type Row = readonly [retriable: boolean, hint: string, otherHint?: string];

const START_SERVER =
  "Start the server with `lms server start` (or in LM Studio's Developer tab), and check the address.";
const START_OTHER = "Start the server, and check the address.";
const CHECK_ADDRESS =
  "Check the base URL: it must be the root of an LM Studio server, such as http://127.0.0.1:1234.";
const CHECK_OTHER = "Check the base URL: it must be the root of a server with `/v1` routes.";
const REPORT = "If it keeps happening, check LM Studio's server log (`lms log stream`).";
const REPORT_OTHER = "If it keeps happening, check the server's log.";

/** Codes by kind; the types of `providerError` derive from this table too. */
const CODES_BY_KIND = {
  "api": {
    server_error: [true, `Try again. ${REPORT}` as string, `Try again. ${REPORT_OTHER}` as string],
    model_crashed: [
      false,
      "Load the model again, with a smaller context or quantization if memory is short.",
      "Try again; a smaller context or quantization may help.",
    ],
    model_unloaded: [
      true,
      "Send the request again; to keep the model loaded, raise its TTL or turn off auto-evict.",
    ],
    unexpected_endpoint: [
      false,
      CHECK_ADDRESS as string,
      "Check the base URL: it must be the root of the server.",
    ],
    not_lm_studio: [false, CHECK_ADDRESS as string, CHECK_OTHER as string],
    unsupported_by_server: [false, "Update LM Studio."],
    tool_loop_limit: [
      false,
      "Raise `maxRounds`, or tell the model in the system message when to stop calling tools.",
    ],
    tool_choice_ignored: [
      false,
      "Name the tool in the system message, or use a model trained for tool use; `response` has the answer.",
    ],
    job_not_found: [
      false,
      "Start the download again; the server forgets its jobs when it restarts.",
    ],
    model_loading: [
      true,
      "Wait until the server has loaded the model and has a free slot, or raise `timeoutMs` to allow more retries.",
    ],
  },
  "network": {
    connection_refused: [true, START_SERVER as string, START_OTHER as string],
    connection_reset: [
      true,
      "Check that LM Studio is still running, then try again.",
      "Check that the server is still running, then try again.",
    ],
    service_not_found: [true, START_SERVER as string],
    permission_denied: [false, "Allow network access; in Deno, use `--allow-net=127.0.0.1`."],
    blocked_by_browser: [
      false,
      "Let web pages call the server: start it with `lms server start --cors`.",
    ],
  },
  "authentication": {
    unauthorized: [
      false,
      "Set `apiToken` (or LM_API_TOKEN) to an API token created in LM Studio under Developer > Server Settings.",
      "Set `apiToken` to an API token that this server accepts.",
    ],
    forbidden: [
      false,
      "Grant this API token the permission in LM Studio's server settings.",
      "Use an API token that has this permission.",
    ],
  },
  "rate-limited": { rate_limited: [true, "Wait, then try again."] },
  "model-not-available": {
    model_not_found: [
      false,
      "Use an id from `listModels()`, or download the model with `lms get <model>`.",
      "Use an id from `listModels()`.",
    ],
    no_model_loaded: [
      false,
      "Load a model with `lms load <model>` or in LM Studio, or name one in the request.",
      "Name a model in the request.",
    ],
    model_not_loaded: [
      false,
      "Load it with `lms load <model>`, or turn on just-in-time loading in LM Studio's server settings.",
      "Load it on the server, or use another model.",
    ],
    model_load_failed: [
      false,
      "Load it in LM Studio to see the reason; a smaller context or another quantization may help.",
      "Check the server's log for the reason; a smaller context or another quantization may help.",
    ],
    insufficient_resources: [
      false,
      "Unload other models, use a smaller model or context, or relax the loading guardrails in LM Studio's settings.",
      "Use a smaller model or context, or unload other models.",
    ],
    wrong_model_type: [
      false,
      "Use a language model for completions and an embedding model for embeddings.",
    ],
    model_substituted: [
      false,
      'Ask for a model the server has, or accept any model\'s answer with `onModelSubstituted: "ignore"`.',
    ],
  },
  "invalid-request": {
    invalid_request: [false, "Correct the request before you send it again."],
    context_overflow: [
      false,
      "Shorten the input, set `contextOverflowPolicy` (completions), or load the model with a larger context length.",
    ],
    unsupported_content: [
      false,
      "Use a model that accepts this content; images must be PNG or JPEG.",
    ],
    invalid_tool_schema: [
      false,
      'Give each tool `parameters` of type "object" with "properties".',
    ],
    unsupported_response_format: [
      false,
      "Use `schema` with a JSON Schema the engine can turn into a grammar; `json_object` is not supported.",
    ],
    previous_response_not_found: [
      false,
      "Start a new conversation: the server no longer has the previous response.",
    ],
  },
  "timeout": {
    timeout_connect: [true, START_SERVER as string, START_OTHER as string],
    timeout_first_token: [
      true,
      "Raise `firstTokenTimeoutMs` if the model is large or the prompt is long; the server may still be working.",
    ],
    timeout_idle: [
      true,
      "Raise `idleTimeoutMs` if the model is slow or writes a long tool call, which arrives only when complete; the server may be stuck.",
    ],
    timeout_total: [
      true,
      "Raise `timeoutMs`; the server may still be working on the request.",
    ],
  },
  "configuration": {
    invalid_configuration: [false, "Correct it, or omit it to use the default."],
  },
  "all-providers-failed": {
    all_providers_failed: [false, "See `errors` for the error of each provider."],
  },
  "serialization": {
    serialization_failed: [
      false,
      "Use only values that JSON can represent: no cycles and no BigInt.",
    ],
  },
  "stream": {
    stream_truncated: [true, "Send the request again; `partial` has any part that arrived."],
    malformed_stream: [
      false,
      "Check that nothing between you and LM Studio alters the stream.",
      "Check that nothing between you and the server alters the stream.",
    ],
  },
  "parse": { malformed_response: [false, CHECK_ADDRESS as string, CHECK_OTHER as string] },
  "unknown": { unknown: [false, REPORT as string, REPORT_OTHER as string] },
} as const;

/** Kind of a code. */
export type KindOf<C extends KnownCode> = {
  [K in ErrorKind]: C extends keyof (typeof CODES_BY_KIND)[K] ? K : never;
}[ErrorKind];

/** Meanings of all codes that this version throws. */
export const ERROR_CODES: Readonly<Record<KnownCode, CodeEntry>> = Object.fromEntries(
  Object.entries(CODES_BY_KIND).flatMap(([kind, rows]) =>
    Object.entries<Row>(rows).map(([code, [retriable, hint, otherHint]]) => [
      code,
      { kind, retriable, hint, otherHint },
    ])
  ),
) as Record<KnownCode, CodeEntry>;

/** Tests whether this version knows a code. */
export function isKnownCode(code: string): code is KnownCode {
  return Object.hasOwn(ERROR_CODES, code);
}

/** Default hint of a code for a service. */
export function defaultHint(code: KnownCode, service: string | undefined): string {
  const { hint, otherHint = hint } = ERROR_CODES[code];
  return service === undefined || service === "LM Studio" ? hint : otherHint;
}

/** Hint for a route that older versions of a server lack. @param since first version that has the route. */
export function tooOldHint(service: string, since: string): string {
  return `Update ${service} to ${since} or later; if it is that recent already, check the base URL.`;
}
