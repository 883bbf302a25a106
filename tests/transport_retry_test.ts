/**
 * How many requests a server really gets (§5): a second generation would keep a machine busy for minutes
 * without its user knowing, so retries are counted here rather than inferred. The rules themselves are
 * tested in `retry_test.ts`.
 */
import { assert, assertEquals, assertInstanceOf, assertStringIncludes } from "@std/assert";
import {
  type CallOptions,
  isProviderError,
  LMStudioProvider,
  type LMStudioProviderOptions,
  NetworkError,
  OpenAICompatibleProvider,
  ProviderError,
  RateLimitedError,
} from "../mod.ts";
import { createFakeLMStudio } from "../src/testing/mod.ts";
import { decodeJson, type ServerSettings, Transport } from "../src/transport/transport.ts";
import { inFakeTime, Puppet } from "./support/puppet.ts";
import { closedPort, deafServer, type RawHandler, rawServer } from "./support/raw_server.ts";
import { answer, EMBEDDING, FINISH, LISTING, rejection, token } from "./support/wire.ts";

type Call = (lmstudio: LMStudioProvider, options?: CallOptions) => Promise<unknown>;

const READ: Readonly<Record<string, Call>> = {
  listModels: (lmstudio, options) => lmstudio.listModels(options),
};
const STATELESS: Readonly<Record<string, Call>> = {
  complete: (lmstudio, options) => lmstudio.complete("Hello", options),
  streamCompletion: (lmstudio, options) => lmstudio.streamCompletion("Hello", options).response(),
  embed: (lmstudio, options) => lmstudio.embed({ model: "m", input: "text" }, options),
};
const ALL = { ...READ, ...STATELESS };

function provider(options: LMStudioProviderOptions): LMStudioProvider {
  return new LMStudioProvider({ model: "m", env: {}, ...options });
}

/** Runs without the delays between attempts. */
async function withoutPauses<T>(run: () => Promise<T>): Promise<T> {
  const { random } = Math;
  Math.random = () => 0;
  try {
    return await run();
  } finally {
    Math.random = random;
  }
}

interface Counted {
  readonly error: ProviderError;
  /** Requests that were sent, by path. */
  readonly requests: readonly string[];
}

/** Fails every attempt; an answer is a status and a body, anything else is thrown. */
async function failing(
  call: Call,
  failure: readonly [status: number, body: string] | Error,
  options: LMStudioProviderOptions = {},
  callOptions: CallOptions = {},
): Promise<Counted> {
  const requests: string[] = [];
  const fetch = (url: RequestInfo | URL): Promise<Response> => {
    requests.push(new URL(String(url)).pathname);
    if (failure instanceof Error) return Promise.reject(failure);
    const [status, body] = failure;
    return Promise.resolve(new Response(body, { status }));
  };
  const error = await withoutPauses(() =>
    rejection(call(provider({ fetch: fetch, ...options }), callOptions))
  );
  assertInstanceOf(error, ProviderError);
  return { error, requests };
}

function coded(code: string): Error {
  return new TypeError("fetch failed", { cause: Object.assign(new Error(code), { code }) });
}

// --- Statuses ----------------------------------------------------------------------------------

const STATUSES: Readonly<Record<number, { read: number; stateless: number }>> = {
  400: { read: 1, stateless: 1 },
  401: { read: 1, stateless: 1 },
  403: { read: 1, stateless: 1 },
  408: { read: 3, stateless: 1 },
  409: { read: 1, stateless: 1 },
  429: { read: 3, stateless: 3 },
  500: { read: 1, stateless: 1 },
  501: { read: 1, stateless: 1 },
  502: { read: 3, stateless: 1 },
  503: { read: 3, stateless: 3 },
  504: { read: 3, stateless: 1 },
};

for (const [status, expected] of Object.entries(STATUSES)) {
  Deno.test(`${status}: a read is sent ${expected.read} times, a generation ${expected.stateless}`, async () => {
    for (const [name, call] of Object.entries(ALL)) {
      const { error, requests } = await failing(call, [Number(status), '{"error":"no"}']);
      const times = name in READ ? expected.read : expected.stateless;
      assertEquals([requests.length, error.attempts, error.status], [times, times, Number(status)]);
    }
  });
}

Deno.test("an error under 200 is not retried, even if its code is retriable", async () => {
  for (const call of Object.values(ALL)) {
    const { error, requests } = await failing(call, [200, '{"error":"Model is unloaded."}']);
    assertEquals([error.code, error.retriable], ["model_unloaded", true]);
    assertEquals([requests.length, error.attempts], [1, 1]);
  }
});

Deno.test("an error frame in a stream is not retried", async () => {
  const frame = 'event: error\ndata: {"error":{"message":"Model is unloaded."}}\n\n';
  const { error, requests } = await failing(STATELESS.streamCompletion!, [200, frame]);
  assertEquals([error.code, requests.length], ["model_unloaded", 1]);
});

Deno.test("an answer that cannot be decoded is not retried", async () => {
  for (const call of Object.values(STATELESS)) {
    const { requests } = await failing(call, [200, "{"]);
    assertEquals(requests.length, 1);
  }
});

Deno.test("maxRetries of the provider and of the call", async () => {
  const busy = [503, "busy"] as const;
  for (const call of Object.values(ALL)) {
    assertEquals((await failing(call, busy, { maxRetries: 0 })).requests.length, 1);
    assertEquals((await failing(call, busy, { maxRetries: 1 })).error.attempts, 2);
    assertEquals((await failing(call, busy, { maxRetries: 10 })).requests.length, 11);
    assertEquals(
      (await failing(call, busy, { maxRetries: 3 }, { maxRetries: 0 })).error.attempts,
      1,
    );
    assertEquals(
      (await failing(call, busy, { maxRetries: 0 }, { maxRetries: 4 })).error.attempts,
      5,
    );
  }
});

Deno.test("a successful attempt ends the retries", async () => {
  for (const [name, call] of Object.entries(ALL)) {
    const bodies: Record<string, string> = {
      listModels: LISTING,
      complete: answer("Hi"),
      streamCompletion: token("Hi") + FINISH,
      embed: EMBEDDING,
    };
    let requests = 0;
    const fetch = () =>
      Promise.resolve(
        ++requests < 3 ? new Response("busy", { status: 503 }) : new Response(bodies[name] ?? null),
      );
    await withoutPauses(() => call(provider({ fetch })));
    assertEquals(requests, 3);
  }
});

// --- No connection -----------------------------------------------------------------------------

Deno.test("every call retries a refused connection", async () => {
  const lmstudio = provider({ baseUrl: `http://127.0.0.1:${closedPort()}` });
  for (const call of Object.values(ALL)) {
    const error = await withoutPauses(() => rejection(call(lmstudio)));
    assertInstanceOf(error, NetworkError);
    assertEquals([error.code, error.attempts], ["connection_refused", 3]);
  }
});

Deno.test("only reads retry a connection that is never accepted", async () => {
  await using server = await deafServer();
  const lmstudio = provider({ baseUrl: server.url, connectTimeoutMs: 10 });
  for (const [name, call] of Object.entries(ALL)) {
    const error = await withoutPauses(() => rejection(call(lmstudio)));
    assert(isProviderError(error, "timeout"));
    assertEquals([error.phase, error.attempts], ["connect", name in READ ? 3 : 1]);
  }
});

Deno.test("a server that comes up in time is found", async () => {
  const port = closedPort();
  let server: AsyncDisposable | undefined;
  let requests = 0;
  const late: typeof fetch = (...input) => {
    if (++requests === 2) {
      server = Deno.serve(
        { hostname: "127.0.0.1", port, onListen() {} },
        () => new Response(answer("Hi")),
      );
    }
    return fetch(...input);
  };
  const lmstudio = provider({ baseUrl: `http://127.0.0.1:${port}`, fetch: late });
  const { content } = await withoutPauses(() => lmstudio.complete("Hello"));
  assertEquals([content, requests], ["Hi", 2]);
  await server?.[Symbol.asyncDispose]();
});

// --- Broken connections ------------------------------------------------------------------------

/** Resets, after this many good answers. */
function resetting(goodAnswers: number): RawHandler {
  return async (connection, index) => {
    if (index >= goodAnswers) return await connection.taste();
    await connection.request();
    await connection.respond(200, LISTING, { connection: "close" });
  };
}

Deno.test("a reset on a fresh origin: a read is retried, a generation is not", async () => {
  for (const [name, call] of Object.entries(ALL)) {
    await using server = rawServer(resetting(0));
    const error = await withoutPauses(() => rejection(call(provider({ baseUrl: server.url }))));
    assertInstanceOf(error, NetworkError);
    assertEquals(error.code, "connection_reset");
    const times = name in READ ? 3 : 1;
    assertEquals([server.connections, error.attempts], [times, times]);
  }
});

Deno.test("an immediate reset on an origin used before: a generation is retried once", async () => {
  for (const call of Object.values(STATELESS)) {
    await using server = rawServer(resetting(1));
    const lmstudio = provider({ baseUrl: server.url, maxRetries: 5 });
    await lmstudio.listModels();
    const error = await withoutPauses(() => rejection(call(lmstudio)));
    assertInstanceOf(error, NetworkError);
    assertEquals([error.code, error.attempts], ["connection_reset", 2]);
    assertEquals(server.connections, 1 + 2);
  }
});

Deno.test("a pooled connection that the server had closed goes unnoticed", async () => {
  await using server = rawServer(async (connection, index) => {
    if (index === 1) return await connection.taste();
    await connection.request();
    await connection.respond(200, answer("Hi"), { connection: "close" });
  });
  const lmstudio = provider({ baseUrl: server.url });
  await lmstudio.complete("one");
  assertEquals((await withoutPauses(() => lmstudio.complete("two"))).content, "Hi");
  assertEquals(server.connections, 3);
});

Deno.test("a reset 1 s after sending is not retried: the generation may be running", async () => {
  for (const [elapsedMs, requests] of [[999, 2], [1000, 1]] as const) {
    await inFakeTime(async (pass) => {
      const puppet = new Puppet();
      const lmstudio = provider({ fetch: puppet.fetch });
      const first = lmstudio.complete("one");
      await pass(0);
      puppet.last.respond();
      puppet.last.send(answer("Hi"));
      puppet.last.end();
      await first;
      const second = lmstudio.complete("two");
      second.catch(() => {});
      await pass(elapsedMs);
      puppet.last.fail(coded("ECONNRESET"));
      await pass(1000);
      assertEquals(puppet.calls.length - 1, requests);
      if (requests === 2) {
        puppet.last.respond();
        puppet.last.send(answer("Hi again"));
        puppet.last.end();
        assertEquals((await second).content, "Hi again");
      } else {
        const error = await rejection(second);
        assert(isProviderError(error, "network"));
        assertEquals(error.attempts, 1);
      }
    });
  }
});

Deno.test("a reset between headers and body: a read is retried, a generation is not", async () => {
  for (const [name, call] of Object.entries(ALL)) {
    await using server = rawServer(async (connection, index) => {
      await connection.request();
      // The same on an origin used before: the server had the request.
      if (index === 0) await connection.respond(200, LISTING, { connection: "close" });
      else await connection.respond(200, "", { "content-length": "100" });
    });
    const lmstudio = provider({ baseUrl: server.url });
    await lmstudio.listModels();
    const error = await withoutPauses(() => rejection(call(lmstudio)));
    assertInstanceOf(error, NetworkError);
    const times = name in READ ? 3 : 1;
    assertEquals([server.connections - 1, error.attempts], [times, times]);
  }
});

Deno.test("nothing is retried after the first byte of a body", async () => {
  for (const call of Object.values(ALL)) {
    await using server = rawServer(async (connection) => {
      await connection.request();
      await connection.respond(200, "{", { "content-length": "100" });
    });
    const lmstudio = provider({ baseUrl: server.url });
    const error = await withoutPauses(() => rejection(call(lmstudio)));
    assertInstanceOf(error, NetworkError);
    assertEquals([error.code, server.connections], ["connection_reset", 1]);
  }
});

Deno.test("nothing is retried after the first token", async () => {
  await using server = rawServer(async (connection) => {
    await connection.request();
    await connection.startChunked();
    await connection.chunk(token("Once"));
  });
  const lmstudio = provider({ baseUrl: server.url });
  const error = await rejection(lmstudio.streamCompletion("Hello").response());
  assertInstanceOf(error, NetworkError);
  assertEquals([server.connections, error.attempts], [1, 1]);
});

// --- Delays ------------------------------------------------------------------------------------

/** One call against a server that is always busy; `sent` returns the number of requests. */
async function busy(
  headers: Record<string, string>,
  options: CallOptions,
  run: (
    pass: (ms: number) => Promise<void>,
    sent: () => number,
    listed: Promise<unknown>,
  ) => Promise<void>,
): Promise<void> {
  const { random } = Math;
  Math.random = () => 0.5;
  try {
    await inFakeTime(async (pass) => {
      let sent = 0;
      const fetch = () => {
        sent++;
        return Promise.resolve(new Response("busy", { status: 429, headers }));
      };
      const listed = provider({ fetch }).listModels(options);
      listed.catch(() => {});
      await pass(0);
      await run(pass, () => sent, listed);
    });
  } finally {
    Math.random = random;
  }
}

Deno.test("delays are random, below a limit that doubles", async () => {
  await busy({}, { maxRetries: 3 }, async (pass, sent, listed) => {
    let expected = 1;
    for (const pause of [125, 250, 500]) {
      await pass(pause - 1);
      assertEquals(sent(), expected);
      await pass(1);
      assertEquals(sent(), ++expected);
    }
    const error = await rejection(listed);
    assertInstanceOf(error, RateLimitedError);
    assertEquals([error.attempts, error.retryAfterMs], [4, undefined]);
  });
});

Deno.test("Retry-After in seconds overrides them, without jitter", async () => {
  await busy({ "retry-after": "7" }, { maxRetries: 1 }, async (pass, sent, listed) => {
    await pass(6999);
    assertEquals(sent(), 1);
    await pass(1);
    assertEquals(sent(), 2);
    const error = await rejection(listed);
    assertInstanceOf(error, RateLimitedError);
    assertEquals([error.attempts, error.retryAfterMs], [2, 7000]);
  });
});

Deno.test("Retry-After as a date", async () => {
  await inFakeTime(async (pass) => {
    const puppet = new Puppet();
    const listed = provider({ fetch: puppet.fetch, maxRetries: 1 }).listModels();
    await pass(0);
    // Dates have no milliseconds.
    const now = Date.now();
    const date = new Date(Math.ceil(now / 1000) * 1000 + 5000);
    puppet.last.respond(503, { "retry-after": date.toUTCString() });
    puppet.last.end();
    await pass(0);
    await pass(date.getTime() - now - 1);
    assertEquals(puppet.calls.length, 1);
    await pass(1);
    assertEquals(puppet.calls.length, 2);
    puppet.last.respond();
    puppet.last.send(LISTING);
    puppet.last.end();
    await listed;
  });
});

Deno.test("Retry-After is followed for 60 s at most, and reported unchanged", async () => {
  await busy({ "retry-after": "3600" }, { maxRetries: 1, timeoutMs: Infinity }, async (...args) => {
    const [pass, sent, listed] = args;
    await pass(59_999);
    assertEquals(sent(), 1);
    await pass(1);
    assertEquals(sent(), 2);
    const error = await rejection(listed);
    assertInstanceOf(error, RateLimitedError);
    assertEquals(error.retryAfterMs, 3_600_000);
  });
});

Deno.test("a Retry-After of 0 means no delay, an unreadable one is ignored", async () => {
  await busy({ "retry-after": "0" }, { maxRetries: 1 }, async (pass, sent) => {
    await pass(0);
    assertEquals(sent(), 2);
  });
  await busy({ "retry-after": "soon" }, { maxRetries: 1 }, async (pass, sent) => {
    await pass(124);
    assertEquals(sent(), 1);
    await pass(1);
    assertEquals(sent(), 2);
  });
});

Deno.test("no delay beyond timeoutMs: the error is thrown at once, and is not a timeout", async () => {
  await busy({ "retry-after": "7" }, { timeoutMs: 7000 }, async (_pass, sent, listed) => {
    const error = await rejection(listed);
    assertInstanceOf(error, RateLimitedError);
    assertEquals([sent(), error.attempts], [1, 1]);
  });
  await busy({ "retry-after": "7" }, { timeoutMs: 7001 }, async (pass, sent) => {
    await pass(7000);
    assertEquals(sent(), 2);
  });
});

Deno.test("timeoutMs covers all attempts", async () => {
  await inFakeTime(async (pass) => {
    const puppet = new Puppet();
    const lmstudio = provider({ fetch: puppet.fetch, maxRetries: 10, timeoutMs: 10_000 });
    const completed = lmstudio.complete("Hello");
    completed.catch(() => {});
    for (let attempt = 1; attempt <= 3; attempt++) {
      await pass(2900);
      assertEquals(puppet.calls.length, attempt);
      puppet.last.respond(503, { "retry-after": "0" });
      puppet.last.end();
      await pass(0);
      await pass(0);
    }
    await pass(1299);
    assertEquals(puppet.calls.length, 4);
    await pass(1);
    const error = await rejection(completed);
    assert(isProviderError(error, "timeout"));
    assertEquals([error.phase, error.timeoutMs, error.attempts], ["total", 10_000, 4]);
  });
});

Deno.test("firstTokenTimeoutMs covers all attempts", async () => {
  await inFakeTime(async (pass) => {
    const puppet = new Puppet();
    const lmstudio = provider({ fetch: puppet.fetch, connectTimeoutMs: Infinity });
    const options = { firstTokenTimeoutMs: 10_000 };
    const response = lmstudio.streamCompletion("Hello", options).response();
    response.catch(() => {});
    await pass(6000);
    puppet.last.respond(503, { "retry-after": "2" });
    puppet.last.end();
    await pass(0);
    await pass(2000);
    puppet.last.respond();
    await pass(1999);
    assert(!puppet.last.isCancelled);
    await pass(1);
    const error = await rejection(response);
    assert(isProviderError(error, "timeout"));
    assertEquals([error.phase, error.attempts, puppet.calls.length], ["first-token", 2, 2]);
  });
});

// --- A server that loads its model --------------------------------------------------------------

const LOADING = '{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}';
const SERVER_BUSY = '{"error":"server busy, please try again.  maximum pending requests exceeded"}';
const CHAT_ANSWER = answer("Hi");

/** One call against a server that answers `loading` for a while, and then normally. */
async function whileLoading(
  call: Call,
  loading: { readonly body?: string; readonly headers?: Record<string, string>; times?: number },
  good: string,
  options: LMStudioProviderOptions,
  callOptions: CallOptions,
  run: (
    pass: (ms: number) => Promise<void>,
    sent: () => number,
    result: Promise<unknown>,
  ) => Promise<void>,
): Promise<void> {
  const { body = LOADING, headers, times = Infinity } = loading;
  await inFakeTime(async (pass) => {
    let sent = 0;
    const fetch = () => {
      sent++;
      return Promise.resolve(
        sent <= times
          ? new Response(body, { status: 503, ...(headers === undefined ? {} : { headers }) })
          : new Response(good),
      );
    };
    const result = call(provider({ fetch, ...options }), callOptions);
    result.catch(() => {});
    await pass(0);
    await run(
      async (ms) => {
        await pass(ms);
        await pass(0);
      },
      () => sent,
      result,
    );
  });
}

const STREAM_ANSWER = token("Hi") + FINISH;

Deno.test("a server that is loading its model is retried after 1, 2, 4, 8 and 10 s, whatever the call", async () => {
  const calls: [Call, good: string][] = [
    [STATELESS.complete!, CHAT_ANSWER],
    [STATELESS.streamCompletion!, STREAM_ANSWER],
    [STATELESS.embed!, EMBEDDING],
    [(lmstudio, options) => lmstudio.chat.send({ input: "Hi" }, options), "{}"],
    [(lmstudio, options) => lmstudio.responses.create({ input: "Hi" }, options), "{}"],
  ];
  for (const [call, good] of calls) {
    for (const body of [LOADING, SERVER_BUSY]) {
      const statuses: string[] = [];
      const onStatus = ({ phase }: { phase: string }) => void statuses.push(phase);
      const loading = { body, times: 6 };
      await whileLoading(call, loading, good, {}, { onStatus }, async (pass, sent, result) => {
        for (const [index, pause] of [1, 2, 4, 8, 10, 10].entries()) {
          assertEquals(sent(), index + 1);
          await pass(pause * 1000 - 1);
          assertEquals(sent(), index + 1);
          await pass(1);
        }
        assertEquals(sent(), 7);
        if (good !== "{}") await result;
        assertEquals(statuses.slice(0, 2), ["waiting", "loading"]);
        assertEquals(statuses.filter((phase) => phase === "loading").length, 1);
      });
    }
  }
});

Deno.test("a server that keeps loading is reported as such, after a minute or the call's timeout", async () => {
  const cases: [Call, CallOptions, seconds: number][] = [
    [STATELESS.complete!, {}, 55],
    [STATELESS.embed!, {}, 55],
    [STATELESS.complete!, { timeoutMs: 8000 }, 7],
    [STATELESS.complete!, { timeoutMs: 100_000 }, 95],
    [READ.listModels!, {}, 25],
    [STATELESS.streamCompletion!, { firstTokenTimeoutMs: 20_000 }, 15],
    [STATELESS.streamCompletion!, {}, 595],
    [STATELESS.streamCompletion!, { firstTokenTimeoutMs: Infinity }, 55],
  ];
  for (const [call, options, seconds] of cases) {
    await whileLoading(call, {}, "", {}, options, async (pass, sent, result) => {
      let isOver = false;
      result.catch(() => {}).finally(() => isOver = true);
      const pauses = [1, 2, 4, 8];
      for (let left = seconds; left > 0;) {
        const pause = pauses.shift() ?? 10;
        left -= pause;
        assert(!isOver, `${left} s before ${seconds} s`);
        const before = sent();
        await pass(pause * 1000);
        assertEquals(sent(), before + 1);
      }
      const error = await rejection(result);
      assert(isProviderError(error, "api"));
      assertEquals([error.code, error.retriable, error.status], ["model_loading", true, 503]);
      assertEquals(error.attempts, sent());
      assertStringIncludes(error.message, "Wait until the server has loaded the model");
    });
  }
});

Deno.test("a loading server's Retry-After is followed, and maxRetries: 0 disables retries", async () => {
  const { complete } = STATELESS;
  const asked = { headers: { "retry-after": "20" }, times: 1 };
  await whileLoading(complete!, asked, CHAT_ANSWER, {}, {}, async (pass, sent, result) => {
    await pass(19_999);
    assertEquals(sent(), 1);
    await pass(1);
    assertEquals(sent(), 2);
    await result;
  });
  for (const options of [{ maxRetries: 0 }, {}]) {
    const callOptions = options.maxRetries === 0 ? {} : { maxRetries: 0 };
    await whileLoading(complete!, {}, "", options, callOptions, async (_pass, sent, result) => {
      const error = await rejection(result);
      assert(isProviderError(error, "api"));
      assertEquals([error.code, sent()], ["model_loading", 1]);
    });
  }
});

Deno.test("an abort or an exception from onStatus ends the wait for a loading server", async () => {
  const controller = new AbortController();
  const { complete } = STATELESS;
  const { signal } = controller;
  await whileLoading(complete!, {}, "", {}, { signal }, async (pass, sent, result) => {
    await pass(500);
    controller.abort("enough");
    assertEquals([await rejection(result), sent()], ["enough", 1]);
  });
  const failure = new Error("not again");
  const onStatus = ({ phase }: { phase: string }) => {
    if (phase === "loading") throw failure;
  };
  await whileLoading(complete!, {}, "", {}, { onStatus }, async (_pass, sent, result) => {
    assertEquals([await rejection(result), sent()], [failure, 1]);
  });
});

Deno.test("failures after the loading are retried as often as usual", async () => {
  const bodies = [LOADING, LOADING, "busy", LOADING, "busy", "busy"];
  await inFakeTime(async (pass) => {
    let sent = 0;
    const statuses: string[] = [];
    const fetch = () => Promise.resolve(new Response(bodies[sent++] ?? "more", { status: 503 }));
    const result = provider({ fetch, maxRetries: 2 }).complete("Hello", {
      onStatus: ({ phase }) => void statuses.push(phase),
    });
    result.catch(() => {});
    for (let second = 0; second < 30; second++) {
      await pass(1000);
      await pass(0);
    }
    const error = await rejection(result);
    assert(isProviderError(error, "api"));
    assertEquals([error.code, sent, error.attempts], ["server_error", 6, 6]);
    assertEquals(statuses, ["waiting", "loading"]);
  });
});

Deno.test('"Loading" under 200 or within a stream is an error, and is not retried', async () => {
  for (const good of [LOADING, `event: error\ndata: ${LOADING}\n\n`]) {
    const call = good === LOADING ? STATELESS.complete : STATELESS.streamCompletion;
    await whileLoading(call!, { times: 0 }, good, {}, {}, async (_pass, sent, result) => {
      const error = await rejection(result);
      assert(isProviderError(error, "api"));
      assertEquals([error.code, error.retriable, sent()], ["model_loading", true, 1]);
    });
  }
});

Deno.test("other loading servers are waited for as well, including the fake's", async () => {
  for (const words of ["llama.cpp", "ollama"] as const) {
    await inFakeTime(async (pass) => {
      const { fetch, requests } = createFakeLMStudio({
        models: ["m"],
        replies: ["Hi."],
        faults: [{ path: "/v1/chat/completions", times: 2, fault: { type: "loading", words } }],
      });
      const statuses: string[] = [];
      const server = new OpenAICompatibleProvider({
        name: "llama.cpp",
        baseUrl: "http://127.0.0.1:8080",
        fetch,
        env: {},
      });
      const result = server.complete({ model: "m", messages: "Hello" }, {
        onStatus: ({ phase }) => void statuses.push(phase),
      });
      result.catch(() => {});
      for (let second = 0; second < 4; second++) {
        await pass(1000);
        for (let turn = 0; turn < 20; turn++) await pass(0);
      }
      assertEquals((await result).content, "Hi.");
      const asked = requests.filter(({ path }) => path === "/v1/chat/completions");
      assertEquals([asked.length, statuses.includes("loading")], [3, true]);
    });
  }
});

// --- Calls that change something on the server -------------------------------------------------

function stateful(baseUrl: string, more: Partial<ServerSettings> = {}): Promise<unknown> {
  const transport = transportTo(baseUrl, more);
  return chat(transport);
}

function transportTo(baseUrl: string, more: Partial<ServerSettings> = {}): Transport {
  return new Transport({
    baseUrl,
    service: "LM Studio",
    headers: {},
    connectTimeoutMs: 5000,
    firstTokenTimeoutMs: 5000,
    idleTimeoutMs: 5000,
    maxRetries: 2,
    env: {},
    ...more,
  });
}

function chat(transport: Transport): Promise<unknown> {
  const body = { input: "Hello" };
  return transport.json(
    { method: "POST", path: "/api/v1/chat", body, policy: "stateful", action: "chat" },
    {},
    Infinity,
  );
}

Deno.test("a stateful call is retried only if the connection was refused", async () => {
  const failures: readonly (readonly [Error | number, number])[] = [
    [coded("ECONNREFUSED"), 3],
    [coded("ECONNRESET"), 1],
    [408, 1],
    [429, 1],
    [500, 1],
    [502, 1],
    [503, 1],
    [504, 1],
  ];
  for (const [failure, expected] of failures) {
    let requests = 0;
    const fetch = () => {
      requests++;
      return failure instanceof Error
        ? Promise.reject(failure)
        : Promise.resolve(new Response("no", { status: failure }));
    };
    await withoutPauses(() => rejection(stateful("http://127.0.0.1:1", { fetch })));
    assertEquals(requests, expected, String(failure));
  }
});

Deno.test("a stateful call that was reset may have run, and says so", async () => {
  await using server = rawServer(resetting(1));
  const transport = transportTo(server.url);
  const read = { method: "GET", path: "/", policy: "read", action: "look" } as const;
  await transport.json(read, {}, Infinity);
  const error = await rejection(chat(transport));
  assertInstanceOf(error, NetworkError);
  assertEquals([error.code, error.attempts, server.connections], ["connection_reset", 1, 2]);
  assertStringIncludes(error.hint, "may have run");
});

Deno.test("a stateful call that breaks in its answer has run, and says so", async () => {
  await using server = rawServer(async (connection) => {
    await connection.request();
    await connection.respond(200, "{", { "content-length": "100" });
  });
  const error = await rejection(stateful(server.url));
  assertInstanceOf(error, NetworkError);
  assertStringIncludes(error.hint, "may have run");
});

Deno.test("Deno does not silently repeat a stateful call", async () => {
  // If a reused connection closes without an answer, Deno repeats a request whose body can be read twice,
  // and no option disables that.
  for (const [policy, expected] of [["stateful", 1], ["stateless", 2]] as const) {
    const posts: string[] = [];
    await using server = rawServer(async (connection) => {
      while (true) {
        const request = await connection.request();
        if (request === "") return;
        if (!request.startsWith("GET")) {
          posts.push(request);
          return;
        }
        await connection.respond(200, "{}");
      }
    });
    const transport = transportTo(server.url, { maxRetries: 0 });
    const read = { method: "GET", path: "/", policy: "read", action: "look" } as const;
    await transport.json(read, {}, Infinity);
    const post = { method: "POST", path: "/", body: { a: 1 }, policy, action: "act" } as const;
    const error = await rejection(transport.json(post, {}, Infinity));
    assertInstanceOf(error, NetworkError);
    assertEquals([error.code, posts.length], ["connection_reset", expected], policy);
    assertStringIncludes(posts[0] ?? "", '{"a":1}');
  }
});

// --- A user's own fetch ------------------------------------------------------------------------

Deno.test("a bug in a custom fetch is not a stale connection: a generation is not retried", async () => {
  const mistakes: unknown[] = [
    new TypeError("Cannot read properties of undefined (reading 'x')"),
    new Error("no"),
    "text",
    undefined,
  ];
  for (const [name, call] of Object.entries(ALL)) {
    for (const mistake of mistakes) {
      let requests = 0;
      const fetch = () =>
        requests++ === 0 ? Promise.resolve(new Response(LISTING)) : Promise.reject(mistake);
      const lmstudio = provider({ fetch });
      await lmstudio.listModels();
      const error = await withoutPauses(() => rejection(call(lmstudio)));
      assertInstanceOf(error, NetworkError);
      assertEquals(error.code, "connection_reset");
      assertStringIncludes(error.message, "the request failed before an answer arrived");
      assertEquals(requests - 1, name in READ ? 3 : 1);
    }
  }
});

Deno.test("every runtime's error for a broken connection is recognized", async () => {
  const broken = [
    ...["ECONNRESET", "EPIPE", "UND_ERR_SOCKET", "ConnectionClosed"].map(coded),
    ...[
      "client error (SendRequest): connection closed before message completed",
      "client error (SendRequest): connection error: Connection reset by peer (os error 104)",
      "An existing connection was forcibly closed by the remote host. (os error 10054)",
    ].map((words) => new TypeError(`error sending request for url (http://127.0.0.1/): ${words}`)),
  ];
  for (const failure of broken) {
    let requests = 0;
    const fetch = () =>
      requests++ === 0 ? Promise.resolve(new Response(LISTING)) : Promise.reject(failure);
    const lmstudio = provider({ fetch });
    await lmstudio.listModels();
    await withoutPauses(() => rejection(lmstudio.complete("Hello")));
    assertEquals(requests - 1, 2, String(failure));
  }
});

Deno.test("a fetch that returns no response, or a used one, is reported", async () => {
  const used = new Response(LISTING);
  await used.text();
  const locked = new Response(LISTING);
  locked.body?.getReader();
  for (const given of [undefined, null, {}, "text", used, locked]) {
    for (const call of Object.values(ALL)) {
      let requests = 0;
      const fetch = (() => {
        requests++;
        return given;
      }) as unknown as typeof globalThis.fetch;
      const error = await rejection(call(provider({ fetch })));
      assert(isProviderError(error, "unknown"));
      assertEquals([error.code, requests], ["unknown", 1]);
      assertStringIncludes(error.hint ?? "", "`fetch` must return a new `Response`");
    }
  }
});

Deno.test("a missing route is reported with the version needed, for answers and streams", async () => {
  for (const status of [200, 404]) {
    const transport = new Transport({
      baseUrl: "http://127.0.0.1:1234",
      service: "LM Studio",
      headers: {},
      connectTimeoutMs: 5000,
      firstTokenTimeoutMs: 5000,
      idleTimeoutMs: 5000,
      maxRetries: 2,
      env: {},
      fetch: () => {
        const error = "Unexpected endpoint or method. (POST /v1/new)";
        return Promise.resolve(new Response(JSON.stringify({ error }), { status }));
      },
    });
    const request = { method: "POST", path: "/v1/new", policy: "read", action: "try" } as const;
    const newer = { ...request, since: "9.8.7" };
    const one = await rejection(transport.json(newer, {}, Infinity));
    assert(isProviderError(one, "api"));
    assertEquals([one.code, one.attempts], ["unsupported_by_server", 1]);
    assertStringIncludes(one.hint, "9.8.7");
    const always = await rejection(transport.json(request, {}, Infinity));
    assert(isProviderError(always, "api"));
    assertEquals(always.code, "unexpected_endpoint");
    const reader = transport.events(newer, {});
    const streamed = await rejection((async () => {
      const pull = await reader.pull();
      assert(pull.kind === "text");
      decodeJson(pull.status, pull.text, reader.context);
    })());
    reader.close();
    assert(isProviderError(streamed, "api"));
    assertEquals(streamed.code, "unsupported_by_server");
  }
});
