/**
 * `started()` and `toResponse()`: a web server learns whether there is an answer before it sends status 200.
 * Waiting loses nothing: the consumer gets every item, and the error.
 */
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
} from "@std/assert";
import {
  ApiError,
  type CallOptions,
  type CompletionStream,
  type EventStream,
  FallbackProvider,
  InvalidRequestError,
  LMStudioProvider,
  LocalProvider,
  ModelNotAvailableError,
  type ModelProvider,
  NetworkError,
  StreamError,
  TimeoutError,
  tool,
} from "../mod.ts";
import { createFakeLMStudio, type FakeLMStudioOptions } from "../src/testing/mod.ts";
import { closedPort } from "./support/raw_server.ts";
import {
  events,
  fetchOf,
  gate,
  serveStub,
  type StubAnswer,
  type StubServer,
} from "./support/stub_server.ts";
import { event, FINISH, rejection, token } from "./support/wire.ts";

const CHAT = "POST /v1/chat/completions";
const TEXT = "POST /v1/completions";

function streamOf(answer: StubAnswer, options?: CallOptions): CompletionStream {
  const lmstudio = new LMStudioProvider({
    env: {},
    fetch: fetchOf(answer),
    model: "m",
    maxRetries: 0,
  });
  return lmstudio.streamCompletion("Hi", options);
}

function connect(server: StubServer): LMStudioProvider {
  return new LMStudioProvider({ baseUrl: server.url, env: {}, model: "m", maxRetries: 0 });
}

function overFake(options: FakeLMStudioOptions = {}): LMStudioProvider {
  const { fetch } = createFakeLMStudio(options);
  return new LMStudioProvider({ fetch, env: {}, maxRetries: 0 });
}

function unreachable(): LMStudioProvider {
  return new LMStudioProvider({
    baseUrl: `127.0.0.1:${closedPort()}`,
    env: {},
    model: "m",
    maxRetries: 0,
  });
}

/** The texts of all chunks that have one. */
async function textsOf(stream: CompletionStream): Promise<string[]> {
  const texts: string[] = [];
  for await (const { content } of stream) if (content !== "") texts.push(content);
  return texts;
}

const BODY = token("Waves") + token(" crash") + FINISH;

Deno.test("started: the first chunk is kept, whichever way the stream is read", async () => {
  const ways: Record<string, (stream: CompletionStream) => Promise<string>> = {
    chunks: async (stream) => (await textsOf(stream)).join(""),
    textStream: async (stream) => {
      let text = "";
      for await (const chunk of stream.textStream) text += chunk;
      return text;
    },
    response: async (stream) => (await stream.response()).content,
    toTextStream: async (stream) => await new Response(stream.toTextStream()).text(),
    toResponse: async (stream) => await (await stream.toResponse()).text(),
    toReadableStream: async (stream) => {
      let text = "";
      for await (const { content } of stream.toReadableStream()) text += content;
      return text;
    },
  };
  for (const [name, read] of Object.entries(ways)) {
    const stream = streamOf(events(BODY));
    assertEquals(await stream.started(), undefined);
    await stream.started();
    assertEquals(await read(stream), "Waves crash", name);
    // Whether it has ended or not: it had started.
    await stream.started();
    const response = await stream.response();
    assertEquals([response.content, response.finishReason], ["Waves crash", "stop"], name);
  }
});

Deno.test("started: waits for the first chunk, reasoning counts, and nothing more is read", async () => {
  for (const first of [token("Waves"), event({ reasoning_content: "Hm." })]) {
    const headers = gate();
    const more = gate();
    await using server = serveStub({
      [CHAT]: events([headers.opened, first, more.opened, token(" crash"), FINISH]),
    });
    const stream = connect(server).streamCompletion("Hi");
    let isStarted = false;
    const started = stream.started().then(() => isStarted = true);
    const pause = () => new Promise((resolve) => setTimeout(resolve, 10));
    for (let tries = 0; server.requests.length === 0 && tries < 500; tries++) await pause();
    await pause();
    assertEquals([isStarted, server.requests.length], [false, 1]);
    headers.open();
    await started;
    more.open();
    assertEquals((await textsOf(stream)).at(-1), " crash");
    assertEquals(server.requests.length, 1);
  }
});

Deno.test("started: an answer without text still has its final chunk", async () => {
  const stream = streamOf(events(FINISH));
  await stream.started();
  const chunks = await Array.fromAsync(stream);
  assertEquals(chunks.map(({ isFinal }) => isFinal), [true]);
  assertEquals((await stream.response()).finishReason, "stop");
});

Deno.test("started: rejects with the failure, and so does a reader", async () => {
  const failures: [() => CompletionStream, new (...args: never[]) => Error, string][] = [
    [() => unreachable().streamCompletion("Hi"), NetworkError, "connection_refused"],
    [
      () => streamOf({ status: 500, body: '{"error":"boom"}' }),
      ApiError,
      "server_error",
    ],
    [
      () => streamOf(events('event: error\ndata: {"error":{"message":"boom"}}\n\n')),
      ApiError,
      "server_error",
    ],
    [() => streamOf(events("")), StreamError, "stream_truncated"],
    [
      () => overFake().streamCompletion({ model: "no/such", messages: "Hi" }),
      ModelNotAvailableError,
      "model_substituted",
    ],
    [
      () => overFake().streamCompletion({ messages: "Hi", temperature: -1 }),
      InvalidRequestError,
      "invalid_request",
    ],
    [
      () => streamOf(events([], "hang"), { firstTokenTimeoutMs: 20 }),
      TimeoutError,
      "timeout_first_token",
    ],
  ];
  for (const [open, type, code] of failures) {
    const stream = open();
    const error = await rejection(stream.started());
    assertInstanceOf(error, type);
    assertEquals((error as unknown as { code: string }).code, code);
    assertStrictEquals(await rejection(stream.started()), error);
    const iterator = stream[Symbol.asyncIterator]();
    assertStrictEquals(await rejection(iterator.next()), error);
    assertEquals((await iterator.next()).done, true);
    assertStrictEquals(await rejection(stream.response()), error);
    assertInstanceOf(await rejection(open().toResponse()), type);
  }
});

Deno.test("started: a failure after the first chunk goes to the reader", async () => {
  const stream = streamOf(events(token("Waves")));
  await stream.started();
  const iterator = stream[Symbol.asyncIterator]();
  assertEquals((await iterator.next()).value?.content, "Waves");
  const error = await assertRejects(() => iterator.next(), StreamError);
  assertEquals(error.partial?.content, "Waves");
  await stream.started();
});

Deno.test("started: next to a consumer it consumes nothing, and has the same outcome", async () => {
  const read = streamOf(events(BODY));
  const texts = textsOf(read);
  await read.started();
  assertEquals(await texts, ["Waves", " crash"]);

  const drained = streamOf(events(BODY));
  const response = drained.response();
  await drained.started();
  assertEquals((await response).content, "Waves crash");

  const broken = streamOf(events(""));
  const error = await rejection(textsOf(broken));
  assertStrictEquals(await rejection(broken.started()), error);
});

Deno.test("started: if the stream is cancelled before the first chunk, it rejects with the reason", async () => {
  const reason = new Error("enough");
  const waiting = (signal?: AbortSignal): CompletionStream =>
    streamOf(events([], "hang"), signal === undefined ? {} : { signal });

  const cancelled = waiting();
  const pending = rejection(cancelled.started());
  await cancelled.cancel(reason);
  assertStrictEquals(await pending, reason);
  assertStrictEquals(await rejection(cancelled.started()), reason);

  const silently = waiting();
  await silently.cancel();
  assertInstanceOf(await rejection(silently.started()), StreamError);

  const controller = new AbortController();
  const aborted = waiting(controller.signal);
  const rejected = rejection(aborted.started());
  setTimeout(() => controller.abort(reason), 5);
  assertStrictEquals(await rejected, reason);
  assertStrictEquals(
    await rejection(waiting(AbortSignal.abort(reason)).started()),
    reason,
  );
});

Deno.test("started: if the stream is cancelled afterwards, the kept chunk is dropped, and the server stops", async () => {
  const reason = new Error("enough");
  for (const how of ["cancel", "abort", "dispose", "break"] as const) {
    await using server = serveStub({ [CHAT]: events([token("Waves")], "hang") });
    const controller = new AbortController();
    const stream = connect(server).streamCompletion("Hi", { signal: controller.signal });
    await stream.started();
    if (how === "cancel") await stream.cancel(reason);
    if (how === "abort") controller.abort(reason);
    if (how === "dispose") await stream[Symbol.asyncDispose]();
    if (how === "break") { for await (const _ of stream) break; }
    await server.requests[0]!.left;
    if (how === "cancel" || how === "dispose") assertEquals(await textsOf(stream), []);
    const response = await rejection(stream.response());
    if (how === "cancel" || how === "abort") assertStrictEquals(response, reason);
    else assertInstanceOf(response, StreamError);
  }
  const controller = new AbortController();
  const stream = streamOf(events([token("Waves")], "hang"), { signal: controller.signal });
  await stream.started();
  controller.abort(reason);
  assertStrictEquals(await rejection(textsOf(stream)), reason);
});

Deno.test("started: text completions, FallbackProvider and LocalProvider", async () => {
  const body = `data: ${
    JSON.stringify({
      id: "c",
      model: "m",
      choices: [{ index: 0, text: " to be", finish_reason: null }],
    })
  }\n\ndata: ${
    JSON.stringify({
      id: "c",
      model: "m",
      choices: [{ index: 0, text: "", finish_reason: "stop" }],
    })
  }\n\ndata: [DONE]\n\n`;
  await using server = serveStub({ [TEXT]: events(body) });
  const text = connect(server).streamText("the meaning of life is");
  await text.started();
  assertEquals((await text.response()).text, " to be");
  const answer = await connect(server).streamText("the meaning").toResponse();
  assertEquals(await answer.text(), " to be");
  assertInstanceOf(await rejection(unreachable().streamText("the").started()), NetworkError);

  await using fake = await createFakeLMStudio({ replies: ["One two.", "Three."] }).listen();
  const local = (endpoint: string): ModelProvider =>
    new LocalProvider({
      env: {},
      maxRetries: 0,
      discovery: { candidates: [{ type: "lmstudio", endpoint }] },
    });
  const working: [ModelProvider, string][] = [
    [new FallbackProvider([unreachable(), overFake({ replies: ["One two."] })]), "One two."],
    [local(fake.url), "One two."],
  ];
  for (const [provider, expected] of working) {
    const stream = provider.streamCompletion("Hi");
    await stream.started();
    assertEquals((await textsOf(stream)).join(""), expected);
  }
  assertEquals(await (await local(fake.url).streamCompletion("Hi").toResponse()).text(), "Three.");
  for (
    const provider of [
      new FallbackProvider([unreachable()]),
      local(`http://127.0.0.1:${closedPort()}`),
    ]
  ) {
    const stream = provider.streamCompletion("Hi");
    const error = await rejection(stream.started());
    assert(error instanceof Error);
    assertStrictEquals(await rejection(textsOf(stream)), error);
  }
});

Deno.test("started: streams of events as well", async () => {
  const lmstudio = overFake({ models: ["m"], replies: () => "Hello." });
  const clock = tool({ name: "clock", execute: () => "noon" });
  const open = (provider: LMStudioProvider): Pick<
    EventStream<unknown, unknown>,
    "started" | typeof Symbol.asyncIterator
  >[] => [
    provider.chat.stream({ model: "m", input: "Hi" }),
    provider.responses.stream({ model: "m", input: "Hi" }),
    provider.streamTools({ model: "m", messages: "Hi", tools: [clock] }),
  ];
  const unread = open(lmstudio);
  const started = open(lmstudio);
  const failing = open(unreachable());
  for (const [i, stream] of started.entries()) {
    await stream.started();
    const count = (await Array.fromAsync(stream)).length;
    assertEquals(count, (await Array.fromAsync(unread[i]!)).length);
    assert(count > 1);
    assertInstanceOf(await rejection(failing[i]!.started()), NetworkError);
  }
});

Deno.test("toResponse: text/plain by default, with status and headers", async () => {
  const plain = await streamOf(events(BODY)).toResponse();
  assertEquals(plain.status, 200);
  assertEquals(plain.headers.get("content-type"), "text/plain; charset=utf-8");
  const told = await streamOf(events(BODY)).toResponse({
    status: 203,
    headers: { "Content-Type": "text/markdown", "x-model": "m" },
  });
  assertEquals(told.status, 203);
  assertEquals(told.headers.get("content-type"), "text/markdown");
  assertEquals(told.headers.get("x-model"), "m");
  assertEquals(await told.text(), "Waves crash");
});

Deno.test("toResponse: cancelling the body stops the server, and a failure breaks the body", async () => {
  const reason = new Error("client gone");
  await using server = serveStub({ [CHAT]: events([token("Waves")], "hang") });
  const stream = connect(server).streamCompletion("Hi");
  const response = await stream.toResponse();
  await response.body?.cancel(reason);
  await server.requests[0]!.left;
  assertStrictEquals(await rejection(stream.response()), reason);

  const cut = await streamOf(events(token("Waves"))).toResponse();
  assertInstanceOf(await rejection(cut.text()), StreamError);
});

Deno.test("toResponse: counts as the consumer at once, and refuses invalid response options", async () => {
  const stream = streamOf(events(BODY));
  const first = stream.toResponse();
  const error = await assertRejects(() => stream.toResponse(), InvalidRequestError);
  assertStringIncludes(error.message, "already has a consumer");
  assertInstanceOf(await rejection(textsOf(stream)), InvalidRequestError);
  assertEquals(await (await first).text(), "Waves crash");

  await using server = serveStub({ [CHAT]: events(BODY) });
  for (const init of [{ status: 204 }, { status: 99 }, { headers: { "no name": "x" } }]) {
    const refused = await assertRejects(
      () => connect(server).streamCompletion("Hi").toResponse(init),
      InvalidRequestError,
    );
    assertStringIncludes(refused.message, "Cannot stream a completion: `new Response()` rejects");
  }
  assertEquals(server.requests.length, 0);
});
