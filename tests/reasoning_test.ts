/** Reasoning apart from the text, whole and streamed, whichever field it comes in and whatever else is there. */
import { assertEquals } from "@std/assert";
import { LMStudioProvider } from "../mod.ts";
import { fetchOf, json } from "./support/stub_server.ts";

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
    const { content: text, ...thoughts } = fields;
    assertEquals(await streamed([thoughts, { content: text }]), expected);
    assertEquals(await streamed([fields]), expected);
  });
}

Deno.test("reasoning: all of the limit was thought away", async () => {
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

Deno.test("reasoning: an opening tag that was in the prompt is missed in whole answers", async () => {
  const text = "Hm.\n</think>\n\nHi.";
  const expected = { content: "Hi.", reasoning: "Hm.", finishReason: "stop" };
  assertEquals(await whole({ content: text }), expected);
  // Current builds send the field with every answer.
  assertEquals(await whole({ content: text, reasoning_content: "" }), expected);
  assertEquals(await whole({ content: text, reasoning_content: null }), expected);
  // With thoughts of its own there is nothing to miss.
  assertEquals(await whole({ content: text, reasoning_content: "A" }), {
    content: text,
    reasoning: "A",
    finishReason: "stop",
  });
  // What a stream has given out it cannot take back.
  assertEquals((await streamed([{ content: text }])).content, text);
});
