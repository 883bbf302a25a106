/**
 * Running tools: the same conversations whole and streamed, which results the model gets, how a loop is
 * stopped, and what is refused before anything is sent.
 */
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertMatch,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
} from "@std/assert";
import { toStandardJsonSchema } from "npm:@valibot/to-json-schema@^1.8.0";
import { type } from "npm:arktype@^2.2.9";
import * as v from "npm:valibot@^1.5.0";
import * as z from "zod";
import {
  ApiError,
  type CallOptions,
  fromMcpTool,
  InvalidRequestError,
  isProviderError,
  LMStudioProvider,
  type Message,
  ModelNotAvailableError,
  type RunToolsRequest,
  type RunToolsResult,
  StreamError,
  type Tool,
  tool,
  type ToolCall,
  type ToolContext,
  type ToolEvent,
} from "../mod.ts";
import {
  createFakeLMStudio,
  type FakeLMStudioOptions,
  type FakeReply,
  type FakeToolCall,
} from "../src/testing/mod.ts";
import {
  cut,
  events,
  fetchOf,
  fixture,
  fixtureAnswer,
  fixtureNames,
  gate,
  serveStub,
} from "./support/stub_server.ts";

const MODEL = "qwen/qwen3-8b";
const ASK = "What is the weather?";

interface WireMessage {
  role: string;
  content: string;
  tool_call_id?: string;
  tool_calls?: { id: string; function: { name: string; arguments: string } }[];
}

interface WireBody {
  model: string;
  messages: WireMessage[];
  tools?: { function: Record<string, unknown> }[];
  tool_choice?: unknown;
  stream?: boolean;
}

/** A model that gives these answers, and the requests it got. */
function scripted(replies: FakeLMStudioOptions["replies"], more: FakeLMStudioOptions = {}) {
  const fake = createFakeLMStudio({ models: [MODEL], replies, ...more });
  const lmstudio = new LMStudioProvider({ fetch: fake.fetch, env: {}, maxRetries: 0 });
  const bodies = () =>
    fake.requests.filter(({ path }) => path === "/v1/chat/completions")
      .map(({ body }) => body as WireBody);
  return { lmstudio, bodies, requests: fake.requests };
}

interface Way {
  readonly name: string;
  readonly run: (
    lmstudio: LMStudioProvider,
    request: RunToolsRequest,
    options?: CallOptions,
  ) => Promise<RunToolsResult>;
}

/** There is only one loop: what is true for whole answers is true for streamed ones. */
const WAYS: readonly Way[] = [
  { name: "whole", run: (lmstudio, request, options) => lmstudio.runTools(request, options) },
  {
    name: "streamed",
    run: (lmstudio, request, options) => lmstudio.streamTools(request, options).result(),
  },
];

/** One test for each way of running the loop. */
function bothWays(title: string, test: (run: Way["run"]) => Promise<void>): void {
  for (const { name, run } of WAYS) Deno.test(`${title} (${name})`, () => test(run));
}

function calls(...toolCalls: FakeToolCall[]): FakeReply {
  return { toolCalls };
}

/** The tool results that the model gets, in order. */
function told(messages: readonly Message[]): string[] {
  return messages.flatMap((message) => message.role === "tool" ? [message.content] : []);
}

/** Calls a tool once with these arguments; returns the result the model gets, and whether it is an error. */
async function toldOf(
  ran: Tool,
  args: unknown,
  more: Partial<RunToolsRequest> = {},
): Promise<{ result: string; isError: boolean }> {
  const { lmstudio } = scripted([calls({ name: ran.name, arguments: args }), "Well."]);
  const results: { result: string; isError: boolean }[] = [];
  const stream = lmstudio.streamTools({ messages: ASK, tools: [ran], ...more });
  for await (const event of stream) {
    if (event.type === "result") results.push({ result: event.result, isError: event.isError });
  }
  const { messages, response } = await stream.result();
  assertEquals(response.content, "Well.", "the loop goes on");
  assertEquals(told(messages), results.map(({ result }) => result));
  assertEquals(results.length, 1);
  return results[0]!;
}

async function failure(promise: Promise<unknown>): Promise<unknown> {
  return await promise.then(() => assert(false, "it did not reject"), (error) => error);
}

const weather = tool({
  name: "weather",
  parameters: z.object({ city: z.string(), days: z.number().int().default(1) }),
  execute: ({ city, days }) => `${city}: rain for ${days} days`,
});
const broken = tool({
  name: "broken",
  execute: () => {
    throw new TypeError("no such sensor");
  },
});

// --- Conversations ----------------------------------------------------------------------------

bothWays("tools: two calls at once, one of them fails, and the model continues", async (run) => {
  const { lmstudio, bodies } = scripted([
    {
      content: "Let me look.",
      toolCalls: [
        { name: "weather", arguments: { city: "Oslo" }, id: "111111111" },
        { name: "broken", id: "222222222" },
      ],
      usage: { promptTokens: 10, completionTokens: 4, reasoningTokens: 1 },
    },
    { content: "It rains.", usage: { promptTokens: 20, completionTokens: 2, reasoningTokens: 2 } },
  ]);
  const asked: Message[] = [{ role: "system", content: "Be brief." }, {
    role: "user",
    content: ASK,
  }];
  const request = { messages: asked, tools: [weather, broken] };
  const { response, messages, rounds, usage } = await run(lmstudio, request);

  assertEquals(asked.length, 2, "the caller's array is not changed");
  assertEquals(rounds, 2);
  assertEquals(response.content, "It rains.");
  assertEquals(response.finishReason, "stop");
  assertEquals(usage, {
    promptTokens: 30,
    completionTokens: 6,
    totalTokens: 36,
    reasoningTokens: 3,
  });
  const toolCalls: ToolCall[] = [
    { id: "111111111", name: "weather", arguments: '{"city":"Oslo"}' },
    { id: "222222222", name: "broken", arguments: "{}" },
  ];
  assertEquals(messages, [
    ...asked,
    { role: "assistant", content: "Let me look.", toolCalls },
    { role: "tool", toolCallId: "111111111", content: "Oslo: rain for 1 days" },
    { role: "tool", toolCallId: "222222222", content: "Error: no such sensor" },
    { role: "assistant", content: "It rains." },
  ]);
  assertStrictEquals(messages.at(-1), response.message);

  const [first, second] = bodies();
  assertEquals(bodies().length, 2);
  assertEquals(first!.messages.length, 2);
  assertEquals(second!.messages.map(({ role }) => role), [
    "system",
    "user",
    "assistant",
    "tool",
    "tool",
  ]);
  assertEquals(second!.messages[2]!.content, "Let me look.");
  assertEquals(second!.messages[3]!.tool_call_id, "111111111");
  for (const body of bodies()) {
    assertEquals(body.model, MODEL);
    assertEquals(body.tools?.map((sent) => Object.keys(sent.function)), [
      ["name", "parameters"],
      ["name", "parameters"],
    ], "execute stays here");
  }
});

Deno.test("tools: the events of a conversation, in order", async () => {
  const { lmstudio } = scripted([
    { content: "Let me look.", toolCalls: [{ name: "slow" }, { name: "quick" }] },
    "Done.",
  ]);
  const { opened, open } = gate();
  const slow = tool({ name: "slow", execute: () => opened.then(() => "slow") });
  const quick = tool({ name: "quick", execute: () => "quick" });
  const stream = lmstudio.streamTools({ messages: ASK, tools: [slow, quick] });
  const seen: string[] = [];
  let text = "";
  for await (const event of stream) {
    if (event.type === "chunk") {
      text += event.chunk.content;
      if (event.chunk.isFinal) seen.push(`${event.round} final ${event.chunk.finishReason}`);
      continue;
    }
    seen.push(`${event.round} ${event.type} ${event.call.name}`);
    if (event.type !== "result") continue;
    assertEquals([event.result, event.isError], [event.call.name, false]);
    open();
  }
  assertEquals(text, "Let me look.Done.");
  assertEquals(seen, [
    "1 final tool_calls",
    "1 call slow",
    "1 call quick",
    "1 result quick",
    "1 result slow",
    "2 final stop",
  ]);
  const { messages } = await stream.result();
  assertEquals(told(messages), ["slow", "quick"], "the model reads them in its own order");
});

bothWays("tools: one after another with parallel: false", async (run) => {
  const { lmstudio } = scripted([calls({ name: "a" }, { name: "b" }), "Done."]);
  const steps: string[] = [];
  const made = (name: string): Tool => ({
    name,
    async execute() {
      steps.push(`${name} starts`);
      await new Promise((resolve) => setTimeout(resolve, 2));
      steps.push(`${name} ends`);
    },
  });
  const tools = [made("a"), made("b")];
  await run(lmstudio, { messages: ASK, tools, parallel: false });
  assertEquals(steps, ["a starts", "a ends", "b starts", "b ends"]);
  const again = scripted([calls({ name: "a" }, { name: "b" }), "Done."]);
  steps.length = 0;
  await run(again.lmstudio, { messages: ASK, tools });
  assertEquals(steps.slice(0, 2), ["a starts", "b starts"]);
});

bothWays("tools: an answer without tool calls ends the loop, even without tools", async (run) => {
  for (const tools of [[weather], [], undefined]) {
    const { lmstudio, bodies } = scripted(["Sunny."]);
    const { response, messages, rounds } = await run(lmstudio, { messages: [ASK, "Now?"], tools });
    assertEquals([response.content, rounds, bodies().length], ["Sunny.", 1, 1]);
    assertEquals(messages, [
      { role: "user", content: `${ASK}\n\nNow?` },
      { role: "assistant", content: "Sunny." },
    ]);
  }
});

bothWays("tools: the conversation can be continued", async (run) => {
  const { lmstudio, bodies } = scripted([
    calls({ name: "weather", arguments: { city: "Oslo" } }),
    "It rains.",
    calls({ name: "weather", arguments: { city: "Rome" } }),
    "There too.",
  ]);
  const first = await run(lmstudio, { messages: ASK, tools: [weather] });
  const messages = [...first.messages, "And in Rome?"];
  const second = await run(lmstudio, { messages, tools: [weather] });
  assertEquals(second.response.content, "There too.");
  assertEquals(told(second.messages), ["Oslo: rain for 1 days", "Rome: rain for 1 days"]);
  assertEquals(bodies().at(-1)!.messages.length, 7);
});

Deno.test("tools: the model chosen first is used to the end", async () => {
  const models = [{ id: "a/first", loaded: true }, { id: "b/second", loaded: false }];
  const { lmstudio, bodies, requests } = scripted([calls({ name: "load" }), "Done."], { models });
  const load = tool({
    name: "load",
    execute: () => lmstudio.complete({ model: "b/second", messages: "Hi" }),
  });
  // Two models are loaded now: choosing again would fail.
  const { response } = await lmstudio.runTools({ messages: ASK, tools: [load] });
  assertEquals(response.model, "a/first");
  assertEquals(bodies().map(({ model }) => model), ["a/first", "b/second", "a/first"]);
  assertEquals(requests.filter(({ method }) => method === "GET").length, 1);
});

Deno.test("tools: what a tool's context contains", async () => {
  const { lmstudio } = scripted([
    { reasoning: "Hm.", toolCalls: [{ name: "look", id: "123456789", arguments: { a: 1 } }] },
    "Done.",
  ]);
  let context: ToolContext | undefined;
  const look: Tool = {
    name: "look",
    execute(args, given) {
      assertStrictEquals(this, look);
      assertEquals(args, { a: 1 });
      context = given;
    },
  };
  const { messages } = await lmstudio.runTools({ messages: ASK, tools: [look] });
  assertEquals(context?.toolCallId, "123456789");
  assertEquals(context?.messages, messages.slice(0, 2));
  assertEquals(context?.messages[1]?.role, "assistant");
  assertEquals(context?.signal?.aborted, false, "nothing was aborted");
});

// --- Limits and choices -----------------------------------------------------------------------

bothWays("limit: the calls of the last round are not run", async (run) => {
  for (const [maxRounds, count] of [[undefined, 8], [1, 1], [3, 3]] as const) {
    const { lmstudio, bodies } = scripted(() => ({
      content: "Again.",
      toolCalls: [{ name: "t" }],
    }));
    let runs = 0;
    const tools = [{ name: "t", execute: () => ++runs }];
    const error = await failure(run(lmstudio, { messages: ASK, tools, maxRounds }));
    assertInstanceOf(error, ApiError);
    assertEquals([error.code, error.retriable], ["tool_loop_limit", false]);
    assertEquals([bodies().length, runs], [count, count - 1]);
    assertEquals(error.partial?.content, "Again.");
    assertEquals(error.partial?.toolCalls.map(({ name }) => name), ["t"]);
    const start =
      `Cannot run tools with model "${MODEL}": the model still calls tools after ${count} `;
    assertStringIncludes(error.message, start);
    assertStringIncludes(error.message, "Raise `maxRounds`");
  }
});

bothWays("limit: as many rounds as needed, and no more", async (run) => {
  const { lmstudio } = scripted([calls({ name: "t" }), calls({ name: "t" }), "Done."]);
  const tools = [{ name: "t", execute: () => 1 }];
  assertEquals((await run(lmstudio, { messages: ASK, tools, maxRounds: 3 })).rounds, 3);
});

bothWays(
  "choice: a named tool, or one that is required, is so in the first round only",
  async (run) => {
    const tools = [weather, broken];
    const sent = async (toolChoice: RunToolsRequest["toolChoice"]) => {
      const { lmstudio, bodies } = scripted([calls({ name: "broken" }), "Done."]);
      await run(lmstudio, { messages: ASK, tools, toolChoice });
      return bodies().map(({ tools, tool_choice }) => [tools?.length, tool_choice]);
    };
    assertEquals(await sent({ name: "broken" }), [[1, "required"], [2, "auto"]]);
    assertEquals(await sent("required"), [[2, "required"], [2, "auto"]]);
    assertEquals(await sent("auto"), [[2, "auto"], [2, "auto"]]);
    assertEquals(await sent(undefined), [[2, undefined], [2, undefined]]);
  },
);

bothWays("choice: with none nothing is run, whatever the model writes", async (run) => {
  const { lmstudio } = scripted([calls({ name: "broken" })]);
  const request = { messages: ASK, tools: [broken], toolChoice: "none" } as const;
  const { response, rounds } = await run(lmstudio, request);
  assertEquals([response.toolCalls.length, rounds], [1, 1]);
});

bothWays("a tool without execute ends the loop, and the other calls are not run", async (run) => {
  const { lmstudio, bodies } = scripted([
    calls({ name: "weather", arguments: { city: "Oslo" } }),
    calls({ name: "weather", arguments: { city: "Rome" }, id: "1" }, { name: "ask_user", id: "2" }),
    "Done.",
  ]);
  let runs = 0;
  const counted: Tool = { name: "weather", execute: () => ++runs };
  const tools: Tool[] = [counted, { name: "ask_user" }];
  const { response, messages, rounds } = await run(lmstudio, { messages: ASK, tools });
  assertEquals([rounds, runs, bodies().length], [2, 1, 2]);
  assertEquals(response.toolCalls, [
    { id: "1", name: "weather", arguments: '{"city":"Rome"}' },
    { id: "2", name: "ask_user", arguments: "{}" },
  ]);
  assertStrictEquals(messages.at(-1), response.message);
  // The caller answers the calls, and the conversation continues.
  messages.push({ role: "tool", toolCallId: "1", content: "Sun" });
  messages.push({ role: "tool", toolCallId: "2", content: "Yes" });
  assertEquals((await run(lmstudio, { messages, tools })).response.content, "Done.");
});

// --- What the model gets ----------------------------------------------------------------------

Deno.test("result: text unchanged, everything else as JSON", async () => {
  const cases: [value: unknown, text: string][] = [
    ["", ""],
    ["a\n{", "a\n{"],
    [{ a: [1, null] }, '{"a":[1,null]}'],
    [0, "0"],
    [false, "false"],
    [null, "null"],
    [undefined, "null"],
    [() => 1, "null"],
    [Symbol("s"), "null"],
    [new Date(0), '"1970-01-01T00:00:00.000Z"'],
    [Promise.resolve([1]), "[1]"],
  ];
  for (const [value, result] of cases) {
    assertEquals(await toldOf({ name: "t", execute: () => value }, {}), { result, isError: false });
  }
});

Deno.test("result: a value that cannot be written as JSON is sent as an error", async () => {
  const cyclic: Record<string, unknown> = {};
  cyclic.self = cyclic;
  const hostile = {
    toJSON: () => {
      throw new Error("secret inside");
    },
  };
  for (const value of [cyclic, 5n, { a: [5n] }, hostile]) {
    assertEquals(await toldOf({ name: "t", execute: () => value }, {}), {
      result: "Error: the tool's result cannot be written as JSON",
      isError: true,
    });
  }
});

Deno.test("result: an exception is sent as its message, without its stack", async () => {
  const unreadable = Object.defineProperty(new Error(), "message", {
    get: () => {
      throw new Error("no");
    },
  });
  const cases: [thrown: unknown, reason: string][] = [
    [new Error("no such city", { cause: "hidden" }), "no such city"],
    [new Error(""), "the tool failed"],
    ["just text", "just text"],
    [{ message: "of another realm" }, "of another realm"],
    [undefined, "the tool failed"],
    [null, "the tool failed"],
    [5, "the tool failed"],
    [unreadable, "the tool failed"],
  ];
  for (const [thrown, reason] of cases) {
    const expected = { result: `Error: ${reason}`, isError: true };
    const sync: Tool = {
      name: "t",
      execute: () => {
        throw thrown;
      },
    };
    const async: Tool = { name: "t", execute: () => Promise.reject(thrown) };
    assertEquals(await toldOf(sync, {}), expected);
    assertEquals(await toldOf(async, {}), expected);
  }
});

Deno.test("arguments: invalid values are reported with their paths", async () => {
  const Trip = {
    city: z.string(),
    stops: z.array(z.object({ days: z.number() })),
  };
  const never = () => assert(false, "it was run");
  const zod: Tool = { name: "t", parameters: z.object(Trip), execute: never };
  const { result, isError } = await toldOf(zod, { city: 5, stops: [{ days: 1 }, { days: "x" }] });
  assert(isError);
  assertMatch(result, /^Error: the arguments are not valid: city: .*; stops\[1\]\.days: .*/);
  const valibot: Tool = {
    name: "t",
    parameters: toStandardJsonSchema(v.object({ city: v.string() })),
    execute: never,
  };
  assertStringIncludes((await toldOf(valibot, { city: 5 })).result, "not valid: city: ");
  const arktype: Tool = { name: "t", parameters: type({ city: "string" }), execute: never };
  assertStringIncludes((await toldOf(arktype, { city: 5 })).result, "not valid: city: ");
  const strict: Tool = {
    name: "t",
    parameters: z.object({}).refine(() => false, "not on Sundays"),
    execute: never,
  };
  assertEquals(
    (await toldOf(strict, {})).result,
    "Error: the arguments are not valid: not on Sundays",
  );
});

Deno.test("arguments: of a hundred issues only some are reported", async () => {
  const many = z.object({ list: z.array(z.number()) });
  const ran: Tool = { name: "t", parameters: many, execute: () => 1 };
  const { result } = await toldOf(ran, { list: Array.from({ length: 100 }, () => "x") });
  assertStringIncludes(result, "list[9]: ");
  assert(result.endsWith("; and 90 more"), result);
});

Deno.test("arguments: execute gets the schema's output", async () => {
  const seen: unknown[] = [];
  const collect = (args: unknown) => void seen.push(args);
  const Days = z.object({ days: z.string().transform(Number).default(3) });
  const later = z.object({ a: z.number() }).refine(async (value) =>
    await Promise.resolve(value.a > 0)
  );
  await toldOf(tool({ name: "t", parameters: Days, execute: collect }), { days: "2" });
  await toldOf(tool({ name: "t", parameters: Days, execute: collect }), {});
  await toldOf(tool({ name: "t", parameters: later, execute: collect }), { a: 1 });
  await toldOf(tool({ name: "t", parameters: type({ n: "number = 4" }), execute: collect }), {});
  await toldOf(
    tool({
      name: "t",
      parameters: toStandardJsonSchema(v.object({ n: v.optional(v.number(), 5) })),
      execute: collect,
    }),
    {},
  );
  assertEquals(seen, [{ days: 2 }, { days: 3 }, { a: 1 }, { n: 4 }, { n: 5 }]);
  assertEquals(
    (await toldOf(tool({ name: "t", parameters: later, execute: collect }), { a: 0 })).isError,
    true,
  );
});

Deno.test("arguments: plain JSON Schema is not validated, but they must be an object", async () => {
  const seen: unknown[] = [];
  const plain: Tool = {
    name: "t",
    parameters: { type: "object", properties: { a: { type: "string" } }, required: ["a"] },
    execute: (args) => void seen.push(args),
  };
  await toldOf(plain, { a: 5 });
  await toldOf(plain, "");
  await toldOf(plain, " \n");
  assertEquals(seen, [{ a: 5 }, {}, {}]);
  for (const text of ["[1]", '"{}"', "null", "5", "true"]) {
    const { result, isError } = await toldOf(plain, text);
    assertMatch(result, /^Error: the arguments are .+; send a JSON object$/);
    assert(isError);
  }
  assertEquals(seen.length, 3);
});

Deno.test("arguments: a throwing schema is reported, too", async () => {
  const parameters = {
    "~standard": {
      version: 1 as const,
      vendor: "mine",
      validate: () => {
        throw new Error("out of order");
      },
      jsonSchema: { input: () => ({ type: "object" }), output: () => ({}) },
    },
  };
  assertEquals(await toldOf({ name: "t", parameters, execute: () => 1 }, {}), {
    result: "Error: out of order",
    isError: true,
  });
});

bothWays(
  "arguments: those that are not JSON are sent back as {}, with an error to the model",
  async (run) => {
    const { lmstudio, bodies } = scripted([
      calls(
        { name: "t", arguments: "{city: Paris}", id: "1" },
        { name: "t", arguments: "[1]", id: "2" },
        { name: "t", arguments: "", id: "3" },
      ),
      "Done.",
    ]);
    let runs = 0;
    const tools = [{ name: "t", execute: () => ++runs }];
    const { messages } = await run(lmstudio, { messages: ASK, tools });
    const [bad, list, none] = told(messages);
    assertMatch(bad!, /^Error: the arguments are not valid JSON .*; send a JSON object$/);
    assertEquals(list, "Error: the arguments are an array; send a JSON object");
    assertEquals([none, runs], ["1", 1]);
    const history = bodies()[1]!.messages[1]!.tool_calls!;
    assertEquals(history.map((call) => call.function.arguments), ["{}", "{}", "{}"]);
    const [, kept] = messages;
    assertEquals(kept?.role === "assistant" && kept.toolCalls?.map((call) => call.arguments), [
      "{}",
      "{}",
      "{}",
    ]);
  },
);

Deno.test("arguments: those cut at the token limit are reported as such", async () => {
  const reply: FakeReply = {
    ...calls({ name: "t", arguments: '{"a":"b' }) as object,
    finishReason: "length",
  };
  const { lmstudio } = scripted([reply, "Done."]);
  const { messages } = await lmstudio.runTools({
    messages: ASK,
    tools: [{ name: "t", execute: () => 1 }],
  });
  assertEquals(told(messages), [
    "Error: the answer reached its token limit within the arguments; send less",
  ]);
});

bothWays("names: an unknown one is reported to the model, with the known ones", async (run) => {
  const { lmstudio } = scripted([
    calls({ name: "wether" }),
    calls({ name: "weather", arguments: { city: "Oslo" } }),
    "Done.",
  ]);
  const { messages } = await run(lmstudio, { messages: ASK, tools: [weather, broken] });
  assertEquals(told(messages), [
    'Error: there is no tool "wether"; the tools are "weather", "broken"',
    "Oslo: rain for 1 days",
  ]);
});

bothWays("names: LM Studio's snake_case name finds the tool if it is unambiguous", async (run) => {
  const made = (name: string): Tool => ({ name, execute: () => name });
  const answer = async (called: string, ...names: string[]) => {
    const { lmstudio } = scripted([calls({ name: called }), "Done."]);
    const seen: string[] = [];
    const { messages } = await run(lmstudio, {
      messages: ASK,
      tools: names.map(made),
      onToolCall: ({ name }) => void seen.push(name),
    });
    return [told(messages)[0], ...seen];
  };
  assertEquals(await answer("get_weather", "getWeather"), ["getWeather", "getWeather"]);
  assertEquals(await answer("get_weather", "Get-Weather", "other"), ["Get-Weather", "Get-Weather"]);
  assertEquals(await answer("get_weather", "getWeather", "get_weather"), [
    "get_weather",
    "get_weather",
  ]);
  const [unclear] = await answer("get_weather", "getWeather", "get-weather");
  assertStringIncludes(unclear!, 'there is no tool "get_weather"');
  assertStringIncludes((await answer("_", "-"))[0]!, 'there is no tool "_"');
});

bothWays(
  "ids: each tool call of a conversation has its own, in history and in the answer",
  async (run) => {
    const { lmstudio, bodies } = scripted([
      calls({ name: "t", id: "call_0" }, { name: "t", id: "call_0" }),
      calls({ name: "t", id: "call_0" }, { name: "t", id: "" }),
      "Done.",
    ]);
    const ids: string[] = [];
    const tools: Tool[] = [{
      name: "t",
      execute: (_, { toolCallId }) => void ids.push(toolCallId),
    }];
    const earlier: Message[] = [
      { role: "assistant", toolCalls: [{ id: "call_0", name: "t", arguments: "{}" }] },
      { role: "tool", toolCallId: "call_0", content: "x" },
    ];
    const { messages } = await run(lmstudio, { messages: [ASK, ...earlier], tools });
    // Streamed deltas with the same id and index are one call; the others are told apart.
    assert(ids.length >= 3);
    const asked = messages.flatMap((message) =>
      message.role === "assistant" ? message.toolCalls?.map(({ id }) => id) ?? [] : []
    );
    const answered = messages.flatMap((message) =>
      message.role === "tool" ? [message.toolCallId] : []
    );
    assertEquals(asked, answered);
    assertEquals(new Set(asked).size, asked.length);
    assertEquals(asked.slice(1), ids);
    const sent = bodies().at(-1)!.messages;
    assertEquals(sent.flatMap(({ tool_calls = [] }) => tool_calls.map(({ id }) => id)), asked);
    assertEquals(sent.flatMap(({ tool_call_id }) => tool_call_id ?? []), asked);
  },
);

Deno.test("defects: with every known one the tools run, and the conversation ends", async (t) => {
  const rain = "It rains.";
  const limited = "Error: the answer reached its token limit within the arguments; send less";
  const streams: Record<string, string[]> = {
    "tool_calls.sse": ["San Francisco"],
    "tool_calls_0_3_14.sse": ["San Francisco"],
    "tool_calls_cut.sse": [limited],
    "tool_calls_empty_id.sse": [
      'Error: there is no tool "get_time"; the tools are "get_current_weather"',
    ],
    "tool_calls_empty_list.sse": ["Oslo"],
    "tool_calls_index_gaps.sse": ["Oslo", "Rome"],
    "tool_calls_late_name.sse": ["Oslo"],
    "tool_calls_name_repeated.sse": ["Oslo"],
    "tool_calls_no_id.sse": ["Oslo", "Rome"],
    "tool_calls_one_index.sse": ["Oslo", "Rome"],
    "tool_calls_parallel.sse": ["Oslo", "Rome"],
    "tool_calls_whole.sse": ["Oslo", "Rome"],
  };
  const names = fixtureNames("streams", ".sse").filter((name) => name.startsWith("tool_calls"));
  assertEquals(Object.keys(streams).sort(), names);
  const weather = tool({
    name: "get_current_weather",
    parameters: z.object({ location: z.string() }),
    execute: ({ location }) => location,
  });
  for (const [name, expected] of Object.entries(streams)) {
    await t.step(name, async () => {
      const bytes = cut(fixture(`streams/${name}`), 1);
      const last = { content: rain, finishReason: "stop" };
      const bodies: WireBody[] = [];
      const after = createFakeLMStudio({ models: [MODEL], replies: [last] });
      const fetch: typeof globalThis.fetch = async (input, init) => {
        bodies.push(JSON.parse(String(init?.body)));
        return await (bodies.length === 1 ? fetchOf(events(bytes)) : after.fetch)(
          input as string,
          init,
        );
      };
      const lmstudio = new LMStudioProvider({ fetch, env: {}, model: MODEL });
      const stream = lmstudio.streamTools({ messages: ASK, tools: [weather] });
      const { response, messages } = await stream.result();
      assertEquals(response.content, rain);
      assertEquals(told(messages), expected);
      const [, sent] = bodies;
      const calls = sent!.messages.flatMap(({ tool_calls = [] }) => tool_calls);
      assertEquals(calls.length, expected.length);
      assert(calls.every((call) => call.id !== "" && call.function.name !== ""));
      for (const call of calls) JSON.parse(call.function.arguments);
      const answered = sent!.messages.flatMap(({ tool_call_id }) => tool_call_id ?? []);
      assertEquals(answered, calls.map(({ id }) => id));
      assert(sent!.messages.every(({ content }) => typeof content === "string"));
    });
  }
});

Deno.test("defects: in whole answers, too", async () => {
  const texts: string[][] = [];
  for (const name of ["tool_calls_object.json", "tool_calls_stop.json"]) {
    const answers = [fixtureAnswer(`answers/${name}`), fixtureAnswer("answers/chat.json")];
    await using server = serveStub({ "POST /v1/chat/completions": () => answers.shift()! });
    const lmstudio = new LMStudioProvider({
      baseUrl: server.url,
      env: {},
      model: MODEL,
      onModelSubstituted: "ignore",
    });
    const look: Tool = { name: "get_weather", execute: ({ city }) => city };
    texts.push(told((await lmstudio.runTools({ messages: ASK, tools: [look] })).messages));
  }
  assertEquals(texts[0], ["Oslo", "Rome"]);
  assertEquals(texts[1]?.length, 1);
});

bothWays("versions: every version with tools", async (run) => {
  for (const version of ["0.3.6", "0.3.14", "0.3.16", "0.3.25", "0.4.25"]) {
    const { lmstudio } = scripted(
      [calls({ name: "weather", arguments: { city: "Oslo" } }, { name: "broken" }), "Done."],
      { version },
    );
    const { response, messages } = await run(lmstudio, { messages: ASK, tools: [weather, broken] });
    assertEquals(told(messages), ["Oslo: rain for 1 days", "Error: no such sensor"], version);
    assertEquals(response.content, "Done.", version);
  }
});

// --- Approval ---------------------------------------------------------------------------------

bothWays("onToolCall: approves, denies and changes", async (run) => {
  const { lmstudio } = scripted([
    calls(
      { name: "weather", arguments: { city: "Oslo" }, id: "1" },
      { name: "weather", arguments: { city: "Rome" }, id: "2" },
      { name: "weather", arguments: { city: "Bonn" }, id: "3" },
      { name: "weather", arguments: { city: "Bern" }, id: "4" },
      { name: "weather", arguments: "{broken", id: "5" },
    ),
    "Done.",
  ]);
  const asked: ToolCall[] = [];
  const { messages } = await run(lmstudio, {
    messages: ASK,
    tools: [weather],
    onToolCall: async (call) => {
      asked.push(call);
      await Promise.resolve();
      if (call.id === "2") return { deny: "Rome is private" };
      if (call.id === "3") return { arguments: '{"city":"Köln","days":2}' };
      if (call.id === "4") return { arguments: '{"city":5}' };
      return call.id === "5" ? { arguments: '{"city":"mended"}' } : undefined;
    },
  });
  assertEquals(asked.map(({ id }) => id), ["1", "2", "3", "4", "5"]);
  assertEquals(asked[0], { id: "1", name: "weather", arguments: '{"city":"Oslo"}' });
  const results = told(messages);
  assertMatch(results.splice(3, 1)[0]!, /^Error: the arguments are not valid: city: /);
  assertEquals(results, [
    "Oslo: rain for 1 days",
    "Rome is private",
    "Köln: rain for 2 days",
    "mended: rain for 1 days",
  ]);
});

Deno.test("onToolCall: a denied call is an error in its event, a changed one is reported as it ran", async () => {
  const { lmstudio } = scripted([calls({ name: "t", id: "1" }, { name: "t", id: "2" }), "Done."]);
  const results: ToolEvent[] = [];
  const stream = lmstudio.streamTools({
    messages: ASK,
    tools: [{ name: "t", execute: ({ a }) => a }],
    onToolCall: ({ id }) => id === "1" ? { deny: "" } : { arguments: '{"a":1}' },
  });
  for await (const event of stream) if (event.type === "result") results.push(event);
  assertEquals(results, [
    {
      type: "result",
      round: 1,
      call: { id: "1", name: "t", arguments: "{}" },
      result: "The call was denied.",
      isError: true,
    },
    {
      type: "result",
      round: 1,
      call: { id: "2", name: "t", arguments: '{"a":1}' },
      result: "1",
      isError: false,
    },
  ]);
});

bothWays("onToolCall: called for one tool call at a time, while earlier ones run", async (run) => {
  const { lmstudio } = scripted([calls({ name: "a" }, { name: "b" }), "Done."]);
  const steps: string[] = [];
  await run(lmstudio, {
    messages: ASK,
    tools: ["a", "b"].map((name) => ({ name, execute: () => void steps.push(`run ${name}`) })),
    onToolCall: async ({ name }) => {
      steps.push(`ask ${name}`);
      await new Promise((resolve) => setTimeout(resolve, 2));
      steps.push(`allow ${name}`);
    },
  });
  assertEquals(steps.filter((step) => !step.startsWith("run")), [
    "ask a",
    "allow a",
    "ask b",
    "allow b",
  ]);
  assert(steps.indexOf("run a") < steps.indexOf("allow b"));
});

bothWays("onToolCall: an exception ends the call unchanged", async (run) => {
  const reason = new RangeError("enough");
  const { lmstudio, bodies } = scripted([calls({ name: "a" }, { name: "b" }), "Done."]);
  let aborted: unknown;
  const never = gate();
  const tools: Tool[] = [
    {
      name: "a",
      execute: (_, { signal }) => {
        signal?.addEventListener("abort", () => aborted = signal.reason);
        return never.opened;
      },
    },
    { name: "b", execute: () => assert(false, "it was run") },
  ];
  const error = await failure(run(lmstudio, {
    messages: ASK,
    tools,
    onToolCall: ({ name }) => {
      if (name === "b") throw reason;
    },
  }));
  assertStrictEquals(error, reason);
  assertStrictEquals(aborted, reason, "the tool that runs is told");
  assertEquals(bodies().length, 1);
});

bothWays("onToolCall: an invalid result is refused, and nothing is run", async (run) => {
  const cases: [decision: unknown, says: string][] = [
    [false, "onToolCall returned false"],
    [true, "onToolCall returned true"],
    ["secret words", "onToolCall returned a string"],
    [[], "onToolCall returned an array"],
    [{ argument: "{}" }, 'unknown field "argument" (did you mean "arguments"?)'],
    [{ deny: true }, "deny is true, not a string"],
    [{ arguments: { a: 1 } }, "the arguments from onToolCall are an object, not a JSON string"],
  ];
  for (const [decision, says] of cases) {
    const { lmstudio } = scripted([calls({ name: "t" }), "Done."]);
    const error = await failure(run(lmstudio, {
      messages: ASK,
      tools: [{ name: "t", execute: () => assert(false, "it was run") }],
      onToolCall: () => decision as undefined,
    }));
    assertInstanceOf(error, InvalidRequestError);
    assertStringIncludes(error.message, says);
    assertStringIncludes(error.hint, "onToolCall");
    assert(!error.message.includes("secret"));
  }
  for (const decision of [undefined, null, {}, { deny: undefined }]) {
    const { lmstudio } = scripted([calls({ name: "t" }), "Done."]);
    const tools = [{ name: "t", execute: () => "ran" }];
    const request = { messages: ASK, tools, onToolCall: () => decision as undefined };
    assertEquals(told((await run(lmstudio, request)).messages), ["ran"]);
  }
});

// --- Refusals ---------------------------------------------------------------------------------

bothWays("refused before anything is sent", async (run) => {
  const cases: [request: unknown, says: string][] = [
    ["text", "the request is a string, not an object"],
    [undefined, "the request is undefined, not an object"],
    [{ messages: ASK, max_rounds: 2 }, 'unknown field "max_rounds" (did you mean "maxRounds"?)'],
    [{ messages: ASK, maxSteps: 2 }, 'unknown field "maxSteps" (did you mean "maxRounds"?)'],
    [{ messages: ASK, signal: 1 }, "it is an option of the call"],
    [{ messages: ASK, maxRounds: 0 }, "maxRounds is 0, not a whole number above 0"],
    [{ messages: ASK, maxRounds: Infinity }, "maxRounds is Infinity"],
    [{ messages: ASK, parallel: 1 }, "parallel is 1, not true or false"],
    [{ messages: ASK, onToolCall: "x" }, 'onToolCall is "x", not a function'],
    [{ messages: [] }, "messages cannot be empty"],
    [
      { messages: ASK, tools: [weather], toolChoice: { name: "wether" } },
      'toolChoice names "wether"',
    ],
    [{ messages: ASK, tools: [weather, { ...broken, name: "weather" }] }, "used twice"],
    [
      { messages: ASK, tools: [{ name: "t", execute: "x" }] },
      'tools[0].execute is "x", not a function',
    ],
    [
      { messages: ASK, tools: [{ name: "t", handler() {} }] },
      'unknown field "handler" (did you mean "execute"?)',
    ],
    [
      { messages: ASK, tools: [{ name: "t", parameters: v.object({}) }] },
      "made with valibot, cannot provide JSON Schema",
    ],
    [{ messages: ASK, tools: [{ name: "t", parameters: { type: "string" } }] }, 'not "object"'],
  ];
  for (const [request, says] of cases) {
    const { lmstudio, requests } = scripted(["Done."]);
    const error = await failure(run(lmstudio, request as RunToolsRequest));
    assertInstanceOf(error, InvalidRequestError);
    assertStringIncludes(error.message, "Cannot run tools: ");
    assertStringIncludes(error.message, says);
    assertEquals([error.attempts, requests.length], [0, 0]);
  }
  const { lmstudio, requests } = scripted([]);
  const options = { timeout: 5 } as CallOptions;
  const error = await failure(run(lmstudio, { messages: ASK }, options));
  assertInstanceOf(error, InvalidRequestError);
  assertStringIncludes(error.message, 'unknown option "timeout"');
  assertEquals(requests.length, 0);
});

Deno.test("tools: complete() accepts tools with execute, but runs none", async () => {
  const { lmstudio, bodies } = scripted([calls({ name: "broken" })]);
  const { toolCalls } = await lmstudio.complete({ messages: ASK, tools: [broken] });
  assertEquals(toolCalls.length, 1);
  assertEquals(bodies()[0]!.tools?.map((sent) => Object.keys(sent.function)), [[
    "name",
    "parameters",
  ]]);
});

// --- Failures and leaving ---------------------------------------------------------------------

bothWays("an error from the server is passed on, with the partial answer", async (run) => {
  const { lmstudio } = scripted(
    [{ content: "Let me look.", toolCalls: [{ name: "t", id: "1" }] }],
    {
      faults: [{
        path: "/v1/chat/completions",
        skip: 1,
        fault: { type: "respond", status: 400, body: { error: "Model is unloaded." } },
      }],
    },
  );
  const tools = [{ name: "t", execute: () => 1 }];
  const error = await failure(run(lmstudio, { messages: ASK, tools }));
  assert(isProviderError(error), String(error));
  assertEquals(error.code, "model_unloaded");
  assertStringIncludes(error.message, "Cannot run tools with model");
  assertEquals(error.partial, {
    content: "Let me look.",
    toolCalls: [{ id: "1", name: "t", arguments: "{}" }],
  });
  assert(!JSON.stringify(error).includes("Let me look"), "not for logs");
});

Deno.test("a stream that is cut in the second round has that round's partial text", async () => {
  const { lmstudio } = scripted([calls({ name: "t" }), "One two three four."], {
    faults: [{
      path: "/v1/chat/completions",
      skip: 1,
      fault: { type: "cut", afterTokens: 2, clean: true },
    }],
  });
  const stream = lmstudio.streamTools({ messages: ASK, tools: [{ name: "t", execute: () => 1 }] });
  let text = "";
  const error = await failure((async () => {
    for await (const event of stream) if (event.type === "chunk") text += event.chunk.content;
  })());
  assertInstanceOf(error, StreamError);
  assertEquals([error.code, error.partial?.content], ["stream_truncated", "One two"]);
  assertEquals(text, "One two");
  assertStrictEquals(await failure(stream.result()), error);
});

bothWays("an answer by another model ends the loop", async (run) => {
  const { lmstudio } = scripted([{ content: "Hi.", model: "other/model" }]);
  const error = await failure(run(lmstudio, { messages: ASK, tools: [weather] }));
  assertInstanceOf(error, ModelNotAvailableError);
  assertEquals(error.code, "model_substituted");
});

bothWays(
  "abort: at once, even while a tool runs; its signal aborts, and it may fail later",
  async (run) => {
    const { lmstudio, bodies } = scripted([calls({ name: "slow" }), "Done."]);
    const controller = new AbortController();
    const reason = new Error("enough");
    const { opened, open } = gate();
    let seen: unknown;
    const slow: Tool = {
      name: "slow",
      execute: async (_, { signal }) => {
        queueMicrotask(() => controller.abort(reason));
        await opened;
        seen = signal?.reason;
        throw new Error("too late");
      },
    };
    const error = await failure(
      run(lmstudio, { messages: ASK, tools: [slow] }, { signal: controller.signal }),
    );
    assertStrictEquals(error, reason);
    open();
    await new Promise((resolve) => setTimeout(resolve, 1));
    assertStrictEquals(seen, reason);
    assertEquals(bodies().length, 1);
  },
);

bothWays(
  "abort: each call has a signal of its own, and is told only while it runs",
  async (run) => {
    const { lmstudio } = scripted([calls({ name: "t" }), calls({ name: "t" }, { name: "t" })]);
    const controller = new AbortController();
    const reason = new Error("enough");
    const signals = new Set<AbortSignal | undefined>();
    const t: Tool = {
      name: "t",
      execute: (_, { signal }) => {
        if (signals.add(signal).size === 3) queueMicrotask(() => controller.abort(reason));
        return signals.size === 1 ? "first" : new Promise(() => {});
      },
    };
    const options = { signal: controller.signal };
    assertStrictEquals(
      await failure(run(lmstudio, { messages: ASK, tools: [t] }, options)),
      reason,
    );
    // The first call had ended by then.
    assertEquals([...signals].map((signal) => signal?.reason), [undefined, reason, reason]);
  },
);

bothWays("abort: during onToolCall nothing is run afterwards", async (run) => {
  const { lmstudio } = scripted([calls({ name: "t" }), "Done."]);
  const controller = new AbortController();
  const { opened, open } = gate();
  let runs = 0;
  const error = await failure(run(lmstudio, {
    messages: ASK,
    tools: [{ name: "t", execute: () => ++runs }],
    onToolCall: () => {
      queueMicrotask(() => controller.abort("left"));
      return opened.then(() => undefined);
    },
  }, { signal: controller.signal }));
  assertEquals(error, "left");
  open();
  await new Promise((resolve) => setTimeout(resolve, 1));
  assertEquals(runs, 0);
});

bothWays("abort: before and between the rounds", async (run) => {
  const reason = new Error("enough");
  const early = scripted([]);
  const aborted = { signal: AbortSignal.abort(reason) };
  assertStrictEquals(await failure(run(early.lmstudio, { messages: ASK }, aborted)), reason);
  assertEquals(early.requests.length, 0);

  const { lmstudio, bodies } = scripted([calls({ name: "t" }), "Done."]);
  const controller = new AbortController();
  const tools = [{ name: "t", execute: () => controller.abort(reason) }];
  const promise = run(lmstudio, { messages: ASK, tools }, { signal: controller.signal });
  assertStrictEquals(await failure(promise), reason);
  assertEquals(bodies().length, 1);
});

Deno.test("stream: nothing is sent before the first pull, and it has one consumer", async () => {
  const { lmstudio, requests } = scripted(["Done."]);
  const stream = lmstudio.streamTools({ messages: ASK, tools: [weather] });
  await Promise.resolve();
  assertEquals(requests.length, 0);
  for await (const event of stream) assertEquals(event.type, "chunk");
  assertEquals((await stream.result()).response.content, "Done.");
  assertStrictEquals(await stream.result(), await stream.result());
  await assertRejects(async () => {
    for await (const _ of stream);
  }, InvalidRequestError);
});

Deno.test("stream: leaving the loop at a call prevents it", async () => {
  const { lmstudio, bodies } = scripted([calls({ name: "delete_all" }), "Done."]);
  const tools = [{ name: "delete_all", execute: () => assert(false, "it was run") }];
  const stream = lmstudio.streamTools({ messages: ASK, tools });
  for await (const event of stream) if (event.type === "call") break;
  await new Promise((resolve) => setTimeout(resolve, 1));
  assertEquals(bodies().length, 1);
  const error = await failure(stream.result());
  assertInstanceOf(error, StreamError);
  assertEquals(error.partial?.toolCalls.map(({ name }) => name), ["delete_all"]);
});

Deno.test("stream: leaving the loop while tools run aborts them", async () => {
  const { lmstudio } = scripted([calls({ name: "slow" }, { name: "quick" }), "Done."]);
  let signal: AbortSignal | undefined;
  const tools: Tool[] = [
    { name: "slow", execute: (_, context) => (signal = context.signal, new Promise(() => {})) },
    { name: "quick", execute: () => 1 },
  ];
  const stream = lmstudio.streamTools({ messages: ASK, tools });
  for await (const event of stream) if (event.type === "result") break;
  assertEquals(signal?.aborted, true);
});

Deno.test("stream: leaving the loop during an answer stops the model", async () => {
  const { lmstudio, requests } = scripted(["One two three."], { tokenMs: 5 });
  await using stream = lmstudio.streamTools({ messages: ASK, tools: [weather] });
  for await (const event of stream) {
    if (event.type === "chunk" && event.chunk.content !== "") break;
  }
  await new Promise((resolve) => setTimeout(resolve, 10));
  const chat = requests.find(({ method }) => method === "POST");
  assertEquals([chat?.aborted, chat?.completed], [true, false]);
});

Deno.test("stream: leaving at the last chunk does not cancel", async () => {
  const { lmstudio } = scripted([calls({ name: "t" }), "Done."]);
  const stream = lmstudio.streamTools({ messages: ASK, tools: [{ name: "t", execute: () => 1 }] });
  for await (const event of stream) {
    if (event.type === "chunk" && event.chunk.isFinal && event.round === 2) break;
  }
  assertEquals((await stream.result()).rounds, 2);
});

Deno.test("stream: cancel() quietly ends a pull that waits for a tool", async () => {
  const { lmstudio } = scripted([calls({ name: "t" }), "Done."]);
  const tools: Tool[] = [{ name: "t", execute: () => new Promise(() => {}) }];
  const stream = lmstudio.streamTools({ messages: ASK, tools });
  const seen: string[] = [];
  for await (const event of stream) {
    if (event.type !== "call") continue;
    seen.push(event.type);
    setTimeout(() => stream.cancel("enough"), 1);
  }
  assertEquals(seen, ["call"]);
  assertEquals(await failure(stream.result()), "enough");
});

bothWays("options: apply to each answer, and onStatus is called for each", async (run) => {
  const { lmstudio, requests } = scripted([calls({ name: "t" }), "Done."]);
  const phases: string[] = [];
  const tools = [{ name: "t", execute: () => void phases.push("tool") }];
  await run(lmstudio, { model: MODEL, messages: ASK, tools }, {
    headers: { "x-mine": "1" },
    onStatus: ({ phase }) => phases.push(phase),
  });
  assertEquals(requests.map(({ headers }) => headers["x-mine"]), ["1", "1"]);
  assertEquals(phases.filter((phase) => phase === "waiting" || phase === "tool"), [
    "waiting",
    "tool",
    "waiting",
  ]);
});

Deno.test("options: a timeout applies to each answer, not to the tools between them", async () => {
  const { lmstudio } = scripted([calls({ name: "t" }), "Done."]);
  const tools = [{ name: "t", execute: () => new Promise((resolve) => setTimeout(resolve, 60)) }];
  const request = { model: MODEL, messages: ASK, tools };
  const { rounds } = await lmstudio.runTools(request, { timeoutMs: 50 });
  assertEquals(rounds, 2);
});

// --- MCP --------------------------------------------------------------------------------------

Deno.test("mcp: definition and arguments are passed on", async () => {
  const inputSchema = { type: "object", properties: { a: { type: "number" } } };
  let seen: unknown;
  const add = fromMcpTool({
    name: "add",
    description: "Adds",
    inputSchema,
    call: (args, { toolCallId, signal }) => {
      seen = [args, typeof toolCallId, signal?.aborted];
      return Promise.resolve({
        content: [{ type: "text", text: "3" }, { type: "text", text: "ok" }],
      });
    },
  });
  const { lmstudio, bodies } = scripted([calls({ name: "add", arguments: { a: 1 } }), "Done."]);
  const { messages } = await lmstudio.runTools({ messages: ASK, tools: [add] });
  assertEquals(told(messages), ["3\nok"]);
  assertEquals(seen, [{ a: 1 }, "string", false]);
  assertEquals(bodies()[0]!.tools?.[0]?.function, {
    name: "add",
    description: "Adds",
    parameters: inputSchema,
  });
});

Deno.test("mcp: how results of MCP servers are converted", async () => {
  const cases: [result: unknown, text: string, isError?: boolean][] = [
    [{ content: [] }, ""],
    [{ content: [], structuredContent: { a: 1 } }, '{"a":1}'],
    [{ content: [{ type: "text", text: "t" }], structuredContent: { a: 1 } }, "t"],
    [{ toolResult: [1] }, "[1]"],
    [
      { content: [{ type: "image", data: "AAAA", mimeType: "image/png" }] },
      "[not shown: image, image/png, 3 bytes]",
    ],
    [
      {
        content: [{ type: "text", text: "See:" }, {
          type: "audio",
          data: "AA==",
          mimeType: "audio/wav",
        }],
      },
      "See:\n[not shown: audio, audio/wav, 1 bytes]",
    ],
    [
      { content: [{ type: "resource", resource: { uri: "file:///a.txt", text: "words" } }] },
      "[resource file:///a.txt]\nwords",
    ],
    [
      { content: [{ type: "resource", resource: { uri: "file:///a.bin", blob: "AAA=" } }] },
      "[not shown: resource, unknown type, 2 bytes, file:///a.bin]",
    ],
    [
      {
        content: [{ type: "resource_link", name: "a", uri: "file:///a", description: "the first" }],
      },
      "[resource a file:///a the first]",
    ],
    [
      { content: [{ type: "smell" }, null] },
      "[not shown: a part of type smell]\n[not shown: a part without a type]",
    ],
    [
      { isError: true, content: [{ type: "text", text: "no such file" }] },
      "Error: no such file",
      true,
    ],
    [{ isError: true, content: [] }, "Error: the tool failed", true],
    [{ isError: true, structuredContent: { a: 1 } }, 'Error: {"a":1}', true],
    ["no result at all", "no result at all"],
    [undefined, "null"],
  ];
  for (const [answer, result, isError = false] of cases) {
    const ran = fromMcpTool({ name: "t", call: () => answer as Record<string, unknown> });
    assertEquals(await toldOf(ran, {}), { result, isError });
  }
});

bothWays("servers: tool calls in one chunk or under one index are the same calls", async (run) => {
  for (const streamCalls of ["in-pieces", "whole", "under-one-index"] as const) {
    const { lmstudio } = scripted([
      calls(
        { name: "add", arguments: { a: 1, b: 2 } },
        { name: "add", arguments: { a: 30, b: 40 } },
        { name: "now" },
      ),
      "Well.",
    ], { streamCalls });
    const add = { name: "add", execute: (args: unknown) => JSON.stringify(args) };
    const now = { name: "now", execute: () => "12:00" };
    const { messages, response } = await run(lmstudio, { messages: ASK, tools: [add, now] });
    assertEquals(told(messages), ['{"a":1,"b":2}', '{"a":30,"b":40}', "12:00"], streamCalls);
    assertEquals(response.content, "Well.");
  }
});

bothWays("servers: cached tokens are summed", async (run) => {
  const usage = { promptTokens: 10, completionTokens: 5 };
  const { lmstudio } = scripted([
    { toolCalls: [{ name: "now" }], usage: { ...usage, cachedTokens: 4 } },
    { toolCalls: [{ name: "now" }], usage },
    { content: "Well.", usage: { ...usage, cachedTokens: 8 } },
  ]);
  const tools = [{ name: "now", execute: () => "12:00" }];
  const { usage: sum } = await run(lmstudio, { messages: ASK, tools });
  assertEquals([sum?.promptTokens, sum?.cachedTokens], [30, 12]);
});

Deno.test("servers: a finish reason in every chunk does not end a round early", async () => {
  const { lmstudio } = scripted(
    [{ content: "I look.", reasoning: "Hm.", toolCalls: [{ name: "now" }] }, "It is noon."],
    { streamFinish: "beside-pieces", tokenMs: 1 },
  );
  const tools = [{ name: "now", execute: () => "12:00" }];
  const { response, messages } = await lmstudio.streamTools({ messages: ASK, tools }).result();
  assertEquals([response.content, response.finishReason, told(messages)], [
    "It is noon.",
    "stop",
    ["12:00"],
  ]);
});
