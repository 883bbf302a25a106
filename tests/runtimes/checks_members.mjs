/** The members of `LMStudioProvider` beyond the interface, over HTTP, and the ways to leave each of its streams. */
import { LMStudioProvider } from "@patinox/lmstudio";
import { createLMStudio } from "@patinox/lmstudio/ai-sdk";
import { createFakeLMStudio } from "@patinox/lmstudio/testing";
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
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
const NEW = "ibm/granite-4-micro";
/** A PNG of one pixel. */
const PNG =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

await check(
  "text is continued, whole and streamed",
  () =>
    withFake({ replies: ["one two", { content: ["one ", "two"] }] }, async (provider) => {
      assertFields(await provider.completeText("Count"), { text: "one two", finishReason: "stop" });
      const stream = provider.streamText({ prompt: "Count", maxTokens: 5 });
      assert.equal((await drain(stream)).text, "one two");
      assertFields(await stream.response(), { text: "one two", model: LLM });
    }),
);

await check("an object matches its schema, after a repair", async () => {
  const schema = {
    "~standard": {
      version: 1,
      vendor: "own",
      validate: ({ age }) =>
        typeof age === "number"
          ? { value: { age } }
          : { issues: [{ message: "no number", path: ["age"] }] },
      jsonSchema: {
        input: () => ({ type: "object", properties: { age: { type: "number" } } }),
        output: () => ({}),
      },
    },
  };
  const replies = ['{"age":"old"}', '```json\n{"age":36}\n```', '{"age":"old"}'];
  await withFake({ replies }, async (provider) => {
    const request = { messages: "How old?", schema };
    const { object } = await provider.completeObject({ ...request, maxRepairs: 1 });
    assert.deepEqual(object, { age: 36 });
    const error = await failureOf(provider.completeObject(request));
    assertFields(error, { kind: "parse", issues: [{ message: "no number", path: ["age"] }] });
  });
});

await check(
  "responses are remembered, whole and streamed",
  () =>
    withFake({ replies: ["first", { content: ["sec", "ond"] }] }, async (provider) => {
      const first = await provider.responses.create({ input: "?" });
      assertFields(first, { text: "first", status: "completed", model: LLM });
      const stream = provider.responses.stream({ input: "?", previousResponseId: first.id });
      const deltas = [];
      for await (const event of stream) {
        if (event.type === "response.output_text.delta") deltas.push(event.delta);
      }
      assert.equal(deltas.join(""), "second");
      assertFields(await stream.response(), { text: "second" });
    }),
);

await check(
  "LM Studio's own chat, whole and streamed",
  () =>
    withFake({ replies: ["first", { content: ["sec", "ond"] }] }, async (provider) => {
      const first = await provider.chat.send({ input: "?" });
      assertFields(first, { content: "first", modelInstanceId: LLM });
      const stream = provider.chat.stream({ input: "?", previousResponseId: first.responseId });
      const types = [];
      for await (const { type } of stream) types.push(type);
      assert.equal(types[0], "chat.start");
      assert.equal(types.at(-1), "chat.end");
      assertFields(await stream.response(), { content: "second" });
    }),
);

await check("models are loaded once for all callers, unloaded and downloaded", async () => {
  const models = [{ id: LLM, loaded: false }];
  const downloads = [{ model: NEW, progress: [0, 0.5, 1] }];
  await withFake({ models, downloads, loadMs: 40 }, async ({ models }, fake) => {
    const wanted = { contextLength: 4096, unloadOnDispose: true };
    const [a, b] = await Promise.all(
      [LLM, "Qwen3-8B"].map((name) => models.ensureLoaded(name, wanted)),
    );
    assert.equal(a.instanceId, b.instanceId);
    assert.equal(requestsTo(fake, "/api/v1/models/load").length, 1);
    assertFields(await models.get("qwen3-8b"), { id: LLM, loaded: true });
    await a[Symbol.asyncDispose]();
    await b[Symbol.asyncDispose]();
    assertFields(await models.get(LLM), { loaded: false });
    const { instanceId } = await models.load(LLM);
    assert.deepEqual(await models.unload(LLM), [instanceId]);

    const states = [];
    for await (const { status } of models.download(NEW, { pollIntervalMs: 5 })) states.push(status);
    assert.equal(states.at(-1), "completed");
    assertFields(await models.get(NEW), { id: NEW });
  });
});

await check("the image at a URL is sent, and its server gets none of our headers", async () => {
  let headers;
  await withHttp(
    (request, reply) => {
      headers = request.headers;
      reply.writeHead(200, { "content-type": "image/png" }).end(Buffer.from(PNG, "base64"));
    },
    (url) =>
      withFake(
        { models: [{ id: LLM, vision: true }], replies: ["A dot."] },
        async (provider, fake) => {
          const content = [{ type: "image", image: `${url}/dot.png?key=1` }];
          const answer = await provider.complete({ messages: [{ role: "user", content }] });
          assert.equal(answer.content, "A dot.");
          const [{ body }] = requestsTo(fake, "/v1/chat/completions");
          assert.equal(body.messages[0].content[0].image_url.url, `data:image/png;base64,${PNG}`);
          assert.equal(headers.authorization, undefined);
        },
        { apiToken: "sk-lm-secret" },
      ),
  );
});

await check("other clients' fetch: an answer, a stream, an error under 200", async () => {
  await withFake({ replies: ["one", { content: ["t", "wo"] }, "three"] }, async (provider) => {
    const ask = clientOf(provider);
    const body = { model: LLM, messages: [{ role: "user", content: "?" }] };
    assert.equal((await (await ask(body)).json()).choices[0].message.content, "one");
    const text = await (await ask({ ...body, stream: true })).text();
    assert.match(text, /"content":"wo"[^]*data: \[DONE\]\n\n$/);
  });
  await withHttp((_, reply) => {
    reply.writeHead(200, { "content-type": "application/json" }).end('{"error":"boom"}');
  }, async (baseUrl) => {
    const answer = await clientOf(new LMStudioProvider({ baseUrl, env: {} }))({ model: MODEL });
    assert.equal(answer.status, 400);
    assert.deepEqual(await answer.json(), { error: { message: "boom" } });
  });
});

const EVENT_DELTA = "response.output_text.delta";
/** Every kind of stream: its route, the event its server repeats, and how to start it. */
const STREAMS = {
  "streamText()": [
    "/v1/completions",
    line({ model: MODEL, choices: [{ index: 0, text: "x" }] }),
    (provider, options) => provider.streamText("?", options),
  ],
  "streamTools()": [
    "/v1/chat/completions",
    frame("x"),
    (provider, options) => provider.streamTools({ messages: "?", tools: [] }, options),
  ],
  "responses.stream()": [
    "/v1/responses",
    line({ type: EVENT_DELTA, output_index: 0, content_index: 0, delta: "x" }),
    (provider, options) => provider.responses.stream({ input: "?" }, options),
  ],
  "chat.stream()": [
    "/api/v1/chat",
    line({ type: "message.delta", content: "x" }),
    (provider, options) => provider.chat.stream({ input: "?" }, options),
  ],
};
const REASON = new Error("enough");
/** Ways to leave after two events. */
const WAYS_OUT = {
  "a break": async (stream) => {
    let count = 0;
    for await (const _ of stream) if (++count === 2) break;
  },
  "cancel()": async (stream) => {
    let count = 0;
    for await (const _ of stream) if (++count === 2) await stream.cancel(REASON);
    assert.equal(count, 2);
    assert.equal(await failureOf(stream.response()), REASON);
  },
  "an abort": async (stream, controller) => {
    let count = 0;
    const error = await failureOf((async () => {
      for await (const _ of stream) if (++count === 2) controller.abort(REASON);
    })());
    assert.equal(error, REASON);
    assert.equal(await failureOf(stream.response()), REASON);
  },
  "cancelling its ReadableStream": async (stream) => {
    const reader = stream.toReadableStream().getReader();
    await reader.read();
    await reader.read();
    await reader.cancel();
  },
};
for (const [kind, [path, event, open]] of Object.entries(STREAMS)) {
  for (const [way, leave] of Object.entries(WAYS_OUT)) {
    await check(`${kind}: ${way} stops the server`, async () => {
      const controller = new AbortController();
      await withEndless(event, async (provider, state) => {
        await leave(open(provider, { signal: controller.signal }), controller);
        await until(() => state.isLeft, "the server's seeing the client leave");
        assert.ok(state.written < 100, `the server wrote ${state.written} events`);
        assert.deepEqual(state.paths, [path]);
      });
    });
  }

  await check(`${kind}: a stream that is cut says so, with the partial answer`, async () => {
    await withHttp((_, reply) => {
      reply.writeHead(200, { "content-type": "text/event-stream" }).end(event);
    }, async (url) => {
      const stream = open(providerOf({ baseUrl: url }));
      const { error } = await drain(stream);
      const partial = { content: "x", toolCalls: [] };
      assertFields(error, { kind: "stream", code: "stream_truncated", partial });
      assert.equal(await failureOf(stream.response()), error);
    });
  });
}

await check("leaving or aborting the body of toOpenAI().fetch stops the server", async () => {
  for (const way of ["cancel", "abort"]) {
    const controller = new AbortController();
    await withEndless(frame("x"), async (provider, state) => {
      const init = { signal: controller.signal };
      const reader = (await clientOf(provider, init)({ model: MODEL, stream: true })).body
        .getReader();
      await reader.read();
      if (way === "cancel") await reader.cancel();
      else {
        controller.abort(REASON);
        assert.equal(await failureOf(readAll(reader)), REASON);
      }
      await until(() => state.isLeft, "the server's seeing the client leave");
    });
  }
});

await check("an abort reaches running tools, and does not wait for them", async () => {
  const replies = [{ toolCalls: [{ name: "wait" }] }, "never"];
  await withFake({ replies }, async (provider, fake) => {
    const controller = new AbortController();
    let signal;
    const wait = (_, context) => {
      signal = context.signal;
      controller.abort(REASON);
      return new Promise(() => {});
    };
    const request = { messages: "?", tools: [{ name: "wait", execute: wait }] };
    assert.equal(
      await failureOf(provider.runTools(request, { signal: controller.signal })),
      REASON,
    );
    assert.equal(signal.reason, REASON);
    assert.equal(requestsTo(fake, "/v1/chat/completions").length, 1);
  });
});

await check("tools that listen to their signal and do not stop cause no leak", async () => {
  const toolCalls = Array.from({ length: 12 }, () => ({ name: "listen" }));
  await withFake({ replies: [{ toolCalls }, "Done."] }, async (provider) => {
    const execute = (_, { signal }) => signal.addEventListener("abort", () => {});
    const tools = [{ name: "listen", execute }];
    const { response } = await provider.runTools({ messages: "?", tools });
    assert.equal(response.content, "Done.");
  });
});

// Node 20 warns about a leak at the eleventh listener of a signal; `run.ts` treats warnings as failures.
await check(
  "many calls at once on one signal",
  () =>
    withFake({ models: [LLM, EMBEDDER], replies: () => "ok", tokenMs: 5 }, async (provider) => {
      const { signal } = new AbortController();
      const input = Array.from({ length: 24 }, (_, index) => `text ${index}`);
      await provider.embed({ input, batchSize: 1, concurrency: 12 });
      await Promise.all(input.flatMap((text) => [
        provider.complete({ messages: text, model: LLM }, { signal }),
        provider.streamText({ prompt: text, model: LLM }, { signal }).response(),
        provider.models.get(LLM, { signal }),
      ]));
    }),
);

await check(
  "the AI SDK's models answer, whole, streamed and with vectors, and streams can be left",
  () =>
    withFake({
      models: [LLM, EMBEDDER],
      replies: ["whole", { content: ["in ", "chunks"] }, "word ".repeat(500)],
      tokenMs: 2,
    }, async (provider, fake) => {
      const lmstudio = createLMStudio(provider);
      const prompt = [{ role: "user", content: [{ type: "text", text: "?" }] }];
      const model = lmstudio(LLM);
      const { content, usage } = await model.doGenerate({ prompt });
      assert.deepEqual(content, [{ type: "text", text: "whole" }]);
      assert.equal(typeof usage.inputTokens.total, "number");
      let text = "";
      for await (const part of (await model.doStream({ prompt })).stream) {
        if (part.type === "text-delta") text += part.delta;
      }
      assert.equal(text, "in chunks");
      const reader = (await model.doStream({ prompt })).stream.getReader();
      await reader.read();
      await reader.read();
      await reader.cancel();
      const [request] = requestsTo(fake, "/v1/chat/completions").slice(-1);
      await until(() => request.aborted, "the server's seeing the client leave");
      const { embeddings } = await lmstudio.embeddingModel().doEmbed({ values: ["sea", "ocean"] });
      assert.equal(embeddings.length, 2);
      assert.throws(() => lmstudio.imageModel("x"), { name: "AI_NoSuchModelError" });
    }),
);

function line(data) {
  return `data: ${JSON.stringify(data)}\n\n`;
}

function providerOf(options) {
  return new LMStudioProvider({ env: {}, maxRetries: 0, model: MODEL, ...options });
}

/** A provider with a fake that listens while `use` runs. */
async function withFake(options, use, ownOptions = {}) {
  const fake = createFakeLMStudio({ models: [LLM], ...options });
  const server = await fake.listen();
  try {
    return await use(new LMStudioProvider({ baseUrl: server.url, env: {}, ...ownOptions }), fake);
  } finally {
    await server[Symbol.asyncDispose]();
  }
}

/** A provider with a server that repeats this event. */
function withEndless(event, use) {
  const state = { written: 0, isLeft: false, paths: [] };
  return withHttp((request, reply) => {
    state.paths.push(request.url);
    reply.writeHead(200, { "content-type": "text/event-stream" });
    const timer = setInterval(() => {
      reply.write(event);
      state.written++;
    }, 5);
    reply.on("close", () => {
      state.isLeft = true;
      clearInterval(timer);
    });
  }, (url) => use(providerOf({ baseUrl: url }), state));
}

/** Requests like another client's, with the options of `toOpenAI()`. */
function clientOf(provider, init = {}) {
  const { baseURL, apiKey, fetch } = provider.toOpenAI();
  const headers = { "content-type": "application/json", authorization: `Bearer ${apiKey}` };
  return (body) =>
    fetch(`${baseURL}/chat/completions`, {
      method: "POST",
      headers,
      body: JSON.stringify(body),
      ...init,
    });
}

async function readAll(reader) {
  while (!(await reader.read()).done);
}

/** The requests to one route that the fake received. */
function requestsTo(fake, path) {
  return fake.requests.filter((request) => request.path === path);
}
