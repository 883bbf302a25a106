/**
 * Compares this module's cost with that of other clients, in processor time of the client:
 *
 *     npx --yes deno@2.9 task bench [--rows=stream,import] [--runtimes=deno,bun] [--clients=ours,openai]
 *                                   [--rounds=9] [--quick] [--json] [--write] [--check]
 *
 * `--quick` checks the bars in about five minutes, `--json` prints every measurement, `--write` writes the tables and
 * the plot to `docs/`, `--check` fails if importing costs more than `tests/weight.json` allows.
 *
 * Every measurement runs in its own process, which imports one client and reports its processor time. The
 * clients take turns within a round, and ratios are computed per round: machines are noisy, so only the
 * ratios are comparable.
 */
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { run } from "../tests/runtimes/command.ts";
import { bundleKilobytes } from "./bundle.ts";
import { checkImports } from "./import_weight.ts";
import { drawPlot } from "./plot.ts";
import { compareWithBars, formatTables, type Results, type Run } from "./report.ts";
import { CLIENT_NAMES, type ClientName, CLIENTS, quick, type Row, ROWS } from "./rows.ts";
import { type Runtime, type RuntimeName, RUNTIMES, setUp, type Workshop } from "./setup.ts";

const HERE = fileURLToPath(new URL("./", import.meta.url));
const DOCS = new URL("../docs/", import.meta.url);
const ROUNDS = 9;
const QUICK_ROUNDS = 3;
const ROW_IDS = ROWS.map(({ id }) => id);
/** Clients that the bars need; a quick run measures only these. */
const BAR_CLIENTS: readonly ClientName[] = [
  "ours",
  "openai",
  "ai-sdk",
  "ours-ai-sdk",
  "ollama",
  "hand-written",
  "full-listing",
];
const BAR_RUNTIMES: readonly RuntimeName[] = ["deno", "node20", "bun"];
/** Many times the duration of the slowest measurement. */
const LIMIT_MS = 120_000;
const BEGIN = "<!-- results: deno task bench --write -->";
const END = "<!-- end of results -->";

interface Options {
  rows: Row[];
  runtimes: RuntimeName[];
  clients: ClientName[];
  rounds: number;
  isQuick: boolean;
  json: boolean;
  write: boolean;
  check: boolean;
}

if (import.meta.main) {
  const options = readOptions(Deno.args);
  if (typeof options === "string") {
    console.error(options);
    process.exitCode = 2;
  } else {
    await bench(options);
  }
}

function readOptions(args: string[]): Options | string {
  try {
    const { values } = parseArgs({
      args,
      options: {
        rows: { type: "string" },
        runtimes: { type: "string" },
        clients: { type: "string" },
        rounds: { type: "string" },
        quick: { type: "boolean", default: false },
        json: { type: "boolean", default: false },
        write: { type: "boolean", default: false },
        check: { type: "boolean", default: false },
      },
    });
    const ids = choose("row", values.rows, ROW_IDS, ROW_IDS);
    const clients = values.quick ? BAR_CLIENTS : CLIENT_NAMES;
    const names = choose("client", values.clients, CLIENT_NAMES, clients);
    const rows = ROWS.filter(({ id }) => ids.includes(id)).map((row) => ({
      ...row,
      clients: row.clients.filter((client) => names.includes(client)),
    }));
    const rounds = Number(values.rounds ?? (values.quick ? QUICK_ROUNDS : ROUNDS));
    if (!Number.isInteger(rounds) || rounds < 1) {
      return `Cannot run ${values.rounds} rounds: expected a positive whole number.`;
    }
    return {
      rows: values.quick ? rows.map(quick) : rows,
      runtimes: choose(
        "runtime",
        values.runtimes,
        RUNTIMES,
        values.quick ? BAR_RUNTIMES : RUNTIMES,
      ),
      clients: names,
      rounds,
      isQuick: values.quick,
      json: values.json,
      write: values.write,
      check: values.check,
    };
  } catch (error) {
    return `Cannot read the flags: ${error instanceof Error ? error.message : error}`;
  }
}

function choose<T extends string>(
  what: string,
  list: string | undefined,
  known: readonly T[],
  unlessNamed: readonly T[],
): T[] {
  if (list === undefined) return [...unlessNamed];
  return list.split(",").map((name) => {
    const found = known.find((one) => one === name);
    if (found === undefined) {
      throw new Error(`there is no ${what} ${name}, only ${known.join(", ")}.`);
    }
    return found;
  });
}

async function bench(options: Options): Promise<void> {
  note("Installing the other clients, packing this module …");
  const workshop = await setUp(options.runtimes);
  const problems = new Set<string>();
  const runs = await measureAll(options, workshop, problems);
  const runtimes = workshop.runtimes.map(({ name, version }) => ({ name, version }));
  const results: Results = {
    command: commandOf(options),
    date: new Date().toISOString().slice(0, 10),
    versions: workshop.versions,
    runtimes,
    rounds: options.rounds,
    runs,
  };
  const tables = formatTables(results, options.rows);
  console.log(options.json ? JSON.stringify(results, null, 2) : tables);
  if (options.write) await writeDocs(results, options.rows, tables);
  if (options.check) { for (const problem of await checkImports(runs)) problems.add(problem); }
  for (const problem of problems) note(problem);
  if (problems.size > 0) process.exitCode = 1;
}

/** State that all measurements share. */
interface Bench {
  url: string;
  workshop: Workshop;
  known: Map<string, Measured | string>;
  problems: Set<string>;
}

async function measureAll(
  { rows, rounds }: Options,
  workshop: Workshop,
  problems: Set<string>,
): Promise<Run[]> {
  const server = await startServer(workshop, rows);
  const bench: Bench = { url: server.url, workshop, known: new Map(), problems };
  const runs: Run[] = [];
  const startedAt = performance.now();
  try {
    for (let round = 0; round < rounds; round++) {
      for (const row of rows) {
        note(`round ${round + 1} of ${rounds}: ${row.id}`);
        const places = row.method === "bundle" ? [undefined] : workshop.runtimes;
        // An import is short, so it is repeated, each time as a round of its own.
        const repeats = row.method === "import" ? row.calls : 1;
        for (const runtime of places) {
          for (let repeat = 0; repeat < repeats; repeat++) {
            runs.push(...await measureRow(row, runtime, round * repeats + repeat, bench));
          }
        }
      }
    }
  } finally {
    server.stop();
  }
  note(`measured in ${((performance.now() - startedAt) / 60_000).toFixed(1)} minutes`);
  return runs;
}

/** Measures every client once; each round begins with a different one. A bundle is the same in every round. */
async function measureRow(
  row: Row,
  runtime: Runtime | undefined,
  round: number,
  { url, workshop, known, problems }: Bench,
): Promise<Run[]> {
  const runs: Run[] = [];
  const start = round % Math.max(1, row.clients.length);
  const lengths = new Map<ClientName, number>();
  for (const client of [...row.clients.slice(start), ...row.clients.slice(0, start)]) {
    const key = { row: row.id, client, round };
    if (runtime === undefined) {
      if (round > 0) continue;
      const value = await bundleKilobytes(client, workshop.folder);
      runs.push({ ...key, runtime: "any", value });
      continue;
    }
    const task = taskOf(row, client, url);
    const ask = () => measure(task, runtime, workshop.folder);
    // The first import fills the runtime's caches, so it does not count.
    if (row.method === "import" && round === 0) await ask();
    // Two rows may use the same run.
    const name = `${runtime.name} ${round} ${task}`;
    const result = known.get(name) ?? await ask();
    known.set(name, result);
    if (typeof result === "string") {
      problems.add(`Cannot measure ${client} on ${runtime.name}, ${row.id}: ${result}`);
      continue;
    }
    if (typeof result.checksum === "number") lengths.set(client, result.checksum);
    runs.push({ ...key, runtime: runtime.name, value: result[row.value]! / row.divisor });
  }
  if (new Set(lengths.values()).size > 1) {
    const told = [...lengths].map(([client, length]) => `${client} ${length}`).join(", ");
    problems.add(`Cannot compare the clients on ${row.id}: they read different amounts (${told}).`);
  }
  return runs;
}

function taskOf(
  { method, pace, warmUp, calls, atOnce }: Row,
  client: ClientName,
  url: string,
): string {
  const { file, specifier } = CLIENTS[client];
  const server = `${url}/${pace.join("-")}`;
  return JSON.stringify({ client: file, specifier, method, url: server, warmUp, calls, atOnce });
}

interface Measured {
  cpuUs?: number;
  peakBytes?: number;
  /** Missing if the client returns no number. */
  checksum?: number | null;
}

/** Runs one measurement. @returns the result, or the error text: one failure should leave a gap, not end an hour's run. */
async function measure(
  task: string,
  { command }: Runtime,
  folder: string,
): Promise<Measured | string> {
  const script = [...command, "measure.mjs", task];
  const { success, stdout, stderr } = await run(script, { cwd: folder, limitMs: LIMIT_MS });
  const line = stdout.trim().split("\n").at(-1) ?? "";
  return success && line.startsWith("{") ? JSON.parse(line) : `${stdout}${stderr}`;
}

async function startServer(
  { node }: Workshop,
  rows: readonly Row[],
): Promise<{ url: string; stop(): void }> {
  const streams = rows.filter(({ method }) => method === "stream").map(({ pace }) => pace);
  const child = new Deno.Command(node, {
    args: [`${HERE}server.mjs`, JSON.stringify(streams)],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const { value, done } = await lines.read();
  if (done) throw new Error("Cannot start the server: it ended before printing its port.");
  return {
    url: `http://127.0.0.1:${value.trim()}`,
    stop: () => child.kill(),
  };
}

/** The command that repeats this run. */
function commandOf({ rows, runtimes, clients, rounds, isQuick }: Options): string {
  const parts = ["deno task bench"];
  if (rows.length < ROWS.length) parts.push(`--rows=${rows.map(({ id }) => id).join(",")}`);
  const usual = isQuick ? BAR_CLIENTS.length : CLIENT_NAMES.length;
  const usualRuntimes = isQuick ? BAR_RUNTIMES.length : RUNTIMES.length;
  if (runtimes.length !== usualRuntimes) parts.push(`--runtimes=${runtimes.join(",")}`);
  if (clients.length !== usual) parts.push(`--clients=${clients.join(",")}`);
  if (isQuick) parts.push("--quick");
  if (rounds !== (isQuick ? QUICK_ROUNDS : ROUNDS)) parts.push(`--rounds=${rounds}`);
  return parts.join(" ");
}

async function writeDocs(results: Results, rows: readonly Row[], tables: string): Promise<void> {
  const page = new URL("performance.md", DOCS);
  const picture = new URL("performance.svg", DOCS);
  const text = await Deno.readTextFile(page);
  const [before, rest] = text.split(BEGIN);
  const after = rest?.split(END)[1];
  if (before === undefined || after === undefined) {
    throw new Error(`Cannot write docs/performance.md: the markers for the results are missing.`);
  }
  const plot = "![Cost of this module relative to each bar](performance.svg)";
  await Deno.writeTextFile(page, `${before}${BEGIN}\n\n${plot}\n\n${tables}\n${END}${after}`);
  await Deno.writeTextFile(picture, drawPlot(compareWithBars(results, rows)));
  const written = [page, picture].map((url) => fileURLToPath(url));
  const { success, stderr } = await run([Deno.execPath(), "fmt", ...written], { cwd: HERE });
  if (!success) throw new Error(stderr);
}

/** Prints progress to stderr, separate from the results. */
function note(text: string): void {
  console.error(text);
}
