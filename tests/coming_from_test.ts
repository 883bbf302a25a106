/**
 * docs/coming-from.md: both programs of each section print the same, each with its own kind of server. Empty lines,
 * which some clients print at the beginning or end of a stream, do not count.
 */
import { assertEquals } from "@std/assert";
import { createFakeLMStudio, type FakeLMStudioOptions } from "../src/testing/mod.ts";
import { serveOllama } from "./support/fake_ollama.ts";
import { serveWebSockets, type WebSocketCall } from "./support/lmstudio_websocket.ts";
import { expectDeno, runDeno } from "./support/script.ts";

const ROOT = new URL("../", import.meta.url);
const REPLY = ["Light", " is", " scattered."];
const QWEN = "qwen/qwen3-8b";
/** Vector length of the embedding model. */
const DIMENSIONS = 768;
const EMBEDDING_MODEL = "text-embedding-nomic-embed-text-v1.5";

/** The two programs below a heading. */
async function programsOf(heading: string): Promise<[theirs: string, ours: string]> {
  const text = await Deno.readTextFile(new URL("docs/coming-from.md", ROOT));
  const [, section = ""] = text.split(`\n## ${heading}\n`);
  const programs = [...section.split("\n## ")[0]!.matchAll(/^```ts\n(.*?)^```/gms)]
    .map(([, code = ""]) => code);
  assertEquals(programs.length, 2, heading);
  // Programs that `test:doc` only type-checks are functions.
  const [theirs = "", ours = ""] = programs.map((code) =>
    code.includes("function ask()") ? `${code}await ask();` : code
  );
  return [theirs, ours];
}

/** The lines that a program prints. */
async function linesOf(program: string, baseUrl = ""): Promise<string[]> {
  const folder = await Deno.makeTempDir({ prefix: "lmstudio-coming-from-" });
  try {
    const imports = {
      "jsr:@patinox/lmstudio": `${ROOT.href}mod.ts`,
      "jsr:@patinox/lmstudio/ai-sdk": `${ROOT.href}src/ai_sdk/mod.ts`,
      zod: "npm:zod@4",
    };
    await Deno.writeTextFile(`${folder}/deno.json`, JSON.stringify({ imports, lock: false }));
    await Deno.writeTextFile(`${folder}/main.ts`, program);
    // Downloads what is not cached yet.
    await expectDeno(["cache", "--quiet", `--config=${folder}/deno.json`, `${folder}/main.ts`]);
    const { code, output, errors } = await runDeno([
      "run",
      "--quiet",
      "--no-prompt",
      "--no-check",
      `--config=${folder}/deno.json`,
      "--allow-read",
      "--allow-env",
      "--allow-sys",
      "--allow-net=127.0.0.1",
      `${folder}/main.ts`,
    ], { env: { LMSTUDIO_BASE_URL: baseUrl } });
    assertEquals(code, 0, errors);
    return output.split("\n").filter((line) => line !== "");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** The program with another address than in the document. */
function at(program: string, written: string, instead: string): string {
  assertEquals(program.split(written).length, 2, `${written} in:\n${program}`);
  return program.replace(written, instead);
}

async function serveFake(options: FakeLMStudioOptions) {
  const fake = createFakeLMStudio(options);
  const server = await fake.listen();
  return {
    fake,
    url: server.url,
    // deno-lint-ignore no-explicit-any -- JSON of the wire
    bodies: (path: string): any[] =>
      fake.requests.filter((request) => request.path === path).map(({ body }) => body),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

Deno.test("coming from openai: both print the same, and send the same", async () => {
  const [theirs, ours] = await programsOf("openai");
  const reply = { content: REPLY };
  await using server = await serveFake({ replies: [reply, reply] });
  assertEquals(await linesOf(at(theirs, "http://127.0.0.1:1234", server.url)), REPLY);
  assertEquals(await linesOf(ours, server.url), REPLY);
  const [sent, sentByUs] = server.bodies("/v1/chat/completions");
  assertEquals(sent.messages, sentByUs.messages);
  assertEquals([sent.max_completion_tokens, sentByUs.max_tokens], [500, 500]);
});

Deno.test("coming from @lmstudio/sdk: both print the same, and load and unload", async () => {
  const [theirs, ours] = await programsOf("@lmstudio/sdk");
  await using server = await serveFake({
    models: [{ id: QWEN, loaded: false }, { id: EMBEDDING_MODEL, loaded: false }],
    replies: [{ content: REPLY }],
  });
  const printed = await linesOf(ours, server.url);
  assertEquals(printed, [...REPLY, String(DIMENSIONS)]);
  assertEquals(server.bodies("/api/v1/models/load").map(({ context_length }) => context_length), [
    8192,
  ]);
  assertEquals(server.bodies("/api/v1/models/unload").length, 1);

  const vector = Array(DIMENSIONS).fill(0.5);
  await using sockets = serveWebSockets({ reply: REPLY, vector });
  // It probes five ports, on which a real LM Studio may be listening.
  const baseUrl = sockets.url.replace("http:", "ws:");
  const lines = await linesOf(
    at(theirs, "new LMStudioClient()", `new LMStudioClient({ baseUrl: "${baseUrl}" })`),
  );
  const isLoading = (line: string) =>
    /^\[LMStudioClient\]\[\w+\] (Verbose|Model|Loading|Successfully) /.test(line);
  // The client also prints what it loads.
  assertEquals(lines.filter((line) => !isLoading(line)), printed);
  assertEquals(sockets.calls.map(({ name }) => name), [
    "llm.getOrLoad",
    "llm.predict",
    "embedding.getOrLoad",
    "embedding.embedString",
    "llm.unloadModel",
  ]);
  const [{ parameter: load }, { parameter: predict }] = sockets.calls as [
    WebSocketCall,
    WebSocketCall,
  ];
  assertEquals(load.loadConfigStack.layers[0].config.fields[0], {
    key: "llm.load.contextLength",
    value: 8192,
  });
  const [{ messages }] = server.bodies("/v1/chat/completions");
  assertEquals(predict.history.messages[0].content[0].text, messages[0].content);
});

Deno.test("coming from ollama: both print the same, and send the same", async () => {
  const [theirs, ours] = await programsOf("ollama");
  await using ollama = serveOllama({ models: ["qwen3:8b"], reply: REPLY });
  await using server = await serveFake({ models: [QWEN], replies: [{ content: REPLY }] });
  const client = `import { Ollama } from "npm:ollama@0.6";
    const ollama = new Ollama({ host: "${ollama.url}" });`;
  const lines = await linesOf(at(theirs, 'import ollama from "npm:ollama@0.6";', client));
  assertEquals(lines, REPLY);
  assertEquals(await linesOf(ours, server.url), REPLY);
  const [sent] = ollama.bodies;
  const [sentByUs] = server.bodies("/v1/chat/completions");
  assertEquals(sent?.["messages"], sentByUs.messages);
  assertEquals([sent?.["keep_alive"], sentByUs.ttl], ["10m", 600]);
  assertEquals([sent?.["options"], sentByUs.max_tokens], [{ num_predict: 500 }, 500]);
});

Deno.test("coming from the AI SDK: both print the same, and send the same", async () => {
  const [theirs, ours] = await programsOf("The AI SDK");
  const reply = { reasoning: "Rayleigh.", content: "It is scattered." };
  await using server = await serveFake({ replies: [reply, reply] });
  assertEquals(await linesOf(theirs, server.url), ["It is scattered. Rayleigh."]);
  assertEquals(await linesOf(ours, server.url), ["It is scattered. Rayleigh."]);
  const [sent, sentByUs] = server.bodies("/v1/chat/completions");
  assertEquals(sent.messages, sentByUs.messages);
});
