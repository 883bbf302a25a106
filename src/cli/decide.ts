/** The `decide` command: typed questions to a decision model. */

import type { DecisionAnswer, DecisionQuestion } from "../core/decisions.ts";
import { isRecord, quote } from "../core/fields.ts";
import {
  type Command,
  type Given,
  providerOf,
  readJsonFile,
  SERVER_OPTIONS,
  untilInterrupted,
  UsageError,
} from "./arguments.ts";
import { alignColumns, readAll, shownOnOneLine } from "./terminal.ts";

export const command: Command = {
  usage: "[text…] [options]",
  about:
    "Asks a decision model questions about a text, given as arguments or piped in: whether a statement is true, " +
    "which of several choices fits, where on a scale something lies. Prints each answer and how sure the model is.",
  options: {
    ...SERVER_OPTIONS,
    model: {
      value: "NAME",
      short: "m",
      help: "Default: LMSTUDIO_DECISION_MODEL, then the loaded decision model.",
    },
    predicate: {
      value: "TEXT",
      help: "A statement or a yes-no question. Repeatable.",
    },
    choice: {
      value: "TEXT=A,B",
      help: "A question and its choices. Repeatable.",
    },
    score: {
      value: "TEXT=A,B",
      help: "A question and its levels, lowest first. Repeatable.",
    },
    questions: {
      value: "FILE",
      help: "A JSON file: questions by name, as `decide()` of the package accepts them.",
    },
    json: { help: "Print the answers with all probabilities as JSON." },
  },
  examples: [
    ['decide "I was charged twice." --predicate "Is the customer angry?"', "How likely it is."],
    ['decide --choice "Whose is it?=billing,support" < mail.txt', "One of two choices."],
  ],
  positionals: [0, Infinity],
  async run(given) {
    const { terminal, options, positionals } = given;
    const questions = questionsOf(given);
    const { input } = terminal.streams;
    const piped = input.isTerminal ? "" : (await readAll(input)).trimEnd();
    const text = [positionals.join(" "), piped].filter((part) => part !== "").join("\n\n");
    if (text === "") {
      throw new UsageError("Cannot run decide: give a text as arguments, or pipe one in.");
    }
    const { answers, model, usage } = await untilInterrupted(
      given,
      (signal) =>
        providerOf(given).decide({ model: options.model, input: text, questions }, { signal }),
    );
    if (options.json !== undefined) {
      await terminal.json({ model, answers, usage });
      return 0;
    }
    const rows = Object.entries(answers).map((
      [name, answer],
    ) => [shownOnOneLine(name), ...cellsOf(answer)]);
    for (const line of alignColumns(rows)) await terminal.line(line);
    return 0;
  },
};

/** Questions from the file and the flags. A question from a flag is named by its text. */
function questionsOf({ options, repeated }: Given): Record<string, DecisionQuestion> {
  const questions: Record<string, DecisionQuestion> = {};
  if (options.questions !== undefined) {
    const file = readJsonFile("the questions file", options.questions);
    if (!isRecord(file)) {
      throw new UsageError(
        `Cannot use the questions file ${quote(options.questions)}: it is not a JSON object.`,
      );
    }
    // The provider checks the questions and names the faulty field.
    Object.assign(questions, file);
  }
  for (const instructions of repeated.predicate ?? []) {
    questions[instructions] = { type: "predicate", instructions };
  }
  for (const text of repeated.choice ?? []) {
    const [instructions, choices] = split("choice", text);
    questions[instructions] = { type: "choice", instructions, choices };
  }
  for (const text of repeated.score ?? []) {
    const [instructions, levels] = split("score", text);
    questions[instructions] = { type: "score", instructions, levels };
  }
  if (Object.keys(questions).length === 0) {
    throw new UsageError(
      "Cannot run decide: ask something with --predicate, --choice, --score or --questions.",
    );
  }
  return questions;
}

/** Splits a text such as `Whose is it?=billing,support`. */
function split(option: string, text: string): [instructions: string, values: string[]] {
  const [, instructions = "", list = ""] = /^(.*?)=(.*)$/s.exec(text) ?? [];
  const values = list.split(",").map((value) => value.trim()).filter((value) => value !== "");
  if (instructions.trim() === "" || values.length < 2) {
    throw new UsageError(
      `Cannot use --${option} ${
        quote(text)
      }: it must be a question, "=" and two or more values separated by commas.`,
    );
  }
  return [instructions.trim(), values];
}

function cellsOf(answer: DecisionAnswer): string[] {
  const percent = (share: number): string => `${Math.round(share * 100)} %`;
  switch (answer.type) {
    case "predicate":
      return [answer.probability >= 0.5 ? "yes" : "no", `${percent(answer.probability)} likely`];
    case "choice":
      return [shownOnOneLine(String(answer.choice)), `${percent(answer.confidence)} sure`];
    case "score": {
      const nearest = answer.probabilities[Math.round(answer.score)]?.label ?? "";
      return [
        `${shownOnOneLine(nearest)} (${answer.score.toFixed(1)})`,
        `${percent(answer.confidence)} sure`,
      ];
    }
    case "refusal":
      return ["declined", ""];
  }
}
