/**
 * The terminal that commands write to and read from: plain text when piped, colours and lines that rewrite themselves
 * where a person looks. Tests put their own streams in its place.
 *
 * @module
 */

import process from "node:process";
import type { WriteStream } from "node:tty";
// Not by name: Node before 20.12 has no `styleText`, and a name that is missing ends the program.
import * as util from "node:util";
import { readEnvironment } from "../platform/environment.ts";

/** Where text goes. */
export interface Output {
  readonly isTerminal: boolean;
  /** Width of the window; absent where there is none. */
  readonly columns?: number | undefined;
  /** Resolves once there is room for more. */
  write(text: string): void | Promise<void>;
}

/** Where text comes from. */
export interface Input {
  readonly isTerminal: boolean;
  /** Pieces as they come: of a terminal, lines. Ending the iteration lets go of the input. */
  read(): AsyncIterable<string>;
}

/** What a command has to do with the world outside, besides the server. */
export interface Streams {
  readonly output: Output;
  readonly errors: Output;
  readonly input: Input;
  /** Used instead of the process's environment. */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
  /** Calls the listener at Ctrl+C, instead of ending the program, until what it returns is called. */
  onInterrupt(listener: () => void): () => void;
}

/** How text looks where colours are shown. */
export type Style = "bold" | "dim" | "red" | "green" | "yellow" | "cyan";

const MOST_COLUMNS = 110;
const LEAST_COLUMNS = 30;
/** Sequences that terminals act upon are cut out whole: without their first character the rest would be shown. */
const SEQUENCES =
  // deno-lint-ignore no-control-regex -- these are what is looked for.
  /\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\|$)|\x9b[0-?]*[ -/]*[@-~]/g;

/** Writes what commands say: answers to the output, all else to the errors' stream. */
export class Terminal {
  readonly streams: Streams;
  readonly #hasColour: boolean;
  #progress = "";

  constructor(streams: Streams) {
    this.streams = streams;
    const { NO_COLOR = "", TERM } = streams.env ?? readEnvironment(["NO_COLOR", "TERM"]);
    this.#hasColour = NO_COLOR === "" && TERM !== "dumb";
  }

  /** Whether a person sees the answers. */
  get isWatched(): boolean {
    return this.streams.output.isTerminal;
  }

  /** Width to write in. */
  get columns(): number {
    const { columns = 80 } = this.streams.output;
    return Math.max(LEAST_COLUMNS, Math.min(MOST_COLUMNS, columns));
  }

  /** Text as the terminal shows it in this style; as it is where it shows none. */
  style(
    style: Style | readonly Style[],
    text: string,
    output: Output = this.streams.output,
  ): string {
    if (!this.#hasColour || !output.isTerminal || text === "") return text;
    // The streams have been asked already; `util` would ask the process's.
    return util.styleText?.(style as Style, text, { validateStream: false }) ?? text;
  }

  /** Writes text as it is. */
  async write(text: string): Promise<void> {
    await this.streams.output.write(text);
  }

  /** Writes one line of the answer. */
  async line(text = ""): Promise<void> {
    await this.streams.output.write(`${text}\n`);
  }

  /** Writes the answer for programs. */
  async json(value: unknown): Promise<void> {
    await this.line(jsonText(value, 2));
  }

  /** Writes a line beside the answer: piped away, it is not in it. */
  async note(text: string, style?: Style): Promise<void> {
    await this.endProgress();
    const { errors } = this.streams;
    await errors.write(`${style === undefined ? text : this.style(style, text, errors)}\n`);
  }

  /** Shows how far something is, on a line that the next one rewrites. Nothing where nobody watches. */
  async progress(text: string): Promise<void> {
    const { errors } = this.streams;
    if (!errors.isTerminal) return;
    const shown = text.slice(0, Math.max(1, (errors.columns ?? 80) - 1));
    const rest = " ".repeat(Math.max(0, this.#progress.length - shown.length));
    // Before it is written: what ends it need not wait for that.
    this.#progress = shown;
    await errors.write(`\r${shown}${rest}`);
  }

  /** Ends the line that is rewritten: it stays, or is cleared. */
  async endProgress(keep = false): Promise<void> {
    if (this.#progress === "") return;
    const { length } = this.#progress;
    this.#progress = "";
    await this.streams.errors.write(keep ? "\n" : `\r${" ".repeat(length)}\r`);
  }
}

/**
 * Control characters, marks of direction, halves of characters. Not what joins two characters into one, of which
 * many scripts and pictures are made.
 */
const UNSEEN = /(?![\n\t\u200c\u200d])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;
/** The start of what only its end tells: half a character, a line's end, a sequence. */
const UNFINISHED =
  // deno-lint-ignore no-control-regex -- as above.
  /(?:[\ud800-\udbff]|\r|\x9b[0-?]{0,32}[ -/]{0,8}|\x1b(?:\[[0-?]{0,32}[ -/]{0,8}|\][^\x07\x1b]{0,256})?)$/;

/** What a server or a model says, without what would steer the terminal; lines and tabs stay. */
export function shown(text: string): string {
  return text.replace(SEQUENCES, "").replace(/\r\n?/g, "\n").replace(UNSEEN, "");
}

/** The same for a text that comes in pieces; the last is the empty one. */
export function showPieces(): (piece: string) => string {
  let held = "";
  return (piece) => {
    const text = held + piece;
    held = piece === "" ? "" : UNFINISHED.exec(text)?.[0] ?? "";
    return shown(text.slice(0, text.length - held.length));
  };
}

/** What a server or a model says, on one line. */
export function shownOnOneLine(text: string): string {
  return shown(text).replace(/\s+/g, " ").trim();
}

/** JSON whose texts cannot steer the terminal either: `JSON.stringify` leaves some of these as they are. */
export function jsonText(value: unknown, indent?: number): string {
  return JSON.stringify(value, null, indent).replace(
    UNSEEN,
    (unseen) =>
      unseen.split("").map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)
        .join(""),
  );
}

/** Lines of at most `width` characters; a longer word has a line of its own. */
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

/** Columns of equal width; the last one is not filled up. */
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

/** The streams of this process, the same at each call. */
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
  // `… | head` closes the pipe: nobody reads any more, and there is nobody to tell.
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
  for await (const piece of process.stdin) {
    yield typeof piece === "string" ? piece : decoder.decode(piece, { stream: true });
  }
}

/** All that is piped in. */
export async function readAll(input: Input): Promise<string> {
  let text = "";
  for await (const piece of input.read()) text += piece;
  return text;
}

/** Lines as they come, without their ends. */
export async function* readLines(input: Input): AsyncGenerator<string, void, undefined> {
  let rest = "";
  for await (const piece of input.read()) {
    const lines = (rest + piece).split(/\r?\n/);
    rest = lines.pop() ?? "";
    yield* lines;
  }
  if (rest !== "") yield rest;
}
