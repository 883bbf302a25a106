/**
 * Exit codes, from which a script can tell why a command failed. `docs/cli.md` lists them.
 *
 * @module
 */

import type { ErrorKind } from "../core/error_codes.ts";

/** Exit codes of failures. 0 is success, 1 is any other failure. */
export const EXIT = {
  usage: 2,
  network: 3,
  authentication: 4,
  model: 5,
  request: 6,
  timeout: 7,
  server: 8,
  /** 128 + SIGINT, as shells report it. */
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

/** Exit code for errors of a kind. */
export function exitCodeOf(kind: ErrorKind): number {
  return EXIT_OF_KIND[kind];
}
