/**
 * Addresses where servers may be: those that are configured, those in LM Studio's own settings, the usual ports.
 *
 * @module
 */

import { normalizeBaseUrl, unquote } from "../core/base_url.ts";
import { isRecord } from "../core/fields.ts";
import type { ServiceCandidate, ServiceInfo, ServiceType } from "../core/services.ts";
import { isFolder, listFolder, readIfPermitted } from "../platform/files.ts";

/** Variables, of the process or given. */
export type Environment = Readonly<Record<string, string | undefined>>;

const LMSTUDIO_DEFAULT: ServiceCandidate = { type: "lmstudio", endpoint: "http://127.0.0.1:1234" };
const OLLAMA_DEFAULT: ServiceCandidate = { type: "ollama", endpoint: "http://127.0.0.1:11434" };
const OLLAMA_PORT = 11434;

/** The addresses that LM Studio's own files name, and its usual one. */
export function localCandidates(env: Environment): string[] {
  return [...lmstudioOfThisUser(env), LMSTUDIO_DEFAULT].map(({ endpoint }) => endpoint);
}

/** Lists the candidates anew at each call: LM Studio's port may change while the program runs. */
export type CandidateSource = () => readonly ServiceCandidate[];

/**
 * The default candidates, in order.
 *
 * @param named addresses that the configuration names.
 * @param isAutomatic whether more than these and Ollama's own variables may be tried.
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

/** Available before degraded before the rest; then the preferred type; then in their order. */
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

/** Candidates without duplicates of type and address. */
export function withoutDuplicates(candidates: readonly ServiceCandidate[]): ServiceCandidate[] {
  const byKey = new Map(candidates.map((candidate) => [keyOf(candidate), candidate]));
  return [...byKey.values()];
}

/** Key of a candidate, equal for equal ones. */
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
 * `OLLAMA_HOST` as Ollama itself reads it: `host`, `host:port`, `:port`, `[v6]:port` or a URL. It is also the
 * address to listen on, so addresses that mean "all" become this machine's. `undefined`: not readable.
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

/** Files with LM Studio's ports, below its home: the one it is set to, and the one its programs use. */
const PORT_FILES = [".internal/http-server-config.json", ".internal/http-server.json"];

/** Addresses where LM Studio, or another app of its maker, is set to listen; it need not run. */
function lmstudioOfThisUser(env: Environment): ServiceCandidate[] {
  const userHome = unquote(env.HOME ?? "") || unquote(env.USERPROFILE ?? "");
  if (userHome === "") return [];
  const home = lmstudioHome(userHome);
  const apps = listFolder(`${home}/apps`).map((app) => `${home}/apps/${app}`);
  return [home, ...apps].flatMap((folder) => PORT_FILES.map((file) => `${folder}/${file}`))
    .flatMap((file) => parseAddress(readIfPermitted(file) ?? ""))
    .map((endpoint) => ({ type: "lmstudio", endpoint }));
}

/** LM Studio's home, found as its own SDK does, which also writes the pointer. */
function lmstudioHome(userHome: string): string {
  const pointed = readIfPermitted(`${userHome}/.lmstudio-home-pointer`)?.trim();
  if (pointed !== undefined && pointed !== "") return pointed;
  const cached = `${userHome}/.cache/lm-studio`;
  return isFolder(cached) ? cached : `${userHome}/.lmstudio`;
}

/** The address that `{ port, networkInterface? }` means, if any. */
function parseAddress(text: string): string[] {
  let written: unknown;
  try {
    written = JSON.parse(text);
  } catch {
    return [];
  }
  const { port, networkInterface } = isRecord(written) ? written : {};
  if (!Number.isInteger(port)) return [];
  // A name could lead anywhere, so only numbers count.
  const address = /^\[?(\d+(?:\.\d+){3}|[\da-f.]*:[\da-f:.]*)\]?$/i.exec(String(networkInterface))
    ?.[1];
  for (const host of [address ?? "", "127.0.0.1"]) {
    const { url } = normalizeBaseUrl(`http://${host.includes(":") ? `[${host}]` : host}:${port}`);
    if (url !== undefined) return [toThisMachine(url)];
  }
  return [];
}

/** Replaces the address that listens on every interface, to which some systems cannot connect. */
function toThisMachine(url: string): string {
  return url.replace("//[::]", "//[::1]");
}
