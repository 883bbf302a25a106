/**
 * Discovery of servers, on this machine and where it is told to look, and of their health.
 *
 * @module
 */

import { isSet, type LMStudioProviderOptions } from "../core/config.ts";
import {
  discoveryError,
  isFinder,
  isServiceType,
  normalizeEndpoint,
  resolveDiscoveryOptions,
  resolveHealthCheck,
} from "../core/discovery_options.ts";
import { fromCaller } from "../core/errors.ts";
import { importOnUse, snapshot } from "../core/import_on_use.ts";
import { unquote } from "../core/base_url.ts";
import type {
  DiscoverOptions,
  MonitorOptions,
  ServiceCandidate,
  ServiceDiscoveryOptions,
  ServiceFinder,
  ServiceInfo,
  ServiceMonitor,
  ServiceType,
} from "../core/services.ts";
import { readEnvironment, readVariables, resolveWithSources } from "../platform/environment.ts";
import type { ConfiguredServer, SearchSettings, ServiceSearch } from "./search.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** Variables of discovery, beside those of the configuration. */
export const DISCOVERY_VARIABLES: readonly string[] = [
  "LOCAL_ENDPOINT",
  "LOCAL_PROVIDER_PREFERENCE",
  "LOCAL_AUTO_DISCOVER",
  "OLLAMA_HOST",
  "OLLAMA_ENDPOINT",
  "HOME",
  "USERPROFILE",
];

/** Server of a provider's configuration, by the options made for it: users of the constructor have none. */
const CONFIGURED = new WeakMap<ServiceDiscoveryOptions, ConfiguredServer>();

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
    const settings = resolveDiscoveryOptions(options);
    const { candidates, env } = settings;
    const variables = env ?? readEnvironment(DISCOVERY_VARIABLES);
    const configured = CONFIGURED.get(options) ?? readConfigured(env);
    const isDefault = candidates === undefined;
    const named = isDefault ? namedCandidates(variables, configured.baseUrl) : [];
    this.#settings = {
      options: settings,
      configured,
      variables,
      named,
      isAutomatic: !isDefault || isAutomatic(variables),
      health: resolveHealthCheck(settings.healthCheck),
      preference: readPreference(variables),
    };
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

// --- What the configuration says --------------------------------------------------------------

function readConfigured(env: Environment | undefined): ConfiguredServer {
  const cascade = resolveWithSources({}, env);
  const { baseUrl, apiToken } = cascade.config;
  return isSet(cascade, "baseUrl") ? { baseUrl, apiToken } : {};
}

/** Candidates of the configuration, in order. @throws {ConfigurationError} */
function namedCandidates(env: Environment, configuredUrl: string | undefined): ServiceCandidate[] {
  const named: ServiceCandidate[] = configuredUrl === undefined
    ? []
    : [{ type: "lmstudio", endpoint: configuredUrl }];
  const local = textOf(env, "LOCAL_ENDPOINT");
  if (local === undefined) return named;
  const at = (type: ServiceType): ServiceCandidate => ({
    type,
    endpoint: normalizeEndpoint(type, local, "variable LOCAL_ENDPOINT"),
  });
  return [...named, at("lmstudio"), at("ollama")];
}

/** Whether more than the configured addresses may be tried. @throws {ConfigurationError} */
function isAutomatic(env: Environment): boolean {
  const text = textOf(env, "LOCAL_AUTO_DISCOVER");
  if (text === undefined || /^(?:true|1|yes|on)$/i.test(text)) return true;
  if (/^(?:false|0|no|off)$/i.test(text)) return false;
  throw discoveryError(
    `variable LOCAL_AUTO_DISCOVER is ${JSON.stringify(text.slice(0, 60))}, not true or false`,
  );
}

/** The type that `LOCAL_PROVIDER_PREFERENCE` names; `undefined` for none. @throws {ConfigurationError} */
export function readPreference(env: Environment): ServiceType | undefined {
  const text = textOf(env, "LOCAL_PROVIDER_PREFERENCE");
  const name = text?.toLowerCase();
  if (name === undefined || name === "auto") return undefined;
  if (isServiceType(name)) return name;
  throw discoveryError(
    `variable LOCAL_PROVIDER_PREFERENCE is ${JSON.stringify(text?.slice(0, 60))}, ` +
      "not lmstudio, ollama or auto",
  );
}

/** A variable's text; empty means absent. */
function textOf(env: Environment, name: string): string | undefined {
  return unquote(env[name] ?? "") || undefined;
}

// --- On behalf of a provider --------------------------------------------------------------------

/** Read on behalf of a provider, from its `.env` file as well; the last two only for hints. */
const PROVIDER_VARIABLES: readonly string[] = [
  ...DISCOVERY_VARIABLES,
  "PATINOX_MODEL_PROVIDER",
  "HTTP_PROXY",
  "NO_PROXY",
];

/**
 * The finder of a provider with these options: the one they name, or a discovery made of them.
 *
 * @throws {ConfigurationError} naming the option, variable or file, and the value.
 */
export function finderFor(options: LMStudioProviderOptions): ServiceFinder {
  const cascade = resolveWithSources(options);
  const { discovery } = options;
  if (isFinder(discovery)) return discovery;
  if (discovery !== undefined) resolveDiscoveryOptions(discovery);
  const own: ServiceDiscoveryOptions = {
    ...discovery,
    env: discovery?.env ?? providerVariables(options),
    fetch: discovery?.fetch ?? options.fetch,
  };
  if (isSet(cascade, "baseUrl")) {
    const { baseUrl, apiToken, headers } = cascade.config;
    CONFIGURED.set(own, { baseUrl, apiToken, headers });
  }
  return new ServiceDiscovery(own);
}

function providerVariables(options: LMStudioProviderOptions): Record<string, string> {
  const { PATINOX_MODEL_PROVIDER: named, ...variables } = readVariables(
    options,
    PROVIDER_VARIABLES,
  );
  const type = named?.toLowerCase();
  // The framework's choice of a provider is a preference, too.
  return isServiceType(type) ? { LOCAL_PROVIDER_PREFERENCE: type, ...variables } : variables;
}
