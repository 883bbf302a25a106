/**
 * Discovery of servers, on this machine and where it is told to look, and of their health.
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

/** Settings of a provider's search, by the options made for it: users of the constructor have none. */
const PREPARED = new WeakMap<ServiceDiscoveryOptions, SearchSettings>();

/**
 * Finds LM Studio and Ollama: all candidates are probed at once, each with its own short timer, and only an
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
  readonly #settings: SearchSettings;
  #search: ServiceSearch | undefined;

  /**
   * Touches no network.
   *
   * @throws {ConfigurationError} naming the option or variable, the value, and what is allowed.
   */
  constructor(options: ServiceDiscoveryOptions = {}) {
    this.#settings = PREPARED.get(options) ?? searchSettings(options);
  }

  /**
   * Lists every server that answers, in the order of the candidates. Cached for 30 s, unless nothing was found;
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
    return await fromCaller(async () => {
      const given = snapshot(options);
      return await (await this.#load("find servers")).discover(given);
    });
  }

  /**
   * Finds the preferred server, of a type if one is named: the first candidate that is available, else the first that
   * is degraded. Waits for the candidates before it alone; probes that no call waits for are cancelled.
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
    return await fromCaller(async () => {
      const given = snapshot(options);
      return await (await this.#load("find a server")).find(type, given);
    });
  }

  /**
   * Probes one server and remembers it. One attempt.
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
    return await fromCaller(async () => {
      return await (await this.#load("probe a server")).probe(type, endpoint);
    });
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
   * Returns what is known of a server, or of the preferred one of a type; `undefined` when nothing is. Sends nothing.
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
   * Lists the ids of the models of a server, or of the preferred one of a type. Cached for 5 minutes.
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
    return await fromCaller(async () => {
      return await (await this.#load("list models")).models(typeOrEndpoint);
    });
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
    const settings = resolveHealthCheck(this.#settings.options.healthCheck, options);
    const monitor = new LazyMonitor(async (target) => {
      const search = await this.#load("watch servers");
      return search.monitor(settings, target);
    });
    // An overload for one event is more than the base class says.
    return monitor as EventTarget & AsyncDisposable as ServiceMonitor;
  }

  /** The search is loaded on first use: most programs know their server. */
  async #load(action: string): Promise<ServiceSearch> {
    const { ServiceSearch } = await importOnUse(() => import("./search.ts"), action);
    return this.#search ??= new ServiceSearch(this.#settings);
  }
}

/** A monitor that begins once what it needs has been loaded. */
class LazyMonitor extends EventTarget {
  #isOver = false;
  readonly #monitor: Promise<AsyncDisposable | undefined>;

  /** @param begin starts the monitor, whose events are fired at this target. */
  constructor(begin: (target: EventTarget) => Promise<AsyncDisposable>) {
    super();
    this.#monitor = begin(this).then(
      async (monitor) => {
        if (this.#isOver) await monitor[Symbol.asyncDispose]();
        return monitor;
      },
      // Nothing is watched then, and no call is left that could be rejected.
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
 * The finder of a provider with these options: the one they name, or a discovery made of them.
 *
 * @throws {ConfigurationError} naming the option, variable or file, and the value.
 */
export function finderFor(options: LMStudioProviderOptions): ServiceFinder {
  const search = providerSearch(options);
  if (isFinder(search)) return search;
  const own: ServiceDiscoveryOptions = {};
  PREPARED.set(own, search);
  return new ServiceDiscovery(own);
}
