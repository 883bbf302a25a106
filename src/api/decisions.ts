/**
 * Decisions: typed questions about an input, through `POST /v1/decisions` or `POST /v1/systemone`. The two routes only
 * spell the same questions and answers differently. LM Studio documents little of either, so both follow the clients
 * of their inventors (npm `openai` and `@typesafe-ai/sdk`).
 *
 * @see https://lmstudio.ai/docs/developer/openai-compat/decisions
 * @see https://lmstudio.ai/docs/developer/typesafe-compat/systemone
 * @module
 */

import type {
  DecisionAnswer,
  DecisionQuestion,
  DecisionRequest,
  DecisionResponse,
} from "../core/decisions.ts";
import {
  anything,
  arrayOf,
  describe,
  nonEmptyText,
  type RefusalMaker,
  required,
  type Rule,
  type Table,
  table,
  variants,
} from "../core/checks.ts";
import { isRecord, quote } from "../core/fields.ts";
import type { ErrorContext } from "../transport/error_mapping.ts";
import { malformedResponse } from "../transport/transport.ts";
import { textOf } from "./answer_parts.ts";
import { decodeResponsesUsage } from "./usage.ts";
import { encodeMessages, messages } from "./completion_request.ts";
import type { FetchImage } from "./images.ts";
import type { Route } from "./route.ts";

type ChoiceQuestion = Extract<DecisionQuestion, { type: "choice" }>;
type DecisionChoice = ChoiceQuestion["choices"][number];
type ScoreQuestion = Extract<DecisionQuestion, { type: "score" }>;
type DecisionLevel = ScoreQuestion["levels"][number];

const MOST_QUESTIONS = 400;
const MOST_CHOICES = 255;
/** Engines sum probabilities in float32. */
const ROUNDING = 1e-4;

// --- Checks -----------------------------------------------------------------------------------

/** Rule for a list of two or more items, all with different values. */
function listOf<Item>(
  rule: Rule<Item>,
  valueOf: (item: Item) => string | boolean,
  most: number,
): Rule<Item[]> {
  const list = arrayOf(rule);
  return (given, of, refusal) => {
    const items = list(given, of, refusal);
    if (items.length < 2) throw refusal(`${of} has one entry but needs at least two`);
    if (items.length > most) {
      throw refusal(`${of} has ${items.length} entries; at most ${most} are allowed`);
    }
    const values = items.map(valueOf);
    const double = values.find((value, index) => values.indexOf(value) !== index);
    if (double !== undefined) throw refusal(`${of} has ${describe(double)} twice`);
    return items;
  };
}

const choiceValue: Rule<string | boolean> = (value, of, refusal) =>
  typeof value === "boolean" ? value : nonEmptyText(value, of, refusal);
const describedChoice = table<Exclude<DecisionChoice, string | boolean>>({
  value: required(choiceValue),
  description: nonEmptyText,
});
const choice: Rule<DecisionChoice> = (value, of, refusal) =>
  isRecord(value) ? describedChoice(value, of, refusal) : choiceValue(value, of, refusal);
const describedLevel = table<Exclude<DecisionLevel, string>>({
  label: required(nonEmptyText),
  description: nonEmptyText,
});
const level: Rule<DecisionLevel> = (value, of, refusal) =>
  isRecord(value) ? describedLevel(value, of, refusal) : nonEmptyText(value, of, refusal);

const asking = { type: anything, instructions: required(nonEmptyText) };
const question: Rule<DecisionQuestion> = variants<DecisionQuestion>("type", {
  predicate: table<Extract<DecisionQuestion, { type: "predicate" }>>(asking),
  choice: table<ChoiceQuestion>({
    ...asking,
    choices: required(listOf(choice, (item) => toChoice(item).value, MOST_CHOICES)),
  }),
  score: table<ScoreQuestion>({
    ...asking,
    levels: required(listOf(level, (item) => toLevel(item).label, Infinity)),
  }),
});

const questions: Rule<Record<string, DecisionQuestion>> = (given, of, refusal) => {
  if (!isRecord(given)) throw refusal(`${of} is ${describe(given)}, not an object of questions`);
  const names = Object.keys(given);
  if (names.length === 0) throw refusal(`${of} cannot be empty`);
  if (names.length > MOST_QUESTIONS) {
    throw refusal(`${of} has ${names.length} questions; a call can ask at most ${MOST_QUESTIONS}`);
  }
  const checked = names.map((name) => {
    if (name.trim() === "") throw refusal(`${of} has a question with an empty name`);
    return [name, question(given[name], `${of}.${name}`, refusal)] as const;
  });
  return Object.fromEntries(checked);
};

/** A decision request. */
export const DECISION_REQUEST: Table<DecisionRequest> = table<DecisionRequest>({
  model: nonEmptyText,
  input: required(messages),
  questions: required(questions),
}, { whole: "the request is" });

// --- Shared by both routes --------------------------------------------------------------------

/** A checked request whose input is encoded as the messages of a completion. */
interface WrittenDecision {
  readonly input: string | readonly Record<string, unknown>[];
  readonly questions: Readonly<Record<string, DecisionQuestion>>;
}

/** Encodes the input, with images as `data:` URLs: neither route fetches images. */
async function writeDecision(
  { input, questions }: DecisionRequest,
  refusal: RefusalMaker,
  fetchImage: FetchImage,
): Promise<WrittenDecision> {
  if (typeof input === "string") return { input, questions };
  return {
    input: await encodeMessages(input, refusal, fetchImage, {
      withReasoning: false,
      isTraced: false,
      field: "input",
    }),
    questions,
  };
}

/** How one of the two routes spells questions and answers. */
export interface DecisionSpelling {
  readonly path: string;
  /** The body, without the model. */
  readonly encode: (written: WrittenDecision, refusal: RefusalMaker) => Record<string, unknown>;
  /** The answer to each question, by its name; `undefined` if the body has no answers. */
  readonly answersIn: (
    body: Record<string, unknown>,
    names: readonly string[],
  ) => Map<string, unknown> | undefined;
  /** The answer to one question; its numbers are not checked yet. */
  readonly read: (answer: Record<string, unknown>, question: DecisionQuestion) => ReadAnswer;
}

/** An answer as both routes send it; probabilities by the index of the choice or level. */
interface ReadAnswer {
  readonly type: DecisionAnswer["type"] | undefined;
  /** Probability of a predicate, or confidence in a choice or score. */
  readonly sureness?: unknown;
  readonly score?: unknown;
  /** Index of the choice; -1 if it was not offered. */
  readonly chosen?: number;
  /** By index; -1 for a choice or level that was not offered. */
  readonly probabilities?: readonly (readonly [index: number, probability: unknown])[];
}

// --- `/v1/decisions` --------------------------------------------------------------------------

/** OpenAI's spelling. */
export const DECISIONS: DecisionSpelling = {
  path: "/v1/decisions",
  encode: ({ input, questions }) => ({
    input: typeof input === "string" ? input : input.flatMap(toItems),
    questions: Object.entries(questions).map(([name, question]) => ({
      type: question.type,
      name,
      instructions: question.instructions,
      ...(question.type === "choice" ? { choices: question.choices.map(toChoice) } : {}),
      ...(question.type === "score" ? { levels: question.levels.map(toLevel) } : {}),
    })),
  }),
  answersIn({ answers }, names) {
    if (!Array.isArray(answers)) return undefined;
    // Answers come in the order of the questions: one without a name is identified by its position.
    return new Map(answers.map((answer, index) => {
      const name = isRecord(answer) && typeof answer.name === "string" ? answer.name : names[index];
      return [name ?? `number ${index + 1}`, answer];
    }));
  },
  read(answer, question) {
    if (answer.type === "refusal") return { type: "refusal" };
    if (answer.type !== question.type) return { type: undefined };
    const { probabilities, confidence, probability, score, choice } = answer;
    if (question.type === "predicate") return { type: "predicate", sureness: probability };
    const list = Array.isArray(probabilities) ? probabilities.filter(isRecord) : [];
    if (question.type === "choice") {
      const values = question.choices.map((given) => toChoice(given).value);
      return {
        type: "choice",
        sureness: confidence,
        chosen: values.indexOf(choice as string),
        probabilities: list.map((item) =>
          [values.indexOf(item.value as string), item.probability] as const
        ),
      };
    }
    const labels = question.levels.map((given) => toLevel(given).label);
    return {
      type: "score",
      sureness: confidence,
      score,
      probabilities: list.map((item) =>
        [labels.indexOf(item.label as string), item.probability] as const
      ),
    };
  },
};

/** Converts a completion message to items of this route, where tool calls and results are items of their own. */
function toItems(message: Record<string, unknown>): Record<string, unknown>[] {
  const { role, content, tool_calls: calls, tool_call_id: callId } = message;
  if (role === "tool") return [{ type: "function_call_output", call_id: callId, output: content }];
  const items: Record<string, unknown>[] = [];
  if (content !== "" || !Array.isArray(calls)) {
    items.push({ type: "message", role, content: toParts(content) });
  }
  for (const call of Array.isArray(calls) ? calls : []) {
    const { name, arguments: text } = call.function;
    items.push({ type: "function_call", call_id: call.id, name, arguments: text });
  }
  return items;
}

function toParts(content: unknown): unknown {
  if (!Array.isArray(content)) return content;
  return content.map((part) =>
    part.type === "text"
      ? { type: "input_text", text: part.text }
      : { type: "input_image", image_url: part.image_url.url }
  );
}

function toChoice(choice: DecisionChoice): { value: string | boolean; description?: string } {
  if (typeof choice !== "object") return { value: choice };
  const { value, description } = choice;
  return { value, ...(description === undefined ? {} : { description }) };
}

function toLevel(level: DecisionLevel): { label: string; description?: string } {
  if (typeof level !== "object") return { label: level };
  const { label, description } = level;
  return { label, ...(description === undefined ? {} : { description }) };
}

// --- `/v1/systemone` --------------------------------------------------------------------------

/** TypeSafe's spelling, which Ollama and llama.cpp serve as well. */
export const SYSTEM_ONE: DecisionSpelling = {
  path: "/v1/systemone",
  encode: ({ input, questions }, refusal) => ({
    state: typeof input === "string" ? input : toState(input),
    questions: Object.fromEntries(
      Object.entries(questions).map(([name, question]) => [name, {
        type: question.type === "predicate" ? "noul" : question.type,
        instructions: question.instructions,
        ...(question.type === "choice"
          ? { criteria: choiceCriteria(question, name, refusal) }
          : {}),
        ...(question.type === "score" ? { criteria: question.levels.map(levelCriterion) } : {}),
      }]),
    ),
  }),
  answersIn({ answers }) {
    return isRecord(answers) ? new Map(Object.entries(answers)) : undefined;
  },
  read(answer, question) {
    if (answer.type === "refusal") return { type: "refusal" };
    const { noul, confidence, score, choice } = answer;
    const probabilities = isRecord(answer.probabilities)
      ? Object.entries(answer.probabilities)
      : [];
    switch (question.type) {
      case "predicate":
        return { type: answer.type === "noul" ? "predicate" : undefined, sureness: noul };
      case "choice": {
        const labels = question.choices.map((given) => String(toChoice(given).value));
        return {
          type: answer.type === "choice" ? "choice" : undefined,
          sureness: confidence,
          chosen: labels.indexOf(String(choice)),
          probabilities: probabilities.map(([label, value]) =>
            [labels.indexOf(label), value] as const
          ),
        };
      }
      case "score":
        return {
          type: answer.type === "score" ? "score" : undefined,
          sureness: confidence,
          score,
          probabilities: probabilities.map(([label, value]) =>
            [indexOfLevel(label, question), value] as const
          ),
        };
    }
  },
};

/** Messages as JSON. LM Studio does not document images here; a `data:` URL in place of the image is an assumption. */
function toState(messages: readonly Record<string, unknown>[]): unknown {
  const [only] = messages;
  const isOne = messages.length === 1 && only?.role === "user";
  return isOne ? contentOf(only) : messages.map((message) => ({
    ...message,
    content: contentOf(message),
  }));
}

function contentOf({ content }: Record<string, unknown>): unknown {
  if (!Array.isArray(content)) return content;
  return content.map((part) => part.type === "text" ? part.text : part.image_url.url);
}

function choiceCriteria(
  { choices }: ChoiceQuestion,
  name: string,
  refusal: RefusalMaker,
): Record<string, string | null> {
  const criteria = new Map<string, string | null>();
  for (const choice of choices) {
    const { value, description = null } = toChoice(choice);
    const label = String(value);
    if (criteria.has(label)) {
      const state = `questions.${name}.choices has ${value} both as a string and as a boolean`;
      throw refusal(
        `${state}, but this server accepts only strings`,
        "invalid_request",
        "Give one of the two a different value.",
      );
    }
    criteria.set(label, description);
  }
  return Object.fromEntries(criteria);
}

function levelCriterion(level: DecisionLevel): string {
  const { label, description } = toLevel(level);
  return description === undefined ? label : `${label}: ${description}`;
}

/** The server identifies levels by number; names are accepted, too. */
function indexOfLevel(label: string, { levels }: ScoreQuestion): number {
  const index = /^\d{1,3}$/.test(label) ? Number(label) : -1;
  if (index >= 0 && index < levels.length) return index;
  return levels.findIndex((level) => toLevel(level).label === label);
}

// --- Decoding ---------------------------------------------------------------------------------

/** Makes the route for one call: its answers can only be read with its questions. */
export function decisionRoute(
  spelling: DecisionSpelling,
): Route<DecisionRequest, DecisionResponse> {
  let asked: WrittenDecision["questions"] = {};
  return {
    path: spelling.path,
    modelType: "decision",
    policy: () => "stateless",
    check: (input, refusal) => DECISION_REQUEST(input, "", refusal),
    async encode(request, { refusal, fetchImage }) {
      asked = request.questions;
      return spelling.encode(await writeDecision(request, refusal, fetchImage), refusal);
    },
    decode: (value, { context }) => decodeDecision(spelling, asked, value, context),
    answeredBy: ({ model }) => model,
  };
}

/** Decodes an answer. @throws {ParseError} a question has no answer of its type, or an answer has no question. */
function decodeDecision(
  spelling: DecisionSpelling,
  questions: WrittenDecision["questions"],
  value: unknown,
  context: ErrorContext,
): DecisionResponse {
  const malformed = (state: string): Error => malformedResponse(state, value, context);
  const names = Object.keys(questions);
  const given = isRecord(value) ? spelling.answersIn(value, names) : undefined;
  if (!isRecord(value) || given === undefined) throw malformed("the response has no `answers`");
  const answers: Record<string, DecisionAnswer> = {};
  for (const [name, question] of Object.entries(questions)) {
    if (!given.has(name)) throw malformed(`the question ${quote(name)} has no answer`);
    const answer = given.get(name);
    const read = isRecord(answer) ? spelling.read(answer, question) : undefined;
    const decoded = read && decodeAnswer(read, question);
    if (decoded === undefined) {
      throw malformed(`the answer to the question ${quote(name)} is not a valid ${question.type}`);
    }
    // Not by assignment: a question may be named `__proto__`.
    Object.defineProperty(answers, name, {
      value: decoded,
      enumerable: true,
      writable: true,
      configurable: true,
    });
  }
  const unasked = [...given.keys()].find((name) => !Object.hasOwn(questions, name));
  if (unasked !== undefined) throw malformed("the response answers a question that was not asked");
  const usage = decodeResponsesUsage(value.usage);
  return {
    answers,
    model: textOf(value.model) || (context.model ?? ""),
    ...(usage === undefined ? {} : { usage }),
    raw: value,
  };
}

/** Decodes one answer; `undefined` if it does not fit its question. */
function decodeAnswer(read: ReadAnswer, question: DecisionQuestion): DecisionAnswer | undefined {
  if (read.type === "refusal") return { type: "refusal" };
  const sureness = within(read.sureness, 1);
  if (read.type !== question.type || sureness === undefined) return undefined;
  if (question.type === "predicate") return { type: "predicate", probability: sureness };
  const probabilities = byIndex(read.probabilities ?? []);
  if (probabilities === undefined) return undefined;
  if (question.type === "choice") {
    const values = question.choices.map((choice) => toChoice(choice).value);
    const choice = values[read.chosen ?? -1];
    if (choice === undefined) return undefined;
    return {
      type: "choice",
      choice,
      confidence: sureness,
      probabilities: probabilities.map(([index, probability]) => ({
        value: values[index] ?? "",
        probability,
      })),
    };
  }
  const score = within(read.score, question.levels.length - 1);
  if (score === undefined) return undefined;
  const labels = question.levels.map((level) => toLevel(level).label);
  return {
    type: "score",
    score,
    confidence: sureness,
    probabilities: probabilities.map(([value, probability]) => ({
      label: labels[value] ?? "",
      value,
      probability,
    })),
  };
}

/** Probabilities in the order of the question; `undefined` if one is invalid, or for a value that was not offered. */
function byIndex(
  probabilities: NonNullable<ReadAnswer["probabilities"]>,
): [number, number][] | undefined {
  const sorted: [number, number][] = [];
  for (const [index, given] of probabilities) {
    const probability = within(given, 1);
    if (index < 0 || probability === undefined) return undefined;
    sorted.push([index, probability]);
  }
  return sorted.sort(([a], [b]) => a - b);
}

/** Clamps a number to 0 … `most`; `undefined` if it is outside by more than a rounding error. */
function within(value: unknown, most: number): number | undefined {
  const isMeant = typeof value === "number" && value >= -ROUNDING && value <= most + ROUNDING;
  return isMeant ? Math.min(Math.max(value, 0), most) : undefined;
}
