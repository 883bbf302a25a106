/**
 * The four timeouts. They must end every wait for a server that is stuck, but no wait for one that is merely
 * slow: LM Studio is silent for minutes while it loads a model or reads a prompt.
 */
import { assert, assertEquals, assertInstanceOf, assertStringIncludes } from "@std/assert";
import {
  type CallOptions,
  LMStudioProvider,
  type LMStudioProviderOptions,
  TimeoutError,
  type TimeoutPhase,
} from "../mod.ts";
import { inFakeTime, Puppet } from "./support/puppet.ts";
import { deafServer, rawServer } from "./support/raw_server.ts";
import { runScript } from "./support/script.ts";
import { events, serveStub } from "./support/stub_server.ts";
import { answer, event, FINISH, gate, LISTING, rejection, token } from "./support/wire.ts";

function provider(options: LMStudioProviderOptions): LMStudioProvider {
  return new LMStudioProvider({ model: "m", env: {}, maxRetries: 0, ...options });
}

async function timeoutError(
  promise: Promise<unknown>,
  phase: TimeoutPhase,
  timeoutMs: number,
): Promise<TimeoutError> {
  const error = await rejection(promise);
  assertInstanceOf(error, TimeoutError);
  assertEquals(
    [error.phase, error.timeoutMs, error.kind, error.retriable],
    [phase, timeoutMs, "timeout", true],
  );
  assertEquals(error.code, `timeout_${phase.replace("-", "_")}`);
  assertStringIncludes(error.message, `within ${timeoutMs} ms`);
  return error;
}

/** A stream read by `response()` in fake time, its request already there. */
async function streaming(
  options: CallOptions,
  run: (
    puppet: Puppet,
    response: Promise<unknown>,
    pass: (ms: number) => Promise<void>,
  ) => Promise<void>,
): Promise<void> {
  await inFakeTime(async (pass) => {
    const puppet = new Puppet();
    const lmstudio = provider({ fetch: puppet.fetch, connectTimeoutMs: Infinity });
    const response = lmstudio.streamCompletion("Hello", options).response();
    response.catch(() => {});
    await pass(0);
    await run(puppet, response, pass);
  });
}

// --- connect -----------------------------------------------------------------------------------

Deno.test("a server that accepts no connection is timeout_connect", async () => {
  await using server = await deafServer();
  const lmstudio = provider({ baseUrl: server.url, connectTimeoutMs: 40 });
  const calls = [
    () => lmstudio.listModels(),
    () => lmstudio.complete("Hello"),
    () => lmstudio.streamCompletion("Hello").response(),
    () => lmstudio.embed({ model: "m", input: "text" }),
  ];
  for (const call of calls) {
    const error = await timeoutError(call(), "connect", 40);
    assertEquals(error.attempts, 1);
    assertStringIncludes(error.hint, "lms server start");
  }
});

Deno.test("a server on this machine that accepts no connection gets no further request", async () => {
  await using server = await deafServer();
  const { fetch } = globalThis;
  let requests = 0;
  globalThis.fetch = (...input) => {
    requests++;
    return fetch(...input);
  };
  try {
    const lmstudio = provider({ baseUrl: server.url, connectTimeoutMs: 20 });
    await timeoutError(lmstudio.listModels(), "connect", 20);
  } finally {
    globalThis.fetch = fetch;
  }
  assertEquals(requests, 1);
});

Deno.test("a call's own connectTimeoutMs overrides the provider's", async () => {
  await using server = await deafServer();
  const lmstudio = provider({ baseUrl: server.url, connectTimeoutMs: 60_000 });
  await timeoutError(lmstudio.listModels({ connectTimeoutMs: 20 }), "connect", 20);
});

Deno.test("headers after 3 × connectTimeoutMs succeed; the probe is a single bare connection", async () => {
  const calls = {
    list: (lmstudio: LMStudioProvider) => lmstudio.listModels(),
    complete: (lmstudio: LMStudioProvider) => lmstudio.complete("Hello"),
    stream: (lmstudio: LMStudioProvider) => lmstudio.streamCompletion("Hello").response(),
  };
  const bodies = { list: LISTING, complete: answer("Hi"), stream: token("Hi") + FINISH };
  for (const [name, call] of Object.entries(calls)) {
    const probed = gate();
    let probeSent: string | undefined;
    await using server = rawServer(async (connection, index) => {
      if (index === 1) {
        probeSent = await connection.request();
        return probed.open();
      }
      await connection.request();
      await probed.opened;
      await new Promise((resolve) => setTimeout(resolve, 220));
      await connection.respond(200, bodies[name as keyof typeof bodies]);
      await connection.gone();
    });
    const lmstudio = provider({ baseUrl: server.url, connectTimeoutMs: 100, timeoutMs: 10_000 });
    const startedAt = performance.now();
    await call(lmstudio);
    assert(performance.now() - startedAt > 3 * 100, name);
    assertEquals([server.connections, probeSent], [2, ""], name);
  }
});

Deno.test("a server that answers in time is not probed", async () => {
  await using server = rawServer(async (connection) => {
    await connection.request();
    await connection.respond(200, LISTING);
    await connection.gone();
  });
  await provider({ baseUrl: server.url, connectTimeoutMs: 10_000 }).listModels();
  assertEquals(server.connections, 1);
});

Deno.test("a custom fetch requests the greeting instead, without API token and headers", async () => {
  await inFakeTime(async (pass) => {
    const puppet = new Puppet();
    const lmstudio = provider({
      fetch: puppet.fetch,
      baseUrl: "http://127.0.0.1:1234/prefix",
      connectTimeoutMs: 100,
      apiToken: "token",
      headers: { "x-api-key": "key" },
    });
    const answered = lmstudio.complete("Hello");
    await pass(99);
    assertEquals(puppet.calls.length, 1);
    await pass(1);
    assertEquals(puppet.calls.length, 2);
    assertEquals(puppet.last.url, "http://127.0.0.1:1234/prefix/lmstudio-greeting");
    assertEquals(puppet.last.init.headers, undefined);
    // Any answer shows that the server is up.
    puppet.last.respond(404);
    await pass(3_600_000);
    assert(puppet.last.isCancelled);
    assertEquals(puppet.calls.length, 2);
    const [request] = puppet.calls;
    request?.respond();
    request?.send(answer("Hi"));
    request?.end();
    assertEquals((await answered).content, "Hi");
  });
});

Deno.test("an answer ends the running probe", async () => {
  await inFakeTime(async (pass) => {
    const puppet = new Puppet();
    const lmstudio = provider({ fetch: puppet.fetch, connectTimeoutMs: 100 });
    const answered = lmstudio.complete("Hello");
    await pass(100);
    const [request, greeting] = puppet.calls;
    request?.respond();
    request?.send(answer("Hi"));
    request?.end();
    await answered;
    assertEquals(greeting?.signal.aborted, true);
  });
});

Deno.test("a custom fetch that fails the greeting is timeout_connect", async () => {
  await inFakeTime(async (pass) => {
    const puppet = new Puppet();
    const lmstudio = provider({ fetch: puppet.fetch, connectTimeoutMs: 100 });
    const listed = lmstudio.listModels();
    const failed = timeoutError(listed, "connect", 100);
    await pass(100);
    puppet.last.fail(new TypeError("nobody there"));
    await failed;
  });
});

Deno.test("connectTimeoutMs Infinity never probes", async () => {
  await streaming({ connectTimeoutMs: Infinity }, async (puppet, response, pass) => {
    await pass(599_000);
    assertEquals(puppet.calls.length, 1);
    puppet.last.respond();
    puppet.last.send(token("Hi") + FINISH);
    await response;
  });
});

// --- first-token -------------------------------------------------------------------------------

Deno.test("no headers: first-token", async () => {
  await streaming({ firstTokenTimeoutMs: 1000 }, async (puppet, response, pass) => {
    const failed = timeoutError(response, "first-token", 1000);
    await pass(999);
    assert(!puppet.last.signal.aborted);
    await pass(1);
    const error = await failed;
    assertEquals([error.partial, error.attempts], [undefined, 1]);
    // The request is aborted, with the reason.
    assertEquals(puppet.last.signal.reason, error);
  });
});

Deno.test("headers, then nothing: first-token, counted from sending", async () => {
  await streaming({ firstTokenTimeoutMs: 1000 }, async (puppet, response, pass) => {
    const failed = timeoutError(response, "first-token", 1000);
    await pass(700);
    puppet.last.respond();
    await pass(299);
    assert(!puppet.last.isCancelled);
    await pass(1);
    assertEquals((await failed).partial, undefined);
    assert(puppet.last.isCancelled);
  });
});

Deno.test("a chunk with a role only, then nothing: first-token", async () => {
  await streaming({ firstTokenTimeoutMs: 1000 }, async (puppet, response, pass) => {
    const failed = timeoutError(response, "first-token", 1000);
    puppet.last.respond();
    puppet.last.send(event({ role: "assistant", content: "" }));
    await pass(500);
    puppet.last.send(event({ role: "assistant", content: null, tool_calls: [] }));
    await pass(500);
    await failed;
  });
});

Deno.test("comments do not end first-token", async () => {
  await streaming({ firstTokenTimeoutMs: 1000, idleTimeoutMs: 300 }, async (puppet, ...rest) => {
    const [response, pass] = rest;
    const failed = timeoutError(response, "first-token", 1000);
    puppet.last.respond();
    for (let waited = 0; waited < 1000; waited += 100) {
      assert(!puppet.last.isCancelled);
      puppet.last.send(": keep-alive\n\n");
      await pass(100);
    }
    await failed;
  });
});

const TOKENS = {
  content: event({ content: "Hi" }),
  reasoning: event({ reasoning_content: "Hm" }),
  "reasoning in tags": event({ content: "<think>" }),
  "a tool call": event({ tool_calls: [{ index: 0, id: "1", function: { name: "f" } }] }),
};

for (const [name, sent] of Object.entries(TOKENS)) {
  Deno.test(`${name} ends first-token`, async () => {
    const options = { firstTokenTimeoutMs: 1000, idleTimeoutMs: 5000 };
    await streaming(options, async (puppet, response, pass) => {
      puppet.last.respond();
      await pass(900);
      puppet.last.send(sent);
      await pass(4900);
      puppet.last.send(FINISH);
      await response;
    });
  });
}

Deno.test("a finish ends first-token", async () => {
  await streaming({ firstTokenTimeoutMs: 1000 }, async (puppet, response, pass) => {
    puppet.last.respond();
    puppet.last.send(event({}, "stop"));
    await pass(1999);
    puppet.last.send("data: [DONE]\n\n");
    await response;
  });
});

// --- idle --------------------------------------------------------------------------------------

Deno.test("content, then nothing: idle, with the partial answer", async () => {
  await streaming({ idleTimeoutMs: 1000 }, async (puppet, response, pass) => {
    const failed = timeoutError(response, "idle", 1000);
    puppet.last.respond();
    puppet.last.send(event({ reasoning_content: "Hm" }) + token("Once") + token(" upon"));
    await pass(999);
    assert(!puppet.last.isCancelled);
    await pass(1);
    const { partial } = await failed;
    assertEquals(partial, { content: "Once upon", reasoning: "Hm", toolCalls: [] });
    assert(puppet.last.isCancelled);
  });
});

Deno.test("any byte resets idle: a comment, half a line, a line break", async () => {
  await streaming({ idleTimeoutMs: 1000 }, async (puppet, response, pass) => {
    puppet.last.respond();
    puppet.last.send(token("Hi"));
    for (const sent of [": still here\n", "data: {", '"choices":[]', "}", "\n", "\n"]) {
      await pass(900);
      puppet.last.send(sent);
    }
    await pass(900);
    puppet.last.send(FINISH);
    await response;
  });
});

Deno.test("a stream that never pauses for long may take forever", async () => {
  const options = { idleTimeoutMs: 1000, firstTokenTimeoutMs: 1000, timeoutMs: 1000 };
  await streaming(options, async (puppet, response, pass) => {
    puppet.last.respond();
    for (let count = 0; count < 100; count++) {
      puppet.last.send(token("."));
      await pass(900);
    }
    puppet.last.send(FINISH);
    assertEquals((await response as { content: string }).content.length, 100);
  });
});

Deno.test("a slow consumer causes no timeout", async () => {
  await inFakeTime(async (pass) => {
    const puppet = new Puppet();
    const lmstudio = provider({ fetch: puppet.fetch, connectTimeoutMs: Infinity });
    const options = { idleTimeoutMs: 1000, firstTokenTimeoutMs: 1000 };
    const stream = lmstudio.streamCompletion("Hello", options);
    await pass(10_000);
    const texts: string[] = [];
    const reading = (async () => {
      for await (const { content } of stream) {
        texts.push(content);
        await pass(10_000);
      }
    })();
    await pass(0);
    puppet.last.respond();
    for (const text of ["a", "b", "c"]) {
      puppet.last.send(token(text));
      await pass(500);
    }
    puppet.last.send(FINISH);
    await reading;
    assertEquals(texts, ["a", "b", "c", ""]);
  });
});

Deno.test("the time after a finish reason is bounded, and running out is not an error", async () => {
  await streaming({ idleTimeoutMs: 60_000 }, async (puppet, response, pass) => {
    puppet.last.respond();
    puppet.last.send(token("Hi") + event({}, "length"));
    await pass(1000);
    puppet.last.send(": keep-alive\n\n");
    await pass(999);
    assert(!puppet.last.isCancelled);
    await pass(1);
    assertEquals((await response as { finishReason: string }).finishReason, "length");
    assert(puppet.last.isCancelled);
  });
});

// --- total -------------------------------------------------------------------------------------

Deno.test("timeoutMs bounds a whole answer, before and after its headers", async () => {
  for (const stage of ["no headers", "half a body"]) {
    await inFakeTime(async (pass) => {
      const puppet = new Puppet();
      const lmstudio = provider({ fetch: puppet.fetch, connectTimeoutMs: Infinity });
      const failed = timeoutError(lmstudio.complete("Hello", { timeoutMs: 1000 }), "total", 1000);
      await pass(0);
      if (stage === "half a body") {
        puppet.last.respond();
        puppet.last.send(answer("Hi").slice(0, 30));
      }
      await pass(999);
      assert(!puppet.last.signal.aborted);
      await pass(1);
      const error = await failed;
      assertEquals([error.attempts, error.partial], [1, undefined]);
      assertEquals(puppet.last.signal.reason, error);
      assertEquals(puppet.last.isCancelled, stage === "half a body");
    });
  }
});

Deno.test("a listing has 30 s by default, a generation has no limit", async () => {
  await inFakeTime(async (pass) => {
    const puppet = new Puppet();
    const lmstudio = provider({ fetch: puppet.fetch, connectTimeoutMs: Infinity });
    const failed = timeoutError(lmstudio.listModels(), "total", 30_000);
    const answered = lmstudio.complete("Hello");
    await pass(29_999);
    assertEquals(puppet.calls.map((call) => call.signal.aborted), [false, false]);
    await pass(1);
    await failed;
    await pass(24 * 3_600_000);
    puppet.last.respond();
    puppet.last.send(answer("Hi"));
    puppet.last.end();
    assertEquals((await answered).content, "Hi");
  });
});

Deno.test("timeoutMs covers the listing used to choose the model as well", async () => {
  await inFakeTime(async (pass) => {
    const puppet = new Puppet();
    const lmstudio = new LMStudioProvider({
      fetch: puppet.fetch,
      env: {},
      maxRetries: 0,
      connectTimeoutMs: Infinity,
      timeoutMs: 1000,
    });
    const failed = timeoutError(lmstudio.complete("Hello"), "total", 1000);
    await pass(600);
    puppet.last.respond();
    puppet.last.send(LISTING);
    puppet.last.end();
    // The first listing loads zod, which takes real time.
    while (puppet.calls.length < 2) await pass(0);
    await pass(400);
    await failed;
  });
});

Deno.test("Infinity, and more than a timer can hold, disable a timeout", async () => {
  for (const never of [Infinity, 2 ** 31, Number.MAX_VALUE]) {
    await inFakeTime(async (pass) => {
      const puppet = new Puppet();
      const lmstudio = provider({
        fetch: puppet.fetch,
        timeoutMs: never,
        connectTimeoutMs: never,
        firstTokenTimeoutMs: never,
        idleTimeoutMs: never,
      });
      const listed = lmstudio.listModels();
      const streamed = lmstudio.streamCompletion("Hello").response();
      await pass(1e9);
      const [list, stream] = puppet.calls;
      list?.respond();
      stream?.respond();
      await pass(1e9);
      stream?.send(token("Hi"));
      await pass(1e9);
      list?.send(LISTING);
      list?.end();
      stream?.send(FINISH);
      assertEquals((await listed).length, 1);
      assertEquals((await streamed).content, "Hi");
      assertEquals(puppet.calls.length, 2);
    });
  }
});

// --- A fetch that does not heed its signal -----------------------------------------------------

Deno.test("a fetch that never settles still ends", async () => {
  await inFakeTime(async (pass) => {
    const puppet = new Puppet();
    const lmstudio = provider({ fetch: puppet.fetch, connectTimeoutMs: Infinity });
    const total = timeoutError(lmstudio.complete("Hello", { timeoutMs: 10 }), "total", 10);
    const stream = lmstudio.streamCompletion("Hello", { firstTokenTimeoutMs: 10 });
    const firstToken = timeoutError(stream.response(), "first-token", 10);
    // The greeting request never settles either.
    const connect = timeoutError(
      lmstudio.complete("Hello", { connectTimeoutMs: 10 }),
      "connect",
      10,
    );
    const controller = new AbortController();
    const aborted = rejection(lmstudio.complete("Hello", { signal: controller.signal }));
    await pass(10);
    await pass(10);
    controller.abort("enough");
    await Promise.all([total, firstToken, connect]);
    assertEquals(await aborted, "enough");
    for (const call of puppet.calls) assert(call.signal.aborted);
  });
});

Deno.test("an answer that arrives too late is dropped", async () => {
  await inFakeTime(async (pass) => {
    const puppet = new Puppet();
    const lmstudio = provider({ fetch: puppet.fetch, connectTimeoutMs: Infinity });
    const failed = timeoutError(lmstudio.complete("Hello", { timeoutMs: 10 }), "total", 10);
    await pass(10);
    await failed;
    puppet.last.respond();
    await pass(0);
    assert(puppet.last.isCancelled);
  });
});

Deno.test("a late rejection of such a fetch is ignored", async () => {
  await inFakeTime(async (pass) => {
    const puppet = new Puppet();
    const lmstudio = provider({ fetch: puppet.fetch, connectTimeoutMs: Infinity });
    const failed = timeoutError(lmstudio.complete("Hello", { timeoutMs: 10 }), "total", 10);
    await pass(10);
    await failed;
    // An unhandled rejection would end the test run.
    puppet.last.fail(new TypeError("too late"));
    await pass(0);
  });
});

Deno.test("a busy program does not give up a server that answers", async () => {
  await using server = serveStub({
    "GET /api/v1/models": async () => {
      await new Promise((resolve) => setTimeout(resolve, 60));
      return { body: LISTING };
    },
    "POST /v1/chat/completions": () => {
      const later = new Promise((resolve) => setTimeout(resolve, 60));
      return events([token("Hi"), later, FINISH]);
    },
  });
  const { output, errors } = await runScript(
    `import { LMStudioProvider } from "mod";
    const lmstudio = new LMStudioProvider({ baseUrl: Deno.args[0], model: "m", env: {} });
    const limit = { timeoutMs: 300, idleTimeoutMs: 300, firstTokenTimeoutMs: 300, maxRetries: 0 };
    const busy = () => {
      for (const end = performance.now() + 700; performance.now() < end;);
    };
    setTimeout(busy, 30);
    console.log((await lmstudio.listModels(limit)).length);
    const stream = lmstudio.streamCompletion("Hello", limit);
    for await (const { content } of stream) {
      if (content === "Hi") setTimeout(busy, 30);
    }
    console.log((await stream.response()).content);`,
    ["--allow-net=127.0.0.1"],
    { args: [server.url] },
  );
  assertEquals([output, errors], ["1\nHi", ""]);
});

// --- Processes ---------------------------------------------------------------------------------

Deno.test("no timer keeps a process alive after its call", async () => {
  await using server = serveStub({
    "GET /api/v1/models": { body: LISTING },
    "POST /v1/chat/completions": ({ body }) =>
      body.stream === true
        ? events([token("Hi")], "hang")
        : JSON.stringify(body).includes("slow")
        ? { end: "hang" }
        : { body: answer("Hi") },
  });
  const { code, output, errors } = await runScript(
    `import { LMStudioProvider } from "mod";
    const hour = 3_600_000;
    const lmstudio = new LMStudioProvider({
      baseUrl: Deno.args[0], model: "m", env: {},
      timeoutMs: hour, connectTimeoutMs: hour, firstTokenTimeoutMs: hour, idleTimeoutMs: hour,
    });
    await lmstudio.listModels();
    await lmstudio.complete("Hello");
    for await (const _ of lmstudio.streamCompletion("Hello")) break;
    lmstudio.streamCompletion("never pulled");
    await lmstudio.complete("slow", { timeoutMs: 20 }).catch((error) => console.log(error.code));
    await lmstudio.supportsModel("m");
    console.log("done");`,
    ["--allow-net=127.0.0.1"],
    { args: [server.url] },
  );
  assertEquals([code, output, errors], [0, "timeout_total\ndone", ""]);
  const hanging = server.on("POST /v1/chat/completions").filter((request) => !request.isFinished);
  assertEquals(hanging.length, 2);
  for (const request of hanging) await request.left;
});
