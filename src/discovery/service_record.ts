/**
 * What is known of one server, as checks come in.
 *
 * @module
 */

import type {
  ServiceCandidate,
  ServiceInfo,
  ServiceStatus,
  ServiceType,
} from "../core/services.ts";
import type { ProbeAnswer } from "./probes.ts";

/** How many checks the averages cover. */
const WINDOW = 20;
/** One slow check says nothing, such as the first one of a program. */
const FEWEST_TO_JUDGE_SPEED = 3;
/** Slower than this share of the time a check may take is slow. */
const SLOW_SHARE = 0.75;
/** Below this nothing is slow: where checks may take a few milliseconds only, a busy machine takes them all. */
const NEVER_SLOW_MS = 250;

/** One server, keyed by type and endpoint. */
export class ServiceRecord implements ServiceCandidate {
  readonly type: ServiceType;
  readonly endpoint: string;
  status: ServiceStatus = "unknown";
  /** Whether it has ever answered as what it should be. */
  wasFound = false;
  consecutiveFailures = 0;
  models: readonly string[] = [];
  /** When `models` were asked for; `undefined` where the server did not tell. */
  modelsListedAt: number | undefined;
  #version: string | undefined;
  #checkedAt = 0;
  #sentAt: number | undefined;
  /** Milliseconds of each of the last checks; `undefined` for one that failed. */
  readonly #checks: (number | undefined)[] = [];

  constructor({ type, endpoint }: ServiceCandidate) {
    this.type = type;
    this.endpoint = endpoint;
  }

  /** A check succeeded. @param limitMs what it was allowed to take. */
  succeed(answer: ProbeAnswer, elapsedMs: number, limitMs: number): void {
    this.#note(elapsedMs, elapsedMs);
    this.wasFound = true;
    this.consecutiveFailures = 0;
    this.models = answer.models;
    this.modelsListedAt = answer.problem === undefined ? this.#checkedAt : undefined;
    this.#version = answer.version;
    this.status = answer.problem !== undefined || this.#isSlow(limitMs) ? "degraded" : "available";
  }

  /** A check failed. */
  fail(elapsedMs: number, maxFailures: number): void {
    this.#note(undefined, elapsedMs);
    this.consecutiveFailures++;
    this.status = this.consecutiveFailures >= maxFailures ? "unavailable" : "degraded";
  }

  /** A copy for callers. */
  info(): ServiceInfo {
    return {
      type: this.type,
      endpoint: this.endpoint,
      ...(this.#version === undefined ? {} : { version: this.#version }),
      models: [...this.models],
      status: this.status,
      lastHealthCheck: new Date(this.#checkedAt),
      consecutiveFailures: this.consecutiveFailures,
      metrics: {
        averageResponseMs: this.#averageMs(),
        modelCount: this.models.length,
        ...(this.#sentAt === undefined ? {} : { lastRequest: new Date(this.#sentAt) }),
        successRate: this.#checks.length === 0 ? 0 : this.#times().length / this.#checks.length,
      },
    };
  }

  #note(outcome: number | undefined, elapsedMs: number): void {
    this.#checkedAt = Date.now();
    this.#sentAt = this.#checkedAt - elapsedMs;
    this.#checks.push(outcome);
    if (this.#checks.length > WINDOW) this.#checks.shift();
  }

  #times(): number[] {
    return this.#checks.filter((ms) => ms !== undefined);
  }

  #averageMs(): number {
    const times = this.#times();
    return times.length === 0 ? 0 : times.reduce((sum, ms) => sum + ms, 0) / times.length;
  }

  #isSlow(limitMs: number): boolean {
    return this.#times().length >= FEWEST_TO_JUDGE_SPEED &&
      this.#averageMs() > Math.max(NEVER_SLOW_MS, SLOW_SHARE * limitMs);
  }
}
