/** Fields in the wrong place: what the error advises instead, in every kind of request and options. */
import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import {
  InvalidRequestError,
  LMStudioProvider,
  OpenAICompatibleProvider,
  ServiceDiscovery,
} from "../mod.ts";
import { createFakeLMStudio } from "../src/testing/mod.ts";

const fake = createFakeLMStudio();
const lmstudio = new LMStudioProvider({ fetch: fake.fetch, env: {} });
const { chat, responses, models } = lmstudio;

type Fields = Record<string, unknown>;
type Places = Record<string, (fields: Fields) => unknown>;

/** The calls that read fields; each adds the other fields it needs. */
const REQUESTS: Places = {
  complete: (fields) => lmstudio.complete({ messages: "Hi", ...fields } as never),
  streamCompletion: (fields) =>
    lmstudio.streamCompletion({ messages: "Hi", ...fields } as never).response(),
  completeText: (fields) => lmstudio.completeText({ prompt: "Hi", ...fields } as never),
  completeObject: (fields) =>
    lmstudio.completeObject({ messages: "Hi", schema: {}, ...fields } as never),
  runTools: (fields) => lmstudio.runTools({ messages: "Hi", ...fields } as never),
  responses: (fields) => responses.create({ input: "Hi", ...fields } as never),
};
const OTHERS: Places = {
  chat: (fields) => chat.send({ input: "Hi", ...fields } as never),
  embed: (fields) => lmstudio.embed({ input: "Hi", ...fields } as never),
  message: (fields) =>
    lmstudio.complete({ messages: [{ role: "user", content: "Hi", ...fields }] } as never),
  result: (fields) =>
    lmstudio.complete({
      messages: [{ role: "tool", toolCallId: "1", content: "5", ...fields }],
    } as never),
  image: (fields) =>
    lmstudio.complete({
      messages: [{ role: "user", content: [{ type: "image", ...fields }] }],
    } as never),
  text: (fields) =>
    lmstudio.complete({
      messages: [{ role: "user", content: [{ type: "text", ...fields }] }],
    } as never),
  part: (part) => lmstudio.complete({ messages: [{ role: "user", content: [part] }] } as never),
  role: (message) => lmstudio.complete({ messages: [message] } as never),
  tool: (fields) =>
    lmstudio.complete({ messages: "Hi", tools: [{ name: "t", ...fields }] } as never),
  options: (options) => lmstudio.complete("Hi", options as never),
  load: (options) => models.load("m", options as never),
};
const PLACES: Places = { ...REQUESTS, ...OTHERS };

async function messageOf(place: string, fields: Fields): Promise<string> {
  const error = await assertRejects(
    async () => await PLACES[place]?.(fields),
    InvalidRequestError,
    undefined,
    `${place}: ${Object.keys(fields)}`,
  );
  assertEquals(error.attempts, 0);
  return error.message;
}

const SAID: [place: string, fields: Fields, said: string][] = [
  // From reports.
  ["complete", { system: "Be brief" }, '"system" (pass it as a message: { role: "system", content'],
  ["runTools", { system_prompt: "x" }, 'role: "system"'],
  ["completeObject", { instructions: "x" }, 'role: "system"'],
  ["completeText", { system: "x" }, "put it in `prompt`"],
  ["responses", { system: "x" }, 'did you mean "instructions"?'],
  ["chat", { system: "x" }, 'did you mean "systemPrompt"?'],
  ["chat", { instructions: "x" }, 'did you mean "systemPrompt"?'],
  ["complete", { images: ["a.png"] }, '{ type: "image", image }'],
  [
    "message",
    { images: ["iVBO"] },
    'messages[0] has an unknown field "images" (pass images as',
  ],
  ["chat", { images: [] }, 'pass images in `input` as { type: "image", image }'],
  ["responses", { attachments: [] }, "a message of `input`"],
  ["completeText", { images: [] }, "use complete()"],
  ["embed", { image: "x" }, "only text can be embedded"],
  [
    "part",
    { type: "image_url", image_url: { url: "x" } },
    'Pass an image as `{ type: "image", imag',
  ],
  ["image", { image_url: "x" }, 'did you mean "image"?'],
  ["image", { url: "x" }, 'did you mean "image"?'],
  ["image", { image: "x", mimeType: "image/png" }, 'did you mean "mediaType"?'],
  ["complete", { logprobs: true }, "ask for them in `extraBody`"],
  ["completeText", { top_logprobs: 2 }, "ask for them in `extraBody`"],
  ["complete", { num_ctx: 8192 }, "models.load(id, { contextLength })"],
  ["completeText", { n_ctx: 8192 }, "models.load("],
  ["responses", { contextLength: 1 }, "models.load("],
  ["embed", { outputDimensionality: 256 }, 'did you mean "dimensions"?'],
  ["embed", { num_ctx: 1 }, "models.load("],
  ["chat", { num_ctx: 1 }, 'did you mean "contextLength"?'],
  ["load", { num_ctx: 1 }, 'did you mean "contextLength"?'],
  ["options", { num_ctx: 1 }, "models.load("],
  ["complete", { onStatus: () => {} }, "it is an option of the call, the last argument"],
  ["chat", { onStatus: () => {} }, "it is an option of the call"],
  ["embed", { onStatus: () => {} }, "it is an option of the call"],
  ["load", { onStatus: () => {} }, "it is an option of the call"],
  ["tool", { onStatus: () => {} }, "it is an option of the call"],
  // Similar ones.
  ["complete", { signal: AbortSignal.abort() }, "it is an option of the call"],
  ["responses", { timeoutMs: 5 }, "it is an option of the call"],
  ["completeText", { headers: {} }, "it is an option of the call"],
  ["embed", { maxRetries: 1 }, "it is an option of the call"],
  ["options", { temperature: 0 }, "it is a field of the request, the first argument"],
  ["options", { max_tokens: 5 }, "it is a field of the request"],
  ["options", { model: "m" }, "it is a field of the request"],
  ["options", { apiToken: "t" }, "it is an option of the provider's constructor"],
  ["complete", { apiKey: "t" }, "it is an option of the provider's constructor"],
  ["chat", { baseUrl: "x" }, "it is an option of the provider's constructor"],
  ["runTools", { stream: true }, "use streamTools() to stream"],
  ["completeObject", { stream: true }, "use streamObject() to stream"],
  ["responses", { stream: true }, "use responses.stream() to stream"],
  ["complete", { stream_options: {} }, "usage is always requested"],
  ["complete", { maxRounds: 3 }, "runTools() accepts it"],
  ["complete", { maxSteps: 3 }, "runTools() accepts it"],
  ["complete", { maxRepairs: 3 }, "completeObject() accepts it"],
  ["complete", { suffix: "x" }, "completeText() accepts it"],
  ["completeText", { tools: [] }, "complete() accepts it"],
  ["complete", { mcpServers: {} }, "fromMcpTool()"],
  ["complete", { previousResponseId: "x" }, "the whole conversation"],
  ["complete", { options: { num_ctx: 5 } }, "next to `messages`"],
  ["complete", { onChunk: () => {} }, "streamCompletion()"],
  ["complete", { role: "user", content: "Hi" }, "messages: [{ role, content }]"],
  ["complete", { format: "json" }, 'did you mean "schema"?'],
  ["complete", { think: false }, 'did you mean "reasoning"?'],
  ["complete", { keep_alive: "5m" }, 'did you mean "ttlSeconds"?'],
  ["complete", { repetition_penalty: 1 }, 'did you mean "repeatPenalty"?'],
  ["complete", { numGpu: 1 }, "LM Studio's own settings"],
  ["chat", { seed: 1 }, "this route does not support it; complete() does"],
  ["chat", { responseFormat: {} }, "completeObject() accepts it"],
  ["load", { ttl: 60 }, "`ttlSeconds`"],
  ["load", { gpu: "max" }, "LM Studio's own settings"],
  ["message", { text: "x" }, "unknown field"],
  ["text", { content: "x" }, 'did you mean "text"?'],
  ["result", { name: "t" }, "`toolCallId` says which call it answers"],
  ["tool", { input_schema: {} }, 'did you mean "parameters"?'],
  ["part", { type: "input_text", text: "x" }, 'of type "text"'],
  ["part", { type: "file", file: {} }, "Only text and images are accepted"],
  ["part", { type: "tool_result" }, 'role: "tool", toolCallId'],
  ["role", { role: "human", content: "x" }, 'Use the role "user"'],
  ["role", { role: "model", content: "x" }, 'Use the role "assistant"'],
  ["role", { role: "function", content: "x" }, "toolCallId"],
];

for (const [place, fields, said] of SAID) {
  Deno.test(`remarks: ${place}: ${Object.keys(fields).join(", ")} ${fields.type ?? ""}`, async () => {
    assertStringIncludes(await messageOf(place, fields), said);
  });
}

Deno.test("remarks: the hint for an unknown field names extraBody, if the method has it", async () => {
  for (const place of Object.keys(REQUESTS)) {
    for (const name of ["top_a", "max_tokns", "chat_template_kwargs", "stream"]) {
      const error = await assertRejects(
        async () => await PLACES[place]?.({ [name]: 1 }),
        InvalidRequestError,
        `unknown field "${name}"`,
      );
      assertEquals(error.hint, "To send a field that only the server knows, use `extraBody`.");
    }
  }
  for (const place of Object.keys(OTHERS)) {
    if (place === "part" || place === "role") continue;
    const error = await assertRejects(
      async () => await PLACES[place]?.({ top_a: 1 }),
      InvalidRequestError,
    );
    assert(!error.hint.includes("extraBody"), place);
  }
});

Deno.test("remarks: constructor options in the wrong place are explained as well", () => {
  const base = { name: "x", baseUrl: "nas" };
  const cases: [make: (options: Fields) => unknown, options: Fields, said: string][] = [
    [(o) => new LMStudioProvider(o), { onStatus: () => {} }, "it is an option of the call"],
    [(o) => new LMStudioProvider(o), { signal: 1 }, "it is an option of the call"],
    [(o) => new LMStudioProvider(o), { temperature: 0 }, "it is a field of the request"],
    [(o) => new LMStudioProvider(o), { timeout: 5 }, 'did you mean "timeoutMs"?'],
    [(o) => new OpenAICompatibleProvider(o as never), { ...base, schema: {} }, "of the request"],
    [(o) => new ServiceDiscovery(o), { signal: 1 }, "it is an option of the call"],
  ];
  for (const [make, options, said] of cases) assertThrows(() => make(options), Error, said);
});

Deno.test("remarks: nothing was sent for any of them", () => {
  assertEquals(fake.requests, []);
});
