/**
 * From what a server answered to an error of this package: `Cannot <action>: <what the server said>`, with the code and
 * the remedy that the words ask for. Whatever a server sends is redacted before it is shown.
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

/** Facts of a failed call that its error states. */
export interface ErrorContext {
  /** Completes "Cannot …", such as `complete with model "qwen/qwen3-8b"`. */
  readonly action: string;
  /** Name of the service for people, such as `"LM Studio"`. */
  readonly service: string;
  /** URL of the call, without credentials. */
  readonly endpoint: string;
  readonly attempts: number;
  /** Of the answer, once there is one. */
  readonly status?: number | undefined;
  /** Model that was asked for. */
  readonly model?: string | undefined;
  /** First version of the server that has the route: an older one is named as such. */
  readonly since?: string | undefined;
  /** Called when the server does not have the route, where only newer versions do. */
  readonly onMissingRoute?: (() => void) | undefined;
  /** Remedy of `model_not_found`, where the code's own does not help. */
  readonly notFoundHint?: string | undefined;
  /** Remedy of `unauthorized`, likewise. */
  readonly unauthorizedHint?: string | undefined;
  /** Whether the only schemas in the request are those of its tools: an engine does not say which it refuses. */
  readonly hasToolSchemasAlone?: boolean | undefined;
  /** Removes secrets and prompt text from text that a server sent. */
  readonly redact: (text: string) => string;
  /** Remedy where a proxy answers in the server's place; only where the address is loopback. */
  readonly proxyHint?: Late<string>;
  /** Part of the answer that had arrived. */
  readonly partial?: Late<PartialAnswer>;
}

/** Value, or a function that finds it: every answer has a context, and few become an error. */
type Late<T> = T | (() => T | undefined) | undefined;

/** Value of a field that may be found late. */
export function found<T extends string | PartialAnswer>(field: Late<T>): T | undefined {
  return typeof field === "function" ? field() : field;
}

/** Error of a code in a call. @param state completes "Cannot …: ". */
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
/** 60 characters, and a sign that there were more: enough to see what it is. */
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

/** Error for a wire error. `status` is the one it came with, 200 included, and undefined for a frame inside a stream. */
export function errorFromWire(
  wire: WireError,
  status: number | undefined,
  context: ErrorContext,
): AnyProviderError {
  return errorFromAnswer(wire, { status }, context);
}

/** Error for a response that is not 2xx: its body may be JSON, a page, plain text, cut or empty. */
export function errorFromResponse(
  response: { readonly status: number; readonly headers: Headers; readonly bodyText: string },
  context: ErrorContext,
  now: number = Date.now(),
): AnyProviderError {
  const { status, headers, bodyText } = response;
  // A browser gives a redirect that was not followed the status 0.
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
 * Error for a 2xx body that is not what was expected. `reason` is the state in the message, such as "the answer is not
 * JSON"; the start of what is no JSON follows it, unless the body is only a part of the answer.
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

/** Answer around a wire error. */
interface Answer {
  readonly status: number | undefined;
  readonly retryAfterMs?: number | undefined;
  /** Only where the body is not an error in a shape of the server, whose own answer that would be. */
  readonly body?: Body;
  /** Whether it asks for a sign-in that is not the server's. */
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
  // Words that decided speak for themselves; any others need what the server did beside them.
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

/** Reads the words as they are meant on this route and for this request. */
function diagnosisFor(
  wire: WireError,
  status: number | undefined,
  { service, since, onMissingRoute, hasToolSchemasAlone }: ErrorContext,
): Diagnosis {
  const diagnosis = diagnose(wire, status);
  // A server that does not know a route of newer versions is old, or not the one it is taken for.
  if (diagnosis.code === "unexpected_endpoint" && since !== undefined) {
    // Where a stream has begun there is the route: a tool of it may have said that.
    if (status !== undefined) onMissingRoute?.();
    return { ...diagnosis, code: "unsupported_by_server", hint: tooOldHint(service, since) };
  }
  return diagnosis.code === "unsupported_response_format" && hasToolSchemasAlone === true
    ? { ...diagnosis, code: "invalid_tool_schema" }
    : diagnosis;
}

/** Text behind the field that it is about: "Invalid input" alone is not enough. */
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
  // Smaller than the context: the answer filled the rest, and the numbers would mislead.
  if (promptTokens !== undefined && contextLength !== undefined && promptTokens >= contextLength) {
    return "Shorten the input, set `contextOverflowPolicy` of a completion, or load the model with a context length " +
      `of more than ${promptTokens} tokens (it has ${contextLength}).`;
  }
  if (code === "rate_limited" && retryAfterMs > 0) {
    return `Wait ${Math.ceil(retryAfterMs / 1000)} s before you try again.`;
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
  // The code's own remedy comes first: a page of a proxy may say 401 as well.
  if (isUnknown) return found(context.proxyHint) ?? (body.isServers ? undefined : IN_BETWEEN_HINT);
  return withProxyHint(hint ?? defaultHint(code, service), context);
}

function redirectError(
  status: number,
  location: string | null,
  context: ErrorContext,
): AnyProviderError {
  const target = location === null ? undefined : targetOf(location, context);
  const place = target === undefined ? "where it leads" : `${target}, if that is right`;
  const state = status === 0 ? "the server answered with a redirect" : answered(status);
  return callError(context, "not_lm_studio", state, {
    // What a browser hides is no status.
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

// --- In between -------------------------------------------------------------------------------

/** Statuses that only something between us and a local server sends; those beyond 511 are Cloudflare's. */
const PROXY_STATUS = /^(?:407|50[234]|52[0-7]|530)$/;

/** Ways to sign in that no LM Studio asks for. */
const FOREIGN_CHALLENGE = /^\s*(?:basic|digest|negotiate|ntlm)\b/i;

/** Remedies where something between us and the server answers in its place, by status. */
const IN_BETWEEN_HINTS: Readonly<Record<number, string>> = {
  401:
    "Something between here and the server, such as a reverse proxy, wants a sign-in of its own: give the " +
    "token it takes as `apiToken`, or its `authorization` in `headers`, or use an address that goes past it.",
  403:
    "Something between here and the server, such as a proxy or firewall, refuses the request: allow the address " +
    "there, or go past it.",
  407:
    "A proxy between here and the server wants a sign-in of its own: give it in the proxy's address, or go past it.",
  413:
    "Something between here and the server takes no request this large: raise its limit (nginx: " +
    "`client_max_body_size`), or send less at once, such as fewer messages or smaller images.",
};

const IN_BETWEEN_HINT =
  "Something between here and the server answers in its place: see whether the server is on, and look at that " +
  "proxy's or balancer's log.";

/** Remedy of an answer that has one of its own where it is not the server's. */
function inBetweenHint(
  { hint }: Diagnosis,
  { status = 0, body, isForeign }: Answer,
): string | undefined {
  if (body === undefined) return undefined;
  const isPage = body.kind === "page" && !body.isServers;
  // Servers refuse in JSON, or in words that are known.
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
 * Remedy where a proxy can be the cause: Deno and Bun send even requests to this machine through `HTTP_PROXY`.
 *
 * @param env used instead of the process's environment.
 */
export function proxyHint(baseUrl: string, env: Environment | undefined): string | undefined {
  if (!isLoopback(baseUrl)) return undefined;
  const { HTTP_PROXY = "", NO_PROXY = "" } = env ?? readEnvironment(["HTTP_PROXY", "NO_PROXY"]);
  const { hostname } = new URL(baseUrl);
  if (isExempt(hostname, NO_PROXY)) return undefined;
  const names = hostname === "[::1]" ? "127.0.0.1,localhost,::1" : "127.0.0.1,localhost";
  // Proxies are also set by variables that we do not read, hence "if".
  return HTTP_PROXY.trim() === ""
    ? `If a proxy is configured, set NO_PROXY=${names}.`
    : `HTTP_PROXY is set and takes requests to this machine too: set NO_PROXY=${names}.`;
}

/** Whether `NO_PROXY` names the host: as it is, by a domain's end, with a port, or by a range of addresses. */
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

/** A body that came with an error status and is not an error in a shape of the server. */
interface Body {
  readonly kind: "page" | "empty" | "json" | "text";
  /** Whether it is a server's own: a page that LM Studio was seen to write, an error in the shape of vLLM. */
  readonly isServers?: boolean;
  readonly wire: WireError;
}

function describeBody(bodyText: string): Body {
  if (bodyText.trim() === "") return { kind: "empty", wire: { message: "" } };
  // A page has words, but for people before browsers.
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

/** Page of LM Studio's web framework, which says in it what went wrong. */
const EXPRESS_PAGE = /<title>Error<\/title>\s{0,20}<\/head>\s{0,20}<body>\s{0,20}<pre>/i;

/** Whether a text is a page, or a part of one: no route of the server has such an answer. */
export function isHtml(text: string): boolean {
  return /^[\s\uFEFF]*<[!?a-z]/i.test(text);
}

/** Innermost text, without the stack and the template source that engines put around it. */
function forPeople(texts: readonly string[]): string {
  const text = texts.findLast((text) => text.trim() !== "") ?? "";
  const raised = text.lastIndexOf("Jinja Exception: ");
  const said = raised === -1 ? text : text.slice(raised);
  const stack = said.indexOf("\n    at ");
  return stack === -1 ? said : said.slice(0, stack);
}

/** Ids after "Your models:" or in "(e.g., a, b, …)"; undefined where there are none. */
function listedModels(texts: readonly string[]): string[] | undefined {
  for (const text of texts) {
    const [, list] = text.split(/your models:/i, 2);
    if (list !== undefined) return modelIds(list.split("\n"));
    const [, example] = text.split(/\(e\.g\.,?/i, 2);
    // An unclosed list is cut, and its last name with it.
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

/** Server's text as it may be shown. */
function shorten(text: string, { redact }: Pick<ErrorContext, "redact">): string {
  return showWords(text, redact);
}

/**
 * Model that was asked for, as the message names it: one that is not named there was taken from the server's listing,
 * which may be an echo.
 */
export function shownModel(
  model: string | undefined,
  action: string,
  redact: ErrorContext["redact"],
): string | undefined {
  return model === undefined || action.includes(quote(model)) ? model : showWords(model, redact);
}

/** Start of a text that should have been something else, to follow what is said of it. Redacted before it is cut. */
export function startOf(text: string, context: Pick<ErrorContext, "redact">): string {
  const line = shorten(text, context);
  return line === "" ? ": it is empty" : `: "${cutText(line, MAX_START_CHARS)}"`;
}
