/** The `models` command lists the models and shows which are loaded. */

import type { ModelInfo } from "../core/types.ts";
import { type Command, providerOf, SERVER_OPTIONS, untilInterrupted } from "./arguments.ts";
import { alignColumns, shownOnOneLine, type Terminal } from "./terminal.ts";

export const command: Command = {
  usage: "[options]",
  about:
    "Lists the server's models: which are loaded and with what context, their size, their quantization and what " +
    "they can do. Loads nothing.",
  options: {
    ...SERVER_OPTIONS,
    loaded: { help: "Only the loaded ones." },
    json: { help: "Print everything that is known about them as JSON." },
  },
  examples: [
    ["models", "All models."],
    ["models --loaded --json", "The loaded ones, for a program."],
  ],
  async run(given) {
    const { terminal, options } = given;
    const all = await untilInterrupted(given, (signal) => providerOf(given).listModels({ signal }));
    const models = options.loaded === undefined ? all : all.filter(({ loaded }) => loaded === true);
    if (options.json !== undefined) {
      await terminal.json(models.map(({ raw: _, ...model }) => model));
      return 0;
    }
    if (models.length === 0) {
      await terminal.note(
        all.length === 0
          ? "The server has no models: download one with `lms get <model>`."
          : "No model is loaded: load one with `lms load <model>`.",
      );
      return 0;
    }
    await showTable(models, terminal);
    return 0;
  },
};

/** Column of the table. In a narrow window, the columns with the highest rank are dropped first. */
interface Column {
  readonly head: string;
  readonly rank: number;
  readonly cell: (model: ModelInfo) => string;
}

const COLUMNS: readonly Column[] = [
  { head: "MODEL", rank: 0, cell: ({ id }) => shownOnOneLine(id) },
  { head: "LOADED", rank: 1, cell: loadedCell },
  { head: "CONTEXT", rank: 2, cell: contextCell },
  {
    head: "SIZE",
    rank: 3,
    cell: ({ sizeBytes }) => sizeBytes === undefined ? "" : bytes(sizeBytes),
  },
  { head: "QUANT", rank: 4, cell: ({ quantization = "" }) => shownOnOneLine(quantization) },
  { head: "CAN", rank: 5, cell: abilities },
];

async function showTable(models: readonly ModelInfo[], terminal: Terminal): Promise<void> {
  for (let columns = [...COLUMNS];; columns = columns.slice(0, -1)) {
    const rows = [
      columns.map(({ head }) => head),
      ...models.map((model) => columns.map(({ cell }) => cell(model))),
    ];
    const lines = alignColumns(rows);
    const isWide = lines.some((line) => line.length > terminal.columns);
    // A pipe has no width.
    if (terminal.isWatched && isWide && columns.length > 1) continue;
    const [head = "", ...rest] = lines;
    await terminal.line(terminal.style("dim", head));
    for (const [at, line] of rest.entries()) {
      await terminal.line(models[at]?.loaded === true ? terminal.style("bold", line) : line);
    }
    return;
  }
}

function loadedCell({ loaded, instances = [] }: ModelInfo): string {
  if (loaded === undefined) return "?";
  if (!loaded) return "-";
  return instances.length > 1 ? `yes, ${instances.length}x` : "yes";
}

function contextCell({ loadedContextLength: loaded, maxContextLength: most }: ModelInfo): string {
  if (most === undefined) return loaded === undefined ? "" : String(loaded);
  return loaded === undefined ? `of ${most}` : `${loaded} of ${most}`;
}

function abilities({ type, capabilities }: ModelInfo): string {
  if (type !== "llm") return shownOnOneLine(type);
  const { supportsTools, trainedForTools, supportsVision, supportsReasoning } = capabilities;
  return [
    ...(trainedForTools ?? supportsTools ? ["tools"] : []),
    ...(supportsVision ? ["images"] : []),
    ...(supportsReasoning ? ["reasoning"] : []),
  ].join(", ");
}

/** Formats a number of bytes for people. */
export function bytes(count: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = count;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${value >= 100 || unit === 0 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}
