/**
 * Whether a server is there at all, where its silence or a failed `fetch` does not tell.
 *
 * @module
 */

import { isLoopback } from "../core/base_url.ts";
import { acceptsConnections, isLocalNetworkDenied } from "../platform/network.ts";
import { discardBody } from "./body.ts";
import { startTimer, untilAborted } from "./timers.ts";

/** The server, and the `fetch` that leads to it. */
export interface FetchedServer {
  readonly baseUrl: string;
  /** Name for people, such as `LM Studio`. */
  readonly service: string;
  readonly fetch?: typeof globalThis.fetch | undefined;
}

/** The runtime's `fetch`, or the user's, which may not heed the signal. */
export async function fetchFrom(
  server: FetchedServer,
  url: string,
  init: RequestInit,
  signal: AbortSignal,
): Promise<Response> {
  // Looked up at each use, so that a mock put in place later is used; called as a plain function, since browsers
  // refuse `fetch` with another `this`.
  if (server.fetch === undefined) {
    const { fetch } = globalThis;
    return await fetch(url, { ...init, signal });
  }
  const { fetch } = server;
  // One of the user's own may give anything, no promise included, and not heed the signal.
  const pending = Promise.resolve(fetch(url, { ...init, signal }));
  try {
    return await untilAborted(pending, signal);
  } catch (error) {
    // An answer that comes all the same would keep the server writing.
    pending.then(discardBody).catch(() => {});
    throw error;
  }
}

/** Whether the server takes a connection; asked when no header has come in time. */
export async function isReachable(
  server: FetchedServer,
  endpoint: string,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<boolean> {
  // A user's own `fetch` may reach the server by ways of its own, so only it can tell.
  const accepted = server.fetch === undefined
    ? await acceptsConnections(endpoint, timeoutMs, signal)
    : undefined;
  if (accepted === true) return true;
  // `fetch` may also go through a proxy, where no connection from here can: not to a server on this machine.
  const mayBeThere = accepted === undefined || !isLoopback(endpoint);
  return mayBeThere && await answersGreeting(server, timeoutMs, signal);
}

/** To a page every failure looks the same; a request without CORS tells whether anything answers. */
export async function explainInBrowser(
  server: FetchedServer,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<{ code: "blocked_by_browser" | "connection_refused"; state: string; hint?: string }> {
  if (await answersGreeting(server, timeoutMs, signal, { mode: "no-cors", redirect: "follow" })) {
    const state = `${server.service} is there, but does not let this page call it`;
    return { code: "blocked_by_browser", state };
  }
  if (await isLocalNetworkDenied()) {
    return {
      code: "blocked_by_browser",
      state: "this page may not reach the local network",
      hint:
        "Allow it for this site in the browser's settings, and start the server with `lms server start --cors`.",
    };
  }
  return { code: "connection_refused", state: `${server.baseUrl} cannot be reached` };
}

/** Whether anything at all comes back. */
export async function answersGreeting(
  server: FetchedServer,
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
    discardBody(await fetchFrom(server, url, { redirect: "manual", ...init }, controller.signal));
    return true;
  } catch {
    return false;
  } finally {
    stopTimer();
    signal.removeEventListener("abort", abort);
  }
}
