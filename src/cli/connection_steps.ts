/**
 * Steps of an examination on the way to the server: from its address to who answers there.
 *
 * @module
 */

import { isLoopback } from "../core/base_url.ts";
import type { ConnectionTrouble } from "../core/connection_hints.ts";
import { isRecord } from "../core/fields.ts";
import { parseJson } from "../core/plain_text.ts";
import { localCandidates } from "../discovery/candidates.ts";
import { findElsewhere } from "../discovery/elsewhere.ts";
import { readEnvironment } from "../platform/environment.ts";
import { proxyHint } from "../transport/error_mapping.ts";
import { explainFailedSend } from "../transport/no_answer.ts";
import { type Facts, finding, type Place, type Seen, skip, type Who } from "./findings.ts";

/** Limit of one probe: if nothing answers, all probes together must stay under 3 s. */
const LOOK_MS = 800;

/** Says which address is examined, and where it comes from. */
export function addressOf({ baseUrl, question: { source } }: Facts): Seen {
  return finding("ok", `${baseUrl}, ${source}`);
}

/** Resolves the host's name. */
export async function resolveName(facts: Facts, { lookup }: Place): Promise<Seen> {
  const host = hostOf(facts.baseUrl);
  if (isNumeric(host)) return finding("ok", `${host} is an address; nothing to resolve`);
  const command = `nslookup ${host}`;
  try {
    const addresses = await within(LOOK_MS, () => lookup(host));
    const of = (family: number) =>
      addresses.filter((entry) => entry.family === family).map(({ address }) => address);
    const versions = [["IPv4", of(4)], ["IPv6", of(6)]] as const;
    return finding(
      "ok",
      versions.map(([version, list]) => `${version} ${list.join(", ") || "none"}`).join("; "),
      command,
    );
  } catch (error) {
    if (isDenied(error)) {
      facts.denied = new URL(facts.baseUrl).host;
      return finding("failure", "this program is not allowed to resolve names", command);
    }
    facts.trouble = "unresolved";
    return finding("failure", `${host} cannot be resolved`, command);
  }
}

/** Connects to each address of the host. */
export async function tryConnections(facts: Facts, { lookup, connect }: Place): Promise<Seen> {
  if (facts.trouble !== undefined) return skip("no address to connect to");
  const host = hostOf(facts.baseUrl);
  const port = portOf(facts.baseUrl);
  const command = `nc -vz ${host} ${port}`;
  const addresses = isNumeric(host)
    ? [host]
    : await lookup(host).then((list) => list.map(({ address }) => address), () => [host]);
  const results = await Promise.all(
    addresses.slice(0, 4).map(async (address) => {
      const controller = new AbortController();
      try {
        await within(LOOK_MS, () => connect(address, port, controller.signal));
        return { address, result: "accepted" as const };
      } catch (error) {
        if (isDenied(error)) return { address, result: "denied" as const };
        if (error instanceof TooLate) return { address, result: "late" as const };
        const { trouble } = explainFailedSend(error, facts.baseUrl);
        return { address, result: trouble ?? "refused" as const };
      } finally {
        controller.abort();
      }
    }),
  );
  const evidence = results.map(({ address, result }) =>
    `${address} ${RESULT_WORDS[result] ?? result}`
  )
    .join(", ");
  const failed = results.filter(({ result }) => result !== "accepted");
  if (failed.length === 0) return finding("ok", `port ${port}: ${evidence}`, command);
  if (failed.length < results.length) {
    facts.refusedAddresses = failed.map(({ address }) => address);
    return finding("warning", `port ${port}: ${evidence}`, command);
  }
  const result = failed[0]?.result;
  if (result === "denied") facts.denied = `${host}:${port}`;
  else facts.trouble = result as ConnectionTrouble;
  return finding("failure", `port ${port}: ${evidence}`, command);
}

const RESULT_WORDS: Readonly<Record<string, string>> = {
  accepted: "accepts connections",
  refused: "refuses connections",
  late: "does not answer",
  unreachable: "cannot be reached",
  denied: "may not be contacted with this program's permissions",
};

/** Finds out who answers at the address. */
export async function askWho(facts: Facts, place: Place): Promise<Seen> {
  const { baseUrl } = facts;
  const command = `curl -s ${baseUrl}/lmstudio-greeting`;
  if (facts.denied !== undefined || facts.trouble !== undefined) return skip("no connection");
  const look = (path: string, url = baseUrl) => peek(facts, place, `${url}${path}`);
  const paths = ["/lmstudio-greeting", "/api/v1/models", "/v1/models", "/api/version", "/props"];
  const [greeting, native, openai, version, props] = await Promise.all(
    paths.map((path) => look(path)),
  );
  const answers = [greeting, native, openai, version, props].filter((answer) =>
    answer !== undefined
  );
  const failure = answers.find(({ trouble }) => trouble !== undefined)?.trouble;
  const given = answers.filter(({ trouble, late }) => trouble === undefined && !late);
  if (given.length === 0) {
    facts.who = "silent";
    facts.trouble = failure ?? "silent";
    const what = failure === undefined
      ? "accepts the connection but sends nothing"
      : "does not speak HTTP";
    return finding("failure", `port ${portOf(baseUrl)} ${what}`, command);
  }
  facts.who = identify({ greeting, native, openai, version, props });
  if (facts.who === "lmstudio") return finding("ok", "LM Studio", command);
  const origin = new URL(baseUrl).origin;
  if (baseUrl !== origin) {
    const [atRoot, listingAtRoot] = await Promise.all([
      look("/lmstudio-greeting", origin),
      look("/api/v1/models", origin),
    ]);
    facts.answersAtRoot = isGreeting(atRoot) || hasLMStudioShape(listingAtRoot);
  }
  const hidden = given.find(({ status }) => status >= 500) ?? greeting ?? given[0];
  return finding("failure", `${WHO_WORDS[facts.who]}${saysOf(facts, hidden)}`, command);
}

const WHO_WORDS: Readonly<Record<Who, string>> = {
  lmstudio: "LM Studio",
  "lmstudio-internal": "LM Studio's port for its own programs, which has no HTTP routes",
  ollama: "Ollama, not LM Studio",
  "llama.cpp": "llama.cpp's server, not LM Studio",
  "openai-like": "an OpenAI-compatible server, not LM Studio",
  stranger: "something that is not LM Studio",
  silent: "nothing",
};

function saysOf({ who }: Facts, answer: Glance | undefined): string {
  if (who !== "stranger" || answer === undefined) return "";
  const type = answer.type === "" ? "" : `, ${answer.type.split(";")[0]}`;
  return ` (it answers ${answer.status}${type})`;
}

/** The parts of an answer that identify the server. */
interface Glance {
  readonly status: number;
  readonly type: string;
  /** Decoded JSON. */
  readonly body: unknown;
  readonly trouble?: ConnectionTrouble | undefined;
  readonly late?: boolean;
}

/**
 * Asks without the API token, which shows whether one is required. Configured headers are sent, since a proxy in front of
 * the server may require them.
 */
async function peek(
  { baseUrl, question: { config } }: Facts,
  { fetch }: Place,
  url: string,
): Promise<Glance> {
  const controller = new AbortController();
  const nothing = { status: 0, type: "", body: undefined };
  try {
    return await within(LOOK_MS, async () => {
      const answer = await fetch(url, {
        headers: config.headers,
        signal: controller.signal,
        redirect: "manual",
      });
      const text = await readStart(answer);
      return {
        status: answer.status,
        type: answer.headers.get("content-type") ?? "",
        body: parseJson(text),
      };
    });
  } catch (error) {
    if (error instanceof TooLate) return { ...nothing, late: true };
    const { trouble } = explainFailedSend(error, baseUrl);
    return { ...nothing, trouble: trouble ?? "silent" };
  } finally {
    controller.abort();
  }
}

/** Reads enough to identify a server; an unknown one may never stop sending. */
async function readStart(answer: Response): Promise<string> {
  const reader = answer.body?.getReader();
  if (reader === undefined) return "";
  const decoder = new TextDecoder();
  let text = "";
  try {
    while (text.length < 1_000_000) {
      const { done, value } = await reader.read();
      if (done) break;
      text += decoder.decode(value, { stream: true });
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
  return text;
}

function identify(
  { greeting, native, openai, version, props }: Readonly<Record<string, Glance | undefined>>,
): Who {
  if (isGreeting(greeting)) {
    const lists = hasLMStudioShape(native) || isList(openai);
    return lists || isRefusal(native) || isRefusal(openai) ? "lmstudio" : "lmstudio-internal";
  }
  if (hasLMStudioShape(native) || isRefusal(native)) return "lmstudio";
  if (isRecord(version?.body) && typeof version.body.version === "string") return "ollama";
  if (isLlamaCpp(openai) || isRecord(props?.body) && "default_generation_settings" in props.body) {
    return "llama.cpp";
  }
  return isList(openai) ? "openai-like" : "stranger";
}

function isGreeting(answer: Glance | undefined): boolean {
  return isRecord(answer?.body) && answer.body.lmstudio === true;
}

function hasLMStudioShape(answer: Glance | undefined): boolean {
  return isRecord(answer?.body) && Array.isArray(answer.body.models) &&
    answer.body.models.some((entry) => isRecord(entry) && "key" in entry);
}

function isRefusal(answer: Glance | undefined): boolean {
  if (answer?.status !== 401 && answer?.status !== 403) return false;
  const error = isRecord(answer.body) ? answer.body.error : undefined;
  return isRecord(error) && typeof error.message === "string" &&
    error.message.includes("LM Studio");
}

function isList(answer: Glance | undefined): boolean {
  return isRecord(answer?.body) && Array.isArray(answer.body.data);
}

function isLlamaCpp(answer: Glance | undefined): boolean {
  return isRecord(answer?.body) && Array.isArray(answer.body.data) &&
    answer.body.data.some((entry) => isRecord(entry) && entry.owned_by === "llamacpp");
}

/** Looks for LM Studio at other addresses of this machine. */
export async function lookElsewhere(facts: Facts): Promise<Seen> {
  const { baseUrl, question: { env } } = facts;
  const variables = env ?? readEnvironment(["HOME", "USERPROFILE"]);
  const others = new Set(localCandidates(variables).filter((place) => place !== baseUrl));
  const found = facts.denied === undefined
    ? await findElsewhere(baseUrl, new AbortController().signal, variables, LOOK_MS)
    : undefined;
  if (found === undefined) {
    const places = [...others].map((place) => place.replace("http://", "")).join(", ");
    return finding(
      "note",
      places === "" ? "LM Studio's files name no other address" : `nothing at ${places}`,
      "lms server status",
    );
  }
  if (facts.who === "lmstudio") return finding("note", `LM Studio also answers at ${found}`);
  facts.answersAt = found;
  return finding("warning", `LM Studio answers at ${found}`, `curl -s ${found}/lmstudio-greeting`);
}

/** Describes the runtime and the system that this program runs on. */
export function describePlace({ surroundings: { surroundings, runtime, platform } }: Facts): Seen {
  const where = surroundings === undefined
    ? "not in a container or WSL, as far as can be seen"
    : `in ${surroundings === "wsl" ? "WSL" : "a container"}, which has its own network`;
  return finding(
    "note",
    `${runtime ?? "unknown runtime"} on ${platform ?? "unknown system"}, ${where}`,
  );
}

/** Looks for a proxy in the environment. */
export function readProxy(facts: Facts): Seen {
  const variables = facts.question.env ?? readEnvironment(["HTTP_PROXY", "NO_PROXY"]);
  const { HTTP_PROXY = "" } = variables;
  if (HTTP_PROXY.trim() === "") {
    return finding("ok", "HTTP_PROXY is not set", "env | grep -i proxy");
  }
  const hint = proxyHint(facts.baseUrl, variables);
  if (hint === undefined) {
    const reason = isLoopback(facts.baseUrl)
      ? "NO_PROXY exempts it"
      : "the server is on another machine";
    return finding("note", `HTTP_PROXY is set; ${reason}`, "env | grep -i proxy");
  }
  facts.proxy = hint;
  return finding(
    "warning",
    "HTTP_PROXY is set, and NO_PROXY does not exempt this machine",
    "env | grep -i proxy",
  );
}

function hostOf(url: string): string {
  return new URL(url).hostname.replace(/^\[(.*)\]$/, "$1");
}

function portOf(url: string): number {
  const { port, protocol } = new URL(url);
  return Number(port) || (protocol === "https:" ? 443 : 80);
}

function isNumeric(host: string): boolean {
  return /^[\d.]+$/.test(host) || host.includes(":");
}

function isDenied(error: unknown): boolean {
  const { name, code } = error as { name?: unknown; code?: unknown };
  return name === "NotCapable" || code === "EPERM" || code === "EACCES" ||
    code === "ERR_ACCESS_DENIED";
}

class TooLate extends Error {}

async function within<Value>(ms: number, work: () => Promise<Value>): Promise<Value> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  try {
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new TooLate()), ms);
    });
    return await Promise.race([work(), late]);
  } finally {
    clearTimeout(timer);
  }
}
