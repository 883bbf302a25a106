/**
 * Network differences between runtimes: whether a server accepts connections, whether a page may reach this machine,
 * and how long `fetch` waits.
 *
 * @module
 */

import { builtinModule, globals, isNode } from "./runtime.ts";

// --- Connections ------------------------------------------------------------------------------

interface Socket {
  on(event: "connect" | "error", listener: (error?: unknown) => void): void;
  destroy(): void;
}

interface NetModule {
  connect(options: { host: string; port: number }): Socket;
}

/**
 * Opens and closes a TCP connection. `fetch` has no separate connect phase, so it cannot tell a missing server from one
 * that is processing a long prompt. Returns `true` if the connection was accepted, `false` if it was refused or not
 * accepted within `timeoutMs`, and `undefined` if this runtime cannot or may not open one.
 */
export async function acceptsConnections(
  url: string,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<boolean | undefined> {
  const net = builtinModule<NetModule>("node:net");
  if (net === undefined || signal.aborted) return undefined;
  const { hostname, port, protocol } = new URL(url);
  const host = hostname.replace(/^\[(.*)\]$/, "$1");
  let socket: Socket;
  try {
    socket = net.connect({ host, port: Number(port) || (protocol === "https:" ? 443 : 80) });
  } catch {
    return undefined;
  }
  let timer: ReturnType<typeof setTimeout> | undefined;
  let onAbort: (() => void) | undefined;
  try {
    return await new Promise<boolean | undefined>((resolve) => {
      socket.on("connect", () => resolve(true));
      // Not `once`: without a listener, a second error (from the other IP version) would end the process.
      socket.on("error", (error) => resolve(isDenied(error) ? undefined : false));
      timer = setTimeout(() => {
        // After a long block, timers run before the event of a connection made meanwhile: give it one more turn.
        timer = setTimeout(() => resolve(false), 0);
      }, timeoutMs);
      onAbort = () => resolve(false);
      signal.addEventListener("abort", onAbort);
    });
  } finally {
    clearTimeout(timer);
    if (onAbort !== undefined) signal.removeEventListener("abort", onAbort);
    socket.destroy();
  }
}

/** Whether the runtime denied the connection. `fetch` may still work: it may be allowed, or a user's own function. */
function isDenied(error: unknown): boolean {
  const { name, code } = error as { name?: unknown; code?: unknown };
  // Respectively Deno for an address, Deno for a name, and Node.
  return name === "NotCapable" || code === "EPERM" || code === "ERR_ACCESS_DENIED";
}

/**
 * Whether the user has forbidden this page to reach the machine it runs on. Only a denial is certain: browsers report
 * `prompt` even if they never ask.
 */
export async function isLocalNetworkDenied(): Promise<boolean> {
  const { permissions } = globals().navigator ?? {};
  // The current name, then the one of earlier versions; a browser that knows neither rejects.
  for (const name of ["loopback-network", "local-network-access"]) {
    try {
      const status = await permissions?.query({ name });
      if (status !== undefined) return status.state === "denied";
    } catch {
      continue;
    }
  }
  return false;
}

// --- Timeouts of Node's fetch -------------------------------------------------------------------

interface Dispatcher {
  dispatch(options: object, handler: unknown): boolean;
}

/**
 * Returns `RequestInit` fields that lift the limits of Node's own `fetch`. It gives up after 300 s without headers, and
 * after 300 s without more of the body, whatever the caller wants; a model that is loading or processing a long prompt
 * can be silent for longer. Empty on other runtimes, and on a future Node without the internals used here, where the
 * limits then stay.
 */
export function withoutFetchCaps(): { dispatcher?: Dispatcher } {
  return isNode() && globalDispatcher() !== undefined ? WITHOUT_CAPS : NOTHING;
}

const NOTHING: { dispatcher?: Dispatcher } = {};
const WITHOUT_CAPS: { dispatcher: Dispatcher } = {
  dispatcher: {
    // Forwards to the current global dispatcher, so that a user's proxy or mock stays in force. A new agent would bypass
    // it, and undici would become a dependency.
    dispatch: (options, handler) => {
      const dispatcher = globalDispatcher();
      if (dispatcher === undefined) throw new TypeError("Node's global dispatcher is gone");
      return dispatcher.dispatch({ ...options, headersTimeout: 0, bodyTimeout: 0 }, handler);
    },
  },
};

/** The global dispatcher, under an undocumented key that Node shares with the package `undici`. */
function globalDispatcher(): Dispatcher | undefined {
  // Node 20 creates the dispatcher only when its `fetch` code is loaded.
  void globalThis.Response;
  const shared = globalThis as unknown as Record<symbol, Dispatcher | undefined>;
  // The key that Node's own `fetch` uses: 1 up to Node 24. The other key may belong to an installed `undici`: its
  // version 8 rejects what Node 24 passes to it, and version 6 sets only the first key.
  const version = Number.parseInt(globals().process?.versions?.undici ?? "", 10) >= 8 ? 2 : 1;
  return shared[Symbol.for(`undici.globalDispatcher.${version}`)];
}
