/**
 * Monitor that checks servers in the background without keeping a program alive.
 *
 * @module
 */

import type { HealthCheckSettings } from "../core/discovery_options.ts";
import type { ServiceCandidate, ServiceInfo } from "../core/services.ts";
import { startBackgroundTimer } from "../platform/runtime.ts";
import type { CandidateSource } from "./candidates.ts";
import type { ServiceRegistry } from "./registry.ts";

/** The longest pause between two checks of a server that is down, in intervals. */
const MAX_PAUSE = 8;

/** Checks all servers once per interval until it is disposed. */
export class BackgroundMonitor implements AsyncDisposable {
  readonly #registry: ServiceRegistry;
  readonly #candidates: CandidateSource;
  readonly #settings: HealthCheckSettings;
  readonly #target: EventTarget;
  readonly #onEnd: () => void;
  readonly #controller = new AbortController();
  /** Number of rounds to skip for a server that is down, keyed by endpoint. */
  readonly #pauses = new Map<string, number>();
  #stopTimer: () => void = () => {};
  #round: Promise<unknown> | undefined;

  constructor(
    registry: ServiceRegistry,
    candidates: CandidateSource,
    settings: HealthCheckSettings,
    target: EventTarget,
    onEnd: () => void,
  ) {
    this.#registry = registry;
    this.#candidates = candidates;
    this.#settings = settings;
    this.#target = target;
    this.#onEnd = onEnd;
    this.#tick();
  }

  /** Reports a new status to the listeners. */
  notify(info: ServiceInfo): void {
    if (this.#controller.signal.aborted) return;
    this.#target.dispatchEvent(new CustomEvent("statuschange", { detail: info }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#controller.signal.aborted) {
      this.#stopTimer();
      this.#controller.abort(new DOMException("The monitor has ended", "AbortError"));
      this.#onEnd();
    }
    // Once disposed, nothing keeps running.
    await this.#round;
  }

  #tick(): void {
    this.#stopTimer = startBackgroundTimer(this.#settings.intervalMs, () => this.#tick());
    // Skip a round if the previous one is not done, as after a machine wakes from sleep.
    if (this.#round !== undefined) return;
    this.#round = this.#lookAtAll().finally(() => {
      this.#round = undefined;
    });
  }

  async #lookAtAll(): Promise<void> {
    const candidates = this.#candidates();
    this.#registry.candidates = candidates;
    const byEndpoint = new Map<string, ServiceCandidate[]>();
    for (const candidate of candidates) {
      const types = byEndpoint.get(candidate.endpoint);
      if (types === undefined) byEndpoint.set(candidate.endpoint, [candidate]);
      else types.push(candidate);
    }
    await Promise.all(
      [...byEndpoint].filter(([endpoint]) => this.#isDue(endpoint))
        .map(([endpoint, types]) => this.#lookAt(endpoint, types)),
    );
  }

  #isDue(endpoint: string): boolean {
    const left = this.#pauses.get(endpoint) ?? 0;
    if (left > 0) this.#pauses.set(endpoint, left - 1);
    return left === 0;
  }

  /** @param types candidates for this address, one for each type it may be. */
  async #lookAt(endpoint: string, types: readonly ServiceCandidate[]): Promise<void> {
    const known = types.find((candidate) => this.#registry.wasFound(candidate));
    const asked = known === undefined ? types : [known];
    const { timeoutMs, maxFailures } = this.#settings;
    const { signal } = this.#controller;
    const startedAt = performance.now();
    const answers = await Promise.all(
      asked.map((candidate) =>
        this.#registry.look(candidate, { timeoutMs, signal }).then(() => true, () => false)
      ),
    );
    if (answers.includes(true)) {
      this.#pauses.delete(endpoint);
      return;
    }
    const [first] = asked;
    if (first === undefined || signal.aborted) return;
    const failures = this.#registry.noteFailure(first, performance.now() - startedAt, maxFailures);
    // Once down, a server is checked after 1, 2 and 4 intervals, then every 8.
    const pause = Math.min(2 ** Math.max(0, failures - maxFailures), MAX_PAUSE) - 1;
    this.#pauses.set(endpoint, pause);
  }
}
