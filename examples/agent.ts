/**
 * A small agent. It reads the files in a folder and, if you allow it, writes files and runs commands there:
 *
 *     deno run -A examples/agent.ts "Which of these files is the longest?" .
 *
 * Add `--fake` to get the answers from a fake LM Studio. In your own project, leave out "./fake.ts" and import from
 * "@patinox/lmstudio" instead of "../mod.ts" (or, on Deno, from "jsr:@patinox/lmstudio" without installing it).
 */
import "./fake.ts";
import { spawn } from "node:child_process";
import { lstat, readdir, readFile, realpath, stat, writeFile } from "node:fs/promises";
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import * as z from "zod";
import { isProviderError, LMStudioProvider, tool, type ToolCall } from "../mod.ts";

const [task = "What is in this folder?", folder = "."] = process.argv.slice(2);
const ROOT = await realpath(folder);
const COMMAND_LIMIT_MS = 60_000;
/** In characters: a longer result would fill the context. */
const LONGEST_RESULT = 8_000;
const LARGEST_FILE_BYTES = 10_000_000;
const MOST_ENTRIES = 500;
const IS_WINDOWS = process.platform === "win32";
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
      const names = entries.map((entry) => entry.name + (entry.isDirectory() ? "/" : "")).sort();
      const left = names.length - MOST_ENTRIES;
      return left <= 0 ? names : [...names.slice(0, MOST_ENTRIES), `(and ${left} more)`];
    },
  }),
  tool({
    name: "read_file",
    description: "Reads a text file",
    parameters: z.object({ path: z.string() }),
    execute: async ({ path }) => shortened(await readFile(await fileInside(path), "utf8")),
  }),
  tool({
    name: "write_file",
    description: "Writes a text file, replacing an existing one",
    parameters: z.object({ path: z.string(), text: z.string() }),
    execute: async ({ path, text }) => {
      await writeFile(await fileInside(path), text);
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

// Ctrl+C ends a command that is running as well, and the model's answer.
const interrupt = new AbortController();
for (const name of ["SIGINT", "SIGTERM", "SIGHUP"]) process.once(name, () => interrupt.abort());

/** Lines that the user has typed, and the function that waits for the next. */
const lines: string[] = [];
let isInputOver = false;
let wake = () => {};
const input = createInterface({ input: process.stdin })
  .on("line", (line) => {
    lines.push(line);
    wake();
  })
  .on("close", () => {
    isInputOver = true;
    wake();
  });
try {
  const stream = new LMStudioProvider().streamTools({
    messages: [{ role: "system", content: INSTRUCTIONS }, task],
    tools,
    onToolCall: approve,
    // One call after the other: a question for approval follows the call it is about.
    parallel: false,
    maxRounds: 30,
    contextOverflowPolicy: "rollingWindow",
  }, { signal: interrupt.signal });
  for await (const event of stream) {
    if (event.type === "chunk") process.stdout.write(visible(event.chunk.content));
    else if (event.type === "call") {
      console.log(`\n> ${event.call.name} ${visibleCall(event.call)}`);
    } else console.log(visible(shortened(event.result, 300)));
  }
  console.log();
} catch (error) {
  if (interrupt.signal.aborted) console.error("\nStopped.");
  else if (isProviderError(error)) console.error(`\n${visible(error.message)}`);
  else throw error;
  process.exitCode = 1;
} finally {
  // Otherwise the program would keep waiting for input.
  input.close();
}

/** Asks the user at the terminal. No answer means no. */
async function approve({ name }: ToolCall): Promise<{ deny: string } | undefined> {
  if (!NEED_APPROVAL.includes(name)) return undefined;
  // What was typed before the question does not answer it.
  if (process.stdin.isTTY) lines.length = 0;
  process.stdout.write("Allow this? [y/N] ");
  while (lines.length === 0 && !isInputOver) await new Promise<void>((resolve) => wake = resolve);
  const line = lines.shift() ?? "";
  return /^y(es)?$/i.test(line.trim()) ? undefined : { deny: "The user did not allow this." };
}

/** The arguments as the tool gets them: JSON text can name a field twice, and write a command in escapes. */
function visibleCall({ arguments: text }: ToolCall): string {
  try {
    return visible(JSON.stringify(JSON.parse(text)));
  } catch {
    return visible(text);
  }
}

/** Escapes control and other invisible characters: a terminal would obey them, and hide what a command does. */
function visible(text: string): string {
  return text.replaceAll("\r\n", "\n").replace(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    (char) => /[\n\t\u200d]/.test(char) ? char : `\\u{${char.codePointAt(0)?.toString(16)}}`,
  );
}

/** Resolves a path, and rejects if it leads out of the folder, links included. */
async function inside(path: string): Promise<string> {
  const wanted = resolve(ROOT, path);
  const real = await realpath(wanted).catch(async (error) => {
    // A new file has no real path, but its folder does. A link to nothing is there: writing would follow it.
    if (await lstat(wanted).then(() => true, () => false)) throw error;
    return join(await realpath(dirname(wanted)), basename(wanted));
  });
  const fromRoot = relative(ROOT, real);
  if (fromRoot.split(sep)[0] === ".." || isAbsolute(fromRoot)) {
    throw new Error(`${path} is not in the folder`);
  }
  return real;
}

/** A file to read or write: not a pipe or a device, which may never end, and not too large for the memory. */
async function fileInside(path: string): Promise<string> {
  const real = await inside(path);
  const info = await stat(real).catch(() => undefined);
  if (info !== undefined && !info.isFile()) throw new Error(`${path} is not a file`);
  if (info !== undefined && info.size > LARGEST_FILE_BYTES) {
    throw new Error(`${path} is too large: ${info.size} bytes`);
  }
  return real;
}

/** Runs a command with all permissions of this program: your approval is the only limit. */
function run(command: string, signal: AbortSignal | undefined): Promise<string> {
  return new Promise((done) => {
    const child = spawn(command, {
      cwd: ROOT,
      shell: true,
      stdio: ["ignore", "pipe", "pipe"],
      // A group of its own, so that everything it has started can be ended together.
      detached: !IS_WINDOWS,
    });
    const end = () => {
      try {
        if (IS_WINDOWS || child.pid === undefined) child.kill();
        else process.kill(-child.pid, "SIGKILL");
      } catch {
        // Nothing is left of it.
      }
    };
    const timer = setTimeout(end, COMMAND_LIMIT_MS);
    signal?.addEventListener("abort", end);
    let output = "";
    for (const pipe of [child.stdout, child.stderr]) {
      pipe.setEncoding("utf8").on("data", (text) => {
        output += text;
        if (output.length > LARGEST_FILE_BYTES) end();
      });
    }
    child.on("exit", end);
    child.on("error", (error) => done(`(failed: ${error.message})`));
    child.on("close", (code, cause) => {
      clearTimeout(timer);
      done(shortened(output.trim() + (code === 0 ? "" : `\n(failed: code ${code ?? cause})`)));
    });
  });
}

function shortened(text: string, length = LONGEST_RESULT): string {
  const left = text.length - length;
  return left <= 0 ? text : `${text.slice(0, length)}\n(and ${left} more characters)`;
}
