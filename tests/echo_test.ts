/**
 * A server that sends back what it was sent, header values and body, in every shape of an error and in every
 * spelling, on every route beside those of `secrets_test.ts`.
 */
import { assert, assertEquals } from "@std/assert";
import { type CallOptions, LMStudioProvider, ProviderError, type Tool } from "../mod.ts";
import { rejection } from "./support/wire.ts";

const TOKEN = "sk-lm-Abcd1234:QrStUvWxYz9876543210";
const WORDS = {
  header: "gatewayKeyKd83hfFs02jd",
  call: "callersCredentialXq4471",
  mcp: "mcpServerKeyPlugh5591",
  user: "urluserXyzzy77",
  password: "urlpassFrobozz88",
  query: "queryKeyGnusto9911",
  prompt: "Quetzalcoatl Marzipan Featherstonehaugh",
  instructions: "Ermintrude Xylophone Wombat",
  arguments: "Guinevere Hiccups Plumbago",
  result: "Trillian Zaphod Beeblebrox",
  suffix: "Slartibartfast Fjord Magrathea",
} as const;
const FORBIDDEN: readonly string[] = [
  ...["Abcd1234", "QrStUvWx", "YzZ9876543210", "9876543210"],
  ...Object.values(WORDS).flatMap((words) => words.split(" ")),
].map((word) => word.toLowerCase());

const IMAGE = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);
const SERVER_URL = `https://${WORDS.user}:${WORDS.password}@mcp.example/sse?key=${WORDS.query}&x=1`;
const SAY = `Please tell of ${WORDS.prompt}, will you?`;
const TOOL: Tool = {
  name: "look",
  parameters: { type: "object", properties: {} },
  execute: () => 1,
};
const HISTORY = [
  { role: "system", content: `You are ${WORDS.instructions}.` },
  { role: "user", content: [{ type: "text", text: SAY }, { type: "image", image: IMAGE }] },
  {
    role: "assistant",
    toolCalls: [{ id: "1", name: "look", arguments: JSON.stringify({ a: WORDS.arguments }) }],
  },
  { role: "tool", toolCallId: "1", content: JSON.stringify({ b: WORDS.result }) },
  { role: "user", content: "Go on." },
] as const;
const CHAT = {
  model: "m",
  input: [{ type: "text", content: SAY }, { type: "image", image: IMAGE }],
  systemPrompt: `You are ${WORDS.instructions}.`,
  integrations: [{
    type: "ephemeral_mcp",
    serverLabel: "s",
    serverUrl: SERVER_URL,
    headers: { authorization: `Bearer ${WORDS.mcp}` },
  }],
} as const;
const RESPONSES = {
  model: "m",
  input: [
    { role: "user", content: SAY },
    { type: "function_call", callId: "1", name: "look", arguments: `{"a":"${WORDS.arguments}"}` },
    { type: "function_call_output", callId: "1", output: WORDS.result },
  ],
  instructions: `You are ${WORDS.instructions}.`,
  tools: [{
    type: "mcp",
    serverLabel: "s",
    serverUrl: SERVER_URL,
    headers: { "x-key": WORDS.mcp },
  }],
} as const;
const TEXT = { model: "m", prompt: SAY, suffix: WORDS.suffix };

async function drain(events: AsyncIterable<unknown>): Promise<void> {
  for await (const _event of events);
}

type Call = (lmstudio: LMStudioProvider, options: CallOptions) => Promise<unknown>;
const CALLS: Readonly<Record<string, Call>> = {
  completeText: (lmstudio, options) => lmstudio.completeText(TEXT, options),
  streamText: (lmstudio, options) => lmstudio.streamText(TEXT, options).response(),
  completeObject: (lmstudio, options) =>
    lmstudio.completeObject(
      { model: "m", messages: [...HISTORY] as never, schema: { type: "object" } },
      options,
    ),
  runTools: (lmstudio, options) =>
    lmstudio.runTools({ model: "m", messages: [...HISTORY] as never, tools: [TOOL] }, options),
  streamTools: (lmstudio, options) =>
    drain(
      lmstudio.streamTools({ model: "m", messages: [...HISTORY] as never, tools: [TOOL] }, options),
    ),
  "responses.create": (lmstudio, options) => lmstudio.responses.create(RESPONSES as never, options),
  "responses.stream": (lmstudio, options) =>
    drain(lmstudio.responses.stream(RESPONSES as never, options)),
  "chat.send": (lmstudio, options) => lmstudio.chat.send(CHAT, options),
  "chat.stream": (lmstudio, options) => drain(lmstudio.chat.stream(CHAT, options)),
  "models.load": (lmstudio, options) => lmstudio.models.load("m", {}, options),
  "models.unload": (lmstudio, options) => lmstudio.models.unload("m", options),
  "models.ensureLoaded": (lmstudio, options) => lmstudio.models.ensureLoaded("m", {}, options),
  "models.download": (lmstudio, options) =>
    drain(lmstudio.models.download("m", { pollIntervalMs: 1 }, options)),
  "models.downloadStatus": (lmstudio, options) =>
    drain(lmstudio.models.downloadStatus("job_1", { ...options, pollIntervalMs: 1 })),
};

/** What was sent, in pieces and spelled in all ways. */
function echoesOf(headers: Headers, body: string): string[] {
  const values = [...headers].map(([name, value]) => `${name}: ${value}`);
  const pieces = [...values, values.join("\n"), body, ...textsOf(body)];
  return pieces.flatMap((piece) => [
    piece,
    JSON.stringify(piece),
    encodeURIComponent(piece),
    piece.toUpperCase(),
    piece.toLowerCase(),
    piece.slice(0, -3),
    // A key has no break of its own; a prompt is text.
    ...(values.includes(piece) ? [piece.replaceAll(/.{24}/g, "$&\n"), piece.slice(-9)] : []),
  ]);
}

function textsOf(body: string): string[] {
  const texts: string[] = [];
  JSON.parse(body || "{}", (_key, value) => {
    if (typeof value === "string" && value.length > 12) texts.push(value);
    return value;
  });
  return texts;
}

const json = (value: unknown, status = 200): Response =>
  new Response(JSON.stringify(value), { status, headers: { "content-type": "application/json" } });
const sse = (...frames: string[]): Response =>
  new Response(frames.map((frame) => `${frame}\n\n`).join(""), {
    headers: { "content-type": "text/event-stream" },
  });
const SHAPES: Readonly<Record<string, (echo: string) => Response>> = {
  "a string under 200": (echo) => json({ error: `No: ${echo}` }),
  "a string": (echo) => json({ error: `No: ${echo}` }, 400),
  "an object": (echo) =>
    json({ error: { message: `No: ${echo}`, type: echo, param: echo, code: echo } }, 400),
  "an object without words": (echo) => json({ error: { type: echo, code: echo } }, 500),
  "issues": (echo) =>
    json({ error: JSON.stringify([{ path: ["tools", echo], message: `no ${echo}` }]) }, 400),
  "a page": (echo) => new Response(`<html>${echo}</html>`, { status: 404 }),
  "text": (echo) => new Response(echo, { status: 500 }),
  "text under 200": (echo) => new Response(echo),
  "other JSON": (echo) => json({ echo, state: echo, output: echo, models: [{ key: echo }] }),
  "a failed job": (echo) => json({ job_id: "job_1", status: "failed", error: `No: ${echo}` }),
  "a failed response": (echo) =>
    json({ status: "failed", output: [], error: { message: `No: ${echo}`, code: "x" } }),
  "an error frame": (echo) =>
    sse(`event: error\ndata: ${JSON.stringify({ error: { message: echo } })}`),
  "an error event": (echo) =>
    sse(
      `data: ${JSON.stringify({ type: "chat.start", model_instance_id: "m" })}`,
      `data: ${
        JSON.stringify({ type: "error", error: { type: echo, message: `No: ${echo}`, code: echo } })
      }`,
    ),
  "a failed event": (echo) =>
    sse(`data: ${
      JSON.stringify({
        type: "response.failed",
        response: { status: "failed", error: { message: `No: ${echo}` } },
      })
    }`),
  "a broken event": (echo) => sse(`data: ${echo.replaceAll("\n", " ")}`),
  "a redirect": (echo) =>
    new Response(null, {
      status: 302,
      headers: { location: `https://example.com/${encodeURIComponent(echo)}?${TOKEN}` },
    }),
};

/** Everything that prints an error, causes included. */
function printed(error: unknown): string {
  const { message, hint, stack, endpoint, bodySnippet, available, model, issues, cause } =
    error as Record<string, unknown>;
  return [
    String(error),
    Deno.inspect(error, { depth: 20, strAbbreviateSize: 1e6, iterableLimit: 1000 }),
    JSON.stringify(error),
    ...[message, hint, stack, endpoint, bodySnippet, available, model, issues, cause]
      .map((value) => Deno.inspect(value, { depth: 20, strAbbreviateSize: 1e6 })),
  ].join("\n");
}

for (const [route, call] of Object.entries(CALLS)) {
  Deno.test(`nothing of what was sent is in an error of ${route}`, async () => {
    let failures = 0;
    for (const [name, shape] of Object.entries(SHAPES)) {
      let count = 1;
      // A look at a download is made eleven times before it is given up.
      const step = route === "models.downloadStatus" ? 11 : 1;
      for (let at = 0; at < count; at += step) {
        const lmstudio = new LMStudioProvider({
          apiToken: TOKEN,
          headers: { "x-api-key": WORDS.header },
          env: {},
          maxRetries: 0,
          fetch: (input, init) => {
            const url = String(input);
            if (init?.method === "GET" && url.endsWith("/models")) {
              const copies = route === "models.unload" ? [{ id: "m", config: {} }] : [];
              const model = { type: "llm", key: "m", loaded_instances: copies };
              return Promise.resolve(json({ models: [model] }));
            }
            const echoes = echoesOf(new Headers(init?.headers), String(init?.body ?? ""));
            count = echoes.length;
            return Promise.resolve(shape(echoes[at] ?? ""));
          },
        });
        const options = { headers: { authorization: `Bearer ${WORDS.call}` } };
        const error = await rejection(call(lmstudio, options)).catch(() => undefined);
        if (error === undefined) continue;
        assert(error instanceof ProviderError, `${name}: ${Deno.inspect(error)}`);
        const text = printed(error).toLowerCase();
        const leaked = FORBIDDEN.filter((word) => text.includes(word));
        assertEquals(leaked, [], `${name}: ${error.message}`);
        failures++;
      }
    }
    // Few answers are none, such as an error about a model that is gone anyway.
    assert(failures > 20, String(failures));
  });
}
