/**
 * Picks the cause that an examination points to, from a table of causes: the most certain first, worded like the
 * library's own errors.
 *
 * @module
 */

import { connectionHint } from "../core/connection_hints.ts";
import { defaultHint, type KnownCode } from "../core/error_codes.ts";
import { type AnyProviderError, isProviderError } from "../core/errors.ts";
import { quote } from "../core/fields.ts";
import { namesIn, nearestNames } from "../core/listed_models.ts";
import type { ModelInfo } from "../core/types.ts";
import { type Facts, nameAsked, SLOW_MS, wordsOf } from "./findings.ts";

/** Diagnosis: what is wrong, and what to do next. */
export interface Cause {
  /** Code of the error that the library throws in this situation. */
  readonly code: string;
  readonly cause: string;
  readonly next: string;
}

type Rule = (facts: Facts) => Cause | undefined;

/** Every cause. A cause that hides others comes before them. */
const RULES: readonly Rule[] = [
  ({ denied }) =>
    denied === undefined ? undefined : {
      code: "permission_denied",
      cause: `This program is not allowed to connect to ${denied}.`,
      next: `Allow it; in Deno, use \`--allow-net=${denied}\`.`,
    },
  ({ proxy, who }) =>
    proxy === undefined || who !== "stranger" ? undefined : {
      code: "connection_refused",
      cause: "A proxy answers instead of the server.",
      next: proxy,
    },
  connectionCause,
  serverCause,
  tokenCause,
  ({ listing }) => isProviderError(listing) ? causeOf(listing) : undefined,
  ({ allowsOrigin, question: { origin } }) =>
    allowsOrigin !== false ? undefined : {
      code: "blocked_by_browser",
      cause: `The server does not let pages from ${origin} call it.`,
      next: hintOf("blocked_by_browser"),
    },
  modelCause,
  instancesCause,
  contextCause,
  ({ generation }) => isProviderError(generation) ? causeOf(generation) : undefined,
  ({ generation }) =>
    generation === undefined || isProviderError(generation) || generation.firstTokenMs <= SLOW_MS
      ? undefined
      : {
        code: "timeout_first_token",
        cause:
          `The first token takes ${
            Math.round(generation.firstTokenMs / 1000)
          } s even for a short prompt; ` +
          "many clients give up before that.",
        next: "Raise the client's timeout, or use a smaller model or context.",
      },
  ({ refusedAddresses, baseUrl }) =>
    refusedAddresses.length === 0 ? undefined : {
      code: "connection_refused",
      cause:
        `${new URL(baseUrl).hostname} resolves to addresses that the server does not listen on: ` +
        `${refusedAddresses.join(", ")}.`,
      next:
        `Use http://127.0.0.1:${
          new URL(baseUrl).port || "80"
        }: LM Studio listens on IPv4 only, and some ` +
        "programs try IPv6 first.",
    },
  ({ proxy }) =>
    proxy === undefined ? undefined : {
      code: "connection_refused",
      cause:
        "This program reaches the server, but other programs may be sent to the proxy instead.",
      next: proxy,
    },
];

/** The first cause that fits the facts, or `undefined` if nothing is wrong. */
export function causeOfAll(facts: Facts): Cause | undefined {
  for (const rule of RULES) {
    const cause = rule(facts);
    if (cause !== undefined) return cause;
  }
  return undefined;
}

// --- The way to the server --------------------------------------------------------------------

const TROUBLE_WORDS: Readonly<Record<NonNullable<Facts["trouble"]>, string>> = {
  refused: "nothing listens there",
  unresolved: "its name cannot be resolved",
  unreachable: "that machine cannot be reached",
  late: "the connection is not accepted in time",
  silent: "the connection is accepted, but nothing is sent back",
  "plain-http": "it speaks plain http, not https",
  "certificate-untrusted": "its certificate is not trusted",
  "certificate-name": "its certificate is for another name",
  "certificate-date": "its certificate is expired or not yet valid",
};

function connectionCause({ trouble, baseUrl, surroundings, answersAt }: Facts): Cause | undefined {
  if (trouble === undefined) return undefined;
  const code = trouble === "late" || trouble === "silent"
    ? "timeout_connect"
    : "connection_refused";
  const service = "LM Studio";
  const hint = connectionHint({ trouble, url: baseUrl, service, answersAt, ...surroundings });
  return {
    code,
    cause: `${baseUrl} does not answer: ${TROUBLE_WORDS[trouble]}.`,
    next: hint ?? hintOf(code),
  };
}

function serverCause(
  { who, baseUrl, answersAtRoot, answersAt, surroundings }: Facts,
): Cause | undefined {
  if (who === undefined || who === "lmstudio" || who === "silent") return undefined;
  const { origin, port } = new URL(baseUrl);
  if (answersAtRoot === true) {
    return {
      code: "unexpected_endpoint",
      cause: `The path in ${baseUrl} is wrong: LM Studio answers at ${origin}.`,
      next: `Set the base URL to ${origin}.`,
    };
  }
  if (who === "lmstudio-internal") {
    return {
      code: "service_not_found",
      cause:
        `LM Studio is running, but port ${port} is for its own programs; its HTTP server is on another port, or off.`,
      next: answersAt === undefined ? hintOf("service_not_found") : connectionHint({
        trouble: "refused",
        url: baseUrl,
        service: "LM Studio",
        answersAt,
        ...surroundings,
      }) ??
        hintOf("service_not_found"),
    };
  }
  const name = NAMES[who];
  if (answersAt !== undefined) {
    return {
      code: "not_lm_studio",
      cause: `${name} answers at ${baseUrl}, not LM Studio.`,
      next: `LM Studio answers at ${answersAt}: set the base URL to that address.`,
    };
  }
  return {
    code: "not_lm_studio",
    cause: `${name} answers at ${baseUrl}, not LM Studio.`,
    next: who === "stranger"
      ? hintOf("not_lm_studio")
      : `${hintOf("not_lm_studio")} To use this server instead, use \`OpenAICompatibleProvider\`${
        who === "ollama" ? " or `LocalProvider`" : ""
      }.`,
  };
}

const NAMES = {
  ollama: "Ollama",
  "llama.cpp": "llama.cpp's server",
  "openai-like": "An OpenAI-compatible server",
  stranger: "Something else",
} as const;

function tokenCause({ listing, tokenIsMalformed, question: { config } }: Facts): Cause | undefined {
  if (!isProviderError(listing) || listing.kind !== "authentication") return undefined;
  if (listing.code === "forbidden") return causeOf(listing);
  const state = config.apiToken === undefined
    ? "but none was given"
    : tokenIsMalformed
    ? "but the one given is not an LM Studio token: those begin with sk-lm-"
    : "and it rejects the one given";
  return {
    code: listing.code,
    cause: `The server requires an API token, ${state}.`,
    next: listing.hint,
  };
}

// --- Models -----------------------------------------------------------------------------------

function modelCause({ listing, asked, model, question }: Facts): Cause | undefined {
  if (!Array.isArray(listing) || model !== undefined) return undefined;
  const models = listing as readonly ModelInfo[];
  const name = nameAsked(question);
  const llms = models.filter(({ type }) => type === "llm");
  if (name !== undefined && asked === undefined) {
    const nearest = nearestNames(namesIn(models), name, 3);
    return {
      code: "model_not_found",
      cause: `The server has no model ${quote(name)}${
        nearest.length === 0 ? "" : `; it has ${nearest.join(", ")}`
      }.`,
      next: hintOf("model_not_found"),
    };
  }
  if (asked?.loaded === false) {
    return {
      code: "model_not_loaded",
      cause:
        `${asked.id} is not loaded: a request loads it first, which can take minutes and may evict another model.`,
      next: hintOf("model_not_loaded").replace("<model>", asked.id),
    };
  }
  if (llms.length === 0) {
    return {
      code: "no_model_loaded",
      cause: models.length === 0
        ? "The server has no models."
        : "The server has no language models, only models of other types.",
      next: "Download a language model with `lms get`, or in LM Studio.",
    };
  }
  // Older servers do not say what is loaded.
  if (llms.some(({ loaded }) => loaded === undefined)) return undefined;
  return {
    code: "no_model_loaded",
    cause: `No language model is loaded; the server has ${llms.length}.`,
    next: hintOf("no_model_loaded").replace("<model>", llms[0]?.id ?? "<model>"),
  };
}

function instancesCause({ model, question: { context: needed } }: Facts): Cause | undefined {
  const instances = model?.instances ?? [];
  if (model === undefined || needed === undefined || instances.length < 2) return undefined;
  const isLarge = (length: number | undefined): boolean => length !== undefined && length >= needed;
  const large = instances.find(({ contextLength }) => isLarge(contextLength));
  if (large === undefined || isLarge(model.loadedContextLength)) return undefined;
  return {
    code: "context_overflow",
    cause:
      `${model.id} is loaded ${instances.length} times, and requests for it go to the instance with ` +
      `${model.loadedContextLength} tokens of context.`,
    next:
      `Request ${large.id}, which holds ${large.contextLength} tokens, or unload the others (\`lms unload ${model.id}\`).`,
  };
}

function contextCause({ model, question: { context: needed } }: Facts): Cause | undefined {
  const { loadedContextLength: loaded, maxContextLength: most, id } = model ?? {};
  if (needed === undefined || loaded === undefined || loaded >= needed) return undefined;
  const cannot = most !== undefined && most < needed;
  return {
    code: "context_overflow",
    cause: `${id} is loaded with a context of ${loaded} tokens, but ${needed} are needed${
      cannot ? `; it can hold ${most} at most` : ""
    }.`,
    next: cannot
      ? "Shorten the input, or use a model that holds more."
      : `Reload it with a larger context: \`lms unload ${id}\`, then \`lms load ${id} --context-length ${needed}\`.`,
  };
}

// --- Words ------------------------------------------------------------------------------------

function causeOf(error: AnyProviderError): Cause {
  return { code: error.code, cause: `${wordsOf(error)}.`, next: error.hint };
}

function hintOf(code: KnownCode): string {
  return defaultHint(code, "LM Studio");
}
