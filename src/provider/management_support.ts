/**
 * Whether a server has the routes of management: learnt from the first answer, so that an old server is not
 * asked in vain each time, and forgotten after a while, for it may be updated.
 *
 * @module
 */

import { MANAGEMENT_SINCE } from "../api/management.ts";
import { ApiError, isProviderError } from "../core/errors.ts";
import type { ServerModels } from "./server_models.ts";

const REMEMBERED_MS = 30_000;

/** What is known of one server's management. */
export class ManagementSupport {
  readonly #server: ServerModels;
  #missingUntil = -Infinity;

  constructor(server: ServerModels) {
    this.#server = server;
  }

  /** @throws {ApiError} code `unsupported_by_server`, if the server is known not to have these routes. */
  check(action: string): void {
    if (!this.#server.lacksNewestApi && performance.now() >= this.#missingUntil) return;
    const { service, config } = this.#server;
    throw new ApiError(`Cannot ${action}: this version of ${service} has no route for it`, {
      code: "unsupported_by_server",
      service,
      endpoint: config.baseUrl,
      attempts: 0,
      hint:
        `Update ${service}: version ${MANAGEMENT_SINCE} is the first with this route. If yours is not older, ` +
        "check the base URL.",
    });
  }

  /** Learns from how a request to one of these routes ends. */
  async learn<T>(answer: Promise<T>): Promise<T> {
    try {
      const value = await answer;
      this.#missingUntil = -Infinity;
      return value;
    } catch (error) {
      if (isProviderError(error) && error.code === "unsupported_by_server") {
        this.#missingUntil = performance.now() + REMEMBERED_MS;
      }
      throw error;
    }
  }
}
