/**
 * Servers echo what they were sent. API tokens, header values and prompts must not get into errors, which
 * end up in logs: every shape of an error is tried with an echo of all of them.
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  type CallOptions,
  ConfigurationError,
  LMStudioProvider,
  type LMStudioProviderOptions,
  ProviderError,
  resolveConfig,
} from "../mod.ts";
import { createRedactor } from "../src/transport/redact.ts";
import { Transport } from "../src/transport/transport.ts";
import { cpuTimeMs } from "./support/cpu_time.ts";
import { rejection, token } from "./support/wire.ts";

const TOKEN = "sk-lm-Abcd1234:QrStUvWxYz9876543210";
const HEADERS = {
  "x-api-key": "key-of-the-gateway-5591",
  "cookie": "session=Kd83hfFs02jd; theme=Plumbago",
  "x-tenant": "Zaphod",
};
const CALL_HEADERS = {
  authorization: "Bearer callers-own-credential-4471",
  "x-trace": "Trillian-0042",
};
const PROMPTS = {
  system: "You are Ermintrude, and keep the password Xylophone7 to yourself.",
  user: 'My diary says: "Quetzalcoatl\tate my\n\nhomework", naïvely.\\ Ünïcödé 🦄 Wombat!',
  short: "Nemo's cat",
  toolResult: '{"patient":"Guinevere Featherstonehaugh","diagnosis":"Hiccups"}',
  input: "The secret ingredient of Aunt Griselda's pie is Marzipan.",
};
/** No output may contain any of these. */
const FORBIDDEN: readonly string[] = [
  TOKEN,
  TOKEN.slice(0, 10),
  TOKEN.slice(6, 14),
  TOKEN.slice(-20),
  ...Object.values(HEADERS),
  "Kd83hfFs02jd",
  ...Object.values(CALL_HEADERS),
  "callers-own-credential-4471",
  ...Object.values(PROMPTS),
  ...["Ermintrude", "Xylophone7", "Quetzalcoatl", "homework", "Wombat", "Nemo's", "Guinevere"],
  ...["Featherstonehaugh", "Hiccups", "Griselda", "Marzipan"],
];
const ECHO = [
  ...Object.values(PROMPTS),
  `Bearer ${TOKEN}`,
  ...Object.values(HEADERS),
  ...Object.values(CALL_HEADERS),
].join(" | ");
/** Starts with a different part each time: only 200 characters are shown. */
const ECHOES: readonly string[] = [
  ECHO,
  `Bearer ${TOKEN}`,
  `Malformed LM Studio API token provided: ${TOKEN.slice(0, 10)}... Ensure you use a valid token.`,
  `token=${encodeURIComponent(TOKEN)}&x=1`,
  `Cannot use ${TOKEN}.`,
  JSON.stringify({ headers: HEADERS, authorization: `Bearer ${TOKEN}` }),
  JSON.stringify({ ...CALL_HEADERS }),
  `no such credential callers-own-credential-4471`,
  ...Object.values(HEADERS).map((value) => `header was ${value}, which is wrong`),
  ...Object.values(PROMPTS).map((prompt) => `cannot tokenize ${prompt}`),
  ...Object.values(PROMPTS).map((prompt) => `bad: ${JSON.stringify(JSON.stringify(prompt))}`),
  // Part of a short prompt is just a word.
  ...Object.values(PROMPTS).filter((prompt) => prompt.length > 20)
    .map((prompt) => `cut: ${prompt.slice(0, -3)}…`),
];

type Shape = (echo: string) => { status: number; body: string; headers?: Record<string, string> };

const SHAPES: Readonly<Record<string, Shape>> = {
  "a string": (echo) => ({ status: 400, body: JSON.stringify({ error: echo }) }),
  "a string under 200": (echo) => ({ status: 200, body: JSON.stringify({ error: echo }) }),
  "an object": (echo) => ({
    status: 400,
    body: JSON.stringify({ error: { message: echo, type: echo, param: echo, code: echo } }),
  }),
  "an object without a message": (echo) => ({
    status: 500,
    body: JSON.stringify({ error: { type: echo, code: echo } }),
  }),
  "JSON as text in JSON": (echo) => ({
    status: 400,
    body: JSON.stringify({
      error: `Engine protocol predict request returned 400: ${
        JSON.stringify({ error: { code: 400, message: echo } })
      }`,
    }),
  }),
  "a list of models": (echo) => ({
    status: 404,
    body: JSON.stringify({
      error: {
        message: `Model "x" not found. Please specify a valid model.\n\nYour models:\n\n${echo}\nm`,
        type: "invalid_request_error",
        param: "model",
        code: "model_not_found",
      },
    }),
  }),
  "a 401": (echo) => ({
    status: 401,
    body: JSON.stringify({ error: { type: "invalid_request", message: echo } }),
  }),
  "an Anthropic error": (echo) => ({
    status: 500,
    body: JSON.stringify({ type: "error", error: { type: "api_error", message: echo } }),
  }),
  "another object": (echo) => ({ status: 422, body: JSON.stringify({ detail: [{ msg: echo }] }) }),
  "cut JSON": (echo) => ({ status: 400, body: JSON.stringify({ error: echo }).slice(0, -2) }),
  "a page": (echo) => ({ status: 404, body: `<html><body><pre>${echo}</pre></body></html>` }),
  "plain text": (echo) => ({ status: 502, body: echo }),
  "plain text under 200": (echo) => ({ status: 200, body: echo }),
  "undecodable JSON under 200": (echo) => ({ status: 200, body: `{"a": "${echo}` }),
  "JSON of another shape under 200": (echo) => ({ status: 200, body: JSON.stringify({ echo }) }),
  "JSON text under 200": (echo) => ({ status: 200, body: JSON.stringify(echo) }),
  "a redirect": (echo) => ({
    status: 307,
    body: "",
    headers: { location: `https://example.com/${encodeURIComponent(echo)}?q=${TOKEN}#${TOKEN}` },
  }),
  "an error frame": (echo) => ({
    status: 200,
    body: `event: error\ndata: ${JSON.stringify({ error: { message: echo }, message: echo })}\n\n`,
  }),
  "an error frame after a token": (echo) => ({
    status: 200,
    body: token("Once") + `data: ${JSON.stringify({ error: echo })}\n\n`,
  }),
  "an event that is not JSON": (echo) => ({
    status: 200,
    body: `data: ${echo.replaceAll(/[\r\n]/g, " ")}\n\n`,
  }),
  "an event that is no object": (echo) => ({
    status: 200,
    body: `data: ${JSON.stringify(echo)}\n\n`,
  }),
};

type Call = (lmstudio: LMStudioProvider, options: CallOptions) => Promise<unknown>;

const REQUEST = {
  model: "m",
  messages: [
    { role: "system", content: PROMPTS.system },
    { role: "user", content: [{ type: "text", text: PROMPTS.user }] },
    { role: "assistant", toolCalls: [{ id: "1", name: "look", arguments: "{}" }] },
    { role: "tool", toolCallId: "1", content: PROMPTS.toolResult },
    { role: "user", content: PROMPTS.short },
    { role: "user", content: PROMPTS.input },
  ],
} as const;

const CALLS: Readonly<Record<string, Call>> = {
  complete: (lmstudio, options) =>
    lmstudio.complete({ ...REQUEST, messages: [...REQUEST.messages] as never }, options),
  streamCompletion: (lmstudio, options) =>
    lmstudio.streamCompletion({ ...REQUEST, messages: [...REQUEST.messages] as never }, options)
      .response(),
  embed: (lmstudio, options) =>
    lmstudio.embed({ model: "m", input: Object.values(PROMPTS) }, options),
};

/** Everything that can be printed of an error, including by a program's own log. */
function printed(value: unknown): string {
  const error = value as Error & Record<string, unknown>;
  const parts = [
    String(value),
    Deno.inspect(value, { depth: 20, strAbbreviateSize: 100_000, iterableLimit: 1000 }),
    JSON.stringify(value),
    ...["message", "hint", "stack", "endpoint", "bodySnippet", "available", "issues"].map((field) =>
      Deno.inspect(error?.[field], { depth: 20, strAbbreviateSize: 100_000 })
    ),
  ];
  if (error?.cause !== undefined) parts.push(printed(error.cause));
  return parts.join("\n");
}

function assertSilent(value: unknown, forbidden: readonly string[] = FORBIDDEN): void {
  const text = printed(value);
  for (const secret of forbidden) {
    for (const spelling of [secret, JSON.stringify(secret).slice(1, -1), encodeURI(secret)]) {
      const at = text.indexOf(spelling);
      assertEquals(at === -1 ? "" : text.slice(Math.max(0, at - 200), at + 200), "", spelling);
    }
  }
}

for (const [name, shape] of Object.entries(SHAPES)) {
  Deno.test(`the error for ${name} contains nothing that was sent`, async () => {
    for (const echo of ECHOES) {
      const { status, body, headers } = shape(echo);
      const lmstudio = new LMStudioProvider({
        apiToken: TOKEN,
        headers: HEADERS,
        env: {},
        maxRetries: 0,
        fetch: () => Promise.resolve(new Response(body, { status, ...headers && { headers } })),
      });
      for (const call of Object.values(CALLS)) {
        const error = await rejection(call(lmstudio, { headers: CALL_HEADERS }));
        assert(error instanceof ProviderError);
        assertSilent(error);
        // Masked, not empty: it still says what happened.
        assert(error.message.startsWith("Cannot "));
      }
    }
  });
}

Deno.test("a listing's error contains no secret", async () => {
  const echoes = [`Bearer ${TOKEN}`, ...Object.values(HEADERS), ...Object.values(CALL_HEADERS)];
  for (const shape of Object.values(SHAPES)) {
    for (const echo of echoes) {
      const { status, body, headers } = shape(`wrong: ${echo}.`);
      const lmstudio = new LMStudioProvider({
        apiToken: TOKEN,
        headers: HEADERS,
        env: {},
        maxRetries: 0,
        fetch: () => Promise.resolve(new Response(body, { status, ...headers && { headers } })),
      });
      assertSilent(await rejection(lmstudio.listModels({ headers: CALL_HEADERS })));
    }
  }
});

Deno.test("headers of the MCP servers in a native chat are masked too", async () => {
  const secret = "mcp-server-key-7713";
  const message = `MCP server refused "Bearer ${secret}" (${secret})`;
  const transport = new Transport({
    baseUrl: "http://127.0.0.1:1234",
    service: "LM Studio",
    headers: {},
    connectTimeoutMs: 5000,
    firstTokenTimeoutMs: 5000,
    idleTimeoutMs: 5000,
    maxRetries: 0,
    env: {},
    fetch: () => Promise.resolve(new Response(JSON.stringify({ error: { message } }))),
  });
  const error = await rejection(transport.json(
    {
      method: "POST",
      path: "/api/v1/chat",
      policy: "stateful",
      action: "chat",
      body: {
        input: "Hello",
        integrations: [
          "mcp/playwright",
          null,
          { type: "ephemeral_mcp", headers: { Authorization: `Bearer ${secret}` } },
        ],
      },
    },
    {},
    Infinity,
  ));
  assertSilent(error, [secret]);
  assert(String(error).includes("MCP server refused"));
});

Deno.test("neither a provider nor its configuration shows a secret", async () => {
  const options: LMStudioProviderOptions = { apiToken: TOKEN, headers: HEADERS, env: {} };
  const lmstudio = new LMStudioProvider(options);
  assertSilent(lmstudio);
  assertSilent(resolveConfig(options));
  assertSilent(resolveConfig({}, { LM_API_TOKEN: TOKEN }));
  assertSilent(lmstudio.explainConfig());
  const fetch = () => Promise.resolve(new Response(token("Once")));
  const stream = new LMStudioProvider({ ...options, fetch })
    .streamCompletion({ model: "m", messages: PROMPTS.user });
  assertSilent(stream);
  const iterator = stream[Symbol.asyncIterator]();
  await iterator.next();
  assertSilent(stream);
  assertSilent(iterator);
  await stream.cancel();
  // Code can still read them.
  assertEquals(resolveConfig(options).apiToken, TOKEN);
});

Deno.test("an API token or a header that cannot be sent is refused without being shown", async () => {
  for (
    const options of [
      { apiToken: `${TOKEN}\n` + "x" },
      { apiToken: `${TOKEN} ` + "with a space" },
      { headers: { "x-api-key": `${HEADERS["x-api-key"]}\r\nx: y` } },
      { headers: { "x-api-key": `${HEADERS["x-api-key"]} 🦄` } },
    ]
  ) {
    let error: unknown;
    try {
      new LMStudioProvider({ env: {}, ...options });
    } catch (thrown) {
      error = thrown;
    }
    assert(error instanceof ConfigurationError);
    assertSilent(error);
  }
  const lmstudio = new LMStudioProvider({ env: {} });
  const headers = { "x-trace": `${CALL_HEADERS["x-trace"]}\n` };
  assertSilent(await rejection(lmstudio.complete("Hello", { headers })));
});

Deno.test("a request that cannot be written as JSON is not quoted", async () => {
  const cycle: Record<string, unknown> = { diary: PROMPTS.user };
  cycle.self = cycle;
  const lmstudio = new LMStudioProvider({ env: {}, apiToken: TOKEN });
  for (const extraBody of [{ cycle }, { big: 1n, text: PROMPTS.user }]) {
    const error = await rejection(
      lmstudio.complete({ model: "m", messages: PROMPTS.user, extraBody }),
    );
    assert(error instanceof ProviderError);
    assertEquals([error.code, error.attempts], ["serialization_failed", 0]);
    assertSilent(error);
  }
});

Deno.test("a partial answer is for the caller, not for a log", async () => {
  const fetch = () => Promise.resolve(new Response(token("Wombat says hello")));
  const lmstudio = new LMStudioProvider({ env: {}, fetch });
  const request = { model: "m", messages: "Say Wombat" };
  const error = await rejection(lmstudio.streamCompletion(request).response());
  assert(error instanceof ProviderError);
  assertEquals(error.partial?.content, "Wombat says hello");
  assertSilent(error, ["Wombat"]);
});

// --- The redactor ------------------------------------------------------------------------------

Deno.test("masking keeps the words that say what happened", () => {
  const redact = createRedactor([TOKEN, "Zaphod", "my tool v1"], {
    model: "qwen3",
    messages: [
      { role: "user", content: "Hi" },
      { role: "user", content: "tell me about context overflow" },
      {
        role: "assistant",
        content: "",
        tool_calls: [{ id: "call_1", type: "function", function: { name: "get_current_weather" } }],
      },
    ],
  });
  for (
    const text of [
      'Hi: the model "qwen3" is not loaded.',
      "Context length of only 4096 tokens: tell me about it.",
      "Unknown tool get_current_weather called as call_1 (user, assistant, function).",
      "Zaphods and UnZaphod are other words; v1 of the tool is mine.",
    ]
  ) assertEquals(redact(text), text);
  assertEquals(redact("Tenant Zaphod: no"), "Tenant ***: no");
  assertEquals(redact('said "tell me about context overflow" to qwen3'), 'said "***" to qwen3');
  assertEquals(redact(`(${TOKEN})`), "(***)");
  assertEquals(redact("agent my tool v1 is old"), "agent *** is old");
});

Deno.test("masking takes milliseconds, even for the longest echo of megabytes", () => {
  const prompt = Array.from({ length: 400_000 }, (_, at) => `w${at * 7919 % 99_991}`).join(" ");
  for (const content of [prompt, "-".repeat(2_000_000), "ab".repeat(1_000_000)]) {
    const redact = createRedactor([TOKEN], { messages: [{ role: "user", content }] });
    const echoes = [content.slice(0, 4096), "no echo ".repeat(512), "-".repeat(4096)];
    const usedBefore = cpuTimeMs();
    for (const echo of echoes) redact(echo);
    // Searching for each part separately took 6 s.
    assert(cpuTimeMs() - usedBefore < 1500);
    assertEquals(redact(content.slice(100, 4000)), "***");
  }
});

Deno.test("masking takes milliseconds, even with a hundred thousand short prompts", () => {
  const input = Array.from({ length: 100_000 }, (_, at) => `word ${at}`);
  const redact = createRedactor(["abc"], { input });
  assertEquals(redact("no word 77777, abc"), "no ***, ***");
  const usedBefore = cpuTimeMs();
  for (let run = 0; run < 5; run++) redact("another word 5 ".repeat(300));
  assert(cpuTimeMs() - usedBefore < 1000);
});

Deno.test("an echo of several prompts is masked part by part", () => {
  const redact = createRedactor([], {
    input: ["first text that is long enough", "second text, long enough as well"],
    extra: "what no field of a prompt holds is shown",
  });
  assertEquals(
    redact("1: first text that is long enough; 2: second text, long enough as well."),
    "1: ***; 2: ***.",
  );
  const shown = "what no field of a prompt holds is shown";
  assertEquals(redact(shown), shown);
});

// --- Echoes in other spellings -----------------------------------------------------------------

const ESCAPED_PROMPTS: Readonly<Record<string, readonly [prompt: string, forbidden: string[]]>> = {
  quotes: ['My PIN "4711" and my passphrase is correct-horse-battery', ["PIN", "4711", "horse"]],
  newlines: ["Dear Zed,\nmy PIN\nis 8642\n\nand bye now\nYours, Agrajag", [
    ...["Zed", "my PIN", "8642", "bye now", "Agrajag"],
  ]],
  unicode: ['naïve "Ünï" 🦄 "çödé" 日本 "Trin" tragula', [
    "Ünï",
    "çödé",
    "日本",
    "Trin",
    "tragula",
  ]],
  backslashes: ['C:\\new\\"tab"\\x\n\\\\nas\\usr "Vogon"\\ poem', ["ew", "tab", "nas", "Vogon"]],
  short: ['"Vroom"\n\\\\"fondel"', ["Vroom", "fondel"]],
};

const ascii = (text: string): string =>
  text.replace(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
const html = (text: string): string => text.replaceAll("&", "&amp;").replaceAll('"', "&quot;");

const ESCAPED_SHAPES: Readonly<Record<string, Shape>> = {
  "a string": (echo) => ({ status: 400, body: JSON.stringify({ error: `Invalid: ${echo}` }) }),
  "an object": (echo) => ({
    status: 400,
    body: JSON.stringify({ error: { message: `Invalid payload: ${echo}`, type: "x" } }),
  }),
  "text": (echo) => ({ status: 500, body: `Failed: ${echo}` }),
  "a page": (echo) => ({ status: 500, body: `<pre>${echo}</pre>` }),
  "HTML in JSON": (echo) => ({ status: 400, body: JSON.stringify({ error: html(echo) }) }),
  "a frame": (echo) => ({
    status: 200,
    body: `event: error\ndata: ${JSON.stringify({ error: { message: echo } })}\n\n`,
  }),
  "text under 200": (echo) => ({ status: 200, body: `bad: ${echo}` }),
  "other JSON under 200": (echo) => ({ status: 200, body: JSON.stringify({ detail: echo }) }),
};

for (const [name, [prompt, forbidden]] of Object.entries(ESCAPED_PROMPTS)) {
  Deno.test(`a prompt with ${name} that comes back as JSON in text is masked whole`, async () => {
    const once = JSON.stringify([{ role: "user", content: prompt }]);
    const twice = JSON.stringify(once);
    for (const echo of [prompt, once, ascii(once), twice, JSON.stringify(twice)]) {
      for (const [shapeName, shape] of Object.entries(ESCAPED_SHAPES)) {
        const { status, body } = shape(echo);
        const lmstudio = new LMStudioProvider({
          env: {},
          maxRetries: 0,
          fetch: () => Promise.resolve(new Response(body, { status })),
        });
        for (const call of ["complete", "streamCompletion"] as const) {
          const request = { model: "m", messages: prompt };
          const error = await rejection(
            call === "complete"
              ? lmstudio.complete(request)
              : lmstudio.streamCompletion(request).response(),
          );
          assert(error instanceof ProviderError);
          const told = [
            error.message,
            JSON.stringify(error),
            String(Reflect.get(error, "bodySnippet")),
          ]
            .join("\n").replaceAll(/"(?:attempts|endpoint|hint|stack)":.*/g, "");
          for (const word of forbidden) {
            assert(!new RegExp(`(?<![a-z])${word}(?![a-z])`).test(told), `${shapeName}: ${told}`);
          }
        }
      }
    }
  });
}

Deno.test("a secret is masked wherever it is broken into lines, and however deep it is spelled", () => {
  const redact = createRedactor([`Bearer ${TOKEN}`, 'pass "phrase" \\ of mine'], {
    input: "the heron waits at the edge",
  });
  for (let at = 1; at < TOKEN.length; at++) {
    for (const line of ["\n", "\r\n  ", "\\n"]) {
      const shown = redact(`(${TOKEN.slice(0, at)}${line}${TOKEN.slice(at)})`);
      assertEquals(shown.replaceAll("*", ""), "()", shown);
    }
  }
  const texts = [TOKEN, 'pass "phrase" \\ of mine', "the heron waits at the edge"];
  for (const text of texts) {
    const json = JSON.stringify(JSON.stringify(JSON.stringify(text)));
    const address = encodeURIComponent(encodeURIComponent(text));
    for (const spelling of [text, json, address, html(JSON.stringify(text))]) {
      const shown = redact(`<${spelling}>`);
      assert(!/[a-z0-9]/i.test(shown.replaceAll(/quot|amp/g, "")), shown);
    }
  }
});

Deno.test("an echo cut at the end of the searched text is masked", () => {
  const prompt = "abcdefgh ijklmnop qrstuvwx ".repeat(300);
  const redact = createRedactor([], { messages: [{ content: prompt }] });
  for (let length = 4080; length < 4112; length++) {
    assertEquals(redact(prompt.slice(0, length) + " ").trim(), "***");
  }
});

Deno.test("endless escapes are read in linear time", () => {
  const redact = createRedactor([TOKEN], {
    messages: [{
      content: "a\nbcde\n".repeat(100_000) + "\\".repeat(200_000) + " \\".repeat(100_000),
    }],
  });
  const usedBefore = cpuTimeMs();
  for (const chunk of ["\\", "\\ ", "\\n", "\n", "\\u00e9", "%41", "bcde\n", "&quot;"]) {
    redact(chunk.repeat(64 * 1024));
  }
  assert(cpuTimeMs() - usedBefore < 3000);
});

Deno.test("a prompt line that is just one of the server's own words is not masked", () => {
  const redact = createRedactor([], { input: "Model\nfailed to\nrespond" });
  assertEquals(redact("Model failed: it did not respond."), "Model failed: it did not respond.");
});

Deno.test("secrets: the shown start of invalid JSON has none, whole and streamed", async () => {
  const prompt = "the heron waits at the edge of the water";
  const bodies = [
    `Nothing here. ${prompt}, and Bearer ${TOKEN}`,
    `{"cut":"${TOKEN} ${prompt}`,
    `${TOKEN}`,
  ];
  for (const body of bodies) {
    for (const type of ["application/json", "text/event-stream"]) {
      const lmstudio = new LMStudioProvider({
        env: {},
        apiToken: TOKEN,
        model: "m",
        fetch: () =>
          Promise.resolve(
            new Response(type === "application/json" ? body : `data: ${body}\n\n`, {
              headers: { "content-type": type },
            }),
          ),
      });
      const calls = [
        () => lmstudio.complete(prompt),
        () => lmstudio.streamCompletion(prompt).response(),
        () => lmstudio.chat.stream({ input: prompt }).response(),
        () => lmstudio.responses.stream({ input: prompt }).response(),
        () => lmstudio.streamText(prompt).response(),
      ];
      for (const call of calls) {
        const error = await assertRejects(call, Error);
        const text = printed(error);
        for (const hidden of [TOKEN, TOKEN.slice(0, 10), prompt, prompt.slice(0, 20)]) {
          assert(!text.includes(hidden), `${hidden} in ${text}`);
        }
      }
    }
  }
});
