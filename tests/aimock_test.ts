/**
 * The provider against a server that is not part of this project: `@copilotkit/aimock`, which serves
 * OpenAI-like APIs from a file. It shows that the tests here and the fake of `./testing` agree with more
 * than each other.
 */

import {
  assert,
  assertEquals,
  assertGreater,
  assertLess,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import {
  ApiError,
  type CompletionRequest,
  InvalidRequestError,
  LMStudioProvider,
  ModelNotAvailableError,
  NetworkError,
  ParseError,
  RateLimitedError,
  StreamError,
  tool,
} from "../mod.ts";
import { verify } from "../src/cli/verify.ts";

const SERVER = "npm:@copilotkit/aimock@1.43.0/llmock";
/** The first start downloads the package. */
const START_MS = 60_000;
const CHUNK_MS = 20;
const CHAT_MODEL = "gpt-4o";
const EMBEDDING_MODEL = "text-embedding-3-small";
const LONG = "word ".repeat(400).trim();
const FIXTURES = [
  { match: { userMessage: "hello" }, response: { content: "Hello, and welcome to the tests." } },
  { match: { userMessage: "a long story" }, response: { content: LONG } },
  {
    match: { userMessage: "weather" },
    response: { toolCalls: [{ id: "call_1", name: "get_weather", arguments: { city: "Oslo" } }] },
  },
  // Two tool calls; it continues only once the second one's failure has come back.
  {
    match: { userMessage: "umbrella", toolResultContains: "Error: the clock is broken" },
    response: { content: "Take one.", usage: { prompt_tokens: 30, completion_tokens: 3 } },
  },
  {
    match: { userMessage: "umbrella", hasToolResult: false },
    response: {
      toolCalls: [
        { id: "call_1", name: "get_weather", arguments: { city: "Oslo" } },
        { id: "call_2", name: "get_time", arguments: {} },
      ],
      usage: { prompt_tokens: 20, completion_tokens: 9 },
    },
  },
  {
    match: { userMessage: "breaks off" },
    response: { content: "One two three four five six seven eight." },
    truncateAfterChunks: 3,
  },
  {
    match: { userMessage: "too much" },
    response: {
      error: {
        message: "This model's maximum context length is 8192 tokens. However, your messages " +
          "resulted in 9001 tokens.",
        type: "invalid_request_error",
        code: "context_length_exceeded",
      },
      status: 400,
    },
  },
  { match: { inputText: "sea" }, response: { embedding: [0.25, -0.5, 1] } },
  // Last, because it also matches within other words.
  { match: { userMessage: "hi" }, response: { content: "Hi." } },
];

let folder = "";
let server: Deno.ChildProcess | undefined;
let output: ReadableStreamDefaultReader<Uint8Array> | undefined;
let lmstudio: LMStudioProvider;
let address = "";

Deno.test.beforeAll(async () => {
  folder = await Deno.makeTempDir({ prefix: "aimock-" });
  await Deno.writeTextFile(`${folder}/fixtures.json`, JSON.stringify({ fixtures: FIXTURES }));
  server = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--quiet", "--no-config", "--no-lock", "-A", SERVER],
      // Port 0: any free port, which it prints.
      ...["--port", "0", "--fixtures", "fixtures.json"],
      ...["--latency", String(CHUNK_MS), "--chunk-size", "8"],
    ],
    cwd: folder,
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  output = server.stdout.getReader();
  const baseUrl = address = await readAddress(server, output);
  lmstudio = new LMStudioProvider({ baseUrl, maxRetries: 0, env: {} });
});

Deno.test.afterAll(async () => {
  server?.kill("SIGKILL");
  await output?.cancel();
  await server?.status;
  await Deno.remove(folder, { recursive: true });
});

async function readAddress(
  child: Deno.ChildProcess,
  reader: ReadableStreamDefaultReader<Uint8Array>,
): Promise<string> {
  const timer = setTimeout(() => child.kill("SIGKILL"), START_MS);
  const decoder = new TextDecoder();
  let text = "";
  try {
    while (true) {
      const { done, value } = await reader.read();
      if (done) throw new Error(`The server did not start: ${text}`);
      text += decoder.decode(value, { stream: true });
      const [, address] = /listening on (http:\/\/\S+)\n/.exec(text) ?? [];
      if (address !== undefined) return address;
    }
  } finally {
    clearTimeout(timer);
  }
}

function ask(messages: string): CompletionRequest {
  return { model: CHAT_MODEL, messages };
}

/** What the server should do to this one request. */
function chaos(kind: "drop" | "malformed" | "disconnect" | "ratelimit") {
  return { headers: { [`x-aimock-chaos-${kind}`]: "1" } };
}

Deno.test("aimock: listing falls through another product's answer to /v1/models", async () => {
  const models = await lmstudio.listModels();
  assertEquals(models.find(({ id }) => id === CHAT_MODEL)?.type, "llm");
  assertEquals(models.find(({ id }) => id === EMBEDDING_MODEL)?.type, "embedding");
  // These ids are from its /api/v1/models, which imitates OpenRouter.
  assert(!models.some(({ id }) => id.includes("/")), models.map(({ id }) => id).join());
  assertEquals(await lmstudio.supportsModel(CHAT_MODEL), true);
  assertEquals(await lmstudio.supportsModel("qwen/qwen3-8b"), false);
  assertEquals((await lmstudio.modelCapabilities(EMBEDDING_MODEL))?.supportsEmbeddings, true);
});

Deno.test("aimock: complete", async () => {
  const { content, model, finishReason, toolCalls, usage } = await lmstudio.complete(ask("hello"));
  assertEquals(content, "Hello, and welcome to the tests.");
  assertEquals([model, finishReason, toolCalls], [CHAT_MODEL, "stop", []]);
  assertGreater(usage?.totalTokens ?? 0, 0);
});

Deno.test("aimock: without a model name, several models are an error that names them", async () => {
  const error = await assertRejects(() => lmstudio.complete("hello"), ModelNotAvailableError);
  assertEquals(error.code, "no_model_loaded");
  assert(error.available?.includes(CHAT_MODEL) && !error.available.includes(EMBEDDING_MODEL));
});

Deno.test("aimock: stream", async () => {
  const stream = lmstudio.streamCompletion(ask("hello"));
  const chunks = await Array.fromAsync(stream);
  assertGreater(chunks.length, 3);
  assertEquals(chunks.map(({ content }) => content).join(""), "Hello, and welcome to the tests.");
  assertEquals(chunks.filter(({ isFinal }) => isFinal).length, 1);
  const last = chunks.at(-1);
  assertEquals([last?.isFinal, last?.finishReason, last?.model], [true, "stop", CHAT_MODEL]);
  const response = await stream.response();
  assertEquals(response.content, "Hello, and welcome to the tests.");
  assertGreater(response.usage?.completionTokens ?? 0, 0);
  assertEquals(response.usage, last?.usage);
});

Deno.test("aimock: stream and answer have the same tool call", async () => {
  const call = { id: "call_1", name: "get_weather", arguments: '{"city":"Oslo"}' };
  const request = { ...ask("weather"), tools: [{ name: "get_weather" }] };
  const whole = await lmstudio.complete(request);
  const streamed = await lmstudio.streamCompletion(request).response();
  for (const { toolCalls, finishReason } of [whole, streamed]) {
    assertEquals(toolCalls, [call]);
    assertEquals(finishReason, "tool_calls");
  }
});

Deno.test("aimock: tools run two at a time and one of them fails, whole and streamed", async () => {
  const request = {
    ...ask("umbrella"),
    tools: [
      tool({
        name: "get_weather",
        parameters: { type: "object", properties: { city: { type: "string" } } },
        execute: ({ city }) => ({ city, sky: "rain" }),
      }),
      tool({
        name: "get_time",
        execute: () => {
          throw new Error("the clock is broken");
        },
      }),
    ],
  };
  const whole = await lmstudio.runTools(request);
  const stream = lmstudio.streamTools(request);
  const seen: string[] = [];
  let text = "";
  for await (const event of stream) {
    if (event.type === "chunk") text += event.chunk.content;
    else seen.push(`${event.type} ${event.call.id}`);
  }
  assertEquals(text, "Take one.");
  assertEquals(seen.slice(0, 2), ["call call_1", "call call_2"]);
  assertEquals(seen.slice(2).sort(), ["result call_1", "result call_2"]);
  for (const { response, messages, rounds, usage } of [whole, await stream.result()]) {
    assertEquals([response.content, response.finishReason, rounds], ["Take one.", "stop", 2]);
    assertEquals(messages.slice(2), [
      { role: "tool", toolCallId: "call_1", content: '{"city":"Oslo","sky":"rain"}' },
      { role: "tool", toolCallId: "call_2", content: "Error: the clock is broken" },
      { role: "assistant", content: "Take one." },
    ]);
    assertEquals(usage, { promptTokens: 50, completionTokens: 12, totalTokens: 62 });
  }
});

Deno.test("aimock: break ends a stream early, and the next call works", async () => {
  const startedAt = performance.now();
  let text = "";
  for await (const { content } of lmstudio.streamCompletion(ask("a long story"))) {
    text += content;
    if (text !== "") break;
  }
  // The whole answer takes 2000 / 8 chunks.
  assertLess(performance.now() - startedAt, 250 * CHUNK_MS / 4);
  assertStringIncludes(LONG, text);
  assertEquals((await lmstudio.complete(ask("hello"))).finishReason, "stop");
});

Deno.test("aimock: an abort rejects with its reason", async () => {
  const controller = new AbortController();
  const reason = new Error("enough");
  const stream = lmstudio.streamCompletion(ask("a long story"), { signal: controller.signal });
  const error = await assertRejects(async () => {
    for await (const { content } of stream) if (content !== "") controller.abort(reason);
  });
  assertEquals(error, reason);
});

Deno.test("aimock: embed", async () => {
  const named = await lmstudio.embed({ model: EMBEDDING_MODEL, input: ["sea", "sea and sky"] });
  assertEquals(named.model, EMBEDDING_MODEL);
  assertEquals(named.embeddings[0], [0.25, -0.5, 1]);
  assertEquals(named.embeddings.length, 2);
  // The only listed model.
  const chosen = await lmstudio.embed({ input: "sea" });
  assertEquals(chosen.embeddings, [[0.25, -0.5, 1]]);
});

Deno.test("aimock: a prompt it does not know is a 404 in its own wording", async () => {
  const error = await assertRejects(() => lmstudio.complete(ask("?")), InvalidRequestError);
  assertEquals([error.code, error.status], ["invalid_request", 404]);
  assertStringIncludes(error.message, "No fixture matched");
  const streamed = await assertRejects(
    () => lmstudio.streamCompletion(ask("?")).response(),
    InvalidRequestError,
  );
  assertEquals(streamed.status, 404);
});

Deno.test("aimock: OpenAI's wording for a context that is too small is understood", async () => {
  const error = await assertRejects(() => lmstudio.complete(ask("too much")), InvalidRequestError);
  assertEquals(
    [error.code, error.promptTokens, error.contextLength],
    ["context_overflow", 9001, 8192],
  );
});

Deno.test("aimock: 500", async () => {
  const error = await assertRejects(
    () => lmstudio.complete(ask("hello"), chaos("drop")),
    ApiError,
  );
  assertEquals([error.code, error.status, error.attempts], ["server_error", 500, 1]);
});

Deno.test("aimock: 200 with something that is not JSON", async () => {
  const error = await assertRejects(
    () => lmstudio.complete(ask("hello"), chaos("malformed")),
    ParseError,
  );
  assertEquals(error.code, "malformed_response");
  assertStringIncludes(error.bodySnippet ?? "", "{malformed json");
  const streamed = await assertRejects(
    () => lmstudio.streamCompletion(ask("hello"), chaos("malformed")).response(),
    ParseError,
  );
  assertEquals(streamed.code, "malformed_response");
});

Deno.test("aimock: a connection that breaks before the answer", async () => {
  const error = await assertRejects(
    () => lmstudio.complete(ask("hello"), chaos("disconnect")),
    NetworkError,
  );
  assertEquals([error.code, error.retriable], ["connection_reset", true]);
});

Deno.test("aimock: a stream that breaks off keeps the text received so far", async () => {
  const stream = lmstudio.streamCompletion(ask("breaks off"));
  const error = await assertRejects(() => stream.response());
  assert(error instanceof StreamError || error instanceof NetworkError, String(error));
  assert(error.retriable);
  const { content = "" } = error.partial ?? {};
  assertGreater(content.length, 0);
  assert("One two three four five six seven eight.".startsWith(content), content);
});

Deno.test("aimock: 429 is retried after the delay it gives", async () => {
  const error = await assertRejects(
    () => lmstudio.complete(ask("hello"), chaos("ratelimit")),
    RateLimitedError,
  );
  assertEquals([error.code, error.status, error.retryAfterMs], ["rate_limited", 429, 1000]);
  const again = await assertRejects(
    () => lmstudio.complete(ask("hello"), { ...chaos("ratelimit"), maxRetries: 1 }),
    RateLimitedError,
  );
  assertEquals(again.attempts, 2);
});

Deno.test("aimock: verify reports that it is not LM Studio, and which of OpenAI's routes it has", async () => {
  const { listing, results } = await verify({ baseUrl: address, mayLoad: true, limitMs: 10_000 });
  assertEquals(listing, "/v1/models");
  const of = (state: string) =>
    results.filter((result) => result.state === state).map(({ trial }) => trial);
  const failed = of("fails");
  for (const trial of ["greeting", "unknownRoute", "openaiListing", "toolChoiceObject"]) {
    assert(failed.includes(trial), `${trial} does not fail`);
  }
  const held = of("holds");
  for (const trial of ["completions", "streamEnd", "streamUsage", "errorShapes"]) {
    assert(held.includes(trial), `${trial} does not hold`);
  }
});
