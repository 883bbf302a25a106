/**
 * Mutants of the module that the matrix has to fail on: each is a copy of the source with one thing broken. One line
 * each; exit code 1 if one passes.
 */
import { fileURLToPath } from "node:url";
import { run } from "../runtimes/command.ts";
import { measure } from "./measure.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const COPIED = ["deno.json", "mod.ts", "src", "tests/matrix"];
const LIMIT_MS = 60_000;

interface Mutant {
  /** Says what is broken. */
  readonly name: string;
  readonly file: string;
  readonly from: string;
  readonly to: string;
  /** Where it is noticed: faults, or a case of `memory.mjs`. */
  readonly faults?: readonly string[];
  readonly memory?: string;
  readonly methods?: readonly string[];
}

interface Cell {
  readonly fault: string;
  readonly method: string;
  readonly problems: readonly string[];
}

/** Mutants by what they break. */
export const MUTANTS: readonly Mutant[] = [
  {
    name: "stateful calls are retried like others",
    file: "src/core/retry.ts",
    from: `if (attempt.policy === "stateful") return false;`,
    to: "",
    faults: ["closed on use"],
    methods: ["responses.create", "chat.stream"],
  },
  {
    name: "Deno may send stateful calls again on its own",
    file: "src/transport/call.ts",
    from: `policy === "stateful" && !isOwnFetch && isDeno()`,
    to: "false",
    faults: ["closed on use"],
    methods: ["responses.create", "chat.send"],
  },
  {
    name: "a stateless call is retried after any reset",
    file: "src/core/retry.ts",
    from: `attempt.isBroken && attempt.originUsedBefore &&`,
    to: "",
    faults: ["reset before"],
    methods: ["complete", "streamText"],
  },
  {
    name: "reads are not retried",
    file: "src/core/retry.ts",
    from: `return error.code === "connection_reset" || error.kind === "timeout" ||`,
    to: "return",
    faults: ["reset before"],
    methods: ["listModels"],
  },
  {
    name: "a stopped timer keeps running",
    file: "src/transport/timers.ts",
    from: "return () => clearTimeout(timer);",
    to: "return () => {};",
    faults: ["none"],
    methods: ["complete"],
  },
  {
    name: "the listener on the caller's signal is never removed",
    file: "src/transport/call.ts",
    from: "    this.#stopListening();\n",
    to: "",
    faults: ["none"],
    methods: ["complete"],
  },
  {
    name: "a silent stream never times out",
    file: "src/transport/timers.ts",
    from: "if (ms > LONGEST_TIMER_MS) return;\n    const now",
    to: "if (ms > 0) return;\n    const now",
    faults: ["drop in the body"],
    methods: ["streamCompletion"],
  },
  {
    name: "the connection of an abandoned answer is kept",
    file: "src/transport/event_reader.ts",
    from: "this.#stop();\n    this.#call.finish();",
    to: "this.#call.finish(true);",
    faults: ["left open"],
    methods: ["streamCompletion"],
  },
  {
    name: "redirects are followed",
    file: "src/transport/call.ts",
    from: `redirect: "manual"`,
    to: `redirect: "follow"`,
    faults: ["redirect loop"],
    methods: ["complete"],
  },
  {
    name: "a server's message is shown without masking the request",
    file: "src/transport/call.ts",
    from: "return this.#mask(text);",
    to: "return text;",
    faults: ["echo"],
    methods: ["complete"],
  },
  {
    name: "control characters from a server are shown",
    file: "src/core/plain_text.ts",
    from: "[\\s\\p{Cc}\\p{Cf}\\p{Cs}]+",
    to: "\\s+",
    faults: ["control characters"],
    methods: ["complete"],
  },
  {
    name: "a stream event has no size limit",
    file: "src/transport/sse.ts",
    from: "DEFAULT_MAX_EVENT_BYTES = 16 * 1024 * 1024",
    to: "DEFAULT_MAX_EVENT_BYTES = 512 * 1024 * 1024",
    memory: "endless event",
  },
  {
    name: "other clients get an HTML page with status 200 as an answer",
    file: "src/transport/forward.ts",
    from: "if (isHtml(text)) {",
    to: "if (text === null) {",
    faults: ["web page"],
    methods: ["toOpenAI().fetch"],
  },
];

/** Runs the matrix on a copy with this mutant; returns what it found. */
export async function problemsOf(mutant: Mutant): Promise<string[]> {
  const folder = await Deno.makeTempDir({ prefix: "lmstudio-mutant-" });
  try {
    await run(["cp", "-r", "--parents", ...COPIED, folder], { cwd: ROOT });
    const path = `${folder}/${mutant.file}`;
    const text = await Deno.readTextFile(path);
    if (text.split(mutant.from).length !== 2) {
      throw new Error(`Cannot make the mutant "${mutant.name}": ${mutant.file} has changed`);
    }
    await Deno.writeTextFile(path, text.replace(mutant.from, mutant.to));
    const { faults, methods, memory } = mutant;
    const deno = [Deno.execPath(), "run", "-A"];
    if (memory !== undefined) {
      const { problem } = await measure(deno, `${folder}/tests/matrix`, memory);
      return problem === undefined ? [] : [problem];
    }
    const { success, stdout, stderr } = await run(
      [...deno, "tests/matrix/main.mjs", JSON.stringify({ faults, methods })],
      { cwd: folder, limitMs: LIMIT_MS },
    );
    if (!success) return [stderr];
    const cells: Cell[] = JSON.parse(stdout);
    return cells.flatMap(({ fault, method, problems }) =>
      problems.map((problem) => `${method}, ${fault}: ${problem}`)
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Runs all of them; returns a line for each, and whether the matrix fails on it. */
export async function runMutants(): Promise<{ line: string; isFound: boolean }[]> {
  const found = [];
  for (const mutant of MUTANTS) {
    const [problem] = await problemsOf(mutant);
    const [said = ""] = (problem ?? "PASSED").split("\n");
    found.push({ line: `${mutant.name}: ${said.slice(0, 140)}`, isFound: problem !== undefined });
  }
  return found;
}
