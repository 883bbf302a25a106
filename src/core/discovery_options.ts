/**
 * Discovery options: validation and defaults.
 *
 * @module
 */

import { address } from "./base_url.ts";
import {
  alternatives,
  anything,
  arrayOf,
  callback,
  checkOptions,
  describe,
  must,
  number,
  type RefusalMaker,
  required,
  type Rule,
  table,
  wholeNumber,
} from "./checks.ts";
import { providerError } from "./errors.ts";
import { isRecord } from "./fields.ts";
import type {
  HealthCheckOptions,
  MonitorOptions,
  ServiceCandidate,
  ServiceDiscoveryOptions,
  ServiceFinder,
  ServiceType,
} from "./services.ts";

/** `HealthCheckOptions` with defaults filled in. */
export interface HealthCheckSettings {
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly maxFailures: number;
}

/** `ServiceDiscoveryOptions`, validated. */
export interface DiscoverySettings {
  readonly candidates: readonly ServiceCandidate[] | undefined;
  readonly timeoutMs: number;
  readonly healthCheck: HealthCheckOptions;
  readonly env: Readonly<Record<string, string | undefined>> | undefined;
  readonly fetch: typeof globalThis.fetch | undefined;
}

/** Display names of the service types. */
export const SERVICE_NAMES: Readonly<Record<ServiceType, string>> = {
  lmstudio: "LM Studio",
  ollama: "Ollama",
};

const DEFAULT_PORTS: Readonly<Record<ServiceType, number>> = { lmstudio: 1234, ollama: 11434 };
const MAX_TIMEOUT_MS = 60_000;
const MAX_INTERVAL_MS = 3_600_000;

/** Creates a `ConfigurationError` about discovery. */
export const discoveryError: RefusalMaker = (state) =>
  providerError("invalid_configuration", `Cannot configure service discovery: ${state}`, {
    attempts: 0,
  });

/** Rule for an endpoint, normalized so that it can serve as a key. */
function endpointOf(type: ServiceType): Rule<string> {
  return address(DEFAULT_PORTS[type]);
}

/** Rule for a service type. */
const serviceType: Rule<ServiceType> = must(
  alternatives(Object.keys(SERVICE_NAMES)),
  isServiceType,
);

const CANDIDATE = table<ServiceCandidate>({
  type: required(anything),
  endpoint: required(anything),
});
const candidate: Rule<ServiceCandidate> = (value, of, refusal) => {
  const { type, endpoint } = CANDIDATE(value, of, refusal);
  serviceType(type, `the type of ${of}`, refusal);
  return { type, endpoint: endpointOf(type)(endpoint, `the endpoint of ${of}`, refusal) };
};

const HEALTH_CHECK = table<HealthCheckOptions>({
  intervalMs: number(
    `a number of milliseconds above 0 and up to ${MAX_INTERVAL_MS}`,
    (ms) => ms > 0 && ms <= MAX_INTERVAL_MS,
  ),
  timeoutMs: anything,
  maxFailures: wholeNumber(1, 10),
}, {
  noun: "option",
  whole: "healthCheck is",
  show: describe,
  between: [({ intervalMs = 0, timeoutMs }) => {
    if (typeof timeoutMs === "number" && timeoutMs > 0 && timeoutMs < intervalMs) return;
    return `healthCheck.timeoutMs is ${describe(timeoutMs)}, not a number of milliseconds ` +
      `above 0 and below the intervalMs of ${intervalMs}`;
  }],
});
const MONITOR = table<MonitorOptions>({ intervalMs: anything, maxFailures: anything }, {
  noun: "option",
  whole: "the monitor options are",
  show: describe,
});

const DISCOVERY = table<ServiceDiscoveryOptions>({
  candidates: arrayOf(candidate, { mayBeEmpty: true, show: describe }),
  timeoutMs: number(
    `a number of milliseconds from 1 to ${MAX_TIMEOUT_MS}`,
    (ms) => ms >= 1 && ms <= MAX_TIMEOUT_MS,
  ),
  healthCheck: (options) => resolveHealthCheck(options as HealthCheckOptions) && options,
  env: must("an object of variables", isRecord),
  fetch: callback,
}, { noun: "option", whole: "the options are" });

/**
 * Checks discovery options and fills in defaults.
 *
 * @throws {ConfigurationError} naming the option, the value and what is allowed.
 */
export function resolveDiscoveryOptions(options: ServiceDiscoveryOptions): DiscoverySettings {
  const { candidates, timeoutMs = 5000, healthCheck, env, fetch } = DISCOVERY(
    options,
    "",
    discoveryError,
  );
  return { candidates, timeoutMs, healthCheck: { ...healthCheck }, env, fetch };
}

/** Fills in the defaults of health checks; a monitor's options take precedence. @throws {ConfigurationError} */
export function resolveHealthCheck(
  options: HealthCheckOptions,
  monitor?: MonitorOptions,
): HealthCheckSettings {
  const own = checkOptions(MONITOR, monitor, discoveryError);
  // Merged before checking, since the limits of one option depend on another.
  const given = isRecord(options) ? options as HealthCheckOptions : undefined;
  const intervalMs = own.intervalMs ?? given?.intervalMs ?? 30_000;
  const timeoutMs = given?.timeoutMs ??
    Math.min(5000, typeof intervalMs === "number" ? intervalMs / 2 : 0);
  const maxFailures = own.maxFailures ?? given?.maxFailures ?? 3;
  const merged = given === undefined ? options : { ...given, intervalMs, timeoutMs, maxFailures };
  HEALTH_CHECK(merged, "", discoveryError);
  return { intervalMs, timeoutMs, maxFailures };
}

/** Tests whether a value is a service type. */
export function isServiceType(value: unknown): value is ServiceType {
  return value === "lmstudio" || value === "ollama";
}

/** Refuses a value that is not a service type. */
export function checkServiceType(value: unknown, name = "type"): ServiceType {
  return serviceType(value, name, discoveryError);
}

/** Normalizes an endpoint so that it can serve as a key. @throws {ConfigurationError} */
export function normalizeEndpoint(type: ServiceType, value: unknown, name = "endpoint"): string {
  return endpointOf(type)(value, name, discoveryError);
}

/** Tests whether a value is a finder of servers, by its methods rather than its class. */
export function isFinder(value: unknown): value is ServiceFinder {
  if (typeof value !== "object" || value === null) return false;
  const { discover, find } = value as Partial<ServiceFinder>;
  return typeof discover === "function" && typeof find === "function";
}
