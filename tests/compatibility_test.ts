/** docs/compatibility.md says what works with which LM Studio; here the same script runs against a fake of each version. */

import { assertEquals } from "@std/assert";
import { isProviderError, LMStudioProvider, tool } from "../mod.ts";
import { createFakeLMStudio, type FakeReply } from "../src/testing/mod.ts";

const VERSIONS = ["0.3.5", "0.3.16", "0.3.29", "0.4.0", "0.4.20"];
const LLM = "qwen/qwen3-8b";
const IDLE = "google/gemma-3-4b";
const SECOND = "openai/gpt-oss-20b";
const EMBEDDER = "text-embedding-nomic-embed-text-v1.5";
const DECIDER = "typesafe/kev-4b";
/** Calls the tool `echo` if there are tools, and answers with an object if one is requested. */
const ANSWER = { reasoning: "Easy.", content: '{"n":1}' };

/** What the script observes, in the table's wording. */
type Seen = (lmstudio: LMStudioProvider) => Promise<boolean | string>;

async function lastOf<Item>(items: AsyncIterable<Item>): Promise<Item | undefined> {
  let last: Item | undefined;
  for await (const item of items) last = item;
  return last;
}

const echo = tool({
  name: "echo",
  parameters: { type: "object", properties: { text: { type: "string" } } },
  execute: () => "echoed",
});

const SCRIPT: Record<string, Seen> = {
  "`listModels()`: ids": async (lmstudio) =>
    (await lmstudio.listModels()).map(({ id }) => id).includes(LLM),
  "`listModels()`: what is loaded": async (lmstudio) => {
    const models = await lmstudio.listModels();
    return models.find(({ id }) => id === LLM)?.loaded === true &&
      models.find(({ id }) => id === IDLE)?.loaded === false;
  },
  "`listModels()`: trained for tools": async (lmstudio) =>
    (await lmstudio.modelCapabilities(LLM))?.trainedForTools === true,
  "`listModels()`: sizes, instances": async (lmstudio) => {
    const model = (await lmstudio.listModels()).find(({ id }) => id === LLM);
    return model?.sizeBytes !== undefined && model.instances?.length === 1;
  },
  "`complete()`": async (lmstudio) =>
    (await lmstudio.complete({ model: LLM, messages: "Hello" })).content === ANSWER.content,
  "`complete()`: loads the model it names": async (lmstudio) =>
    (await lmstudio.complete({ model: IDLE, messages: "Hello" })).model === IDLE,
  "`complete()`: reasoning separate from the text": async (lmstudio) =>
    (await lmstudio.complete({ model: LLM, messages: "Hello" })).reasoning === ANSWER.reasoning,
  "`streamCompletion()`": async (lmstudio) => {
    const stream = lmstudio.streamCompletion({ model: LLM, messages: "Hello" });
    return (await lastOf(stream))?.finishReason === "stop" &&
      (await stream.response()).content === ANSWER.content;
  },
  "`streamCompletion()`: usage": async (lmstudio) => {
    const stream = lmstudio.streamCompletion({ model: LLM, messages: "Hello" });
    return (await lastOf(stream))?.usage !== undefined;
  },
  "`completeText()`, `streamText()`": async (lmstudio) => {
    const stream = lmstudio.streamText({ model: LLM, prompt: "One" });
    const streamed = (await stream.response()).text;
    return (await lmstudio.completeText({ model: LLM, prompt: "One" })).text === streamed &&
      streamed !== "";
  },
  "`completeObject()`": async (lmstudio) => {
    const schema = { type: "object", properties: { n: { type: "integer" } } };
    const { object } = await lmstudio.completeObject({ model: LLM, messages: "One", schema });
    return JSON.stringify(object) === ANSWER.content;
  },
  "`streamObject()`": async (lmstudio) => {
    const schema = { type: "object", properties: { n: { type: "integer" } } };
    const stream = lmstudio.streamObject({ model: LLM, messages: "One", schema });
    const last = await lastOf(stream);
    const { object } = await stream.response();
    return JSON.stringify(last) === ANSWER.content && object === last;
  },
  "`runTools()`, `streamTools()`": async (lmstudio) => {
    const request = { model: LLM, messages: "Echo one.", tools: [echo] };
    const events = lmstudio.streamTools(request);
    await lastOf(events);
    const rounds = [(await lmstudio.runTools(request)).rounds, (await events.result()).rounds];
    return rounds.every((number) => number === 2);
  },
  "`complete()`, `streamCompletion()`: tool calls in the text": async (lmstudio) => {
    const request = { model: LLM, messages: "Echo one.", tools: [echo] };
    const streamed = await lmstudio.streamCompletion(request).response();
    const whole = await lmstudio.complete(request);
    return [streamed, whole].every(({ content, finishReason, toolCalls: [call] }) =>
      content === "" && finishReason === "tool_calls" && call?.source === "text"
    );
  },
  "requests for two models when only one fits": async (lmstudio) => {
    const answers = await Promise.all(
      [IDLE, SECOND, IDLE, SECOND].map((model) => lmstudio.complete({ model, messages: "Hello" })),
    );
    return answers.map(({ model }) => model).join() === [IDLE, SECOND, IDLE, SECOND].join();
  },
  "`embed()`": async (lmstudio) =>
    (await lmstudio.embed({ model: EMBEDDER, input: ["a", "b"] })).embeddings.length === 2,
  "`embed()`: `dimensions`": async (lmstudio) => {
    const { embeddings, truncated } = await lmstudio.embed({
      model: EMBEDDER,
      input: "a",
      dimensions: 64,
    });
    return embeddings[0]?.length === 64 && truncated === "client";
  },
  "`decide()`": async (lmstudio) => {
    const questions = { a: { type: "predicate", instructions: "?" } } as const;
    const { answers } = await lmstudio.decide({ model: DECIDER, input: "One", questions });
    return answers.a.type === "predicate";
  },
  "`toAnthropic()`": async (lmstudio) => {
    const { baseURL, fetch } = lmstudio.toAnthropic();
    const messages = [{ role: "user", content: "Hello" }];
    const response = await fetch(`${baseURL}/v1/messages`, {
      method: "POST",
      body: JSON.stringify({ model: LLM, max_tokens: 100, messages }),
    });
    const { type, error } = await response.json();
    return type === "message" ||
      `${response.status} "${String(error?.message).split(" or ")[0]}"`;
  },
  "`responses.create()`, `.stream()`": async (lmstudio) => {
    const request = { model: LLM, input: "One" };
    const streamed = await lmstudio.responses.stream(request).response();
    const whole = await lmstudio.responses.create(request);
    return streamed.text === ANSWER.content && whole.text === streamed.text;
  },
  "`chat.send()`, `.stream()`": async (lmstudio) => {
    const request = { model: LLM, input: "One" };
    const streamed = await lmstudio.chat.stream(request).response();
    const whole = await lmstudio.chat.send(request);
    return streamed.content === ANSWER.content && whole.content === streamed.content;
  },
  "`models.get()`": async (lmstudio) => (await lmstudio.models.get("Gemma-3-4B")).id === IDLE,
  "`models.load()`, `.ensureLoaded()`": async (lmstudio) => {
    const { instanceId } = await lmstudio.models.load(IDLE);
    const { alreadyLoaded } = await lmstudio.models.ensureLoaded(IDLE);
    return instanceId !== "" && alreadyLoaded;
  },
  "`models.unload()`": async (lmstudio) =>
    (await lmstudio.models.unload(LLM)).join() === LLM &&
    (await lmstudio.models.unload(LLM)).length === 0,
  "`models.download()`": async (lmstudio) => {
    const last = await lastOf(
      lmstudio.models.download("ibm/granite-4-micro", { pollIntervalMs: 1 }),
    );
    return last?.status === "completed";
  },
};

/** The model's answer for a row, if it differs. */
const CALLS = { toolCalls: [{ name: "echo", arguments: { text: "one" } }] };
const TEXT_CALL = '<tool_call>\n{"name": "echo", "arguments": {"text": "one"}}\n</tool_call>';
const REPLIES: Record<string, readonly FakeReply[]> = {
  "requests for two models when only one fits": [ANSWER, ANSWER, ANSWER, ANSWER],
  "`runTools()`, `streamTools()`": [CALLS, ANSWER, CALLS, ANSWER],
  "`complete()`, `streamCompletion()`: tool calls in the text": [TEXT_CALL, TEXT_CALL],
};

/** The first table, by feature and version. */
async function readTable(): Promise<Record<string, Record<string, string>>> {
  const text = await Deno.readTextFile(new URL("../docs/compatibility.md", import.meta.url));
  const [, versions = ""] = text.split("\n## ");
  const [head = [], , ...rows] = versions.split("\n").filter((line) => line.startsWith("|"))
    .map((line) => line.slice(1, -1).split("|").map((cell) => cell.trim()));
  assertEquals(head, ["what", ...VERSIONS, "known from"]);
  return Object.fromEntries(
    rows.map(([what = "", ...cells]) => [
      what,
      Object.fromEntries(VERSIONS.map((version, index) => [version, cells[index] ?? ""])),
    ]),
  );
}

/** A fresh server each time, so that no row affects the next. */
async function see(version: string, seen: Seen, what: string): Promise<string> {
  const fake = createFakeLMStudio({
    version,
    models: [
      LLM,
      { id: IDLE, loaded: false },
      { id: SECOND, loaded: false },
      EMBEDDER,
      { id: DECIDER, type: "decision" },
    ],
    replies: REPLIES[what] ?? [ANSWER, ANSWER],
    tokenMs: 1,
  });
  const lmstudio = new LMStudioProvider({ fetch: fake.fetch, env: {} });
  try {
    const result = await seen(lmstudio);
    return result === true ? "yes" : result === false ? "no" : result;
  } catch (error) {
    if (!isProviderError(error) || error.code !== "unsupported_by_server") throw error;
    return `\`${error.code}\``;
  }
}

Deno.test("docs/compatibility.md: each cell matches a fake of that version", async (t) => {
  const table = await readTable();
  assertEquals(Object.keys(table), Object.keys(SCRIPT));
  for (const [what, seen] of Object.entries(SCRIPT)) {
    await t.step(what, async () => {
      for (const version of VERSIONS) {
        const shown = await see(version, seen, what);
        assertEquals(shown, table[what]?.[version], `${what} on ${version}`);
      }
    });
  }
});

Deno.test("a missing feature names the version that has it, and is requested once", async () => {
  for (
    const [since, version, call] of [
      ["0.3.29", "0.3.16", (lmstudio) => lmstudio.responses.create({ model: LLM, input: "One" })],
      ["0.4.0", "0.3.29", (lmstudio) => lmstudio.chat.send({ model: LLM, input: "One" })],
      ["0.4.0", "0.3.29", (lmstudio) => lmstudio.models.load(IDLE)],
    ] satisfies [string, string, (lmstudio: LMStudioProvider) => Promise<unknown>][]
  ) {
    const fake = createFakeLMStudio({ version, models: [LLM, { id: IDLE, loaded: false }] });
    const lmstudio = new LMStudioProvider({ fetch: fake.fetch, env: {} });
    const error = await call(lmstudio).then(() => undefined, (error: unknown) => error);
    assertEquals(isProviderError(error, "api") && error.code, "unsupported_by_server");
    assertEquals(isProviderError(error) && error.hint?.includes(since), true);
  }
});
