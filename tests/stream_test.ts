/**
 * Streamed answers: every stream in fixtures/streams, cut in every way a network may cut it; how a stream
 * ends; that leaving it stops the server; that it has one consumer; that only the text is kept.
 */
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertLess,
  assertLessOrEqual,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
} from "@std/assert";
import v8 from "node:v8";
import vm from "node:vm";
import {
  ApiError,
  type CallOptions,
  type CompletionRequest,
  type CompletionResponse,
  type CompletionStream,
  InvalidRequestError,
  isProviderError,
  LMStudioProvider,
  type LMStudioProviderOptions,
  ModelNotAvailableError,
  NetworkError,
  ParseError,
  StreamError,
  type StreamingChunk,
  TimeoutError,
  type ToolCall,
} from "../mod.ts";
import { createFakeLMStudio } from "../src/testing/mod.ts";
import { inFakeTime } from "./support/puppet.ts";
import {
  type BodyChunk,
  cut,
  events,
  fetchOf,
  fixture,
  fixtureAnswer,
  fixtureNames,
  gate,
  json,
  serveStub,
  type StubAnswer,
  type StubRequest,
  type StubRoutes,
  type StubServer,
} from "./support/stub_server.ts";

const CHAT = "POST /v1/chat/completions";
const V1 = "GET /api/v1/models";
const MODEL = "qwen/qwen3-8b";
const DONE = "data: [DONE]\n\n";

interface Partial {
  content: string;
  reasoning?: string;
  toolCalls: ToolCall[];
}

/** What a user sees of a stream. */
interface Seen {
  chunks: StreamingChunk[];
  content: string;
  reasoning: string;
  toolCalls: ToolCall[];
  error?: unknown;
}

function connect(server: StubServer, options: LMStudioProviderOptions = {}): LMStudioProvider {
  return new LMStudioProvider({ baseUrl: server.url, env: {}, model: MODEL, ...options });
}

/** A stream whose answer arrives in exactly these chunks. */
function streamOf(
  answer: StubAnswer,
  callOptions?: CallOptions,
  options: LMStudioProviderOptions = {},
): CompletionStream {
  const lmstudio = new LMStudioProvider({
    env: {},
    fetch: fetchOf(answer),
    model: MODEL,
    onModelSubstituted: "ignore",
    ...options,
  });
  return lmstudio.streamCompletion("Hi", callOptions);
}

function frame(delta: object | undefined, more: object = {}, finishReason?: string): string {
  const choices = delta === undefined
    ? []
    : [{ index: 0, delta, finish_reason: finishReason ?? null }];
  return `data: ${JSON.stringify({ id: "chatcmpl-1", model: MODEL, choices, ...more })}\n\n`;
}

const say = (content: string): string => frame({ role: "assistant", content });
const FINISH = frame({}, {}, "stop");

async function readAll(stream: CompletionStream): Promise<Seen> {
  const seen: Seen = { chunks: [], content: "", reasoning: "", toolCalls: [] };
  try {
    for await (const chunk of stream) {
      seen.chunks.push(chunk);
      seen.content += chunk.content;
      seen.reasoning += chunk.reasoning ?? "";
      for (const { index, id, name, arguments: text } of chunk.toolCalls ?? []) {
        // As a user would assemble them: id and name arrive once, with the first delta.
        const call = seen.toolCalls[index] ??= { id: "", name: "", arguments: "" };
        call.id += id ?? "";
        call.name += name ?? "";
        call.arguments += text ?? "";
      }
    }
  } catch (error) {
    seen.error = error;
  }
  return seen;
}

async function failure(promise: Promise<unknown>): Promise<unknown> {
  return await promise.then(() => assert(false, "it did not reject"), (error) => error);
}

function isSettled(promise: Promise<unknown>): () => boolean {
  let settled = false;
  promise.then(() => settled = true, () => settled = true);
  return () => settled;
}

// --- The fixtures -----------------------------------------------------------------------------

interface Expected {
  content?: string;
  reasoning?: string;
  /** The tool calls assembled from the deltas. */
  toolCalls?: ToolCall[];
  /** Ids of the complete calls, if the deltas have none. */
  ids?: string[];
  finishReason?: string;
  model?: string;
  usage?: [prompt: number, completion: number, total: number, reasoning: number];
  error?: { code: string; kind: string; partial?: Partial; says?: string };
}

const WEATHER = (id: string, city: string): ToolCall => ({
  id,
  name: "get_current_weather",
  arguments: `{"location":"${city}"}`,
});
const TWO_CALLS: Expected = {
  toolCalls: [WEATHER("814890118", "Oslo"), WEATHER("263712589", "Rome")],
  finishReason: "tool_calls",
};
const CRASH: Expected = { content: "Waves crash", usage: [12, 5, 17, 0] };
const BROKEN: Partial = { content: "Waves crash", reasoning: "Let me", toolCalls: [] };

const STREAMS: Record<string, Expected> = {
  "chat_0_3_15.sse": { content: "\n", model: "gemma-2-2b-it-abliterated" },
  "usage.sse": { content: "Waves crash on shore.", usage: [12, 5, 17, 0] },
  "multibyte.sse": { content: "Grüße, 世界! 👩‍🚀 naïve ☕", usage: [12, 5, 17, 0] },
  "reasoning_content.sse": {
    content: "Four.",
    reasoning: "The user wants a number.",
    usage: [12, 8, 20, 6],
  },
  "reasoning.sse": {
    content: "4",
    reasoning: "We need two plus two.",
    model: "openai/gpt-oss-20b",
  },
  "think_tags.sse": { content: "Four, as 1 < 2.", reasoning: "Two and two make four." },
  "think_unterminated.sse": { reasoning: "Two and two", finishReason: "length" },
  "tool_calls.sse": {
    toolCalls: [WEATHER("814890118", "San Francisco")],
    finishReason: "tool_calls",
    usage: [12, 5, 17, 0],
  },
  "tool_calls_0_3_14.sse": {
    toolCalls: [WEATHER("814890118", "San Francisco")],
    finishReason: "tool_calls",
  },
  "tool_calls_parallel.sse": {
    content: "Let me look.",
    toolCalls: [WEATHER("814890118", "Oslo"), WEATHER("263712589", "Rome")],
    finishReason: "tool_calls",
    usage: [12, 5, 17, 0],
  },
  "tool_calls_empty_id.sse": {
    toolCalls: [{ id: "365174485", name: "get_time", arguments: "{}" }],
    finishReason: "tool_calls",
  },
  "tool_calls_empty_list.sse": {
    content: "Let me look.",
    toolCalls: [WEATHER("814890118", "Oslo")],
    finishReason: "tool_calls",
  },
  "tool_calls_whole.sse": TWO_CALLS,
  "tool_calls_name_repeated.sse": {
    toolCalls: [WEATHER("814890118", "Oslo")],
    finishReason: "tool_calls",
  },
  "tool_calls_no_id.sse": {
    toolCalls: [WEATHER("", "Oslo"), WEATHER("", "Rome")],
    ids: ["call_0", "call_1"],
    finishReason: "tool_calls",
  },
  "tool_calls_late_name.sse": {
    toolCalls: [WEATHER("814890118", "Oslo")],
    finishReason: "tool_calls",
  },
  "tool_calls_index_gaps.sse": TWO_CALLS,
  "tool_calls_one_index.sse": TWO_CALLS,
  "tool_calls_cut.sse": {
    toolCalls: [{ ...WEATHER("814890118", ""), arguments: '{"location":"Os' }],
    finishReason: "length",
  },
  "tool_call_as_text.sse": {
    content:
      '<tool_call>\n{"name": "get_current_weather", "arguments": {"location": "Oslo"}\n</tool_call>',
  },
  "comments.sse": CRASH,
  "crlf.sse": CRASH,
  "stats.sse": { content: "Waves", usage: [12, 5, 17, 0] },
  "two_choices.sse": { content: "Waves crash.", usage: [12, 5, 17, 0] },
  "overflow_silent.sse": { finishReason: "length", usage: [4096, 0, 4096, -1] },
  "done_only_after_text.sse": { content: "Waves crash" },
  "done_padded.sse": { content: "Waves crash" },
  "done_unterminated.sse": CRASH,
  "finish_then_end.sse": { content: "Waves crash" },
  "error_frame_mlx.sse": {
    error: {
      code: "context_overflow",
      kind: "invalid-request",
      says: "Input does not fit in context length",
    },
  },
  "error_frame_llama_server.sse": {
    error: { code: "context_overflow", kind: "invalid-request", says: "20016 tokens" },
  },
  "error_frame_midway.sse": {
    content: "Waves crash",
    reasoning: "Let me",
    error: { code: "model_unloaded", kind: "api", partial: BROKEN },
  },
  "truncated.sse": {
    content: "Waves crash",
    reasoning: "Let me",
    error: { code: "stream_truncated", kind: "stream", partial: BROKEN },
  },
  "unterminated.sse": {
    content: "Waves crash",
    error: {
      code: "stream_truncated",
      kind: "stream",
      partial: { content: "Waves crash", toolCalls: [] },
    },
  },
  "malformed.sse": {
    content: "Waves",
    error: {
      code: "malformed_stream",
      kind: "stream",
      partial: { content: "Waves", toolCalls: [] },
    },
  },
};

Deno.test("fixtures: each has an expectation", () => {
  const own = fixtureNames("streams", ".sse").filter((name) => !name.startsWith("native_"));
  assertEquals(Object.keys(STREAMS).sort(), own);
});

Deno.test("streams: the same text however the network cuts them", async (t) => {
  for (const [name, expected] of Object.entries(STREAMS)) {
    await t.step(name, async () => {
      const text = fixture(`streams/${name}`);
      for (const size of [text.length * 4, 1, 7, 100]) {
        await check(streamOf(events(cut(text, size))), expected);
      }
    });
  }
});

Deno.test("streams: over HTTP, byte by byte", async () => {
  for (const name of ["multibyte.sse", "tool_calls_parallel.sse", "error_frame_midway.sse"]) {
    await using server = serveStub({ [CHAT]: events(cut(fixture(`streams/${name}`), 1)) });
    await check(connect(server).streamCompletion("Hi"), STREAMS[name]!);
  }
});

async function check(stream: CompletionStream, expected: Expected): Promise<void> {
  const { chunks, content, reasoning, toolCalls, error } = await readAll(stream);
  assertEquals(content, expected.content ?? "");
  assertEquals(reasoning, expected.reasoning ?? "");
  assertEquals(toolCalls, expected.toolCalls ?? []);
  if (expected.error !== undefined) {
    return await checkFailure(stream, chunks, error, expected.error);
  }

  assertEquals(error, undefined);
  const finals = chunks.filter(({ isFinal }) => isFinal);
  assertEquals(finals.length, 1);
  const [final] = finals;
  assertStrictEquals(final, chunks.at(-1));
  const [promptTokens = 0, completionTokens = 0, totalTokens = 0, reasoningTokens = 0] =
    expected.usage ?? [];
  const usage = expected.usage === undefined ? {} : {
    usage: {
      promptTokens,
      completionTokens,
      totalTokens,
      ...(reasoningTokens < 0 ? {} : { reasoningTokens }),
    },
  };
  const { stats, ...rest } = final!;
  assertEquals(rest, {
    content: "",
    isFinal: true,
    model: expected.model ?? MODEL,
    finishReason: expected.finishReason ?? "stop",
    ...usage,
  });
  assert(stats !== undefined);
  for (const chunk of chunks.slice(0, -1)) {
    assert(chunk.content !== "" || chunk.reasoning !== undefined || chunk.toolCalls !== undefined);
    assertEquals([chunk.finishReason, chunk.usage], [undefined, undefined]);
  }

  const response = await stream.response();
  assertEquals(response.content, content);
  assertEquals(response.reasoning ?? "", reasoning);
  const whole = toolCalls.map((call, index) => ({ ...call, id: expected.ids?.[index] ?? call.id }));
  assertEquals(response.toolCalls, whole);
  assertEquals(response.message, {
    role: "assistant",
    content,
    ...(reasoning === "" ? {} : { reasoning }),
    ...(whole.length === 0 ? {} : { toolCalls: whole }),
  });
  assertEquals([response.model, response.finishReason], [final!.model, final!.finishReason]);
  assertEquals([response.usage, response.stats], [final!.usage, stats]);
}

async function checkFailure(
  stream: CompletionStream,
  chunks: readonly StreamingChunk[],
  error: unknown,
  expected: NonNullable<Expected["error"]>,
): Promise<void> {
  assert(isProviderError(error), String(error));
  assertEquals([error.code, error.kind], [expected.code, expected.kind]);
  assertEquals(error.partial, expected.partial);
  assertStringIncludes(error.message, expected.says ?? "");
  assertStringIncludes(error.message, `Cannot stream a completion with model "${MODEL}": `);
  assertEquals(chunks.filter(({ isFinal }) => isFinal), []);
  assertStrictEquals(await failure(stream.response()), error);
}

Deno.test("streams: an overflow has its numbers", async () => {
  const { error } = await readAll(
    streamOf(events(fixture("streams/error_frame_llama_server.sse"))),
  );
  assertInstanceOf(error, InvalidRequestError);
  assertEquals([error.promptTokens, error.contextLength], [20_016, 16_384]);
});

Deno.test("streams: the server's stats, or our own", async () => {
  const server = await streamOf(events(fixture("streams/stats.sse"))).response();
  assertEquals(server.stats, {
    tokensPerSecond: 51.43,
    timeToFirstTokenMs: 111,
    generationMs: 954,
    stopReason: "eosFound",
    source: "server",
  });
  const own = await streamOf(events(fixture("streams/usage.sse"))).response();
  assertEquals(own.stats?.source, "measured");
  assert((own.stats?.timeToFirstTokenMs ?? -1) >= 0);
  assert((own.stats?.generationMs ?? -1) >= 0);
});

Deno.test("streams: from a server that names no model, and reports usage early", async () => {
  const usage = { prompt_tokens: 3, completion_tokens: 1, total_tokens: 4 };
  const stream = streamOf(events([
    frame({ content: "Hi." }, { model: undefined, usage }),
    frame({}, { model: "", usage: null }, "stop"),
    DONE,
  ]));
  const final = (await readAll(stream)).chunks.at(-1);
  assertEquals([final?.model, final?.usage?.totalTokens], [MODEL, 4]);
  assertEquals((await stream.response()).model, MODEL);
});

Deno.test("streams: speed is measured over the tokens, not over reading a buffer", async () => {
  const usage = { usage: { prompt_tokens: 3, completion_tokens: 40, total_tokens: 43 } };
  const all = say("Waves ").repeat(40) + frame({}, usage, "stop") + DONE;
  const atOnce = (await streamOf(events([all])).response()).stats;
  assertEquals([atOnce?.source, atOnce?.tokensPerSecond], ["measured", undefined]);
  assert((atOnce?.generationMs ?? -1) >= 0);
  await inFakeTime(async (pass) => {
    const statsAfter = async (ms: number, tokens: number) => {
      const rest = gate();
      const counted = frame({}, { usage: { ...usage.usage, completion_tokens: tokens } }, "stop");
      const response = streamOf(events([say("Waves"), rest.opened, counted, DONE])).response();
      await pass(0);
      await pass(ms);
      rest.open();
      await pass(0);
      return (await response).stats;
    };
    assertEquals((await statsAfter(2000, 40))?.tokensPerSecond, 20);
    assertEquals((await statsAfter(10, 40))?.tokensPerSecond, 4000);
    assertEquals((await statsAfter(9, 40))?.tokensPerSecond, undefined);
    assertEquals((await statsAfter(20, 300))?.tokensPerSecond, undefined, "15 000 per second");
  });
});

// --- The request ------------------------------------------------------------------------------

Deno.test("request: a stream with usage is requested, everything else as in complete()", async () => {
  await using server = serveStub({ [CHAT]: events(fixture("streams/usage.sse")) });
  const request = { messages: "Hi", temperature: 0, extraBody: { cache_prompt: true } };
  await connect(server).streamCompletion(request).response();
  assertEquals(server.requests[0]?.body, {
    model: MODEL,
    messages: [{ role: "user", content: "Hi" }],
    temperature: 0,
    cache_prompt: true,
    stream: true,
    stream_options: { include_usage: true },
  });
});

Deno.test("request: the user's own stream_options are kept, with usage added", async () => {
  const sent = async (stream_options: unknown) => {
    await using server = serveStub({ [CHAT]: events(fixture("streams/usage.sse")) });
    const extraBody = { stream_options };
    await connect(server).streamCompletion({ messages: "Hi", extraBody }).response();
    return server.requests[0]?.body.stream_options;
  };
  assertEquals(await sent({ include_obfuscation: false }), {
    include_obfuscation: false,
    include_usage: true,
  });
  assertEquals(await sent({ include_usage: undefined }), { include_usage: true });
  // The model's text is sent back unchanged.
  assertEquals(await sent({ include_usage: false, a: 1 }), { include_usage: false, a: 1 });
  assertEquals(await sent(null), null);
});

Deno.test("request: a stream that is never read sends nothing", async () => {
  await using server = serveStub({});
  const lmstudio = connect(server, { model: undefined });
  const unread = lmstudio.streamCompletion("Hi");
  void unread.textStream;
  unread[Symbol.asyncIterator]();
  lmstudio.streamCompletion("Hi").toReadableStream();
  await lmstudio.streamCompletion("Hi").toTextStream().cancel();
  await lmstudio.streamCompletion("Hi").cancel();
  {
    await using _stream = lmstudio.streamCompletion("Hi");
  }
  lmstudio.streamCompletion("Hi", { signal: AbortSignal.abort() });
  lmstudio.streamCompletion({ max_tokens: 5 } as unknown as CompletionRequest);
  lmstudio.streamCompletion(undefined as unknown as CompletionRequest, 5 as CallOptions);
  await new Promise((resolve) => setTimeout(resolve, 5));
  assertEquals(server.requests.length, 0);
});

Deno.test("request: without a model name the loaded one is looked up, at the first pull", async () => {
  await using server = serveStub({
    [V1]: fixtureAnswer("listings/v1.json"),
    [CHAT]: ({ body }) => events([frame({ content: "Hi." }, { model: body.model }), FINISH, DONE]),
  });
  const stream = connect(server, { model: undefined }).streamCompletion("Hi");
  assertEquals((await stream.response()).model, "google/gemma-4-26b-a4b");
  assertEquals(server.requests.map(({ path }) => path), [
    "/api/v1/models",
    "/v1/chat/completions",
  ]);
});

Deno.test("streamed and whole answers are equal", async () => {
  const reply = {
    content: "Waves crash on shore.",
    reasoning: "A haiku, then.",
    toolCalls: [{ id: "814890118", name: "count", arguments: { of: "waves" } }],
  };
  for (const reasoningField of ["reasoning_content", "reasoning", "think-tags"] as const) {
    const fake = createFakeLMStudio({
      models: [MODEL],
      replies: [reply, reply],
      reasoningField,
    });
    const lmstudio = new LMStudioProvider({ env: {}, fetch: fake.fetch });
    const visible = ({ id: _, stats: __, raw: ___, ...rest }: CompletionResponse) => rest;
    const whole = await lmstudio.complete("Hi");
    const streamed = await lmstudio.streamCompletion("Hi").response();
    assertEquals(visible(streamed), visible(whole));
    assertEquals(streamed.reasoning, "A haiku, then.");
  }
});

// --- The end ----------------------------------------------------------------------------------

Deno.test("end: after the finish reason it waits 2 s for the rest, no longer", async () => {
  await inFakeTime(async (pass) => {
    const stream = streamOf(events([say("Waves"), FINISH], "hang"));
    const iterator = stream[Symbol.asyncIterator]();
    assertEquals((await iterator.next()).value?.content, "Waves");
    const last = iterator.next();
    const settled = isSettled(last);
    await pass(1999);
    assertEquals(settled(), false);
    await pass(1);
    assertEquals(settled(), true);
    const { value } = await last;
    assertEquals([value?.isFinal, value?.finishReason, value?.usage], [true, "stop", undefined]);
    assertEquals((await iterator.next()).done, true);
    assertEquals((await stream.response()).content, "Waves");
  });
});

Deno.test("end: late usage, heartbeats and repetitions share the same 2 s", async () => {
  await inFakeTime(async (pass) => {
    const tokens = { usage: { prompt_tokens: 3, completion_tokens: 1, total_tokens: 4 } };
    const steps = [": still here\n\n", FINISH, frame(undefined, tokens)].map((text) => ({
      text,
      ...gate(),
    }));
    const body = [say("Waves"), FINISH, ...steps.flatMap(({ opened, text }) => [opened, text])];
    const response = streamOf(events(body, "hang")).response();
    const settled = isSettled(response);
    for (const { open } of steps) {
      await pass(600);
      open();
      await pass(0);
    }
    await pass(199);
    assertEquals(settled(), false);
    await pass(1);
    assertEquals(settled(), true);
    assertEquals((await response).usage, { promptTokens: 3, completionTokens: 1, totalTokens: 4 });
  });
});

Deno.test("end: [DONE] ends the stream, whatever the server does afterwards", async () => {
  await using server = serveStub({ [CHAT]: events([say("Waves"), FINISH, DONE], "hang") });
  const { content } = await connect(server).streamCompletion("Hi").response();
  assertEquals(content, "Waves");
  await server.requests[0]?.left;
});

Deno.test("end: a stream that has fully arrived holds no connection, read or not", async () => {
  await using server = serveStub({ [CHAT]: events([say("Waves") + FINISH + DONE], "hang") });
  const iterator = connect(server).streamCompletion("Hi")[Symbol.asyncIterator]();
  assertEquals((await iterator.next()).value?.content, "Waves");
  await server.requests[0]?.left;
  assertEquals((await iterator.next()).value?.isFinal, true);
});

Deno.test("end: a connection that breaks after the finish reason ends the stream", async () => {
  await using server = serveStub({ [CHAT]: events([say("Waves"), FINISH], "break") });
  const response = await connect(server).streamCompletion("Hi").response();
  assertEquals([response.content, response.finishReason], ["Waves", "stop"]);
});

Deno.test("end: [DONE] without a finish reason means stop, or tool_calls after tool calls", async () => {
  const text = await streamOf(events([say("Waves"), DONE])).response();
  assertEquals(text.finishReason, "stop");
  const unterminated = await streamOf(events([say("Waves"), "data: [DONE]"])).response();
  assertEquals([unterminated.content, unterminated.finishReason], ["Waves", "stop"]);
  const call = { index: 0, id: "1", function: { name: "now", arguments: "{}" } };
  const calls = await streamOf(events([frame({ tool_calls: [call] }), DONE])).response();
  assertEquals(calls.finishReason, "tool_calls");
});

// --- Bad streams ------------------------------------------------------------------------------

Deno.test("failures: a cut connection keeps the partial answer", async () => {
  await using server = serveStub({
    [CHAT]: events([frame({ reasoning_content: "Let me" }), say("Waves"), say(" crash")], "break"),
  });
  const stream = connect(server).streamCompletion("Hi");
  const { content, error } = await readAll(stream);
  assertEquals(content, "Waves crash");
  assertInstanceOf(error, NetworkError);
  assertEquals([error.code, error.retriable], ["connection_reset", true]);
  assertEquals(error.partial, BROKEN);
  assertEquals(server.requests.length, 1, "what had begun is not sent again");
});

Deno.test("failures: an answer that ends cleanly halfway", async () => {
  const { error } = await readAll(streamOf(events([say("Waves")])));
  assertInstanceOf(error, StreamError);
  assertEquals([error.code, error.retriable], ["stream_truncated", true]);
  assertStringIncludes(error.message, "the stream was cut off");
  assert(!JSON.stringify(error).includes("Waves"), "an answer is not for logs");
});

Deno.test("failures: an empty stream", async (t) => {
  const bodies: Record<string, readonly BodyChunk[]> = {
    "no byte": [],
    "only comments": [": waiting\n\n", ":\n\n"],
    "only [DONE]": [DONE],
    "only empty data": ["data:\n\n", "data: \n\n"],
    "half an event": ["data: "],
  };
  for (const [name, body] of Object.entries(bodies)) {
    await t.step(name, async () => {
      const { error, chunks } = await readAll(streamOf(events(body)));
      assertInstanceOf(error, StreamError);
      assertEquals([error.code, error.partial], ["stream_truncated", undefined]);
      assertStringIncludes(error.message, "the stream was empty");
      assertEquals(chunks, []);
    });
  }
  await t.step("no body", async () => {
    const fetch = () => Promise.resolve(new Response(null, { status: 200 }));
    const { error } = await readAll(streamOf({}, undefined, { fetch }));
    assertInstanceOf(error, StreamError);
    assertEquals(error.code, "stream_truncated");
  });
});

Deno.test("failures: events that are not frames", async (t) => {
  for (const data of ["{", "not json", '"text"', "[1]", "5", "null", "[DONE", "[done]"]) {
    await t.step(data, async () => {
      const { error, content } = await readAll(
        streamOf(events([say("Waves"), `data: ${data}\n\n`, say(" NEVER"), FINISH, DONE])),
      );
      assertEquals(content, "Waves");
      assertInstanceOf(error, StreamError);
      assertEquals([error.code, error.retriable], ["malformed_stream", false]);
      assertEquals(error.partial, { content: "Waves", toolCalls: [] });
    });
  }
});

Deno.test("failures: frames with foreign fields are skipped", async () => {
  const odd = [
    {},
    { choices: null },
    { choices: {} },
    { choices: [null, 5] },
    { choices: [{ index: 0 }] },
    { choices: [{ index: 0, delta: null }] },
    {
      choices: [{ index: 0, delta: { content: null, reasoning_content: null, tool_calls: null } }],
    },
    { choices: [{ index: 0, delta: { content: 5, tool_calls: {} }, finish_reason: 5 }] },
    { choices: [{ delta: { content: " crash" } }] },
    { error: null, usage: null, stats: null, model: null, id: 5 },
  ];
  const frames = odd.map((value) => `data: ${JSON.stringify(value)}\n\n`);
  const { content, error } = await readAll(
    streamOf(events([say("Waves"), ...frames, FINISH, DONE])),
  );
  assertEquals([content, error], ["Waves crash", undefined]);
});

Deno.test("failures: an error frame gets the class its wording implies", async (t) => {
  const cases: [name: string, text: string, code: string][] = [
    ["in the usual shape", fixture("errors/jinja_frame.json"), "invalid_request"],
    ["a string", '{"error":"Model unloaded by user or API request."}', "model_unloaded"],
    ["no JSON", "The model has crashed without additional information.", "model_crashed"],
    ["a text", '"The model has crashed without additional information."', "model_crashed"],
    ["no words", "{}", "server_error"],
    ["words nobody knows", '{"message":"The hamster is tired"}', "server_error"],
  ];
  for (const [name, data, code] of cases) {
    await t.step(name, async () => {
      const line = data.trim().replaceAll("\n", "");
      const { error } = await readAll(
        streamOf(events([say("Waves"), `event: error\ndata: ${line}\n\n`, FINISH, DONE])),
      );
      assert(isProviderError(error), String(error));
      assertEquals(error.code, code);
      assertEquals(error.partial?.content, "Waves");
      assertEquals(error.status, 200, "the one the stream began with");
    });
  }
  await t.step("without an event line", async () => {
    const data = `data: ${JSON.stringify({ error: { message: "Model is unloaded." } })}\n\n`;
    const { error } = await readAll(streamOf(events([data])));
    assertInstanceOf(error, ApiError);
    assertEquals(error.code, "model_unloaded");
  });
});

Deno.test("no stream: JSON is read as the answer", async () => {
  for (const body of [fixture("answers/chat.json"), `\n  ${fixture("answers/chat.json")}`]) {
    const seen = await readAll(streamOf({ body }));
    assertStringIncludes(seen.content, "Waves crash on shore,\nSeagulls");
    assertEquals(seen.chunks.map(({ isFinal }) => isFinal), [false, true]);
    const final = seen.chunks.at(-1);
    assertEquals([final?.finishReason, final?.usage?.totalTokens], ["stop", 232]);
  }
  const stream = streamOf({ body: fixture("answers/tool_calls.json") });
  const { toolCalls } = await readAll(stream);
  assertEquals(toolCalls.map(({ id, name }) => [id, name]), [["365174485", "search_products"]]);
  assertEquals((await stream.response()).toolCalls, toolCalls);
  const thinking = await readAll(streamOf({ body: fixture("answers/think_tags.json") }));
  assertEquals([thinking.content, thinking.reasoning], [
    "Four, as 1 < 2.",
    "Two and two make four.",
  ]);
});

Deno.test("no stream: JSON that is an error, or not an answer", async (t) => {
  const cases: [name: string, answer: StubAnswer, code: string][] = [
    ["under 200", fixtureAnswer("errors/crashed_null.json"), "model_crashed"],
    ["an unknown route", fixtureAnswer("errors/unexpected_endpoint.json"), "unexpected_endpoint"],
    ["under 400", fixtureAnswer("errors/context_n_keep.json", 400), "context_overflow"],
    ["under 401", fixtureAnswer("errors/auth_missing.json", 401), "unauthorized"],
    ["as an event stream", events(fixture("errors/crashed_null.json")), "model_crashed"],
    ["of another kind", json({ object: "list", data: [] }), "malformed_response"],
    ["cut", { body: '{"id":"chatcmpl-1","choi' }, "malformed_response"],
    ["a page", { body: "<!doctype html><title>Hi</title>" }, "not_lm_studio"],
    ["a page of a proxy", { status: 502, body: "<html>Bad Gateway</html>" }, "server_error"],
  ];
  for (const [name, answer, code] of cases) {
    await t.step(name, async () => {
      const { error, chunks } = await readAll(streamOf(answer));
      assert(isProviderError(error), String(error));
      assertEquals(error.code, code);
      if (code === "malformed_response") assertInstanceOf(error, ParseError);
      assertEquals(chunks, []);
    });
  }
});

// --- Leaving ----------------------------------------------------------------------------------

/** A server that has written one token and would write more, and its stream. */
async function leaving(
  leave: (stream: CompletionStream, abort: (reason: unknown) => void) => Promise<void>,
): Promise<StubRequest> {
  const more = gate();
  await using server = serveStub({
    [CHAT]: events([say("Waves"), more.opened, say(" crash"), say(" on"), say(" shore")], "hang"),
  });
  const controller = new AbortController();
  const stream = connect(server).streamCompletion("Hi", { signal: controller.signal });
  await leave(stream, (reason) => controller.abort(reason));
  const [request] = server.requests;
  await request!.left;
  more.open();
  assertLessOrEqual(request!.written, 2);
  assertEquals([request!.hasLeft, request!.isFinished], [true, false]);
  return request!;
}

Deno.test("leaving: break stops the server", async () => {
  await leaving(async (stream) => {
    for await (const { content } of stream) {
      assertEquals(content, "Waves");
      break;
    }
    const error = await failure(stream.response());
    assertInstanceOf(error, StreamError);
    assertEquals(error.code, "stream_truncated");
    assertEquals(error.partial, { content: "Waves", toolCalls: [] });
  });
});

Deno.test("leaving: an exception in the loop stops the server", async () => {
  const thrown = new Error("mine");
  await leaving(async (stream) => {
    const error = await failure((async () => {
      for await (const _ of stream) throw thrown;
    })());
    assertStrictEquals(error, thrown);
  });
});

Deno.test("leaving: return() stops the server, even while waiting for a token", async () => {
  await leaving(async (stream) => {
    const iterator = stream[Symbol.asyncIterator]();
    await iterator.next();
    const pending = iterator.next();
    assertEquals(await iterator.return?.(), { done: true, value: undefined });
    assertEquals((await pending).done, true);
    assertEquals((await iterator.next()).done, true);
  });
});

Deno.test("leaving: cancel() ends the iteration quietly; response() rejects with its reason", async () => {
  const reason = { why: "enough" };
  await leaving(async (stream) => {
    const contents: string[] = [];
    for await (const { content } of stream) {
      contents.push(content);
      await stream.cancel(reason);
      await stream.cancel("again");
    }
    assertEquals(contents, ["Waves"]);
    assertStrictEquals(await failure(stream.response()), reason);
  });
});

Deno.test("leaving: cancel() while response() waits", async () => {
  await leaving(async (stream) => {
    const iterator = stream[Symbol.asyncIterator]();
    await iterator.next();
    const response = failure(stream.response());
    await stream.cancel();
    const error = await response;
    assertInstanceOf(error, StreamError);
    assertEquals(error.partial?.content, "Waves");
  });
});

Deno.test("leaving: disposal stops the server", async () => {
  await leaving(async (stream) => {
    const iterator = stream[Symbol.asyncIterator]();
    {
      await using owned = stream;
      assert(owned === stream);
      await iterator.next();
    }
    assertEquals((await iterator.next()).done, true);
    assertInstanceOf(await failure(stream.response()), StreamError);
  });
});

Deno.test("leaving: an abort throws its reason, once", async () => {
  const reason = { why: "enough" };
  await leaving(async (stream, abort) => {
    const iterator = stream[Symbol.asyncIterator]();
    await iterator.next();
    const pending = failure(iterator.next());
    abort(reason);
    assertStrictEquals(await pending, reason);
    assertEquals((await iterator.next()).done, true);
    assertStrictEquals(await failure(stream.response()), reason);
  });
});

Deno.test("leaving: an abort between two pulls stops the server at once", async () => {
  const reason = new Error("enough");
  let iterator: AsyncIterator<StreamingChunk> | undefined;
  await leaving(async (stream, abort) => {
    iterator = stream[Symbol.asyncIterator]();
    await iterator.next();
    abort(reason);
  });
  assertStrictEquals(await failure(iterator!.next()), reason);
});

Deno.test("leaving: a break out of the text stream stops the server, and so does return() while it waits", async () => {
  await leaving(async (stream) => {
    for await (const text of stream.textStream) {
      assertEquals(text, "Waves");
      break;
    }
  });
  await leaving(async (stream) => {
    const iterator = stream.textStream[Symbol.asyncIterator]();
    await iterator.next();
    const pending = iterator.next();
    await iterator.return?.();
    assertEquals((await pending).done, true);
  });
});

Deno.test("leaving: cancelling a web stream stops the server", async () => {
  const reason = new Error("reader left");
  await leaving(async (stream) => {
    const reader = stream.toReadableStream().getReader();
    assertEquals((await reader.read()).value?.content, "Waves");
    await reader.cancel(reason);
    assertStrictEquals(await failure(stream.response()), reason);
  });
  await leaving(async (stream) => {
    const reader = stream.toTextStream().getReader();
    assertEquals((await reader.read()).value, new TextEncoder().encode("Waves"));
    await reader.cancel();
  });
});

Deno.test("leaving: a web stream that is cancelled before it was read leaves nothing to read", async () => {
  const stream = streamOf(events(fixture("streams/usage.sse")));
  await stream.toTextStream().cancel(new Error("client gone"));
  assertEquals((await readAll(stream)).chunks, []);
});

Deno.test("leaving: before the headers, and while a model is looked up", async () => {
  for (const route of [CHAT, V1]) {
    const arrived = gate();
    const release = gate();
    await using server = serveStub({
      [route]: async () => {
        arrived.open();
        await release.opened;
        return {};
      },
    });
    const model = route === V1 ? undefined : MODEL;
    const options = { model, timeoutMs: Infinity };
    const stream = connect(server, options).streamCompletion("Hi");
    const iterator = stream[Symbol.asyncIterator]();
    const pending = iterator.next();
    await arrived.opened;
    await stream.cancel();
    assertEquals((await pending).done, true);
    release.open();
    assertEquals(server.requests.length, 1);

    const controller = new AbortController();
    const reason = { why: "enough" };
    const aborted = connect(server, options).streamCompletion("Hi", {
      signal: controller.signal,
    });
    const failed = failure(aborted.response());
    controller.abort(reason);
    assertStrictEquals(await failed, reason);
  }
});

Deno.test("leaving: aborted before the first pull, nothing is sent", async () => {
  await using server = serveStub({});
  const reason = "no longer wanted";
  const stream = connect(server).streamCompletion("Hi", { signal: AbortSignal.abort(reason) });
  assertStrictEquals(await failure(stream.response()), reason);
  const controller = new AbortController();
  const later = connect(server).streamCompletion("Hi", { signal: controller.signal });
  controller.abort();
  const error = await failure(later.response());
  assertInstanceOf(error, DOMException);
  assertEquals(error.name, "AbortError");
  assertEquals(server.requests.length, 0);
});

Deno.test("leaving: a custom fetch that ignores the signal", async () => {
  const cancelled = gate();
  const fetch = () => {
    const body = new ReadableStream({
      start: (controller) => controller.enqueue(new TextEncoder().encode(say("Waves"))),
      cancel: cancelled.open,
    });
    return Promise.resolve(new Response(body));
  };
  const controller = new AbortController();
  const stream = streamOf({}, { signal: controller.signal }, { fetch });
  const iterator = stream[Symbol.asyncIterator]();
  await iterator.next();
  controller.abort("enough");
  await cancelled.opened;
  assertEquals(await failure(iterator.next()), "enough");
});

Deno.test("leaving: a signal that is not an AbortSignal of this realm", async () => {
  // As created by a polyfill or another realm.
  const target = new EventTarget();
  const signal = Object.assign(target, { aborted: false, reason: undefined as unknown });
  const options = { signal: signal as unknown as AbortSignal };
  const stream = streamOf(events([say("Waves")], "hang"), options);
  const iterator = stream[Symbol.asyncIterator]();
  await iterator.next();
  const pending = failure(iterator.next());
  Object.assign(signal, { aborted: true, reason: "enough" });
  target.dispatchEvent(new Event("abort"));
  assertEquals(await pending, "enough");
});

Deno.test("leaving: after the final chunk nothing is cancelled", async () => {
  const stream = streamOf(events(fixture("streams/usage.sse")));
  for await (const { isFinal } of stream) if (isFinal) break;
  await stream.cancel("late");
  assertEquals((await stream.response()).content, "Waves crash on shore.");
});

Deno.test("leaving: no listener is left on the caller's signal", async () => {
  const { signal } = new AbortController();
  let listeners = 0;
  const add = signal.addEventListener.bind(signal);
  const remove = signal.removeEventListener.bind(signal);
  const live = new Set<unknown>();
  signal.addEventListener = (type: string, listener: never) => {
    listeners++;
    live.add(listener);
    add(type, listener);
  };
  signal.removeEventListener = (type: string, listener: never) => {
    live.delete(listener);
    remove(type, listener);
  };
  await streamOf(events(fixture("streams/usage.sse")), { signal }).response();
  for await (const _ of streamOf(events(fixture("streams/usage.sse")), { signal })) break;
  await readAll(streamOf(events(fixture("streams/truncated.sse")), { signal }));
  assert(listeners > 0);
  assertEquals(live.size, 0);
});

// --- One consumer -----------------------------------------------------------------------------

Deno.test("consumers: a second iteration is refused, and the first continues", async () => {
  const stream = streamOf(events(fixture("streams/usage.sse")));
  const iterator = stream[Symbol.asyncIterator]();
  assertEquals((await iterator.next()).value?.content, "Waves");
  for (
    const second of [
      () => stream[Symbol.asyncIterator]().next(),
      () => stream.textStream[Symbol.asyncIterator]().next(),
      () => stream.toReadableStream().getReader().read(),
      () => stream.toTextStream().getReader().read(),
    ]
  ) {
    const error = await failure(second());
    assertInstanceOf(error, InvalidRequestError);
    assertStringIncludes(error.message, "already has a consumer");
  }
  await stream.textStream[Symbol.asyncIterator]().return?.();
  await stream.toReadableStream().cancel();
  await stream.toTextStream().getReader().cancel();
  assertEquals((await iterator.next()).value?.content, " crash");
});

Deno.test("consumers: response() is one, and may be called before, during and after the iteration", async () => {
  const text = fixture("streams/usage.sse");
  const before = streamOf(events(cut(text, 50)));
  const response = before.response();
  assertStrictEquals(before.response(), response);
  assertInstanceOf((await readAll(before)).error, InvalidRequestError);
  assertEquals((await response).content, "Waves crash on shore.");

  const midway = streamOf(events(cut(text, 50)));
  const iterator = midway[Symbol.asyncIterator]();
  await iterator.next();
  assertEquals((await midway.response()).content, "Waves crash on shore.");
  assertEquals((await iterator.next()).done, true);

  const after = streamOf(events(text));
  await readAll(after);
  assertEquals((await after.response()).content, "Waves crash on shore.");
});

Deno.test("consumers: concurrent pulls get their chunks in order", async () => {
  for (const size of [1, 10_000]) {
    const text = fixture("streams/usage.sse");
    const iterator = streamOf(events(cut(text, size)))[Symbol.asyncIterator]();
    const results = await Promise.all(Array.from({ length: 8 }, () => iterator.next()));
    assertEquals(results.map(({ value }) => value?.content), [
      "Waves",
      " crash",
      " on",
      " shore",
      ".",
      "",
      undefined,
      undefined,
    ]);
    const reasoning = fixture("streams/reasoning_content.sse");
    const texts = streamOf(events(cut(reasoning, size))).textStream[Symbol.asyncIterator]();
    const words = await Promise.all(Array.from({ length: 4 }, () => texts.next()));
    assertEquals(words.map(({ value }) => value), ["Four", ".", undefined, undefined]);
  }
});

Deno.test("consumers: text and web streams", async () => {
  const text = fixture("streams/multibyte.sse");
  const texts: string[] = [];
  for await (const chunk of streamOf(events(text)).textStream) texts.push(chunk);
  assertEquals(texts, ["Grüße, 世界! ", "👩‍🚀", " naïve ☕"]);

  const chunks: StreamingChunk[] = [];
  for await (const chunk of streamOf(events(text)).toReadableStream()) chunks.push(chunk);
  assertEquals(chunks.map(({ isFinal }) => isFinal), [false, false, false, true]);

  const response = new Response(streamOf(events(text)).toTextStream());
  assertEquals(await response.text(), texts.join(""));
});

Deno.test("consumers: a failure reaches the text and web streams, too", async () => {
  const text = fixture("streams/truncated.sse");
  const iterate = async (stream: CompletionStream) => {
    for await (const _ of stream.textStream);
  };
  assertInstanceOf(await failure(iterate(streamOf(events(text)))), StreamError);
  const bytes = new Response(streamOf(events(text)).toTextStream());
  assertInstanceOf(await failure(bytes.text()), StreamError);
  const refused = new LMStudioProvider({ env: {} }).streamCompletion("");
  assertInstanceOf(await failure(iterate(refused)), InvalidRequestError);
});

Deno.test("consumers: a character split across chunks is whole in bytes", async () => {
  const [high, low] = ["\ud83d", "\ude00"];
  const stream = streamOf(events([say(`a${high}`), say(`${low}b`), say(high!), FINISH, DONE]));
  const bytes = await new Response(stream.toTextStream()).text();
  assertEquals(bytes, "a😀b\ufffd");
});

// --- Tool calls -------------------------------------------------------------------------------

Deno.test("tool calls: known defects of builds and servers in the deltas", async (t) => {
  const chunk = (fields: object) => fields;
  const cases: [name: string, deltas: object[][], calls: ToolCall[]][] = [
    [
      "empty names and types in every chunk",
      [
        [chunk({ index: 0, id: "1", type: "function", function: { name: "a", arguments: "" } })],
        [chunk({ index: 0, type: "function", function: { name: "", arguments: "{" } })],
        [chunk({ index: 0, type: "function", function: { name: "", arguments: "}" } })],
      ],
      [{ id: "1", name: "a", arguments: "{}" }],
    ],
    [
      "the name and the id in every chunk",
      [
        [chunk({ index: 0, id: "1", function: { name: "a", arguments: "{" } })],
        [chunk({ index: 0, id: "1", function: { name: "a", arguments: "}" } })],
      ],
      [{ id: "1", name: "a", arguments: "{}" }],
    ],
    [
      "an empty id, no function",
      [
        [chunk({ index: 0, id: "", type: "function" })],
        [chunk({ index: 0, id: "7", function: { name: "a", arguments: "{}" } })],
      ],
      [{ id: "7", name: "a", arguments: "{}" }],
    ],
    [
      "the id after the name",
      [
        [chunk({ index: 0, function: { name: "a" } })],
        [chunk({ index: 0, id: "7", function: { arguments: "{}" } })],
      ],
      [{ id: "7", name: "a", arguments: "{}" }],
    ],
    [
      "two calls that take turns",
      [
        [chunk({ index: 0, id: "1", function: { name: "a", arguments: "{" } })],
        [chunk({ index: 1, id: "2", function: { name: "b", arguments: "[" } })],
        [chunk({ index: 0, function: { arguments: "}" } })],
        [chunk({ index: 1, function: { arguments: "]" } })],
      ],
      [{ id: "1", name: "a", arguments: "{}" }, { id: "2", name: "b", arguments: "[]" }],
    ],
    [
      "two in one chunk, with a gap in the numbers",
      [[
        chunk({ index: 1, id: "1", function: { name: "a", arguments: "{}" } }),
        chunk({ index: 4, id: "2", function: { name: "b", arguments: "{}" } }),
      ]],
      [{ id: "1", name: "a", arguments: "{}" }, { id: "2", name: "b", arguments: "{}" }],
    ],
    [
      "a number nobody uses",
      [
        [chunk({ index: 0, id: "", type: "function" })],
        [chunk({ index: 1, id: "2", function: { name: "b", arguments: "{}" } })],
      ],
      [{ id: "2", name: "b", arguments: "{}" }],
    ],
    [
      "all with number 0, told apart by id",
      [
        [chunk({ index: 0, id: "1", function: { name: "a", arguments: "{" } })],
        [chunk({ index: 0, function: { arguments: "}" } })],
        [chunk({ index: 0, id: "2", function: { name: "a", arguments: "{}" } })],
      ],
      [{ id: "1", name: "a", arguments: "{}" }, { id: "2", name: "a", arguments: "{}" }],
    ],
    [
      "no numbers",
      [
        [chunk({ id: "1", function: { name: "a", arguments: "{" } })],
        [chunk({ function: { arguments: "}" } })],
        [chunk({ id: "2", function: { name: "b", arguments: "{}" } })],
      ],
      [{ id: "1", name: "a", arguments: "{}" }, { id: "2", name: "b", arguments: "{}" }],
    ],
    [
      "arguments as an object, empty lists, null",
      [
        [],
        [chunk({ index: 0, id: "1", function: { name: "a", arguments: { x: 1 } } })],
        [chunk({ index: 0, function: { arguments: null } })],
      ],
      [{ id: "1", name: "a", arguments: '{"x":1}' }],
    ],
  ];
  for (const [name, deltas, calls] of cases) {
    await t.step(name, async () => {
      const frames = deltas.map((tool_calls) => frame({ role: "assistant", tool_calls }));
      const stream = streamOf(events([...frames, frame({}, {}, "tool_calls"), DONE]));
      const seen = await readAll(stream);
      assertEquals(seen.error, undefined);
      assertEquals(seen.toolCalls, calls);
      const response = await stream.response();
      assertEquals(response.toolCalls, calls);
      assertEquals(response.finishReason, "tool_calls");
      const deltasGiven = seen.chunks.flatMap(({ toolCalls = [] }) => toolCalls);
      for (const [index] of calls.entries()) {
        const own = deltasGiven.filter((delta) => delta.index === index);
        assertEquals(own.filter(({ id }) => id !== undefined).length, 1);
        assertEquals(own.filter(({ name }) => name !== undefined).length, 1);
      }
    });
  }
});

Deno.test("tool calls: one without an id gets one, for the result to refer to", async () => {
  const call = (name: string, index: number) => ({ index, function: { name, arguments: "{}" } });
  const stream = streamOf(
    events([frame({ tool_calls: [call("a", 0), call("b", 1)] }), FINISH, DONE]),
  );
  const { toolCalls, finishReason } = await stream.response();
  assertEquals(new Set(toolCalls.map(({ id }) => id)).size, 2);
  assert(toolCalls.every(({ id }) => id !== ""));
  assertEquals(finishReason, "tool_calls");
});

// --- Reasoning --------------------------------------------------------------------------------

Deno.test("reasoning: tags cut at every position", async (t) => {
  const texts: [text: string, content: string, reasoning: string][] = [
    [
      "<think>\nTwo <b> & </thin> two.\n</think>\n\nFour </think>.",
      "Four </think>.",
      "Two <b> & </thin> two.",
    ],
    [" \n<think>a b</think>c", "c", "a b"],
    ["<think></think>Yes <think>no</think>", "Yes ", "no"],
    ["<think>\n\n</think>\n\nYes", "Yes", ""],
    ["<think>never closed </thin", "", "never closed </thin"],
    ["<think>", "", ""],
    ["<thin", "<thin", ""],
    ["<thinking>aloud</thinking>", "<thinking>aloud</thinking>", ""],
    ["1 <think>2</think>", "1 <think>2</think>", ""],
    ["1<think>2</think>3", "13", "2"],
    ["1.\n<think>2</think>\n3", "1.\n3", "2"],
    ["<think>1</think>\n2\n\n<think>3</think>\n4", "2\n\n4", "1\n\n3"],
    ["</think>\n\nYes", "Yes", ""],
    ["Use `<think>` here", "Use `<think>` here", ""],
    ["<|channel>thought\nHm.<channel|>Yes", "Yes", "Hm."],
    [
      "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Yes",
      "Yes",
      "Hm.",
    ],
    ["[THINK]Hm.[/THINK]Yes", "Yes", "Hm."],
    ["<seed:think>Hm.</seed:think>Yes", "Yes", "Hm."],
    ["All </think> said", "All </think> said", ""],
    ["  spaced  ", "  spaced  ", ""],
    ["\n\n", "\n\n", ""],
  ];
  for (const [text, content, reasoning] of texts) {
    await t.step(JSON.stringify(text), async () => {
      const cuts = Array.from(
        { length: text.length },
        (_, at) => [text.slice(0, at), text.slice(at)],
      );
      for (const chunks of [...cuts, [...text]]) {
        const stream = streamOf(events([...chunks.map(say), FINISH, DONE]));
        const seen = await readAll(stream);
        assertEquals([seen.content, seen.reasoning], [content, reasoning], chunks.join("|"));
        const response = await stream.response();
        assertEquals([response.content, response.reasoning ?? ""], [content, reasoning]);
      }
    });
  }
});

Deno.test("reasoning: a field is yielded at once; two fields with the same text count once", async () => {
  const stream = streamOf(events([
    frame({ reasoning_content: "Hm", reasoning: "Hm" }),
    frame({ reasoning: ". " }),
    frame({ reasoning_content: "Yes.", content: "Y" }),
    say("es"),
    FINISH,
    DONE,
  ]));
  const { chunks, content, reasoning } = await readAll(stream);
  assertEquals([content, reasoning], ["Yes", "Hm. Yes."]);
  assertEquals(chunks[0], { content: "", isFinal: false, reasoning: "Hm" });
});

Deno.test("reasoning: text held back for a possible tag is not lost when the stream breaks", async () => {
  const { error } = await readAll(streamOf(events([say("<think>Hm"), say("m </thi")])));
  assertInstanceOf(error, StreamError);
  assertEquals(error.partial?.reasoning?.startsWith("Hmm"), true);
});

// --- Substitution -----------------------------------------------------------------------------

function answeredBy(model: string, more: StubRoutes = {}): StubRoutes {
  return {
    [V1]: fixtureAnswer("listings/v1_alias.json"),
    [CHAT]: events(
      [frame({ content: "I am" }, { model }), frame({ content: " other" }, { model })],
      "hang",
    ),
    ...more,
  };
}

Deno.test("substitution: thrown at the first chunk, and the server stops", async () => {
  await using server = serveStub(answeredBy("someone/else"));
  const stream = connect(server).streamCompletion("Hi");
  const { chunks, error } = await readAll(stream);
  assertEquals(chunks, [], "nothing of another model's answer is given out as this one's");
  assertInstanceOf(error, ModelNotAvailableError);
  assertEquals([error.code, error.model], ["model_substituted", MODEL]);
  assertEquals(error.partial?.content.startsWith("I am"), true);
  assertStrictEquals(await failure(stream.response()), error);
  await server.on(CHAT)[0]?.left;
});

Deno.test("substitution: an alias in the listing is the same model", async () => {
  const text = [frame({ content: "I am" }, { model: "the-big-one" }), FINISH, DONE];
  await using server = serveStub(answeredBy("", { [CHAT]: events(text) }));
  const stream = connect(server, { model: "gemma-4-26b-a4b" }).streamCompletion("Hi");
  assertEquals((await stream.response()).model, "the-big-one");
});

Deno.test("substitution: ignored, or reported once", async () => {
  const text = events(
    [1, 2, 3].map(() => frame({ content: "I am " }, { model: "someone/else" }))
      .concat(FINISH, DONE),
  );
  await using server = serveStub(answeredBy("", { [CHAT]: text }));
  const ignoring = connect(server, { onModelSubstituted: "ignore" });
  assertEquals((await ignoring.streamCompletion("Hi").response()).model, "someone/else");
  assertEquals(server.on(V1).length, 0);

  const told: unknown[] = [];
  const frames = fetchOf(text);
  const listing = fetchOf(fixtureAnswer("listings/v1.json"));
  const telling = connect(server, {
    onModelSubstituted: (info) => void told.push(info),
    // One frame per read.
    fetch: (input, init) => (String(input).endsWith("/models") ? listing : frames)(input, init),
  });
  const { content } = await telling.streamCompletion("Hi").response();
  assertEquals(content, "I am I am I am ");
  assertEquals(told, [{ requested: MODEL, answered: "someone/else" }]);
});

Deno.test("substitution: in a whole answer instead of a stream", async () => {
  await using server = serveStub(answeredBy("", {
    [CHAT]: fixtureAnswer("answers/substituted.json"),
  }));
  const { error } = await readAll(connect(server).streamCompletion("Hi"));
  assertInstanceOf(error, ModelNotAvailableError);
  assertEquals((error.response as CompletionResponse).content, "I am someone else.");
});

// --- Waiting ----------------------------------------------------------------------------------

Deno.test("timeouts: no token in time, and silence in the middle", async () => {
  const first = await failure(
    streamOf(events([": wait\n\n", frame({ role: "assistant" })], "hang"), {
      firstTokenTimeoutMs: 20,
    }).response(),
  );
  assertInstanceOf(first, TimeoutError);
  assertEquals([first.code, first.phase, first.timeoutMs], [
    "timeout_first_token",
    "first-token",
    20,
  ]);
  assertEquals(first.partial, undefined);

  const { content, error } = await readAll(
    streamOf(events([say("Waves")], "hang"), { idleTimeoutMs: 20 }),
  );
  assertEquals(content, "Waves");
  assertInstanceOf(error, TimeoutError);
  assertEquals([error.code, error.phase, error.timeoutMs], ["timeout_idle", "idle", 20]);
  assertEquals(error.partial?.content, "Waves");
});

Deno.test("timeouts: a slow consumer does not count as silence", async () => {
  await inFakeTime(async (pass) => {
    const stream = streamOf(events(cut(fixture("streams/usage.sse"), 200)));
    let content = "";
    for await (const chunk of stream) {
      content += chunk.content;
      await pass(3_600_000);
    }
    assertEquals(content, "Waves crash on shore.");
  });
});

Deno.test("timeouts: timeoutMs does not apply to streams", async () => {
  const more = gate();
  const stream = streamOf(events([say("Waves"), more.opened, FINISH, DONE]), { timeoutMs: 1 });
  const iterator = stream[Symbol.asyncIterator]();
  await iterator.next();
  const timer = Promise.withResolvers<void>();
  setTimeout(timer.resolve, 10);
  await timer.promise;
  more.open();
  assertEquals((await iterator.next()).value?.isFinal, true);
});

Deno.test("onStatus: waiting, then generating at the first token; an exception from it ends the call", async () => {
  const phases: string[] = [];
  const onStatus: CallOptions["onStatus"] = ({ phase }) => void phases.push(phase);
  const iterator = streamOf(
    events([frame({ role: "assistant" }), say("<think>"), say("x"), FINISH, DONE]),
    { onStatus },
  )[Symbol.asyncIterator]();
  assertEquals(phases, []);
  await iterator.next();
  assertEquals(phases, ["waiting", "generating"]);
  while ((await iterator.next()).done !== true);
  assertEquals(phases, ["waiting", "generating"]);

  for (const bad of ["waiting", "generating"]) {
    await using server = serveStub({ [CHAT]: events([say("Waves")], "hang") });
    const thrown = new Error(bad);
    const stream = connect(server).streamCompletion("Hi", {
      onStatus: ({ phase }) => {
        if (phase === bad) throw thrown;
      },
    });
    assertStrictEquals(await failure(stream.response()), thrown);
    assertEquals(server.requests.length, bad === "waiting" ? 0 : 1);
    await server.requests[0]?.left;
  }
});

// --- Load -------------------------------------------------------------------------------------

Deno.test("load: 50 concurrent streams, each with its own text", async () => {
  await using server = serveStub({
    [CHAT]: ({ body }) => {
      const [message] = body.messages as { content: string }[];
      return events([...cut([...message!.content].map(say).join(""), 97), FINISH, DONE]);
    },
  });
  const lmstudio = connect(server);
  const questions = Array.from({ length: 50 }, (_, index) => `This is question ${index}.`);
  const answers = await Promise.all(
    questions.map((question) => lmstudio.streamCompletion(question).response()),
  );
  assertEquals(answers.map(({ content }) => content), questions);
});

Deno.test("load: of 200 000 tokens the text is kept, the chunks are not", async () => {
  v8.setFlagsFromString("--expose-gc");
  const collectGarbage: () => void = vm.runInNewContext("gc");
  const tokens = 200_000;
  const block = new TextEncoder().encode(say("word ").repeat(500));
  const stream = streamOf(events([...Array(tokens / 500).fill(block), FINISH, DONE]));
  const early: WeakRef<StreamingChunk>[] = [];
  let count = 0;
  let isOver = false;
  const iterator = stream[Symbol.asyncIterator]();
  while (!isOver) {
    const { done, value } = await iterator.next();
    if (done === true) break;
    if (count < 1000) early.push(new WeakRef(value));
    count++;
    isOver = value.isFinal;
  }
  assertEquals(count, tokens + 1);
  // The target of a weak reference is kept until the task ends.
  await new Promise((resolve) => setTimeout(resolve, 0));
  collectGarbage();
  const alive = early.filter((chunk) => chunk.deref() !== undefined).length;
  assertLess(alive, 10);
  assertEquals((await stream.response()).content.length, 5 * tokens);
});

Deno.test("load: a second consumer and bad input are refused by rejections", async () => {
  const lmstudio = new LMStudioProvider({ env: {} });
  const request = { messages: "Hi", max_tokens: 5 } as CompletionRequest;
  const stream = lmstudio.streamCompletion(request);
  await assertRejects(
    () => stream[Symbol.asyncIterator]().next(),
    InvalidRequestError,
    'unknown field "max_tokens" (did you mean "maxTokens"?)',
  );
});
