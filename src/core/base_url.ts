/**
 * Addresses as people write them, made into one form: `scheme://host[:port][/prefix]`, no trailing slash.
 *
 * @module
 */

/** The address of a server, or what is wrong with it. `display` is the value without its secrets. */
export type BaseUrlResult =
  | { readonly url: string; readonly problem?: undefined }
  | { readonly problem: string; readonly display: string };

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

  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text)?.[1]?.toLowerCase();
  if (scheme !== undefined && !/^(?:https?|wss?)$/.test(scheme)) {
    return problem(`has the scheme "${scheme}", not http or https`);
  }
  if (/^https?:/i.test(text) && scheme === undefined) {
    return problem('has no "//" after its scheme');
  }
  const address = scheme === undefined
    ? `http://${bracketIpv6(text)}`
    : text.replace(/^ws/i, "http");
  let url: URL;
  try {
    url = new URL(address);
  } catch {
    return problem("is not an address such as http://127.0.0.1:1234");
  }
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

// `::1` and `fe80::1` are hosts without a port: a port needs the brackets.
function bracketIpv6(text: string): string {
  const host = /^[0-9a-f:.]+(?=\/|$)/i.exec(text)?.[0] ?? "";
  return host.split(":").length > 2 ? `[${host}]${text.slice(host.length)}` : text;
}

function hideSecrets(text: string): string {
  return text.replace(/\/\/[^/]*@/, "//***@").replace(/^[^/@]*@/, "***@").replace(
    /([?#]).*$/s,
    "$1…",
  )
    .slice(0, 200);
}
