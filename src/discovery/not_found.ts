/**
 * Error for a search that found no server: which addresses were tried, why each failed, and what to do.
 *
 * @module
 */

import { SERVICE_NAMES } from "../core/discovery_options.ts";
import { defaultHint, isKnownCode } from "../core/error_codes.ts";
import {
  type AnyProviderError,
  isProviderError,
  type NetworkError,
  providerError,
} from "../core/errors.ts";
import type { ServiceCandidate, ServiceType } from "../core/services.ts";
import { proxyHint } from "../transport/error_mapping.ts";
import { actionOf, STRANGE_CODES } from "./probes.ts";

/** A candidate that failed, with its error. */
export interface FailedCandidate {
  readonly candidate: ServiceCandidate;
  readonly error: unknown;
}

const START: Readonly<Record<ServiceType | "any", string>> = {
  lmstudio:
    "Start it with `lms server start`, or set its address with `baseUrl` or LMSTUDIO_BASE_URL.",
  ollama: "Start it with `ollama serve`, or set its address with OLLAMA_HOST.",
  any:
    "Start LM Studio with `lms server start` or Ollama with `ollama serve`, or set its address " +
    "with LMSTUDIO_BASE_URL or OLLAMA_HOST.",
};

/** Creates the error for no server of a type, or of any type. Its `cause` holds the error of each candidate. */
export function serviceNotFound(
  type: ServiceType | undefined,
  failures: readonly FailedCandidate[],
  isAutomatic: boolean,
  env: Readonly<Record<string, string | undefined>> | undefined,
): NetworkError {
  const errors = failures.map(({ error }) => error);
  const states = failures.map(({ candidate, error }) =>
    `${type === undefined ? `${SERVICE_NAMES[candidate.type]} at ` : ""}${candidate.endpoint} ` +
    stateOf(candidate, error)
  );
  const isDenied = errors.length > 0 &&
    errors.every((error) => isProviderError(error) && error.code === "permission_denied");
  return providerError(
    isDenied ? "permission_denied" : "service_not_found",
    `Cannot find ${searchedFor(type)}: ${
      states.length === 0 ? "there is no address to try" : states.join("; ")
    }`,
    {
      ...(type === undefined ? {} : { service: SERVICE_NAMES[type] }),
      endpoint: failures[0]?.candidate.endpoint,
      attempts: failures.length,
      hint: isDenied ? allowAll(failures) : hintFor(type, failures, isAutomatic, env),
      cause: errors.length === 0 ? undefined : new AggregateError(errors, "No address worked"),
    },
  );
}

function hintFor(
  type: ServiceType | undefined,
  failures: readonly FailedCandidate[],
  isAutomatic: boolean,
  env: Readonly<Record<string, string | undefined>> | undefined,
): string {
  const start = START[type ?? "any"];
  const hints = isAutomatic
    ? [start]
    : [start, "LOCAL_AUTO_DISCOVER=false limits the search to configured addresses."];
  const likely = failures.map(({ error }) => likelyCause(error)).find((hint) => hint !== "");
  if (likely !== undefined) hints.push(likely);
  const strangers = failures.filter(({ error }) =>
    isProviderError(error) && STRANGE_CODES.has(error.code)
  );
  if (strangers.length > 0) {
    const places = [...new Set(strangers.map(({ candidate }) => candidate.endpoint))].join(", ");
    hints.unshift(`Another program answers at ${places}: check the port.`);
  }
  const proxy = failures.map(({ candidate }) => proxyHint(candidate.endpoint, env))
    .find((hint) => hint?.startsWith("HTTP_PROXY"));
  return [...hints, ...(proxy === undefined ? [] : [proxy])].join(" ");
}

/** The part of a candidate's hint that goes beyond the default one, which names its likely cause. */
function likelyCause(error: unknown): string {
  if (!isProviderError(error, "network") || !isKnownCode(error.code)) return "";
  return error.hint.replace(defaultHint(error.code, error.service), "").trim();
}

function allowAll(failures: readonly FailedCandidate[]): string {
  const hosts = new Set(failures.map(({ candidate }) => new URL(candidate.endpoint).host));
  return `Allow the connections; in Deno, use \`--allow-net=${[...hosts].join(",")}\`.`;
}

/** What an error says about a candidate, without the parts that all of them share. */
function stateOf(candidate: ServiceCandidate, error: unknown): string {
  if (!isProviderError(error)) return "failed";
  return `(${shortMessage(error, candidate)})`;
}

function shortMessage(error: AnyProviderError, candidate: ServiceCandidate): string {
  const { message, hint } = error;
  const withoutHint = message.endsWith(hint)
    ? message.slice(0, message.length - hint.length)
    : message;
  return withoutHint
    .replace(`Cannot ${actionOf(candidate)}: `, "")
    .replace(new URL(candidate.endpoint).origin + " ", "")
    .replace(/[.\s]+$/, "");
}

/** What a search looks for, to complete "Cannot find …": a server of one type, or of any type. */
export function searchedFor(type: ServiceType | undefined): string {
  return type === undefined ? "a local server" : SERVICE_NAMES[type];
}
