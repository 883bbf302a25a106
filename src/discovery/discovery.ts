/**
 * Discovery of servers, on this machine and at addresses you name, and of their health.
 *
 * @module
 */

import type { LMStudioProviderOptions } from "../core/config.ts";
import { isFinder, resolveHealthCheck } from "../core/discovery_options.ts";
import { fromCaller } from "../core/errors.ts";
import { importOnUse, snapshot } from "../core/import_on_use.ts";
import type {
  DiscoverOptions,
  MonitorOptions,
  ServiceDiscoveryOptions,
  ServiceFinder,
  ServiceInfo,
  ServiceMonitor,
  ServiceType,
} from "../core/services.ts";
import type { ServiceSearch } from "./search.ts";
import { providerSearch, type SearchSettings, searchSettings } from "./settings.ts";

/** Settings of providers' searches, keyed by options made for each; users' own options have none. */
const PREPARED = new WeakMap<ServiceDiscoveryOptions, SearchSettings>();

/**
 * Finds LM Studio and Ollama servers. Probes all candidates at once, each with a short timeout of its own; only an
 * answer of the right shape counts. Servers are identified by endpoint, since there may be several of a type. Holds no
 * connection and, except for monitors, no timer.
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
  readonly #settings: SearchSettings;
  #search: ServiceSearch | undefined;

  /**
   * Creates a `ServiceDiscovery`. Sends nothing.
   *
   * @throws {ConfigurationError} if a value is invalid; the message names its option or variable, and what is allowed.
   */
  constructor(options: ServiceDiscoveryOptions = {}) {
    this.#settings = PREPARED.get(options) ?? searchSettings(options);
  }

  /**
   * Lists all servers that answer, in the order of the candidates. The result is cached for 30 s unless it is empty, and
   * concurrent calls share one search. A server that does not answer is not an error.
   *
   * @throws {ConfigurationError} if an option is unknown.
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
    return await fromCaller(async () => {
      const given = snapshot(options);
      return await (await this.#load("find servers")).discover(given);
    });
  }

  /**
   * Finds the preferred server, of any type or of the one you name: the first candidate that is available, else the
   * first that is degraded. Waits only for the candidates before it, and cancels probes that no call waits for.
   *
   * @throws {NetworkError} code `service_not_found`, listing each address tried and why it failed, or
   * `permission_denied` if no connection is allowed at all.
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
    return await fromCaller(async () => {
      const given = snapshot(options);
      return await (await this.#load("find a server")).find(type, given);
    });
  }

  /**
   * Probes one server and remembers it. Makes one attempt.
   *
   * @returns the server, or `undefined` if no server of this type answers in time.
   * @throws {ConfigurationError} if the type is unknown, or the endpoint is not an address.
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
    return await fromCaller(async () => {
      return await (await this.#load("probe a server")).probe(type, endpoint);
    });
  }

  /**
   * Checks one server: resolves if it answers correctly and can be used. Makes one attempt.
   *
   * @throws {ProviderError} if it cannot be used; the error says why.
   * @throws {ConfigurationError} if the type is unknown, or the endpoint is not an address.
   *
   * @example
   * ```ts
   * import { ServiceDiscovery } from "jsr:@patinox/lmstudio";
   *
   * await new ServiceDiscovery().healthCheck("lmstudio", "http://127.0.0.1:1234");
   * ```
   */
  async healthCheck(type: ServiceType, endpoint: string): Promise<void> {
    return await fromCaller(async () => {
      await (await this.#load("check a server")).healthCheck(type, endpoint);
    });
  }

  /**
   * Lists the servers that were available at their last check, in the order of the candidates. Sends nothing.
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
    return this.#search?.availableServices() ?? [];
  }

  /**
   * Returns what is known about a server, or about the preferred one of a type; `undefined` if nothing is. Sends nothing.
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
    return this.#search?.serviceInfo(typeOrEndpoint);
  }

  /**
   * Lists the ids of the models on a server, or on the preferred one of a type. Cached for 5 minutes.
   *
   * @throws {NetworkError} code `service_not_found` if there is no such server.
   * @throws {AuthenticationError} if the server requires an API token.
   *
   * @example
   * ```ts
   * import { ServiceDiscovery } from "jsr:@patinox/lmstudio";
   *
   * console.log(await new ServiceDiscovery().models("lmstudio"));
   * ```
   */
  async models(typeOrEndpoint: string): Promise<string[]> {
    return await fromCaller(async () => {
      return await (await this.#load("list models")).models(typeOrEndpoint);
    });
  }

  /**
   * Watches all candidates, starting at once, until you dispose the monitor. A server becomes `degraded` with its first
   * failed check, `unavailable` after `maxFailures` in a row, and `available` again with its first success. The
   * monitor's timer does not keep a program alive.
   *
   * @throws {ConfigurationError} if an option is invalid; the message names the option and what is allowed.
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
    const settings = resolveHealthCheck(this.#settings.options.healthCheck, options);
    const monitor = new LazyMonitor(async (target) => {
      const search = await this.#load("watch servers");
      return search.monitor(settings, target);
    });
    // The overload for one event goes beyond the type of the base class.
    return monitor as EventTarget & AsyncDisposable as ServiceMonitor;
  }

  /** Loads the search on first use, because most programs know their server. */
  async #load(action: string): Promise<ServiceSearch> {
    const { ServiceSearch } = await importOnUse(() => import("./search.ts"), action);
    return this.#search ??= new ServiceSearch(this.#settings);
  }
}

/** A monitor that starts once its code has loaded. */
class LazyMonitor extends EventTarget {
  #isOver = false;
  readonly #monitor: Promise<AsyncDisposable | undefined>;

  /** @param begin starts the monitor, which fires its events at the target. */
  constructor(begin: (target: EventTarget) => Promise<AsyncDisposable>) {
    super();
    this.#monitor = begin(this).then(
      async (monitor) => {
        if (this.#isOver) await monitor[Symbol.asyncDispose]();
        return monitor;
      },
      // If loading fails, nothing is watched: there is no call left to reject.
      () => undefined,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    const monitor = await this.#monitor;
    await monitor?.[Symbol.asyncDispose]();
  }
}

/**
 * Returns the finder for a provider with these options: the one they contain, or a discovery created from them.
 *
 * @throws {ConfigurationError} if a value is invalid; the message names the value and its option, variable or file.
 */
export function finderFor(options: LMStudioProviderOptions): ServiceFinder {
  const search = providerSearch(options);
  if (isFinder(search)) return search;
  const own: ServiceDiscoveryOptions = {};
  PREPARED.set(own, search);
  return new ServiceDiscovery(own);
}
