/**
 * `POST /v1/decisions` and `POST /v1/systemone` of the fake: scripted answers, or the least surprising ones. LM
 * Studio's answers on these routes are not published; the shapes are those of npm `openai` and `@typesafe-ai/sdk`, and
 * the wording of errors is assumed.
 */

import type { ModelStore } from "./fake_models.ts";
import type { FakeDecision, FakeLMStudioOptions } from "./fake_options.ts";
import {
  type Answer,
  type Call,
  decodeBody,
  isObject,
  jsonAnswer,
  type JsonObject,
  refuse,
  type Route,
} from "./fake_wire.ts";

/** An assumption: the documentation names no release. */
const SINCE = "0.4.20";
/** Probability of the chosen option; the rest is shared by the others. */
const CERTAINTY = 0.9;

/** A question, in one form for both routes. */
interface Question {
  readonly name: string | null;
  readonly type: "predicate" | "choice" | "score";
  /** The values of a choice or the labels of a score's levels. */
  readonly options: readonly (string | boolean)[];
}

/** The routes for decisions. */
export function decisionRoutes(
  models: ModelStore,
  decisions: FakeLMStudioOptions["decisions"],
): Route[] {
  const decide = async (
    call: Call,
    input: string,
    read: (body: JsonObject) => Question[],
    write: (questions: readonly Question[], answers: readonly FakeDecision[]) => unknown,
  ): Promise<Answer> => {
    const body = decodeBody(call);
    if (body[input] === undefined) throw refuse(400, `'${input}' is required`);
    const questions = read(body);
    const { model } = await models.acquire(body.model, "decision", call.signal);
    const script = typeof decisions === "function" ? await decisions(body) : decisions;
    const answers = questions.map((question) => scripted(question, script ?? {}));
    return jsonAnswer({
      model: model.id,
      answers: write(questions, answers),
      usage: usageOf(call.text),
    });
  };
  return [
    {
      method: "POST",
      path: "/v1/decisions",
      since: SINCE,
      handle: (call) => decide(call, "input", readList, writeList),
    },
    {
      method: "POST",
      path: "/v1/systemone",
      since: SINCE,
      handle: (call) => decide(call, "state", readRecord, writeRecord),
    },
  ];
}

/** The scripted answer, or the default: probability 0.5, the first option, the lowest level. */
function scripted(
  { name, type, options }: Question,
  script: Readonly<Record<string, FakeDecision>>,
): FakeDecision {
  const answer = name === null || !Object.hasOwn(script, name) ? undefined : script[name];
  if (answer !== undefined) return answer;
  return type === "predicate" ? 0.5 : type === "choice" ? options[0] ?? null : 0;
}

function usageOf(text: string): JsonObject {
  const read = Math.ceil(text.length / 4);
  return {
    input_tokens: read,
    input_tokens_details: { cache_write_tokens: 0, cached_tokens: 0 },
    output_tokens: 0,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: read,
  };
}

/** Probabilities of the options, with most of it on the chosen one. */
function sharesOf(options: readonly unknown[], chosen: number): number[] {
  const rest = (1 - CERTAINTY) / Math.max(1, options.length - 1);
  return options.map((_, index) => index === chosen ? CERTAINTY : rest);
}

/** Probabilities of the levels, with the score as their expected value. */
function weightsOf(options: readonly unknown[], score: number): number[] {
  return options.map((_, level) => Math.max(0, 1 - Math.abs(level - score)));
}

// --- `/v1/decisions` --------------------------------------------------------------------------

function readList({ questions }: JsonObject): Question[] {
  if (!Array.isArray(questions) || questions.length === 0) throw badQuestions();
  return questions.map((question) => {
    if (!isObject(question) || question.instructions === undefined) throw badQuestions();
    const { type, choices, levels } = question;
    const name = typeof question.name === "string" ? question.name : null;
    if (type === "predicate") return { name, type, options: [] };
    if (type === "choice") return { name, type, options: valuesOf(choices, "value") };
    if (type === "score") return { name, type, options: valuesOf(levels, "label") };
    throw badQuestions();
  });
}

function valuesOf(list: unknown, field: "value" | "label"): (string | boolean)[] {
  if (!Array.isArray(list) || list.length < 2) throw badQuestions();
  return list.map((item) => {
    const value = isObject(item) ? item[field] : undefined;
    if (typeof value !== "string" && typeof value !== "boolean") throw badQuestions();
    return value;
  });
}

function writeList(
  questions: readonly Question[],
  answers: readonly FakeDecision[],
): JsonObject[] {
  return questions.map(({ name, type, options }, at) => {
    const answer = answers[at] ?? null;
    if (answer === null) return { type: "refusal", name };
    if (type === "predicate") return { type, name, probability: answer };
    if (type === "choice") {
      const shares = sharesOf(options, options.indexOf(answer as string));
      return {
        type,
        name,
        choice: answer,
        confidence: CERTAINTY,
        probabilities: options.map((value, index) => ({ value, probability: shares[index] })),
      };
    }
    const weights = weightsOf(options, Number(answer));
    return {
      type,
      name,
      score: answer,
      confidence: CERTAINTY,
      probabilities: options.map((label, value) => ({ label, probability: weights[value], value })),
    };
  });
}

// --- `/v1/systemone` --------------------------------------------------------------------------

function readRecord({ questions }: JsonObject): Question[] {
  if (!isObject(questions) || Object.keys(questions).length === 0) throw badQuestions();
  return Object.entries(questions).map(([name, question]) => {
    if (!isObject(question)) throw badQuestions();
    const { type, criteria } = question;
    if (type === "noul") return { name, type: "predicate", options: [] };
    if (type === "choice" && isObject(criteria)) {
      return { name, type, options: Object.keys(criteria) };
    }
    if (type === "score" && Array.isArray(criteria) && criteria.length >= 2) {
      return { name, type, options: criteria.map((level) => String(level)) };
    }
    throw badQuestions();
  });
}

function writeRecord(
  questions: readonly Question[],
  answers: readonly FakeDecision[],
): JsonObject {
  return Object.fromEntries(questions.map(({ name, type, options }, at) => {
    const answer = answers[at] ?? null;
    return [name ?? "", writeOne(type, options, answer)];
  }));
}

function writeOne(
  type: Question["type"],
  options: Question["options"],
  answer: FakeDecision,
): JsonObject {
  if (answer === null) return { type: "refusal" };
  if (type === "predicate") return { type: "noul", noul: answer };
  const labels = options.map(String);
  const isChoice = type === "choice";
  const shares = isChoice
    ? sharesOf(labels, labels.indexOf(String(answer)))
    : weightsOf(labels, Number(answer));
  const keys = isChoice ? labels : labels.map((_, level) => String(level));
  return {
    type,
    ...(isChoice ? { choice: String(answer) } : {
      score: answer,
      legend: Object.fromEntries(labels.map((label, level) => [level, label])),
    }),
    confidence: CERTAINTY,
    probabilities: Object.fromEntries(keys.map((key, index) => [key, shares[index]])),
  };
}

function badQuestions(): Error {
  return refuse(400, "Invalid 'questions'");
}
