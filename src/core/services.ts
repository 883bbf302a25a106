/**
 * Service discovery: servers that were found, and the options of discovery.
 *
 * @module
 */

/** Kind of server that discovery recognizes. */
export type ServiceType = "lmstudio" | "ollama";

/** A server, identified by its endpoint: there may be several of a type. */
export interface ServiceInfo {
  /** Kind of server. */
  type: ServiceType;
  /** Root of the server, without a trailing slash. */
  endpoint: string;
  /** Version, if the server reports one; Ollama does. */
  version?: string;
  /** Ids of its models when last asked; empty if it requires an API token. */
  models: string[];
  /** Health: `degraded` if it requires a missing API token, fails from time to time, or is slow. */
  status: "available" | "degraded" | "unavailable" | "unknown";
  /** Time of the last check. */
  lastHealthCheck: Date;
  /** Number of failed checks since the last success. */
  consecutiveFailures: number;
  /** Figures for the last checks, at most twenty. */
  metrics: {
    /** Average duration of the successful checks, in milliseconds; 0 if none succeeded. */
    averageResponseMs: number;
    /** Number of models it lists. */
    modelCount: number;
    /** Time of the last request sent to it. */
    lastRequest?: Date;
    /** Share of checks that succeeded, 0 to 1. */
    successRate: number;
  };
}

/** Address to check, and the kind of server expected there. */
export interface ServiceCandidate {
  /** Kind of server. */
  readonly type: ServiceType;
  /** Address of the server, in any common form. */
  readonly endpoint: string;
}

/** Health check options: when a server counts as down. */
export interface HealthCheckOptions {
  /**
   * Interval between checks in milliseconds, above 0 and up to an hour.
   * @default {30000}
   */
  intervalMs?: number | undefined;
  /**
   * Timeout of a check in milliseconds, less than `intervalMs`.
   * @default {5000, or half of `intervalMs` if that is less}
   */
  timeoutMs?: number | undefined;
  /**
   * Failures in a row that make a server `unavailable`, 1 to 10.
   * @default {3}
   */
  maxFailures?: number | undefined;
}

/** Options of `new ServiceDiscovery()`. */
export interface ServiceDiscoveryOptions {
  /**
   * Addresses to check.
   * @default {the configured address, LM Studio's own settings, 127.0.0.1:1234, Ollama}
   */
  candidates?: readonly ServiceCandidate[] | undefined;
  /**
   * Timeout of all requests to one candidate together, in milliseconds, 1 to 60000.
   * @default {5000}
   */
  timeoutMs?: number | undefined;
  /** Health check options: when a server counts as down. */
  healthCheck?: HealthCheckOptions | undefined;
  /** Replaces the process's environment. */
  env?: Readonly<Record<string, string | undefined>> | undefined;
  /** Used instead of the global `fetch`. */
  fetch?: typeof globalThis.fetch | undefined;
}

/** Options of `discover()`. */
export interface DiscoverOptions {
  /**
   * Whether to search again instead of using the cached result.
   * @default {false}
   */
  force?: boolean | undefined;
  /** Signal that ends the wait, which then rejects with `signal.reason`. */
  signal?: AbortSignal | undefined;
}

/** Options of `monitor()`; those that are absent default to `healthCheck`. */
export interface MonitorOptions {
  /**
   * Interval between checks in milliseconds, above 0 and up to an hour.
   * @default {30000}
   */
  intervalMs?: number | undefined;
  /**
   * Failures in a row that make a server `unavailable`, 1 to 10.
   * @default {3}
   */
  maxFailures?: number | undefined;
}

/** Finder of servers: the part of `ServiceDiscovery` that providers need. */
export interface ServiceFinder {
  /** Finds all servers that answer, in the order of the candidates. */
  discover(options?: DiscoverOptions): Promise<ServiceInfo[]>;
  /** Finds the preferred server, optionally of one type; rejects if there is none. */
  find(
    type?: ServiceType,
    options?: { readonly signal?: AbortSignal | undefined },
  ): Promise<ServiceInfo>;
}

/** Monitor of all candidates; dispose it to stop. Its timer never keeps a program alive. */
export interface ServiceMonitor extends EventTarget, AsyncDisposable {
  /** `statuschange` fires when the status of a server changes; the event's `detail` is the `ServiceInfo`. */
  addEventListener(
    type: "statuschange",
    listener: (event: CustomEvent<ServiceInfo>) => void,
    options?: boolean | { once?: boolean; signal?: AbortSignal },
  ): void;
  /** As in any `EventTarget`. */
  addEventListener(...args: Parameters<EventTarget["addEventListener"]>): void;
  /** As in any `EventTarget`. */
  removeEventListener(
    type: "statuschange",
    listener: (event: CustomEvent<ServiceInfo>) => void,
  ): void;
  /** As in any `EventTarget`. */
  removeEventListener(...args: Parameters<EventTarget["removeEventListener"]>): void;
}
