/**
 * Codes of the errors: the class of each, whether a retry can help, and the default remedy. The code decides; the HTTP status only where no body or wording says more.
 *
 * @module
 */

/** Kinds of errors, one for each class; closed, to `switch` on. */
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

/** Codes of this version; minor versions add to them. */
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

/** A code of this version, or of a later one. */
export type ErrorCode = KnownCode | (string & Record<never, never>);

/** Meaning of a code: the class it belongs to, whether a retry can help, and the default remedy. */
export interface CodeEntry {
  readonly kind: ErrorKind;
  readonly retriable: boolean;
  readonly hint: string;
  /** Remedy where the server is not LM Studio, whose own would mislead. */
  readonly otherHint?: string | undefined;
}

type Row = readonly [retriable: boolean, hint: string, otherHint?: string];

const START_SERVER =
  "Start the server with `lms server start` (or in LM Studio's Developer tab), and check the address.";
const START_OTHER = "Start the server, and check the address.";
const CHECK_ADDRESS =
  "Check the base URL: it must be the root of an LM Studio server, such as http://127.0.0.1:1234.";
const CHECK_OTHER = "Check the base URL: it must be the root of a server with `/v1` routes.";
const REPORT = "If this goes on, look at LM Studio's server log (`lms log stream`).";
const REPORT_OTHER = "If this goes on, look at the server's log.";

/** Codes by class, which the types of `providerError` follow as well. */
const CODES_BY_KIND = {
  "api": {
    server_error: [true, `Try again. ${REPORT}` as string, `Try again. ${REPORT_OTHER}` as string],
    model_crashed: [
      false,
      "Load the model again, with a smaller context or a smaller quantization if memory is short.",
      "Try again; a smaller context or a smaller quantization may help.",
    ],
    model_unloaded: [
      true,
      "The model left memory while it worked: raise its TTL, turn auto-evict off, or send the request again.",
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
      "Tell the model in the system message which tool to call, or take one that was trained for tools; `response` has the answer.",
    ],
    job_not_found: [
      false,
      "Start the download again: the server forgets its jobs when it restarts.",
    ],
    model_loading: [
      true,
      "Wait until the server has its model loaded and a place free, or raise `timeoutMs`, within which it is asked again.",
    ],
  },
  "network": {
    connection_refused: [true, START_SERVER as string, START_OTHER as string],
    connection_reset: [
      true,
      "The server closed the connection: check that LM Studio is still running, then try again.",
      "The server closed the connection: check that it is still running, then try again.",
    ],
    service_not_found: [true, START_SERVER as string],
    permission_denied: [false, "Allow the network, in Deno with `--allow-net=127.0.0.1`."],
    blocked_by_browser: [
      false,
      "Let pages call the server: start it with `lms server start --cors`.",
    ],
  },
  "authentication": {
    unauthorized: [
      false,
      "Set `apiToken` (or LM_API_TOKEN) to a token made in LM Studio under Developer, Server Settings.",
      "Give a token that this server takes.",
    ],
    forbidden: [
      false,
      "Give this API token the permission in LM Studio's server settings.",
      "Give a token that is allowed to do this.",
    ],
  },
  "rate-limited": { rate_limited: [true, "Wait before you try again."] },
  "model-not-available": {
    model_not_found: [
      false,
      "Use an id that `listModels()` gives, or download the model with `lms get <model>`.",
      "Use an id that `listModels()` gives.",
    ],
    no_model_loaded: [
      false,
      "Load one with `lms load <model>` or in LM Studio, or name a model in the request.",
      "Name a model in the request.",
    ],
    model_not_loaded: [
      false,
      "Load it with `lms load <model>`, or turn on just-in-time loading in LM Studio's server settings.",
      "Load it on the server, or name another model.",
    ],
    model_load_failed: [
      false,
      "Try to load it in LM Studio, which tells more; a smaller context or another quantization may help.",
      "The server's log tells more; a smaller context or quantization may help.",
    ],
    insufficient_resources: [
      false,
      "Unload other models, take a smaller model or context, or relax the loading guardrails in LM Studio's settings.",
      "Take a smaller model or context, or unload other models.",
    ],
    wrong_model_type: [
      false,
      "Use a language model for completions and an embedding model for embeddings.",
    ],
    model_substituted: [
      false,
      'Ask for a model the server has, or accept any answer with `onModelSubstituted: "ignore"`.',
    ],
  },
  "invalid-request": {
    invalid_request: [false, "Change the request: sent again as it is, it would fail again."],
    context_overflow: [
      false,
      "Shorten the input, set `contextOverflowPolicy` of a completion, or load the model with a larger context length.",
    ],
    unsupported_content: [
      false,
      "Use a model that takes this content; images must be PNG or JPEG.",
    ],
    invalid_tool_schema: [
      false,
      'Give each tool parameters of type "object" with "properties".',
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
      "Raise `firstTokenTimeoutMs` if the model is large or the prompt long; the server may still be working.",
    ],
    timeout_idle: [
      true,
      "Raise `idleTimeoutMs` if the model is slow, or writes a long tool call, which is sent when it is whole; the server may be stuck.",
    ],
    timeout_total: [
      true,
      "Raise `timeoutMs`; the server may still be working on the request.",
    ],
  },
  "configuration": {
    invalid_configuration: [false, "Correct it, or leave it out to get the default."],
  },
  "all-providers-failed": {
    all_providers_failed: [false, "See `errors` for what each provider said."],
  },
  "serialization": {
    serialization_failed: [false, "Use only what JSON can hold: no cycles and no BigInt."],
  },
  "stream": {
    stream_truncated: [true, "`partial` has what had arrived; send the request again."],
    malformed_stream: [
      false,
      "Check that nothing between you and LM Studio changes the stream.",
      "Check that nothing between you and the server changes the stream.",
    ],
  },
  "parse": { malformed_response: [false, CHECK_ADDRESS as string, CHECK_OTHER as string] },
  "unknown": { unknown: [false, REPORT as string, REPORT_OTHER as string] },
} as const;

/** Class of a code. */
export type KindOf<C extends KnownCode> = {
  [K in ErrorKind]: C extends keyof (typeof CODES_BY_KIND)[K] ? K : never;
}[ErrorKind];

/** Every code this version throws. */
export const ERROR_CODES: Readonly<Record<KnownCode, CodeEntry>> = Object.fromEntries(
  Object.entries(CODES_BY_KIND).flatMap(([kind, rows]) =>
    Object.entries<Row>(rows).map(([code, [retriable, hint, otherHint]]) => [
      code,
      { kind, retriable, hint, otherHint },
    ])
  ),
) as Record<KnownCode, CodeEntry>;

/** Whether this version knows the code. */
export function isKnownCode(code: string): code is KnownCode {
  return Object.hasOwn(ERROR_CODES, code);
}

/** Default remedy of a code, on a server of this name. */
export function defaultHint(code: KnownCode, service: string | undefined): string {
  const { hint, otherHint = hint } = ERROR_CODES[code];
  return service === undefined || service === "LM Studio" ? hint : otherHint;
}

/** Remedy where only newer versions of a server have a route. @param since the first of them. */
export function tooOldHint(service: string, since: string): string {
  return `Update ${service}: version ${since} is the first with this route. If yours is not older, ` +
    "check the base URL.";
}
