/**
 * Shows that the properties and the soak notice faults: `deno task fuzz:mutants [NAME]` puts one fault at a time into a
 * copy of `src/`, and the property guarding that line must fail. First everything must pass on the unchanged source.
 */

interface Mutant {
  /** Property that must fail, or `soak`. */
  readonly by: string;
  readonly file: string;
  readonly from: string;
  readonly to: string;
  /** Effect of the fault. */
  readonly what: string;
}

const MUTANTS: readonly Mutant[] = [
  {
    by: "framing",
    file: "transport/sse.ts",
    from: 'text.replace(/\\r\\n?/g, "\\n")',
    to: 'text.replace(/\\r\\n/g, "\\n")',
    what: "a CR alone ends no line",
  },
  {
    by: "framing",
    file: "transport/sse.ts",
    from: 'line[afterColon] === " " ? afterColon + 1 : afterColon',
    to: "afterColon",
    what: "the blank behind the colon is part of the value",
  },
  {
    by: "framing-bytes",
    file: "transport/sse.ts",
    from: 'if (text.endsWith("\\r")) this.#droppable = "\\n";',
    to: "",
    what: "a CRLF that is cut ends two lines",
  },
  {
    by: "framing-bound",
    file: "transport/sse.ts",
    from: 'nearLimit && !line.startsWith(":") ? utf8Length(line) : 0',
    to: "nearLimit ? utf8Length(line) : 0",
    what: "a comment counts for the bound where it is not cut",
  },
  {
    by: "tags",
    file: "api/think_splitter.ts",
    from: "const text = this.#tag + chunk;",
    to: "const text = chunk;",
    what: "a tag that is cut is lost",
  },
  {
    by: "tags-lose-nothing",
    file: "api/think_splitter.ts",
    from: "reasoning: [reasoning, rest.reasoning].filter",
    to: "reasoning: [rest.reasoning].filter",
    what: "reasoning before a lone closing tag is lost",
  },
  {
    by: "text-calls",
    file: "api/text_tool_calls.ts",
    from: "const text = this.#start + chunk;",
    to: "const text = chunk;",
    what: "the start of a call that is cut is lost",
  },
  {
    by: "trimming",
    file: "core/context_policy.ts",
    from: "isPinned(message) || ranges.some",
    to: "ranges.some",
    what: "system messages are dropped",
  },
  {
    by: "addresses",
    file: "core/base_url.ts",
    from: 'url.pathname.replaceAll(/\\/{2,}/g, "/").replace(/\\/$/, "")',
    to: 'url.pathname.replace(/\\/$/, "")',
    what: "doubled slashes stay",
  },
  {
    by: "addresses-sent",
    file: "transport/forward.ts",
    from: "return place.startsWith(`${baseUrl}/`) ? place.slice(baseUrl.length) : undefined;",
    to: "return pathname;",
    what: "a foreign address is taken for one of the server's",
  },
  {
    by: "configuration",
    file: "core/config.ts",
    from: 'new Set(["apiToken", "headers"])',
    to: 'new Set(["headers"])',
    what: "the token is shown",
  },
  {
    by: "configuration-files",
    file: "core/config.ts",
    from:
      "if (!isRecord(values)) throw configurationError(`file ${file.name} is not a JSON object`);",
    to: "if (!isRecord(values)) throw new TypeError();",
    what: "a file that holds no object is an error that is none of ours",
  },
  {
    by: "answers",
    file: "api/chat_fields.ts",
    from: "if (name !== written && !isFitting) {",
    to: "if (name !== written) {} else if (name !== written) {",
    what: "optional fields of a chat have any type",
  },
  {
    by: "answers",
    file: "api/models.ts",
    from: "value >= 0 && value < Infinity ? value",
    to: "value >= 0 ? value",
    what: "a size may be without end",
  },
  {
    by: "values",
    file: "members/fallback.ts",
    from: "const { signal } = checkCallOptions(options, refusalMaker(action, this.#name));",
    to: "const { signal } = options ?? {};",
    what: "a signal that is none is asked",
  },
  {
    by: "options",
    file: "core/tool.ts",
    from: 'if (!isRecord(given) || typeof given.call !== "function") {',
    to: "if (false) {",
    what: "an MCP tool that is null throws a TypeError",
  },
  {
    by: "cuts",
    file: "transport/sse.ts",
    from: "this.#utf8.decode(bytes, { stream: true })",
    to: "this.#utf8.decode(bytes)",
    what: "a character that is cut is two broken ones",
  },
  {
    by: "cuts-of-texts",
    file: "api/think_splitter.ts",
    from: "const text = this.#tag + chunk;",
    to: "const text = chunk;",
    what: "a tag cut by the model is lost",
  },
  {
    by: "cuts-of-objects",
    file: "core/partial_json.ts",
    from: "const text = this.#half + decoded;",
    to: "const text = decoded + this.#half;",
    what: "a character that is cut is two broken ones while the object is written",
  },
  {
    by: "breaks",
    file: "api/frames.ts",
    from: "if (this.#ending.isWhole) return this.#giveFinal(items);",
    to: "if (this.#ending.isWhole || true) return this.#giveFinal(items);",
    what: "a stream that was cut off is a whole answer",
  },
  {
    by: "ai-sdk",
    file: "ai_sdk/language_model.ts",
    from: "const id = own?.id ?? this.#ids.take(call.id);",
    to: "const id = own?.id ?? call.id;",
    what: "a call has the id of an earlier one",
  },
  {
    by: "ai-sdk",
    file: "ai_sdk/language_model.ts",
    from:
      'for (const { id } of this.#begun()) this.#controller.enqueue({ type: "tool-input-end", id });',
    to: "",
    what: "a call stays open after an error",
  },
  {
    by: "ai-sdk-texts",
    file: "ai_sdk/language_model.ts",
    from: "wireId === call.id && name === call.name && text === call.arguments",
    to: "true",
    what: "a call has the id of one that turned out to be reasoning",
  },
  {
    by: "soak",
    file: "transport/timers.ts",
    from: 'if (wasLast) this.#signal.removeEventListener("abort", this.#onAbort);',
    to: "void wasLast;",
    what: "listeners stay on a shared signal",
  },
  {
    by: "soak",
    file: "server/stream.ts",
    from: 'if (outcome.kind !== "done") this.#controller.abort(STREAM_OVER);',
    to: "throw new Error(String(outcome.kind));",
    what: "an end is an error that is none of ours",
  },
  {
    by: "soak",
    file: "server/queue.ts",
    from: "group.inside.delete(visit);",
    to: "",
    what: "a place in the queue is never given back",
  },
];

const ROOT = new URL("../../", import.meta.url).pathname;
const COPIED = ["src", "tests", "fixtures", "mod.ts", "deno.json"];
const SEED = "1";
/** Properties whose cases make several calls each. */
const SLOW: ReadonlySet<string> = new Set(["answers", "ai-sdk", "ai-sdk-texts"]);
/** A few times as long as the slowest takes. */
const LIMIT_MS = 240_000;

/** Whether the guard of a line passes in this folder. */
async function holds(folder: string, by: string): Promise<boolean> {
  const args = by === "soak"
    ? ["--v8-flags=--expose-gc", "tests/soak/soak.ts", "--streams", "600", "--seed", SEED]
    : [
      "tests/fuzz/run.ts",
      "--only",
      by,
      "--cases",
      SLOW.has(by) ? "5000" : "15000",
      "--seed",
      SEED,
    ];
  const { success } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", ...args],
    cwd: folder,
    stdin: "null",
    stdout: "null",
    stderr: "null",
    // A hang counts as a failure.
    signal: AbortSignal.timeout(LIMIT_MS),
  }).output();
  return success;
}

const [only] = Deno.args;
const chosen = MUTANTS.filter(({ by }) => only === undefined || by === only);
const folder = await Deno.makeTempDir({ prefix: "lmstudio-mutants-" });
let failures = 0;
try {
  for (const name of COPIED) {
    await new Deno.Command("cp", { args: ["-r", `${ROOT}${name}`, folder] }).output();
  }
  for (const by of new Set(chosen.map((mutant) => mutant.by))) {
    if (await holds(folder, by)) continue;
    failures++;
    console.error(`${by} does not hold without a mutant`);
  }
  for (const { by, file, from, to, what } of chosen) {
    const path = `${folder}/src/${file}`;
    const source = await Deno.readTextFile(path);
    if (source.split(from).length !== 2) {
      failures++;
      console.error(`STALE   ${by.padEnd(18)} ${file} has not once: ${from}`);
      continue;
    }
    await Deno.writeTextFile(path, source.replace(from, () => to));
    const isNoticed = !await holds(folder, by);
    await Deno.writeTextFile(path, source);
    if (!isNoticed) failures++;
    console.log(`${isNoticed ? "noticed" : "MISSED "} ${by.padEnd(18)} ${file}: ${what}`);
  }
} finally {
  await Deno.remove(folder, { recursive: true });
}
console.log(`${chosen.length} mutants, ${failures} not as they should be`);
Deno.exit(failures === 0 ? 0 : 1);
