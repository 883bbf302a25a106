/**
 * The fault matrix on Deno from the source, and on Node and Bun from the packed module: every fault of `faults.mjs` with
 * every method of `methods.mjs`. Writes what was run into `docs/reliability.md`; with `--check` it only says what fails.
 * Without that it also runs the mutants of `mutants.ts`. Then what `flood.mjs` takes of memory. One line for each runtime; exit code 1 if a cell fails.
 */
import process from "node:process";
import { fileURLToPath } from "node:url";
import { must, run } from "../runtimes/command.ts";
import { type Executable, findBun, findNode } from "../runtimes/executables.ts";
import { pack } from "../runtimes/pack.ts";
import { measure, type MemoryCase } from "./measure.ts";
import { CASES } from "./memory.mjs";
import { runMutants } from "./mutants.ts";
import { faultsTable, kindsTable, table } from "./table.mjs";

const HERE = fileURLToPath(new URL("./", import.meta.url));
const DOCUMENT = new URL("../../docs/reliability.md", import.meta.url);
const LIMIT_MS = 5 * 60_000;

/** What became of one cell. */
export interface Cell {
  readonly fault: string;
  readonly method: string;
  readonly problems: readonly string[];
}

interface Runtime {
  readonly name: string;
  /** Before the script. */
  readonly command: readonly string[];
  readonly folder: string;
}

interface Ran {
  readonly name: string;
  readonly cells: number;
  readonly passed: number;
  readonly seconds: number;
}

if (import.meta.main) {
  const isCheck = Deno.args.includes("--check");
  const project = await Deno.makeTempDir({ prefix: "lmstudio-matrix-" });
  try {
    await install(project);
    const rows: Ran[] = [];
    const runtimes = await listRuntimes(project);
    for (const runtime of runtimes) rows.push(await runOn(runtime));
    const memory = await measureMemory(runtimes);
    const mutants = isCheck ? [] : await runMutants();
    for (const { line, isFound } of mutants) {
      console.log(`mutant: ${line}`);
      if (!isFound) process.exitCode = 1;
    }
    if (!isCheck && process.exitCode !== 1) {
      await writeSection(
        faultsSection(rows, mutants.map(({ line }) => line.split(": ")[0] ?? line)),
      );
      await writeSection(hostileSection(runtimes, memory));
    }
  } finally {
    await Deno.remove(project, { recursive: true });
  }
}

async function install(project: string): Promise<void> {
  const tarball = `${project}/package.tgz`;
  await pack(tarball);
  await Deno.writeTextFile(
    `${project}/package.json`,
    JSON.stringify({ private: true, type: "module" }),
  );
  await must(["npm", "install", "--no-audit", "--no-fund", tarball], { cwd: project });
  for await (const { name } of Deno.readDir(HERE)) {
    if (name.endsWith(".mjs")) await Deno.copyFile(HERE + name, `${project}/${name}`);
  }
}

async function listRuntimes(project: string): Promise<Runtime[]> {
  const named = (name: string, found: Executable): Runtime => {
    if ("problem" in found) throw new Error(`Cannot find ${name}: ${found.problem.stderr}`);
    return { name: `${name} ${found.version}`, command: [found.path], folder: project };
  };
  return [
    {
      name: `Deno ${Deno.version.deno}`,
      command: [Deno.execPath(), "run", "-A"],
      folder: HERE,
    },
    named("Node", await findNode(20, HERE)),
    named("Node", await findNode(24, HERE)),
    named("Bun", await findBun(HERE)),
  ];
}

/** Runs all cells; says which fail, and why. */
async function runOn({ name, command, folder }: Runtime): Promise<Ran> {
  const script = [...command, `${folder}/main.mjs`];
  const outcome = await run(script, { cwd: folder, limitMs: LIMIT_MS });
  if (!outcome.success) {
    process.exitCode = 1;
    console.log(`${name}: FAILED\n${outcome.stderr}`);
    return { name, cells: 0, passed: 0, seconds: outcome.seconds };
  }
  const cells: Cell[] = JSON.parse(outcome.stdout);
  const failed = cells.filter(({ problems }) => problems.length > 0);
  if (failed.length > 0) process.exitCode = 1;
  const passed = cells.length - failed.length;
  console.log(`${name}: ${passed} of ${cells.length} cells (${outcome.seconds.toFixed(1)} s)`);
  for (const { fault, method, problems } of failed) {
    console.log(`    ${method}, ${fault}: ${problems.join("\n        ")}`);
  }
  return { name, cells: cells.length, passed, seconds: outcome.seconds };
}

/** Measures each case on each runtime; gives rows for the document. */
async function measureMemory(runtimes: readonly Runtime[]): Promise<string[][]> {
  const cases: Readonly<Record<string, MemoryCase>> = CASES;
  const rows: string[][] = [];
  const problems: string[] = [];
  for (const [name, [, , end, maxMib]] of Object.entries(cases)) {
    const row = [name, `\`${end}\``, `${maxMib} MiB`];
    for (const { name: runtime, command, folder } of runtimes) {
      const { mib, problem } = await measure(command, folder, name);
      if (problem !== undefined) problems.push(`${runtime}: ${problem}`);
      row.push(`${mib} MiB`);
    }
    rows.push(row);
  }
  console.log(`memory: ${problems.length === 0 ? "within its bounds" : problems.join("\n    ")}`);
  if (problems.length > 0) process.exitCode = 1;
  return rows;
}

/** The rows that follow from the table of faults alone, as the document must have them. */
export function fixedPart(): string {
  return `${kindsTable()}\n\n${faultsTable()}`;
}

function faultsSection(rows: readonly Ran[], mutants: readonly string[]): string {
  const runs = rows.map(({ name, cells, passed, seconds }) => [
    name,
    `${passed} of ${cells}`,
    `${Math.round(seconds)} s`,
  ]);
  return `## Faults

In the tests, a TCP proxy between the client and the fake server damages answers in ways that no server should. Every fault
is tried with every method. A cell passes if

- the call ends as the table says, within its timeouts and with the stated number of requests;
- nothing is left behind: no open connection, no timer, no listener on the caller's signal, no unhandled rejection;
- no other server was contacted;
- no API token, header value, prompt or control character is in the error's message, hint, stack, \`toJSON()\` or cause, or in
  the output of \`Deno.inspect\` and \`util.inspect\`.

\`maxRetries\` is 1, so that a retry shows as a second request. A stateful call is sent only once, whatever happens.

\`deno task matrix\` runs the matrix and writes this section; \`.ci/run\` runs it too.

${table(["runtime", "cells passed", "time"], runs)}

${fixedPart()}

Errors are shown by their code, and \`×2\` is the number of requests. _Correct_ is the method's normal result.
_As received_ is the damaged answer itself: the chunks of a completion have no numbers, so a repeated one cannot be detected, and
\`fetch\` for other clients passes on an empty or cut body unchanged. Questions return \`false\` or \`undefined\` if the server
cannot say.

The matrix fails on each of these mutants of the source, as it should:

${mutants.map((name) => `- ${name}`).join("\n")}
`;
}

function hostileSection(runtimes: readonly Runtime[], memory: string[][]): string {
  const head = ["what a server does", "how it ends", "bound", ...runtimes.map(({ name }) => name)];
  return `## Hostile servers

These cases send data without end, plain or compressed to a thousandth of its size. The table shows how the call ends and the
most memory it takes beyond what the program used before; each case runs in its own process. Listings and other reads are cut
off after 64 MiB per route, answers after 256 MiB, events after 16 MiB, images after 20 MiB and errors after 64 KiB. The bound
allows for the worst runtime: a text is held twice while it is assembled, and Deno collects garbage late. \`deno task matrix\`
measures the figures.

${table(head, memory)}

Time spent reading does not count as waiting. So comments sent at full speed keep a stream open for longer than its timeout, but
its memory does not grow.

- **Other origins.** No method follows a redirect with the API token or headers. Each is tried with a second server, which must
  receive nothing (_redirect elsewhere_, above). Images are requested without our headers, and a discovered server gets the
  API token only if it is on this machine: see \`tests/images_test.ts\` and \`tests/found_server_test.ts\`.
- **Errors.** If a server sends back API tokens, headers or prompts (in a message, in the status line, in a URL, in something
  that is not HTTP, in the middle of a body), no error shows them: see the _echo_ faults above, \`tests/secrets_test.ts\` and
  \`tests/echo_test.ts\`. Control characters are never shown. The \`fetch\` of \`toOpenAI()\` and \`toAnthropic()\` passes the server's
  own words on to the other client.
- **Image addresses.** [Images](images.md#image-urls) says what is fetched.
`;
}

/** Replaces a section, or appends it; whatever else the document has stays. */
async function writeSection(text: string): Promise<void> {
  const before = await Deno.readTextFile(DOCUMENT).catch(() => "# Reliability\n");
  const sections = before.trimEnd().split(/\n(?=## )/);
  const [heading = ""] = text.split("\n");
  const at = sections.findIndex((part) => part.startsWith(`${heading}\n`));
  if (at === -1) sections.push(text.trimEnd() + "\n");
  else sections[at] = text.trimEnd() + "\n";
  const whole = sections.map((part) => part.trimEnd()).join("\n\n") + "\n";
  await Deno.writeTextFile(DOCUMENT, whole);
}
