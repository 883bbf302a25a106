/** The programs of `examples/`, with the permissions from their header comments, with and without a server. */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { CONFIG_VARIABLES } from "../src/core/config.ts";
import { createFakeLMStudio } from "../src/testing/mod.ts";
import { closedPort } from "./support/raw_server.ts";
import { WITHOUT_LM_STUDIO } from "./support/script.ts";

const ROOT = new URL("../", import.meta.url);

async function runExample(name: string, baseUrl: string, ...args: string[]) {
  return await runExampleWith([], name, baseUrl, ...args);
}

async function runExampleWith(
  flags: readonly string[],
  name: string,
  baseUrl: string,
  ...args: string[]
) {
  const none = Object.fromEntries(CONFIG_VARIABLES.map((name) => [name, ""]));
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--quiet",
      "--no-prompt",
      WITHOUT_LM_STUDIO,
      "--allow-net",
      "--allow-env",
      ...flags,
      `examples/${name}.ts`,
      ...args,
    ],
    cwd: ROOT,
    env: { ...none, NO_COLOR: "1", NO_PROXY: "127.0.0.1,localhost", LMSTUDIO_BASE_URL: baseUrl },
    stdin: "null",
    signal: AbortSignal.timeout(30_000),
  }).output();
  const decoder = new TextDecoder();
  return { code, text: decoder.decode(stdout), errors: decoder.decode(stderr) };
}

async function runOnFake(name: string, ...args: string[]) {
  return await runOnReplies(["Because of the air."], name, ...args);
}

async function runOnReplies(replies: readonly string[], name: string, ...args: string[]) {
  // Slow enough to measure a speed.
  const fake = createFakeLMStudio({ replies, tokenMs: 6 });
  await using server = await fake.listen();
  return { ...await runExample(name, server.url, ...args), requests: fake.requests };
}

Deno.test("examples/stream.ts: the answer, its end and its speed", async () => {
  const { code, text, errors, requests } = await runOnFake("stream", "Why?");
  assertEquals({ code, errors }, { code: 0, errors: "" });
  assertMatch(text, /^Because of the air\.\n\n\S+: stop\n4 tokens, [\d.]+\/s\n$/);
  const body = requests.find(({ method }) => method === "POST")?.body;
  assertEquals((body as { messages: unknown }).messages, [
    { role: "system", content: "Be brief." },
    { role: "user", content: "Why?" },
  ]);
});

Deno.test("examples/text.ts: the text and its continuation", async () => {
  const { code, text, errors, requests } = await runOnFake("text", "The sky is blue.");
  assertEquals({ code, errors }, { code: 0, errors: "" });
  assertMatch(text, /^The sky is blue\.Because of the air\.\n\n\S+: stop\n$/);
  const body = requests.find(({ method }) => method === "POST")?.body;
  assertEquals((body as { prompt: unknown }).prompt, "The sky is blue.");
});

Deno.test("examples/context.ts: each question with all earlier turns, as long as they fit", async () => {
  const { code, text, errors, requests } = await runOnReplies(
    ["Because of the air.", "Yes."],
    "context",
    "Why?",
    "Really?",
  );
  assertEquals({ code, text, errors }, {
    code: 0,
    text: "Because of the air.\nYes.\n",
    errors: "",
  });
  const sent = requests.filter(({ method }) => method === "POST").map(({ body }) =>
    (body as { messages: { role: string }[] }).messages.map(({ role }) => role)
  );
  assertEquals(sent, [["system", "user"], ["system", "user", "assistant", "user"]]);
});

Deno.test("examples/decisions.ts: sorts the mail the model is sure about", async () => {
  const fake = createFakeLMStudio({
    models: [{ id: "typesafe/kev-4b", type: "decision" }],
    decisions: ({ input }) =>
      String(input).includes("charged") ? { team: "billing", urgency: 1.5 } : { team: null },
  });
  await using server = await fake.listen();
  const { code, text, errors } = await runExample(
    "decisions",
    server.url,
    "I was charged twice.",
    "Hm.",
  );
  assertEquals({ code, text, errors }, {
    code: 0,
    text: "billing (urgency 1.5 of 2): I was charged twice.\na person (urgency 0.0 of 2): Hm.\n",
    errors: "",
  });
});

Deno.test("examples/queue.ts: two at a time, and the third waits", async () => {
  const { code, text, errors } = await runOnFake("queue", "One?", "Two?", "Three?");
  assertEquals({ code, errors }, { code: 0, errors: "" });
  const lines = text.trimEnd().split("\n");
  assertEquals(lines[0], "waiting at position 1: Three?");
  assertEquals(lines.slice(1).map((line) => line.split("?")[0]), ["One", "Two", "Three"]);
});

Deno.test("examples/chat.ts: the second turn continues the first", async () => {
  const { code, text, errors, requests } = await runOnFake("chat", "Why?", "Really?");
  assertEquals(code, 0, errors);
  assertMatch(
    text,
    /^Because of the air\.\n\(1 tokens read, .*\n\n[^]+\n\(\d+ tokens read, .*\n\n$/,
  );
  assertMatch(errors, /^(\[processing.*\]\n)+$/);
  const [first, second] = requests.filter(({ method }) => method === "POST").map(({ body }) =>
    body as { input: string; previous_response_id?: string }
  );
  assertEquals([first?.input, second?.input], ["Why?", "Really?"]);
  assertMatch(second?.previous_response_id ?? "", /^resp_/);
});

Deno.test("examples/anthropic_client.ts: an answer through another client", async () => {
  const { code, text, errors, requests } = await runOnFake("anthropic_client", "Why?");
  assertEquals({ code, text, errors }, { code: 0, text: "Because of the air.\n", errors: "" });
  const request = requests.find(({ path }) => path === "/v1/messages");
  assertMatch(request?.headers["user-agent"] ?? "", /^Anthropic\//);
});

Deno.test("examples/openai_client.ts: an answer through another client", async () => {
  const { code, text, errors, requests } = await runOnFake("openai_client", "Why?");
  assertEquals({ code, text, errors }, { code: 0, text: "Because of the air.\n", errors: "" });
  const request = requests.find(({ path }) => path === "/v1/chat/completions");
  assertMatch(request?.headers["user-agent"] ?? "", /^OpenAI\//);
});

Deno.test("examples/embeddings.ts: the matching note comes first", async () => {
  const { code, text, errors } = await runOnFake("embeddings");
  assertEquals({ code, errors }, { code: 0, errors: "" });
  assertMatch(text, /^How do I get my money back\? \(.*\)\n0\.\d{3} Refunds: /);
});

Deno.test("examples/objects.ts: an order that is repaired once", async () => {
  const items = [{ name: "apple", quantity: 2, price: 0.4 }];
  const { code, text, errors, requests } = await runOnReplies([
    JSON.stringify({ customer: "Ada", items: [{ ...items[0], quantity: "two" }] }),
    JSON.stringify({ customer: "Ada", items }),
  ], "objects");
  assertEquals({ code, errors }, { code: 0, errors: "" });
  assertMatch(text, /^For Ada \(\S+\):\n2 × apple = 0\.80\n$/);
  assertStringIncludes(JSON.stringify(requests.at(-1)?.body), "- items[0].quantity: ");
});

Deno.test("examples/object_stream.ts: an order, field by field", async () => {
  const order = { customer: "Ada", items: [{ name: "red apple", quantity: 2 }] };
  const { code, text, errors } = await runOnReplies(
    [JSON.stringify(order, null, 1)],
    "object_stream",
  );
  assertEquals({ code, errors }, { code: 0, errors: "" });
  assertMatch(text, /^…: \n/);
  assertStringIncludes(text, "\nAda: … × red apple\n");
  assertMatch(text, /\nAda: 2 × red apple\n1 items for Ada \(\S+\)\n$/);
});

Deno.test("examples/vision.ts: the image is sent to a model with vision", async () => {
  const { code, text, errors, requests } = await runOnFake("vision");
  assertEquals({ code, errors }, { code: 0, errors: "" });
  assertMatch(text, /^\S+: Because of the air\.\n$/);
  assertStringIncludes(JSON.stringify(requests.at(-1)?.body), '"url":"data:image/png;base64,iVBOR');
});

Deno.test("examples/errors.ts: every error is printed and explained", async () => {
  const { code, text, errors } = await runOnFake("errors");
  assertEquals({ code, errors }, { code: 0, errors: "" });
  assertStringIncludes(
    text,
    "A server that is not running: NetworkError, code connection_refused\n",
  );
  assertStringIncludes(text, "A model that does not exist: ModelNotAvailableError, code model_");
  assertStringIncludes(text, `A field that does not exist: InvalidRequestError, code invalid_re`);
  assertStringIncludes(text, `"max_tokens" (did you mean "maxTokens"?)`);
});

Deno.test("examples/models.ts: lists models, then loads, uses and unloads one", async () => {
  const { code, text, errors, requests } = await runOnFake("models", "GPT-OSS-20b", "8192");
  assertEquals({ code, errors }, { code: 0, errors: "" });
  assertMatch(text, /^google\/gemma-4-26b-a4b llm 18\.0 GB loaded\n/);
  assertStringIncludes(
    text,
    "loading GPT-OSS-20b, 0 s\nopenai/gpt-oss-20b loaded 8192\nBecause of",
  );
  assertEquals(requests.at(-1)?.path, "/api/v1/models/unload");
});

Deno.test("examples/download.ts: plain lines without a terminal", async () => {
  const fake = createFakeLMStudio({ downloads: [{ model: "a/b", progress: [0.5, 1] }] });
  await using server = await fake.listen();
  const { code, text, errors } = await runExample("download", server.url, "a/b");
  assertEquals({ code, errors }, { code: 0, errors: "" });
  assertMatch(
    text,
    /^downloading, 1\.14 of 2\.28 GB, 7\.8 MB\/s, until .*\ncompleted, 2\.28 of 2\.28 GB\n$/,
  );
  const missing = await runExample("download", server.url, "nobody/has-this");
  assertEquals(missing.code, 1);
  assertStringIncludes(missing.errors, 'Cannot download model "nobody/has-this"');
});

Deno.test("examples/download.ts: a progress bar on a terminal, redrawn in place and no wider", async () => {
  // Makes the program believe that its output is a terminal.
  const terminal = (columns: number) =>
    "--preload=data:text/javascript," + encodeURIComponent(
      `import process from "node:process"; process.stdout.isTTY = true; process.stdout.columns = ${columns};`,
    );
  const download = { model: "a/b", sizeBytes: 2e9, bytesPerSecond: 1e9 };
  for (
    const [columns, half] of [[120, /^\[#{15} {15}\] downloading, 1\.00 of/], [
      60,
      /ing, 1\.00 of/,
    ]] as const
  ) {
    const fake = createFakeLMStudio({ downloads: [{ ...download, progress: [0.5, "paused", 1] }] });
    await using server = await fake.listen();
    const { code, text, errors } = await runExampleWith(
      [terminal(columns)],
      "download",
      server.url,
      "a/b",
    );
    assertEquals({ code, errors }, { code: 0, errors: "" });
    const [before, ...drawn] = text.replace(/\n$/, "").split("\r\x1b[K");
    assertEquals([before, drawn.length], ["", 3]);
    for (const line of drawn) assert(line.length < columns && !line.includes("\n"), line);
    assertMatch(drawn[0] ?? "", half);
    assertMatch(drawn[1] ?? "", /paused, 1\.00 of/);
    assertMatch(drawn[2] ?? "", /^\[#+\] completed, 2\.00 of 2/);
  }
});

Deno.test("examples/tools.ts: the tool calls, their results and the answer", async () => {
  const toolCalls = [{ name: "weather", arguments: { city: "Oslo" } }, { name: "now" }];
  const fake = createFakeLMStudio({ replies: [{ toolCalls }, "Take one."] });
  await using server = await fake.listen();
  const { code, text, errors } = await runExample("tools", server.url, "Umbrella?");
  assertEquals({ code, errors }, { code: 0, errors: "" });
  assertMatch(text, /^> weather {"city":"Oslo"}\n> now {}\n(?:< .+\n){2}Take one\.\n\n2 answers, /);
  assertStringIncludes(text, '\n< weather {"city":"Oslo","days":1,"sky":"rain"}\n');
  assertMatch(text, /\n< now \d{4}-\d\d-\d\dT/);
});

Deno.test("examples/tool_images.ts: an image from a tool follows its result", async () => {
  const fake = createFakeLMStudio({
    models: [{ id: "qwen/qwen3-vl-8b", vision: true }],
    replies: [{ toolCalls: [{ name: "camera" }] }, "A door."],
  });
  await using server = await fake.listen();
  const { code, text, errors } = await runExample("tool_images", server.url);
  assertEquals({ code, errors }, { code: 0, errors: "" });
  assertEquals(text, "A door.\n\n(user, assistant, tool, user, assistant)\n");
  const body = JSON.stringify(fake.requests.at(-1)?.body);
  assertStringIncludes(body, '"url":"data:image/png;base64,iVBOR');
});

Deno.test("examples/responses.ts: a tool is called, and the conversation continues", async () => {
  const toolCalls = [{ name: "read_thermometer", arguments: { room: "kitchen" } }];
  const replies = [{ toolCalls }, "It is 21.5 °C.", "Warm air at the stove"];
  const fake = createFakeLMStudio({ replies });
  await using server = await fake.listen();
  const { code, text, errors } = await runExample("responses", server.url);
  assertEquals({ code, errors }, { code: 0, errors: "" });
  assertMatch(
    text,
    /^\[\{"room":"kitchen"\} → 21\.5\]\nIt is 21\.5 °C\.\nWarm air at the stove\n\n\S+: \d+ tokens\n$/,
  );
  const bodies = fake.requests.flatMap(({ method, body }) =>
    method === "POST" ? [body as Record<string, unknown>] : []
  );
  assertEquals(bodies.map((body) => typeof body.previous_response_id), [
    "undefined",
    "string",
    "string",
  ]);
});

for (
  const [name, action] of Object.entries({
    stream: "stream a completion",
    chat: "stream a chat",
    text: "stream text",
    embeddings: "embed",
    queue: "complete",
    objects: "complete an object",
    vision: "list models",
    tools: "run tools",
    tool_images: "run tools",
    responses: "create a response",
    models: "list models",
    download: "download model \\S+",
    anthropic_client: "list models",
    openai_client: "list models",
  })
) {
  Deno.test(`examples/${name}.ts: without a server one sentence says what to do`, async () => {
    const { code, text, errors } = await runExample(name, `http://127.0.0.1:${closedPort()}`);
    assertEquals({ code, text }, { code: 1, text: "" });
    assertMatch(
      errors,
      new RegExp(
        `^\\n?Cannot ${action}: .* refused the connection\\. Start the server .*\\n$`,
      ),
    );
  });
}
