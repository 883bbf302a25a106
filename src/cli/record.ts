/** The `record` command: a proxy that passes bytes through unchanged and saves each exchange. */

import { Buffer } from "node:buffer";
import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import {
  createServer,
  type IncomingMessage,
  request as requestHttp,
  type ServerResponse,
} from "node:http";
import { request as requestHttps } from "node:https";
import { isRecord, quote } from "../core/fields.ts";
import { parseJson } from "../core/plain_text.ts";
import type { RecordedExchange } from "../testing/fake_options.ts";
import {
  type Command,
  numberOf,
  providerOptions,
  SERVER_OPTIONS,
  UsageError,
} from "./arguments.ts";
import { redactChunks, redactHeaders, redactRequest } from "./redaction.ts";
import { resolveConfig } from "../platform/environment.ts";
import { listFolder } from "../platform/files.ts";
import { listen, untilStopped } from "./listening.ts";

export const command: Command = {
  usage: "<folder> [options]",
  about:
    "Runs a proxy between a program and the server until Ctrl+C. It passes every byte through unchanged, and saves " +
    "each exchange with its timing to a file in the folder. API tokens, header values and prompts are masked, even " +
    "if the answer repeats them.",
  options: {
    ...SERVER_OPTIONS,
    port: { value: "PORT", help: "Port to listen on. Default: any free port, which is printed." },
    "server-version": {
      value: "VERSION",
      help: "The LM Studio release to store in each file; `lms version` prints it.",
    },
    quiet: { help: "Do not print the requests." },
  },
  examples: [
    ["record session --port 4321", "Then point the program at http://127.0.0.1:4321."],
    ["record session --server-version 0.4.25", "Stores the release in each file."],
  ],
  positionals: [1, 1],
  async run(given) {
    const { terminal, options, positionals: [folder = ""] } = given;
    const { baseUrl } = resolveConfig(providerOptions(given), terminal.streams.env);
    try {
      mkdirSync(folder, { recursive: true });
    } catch {
      throw new UsageError(
        `Cannot write to ${quote(folder)}: it is not a writable folder.`,
      );
    }
    const recorder = new Recorder(folder, baseUrl, {
      version: options["server-version"],
      listing: await newestListing(baseUrl),
    }, (line) => options.quiet === undefined ? void terminal.note(line, "dim") : undefined);
    const server = createServer((message, reply) => recorder.pass(message, reply));
    const url = await listen(server, numberOf(given, "port"));
    await terminal.line(`Recording ${baseUrl} at ${url} into ${folder}`);
    await untilStopped(given);
    recorder.end();
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
    await terminal.note(
      `${recorder.count} ${recorder.count === 1 ? "exchange" : "exchanges"} written.`,
    );
    return 0;
  },
};

async function newestListing(baseUrl: string): Promise<string | undefined> {
  for (const path of ["/api/v1/models", "/api/v0/models", "/v1/models"]) {
    try {
      const answer = await fetch(baseUrl + path, { signal: AbortSignal.timeout(2_000) });
      const body: unknown = await answer.json();
      if (answer.status === 401) return path;
      if (isRecord(body) && (Array.isArray(body.models) || Array.isArray(body.data))) return path;
    } catch {
      // The server may be started later.
    }
  }
  return undefined;
}

/** Headers that apply to a single connection. */
const HOP_BY_HOP = ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"];

class Recorder {
  count = 0;
  readonly #folder: string;
  readonly #before: number;
  readonly #baseUrl: string;
  readonly #server: RecordedExchange["server"];
  readonly #say: (line: string) => void;
  /** Functions that stop the exchanges in progress. */
  readonly #open = new Set<() => void>();

  constructor(
    folder: string,
    baseUrl: string,
    server: RecordedExchange["server"],
    say: (line: string) => void,
  ) {
    this.#folder = folder;
    // A folder may be used again: new exchanges are numbered after the existing ones.
    this.#before = Math.max(0, ...listFolder(folder).map((name) => Number.parseInt(name, 10) || 0));
    this.#baseUrl = baseUrl;
    this.#server = server;
    this.#say = say;
  }

  /** Stops the exchanges in progress, and saves what has arrived of them. */
  end(): void {
    for (const stop of [...this.#open]) stop();
  }

  pass(message: IncomingMessage, reply: ServerResponse): void {
    const started = Date.now();
    const number = this.#before + ++this.count;
    const { method = "GET", url: path = "/" } = message;
    const sent: Uint8Array[] = [];
    const chunks: { atMs: number; bytes: Uint8Array }[] = [];
    let head: { status: number; headers: [string, string][] } | undefined;
    let isOver = false;

    const target = new URL(this.#baseUrl + path);
    const headers = pairsOf(message.rawHeaders)
      .filter(([name]) =>
        !HOP_BY_HOP.includes(name.toLowerCase()) && name.toLowerCase() !== "host"
      );
    const send = target.protocol === "https:" ? requestHttps : requestHttp;
    const upstream = send(target, { method, headers: grouped(headers), agent: false });

    const finish = (isWhole: boolean): void => {
      if (isOver) return;
      isOver = true;
      this.#open.delete(stop);
      const problem = this.#write(number, {
        started,
        method,
        path,
        headers,
        body: Buffer.concat(sent).toString("utf8"),
        response: head === undefined ? undefined : { ...head, chunks, isWhole },
      });
      if (problem !== undefined) this.#say(problem);
      this.#say(
        `${method} ${path.replace(/\?.*/, "")} ${head?.status ?? "no answer"}${
          isWhole ? "" : " (cut)"
        }`,
      );
    };
    const stop = (): void => {
      finish(false);
      upstream.destroy();
      reply.destroy();
    };
    this.#open.add(stop);

    message.on("data", (chunk: Uint8Array) => {
      sent.push(chunk);
      upstream.write(chunk);
    });
    message.on("end", () => upstream.end());
    reply.on("close", () => {
      // The client has disconnected, so the generation must stop as well.
      if (!reply.writableFinished) stop();
    });
    upstream.on("error", () => {
      if (isOver) return;
      finish(false);
      // This answer is the proxy's, not the server's, so it is not saved.
      if (reply.headersSent) reply.destroy();
      else {
        reply.writeHead(502, { "content-type": "application/json" });
        reply.end(JSON.stringify({ error: `Cannot record: ${this.#baseUrl} does not answer` }));
      }
    });
    upstream.on("response", (answer) => {
      head = {
        status: answer.statusCode ?? 502,
        headers: pairsOf(answer.rawHeaders),
      };
      reply.sendDate = false;
      reply.writeHead(
        head.status,
        grouped(head.headers.filter(([name]) => !HOP_BY_HOP.includes(name.toLowerCase()))),
      );
      reply.flushHeaders();
      answer.on("data", (bytes: Uint8Array) => {
        chunks.push({ atMs: Date.now() - started, bytes });
        if (!reply.write(bytes)) {
          answer.pause();
          reply.once("drain", () => answer.resume());
        }
      });
      answer.on("end", () => {
        // End the client's answer first: masking takes time.
        reply.end();
        finish(answer.complete);
      });
      const broken = (): void => {
        finish(false);
        reply.destroy();
      };
      answer.on("aborted", broken);
      answer.on("error", broken);
    });
  }

  /** Saves an exchange. @returns a description of the problem, if there is one. */
  #write(
    number: number,
    { started, method, path, headers, body, response }: Passed,
  ): string | undefined {
    const request = redactRequest({ path, headers: grouped(headers, ", "), body: parsed(body) });
    const exchange: RecordedExchange = {
      format: 1,
      recordedAt: new Date(started).toISOString(),
      server: this.#server,
      request: {
        method,
        path: request.path,
        headers: request.headers,
        ...(request.body === undefined ? {} : { body: request.body }),
      },
    };
    if (response !== undefined) {
      const clean = redactChunks(response.chunks.map(({ bytes }) => bytes), request.secrets);
      exchange.response = {
        status: response.status,
        headers: redactHeaders(response.headers, request.secrets),
        chunks: response.chunks.map(({ atMs }, at) => ({
          atMs,
          ...chunkOf(clean[at] ?? new Uint8Array()),
        })),
        ended: response.isWhole,
      };
    }
    const name = `${String(number).padStart(5, "0")}-${method}${
      path.replace(/\?.*/, "").replace(/[^\w]+/g, "-")
    }`;
    const file = `${this.#folder}/${name.slice(0, 100)}.json`;
    // Written, then renamed: a file is complete or missing, even if the program is killed.
    try {
      writeFileSync(`${file}.part`, JSON.stringify(exchange, null, 2) + "\n");
      renameSync(`${file}.part`, file);
      return undefined;
    } catch (error) {
      return `Cannot write ${file}: ${error instanceof Error ? error.message : String(error)}`;
    }
  }
}

interface Passed {
  readonly started: number;
  readonly method: string;
  readonly path: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: string;
  readonly response: {
    readonly status: number;
    readonly headers: readonly (readonly [string, string])[];
    readonly chunks: readonly { readonly atMs: number; readonly bytes: Uint8Array }[];
    readonly isWhole: boolean;
  } | undefined;
}

function parsed(text: string): unknown {
  return text === "" ? undefined : parseJson(text) ?? text;
}

function pairsOf(raw: readonly string[]): [string, string][] {
  const pairs: [string, string][] = [];
  for (let at = 0; at + 1 < raw.length; at += 2) pairs.push([raw[at] ?? "", raw[at + 1] ?? ""]);
  return pairs;
}

/** Headers as Node accepts them: a repeated header is a list. */
function grouped(pairs: readonly (readonly [string, string])[]): Record<string, string | string[]>;
function grouped(
  pairs: readonly (readonly [string, string])[],
  joint: string,
): Record<string, string>;
function grouped(
  pairs: readonly (readonly [string, string])[],
  joint?: string,
): Record<string, string | string[]> {
  const byName = new Map<string, string[]>();
  for (const [name, value] of pairs) byName.set(name, [...byName.get(name) ?? [], value]);
  return Object.fromEntries([...byName].map(([name, values]) => [
    name,
    values.length === 1 ? values[0] ?? "" : joint === undefined ? values : values.join(joint),
  ]));
}

/** Bytes as text if they are complete UTF-8, since people read these files, otherwise as base64. */
function chunkOf(bytes: Uint8Array): { text: string } | { base64: string } {
  try {
    return { text: new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes) };
  } catch {
    return { base64: btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join("")) };
  }
}
