/**
 * A small agent: it looks at the files of a folder, and writes files and runs commands there if you allow it:
 *
 *     deno run -A examples/agent.ts "Which of these files is the longest?" .
 *
 * `--fake` behind it lets a fake LM Studio answer. In your own project leave out "./fake.ts", and import from
 * "@patinox/lmstudio" instead of "../mod.ts" (on Deno without installing it, from "jsr:@patinox/lmstudio").
 */
import "./fake.ts";
import { exec } from "node:child_process";
import { readdir, readFile, realpath, writeFile } from "node:fs/promises";
import { basename, dirname, isAbsolute, join, relative, resolve } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import * as z from "zod";
import { isProviderError, LMStudioProvider, tool, type ToolCall } from "../mod.ts";

const [task = "What is in this folder?", folder = "."] = process.argv.slice(2);
const ROOT = await realpath(folder);
const COMMAND_LIMIT_MS = 60_000;
/** A long result would leave no room for anything else in the context. */
const LONGEST_RESULT = 8_000;
const NEED_APPROVAL: readonly string[] = ["write_file", "run"];
const INSTRUCTIONS = "You work in one folder with the tools you have. Look before you answer. " +
  "If the user denies a call, do not try it again: say what you wanted to do.";

const tools = [
  tool({
    name: "list_files",
    description: "The entries of a folder; those that end with / are folders",
    parameters: z.object({ path: z.string().describe("Relative, such as src") }),
    execute: async ({ path }) => {
      const entries = await readdir(await inside(path), { withFileTypes: true });
      return entries.map((entry) => entry.name + (entry.isDirectory() ? "/" : "")).sort();
    },
  }),
  tool({
    name: "read_file",
    description: "The text of a file",
    parameters: z.object({ path: z.string() }),
    execute: async ({ path }) => shortened(await readFile(await inside(path), "utf8")),
  }),
  tool({
    name: "write_file",
    description: "Writes a file, in place of the one that is there",
    parameters: z.object({ path: z.string(), text: z.string() }),
    execute: async ({ path, text }) => {
      await writeFile(await inside(path), text);
      return `wrote ${path}`;
    },
  }),
  tool({
    name: "run",
    description: "Runs a command in the folder and gives what it prints",
    parameters: z.object({ command: z.string() }),
    execute: async ({ command }, { signal }) => await run(command, signal),
  }),
];

const answers = createInterface({ input: process.stdin });
const lines = answers[Symbol.asyncIterator]();
try {
  const stream = new LMStudioProvider().streamTools({
    messages: [{ role: "system", content: INSTRUCTIONS }, task],
    tools,
    onToolCall: approve,
    maxRounds: 30,
    contextOverflowPolicy: "rollingWindow",
  });
  for await (const event of stream) {
    if (event.type === "chunk") process.stdout.write(event.chunk.content);
    else if (event.type === "call") console.log(`\n> ${event.call.name} ${event.call.arguments}`);
    else console.log(shortened(event.result, 300));
  }
  console.log();
} catch (error) {
  if (!isProviderError(error)) throw error;
  console.error(`\n${error.message}`);
  process.exitCode = 1;
} finally {
  // Else the program would wait for more answers.
  answers.close();
}

/** Asks whoever sits at the terminal. No answer is no. */
async function approve({ name }: ToolCall): Promise<{ deny: string } | undefined> {
  if (!NEED_APPROVAL.includes(name)) return undefined;
  process.stdout.write("Allow it? [y/N] ");
  const { value } = await lines.next();
  return /^y(es)?$/i.test(value ?? "") ? undefined : { deny: "The user does not allow this." };
}

/** The path, if it is in the folder: a link that leads out of it is not. */
async function inside(path: string): Promise<string> {
  const wanted = resolve(ROOT, path);
  // A file that is still to be written has no real path, but its folder has.
  const real = await realpath(wanted)
    .catch(async () => join(await realpath(dirname(wanted)), basename(wanted)));
  const fromRoot = relative(ROOT, real);
  if (fromRoot.startsWith("..") || isAbsolute(fromRoot)) {
    throw new Error(`${path} is not in the folder`);
  }
  return real;
}

/** A command has all rights of this program: the approval is its only limit. */
function run(command: string, signal: AbortSignal | undefined): Promise<string> {
  return new Promise((done) => {
    const options = { cwd: ROOT, timeout: COMMAND_LIMIT_MS, ...(signal && { signal }) };
    exec(command, options, (error, stdout, stderr) => {
      const end = error === null ? "" : `\n(failed: code ${error.code ?? error.signal})`;
      done(shortened(`${stdout}${stderr}`.trim() + end));
    });
  });
}

function shortened(text: string, length = LONGEST_RESULT): string {
  const left = text.length - length;
  return left <= 0 ? text : `${text.slice(0, length)}\n(and ${left} characters more)`;
}
