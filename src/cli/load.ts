/** The command `load`. */

import {
  type Command,
  numberOf,
  providerOf,
  SERVER_OPTIONS,
  untilInterrupted,
} from "./arguments.ts";
import { shownOnOneLine } from "./terminal.ts";

/** The command. */
export const command: Command = {
  usage: "<model> [options]",
  about:
    "Loads a model, unless it is loaded already with as much context as is asked for. Prints the name to send " +
    "requests to. Needs LM Studio 0.4.",
  options: {
    ...SERVER_OPTIONS,
    context: { value: "TOKENS", help: "Tokens it is to hold: prompt and answer together." },
    json: { help: "Print what was loaded as JSON." },
  },
  examples: [
    ["load qwen/qwen3-8b", "As LM Studio loads it."],
    ["load qwen3-8b --context 32768", "With room for long prompts."],
  ],
  positionals: [1, 1],
  async run(given) {
    const { terminal, options, positionals: [name = ""] } = given;
    const started = Date.now();
    const lease = await untilInterrupted(given, async (signal) => {
      const show = () =>
        void terminal.progress(`Loading ${name} … ${Math.round((Date.now() - started) / 1000)} s`);
      show();
      const timer = setInterval(show, 1000);
      try {
        return await providerOf(given).models.ensureLoaded(
          name,
          { contextLength: numberOf(given, "context") },
          { signal },
        );
      } finally {
        clearInterval(timer);
      }
    });
    await terminal.endProgress();
    const { instanceId, alreadyLoaded, contextLength } = lease;
    if (options.json !== undefined) {
      await terminal.json({ instanceId, alreadyLoaded, contextLength });
      return 0;
    }
    await terminal.line(shownOnOneLine(instanceId));
    const size = contextLength === undefined ? "" : `, ${contextLength} tokens of context`;
    await terminal.note(
      alreadyLoaded
        ? `It was loaded already${size}.`
        : `Loaded in ${((Date.now() - started) / 1000).toFixed(1)} s${size}.`,
    );
    return 0;
  },
};
