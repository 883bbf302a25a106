/**
 * Shared by commands that listen on a local port until Ctrl+C.
 *
 * @module
 */

import type { Server } from "node:http";
import { type Given, UsageError } from "./arguments.ts";

/** Starts listening. @returns the address. @throws {UsageError} if the port is taken or not allowed. */
export async function listen(server: Server, port: number | undefined): Promise<string> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) => reject(portError(error, port)));
    server.listen(port ?? 0, "127.0.0.1", () => resolve());
  });
  const address = server.address();
  const actual = typeof address === "object" && address !== null ? address.port : port;
  return `http://127.0.0.1:${actual}`;
}

/** Usage error for a port that cannot be listened on; any other error is returned unchanged. */
export function portError(error: unknown, port: number | undefined): unknown {
  const { code, name } = error as { code?: unknown; name?: unknown };
  const reason = code === "EADDRINUSE" || name === "AddrInUse"
    ? "another program is using it"
    : code === "EACCES" || name === "PermissionDenied"
    ? "this program is not allowed to"
    : code === "ERR_SOCKET_BAD_PORT"
    ? "it is not a valid port"
    : undefined;
  return reason === undefined ? error : new UsageError(`Cannot listen on port ${port}: ${reason}.`);
}

/** Resolves on Ctrl+C. */
export function untilStopped({ terminal }: Given): Promise<void> {
  return new Promise((resolve) => {
    const stop = terminal.streams.onInterrupt(() => {
      stop();
      resolve();
    });
  });
}
