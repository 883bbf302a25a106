/**
 * Settings of a search for servers: what it is told, and what the configuration and the environment say, read and
 * checked at once.
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

/** Settings of a search, read and checked before it begins. */
export interface SearchSettings {
  readonly options: DiscoverySettings;
  readonly health: HealthCheckSettings;
  readonly configured: ConfiguredServer;
  readonly preference: ServiceType | undefined;
  /** Addresses that the configuration names. */
  readonly named: readonly ServiceCandidate[];
  /** Whether more than the named addresses may be tried. */
  readonly isAutomatic: boolean;
  readonly variables: Environment;
}

/**
 * Reads the settings of a search with these options.
 *
 * @param known server of the configuration, where that has been read.
 * @throws {ConfigurationError} naming the option or variable, the value, and what is allowed.
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
 * How a provider with these options looks for servers: by the finder that they name, or by a search of its own.
 *
 * @throws {ConfigurationError} naming the option, variable or file, and the value.
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
  // The framework's choice of a provider is a preference, too.
  return isServiceType(type) ? { LOCAL_PROVIDER_PREFERENCE: type, ...variables } : variables;
}
