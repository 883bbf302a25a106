/** The `load` command: loads a model unless it is loaded already. */

import {
  type Command,
  numberOf,
  providerOf,
  SERVER_OPTIONS,
  untilInterrupted,
} from "./arguments.ts";
import { shownOnOneLine } from "./terminal.ts";

export const command: Command = {
  usage: "<model> [options]",
  about:
    "Loads a model, unless it is already loaded with at least the requested context. Prints the name to use in " +
    "requests. Requires LM Studio 0.4.",
  options: {
    ...SERVER_OPTIONS,
    context: { value: "TOKENS", help: "Context length in tokens, prompt and answer together." },
    json: { help: "Print the loaded instance as JSON." },
  },
  examples: [
    ["load qwen/qwen3-8b", "With LM Studio's own settings."],
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
        ? `Already loaded${size}.`
        : `Loaded in ${((Date.now() - started) / 1000).toFixed(1)} s${size}.`,
    );
    return 0;
  },
};
