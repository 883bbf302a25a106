/**
 * Registry of the servers that were seen: a record of each, and the way to check one.
 *
 * @module
 */

import { discoveryError, isServiceType, normalizeEndpoint } from "../core/discovery_options.ts";
import type { ServiceCandidate, ServiceInfo, ServiceType } from "../core/services.ts";
import { keyOf, sortByPreference } from "./candidates.ts";
import { type ProbeAnswer, probeService } from "./probes.ts";

/** The server a provider is configured for: the only one that is sent anything secret while we look. */
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
  /** Failures that make a known server unavailable; a failure is not noted where it is absent. */
  readonly maxFailures?: number;
}

/** Records of every server that was seen. */
export class ServiceRegistry {
  /** The last candidates: servers are given in their order, others after them. */
  candidates: readonly ServiceCandidate[] = [];
  readonly #settings: RegistrySettings;
  readonly #records = new Map<string, ServiceRecord>();

  constructor(settings: RegistrySettings) {
    this.#settings = settings;
  }

  /** Checks one server, and notes the result if it is, or was, there. */
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
      // What was called off says nothing about its server.
      if (this.wasFound(candidate) && maxFailures !== undefined && !signal.aborted) {
        this.noteFailure(candidate, performance.now() - startedAt, maxFailures);
      }
      throw error;
    }
  }

  /** A look failed. Returns the failures in a row. */
  noteFailure(candidate: ServiceCandidate, elapsedMs: number, maxFailures: number): number {
    this.#change(candidate, (record) => record.fail(elapsedMs, maxFailures));
    return this.recordFor(candidate).consecutiveFailures;
  }

  /** Whether this server has ever been what it should be. */
  wasFound(candidate: ServiceCandidate): boolean {
    return this.#records.get(keyOf(candidate))?.wasFound === true;
  }

  /** The record of a server, made where there is none. */
  recordFor(candidate: ServiceCandidate): ServiceRecord {
    const key = keyOf(candidate);
    const record = this.#records.get(key) ?? new ServiceRecord(candidate);
    this.#records.set(key, record);
    return record;
  }

  /** Every server that is known. */
  known(): ServiceRecord[] {
    const keys = this.candidates.map(keyOf);
    const place = (record: ServiceRecord): number => {
      const index = keys.indexOf(keyOf(record));
      return index === -1 ? keys.length : index;
    };
    return [...this.#records.values()].sort((a, b) => place(a) - place(b));
  }

  /** The server at an endpoint, or the preferred one of a type, if any is known. */
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

/** Whether a server is the one that is meant by a type or an address. */
function matcher(typeOrEndpoint: unknown): (candidate: ServiceCandidate) => boolean {
  if (typeof typeOrEndpoint !== "string") throw discoveryError("the type or endpoint is not text");
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

/** Checks that the averages cover. */
const WINDOW = 20;
/** One slow check says nothing, such as the first one of a program. */
const FEWEST_TO_JUDGE_SPEED = 3;
/** Slower than this share of the time a check may take is slow. */
const SLOW_SHARE = 0.75;
/** Below this nothing is slow: where checks may take a few milliseconds only, a busy machine takes them all. */
const NEVER_SLOW_MS = 250;

/** Record of one server, by the checks of it. */
export class ServiceRecord implements ServiceCandidate {
  readonly type: ServiceType;
  readonly endpoint: string;
  status: ServiceInfo["status"] = "unknown";
  /** Whether it has ever answered as what it should be. */
  wasFound = false;
  consecutiveFailures = 0;
  models: readonly string[] = [];
  /** When `models` were asked for; `undefined` where the server did not tell. */
  modelsListedAt: number | undefined;
  #version: string | undefined;
  #checkedAt = 0;
  #sentAt: number | undefined;
  /** Milliseconds of each of the last checks; `undefined` for one that failed. */
  readonly #checks: (number | undefined)[] = [];

  constructor({ type, endpoint }: ServiceCandidate) {
    this.type = type;
    this.endpoint = endpoint;
  }

  /** A check succeeded. @param limitMs what it was allowed to take. */
  succeed(answer: ProbeAnswer, elapsedMs: number, limitMs: number): void {
    this.#note(elapsedMs, elapsedMs);
    this.wasFound = true;
    this.consecutiveFailures = 0;
    this.models = answer.models;
    this.modelsListedAt = answer.problem === undefined ? this.#checkedAt : undefined;
    this.#version = answer.version;
    this.status = answer.problem !== undefined || this.#isSlow(limitMs) ? "degraded" : "available";
  }

  /** A check failed. */
  fail(elapsedMs: number, maxFailures: number): void {
    this.#note(undefined, elapsedMs);
    this.consecutiveFailures++;
    this.status = this.consecutiveFailures >= maxFailures ? "unavailable" : "degraded";
  }

  /** A copy for callers. */
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
