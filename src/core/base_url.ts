/**
 * Addresses as people write them, quotes around them included, made into one form: `scheme://host[:port][/prefix]`, no
 * trailing slash.
 *
 * @module
 */

import { describe, type Rule } from "./checks.ts";

/** The address of a server, or what is wrong with it. `display` is the value without its secrets. */
export type BaseUrlResult =
  | { readonly url: string; readonly problem?: undefined; readonly display?: undefined }
  | { readonly problem: string; readonly display: string; readonly url?: undefined };

/** Names below the prefix of a family of routes, of LM Studio's as of other servers'. */
const VERSIONED = "models|chat|completions|embeddings|responses|messages|decisions|systemone";
const UNVERSIONED = "tags|version|ps|show|pull|generate|embed|embeddings|chat";
const ALONE = "chat/completions|completions|models|embeddings|responses|messages|lmstudio-greeting";
/** Ends of a path that name a route or a family of them, not a place: they are ours to add. */
const ROUTES = new RegExp(
  `/(?:(?:v1|api/v[01])(?:/(?:${VERSIONED})(?:/.*)?)?|api(?:/(?:${UNVERSIONED}))?|${ALONE})$`,
  "i",
);

/** Placeholder that a template leaves for a value. */
const PLACEHOLDER = /\$\{[^}]*\}?|\{\{.*?\}\}|\{[^}]*\}|\$\([^)]*\)|<[^>]*>/;
/** The same, but not in a path, where it may be meant. */
const VARIABLE = /\$[a-z_]\w*|%[a-z_]\w*%/i;
/** Text that programs write for a value that is not there. */
const NO_VALUE = /^(?:null|undefined|none|nil|nan|true|false)$/i;
/** Letters of any language; what looks like a host and has others is a mistake that `URL` takes for a name. */
const HOST = /^[\p{L}\p{M}\p{N}_-]+(?:\.[\p{L}\p{M}\p{N}_-]+)*\.?$/u;

const NO_ADDRESS = "is not an address such as http://127.0.0.1:1234";

/**
 * Normalises `host`, `host:port`, a root, an address with a route such as `…/v1` or `…/api/v1/chat` at its end, `ws://`,
 * trailing and doubled slashes, quotes around it. A reverse proxy's prefix stays; `0.0.0.0` becomes `127.0.0.1`, since
 * one can listen there but on some systems not connect; a missing port is `defaultPort` when no scheme was written.
 */
export function normalizeBaseUrl(value: string, defaultPort = 1234): BaseUrlResult {
  const text = unquote(value);
  const display = hideSecrets(text);
  const problem = (state: string): BaseUrlResult => ({ problem: state, display });
  if (text === "") return problem("is empty");
  // Of what may be shown only: a password or a query may look like one.
  const placeholder = PLACEHOLDER.exec(display) ?? VARIABLE.exec(authorityOf(display));
  if (placeholder !== null) {
    return problem(`${NO_ADDRESS}: nobody has replaced ${placeholder[0].slice(0, 60)}`);
  }
  // The URL parser drops tabs and line ends without a word.
  if (/[\s\\]/.test(text)) return problem("has white space or a backslash in it");

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
    return problem("has credentials in it; use apiToken or headers");
  }
  const host = authorityOf(address).replace(/:\d*$/, "");
  // Alone, `8080` would be the IPv4 address 0.0.31.144.
  if (/^\d+$/.test(host)) return problem("is a port without a host");
  if (url === undefined) return problem(NO_ADDRESS);
  if (!host.startsWith("[") && (!HOST.test(host) || NO_VALUE.test(host))) {
    return problem(`${NO_ADDRESS}: "${host.slice(0, 60)}" is no host to connect to`);
  }
  if (address.includes("?")) return problem("has a query");
  if (address.includes("#")) return problem("has a fragment");
  if (url.port === "0") return problem("has port 0, where nothing can listen");

  if (url.hostname === "0.0.0.0") url.hostname = "127.0.0.1";
  // `url.port` is also empty for a written `:80`, which then must stay 80.
  if (scheme === undefined && url.port === "" && !/^http:\/\/[^/]*:\d+(?:\/|$)/.test(address)) {
    url.port = String(defaultPort);
  }
  let path = url.pathname.replaceAll(/\/{2,}/g, "/").replace(/\/$/, "");
  while (ROUTES.test(path)) path = path.replace(ROUTES, "");
  return { url: url.origin + path };
}

/** Rule of addresses, which it normalises. */
export function address(defaultPort?: number): Rule<string> {
  return (value, of, refusal) => {
    if (typeof value !== "string") throw refusal(`${of} is ${describe(value)}, not an address`);
    const { url, problem, display } = normalizeBaseUrl(value, defaultPort);
    if (problem === undefined) return url;
    throw refusal(`${of} ${display === "" ? "" : `"${display}" `}${problem}`);
  };
}

/** Whether an address stays on this machine. */
export function isLoopback(url: string): boolean {
  const host = new URL(url).hostname;
  return host === "localhost" || host.endsWith(".localhost") || host === "[::1]" ||
    /^127\.\d+\.\d+\.\d+$/.test(host);
}

/** Host and port, as written. */
function authorityOf(text: string): string {
  return text.replace(/^[a-z][a-z0-9+.-]*:\/\//i, "").replace(/[/?#].*$/s, "");
}

function parseUrl(address: string): URL | undefined {
  // The URL parser passes over slashes too many before a host.
  if (/^https?:\/\/\//i.test(address)) return undefined;
  try {
    return new URL(address);
  } catch {
    return undefined;
  }
}

// `::1` and `fe80::1` are hosts without a port: a port needs the brackets, but behind `::1` it is one, as Node writes it.
function bracketIpv6(text: string): string {
  const host = /^::1(?=:\d+(?:\/|$))|^[0-9a-f:.]+(?=\/|$)/i.exec(text)?.[0] ?? "";
  return host.split(":").length > 2 ? `[${host}]${text.slice(host.length)}` : text;
}

function hideSecrets(text: string): string {
  return maskCredentials(text).replace(/([?#]).*$/s, "$1…").slice(0, 200);
}

// Up to the last `@`, wherever it stands: a password may hold any of `/?#@`, and then nothing parses. With a
// `?` before it, it may as well stand in a query, and nothing of either is shown.
function maskCredentials(text: string): string {
  const at = text.lastIndexOf("@");
  if (at === -1) return text;
  const scheme = /^[a-z]+:\/+/i.exec(text)?.[0] ?? "";
  return `${scheme}***@${/[?#]/.test(text.slice(0, at)) ? "…" : text.slice(at + 1)}`;
}

/** Quotes around a value: a shell takes them away, an `.env` editor, a container's settings and a copied page do not. */
const PAIRS: ReadonlySet<string> = new Set(['""', "''", "``", "“”", "„“", "‘’", "‚‘", "«»"]);

/** The text without white space and quotes around it. */
export function unquote(text: string): string {
  let inner = text.trim();
  while (inner.length > 1 && PAIRS.has(`${inner[0]}${inner.at(-1)}`)) {
    inner = inner.slice(1, -1).trim();
  }
  return inner;
}
