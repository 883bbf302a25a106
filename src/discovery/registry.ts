/**
 * The servers that were seen, and the way to look at one.
 *
 * @module
 */

import { discoveryError, isServiceType, normalizeEndpoint } from "../core/discovery_options.ts";
import type { ServiceCandidate, ServiceInfo } from "../core/services.ts";
import { keyOf, sortByPreference } from "./candidates.ts";
import { type ProbeAnswer, probeService } from "./probes.ts";
import { ServiceRecord } from "./service_record.ts";

/** The server a provider is configured for: the only one that is sent anything secret while we look. */
export interface ConfiguredServer {
  readonly baseUrl?: string | undefined;
  readonly apiToken?: string | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

/** What a registry works with. */
export interface RegistrySettings {
  readonly configured: ConfiguredServer;
  readonly env: Readonly<Record<string, string | undefined>> | undefined;
  readonly fetch: typeof globalThis.fetch | undefined;
  /** Told when the status of a server changes. */
  readonly onChange: (info: ServiceInfo) => void;
}

/** How one look is made. */
export interface LookOptions {
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** Failures that make a known server unavailable; a failure is not noted where it is absent. */
  readonly maxFailures?: number;
}

/** Knows every server that was seen. */
export class ServiceRegistry {
  /** The last candidates: servers are given in their order, others after them. */
  candidates: readonly ServiceCandidate[] = [];
  readonly #settings: RegistrySettings;
  readonly #records = new Map<string, ServiceRecord>();

  constructor(settings: RegistrySettings) {
    this.#settings = settings;
  }

  /** Looks at one server, and notes how it does if it is, or was, there. */
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

  /** What is known of a server. */
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
