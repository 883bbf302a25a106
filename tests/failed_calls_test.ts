/** An error names the method called, whichever of our requests failed, and its stack has the caller's line. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import {
  type AnyProviderError,
  createDefaultProvider,
  FallbackProvider,
  isProviderError,
  LMStudioProvider,
  LocalProvider,
  OpenAICompatibleProvider,
  ServiceDiscovery,
} from "../mod.ts";

const baseUrl = "http://127.0.0.1:1";
const options = { env: {}, baseUrl, maxRetries: 0 };

/** Servers that fail in three ways, each during the listing. */
const SERVERS: Readonly<Record<string, typeof fetch>> = {
  refuses: () => Promise.reject(new TypeError("connection refused")),
  fails: () => Promise.resolve(new Response('{"error":"out of order"}', { status: 500 })),
  "wants a token": () => Promise.resolve(new Response('{"error":"no token"}', { status: 401 })),
};

type Call = (given: { fetch: typeof fetch }) => PromiseLike<unknown>;

/** The start of each method's error message. */
const CALLS: Readonly<Record<string, readonly [action: string, call: Call]>> = {
  listModels: ["list models", (own) => lmstudio(own).listModels()],
  complete: ["complete", (own) => lmstudio(own).complete("?")],
  completeText: ["complete text", (own) => lmstudio(own).completeText("?")],
  completeObject: [
    "complete an object",
    (own) => lmstudio(own).completeObject({ messages: "?", schema: { type: "object" } }),
  ],
  runTools: ["run tools", (own) => lmstudio(own).runTools({ messages: "?", tools: [] })],
  embed: ["embed", (own) => lmstudio(own).embed({ input: "?" })],
  "chat.send": ["chat", (own) => lmstudio(own).chat.send({ input: "?" })],
  "responses.create": [
    "create a response",
    (own) => lmstudio(own).responses.create({ input: "?" }),
  ],
  "models.get": ['find model "m"', (own) => lmstudio(own).models.get("m")],
  "models.load": ['load model "m"', (own) => lmstudio(own).models.load("m")],
  "models.unload": ['unload model "m"', (own) => lmstudio(own).models.unload("m")],
  "models.ensureLoaded": ['load model "m"', (own) => lmstudio(own).models.ensureLoaded("m")],
  "models.downloadStatus": [
    'follow download "job"',
    (own) => lmstudio(own).models.downloadStatus("job"),
  ],
  "streamCompletion, pulled": [
    "stream a completion",
    (own) => pull(lmstudio(own).streamCompletion("?")),
  ],
  "streamCompletion, response()": [
    "stream a completion",
    (own) => lmstudio(own).streamCompletion("?").response(),
  ],
  "streamCompletion, started()": [
    "stream a completion",
    (own) => lmstudio(own).streamCompletion("?").started(),
  ],
  streamText: ["stream text", (own) => pull(lmstudio(own).streamText("?"))],
  streamObject: [
    "stream an object",
    (own) => pull(lmstudio(own).streamObject({ messages: "?", schema: { type: "object" } })),
  ],
  streamTools: [
    "run tools",
    (own) => pull(lmstudio(own).streamTools({ messages: "?", tools: [] })),
  ],
  "chat.stream": ["stream a chat", (own) => pull(lmstudio(own).chat.stream({ input: "?" }))],
  "responses.stream": [
    "stream a response",
    (own) => pull(lmstudio(own).responses.stream({ input: "?" })),
  ],
  "models.download": [
    'download model "m"',
    (own) => pull(lmstudio(own).models.download("m")),
  ],
  "compatible.listModels": ["list models", (own) => compatible(own).listModels()],
  "compatible.complete": ["complete", (own) => compatible(own).complete("?")],
  "compatible.embed": ["embed", (own) => compatible(own).embed({ input: "?" })],
};

function lmstudio(own: { fetch: typeof fetch }): LMStudioProvider {
  return new LMStudioProvider({ ...options, ...own });
}

function compatible(own: { fetch: typeof fetch }): OpenAICompatibleProvider {
  return new OpenAICompatibleProvider({ name: "other", ...options, ...own });
}

async function pull(stream: AsyncIterable<unknown>): Promise<void> {
  await stream[Symbol.asyncIterator]().next();
}

async function failureOf(call: () => PromiseLike<unknown>): Promise<AnyProviderError> {
  const error = await assertRejects(async () => await call());
  assert(isProviderError(error), String(error));
  return error;
}

for (const [state, fetch] of Object.entries(SERVERS)) {
  Deno.test(`errors: a server that ${state}: each method's error names its call and the caller's line`, async () => {
    for (const [member, [action, call]] of Object.entries(CALLS)) {
      const error = await failureOf(function callerOfMember() {
        return call({ fetch });
      });
      assert(error.message.startsWith(`Cannot ${action}`), `${member}: ${error.message}`);
      assertStringIncludes(error.message, error.hint, member);
      assertEquals(error.message.split(error.hint).length, 2, `${member}: ${error.message}`);
      assertStringIncludes(error.stack ?? "", "callerOfMember", member);
      assertStringIncludes(error.stack ?? "", "failed_calls_test.ts:", member);
    }
  });
}

Deno.test("errors: the caller's line is in the stack with discovery and several servers, too", async () => {
  const own = { ...options, fetch: SERVERS["refuses"]! };
  const local = new LocalProvider(own);
  const fallback = new FallbackProvider([lmstudio(own)]);
  const discovery = new ServiceDiscovery({
    env: {},
    fetch: own.fetch,
    candidates: [{ type: "lmstudio", endpoint: baseUrl }],
  });
  const calls: Readonly<Record<string, () => PromiseLike<unknown>>> = {
    "local.listModels": () => local.listModels(),
    "local.complete": () => local.complete("?"),
    "local.embed": () => local.embed({ input: "?" }),
    "local.streamCompletion": () => pull(local.streamCompletion("?")),
    "fallback.listModels": () => fallback.listModels(),
    "fallback.complete": () => fallback.complete("?"),
    "fallback.embed": () => fallback.embed({ input: "?" }),
    "fallback.streamCompletion": () => pull(fallback.streamCompletion("?")),
    "discovery.find": () => discovery.find(),
    "discovery.healthCheck": () => discovery.healthCheck("lmstudio", baseUrl),
    "LMStudioProvider.discover": () => LMStudioProvider.discover(own),
    createDefaultProvider: () => createDefaultProvider({ ...own, baseUrl: undefined }),
  };
  for (const [member, call] of Object.entries(calls)) {
    const error = await failureOf(function callerOfMember() {
      return call();
    });
    assertStringIncludes(error.stack ?? "", "callerOfMember", member);
  }
});

Deno.test("errors: a local server whose listings fail: the error names the call", async () => {
  const greeting = () => Promise.resolve(Response.json({ lmstudio: true }));
  const fetch: typeof globalThis.fetch = (input) =>
    String(input instanceof Request ? input.url : input).endsWith("/lmstudio-greeting")
      ? greeting()
      : Promise.resolve(new Response('{"error":"out of order"}', { status: 500 }));
  const local = new LocalProvider({ ...options, fetch });
  for (const model of ["m", undefined]) {
    const error = await failureOf(() => local.complete({ messages: "?", model }));
    assert(error.message.startsWith("Cannot complete"), error.message);
  }
  const discovery = new ServiceDiscovery({ env: {}, fetch });
  const error = await failureOf(() => discovery.healthCheck("lmstudio", baseUrl));
  assert(error.message.startsWith("Cannot find LM Studio at"), error.message);
});

Deno.test("errors: if no local server is found, the error names the call, what was tried and the caller's line", async () => {
  const refused = { ...options, fetch: SERVERS["refuses"]!, baseUrl: undefined };
  const local = new LocalProvider(refused);
  const ollama = await createDefaultProvider({
    ...refused,
    env: { PATINOX_MODEL_PROVIDER: "ollama" },
  });
  const none = new LocalProvider({ ...refused, discovery: { candidates: [] } });
  const searches: Readonly<Record<string, readonly [LocalProvider, string]>> = {
    any: [local, "no local server was found: LM Studio at http://127.0.0.1:1234 ("],
    ollama: [ollama as LocalProvider, "Ollama was not found: http://127.0.0.1:11434 ("],
    none: [none, "no local server was found: there is no address to try"],
  };
  const calls: Readonly<Record<string, (local: LocalProvider) => PromiseLike<unknown>>> = {
    complete: (local) => local.complete("?"),
    "complete ": (local) => local.complete({ messages: "?", model: "m" }),
    embed: (local) => local.embed({ input: "?" }),
    "embed ": (local) => local.embed({ input: "?", model: "m" }),
    "stream a completion": (local) => pull(local.streamCompletion("?")),
    "stream a completion ": (local) => local.streamCompletion("?").response(),
    "stream a completion  ": (local) =>
      local.streamCompletion({ messages: "?", model: "m" }).started(),
  };
  for (const [search, [provider, state]] of Object.entries(searches)) {
    for (const [action, call] of Object.entries(calls)) {
      const error = await failureOf(function callerOfMember() {
        return call(provider);
      });
      const start = `Cannot ${action.trim()}: ${state}`;
      assert(error.message.startsWith(start), `${search}: ${error.message}`);
      assertEquals([error.name, error.code], ["NetworkError", "service_not_found"]);
      assertEquals(error.message.split(error.hint).length, 2, error.message);
      assertStringIncludes(error.stack ?? "", "callerOfMember");
      assertEquals(error.cause instanceof AggregateError, search !== "none");
    }
    const found = await failureOf(() => provider.listModels());
    assert(found.message.startsWith("Cannot find "), found.message);
  }
});

Deno.test("errors: calls that share one listing have their own errors, with their own lines", async () => {
  let listings = 0;
  const provider = lmstudio({
    fetch: () => {
      listings++;
      return Promise.resolve(new Response('{"error":"no token"}', { status: 401 }));
    },
  });
  const [first, second, third] = await Promise.all([
    failureOf(function callerOfFirst() {
      return provider.complete("?");
    }),
    failureOf(function callerOfSecond() {
      return provider.responses.create({ input: "?" });
    }),
    failureOf(function callerOfThird() {
      return provider.complete("?");
    }),
  ]);
  assertEquals(listings, 1);
  assertStringIncludes(first.message, "Cannot complete: ");
  assertStringIncludes(second.message, "Cannot create a response: ");
  assertStringIncludes(first.stack ?? "", "callerOfFirst");
  assertStringIncludes(second.stack ?? "", "callerOfSecond");
  assert(!first.stack?.includes("callerOfThird") && !third.stack?.includes("callerOfFirst"));
});

Deno.test("errors: an error passed on to another call keeps class, fields, cause and hint", async () => {
  const body = '{"error":"slow down"}';
  const headers = { "retry-after": "7" };
  const busy = lmstudio({
    fetch: () => Promise.resolve(new Response(body, { status: 429, headers })),
  });
  const limited = await failureOf(() => busy.complete("?"));
  const listed = await failureOf(() => busy.listModels());
  assertEquals(limited.name, "RateLimitedError");
  assertEquals(
    limited.toJSON(),
    {
      ...listed.toJSON(),
      message: listed.message.replace("Cannot list models", "Cannot complete"),
    },
  );
  const refused = await failureOf(() => lmstudio({ fetch: SERVERS["refuses"]! }).complete("?"));
  assert(refused.cause !== undefined);
  assertEquals(Object.keys(refused).includes("cause"), false);
  const silent = lmstudio({
    fetch: (_, init) =>
      new Promise((_, reject) => {
        init?.signal?.addEventListener("abort", () => reject(init.signal?.reason));
      }),
  });
  const late = await failureOf(() => silent.complete("?", { timeoutMs: 20 }));
  assert(isProviderError(late, "timeout"), late.message);
  assertEquals([late.phase, late.timeoutMs], ["total", 20]);
  assertStringIncludes(late.message, "Cannot complete: ");
});

Deno.test("errors: the caller's own abort reason is passed on unchanged", async () => {
  const reason = new Error("mine");
  const before = reason.stack;
  const signal = AbortSignal.abort(reason);
  const given = await assertRejects(() =>
    lmstudio({ fetch: SERVERS["refuses"]! }).complete("?", { signal })
  );
  assertEquals(given, reason);
  assertEquals(reason.stack, before);
});
