/**
 * Trials of the routes whose answers consist of items: responses, messages and the native chat.
 *
 * @module
 */

import { cutText } from "../core/plain_text.ts";
import {
  accepts,
  at,
  check,
  codeOf,
  errorOf,
  fails,
  hasResponses,
  HI,
  HOLDS,
  isGood,
  isRefused,
  isUnexpected,
  MOST_SHOWN,
  native,
  type Outcome,
  refuses,
  response,
  type Server,
  shownAnswer,
  substitutes,
  TOOL,
  type Trial,
  UNKNOWN_MODEL,
  untried,
  withModel,
} from "./trial.ts";

function nativeChat(model: string, more: object = {}): object {
  return { model, input: "Say hi.", store: false, max_output_tokens: 8, ...more };
}

function message(model: string, more: object = {}): object {
  return { model, messages: HI, max_tokens: 8, ...more };
}

/** Trial of the responses route, skipped if the server is too old to have it. */
function withResponses(trial: (server: Server, model: string) => Promise<Outcome>): Trial {
  return withModel(async (server, model) => {
    return await hasResponses(server, model)
      ? await trial(server, model)
      : untried("the server has no /v1/responses");
  });
}

/** By the name that the list of assumptions uses. */
export const CONVERSATION_TRIALS: Readonly<Record<string, Trial>> = {
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
      return fails(`the tools of chat completions were accepted: ${shownAnswer(nested)}`);
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
};
