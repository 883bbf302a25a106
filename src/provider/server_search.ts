/**
 * How a provider's options say where its server may be.
 *
 * @module
 */

import {
  type ConfigInputs,
  configurationError,
  type LMStudioProviderOptions,
  type ResolvedCascade,
} from "../core/config.ts";
import { isServiceType, resolveDiscoveryOptions } from "../core/discovery_options.ts";
import { cascadeAt, isAddressConfigured } from "../core/found_config.ts";
import type { ServiceDiscoveryOptions, ServiceFinder, ServiceType } from "../core/services.ts";
import { describe } from "../core/value_checks.ts";
import { DISCOVERY_VARIABLES } from "../discovery/candidates.ts";
import { discoveryFor, ServiceDiscovery } from "../discovery/discovery.ts";
import { isOnThisMachine } from "../platform/own_addresses.ts";
import { readVariables, resolveWithSources } from "../platform/environment.ts";

/** Read while a provider looks for servers; the last two only for hints. */
const VARIABLES: readonly string[] = [
  ...DISCOVERY_VARIABLES,
  "PATINOX_MODEL_PROVIDER",
  "HTTP_PROXY",
  "NO_PROXY",
];

/** What the framework says of providers, beside what `resolveCascade` reads. */
export const PROVIDER_VARIABLES: readonly string[] = [
  "PATINOX_MODEL_PROVIDER",
  "LOCAL_PROVIDER_PREFERENCE",
];

/** The framework's variables for values that providers have their own variables for. */
export const FRAMEWORK_VARIABLES: NonNullable<ConfigInputs["moreVariables"]> = {
  model: ["PATINOX_MODEL_DEFAULT"],
};

/** The provider that `PATINOX_MODEL_PROVIDER` names. */
export function namedProvider(
  { PATINOX_MODEL_PROVIDER: named }: Readonly<Record<string, string>>,
): ServiceType | "local" | undefined {
  const name = named?.toLowerCase();
  if (name === undefined || name === "local" || isServiceType(name)) return name;
  const state = `variable PATINOX_MODEL_PROVIDER is ${
    describe(named)
  }, not lmstudio, ollama or local`;
  throw configurationError(state, undefined, "default");
}

/** Refuses what is neither options of discovery nor something that looks for servers. */
export function checkDiscovery(discovery: unknown): void {
  if (discovery !== undefined && !isFinder(discovery)) {
    resolveDiscoveryOptions(discovery as ServiceDiscoveryOptions);
  }
}

/**
 * What looks for servers with these options: theirs, or one made of them.
 *
 * @throws {ConfigurationError} naming the option, variable or file, and the value.
 */
export function finderFor(options: LMStudioProviderOptions): ServiceFinder {
  const cascade = resolveWithSources(options);
  const { discovery } = options;
  if (isFinder(discovery)) return discovery;
  checkDiscovery(discovery);
  const own: ServiceDiscoveryOptions = {
    ...discovery,
    env: discovery?.env ?? variablesOf(options),
    fetch: discovery?.fetch ?? options.fetch,
  };
  if (!isAddressConfigured(cascade)) return new ServiceDiscovery(own);
  const { baseUrl, apiToken, headers } = cascade.config;
  return discoveryFor(own, { baseUrl, apiToken, headers });
}

/** By options: what a provider for a server that was found works with. Users of its constructor have nothing to do with it. */
const RESOLVED = new WeakMap<LMStudioProviderOptions, ResolvedCascade>();

/** Options for a provider at an address that was found, without the secrets that are not for it. */
export function optionsAt(
  endpoint: string,
  options: LMStudioProviderOptions,
): LMStudioProviderOptions {
  const own = { ...options };
  RESOLVED.set(own, resolveAt(endpoint, resolveWithSources(options)));
  return own;
}

/** What a provider with these options works with. @throws {ConfigurationError} */
export function resolveFor(options: LMStudioProviderOptions): ResolvedCascade {
  return RESOLVED.get(options) ?? resolveWithSources(options);
}

/** A configuration for an address that was found. */
export function resolveAt(endpoint: string, cascade: ResolvedCascade): ResolvedCascade {
  return cascadeAt(cascade, endpoint, () => isOnThisMachine(endpoint));
}

/** Whether the address of LM Studio is configured, whichever way. */
export function isAddressGiven(options: LMStudioProviderOptions): boolean {
  return isAddressConfigured(resolveWithSources(options));
}

/** Whether a value looks for servers, whoever wrote it. */
function isFinder(value: unknown): value is ServiceFinder {
  if (typeof value !== "object" || value === null) return false;
  const { discover, find } = value as Partial<ServiceFinder>;
  return typeof discover === "function" && typeof find === "function";
}

function variablesOf(options: LMStudioProviderOptions): Record<string, string> {
  const { PATINOX_MODEL_PROVIDER: named, ...variables } = readVariables(options, VARIABLES);
  const type = named?.toLowerCase();
  // The framework's choice of a provider is a preference, too.
  return isServiceType(type) ? { LOCAL_PROVIDER_PREFERENCE: type, ...variables } : variables;
}

/** Finds servers of one type only. */
export function onlyType(type: ServiceType, finder: ServiceFinder): ServiceFinder {
  return {
    discover: async (options) =>
      (await finder.discover(options)).filter((service) => service.type === type),
    find: (_type, options) => finder.find(type, options),
  };
}
