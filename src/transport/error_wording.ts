/**
 * Diagnosis of a server's error texts. The texts change with versions and engines, and the same error comes with
 * different statuses. Reliable identifiers decide first, then the words, then the status.
 *
 * All patterns are bounded, so that any body is read in linear time.
 *
 * @module
 */

import type { KnownCode } from "../core/error_codes.ts";
import { parseJson } from "../core/plain_text.ts";
import { isRecord } from "../core/fields.ts";

/** An error as sent by the server, read from any of its shapes. */
export interface WireError {
  /** The message; `""` if there is none. */
  readonly message: string;
  readonly type?: string | undefined;
  readonly code?: string | undefined;
  readonly param?: string | undefined;
  /** `n_prompt_tokens` of llama-server. */
  readonly promptTokens?: number | undefined;
  /** `n_ctx` of llama-server. */
  readonly contextLength?: number | undefined;
}

/** Diagnosis of a wire error. */
export interface Diagnosis {
  readonly code: KnownCode;
  /** Hint, if the words say more than the code. */
  readonly hint?: string | undefined;
  /** Texts of the error and of the errors inside it, outermost first. */
  readonly texts: readonly string[];
  /** Field of the request named by the innermost error that names one. */
  readonly param?: string | undefined;
  /** Only for a context overflow. */
  readonly promptTokens?: number | undefined;
  /** Only for a context overflow. */
  readonly contextLength?: number | undefined;
}

/** A code for texts that match. The text is `fold`ed first: lower case, `'` for quotes, single spaces, no backslashes. */
type Rule = readonly [code: KnownCode, words: RegExp, hint?: string];

const MAX_NESTING = 4;
const MAX_FOLDED_CHARS = 16_384;

const LOAD_FAILURE_CAUSES: readonly KnownCode[] = [
  "model_unloaded",
  "insufficient_resources",
  "wrong_model_type",
];

/** Types of errors whose text quotes another server, so that errors inside the text are not this server's. */
const QUOTING = /^(?:mcp|plugin)_connection_error$|^external_connector_error$/;

/** Identifiers (`type` or `code`) with a fixed meaning, whatever the text says. */
const IDENTIFIERS: readonly Rule[] = [
  ["unauthorized", /^(?:invalid_api_key|authentication_error)$/],
  ["forbidden", /^permission_error$/],
  ["rate_limited", /^rate_limit_e(?:rror|xceeded)$/],
  ["context_overflow", /^(?:exceed_context_size_error|context_length_exceeded)$/],
  ["previous_response_not_found", /^previous_response_not_found$/],
  ["job_not_found", /^job_not_found$/],
  ["unsupported_by_server", /^not_implemented$/],
  ["model_load_failed", /^model_load_failed$/],
  ["server_error", QUOTING],
];

/** Identifiers that also accompany failed loads and wrong types, so words are checked first. */
const LATE_IDENTIFIERS: readonly Rule[] = [
  ["model_not_found", /^model_not_found$/],
  ["model_loading", /^unavailable_error$/],
];

/** Identifiers that accompany many different errors; llama-server puts the HTTP status into `code`. */
const VAGUE_IDENTIFIERS: readonly Rule[] = [
  [
    "invalid_request",
    /^(?:invalid_request(?:_error)?|invalid_value|missing_required_parameter|unrecognized_keys|4\d\d)$/,
  ],
  [
    "server_error",
    /^(?:internal_(?:server_)?error|overloaded_error|server_error|unknown|5\d\d)$/,
  ],
];

const TOOLS_PATH = /(?:^|\.)(?:tools?|functions?|parameters)(?:$|[.[])/;

const GRAMMAR_HINT =
  "Simplify the JSON Schema (of `schema`, or of a tool's parameters): the engine cannot turn it into a " +
  "grammar; a large `maxLength` or `maxItems` is a common cause.";

/** Words that say more than the identifier or the field that comes with them. */
const PRECISE_RULES: readonly Rule[] = [
  [
    "invalid_request",
    /non-public address|only allow public addresses|requires a (?:non-empty |valid )?'?server_?url/,
    "Add a local MCP server to LM Studio's mcp.json and request it as `mcp/<name>`, or run its tools yourself with " +
    "`fromMcpTool()`: LM Studio itself connects only to public addresses.",
  ],
  [
    "invalid_request",
    /\bplugin (?:(?:with )?(?:id|identifier) )?(?:'[^'\n]{1,300}' |\S{1,300} )?(?:(?:was |is |could )?not (?:be )?(?:found|installed)|does not exist|is not (?:a )?(?:valid|plugin)|is invalid|must be)|(?:cannot|could not|unable to) find (?:a |the )?plugin|(?:invalid|unknown|no such) plugin/,
    "Use the plugin's id as LM Studio shows it, `owner/name`, or `mcp/<name>` for a server in its mcp.json.",
  ],
  [
    "unsupported_by_server",
    /\bquantizations?\b.{0,200}(?:coming soon|not (?:yet )?(?:implemented|supported))/,
    "Leave `quantization` out, or pass the model's Hugging Face URL: LM Studio cannot choose one yet for names from " +
    "its catalog.",
  ],
];

// The first match decides, so the subject of a text must come before what it merely mentions.
const RULES: readonly Rule[] = [
  ["unexpected_endpoint", /unexpected endpoint or method/],
  [
    "unauthorized",
    /api (?:token|key) (?:provided|is (?:required|invalid|malformed|expired|revoked))|invalid api (?:token|key)/,
  ],
  [
    "forbidden",
    /permission denied to use plugin/,
    "Allow plugins in LM Studio's server settings and, if you use an API token, allow this plugin for it.",
  ],
  ["model_crashed", /model has crashed|runner process has terminated/],
  ["invalid_tool_schema", /schema (?:for|of|in) (?:the )?(?:function|tool)\b/],
  [
    "unsupported_response_format",
    /schema conversion failed|json schema error|json schema to grammar|grammar from (?:the )?json schema|not supported in (?:the )?json schema|(?:unrecognized|unsupported|unexpected|invalid) (?:json )?schema\b|unsupported \$ref|error resolving ref|(?:convert|compil|pars|process)(?:e|ed|ing)? (?:the |a |this )?(?:json )?schema\b|'(?:type|properties|required|enum|items|pattern|format|anyof|oneof|allof|additionalproperties|(?:min|max)(?:imum|length|items))' must be an? (?:string|object|array|list|boolean|number|integer)|pattern must start with/,
    GRAMMAR_HINT,
  ],
  [
    "insufficient_resources",
    /insufficient (?:system )?(?:resources|memory)|not enough (?:system )?(?:resources|memory)|out of memory|requires (?:more system memory|approximately .{1,40} of memory)/,
  ],
  [
    "wrong_model_type",
    /model is not (?:an? )?(?:embedding|llm|language)|does not support (?:chat|generate|embeddings?)(?![\w ])/,
  ],
  [
    "model_unloaded",
    /failed to load.{0,400}\b(?:cancell?ed|operation (?:was |has been )?aborted)|cancell?ed (?:while|during|before) (?:the )?load(?:ing)?\b|\bload(?:ing)? (?:of .{1,300} |operation |request )?(?:was |has been |is )?cancell?ed/,
    "Send the request again: another load, or someone using LM Studio, cancelled loading this model.",
  ],
  [
    "model_load_failed",
    /failed to load (?:the )?model|error loading (?:the )?model|(?:model load(?:ing)?|load(?:ing)? (?:the )?model) (?:was |has )?(?:failed|aborted|stopped)|exited before becoming healthy/,
  ],
  [
    "model_loading",
    /(?:^|\n)\W{0,4}(?:still )?loading (?:the )?model\b(?!.{0,100}\b(?:fail|abort|error))|llm server loading model|\bmodel (?:'[^'\n]{1,300}' |\S{1,300} )?is (?:still |currently |already |now )?(?:loading|being loaded)|\bmodel (?:'[^'\n]{1,300}' |\S{1,300} )?is not (?:yet )?ready|server (?:is )?(?:currently )?busy|maximum pending requests/,
  ],
  [
    "invalid_request",
    /jinja|rendering prompt|prompt template|no user query found|unable to generate parser for this template/,
    "The model's chat template rejects these messages: change their order or roles (many need a user message " +
    "and strict alternation), or change the template in LM Studio's model settings.",
  ],
  [
    "context_overflow",
    /context (?:the )?overflows|cannot truncate prompt|initial prompt is greater than the context|not fit in (?:the )?context|context (?:size|length|window) (?:has been |was |is )?exceeded|exceeds? (?:the )?(?:model's )?(?:available |maximum |max )?context (?:size|length|window)|maximum context length is|context length is only \d|reached (?:the )?context length|mid-generation context overflow|larger than the (?:max(?:imum)? )?context size|exceed_context_size_error/,
  ],
  [
    "context_overflow",
    /too large to process.{1,12}increase the physical batch size/,
    "Split the text, or load the model with a larger evaluation batch size: a text to embed must fit in one batch.",
  ],
  [
    "model_unloaded",
    /model (?:is |was |has been |got |has already been )?unloaded|already been unloaded|cannot find model of instance reference/,
  ],
  ["no_model_loaded", /no models? (?:is |are )?(?:currently )?loaded/],
  ["model_not_loaded", /\bmodel (?:'[^'\n]{1,300}' |\S{1,300} )?(?:is )?not loaded/],
  [
    "previous_response_not_found",
    /prediction history node with id|previous[_ ]response.{0,100} not found/,
  ],
  [
    "model_not_found",
    /invalid model identifier|\bmodel (?:with identifier )?(?:'[^'\n]{1,300}'|\S{1,300}) (?:was |is )?not found|no downloaded \w{0,20} ?models|not found in downloaded models|(?:cannot|can't|could not|unable to) find (?:a |the )?model\b|\bmodel (?:with (?:id|identifier|key|name) |named )?(?:'[^'\n]{1,300}' |\S{1,300} )?(?:does not|doesn't) exist|(?:no such|unknown) model\b|\bno model (?:was |is )?found/,
  ],
  [
    "invalid_request",
    /unrecognized key/,
    "Remove these keys (perhaps from `extraBody`), or update LM Studio: this route rejects keys it does not know.",
  ],
  [
    "invalid_request",
    /tool_choice/,
    'Use "auto", "none" or "required": the server accepts no other tool choice.',
  ],
  ["unsupported_response_format", /response_format/],
  [
    "unsupported_response_format",
    /(?:pars(?:e|ing)|compile|invalid|initialize) (?:the )?grammar|initialize samplers/,
    GRAMMAR_HINT,
  ],
  [
    "unsupported_content",
    /does not support (?:images?|vision|multimodal)|missing data required for images?|images? (?:inputs? )?(?:is|are) not supported|vision (?:add-on|adapter|model|encoder|tower|projector)s? (?:is|was|are) not (?:loaded|available|found)|(?:vision|multimodal input) is not supported|not (?:a )?(?:vision|multimodal)\b|without vision|no vision\b|images? (?:were|was) provided|text-only.{0,80}\bimages?\b/,
    "Use a model that sees images (listed with vision), or leave the images out: this one accepts only text.",
  ],
  [
    "unsupported_content",
    /'url' field must be a base64|(?:unsupported|invalid|corrupt(?:ed)?) (?:base64(?:-encoded)? )?image|\bimage (?:at index \d+ )?is (?:invalid|corrupt)|(?:failed to|cannot|could not) (?:decode|identify|load|process|read) (?:the |an )?image/,
    "Send images as PNG or JPEG, either as bytes or as a data: URL.",
  ],
  [
    "invalid_request",
    /does not support tools/,
    "Use a model that is trained for tool use, or leave `tools` out.",
  ],
  [
    "invalid_request",
    /'input' field must be|n_tokens ={1,2} 0\b/,
    "Pass `input` as a string or an array of strings, none of them empty.",
  ],
  [
    "invalid_request",
    /reasoning setting .{1,40} not supported|does not expose reasoning/,
    "Leave `reasoning` out, or use a setting that this model supports.",
  ],
  [
    "invalid_request",
    /invalid 'content'/,
    'Give every message a `content`: a string, `""` if there is no text, or an array of parts.',
  ],
  [
    "server_error",
    /does not match the expected .{1,40} format/,
    "Try again: the model wrote a tool call that the engine cannot read; a lower temperature may help.",
  ],
  [
    "server_error",
    /fetch failed|channel error|lm link|entered error state|error in iterating prediction stream|\bprediction-error/,
  ],
];

/** Words that LM Studio puts around an engine error, with the engine's status. */
const ENGINE_RULES: readonly Rule[] = [
  ["invalid_request", /engine protocol.{1,60} returned 4\d\d\b/],
  ["server_error", /engine protocol/],
];

/**
 * Numbers in a context overflow, in every wording that has them. The first match counts, so numbers that are surely the
 * prompt's come before those that may include more.
 */
const NUMBERS = {
  promptTokens: [
    /n_prompt_tokens\W{1,4}(\d{1,15})/,
    // LM Studio 0.3, 0.4, MLX.
    /first (\d{1,15}) tokens/,
    /n_keep\W{1,4}(\d{1,15})/,
    /input has (\d{1,15}) tokens/,
    /input length (\d{1,15})/,
    // llama-server.
    /(?:request|input|prompt) \((\d{1,15}) tokens/,
    // Servers that copy OpenAI's words: "you requested 4232 tokens (3107 in the messages, 1125 in the completion)".
    /(\d{1,15}) in the messages/,
    /(?:has|passed) (\d{1,15}) input tokens/,
    /(?:requested|resulted in) (\d{1,15}) tokens/,
  ],
  contextLength: [
    /n_ctx\W{1,4}(\d{1,15})/,
    /context length of (?:only )?(\d{1,15})/,
    /only supports (\d{1,15}) tokens/,
    /context size \((\d{1,15})/,
    /context length is (?:only )?(\d{1,15})/,
    /context length (\d{1,15})/,
  ],
} as const;

function readNumber(field: keyof typeof NUMBERS, folded: string): number | undefined {
  for (const pattern of NUMBERS[field]) {
    const digits = pattern.exec(folded)?.[1];
    if (digits !== undefined) return Number(digits);
  }
  return undefined;
}

/** Diagnoses an error; `status` is `undefined` for a frame in a stream. */
export function diagnose(wire: WireError, status: number | undefined): Diagnosis {
  const layers = unwrap(wire);
  const texts = layers.map(({ message }) => message);
  const folded = texts.map(fold).join("\n");
  const { code, hint } = classify(layers, folded, status);
  const { param } = layers.findLast((layer) => layer.param !== undefined) ?? {};
  if (code !== "context_overflow") return { code, hint, texts, param };
  const [promptTokens, contextLength] = (["promptTokens", "contextLength"] as const).map((field) =>
    layers.find((layer) => layer[field] !== undefined)?.[field] ?? readNumber(field, folded)
  );
  return { code, hint, texts, param, promptTokens, contextLength };
}

type Verdict = Pick<Diagnosis, "code" | "hint">;

function classify(
  layers: readonly WireError[],
  folded: string,
  status: number | undefined,
): Verdict {
  // From the outside in: an error counts for more than the errors it quotes.
  const identifiers = layers.flatMap(({ type, code }) => [type, code]);
  const hasParam = (path: RegExp): boolean => layers.some(({ param }) => path.test(param ?? ""));
  if (status === 401) return { code: "unauthorized" };
  const precise = byWords(PRECISE_RULES, folded) ?? byIdentifier(IDENTIFIERS, identifiers);
  if (precise?.code === "model_load_failed") {
    const causes = RULES.filter(([code]) => LOAD_FAILURE_CAUSES.includes(code));
    return byWords(causes, folded) ?? precise;
  }
  if (precise !== undefined) return precise;
  if (hasParam(TOOLS_PATH)) return { code: "invalid_tool_schema" };
  if (hasParam(/^response_format/)) return { code: "unsupported_response_format" };
  const likely = byWords(RULES, folded) ?? byIdentifier(LATE_IDENTIFIERS, identifiers);
  if (likely !== undefined) return likely;
  if (status === 403) return { code: "forbidden" };
  if (status === 429) return { code: "rate_limited" };
  // From the inside out: LM Studio calls anything its engine rejects an internal error. It sends 400 for all of them; the
  // engine's own status is in the text.
  return byIdentifier(
    VAGUE_IDENTIFIERS,
    [...layers].reverse().flatMap(({ type, code }) => [type, code]),
  ) ?? byWords(ENGINE_RULES, folded) ?? byStatus(status);
}

function byWords(rules: readonly Rule[], folded: string): Verdict | undefined {
  const rule = rules.find(([, words]) => words.test(folded));
  return rule && { code: rule[0], hint: rule[2] };
}

function byIdentifier(
  rules: readonly Rule[],
  identifiers: readonly (string | undefined)[],
): Verdict | undefined {
  for (const identifier of identifiers) {
    const verdict = byWords(rules, identifier ?? "");
    if (verdict !== undefined) return verdict;
  }
  return undefined;
}

/** Diagnosis by the status alone, if no words say more. */
function byStatus(status: number | undefined): Verdict {
  if (status === 413) {
    return {
      code: "invalid_request",
      hint: "Send less at once: fewer messages, smaller images or a smaller `batchSize`.",
    };
  }
  // Not 408 "Request Timeout": the server gave up waiting, and another attempt may succeed.
  const isRefusal = status !== undefined && status >= 400 && status < 500 && status !== 408;
  return { code: isRefusal ? "invalid_request" : "server_error" };
}

/** Normalizes a text: engines, versions and clients differ in case, quotes, escapes and line breaks. */
function fold(text: string): string {
  return text.slice(0, MAX_FOLDED_CHARS).toLowerCase()
    .replace(/\\[nrt]/g, " ").replaceAll("\\", "")
    .replace(/["`‘’“”]/g, "'")
    .replace(/\s+/g, " ");
}

// --- Errors inside errors ---------------------------------------------------------------------

/** The error and those in its text, outermost first. */
function unwrap(wire: WireError): WireError[] {
  const layers = [wire];
  if (QUOTING.test(wire.type ?? "")) return layers;
  let inner = readNested(wire.message);
  while (inner !== undefined && layers.length < MAX_NESTING) {
    layers.push(inner);
    inner = readNested(inner.message);
  }
  return layers;
}

function readNested(text: string): WireError | undefined {
  if (/^\s{0,20}\[/.test(text)) return readIssues(parseBetween(text, "[", "]"));
  const value = parseBetween(text, "{", "}");
  if (value === undefined) return salvageWireError(text);
  const error = readWireError(value);
  if (error !== undefined) return error;
  // Without an identifier next to the message, this is data that the text quotes.
  const bare = isRecord(value) ? readRecord(value, {}) : undefined;
  return bare?.type === undefined && bare?.code === undefined ? undefined : bare;
}

function parseBetween(text: string, open: string, close: string): unknown {
  const start = text.indexOf(open);
  return start === -1 ? undefined : parseJson(text.slice(start, text.lastIndexOf(close) + 1));
}

/** Reads the issues of a zod error, with their paths. */
function readIssues(value: unknown): WireError | undefined {
  if (!Array.isArray(value)) return undefined;
  const issues = value.filter(isRecord).flatMap(({ path, message }) =>
    Array.isArray(path) && isText(message) ? [{ path: path.filter(isKey).join("."), message }] : []
  );
  if (issues.length === 0) return undefined;
  const lines = issues.map(({ path, message }) => path === "" ? message : `${path}: ${message}`);
  const param = (issues.find(({ path }) => TOOLS_PATH.test(path)) ?? issues[0])?.path;
  return known({ message: lines.slice(0, 3).join("; "), param: param || undefined });
}

/** Reads the top-level `error` of a decoded body, in any of the server's shapes; `undefined` without one. */
export function readWireError(body: unknown): WireError | undefined {
  if (!isRecord(body)) return undefined;
  const { error } = body;
  if (typeof error === "string") return error.trim() === "" ? undefined : { message: error };
  if (Array.isArray(error)) {
    return readIssues(error) ?? (error.length > 0 ? { message: "" } : undefined);
  }
  if (isRecord(error)) return readRecord(error, body);
  if (error === true || (typeof error === "number" && error !== 0)) return readRecord({}, body);
  return undefined;
}

/** Reads the fields of an error in any shape. `outer` is the object around it, which may contain the message. */
export function readRecord(
  error: Readonly<Record<string, unknown>>,
  outer: Readonly<Record<string, unknown>>,
): WireError {
  const titled = [error.title, error.cause].filter(isText).join(": ");
  const said = [error.message, titled, error.detail, outer.message].find(isText) ?? "";
  return known({
    message: said,
    type: identifierOf(error.type),
    code: identifierOf(error.code),
    param: identifierOf(error.param),
    promptTokens: countOf(error.n_prompt_tokens),
    contextLength: countOf(error.n_ctx),
  });
}

/** Reads the fields of an error that is not valid JSON: cut off, or printed by Python. `undefined` without a message. */
export function salvageWireError(text: string): WireError | undefined {
  const message = salvageField(text, "message") ?? salvageField(text, "error");
  if (message === undefined) return undefined;
  return known({
    message,
    type: salvageField(text, "type"),
    code: salvageField(text, "code"),
  });
}

function salvageField(text: string, name: string): string | undefined {
  const key = new RegExp(`(\\\\{0,8}["'])${name}\\1\\s{0,8}:\\s{0,8}(\\\\{0,8}["'])`).exec(text);
  const quote = key?.[2];
  if (key === null || quote === undefined) return undefined;
  const start = key.index + key[0].length;
  let end = text.indexOf(quote, start);
  // One more backslash before it means that the quote is part of the text.
  while (end !== -1 && text[end - 1] === "\\") end = text.indexOf(quote, end + quote.length);
  const raw = end === -1 ? text.slice(start) : text.slice(start, end);
  return unescapeJson(unescapeJson(raw)).trim() || undefined;
}

// --- Values -----------------------------------------------------------------------------------

/** Resolves one level of JSON escapes. */
function unescapeJson(text: string): string {
  return text.replace(
    /\\(?:u([0-9a-f]{4})|([^]))/gi,
    (_match, hex: string | undefined, character: string) =>
      hex !== undefined
        ? String.fromCharCode(parseInt(hex, 16))
        : { n: "\n", r: "\r", t: "\t" }[character] ?? character,
  );
}

function isKey(value: unknown): value is string | number {
  return typeof value === "string" || typeof value === "number";
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value.trim() !== "";
}

function identifierOf(value: unknown): string | undefined {
  return isText(value) ? value : typeof value === "number" ? String(value) : undefined;
}

function countOf(value: unknown): number | undefined {
  return Number.isSafeInteger(value) && (value as number) > 0 ? value as number : undefined;
}

/** Removes the fields that are `undefined`. */
function known(error: WireError): WireError {
  return Object.fromEntries(
    Object.entries(error).filter(([, value]) => value !== undefined),
  ) as unknown as WireError;
}
