/**
 * The assumptions about LM Studio in `docs/assumptions.md` that no other file tests: how requests must look
 * for the server to accept them, and how its oddities are handled.
 */

import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { FakeTime } from "@std/testing/time";
import {
  ApiError,
  type CompletionRequest,
  InvalidRequestError,
  LMStudioProvider,
  type LMStudioProviderOptions,
  ModelNotAvailableError,
  resolveConfig,
} from "../mod.ts";
import { createFakeLMStudio, type FakeLMStudioOptions } from "../src/testing/mod.ts";

const MODEL = "qwen/qwen3-8b";
const EMBEDDER = "text-embedding-nomic-embed-text-v1.5";
const MODELS = [MODEL, EMBEDDER];

/** A provider in front of the fake, and the requests that the fake got. */
function open(fakeOptions: FakeLMStudioOptions = {}, options: LMStudioProviderOptions = {}) {
  const { fetch, requests } = createFakeLMStudio({ models: MODELS, ...fakeOptions });
  const lmstudio = new LMStudioProvider({ fetch, env: {}, maxRetries: 0, ...options });
  const bodies = () =>
    requests.filter(({ method }) => method === "POST").map(({ body }) =>
      body as Record<string, unknown>
    );
  return { lmstudio, requests, bodies };
}

/** A provider in front of a server that always gives the same answer. */
function openStub(answer: () => Response, options: LMStudioProviderOptions = {}) {
  return new LMStudioProvider({
    fetch: () => Promise.resolve(answer()),
    env: {},
    maxRetries: 0,
    onModelSubstituted: "ignore",
    ...options,
  });
}

/** A stream of these frames, as the server would write it. */
function streamOf(frames: readonly unknown[], isLeftOpen = false): Response {
  const text = frames.map((frame) =>
    typeof frame === "string" ? frame : `data: ${JSON.stringify(frame)}\n\n`
  ).join("");
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(new TextEncoder().encode(text));
      if (!isLeftOpen) controller.close();
    },
  });
  return new Response(body, { headers: { "Content-Type": "text/event-stream" } });
}

function delta(fields: Record<string, unknown>, finishReason: string | null = null) {
  return { model: MODEL, choices: [{ index: 0, delta: fields, finish_reason: finishReason }] };
}

function ask(fields: Partial<CompletionRequest> = {}): CompletionRequest {
  return { model: MODEL, messages: "Hello", ...fields };
}

// --- Address and routes -----------------------------------------------------------------------

Deno.test("the default address is 127.0.0.1:1234, not localhost", () => {
  assertEquals(resolveConfig({}, {}).baseUrl, "http://127.0.0.1:1234");
});

Deno.test("a base URL with a route at its end does not double the route", async () => {
  const { lmstudio, requests } = open({}, { baseUrl: "http://127.0.0.1:1234/v1/" });
  await lmstudio.complete(ask());
  assertEquals(requests.map(({ path }) => path), ["/v1/chat/completions"]);
});

Deno.test("an unknown route answers 200 with an error, even if a stream was requested", async () => {
  const error = "Unexpected endpoint or method. (POST /v1/chat/completions)";
  const lmstudio = openStub(() => Response.json({ error }));
  for (
    const call of [
      () => lmstudio.complete(ask()),
      () => lmstudio.streamCompletion(ask()).response(),
    ]
  ) {
    assertEquals((await assertRejects(call, ApiError)).code, "unexpected_endpoint");
  }
});

Deno.test("the API token is sent as a bearer token, to every route", async () => {
  const apiToken = "sk-lm-abcdefgh:12345678901234567890";
  const { lmstudio, requests } = open({ apiToken }, { apiToken });
  await lmstudio.listModels();
  await lmstudio.complete(ask());
  assertEquals(requests.length, 2);
  for (const { headers } of requests) assertEquals(headers.authorization, `Bearer ${apiToken}`);
});

// --- Models -----------------------------------------------------------------------------------

Deno.test("without a model name the loaded language model answers, and nothing is loaded", async () => {
  const models = [EMBEDDER, { id: "a/not-loaded", loaded: false }, MODEL];
  const { lmstudio, bodies } = open({ models });
  assertEquals((await lmstudio.complete("Hello")).model, MODEL);
  assertEquals(bodies().map(({ model }) => model), [MODEL]);

  const none = open({ models: [EMBEDDER, { id: "a/not-loaded", loaded: false }] });
  const error = await assertRejects(() => none.lmstudio.complete("Hello"), ModelNotAvailableError);
  assertEquals([error.code, error.available], ["no_model_loaded", ["a/not-loaded"]]);
  assertEquals(none.bodies(), []);
});

Deno.test("an answer by another model is an error; another spelling is not", async () => {
  const { lmstudio } = open({ replies: ["I am another."] });
  const error = await assertRejects(
    () => lmstudio.complete(ask({ model: "nobody/has-this" })),
    ModelNotAvailableError,
  );
  assertEquals([error.code, error.model], ["model_substituted", "nobody/has-this"]);
  assertEquals(error.partial?.content, "I am another.");
  for (const model of [`${MODEL}@q4_k_m`, `${MODEL}:2`, "qwen3-8b", "Qwen/Qwen3-8B"]) {
    const answering = { model: MODEL, choices: [{ message: { content: "Hello." } }] };
    const strict = openStub(() => Response.json(answering), { onModelSubstituted: "throw" });
    assertEquals((await strict.complete(ask({ model }))).content, "Hello.");
  }
});

// --- What is sent -----------------------------------------------------------------------------

Deno.test("messages: content is always sent, and developer is left to the server", async () => {
  const { lmstudio, bodies } = open();
  const call = { id: "123456789", name: "clock", arguments: "{broken" };
  await lmstudio.complete(ask({
    messages: [
      { role: "developer", content: "Be brief." },
      "What time is it?",
      "In Oslo.",
      { role: "assistant", toolCalls: [call] },
      { role: "tool", toolCallId: "123456789", content: "12:00" },
    ],
  }));
  assertEquals(bodies()[0]?.messages, [
    { role: "developer", content: "Be brief." },
    { role: "user", content: "What time is it?\n\nIn Oslo." },
    {
      role: "assistant",
      content: "",
      tool_calls: [{
        id: "123456789",
        type: "function",
        function: { name: "clock", arguments: "{}" },
      }],
    },
    { role: "tool", tool_call_id: "123456789", content: "12:00" },
  ]);
});

Deno.test("tools: parameters are always an object with properties, choices are strings", async () => {
  const { lmstudio, bodies } = open({ replies: [{ toolCalls: [{ name: "clock" }] }] });
  const tools = [{ name: "clock" }, { name: "weather" }];
  await lmstudio.complete(ask({ tools, toolChoice: { name: "clock" } }));
  const { tools: sent, tool_choice } = bodies()[0] ?? {};
  assertEquals(sent, [{
    type: "function",
    function: { name: "clock", parameters: { type: "object", properties: {} } },
  }]);
  assertEquals(tool_choice, "required");
});

Deno.test("settings: under names that every version accepts, and none that was not set", async () => {
  const { lmstudio, bodies } = open();
  await lmstudio.complete(ask({ maxTokens: -1, reasoning: "off" }));
  await lmstudio.complete(ask({ reasoning: "on", schema: { type: "object" } }));
  const [first = {}, second = {}] = bodies();
  assertEquals(Object.keys(first).sort(), ["max_tokens", "messages", "model", "reasoning_effort"]);
  assertEquals([first.max_tokens, first.reasoning_effort], [-1, "none"]);
  assert(!("reasoning_effort" in second));
  assertEquals(second.response_format, {
    type: "json_schema",
    json_schema: { name: "response", strict: true, schema: { type: "object" } },
  });
});

// --- Answers and streams ----------------------------------------------------------------------

Deno.test("content may be absent, empty or text when there is reasoning", async () => {
  for (
    const [message, content, reasoning] of [
      [{ role: "assistant", tool_calls: [] }, "", undefined],
      [{ role: "assistant", content: "", reasoning_content: "Hm." }, "", "Hm."],
      [{ role: "assistant", content: "Yes.", reasoning_content: "" }, "Yes.", undefined],
      [{ role: "assistant", content: "Yes.", reasoning: "Hm." }, "Yes.", "Hm."],
      [{ role: "assistant", content: "<think>Hm.</think>Yes." }, "Yes.", "Hm."],
      [{ role: "assistant", content: "<think>Hm." }, "", "Hm."],
    ] as const
  ) {
    const body = { model: MODEL, choices: [{ index: 0, message, finish_reason: "stop" }] };
    const answer = await openStub(() => Response.json(body)).complete(ask());
    assertEquals([answer.content, answer.reasoning], [content, reasoning], JSON.stringify(message));
  }
});

Deno.test("usage is requested in every stream, and follows the finish reason without choices", async () => {
  const { lmstudio, bodies } = open();
  const { usage } = await lmstudio.streamCompletion(ask()).response();
  assertEquals(bodies()[0]?.stream_options, { include_usage: true });
  assert((usage?.completionTokens ?? 0) > 0);
});

Deno.test("before 0.3.18 missing usage is not an error: it is absent", async () => {
  const { lmstudio } = open({ version: "0.3.17" });
  const response = await lmstudio.streamCompletion(ask()).response();
  assertEquals([response.usage, response.stats?.tokensPerSecond], [undefined, undefined]);
});

Deno.test("a finish reason or [DONE] completes a stream; without both it is an error with the partial answer", async () => {
  const text = delta({ content: "Yes." });
  for (const end of [[delta({}, "stop")], ["data: [DONE]\n\n"], ["data: [DONE]"]]) {
    const stream = openStub(() => streamOf([text, ...end])).streamCompletion(ask());
    assertEquals((await stream.response()).content, "Yes.");
  }
  const cut = openStub(() => streamOf([text])).streamCompletion(ask());
  const error = await assertRejects(() => cut.response());
  assertStringIncludes(String(error), "was cut off");
  assertEquals((error as ApiError).partial?.content, "Yes.");
});

Deno.test("a connection left open after the finish reason is closed after 2 s", async () => {
  using time = new FakeTime();
  const frames = [delta({ content: "Yes." }), delta({}, "stop")];
  const response = openStub(() => streamOf(frames, true)).streamCompletion(ask()).response();
  let isOver = false;
  response.then(() => isOver = true);
  await time.tickAsync(1_900);
  assert(!isOver);
  await time.tickAsync(200);
  assertEquals((await response).finishReason, "stop");
});

Deno.test("an error inside a stream under 200 is that error, wherever it appears", async () => {
  const message = "Input does not fit in context length. The input has 31430 tokens, but the " +
    "context length only supports 30000 tokens.";
  const frame = `event: error\ndata: ${JSON.stringify({ error: { message }, message })}\n\n`;
  for (const before of [[], [delta({ content: "Yes" })]]) {
    const stream = openStub(() => streamOf([...before, frame])).streamCompletion(ask());
    const error = await assertRejects(() => stream.response(), InvalidRequestError);
    assertEquals(
      [error.code, error.promptTokens, error.contextLength, error.partial?.content],
      ["context_overflow", 31430, 30000, before.length > 0 ? "Yes" : undefined],
    );
  }
});

Deno.test("tool calls: repeated names, empty ids and a finish with stop are repaired", async () => {
  const chunk = (fields: object) => delta({ tool_calls: [{ index: 0, ...fields }] });
  const frames = [
    chunk({ id: "814890118", type: "function", function: { name: "clock", arguments: "" } }),
    chunk({ id: "", type: "function", function: { name: "", arguments: '{"zone":' } }),
    chunk({ type: "function", function: { name: "", arguments: '"Oslo"}' } }),
    delta({}, "stop"),
  ];
  const stream = openStub(() => streamOf(frames)).streamCompletion(ask());
  const { toolCalls, finishReason } = await stream.response();
  assertEquals(toolCalls, [{ id: "814890118", name: "clock", arguments: '{"zone":"Oslo"}' }]);
  assertEquals(finishReason, "tool_calls");
});

Deno.test("headers that arrive with the first token are waited for", async () => {
  const fake = createFakeLMStudio({ streamHeaders: "at-first-token", firstTokenMs: 300 });
  await using server = await fake.listen();
  const lmstudio = new LMStudioProvider({ baseUrl: server.url, env: {}, connectTimeoutMs: 50 });
  const { finishReason } = await lmstudio.streamCompletion("Hello").response();
  assertEquals(finishReason, "stop");
});

Deno.test("a pooled connection that the server has closed costs one more request, not the answer", async () => {
  const { lmstudio, requests } = open(
    { faults: [{ path: "/v1/chat/completions", fault: { type: "cut", at: "headers" } }] },
    { maxRetries: 1 },
  );
  await lmstudio.listModels();
  assertEquals((await lmstudio.complete(ask())).finishReason, "stop");
  assertEquals(requests.map(({ method }) => method), ["GET", "POST", "POST"]);
});

// --- Embeddings -------------------------------------------------------------------------------

Deno.test("embeddings: floats are requested, base64 is read as well, and index sets the order", async () => {
  const { lmstudio, bodies } = open();
  const { model, embeddings, usage } = await lmstudio.embed({ input: "sea" });
  assertEquals(bodies()[0]?.encoding_format, "float");
  // The answer names the variant, which is not a substitution.
  assertEquals([model, embeddings[0]?.length], [`${EMBEDDER}@q4_k_m`, 768]);
  assertEquals(usage, { promptTokens: 0, completionTokens: 0, totalTokens: 0 });

  const half = btoa(String.fromCharCode(...new Uint8Array(new Float32Array([0.5, -1]).buffer)));
  const data = [{ index: 1, embedding: half }, { index: 0, embedding: [1, 2] }];
  const stub = openStub(() => Response.json({ data, model: EMBEDDER }));
  const decoded = await stub.embed({ model: EMBEDDER, input: ["a", "b"] });
  assertEquals(decoded.embeddings, [[1, 2], [0.5, -1]]);
});

Deno.test("embeddings: an empty text is refused before it reaches the engine", async () => {
  const { lmstudio, requests } = open();
  const error = await assertRejects(
    () => lmstudio.embed({ model: EMBEDDER, input: ["sea", ""] }),
    InvalidRequestError,
  );
  assertStringIncludes(error.message, "input[1]");
  assertEquals(requests.length, 0);
});

Deno.test("embeddings: one request at a time by default", async () => {
  const fake = createFakeLMStudio({ models: MODELS });
  let open = 0;
  let most = 0;
  const lmstudio = new LMStudioProvider({
    env: {},
    fetch: async (input, init) => {
      most = Math.max(most, ++open);
      await Promise.resolve();
      return await fake.fetch(input, init).finally(() => open--);
    },
  });
  const request = { model: EMBEDDER, input: ["a", "b", "c", "d"], batchSize: 1 };
  await lmstudio.embed(request);
  assertEquals([most, fake.requests.length], [1, 4]);
  await lmstudio.embed({ ...request, concurrency: 3 });
  assertEquals([most, fake.requests.length], [3, 8]);
});
