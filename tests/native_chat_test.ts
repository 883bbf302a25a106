/**
 * LM Studio's own chat: what is refused, what is sent, every event of a stream whole and byte by byte, how
 * streams end, errors with their partial answer, progress, statistics, and continued conversations.
 */
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
} from "@std/assert";
import { assertType, type IsExact } from "@std/testing/types";
import {
  type AnyProviderError,
  ApiError,
  AuthenticationError,
  type CallOptions,
  type CallStatus,
  type ChatEvent,
  type ChatOutputItem,
  type ChatRequest,
  type ChatResponse,
  type ChatUnknownKind,
  type EventStream,
  InvalidRequestError,
  isProviderError,
  LMStudioProvider,
  type LMStudioProviderOptions,
  ModelNotAvailableError,
  ParseError,
  type PartialAnswer,
  StreamError,
  TimeoutError,
} from "../mod.ts";
import { createFakeLMStudio, type FakeLMStudioOptions } from "../src/testing/mod.ts";
import { inFakeTime, Puppet } from "./support/puppet.ts";
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

const CHAT = "POST /api/v1/chat";
const MODEL = "openai/gpt-oss-20b";
const PNG = new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 1, 2]);

function connect(server: StubServer, options: LMStudioProviderOptions = {}): LMStudioProvider {
  return new LMStudioProvider({ baseUrl: server.url, env: {}, model: MODEL, ...options });
}

/** A provider whose server sends exactly this. */
function answering(answer: StubAnswer, options: LMStudioProviderOptions = {}): LMStudioProvider {
  return new LMStudioProvider({ env: {}, fetch: fetchOf(answer), model: MODEL, ...options });
}

function onFake(options: FakeLMStudioOptions = {}) {
  const fake = createFakeLMStudio(options);
  const provider = new LMStudioProvider({ env: {}, fetch: fake.fetch });
  return { ...fake, provider, chat: provider.chat };
}

type Stream = EventStream<ChatEvent, ChatResponse>;

function streamOf(answer: StubAnswer, options?: CallOptions, request?: ChatRequest): Stream {
  return answering(answer).chat.stream(request ?? { input: "Hi" }, options);
}

function event(type: string, fields: object = {}): string {
  return `event: ${type}\ndata: ${JSON.stringify({ type, ...fields })}\n\n`;
}

const say = (content: string): string => event("message.delta", { content });
const START = event("chat.start", { model_instance_id: MODEL });

function end(content: string, more: object = {}): string {
  const output = content === "" ? [] : [{ type: "message", content }];
  return event("chat.end", { result: { model_instance_id: MODEL, output, ...more } });
}

/** The answer that an error carries. */
function answerOf(error: AnyProviderError): ChatResponse | undefined {
  if (error.kind !== "api" && error.kind !== "invalid-request") return undefined;
  return error.response as ChatResponse | undefined;
}

interface Seen {
  events: ChatEvent[];
  types: string[];
  error?: unknown;
}

async function readAll(stream: AsyncIterable<ChatEvent>): Promise<Seen> {
  const seen: Seen = { events: [], types: [] };
  try {
    for await (const event of stream) {
      seen.events.push(event);
      seen.types.push(event.type);
    }
  } catch (error) {
    seen.error = error;
  }
  return seen;
}

async function failure(promise: Promise<unknown>): Promise<AnyProviderError> {
  const error = await promise.then(() => assert(false, "it did not reject"), (error) => error);
  assert(isProviderError(error), String(error));
  return error;
}

// --- What is refused --------------------------------------------------------------------------

const SERVER = { type: "ephemeral_mcp", serverLabel: "hf", serverUrl: "https://hf.co/mcp" };
const REFUSED: [request: unknown, says: string][] = [
  [undefined, "the request is undefined, not an object with `input`"],
  ["my secret prompt", "the request is a string, not an object with `input`"],
  [{}, "input is undefined, not a string or an array of parts"],
  [{ input: "" }, "input cannot be empty"],
  [{ input: [] }, "input cannot be empty"],
  [{ input: ["Hi"] }, "input[0] is a string, not an object"],
  [{ input: [{ type: "message", content: "Hi" }] }, 'input[0].type is "message", not "text"'],
  [{ input: [{ type: "text", text: "Hi" }] }, 'input[0] has an unknown field "text"'],
  [{ input: [{ type: "text" }] }, "input[0].content is undefined, not a string"],
  [{ input: [{ type: "text", content: "" }] }, "input[0].content cannot be empty"],
  [{ input: [{ type: "image", image: 7 }] }, "input[0].image is 7, not bytes"],
  [{ input: [{ type: "image", image: new Uint8Array([1, 2]) }] }, "not PNG or JPEG"],
  [{ input: "Hi", stream: true }, 'unknown field "stream" (use chat.stream() to stream)'],
  [
    { input: "Hi", messages: [] },
    'unknown field "messages" (pass the user\'s message as `input`',
  ],
  [{ input: "Hi", tools: [] }, 'unknown field "tools" (tools come from `integrations`'],
  [{ input: "Hi", max_output_tokens: 5 }, '"max_output_tokens" (did you mean "maxTokens"?)'],
  [{ input: "Hi", previous_response_id: "x" }, '(did you mean "previousResponseId"?)'],
  [{ input: "Hi", previousResponseId: "" }, "previousResponseId cannot be empty"],
  [{ input: "Hi", systemPrompt: 7 }, "systemPrompt is 7, not a string"],
  [{ input: "Hi", store: "no" }, 'store is "no", not true or false'],
  [{ input: "Hi", model: " " }, "model cannot be empty"],
  [{ input: "Hi", contextLength: 0 }, "contextLength is 0, not a whole number above 0"],
  [{ input: "Hi", reasoning: "none" }, 'reasoning is "none", not "off", "low"'],
  [{ input: "Hi", temperature: NaN }, "temperature is NaN"],
  [{ input: "Hi", minP: 2 }, "minP is 2, not a number from 0 to 1"],
  [{ input: "Hi", maxTokens: 0 }, "maxTokens is 0, not a whole number above 0, or -1"],
  [{ input: "Hi", integrations: "mcp/x" }, 'integrations is "mcp/x", not an array'],
  [{ input: "Hi", integrations: [""] }, "integrations[0] cannot be empty"],
  [{ input: "Hi", integrations: [null] }, "integrations[0] is null, not a plugin id"],
  [{ input: "Hi", integrations: [{ type: "mcp" }] }, 'integrations[0].type is "mcp", not "plugin"'],
  [
    { input: "Hi", integrations: [{ type: "plugin" }] },
    "integrations[0].id is undefined, not a string",
  ],
  [
    { input: "Hi", integrations: [{ type: "plugin", id: "x", headers: {} }] },
    'integrations[0] has an unknown field "headers"',
  ],
  [
    { input: "Hi", integrations: [{ ...SERVER, allowed_tools: [] }] },
    '(did you mean "allowedTools"?)',
  ],
  [
    { input: "Hi", integrations: [{ ...SERVER, allowedTools: "all" }] },
    "integrations[0].allowedTools is not an array of tool names",
  ],
  [
    { input: "Hi", integrations: [{ ...SERVER, serverLabel: "" }] },
    "integrations[0].serverLabel cannot be empty",
  ],
  [
    { input: "Hi", integrations: [{ ...SERVER, serverUrl: "file:///mcp?key=sesame" }] },
    "integrations[0].serverUrl is not an http or https URL",
  ],
  [
    { input: "Hi", integrations: [{ ...SERVER, headers: { Authorization: "Bearer sesame\n" } }] },
    'integrations[0].headers has a value for "Authorization" that is not valid in a header',
  ],
];

for (const [request, says] of REFUSED) {
  Deno.test(`refused, and nothing is sent: ${says}`, async () => {
    const { chat, requests } = onFake();
    const given = request as ChatRequest;
    const error = await failure(chat.send(given));
    assertInstanceOf(error, InvalidRequestError);
    assertStringIncludes(error.message, `Cannot chat: `);
    assertStringIncludes(error.message, says);
    assert(!/secret|sesame/.test(error.message));
    const streamed = await failure(chat.stream(given).response());
    assertEquals(streamed.message, error.message.replace("Cannot chat", "Cannot stream a chat"));
    assertEquals(requests.length, 0);
  });
}

Deno.test("refused: unknown options, and a signal that is not one", async () => {
  const { chat, requests } = onFake();
  const options = { timeout: 5 } as CallOptions;
  assertStringIncludes((await failure(chat.send({ input: "Hi" }, options))).message, "timeoutMs");
  const noSignal = { signal: {} } as unknown as CallOptions;
  const stream = chat.stream({ input: "Hi" }, noSignal);
  assertStringIncludes((await failure(stream.response())).message, "not an AbortSignal");
  assertEquals(requests.length, 0);
});

// --- What is sent -----------------------------------------------------------------------------

Deno.test("sent: every field under its documented name, and no other", async () => {
  await using server = serveStub({ [CHAT]: fixtureAnswer("answers/native_chat.json") });
  await connect(server).chat.send({
    input: "Hi",
    systemPrompt: "Be brief.",
    previousResponseId: "resp_1",
    store: false,
    integrations: [
      "mcp/playwright",
      { type: "plugin", id: "mcp/files", allowedTools: ["read_file"] },
      {
        type: "ephemeral_mcp",
        serverLabel: "hf",
        serverUrl: "https://hf.co/mcp",
        allowedTools: ["model_search"],
        headers: { "X-My_key": "a_b" },
      },
    ],
    contextLength: 8000,
    reasoning: "on",
    temperature: 0,
    topP: 0.9,
    topK: 40,
    minP: 0.05,
    repeatPenalty: 1.1,
    maxTokens: 100,
  });
  assertEquals(server.requests[0]?.body, {
    model: MODEL,
    input: "Hi",
    system_prompt: "Be brief.",
    previous_response_id: "resp_1",
    store: false,
    integrations: [
      "mcp/playwright",
      { type: "plugin", id: "mcp/files", allowed_tools: ["read_file"] },
      {
        type: "ephemeral_mcp",
        server_label: "hf",
        server_url: "https://hf.co/mcp",
        allowed_tools: ["model_search"],
        headers: { "X-My_key": "a_b" },
      },
    ],
    context_length: 8000,
    reasoning: "on",
    temperature: 0,
    top_p: 0.9,
    top_k: 40,
    min_p: 0.05,
    repeat_penalty: 1.1,
    max_output_tokens: 100,
  });
});

Deno.test("sent: maxTokens -1 and undefined fields are left out; a stream is requested", async () => {
  await using server = serveStub({ [CHAT]: events(START + end("Hi.")) });
  const request = { input: "Hi", maxTokens: -1, store: undefined, integrations: undefined };
  await connect(server).chat.stream(request).response();
  assertEquals(server.requests[0]?.body, { model: MODEL, input: "Hi", stream: true });
});

Deno.test("sent: mere texts as one text, with images as parts", async () => {
  await using server = serveStub({ [CHAT]: fixtureAnswer("answers/native_chat.json") });
  const { chat } = connect(server);
  const texts = [{ type: "text", content: "One." }, { type: "text", content: "Two." }] as const;
  await chat.send({ input: texts });
  await chat.send({ input: [texts[0], { type: "image", image: PNG }] });
  assertEquals(server.requests.map(({ body }) => body.input), [
    "One.\n\nTwo.",
    [
      { type: "text", content: "One." },
      { type: "image", data_url: "data:image/png;base64,iVBORw0KGgoBAg==" },
    ],
  ]);
});

Deno.test("sent: without a model name the loaded one is used, and nothing is loaded", async () => {
  const { chat, requests } = onFake();
  const { modelInstanceId } = await chat.send({ input: "Hi" });
  assertEquals(modelInstanceId, "google/gemma-4-26b-a4b");
  assertEquals(requests.map(({ path }) => path), ["/api/v1/models", "/api/v1/chat"]);
  const none = onFake({ models: [{ id: "a/b", loaded: false }] });
  assertEquals((await failure(none.chat.send({ input: "Hi" }))).code, "no_model_loaded");
  assertEquals(
    (await failure(none.chat.stream({ input: "Hi" }).response())).code,
    "no_model_loaded",
  );
});

// --- Whole answers ----------------------------------------------------------------------------

Deno.test("send: the documented answer, in camelCase", async () => {
  const answer = await answering(fixtureAnswer("answers/native_chat.json")).chat.send({
    input: "Hi",
  });
  const { raw, ...rest } = answer;
  assertEquals(rest, {
    responseId: "resp_4ef013eba0def1ed23f19dde72b67974c579113f544086de",
    modelInstanceId: "ibm/granite-4-micro",
    content: "...\n\n**Top Trending Model on Hugging Face** ... Below is a quick snapshot of " +
      "what’s on the landing page ... more details on the model or LM Studio itself!",
    output: [
      {
        type: "tool_call",
        tool: "model_search",
        arguments: { sort: "trendingScore", query: "", limit: 1 },
        output: "...",
        providerInfo: { serverLabel: "huggingface", type: "ephemeral_mcp" },
      },
      { type: "message", content: "..." },
      {
        type: "tool_call",
        tool: "browser_navigate",
        arguments: { url: "https://lmstudio.ai" },
        output: "...",
        providerInfo: { pluginId: "mcp/playwright", type: "plugin" },
      },
      { type: "message", content: answer.content.slice(5) },
    ],
    usage: { promptTokens: 646, completionTokens: 586, totalTokens: 1232, reasoningTokens: 0 },
    stats: {
      tokensPerSecond: 29.753900615398926,
      timeToFirstTokenMs: 1088,
      modelLoadMs: 2656,
      source: "server",
    },
  });
  assertEquals((raw as { response_id: string }).response_id, rest.responseId);
});

Deno.test("send: stats are measured if the server has none", async () => {
  const answer = await answering(fixtureAnswer("answers/native_chat_no_stats.json")).chat.send({
    input: "Hi",
  });
  assertEquals(answer.stats.source, "measured");
  assert((answer.stats.generationMs ?? -1) >= 0);
  assertEquals("usage" in answer, false);
  const counted = json({
    output: [],
    stats: { input_tokens: 3, total_output_tokens: 4, tokens_per_second: null },
  });
  const { stats, usage, modelInstanceId, content } = await answering(counted).chat.send({
    input: "Hi",
  });
  assertEquals([stats.source, modelInstanceId, content], ["measured", MODEL, ""]);
  assertEquals(usage, { promptTokens: 3, completionTokens: 4, totalTokens: 7 });
});

Deno.test("send: odd items keep the fields their type declares, and unknown ones are passed on", async () => {
  const deep = JSON.parse(`${"[".repeat(5000)}${"]".repeat(5000)}`);
  const output = [
    { type: "message", content: null },
    { type: "message" },
    { type: "reasoning", content: "Hm." },
    { type: "tool_call", tool: "t", arguments: { a_b: { c_d: 1 } }, output: { x: 1 } },
    { type: "tool_call", arguments: "{}", provider_info: null },
    { type: "invalid_tool_call", metadata: { tool_name: "x" } },
    { type: "constructor", some_list: [{ an_item: { two_words: 1 } }], _x: 1 },
    { type: "deep", deep },
  ];
  const text = `{"__proto__":{"polluted":1},"output":${JSON.stringify(output)}}`;
  const answer = await answering({ body: text }).chat.send({ input: "Hi" });
  assertEquals(answer.output.slice(0, 7) as unknown[], [
    { type: "message", content: "" },
    { type: "message", content: "" },
    { type: "reasoning", content: "Hm." },
    { type: "tool_call", tool: "t", arguments: { a_b: { c_d: 1 } }, output: '{"x":1}' },
    { type: "tool_call", tool: "", arguments: {}, output: "" },
    { type: "invalid_tool_call", reason: "", metadata: { type: "", toolName: "x" } },
    { type: "constructor", someList: [{ anItem: { twoWords: 1 } }], _x: 1 },
  ]);
  assertEquals([answer.content, answer.reasoning], ["", "Hm."]);
  assertEquals(({} as Record<string, unknown>).polluted, undefined);
});

for (const body of ["{}", "[]", "null", '"Hi"', '{"output":{}}', '{"output":[7]}']) {
  Deno.test(`send: ${body} is not an answer`, async () => {
    const error = await failure(answering({ body }).chat.send({ input: "Hi" }));
    assertInstanceOf(error, ParseError);
    assertStringIncludes(
      error.message,
      `Cannot chat with model "${MODEL}": the answer has no output`,
    );
    assert((error.issues?.length ?? 0) > 0);
    const streamed = await readAll(streamOf({ body }));
    assert(isProviderError(streamed.error), String(streamed.error));
    assert(["stream", "parse"].includes(streamed.error.kind), streamed.error.kind);
  });
}

// --- The fixtures -----------------------------------------------------------------------------

interface Expected {
  content?: string;
  reasoning?: string;
  tools?: string[];
  error?: { code: string; partial?: PartialAnswer; content?: string; hasEnd?: true };
}

const SEARCH = {
  id: "call_0",
  name: "model_search",
  arguments: '{"sort":"trendingScore","limit":1}',
};
const STREAMS: Record<string, Expected> = {
  "native_message.sse": { content: "The current  top‑trending 👩‍🚀 model is..." },
  "native_model_load.sse": { content: "Loaded." },
  "native_reasoning.sse": { content: "Done.", reasoning: "Need to call function." },
  "native_tool_call.sse": { content: "It is there.", tools: ["model_search"] },
  "native_tool_failure.sse": { content: "I cannot." },
  "native_conversation.sse": {
    content: "Let me look.\n\nHere is  the page: **DeepSeek-OCR** ☕",
    reasoning: "Need to search.\n\nWe need to navigate.",
    tools: ["model_search", "browser_navigate"],
  },
  "native_unknown_kind.sse": { content: "Here." },
  "native_error_end.sse": {
    error: {
      code: "server_error",
      partial: { content: "Let me", toolCalls: [] },
      content: "Let me",
      hasEnd: true,
    },
  },
  "native_error_only.sse": { error: { code: "invalid_request" } },
  "native_load_failed.sse": { error: { code: "model_load_failed", hasEnd: true } },
  "native_grammar.sse": { error: { code: "stream_truncated" } },
  "native_truncated.sse": {
    error: {
      code: "stream_truncated",
      partial: { content: "The curr", reasoning: "Need to", toolCalls: [SEARCH] },
    },
  },
};

Deno.test("fixtures: every stream has an expectation, and every kind of event is in one", () => {
  const names = fixtureNames("streams", ".sse").filter((name) => name.startsWith("native_"));
  assertEquals(Object.keys(STREAMS).sort(), names);
  const text = names.map((name) => fixture(`streams/${name}`)).join("");
  const missing = KINDS.filter((kind) => !text.includes(`event: ${kind}\n`));
  assertEquals(missing, []);
});

const KINDS: ChatEvent["type"][] = [
  "chat.start",
  "model_load.start",
  "model_load.progress",
  "model_load.end",
  "prompt_processing.start",
  "prompt_processing.progress",
  "prompt_processing.end",
  "reasoning.start",
  "reasoning.delta",
  "reasoning.end",
  "tool_call.start",
  "tool_call.arguments",
  "tool_call.success",
  "tool_call.failure",
  "message.start",
  "message.delta",
  "message.end",
  "error",
  "chat.end",
];

for (const [name, expected] of Object.entries(STREAMS)) {
  const text = fixture(`streams/${name}`);
  for (const size of [Infinity, 1, 7]) {
    const how = size === Infinity ? "whole" : `in chunks of ${size} B`;
    Deno.test(`fixtures: ${name}, ${how}`, async () => {
      const body = size === Infinity ? text : cut(text, size);
      const stream = streamOf(events(body));
      const seen = await readAll(stream);
      const types = [...text.matchAll(/^event: (.*)$/gm)].map(([, type]) => type);
      assertEquals(seen.types, types);
      if (expected.error === undefined) await checkAnswer(stream, seen, expected);
      else await checkFailure(stream, seen, expected.error);
    });
  }
}

async function checkAnswer(stream: Stream, seen: Seen, expected: Expected): Promise<void> {
  assertEquals(seen.error, undefined);
  const last = seen.events.at(-1);
  assert(last?.type === "chat.end");
  const answer = await stream.response();
  assertStrictEquals(last.result, answer);
  const { content = "", reasoning, tools = [] } = expected;
  assertEquals([answer.content, answer.reasoning], [content, reasoning]);
  const ran = answer.output.flatMap((item) => item.type === "tool_call" ? [item.tool] : []);
  assertEquals(ran, tools);
  const texts = (type: "message.delta" | "reasoning.delta") =>
    seen.events.map((event) => event.type === type ? event.content : "").join("");
  assertEquals(texts("message.delta"), content.replaceAll("\n\n", ""));
  assertEquals(texts("reasoning.delta"), (reasoning ?? "").replaceAll("\n\n", ""));
}

async function checkFailure(
  stream: Stream,
  { error, types }: Seen,
  expected: NonNullable<Expected["error"]>,
): Promise<void> {
  assert(isProviderError(error), String(error));
  assertEquals([error.code, error.partial], [expected.code, expected.partial]);
  assertStringIncludes(error.message, `Cannot stream a chat with model "${MODEL}": `);
  assertEquals(answerOf(error)?.content, expected.content);
  assertEquals(types.includes("chat.end"), expected.hasEnd === true);
  assertStrictEquals(await failure(stream.response()), error);
}

Deno.test("events: all fields, in camelCase but below arguments", async () => {
  const { events: all } = await readAll(
    streamOf(events(fixture("streams/native_conversation.sse"))),
  );
  const playwright = { type: "plugin", pluginId: "mcp/playwright" };
  const navigate = {
    tool: "browser_navigate",
    arguments: {
      url: "https://hf.co/deepseek-ai/DeepSeek-OCR",
      wait_until: { net_idle: true },
    },
    providerInfo: playwright,
  };
  const first = (type: string) => all.find((event) => event.type === type);
  const last = (type: string) => all.findLast((event) => event.type === type);
  const load = { modelInstanceId: MODEL };
  assertEquals(first("chat.start"), { type: "chat.start", ...load });
  assertEquals(first("model_load.start"), { type: "model_load.start", ...load });
  assertEquals(first("model_load.progress"), {
    type: "model_load.progress",
    ...load,
    progress: 0.65,
  });
  assertEquals(first("model_load.end"), {
    type: "model_load.end",
    ...load,
    loadTimeSeconds: 12.34,
  });
  assertEquals(first("prompt_processing.progress"), {
    type: "prompt_processing.progress",
    progress: 0.5,
  });
  assertEquals(last("tool_call.start"), {
    type: "tool_call.start",
    tool: "browser_navigate",
    providerInfo: playwright,
  });
  assertEquals(last("tool_call.arguments"), {
    type: "tool_call.arguments",
    ...navigate,
  } as ChatEvent);
  assertEquals(last("tool_call.success"), {
    type: "tool_call.success",
    ...navigate,
    output: "<PLAYWRIGHT_OUTPUT>",
  } as ChatEvent);
  assertEquals(last("tool_call.failure"), {
    type: "tool_call.failure",
    reason: "Cannot find tool with name open_browser.",
    metadata: { type: "invalid_name", toolName: "open_browser" },
  });
  const final = last("chat.end");
  assert(final?.type === "chat.end");
  assertEquals(final.result.output.at(-2), {
    type: "invalid_tool_call",
    reason: "Cannot find tool with name open_browser.",
    metadata: { type: "invalid_name", toolName: "open_browser" },
  });
  assertEquals(final.result.stats, {
    tokensPerSecond: 43.73,
    timeToFirstTokenMs: 781,
    modelLoadMs: 12_340,
    source: "server",
  });
  assertEquals(final.result.usage, {
    promptTokens: 329,
    completionTokens: 268,
    totalTokens: 597,
    reasoningTokens: 5,
  });
});

Deno.test("events: unknown kinds are passed on in camelCase, and break nothing", async () => {
  const stream = streamOf(events(fixture("streams/native_unknown_kind.sse")));
  const { events: all, error } = await readAll(stream);
  assertEquals(error, undefined);
  assertEquals(all[1] as unknown, {
    type: "source.found",
    sourceUrl: "https://hf.co",
    pageInfo: { pageNumber: 2 },
  });
  const { output, stats } = await stream.response();
  assertEquals(output[0] as unknown, {
    type: "source",
    sourceUrl: "https://hf.co",
    pageInfo: { pageNumber: 2 },
  });
  // Token counts are not statistics.
  assertEquals(stats.source, "measured");
  assert((stats.timeToFirstTokenMs ?? -1) >= 0);
});

Deno.test("events: odd ones keep the fields their type declares", async () => {
  const { events: all, error } = await readAll(streamOf(events([
    event("chat.start"),
    event("model_load.progress", { progress: "most" }),
    event("message.delta"),
    event("message.delta", { content: null }),
    event("tool_call.success", { tool: 7, output: ["x"], provider_info: null }),
    event("tool_call.failure"),
    // Without `type` in the data, the event's name is the type.
    'event: message.delta\ndata: {"content":"Hi."}\n\n',
    "data:\n\n: comment\n\n",
    end("Hi."),
  ])));
  assertEquals(error, undefined);
  assertEquals(all.slice(0, -1), [
    { type: "chat.start", modelInstanceId: "" },
    { type: "model_load.progress", modelInstanceId: "", progress: 0 },
    { type: "message.delta", content: "" },
    { type: "message.delta", content: "" },
    { type: "tool_call.success", tool: "7", arguments: {}, output: '["x"]' },
    { type: "tool_call.failure", reason: "", metadata: { type: "", toolName: "" } },
    { content: "Hi.", type: "message.delta" },
  ]);
});

Deno.test("events: values that are not numbers, and a type that is not text", async () => {
  const told: unknown[] = [];
  const onStatus = ({ progress }: CallStatus) => {
    if (progress !== undefined) told.push(progress);
  };
  const raw = (data: string, name = ""): string =>
    `${name === "" ? "" : `event: ${name}\n`}data: ${data}\n\n`;
  const ending =
    `{"type":"chat.end","result":{"model_instance_id":"m","output":[{"type":"message",` +
    `"content":"Hi.","score":1e999}],"stats":{"input_tokens":1e999,"total_output_tokens":1e308,` +
    `"tokens_per_second":1e999,"time_to_first_token_seconds":1e308}}}`;
  const stream = streamOf(
    events([
      raw('{"type":"model_load.progress","progress":1e999}'),
      raw('{"type":"model_load.progress","progress":-7}'),
      raw('{"type":"prompt_processing.progress","progress":-1e999}'),
      raw('{"type":"prompt_processing.progress","progress":3}'),
      raw('{"type":"model_load.end","load_time_seconds":1e308}'),
      raw('{"type":"later.kind","some_number":1e999,"list_of":[1e999,2]}'),
      raw('{"type":["message.delta"],"content":"Hi."}', "message.delta"),
      raw(ending),
    ]),
    { onStatus },
  );
  const { events: all, error } = await readAll(stream);
  assertEquals(error, undefined);
  assertEquals(all.slice(0, -1) as unknown[], [
    { type: "model_load.progress", modelInstanceId: "", progress: 0 },
    { type: "model_load.progress", modelInstanceId: "", progress: 0 },
    { type: "prompt_processing.progress", progress: 0 },
    { type: "prompt_processing.progress", progress: 1 },
    { type: "model_load.end", modelInstanceId: "", loadTimeSeconds: 1e308 },
    { type: "later.kind", someNumber: undefined, listOf: [undefined, 2] },
    { type: "message.delta", content: "Hi." },
  ]);
  assertEquals(told, [0, 0, 0, 1]);
  const { stats, usage, output } = await stream.response();
  assertEquals([stats.source, stats.modelLoadMs, usage], ["measured", undefined, undefined]);
  assertEquals(output[0] as unknown, { type: "message", content: "Hi.", score: undefined });
  const { error: nameless } = await readAll(streamOf(events([
    raw('{"type":["message.delta"],"content":"Hi."}'),
  ])));
  assertInstanceOf(nameless, StreamError);
  assertEquals(nameless.code, "malformed_stream");
});

Deno.test("events: a tool call starts with its name, and is silent while it is written", async () => {
  const told: string[] = [];
  const { chat } = onFake({
    streamCalls: "whole",
    tokenMs: 1,
    replies: [{
      content: "Done.",
      toolRuns: [{ tool: "write_file", arguments: { text: "a b c" }, output: "ok" }],
    }],
  });
  const onStatus = ({ phase }: CallStatus) => void told.push(phase);
  const stream = chat.stream({ input: "Write.", integrations: ["mcp/files"] }, { onStatus });
  const { types, error } = await readAll(stream);
  assertEquals(error, undefined);
  assertEquals(types.filter((type) => type.startsWith("tool_call.")), [
    "tool_call.start",
    "tool_call.name",
    "tool_call.arguments",
    "tool_call.success",
  ]);
  assertEquals(told.at(-1), "generating");
  // If only the name shows that a tool call has started, the name counts as its first token.
  const body = events([event("tool_call.name", { tool: "look" })], "hang");
  const silent = await failure(streamOf(body, { idleTimeoutMs: 20 }).response());
  assertEquals(silent.code, "timeout_idle");
});

Deno.test("types: a switch narrows the known kinds; the rest is ChatUnknownKind", () => {
  const read = (event: ChatEvent): string => {
    switch (event.type) {
      case "message.delta":
        return event.content;
      case "tool_call.failure":
        return event.metadata.toolName;
      case "chat.end":
        return event.result.content;
      default:
        return event.type;
    }
  };
  const readItem = (item: ChatOutputItem): unknown => {
    switch (item.type) {
      case "message":
      case "reasoning":
        return item.content;
      case "tool_call":
        return item.output;
      case "invalid_tool_call":
        return item.reason;
      default: {
        const other: ChatUnknownKind = item;
        return other.anything;
      }
    }
  };
  assertEquals(read({ type: "message.delta", content: "Hi." }), "Hi.");
  assertEquals(readItem({ type: "tool_call", tool: "t", arguments: {}, output: "o" }), "o");
  assertType<
    IsExact<ChatRequest["reasoning"], "off" | "low" | "medium" | "high" | "on" | undefined>
  >(
    true,
  );
});

// --- The end of a stream ----------------------------------------------------------------------

Deno.test("end: a socket left open after chat.end delays nothing, and is closed", async () => {
  await using server = serveStub({ [CHAT]: events([START, say("Hi."), end("Hi.")], "hang") });
  const stream = connect(server).chat.stream({ input: "Hi" });
  const { types } = await readAll(stream);
  assertEquals(types, ["chat.start", "message.delta", "chat.end"]);
  assertEquals((await stream.response()).content, "Hi.");
  await server.requests[0]?.left;
  const { chat, requests } = onFake({ faults: [{ fault: { type: "stall", at: "end" }, skip: 1 }] });
  await chat.stream({ input: "Hi" }).response();
  assertEquals(requests.at(-1)?.aborted, true);
});

Deno.test("end: nothing after chat.end is read", async () => {
  const { types, error } = await readAll(
    streamOf(
      events(START + end("Hi.") + event("error", { error: { message: "Late" } }) + "data: {"),
    ),
  );
  assertEquals([types, error], [["chat.start", "chat.end"], undefined]);
});

Deno.test("end: leaving at chat.end does not cancel", async () => {
  const stream = streamOf(events([START, end("Hi.")], "hang"));
  for await (const { type } of stream) if (type === "chat.end") break;
  assertEquals((await stream.response()).content, "Hi.");
});

Deno.test("end: chat.end counts without the blank line after it, but not if incomplete", async () => {
  const whole = START + end("Hi.").trimEnd();
  assertEquals((await streamOf(events(whole)).response()).content, "Hi.");
  const { error } = await readAll(streamOf(events(whole.slice(0, -1))));
  assertInstanceOf(error, StreamError);
  assertEquals(error.code, "stream_truncated");
});

const BROKEN: [what: string, body: string, code: string, says: string][] = [
  ["nothing at all", "", "stream_truncated", "the stream was empty"],
  ["a comment", ": ping\n\n", "stream_truncated", "the stream was empty"],
  ["[DONE]", START + say("Hi") + "data: [DONE]\n\n", "stream_truncated", "before its `chat.end`"],
  ["no JSON", START + say("Hi") + "data: {\n\n", "malformed_stream", "an event that is not JSON"],
  ["no object", START + say("Hi") + "data: [1]\n\n", "malformed_stream", "that is not an object"],
  ["no type", START + say("Hi") + 'data: {"a":1}\n\n', "malformed_stream", "without a type"],
  ["no result", START + say("Hi") + event("chat.end"), "malformed_stream", "without an answer"],
];
for (const [what, body, code, says] of BROKEN) {
  Deno.test(`broken: ${what}`, async () => {
    const { error } = await readAll(streamOf(events(body)));
    assertInstanceOf(error, StreamError);
    assertEquals(error.code, code);
    assertStringIncludes(error.message, says);
    const hasText = body.includes("message.delta");
    assertEquals(error.partial, hasText ? { content: "Hi", toolCalls: [] } : undefined);
  });
}

Deno.test("broken: a connection that breaks, and one that goes silent", async () => {
  await using server = serveStub({ [CHAT]: events([START, say("Hi")], "break") });
  const error = await failure(connect(server).chat.stream({ input: "Hi" }).response());
  assertEquals([error.code, error.partial?.content], ["connection_reset", "Hi"]);
  assertStringIncludes(error.hint, "may have run");
  await inFakeTime(async (pass) => {
    const puppet = new Puppet();
    const { chat } = new LMStudioProvider({ env: {}, fetch: puppet.fetch, model: MODEL });
    const silent = failure(chat.stream({ input: "Hi" }, { idleTimeoutMs: 1000 }).response());
    await pass(0);
    puppet.last.respond(200, { "content-type": "text/event-stream" });
    puppet.last.send(START + say("Hi"));
    await pass(0);
    await pass(1001);
    await pass(1);
    const error = await silent;
    assertInstanceOf(error, TimeoutError);
    assertEquals([error.phase, error.partial?.content], ["idle", "Hi"]);
    assert(puppet.last.isCancelled);
  });
});

Deno.test("first token: progress does not end the wait, a tool call does", async () => {
  const TOOL = event("tool_call.start", { tool: "t" });
  for (
    const [second, phase] of [[event("message.start"), "first-token"], [TOOL, "idle"]] as const
  ) {
    await inFakeTime(async (pass) => {
      const puppet = new Puppet();
      const { chat } = new LMStudioProvider({ env: {}, fetch: puppet.fetch, model: MODEL });
      const options = { firstTokenTimeoutMs: 1000, idleTimeoutMs: 5000 };
      const settled = failure(chat.stream({ input: "Hi" }, options).response());
      await pass(0);
      puppet.last.respond(200, { "content-type": "text/event-stream" });
      puppet.last.send(START + event("model_load.progress", { progress: 0.1 }));
      await pass(600);
      puppet.last.send(event("model_load.progress", { progress: 0.2 }) + second);
      await pass(0);
      await pass(phase === "idle" ? 4999 : 399);
      assertEquals(puppet.last.isCancelled, false);
      await pass(2);
      await pass(1);
      const error = await settled;
      assertInstanceOf(error, TimeoutError);
      assertEquals(error.phase, phase);
    });
  }
});

Deno.test("broken: cut after or within any event, it is an error with the partial answer", async () => {
  const text = fixture("streams/native_conversation.sse");
  const ends = [...text.matchAll(/\n\n/g)].map(({ index }) => index + 2).slice(0, -1);
  const whole = await streamOf(events(text)).response();
  for (const end of ends.flatMap((end) => [end, end + 9, end + 30])) {
    const seen = await readAll(streamOf(events(text.slice(0, end))));
    assertInstanceOf(seen.error, StreamError);
    assertEquals(seen.error.code, "stream_truncated");
    const { content = "", reasoning = "", toolCalls = [] } = seen.error.partial ?? {};
    assert(whole.content.startsWith(content) && whole.reasoning?.startsWith(reasoning));
    const came = (type: string) => seen.types.filter((other) => other === type).length;
    assertEquals(toolCalls.length, came("tool_call.start"));
    assertEquals(content !== "", came("message.delta") > 0);
  }
});

Deno.test("leaving: an abort at any event is thrown, and closes the connection", async () => {
  const chunks = fixture("streams/native_conversation.sse").split(/(?<=\n\n)/);
  for (let count = 1; count < chunks.length; count++) {
    const controller = new AbortController();
    const reason = new Error(`after ${count}`);
    let given = 0;
    const answer = events(chunks.slice(0, count), "hang");
    const { chat } = answering(answer);
    const stream = chat.stream({ input: "Hi" }, { signal: controller.signal });
    const error = await assertRejects(async () => {
      for await (const _ of stream) if (++given === count) controller.abort(reason);
    });
    assertStrictEquals(error, reason);
    assertEquals(given, count);
  }
});

// --- Errors of the server ---------------------------------------------------------------------

const SAID: [type: string, code: string][] = [
  ["mcp_connection_error", "server_error"],
  ["plugin_connection_error", "server_error"],
  ["internal_error", "server_error"],
  ["unknown", "server_error"],
  ["not_implemented", "unsupported_by_server"],
  ["job_not_found", "job_not_found"],
  ["model_not_found", "model_not_found"],
  ["model_load_failed", "model_load_failed"],
  ["invalid_request", "invalid_request"],
];
for (const [type, code] of SAID) {
  Deno.test(`error event: ${type} is ${code}, thrown with the answer that follows`, async () => {
    const error = { type, message: "It went wrong." };
    const body = [START, say("Half"), event("error", { error }), end("Half an answer")];
    const stream = streamOf(events(body, "hang"));
    const seen = await readAll(stream);
    assertEquals(seen.types, ["chat.start", "message.delta", "error", "chat.end"]);
    assertEquals(seen.events[2], { type: "error", error });
    assert(isProviderError(seen.error));
    assertEquals(seen.error.code, code);
    assertEquals(seen.error.partial?.content, "Half an answer");
    const isOfModel = seen.error.kind === "model-not-available";
    assertEquals(answerOf(seen.error)?.content, isOfModel ? undefined : "Half an answer");
    assertEquals(JSON.stringify(seen.error).includes("Half"), false);
  });
}

Deno.test("error event: the answer is waited for, but not longer than 2 s", async () => {
  await inFakeTime(async (pass) => {
    const puppet = new Puppet();
    const { chat } = new LMStudioProvider({ env: {}, fetch: puppet.fetch, model: MODEL });
    const seen = readAll(chat.stream({ input: "Hi" }));
    await pass(0);
    puppet.last.respond(200, { "content-type": "text/event-stream" });
    puppet.last.send(START + say("Half") + event("error", { error: { message: "Broken." } }));
    await pass(0);
    // Signs of life do not extend the wait.
    await pass(1500);
    puppet.last.send(": ping\n\n");
    await pass(600);
    await pass(1);
    const { error, types } = await seen;
    assertInstanceOf(error, ApiError);
    assertEquals([error.code, error.partial?.content], ["server_error", "Half"]);
    assertEquals(error.response, undefined);
    assertEquals(types, ["chat.start", "message.delta", "error"]);
    assert(puppet.last.isCancelled);
  });
});

Deno.test("error event: a failure after it does not hide it", async () => {
  const said = event("error", { error: { type: "internal_error", message: "Out of luck." } });
  const behind = ["data: {\n\n", event("chat.end"), "data: [DONE]\n\n", said + end("")];
  for (const body of behind) {
    const { error } = await readAll(streamOf(events(START + said + body)));
    assertInstanceOf(error, ApiError);
    assertStringIncludes(error.message, "Out of luck.");
  }
});

Deno.test("error event: in other shapes", async () => {
  const shapes: [body: string, message: string][] = [
    ['event: error\ndata: {"error":"Model unloaded by user or API request."}\n\n', "unloaded"],
    ['data: {"error":{"message":"Model is unloaded."}}\n\n', "unloaded"],
    ["event: error\ndata: The model has crashed.\n\n", "crashed"],
    ['event: error\ndata: {"type":"error","message":"Channel Error"}\n\n', "Channel Error"],
  ];
  for (const [body, message] of shapes) {
    const { error, types } = await readAll(streamOf(events(START + body)));
    assert(isProviderError(error), body);
    assertStringIncludes(error.message, message);
    assertEquals(types, ["chat.start", "error"]);
  }
});

const BODIES: [file: string, status: number, code: string][] = [
  ["plugin_forbidden.json", 403, "forbidden"],
  ["native_unrecognized_keys.json", 400, "invalid_request"],
  ["native_reasoning_setting.json", 400, "invalid_request"],
  ["model_not_found_native.json", 404, "model_not_found"],
  ["unloaded_by_user.json", 500, "model_unloaded"],
  ["native_internal.json", 500, "server_error"],
  ["native_internal.json", 200, "server_error"],
  ["auth_missing.json", 401, "unauthorized"],
  ["unexpected_endpoint.json", 200, "unsupported_by_server"],
  ["unexpected_endpoint_native.json", 404, "unsupported_by_server"],
];
for (const [file, status, code] of BODIES) {
  Deno.test(`error body: ${file} under ${status} is ${code}, whole or streamed`, async () => {
    const answer = fixtureAnswer(`errors/${file}`, status);
    const error = await failure(answering(answer).chat.send({ input: "Hi" }));
    assertEquals([error.code, error.attempts], [code, 1]);
    const streamed = await failure(streamOf(answer).response());
    assertEquals([streamed.code, streamed.attempts], [code, 1]);
    if (code === "unsupported_by_server") assertStringIncludes(error.hint, "0.4.0");
  });
}

Deno.test("on an older server the error names the version needed", async () => {
  const { chat } = onFake({ version: "0.3.31" });
  const error = await failure(chat.send({ input: "Hi" }));
  assertEquals([error.code, error.kind], ["unsupported_by_server", "api"]);
  assertStringIncludes(error.hint, "0.4.0");
  const streamed = await failure(chat.stream({ input: "Hi" }).response());
  assertEquals(streamed.code, "unsupported_by_server");
});

Deno.test("a stateful call is retried only if no connection was made", async () => {
  const faults = [
    { path: "/api/v1/chat", fault: { type: "refuse" } },
    { path: "/api/v1/chat", fault: { type: "respond", status: 503, body: "" } },
  ] as const;
  const { chat, requests } = onFake({ faults });
  const error = await failure(chat.send({ input: "Hi" }));
  assertEquals([error.status, error.attempts], [503, 2]);
  assertEquals(requests.filter(({ path }) => path === "/api/v1/chat").length, 2);
});

Deno.test("secrets: header values of integrations appear in no error and no error event", async () => {
  const headers = { Authorization: "Bearer mcp-sesame-4711", "X-Key": "key-sesame-0815" };
  const request: ChatRequest = {
    input: "What is in my private repository?",
    integrations: [{
      type: "ephemeral_mcp",
      serverLabel: "x",
      serverUrl: "https://someone:pass-sesame@x.dev/mcp?api_key=url-sesame-1234",
      headers,
    }],
  };
  const message = "401 for 'Bearer mcp-sesame-4711' (mcp-sesame-4711, key-sesame-0815) of " +
    "https://someone:pass-sesame@x.dev/mcp?api_key=url-sesame-1234: " +
    "What is in my private repository?";
  const bodies: StubAnswer[] = [
    json({ error: { type: "mcp_connection_error", message } }, 400),
    json({ error: { type: "mcp_connection_error", message } }),
    json({ output: message }),
    { body: message, status: 502 },
    { body: `{"output": "${message}` },
    events(START + event("error", { error: { type: "mcp_connection_error", message } }) + end("")),
    events(START + event("error", { error: { type: "internal_error", message } })),
    events(
      START + event("error", { error: { type: message, message, code: message, param: message } }),
    ),
    events(`event: error\ndata: ${message}\n\n`),
    events(START + `data: ${message}\n\n`),
  ];
  for (const body of bodies) {
    const whole = await failure(answering(body).chat.send(request));
    const seen = await readAll(streamOf(body, {}, request));
    assert(isProviderError(seen.error));
    const shown = [whole, seen.error].map((error) => [
      error.message,
      error.hint,
      JSON.stringify(error),
      Deno.inspect(error),
      error.kind === "parse" ? error.bodySnippet : "",
    ]);
    const errors = seen.events.filter(({ type }) => type === "error");
    assert(
      !/sesame|private/.test(JSON.stringify([shown, errors])),
      JSON.stringify([shown, errors]),
    );
  }
});

// --- Status and statistics --------------------------------------------------------------------

Deno.test("onStatus: follows the events, with generating at each first token", async () => {
  const told: CallStatus[] = [];
  const onStatus = (status: CallStatus) => void told.push(status);
  await streamOf(events(fixture("streams/native_conversation.sse")), { onStatus }).response();
  const again: CallStatus[] = [
    { phase: "processing" },
    { phase: "processing", progress: 0.5 },
    { phase: "generating" },
  ];
  assertEquals(told, [
    { phase: "waiting" },
    { phase: "loading" },
    { phase: "loading", progress: 0.65 },
    ...again,
    ...again,
    ...again,
    ...again,
  ]);
});

Deno.test("onStatus: an exception from it ends the call, in any phase", async () => {
  for (const bad of ["waiting", "loading", "processing", "generating"]) {
    const reason = new Error(`no ${bad}`);
    const onStatus = ({ phase }: CallStatus) => {
      if (phase === bad) throw reason;
    };
    const answer = events([fixture("streams/native_model_load.sse")]);
    const { error } = await readAll(streamOf(answer, { onStatus }));
    assertStrictEquals(error, reason);
  }
});

Deno.test("stats: measured by our own clock if the server has none", async () => {
  await inFakeTime(async (pass) => {
    const puppet = new Puppet();
    const { chat } = new LMStudioProvider({ env: {}, fetch: puppet.fetch, model: MODEL });
    const answer = chat.stream({ input: "Hi" }).response();
    await pass(0);
    puppet.last.respond(200, { "content-type": "text/event-stream" });
    puppet.last.send(START + event("model_load.end", { load_time_seconds: 0.5 }));
    await pass(700);
    puppet.last.send(say("Hi"));
    await pass(2000);
    puppet.last.send(end("Hi", { stats: { input_tokens: 2, total_output_tokens: 8 } }));
    await pass(0);
    const { stats, usage } = await answer;
    assertEquals(stats, {
      tokensPerSecond: 4,
      generationMs: 2000,
      timeToFirstTokenMs: 700,
      modelLoadMs: 500,
      source: "measured",
    });
    assertEquals(usage?.totalTokens, 10);
  });
});

Deno.test("a server that does not stream: its answer is the only event", async () => {
  const stream = streamOf(fixtureAnswer("answers/native_chat.json"));
  const { types, error } = await readAll(stream);
  assertEquals([types, error], [["chat.end"], undefined]);
  assertEquals((await stream.response()).modelInstanceId, "ibm/granite-4-micro");
});

Deno.test("a server that does not stream: an invalid answer is the same error as from `send`", async () => {
  for (const body of ["{}", "[1]", "null", '"Hi"', '{"output":5}']) {
    const { chat } = answering({ body });
    const error = await failure(chat.stream({ input: "Hi" }).response());
    const sent = await failure(chat.send({ input: "Hi" }));
    assertEquals([error.kind, error.code], ["parse", "malformed_response"]);
    assertEquals(error.message.replace("stream a chat", "chat"), sent.message);
  }
});

// --- Leaving ----------------------------------------------------------------------------------

Deno.test("leaving: a stream that is never read sends nothing", async () => {
  const { chat, requests } = onFake();
  const stream = chat.stream({ input: "Hi" });
  await stream.cancel();
  assertEquals(requests.length, 0);
  assertEquals((await failure(stream.response())).code, "stream_truncated");
});

Deno.test("leaving: break, cancel, disposal and abort stop the server", async () => {
  const text = Array.from({ length: 50 }, (_, index) => say(`${index} `));
  const leave: Record<string, (stream: Stream, controller: AbortController) => Promise<void>> = {
    break: async (stream) => {
      for await (const { type } of stream) if (type === "message.delta") break;
    },
    cancel: async (stream) => {
      for await (const { type } of stream) if (type === "message.delta") await stream.cancel();
    },
    disposal: async (stream) => {
      const events = stream[Symbol.asyncIterator]();
      await events.next();
      await stream[Symbol.asyncDispose]();
    },
    abort: async (stream, controller) => {
      const reason = new Error("enough");
      const reading = readAll({
        async *[Symbol.asyncIterator]() {
          for await (const event of stream) {
            yield event;
            if (event.type === "message.delta") controller.abort(reason);
          }
        },
      });
      assertStrictEquals((await reading).error, reason);
    },
  };
  for (const [how, run] of Object.entries(leave)) {
    const { opened } = gate();
    await using server = serveStub({ [CHAT]: events([START, ...text, opened]) });
    const controller = new AbortController();
    const stream = connect(server).chat.stream({ input: "Hi" }, { signal: controller.signal });
    await run(stream, controller);
    await server.requests[0]?.left;
    assertEquals(server.requests[0]?.isFinished, false, how);
  }
});

Deno.test("leaving: an abort before the call, while choosing the model, and while sending", async () => {
  const reason = new Error("changed my mind");
  const aborted = AbortSignal.abort(reason);
  const { chat, requests } = onFake();
  assertStrictEquals(
    await assertRejects(() => chat.send({ input: "Hi" }, { signal: aborted })),
    reason,
  );
  assertStrictEquals(
    await assertRejects(() => chat.stream({ input: "Hi" }, { signal: aborted }).response()),
    reason,
  );
  assertEquals(requests.length, 0);
  for (const path of ["/api/v1/models", "/api/v1/chat"]) {
    const late = onFake({ faults: [{ path, times: 2, fault: { type: "stall" } }] });
    for (const call of ["send", "stream"] as const) {
      const controller = new AbortController();
      const options = { signal: controller.signal };
      const given = call === "send"
        ? late.chat.send({ input: "Hi" }, options)
        : late.chat.stream({ input: "Hi" }, options).response();
      while (!late.requests.some((request) => request.path === path && !request.aborted)) {
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      controller.abort(reason);
      assertStrictEquals(await assertRejects(() => given), reason);
    }
  }
});

Deno.test("leaving: a second consumer is refused", async () => {
  const stream = streamOf(events(START + end("Hi.")));
  await readAll(stream);
  const { error } = await readAll(stream);
  assertInstanceOf(error, InvalidRequestError);
});

// --- Against the fake -------------------------------------------------------------------------

Deno.test("conversation: continues from an answer, branches, and must be stored", async () => {
  const { chat, requests } = onFake({ replies: ["Blue, noted.", "Blue.", "Still blue.", "Gone."] });
  const first = await chat.send({ input: "My favorite color is blue." });
  assert(/^resp_[0-9a-f]{48}$/.test(first.responseId ?? ""));
  const ask = { input: "Which color?", previousResponseId: first.responseId };
  const second = await chat.send(ask);
  const branch = await chat.stream(ask).response();
  assertEquals([second.content, branch.content], ["Blue.", "Still blue."]);
  assert((second.usage?.promptTokens ?? 0) > (first.usage?.promptTokens ?? 0));
  assertEquals(
    (requests.at(-1)?.body as { previous_response_id: string }).previous_response_id,
    first.responseId,
  );
  const unstored = await chat.send({ input: "Hi", store: false });
  assertEquals("responseId" in unstored, false);
  const unknown = { input: "Hi", previousResponseId: "resp_0" };
  assertEquals((await failure(chat.send(unknown))).code, "previous_response_not_found");
});

Deno.test("loading: events, load time, and a new listing afterwards", async () => {
  const { provider, chat, requests } = onFake({ jitLoadMs: 4, firstTokenMs: 2 });
  const model = "openai/gpt-oss-20b";
  assert(await provider.supportsModel(model));
  const listings = () => requests.filter(({ path }) => path === "/api/v1/models").length;
  const before = listings();
  const told: string[] = [];
  const onStatus = ({ phase, progress }: CallStatus) =>
    void told.push(`${phase} ${progress ?? ""}`);
  const stream = chat.stream({ model, input: "Hi" }, { onStatus });
  const { types } = await readAll(stream);
  assertEquals(types.filter((type) => type.startsWith("model_load")), [
    "model_load.start",
    ...Array.from({ length: 4 }, () => "model_load.progress"),
    "model_load.end",
  ]);
  assertEquals(told.slice(0, 3), ["waiting ", "loading ", "loading 0.25"]);
  assertEquals(told.at(-1), "generating ");
  assertEquals((await stream.response()).stats.modelLoadMs, 4);
  await provider.modelCapabilities(model);
  assertEquals(listings(), before + 1);
});

Deno.test("loading: a failure is reported with its code, whole or streamed", async () => {
  const { chat } = onFake({
    models: ["a/b", {
      id: "big/one",
      loaded: false,
      loadError: "Engine exited before becoming healthy.",
    }],
  });
  const error = await failure(chat.stream({ model: "big/one", input: "Hi" }).response());
  assertInstanceOf(error, ModelNotAvailableError);
  assertEquals([error.code, error.model], ["model_load_failed", "big/one"]);
  assertEquals(
    (await failure(chat.send({ model: "big/one", input: "Hi" }))).code,
    "model_load_failed",
  );
  // No other model answers instead on this route.
  assertEquals(
    (await failure(chat.send({ model: "no/such", input: "Hi" }))).code,
    "model_not_found",
  );
});

Deno.test("integrations: tool calls that ran, that failed, and that are not permitted", async () => {
  const replies = [{
    reasoning: "Look it up.",
    content: "Found it.",
    toolRuns: [
      { tool: "model_search", arguments: { sort_by: "trend" }, output: "one model" },
      { tool: "open_browser", failure: { type: "invalid_name", reason: "No such tool." } },
    ],
  }] as const;
  const integrations = [{ ...SERVER, type: "ephemeral_mcp" }] as const;
  const { chat } = onFake({ replies });
  const { output, content, reasoning } = await chat.stream({ input: "Hi", integrations })
    .response();
  assertEquals([content, reasoning], ["Found it.", "Look it up."]);
  assertEquals(output.slice(1, 3), [
    {
      type: "tool_call",
      tool: "model_search",
      arguments: { sort_by: "trend" },
      output: "one model",
      providerInfo: { type: "ephemeral_mcp", serverLabel: "hf" },
    },
    {
      type: "invalid_tool_call",
      reason: "No such tool.",
      metadata: { type: "invalid_name", toolName: "open_browser" },
    },
  ]);
  const denied = onFake({ integrations: false });
  const error = await failure(denied.chat.send({ input: "Hi", integrations: ["mcp/playwright"] }));
  assertInstanceOf(error, AuthenticationError);
  assertEquals(error.code, "forbidden");
  assertStringIncludes(error.hint, "Allow plugins");
});

Deno.test("fake: an error with and without the end, a cut after chat.start", async () => {
  const path = "/api/v1/chat";
  const message = "Failed to connect to MCP server 'hf'.";
  const errorFrame = { type: "error-frame", message, afterTokens: 2 } as const;
  const { chat } = onFake({
    replies: () => "One two three.",
    faults: [
      { path, fault: { ...errorFrame, errorType: "mcp_connection_error" } },
      { path, fault: { ...errorFrame, withEnd: false } },
      { path, fault: { type: "cut", at: "start", clean: true } },
      { path, fault: { type: "cut", afterTokens: 1 } },
    ],
  });
  const withEnd = await failure(chat.stream({ input: "Hi" }).response());
  assertEquals([withEnd.code, answerOf(withEnd)?.content], [
    "server_error",
    "One two",
  ]);
  const without = await failure(chat.stream({ input: "Hi" }).response());
  assertEquals([answerOf(without), without.partial?.content], [undefined, "One two"]);
  const grammar = await readAll(chat.stream({ input: "Hi" }));
  assertEquals(grammar.types, ["chat.start"]);
  assertInstanceOf(grammar.error, StreamError);
  assertStringIncludes(grammar.error.hint, "lms log stream");
  const broken = await failure(chat.stream({ input: "Hi" }).response());
  assertEquals([broken.code, broken.partial?.content], ["connection_reset", "One"]);
});

Deno.test("fake: the schema is strict", async () => {
  const { fetch } = createFakeLMStudio();
  const ask = async (body: object) => {
    const url = "http://127.0.0.1:1234/api/v1/chat";
    const response = await fetch(url, { method: "POST", body: JSON.stringify(body) });
    return [response.status, await response.json()];
  };
  const model = "google/gemma-4-26b-a4b";
  assertEquals(await ask({ model, input: "Hi", stop: ["x"] }), [
    400,
    JSON.parse(fixture("errors/native_unrecognized_keys.json")),
  ]);
  assertEquals(await ask({ input: "Hi" }), [
    400,
    JSON.parse(fixture("errors/native_required.json")),
  ]);
  const code = async (body: object) => (await ask({ model, input: "Hi", ...body }))[1].error.code;
  assertEquals(
    await code({ integrations: [{ type: "plugin", id: "x", key: 1 }] }),
    "unrecognized_keys",
  );
  assertEquals(await code({ input: [{ type: "image_url" }] }), "invalid_value");
  assertEquals(await code({ reasoning: "low" }), "invalid_value");
  assertEquals(await code({ temperature: "hot" }), "invalid_value");
  assertEquals((await ask({ model, input: [{ type: "message", content: "Hi" }] }))[0], 200);
});

Deno.test("fake: reasoning, limits, images and contexts", async () => {
  const { chat } = onFake({
    models: [{ id: "a/b", reasoning: ["off", "on"], contextLength: 100 }],
    replies: () => ({ reasoning: "Let me think.", content: "One two three four." }),
  });
  assertEquals((await chat.send({ input: "Hi", reasoning: "off" })).reasoning, undefined);
  const limited = await chat.send({ input: "Hi", maxTokens: 5 });
  assertEquals([limited.reasoning, limited.content], ["Let me think.", "One two"]);
  assertEquals(limited.usage?.reasoningTokens, 3);
  const long = { input: "word ".repeat(200) };
  assertEquals((await failure(chat.send(long))).code, "context_overflow");
  assertEquals((await failure(chat.stream(long).response())).code, "context_overflow");
  assertEquals((await chat.send({ ...long, contextLength: 1000 })).content, "One two three four.");
  const image = { input: [{ type: "image", image: PNG }] } as const;
  assertEquals((await failure(chat.send(image))).code, "unsupported_content");
});
