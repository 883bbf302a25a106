/**
 * Whole answers: what is sent for which request, what is refused before anything is sent, how the answers
 * observed on the wire (fixtures/answers) are decoded, which model is chosen and which may answer.
 */
import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertGreater,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
} from "@std/assert";
import * as z from "zod";
import {
  ApiError,
  type CompletionRequest,
  type CompletionResponse,
  InvalidRequestError,
  isProviderError,
  LMStudioProvider,
  type LMStudioProviderOptions,
  ModelNotAvailableError,
  NetworkError,
  ParseError,
  SerializationError,
  TimeoutError,
} from "../mod.ts";
import { withClock } from "./support/clock.ts";
import {
  events,
  fetchOf,
  fixture,
  fixtureAnswer,
  gate,
  json,
  serveStub,
  type StubAnswer,
  type StubRoutes,
  type StubServer,
} from "./support/stub_server.ts";

const CHAT = "POST /v1/chat/completions";
const V1 = "GET /api/v1/models";
const V0 = "GET /api/v0/models";
const OPENAI = "GET /v1/models";
const MODEL = "qwen/qwen3-8b";
const MESSAGES = "Hello.";

const ANSWER = {
  id: "chatcmpl-s7nwqpycr6sgd77hi2nrr",
  model: MODEL,
  choices: [{ index: 0, message: { role: "assistant", content: "Hi." }, finish_reason: "stop" }],
};

function connect(server: StubServer, options: LMStudioProviderOptions = {}): LMStudioProvider {
  return new LMStudioProvider({ baseUrl: server.url, env: {}, maxRetries: 0, ...options });
}

/** The body that is sent for a request. */
async function bodyOf(request: CompletionRequest | string): Promise<Record<string, unknown>> {
  await using server = serveStub({ [CHAT]: json(ANSWER) });
  const answered = connect(server, { model: MODEL }).complete(request);
  // The answer is always the same: only the request is checked here.
  await answered.catch((error) => assertEquals(error.code, "tool_choice_ignored"));
  const [sent] = server.requests;
  assertEquals(server.requests.length, 1);
  return sent!.body;
}

async function messagesOf(messages: CompletionRequest["messages"]): Promise<unknown> {
  return (await bodyOf({ messages })).messages;
}

/** Decodes an answer. */
async function decode(answer: StubAnswer, model: string = MODEL): Promise<CompletionResponse> {
  await using server = serveStub({ [CHAT]: answer });
  return await connect(server, { onModelSubstituted: "ignore" }).complete({
    model,
    messages: MESSAGES,
  });
}

async function failure(promise: Promise<unknown>): Promise<unknown> {
  return await promise.then(() => assert(false, "it did not reject"), (error) => error);
}

function withMessage(message: object, finishReason: string | null = "stop"): StubAnswer {
  return json({ ...ANSWER, choices: [{ index: 0, message, finish_reason: finishReason }] });
}

// --- What is sent -----------------------------------------------------------------------------

Deno.test("request: every field under its name on the wire", async () => {
  const body = await bodyOf({
    model: MODEL,
    messages: "Hello.",
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
    reasoning: "low",
    ttlSeconds: 600,
    draftModel: "qwen/qwen3-0.6b",
    extraBody: { cache_prompt: true, nested: { as_is: [1] } },
  });
  assertEquals(body, {
    model: MODEL,
    messages: [{ role: "user", content: "Hello." }],
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
    reasoning_effort: "low",
    ttl: 600,
    draft_model: "qwen/qwen3-0.6b",
    cache_prompt: true,
    nested: { as_is: [1] },
  });
});

Deno.test("request: nothing is sent that was not set, and undefined counts as not set", async () => {
  const expected = { model: MODEL, messages: [{ role: "user", content: "Hello." }] };
  assertEquals(await bodyOf("Hello."), expected);
  assertEquals(await bodyOf({ messages: "Hello." }), expected);
  const undefinedFields = {
    model: undefined,
    temperature: undefined,
    stop: undefined,
    tools: undefined,
    toolChoice: undefined,
    schema: undefined,
    reasoning: undefined,
    extraBody: { temperature: undefined, model: undefined },
  };
  assertEquals(await bodyOf({ messages: "Hello.", ...undefinedFields }), expected);
  const withUndefined = {
    messages: "Hello.",
    temperature: 0,
    extraBody: { temperature: undefined },
  };
  assertEquals(await bodyOf(withUndefined), { ...expected, temperature: 0 });
  const unknown = { messages: "Hello.", max_tokens: undefined } as CompletionRequest;
  assertEquals(await bodyOf(unknown), expected);
});

Deno.test("request: values at the edge", async () => {
  const edges = { temperature: 0, topP: 1, topK: 0, minP: 0, seed: -1, maxTokens: -1, stop: "END" };
  const body = await bodyOf({ messages: "Hello.", ...edges });
  assertEquals(body.max_tokens, -1);
  assertEquals([body.temperature, body.top_p, body.top_k, body.min_p], [0, 1, 0, 0]);
  assertEquals(body.stop, "END");
});

Deno.test("request: reasoning in the server's terms", async () => {
  const wire = async (reasoning: CompletionRequest["reasoning"]) =>
    (await bodyOf({ messages: "Hello.", reasoning })).reasoning_effort;
  assertEquals(await wire("off"), "none");
  assertEquals(await wire("on"), undefined, "what the model does anyway");
  assertEquals(await wire("medium"), "medium");
});

Deno.test("request: neighbouring strings are one user message", async () => {
  assertEquals(
    await messagesOf([
      "First.",
      "Second.",
      { role: "assistant", content: "Yes?" },
      "Third.",
      { role: "user", content: "Fourth." },
      "Fifth.",
      "Sixth.",
    ]),
    [
      { role: "user", content: "First.\n\nSecond." },
      { role: "assistant", content: "Yes?" },
      { role: "user", content: "Third." },
      { role: "user", content: "Fourth." },
      { role: "user", content: "Fifth.\n\nSixth." },
    ],
  );
});

Deno.test("request: messages of every role", async () => {
  assertEquals(
    await messagesOf([
      { role: "system", content: "Be brief." },
      { role: "developer", content: "Be kind.", name: "dev" },
      { role: "user", content: "Weather?", name: "ann" },
      {
        role: "assistant",
        reasoning: "They want the weather.",
        toolCalls: [{ id: "814890118", name: "weather", arguments: '{"city":"Oslo"}' }],
      },
      { role: "tool", toolCallId: "814890118", content: "Rain" },
      { role: "assistant", content: "It rains.", toolCalls: [] },
      { role: "user", content: [{ type: "text", text: "Thanks." }] },
    ]),
    [
      { role: "system", content: "Be brief." },
      { role: "developer", content: "Be kind.", name: "dev" },
      { role: "user", content: "Weather?", name: "ann" },
      {
        role: "assistant",
        // Without this field, or with null, the server answers 400.
        content: "",
        tool_calls: [{
          id: "814890118",
          type: "function",
          function: { name: "weather", arguments: '{"city":"Oslo"}' },
        }],
      },
      { role: "tool", tool_call_id: "814890118", content: "Rain" },
      { role: "assistant", content: "It rains." },
      { role: "user", content: [{ type: "text", text: "Thanks." }] },
    ],
  );
});

Deno.test("request: an answer's message can be sent back unchanged", async () => {
  const { message } = await decode(fixtureAnswer("answers/tool_calls.json"));
  const [assistant] = await messagesOf([message]) as Record<string, unknown>[];
  assertEquals(assistant?.content, "");
  assertEquals((assistant?.tool_calls as unknown[]).length, 1);
  const { message: thinking } = await decode(fixtureAnswer("answers/think_tags.json"));
  assertEquals(await messagesOf([thinking]), [{ role: "assistant", content: "Four, as 1 < 2." }]);
});

Deno.test("request: arguments that are not a JSON object are sent back as {}, as engines require", async () => {
  const toolCalls = [
    { id: "1", name: "a", arguments: '{"cut' },
    { id: "2", name: "b", arguments: "" },
    { id: "3", name: "c", arguments: '{ "x": 1 }' },
    { id: "4", name: "d", arguments: "[1]" },
    { id: "5", name: "e", arguments: "null" },
  ];
  const [message] = await messagesOf([{ role: "assistant", toolCalls }]) as {
    tool_calls: { function: { arguments: string } }[];
  }[];
  assertEquals(message?.tool_calls.map((call) => call.function.arguments), [
    "{}",
    "{}",
    '{ "x": 1 }',
    "{}",
    "{}",
  ]);
});

const WEATHER = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };

Deno.test("request: tools", async () => {
  const body = await bodyOf({
    messages: "Hello.",
    tools: [
      { name: "weather", description: "Of a city", parameters: WEATHER },
      { name: "now" },
      { name: "later", parameters: { type: "object" } },
      { name: "either", parameters: { anyOf: [{ required: ["a"] }] } },
      {
        name: "typed",
        parameters: z.object({ days: z.number().int(), note: z.string().optional() }),
      },
    ],
  });
  const tools = body.tools as { type: string; function: Record<string, unknown> }[];
  assertEquals(tools.map(({ type }) => type), new Array(5).fill("function"));
  const [weather, now, later, either, typed] = tools.map((tool) => tool.function);
  assertEquals(weather, { name: "weather", description: "Of a city", parameters: WEATHER });
  // The server refuses parameters without both.
  assertEquals(now, { name: "now", parameters: { type: "object", properties: {} } });
  assertEquals(later?.parameters, { type: "object", properties: {} });
  assertEquals(either?.parameters, {
    anyOf: [{ required: ["a"] }],
    type: "object",
    properties: {},
  });
  const parameters = typed?.parameters as Record<string, unknown>;
  assertEquals(parameters.type, "object");
  assertEquals(Object.keys(parameters.properties as object), ["days", "note"]);
  assertEquals(parameters.required, ["days"]);
  assertEquals(body.tool_choice, undefined);
});

Deno.test("request: the tool choice, as a string", async () => {
  const tools = [{ name: "weather", parameters: WEATHER }, { name: "now" }];
  const sent = async (toolChoice: CompletionRequest["toolChoice"]) => {
    const body = await bodyOf({ messages: "Hello.", tools, toolChoice });
    const names = (body.tools as { function: { name: string } }[]).map((tool) =>
      tool.function.name
    );
    return [body.tool_choice, names];
  };
  for (const word of ["auto", "none", "required"] as const) {
    assertEquals(await sent(word), [word, ["weather", "now"]]);
  }
  // The server refuses an object.
  assertEquals(await sent({ name: "now" }), ["required", ["now"]]);
  const none = await bodyOf({ messages: "Hello.", tools: [], toolChoice: "auto" });
  assertEquals([none.tools, none.tool_choice], [undefined, undefined]);
});

Deno.test("request: a schema, from zod or plain", async () => {
  const schema = z.object({ name: z.string(), age: z.number() });
  const body = await bodyOf({ messages: "Hello.", schema, schemaName: "person" });
  const format = body.response_format as Record<string, Record<string, unknown>>;
  assertEquals(format.type as unknown, "json_schema");
  assertEquals([format.json_schema?.name, format.json_schema?.strict], ["person", true]);
  const sent = format.json_schema?.schema as Record<string, unknown>;
  assertEquals(sent.type, "object");
  assertEquals(sent.required, ["name", "age"]);

  const plain = { type: "object", properties: { ok: { type: "boolean" } } };
  assertEquals((await bodyOf({ messages: "Hello.", schema: plain })).response_format, {
    type: "json_schema",
    json_schema: { name: "response", strict: true, schema: plain },
  });
});

Deno.test("request: of a schema that transforms values, the input is requested", async () => {
  const schema = z.object({ at: z.string().transform((text) => text.length) });
  const body = await bodyOf({ messages: "Hello.", schema });
  const format = body.response_format as { json_schema: { schema: { properties: unknown } } };
  assertEquals(format.json_schema.schema.properties, { at: { type: "string" } });
});

Deno.test("request: a schema library that supports only one draft", async () => {
  const withDraft = (known: string) => ({
    "~standard": {
      version: 1 as const,
      vendor: "mine",
      validate: (value: unknown) => ({ value }),
      jsonSchema: {
        input: ({ target }: { target: string }) => {
          if (target !== known) throw new Error("unknown draft");
          return { type: "string", $comment: known };
        },
        output: () => ({}),
      },
    },
  });
  for (const draft of ["draft-07", "draft-2020-12"]) {
    const body = await bodyOf({ messages: "Hello.", schema: withDraft(draft) });
    assertStringIncludes(JSON.stringify(body.response_format), draft);
  }
});

const PNG = Uint8Array.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 1, 2, 3]);
const JPEG = Uint8Array.from([0xff, 0xd8, 0xff, 0xe0, 9, 8]);
const PNG_URL = "data:image/png;base64,iVBORw0KGgoBAgM=";
const JPEG_URL = "data:image/jpeg;base64,/9j/4AkI";

Deno.test("request: images in every form, recognized by their bytes", async () => {
  const forms = [
    PNG,
    JPEG,
    new Blob([PNG]),
    // The declared type may be wrong, the bytes are not.
    new Blob([JPEG], { type: "image/webp" }),
    PNG_URL,
    "data:application/octet-stream;base64,/9j/4AkI",
    new URL(PNG_URL),
  ];
  const parts = forms.map((image) => ({ type: "image" as const, image }));
  const [message] = await messagesOf([{
    role: "user",
    content: [{ type: "text", text: "What is this?" }, ...parts],
  }]) as { content: { type: string; image_url?: { url: string } }[] }[];
  assertEquals<unknown>(message?.content[0], { type: "text", text: "What is this?" });
  assertEquals(
    message?.content.slice(1).map((part) => [part.type, part.image_url?.url]),
    [PNG_URL, JPEG_URL, PNG_URL, JPEG_URL, PNG_URL, JPEG_URL, PNG_URL].map((
      url,
    ) => ["image_url", url]),
  );
});

Deno.test("request: a large image, and a declared type that is correct", async () => {
  const large = new Uint8Array(3_000_000);
  large.set(PNG);
  const content = [
    { type: "image" as const, image: large, mediaType: "image/png" },
    { type: "image" as const, image: JPEG, mediaType: "image/jpg" },
  ];
  const [message] = await messagesOf([{ role: "user", content }]) as {
    content: { image_url: { url: string } }[];
  }[];
  const [, base64 = ""] = message?.content[0]?.image_url.url.split(",") ?? [];
  assertEquals(atob(base64).length, large.length);
  assertEquals(message?.content[1]?.image_url.url, JPEG_URL);
});

// --- What is refused --------------------------------------------------------------------------

const cyclic: Record<string, unknown> = {};
cyclic.self = cyclic;
const noJsonSchema = {
  "~standard": { version: 1, vendor: "mini", validate: (value: unknown) => ({ value }) },
};

const user = (content: unknown) => [{ role: "user", content }];
const image = (image: unknown, mediaType?: string) =>
  user([{ type: "image", image, ...(mediaType === undefined ? {} : { mediaType }) }]);

/** Fields of a request, and what the error must contain. */
const REFUSED: [fields: Record<string, unknown>, state: string, code?: string][] = [
  [{ max_tokens: 5 }, 'unknown field "max_tokens" (did you mean "maxTokens"?)'],
  [{ top_p: 1 }, 'did you mean "topP"?'],
  [{ maxCompletionTokens: 5 }, 'did you mean "maxTokens"?'],
  [{ response_format: {} }, 'did you mean "schema"?'],
  [{ temprature: 1 }, 'did you mean "temperature"?'],
  [{ stream: true }, "streamCompletion()"],
  [{ prompt: "Hi" }, 'unknown field "prompt"'],
  [{ colour: "blue" }, 'unknown field "colour"'],
  [{ model: "" }, "model cannot be empty"],
  [{ model: "  " }, "model cannot be empty"],
  [{ model: 5 }, "model is 5"],
  [{ model: null }, "model is null"],
  [{ messages: undefined }, "messages is undefined"],
  [{ messages: "" }, "messages cannot be empty"],
  [{ messages: [] }, "messages cannot be empty"],
  [{ messages: 5 }, "messages is 5"],
  [{ messages: { role: "user", content: "Hi" } }, "messages is "],
  [{ messages: ["Hi", ""] }, "messages[1] cannot be empty"],
  [{ messages: [null] }, "messages[0] is null"],
  [{ messages: [["Hi"]] }, "messages[0] is "],
  [{ messages: [{ content: "Hi" }] }, "messages[0].role is undefined"],
  [{ messages: [{ role: "robot", content: "Hi" }] }, 'messages[0].role is "robot"'],
  [{ messages: [{ role: "toString", content: "Hi" }] }, 'messages[0].role is "toString"'],
  [{ messages: [{ role: "user" }] }, "messages[0].content is undefined"],
  [{ messages: user(null) }, "messages[0].content is null"],
  [{ messages: user([]) }, "messages[0].content cannot be empty"],
  [{ messages: user(["Hi"]) }, "messages[0].content[0] is a string"],
  [{ messages: user([{ type: "video" }]) }, 'messages[0].content[0].type is "video"'],
  [{ messages: user([{ type: "text" }]) }, "messages[0].content[0].text is undefined"],
  [
    { messages: user([{ type: "image_url", image_url: { url: PNG_URL } }]) },
    'messages[0].content[0].type is "image_url"',
  ],
  [{ messages: [{ role: "user", content: "Hi", tool_calls: [] }] }, 'unknown field "tool_calls"'],
  [
    { messages: [{ role: "assistant", tool_calls: [] }] },
    'messages[0] has an unknown field "tool_calls" (did you mean "toolCalls"?)',
  ],
  [{ messages: [{ role: "assistant", content: ["Hi"] }] }, "messages[0].content is "],
  [{ messages: [{ role: "assistant", toolCalls: {} }] }, "messages[0].toolCalls is "],
  [
    { messages: [{ role: "assistant", toolCalls: [{ name: "a", arguments: "{}" }] }] },
    "messages[0].toolCalls[0].id",
  ],
  [
    { messages: [{ role: "assistant", toolCalls: [{ id: "1", name: "a", arguments: {} }] }] },
    "messages[0].toolCalls[0].arguments is ",
  ],
  [{ messages: [{ role: "tool", content: "5" }] }, "messages[0].toolCallId"],
  [{ messages: [{ role: "tool", toolCallId: "1", content: 5 }] }, "messages[0].content is 5"],
  [{ messages: [{ role: "tool", toolCallId: "1" }] }, "messages[0].content is undefined"],
  [{ temperature: -1 }, "temperature is -1"],
  [{ temperature: "warm" }, 'temperature is "warm"'],
  [{ temperature: NaN }, "temperature is NaN"],
  [{ temperature: Infinity }, "temperature is Infinity"],
  [{ temperature: null }, "temperature is null"],
  [{ topP: 1.1 }, "topP is 1.1"],
  [{ topK: 1.5 }, "topK is 1.5"],
  [{ topK: -1 }, "topK is -1"],
  [{ minP: -0.1 }, "minP is -0.1"],
  [{ maxTokens: 0 }, "maxTokens is 0"],
  [{ maxTokens: -2 }, "maxTokens is -2"],
  [{ maxTokens: 1.5 }, "maxTokens is 1.5"],
  [{ maxTokens: "5" }, 'maxTokens is "5"'],
  [{ maxTokens: Infinity }, "maxTokens is Infinity"],
  [{ stop: "" }, "stop is "],
  [{ stop: [] }, "stop is "],
  [{ stop: ["END", 5] }, "stop is 5"],
  [{ seed: 0.5 }, "seed is 0.5"],
  [{ presencePenalty: "much" }, 'presencePenalty is "much"'],
  [{ frequencyPenalty: NaN }, "frequencyPenalty is NaN"],
  [{ repeatPenalty: 0 }, "repeatPenalty is 0"],
  [{ logitBias: [1] }, "logitBias is not"],
  [{ logitBias: { 1: "much" } }, "logitBias is not"],
  [{ reasoning: "much" }, 'reasoning is "much"'],
  [{ reasoning: true }, "reasoning is true"],
  [{ ttlSeconds: 0 }, "ttlSeconds is 0"],
  [{ draftModel: "" }, "draftModel cannot be empty"],
  [{ schema: z.object({}), schemaName: "" }, "schemaName cannot be empty"],
  [{ tools: {} }, "tools is "],
  [{ tools: ["weather"] }, "tools[0] is "],
  [{ tools: [{}] }, "tools[0].name"],
  [{ tools: [{ name: "a" }, { name: "a" }] }, 'tools[1].name is "a", which is used twice'],
  [{ tools: [{ name: "a", description: 5 }] }, "tools[0].description is 5"],
  [
    { tools: [{ type: "function", function: { name: "a" } }] },
    'tools[0] has an unknown field "type"',
  ],
  [
    { tools: [{ name: "a", inputSchema: {} }] },
    'unknown field "inputSchema" (did you mean "parameters"?)',
  ],
  [
    { tools: [{ name: "a", parameters: "x" }] },
    '`parameters` of tool "a" is ',
    "invalid_tool_schema",
  ],
  [
    { tools: [{ name: "a", parameters: null }] },
    '`parameters` of tool "a" is ',
    "invalid_tool_schema",
  ],
  [
    { tools: [{ name: "a", parameters: { type: "string" } }] },
    'has type "string", not "object"',
    "invalid_tool_schema",
  ],
  [
    { tools: [{ name: "a", parameters: z.array(z.string()) }] },
    'has type "array", not "object"',
    "invalid_tool_schema",
  ],
  [
    { tools: [{ name: "a", parameters: noJsonSchema }] },
    "made with mini, cannot provide JSON Schema",
    "invalid_tool_schema",
  ],
  [{ toolChoice: "required" }, "there are no tools"],
  [{ tools: [], toolChoice: { name: "a" } }, "there are no tools"],
  [{ tools: [{ name: "a" }], toolChoice: { name: "b" } }, 'toolChoice names "b"'],
  [{ tools: [{ name: "a" }], toolChoice: "a" }, 'toolChoice is "a"'],
  [{ tools: [{ name: "a" }], toolChoice: { type: "function" } }, "toolChoice is "],
  [{ schema: "x" }, "schema is a string, not a schema", "unsupported_response_format"],
  [
    { schema: noJsonSchema },
    "made with mini, cannot provide JSON Schema",
    "unsupported_response_format",
  ],
  [
    { schema: z.object({ at: z.date() }) },
    "cannot be written as JSON Schema",
    "unsupported_response_format",
  ],
  [{ extraBody: [] }, "extraBody is "],
  [{ extraBody: { model: "b" } }, 'extraBody may not set "model"'],
  [{ extraBody: { messages: [] } }, 'extraBody may not set "messages"'],
  [{ extraBody: { stream: true } }, 'extraBody may not set "stream"'],
  [
    { messages: image(Uint8Array.from([0x47, 0x49, 0x46, 0x38, 0x39, 0x61])) },
    "messages[0].content[0].image is GIF",
    "unsupported_content",
  ],
  [
    { messages: image(new Blob(["RIFF\0\0\0\0WEBPVP8 "])) },
    "messages[0].content[0].image is WebP",
    "unsupported_content",
  ],
  [{ messages: image(new Uint8Array()) }, "image is empty", "unsupported_content"],
  [{ messages: image(new Uint8Array(20)) }, "of an unknown format", "unsupported_content"],
  [{ messages: image(PNG, "image/jpeg") }, "image/png, not image/jpeg", "unsupported_content"],
  [{ messages: image("data:image/png;base64,%%%") }, "invalid base64", "unsupported_content"],
  [{ messages: image("data:image/png,raw") }, "not image data", "unsupported_content"],
  [{ messages: image("cat.png") }, "not image data", "unsupported_content"],
  [{ messages: image(new URL("file:///tmp/cat.png")) }, "not image data", "unsupported_content"],
  [{ messages: image(5) }, "messages[0].content[0].image is 5", "unsupported_content"],
];

Deno.test("refusals: fields from other libraries are answered with their name here", async () => {
  const lmstudio = new LMStudioProvider({
    env: {},
    fetch: () => Promise.reject(new Error("sent")),
  });
  const answer = { content: "Hi.", message: { role: "assistant", content: "Hi." } };
  const cases: [fields: Record<string, unknown>, hint: string][] = [
    [{ tools: [{ type: "function", function: { name: "a" } }] }, "without `function` around it"],
    [{ messages: ["Hello", answer] }, "Pass the `message` of an answer, not the answer itself."],
  ];
  for (const [fields, hint] of cases) {
    const request = { messages: MESSAGES, ...fields } as unknown as CompletionRequest;
    const error = await assertRejects(() => lmstudio.complete(request), InvalidRequestError);
    assertStringIncludes(String(error.hint), hint);
  }
});

Deno.test("refusals: invalid fields are refused by name, and nothing is sent", async (t) => {
  await using server = serveStub({ [CHAT]: json(ANSWER), [V1]: fixtureAnswer("listings/v1.json") });
  // Without a model: not even a listing may be requested.
  const lmstudio = connect(server);
  for (const [fields, state, code = "invalid_request"] of REFUSED) {
    await t.step(`${JSON.stringify(fields).slice(0, 80)}: ${state}`, async () => {
      const request = { messages: MESSAGES, ...fields } as unknown as CompletionRequest;
      const whole = await assertRejects(() => lmstudio.complete(request), InvalidRequestError);
      assertStringIncludes(whole.message, state);
      assertStringIncludes(whole.message, "Cannot complete: ");
      assertEquals([whole.code, whole.attempts, whole.retriable], [code, 0, false]);
      const stream = lmstudio.streamCompletion(request);
      const streamed = await assertRejects(() => stream.response(), InvalidRequestError);
      assertStringIncludes(streamed.message, state);
      assertEquals(streamed.code, code);
    });
  }
  assertEquals(server.requests.length, 0);
});

Deno.test("refusals: values that are not requests or options", async () => {
  await using server = serveStub({});
  const lmstudio = connect(server, { model: MODEL });
  const requests = [undefined, null, 5, ["Hi"], ""] as unknown as CompletionRequest[];
  for (const request of requests) {
    await assertRejects(() => lmstudio.complete(request), InvalidRequestError);
    await assertRejects(() => lmstudio.streamCompletion(request).response(), InvalidRequestError);
  }
  const options: [options: unknown, state: string][] = [
    [5, "the options are 5"],
    [null, "the options are null"],
    [{ timeout: 5 }, 'unknown option "timeout" (did you mean "timeoutMs"?)'],
    [{ timeoutMs: 0 }, "timeoutMs "],
    [{ timeoutMs: "5s" }, "timeoutMs "],
    [{ idleTimeoutMs: -1 }, "idleTimeoutMs "],
    [{ firstTokenTimeoutMs: NaN }, "firstTokenTimeoutMs "],
    [{ connectTimeoutMs: 0 }, "connectTimeoutMs "],
    [{ maxRetries: 11 }, "maxRetries "],
    [{ maxRetries: 0.5 }, "maxRetries "],
    [{ headers: { "x y": "z" } }, "headers "],
    [{ onStatus: "loud" }, 'onStatus is "loud", not a function'],
    [{ signal: {} }, "signal is "],
  ];
  for (const [value, state] of options) {
    const given = value as { timeoutMs: number };
    await assertRejects(() => lmstudio.complete("Hi", given), InvalidRequestError, state);
    await assertRejects(
      () => lmstudio.streamCompletion("Hi", given).response(),
      InvalidRequestError,
      state,
    );
  }
  assertEquals(server.requests.length, 0);
});

Deno.test("refusals: never quote the prompt", async () => {
  await using server = serveStub({});
  const lmstudio = connect(server, { model: MODEL });
  const secret = "My secret diary";
  const requests: unknown[] = [
    { messages: [{ role: "assistant", content: [secret] }] },
    { messages: [{ role: "user", content: [secret] }] },
    { messages: image(secret) },
    { messages: [[secret]] },
  ];
  for (const request of requests) {
    const error = await failure(lmstudio.complete(request as CompletionRequest));
    assert(isProviderError(error));
    assert(!error.message.includes("diary"), error.message);
  }
});

Deno.test("refusals: a request that cannot be written as JSON", async () => {
  await using server = serveStub({});
  const lmstudio = connect(server, { model: MODEL });
  for (const extraBody of [cyclic, { big: 1n }]) {
    const request = { messages: MESSAGES, extraBody };
    const error = await assertRejects(() => lmstudio.complete(request), SerializationError);
    assertEquals(error.attempts, 0);
    await assertRejects(() => lmstudio.streamCompletion(request).response(), SerializationError);
  }
  // Without a model a listing would be requested.
  const unnamed = connect(server);
  const extraBody = cyclic;
  const request = { messages: MESSAGES, extraBody };
  const error = await assertRejects(() => unnamed.complete(request), SerializationError);
  assertEquals([error.code, error.attempts], ["serialization_failed", 0]);
  for (
    const call of [
      () => unnamed.streamCompletion(request).response(),
      () => unnamed.completeObject({ ...request, schema: { type: "object" } }),
      () => unnamed.runTools(request),
      () => unnamed.completeText({ prompt: "Hi", extraBody }),
      () => unnamed.streamText({ prompt: "Hi", extraBody }).response(),
      () => unnamed.responses.create({ input: "Hi", extraBody }),
      () => unnamed.responses.stream({ input: "Hi", extraBody }).response(),
    ]
  ) await assertRejects<SerializationError>(call, SerializationError);
  assertEquals(server.requests.length, 0);
});

// --- Answers ----------------------------------------------------------------------------------

Deno.test("answer: from a current build", async () => {
  const response = await decode(fixtureAnswer("answers/chat.json"), "qwen2.5.1-coder-7b-instruct");
  const content = "Waves crash on shore,\nSeagulls cry in the breeze,\nOcean's vast embrace.";
  const { stats, raw, ...rest } = response;
  assertEquals(rest, {
    id: "chatcmpl-s7nwqpycr6sgd77hi2nrr",
    model: "qwen2.5.1-coder-7b-instruct",
    message: { role: "assistant", content },
    content,
    toolCalls: [],
    finishReason: "stop",
    usage: { promptTokens: 212, completionTokens: 20, totalTokens: 232, reasoningTokens: 0 },
  });
  assertEquals(raw, JSON.parse(fixture("answers/chat.json")));
  // `{}` counts as no stats.
  assertEquals(stats?.source, "measured");
  const { tokensPerSecond = 0, generationMs = 0 } = stats ?? {};
  assertGreater(generationMs, 0);
  assertAlmostEquals(tokensPerSecond, 20_000 / generationMs, 1e-6);
});

Deno.test("answer: content that is absent, null, empty or in parts", async () => {
  const tools = await decode(fixtureAnswer("answers/tool_calls.json"));
  assertEquals(tools.content, "");
  const usage = tools.usage;
  assertEquals(usage, { promptTokens: 263, completionTokens: 34, totalTokens: 297 });
  for (const content of [null, "", undefined, 5]) {
    const response = await decode(withMessage({ role: "assistant", content }));
    assertEquals(response.content, "");
    assertEquals(response.message, { role: "assistant", content: "" });
  }
  const parts = await decode(fixtureAnswer("answers/content_parts.json"));
  assertEquals(parts.content, "Waves crash.");
});

Deno.test("answer: reasoning under each name, and in tags", async () => {
  const content = async (name: string) => {
    const response = await decode(fixtureAnswer(`answers/${name}.json`));
    assertEquals(response.message.content, response.content);
    assertEquals(response.message.reasoning, response.reasoning);
    return [response.content, response.reasoning];
  };
  assertEquals(await content("reasoning"), ["4", "Two plus two."]);
  assertEquals(await content("reasoning_content"), ["", "Let me count: one, two"]);
  assertEquals(await content("think_tags"), ["Four, as 1 < 2.", "Two and two make four."]);
});

Deno.test("answer: tags count where reasoning may begin, not where the text mentions them", async () => {
  const split = async (text: string) => {
    const { content, reasoning } = await decode(withMessage({ role: "assistant", content: text }));
    return [content, reasoning];
  };
  assertEquals(await split("<think>never closed"), ["", "never closed"]);
  assertEquals(await split("<think></think>Yes."), ["Yes.", undefined]);
  assertEquals(await split(" \n<think>a</think>b<think>c</think>"), ["b", "a\n\nc"]);
  for (const text of ["The tag <think>a</think>.", "End it with </think>, always.", "1 <t", "<"]) {
    assertEquals(await split(text), [text, undefined]);
  }
});

Deno.test("answer: reasoning both in its field and in tags is all reasoning", async () => {
  const message = { content: "<think>b</think>c", reasoning_content: "a" };
  const { content, reasoning } = await decode(withMessage(message));
  assertEquals(content, "c");
  assertEquals(reasoning, "ab");
  const twice = { content: "c", reasoning_content: "a", reasoning: "a" };
  assertEquals((await decode(withMessage(twice))).reasoning, "a", "the same under both names");
});

Deno.test("answer: tool calls, including known defects of some builds", async () => {
  const calls = async (name: string) => {
    const { toolCalls, finishReason, message } = await decode(fixtureAnswer(`answers/${name}`));
    assertEquals(message.toolCalls, toolCalls);
    return { toolCalls, finishReason };
  };
  assertEquals(await calls("tool_calls.json"), {
    toolCalls: [{
      id: "365174485",
      name: "search_products",
      arguments: '{"query":"dell","category":"electronics","max_price":50}',
    }],
    finishReason: "tool_calls",
  });
  // Before 0.3.15.
  assertEquals((await calls("tool_calls_stop.json")).finishReason, "tool_calls");
  assertEquals((await calls("tool_calls_object.json")).toolCalls, [
    { id: "call_0", name: "get_weather", arguments: '{"city":"Oslo","days":2}' },
    { id: "call_1", name: "get_weather", arguments: '{"city":"Rome"}' },
  ]);
});

Deno.test("answer: a tool call that the server could not parse is text", async () => {
  const response = await decode(fixtureAnswer("answers/tool_call_as_text.json"));
  assertEquals([response.toolCalls, response.finishReason], [[], "stop"]);
  assertEquals(response.message, { role: "assistant", content: response.content });
  assertStringIncludes(response.content, '"name": "get_current_weather"');
});

Deno.test("answer: an empty list of tool calls counts as none", async () => {
  const response = await decode(withMessage({ content: "Hi.", tool_calls: [] }));
  assertEquals(response.toolCalls, []);
  assertEquals(response.message.toolCalls, undefined);
  assertEquals(response.finishReason, "stop");
  const nothing = await decode(withMessage({ content: "Hi.", tool_calls: null }));
  assertEquals(nothing.toolCalls, []);
});

Deno.test("answer: finish reasons", async () => {
  const finish = async (reason: string | null) =>
    (await decode(withMessage({ content: "Hi." }, reason))).finishReason;
  assertEquals(await finish("length"), "length");
  assertEquals(await finish("content_filter"), "content_filter", "a reason of its own");
  assertEquals(await finish(null), "stop");
});

Deno.test("answer: only the choice with index 0", async () => {
  const choice = (index: number, content: string) => ({
    index,
    message: { content },
    finish_reason: "stop",
  });
  const answer = json({ ...ANSWER, choices: [choice(1, "second"), choice(0, "first")] });
  assertEquals((await decode(answer)).content, "first");
});

Deno.test("answer: usage, if the server reports it", async () => {
  const usage = async (usage: unknown) => (await decode(json({ ...ANSWER, usage }))).usage;
  assertEquals(await usage(undefined), undefined);
  assertEquals(await usage(null), undefined);
  assertEquals(await usage({}), undefined);
  assertEquals(await usage({ prompt_tokens: 3, completion_tokens: 4 }), {
    promptTokens: 3,
    completionTokens: 4,
    totalTokens: 7,
  });
  // Some servers write this for unknown values.
  assertEquals(await usage({ prompt_tokens: -1, completion_tokens: 4, total_tokens: -1 }), {
    promptTokens: 0,
    completionTokens: 4,
    totalTokens: 4,
  });
  const counted = { prompt_tokens: 30, completion_tokens: 4, total_tokens: 34 };
  const known = { promptTokens: 30, completionTokens: 4, totalTokens: 34 };
  for (const cached of [20, 0]) {
    const details = { cached_tokens: cached };
    const told = { ...counted, prompt_tokens_details: details };
    assertEquals(await usage(told), { ...known, cachedTokens: cached });
  }
  for (const details of [null, {}, { cached_tokens: -1 }, { cached_tokens: "20" }, 20]) {
    assertEquals(await usage({ ...counted, prompt_tokens_details: details }), known);
  }
});

Deno.test("answer: the server's stats", async () => {
  const v0 = await decode(fixtureAnswer("answers/v0_stats.json"));
  assertEquals(v0.stats, {
    tokensPerSecond: 51.43709529007664,
    timeToFirstTokenMs: 111,
    generationMs: 954,
    stopReason: "eosFound",
    source: "server",
  });
  const draft = await decode(fixtureAnswer("answers/draft_stats.json"));
  assertEquals(draft.stats?.draft, {
    model: "lmstudio-community/qwen2.5-0.5b-instruct",
    totalTokens: 30,
    acceptedTokens: 22,
    rejectedTokens: 7,
    ignoredTokens: 1,
  });
});

/** As llama.cpp's server reports them. */
const TIMINGS = {
  cache_n: 236,
  prompt_n: 1,
  prompt_ms: 30.958,
  prompt_per_token_ms: 30.958,
  prompt_per_second: 32.3,
  predicted_n: 35,
  predicted_ms: 661.064,
  predicted_per_token_ms: 18.88,
  predicted_per_second: 52.94,
  draft_n: 12,
  draft_n_accepted: 9,
};
const TIMED = {
  tokensPerSecond: 52.94,
  timeToFirstTokenMs: 30.958,
  generationMs: 661.064,
  draft: { totalTokens: 12, acceptedTokens: 9 },
  source: "server",
} as const;

Deno.test("answer: timings of llama.cpp's server, whole, streamed and for text completions", async () => {
  const usage = { prompt_tokens: 237, completion_tokens: 35, total_tokens: 272 };
  const known = {
    promptTokens: 237,
    completionTokens: 35,
    totalTokens: 272,
    cachedTokens: 236,
  };
  const more = { usage, timings: TIMINGS };
  const whole = await decode(json({ ...ANSWER, ...more }));
  assertEquals([whole.stats, whole.usage], [TIMED, known]);
  const frames = [
    { model: "m", choices: [{ index: 0, delta: { content: "Hi." } }] },
    { model: "m", choices: [{ index: 0, delta: {}, finish_reason: "stop" }] },
    { model: "m", choices: [], ...more },
  ];
  const body = [...frames.map((frame) => JSON.stringify(frame)), "[DONE]"]
    .map((data) => `data: ${data}\n\n`).join("");
  const lmstudio = new LMStudioProvider({ env: {}, model: "m", fetch: fetchOf(events(body)) });
  const streamed = await lmstudio.streamCompletion("Hi").response();
  assertEquals([streamed.stats, streamed.usage], [TIMED, known]);
  const text = json({ model: "m", choices: [{ index: 0, text: "Hi." }], ...more });
  const completed = await new LMStudioProvider({ env: {}, model: "m", fetch: fetchOf(text) })
    .completeText("Hi");
  assertEquals([completed.stats, completed.usage], [TIMED, known]);
  // The server's own stats take precedence.
  const both = await decode(json({ ...ANSWER, ...more, stats: { tokens_per_second: 7 } }));
  assertEquals(both.stats, { tokensPerSecond: 7, source: "server" });
});

Deno.test("answer: implausible numbers are dropped", async () => {
  const wild = (text: string): string =>
    text.replaceAll('"WILD"', "1e999").replaceAll('"BIG"', "1e308");
  const all = (value: string) => ({
    usage: {
      prompt_tokens: value,
      completion_tokens: value,
      total_tokens: value,
      prompt_tokens_details: { cached_tokens: value },
      completion_tokens_details: { reasoning_tokens: value },
    },
    stats: {
      tokens_per_second: value,
      time_to_first_token: value,
      generation_time: value,
      model_load_time_seconds: value,
      total_draft_tokens_count: value,
    },
    timings: { prompt_ms: value, predicted_ms: value, predicted_per_second: value, draft_n: value },
  });
  for (const value of ["WILD", "BIG"]) {
    const text = wild(JSON.stringify({ ...ANSWER, ...all(value) }));
    const headers = { "content-type": "application/json" };
    const { usage, stats } = await decode({ headers, body: text });
    assertEquals([usage, stats?.source], [undefined, "measured"]);
  }
  // Each alone is possible, both together are not.
  const huge = wild(JSON.stringify({
    ...ANSWER,
    usage: { prompt_tokens: "BIG", completion_tokens: 4 },
    stats: { generation_time: "BIG", stop_reason: "eosFound" },
  }));
  const { usage, stats } = await decode({ headers: {}, body: huge });
  assertEquals(usage, { promptTokens: 0, completionTokens: 4, totalTokens: 4 });
  assertEquals(stats, { stopReason: "eosFound", source: "server" });
});

Deno.test("answer: from a server that names neither model nor id", async () => {
  const { model: _, id: __, ...anonymous } = ANSWER;
  const response = await decode(json(anonymous));
  assertEquals([response.model, response.id], [MODEL, ""]);
});

Deno.test("answer: anything that is not an answer is a ParseError", async (t) => {
  const bodies: Record<string, string> = {
    "nothing": "",
    "half an answer": '{"id":"chatcmpl-1","choices":[{"ind',
    "null": "null",
    "a text": '"Hi."',
    "a list": "[]",
    "an empty object": "{}",
    "no choices": '{"choices":[]}',
    "choices that are none": '{"choices":{"0":{}}}',
    "no message": '{"choices":[{"index":0,"finish_reason":"stop"}]}',
    "a message that is none": '{"choices":[{"index":0,"message":"Hi."}]}',
    "only another choice": '{"choices":[{"index":1,"message":{"content":"Hi."}}]}',
    "something else": '{"object":"list","data":[]}',
  };
  for (const [name, body] of Object.entries(bodies)) {
    await t.step(name, async () => {
      const error = await failure(decode({ body }));
      assert(error instanceof ParseError, String(error));
      assertEquals(error.code, "malformed_response");
      assertStringIncludes(error.message, `Cannot complete with model "${MODEL}": `);
      assert((error.bodySnippet ?? "").length <= 200);
    });
  }
  await t.step("a page", async () => {
    const error = await failure(decode({ body: "<!doctype html><title>Web UI</title>" }));
    assert(error instanceof ApiError, String(error));
    assertEquals(error.code, "not_lm_studio");
  });
});

Deno.test("answer: an error gets the class its wording implies, under 200 too", async () => {
  const crashed = await failure(decode(fixtureAnswer("errors/crashed_null.json", 400)));
  const sameWith200 = await failure(decode(fixtureAnswer("errors/crashed_null.json", 200)));
  for (const error of [crashed, sameWith200]) {
    assert(error instanceof ApiError);
    assertEquals(error.code, "model_crashed");
  }
  const overflow = await failure(decode(fixtureAnswer("errors/context_llama_server.json", 400)));
  assert(overflow instanceof InvalidRequestError);
  assertEquals([overflow.code, overflow.promptTokens, overflow.contextLength], [
    "context_overflow",
    270_010,
    262_144,
  ]);
  const missing = await failure(decode(fixtureAnswer("errors/model_invalid_identifier.json", 400)));
  assert(missing instanceof ModelNotAvailableError);
  assertEquals([missing.code, missing.model], ["model_not_found", MODEL]);
});

Deno.test("complete: an abort rejects with its reason and stops the server", async () => {
  const arrived = gate();
  await using server = serveStub({
    [CHAT]: () => {
      arrived.open();
      return { end: "hang" };
    },
  });
  const controller = new AbortController();
  const { signal } = controller;
  const pending = failure(connect(server, { model: MODEL }).complete("Hi", { signal }));
  await arrived.opened;
  const reason = { why: "enough" };
  controller.abort(reason);
  assertStrictEquals(await pending, reason);
  await server.requests[0]?.left;
});

Deno.test("complete: timeoutMs covers choosing the model, too", async () => {
  await withClock(async (pass) => {
    await using server = serveStub({
      [V1]: () => {
        pass(60_000);
        return fixtureAnswer("listings/v1.json");
      },
      [CHAT]: { end: "hang" },
    });
    const error = await assertRejects(
      () => connect(server).complete("Hi", { timeoutMs: 60_000 }),
      TimeoutError,
    );
    assertEquals([error.code, error.timeoutMs], ["timeout_total", 60_000]);
  });
});

Deno.test("complete: onStatus is called; an exception from it ends the call", async () => {
  await using server = serveStub({ [CHAT]: json(ANSWER) });
  const lmstudio = connect(server, { model: MODEL });
  const phases: string[] = [];
  await lmstudio.complete("Hi", { onStatus: ({ phase }) => void phases.push(phase) });
  assertEquals(phases, ["waiting"]);
  const thrown = new Error("stop this");
  const onStatus = () => {
    throw thrown;
  };
  assertStrictEquals(await failure(lmstudio.complete("Hi", { onStatus })), thrown);
  assertEquals(server.requests.length, 1);
});

Deno.test("complete: 50 at a time, each with its own answer", async () => {
  await using server = serveStub({
    [CHAT]: ({ body }) => {
      const [message] = body.messages as { content: string }[];
      return withMessage({ role: "assistant", content: `You said ${message?.content}` });
    },
  });
  const lmstudio = connect(server, { model: MODEL });
  const answers = await Promise.all(
    Array.from({ length: 50 }, (_, index) => lmstudio.complete(`number ${index}`)),
  );
  assertEquals(
    answers.map(({ content }) => content),
    answers.map((_, index) => `You said number ${index}`),
  );
  assertEquals(server.requests.length, 50);
});

// --- Which model is chosen --------------------------------------------------------------------

interface Listed {
  key: string;
  type?: string;
  /** Ids of its loaded instances. */
  loaded?: string[] | null;
}

function v1Listing(models: readonly Listed[]): StubAnswer {
  return json({
    models: models.map(({ key, type = "llm", loaded = [] }) => ({
      key,
      type,
      display_name: key,
      loaded_instances: loaded?.map((id) => ({ id, config: { context_length: 4096 } })),
    })),
  });
}

const EMBEDDER: Listed = {
  key: "text-embedding-x",
  type: "embedding",
  loaded: ["text-embedding-x"],
};

/** The chosen model, or the error's message, if the request names no model. */
async function chosen(
  routes: StubRoutes,
  options: LMStudioProviderOptions = {},
  request: Partial<CompletionRequest> = {},
): Promise<unknown> {
  await using server = serveStub({
    ...routes,
    [CHAT]: ({ body }) => json({ ...ANSWER, model: body.model }),
  });
  const lmstudio = connect(server, options);
  const whole = await lmstudio.complete({ messages: MESSAGES, ...request }).then(
    () => server.on(CHAT)[0]?.body.model,
    (error) => {
      assert(error instanceof ModelNotAvailableError, String(error));
      assertEquals(error.code, "no_model_loaded");
      assertEquals(server.on(CHAT).length, 0);
      return error;
    },
  );
  return whole;
}

Deno.test("model: the request's or else the configured one, without a listing", async () => {
  assertEquals(await chosen({}, { model: "configured" }, { model: "asked" }), "asked");
  assertEquals(await chosen({}, { model: "configured" }), "configured");
});

Deno.test("model: otherwise the one loaded LLM, never an embedding model", async () => {
  assertEquals(
    await chosen({
      [V1]: v1Listing([
        EMBEDDER,
        { key: "a/one" },
        { key: "b/two", loaded: ["b/two"] },
        { key: "reader", type: "tts", loaded: ["reader"] },
      ]),
    }),
    "b/two",
  );
  assertEquals(
    await chosen({ [V0]: fixtureAnswer("listings/v0.json") }),
    "meta-llama-3.1-8b-instruct",
  );
});

Deno.test("model: two instances of one model count as one, and the request names a loaded one", async () => {
  assertEquals(
    await chosen({ [V1]: v1Listing([{ key: "a/one", loaded: ["a/one:2", "a/one"] }]) }),
    "a/one",
  );
  // If requested by its key, a model loaded under another name would be loaded again.
  assertEquals(
    await chosen({ [V1]: v1Listing([{ key: "a/one", loaded: ["fast"] }]) }),
    "fast",
  );
});

Deno.test("model: several loaded models are an error that names them", async () => {
  const error = await chosen({
    [V1]: v1Listing([
      EMBEDDER,
      { key: "a/one", loaded: ["a/one"] },
      { key: "b/two", loaded: ["b/two"] },
      { key: "c/three" },
    ]),
  });
  assert(error instanceof ModelNotAvailableError);
  assertEquals(error.available, ["a/one", "b/two"]);
  assertStringIncludes(error.message, "several are loaded (a/one, b/two)");
  assertStringIncludes(error.message, "Cannot complete: ");
});

Deno.test("model: no loaded model is an error, and nothing is loaded", async () => {
  const error = await chosen({ [V1]: v1Listing([EMBEDDER, { key: "a/one" }, { key: "b/two" }]) });
  assert(error instanceof ModelNotAvailableError);
  assertStringIncludes(error.message, "none is loaded (downloaded: a/one, b/two)");
  assertEquals(error.available, ["a/one", "b/two"]);
  const only = await chosen({ [V1]: v1Listing([{ key: "a/one" }]) });
  assert(only instanceof ModelNotAvailableError, "one that is downloaded is not loaded");
  const nothing = await chosen({ [V1]: v1Listing([EMBEDDER]) });
  assert(nothing instanceof ModelNotAvailableError);
  assertStringIncludes(nothing.message, "no language model");
});

Deno.test("model: if the state is unknown, the only LLM listed", async () => {
  assertEquals(
    await chosen({ [OPENAI]: fixtureAnswer("listings/openai.json") }),
    "qwen/qwen2.5-vl-7b",
  );
  assertEquals(await chosen({ [V1]: v1Listing([{ key: "a/one", loaded: null }]) }), "a/one");
  const error = await chosen({
    [OPENAI]: json({ data: [{ id: "a/one" }, { id: "b/two" }, { id: "nomic-embed-text" }] }),
  });
  assert(error instanceof ModelNotAvailableError);
  assertStringIncludes(error.message, "the server has several (a/one, b/two)");
});

Deno.test("model: the listing it is chosen from is at most 2 s old", async () => {
  const routes: StubRoutes = {
    [V1]: v1Listing([{ key: "a/one", loaded: ["a/one"] }]),
    [CHAT]: ({ body }) => json({ ...ANSWER, model: body.model }),
  };
  await using server = serveStub(routes);
  const lmstudio = connect(server);
  await withClock(async (pass) => {
    await lmstudio.complete("Hi");
    await lmstudio.complete("Hi");
    assertEquals(server.on(V1).length, 1);
    routes[V1] = v1Listing([{ key: "b/two", loaded: ["b/two"] }]);
    pass(2100);
    assertEquals((await lmstudio.complete("Hi")).model, "b/two");
    assertEquals(server.on(V1).length, 2);
  });
});

Deno.test("model: a failed listing fails the call", async () => {
  await using server = serveStub({ [V1]: fixtureAnswer("errors/auth_missing.json", 401) });
  const error = await failure(connect(server).complete("Hi"));
  assert(isProviderError(error, "authentication"), String(error));
  assertEquals(server.on(CHAT).length, 0);
});

// --- Which model may answer -------------------------------------------------------------------

const LISTED: readonly Listed[] = [
  { key: "qwen/qwen3-8b", loaded: ["qwen/qwen3-8b", "qwen/qwen3-8b:2", "fast"] },
  { key: "google/gemma-3-1b", loaded: ["google/gemma-3-1b", "slow"] },
  { key: "unsloth/qwen3-8b", loaded: [] },
];

/** Requested name, answering name, and whether they mean the same model. */
const SUBSTITUTIONS: [asked: string, answered: string, isSame: boolean][] = [
  ["qwen/qwen3-8b", "qwen/qwen3-8b", true],
  ["QWEN/Qwen3-8B", "qwen/qwen3-8b", true],
  ["qwen/qwen3-8b", "qwen/qwen3-8b:2", true],
  ["qwen/qwen3-8b:2", "qwen/qwen3-8b", true],
  ["qwen/qwen3-8b:2", "qwen/qwen3-8b:3", true],
  ["qwen/qwen3-8b", "qwen3-8b", true],
  ["qwen3-8b", "qwen/qwen3-8b", true],
  ["qwen/qwen3-8b", "qwen/qwen3-8b@q4_k_m", true],
  ["qwen/qwen3-8b@q4_k_m", "qwen/qwen3-8b", true],
  ["qwen3-8b", "qwen/qwen3-8b@q4_k_m:2", true],
  ["qwen/qwen3-8b@Q4_K_M", "qwen/qwen3-8b@q4_k_m", true],
  ["qwen/qwen3-8b", "fast", true],
  ["fast", "qwen/qwen3-8b", true],
  ["fast", "qwen3-8b:2", true],
  ["qwen3-8b", "fast", true],
  ["fast", "fast", true],
  ["fast", "slow", false],
  ["fast", "google/gemma-3-1b", false],
  ["qwen/qwen3-8b", "slow", false],
  ["qwen/qwen3-8b", "google/gemma-3-1b", false],
  ["qwen/qwen3-8b", "qwen/qwen3-8b-instruct", false],
  ["qwen/qwen3-8b", "qwen/qwen3-80b", false],
  ["qwen/qwen3-8b", "unsloth/qwen3-8b", false],
  ["unsloth/qwen3-8b", "fast", false],
  ["nobody/has-it", "qwen/qwen3-8b", false],
  ["any-model-name", "gemma-3-1b:2", false],
];

Deno.test("substitution: which names refer to the same model", async (t) => {
  for (const [asked, answered, isSame] of SUBSTITUTIONS) {
    await t.step(`${asked} ${isSame ? "=" : "≠"} ${answered}`, async () => {
      await using server = serveStub({
        [V1]: v1Listing(LISTED),
        [CHAT]: json({ ...ANSWER, model: answered }),
      });
      const pending = connect(server).complete({ model: asked, messages: MESSAGES });
      if (isSame) return assertEquals((await pending).model, answered);
      const error = await assertRejects(() => pending, ModelNotAvailableError);
      assertEquals([error.code, error.model], ["model_substituted", asked]);
      assertStringIncludes(error.message, `"${answered}" answered instead`);
    });
  }
});

Deno.test("substitution: two variants of one model are not the same", async () => {
  const models = [{
    key: "qwen/qwen3-8b",
    type: "llm",
    loaded_instances: [{ id: "qwen/qwen3-8b@q8_0" }],
    variants: ["qwen/qwen3-8b@q4_k_m", "qwen/qwen3-8b@q8_0"],
  }];
  await using server = serveStub({
    [V1]: json({ models }),
    [CHAT]: json({ ...ANSWER, model: "qwen/qwen3-8b@q8_0" }),
  });
  const lmstudio = connect(server);
  const ask = (model: string) => lmstudio.complete({ model, messages: MESSAGES });
  await ask("qwen/qwen3-8b");
  await ask("qwen/qwen3-8b@q8_0");
  await assertRejects(() => ask("qwen/qwen3-8b@q4_k_m"), ModelNotAvailableError);
});

Deno.test("substitution: equal names need no listing; without one the names decide", async () => {
  await using server = serveStub({
    [V1]: json({ error: "Channel Error" }, 500),
    [CHAT]: json({ ...ANSWER, model: "qwen/qwen3-8b:2" }),
  });
  const lmstudio = connect(server);
  await lmstudio.complete({ model: "qwen3-8b", messages: MESSAGES });
  assertEquals(server.on(V1).length, 0);
  const error = await assertRejects(
    () => lmstudio.complete({ model: "other", messages: MESSAGES }),
    ModelNotAvailableError,
  );
  assertEquals(error.code, "model_substituted");
});

Deno.test("substitution: the error has the answer", async () => {
  await using server = serveStub({
    [V1]: v1Listing(LISTED),
    [CHAT]: fixtureAnswer("answers/substituted.json"),
  });
  const error = await assertRejects(
    () => connect(server).complete({ model: "nobody/has-it", messages: MESSAGES }),
    ModelNotAvailableError,
  );
  const response = error.response as CompletionResponse;
  assertEquals([response.model, response.content], ["gemma-3-1b-it-qat:2", "I am someone else."]);
  assertEquals(error.partial, { content: "I am someone else.", toolCalls: [] });
  assertEquals(error.available, LISTED.map(({ key }) => key));
  assert(!error.message.includes("someone else"), "an answer is not for logs");
});

Deno.test("substitution: ignored or reported", async () => {
  await using server = serveStub({
    [V1]: v1Listing(LISTED),
    [CHAT]: fixtureAnswer("answers/substituted.json"),
  });
  const request = { model: "nobody/has-it", messages: MESSAGES };
  const ignoring = connect(server, { onModelSubstituted: "ignore" });
  assertEquals((await ignoring.complete(request)).model, "gemma-3-1b-it-qat:2");
  assertEquals(server.on(V1).length, 0);

  const told: unknown[] = [];
  const telling = connect(server, { onModelSubstituted: (info) => void told.push(info) });
  const response = await telling.complete(request);
  assertEquals(told, [{
    requested: "nobody/has-it",
    answered: "gemma-3-1b-it-qat:2",
    response,
  }]);
  await telling.complete({ ...request, model: "gemma-3-1b-it-qat" });
  assertEquals(told.length, 1, "not of the same model");

  const thrown = new Error("not with me");
  const throwing = connect(server, {
    onModelSubstituted: () => {
      throw thrown;
    },
  });
  assertStrictEquals(await failure(throwing.complete(request)), thrown);
});

Deno.test("substitution: the listing is requested with the caller's headers", async () => {
  await using server = serveStub({
    [V1]: ({ headers }) =>
      headers.get("authorization") === "Bearer mine"
        ? v1Listing(LISTED)
        : fixtureAnswer("errors/auth_missing.json", 401),
    [CHAT]: json({ ...ANSWER, model: "fast" }),
  });
  const response = await connect(server).complete(
    { model: "qwen/qwen3-8b", messages: MESSAGES },
    { headers: { authorization: "Bearer mine" } },
  );
  assertEquals(response.model, "fast");
});

Deno.test("substitution: waiting for a listing ends with timeoutMs", async () => {
  await using server = serveStub({
    [V1]: { end: "hang" },
    [CHAT]: json({ ...ANSWER, model: "someone/else" }),
  });
  const error = await assertRejects(
    () => connect(server).complete({ model: MODEL, messages: MESSAGES }, { timeoutMs: 100 }),
    ModelNotAvailableError,
  );
  assertEquals(error.code, "model_substituted");
});

Deno.test("substitution: an abort while waiting for the listing rejects with the caller's reason", async () => {
  const asked = gate();
  await using server = serveStub({
    [V1]: () => {
      asked.open();
      return { end: "hang" };
    },
    [CHAT]: json({ ...ANSWER, model: "someone/else" }),
  });
  const controller = new AbortController();
  const { signal } = controller;
  const pending = failure(
    connect(server).complete({ model: MODEL, messages: MESSAGES }, { signal }),
  );
  await asked.opened;
  const reason = new NetworkError("Cannot wait", { code: "connection_reset" });
  controller.abort(reason);
  assertStrictEquals(await pending, reason);
});
