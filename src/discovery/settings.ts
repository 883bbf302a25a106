/**
 * Settings of a search for servers, from its options, the configuration and the environment. All are read and checked
 * up front.
 *
 * @module
 */

import { isSet, type LMStudioProviderOptions } from "../core/config.ts";
import {
  discoveryError,
  type DiscoverySettings,
  type HealthCheckSettings,
  isFinder,
  isServiceType,
  normalizeEndpoint,
  resolveDiscoveryOptions,
  resolveHealthCheck,
} from "../core/discovery_options.ts";
import { unquote } from "../core/base_url.ts";
import type {
  ServiceCandidate,
  ServiceDiscoveryOptions,
  ServiceFinder,
  ServiceType,
} from "../core/services.ts";
import { readEnvironment, readVariables, resolveWithSources } from "../platform/environment.ts";
import type { ConfiguredServer } from "./registry.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** Environment variables for discovery, in addition to those of the configuration. */
export const DISCOVERY_VARIABLES: readonly string[] = [
  "LOCAL_ENDPOINT",
  "LOCAL_PROVIDER_PREFERENCE",
  "LOCAL_AUTO_DISCOVER",
  "OLLAMA_HOST",
  "OLLAMA_ENDPOINT",
  "HOME",
  "USERPROFILE",
];

/** Settings of a search, read and checked before it starts. */
export interface SearchSettings {
  readonly options: DiscoverySettings;
  readonly health: HealthCheckSettings;
  readonly configured: ConfiguredServer;
  readonly preference: ServiceType | undefined;
  /** Addresses that the configuration names. */
  readonly named: readonly ServiceCandidate[];
  /** Whether to try other addresses than the named ones. */
  readonly isAutomatic: boolean;
  readonly variables: Environment;
}

/**
 * Reads the settings of a search with these options.
 *
 * @param known the server in the configuration, if that has been read.
 * @throws {ConfigurationError} if a value is invalid; the message names its option or variable, and what is allowed.
 */
export function searchSettings(
  options: ServiceDiscoveryOptions,
  known?: ConfiguredServer,
): SearchSettings {
  const settings = resolveDiscoveryOptions(options);
  const { candidates, env } = settings;
  const variables = env ?? readEnvironment(DISCOVERY_VARIABLES);
  const configured = known ?? readConfigured(env);
  const isDefault = candidates === undefined;
  return {
    options: settings,
    configured,
    variables,
    named: isDefault ? namedCandidates(variables, configured.baseUrl) : [],
    isAutomatic: !isDefault || isAutomatic(variables),
    health: resolveHealthCheck(settings.healthCheck),
    preference: readPreference(variables),
  };
}

function readConfigured(env: Environment | undefined): ConfiguredServer {
  const cascade = resolveWithSources({}, env);
  const { baseUrl, apiToken } = cascade.config;
  return isSet(cascade, "baseUrl") ? { baseUrl, apiToken } : {};
}

/** Candidates from the configuration, in order. @throws {ConfigurationError} */
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

/** Whether to try other addresses than the configured ones. @throws {ConfigurationError} */
function isAutomatic(env: Environment): boolean {
  const text = textOf(env, "LOCAL_AUTO_DISCOVER");
  if (text === undefined || /^(?:true|1|yes|on)$/i.test(text)) return true;
  if (/^(?:false|0|no|off)$/i.test(text)) return false;
  throw discoveryError(
    `variable LOCAL_AUTO_DISCOVER is ${JSON.stringify(text.slice(0, 60))}, not true or false`,
  );
}

/** The type that `LOCAL_PROVIDER_PREFERENCE` names, if any. @throws {ConfigurationError} */
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

/** A variable's text; an empty one counts as absent. */
function textOf(env: Environment, name: string): string | undefined {
  return unquote(env[name] ?? "") || undefined;
}

// --- On behalf of a provider --------------------------------------------------------------------

/** Variables read for a provider, also from its `.env` file. The last two are only used in hints. */
const PROVIDER_VARIABLES: readonly string[] = [
  ...DISCOVERY_VARIABLES,
  "PATINOX_MODEL_PROVIDER",
  "HTTP_PROXY",
  "NO_PROXY",
];

/**
 * Returns how a provider with these options looks for servers: the finder they contain, or settings for its own search.
 *
 * @throws {ConfigurationError} if a value is invalid; the message names the value and its option, variable or file.
 */
export function providerSearch(options: LMStudioProviderOptions): ServiceFinder | SearchSettings {
  const cascade = resolveWithSources(options);
  const { discovery } = options;
  if (isFinder(discovery)) return discovery;
  if (discovery !== undefined) resolveDiscoveryOptions(discovery);
  const own: ServiceDiscoveryOptions = {
    ...discovery,
    env: discovery?.env ?? providerVariables(options),
    fetch: discovery?.fetch ?? options.fetch,
  };
  if (!isSet(cascade, "baseUrl")) return searchSettings(own);
  const { baseUrl, apiToken, headers } = cascade.config;
  return searchSettings(own, { baseUrl, apiToken, headers });
}

function providerVariables(options: LMStudioProviderOptions): Record<string, string> {
  const { PATINOX_MODEL_PROVIDER: named, ...variables } = readVariables(
    options,
    PROVIDER_VARIABLES,
  );
  const type = named?.toLowerCase();
  // The framework's choice of a provider also counts as a preference.
  return isServiceType(type) ? { LOCAL_PROVIDER_PREFERENCE: type, ...variables } : variables;
}
