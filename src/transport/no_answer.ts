/**
 * Requests without an answer: how each runtime reports them, whether a server is there at all, and what to do about it.
 *
 * @module
 */

import { isLoopback } from "../core/base_url.ts";
import type { ConnectionTrouble } from "../core/connection_hints.ts";
import type { NetworkError, TimeoutError, TimeoutPhase } from "../core/errors.ts";
import { acceptsConnections, isLocalNetworkDenied } from "../platform/network.ts";
import { isBrowser } from "../platform/runtime.ts";
import { discardBody } from "./body.ts";
import { callError, type ErrorContext } from "./error_mapping.ts";
import { safeCause } from "./redact.ts";
import { startTimer, untilAborted } from "./timers.ts";

/** A server, the `fetch` that reaches it, and a search for it elsewhere on this machine. */
export interface ReachedServer {
  readonly baseUrl: string;
  /** Display name, such as `LM Studio`. */
  readonly service: string;
  readonly fetch?: typeof globalThis.fetch | undefined;
  /**
   * Checks whether the service answers at another address on this machine. Called only after a call has failed, and
   * never with a user's own `fetch`. Must not take noticeably long.
   */
  readonly lookElsewhere?:
    | ((baseUrl: string, signal: AbortSignal) => Promise<string | undefined>)
    | undefined;
}

/** A request with a signal. */
type SignalledInit = RequestInit & { signal: AbortSignal };

/** Calls the runtime's `fetch`, or the user's own. May throw as well as reject. */
export function fetchFrom(
  { fetch: own }: ReachedServer,
  url: string,
  init: SignalledInit,
): Promise<Response> {
  if (own !== undefined) return fetchByOwn(own, url, init);
  // Looked up at each use, so that a mock installed later is used. Called as a plain function, because browsers reject
  // any other `this`.
  const { fetch } = globalThis;
  return fetch(url, init);
}

async function fetchByOwn(
  own: typeof fetch,
  url: string,
  init: SignalledInit,
): Promise<Response> {
  const { signal } = init;
  // It may return something other than a promise, and may ignore the signal.
  const pending = Promise.resolve(own(url, init));
  try {
    return await untilAborted(pending, signal);
  } catch (error) {
    // Discard an answer that still arrives, or else the server keeps writing.
    pending.then(discardBody).catch(() => {});
    throw error;
  }
}

// --- Whether a server is there ----------------------------------------------------------------

/** Whether the server accepts a connection. Called if no headers have arrived in time. */
export async function isReachable(
  server: ReachedServer,
  endpoint: string,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<boolean> {
  // Only a user's own `fetch` knows how it reaches the server.
  const accepted = server.fetch === undefined
    ? await acceptsConnections(endpoint, timeoutMs, signal)
    : undefined;
  if (accepted === true) return true;
  // `fetch` may use a proxy to reach a server that we cannot connect to, unless it is on this machine.
  const mayBeThere = accepted === undefined || !isLoopback(endpoint);
  return mayBeThere && await answersGreeting(server, timeoutMs, signal);
}

/** Whether the server answers a request for its greeting with anything at all. */
export async function answersGreeting(
  server: ReachedServer,
  timeoutMs: number,
  signal: AbortSignal,
  init: RequestInit = {},
): Promise<boolean> {
  if (signal.aborted) return false;
  const controller = new AbortController();
  const abort = (): void => controller.abort();
  signal.addEventListener("abort", abort);
  const stopTimer = startTimer(timeoutMs, abort);
  const url = `${server.baseUrl}/lmstudio-greeting`;
  try {
    const { signal } = controller;
    discardBody(await fetchFrom(server, url, { redirect: "manual", ...init, signal }));
    return true;
  } catch {
    return false;
  } finally {
    stopTimer();
    signal.removeEventListener("abort", abort);
  }
}

// --- What a rejection of `fetch` means --------------------------------------------------------

/** A failure below HTTP. */
export interface FetchFailure {
  readonly code: "connection_refused" | "connection_reset" | "permission_denied";
  /** Completes "Cannot …: ". */
  readonly state: string;
  /** Hint, if the cause is certain. */
  readonly hint?: string;
  /** Kind of trouble, if it can have several causes. */
  readonly trouble?: ConnectionTrouble;
  /** Whether a retry would fail too, unlike for other errors of the code. */
  readonly isPermanent?: boolean;
  /** Whether the connection broke, as happens if the server has closed a pooled one. */
  readonly isBroken?: boolean;
}

/** A failure as the program sees it: pages see no cause. */
type SeenFailure = Omit<FetchFailure, "code"> & {
  readonly code: FetchFailure["code"] | "blocked_by_browser";
};

/** The phase in Deno's errors, which have no code. Only a request that failed in this phase was surely not sent. */
const DENO_CONNECT = "client error (Connect)";

/**
 * Connections that could not be made: codes of Node (`cause.code`) and Bun (`code`), Deno's words with the numbers of the
 * operating systems (Linux, macOS, Windows), and what the error says about the address.
 */
const NO_CONNECTION: readonly (readonly [ConnectionTrouble, RegExp, RegExp, string])[] = [
  [
    "refused",
    /^(?:ECONNREFUSED|ConnectionRefused|FailedToOpenSocket)$/,
    /os error (?:111|61|10061)\b|connection refused/i,
    "refused the connection",
  ],
  [
    "unresolved",
    /^(?:ENOTFOUND|EAI_AGAIN|DNSException)$/,
    /dns error|failed to lookup address|no such host/i,
    "has a host name that cannot be resolved",
  ],
  [
    "unreachable",
    /^(?:E(?:HOST|NET)(?:UNREACH|DOWN)|EADDRNOTAVAIL)$/,
    /os error (?:113|101|65|51|64|50|10065|10051)\b|unreachable/i,
    "cannot be reached",
  ],
  [
    "late",
    /^(?:ETIMEDOUT|UND_ERR_CONNECT_TIMEOUT)$/,
    /os error (?:110|60|10060)\b/i,
    "did not accept the connection in time",
  ],
];

/** Causes of failed TLS handshakes, by the codes of Node and Bun and the words of Deno. The first match counts. */
const TLS_TROUBLES: readonly (readonly [ConnectionTrouble, RegExp, string])[] = [
  [
    "certificate-name",
    /ALTNAME|not ?valid ?for ?name|hostname\/ip does not match/i,
    "its certificate is for another name",
  ],
  [
    "certificate-date",
    /HAS_EXPIRED|NOT_YET_VALID|certificate: (?:certificate )?(?:expired|not ?valid ?yet)|has expired/i,
    "its certificate is not valid at this time",
  ],
  [
    "certificate-untrusted",
    /CERT|UNABLE_TO_|self.signed/i,
    "its certificate is self-signed, or from an issuer that is not trusted",
  ],
  [
    "plain-http",
    /WRONG_VERSION|PACKET_LENGTH|HTTP_REQUEST|corrupt message|wrong version|EPROTO/i,
    "it may use plain http",
  ],
];

/** Codes (Node, Bun) or words (Deno, with "corrupt message" for an answer in plain HTTP) of TLS. */
const TLS =
  /^[^ ]*(?:CERT|TLS|SSL|UNABLE_TO_VERIFY)| .*(?:certificate|\btls\b|\bssl\b)|corrupt message/is;
/** Words for a server that does not speak HTTP: codes of Node and Bun, then Deno's words. */
const NOT_HTTP = /^(?:HPE_|[^ ]*Malformed_HTTP)|invalid HTTP (?:version|status|header)/;
/** Connections that broke: codes of Node and Bun, words of Deno with the operating systems' numbers. */
const BROKEN =
  /^(?:ECONNRESET|ECONNABORTED|EPIPE|UND_ERR_SOCKET|ConnectionClosed) |client error \(SendRequest\)|connection (?:was )?(?:reset|aborted|closed before message completed)|broken pipe|os error (?:104|54|10054|10053|32)\b/i;
/** Node: "bad port"; Deno: "Requests to port 6000 are blocked". */
const BLOCKED_PORT = /\bbad port\b|\bport \d+ (?:are|is) blocked\b/i;

/** Explains a rejection before any response. */
export function explainFailedSend(error: unknown, endpoint: string): FetchFailure {
  const { host, origin, port, protocol } = new URL(endpoint);
  const causes = chain(error);
  const says = (words: RegExp): boolean =>
    causes.some(({ code, message }) => words.test(`${code} ${message}`));
  if (
    causes.some(({ name, code }) =>
      /^(?:NotCapable|PermissionDenied)$/.test(name) || code === "ERR_ACCESS_DENIED"
    )
  ) {
    return {
      code: "permission_denied",
      state: `this program is not allowed to connect to ${host}`,
      hint: `Allow it; in Deno, use \`--allow-net=${host}\`.`,
    };
  }
  for (const { code, syscall, message } of causes) {
    // The same codes can also mean that an established connection timed out or lost its route.
    if (syscall === "read" || syscall === "write") continue;
    const isConnecting = message.includes(DENO_CONNECT);
    const known = NO_CONNECTION.find(([, codes, words]) =>
      codes.test(code) || (isConnecting && words.test(message))
    );
    if (known === undefined) continue;
    const [trouble, , , state] = known;
    return { code: "connection_refused", state: `${origin} ${state}`, trouble };
  }
  if (protocol === "https:" && says(TLS)) {
    const state = `the TLS handshake with ${origin} failed`;
    const known = TLS_TROUBLES.find(([, words]) => says(words));
    if (known === undefined) return { code: "connection_refused", state, trouble: "plain-http" };
    const [trouble, , said] = known;
    return {
      code: "connection_refused",
      state: `${state}: ${said}`,
      trouble,
      isPermanent: true,
    };
  }
  if (says(BLOCKED_PORT)) {
    return {
      code: "connection_refused",
      state: `this runtime does not connect to port ${port}`,
      hint: "Make the server listen on another port: `fetch` blocks this one.",
    };
  }
  if (causes.some(({ message }) => message.includes(DENO_CONNECT))) {
    return { code: "connection_refused", state: `could not connect to ${origin}` };
  }
  if (says(NOT_HTTP) || causes.some(({ name }) => name === "HTTPParserError")) {
    return {
      code: "connection_reset",
      state: `the answer from ${origin} is not HTTP`,
      hint: "Check the base URL: another program is listening there, or the server needs https.",
    };
  }
  const isBroken = says(BROKEN);
  // Anything else, such as a mistake in a user's own `fetch`: assume that the request may have reached the server, which
  // is the careful assumption for retries.
  const state = isBroken
    ? `${origin} closed the connection before it answered`
    : "the request failed before an answer arrived";
  return { code: "connection_reset", state, isBroken };
}

interface Cause {
  readonly name: string;
  readonly code: string;
  readonly syscall: string;
  /** The message without addresses: a path may be `/tls`, a host `unreachable.lan`. */
  readonly message: string;
}

/** The error, its causes, and the parts of an `AggregateError` (Node tries IPv6 and IPv4). */
function chain(error: unknown, depth = 0): Cause[] {
  if (typeof error !== "object" || error === null || depth > 5) return [];
  const { name, code, syscall, message, cause, errors } = error as Record<string, unknown>;
  const text = (value: unknown): string => typeof value === "string" ? value : "";
  const own = {
    name: text(name),
    code: text(code),
    syscall: text(syscall),
    message: text(message).replace(/https?:\/\/[^\s)"]*/gi, "").replace(/\([^()\s]*:\d+\)/g, ""),
  };
  const parts = Array.isArray(errors) ? errors.flatMap((part) => chain(part, depth + 1)) : [];
  return [own, ...parts, ...chain(cause, depth + 1)];
}

/** Explains a rejection in a page, where all look the same. A request without CORS shows whether a server answers. */
async function explainInPage(
  server: ReachedServer,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<SeenFailure> {
  if (await answersGreeting(server, timeoutMs, signal, { mode: "no-cors", redirect: "follow" })) {
    const state = `${server.service} is running, but does not let this page call it`;
    return { code: "blocked_by_browser", state };
  }
  if (await isLocalNetworkDenied()) {
    return {
      code: "blocked_by_browser",
      state: "this page is not allowed to reach the local network",
      hint:
        "Allow it for this site in the browser's settings, and start the server with `lms server start --cors`.",
    };
  }
  return { code: "connection_refused", state: `${server.baseUrl} cannot be reached` };
}

// --- Errors -----------------------------------------------------------------------------------

/** Longest time to delay an error for a better hint. */
const HINT_MS = 1000;

/** Waits for what a hint needs; `undefined` if it fails, as an `import()` may, or takes too long. */
async function inTime<T>(part: Promise<T>): Promise<T | undefined> {
  let stopTimer = (): void => {};
  const late = new Promise<undefined>((resolve) => {
    stopTimer = startTimer(HINT_MS, () => resolve(undefined));
  });
  try {
    return await Promise.race([part, late]);
  } catch {
    return undefined;
  } finally {
    stopTimer();
  }
}

/**
 * Returns a hint for a connection problem, by the address and the program's surroundings. Its code is loaded on first
 * use; if that fails, returns `undefined`, and the default hint of the error's code is used.
 */
export async function connectionHintFor(
  { baseUrl, service }: ReachedServer,
  trouble: ConnectionTrouble,
  answersAt?: string,
): Promise<string | undefined> {
  const parts = await inTime(Promise.all([
    import("../core/connection_hints.ts"),
    import("../platform/surroundings.ts"),
  ]));
  if (parts === undefined) return undefined;
  const [{ connectionHint }, { readSurroundings }] = parts;
  return connectionHint({ trouble, url: baseUrl, service, answersAt, ...readSurroundings() });
}

const TIMEOUTS = {
  connect: ["timeout_connect", "the server did not accept a connection"],
  "first-token": ["timeout_first_token", "the model produced no token"],
  idle: ["timeout_idle", "the server sent nothing more"],
  total: ["timeout_total", "the server did not finish"],
} as const;

/** Creates the error of a call that timed out. @param hint replaces the default hint of the code. */
export function timeoutError(
  phase: TimeoutPhase,
  timeoutMs: number,
  context: ErrorContext,
  hint?: string,
): TimeoutError {
  const [code, state] = TIMEOUTS[phase];
  const said = `${state} within ${timeoutMs} ms`;
  return callError(context, code, said, { hint, phase, timeoutMs });
}

/** A rejection of `fetch` before any answer. */
export interface Unanswered {
  /** The error, without its likely cause. */
  readonly error: NetworkError;
  /** Whether the connection broke, as in `FetchFailure`. */
  readonly isBroken: boolean;
  /** Returns the same error with its likely cause, after looking for the server at other addresses. */
  explain(): Promise<NetworkError>;
}

/**
 * Explains a rejection of `fetch`. In a page, where all look the same, this sends the server one more request.
 *
 * @param resetHint hint for a request that may have run.
 */
export async function explainUnanswered(
  cause: unknown,
  server: ReachedServer,
  context: ErrorContext,
  connectTimeoutMs: number,
  signal: AbortSignal,
  resetHint: string | undefined,
): Promise<Unanswered> {
  const sent = explainFailedSend(cause, context.endpoint);
  const { code, state, hint, trouble, isPermanent }: SeenFailure = isBrowser()
    ? await explainInPage(server, connectTimeoutMs, signal)
    : sent;
  const mayHaveRun = code === "connection_reset" ? resetHint : undefined;
  const toError = (likely?: string): NetworkError =>
    callError(context, code, state, {
      hint: mayHaveRun ?? hint ?? likely,
      retriable: isPermanent === true ? false : undefined,
      cause: safeCause(cause, context.redact),
    });
  const error = toError();
  return {
    error,
    isBroken: sent.isBroken === true,
    explain: async () => {
      if (trouble === undefined) return error;
      const { baseUrl, fetch, lookElsewhere } = server;
      const isToLook = trouble === "refused" && isLoopback(baseUrl) && fetch === undefined;
      const answersAt = isToLook && lookElsewhere !== undefined
        ? await inTime(lookElsewhere(baseUrl, signal))
        : undefined;
      return toError(await connectionHintFor(server, trouble, answersAt));
    },
  };
}
