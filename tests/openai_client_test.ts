/** The official `openai` client with the options of `toOpenAI()`, against servers on real ports. */
import { assert, assertEquals, assertInstanceOf, assertStringIncludes } from "@std/assert";
import { assertType, type IsExact } from "@std/testing/types";
import OpenAI, {
  APIConnectionError,
  APIError,
  APIUserAbortError,
  AuthenticationError,
  BadRequestError,
} from "npm:openai@^7.57.0";
import {
  LMStudioProvider,
  type LMStudioProviderOptions,
  NetworkError,
  type OpenAIClientOptions,
  StreamError,
  TimeoutError,
} from "../mod.ts";
// Deno 2.9 does not find `openai` if `zod`, an optional dependency, is only imported dynamically.
import "zod";
import { createFakeLMStudio, type FakeLMStudioOptions } from "../src/testing/mod.ts";
import { closedPort } from "./support/raw_server.ts";
import { events, serveStub } from "./support/stub_server.ts";
import { answer, FINISH, rejection, token } from "./support/wire.ts";

const MODEL = "google/gemma-4-26b-a4b";
const EMBEDDING_MODEL = "text-embedding-nomic-embed-text-v1.5";
const MESSAGES = [{ role: "user" as const, content: "Hello" }];

function clientOf(options: LMStudioProviderOptions): OpenAI {
  // The client waits at least half a second before a retry.
  return new OpenAI({ ...new LMStudioProvider({ env: {}, ...options }).toOpenAI(), maxRetries: 0 });
}

async function serveFake(options: FakeLMStudioOptions = {}) {
  const fake = createFakeLMStudio(options);
  const server = await fake.listen();
  return {
    fake,
    url: server.url,
    client: clientOf({ baseUrl: server.url }),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

Deno.test("openai: the client accepts every option that toOpenAI() returns", () => {
  const options = new LMStudioProvider({ env: {} }).toOpenAI();
  assertType<
    IsExact<
      typeof options,
      { baseURL: string; apiKey: string; fetch: typeof globalThis.fetch } & OpenAIClientOptions
    >
  >(true);
  const client = new OpenAI(options);
  assertEquals([client.baseURL, client.apiKey], ["http://127.0.0.1:1234/v1", "lm-studio"]);
});

Deno.test("openai: an answer", async () => {
  await using server = await serveFake({ replies: ["Hi there."] });
  const { choices, model, usage } = await server.client.chat.completions.create({
    model: MODEL,
    messages: MESSAGES,
  });
  assertEquals([choices[0]?.message.content, choices[0]?.finish_reason], ["Hi there.", "stop"]);
  assertEquals(model, MODEL);
  assert((usage?.completion_tokens ?? 0) > 0);
  assertEquals(server.fake.requests.map(({ path }) => path), ["/v1/chat/completions"]);
  // To a server that requires an API token, a placeholder would be a malformed one.
  assertEquals(server.fake.requests[0]?.headers.authorization, undefined);
});

Deno.test("openai: a stream, token by token, with its usage", async () => {
  await using server = await serveFake({ replies: [{ content: ["Hi", " the", "re."] }] });
  const stream = await server.client.chat.completions.create({
    model: MODEL,
    messages: MESSAGES,
    stream: true,
    stream_options: { include_usage: true },
  });
  const chunks: string[] = [];
  let usage: number | undefined;
  for await (const chunk of stream) {
    const content = chunk.choices[0]?.delta.content;
    if (content) chunks.push(content);
    usage = chunk.usage?.completion_tokens ?? usage;
  }
  assertEquals(chunks, ["Hi", " the", "re."]);
  assertEquals(usage, 3);
  assertEquals(server.fake.requests[0]?.completed, true);
});

Deno.test("openai: tool calls in chunks become whole ones", async () => {
  const toolCalls = [
    { name: "weather", arguments: { city: "Århus" } },
    { name: "time", arguments: {} },
  ];
  await using server = await serveFake({ replies: [{ toolCalls }] });
  const parameters = { type: "object", properties: {} };
  const tools = toolCalls.map(({ name }) => ({
    type: "function" as const,
    function: { name, parameters },
  }));
  const runner = server.client.chat.completions.stream({ model: MODEL, messages: MESSAGES, tools });
  const { choices } = await runner.finalChatCompletion();
  const calls = choices[0]?.message.tool_calls?.map((call) =>
    call.type === "function" ? [call.function.name, JSON.parse(call.function.arguments)] : []
  );
  assertEquals(calls, toolCalls.map(({ name, arguments: args }) => [name, args]));
  assertEquals(choices[0]?.finish_reason, "tool_calls");
});

Deno.test("openai: vectors are the server's numbers, whichever encoding the client requests", async () => {
  const vectors = [[0.25, -0.5, 1.5, 0], [3, 0.125, -2, 1e-8].map(Math.fround)];
  const data = vectors.map((embedding, index) => ({ object: "embedding", index, embedding }));
  await using server = serveStub({
    "POST /v1/embeddings": { body: JSON.stringify({ object: "list", model: "m", data }) },
  });
  const client = clientOf({ baseUrl: server.url });
  for (const encoding of [{}, { encoding_format: "float" as const }]) {
    const request = { model: "m", input: ["a", "b"], ...encoding };
    const answered = await client.embeddings.create(request);
    assertEquals(answered.data.map(({ embedding }) => embedding), vectors);
  }
});

Deno.test("openai: the client's vectors are the provider's", async () => {
  await using server = await serveFake();
  const request = { model: EMBEDDING_MODEL, input: ["sea", "ocean"] };
  const { data } = await server.client.embeddings.create(request);
  const { embeddings } = await new LMStudioProvider({ env: {}, baseUrl: server.url }).embed(
    request,
  );
  assertEquals(data.map(({ embedding }) => embedding), embeddings);
});

Deno.test("openai: models are listed", async () => {
  await using server = await serveFake({ models: ["a/one", "b/two"] });
  const ids: string[] = [];
  for await (const { id } of server.client.models.list()) ids.push(id);
  assertEquals(ids, ["a/one", "b/two"]);
});

Deno.test("openai: an error under 200 is raised, for answers, streams, vectors and lists", async () => {
  const error = "Unexpected endpoint or method. (POST /v1/anything)";
  await using server = await serveFake({
    faults: [{ times: Infinity, fault: { type: "respond", status: 200, body: { error } } }],
  });
  const { client } = server;
  const request = { model: MODEL, messages: MESSAGES };
  const calls = [
    client.chat.completions.create(request),
    client.chat.completions.create({ ...request, stream: true }),
    client.embeddings.create({ model: MODEL, input: "text" }),
    client.responses.create({ model: MODEL, input: "text" }),
    client.models.list(),
  ];
  for (const call of calls) {
    const raised = await rejection(call);
    assertInstanceOf(raised, BadRequestError);
    assertEquals<unknown>([raised.status, raised.error], [400, { message: error }]);
    assertStringIncludes(raised.message, "Unexpected endpoint or method");
  }
});

Deno.test("openai: an error object under 200 keeps its code, type and param", async () => {
  const error = { message: "No.", type: "invalid_request_error", param: "model", code: "x" };
  await using server = await serveFake({
    faults: [{ fault: { type: "respond", status: 200, body: { error } } }],
  });
  const raised = await rejection(
    server.client.chat.completions.create({ model: MODEL, messages: MESSAGES }),
  );
  assertInstanceOf(raised, BadRequestError);
  assertEquals([raised.code, raised.type, raised.param], ["x", "invalid_request_error", "model"]);
});

Deno.test("openai: the server's own errors are passed on unchanged", async () => {
  await using server = await serveFake({ substitution: false });
  const raised = await rejection(
    server.client.chat.completions.create({ model: "nobody/has-this", messages: MESSAGES }),
  );
  assertInstanceOf(raised, BadRequestError);
  assertEquals([raised.status, raised.code, raised.param], [400, "model_not_found", "model"]);
});

Deno.test("openai: the API token is sent, and without one the 401 says that it is missing", async () => {
  const apiToken = "sk-lm-abcd1234:abcdefghij0123456789";
  await using server = await serveFake({ apiToken });
  const request = { model: MODEL, messages: MESSAGES };
  const secured = clientOf({ baseUrl: server.url, apiToken });
  assertEquals((await secured.chat.completions.create(request)).object, "chat.completion");
  const raised = await rejection(server.client.chat.completions.create(request));
  assertInstanceOf(raised, AuthenticationError);
  assertEquals([raised.status, raised.code], [401, "invalid_api_key"]);
  assertStringIncludes(raised.message, "but none was provided");
});

Deno.test("openai: an error in the middle of a stream is raised", async () => {
  const message = "The model has crashed without additional information. (Exit code: null)";
  await using server = await serveFake({
    replies: [{ content: ["one", "two"] }],
    faults: [{ fault: { type: "error-frame", message, afterTokens: 1 } }],
  });
  const stream = await server.client.chat.completions.create({
    model: MODEL,
    messages: MESSAGES,
    stream: true,
  });
  const chunks: unknown[] = [];
  const raised = await rejection((async () => {
    for await (const { choices } of stream) chunks.push(choices[0]?.delta.content);
  })());
  assertEquals(chunks, ["one"]);
  assertInstanceOf(raised, APIError);
  assertStringIncludes(raised.message, "The model has crashed");
});

Deno.test("openai: a stream that is cut, cleanly or not, is not an answer", async () => {
  for (const clean of [true, false]) {
    await using server = await serveFake({
      replies: [{ content: ["one", "two", "three"] }],
      faults: [{ fault: { type: "cut", afterTokens: 2, clean } }],
    });
    const stream = await server.client.chat.completions.create({
      model: MODEL,
      messages: MESSAGES,
      stream: true,
    });
    const chunks: unknown[] = [];
    const raised = await rejection((async () => {
      for await (const { choices } of stream) chunks.push(choices[0]?.delta.content);
    })());
    assertEquals(chunks, ["one", "two"]);
    assertInstanceOf(raised, clean ? StreamError : NetworkError);
    assertEquals(raised.code, clean ? "stream_truncated" : "connection_reset");
  }
});

Deno.test("openai: leaving the loop stops the server", async () => {
  await using server = await serveFake({ replies: ["word ".repeat(500)], tokenMs: 5 });
  const stream = await server.client.chat.completions.create({
    model: MODEL,
    messages: MESSAGES,
    stream: true,
  });
  for await (const _ of stream) break;
  await until(() => server.fake.requests[0]?.aborted === true);
});

Deno.test("openai: the client's abort stops the server, before and during an answer", async () => {
  await using server = await serveFake({ replies: ["word ".repeat(500)], tokenMs: 5 });
  const request = { model: MODEL, messages: MESSAGES };
  const before = new AbortController();
  const call = rejection(
    server.client.chat.completions.create(request, { signal: before.signal }),
  );
  await until(() => server.fake.requests.length === 1);
  before.abort();
  assertInstanceOf(await call, APIUserAbortError);
  await until(() => server.fake.requests[0]?.aborted === true);

  const within = new AbortController();
  const stream = await server.client.chat.completions.create(
    { ...request, stream: true },
    { signal: within.signal },
  );
  let chunks = 0;
  for await (const _ of stream) if (++chunks === 2) within.abort();
  assert(chunks < 500);
  await until(() => server.fake.requests[1]?.aborted === true);
});

Deno.test("openai: an unreachable server is a connection error, whose cause says what to do", async () => {
  const client = clientOf({ baseUrl: `http://127.0.0.1:${closedPort()}` });
  const raised = await rejection(
    client.chat.completions.create({ model: MODEL, messages: MESSAGES }),
  );
  assertInstanceOf(raised, APIConnectionError);
  assertInstanceOf(raised.cause, NetworkError);
  assertEquals([raised.cause.code, raised.cause.attempts], ["connection_refused", 1]);
  assertStringIncludes(raised.cause.message, "Cannot send POST /v1/chat/completions: http://127");
  assertStringIncludes(raised.cause.hint, "lms server start");
});

Deno.test("openai: the provider's timeouts apply", async () => {
  await using server = await serveFake({
    replies: ["one two"],
    faults: [{ times: Infinity, fault: { type: "stall", afterTokens: 1 } }],
  });
  const client = clientOf({ baseUrl: server.url, idleTimeoutMs: 40, timeoutMs: 30 });
  const request = { model: MODEL, messages: MESSAGES };
  const stream = await client.chat.completions.create({ ...request, stream: true });
  const idle = await rejection((async () => {
    for await (const _ of stream);
  })());
  assertInstanceOf(idle, TimeoutError);
  assertEquals(idle.phase, "idle");
  const total = await rejection(client.chat.completions.create(request));
  assertInstanceOf(total, APIError);
  const { cause } = total;
  assertInstanceOf(cause, TimeoutError);
  assertEquals(cause.phase, "total");
  await until(() => server.fake.requests.every(({ aborted }) => aborted));
});

Deno.test("openai: behind a path of a reverse proxy", async () => {
  await using server = serveStub({
    "POST /lm/v1/chat/completions": ({ body }) =>
      body.stream === true ? events([token("Hi"), FINISH]) : { body: answer("Hi") },
  });
  const client = clientOf({ baseUrl: `${server.url}/lm/v1/`, headers: { "x-tenant": "blue" } });
  const request = { model: "m", messages: MESSAGES };
  const { choices } = await client.chat.completions.create(request);
  assertEquals(choices[0]?.message.content, "Hi");
  const stream = await client.chat.completions.create({ ...request, stream: true });
  let text = "";
  for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? "";
  assertEquals(text, "Hi");
  assertEquals(server.requests.map(({ headers }) => headers.get("x-tenant")), ["blue", "blue"]);
});

/** Waits until the server has noticed: a client's departure shows a moment later. */
async function until(isTrue: () => boolean): Promise<void> {
  const deadline = performance.now() + 2000;
  while (!isTrue()) {
    assert(performance.now() < deadline, "nothing happened within 2 s");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
