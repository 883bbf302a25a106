/** The `doctor` command examines a server and names one cause. */

import { lookup } from "node:dns/promises";
import { connect } from "node:net";
import { ERROR_CODES, isKnownCode } from "../core/error_codes.ts";
import { resolveWithSources } from "../platform/environment.ts";
import { readSurroundings } from "../platform/surroundings.ts";
import {
  type Command,
  type Given,
  numberOf,
  providerOf,
  providerOptions,
  SERVER_OPTIONS,
} from "./arguments.ts";
import { type Cause, causeOfAll } from "./causes.ts";
import { exitCodeOf } from "./exit_codes.ts";
import { examine } from "./examination.ts";
import type { Facts, Finding, Place, State } from "./findings.ts";
import { type Style, type Terminal, wrap } from "./terminal.ts";

const PATIENCE_S = 30;

export const command: Command = {
  usage: "[options]",
  about:
    "Examines the connection to the server and the models it has, step by step, then names one cause and what to " +
    "do next. Loads nothing and changes nothing; a model that is already loaded is asked for a few tokens.",
  options: {
    ...SERVER_OPTIONS,
    model: { value: "NAME", help: "The model that your application requests." },
    context: {
      value: "TOKENS",
      help: "How many tokens your application needs, prompt and answer together.",
    },
    origin: {
      value: "URL",
      help:
        "Check whether pages from this origin, such as http://localhost:5173, may call the server.",
    },
    patience: {
      value: "SECONDS",
      help: `How long the first token may take. Default: ${PATIENCE_S}.`,
    },
    json: { help: "Print the findings as JSON." },
  },
  examples: [
    ["doctor", "The configured server, or the one on this machine."],
    ["doctor --base-url http://192.168.1.20:1234", "A server on another machine."],
    ["doctor --context 32768 --origin http://localhost:5173", "Check what an application needs."],
  ],
  run: (given) => runDoctor(given, THIS_MACHINE),
};

/** Examines the server as seen from a place. @returns the exit code of the cause. */
export async function runDoctor(given: Given, place: Place): Promise<number> {
  const { terminal, options } = given;
  const model = options.model;
  const cascade = resolveWithSources(providerOptions(given));
  const entry = cascade.entries.find(({ key }) => key === "baseUrl");
  const findings: Finding[] = [];
  const facts = await examine(
    {
      provider: providerOf(given),
      config: cascade.config,
      source: sourceOf(entry),
      model,
      context: numberOf(given, "context"),
      origin: options.origin === undefined ? undefined : originOf(options.origin),
      patienceMs: (numberOf(given, "patience") ?? PATIENCE_S) * 1000,
      env: terminal.streams.env,
    },
    place,
    async (finding) => {
      findings.push(finding);
      if (options.json === undefined) await showFinding(finding, terminal);
    },
  );
  const cause = causeOfAll(facts);
  const exitCode = exitCodeOfCause(cause);
  if (options.json !== undefined) {
    const { baseUrl } = facts;
    await terminal.json({
      baseUrl,
      findings,
      cause: cause ?? null,
      exitCode,
    });
  } else {
    await showCause(cause, facts, terminal);
  }
  return exitCode;
}

function exitCodeOfCause(cause: Cause | undefined): number {
  if (cause === undefined) return 0;
  return isKnownCode(cause.code) ? exitCodeOf(ERROR_CODES[cause.code].kind) : 1;
}

function sourceOf(
  entry: { source: string; origin?: string } | undefined,
): string {
  switch (entry?.source) {
    case "option":
      return "from --base-url";
    case "default":
    case undefined:
      return "the default";
    default:
      return `from ${entry?.origin ?? entry?.source}`;
  }
}

/** Origin of a page's address, such as `http://localhost:5173/app`. */
function originOf(text: string): string {
  try {
    const { origin } = new URL(text);
    return origin === "null" ? text : origin;
  } catch {
    return text;
  }
}

// --- What is shown ----------------------------------------------------------------------------

const MARKS: Readonly<Record<State, readonly [mark: string, style: Style]>> = {
  ok: ["ok", "green"],
  warning: ["!!", "yellow"],
  failure: ["NO", "red"],
  note: ["--", "cyan"],
  skipped: ["..", "dim"],
};
const STEP_WIDTH = 13;

async function showFinding(
  { step, state, evidence, command }: Finding,
  terminal: Terminal,
): Promise<void> {
  const [mark, style] = MARKS[state];
  const indent = mark.length + 1 + STEP_WIDTH + 1;
  const width = terminal.columns - indent;
  // A narrow window has no room next to the step names.
  const isNarrow = width < 24;
  const lines = wrap(evidence, isNarrow ? terminal.columns - 2 : width);
  const [first = "", ...rest] = lines;
  const head = `${terminal.style(style, mark)} ${step.padEnd(STEP_WIDTH)}`;
  const body = isNarrow
    ? [head.trimEnd(), ...lines.map((line) => `  ${line}`)]
    : [`${head} ${first}`, ...rest.map((line) => " ".repeat(indent) + line)];
  const last = body[body.length - 1] ?? "";
  // A command is meant to be copied, so it is never wrapped.
  const shown = command === undefined ? "" : `$ ${command}`;
  const lastLength = isNarrow || rest.length > 0 ? last.length : indent + first.length;
  if (shown !== "" && state !== "skipped") {
    if (lastLength + 3 + shown.length <= terminal.columns) {
      body[body.length - 1] = `${last}   ${terminal.style("dim", shown)}`;
    } else {
      body.push(" ".repeat(isNarrow ? 2 : indent) + terminal.style("dim", shown));
    }
  }
  for (const line of body) await terminal.line(line);
}

async function showCause(
  cause: Cause | undefined,
  { model, generation }: Facts,
  terminal: Terminal,
): Promise<void> {
  await terminal.line();
  if (cause === undefined) {
    const what = model === undefined || generation === undefined ? "The server" : model.id;
    await terminal.line(`${terminal.style("green", "No fault found.")} ${what} answers.`);
    return;
  }
  const show = async (head: string, style: Style, text: string): Promise<void> => {
    const [first = "", ...rest] = wrap(text, terminal.columns - 7);
    await terminal.line(`${terminal.style(["bold", style], head.padEnd(6))} ${first}`);
    for (const line of rest) await terminal.line(`       ${line}`);
  };
  await show("Cause", "red", cause.cause);
  await show("Next", "green", cause.next);
}

// --- This machine -----------------------------------------------------------------------------

/** The real machine and its network. */
export const THIS_MACHINE: Place = {
  lookup: (name) => lookup(name, { all: true }),
  connect: (host, port, signal) =>
    new Promise((resolve, reject) => {
      const socket = connect({ host, port });
      const end = (): void => {
        socket.destroy();
      };
      signal.addEventListener("abort", end, { once: true });
      socket.on("connect", () => {
        end();
        resolve();
      });
      // Not `once`: a second error would crash the process.
      socket.on("error", (error) => {
        end();
        reject(error);
      });
    }),
  surroundings: () => readSurroundings(),
  fetch: (input, init) => globalThis.fetch(input, init),
};
