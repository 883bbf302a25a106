/**
 * Trials of the assumptions on a server: small exchanges whose answer confirms an assumption or not. They do not use this
 * package's client, but send requests as any program would.
 *
 * @module
 */

import { isRecord } from "../core/fields.ts";
import { connect } from "node:net";
import { isLoopback } from "../core/base_url.ts";
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

const HOLDS: Outcome = { state: "holds" };
const MOST_SHOWN = 160;
/** A name that no server knows. */
const UNKNOWN_MODEL = "nobody/no-such-model-9000";
const HI = [{ role: "user", content: "Say hi." }];

function fails(what: string): Outcome {
  return { state: "fails", what };
}

function untried(what: string): Outcome {
  return { state: "untried", what };
}

function check(isSo: boolean, what: () => string): Outcome {
  return isSo ? HOLDS : fails(what());
}

/** Describes an answer for people. */
function shownAnswer({ status, text }: Answer): string {
  return `${status} ${cutText(text.replace(/\s+/g, " ").trim(), MOST_SHOWN)}`;
}

function errorOf({ body }: Answer): string | undefined {
  const error = isRecord(body) ? body.error : undefined;
  if (typeof error === "string") return error;
  return isRecord(error) && typeof error.message === "string" ? error.message : undefined;
}

function codeOf({ body }: Answer): unknown {
  const error = isRecord(body) ? body.error : undefined;
  return isRecord(error) ? error.code : undefined;
}

function isUnexpected(answer: Answer): boolean {
  return /^Unexpected endpoint/.test(errorOf(answer) ?? "");
}

/** Whether the answer has status 200 and no error. */
function isGood(answer: Answer): boolean {
  return answer.status === 200 && errorOf(answer) === undefined;
}

function isRefused(answer: Answer): boolean {
  return answer.status >= 400 && answer.status < 500 && errorOf(answer) !== undefined;
}

/** Value at a path of names and indexes. */
function at(value: unknown, ...path: (string | number)[]): unknown {
  return path.reduce<unknown>(
    (inner, key) =>
      Array.isArray(inner) ? inner[Number(key)] : isRecord(inner) ? inner[key] : undefined,
    value,
  );
}

// --- Requirements of a trial ------------------------------------------------------------------

function withModel(trial: (server: Server, model: string) => Promise<Outcome>): Trial {
  return (server) => {
    const model = server.models.find(({ type, loaded }) => type === "llm" && loaded);
    return model === undefined ? untried("no language model is loaded") : trial(server, model.id);
  };
}

function withEmbedder(trial: (server: Server, model: string) => Promise<Outcome>): Trial {
  return (server) => {
    const model = server.models.find(({ type, loaded }) => type === "embedding" && loaded);
    return model === undefined ? untried("no embedding model is loaded") : trial(server, model.id);
  };
}

function native(trial: Trial): Trial {
  return (server) =>
    server.listing === "/api/v1/models" ? trial(server) : untried("the server is older than 0.4.0");
}

function loading(trial: (server: Server, model: string) => Promise<Outcome>): Trial {
  return native((server) => {
    if (!server.mayLoad) return untried("it loads a model, which needs --load");
    const model = server.models.find(({ type, loaded }) => type === "llm" && !loaded) ??
      server.models.find(({ type }) => type === "llm");
    return model === undefined ? untried("there is no language model") : trial(server, model.id);
  });
}

/** Whether the server is 0.3.29 or later. */
async function hasResponses(server: Server, model: string): Promise<boolean> {
  return !isUnexpected(await server.post("/v1/responses", response(model)));
}

/** Trial of the responses route, skipped if the server is too old to have it. */
function withResponses(trial: (server: Server, model: string) => Promise<Outcome>): Trial {
  return withModel(async (server, model) => {
    return await hasResponses(server, model)
      ? await trial(server, model)
      : untried("the server has no /v1/responses");
  });
}

// --- Requests ---------------------------------------------------------------------------------

const TOOL_PARAMETERS = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
};
const TOOL = { name: "get_time", description: "The time in a city.", parameters: TOOL_PARAMETERS };
const ASK_TOOL = [{ role: "user", content: "What is the time in Paris? Use the tool." }];

function completion(model: string, more: object = {}): object {
  return { model, messages: HI, max_tokens: 8, temperature: 0, ...more };
}

function response(model: string, more: object = {}): object {
  return { model, input: "Say hi.", store: false, max_output_tokens: 16, ...more };
}

function nativeChat(model: string, more: object = {}): object {
  return { model, input: "Say hi.", store: false, max_output_tokens: 8, ...more };
}

const COMPLAINT = "I was charged twice. Please fix this today.";

function decision(model: string): object {
  return {
    model,
    input: COMPLAINT,
    questions: [
      { type: "predicate", name: "angry", instructions: "Is the customer angry?" },
      {
        type: "score",
        name: "urgency",
        instructions: "How urgent is it?",
        levels: [{ label: "low" }, { label: "high" }],
      },
    ],
  };
}

function message(model: string, more: object = {}): object {
  return { model, messages: HI, max_tokens: 8, ...more };
}

const COMPLETIONS = "/v1/chat/completions";

/** A request that the server must refuse. */
function refuses(path: string, bodyOf: (model: string) => object): Trial {
  return withModel(async (server, model) => {
    const answer = await server.post(path, bodyOf(model));
    return check(isRefused(answer), () => `it was accepted: ${shownAnswer(answer)}`);
  });
}

/** A request that the server must accept. */
function accepts(path: string, bodyOf: (model: string) => object): Trial {
  return withModel(async (server, model) => {
    const answer = await server.post(path, bodyOf(model));
    return check(isGood(answer), () => shownAnswer(answer));
  });
}

/** A request for an unknown model that another model must answer. */
function substitutes(path: string, bodyOf: (model: string) => object): Trial {
  return withModel(async (server) => {
    const loaded = server.models.filter((model) => model.type === "llm" && model.loaded);
    if (loaded.length > 1) return untried("several language models are loaded");
    const answer = await server.post(path, bodyOf(UNKNOWN_MODEL));
    if (isUnexpected(answer)) return untried(`the server has no ${path}`);
    if (!isGood(answer)) return fails(`it is refused: ${shownAnswer(answer)}`);
    const model = at(answer.body, "model");
    return check(
      typeof model === "string" && !isSameModel(model, UNKNOWN_MODEL),
      () => `model ${String(model)}`,
    );
  });
}

/** Trial of a decision model's answer, skipped if the server does not have the route. */
function decides(
  path: string,
  bodyOf: (model: string) => object,
  isRight: (answer: Answer) => boolean,
): Trial {
  return async (server) => {
    const model = server.models.find(({ type, loaded }) => type === "decision" && loaded);
    if (model === undefined) return untried("no decision model is loaded");
    const answer = await server.post(path, bodyOf(model.id));
    if (isUnexpected(answer)) return untried(`the server has no ${path}`);
    return check(isRight(answer), () => shownAnswer(answer));
  };
}

function fieldsOf(value: unknown): Record<string, unknown> {
  return isRecord(value) ? value : {};
}

/** Whether a port accepts IPv6 connections on loopback. */
function acceptsIpv6(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "::1", port });
    const end = (accepted: boolean) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(accepted);
    };
    const timer = setTimeout(() => end(false), 1_000);
    socket.on("connect", () => end(true));
    socket.on("error", () => end(false));
  });
}

/** Index of the frame with the finish reason. */
function finishAt({ frames }: Answer): number {
  return frames.findIndex(({ value }) =>
    typeof at(value, "choices", 0, "finish_reason") === "string"
  );
}

// --- The trials -------------------------------------------------------------------------------

/** Every trial, under the name that the list of assumptions uses. */
export const TRIALS: Readonly<Record<string, Trial>> = {
  async ipv4(server) {
    if (!isLoopback(server.baseUrl)) return untried("the server is on another machine");
    const port = Number(new URL(server.baseUrl).port);
    return check(!await acceptsIpv6(port), () => `[::1]:${port} accepts connections too`);
  },
  async doubledRoute(server) {
    const answer = await server.get("/v1/v1/models");
    return check(answer.status === 200 && errorOf(answer) !== undefined, () => shownAnswer(answer));
  },
  async unknownRoute(server) {
    const plain = await server.post("/v1/no-such-route", {});
    const streamed = await server.post("/v1/no-such-route", { stream: true });
    const below = await server.get("/api/v1/no-such-route");
    const expected = server.listing === "/api/v1/models" ? 404 : 200;
    for (const [answer, status] of [[plain, 200], [streamed, 200], [below, expected]] as const) {
      if (answer.status !== status || !isUnexpected(answer)) return fails(shownAnswer(answer));
    }
    return HOLDS;
  },
  async greeting(server) {
    const answer = await server.get("/lmstudio-greeting", { Authorization: "" });
    return check(at(answer.body, "lmstudio") === true, () => shownAnswer(answer));
  },
  async keepAlive(server) {
    const { headers } = await server.get("/v1/models");
    const announced = headers.get("keep-alive");
    if (announced === null) return untried("this runtime shows no Keep-Alive header");
    return check(announced.includes("timeout=5"), () => `Keep-Alive: ${announced}`);
  },
  async token(server) {
    const without = await server.get("/v1/models", { Authorization: "" });
    const wrong = await server.get("/v1/models", { Authorization: "Bearer not-a-token" });
    if (without.status === 200 && wrong.status === 200) {
      return { ...HOLDS, what: "the server requires no API token" };
    }
    const isRight = (answer: Answer): boolean =>
      answer.status === 401 && codeOf(answer) === "invalid_api_key" &&
      /token/i.test(errorOf(answer) ?? "");
    return check(
      isRight(without) && isRight(wrong),
      () => `${shownAnswer(without)}; ${shownAnswer(wrong)}`,
    );
  },
  async securedIdentity(server) {
    const without = await server.get("/v1/models", { Authorization: "" });
    if (without.status !== 401) return untried("the server requires no API token");
    const greeting = await server.get("/lmstudio-greeting", { Authorization: "" });
    const isGreeted = at(greeting.body, "lmstudio") === true;
    return check(
      isGreeted && /LM Studio/.test(errorOf(without) ?? ""),
      () => shownAnswer(greeting),
    );
  },
  async notOllama(server) {
    const version = await server.get("/api/version");
    const tags = await server.get("/api/tags");
    const isOllama = typeof at(version.body, "version") === "string" &&
      Array.isArray(at(tags.body, "models"));
    return check(!isOllama, () => shownAnswer(version));
  },

  // Listings
  nativeListing: native(async (server) => {
    const { body } = await server.get("/api/v1/models");
    const models = at(body, "models");
    if (!Array.isArray(models)) return fails("the listing has no array `models`");
    const odd = models.find((entry) =>
      typeof at(entry, "key") !== "string" || !Array.isArray(at(entry, "loaded_instances"))
    );
    return check(odd === undefined, () => `an entry ${cutText(JSON.stringify(odd), MOST_SHOWN)}`);
  }),
  async olderListing(server) {
    const answer = await server.get("/api/v0/models");
    if (isUnexpected(answer)) return untried("the server has no /api/v0/models");
    const data = at(answer.body, "data");
    if (!Array.isArray(data)) return fails(shownAnswer(answer));
    const odd = data.find((entry) =>
      !["llm", "vlm", "embeddings", "decision"].includes(String(at(entry, "type"))) ||
      typeof at(entry, "state") !== "string"
    );
    return check(odd === undefined, () => `an entry ${cutText(JSON.stringify(odd), MOST_SHOWN)}`);
  },
  async openaiListing(server) {
    const answer = await server.get("/v1/models");
    const data = at(answer.body, "data");
    if (!Array.isArray(data)) return fails(shownAnswer(answer));
    const odd = data.find((entry) =>
      typeof at(entry, "id") !== "string" || at(entry, "created") !== undefined
    );
    return check(odd === undefined, () => `an entry ${cutText(JSON.stringify(odd), MOST_SHOWN)}`);
  },
  reasoningSettings: native(async (server) => {
    const { body } = await server.get("/api/v1/models");
    const models = at(body, "models");
    const told = (Array.isArray(models) ? models : []).map((entry) =>
      at(entry, "capabilities", "reasoning")
    )
      .filter(isRecord);
    if (told.length === 0) return untried("no model has reasoning settings");
    const odd = told.find((settings) =>
      !Array.isArray(settings.allowed_options) || typeof settings.default !== "string"
    );
    return check(odd === undefined, () => JSON.stringify(odd));
  }),

  // Models
  substitution: substitutes(COMPLETIONS, completion),
  spelling: withModel(async (server, model) => {
    const answer = await server.post(COMPLETIONS, completion(model.toUpperCase()));
    const answered = at(answer.body, "model");
    return check(
      isGood(answer) && typeof answered === "string" && isSameModel(answered, model),
      () => shownAnswer(answer),
    );
  }),

  // Management
  loadKeys: loading(async (server, model) => {
    const unknown = await server.post("/api/v1/models/load", { model, no_such_key: 1 });
    if (!isRefused(unknown)) return fails(`an unknown key is accepted: ${shownAnswer(unknown)}`);
    const answer = await server.post("/api/v1/models/load", { model, echo_load_config: true });
    return check(
      isGood(answer) && isRecord(at(answer.body, "load_config")),
      () => shownAnswer(answer),
    );
  }),
  secondCopy: loading(async (server, model) => {
    await server.post("/api/v1/models/load", { model });
    const answer = await server.post("/api/v1/models/load", { model });
    return check(/:\d+$/.test(String(at(answer.body, "instance_id"))), () => shownAnswer(answer));
  }),
  unloadUnknown: native(async (server) => {
    const answer = await server.post("/api/v1/models/unload", { instance_id: UNKNOWN_MODEL });
    return check(answer.status === 404 && errorOf(answer) !== undefined, () => shownAnswer(answer));
  }),
  downloadJob: native(async (server) => {
    if (server.download === undefined) {
      return untried("it downloads a model, which needs --download MODEL");
    }
    const answer = await server.post("/api/v1/models/download", { model: server.download });
    const job = at(answer.body, "job_id");
    if (at(answer.body, "status") === "already_downloaded") {
      return { ...HOLDS, what: "the model was already downloaded" };
    }
    if (typeof job !== "string") return fails(shownAnswer(answer));
    const look = await server.get(`/api/v1/models/download/status/${encodeURIComponent(job)}`);
    return check(typeof at(look.body, "status") === "string", () => shownAnswer(look));
  }),
  unknownJob: native(async (server) => {
    const answer = await server.get("/api/v1/models/download/status/no-such-job");
    return check(answer.status === 404, () => shownAnswer(answer));
  }),

  // Requests
  completions: withModel(async (server, model) => {
    const answer = await server.post(COMPLETIONS, completion(model));
    return check(
      isGood(answer) && isRecord(at(answer.body, "choices", 0, "message")),
      () => shownAnswer(answer),
    );
  }),
  contentNull: refuses(
    COMPLETIONS,
    (model) => completion(model, { messages: [{ role: "user", content: null }] }),
  ),
  developerRole: accepts(
    COMPLETIONS,
    (model) =>
      completion(model, { messages: [{ role: "developer", content: "Be brief." }, ...HI] }),
  ),
  toolParameters: refuses(
    COMPLETIONS,
    (model) =>
      completion(model, {
        tools: [{ type: "function", function: { name: "now", parameters: {} } }],
      }),
  ),
  toolChoiceObject: withModel(async (server, model) => {
    const answer = await server.post(
      COMPLETIONS,
      completion(model, {
        tools: [{ type: "function", function: TOOL }],
        tool_choice: { type: "function", function: { name: TOOL.name } },
      }),
    );
    if (isRefused(answer)) return HOLDS;
    return await hasResponses(server, model)
      ? fails(`it was accepted: ${shownAnswer(answer)}`)
      : untried("the server may be older than 0.3.15");
  }),
  maxTokens: withModel(async (server, model) => {
    const answer = await server.post(COMPLETIONS, completion(model, { max_tokens: 1 }));
    const count = at(answer.body, "usage", "completion_tokens");
    return check(
      isGood(answer) && typeof count === "number" && count <= 2,
      () => shownAnswer(answer),
    );
  }),
  reasoningNone: accepts(COMPLETIONS, (model) => completion(model, { reasoning_effort: "none" })),
  responseFormat: withModel(async (server, model) => {
    const refused = await server.post(
      COMPLETIONS,
      completion(model, { response_format: { type: "json_object" } }),
    );
    if (!isRefused(refused)) return fails(`json_object is accepted: ${shownAnswer(refused)}`);
    const schema = {
      type: "object",
      properties: { colour: { type: "string" } },
      required: ["colour"],
    };
    const answer = await server.post(
      COMPLETIONS,
      completion(model, {
        max_tokens: 200,
        response_format: {
          type: "json_schema",
          json_schema: { name: "colour", strict: true, schema },
        },
      }),
    );
    return check(isGood(answer), () => shownAnswer(answer));
  }),
  imageAddress: async (server) => {
    const model = server.models.find(({ type, loaded, vision }) =>
      type === "llm" && loaded && vision
    );
    if (model === undefined) return untried("no model with image input is loaded");
    const content = [{ type: "image_url", image_url: { url: "https://example.com/cat.png" } }];
    const answer = await server.post(
      COMPLETIONS,
      completion(model.id, { messages: [{ role: "user", content }] }),
    );
    return check(isRefused(answer), () => `it was accepted: ${shownAnswer(answer)}`);
  },

  // Answers and streams
  reasoningField: async (server) => {
    const model = server.models.find(({ type, loaded, reasoning }) =>
      type === "llm" && loaded && reasoning
    );
    if (model === undefined) return untried("no reasoning model is loaded");
    const answer = await server.post(COMPLETIONS, completion(model.id, { max_tokens: 200 }));
    const message = at(answer.body, "choices", 0, "message");
    const reasoning = at(message, "reasoning_content") ?? at(message, "reasoning");
    if (typeof reasoning === "string" && reasoning !== "") return HOLDS;
    if (/<\/?think>|\[THINK\]|<\|channel/.test(String(at(message, "content")))) return HOLDS;
    return untried("it answered without reasoning");
  },
  streamUsage: withModel(async (server, model) => {
    const asked = await server.post(
      COMPLETIONS,
      completion(model, { stream: true, stream_options: { include_usage: true } }),
    );
    const unasked = await server.post(COMPLETIONS, completion(model, { stream: true }));
    const usageAt = asked.frames.findIndex(({ value }) => isRecord(at(value, "usage")));
    if (unasked.frames.some(({ value }) => isRecord(at(value, "usage")))) {
      return fails("usage is sent without being requested");
    }
    if (usageAt === -1) {
      return await hasResponses(server, model)
        ? fails("no usage is sent although it was requested")
        : untried("the server may be older than 0.3.18");
    }
    const choices = at(asked.frames[usageAt]?.value, "choices");
    return check(
      Array.isArray(choices) && choices.length === 0 && usageAt > finishAt(asked),
      () => `usage in ${cutText(asked.frames[usageAt]?.data ?? "", MOST_SHOWN)}`,
    );
  }),
  oneShort: withModel(async (server, model) => {
    const limit = 5;
    const messages = [{ role: "user", content: "Count from one to fifty in words." }];
    const answer = await server.post(
      COMPLETIONS,
      completion(model, { messages, max_tokens: limit }),
    );
    if (at(answer.body, "choices", 0, "finish_reason") !== "length") {
      return untried("the answer was shorter");
    }
    const count = at(answer.body, "usage", "completion_tokens");
    return check(count === limit - 1, () => `${String(count)} of ${limit}`);
  }),
  streamEnd: withModel(async (server, model) => {
    const { frames, text } = await server.post(COMPLETIONS, completion(model, { stream: true }));
    const isDone = frames.at(-1)?.data === "[DONE]";
    const isFinished = frames.some(({ value }) =>
      typeof at(value, "choices", 0, "finish_reason") === "string"
    );
    return check(
      isDone || isFinished,
      () => `it ends with ${cutText(text.slice(-MOST_SHOWN), MOST_SHOWN)}`,
    );
  }),
  lineEnds: withModel(async (server, model) => {
    const { text } = await server.post(COMPLETIONS, completion(model, { stream: true }));
    return check(text.includes("\n\n") && !text.includes("\r"), () => "there are carriage returns");
  }),
  streamedCall: withModel(async (server, model) => {
    const { frames } = await server.post(
      COMPLETIONS,
      completion(model, {
        messages: ASK_TOOL,
        tools: [{ type: "function", function: TOOL }],
        max_tokens: 300,
        stream: true,
      }),
    );
    const calls = frames.map(({ value }) => at(value, "choices", 0, "delta", "tool_calls", 0))
      .filter(isRecord);
    if (calls.length === 0) return untried("the model called no tool");
    const [first] = calls;
    return check(
      calls.every(({ index }) => typeof index === "number") &&
        at(first, "function", "name") === TOOL.name,
      () => cutText(JSON.stringify(calls), MOST_SHOWN),
    );
  }),

  // Text completions
  textCompletion: withModel(async (server, model) => {
    const answer = await server.post("/v1/completions", {
      model,
      prompt: "Once upon a",
      max_tokens: 4,
    });
    return check(
      isGood(answer) && typeof at(answer.body, "choices", 0, "text") === "string",
      () => shownAnswer(answer),
    );
  }),
  textStream: withModel(async (server, model) => {
    const body = { model, prompt: "Once upon a", max_tokens: 4, stream: true };
    const { frames, text } = await server.post("/v1/completions", body);
    const texts = frames.filter(({ value }) => typeof at(value, "choices", 0, "text") === "string");
    return check(
      texts.length > 0 && texts.every(({ value }) => at(value, "object") === "text_completion"),
      () => cutText(text, MOST_SHOWN),
    );
  }),
  textLimit: withModel(async (server, model) => {
    const answer = await server.post("/v1/completions", {
      model,
      prompt: "Once upon a",
      max_tokens: 1,
    });
    const count = at(answer.body, "usage", "completion_tokens");
    return check(
      isGood(answer) && typeof count === "number" && count <= 2,
      () => shownAnswer(answer),
    );
  }),
  textSubstitution: substitutes(
    "/v1/completions",
    (model) => ({ model, prompt: "Once upon a", max_tokens: 4 }),
  ),

  // Embeddings
  base64: withEmbedder(async (server, model) => {
    const answer = await server.post("/v1/embeddings", {
      model,
      input: "hi",
      encoding_format: "base64",
    });
    return check(Array.isArray(at(answer.body, "data", 0, "embedding")), () => shownAnswer(answer));
  }),
  embeddingUsage: withEmbedder(async (server, model) => {
    const answer = await server.post("/v1/embeddings", { model, input: "hi" });
    const answered = at(answer.body, "model");
    const count = at(answer.body, "usage", "prompt_tokens");
    return check(
      typeof answered === "string" && isSameModel(answered, model) && count === 0,
      () => `model ${String(answered)}, ${String(count)} tokens`,
    );
  }),

  // Responses
  responses: withModel(async (server, model) => {
    const answer = await server.post("/v1/responses", response(model));
    if (server.listing !== "/api/v1/models" && isUnexpected(answer)) {
      return { ...HOLDS, what: "an older server" };
    }
    return check(
      isGood(answer) && Array.isArray(at(answer.body, "output")),
      () => shownAnswer(answer),
    );
  }),
  previousResponse: withResponses(async (server, model) => {
    const previous = "resp_0123456789abcdef0123456789abcdef0123456789abcdef";
    const answer = await server.post(
      "/v1/responses",
      response(model, { previous_response_id: previous }),
    );
    return check(codeOf(answer) === "previous_response_not_found", () => shownAnswer(answer));
  }),
  flatTools: withResponses(async (server, model) => {
    const nested = await server.post(
      "/v1/responses",
      response(model, { tools: [{ type: "function", function: TOOL }] }),
    );
    if (!isRefused(nested)) {
      return fails(`the tools of chat completions are accepted: ${shownAnswer(nested)}`);
    }
    const flat = await server.post(
      "/v1/responses",
      response(model, { tools: [{ type: "function", ...TOOL }] }),
    );
    return check(isGood(flat), () => shownAnswer(flat));
  }),
  responsesToolChoice: withResponses(async (server, model) => {
    const answer = await server.post(
      "/v1/responses",
      response(model, { tools: [{ type: "function", ...TOOL }], tool_choice: "auto" }),
    );
    return check(isGood(answer), () => shownAnswer(answer));
  }),
  responsesEnd: withResponses(async (server, model) => {
    const { frames, text } = await server.post("/v1/responses", response(model, { stream: true }));
    const types = frames.map(({ value }) => at(value, "type"));
    const ends = ["response.completed", "response.incomplete", "response.failed", "error"];
    return check(
      types.some((type) => ends.includes(String(type))),
      () => cutText(text.slice(-MOST_SHOWN), MOST_SHOWN),
    );
  }),
  responsesRepeat: withResponses(async (server, model) => {
    const { frames } = await server.post("/v1/responses", response(model, { stream: true }));
    const deltas = frames.filter(({ value }) => at(value, "type") === "response.output_text.delta")
      .map(({ value }) => String(at(value, "delta"))).join("");
    if (deltas === "") return untried("it answered without text");
    const last = frames.findLast(({ value }) =>
      /^response\.(completed|incomplete)$/.test(String(at(value, "type")))
    );
    const output = JSON.stringify(at(last?.value, "response", "output")) ?? "";
    return check(
      output.includes(JSON.stringify(deltas).slice(1, -1)),
      () => `the last event has ${cutText(output, MOST_SHOWN)}`,
    );
  }),
  responsesCall: withResponses(async (server, model) => {
    const { frames } = await server.post(
      "/v1/responses",
      response(model, {
        input: "What is the time in Paris? Use the tool.",
        tools: [{ type: "function", ...TOOL }],
        max_output_tokens: 300,
        stream: true,
      }),
    );
    const of = (type: string) => frames.filter(({ value }) => at(value, "type") === type);
    const done = of("response.function_call_arguments.done");
    const isCalled = done.length > 0 || of("response.function_call_arguments.delta").length > 0;
    if (!isCalled) return untried("the model called no tool");
    return check(
      typeof at(done[0]?.value, "arguments") === "string" &&
        of("response.function_call_arguments.delta").length === 0,
      () => "its arguments come in deltas",
    );
  }),
  responsesSubstitution: substitutes("/v1/responses", response),

  // Decisions
  decisions: decides("/v1/decisions", decision, (answer) => {
    const probability = at(answer.body, "answers", 0, "probability");
    return at(answer.body, "answers", 0, "name") === "angry" && typeof probability === "number";
  }),
  decisionScore: decides("/v1/decisions", decision, (answer) => {
    const { type, score } = fieldsOf(at(answer.body, "answers", 1));
    return type === "refusal" || (typeof score === "number" && score >= 0 && score <= 1);
  }),
  systemone: decides(
    "/v1/systemone",
    (model) => ({
      model,
      state: COMPLAINT,
      questions: { angry: { type: "noul", instructions: "Is the customer angry?" } },
    }),
    (answer) => isRecord(at(answer.body, "answers", "angry")),
  ),
  decisionType({ models }) {
    return models.some(({ type }) => type === "decision")
      ? HOLDS
      : untried("no model is listed as a decision model");
  },
  decisionsOfChatModel: withModel(async (server, model) => {
    const answer = await server.post("/v1/decisions", decision(model));
    if (isUnexpected(answer)) return untried("the server has no /v1/decisions");
    return check(isRefused(answer), () => `it was accepted: ${shownAnswer(answer)}`);
  }),

  // Messages
  messages: native(withModel(async (server, model) => {
    const answer = await server.post("/v1/messages", message(model));
    if (isUnexpected(answer)) return untried("the server may be older than 0.4.1");
    if (!isGood(answer) || at(answer.body, "type") !== "message") return fails(shownAnswer(answer));
    const { frames, text } = await server.post("/v1/messages", message(model, { stream: true }));
    return check(
      at(frames.at(-1)?.value, "type") === "message_stop",
      () => cutText(text.slice(-MOST_SHOWN), MOST_SHOWN),
    );
  })),
  messagesKey: native(withModel(async (server, model) => {
    const { apiToken } = server;
    if (apiToken === undefined) return untried("no API token is configured");
    const answer = await server.post("/v1/messages", message(model), {
      Authorization: "",
      "x-api-key": apiToken,
    });
    if (isUnexpected(answer)) return untried("the server may be older than 0.4.1");
    return check(isGood(answer), () => shownAnswer(answer));
  })),

  // Native chat
  async nativeChat(server) {
    const model = server.models.find(({ type, loaded }) => type === "llm" && loaded);
    if (model === undefined) return untried("no language model is loaded");
    const answer = await server.post("/api/v1/chat", nativeChat(model.id));
    if (server.listing !== "/api/v1/models") {
      return check(answer.status === 200 && isUnexpected(answer), () => shownAnswer(answer));
    }
    return check(
      isGood(answer) && Array.isArray(at(answer.body, "output")),
      () => shownAnswer(answer),
    );
  },
  nativeStrict: native(refuses("/api/v1/chat", (model) => nativeChat(model, { no_such_key: 1 }))),
  nativeParts: native(accepts(
    "/api/v1/chat",
    (model) => nativeChat(model, { input: [{ type: "text", content: "Say hi." }] }),
  )),
  nativeEnd: native(withModel(async (server, model) => {
    const { frames, text } = await server.post("/api/v1/chat", nativeChat(model, { stream: true }));
    const last = frames.at(-1);
    return check(
      (last?.event ?? at(last?.value, "type")) === "chat.end",
      () => cutText(text.slice(-MOST_SHOWN), MOST_SHOWN),
    );
  })),
  nativeTypes: native(withModel(async (server, model) => {
    const { frames } = await server.post("/api/v1/chat", nativeChat(model, { stream: true }));
    const odd = frames.find(({ event, value }) => event !== at(value, "type"));
    return check(
      frames.length > 0 && odd === undefined,
      () => `event ${odd?.event}, ${cutText(odd?.data ?? "", MOST_SHOWN)}`,
    );
  })),
  nativeUnknownModel: native(async (server) => {
    const answer = await server.post("/api/v1/chat", nativeChat(UNKNOWN_MODEL));
    return check(answer.status >= 400 && errorOf(answer) !== undefined, () => shownAnswer(answer));
  }),

  // Errors: checks on every answer so far
  errorShapes({ answers }) {
    const errors = answers.filter(({ status }) => status >= 400);
    if (errors.length === 0) return untried("no answer was an error");
    const odd = errors.find((answer) => errorOf(answer) === undefined);
    return check(odd === undefined, () => odd === undefined ? "" : shownAnswer(odd));
  },
  noRateLimit({ answers }) {
    const odd = answers.find(({ status }) => [429, 502, 503, 504].includes(status));
    return check(odd === undefined, () => odd === undefined ? "" : shownAnswer(odd));
  },
};

/** Trials that change the state of the server; they run last. */
export const CHANGING: ReadonlySet<string> = new Set(["loadKeys", "secondCopy", "downloadJob"]);
