/** The `chat` command: one question, or a conversation. */

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
  readAll,
  readLines,
  showChunks,
  shown,
  shownJson,
  shownOnOneLine,
  type Terminal,
} from "./terminal.ts";

export const command: Command = {
  usage: "[prompt…] [options]",
  about:
    "Asks a model and prints the answer as it is generated. With a prompt, as arguments or piped in, it asks once; " +
    "without one, it starts a conversation that Ctrl+D ends. Ctrl+C stops an answer. Reasoning is shown on a " +
    "terminal only, never in piped output.",
  options: {
    ...SERVER_OPTIONS,
    model: { value: "NAME", short: "m", help: "Default: LMSTUDIO_MODEL, then the loaded model." },
    system: { value: "TEXT", short: "s", help: "System prompt." },
    image: {
      value: "FILE",
      short: "i",
      help: "A PNG or JPEG to include. Repeatable.",
    },
    schema: { value: "FILE", help: "A JSON Schema; the answer is JSON that matches it." },
    tools: {
      value: "FILE",
      help:
        "A JSON file: an array of { name, description, parameters, command }. The command, a program and its " +
        "arguments as an array, gets the call's arguments as JSON on stdin, and its output is the result. Calls to " +
        "tools without a command are printed.",
    },
    "max-tokens": { value: "COUNT", help: "Maximum length of the answer, in tokens." },
    temperature: { value: "NUMBER", help: "Sampling temperature, 0 or higher." },
    "no-reasoning": { help: "Do not show the model's reasoning." },
    json: { help: "Print the whole answer as JSON once it is complete." },
  },
  examples: [
    ['chat "Why is the sky blue?"', "One answer."],
    ["chat", "A conversation."],
    ['chat "Explain this" < notes.txt', "A prompt and piped-in text."],
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
        throw new UsageError("Cannot run chat: the piped-in prompt is empty.");
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
  /** Messages before the user's. */
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
      `Cannot use --temperature ${quote(temperature ?? "")}: it is not a number of 0 or more.`,
    );
  }
  if (schema !== undefined && tools !== undefined) {
    throw new UsageError(
      "Cannot use --schema with --tools: an answer is either an object or tool calls.",
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
      `Cannot read the image ${quote(path)}: there is no such file, or it cannot be read.`,
    );
  }
}

function readSchema(path: string): Readonly<Record<string, unknown>> {
  const schema = readJsonFile("the schema file", path);
  if (isRecord(schema)) return schema;
  throw new UsageError(`Cannot use the schema file ${quote(path)}: it is not a JSON object.`);
}

// --- Tools ------------------------------------------------------------------------------------

function readTools(path: string): Tool[] {
  const list = readJsonFile("the tools file", path);
  if (!Array.isArray(list)) {
    throw new UsageError(`Cannot use the tools file ${quote(path)}: it is not a JSON array.`);
  }
  return list.map((entry: unknown, at) => {
    if (!isRecord(entry) || typeof entry.name !== "string") {
      throw new UsageError(
        `Cannot use the tools file ${quote(path)}: tool number ${at + 1} has no name.`,
      );
    }
    const { name, description, parameters, command } = entry;
    if (
      command !== undefined &&
      !(Array.isArray(command) && command.every((word) => typeof word === "string"))
    ) {
      throw new UsageError(
        `Cannot use the tool ${quote(name)}: its command is not an array of strings.`,
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

/** Runs a tool's program, without a shell: text from a model must not be run as a command. */
function runProgram([program = "", ...args]: readonly string[], input: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"] });
    let output = "";
    child.stdout.setEncoding("utf8");
    child.stdout.on("data", (chunk: string) => output += chunk);
    // The program may exit without reading its input.
    child.stdin.on("error", () => {});
    child.on("error", reject);
    child.on("close", (code) => {
      if (code === 0) resolve(output.trimEnd());
      else reject(new Error(`${program} exited with code ${code}`));
    });
    child.stdin.end(input);
  });
}

// --- Answers ----------------------------------------------------------------------------------

/** Result of one question. */
interface Turn {
  /** The conversation, including this question and its answer. */
  readonly messages: readonly Message[];
  /** Whether Ctrl+C stopped the answer. */
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
    // The text received so far is part of the conversation.
    const { content } = answer;
    const said: readonly Message[] = content === "" ? [] : [{ role: "assistant", content }];
    return { messages: [...messages, ...said], isStopped: true };
  }
}

/** Requests an object, an answer with tools, or a plain answer. @returns the conversation with the answer. */
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
    // Calls to tools without a command are left to the caller.
    else for (const call of response.toolCalls) await terminal.line(shownJson(call));
    return all;
  }
  const stream = provider.streamCompletion({ ...fields, messages }, { signal });
  for await (const chunk of stream) await answer.add(chunk);
  await answer.end();
  const response = await stream.response();
  if (isJson) await terminal.json(withoutRaw(response));
  else if (response.finishReason === "length") {
    await terminal.note("(cut off at the token limit)", "dim");
  }
  return [...messages, response.message];
}

function withoutRaw<Answer extends { readonly raw: unknown }>(answer: Answer): Omit<Answer, "raw"> {
  const { raw: _, ...rest } = answer;
  return rest;
}

/** Writes an answer as it arrives: its text to stdout, its reasoning to stderr. */
class ShownAnswer {
  content = "";
  readonly #terminal: Terminal;
  readonly #isShown: boolean;
  readonly #showsReasoning: boolean;
  readonly #show = showChunks();
  readonly #showReasoning = showChunks();
  #written = "";
  #isReasoning = false;

  constructor(terminal: Terminal, isShown: boolean, showsReasoning: boolean) {
    this.#terminal = terminal;
    this.#isShown = isShown;
    this.#showsReasoning = isShown && showsReasoning && terminal.streams.errors.isTerminal;
  }

  async add({ content, reasoning }: StreamingChunk): Promise<void> {
    this.content += content;
    if (reasoning !== undefined && reasoning !== "" && this.#showsReasoning) {
      const { errors } = this.#terminal.streams;
      const text = this.#showReasoning(reasoning);
      await errors.write(this.#terminal.style("dim", text, errors));
      this.#isReasoning = true;
    }
    if (content === "" || !this.#isShown) return;
    await this.#endReasoning();
    await this.#write(this.#show(content));
  }

  async end(): Promise<void> {
    await this.#endReasoning();
    if (!this.#isShown) return;
    await this.#write(this.#show(""));
    if (this.#written !== "" && !this.#written.endsWith("\n")) await this.#terminal.line();
  }

  async #endReasoning(): Promise<void> {
    if (!this.#isReasoning) return;
    this.#isReasoning = false;
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
  await terminal.note("Ctrl+C stops an answer, Ctrl+D quits, /clear starts over.", "dim");
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

/** Runs one turn. An error is shown, and the conversation continues without that turn. */
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
