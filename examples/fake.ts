/**
 * What the examples share. The `--fake` flag: a fake LM Studio in this process answers at the default address. Requests to
 * other addresses are sent as usual. And a quiet end if the reader of their output, such as `head`, leaves early.
 *
 *     deno run --allow-net --allow-env examples/tools.ts --fake
 */
import { basename } from "node:path";
import process from "node:process";
import { createFakeLMStudio, type FakeLMStudioOptions } from "../src/testing/mod.ts";

// There is nobody left to write for.
process.stdout.on("error", () => process.exit(1));

const FLAG = "--fake";
const ADDRESS = "http://127.0.0.1:1234";
/** Environment variables that are meant for the real server. */
const VARIABLES = /^(PATINOX_|LM_?STUDIO_|LM_)/;
const SEES = [{ id: "qwen/qwen3-vl-8b", vision: true }];

/** The fake's behavior by program name; for other programs it answers with a default sentence. */
const SCRIPTS: Readonly<Record<string, FakeLMStudioOptions>> = {
  agent: {
    replies: [
      {
        content: "Let me look around. ",
        toolCalls: [{ name: "list_files", arguments: { path: "." } }],
      },
      { toolCalls: [{ name: "run", arguments: { command: "echo hello from the shell" } }] },
      { toolCalls: [{ name: "write_file", arguments: { path: "hello.txt", text: "hello\n" } }] },
      "That is all.",
    ],
  },
  batch: {
    replies: ({ messages }) => {
      const { content = "" } = (messages as { content?: string }[]).at(-1) ?? {};
      const sentiment = /broke|late|never/.test(content) ? "negative" : "positive";
      return JSON.stringify({ sentiment, topic: /late/.test(content) ? "delivery" : "quality" });
    },
    // Slow enough to see the progress.
    tokenMs: 1,
  },
  decisions: { models: [{ id: "typesafe/kev-4b", type: "decision" }] },
  download: { downloads: [{ model: "ibm/granite-4-micro", progress: [0.5, 1] }] },
  mcp: {
    replies: [
      { toolCalls: [{ name: "find_notes", arguments: { word: "milk" } }] },
      "You wanted to buy milk.",
    ],
  },
  object_stream: {
    replies: ['{"customer":"Ada","items":[{"name":"apple","quantity":2}]}'],
  },
  objects: {
    replies: ['{"customer":"Ada","items":[{"name":"apple","quantity":2,"price":0.4}]}'],
  },
  responses: {
    replies: [
      { toolCalls: [{ name: "read_thermometer", arguments: { room: "kitchen" } }] },
      "It is 21.5 °C.",
    ],
  },
  tool_images: { models: SEES, replies: [{ toolCalls: [{ name: "camera" }] }, "A door."] },
  tools: {
    replies: [
      { toolCalls: [{ name: "weather", arguments: { city: "Oslo" } }, { name: "now" }] },
      "Take one.",
    ],
  },
  vision: { models: SEES, replies: ["Red and blue stripes."] },
};

const at = process.argv.indexOf(FLAG);
if (at >= 0) {
  process.argv.splice(at, 1);
  for (const name of Object.keys(process.env)) if (VARIABLES.test(name)) delete process.env[name];
  const program = basename(process.argv[1] ?? "").replace(/\.\w+$/, "");
  const fake = createFakeLMStudio({ tokenMs: 20, ...SCRIPTS[program] });
  const realFetch = globalThis.fetch;
  const route = (input: string | URL | Request, init?: RequestInit): Promise<Response> => {
    const url = input instanceof Request ? input.url : String(input);
    return url.startsWith(`${ADDRESS}/`) ? fake.fetch(input, init) : realFetch(input, init);
  };
  // Keep the extra members that Bun's fetch has.
  globalThis.fetch = Object.assign(route, realFetch);
}
