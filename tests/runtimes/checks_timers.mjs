/** Each phase of a call in time, and a caller's abort in each. */
import { LMStudioProvider } from "@patinox/lmstudio";
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { connect } from "node:net";
import { fileURLToPath } from "node:url";
import {
  assertFields,
  check,
  completion,
  drain,
  failureOf,
  frame,
  MODEL,
  sleep,
  until,
  withHttp,
} from "./harness.mjs";

/** Longer than a busy machine takes to accept a connection. */
const CONNECT_MS = 250;
const SSE = { "content-type": "text/event-stream" };

await check("a server that accepts no connection: timeout_connect", async () => {
  await withFullBacklog(async (url) => {
    const provider = providerOf(url, { connectTimeoutMs: CONNECT_MS });
    const expected = { name: "TimeoutError", code: "timeout_connect", phase: "connect" };
    const startedAt = performance.now();
    const [error, { error: streamed }] = await Promise.all([
      failureOf(provider.complete("?")),
      drain(provider.streamCompletion("?")),
    ]);
    assertFields(error, { ...expected, timeoutMs: CONNECT_MS, retriable: true });
    assertFields(streamed, expected);
    // Once for the request, once for the probe that tells both kinds of silence apart.
    const elapsedMs = performance.now() - startedAt;
    assert.ok(elapsedMs >= CONNECT_MS && elapsedMs < 10 * CONNECT_MS, `took ${elapsedMs} ms`);
    const reason = new Error("enough");
    const signal = abortAfter(50, reason);
    assert.equal(await failureOf(provider.complete("?", { signal })), reason);
  });
});

await check("headers that arrive after 3 × connectTimeoutMs", async () => {
  let requests = 0;
  await withHttp(async (message, reply) => {
    // Node before 20.16 offers no access to `node:net`, so the greeting is requested.
    if (message.method === "GET") return reply.end("{}");
    requests++;
    const { stream } = JSON.parse(await textOf(message));
    await sleep(3.5 * CONNECT_MS);
    if (stream) reply.writeHead(200, SSE).end(frame("late", "stop") + "data: [DONE]\n\n");
    else reply.writeHead(200, { "content-type": "application/json" }).end(completion("late"));
  }, async (url) => {
    const provider = providerOf(url, { connectTimeoutMs: CONNECT_MS });
    const [answer, { text, error }] = await Promise.all([
      provider.complete("?"),
      drain(provider.streamCompletion("?")),
    ]);
    assert.equal(answer.content, "late");
    assert.equal(error, undefined);
    assert.equal(text, "late");
    assert.equal(requests, 2);
  });
});

/** Servers that never send a token. */
const NO_TOKEN = {
  "no headers": () => {},
  "headers alone": (reply) => reply.flushHeaders(),
  "comments alone": (reply) => {
    const timer = setInterval(() => reply.write(": processing\n\n"), 20);
    reply.on("close", () => clearInterval(timer));
  },
};
for (const [name, answer] of Object.entries(NO_TOKEN)) {
  await check(`a stream of ${name}: timeout_first_token, and the server stops`, async () => {
    await withSilent(answer, async (url, state) => {
      const provider = providerOf(url, { firstTokenTimeoutMs: 150 });
      const { error } = await drain(provider.streamCompletion("?"));
      const expected = { code: "timeout_first_token", phase: "first-token", timeoutMs: 150 };
      assertFields(error, { name: "TimeoutError", ...expected, partial: undefined });
      await until(() => state.isLeft, "the server's seeing the client leave");
    });
  });
}

await check("silence after a token: timeout_idle with the partial answer", async () => {
  await withSilent((reply) => reply.write(frame("first")), async (url, state) => {
    const { error } = await drain(providerOf(url, { idleTimeoutMs: 150 }).streamCompletion("?"));
    const partial = { content: "first", toolCalls: [] };
    assertFields(error, { code: "timeout_idle", phase: "idle", timeoutMs: 150, partial });
    await until(() => state.isLeft, "the server's seeing the client leave");
  });
});

await check("a slow consumer is not an idle server", () =>
  withHttp((_, reply) => {
    reply.writeHead(200, SSE).end(
      `${frame("a")}${frame("b")}${frame("c", "stop")}data: [DONE]\n\n`,
    );
  }, async (url) => {
    let text = "";
    for await (const { content } of providerOf(url, { idleTimeoutMs: 50 }).streamCompletion("?")) {
      text += content;
      await sleep(80);
    }
    assert.equal(text, "abc");
  }));

/** Servers whose answer never ends. */
const NO_END = { "no headers": () => {}, "half a body": (reply) => reply.write('{"choices":') };
for (const [name, answer] of Object.entries(NO_END)) {
  await check(`an answer of ${name}: timeout_total, and the server stops`, async () => {
    await withSilent(answer, async (url, state) => {
      const error = await failureOf(providerOf(url).complete("?", { timeoutMs: 150 }));
      assertFields(error, { code: "timeout_total", phase: "total", timeoutMs: 150 });
      await until(() => state.isLeft, "the server's seeing the client leave");
    });
  });

  await check(`an abort at ${name} rejects with the reason alone`, async () => {
    await withSilent(answer, async (url, state) => {
      for (const reason of [new Error("mine"), "a string", undefined]) {
        state.isLeft = false;
        const signal = abortAfter(100, reason);
        const error = await failureOf(providerOf(url).complete("?", { signal }));
        assert.equal(error, signal.reason);
        await until(() => state.isLeft, "the server's seeing the client leave");
      }
    });
  });
}

await check("a signal that is aborted already sends nothing", async () => {
  await withSilent(() => {}, async (url, state) => {
    const reason = new Error("never mind");
    const signal = AbortSignal.abort(reason);
    assert.equal(await failureOf(providerOf(url).complete("?", { signal })), reason);
    const { error } = await drain(providerOf(url).streamCompletion("?", { signal }));
    assert.equal(error, reason);
    assert.equal(state.requests, 0);
  });
});

await check("an abort ends the wait before a retry", async () => {
  await withHttp((_, reply) => reply.writeHead(503, { "retry-after": "30" }).end(), async (url) => {
    const reason = new Error("no longer");
    const signal = abortAfter(100, reason);
    const error = await failureOf(providerOf(url, { maxRetries: 1 }).complete("?", { signal }));
    assert.equal(error, reason);
  });
});

await check("AbortSignal.timeout() is an abort like any other", async () => {
  await withSilent(() => {}, async (url) => {
    const signal = AbortSignal.timeout(100);
    const error = await failureOf(providerOf(url).complete("?", { signal }));
    assert.equal(error, signal.reason);
    assert.equal(error.name, "TimeoutError");
  });
});

function providerOf(baseUrl, options) {
  return new LMStudioProvider({ baseUrl, model: MODEL, env: {}, maxRetries: 0, ...options });
}

function abortAfter(ms, reason) {
  const controller = new AbortController();
  setTimeout(() => controller.abort(reason), ms);
  return controller.signal;
}

/** A server that sends this part of an answer, and then nothing. */
function withSilent(answer, use) {
  const state = { requests: 0, isLeft: false };
  return withHttp((_, reply) => {
    state.requests++;
    reply.on("close", () => state.isLeft = true);
    reply.statusCode = 200;
    reply.setHeader("content-type", "text/event-stream");
    answer(reply);
  }, (url) => use(url, state));
}

async function textOf(message) {
  let text = "";
  for await (const chunk of message) text += chunk;
  return text;
}

/** A server whose connection queue is full. */
async function withFullBacklog(use) {
  const path = fileURLToPath(new URL("full_backlog.mjs", import.meta.url));
  const child = spawn("node", [path], { stdio: ["ignore", "pipe", "inherit"] });
  const sockets = [];
  try {
    const port = await new Promise((resolve) =>
      child.stdout.once("data", (data) => resolve(Number(data)))
    );
    await sleep(100);
    // The system accepts connections for the program until the queue is full.
    for (let isFull = false; !isFull;) {
      const socket = connect({ host: "127.0.0.1", port });
      socket.on("error", () => {});
      sockets.push(socket);
      isFull = await Promise.race([
        new Promise((resolve) => socket.once("connect", () => resolve(false))),
        sleep(CONNECT_MS).then(() => true),
      ]);
      assert.ok(sockets.length < 100, "the queue does not fill up");
    }
    return await use(`http://127.0.0.1:${port}`);
  } finally {
    for (const socket of sockets) socket.destroy();
    child.kill("SIGKILL");
  }
}
