/** LangChain with the options of `toOpenAI()`, against a fake on a real port. */
import { assert, assertEquals, assertInstanceOf, assertStringIncludes } from "@std/assert";
import { tool } from "npm:@langchain/core@1.4.0/tools";
import { ChatOpenAI, OpenAIEmbeddings } from "npm:@langchain/openai@1.6.0";
import { BadRequestError } from "npm:openai@^7.57.0";
import * as z from "zod";
import { LMStudioProvider, NetworkError } from "../../mod.ts";
import { createFakeLMStudio, type FakeLMStudioOptions } from "../../src/testing/mod.ts";
import { closedPort } from "../support/raw_server.ts";
import { rejection } from "../support/wire.ts";

const MODEL = "google/gemma-4-26b-a4b";
const EMBEDDING_MODEL = "text-embedding-nomic-embed-text-v1.5";

/** As documented: the key again, since LangChain requires it outside the client's options. */
function settingsOf(baseUrl: string, apiToken?: string) {
  const configuration = new LMStudioProvider({ env: {}, baseUrl, apiToken }).toOpenAI();
  return { configuration, apiKey: configuration.apiKey, maxRetries: 0 };
}

async function serveFake(options: FakeLMStudioOptions = {}) {
  const fake = createFakeLMStudio(options);
  const server = await fake.listen();
  const settings = settingsOf(server.url, options.apiToken);
  return {
    fake,
    url: server.url,
    settings,
    chat: new ChatOpenAI({ ...settings, model: MODEL }),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

Deno.test("langchain: invoke answers, with the API token", async () => {
  const apiToken = "sk-lm-abcd1234:abcdefghij0123456789";
  await using server = await serveFake({ replies: ["Hi there."], apiToken });
  const answer = await server.chat.invoke("Hello");
  assertEquals(answer.content, "Hi there.");
  assertEquals(server.fake.requests.map(({ path }) => path), ["/v1/chat/completions"]);
});

Deno.test("langchain: stream yields the chunks", async () => {
  await using server = await serveFake({ replies: [{ content: ["Hi", " the", "re."] }] });
  const chunks: unknown[] = [];
  for await (const { content } of await server.chat.stream("Hello")) {
    if (content !== "") chunks.push(content);
  }
  assertEquals(chunks, ["Hi", " the", "re."]);
});

Deno.test("langchain: leaving a stream stops the server", async () => {
  await using server = await serveFake({ replies: ["word ".repeat(500)], tokenMs: 5 });
  for await (const _ of await server.chat.stream("Hello")) break;
  const deadline = performance.now() + 2000;
  while (server.fake.requests[0]?.aborted !== true && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assertEquals(server.fake.requests[0]?.aborted, true);
});

Deno.test("langchain: tools are called, and their results go back", async () => {
  await using server = await serveFake({
    replies: [
      { toolCalls: [{ name: "weather", arguments: { city: "Århus" }, id: "1" }] },
      "Rain.",
    ],
  });
  const weather = tool(({ city }) => `rain in ${city}`, {
    name: "weather",
    description: "Tells the weather.",
    schema: z.object({ city: z.string() }),
  });
  const chat = server.chat.bindTools([weather]);
  const question = { role: "user" as const, content: "How is it in Århus?" };
  const asked = await chat.invoke([question]);
  const [call] = asked.tool_calls ?? [];
  assertEquals([call?.name, call?.args], ["weather", { city: "Århus" }]);
  assert(call !== undefined);
  const answer = await chat.invoke([question, asked, await weather.invoke(call)]);
  assertEquals(answer.content, "Rain.");
  const { messages } = server.fake.requests[1]?.body as { messages: { content: unknown }[] };
  assertEquals(messages.at(-1)?.content, "rain in Århus");
});

Deno.test("langchain: an error under 200 is raised", async () => {
  const error = "Unexpected endpoint or method. (POST /v1/chat/completions)";
  await using server = await serveFake({
    faults: [{ times: 2, fault: { type: "respond", status: 200, body: { error } } }],
  });
  const calls = [
    () => server.chat.invoke("Hello"),
    async () => {
      for await (const _ of await server.chat.stream("Hello"));
    },
  ];
  for (const call of calls) {
    const raised = await rejection(call());
    assertInstanceOf(raised, BadRequestError);
    assertStringIncludes(raised.message, "Unexpected endpoint");
  }
});

Deno.test("langchain: an unreachable server is reported, with what to do", async () => {
  const settings = settingsOf(`http://127.0.0.1:${closedPort()}`);
  const raised = await rejection(new ChatOpenAI({ ...settings, model: MODEL }).invoke("Hello"));
  const { cause } = raised as Error;
  assertInstanceOf(cause, NetworkError);
  assertStringIncludes(cause.message, "lms server start");
});

Deno.test("langchain: vectors equal the provider's", async () => {
  await using server = await serveFake();
  const embedder = new OpenAIEmbeddings({ ...server.settings, model: EMBEDDING_MODEL });
  const input = ["sea", "ocean"];
  const { embeddings } = await new LMStudioProvider({ env: {}, baseUrl: server.url })
    .embed({ input, model: EMBEDDING_MODEL });
  assertEquals(await embedder.embedDocuments(input), embeddings);
  assertEquals(await embedder.embedQuery("sea"), embeddings[0]);
});
