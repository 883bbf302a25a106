/** The official `@anthropic-ai/sdk` client with the options of `toAnthropic()`, against servers on real ports. */
import { assert, assertEquals, assertInstanceOf, assertStringIncludes } from "@std/assert";
import Anthropic, {
  APIConnectionError,
  APIError,
  APIUserAbortError,
  AuthenticationError,
  BadRequestError,
  InternalServerError,
} from "npm:@anthropic-ai/sdk@^1.14.0";
import { LMStudioProvider, type LMStudioProviderOptions } from "../mod.ts";
// Deno 2.9 does not find the client if `zod`, an optional dependency, is only imported dynamically.
import "zod";
import { createFakeLMStudio, type FakeLMStudioOptions } from "../src/testing/mod.ts";
import { closedPort } from "./support/raw_server.ts";
import { events, json, serveStub } from "./support/stub_server.ts";
import { rejection } from "./support/wire.ts";

const MODEL = "google/gemma-4-26b-a4b";
const REQUEST = {
  model: MODEL,
  max_tokens: 200,
  messages: [{ role: "user" as const, content: "Hello" }],
};

function clientOf(options: LMStudioProviderOptions): Anthropic {
  // The client waits at least half a second before a retry.
  return new Anthropic({
    ...new LMStudioProvider({ env: {}, ...options }).toAnthropic(),
    maxRetries: 0,
  });
}

async function serveFake(options: FakeLMStudioOptions = {}, more: LMStudioProviderOptions = {}) {
  const fake = createFakeLMStudio(options);
  const server = await fake.listen();
  return {
    fake,
    client: clientOf({ baseUrl: server.url, ...more }),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

function event(type: string, fields: object): string {
  return `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`;
}

const MESSAGE_START = event("message_start", {
  message: {
    id: "msg_1",
    type: "message",
    role: "assistant",
    model: MODEL,
    content: [],
    usage: { input_tokens: 1, output_tokens: 0 },
  },
});
const BLOCK_START = event("content_block_start", {
  index: 0,
  content_block: { type: "text", text: "" },
});
const DELTA = event("content_block_delta", {
  index: 0,
  delta: { type: "text_delta", text: "Hi" },
});

Deno.test("anthropic: the client accepts what toAnthropic() returns", () => {
  const options = new LMStudioProvider({ env: {}, apiToken: "secret-token" }).toAnthropic();
  assertEquals(Object.keys(options).sort(), ["apiKey", "authToken", "baseURL", "fetch"]);
  const client = new Anthropic(options);
  assertEquals([client.baseURL, client.apiKey, client.authToken], [
    "http://127.0.0.1:1234",
    "secret-token",
    null,
  ]);
});

Deno.test("anthropic: an answer with reasoning and tool calls", async () => {
  const reply = {
    reasoning: "Hm.",
    content: "I look.",
    toolCalls: [{ name: "weather", arguments: { city: "Oslo" }, id: "toolu_1" }],
  };
  await using server = await serveFake({ replies: [reply] });
  const answer = await server.client.messages.create({
    ...REQUEST,
    tools: [{ name: "weather", input_schema: { type: "object" } }],
  });
  assertEquals([answer.model, answer.stop_reason], [MODEL, "tool_use"]);
  assertEquals<unknown>(answer.content, [
    { type: "thinking", thinking: "Hm.", signature: "" },
    { type: "text", text: "I look." },
    { type: "tool_use", id: "toolu_1", name: "weather", input: { city: "Oslo" } },
  ]);
  assert(answer.usage.input_tokens > 0 && answer.usage.output_tokens > 0);
});

Deno.test("anthropic: a stream, by chunk and as a whole", async () => {
  const reply = { content: ["One", " two", "."], toolCalls: [{ name: "f", arguments: { a: 1 } }] };
  await using server = await serveFake({ replies: [reply] });
  const stream = server.client.messages.stream(REQUEST);
  const texts: string[] = [];
  stream.on("text", (text: string) => texts.push(text));
  const { content, stop_reason } = await stream.finalMessage();
  assertEquals(texts, ["One", " two", "."]);
  assertEquals(stop_reason, "tool_use");
  const call = content.at(1);
  assert(call?.type === "tool_use");
  assertEquals(call.input, { a: 1 });
});

Deno.test("anthropic: API token, headers and signal are passed on, but no field of ours", async () => {
  await using server = await serveFake(
    { apiToken: "sk-lm-abcdefgh:0123456789" },
    { apiToken: "sk-lm-abcdefgh:0123456789", headers: { "x-team": "blue" } },
  );
  await server.client.messages.create(REQUEST);
  const sent = server.fake.requests[0]?.headers;
  assertEquals(sent?.authorization, "Bearer sk-lm-abcdefgh:0123456789");
  assertEquals([sent?.["x-team"], sent?.["x-api-key"]], ["blue", undefined]);
});

Deno.test("anthropic: the placeholder does not count as a key, under either header", async () => {
  await using server = await serveFake({}, { apiToken: "sk-lm-abcdefgh:0123456789" });
  const { fetch, baseURL } = new LMStudioProvider({
    env: {},
    fetch: server.fake.fetch,
    apiToken: "sk-lm-abcdefgh:0123456789",
  }).toAnthropic();
  const headers = { "x-api-key": "lm-studio", "content-type": "application/json" };
  const body = JSON.stringify(REQUEST);
  await (await fetch(`${baseURL}/v1/messages`, { method: "POST", headers, body })).body?.cancel();
  const sent = server.fake.requests[0]?.headers;
  assertEquals(sent?.["x-api-key"], undefined);
  assertEquals(sent?.authorization, "Bearer sk-lm-abcdefgh:0123456789");
});

for (const stream of [false, true]) {
  Deno.test(`anthropic: errors are the client's own, streamed: ${stream}`, async (t) => {
    await t.step("a wrong token", async () => {
      await using server = await serveFake({ apiToken: "sk-lm-abcdefgh:0123456789" });
      const error = await rejection(server.client.messages.create({ ...REQUEST, stream }));
      assertInstanceOf(error, AuthenticationError);
      assertStringIncludes(error.message, "An LM Studio API token is required");
      assertEquals(error.type, "authentication_error");
    });
    await t.step("a model that nobody has, in the shape of another route", async () => {
      await using server = await serveFake({ models: [], jit: false });
      const error = await rejection(server.client.messages.create({ ...REQUEST, stream }));
      assertInstanceOf(error, APIError);
      assertStringIncludes(error.message, "No models loaded");
    });
    await t.step("a server that does not have the route, under 200", async () => {
      await using server = await serveFake({ version: "0.3.30" });
      const error = await rejection(server.client.messages.create({ ...REQUEST, stream }));
      assertInstanceOf(error, BadRequestError);
      assertStringIncludes(error.message, "Unexpected endpoint");
      assertEquals(error.type, "api_error");
    });
    await t.step("a text under 500", async () => {
      await using server = serveStub({
        "POST /v1/messages": json({ error: "boom" }, 500),
      });
      const client = clientOf({ baseUrl: server.url });
      const error = await rejection(client.messages.create({ ...REQUEST, stream }));
      assertInstanceOf(error, InternalServerError);
      assertEquals([error.apiMessage, error.type], ["boom", "api_error"]);
    });
  });
}

Deno.test("anthropic: a context overflow is a single event under 200, and is raised", async () => {
  await using server = await serveFake({ models: [{ id: MODEL, contextLength: 4 }] });
  const stream = await server.client.messages.create({ ...REQUEST, stream: true });
  const error = await rejection(Array.fromAsync(stream));
  assertInstanceOf(error, APIError);
  assertStringIncludes(error.message, "greater than the context length");
});

Deno.test("anthropic: a stream that is cut is not an answer", async (t) => {
  const cuts = {
    "after nothing": [],
    "before the text": [MESSAGE_START, BLOCK_START],
    "in the text": [MESSAGE_START, BLOCK_START, DELTA],
    "after a block": [
      MESSAGE_START,
      BLOCK_START,
      DELTA,
      event("content_block_stop", { index: 0 }),
    ],
  };
  for (const [name, frames] of Object.entries(cuts)) {
    await t.step(name, async () => {
      await using server = serveStub({ "POST /v1/messages": events(frames) });
      const stream = clientOf({ baseUrl: server.url }).messages.stream(REQUEST);
      const error = await rejection(stream.finalMessage());
      assertStringIncludes(`${error} ${(error as Error).cause}`, "stream");
    });
  }
});

Deno.test("anthropic: anything after message_stop is ignored, and the socket is not waited for", async () => {
  const stop = [
    event("message_delta", { delta: { stop_reason: "end_turn" }, usage: { output_tokens: 1 } }),
    event("message_stop", {}),
  ];
  await using server = serveStub({
    "POST /v1/messages": events([MESSAGE_START, BLOCK_START, DELTA, ...stop, DELTA], "hang"),
  });
  const { content } = await clientOf({ baseUrl: server.url }).messages.stream(REQUEST)
    .finalMessage();
  assertEquals(
    content.map((block: { type: string; text?: string }) =>
      block.type === "text" ? block.text : ""
    ),
    ["Hi"],
  );
});

Deno.test("anthropic: the provider's timeouts end a silent answer", async (t) => {
  await t.step("before the first token, though events have come", async () => {
    await using server = await serveFake({
      faults: [{ path: "/v1/messages", fault: { type: "stall", at: "body" } }],
    }, { firstTokenTimeoutMs: 60 });
    const stream = server.client.messages.stream(REQUEST);
    const error = await rejection(stream.finalMessage());
    assertStringIncludes(`${error} ${(error as Error).cause}`, "60 ms");
  });
  await t.step("between tokens", async () => {
    await using server = await serveFake({
      replies: ["One two three."],
      faults: [{ path: "/v1/messages", fault: { type: "stall", at: "body", afterTokens: 1 } }],
    }, { idleTimeoutMs: 60 });
    const stream = server.client.messages.stream(REQUEST);
    const error = await rejection(stream.finalMessage());
    assertStringIncludes(`${error} ${(error as Error).cause}`, "60 ms");
  });
});

Deno.test("anthropic: no server, and an abort", async (t) => {
  await t.step("the client's connection error has our sentence as its cause", async () => {
    const client = clientOf({ baseUrl: `http://127.0.0.1:${closedPort()}` });
    const error = await rejection(client.messages.create(REQUEST));
    assertInstanceOf(error, APIConnectionError);
    assertStringIncludes(String(error.cause), "refused the connection");
  });
  await t.step("an abort stops the server", async () => {
    await using server = await serveFake({ replies: ["A b c d e f g."], tokenMs: 20 });
    const controller = new AbortController();
    const stream = server.client.messages.stream(REQUEST, { signal: controller.signal });
    stream.on("text", () => controller.abort());
    assertInstanceOf(await rejection(stream.finalMessage()), APIUserAbortError);
    while (server.fake.requests[0]?.aborted === false) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    assertEquals(server.fake.requests[0]?.aborted, true);
  });
});
