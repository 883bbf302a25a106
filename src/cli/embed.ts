/** The `embed` command: texts to vectors. */

import {
  type Command,
  numberOf,
  providerOf,
  SERVER_OPTIONS,
  untilInterrupted,
  UsageError,
} from "./arguments.ts";
import { readLines } from "./terminal.ts";

export const command: Command = {
  usage: "[text…] [options]",
  about:
    "Turns texts into vectors. Each argument is one text; without arguments, each piped-in line is. Prints one line " +
    "of JSON per text: an array of numbers.",
  options: {
    ...SERVER_OPTIONS,
    model: {
      value: "NAME",
      help: "Default: LMSTUDIO_EMBEDDING_MODEL, then the loaded embedding model.",
    },
    batch: { value: "COUNT", help: "Texts per request. Default: 64." },
    json: { help: "Print one object with the model, the vectors and the usage." },
  },
  examples: [
    ['embed "to be or not to be"', "One vector."],
    ["embed --json < lines.txt", "One vector per line."],
  ],
  positionals: [0, Infinity],
  async run(given) {
    const { terminal, options, positionals } = given;
    const input = [...positionals];
    if (input.length === 0) {
      if (terminal.streams.input.isTerminal) {
        throw new UsageError("Cannot run embed: give texts as arguments, or pipe in lines.");
      }
      for await (const line of readLines(terminal.streams.input)) if (line !== "") input.push(line);
    }
    const { model, embeddings, usage } = await untilInterrupted(
      given,
      (signal) =>
        providerOf(given).embed({
          model: options.model,
          input,
          batchSize: numberOf(given, "batch"),
          onProgress: (done, total) => void terminal.progress(`${done} of ${total} texts`),
        }, { signal }),
    );
    await terminal.endProgress();
    if (options.json !== undefined) await terminal.json({ model, embeddings, usage });
    else for (const vector of embeddings) await terminal.line(JSON.stringify(vector));
    return 0;
  },
};
