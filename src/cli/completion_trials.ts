/**
 * Trials of the routes that keep nothing: completions, text completions, embeddings and decisions.
 *
 * @module
 */

import { isRecord } from "../core/fields.ts";
import { isSameModel } from "../core/model_names.ts";
import { cutText } from "../core/plain_text.ts";
import {
  accepts,
  type Answer,
  at,
  check,
  fails,
  hasResponses,
  HI,
  HOLDS,
  isGood,
  isRefused,
  isUnexpected,
  MOST_SHOWN,
  type Outcome,
  refuses,
  type Server,
  shownAnswer,
  substitutes,
  TOOL,
  type Trial,
  untried,
  withModel,
} from "./trial.ts";

const COMPLETIONS = "/v1/chat/completions";
const ASK_TOOL = [{ role: "user", content: "What is the time in Paris? Use the tool." }];

function completion(model: string, more: object = {}): object {
  return { model, messages: HI, max_tokens: 8, temperature: 0, ...more };
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

function withEmbedder(trial: (server: Server, model: string) => Promise<Outcome>): Trial {
  return (server) => {
    const model = server.models.find(({ type, loaded }) => type === "embedding" && loaded);
    return model === undefined ? untried("no embedding model is loaded") : trial(server, model.id);
  };
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

/** Index of the frame with the finish reason. */
function finishAt({ frames }: Answer): number {
  return frames.findIndex(({ value }) =>
    typeof at(value, "choices", 0, "finish_reason") === "string"
  );
}

/** By the name that the list of assumptions uses. */
export const COMPLETION_TRIALS: Readonly<Record<string, Trial>> = {
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
    if (!isRefused(refused)) return fails(`json_object was accepted: ${shownAnswer(refused)}`);
    const schema = {
      type: "object",
      properties: { color: { type: "string" } },
      required: ["color"],
    };
    const answer = await server.post(
      COMPLETIONS,
      completion(model, {
        max_tokens: 200,
        response_format: {
          type: "json_schema",
          json_schema: { name: "color", strict: true, schema },
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
      return fails("usage was sent without being requested");
    }
    if (usageAt === -1) {
      return await hasResponses(server, model)
        ? fails("no usage was sent although it was requested")
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
};
