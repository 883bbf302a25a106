/** The main features, over HTTP and through an injected `fetch`, against the fake LM Studio. */
import { LMStudioProvider, tool } from "@patinox/lmstudio";
import { createFakeLMStudio } from "@patinox/lmstudio/testing";
import assert from "node:assert/strict";
import {
  assertFields,
  check,
  drain,
  failureOf,
  frame,
  MODEL,
  until,
  withHttp,
} from "./harness.mjs";

const LLM = "qwen/qwen3-8b";
const EMBEDDER = "text-embedding-nomic-embed-text-v1.5";

await check("list, complete, stream and embed over HTTP", async () => {
  await withFake({}, (url, fake) => useAll({ baseUrl: url }, fake));
});

await check("list, complete, stream and embed through the `fetch` option", () => {
  const fake = fakeOf({});
  return useAll({ fetch: fake.fetch }, fake);
});

await check("a global fetch that is installed later is used", async () => {
  const fake = fakeOf({});
  const provider = providerOf({});
  const native = globalThis.fetch;
  globalThis.fetch = fake.fetch;
  try {
    assert.equal((await provider.listModels()).length, 2);
    assert.equal((await provider.complete("Hello")).content, "a b");
  } finally {
    globalThis.fetch = native;
  }
});

await check("a stream yields each token as it is written", async () => {
  const replies = [{ content: ["one", "two", "three"] }];
  await withFake({ replies, tokenMs: 40 }, async (url, fake) => {
    const texts = [];
    const written = [];
    for await (const text of providerOf({ baseUrl: url }).streamCompletion("?").textStream) {
      texts.push(text);
      written.push(chatOf(fake).chunksWritten);
    }
    assert.deepEqual(texts, ["one", "two", "three"]);
    assert.ok(written[0] < written[1] && written[1] < written[2], written.join());
  });
});

await check("tools are run, whole and streamed", async () => {
  for (const way of ["runTools", "streamTools"]) {
    const toolCalls = [{ name: "add", arguments: { a: 1, b: 2 } }, { name: "fail" }];
    const provider = providerOf({ fetch: fakeOf({ replies: [{ toolCalls }, "Three."] }).fetch });
    const tools = [
      tool({ name: "add", execute: ({ a, b }) => a + b }),
      tool({ name: "fail", execute: () => Promise.reject(new Error("no")) }),
    ];
    const started = provider[way]({ messages: "1 + 2?", tools });
    const { response, messages } = await (way === "runTools" ? started : started.result());
    assert.equal(response.content, "Three.");
    assert.deepEqual(messages.slice(2, 4).map(({ content }) => content), ["3", "Error: no"]);
  }
});

/** Ways to leave a stream after two tokens, and the exception this causes, if any. */
const WAYS_OUT = {
  "break": async (stream) => {
    let count = 0;
    for await (const { content } of stream) if (content !== "" && ++count === 2) break;
  },
  "cancel()": async (stream) => {
    let count = 0;
    for await (const { content } of stream) {
      if (content !== "" && ++count === 2) await stream.cancel();
    }
    assert.equal(count, 2);
  },
  "disposal": async (stream) => {
    // `await using` without its syntax, which Node 20 and 22 lack.
    const iterator = stream[Symbol.asyncIterator]();
    for (let count = 0; count < 2;) if ((await iterator.next()).value.content !== "") count++;
    await stream[Symbol.asyncDispose]();
    await stream[Symbol.asyncDispose]();
    assert.equal((await iterator.next()).done, true);
  },
  "an abort": async (stream, abort) => {
    let count = 0;
    const reason = { why: "enough" };
    const error = await failureOf((async () => {
      for await (const { content } of stream) if (content !== "" && ++count === 2) abort(reason);
    })());
    assert.equal(error, reason);
  },
  "cancelling its ReadableStream": async (stream) => {
    const reader = stream.toTextStream().getReader();
    await reader.read();
    await reader.read();
    await reader.cancel();
  },
};
for (const [name, leave] of Object.entries(WAYS_OUT)) {
  await check(`${name} stops the server`, async () => {
    const total = 400;
    let written = 0;
    let isClosed = false;
    await withHttp((_, reply) => {
      reply.writeHead(200, { "content-type": "text/event-stream" });
      const timer = setInterval(() => {
        reply.write(frame("x", written + 1 === total ? "stop" : null));
        if (++written === total) reply.end("data: [DONE]\n\n");
      }, 5);
      reply.on("close", () => {
        isClosed = true;
        clearInterval(timer);
      });
    }, async (url) => {
      const controller = new AbortController();
      const { signal } = controller;
      const stream = providerOf({ baseUrl: url, model: MODEL }).streamCompletion("?", { signal });
      await leave(stream, (reason) => controller.abort(reason));
      await until(() => isClosed, "the server's seeing the client leave");
      // Checked soon: Bun also ends a forgotten body on its own, after a second.
      assert.ok(written < total / 8, `the server wrote ${written} of ${total} tokens`);
    });
  });
}

await check("an unused stream sends nothing", () =>
  withFake({}, async (url, fake) => {
    const provider = providerOf({ baseUrl: url });
    const stream = provider.streamCompletion("?");
    await stream[Symbol.asyncDispose]();
    provider.streamCompletion("?").toTextStream();
    await provider.listModels();
    assert.deepEqual(fake.requests.map(({ path }) => path), ["/api/v1/models"]);
  }));

await check("toTextStream() is the body of a Response", async () => {
  await withFake({ replies: ["Grüße, 世界"] }, async (url) => {
    const stream = providerOf({ baseUrl: url }).streamCompletion("?");
    assert.equal(await new Response(stream.toTextStream()).text(), "Grüße, 世界");
  });
});

await check(
  "toResponse() waits for the first chunk and keeps it, and rejects on an earlier failure",
  async () => {
    await withFake({ replies: ["Grüße, 世界"] }, async (url) => {
      const response = await providerOf({ baseUrl: url }).streamCompletion("?").toResponse();
      assert.equal(response.headers.get("content-type"), "text/plain; charset=utf-8");
      assert.equal(await response.text(), "Grüße, 世界");
    });
    await withHttp((_request, response) => response.writeHead(401).end(), async (baseUrl) => {
      const stream = providerOf({ baseUrl, model: MODEL }).streamCompletion("?");
      assertFields(await failureOf(stream.toResponse()), { kind: "authentication" });
    });
  },
);

/** How a stream breaks off after two tokens, and the error. */
const CUTS = {
  "by the connection's break": [{ type: "cut", afterTokens: 2 }, "network", "connection_reset"],
  "in order": [{ type: "cut", afterTokens: 2, clean: true }, "stream", "stream_truncated"],
  "by an error frame": [
    { type: "error-frame", afterTokens: 2, message: "boom" },
    "api",
    "server_error",
  ],
  "by a broken frame": [{ type: "bad-json", afterTokens: 2 }, "stream", "malformed_stream"],
};
for (const [name, [fault, kind, code]] of Object.entries(CUTS)) {
  await check(`a stream cut ${name} keeps the partial answer`, () => {
    const replies = [{ content: ["one ", "two ", "three"] }];
    const faults = [{ path: "/v1/chat/completions", fault }];
    // A pause before the break: Bun's fetch drops data that arrives together with it.
    return withFake({ replies, faults, tokenMs: 20 }, async (url) => {
      const stream = providerOf({ baseUrl: url }).streamCompletion("?");
      const { error, text } = await drain(stream);
      assertFields(error, { kind, code, partial: { content: "one two ", toolCalls: [] } });
      assert.equal(text, "one two ");
      assert.equal(await failureOf(stream.response()), error);
    });
  });
}

await check("an empty stream is an error", () => {
  const faults = [{ path: "/v1/chat/completions", fault: { type: "empty-stream" } }];
  return withFake({ faults }, async (url) => {
    const { error } = await drain(providerOf({ baseUrl: url }).streamCompletion("?"));
    assertFields(error, { kind: "stream", code: "stream_truncated" });
  });
});

function fakeOf(options) {
  const models = [LLM, EMBEDDER];
  return createFakeLMStudio({ models, replies: () => ({ content: ["a ", "b"] }), ...options });
}

/** A fake that listens while `use` runs. */
async function withFake(options, use) {
  const fake = fakeOf(options);
  const server = await fake.listen();
  try {
    return await use(server.url, fake);
  } finally {
    await server[Symbol.asyncDispose]();
  }
}

function providerOf(options) {
  return new LMStudioProvider({ env: {}, maxRetries: 0, ...options });
}

/** The request of the only completion. */
function chatOf(fake) {
  return fake.requests.find(({ path }) => path === "/v1/chat/completions");
}

async function useAll(options, fake) {
  const provider = providerOf(options);
  const models = await provider.listModels();
  assert.deepEqual(models.map(({ id, type }) => [id, type]), [[LLM, "llm"], [
    EMBEDDER,
    "embedding",
  ]]);

  const answer = await provider.complete({ messages: ["Hello"], temperature: 0 });
  assertFields(answer, { content: "a b", model: LLM, finishReason: "stop", toolCalls: [] });
  assert.ok(answer.usage.totalTokens > 0);

  const stream = provider.streamCompletion({ messages: "Hello" });
  const { chunks, error, text } = await drain(stream);
  assert.equal(error, undefined);
  assert.equal(text, "a b");
  assert.deepEqual(chunks.map(({ isFinal }) => isFinal).lastIndexOf(false), chunks.length - 2);
  assertFields(chunks.at(-1), { isFinal: true, finishReason: "stop", model: LLM });
  assertFields(await stream.response(), { content: "a b", usage: chunks.at(-1).usage });

  const { embeddings, model } = await provider.embed({
    input: ["sea", "ocean", "hill"],
    batchSize: 2,
  });
  // The server adds the variant.
  assert.ok(model.startsWith(EMBEDDER), model);
  assert.equal(embeddings.length, 3);
  assert.ok(embeddings.every((vector) => vector.length === 768 && vector.every(Number.isFinite)));

  assert.equal(await provider.supportsModel(LLM), true);
  assert.equal(await provider.supportsModel("nobody/has-it"), false);
  assert.equal((await provider.modelCapabilities(LLM)).supportsStreaming, true);
  assert.ok(fake.requests.every(({ aborted }) => !aborted));
}
