/**
 * Registry of known servers: keeps a record of each and checks them.
 *
 * @module
 */

import { discoveryError, isServiceType, normalizeEndpoint } from "../core/discovery_options.ts";
import type { ServiceCandidate, ServiceInfo, ServiceType } from "../core/services.ts";
import { keyOf, sortByPreference } from "./candidates.ts";
import { type ProbeAnswer, probeService } from "./probes.ts";

/** The server a provider is configured for: the only one that gets secrets during a search. */
export interface ConfiguredServer {
  readonly baseUrl?: string | undefined;
  readonly apiToken?: string | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

/** Settings of a registry. */
export interface RegistrySettings {
  readonly configured: ConfiguredServer;
  readonly env: Readonly<Record<string, string | undefined>> | undefined;
  readonly fetch: typeof globalThis.fetch | undefined;
  /** Called when the status of a server changes. */
  readonly onChange: (info: ServiceInfo) => void;
}

/** Options of one check. */
export interface LookOptions {
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** Failures in a row that make a known server unavailable. If absent, failures are not recorded. */
  readonly maxFailures?: number;
}

/** Records of all known servers. */
export class ServiceRegistry {
  /** The latest candidates. Servers are listed in this order, any others after them. */
  candidates: readonly ServiceCandidate[] = [];
  readonly #settings: RegistrySettings;
  readonly #records = new Map<string, ServiceRecord>();

  constructor(settings: RegistrySettings) {
    this.#settings = settings;
  }

  /** Checks one server and records the result if it is there, or was before. */
  async look(candidate: ServiceCandidate, options: LookOptions): Promise<ProbeAnswer> {
    const { env, fetch } = this.#settings;
    const { type, endpoint } = candidate;
    const { timeoutMs, signal, maxFailures } = options;
    const startedAt = performance.now();
    try {
      const target = { ...this.#secretsFor(candidate), type, endpoint };
      const answer = await probeService(target, { timeoutMs, signal, env, fetch });
      const elapsedMs = performance.now() - startedAt;
      this.#change(candidate, (record) => record.succeed(answer, elapsedMs, timeoutMs));
      return answer;
    } catch (error) {
      // A cancelled check says nothing about the server.
      if (this.wasFound(candidate) && maxFailures !== undefined && !signal.aborted) {
        this.noteFailure(candidate, performance.now() - startedAt, maxFailures);
      }
      throw error;
    }
  }

  /** Records a failed check. Returns the number of failures in a row. */
  noteFailure(candidate: ServiceCandidate, elapsedMs: number, maxFailures: number): number {
    this.#change(candidate, (record) => record.fail(elapsedMs, maxFailures));
    return this.recordFor(candidate).consecutiveFailures;
  }

  /** Whether this server has ever answered as the expected type. */
  wasFound(candidate: ServiceCandidate): boolean {
    return this.#records.get(keyOf(candidate))?.wasFound === true;
  }

  /** The record of a server, created if there is none. */
  recordFor(candidate: ServiceCandidate): ServiceRecord {
    const key = keyOf(candidate);
    const record = this.#records.get(key) ?? new ServiceRecord(candidate);
    this.#records.set(key, record);
    return record;
  }

  /** All known servers, in the order of the candidates. */
  known(): ServiceRecord[] {
    const keys = this.candidates.map(keyOf);
    const place = (record: ServiceRecord): number => {
      const index = keys.indexOf(keyOf(record));
      return index === -1 ? keys.length : index;
    };
    return [...this.#records.values()].sort((a, b) => place(a) - place(b));
  }

  /** The known server at an endpoint, or the preferred one of a type, if any. */
  find(typeOrEndpoint: string): ServiceRecord | undefined {
    const isMeant = matcher(typeOrEndpoint);
    return sortByPreference(this.known().filter(isMeant), undefined)[0];
  }

  #secretsFor({ type, endpoint }: ServiceCandidate): Omit<ConfiguredServer, "baseUrl"> {
    const { baseUrl, apiToken, headers } = this.#settings.configured;
    return type === "lmstudio" && endpoint === baseUrl ? { apiToken, headers } : {};
  }

  #change(candidate: ServiceCandidate, change: (record: ServiceRecord) => void): void {
    const record = this.recordFor(candidate);
    const before = record.status;
    change(record);
    if (record.status !== before) this.#settings.onChange(record.info());
  }
}

/** Returns a function that tells whether a server has this type or address. */
function matcher(typeOrEndpoint: unknown): (candidate: ServiceCandidate) => boolean {
  if (typeof typeOrEndpoint !== "string") {
    throw discoveryError("the type or endpoint is not a string");
  }
  if (isServiceType(typeOrEndpoint)) return ({ type }) => type === typeOrEndpoint;
  return ({ type, endpoint }) => {
    try {
      return endpoint === normalizeEndpoint(type, typeOrEndpoint);
    } catch {
      return false;
    }
  };
}

// --- One server -------------------------------------------------------------------------------

/** Number of checks that the averages cover. */
const WINDOW = 20;
/** Checks needed to judge the speed: a single slow one, such as the first in a program, says nothing. */
const FEWEST_TO_JUDGE_SPEED = 3;
/** Share of a check's timeout above which the average counts as slow. */
const SLOW_SHARE = 0.75;
/** Average below which nothing counts as slow: with a timeout of a few milliseconds, a busy machine uses all of it. */
const NEVER_SLOW_MS = 250;

/** Record of one server and its checks. */
export class ServiceRecord implements ServiceCandidate {
  readonly type: ServiceType;
  readonly endpoint: string;
  status: ServiceInfo["status"] = "unknown";
  /** Whether it has ever answered as the expected type. */
  wasFound = false;
  consecutiveFailures = 0;
  models: readonly string[] = [];
  /** Time at which `models` were listed; `undefined` if the server did not list them. */
  modelsListedAt: number | undefined;
  #version: string | undefined;
  #checkedAt = 0;
  #sentAt: number | undefined;
  /** Duration of each of the last checks in milliseconds; `undefined` for one that failed. */
  readonly #checks: (number | undefined)[] = [];

  constructor({ type, endpoint }: ServiceCandidate) {
    this.type = type;
    this.endpoint = endpoint;
  }

  /** Records a successful check. @param limitMs the check's timeout. */
  succeed(answer: ProbeAnswer, elapsedMs: number, limitMs: number): void {
    this.#note(elapsedMs, elapsedMs);
    this.wasFound = true;
    this.consecutiveFailures = 0;
    this.models = answer.models;
    this.modelsListedAt = answer.problem === undefined ? this.#checkedAt : undefined;
    this.#version = answer.version;
    this.status = answer.problem !== undefined || this.#isSlow(limitMs) ? "degraded" : "available";
  }

  /** Records a failed check. */
  fail(elapsedMs: number, maxFailures: number): void {
    this.#note(undefined, elapsedMs);
    this.consecutiveFailures++;
    this.status = this.consecutiveFailures >= maxFailures ? "unavailable" : "degraded";
  }

  /** Returns a copy for callers. */
  info(): ServiceInfo {
    return {
      type: this.type,
      endpoint: this.endpoint,
      ...(this.#version === undefined ? {} : { version: this.#version }),
      models: [...this.models],
      status: this.status,
      lastHealthCheck: new Date(this.#checkedAt),
      consecutiveFailures: this.consecutiveFailures,
      metrics: {
        averageResponseMs: this.#averageMs(),
        modelCount: this.models.length,
        ...(this.#sentAt === undefined ? {} : { lastRequest: new Date(this.#sentAt) }),
        successRate: this.#checks.length === 0 ? 0 : this.#times().length / this.#checks.length,
      },
    };
  }

  #note(outcome: number | undefined, elapsedMs: number): void {
    this.#checkedAt = Date.now();
    this.#sentAt = this.#checkedAt - elapsedMs;
    this.#checks.push(outcome);
    if (this.#checks.length > WINDOW) this.#checks.shift();
  }

  #times(): number[] {
    return this.#checks.filter((ms) => ms !== undefined);
  }

  #averageMs(): number {
    const times = this.#times();
    return times.length === 0 ? 0 : times.reduce((sum, ms) => sum + ms, 0) / times.length;
  }

  #isSlow(limitMs: number): boolean {
    return this.#times().length >= FEWEST_TO_JUDGE_SPEED &&
      this.#averageMs() > Math.max(NEVER_SLOW_MS, SLOW_SHARE * limitMs);
  }
}
