/**
 * Exit codes: what a script can tell from a command that failed. `docs/cli.md` lists them.
 *
 * @module
 */

import type { ErrorKind } from "../core/error_codes.ts";

/** Exit codes: 0 is success, 1 what is not in the list. */
export const EXIT = {
  usage: 2,
  network: 3,
  authentication: 4,
  model: 5,
  request: 6,
  timeout: 7,
  server: 8,
  /** As shells have it. */
  interrupted: 130,
} as const;

const EXIT_OF_KIND: Readonly<Record<ErrorKind, number>> = {
  api: EXIT.server,
  network: EXIT.network,
  authentication: EXIT.authentication,
  "rate-limited": EXIT.server,
  "model-not-available": EXIT.model,
  "invalid-request": EXIT.request,
  timeout: EXIT.timeout,
  configuration: EXIT.usage,
  "all-providers-failed": EXIT.server,
  serialization: EXIT.request,
  stream: EXIT.server,
  parse: EXIT.server,
  unknown: 1,
};

/** The exit code for errors of a kind. */
export function exitCodeOf(kind: ErrorKind): number {
  return EXIT_OF_KIND[kind];
}
