/**
 * Finds the servers on this machine and where it is told to look, and knows how they do.
 *
 * @module
 */

import {
  checkOptions,
  checkServiceType,
  type DiscoverySettings,
  type HealthCheckSettings,
  isServiceType,
  normalizeEndpoint,
  resolveDiscoveryOptions,
  resolveHealthCheck,
} from "../core/discovery_options.ts";
import { isAddressConfigured } from "../core/found_config.ts";
import type {
  DiscoverOptions,
  MonitorOptions,
  ServiceCandidate,
  ServiceDiscoveryOptions,
  ServiceFinder,
  ServiceInfo,
  ServiceType,
} from "../core/services.ts";
import { readEnvironment } from "../platform/environment.ts";
import { resolveWithSources } from "../platform/resolve_config.ts";
import { untilAborted } from "../transport/timers.ts";
import {
  type CandidateSource,
  defaultCandidates,
  DISCOVERY_VARIABLES,
  isAutomatic,
  readPreference,
  sortByPreference,
  withoutDuplicates,
} from "./candidates.ts";
import { BackgroundMonitor, type ServiceMonitor } from "./monitor.ts";
import { serviceNotFound } from "./not_found.ts";
import { type ConfiguredServer, type LookOptions, ServiceRegistry } from "./registry.ts";
import { Round } from "./round.ts";
import type { ServiceRecord } from "./service_record.ts";

const SERVICES_TTL_MS = 30_000;
const MODELS_TTL_MS = 300_000;

/** By options: the constructor's users have nothing to do with it. */
const CONFIGURED = new WeakMap<ServiceDiscoveryOptions, ConfiguredServer>();

/** A discovery for a provider that has a configuration of its own. */
export function discoveryFor(
  options: ServiceDiscoveryOptions,
  configured: ConfiguredServer,
): ServiceDiscovery {
  CONFIGURED.set(options, configured);
  return new ServiceDiscovery(options);
}

/**
 * Finds LM Studio and Ollama: all candidates are asked at once, each with its own short timer, and only an
 * answer of the right shape counts. Everything is keyed by endpoint, since there may be several servers of a
 * type. It holds no connection and, but for monitors, no timer.
 *
 * @example
 * ```ts
 * import { ServiceDiscovery } from "jsr:@patinox/lmstudio";
 *
 * for (const { type, endpoint, status, models } of await new ServiceDiscovery().discover()) {
 *   console.log(type, endpoint, status, `${models.length} models`);
 * }
 * ```
 */
export class ServiceDiscovery implements ServiceFinder {
  readonly #settings: DiscoverySettings;
  readonly #health: HealthCheckSettings;
  readonly #preference: ServiceType | undefined;
  readonly #isAutomatic: boolean;
  readonly #candidates: CandidateSource;
  readonly #registry: ServiceRegistry;
  readonly #monitors = new Set<BackgroundMonitor>();
  #round: Round | undefined;
  /** What the last whole round found. */
  #found: { readonly records: readonly ServiceRecord[]; readonly at: number } | undefined;
  /** What `find` gave, by type. */
  readonly #chosen = new Map<ServiceType | undefined, { record: ServiceRecord; at: number }>();

  /**
   * Touches no network.
   *
   * @throws {ConfigurationError} naming the option or variable, the value, and what is allowed.
   */
  constructor(options: ServiceDiscoveryOptions = {}) {
    this.#settings = resolveDiscoveryOptions(options);
    this.#health = resolveHealthCheck(this.#settings.healthCheck);
    const { candidates, env, fetch } = this.#settings;
    const variables = env ?? readEnvironment(DISCOVERY_VARIABLES);
    const configured = CONFIGURED.get(options) ?? readConfigured(env);
    this.#preference = readPreference(variables);
    this.#isAutomatic = candidates !== undefined || isAutomatic(variables);
    const source = candidates === undefined
      ? defaultCandidates(variables, configured.baseUrl)
      : () => [...candidates];
    this.#candidates = () => withoutDuplicates(source());
    this.#registry = new ServiceRegistry({
      configured,
      env,
      fetch,
      onChange: (info) => {
        this.#forget();
        for (const monitor of this.#monitors) monitor.notify(info);
      },
    });
  }

  /**
   * Every server that answers, in the order of the candidates. Believed for 30 s, unless nothing was found;
   * concurrent calls share one round. Servers that are not there are no error.
   *
   * @throws {ConfigurationError} an option is unknown.
   *
   * @example
   * ```ts
   * import { ServiceDiscovery } from "jsr:@patinox/lmstudio";
   *
   * const discovery = new ServiceDiscovery({ timeoutMs: 1000 });
   * const [first] = await discovery.discover({ force: true });
   * console.log(first?.endpoint ?? "no server");
   * ```
   */
  async discover(options: DiscoverOptions = {}): Promise<ServiceInfo[]> {
    checkOptions("the options", options, ["force", "signal"]);
    const { force = false, signal } = options;
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

  /**
   * The preferred server, of a type if one is named: the first candidate that is available, else the first that
   * is degraded. Known as soon as the candidates before it are; probes that then nobody waits for are cancelled.
   *
   * @throws {NetworkError} code `service_not_found`, with what was tried and why each failed; or
   * `permission_denied`, where no connection at all is allowed.
   *
   * @example
   * ```ts
   * import { ServiceDiscovery } from "jsr:@patinox/lmstudio";
   *
   * const { endpoint } = await new ServiceDiscovery().find("lmstudio");
   * console.log(endpoint);
   * ```
   */
  async find(
    type?: ServiceType,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<ServiceInfo> {
    if (type !== undefined) checkServiceType(type);
    checkOptions("the options", options, ["signal"]);
    const { signal } = options;
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

  /**
   * Asks one server who it is, and remembers it. One attempt.
   *
   * @returns `undefined` where no server of this type answers in time.
   * @throws {ConfigurationError} the type is unknown, or the endpoint no address.
   *
   * @example
   * ```ts
   * import { ServiceDiscovery } from "jsr:@patinox/lmstudio";
   *
   * const service = await new ServiceDiscovery().probe("lmstudio", "127.0.0.1:1234");
   * console.log(service?.models);
   * ```
   */
  async probe(type: ServiceType, endpoint: string): Promise<ServiceInfo | undefined> {
    const candidate = toCandidate(type, endpoint);
    try {
      return (await this.#look(candidate, NEVER)).info();
    } catch {
      return undefined;
    }
  }

  /**
   * Checks one server: resolves if it answers as it should, and can be used. One attempt.
   *
   * @throws {ProviderError} why it cannot be used; {ConfigurationError} the type is unknown, or the endpoint no
   * address.
   *
   * @example
   * ```ts
   * import { ServiceDiscovery } from "jsr:@patinox/lmstudio";
   *
   * await new ServiceDiscovery().healthCheck("lmstudio", "http://127.0.0.1:1234");
   * ```
   */
  async healthCheck(type: ServiceType, endpoint: string): Promise<void> {
    const { problem } = await this.#registry.look(toCandidate(type, endpoint), {
      ...this.#health,
      signal: NEVER,
    });
    if (problem !== undefined) throw problem;
  }

  /**
   * The servers that were available when last looked at, in the order of the candidates. Asks nothing.
   *
   * @example
   * ```ts
   * import { ServiceDiscovery } from "jsr:@patinox/lmstudio";
   *
   * const discovery = new ServiceDiscovery();
   * await discovery.discover();
   * console.log(discovery.availableServices().map(({ endpoint }) => endpoint));
   * ```
   */
  availableServices(): ServiceInfo[] {
    return this.#registry.known().filter(({ status }) => status === "available")
      .map((record) => record.info());
  }

  /**
   * What is known of a server, or of the preferred one of a type; `undefined` when nothing is. Asks nothing.
   *
   * @example
   * ```ts
   * import { ServiceDiscovery } from "jsr:@patinox/lmstudio";
   *
   * const discovery = new ServiceDiscovery();
   * await discovery.discover();
   * console.log(discovery.serviceInfo("lmstudio")?.metrics.averageResponseMs);
   * ```
   */
  serviceInfo(typeOrEndpoint: string): ServiceInfo | undefined {
    return this.#registry.find(typeOrEndpoint)?.info();
  }

  /**
   * Ids of the models of a server, or of the preferred one of a type. Believed for 5 minutes.
   *
   * @throws {NetworkError} code `service_not_found`: there is no such server.
   * @throws {AuthenticationError} it wants a token.
   *
   * @example
   * ```ts
   * import { ServiceDiscovery } from "jsr:@patinox/lmstudio";
   *
   * console.log(await new ServiceDiscovery().models("lmstudio"));
   * ```
   */
  async models(typeOrEndpoint: string): Promise<string[]> {
    const record = this.#registry.find(typeOrEndpoint) ?? await this.#lookFor(typeOrEndpoint);
    const { modelsListedAt } = record;
    if (modelsListedAt === undefined || !isFresh(modelsListedAt, MODELS_TTL_MS)) {
      const { problem } = await this.#registry.look(record, this.#lookOptions(NEVER));
      if (problem !== undefined) throw problem;
    }
    return [...record.models];
  }

  /**
   * Watches all candidates until it is disposed, the first time at once: `degraded` from the first failure,
   * `unavailable` from `maxFailures`, and one success makes a server `available` again. Its timer never keeps
   * a program alive.
   *
   * @throws {ConfigurationError} naming the option, the value, and what is allowed.
   *
   * @example
   * ```ts
   * import { ServiceDiscovery } from "jsr:@patinox/lmstudio";
   *
   * const discovery = new ServiceDiscovery();
   * const monitor = discovery.monitor({ intervalMs: 10_000, maxFailures: 2 });
   * monitor.addEventListener("statuschange", ({ detail }) => {
   *   console.log(detail.endpoint, detail.status);
   * });
   * await monitor[Symbol.asyncDispose]();
   * ```
   */
  monitor(options: MonitorOptions = {}): ServiceMonitor {
    const settings = resolveHealthCheck(this.#settings.healthCheck, options);
    const onEnd = (): boolean => this.#monitors.delete(monitor);
    const monitor = new BackgroundMonitor(this.#registry, this.#candidates, settings, onEnd);
    this.#monitors.add(monitor);
    // An overload for one event is more than the base class says.
    return monitor as EventTarget & AsyncDisposable as ServiceMonitor;
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
      this.#forget();
      if (records.length > 0) this.#found = { records, at: Date.now() };
    });
    return round;
  }

  /** One caller's leaving must not fail the others; the last one's ends the round. */
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

  /** What was found is no longer what would be found. */
  #forget(): void {
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

/** For probes nobody can cancel. */
const NEVER: AbortSignal = new AbortController().signal;

function readConfigured(
  env: Readonly<Record<string, string | undefined>> | undefined,
): ConfiguredServer {
  const cascade = resolveWithSources({}, env);
  const { baseUrl, apiToken } = cascade.config;
  return isAddressConfigured(cascade) ? { baseUrl, apiToken } : {};
}

function toCandidate(type: unknown, endpoint: unknown): ServiceCandidate {
  const checked = checkServiceType(type);
  return { type: checked, endpoint: normalizeEndpoint(checked, endpoint) };
}

/** A clock that was set back must not make an old answer look new. */
function isFresh(at: number, ttlMs: number): boolean {
  const age = Date.now() - at;
  return age >= 0 && age <= ttlMs;
}
