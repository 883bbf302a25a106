/**
 * What to do when a proxy answers in the place of a server on this machine.
 *
 * @module
 */

import { isLoopback } from "../core/base_url.ts";
import { readEnvironment } from "../platform/environment.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The hint, where a proxy can be the cause: Deno and Bun send even requests to this machine through
 * `HTTP_PROXY`.
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
