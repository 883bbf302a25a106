/**
 * `responses.create` and `responses.stream`: what is sent, every stream in fixtures/responses cut in every way,
 * how streams end, failures and their partial answers, and what the server (here the fake) stores.
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
  type CallOptions,
  type CallStatus,
  InvalidRequestError,
  isProviderError,
  LMStudioProvider,
  type LMStudioProviderOptions,
  ModelNotAvailableError,
  type PartialAnswer,
  type ResponsesAnswer,
  type ResponsesEvent,
  type ResponsesRequest,
  type ResponsesUnknownEvent,
  StreamError,
  type ToolCall,
} from "../mod.ts";
import { createFakeLMStudio, type FakeLMStudioOptions } from "../src/testing/mod.ts";
import { inFakeTime, Puppet } from "./support/puppet.ts";
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
} from "./support/stub_server.ts";
import { rejection } from "./support/wire.ts";

const ROUTE = "POST /v1/responses";
const MODEL = "openai/gpt-oss-20b";
const PNG = new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0, 0]);

function provider(answer: StubAnswer, options: LMStudioProviderOptions = {}): LMStudioProvider {
  return new LMStudioProvider({
    env: {},
    fetch: fetchOf(answer),
    model: MODEL,
    maxRetries: 0,
    ...options,
  });
}

/** A provider in front of the fake, and the bodies it was sent. */
function open(fakeOptions: FakeLMStudioOptions = {}, options: LMStudioProviderOptions = {}) {
  const { fetch, requests } = createFakeLMStudio({ models: [MODEL], ...fakeOptions });
  const lmstudio = new LMStudioProvider({ env: {}, fetch, maxRetries: 0, ...options });
  const bodies = () =>
    requests.filter(({ method }) => method === "POST").map(({ body }) =>
      body as Record<string, unknown>
    );
  return { lmstudio, requests, bodies };
}

/** What was sent for a request. */
async function sent(request: ResponsesRequest): Promise<Record<string, unknown>> {
  let body = "";
  const fetch = (_: unknown, init?: RequestInit) => {
    body = String(init?.body);
    return Promise.resolve(new Response(fixture("responses/text.json")));
  };
  await new LMStudioProvider({ env: {}, fetch, model: MODEL }).responses.create(request);
  return JSON.parse(body);
}

/** What a user sees of a stream. */
interface Seen {
  events: ResponsesEvent[];
  answer?: ResponsesAnswer;
  error?: unknown;
}

async function see(lmstudio: LMStudioProvider, options?: CallOptions): Promise<Seen> {
  const stream = lmstudio.responses.stream({ input: "A prime below 50?" }, options);
  const seen: Seen = { events: [] };
  try {
    for await (const event of stream) seen.events.push(event);
    seen.answer = await stream.response();
  } catch (error) {
    seen.error = error;
    assertStrictEquals(await rejection(stream.response()), error);
  }
  return seen;
}

function frame(event: Record<string, unknown>): string {
  return `data: ${JSON.stringify(event)}\n\n`;
}

const CREATED = frame({ type: "response.created", response: { id: "r", model: MODEL } });
const COMPLETED = frame({
  type: "response.completed",
  response: { id: "r", status: "completed", model: MODEL },
});

const TOOLS_LISTED = frame({
  type: "response.output_item.done",
  output_index: 0,
  item: { id: "mcpl_1", type: "mcp_list_tools", tools: [] },
});

function say(delta: string): string {
  return frame({ type: "response.output_text.delta", output_index: 0, content_index: 0, delta });
}

// --- What is refused --------------------------------------------------------------------------

Deno.test("responses: fields that would be ignored are refused before anything is sent, by both methods", async () => {
  const cases: [request: unknown, says: string][] = [
    [undefined, "the request is undefined, not an object"],
    ["Hi", "the request is a string, not an object"],
    [{}, "input is undefined"],
    [{ input: "" }, "input cannot be empty"],
    [{ input: [] }, "input cannot be empty"],
    [{ input: ["a", ""] }, "input[1] cannot be empty"],
    [{ input: [7] }, "input[0] is 7, not a string or an object"],
    [{ messages: "Hi" }, 'unknown field "messages" (did you mean "input"?)'],
    [{ input: "x", max_tokens: 5 }, 'did you mean "maxOutputTokens"?'],
    [{ input: "x", previous_response_id: "r" }, 'did you mean "previousResponseId"?'],
    [{ input: "x", stream: true }, "use responses.stream() to stream"],
    [{ input: "x", schema: {} }, "ignores `schema` on this route"],
    [{ input: "x", model: " " }, "model cannot be empty"],
    [{ input: "x", instructions: 1 }, "instructions is 1, not a string"],
    [{ input: "x", store: "no" }, 'store is "no", not true or false'],
    [{ input: "x", previousResponseId: "" }, "previousResponseId cannot be empty"],
    [{ input: "x", reasoning: "none" }, 'reasoning is "none"'],
    [{ input: "x", maxOutputTokens: 0 }, "maxOutputTokens is 0"],
    [{ input: "x", topP: 2 }, "topP is 2"],
    [{ input: "x", extraBody: { input: "y" } }, 'extraBody may not set "input"'],
    [{ input: "x", extraBody: { stream: true } }, 'extraBody may not set "stream"'],
    [{ input: [{ role: "tool", content: "4" }] }, "function_call_output"],
    [{ input: [{ role: "robot", content: "4" }] }, 'input[0].role is "robot"'],
    [{ input: [{ role: "user" }] }, "input[0].content is undefined"],
    [{ input: [{ role: "user", content: [{ type: "video" }] }] }, 'content[0].type is "video"'],
    [{ input: [{ type: "function_call_output", call_id: "1", output: "" }] }, '"callId"'],
    [
      { input: [{ type: "function_call_output", callId: "1", output: {} }] },
      "is an object, not a string",
    ],
    [{ input: [{ type: "function_call", callId: "1", name: "f" }] }, "arguments is undefined"],
    [{ input: [{ type: "item_reference" }] }, "input[0].id is undefined"],
    [{ input: [{ type: "tool_result", callId: "1" }] }, 'input[0].type is "tool_result"'],
    [{ input: "x", tools: [{ name: "f" }, { name: "f" }] }, "used twice"],
    [{ input: "x", tools: [{ type: "function", function: { name: "f" } }] }, "another route"],
    [{ input: "x", tools: [{ name: "f", parameters: { type: "array" } }] }, 'type "array"'],
    [{ input: "x", toolChoice: { name: "g" }, tools: [{ name: "f" }] }, 'names "g"'],
    [{ input: "x", tools: [{ type: "mcp", serverUrl: "https://x" }] }, "serverLabel is undefined"],
    [{ input: "x", tools: [{ type: "mcp", serverLabel: "l", server_url: "u" }] }, '"serverUrl"'],
    [
      { input: "x", tools: [{ type: "mcp", serverLabel: "l", serverUrl: "x" }] },
      "not an http or https URL",
    ],
  ];
  const { lmstudio, requests } = open();
  for (const [request, says] of cases) {
    const asked = request as ResponsesRequest;
    const stream = lmstudio.responses.stream(asked);
    for (const call of [lmstudio.responses.create(asked), stream.response()]) {
      const error = await assertRejects(() => call, InvalidRequestError);
      assertStringIncludes(error.message, says);
      assertEquals(error.attempts, 0);
    }
  }
  const bad = { timeout: 5 } as CallOptions;
  await assertRejects(() => lmstudio.responses.create({ input: "x" }, bad), InvalidRequestError);
  assertEquals(requests, []);
});

Deno.test("responses: a refusal shows neither prompts nor header values", async () => {
  const secret = "sk-very-secret";
  const prompt = "my private question";
  const mcp = { type: "mcp", serverLabel: "l", serverUrl: `ftp://x?key=${secret}` };
  const requests = [
    { input: [{ type: "function_call_output", callId: 7, output: prompt }] },
    { input: [{ role: "user", content: { text: prompt } }] },
    { input: "x", tools: [mcp] },
    { input: "x", tools: [{ ...mcp, serverUrl: "http://x", headers: { a: `${secret}\n` } }] },
    { input: "x", tools: [{ ...mcp, serverUrl: "http://x", headers: { [`a: ${secret}`]: "" } }] },
  ];
  const { lmstudio } = open();
  for (const request of requests) {
    const error = await rejection(lmstudio.responses.create(request as never));
    assertInstanceOf(error, InvalidRequestError);
    const told = `${error.message}${error.hint}${JSON.stringify(error)}`;
    assert(!told.includes(secret) && !told.includes(prompt), told);
  }
});

// --- What is sent -----------------------------------------------------------------------------

Deno.test("responses: settings under the names of the route, and none that was not set", async () => {
  assertEquals(await sent({ input: "Hi" }), { model: MODEL, input: "Hi" });
  const undef = { model: undefined, store: undefined, tools: undefined, reasoning: undefined };
  assertEquals(await sent({ input: "Hi", ...undef }), { model: MODEL, input: "Hi" });
  assertEquals(
    await sent({
      input: "Hi",
      instructions: "Be brief.",
      previousResponseId: "resp_1",
      store: false,
      reasoning: "low",
      maxOutputTokens: 9,
      temperature: 0,
      topP: 0.5,
      extraBody: { ttl: 60, top_p: undefined },
    }),
    {
      model: MODEL,
      input: "Hi",
      instructions: "Be brief.",
      previous_response_id: "resp_1",
      store: false,
      reasoning: { effort: "low" },
      max_output_tokens: 9,
      temperature: 0,
      top_p: 0.5,
      ttl: 60,
    },
  );
  for (const reasoning of ["off", "on"] as const) {
    assertEquals((await sent({ input: "Hi", reasoning })).reasoning, undefined);
  }
  assertEquals((await sent({ input: "Hi", maxOutputTokens: -1 })).max_output_tokens, undefined);
});

Deno.test("responses: messages, images, tool calls and their results as items", async () => {
  const { input } = await sent({
    input: [
      "Hello",
      "there",
      { role: "developer", content: "Be brief." },
      { role: "user", content: [{ type: "text", text: "What?" }, { type: "image", image: PNG }] },
      { type: "message", role: "assistant", content: [{ type: "text", text: "A dot." }] },
      { type: "function_call", callId: "1", name: "look", arguments: "{}" },
      { type: "function_call_output", callId: "1", output: "red" },
      { type: "item_reference", id: "msg_1" },
    ],
  });
  assertEquals(input, [
    { type: "message", role: "user", content: "Hello\n\nthere" },
    { type: "message", role: "developer", content: "Be brief." },
    {
      type: "message",
      role: "user",
      content: [
        { type: "input_text", text: "What?" },
        { type: "input_image", image_url: "data:image/png;base64,iVBORw0KGgoAAA==" },
      ],
    },
    { type: "message", role: "assistant", content: [{ type: "output_text", text: "A dot." }] },
    { type: "function_call", call_id: "1", name: "look", arguments: "{}" },
    { type: "function_call_output", call_id: "1", output: "red" },
    { type: "item_reference", id: "msg_1" },
  ]);
});

Deno.test("responses: the items of an answer can be sent back unchanged", async () => {
  for (const name of ["reasoning", "tool_calls", "mcp"]) {
    const answer = await provider(fixtureAnswer(`responses/${name}.json`))
      .responses.create({ input: "Hi" });
    const { input } = await sent({ input: ["Hi", ...answer.output] });
    assertEquals(
      (input as unknown[]).slice(1),
      JSON.parse(fixture(`responses/${name}.json`)).output,
    );
  }
});

Deno.test("responses: tools are flat, MCP servers next to them, a named choice sends only that tool", async () => {
  const look = { name: "look", description: "Looks.", parameters: { properties: { at: {} } } };
  const exa = {
    type: "mcp",
    serverLabel: "exa",
    serverUrl: "https://mcp.exa.ai/mcp",
    allowedTools: ["web_search_exa"],
    headers: { "X-Key": "k" },
  } as const;
  const wireLook = {
    type: "function",
    name: "look",
    description: "Looks.",
    parameters: { properties: { at: {} }, type: "object" },
  };
  const { tools, tool_choice } = await sent({
    input: "Hi",
    tools: [look, exa, { name: "now" }],
    toolChoice: "required",
  });
  assertEquals([tool_choice, tools], ["required", [
    wireLook,
    {
      type: "mcp",
      server_label: "exa",
      server_url: "https://mcp.exa.ai/mcp",
      allowed_tools: ["web_search_exa"],
      headers: { "X-Key": "k" },
    },
    { type: "function", name: "now", parameters: { type: "object", properties: {} } },
  ]]);
  const named = await sent({
    input: "Hi",
    tools: [exa, look, { name: "now" }],
    toolChoice: { name: "look" },
  });
  assertEquals([named.tool_choice, named.tools], ["required", [wireLook]]);
});

// --- Whole answers ----------------------------------------------------------------------------

Deno.test("responses.create: what an answer says", async () => {
  const create = (name: string) =>
    provider(fixtureAnswer(`responses/${name}.json`)).responses.create({ input: "Hi" });
  const text = await create("text");
  assertEquals([text.id.slice(0, 9), text.model, text.status], ["resp_e9c4", MODEL, "completed"]);
  assertEquals([text.text, text.reasoning, text.toolCalls], ["41", undefined, []]);
  assert(!("reasoning" in text));
  assertEquals(text.usage, {
    promptTokens: 14,
    completionTokens: 1,
    totalTokens: 15,
    reasoningTokens: 0,
    cachedTokens: 0,
  });
  assertEquals([text.stats.source, text.output[0]?.type], ["measured", "message"]);
  assertEquals(text.raw, JSON.parse(fixture("responses/text.json")));
  const reasoning = await create("reasoning");
  assertEquals([reasoning.text, reasoning.reasoning], [
    "41",
    "We need a prime below 50. 41 will do.",
  ]);
  const tags = await create("think_tags");
  assertEquals([tags.text, tags.reasoning], ["41", "41 is prime."]);
  assertEquals((await create("tool_calls")).toolCalls, [
    { id: "365174485", name: "get_weather", arguments: '{"city":"Zürich"}' },
    { id: "814890118", name: "get_time", arguments: "{}" },
  ]);
  const mcp = await create("mcp");
  assertEquals([mcp.text, mcp.toolCalls], ["Let me look.\n\nIt says: Local AI.", []]);
  assertEquals(mcp.output.map(({ type }) => type), [
    "mcp_list_tools",
    "message",
    "mcp_call",
    "message",
  ]);
  const incomplete = await create("incomplete");
  assertEquals([incomplete.status, incomplete.text], ["incomplete", "The first primes are 2, 3,"]);
});

Deno.test("responses.create: a failed answer rejects, with the partial answer", async () => {
  const error = await rejection(
    provider(fixtureAnswer("responses/failed.json")).responses.create({ input: "Hi" }),
  );
  assert(isProviderError(error, "invalid-request"));
  assertEquals(error.code, "context_overflow");
  assertEquals(error.partial, { content: "The first primes", toolCalls: [] });
  const wordless = await rejection(
    provider(json({ status: "failed", output: [], error: null })).responses.create({ input: "Hi" }),
  );
  assert(isProviderError(wordless, "api"));
  assertEquals([wordless.code, wordless.partial], ["server_error", undefined]);
});

Deno.test("responses: errors have the server's wording, in both methods", async (t) => {
  const cases: [name: string, answer: StubAnswer, code: string][] = [
    [
      "previous",
      fixtureAnswer("errors/previous_response.json", 400),
      "previous_response_not_found",
    ],
    ["tools", fixtureAnswer("errors/tools_responses.json", 400), "invalid_tool_schema"],
    ["no model", fixtureAnswer("errors/no_models_responses.json", 400), "no_model_loaded"],
    ["overflow", fixtureAnswer("errors/context_exceeded_responses.json", 500), "context_overflow"],
    ["token", fixtureAnswer("errors/auth_missing.json", 401), "unauthorized"],
    ["a crash under 200", fixtureAnswer("errors/crashed_null.json"), "model_crashed"],
    ["a chat answer", fixtureAnswer("answers/chat.json"), "malformed_response"],
    ["a list", json([]), "malformed_response"],
    ["cut", { body: '{"id":"resp_1","outp' }, "malformed_response"],
    ["a page", { body: "<!doctype html><title>Hi</title>" }, "not_lm_studio"],
    ["an old server", fixtureAnswer("errors/unexpected_endpoint.json"), "unsupported_by_server"],
    ["with 404", fixtureAnswer("errors/unexpected_endpoint.json", 404), "unsupported_by_server"],
  ];
  for (const [name, answer, code] of cases) {
    await t.step(name, async () => {
      const { responses } = provider(answer);
      const stream = responses.stream({ input: "Hi" });
      for (const call of [responses.create({ input: "Hi" }), stream.response()]) {
        const error = await rejection(call);
        assert(isProviderError(error), String(error));
        assertEquals([error.code, error.attempts], [code, 1]);
        if (code === "unsupported_by_server") assertStringIncludes(error.hint ?? "", "0.3.29");
      }
    });
  }
});

Deno.test("responses: header values of MCP servers are masked if the server echoes them", async () => {
  const secret = "Bearer hush-hush-token";
  const message = `Invalid input: {"headers":{"Authorization":"${secret}"}} or hush-hush-token`;
  const mcp = {
    type: "mcp",
    serverLabel: "l",
    serverUrl: "http://x",
    headers: { A: secret },
  } as const;
  for (const body of [{ error: { message, param: "tools.0" } }, { said: message }]) {
    const { responses } = provider(json(body, "error" in body ? 400 : 200));
    const request = { input: "Hi", tools: [mcp] };
    for (const call of [responses.create(request), responses.stream(request).response()]) {
      const error = await rejection(call);
      assert(isProviderError(error));
      const told = `${error.message}${JSON.stringify(error)}${Deno.inspect(error)}`;
      assert(!told.includes("hush"), told);
    }
  }
});

// --- Streams ----------------------------------------------------------------------------------

interface Expected {
  text?: string;
  reasoning?: string;
  toolCalls?: ResponsesAnswer["toolCalls"];
  output?: string[];
  status?: string;
  code?: string;
  partial?: PartialAnswer;
}

const REASONING = "We need a prime below 50. 41 will do.";
const CALL = { id: "365174485", name: "get_weather", arguments: '{"city":"Zürich"}' };
const BROKEN: PartialAnswer = { content: "The first primes", toolCalls: [] };
/** Two tool calls, whatever the later events keep of their arguments. */
function weatherCalls(zurich: string, bern: string): ToolCall[] {
  return [
    { id: zurich, name: "get_weather", arguments: '{"city":"Zürich"}' },
    { id: bern, name: "get_weather", arguments: '{"city":"Bern"}' },
  ];
}
const STREAMS: Readonly<Record<string, Expected>> = {
  "arguments_deltas_only.sse": {
    text: "",
    toolCalls: weatherCalls("call_5561029384756102", "call_6672130495867213"),
    output: ["function_call", "function_call"],
  },
  "arguments_done_only.sse": {
    text: "",
    toolCalls: weatherCalls("call_7310284659031847", "call_1948375026471936"),
    output: ["function_call", "function_call"],
  },
  "documented.sse": { text: "Hello", output: [] },
  "done_only.sse": { text: "41" },
  "error.sse": { code: "model_unloaded", partial: BROKEN },
  "error_frame.sse": { code: "context_overflow", partial: BROKEN },
  "error_nested.sse": { code: "model_crashed" },
  "failed.sse": { code: "context_overflow", partial: BROKEN },
  "incomplete.sse": { text: "The first primes are 2, 3,", status: "incomplete" },
  "mcp.sse": {
    text: "It says: Local AI.",
    output: ["mcp_list_tools", "mcp_call", "message"],
  },
  "mcp_failed.sse": { text: "I could not look." },
  "reasoning.sse": { text: "41", reasoning: REASONING, output: ["reasoning", "message"] },
  "reasoning_done_only.sse": { text: "41", reasoning: REASONING, output: [] },
  "recorded_call.sse": {
    text: "I will look.",
    reasoning: "They ask for the weather.",
    toolCalls: [{ ...CALL, id: "call_2025306790300011" }],
    output: ["reasoning", "message", "function_call"],
  },
  "refusal.sse": { text: "" },
  "summary.sse": {
    text: "41",
    reasoning: "Looking for a prime.",
    output: ["reasoning", "message"],
  },
  "text.sse": { text: "41 – prime, wie schön 🎉" },
  "tool_calls.sse": { text: "", toolCalls: [CALL], output: ["function_call"] },
  "truncated.sse": { code: "stream_truncated", partial: BROKEN },
  "unknown.sse": { text: "41" },
};

Deno.test("responses.stream: every stream is in the table", () => {
  assertEquals(Object.keys(STREAMS).sort(), fixtureNames("responses", ".sse"));
});

/** The events of a stream, read frame by frame. */
function wireEvents(text: string): { type?: string }[] {
  return [...text.matchAll(/^data: (\{.*)$/gm)].map(([, data = ""]) => JSON.parse(data));
}

for (const [name, expected] of Object.entries(STREAMS)) {
  Deno.test(`responses.stream: ${name}, whole and one byte at a time`, async () => {
    const text = fixture(`responses/${name}`);
    const bodies: (string | readonly BodyChunk[])[] = [text, cut(text, 1), cut(text, 7)];
    for (const body of bodies) {
      const { events: seen, answer, error } = await see(provider(events(body)));
      // All of them, as on the wire; only a frame that is not an event is left to the error.
      assertEquals<unknown>(seen, wireEvents(text).filter(({ type }) => type !== undefined));
      if (expected.code !== undefined) {
        assert(isProviderError(error), String(error));
        assertEquals([error.code, error.partial], [expected.code, expected.partial]);
        continue;
      }
      assertEquals(error, undefined);
      assert(answer !== undefined);
      const { toolCalls = [], status = "completed", output = ["message"] } = expected;
      assertEquals([answer.text, answer.reasoning], [expected.text, expected.reasoning]);
      assertEquals([answer.toolCalls, answer.status, answer.model], [toolCalls, status, MODEL]);
      if (name !== "unknown.sse") assertEquals(answer.output.map(({ type }) => type), output);
      // The items to send back have the model's text.
      assertEquals(
        answer.output.filter(({ type }) => type === "function_call").map((item) => item.arguments),
        output.includes("function_call") ? toolCalls.map((call) => call.arguments) : [],
      );
      assertEquals(answer.id.slice(0, 9), "resp_e9c4");
      assertEquals(answer.stats.source, "measured");
    }
  });
}

Deno.test("responses.stream: every known type of event is in a fixture", () => {
  const known = Object.keys(
    {
      "response.created": 1,
      "response.queued": 1,
      "response.in_progress": 1,
      "response.completed": 1,
      "response.incomplete": 1,
      "response.failed": 1,
      "response.output_item.added": 1,
      "response.output_item.done": 1,
      "response.content_part.added": 1,
      "response.content_part.done": 1,
      "response.output_text.delta": 1,
      "response.output_text.done": 1,
      "response.output_text.annotation.added": 1,
      "response.reasoning_text.delta": 1,
      "response.reasoning_text.done": 1,
      "response.reasoning_summary_part.added": 1,
      "response.reasoning_summary_part.done": 1,
      "response.reasoning_summary_text.delta": 1,
      "response.reasoning_summary_text.done": 1,
      "response.refusal.delta": 1,
      "response.refusal.done": 1,
      "response.function_call_arguments.delta": 1,
      "response.function_call_arguments.done": 1,
      "response.mcp_call_arguments.delta": 1,
      "response.mcp_call_arguments.done": 1,
      "response.mcp_list_tools.in_progress": 1,
      "response.mcp_list_tools.completed": 1,
      "response.mcp_list_tools.failed": 1,
      "response.mcp_call.in_progress": 1,
      "response.mcp_call.completed": 1,
      "response.mcp_call.failed": 1,
      "error": 1,
    } satisfies Record<ResponsesEvent["type"], 1>,
  );
  const seen = new Set(
    fixtureNames("responses", ".sse").flatMap((name) => wireEvents(fixture(`responses/${name}`)))
      .map(({ type }) => type),
  );
  assertEquals(known.filter((type) => !seen.has(type)), []);
});

/** Every known event has its own fields. The compiler is the test. */
function tell(event: ResponsesEvent): string {
  switch (event.type) {
    case "response.created":
    case "response.queued":
    case "response.in_progress":
    case "response.completed":
    case "response.incomplete":
    case "response.failed":
      return event.response.id;
    case "response.output_item.added":
    case "response.output_item.done":
      return event.item.type;
    case "response.content_part.added":
    case "response.content_part.done":
    case "response.reasoning_summary_part.added":
    case "response.reasoning_summary_part.done":
      return event.part.type;
    case "response.output_text.delta":
    case "response.reasoning_text.delta":
    case "response.reasoning_summary_text.delta":
    case "response.refusal.delta":
    case "response.function_call_arguments.delta":
    case "response.mcp_call_arguments.delta":
      return event.delta;
    case "response.output_text.done":
    case "response.reasoning_text.done":
    case "response.reasoning_summary_text.done":
      return event.text;
    case "response.refusal.done":
      return event.refusal;
    case "response.output_text.annotation.added":
      return `annotation ${event.annotation_index}`;
    case "response.function_call_arguments.done":
    case "response.mcp_call_arguments.done":
      return event.arguments;
    case "response.mcp_list_tools.in_progress":
    case "response.mcp_list_tools.completed":
    case "response.mcp_list_tools.failed":
    case "response.mcp_call.in_progress":
    case "response.mcp_call.completed":
    case "response.mcp_call.failed":
      return event.item_id;
    case "error":
      return event.message ?? "";
    default: {
      // Only events of unknown types are left in the union.
      const none: never = event;
      const { type }: ResponsesUnknownEvent = none;
      return `unknown ${type}`;
    }
  }
}

Deno.test("responses.stream: an exhaustive switch narrows, and unknown types go to its default", async () => {
  const { events: seen } = await see(provider(events(fixture("responses/unknown.sse"))));
  assertEquals(seen.map(tell).slice(1, 4), [
    "unknown response.prompt_processing.progress",
    "41",
    "unknown lmstudio.note",
  ]);
});

Deno.test("responses.stream: JSON instead of a stream is a single last event", async () => {
  for (const name of ["reasoning", "incomplete"]) {
    const body = fixture(`responses/${name}.json`);
    const { events: seen, answer } = await see(provider({ body }));
    const response = JSON.parse(body);
    assertEquals<unknown>(seen, [{ type: `response.${response.status}`, response }]);
    assertEquals(answer?.raw, response);
    assertEquals(answer?.status, response.status);
  }
  const { events: none, error } = await see(provider(fixtureAnswer("responses/failed.json")));
  assert(isProviderError(error));
  assertEquals([none, error.code, error.partial], [[], "context_overflow", BROKEN]);
});

Deno.test("responses.stream: incomplete ends, and frames that are not events", async (t) => {
  const cases: [name: string, body: string, code: string, partial?: PartialAnswer][] = [
    ["nothing", "", "stream_truncated"],
    ["only [DONE]", "data: [DONE]\n\n", "stream_truncated"],
    ["only comments", ": wait\n\n: wait\n\n", "stream_truncated"],
    ["only the beginning", CREATED, "stream_truncated"],
    [
      "an end that is cut",
      CREATED + say("41") + COMPLETED.trimEnd(),
      "stream_truncated",
      { content: "41", toolCalls: [] },
    ],
    ["no JSON", `${CREATED}data: {"type":"resp\n\n`, "malformed_stream"],
    ["no object", `${CREATED}data: 7\n\n`, "malformed_stream"],
    ["no type", `${CREATED}data: {"choices":[]}\n\n`, "malformed_stream"],
    [
      "an error that is text",
      `${CREATED}event: error\ndata: Model unloaded.\n\n`,
      "model_unloaded",
    ],
    ["an error of another type", frame({ type: "x", error: "Model unloaded." }), "model_unloaded"],
    ["an empty error", frame({ type: "error" }), "server_error"],
    ["failed without words", frame({ type: "response.failed" }), "server_error"],
    [
      "completed, but failed",
      frame({
        type: "response.completed",
        response: { status: "failed", error: "No models loaded" },
      }),
      "no_model_loaded",
    ],
    ["a type that is a number", frame({ type: 7 }), "malformed_stream"],
    ["a type that is a list", frame({ type: ["response.completed"] }), "malformed_stream"],
    [
      "a type that is a list of parts",
      CREATED + say("41") + frame({ type: [{ text: "response.completed" }], response: {} }),
      "malformed_stream",
      { content: "41", toolCalls: [] },
    ],
    ["a type that is an object", frame({ type: { text: "x" } }), "malformed_stream"],
  ];
  for (const [name, body, code, partial] of cases) {
    await t.step(name, async () => {
      const { error } = await see(provider(events(body)));
      assert(isProviderError(error), String(error));
      assertEquals([error.code, error.partial], [code, partial]);
    });
  }
});

Deno.test("responses.stream: items that are missing at the end, misnumbered or odd are not lost", async () => {
  const call = (more: Record<string, unknown>) =>
    frame({ type: "response.function_call_arguments.done", item_id: "fc_1", ...more });
  const cases: [frames: string, expected: Partial<ResponsesAnswer>][] = [
    [say("4") + say("1"), { text: "41" }],
    [frame({ type: "response.output_text.done", text: "41" }), { text: "41" }],
    [say("<think>\n4") + say("1</think>\n\n41"), { text: "41", reasoning: "41" }],
    [say("4") + frame({ type: "response.output_text.delta", delta: null }), { text: "4" }],
    [call({ name: "f", arguments: { a: 1 } }), {
      toolCalls: [{ id: "fc_1", name: "f", arguments: '{"a":1}' }],
    }],
    [frame({ type: "response.output_item.added", item: null }), { text: "" }],
    [
      frame({
        type: "response.output_item.done",
        output_index: 1e9,
        item: { type: "message", id: "m", content: "41" },
      }),
      { text: "41" },
    ],
  ];
  for (const [frames, expected] of cases) {
    const { answer, error } = await see(provider(events(CREATED + frames + COMPLETED)));
    assertEquals(error, undefined);
    const { text, reasoning, toolCalls } = answer!;
    assertEquals({ text, reasoning, toolCalls }, {
      text: "",
      reasoning: undefined,
      toolCalls: [],
      ...expected,
    });
  }
});

// --- Arguments of calls -----------------------------------------------------------------------

/** An item of a tool call; a field that is `undefined` is not sent. */
function callItem(n: number, args: unknown, more: Record<string, unknown> = {}) {
  return {
    type: "function_call",
    id: `fc_${n}`,
    call_id: `call_${n}`,
    name: "add",
    arguments: args,
    ...more,
  };
}

function added(index: number, item: unknown, kind: "added" | "done" = "added"): string {
  return frame({ type: `response.output_item.${kind}`, output_index: index, item });
}

function argumentsEvent(kind: "delta" | "done", fields: Record<string, unknown>): string {
  return frame({ type: `response.function_call_arguments.${kind}`, ...fields });
}

function completed(output: unknown): string {
  const response = { id: "r", status: "completed", model: MODEL, output };
  return frame({ type: "response.completed", response });
}

Deno.test("responses.stream: arguments are not replaced by shorter ones, in toolCalls, output and partial", async (t) => {
  const whole = argumentsEvent("done", { item_id: "fc_1", output_index: 0, arguments: '{"a":1}' });
  const chunks = argumentsEvent("delta", { item_id: "fc_1", output_index: 0, delta: '{"a"' }) +
    argumentsEvent("delta", { item_id: "fc_1", output_index: 0, delta: ":1}" });
  const begun = added(0, callItem(1, ""));
  const over = (args: unknown) => added(0, callItem(1, args), "done");
  const cases: [name: string, frames: string, last?: unknown][] = [
    ["an item with {}", begun + whole + over("{}")],
    ["an item with nothing", begun + whole + over("")],
    ["an item without the field", begun + whole + over(undefined)],
    ["an item with null", begun + whole + over(null)],
    ["an item with an empty object that is spaced", begun + whole + over(" { }\n")],
    ["an item with an object that is empty", begun + whole + over({})],
    ["an item with an empty list", begun + whole + over("[]")],
    ["an item with an empty list of its own", begun + whole + over([])],
    ["an item with an empty text in JSON", begun + whole + over('""')],
    ["an item that is cut", begun + whole + over('{"a":')],
    ["chunks, then nothing", begun + chunks + over("")],
    [
      "chunks, then {} in the event that ends them",
      begun + chunks + argumentsEvent("done", { item_id: "fc_1", arguments: "{}" }) + over("{}"),
    ],
    ["an item that begins with {}", added(0, callItem(1, "{}")) + chunks + over("{}")],
    ["the item alone", begun + over('{"a":1}')],
    ["the item says it as an object", begun + over({ a: 1 })],
    [
      "the item says more than the chunks",
      begun + argumentsEvent("delta", {
        item_id: "fc_1",
        output_index: 0,
        delta: '{"a"',
      }) + over('{"a":1}'),
    ],
    ["the item begins, and only the last event ends it", begun + whole, callItem(1, "{}")],
    ["a last event that says it first", begun + over("{}"), callItem(1, '{"a":1}')],
    ["a last event with another id", begun + whole + over("{}"), callItem(1, "{}", { id: "x" })],
    [
      "a last event without the id of the call",
      begun + whole + over("{}"),
      callItem(1, "", { call_id: undefined }),
    ],
    [
      "ids that change on the way",
      [
        added(0, callItem(1, "", { id: "a" })),
        argumentsEvent("done", { item_id: "b", output_index: 0, arguments: '{"a":1}' }),
        added(0, callItem(1, "{}", { id: "c" }), "done"),
      ].join(""),
      callItem(1, "{}", { id: "d" }),
    ],
    [
      "chunks without any id or place",
      begun + argumentsEvent("done", { arguments: '{"a":1}' }) + over("{}"),
    ],
  ];
  const expected = [{ id: "call_1", name: "add", arguments: '{"a":1}' }];
  const argumentsOf = (value: unknown) => typeof value === "string" ? value : JSON.stringify(value);
  for (const [name, frames, last = callItem(1, "{}")] of cases) {
    await t.step(name, async () => {
      for (const end of [completed([last]), completed([]), COMPLETED]) {
        if (name.startsWith("a last event that says") && end !== completed([last])) continue;
        const { answer, error } = await see(provider(events(CREATED + frames + end)));
        assertEquals(error, undefined);
        assertEquals(answer?.toolCalls, expected);
        assertEquals(answer?.output.map((item) => argumentsOf(item.arguments)), ['{"a":1}']);
        assertEquals(answer?.output[0]?.call_id, "call_1");
      }
      if (name.startsWith("a last event that says")) return;
      const { error } = await see(provider(events(CREATED + frames)));
      assertInstanceOf(error, StreamError);
      assertEquals(error.partial, { content: "", toolCalls: expected });
    });
  }
});

Deno.test("responses.stream: each call keeps its own arguments, however items are counted and named", async (t) => {
  const done = (n: number, more: Record<string, unknown> = {}) =>
    argumentsEvent("done", { item_id: `fc_${n}`, arguments: `{"a":${n}}`, ...more });
  const both = [callItem(1, "{}"), callItem(2, "{}")];
  const [first, second] = both;
  const cases: [name: string, frames: string[]][] = [
    ["one after the other", [
      ...[added(0, first), done(1, { output_index: 0 }), added(0, first, "done")],
      ...[added(1, second), done(2, { output_index: 1 }), added(1, second, "done")],
    ]],
    ["at the same time", [
      ...[added(0, first), added(1, second), done(2, { output_index: 1 })],
      ...[done(1, { output_index: 0 }), added(1, second, "done"), added(0, first, "done")],
    ]],
    ["all counted as the first", [
      ...[added(0, first), done(1, { output_index: 0 }), added(0, first, "done")],
      ...[added(0, second), done(2, { output_index: 0 }), added(0, second, "done")],
    ]],
    ["all counted as the first, at the same time", [
      ...[added(0, first), added(0, second)],
      ...[done(1, { output_index: 0 }), done(2, { output_index: 0 })],
    ]],
    ["told by the id of the call", [
      ...[added(0, { ...first, id: "fc" }), added(1, { ...second, id: "fc" })],
      ...[done(1, { item_id: "fc", call_id: "call_1" }), done(2, { item_id: "call_2" })],
    ]],
    ["no item begins", [
      ...[done(1, { output_index: 0 }), added(0, first, "done")],
      ...[done(2, { output_index: 0 }), added(0, second, "done")],
    ]],
    ["no item begins, at the same time", [
      ...[done(1, { output_index: 0 }), done(2, { output_index: 0 })],
      ...[added(0, first, "done"), added(0, second, "done")],
    ]],
  ];
  for (const [name, frames] of cases) {
    await t.step(name, async () => {
      for (const end of [completed(both), COMPLETED]) {
        const { answer } = await see(provider(events(CREATED + frames.join("") + end)));
        const sorted = answer?.toolCalls.toSorted((a, b) => a.id.localeCompare(b.id));
        assertEquals(
          sorted,
          [1, 2].map((n) => ({
            id: `call_${n}`,
            name: "add",
            arguments: `{"a":${n}}`,
          })),
        );
        assertEquals(
          answer?.output.map((item) => item.arguments).toSorted(),
          ['{"a":1}', '{"a":2}'],
        );
      }
    });
  }
});

Deno.test("responses.stream: later arguments replace earlier ones unless they are empty", async () => {
  const frames = (later: string) =>
    [
      added(0, callItem(1, "")),
      argumentsEvent("done", { item_id: "fc_1", output_index: 0, arguments: '{"a":1}' }),
      added(0, callItem(1, later), "done"),
    ].join("");
  const { answer } = await see(provider(events(CREATED + frames('{"a":2}') + COMPLETED)));
  assertEquals(answer?.toolCalls[0]?.arguments, '{"a":2}');
  // A call without arguments stays without, and never gets another call's.
  const none = added(0, callItem(1, "{}"), "done") + completed([callItem(1, "{}")]);
  assertEquals((await see(provider(events(CREATED + none)))).answer?.toolCalls, [
    { id: "call_1", name: "add", arguments: "{}" },
  ]);
  const other = completed([callItem(2, "{}", { name: "sub" })]);
  assertEquals((await see(provider(events(CREATED + frames("{}") + other)))).answer?.toolCalls, [
    { id: "call_2", name: "sub", arguments: "{}" },
  ]);
});

Deno.test("responses.stream: a tool call without an item, or missing in the last event, is not lost", async () => {
  const done = (n: number, more: Record<string, unknown> = {}) =>
    argumentsEvent("done", { item_id: `fc_${n}`, arguments: `{"a":${n}}`, ...more });
  const both = added(0, callItem(1, "")) + done(1) + added(1, callItem(2, "")) + done(2);
  const message = { type: "message", id: "msg_1", role: "assistant", content: "Adding." };
  const cases: [frames: string, calls: string[], types: string[]][] = [
    [
      both + completed([callItem(1, "{}")]),
      ["call_1", "call_2"],
      ["function_call", "function_call"],
    ],
    [
      both + completed([message]),
      ["call_1", "call_2"],
      ["message", "function_call", "function_call"],
    ],
    [done(1, { name: "add" }) + COMPLETED, ["fc_1"], ["function_call"]],
    [done(1, { name: "add" }) + completed([message]), ["fc_1"], ["message", "function_call"]],
  ];
  for (const [frames, calls, types] of cases) {
    const { answer } = await see(provider(events(CREATED + frames)));
    assertEquals(answer?.toolCalls.map(({ id }) => id), calls);
    assertEquals(answer?.output.map(({ type }) => type), types);
    // The items to send back have each call under the id that its result names.
    const sentBack = answer?.output.filter(({ type }) => type === "function_call");
    assertEquals(sentBack?.map((item) => [item.call_id, item.arguments]), [
      [calls[0], '{"a":1}'],
      ...(calls.length > 1 ? [[calls[1], '{"a":2}']] : []),
    ]);
  }
});

Deno.test("responses.stream: streamed text and reasoning are in the output, even if the items are empty", async () => {
  const reasoning = { type: "reasoning", id: "rs_1", summary: [], content: [] };
  const message = { type: "message", id: "msg_1", role: "assistant", content: [] };
  const frames = frame({
    type: "response.reasoning_text.delta",
    item_id: "rs_1",
    output_index: 0,
    content_index: 0,
    delta: "Hm.",
  }) + added(0, reasoning, "done") + frame({
    type: "response.output_text.done",
    item_id: "msg_1",
    output_index: 1,
    content_index: 0,
    text: "41",
  }) + added(1, message, "done");
  for (const end of [completed([reasoning, message]), completed([]), COMPLETED]) {
    const { answer } = await see(provider(events(CREATED + frames + end)));
    assertEquals([answer?.text, answer?.reasoning], ["41", "Hm."]);
    const { input } = await sent({ input: ["A prime?", ...answer!.output] });
    assertEquals((input as unknown[]).slice(1), [
      { ...reasoning, content: [{ type: "reasoning_text", text: "Hm." }] },
      { ...message, content: [{ type: "output_text", text: "41", annotations: [] }] },
    ]);
  }
});

Deno.test("responses.stream: a call of an MCP server keeps its arguments in output", async () => {
  const item = (args: string) => ({
    type: "mcp_call",
    id: "mcp_1",
    name: "search",
    arguments: args,
  });
  const frames = added(0, item("")) +
    frame({ type: "response.mcp_call_arguments.delta", item_id: "mcp_1", delta: '{"q":' }) +
    frame({ type: "response.mcp_call_arguments.delta", item_id: "mcp_1", delta: '"x"}' }) +
    frame({ type: "response.mcp_call_arguments.done", item_id: "mcp_1", arguments: "" }) +
    added(0, item("{}"), "done");
  for (const end of [completed([item("{}")]), COMPLETED]) {
    const { answer } = await see(provider(events(CREATED + frames + end)));
    assertEquals(answer?.output, [item('{"q":"x"}')]);
    assertEquals(answer?.toolCalls, []);
  }
});

Deno.test("responses: a tool round works even if the fake omits arguments as some servers do", async () => {
  for (const callArguments of ["everywhere", "done-only", "deltas-only"] as const) {
    const { lmstudio, bodies } = open({
      callArguments,
      replies: [{ toolCalls: [{ name: "add", arguments: { a: 1, b: 2 } }] }, "3"],
    });
    const first = await lmstudio.responses.stream({ input: "1 + 2?", store: false }).response();
    assertEquals(first.toolCalls.map((call) => call.arguments), ['{"a":1,"b":2}']);
    const [{ id } = { id: "" }] = first.toolCalls;
    await lmstudio.responses.stream({
      store: false,
      input: [...first.output, { type: "function_call_output", callId: id, output: "3" }],
    }).response();
    const sentBack = bodies()[1]?.input as Record<string, unknown>[];
    assertEquals(sentBack.map((item) => item.arguments), ['{"a":1,"b":2}', undefined]);
  }
});

// --- Who answered -----------------------------------------------------------------------------

Deno.test("responses.stream: another model's answer is an error before any event is yielded", async () => {
  const other = (type: string) =>
    frame({ type, response: { id: "r", model: "other/model", status: "completed" } });
  for (
    const body of [
      other("response.created") + say("x") + COMPLETED,
      CREATED + say("x") + other("response.completed"),
    ]
  ) {
    const { events: seen, error } = await see(provider(events(body)));
    assertInstanceOf(error, ModelNotAvailableError);
    assertEquals([error.code, error.model, seen], ["model_substituted", MODEL, []]);
    assertEquals(error.partial, { content: "x", toolCalls: [] });
    const ignoring = provider(events(body), { onModelSubstituted: "ignore" });
    assertEquals((await see(ignoring)).answer?.text, "x");
  }
  const whole = { ...JSON.parse(fixture("responses/text.json")), model: "other/model" };
  for (const method of ["create", "stream"] as const) {
    const { responses } = provider(json(whole));
    const error = method === "create"
      ? await rejection(responses.create({ input: "x" }))
      : await rejection(responses.stream({ input: "x" }).response());
    assertInstanceOf(error, ModelNotAvailableError);
    assertEquals(error.partial, { content: "41", toolCalls: [] });
    const { response } = error;
    assert(response !== undefined && "output" in response);
    assertEquals(response.text, "41");
  }
});

// --- Leaving and waiting ----------------------------------------------------------------------

Deno.test("responses.stream: break, cancel and abort stop the server", async () => {
  const leave: ((lmstudio: LMStudioProvider, controller: AbortController) => Promise<void>)[] = [
    async ({ responses }) => {
      for await (const event of responses.stream({ input: "x" })) {
        if (event.type === "response.output_text.delta") break;
      }
    },
    async ({ responses }) => {
      const stream = responses.stream({ input: "x" });
      const iterator = stream[Symbol.asyncIterator]();
      await iterator.next();
      await iterator.next();
      await stream.cancel();
      const error = await assertRejects(() => stream.response(), StreamError);
      assertEquals(error.partial, { content: "Waves", toolCalls: [] });
    },
    async ({ responses }, { signal }) => {
      const iterator = responses.stream({ input: "x" }, { signal })[Symbol.asyncIterator]();
      await iterator.next();
      await iterator.next();
    },
  ];
  for (const [index, act] of leave.entries()) {
    const more = gate();
    const body = [CREATED, say("Waves"), more.opened, say(" crash"), COMPLETED];
    await using server = serveStub({ [ROUTE]: events(body, "hang") });
    const controller = new AbortController();
    const lmstudio = new LMStudioProvider({ baseUrl: server.url, env: {}, model: MODEL });
    await act(lmstudio, controller);
    if (index === 2) controller.abort();
    await server.requests[0]!.left;
    more.open();
    assertEquals(server.requests.map(({ hasLeft }) => hasLeft), [true]);
  }
});

Deno.test("responses.stream: nothing is sent before the first pull, and there is one consumer", async () => {
  const { lmstudio, requests } = open();
  const stream = lmstudio.responses.stream({ input: "Hi" });
  assertEquals(requests.length, 0);
  await stream.response();
  await assertRejects(
    async () => {
      for await (const _ of stream);
    },
    InvalidRequestError,
    "already has a consumer",
  );
  const unused = lmstudio.responses.stream({ input: "Hi" });
  await unused.cancel();
  await assertRejects(() => unused.response(), StreamError);
  assertEquals(requests.filter(({ method }) => method === "POST").length, 1);
});

Deno.test("responses.stream: the connection is released after the last event", async () => {
  const body = [CREATED, say("41"), COMPLETED];
  await using server = serveStub({ [ROUTE]: events(body, "hang") });
  const lmstudio = new LMStudioProvider({ baseUrl: server.url, env: {}, model: MODEL });
  assertEquals((await see(lmstudio)).answer?.text, "41");
  await server.requests[0]!.left;
});

Deno.test("responses.stream: only a token ends the wait for the first one, and onStatus follows", async () => {
  await inFakeTime(async (pass) => {
    const puppet = new Puppet();
    const statuses: CallStatus["phase"][] = [];
    const lmstudio = new LMStudioProvider({ env: {}, model: MODEL, fetch: puppet.fetch });
    const seen = see(lmstudio, {
      firstTokenTimeoutMs: 1000,
      idleTimeoutMs: 50,
      onStatus: ({ phase }) => void statuses.push(phase),
    });
    await pass(0);
    puppet.last.respond();
    for (
      const text of [
        CREATED,
        frame({ type: "response.in_progress", response: {} }),
        TOOLS_LISTED,
        say(""),
      ]
    ) {
      await pass(150);
      puppet.last.send(text);
    }
    await pass(150);
    assertEquals(statuses, ["waiting"]);
    puppet.last.send(frame({ type: "response.function_call_arguments.delta", delta: "{" }));
    await pass(40);
    assertEquals(statuses, ["waiting", "generating"]);
    await pass(51);
    const { error } = await seen;
    assert(isProviderError(error, "timeout"));
    assertEquals(error.phase, "idle");
  });
});

Deno.test("responses.stream: without a token the wait times out, whatever other events arrive", async () => {
  await inFakeTime(async (pass) => {
    const puppet = new Puppet();
    const lmstudio = new LMStudioProvider({ env: {}, model: MODEL, fetch: puppet.fetch });
    const seen = see(lmstudio, { firstTokenTimeoutMs: 1000 });
    await pass(0);
    puppet.last.respond();
    while (!puppet.last.isCancelled) {
      puppet.last.send(frame({ type: "response.in_progress", response: {} }));
      await pass(100);
    }
    const { error } = await seen;
    assert(isProviderError(error, "timeout"));
    assertEquals([error.phase, puppet.last.isCancelled], ["first-token", true]);
  });
});

// --- What is retried --------------------------------------------------------------------------

Deno.test("responses: retried after 503 only if the server stores nothing", async () => {
  const { random } = Math;
  Math.random = () => 0;
  try {
    const cases: [request: Partial<ResponsesRequest>, requests: number][] = [
      [{}, 1],
      [{ store: true }, 1],
      [{ store: false }, 3],
      [{ store: false, previousResponseId: "r" }, 1],
      [{ store: false, extraBody: { previous_response_id: "r" } }, 1],
      [{ extraBody: { store: false } }, 3],
    ];
    for (const [request, expected] of cases) {
      for (const method of ["create", "stream"] as const) {
        let requests = 0;
        const fetch = () => {
          requests++;
          return Promise.resolve(new Response("{}", { status: 503 }));
        };
        const { responses } = new LMStudioProvider({ env: {}, fetch, model: MODEL });
        const asked = { input: "Hi", ...request };
        await rejection(
          method === "create" ? responses.create(asked) : responses.stream(asked).response(),
        );
        assertEquals(requests, expected, JSON.stringify(request));
      }
    }
  } finally {
    Math.random = random;
  }
});

// --- Conversations, on the fake ---------------------------------------------------------------

Deno.test("responses: a conversation continues from the previous answer, in both ways", async () => {
  const { lmstudio, bodies } = open({ replies: ["41", "82", "164"] });
  const first = await lmstudio.responses.create({ input: "A prime below 50?" });
  const second = await lmstudio.responses.create({
    input: "Double it.",
    previousResponseId: first.id,
  });
  const stream = lmstudio.responses.stream({ input: "Again.", previousResponseId: second.id });
  const third = await stream.response();
  assertEquals([first.text, second.text, third.text], ["41", "82", "164"]);
  assertEquals(bodies().map((body) => body.previous_response_id), [undefined, first.id, second.id]);
  // The stored conversation counts as part of the prompt.
  assert((second.usage?.promptTokens ?? 0) > (first.usage?.promptTokens ?? 0));
  const unstored = await lmstudio.responses.create({ input: "Hi", store: false });
  const error = await assertRejects(
    () => lmstudio.responses.create({ input: "And?", previousResponseId: unstored.id }),
    InvalidRequestError,
  );
  assertEquals(error.code, "previous_response_not_found");
});

Deno.test("responses: a tool round has the same result, whole and streamed", async () => {
  const call = { id: "7", name: "add", arguments: { a: 1, b: 2 } };
  const tools = [{ name: "add", parameters: { type: "object", properties: {} } }];
  for (const isStreamed of [false, true]) {
    const { lmstudio, bodies } = open({
      replies: [{ reasoning: "Adding.", toolCalls: [call] }, "It is 3."],
    });
    const ask = (request: ResponsesRequest) =>
      isStreamed
        ? lmstudio.responses.stream(request).response()
        : lmstudio.responses.create(request);
    const first = await ask({ input: "1 + 2?", tools });
    assertEquals([first.text, first.reasoning], ["", "Adding."]);
    assertEquals(first.toolCalls, [{ id: "7", name: "add", arguments: '{"a":1,"b":2}' }]);
    const second = await ask({
      previousResponseId: first.id,
      input: first.toolCalls.map(({ id }) => ({
        type: "function_call_output" as const,
        callId: id,
        output: "3",
      })),
      tools,
    });
    assertEquals(second.text, "It is 3.");
    assertEquals(bodies()[1]?.input, [{ type: "function_call_output", call_id: "7", output: "3" }]);
  }
});

Deno.test("responses: without a name the loaded model answers; none or a wrong one is an error", async () => {
  const { lmstudio } = open();
  assertEquals((await lmstudio.responses.create({ input: "Hi" })).model, MODEL);
  const { lmstudio: empty } = open({ models: [{ id: MODEL, loaded: false }] });
  for (const method of ["create", "stream"] as const) {
    const error = method === "create"
      ? await rejection(empty.responses.create({ input: "Hi" }))
      : await rejection(empty.responses.stream({ input: "Hi" }).response());
    assertInstanceOf(error, ModelNotAvailableError);
    assertEquals(error.code, "no_model_loaded");
    const wrong = { model: "nobody/model", input: "Hi" };
    const substituted = method === "create"
      ? await rejection(lmstudio.responses.create(wrong))
      : await rejection(lmstudio.responses.stream(wrong).response());
    assertInstanceOf(substituted, ModelNotAvailableError);
    assertEquals(substituted.code, "model_substituted");
  }
});

Deno.test("responses: concurrent calls do not mix", async () => {
  const { lmstudio } = open({ replies: ({ input }) => `You said ${input}.`, tokenMs: 1 });
  const inputs = ["one", "two", "three", "four"];
  const answers = await Promise.all(
    inputs.map((input, index) =>
      index % 2 === 0
        ? lmstudio.responses.create({ input })
        : lmstudio.responses.stream({ input }).response()
    ),
  );
  assertEquals(answers.map(({ text }) => text), inputs.map((input) => `You said ${input}.`));
});
