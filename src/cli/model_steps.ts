/**
 * Steps of an examination that ask LM Studio: for its models, and for what the application wants from them.
 *
 * @module
 */

import { isProviderError } from "../core/errors.ts";
import { isRecord, quote } from "../core/fields.ts";
import { findModel } from "../core/listed_models.ts";
import type { ModelInfo } from "../core/types.ts";
import {
  type Facts,
  finding,
  nameAsked,
  type Place,
  type Seen,
  skip,
  SLOW_MS,
  wordsOf,
} from "./findings.ts";

/** A server that is up may still be slow, because it is processing a prompt. */
const LISTING_MS = 5_000;
const TOKEN_FORM = /^sk-lm-[a-zA-Z0-9]{8}:[a-zA-Z0-9]{20}$/;

/** Lists the models, which shows whether the API token is accepted. */
export async function tryToken(facts: Facts): Promise<Seen> {
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

/** Derives the version from the newest listing. */
export function guessVersion({ listing, baseUrl }: Facts): Seen {
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

/** Counts the models, and finds the one to examine. */
export function countModels(facts: Facts): Seen {
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
    return finding("failure", `${quote(name)} is not listed; ${state}`, command);
  }
  if (asked?.loaded === false) {
    return finding("warning", `${asked.id} is not loaded; ${state}`, "lms ps");
  }
  if (facts.model === undefined) {
    return finding(isTold || llms.length === 0 ? "failure" : "note", state, command);
  }
  return finding("ok", state, "lms ps");
}

/** Compares the model's context with what the application needs. */
export function readContext(facts: Facts): Seen {
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

/** Generates one token, and measures how long it takes. */
export async function generate(facts: Facts): Promise<Seen> {
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

/** Token limit that leaves room for reasoning before the answer. */
const ANSWER_TOKENS = 300;

/** Has the model call a tool. */
export async function callTool(facts: Facts): Promise<Seen> {
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

/** Has the model write a typed object. */
export async function makeObject(facts: Facts): Promise<Seen> {
  return await tryTo(facts, async (options) => {
    const { object } = await facts.question.provider.completeObject({
      model: askedFor(facts),
      messages: "Name a color.",
      schema: { type: "object", properties: { color: { type: "string" } }, required: ["color"] },
      maxTokens: ANSWER_TOKENS,
    }, options);
    return finding("ok", isRecord(object) ? "JSON that matches the schema" : "JSON");
  });
}

/** Embeds a text. */
export async function embed(facts: Facts): Promise<Seen> {
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

/** Asks whether pages of an origin may call the server. */
export async function askForOrigin(facts: Facts, { fetch }: Place): Promise<Seen> {
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
    ? finding("ok", `pages from ${origin} may call it`, command)
    : finding("failure", `pages from ${origin} may not call it`, command);
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 0)} s`;
}
