/**
 * Probes that identify a server. Many servers answer 200 to anything, so the bodies decide.
 *
 * @module
 */

import { LISTINGS, ModelLister } from "../api/models.ts";
import { SERVICE_NAMES } from "../core/discovery_options.ts";
import {
  type AnyProviderError,
  type ApiError,
  isProviderError,
  type NetworkError,
  providerError,
  type TimeoutError,
} from "../core/errors.ts";
import { renameErrors } from "../core/renamed_errors.ts";
import { isRecord } from "../core/fields.ts";
import { LISTING_ACTION } from "../core/model_names.ts";
import type { ServiceCandidate } from "../core/services.ts";
import type { CallOptions } from "../core/types.ts";
import { listenToAbort, startTimer } from "../transport/timers.ts";
import { Transport, type TransportRequest } from "../transport/transport.ts";

/** Server to probe, and the secrets to send to it. */
export interface ProbeTarget extends ServiceCandidate {
  readonly apiToken?: string | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

/** Settings of a probe. */
export interface ProbeSettings {
  /** Timeout for all requests together, including their bodies. */
  readonly timeoutMs: number;
  /** Signal to cancel the probe, which then rejects with the signal's reason. */
  readonly signal: AbortSignal;
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  readonly fetch?: typeof globalThis.fetch | undefined;
}

/** Many times the longest listing of a server. Another program on the port may send data without end. */
const MAX_BODY_BYTES = 4 * 1024 * 1024;

/** Answer of a server of the expected type. */
export interface ProbeAnswer {
  /** Ids of its models. */
  readonly models: readonly string[];
  readonly version?: string;
  /** Why it does not list its models, if it does not. */
  readonly problem?: AnyProviderError;
}

/**
 * Identifies a server and lists its models. Makes one attempt.
 *
 * @throws {ProviderError} if nothing answers in time, or something else answers.
 */
export async function probeService(
  target: ProbeTarget,
  settings: ProbeSettings,
): Promise<ProbeAnswer> {
  const controller = new AbortController();
  const { timeoutMs, signal } = settings;
  const onAbort = (): void => controller.abort(signal.reason);
  const stopListening = listenToAbort(signal, onAbort);
  if (signal.aborted) onAbort();
  const stopTimer = startTimer(timeoutMs, () => controller.abort(noAnswer(target, timeoutMs)));
  try {
    const probe = new Probe(target, settings, controller.signal);
    return target.type === "lmstudio" ? await probe.askLMStudio() : await probe.askOllama();
  } finally {
    stopTimer();
    stopListening();
  }
}

/** Codes that mean a server does not have a route, which suggests that it is some other program. */
export const STRANGE_CODES: ReadonlySet<string> = new Set(["not_lm_studio", "unexpected_endpoint"]);

/** Completes "Cannot …" in errors about a candidate. */
export function actionOf({ type, endpoint }: ServiceCandidate): string {
  return `find ${SERVICE_NAMES[type]} at ${endpoint}`;
}

class Probe {
  readonly #target: ProbeTarget;
  readonly #transport: Transport;
  readonly #options: CallOptions;
  /** Whether LM Studio itself has asked for an API token. */
  #isSecured = false;

  constructor(target: ProbeTarget, { env, fetch }: ProbeSettings, signal: AbortSignal) {
    this.#target = target;
    this.#transport = new Transport({
      baseUrl: target.endpoint,
      service: SERVICE_NAMES[target.type],
      apiToken: target.apiToken,
      headers: target.headers ?? {},
      env,
      fetch,
      maxRetries: 0,
      // The probe has a timer of its own.
      timeoutMs: Infinity,
      connectTimeoutMs: Infinity,
      firstTokenTimeoutMs: Infinity,
      idleTimeoutMs: Infinity,
      onErrorBody: (status, text) => {
        if (status === 401 && isLMStudioRefusal(text)) this.#isSecured = true;
      },
    }, MAX_BODY_BYTES);
    this.#options = { signal };
  }

  async askLMStudio(): Promise<ProbeAnswer> {
    let isGreeted = false;
    try {
      const greeting = await this.#get("/lmstudio-greeting");
      isGreeted = isRecord(greeting) && greeting.lmstudio === true;
    } catch (error) {
      const answer = requireAnswer(error);
      if (this.#isSecured) return { models: [], problem: answer };
    }
    // The last listing exists on every OpenAI-compatible server, so without a greeting it proves nothing.
    const listings = isGreeted
      ? LISTINGS.lmstudio
      : LISTINGS.lmstudio.filter(({ path }) => path.startsWith("/api/"));
    try {
      const lister = new ModelLister(this.#transport, listings, "lmstudio");
      const models = await renameErrors(
        LISTING_ACTION,
        actionOf(this.#target),
        () => lister.list(this.#options),
      );
      // An empty list has no shape to identify LM Studio by.
      if (models.length === 0 && !isGreeted) throw this.#stranger();
      return { models: models.map(({ id }) => id) };
    } catch (error) {
      const answer = requireAnswer(error);
      if (isGreeted && STRANGE_CODES.has(answer.code)) throw this.#withoutHttpServer(answer);
      if (isGreeted || this.#isSecured) return { models: [], problem: answer };
      throw isOfAnotherServer(answer) ? this.#stranger(answer) : answer;
    }
  }

  async askOllama(): Promise<ProbeAnswer> {
    try {
      const about = await this.#get("/api/version");
      const version = isRecord(about) ? about.version : undefined;
      // llama.cpp's server also has the second route, but not the first.
      if (typeof version !== "string" || version === "") throw this.#stranger();
      const tags = await this.#get("/api/tags");
      if (!isRecord(tags) || !Array.isArray(tags.models)) throw this.#stranger();
      return { version, models: tags.models.flatMap(nameOfTag) };
    } catch (error) {
      const answer = requireAnswer(error);
      throw isOfAnotherServer(answer) ? this.#stranger(answer) : answer;
    }
  }

  async #get(path: string): Promise<unknown> {
    const request: TransportRequest = {
      method: "GET",
      path,
      policy: "read",
      action: actionOf(this.#target),
    };
    return (await this.#transport.json(request, this.#options, Infinity)).value;
  }

  /** Error for the port that LM Studio's own programs use: it greets, but has none of the routes. */
  #withoutHttpServer(cause: unknown): NetworkError {
    const { type, endpoint } = this.#target;
    return providerError(
      "service_not_found",
      `Cannot ${actionOf(this.#target)}: LM Studio is running, but its HTTP server is not`,
      { service: SERVICE_NAMES[type], endpoint, cause },
    );
  }

  /** Error for a different program at the address. */
  #stranger(cause?: unknown): ApiError {
    const { type, endpoint } = this.#target;
    const name = SERVICE_NAMES[type];
    return providerError(
      type === "lmstudio" ? "not_lm_studio" : "unexpected_endpoint",
      `Cannot ${actionOf(this.#target)}: something else answers there`,
      {
        service: name,
        endpoint,
        hint: `Check the address: ${name} may be listening on another port.`,
        cause,
      },
    );
  }
}

/** Returns an error that a server answered with; rethrows any other, such as a failed connection or an abort. */
function requireAnswer(error: unknown): AnyProviderError {
  if (!isProviderError(error) || error.kind === "network" || error.kind === "timeout") throw error;
  return error;
}

/** Whether an answer comes from a different kind of server. One that fails or requires a password does not show that. */
function isOfAnotherServer({ code, kind, status }: AnyProviderError): boolean {
  if (kind === "authentication" || kind === "rate-limited" || code === "model_loading") {
    return false;
  }
  return code !== "server_error" || status === undefined || status < 500;
}

/** Whether a 401 is in LM Studio's own words, as opposed to that of another server. */
function isLMStudioRefusal(text: string): boolean {
  try {
    const { error } = JSON.parse(text) as { error?: unknown };
    return isRecord(error) && error.type === "invalid_request" &&
      error.code === "invalid_api_key" && typeof error.message === "string" &&
      error.message.includes("LM Studio");
  } catch {
    return false;
  }
}

function nameOfTag(tag: unknown): string[] {
  if (!isRecord(tag)) return [];
  const name = tag.name ?? tag.model;
  return typeof name === "string" && name !== "" ? [name] : [];
}

function noAnswer(target: ServiceCandidate, timeoutMs: number): TimeoutError {
  return providerError(
    "timeout_total",
    `Cannot ${actionOf(target)}: it did not answer within ${timeoutMs} ms`,
    {
      phase: "total",
      timeoutMs,
      service: SERVICE_NAMES[target.type],
      endpoint: target.endpoint,
      hint: `Check the address, that ${
        SERVICE_NAMES[target.type]
      } is listening there, and that no firewall or proxy blocks the connection.`,
    },
  );
}
