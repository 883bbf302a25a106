/**
 * Questions to decision models and their answers: requests and results of `decide`.
 *
 * @module
 */

import type { Message } from "./messages.ts";
import type { Usage } from "./types.ts";

/** Question for a decision model, discriminated by `type`. */
export type DecisionQuestion =
  | {
    /** Statement about the input; the answer is the probability that it is true. */
    type: "predicate";
    /** The statement or yes-no question, such as `"Is the customer angry?"`. */
    instructions: string;
  }
  | {
    /** Choice; the answer is one of several values. */
    type: "choice";
    /** What to decide, such as `"Which team is this mail for?"`. */
    instructions: string;
    /**
     * 2 to 255 distinct values, each optionally with a description for the model. The model sees them in this order.
     */
    choices: readonly (string | boolean | {
      /** Value returned if it is chosen. */
      readonly value: string | boolean;
      /** Tells the model when the value applies. */
      readonly description?: string | undefined;
    })[];
  }
  | {
    /** Rating; the answer is a position on a scale. */
    type: "score";
    /** What to rate, such as `"How urgent is this?"`. */
    instructions: string;
    /** 2 or more distinct labels from lowest to highest, each optionally with a description for the model. */
    levels: readonly (string | {
      /** Name of the level. */
      readonly label: string;
      /** Tells the model when the level applies. */
      readonly description?: string | undefined;
    })[];
  };

/**
 * Request to a decision model.
 *
 * @see https://lmstudio.ai/docs/developer/openai-compat/decisions
 */
export interface DecisionRequest<
  Questions extends Readonly<Record<string, DecisionQuestion>> = Readonly<
    Record<string, DecisionQuestion>
  >,
> {
  /**
   * Id of a decision model.
   * @default {the configured `decisionModel`, else the loaded decision model, else the only one}
   */
  model?: string | undefined;
  /** Subject of the questions: text, or messages as in a completion request, including images. */
  input: string | readonly (string | Message)[];
  /** 1 to 400 questions under names of your choice; the answers have the same names. */
  questions: Questions;
}

/** Answer to a question, depending on the question's type; any answer may be a refusal. */
export type DecisionAnswer<Question extends DecisionQuestion = DecisionQuestion> =
  | (Question extends { type: "predicate" } ? {
      /** Answer to a statement. */
      type: "predicate";
      /** Probability that the statement is true, from 0 to 1. */
      probability: number;
    }
    : Question extends {
      type: "choice";
      choices: readonly (infer Choice)[];
    } ? {
        /** Answer to a choice. */
        type: "choice";
        /** The chosen value. */
        choice: Choice extends { readonly value: infer Value extends string | boolean } ? Value
          : Extract<Choice, string | boolean>;
        /** Confidence of the model, from 0 to 1. */
        confidence: number;
        /** Probability of each choice, in the order of the question's choices. */
        probabilities: {
          value: Choice extends { readonly value: infer Value extends string | boolean } ? Value
            : Extract<Choice, string | boolean>;
          probability: number;
        }[];
      }
    : {
      /** Answer to a rating. */
      type: "score";
      /** Expected level, counted from 0; may lie between two levels. */
      score: number;
      /** Confidence of the model, from 0 to 1. */
      confidence: number;
      /** Probability of each level, in the order of the question's levels; `value` is the level's number. */
      probabilities: { label: string; value: number; probability: number }[];
    })
  | {
    /** Refusal: the model declined this question. Other questions still have their answers. */
    type: "refusal";
  };

/** Answers to all questions of a request. */
export interface DecisionResponse<
  Questions extends Readonly<Record<string, DecisionQuestion>> = Readonly<
    Record<string, DecisionQuestion>
  >,
> {
  /** Answers under the names of their questions. */
  answers: { -readonly [Name in keyof Questions]: DecisionAnswer<Questions[Name]> };
  /** The model that answered, as the server names it. */
  model: string;
  /** Tokens read and written, if the server reports them. */
  usage?: Usage;
  /** The decoded body. */
  raw: unknown;
}
