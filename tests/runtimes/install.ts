/**
 * The installation from README.md until the package is on JSR, word for word: in empty folders next to a clone, with
 * empty caches, followed by README's first answer and its other programs on each runtime. One line each; exit code 1 if
 * one failed.
 */
import process from "node:process";
import { fileURLToPath } from "node:url";
import { createFakeLMStudio } from "../../src/testing/mod.ts";
import { must, run } from "./command.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const BUN = "bun@1.4";
/** The first Node version that runs TypeScript, the language of the examples. */
const NODE = ["npx", "--yes", "--package", "node@22", "node"];
/** The examples of whole tasks that end, and those with their own packages. */
const WITH_FAKE = [
  ["agent.ts"],
  ["batch.ts"],
  ["documents.ts", "How do I stop a stream?", "node_modules/@patinox/lmstudio/docs"],
  ["mcp.ts"],
  ["models.ts"],
  ["objects.ts"],
  ["openai_client.ts"],
  ["tools.ts"],
];
const REPLY = "Because of the air.";
const QUESTION = "Why is the sky blue? Answer in two sentences.";

const folder = await Deno.makeTempDir({ prefix: "lmstudio-install-" });
const fake = createFakeLMStudio({
  // If an object is requested, the smallest one that the schema allows.
  replies: ({ response_format }) => response_format === undefined ? REPLY : undefined,
  tokenMs: 6,
});
await using server = await fake.listen();
const env = {
  DENO_DIR: `${folder}/caches/deno`,
  npm_config_cache: `${folder}/caches/npm`,
  BUN_INSTALL_CACHE_DIR: `${folder}/caches/bun`,
  LMSTUDIO_BASE_URL: server.url,
  PATH: `${folder}/bun/node_modules/.bin:${Deno.env.get("PATH")}`,
};

try {
  const readme = await Deno.readTextFile(`${ROOT}README.md`);
  const [settings = ""] = blocks(section(readme, "Install"), "json");
  const [packAndInstall = ""] = blocks(section(readme, "Install"), "sh");
  const [bunAdd = ""] = /bun add \S+\.tgz/.exec(section(readme, "Install")) ?? [];
  const [packClone = "", npmInstall = ""] = packAndInstall.trim().split("\n");
  const [first = ""] = blocks(section(readme, "First answer"), "ts");

  await step("a clone, and Bun", async () => {
    await clone(`${folder}/lmstudio`);
    await Deno.mkdir(`${folder}/bun`);
    await must(["npm", "install", "--prefix", `${folder}/bun`, BUN], { cwd: folder, env });
  });

  const deno = await project("deno-app", { "deno.json": settings, "first.ts": first });
  await step(
    "Deno: links",
    () =>
      answers(
        ["deno", "run", "--no-prompt", "--allow-net=127.0.0.1", "--allow-env", "first.ts"],
        deno,
      ),
  );

  const node = await project("node-app", { "first.mjs": first });
  await step(`Node: ${packClone}`, async () => {
    const { stdout, stderr } = await shell(packClone, node);
    const lines = `${stdout}${stderr}`.trim().split("\n");
    if (lines.length !== 1) throw new Error(`It says more than one line:\n${lines.join("\n")}`);
  });
  await step(`Node: ${npmInstall}`, async () => {
    await shell(npmInstall, node);
    await answers(["node", "first.mjs"], node);
  });

  await step("Node: npm audit", async () => {
    const { success, stdout } = await run(["npm", "audit", "--json"], { cwd: node, env });
    const { metadata } = stdout === "" ? {} : JSON.parse(stdout);
    if (metadata === undefined) return "not answered by this registry";
    if (!success) throw new Error(`It is vulnerable: ${JSON.stringify(metadata.vulnerabilities)}`);
    return undefined;
  });

  const bun = await project("bun-app", { "first.mjs": first, "package.json": "{}" });
  await step(`Bun: ${bunAdd}`, async () => {
    await shell(bunAdd, bun);
    await answers(["bun", "first.mjs"], bun);
  });

  const others = ["What it does", "Errors"]
    .flatMap((heading) => blocks(section(readme, heading), "ts"));
  const [installZod = "", ...addZod] = section(readme, "What it does")
    .match(/(?:npm install|bun add|deno add) (?:npm:)?zod/g) ?? [];
  await step("Node, Bun and Deno: README's other programs", async () => {
    if (others.length < 2 || addZod.length !== 2) throw new Error("README.md has too few of them");
    await shell(installZod, node);
    for (const [at, cwd] of [bun, deno].entries()) await shell(addZod[at] ?? "", cwd);
    for (const [at, code] of others.entries()) {
      await Deno.writeTextFile(`${node}/${at}.mjs`, code);
      for (const cwd of [bun, deno]) await Deno.writeTextFile(`${cwd}/${at}.ts`, code);
      await must(["node", `${at}.mjs`], { cwd: node, env });
      await must(["bun", `${at}.ts`], { cwd: bun, env });
      const flags = ["--no-prompt", "--check", "--allow-net=127.0.0.1", "--allow-env"];
      await must([Deno.execPath(), "run", ...flags, `${at}.ts`], { cwd: deno, env });
    }
  });

  await step("Deno, Node and Bun: getting started, program by program", async () => {
    const guide = await Deno.readTextFile(`${ROOT}docs/getting-started.md`);
    const programs = blocks(guide, "ts");
    if (programs.length < 6) throw new Error("docs/getting-started.md has too few programs");
    for (const code of programs) {
      await Deno.writeTextFile(`${deno}/main.ts`, code);
      await Deno.writeTextFile(`${node}/main.mts`, withoutRegistry(code));
      await Deno.writeTextFile(`${bun}/main.ts`, withoutRegistry(code));
      const flags = ["--no-prompt", "--check", "--allow-net=127.0.0.1", "--allow-env"];
      await must([Deno.execPath(), "run", ...flags, "main.ts"], { cwd: deno, env });
      await must(["bun", "main.ts"], { cwd: bun, env });
      const { stderr } = await must([...NODE, "main.mts"], { cwd: node, env });
      if (stderr.includes("MODULE_TYPELESS")) throw new Error(`Node warns:\n${stderr}`);
    }
  });

  await step("Node and Bun: the examples", async () => {
    const guide = await Deno.readTextFile(`${ROOT}docs/examples.md`);
    const [copy = ""] = blocks(section(guide, "The examples on Node and Bun"), "sh");
    const [copying = "", installing = ""] = copy.trim().split("\n");
    for (
      const [cwd, install] of [[node, installing], [
        bun,
        installing.replace("npm install", "bun add"),
      ]]
    ) {
      await shell(copying, cwd ?? "");
      await shell(install ?? "", cwd ?? "");
    }
    const [asModules = ""] = /npm pkg set [\w=]+/.exec(guide) ?? [];
    await shell(asModules, node);
    await answers(["bun", "examples/stream.ts"], bun);
    await answers([...NODE, "examples/stream.ts"], node);
    for (const [file, ...args] of WITH_FAKE) {
      await must(["bun", `examples/${file}`, ...args, "--fake"], { cwd: bun, env });
      await must([...NODE, `examples/${file}`, ...args, "--fake"], { cwd: node, env });
    }
    await must(["bun", "test", "./examples/summary_test.ts"], { cwd: bun, env });
    await must([...NODE, "--test", "examples/summary_test.ts"], { cwd: node, env });
  });
} finally {
  await Deno.remove(folder, { recursive: true });
}

/** Prints a line with "ok" or another result, and below it the reason of a failure; later steps run anyway. */
async function step(name: string, run: () => Promise<unknown>): Promise<void> {
  const started = performance.now();
  let problem: unknown;
  let said: unknown;
  try {
    said = await run();
  } catch (error) {
    problem = error;
    process.exitCode = 1;
  }
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const passed = typeof said === "string" ? said : "ok";
  console.log(`${name}: ${problem === undefined ? passed : "FAILED"} (${seconds} s)`);
  if (problem !== undefined) console.log(problem instanceof Error ? problem.message : problem);
}

/** The current files, except those that git ignores. */
async function clone(target: string): Promise<void> {
  const list = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"];
  const { stdout } = await must(list, { cwd: ROOT });
  for (const path of stdout.split("\0").filter((path) => path !== "")) {
    await Deno.mkdir(`${target}/${path}`.replace(/\/[^/]*$/, ""), { recursive: true });
    await Deno.copyFile(ROOT + path, `${target}/${path}`);
  }
}

/** A folder with only these files. */
async function project(name: string, files: Record<string, string>): Promise<string> {
  await Deno.mkdir(`${folder}/${name}`);
  for (const [file, text] of Object.entries(files)) {
    await Deno.writeTextFile(`${folder}/${name}/${file}`, text);
  }
  return `${folder}/${name}`;
}

/** As documented for Node and Bun: without `jsr:`, `npm:` and the version. */
function withoutRegistry(code: string): string {
  return code.replace(/"(?:jsr|npm):(@?[^@"]+)(?:@[^/"]+)?/g, '"$1');
}

function shell(command: string, cwd: string) {
  if (command === "") throw new Error("README.md has no such command");
  return must(["sh", "-c", command], { cwd, env });
}

async function answers(command: string[], cwd: string): Promise<void> {
  const before = fake.requests.length;
  const [file = "", ...args] = command;
  const { stdout } = await must([file === "deno" ? Deno.execPath() : file, ...args], { cwd, env });
  if (!stdout.startsWith(`${REPLY}\n`)) throw new Error(`It printed ${JSON.stringify(stdout)}`);
  const asked = JSON.stringify(fake.requests.slice(before).map(({ body }) => body));
  if (!asked.includes(QUESTION)) throw new Error(`It asked ${asked}`);
}

function section(text: string, heading: string): string {
  return text.split(`\n## ${heading}\n`)[1]?.split("\n## ")[0] ?? "";
}

function blocks(text: string, language: string): string[] {
  const fence = new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, "gms");
  return [...text.matchAll(fence)].map(([, code = ""]) => code);
}
