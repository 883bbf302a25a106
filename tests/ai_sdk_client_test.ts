/**
 * The AI SDK with the options of `toOpenAI()`: its provider for OpenAI-style servers, with and without each
 * setting from docs/openai-clients.md, and its provider for OpenAI, which does not work.
 */
import { createOpenAI } from "npm:@ai-sdk/openai@^4.0.118";
import { createOpenAICompatible } from "npm:@ai-sdk/openai-compatible@^3.0.92";
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import {
  generateText,
  type LanguageModel,
  Output,
  stepCountIs,
  streamText,
  tool,
} from "npm:ai@^7.0.173";
import * as z from "zod";
import { LMStudioProvider } from "../mod.ts";
import { createFakeLMStudio, type FakeLMStudioOptions } from "../src/testing/mod.ts";
import { rejection } from "./support/wire.ts";

const MODEL = "google/gemma-4-26b-a4b";
const EMBEDDING_MODEL = "text-embedding-nomic-embed-text-v1.5";
const prompt = [{ role: "user" as const, content: [{ type: "text" as const, text: "Hello" }] }];

Deno.test("ai-sdk client: an answer, a stream, vectors, and an error under 200", async () => {
  const { fetch } = createFakeLMStudio({
    replies: ["Hi.", "Hi again."],
    faults: [{
      skip: 3,
      fault: { type: "respond", status: 200, body: { error: { message: "No." } } },
    }],
  });
  const lmstudio = new LMStudioProvider({ env: {}, fetch });
  const client = createOpenAICompatible({ name: "lmstudio", ...lmstudio.toOpenAI() });
  const chat = client.chatModel(MODEL);

  const { content } = await chat.doGenerate({ prompt });
  assertEquals(content, [{ type: "text", text: "Hi." }]);

  let streamed = "";
  for await (const part of (await chat.doStream({ prompt })).stream) {
    if (part.type === "text-delta") streamed += part.delta;
  }
  assertEquals(streamed, "Hi again.");

  const { embeddings } = await client.embeddingModel(EMBEDDING_MODEL).doEmbed({ values: ["sea"] });
  const error = await rejection(Promise.resolve(chat.doStream({ prompt })));
  assertStringIncludes(String(error), "No.");
  const request = { model: EMBEDDING_MODEL, input: "sea" };
  assertEquals(embeddings, (await lmstudio.embed(request)).embeddings);
});

Deno.test("ai-sdk client: an error that LM Studio sends as text is shown, for whole answers and streams", async () => {
  const text = "No models loaded. Please load a model in the developer page.";
  const { fetch } = createFakeLMStudio({
    faults: [
      { times: 2, fault: { type: "respond", status: 400, body: { error: text } } },
      { fault: { type: "respond", status: 200, body: { error: text } } },
    ],
  });
  const lmstudio = new LMStudioProvider({ env: {}, fetch });
  const client = createOpenAICompatible({ name: "lmstudio", ...lmstudio.toOpenAI() });
  const chat = client.chatModel(MODEL);
  for (
    const ask of [
      () => chat.doGenerate({ prompt }),
      () => chat.doStream({ prompt }),
      () => chat.doGenerate({ prompt }),
    ]
  ) {
    const error = await rejection(Promise.resolve(ask()));
    assertEquals(error instanceof Error ? error.message : error, text);
  }
});

// --- The settings, each with and without ------------------------------------------------------

const City = z.object({ name: z.string(), population: z.number() });
const PARIS = { name: "Paris", population: 2_100_000 };

/** The settings of docs/openai-clients.md, by name. */
const SETTINGS = {
  includeUsage: true,
  supportsStructuredOutputs: true,
  // deno-lint-ignore no-explicit-any -- the type that the package gives
  transformRequestBody: ({ messages, ...body }: Record<string, any>) => ({
    ...body,
    messages: messages.map((message: { content?: unknown }) => ({
      ...message,
      content: message.content ?? "",
    })),
  }),
};

function connect(replies: FakeLMStudioOptions["replies"]) {
  const fake = createFakeLMStudio({ models: ["m"], replies });
  const lmstudio = new LMStudioProvider({ env: {}, fetch: fake.fetch });
  return { openai: lmstudio.toOpenAI(), requests: fake.requests };
}

function without(setting: keyof typeof SETTINGS): Partial<typeof SETTINGS> {
  return Object.fromEntries(Object.entries(SETTINGS).filter(([name]) => name !== setting));
}

Deno.test("ai-sdk client: includeUsage requests the usage of streams", async () => {
  const usageWith = async (settings: Partial<typeof SETTINGS>) => {
    const { openai } = connect(["Hi there."]);
    const provider = createOpenAICompatible({ name: "lmstudio", ...openai, ...settings });
    const result = streamText({ model: provider("m"), prompt: "Hello" });
    assertEquals(await result.text, "Hi there.");
    const { inputTokens, outputTokens } = await result.usage;
    return [inputTokens, outputTokens];
  };
  assertEquals(await usageWith(SETTINGS), [2, 2]);
  assertEquals(await usageWith(without("includeUsage")), [undefined, undefined]);
});

Deno.test("ai-sdk client: without supportsStructuredOutputs the schema is not sent, and LM Studio refuses", async () => {
  const objectWith = async (settings: Partial<typeof SETTINGS>) => {
    const { openai, requests } = connect([JSON.stringify(PARIS)]);
    const provider = createOpenAICompatible({ name: "lmstudio", ...openai, ...settings });
    const output = Output.object({ schema: City });
    const result = await generateText({
      model: provider("m"),
      prompt: "Paris",
      output,
      maxRetries: 0,
    })
      .then(({ output }) => output, (error: unknown) => error);
    return { result, body: requests.at(-1)?.body as { response_format: { type: string } } };
  };
  const told = await objectWith(SETTINGS);
  assertEquals([told.result, told.body.response_format.type], [PARIS, "json_schema"]);
  const untold = await objectWith(without("supportsStructuredOutputs"));
  assert(untold.result instanceof Error);
  assertEquals(untold.body.response_format, { type: "json_object" });
});

/** A tool loop of two rounds with reasoning in each, and a question after it. */
async function converse(
  makeModel: (openai: ReturnType<typeof connect>["openai"]) => LanguageModel,
) {
  const { openai, requests } = connect([
    { reasoning: "I must look.", toolCalls: [{ name: "clock", arguments: {} }] },
    { reasoning: "I see.", content: "It is noon." },
    { content: "Still noon." },
  ]);
  const model = makeModel(openai);
  const clock = tool({ inputSchema: z.object({}), execute: () => "12:00" });
  const result = await generateText({
    model,
    prompt: "What time is it?",
    tools: { clock },
    stopWhen: stepCountIs(4),
    maxRetries: 0,
  });
  const question = { role: "user" as const, content: "What time is it?" };
  const again = { role: "user" as const, content: "And now?" };
  const { text } = await generateText({
    model,
    messages: [
      question,
      ...result.response.messages,
      again,
    ],
    maxRetries: 0,
  });
  const bodies = requests.filter(({ method }) => method === "POST").map(({ path, body }) => ({
    path,
    text: JSON.stringify(body),
  }));
  return { texts: [result.text, text], reasoning: result.reasoningText, bodies };
}

Deno.test("ai-sdk client: a tool loop, its reasoning, and why it needs transformRequestBody", async () => {
  const { texts, reasoning, bodies } = await converse((openai) =>
    createOpenAICompatible({ name: "lmstudio", ...openai, ...SETTINGS })("m")
  );
  assertEquals(texts, ["It is noon.", "Still noon."]);
  assertEquals(reasoning, "I see.");
  assertEquals(new Set(bodies.map(({ path }) => path)), new Set(["/v1/chat/completions"]));
  assertStringIncludes(bodies.at(-1)!.text, "It is noon.");

  const failed = await rejection(converse((openai) =>
    createOpenAICompatible({
      name: "lmstudio",
      ...openai,
      ...without("transformRequestBody"),
    })("m")
  ));
  assertStringIncludes(
    String((failed as { responseBody?: string }).responseBody),
    "'content' field",
  );
});

Deno.test("ai-sdk client: @ai-sdk/openai loses reasoning and answers, or fails in the second round", async () => {
  // Its default is the Responses API.
  const { reasoning, bodies } = await converse((openai) => createOpenAI(openai)("m"));
  assertEquals(new Set(bodies.map(({ path }) => path)), new Set(["/v1/responses"]));
  assertEquals(reasoning, undefined);
  assertStringIncludes(bodies.at(-1)!.text, '"item_reference"');
  assert(!bodies.at(-1)!.text.includes("It is noon."), "the answer is only referred to");

  const failed = await rejection(converse((openai) => createOpenAI(openai).chat("m")));
  assertStringIncludes(
    String((failed as { responseBody?: string }).responseBody),
    "'content' field",
  );
  const { openai } = connect([{ reasoning: "Hm.", content: "Hi." }]);
  const { reasoningText } = await generateText({
    model: createOpenAI(openai).chat("m"),
    prompt: "Hi",
  });
  assertEquals(reasoningText, undefined);
});
