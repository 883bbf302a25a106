/**
 * Trials of the server itself: its address, identity, listings, management and errors.
 *
 * @module
 */

import { connect } from "node:net";
import { isLoopback } from "../core/base_url.ts";
import { isRecord } from "../core/fields.ts";
import { cutText } from "../core/plain_text.ts";
import {
  type Answer,
  at,
  check,
  codeOf,
  errorOf,
  fails,
  HOLDS,
  isGood,
  isRefused,
  isUnexpected,
  MOST_SHOWN,
  native,
  type Outcome,
  type Server,
  shownAnswer,
  type Trial,
  UNKNOWN_MODEL,
  untried,
} from "./trial.ts";

function loading(trial: (server: Server, model: string) => Promise<Outcome>): Trial {
  return native((server) => {
    if (!server.mayLoad) return untried("it loads a model, which needs --load");
    const model = server.models.find(({ type, loaded }) => type === "llm" && !loaded) ??
      server.models.find(({ type }) => type === "llm");
    return model === undefined ? untried("there is no language model") : trial(server, model.id);
  });
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

/** By the name that the list of assumptions uses. */
export const SERVER_TRIALS: Readonly<Record<string, Trial>> = {
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

  // Management
  loadKeys: loading(async (server, model) => {
    const unknown = await server.post("/api/v1/models/load", { model, no_such_key: 1 });
    if (!isRefused(unknown)) return fails(`an unknown key was accepted: ${shownAnswer(unknown)}`);
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
