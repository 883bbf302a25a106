/**
 * Entry point of the command line: runs the command that is named, prints an error as one sentence, returns the exit
 * code.
 *
 * @module
 */

import { nearestName, quote } from "../core/fields.ts";
import { isProviderError } from "../core/errors.ts";
import { type Command, helpOf, Interrupted, readArguments, UsageError } from "./arguments.ts";
import { EXIT, exitCodeOf } from "./exit_codes.ts";
import { alignColumns, shown, type Streams, Terminal } from "./terminal.ts";

/** Each command's summary and a loader of its file, so that only the command in use is loaded. */
const COMMANDS: Readonly<
  Record<string, readonly [summary: string, load: () => Promise<{ readonly command: Command }>]>
> = {
  doctor: ["Find out why a server does not work.", () => import("./doctor.ts")],
  models: ["List models.", () => import("./models.ts")],
  chat: ["Ask a model, once or in a conversation.", () => import("./chat.ts")],
  embed: ["Turn texts into vectors.", () => import("./embed.ts")],
  decide: ["Ask a decision model typed questions.", () => import("./decide.ts")],
  load: ["Load a model.", () => import("./load.ts")],
  unload: ["Unload a model.", () => import("./unload.ts")],
  download: ["Download a model.", () => import("./download.ts")],
  env: ["Print variables that point other programs at the server.", () => import("./env.ts")],
  verify: [
    "Check what this package assumes about LM Studio against a real server.",
    () => import("./verify.ts"),
  ],
  record: ["Record the traffic between a program and the server.", () => import("./record.ts")],
  replay: ["Serve a recording.", () => import("./replay.ts")],
  drift: ["Compare a recording with the fake server.", () => import("./drift.ts")],
  "serve-fake": ["Serve a fake LM Studio for tests.", () => import("./serve_fake.ts")],
};

/** Runs the command that the arguments name. @returns the exit code. */
export async function runCommandLine(args: readonly string[], streams: Streams): Promise<number> {
  const terminal = new Terminal(streams);
  try {
    return await run(args, terminal);
  } catch (error) {
    await terminal.endProgress();
    if (error instanceof Interrupted) return EXIT.interrupted;
    await terminal.note(shown(wordsOf(error)), "red");
    if (args.includes("--debug") && error instanceof Error && error.stack !== undefined) {
      await terminal.note(shown(error.stack), "dim");
    }
    if (error instanceof UsageError) return EXIT.usage;
    return isProviderError(error) ? exitCodeOf(error.kind) : 1;
  }
}

async function run(args: readonly string[], terminal: Terminal): Promise<number> {
  const [name, ...rest] = args[0] === "help" ? [...args.slice(1, 2), "--help"] : args;
  if (name === undefined || name === "--help" || name === "-h") {
    await terminal.line(overview(terminal));
    return name === undefined ? EXIT.usage : 0;
  }
  const entry = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (entry === undefined) {
    const nearest = nearestName(name, Object.keys(COMMANDS));
    throw new UsageError(
      `Cannot run ${quote(name)}: there is no such command. ` +
        (nearest === undefined
          ? "See `lmstudio --help` for the list."
          : `Did you mean ${nearest}?`),
    );
  }
  const { command } = await entry[1]();
  const given = readArguments(name, command, rest);
  if (given.options.help !== undefined) {
    await terminal.line(helpOf(name, command, terminal.columns));
    return 0;
  }
  return await command.run({ ...given, terminal });
}

function overview(terminal: Terminal): string {
  const rows = Object.entries(COMMANDS).map(([name, [summary]]) => [`  ${name}`, summary]);
  return [
    "Usage: lmstudio <command> [options]",
    "",
    terminal.style("bold", "Commands:"),
    ...alignColumns(rows),
    "",
    "Run `lmstudio <command> --help` for details, and `lmstudio doctor` if something does not work.",
  ].join("\n");
}

/** The error as one sentence, with its remedy. */
function wordsOf(error: unknown): string {
  if (!(error instanceof Error)) return `Cannot continue: ${String(error)}`;
  return error.message === "" ? error.name : error.message;
}
