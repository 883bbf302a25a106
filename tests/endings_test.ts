/** Finish reasons that are not the end: in every chunk, with reasoning, or as a word for "none". */
import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { LMStudioProvider, StreamError } from "../mod.ts";
import { inFakeTime, Puppet } from "./support/puppet.ts";
import { events, fetchOf, json } from "./support/stub_server.ts";
import { rejection } from "./support/wire.ts";

const DONE = "data: [DONE]\n\n";
const URL_OF_CHAT = "http://127.0.0.1:1234/v1/chat/completions";

type Delta = Record<string, unknown>;

/** A frame of `/v1/chat/completions`. */
function chat(delta: Delta, finish_reason: string | null = null): string {
  const choices = [{ index: 0, delta, finish_reason }];
  return `data: ${JSON.stringify({ id: "1", model: "m", choices })}\n\n`;
}

const word = (content: string, reason?: string): string => chat({ content }, reason);
const reasoning = (text: string, reason?: string): string =>
  chat({ reasoning_content: text }, reason);
const call = (text: string, reason?: string): string =>
  chat(
    { tool_calls: [{ index: 0, id: "1", function: { name: "look", arguments: text } }] },
    reason,
  );

/** The user's result for frames that arrive at these times. */
async function seen(
  steps: readonly (readonly [afterMs: number, frame: string])[],
  ending: "end" | "open",
): Promise<unknown> {
  let result: unknown;
  await inFakeTime(async (pass) => {
    const puppet = new Puppet();
    const lmstudio = new LMStudioProvider({ env: {}, fetch: puppet.fetch, model: "m" });
    const response = lmstudio.streamCompletion("Hi").response().then(
      ({ content, reasoning, toolCalls, finishReason }) => ({
        content,
        ...(reasoning === undefined ? {} : { reasoning }),
        ...(toolCalls.length === 0 ? {} : { calls: toolCalls.map((call) => call.arguments) }),
        finishReason,
      }),
      (error) => ({ code: error.code, partial: error.partial?.content }),
    );
    await pass(0);
    puppet.last.respond(200, { "content-type": "text/event-stream" });
    for (const [afterMs, frame] of steps) {
      await pass(afterMs);
      puppet.last.send(frame);
    }
    await pass(0);
    if (ending === "end") puppet.last.end();
    await pass(0);
    // If it has not ended by now, it never will.
    await pass(130_000);
    result = await response;
  });
  return result;
}

const WORDS = ["One ", "two ", "three ", "four ", "five ", "six"];
const SIX = WORDS.join("");

Deno.test("endings: a finish reason in every chunk cuts nothing", async () => {
  for (const apartMs of [700, 3000, 60_000]) {
    const steps = WORDS.map((text) => [apartMs, word(text, "stop")] as const);
    const whole = { content: SIX, finishReason: "stop" };
    assertEquals(await seen([...steps, [0, DONE]], "open"), whole, `${apartMs}`);
    assertEquals(await seen([...steps, [apartMs, word("", "length")], [0, DONE]], "open"), {
      content: SIX,
      finishReason: "length",
    });
    // The reason was wrong before: without `[DONE]` it is not certain that this is the end.
    const cut = { code: "stream_truncated", partial: SIX };
    assertEquals(await seen(steps, "end"), cut);
  }
});

Deno.test("endings: a finish reason with the reasoning, and the answer seconds later", async () => {
  const answers: [steps: [number, string][], expected: object][] = [
    [
      [[0, reasoning("Hm.", "stop")], [3000, word("Hello.")], [100, word("", "stop")], [0, DONE]],
      { content: "Hello.", reasoning: "Hm.", finishReason: "stop" },
    ],
    [
      [[0, reasoning("Hm")], [500, reasoning(".", "stop")], [90_000, word("Hello.", "stop")], [
        0,
        DONE,
      ]],
      { content: "Hello.", reasoning: "Hm.", finishReason: "stop" },
    ],
    [
      [[0, word("<think>Hm")], [500, word(".</think>", "stop")], [5000, word("Hello.")], [0, DONE]],
      { content: "Hello.", reasoning: "Hm.", finishReason: "stop" },
    ],
    [
      [[0, word("I look.", "stop")], [5000, call('{"a":', "stop")], [5000, call("1}")], [0, DONE]],
      { content: "I look.", calls: ['{"a":1}'], finishReason: "tool_calls" },
    ],
    [
      [[0, word("One ")], [0, word("", "length")], [1500, word("two")], [5000, word(".")], [
        0,
        DONE,
      ]],
      { content: "One two.", finishReason: "length" },
    ],
  ];
  for (const [steps, expected] of answers) assertEquals(await seen(steps, "open"), expected);
});

Deno.test('endings: the string "None" is not a finish reason', async () => {
  for (const none of ["None", "null", "none", "NULL", ""]) {
    const steps = WORDS.map((text) => [3000, word(text, none)] as const);
    assertEquals(await seen([...steps, [0, DONE]], "open"), { content: SIX, finishReason: "stop" });
    assertEquals(await seen(steps, "end"), { code: "stream_truncated", partial: SIX });
    const choices = [{ index: 0, message: { content: "Hi." }, finish_reason: none }];
    const lmstudio = new LMStudioProvider({
      env: {},
      fetch: fetchOf(json({ model: "m", choices })),
      model: "m",
    });
    assertEquals((await lmstudio.complete("Hi")).finishReason, "stop");
  }
});

Deno.test("endings: a real end still takes 2 s at most", async () => {
  const ends: string[][] = [
    [word("One"), word("", "stop")],
    [word("One "), word("two", "stop")],
    [reasoning("Hm."), word("One "), word("two", "stop")],
    [word("One"), word("", "stop"), word("", "stop")],
  ];
  for (const frames of ends) {
    await inFakeTime(async (pass) => {
      const puppet = new Puppet();
      const lmstudio = new LMStudioProvider({ env: {}, fetch: puppet.fetch, model: "m" });
      let reason: string | undefined;
      lmstudio.streamCompletion("Hi").response().then(({ finishReason }) => reason = finishReason);
      await pass(0);
      puppet.last.respond(200, { "content-type": "text/event-stream" });
      for (const frame of frames) puppet.last.send(frame);
      await pass(1999);
      assertEquals(reason, undefined);
      await pass(1);
      assertEquals(reason, "stop");
    });
  }
});

Deno.test("endings: text completions, too", async () => {
  const frame = (text: string, finish_reason: string | null) =>
    `data: ${JSON.stringify({ model: "m", choices: [{ index: 0, text, finish_reason }] })}\n\n`;
  const body = WORDS.map((text) => frame(text, "stop"));
  const ask = (chunks: string[]) =>
    new LMStudioProvider({ env: {}, fetch: fetchOf(events(chunks)), model: "m" })
      .streamText("Count.").response();
  const { text, finishReason } = await ask([...body, DONE]);
  assertEquals([text, finishReason], [SIX, "stop"]);
  const error = await rejection(ask(body));
  assertInstanceOf(error, StreamError);
  assertEquals([error.code, error.partial?.content], ["stream_truncated", SIX]);
});

Deno.test("endings: another client gets the whole stream, [DONE] included", async () => {
  // Loading it on first use takes real time.
  await import("../src/transport/forward.ts");
  for (const apartMs of [700, 3000]) {
    for (
      const [frames, isWhole] of [
        [[...WORDS.map((text) => word(text, "stop")), DONE], true],
        [[reasoning("Hm.", "stop"), word("Hello."), word("", "stop"), DONE], true],
        [WORDS.map((text) => word(text, "stop")), false],
        [WORDS.map((text) => word(text, "None")), false],
      ] as const
    ) {
      await inFakeTime(async (pass) => {
        const puppet = new Puppet();
        const { fetch } = new LMStudioProvider({ env: {}, fetch: puppet.fetch }).toOpenAI();
        const body = JSON.stringify({ model: "m", messages: [], stream: true });
        const pending = fetch(URL_OF_CHAT, { method: "POST", body });
        await pass(0);
        puppet.last.respond(200, { "content-type": "text/event-stream" });
        const text = (await pending).text().catch((error) => error);
        for (const frame of frames) {
          await pass(apartMs);
          puppet.last.send(frame);
        }
        await pass(0);
        if (!isWhole) puppet.last.end();
        await pass(0);
        const got = await text;
        if (isWhole) assertEquals(got, frames.join(""));
        else {
          assert(got instanceof StreamError, String(got));
          assertEquals(got.code, "stream_truncated");
        }
      });
    }
  }
});
