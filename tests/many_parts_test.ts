/** Answers with tens of thousands of parts: read in linear time, up to a bound. */
import { assert, assertEquals, assertInstanceOf, assertLess } from "@std/assert";
import { LMStudioProvider, ParseError, ServiceDiscovery, StreamError, type Tool } from "../mod.ts";
import { cpuTimeMs } from "./support/cpu_time.ts";
import { rejection } from "./support/wire.ts";

const MANY = 60_000;
const TOO_MANY = 100_001;
/** A linear search per part takes at least four times as long with this many; otherwise it is less than a second. */
const LONGEST_MS = 8_000;

function provider(body: string | ReadableStream<Uint8Array>, type: string): LMStudioProvider {
  const fetch = () => Promise.resolve(new Response(body, { headers: { "content-type": type } }));
  return new LMStudioProvider({
    env: {},
    maxRetries: 0,
    model: "m",
    onModelSubstituted: () => {},
    fetch,
  });
}

const whole = (value: unknown) => provider(JSON.stringify(value), "application/json");
const streamed = (...frames: unknown[]) =>
  provider(
    frames.map((frame) => `data: ${JSON.stringify(frame)}\n\n`).join("") + "data: [DONE]\n\n",
    "text/event-stream",
  );
const times = <T>(count: number, make: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, index) => make(index));
const call = (index: number, more = {}) => ({
  id: `c${index}`,
  function: { name: "look", arguments: "{}" },
  ...more,
});
const item = (index: number) => ({
  type: "function_call",
  id: `i${index}`,
  call_id: `c${index}`,
  name: "look",
  arguments: "{}",
});

async function inTime<T>(run: () => Promise<T>): Promise<T> {
  const usedBefore = cpuTimeMs();
  const result = await run();
  assertLess(cpuTimeMs() - usedBefore, LONGEST_MS);
  return result;
}

Deno.test("many tool calls in a whole answer take no longer per call", async () => {
  const shapes = [
    (index: number) => call(index),
    () => call(0),
    (i: number) => call(i, { id: "" }),
  ];
  for (const shape of shapes) {
    const lmstudio = whole({ choices: [{ message: { tool_calls: times(MANY, shape) } }] });
    const { toolCalls } = await inTime(() => lmstudio.complete("Hello"));
    assertEquals(toolCalls.length, MANY);
    assertEquals(toolCalls.at(-1)?.name, "look");
  }
});

Deno.test("many tool calls in a stream take no longer per call, in one frame or in many", async () => {
  const shapes = [
    (index: number) => call(index, { index }),
    (index: number) => call(index, { index: 0 }),
    (index: number) => call(index),
  ];
  const frame = (calls: unknown[]) => ({ choices: [{ delta: { tool_calls: calls } }] });
  for (const shape of shapes) {
    for (
      const lmstudio of [
        streamed(frame(times(MANY, shape))),
        streamed(...times(MANY, (index) => frame([shape(index)]))),
      ]
    ) {
      const { toolCalls } = await inTime(() => lmstudio.streamCompletion("Hello").response());
      assertEquals(toolCalls.length, MANY);
      assertEquals(toolCalls.at(-1)?.id, `c${MANY - 1}`);
    }
  }
});

Deno.test("many tool calls in a text take no longer per call, whole and streamed", async () => {
  const one = '<tool_call>{"name":"look","arguments":{}}</tool_call>\n';
  const request = { messages: "Hello", tools: [{ name: "look" }] };
  const frame = (content: string) => ({ choices: [{ delta: { content } }] });
  for (
    const ask of [
      () => whole({ choices: [{ message: { content: one.repeat(MANY) } }] }).complete(request),
      () => streamed(frame(one.repeat(MANY))).streamCompletion(request).response(),
      () => streamed(...times(MANY, () => frame(one))).streamCompletion(request).response(),
    ]
  ) {
    const { toolCalls, content } = await inTime(ask);
    assertEquals([toolCalls.length, content], [MANY, ""]);
    assertEquals(new Set(toolCalls.map(({ id }) => id)).size, MANY);
  }
  const tooMany = { choices: [{ message: { content: one.repeat(TOO_MANY) } }] };
  assertInstanceOf(await rejection(whole(tooMany).complete(request)), ParseError);
  const frames = times(11, () => frame(one.repeat(TOO_MANY / 10)));
  const stream = streamed(...frames).streamCompletion(request);
  assertInstanceOf(await rejection(stream.response()), StreamError);
});

Deno.test("events that each name another model do not rebuild the answer every time", async () => {
  const added = times(
    MANY / 3,
    (index) => ({ type: "response.output_item.added", output_index: index, item: item(index) }),
  );
  const named = times(
    MANY / 3,
    (index) => ({ type: "response.in_progress", response: { model: `m:${index}` } }),
  );
  const lmstudio = streamed(...added, ...named, { type: "response.completed", response: {} });
  const { toolCalls } = await inTime(() => lmstudio.responses.stream({ input: "x" }).response());
  assertEquals(toolCalls.length, MANY / 3);
});

Deno.test("events that each report an error do not rebuild the answer every time", async () => {
  const lmstudio = streamed(
    ...times(MANY / 3, () => ({ type: "tool_call.start", tool: "look" })),
    ...times(MANY / 3, () => ({ type: "error", error: { message: "no" } })),
  );
  const error = await inTime(() =>
    rejection(lmstudio.chat.stream({ input: "x" }).response()) as Promise<
      { partial?: { toolCalls: unknown[] } }
    >
  );
  assertEquals(error.partial?.toolCalls.length, MANY / 3);
});

Deno.test("many tools running at once take no longer per tool", async () => {
  let ran = 0;
  let rounds = 0;
  const look: Tool = {
    name: "look",
    parameters: { type: "object", properties: {} },
    execute: async () => {
      await Promise.resolve();
      ran++;
      return "seen";
    },
  };
  const lmstudio = new LMStudioProvider({
    env: {},
    model: "m",
    fetch: () => {
      const calls = { tool_calls: times(MANY / 4, (index) => call(index)) };
      const message = rounds++ < 2 ? calls : { content: "done" };
      return Promise.resolve(Response.json({ choices: [{ message }] }));
    },
  });
  const { response, messages } = await inTime(() =>
    lmstudio.runTools({ messages: "Hello", tools: [look] })
  );
  assertEquals([response.content, ran, messages.length], ["done", MANY / 2, MANY / 2 + 4]);
});

Deno.test("white space before a stream takes no longer per chunk", async () => {
  const text = `${"\n".repeat(30_000)}data: {"choices":[{"delta":{"content":"Hi"}}]}\n\n` +
    "data: [DONE]\n\n";
  const bytes = new TextEncoder().encode(text);
  let at = 0;
  const lmstudio = provider(
    new ReadableStream({
      pull(controller) {
        if (at === bytes.length) return controller.close();
        controller.enqueue(bytes.slice(at, ++at));
      },
    }),
    "text/event-stream",
  );
  const answer = await inTime(() => lmstudio.streamCompletion("Hello").response());
  assertEquals(answer.content, "Hi");
});

// --- Bounds -----------------------------------------------------------------------------------

Deno.test("a whole answer with impossibly many parts is malformed_response", async () => {
  const calls = times(TOO_MANY, () => ({ function: { name: "x" } }));
  const items = times(TOO_MANY, () => ({ type: "message" }));
  const tries: [string, () => Promise<unknown>][] = [
    [
      "tool calls",
      () => whole({ choices: [{ message: { tool_calls: calls } }] }).complete("Hello"),
    ],
    ["items", () => whole({ output: items }).responses.create({ input: "x" })],
    ["items", () => whole({ output: items, stats: {} }).chat.send({ input: "x" })],
  ];
  for (const [what, ask] of tries) {
    const error = await rejection(ask());
    assertInstanceOf(error, ParseError);
    assertEquals(error.code, "malformed_response");
    assert(error.message.includes(`the answer has more than 100000 ${what}`), error.message);
    assert(error.hint.includes("token limit"), error.hint);
  }
});

Deno.test("a stream with impossibly many parts is malformed_stream, with the partial answer", async () => {
  const calls = times(TOO_MANY, () => ({ function: { name: "x" } }))
    .map((wire, index) => ({ ...wire, index }));
  const tries: [string, () => Promise<unknown>][] = [
    [
      "tool calls",
      () =>
        streamed({ choices: [{ delta: { content: "Hi" } }] }, {
          choices: [{ delta: { tool_calls: calls } }],
        }).streamCompletion("Hello").response(),
    ],
    [
      "items",
      () =>
        streamed(
          { type: "response.output_text.delta", output_index: 0, delta: "Hi" },
          ...times(TOO_MANY, (index) => ({
            type: "response.output_item.added",
            output_index: index,
            item: { type: "x" },
          })),
        ).responses.stream({ input: "x" }).response(),
    ],
    [
      "items",
      () =>
        streamed(
          { type: "message.delta", content: "Hi" },
          ...times(TOO_MANY, () => ({ type: "tool_call.start", tool: "x" })),
        ).chat.stream({ input: "x" }).response(),
    ],
  ];
  for (const [what, ask] of tries) {
    const error = await rejection(ask());
    assertInstanceOf(error, StreamError);
    assertEquals([error.code, error.partial?.content], ["malformed_stream", "Hi"]);
    assert(error.message.includes(`the stream has more than 100000 ${what}`), error.message);
  }
});

Deno.test("a probe reads a few MiB of an answer at most", async () => {
  for (const type of ["lmstudio", "ollama"] as const) {
    let bytes = 0;
    const chunk = new TextEncoder().encode(`${"x".repeat(64 * 1024 - 1)},`);
    const discovery = new ServiceDiscovery({
      env: {},
      candidates: [{ type, endpoint: "http://127.0.0.1:9" }],
      timeoutMs: 20_000,
      fetch: () => {
        let isFirst = true;
        const stream = new ReadableStream<Uint8Array<ArrayBuffer>>({
          pull(controller) {
            const next = isFirst ? new TextEncoder().encode('{"models":["') : chunk;
            isFirst = false;
            bytes += next.length;
            controller.enqueue(next);
          },
        }, { highWaterMark: 0 });
        return Promise.resolve(new Response(stream));
      },
    });
    assertEquals(await discovery.probe(type, "http://127.0.0.1:9"), undefined);
    assertLess(bytes, 17 * 1024 * 1024);
  }
});

// --- Long parts ---------------------------------------------------------------------------------

Deno.test("long arguments are not read again at every event that has fewer", async () => {
  const long = JSON.stringify({ a: "x".repeat(2_000_000) });
  const begun = [
    { type: "response.output_item.added", output_index: 0, item: { ...item(0), arguments: "" } },
    { type: "response.function_call_arguments.delta", output_index: 0, delta: long },
  ];
  const empty = { ...item(0), arguments: "{}" };
  const events = [
    { type: "response.function_call_arguments.done", output_index: 0, arguments: "{}" },
    { type: "response.function_call_arguments.done", output_index: 0, arguments: "{" },
    { type: "response.output_item.done", output_index: 0, item: empty },
  ];
  for (const event of events) {
    const lmstudio = streamed(...begun, ...times(2_000, () => event), {
      type: "response.completed",
      response: { output: [empty] },
    });
    const { toolCalls } = await inTime(() => lmstudio.responses.stream({ input: "x" }).response());
    assertEquals(toolCalls.map((call) => call.arguments.length), [long.length]);
  }
});

Deno.test("text streamed for one item goes to only one item, even if the last event repeats its id", async () => {
  const text = "x".repeat(2_000_000);
  const message = { type: "message", id: "m", content: [] };
  const lmstudio = streamed(
    { type: "response.output_item.added", output_index: 0, item: message },
    { type: "response.output_text.delta", output_index: 0, item_id: "m", delta: text },
    { type: "response.completed", response: { output: times(2_000, () => message) } },
  );
  const answer = await inTime(() => lmstudio.responses.stream({ input: "x" }).response());
  assertEquals([answer.text.length, answer.output.length], [text.length, 2_000]);
});
