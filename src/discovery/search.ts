/**
 * Search for servers: rounds over all candidates, probes of single servers, and a cache of the results.
 *
 * @module
 */

import { abortSignal, anything, describe, extend, table } from "../core/checks.ts";
import type { LMStudioProviderOptions } from "../core/config.ts";
import {
  checkServiceType,
  discoveryError,
  type DiscoverySettings,
  type HealthCheckSettings,
  isFinder,
  isServiceType,
  normalizeEndpoint,
} from "../core/discovery_options.ts";
import type {
  DiscoverOptions,
  ServiceCandidate,
  ServiceFinder,
  ServiceInfo,
  ServiceType,
} from "../core/services.ts";
import { untilAborted } from "../transport/timers.ts";
import {
  type CandidateSource,
  defaultCandidates,
  sortByPreference,
  withoutDuplicates,
} from "./candidates.ts";
import { BackgroundMonitor } from "./monitor.ts";
import { serviceNotFound } from "./not_found.ts";
import { type LookOptions, type ServiceRecord, ServiceRegistry } from "./registry.ts";
import { Round } from "./round.ts";
import { providerSearch, type SearchSettings } from "./settings.ts";

type FindOptions = Pick<DiscoverOptions, "signal">;

const FIND_OPTIONS = table<FindOptions>({ signal: abortSignal }, {
  noun: "option",
  whole: "the options are",
  show: describe,
});
const DISCOVER_OPTIONS = extend<FindOptions, Pick<DiscoverOptions, "force">>(FIND_OPTIONS, {
  force: anything,
});

const SERVICES_TTL_MS = 30_000;
const MODELS_TTL_MS = 300_000;

/** Implementation of `ServiceDiscovery`. */
export class ServiceSearch {
  readonly #settings: DiscoverySettings;
  readonly #health: HealthCheckSettings;
  readonly #preference: ServiceType | undefined;
  readonly #isAutomatic: boolean;
  readonly #candidates: CandidateSource;
  readonly #registry: ServiceRegistry;
  readonly #monitors = new Set<BackgroundMonitor>();
  #round: Round | undefined;
  /** Result of the last complete round. */
  #found: { readonly records: readonly ServiceRecord[]; readonly at: number } | undefined;
  /** Results of `find`, keyed by type. */
  readonly #chosen = new Map<ServiceType | undefined, { record: ServiceRecord; at: number }>();

  constructor(
    { options, health, configured, preference, named, isAutomatic, variables }: SearchSettings,
  ) {
    this.#settings = options;
    this.#health = health;
    this.#preference = preference;
    this.#isAutomatic = isAutomatic;
    const { candidates } = options;
    const list = candidates === undefined
      ? defaultCandidates(named, variables, isAutomatic)
      : () => candidates;
    this.#candidates = () => withoutDuplicates(list());
    this.#registry = new ServiceRegistry({
      configured,
      env: options.env,
      fetch: options.fetch,
      onChange: (info) => {
        this.#dropCache();
        for (const monitor of this.#monitors) monitor.notify(info);
      },
    });
  }

  async discover(options: DiscoverOptions = {}): Promise<ServiceInfo[]> {
    const { force = false, signal } = DISCOVER_OPTIONS(options, "", discoveryError);
    signal?.throwIfAborted();
    const known = this.#found;
    if (!force && known !== undefined && isFresh(known.at, SERVICES_TTL_MS)) {
      return known.records.map((record) => record.info());
    }
    const round = this.#join();
    try {
      const records = await untilAborted(round.found(), signal);
      return records.map((record) => record.info());
    } finally {
      this.#leave(round);
    }
  }

  async find(
    type?: ServiceType,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<ServiceInfo> {
    if (type !== undefined) checkServiceType(type);
    const { signal } = FIND_OPTIONS(options, "", discoveryError);
    signal?.throwIfAborted();
    const known = this.#recentChoice(type);
    if (known !== undefined) return known.info();
    const round = this.#join();
    try {
      const record = await untilAborted(this.#choose(round, type), signal);
      this.#chosen.set(type, { record, at: Date.now() });
      return record.info();
    } finally {
      this.#leave(round);
    }
  }

  async probe(type: ServiceType, endpoint: string): Promise<ServiceInfo | undefined> {
    const candidate = toCandidate(type, endpoint);
    try {
      return (await this.#look(candidate, NEVER)).info();
    } catch {
      return undefined;
    }
  }

  async healthCheck(type: ServiceType, endpoint: string): Promise<void> {
    const { problem } = await this.#registry.look(toCandidate(type, endpoint), {
      ...this.#health,
      signal: NEVER,
    });
    if (problem !== undefined) throw problem;
  }

  availableServices(): ServiceInfo[] {
    return this.#registry.known().filter(({ status }) => status === "available")
      .map((record) => record.info());
  }

  serviceInfo(typeOrEndpoint: string): ServiceInfo | undefined {
    return this.#registry.find(typeOrEndpoint)?.info();
  }

  async models(typeOrEndpoint: string): Promise<string[]> {
    const record = this.#registry.find(typeOrEndpoint) ?? await this.#lookFor(typeOrEndpoint);
    const { modelsListedAt } = record;
    if (modelsListedAt === undefined || !isFresh(modelsListedAt, MODELS_TTL_MS)) {
      const { problem } = await this.#registry.look(record, this.#lookOptions(NEVER));
      if (problem !== undefined) throw problem;
    }
    return [...record.models];
  }

  /** Watches all candidates until the monitor is disposed. @param target receives the events. */
  monitor(settings: HealthCheckSettings, target: EventTarget): AsyncDisposable {
    const onEnd = (): boolean => this.#monitors.delete(monitor);
    const monitor = new BackgroundMonitor(
      this.#registry,
      this.#candidates,
      settings,
      target,
      onEnd,
    );
    this.#monitors.add(monitor);
    return monitor;
  }

  // --- Rounds -----------------------------------------------------------------------------------

  #join(): Round {
    const round = this.#round ?? this.#begin();
    round.waiting++;
    return round;
  }

  #begin(): Round {
    const candidates = this.#candidates();
    this.#registry.candidates = candidates;
    const round = new Round(candidates, (candidate, signal) => this.#look(candidate, signal));
    this.#round = round;
    void round.found().then((records) => {
      if (this.#round !== round) return;
      this.#round = undefined;
      this.#dropCache();
      if (records.length > 0) this.#found = { records, at: Date.now() };
    });
    return round;
  }

  /** Leaves a round, and cancels it for the last caller: one that leaves earlier must not fail the others. */
  #leave(round: Round): void {
    round.waiting--;
    if (round.waiting > 0 || round.isOver) return;
    if (this.#round === round) this.#round = undefined;
    round.cancel();
  }

  async #choose(round: Round, type: ServiceType | undefined): Promise<ServiceRecord> {
    const choice = await round.choose(type, this.#preference);
    if (choice.record !== undefined) return choice.record;
    throw serviceNotFound(type, choice.failures, this.#isAutomatic, this.#settings.env);
  }

  #recentChoice(type: ServiceType | undefined): ServiceRecord | undefined {
    const chosen = this.#chosen.get(type);
    if (chosen !== undefined && isFresh(chosen.at, SERVICES_TTL_MS)) return chosen.record;
    if (this.#found === undefined || !isFresh(this.#found.at, SERVICES_TTL_MS)) return undefined;
    const records = this.#found.records.filter((record) =>
      (type === undefined || record.type === type) && record.status !== "unavailable"
    );
    return sortByPreference(records, this.#preference)[0];
  }

  /** Drops the cached results, which a new search would not return any more. */
  #dropCache(): void {
    this.#found = undefined;
    this.#chosen.clear();
  }

  // --- One server -------------------------------------------------------------------------------

  async #look(candidate: ServiceCandidate, signal: AbortSignal): Promise<ServiceRecord> {
    await this.#registry.look(candidate, this.#lookOptions(signal));
    return this.#registry.recordFor(candidate);
  }

  #lookOptions(signal: AbortSignal): LookOptions {
    const { timeoutMs } = this.#settings;
    return { timeoutMs, signal, maxFailures: this.#health.maxFailures };
  }

  async #lookFor(typeOrEndpoint: string): Promise<ServiceRecord> {
    if (isServiceType(typeOrEndpoint)) {
      const { type, endpoint } = await this.find(typeOrEndpoint);
      return this.#registry.recordFor({ type, endpoint });
    }
    const candidates = (["lmstudio", "ollama"] as const).map((type) => ({
      type,
      endpoint: normalizeEndpoint(type, typeOrEndpoint),
    }));
    const round = new Round(candidates, (candidate, signal) => this.#look(candidate, signal));
    return await this.#choose(round, undefined);
  }
}

/**
 * Returns the finder for a provider with these options.
 *
 * @throws {ConfigurationError} if a value is invalid; the message names the value and its option, variable or file.
 */
export function finderOf(options: LMStudioProviderOptions): Pick<ServiceFinder, "find"> {
  const search = providerSearch(options);
  return isFinder(search) ? search : new ServiceSearch(search);
}

/** Signal for probes that cannot be cancelled. */
const NEVER: AbortSignal = new AbortController().signal;

function toCandidate(type: unknown, endpoint: unknown): ServiceCandidate {
  const checked = checkServiceType(type);
  return { type: checked, endpoint: normalizeEndpoint(checked, endpoint) };
}

/** Whether a result is recent. If the clock is set back, an old one must not look new, so a negative age is too old. */
function isFresh(at: number, ttlMs: number): boolean {
  const age = Date.now() - at;
  return age >= 0 && age <= ttlMs;
}
