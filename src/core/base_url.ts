/**
 * Normalizes server addresses as users write them, even in quotes, to one form: `scheme://host[:port][/prefix]`,
 * without a trailing slash.
 *
 * @module
 */

import { describe, type Rule } from "./checks.ts";

/** Address of a server, or what is wrong with it. `display` is the value without secrets. */
export type BaseUrlResult =
  | { readonly url: string; readonly problem?: undefined; readonly display?: undefined }
  | { readonly problem: string; readonly display: string; readonly url?: undefined };

/** Route names below a version prefix such as `/v1`, of LM Studio and other servers. */
const VERSIONED = "models|chat|completions|embeddings|responses|messages|decisions|systemone";
const UNVERSIONED = "tags|version|ps|show|pull|generate|embed|embeddings|chat";
const ALONE = "chat/completions|completions|models|embeddings|responses|messages|lmstudio-greeting";
/** Path endings that name a route or version prefix. They are removed, since requests add their own. */
const ROUTES = new RegExp(
  `/(?:(?:v1|api/v[01])(?:/(?:${VERSIONED})(?:/.*)?)?|api(?:/(?:${UNVERSIONED}))?|${ALONE})$`,
  "i",
);

/** Template placeholder that was not filled in. */
const PLACEHOLDER = /\$\{[^}]*\}?|\{\{.*?\}\}|\{[^}]*\}|\$\([^)]*\)|<[^>]*>/;
/** Variable placeholder. Not looked for in paths, where such text may be intended. */
const VARIABLE = /\$[a-z_]\w*|%[a-z_]\w*%/i;
/** Text that programs write for a missing value. */
const NO_VALUE = /^(?:null|undefined|none|nil|nan|true|false)$/i;
/** Host name with letters of any language. `URL` accepts other characters too, but they are mistakes. */
const HOST = /^[\p{L}\p{M}\p{N}_-]+(?:\.[\p{L}\p{M}\p{N}_-]+)*\.?$/u;

const NO_ADDRESS = "is not an address such as http://127.0.0.1:1234";

/**
 * Normalizes `host`, `host:port`, a root, an address that ends in a route such as `…/v1` or `…/api/v1/chat`, `ws://`,
 * trailing and doubled slashes, and surrounding quotes. A reverse proxy's prefix is kept; `0.0.0.0` becomes
 * `127.0.0.1`, since some systems cannot connect to it; a missing port is `defaultPort` if there is no scheme.
 */
export function normalizeBaseUrl(value: string, defaultPort = 1234): BaseUrlResult {
  const text = unquote(value);
  const display = hideSecrets(text);
  const problem = (state: string): BaseUrlResult => ({ problem: state, display });
  if (text === "") return problem("is empty");
  // Only in the part that may be shown: a password or a query may look like a placeholder.
  const placeholder = PLACEHOLDER.exec(display) ?? VARIABLE.exec(authorityOf(display));
  if (placeholder !== null) {
    return problem(`${NO_ADDRESS}: replace the placeholder ${placeholder[0].slice(0, 60)}`);
  }
  // The URL parser silently drops tabs and line breaks.
  if (/[\s\\]/.test(text)) return problem("contains whitespace or a backslash");

  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text)?.[1]?.toLowerCase();
  if (scheme !== undefined && !/^(?:https?|wss?)$/.test(scheme)) {
    return problem(`has the scheme "${scheme.slice(0, 20)}", not http or https`);
  }
  if (/^https?:/i.test(text) && scheme === undefined) {
    return problem('has no "//" after its scheme');
  }
  if (/^(?:https?|wss?)\/\//i.test(text)) return problem('has no ":" after its scheme');
  if (/^\w+:\/\/(?:[a-z][a-z0-9+.-]*:|https?|wss?)\/\//i.test(text)) {
    return problem("has two schemes");
  }
  const address = scheme === undefined
    ? `http://${bracketIpv6(text)}`
    : text.replace(/^ws/i, "http");
  const url = parseUrl(address);
  if (url?.username || url?.password || /^[^/]*\/\/[^/?#]*@/.test(address)) {
    return problem("has credentials in it; use apiToken or headers instead");
  }
  const host = authorityOf(address).replace(/:\d*$/, "");
  // `URL` would read a lone `8080` as the IPv4 address 0.0.31.144.
  if (/^\d+$/.test(host)) return problem("is a port without a host");
  if (url === undefined) return problem(NO_ADDRESS);
  if (!host.startsWith("[") && (!HOST.test(host) || NO_VALUE.test(host))) {
    return problem(`${NO_ADDRESS}: "${host.slice(0, 60)}" is not a host name`);
  }
  if (address.includes("?")) return problem("has a query");
  if (address.includes("#")) return problem("has a fragment");
  if (url.port === "0") return problem("has port 0, which no server can use");

  if (url.hostname === "0.0.0.0") url.hostname = "127.0.0.1";
  // `url.port` is also empty for an explicit `:80`, which must stay 80.
  if (scheme === undefined && url.port === "" && !/^http:\/\/[^/]*:\d+(?:\/|$)/.test(address)) {
    url.port = String(defaultPort);
  }
  let path = url.pathname.replaceAll(/\/{2,}/g, "/").replace(/\/$/, "");
  while (ROUTES.test(path)) path = path.replace(ROUTES, "");
  return { url: url.origin + path };
}

/** Rule for addresses; returns them normalized. */
export function address(defaultPort?: number): Rule<string> {
  return (value, of, refusal) => {
    if (typeof value !== "string") throw refusal(`${of} is ${describe(value)}, not an address`);
    const { url, problem, display } = normalizeBaseUrl(value, defaultPort);
    if (problem === undefined) return url;
    throw refusal(`${of} ${display === "" ? "" : `is "${display}", which `}${problem}`);
  };
}

/** Tests whether an address points to this machine. */
export function isLoopback(url: string): boolean {
  const host = new URL(url).hostname;
  return host === "localhost" || host.endsWith(".localhost") || host === "[::1]" ||
    /^127\.\d+\.\d+\.\d+$/.test(host);
}

/** Host and port as written. */
function authorityOf(text: string): string {
  return text.replace(/^[a-z][a-z0-9+.-]*:\/\//i, "").replace(/[/?#].*$/s, "");
}

function parseUrl(address: string): URL | undefined {
  // The URL parser ignores extra slashes before a host.
  if (/^https?:\/\/\//i.test(address)) return undefined;
  try {
    return new URL(address);
  } catch {
    return undefined;
  }
}

// Without brackets, `::1` and `fe80::1` are hosts without a port, except that `::1:1234` has one, as Node writes it.
function bracketIpv6(text: string): string {
  const host = /^::1(?=:\d+(?:\/|$))|^[0-9a-f:.]+(?=\/|$)/i.exec(text)?.[0] ?? "";
  return host.split(":").length > 2 ? `[${host}]${text.slice(host.length)}` : text;
}

function hideSecrets(text: string): string {
  return maskCredentials(text).replace(/([?#]).*$/s, "$1…").slice(0, 200);
}

// Masks everything up to the last `@`: a password may contain any of `/?#@`, and then the URL does not parse. After a
// `?` or `#`, the `@` may be part of a query or fragment, so neither it nor the rest is shown.
function maskCredentials(text: string): string {
  const at = text.lastIndexOf("@");
  if (at === -1) return text;
  const scheme = /^[a-z]+:\/+/i.exec(text)?.[0] ?? "";
  return `${scheme}***@${/[?#]/.test(text.slice(0, at)) ? "…" : text.slice(at + 1)}`;
}

/**
 * Pairs of quotes around a value. Shells remove them; `.env` editors, container settings and copied web pages do not.
 */
const PAIRS: ReadonlySet<string> = new Set(['""', "''", "``", "“”", "„“", "‘’", "‚‘", "«»"]);

/** Removes surrounding whitespace and quotes from a text. */
export function unquote(text: string): string {
  let inner = text.trim();
  while (inner.length > 1 && PAIRS.has(`${inner[0]}${inner.at(-1)}`)) {
    inner = inner.slice(1, -1).trim();
  }
  return inner;
}
