/**
 * Answers to requests with tools: tool calls in the text, an ignored tool choice, reasoning that is sent back, and
 * images from tools.
 */
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import {
  ApiError,
  type CompletionRequest,
  type CompletionResponse,
  fromMcpTool,
  InvalidRequestError,
  isProviderError,
  LMStudioProvider,
  type Message,
  type StreamingChunk,
  type Tool,
  type ToolCallDelta,
} from "../mod.ts";
import {
  createFakeLMStudio,
  type FakeLMStudioOptions,
  type FakeReply,
} from "../src/testing/mod.ts";

const MODEL = { id: "qwen/qwen3-vl-8b", vision: true, loaded: true };
const WEATHER: Tool = {
  name: "get_weather",
  parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
};
const NOW: Tool = { name: "now" };
const ASK = { messages: "What is the weather?", tools: [WEATHER, NOW] } as const;
const OSLO = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Oslo"}}\n</tool_call>';
const ROME = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Rome"}}\n</tool_call>';
const oslo = { name: "get_weather", arguments: '{"city": "Oslo"}', source: "text" };
const rome = { name: "get_weather", arguments: '{"city": "Rome"}', source: "text" };

interface WireMessage {
  role: string;
  content: unknown;
  reasoning_content?: string;
  tool_call_id?: string;
  tool_calls?: { id: string; function: { name: string; arguments: string } }[];
}

function scripted(...replies: FakeReply[]) {
  return served({ replies });
}

function served(options: FakeLMStudioOptions) {
  const fake = createFakeLMStudio({ models: [MODEL], ...options });
  const lmstudio = new LMStudioProvider({ fetch: fake.fetch, env: {}, maxRetries: 0 });
  const bodies = () =>
    fake.requests.filter(({ path }) => path === "/v1/chat/completions")
      .map(({ body }) => body as { messages: WireMessage[]; tool_choice?: string });
  return { lmstudio, bodies, requests: fake.requests };
}

type Ask = (lmstudio: LMStudioProvider, request: CompletionRequest) => Promise<CompletionResponse>;

const WAYS: readonly (readonly [string, Ask])[] = [
  ["whole", (lmstudio, request) => lmstudio.complete(request)],
  ["streamed", (lmstudio, request) => lmstudio.streamCompletion(request).response()],
  ["in a loop", async (lmstudio, request) => (await lmstudio.runTools(request)).response],
  [
    "in a streamed loop",
    async (lmstudio, request) => (await lmstudio.streamTools(request).result()).response,
  ],
];

function everyWay(title: string, test: (ask: Ask) => Promise<void>): void {
  for (const [name, ask] of WAYS) Deno.test(`${title}, ${name}`, () => test(ask));
}

const withoutIds = (calls: readonly object[]) =>
  calls.map((call) => Object.fromEntries(Object.entries(call).filter(([key]) => key !== "id")));

/** One chunk per character. */
const inChunks = (content: string): string[] => [...content];

everyWay("calls in the text are tool calls", async (ask) => {
  const { lmstudio } = scripted({ content: inChunks(`I will look.\n\n${OSLO}\n${ROME}`) });
  const response = await ask(lmstudio, ASK);
  assertEquals(withoutIds(response.toolCalls), [oslo, rome]);
  assertEquals([response.content, response.finishReason], ["I will look.\n\n", "tool_calls"]);
  assertEquals(response.message.content, response.content);
  assertEquals(response.message.toolCalls, response.toolCalls);
  const ids = response.toolCalls.map(({ id }) => id);
  for (const id of ids) assertMatch(id, /^[1-9]\d{8}$/);
  assertEquals(new Set(ids).size, 2);
});

everyWay("calls in the text follow those of the server", async (ask) => {
  const { lmstudio } = scripted({
    content: inChunks(ROME),
    toolCalls: [{ name: "get_weather", arguments: { city: "Oslo" } }],
  });
  const { toolCalls, content } = await ask(lmstudio, ASK);
  assertEquals(content, "");
  assertEquals(toolCalls.map(({ source }) => source).sort(), ["text", undefined]);
  assertEquals(new Set(toolCalls.map(({ id }) => id)).size, 2);
});

everyWay("calls in the reasoning stay reasoning", async (ask) => {
  const { lmstudio } = scripted(
    { content: inChunks(`<think>I could write ${OSLO}.</think>${ROME}`) },
    { reasoning: `I could write ${OSLO}.`, content: inChunks(ROME) },
    // The opening tag was in the prompt: only the end of the stream shows it.
    { content: inChunks(`I could write\n${OSLO}\n</think>\n${ROME}`) },
  );
  for (const gap of [" ", " ", "\n"]) {
    const { toolCalls, content, reasoning } = await ask(lmstudio, ASK);
    assertEquals(withoutIds(toolCalls), [rome]);
    assertEquals([content, reasoning], ["", `I could write${gap}${OSLO}${gap === " " ? "." : ""}`]);
  }
});

everyWay("text is left alone if requested, and if no tool may be called", async (ask) => {
  for (
    const request of [
      { ...ASK, textToolCalls: "leave" },
      { ...ASK, toolChoice: "none" },
      { ...ASK, tools: [] },
      { messages: ASK.messages },
      { ...ASK, tools: [NOW] },
    ] as const
  ) {
    const { lmstudio } = scripted({ content: inChunks(OSLO) });
    const { toolCalls, content, finishReason } = await ask(lmstudio, request);
    assertEquals([toolCalls, content, finishReason], [[], OSLO, "stop"]);
  }
});

everyWay("a requested JSON answer is not a tool call", async (ask) => {
  const content = '{"name": "get_weather", "arguments": {"city": "Oslo"}}';
  const { lmstudio } = scripted({ content: inChunks(content) }, { content: inChunks(content) });
  const schema = { type: "object", properties: {} };
  assertEquals((await ask(lmstudio, { ...ASK, schema })).content, content);
  assertEquals(withoutIds((await ask(lmstudio, ASK)).toolCalls), [oslo]);
});

Deno.test("a stream yields text at once, and a tool call in one chunk", async () => {
  const { lmstudio } = scripted({ content: ["A < b. ", "<tool", OSLO.slice(5), " Wait", "."] });
  const chunks: StreamingChunk[] = [];
  for await (const chunk of lmstudio.streamCompletion(ASK)) chunks.push(chunk);
  const calls: ToolCallDelta[] = chunks.flatMap(({ toolCalls }) => toolCalls ?? []);
  assertEquals(withoutIds(calls), [{ index: 0, ...oslo }]);
  assertEquals(chunks.map(({ content }) => content), ["A < b. ", "", " Wait", ".", ""]);
  assertEquals(chunks.at(-1)?.finishReason, "tool_calls");
});

Deno.test("tool calls from the text and from the wire are in the order in which they arrived", async () => {
  const frame = (delta: object, reason: string | null = null) =>
    `data: ${JSON.stringify({ choices: [{ delta, finish_reason: reason }] })}\n\n`;
  const called = [{ index: 0, id: "wire", function: { name: "now", arguments: "{}" } }];
  const body = [frame({ content: OSLO }), frame({ tool_calls: called }), frame({}, "tool_calls")];
  const fetch = () => Promise.resolve(new Response(body.join("")));
  const stream = new LMStudioProvider({ env: {}, fetch }).streamCompletion({ ...ASK, model: "m" });
  const given: (string | undefined)[] = [];
  for await (const { toolCalls = [] } of stream) given.push(...toolCalls.map(({ id }) => id));
  const { toolCalls } = await stream.response();
  assertEquals(toolCalls.map(({ name }) => name), ["get_weather", "now"]);
  assertEquals(toolCalls.map(({ id }) => id), given);
});

Deno.test("a stream that breaks off loses nothing of an unfinished tool call", async () => {
  const { lmstudio } = served({
    replies: [{ content: ["Look: ", OSLO.slice(0, 20), OSLO.slice(20, 40), OSLO.slice(40)] }],
    faults: [{ path: "/v1/chat/completions", fault: { type: "cut", afterTokens: 3, clean: true } }],
  });
  const error = await assertRejects(() => lmstudio.streamCompletion(ASK).response());
  assert(isProviderError(error));
  assertEquals([error.code, error.partial?.content], [
    "stream_truncated",
    `Look: ${OSLO.slice(0, 40)}`,
  ]);
});

Deno.test("a loop runs tool calls found in the text, and sends them back as tool calls", async () => {
  for (const isStreamed of [false, true]) {
    const { lmstudio, bodies } = scripted({ content: inChunks(`Well. ${OSLO}`) }, "Rain.");
    const cities: unknown[] = [];
    const tools = [{
      ...WEATHER,
      execute: ({ city }: Record<string, unknown>) => cities.push(city),
    }];
    const request = { ...ASK, tools };
    const { response, messages } = isStreamed
      ? await lmstudio.streamTools(request).result()
      : await lmstudio.runTools(request);
    assertEquals([cities, response.content], [["Oslo"], "Rain."]);
    const [, asked, told] = bodies()[1]?.messages ?? [];
    assertEquals(asked?.content, "Well. ");
    assertEquals(asked?.tool_calls?.[0]?.function, { name: oslo.name, arguments: oslo.arguments });
    assertEquals(told?.tool_call_id, asked?.tool_calls?.[0]?.id);
    const [, message] = messages;
    assertEquals(message?.role === "assistant" && message.toolCalls?.[0]?.source, "text");
  }
});

Deno.test("a typed object reports a tool call in the text", async () => {
  const { lmstudio } = scripted({ content: OSLO });
  const schema = { type: "object", properties: {} };
  const error = await assertRejects(() => lmstudio.completeObject({ ...ASK, schema }));
  assertStringIncludes(String(error), "get_weather");
});

everyWay("an ignored tool choice is an error that has the answer", async (ask) => {
  for (
    const [toolChoice, says] of [
      ["required", "the answer had to call a tool but did not"],
      [{ name: "now" }, 'the answer had to call the tool "now" but did not'],
    ] as const
  ) {
    const { lmstudio } = scripted({ reasoning: "Hm.", content: inChunks("It rains.") });
    const error = await assertRejects(() => ask(lmstudio, { ...ASK, toolChoice }));
    assertInstanceOf(error, ApiError);
    assertEquals([error.code, error.retriable], ["tool_choice_ignored", false]);
    assertStringIncludes(error.message, says);
    const { response, partial } = error;
    assertEquals(response?.content, "It rains.");
    assert(response !== undefined && "message" in response);
    assertEquals([response.finishReason, response.reasoning], ["stop", "Hm."]);
    assertEquals(partial, { content: "It rains.", reasoning: "Hm.", toolCalls: [] });
  }
});

everyWay("a tool choice is satisfied by a server's call and by one in the text", async (ask) => {
  for (const toolChoice of ["required", { name: "get_weather" }] as const) {
    const { lmstudio } = scripted(
      { content: inChunks(OSLO) },
      { toolCalls: [{ name: "get_weather", arguments: { city: "Oslo" } }] },
      { toolCalls: [{ name: "getWeather", arguments: { city: "Oslo" } }] },
    );
    for (let at = 0; at < 3; at++) {
      assertEquals((await ask(lmstudio, { ...ASK, toolChoice })).toolCalls.length, 1);
    }
  }
});

everyWay("a tool choice is not satisfied by text that is left alone", async (ask) => {
  const { lmstudio } = scripted({ content: OSLO });
  const request = { ...ASK, toolChoice: "required", textToolCalls: "leave" } as const;
  const error = await assertRejects(() => ask(lmstudio, request));
  assertInstanceOf(error, ApiError);
  assertEquals([error.code, error.response?.content], ["tool_choice_ignored", OSLO]);
});

Deno.test("tool choice: for an answer that was cut the hint is to raise the limit", async () => {
  const { lmstudio } = scripted({ content: "It", finishReason: "length" });
  const error = await assertRejects(() => lmstudio.complete({ ...ASK, toolChoice: "required" }));
  assertInstanceOf(error, ApiError);
  assertStringIncludes(error.hint, "maxTokens");
});

Deno.test("tool choice: a stream yields its chunks before the error, but no final chunk", async () => {
  const { lmstudio } = scripted({ content: ["It ", "rains."] });
  const chunks: StreamingChunk[] = [];
  const error = await assertRejects(async () => {
    const stream = lmstudio.streamCompletion({ ...ASK, toolChoice: "required" });
    for await (const chunk of stream) chunks.push(chunk);
  });
  assertInstanceOf(error, ApiError);
  assertEquals(chunks.map(({ content, isFinal }) => [content, isFinal]), [
    ["It ", false],
    ["rains.", false],
  ]);
});

Deno.test("tool choice: applies only to the first answer of a loop", async () => {
  const { lmstudio } = scripted({ content: OSLO }, "Rain.");
  const tools = [{ ...WEATHER, execute: () => "rain" }];
  const { response } = await lmstudio.runTools({ ...ASK, tools, toolChoice: "required" });
  assertEquals(response.content, "Rain.");
});

Deno.test("invalid values of the fields are refused before anything is sent", async () => {
  const { lmstudio, requests } = scripted("Hi.");
  for (
    const [fields, says] of [
      [{ textToolCalls: "keep" }, 'textToolCalls is "keep", not "parse" or "leave"'],
      [{ textToolCalls: true }, "textToolCalls is true"],
      [{ sendReasoning: "yes" }, 'sendReasoning is "yes", not true or false'],
      [{ sendReasoning: 1 }, "sendReasoning is 1"],
      [
        {
          messages: [{
            role: "assistant",
            toolCalls: [{ id: "1", name: "now", arguments: "{}", source: "json" }],
          }],
        },
        'messages[0].toolCalls[0].source is "json"',
      ],
      [
        { messages: [{ role: "assistant", reasoning: ["Hm."] }], sendReasoning: true },
        "messages[0].reasoning is an array, not a string",
      ],
    ] as const
  ) {
    for (const [, ask] of WAYS) {
      const request = { ...ASK, ...fields } as unknown as CompletionRequest;
      const error = await assertRejects(() => ask(lmstudio, request));
      assertInstanceOf(error, InvalidRequestError);
      assertStringIncludes(error.message, says);
    }
  }
  assertEquals(requests, []);
});

Deno.test("reasoning is sent back if requested", async () => {
  const history: Message[] = [
    { role: "user", content: "Hi." },
    { role: "assistant", content: "Hello.", reasoning: "A greeting." },
    { role: "assistant", content: "Anything else?" },
    { role: "user", content: "No." },
  ];
  for (
    const [sendReasoning, sent] of [[true, "A greeting."], [false, undefined], [
      undefined,
      undefined,
    ]] as const
  ) {
    const { lmstudio, bodies } = scripted("Bye.");
    await lmstudio.complete({ messages: history, sendReasoning });
    const [, first, second] = bodies()[0]?.messages ?? [];
    assertEquals([first?.reasoning_content, second?.reasoning_content], [sent, undefined]);
    assert(!("reasoning_content" in (second ?? {})));
  }
});

Deno.test("reasoning is sent back in a loop, whole and streamed", async () => {
  const tools = [{ ...WEATHER, execute: () => "rain" }];
  for (const isStreamed of [false, true]) {
    const { lmstudio, bodies } = scripted(
      {
        reasoning: "I must look.",
        toolCalls: [{ name: "get_weather", arguments: { city: "Oslo" } }],
      },
      { content: `<think>And again.</think>${ROME}` },
      "Rain.",
    );
    const request = { ...ASK, tools, sendReasoning: true };
    await (isStreamed ? lmstudio.streamTools(request).result() : lmstudio.runTools(request));
    const reasoning = bodies()[2]?.messages.flatMap(({ reasoning_content: text }) => text ?? []);
    assertEquals(reasoning, ["I must look.", "And again."]);
  }
});

// --- Images -----------------------------------------------------------------------------------

const PNG =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==";
const PNG_URL = `data:image/png;base64,${PNG}`;
const PNG_BYTES = Uint8Array.from(atob(PNG), (char) => char.charCodeAt(0));

/** The messages of the second request, after the tools have returned. */
async function toldOf(isStreamed: boolean, ...gives: (() => unknown)[]) {
  const { lmstudio, bodies } = scripted(
    { toolCalls: gives.map((_, at) => ({ name: `tool_${at}` })) },
    "I see.",
  );
  const tools = gives.map((execute, at): Tool => ({ name: `tool_${at}`, execute }));
  const request = { messages: "Look.", tools };
  const { messages, response } = isStreamed
    ? await lmstudio.streamTools(request).result()
    : await lmstudio.runTools(request);
  assertEquals(response.content, "I see.");
  return { sent: bodies()[1]?.messages.slice(2), messages };
}

for (const isStreamed of [false, true]) {
  const way = isStreamed ? "streamed" : "whole";

  Deno.test(`tool images are sent after the results, ${way}`, async () => {
    const { sent, messages } = await toldOf(
      isStreamed,
      () => [{ type: "text", text: "The roof:" }, { type: "image", image: PNG_BYTES }],
      () => "4 degrees",
      () => ({ type: "image", image: PNG_URL, mediaType: "image/png" }),
      () => [{ type: "image", image: new Blob([PNG_BYTES]) }, { type: "image", image: PNG_URL }],
    );
    const url = { type: "image_url", image_url: { url: PNG_URL } };
    assertEquals(sent?.map(({ role, content }) => [role, content]), [
      ["tool", "The roof:\n[image, shown below]"],
      ["tool", "4 degrees"],
      ["tool", "[image, shown below]"],
      ["tool", "[image, shown below]\n[image, shown below]"],
      ["user", [
        { type: "text", text: "The tool tool_0 returned:" },
        url,
        { type: "text", text: "The tool tool_2 returned:" },
        url,
        { type: "text", text: "The tool tool_3 returned:" },
        url,
        url,
      ]],
    ]);
    assertEquals(messages.map(({ role }) => role), [
      "user",
      "assistant",
      ...new Array(4).fill("tool"),
      "user",
      "assistant",
    ]);
    // It can be stored as JSON and sent again.
    assertEquals(JSON.parse(JSON.stringify(messages)), messages);
  });

  Deno.test(`tool images that cannot be sent are named, and do not end the loop, ${way}`, async () => {
    const { sent } = await toldOf(
      isStreamed,
      () => ({ type: "image", image: new Uint8Array([1, 2, 3]), mediaType: "image/png" }),
      () => [
        { type: "text", text: "Two:" },
        { type: "image", image: "data:image/webp;base64,UklGRg==" },
        { type: "image", image: PNG_URL },
      ],
      () => ({ type: "image", image: "http://127.0.0.1:9/a.png" }),
    );
    assertEquals(sent?.slice(0, 3).map(({ content }) => content), [
      "[not shown: image, image/png, 3 bytes]",
      "Two:\n[not shown: image, image/webp, 4 bytes]\n[image, shown below]",
      "[not shown: image, which could not be fetched]",
    ]);
    assertEquals(sent?.length, 4);
  });

  Deno.test(`images: a lookalike is sent as JSON, ${way}`, async () => {
    const values = [
      { type: "image", image: "cat.png" },
      { type: "image", image: PNG_URL, tags: ["cat"] },
      [{ type: "text", text: "no image" }],
      [{ type: "image", image: PNG_URL }, "and more"],
      [],
    ];
    const { sent } = await toldOf(isStreamed, ...values.map((value) => () => value));
    assertEquals(
      sent?.map(({ role, content }) => [role, content]),
      values.map((value) => ["tool", JSON.stringify(value)]),
    );
  });
}

Deno.test("tool images are in the result event", async () => {
  const { lmstudio } = scripted({ toolCalls: [{ name: "now" }] }, "I see.");
  const tools = [{ ...NOW, execute: () => ({ type: "image", image: PNG_BYTES }) }];
  for await (const event of lmstudio.streamTools({ messages: "Look.", tools })) {
    if (event.type !== "result") continue;
    assertEquals(event.result, "[image, shown below]");
    assertEquals(event.images, [{ type: "image", image: PNG_URL }]);
  }
});

Deno.test("images of an MCP tool are sent, except those of a failed call", async () => {
  const content = [
    { type: "text", text: "The roof:" },
    { type: "image", data: PNG, mimeType: "image/png" },
    { type: "image", data: "UklGRg==", mimeType: "image/webp" },
  ];
  for (const isError of [false, true]) {
    const camera = fromMcpTool({ name: "camera", call: () => ({ content, isError }) });
    const { lmstudio, bodies } = scripted({ toolCalls: [{ name: "camera" }] }, "I see.");
    await lmstudio.runTools({ messages: "Look.", tools: [camera] });
    const [result, shown] = bodies()[1]?.messages.slice(2) ?? [];
    const image = isError ? "[not shown: image, image/png, 70 bytes]" : "[image, shown below]";
    assertEquals(
      result?.content,
      `${isError ? "Error: " : ""}The roof:\n${image}\n[not shown: image, image/webp, 4 bytes]`,
    );
    assertEquals(shown?.role, isError ? undefined : "user");
  }
});

Deno.test("a model without vision gets the names of tool images, after one attempt to send them", async () => {
  for (const isStreamed of [false, true]) {
    const calls: FakeReply = { toolCalls: [{ name: "now" }] };
    const { lmstudio, bodies } = served({
      models: [{ id: "qwen/qwen3-8b", loaded: true }],
      replies: [calls, calls, "I see none."],
    });
    const execute = () => [{ type: "text", text: "Noon:" }, { type: "image", image: PNG_URL }];
    const request = { messages: "Look.", tools: [{ ...NOW, execute }] };
    const { messages, response } = isStreamed
      ? await lmstudio.streamTools(request).result()
      : await lmstudio.runTools(request);
    assertEquals(response.content, "I see none.");
    const results = messages.flatMap(({ role, content }) => role === "tool" ? [content] : []);
    assertEquals(results, new Array(2).fill("Noon:\n[not shown: image, image/png, 70 bytes]"));
    assertEquals(bodies().map(({ messages }) => messages.at(-1)?.role), [
      "user",
      "user",
      "tool",
      "tool",
    ]);
  }
});

Deno.test("tool images: an unsupported image in the request is still an error", async () => {
  const { lmstudio } = served({
    models: [{ id: "qwen/qwen3-8b", loaded: true }],
    replies: ["Hi."],
  });
  const content = [{ type: "image" as const, image: PNG_URL }];
  const error = await assertRejects(() =>
    lmstudio.runTools({ messages: [{ role: "user", content }], tools: [NOW] })
  );
  assert(isProviderError(error));
  assertEquals(error.code, "unsupported_content");
});
