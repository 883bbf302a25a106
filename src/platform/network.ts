/**
 * The network, where runtimes differ: whether a server takes connections, whether a page may reach this machine, and
 * how long `fetch` waits.
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
 * Opens one TCP connection and closes it: `fetch` reports no connect phase, so a server that is not there and one that
 * reads a long prompt look the same to it. `true`: accepted; `false`: refused, or not within `timeoutMs`;
 * `undefined`: this runtime cannot open one, or may not.
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
      // Not `once`: a second error, as of the other IP version, would end the process.
      socket.on("error", (error) => resolve(isDenied(error) ? undefined : false));
      timer = setTimeout(() => {
        // A program that was busy for long sees this before the connection that came about meanwhile.
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

/** `fetch` may be allowed, or replaced by something that needs no permission, where this is not. */
function isDenied(error: unknown): boolean {
  const { name, code } = error as { name?: unknown; code?: unknown };
  // Deno for an address, Deno for a name, Node.
  return name === "NotCapable" || code === "EPERM" || code === "ERR_ACCESS_DENIED";
}

/**
 * Whether the user has forbidden this page to reach the machine it runs on. Only a denial is certain: browsers
 * say `prompt` also where they never ask.
 */
export async function isLocalNetworkDenied(): Promise<boolean> {
  const { permissions } = globals().navigator ?? {};
  // The name of now, then that of earlier versions; a browser that knows neither rejects.
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

// --- The caps of Node's fetch -------------------------------------------------------------------

interface Dispatcher {
  dispatch(options: object, handler: unknown): boolean;
}

/**
 * Fields for the `RequestInit` of Node's own `fetch`, which gives up after 300 s without headers and after 300 s
 * between two pieces of a body, whatever the caller asked for: a model that loads, or reads a long prompt, is silent
 * for longer. Empty on every other runtime, and on a Node that no longer has what this rests on: there the caps stay,
 * which is better than no request at all.
 */
export function withoutFetchCaps(): { dispatcher?: Dispatcher } {
  return isNode() && globalDispatcher() !== undefined ? WITHOUT_CAPS : NOTHING;
}

const NOTHING: { dispatcher?: Dispatcher } = {};
const WITHOUT_CAPS: { dispatcher: Dispatcher } = {
  dispatcher: {
    // Forwards to whatever is the global dispatcher at that moment, a user's proxy or mock included.
    // A new agent of that class would lose it, and undici itself would be a dependency.
    dispatch: (options, handler) => {
      const dispatcher = globalDispatcher();
      if (dispatcher === undefined) throw new TypeError("Node's global dispatcher is gone");
      return dispatcher.dispatch({ ...options, headersTimeout: 0, bodyTimeout: 0 }, handler);
    },
  },
};

/** Not documented, but the key that the package `undici` shares with Node. */
function globalDispatcher(): Dispatcher | undefined {
  // Node 20 has one only once its `fetch` is loaded.
  void globalThis.Response;
  const shared = globalThis as unknown as Record<symbol, Dispatcher | undefined>;
  // The one that Node's own `fetch` asks, 1 up to Node 24. The other may be of an undici that is installed
  // beside it: version 8 refuses what Node 24 hands it, and version 6 sets only the first.
  const version = Number.parseInt(globals().process?.versions?.undici ?? "", 10) >= 8 ? 2 : 1;
  return shared[Symbol.for(`undici.globalDispatcher.${version}`)];
}
