/**
 * A small agent. It reads the files in a folder and, if you allow it, writes files and runs commands there:
 *
 *     deno run -A examples/agent.ts "Which of these files is the longest?" .
 *
 * Add `--fake` to get the answers from a fake LM Studio. In your own project, leave out "./fake.ts" and import from
 * "@patinox/lmstudio" instead of "../mod.ts" (or, on Deno, from "jsr:@patinox/lmstudio" without installing it).
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
/** In characters: a longer result would fill the context. */
const LONGEST_RESULT = 8_000;
const NEED_APPROVAL: readonly string[] = ["write_file", "run"];
const INSTRUCTIONS = "You work in one folder with the tools you have. Look before you answer. " +
  "If the user denies a call, do not try it again; say what you wanted to do.";

const tools = [
  tool({
    name: "list_files",
    description: "Lists the entries of a folder; names that end with / are folders",
    parameters: z.object({ path: z.string().describe("Relative path, such as src") }),
    execute: async ({ path }) => {
      const entries = await readdir(await inside(path), { withFileTypes: true });
      return entries.map((entry) => entry.name + (entry.isDirectory() ? "/" : "")).sort();
    },
  }),
  tool({
    name: "read_file",
    description: "Reads a text file",
    parameters: z.object({ path: z.string() }),
    execute: async ({ path }) => shortened(await readFile(await inside(path), "utf8")),
  }),
  tool({
    name: "write_file",
    description: "Writes a text file, replacing an existing one",
    parameters: z.object({ path: z.string(), text: z.string() }),
    execute: async ({ path, text }) => {
      await writeFile(await inside(path), text);
      return `wrote ${path}`;
    },
  }),
  tool({
    name: "run",
    description: "Runs a shell command in the folder and returns its output",
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
  // Otherwise the program would keep waiting for input.
  answers.close();
}

/** Asks the user at the terminal. No answer means no. */
async function approve({ name }: ToolCall): Promise<{ deny: string } | undefined> {
  if (!NEED_APPROVAL.includes(name)) return undefined;
  process.stdout.write("Allow this? [y/N] ");
  const { value } = await lines.next();
  return /^y(es)?$/i.test(value ?? "") ? undefined : { deny: "The user did not allow this." };
}

/** Resolves a path, and rejects if it leads out of the folder, links included. */
async function inside(path: string): Promise<string> {
  const wanted = resolve(ROOT, path);
  // A file that does not exist yet has no real path, but its folder does.
  const real = await realpath(wanted)
    .catch(async () => join(await realpath(dirname(wanted)), basename(wanted)));
  const fromRoot = relative(ROOT, real);
  if (fromRoot.startsWith("..") || isAbsolute(fromRoot)) {
    throw new Error(`${path} is not in the folder`);
  }
  return real;
}

/** Runs a command with all permissions of this program: your approval is the only limit. */
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
  return left <= 0 ? text : `${text.slice(0, length)}\n(and ${left} more characters)`;
}
