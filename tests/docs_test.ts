/** What can be checked about README.md and docs/: that they match the code, and that links have a target. */

import { assert, assertEquals } from "@std/assert";
import { CONFIG_VARIABLES } from "../src/core/config.ts";
import { ERROR_CODES } from "../src/core/error_codes.ts";
import * as mod from "../mod.ts";
import { createFakeLMStudio } from "../src/testing/mod.ts";
import { runCommand } from "./support/command_line.ts";

/** Files that examples import or start, the tour, and the page, which has its own document. */
const NO_EXAMPLES = ["browser", "demo.ts", "fake.ts", "mcp_server.ts", "summary.ts"];
const ROOT = new URL("../", import.meta.url);
/** Every option: a missing or unknown one does not compile. */
const OPTIONS = Object.keys(
  {
    apiToken: true,
    baseUrl: true,
    configFile: true,
    connectTimeoutMs: true,
    decisionModel: true,
    discovery: true,
    embeddingModel: true,
    env: true,
    envFile: true,
    fetch: true,
    firstTokenTimeoutMs: true,
    headers: true,
    idleTimeoutMs: true,
    maxConcurrency: true,
    maxRetries: true,
    model: true,
    modelCacheTtlMs: true,
    onModelSubstituted: true,
    reasoningTags: true,
    timeoutMs: true,
  } satisfies Record<keyof mod.LMStudioProviderOptions, true>,
);

function read(path: string): Promise<string> {
  return Deno.readTextFile(new URL(path, ROOT));
}

async function markdownFiles(): Promise<string[]> {
  const files = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "fixtures/README.md"];
  for await (const { name } of Deno.readDir(new URL("docs/", ROOT))) {
    if (name.endsWith(".md")) files.push(`docs/${name}`);
  }
  return files.sort();
}

/** The rows of every table below a heading, without table heads, with cells as written. */
function rowsBelow(text: string, heading: string): string[][] {
  const [, after] = text.split(`\n${heading}\n`);
  assert(after !== undefined, `no heading ${heading}`);
  const [section = ""] = after.split(/\n#/);
  return section.split("\n")
    .filter((line) => line.startsWith("|"))
    .map((line) => line.slice(1, -1).split("|").map((cell) => cell.trim()))
    .filter((cells, index, all) => !isRule(cells) && !isRule(all[index + 1] ?? []));
}

function isRule(cells: string[]): boolean {
  return cells.length > 0 && cells.every((cell) => /^:?-+:?$/.test(cell));
}

/** The names in backquotes. */
function named(cell = ""): string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map(([, name = ""]) => name);
}

Deno.test("docs/errors.md: every code, with its class, its kind and whether a retry can help", async () => {
  const rows = rowsBelow(await read("docs/errors.md"), "## All codes");
  const told = rows.map((
    [code, name, kind, retry],
  ) => [named(code), named(name), named(kind), retry]);
  const classes = new Map(
    Object.values(mod).flatMap((value) => {
      if (typeof value !== "function" || !(value.prototype instanceof mod.ProviderError)) return [];
      const options = { code: "x", phase: "idle", timeoutMs: 1, errors: [] } as const;
      const error: mod.AnyProviderError = Reflect.construct(value, ["", options]);
      return [[error.kind, value.name] as const];
    }),
  );
  assertEquals(
    told,
    Object.entries(ERROR_CODES).map(([code, { kind, retriable }]) => [
      [code],
      [classes.get(kind) ?? ""],
      [kind],
      retriable ? "yes" : "no",
    ]),
  );
});

Deno.test("docs/errors.md: a code is reserved if nothing throws it, and then has no remedy", async () => {
  const texts = await Promise.all((await sources()).filter(isThrower).map(read));
  const rows = rowsBelow(await read("docs/errors.md"), "## All codes");
  for (const [cell, , , , cause = "", remedy] of rows) {
    const [code = ""] = named(cell);
    const isThrown = texts.some((text) => text.includes(`"${code}"`));
    assertEquals(cause.startsWith("Reserved:"), !isThrown, code);
    assertEquals(remedy === "", !isThrown, code);
  }
});

/** Paths of all files below src/. */
async function sources(folder = "src/"): Promise<string[]> {
  const found: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(new URL(folder, ROOT))) {
    if (isDirectory) found.push(...await sources(`${folder}${name}/`));
    else found.push(folder + name);
  }
  return found;
}

/** The list of codes throws none, and the fake only imitates servers. */
function isThrower(path: string): boolean {
  return path !== "src/core/error_codes.ts" && !path.startsWith("src/testing/");
}

Deno.test("README.md: the codes it names are codes", async () => {
  const codes = rowsBelow(await read("README.md"), "## Errors").flatMap(([cell]) => named(cell));
  assert(codes.length > 10);
  assertEquals(codes.filter((code) => !Object.hasOwn(ERROR_CODES, code)), []);
});

Deno.test("docs/configuration.md: has every option and variable in order, and every default", async () => {
  const rows = rowsBelow(await read("docs/configuration.md"), "## Values");
  assertEquals(rows.flatMap(([option]) => named(option)).sort(), [...OPTIONS]);
  const variables = rows.flatMap(([, cell]) => named(cell)).filter((name) =>
    /^[A-Z_]+$/.test(name)
  );
  assertEquals(variables, CONFIG_VARIABLES);
  const defaults: Record<string, unknown> = { ...mod.resolveConfig({}, {}) };
  for (const [option = "", , value = ""] of rows) {
    for (const name of named(option)) {
      const actual = defaults[name];
      const isTold = actual !== undefined && typeof actual !== "object";
      if (isTold) assertEquals(value.replaceAll("`", ""), asWritten(actual), name);
      else assert(named(value).length === 0, `${name}: ${value}`);
    }
  }
});

function asWritten(value: unknown): string {
  return typeof value === "string" && !value.includes(":") ? JSON.stringify(value) : String(value);
}

Deno.test("docs/configuration.md: every method has its timeouts", async () => {
  const rows = rowsBelow(
    await read("docs/configuration.md"),
    "## Which timeout applies to which method",
  );
  const methods = Object.getOwnPropertyNames(mod.LMStudioProvider.prototype)
    .filter((name) => !["constructor", "explainConfig"].includes(name));
  assertEquals(
    rows.flatMap(([method]) => named(method)).sort(),
    [...methods, ...membersOf()].sort(),
  );
});

/** The methods of a provider's members, such as `responses.create`. */
function membersOf(): string[] {
  return Object.entries(new mod.LMStudioProvider({ env: {} }))
    .filter(([, member]) => typeof member === "object")
    .flatMap(([name, member]) =>
      Object.getOwnPropertyNames(Object.getPrototypeOf(member))
        .filter((method) => method !== "constructor").map((method) => `${name}.${method}`)
    );
}

Deno.test("README.md: its programs run on all runtimes, and import no jsr: or npm:", async () => {
  const text = await read("README.md");
  const programs = [...text.matchAll(/^```(ts|js)\n(.*?)^```/gms)].map(([, , code = ""]) => code);
  assert(programs.length >= 3);
  assertEquals(programs.filter((code) => /"(jsr|npm):/.test(code)), []);
  assert(programs.some((code) => code.includes('import * as z from "zod";')));
});

Deno.test("README.md: the output it shows is what the command line prints", async () => {
  const [, shown = ""] = /^```text\n(.*?)^```/ms.exec(await read("README.md")) ?? [];
  await using server = await createFakeLMStudio().listen();
  const commands = shown.split(/^\$ lmstudio /m).filter((text) => text !== "");
  assertEquals(commands.length, 3);
  for (const command of commands) {
    const [line = "", ...expected] = command.trimEnd().split("\n");
    const args = [...line.matchAll(/"([^"]*)"|\S+/g)].map(([word, quoted]) => quoted ?? word);
    const env = { LMSTUDIO_BASE_URL: server.url };
    const { output } = await runCommand(args, { env, columns: 120 });
    // Shortened: some lines are left out, and column widths fit the lines shown.
    const printed = output.split("\n").map(spaced);
    assertEquals(expected.map(spaced).filter((text) => !printed.includes(text)), [], line);
  }
});

function spaced(line: string): string {
  return line.replaceAll(/ +/g, " ");
}

Deno.test("README.md: has every method", async () => {
  const methods = rowsBelow(await read("README.md"), "## What it does")
    .flatMap(([method]) => named(method)).map((call) => call.replace(/\(.*/, ""));
  const actual = Object.getOwnPropertyNames(mod.LMStudioProvider.prototype)
    .filter((name) => name !== "constructor");
  const statics = Object.getOwnPropertyNames(mod.LMStudioProvider)
    .filter((name) => !["length", "name", "prototype"].includes(name))
    .map((name) => `LMStudioProvider.${name}`);
  assertEquals(methods.sort(), [...actual, ...statics, ...membersOf()].sort());
});

Deno.test("docs/compatibility.md: its summary of LM Studio versions", async () => {
  const look = async (version: string) => {
    const { fetch } = createFakeLMStudio({ version });
    const lmstudio = new mod.LMStudioProvider({ fetch, env: {} });
    const [model] = await lmstudio.listModels();
    const request = { model: model?.id, messages: "Hello" };
    const { usage } = await lmstudio.streamCompletion(request).response();
    return [model?.sizeBytes, model?.loaded, usage].map((value) => value !== undefined);
  };
  assertEquals(await look("0.4.0"), [true, true, true]);
  assertEquals(await look("0.3.18"), [false, true, true]);
  assertEquals(await look("0.3.17"), [false, true, false]);
  assertEquals(await look("0.3.5"), [false, false, false]);
});

Deno.test("docs/assumptions.md: the tests it names exist", async () => {
  const text = await read("docs/assumptions.md");
  const rows = text.split("\n").filter((line) => line.includes("`tests/"));
  assert(rows.length > 30);
  const missing: string[] = [];
  for (const row of rows) {
    for (
      const [, path = "", name = ""] of row.matchAll(/`(tests\/[\w/]+\.m?[jt]s)`(?:: "([^"]+)")?/g)
    ) {
      const found = await read(path).then((text) => text.includes(name), () => false);
      if (!found) missing.push(`${path}: ${name}`);
    }
  }
  assertEquals(missing, []);
});

Deno.test("docs/architecture.md: the folders and files it names exist", async () => {
  const text = await read("docs/architecture.md");
  const [, tree = ""] = text.split("```");
  const layers = [...tree.matchAll(/^ {2}(\w+)\//gm)].map(([, name]) => name);
  const paths = await sources();
  const folders = new Set(paths.map((path) => path.split("/")[1]));
  assertEquals([...layers].sort(), [...folders].sort());
  for (const layer of layers) {
    assert(text.includes(`\n**\`${layer}/\`**`), `nothing about ${layer}`);
  }
  for (const [, file = ""] of text.matchAll(/`(\w+\.ts)`/g)) {
    assert(file === "mod.ts" || paths.some((path) => path.endsWith(`/${file}`)), `no ${file}`);
  }
  // By file name only: a few names exist in two folders, and are mentioned twice.
  const names = paths.map((path) => path.slice(path.lastIndexOf("/") + 1));
  assertEquals(names.filter((name) => !text.includes(`\`${name}\``)), []);
});

Deno.test("docs/configuration.md: has every variable that is read", async () => {
  const told = await read("docs/configuration.md");
  const code = (await Promise.all((await sources()).map(read))).join("\n");
  const variable =
    /"((?:PATINOX|LMSTUDIO|LM|LM_STUDIO|LOCAL|OLLAMA)_[A-Z_]+|HOME|USERPROFILE|\w+_PROXY)"/g;
  const names = new Set([...code.matchAll(variable)].map(([, name = ""]) => name));
  assert(names.size > 20);
  assertEquals([...names].filter((name) => !told.includes(`\`${name}\``)), []);
});

Deno.test("docs/troubleshooting.md: the messages it quotes exist", async () => {
  const rows = rowsBelow(await read("docs/troubleshooting.md"), "## Nothing answers");
  const said = (await read("docs/connecting.md")) +
    (await Promise.all((await sources()).map(read))).join("\n");
  const quoted = rows.flatMap(([, cell = ""]) =>
    [...cell.matchAll(/"([^"]+)"/g)].map(([, text = ""]) => text)
  );
  assert(quoted.length > 8);
  assertEquals(quoted.filter((text) => !said.includes(text)), []);
});

Deno.test("CONTRIBUTING.md: the files it names exist", async () => {
  const text = await read("CONTRIBUTING.md");
  const paths = named(text).filter((name) => /^(src|tests|examples)\/\S*\.ts$/.test(name));
  assert(paths.length > 8);
  const there = await Promise.all(paths.map((path) => read(path).then(() => true, () => false)));
  assertEquals(paths.filter((_, index) => !there[index]), []);
});

Deno.test("docs/examples.md: every example is linked", async () => {
  const text = await read("docs/examples.md");
  const missing: string[] = [];
  for await (const { name } of Deno.readDir(new URL("examples/", ROOT))) {
    if (!NO_EXAMPLES.includes(name) && !text.includes(`](../examples/${name})`)) missing.push(name);
  }
  assertEquals(missing, []);
});

Deno.test("README.md: at most 150 lines", async () => {
  const { length } = (await read("README.md")).trimEnd().split("\n");
  assert(length <= 150, `${length} lines`);
});

Deno.test("README.md: every document is linked", async () => {
  const text = await read("README.md");
  const files = (await markdownFiles()).filter((file) => file.startsWith("docs/"));
  assertEquals(files.filter((file) => !text.includes(`](${file})`)), []);
});

Deno.test("links lead to existing files and headings", async () => {
  const broken: string[] = [];
  for (const file of await markdownFiles()) {
    for (const [, target = ""] of (await read(file)).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(target)) continue;
      const url = new URL(target, new URL(file, ROOT));
      const anchor = url.hash.slice(1);
      url.hash = "";
      const isThere = anchor === ""
        ? Deno.stat(url).then(() => true)
        : Deno.readTextFile(url).then((text) => anchorsOf(text).includes(anchor));
      if (!await isThere.catch(() => false)) broken.push(`${file}: ${target}`);
    }
  }
  assertEquals(broken, []);
});

/** The ids that code hosts generate for headings. */
function anchorsOf(text: string): string[] {
  return [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) =>
    heading.toLowerCase().replace(/[^\w\s-]/g, "").replaceAll(" ", "-")
  );
}

Deno.test("commands in the documents are tasks", async () => {
  const { tasks } = JSON.parse(await read("deno.json"));
  const texts = (await Promise.all((await markdownFiles()).map(read))).join("\n");
  const commands = [...texts.matchAll(/deno(?:@2\.9)? task (?:--quiet )?([\w:]+)/g)];
  assert(commands.length >= 6);
  for (const [, task = ""] of commands) assert(Object.hasOwn(tasks, task), task);
});

Deno.test("fixtures: every file is in the table of its folder", async () => {
  const missing: string[] = [];
  const visit = async (folder: string, table: string): Promise<void> => {
    for await (const { name, isDirectory } of Deno.readDir(new URL(folder, ROOT))) {
      if (isDirectory) await visit(`${folder}${name}/`, table);
      else if (name !== "SOURCES.md" && !table.includes(`\`${name}\``)) missing.push(folder + name);
    }
  };
  for await (const { name, isDirectory } of Deno.readDir(new URL("fixtures/", ROOT))) {
    if (isDirectory) await visit(`fixtures/${name}/`, await read(`fixtures/${name}/SOURCES.md`));
  }
  assertEquals(missing, []);
});
