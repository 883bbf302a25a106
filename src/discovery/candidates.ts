/**
 * Addresses where servers may be: configured ones, those in LM Studio's own settings, and the default ports.
 *
 * @module
 */

import { normalizeBaseUrl, unquote } from "../core/base_url.ts";
import { isRecord } from "../core/fields.ts";
import type { ServiceCandidate, ServiceInfo, ServiceType } from "../core/services.ts";
import { isFolder, listFolder, readIfPermitted } from "../platform/files.ts";

/** Environment variables, from the process or passed in. */
export type Environment = Readonly<Record<string, string | undefined>>;

const LMSTUDIO_DEFAULT: ServiceCandidate = { type: "lmstudio", endpoint: "http://127.0.0.1:1234" };
const OLLAMA_DEFAULT: ServiceCandidate = { type: "ollama", endpoint: "http://127.0.0.1:11434" };
const OLLAMA_PORT = 11434;

/** The addresses that LM Studio's own files name, then its default address. */
export function localCandidates(env: Environment): string[] {
  return [...lmstudioOfThisUser(env), LMSTUDIO_DEFAULT].map(({ endpoint }) => endpoint);
}

/** Function that lists the candidates afresh each time, since LM Studio's port may change while the program runs. */
export type CandidateSource = () => readonly ServiceCandidate[];

/**
 * The default candidates, in order.
 *
 * @param named addresses that the configuration names.
 * @param isAutomatic whether to try other addresses than these and the one in Ollama's own variables.
 */
export function defaultCandidates(
  named: readonly ServiceCandidate[],
  env: Environment,
  isAutomatic: boolean,
): CandidateSource {
  const ollama = ollamaEndpoint(env);
  const atOllama: ServiceCandidate[] = ollama === undefined
    ? []
    : [{ type: "ollama", endpoint: ollama }];
  if (!isAutomatic) return () => [...named, ...atOllama];
  return () => [
    ...named,
    ...lmstudioOfThisUser(env),
    LMSTUDIO_DEFAULT,
    ...(atOllama.length > 0 ? atOllama : [OLLAMA_DEFAULT]),
  ];
}

/** Sorts by status (available, degraded, others), then by preferred type; otherwise keeps the order. */
export function sortByPreference<
  Service extends { readonly type: ServiceType; readonly status: ServiceInfo["status"] },
>(
  services: readonly Service[],
  preference: ServiceType | undefined,
): Service[] {
  const rank = ({ type, status }: Service): number =>
    2 * STATUS_RANK[status] + (preference === undefined || type === preference ? 0 : 1);
  return [...services].sort((a, b) => rank(a) - rank(b));
}

const STATUS_RANK: Readonly<Record<ServiceInfo["status"], number>> = {
  available: 0,
  degraded: 1,
  unknown: 2,
  unavailable: 3,
};

/** Removes candidates whose type and address occur more than once. */
export function withoutDuplicates(candidates: readonly ServiceCandidate[]): ServiceCandidate[] {
  const byKey = new Map(candidates.map((candidate) => [keyOf(candidate), candidate]));
  return [...byKey.values()];
}

/** Key of a candidate: the same for equal candidates. */
export function keyOf({ type, endpoint }: ServiceCandidate): string {
  return `${type} ${endpoint}`;
}

// --- Ollama -----------------------------------------------------------------------------------

function ollamaEndpoint(env: Environment): string | undefined {
  for (const name of ["OLLAMA_HOST", "OLLAMA_ENDPOINT"]) {
    const endpoint = parseOllamaHost(env[name] ?? "");
    if (endpoint !== undefined) return endpoint;
  }
  return undefined;
}

/**
 * Parses `OLLAMA_HOST` as Ollama itself does: `host`, `host:port`, `:port`, `[v6]:port` or a URL. The variable also says
 * where Ollama listens, so an address that means "all interfaces" becomes that of this machine. Returns `undefined` if
 * the text is not a valid address.
 *
 * @see https://github.com/ollama/ollama/blob/main/envconfig/config.go
 */
export function parseOllamaHost(text: string): string | undefined {
  const host = unquote(text.trim().replace(/^["']+|["']+$/g, ""));
  if (host === "") return undefined;
  const result = normalizeBaseUrl(host.replace(/^(\w+:\/\/)?(?=:\d)/, "$1127.0.0.1"), OLLAMA_PORT);
  return result.problem === undefined ? toThisMachine(result.url) : undefined;
}

// --- LM Studio's own files ----------------------------------------------------------------------

/** Files below LM Studio's home that hold its ports: of its HTTP server, and of the server for its own programs. */
const PORT_FILES = [".internal/http-server-config.json", ".internal/http-server.json"];

/** Addresses on which LM Studio, or another app from its maker, is set to listen, whether or not it is running. */
function lmstudioOfThisUser(env: Environment): ServiceCandidate[] {
  const userHome = unquote(env.HOME ?? "") || unquote(env.USERPROFILE ?? "");
  if (userHome === "") return [];
  const home = lmstudioHome(userHome);
  const apps = listFolder(`${home}/apps`).map((app) => `${home}/apps/${app}`);
  return [home, ...apps].flatMap((folder) => PORT_FILES.map((file) => `${folder}/${file}`))
    .flatMap((file) => parseAddress(readIfPermitted(file) ?? ""))
    .map((endpoint) => ({ type: "lmstudio", endpoint }));
}

/** LM Studio's home folder, found the way its own SDK does, which also writes the pointer file. */
function lmstudioHome(userHome: string): string {
  const pointed = readIfPermitted(`${userHome}/.lmstudio-home-pointer`)?.trim();
  if (pointed !== undefined && pointed !== "") return pointed;
  const cached = `${userHome}/.cache/lm-studio`;
  return isFolder(cached) ? cached : `${userHome}/.lmstudio`;
}

/** The address that JSON of the form `{ port, networkInterface? }` means, if any. */
function parseAddress(text: string): string[] {
  let written: unknown;
  try {
    written = JSON.parse(text);
  } catch {
    return [];
  }
  const { port, networkInterface } = isRecord(written) ? written : {};
  if (!Number.isInteger(port)) return [];
  // A host name could lead anywhere, so only numeric addresses count.
  const address = /^\[?(\d+(?:\.\d+){3}|[\da-f.]*:[\da-f:.]*)\]?$/i.exec(String(networkInterface))
    ?.[1];
  for (const host of [address ?? "", "127.0.0.1"]) {
    const { url } = normalizeBaseUrl(`http://${host.includes(":") ? `[${host}]` : host}:${port}`);
    if (url !== undefined) return [toThisMachine(url)];
  }
  return [];
}

/** Replaces the address for listening on all interfaces, because some systems cannot connect to it. */
function toThisMachine(url: string): string {
  return url.replace("//[::]", "//[::1]");
}
