/** What can be checked of README.md and docs/: that they say what the code does, and that links lead somewhere. */

import { assert, assertEquals } from "@std/assert";
import { CONFIG_VARIABLES } from "../src/core/config.ts";
import { ERROR_CODES } from "../src/core/error_codes.ts";
import * as mod from "../mod.ts";
import { createFakeLMStudio } from "../src/testing/mod.ts";

const ROOT = new URL("../", import.meta.url);
const OPTIONS = [
  "apiToken",
  "baseUrl",
  "configFile",
  "connectTimeoutMs",
  "discovery",
  "embeddingModel",
  "env",
  "envFile",
  "fetch",
  "firstTokenTimeoutMs",
  "headers",
  "idleTimeoutMs",
  "maxRetries",
  "model",
  "modelCacheTtlMs",
  "onModelSubstituted",
  "timeoutMs",
] as const satisfies readonly (keyof mod.LMStudioProviderOptions)[];

function read(path: string): Promise<string> {
  return Deno.readTextFile(new URL(path, ROOT));
}

async function markdownFiles(): Promise<string[]> {
  const files = ["README.md", "CHANGELOG.md", "fixtures/README.md"];
  for await (const { name } of Deno.readDir(new URL("docs/", ROOT))) {
    if (name.endsWith(".md")) files.push(`docs/${name}`);
  }
  return files.sort();
}

/** The rows of every table below a heading, without their heads: cells as they are written. */
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

Deno.test("docs/errors.md: a code without a remedy is one that nothing throws", async () => {
  for (
    const [code, , , , cause, remedy] of rowsBelow(await read("docs/errors.md"), "## All codes")
  ) {
    assertEquals(remedy === "", cause?.startsWith("Reserved:"), code);
  }
});

Deno.test("README.md: the codes it names are codes", async () => {
  const codes = rowsBelow(await read("README.md"), "## Errors").flatMap(([cell]) => named(cell));
  assert(codes.length > 10);
  assertEquals(codes.filter((code) => !Object.hasOwn(ERROR_CODES, code)), []);
});

for (
  const [file, heading] of [["README.md", "## Options"], ["docs/configuration.md", "## Values"]]
) {
  Deno.test(`${file}: every option and variable in its order, and every default`, async () => {
    const rows = rowsBelow(await read(file ?? ""), heading ?? "");
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
}

function asWritten(value: unknown): string {
  return typeof value === "string" && !value.includes(":") ? JSON.stringify(value) : String(value);
}

Deno.test("docs/configuration.md: every method has its timers", async () => {
  const rows = rowsBelow(
    await read("docs/configuration.md"),
    "## Which timer applies to which method",
  );
  const methods = Object.getOwnPropertyNames(mod.LMStudioProvider.prototype)
    .filter((name) => !["constructor", "explainConfig"].includes(name));
  assertEquals(rows.flatMap(([method]) => named(method)).sort(), methods.sort());
});

Deno.test("README.md: every method is there", async () => {
  const methods = rowsBelow(await read("README.md"), "## What it does")
    .flatMap(([method]) => named(method)).map((call) => call.replace(/\(.*/, ""));
  const actual = Object.getOwnPropertyNames(mod.LMStudioProvider.prototype)
    .filter((name) => name !== "constructor");
  assertEquals(methods.sort(), actual.sort());
});

Deno.test("README.md: what it says of versions of LM Studio", async () => {
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

Deno.test("docs/assumptions.md: the tests it names are there", async () => {
  const text = await read("docs/assumptions.md");
  const rows = text.split("\n").filter((line) => line.includes("`tests/"));
  assert(rows.length > 30);
  const missing: string[] = [];
  for (const row of rows) {
    for (const [, path = "", name = ""] of row.matchAll(/`(tests\/[\w/]+\.ts)`(?:: "([^"]+)")?/g)) {
      const found = await read(path).then((text) => text.includes(name), () => false);
      if (!found) missing.push(`${path}: ${name}`);
    }
  }
  assertEquals(missing, []);
});

Deno.test("docs/architecture.md: the folders and files it tells of are there", async () => {
  const text = await read("docs/architecture.md");
  const [, tree = ""] = text.split("```");
  const layers = [...tree.matchAll(/^ {2}(\w+)\//gm)].map(([, name]) => name);
  assert(layers.length > 3);
  for (const layer of layers) {
    const { isDirectory } = await Deno.stat(new URL(`src/${layer}`, ROOT));
    assert(isDirectory, `${layer} is nowhere`);
    assert(text.includes(`\n**\`${layer}/\`**`), `nothing about ${layer}`);
  }
  for (const [, file = ""] of text.matchAll(/`(\w+\.ts)`/g)) {
    assert(await isSource(file), `${file} is nowhere`);
  }
});

async function isSource(name: string): Promise<boolean> {
  const places = [
    "",
    ...["core", "platform", "transport", "api", "discovery", "provider"].map((f) => `src/${f}/`),
  ];
  const found = await Promise.all(
    places.map((place) => Deno.stat(new URL(place + name, ROOT)).then(() => true, () => false)),
  );
  return found.includes(true);
}

Deno.test("links lead to files and headings that are there", async () => {
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

/** The ids that code hosts give to headings. */
function anchorsOf(text: string): string[] {
  return [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) =>
    heading.toLowerCase().replace(/[^\w\s-]/g, "").replaceAll(" ", "-")
  );
}

Deno.test("README.md: its commands are tasks", async () => {
  const { tasks } = JSON.parse(await read("deno.json"));
  const commands = [...(await read("README.md")).matchAll(/deno(?:@2\.9)? task ([\w:]+)/g)];
  assert(commands.length >= 3);
  for (const [, task = ""] of commands) assert(Object.hasOwn(tasks, task), task);
});
