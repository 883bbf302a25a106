/** The `verify` command checks on a real server what this package assumes about LM Studio. */

import { parseJson } from "../testing/fake_wire.ts";
import { writeFileSync } from "node:fs";
import { isRecord, quote } from "../core/fields.ts";
import { onOneLine } from "../core/plain_text.ts";
import { resolveConfig } from "../platform/environment.ts";
import { createRedactor } from "../transport/redact.ts";
import {
  type Command,
  numberOf,
  providerOptions,
  SERVER_OPTIONS,
  untilInterrupted,
  UsageError,
} from "./arguments.ts";
import { type Assumption, SECTIONS } from "./assumptions.ts";
import { shownOnOneLine, type Style } from "./terminal.ts";
import type { Answer, Frame, ListedModel, Outcome, Server } from "./trial.ts";
import { CHANGING, TRIALS } from "./trials.ts";

const LIMIT_S = 120;

export const command: Command = {
  usage: "[options]",
  about:
    "Checks what this package assumes about LM Studio against a real server. Each assumption holds, fails (the " +
    "report shows what came instead), or could not be tried (the report says why). Asks the loaded models for short " +
    "answers; loads or downloads a model only if you allow it. A report made with `--report` helps the " +
    "project; it contains no secrets, and its prompts are all like `Say hi.`",
  options: {
    ...SERVER_OPTIONS,
    load: { help: "Allow loading models, which takes time and may evict others." },
    download: { value: "MODEL", help: "Allow downloading this model." },
    "server-version": {
      value: "VERSION",
      help: "The LM Studio release, for the report; `lms version` prints it.",
    },
    limit: { value: "SECONDS", help: `How long one answer may take. Default: ${LIMIT_S}.` },
    report: {
      value: "FILE",
      help: "Write a report to this file: JSON if its name ends in .json, otherwise Markdown.",
    },
    json: { help: "Print the report as JSON." },
  },
  examples: [
    ["verify", "Check the configured server."],
    ["verify --server-version 0.4.25 --report report.md", "Write a report to send in."],
  ],
  async run(given) {
    const { terminal, options } = given;
    const { baseUrl, apiToken } = resolveConfig(providerOptions(given), terminal.streams.env);
    const report = await untilInterrupted(given, (signal) =>
      verify({
        baseUrl,
        apiToken,
        mayLoad: options.load !== undefined,
        download: options.download,
        version: options["server-version"],
        limitMs: (numberOf(given, "limit") ?? LIMIT_S) * 1000,
        signal,
        onResult: (count, of) => terminal.progress(`${count} of ${of}`),
      }));
    await terminal.endProgress();
    if (options.report !== undefined) writeReport(options.report, report);
    if (options.json !== undefined) await terminal.json(report);
    else {
      for (const { section, text, state, what = "" } of report.results) {
        if (state === "untried") continue;
        const [mark, style] = MARKS[state];
        await terminal.line(`${terminal.style(style, mark)} ${section}: ${plain(text)}`);
        if (state === "fails") await terminal.line(`      got: ${shownOnOneLine(what)}`);
      }
      await terminal.line();
      await terminal.line(summaryOf(report));
    }
    return report.results.some(({ state }) => state === "fails") ? 1 : 0;
  },
};

const MARKS: Readonly<Record<"holds" | "fails", readonly [string, Style]>> = {
  holds: ["holds", "green"],
  fails: ["FAILS", "red"],
};

/** Report on a server. */
export interface Report {
  readonly at: string;
  readonly baseUrl: string;
  /** LM Studio release, as given by the user. */
  readonly version: string | null;
  /** The newest listing, which tells 0.4 from 0.3. */
  readonly listing: string | null;
  readonly models: readonly ListedModel[];
  readonly results: readonly Result[];
}

/** Result for one assumption. */
export interface Result {
  readonly section: string;
  readonly text: string;
  readonly verdict: string;
  readonly trial: string | null;
  readonly state: Outcome["state"];
  readonly what?: string;
}

/** What to verify, and what is allowed. */
export interface VerifyOptions {
  readonly baseUrl: string;
  readonly apiToken?: string | undefined;
  readonly mayLoad?: boolean;
  readonly download?: string | undefined;
  readonly version?: string | undefined;
  readonly limitMs?: number;
  readonly signal?: AbortSignal;
  readonly onResult?: (count: number, of: number) => void | Promise<void>;
}

/** Tries every assumption. Rejects if the server does not answer at all. */
export async function verify(options: VerifyOptions): Promise<Report> {
  const server = await Asked.open(options);
  const redact = createRedactor(
    options.apiToken === undefined ? [] : [options.apiToken],
    undefined,
  );
  const all = SECTIONS.flatMap(({ title, assumptions }) =>
    assumptions.map((assumption) => ({ title, assumption }))
  );
  const isLast = ({ assumption: { trial = "" } }: typeof all[number]): boolean =>
    CHANGING.has(trial);
  const done = new Map<Assumption, Result>();
  for (const entry of [...all.filter((entry) => !isLast(entry)), ...all.filter(isLast)]) {
    options.signal?.throwIfAborted();
    const { text, verdict, trial } = entry.assumption;
    const { state, what } = await tryOut(server, entry.assumption, options.signal);
    done.set(entry.assumption, {
      section: entry.title,
      text,
      verdict,
      trial: trial ?? null,
      state,
      ...(what === undefined ? {} : { what: onOneLine(redact(what)) }),
    });
    await options.onResult?.(done.size, all.length);
  }
  const results = all.flatMap(({ assumption }) => done.get(assumption) ?? []);
  return {
    at: new Date().toISOString(),
    baseUrl: options.baseUrl,
    version: options.version ?? null,
    listing: server.listing ?? null,
    models: server.models,
    results,
  };
}

async function tryOut(
  server: Server,
  { trial, untried }: Assumption,
  signal: AbortSignal | undefined,
): Promise<Outcome> {
  const ask = trial === undefined ? undefined : TRIALS[trial];
  if (ask === undefined) return { state: "untried", what: untried ?? "there is no trial for it" };
  try {
    return await ask(server);
  } catch (error) {
    signal?.throwIfAborted();
    return {
      state: "untried",
      what: `there was no answer: ${error instanceof Error ? error.message : String(error)}`,
    };
  }
}

// --- The server -------------------------------------------------------------------------------

/** Listings, newest first, each with the field that distinguishes its entries from another product's. */
const LISTINGS = [
  ["/api/v1/models", "models", "key"],
  ["/api/v0/models", "data", "state"],
  ["/v1/models", "data", "id"],
] as const;
/** Limit of an answer's text, because a server may never stop sending. */
const MOST_CHARS = 4_000_000;

/** Sends requests to the server and keeps the answers. */
class Asked implements Server {
  readonly baseUrl: string;
  readonly apiToken: string | undefined;
  readonly mayLoad: boolean;
  readonly download: string | undefined;
  readonly answers: Answer[] = [];
  listing: Server["listing"];
  models: readonly ListedModel[] = [];
  readonly #limitMs: number;
  readonly #signal: AbortSignal | undefined;

  private constructor(
    { baseUrl, apiToken, mayLoad = false, download, limitMs, signal }: VerifyOptions,
  ) {
    this.baseUrl = baseUrl;
    this.apiToken = apiToken;
    this.mayLoad = mayLoad;
    this.download = download;
    this.#limitMs = limitMs ?? LIMIT_S * 1000;
    this.#signal = signal;
  }

  static async open(options: VerifyOptions): Promise<Asked> {
    const server = new Asked(options);
    for (const [path, field, mark] of LISTINGS) {
      const { body } = await server.get(path).catch((cause: unknown) => {
        options.signal?.throwIfAborted();
        const state = "it does not answer. Run `lmstudio doctor` to find out why.";
        throw new Error(`Cannot verify ${options.baseUrl}: ${state}`, { cause });
      });
      const models = readListing(body, field, mark, server.mayLoad);
      if (models === undefined) continue;
      server.listing = path;
      server.models = models;
      break;
    }
    return server;
  }

  get(path: string, headers: Record<string, string> = {}): Promise<Answer> {
    return this.#ask(path, { headers });
  }

  post(path: string, body: unknown, headers: Record<string, string> = {}): Promise<Answer> {
    return this.#ask(path, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify(body),
    });
  }

  async #ask(
    path: string,
    init: { method?: string; headers: Record<string, string>; body?: string },
  ): Promise<Answer> {
    const controller = new AbortController();
    const stop = (): void => controller.abort(this.#signal?.reason);
    const timer = setTimeout(
      () => controller.abort(new Error(`nothing arrived within ${this.#limitMs / 1000} s`)),
      this.#limitMs,
    );
    this.#signal?.addEventListener("abort", stop);
    const token = this.apiToken === undefined ? {} : { Authorization: `Bearer ${this.apiToken}` };
    const headers: Record<string, string> = { ...token, ...init.headers };
    // An empty value means no header.
    if (headers.Authorization === "") delete headers.Authorization;
    try {
      const response = await fetch(this.baseUrl + path, {
        ...init,
        headers,
        redirect: "manual",
        signal: controller.signal,
      });
      const text = await readText(response);
      const answer = {
        status: response.status,
        headers: response.headers,
        text,
        body: parseJson(text),
        frames: /event-stream/.test(response.headers.get("content-type") ?? "")
          ? framesOf(text)
          : [],
      };
      this.answers.push(answer);
      return answer;
    } finally {
      clearTimeout(timer);
      this.#signal?.removeEventListener("abort", stop);
    }
  }
}

async function readText(response: Response): Promise<string> {
  const reader = response.body?.getReader();
  if (reader === undefined) return "";
  const decoder = new TextDecoder();
  let text = "";
  try {
    while (text.length < MOST_CHARS) {
      const { done, value } = await reader.read();
      if (done) break;
      text += decoder.decode(value, { stream: true });
    }
    return text;
  } finally {
    await reader.cancel().catch(() => {});
  }
}

function framesOf(text: string): Frame[] {
  return text.split(/\r?\n\r?\n/).flatMap((block) => {
    const lines = block.split(/\r?\n/);
    const event = lines.find((line) => line.startsWith("event:"))?.slice(6).trim();
    const data = lines.filter((line) => line.startsWith("data:")).map((line) =>
      line.slice(5).trim()
    ).join("\n");
    if (data === "") return [];
    return [{ ...(event === undefined ? {} : { event }), data, value: parseJson(data) }];
  });
}

/**
 * The models of a listing, or `undefined` if the body is not a listing. If the listing does not say what is loaded, a
 * request may load the model, so it counts as loaded only if loading is allowed.
 */
function readListing(
  body: unknown,
  field: string,
  mark: string,
  mayLoad: boolean,
): ListedModel[] | undefined {
  const list = isRecord(body) ? body[field] : undefined;
  if (!Array.isArray(list) || !list.every((entry) => isRecord(entry) && mark in entry)) {
    return undefined;
  }
  return list.filter(isRecord).flatMap((entry) => {
    const { key, id = key, type, state, loaded_instances: instances } = entry;
    if (typeof id !== "string") return [];
    const capabilities = isRecord(entry.capabilities) ? entry.capabilities : {};
    const isEmbedding = type === undefined ? /embed/i.test(id) : /^embed/.test(String(type));
    return [{
      id,
      type: isEmbedding ? "embedding" : type === "decision" ? "decision" : "llm",
      loaded: Array.isArray(instances)
        ? instances.length > 0
        : state === undefined
        ? mayLoad
        : state === "loaded",
      vision: capabilities.vision === true || type === "vlm",
      reasoning: isRecord(capabilities.reasoning),
    }];
  });
}

// --- Reports ----------------------------------------------------------------------------------

function writeReport(path: string, report: Report): void {
  const text = path.endsWith(".json") ? `${JSON.stringify(report, null, 2)}\n` : markdownOf(report);
  try {
    writeFileSync(path, text);
  } catch {
    throw new UsageError(`Cannot write the report ${quote(path)}: the file is not writable.`);
  }
}

function summaryOf({ results }: Report): string {
  const count = (state: Outcome["state"]): number =>
    results.filter((result) => result.state === state).length;
  return `${count("holds")} hold, ${count("fails")} fail, ${count("untried")} could not be tried.`;
}

/** The report as Markdown. */
export function markdownOf(report: Report): string {
  const { at, version, listing, models, results } = report;
  const rows = (list: readonly Result[]): string[] =>
    list.map(({ section, text, state, what = "" }) =>
      `| ${section} | ${text} | ${state} | ${what.replaceAll("|", "\\|")} |`
    );
  const loaded = models.filter(({ loaded }) => loaded).map(({ id }) => `\`${id}\``).join(", ");
  return [
    "# Assumptions about LM Studio, checked",
    "",
    `Release: ${version ?? "not given"}. Newest listing: ${listing ?? "none"}. Loaded: ${
      loaded || "nothing"
    }. ${at}.`,
    "",
    summaryOf(report),
    "",
    "| section | assumption | state | what came instead, or why it was not tried |",
    "| - | - | - | - |",
    ...(["fails", "holds", "untried"] as const).flatMap((state) =>
      rows(results.filter((result) => result.state === state))
    ),
    "",
  ].join("\n");
}

/** Markdown as plain text. */
function plain(text: string): string {
  return text.replace(/\*\*|`/g, "").replaceAll("\\|", "|");
}
