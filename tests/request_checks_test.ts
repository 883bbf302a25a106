/** Which call options and requests are refused, and how the error says so. */
import {
  assert,
  assertEquals,
  assertFalse,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import {
  type CallOptions,
  FallbackProvider,
  fromMcpTool,
  InvalidRequestError,
  isProviderError,
  LMStudioProvider,
  LocalProvider,
  ServiceDiscovery,
} from "../mod.ts";
import { checkCallOptions, refusalMaker } from "../src/core/checks.ts";
import { createFakeLMStudio } from "../src/testing/mod.ts";
import { rejection } from "./support/wire.ts";

const refuse = refusalMaker("list models", "LM Studio");

function refused(options: unknown): string {
  const error = assertThrows(() => checkCallOptions(options, refuse), InvalidRequestError);
  assertEquals([error.code, error.attempts, error.service], ["invalid_request", 0, "LM Studio"]);
  assertStringIncludes(error.message, "Cannot list models: ");
  return error.message;
}

Deno.test("call options: each may be set, absent or undefined", () => {
  const all: Required<CallOptions> = {
    signal: new AbortController().signal,
    headers: { "x-a": "b" },
    maxRetries: 0,
    timeoutMs: Infinity,
    connectTimeoutMs: 0.5,
    firstTokenTimeoutMs: 1,
    idleTimeoutMs: 1e9,
    onStatus: () => {},
    onQueue: () => {},
  };
  assertEquals(checkCallOptions(all, refuse), all);
  assertStrictEquals(checkCallOptions(all, refuse).signal, all.signal);
  assertEquals(checkCallOptions(undefined, refuse), {});
  assertEquals(checkCallOptions({}, refuse), {});
  const absent = Object.fromEntries(Object.keys(all).map((name) => [name, undefined]));
  assertEquals(
    Object.values(checkCallOptions(absent, refuse)).some((value) => value !== undefined),
    false,
  );
});

Deno.test("call options: later changes by the caller have no effect", () => {
  const headers: Record<string, string | undefined> = { "x-a": "1", "x-b": undefined };
  const options: Record<string, unknown> = { headers, maxRetries: 1 };
  const checked = checkCallOptions(options, refuse);
  headers["x-a"] = "2";
  options.maxRetries = 5;
  assertEquals(checked, { headers: { "x-a": "1" }, maxRetries: 1 });
});

Deno.test("call options: a bad one is named with its value, never a header's or a text's", () => {
  const bad: [unknown, string][] = [
    [null, "the options are null, not an object"],
    ["S3CRET", "the options are a string, not an object"],
    [[], "the options are an array"],
    [{ timeout: 5 }, 'unknown option "timeout" (did you mean "timeoutMs"?)'],
    [{ abortSignal: 5 }, '(did you mean "signal"?)'],
    [{ baseUrl: "S3CRET" }, 'unknown option "baseUrl"'],
    [{ timeoutMs: 0 }, "timeoutMs is 0"],
    [{ connectTimeoutMs: -1 }, "connectTimeoutMs is -1"],
    [{ firstTokenTimeoutMs: NaN }, "firstTokenTimeoutMs is NaN"],
    [{ idleTimeoutMs: "5s" }, 'idleTimeoutMs is "5s"'],
    [{ timeoutMs: null }, "timeoutMs is null"],
    [{ maxRetries: 11 }, "maxRetries is 11"],
    [{ maxRetries: 0.5 }, "maxRetries is 0.5"],
    [{ headers: { "x-a": "S3CRET\n" } }, 'headers has a value for "x-a"'],
    [{ headers: { "x a: S3CRET": "S3CRET" } }, 'headers has the name "x…"'],
    [{ headers: "S3CRET" }, "headers is not an object"],
    [{ onStatus: {} }, "onStatus is an object, not a function"],
    [{ signal: new AbortController() }, "signal is an object, not an AbortSignal"],
    [{ signal: { aborted: false } }, "signal is an object, not an AbortSignal"],
    [{ signal: new EventTarget() }, "signal is an object, not an AbortSignal"],
    [{ signal: null }, "signal is null, not an AbortSignal"],
    [{ signal: true }, "signal is true, not an AbortSignal"],
  ];
  for (const [options, state] of bad) {
    const message = refused(options);
    assertStringIncludes(message, state);
    assertFalse(message.includes("S3CRET"), message);
  }
});

// --- Sparse lists -----------------------------------------------------------------------------

/** Requests with fields that TypeScript would reject. */
function chat(fields: Record<string, unknown>): never {
  return { messages: "Hi", ...fields } as never;
}

function text(fields: Record<string, unknown>): never {
  return { prompt: "Hi", ...fields } as never;
}

function input(fields: Record<string, unknown>): never {
  return { input: "Hi", ...fields } as never;
}

/** A sparse array. */
const hole = (...behind: unknown[]): unknown[] => new Array<unknown>(1).concat(behind);

const PLUGIN = { type: "plugin", id: "mcp/files" };
const MCP = { type: "mcp", serverLabel: "s", serverUrl: "https://mcp.example/" };

type Ask = (lmstudio: LMStudioProvider) => Promise<unknown>;

const LISTS: [what: string, ask: Ask, state: string][] = [
  ["stop", (l) => l.complete(chat({ stop: [undefined] })), "stop is undefined"],
  ["stop behind", (l) => l.complete(chat({ stop: ["a", undefined] })), "stop is undefined"],
  ["stop before", (l) => l.complete(chat({ stop: [undefined, 5] })), "stop is undefined"],
  ["stop, null", (l) => l.complete(chat({ stop: [null] })), "stop is null"],
  ["stop, a hole", (l) => l.complete(chat({ stop: hole() })), "stop is undefined"],
  ["stop, a hole before", (l) => l.complete(chat({ stop: hole("") })), "stop is undefined"],
  ["stop of text", (l) => l.completeText(text({ stop: [undefined] })), "stop is undefined"],
  ["messages", (l) => l.complete(chat({ messages: hole("Hi") })), "messages[0] is undefined"],
  [
    "content",
    (l) => l.complete(chat({ messages: [{ role: "user", content: hole() }] })),
    "messages[0].content[0] is undefined",
  ],
  ["tools", (l) => l.complete(chat({ tools: [undefined] })), "tools[0] is undefined"],
  ["tools, a hole", (l) => l.runTools(chat({ tools: hole() })), "tools[0] is undefined"],
  ["inputs", (l) => l.embed(input({ input: ["a", undefined] })), "input[1] is undefined"],
  ["inputs, a hole", (l) => l.embed(input({ input: hole("a") })), "input[0] is undefined"],
  ["items", (l) => l.responses.create(input({ input: hole() })), "input[0] is undefined"],
  ["parts", (l) => l.chat.send(input({ input: hole() })), "input[0] is undefined"],
  ["integrations", (l) => l.chat.send(input({ integrations: hole() })), "integrations[0] is und"],
  [
    "names of tools",
    (l) => l.chat.send(input({ integrations: [{ ...PLUGIN, allowedTools: hole() }] })),
    "allowedTools is not an array of tool names: it contains undefined",
  ],
  [
    "names of tools that are empty",
    (l) => l.chat.send(input({ integrations: [{ ...PLUGIN, allowedTools: [" "] }] })),
    `allowedTools is not an array of tool names: it contains " "`,
  ],
  [
    "names of tools of responses",
    (l) => l.responses.create(input({ tools: [{ ...MCP, allowedTools: hole("a") }] })),
    "tools[0].allowedTools is not an array of tool names: it contains undefined",
  ],
  [
    "extraBody",
    (l) => l.complete(chat({ extraBody: { a: [undefined] } })),
    "extraBody.a[0] is undefined",
  ],
  [
    "extraBody, deep",
    (l) => l.completeText(text({ extraBody: { a: { b: [1, ...hole(2)] } } })),
    "extraBody.a.b[1] is undefined, which JSON cannot represent",
  ],
  [
    "a number that is none",
    (l) => l.responses.create(input({ extraBody: { min_p: NaN } })),
    "extraBody.min_p is NaN",
  ],
  [
    "a function",
    (l) => l.complete(chat({ extraBody: { f: () => 1 } })),
    "extraBody.f is a function",
  ],
  [
    "a map",
    (l) => l.complete(chat({ extraBody: { m: new Map([[1, 2]]) } })),
    "extraBody.m is an instance of Map",
  ],
];

for (const [what, ask, state] of LISTS) {
  Deno.test(`refusals: values that would become null or vanish on the wire are refused: ${what}`, async () => {
    const fake = createFakeLMStudio();
    const lmstudio = new LMStudioProvider({ fetch: fake.fetch, env: {} });
    const error = await assertRejects(() => ask(lmstudio), InvalidRequestError);
    assertStringIncludes(error.message, state);
    assertEquals(fake.requests, []);
  });
}

Deno.test("refusals: JSON values pass through extraBody unchanged", async () => {
  const fake = createFakeLMStudio();
  const lmstudio = new LMStudioProvider({ fetch: fake.fetch, env: {} });
  const extraBody = {
    list: [null, 0, "", false, []],
    absent: undefined,
    inner: { absent: undefined, at: new Date(0), bare: Object.create(null) },
  };
  await lmstudio.complete({ messages: "Hi", extraBody });
  const body = fake.requests.find(({ method }) => method === "POST")?.body;
  const { list, inner } = body as Record<string, unknown>;
  assertEquals(list, [null, 0, "", false, []]);
  assertEquals(inner, { at: "1970-01-01T00:00:00.000Z", bare: {} });
});

Deno.test("refusals: a missing candidate is refused, too", () => {
  for (const candidates of [[undefined], hole({ type: "ollama", endpoint: "nas" })]) {
    assertThrows(
      () => new ServiceDiscovery({ candidates: candidates as never }),
      Error,
      "candidates[0] is undefined, not an object",
    );
  }
});

// --- What is checked is what is sent ----------------------------------------------------------

Deno.test("requests: each field is read once, so the checked value is the one sent", async () => {
  const fake = createFakeLMStudio();
  const lmstudio = new LMStudioProvider({ fetch: fake.fetch, env: {} });
  const reads: Record<string, number> = {};
  const fickle = (name: string, first: unknown): PropertyDescriptor => ({
    enumerable: true,
    get: () => {
      reads[name] = (reads[name] ?? 0) + 1;
      return reads[name] === 1 ? first : Symbol(name);
    },
  });
  const message = Object.defineProperties({ role: "user" }, { content: fickle("content", "Hi") });
  const request = Object.defineProperties({}, {
    messages: fickle("messages", [message]),
    temperature: fickle("temperature", 0.5),
  });
  await lmstudio.complete(request as never);
  assertEquals(reads, { messages: 1, content: 1, temperature: 1 });
  const body = fake.requests.find(({ method }) => method === "POST")?.body;
  const { messages, temperature } = body as Record<string, unknown>;
  assertEquals([messages, temperature], [[{ role: "user", content: "Hi" }], 0.5]);
});

Deno.test("requests: changes after the call affect only the next one, even while a module loads", async () => {
  const fake = createFakeLMStudio();
  const lmstudio = new LMStudioProvider({ fetch: fake.fetch, env: {} });
  const message = { role: "user" as const, content: "Hi" };
  const call = { id: "1", name: "now", arguments: "{}" };
  const asking = { role: "assistant" as const, toolCalls: [call] };
  const request = {
    messages: [message, asking, { role: "tool" as const, toolCallId: "1", content: "noon" }],
    tools: [{ name: "now" }],
    extraBody: { x: 1 },
  };
  const answered = lmstudio.complete(request);
  Object.assign(message, { content: 5 });
  Object.assign(call, { arguments: 5 });
  request.messages.length = 0;
  request.tools.push({ name: "now" });
  await answered;
  const body = fake.requests.find(({ method }) => method === "POST")?.body;
  const { messages, tools } = body as { messages: Record<string, unknown>[]; tools: unknown[] };
  assertEquals(messages.map(({ content }) => content), ["Hi", "", "noon"]);
  assertEquals(tools.length, 1);
});

Deno.test("requests: rare fields are refused before LocalProvider looks for a server, too", async () => {
  const fake = createFakeLMStudio();
  const local = new LocalProvider({ fetch: fake.fetch, env: {} });
  const rare: [Record<string, unknown>, string][] = [
    [{ tools: [{ name: "" }] }, "tools[0].name cannot be empty"],
    [{ tools: [{ name: "a" }], toolChoice: { name: "b" } }, 'toolChoice names "b"'],
    [{ toolChoice: "required" }, "there are no tools"],
    [{ extraBody: { f: () => {} } }, "extraBody.f is a function"],
  ];
  for (const [fields, state] of rare) {
    const whole = await assertRejects(() => local.complete(chat(fields)), InvalidRequestError);
    const streamed = await assertRejects(
      () => local.streamCompletion(chat(fields)).response(),
      InvalidRequestError,
    );
    for (const { message } of [whole, streamed]) assertStringIncludes(message, state);
  }
  assertEquals(fake.requests, []);
});

Deno.test("requests: inherited fields count in every method, whether it loads on first use or not", async () => {
  const fake = createFakeLMStudio();
  const lmstudio = new LMStudioProvider({ fetch: fake.fetch, env: {} });
  const local = new LocalProvider({ fetch: fake.fetch, env: {} });
  const fallback = new FallbackProvider([lmstudio]);
  class Chat {
    readonly #seed = 7;
    get messages(): string {
      return "Hi";
    }
    get seed(): number {
      return this.#seed;
    }
    /** Must not appear in errors. */
    get draft(): string {
      return "";
    }
  }
  await lmstudio.complete(new Chat());
  await local.complete(new Chat());
  await fallback.complete(new Chat());
  await fallback.streamCompletion(new Chat()).response();
  const bodies = fake.requests.filter(({ method }) => method === "POST").map(({ body }) => body);
  assertEquals(bodies.map((body) => (body as { seed: number }).seed), [7, 7, 7, 7]);
  class Options {
    get contextLength(): number {
      return 2048;
    }
  }
  const [model] = await lmstudio.listModels();
  await lmstudio.models.load(model!.id, new Options());
  const { body } = fake.requests.at(-1)!;
  assertEquals((body as { context_length: number }).context_length, 2048);
});

Deno.test("requests: an extraBody that cannot be written as JSON is named without a path", async () => {
  const lmstudio = new LMStudioProvider({ env: {} });
  const request = { model: "m", messages: "Hi", extraBody: new Map([["a", 1]]) as never };
  const { message } = await assertRejects(() => lmstudio.complete(request), InvalidRequestError);
  assertStringIncludes(
    message,
    "Cannot complete: extraBody is an instance of Map, which JSON cannot represent",
  );
});

// --- Values that are not of their type --------------------------------------------------------

Deno.test("an invalid signal is refused by every call that accepts one", async () => {
  const fake = createFakeLMStudio({ models: ["m"] });
  const { fetch } = fake;
  const lmstudio = new LMStudioProvider({ env: {}, fetch, model: "m" });
  const fallback = new FallbackProvider([lmstudio]);
  const discovery = new ServiceDiscovery({ env: {}, fetch });
  const { baseURL, fetch: forward } = lmstudio.toOpenAI();
  const signal = new Uint8Array(1) as unknown as AbortSignal;
  const questions = { calm: { type: "predicate", instructions: "?" } } as const;
  const calls: Record<string, () => Promise<unknown>> = {
    complete: () => lmstudio.complete("Hi", { signal }),
    "fallback.complete": () => fallback.complete("Hi", { signal }),
    "fallback.embed": () => fallback.embed({ input: "Hi" }, { signal }),
    "fallback.listModels": () => fallback.listModels({ signal }),
    "fallback.decide": () => fallback.decide({ input: "Hi", questions }, { signal }),
    "discovery.discover": () => discovery.discover({ signal }),
    "discovery.find": () => discovery.find(undefined, { signal }),
    "the fetch of other clients": () => forward(`${baseURL}/models`, { signal }),
    "the same with text": () =>
      forward(`${baseURL}/models`, { signal: "" as unknown as AbortSignal }),
  };
  for (const [name, call] of Object.entries(calls)) {
    const error = await rejection(call());
    assert(isProviderError(error), `${name}: ${Deno.inspect(error)}`);
    assertStringIncludes(error.message, "signal is ", name);
  }
  assertEquals(fake.requests, []);
});

Deno.test("values that cannot be converted to text are refused as an address and as a method", async () => {
  const { baseURL, fetch } = new LMStudioProvider({ env: {} }).toOpenAI();
  const textless = Object.create(null);
  assertStringIncludes(
    String(await rejection(fetch(textless))),
    "its address is invalid",
  );
  assertStringIncludes(
    String(await rejection(fetch(`${baseURL}/models`, { method: textless }))),
    "its method is not an HTTP method",
  );
});

Deno.test("an invalid decision request, and an invalid MCP tool, are refused", async () => {
  const lmstudio = new LMStudioProvider({ env: {} });
  for (const request of [null, undefined, 5]) {
    const error = await rejection(lmstudio.decide(request as never));
    assertInstanceOf(error, InvalidRequestError);
  }
  for (const entry of [null, undefined, "name", { name: "now" }]) {
    assertThrows(() => fromMcpTool(entry as never), InvalidRequestError, "an MCP tool");
  }
});

Deno.test("a field that cannot be written as JSON is named, and toJSON cannot replace the request", async () => {
  const fake = createFakeLMStudio({ models: ["m"] });
  const lmstudio = new LMStudioProvider({ env: {}, fetch: fake.fetch, model: "m" });
  const send = (extraBody: Record<string, unknown>) =>
    rejection(lmstudio.complete({ messages: "Hi", extraBody }));
  const cyclic: Record<string, unknown> = {};
  cyclic.self = cyclic;
  for (const value of [cyclic, 1n]) {
    assertStringIncludes(
      String(await send({ fine: 1, trace: value })),
      'the field "trace" of the request cannot be written as JSON',
    );
  }
  const toJSON = () => ({ model: "other" });
  assertStringIncludes(String(await send({ toJSON })), "extraBody.toJSON is a function");
  assertEquals(fake.requests, []);
});
