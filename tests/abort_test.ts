/**
 * The caller's signal: it ends whatever is running, the call rejects with its unchanged reason, the server
 * stops, and none of our listeners stay on it, since one signal often serves a whole program.
 */
import { assert, assertEquals, assertInstanceOf, assertStrictEquals } from "@std/assert";
import { type CallOptions, LMStudioProvider, type LMStudioProviderOptions } from "../mod.ts";
import { Transport } from "../src/transport/transport.ts";
import { inFakeTime, Puppet } from "./support/puppet.ts";
import { deafServer } from "./support/raw_server.ts";
import { events, serveStub, type StubRequest } from "./support/stub_server.ts";
import { answer, EMBEDDING, FINISH, gate, LISTING, rejection, token } from "./support/wire.ts";

function provider(options: LMStudioProviderOptions): LMStudioProvider {
  return new LMStudioProvider({ model: "m", env: {}, ...options });
}

type Call = (lmstudio: LMStudioProvider, options: CallOptions) => Promise<unknown>;

const CALLS: Readonly<Record<string, Call>> = {
  listModels: (lmstudio, options) => lmstudio.listModels(options),
  complete: (lmstudio, options) => lmstudio.complete("Hello", options),
  streamCompletion: (lmstudio, options) => lmstudio.streamCompletion("Hello", options).response(),
  embed: (lmstudio, options) => lmstudio.embed({ model: "m", input: "text" }, options),
  supportsModel: (lmstudio, options) => lmstudio.supportsModel("m", options),
  modelCapabilities: (lmstudio, options) => lmstudio.modelCapabilities("m", options),
};

const ROUTES = {
  listModels: "GET /api/v1/models",
  complete: "POST /v1/chat/completions",
  streamCompletion: "POST /v1/chat/completions",
  embed: "POST /v1/embeddings",
  supportsModel: "GET /api/v1/models",
  modelCapabilities: "GET /api/v1/models",
} as const;

/** A controller whose signal counts its listeners. */
class Watched extends AbortController {
  /** Number of listeners now. */
  listeners = 0;

  constructor() {
    super();
    const { signal } = this;
    const known = new Set<unknown>();
    const add = signal.addEventListener.bind(signal);
    const remove = signal.removeEventListener.bind(signal);
    signal.addEventListener = (...args: Parameters<typeof add>) => {
      known.add(args[1]);
      this.listeners = known.size;
      add(...args);
    };
    signal.removeEventListener = (...args: Parameters<typeof remove>) => {
      known.delete(args[1]);
      this.listeners = known.size;
      remove(...args);
    };
  }
}

/** Routes that never answer, and a promise for the arrival of a request. */
function silent(): { routes: Record<string, (request: StubRequest) => Promise<never>> } & {
  arrived: Promise<StubRequest>;
} {
  const { promise, resolve } = Promise.withResolvers<StubRequest>();
  const route = async (request: StubRequest): Promise<never> => {
    resolve(request);
    return await new Promise(() => {});
  };
  const routes = Object.fromEntries(Object.values(ROUTES).map((name) => [name, route]));
  return { routes, arrived: promise };
}

const REASONS: readonly (readonly [name: string, reason: unknown])[] = [
  ["an Error", new Error("enough")],
  ["text", "enough"],
  ["null", null],
  ["0", 0],
  ["an object", { code: "server_error", retriable: true }],
  ["undefined, which becomes an AbortError", undefined],
];

for (const [name, call] of Object.entries(CALLS)) {
  Deno.test(`${name}: a signal that is already aborted sends nothing`, async () => {
    await using server = serveStub({});
    for (const [, reason] of REASONS) {
      const controller = new Watched();
      controller.abort(reason);
      const lmstudio = provider({ baseUrl: server.url });
      const error = await rejection(call(lmstudio, { signal: controller.signal }));
      assertStrictEquals(error, controller.signal.reason);
      if (reason !== undefined) assertStrictEquals(error, reason);
      assertEquals(controller.listeners, 0);
    }
    assertEquals(server.requests.length, 0);
  });

  Deno.test(`${name}: abort while waiting for headers`, async () => {
    for (const [, reason] of REASONS) {
      const { routes, arrived } = silent();
      await using server = serveStub(routes);
      const controller = new Watched();
      const lmstudio = provider({ baseUrl: server.url });
      const rejected = rejection(call(lmstudio, { signal: controller.signal }));
      await arrived;
      controller.abort(reason);
      assertStrictEquals(await rejected, controller.signal.reason);
      assertEquals([server.requests.length, controller.listeners], [1, 0]);
    }
  });

  Deno.test(`${name}: abort in the middle of the body stops the server`, async () => {
    const started = gate();
    const body = name === "streamCompletion" ? token("Once") : '{"models": [';
    await using server = serveStub({
      [ROUTES[name as keyof typeof ROUTES]]: { body: [body], end: "hang" },
    });
    const spy: typeof fetch = async (...input) => {
      const response = await fetch(...input);
      started.open();
      return response;
    };
    const controller = new Watched();
    const lmstudio = provider({ baseUrl: server.url, fetch: spy });
    const rejected = rejection(call(lmstudio, { signal: controller.signal }));
    await started.opened;
    controller.abort("enough");
    assertEquals(await rejected, "enough");
    await server.requests[0]?.left;
    assertEquals([server.requests.length, controller.listeners], [1, 0]);
  });

  Deno.test(`${name}: abort ends the pause before a retry`, async () => {
    await inFakeTime(async (pass) => {
      const puppet = new Puppet();
      const lmstudio = provider({ fetch: puppet.fetch });
      const controller = new Watched();
      const rejected = rejection(call(lmstudio, { signal: controller.signal }));
      await pass(0);
      puppet.last.respond(503, { "retry-after": "20" });
      puppet.last.end();
      await pass(10_000);
      assertEquals(puppet.calls.length, 1);
      controller.abort("enough");
      assertEquals(await rejected, "enough");
      await pass(60_000);
      assertEquals([puppet.calls.length, controller.listeners], [1, 0]);
    });
  });

  Deno.test(`${name}: abort while connecting`, async () => {
    await using server = await deafServer();
    const controller = new Watched();
    const lmstudio = provider({ baseUrl: server.url, connectTimeoutMs: 20 });
    const options = { signal: controller.signal, connectTimeoutMs: 30_000 };
    // The timeout is longer: the call ends with the abort, or not at all.
    setTimeout(() => controller.abort("enough"), 10);
    assertEquals(await rejection(call(lmstudio, options)), "enough");
    assertEquals(controller.listeners, 0);
  });

  Deno.test(`${name}: abort after the call changes nothing`, async () => {
    await using server = serveStub({
      "GET /api/v1/models": { body: LISTING },
      "POST /v1/chat/completions": ({ body }) =>
        body.stream === true ? events([token("Hi"), FINISH]) : { body: answer("Hi") },
      "POST /v1/embeddings": { body: EMBEDDING },
    });
    const controller = new Watched();
    const lmstudio = provider({ baseUrl: server.url });
    const result = await call(lmstudio, { signal: controller.signal });
    assertEquals(controller.listeners, 0);
    const before = JSON.stringify(result);
    controller.abort("too late");
    await new Promise((resolve) => setTimeout(resolve));
    assertEquals(JSON.stringify(result), before);
  });

  Deno.test(`${name}: a failure leaves no listener on the signal`, async () => {
    await using server = serveStub({
      [ROUTES[name as keyof typeof ROUTES]]: { status: 401, body: '{"error":"no"}' },
    });
    const controller = new Watched();
    await call(provider({ baseUrl: server.url }), { signal: controller.signal }).catch(() => {});
    assertEquals([server.requests.length > 0, controller.listeners], [true, 0]);
  });
}

Deno.test("AbortSignal.timeout rejects with its own reason", async () => {
  const { routes } = silent();
  await using server = serveStub(routes);
  const options = { signal: AbortSignal.timeout(20) };
  const error = await rejection(provider({ baseUrl: server.url }).complete("Hello", options));
  assertInstanceOf(error, DOMException);
  assertEquals(error.name, "TimeoutError");
  assertStrictEquals(error, options.signal.reason);
});

Deno.test("abort while a listing is fetched to choose the model", async () => {
  const calls: Call[] = [
    (lmstudio, options) => lmstudio.complete("Hello", options),
    (lmstudio, options) => lmstudio.streamCompletion("Hello", options).response(),
    (lmstudio, options) => lmstudio.embed({ input: "text" }, options),
  ];
  for (const call of calls) {
    const { routes, arrived } = silent();
    await using server = serveStub(routes);
    const lmstudio = new LMStudioProvider({ baseUrl: server.url, env: {} });
    const controller = new Watched();
    const rejected = rejection(call(lmstudio, { signal: controller.signal }));
    assertEquals((await arrived).path, "/api/v1/models");
    controller.abort("enough");
    assertEquals(await rejected, "enough");
    assertEquals([server.requests.length, controller.listeners], [1, 0]);
  }
});

Deno.test("one caller's abort does not end a listing that another waits for", async () => {
  const go = gate();
  const arrived = gate();
  await using server = serveStub({
    "GET /api/v1/models": async () => {
      arrived.open();
      await go.opened;
      return { body: LISTING };
    },
  });
  const lmstudio = provider({ baseUrl: server.url });
  const controller = new Watched();
  const rejected = rejection(lmstudio.supportsModel("m", { signal: controller.signal }));
  const supported = lmstudio.supportsModel("m");
  await arrived.opened;
  controller.abort("enough");
  assertEquals(await rejected, "enough");
  go.open();
  assert(await supported);
  assertEquals([server.requests.length, controller.listeners], [1, 0]);
});

Deno.test("abort between two batches of embeddings", async () => {
  await using server = serveStub({ "POST /v1/embeddings": { body: EMBEDDING } });
  const controller = new Watched();
  const input = ["a", "b", "c"];
  const onProgress = (): void => controller.abort("enough");
  const embedded = provider({ baseUrl: server.url })
    .embed({ model: "m", input, batchSize: 1, onProgress }, { signal: controller.signal });
  assertEquals(await rejection(embedded), "enough");
  assertEquals([server.requests.length, controller.listeners], [1, 0]);
});

Deno.test("a stream aborted between two pulls stops the server, and the next pull rejects", async () => {
  await using server = serveStub({
    "POST /v1/chat/completions": events([token("Once")], "hang"),
  });
  for (const [, reason] of REASONS) {
    const controller = new Watched();
    const options = { signal: controller.signal };
    const stream = provider({ baseUrl: server.url }).streamCompletion("Hello", options);
    const iterator = stream[Symbol.asyncIterator]();
    assertEquals((await iterator.next()).value?.content, "Once");
    controller.abort(reason);
    // Nobody pulls, but the server is stopped anyway.
    await server.requests.at(-1)?.left;
    assertStrictEquals(await rejection(iterator.next()), controller.signal.reason);
    assertStrictEquals(await rejection(stream.response()), controller.signal.reason);
    assertEquals(await iterator.next(), { done: true, value: undefined });
    assertEquals(controller.listeners, 0);
  }
});

Deno.test("a stream leaves no listener on the signal, however it ends", async () => {
  await using server = serveStub({
    "POST /v1/chat/completions": events([token("a"), token("b"), FINISH]),
  });
  const lmstudio = provider({ baseUrl: server.url });
  const controller = new Watched();
  const open = () => lmstudio.streamCompletion("Hello", { signal: controller.signal });

  open();
  assertEquals(controller.listeners, 0, "never pulled");
  for await (const _ of open());
  assertEquals(controller.listeners, 0, "read to its end");
  for await (const _ of open()) break;
  assertEquals(controller.listeners, 0, "left");
  await open().response();
  assertEquals(controller.listeners, 0, "read at once");
  for await (const _ of open().textStream) break;
  assertEquals(controller.listeners, 0, "left as text");
  {
    await using stream = open();
    await stream[Symbol.asyncIterator]().next();
  }
  assertEquals(controller.listeners, 0, "disposed");
  await new Response(open().toTextStream()).text();
  assertEquals(controller.listeners, 0, "read as a web stream");
  const reader = open().toReadableStream().getReader();
  await reader.read();
  await reader.cancel();
  assertEquals(controller.listeners, 0, "cancelled as a web stream");
});

Deno.test("abort ends the wait for a body that is not tied to its signal", async () => {
  for (const call of [CALLS.complete, CALLS.streamCompletion]) {
    await inFakeTime(async (pass) => {
      const puppet = new Puppet();
      const controller = new Watched();
      const lmstudio = provider({ fetch: puppet.fetch });
      const rejected = rejection(call!(lmstudio, { signal: controller.signal }));
      await pass(0);
      puppet.last.respond();
      puppet.last.send(token("Once"));
      await pass(0);
      controller.abort("enough");
      assertEquals(await rejected, "enough");
      assert(puppet.last.isCancelled);
      assertEquals(controller.listeners, 0);
    });
  }
});

Deno.test("a hundred concurrent calls put one listener on their shared signal, and end with it", async () => {
  const puppet = new Puppet();
  const lmstudio = provider({ fetch: puppet.fetch });
  const controller = new Watched();
  const { signal } = controller;
  const names = ["complete", "streamCompletion", "embed", "listModels"];
  const calls = names.flatMap((name) =>
    Array.from({ length: 25 }, () => rejection(CALLS[name]!(lmstudio, { signal })))
  );
  assertEquals(controller.listeners, 1);
  controller.abort("enough");
  assertEquals(new Set(await Promise.all(calls)), new Set(["enough"]));
  assertEquals(controller.listeners, 0);
});

Deno.test("a call that its own `onStatus` aborts or cancels sends nothing", async () => {
  const puppet = new Puppet();
  const lmstudio = provider({ fetch: puppet.fetch });
  for (const call of [CALLS.complete, CALLS.streamCompletion]) {
    const controller = new Watched();
    const onStatus = () => controller.abort("enough");
    const rejected = rejection(call!(lmstudio, { signal: controller.signal, onStatus }));
    assertEquals([await rejected, puppet.calls.length, controller.listeners], ["enough", 0, 0]);
  }
  const stream = lmstudio.streamCompletion("Hello", { onStatus: () => void stream.cancel() });
  assertEquals(await Array.fromAsync(stream), []);
  assertEquals(puppet.calls.length, 0);
});

Deno.test("closing a reader quietly ends the wait for headers", async () => {
  const puppet = new Puppet();
  const reader = new Transport({
    baseUrl: "http://127.0.0.1:1234",
    service: "LM Studio",
    headers: {},
    connectTimeoutMs: Infinity,
    firstTokenTimeoutMs: Infinity,
    idleTimeoutMs: Infinity,
    maxRetries: 2,
    fetch: puppet.fetch,
  }).events({ method: "POST", path: "/x", body: {}, policy: "stateless", action: "act" }, {});
  const pulled = reader.pull();
  await Promise.resolve();
  reader.close();
  reader.close();
  assertEquals(await pulled, { kind: "end", unfinished: undefined });
  assert(puppet.last.signal.aborted);
  assertEquals(await reader.pull(), { kind: "end", unfinished: undefined });
  assertEquals(puppet.calls.length, 1);
});
