/**
 * Values that no server should send, at every place in every answer: the result is an answer of the declared types or
 * one of our errors, never one of the runtime's, and never an endless call.
 */
import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import {
  type ChatResponse,
  type CompletionResponse,
  type EmbeddingResponse,
  isProviderError,
  LMStudioProvider,
  type ModelInfo,
  NetworkError,
  ParseError,
  RateLimitedError,
  type ResponsesAnswer,
  ServiceDiscovery,
  type TextCompletionResponse,
  type Tool,
} from "../mod.ts";
import { parseRetryAfter } from "../src/core/retry.ts";
import { cpuTimeMs } from "./support/cpu_time.ts";
import { rejection } from "./support/wire.ts";

/** JSON that `JSON.stringify` would not write. */
class Written {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

const DEEP = 6000;
const VALUES: readonly unknown[] = [
  null,
  true,
  -1,
  new Written("1e999"),
  new Written("9007199254740993"),
  "",
  "\ud800",
  "constructor",
  "__proto__",
  [null],
  {},
  new Written('{"__proto__":{"type":"x"},"toString":1,"toJSON":1,"then":1,"constructor":1}'),
  { error: { message: {} } },
  [{ type: [], text: {} }],
];
/** Listings are copied, which `listing_test.ts` tests with the values they may hold. */
const DEEP_VALUES: readonly unknown[] = [
  new Written("[".repeat(DEEP) + "]".repeat(DEEP)),
  new Written(`${'{"a":'.repeat(DEEP)}1${"}".repeat(DEEP)}`),
];

function write(value: unknown): string {
  if (value instanceof Written) return value.text;
  if (Array.isArray(value)) return `[${value.map(write).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const fields = Object.entries(value).map(([key, field]) =>
    `${JSON.stringify(key)}:${write(field)}`
  );
  return `{${fields.join(",")}}`;
}

/** An answer's JSON with one place changed, for every place and value, and with each field left out. */
function* spoiled(
  answer: unknown,
  values: readonly unknown[] = [...VALUES, ...DEEP_VALUES],
): Generator<string> {
  for (const changed of changes(answer, values)) yield write(changed);
}

function* changes(answer: unknown, values: readonly unknown[]): Generator<unknown> {
  yield* values;
  if (typeof answer !== "object" || answer === null) return;
  for (const [key, part] of Object.entries(answer)) {
    const put = (changed: unknown): unknown => {
      const copy = Array.isArray(answer) ? [...answer] : { ...answer };
      Object.defineProperty(copy, key, { value: changed, enumerable: true });
      return copy;
    };
    for (const changed of changes(part, values)) yield put(changed);
    const { [key]: _, ...rest } = answer as Record<string, unknown>;
    if (!Array.isArray(answer)) yield rest;
  }
}

function provider(respond: (path: string) => Response, more = {}): LMStudioProvider {
  return new LMStudioProvider({
    env: {},
    maxRetries: 0,
    model: "m",
    onModelSubstituted: "ignore",
    firstTokenTimeoutMs: 20_000,
    timeoutMs: 20_000,
    fetch: (input) => Promise.resolve(respond(new URL(String(input)).pathname)),
    ...more,
  });
}
const json = (text: string, status = 200) =>
  new Response(text, { status, headers: { "content-type": "application/json" } });
const sse = (...frames: string[]) =>
  new Response(frames.map((frame) => `data: ${frame}\n\n`).join(""), {
    headers: { "content-type": "text/event-stream" },
  });

/** Runs each: an answer must have its types, an error must be ours and printable. */
async function tryAll<T>(
  texts: Iterable<string>,
  calls: readonly ((text: string) => PromiseLike<T>)[],
  check: (answer: T) => boolean,
): Promise<void> {
  let count = 0;
  for (const text of texts) {
    for (const call of calls) {
      count++;
      const shown = text.length > 500 ? `${text.slice(0, 500)}…` : text;
      try {
        const answer = await call(text);
        assert(check(answer), `${shown}\n${Deno.inspect(answer)}`);
      } catch (error) {
        if (error instanceof Error && error.name === "AssertionError") throw error;
        assert(isProviderError(error), `${shown}\n${Deno.inspect(error)}`);
        assert(JSON.stringify(error).length < 10_000 && Deno.inspect(error) !== "", shown);
        assert(!error.code.startsWith("timeout"), `${shown}\n${error.message}`);
      }
    }
  }
  assert(count > 40, String(count));
}

const isText = (value: unknown): boolean => typeof value === "string";
const areCalls = (calls: readonly object[]): boolean =>
  calls.every((call) => {
    const { id, name, arguments: text } = call as Record<string, unknown>;
    return isText(id) && isText(name) && isText(text);
  });

const CALL = { id: "c", index: 0, function: { name: "look", arguments: '{"a":1}' } };
const CHOICE = { index: 0, finish_reason: "stop" };
const USAGE = { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 };
const REQUEST = { model: "m", messages: "Hello there" };
const TOOL: Tool = {
  name: "look",
  parameters: { type: "object", properties: {} },
  execute: () => "seen",
};

const isCompletion = (answer: CompletionResponse): boolean =>
  isText(answer.id) && isText(answer.model) && isText(answer.content) &&
  isText(answer.reasoning ?? "") && isText(answer.finishReason) && areCalls(answer.toolCalls);

Deno.test("hostile values: completions, whole and instead of a stream", async () => {
  const message = { role: "assistant", content: "Hi", reasoning_content: "r", tool_calls: [CALL] };
  const answer = { id: "x", model: "m", choices: [{ ...CHOICE, message }], usage: USAGE };
  await tryAll(spoiled(answer), [
    (text) => provider(() => json(text)).complete(REQUEST),
    (text) => provider(() => json(text)).streamCompletion(REQUEST).response(),
    async (text) => {
      const answers = [text, '{"choices":[{"message":{"content":"Hi"}}]}'];
      const lmstudio = provider(() => json(answers.shift() ?? ""));
      return (await lmstudio.runTools({ ...REQUEST, tools: [TOOL] })).response;
    },
    async (text) => {
      const schema = { type: "object" } as const;
      return (await provider(() => json(text)).completeObject({ ...REQUEST, schema })).response;
    },
  ], isCompletion);
});

Deno.test("hostile values: frames of a streamed completion", async () => {
  const delta = { content: "Hi", reasoning: "r", tool_calls: [CALL] };
  const frame = { id: "x", model: "m", choices: [{ ...CHOICE, delta }], usage: USAGE };
  const body = (text: string) => sse(text, '{"choices":[{"delta":{"content":"!"}}]}', "[DONE]");
  await tryAll(spoiled(frame), [
    (text) => provider(() => body(text)).streamCompletion(REQUEST).response(),
  ], isCompletion);
});

Deno.test("hostile values: text completions", async () => {
  const answer = { id: "x", model: "m", choices: [{ ...CHOICE, text: "Hi" }], usage: USAGE };
  const request = { model: "m", prompt: "Hello there" };
  await tryAll<TextCompletionResponse>(spoiled(answer), [
    (text) => provider(() => json(text)).completeText(request),
    (text) => provider(() => sse(text, "[DONE]")).streamText(request).response(),
  ], ({ text, finishReason, model }) => [text, finishReason, model].every(isText));
});

const OUTPUT = [
  { type: "message", content: [{ type: "output_text", text: "Hi" }] },
  { type: "reasoning", summary: [{ type: "summary_text", text: "s" }] },
  { type: "function_call", id: "f", call_id: "c", name: "look", arguments: "{}" },
];
const isAnswer = ({ id, model, status, text, output, toolCalls }: ResponsesAnswer): boolean =>
  [id, model, status, text].every(isText) && output.every(({ type }) => isText(type)) &&
  areCalls(toolCalls);

Deno.test("hostile values: responses", async () => {
  const answer = { id: "r", model: "m", status: "completed", output: OUTPUT };
  const request = { model: "m", input: "Hello there" };
  const completed = (text: string) => sse(`{"type":"response.completed","response":${text}}`);
  await tryAll(spoiled(answer), [
    (text) => provider(() => json(text)).responses.create(request),
    (text) => provider(() => json(text)).responses.stream(request).response(),
    (text) => provider(() => completed(text)).responses.stream(request).response(),
  ], isAnswer);
});

Deno.test("hostile values: events of a streamed response", async () => {
  const item = OUTPUT[2];
  const events = [
    { type: "response.output_item.added", output_index: 0, item },
    { type: "response.function_call_arguments.delta", output_index: 0, item_id: "f", delta: "{}" },
    { type: "response.function_call_arguments.done", output_index: 0, arguments: "{}", name: "n" },
    { type: "response.output_text.delta", output_index: 1, content_index: 0, delta: "Hi" },
    { type: "response.reasoning_summary_text.done", output_index: 2, summary_index: 0, text: "r" },
    { type: "response.output_item.done", output_index: 0, item },
  ];
  const end = '{"type":"response.completed","response":{}}';
  for (const [place, event] of events.entries()) {
    const written = events.map(write);
    await tryAll(spoiled(event), [
      (text) =>
        provider(() => sse(...written.with(place, text), end)).responses.stream({
          model: "m",
          input: "Hello there",
        }).response(),
    ], isAnswer);
  }
});

const CHAT = {
  model_instance_id: "m",
  output: [
    { type: "message", content: "Hi" },
    { type: "tool_call", tool: "t", arguments: { a: 1 }, output: "o", provider_info: {} },
    { type: "invalid_tool_call", reason: "r", metadata: { type: "x", tool_name: "t" } },
  ],
  stats: { input_tokens: 1, total_output_tokens: 2 },
  response_id: "r",
};
const isChat = ({ content, modelInstanceId, output }: ChatResponse): boolean =>
  isText(content) && isText(modelInstanceId) &&
  output.every((item) => isText(item.type) && (item.type !== "message" || isText(item.content)));

Deno.test("hostile values: native chats", async () => {
  await tryAll(spoiled(CHAT), [
    (text) => provider(() => json(text)).chat.send({ input: "Hello" }),
    (text) =>
      provider(() => sse(`{"type":"chat.end","result":${text}}`)).chat.stream({ input: "Hello" })
        .response(),
  ], isChat);
});

Deno.test("hostile values: events of a native chat", async () => {
  const events = [
    { type: "chat.start", model_instance_id: "m" },
    { type: "model_load.progress", model_instance_id: "m", progress: 0.5 },
    { type: "reasoning.delta", content: "r" },
    { type: "tool_call.arguments", tool: "t", arguments: { a: 1 } },
    { type: "tool_call.failure", reason: "r", metadata: { type: "x", tool_name: "t" } },
    { type: "error", error: { type: "unknown", message: "x", code: "c", param: "p" } },
  ];
  const end = write({ type: "chat.end", result: CHAT });
  for (const event of events) {
    await tryAll(spoiled(event), [
      (text) => provider(() => sse(text, end)).chat.stream({ input: "Hello" }).response(),
    ], isChat);
  }
});

Deno.test("hostile values: vectors", async () => {
  const data = [{ index: 0, embedding: [1, 2] }, { index: 1, embedding: [1, 2] }];
  await tryAll<EmbeddingResponse>(spoiled({ model: "m", data, usage: USAGE }), [
    (text) => provider(() => json(text)).embed({ model: "m", input: ["a", "b"] }),
  ], ({ model, embeddings }) =>
    isText(model) && embeddings.length === 2 &&
    embeddings.every((vector) => vector.length > 0 && vector.every(Number.isFinite)));
});

const LISTINGS: Readonly<Record<string, unknown>> = {
  "/api/v1/models": {
    models: [{
      type: "llm",
      key: "m",
      display_name: "M",
      quantization: { name: "q" },
      loaded_instances: [{ id: "m", config: { context_length: 5 } }],
      max_context_length: 10,
      capabilities: { vision: true },
      variants: ["m@q4"],
    }],
  },
  "/api/v0/models": { data: [{ id: "m", type: "llm", state: "loaded", max_context_length: 1 }] },
  "/v1/models": { data: [{ id: "m" }] },
};
for (const [route, listing] of Object.entries(LISTINGS)) {
  Deno.test(`hostile values: the listing ${route}`, async () => {
    const serve = (text: string) =>
      provider((path) => path === route ? json(text) : json('{"error":"x"}', 404));
    await tryAll<ModelInfo[]>(
      spoiled(listing, VALUES),
      [
        (text) => serve(text).listModels(),
        async (text) => [await serve(text).models.get("m")],
        async (text) => {
          await serve(text).supportsModel("other");
          return [];
        },
      ],
      (models) =>
        models.every(({ id, name, type, capabilities }) =>
          [id, name, type].every(isText) && capabilities.maxTokens > 0
        ),
    );
  });
}

Deno.test("hostile values: loads and downloads", async () => {
  const serve = (text: string) =>
    provider((path) => json(path.endsWith("/models") ? write(LISTINGS["/api/v1/models"]) : text));
  const loaded = { type: "llm", instance_id: "m", load_config: { context_length: 1 } };
  await tryAll<{ instanceId: string }>(spoiled(loaded), [
    (text) => serve(text).models.load("m"),
  ], ({ instanceId }) => isText(instanceId));
  const job = { job_id: "j", status: "completed", total_size_bytes: 1, downloaded_bytes: 1 };
  await tryAll<{ status: string }>(spoiled(job), [
    (text) => serve(text).models.downloadStatus("j"),
    (text) => {
      const answers = [text, '{"status":"completed"}'];
      const lmstudio = provider((path) =>
        json(path.endsWith("/models") ? '{"models":[]}' : answers.shift() ?? "")
      );
      return lmstudio.models.download("m", { pollIntervalMs: 1 }).response();
    },
  ], ({ status }) => isText(status));
});

Deno.test("hostile values: errors, under every status and in a stream", async () => {
  const body = {
    error: { message: "x", type: "t", code: "c", param: "p", issues: [{ path: ["a"] }] },
    message: "z",
  };
  for (const status of [200, 400, 404, 503]) {
    await tryAll<unknown>(spoiled(body), [
      (text) => provider(() => json(text, status)).complete(REQUEST),
      (text) => provider(() => json(write({ error: text }), status)).complete(REQUEST),
    ], () => false);
  }
  await tryAll<CompletionResponse>(spoiled(body), [
    (text) => provider(() => sse(text, "[DONE]")).streamCompletion(REQUEST).response(),
  ], isCompletion);
});

Deno.test("hostile values: answers to a probe", async () => {
  const fields = { lmstudio: true, version: "1", models: [{ name: "a", key: "b" }] };
  for (const type of ["lmstudio", "ollama"] as const) {
    const endpoint = "http://127.0.0.1:9";
    await tryAll<unknown>(spoiled(fields, VALUES), [
      (text) =>
        new ServiceDiscovery({
          env: {},
          candidates: [{ type, endpoint }],
          fetch: () => Promise.resolve(json(text)),
        }).probe(type, endpoint),
    ], () => true);
  }
});

// --- Single cases -------------------------------------------------------------------------------

Deno.test("a type named like a member of Object is a type like any other", async () => {
  for (const type of ["constructor", "__proto__", "toString"]) {
    const models = [{ id: "m", type, state: "loaded" }];
    const lmstudio = provider((path) =>
      path === "/api/v0/models" ? json(write({ data: models })) : json("{}", 404)
    );
    assertEquals((await lmstudio.listModels()).map((model) => model.type), [type]);
  }
});

Deno.test("a code named like a member of Object does not explain a failed connection", async () => {
  const cause = Object.assign(new TypeError("no"), { code: "constructor" });
  const error = await rejection(
    provider(() => json("{}"), { fetch: () => Promise.reject(cause) }).complete(REQUEST),
  );
  assertInstanceOf(error, NetworkError);
  assertEquals(error.code, "connection_reset");
  assert(!error.message.includes("undefined"), error.message);
});

Deno.test("a list longer than the arguments a function call allows is handled", async () => {
  const long = `[${"0,".repeat(300_000)}0]`;
  const answer = JSON.stringify({ choices: [{ message: { content: `{"a":${long}}` } }] });
  const schema = {
    "~standard": {
      version: 1,
      vendor: "own",
      jsonSchema: { input: () => ({ type: "object" }), output: () => ({ type: "object" }) },
      validate: () => ({ issues: [{ message: "no", path: ["a"] }] }),
    },
  } as const;
  const error = await rejection(
    provider(() => json(answer)).completeObject({ ...REQUEST, schema }),
  );
  assertInstanceOf(error, ParseError);
  assert(error.message.includes("a: no"), error.message);
});

Deno.test("an impossible number of tokens does not become an infinite speed", async () => {
  const usage = new Written('{"prompt_tokens":1,"completion_tokens":1e308}');
  const choices = [{ message: { content: "Hi" }, text: "Hi" }];
  const lmstudio = provider(() => json(write({ choices, usage })));
  const answers = [
    await lmstudio.complete(REQUEST),
    await lmstudio.completeText({ model: "m", prompt: "Hello" }),
  ];
  for (const { stats } of answers) assertEquals(stats?.tokensPerSecond, undefined);
});

Deno.test("an unusable Retry-After is ignored, and a long header is read fast", async () => {
  for (const value of ["9".repeat(400), "99999999999999999999", "9".repeat(100_000)]) {
    assertEquals(parseRetryAfter(value, 0), undefined);
    const error = await rejection(
      provider(() => new Response("{}", { status: 429, headers: { "retry-after": value } }))
        .complete(REQUEST),
    );
    assertInstanceOf(error, RateLimitedError);
    assertEquals(error.retryAfterMs, undefined);
    assert(!error.message.includes("Infinity"), error.message);
  }
  const usedBefore = cpuTimeMs();
  assertEquals(parseRetryAfter("abc".repeat(50_000), 0), undefined);
  assert(cpuTimeMs() - usedBefore < 1000);
});

Deno.test("a tool's provider info has the declared types, or is absent", async () => {
  const call = (provider: unknown) => ({ type: "tool_call", tool: "t", provider_info: provider });
  const failure = (metadata: object) => ({ type: "invalid_tool_call", reason: "r", metadata });
  const output = [
    call({ type: 0, plugin_id: 5, server_label: "s" }),
    call(7),
    failure({ type: "x", tool_name: "t", arguments: [1], provider_info: { type: null } }),
  ];
  const lmstudio = provider(() => json(write({ ...CHAT, output })));
  const answer = await lmstudio.chat.send({ input: "Hello" });
  assertEquals<unknown>(answer.output, [
    {
      type: "tool_call",
      tool: "t",
      providerInfo: { type: "0", serverLabel: "s" },
      arguments: {},
      output: "",
    },
    { type: "tool_call", tool: "t", arguments: {}, output: "" },
    {
      type: "invalid_tool_call",
      reason: "r",
      metadata: { type: "x", toolName: "t", providerInfo: { type: "" } },
    },
  ]);
});

Deno.test("a probability rounded out of its range is clamped", async () => {
  const decisions = [
    { type: "predicate", name: "calm", probability: -1e-9 },
    {
      type: "score",
      name: "grade",
      score: 1.00001,
      confidence: 1.00001,
      probabilities: [{ label: "low", value: 0, probability: -1e-9 }, {
        label: "high",
        value: 1,
        probability: 1.00001,
      }],
    },
  ];
  const lmstudio = provider(() => json(write({ model: "m", answers: decisions })));
  const { answers } = await lmstudio.decide({
    model: "m",
    input: "Hello",
    questions: {
      calm: { type: "predicate", instructions: "?" },
      grade: { type: "score", instructions: "?", levels: ["low", "high"] },
    },
  });
  assertEquals(answers.calm, { type: "predicate", probability: 0 });
  assertEquals(answers.grade, {
    type: "score",
    score: 1,
    confidence: 1,
    probabilities: [{ label: "low", value: 0, probability: 0 }, {
      label: "high",
      value: 1,
      probability: 1,
    }],
  });
});
