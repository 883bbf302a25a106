/** Any JavaScript value as an option, a request or a part of one: accepted, or refused by name before anything is sent. */
import {
  FallbackProvider,
  fromMcpTool,
  isProviderError,
  LMStudioProvider,
  LocalProvider,
  OpenAICompatibleProvider,
  resolveConfig,
  ServiceDiscovery,
  tool,
} from "../../mod.ts";
import { check, fc, type Property, property } from "./harness.ts";

/** An exception from the caller's own code is passed on unchanged. */
const THROWN = new Error("thrown by the caller's own value");
const raise = (): never => {
  throw THROWN;
};

function cyclic<T extends object>(value: T): T {
  return Object.assign(value, { self: value });
}

function deep(levels: number): unknown {
  let value: unknown = 1;
  for (let level = 0; level < levels; level++) value = level % 2 === 0 ? { a: value } : [value];
  return value;
}

function throwingProxy(target: object): object {
  const traps = ["get", "has", "ownKeys", "getOwnPropertyDescriptor", "getPrototypeOf"];
  return new Proxy(target, Object.fromEntries(traps.map((trap) => [trap, raise])));
}

function revoked(target: object): object {
  const { proxy, revoke } = Proxy.revocable(target, {});
  revoke();
  return proxy;
}

/** The server for image URLs. */
const IMAGE = "/x";

/** Created for each case by name, so that a printed case shows what it was. */
const MAKERS: Readonly<Record<string, () => unknown>> = {
  null: () => null,
  undefined: () => undefined,
  symbol: () => Symbol("s"),
  bigint: () => 10n,
  "a function": () => () => {},
  "a function that throws": () => raise,
  "an array with a hole": () => [, 1],
  "a cyclic object": () => cyclic({}),
  "a cyclic array": () => cyclic([1]),
  "a deep value": () => deep(20_000),
  "a proxy of an object": () => new Proxy({}, {}),
  "a proxy of an array": () => new Proxy(["a"], {}),
  "a proxy that throws": () => throwingProxy({}),
  "a proxy of an array that throws": () => throwingProxy([]),
  "a proxy of a function that throws": () => throwingProxy(() => {}),
  "a revoked proxy": () => revoked({}),
  "a revoked proxy of an array": () => revoked([]),
  "a getter that throws": () => Object.defineProperty({}, "type", { enumerable: true, get: raise }),
  "a toString that throws": () => ({
    toString: raise,
    valueOf: raise,
    [Symbol.toPrimitive]: raise,
  }),
  "a toJSON that throws": () => ({ toJSON: raise }),
  "a toJSON that gives nothing": () => ({ toJSON: () => undefined }),
  "an iterator that throws": () => ({ [Symbol.iterator]: raise, length: 1 }),
  "a then that throws": () => ({ then: raise }),
  "an object without a prototype": () => Object.create(null),
  "an own __proto__": () => JSON.parse('{"__proto__":{"polluted":1},"constructor":1}'),
  "an invalid date": () => new Date(NaN),
  "a date": () => new Date(0),
  "a map": () => new Map([["a", 1]]),
  "a set": () => new Set(["a"]),
  "bytes": () => new Uint8Array([1, 2, 3]),
  "a buffer": () => new ArrayBuffer(4),
  "a detached buffer": () => structuredClone(new Uint8Array(8), { transfer: [] }),
  "a blob": () => new Blob(["x"]),
  "an address": () => new URL("http://127.0.0.1:9/x"),
  "a regular expression": () => /x/,
  "a boxed text": () => Object("text"),
  "a boxed number": () => Object(1),
  "an aborted signal": () => AbortSignal.abort(THROWN),
  "an error": () => new Error("x"),
  "a promise": () => Promise.resolve(1),
  "a generator": () =>
    (function* () {
      yield 1;
    })(),
  "a weak map": () => new WeakMap(),
  "half a character": () => "\ud800",
  "control characters": () => "\0\u001b[31m\r\n",
  "a long text": () => "x".repeat(100_000),
  "many parts": () => new Array(2000).fill({}),
  "a huge number": () => Number.MAX_VALUE,
  "a tiny number": () => Number.MIN_VALUE,
  "no number": () => NaN,
  "minus zero": () => -0,
  infinity: () => Infinity,
  "an empty text": () => "",
  "an empty list": () => [],
  "an empty object": () => ({}),
};

const value: fc.Arbitrary<string | { readonly any: unknown }> = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...Object.keys(MAKERS)) },
  {
    weight: 1,
    arbitrary: fc.anything({
      maxDepth: 2,
      withBigInt: true,
      withBoxedValues: true,
      withDate: true,
      withMap: true,
      withNullPrototype: true,
      withObjectString: true,
      withSet: true,
      withSparseArray: true,
      withTypedArray: true,
    }).map((any) => ({ any })),
  },
);

const TOOL = {
  name: "look",
  description: "Looks.",
  parameters: { type: "object", properties: { a: { type: "string" } } },
  execute: () => "seen",
};
const PNG = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUg==";
const SAMPLING = { temperature: 1, topP: 1, topK: 1, minP: 0, maxTokens: 5, repeatPenalty: 1 };
const COMPLETION = {
  model: "m",
  messages: [
    { role: "system", content: "Be brief.", name: "n" },
    {
      role: "user",
      content: [{ type: "text", text: "x" }, { type: "image", image: PNG, mediaType: "image/png" }],
    },
    {
      role: "assistant",
      content: "",
      reasoning: "r",
      toolCalls: [{ id: "c", name: "look", arguments: "{}" }],
    },
    { role: "tool", toolCallId: "c", content: "y" },
    "Hello",
  ],
  ...SAMPLING,
  stop: ["x"],
  seed: 1,
  presencePenalty: 0,
  frequencyPenalty: 0,
  logitBias: { 1: 2 },
  tools: [TOOL],
  toolChoice: "auto",
  textToolCalls: "parse",
  schemaName: "s",
  reasoning: "low",
  reasoningTags: [["<a>", "</a>"], { open: "<b>", close: "</b>" }],
  sendReasoning: true,
  ttlSeconds: 5,
  draftModel: "d",
  contextOverflowPolicy: "error",
  onTrim: () => {},
  extraBody: { a: 1 },
};
const OBJECT = {
  ...COMPLETION,
  tools: undefined,
  toolChoice: undefined,
  schema: { type: "object" },
  maxRepairs: 0,
};
const RUN = { ...COMPLETION, maxRounds: 2, onToolCall: () => {}, parallel: true };
const TEXT = {
  model: "m",
  prompt: "Hello",
  suffix: "s",
  echo: false,
  ...SAMPLING,
  stop: ["x"],
  seed: 1,
  extraBody: { a: 1 },
};
const CHAT = {
  model: "m",
  input: [{ type: "text", content: "x" }, { type: "image", image: PNG }],
  systemPrompt: "s",
  previousResponseId: "r",
  store: true,
  integrations: ["mcp/x", { type: "plugin", id: "x", allowedTools: ["a"] }, {
    type: "ephemeral_mcp",
    serverLabel: "l",
    serverUrl: "http://127.0.0.1:8/",
    headers: { a: "b" },
  }],
  contextLength: 5,
  reasoning: "low",
  reasoningTags: [["<a>", "</a>"]],
  ...SAMPLING,
};
const RESPONSES = {
  model: "m",
  input: ["x", { role: "user", content: [{ type: "text", text: "x" }] }, {
    type: "function_call_output",
    callId: "c",
    output: "o",
  }],
  instructions: "i",
  previousResponseId: "r",
  store: false,
  tools: [TOOL, {
    type: "mcp",
    serverLabel: "l",
    serverUrl: "http://127.0.0.1:8/",
    allowedTools: ["a"],
    headers: { a: "b" },
  }],
  toolChoice: "auto",
  reasoning: "low",
  maxOutputTokens: 5,
  temperature: 1,
  topP: 1,
  extraBody: { a: 1 },
};
const DECISION = {
  model: "m",
  input: [{ role: "user", content: "x" }],
  questions: {
    calm: { type: "predicate", instructions: "?" },
    team: { type: "choice", instructions: "?", choices: ["a", { value: "b", description: "d" }] },
    grade: {
      type: "score",
      instructions: "?",
      levels: ["low", { label: "high", description: "d" }],
    },
  },
};
const EMBEDDING = {
  model: "m",
  input: ["a", "b"],
  batchSize: 1,
  dimensions: 2,
  concurrency: 1,
  onProgress: () => {},
};
const LOAD = {
  contextLength: 5,
  evalBatchSize: 5,
  flashAttention: true,
  numExperts: 1,
  offloadKvCacheToGpu: true,
};
const OPTIONS = {
  signal: new AbortController().signal,
  headers: { "x-a": "b" },
  maxRetries: 0,
  timeoutMs: 5000,
  connectTimeoutMs: 5000,
  onStatus: () => {},
  onQueue: () => {},
};
const STREAM_OPTIONS = { ...OPTIONS, firstTokenTimeoutMs: 5000, idleTimeoutMs: 5000 };

type Providers = ReturnType<typeof providersWith>;
/** A method, valid arguments, and how to call it. */
interface Method {
  readonly args: readonly unknown[];
  run(providers: Providers, args: readonly never[]): unknown;
}

const METHODS: Readonly<Record<string, Method>> = {
  complete: {
    args: [COMPLETION, OPTIONS],
    run: ({ lmstudio }, [a, b]) => lmstudio.complete(a!, b),
  },
  streamCompletion: {
    args: [COMPLETION, STREAM_OPTIONS],
    run: ({ lmstudio }, [a, b]) => lmstudio.streamCompletion(a!, b).response(),
  },
  completeText: {
    args: [TEXT, OPTIONS],
    run: ({ lmstudio }, [a, b]) => lmstudio.completeText(a!, b),
  },
  streamText: {
    args: [TEXT, STREAM_OPTIONS],
    run: ({ lmstudio }, [a, b]) => lmstudio.streamText(a!, b).response(),
  },
  completeObject: {
    args: [OBJECT, OPTIONS],
    run: ({ lmstudio }, [a, b]) => lmstudio.completeObject(a!, b),
  },
  streamObject: {
    args: [OBJECT, STREAM_OPTIONS],
    run: ({ lmstudio }, [a, b]) => lmstudio.streamObject(a!, b).response(),
  },
  runTools: { args: [RUN, OPTIONS], run: ({ lmstudio }, [a, b]) => lmstudio.runTools(a!, b) },
  streamTools: {
    args: [RUN, STREAM_OPTIONS],
    run: ({ lmstudio }, [a, b]) => lmstudio.streamTools(a!, b).result(),
  },
  embed: { args: [EMBEDDING, OPTIONS], run: ({ lmstudio }, [a, b]) => lmstudio.embed(a!, b) },
  decide: { args: [DECISION, OPTIONS], run: ({ lmstudio }, [a, b]) => lmstudio.decide(a!, b) },
  "chat.send": { args: [CHAT, OPTIONS], run: ({ lmstudio }, [a, b]) => lmstudio.chat.send(a!, b) },
  "chat.stream": {
    args: [CHAT, STREAM_OPTIONS],
    run: ({ lmstudio }, [a, b]) => lmstudio.chat.stream(a!, b).response(),
  },
  "responses.create": {
    args: [RESPONSES, OPTIONS],
    run: ({ lmstudio }, [a, b]) => lmstudio.responses.create(a!, b),
  },
  "responses.stream": {
    args: [RESPONSES, STREAM_OPTIONS],
    run: ({ lmstudio }, [a, b]) => lmstudio.responses.stream(a!, b).response(),
  },
  listModels: { args: [OPTIONS], run: ({ lmstudio }, [a]) => lmstudio.listModels(a) },
  supportsModel: {
    args: ["m", OPTIONS],
    run: ({ lmstudio }, [a, b]) => lmstudio.supportsModel(a!, b),
  },
  modelCapabilities: {
    args: ["m", OPTIONS],
    run: ({ lmstudio }, [a, b]) => lmstudio.modelCapabilities(a!, b),
  },
  "models.get": { args: ["m", OPTIONS], run: ({ lmstudio }, [a, b]) => lmstudio.models.get(a!, b) },
  "models.load": {
    args: ["m", LOAD, OPTIONS],
    run: ({ lmstudio }, [a, b, c]) => lmstudio.models.load(a!, b, c),
  },
  "models.unload": {
    args: ["m", OPTIONS],
    run: ({ lmstudio }, [a, b]) => lmstudio.models.unload(a!, b),
  },
  "models.ensureLoaded": {
    args: ["m", { ...LOAD, unloadOnDispose: false }, OPTIONS],
    run: ({ lmstudio }, [a, b, c]) => lmstudio.models.ensureLoaded(a!, b, c),
  },
  "models.download": {
    args: ["m", { quantization: "q", pollIntervalMs: 1 }, OPTIONS],
    run: ({ lmstudio }, [a, b, c]) => lmstudio.models.download(a!, b, c).response(),
  },
  "models.downloadStatus": {
    args: ["job", OPTIONS],
    run: ({ lmstudio }, [a, b]) => lmstudio.models.downloadStatus(a!, b),
  },
  "openai fetch": {
    args: ["http://127.0.0.1:9/v1/models", {
      method: "POST",
      headers: { a: "b" },
      body: "{}",
      signal: OPTIONS.signal,
    }],
    run: ({ lmstudio }, [a, b]) => lmstudio.toOpenAI().fetch(a!, b),
  },
  "anthropic fetch": {
    args: ["http://127.0.0.1:9/v1/messages", {
      method: "POST",
      headers: { a: "b" },
      body: "{}",
      signal: OPTIONS.signal,
    }],
    run: ({ lmstudio }, [a, b]) => lmstudio.toAnthropic().fetch(a!, b),
  },
  "local.complete": {
    args: [COMPLETION, OPTIONS],
    run: ({ local }, [a, b]) => local.complete(a!, b),
  },
  "local.embed": { args: [EMBEDDING, OPTIONS], run: ({ local }, [a, b]) => local.embed(a!, b) },
  "compatible.complete": {
    args: [COMPLETION, OPTIONS],
    run: ({ compatible }, [a, b]) => compatible.complete(a!, b),
  },
  "fallback.complete": {
    args: [COMPLETION, OPTIONS],
    run: ({ fallback }, [a, b]) => fallback.complete(a!, b),
  },
  "fallback.streamCompletion": {
    args: [COMPLETION, STREAM_OPTIONS],
    run: ({ fallback }, [a, b]) => fallback.streamCompletion(a!, b).response(),
  },
  "discovery.discover": {
    args: [{ force: true, signal: OPTIONS.signal }],
    run: ({ discovery }, [a]) => discovery.discover(a),
  },
  "discovery.probe": {
    args: ["lmstudio", "http://127.0.0.1:9"],
    run: ({ discovery }, [a, b]) => discovery.probe(a!, b!),
  },
  "discovery.healthCheck": {
    args: ["lmstudio", "http://127.0.0.1:9"],
    run: ({ discovery }, [a, b]) => discovery.healthCheck(a!, b!),
  },
  "discovery.models": { args: ["lmstudio"], run: ({ discovery }, [a]) => discovery.models(a!) },
};

const PROVIDER = {
  baseUrl: "http://127.0.0.1:9",
  apiToken: "t",
  model: "m",
  embeddingModel: "m",
  decisionModel: "m",
  timeoutMs: 5000,
  connectTimeoutMs: 5000,
  firstTokenTimeoutMs: 5000,
  idleTimeoutMs: 5000,
  maxRetries: 0,
  modelCacheTtlMs: 1,
  maxConcurrency: 2,
  reasoningTags: [["<a>", "</a>"]],
  headers: { a: "b" },
  onModelSubstituted: "ignore",
  discovery: {
    timeoutMs: 5000,
    candidates: [{ type: "lmstudio", endpoint: "http://127.0.0.1:9" }],
    env: {},
  },
  env: { LMSTUDIO_MODEL: "m" },
};
/** Constructors with options, which throw at once. */
const MAKES: Readonly<
  Record<string, readonly [args: readonly unknown[], make: (args: readonly never[]) => unknown]>
> = {
  LMStudioProvider: [[PROVIDER], ([a]) => new LMStudioProvider(a)],
  LocalProvider: [[PROVIDER], ([a]) => new LocalProvider(a)],
  OpenAICompatibleProvider: [
    [{
      ...PROVIDER,
      name: "n",
      decisionModel: undefined,
      onModelSubstituted: undefined,
      discovery: undefined,
    }],
    ([a]) => new OpenAICompatibleProvider(a!),
  ],
  FallbackProvider: [[[new LMStudioProvider({ env: {} })]], ([a]) => new FallbackProvider(a!)],
  ServiceDiscovery: [
    [{ ...PROVIDER.discovery, healthCheck: { intervalMs: 1000, timeoutMs: 100, maxFailures: 3 } }],
    ([a]) => new ServiceDiscovery(a),
  ],
  resolveConfig: [[PROVIDER, { LMSTUDIO_MODEL: "m" }], ([a, b]) => resolveConfig(a, b)],
  tool: [[TOOL], ([a]) => tool(a!)],
  fromMcpTool: [
    [{ name: "n", description: "d", inputSchema: { type: "object" }, call: () => "x" }],
    ([a]) => fromMcpTool(a!),
  ],
};

/** Every place in a value, starting with the value itself. */
function placesIn(of: unknown, path: readonly string[] = []): (readonly string[])[] {
  const isOpen = Array.isArray(of) ||
    (typeof of === "object" && of !== null && Object.getPrototypeOf(of) === Object.prototype);
  return isOpen
    ? [path, ...Object.entries(of).flatMap(([key, part]) => placesIn(part, [...path, key]))]
    : [path];
}

function putAt(of: unknown, [key, ...rest]: readonly string[], put: unknown): unknown {
  if (key === undefined) return put;
  const copy = Array.isArray(of) ? [...of] : { ...of as object };
  Object.defineProperty(copy, key, {
    value: putAt(Reflect.get(of as object, key), rest, put),
    enumerable: true,
    configurable: true,
    writable: true,
  });
  return copy;
}

const drawn = fc.record({ method: fc.nat(1000), arg: fc.nat(2), place: fc.nat(1000), value });

interface Draw {
  readonly arg: number;
  readonly place: number;
  readonly value: string | { readonly any: unknown };
}

function spoil(
  args: readonly unknown[],
  draw: Draw,
): { args: readonly never[]; path: readonly string[] } {
  const index = draw.arg % args.length;
  const places = placesIn(args[index]);
  // Half of them at the first level, where the field names are.
  const shallow = places.filter(({ length }) => length <= 1);
  const pool = draw.place % 2 === 0 ? shallow : places;
  const path = pool[draw.place % pool.length]!;
  const put = typeof draw.value === "string" ? MAKERS[draw.value]!() : draw.value.any;
  return {
    args: args.map((arg, at) => at === index ? putAt(arg, path, put) : arg) as never[],
    path,
  };
}

const GOOD: Readonly<Record<string, unknown>> = {
  "/api/v1/models": {
    models: [{
      type: "llm",
      key: "m",
      loaded_instances: [{ id: "m", config: {} }],
      max_context_length: 10,
    }],
  },
  "/v1/models": { data: [{ id: "m" }] },
  "/v1/chat/completions": {
    id: "x",
    model: "m",
    choices: [{ message: { content: "{}" }, finish_reason: "stop" }],
  },
  "/v1/completions": { id: "x", model: "m", choices: [{ text: "x", finish_reason: "stop" }] },
  "/v1/embeddings": { model: "m", data: [{ index: 0, embedding: [1, 2] }] },
  "/v1/responses": { id: "r", model: "m", status: "completed", output: [] },
  "/api/v1/chat": { model_instance_id: "m", output: [], stats: {} },
  "/api/v1/models/load": { instance_id: "m", type: "llm", load_time_seconds: 1 },
  "/api/v1/models/unload": { instance_id: "m" },
  "/api/v1/models/download": { status: "already_downloaded" },
  "/lmstudio-greeting": { lmstudio: true },
};

function providersWith(fetch: typeof globalThis.fetch) {
  const options = { env: {}, maxRetries: 0, baseUrl: "http://127.0.0.1:9", fetch } as const;
  const candidates = [{ type: "lmstudio", endpoint: options.baseUrl }] as const;
  const lmstudio = new LMStudioProvider({ ...options, onModelSubstituted: "ignore" });
  return {
    lmstudio,
    local: new LocalProvider({ ...options, discovery: { candidates } }),
    compatible: new OpenAICompatibleProvider({ name: "other", ...options }),
    fallback: new FallbackProvider([lmstudio]),
    discovery: new ServiceDiscovery({ env: {}, fetch, candidates }),
  };
}

/** Refusals, as opposed to errors from a server. */
function isRefusal(error: { readonly kind: string; readonly attempts: number }): boolean {
  return ["invalid-request", "serialization", "configuration"].includes(error.kind);
}

function checkError(
  name: string,
  error: unknown,
  path: readonly string[],
  asked: readonly string[],
): void {
  // A revoked proxy throws on every access, as a caller's getter may.
  if (error === THROWN || (error instanceof TypeError && error.message.includes("revoked"))) return;
  check(isProviderError(error), () => `${name}: a foreign error: ${Deno.inspect(error)}`);
  JSON.stringify(error);
  Deno.inspect(error);
  if (!isRefusal(error)) return;
  // Discovery runs before schemas are written: it is not the request.
  const sent = name.startsWith("local.")
    ? asked.filter((path) => path.startsWith("/v1/"))
    : asked.filter((path) => path !== IMAGE);
  check(sent.length === 0, () => `${name}: refused after ${asked.join()}: ${error.message}`);
  const fields = path.filter((field) => !/^\d+$/.test(field));
  if (fields.length === 0) return;
  check(
    // For a value with its own fields, those in the request, perhaps only the first of them.
    fields.some((field) => error.message.includes(field)) ||
      /(?:field|option) "/.test(error.message),
    () => `${name}: does not name ${fields.join(".")}: ${error.message}`,
  );
}

export const JAVASCRIPT_VALUES: readonly Property[] = [
  property("values", 14_000, drawn, async ({ method, ...draw }) => {
    const names = Object.keys(METHODS);
    const name = names[method % names.length]!;
    const { args, run } = METHODS[name]!;
    const asked: string[] = [];
    const fetch: typeof globalThis.fetch = (input) => {
      const { pathname } = new URL(String(input));
      asked.push(pathname);
      const answer = GOOD[pathname];
      return Promise.resolve(
        Response.json(answer ?? { error: "no such route" }, {
          status: answer === undefined ? 404 : 200,
        }),
      );
    };
    const providers = providersWith(fetch);
    const { args: given, path } = spoil(args, draw);
    let running: unknown;
    try {
      running = run(providers, given);
    } catch (error) {
      check(false, () => `${name}: throws at once: ${Deno.inspect(error)}`);
    }
    try {
      await running;
    } catch (error) {
      checkError(name, error, path, asked);
    }
  }),
  property("options", 6_000, drawn, ({ method, ...draw }) => {
    const names = Object.keys(MAKES);
    const name = names[method % names.length]!;
    const [args, make] = MAKES[name]!;
    const { args: given, path } = spoil(args, draw);
    try {
      make(given);
    } catch (error) {
      checkError(name, error, path, []);
    }
  }),
];
