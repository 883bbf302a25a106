/**
 * The codes of the errors: which class each belongs to, whether a retry can help, and what to do by default.
 * The code decides; the HTTP status only where no body or wording says more.
 *
 * @module
 */

/** The closed list of kinds, to `switch` on. */
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

/** The codes of this version; minor versions add to them. */
export type KnownCode =
  | "server_error"
  | "model_crashed"
  | "model_unloaded"
  | "unexpected_endpoint"
  | "not_lm_studio"
  | "unsupported_by_server"
  | "tool_loop_limit"
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

/** What a code means: the class it belongs to, whether a retry can help, and what to do by default. */
export interface CodeEntry {
  readonly kind: ErrorKind;
  readonly retriable: boolean;
  readonly hint: string;
}

const START_SERVER =
  "Start the server with `lms server start` (or in LM Studio's Developer tab), and check the address.";
const LOAD_MODEL =
  "Load one with `lms load <model>` or in LM Studio, or name a model in the request.";
const CHECK_ADDRESS =
  "Check the base URL: it must be the root of an LM Studio server, such as http://127.0.0.1:1234.";
const REPORT = "If this goes on, look at LM Studio's server log (`lms log stream`).";

/** Every code this version throws. */
export const ERROR_CODES: Readonly<Record<KnownCode, CodeEntry>> = {
  server_error: { kind: "api", retriable: true, hint: `Try again. ${REPORT}` },
  model_crashed: {
    kind: "api",
    retriable: false,
    hint:
      "Load the model again, with a smaller context or a smaller quantization if memory is short.",
  },
  model_unloaded: {
    kind: "api",
    retriable: true,
    hint:
      "The model left memory while it worked: raise its TTL, turn auto-evict off, or send the request again.",
  },
  unexpected_endpoint: { kind: "api", retriable: false, hint: CHECK_ADDRESS },
  not_lm_studio: { kind: "api", retriable: false, hint: CHECK_ADDRESS },
  unsupported_by_server: { kind: "api", retriable: false, hint: "Update LM Studio." },
  tool_loop_limit: {
    kind: "api",
    retriable: false,
    hint: "Raise `maxRounds`, or tell the model in the system message when to stop calling tools.",
  },
  job_not_found: {
    kind: "api",
    retriable: false,
    hint: "Start the download again: the server forgets its jobs when it restarts.",
  },
  model_loading: {
    kind: "api",
    retriable: true,
    hint:
      "Wait until the server has its model loaded and a place free, or raise `timeoutMs`, within which it is asked again.",
  },
  connection_refused: { kind: "network", retriable: true, hint: START_SERVER },
  connection_reset: {
    kind: "network",
    retriable: true,
    hint:
      "The server closed the connection: check that LM Studio is still running, then try again.",
  },
  service_not_found: { kind: "network", retriable: true, hint: START_SERVER },
  permission_denied: {
    kind: "network",
    retriable: false,
    hint: "Allow the network, in Deno with `--allow-net=127.0.0.1`.",
  },
  blocked_by_browser: {
    kind: "network",
    retriable: false,
    hint: "Let pages call the server: start it with `lms server start --cors`.",
  },
  unauthorized: {
    kind: "authentication",
    retriable: false,
    hint:
      "Set `apiToken` (or LM_API_TOKEN) to a token made in LM Studio under Developer, Server Settings.",
  },
  forbidden: {
    kind: "authentication",
    retriable: false,
    hint: "Give this API token the permission in LM Studio's server settings.",
  },
  rate_limited: { kind: "rate-limited", retriable: true, hint: "Wait before you try again." },
  model_not_found: {
    kind: "model-not-available",
    retriable: false,
    hint: "Use an id that `listModels()` gives, or download the model with `lms get <model>`.",
  },
  no_model_loaded: { kind: "model-not-available", retriable: false, hint: LOAD_MODEL },
  model_not_loaded: {
    kind: "model-not-available",
    retriable: false,
    hint:
      "Load it with `lms load <model>`, or turn on just-in-time loading in LM Studio's server settings.",
  },
  model_load_failed: {
    kind: "model-not-available",
    retriable: false,
    hint:
      "Try to load it in LM Studio, which tells more; a smaller context or another quantization may help.",
  },
  insufficient_resources: {
    kind: "model-not-available",
    retriable: false,
    hint:
      "Unload other models, take a smaller model or context, or relax the loading guardrails in LM Studio's settings.",
  },
  wrong_model_type: {
    kind: "model-not-available",
    retriable: false,
    hint: "Use a language model for completions and an embedding model for embeddings.",
  },
  model_substituted: {
    kind: "model-not-available",
    retriable: false,
    hint:
      'Ask for a model the server has, or accept any answer with `onModelSubstituted: "ignore"`.',
  },
  invalid_request: {
    kind: "invalid-request",
    retriable: false,
    hint: "Change the request: sent again as it is, it would fail again.",
  },
  context_overflow: {
    kind: "invalid-request",
    retriable: false,
    hint: "Shorten the input, or load the model with a larger context length.",
  },
  unsupported_content: {
    kind: "invalid-request",
    retriable: false,
    hint: "Use a model that takes this content; images must be PNG or JPEG.",
  },
  invalid_tool_schema: {
    kind: "invalid-request",
    retriable: false,
    hint: 'Give each tool parameters of type "object" with "properties".',
  },
  unsupported_response_format: {
    kind: "invalid-request",
    retriable: false,
    hint:
      "Use `schema` with a JSON Schema the engine can turn into a grammar; `json_object` is not supported.",
  },
  previous_response_not_found: {
    kind: "invalid-request",
    retriable: false,
    hint: "Start a new conversation: the server no longer has the previous response.",
  },
  timeout_connect: { kind: "timeout", retriable: true, hint: START_SERVER },
  timeout_first_token: {
    kind: "timeout",
    retriable: true,
    hint:
      "Raise `firstTokenTimeoutMs` if the model is large or the prompt long; the server may still be working.",
  },
  timeout_idle: {
    kind: "timeout",
    retriable: true,
    hint:
      "Raise `idleTimeoutMs` if the model is slow, or writes a long tool call, which is sent when it is whole; the server may be stuck.",
  },
  timeout_total: {
    kind: "timeout",
    retriable: true,
    hint: "Raise `timeoutMs`; the server may still be working on the request.",
  },
  invalid_configuration: {
    kind: "configuration",
    retriable: false,
    hint: "Correct it, or leave it out to get the default.",
  },
  all_providers_failed: {
    kind: "all-providers-failed",
    retriable: false,
    hint: "See `errors` for what each provider said.",
  },
  serialization_failed: {
    kind: "serialization",
    retriable: false,
    hint: "Use only what JSON can hold: no cycles and no BigInt.",
  },
  stream_truncated: {
    kind: "stream",
    retriable: true,
    hint: "`partial` has what had arrived; send the request again.",
  },
  malformed_stream: {
    kind: "stream",
    retriable: false,
    hint: "Check that nothing between you and LM Studio changes the stream.",
  },
  malformed_response: { kind: "parse", retriable: false, hint: CHECK_ADDRESS },
  unknown: { kind: "unknown", retriable: false, hint: REPORT },
};

/** Whether this version knows the code. */
export function isKnownCode(code: string): code is KnownCode {
  return Object.hasOwn(ERROR_CODES, code);
}

/** What to do where the server is not LM Studio, and its remedies would mislead. */
const OTHER_HINTS: Readonly<Partial<Record<KnownCode, string>>> = {
  server_error: "Try again. If this goes on, look at the server's log.",
  model_crashed: "Try again; a smaller context or a smaller quantization may help.",
  unexpected_endpoint: "Check the base URL: it must be the root of the server.",
  not_lm_studio: "Check the base URL: it must be the root of a server with `/v1` routes.",
  connection_refused: "Start the server, and check the address.",
  connection_reset:
    "The server closed the connection: check that it is still running, then try again.",
  timeout_connect: "Start the server, and check the address.",
  unauthorized: "Give a token that this server takes.",
  forbidden: "Give a token that is allowed to do this.",
  model_not_found: "Use an id that `listModels()` gives.",
  no_model_loaded: "Name a model in the request.",
  model_not_loaded: "Load it on the server, or name another model.",
  model_load_failed: "The server's log tells more; a smaller context or quantization may help.",
  insufficient_resources: "Take a smaller model or context, or unload other models.",
  malformed_stream: "Check that nothing between you and the server changes the stream.",
  malformed_response: "Check the base URL: it must be the root of a server with `/v1` routes.",
  unknown: "If this goes on, look at the server's log.",
};

/** What to do by default, on a server of this name. */
export function defaultHint(code: KnownCode, service: string | undefined): string {
  const other = service === undefined || service === "LM Studio" ? undefined : OTHER_HINTS[code];
  return other ?? ERROR_CODES[code].hint;
}

/** What to do where only newer versions of a server have a route. @param since the first of them. */
export function tooOldHint(service: string, since: string): string {
  return `Update ${service}: version ${since} is the first with this route. If yours is not older, ` +
    "check the base URL.";
}
