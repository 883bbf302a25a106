/**
 * Forwarding of requests that another client wrote. They get the same timeouts, headers and errors as our own, but no
 * retries, which such clients do themselves.
 *
 * @module
 */

import { checkCallOptions } from "../core/checks.ts";
import { parseJson } from "../core/plain_text.ts";
import { isRecord } from "../core/fields.ts";
import { type AnyProviderError, providerError } from "../core/errors.ts";
import type { RetryPolicy } from "../core/retry.ts";
import { readBody } from "./body.ts";
import { Call, type CallLimit, type OriginState, type ServerSettings } from "./call.ts";
import { errorFromUndecodable, isHtml, readWireError } from "./error_mapping.ts";
import { EventReader, isEventStream, streamTimeouts } from "./event_reader.ts";
import { bytesBody, errorBody, eventsBody, type StreamKind } from "./forwarded_body.ts";
import {
  type ErrorStyle,
  PLAIN_ERRORS,
  TYPED_ERRORS,
  withErrorObject,
} from "./forwarded_errors.ts";
import { withBase64Vectors } from "./forwarded_vectors.ts";

/** The same limit as in `Transport.json()`. */
const MAX_BODY_BYTES = 256 * 1024 * 1024;
const SNIPPET_LENGTH = 6400;
const READ_TIMEOUT_MS = 30_000;
/** Timeout for the body of an error response, after which the part received is used. */
const ERROR_BODY_MS = 5000;
/** Routes on which a repeated request would change something twice. */
const STATEFUL_PATHS = /\/(?:responses|api\/v1\/(?:chat|models\/\w+))$/;

/** Anthropic-style routes: messages, and counting their tokens. */
const MESSAGES_PATH = /\/messages(?:\/\w+)?$/;
const LONGEST_PATH = 100;
const USE_BASE_URL =
  "Use the `baseURL` that came with this `fetch`: its API token is only for that server.";
/** Names of headers whose values are not secret. */
const PLAIN_HEADERS =
  /^(?:accept|content-|user-agent$|x-stainless-|host$|connection$|cache-control$)/;

/** Headers that apply only to the original body. */
const BODY_HEADERS = ["content-length", "content-encoding", "etag"] as const;

/** Statuses for which a `Response` cannot have a body, not even an empty one. */
const NO_BODY: ReadonlySet<number> = new Set([204, 205]);

/** A request of another client, prepared for sending. */
interface Forwarded {
  readonly call: Call;
  /** The JSON body, if it is an object. */
  readonly fields: Readonly<Record<string, unknown>>;
  readonly path: string;
  readonly isRead: boolean;
}

/**
 * Sends a client's request and answers like `fetch`, with these exceptions: an error under status 200 gets status 400,
 * an error that is a string becomes an object, and any other failure that would look like success rejects, or breaks
 * the body.
 *
 * @param ownKeys the API keys that clients may have got from this package; they stand for what the provider sends.
 * @throws {InvalidRequestError} if the address is not below the server's, so that it must not get the API token.
 * @throws {NetworkError} if no answer arrives.
 * @throws {TimeoutError} if the answer does not arrive in time.
 */
export async function forward(
  server: ServerSettings,
  origin: OriginState,
  ownKeys: readonly string[],
  input: RequestInfo | URL,
  init: RequestInit | null = {},
): Promise<Response> {
  const request = await prepare(server, origin, ownKeys, input, init ?? {});
  const { call, fields, isRead } = request;
  const startedAt = performance.now();
  const limit: CallLimit = fields.stream === true
    ? { phase: "first-token", ms: server.firstTokenTimeoutMs, startedAt }
    : {
      phase: "total",
      ms: server.timeoutMs ?? (isRead ? READ_TIMEOUT_MS : Infinity),
      startedAt,
    };
  try {
    const received = await call.send(limit, async (response) => {
      // Read here, so that the timeout of the call applies to the body.
      return { response, answer: await wholeAnswer(response, request) };
    });
    const { response, answer } = received;
    if (answer !== undefined) {
      call.finish();
      return answer;
    }
    if (response.status >= 400) return errorAnswer(response, call, styleOf(request));
    if (fields.stream !== true && !isEventStream(response)) {
      return bytesAnswer(response, call, streamTimeouts(server, fields).idleTimeoutMs);
    }
    return await streamAnswer(response, request, server, startedAt);
  } catch (error) {
    call.finish();
    throw error;
  }
}

// --- The request ------------------------------------------------------------------------------

async function prepare(
  server: ServerSettings,
  origin: OriginState,
  ownKeys: readonly string[],
  input: RequestInfo | URL,
  init: RequestInit,
): Promise<Forwarded> {
  const { service, baseUrl } = server;
  const refusal = (action: string, state: string, hint: string, endpoint?: string): Error =>
    providerError("invalid_request", `Cannot ${action}: ${state}`, {
      service,
      endpoint,
      attempts: 0,
      hint,
    });
  // Accepts a `Request` of another class than this runtime's.
  const given: Partial<Request> =
    typeof input === "object" && !(input instanceof URL) && input !== null ? input : {};
  const url = parseAddress(given.url ?? input);
  // Checked here, because the runtimes' own errors quote the address, which may contain a key, and header values.
  if (url === undefined) {
    throw refusal("send a request", "its address is invalid", USE_BASE_URL);
  }
  const path = pathBelow(baseUrl, url);
  const { method: initMethod, headers: initHeaders, body: initBody, signal: initSignal, ...rest } =
    init;
  const method = textOf(initMethod ?? given.method ?? "GET").toUpperCase();
  const { pathname } = url;
  const shownPath = pathname.length > LONGEST_PATH
    ? `${pathname.slice(0, LONGEST_PATH)}…`
    : pathname;
  if (!/^[!#$%&'*+.^_`|~0-9A-Z-]{1,20}$/.test(method)) {
    throw refusal(
      `send a request to ${shownPath}`,
      "its method is not an HTTP method",
      "Use GET or POST.",
    );
  }
  const action = `send ${method} ${shownPath}`;
  if (path === undefined) {
    const state = `${url.origin} is not the server at ${baseUrl}`;
    throw refusal(action, state, USE_BASE_URL, url.origin + pathname);
  }
  const headers = parseHeaders(initHeaders ?? given.headers);
  if (headers === undefined) {
    const hint =
      "Remove line breaks and characters outside Latin-1 from the names and values of its headers.";
    throw refusal(action, "it has a header that cannot be sent", hint, baseUrl + path);
  }
  const { signal } = checkCallOptions(
    { signal: initSignal ?? given.signal ?? undefined },
    (state) => refusal(action, state, "Pass the signal of an AbortController.", baseUrl + path),
  );
  const body = initBody ?? await bodyOf(given);
  addHeaders(headers, server, ownKeys);
  const fields = fieldsOf(body);
  const isRead = method === "GET" || method === "HEAD";
  const policy: RetryPolicy = isRead
    ? "read"
    : STATEFUL_PATHS.test(path)
    ? "stateful"
    : "stateless";
  const call = new Call(server, {
    method,
    path,
    query: url.search,
    body: fields,
    foreign: { headers, body, init: { ...duplexOf(body), ...credentialsOf(given), ...rest } },
    policy,
    action,
    model: typeof fields.model === "string" ? fields.model : undefined,
  }, {
    signal,
    maxRetries: 0,
    // Passed only so that their values are masked in errors.
    headers: Object.fromEntries([...headers].filter(([name]) => !PLAIN_HEADERS.test(name))),
  }, origin);
  return { call, fields, path, isRead };
}

/** Converts a value to text the way `fetch` does; `""` if that would throw. */
function textOf(value: unknown): string {
  try {
    return String(value);
  } catch {
    return "";
  }
}

function parseAddress(address: unknown): URL | undefined {
  try {
    return new URL(textOf(address));
  } catch {
    return undefined;
  }
}

function parseHeaders(headers: HeadersInit | undefined): Headers | undefined {
  try {
    return new Headers(headers);
  } catch {
    return undefined;
  }
}

/** The path below a base URL; `undefined` if it is not below: another path on that host may be a different server. */
function pathBelow(baseUrl: string, { origin, pathname }: URL): string | undefined {
  const place = origin + pathname;
  return place.startsWith(`${baseUrl}/`) ? place.slice(baseUrl.length) : undefined;
}

/** Reads the body of a `Request`, so that it can be inspected, and sent with its length. */
async function bodyOf(given: Partial<Request>): Promise<BodyInit | undefined> {
  if (given.body === undefined || given.body === null) return undefined;
  return await given.arrayBuffer?.();
}

/** Adds the provider's headers. The client's own win, except for a key that it got from us. */
function addHeaders(headers: Headers, server: ServerSettings, ownKeys: readonly string[]): void {
  const [, key] = /^bearer +(.*)$/i.exec(headers.get("authorization") ?? "") ?? [];
  if (key !== undefined && ownKeys.includes(key)) headers.delete("authorization");
  // Clients of Anthropic-style routes send their key in this header; the server reads both.
  if (ownKeys.includes(headers.get("x-api-key") ?? "")) headers.delete("x-api-key");
  for (const [name, value] of Object.entries(server.headers)) {
    if (!headers.has(name)) headers.set(name, value);
  }
  if (
    server.apiToken !== undefined && !headers.has("authorization") && !headers.has("x-api-key")
  ) {
    headers.set("authorization", `Bearer ${server.apiToken}`);
  }
}

function fieldsOf(body: BodyInit | undefined): Readonly<Record<string, unknown>> {
  const isBytes = body instanceof ArrayBuffer || ArrayBuffer.isView(body);
  const text = isBytes ? new TextDecoder().decode(body) : body;
  const fields = typeof text === "string" ? parseJson(text) : undefined;
  return isRecord(fields) ? fields : {};
}

/** Some runtimes require `duplex` for a body that is read while it is sent. */
function duplexOf(body: BodyInit | undefined): { duplex?: "half" } {
  const isStreamed = typeof body === "object" && !(body instanceof Blob) &&
    (body instanceof ReadableStream || Symbol.asyncIterator in body);
  return isStreamed ? { duplex: "half" } : {};
}

function credentialsOf({ credentials }: Partial<Request>): RequestInit {
  return credentials === undefined ? {} : { credentials };
}

// --- The answer -------------------------------------------------------------------------------

/** Returns the answer if it has to be read in full first, else `undefined`. */
async function wholeAnswer(
  response: Response,
  { call, fields, path }: Forwarded,
): Promise<Response | undefined> {
  if (!response.body || NO_BODY.has(response.status)) return copy(response, null);
  if (!response.ok || fields.stream === true || isEventStream(response) || !isText(response)) {
    return undefined;
  }
  const { text, end, failure } = await readBody(response, {
    maxBytes: MAX_BODY_BYTES,
    timeoutMs: Infinity,
    signal: call.signal,
  });
  call.signal.throwIfAborted();
  if (end === "failed") throw call.resetError(failure);
  if (end === "too-large") {
    const bodyText = text.slice(0, SNIPPET_LENGTH);
    const state = `the answer is larger than ${MAX_BODY_BYTES} bytes`;
    const cut = { status: response.status, bodyText, isCut: true };
    throw errorFromUndecodable(cut, state, call.context());
  }
  const value = parseJson(text);
  if (readWireError(value) !== undefined) return errorCopy(response, text, styleOf({ path }));
  if (isHtml(text)) {
    // No route returns a page, but clients would pass it on as the answer, and fail later on a missing field.
    const cut = { status: response.status, bodyText: text };
    const error = errorFromUndecodable(cut, "the answer is not JSON", call.context());
    return toldAnswer(response, error, styleOf({ path }));
  }
  if (fields.encoding_format === "base64" && path.endsWith("/embeddings")) {
    const changed = withBase64Vectors(value);
    if (changed !== undefined) return changedCopy(response, JSON.stringify(changed));
  }
  return copy(response, text);
}

/** Whether a body may be JSON. */
function isText({ headers }: Response): boolean {
  const type = headers.get("content-type");
  return type === null || /^\s*text\/|json/i.test(type);
}

function bytesAnswer(response: Response, call: Call, idleTimeoutMs: number): Response {
  return copy(response, bytesBody(response, call, idleTimeoutMs));
}

/** An answer with an error status. It is returned at once, since its body may be slow or never end. */
function errorAnswer(response: Response, call: Call, style: ErrorStyle): Response {
  if (!isText(response)) return bytesAnswer(response, call, ERROR_BODY_MS);
  const headers = new Headers(response.headers);
  // The body may be changed.
  for (const name of BODY_HEADERS) headers.delete(name);
  return copy(response, errorBody(response, call, ERROR_BODY_MS, style), response.status, headers);
}

async function streamAnswer(
  response: Response,
  { call, fields, path }: Forwarded,
  server: ServerSettings,
  startedAt: number,
): Promise<Response> {
  const reader = new EventReader(call, streamTimeouts(server, fields));
  reader.adopt(response, startedAt);
  const kind = kindOf(path);
  const isMany = kind === "completions" && typeof fields.n === "number" && fields.n !== 1;
  // With several answers in one stream, the first may finish long before the others.
  const stream = { reader, kind, isSingle: kind !== "other" && !isMany };
  if (isEventStream(response)) return copy(response, eventsBody(stream));
  // It may still be a stream. If it is not, the client would wait for events in vain.
  const first = await reader.pull();
  if (first.kind !== "text") return copy(response, eventsBody(stream, first));
  const { context } = reader;
  reader.close();
  if (readWireError(parseJson(first.text)) !== undefined) {
    return errorCopy(response, first.text, styleOf({ path }));
  }
  const cut = { status: first.status, bodyText: first.text };
  return toldAnswer(
    response,
    errorFromUndecodable(cut, "the answer is not a stream", context),
    styleOf({ path }),
  );
}

function kindOf(path: string): StreamKind {
  if (/\/(?:chat\/)?completions$/.test(path)) return "completions";
  return MESSAGES_PATH.test(path) ? "messages" : "other";
}

function styleOf({ path }: Pick<Forwarded, "path">): ErrorStyle {
  return MESSAGES_PATH.test(path) ? TYPED_ERRORS : PLAIN_ERRORS;
}

/** A copy of the answer with another body or status. */
function copy(
  response: Response,
  body: BodyInit | null,
  status: number = response.status,
  headers: Headers = response.headers,
): Response {
  const statusText = status === response.status ? response.statusText : "Bad Request";
  const same = new Response(body, { status, statusText, headers });
  Object.defineProperty(same, "url", { value: response.url });
  return same;
}

/** The answer for an error that came with a success status. */
function errorCopy(response: Response, text: string, style: ErrorStyle): Response {
  const changed = withErrorObject(text, style);
  if (changed === undefined) return copy(response, text, 400);
  return changedCopy(response, changed, 400);
}

/** An error as an answer. It is not thrown, because clients retry a request that rejects. */
function toldAnswer(
  response: Response,
  { message, kind: type, code }: AnyProviderError,
  style: ErrorStyle,
): Response {
  const json = JSON.stringify({ error: { message, type, code } });
  return changedCopy(response, withErrorObject(json, style) ?? json, 400);
}

function changedCopy(response: Response, json: string, status?: number): Response {
  const headers = new Headers(response.headers);
  for (const name of BODY_HEADERS) headers.delete(name);
  headers.set("content-type", "application/json; charset=utf-8");
  return copy(response, json, status, headers);
}
