/** The AI SDK with `createLMStudio()`: every function of `ai` that uses its models, and the parts that other code reads. */
import {
  APICallError,
  Experimental_DecisionRefusalError as DecisionRefusalError,
  Experimental_DecisionUnsupportedQuestionTypeError as DecisionUnsupportedQuestionTypeError,
  InvalidResponseDataError,
  type LanguageModelV4CallOptions,
  type LanguageModelV4StreamPart,
  LoadSettingError,
  NoSuchModelError,
  UnsupportedFunctionalityError,
} from "npm:@ai-sdk/provider@^4.0.38";
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import {
  createProviderRegistry,
  customProvider,
  embed,
  embedMany,
  experimental_decide as decide,
  extractReasoningMiddleware,
  generateText,
  isStepCount,
  Output,
  RetryError,
  simulateStreamingMiddleware,
  smoothStream,
  streamText,
  tool,
  ToolLoopAgent,
  wrapLanguageModel,
  wrapProvider,
} from "npm:ai@^7.0.173";
import * as z from "zod";
import { isProviderError, LMStudioProvider, type LMStudioProviderOptions } from "../mod.ts";
import { createLMStudio } from "../src/ai_sdk/mod.ts";
import { createFakeLMStudio, type FakeLMStudioOptions } from "../src/testing/mod.ts";
import { rejection } from "./support/wire.ts";

const EMBEDDING_MODEL = "text-embedding-nomic-embed-text-v1.5";
// Warnings are checked and need not be printed as well.
Object.assign(globalThis, { AI_SDK_LOG_WARNINGS: false });
/** A PNG of one pixel. */
const PIXEL =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII=";
const PIXEL_URL = `data:image/png;base64,${PIXEL}`;
const PIXEL_BYTES = Uint8Array.from(atob(PIXEL), (char) => char.charCodeAt(0));

function connect(fakeOptions: FakeLMStudioOptions = {}, options: LMStudioProviderOptions = {}) {
  const fake = createFakeLMStudio({ models: ["m", EMBEDDING_MODEL], ...fakeOptions });
  const lmstudio = createLMStudio({ env: {}, fetch: fake.fetch, ...options });
  /** The bodies of the requests to models. */
  const bodies = () =>
    fake.requests.filter(({ method }) => method === "POST").map(({ body }) =>
      body as Record<string, unknown>
    );
  return { fake, lmstudio, bodies };
}

const user = (
  text: string,
) => [{ role: "user" as const, content: [{ type: "text" as const, text }] }];

async function partsOf(
  stream: ReadableStream<LanguageModelV4StreamPart>,
): Promise<LanguageModelV4StreamPart[]> {
  return await Array.fromAsync(stream);
}

// --- Whole answers ----------------------------------------------------------------------------

Deno.test("ai-sdk: generateText returns text, reasoning, usage, the model and the speed", async () => {
  const usage = {
    promptTokens: 20,
    completionTokens: 9,
    totalTokens: 29,
    reasoningTokens: 4,
    cachedTokens: 12,
  };
  const { lmstudio } = connect({
    replies: [{ reasoning: "It asks for a greeting.", content: "Hi there.", usage }],
  });
  const result = await generateText({ model: lmstudio("m"), prompt: "Hello" });
  assertEquals([result.text, result.reasoningText], ["Hi there.", "It asks for a greeting."]);
  assertEquals([result.finishReason, result.rawFinishReason], ["stop", "stop"]);
  const { inputTokens, inputTokenDetails, outputTokens, outputTokenDetails, totalTokens } =
    result.usage;
  assertEquals([inputTokens, outputTokens, totalTokens], [20, 9, 29]);
  assertEquals([inputTokenDetails.cacheReadTokens, inputTokenDetails.noCacheTokens], [12, 8]);
  assertEquals([outputTokenDetails.reasoningTokens, outputTokenDetails.textTokens], [4, 5]);
  assertEquals((result.usage.raw as { prompt_tokens: number }).prompt_tokens, 20);
  assertEquals(result.response.modelId, "m");
  assertMatch(result.response.id, /./);
  const { stats } = result.providerMetadata?.lmstudio as { stats: Record<string, unknown> };
  assertEquals(typeof stats.tokensPerSecond, "number");
  assertEquals(result.warnings, []);
});

Deno.test("ai-sdk: numbers that the server does not report are not made up", async () => {
  const body = { choices: [{ message: { content: "Hi." }, finish_reason: "odd" }] };
  const { lmstudio } = connect({
    faults: [{ path: "/v1/chat/completions", fault: { type: "respond", status: 200, body } }],
  });
  const { usage, response, finishReason } = await lmstudio("m").doGenerate({ prompt: user("Hi") });
  assertEquals(usage, {
    inputTokens: {
      total: undefined,
      noCache: undefined,
      cacheRead: undefined,
      cacheWrite: undefined,
    },
    outputTokens: { total: undefined, text: undefined, reasoning: undefined },
  });
  assertEquals(response, { modelId: "m", body });
  assertEquals(finishReason, { unified: "other", raw: "odd" });
});

Deno.test("ai-sdk: settings of a call arrive under the server's names", async () => {
  const { lmstudio, bodies } = connect();
  await generateText({
    model: lmstudio("m"),
    instructions: "Be brief.",
    prompt: "Hello",
    maxOutputTokens: 50,
    temperature: 0.2,
    topP: 0.9,
    topK: 40,
    presencePenalty: 0.1,
    frequencyPenalty: 0.3,
    stopSequences: ["END"],
    seed: 7,
    reasoning: "low",
    headers: { "x-trace": "1" },
    providerOptions: { lmstudio: { minP: 0.05, repeatPenalty: 1.1, ttlSeconds: 60 } },
  });
  const { messages, ...rest } = bodies()[0]!;
  assertEquals(messages, [{ role: "system", content: "Be brief." }, {
    role: "user",
    content: "Hello",
  }]);
  assertEquals(rest, {
    model: "m",
    max_tokens: 50,
    temperature: 0.2,
    top_p: 0.9,
    top_k: 40,
    min_p: 0.05,
    presence_penalty: 0.1,
    frequency_penalty: 0.3,
    repeat_penalty: 1.1,
    stop: ["END"],
    seed: 7,
    reasoning_effort: "low",
    ttl: 60,
  });
});

Deno.test("ai-sdk: headers of a call are sent", async () => {
  const { lmstudio, fake } = connect();
  await generateText({ model: lmstudio("m"), prompt: "Hello", headers: { "x-trace": "1" } });
  const { headers } = fake.requests.find(({ method }) => method === "POST")!;
  assertEquals(headers["x-trace"], "1");
  assertStringIncludes(headers["user-agent"] ?? "", "ai/7");
});

Deno.test("ai-sdk: without a model id the configured or else the loaded model answers", async () => {
  const { lmstudio, bodies } = connect();
  await generateText({ model: lmstudio(), prompt: "Hello" });
  const configured = connect({ models: ["m", "n"] }, { model: "n" });
  await generateText({ model: configured.lmstudio(), prompt: "Hello" });
  assertEquals([bodies()[0]?.model, configured.bodies()[0]?.model], ["m", "n"]);
});

Deno.test("ai-sdk: an existing provider can be passed instead of options", async () => {
  const { fetch } = createFakeLMStudio({ replies: ["Hi."] });
  const lmstudio = createLMStudio(new LMStudioProvider({ env: {}, fetch }));
  assertEquals((await generateText({ model: lmstudio(), prompt: "Hello" })).text, "Hi.");
});

Deno.test("ai-sdk: the provider in a registry, as the SDK's default, and under middleware", async () => {
  const { lmstudio } = connect({ replies: () => "<b>Hi.</b>" });
  const registry = createProviderRegistry({ lmstudio });
  const models = [
    registry.languageModel("lmstudio:m"),
    customProvider({ fallbackProvider: lmstudio }).languageModel("m"),
    wrapLanguageModel({
      model: lmstudio("m"),
      middleware: extractReasoningMiddleware({ tagName: "b" }),
    }),
  ];
  const texts = [];
  for (const model of models) {
    const { text, reasoningText } = await generateText({ model, prompt: "Hello" });
    texts.push([text, reasoningText]);
  }
  assertEquals(texts, [["<b>Hi.</b>", undefined], ["<b>Hi.</b>", undefined], ["", "Hi."]]);
  assertEquals(registry.embeddingModel(`lmstudio:${EMBEDDING_MODEL}`).modelId, EMBEDDING_MODEL);
  try {
    Object.assign(globalThis, { AI_SDK_DEFAULT_PROVIDER: lmstudio });
    assertEquals((await generateText({ model: "m", prompt: "Hello" })).text, "<b>Hi.</b>");
  } finally {
    Object.assign(globalThis, { AI_SDK_DEFAULT_PROVIDER: undefined });
  }
});

Deno.test("ai-sdk: middleware that simulates streams, a wrapped provider, and smoothed streams", async () => {
  const { lmstudio } = connect({ replies: () => ({ reasoning: "Hm.", content: "Hi there." }) });
  const middleware = simulateStreamingMiddleware();
  const models = [
    wrapLanguageModel({ model: lmstudio("m"), middleware }),
    wrapProvider({ provider: lmstudio, languageModelMiddleware: middleware }).languageModel("m"),
    lmstudio("m"),
  ];
  for (const model of models) {
    const result = streamText({
      model,
      prompt: "Hello",
      experimental_transform: smoothStream({ delayInMs: null }),
    });
    assertEquals([await result.reasoningText, await result.text], ["Hm.", "Hi there."]);
  }
});

// --- Streams ----------------------------------------------------------------------------------

Deno.test("ai-sdk: streamText yields text and reasoning by chunk, and ends with what generateText returns", async () => {
  const { lmstudio } = connect({
    replies: [{ reasoning: ["Hm", "."], content: ["Hi", " the", "re."] }],
  });
  const result = streamText({ model: lmstudio("m"), prompt: "Hello" });
  const pieces: [string, string][] = [];
  for await (const part of result.stream) {
    if (part.type === "text-delta" || part.type === "reasoning-delta") {
      pieces.push([part.type, part.text]);
    }
  }
  assertEquals(pieces, [
    ["reasoning-delta", "Hm"],
    ["reasoning-delta", "."],
    ["text-delta", "Hi"],
    ["text-delta", " the"],
    ["text-delta", "re."],
  ]);
  assertEquals(await result.finishReason, "stop");
  const { outputTokens, raw } = await result.usage;
  assert(outputTokens !== undefined && outputTokens > 0);
  assertEquals((raw as { completion_tokens: number }).completion_tokens, outputTokens);
  assertEquals((await result.response).modelId, "m");
  assert("stats" in ((await result.providerMetadata)?.lmstudio ?? {}));
});

Deno.test("ai-sdk: the parts of a stream, in their order", async () => {
  const { lmstudio } = connect({
    replies: [{
      reasoning: "Hm.",
      content: ["Let me", " look."],
      toolCalls: [
        { name: "clock", arguments: '{"zone":"UTC"}', id: "1" },
        { name: "weather", arguments: "{}", id: "2" },
      ],
    }],
  });
  const { stream } = await lmstudio("m").doStream({ prompt: user("Hello"), tools: TOOLS });
  const parts = await partsOf(stream);
  assertEquals(
    parts.map((part) =>
      "id" in part && part.type !== "response-metadata" ? `${part.type} ${part.id}` : part.type
    ).filter((name, index, all) => name !== all[index - 1]),
    [
      "stream-start",
      "reasoning-start 0",
      "reasoning-delta 0",
      "reasoning-end 0",
      "text-start 1",
      "text-delta 1",
      "text-end 1",
      "tool-input-start 1",
      "tool-input-delta 1",
      "tool-input-start 2",
      "tool-input-delta 2",
      "tool-input-end 1",
      "tool-call",
      "tool-input-end 2",
      "tool-call",
      "response-metadata",
      "finish",
    ],
  );
  const inputs = new Map<string, string>();
  for (const part of parts) {
    if (part.type !== "tool-input-delta") continue;
    inputs.set(part.id, (inputs.get(part.id) ?? "") + part.delta);
  }
  const calls = parts.filter((part) => part.type === "tool-call");
  assertEquals(calls.map(({ toolName, toolCallId, input }) => [toolName, toolCallId, input]), [
    ["clock", "1", '{"zone":"UTC"}'],
    ["weather", "2", "{}"],
  ]);
  assertEquals([...inputs], [["1", '{"zone":"UTC"}'], ["2", "{}"]]);
  const last = parts.at(-1);
  assert(last?.type === "finish");
  assertEquals(last.finishReason, { unified: "tool-calls", raw: "tool_calls" });
});

const TOOLS: LanguageModelV4CallOptions["tools"] = ["clock", "weather"].map((name) => ({
  type: "function",
  name,
  inputSchema: { type: "object", properties: {} },
}));

Deno.test("ai-sdk: tool calls without ids or with equal ids get unique ids", async () => {
  const replies = [{
    toolCalls: [{ name: "clock", arguments: {}, id: "1" }, {
      name: "weather",
      arguments: {},
      id: "1",
    }],
  }];
  const same = connect({ replies });
  const none = connect({ replies, streamCalls: "under-one-index" });
  for (const { lmstudio } of [same, none]) {
    const { stream } = await lmstudio("m").doStream({ prompt: user("Hello"), tools: TOOLS });
    const calls = (await partsOf(stream)).filter((part) => part.type === "tool-call");
    assertEquals(calls.map(({ toolName }) => toolName), ["clock", "weather"]);
    assertEquals(new Set(calls.map(({ toolCallId }) => toolCallId)).size, 2);
  }
  const { content } = await connect({ replies }).lmstudio("m").doGenerate({
    prompt: user("Hello"),
    tools: TOOLS,
  });
  const ids = content.flatMap((part) => part.type === "tool-call" ? [part.toolCallId] : []);
  assertEquals(new Set(ids).size, 2);
});

Deno.test("ai-sdk: a call's id differs from those of earlier calls in the conversation", async () => {
  // A server that sends no ids: this package then counts the calls of each answer.
  const answer = { choices: [{ message: { tool_calls: [{ function: { name: "clock" } }] } }] };
  const streamed = {
    choices: [{ delta: { tool_calls: [{ index: 0, function: { name: "clock" } }] } }],
  };
  const bodies = [JSON.stringify(answer), `data: ${JSON.stringify(streamed)}\n\ndata: [DONE]\n\n`];
  for (const body of bodies) {
    const { lmstudio, fake } = connect({
      faults: [{ times: 2, path: "/v1/chat/completions", fault: respond(body) }],
      replies: ["Noon."],
    });
    const tools = { clock: tool({ inputSchema: z.object({}), execute: () => "12:00" }) };
    const call = {
      model: lmstudio("m"),
      prompt: "What time is it?",
      tools,
      stopWhen: isStepCount(3),
    };
    const { steps } = body.startsWith("data")
      ? { steps: await streamText(call).steps }
      : await generateText(call);
    const ids = steps.flatMap(({ toolCalls }) => toolCalls.map(({ toolCallId }) => toolCallId));
    assertEquals([ids.length, new Set(ids).size], [2, 2]);
    const { messages } = fake.requests.at(-1)?.body as { messages: { tool_call_id?: string }[] };
    assertEquals(messages.flatMap(({ tool_call_id: id }) => id ?? []), ids);
  }
});

/** A fixed answer: a string is the body of a stream, or of an answer. */
function respond(body: string) {
  const type = body.startsWith("data") ? "text/event-stream" : "application/json";
  return { type: "respond" as const, status: 200, body, headers: { "content-type": type } };
}

Deno.test("ai-sdk: calls with and without ids of their own keep their input apart", async () => {
  // The first call gets the id call_0 here, which is the second one's own.
  const calls = [
    { index: 0, function: { name: "clock", arguments: '{"zone":"UTC"}' } },
    { index: 1, id: "call_0", function: { name: "clock", arguments: '{"zone":"CET"}' } },
  ];
  const frame = { choices: [{ delta: { tool_calls: calls }, finish_reason: "tool_calls" }] };
  const { lmstudio } = connect({
    faults: [{
      path: "/v1/chat/completions",
      fault: respond(`data: ${JSON.stringify(frame)}\n\ndata: [DONE]\n\n`),
    }],
  });
  const { stream } = await lmstudio("m").doStream({ prompt: user("Hello"), tools: TOOLS });
  const parts = await partsOf(stream);
  const inputs = new Map<string, string>();
  for (const part of parts) {
    if (part.type === "tool-input-delta") {
      inputs.set(part.id, (inputs.get(part.id) ?? "") + part.delta);
    }
  }
  const whole = parts.filter((part) => part.type === "tool-call");
  assertEquals(whole.map(({ input }) => input), ['{"zone":"UTC"}', '{"zone":"CET"}']);
  assertEquals(
    whole.map(({ toolCallId }) => inputs.get(toolCallId)),
    whole.map(({ input }) => input),
  );
});

Deno.test("ai-sdk: a call without arguments has an empty object as its input", async () => {
  const reply = { toolCalls: [{ name: "clock", arguments: "" }] };
  const { lmstudio } = connect({ replies: () => reply });
  const call = { prompt: user("What time is it?"), tools: TOOLS };
  const whole = (await lmstudio("m").doGenerate(call)).content;
  const streamed = await partsOf((await lmstudio("m").doStream(call)).stream);
  for (const parts of [whole, streamed]) {
    const inputs = (parts as LanguageModelV4StreamPart[]).flatMap((part) =>
      part.type === "tool-call" ? [part.input] : []
    );
    assertEquals(inputs, ["{}"]);
  }
});

Deno.test("ai-sdk: a call without a name does not end a tool loop", async () => {
  const call = { function: { name: "", arguments: "{}" } };
  const body = JSON.stringify({ choices: [{ message: { tool_calls: [call] } }] });
  const { lmstudio, bodies } = connect({
    faults: [{ path: "/v1/chat/completions", fault: respond(body) }],
    replies: ["Noon."],
  });
  const { text } = await generateText({
    model: lmstudio("m"),
    prompt: "What time is it?",
    tools: { clock: tool({ inputSchema: z.object({}), execute: () => "12:00" }) },
    stopWhen: isStepCount(2),
  });
  assertEquals(text, "Noon.");
  assertStringIncludes(JSON.stringify(bodies()[1]?.messages), "unavailable tool 'unnamed'");
});

Deno.test("ai-sdk: a time that is no date is left out", async () => {
  const body = JSON.stringify({ created: 1e300, choices: [{ message: { content: "Hi." } }] });
  const { lmstudio } = connect({
    faults: [{ path: "/v1/chat/completions", fault: respond(body) }],
  });
  const { response } = await lmstudio("m").doGenerate({ prompt: user("Hi") });
  assertEquals("timestamp" in response, false);
});

Deno.test("ai-sdk: leaving a stream stops the generation", async () => {
  const { lmstudio, fake } = connect({ replies: ["word ".repeat(500)], tokenMs: 2 });
  const { stream } = await lmstudio("m").doStream({ prompt: user("Hello") });
  const reader = stream.getReader();
  await reader.read();
  await reader.read();
  await reader.cancel();
  const request = fake.requests.find(({ path }) => path === "/v1/chat/completions");
  const deadline = performance.now() + 2000;
  while (request?.aborted !== true && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assertEquals(request?.aborted, true);
});

// --- Tools ------------------------------------------------------------------------------------

Deno.test("ai-sdk: a tool loop of streamText runs the tools and sends back their results", async () => {
  const { lmstudio, bodies } = connect({
    replies: [
      {
        reasoning: "I must look.",
        toolCalls: [{ name: "weather", arguments: { city: "Århus" }, id: "c1" }],
      },
      "Rain.",
    ],
  });
  const weather = tool({
    description: "Tells the weather.",
    inputSchema: z.object({ city: z.string() }),
    execute: ({ city }) => ({ city, sky: "rain" }),
  });
  const result = streamText({
    model: lmstudio("m"),
    prompt: "How is it in Århus?",
    tools: { weather },
    stopWhen: isStepCount(4),
  });
  assertEquals(await result.text, "Rain.");
  assertEquals((await result.steps).length, 2);
  const [first, second] = bodies();
  assertEquals(
    (first?.tools as { function: { name: string; description: string } }[]).map((
      { function: f },
    ) => [f.name, f.description]),
    [["weather", "Tells the weather."]],
  );
  assertEquals((second?.messages as unknown[]).slice(1), [
    {
      role: "assistant",
      content: "",
      tool_calls: [{
        id: "c1",
        type: "function",
        function: { name: "weather", arguments: '{"city":"Århus"}' },
      }],
    },
    { role: "tool", tool_call_id: "c1", content: '{"city":"Århus","sky":"rain"}' },
  ]);
});

Deno.test("ai-sdk: an agent runs its tools, and a call that is not approved is told to the model", async () => {
  const call = { name: "clock", arguments: {}, id: "c1" };
  const clock = tool({ inputSchema: z.object({}), execute: () => "12:00" });
  const run = connect({ replies: [{ toolCalls: [call] }, "Noon."] });
  const agent = new ToolLoopAgent({ model: run.lmstudio("m"), tools: { clock } });
  assertEquals(await (await agent.stream({ prompt: "What time is it?" })).text, "Noon.");
  assertEquals(run.bodies().length, 2);

  const asked = connect({ replies: [{ toolCalls: [call] }, "I may not look."] });
  const model = asked.lmstudio("m");
  const tools = { clock: { ...clock, needsApproval: true } };
  const question = { role: "user" as const, content: "What time is it?" };
  const { content, response } = await generateText({ model, messages: [question], tools });
  const request = content.find(({ type }) => type === "tool-approval-request");
  assert(request?.type === "tool-approval-request");
  const { approvalId } = request;
  const { text } = await generateText({
    model,
    tools,
    messages: [question, ...response.messages, {
      role: "tool",
      content: [{ type: "tool-approval-response", approvalId, approved: false, reason: "No." }],
    }],
  });
  assertEquals(text, "I may not look.");
  assertEquals((asked.bodies()[1]?.messages as unknown[]).at(-1), {
    role: "tool",
    tool_call_id: "c1",
    content: "No.",
  });
});

Deno.test("ai-sdk: the tool choice is sent", async () => {
  const reply = { toolCalls: [{ name: "clock", arguments: {} }] };
  const { lmstudio, bodies } = connect({ replies: () => reply });
  const choices: LanguageModelV4CallOptions["toolChoice"][] = [
    { type: "auto" },
    { type: "none" },
    { type: "required" },
    { type: "tool", toolName: "clock" },
  ];
  for (const toolChoice of choices) {
    await lmstudio("m").doGenerate({ prompt: user("Hello"), tools: TOOLS, toolChoice });
  }
  assertEquals(bodies().map(({ tool_choice }) => tool_choice), [
    "auto",
    "none",
    "required",
    "required",
  ]);
  assertEquals((bodies().at(-1)?.tools as unknown[]).length, 1);
});

Deno.test("ai-sdk: tool results of every kind are sent to the model, images included", async () => {
  const { lmstudio, bodies } = connect({ models: [{ id: "m", vision: true }] });
  const result = (toolCallId: string, output: unknown) => ({
    type: "tool-result" as const,
    toolCallId,
    toolName: "look",
    output,
  });
  const call = (toolCallId: string) => ({
    type: "tool-call" as const,
    toolCallId,
    toolName: "look",
    input: {},
  });
  const prompt = [
    ...user("Look."),
    { role: "assistant", content: ["1", "2", "3", "4", "5"].map(call) },
    {
      role: "tool",
      content: [
        result("1", { type: "text", value: "a text" }),
        result("2", { type: "json", value: [1, null] }),
        result("3", { type: "error-text", value: "no such file" }),
        result("4", { type: "execution-denied", reason: "Not today." }),
        result("5", {
          type: "content",
          value: [
            { type: "text", text: "one image" },
            { type: "file", mediaType: "image/png", data: { type: "data", data: PIXEL_BYTES } },
          ],
        }),
      ],
    },
  ] as LanguageModelV4CallOptions["prompt"];
  await lmstudio("m").doGenerate({ prompt });
  const messages = bodies()[0]?.messages as { role: string; content: unknown }[];
  assertEquals(messages.slice(2).map(({ role, content }) => [role, content]), [
    ["tool", "a text"],
    ["tool", "[1,null]"],
    ["tool", "no such file"],
    ["tool", "Not today."],
    ["tool", "one image\n[image, shown below]"],
    ["user", [
      { type: "text", text: "The tool look returned:" },
      { type: "image_url", image_url: { url: PIXEL_URL } },
    ]],
  ]);
});

Deno.test("ai-sdk: tool results within the assistant's message keep their place", async () => {
  const { lmstudio, bodies } = connect();
  await lmstudio("m").doGenerate({
    prompt: [
      ...user("Search."),
      {
        role: "assistant",
        content: [
          { type: "text", text: "I search." },
          { type: "tool-call", toolCallId: "1", toolName: "search", input: { q: "sea" } },
          {
            type: "tool-result",
            toolCallId: "1",
            toolName: "search",
            output: { type: "text", value: "blue" },
          },
          { type: "text", text: "It is blue." },
        ],
      },
      ...user("Sure?"),
    ],
  });
  const messages = bodies()[0]?.messages as { role: string; content: unknown }[];
  assertEquals(messages.map(({ role, content }) => [role, content]), [
    ["user", "Search."],
    ["assistant", "I search."],
    ["tool", "blue"],
    ["assistant", "It is blue."],
    ["user", "Sure?"],
  ]);
});

Deno.test("ai-sdk: images among tool results follow the last result, wherever the results are", async () => {
  const { lmstudio, bodies } = connect({ models: [{ id: "m", vision: true }] });
  const ids = ["1", "2", "3", "4"] as const;
  const [image, second, third, last] = ids.map((toolCallId) => ({
    type: "tool-result" as const,
    toolCallId,
    toolName: "look",
    output: toolCallId === "1"
      ? {
        type: "content" as const,
        value: [{
          type: "file" as const,
          mediaType: "image/png",
          data: { type: "data" as const, data: PIXEL_BYTES },
        }],
      }
      : { type: "text" as const, value: "dark" },
  }));
  const calls = ids.map((toolCallId) => ({
    type: "tool-call" as const,
    toolCallId,
    toolName: "look",
    input: {},
  }));
  await lmstudio("m").doGenerate({
    prompt: [
      ...user("Look."),
      { role: "assistant", content: [...calls, image!, second!] },
      { role: "tool", content: [third!] },
      { role: "tool", content: [last!] },
    ],
  });
  const messages = bodies()[0]?.messages as { role: string }[];
  assertEquals(messages.map(({ role }) => role), [
    "user",
    "assistant",
    "tool",
    "tool",
    "tool",
    "tool",
    "user",
  ]);
});

Deno.test("ai-sdk: a tool call written into the text is a tool call, whole and streamed", async () => {
  const content = 'I look.<tool_call>{"name":"clock","arguments":{}}</tool_call>';
  const { lmstudio } = connect({ replies: () => ({ content, finishReason: "stop" }) });
  const call = { prompt: user("What time is it?"), tools: TOOLS };
  const whole = (await lmstudio("m").doGenerate(call)).content;
  const streamed = await partsOf((await lmstudio("m").doStream(call)).stream);
  for (const parts of [whole, streamed]) {
    const calls = (parts as LanguageModelV4StreamPart[]).filter((part) =>
      part.type === "tool-call"
    );
    assertEquals(calls.map(({ toolName, input }) => [toolName, input]), [["clock", "{}"]]);
    assertEquals(calls[0]?.providerMetadata, { lmstudio: { source: "text" } });
  }
  assertEquals(whole[0], { type: "text", text: "I look." });
});

Deno.test("ai-sdk: a tool call that turns out to be reasoning ends without a tool-call part, and its id is not reused", async () => {
  const pieces = ["clock", "weather"].map((name) =>
    `<tool_call>{"name":"${name}","arguments":{}}</tool_call>`
  );
  // The opening tag was in the prompt: only the closing one shows that the text before it is reasoning.
  const content = pieces.join("\n</think>\n");
  const { lmstudio } = connect({ replies: () => ({ content, finishReason: "stop" }) });
  const call = { prompt: user("How is the weather?"), tools: TOOLS };
  const parts = await partsOf((await lmstudio("m").doStream(call)).stream);
  const begun = new Map(
    parts.flatMap((part) => part.type === "tool-input-start" ? [[part.id, part.toolName]] : []),
  );
  const calls = parts.filter((part) => part.type === "tool-call");
  assertEquals(calls.map(({ toolName }) => toolName), ["weather"]);
  for (const { toolCallId, toolName } of calls) assertEquals(begun.get(toolCallId), toolName);
  const ended = parts.flatMap((part) => part.type === "tool-input-end" ? [part.id] : []);
  assertEquals(ended.toSorted(), [...begun.keys()].toSorted());
});

Deno.test("ai-sdk: a tool choice that the model ignores is an error", async () => {
  const { lmstudio } = connect({ replies: () => "No." });
  const toolChoice = { type: "required" } as const;
  const error = await rejection(
    lmstudio("m").doGenerate({ prompt: user("Hello"), tools: TOOLS, toolChoice }),
  );
  assert(APICallError.isInstance(error));
  assertEquals((error.data as { code: string }).code, "tool_choice_ignored");
});

Deno.test("ai-sdk: reasoning is sent back if providerOptions say so", async () => {
  const { lmstudio, bodies } = connect();
  const prompt: LanguageModelV4CallOptions["prompt"] = [
    ...user("Hello"),
    {
      role: "assistant",
      content: [{ type: "reasoning", text: "Hm." }, { type: "text", text: "Hi." }],
    },
    ...user("Again."),
  ];
  await lmstudio("m").doGenerate({ prompt });
  await lmstudio("m").doGenerate({
    prompt,
    providerOptions: { lmstudio: { sendReasoning: true } },
  });
  const [without, sent] = bodies().map(({ messages }) =>
    (messages as { reasoning_content?: string }[])[1]?.reasoning_content
  );
  assertEquals([without, sent], [undefined, "Hm."]);
});

// --- Structured output ------------------------------------------------------------------------

const City = z.object({ name: z.string(), population: z.number() });
const PARIS = { name: "Paris", population: 2_100_000 };

Deno.test("ai-sdk: Output.object sends the schema and returns the object, whole and streamed", async () => {
  const { lmstudio, bodies } = connect({ replies: () => JSON.stringify(PARIS) });
  const output = Output.object({ schema: City, name: "city", description: "A city." });
  const { output: whole } = await generateText({ model: lmstudio("m"), prompt: "Paris", output });
  const streamed = streamText({ model: lmstudio("m"), prompt: "Paris", output });
  const partial = await Array.fromAsync(streamed.partialOutputStream);
  assertEquals([whole, partial.at(-1), await streamed.output], [PARIS, PARIS, PARIS]);
  const { json_schema } = bodies()[0]?.response_format as {
    json_schema: { name: string; schema: { description: string; required: string[] } };
  };
  assertEquals(json_schema.name, "city");
  assertEquals(json_schema.schema.description, "A city.");
  assertEquals(json_schema.schema.required, ["name", "population"]);
});

Deno.test("ai-sdk: Output.array and Output.choice", async () => {
  const elements = [{ a: 1 }, { a: 2 }];
  const list = connect({ replies: () => JSON.stringify({ elements }) }).lmstudio("m");
  const output = Output.array({ element: z.object({ a: z.number() }) });
  const whole = await generateText({ model: list, prompt: "Two", output });
  const streamed = streamText({ model: list, prompt: "Two", output });
  assertEquals(whole.output, elements);
  assertEquals(await Array.fromAsync(streamed.elementStream), elements);
  const choice = await generateText({
    model: connect({ replies: ['{"result":"sun"}'] }).lmstudio("m"),
    prompt: "The weather?",
    output: Output.choice({ options: ["rain", "sun"] }),
  });
  assertEquals(choice.output, "sun");
});

Deno.test("ai-sdk: JSON without a schema requests any object, with a warning", async () => {
  const { lmstudio, bodies } = connect({ replies: ['{"a":1}'] });
  const { output, warnings } = await generateText({
    model: lmstudio("m"),
    prompt: "Any JSON",
    output: Output.json(),
  });
  assertEquals(output, { a: 1 });
  assertEquals(warnings?.map(({ type }) => type), ["compatibility"]);
  const { type } = bodies()[0]?.response_format as { type: string };
  assertEquals(type, "json_schema");
});

// --- Images and files -------------------------------------------------------------------------

Deno.test("ai-sdk: images and text files in every form are sent", async () => {
  const { lmstudio, bodies } = connect({ models: [{ id: "m", vision: true }] });
  await generateText({
    model: lmstudio("m"),
    messages: [{
      role: "user",
      content: [
        { type: "text", text: "What is this?" },
        { type: "file", data: PIXEL_BYTES, mediaType: "image/*" },
        { type: "file", data: PIXEL, mediaType: "image/png" },
        { type: "file", data: PIXEL_URL, mediaType: "image/png" },
        { type: "file", data: new TextEncoder().encode("Größe"), mediaType: "text/plain" },
      ],
    }],
  });
  const image = { type: "image_url", image_url: { url: PIXEL_URL } };
  const [{ content } = { content: undefined }] = bodies()[0]?.messages as { content: unknown }[];
  assertEquals(content, [
    { type: "text", text: "What is this?" },
    image,
    image,
    image,
    { type: "text", text: "Größe" },
  ]);
});

Deno.test("ai-sdk: other files are refused with the SDK's error, before anything is sent", async () => {
  const { lmstudio, fake } = connect();
  const error = await rejection(generateText({
    model: lmstudio("m"),
    messages: [{
      role: "user",
      content: [{ type: "file", data: new Uint8Array([1]), mediaType: "application/pdf" }],
    }],
  }));
  assert(UnsupportedFunctionalityError.isInstance(error));
  assertEquals(error.functionality, "files of type application/pdf");
  assertStringIncludes(error.message, "LM Studio accepts text and images");
  assertEquals(fake.requests.length, 0);
});

Deno.test("ai-sdk: base64 in either alphabet and media types in any case are read", async () => {
  const { lmstudio, bodies } = connect({ models: [{ id: "m", vision: true }] });
  const url = (base64: string) => base64.replaceAll("+", "-").replaceAll("/", "_");
  // A comment behind the image's end has bytes whose base64 differs in the two alphabets.
  const image = btoa(String.fromCharCode(...PIXEL_BYTES) + "\xfb\xff\xfe");
  assertMatch(image, /[+/]/);
  await lmstudio("m").doGenerate({
    prompt: [{
      role: "user",
      content: [
        { type: "file", mediaType: "TEXT/Plain", data: { type: "data", data: url(btoa("??>>>")) } },
        { type: "file", mediaType: "Image/PNG", data: { type: "data", data: url(image) } },
      ],
    }],
  });
  const [{ content } = { content: undefined }] = bodies()[0]?.messages as { content: unknown }[];
  assertEquals(content, [
    { type: "text", text: "??>>>" },
    { type: "image_url", image_url: { url: `data:image/png;base64,${image}` } },
  ]);
});

Deno.test("ai-sdk: a text file that is not base64 is the SDK's error", async () => {
  const error = await rejection(
    connect().lmstudio("m").doGenerate({
      prompt: [{
        role: "user",
        content: [{ type: "file", mediaType: "text/plain", data: { type: "data", data: "%" } }],
      }],
    }),
  );
  assert(UnsupportedFunctionalityError.isInstance(error));
  assertStringIncludes(error.message, "not base64");
});

/** A conversation in which a tool was called with this input. */
const withInput = (input: unknown): LanguageModelV4CallOptions["prompt"] => [
  ...user("Look."),
  { role: "assistant", content: [{ type: "tool-call", toolCallId: "1", toolName: "look", input }] },
];

Deno.test("ai-sdk: numbers too large for JSON are sent as digits", async () => {
  const { lmstudio, bodies } = connect();
  // A tool's schema may turn its input into a BigInt.
  const output = { type: "json", value: [2n ** 64n] as never } as const;
  await lmstudio("m").doGenerate({
    prompt: [...withInput({ id: 2n ** 64n }), {
      role: "tool",
      content: [{ type: "tool-result", toolCallId: "1", toolName: "look", output }],
    }],
  });
  const [, { tool_calls: [call] }, result] = bodies()[0]?.messages as [
    unknown,
    { tool_calls: [{ function: { arguments: string } }] },
    { content: string },
  ];
  assertEquals(call.function.arguments, '{"id":"18446744073709551616"}');
  assertEquals(result.content, '["18446744073709551616"]');
});

Deno.test("ai-sdk: values that cannot be written as JSON are the SDK's error", async () => {
  const cycle: Record<string, unknown> = {};
  cycle.self = cycle;
  const { lmstudio, fake } = connect();
  const state = [{ type: "json", value: cycle as never }] as const;
  const question = { type: "boolean", instructions: "?" } as const;
  for (
    const call of [
      () => lmstudio("m").doGenerate({ prompt: withInput(cycle) }),
      () => lmstudio("m").doStream({ prompt: withInput(cycle) }),
      () => lmstudio.decisionModel("m").doDecide({ state, questions: { a: question } }),
    ]
  ) {
    const error = await rejection(Promise.resolve(call()));
    assert(APICallError.isInstance(error));
    assert(isProviderError(error.cause, "serialization"));
    assertEquals(error.isRetryable, false);
  }
  assertEquals(fake.requests, []);
});

Deno.test("ai-sdk: parts of kinds that this version does not know are refused or warned of, never lost unnoticed", async () => {
  const { lmstudio, bodies } = connect();
  const part = { type: "hologram" } as never;
  const file = { type: "file", mediaType: "image/png", data: part } as const;
  const result = (output: unknown) => ({
    role: "tool" as const,
    content: [{ type: "tool-result" as const, toolCallId: "1", toolName: "look", output }],
  });
  const prompts = [
    [{ role: "user", content: [part] }],
    [{ role: "user", content: [file] }],
    [part],
    [...withInput({}), result(part)],
    [...withInput({}), result({ type: "content", value: [part] })],
  ] as LanguageModelV4CallOptions["prompt"][];
  for (const prompt of prompts) {
    const error = await rejection(lmstudio("m").doGenerate({ prompt }));
    assert(UnsupportedFunctionalityError.isInstance(error), Deno.inspect(error));
  }
  assertEquals(bodies(), []);
  const { warnings } = await lmstudio("m").doGenerate({
    prompt: [...user("Hello"), { role: "assistant", content: [part] }, ...user("Hello?")],
    tools: [{ type: "hologram", name: "clock" } as never],
    reasoning: "endless" as never,
    responseFormat: { type: "hologram" } as never,
  });
  assertEquals(warnings.map((warning) => "feature" in warning ? warning.feature : ""), [
    'reasoning "endless"',
    "responses of type hologram",
    "tools of type hologram",
    "hologram parts in assistant messages",
  ]);
  assertEquals(bodies().map(({ tools }) => tools), [undefined]);
});

// --- Warnings ---------------------------------------------------------------------------------

Deno.test("ai-sdk: unsupported features cause one warning each, whole and streamed", async () => {
  const { lmstudio } = connect();
  const call: LanguageModelV4CallOptions = {
    prompt: [
      ...user("Hello"),
      { role: "assistant", content: [{ type: "custom", kind: "openai.compaction" }] },
      ...user("Hello?"),
    ],
    tools: [
      { type: "provider", id: "openai.web_search", name: "search", args: {} },
      { type: "function", name: "a", inputSchema: { type: "object" }, strict: true },
      { type: "function", name: "b", inputSchema: { type: "object" }, strict: true },
    ],
    reasoning: "xhigh",
    includeRawChunks: true,
  };
  const { warnings } = await lmstudio("m").doGenerate(call);
  assertEquals(warnings.map((warning) => "feature" in warning ? warning.feature : ""), [
    'reasoning "xhigh"',
    "raw chunks",
    "provider-defined tool openai.web_search",
    "strict tools",
    "custom parts in assistant messages",
  ]);
  const [start] = await partsOf((await lmstudio("m").doStream(call)).stream);
  assertEquals(start, { type: "stream-start", warnings });
});

// --- Errors -----------------------------------------------------------------------------------

Deno.test("ai-sdk: a refused call is an APICallError with our message, and our error as its cause", async () => {
  const { lmstudio } = connect({ apiToken: "sk-lm-abcd1234:abcdefghij0123456789" });
  for (const stream of [false, true]) {
    const call = { prompt: user("a secret prompt") };
    const error = await rejection(
      stream ? lmstudio("m").doStream(call) : lmstudio("m").doGenerate(call),
    );
    assertInstanceOf(error, Error);
    assert(APICallError.isInstance(error));
    assertEquals([error.name, error.statusCode, error.isRetryable], [
      "AI_APICallError",
      401,
      false,
    ]);
    assertStringIncludes(error.message, "apiToken");
    assertStringIncludes(error.url, "127.0.0.1:1234");
    assert(isProviderError(error.cause, "authentication"));
    assertEquals((error.data as { code: string }).code, "unauthorized");
    assert(!Deno.inspect(error, { depth: 9 }).includes("secret prompt"));
  }
});

Deno.test("ai-sdk: each error becomes the matching SDK error", async () => {
  const missing = connect({ substitution: false });
  const noModel = await rejection(
    generateText({ model: missing.lmstudio("nobody/has-it"), prompt: "Hello" }),
  );
  assert(NoSuchModelError.isInstance(noModel) && APICallError.isInstance(noModel));
  assertEquals([noModel.modelId, noModel.modelType], ["nobody/has-it", "languageModel"]);

  const html = connect({
    faults: [{ fault: { type: "respond", status: 200, body: '{"choices":3}' } }],
  });
  const odd = await rejection(
    generateText({ model: html.lmstudio("m"), prompt: "Hello", maxRetries: 0 }),
  );
  assert(InvalidResponseDataError.isInstance(odd) && APICallError.isInstance(odd));

  const webp = new TextEncoder().encode("RIFF\0\0\0\0WEBPVP8 ");
  const image = await rejection(generateText({
    model: connect({ models: [{ id: "m", vision: true }] }).lmstudio("m"),
    messages: [{ role: "user", content: [{ type: "file", data: webp, mediaType: "image/webp" }] }],
  }));
  assert(UnsupportedFunctionalityError.isInstance(image));
  assertStringIncludes(image.message, "WebP");

  let setting: unknown;
  try {
    createLMStudio({ env: {}, baseUrl: "ftp://nowhere" });
  } catch (error) {
    setting = error;
  }
  assert(LoadSettingError.isInstance(setting));
  assertStringIncludes(setting.message, "baseUrl");

  let painting: unknown;
  try {
    connect().lmstudio.imageModel("painter");
  } catch (error) {
    painting = error;
  }
  assert(NoSuchModelError.isInstance(painting));
  assertEquals(painting.modelType, "imageModel");
});

Deno.test("ai-sdk: the SDK retries what is retriable, after the server's delay; this package does not retry", async () => {
  const busy = { fault: { type: "rate-limit" as const, retryAfter: 0.01 } };
  const twice = connect({ faults: [{ times: 2, ...busy }], replies: ["Hi."] });
  const { text } = await generateText({ model: twice.lmstudio("m"), prompt: "Hello" });
  assertEquals([text, twice.bodies().length], ["Hi.", 3]);

  const always = connect({ faults: [{ times: Infinity, ...busy }] });
  const error = await rejection(
    generateText({ model: always.lmstudio("m"), prompt: "Hello", maxRetries: 1 }),
  );
  assert(RetryError.isInstance(error));
  assertEquals(always.bodies().length, 2);
  assert(APICallError.isInstance(error.lastError) && error.lastError.isRetryable);

  const once = connect({ faults: [{ times: Infinity, ...busy }] });
  const single = await rejection(
    generateText({ model: once.lmstudio("m"), prompt: "Hello", maxRetries: 0 }),
  );
  assert(APICallError.isInstance(single));
  assertEquals([single.statusCode, once.bodies().length], [429, 1]);
});

Deno.test("ai-sdk: the provider's maxRetries applies if it is set", async () => {
  const busy = { fault: { type: "rate-limit" as const, retryAfter: 0.01 } };
  const set = connect({ faults: [{ times: 1, ...busy }], replies: ["Hi."] }, { maxRetries: 1 });
  const { text } = await generateText({ model: set.lmstudio("m"), prompt: "Hello", maxRetries: 0 });
  assertEquals([text, set.bodies().length], ["Hi.", 2]);
});

Deno.test("ai-sdk: a broken stream yields the parts so far, then the error, then its end", async () => {
  const { lmstudio } = connect({
    replies: [{ content: ["Hi", " the", "re."] }],
    faults: [{ path: "/v1/chat/completions", fault: { type: "cut", afterTokens: 2 } }],
  });
  const { stream } = await lmstudio("m").doStream({ prompt: user("Hello") });
  const parts = await partsOf(stream);
  assertEquals(parts.map(({ type }) => type), [
    "stream-start",
    "text-start",
    "text-delta",
    "text-delta",
    "text-end",
    "error",
    "finish",
  ]);
  const error = parts.at(-2);
  assert(error?.type === "error" && APICallError.isInstance(error.error));
  assertEquals(error.error.isRetryable, true);
  assert(isProviderError(error.error.cause));
  assertEquals(error.error.cause.partial?.content, "Hi the");
  const end = parts.at(-1);
  assert(end?.type === "finish");
  assertEquals(end.finishReason.unified, "error");
});

Deno.test("ai-sdk: streamRetries repeats a stream that breaks off", async () => {
  const { lmstudio, bodies } = connect({
    replies: ["Hi there.", "Hi again."],
    faults: [{ path: "/v1/chat/completions", fault: { type: "cut", afterTokens: 1 } }],
  });
  const errors: unknown[] = [];
  const result = streamText({
    model: lmstudio("m"),
    prompt: "Hello",
    streamRetries: 1,
    onError: ({ error }) => void errors.push(error),
  });
  assertStringIncludes(await result.text, "Hi again.");
  assertEquals([bodies().length, errors.length], [2, 1]);
  assert(APICallError.isInstance(errors[0]));
});

Deno.test("ai-sdk: a stream that breaks within a tool call ends the call's input", async () => {
  const { lmstudio } = connect({
    replies: [{ toolCalls: [{ name: "clock", arguments: '{"zone":"UTC"}', id: "1" }] }],
    faults: [{ path: "/v1/chat/completions", fault: { type: "cut", afterTokens: 2 } }],
  });
  const { stream } = await lmstudio("m").doStream({ prompt: user("Hello"), tools: TOOLS });
  const types = (await partsOf(stream)).map(({ type }) => type);
  assertEquals(types.filter((type, at) => type !== types[at - 1]), [
    "stream-start",
    "tool-input-start",
    "tool-input-delta",
    "tool-input-end",
    "error",
    "finish",
  ]);
});

Deno.test("ai-sdk: a refused answer was whole: its usage and model are reported", async () => {
  const { lmstudio } = connect({ replies: ["No."] });
  const toolChoice = { type: "required" } as const;
  const call = { prompt: user("Hello"), tools: TOOLS, toolChoice };
  const parts = await partsOf((await lmstudio("m").doStream(call)).stream);
  const [metadata, error, end] = parts.slice(-3);
  assertEquals([metadata?.type, error?.type], ["response-metadata", "error"]);
  assert(metadata?.type === "response-metadata" && end?.type === "finish");
  assertEquals(metadata.modelId, "m");
  assertEquals(end.finishReason, { unified: "error", raw: "stop" });
  assert((end.usage.outputTokens.total ?? 0) > 0);
  assert("stats" in (end.providerMetadata?.lmstudio ?? {}));
});

Deno.test("ai-sdk: a timeout is an error, not an abort", async () => {
  const { lmstudio } = connect({
    faults: [{ path: "/v1/chat/completions", fault: { type: "stall" } }],
  });
  const error = await rejection(generateText({
    model: lmstudio("m"),
    prompt: "Hello",
    maxRetries: 0,
    providerOptions: { lmstudio: { timeoutMs: 50 } },
  }));
  assert(APICallError.isInstance(error));
  assertEquals([error.name, error.isRetryable], ["AI_APICallError", true]);
  assertStringIncludes(error.message, "timeoutMs");
});

Deno.test("ai-sdk: an unknown field in providerOptions is refused by name", async () => {
  const { lmstudio, bodies } = connect();
  const error = await rejection(generateText({
    model: lmstudio("m"),
    prompt: "Hello",
    providerOptions: { lmstudio: { repeatPenaltie: 1.1 } },
  }));
  assert(APICallError.isInstance(error));
  assertEquals([error.isRetryable, bodies().length], [false, 0]);
  assertStringIncludes(error.message, "repeatPenalty");
});

// --- Abort ------------------------------------------------------------------------------------

Deno.test("ai-sdk: an abort ends the call with its reason, and the SDK reports an abort", async () => {
  const reason = new DOMException("Enough.", "AbortError");
  const early = connect({ firstTokenMs: 5_000 });
  for (const method of ["doGenerate", "doStream"] as const) {
    const controller = new AbortController();
    setTimeout(() => controller.abort(reason), 20);
    const call = { prompt: user("Hello"), abortSignal: controller.signal };
    assertEquals(await rejection(Promise.resolve(early.lmstudio("m")[method](call))), reason);
  }

  const { lmstudio, fake } = connect({ replies: ["word ".repeat(200)], tokenMs: 5 });
  const controller = new AbortController();
  const types: string[] = [];
  const result = streamText({
    model: lmstudio("m"),
    prompt: "Hello",
    abortSignal: controller.signal,
  });
  for await (const part of result.stream) {
    types.push(part.type);
    if (part.type === "text-delta") controller.abort(reason);
  }
  assertEquals(types.at(-1), "abort");
  assert(!types.includes("error"));
  assertEquals(fake.requests.at(-1)?.completed, false);
});

Deno.test("ai-sdk: an abort stops the generation even if nobody reads any more", async () => {
  const { lmstudio, fake } = connect({ replies: ["word ".repeat(500)], tokenMs: 2 });
  const controller = new AbortController();
  const { textStream } = streamText({
    model: lmstudio("m"),
    prompt: "Hello",
    abortSignal: controller.signal,
  });
  // The SDK keeps a copy of the stream, so this alone does not cancel it.
  for await (const _ of textStream) break;
  controller.abort();
  const request = fake.requests.at(-1);
  const deadline = performance.now() + 2000;
  while (request?.aborted !== true && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assertEquals(request?.aborted, true);
});

Deno.test("ai-sdk: a stream that is left unread ends by itself, and gives its place in the queue back", async () => {
  const { lmstudio, fake } = connect({ replies: () => "word ".repeat(50) }, { maxConcurrency: 1 });
  const { textStream } = streamText({ model: lmstudio("m"), prompt: "Hello" });
  for await (const _ of textStream) break;
  // A stream of the model itself that nobody even begins to read.
  await lmstudio("m").doStream({ prompt: user("Hello") });
  const abortSignal = AbortSignal.timeout(2000);
  const { text } = await generateText({ model: lmstudio("m"), prompt: "Hello", abortSignal });
  assertStringIncludes(text, "word");
  assertEquals(fake.requests.map(({ completed }) => completed), [true, true, true]);
});

Deno.test("ai-sdk: an abort in the middle of a stream errors it with the reason", async () => {
  const { lmstudio } = connect({ replies: ["word ".repeat(200)], tokenMs: 5 });
  const controller = new AbortController();
  const reason = new Error("enough");
  const { stream } = await lmstudio("m").doStream({
    prompt: user("Hello"),
    abortSignal: controller.signal,
  });
  const error = await rejection((async () => {
    for await (const part of stream) if (part.type === "text-delta") controller.abort(reason);
  })());
  assertEquals(error, reason);
});

// --- Substituted models -----------------------------------------------------------------------

Deno.test("ai-sdk: an answer by another model is an error, or reported if that is allowed", async () => {
  const strict = connect();
  const error = await rejection(
    generateText({ model: strict.lmstudio("nobody/has-it"), prompt: "Hello" }),
  );
  assert(APICallError.isInstance(error));
  assertEquals((error.data as { code: string }).code, "model_substituted");

  const { lmstudio } = connect({}, { onModelSubstituted: "ignore" });
  const whole = await generateText({ model: lmstudio("nobody/has-it"), prompt: "Hello" });
  const streamed = streamText({ model: lmstudio("nobody/has-it"), prompt: "Hello" });
  await streamed.consumeStream();
  const told = { requested: "nobody/has-it", answered: "m" };
  for (const metadata of [whole.providerMetadata, await streamed.providerMetadata]) {
    assertEquals(metadata?.lmstudio?.substituted, told);
  }
  assertEquals(whole.response.modelId, "m");
});

// --- Conversations that are too long -----------------------------------------------------------

Deno.test("ai-sdk: contextOverflowPolicy shortens a conversation, and reports by how much", async () => {
  const error =
    "request (5000 tokens) exceeds the available context size (4096 tokens), try increasing it";
  const { lmstudio, bodies } = connect({
    faults: [{
      path: "/v1/chat/completions",
      fault: { type: "respond", status: 400, body: { error } },
    }],
    replies: ["Because."],
  });
  const turns = Array.from({ length: 10 }, (_, turn) => [
    { role: "user" as const, content: `Question ${turn}: ${"why ".repeat(150)}` },
    { role: "assistant" as const, content: `Answer ${turn}: ${"so ".repeat(150)}` },
  ]).flat();
  const { text, providerMetadata } = await generateText({
    model: lmstudio("m"),
    messages: [...turns, { role: "user", content: "And why is that?" }],
    providerOptions: { lmstudio: { contextOverflowPolicy: "rollingWindow" } },
  });
  assertEquals(text, "Because.");
  const [whole, cut] = bodies().map(({ messages }) => (messages as unknown[]).length);
  assert(whole === 21 && cut !== undefined && cut < whole);
  const { trimmed } = providerMetadata?.lmstudio as { trimmed: Record<string, unknown> };
  assertEquals([trimmed.policy, trimmed.cause, trimmed.dropped], [
    "rollingWindow",
    "refusal",
    whole - cut,
  ]);
});

// --- Embeddings -------------------------------------------------------------------------------

Deno.test("ai-sdk: embed and embedMany return the vectors of embed()", async () => {
  const { lmstudio, fake } = connect();
  const values = Array.from({ length: 70 }, (_, index) => `text ${index}`);
  const { embeddings } = await new LMStudioProvider({ env: {}, fetch: fake.fetch })
    .embed({ input: values, model: EMBEDDING_MODEL });
  for (const model of [lmstudio.embeddingModel(EMBEDDING_MODEL), lmstudio.textEmbeddingModel()]) {
    assertEquals((await embedMany({ model, values })).embeddings, embeddings);
  }
  const { embedding } = await embed({ model: lmstudio.embeddingModel(), value: values[0]! });
  assertEquals(embedding, embeddings[0]);
});

Deno.test("ai-sdk: dimensions are requested, and cut vectors or texts cause warnings", async () => {
  const { lmstudio, fake } = connect();
  const model = lmstudio.embeddingModel();
  const values = ["The sea is deep and wide.", "The sea is deep. ".repeat(1000)];
  const { embeddings, warnings } = await model.doEmbed({ values, dimensions: 64 });
  assertEquals(embeddings.map(({ length }) => length), [64, 64]);
  assertEquals((fake.requests.at(-1)?.body as { dimensions: number }).dimensions, 64);
  const [cut, long] = warnings;
  assert(cut?.type === "compatibility" && long?.type === "other");
  assertEquals(cut.feature, "dimensions");
  assertMatch(
    long.message,
    /^Text 1 of this request has about \d+ tokens, but the model's context is 2048: /,
  );
  assertEquals((await model.doEmbed({ values: ["a"] })).warnings, []);
});

Deno.test("ai-sdk: embedding fails with the SDK's errors", async () => {
  const { lmstudio } = connect({ substitution: false });
  const model = lmstudio.embeddingModel("text-embedding-nobody");
  const error = await rejection(embed({ model, value: "sea", maxRetries: 0 }));
  assert(NoSuchModelError.isInstance(error));
  assertEquals(error.modelType, "embeddingModel");
});

// --- Decisions --------------------------------------------------------------------------------

const DECIDER = "typesafe/kev-4b";
const DECIDERS = [{ id: DECIDER, type: "decision", vision: true }] as const;

Deno.test("ai-sdk: experimental_decide asks a decision model and returns its answers", async () => {
  const { lmstudio, bodies } = connect({
    models: DECIDERS,
    decisions: { refund: 0.9, team: "billing", severity: 1.25 },
  });
  const { answers, usage, providerMetadata, response, warnings } = await decide({
    model: lmstudio.decisionModel(DECIDER),
    state: [
      { type: "text", text: "I was charged twice." },
      { type: "json", value: { customer: 7 } },
      { type: "file", mediaType: "image/png", data: PIXEL_BYTES },
    ],
    questions: {
      refund: {
        type: "boolean",
        instructions: "Does the customer want money back?",
        criteria: { true: "Asks for it", false: null },
      },
      team: { type: "choice", criteria: { billing: "Payments", support: null } },
      severity: {
        type: "score",
        instructions: "How bad is it?",
        criteria: ["cosmetic", null, "blocking"],
      },
    },
    maxOutputTokens: 5,
  });
  const [body] = bodies();
  assertEquals(body?.model, DECIDER);
  assertEquals(body?.questions, [
    {
      type: "predicate",
      name: "refund",
      instructions: "Does the customer want money back?\ntrue: Asks for it",
    },
    {
      type: "choice",
      name: "team",
      instructions: "Choose the option that fits best.",
      choices: [{ value: "billing", description: "Payments" }, { value: "support" }],
    },
    {
      type: "score",
      name: "severity",
      instructions: "How bad is it?",
      levels: [{ label: "cosmetic" }, { label: "1" }, { label: "blocking" }],
    },
  ]);
  assertStringIncludes(JSON.stringify(body?.input), PIXEL_URL);
  assertStringIncludes(JSON.stringify(body?.input), '{\\"customer\\":7}');
  assertEquals(answers.refund, { type: "boolean", probability: 0.9 });
  assertEquals([answers.team.choice, answers.severity.score], ["billing", 1.25]);
  assertEquals(Object.keys(answers.team.probabilities ?? {}), ["billing", "support"]);
  assertEquals(Object.keys(answers.severity.probabilities ?? {}), ["0", "1", "2"]);
  assert((usage.inputTokens ?? 0) > 0);
  const { confidence } = providerMetadata?.lmstudio as { confidence: Record<string, number> };
  assertEquals(Object.keys(confidence), ["team", "severity"]);
  assertEquals(response.modelId, DECIDER);
  assertEquals(warnings.map((warning) => "feature" in warning ? warning.feature : ""), [
    "maxOutputTokens",
  ]);
});

Deno.test("ai-sdk: rounded probabilities are accepted, incomplete ones are left out", async () => {
  const answer = (probabilities: unknown) => ({
    fault: {
      type: "respond" as const,
      status: 200,
      body: {
        model: DECIDER,
        answers: [{ type: "choice", name: "team", choice: "a", confidence: 0.33, probabilities }],
      },
    },
  });
  const shares = ["a", "b", "c"].map((value) => ({ value, probability: 0.33 }));
  const { lmstudio } = connect({
    models: DECIDERS,
    faults: [shares, shares.slice(0, 2)].map((probabilities) => ({
      path: "/v1/decisions",
      ...answer(probabilities),
    })),
  });
  const ask = async () => {
    const { answers } = await decide({
      model: lmstudio.decisionModel(),
      state: "x",
      questions: { team: { type: "choice", criteria: { a: null, b: null, c: null } } },
    });
    return answers.team.probabilities;
  };
  assertEquals([await ask(), await ask()], [{ a: 0.33, b: 0.33, c: 0.33 }, undefined]);
});

Deno.test("ai-sdk: a question that is declined, or of an unsupported type, is the SDK's error", async () => {
  const { lmstudio, bodies } = connect({ models: DECIDERS, decisions: { a: null } });
  const model = lmstudio.decisionModel();
  const question = { type: "boolean", instructions: "Is it?" } as const;
  const refused = await rejection(decide({ model, state: "x", questions: { a: question } }));
  assert(DecisionRefusalError.isInstance(refused));
  const box = await rejection(decide({ model, state: "x", questions: { a: { type: "box" } } }));
  assert(DecisionUnsupportedQuestionTypeError.isInstance(box));
  assertEquals(bodies().length, 1);
  const none = connect();
  const failed = await rejection(
    decide({ model: none.lmstudio.decisionModel(), state: "x", questions: { a: question } }),
  );
  assert(APICallError.isInstance(failed));
  assertEquals((failed.data as { code: string }).code, "no_model_loaded");
});
