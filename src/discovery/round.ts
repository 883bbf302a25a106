/**
 * One round of probes of all candidates, which concurrent callers share.
 *
 * @module
 */

import { SERVICE_NAMES } from "../core/discovery_options.ts";
import { type ApiError, providerError } from "../core/errors.ts";
import type { ServiceCandidate, ServiceType } from "../core/services.ts";
import type { FailedCandidate } from "./not_found.ts";
import { actionOf } from "./probes.ts";
import type { ServiceRecord } from "./registry.ts";

/** Probes one candidate; rejects if no such server is there. */
export type Look = (candidate: ServiceCandidate, signal: AbortSignal) => Promise<ServiceRecord>;

/** Outcome of one candidate. */
type Outcome =
  | { readonly candidate: ServiceCandidate; readonly record: ServiceRecord }
  | { readonly candidate: ServiceCandidate; readonly record?: undefined; readonly error: unknown };

/** Outcome of a choice. */
export type Choice =
  | { readonly record: ServiceRecord }
  | { readonly record?: undefined; readonly failures: readonly FailedCandidate[] };

/** Probes of all candidates, started together. */
export class Round {
  readonly #candidates: readonly ServiceCandidate[];
  readonly #controllers: readonly AbortController[];
  readonly #outcomes: readonly Promise<Outcome>[];
  /** Number of callers that still wait for it. */
  waiting = 0;
  isOver = false;

  constructor(candidates: readonly ServiceCandidate[], look: Look) {
    this.#candidates = candidates;
    this.#controllers = candidates.map(() => new AbortController());
    this.#outcomes = candidates.map((candidate, index) => this.#look(candidate, index, look));
  }

  /** All servers found, in the order of the candidates. */
  async found(): Promise<ServiceRecord[]> {
    const outcomes = await Promise.all(this.#outcomes);
    this.isOver = true;
    const byEndpoint = new Map<string, ServiceRecord>();
    for (const { record } of outcomes) {
      if (record !== undefined && !byEndpoint.has(record.endpoint)) {
        byEndpoint.set(record.endpoint, record);
      }
    }
    return [...byEndpoint.values()];
  }

  /**
   * Chooses the first candidate that is available, trying the preferred type first, else the first that is degraded.
   * Waits for no more candidates than necessary.
   */
  async choose(
    type: ServiceType | undefined,
    preference: ServiceType | undefined,
  ): Promise<Choice> {
    const eligible = this.#candidates
      .map((candidate, index) => ({ type: candidate.type, outcome: this.#outcomes[index] }))
      .filter((one) => type === undefined || one.type === type)
      .sort((a, b) => Number(b.type === preference) - Number(a.type === preference));
    const failures: FailedCandidate[] = [];
    let degraded: ServiceRecord | undefined;
    for (const { outcome } of eligible) {
      const result = await outcome;
      if (result === undefined) continue;
      if (result.record === undefined) failures.push(result);
      else if (result.record.status === "available") return { record: result.record };
      else degraded ??= result.record;
    }
    return degraded === undefined ? { failures } : { record: degraded };
  }

  /** Cancels all probes. */
  cancel(): void {
    const reason = new DOMException("No longer wanted", "AbortError");
    for (const controller of this.#controllers) controller.abort(reason);
  }

  async #look(candidate: ServiceCandidate, index: number, look: Look): Promise<Outcome> {
    const { signal } = this.#controllers[index] ?? new AbortController();
    try {
      const record = await look(candidate, signal);
      // The address has one type, so cancel its probes for other types.
      this.#candidates.forEach((other, at) => {
        if (other.endpoint === candidate.endpoint && at !== index) {
          this.#controllers[at]?.abort(isOther(other, candidate));
        }
      });
      return { candidate, record };
    } catch (error) {
      return { candidate, error };
    }
  }
}

function isOther(candidate: ServiceCandidate, { type }: ServiceCandidate): ApiError {
  return providerError(
    candidate.type === "lmstudio" ? "not_lm_studio" : "unexpected_endpoint",
    `Cannot ${actionOf(candidate)}: ${SERVICE_NAMES[type]} answers there`,
    {
      service: SERVICE_NAMES[candidate.type],
      endpoint: candidate.endpoint,
      hint: "Check the address.",
    },
  );
}
