/** What users' tests rely on: chats in one form, strict mode, retries, and replayed recordings. */
import { assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { LMStudioProvider } from "../mod.ts";
import { createFakeLMStudio, type RecordedExchange } from "../src/testing/mod.ts";

const MODEL = "qwen/qwen3-8b";

function open(options: Parameters<typeof createFakeLMStudio>[0] = {}) {
  const fake = createFakeLMStudio({ models: [MODEL], ...options });
  const provider = new LMStudioProvider({ fetch: fake.fetch, env: {}, maxRetries: 0 });
  return { fake, provider };
}

Deno.test("chats: all generating routes in one form, and no others", async () => {
  const { fake, provider } = open();
  const system = "Be brief.";
  const weather = { name: "get_weather", parameters: { type: "object", properties: {} } };
  await provider.complete({
    messages: [
      { role: "system", content: system },
      "One?",
      { role: "assistant", content: "1" },
      "Two?",
    ],
    tools: [weather],
  });
  await provider.completeText({ prompt: "Once upon" });
  await provider.responses.create({ input: "Three?", instructions: system, tools: [weather] });
  await provider.chat.send({ input: "Four?", systemPrompt: system });
  for await (const _ of provider.streamCompletion("Five?"));
  const chats = fake.chats.map(({ route, model, system, prompt, tools, stream }) => ({
    route,
    model,
    system,
    prompt,
    tools,
    stream,
  }));
  const common = { model: MODEL, tools: [] as string[], stream: false };
  assertEquals(chats, [
    { ...common, route: "completions", system, prompt: "Two?", tools: ["get_weather"] },
    { ...common, route: "text", system: undefined, prompt: "Once upon" },
    { ...common, route: "responses", system, prompt: "Three?", tools: ["get_weather"] },
    { ...common, route: "chat", system, prompt: "Four?" },
    { ...common, route: "completions", system: undefined, prompt: "Five?", stream: true },
  ]);
  assertEquals(fake.chats[0]?.messages, [
    { role: "user", content: "One?" },
    { role: "assistant", content: "1" },
    { role: "user", content: "Two?" },
  ]);
  // The listings are requests, but not chats.
  assertEquals(fake.requests.length > fake.chats.length, true);
});

Deno.test("chats: images are counted, and each chat has its request", async () => {
  const { fake, provider } = open({ models: [{ id: MODEL, vision: true }] });
  const image = new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0]);
  await provider.complete({
    messages: [{
      role: "user",
      content: [{ type: "text", text: "What?" }, { type: "image", image }],
    }],
  });
  const [chat] = fake.chats;
  assertEquals([chat?.prompt, chat?.images], ["What?", 1]);
  assertEquals(chat?.request, fake.requests.at(-1));
});

Deno.test("strict: a missing reply is an error that says what was asked, and assertDone throws it", async () => {
  const { fake, provider } = open({ strict: true, replies: ["Four."] });
  await provider.complete("Two and two?");
  fake.assertDone();
  await assertRejects(() => provider.complete("Three and three?"));
  const error = assertThrows(() => fake.assertDone(), Error);
  assertMatch(error.message, /no reply is left for "Three and three\?" of qwen\/qwen3-8b/);
});

Deno.test("strict: an unknown route is an error; one that only other releases have is not", async () => {
  const fake = createFakeLMStudio({ strict: true, version: "0.3" });
  const older = await fake.fetch("http://127.0.0.1:1234/api/v1/models");
  assertEquals(older.status, 200);
  await older.body?.cancel();
  fake.assertDone();
  const unknown = await fake.fetch("http://127.0.0.1:1234/v1/rerank", {
    method: "POST",
    body: "{}",
  });
  assertEquals(unknown.status, 400);
  assertMatch(JSON.stringify(await unknown.json()), /there is no POST \/v1\/rerank/);
  assertThrows(() => fake.assertDone(), Error, "there is no POST /v1/rerank");
});

Deno.test("assertDone: unused replies, strict or not", async () => {
  const { fake, provider } = open({ replies: ["One", "Two", "Three"] });
  await provider.complete("1?");
  assertEquals(fake.repliesLeft, 2);
  assertThrows(() => fake.assertDone(), Error, "2 replies were never used");
  await provider.complete("2?");
  await provider.complete("3?");
  fake.assertDone();
});

Deno.test("retries are told apart from identical calls", async () => {
  const fake = createFakeLMStudio({
    models: [MODEL],
    faults: [{
      path: "/v1/chat/completions",
      times: 2,
      fault: { type: "rate-limit", retryAfter: 0 },
    }],
  });
  const provider = new LMStudioProvider({ fetch: fake.fetch, env: {}, maxRetries: 2 });
  await provider.complete("Hi");
  await provider.complete("Hi");
  assertEquals(fake.chats.map(({ attempt, request }) => [attempt, request.status]), [
    [1, 429],
    [2, 429],
    [3, 200],
    [1, 200],
  ]);
});

Deno.test("options: a misspelt option is refused, suggesting the likely one", () => {
  assertThrows(
    () => createFakeLMStudio({ stricts: true } as object),
    TypeError,
    'did you mean "strict"?',
  );
  assertThrows(() => createFakeLMStudio({ recording: "no-such-folder" }), TypeError, "no exchange");
  assertThrows(
    () => createFakeLMStudio({ recording: [{ format: 2 } as unknown as RecordedExchange] }),
    TypeError,
    "recording[0] has format 2, not 1",
  );
});

Deno.test("recording: the answers of a route in order, streams separately, the last one repeated", async () => {
  const exchange = (path: string, text: string, stream = false): RecordedExchange => ({
    format: 1,
    recordedAt: "2026-11-27T12:00:00.000Z",
    server: {},
    request: { method: "POST", path, headers: {}, body: { stream } },
    response: {
      status: 200,
      headers: [["Content-Type", "text/plain"], ["Connection", "keep-alive"]],
      chunks: [...text].map((chunk, at) => ({ atMs: at, text: chunk })),
      ended: true,
    },
  });
  const fake = createFakeLMStudio({
    recording: [
      exchange("/v1/a", "one"),
      exchange("/v1/a", "streamed", true),
      exchange("/v1/a", "two"),
    ],
  });
  const ask = async (path: string, body: object = {}): Promise<string> => {
    const answer = await fake.fetch(`http://x${path}`, {
      method: "POST",
      body: JSON.stringify(body),
    });
    return `${answer.status} ${await answer.text()}`;
  };
  assertEquals(await ask("/v1/a?x=1"), "200 one");
  assertEquals(await ask("/v1/a"), "200 two");
  assertEquals(await ask("/v1/a"), "200 two");
  assertEquals(await ask("/v1/a", { stream: true }), "200 streamed");
  assertMatch(await ask("/v1/b"), /^404 .*has no POST \/v1\/b/);
});
