/**
 * Trials of the assumptions on a server: small exchanges whose answer confirms an assumption or not. They do not use this
 * package's client, but send requests as any program would. Here is what a trial is, and what trials have in common.
 *
 * @module
 */

import { isRecord } from "../core/fields.ts";
import { isSameModel } from "../core/model_names.ts";
import { cutText } from "../core/plain_text.ts";

/** Result of a trial. */
export type Outcome =
  | { readonly state: "holds"; readonly what?: string }
  /** `what` is what came instead. */
  | { readonly state: "fails"; readonly what: string }
  /** `what` is the reason. */
  | { readonly state: "untried"; readonly what: string };

/** A complete answer. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** Decoded JSON. */
  readonly body: unknown;
  /** The frames of a stream; otherwise empty. */
  readonly frames: readonly Frame[];
}

/** One server-sent event. */
export interface Frame {
  readonly event?: string;
  readonly data: string;
  /** Decoded JSON. */
  readonly value: unknown;
}

/** A model, as any of the server's listings describes it. */
export interface ListedModel {
  readonly id: string;
  readonly type: "llm" | "embedding" | "decision";
  readonly loaded: boolean;
  readonly vision: boolean;
  readonly reasoning: boolean;
}

/** The server on trial. */
export interface Server {
  readonly baseUrl: string;
  readonly apiToken: string | undefined;
  /** The newest listing that the server has. */
  readonly listing: "/api/v1/models" | "/api/v0/models" | "/v1/models" | undefined;
  readonly models: readonly ListedModel[];
  /** Whether models may be loaded. */
  readonly mayLoad: boolean;
  /** The model that may be downloaded. */
  readonly download: string | undefined;
  /** Every answer so far. */
  readonly answers: readonly Answer[];
  get(path: string, headers?: Record<string, string>): Promise<Answer>;
  post(path: string, body: unknown, headers?: Record<string, string>): Promise<Answer>;
}

/** Trial of one assumption. */
export type Trial = (server: Server) => Promise<Outcome> | Outcome;

/** The outcome of most trials. */
export const HOLDS: Outcome = { state: "holds" };
/** Most characters of an answer to show. */
export const MOST_SHOWN = 160;
/** A name that no server knows. */
export const UNKNOWN_MODEL = "nobody/no-such-model-9000";
/** The shortest conversation. */
export const HI: readonly object[] = [{ role: "user", content: "Say hi." }];

/** Makes the outcome of an assumption that is wrong. */
export function fails(what: string): Outcome {
  return { state: "fails", what };
}

/** Makes the outcome of a trial that could not be held. */
export function untried(what: string): Outcome {
  return { state: "untried", what };
}

/** Makes the outcome of a comparison. @param what describes what came instead. */
export function check(isSo: boolean, what: () => string): Outcome {
  return isSo ? HOLDS : fails(what());
}

/** Describes an answer for people. */
export function shownAnswer({ status, text }: Answer): string {
  return `${status} ${cutText(text.replace(/\s+/g, " ").trim(), MOST_SHOWN)}`;
}

/** The message of an error, in any of the shapes that LM Studio uses. */
export function errorOf({ body }: Answer): string | undefined {
  const error = isRecord(body) ? body.error : undefined;
  if (typeof error === "string") return error;
  return isRecord(error) && typeof error.message === "string" ? error.message : undefined;
}

/** The code of an error. */
export function codeOf({ body }: Answer): unknown {
  const error = isRecord(body) ? body.error : undefined;
  return isRecord(error) ? error.code : undefined;
}

/** Whether the server has no such route. */
export function isUnexpected(answer: Answer): boolean {
  return /^Unexpected endpoint/.test(errorOf(answer) ?? "");
}

/** Whether the answer has status 200 and no error. */
export function isGood(answer: Answer): boolean {
  return answer.status === 200 && errorOf(answer) === undefined;
}

/** Whether the answer is a 4xx with an error. */
export function isRefused(answer: Answer): boolean {
  return answer.status >= 400 && answer.status < 500 && errorOf(answer) !== undefined;
}

/** Value at a path of names and indexes. */
export function at(value: unknown, ...path: (string | number)[]): unknown {
  return path.reduce<unknown>(
    (inner, key) =>
      Array.isArray(inner) ? inner[Number(key)] : isRecord(inner) ? inner[key] : undefined,
    value,
  );
}

// --- Requirements of a trial ------------------------------------------------------------------

/** Trial of a loaded language model. */
export function withModel(trial: (server: Server, model: string) => Promise<Outcome>): Trial {
  return (server) => {
    const model = server.models.find(({ type, loaded }) => type === "llm" && loaded);
    return model === undefined ? untried("no language model is loaded") : trial(server, model.id);
  };
}

/** Trial of something that LM Studio has since 0.4.0. */
export function native(trial: Trial): Trial {
  return (server) =>
    server.listing === "/api/v1/models" ? trial(server) : untried("the server is older than 0.4.0");
}

// --- Requests ---------------------------------------------------------------------------------

/** A tool, in the shape of the responses route. */
export const TOOL: {
  readonly name: string;
  readonly description: string;
  readonly parameters: object;
} = {
  name: "get_time",
  description: "The time in a city.",
  parameters: {
    type: "object",
    properties: { city: { type: "string" } },
    required: ["city"],
  },
};

/** A short request for the responses route. */
export function response(model: string, more: object = {}): object {
  return { model, input: "Say hi.", store: false, max_output_tokens: 16, ...more };
}

/** Whether the server is 0.3.29 or later. */
export async function hasResponses(server: Server, model: string): Promise<boolean> {
  return !isUnexpected(await server.post("/v1/responses", response(model)));
}

/** A request that the server must refuse. */
export function refuses(path: string, bodyOf: (model: string) => object): Trial {
  return withModel(async (server, model) => {
    const answer = await server.post(path, bodyOf(model));
    return check(isRefused(answer), () => `it was accepted: ${shownAnswer(answer)}`);
  });
}

/** A request that the server must accept. */
export function accepts(path: string, bodyOf: (model: string) => object): Trial {
  return withModel(async (server, model) => {
    const answer = await server.post(path, bodyOf(model));
    return check(isGood(answer), () => shownAnswer(answer));
  });
}

/** A request for an unknown model that another model must answer. */
export function substitutes(path: string, bodyOf: (model: string) => object): Trial {
  return withModel(async (server) => {
    const loaded = server.models.filter((model) => model.type === "llm" && model.loaded);
    if (loaded.length > 1) return untried("several language models are loaded");
    const answer = await server.post(path, bodyOf(UNKNOWN_MODEL));
    if (isUnexpected(answer)) return untried(`the server has no ${path}`);
    if (!isGood(answer)) return fails(`it was refused: ${shownAnswer(answer)}`);
    const model = at(answer.body, "model");
    return check(
      typeof model === "string" && !isSameModel(model, UNKNOWN_MODEL),
      () => `model ${String(model)}`,
    );
  });
}
