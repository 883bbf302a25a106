/**
 * One look at all candidates together. Whoever asks meanwhile shares it.
 *
 * @module
 */

import { SERVICE_NAMES } from "../core/discovery_options.ts";
import { type ApiError, providerError } from "../core/errors.ts";
import type { ServiceCandidate, ServiceType } from "../core/services.ts";
import type { FailedCandidate } from "./not_found.ts";
import { actionOf } from "./probes.ts";
import type { ServiceRecord } from "./registry.ts";

/** Looks at one candidate; rejects where it is not there. */
export type Look = (candidate: ServiceCandidate, signal: AbortSignal) => Promise<ServiceRecord>;

/** What came of one candidate. */
type Outcome =
  | { readonly candidate: ServiceCandidate; readonly record: ServiceRecord }
  | { readonly candidate: ServiceCandidate; readonly record?: undefined; readonly error: unknown };

/** What came of a choice. */
export type Choice =
  | { readonly record: ServiceRecord }
  | { readonly record?: undefined; readonly failures: readonly FailedCandidate[] };

/** Probes of all candidates, started together. */
export class Round {
  readonly #candidates: readonly ServiceCandidate[];
  readonly #controllers: readonly AbortController[];
  readonly #outcomes: readonly Promise<Outcome>[];
  /** How many callers still want it. */
  waiting = 0;
  isOver = false;

  constructor(candidates: readonly ServiceCandidate[], look: Look) {
    this.#candidates = candidates;
    this.#controllers = candidates.map(() => new AbortController());
    this.#outcomes = candidates.map((candidate, index) => this.#look(candidate, index, look));
  }

  /** Every candidate that is there, in their order. */
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
   * The first candidate that is available, those of the preferred type before the others, else the first that is
   * degraded. Waits for no more of them than it has to.
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

  /** Nobody waits any more. */
  cancel(): void {
    const reason = new DOMException("No longer wanted", "AbortError");
    for (const controller of this.#controllers) controller.abort(reason);
  }

  async #look(candidate: ServiceCandidate, index: number, look: Look): Promise<Outcome> {
    const { signal } = this.#controllers[index] ?? new AbortController();
    try {
      const record = await look(candidate, signal);
      // An address tried as several types is one of them.
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
