/**
 * The configuration cascade: defaults, a file, a `.env` file, the environment, the constructor's options.
 * Pure: it is given the texts and never reads them.
 *
 * @module
 */

import { address, unquote } from "./base_url.ts";
import {
  anything,
  callback,
  countOrAll,
  describe,
  headers,
  must,
  reasoningTags,
  type RefusalMaker,
  refuseUnknown,
  retries,
  type Rule,
  table,
  time,
} from "./checks.ts";
import { type ConfigurationError, providerError } from "./errors.ts";
import { isRecord } from "./fields.ts";
import type { DecisionResponse } from "./decisions.ts";
import type { ResponsesAnswer } from "./responses.ts";
import type { ServiceDiscoveryOptions, ServiceFinder } from "./services.ts";
import type { TextCompletionResponse } from "./text.ts";
import type { CompletionResponse, EmbeddingResponse, ReasoningTags } from "./types.ts";

/** Told when another model answered than the one that was asked. */
export interface ModelSubstitution {
  /** The model that was asked. */
  requested: string;
  /** The model that answered. */
  answered: string;
  /** The whole answer; of a stream, absent. */
  response?:
    | CompletionResponse
    | DecisionResponse
    | EmbeddingResponse
    | ResponsesAnswer
    | TextCompletionResponse;
}

/** Reaction to an answer of another model than the one that was asked. */
export type OnModelSubstituted = "throw" | "ignore" | ((info: ModelSubstitution) => void);

/** The options of `new LMStudioProvider()`. Each wins over the environment, which wins over files. */
export interface LMStudioProviderOptions {
  /**
   * Address of the server, in any usual form.
   * @default {"http://127.0.0.1:1234"}
   */
  baseUrl?: string | undefined;
  /**
   * API token, where the server wants one.
   * @default {none}
   */
  apiToken?: string | undefined;
  /**
   * Model of completions that name none.
   * @default {the one that is loaded}
   */
  model?: string | undefined;
  /**
   * Model of embeddings that name none.
   * @default {the one that is loaded, else the only one}
   */
  embeddingModel?: string | undefined;
  /**
   * Model of decisions that name none.
   * @default {the one that is loaded, else the only one}
   */
  decisionModel?: string | undefined;
  /**
   * Milliseconds for a whole call that is not a stream.
   * @default {30000 for listings; none for generation}
   */
  timeoutMs?: number | undefined;
  /**
   * Milliseconds until the server must have accepted a connection.
   * @default {5000}
   */
  connectTimeoutMs?: number | undefined;
  /**
   * Streams: milliseconds until the first token.
   * @default {600000}
   */
  firstTokenTimeoutMs?: number | undefined;
  /**
   * Streams: milliseconds of silence allowed after the first token.
   * @default {120000; with tools or integrations in the request `firstTokenTimeoutMs`, since a call is sent when it is whole}
   */
  idleTimeoutMs?: number | undefined;
  /**
   * Number of times a failed request may be sent again, 0 to 10. Above 0, a server that says it loads its model is asked
   * again however often, within the limit of the call, else for a minute.
   * @default {2}
   */
  maxRetries?: number | undefined;
  /**
   * Milliseconds `supportsModel` and `modelCapabilities` believe a listing.
   * @default {30000}
   */
  modelCacheTtlMs?: number | undefined;
  /**
   * Generations at a time, for all models together; the others wait in order, told by `onQueue` of their calls. A request
   * for a model that is not loaded waits until the answers of the others are done, whatever this is: loading it may throw
   * them out. Counted together with those of every provider for the same address in this program, but for those with
   * a `fetch` of their own; not with what clients send by `toOpenAI()` and `toAnthropic()`, nor with embeddings. `Infinity` is no limit.
   * @default {for each model, the `parallel` of its instance where a listing has told it, else 4}
   */
  maxConcurrency?: number | undefined;
  /**
   * Pairs of tags between which models write their thoughts into their text, such as `[["<thought>", "</thought>"]]`,
   * beside those that are known (`<think>`, `[THINK]`, `<seed:think>`, the channels of Gemma 4 and gpt-oss, and more).
   * @default {none}
   */
  reasoningTags?: readonly ReasoningTags[] | undefined;
  /** Headers of every request. Values never appear in errors. */
  headers?: Readonly<Record<string, string>> | undefined;
  /** Used instead of the global `fetch`. On Node it must bring its own long time-outs. */
  fetch?: typeof globalThis.fetch | undefined;
  /**
   * Reaction to an answer of another model than the one that was asked.
   * @default {"throw"}
   */
  onModelSubstituted?: OnModelSubstituted | undefined;
  /** Options of discovery, or an instance of `ServiceDiscovery`. A constructor does not look for servers. */
  discovery?: ServiceDiscoveryOptions | ServiceFinder | undefined;
  /** A JSON file with any of `baseUrl` to `headers` above. */
  configFile?: string | undefined;
  /** A `.env` file with any of the variables of the environment. */
  envFile?: string | undefined;
  /** Replaces the process's environment. */
  env?: Readonly<Record<string, string | undefined>> | undefined;
}

/** The configuration a provider works with, frozen. `JSON.stringify` and inspectors show it without secrets. */
export interface ResolvedConfig {
  /** Root of the server, without a trailing slash. */
  readonly baseUrl: string;
  /** API token. */
  readonly apiToken?: string;
  /** Model of completions that name none. */
  readonly model?: string;
  /** Model of embeddings that name none. */
  readonly embeddingModel?: string;
  /** Model of decisions that name none. */
  readonly decisionModel?: string;
  /** Absent: 30 000 for listings, status and probes; none for generation, embeddings and load. */
  readonly timeoutMs?: number;
  /** Milliseconds until the server must have accepted a connection. */
  readonly connectTimeoutMs: number;
  /** Streams: milliseconds until the first token. */
  readonly firstTokenTimeoutMs: number;
  /** Streams: milliseconds of silence allowed after the first token. */
  readonly idleTimeoutMs: number;
  /** Number of times a failed request may be sent again. */
  readonly maxRetries: number;
  /** Milliseconds `supportsModel` and `modelCapabilities` believe a listing. */
  readonly modelCacheTtlMs: number;
  /** Generations at a time; absent: as many as the answering instance takes. */
  readonly maxConcurrency?: number;
  /** Pairs of tags around thoughts, beside those that are known. */
  readonly reasoningTags?: readonly ReasoningTags[];
  /** Headers of every request. */
  readonly headers: Readonly<Record<string, string>>;
  /** Used instead of the global `fetch`. */
  readonly fetch?: typeof globalThis.fetch;
  /** Reaction to an answer of another model than the one that was asked. */
  readonly onModelSubstituted: OnModelSubstituted;
}

/** Source of a value. */
export type ConfigSource = "default" | "file" | "dotenv" | "environment" | "option";

/** One value of the configuration and where it came from; secrets masked. */
export interface ConfigEntry {
  /** Name of the option. */
  key: keyof ResolvedConfig;
  /** Its value; secrets are `***`. */
  value: unknown;
  /** Which source won. */
  source: ConfigSource;
  /** Name of the variable or the file. */
  origin?: string;
}

/** Sources of a configuration, as texts and values. */
export interface ConfigInputs {
  readonly options: LMStudioProviderOptions;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly dotenv?:
    | { readonly name: string; readonly values: Readonly<Record<string, string | undefined>> }
    | undefined;
  readonly file?: { readonly name: string; readonly text: string } | undefined;
  /**
   * Name for people, for errors.
   * @default {"LM Studio"}
   */
  readonly service?: string;
  /** Variables that set a value where those every provider reads do not. */
  readonly moreVariables?: Readonly<Partial<Record<keyof ResolvedConfig, readonly string[]>>>;
}

/** Resolved configuration, with the source of each value. */
export interface ResolvedCascade {
  readonly config: ResolvedConfig;
  readonly entries: readonly ConfigEntry[];
  /** Hint for a server that wants the token which is kept from it. */
  readonly unauthorizedHint?: string;
}

interface Setting {
  readonly key: keyof ResolvedConfig;
  readonly rule: Rule;
  /** Variables that set it; the first one found wins. */
  readonly variables?: readonly string[];
  /** Reads a variable's text; the text itself when absent. */
  readonly read?: (text: string) => unknown;
  /** Form of a variable's text, for errors, where it differs from the form of the option. */
  readonly form?: string;
  readonly fallback?: unknown;
  /** Only code can give it. */
  readonly optionOnly?: boolean;
}

/** The variables that name the server's address, in order. */
const BASE_URL_VARIABLES: readonly string[] = [
  "PATINOX_LMSTUDIO_BASE_URL",
  "LMSTUDIO_BASE_URL",
  "LMSTUDIO_ENDPOINT",
  "LM_STUDIO_BASE_URL",
  "LM_STUDIO_API_BASE",
  "LMSTUDIO_HOST",
  "LM_BASE_URL",
  "LMSTUDIO_URL",
  "LM_STUDIO_URL",
  "LMSTUDIO_API_BASE",
];

/** A token, which is never shown. */
const token: Rule<string> = (value, of, refusal) => {
  if (typeof value !== "string") throw refusal(`${of} is of type ${typeof value}, not text`);
  const given = unquote(value);
  if (given === "") {
    throw refusal(`${of} is empty; leave it out if the server wants no token`);
  }
  const prefix = /^(?:authorization\s*:\s*)?bearer(?=[\s:]|$)/i.exec(given)?.[0];
  if (prefix !== undefined) {
    throw refusal(
      `${of} begins with ${describe(prefix)}, which is not of the token: leave that out`,
    );
  }
  // The character itself would give away a part of it.
  if (/^[\x21-\x7e]+$/.test(given)) return given;
  throw refusal(`${of} has white space or other characters that cannot stand in a token`);
};

/** The name of a model. */
const modelName: Rule<string> = (value, of, refusal) => {
  if (typeof value !== "string") throw refusal(`${of} is ${describe(value)}, not a model name`);
  if (value.trim() === "") throw refusal(`${of} is empty`);
  return value.trim();
};

/** Variables in place of the environment's. */
export const variablesRecord: Rule<Record<string, string | undefined>> = (value, of, refusal) => {
  if (isRecord(value)) return value as Record<string, string | undefined>;
  throw refusal(`${of} is not a record of variables`);
};

const SETTINGS: readonly Setting[] = [
  {
    key: "baseUrl",
    rule: address(),
    variables: BASE_URL_VARIABLES,
    fallback: "http://127.0.0.1:1234",
  },
  {
    key: "apiToken",
    rule: token,
    variables: ["LM_API_TOKEN", "LMSTUDIO_API_KEY", "LM_STUDIO_API_KEY", "LM_API_KEY"],
  },
  { key: "model", rule: modelName, variables: ["LMSTUDIO_MODEL"] },
  { key: "embeddingModel", rule: modelName, variables: ["LMSTUDIO_EMBEDDING_MODEL"] },
  { key: "decisionModel", rule: modelName, variables: ["LMSTUDIO_DECISION_MODEL"] },
  {
    key: "timeoutMs",
    rule: time,
    variables: ["LMSTUDIO_TIMEOUT", "PATINOX_MODEL_TIMEOUT"],
    read: parseDuration,
    form: "a time above 0 such as 30 (seconds), 30s, 1500ms or 5m",
  },
  { key: "connectTimeoutMs", rule: time, fallback: 5000 },
  { key: "firstTokenTimeoutMs", rule: time, fallback: 600_000 },
  { key: "idleTimeoutMs", rule: time, fallback: 120_000 },
  {
    key: "maxRetries",
    rule: retries,
    variables: ["LMSTUDIO_MAX_RETRIES"],
    read: (text) => /^\d+$/.test(text) ? Number(text) : text,
    fallback: 2,
  },
  { key: "modelCacheTtlMs", rule: time, fallback: 30_000 },
  { key: "maxConcurrency", rule: countOrAll },
  { key: "reasoningTags", rule: reasoningTags },
  { key: "headers", rule: headers, fallback: Object.freeze({}) },
  { key: "fetch", rule: callback, optionOnly: true },
  {
    key: "onModelSubstituted",
    rule: must(
      '"throw", "ignore" or a function',
      (value) => value === "throw" || value === "ignore" || typeof value === "function",
    ),
    optionOnly: true,
    fallback: "throw",
  },
];

/** Every variable the cascade reads. */
export const CONFIG_VARIABLES: readonly string[] = SETTINGS.flatMap((setting) =>
  setting.variables ?? []
);

const FILE_FIELDS: ReadonlySet<string> = new Set(
  SETTINGS.filter((setting) => setting.optionOnly !== true).map((setting) => setting.key),
);
const OPTIONS = table<Record<string, unknown>>({
  ...Object.fromEntries(SETTINGS.map(({ key }) => [key, anything])),
  discovery: anything,
  configFile: anything,
  envFile: anything,
  env: variablesRecord,
}, { noun: "option", whole: "the options are", prefix: "option ", isKept: true });

/**
 * Refuses options that are no options at all, or not ours. Their values come before their rules with those of the other
 * sources.
 *
 * @throws {ConfigurationError}
 */
export function checkOptions(options: unknown): asserts options is LMStudioProviderOptions {
  OPTIONS(options, "", (state) => configurationError(state));
}

/**
 * Resolves every setting from the highest source that has it.
 *
 * @throws {ConfigurationError} naming the option, variable or file, and the value.
 */
export function resolveCascade(inputs: ConfigInputs): ResolvedCascade {
  const file = inputs.file === undefined
    ? undefined
    : { name: inputs.file.name, values: parseConfigFile(inputs.file) };

  const config: Record<string, unknown> = {};
  const entries: ConfigEntry[] = [];
  for (const { variables = [], ...rest } of SETTINGS) {
    const more = inputs.moreVariables?.[rest.key] ?? [];
    const setting: Setting = { ...rest, variables: [...variables, ...more] };
    const found: Found = findOption(setting, inputs.options) ??
      findVariable(setting, "environment", inputs.env) ??
      findVariable(setting, "dotenv", inputs.dotenv?.values, inputs.dotenv?.name) ??
      findInFile(setting, file) ??
      { source: "default", value: setting.fallback, name: setting.key };
    let value = found.value;
    if (found.source !== "default") {
      const { text, name } = found;
      const { form } = setting;
      const refusal: RefusalMaker = (state) =>
        configurationError(
          text !== undefined && form !== undefined
            ? `${name} is ${describe(text)}, not ${form}`
            : state,
          undefined,
          inputs.service,
        );
      value = setting.rule(value, name, refusal);
    }
    if (value !== undefined) config[setting.key] = value;
    entries.push({
      key: setting.key,
      value: SECRET_KEYS.has(setting.key) ? mask(value) : value,
      source: found.source,
      ...(found.origin === undefined ? {} : { origin: found.origin }),
    });
  }
  return { config: freezeWithoutSecrets<ResolvedConfig>(config), entries };
}

/** Whether any source sets a value. */
export function isSet(
  { entries }: Pick<ResolvedCascade, "entries">,
  key: keyof ResolvedConfig,
): boolean {
  return entries.some((entry) => entry.key === key && entry.source !== "default");
}

/** A `ConfigurationError` in the usual wording. */
export function configurationError(
  state: string,
  hint?: string,
  service = "LM Studio",
): ConfigurationError {
  return providerError(
    "invalid_configuration",
    `Cannot configure the ${service} provider: ${state}`,
    {
      service,
      attempts: 0,
      hint,
    },
  );
}

interface Found {
  readonly source: ConfigSource;
  readonly value: unknown;
  /** For error messages. */
  readonly name: string;
  readonly origin?: string | undefined;
  /** Text of a variable. */
  readonly text?: string;
}

function findOption(setting: Setting, options: LMStudioProviderOptions): Found | undefined {
  const value = (options as Readonly<Record<string, unknown>>)[setting.key];
  if (value === undefined) return undefined;
  return { source: "option", value, name: `option ${setting.key}` };
}

function findVariable(
  setting: Setting,
  source: "environment" | "dotenv",
  values: Readonly<Record<string, string | undefined>> | undefined,
  fileName?: string,
): Found | undefined {
  for (const variable of setting.variables ?? []) {
    const written: unknown = values?.[variable];
    if (written === undefined) continue;
    const name = fileName === undefined
      ? `variable ${variable}`
      : `variable ${variable} of ${fileName}`;
    if (typeof written !== "string") throw configurationError(`${name} is not text`);
    const text = unquote(written);
    if (text === "") continue;
    return {
      source,
      value: setting.read?.(text) ?? text,
      name,
      origin: fileName ?? variable,
      text,
    };
  }
  return undefined;
}

function findInFile(
  setting: Setting,
  file: { readonly name: string; readonly values: Readonly<Record<string, unknown>> } | undefined,
): Found | undefined {
  const value = file?.values[setting.key];
  if (file === undefined || value === undefined) return undefined;
  return { source: "file", value, name: `"${setting.key}" of ${file.name}`, origin: file.name };
}

function parseConfigFile(file: { name: string; text: string }): Readonly<Record<string, unknown>> {
  let values: unknown;
  try {
    values = JSON.parse(file.text);
  } catch {
    // The parser's own message quotes the text, in which a token may stand.
    throw configurationError(`file ${file.name} is not JSON`);
  }
  if (!isRecord(values)) throw configurationError(`file ${file.name} is not a JSON object`);
  const refusal: RefusalMaker = (state) => configurationError(state);
  refuseUnknown(values, FILE_FIELDS, "field", `file ${file.name}`, refusal);
  return values;
}

/** Milliseconds of `30` or `30s` (seconds), `1500ms`, `5m`, `1h`; any other text as it is. */
function parseDuration(text: string): unknown {
  const match = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h)?$/i.exec(text);
  if (match === null) return text;
  const unit = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }[match[2]?.toLowerCase() ?? "s"] ?? 1000;
  return Number(match[1]) * unit;
}

// --- Secrets ------------------------------------------------------------------------------------

/** Settings that are shown masked, and sent only to the server they were given for. */
export const SECRET_KEYS: ReadonlySet<string> = new Set(["apiToken", "headers"]);

/** A value with nothing left of it but the names of its fields. */
export function mask(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value === undefined ? undefined : "***";
  return Object.freeze(Object.fromEntries(Object.keys(value).map((key) => [key, "***"])));
}

/** A frozen copy whose values stay readable for code; printing the whole object shows no secret. */
export function freezeWithoutSecrets<Config>(values: Readonly<Record<string, unknown>>): Config {
  const show = (): Record<string, unknown> => {
    const shown: Record<string, unknown> = { ...values };
    for (const key of SECRET_KEYS) if (key in shown) shown[key] = mask(shown[key]);
    return shown;
  };
  // Node prints what its hook returns; Deno makes text of it, "[object Object]", unless it is text already.
  const showInDeno = (inspect: (value: unknown, options: unknown) => string, options: unknown) =>
    inspect(show(), options);
  const config = Object.defineProperties({ ...values }, {
    toJSON: { value: show },
    [Symbol.for("nodejs.util.inspect.custom")]: { value: show },
    [Symbol.for("Deno.customInspect")]: { value: showInDeno },
  });
  return Object.freeze(config) as unknown as Config;
}
