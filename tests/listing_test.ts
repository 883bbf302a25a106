/**
 * Listing models: the three listings a server may have, in the shapes observed on the wire (fixtures/listings),
 * which of them is requested when, and the two questions answered from a cached listing.
 */
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
} from "@std/assert";
import {
  ApiError,
  AuthenticationError,
  InvalidRequestError,
  isProviderError,
  LMStudioProvider,
  type LMStudioProviderOptions,
  type ModelInfo,
  NetworkError,
  OpenAICompatibleProvider,
  TimeoutError,
} from "../mod.ts";
import { withClock } from "./support/clock.ts";
import { cpuTimeMs } from "./support/cpu_time.ts";
import {
  fixture,
  fixtureAnswer,
  gate,
  json,
  serveStub,
  type StubAnswer,
  type StubRoutes,
  type StubServer,
  unexpectedEndpoint,
} from "./support/stub_server.ts";

const V1 = "GET /api/v1/models";
const V0 = "GET /api/v0/models";
const OPENAI = "GET /v1/models";

const GEMMA = "google/gemma-4-26b-a4b";
const NOMIC = "text-embedding-nomic-embed-text-v1.5-embedding";

function connect(server: StubServer, options: LMStudioProviderOptions = {}): LMStudioProvider {
  return new LMStudioProvider({ baseUrl: server.url, env: {}, maxRetries: 0, ...options });
}

async function listOf(routes: StubRoutes): Promise<ModelInfo[]> {
  await using server = serveStub(routes);
  return await connect(server).listModels();
}

function withoutRaw(models: readonly ModelInfo[]): Omit<ModelInfo, "raw">[] {
  return models.map(({ raw: _, ...model }) => model);
}

function routesAsked(server: StubServer): string[] {
  return server.requests.map(({ method, path }) => `${method} ${path}`);
}

async function failure(promise: Promise<unknown>): Promise<unknown> {
  return await promise.then(() => assert(false, "it did not reject"), (error) => error);
}

const CAPABILITIES = {
  maxTokens: 4096,
  supportsTools: false,
  supportsVision: false,
  supportsStreaming: true,
  supportsEmbeddings: false,
  supportsReasoning: false,
  speedTier: "standard",
  qualityTier: "standard",
} as const;

// --- The shapes -------------------------------------------------------------------------------

Deno.test("listing /api/v1/models: everything it contains", async () => {
  const models = await listOf({ [V1]: fixtureAnswer("listings/v1.json") });
  assertEquals(withoutRaw(models), [
    {
      id: GEMMA,
      name: "Gemma 4 26B A4B",
      provider: "lmstudio",
      type: "llm",
      capabilities: {
        ...CAPABILITIES,
        maxTokens: 4096,
        supportsTools: true,
        trainedForTools: true,
        supportsVision: true,
        supportsReasoning: true,
      },
      loaded: true,
      maxContextLength: 262_144,
      loadedContextLength: 4096,
      publisher: "google",
      architecture: "gemma4",
      quantization: "Q4_K_M",
      format: "gguf",
      params: "26B-A4B",
      sizeBytes: 17_990_911_801,
      reasoning: { options: ["off", "on"], default: "on" },
      variants: [`${GEMMA}@q4_k_m`],
      selectedVariant: `${GEMMA}@q4_k_m`,
      instances: [{
        id: GEMMA,
        contextLength: 4096,
        evalBatchSize: 512,
        parallel: 4,
        flashAttention: true,
        numExperts: 8,
        offloadKvCacheToGpu: true,
      }],
    },
    {
      id: NOMIC,
      name: "Nomic Embed Text v1.5",
      provider: "lmstudio",
      type: "embedding",
      capabilities: {
        ...CAPABILITIES,
        maxTokens: 2048,
        supportsStreaming: false,
        supportsEmbeddings: true,
      },
      loaded: false,
      maxContextLength: 2048,
      publisher: "gaianet",
      quantization: "F16",
      format: "gguf",
      sizeBytes: 274_290_560,
      instances: [],
    },
  ]);
  assertEquals(models.map(({ raw }) => raw), JSON.parse(fixture("listings/v1.json")).models);
});

Deno.test("listing /api/v1/models: null is absent", async () => {
  const models = await listOf({ [V1]: fixtureAnswer("listings/v1_nulls.json") });
  assertEquals(withoutRaw(models), [
    {
      id: "mystery-7b",
      name: "Mystery 7B",
      provider: "lmstudio",
      type: "llm",
      capabilities: {
        ...CAPABILITIES,
        maxTokens: 8192,
        supportsTools: true,
        trainedForTools: false,
      },
      loaded: false,
      maxContextLength: 8192,
      publisher: "lmstudio-community",
      sizeBytes: 4_920_000_000,
      instances: [],
    },
    {
      id: "half-known-3b",
      name: "Half Known",
      provider: "lmstudio",
      type: "llm",
      capabilities: { ...CAPABILITIES, supportsTools: true, trainedForTools: true },
      loaded: false,
      maxContextLength: 4096,
      publisher: "lmstudio-community",
      architecture: "llama",
      format: "mlx",
      params: "3B",
      sizeBytes: 1_920_000_000,
      instances: [],
    },
  ]);
});

Deno.test("listing /api/v1/models: formats and fields of later builds are accepted", async () => {
  const [model] = await listOf({ [V1]: fixtureAnswer("listings/v1_bionic.json") });
  assertEquals(model?.format, "splash");
  assertEquals(model?.instances, [{ id: "qwen/qwen3-8b", contextLength: 32_768, parallel: 4 }]);
  assertEquals(model?.capabilities.maxTokens, 32_768);
});

Deno.test("listing /api/v1/models: a model listed several times appears once, with all its instances", async () => {
  const models = await listOf({ [V1]: fixtureAnswer("listings/v1_duplicates.json") });
  assertEquals(models.map(({ id }) => id), [GEMMA, NOMIC]);
  const [gemma] = models;
  assertEquals(gemma?.loaded, true);
  assertEquals(gemma?.loadedContextLength, 4096);
  assertEquals(gemma?.instances?.map(({ id }) => id), [GEMMA, `${GEMMA}:2`]);
  assertEquals(gemma?.variants, [`${GEMMA}@q4_k_m`, `${GEMMA}@q8_0`]);
});

Deno.test("listing /api/v1/models: instances under an alias and a number", async () => {
  const [model] = await listOf({ [V1]: fixtureAnswer("listings/v1_alias.json") });
  assertEquals(model?.id, GEMMA);
  assertEquals(model?.instances?.map(({ id }) => id), ["the-big-one", `${GEMMA}:2`]);
});

Deno.test("listing /api/v1/models: without a display name the id is the name", async () => {
  const entry = { type: "llm", key: "qwen/qwen3-8b", loaded_instances: null };
  const [model] = await listOf({ [V1]: json({ models: [{ ...entry, display_name: "" }] }) });
  assertEquals(model?.name, "qwen/qwen3-8b");
  assertEquals(model?.loaded, undefined, "the server does not tell");
});

Deno.test("listing /api/v0/models: state, types, contexts", async () => {
  const models = await listOf({ [V0]: fixtureAnswer("listings/v0.json") });
  assertEquals(withoutRaw(models), [
    {
      id: "meta-llama-3.1-8b-instruct",
      name: "meta-llama-3.1-8b-instruct",
      provider: "lmstudio",
      type: "llm",
      capabilities: {
        ...CAPABILITIES,
        maxTokens: 4096,
        supportsTools: true,
        trainedForTools: true,
      },
      loaded: true,
      maxContextLength: 131_072,
      loadedContextLength: 4096,
      publisher: "lmstudio-community",
      architecture: "llama",
      quantization: "Q4_K_M",
      format: "gguf",
    },
    {
      id: "qwen2-vl-7b-instruct",
      name: "qwen2-vl-7b-instruct",
      provider: "lmstudio",
      type: "llm",
      capabilities: {
        ...CAPABILITIES,
        maxTokens: 32_768,
        supportsTools: true,
        supportsVision: true,
      },
      loaded: false,
      maxContextLength: 32_768,
      publisher: "mlx-community",
      architecture: "qwen2_vl",
      quantization: "4bit",
      format: "mlx",
    },
    {
      id: "text-embedding-nomic-embed-text-v1.5",
      name: "text-embedding-nomic-embed-text-v1.5",
      provider: "lmstudio",
      type: "embedding",
      capabilities: {
        ...CAPABILITIES,
        maxTokens: 2048,
        supportsStreaming: false,
        supportsEmbeddings: true,
      },
      loaded: false,
      maxContextLength: 2048,
      publisher: "nomic-ai",
      architecture: "nomic-bert",
      quantization: "Q4_0",
      format: "gguf",
    },
  ]);
  assertEquals(models.map(({ raw }) => raw), JSON.parse(fixture("listings/v0.json")).data);
});

Deno.test("listing /v1/models: ids are all there is; no `created` is needed", async () => {
  const models = await listOf({ [OPENAI]: fixtureAnswer("listings/openai.json") });
  assertEquals(withoutRaw(models), [
    {
      id: "qwen/qwen2.5-vl-7b",
      name: "qwen/qwen2.5-vl-7b",
      provider: "lmstudio",
      type: "llm",
      capabilities: CAPABILITIES,
    },
    {
      id: "text-embedding-nomic-embed-text-v1.5",
      name: "text-embedding-nomic-embed-text-v1.5",
      provider: "lmstudio",
      type: "embedding",
      capabilities: { ...CAPABILITIES, supportsStreaming: false, supportsEmbeddings: true },
    },
  ]);
});

Deno.test("listing /v1/models: from 0.2, and an empty one", async () => {
  const [model] = await listOf({ [OPENAI]: fixtureAnswer("listings/openai_0_2.json") });
  assert(model?.id.endsWith("mistral-7b-instruct-v0.2.Q4_K_S.gguf"));
  assertEquals(await listOf({ [OPENAI]: fixtureAnswer("listings/openai_empty.json") }), []);
  assertEquals(await listOf({ [V1]: json({ models: [] }) }), []);
});

Deno.test("listing: maxTokens is the loaded context, or the maximum, or 4096", async () => {
  const entry = (key: string, fields: object) => ({ type: "llm", key, ...fields });
  const loaded = (config?: object) => ({ loaded_instances: [{ id: "x", config }] });
  const models = await listOf({
    [V1]: json({
      models: [
        entry("a", { max_context_length: 32_768, ...loaded({ context_length: 8192 }) }),
        entry("b", { max_context_length: 32_768, ...loaded() }),
        entry("c", { max_context_length: 32_768, loaded_instances: [] }),
        entry("d", { loaded_instances: [] }),
        entry("e", { max_context_length: 0, ...loaded({ context_length: 0 }) }),
        entry("f", { max_context_length: null, ...loaded({ context_length: 2048 }) }),
      ],
    }),
  });
  assertEquals(models.map(({ capabilities }) => capabilities.maxTokens), [
    8192,
    32_768,
    32_768,
    4096,
    4096,
    2048,
  ]);
});

// --- The instance that answers ----------------------------------------------------------------

interface WireInstance {
  readonly id: string;
  readonly config?: { readonly context_length?: number };
}

function instance(id: string, context_length?: number): WireInstance {
  return context_length === undefined ? { id } : { id, config: { context_length } };
}

async function contextOf(...loaded: WireInstance[][]): Promise<(number | undefined)[]> {
  const entry = { type: "llm", key: "a/m", max_context_length: 40_000 };
  const models = loaded.map((loaded_instances) => ({ ...entry, loaded_instances }));
  const [model] = await listOf({ [V1]: json({ models }) });
  return [model?.loadedContextLength, model?.capabilities.maxTokens];
}

Deno.test("listing: of several instances, the one under the model's own id sets the context", async () => {
  const [model] = await listOf({ [V1]: fixtureAnswer("listings/v1_two_contexts.json") });
  assertEquals([model?.loadedContextLength, model?.capabilities.maxTokens], [8192, 8192]);
  for (
    const instances of [
      [instance("a/m", 4096), instance("large", 32_000)],
      [instance("large", 32_000), instance("a/m", 4096)],
      [instance("small", 1024), instance("a/m:2", 2048), instance("a/m", 4096)],
    ]
  ) {
    assertEquals(await contextOf(instances), [4096, 4096], JSON.stringify(instances));
  }
  // It is known which instance answers, but not its context: another's would be a guess.
  assertEquals(await contextOf([instance("large", 32_000), instance("a/m")]), [undefined, 40_000]);
});

Deno.test("listing: of equal instances the smallest context counts", async () => {
  assertEquals(await contextOf([instance("x", 8192), instance("y", 2048), instance("z", 4096)]), [
    2048,
    2048,
  ]);
  assertEquals(await contextOf([instance("x"), instance("a/m:2", 2048)]), [2048, 2048]);
  assertEquals(await contextOf([instance("a/m", 8192), instance("a/m", 4096)]), [4096, 4096]);
  // Spread over several entries: the same result.
  assertEquals(await contextOf([instance("x", 8192)], [instance("y", 2048)]), [2048, 2048]);
  assertEquals(await contextOf([instance("large", 32_000)], [], [instance("a/m", 4096)]), [
    4096,
    4096,
  ]);
  assertEquals(await contextOf([instance("a/m", 4096)], [instance("a/m", 2048)]), [2048, 2048]);
});

Deno.test("modelCapabilities: the context is that of the requested instance", async () => {
  await using server = serveStub({ [V1]: fixtureAnswer("listings/v1_two_contexts.json") });
  const lmstudio = connect(server);
  const maxTokens = async (name: string) => (await lmstudio.modelCapabilities(name))?.maxTokens;
  for (const name of [GEMMA, "gemma-4-26b-a4b", "Google/Gemma-4-26B-A4B", `${GEMMA}@q4_k_m`]) {
    assertEquals(await maxTokens(name), 8192, name);
  }
  for (const name of ["gemma-large", "GEMMA-Large", " gemma-large "]) {
    assertEquals(await maxTokens(name), 131_072, name);
  }
  const model = await lmstudio.models.get("gemma-large");
  assertEquals([model.id, model.loadedContextLength], [GEMMA, 131_072]);
  assertEquals((await lmstudio.models.get(GEMMA)).loadedContextLength, 8192);
});

// --- Odd entries ------------------------------------------------------------------------------

Deno.test("listing: an odd entry is left out, the others are read", async () => {
  const models = await listOf({ [V1]: fixtureAnswer("listings/v1_odd.json") });
  assertEquals(models.map(({ id }) => id), ["qwen/qwen3-8b", NOMIC]);
  const [{ raw, ...qwen }] = models as [ModelInfo];
  assertEquals(qwen, {
    id: "qwen/qwen3-8b",
    name: "Qwen3 8B",
    provider: "lmstudio",
    type: "llm",
    capabilities: {
      ...CAPABILITIES,
      maxTokens: 8192,
      supportsTools: true,
      trainedForTools: true,
      supportsReasoning: true,
    },
    loaded: true,
    loadedContextLength: 8192,
    publisher: "qwen",
    format: "gguf",
    reasoning: { options: ["off", "on"] },
    variants: ["qwen/qwen3-8b@q4_k_m"],
    instances: [{ id: "qwen/qwen3-8b", contextLength: 8192 }],
  });
  assertEquals(raw, JSON.parse(fixture("listings/v1_odd.json")).models[4]);

  const odd = [null, 5, "m", [], {}, { id: "" }, { id: 5, type: "llm", state: "loaded" }];
  const v0 = { id: "m", type: "llm", state: "loaded" };
  assertEquals(
    (await listOf({ [V0]: json({ data: [...odd, { id: "x", type: "llm" }, v0] }) }))
      .map(({ id }) => id),
    ["m"],
  );
  assertEquals(
    (await listOf({ [OPENAI]: json({ data: [...odd, { id: "m" }] }) })).map(({ id }) => id),
    ["m"],
  );
});

Deno.test("listing: a listing in which every entry is odd is not this kind of listing", async () => {
  const odd = [null, { key: "m" }, { type: "llm" }, { key: "", type: "llm" }];
  for (const entries of [odd, ...odd.map((entry) => [entry])]) {
    const models = await listOf({
      [V1]: json({ models: entries }),
      [V0]: fixtureAnswer("listings/v0.json"),
    });
    assertEquals(models.length, 3, JSON.stringify(entries));
  }
});

Deno.test("listing: one model 20 000 times is fast, with a bounded number of instances", async () => {
  const entry = (index: number) => ({
    type: "llm",
    key: "m",
    loaded_instances: [{ id: `m:${index}`, config: { context_length: 50_000 - index } }],
    variants: [`m@${index}`],
  });
  const models = Array.from({ length: 20_000 }, (_, index) => entry(index));
  const instances = models.flatMap(({ loaded_instances }) => loaded_instances);
  for (const listed of [models, [{ ...models[0], loaded_instances: instances }]]) {
    const usedBefore = cpuTimeMs();
    const [model, ...others] = await listOf({ [V1]: json({ models: listed }) });
    assert(cpuTimeMs() - usedBefore < 2000);
    assertEquals([model?.id, others.length, model?.instances?.length], ["m", 0, 1000]);
    assert(model?.variants !== undefined && model.variants.length <= 1000);
  }
});

// --- Reasoning and tools ----------------------------------------------------------------------

Deno.test("listing: reasoning settings and their default, variants and the selected one", async () => {
  const [model] = await listOf({ [V1]: fixtureAnswer("listings/v1_variants.json") });
  assertEquals(model?.reasoning, { options: ["off", "low", "high"], default: "low" });
  assertEquals(model?.variants, ["qwen/qwen3-8b@q4_k_m", "qwen/qwen3-8b@q8_0"]);
  assertEquals(model?.selectedVariant, "qwen/qwen3-8b@q8_0");
  const told = async (reasoning: unknown) => {
    const entry = { key: "m", type: "llm", capabilities: { reasoning } };
    const [model] = await listOf({ [V1]: json({ models: [entry] }) });
    return [model?.capabilities.supportsReasoning, model?.reasoning];
  };
  const options = ["low", "high"];
  assertEquals(await told({ allowed_options: options }), [true, { options }]);
  assertEquals(await told({ allowed_options: null, default: "on" }), [true, undefined]);
  assertEquals(await told({}), [true, undefined]);
  for (const none of [null, undefined, false]) assertEquals(await told(none), [false, undefined]);
});

Deno.test("listing: every language model of LM Studio supports tools; training for them is a separate field", async () => {
  const told = async (type: string, capabilities: unknown) => {
    const [model] = await listOf({ [V1]: json({ models: [{ key: "m", type, capabilities }] }) });
    return [model?.capabilities.supportsTools, model?.capabilities.trainedForTools];
  };
  assertEquals(await told("llm", { trained_for_tool_use: true }), [true, true]);
  assertEquals(await told("llm", { trained_for_tool_use: false }), [true, false]);
  for (const nothing of [undefined, null, {}, { trained_for_tool_use: null }]) {
    assertEquals(await told("llm", nothing), [true, undefined]);
  }
  assertEquals(await told("embedding", undefined), [false, undefined]);
  const v0 = { id: "m", type: "vlm", state: "loaded" };
  const old = async (entry: object) => {
    const [model] = await listOf({ [V0]: json({ data: [entry] }) });
    return [model?.capabilities.supportsTools, model?.capabilities.trainedForTools];
  };
  assertEquals(await old({ ...v0, capabilities: ["tool_use"] }), [true, true]);
  assertEquals(await old({ ...v0, capabilities: [] }), [true, false]);
  assertEquals(await old(v0), [true, undefined]);
  assertEquals(await old({ ...v0, type: "embeddings" }), [false, undefined]);
});

// --- Other servers' /v1/models ----------------------------------------------------------------

Deno.test("listing /v1/models of other servers: what is loaded, and the context if they report it", async () => {
  const contexts = (models: readonly ModelInfo[]) =>
    models.map(({ loaded, loadedContextLength, maxContextLength, capabilities }) => [
      loaded,
      loadedContextLength,
      maxContextLength,
      capabilities.maxTokens,
    ]);
  const list = async (answer: StubAnswer) => {
    await using server = serveStub({ [OPENAI]: answer });
    const provider = new OpenAICompatibleProvider({ name: "other", baseUrl: server.url, env: {} });
    return contexts(await provider.listModels());
  };
  assertEquals(await list(fixtureAnswer("listings/llama_cpp_router.json")), [
    [true, 16_384, 131_072, 16_384],
    [false, undefined, undefined, 4096],
  ]);
  assertEquals(await list(fixtureAnswer("listings/vllm.json")), [
    [undefined, undefined, 40_960, 40_960],
  ]);
  const one = async (fields: object) => (await list(json({ data: [{ id: "m", ...fields }] })))[0];
  assertEquals(await one({ context_length: 8192 }), [undefined, undefined, 8192, 8192]);
  assertEquals(await one({ context_window: 8192 }), [undefined, undefined, 8192, 8192]);
  // llama.cpp with one model: no status, since a server that answers has it loaded.
  const meta = { n_ctx: 2048, n_ctx_train: 8192 };
  assertEquals(await one({ meta }), [undefined, 2048, 8192, 2048]);
  assertEquals(await one({ meta: { n_ctx_train: 8192 } }), [undefined, undefined, 8192, 8192]);
  assertEquals(await one({ meta, status: { value: "loading" } }), [false, undefined, 8192, 8192]);
  // Values of another type are ignored.
  for (
    const odd of [
      { max_model_len: "40960" },
      { max_model_len: 0, context_length: null },
      { meta: "n_ctx", status: "loaded" },
      { meta: { n_ctx: -1 }, status: { value: 200 } },
    ]
  ) {
    assertEquals(await one(odd), [undefined, undefined, undefined, 4096], JSON.stringify(odd));
  }
});

Deno.test("get: an unknown context is absent from both fields", async () => {
  await using server = serveStub({ [OPENAI]: fixtureAnswer("listings/openai.json") });
  const model = await connect(server).models.get("qwen2.5-vl-7b");
  assertEquals("loadedContextLength" in model || "maxContextLength" in model, false);
  // The framework's capabilities require a number.
  assertEquals(model.capabilities.maxTokens, 4096);
});

// --- Which listing is requested ---------------------------------------------------------------

const NOT_THIS_LISTING: Record<string, StubAnswer> = {
  "an unexpected endpoint under 200": json({
    error: "Unexpected endpoint or method. (GET /api/v1/models)",
  }),
  "an unexpected endpoint under 404": json({
    error: "Unexpected endpoint or method. (GET /api/v1/models)",
  }, 404),
  "404 with a page": { status: 404, body: "<!DOCTYPE html><pre>Cannot GET /api/v1/models</pre>" },
  "404 of another server": json({ detail: "Not Found" }, 404),
  "405": json({ error: "method not allowed" }, 405),
  "another product's shape": fixtureAnswer("listings/other_product.json"),
  "another product's shape under the same key": json({ models: [{ name: "llama3:8b" }] }),
  "a page under 200": { body: "<!doctype html><title>Some web interface</title>" },
  "invalid JSON": { body: '{"models":[{"key":"qwen/qwen3-8b",' },
  "JSON that is no object": json(["qwen/qwen3-8b"]),
  "null": json(null),
  "nothing at all": { body: "" },
};

Deno.test("listing: an answer that is not this listing moves on to the next", async (t) => {
  for (const [name, answer] of Object.entries(NOT_THIS_LISTING)) {
    await t.step(name, async () => {
      await using server = serveStub({ [V1]: answer, [V0]: fixtureAnswer("listings/v0.json") });
      const models = await connect(server).listModels();
      assertEquals(models[0]?.id, "meta-llama-3.1-8b-instruct");
      assertEquals(routesAsked(server), [V1, V0]);
    });
  }
  await t.step("and so on", async () => {
    await using server = serveStub({
      [V0]: fixtureAnswer("listings/openai.json"),
      [OPENAI]: fixtureAnswer("listings/openai.json"),
    });
    assertEquals((await connect(server).listModels()).length, 2);
    assertEquals(routesAsked(server), [V1, V0, OPENAI]);
  });
});

Deno.test("listing: a failure does not move on to the next", async (t) => {
  const failures: [name: string, answer: StubAnswer, code: string, kind: string][] = [
    ["401", fixtureAnswer("errors/auth_missing.json", 401), "unauthorized", "authentication"],
    ["403", json({ error: "no" }, 403), "forbidden", "authentication"],
    ["429", json({ error: "slow down" }, 429), "rate_limited", "rate-limited"],
    ["500", json({ error: "Channel Error" }, 500), "server_error", "api"],
    ["502 with a page", { status: 502, body: "<html>Bad Gateway</html>" }, "server_error", "api"],
    ["503 without a word", { status: 503 }, "server_error", "api"],
    ["an error under 200", fixtureAnswer("errors/crashed_null.json"), "model_crashed", "api"],
    ["a broken connection", { body: '{"models":[', end: "break" }, "connection_reset", "network"],
  ];
  for (const [name, answer, code, kind] of failures) {
    await t.step(name, async () => {
      await using server = serveStub({ [V1]: answer, [V0]: fixtureAnswer("listings/v0.json") });
      const error = await failure(connect(server).listModels());
      assert(isProviderError(error), String(error));
      assertEquals([error.code, error.kind], [code, kind]);
      assertEquals(routesAsked(server), [V1]);
      assertStringIncludes(error.message, "Cannot list models: ");
    });
  }
  await t.step("no server", async () => {
    const server = serveStub({});
    await server[Symbol.asyncDispose]();
    const error = await assertRejects(() => connect(server).listModels(), NetworkError);
    assertEquals(error.code, "connection_refused");
    assertStringIncludes(error.endpoint ?? "", "/api/v1/models");
  });
});

Deno.test("listing: if none answers in the right shape, the error says so", async () => {
  await using server = serveStub({});
  const error = await assertRejects(() => connect(server).listModels(), ApiError);
  assertEquals(error.code, "unexpected_endpoint");
  await using foreign = serveStub({
    [V1]: json({}),
    [V0]: json({}),
    [OPENAI]: json({ hello: "world" }),
  });
  const other = await assertRejects(() => connect(foreign).listModels(), ApiError);
  assertEquals(other.code, "not_lm_studio");
});

Deno.test("listing: always sends a request, and remembers which listing the server has", async () => {
  await using server = serveStub({ [V0]: fixtureAnswer("listings/v0.json") });
  const lmstudio = connect(server);
  await lmstudio.listModels();
  await lmstudio.listModels();
  await lmstudio.listModels();
  assertEquals(routesAsked(server), [V1, V0, V0, V0]);
});

Deno.test("listing: if the remembered listing is gone, all are tried again", async () => {
  const routes: StubRoutes = { [V0]: fixtureAnswer("listings/v0.json") };
  await using server = serveStub(routes);
  const lmstudio = connect(server);
  await lmstudio.listModels();
  // As if another version had replaced the server.
  delete routes[V0];
  routes[V1] = fixtureAnswer("listings/v1.json");
  assertEquals((await lmstudio.listModels())[0]?.id, GEMMA);
  assertEquals(routesAsked(server), [V1, V0, V0, V1]);
});

Deno.test("listing: one timeout for all listings that are tried", async () => {
  await withClock(async (pass) => {
    await using server = serveStub({
      [V1]: (request) => {
        pass(60_000);
        return unexpectedEndpoint(request);
      },
      [V0]: { end: "hang" },
    });
    const error = await assertRejects(
      () => connect(server).listModels({ timeoutMs: 60_000 }),
      TimeoutError,
    );
    assertEquals([error.code, error.timeoutMs], ["timeout_total", 60_000]);
  });
});

Deno.test("listing: an aborted signal sends nothing, and its reason is passed on unchanged", async () => {
  await using server = serveStub({ [V1]: fixtureAnswer("listings/v1.json") });
  const reason = { why: "no longer wanted" };
  const lmstudio = connect(server);
  const error = await failure(lmstudio.listModels({ signal: AbortSignal.abort(reason) }));
  assertStrictEquals(error, reason);
  assertEquals(server.requests.length, 0);
});

Deno.test("listing: unknown options are refused by name, before anything is sent", async () => {
  await using server = serveStub({});
  const options = { timeout: 5 } as object;
  const error = await assertRejects(() => connect(server).listModels(options), InvalidRequestError);
  assertStringIncludes(error.message, `unknown option "timeout" (did you mean "timeoutMs"?)`);
  assertEquals([server.requests.length, error.attempts], [0, 0]);
});

// --- supportsModel and modelCapabilities ------------------------------------------------------

Deno.test("supportsModel: a model under any of its names", async () => {
  await using server = serveStub({ [V1]: fixtureAnswer("listings/v1_alias.json") });
  const lmstudio = connect(server);
  const known = [
    GEMMA,
    "gemma-4-26b-a4b",
    "Google/Gemma-4-26B-A4B",
    `${GEMMA}@q4_k_m`,
    `${GEMMA}:2`,
    "the-big-one",
    NOMIC,
    "search",
  ];
  for (const name of known) assertEquals(await lmstudio.supportsModel(name), true, name);
  assertEquals(server.requests.length, 1, "one listing answers them all");
  for (const name of ["gemma", "meta/gemma-4-26b-a4b", "gemma-4-26b-a4b-it", "the-big"]) {
    assertEquals(await lmstudio.supportsModel(name), false, name);
  }
});

Deno.test("modelCapabilities: of a known and of an unknown model", async () => {
  await using server = serveStub({ [V1]: fixtureAnswer("listings/v1.json") });
  const lmstudio = connect(server);
  const capabilities = await lmstudio.modelCapabilities("gemma-4-26b-a4b");
  assertEquals(capabilities?.supportsVision, true);
  assertEquals(await lmstudio.modelCapabilities("nobody/has-it"), undefined);
});

Deno.test("supportsModel: a listing is cached for 30 s", async () => {
  await using server = serveStub({ [V1]: fixtureAnswer("listings/v1.json") });
  const lmstudio = connect(server);
  await withClock(async (pass) => {
    await lmstudio.supportsModel(GEMMA);
    pass(29_000);
    await lmstudio.modelCapabilities(GEMMA);
    assertEquals(server.requests.length, 1);
    pass(2000);
    await lmstudio.supportsModel(GEMMA);
    assertEquals(server.requests.length, 2);
  });
});

Deno.test("supportsModel: modelCacheTtlMs sets how long", async () => {
  await using server = serveStub({ [V1]: fixtureAnswer("listings/v1.json") });
  const lmstudio = connect(server, { modelCacheTtlMs: 1000 });
  await withClock(async (pass) => {
    await lmstudio.supportsModel(GEMMA);
    pass(1500);
    await lmstudio.supportsModel(GEMMA);
    assertEquals(server.requests.length, 2);
  });
});

Deno.test("supportsModel: a model that is not in the cached listing may be new", async () => {
  const routes: StubRoutes = { [V1]: json({ models: [] }) };
  await using server = serveStub(routes);
  const lmstudio = connect(server);
  assertEquals(await lmstudio.supportsModel(GEMMA), false);
  assertEquals(server.requests.length, 1, "what was listed just now need not be listed again");
  routes[V1] = fixtureAnswer("listings/v1.json");
  assertEquals(await lmstudio.supportsModel(GEMMA), true);
  assertEquals(server.requests.length, 2);
});

Deno.test("supportsModel: the result of listModels() is cached, whatever the caller does to it", async () => {
  await using server = serveStub({ [V1]: fixtureAnswer("listings/v1.json") });
  const lmstudio = connect(server);
  const models = await lmstudio.listModels();
  for (const model of models) {
    model.id = "mine";
    model.capabilities.supportsVision = false;
    model.instances?.splice(0);
  }
  models.splice(0);
  const capabilities = await lmstudio.modelCapabilities(GEMMA);
  assertEquals(capabilities?.supportsVision, true);
  capabilities!.supportsVision = false;
  assertEquals((await lmstudio.modelCapabilities(GEMMA))?.supportsVision, true);
  assertEquals(server.requests.length, 1);
});

Deno.test("supportsModel: false, and modelCapabilities: undefined, when the server cannot say", async (t) => {
  const cannotSay: Record<string, StubAnswer> = {
    "401": fixtureAnswer("errors/auth_missing.json", 401),
    "500": json({ error: "Channel Error" }, 500),
    "an error under 200": fixtureAnswer("errors/crashed_null.json"),
    "a page": { body: "<!doctype html>" },
  };
  for (const [name, answer] of Object.entries(cannotSay)) {
    await t.step(name, async () => {
      await using server = serveStub({ [V1]: answer });
      const lmstudio = connect(server);
      assertEquals(await lmstudio.supportsModel(GEMMA), false);
      assertEquals(await lmstudio.modelCapabilities(GEMMA), undefined);
    });
  }
  await t.step("no server", async () => {
    const server = serveStub({});
    await server[Symbol.asyncDispose]();
    assertEquals(await connect(server).supportsModel(GEMMA), false);
    assertEquals(await connect(server).modelCapabilities(GEMMA), undefined);
  });
  await t.step("no answer in time", async () => {
    await using server = serveStub({ [V1]: { end: "hang" } });
    assertEquals(await connect(server).supportsModel(GEMMA, { timeoutMs: 20 }), false);
  });
});

Deno.test("supportsModel: an empty name is refused, and nothing is sent", async () => {
  await using server = serveStub({ [V1]: fixtureAnswer("listings/v1.json") });
  const lmstudio = connect(server);
  const nothing = undefined as unknown as string;
  for (const name of ["", "  ", nothing, 5 as unknown as string]) {
    await assertRejects(() => lmstudio.supportsModel(name), InvalidRequestError, "model");
    await assertRejects(() => lmstudio.modelCapabilities(name), InvalidRequestError, "model");
  }
  assertEquals(server.requests.length, 0);
});

Deno.test("supportsModel: a caller's abort rejects with its reason", async (t) => {
  const reason = new Error("enough");
  await t.step("aborted before", async () => {
    await using server = serveStub({ [V1]: fixtureAnswer("listings/v1.json") });
    const signal = AbortSignal.abort(reason);
    assertStrictEquals(await failure(connect(server).supportsModel(GEMMA, { signal })), reason);
    assertEquals(server.requests.length, 0);
  });
  await t.step("aborted although the listing is cached", async () => {
    await using server = serveStub({ [V1]: fixtureAnswer("listings/v1.json") });
    const lmstudio = connect(server);
    await lmstudio.listModels();
    const signal = AbortSignal.abort(reason);
    assertStrictEquals(await failure(lmstudio.supportsModel(GEMMA, { signal })), reason);
    assertStrictEquals(await failure(lmstudio.modelCapabilities(GEMMA, { signal })), reason);
  });
  await t.step("with a reason that is one of our errors", async () => {
    await using server = serveStub({ [V1]: { end: "hang" } });
    const lmstudio = connect(server);
    const own = new NetworkError("Cannot wait", { code: "connection_reset" });
    const controller = new AbortController();
    const { signal } = controller;
    const pending = [
      lmstudio.supportsModel(GEMMA, { signal }),
      lmstudio.modelCapabilities(GEMMA, { signal }),
    ].map(failure);
    controller.abort(own);
    assertEquals(await Promise.all(pending), [own, own]);
  });
  await t.step("aborted while waiting: the request ends with its last caller", async () => {
    const arrived = gate();
    await using server = serveStub({
      [V1]: () => {
        arrived.open();
        return { end: "hang" };
      },
    });
    const controller = new AbortController();
    const { signal } = controller;
    const pending = failure(connect(server).modelCapabilities(GEMMA, { signal }));
    await arrived.opened;
    controller.abort(reason);
    assertStrictEquals(await pending, reason);
    await server.requests[0]?.left;
  });
});

Deno.test("supportsModel: 50 callers at a time share one request", async () => {
  const release = gate();
  await using server = serveStub({
    [V1]: () => ({ body: [release.opened, fixture("listings/v1.json")] }),
  });
  const lmstudio = connect(server);
  const controllers = Array.from({ length: 50 }, () => new AbortController());
  const pending = controllers.map(({ signal }, index) =>
    index % 2 === 0
      ? lmstudio.supportsModel(GEMMA, { signal })
      : lmstudio.modelCapabilities(GEMMA, { signal }).then((found) => found !== undefined)
  );
  const reason = new Error("not me");
  controllers[0]?.abort(reason);
  assertStrictEquals(await failure(pending[0]!), reason);
  release.open();
  assertEquals(await Promise.all(pending.slice(1)), new Array(49).fill(true));
  assertEquals(server.requests.length, 1);
});

Deno.test("supportsModel: one caller's timeout does not affect the others", async () => {
  const release = gate();
  await using server = serveStub({
    [V1]: () => ({ body: [release.opened, fixture("listings/v1.json")] }),
  });
  const lmstudio = connect(server);
  const hasty = lmstudio.supportsModel(GEMMA, { timeoutMs: 20 });
  const patient = lmstudio.supportsModel(GEMMA);
  assertEquals(await hasty, false, "it could not say in time");
  release.open();
  assertEquals(await patient, true);
});

Deno.test("supportsModel: a caller's headers reach the server", async () => {
  await using server = serveStub({ [V1]: fixtureAnswer("listings/v1.json") });
  await connect(server).supportsModel(GEMMA, { headers: { "x-tenant": "a" } });
  assertEquals(server.requests[0]?.headers.get("x-tenant"), "a");
});

Deno.test("listing: the error of a server that requires an API token says how to set it", async () => {
  await using server = serveStub({ [V1]: fixtureAnswer("errors/auth_missing.json", 401) });
  const error = await failure(connect(server).listModels());
  assertInstanceOf(error, AuthenticationError);
  assertStringIncludes(error.hint, "apiToken");
});
