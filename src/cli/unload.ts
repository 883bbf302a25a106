/** The `unload` command: unloads a model, one of its instances, or everything. */

import {
  type Command,
  providerOf,
  SERVER_OPTIONS,
  untilInterrupted,
  UsageError,
} from "./arguments.ts";
import { shownOnOneLine } from "./terminal.ts";

export const command: Command = {
  usage: "<model> [options]",
  about:
    "Unloads all instances of a model, or a single instance given by its id. Prints the ids of the unloaded " +
    "instances. Requires LM Studio 0.4.",
  options: {
    ...SERVER_OPTIONS,
    all: { help: "Unload every model instead of naming one." },
    json: { help: "Print the ids as JSON." },
  },
  examples: [
    ["unload qwen/qwen3-8b", "All instances of it."],
    ["unload qwen/qwen3-8b:2", "The second instance."],
    ["unload --all", "Everything that is loaded."],
  ],
  positionals: [0, 1],
  async run(given) {
    const { terminal, options, positionals: [name] } = given;
    if ((name === undefined) === (options.all === undefined)) {
      throw new UsageError("Cannot run unload: name a model, or use --all.");
    }
    const unloaded = await untilInterrupted(given, async (signal) => {
      const provider = providerOf(given);
      if (name !== undefined) return await provider.models.unload(name, { signal });
      const models = (await provider.listModels({ signal })).filter(({ loaded }) =>
        loaded === true
      );
      const ids: string[] = [];
      for (const { id } of models) ids.push(...await provider.models.unload(id, { signal }));
      return ids;
    });
    if (options.json !== undefined) await terminal.json(unloaded);
    else if (unloaded.length === 0) await terminal.note("Nothing was loaded.");
    else for (const id of unloaded) await terminal.line(shownOnOneLine(id));
    return 0;
  },
};
