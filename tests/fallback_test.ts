/** Several providers as one: which failures move on to the next, and which do not. */

import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { FakeTime } from "@std/testing/time";
import {
  AllProvidersFailedError,
  ApiError,
  ConfigurationError,
  FallbackProvider,
  InvalidRequestError,
  LMStudioProvider,
  ModelNotAvailableError,
  type ModelProvider,
  NetworkError,
  RateLimitedError,
  type StreamingChunk,
  TimeoutError,
} from "../mod.ts";
import {
  createFakeLMStudio,
  type FakeLMStudioOptions,
  testModelProvider,
} from "../src/testing/mod.ts";
import { closedPort } from "./support/raw_server.ts";
import { rejection } from "./support/wire.ts";

function overFake(options: FakeLMStudioOptions = {}) {
  const fake = createFakeLMStudio({ models: ["m"], ...options });
  const provider = new LMStudioProvider({ fetch: fake.fetch, env: {}, model: "m", maxRetries: 0 });
  return { provider, requests: fake.requests };
}

function unreachable(): LMStudioProvider {
  return new LMStudioProvider({ baseUrl: `127.0.0.1:${closedPort()}`, env: {}, maxRetries: 0 });
}

/** A provider whose every call fails this way, and which counts its calls. */
function failing(error: unknown): { provider: ModelProvider; calls: () => number } {
  let calls = 0;
  const { provider } = overFake();
  const fail = (): Promise<never> => {
    calls++;
    return Promise.reject(error);
  };
  return {
    calls: () => calls,
    provider: {
      name: "failing",
      listModels: fail,
      complete: fail,
      embed: fail,
      supportsModel: () => Promise.resolve(false),
      modelCapabilities: () => Promise.resolve(undefined),
      streamCompletion: () => ({
        ...provider.streamCompletion("?"),
        response: fail,
        cancel: () => Promise.resolve(),
        [Symbol.asyncIterator]: () => ({ next: fail }),
        [Symbol.asyncDispose]: () => Promise.resolve(),
      }),
    },
  };
}

async function drain(
  stream: AsyncIterable<StreamingChunk>,
): Promise<{ text: string; error?: unknown }> {
  let text = "";
  try {
    for await (const { content } of stream) text += content;
    return { text };
  } catch (error) {
    return { text, error };
  }
}

await testModelProvider(
  "FallbackProvider",
  (situation) =>
    situation === "working"
      ? new FallbackProvider([unreachable(), overFake({ models: undefined }).provider])
      : new FallbackProvider([unreachable(), unreachable()]),
  {
    test: (name, run) => Deno.test(name, run),
  },
);

const REFUSED = new NetworkError("Cannot complete: refused", { code: "connection_refused" });

/** Errors that move on, and errors that do not. */
const FAILURES: [Error, boolean][] = [
  [REFUSED, true],
  [new NetworkError("Cannot: reset", { code: "connection_reset" }), true],
  [new NetworkError("Cannot: none", { code: "service_not_found" }), true],
  [new NetworkError("Cannot: denied", { code: "permission_denied" }), false],
  [new ApiError("Cannot: 500", { code: "server_error" }), true],
  [new ApiError("Cannot: gone", { code: "model_unloaded" }), true],
  [new ApiError("Cannot: crash", { code: "model_crashed" }), false],
  [new RateLimitedError("Cannot: wait", { code: "rate_limited" }), true],
  [
    new TimeoutError("Cannot: slow", { code: "timeout_total", phase: "total", timeoutMs: 1 }),
    true,
  ],
  [new ModelNotAvailableError("Cannot: unknown", { code: "model_not_found" }), true],
  [new ModelNotAvailableError("Cannot: none", { code: "no_model_loaded" }), true],
  [new ModelNotAvailableError("Cannot: other", { code: "model_substituted" }), true],
  [new ModelNotAvailableError("Cannot: type", { code: "wrong_model_type" }), false],
  [new InvalidRequestError("Cannot: bad", { code: "invalid_request" }), false],
  [new InvalidRequestError("Cannot: long", { code: "context_overflow" }), false],
  [new Error("not ours"), false],
];

for (const [error, movesOn] of FAILURES) {
  const name = "code" in error ? error.code : error.message;
  Deno.test(`a failure with ${name} ${movesOn ? "moves on to the next provider" : "is thrown"}`, async () => {
    const calls: ((provider: ModelProvider) => Promise<unknown>)[] = [
      (provider) => provider.complete("Hello"),
      (provider) => provider.streamCompletion("Hello").response(),
      (provider) => provider.embed({ model: "text-embedding-a", input: "sea" }),
      (provider) => provider.listModels(),
    ];
    for (const call of calls) {
      const working = overFake({ models: ["m", "text-embedding-a"] });
      const provider = new FallbackProvider([failing(error).provider, working.provider]);
      if (movesOn) await call(provider);
      else assertStrictEquals(await rejection(call(provider)), error);
    }
  });
}

Deno.test("all failed: the error of each provider, in order", async () => {
  const notFound = new ModelNotAvailableError("Cannot: unknown", { code: "model_not_found" });
  const provider = new FallbackProvider([failing(REFUSED).provider, failing(notFound).provider]);
  const calls = [
    () => provider.complete("Hello"),
    () => provider.streamCompletion("Hello").response(),
    () => provider.embed({ input: "sea" }),
    () => provider.listModels(),
  ];
  for (const call of calls) {
    const error = await assertRejects(call, AllProvidersFailedError);
    // The first provider is tried last while it is down, but its error still comes first.
    assertEquals(error.errors, [REFUSED, notFound]);
    assertEquals([error.code, error.attempts], ["all_providers_failed", 2]);
    assertStringIncludes(error.message, "failing: connection_refused, failing: model_not_found");
  }
});

Deno.test("models: the union of the listings; the first provider wins", async () => {
  const provider = new FallbackProvider([
    overFake({ models: ["a", { id: "b", displayName: "first" }] }).provider,
    unreachable(),
    overFake({ models: [{ id: "b", displayName: "second" }, "c"] }).provider,
  ]);
  const models = await provider.listModels();
  assertEquals(models.map(({ id, name }) => [id, name]), [["a", "a"], ["b", "first"], ["c", "c"]]);
  assertEquals(await Promise.all(["a", "c", "d"].map((id) => provider.supportsModel(id))), [
    true,
    true,
    false,
  ]);
  assertEquals((await provider.modelCapabilities("c"))?.supportsStreaming, true);
  assertEquals(await provider.modelCapabilities("d"), undefined);
});

Deno.test("a model goes to the provider that has it", async () => {
  const first = overFake({ models: ["a"], substitution: true });
  const second = overFake({ models: ["b"] });
  const provider = new FallbackProvider([first.provider, second.provider]);
  const request = { model: "b", messages: "Hello" };
  assertEquals((await provider.complete(request)).model, "b");
  assertEquals((await provider.streamCompletion(request).response()).model, "b");
});

// --- Streams ----------------------------------------------------------------------------------

Deno.test("streams: before the first chunk of any kind the next provider takes over", async () => {
  const faults = [{
    path: /chat/,
    times: Infinity,
    fault: { type: "cut", at: "headers" },
  }, {
    path: /chat/,
    times: Infinity,
    fault: { type: "error-frame", message: "The model has been unloaded" },
  }] as const;
  for (const fault of faults) {
    const working = overFake({ replies: ["Hello there."] });
    const provider = new FallbackProvider([
      overFake({ faults: [fault] }).provider,
      working.provider,
    ]);
    const stream = provider.streamCompletion("Hi");
    assertEquals(await drain(stream), { text: "Hello there." });
    const response = await stream.response();
    assertEquals([response.content, response.model], ["Hello there.", "m"]);
    assertStrictEquals(await stream.response(), response);
  }
});

const STARTS: Record<string, FakeLMStudioOptions> = {
  "text": { replies: [{ content: ["One ", "two ", "three"] }] },
  "reasoning": { replies: [{ reasoning: ["I ", "think"], content: "One" }] },
  "a tool call": { replies: [{ toolCalls: [{ name: "f", arguments: { a: 1 } }] }] },
};

for (const [name, options] of Object.entries(STARTS)) {
  Deno.test(`streams: a stream that started with ${name} fails with its partial answer`, async () => {
    const broken = overFake({
      ...options,
      faults: [{ path: /chat/, fault: { type: "cut", afterTokens: 1 } }],
    });
    const second = overFake();
    const provider = new FallbackProvider([broken.provider, second.provider]);
    const stream = provider.streamCompletion("Hi");
    const { error } = await drain(stream);
    assertInstanceOf(error, NetworkError);
    assert(error.partial !== undefined);
    assertStrictEquals(await rejection(stream.response()), error);
    assertEquals(second.requests.length, 0);
  });
}

Deno.test("streams: nothing is sent before the first pull, and leaving stops the server", async () => {
  const first = overFake({ replies: [{ content: ["One ", "two ", "three"] }], tokenMs: 5 });
  const provider = new FallbackProvider([first.provider]);
  provider.streamCompletion("Hi");
  await new Promise((resolve) => setTimeout(resolve, 20));
  assertEquals(first.requests.length, 0);
  const stream = provider.streamCompletion("Hi");
  for await (const { content } of stream) {
    assertEquals(content, "One ");
    break;
  }
  assert(first.requests.find(({ method }) => method === "POST")?.aborted);
  const error = await rejection(stream.response()) as NetworkError;
  assertEquals(error.partial, { content: "One ", toolCalls: [] });
});

Deno.test("streams: the partial answer of a cancelled stream has the reasoning and the tool calls", async () => {
  const first = overFake({
    replies: [{ reasoning: "Hm.", toolCalls: [{ id: "1", name: "f", arguments: { a: 1 } }] }],
  });
  const stream = new FallbackProvider([first.provider]).streamCompletion("Hi");
  let written = "";
  for await (const { toolCalls } of stream) {
    written += toolCalls?.[0]?.arguments ?? "";
    if (written.length > 2) break;
  }
  const { partial } = await rejection(stream.response()) as NetworkError;
  assertEquals(partial?.reasoning, "Hm.");
  assertEquals(partial?.toolCalls, [{ id: "1", name: "f", arguments: written }]);
});

Deno.test("streams: cancelled while waiting, they reject with the caller's reason", async () => {
  const first = overFake({
    replies: [{ content: ["One ", "two ", "three"] }],
    faults: [{ path: /chat/, fault: { type: "stall", afterTokens: 1 } }],
  });
  const stream = new FallbackProvider([first.provider]).streamCompletion("Hi");
  const iterator = stream[Symbol.asyncIterator]();
  assertEquals((await iterator.next()).value?.content, "One ");
  const waiting = iterator.next();
  const response = rejection(stream.response());
  await new Promise((resolve) => setTimeout(resolve, 10));
  const reason = new Error("enough");
  await stream.cancel(reason);
  assertEquals((await waiting).done, true);
  assertStrictEquals(await response, reason);
});

Deno.test("streams: an abort before the first chunk rejects with the caller's reason, not a provider failure", async () => {
  const stalled = overFake({
    faults: [{ path: /chat/, times: Infinity, fault: { type: "stall" } }],
  });
  const second = overFake();
  const provider = new FallbackProvider([stalled.provider, second.provider]);
  const controller = new AbortController();
  const calls = [
    rejection(provider.streamCompletion("Hi", { signal: controller.signal }).response()),
    rejection(provider.complete("Hi", { signal: controller.signal })),
  ];
  while (stalled.requests.length < 2) await new Promise((resolve) => setTimeout(resolve, 1));
  // Even if the reason looks like a retriable failure.
  controller.abort(REFUSED);
  for (const call of calls) assertStrictEquals(await call, REFUSED);
  assertEquals(second.requests.length, 0);
});

// --- Hosts that go away -------------------------------------------------------------------------

Deno.test("a host is killed mid-run: no call is lost, and the next ones go to the second host", async () => {
  const first = createFakeLMStudio({ models: ["m"], replies: () => "first" });
  const second = createFakeLMStudio({ models: ["m"], replies: () => "second" });
  const atFirst = await first.listen();
  await using atSecond = await second.listen();
  const provider = new FallbackProvider(
    [atFirst, atSecond].map(({ url }) => new LMStudioProvider({ baseUrl: url, env: {} })),
  );
  const ask = async () => (await provider.complete({ model: "m", messages: "Who?" })).content;
  assertEquals([await ask(), await ask()], ["first", "first"]);
  await atFirst[Symbol.asyncDispose]();
  assertEquals(await Promise.all(Array.from({ length: 5 }, ask)), Array(5).fill("second"));
  const stream = provider.streamCompletion({ model: "m", messages: "Who?" });
  assertEquals(await drain(stream), { text: "second" });
});

Deno.test("a host is killed during a stream: the answer fails with its partial text, the next one is complete", async () => {
  const first = createFakeLMStudio({
    models: ["m"],
    replies: () => ({ content: ["One ", "two ", "three ", "four"] }),
    tokenMs: 30,
  });
  const second = createFakeLMStudio({ models: ["m"], replies: () => "second" });
  const atFirst = await first.listen();
  await using atSecond = await second.listen();
  const provider = new FallbackProvider(
    [atFirst, atSecond].map(({ url }) => new LMStudioProvider({ baseUrl: url, env: {} })),
  );
  const stream = provider.streamCompletion({ model: "m", messages: "Count" });
  let text = "";
  const error = await rejection((async () => {
    for await (const { content } of stream) {
      text += content;
      if (text === "One ") await atFirst[Symbol.asyncDispose]();
    }
  })());
  assertInstanceOf(error, NetworkError);
  assertEquals(error.code, "connection_reset");
  assertEquals(error.partial?.content, text);
  assert(text.startsWith("One "));
  const { content } = await provider.complete({ model: "m", messages: "Again" });
  assertEquals(content, "second");
});

Deno.test("a provider whose host is down is tried last for 1, 2, 4 … s, and normally once it is back", async () => {
  using time = new FakeTime();
  let isUp = false;
  let asked = 0;
  const fake = createFakeLMStudio({ models: ["m"], replies: () => "first" });
  const first = new LMStudioProvider({
    env: {},
    model: "m",
    maxRetries: 0,
    fetch: (input, init) => {
      if (String(input).includes("/chat/")) asked++;
      return isUp ? fake.fetch(input, init) : Promise.reject(connectionRefused());
    },
  });
  const second = overFake({ replies: () => "second" });
  const provider = new FallbackProvider([first, second.provider]);
  const ask = async () => (await provider.complete("Who?")).content;

  for (const pauseMs of [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]) {
    assertEquals(await ask(), "second");
    const before = asked;
    time.tick(pauseMs - 1);
    assertEquals(await ask(), "second");
    assertEquals((await provider.streamCompletion("Who?").response()).content, "second");
    assertEquals(asked, before);
    time.tick(1);
  }
  isUp = true;
  assertEquals(await ask(), "first");
  isUp = false;
  const before = asked;
  assertEquals(await ask(), "second");
  time.tick(1000);
  assertEquals(await ask(), "second");
  assertEquals(asked, before + 2);
});

function connectionRefused(): TypeError {
  const cause = Object.assign(new Error("refused"), { code: "ECONNREFUSED" });
  return new TypeError("fetch failed", { cause });
}

Deno.test("a provider that is down is still tried if no other can answer", async () => {
  let isUp = false;
  const fake = createFakeLMStudio({ models: ["m"], replies: () => "first" });
  const first = new LMStudioProvider({
    env: {},
    model: "m",
    maxRetries: 0,
    fetch: (...request) => isUp ? fake.fetch(...request) : Promise.reject(connectionRefused()),
  });
  const provider = new FallbackProvider([first, failing(REFUSED).provider]);
  await assertRejects(() => provider.complete("Who?"), AllProvidersFailedError);
  isUp = true;
  assertEquals((await provider.complete("Who?")).content, "first");
});

Deno.test("a failure that says nothing about the host pauses no provider", async () => {
  const busy = failing(new ApiError("Cannot: 500", { code: "server_error" }));
  const provider = new FallbackProvider([busy.provider, overFake().provider]);
  await provider.complete("Hello");
  await provider.complete("Hello");
  assertEquals(busy.calls(), 2);
});

// --- Bad input ----------------------------------------------------------------------------------

const BAD_LISTS: [unknown, string][] = [
  [[], "at least one"],
  [undefined, "not an array"],
  [new LMStudioProvider({ env: {} }), "not an array"],
  [[null], "providers[0]"],
  [[new LMStudioProvider({ env: {} }), { name: "x" }], "providers[1] is not a ModelProvider"],
];

for (const [providers, said] of BAD_LISTS) {
  Deno.test(`bad providers: ${Deno.inspect(providers, { depth: 0 })}: ${said}`, () => {
    const error = assertThrows(
      () => new FallbackProvider(providers as ModelProvider[]),
      ConfigurationError,
      said,
    );
    assertEquals(error.code, "invalid_configuration");
  });
}

Deno.test("the list of providers is copied", async () => {
  const providers: ModelProvider[] = [overFake().provider];
  const provider = new FallbackProvider(providers);
  providers.length = 0;
  await provider.complete("Hello");
});

Deno.test("streams: bad options are refused at the first pull", async () => {
  const provider = new FallbackProvider([overFake().provider]);
  for (const options of [5, { retries: 1 }, { signal: 5 }]) {
    const stream = provider.streamCompletion("Hi", options as object);
    await assertRejects(() => stream.response(), InvalidRequestError);
  }
});
