/** The fake's `/v1/responses` on the wire, compared with LM Studio's known behavior and OpenAI's reference. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { createFakeLMStudio, type FakeLMStudioOptions } from "../src/testing/mod.ts";

const MODEL = "openai/gpt-oss-20b";
const TOOL = { type: "function", name: "f", parameters: { type: "object", properties: {} } };
const PNG = { type: "input_image", image_url: "data:image/png;base64,iVBORw0KGgo=" };

// deno-lint-ignore no-explicit-any -- decoded JSON, whose shape is what is tested
type Json = Record<string, any>;

function open(options: FakeLMStudioOptions = {}) {
  const fake = createFakeLMStudio({ models: [MODEL], ...options });
  return async (body: unknown, signal?: AbortSignal) => {
    const response = await fake.fetch("http://127.0.0.1:1234/v1/responses", {
      method: "POST",
      body: JSON.stringify(body),
      ...(signal === undefined ? {} : { signal }),
    });
    return { status: response.status, response };
  };
}

async function ask(options: FakeLMStudioOptions, body: Json): Promise<[number, Json]> {
  const { status, response } = await open(options)(body);
  return [status, await response.json()];
}

async function stream(options: FakeLMStudioOptions, body: Json): Promise<Json[]> {
  const { response } = await open(options)({ ...body, stream: true });
  assertEquals(response.headers.get("content-type"), "text/event-stream");
  const text = await response.text();
  return text.split("\n\n").slice(0, -1).map((frame) => {
    const [, event, data = ""] = /^event: (.+)\ndata: (.+)$/.exec(frame) ?? [];
    const value = JSON.parse(data);
    assertEquals(value.type, event);
    return value;
  });
}

Deno.test("fake responses: the route exists since 0.3.29", async () => {
  const [status, old] = await ask({ version: "0.3.28" }, { input: "Hi" });
  assertEquals(status, 200);
  assertEquals(old, { error: "Unexpected endpoint or method. (POST /v1/responses)" });
  const [, answer] = await ask({ version: "0.3.29", replies: ["41"] }, { input: "Hi" });
  assertEquals(answer.output[0].content[0].text, "41");
});

Deno.test("fake responses: the envelope", async () => {
  const [status, answer] = await ask({ replies: [{ reasoning: "Hm, well.", content: "41" }] }, {
    model: MODEL,
    input: "A prime?",
  });
  assertEquals(status, 200);
  assertMatch(answer.id, /^resp_[0-9a-f]{48}$/);
  const { object, model, error, output } = answer;
  assertEquals([object, answer.status, model, error], ["response", "completed", MODEL, null]);
  assertEquals(output.map(({ type }: Json) => type), ["reasoning", "message"]);
  assertEquals(output[0].content, [{ type: "reasoning_text", text: "Hm, well." }]);
  assertEquals(output[1].content[0].text, "41");
  assertEquals(answer.usage.output_tokens_details, { reasoning_tokens: 2 });
  assertEquals(answer.usage.total_tokens, answer.usage.input_tokens + 3);
});

Deno.test("fake responses: the events of text, reasoning and a tool call, then the same response at the end", async () => {
  const replies = [{
    reasoning: "Hm.",
    content: "Wait a",
    toolCalls: [{ id: "7", name: "f", arguments: { a: 1 } }],
  }];
  const events = await stream({ replies }, { input: "Hi" });
  assertEquals(events.map(({ sequence_number }) => sequence_number), events.map((_, n) => n));
  const around = (type: string, deltas: number) => [
    "output_item.added",
    ...(type === "function_call_arguments" ? [] : ["content_part.added"]),
    ...Array(deltas).fill(`${type}.delta`),
    `${type}.done`,
    ...(type === "function_call_arguments" ? [] : ["content_part.done"]),
    "output_item.done",
  ];
  assertEquals(events.map(({ type }) => type.replace("response.", "")), [
    "created",
    "in_progress",
    ...around("reasoning_text", 1),
    ...around("output_text", 2),
    ...around("function_call_arguments", 0),
    "completed",
  ]);
  const { response } = events.at(-1)!;
  const [, whole] = await ask({ replies }, { input: "Hi" });
  assertEquals({ ...response, created_at: 0 }, { ...whole, created_at: 0 });
  assertEquals(whole.output[2].call_id, "7");
  assertEquals(whole.output[2].arguments, '{"a":1}');
});

Deno.test("fake responses: a response at the token limit is incomplete", async () => {
  const options = { replies: [{ reasoning: "Hm, well.", content: "one two three" }] };
  const [, whole] = await ask(options, { input: "Hi", max_output_tokens: 3 });
  assertEquals([whole.status, whole.incomplete_details], ["incomplete", {
    reason: "max_output_tokens",
  }]);
  assertEquals(whole.output[1].content[0].text, "one");
  const events = await stream(options, { input: "Hi", max_output_tokens: 3 });
  assertEquals(events.at(-1)?.type, "response.incomplete");
  const [, thinking] = await ask(options, { input: "Hi", max_output_tokens: 2 });
  assertEquals(thinking.output.map(({ type }: Json) => type), ["reasoning"]);
});

Deno.test("fake responses: a stored response can be continued, others cannot", async () => {
  const send = open();
  const first = await (await send({ input: "A long beginning of all this." })).response.json();
  const again = { input: "And?", previous_response_id: first.id };
  const second = await (await send(again)).response.json();
  const alone = await (await send({ input: "And?", store: false })).response.json();
  assertEquals(second.previous_response_id, first.id);
  assert(second.usage.input_tokens > alone.usage.input_tokens);
  for (const id of [alone.id, "resp_e9c4"]) {
    const { status, response } = await send({ input: "And?", previous_response_id: id });
    assertEquals(status, 400);
    const { error } = await response.json();
    assertEquals([error.code, error.type], [
      "previous_response_not_found",
      "invalid_request_error",
    ]);
    assert(error.message.startsWith(`Prediction history node with id '${id}' not found`));
  }
});

Deno.test("fake responses: an abandoned stream is not stored", async () => {
  const fake = createFakeLMStudio({ models: [MODEL] });
  const send = (body: Json) =>
    fake.fetch("http://x/v1/responses", { method: "POST", body: JSON.stringify(body) });
  const reader = (await send({ input: "Hi", stream: true })).body!.getReader();
  const { value } = await reader.read();
  await reader.cancel();
  const [, id] = /"id":"(resp_\w+)"/.exec(new TextDecoder().decode(value)) ?? [];
  const { status } = await send({ input: "And?", previous_response_id: id });
  assertEquals([status, fake.requests[0]?.aborted], [400, true]);
});

Deno.test("fake responses: refusals in the wording of this route", async (t) => {
  const invalid = (param: string) => ({
    error: { message: "Invalid input", type: "invalid_request_error", param, code: "custom" },
  });
  const cases: [name: string, body: Json, answer: Json][] = [
    ["no input", {}, invalid("input")],
    ["numbers", { input: [1] }, invalid("input")],
    ["parameters {}", {
      input: "x",
      tools: [TOOL, { ...TOOL, parameters: {} }],
    }, invalid("tools.1")],
    ["a tool of chat", {
      input: "x",
      tools: [{ type: "function", function: { name: "f" } }],
    }, invalid("tools.0")],
    ["MCP without a server", { input: "x", tools: [{ type: "mcp" }] }, invalid("tools.0")],
    ["an image by address", {
      input: [{ role: "user", content: [{ ...PNG, image_url: "https://x/y.png" }] }],
    }, invalid("input")],
  ];
  for (const [name, body, answer] of cases) {
    await t.step(name, async () => {
      assertEquals(await ask({}, body), [400, answer]);
      assertEquals(await ask({}, { ...body, stream: true }), [400, answer]);
    });
  }
  const mcp = { type: "mcp", server_label: "l", server_url: "http://x" };
  assertEquals((await ask({}, { input: "x", tools: [TOOL, mcp] }))[0], 200);
});

Deno.test("fake responses: no model, a wrong model, no vision, too long", async () => {
  const none = { models: [{ id: MODEL, loaded: false }] };
  assertEquals(await ask(none, { input: "x" }), [400, {
    error: {
      message:
        "No models loaded. Please load a model in the developer page or use the 'lms load' command.",
      type: "invalid_request_error",
      param: "model",
      code: null,
    },
  }]);
  const [, substituted] = await ask({}, { model: "nobody/model", input: "x" });
  assertEquals(substituted.model, MODEL);
  const [, unknown] = await ask({ substitution: false }, { model: "nobody/model", input: "x" });
  assertEquals(unknown.error.code, "model_not_found");
  const picture = { input: [{ role: "user", content: [PNG] }] };
  const [status, blind] = await ask({}, picture);
  assertEquals(status, 400);
  assertMatch(blind.error.message, /does not support images/);
  assertEquals((await ask({ models: [{ id: MODEL, vision: true }] }, picture))[0], 200);
  const [tooLong, overflow] = await ask({}, { input: "word ".repeat(9000) });
  assertEquals([tooLong, overflow.error.code], [500, "unknown"]);
  assertMatch(overflow.error.message, /Context size has been exceeded/);
});

Deno.test("fake responses: faults hit after a number of tokens, whatever other events there are", async () => {
  const fault = { type: "error-frame", message: "Model unloaded.", afterTokens: 2 } as const;
  const events = await stream({ replies: ["one two three"], faults: [{ fault }] }, { input: "x" });
  const last = events.at(-1)!;
  assertEquals([last.type, last.message], ["error", "Model unloaded."]);
  assertEquals(events.filter(({ delta }) => delta !== undefined).length, 2);
  const late = await stream({
    replies: ["one"],
    faults: [{ fault: { ...fault, afterTokens: 9 } }],
  }, { input: "x" });
  assertEquals(late.at(-1)?.type, "error");
});
