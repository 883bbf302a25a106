/**
 * Questions to decision models and their answers: what goes into `decide` and comes out.
 *
 * @module
 */

import type { Message } from "./messages.ts";
import type { Usage } from "./types.ts";

/** A question for a decision model, by its `type`. */
export type DecisionQuestion =
  | {
    /** A statement about the input; the answer is how likely it is true. */
    type: "predicate";
    /** The statement or yes-no question, such as `"Is the customer angry?"`. */
    instructions: string;
  }
  | {
    /** The answer is one of some choices. */
    type: "choice";
    /** What to choose by, such as `"Which team is this mail for?"`. */
    instructions: string;
    /**
     * 2 to 255 values, each by itself or with a description for the model; no two are equal. The model sees them in this
     * order.
     */
    choices: readonly (string | boolean | {
      /** Given back as the choice. */
      readonly value: string | boolean;
      /** Says to the model when it fits. */
      readonly description?: string | undefined;
    })[];
  }
  | {
    /** The answer is a place on a scale. */
    type: "score";
    /** What to rate, such as `"How urgent is this?"`. */
    instructions: string;
    /**
     * 2 or more labels from the lowest to the highest, each by itself or with a description for the model; no two are
     * equal.
     */
    levels: readonly (string | {
      /** Name of the level. */
      readonly label: string;
      /** Says to the model when it fits. */
      readonly description?: string | undefined;
    })[];
  };

/**
 * A request to a decision model.
 *
 * @see https://lmstudio.ai/docs/developer/openai-compat/decisions
 */
export interface DecisionRequest<
  Questions extends Readonly<Record<string, DecisionQuestion>> = Readonly<
    Record<string, DecisionQuestion>
  >,
> {
  /**
   * A decision model.
   * @default {`decisionModel` of the configuration, else the loaded decision model, else the only one}
   */
  model?: string | undefined;
  /** What the questions are about: a text, or messages as in a completion request, images included. */
  input: string | readonly (string | Message)[];
  /** 1 to 400 questions by names of your own; the answers have the same names. */
  questions: Questions;
}

/** The answer to a question, by the question's type; each may be a refusal. */
export type DecisionAnswer<Question extends DecisionQuestion = DecisionQuestion> =
  | (Question extends { type: "predicate" } ? {
      /** The probability of a statement. */
      type: "predicate";
      /** From 0 to 1. */
      probability: number;
    }
    : Question extends {
      type: "choice";
      choices: readonly (infer Choice)[];
    } ? {
        /** One of the choices. */
        type: "choice";
        /** The value that was chosen. */
        choice: Choice extends { readonly value: infer Value extends string | boolean } ? Value
          : Extract<Choice, string | boolean>;
        /** How sure the model is, from 0 to 1. */
        confidence: number;
        /** In the order of the question's choices. */
        probabilities: {
          value: Choice extends { readonly value: infer Value extends string | boolean } ? Value
            : Extract<Choice, string | boolean>;
          probability: number;
        }[];
      }
    : {
      /** A place on a scale. */
      type: "score";
      /** The expected level, counted from 0; it may lie between two. */
      score: number;
      /** How sure the model is, from 0 to 1. */
      confidence: number;
      /** In the order of the question's levels; `value` is the level's number. */
      probabilities: { label: string; value: number; probability: number }[];
    })
  | {
    /** The model declined this question; the others have their answers. */
    type: "refusal";
  };

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
