/**
 * Addresses as people write them, made into one form: `scheme://host[:port][/prefix]`, no trailing slash.
 *
 * @module
 */

/** The address of a server, or what is wrong with it. `display` is the value without its secrets. */
export type BaseUrlResult =
  | { readonly url: string; readonly problem?: undefined }
  | { readonly problem: string; readonly display: string; readonly url?: undefined };

/** Ends of a path that name a family of routes, not a place: they are ours to add. */
const ROUTES =
  /\/(?:v1|api\/v[01])(?:\/(?:models|completions|chat(?:\/completions)?|embeddings|responses))?$/i;

/**
 * Normalises `host`, `host:port`, a root, `…/v1`, `…/api/v0`, `…/api/v1`, `ws://`, trailing and doubled
 * slashes. A reverse proxy's prefix stays; `0.0.0.0` becomes `127.0.0.1`, since one can listen there but on
 * some systems not connect; a missing port is `defaultPort` when no scheme was written.
 */
export function normalizeBaseUrl(value: string, defaultPort = 1234): BaseUrlResult {
  const text = value.trim();
  const display = hideSecrets(text);
  const problem = (state: string): BaseUrlResult => ({ problem: state, display });
  if (text === "") return problem("is empty");
  // The URL parser drops tabs and line ends without a word.
  if (/[\s\\]/.test(text)) return problem("has white space or a backslash in it");

  // Alone, `8080` would be the IPv4 address 0.0.31.144, and `/v1` the host "v1".
  if (/^\d+$/.test(text)) return problem("is a port without a host");
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text)?.[1]?.toLowerCase();
  if (scheme !== undefined && !/^(?:https?|wss?)$/.test(scheme)) {
    return problem(`has the scheme "${scheme.slice(0, 20)}", not http or https`);
  }
  if (/^https?:/i.test(text) && scheme === undefined) {
    return problem('has no "//" after its scheme');
  }
  const address = scheme === undefined
    ? `http://${bracketIpv6(text)}`
    : text.replace(/^ws/i, "http");
  const url = parseUrl(address);
  if (url === undefined) return problem("is not an address such as http://127.0.0.1:1234");
  if (url.username !== "" || url.password !== "" || /^[^/]*\/\/[^/?#]*@/.test(address)) {
    return problem("has credentials in it; use apiToken or headers");
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

/** Whether an address stays on this machine. */
export function isLoopback(url: string): boolean {
  const host = new URL(url).hostname;
  return host === "localhost" || host.endsWith(".localhost") || host === "[::1]" ||
    /^127\.\d+\.\d+\.\d+$/.test(host);
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

// `::1` and `fe80::1` are hosts without a port: a port needs the brackets.
function bracketIpv6(text: string): string {
  const host = /^[0-9a-f:.]+(?=\/|$)/i.exec(text)?.[0] ?? "";
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
