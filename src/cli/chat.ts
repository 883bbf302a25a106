/** The command `chat`: one question, or a conversation. */

import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { isRecord, quote } from "../core/fields.ts";
import type { ContentPart, Message, Tool } from "../core/messages.ts";
import type { CompletionRequest, StreamingChunk } from "../core/types.ts";
import type { LMStudioProvider } from "../provider/lmstudio.ts";
import {
  type Command,
  type Given,
  Interrupted,
  numberOf,
  providerOf,
  readJsonFile,
  SERVER_OPTIONS,
  untilInterrupted,
  UsageError,
} from "./arguments.ts";
import { EXIT } from "./exit_codes.ts";
import {
  jsonText,
  readAll,
  readLines,
  shown,
  shownOnOneLine,
  showPieces,
  type Terminal,
} from "./terminal.ts";

/** The command. */
export const command: Command = {
  usage: "[prompt…] [options]",
  about:
    "Asks a model and prints the answer as it is written. With a prompt, or one that is piped in, once; without, " +
    "line by line until Ctrl+D. Ctrl+C stops an answer. What a model thinks goes beside the answer: it is never in " +
    "a pipe.",
  options: {
    ...SERVER_OPTIONS,
    model: { value: "NAME", short: "m", help: "Else LMSTUDIO_MODEL, else the one that is loaded." },
    system: { value: "TEXT", short: "s", help: "What the model is told before." },
    image: {
      value: "FILE",
      short: "i",
      help: "A PNG or JPEG to show; may be given several times.",
    },
    schema: { value: "FILE", help: "A JSON Schema: the answer is JSON that fits it." },
    tools: {
      value: "FILE",
      help:
        "JSON: a list of { name, description, parameters, command }. The command, a list of a program and its " +
        "arguments, gets the call's arguments as JSON on its input, and what it prints is the result. Calls of " +
        "tools without one are printed.",
    },
    "max-tokens": { value: "COUNT", help: "The longest answer." },
    temperature: { value: "NUMBER", help: "How much chance decides." },
    "no-reasoning": { help: "Do not show what the model thinks." },
    json: { help: "Print the whole answer as JSON once it is there." },
  },
  examples: [
    ['chat "Why is the sky blue?"', "One answer."],
    ["chat", "A conversation."],
    ['git diff | lmstudio chat "Write a commit message"', "A prompt, and what is piped in."],
    ["chat --image cat.jpg --schema cat.json describe", "An object from an image."],
  ],
  positionals: [0, Infinity],
  async run(given) {
    const { terminal, positionals } = given;
    const { input } = terminal.streams;
    const request = requestOf(given);
    const provider = providerOf(given);
    const piped = input.isTerminal ? "" : (await readAll(input)).trimEnd();
    const prompt = [positionals.join(" "), piped].filter((text) => text !== "").join("\n\n");
    if (prompt === "" && request.images.length === 0) {
      if (!input.isTerminal) {
        throw new UsageError("Cannot chat: the prompt that was piped in is empty.");
      }
      return await converse(given, provider, request);
    }
    const messages = [...request.messages, userMessage(prompt, request.images)];
    const { isStopped } = await untilInterrupted(
      given,
      (signal) => ask(given, provider, request, messages, signal),
    );
    return isStopped ? EXIT.interrupted : 0;
  },
};

interface Request {
  readonly fields: Omit<CompletionRequest, "messages">;
  readonly tools: readonly Tool[];
  /** Before the user's. */
  readonly messages: readonly Message[];
  readonly images: readonly ContentPart[];
  readonly schema: Readonly<Record<string, unknown>> | undefined;
}

function requestOf(given: Given): Request {
  const { options, repeated } = given;
  const { system, schema, tools, temperature } = options;
  const degree = temperature === undefined ? undefined : Number(temperature);
  if (degree !== undefined && !(degree >= 0)) {
    throw new UsageError(
      `Cannot use --temperature ${quote(temperature ?? "")}: it is not a number from 0 up.`,
    );
  }
  if (schema !== undefined && tools !== undefined) {
    throw new UsageError(
      "Cannot use --schema with --tools: an answer is either an object or calls.",
    );
  }
  return {
    fields: { model: options.model, maxTokens: numberOf(given, "max-tokens"), temperature: degree },
    tools: tools === undefined ? [] : readTools(tools),
    messages: system === undefined ? [] : [{ role: "system", content: system }],
    images: (repeated.image ?? []).map(readImage),
    schema: schema === undefined ? undefined : readSchema(schema),
  };
}

function userMessage(text: string, images: readonly ContentPart[]): Message {
  if (images.length === 0) return { role: "user", content: text };
  return {
    role: "user",
    content: [...(text === "" ? [] : [{ type: "text" as const, text }]), ...images],
  };
}

function readImage(path: string): ContentPart {
  try {
    return { type: "image", image: new Uint8Array(readFileSync(path)) };
  } catch {
    throw new UsageError(
      `Cannot read the image ${quote(path)}: there is no such file, or it may not be read.`,
    );
  }
}

function readSchema(path: string): Readonly<Record<string, unknown>> {
  const schema = readJsonFile("the schema", path);
  if (isRecord(schema)) return schema;
  throw new UsageError(`Cannot use the schema ${quote(path)}: it is not an object.`);
}

// --- Tools ------------------------------------------------------------------------------------

function readTools(path: string): Tool[] {
  const list = readJsonFile("the tools", path);
  if (!Array.isArray(list)) {
    throw new UsageError(`Cannot use the tools ${quote(path)}: it is not a list.`);
  }
  return list.map((entry: unknown, at) => {
    if (!isRecord(entry) || typeof entry.name !== "string") {
      throw new UsageError(`Cannot use the tools ${quote(path)}: number ${at + 1} has no name.`);
    }
    const { name, description, parameters, command } = entry;
    if (
      command !== undefined &&
      !(Array.isArray(command) && command.every((word) => typeof word === "string"))
    ) {
      throw new UsageError(
        `Cannot use the tool ${quote(name)}: its command is not a list of texts.`,
      );
    }
    return {
      name,
      ...(typeof description === "string" ? { description } : {}),
      ...(isRecord(parameters) ? { parameters } : {}),
      ...(command === undefined
        ? {}
        : { execute: (args: unknown) => runProgram(command as string[], JSON.stringify(args)) }),
    };
  });
}

/** Without a shell: what a model writes is data. */
function runProgram([program = "", ...args]: readonly string[], input: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"] });
    let output = "";
    child.stdout.setEncoding("utf8");
    child.stdout.on("data", (piece: string) => output += piece);
    // A program need not read its input.
    child.stdin.on("error", () => {});
    child.on("error", reject);
    child.on("close", (code) => {
      if (code === 0) resolve(output.trimEnd());
      else reject(new Error(`${program} ended with ${code}`));
    });
    child.stdin.end(input);
  });
}

// --- Answers ----------------------------------------------------------------------------------

/** What was said. */
interface Turn {
  /** To go on with. */
  readonly messages: readonly Message[];
  /** Ctrl+C came before the end. */
  readonly isStopped: boolean;
}

/** Asks once and shows the answer. */
async function ask(
  given: Given,
  provider: LMStudioProvider,
  request: Request,
  messages: readonly Message[],
  signal: AbortSignal,
): Promise<Turn> {
  const { terminal, options } = given;
  const isShown = options.json === undefined && request.schema === undefined;
  const answer = new ShownAnswer(terminal, isShown, options["no-reasoning"] === undefined);
  try {
    const said = await askFor(request, provider, messages, signal, answer, given);
    return { messages: said, isStopped: false };
  } catch (error) {
    await answer.end();
    if (!(error instanceof Interrupted)) throw error;
    await terminal.note("(stopped)", "dim");
    // What had come is part of the conversation.
    const { content } = answer;
    const said: readonly Message[] = content === "" ? [] : [{ role: "assistant", content }];
    return { messages: [...messages, ...said], isStopped: true };
  }
}

/** An object, an answer with tools, or a plain one. @returns the messages with what was said. */
async function askFor(
  { fields, tools, schema }: Request,
  provider: LMStudioProvider,
  messages: readonly Message[],
  signal: AbortSignal,
  answer: ShownAnswer,
  { terminal, options }: Given,
): Promise<readonly Message[]> {
  const isJson = options.json !== undefined;
  if (schema !== undefined) {
    const request = { ...fields, messages, schema };
    const { object, response } = await provider.completeObject(request, { signal });
    await terminal.json(isJson ? { object, response: withoutRaw(response) } : object);
    return [...messages, response.message];
  }
  if (tools.length > 0) {
    const stream = provider.streamTools({ ...fields, messages, tools }, { signal });
    for await (const event of stream) {
      if (event.type === "chunk") await answer.add(event.chunk);
      if (event.type === "call") {
        const { name, arguments: given } = event.call;
        await terminal.note(`> ${shownOnOneLine(name)} ${shownOnOneLine(given)}`, "cyan");
      }
    }
    await answer.end();
    const { response, messages: all } = await stream.result();
    if (isJson) await terminal.json({ response: withoutRaw(response), messages: all });
    // Those without a program of their own are left to whoever reads this.
    else for (const call of response.toolCalls) await terminal.line(jsonText(call));
    return all;
  }
  const stream = provider.streamCompletion({ ...fields, messages }, { signal });
  for await (const chunk of stream) await answer.add(chunk);
  await answer.end();
  const response = await stream.response();
  if (isJson) await terminal.json(withoutRaw(response));
  else if (response.finishReason === "length") {
    await terminal.note("(cut: the limit of tokens is reached)", "dim");
  }
  return [...messages, response.message];
}

function withoutRaw<Answer extends { readonly raw: unknown }>(answer: Answer): Omit<Answer, "raw"> {
  const { raw: _, ...rest } = answer;
  return rest;
}

/** Writes what comes: the answer to the output, thoughts beside it. */
class ShownAnswer {
  content = "";
  readonly #terminal: Terminal;
  readonly #isShown: boolean;
  readonly #thinks: boolean;
  readonly #show = showPieces();
  readonly #showThought = showPieces();
  #written = "";
  #isThinking = false;

  constructor(terminal: Terminal, isShown: boolean, showsReasoning: boolean) {
    this.#terminal = terminal;
    this.#isShown = isShown;
    this.#thinks = isShown && showsReasoning && terminal.streams.errors.isTerminal;
  }

  async add({ content, reasoning }: StreamingChunk): Promise<void> {
    this.content += content;
    if (reasoning !== undefined && reasoning !== "" && this.#thinks) {
      const { errors } = this.#terminal.streams;
      const text = this.#showThought(reasoning);
      await errors.write(this.#terminal.style("dim", text, errors));
      this.#isThinking = true;
    }
    if (content === "" || !this.#isShown) return;
    await this.#endThought();
    await this.#write(this.#show(content));
  }

  async end(): Promise<void> {
    await this.#endThought();
    if (!this.#isShown) return;
    await this.#write(this.#show(""));
    if (this.#written !== "" && !this.#written.endsWith("\n")) await this.#terminal.line();
  }

  async #endThought(): Promise<void> {
    if (!this.#isThinking) return;
    this.#isThinking = false;
    const { errors } = this.#terminal.streams;
    await errors.write("\n\n");
  }

  async #write(text: string): Promise<void> {
    if (text === "") return;
    this.#written = text;
    await this.#terminal.write(text);
  }
}

// --- A conversation ---------------------------------------------------------------------------

async function converse(
  given: Given,
  provider: LMStudioProvider,
  request: Request,
): Promise<number> {
  const { terminal } = given;
  const { errors, input } = terminal.streams;
  await terminal.note("Ctrl+C stops an answer, Ctrl+D ends; /clear forgets what was said.", "dim");
  let messages: readonly Message[] = request.messages;
  const prompt = async (): Promise<void> => {
    await errors.write(terminal.style("bold", "> ", errors));
  };
  await prompt();
  for await (const line of readLines(input)) {
    const text = line.trim();
    if (text === "/exit" || text === "/quit") break;
    if (text === "/clear") messages = request.messages;
    else if (text !== "") messages = await answer(given, provider, request, messages, text);
    await prompt();
  }
  await errors.write("\n");
  return 0;
}

/** One turn: a failure is shown, and the conversation goes on without it. */
async function answer(
  given: Given,
  provider: LMStudioProvider,
  request: Request,
  messages: readonly Message[],
  text: string,
): Promise<readonly Message[]> {
  const asked = [...messages, userMessage(text, [])];
  try {
    const turn = await untilInterrupted(
      given,
      (signal) => ask(given, provider, request, asked, signal),
    );
    return turn.messages;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    await given.terminal.note(shown(error.message), "red");
    return messages;
  }
}
