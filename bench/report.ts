/** Formats the measurements as Markdown tables, which are also readable on a terminal. */
import bars from "./bars.json" with { type: "json" };
import { type ClientName, CLIENTS, type Row } from "./rows.ts";
import type { RuntimeName } from "./setup.ts";
import { type Estimate, estimate, ratios, type Rounds } from "./statistics.ts";

/** Where something was measured; `any` is for bundles, which are the same for all runtimes. */
export type Place = RuntimeName | "any";

/** One measurement, in the unit of its row. */
export interface Run {
  row: string;
  runtime: Place;
  client: ClientName;
  round: number;
  value: number;
}

export interface Results {
  command: string;
  date: string;
  versions: Record<string, string>;
  runtimes: { name: RuntimeName; version: string }[];
  rounds: number;
  runs: Run[];
}

/** Limit for this module: a ratio to another client or, without one, a number in the row's unit. */
interface Bar {
  row: string;
  /** Which of our clients it limits. @default {"ours"} */
  of?: string;
  against?: string;
  deno?: number;
  node20?: number;
  node24?: number;
  bun?: number;
  any?: number;
}

/** A bar, and this module's result against it. */
export interface Standing {
  row: Row;
  of: ClientName;
  against: ClientName | undefined;
  runtime: Place;
  bar: number;
  ours: Estimate;
}

const KNOWN_BARS: readonly Bar[] = bars;

/** Results for every bar that was measured. */
export function compareWithBars({ runs }: Results, rows: readonly Row[]): Standing[] {
  const standings: Standing[] = [];
  for (const { row: id, of: subject = "ours", against, ...limits } of KNOWN_BARS) {
    const row = rows.find((row) => row.id === id);
    if (row === undefined) continue;
    const of = row.clients.find((client) => client === subject);
    const peer = row.clients.find((client) => client === against);
    if (of === undefined) continue;
    for (const [place, bar] of Object.entries(limits)) {
      const runtime = place as Place;
      const values = valuesOf(runs, id, runtime, of);
      const numbers = against === undefined
        ? [...values.values()]
        : ratios(values, peer === undefined ? new Map() : valuesOf(runs, id, runtime, peer));
      if (numbers.length === 0) continue;
      standings.push({ row, of, against: peer, runtime, bar, ours: estimate(numbers) });
    }
  }
  return standings;
}

/** Formats all tables: first the bars, then each row with every client. */
export function formatTables(results: Results, rows: readonly Row[]): string {
  const parts = [formatConditions(results), formatBars(results, rows)];
  for (const row of rows) parts.push(formatRow(results, row));
  return parts.filter((part) => part !== "").join("\n\n") + "\n";
}

function formatConditions({ command, date, versions, runtimes, rounds }: Results): string {
  const names = [
    ...runtimes.map(({ name, version }) => `${name.replace(/\d+$/, "")} ${version}`),
    ...Object.entries(versions).map(([name, version]) => `${name} ${version}`),
  ];
  return `Measured on ${date} by \`${command}\`, ${rounds} round${rounds === 1 ? "" : "s"}: ${
    names.join(", ")
  }.`;
}

function formatBars(results: Results, rows: readonly Row[]): string {
  const standings = compareWithBars(results, rows);
  if (standings.length === 0) return "";
  const lines = standings.map(({ row, of, against, runtime, bar, ours }) => [
    of === "ours" ? row.title : `${row.title}, by ${CLIENTS[of].label}`,
    against === undefined ? `${row.unit}` : `÷ ${CLIENTS[against].label}`,
    runtime,
    formatEstimate(ours),
    `≤ ${formatNumber(bar)}`,
    ours.high <= bar ? "met" : ours.low > bar ? "missed" : "undecided",
  ]);
  const head = ["", "", "runtime", "@patinox/lmstudio", "bar", ""];
  return `### Against the bars\n\n${formatTable(head, lines)}`;
}

function formatRow({ runs, runtimes }: Results, row: Row): string {
  const places: Place[] = row.method === "bundle" ? ["any"] : runtimes.map(({ name }) => name);
  const head = ["", ...places.flatMap((place) => [`${place}, ${row.unit}`, "÷"])];
  const lines = row.clients.map((client) => [
    CLIENTS[client].label,
    ...places.flatMap((place) => {
      const values = valuesOf(runs, row.id, place, client);
      if (values.size === 0) return ["", ""];
      const shares = ratios(values, valuesOf(runs, row.id, place, row.against));
      return [
        formatNumber(estimate([...values.values()]).median),
        client === row.against || shares.length === 0 ? "" : formatEstimate(estimate(shares)),
      ];
    }),
  ]);
  const title = `${row.title[0]?.toUpperCase()}${row.title.slice(1)}`;
  return `### ${title}\n\nRatios (÷) are relative to ${CLIENTS[row.against].label}.\n\n${
    formatTable(head, lines)
  }`;
}

export function valuesOf(
  runs: readonly Run[],
  row: string,
  place: Place,
  client: ClientName,
): Rounds {
  return new Map(
    runs
      .filter((run) => run.row === row && run.runtime === place && run.client === client)
      .map(({ round, value }) => [round, value]),
  );
}

function formatEstimate({ median, low, high }: Estimate): string {
  const range = low === high ? "" : ` [${formatNumber(low)}–${formatNumber(high)}]`;
  return formatNumber(median) + range;
}

/** Formats a number with three digits; more would be noise. */
export function formatNumber(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

function formatTable(head: string[], lines: string[][]): string {
  const all = [head, ...lines];
  const widths = head.map((_, column) =>
    Math.max(3, ...all.map((line) => (line[column] ?? "").length))
  );
  const format = (cells: string[]): string =>
    `| ${widths.map((width, column) => (cells[column] ?? "").padEnd(width)).join(" | ")} |`;
  const rule = `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`;
  return [format(head), rule, ...lines.map(format)].join("\n");
}
