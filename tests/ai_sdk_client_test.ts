/** The AI SDK's provider for OpenAI-style servers on what `toOpenAI()` gives. */
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { assertEquals, assertStringIncludes } from "@std/assert";
import { LMStudioProvider } from "../mod.ts";
import { createFakeLMStudio } from "../src/testing/mod.ts";
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

Deno.test("ai-sdk client: an error that LM Studio sends as text is shown, whole and where a stream was asked for", async () => {
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
