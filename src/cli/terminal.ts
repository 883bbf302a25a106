/**
 * Terminal that commands write to and read from: plain text in a pipe, colors and progress lines on a real terminal.
 * Tests pass their own streams.
 *
 * @module
 */

import process from "node:process";
import type { WriteStream } from "node:tty";
// Not imported by name: Node before 20.12 has no `styleText`, and a missing named import is fatal.
import * as util from "node:util";
import { readEnvironment } from "../platform/environment.ts";

/** Destination of text. */
export interface Output {
  readonly isTerminal: boolean;
  /** Width of the window; absent if there is no window. */
  readonly columns?: number | undefined;
  /** Resolves once there is room for more. */
  write(text: string): void | Promise<void>;
}

/** Source of text. */
export interface Input {
  readonly isTerminal: boolean;
  /** Text as it arrives, on a terminal line by line. Ending the iteration releases the input. */
  read(): AsyncIterable<string>;
}

/** Everything a command uses of the outside world, except the server. */
export interface Streams {
  readonly output: Output;
  readonly errors: Output;
  readonly input: Input;
  /** Environment to use instead of the process's. */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  /** Calls the listener on Ctrl+C instead of ending the program. @returns a function that removes the listener. */
  onInterrupt(listener: () => void): () => void;
}

/** Text style, if colors are shown. */
export type Style = "bold" | "dim" | "red" | "green" | "yellow" | "cyan";

const MOST_COLUMNS = 110;
const LEAST_COLUMNS = 30;
/** Escape sequences are removed whole: without the escape character, the rest would be visible. */
const SEQUENCES =
  // deno-lint-ignore no-control-regex -- these are the characters to find.
  /\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\|$)|\x9b[0-?]*[ -/]*[@-~]/g;

/** Writes a command's results to stdout and everything else to stderr. */
export class Terminal {
  readonly streams: Streams;
  readonly #hasColor: boolean;
  #progress = "";

  constructor(streams: Streams) {
    this.streams = streams;
    const { NO_COLOR = "", TERM } = streams.env ?? readEnvironment(["NO_COLOR", "TERM"]);
    this.#hasColor = NO_COLOR === "" && TERM !== "dumb";
  }

  /** Whether stdout is a terminal. */
  get isWatched(): boolean {
    return this.streams.output.isTerminal;
  }

  /** Width for text, within limits. */
  get columns(): number {
    const { columns = 80 } = this.streams.output;
    return Math.max(LEAST_COLUMNS, Math.min(MOST_COLUMNS, columns));
  }

  /** Applies a style; returns the text unchanged if colors are not shown. */
  style(
    style: Style | readonly Style[],
    text: string,
    output: Output = this.streams.output,
  ): string {
    if (!this.#hasColor || !output.isTerminal || text === "") return text;
    // Already checked for our streams; `util` would check those of the process.
    return util.styleText?.(style as Style, text, { validateStream: false }) ?? text;
  }

  /** Writes text unchanged. */
  async write(text: string): Promise<void> {
    await this.streams.output.write(text);
  }

  /** Writes one line of the result. */
  async line(text = ""): Promise<void> {
    await this.streams.output.write(`${text}\n`);
  }

  /** Writes the result as JSON, for programs. */
  async json(value: unknown): Promise<void> {
    await this.line(shownJson(value, 2));
  }

  /** Writes a line to stderr, so that it is not in a pipe. */
  async note(text: string, style?: Style): Promise<void> {
    await this.endProgress();
    const { errors } = this.streams;
    await errors.write(`${style === undefined ? text : this.style(style, text, errors)}\n`);
  }

  /** Shows progress on a line that the next call rewrites. Does nothing if stderr is not a terminal. */
  async progress(text: string): Promise<void> {
    const { errors } = this.streams;
    if (!errors.isTerminal) return;
    const shown = text.slice(0, Math.max(1, (errors.columns ?? 80) - 1));
    const rest = " ".repeat(Math.max(0, this.#progress.length - shown.length));
    // Set before writing, so that `endProgress()` need not wait for the write.
    this.#progress = shown;
    await errors.write(`\r${shown}${rest}`);
  }

  /** Ends the progress line, which is kept or cleared. */
  async endProgress(keep = false): Promise<void> {
    if (this.#progress === "") return;
    const { length } = this.#progress;
    this.#progress = "";
    await this.streams.errors.write(keep ? "\n" : `\r${" ".repeat(length)}\r`);
  }
}

/**
 * Control characters, direction marks and lone surrogates. Joiners are kept, because many scripts and emoji are composed
 * with them.
 */
const UNSEEN = /(?![\n\t\u200c\u200d])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;
/** Trailing text whose meaning depends on the text to come: half a character, a line end, an escape sequence. */
const UNFINISHED =
  // deno-lint-ignore no-control-regex -- as above.
  /(?:[\ud800-\udbff]|\r|\x9b[0-?]{0,32}[ -/]{0,8}|\x1b(?:\[[0-?]{0,32}[ -/]{0,8}|\][^\x07\x1b]{0,256})?)$/;

/** Removes everything that would control the terminal from a server's or model's text; line breaks and tabs stay. */
export function shown(text: string): string {
  return text.replace(SEQUENCES, "").replace(/\r\n?/g, "\n").replace(UNSEEN, "");
}

/** The same for a text that arrives in chunks; an empty chunk ends it. */
export function showChunks(): (chunk: string) => string {
  let held = "";
  return (chunk) => {
    const text = held + chunk;
    held = chunk === "" ? "" : UNFINISHED.exec(text)?.[0] ?? "";
    return shown(text.slice(0, text.length - held.length));
  };
}

/** A server's or model's text on one line. */
export function shownOnOneLine(text: string): string {
  return shown(text).replace(/\s+/g, " ").trim();
}

/** JSON that cannot control the terminal either: `JSON.stringify` leaves some of these characters unescaped. */
export function shownJson(value: unknown, indent?: number): string {
  return JSON.stringify(value, null, indent).replace(
    UNSEEN,
    (unseen) =>
      unseen.split("").map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)
        .join(""),
  );
}

/** Wraps text into lines of at most `width` characters; a longer word gets its own line. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}

/** Pads cells so that columns align; the last column is not padded. */
export function alignColumns(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, at) => widths[at] = Math.max(widths[at] ?? 0, cell.length));
  }
  return rows.map((row) =>
    row.map((cell, at) => at === row.length - 1 ? cell : cell.padEnd(widths[at] ?? 0)).join("  ")
      .trimEnd()
  );
}

// --- The process's own ------------------------------------------------------------------------

let own: Streams | undefined;

/** Streams of this process; every call returns the same ones. */
export function processStreams(): Streams {
  return own ??= {
    output: outputOf(process.stdout),
    errors: outputOf(process.stderr),
    input: {
      isTerminal: process.stdin.isTTY === true,
      read: readStdin,
    },
    onInterrupt(listener) {
      process.on("SIGINT", listener);
      return () => process.off("SIGINT", listener);
    },
  };
}

function outputOf(stream: WriteStream): Output {
  // `… | head` closes the pipe. Nobody is reading any more, so there is no error to report.
  stream.on("error", (error: { code?: unknown }) => {
    if (error.code === "EPIPE") process.exit(0);
    throw error;
  });
  return {
    isTerminal: stream.isTTY === true,
    get columns() {
      return stream.columns;
    },
    write: (text) =>
      new Promise((resolve) => {
        stream.write(text, () => resolve());
      }),
  };
}

async function* readStdin(): AsyncGenerator<string, void, undefined> {
  const decoder = new TextDecoder();
  for await (const chunk of process.stdin) {
    yield typeof chunk === "string" ? chunk : decoder.decode(chunk, { stream: true });
  }
}

/** Reads everything that is piped in. */
export async function readAll(input: Input): Promise<string> {
  let text = "";
  for await (const chunk of input.read()) text += chunk;
  return text;
}

/** Reads lines as they arrive, without their line ends. */
export async function* readLines(input: Input): AsyncGenerator<string, void, undefined> {
  let rest = "";
  for await (const chunk of input.read()) {
    const lines = (rest + chunk).split(/\r?\n/);
    rest = lines.pop() ?? "";
    yield* lines;
  }
  if (rest !== "") yield rest;
}
