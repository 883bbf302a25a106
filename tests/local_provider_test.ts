/** `LocalProvider`, `createDefaultProvider` and `OpenAICompatibleProvider`: which server gets what. */

import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import {
  AuthenticationError,
  ConfigurationError,
  createDefaultProvider,
  InvalidRequestError,
  LMStudioProvider,
  type LMStudioProviderOptions,
  LocalProvider,
  ModelNotAvailableError,
  NetworkError,
  OpenAICompatibleProvider,
  type OpenAICompatibleProviderOptions,
  type ServiceCandidate,
  ServiceDiscovery,
  type ServiceInfo,
} from "../mod.ts";
import { createFakeLMStudio, testModelProvider } from "../src/testing/mod.ts";
import { serveOllama } from "./support/fake_ollama.ts";
import { serveForeign, serveSilence, serveVllm } from "./support/foreign_servers.ts";
import { closedPort } from "./support/raw_server.ts";
import { rejection } from "./support/wire.ts";

const TOKEN = "sk-lm-abcdefgh:12345678901234567890";
const EMBEDDER = "text-embedding-nomic-embed-text-v1.5";

function lmstudio(endpoint: string): ServiceCandidate {
  return { type: "lmstudio", endpoint };
}

function ollama(endpoint: string): ServiceCandidate {
  return { type: "ollama", endpoint };
}

function over(
  candidates: readonly ServiceCandidate[],
  options: LMStudioProviderOptions = {},
): LocalProvider {
  return new LocalProvider({ env: {}, discovery: { candidates }, maxRetries: 0, ...options });
}

function unreachable(): string {
  return `http://127.0.0.1:${closedPort()}`;
}

// --- The conformance suite, over each kind of server ------------------------------------------

Deno.test("conformance: LocalProvider over Ollama", async () => {
  await using server = serveOllama();
  await testModelProvider(
    "Ollama",
    (situation) => over([ollama(situation === "working" ? server.url : unreachable())]),
  );
  assert(server.requests.every((request) => !request.includes("lmstudio")));
});

Deno.test("conformance: LocalProvider over LM Studio", async () => {
  await using server = await createFakeLMStudio().listen();
  await testModelProvider(
    "LM Studio",
    (situation) => over(situation === "working" ? [lmstudio(server.url)] : []),
  );
});

Deno.test("conformance: LocalProvider over both", async () => {
  await using server = await createFakeLMStudio().listen();
  await using atOllama = serveOllama();
  await testModelProvider("both", () => over([ollama(atOllama.url), lmstudio(server.url)]));
});

Deno.test("conformance: OpenAICompatibleProvider", async () => {
  await using server = serveOllama();
  await testModelProvider("other", (situation) =>
    new OpenAICompatibleProvider({
      name: "other",
      baseUrl: situation === "working" ? server.url : unreachable(),
      maxRetries: 0,
    }));
});

// --- LocalProvider: which server ----------------------------------------------------------------

Deno.test("local: a request goes to the server that has the model, in any spelling", async () => {
  await using first = await createFakeLMStudio({ models: ["qwen/qwen3-8b", EMBEDDER] }).listen();
  const second = createFakeLMStudio({
    models: [{ id: "openai/gpt-oss-20b", instances: ["my-alias"] }],
  });
  await using atSecond = await second.listen();
  await using atOllama = serveOllama();
  const local = over([lmstudio(first.url), lmstudio(atSecond.url), ollama(atOllama.url)]);
  assertEquals(local.name, "local");
  const ask = async (model: string) => (await local.complete({ model, messages: "Hi" })).model;
  assertEquals(await ask("qwen/qwen3-8b"), "qwen/qwen3-8b");
  assertEquals(await ask("Qwen3-8B"), "qwen/qwen3-8b");
  assertEquals(await ask("gpt-oss-20b"), "my-alias");
  assertEquals(await ask("my-alias"), "my-alias");
  assertEquals(await ask("llama3.2"), "llama3.2");
  assertEquals(await ask("llama3.2:latest"), "llama3.2:latest");
  const stream = local.streamCompletion({ model: "llama3.2", messages: "Hi" });
  assertEquals((await stream.response()).content, "Hello from Ollama.");
  const { model } = await local.embed({ model: "nomic-embed-text", input: "sea" });
  assertEquals(model, "nomic-embed-text");
  assertEquals((await local.embed({ model: EMBEDDER, input: "sea" })).embeddings.length, 1);
  assert(await local.supportsModel("llama3.2") && await local.supportsModel("my-alias"));
  assertEquals((await local.modelCapabilities("llama3.2"))?.supportsEmbeddings, false);
  assertEquals((await local.modelCapabilities("nomic-embed-text"))?.supportsEmbeddings, true);
});

Deno.test("local: capabilities are those of the named instance", async () => {
  await using server = await createFakeLMStudio({
    models: [{
      id: "qwen/qwen3-8b",
      instances: [{ id: "large", contextLength: 32_768 }, "qwen/qwen3-8b", {
        id: "qwen/qwen3-8b:2",
        contextLength: 2048,
      }],
    }],
  }).listen();
  const local = over([lmstudio(server.url)]);
  const maxTokens = async (name: string) => (await local.modelCapabilities(name))?.maxTokens;
  assertEquals(await maxTokens("qwen/qwen3-8b"), 4096);
  assertEquals(await maxTokens("Qwen3-8B"), 4096);
  assertEquals(await maxTokens("large"), 32_768);
  assertEquals(await maxTokens("qwen/qwen3-8b:2"), 2048);
});

Deno.test("local: the listing is that of all servers, each model with its provider", async () => {
  await using first = await createFakeLMStudio({ models: ["a", "llama3.2:latest"] }).listen();
  await using atOllama = serveOllama({ models: ["llama3.2:latest", "b:latest"] });
  await using secured = await createFakeLMStudio({ apiToken: TOKEN }).listen();
  const local = over([lmstudio(secured.url), lmstudio(first.url), ollama(atOllama.url)]);
  assertEquals((await local.listModels()).map(({ id, provider }) => [id, provider]), [
    ["a", "lmstudio"],
    ["llama3.2:latest", "lmstudio"],
    ["b:latest", "ollama"],
  ]);
});

Deno.test("local: without a model name the preferred server chooses one", async () => {
  const fake = createFakeLMStudio({ models: ["a", { id: "b", loaded: false }] });
  await using server = await fake.listen();
  await using atOllama = serveOllama();
  const candidates = [lmstudio(server.url), ollama(atOllama.url)];
  const ask = async (local: LocalProvider) => (await local.complete("Hi")).model;
  assertEquals(await ask(over(candidates)), "a");
  assertEquals(await ask(over(candidates.toReversed())), "llama3.2:latest");
  for (
    const env of [
      { LOCAL_PROVIDER_PREFERENCE: "ollama" },
      { PATINOX_MODEL_PROVIDER: "Ollama" },
      { PATINOX_MODEL_PROVIDER: "lmstudio", LOCAL_PROVIDER_PREFERENCE: "ollama" },
    ]
  ) {
    assertEquals(await ask(over(candidates, { env })), "llama3.2:latest");
    // A discovery that was passed in does not know about it.
    const discovery = new ServiceDiscovery({ env: {}, candidates });
    assertEquals(await ask(over(candidates, { env, discovery })), "llama3.2:latest");
  }
  // Several loaded models are an error there, and do not move on to another server.
  await using several = await createFakeLMStudio({ models: ["a", "b"] }).listen();
  const error = await assertRejects(
    () => over([lmstudio(several.url), ollama(atOllama.url)]).complete("Hi"),
    ModelNotAvailableError,
  );
  assertEquals([error.code, error.service], ["no_model_loaded", "LM Studio"]);
});

Deno.test("local: the configured models; the option overrides the variable", async () => {
  await using atOllama = serveOllama({ models: ["a:latest", "b:latest", "c:latest"] });
  const ask = async (options: LMStudioProviderOptions) =>
    (await over([ollama(atOllama.url)], options).complete("Hi")).model;
  const env = { PATINOX_MODEL_DEFAULT: "c:latest", LMSTUDIO_MODEL: "b:latest" };
  assertEquals(await ask({ env, model: "a:latest" }), "a:latest");
  assertEquals(await ask({ env }), "b:latest");
  assertEquals(await ask({ env: { PATINOX_MODEL_DEFAULT: "c:latest" } }), "c:latest");
  const local = over([ollama(atOllama.url)], { embeddingModel: "b:latest" });
  assertEquals((await local.embed({ input: "sea" })).model, "b:latest");
});

Deno.test("local: variables in an envFile count, but rank below the environment", async () => {
  await using atOllama = serveOllama();
  const envFile = await Deno.makeTempFile();
  try {
    const text = [
      `OLLAMA_HOST=${atOllama.url}`,
      "LOCAL_AUTO_DISCOVER=false",
      "PATINOX_MODEL_DEFAULT=llama3.2",
    ];
    await Deno.writeTextFile(envFile, text.join("\n"));
    assertEquals((await new LocalProvider({ env: {}, envFile }).complete("Hi")).model, "llama3.2");
    const env = { OLLAMA_HOST: unreachable() };
    await assertRejects(() => new LocalProvider({ env, envFile }).complete("Hi"), NetworkError);
  } finally {
    await Deno.remove(envFile);
  }
});

Deno.test("local: no server at all", async () => {
  await using vllm = serveVllm();
  const local = over([lmstudio(vllm.url), ollama(unreachable())]);
  const calls = [
    () => local.listModels(),
    () => local.complete("Hi"),
    () => local.complete({ model: "m", messages: "Hi" }),
    () => local.streamCompletion("Hi").response(),
    () => local.embed({ input: "sea" }),
  ];
  for (const call of calls) {
    const error = await assertRejects(call, NetworkError);
    assertEquals(error.code, "service_not_found");
    assertStringIncludes(error.message, `LM Studio at ${vllm.url} (something else answers there)`);
    assertStringIncludes(error.hint, "ollama serve");
  }
  assertEquals(await local.supportsModel("m"), false);
  assertEquals(await local.modelCapabilities("m"), undefined);
});

Deno.test("local: a model that a server may have but does not list is reported as such", async () => {
  await using secured = await createFakeLMStudio({ models: ["a/m"], apiToken: TOKEN }).listen();
  await using atOllama = serveOllama({ models: ["b:latest"] });
  const local = over([lmstudio(secured.url), ollama(atOllama.url)]);
  const error = await assertRejects(
    () => local.complete({ model: "a/m", messages: "Hi" }),
    ModelNotAvailableError,
  );
  assertEquals([error.code, error.available], ["model_not_found", ["b:latest"]]);
  const told =
    `none of the servers that list their models (Ollama at ${atOllama.url}) has the model "a/m"`;
  assertStringIncludes(error.message, told);
  assertStringIncludes(
    error.message,
    `LM Studio at ${secured.url} does not list its models (unauthorized)`,
  );
  assertInstanceOf(error.cause, AuthenticationError);
  assertStringIncludes(error.hint, error.cause.hint);
});

Deno.test("local: a model that no server has", async () => {
  await using server = await createFakeLMStudio({ models: ["a"] }).listen();
  await using atOllama = serveOllama({ models: ["b:latest"] });
  const local = over([lmstudio(server.url), ollama(atOllama.url)]);
  const request = { model: "nobody/has-it", messages: "Hi" };
  const calls = [
    () => local.complete(request),
    () => local.streamCompletion(request).response(),
    () => local.embed({ model: request.model, input: "sea" }),
  ];
  for (const call of calls) {
    const error = await assertRejects(call, ModelNotAvailableError);
    assertEquals([error.code, error.model], ["model_not_found", request.model]);
    assertEquals(error.available, ["a", "b:latest"]);
  }
  assert(atOllama.requests.every((request) => !request.startsWith("POST")));
});

Deno.test("local: new models and new servers are found", async () => {
  const models = ["a:latest"];
  await using atOllama = serveOllama({ models });
  const port = closedPort();
  const local = over([ollama(atOllama.url), ollama(`127.0.0.1:${port}`)]);
  assert(await local.supportsModel("a"));
  models.push("b:latest");
  assert(await local.supportsModel("b"));
  assertEquals(await local.supportsModel("c"), false);
  await using _second = serveOllama({ models: ["c:latest"], port });
  assert(await local.supportsModel("c"));
  assertEquals((await local.complete({ model: "c", messages: "Hi" })).model, "c");
});

Deno.test("local: the API token goes to LM Studio only", async () => {
  const secured = createFakeLMStudio({ apiToken: TOKEN, models: ["a"] });
  await using server = await secured.listen();
  await using atOllama = serveOllama();
  const candidates = [lmstudio(server.url), ollama(atOllama.url)];
  const local = over(candidates, { apiToken: TOKEN });
  assertEquals((await local.complete({ model: "a", messages: "Hi" })).model, "a");
  await local.complete({ model: "llama3.2", messages: "Hi" });
  assertEquals((await local.listModels()).length, 3);
  for (const headers of atOllama.headers) assertEquals(headers.get("authorization"), null);
  const greeting = secured.requests.find(({ path }) => path === "/lmstudio-greeting");
  assertEquals(greeting?.headers.authorization, undefined);
  // Without it, the caller gets LM Studio's error.
  await assertRejects(
    () => over([lmstudio(server.url)]).complete({ model: "a", messages: "Hi" }),
    AuthenticationError,
  );
});

Deno.test("local: Ollama is used through its OpenAI-compatible routes, under its own name", async () => {
  await using atOllama = serveOllama();
  const local = over([ollama(atOllama.url)]);
  const error = await assertRejects(() => local.complete("Hi", { headers: { "x y": "" } }));
  assertInstanceOf(error, InvalidRequestError);
  await local.complete("Hi");
  assertEquals([...new Set(atOllama.requests)].sort(), [
    "GET /api/tags",
    "GET /api/version",
    "GET /v1/models",
    "POST /v1/chat/completions",
  ]);
  await using broken = serveForeign((_, path) => {
    if (path === "/api/version") return Response.json({ version: "1" });
    if (path === "/api/tags") return Response.json({ models: [{ name: "a:latest" }] });
    return Response.json({ error: "llama runner process has terminated" }, { status: 500 });
  });
  const failure = await rejection(
    over([ollama(broken.url)]).complete({ model: "a", messages: "Hi" }),
  ) as NetworkError;
  assertEquals([failure.service, failure.code], ["Ollama", "model_crashed"]);
  const gone = serveOllama();
  const lost = over([ollama(gone.url)]);
  await lost.complete("Hi");
  await gone[Symbol.asyncDispose]();
  const { hint } = await rejection(lost.complete("Hi")) as NetworkError;
  assert(!/LM Studio|\blms\b/.test(hint), hint);
});

Deno.test("local: a fast server does not wait for a silent one", async () => {
  await using server = await createFakeLMStudio({ models: ["a"] }).listen();
  await using silence = serveSilence();
  const candidates = [lmstudio(server.url), ollama(silence.url)];
  // This would take a minute.
  const local = over(candidates, { discovery: { candidates, timeoutMs: 60_000 } });
  assertEquals((await local.complete("Hi")).model, "a");
  assertEquals((await local.complete({ model: "a", messages: "Hi" })).model, "a");
});

Deno.test("local: an abort during discovery", async () => {
  await using silence = serveSilence();
  const candidates = [lmstudio(silence.url)];
  const local = over(candidates, { discovery: { candidates, timeoutMs: 60_000 } });
  const controller = new AbortController();
  const { signal } = controller;
  const calls = [
    local.complete("Hi", { signal }),
    local.streamCompletion("Hi", { signal }).response(),
    local.listModels({ signal }),
    local.supportsModel("m", { signal }),
  ];
  const reasons = calls.map(rejection);
  const reason = new Error("enough");
  await new Promise((resolve) => setTimeout(resolve, 5));
  controller.abort(reason);
  for (const thrown of reasons) assertStrictEquals(await thrown, reason);
  while (silence.left < 1) await new Promise((resolve) => setTimeout(resolve, 5));
});

// --- LocalProvider: servers that go away --------------------------------------------------------

Deno.test("local: a host is killed mid-run: no call is lost, and the next ones go to the second host", async () => {
  const serve = (reply: string) =>
    createFakeLMStudio({ models: ["m"], replies: () => reply }).listen();
  await using second = await serve("second");
  for (
    const ask of [
      async (local: LocalProvider) => (await local.complete("Who?")).content,
      async (local: LocalProvider) =>
        (await local.complete({ model: "m", messages: "Who?" })).content,
      async (local: LocalProvider) => (await local.streamCompletion("Who?").response()).content,
    ]
  ) {
    const first = await serve("first");
    const local = over([lmstudio(first.url), lmstudio(second.url)]);
    assertEquals(await ask(local), "first");
    await first[Symbol.asyncDispose]();
    assertEquals([await ask(local), await ask(local)], ["second", "second"]);
  }
});

Deno.test("local: a started answer fails with its partial text; without another server the error is thrown", async () => {
  const fake = createFakeLMStudio({
    models: ["m"],
    replies: () => ({ content: ["One ", "two ", "three ", "four"] }),
    tokenMs: 30,
  });
  const server = await fake.listen();
  const local = over([lmstudio(server.url)]);
  const stream = local.streamCompletion("Count");
  const error = await rejection((async () => {
    for await (const _ of stream) await server[Symbol.asyncDispose]();
  })());
  assertInstanceOf(error, NetworkError);
  assert(error.partial?.content.startsWith("One "));
  const refused = await assertRejects(() => local.complete("Again"), NetworkError);
  assert(["connection_refused", "service_not_found"].includes(refused.code));
});

Deno.test("local: a server that the monitor found down is skipped until its next check", async () => {
  const state = (endpoint: string, status: ServiceInfo["status"]): ServiceInfo => ({
    type: "lmstudio",
    endpoint,
    models: ["m"],
    status,
    lastHealthCheck: new Date(),
    consecutiveFailures: 0,
    metrics: { averageResponseMs: 1, modelCount: 1, successRate: 1 },
  });
  await using server = await createFakeLMStudio({ models: ["m"] }).listen();
  const fake = createFakeLMStudio({ models: ["m"] });
  await using down = await fake.listen();
  const services = [state(down.url, "unavailable"), state(server.url, "degraded")];
  const discovery = {
    discover: () => Promise.resolve(services),
    find: () => Promise.resolve(services[1]!),
  };
  const local = new LocalProvider({ env: {}, discovery });
  await local.complete("Hi");
  await local.listModels();
  assertEquals(fake.requests.length, 0);
});

// --- createDefaultProvider ----------------------------------------------------------------------

Deno.test("default: by configuration, without any request", async () => {
  const fetch = () => Promise.reject(new Error("asked"));
  const env = { LMSTUDIO_HOST: "10.0.0.5", PATINOX_MODEL_DEFAULT: "m" };
  for (const options of [{ env }, { env: {}, baseUrl: "10.0.0.5", model: "m" }]) {
    const provider = await createDefaultProvider({ ...options, fetch });
    assertInstanceOf(provider, LMStudioProvider);
    const values = Object.fromEntries(
      provider.explainConfig().map(({ key, value }) => [key, value]),
    );
    assertEquals([values.baseUrl, values.model], ["http://10.0.0.5:1234", "m"]);
  }
  for (const name of ["local", "Ollama"]) {
    const env = { PATINOX_MODEL_PROVIDER: name };
    assertInstanceOf(await createDefaultProvider({ env, fetch }), LocalProvider);
  }
});

Deno.test("default: otherwise the service discovery prefers", async () => {
  const fake = createFakeLMStudio({ models: ["a"] });
  await using server = await fake.listen();
  await using atOllama = serveOllama();
  const make = async (
    candidates: readonly ServiceCandidate[],
    env: Record<string, string> = {},
  ) => {
    const provider = await createDefaultProvider({ env, discovery: { candidates } });
    return [provider.name, (await provider.complete("Hi")).model];
  };
  const both = [lmstudio(server.url), ollama(atOllama.url)];
  assertEquals(await make(both), ["lmstudio", "a"]);
  assertEquals(await make(both.slice(1)), ["local", "llama3.2:latest"]);
  const preferred = { LOCAL_PROVIDER_PREFERENCE: "ollama", LMSTUDIO_BASE_URL: server.url };
  assertEquals(await make(both, preferred), ["local", "llama3.2:latest"]);
  const named = { PATINOX_MODEL_PROVIDER: "ollama", PATINOX_MODEL_DEFAULT: "llama3.2" };
  assertEquals(await make(both, named), ["local", "llama3.2"]);
  assertEquals(await make(both, { PATINOX_MODEL_PROVIDER: "lmstudio" }), ["lmstudio", "a"]);
  const only = { PATINOX_MODEL_PROVIDER: "ollama" };
  await assertRejects(() => make(both.slice(0, 1), only), NetworkError, "Ollama");
  await assertRejects(
    () => make(both.slice(1), { PATINOX_MODEL_PROVIDER: "lmstudio" }),
    NetworkError,
    "LM Studio",
  );
  await assertRejects(() => make([]), NetworkError);
});

Deno.test("default: a provider that is not local is refused by name", async () => {
  const env = { PATINOX_MODEL_PROVIDER: "openrouter" };
  const error = await assertRejects(() => createDefaultProvider({ env }), ConfigurationError);
  assertStringIncludes(
    error.message,
    'variable PATINOX_MODEL_PROVIDER is "openrouter", not lmstudio, ollama or local',
  );
  await assertRejects(() => createDefaultProvider({ apiKey: "x" } as object), ConfigurationError);
});

// --- OpenAICompatibleProvider -------------------------------------------------------------------

Deno.test("compatible: has its own name and options, and reads no variables", async () => {
  await using server = serveVllm();
  Deno.env.set("LMSTUDIO_MODEL", "from-the-environment");
  try {
    const vllm = new OpenAICompatibleProvider({
      name: "vllm",
      service: "vLLM",
      baseUrl: `${server.url}/v1/`,
      apiToken: "secret",
      headers: { "x-team": "a" },
    });
    assertEquals(vllm.name, "vllm");
    const models = await vllm.listModels();
    assertEquals(models.map(({ id, provider }) => [id, provider]), [["Qwen/Qwen3-8B", "vllm"]]);
    const error = await rejection(vllm.complete("Hi")) as NetworkError;
    assertEquals(error.service, "vLLM");
    assertStringIncludes(error.message, 'with model "Qwen/Qwen3-8B"');
    assert(server.requests.every((request) => /^(GET|POST) \/v1\//.test(request)));
  } finally {
    Deno.env.delete("LMSTUDIO_MODEL");
  }
});

Deno.test("compatible: the answer's model is not compared with the requested one", async () => {
  await using server = serveForeign(() =>
    Response.json({
      id: "1",
      model: "a-longer-name-of-it",
      choices: [{ index: 0, message: { content: "Hello" }, finish_reason: "stop" }],
    })
  );
  const provider = new OpenAICompatibleProvider({ name: "x", baseUrl: server.url, model: "m" });
  assertEquals((await provider.complete("Hi")).model, "a-longer-name-of-it");
  assertEquals(server.requests, ["POST /v1/chat/completions"]);
});

Deno.test("compatible: the default port is 80", async () => {
  const seen: string[] = [];
  const fetch = (input: string | URL | Request) => {
    seen.push(String(input));
    return Promise.resolve(Response.json({ data: [] }));
  };
  for (const baseUrl of ["nas", "nas:8080", "https://nas/openai/v1"]) {
    await new OpenAICompatibleProvider({ name: "x", baseUrl, fetch }).listModels();
  }
  assertEquals(seen, [
    "http://nas/v1/models",
    "http://nas:8080/v1/models",
    "https://nas/openai/v1/models",
  ]);
});

const BAD_OPTIONS: [unknown, string][] = [
  [undefined, "not an object"],
  [{ baseUrl: "nas" }, "option name is undefined"],
  [{ name: " ", baseUrl: "nas" }, "option name"],
  [{ name: "x" }, "option baseUrl is missing"],
  [{ name: "x", baseUrl: "" }, "option baseUrl is empty"],
  [{ name: "x", baseUrl: 5 }, "option baseUrl is 5"],
  [{ name: "x", baseUrl: "ftp://nas" }, "ftp"],
  [{ name: "x", baseURL: "nas" }, 'unknown option "baseURL" (did you mean "baseUrl"?)'],
  [{ name: "x", baseUrl: "nas", apiKey: "s" }, '"apiToken"'],
  [{ name: "x", baseUrl: "nas", discovery: {} }, "discovery"],
  [{ name: "x", baseUrl: "nas", onModelSubstituted: "throw" }, "onModelSubstituted"],
  [{ name: "x", baseUrl: "nas", maxRetries: 11 }, "maxRetries is 11"],
  [{ name: "x", baseUrl: "nas", service: "" }, "service"],
  [{ name: "x", baseUrl: "nas", env: 5 }, "env"],
];

for (const [options, said] of BAD_OPTIONS) {
  Deno.test(`compatible: bad options: ${JSON.stringify(options)}: ${said}`, () => {
    const error = assertThrows(
      () => new OpenAICompatibleProvider(options as OpenAICompatibleProviderOptions),
      ConfigurationError,
      said,
    );
    assert(!error.message.includes("LM Studio"), error.message);
  });
}

Deno.test("local: bad options are refused by the constructor", () => {
  for (
    const options of [
      { discovery: { timeoutMs: 0 } },
      { discovery: null },
      { apiKey: "x" },
      { env: { LOCAL_PROVIDER_PREFERENCE: "vllm" } },
      { env: { LOCAL_ENDPOINT: "ftp://nas" } },
    ]
  ) {
    assertThrows(() => new LocalProvider(options as object), ConfigurationError);
  }
});
