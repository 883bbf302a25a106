/**
 * Check for servers too old to manage models. Their listings reveal it before a management route is called.
 *
 * @module
 */

import { MANAGEMENT_SINCE } from "../api/management.ts";
import { tooOldHint } from "../core/error_codes.ts";
import { providerError } from "../core/errors.ts";
import type { Server } from "../server/server.ts";

/** @throws {ApiError} code `unsupported_by_server` if the last listing came from a server without these routes. */
export function checkManagement(server: Server, action: string): void {
  if (!server.lacksNewestApi) return;
  const { service, config } = server;
  throw providerError(
    "unsupported_by_server",
    `Cannot ${action}: this version of ${service} has no route for this`,
    {
      service,
      endpoint: config.baseUrl,
      attempts: 0,
      hint: tooOldHint(service, MANAGEMENT_SINCE),
    },
  );
}
