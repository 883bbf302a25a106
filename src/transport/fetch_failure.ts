/**
 * What it means when `fetch`, or reading a body, rejects: every runtime says it in its own way.
 *
 * @module
 */

import type { KnownCode } from "../core/error_codes.ts";

/** A failure below HTTP. */
export interface FetchFailure {
  readonly code: Extract<
    KnownCode,
    "connection_refused" | "connection_reset" | "permission_denied"
  >;
  /** Completes "Cannot …: ". */
  readonly state: string;
  readonly hint?: string;
}

/** Codes of Node (`cause.code`) and Bun (`code`) for connections that did not come about. */
const NO_CONNECTION: Readonly<Record<string, string>> = {
  ECONNREFUSED: "refused the connection",
  ConnectionRefused: "refused the connection",
  FailedToOpenSocket: "refused the connection",
  ENOTFOUND: "has a name that cannot be resolved",
  EAI_AGAIN: "has a name that cannot be resolved",
  DNSException: "has a name that cannot be resolved",
  EHOSTUNREACH: "cannot be reached",
  ENETUNREACH: "cannot be reached",
  EHOSTDOWN: "cannot be reached",
  ENETDOWN: "cannot be reached",
  EADDRNOTAVAIL: "cannot be reached",
  ETIMEDOUT: "did not accept the connection in time",
  UND_ERR_CONNECT_TIMEOUT: "did not accept the connection in time",
};

/** What Deno says, which gives no code: the operating systems' words and numbers (Linux, macOS, Windows). */
const DENO_NO_CONNECTION: readonly (readonly [RegExp, string])[] = [
  [/os error (?:111|61|10061)\b|connection refused/i, "refused the connection"],
  [/dns error|failed to lookup address|no such host/i, "has a name that cannot be resolved"],
  [/os error (?:113|101|65|51|10065|10051)\b|unreachable/i, "cannot be reached"],
  [/os error (?:110|60|10060)\b/i, "did not accept the connection in time"],
];

/** Explains a rejection that came before any response. */
export function explainFailedSend(error: unknown, endpoint: string): FetchFailure {
  const origin = new URL(endpoint).origin;
  const causes = chain(error);
  if (causes.some(isPermissionError)) {
    const host = new URL(endpoint).host;
    return {
      code: "permission_denied",
      state: `this program is not allowed to connect to ${host}`,
      hint: `Allow it, in Deno with \`--allow-net=${host}\`.`,
    };
  }
  for (const { code, message } of causes) {
    const state = NO_CONNECTION[code];
    if (state !== undefined) return { code: "connection_refused", state: `${origin} ${state}` };
    for (const [words, deno] of DENO_NO_CONNECTION) {
      if (code === "" && words.test(message)) {
        return { code: "connection_refused", state: `${origin} ${deno}` };
      }
    }
  }
  if (
    causes.some(({ code, message }) =>
      /CERT|TLS|SSL/i.test(code) || /certificate|\btls\b|\bssl\b/i.test(message)
    )
  ) {
    return {
      code: "connection_refused",
      state: `the TLS handshake with ${origin} failed`,
      hint:
        "LM Studio itself serves plain http: use https only with a proxy in front, whose certificate this runtime trusts.",
    };
  }
  if (causes.some(({ message }) => /\b(?:bad|blocked|invalid) port\b/i.test(message))) {
    return {
      code: "connection_refused",
      state: `this runtime does not connect to port ${new URL(endpoint).port}`,
      hint: "Let the server listen on another port: `fetch` blocks those of other protocols.",
    };
  }
  if (causes.some(({ message }) => message.includes("client error (Connect)"))) {
    return { code: "connection_refused", state: `${origin} could not be connected to` };
  }
  // Whatever else it is, the request may have reached the server: the careful reading for retries.
  return { code: "connection_reset", state: `${origin} closed the connection before it answered` };
}

function isPermissionError({ name, code }: Cause): boolean {
  return name === "NotCapable" || name === "PermissionDenied" || code === "ERR_ACCESS_DENIED";
}

interface Cause {
  readonly name: string;
  readonly code: string;
  readonly message: string;
}

/** The error, its causes, and the parts of an `AggregateError` (Node tries IPv6 and IPv4). */
function chain(error: unknown, depth = 0): Cause[] {
  if (typeof error !== "object" || error === null || depth > 5) return [];
  const { name, code, message, cause, errors } = error as Record<string, unknown>;
  const own = {
    name: typeof name === "string" ? name : "",
    code: typeof code === "string" ? code : "",
    message: typeof message === "string" ? message : "",
  };
  const parts = Array.isArray(errors) ? errors.flatMap((part) => chain(part, depth + 1)) : [];
  return [own, ...parts, ...chain(cause, depth + 1)];
}
