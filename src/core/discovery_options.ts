/**
 * Checks what discovery is told, and completes it.
 *
 * @module
 */

import { isRecord } from "./request_checks.ts";
import { normalizeBaseUrl } from "./base_url.ts";
import { type ConfigurationError, providerError } from "./errors.ts";
import { describeUnknownField } from "./fields.ts";
import type {
  HealthCheckOptions,
  MonitorOptions,
  ServiceCandidate,
  ServiceDiscoveryOptions,
  ServiceFinder,
  ServiceType,
} from "./services.ts";
import { describe } from "./value_checks.ts";

/** `HealthCheckOptions`, complete. */
export interface HealthCheckSettings {
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly maxFailures: number;
}

/** `ServiceDiscoveryOptions`, checked. */
export interface DiscoverySettings {
  readonly candidates: readonly ServiceCandidate[] | undefined;
  readonly timeoutMs: number;
  readonly healthCheck: HealthCheckOptions;
  readonly env: Readonly<Record<string, string | undefined>> | undefined;
  readonly fetch: typeof globalThis.fetch | undefined;
}

/** Names of the types for people. */
export const SERVICE_NAMES: Readonly<Record<ServiceType, string>> = {
  lmstudio: "LM Studio",
  ollama: "Ollama",
};

/** What a search looks for, as the end of "Cannot find …": a server of a type, or of any. */
export function searchedFor(type: ServiceType | undefined): string {
  return type === undefined ? "a local server" : SERVICE_NAMES[type];
}

const DEFAULT_PORTS: Readonly<Record<ServiceType, number>> = { lmstudio: 1234, ollama: 11434 };
const DEFAULT_TIMEOUT_MS = 5000;
const MAX_TIMEOUT_MS = 60_000;
const DEFAULT_INTERVAL_MS = 30_000;
const MAX_INTERVAL_MS = 3_600_000;
const DEFAULT_MAX_FAILURES = 3;
const MOST_MAX_FAILURES = 10;

const DISCOVERY_OPTIONS = ["candidates", "timeoutMs", "healthCheck", "env", "fetch"];
const HEALTH_CHECK_OPTIONS = ["intervalMs", "timeoutMs", "maxFailures"];
const MONITOR_OPTIONS = ["intervalMs", "maxFailures"];

/** A `ConfigurationError` about discovery. */
export function discoveryError(state: string): ConfigurationError {
  return providerError("invalid_configuration", `Cannot configure service discovery: ${state}`, {
    attempts: 0,
  });
}

/**
 * Checks the options of discovery.
 *
 * @throws {ConfigurationError} naming the option, the value and what is allowed.
 */
export function resolveDiscoveryOptions(options: ServiceDiscoveryOptions): DiscoverySettings {
  checkOptions("the options", options, DISCOVERY_OPTIONS);
  const { candidates, timeoutMs = DEFAULT_TIMEOUT_MS, healthCheck = {}, env, fetch } = options;
  if (candidates !== undefined && !Array.isArray(candidates)) {
    throw discoveryError(`candidates is ${describe(candidates)}, not an array`);
  }
  if (!(typeof timeoutMs === "number" && timeoutMs >= 1 && timeoutMs <= MAX_TIMEOUT_MS)) {
    throw discoveryError(
      `timeoutMs is ${
        describe(timeoutMs)
      }, not a number of milliseconds from 1 to ${MAX_TIMEOUT_MS}`,
    );
  }
  resolveHealthCheck(healthCheck);
  if (env !== undefined && !isRecord(env)) {
    throw discoveryError(`env is ${describe(env)}, not an object of variables`);
  }
  if (fetch !== undefined && typeof fetch !== "function") {
    throw discoveryError(`fetch is ${describe(fetch)}, not a function`);
  }
  return {
    // Not `map`, which goes past a place without an item.
    candidates: candidates && Array.from(candidates, checkCandidate),
    timeoutMs,
    healthCheck: { ...healthCheck },
    env,
    fetch,
  };
}

/** Completes the options of health checks; those of a monitor win. @throws {ConfigurationError} */
export function resolveHealthCheck(
  options: HealthCheckOptions,
  monitor: MonitorOptions = {},
): HealthCheckSettings {
  checkOptions("healthCheck", options, HEALTH_CHECK_OPTIONS);
  checkOptions("the options of the monitor", monitor, MONITOR_OPTIONS);
  const intervalMs = monitor.intervalMs ?? options.intervalMs ?? DEFAULT_INTERVAL_MS;
  const maxFailures = monitor.maxFailures ?? options.maxFailures ?? DEFAULT_MAX_FAILURES;
  if (!(typeof intervalMs === "number" && intervalMs > 0 && intervalMs <= MAX_INTERVAL_MS)) {
    throw discoveryError(
      `intervalMs is ${describe(intervalMs)}, not a number of milliseconds above 0 and up to ` +
        `${MAX_INTERVAL_MS}`,
    );
  }
  const timeoutMs = options.timeoutMs ?? Math.min(DEFAULT_TIMEOUT_MS, intervalMs / 2);
  if (!(typeof timeoutMs === "number" && timeoutMs > 0 && timeoutMs < intervalMs)) {
    throw discoveryError(
      `the timeoutMs of health checks is ${describe(timeoutMs)}, not a number of milliseconds ` +
        `above 0 and below their intervalMs of ${intervalMs}`,
    );
  }
  if (!(Number.isInteger(maxFailures) && maxFailures >= 1 && maxFailures <= MOST_MAX_FAILURES)) {
    throw discoveryError(
      `maxFailures is ${describe(maxFailures)}, not a whole number from 1 to ${MOST_MAX_FAILURES}`,
    );
  }
  return { intervalMs, timeoutMs, maxFailures };
}

/** Whether a value is the name of a type. */
export function isServiceType(value: unknown): value is ServiceType {
  return value === "lmstudio" || value === "ollama";
}

/** Refuses what is not the name of a type. */
export function checkServiceType(value: unknown, name = "type"): ServiceType {
  if (isServiceType(value)) return value;
  throw discoveryError(`${name} is ${describe(value)}, not "lmstudio" or "ollama"`);
}

/** An address in the form in which it is a key. @throws {ConfigurationError} */
export function normalizeEndpoint(type: ServiceType, value: unknown, name = "endpoint"): string {
  if (typeof value !== "string") {
    throw discoveryError(`${name} is ${describe(value)}, not an address`);
  }
  const result = normalizeBaseUrl(value, DEFAULT_PORTS[type]);
  if (result.problem === undefined) return result.url;
  const { display, problem } = result;
  throw discoveryError(`${name} ${display === "" ? problem : `"${display}" ${problem}`}`);
}

/** Refuses options that are no object or that nobody reads. */
export function checkOptions(name: string, value: unknown, known: readonly string[]): void {
  if (!isRecord(value)) throw discoveryError(`${name} is ${describe(value)}, not an object`);
  const unknown = describeUnknownField(value, new Set(known), "option");
  if (unknown !== undefined) throw discoveryError(unknown);
}

function checkCandidate(value: unknown, index: number): ServiceCandidate {
  const name = `candidates[${index}]`;
  if (!isRecord(value)) throw discoveryError(`${name} is ${describe(value)}, not an object`);
  const unknown = describeUnknownField(value, new Set(["type", "endpoint"]), "field");
  if (unknown !== undefined) throw discoveryError(`${name} has an ${unknown}`);
  const type = checkServiceType(value.type, `the type of ${name}`);
  return { type, endpoint: normalizeEndpoint(type, value.endpoint, `the endpoint of ${name}`) };
}

/** Whether a value looks for servers, whoever wrote it. */
export function isFinder(value: unknown): value is ServiceFinder {
  if (typeof value !== "object" || value === null) return false;
  const { discover, find } = value as Partial<ServiceFinder>;
  return typeof discover === "function" && typeof find === "function";
}
