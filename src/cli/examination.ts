/**
 * Examines a server step by step, from its address to the tokens it generates. Steps only report what they see;
 * `causes.ts` draws the conclusion.
 *
 * @module
 */

import { parseJson } from "../testing/fake_wire.ts";
import { isLoopback } from "../core/base_url.ts";
import type { ConnectionTrouble } from "../core/connection_hints.ts";
import type { ResolvedConfig } from "../core/config.ts";
import { type AnyProviderError, isProviderError } from "../core/errors.ts";
import { isRecord, quote } from "../core/fields.ts";
import { findModel } from "../core/listed_models.ts";
import type { ModelInfo } from "../core/types.ts";
import { localCandidates } from "../discovery/candidates.ts";
import { findElsewhere } from "../discovery/elsewhere.ts";
import { readEnvironment } from "../platform/environment.ts";
import type { Surroundings } from "../platform/surroundings.ts";
import type { LMStudioProvider } from "../provider/lmstudio.ts";
import { explainFailedSend } from "../transport/no_answer.ts";
import { proxyHint } from "../transport/error_mapping.ts";
import { shownOnOneLine } from "./terminal.ts";

/** Outcome of a step. */
export type State = "ok" | "warning" | "failure" | "note" | "skipped";

/** Finding of a step. */
export interface Finding {
  readonly step: string;
  readonly state: State;
  readonly evidence: string;
  /** Shell command that shows the same, or repairs it. */
  readonly command?: string;
}

/** The machine and its network; tests replace them. */
export interface Place {
  /** Resolves a name to all of its addresses; rejects as `dns.lookup` does. */
  lookup(name: string): Promise<readonly { readonly address: string; readonly family: number }[]>;
  /** Opens and closes a connection; rejects as a socket's error event does. */
  connect(host: string, port: number, signal: AbortSignal): Promise<void>;
  surroundings(): Surroundings;
  readonly fetch: typeof globalThis.fetch;
}

/** What to examine. */
export interface Question {
  readonly provider: LMStudioProvider;
  readonly config: ResolvedConfig;
  /** Where the address comes from, such as `LMSTUDIO_BASE_URL`. */
  readonly source: string;
  /** The model that the application requests. */
  readonly model?: string | undefined;
  /** How many tokens the application needs. */
  readonly context?: number | undefined;
  /** Origin of the page that calls the server. */
  readonly origin?: string | undefined;
  /** How long the first token may take. */
  readonly patienceMs: number;
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
}

/** Who answers at the address. */
export type Who =
  | "lmstudio"
  /** The port that LM Studio's own programs use. */
  | "lmstudio-internal"
  | "ollama"
  | "llama.cpp"
  /** Another server with `/v1/models`. */
  | "openai-like"
  | "stranger"
  | "silent";

/** Facts that the examination established. A field is absent if no step could tell. */
export interface Facts {
  readonly question: Question;
  readonly baseUrl: string;
  readonly surroundings: Surroundings;
  trouble?: ConnectionTrouble;
  /** Host and port that the runtime does not let this program connect to. */
  denied?: string;
  /** Addresses of the host that fail although another of its addresses works. */
  refusedAddresses: string[];
  who?: Who;
  /** LM Studio answers at the root instead of under the base URL's path. */
  answersAtRoot?: boolean;
  answersAt?: string;
  proxy?: string;
  /** The listing, or the error that prevented it. */
  listing?: readonly ModelInfo[] | AnyProviderError;
  tokenIsMalformed?: boolean;
  /** The requested model as the server lists it. */
  asked?: ModelInfo;
  /** The loaded model that the examination uses. */
  model?: ModelInfo;
  generation?: AnyProviderError | { readonly firstTokenMs: number };
  allowsOrigin?: boolean;
}

/** Limit of one probe: if nothing answers, all probes together must stay under 3 s. */
const LOOK_MS = 800;
/** A server that is up may still be slow, because it is processing a prompt. */
const LISTING_MS = 5_000;
/** Many clients, or their users, give up if the first token takes longer. */
export const SLOW_MS = 10_000;
const TOKEN_FORM = /^sk-lm-[a-zA-Z0-9]{8}:[a-zA-Z0-9]{20}$/;

/** A finding without its step, which the caller knows. */
type Seen = Omit<Finding, "step">;
type Step = (facts: Facts, place: Place) => Promise<Seen> | Seen;

/** Every step, in order. */
const STEPS: readonly (readonly [name: string, step: Step, needs?: "lmstudio" | "model"])[] = [
  ["address", addressOf],
  ["name", resolveName],
  ["connection", tryConnections],
  ["who answers", askWho],
  ["elsewhere", lookElsewhere],
  ["this program", describePlace],
  ["proxy", readProxy],
  ["token", tryToken, "lmstudio"],
  ["version", guessVersion, "lmstudio"],
  ["models", countModels, "lmstudio"],
  ["context", readContext, "model"],
  ["first token", generate, "model"],
  ["tools", callTool, "model"],
  ["typed object", makeObject, "model"],
  ["embedding", embed, "lmstudio"],
  ["CORS", askForOrigin, "lmstudio"],
];

/** Examines a server step by step, and calls `onFinding` with each finding as soon as it is known. */
export async function examine(
  question: Question,
  place: Place,
  onFinding: (finding: Finding) => void | Promise<void>,
): Promise<Facts> {
  const facts: Facts = {
    question,
    baseUrl: question.config.baseUrl,
    surroundings: place.surroundings(),
    refusedAddresses: [],
  };
  for (const [name, step, needs] of STEPS) {
    const missing = whatIsMissing(facts, needs);
    const finding = missing === undefined ? await step(facts, place) : skip(missing);
    await onFinding({ step: name, ...finding });
  }
  return facts;
}

function whatIsMissing(
  { who, listing, model, generation }: Facts,
  needs: "lmstudio" | "model" | undefined,
): string | undefined {
  if (needs === undefined) return undefined;
  if (who !== "lmstudio") return "there is no LM Studio to ask";
  if (needs === "lmstudio") return undefined;
  if (!Array.isArray(listing)) return "there is no model to ask";
  if (model === undefined) return "no model is known to be loaded";
  return isProviderError(generation) ? "the model generated no token" : undefined;
}

function finding(state: State, evidence: string, command?: string): Seen {
  return {
    state,
    evidence: shownOnOneLine(evidence),
    ...(command === undefined ? {} : { command }),
  };
}

function skip(why: string): Seen {
  return finding("skipped", why);
}

// --- The way to the server --------------------------------------------------------------------

function addressOf({ baseUrl, question: { source } }: Facts): Seen {
  return finding("ok", `${baseUrl}, ${source}`);
}

async function resolveName(facts: Facts, { lookup }: Place): Promise<Seen> {
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

async function tryConnections(facts: Facts, { lookup, connect }: Place): Promise<Seen> {
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

async function askWho(facts: Facts, place: Place): Promise<Seen> {
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

async function lookElsewhere(facts: Facts): Promise<Seen> {
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

function describePlace({ surroundings: { surroundings, runtime, platform } }: Facts): Seen {
  const where = surroundings === undefined
    ? "not in a container or WSL, as far as can be seen"
    : `in ${surroundings === "wsl" ? "WSL" : "a container"}, which has its own network`;
  return finding(
    "note",
    `${runtime ?? "unknown runtime"} on ${platform ?? "unknown system"}, ${where}`,
  );
}

function readProxy(facts: Facts): Seen {
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

// --- What the server has ----------------------------------------------------------------------

async function tryToken(facts: Facts): Promise<Seen> {
  const { provider, config: { apiToken } } = facts.question;
  try {
    facts.listing = await provider.listModels({ timeoutMs: LISTING_MS, maxRetries: 0 });
  } catch (error) {
    if (!isProviderError(error)) throw error;
    facts.listing = error;
  }
  if (apiToken !== undefined) facts.tokenIsMalformed = !TOKEN_FORM.test(apiToken);
  const given = apiToken === undefined
    ? "none was given"
    : facts.tokenIsMalformed
    ? "the one given does not have the form sk-lm-…:…"
    : "the one given is well-formed";
  const { listing } = facts;
  if (!isProviderError(listing)) {
    return finding(
      "ok",
      apiToken === undefined ? "none is needed" : `accepted, or not needed; ${given}`,
    );
  }
  if (listing.code === "unauthorized") {
    return finding("failure", `the server requires one; ${given}`);
  }
  if (listing.code === "forbidden") {
    return finding("failure", "the one given is not allowed to list models");
  }
  return finding("warning", `could not be checked: ${listing.code}`);
}

function guessVersion({ listing, baseUrl }: Facts): Seen {
  const command = "lms version";
  if (!Array.isArray(listing)) return skip("only a listing shows it");
  const raw = (listing as readonly ModelInfo[])[0]?.raw;
  if (!isRecord(raw)) return finding("note", "unknown without a model in the listing", command);
  if ("key" in raw) return finding("ok", "0.4.0 or later: it has /api/v1/models", command);
  if ("state" in raw) {
    return finding(
      "note",
      "0.3.6 or later: it has /api/v0/models, but cannot manage models",
      command,
    );
  }
  return finding("warning", `unknown: only ${baseUrl}/v1/models answers`, command);
}

function countModels(facts: Facts): Seen {
  const { listing, question } = facts;
  const command = "lms ls";
  if (listing === undefined || isProviderError(listing)) {
    return finding(
      "failure",
      listing === undefined ? "not asked" : `not listed: ${listing.code}`,
      command,
    );
  }
  const models = listing as readonly ModelInfo[];
  const llms = models.filter(({ type }) => type === "llm");
  const loaded = models.filter((model) => model.loaded === true);
  const counts = `${llms.length} language, ${
    models.filter(({ type }) => type === "embedding").length
  } embedding`;
  const name = nameAsked(question);
  const asked = name === undefined ? undefined : findModel(models, name);
  if (asked !== undefined) facts.asked = asked;
  const model = name === undefined ? loaded.find(({ type }) => type === "llm") : asked;
  // If the server does not say what is loaded, a request might load the model.
  if (model?.loaded === true) facts.model = model;
  const names = loaded.map(({ id, instances = [] }) =>
    `${id}${instances.length > 1 ? ` (${instances.length} instances)` : ""}`
  );
  const isTold = models.every((model) => model.loaded !== undefined);
  const state = `${counts}; ${
    isTold ? `loaded: ${names.join(", ") || "none"}` : "the server does not say what is loaded"
  }`;
  if (name !== undefined && asked === undefined) {
    return finding("failure", `${quote(name)} is not among them; ${state}`, command);
  }
  if (asked?.loaded === false) {
    return finding("warning", `${asked.id} is not loaded; ${state}`, "lms ps");
  }
  if (facts.model === undefined) {
    return finding(isTold || llms.length === 0 ? "failure" : "note", state, command);
  }
  return finding("ok", state, "lms ps");
}

function readContext(facts: Facts): Seen {
  const { model, question: { context: needed } } = facts;
  const command = "lms ps";
  const { loadedContextLength: loaded, maxContextLength: most } = model ?? {};
  if (loaded === undefined) {
    return finding("note", "the server does not say how the model is loaded", command);
  }
  const state = `loaded with ${loaded} tokens${most === undefined ? "" : `, can hold ${most}`}`;
  if (needed === undefined) return finding("ok", state, command);
  return loaded < needed
    ? finding("failure", `${state}; ${needed} are needed`, command)
    : finding("ok", `${state}; ${needed} are needed`, command);
}

async function generate(facts: Facts): Promise<Seen> {
  const { provider, patienceMs } = facts.question;
  const started = Date.now();
  const stream = provider.streamCompletion(
    { model: askedFor(facts), messages: "Say hi.", maxTokens: 1 },
    { firstTokenTimeoutMs: patienceMs, maxRetries: 0 },
  );
  try {
    let firstTokenMs: number | undefined;
    for await (const { content, reasoning, isFinal } of stream) {
      if (content !== "" || reasoning !== undefined || isFinal) {
        firstTokenMs ??= Date.now() - started;
      }
    }
    facts.generation = { firstTokenMs: firstTokenMs ?? Date.now() - started };
  } catch (error) {
    if (!isProviderError(error)) throw error;
    facts.generation = error;
    return finding("failure", wordsOf(error));
  }
  const { firstTokenMs } = facts.generation;
  return finding(firstTokenMs > SLOW_MS ? "warning" : "ok", `after ${seconds(firstTokenMs)}`);
}

/** The model as the application names it: another spelling could hide the application's problem. */
function askedFor({ model, question }: Facts): string | undefined {
  return nameAsked(question) ?? model?.id;
}

/** The model that the application names, if any. */
export function nameAsked({ model, config }: Question): string | undefined {
  return model ?? config.model;
}

/** Token limit that leaves room for reasoning before the answer. */
const ANSWER_TOKENS = 300;

async function callTool(facts: Facts): Promise<Seen> {
  return await tryTo(facts, async (options) => {
    const { toolCalls } = await facts.question.provider.complete({
      model: askedFor(facts),
      messages: "What is the time in Paris? Use the tool.",
      tools: [{
        name: "get_time",
        description: "The time in a city.",
        parameters: {
          type: "object",
          properties: { city: { type: "string" } },
          required: ["city"],
        },
      }],
      maxTokens: ANSWER_TOKENS,
    }, options);
    return toolCalls.length > 0 ? finding("ok", `it called ${toolCalls[0]?.name}`) : finding(
      "warning",
      "it answered without calling the tool; a model trained for tools is more likely to call one",
    );
  });
}

async function makeObject(facts: Facts): Promise<Seen> {
  return await tryTo(facts, async (options) => {
    const { object } = await facts.question.provider.completeObject({
      model: askedFor(facts),
      messages: "Name a colour.",
      schema: { type: "object", properties: { colour: { type: "string" } }, required: ["colour"] },
      maxTokens: ANSWER_TOKENS,
    }, options);
    return finding("ok", isRecord(object) ? "JSON that matches the schema" : "JSON");
  });
}

async function embed(facts: Facts): Promise<Seen> {
  const { listing } = facts;
  if (!Array.isArray(listing)) return skip("there is no model to ask");
  const loaded = (listing as readonly ModelInfo[]).find((model) =>
    model.type === "embedding" && model.loaded === true
  );
  if (loaded === undefined) return skip("no embedding model is loaded");
  return await tryTo(facts, async (options) => {
    const { embeddings } = await facts.question.provider.embed(
      { model: loaded.id, input: "hi" },
      options,
    );
    return finding("ok", `${embeddings[0]?.length ?? 0} numbers from ${loaded.id}`);
  });
}

/** Tries a feature. A failure is only a warning: the server is usable without the feature. */
async function tryTo(
  { question: { patienceMs } }: Facts,
  attempt: (options: { timeoutMs: number; maxRetries: number }) => Promise<Seen>,
): Promise<Seen> {
  try {
    return await attempt({ timeoutMs: patienceMs, maxRetries: 0 });
  } catch (error) {
    if (!isProviderError(error)) throw error;
    return finding("warning", wordsOf(error));
  }
}

async function askForOrigin(facts: Facts, { fetch }: Place): Promise<Seen> {
  const { origin, config } = facts.question;
  const { apiToken } = config;
  if (origin === undefined) return skip("for web pages: --origin http://localhost:5173");
  const url = `${facts.baseUrl}/v1/models`;
  const command = `curl -si -H 'Origin: ${origin}' ${url}`;
  const isAllowed = (answer: Response): boolean =>
    ["*", origin].includes(answer.headers.get("access-control-allow-origin") ?? "");
  const ask = async (method: string, headers: Record<string, string>): Promise<boolean> => {
    const answer = await fetch(url, {
      method,
      headers: { ...config.headers, Origin: origin, ...headers },
      signal: AbortSignal.timeout(LISTING_MS),
    });
    await answer.body?.cancel();
    return isAllowed(answer);
  };
  try {
    const token = apiToken === undefined ? {} : { Authorization: `Bearer ${apiToken}` };
    const answers = await Promise.all([
      ask("GET", token),
      ask("OPTIONS", {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type, authorization",
      }),
    ]);
    facts.allowsOrigin = answers.every(Boolean);
  } catch {
    facts.allowsOrigin = false;
  }
  return facts.allowsOrigin
    ? finding("ok", `pages of ${origin} may call it`, command)
    : finding("failure", `pages of ${origin} may not call it`, command);
}

// --- Words and limits -------------------------------------------------------------------------

/** The message without its hint, which is shown once, at the end. */
export function wordsOf({ message, hint }: AnyProviderError): string {
  return (message.endsWith(hint) ? message.slice(0, -hint.length) : message).trim().replace(
    /\.$/,
    "",
  );
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 0)} s`;
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
