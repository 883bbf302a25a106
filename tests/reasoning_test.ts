/** Reasoning is separated from the text, whole and streamed, whatever field it is in and whatever surrounds it. */
import { assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import {
  ConfigurationError,
  InvalidRequestError,
  LMStudioProvider,
  LocalProvider,
  OpenAICompatibleProvider,
  type ResponsesAnswer,
  StreamError,
} from "../mod.ts";
import { createFakeLMStudio } from "../src/testing/mod.ts";
import { randomizer } from "./support/random.ts";
import { fetchOf, json } from "./support/stub_server.ts";
import { event } from "./support/wire.ts";

type Fields = Record<string, unknown>;

const lmstudio = (fetch: typeof globalThis.fetch) =>
  new LMStudioProvider({ fetch, env: {}, model: "m", maxRetries: 0 });

async function whole(message: Fields, finishReason = "stop") {
  const choices = [{ index: 0, message, finish_reason: finishReason }];
  const { content, reasoning, message: history, ...rest } = await lmstudio(
    fetchOf(json({ model: "m", choices })),
  ).complete("Hi");
  assertEquals([history.content, history.reasoning], [content, reasoning]);
  return { content, reasoning, finishReason: rest.finishReason };
}

async function streamed(deltas: readonly Fields[], finishReason = "stop") {
  const frames = [...deltas.map((delta) => ({ delta, finish_reason: null })), {
    delta: {},
    finish_reason: finishReason,
  }].map((choice) =>
    `data: ${JSON.stringify({ model: "m", choices: [{ index: 0, ...choice }] })}\n\n`
  );
  const body = `${frames.join("")}data: [DONE]\n\n`;
  const headers = { "content-type": "text/event-stream" };
  const response = await lmstudio(fetchOf({ headers, body })).streamCompletion("Hi").response();
  const { content, reasoning } = response;
  return { content, reasoning, finishReason: response.finishReason };
}

const CASES: [hazard: string, fields: Fields, reasoning: string | undefined, content: string][] = [
  ["one name", { reasoning_content: "Hm.", content: "Hi." }, "Hm.", "Hi."],
  ["the other name", { reasoning: "Hm.", content: "Hi." }, "Hm.", "Hi."],
  ["both names", { reasoning: "Hm.", reasoning_content: "Hm.", content: "Hi." }, "Hm.", "Hi."],
  ["one of them empty", { reasoning_content: "", reasoning: "Hm.", content: "Hi." }, "Hm.", "Hi."],
  ["one of them null", { reasoning_content: null, reasoning: "Hm.", content: "" }, "Hm.", ""],
  ["one of them no text", { reasoning_content: 5, reasoning: "Hm.", content: "Hi." }, "Hm.", "Hi."],
  ["both empty", { reasoning_content: "", reasoning: "", content: "Hi." }, undefined, "Hi."],
  ["both null", { reasoning_content: null, reasoning: null, content: "Hi." }, undefined, "Hi."],
  ["neither text", { reasoning_content: {}, reasoning: true, content: "Hi." }, undefined, "Hi."],
  ["text in parts", { reasoning: [{ text: "H" }, { text: "m." }], content: "" }, "Hm.", ""],
  ["nothing else", { reasoning_content: "Hm." }, "Hm.", ""],
  ["content null", { reasoning_content: "Hm.", content: null }, "Hm.", ""],
  ["tags as well", { reasoning: "A", content: "<think>B</think>C" }, "AB", "C"],
];

for (const [hazard, fields, reasoning, content] of CASES) {
  Deno.test(`reasoning: ${hazard}, whole and streamed`, async () => {
    const expected = { content, reasoning, finishReason: "stop" };
    assertEquals(await whole(fields), expected);
    const { content: text, ...first } = fields;
    assertEquals(await streamed([first, { content: text }]), expected);
    assertEquals(await streamed([fields]), expected);
  });
}

Deno.test("reasoning: the reasoning used up the token limit", async () => {
  const expected = { content: "", reasoning: "Let me thi", finishReason: "length" };
  const fields = { content: "", reasoning_content: "Let me thi" };
  assertEquals(await whole(fields, "length"), expected);
  assertEquals(await streamed([fields], "length"), expected);
  assertEquals(await whole({ content: "<think>Let me thi" }, "length"), expected);
  assertEquals(
    await streamed([{ content: "<thi" }, { content: "nk>Let me thi" }], "length"),
    expected,
  );
});

Deno.test("reasoning: an opening tag that was in the prompt is inferred, whole and at a stream's end", async () => {
  const text = "Hm.\n</think>\n\nHi.";
  const expected = { content: "Hi.", reasoning: "Hm.", finishReason: "stop" };
  assertEquals(await whole({ content: text }), expected);
  assertEquals(await streamed([{ content: text }]), expected);
  assertEquals(await streamed([...text].map((content) => ({ content }))), expected);
  // Current builds send the field with every answer.
  assertEquals(await whole({ content: text, reasoning_content: "" }), expected);
  assertEquals(await whole({ content: text, reasoning_content: null }), expected);
  // If there is a reasoning field, no tag is missing.
  assertEquals(await whole({ content: text, reasoning_content: "A" }), {
    content: text,
    reasoning: "A",
    finishReason: "stop",
  });
  assertEquals(await streamed([{ content: text, reasoning_content: "A" }]), {
    content: text,
    reasoning: "A",
    finishReason: "stop",
  });
});

const THOUGHT_TAGS = [["<thought>", "</thought>"], { open: "<<", close: ">>" }] as const;
const TAGGED = "<thought>Hm.</thought>Hi. <<Well.>>There.";
const SPLIT = ["Hi. There.", "Hm.\n\nWell."];

function withContent({ text, ...rest }: ResponsesAnswer) {
  return { ...rest, content: text };
}

Deno.test("reasoning: custom tags, by option and by request, whole and streamed", async () => {
  const fake = () => createFakeLMStudio({ replies: () => TAGGED });
  const bare = () => new LMStudioProvider({ fetch: fake().fetch, env: {} });
  const request = { messages: "Hi", reasoningTags: THOUGHT_TAGS };
  const own = () =>
    new LMStudioProvider({ fetch: fake().fetch, env: {}, reasoningTags: THOUGHT_TAGS });
  const tools = [{ name: "look", execute: () => "" }];
  const answers: Record<string, Promise<{ content: string; reasoning?: string }>> = {
    "complete, option": own().complete("Hi"),
    "complete, request": bare().complete(request),
    "stream, option": own().streamCompletion("Hi").response(),
    "stream, request": bare().streamCompletion(request).response(),
    "runTools, request": bare().runTools({ ...request, tools }).then(({ response }) => response),
    "streamTools, option": own().streamTools({ messages: "Hi", tools }).result()
      .then(({ response }) => response),
    "responses.create, option": own().responses.create({ input: "Hi" }).then(withContent),
    "responses.create, request": bare().responses.create({
      input: "Hi",
      reasoningTags: THOUGHT_TAGS,
    }).then(withContent),
    "responses.stream, option": own().responses.stream({ input: "Hi" }).response()
      .then(withContent),
    "responses.stream, request": bare().responses.stream({
      input: "Hi",
      reasoningTags: THOUGHT_TAGS,
    }).response().then(withContent),
    "chat.send, option": own().chat.send({ input: "Hi" }),
    "chat.send, request": bare().chat.send({ input: "Hi", reasoningTags: THOUGHT_TAGS }),
    "chat.stream, option": own().chat.stream({ input: "Hi" }).response(),
    "LocalProvider, option": new LocalProvider({
      fetch: fake().fetch,
      env: {},
      reasoningTags: THOUGHT_TAGS,
    }).complete("Hi"),
    "OpenAICompatibleProvider, option": new OpenAICompatibleProvider({
      name: "other",
      baseUrl: "http://127.0.0.1:1/v1",
      fetch: fake().fetch,
      reasoningTags: THOUGHT_TAGS,
      model: "m",
    }).complete("Hi"),
  };
  for (const [name, answer] of Object.entries(answers)) {
    const { content, reasoning } = await answer;
    assertEquals([content, reasoning], SPLIT, name);
  }
  const { content } = await bare().complete("Hi");
  assertEquals(content, TAGGED);
  // A request's tags replace the provider's.
  assertEquals((await own().complete({ messages: "Hi", reasoningTags: [] })).content, TAGGED);
});

Deno.test("reasoning: invalid tags are refused, and tags are never sent", async () => {
  const refused: [tags: unknown, state: string][] = [
    ["<a>", ' is "<a>", not an array of pairs such as ["<think>", "</think>"]'],
    [["<a>", "</a>"], "[0] is not a pair such as"],
    [[["<a>"]], "[0] is not a pair such as"],
    [[["<a>", "</a>"], { open: "<b>" }], "[1] is not a pair such as"],
    [[{ open: "<b>", close: "</b>", start: 1 }], "[0] is not a pair such as"],
    [[["", "</a>"]], "[0] has an empty tag"],
    [[["<a>", "\n"]], "[0] has an empty tag"],
    [[["<a>", "<a>\n"]], '[0] has "<a>" as both tags'],
    [[["<a>", "x".repeat(201)]], "[0] has a tag longer than 200 characters"],
  ];
  const fake = createFakeLMStudio();
  const provider = new LMStudioProvider({ fetch: fake.fetch, env: {} });
  for (const [tags, state] of refused) {
    const reasoningTags = tags as typeof THOUGHT_TAGS;
    for (
      const call of [
        provider.complete({ messages: "Hi", reasoningTags }),
        provider.streamCompletion({ messages: "Hi", reasoningTags }).response(),
        provider.chat.send({ input: "Hi", reasoningTags }),
        provider.responses.create({ input: "Hi", reasoningTags }),
      ]
    ) {
      const error = await assertRejects(() => call, InvalidRequestError);
      assertStringIncludes(error.message, `: reasoningTags${state}`);
    }
    const error = assertThrows(
      () => new LMStudioProvider({ env: {}, reasoningTags }),
      ConfigurationError,
    );
    assertStringIncludes(error.message, `: option reasoningTags${state}`);
  }
  assertEquals(fake.requests.length, 0);
  await provider.complete({ messages: "Hi", reasoningTags: THOUGHT_TAGS });
  assertEquals(JSON.stringify(fake.requests.at(-1)?.body).includes("tags"), false);
});

Deno.test("reasoning: with only a closing tag, messages still have the reasoning separate", async () => {
  const first = { content: "I look.\n</think>\n\n", toolCalls: [{ name: "look" }] };
  for (const stream of [false, true]) {
    const fake = createFakeLMStudio({ replies: [first, "It is\n</think>\n\n4."] });
    const provider = new LMStudioProvider({ fetch: fake.fetch, env: {} });
    const request = { messages: "Hi", tools: [{ name: "look", execute: () => "4" }] };
    const { response, messages } = stream
      ? await provider.streamTools(request).result()
      : await provider.runTools(request);
    assertEquals([response.content, response.reasoning], ["4.", "It is"]);
    const said = messages.flatMap((message) =>
      message.role === "assistant" ? [[message.content, message.reasoning]] : []
    );
    assertEquals(said, [["", "I look."], ["4.", "It is"]]);
  }
});

Deno.test("reasoning: the partial answer of a broken stream is split as well", async () => {
  const body = event({ content: "Hm.\n</think>" }) + event({ content: "\n\nHel" });
  const headers = { "content-type": "text/event-stream" };
  const stream = lmstudio(fetchOf({ headers, body })).streamCompletion("Hi");
  const error = await assertRejects(() => stream.response(), StreamError);
  assertEquals(error.partial, { content: "Hel", reasoning: "Hm.", toolCalls: [] });
});

Deno.test("reasoning: leading closing tags are dropped alike, whole and streamed", async () => {
  for (const text of ["</think>Hi.", "\n</think>\n\nHi.", "</think>Hi.</think>There."]) {
    const expected = await whole({ content: text });
    assertEquals(expected.content.startsWith("Hi."), true);
    assertEquals(await streamed([...text].map((content) => ({ content }))), expected);
  }
});

Deno.test("reasoning: response() of a stream splits any text as complete() does, cut anywhere", async () => {
  const texts = [
    "a</think>x<think>b</think>y<think>c</think>z",
    "a\n</think>\n\nx.\n<think>b</think>\ny",
    "a[/THINK]x\n[THINK]b[/THINK]y",
    "a</think><think>b",
  ];
  // What models may write, in random order.
  const random = randomizer(7);
  const words = ["<think>", "</think>", "a", " ", "\n", "b.", "`", "[THINK]", "[/THINK]", '"'];
  for (let count = 0; count < 150; count++) {
    const length = 2 + Math.floor(random() * 8);
    const word = () => words[Math.floor(random() * words.length)] ?? "";
    texts.push(Array.from({ length }, word).join(""));
  }
  for (const content of texts) {
    const expected = await whole({ content });
    assertEquals(await streamed([...content].map((content) => ({ content }))), expected, content);
  }
  const { content, reasoning } = await whole({ content: texts[0] });
  assertEquals([content, reasoning], ["xyz", "a\n\nb\n\nc"]);
});

Deno.test("reasoning: the native chat splits its messages as complete() does", async () => {
  const message = (content: string) => ({ type: "message", content });
  const reasoning = { type: "reasoning", content: "A." };
  const cases: [output: unknown[], content: string, reasoning: string | undefined][] = [
    [[message("<think>Hm.</think>Hi.")], "Hi.", "Hm."],
    [[message("Hm.\n</think>\n\nHi.")], "Hi.", "Hm."],
    [
      [message("<think>Hm.</think>I look."), message("[THINK]So.[/THINK]4.")],
      "I look.\n\n4.",
      "Hm.\n\nSo.",
    ],
    [[reasoning, message("<think>Hm.</think>Hi.")], "Hi.", "A.\n\nHm."],
    [[reasoning, message("Use\n</think>\nhere")], "Use\n</think>\nhere", "A."],
    [[message("Hi.")], "Hi.", undefined],
  ];
  for (const [output, content, reasoning] of cases) {
    const result = { model_instance_id: "m", output, stats: {} };
    const sent = await lmstudio(fetchOf(json(result))).chat.send({ input: "Hi" });
    const headers = { "content-type": "text/event-stream" };
    const body = `data: ${JSON.stringify({ type: "chat.end", result })}\n\n`;
    const end = await lmstudio(fetchOf({ headers, body })).chat.stream({ input: "Hi" }).response();
    for (const answer of [sent, end]) {
      assertEquals([answer.content, answer.reasoning], [content, reasoning]);
      // The output items stay as the server sent them.
      assertEquals(answer.output, output as typeof answer.output);
    }
  }
  const headers = { "content-type": "text/event-stream" };
  const delta = (content: string) =>
    `data: ${JSON.stringify({ type: "message.delta", content })}\n\n`;
  const body = delta("<think>Hm") + delta(".</think>Hel");
  const broken = lmstudio(fetchOf({ headers, body })).chat.stream({ input: "Hi" });
  const error = await assertRejects(() => broken.response(), StreamError);
  assertEquals(error.partial, { content: "Hel", reasoning: "Hm.", toolCalls: [] });
});
