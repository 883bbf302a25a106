/**
 * Questions to decision models and their answers: what goes into `decide` and comes out.
 *
 * @module
 */

import type { Message } from "./messages.ts";
import type { Usage } from "./types.ts";

/** A statement about the input; the answer is how likely it is true. */
export interface PredicateQuestion {
  type: "predicate";
  /** The statement or yes-no question, such as `"Is the customer angry?"`. */
  instructions: string;
}

/** One of the choices of a question, by itself or with a description for the model. */
export type DecisionChoice = string | boolean | {
  readonly value: string | boolean;
  readonly description?: string | undefined;
};

/** A question whose answer is one of 2 to 255 choices. */
export interface ChoiceQuestion {
  type: "choice";
  /** What to choose by, such as `"Which team is this mail for?"`. */
  instructions: string;
  /** In the order in which the model sees them; no two are equal. */
  choices: readonly DecisionChoice[];
}

/** A level of a scale, by its label or with a description for the model. */
export type DecisionLevel = string | {
  readonly label: string;
  readonly description?: string | undefined;
};

/** A question whose answer is a place on a scale of at least 2 levels. */
export interface ScoreQuestion {
  type: "score";
  /** What to rate, such as `"How urgent is this?"`. */
  instructions: string;
  /** From the lowest to the highest; no two labels are equal. */
  levels: readonly DecisionLevel[];
}

/** A question for a decision model, by its `type`. */
export type DecisionQuestion = PredicateQuestion | ChoiceQuestion | ScoreQuestion;

/**
 * What is to be decided, and by what.
 *
 * @see https://lmstudio.ai/docs/developer/openai-compat/decisions
 */
export interface DecisionRequest<
  Questions extends Readonly<Record<string, DecisionQuestion>> = Readonly<
    Record<string, DecisionQuestion>
  >,
> {
  /** A decision model. Default: `decisionModel` of the options, else the one that is loaded. */
  model?: string | undefined;
  /** What the questions are about: a text, or messages as in a completion request, images included. */
  input: string | readonly (string | Message)[];
  /** 1 to 400 questions by names of your own; the answers have the same names. */
  questions: Questions;
}

/** The probability that a statement is true. */
export interface PredicateAnswer {
  type: "predicate";
  /** From 0 to 1. */
  probability: number;
}

/** The choice of the model. */
export interface ChoiceAnswer<Value extends string | boolean = string | boolean> {
  type: "choice";
  /** The value that was chosen. */
  choice: Value;
  /** How sure the model is, from 0 to 1. */
  confidence: number;
  /** In the order of the question's choices. */
  probabilities: { value: Value; probability: number }[];
}

/** A place on a scale. */
export interface ScoreAnswer {
  type: "score";
  /** The expected level, counted from 0; it may lie between two. */
  score: number;
  /** How sure the model is, from 0 to 1. */
  confidence: number;
  /** In the order of the question's levels; `value` is the level's number. */
  probabilities: { label: string; value: number; probability: number }[];
}

/** The model declined this question; the others have their answers. */
export interface RefusalAnswer {
  type: "refusal";
}

/** The values of a question's choices, as a union of literals where they are written as such. */
export type ChoiceValue<Question> = Question extends { choices: readonly (infer Choice)[] }
  ? Choice extends { readonly value: infer Value extends string | boolean } ? Value
  : Extract<Choice, string | boolean>
  : never;

/** The answer to a question, by the question's type; each may be a refusal. */
export type DecisionAnswer<Question extends DecisionQuestion = DecisionQuestion> =
  | (Question extends { type: "predicate" } ? PredicateAnswer
    : Question extends { type: "choice" } ? ChoiceAnswer<ChoiceValue<Question>>
    : ScoreAnswer)
  | RefusalAnswer;

/** The answers to all questions of one request. */
export interface DecisionResponse<
  Questions extends Readonly<Record<string, DecisionQuestion>> = Readonly<
    Record<string, DecisionQuestion>
  >,
> {
  /** By the names of the questions. */
  answers: { -readonly [Name in keyof Questions]: DecisionAnswer<Questions[Name]> };
  /** The model that answered, as the server names it. */
  model: string;
  /** Tokens read and written, where the server says. */
  usage?: Usage;
  /** The decoded body. */
  raw: unknown;
}
