/**
 * Commands that listen on a port of this machine until Ctrl+C.
 *
 * @module
 */

import type { Server } from "node:http";
import { type Given, UsageError } from "./arguments.ts";

/** Starts to listen. @returns the address. @throws {UsageError} the port is taken or not allowed. */
export async function listen(server: Server, port: number | undefined): Promise<string> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) => reject(portError(error, port)));
    server.listen(port ?? 0, "127.0.0.1", () => resolve());
  });
  const address = server.address();
  const actual = typeof address === "object" && address !== null ? address.port : port;
  return `http://127.0.0.1:${actual}`;
}

/** Why a port cannot be listened on; the error itself where it is about something else. */
export function portError(error: unknown, port: number | undefined): unknown {
  const { code, name } = error as { code?: unknown; name?: unknown };
  const reason = code === "EADDRINUSE" || name === "AddrInUse"
    ? "another program has it"
    : code === "EACCES" || name === "PermissionDenied"
    ? "that is not allowed"
    : code === "ERR_SOCKET_BAD_PORT"
    ? "there is no such port"
    : undefined;
  return reason === undefined ? error : new UsageError(`Cannot listen on port ${port}: ${reason}.`);
}

/** Resolves at Ctrl+C. */
export function untilStopped({ terminal }: Given): Promise<void> {
  return new Promise((resolve) => {
    const stop = terminal.streams.onInterrupt(() => {
      stop();
      resolve();
    });
  });
}
