/** The `replay` command serves a recording. */

import { parseJson } from "../core/plain_text.ts";
import { Buffer } from "node:buffer";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { writeBody } from "../testing/fake_listener.ts";
import { Player, readRecording } from "../testing/fake_recording.ts";
import type { RecordedExchange } from "../testing/fake_options.ts";
import { type Command, numberOf, UsageError } from "./arguments.ts";
import { listen, untilStopped } from "./listening.ts";

export const command: Command = {
  usage: "<folder> [options]",
  about:
    "Serves a recording made by `record`, until Ctrl+C: the same bytes, split at the same places, at the same pace. " +
    "Each route returns its answers in order, and then repeats the last one.",
  options: {
    port: { value: "PORT", help: "Port to listen on. Default: any free port, which is printed." },
    fast: { help: "Do not wait between chunks." },
    quiet: { help: "Do not print the requests." },
  },
  examples: [["replay session --port 1234", "Instead of the server."]],
  positionals: [1, 1],
  async run(given) {
    const { terminal, options, positionals: [folder = ""] } = given;
    const exchanges = readFolder(folder);
    const player = new Player(exchanges, options.fast === undefined);
    const server = createServer((message, reply) => {
      play(player, message, reply).then((line) => {
        if (options.quiet === undefined) void terminal.note(line, "dim");
      }, () => reply.destroy());
    });
    const url = await listen(server, numberOf(given, "port"));
    const count = `${exchanges.length} ${exchanges.length === 1 ? "exchange" : "exchanges"}`;
    await terminal.line(`Replaying ${count} from ${folder} at ${url}`);
    await untilStopped(given);
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
    return 0;
  },
};

/** Reads the exchanges of a folder. @throws {UsageError} */
export function readFolder(folder: string): RecordedExchange[] {
  try {
    return readRecording(folder);
  } catch (error) {
    throw new UsageError(error instanceof Error ? `${error.message}.` : String(error));
  }
}

async function play(
  player: Player,
  message: IncomingMessage,
  reply: ServerResponse,
): Promise<string> {
  const { method = "GET", url: path = "/" } = message;
  const sent: Uint8Array[] = [];
  for await (const chunk of message) sent.push(chunk);
  const controller = new AbortController();
  reply.on("close", () => controller.abort());
  const response = player.answer(
    method,
    path,
    parseJson(Buffer.concat(sent).toString("utf8")),
    controller.signal,
  );
  const headers: Record<string, string> = {};
  response.headers.forEach((value, name) => headers[name] = value);
  reply.sendDate = false;
  reply.writeHead(response.status, headers);
  reply.flushHeaders();
  try {
    await writeBody(response, reply);
  } catch {
    reply.destroy();
    return `${method} ${path} ${response.status} (cut, as recorded)`;
  }
  return `${method} ${path} ${response.status}`;
}
