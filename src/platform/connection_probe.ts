/**
 * Whether a server takes connections: `fetch` reports no connect phase, so a server that is not there and
 * one that reads a long prompt look the same to it.
 *
 * @module
 */

import { builtinModule } from "./runtime.ts";

interface Socket {
  on(event: "connect" | "error", listener: (error?: unknown) => void): void;
  destroy(): void;
}

interface DenoPermissions {
  readonly Deno?: {
    readonly permissions?: {
      querySync?(descriptor: { readonly name: "net"; readonly host: string }): {
        readonly state: string;
      };
    };
  };
}

interface NetModule {
  connect(options: { host: string; port: number }): Socket;
}

/**
 * Opens one TCP connection and closes it. `true`: accepted; `false`: refused, or not within `timeoutMs`;
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

/** Whether a connection may be made without asking for a permission. */
export function mayConnect(url: string): boolean {
  const { Deno } = globalThis as unknown as DenoPermissions;
  if (Deno === undefined) return true;
  const { hostname, port, protocol } = new URL(url);
  const host = `${hostname}:${port || (protocol === "https:" ? 443 : 80)}`;
  try {
    return Deno.permissions?.querySync?.({ name: "net", host }).state === "granted";
  } catch {
    return false;
  }
}

/** `fetch` may be allowed, or replaced by something that needs no permission, where this is not. */
function isDenied(error: unknown): boolean {
  const { name, code } = error as { name?: unknown; code?: unknown };
  // Deno for an address, Deno for a name, Node.
  return name === "NotCapable" || code === "EPERM" || code === "ERR_ACCESS_DENIED";
}
