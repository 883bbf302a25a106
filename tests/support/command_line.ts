/** Runs commands with the test's own streams. */

import { runCommandLine } from "../../src/cli/command_line.ts";
import type { Output, Streams } from "../../src/cli/terminal.ts";

/** The result of a command. */
export interface CommandRun {
  readonly code: number;
  readonly output: string;
  readonly errors: string;
}

/** The command's surroundings. */
export interface TestStreamsOptions {
  /** Piped input; absent: a terminal. */
  readonly input?: string | AsyncIterable<string>;
  readonly isTerminal?: boolean;
  readonly columns?: number;
  /** Environment variables; the process's own are not read. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Streams that keep their output. */
export class TestStreams implements Streams {
  readonly output: Output & { text: string };
  readonly errors: Output & { text: string };
  readonly input: Streams["input"];
  readonly env: Readonly<Record<string, string>>;
  readonly #listeners = new Set<() => void>();
  /** Called for each chunk written. */
  onWrite: (text: string) => void = () => {};

  constructor({ input, isTerminal = false, columns, env = {} }: TestStreamsOptions = {}) {
    const output = () => {
      const keep = {
        text: "",
        isTerminal,
        columns,
        write: (text: string): void => {
          keep.text += text;
          this.onWrite(text);
        },
      };
      return keep;
    };
    this.output = output();
    this.errors = output();
    this.env = env;
    this.input = {
      isTerminal: input === undefined || isTerminal,
      async *read() {
        if (typeof input === "string") yield input;
        else if (input !== undefined) yield* input;
      },
    };
  }

  onInterrupt(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Ctrl+C. @returns whether anything listened. */
  interrupt(): boolean {
    const listeners = [...this.#listeners];
    for (const listener of listeners) listener();
    return listeners.length > 0;
  }
}

/** Runs a command to its end. */
export async function runCommand(
  args: readonly string[],
  options: TestStreamsOptions = {},
): Promise<CommandRun> {
  const streams = new TestStreams(options);
  const code = await runCommandLine(args, streams);
  return { code, output: streams.output.text, errors: streams.errors.text };
}
