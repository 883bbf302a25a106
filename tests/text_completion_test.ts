/**
 * Text completions with `/v1/completions`: what is sent and refused, how answers are decoded, whole and streamed
 * (fixtures/answers, fixtures/streams/text), which model is chosen and may answer, and that these streams end, fail and
 * are left in the same way as chat completion streams.
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
  InvalidRequestError,
  isProviderError,
  LMStudioProvider,
  type LMStudioProviderOptions,
  ModelNotAvailableError,
  NetworkError,
  ParseError,
  StreamError,
  type StreamingChunk,
  type TextCompletionRequest,
  type TextCompletionResponse,
  TimeoutError,
} from "../mod.ts";
import { createFakeLMStudio } from "../src/testing/mod.ts";
import { inFakeTime } from "./support/puppet.ts";
import {
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
  type StubServer,
} from "./support/stub_server.ts";

const TEXT = "POST /v1/completions";
const V1 = "GET /api/v1/models";
const MODEL = "granite-3.0-2b-instruct";
const PROMPT = "the meaning of life is";
const DONE = "data: [DONE]\n\n";
const ANSWER = {
  id: "cmpl-1",
  model: MODEL,
  choices: [{ index: 0, text: " to be.", finish_reason: "stop" }],
};

function connect(server: StubServer, options: LMStudioProviderOptions = {}): LMStudioProvider {
  return new LMStudioProvider({ baseUrl: server.url, env: {}, maxRetries: 0, ...options });
}

/** The body that is sent for a request. */
async function bodyOf(request: TextCompletionRequest | string): Promise<Record<string, unknown>> {
  await using server = serveStub({ [TEXT]: json(ANSWER) });
  await connect(server, { model: MODEL }).completeText(request);
  assertEquals(server.requests.length, 1);
  return server.requests[0]!.body;
}

/** Decodes an answer. */
async function decode(answer: StubAnswer): Promise<TextCompletionResponse> {
  await using server = serveStub({ [TEXT]: answer });
  return await connect(server, { onModelSubstituted: "ignore", model: MODEL }).completeText(PROMPT);
}

/** A stream whose answer arrives in exactly these chunks. */
function streamOf(
  answer: StubAnswer,
  callOptions?: CallOptions,
  options: LMStudioProviderOptions = {},
): CompletionStream<TextCompletionResponse> {
  const fetch = fetchOf(answer);
  return new LMStudioProvider({ env: {}, fetch, model: MODEL, ...options })
    .streamText(PROMPT, callOptions);
}

function say(text: string, finishReason: string | null = null): string {
  const choices = [{ index: 0, text, logprobs: null, finish_reason: finishReason }];
  return `data: ${JSON.stringify({ id: "cmpl-1", model: MODEL, choices })}\n\n`;
}
const FINISH = say("", "stop") + DONE;

interface Seen {
  chunks: StreamingChunk[];
  content: string;
  error?: unknown;
}

async function readAll(stream: AsyncIterable<StreamingChunk>): Promise<Seen> {
  const seen: Seen = { chunks: [], content: "" };
  try {
    for await (const chunk of stream) {
      seen.chunks.push(chunk);
      seen.content += chunk.content;
    }
  } catch (error) {
    seen.error = error;
  }
  return seen;
}

async function failure(promise: Promise<unknown>): Promise<unknown> {
  return await promise.then(() => assert(false, "it did not reject"), (error) => error);
}

// --- What is sent -----------------------------------------------------------------------------

Deno.test("request: every field under its name on the wire", async () => {
  const body = await bodyOf({
    model: MODEL,
    prompt: PROMPT,
    suffix: " That is all.",
    echo: true,
    temperature: 0.2,
    topP: 0.9,
    topK: 40,
    minP: 0.05,
    maxTokens: 100,
    stop: ["END", "\n\n"],
    seed: 7,
    presencePenalty: 0.1,
    frequencyPenalty: -0.1,
    repeatPenalty: 1.1,
    logitBias: { "50256": -100 },
    ttlSeconds: 600,
    draftModel: "qwen/qwen3-0.6b",
    extraBody: { logprobs: 1, temperature: undefined },
  });
  assertEquals(body, {
    model: MODEL,
    prompt: PROMPT,
    suffix: " That is all.",
    echo: true,
    temperature: 0.2,
    top_p: 0.9,
    top_k: 40,
    min_p: 0.05,
    max_tokens: 100,
    stop: ["END", "\n\n"],
    seed: 7,
    presence_penalty: 0.1,
    frequency_penalty: -0.1,
    repeat_penalty: 1.1,
    logit_bias: { "50256": -100 },
    ttl: 600,
    draft_model: "qwen/qwen3-0.6b",
    logprobs: 1,
  });
});

Deno.test("request: nothing is sent that was not set; a text is a whole request, even an empty one", async () => {
  assertEquals(await bodyOf(PROMPT), { model: MODEL, prompt: PROMPT });
  assertEquals(await bodyOf({ prompt: "", suffix: undefined, stop: undefined }), {
    model: MODEL,
    prompt: "",
  });
});

Deno.test("request: a stream requests usage, and keeps the user's own options", async () => {
  const sent = async (extraBody?: Record<string, unknown>) => {
    await using server = serveStub({ [TEXT]: events([say("Hi"), FINISH]) });
    await connect(server, { model: MODEL }).streamText({ prompt: PROMPT, extraBody }).response();
    return server.requests[0]?.body;
  };
  const stream = { model: MODEL, prompt: PROMPT, stream: true };
  assertEquals(await sent(), { ...stream, stream_options: { include_usage: true } });
  assertEquals(await sent({ stream_options: { chunk_size: 5 } }), {
    ...stream,
    stream_options: { chunk_size: 5, include_usage: true },
  });
});

const REFUSED: [request: unknown, message: string][] = [
  [undefined, "the request is undefined, not a string or an object"],
  [null, "the request is null, not a string or an object"],
  [["a"], "the request is an array, not a string or an object"],
  [{}, "prompt is undefined, not a string"],
  [{ prompt: ["one", "two"] }, "prompt is an array, not a string"],
  [{ prompt: [1, 2] }, "prompt is an array, not a string"],
  [{ prompt: 5 }, "prompt is 5, not a string"],
  [{ prompt: PROMPT, suffix: 5 }, "suffix is 5, not a string"],
  [{ prompt: PROMPT, echo: "yes" }, 'echo is "yes", not true or false'],
  [{ prompt: PROMPT, max_tokens: 5 }, 'unknown field "max_tokens" (did you mean "maxTokens"?)'],
  [{ prompt: PROMPT, n_predict: 5 }, 'unknown field "n_predict"'],
  [{ messages: PROMPT }, 'unknown field "messages" (did you mean "prompt"?)'],
  [{ prompt: PROMPT, stream: true }, 'unknown field "stream" (use streamText() to stream)'],
  [{ prompt: PROMPT, tools: [] }, 'unknown field "tools"'],
  [{ prompt: PROMPT, n: 2 }, 'unknown field "n"'],
  [{ prompt: PROMPT, model: " " }, "model cannot be empty"],
  [{ prompt: PROMPT, temperature: -1 }, "temperature is -1, not a number of 0 or more"],
  [{ prompt: PROMPT, maxTokens: 0 }, "maxTokens is 0, not a whole number above 0, or -1"],
  [{ prompt: PROMPT, stop: [] }, "stop is an array, not a string"],
  [{ prompt: PROMPT, logitBias: { 1: "x" } }, "logitBias is not an object"],
  [{ prompt: PROMPT, draftModel: "" }, "draftModel cannot be empty"],
  [{ prompt: PROMPT, extraBody: [] }, "extraBody is an array, not an object"],
  [{ prompt: PROMPT, extraBody: { model: "x" } }, 'extraBody may not set "model"'],
  [{ prompt: PROMPT, extraBody: { prompt: "x" } }, 'extraBody may not set "prompt"'],
  [{ prompt: PROMPT, extraBody: { stream: false } }, 'extraBody may not set "stream"'],
];

Deno.test("request: fields that the server would refuse, misread or ignore are refused, whole and streamed", async (t) => {
  for (const [request, message] of REFUSED) {
    await t.step(message, async () => {
      await using server = serveStub({});
      const lmstudio = connect(server, { model: MODEL });
      const given = request as TextCompletionRequest;
      for (
        const [verb, ask] of [
          ["complete text", () => lmstudio.completeText(given)],
          ["stream text", () => lmstudio.streamText(given).response()],
        ] as const
      ) {
        const error = await assertRejects(ask, InvalidRequestError);
        assertEquals([error.code, error.attempts], ["invalid_request", 0]);
        assertStringIncludes(error.message, `Cannot ${verb}: ${message}`);
        assert(!error.message.includes(PROMPT), "no prompt in a message");
      }
      assertEquals(server.requests.length, 0);
    });
  }
});

Deno.test("request: invalid options are refused like any call's, as a rejection", async () => {
  const lmstudio = new LMStudioProvider({ env: {}, model: MODEL });
  const options = { timeout: 5 } as CallOptions;
  const whole = await assertRejects(() => lmstudio.completeText(PROMPT, options));
  const streamed = await assertRejects(() => lmstudio.streamText(PROMPT, options).response());
  for (const error of [whole, streamed]) {
    assertInstanceOf(error, InvalidRequestError);
    assertStringIncludes(error.message, 'unknown option "timeout" (did you mean "timeoutMs"?)');
  }
});

Deno.test("request: the checked request is sent, whatever its owner changes meanwhile", async () => {
  const arrived = gate();
  const asked = gate();
  await using server = serveStub({
    [V1]: async () => {
      asked.open();
      await arrived.opened;
      return fixtureAnswer("listings/v1.json");
    },
    [TEXT]: ({ body }) => json({ ...ANSWER, model: body.model }),
  });
  const request: TextCompletionRequest = { prompt: PROMPT, maxTokens: 5 };
  const pending = connect(server).completeText(request);
  await asked.opened;
  request.prompt = "something else";
  request.maxTokens = 0;
  arrived.open();
  await pending;
  const { prompt, max_tokens } = server.on(TEXT)[0]!.body;
  assertEquals([prompt, max_tokens], [PROMPT, 5]);
});

// --- Whole answers ----------------------------------------------------------------------------

Deno.test("answer: the documentation's sample", async () => {
  assertEquals(await decode(fixtureAnswer("answers/text.json")), {
    id: "cmpl-p9rtxv6fky2v9k8jrd8cc",
    model: MODEL,
    text: " to find your purpose, and once you have",
    finishReason: "length",
    usage: { promptTokens: 5, completionTokens: 9, totalTokens: 14 },
    stats: {
      tokensPerSecond: 57.69230769230769,
      timeToFirstTokenMs: 299,
      generationMs: 156,
      stopReason: "maxPredictedTokensReached",
      source: "server",
    },
    raw: JSON.parse(fixture("answers/text.json")),
  });
});

Deno.test("answer: empty stats count as none, so our own clock is used", async () => {
  const { stats, finishReason } = await decode(fixtureAnswer("answers/text_v1.json"));
  assertEquals([stats?.source, finishReason], ["measured", "stop"]);
  assert((stats?.generationMs ?? 0) > 0);
});

Deno.test("answer: the text is unchanged", async () => {
  const text = "\n<think>\nHm.\n</think>\n\n  Four. ";
  const choices = [{ index: 1, text: "no" }, { index: 0, text, finish_reason: null }];
  const response = await decode(json({ ...ANSWER, choices }));
  assertEquals([response.text, response.finishReason], [text, "stop"]);
  const empty = await decode(json({ choices: [{ text: "", finish_reason: "odd" }] }));
  assertEquals([empty.text, empty.finishReason, empty.model, empty.id], ["", "odd", MODEL, ""]);
});

Deno.test("answer: anything that is not an answer is a ParseError", async (t) => {
  const bodies = [
    "",
    "null",
    "[]",
    "{}",
    '{"choices":[]}',
    '{"choices":[{"index":0}]}',
    '{"choices":[{"index":0,"text":null}]}',
    '{"choices":[{"index":0,"message":{"content":"a chat"}}]}',
    '{"choices":[{"index":1,"text":"another"}]}',
  ];
  for (const body of bodies) {
    await t.step(body, async () => {
      const error = await failure(decode({ body }));
      assertInstanceOf(error, ParseError);
      assertEquals(error.code, "malformed_response");
      assertStringIncludes(error.message, `Cannot complete text with model "${MODEL}": `);
    });
  }
});

Deno.test("answer: an error gets the class its wording implies, under 200 too", async () => {
  for (const status of [400, 200]) {
    const crashed = await failure(decode(fixtureAnswer("errors/crashed_null.json", status)));
    assertInstanceOf(crashed, ApiError);
    assertEquals(crashed.code, "model_crashed");
  }
  const overflow = await failure(decode(fixtureAnswer("errors/context_n_keep.json", 400)));
  assertInstanceOf(overflow, InvalidRequestError);
  assertEquals([overflow.promptTokens, overflow.contextLength], [13055, 4096]);
  assertStringIncludes(overflow.hint, "Shorten the input");
});

Deno.test("answer: an echo of the prompt, or of the suffix, in an error is masked", async () => {
  const error = `Cannot go on from ${PROMPT} to where it all came to an end`;
  await using server = serveStub({ [TEXT]: json({ error }, 400) });
  const lmstudio = connect(server, { model: MODEL });
  const suffix = "where it all came to an end";
  const refused = await failure(lmstudio.completeText({ prompt: PROMPT, suffix }));
  assert(isProviderError(refused));
  assert(!refused.message.includes(PROMPT) && !refused.message.includes(suffix), refused.message);
});

Deno.test("completeText: an abort rejects with its reason and stops the server", async () => {
  const arrived = gate();
  await using server = serveStub({
    [TEXT]: () => {
      arrived.open();
      return { end: "hang" };
    },
  });
  const controller = new AbortController();
  const { signal } = controller;
  const pending = failure(connect(server, { model: MODEL }).completeText(PROMPT, { signal }));
  await arrived.opened;
  const reason = { why: "enough" };
  controller.abort(reason);
  assertStrictEquals(await pending, reason);
  await server.requests[0]?.left;
});

Deno.test("completeText: timeoutMs covers the whole call", async () => {
  await using server = serveStub({ [TEXT]: { end: "hang" } });
  const error = await assertRejects(
    () => connect(server, { model: MODEL }).completeText(PROMPT, { timeoutMs: 20 }),
    TimeoutError,
  );
  assertEquals(error.code, "timeout_total");
});

Deno.test("completeText: retried like a completion, if nothing can have been generated", async () => {
  let asked = 0;
  await using server = serveStub({
    [TEXT]: () => ++asked === 1 ? { status: 503, headers: { "retry-after": "0" } } : json(ANSWER),
  });
  const lmstudio = connect(server, { model: MODEL, maxRetries: 1 });
  assertEquals((await lmstudio.completeText(PROMPT)).text, " to be.");
  assertEquals(asked, 2);
});

// --- Streams ----------------------------------------------------------------------------------

interface Expected {
  content?: string;
  finishReason?: string;
  usage?: [prompt: number, completion: number];
  stats?: string;
  error?: { code: string; kind: string };
}

const STREAMS: Record<string, Expected> = {
  "usage.sse": { content: " to find your purpose", finishReason: "length", usage: [5, 3] },
  "multibyte.sse": { content: "Grüße, 世界! 👩‍🚀 naïve ☕", usage: [5, 3] },
  "think_tags.sse": { content: "<think>\nTwo and two\n</think>\n\nFour." },
  "stats.sse": { content: " to find", finishReason: "length", usage: [5, 9], stats: "server" },
  "finish_with_text.sse": { content: " to find" },
  "done_only.sse": { content: " to find" },
  "error_frame_midway.sse": {
    content: " to find",
    error: { code: "model_unloaded", kind: "api" },
  },
  "truncated.sse": { content: " to find", error: { code: "stream_truncated", kind: "stream" } },
};

Deno.test("fixtures: each has an expectation", () => {
  assertEquals(Object.keys(STREAMS).sort(), fixtureNames("streams/text", ".sse"));
});

Deno.test("streams: the same text however the network cuts them", async (t) => {
  for (const [name, expected] of Object.entries(STREAMS)) {
    await t.step(name, async () => {
      const text = fixture(`streams/text/${name}`);
      for (const size of [text.length * 4, 1, 7]) {
        await check(streamOf(events(cut(text, size))), expected);
      }
    });
  }
});

async function check(
  stream: CompletionStream<TextCompletionResponse>,
  { content = "", finishReason = "stop", usage, stats = "measured", error }: Expected,
): Promise<void> {
  const seen = await readAll(stream);
  assertEquals(seen.content, content);
  if (error !== undefined) {
    assert(isProviderError(seen.error), String(seen.error));
    assertEquals([seen.error.code, seen.error.kind], [error.code, error.kind]);
    assertEquals(seen.error.partial, { content, toolCalls: [] });
    assertStringIncludes(seen.error.message, `Cannot stream text with model "${MODEL}": `);
    assertStrictEquals(await failure(stream.response()), seen.error);
    return;
  }
  assertEquals(seen.error, undefined);
  const [promptTokens = 0, completionTokens = 0] = usage ?? [];
  const counted = usage === undefined ? {} : {
    usage: { promptTokens, completionTokens, totalTokens: promptTokens + completionTokens },
  };
  const { stats: told, ...final } = seen.chunks.at(-1)!;
  assertEquals(final, { content: "", isFinal: true, model: MODEL, finishReason, ...counted });
  assertEquals(told?.source, stats);
  assertEquals(seen.chunks.filter(({ isFinal }) => isFinal).length, 1);
  assert(seen.chunks.every(({ content, isFinal }) => isFinal || content !== ""));
  const response = await stream.response();
  assertEquals({ ...response, raw: undefined, stats: undefined }, {
    id: "cmpl-p9rtxv6fky2v9k8jrd8cc",
    model: MODEL,
    text: content,
    finishReason,
    ...counted,
    raw: undefined,
    stats: undefined,
  });
  assertEquals(response.stats, told);
}

Deno.test("streamText().response() returns what completeText() returns", async () => {
  const reply = { content: ["To", " be,\n", " or", " not"], reasoning: "Hm." };
  const fake = createFakeLMStudio({ models: [MODEL], replies: [reply, reply] });
  const lmstudio = new LMStudioProvider({ env: {}, fetch: fake.fetch });
  const request: TextCompletionRequest = { prompt: PROMPT, echo: true, maxTokens: 6 };
  const visible = ({ id: _, stats: __, raw: ___, ...rest }: TextCompletionResponse) => rest;
  const whole = await lmstudio.completeText(request);
  const streamed = await lmstudio.streamText(request).response();
  assertEquals(visible(streamed), visible(whole));
  assertEquals(whole.text, `${PROMPT}<think>\nHm.\n</think>\n\nTo be,\n`);
  assertEquals(whole.finishReason, "length");
});

Deno.test("streams: only the text, and as bytes", async () => {
  const body = fixture("streams/text/multibyte.sse");
  const chunks: string[] = [];
  for await (const text of streamOf(events(body)).textStream) chunks.push(text);
  assertEquals(chunks, ["Grüße, ", "世界! ", "👩‍🚀 naïve ☕"]);
  assertEquals(await new Response(streamOf(events(body)).toTextStream()).text(), chunks.join(""));
});

Deno.test("streams: nothing is sent until the first pull", async () => {
  await using server = serveStub({ [TEXT]: events([say("Hi"), FINISH]) });
  const lmstudio = connect(server, { model: MODEL });
  const unread = lmstudio.streamText(PROMPT);
  await lmstudio.streamText(PROMPT).cancel();
  lmstudio.streamText({ max_tokens: 5 } as unknown as TextCompletionRequest, 5 as CallOptions);
  await new Promise((resolve) => setTimeout(resolve, 5));
  assertEquals(server.requests.length, 0);
  assertEquals((await unread.response()).text, "Hi");
});

Deno.test("streams: break, cancel, abort and disposal stop the server", async (t) => {
  const leave: Record<string, (lmstudio: LMStudioProvider) => Promise<void>> = {
    break: async (lmstudio) => {
      for await (const { content } of lmstudio.streamText(PROMPT)) {
        assertEquals(content, "To");
        break;
      }
    },
    cancel: async (lmstudio) => {
      const stream = lmstudio.streamText(PROMPT);
      await stream[Symbol.asyncIterator]().next();
      await stream.cancel();
      const error = await failure(stream.response());
      assertInstanceOf(error, StreamError);
      assertEquals(error.partial, { content: "To", toolCalls: [] });
    },
    abort: async (lmstudio) => {
      const controller = new AbortController();
      const stream = lmstudio.streamText(PROMPT, { signal: controller.signal });
      const iterator = stream[Symbol.asyncIterator]();
      await iterator.next();
      const pending = failure(iterator.next());
      controller.abort("enough");
      assertEquals(await pending, "enough");
    },
    disposal: async (lmstudio) => {
      await using stream = lmstudio.streamText(PROMPT);
      await stream[Symbol.asyncIterator]().next();
    },
  };
  for (const [name, run] of Object.entries(leave)) {
    await t.step(name, async () => {
      await using server = serveStub({ [TEXT]: events([say("To")], "hang") });
      await run(connect(server, { model: MODEL }));
      await server.requests[0]?.left;
    });
  }
});

Deno.test("streams: one consumer", async () => {
  const stream = streamOf(events([say("Hi"), FINISH]));
  await readAll(stream);
  await assertRejects(
    () => stream[Symbol.asyncIterator]().next(),
    InvalidRequestError,
    "Cannot stream text: this stream already has a consumer",
  );
  assertEquals((await stream.response()).text, "Hi");
});

Deno.test("streams: after the finish reason it waits 2 s for usage, no longer", async () => {
  await inFakeTime(async (pass) => {
    const response = streamOf(events([say("To"), say(" be", "stop")], "hang")).response();
    let settled = false;
    response.then(() => settled = true);
    await pass(0);
    await pass(1999);
    assertEquals(settled, false);
    await pass(1);
    assertEquals([(await response).text, (await response).usage], ["To be", undefined]);
  });
});

Deno.test("streams: a cut connection keeps the partial answer, and nothing is retried", async () => {
  await using server = serveStub({ [TEXT]: events([say("To"), say(" be")], "break") });
  const lmstudio = connect(server, { model: MODEL, maxRetries: 2 });
  const { content, error } = await readAll(lmstudio.streamText(PROMPT));
  assertEquals(content, "To be");
  assertInstanceOf(error, NetworkError);
  assertEquals([error.code, error.partial], ["connection_reset", { content, toolCalls: [] }]);
  assertEquals(server.requests.length, 1);
});

Deno.test("streams: an empty stream, and one of something else", async () => {
  for (const body of [[], [": waiting\n\n"], [DONE], ["data: \n\n"]]) {
    const { error, chunks } = await readAll(streamOf(events(body)));
    assertInstanceOf(error, StreamError);
    assertEquals([error.code, error.partial, chunks], ["stream_truncated", undefined, []]);
  }
  for (const data of ["{", "5", "[DONE"]) {
    const { error } = await readAll(streamOf(events([say("To"), `data: ${data}\n\n`, FINISH])));
    assertInstanceOf(error, StreamError);
    assertEquals([error.code, error.partial?.content], ["malformed_stream", "To"]);
  }
  // Choices of another shape, or none, have no text, but do not break the stream.
  const odd = [{ choices: "x" }, { choices: [5, { index: 1, text: "no" }] }, { choices: [{}] }, {
    choices: [{ text: null }],
  }].map((frame) => `data: ${JSON.stringify(frame)}\n\n`);
  assertEquals((await streamOf(events([...odd, say("To"), FINISH])).response()).text, "To");
});

Deno.test("streams: JSON instead of a stream is read as the answer or as an error", async () => {
  const stream = streamOf(fixtureAnswer("answers/text.json"));
  const { chunks } = await readAll(stream);
  assertEquals(chunks.map(({ content }) => content), [
    " to find your purpose, and once you have",
    "",
  ]);
  assertEquals((await stream.response()).raw, JSON.parse(fixture("answers/text.json")));
  const { error } = await readAll(streamOf(fixtureAnswer("errors/no_models_string.json", 200)));
  assertInstanceOf(error, ModelNotAvailableError);
  assertEquals(error.code, "no_model_loaded");
  const unknown = await readAll(streamOf(json({ error: "Unexpected endpoint or method. (POST)" })));
  assertInstanceOf(unknown.error, ApiError);
  assertEquals(unknown.error.code, "unexpected_endpoint");
});

Deno.test("streams: a single error frame is that error, with its numbers", async () => {
  const { error } = await readAll(
    streamOf(events(fixture("streams/error_frame_llama_server.sse"))),
  );
  assertInstanceOf(error, InvalidRequestError);
  assertEquals([error.code, error.promptTokens, error.contextLength], [
    "context_overflow",
    20016,
    16384,
  ]);
});

Deno.test("streams: timeouts, and onStatus", async () => {
  const first = await failure(
    streamOf(events([": wait\n\n"], "hang"), { firstTokenTimeoutMs: 20 }).response(),
  );
  assertInstanceOf(first, TimeoutError);
  assertEquals([first.code, first.partial], ["timeout_first_token", undefined]);
  const idle = await failure(
    streamOf(events([say("To")], "hang"), { idleTimeoutMs: 20 }).response(),
  );
  assertInstanceOf(idle, TimeoutError);
  assertEquals([idle.code, idle.partial?.content], ["timeout_idle", "To"]);
  const phases: string[] = [];
  const onStatus: CallOptions["onStatus"] = ({ phase }) => void phases.push(phase);
  await streamOf(events([say(""), say("To"), FINISH]), { onStatus }).response();
  assertEquals(phases, ["waiting", "generating"]);
});

// --- Which model is chosen, and which may answer ----------------------------------------------

Deno.test("model: the request's, or the configured one, or the loaded LLM", async () => {
  await using server = serveStub({
    [V1]: fixtureAnswer("listings/v1.json"),
    [TEXT]: ({ body }) => json({ ...ANSWER, model: body.model }),
  });
  const configured = connect(server, { model: "configured" });
  assertEquals((await configured.completeText({ model: "x", prompt: PROMPT })).model, "x");
  assertEquals((await configured.completeText(PROMPT)).model, "configured");
  assertEquals(server.on(V1).length, 0);
  assertEquals((await connect(server).completeText(PROMPT)).model, "google/gemma-4-26b-a4b");
});

Deno.test("model: no loaded model is an error, whole and streamed", async () => {
  const fake = createFakeLMStudio({ models: [{ id: "a/one", loaded: false }] });
  const lmstudio = new LMStudioProvider({ env: {}, fetch: fake.fetch });
  for (
    const ask of [() => lmstudio.completeText("Hi"), () => lmstudio.streamText("Hi").response()]
  ) {
    const error = await assertRejects(ask, ModelNotAvailableError);
    assertEquals([error.code, error.available], ["no_model_loaded", ["a/one"]]);
  }
});

Deno.test("substitution: the error has the answer, or a stream's partial text", async () => {
  const fake = createFakeLMStudio({ models: ["a/one"], replies: () => "I am someone else." });
  const lmstudio = new LMStudioProvider({ env: {}, fetch: fake.fetch, model: "b/two" });
  const whole = await assertRejects(() => lmstudio.completeText("Hi"), ModelNotAvailableError);
  assertEquals([whole.code, whole.model, whole.available], [
    "model_substituted",
    "b/two",
    ["a/one"],
  ]);
  assertEquals((whole.response as TextCompletionResponse).text, "I am someone else.");
  assertEquals(whole.partial, { content: "I am someone else.", toolCalls: [] });
  assert(!JSON.stringify(whole).includes("someone"), "an answer is not for logs");

  const { error, chunks } = await readAll(lmstudio.streamText("Hi"));
  assertInstanceOf(error, ModelNotAvailableError);
  assertEquals([error.code, error.response, chunks], ["model_substituted", undefined, []]);
  assertStringIncludes(error.partial?.content ?? "", "I");
});

Deno.test("substitution: ignored or reported", async () => {
  const fake = createFakeLMStudio({ models: ["a/one"], replies: () => "Hi." });
  const given = { env: {}, fetch: fake.fetch, model: "b/two" };
  const ignoring = new LMStudioProvider({ ...given, onModelSubstituted: "ignore" });
  assertEquals((await ignoring.completeText("Hi")).model, "a/one");
  assertEquals((await ignoring.streamText("Hi").response()).text, "Hi.");
  const told: unknown[] = [];
  const telling = new LMStudioProvider({
    ...given,
    onModelSubstituted: (info) => void told.push(info),
  });
  const response = await telling.completeText("Hi");
  await telling.streamText("Hi").response();
  assertEquals(told, [
    { requested: "b/two", answered: "a/one", response },
    { requested: "b/two", answered: "a/one" },
  ]);
});
