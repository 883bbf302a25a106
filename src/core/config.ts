/**
 * Configuration cascade: defaults, a file, a `.env` file, the environment, the constructor's options. Pure: takes the
 * contents of files and never reads them itself.
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

/** Report that a different model answered than the one requested. */
export interface ModelSubstitution {
  /** The requested model. */
  requested: string;
  /** The model that answered. */
  answered: string;
  /** The whole answer; absent for a stream. */
  response?:
    | CompletionResponse
    | DecisionResponse
    | EmbeddingResponse
    | ResponsesAnswer
    | TextCompletionResponse;
}

/** What to do when a different model answers than the one requested: throw, ignore it, or call a function. */
export type OnModelSubstituted = "throw" | "ignore" | ((info: ModelSubstitution) => void);

/**
 * Options of `new LMStudioProvider()`. They take precedence over the environment, which takes precedence over files.
 */
export interface LMStudioProviderOptions {
  /**
   * Address of the server, in any common form.
   * @default {"http://127.0.0.1:1234"}
   */
  baseUrl?: string | undefined;
  /**
   * API token, if the server requires one.
   * @default {none}
   */
  apiToken?: string | undefined;
  /**
   * Model for completions that do not name one.
   * @default {the loaded one}
   */
  model?: string | undefined;
  /**
   * Model for embeddings that do not name one.
   * @default {the loaded one, else the only one}
   */
  embeddingModel?: string | undefined;
  /**
   * Model for decisions that do not name one.
   * @default {the loaded one, else the only one}
   */
  decisionModel?: string | undefined;
  /**
   * Timeout of a whole call with all its attempts, in milliseconds. Not used by streams.
   * @default {30000 for listings; none for generation}
   */
  timeoutMs?: number | undefined;
  /**
   * Timeout for connecting to the server, in milliseconds.
   * @default {5000}
   */
  connectTimeoutMs?: number | undefined;
  /**
   * Streams: timeout until the first token, in milliseconds.
   * @default {600000}
   */
  firstTokenTimeoutMs?: number | undefined;
  /**
   * Streams: longest silence allowed after the first token, in milliseconds.
   * @default {120000; `firstTokenTimeoutMs` for requests with tools or integrations, since a call arrives only when complete}
   */
  idleTimeoutMs?: number | undefined;
  /**
   * How often to retry a failed request, 0 to 10. Unless this is 0, a request is retried as often as necessary while
   * the server is still loading its model, until the call times out or, without a timeout, for a minute.
   * @default {2}
   */
  maxRetries?: number | undefined;
  /**
   * How long `supportsModel` and `modelCapabilities` use a cached model list, in milliseconds.
   * @default {30000}
   */
  modelCacheTtlMs?: number | undefined;
  /**
   * Maximum number of generations at a time, across all models; others wait in order and are notified by the `onQueue`
   * of their call. Whatever the limit, a request for a model that is not loaded waits until the answers of other models
   * are complete, since loading it may evict them. All providers in this program with the same address share the limit,
   * except those with their own `fetch`. Embeddings and requests sent through `toOpenAI()` or `toAnthropic()` do not
   * count. `Infinity` means no limit.
   * @default {for each model, its instance's `parallel` if a listing reported it, else 4}
   */
  maxConcurrency?: number | undefined;
  /**
   * Additional pairs of tags that enclose reasoning in a model's text, such as `[["<thought>", "</thought>"]]`. Known
   * ones (`<think>`, `[THINK]`, `<seed:think>`, the channels of Gemma 4 and gpt-oss, and more) need not be listed.
   * @default {none}
   */
  reasoningTags?: readonly ReasoningTags[] | undefined;
  /** Headers of every request. Values never appear in errors. */
  headers?: Readonly<Record<string, string>> | undefined;
  /** Used instead of the global `fetch`. On Node, it must set its own long timeouts. */
  fetch?: typeof globalThis.fetch | undefined;
  /**
   * What to do when a different model answers than the one requested.
   * @default {"throw"}
   */
  onModelSubstituted?: OnModelSubstituted | undefined;
  /** Discovery options, or an instance of `ServiceDiscovery`. The constructor does not search for servers. */
  discovery?: ServiceDiscoveryOptions | ServiceFinder | undefined;
  /** Path of a JSON file with any of the options from `baseUrl` to `headers`. */
  configFile?: string | undefined;
  /** Path of a `.env` file with any of the environment variables. */
  envFile?: string | undefined;
  /** Replaces the process's environment. */
  env?: Readonly<Record<string, string | undefined>> | undefined;
}

/** Resolved configuration of a provider, frozen. `JSON.stringify` and inspectors show it without secrets. */
export interface ResolvedConfig {
  /** Root of the server, without a trailing slash. */
  readonly baseUrl: string;
  /** API token. */
  readonly apiToken?: string;
  /** Model for completions that do not name one. */
  readonly model?: string;
  /** Model for embeddings that do not name one. */
  readonly embeddingModel?: string;
  /** Model for decisions that do not name one. */
  readonly decisionModel?: string;
  /** Timeout of a call, in milliseconds. If absent: 30 000 for listings, status and probes; none for the rest. */
  readonly timeoutMs?: number;
  /** Timeout for connecting to the server, in milliseconds. */
  readonly connectTimeoutMs: number;
  /** Streams: timeout until the first token, in milliseconds. */
  readonly firstTokenTimeoutMs: number;
  /** Streams: longest silence allowed after the first token, in milliseconds. */
  readonly idleTimeoutMs: number;
  /** How often to retry a failed request. */
  readonly maxRetries: number;
  /** How long `supportsModel` and `modelCapabilities` use a cached model list, in milliseconds. */
  readonly modelCacheTtlMs: number;
  /** Maximum number of generations at a time. If absent, as many as the answering instance runs in parallel. */
  readonly maxConcurrency?: number;
  /** Additional pairs of tags that enclose reasoning. */
  readonly reasoningTags?: readonly ReasoningTags[];
  /** Headers of every request. */
  readonly headers: Readonly<Record<string, string>>;
  /** Used instead of the global `fetch`. */
  readonly fetch?: typeof globalThis.fetch;
  /** What to do when a different model answers than the one requested. */
  readonly onModelSubstituted: OnModelSubstituted;
}

/** Source of a setting. */
export type ConfigSource = "default" | "file" | "dotenv" | "environment" | "option";

/** Setting of the configuration and its source; secrets are masked. */
export interface ConfigEntry {
  /** Name of the option. */
  key: keyof ResolvedConfig;
  /** Value of the setting; secrets are `***`. */
  value: unknown;
  /** Source that the value came from. */
  source: ConfigSource;
  /** Name of the variable or file. */
  origin?: string;
}

/** Sources of a configuration: values and file contents. */
export interface ConfigInputs {
  readonly options: LMStudioProviderOptions;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly dotenv?:
    | { readonly name: string; readonly values: Readonly<Record<string, string | undefined>> }
    | undefined;
  readonly file?: { readonly name: string; readonly text: string } | undefined;
  /**
   * Display name of the service, for errors.
   * @default {"LM Studio"}
   */
  readonly service?: string;
  /** Further variables, read if none of those that every provider reads sets the value. */
  readonly moreVariables?: Readonly<Partial<Record<keyof ResolvedConfig, readonly string[]>>>;
}

/** Resolved configuration, with the source of each value. */
export interface ResolvedCascade {
  readonly config: ResolvedConfig;
  readonly entries: readonly ConfigEntry[];
  /** Hint if a server requires an API token but the configured one was withheld from it. */
  readonly unauthorizedHint?: string;
}

interface Setting {
  readonly key: keyof ResolvedConfig;
  readonly rule: Rule;
  /** Variables that set it; the first one found wins. */
  readonly variables?: readonly string[];
  /** Converts a variable's text to a value; if absent, the text is the value. */
  readonly read?: (text: string) => unknown;
  /** Form of a variable's text, for errors, if it differs from the form of the option. */
  readonly form?: string;
  readonly fallback?: unknown;
  /** Can only be set in code. */
  readonly optionOnly?: boolean;
}

/** Variables for the server's address, in order of precedence. */
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

/** API token; never shown. */
const token: Rule<string> = (value, of, refusal) => {
  if (typeof value !== "string") throw refusal(`${of} is of type ${typeof value}, not a string`);
  const given = unquote(value);
  if (given === "") {
    throw refusal(`${of} is empty`);
  }
  const prefix = /^(?:authorization\s*:\s*)?bearer(?=[\s:]|$)/i.exec(given)?.[0];
  if (prefix !== undefined) {
    throw refusal(
      `${of} begins with ${describe(prefix)}, which is not part of the token`,
    );
  }
  // Naming the character would give away part of the token.
  if (/^[\x21-\x7e]+$/.test(given)) return given;
  throw refusal(`${of} contains whitespace or other characters that are not valid in a token`);
};

/** Name of a model. */
const modelName: Rule<string> = (value, of, refusal) => {
  if (typeof value !== "string") throw refusal(`${of} is ${describe(value)}, not a model name`);
  if (value.trim() === "") throw refusal(`${of} is empty`);
  return value.trim();
};

/** Variables that replace the environment. */
export const variablesRecord: Rule<Record<string, string | undefined>> = (value, of, refusal) => {
  if (isRecord(value)) return value as Record<string, string | undefined>;
  throw refusal(`${of} is not an object of variables`);
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
    form: "a time above 0, such as 30 (seconds), 30s, 1500ms or 5m",
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

/** All variables that the cascade reads. */
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
 * Refuses options that are not an object or contain unknown names. Their values are checked later, together with those
 * from the other sources.
 *
 * @throws {ConfigurationError}
 */
export function checkOptions(options: unknown): asserts options is LMStudioProviderOptions {
  OPTIONS(options, "", (state) => configurationError(state));
}

/**
 * Resolves every setting from the source with the highest precedence that sets it.
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

/** Tests whether any source sets a value. */
export function isSet(
  { entries }: Pick<ResolvedCascade, "entries">,
  key: keyof ResolvedConfig,
): boolean {
  return entries.some((entry) => entry.key === key && entry.source !== "default");
}

/** Creates a `ConfigurationError` with the usual wording. */
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
      : `variable ${variable} in ${fileName}`;
    if (typeof written !== "string") throw configurationError(`${name} is not a string`);
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
  return { source: "file", value, name: `"${setting.key}" in ${file.name}`, origin: file.name };
}

function parseConfigFile(file: { name: string; text: string }): Readonly<Record<string, unknown>> {
  let values: unknown;
  try {
    values = JSON.parse(file.text);
  } catch {
    // The parser's own message quotes the text, which may contain a token.
    throw configurationError(`file ${file.name} is not valid JSON`);
  }
  if (!isRecord(values)) throw configurationError(`file ${file.name} is not a JSON object`);
  const refusal: RefusalMaker = (state) => configurationError(state);
  refuseUnknown(values, FILE_FIELDS, "field", `file ${file.name}`, refusal);
  return values;
}

/** Parses `30` or `30s` (seconds), `1500ms`, `5m` or `1h` to milliseconds; returns any other text unchanged. */
function parseDuration(text: string): unknown {
  const match = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h)?$/i.exec(text);
  if (match === null) return text;
  const unit = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }[match[2]?.toLowerCase() ?? "s"] ?? 1000;
  return Number(match[1]) * unit;
}

// --- Secrets ------------------------------------------------------------------------------------

/** Settings that are masked when shown, and sent only to the server they were configured for. */
export const SECRET_KEYS: ReadonlySet<string> = new Set(["apiToken", "headers"]);

/** Masks a value; of an object, only the field names remain. */
function mask(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value === undefined ? undefined : "***";
  return Object.freeze(Object.fromEntries(Object.keys(value).map((key) => [key, "***"])));
}

/** Returns a frozen copy that code can read in full, but that shows no secrets when printed. */
export function freezeWithoutSecrets<Config>(values: Readonly<Record<string, unknown>>): Config {
  const show = (): Record<string, unknown> => {
    const shown: Record<string, unknown> = { ...values };
    for (const key of SECRET_KEYS) if (key in shown) shown[key] = mask(shown[key]);
    return shown;
  };
  // Node inspects what its hook returns; Deno converts it to a string, so an object would print as "[object Object]".
  const showInDeno = (inspect: (value: unknown, options: unknown) => string, options: unknown) =>
    inspect(show(), options);
  const config = Object.defineProperties({ ...values }, {
    toJSON: { value: show },
    [Symbol.for("nodejs.util.inspect.custom")]: { value: show },
    [Symbol.for("Deno.customInspect")]: { value: showInDeno },
  });
  return Object.freeze(config) as unknown as Config;
}
