/**
 * Programs that other packages publish in their documentation, extracted from the installed package and run unchanged,
 * in their own process, against a fake LM Studio. No part of them is copied into this repository.
 *
 * Each framework has a file in `setups/`, which pins the package's version, runs before the program, and replaces the
 * program's models with ours.
 */
import { createFakeLMStudio, type FakeLMStudioOptions } from "../../src/testing/mod.ts";
import { expectDeno, runDeno } from "../support/script.ts";

const ROOT = new URL("../../", import.meta.url);
const LANGUAGES = ["ts", "tsx", "js", "typescript", "javascript"];
const FENCE = /^\s*(`{3,})(\w*)/;
/** In Markdown, including its tabs, and in comments of declarations. */
const HEADING = /^(?:#+ (.+)|\*\*(.+)\*\*:|<summary><strong>(.+)<\/strong><\/summary>)$/;

/** The replacement for a framework's provider. */
export interface Framework {
  /** The file below `setups/`. */
  readonly setup: string;
  /** The package that the documentation belongs to. */
  readonly package: string;
  /** Imports of the programs that are replaced by the setup's exports. */
  readonly replaced?: readonly string[];
}

/** Where a program is. */
export interface Block {
  /** Path in the package: Markdown, or declarations with comments. */
  readonly file: string;
  /** The heading above it, as written. */
  readonly under: string;
  /** Index among the programs below that heading. @default {0} */
  readonly index?: number;
  /** The package it is in. @default {the framework's} */
  readonly package?: string;
}

/** The blocks of one program, and its surroundings. */
export interface Example extends FakeLMStudioOptions {
  /** The blocks, in this order. */
  readonly blocks: readonly Block[];
  /** Blocks that the documentation has as separate files, by path. */
  readonly files?: Readonly<Record<string, Block>>;
  /** Our lines before the blocks. */
  readonly before?: string;
  /** Our lines after them, which print the values of variables. */
  readonly after?: string;
  readonly stdin?: string;
}

/** The result of a program. */
export interface Outcome {
  readonly output: string;
  /** The bodies of the fake's requests, without the listing of models. */
  // deno-lint-ignore no-explicit-any -- JSON of the wire, which tests look into
  readonly asked: readonly any[];
}

/** Runs a program; throws when it fails. */
export async function runExample(framework: Framework, example: Example): Promise<Outcome> {
  const { blocks, files = {}, before = "", after = "", stdin = "", ...fakeOptions } = example;
  const packages = await install(framework.setup);
  const read = (block: Block) => readBlock(packages, block.package ?? framework.package, block);
  const fake = createFakeLMStudio({ models: ["m"], ...fakeOptions });
  await using server = await fake.listen();
  const folder = await Deno.makeTempDir({ prefix: "lmstudio-example-" });
  try {
    const code = await Promise.all(blocks.map(read));
    await Deno.writeTextFile(`${folder}/main.ts`, [before, ...code, after].join("\n"));
    for (const [path, block] of Object.entries(files)) {
      await Deno.mkdir(`${folder}/${path.replace(/[^/]+$/, "")}`, { recursive: true });
      await Deno.writeTextFile(`${folder}/${path}`, await read(block));
    }
    await Deno.writeTextFile(`${folder}/deno.json`, await configOf(framework, packages));
    const { code: status, output, errors } = await runDeno([
      "run",
      "--quiet",
      "--no-prompt",
      "--no-check",
      `--config=${folder}/deno.json`,
      `--preload=${setupOf(framework.setup).href}`,
      "--unstable-sloppy-imports",
      "--allow-read",
      "--allow-env",
      "--allow-sys",
      // Only the fake can be reached: requests to the internet fail.
      `--allow-net=${new URL(server.url).host}`,
      `${folder}/main.ts`,
    ], { cwd: folder, stdin, env: { LMSTUDIO_BASE_URL: server.url } });
    if (status !== 0) throw new Error(`The program failed:\n${output}\n${errors}`);
    const asked = fake.requests.filter(({ method }) => method === "POST").map(({ body }) => body);
    return { output, asked };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

// --- Finding ----------------------------------------------------------------------------------

interface Package {
  readonly version: string;
  readonly folder: string;
}

type Packages = ReadonlyMap<string, Package>;

const installed = new Map<string, Promise<Packages>>();

/** Downloads the packages that a setup names. */
function install(setup: string): Promise<Packages> {
  const packages = installed.get(setup) ?? download(setup);
  installed.set(setup, packages);
  return packages;
}

async function download(setup: string): Promise<Packages> {
  const text = await Deno.readTextFile(setupOf(setup));
  const specifiers = new Set(
    [...text.matchAll(/"(npm:(?:@[^/"]+\/)?[^/"@]+@[^/"]+)/g)].map(([, specifier = ""]) =>
      specifier
    ),
  );
  const packages = new Map<string, Package>();
  await expectDeno(["cache", "--no-config", "--quiet", ...specifiers]);
  for (const specifier of specifiers) {
    const [, name = "", version = ""] = /^npm:(.+)@(.+)$/.exec(specifier) ?? [];
    const info = JSON.parse(await expectDeno(["info", "--no-config", "--json", specifier]));
    const all: { name: string; version: string; localPath: string }[] = Object.values(
      info.npmPackages,
    );
    const found = all.find((entry) => entry.name === name && entry.version === version);
    if (found === undefined) throw new Error(`${setup} must pin ${name} to one version`);
    packages.set(name, { version, folder: found.localPath });
  }
  return packages;
}

async function readBlock(
  packages: Packages,
  name: string,
  { file, under, index = 0 }: Block,
): Promise<string> {
  const { version, folder } = packages.get(name) ?? {};
  const text = await Deno.readTextFile(`${folder}/${file}`).catch(() => undefined);
  const programs = programsOf(text ?? "");
  const found = programs.filter((program) => program.under === under)[index];
  if (found !== undefined) return found.code;
  const there = [...new Set(programs.map((program) => `"${program.under}"`))].join(", ");
  const seen = text === undefined ? "there is no such file" : `programs stand under ${there}`;
  throw new Error(
    `Cannot find program ${index} under "${under}" of ${file} in ${name}@${version}: ${seen}. ` +
      "Correct its place in tests/frameworks/, take another program that does the same, or pin the version before in tests/frameworks/setups/.",
  );
}

/** The programs in a document, each with the heading above it. */
export function programsOf(text: string): { under: string; code: string }[] {
  const programs: { under: string; code: string }[] = [];
  let under = "";
  let fence: string | undefined;
  let code: string[] | undefined;
  for (const raw of text.split("\n")) {
    const line = raw.replace(/^ \* ?/, "");
    const [, marks, language = ""] = FENCE.exec(line) ?? [];
    if (fence === undefined && marks !== undefined) {
      fence = marks;
      code = LANGUAGES.includes(language) ? [] : undefined;
    } else if (fence !== undefined && line.trim() === fence) {
      if (code !== undefined) programs.push({ under, code: code.join("\n") });
      fence = code = undefined;
    } else if (fence !== undefined) {
      code?.push(line);
    } else {
      under = HEADING.exec(line)?.slice(1).find((heading) => heading !== undefined) ?? under;
    }
  }
  return programs;
}

// --- Running ----------------------------------------------------------------------------------

function setupOf(file: string): URL {
  return new URL(`setups/${file}`, import.meta.url);
}

/** The imports: the pinned packages, and the setup instead of the imports it replaces. */
async function configOf(framework: Framework, packages: Packages): Promise<string> {
  const root: { imports: Record<string, string> } = JSON.parse(
    await Deno.readTextFile(new URL("deno.json", ROOT)),
  );
  const imports: Record<string, string> = { zod: root.imports["zod"]! };
  for (const [name, { version }] of packages) imports[name] = `npm:${name}@${version}`;
  for (const name of framework.replaced ?? []) imports[name] = setupOf(framework.setup).href;
  return JSON.stringify({ imports, lock: false });
}
