/** How long a stream may be silent: longer if tools are given, since a tool call may be sent only when complete. */
import { assertEquals, assertInstanceOf, assertStringIncludes } from "@std/assert";
import {
  type CallOptions,
  LMStudioProvider,
  type LMStudioProviderOptions,
  TimeoutError,
} from "../mod.ts";
import { inFakeTime, Puppet } from "./support/puppet.ts";

const TOOLS = [{ name: "write_file", execute: () => "ok" }];
const INTEGRATIONS = ["mcp/filesystem"];
const WORD = `data: ${
  JSON.stringify({ model: "m", choices: [{ index: 0, delta: { content: "I write." } }] })
}\n\n`;
const CHAT_WORD = 'data: {"type":"message.delta","content":"I write."}\n\n';
const RESPONSES_WORD = 'data: {"type":"response.output_text.delta","delta":"I write."}\n\n';

type Ask = (lmstudio: LMStudioProvider, options: CallOptions) => Promise<unknown>;

/** Streams of all kinds, with tools and without. */
const STREAMS: Record<string, { word: string; plain: Ask; tools: Ask }> = {
  streamCompletion: {
    word: WORD,
    plain: (lmstudio, options) =>
      lmstudio.streamCompletion({ messages: "Hi", tools: [] }, options).response(),
    tools: (lmstudio, options) =>
      lmstudio.streamCompletion({ messages: "Hi", tools: TOOLS }, options).response(),
  },
  streamTools: {
    word: WORD,
    plain: (lmstudio, options) =>
      lmstudio.streamTools({ messages: "Hi", tools: [] }, options).result(),
    tools: (lmstudio, options) =>
      lmstudio.streamTools({ messages: "Hi", tools: TOOLS }, options).result(),
  },
  "chat.stream": {
    word: CHAT_WORD,
    plain: (lmstudio, options) =>
      lmstudio.chat.stream({ input: "Hi", integrations: [] }, options).response(),
    tools: (lmstudio, options) =>
      lmstudio.chat.stream({ input: "Hi", integrations: INTEGRATIONS }, options).response(),
  },
  "responses.stream": {
    word: RESPONSES_WORD,
    plain: (lmstudio, options) => lmstudio.responses.stream({ input: "Hi" }, options).response(),
    tools: (lmstudio, options) =>
      lmstudio.responses.stream({ input: "Hi", tools: TOOLS }, options).response(),
  },
  "toOpenAI().fetch": {
    word: WORD,
    plain: (lmstudio) => forwarded(lmstudio, {}),
    tools: (lmstudio) => forwarded(lmstudio, { tools: [{ type: "function", function: {} }] }),
  },
};

async function forwarded(lmstudio: LMStudioProvider, fields: object): Promise<string> {
  const { baseURL, fetch } = lmstudio.toOpenAI();
  const body = JSON.stringify({ model: "m", messages: [], stream: true, ...fields });
  return await (await fetch(`${baseURL}/chat/completions`, { method: "POST", body })).text();
}

/** The silence after which the stream is given up, in milliseconds. */
async function limitOf(
  ask: Ask,
  word: string,
  provided: LMStudioProviderOptions = {},
  options: CallOptions = {},
): Promise<number> {
  let limit = NaN;
  await inFakeTime(async (pass) => {
    const puppet = new Puppet();
    const lmstudio = new LMStudioProvider({
      env: {},
      fetch: puppet.fetch,
      model: "m",
      connectTimeoutMs: Infinity,
      ...provided,
    });
    let error: unknown;
    ask(lmstudio, options).catch((reason) => error = reason);
    // The native chat loads its decoder before it sends anything.
    for (let turn = 0; puppet.calls.length === 0 && turn < 1000; turn++) await pass(0);
    puppet.last.respond(200, { "content-type": "text/event-stream" });
    puppet.last.send(word);
    await pass(0);
    let silence = 0;
    for (const step of [1000, 118_999, 1, 179_999, 1, 299_999, 1, 299_999, 1]) {
      silence += step;
      await pass(step);
      if (error !== undefined) break;
    }
    assertInstanceOf(error, TimeoutError);
    assertEquals([error.code, error.timeoutMs], ["timeout_idle", silence]);
    limit = silence;
  });
  return limit;
}

for (const [name, { word, plain, tools }] of Object.entries(STREAMS)) {
  Deno.test(`idle limit: ${name} with tools has the first-token timeout`, async () => {
    assertEquals(await limitOf(plain, word), 120_000);
    assertEquals(await limitOf(tools, word), 600_000);
    assertEquals(await limitOf(tools, word, { firstTokenTimeoutMs: 900_000 }), 900_000);
  });

  Deno.test(`idle limit: ${name}: a limit that was set wins`, async () => {
    for (const idleTimeoutMs of [120_000, 300_000]) {
      assertEquals(await limitOf(tools, word, { idleTimeoutMs }), idleTimeoutMs);
      assertEquals(await limitOf(plain, word, { idleTimeoutMs }), idleTimeoutMs);
      if (name === "toOpenAI().fetch") continue;
      assertEquals(await limitOf(tools, word, {}, { idleTimeoutMs }), idleTimeoutMs);
    }
    if (name === "toOpenAI().fetch") return;
    const options = { firstTokenTimeoutMs: 300_000 };
    assertEquals(await limitOf(tools, word, {}, options), 300_000);
    assertEquals(await limitOf(plain, word, {}, options), 120_000);
  });
}

Deno.test("idle limit: a limit from a configuration file counts as set", async () => {
  const folder = await Deno.makeTempDir({ prefix: "idle-" });
  try {
    const configFile = `${folder}/config.json`;
    await Deno.writeTextFile(configFile, '{"idleTimeoutMs":120000}');
    const { word, tools } = STREAMS.streamCompletion!;
    assertEquals(await limitOf(tools, word, { configFile }), 120_000);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("idle limit: the hint names the case", async () => {
  const lmstudio = new LMStudioProvider({
    env: {},
    model: "m",
    idleTimeoutMs: 5,
    fetch: () =>
      Promise.resolve(
        new Response(
          new ReadableStream({
            start: (controller) => controller.enqueue(new TextEncoder().encode(WORD)),
          }),
        ),
      ),
  });
  const request = { messages: "Hi", tools: TOOLS };
  const error = await lmstudio.streamCompletion(request).response().catch((reason) => reason);
  assertInstanceOf(error, TimeoutError);
  assertStringIncludes(error.hint ?? "", "tool call");
});
