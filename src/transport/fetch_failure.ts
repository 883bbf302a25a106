/**
 * What it means when `fetch`, or reading a body, rejects: every runtime says it in its own way.
 *
 * @module
 */

import type { ConnectionTrouble } from "../core/connection_hints.ts";
import type { KnownCode } from "../core/error_codes.ts";

/** A failure below HTTP. */
export interface FetchFailure {
  readonly code: Extract<
    KnownCode,
    "connection_refused" | "connection_reset" | "permission_denied"
  >;
  /** Completes "Cannot …: ". */
  readonly state: string;
  /** What to do, where the cause is certain. */
  readonly hint?: string;
  /** What kind of trouble it is, where that has several causes. */
  readonly trouble?: ConnectionTrouble;
  /** Sent again it would fail again, unlike others of the code. */
  readonly isPermanent?: boolean;
  /** The connection broke, as one does that the server had closed while it was pooled. */
  readonly isBroken?: boolean;
}

/** Why there was no connection. */
type NoConnection = Extract<ConnectionTrouble, "refused" | "unresolved" | "unreachable" | "late">;

/** What is said of the address. */
const STATES: Readonly<Record<NoConnection, string>> = {
  refused: "refused the connection",
  unresolved: "has a name that cannot be resolved",
  unreachable: "cannot be reached",
  late: "did not accept the connection in time",
};

/** Codes of Node (`cause.code`) and Bun (`code`) for connections that did not come about. */
const NO_CONNECTION: Readonly<Record<string, NoConnection>> = {
  ECONNREFUSED: "refused",
  ConnectionRefused: "refused",
  FailedToOpenSocket: "refused",
  ENOTFOUND: "unresolved",
  EAI_AGAIN: "unresolved",
  DNSException: "unresolved",
  EHOSTUNREACH: "unreachable",
  ENETUNREACH: "unreachable",
  EHOSTDOWN: "unreachable",
  ENETDOWN: "unreachable",
  EADDRNOTAVAIL: "unreachable",
  ETIMEDOUT: "late",
  UND_ERR_CONNECT_TIMEOUT: "late",
};

/** Deno gives no code, but the phase: only what failed in this one is sure not to have been sent. */
const DENO_CONNECT = "client error (Connect)";

/** What Deno says in that phase: the operating systems' words and numbers (Linux, macOS, Windows). */
const DENO_NO_CONNECTION: readonly (readonly [RegExp, NoConnection])[] = [
  [/os error (?:111|61|10061)\b|connection refused/i, "refused"],
  [/dns error|failed to lookup address|no such host/i, "unresolved"],
  [/os error (?:113|101|65|51|64|50|10065|10051)\b|unreachable/i, "unreachable"],
  [/os error (?:110|60|10060)\b/i, "late"],
];

/** What is wrong with a TLS handshake, by the codes of Node and Bun and the words of Deno; the first one that fits. */
const TLS_TROUBLES: readonly (readonly [RegExp, ConnectionTrouble, string])[] = [
  [
    /ALTNAME|not ?valid ?for ?name|hostname\/ip does not match/i,
    "certificate-name",
    ": its certificate is for another name",
  ],
  [
    /HAS_EXPIRED|NOT_YET_VALID|certificate: (?:certificate )?(?:expired|not ?valid ?yet)|has expired/i,
    "certificate-date",
    ": its certificate is not valid at this time",
  ],
  [
    /CERT|UNABLE_TO_|self.signed/i,
    "certificate-untrusted",
    ": its certificate is self-signed, or of an issuer that is not trusted",
  ],
  [
    /WRONG_VERSION|PACKET_LENGTH|HTTP_REQUEST|corrupt message|wrong version|EPROTO/i,
    "plain-http",
    ": it may speak plain http",
  ],
];

/** Explains a rejection that came before any response. */
export function explainFailedSend(error: unknown, endpoint: string): FetchFailure {
  const { host, origin, port, protocol } = new URL(endpoint);
  const causes = chain(error);
  if (causes.some(isPermissionError)) {
    return {
      code: "permission_denied",
      state: `this program is not allowed to connect to ${host}`,
      hint: `Allow it, in Deno with \`--allow-net=${host}\`.`,
    };
  }
  const trouble = noConnection(causes);
  if (trouble !== undefined) {
    return { code: "connection_refused", state: `${origin} ${STATES[trouble]}`, trouble };
  }
  if (protocol === "https:" && causes.some(isTlsError)) return explainTls(causes, origin);
  // Node: "bad port"; Deno: "Requests to port 6000 are blocked".
  if (causes.some(({ message }) => /\bbad port\b|\bport \d+ (?:are|is) blocked\b/i.test(message))) {
    return {
      code: "connection_refused",
      state: `this runtime does not connect to port ${port}`,
      hint: "Let the server listen on another port: `fetch` blocks those of other protocols.",
    };
  }
  if (causes.some(({ message }) => message.includes(DENO_CONNECT))) {
    return { code: "connection_refused", state: `${origin} could not be connected to` };
  }
  if (causes.some(isForeignProtocol)) {
    return {
      code: "connection_reset",
      state: `what ${origin} sent is not HTTP`,
      hint: "Check the base URL: something else than LM Studio listens there, or it wants https.",
    };
  }
  if (causes.some(isBrokenConnection)) {
    const said = `${origin} closed the connection before it answered`;
    return { code: "connection_reset", state: said, isBroken: true };
  }
  // Whatever else it is, such as a mistake in a user's own `fetch`, the request may have reached the server:
  // the careful reading for retries.
  return { code: "connection_reset", state: "the request failed before an answer came" };
}

function explainTls(causes: readonly Cause[], origin: string): FetchFailure {
  const code = "connection_refused";
  const state = `the TLS handshake with ${origin} failed`;
  for (const [words, trouble, said] of TLS_TROUBLES) {
    if (causes.some(({ code, message }) => words.test(`${code} ${message}`))) {
      return { code, state: state + said, trouble, isPermanent: true };
    }
  }
  return { code, state, trouble: "plain-http" };
}

/** Why there was no connection; `undefined` unless it is sure that there was none. */
function noConnection(causes: readonly Cause[]): NoConnection | undefined {
  for (const { code, syscall, message } of causes) {
    // A connection that had come about can time out, or lose its route, as well.
    if (syscall === "read" || syscall === "write") continue;
    if (Object.hasOwn(NO_CONNECTION, code)) return NO_CONNECTION[code];
    if (!message.includes(DENO_CONNECT)) continue;
    for (const [words, meant] of DENO_NO_CONNECTION) if (words.test(message)) return meant;
  }
  return undefined;
}

/** Codes of Node and Bun for connections that broke. */
const BROKEN: ReadonlySet<string> = new Set([
  "ECONNRESET",
  "ECONNABORTED",
  "EPIPE",
  "UND_ERR_SOCKET",
  "ConnectionClosed",
]);

/** What Deno says of them, and the operating systems' numbers (Linux, macOS, Windows). */
const BROKEN_WORDS =
  /client error \(SendRequest\)|connection (?:was )?(?:reset|aborted|closed before message completed)|broken pipe|os error (?:104|54|10054|10053|32)\b/i;

function isBrokenConnection({ code, message }: Cause): boolean {
  return BROKEN.has(code) || BROKEN_WORDS.test(message);
}

function isPermissionError({ name, code }: Cause): boolean {
  return name === "NotCapable" || name === "PermissionDenied" || code === "ERR_ACCESS_DENIED";
}

function isTlsError({ code, message }: Cause): boolean {
  return /CERT|TLS|SSL|UNABLE_TO_VERIFY/i.test(code) ||
    /certificate|\btls\b|\bssl\b/i.test(message) ||
    // Deno, where the server answers the handshake in plain HTTP.
    message.includes("corrupt message");
}

/** The server is there and speaks, but not HTTP: Deno, Node, Bun. */
function isForeignProtocol({ name, code, message }: Cause): boolean {
  return name === "HTTPParserError" || /^HPE_|Malformed_HTTP/.test(code) ||
    /invalid HTTP (?:version|status|header)/.test(message);
}

interface Cause {
  readonly name: string;
  readonly code: string;
  readonly syscall: string;
  /** Without addresses: a path may be called `/tls`, a host `unreachable.lan`. */
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
