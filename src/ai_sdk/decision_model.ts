/**
 * An LM Studio decision model as the AI SDK calls it.
 *
 * @module
 */

import type { DecisionAnswer, DecisionQuestion, DecisionResponse } from "../core/decisions.ts";
import type { ContentPart } from "../core/messages.ts";
import { NAME, splitOptions } from "./call.ts";
import { toSdkError, unsupported } from "./call_error.ts";
import { type ModelSource, substitutionOf } from "./language_model.ts";
import { toJson, toPart } from "./prompt.ts";
import type {
  DecisionModelV4,
  DecisionModelV4Answer,
  DecisionModelV4CallOptions,
  DecisionModelV4Input,
  DecisionModelV4Question,
  DecisionModelV4Result,
  DecisionModelV4StatePart,
  SharedV4Warning,
} from "./specification.ts";

/** The precision that `decide` checks; unless told of a lower one, the SDK expects more. */
const MOST_DECIMALS = 4;

/** A decision model; it calls `decide`. */
export class DecisionModel implements DecisionModelV4 {
  readonly specificationVersion = "v4";
  readonly provider: string = `${NAME}.decision`;
  readonly modelId: string;
  readonly supportedQuestionTypes: readonly DecisionModelV4Question["type"][] = [
    "boolean",
    "choice",
    "score",
  ];
  readonly #source: ModelSource;

  constructor(modelId: string, source: ModelSource) {
    this.modelId = modelId;
    this.#source = source;
  }

  async doDecide(call: DecisionModelV4CallOptions): Promise<DecisionModelV4Result> {
    const { own, options } = splitOptions(call, this.#source.defaults);
    const { provider } = this.#source;
    const input = [{ role: "user" as const, content: call.state.map(toInput) }];
    const questions = mapValues(call.questions, toQuestion);
    const model = this.modelId === "" ? {} : { model: this.modelId };
    try {
      const decision = await provider.decide({ ...own, ...model, input, questions }, options);
      return resultOf(decision, call, this.modelId);
    } catch (error) {
      throw toSdkError(error, { modelId: this.modelId, modelType: "decisionModel" });
    }
  }
}

function resultOf(
  { answers, model, usage, raw }: DecisionResponse,
  call: DecisionModelV4CallOptions,
  modelId: string,
): DecisionModelV4Result {
  const given = Object.values(answers);
  return {
    answers: mapValues(answers, (answer, name) => toSdkAnswer(answer, call.questions[name])),
    rounding: {
      probabilityDecimals: decimalsOf(given.flatMap(probabilitiesOf)),
      scoreDecimals: decimalsOf(
        given.flatMap((answer) => answer.type === "score" ? [answer.score] : []),
      ),
    },
    ...(usage === undefined
      ? {}
      : { usage: { inputTokens: usage.promptTokens, outputTokens: usage.completionTokens } }),
    warnings: warningsFor(call),
    providerMetadata: {
      [NAME]: { confidence: confidenceOf(answers), ...substitutionOf(modelId, model) },
    },
    response: { modelId: model, body: raw },
  };
}

function warningsFor(
  { maxOutputTokens, reasoning = "provider-default" }: DecisionModelV4CallOptions,
): SharedV4Warning[] {
  const features = [
    ...(maxOutputTokens === undefined ? [] : ["maxOutputTokens"]),
    ...(reasoning === "provider-default" || reasoning === "none" ? [] : ["reasoning"]),
  ];
  return features.map((feature) => ({
    type: "unsupported",
    feature,
    details: "A decision model writes no text.",
  }));
}

function toInput(part: DecisionModelV4StatePart): ContentPart {
  if (part.type !== "json") return toPart(part);
  return { type: "text", text: toJson(part.value, "the state") ?? "null" };
}

// --- Questions --------------------------------------------------------------------------------

function toQuestion(question: DecisionModelV4Question): DecisionQuestion {
  const { type } = question;
  const instructions = textOf(question.instructions);
  switch (type) {
    case "boolean": {
      // The server has no field for the meaning of an answer, so it becomes part of the question.
      const lines = [
        instructions,
        ...["true", "false"].flatMap((answer) => {
          const text = textOf(question.criteria?.[answer as "true" | "false"]);
          return text === "" ? [] : [`${answer}: ${text}`];
        }),
      ];
      return { type: "predicate", instructions: lines.filter((line) => line !== "").join("\n") };
    }
    case "choice":
      return {
        type,
        instructions: instructions || "Choose the option that fits best.",
        choices: Object.entries(question.criteria).map(([value, criterion]) => {
          const description = textOf(criterion);
          return description === "" ? { value } : { value, description };
        }),
      };
    case "score":
      return {
        type,
        instructions: instructions || "Choose the level that fits best.",
        levels: labelsOf(question.criteria),
      };
    default:
      throw unsupported(
        `${type} questions`,
        `Cannot ask a question of type ${type}: LM Studio answers boolean, choice and score questions.`,
      );
  }
}

function textOf(input: DecisionModelV4Input | null | undefined): string {
  if (input === null || input === undefined) return "";
  return typeof input === "string" ? input : toJson(input, "a question") ?? "";
}

/** Unique labels for the levels. */
function labelsOf(criteria: readonly (DecisionModelV4Input | null)[]): string[] {
  const texts = criteria.map(textOf);
  return texts.map((text, level) => {
    if (text === "") return String(level);
    return texts.indexOf(text) === texts.lastIndexOf(text) ? text : `${level}: ${text}`;
  });
}

// --- Answers ----------------------------------------------------------------------------------

function toSdkAnswer(
  answer: DecisionAnswer,
  question: DecisionModelV4Question | undefined,
): DecisionModelV4Answer {
  switch (answer.type) {
    case "predicate":
      return { type: "boolean", probability: withinOne(answer.probability) };
    case "choice":
      return {
        type: "choice",
        choice: String(answer.choice),
        ...distributionOf(answer.probabilities, question),
      };
    case "score":
      return {
        type: "score",
        score: Math.min(Math.max(answer.score, 0), sizeOf(question) - 1),
        ...distributionOf(answer.probabilities, question),
      };
    case "refusal":
      return { type: "refusal" };
  }
}

/** The distribution, if it is complete: the SDK refuses one that lacks an option. */
function distributionOf(
  probabilities: readonly { value: string | boolean | number; probability: number }[],
  question: DecisionModelV4Question | undefined,
): { probabilities?: Record<string, number> } {
  if (probabilities.length !== sizeOf(question)) return {};
  return {
    probabilities: Object.fromEntries(
      probabilities.map(({ value, probability }) => [String(value), withinOne(probability)]),
    ),
  };
}

/** Number of options or levels. */
function sizeOf(question: DecisionModelV4Question | undefined): number {
  return question?.type === "choice" || question?.type === "score"
    ? Object.keys(question.criteria).length
    : 0;
}

/** Engines add up in float32, so a sum may be slightly off. */
function withinOne(probability: number): number {
  return Math.min(Math.max(probability, 0), 1);
}

function probabilitiesOf(answer: DecisionAnswer): number[] {
  return "probabilities" in answer
    ? answer.probabilities.map(({ probability }) => probability)
    : [];
}

/** How many decimals the numbers have: the server does not say whether it rounds. */
function decimalsOf(numbers: readonly number[]): number {
  const decimals = numbers.map((number) => {
    const [, fraction = ""] = String(number).split(".");
    return String(number).includes("e") ? MOST_DECIMALS : fraction.length;
  });
  return Math.min(Math.max(0, ...decimals), MOST_DECIMALS);
}

function confidenceOf(answers: Readonly<Record<string, DecisionAnswer>>): Record<string, number> {
  return Object.fromEntries(
    Object.entries(answers).flatMap(([name, answer]) =>
      "confidence" in answer ? [[name, answer.confidence]] : []
    ),
  );
}

function mapValues<From, To>(
  values: Readonly<Record<string, From>>,
  map: (value: From, name: string) => To,
): Record<string, To> {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [name, map(value, name)]),
  );
}
