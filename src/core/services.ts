/**
 * Servers on the network as discovery knows them, and what discovery can be told.
 *
 * @module
 */

/** A kind of server that discovery can tell from others. */
export type ServiceType = "lmstudio" | "ollama";

/** One server. Everything is keyed by its endpoint: there may be several of a type. */
export interface ServiceInfo {
  /** Which kind of server. */
  type: ServiceType;
  /** Its root, without a trailing slash. */
  endpoint: string;
  /** Its version, where it gives one: Ollama does. */
  version?: string;
  /** Ids of its models when it was last asked; empty where it wants a token. */
  models: string[];
  /** How it does: `degraded` where it wants a token that was not given, fails now and then, or is slow. */
  status: "available" | "degraded" | "unavailable" | "unknown";
  /** Time of the last check. */
  lastHealthCheck: Date;
  /** Failed checks since the last one that succeeded. */
  consecutiveFailures: number;
  /** Moving averages over the last checks, twenty at most. */
  metrics: {
    /** Milliseconds a check took, of those that succeeded; 0 where none did. */
    averageResponseMs: number;
    /** Models it lists. */
    modelCount: number;
    /** Time when it was last sent anything. */
    lastRequest?: Date;
    /** Share of the checks that succeeded, 0 to 1. */
    successRate: number;
  };
}

/** An address to look at, and what to expect there. */
export interface ServiceCandidate {
  /** Which kind of server. */
  readonly type: ServiceType;
  /** Its address, in any usual form. */
  readonly endpoint: string;
}

/** Settings of health checks: when a server counts as down. */
export interface HealthCheckOptions {
  /**
   * Milliseconds between two checks, above 0 and up to an hour.
   * @default {30000}
   */
  intervalMs?: number | undefined;
  /**
   * Milliseconds a check may take, less than `intervalMs`.
   * @default {5000, or half of intervalMs if that is less}
   */
  timeoutMs?: number | undefined;
  /**
   * Failures in a row that make a server `unavailable`, 1 to 10.
   * @default {3}
   */
  maxFailures?: number | undefined;
}

/** The options of `new ServiceDiscovery()`. */
export interface ServiceDiscoveryOptions {
  /**
   * Where to look.
   * @default {the configured address, LM Studio's own settings, 127.0.0.1:1234, Ollama}
   */
  candidates?: readonly ServiceCandidate[] | undefined;
  /**
   * Milliseconds for all requests to one candidate together, 1 to 60000.
   * @default {5000}
   */
  timeoutMs?: number | undefined;
  /** When a server counts as down. */
  healthCheck?: HealthCheckOptions | undefined;
  /** Replaces the process's environment. */
  env?: Readonly<Record<string, string | undefined>> | undefined;
  /** Used instead of the global `fetch`. */
  fetch?: typeof globalThis.fetch | undefined;
}

/** Options of `discover()`. */
export interface DiscoverOptions {
  /**
   * Look again, whatever is known.
   * @default {false}
   */
  force?: boolean | undefined;
  /** Aborting it ends the wait, which rejects with `signal.reason`. */
  signal?: AbortSignal | undefined;
}

/** Options of `monitor()`; what is absent is as in `healthCheck`. */
export interface MonitorOptions {
  /**
   * Milliseconds between two checks, above 0 and up to an hour.
   * @default {30000}
   */
  intervalMs?: number | undefined;
  /**
   * Failures in a row that make a server `unavailable`, 1 to 10.
   * @default {3}
   */
  maxFailures?: number | undefined;
}

/** Finder of servers, the part of a `ServiceDiscovery` that providers need. */
export interface ServiceFinder {
  /** Every server that answers, in the order of the candidates. */
  discover(options?: DiscoverOptions): Promise<ServiceInfo[]>;
  /** The preferred server, of a type if one is named; rejects where there is none. */
  find(
    type?: ServiceType,
    options?: { readonly signal?: AbortSignal | undefined },
  ): Promise<ServiceInfo>;
}

/** A running watch over all candidates; disposing it ends it. Its timer never keeps a program alive. */
export interface ServiceMonitor extends EventTarget, AsyncDisposable {
  /** `statuschange` is fired when the status of a server changes; its `detail` is the `ServiceInfo`. */
  addEventListener(
    type: "statuschange",
    listener: (event: CustomEvent<ServiceInfo>) => void,
    options?: boolean | { once?: boolean; signal?: AbortSignal },
  ): void;
  /** As of any `EventTarget`. */
  addEventListener(...args: Parameters<EventTarget["addEventListener"]>): void;
  /** As of any `EventTarget`. */
  removeEventListener(
    type: "statuschange",
    listener: (event: CustomEvent<ServiceInfo>) => void,
  ): void;
  /** As of any `EventTarget`. */
  removeEventListener(...args: Parameters<EventTarget["removeEventListener"]>): void;
}
