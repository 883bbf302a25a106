/**
 * Mapping of a server's answer to an error: `Cannot <action>: <what the server said>`, with the code and hint that fit
 * its words. Anything a server sends is redacted before it is shown.
 *
 * @module
 */

import { isLoopback } from "../core/base_url.ts";
import { defaultHint, ERROR_CODES, type KnownCode, tooOldHint } from "../core/error_codes.ts";
import {
  type AnyProviderError,
  type ErrorOf,
  type FieldsOf,
  providerError,
} from "../core/errors.ts";
import { isRecord, quote } from "../core/fields.ts";
import { cutText, parseJson } from "../core/plain_text.ts";
import { parseRetryAfter } from "../core/retry.ts";
import type { PartialAnswer } from "../core/types.ts";
import { readEnvironment } from "../platform/environment.ts";
import {
  diagnose,
  type Diagnosis,
  readRecord,
  readWireError,
  salvageWireError,
  type WireError,
} from "./error_wording.ts";
import { showWords } from "./redact.ts";

export { readWireError, type WireError } from "./error_wording.ts";

/** Facts about a failed call, for its error. */
export interface ErrorContext {
  /** Completes "Cannot …", such as `complete with model "qwen/qwen3-8b"`. */
  readonly action: string;
  /** Display name of the service, such as `"LM Studio"`. */
  readonly service: string;
  /** URL of the call, without credentials. */
  readonly endpoint: string;
  readonly attempts: number;
  /** Status of the answer, once there is one. */
  readonly status?: number | undefined;
  /** Requested model. */
  readonly model?: string | undefined;
  /** First version of the server that has the route, so that an older server gets a fitting hint. */
  readonly since?: string | undefined;
  /** Called if the server lacks a route that only newer versions have. */
  readonly onMissingRoute?: (() => void) | undefined;
  /** Hint for `model_not_found`, if the default one does not help. */
  readonly notFoundHint?: string | undefined;
  /** Hint for `unauthorized`, if the default one does not help. */
  readonly unauthorizedHint?: string | undefined;
  /** Whether tools have the only schemas in the request: an engine does not say which schema it rejects. */
  readonly hasToolSchemasAlone?: boolean | undefined;
  /** Removes secrets and prompt text from text that a server sent. */
  readonly redact: (text: string) => string;
  /** Hint in case a proxy answers instead of the server; only for loopback addresses. */
  readonly proxyHint?: Late<string>;
  /** The answer received so far. */
  readonly partial?: Late<PartialAnswer>;
}

/** A value, or a function that finds it: every answer has a context, but few become an error. */
type Late<T> = T | (() => T | undefined) | undefined;

/** Value of a `Late` field. */
export function found<T extends string | PartialAnswer>(field: Late<T>): T | undefined {
  return typeof field === "function" ? field() : field;
}

/** Creates the error of a call. @param state completes "Cannot …: ". */
export function callError<C extends KnownCode>(
  context: ErrorContext,
  code: C,
  state: string,
  fields?: Partial<FieldsOf<C>>,
): ErrorOf<C> {
  const { action, service, endpoint, attempts, status, partial } = context;
  const known = { service, endpoint, attempts, status, partial: found(partial) };
  return providerError(code, `Cannot ${action}: ${state}`, { ...known, ...fields } as FieldsOf<C>);
}

const MAX_STATE_CHARS = 200;
/** 60 characters and an ellipsis: enough to see what a text is. */
const MAX_START_CHARS = 61;
const MAX_LISTED_MODELS = 200;

const STATUS_LINES = [
  "200 OK",
  "301 Moved Permanently",
  "302 Found",
  "303 See Other",
  "307 Temporary Redirect",
  "308 Permanent Redirect",
  "400 Bad Request",
  "401 Unauthorized",
  "403 Forbidden",
  "404 Not Found",
  "405 Method Not Allowed",
  "407 Proxy Authentication Required",
  "408 Request Timeout",
  "409 Conflict",
  "413 Content Too Large",
  "415 Unsupported Media Type",
  "422 Unprocessable Content",
  "429 Too Many Requests",
  "500 Internal Server Error",
  "501 Not Implemented",
  "502 Bad Gateway",
  "503 Service Unavailable",
  "504 Gateway Timeout",
  "520 Unknown Error",
  "521 Web Server Is Down",
  "522 Connection Timed Out",
  "523 Origin Is Unreachable",
  "524 A Timeout Occurred",
  "525 SSL Handshake Failed",
  "526 Invalid SSL Certificate",
  "527 Railgun Error",
];

function answered(status: number): string {
  return `the server answered ${
    STATUS_LINES.find((line) => line.startsWith(`${status} `)) ?? status
  }`;
}

/** Creates the error for a wire error. `status` may be 200, and is `undefined` for a frame in a stream. */
export function errorFromWire(
  wire: WireError,
  status: number | undefined,
  context: ErrorContext,
): AnyProviderError {
  return errorFromAnswer(wire, { status }, context);
}

/** Creates the error for a response that is not 2xx. Its body may be JSON, a page, plain text, cut off or empty. */
export function errorFromResponse(
  response: { readonly status: number; readonly headers: Headers; readonly bodyText: string },
  context: ErrorContext,
  now: number = Date.now(),
): AnyProviderError {
  const { status, headers, bodyText } = response;
  // In a browser, a redirect that was not followed has the status 0.
  if (status === 0 || (status >= 300 && status < 400)) {
    return redirectError(status, headers.get("location"), context);
  }
  const retryAfterMs = parseRetryAfter(headers.get("retry-after"), now);
  const wire = readWireError(parseJson(bodyText));
  if (wire !== undefined) return errorFromAnswer(wire, { status, retryAfterMs }, context);
  const body = describeBody(bodyText);
  const isForeign = FOREIGN_CHALLENGE.test(headers.get("www-authenticate") ?? "");
  return errorFromAnswer(body.wire, { status, retryAfterMs, body, isForeign }, context);
}

/**
 * Creates the error for an unexpected 2xx body. `reason` is the state in the message, such as "the answer is not JSON".
 * If the body is not JSON, its start follows, unless `bodyText` is only part of it.
 */
export function errorFromUndecodable(
  response: { readonly status: number; readonly bodyText: string; readonly isCut?: boolean },
  reason: string,
  context: ErrorContext,
): AnyProviderError {
  const { status, bodyText, isCut = false } = response;
  const value = parseJson(bodyText);
  const wire = readWireError(value);
  if (wire !== undefined) return errorFromWire(wire, status, context);
  if (isHtml(bodyText)) {
    return callError(context, "not_lm_studio", `${answered(status)} with an HTML page`, {
      status,
      hint: withProxyHint(defaultHint("not_lm_studio", context.service), context),
    });
  }
  const start = value === undefined && !isCut ? startOf(bodyText, context) : "";
  const state = cutText(shorten(reason, context) + start, MAX_STATE_CHARS);
  const isForeign = !/^[\s\uFEFF]*[{[]/.test(bodyText);
  return callError(context, "malformed_response", state, {
    status,
    hint: isForeign
      ? withProxyHint(defaultHint("malformed_response", context.service), context)
      : undefined,
    bodySnippet: shorten(bodyText, context),
  });
}

/** The answer that contains a wire error. */
interface Answer {
  readonly status: number | undefined;
  readonly retryAfterMs?: number | undefined;
  /** The body, if it is not an error in a shape that only the server itself uses. */
  readonly body?: Body;
  /** Whether it asks for a sign-in other than the server's. */
  readonly isForeign?: boolean;
}

function errorFromAnswer(
  wire: WireError,
  answer: Answer,
  context: ErrorContext,
): AnyProviderError {
  const { status = context.status, retryAfterMs, body } = answer;
  const diagnosis = diagnosisFor(wire, answer.status, context);
  const { code, hint, texts, param, promptTokens, contextLength } = diagnosis;
  const said = shorten(withParam(forPeople(texts), param), context);
  // If the text determined the code, it can stand alone; otherwise the message also needs the status.
  const isKnown = body === undefined || hint !== undefined ||
    code !== diagnose({ message: "" }, answer.status).code;
  const state = said !== "" && isKnown ? said : wordlessState(wire, answer, said, context);
  const isAboutModel = ERROR_CODES[code].kind === "model-not-available";
  return callError<KnownCode>(context, code, cutText(state, MAX_STATE_CHARS), {
    status,
    retryAfterMs,
    hint: hintFor(diagnosis, answer, context),
    promptTokens,
    contextLength,
    ...(isAboutModel && {
      model: shownModel(context.model, context.action, context.redact),
      available: listedModels(texts)?.map((id) => shorten(id, context)),
    }),
  });
}

/** Diagnoses the error with regard to the route and the request. */
function diagnosisFor(
  wire: WireError,
  status: number | undefined,
  { service, since, onMissingRoute, hasToolSchemasAlone }: ErrorContext,
): Diagnosis {
  const diagnosis = diagnose(wire, status);
  // A server without a route of newer versions is either old or not the expected server.
  if (diagnosis.code === "unexpected_endpoint" && since !== undefined) {
    // In a stream the route exists: a tool may have used these words.
    if (status !== undefined) onMissingRoute?.();
    return { ...diagnosis, code: "unsupported_by_server", hint: tooOldHint(service, since) };
  }
  return diagnosis.code === "unsupported_response_format" && hasToolSchemasAlone === true
    ? { ...diagnosis, code: "invalid_tool_schema" }
    : diagnosis;
}

/** Puts the field's name before the text: "Invalid input" alone is not enough. */
function withParam(text: string, param: string | undefined): string {
  const isTold = param === undefined || text.toLowerCase().includes(param.toLowerCase());
  return isTold || text.trim() === "" || param.length > MAX_STATE_CHARS / 2
    ? text
    : `${param}: ${text}`;
}

function wordlessState(
  { type, code, param }: WireError,
  { status, body }: Answer,
  said: string,
  context: ErrorContext,
): string {
  const line = status === undefined || status < 300
    ? "the server reported an error without a message"
    : answered(status);
  if (body?.kind === "page") return `${line} with an HTML page`;
  if (body?.kind === "empty") return `${line} with an empty body`;
  if (said !== "") return line.endsWith(` ${said}`) ? line : `${line}: ${said}`;
  const named = [type ?? code, param].filter((name) => name !== undefined);
  const identifier = shorten(named.join(", "), context);
  return identifier === "" ? line : `${line} (${identifier})`;
}

function hintFor(diagnosis: Diagnosis, answer: Answer, context: ErrorContext): string | undefined {
  const { code, hint, promptTokens, contextLength } = diagnosis;
  const { status, retryAfterMs = 0, body } = answer;
  const { service, notFoundHint, unauthorizedHint } = context;
  const between = inBetweenHint(diagnosis, answer);
  if (between !== undefined) return withProxyHint(between, context);
  if (code === "model_not_found" && notFoundHint !== undefined) return notFoundHint;
  if (code === "unauthorized" && unauthorizedHint !== undefined) return unauthorizedHint;
  // If the prompt fits, the answer filled the rest of the context, and these numbers would mislead.
  if (promptTokens !== undefined && contextLength !== undefined && promptTokens >= contextLength) {
    return "Shorten the input, set `contextOverflowPolicy` (completions), or load the model with a context length " +
      `above ${promptTokens} tokens (it has ${contextLength}).`;
  }
  if (code === "rate_limited" && retryAfterMs > 0) {
    return `Wait ${Math.ceil(retryAfterMs / 1000)} s before trying again.`;
  }
  const isUnknown = hint === undefined && (code === "server_error" || code === "invalid_request");
  if (body !== undefined && isUnknown && (status === 404 || status === 405)) {
    const address = defaultHint("not_lm_studio", service);
    return body.kind === "page" ? withProxyHint(address, context) : address;
  }
  if (body !== undefined && !body.isServers && isUnknown && PROXY_STATUS.test(`${status}`)) {
    return found(context.proxyHint) ?? IN_BETWEEN_HINT;
  }
  if (body?.kind !== "page") return hint;
  // The hint of the code comes first: the page may be a proxy's, even with a status such as 401.
  if (isUnknown) return found(context.proxyHint) ?? (body.isServers ? undefined : IN_BETWEEN_HINT);
  return withProxyHint(hint ?? defaultHint(code, service), context);
}

function redirectError(
  status: number,
  location: string | null,
  context: ErrorContext,
): AnyProviderError {
  const target = location === null ? undefined : targetOf(location, context);
  const place = target === undefined ? "its target" : `${target}, if that is right`;
  const state = status === 0 ? "the server answered with a redirect" : answered(status);
  return callError(context, "not_lm_studio", state, {
    // Status 0 only means that the browser hides the real one.
    status: status === 0 ? context.status : status,
    hint:
      `Set the base URL to the root of ${place}: redirects are not followed, so that no header reaches ` +
      "another server.",
  });
}

function targetOf(location: string, context: ErrorContext): string | undefined {
  try {
    const { protocol, origin, pathname } = new URL(location, context.endpoint);
    return /^https?:$/.test(protocol) ? shorten(`${origin}${pathname}`, context) : undefined;
  } catch {
    return undefined;
  }
}

// --- Proxies ----------------------------------------------------------------------------------

/** Statuses that come from a proxy rather than a local server; those above 511 are Cloudflare's. */
const PROXY_STATUS = /^(?:407|50[234]|52[0-7]|530)$/;

/** Sign-in schemes that LM Studio does not use. */
const FOREIGN_CHALLENGE = /^\s*(?:basic|digest|negotiate|ntlm)\b/i;

/** Hints by status, in case something between us and the server answered instead. */
const IN_BETWEEN_HINTS: Readonly<Record<number, string>> = {
  401:
    "Something between you and the server, such as a reverse proxy, requires its own sign-in: pass its token as " +
    "`apiToken`, set `authorization` in `headers`, or use an address that bypasses it.",
  403:
    "Something between you and the server, such as a proxy or firewall, rejects the request: allow the address " +
    "there, or bypass it.",
  407:
    "A proxy between you and the server requires its own sign-in: put the credentials in the proxy's address, or bypass it.",
  413:
    "Something between you and the server rejects a request this large: raise its limit (nginx: " +
    "`client_max_body_size`), or send less at once, such as fewer messages or smaller images.",
};

const IN_BETWEEN_HINT =
  "Something between you and the server answered in its place: check that the server is running, and look at the " +
  "log of that proxy or load balancer.";

/** The hint for an answer that apparently came from something other than the server. */
function inBetweenHint(
  { hint }: Diagnosis,
  { status = 0, body, isForeign }: Answer,
): string | undefined {
  if (body === undefined) return undefined;
  const isPage = body.kind === "page" && !body.isServers;
  // A server rejects a request in JSON or in known words.
  const isPlain = body.kind !== "json" && hint === undefined && !body.isServers;
  const isBetween = isPage || status === 407 || (status === 401 && isForeign === true) ||
    (status === 403 && isPlain);
  return isBetween ? IN_BETWEEN_HINTS[status] : undefined;
}

function withProxyHint(hint: string, { proxyHint }: ErrorContext): string {
  const added = found(proxyHint);
  return added === undefined ? hint : `${hint} ${added}`;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Hint in case a proxy is the cause: Deno and Bun send even requests to this machine through `HTTP_PROXY`.
 *
 * @param env used instead of the process's environment.
 */
export function proxyHint(baseUrl: string, env: Environment | undefined): string | undefined {
  if (!isLoopback(baseUrl)) return undefined;
  const { HTTP_PROXY = "", NO_PROXY = "" } = env ?? readEnvironment(["HTTP_PROXY", "NO_PROXY"]);
  const { hostname } = new URL(baseUrl);
  if (isExempt(hostname, NO_PROXY)) return undefined;
  const names = hostname === "[::1]" ? "127.0.0.1,localhost,::1" : "127.0.0.1,localhost";
  // Other variables, which we do not read, can also set a proxy: hence "if".
  return HTTP_PROXY.trim() === ""
    ? `If a proxy is configured, set NO_PROXY=${names}.`
    : `HTTP_PROXY is set and affects requests to this machine too: set NO_PROXY=${names}.`;
}

/** Whether `NO_PROXY` covers the host: by name, by domain, with a port, or by address range. */
function isExempt(hostname: string, noProxy: string): boolean {
  const host = hostname.replace(/^\[(.*)\]$/, "$1");
  return noProxy.toLowerCase().split(/[\s,]+/).some((entry) => {
    if (entry === "*") return true;
    if (/^127\.[\d.]+\/\d+$/.test(entry)) return host.startsWith("127.");
    const name = entry.replace(/^\[(.*)\](?::\d+)?$/, "$1").replace(/^([^:]*):\d+$/, "$1")
      .replace(/^\*?\./, "");
    return name !== "" && (host === name || host.endsWith(`.${name}`));
  });
}

// --- Bodies -----------------------------------------------------------------------------------

/** Body of an error status that is not an error in one of the server's shapes. */
interface Body {
  readonly kind: "page" | "empty" | "json" | "text";
  /** Whether it comes from a known server: a page of the kind LM Studio writes, or an error in vLLM's shape. */
  readonly isServers?: boolean;
  readonly wire: WireError;
}

function describeBody(bodyText: string): Body {
  if (bodyText.trim() === "") return { kind: "empty", wire: { message: "" } };
  // The text of a page is meant for people in browsers, so it is not used.
  if (isHtml(bodyText)) {
    return { kind: "page", isServers: EXPRESS_PAGE.test(bodyText), wire: { message: "" } };
  }
  const value = parseJson(bodyText);
  if (isRecord(value)) {
    return { kind: "json", isServers: value.object === "error", wire: readRecord(value, {}) };
  }
  const message = value === undefined ? bodyText : typeof value === "string" ? value : "";
  return { kind: "text", wire: salvageWireError(message) ?? { message } };
}

/** Error page of LM Studio's web framework. */
const EXPRESS_PAGE = /<title>Error<\/title>\s{0,20}<\/head>\s{0,20}<body>\s{0,20}<pre>/i;

/** Whether a text is an HTML page or part of one, which no route of the server returns. */
export function isHtml(text: string): boolean {
  return /^[\s\uFEFF]*<[!?a-z]/i.test(text);
}

/** The innermost text, without the stack trace or template source that engines add. */
function forPeople(texts: readonly string[]): string {
  const text = texts.findLast((text) => text.trim() !== "") ?? "";
  const raised = text.lastIndexOf("Jinja Exception: ");
  const said = raised === -1 ? text : text.slice(raised);
  const stack = said.indexOf("\n    at ");
  return stack === -1 ? said : said.slice(0, stack);
}

/** Model ids after "Your models:" or in "(e.g., a, b, …)"; `undefined` if there are none. */
function listedModels(texts: readonly string[]): string[] | undefined {
  for (const text of texts) {
    const [, list] = text.split(/your models:/i, 2);
    if (list !== undefined) return modelIds(list.split("\n"));
    const [, example] = text.split(/\(e\.g\.,?/i, 2);
    // A list that is not closed was cut off, so its last name is incomplete.
    if (example?.includes(")")) return modelIds(example.slice(0, example.indexOf(")")).split(","));
    if (example !== undefined) return modelIds(example.split(",").slice(0, -1));
  }
  return undefined;
}

function modelIds(items: readonly string[]): string[] | undefined {
  const ids = items.map((item) => item.trim().replace(/^[-*•] |["'`]/g, ""))
    .filter((id) => /^[^\s…]{1,200}$/.test(id) && /[a-z0-9]/i.test(id));
  return ids.length === 0 ? undefined : [...new Set(ids)].slice(0, MAX_LISTED_MODELS);
}

/** Text from the server, redacted and shortened to be shown. */
function shorten(text: string, { redact }: Pick<ErrorContext, "redact">): string {
  return showWords(text, redact);
}

/**
 * The requested model as it may be shown. If the message does not name it, it came from the server's listing, which may
 * echo a secret.
 */
export function shownModel(
  model: string | undefined,
  action: string,
  redact: ErrorContext["redact"],
): string | undefined {
  return model === undefined || action.includes(quote(model)) ? model : showWords(model, redact);
}

/** The start of an unexpected text, to append to a state. Redacted before it is cut. */
export function startOf(text: string, context: Pick<ErrorContext, "redact">): string {
  const line = shorten(text, context);
  return line === "" ? ": it is empty" : `: "${cutText(line, MAX_START_CHARS)}"`;
}
