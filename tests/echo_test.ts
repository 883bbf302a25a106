/**
 * A server that echoes header values and bodies, in every shape of an error and in every spelling, on every
 * route that `secrets_test.ts` does not cover.
 */
import { assert, assertEquals } from "@std/assert";
import {
  type CallOptions,
  type DecisionRequest,
  InvalidRequestError,
  LMStudioProvider,
  NetworkError,
  ProviderError,
  type Tool,
} from "../mod.ts";
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
const DECISION: DecisionRequest = {
  model: "m",
  input: [SAY, { role: "assistant", content: `${WORDS.result}, then.` }],
  questions: {
    type: { type: "predicate", instructions: `You are ${WORDS.instructions}.` },
    team: {
      type: "choice",
      instructions: "Which?",
      choices: [WORDS.suffix, { value: "b", description: WORDS.arguments }],
    },
    level: {
      type: "score",
      instructions: "How?",
      levels: [WORDS.suffix, { label: "b", description: WORDS.arguments }],
    },
  },
};
const MESSAGES = {
  model: "m",
  max_tokens: 9,
  stream: true,
  system: `You are ${WORDS.instructions}.`,
  messages: [{ role: "user", content: SAY }],
};

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
  "decide by /v1/decisions": (lmstudio, options) => lmstudio.decide(DECISION, options),
  "decide by /v1/systemone": (lmstudio, options) => lmstudio.decide(DECISION, options),
  toAnthropic: async (lmstudio, { headers = {} }) => {
    const { fetch, baseURL } = lmstudio.toAnthropic();
    const body = JSON.stringify(MESSAGES);
    await (await fetch(`${baseURL}/v1/messages`, { method: "POST", headers, body })).text();
  },
  "models.load": (lmstudio, options) => lmstudio.models.load("m", {}, options),
  "models.unload": (lmstudio, options) => lmstudio.models.unload("m", options),
  "models.ensureLoaded": (lmstudio, options) => lmstudio.models.ensureLoaded("m", {}, options),
  "models.download": (lmstudio, options) =>
    drain(lmstudio.models.download("m", { pollIntervalMs: 1 }, options)),
  "models.downloadStatus": (lmstudio, options) =>
    drain(lmstudio.models.downloadStatus("job_1", { ...options, pollIntervalMs: 1 })),
};

/** What was sent, in parts and in all spellings. */
function echoesOf(headers: Headers, body: string): string[] {
  const values = [...headers].map(([name, value]) => `${name}: ${value}`);
  const chunks = [...values, values.join("\n"), body, ...textsOf(body)];
  return chunks.flatMap((chunk) => [
    chunk,
    JSON.stringify(chunk),
    encodeURIComponent(chunk),
    chunk.toUpperCase(),
    chunk.toLowerCase(),
    chunk.slice(0, -3),
    // A key contains no line breaks; a prompt is text.
    ...(values.includes(chunk) ? [chunk.replaceAll(/.{24}/g, "$&\n"), chunk.slice(-9)] : []),
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

/** Everything that can be printed of an error, causes included. */
function printed(error: unknown): string {
  const { message, hint, stack, endpoint, bodySnippet, available, model, issues, cause } =
    error as Record<string, unknown>;
  const fields = { message, hint, stack, endpoint, bodySnippet, available, model, issues, cause };
  return [
    String(error),
    Deno.inspect([error, fields], {
      depth: 20,
      strAbbreviateSize: 1e6,
      iterableLimit: 1000,
      colors: false,
    }),
    JSON.stringify(error),
  ].join("\n");
}

for (const [route, call] of Object.entries(CALLS)) {
  Deno.test(`errors of ${route} contain nothing that was sent`, async () => {
    let failures = 0;
    for (const [name, shape] of Object.entries(SHAPES)) {
      let count = 1;
      // A poll of a download is tried eleven times before it is given up.
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
              const instances = route === "models.unload" ? [{ id: "m", config: {} }] : [];
              const model = { type: "llm", key: "m", loaded_instances: instances };
              return Promise.resolve(json({ models: [model] }));
            }
            if (route.endsWith("/v1/systemone") && url.endsWith("/v1/decisions")) {
              return Promise.resolve(json({}, 404));
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
    // A few answers are not errors, such as one about a model that is already gone.
    assert(failures > 20, String(failures));
  });
}

// --- Causes -----------------------------------------------------------------------------------

/** What runtimes and libraries reject with, with everything they put into it. */
function rejections(url: string, init: RequestInit): unknown[] {
  const { headers, body } = init;
  const told = `${[...new Headers(headers)].join("\n")}\n${body}`;
  return [
    new TypeError(`error sending request for url (${url}): client error (Connect)`),
    Object.assign(new TypeError("fetch failed"), {
      cause: Object.assign(new Error("Parse Error"), { code: "HPE_INVALID_CONSTANT", data: told }),
    }),
    new AggregateError([new Error(told), new Error("plain")], "all failed"),
    Object.assign(new Error("Request failed"), { config: { headers, options: [{ body }] } }),
    told,
  ];
}

for (const [route, call] of Object.entries(CALLS)) {
  if (route.startsWith("models.download")) continue;
  Deno.test(`causes of errors of ${route} contain nothing that was sent`, async () => {
    let count = 1;
    for (let at = 0; at < count; at++) {
      const lmstudio = new LMStudioProvider({
        apiToken: TOKEN,
        headers: { "x-api-key": WORDS.header },
        env: {},
        maxRetries: 0,
        fetch: (input, init = {}) => {
          const all = rejections(String(input), init);
          count = all.length;
          return Promise.reject(all[at]);
        },
      });
      const error = await rejection(call(lmstudio, {}));
      assert(error instanceof NetworkError);
      const text = printed(error).toLowerCase();
      assertEquals(FORBIDDEN.filter((word) => text.includes(word)), []);
    }
  });
}

Deno.test("a cause without secrets is the runtime's own error", async () => {
  const cause = Object.assign(new TypeError("fetch failed"), {
    cause: Object.assign(new Error("connect ECONNREFUSED 127.0.0.1:1"), { code: "ECONNREFUSED" }),
  });
  const lmstudio = new LMStudioProvider({
    apiToken: TOKEN,
    env: {},
    maxRetries: 0,
    fetch: () => Promise.reject(cause),
  });
  const error = await rejection(lmstudio.completeText(TEXT));
  assert(error instanceof NetworkError && error.cause === cause);
});

Deno.test("a key in an image's URL is in no cause", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  const lmstudio = new LMStudioProvider({ env: {}, maxRetries: 0 });
  const image = `http://127.0.0.1:${port}/cat.png?key=${WORDS.query}`;
  const error = await rejection(
    lmstudio.complete({
      model: "m",
      messages: [{ role: "user", content: [{ type: "image", image }] }],
    }),
  );
  assert(error instanceof NetworkError && error.cause instanceof Error);
  assert(printed(error).includes("client error (Connect)"), printed(error));
  assert(!printed(error).includes(WORDS.query));
});

// --- Other clients ----------------------------------------------------------------------------

Deno.test("invalid arguments of another client are refused without being shown", async () => {
  const base = "http://127.0.0.1:1234/v1";
  const key = WORDS.query;
  const tries: [string, RequestInit?][] = [
    [`/v1/models?key=${key}`],
    [`http://${key}:${key}@:99999/v1`],
    [`http://${key}@example.com/v1/models?key=${key}#${key}`],
    [`${base}/models`, { headers: { authorization: `Bearer ${key}\nx: y` } }],
    [`${base}/models`, { headers: { [`x ${key}`]: "1" } }],
    [`${base}/models`, { method: `GET ${key}` }],
  ];
  let requests = 0;
  const fetch = () => {
    requests++;
    return Promise.reject(new Error("sent"));
  };
  const client = new LMStudioProvider({ env: {}, fetch, apiToken: TOKEN }).toOpenAI();
  for (const [address, init] of tries) {
    const error = await rejection(client.fetch(address, init));
    assert(error instanceof InvalidRequestError, String(error));
    assertEquals([error.attempts, error.retriable], [0, false]);
    assert(error.message.startsWith("Cannot send "));
    assert(!printed(error).includes(key), printed(error));
  }
  assertEquals(requests, 0);
});

Deno.test("keys in another client's headers and query are in no error", async () => {
  const told: string[] = [];
  const { baseURL, fetch } = new LMStudioProvider({
    env: {},
    apiToken: TOKEN,
    fetch: (input, init) => {
      const text = `${input} ${[...new Headers(init?.headers)].join(" ")} ${init?.body}`;
      told.push(text);
      return told.length === 1
        ? Promise.reject(new TypeError(`error sending request for url (${input}): ${text}`))
        : Promise.resolve(new Response(text, { headers: { "content-type": "text/plain" } }));
    },
  }).toOpenAI();
  const init = {
    method: "POST",
    headers: { "x-goog-key": WORDS.header, cookie: `a=${WORDS.call}`, accept: "application/json" },
    body: JSON.stringify({ model: "m", stream: true, messages: [{ content: SAY }] }),
  };
  const address = `${baseURL}/chat/completions?key=${WORDS.query}`;
  const error = await rejection(fetch(address, init));
  const answer = await (await fetch(address, init)).text();
  assert(told.length === 2 && told.every((text) => text.includes(WORDS.query)));
  for (const text of [printed(error), answer]) {
    assertEquals(FORBIDDEN.filter((word) => text.toLowerCase().includes(word)), []);
  }
});

Deno.test("another client's endlessly nested request fails like any other", async () => {
  const { baseURL, fetch } = new LMStudioProvider({
    env: {},
    fetch: () => Promise.reject(new TypeError("fetch failed")),
  }).toOpenAI();
  const body = `{"messages":${"[".repeat(100_000)}${"]".repeat(100_000)}}`;
  const error = await rejection(fetch(`${baseURL}/chat/completions`, { method: "POST", body }));
  assert(error instanceof NetworkError);
});
