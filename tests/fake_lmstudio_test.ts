/** The fake LM Studio behaves on the wire as LM Studio's known behavior is described. */

import {
  assert,
  assertEquals,
  assertGreater,
  assertInstanceOf,
  assertLess,
  assertMatch,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { FakeTime } from "@std/testing/time";
import {
  createFakeLMStudio,
  type FakeLMStudio,
  type FakeLMStudioOptions,
  type FakeModel,
  type FakeReply,
  type FaultKind,
} from "../src/testing/mod.ts";

const BASE = "http://127.0.0.1:1234";
const CHAT = "/v1/chat/completions";
const MODEL = "qwen/qwen3-8b";
const EMBEDDER = "text-embedding-nomic-embed-text-v1.5";
const USER = { role: "user", content: "Say something, please." };

type Json = Record<string, unknown>;

interface Door {
  get(path: string, headers?: Record<string, string>): Promise<Response>;
  post(path: string, body: unknown, signal?: AbortSignal): Promise<Response>;
}

function inProcess(fake: FakeLMStudio): Door {
  return doorTo(fake.fetch, BASE);
}

function doorTo(send: FakeLMStudio["fetch"], base: string): Door {
  return {
    get: (path, headers = {}) => send(base + path, { headers }),
    post: (path, body, signal) =>
      send(base + path, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: typeof body === "string" ? body : JSON.stringify(body),
        ...(signal === undefined ? {} : { signal }),
      }),
  };
}

function open(options?: FakeLMStudioOptions): Door {
  return inProcess(createFakeLMStudio(options));
}

function chat(fields: Json = {}): Json {
  return { model: MODEL, messages: [USER], ...fields };
}

/** The data of the frames, decoded; `[DONE]` stays text. */
function framesOf(text: string): unknown[] {
  assert(text === "" || text.endsWith("\n\n"), "the last frame is terminated");
  return text.split("\n\n").slice(0, -1).map((frame) => {
    assert(frame.startsWith("data: "), `a plain data line: ${frame}`);
    const data = frame.slice("data: ".length);
    return data === "[DONE]" ? data : JSON.parse(data);
  });
}

interface Chunk {
  choices: { delta: Json; finish_reason: string | null }[];
  usage?: Json;
}

async function streamOf(options: FakeLMStudioOptions, fields: Json = {}): Promise<Chunk[]> {
  const response = await open(options).post(CHAT, chat({ stream: true, ...fields }));
  const frames = framesOf(await response.text());
  assertEquals(frames.at(-1), "[DONE]");
  return frames.slice(0, -1) as Chunk[];
}

async function completionOf(options: FakeLMStudioOptions, fields: Json = {}): Promise<{
  model: string;
  choices: { message: Json; finish_reason: string }[];
  usage: Json;
  stats?: Json;
}> {
  const response = await open(options).post(CHAT, chat(fields));
  assertEquals(response.status, 200);
  return await response.json();
}

/** Runs a scenario through `fetch` and through a listening server. */
function onBothDoors(
  name: string,
  options: () => FakeLMStudioOptions,
  scenario: (door: Door, fake: FakeLMStudio, kind: "fetch" | "listen") => Promise<void>,
): void {
  Deno.test(`${name} (fetch)`, async () => {
    const fake = createFakeLMStudio(options());
    await scenario(inProcess(fake), fake, "fetch");
  });
  Deno.test(`${name} (listen)`, async () => {
    const fake = createFakeLMStudio(options());
    await using server = await fake.listen();
    await scenario(doorTo(fetch, server.url), fake, "listen");
  });
}

/** Waits for something that a server notices with a delay. */
async function until(condition: () => boolean): Promise<void> {
  for (let turn = 0; turn < 200 && !condition(); turn++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert(condition(), "did not happen within 2 s");
}

// --- Routes and headers -----------------------------------------------------------------------

onBothDoors("the greeting, with Express's headers", () => ({}), async (door) => {
  const response = await door.get("/lmstudio-greeting");
  assertEquals(await response.text(), '{"lmstudio":true}');
  assertEquals(response.status, 200);
  const { headers } = response;
  assertEquals(headers.get("X-Powered-By"), "Express");
  assertEquals(headers.get("Content-Type"), "application/json; charset=utf-8");
  assertEquals(headers.get("Content-Length"), "17");
  assertEquals(headers.get("Connection"), "keep-alive");
  assertEquals(headers.get("Keep-Alive"), "timeout=5");
  assertMatch(headers.get("ETag") ?? "", /^W\/"11-.{27}"$/);
});

onBothDoors("unknown endpoints are 200, below /api/v1 404", () => ({}), async (door) => {
  const cases = [
    ["GET", "/v1//models", 200],
    ["GET", "/", 200],
    ["GET", "/api/tags?x=1", 200],
    ["POST", "/v1/models/unload", 200],
    ["POST", "/api/v0/models/load", 200],
    ["GET", "/api/v1/models/list", 404],
  ] as const;
  for (const [method, path, status] of cases) {
    const response = await (method === "GET" ? door.get(path) : door.post(path, {}));
    assertEquals(
      await response.text(),
      `{"error":"Unexpected endpoint or method. (${method} ${path})"}`,
    );
    assertEquals(response.status, status);
  }
});

Deno.test("versions: which routes exist", async () => {
  const isKnown = async (version: string, path: string) => {
    const body = await (await open({ version }).get(path)).json();
    return body.error === undefined;
  };
  assertEquals(await isKnown("0.3.5", "/api/v0/models"), false);
  assertEquals(await isKnown("0.3.6", "/api/v0/models"), true);
  assertEquals(await isKnown("0.3.39", "/api/v1/models"), false);
  assertEquals(await isKnown("0.4.0", "/api/v1/models"), true);
  assertEquals(await isKnown("1.1.0", "/api/v1/models"), true);
  const old = await open({ version: "0.3.16" }).get("/api/v1/models");
  assertEquals(old.status, 200);
  assertEquals(await old.json(), {
    error: "Unexpected endpoint or method. (GET /api/v1/models)",
  });
  // `0.3` stands for the last release of that line.
  assertEquals(await isKnown("0.3", "/api/v1/models"), false);
  assertEquals(await isKnown("0.3", "/api/v0/models"), true);
  assertEquals(await isKnown("0.4", "/api/v1/models"), true);
  assertThrows(() => createFakeLMStudio({ version: "newest" }), TypeError, '"newest"');
});

Deno.test("preflights: unknown endpoints without CORS, answered with CORS", async () => {
  const preflight = (options: FakeLMStudioOptions) =>
    createFakeLMStudio(options).fetch(BASE + CHAT, { method: "OPTIONS" });
  const without = await preflight({});
  assertEquals(without.status, 200);
  assertEquals(without.headers.get("Access-Control-Allow-Origin"), null);
  assertEquals(await without.json(), {
    error: "Unexpected endpoint or method. (OPTIONS /v1/chat/completions)",
  });
  const withCors = await preflight({
    cors: true,
    apiToken: "secret",
    faults: [{ fault: { type: "refuse" } }],
  });
  assertEquals(withCors.status, 204);
  assertEquals(withCors.headers.get("Access-Control-Allow-Origin"), "*");
  assertEquals(withCors.headers.get("Access-Control-Allow-Headers"), "*");
});

// --- Authentication ---------------------------------------------------------------------------

onBothDoors("a token is asked for", () => ({ apiToken: "sk-lm-right" }), async (door) => {
  const missing = await door.get("/api/v1/models");
  assertEquals(missing.status, 401);
  assertEquals(
    await missing.text(),
    '{"error":{"type":"invalid_request","code":"invalid_api_key","message":"An LM Studio API token is ' +
      "required to make requests to this server, but none was provided using the Authorization header " +
      "using the 'Bearer' scheme (i.e., 'Authorization: Bearer $LM_API_TOKEN'). Learn more at: " +
      'https://lmstudio.ai/docs/developer/core/authentication."}}',
  );
  const wrong = await door.get("/v1/models", { Authorization: "Bearer sk-bogus-E12345678901234" });
  assertEquals(wrong.status, 401);
  assertEquals(
    (await wrong.json()).error.message,
    "Malformed LM Studio API token provided: sk-bogus-E**************. Ensure you are using a valid token.",
  );
  for (const headers of [{ Authorization: "Bearer sk-lm-right" }, { "x-api-key": "sk-lm-right" }]) {
    const right = await door.get("/v1/models", headers);
    assertEquals(right.status, 200);
    await right.body?.cancel();
  }
  assertEquals(await (await door.get("/lmstudio-greeting")).json(), { lmstudio: true });
});

Deno.test("API tokens: older masking, and no tokens before 0.4.0", async () => {
  const response = await open({ apiToken: "x", version: "0.4.6" })
    .get("/v1/models", { Authorization: "Bearer 22aac52a71b2" });
  assertEquals(
    (await response.json()).error.message,
    "Malformed LM Studio API token provided: 22aac52a71... Ensure you are using a valid token.",
  );
  assertThrows(() => createFakeLMStudio({ apiToken: "x", version: "0.3.16" }), TypeError, "0.4.0");
});

// --- Listings ---------------------------------------------------------------------------------

onBothDoors(
  "GET /v1/models is pretty-printed, data first",
  () => ({ models: [MODEL] }),
  async (door) => {
    const text = `{
  "data": [
    {
      "id": "qwen/qwen3-8b",
      "object": "model",
      "owned_by": "organization_owner"
    }
  ],
  "object": "list"
}`;
    assertEquals(await (await door.get("/v1/models")).text(), text);
    const one = await door.get(`/v1/models/${MODEL}`);
    assertEquals(await one.json(), { id: MODEL, object: "model", owned_by: "organization_owner" });
    const none = await door.get("/v1/models/fake");
    assertEquals(none.status, 404);
    await none.body?.cancel();
  },
);

const LLAMA: FakeModel = {
  id: "meta-llama-3.1-8b-instruct",
  displayName: "Llama 3.1 8B",
  params: "8B",
};

Deno.test("GET /api/v0/models[/id]", async () => {
  const door = open({
    models: [LLAMA, { id: EMBEDDER, loaded: false }, { id: "a/b", vision: true }],
  });
  const { data, object } = await (await door.get("/api/v0/models")).json();
  assertEquals(object, "list");
  assertEquals(
    JSON.stringify(data[0]),
    '{"id":"meta-llama-3.1-8b-instruct","object":"model","type":"llm","publisher":"lmstudio-community",' +
      '"arch":"llama","compatibility_type":"gguf","quantization":"Q4_K_M","state":"loaded",' +
      '"max_context_length":131072,"loaded_context_length":4096,"capabilities":["tool_use"]}',
  );
  assertEquals(data[1].type, "embeddings");
  assertEquals(data[1].state, "not-loaded");
  assertEquals(data[1].loaded_context_length, undefined);
  assertEquals(data[1].capabilities, undefined);
  assertEquals(data[2].type, "vlm");
  assertEquals(await (await door.get("/api/v0/models/a/b")).json(), data[2]);
  assertEquals(await (await door.get("/api/v0/models/a%2Fb")).json(), data[2]);

  const unknown = await door.get("/api/v0/models/fake-model");
  assertEquals(unknown.status, 400);
  assertEquals(await unknown.text(), `{"error":"Model with identifier 'fake-model' not found"}`);
  const older = await open({ models: [LLAMA], version: "0.3.15" }).get("/api/v0/models");
  assertEquals((await older.json()).data[0].capabilities, undefined);
});

Deno.test("GET /api/v1/models has the documented entries", async () => {
  const { models } = await (await open().get("/api/v1/models")).json();
  assertEquals(models[0], {
    type: "llm",
    publisher: "google",
    key: "google/gemma-4-26b-a4b",
    display_name: "Gemma 4 26B A4B",
    architecture: "gemma4",
    quantization: { name: "Q4_K_M", bits_per_weight: 4 },
    size_bytes: 17990911801,
    params_string: "26B-A4B",
    loaded_instances: [{
      id: "google/gemma-4-26b-a4b",
      config: {
        context_length: 4096,
        eval_batch_size: 512,
        parallel: 4,
        flash_attention: true,
        num_experts: 8,
        offload_kv_cache_to_gpu: true,
      },
    }],
    max_context_length: 262144,
    format: "gguf",
    capabilities: {
      vision: true,
      trained_for_tool_use: true,
      reasoning: { allowed_options: ["off", "on"], default: "on" },
    },
    description: null,
    variants: ["google/gemma-4-26b-a4b@q4_k_m"],
    selected_variant: "google/gemma-4-26b-a4b@q4_k_m",
  });
  assertEquals(models[1].key, "openai/gpt-oss-20b");
  assertEquals(models[1].loaded_instances, []);
  assertEquals(models[2], {
    type: "embedding",
    publisher: "nomic-ai",
    key: "text-embedding-nomic-embed-text-v1.5",
    display_name: "Nomic Embed Text v1.5",
    quantization: { name: "Q4_K_M", bits_per_weight: 4 },
    size_bytes: 84106624,
    params_string: null,
    loaded_instances: [],
    max_context_length: 2048,
    format: "gguf",
  });
});

Deno.test("several instances of a language model and of an embedding model", async () => {
  const door = open({
    models: [{ id: MODEL, instances: ["mine", `${MODEL}:2`] }, EMBEDDER],
  });
  const { models } = await (await door.get("/api/v1/models")).json();
  assertEquals(models[0].loaded_instances.map(({ id }: { id: string }) => id), [
    "mine",
    `${MODEL}:2`,
  ]);
  assertEquals(models[1].loaded_instances, [{ id: EMBEDDER, config: { context_length: 2048 } }]);
  const { model } = await (await door.post(CHAT, chat({ model: `${MODEL}:2` }))).json();
  assertEquals(model, `${MODEL}:2`);
});

// --- Which model answers ----------------------------------------------------------------------

const UNLOADED: readonly FakeModel[] = [{ id: MODEL, loaded: false }, { id: "b", loaded: false }];

Deno.test("instances with their own contexts; odd entries; variants", async () => {
  const { get } = open({
    models: [{
      id: MODEL,
      instances: [{ id: "large", contextLength: 32_768 }, MODEL],
      variants: [`${MODEL}@q8_0`, `${MODEL}@q4_k_m`],
    }, "unsloth/m@4bit"],
    oddEntries: [null, { key: "no-type" }],
  });
  const { models } = await (await get("/api/v1/models")).json();
  const [none, typeless, model, other] = models;
  assertEquals([none, typeless], [null, { key: "no-type" }]);
  assertEquals(
    model.loaded_instances.map((
      instance: Json,
    ) => [instance.id, (instance.config as Json).context_length]),
    [["large", 32_768], [MODEL, 4096]],
  );
  assertEquals(model.variants, [`${MODEL}@q8_0`, `${MODEL}@q4_k_m`]);
  assertEquals(model.selected_variant, `${MODEL}@q8_0`);
  assertEquals([other.key, other.variants], ["unsloth/m@4bit", ["unsloth/m@4bit"]]);
  for (const path of ["/api/v0/models", "/v1/models"]) {
    const { data } = await (await get(path)).json();
    assertEquals(data.slice(0, 2), [null, { key: "no-type" }], path);
    assertEquals(data.length, 4);
  }
});

Deno.test("JIT off: each instance is listed with its own context", async () => {
  const { get } = open({
    jit: false,
    models: [{ id: MODEL, instances: [{ id: "large", contextLength: 32_768 }, MODEL] }],
  });
  const { data } = await (await get("/api/v0/models")).json();
  assertEquals(
    data.map((entry: Json) => [entry.id, entry.loaded_context_length]),
    [["large", 32_768], [MODEL, 4096]],
  );
});

Deno.test("listings of llama.cpp's router and of vLLM", async () => {
  const models = [{ id: MODEL, contextLength: 8192 }, { id: "idle", loaded: false }];
  const listOf = async (listing: "llama.cpp" | "vllm") => {
    const { get } = open({ models, listing });
    for (const path of ["/api/v1/models", "/api/v0/models"]) {
      assertStringIncludes(await (await get(path)).text(), "Unexpected endpoint");
    }
    return (await (await get("/v1/models")).json()).data as Json[];
  };
  const [loaded, idle] = await listOf("llama.cpp");
  assertEquals((loaded?.status as Json).value, "loaded");
  assertEquals([(loaded?.meta as Json).n_ctx, (loaded?.meta as Json).n_ctx_train], [8192, 131_072]);
  assertEquals([(idle?.status as Json).value, "meta" in idle!], ["unloaded", false]);
  const served = await listOf("vllm");
  assertEquals(served.map(({ id, max_model_len }) => [id, max_model_len]), [[MODEL, 8192]]);
});

Deno.test("JIT: the first request loads, the next load unloads it", async () => {
  const door = open({ models: UNLOADED });
  const loaded = async () => {
    const { models } = await (await door.get("/api/v1/models")).json();
    return models.filter((model: { loaded_instances: unknown[] }) =>
      model.loaded_instances.length > 0
    )
      .map(({ key }: { key: string }) => key);
  };
  assertEquals(await loaded(), []);
  assertEquals((await (await door.post(CHAT, chat())).json()).model, MODEL);
  assertEquals(await loaded(), [MODEL]);
  await (await door.post(CHAT, chat({ model: "b@q4_k_m" }))).body?.cancel();
  assertEquals(await loaded(), ["b"]);
});

Deno.test("JIT: unloading ends a generation", async () => {
  const door = open({ models: UNLOADED });
  const response = await door.post(CHAT, chat({ stream: true }));
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  await reader.read();
  await (await door.post(CHAT, chat({ model: "b" }))).body?.cancel();
  let rest = "";
  for (let next = await reader.read(); !next.done; next = await reader.read()) rest += next.value;
  const message = "Model unloaded by user or API request.";
  assert(rest.endsWith(`event: error\n${frame({ error: { message }, message })}`));
});

Deno.test("JIT off: only loaded models are listed, and nothing is loaded", async () => {
  const door = open({ models: UNLOADED, jit: false });
  assertEquals(await (await door.get("/v1/models")).json(), { data: [], object: "list" });
  assertEquals(await (await door.get("/api/v0/models")).json(), { data: [], object: "list" });
  assertEquals((await (await door.get("/api/v1/models")).json()).models.length, 2);
  const response = await door.post(CHAT, chat({ stream: true }));
  assertEquals(response.status, 400);
  assertEquals(
    await response.text(),
    `{"error":"No models loaded. Please load a model in the developer page or use the 'lms load' command."}`,
  );
  const older = await open({ models: UNLOADED, jit: false, version: "0.3.5" }).post(CHAT, chat());
  assertEquals(older.status, 404);
  assertEquals(
    await older.text(),
    '{"error":{"message":"No models loaded. Please load a model in the developer page or use the ' +
      '`lms load` command.","type":"invalid_request_error","param":"model","code":"model_not_found"}}',
  );
});

Deno.test("a request for an unknown model is answered by the loaded one, or refused", async () => {
  const ask = async (options: FakeLMStudioOptions) => {
    const response = await open(options).post(CHAT, chat({ model: "o4-mini" }));
    return [response.status, await response.json()];
  };
  const [status, body] = await ask({ models: [MODEL] });
  assertEquals([status, body.model], [200, MODEL]);
  const refusal = {
    error: {
      message:
        'Invalid model identifier "o4-mini". Please specify a valid downloaded model (e.g., a, b).',
      type: "invalid_request_error",
      param: "model",
      code: "model_not_found",
    },
  };
  assertEquals(await ask({ models: ["a", "b"] }), [400, refusal]);
  assertEquals(await ask({ models: ["a", { id: "b", loaded: false }], substitution: false }), [
    400,
    refusal,
  ]);
  const [, nothing] = await ask({ models: [] });
  assertEquals(
    nothing.error.message,
    'Invalid model identifier "o4-mini". There are no downloaded llm models.',
  );
  const [older, said] = await ask({ models: ["a", "b"], version: "0.3.16" });
  assertEquals(older, 404);
  assertEquals(
    said.error.message,
    'Model "o4-mini" not found. Please specify a valid model.\n\nYour models:\n\na\nb',
  );
});

Deno.test("models of the wrong type, and models that do not load", async () => {
  const refusal = (message: string) =>
    `{"error":{"message":${
      JSON.stringify(message)
    },"type":"invalid_request_error","param":"model",` +
    '"code":"model_not_found"}}';
  const door = open({
    models: [MODEL, EMBEDDER, { id: "big", loaded: false, loadError: "Failed to load model." }],
  });
  const embedder = await door.post(CHAT, chat({ model: EMBEDDER }));
  assertEquals(embedder.status, 404);
  assertEquals(
    await embedder.text(),
    refusal(`Failed to load model "${EMBEDDER}". Error: Model is not llm.`),
  );
  const llm = await door.post("/v1/embeddings", { model: MODEL, input: "x" });
  assertEquals(llm.status, 404);
  assertEquals(
    await llm.text(),
    refusal(`Failed to load model "${MODEL}". Error: Model is not embedding.`),
  );
  const big = await door.post(CHAT, chat({ model: "big", stream: true }));
  assertEquals(big.status, 400);
  assertEquals(
    await big.text(),
    refusal('Failed to load model "big". Error: Failed to load model.'),
  );
});

// --- What is refused --------------------------------------------------------------------------

onBothDoors(
  "malformed requests are refused in the server's words",
  () => ({ models: [MODEL] }),
  async (door) => {
    const invalidContent =
      "Invalid 'content': 'content' field must be a string or an array of objects..";
    const image = (url: string) => ({
      messages: [{ role: "user", content: [{ type: "image_url", image_url: { url } }] }],
    });
    const cases: [Json | string, string][] = [
      [{ messages: undefined }, "'messages' field is required"],
      [
        { messages: "hello" },
        "Invalid 'messages' in payload. Please check the structure of your 'messages' and try again",
      ],
      [{ messages: [USER, { role: "assistant", content: null }] }, invalidContent],
      [{ messages: [USER, { role: "tool", tool_call_id: "1" }] }, invalidContent],
      [
        { tool_choice: { type: "function", function: { name: "x" } } },
        "Invalid tool_choice type: 'object'. Supported string values: none, auto, required",
      ],
      [
        { response_format: { type: "json_object" } },
        "'response_format.type' must be 'json_schema' or 'text'",
      ],
      [image("https://example.com/cat.png"), "'url' field must be a base64 encoded image."],
      [image("data:image/webp;base64,AAAA"), "'url' field must be a base64 encoded image."],
      [
        image("data:image/png;base64,AAAA"),
        "Model does not support images. Please use a model that does.",
      ],
    ];
    for (const [fields, message] of cases) {
      for (const stream of [false, true]) {
        const response = await door.post(CHAT, chat({ ...fields as Json, stream }));
        assertEquals(await response.text(), JSON.stringify({ error: message }));
        assertEquals(response.status, 400);
      }
    }
    const broken = await door.post(CHAT, '{"messages": [');
    assertEquals(broken.status, 400);
    await broken.body?.cancel();
  },
);

Deno.test("tool schemas are refused with a list of issues in a string", async () => {
  const tool = (parameters: unknown) => ({
    type: "function",
    function: { name: "now", parameters },
  });
  const good = tool({ type: "object", properties: {} });
  const send = (parameters: unknown) =>
    open({ models: [MODEL] }).post(CHAT, chat({ tools: [good, tool(parameters)] }));
  const withoutType = await send({});
  assertEquals(withoutType.status, 400);
  assertEquals(
    await withoutType.text(),
    String
      .raw`{"error":"[\n  {\n    \"code\": \"invalid_union_discriminator\",\n    \"options\": [\n      \"object\"\n    ],\n    \"path\": [\n      1,\n      \"function\",\n      \"parameters\",\n      \"type\"\n    ],\n    \"message\": \"Invalid discriminator value. Expected 'object'\"\n  }\n]"}`,
  );
  const withoutProperties = await send({ type: "object" });
  const [issue] = JSON.parse((await withoutProperties.json()).error);
  assertEquals(issue.code, "invalid_type");
  assertEquals(issue.path, [1, "function", "parameters", "properties"]);
  const fine = await send({ type: "object", properties: {} });
  assertEquals(fine.status, 200);
  await fine.body?.cancel();
});

Deno.test("response_format before 0.3.18, tool_choice before 0.3.15", async () => {
  const old = open({ models: [MODEL], version: "0.3.5" });
  const format = await old.post(CHAT, chat({ response_format: { type: "text" } }));
  assertEquals(await format.json(), { error: "'response_format.type' must be 'json_schema'" });
  const choice = await old.post(CHAT, chat({ tool_choice: {} }));
  assertEquals(choice.status, 200);
  await choice.body?.cancel();
});

Deno.test("context overflow, in the wording of each release and engine", async () => {
  const small = { id: MODEL, contextLength: 10 };
  const long = [{ role: "user", content: "x".repeat(80) }];
  const overflow = async (options: FakeLMStudioOptions, stream: boolean) => {
    const response = await open({ models: [small], ...options })
      .post(CHAT, chat({ messages: long, stream }));
    return `${response.status} ${await response.text()}`;
  };
  const advice = "Try to load the model with a larger context length, or provide a shorter input";
  for (const stream of [false, true]) {
    assertEquals(
      await overflow({ version: "0.3.16" }, stream),
      `400 {"error":"Trying to keep the first 20 tokens when context the overflows. However, the model is ` +
        `loaded with context length of only 10 tokens, which is not enough. ${advice}"}`,
    );
    assertEquals(
      await overflow({ version: "0.4.6" }, stream),
      `400 {"error":"The number of tokens to keep from the initial prompt is greater than the context ` +
        `length (n_keep: 20>= n_ctx: 10). ${advice}"}`,
    );
  }
  const engine =
    'Engine protocol predict request returned 400: {"error":{"code":400,"message":"request ' +
    '(20 tokens) exceeds the available context size (10 tokens), try increasing it",' +
    '"type":"exceed_context_size_error","n_prompt_tokens":20,"n_ctx":10}}';
  assertEquals(
    await overflow({ version: "0.4.20" }, false),
    `400 ${JSON.stringify({ error: engine })}`,
  );
  assertEquals(
    await overflow({ version: "0.4.20" }, true),
    `200 event: error\n${frame({ error: { message: engine }, message: engine })}`,
  );
  const message =
    "Input does not fit in context length. The input has 20 tokens, but the context " +
    "length only supports 10 tokens.";
  assertEquals(
    await overflow({ models: [{ ...small, format: "mlx" }] }, true),
    `200 event: error\n${frame({ error: { message }, message })}`,
  );
});

function frame(data: unknown): string {
  return `data: ${JSON.stringify(data)}\n\n`;
}

// --- Chat -------------------------------------------------------------------------------------

onBothDoors(
  "a whole answer",
  () => ({ models: [MODEL], replies: ["Waves crash."] }),
  async (door) => {
    const text = await (await door.post(CHAT, chat())).text();
    assertMatch(
      text,
      /^\{"id":"chatcmpl-[a-z0-9]{21}","object":"chat.completion","created":\d{10},/,
    );
    assertEquals(
      text.slice(text.indexOf('"model"')),
      '"model":"qwen/qwen3-8b","choices":[{"index":0,"message":{"role":"assistant","content":"Waves crash.",' +
        '"reasoning_content":"","tool_calls":[]},"logprobs":null,"finish_reason":"stop"}],"usage":' +
        '{"prompt_tokens":6,"completion_tokens":2,"total_tokens":8,"completion_tokens_details":' +
        '{"reasoning_tokens":0}},"stats":{},"system_fingerprint":"qwen/qwen3-8b"}',
    );
  },
);

onBothDoors(
  "a streamed answer",
  () => ({ models: [MODEL], replies: ["Hi there."] }),
  async (door) => {
    const response = await door.post(CHAT, chat({ stream: true }));
    assertEquals(response.headers.get("Content-Type"), "text/event-stream");
    assertEquals(response.headers.get("Cache-Control"), "no-cache");
    const text = await response.text();
    const [first] = framesOf(text) as { id: string; created: number }[];
    const { id, created } = first!;
    const chunk = (delta: string, finish: string) =>
      `data: {"id":"${id}","object":"chat.completion.chunk","created":${created},"model":"qwen/qwen3-8b",` +
      `"system_fingerprint":"qwen/qwen3-8b","choices":[{"index":0,"delta":${delta},"logprobs":null,` +
      `"finish_reason":${finish}}]}\n\n`;
    assertEquals(
      text,
      chunk('{"role":"assistant","content":"Hi"}', "null") +
        chunk('{"role":"assistant","content":" there."}', "null") +
        chunk("{}", '"stop"') + "data: [DONE]\n\n",
    );
  },
);

Deno.test("usage comes in its own chunk after the finish reason, if requested", async () => {
  const asked = { stream_options: { include_usage: true } };
  const options = { models: [MODEL], replies: ["Hi there."] };
  const chunks = await streamOf(options, asked);
  assertEquals(chunks.at(-2)!.choices[0]!.finish_reason, "stop");
  assertEquals(chunks.at(-1)!.choices, []);
  assertEquals(chunks.at(-1)!.usage, {
    prompt_tokens: 6,
    completion_tokens: 2,
    total_tokens: 8,
    completion_tokens_details: { reasoning_tokens: 0 },
  });
  const silent = await streamOf({ ...options, version: "0.3.17" }, asked);
  assertEquals(silent.at(-1)!.choices[0]!.finish_reason, "stop");
});

Deno.test("replies: in order, then the default; or from a function", async () => {
  const fake = createFakeLMStudio({
    models: [MODEL],
    replies: ["one", { content: ["t", "wo"], model: "other:2", finishReason: "odd" }],
  });
  const ask = async (door: Door) => {
    const { model, choices: [{ message, finish_reason }] } = await (await door.post(CHAT, chat()))
      .json();
    return [model, message.content, finish_reason];
  };
  const door = inProcess(fake);
  assertEquals(await ask(door), [MODEL, "one", "stop"]);
  assertEquals(await ask(door), ["other:2", "two", "odd"]);
  const [, text] = await ask(door);
  assert(text.length > 10 && !text.includes(USER.content), "no echo");
  const byBody = open({
    models: [MODEL],
    replies: (body) =>
      Array.isArray(body.messages) ? `${body.messages.length} messages` : undefined,
  });
  assertEquals(await ask(byBody), [MODEL, "1 messages", "stop"]);
  const later = open({ models: [MODEL], replies: () => Promise.resolve(undefined) });
  assertEquals((await ask(later))[1], text);
});

Deno.test("usage can be scripted", async () => {
  const usage = { promptTokens: 100, completionTokens: 7, reasoningTokens: 3 };
  const told = {
    prompt_tokens: 100,
    completion_tokens: 7,
    total_tokens: 107,
    completion_tokens_details: { reasoning_tokens: 3 },
  };
  assertEquals((await completionOf({ replies: [{ content: "x", usage }] })).usage, told);
  const cached = { ...usage, cachedTokens: 90 };
  assertEquals((await completionOf({ replies: [{ content: "x", usage: cached }] })).usage, {
    ...told,
    prompt_tokens_details: { cached_tokens: 90 },
  });
});

Deno.test("reasoning, in each of its fields", async () => {
  const replies: FakeReply[] = [{ content: "Four.", reasoning: "Two and two" }];
  const deltas = async (options: FakeLMStudioOptions) => {
    const chunks = await streamOf({ replies, ...options });
    return chunks.slice(0, -1).map(({ choices: [choice] }) => {
      const { role, ...rest } = choice!.delta;
      assertEquals(role, "assistant");
      return rest;
    });
  };
  assertEquals(await deltas({}), [
    { reasoning_content: "Two" },
    { reasoning_content: " and" },
    { reasoning_content: " two" },
    { content: "Four." },
  ]);
  assertEquals((await deltas({ reasoningField: "reasoning" }))[0], { reasoning: "Two" });
  const inTags = [
    { content: "<think>\n" },
    { content: "Two" },
    { content: " and" },
    { content: " two" },
    { content: "\n</think>" },
    { content: "\n\n" },
    { content: "Four." },
  ];
  assertEquals(await deltas({ reasoningField: "think-tags" }), inTags);
  assertEquals(await deltas({ version: "0.3.5" }), inTags);

  const whole = async (options: FakeLMStudioOptions) => {
    const { choices: [choice] } = await completionOf({ replies, ...options });
    return choice!.message;
  };
  assertEquals(await whole({}), {
    role: "assistant",
    content: "Four.",
    reasoning_content: "Two and two",
    tool_calls: [],
  });
  assertEquals(await whole({ reasoningField: "reasoning" }), {
    role: "assistant",
    content: "Four.",
    reasoning: "Two and two",
    tool_calls: [],
  });
  assertEquals(await whole({ reasoningField: "think-tags" }), {
    role: "assistant",
    content: "<think>\nTwo and two\n</think>\n\nFour.",
    tool_calls: [],
  });
});

const WEATHER: FakeReply = {
  toolCalls: [{ name: "get_weather", arguments: { city: "Bern" } }, { name: "now", id: "42" }],
};

Deno.test("tool calls: each in one chunk, after the silence while it is written", async () => {
  using time = new FakeTime();
  const door = open({ models: [MODEL], replies: [WEATHER], streamCalls: "whole", tokenMs: 100 });
  const answer = await door.post(CHAT, chat({ stream: true }));
  const text = await settle(time, answer.text());
  const calls = (framesOf(text).slice(0, -1) as Chunk[]).flatMap(({ choices }) =>
    choices[0]?.delta.tool_calls as Json[] ?? []
  );
  assertEquals(calls.map(({ function: called }) => called as unknown), [
    { name: "get_weather", arguments: '{"city":"Bern"}' },
    { name: "now", arguments: "{}" },
  ]);
  assertEquals(calls.map(({ index }) => index), [0, 1]);
  // Five argument tokens and the name, of which the first token takes no time; then two and a name.
  assertEquals(time.now - time.start, 700);
  // The token count is the same as in chunks.
  const { usage } = await completionOf({ replies: [WEATHER], streamCalls: "whole" });
  assertEquals(usage, (await completionOf({ replies: [WEATHER] })).usage);
});

Deno.test("tool calls: all under one index, without ids", async () => {
  const chunks = await streamOf({ replies: [WEATHER], streamCalls: "under-one-index" });
  const calls = chunks.flatMap(({ choices }) => choices[0]?.delta.tool_calls as Json[] ?? []);
  assertEquals(new Set(calls.map(({ index, id }) => `${index} ${id}`)), new Set(["0 undefined"]));
  const named = calls.filter(({ function: called }) => "name" in (called as Json));
  assertEquals(named.map(({ function: called }) => (called as Json).name), ["get_weather", "now"]);
});

Deno.test("a finish reason in each chunk", async () => {
  const replies = [{ content: "One two", reasoning: "Hm." }, "One two", {
    content: "One two",
    finishReason: "None",
  }];
  const reasons = async (options: FakeLMStudioOptions) =>
    (await streamOf({ replies, ...options })).map(({ choices: [choice] }) => choice?.finish_reason);
  assertEquals(await reasons({}), [null, null, null, "stop"]);
  const beside = { streamFinish: "beside-pieces" } as const;
  assertEquals(await reasons(beside), ["stop", "stop", "stop", "stop"]);
  assertEquals(await reasons({ ...beside, replies: replies.slice(2) }), ["None", "None", "None"]);
  const text = await open({ models: [MODEL], replies: ["One two"], ...beside })
    .post("/v1/completions", JSON.stringify({ prompt: "Count.", stream: true }));
  const frames = framesOf(await text.text()).slice(0, -1) as {
    choices: { finish_reason: unknown }[];
  }[];
  assertEquals(frames.map(({ choices: [choice] }) => choice?.finish_reason), [
    "stop",
    "stop",
    "stop",
  ]);
});

Deno.test("tool calls: the name in the first delta, arguments in chunks", async () => {
  const chunks = await streamOf({ replies: [WEATHER] });
  const calls = chunks.slice(0, -1).map(({ choices }) => choices[0]!.delta.tool_calls as Json[]);
  const [head] = calls[0]!;
  assertMatch(String(head!.id), /^\d{9}$/);
  assertEquals(head, {
    index: 0,
    id: head!.id,
    type: "function",
    function: { name: "get_weather", arguments: "" },
  });
  assertEquals(calls.slice(1, 4).flat(), [
    { index: 0, function: { arguments: '{"' } },
    { index: 0, function: { arguments: "city" } },
    { index: 0, function: { arguments: '":"' } },
  ]);
  assertEquals(calls.slice(-2).flat(), [
    { index: 1, id: "42", type: "function", function: { name: "now", arguments: "" } },
    { index: 1, function: { arguments: "{}" } },
  ]);
  assertEquals(chunks.at(-1)!.choices[0]!.finish_reason, "tool_calls");
});

Deno.test("tool calls: whole answers, and older builds", async () => {
  const { choices: [choice] } = await completionOf({ replies: [WEATHER] });
  const { message, finish_reason } = choice!;
  const calls = message.tool_calls as { id: string; function: Json }[];
  assertEquals(finish_reason, "tool_calls");
  assertEquals(message.content, "");
  assertEquals(calls.map((call) => call.function), [
    { name: "get_weather", arguments: '{"city":"Bern"}' },
    { name: "now", arguments: "{}" },
  ]);
  const old = await completionOf({ replies: [WEATHER], version: "0.3.14" });
  assertEquals(Object.keys(old.choices[0]!.message), ["role", "tool_calls"]);
  assertEquals(old.stats, undefined);
  const chunks = await streamOf({ replies: [WEATHER], version: "0.3.14" });
  assertEquals(
    chunks.map(({ choices: [choice] }) => choice!.delta.tool_calls ?? choice!.finish_reason).length,
    3,
    "arguments in one chunk",
  );
  assertEquals(chunks.at(-1)!.choices[0]!.finish_reason, "stop");
});

Deno.test("limits and stop texts end the answer", async () => {
  const replies = ["one two three four"];
  const limited = await completionOf({ replies }, { max_tokens: 2 });
  assertEquals(limited.choices[0]!.message.content, "one two");
  assertEquals(limited.choices[0]!.finish_reason, "length");
  assertEquals(limited.usage.completion_tokens, 1, "one short at the limit, as seen");
  for (const limit of [{ max_tokens: 4 }, { max_tokens: -1 }, { max_completion_tokens: 9 }]) {
    const free = await completionOf({ replies }, limit);
    assertEquals(free.choices[0]!.finish_reason, "stop");
    assertEquals(free.usage.completion_tokens, 4);
  }
  const eaten = await completionOf({ replies: [{ reasoning: "a b c", content: "x" }] }, {
    max_tokens: 2,
  });
  assertEquals(eaten.choices[0]!.message.content, "");
  assertEquals(eaten.choices[0]!.message.reasoning_content, "a b");
  for (const stop of ["ree", ["zzz", "", "ree"]]) {
    const stopped = await completionOf({ replies }, { stop });
    assertEquals(stopped.choices[0]!.message.content, "one two th");
    assertEquals(stopped.choices[0]!.finish_reason, "stop");
  }
});

Deno.test("if JSON is requested, the default answer satisfies the schema", async () => {
  const ask = async (schema: unknown) => {
    const format = { type: "json_schema", json_schema: { name: "x", schema } };
    const { choices: [choice] } = await completionOf({}, { response_format: format });
    return JSON.parse(String(choice!.message.content));
  };
  assertEquals(
    await ask({
      type: "object",
      properties: {
        name: { type: "string" },
        mail: { type: "string", format: "email" },
        code: { type: "string", minLength: 6, maxLength: 8 },
        kind: { enum: ["a", "b"] },
        one: { const: 1 },
        age: { type: "integer", minimum: 3.5 },
        share: { type: "number", exclusiveMinimum: 0, exclusiveMaximum: 1 },
        debt: { type: "integer", exclusiveMaximum: 0 },
        even: { type: "integer", multipleOf: 2, exclusiveMinimum: 2 },
        tags: { type: "array", items: { $ref: "#/$defs/tag" }, minItems: 2 },
        pair: { type: "array", prefixItems: [{ type: "boolean" }, { type: "null" }] },
        perhaps: { type: ["string", "null"] },
        either: { anyOf: [{ $ref: "#/$defs/node" }, { type: "null" }] },
        both: {
          allOf: [
            { type: "object", properties: { x: { type: "number" } }, required: ["x"] },
            { properties: { y: { type: "number" } }, required: ["y"] },
          ],
        },
        anything: {},
        optional: { type: "string" },
      },
      required: [
        ...["name", "mail", "code", "kind", "one", "age", "share", "debt", "even", "tags", "pair"],
        ...["perhaps", "either", "both", "anything"],
      ],
      $defs: {
        tag: { type: "string", maxLength: 2 },
        node: {
          type: "object",
          properties: { next: { anyOf: [{ $ref: "#/$defs/node" }, { type: "null" }] } },
          required: ["next"],
        },
      },
    }),
    {
      name: "text",
      mail: "someone@example.com",
      code: "textxx",
      kind: "a",
      one: 1,
      age: 4,
      share: 0.5,
      debt: -1,
      even: 4,
      tags: ["te", "te"],
      pair: [false, null],
      perhaps: "text",
      either: null,
      both: { x: 0, y: 0 },
      anything: null,
    },
  );
  assertEquals(await ask({ $ref: "#" }), null, "no value at all");
});

// --- Embeddings -------------------------------------------------------------------------------

function similarity(one: number[], other: number[]): number {
  return one.reduce((sum, value, index) => sum + value * other[index]!, 0);
}

onBothDoors("embeddings: like texts come out alike", () => ({}), async (door) => {
  const input = [
    "The cat sleeps on the warm sofa.",
    "A cat is sleeping on a sofa.",
    "Interest rates were raised by the central bank.",
  ];
  const response = await door.post("/v1/embeddings", { model: EMBEDDER, input });
  const body = await response.json();
  assertEquals({ ...body, data: body.data.length }, {
    object: "list",
    data: 3,
    model: `${EMBEDDER}@q4_k_m`,
    usage: { prompt_tokens: 0, total_tokens: 0 },
  });
  const [cat, alike, bank] = body.data.map((item: { embedding: number[] }) => item.embedding);
  assertEquals(body.data.map((item: Json) => [item.object, item.index]), [
    ["embedding", 0],
    ["embedding", 1],
    ["embedding", 2],
  ]);
  assertEquals(cat.length, 768);
  assertLess(Math.abs(similarity(cat, cat) - 1), 1e-6);
  assertGreater(similarity(cat, alike), similarity(cat, bank) + 0.2);
  const again = await door.post("/v1/embeddings", { model: EMBEDDER, input: input[0] });
  assertEquals((await again.json()).data[0].embedding, cat);
});

Deno.test("embeddings: invalid input, and other vector lengths", async () => {
  const door = open({ models: [MODEL, { id: "tiny", type: "embedding", dimensions: 4 }] });
  const tokens = await door.post("/v1/embeddings", { model: "tiny", input: [[1, 2]] });
  assertEquals(tokens.status, 400);
  assertEquals(
    await tokens.text(),
    `{"error":"'input' field must be a string or an array of strings"}`,
  );
  const empty = await door.post("/v1/embeddings", { model: "tiny", input: ["a", ""] });
  assertEquals(empty.status, 400);
  await empty.body?.cancel();
  const odd = await door.post("/v1/embeddings", { model: "unknown", input: ["…", " "] });
  const { data, model } = await odd.json();
  assertEquals(model, "tiny@q4_k_m", "the one that is loaded answers");
  for (const { embedding } of data) {
    assertEquals(embedding.length, 4);
    assertLess(Math.abs(similarity(embedding, embedding) - 1), 1e-6);
  }
});

// --- Time and aborts --------------------------------------------------------------------------

/** Advances time, timer by timer, until the promise is settled. */
async function settle<T>(time: FakeTime, promise: Promise<T>): Promise<T> {
  let isSettled = false;
  const mark = () => isSettled = true;
  promise.then(mark, mark);
  while (!isSettled) await time.nextAsync();
  return await promise;
}

Deno.test("timing: load, first token, tokens", async () => {
  using time = new FakeTime();
  const door = open({
    models: UNLOADED,
    jitLoadMs: 1_000,
    firstTokenMs: 200,
    tokenMs: 30,
    replies: () => "a b c",
  });
  const start = Date.now();
  const whole = await settle(time, door.post(CHAT, chat()));
  await whole.body?.cancel();
  assertEquals(Date.now() - start, 1_260);

  const streamStart = Date.now();
  const response = await settle(time, door.post(CHAT, chat({ stream: true })));
  assertEquals(Date.now(), streamStart, "headers at once: the model is loaded");
  const reader = response.body!.getReader();
  const arrivals: number[] = [];
  for (let token = 0; token < 3; token++) {
    await settle(time, reader.read());
    arrivals.push(Date.now() - streamStart);
  }
  assertEquals(arrivals, [200, 230, 260]);
  await reader.cancel();
});

Deno.test("timing: headers at the first token", async () => {
  using time = new FakeTime();
  const door = open({ streamHeaders: "at-first-token", firstTokenMs: 50, replies: ["x"] });
  const start = Date.now();
  const response = await settle(time, door.post(CHAT, chat({ stream: true })));
  assertEquals(Date.now() - start, 50);
  assertEquals(framesOf(await response.text()).length, 3);
});

onBothDoors("an abort before the headers", () => ({ firstTokenMs: 60_000 }), async (door, fake) => {
  const controller = new AbortController();
  const reason = new Error("enough");
  const sent = door.post(CHAT, chat(), controller.signal);
  await until(() => fake.requests[0]?.body !== undefined);
  controller.abort(reason);
  assertEquals(await assertRejects(() => sent), reason);
  await until(() => fake.requests[0]!.aborted);
  assertEquals(fake.requests[0]!.completed, false);
  assertEquals(fake.requests[0]!.chunksWritten, 0);
});

onBothDoors("an abort in the middle of a stream", () => ({ tokenMs: 20 }), async (door, fake) => {
  const controller = new AbortController();
  const reason = new Error("enough");
  const response = await door.post(CHAT, chat({ stream: true }), controller.signal);
  const reader = response.body!.getReader();
  await reader.read();
  controller.abort(reason);
  assertEquals(
    await assertRejects(async () => {
      while (!(await reader.read()).done);
    }),
    reason,
  );
  await until(() => fake.requests[0]!.aborted);
  assertEquals(fake.requests[0]!.completed, false);
  assertLess(fake.requests[0]!.chunksWritten, 5);
});

Deno.test("an abort before the body is read", async () => {
  const fake = createFakeLMStudio();
  const controller = new AbortController();
  const { signal } = controller;
  const whole = await fake.fetch(`${BASE}/v1/models`, { signal });
  const stream = await doorTo(fake.fetch, BASE).post(CHAT, chat({ stream: true }), signal);
  controller.abort("enough");
  assertEquals(await assertRejects(() => whole.text()), "enough");
  assertEquals(await assertRejects(() => stream.text()), "enough");
  assertEquals(fake.requests.map(({ completed, aborted }) => [completed, aborted]), [
    [true, false],
    [false, true],
  ]);
});

onBothDoors("a cancelled body", () => ({ tokenMs: 20 }), async (door, fake) => {
  const response = await door.post(CHAT, chat({ stream: true }));
  const reader = response.body!.getReader();
  await reader.read();
  await reader.cancel();
  await until(() => fake.requests[0]!.aborted);
  assertLess(fake.requests[0]!.chunksWritten, 5);
});

onBothDoors(
  "leaving after [DONE] is not an abort",
  () => ({ replies: ["x"] }),
  async (door, fake) => {
    const response = await door.post(CHAT, chat({ stream: true }));
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    for (let text = ""; !text.includes("[DONE]");) text += (await reader.read()).value;
    await reader.cancel();
    await until(() => fake.requests[0]!.completed);
    assertEquals(fake.requests[0]!.aborted, false);
    assertEquals(fake.requests[0]!.chunksWritten, 3);
  },
);

Deno.test("an aborted signal sends nothing", async () => {
  const fake = createFakeLMStudio();
  const signal = AbortSignal.abort("no");
  assertEquals(await assertRejects(() => fake.fetch(BASE, { signal })), "no");
  assertEquals(await assertRejects(() => fake.fetch(new Request(BASE, { signal }))), "no");
  assertEquals(fake.requests.length, 0);
});

onBothDoors("requests are recorded", () => ({ models: [MODEL] }), async (door, fake) => {
  await (await door.get("/v1/models?x=1", { "X-Mine": "yes" })).body?.cancel();
  await (await door.post(CHAT, chat())).body?.cancel();
  await (await door.post("/nowhere", "no json")).body?.cancel();
  assertEquals(fake.requests.map(({ method, path, body }) => [method, path, body]), [
    ["GET", "/v1/models?x=1", undefined],
    ["POST", CHAT, chat()],
    ["POST", "/nowhere", undefined],
  ]);
  assertEquals(fake.requests[0]!.headers["x-mine"], "yes");
  assertEquals(fake.requests.map(({ completed, chunksWritten }) => [completed, chunksWritten]), [
    [true, 1],
    [true, 1],
    [true, 1],
  ]);
});

Deno.test("the handler serves requests, and follows their signal", async () => {
  const fake = createFakeLMStudio({ firstTokenMs: 60_000 });
  const greeting = await fake.handler(new Request(`${BASE}/lmstudio-greeting`));
  assertEquals(await greeting.json(), { lmstudio: true });
  const controller = new AbortController();
  const sent = fake.handler(
    new Request(BASE + CHAT, {
      method: "POST",
      body: JSON.stringify(chat()),
      signal: controller.signal,
    }),
  );
  await until(() => fake.requests[1]?.body !== undefined);
  controller.abort("enough");
  assertEquals(await assertRejects(() => sent), "enough");
  assertEquals(fake.requests[1]!.aborted, true);
});

// --- Faults -----------------------------------------------------------------------------------

function withFault(fault: FaultKind, path?: string | RegExp): () => FakeLMStudioOptions {
  const entry = path === undefined ? { fault } : { path, fault };
  return () => ({ models: [MODEL], replies: () => "one two three", faults: [entry] });
}

type Ending = "end" | "broken" | "silent";

/** The chunks of a body, and how it ends. Expected silence is not waited for. */
async function endOf(
  response: Response,
  expected: Ending,
): Promise<{ text: string; how: Ending }> {
  const patienceMs = expected === "silent" ? 150 : 10_000;
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const silence = new Promise<"silent">((resolve) => {
      timer = setTimeout(() => resolve("silent"), patienceMs);
    });
    try {
      const next = await Promise.race([reader.read(), silence]);
      if (next === "silent") {
        await reader.cancel();
        return { text, how: "silent" };
      }
      if (next.done) return { text, how: "end" };
      text += next.value;
    } catch (error) {
      assertInstanceOf(error, TypeError);
      return { text, how: "broken" };
    } finally {
      clearTimeout(timer);
    }
  }
}

const STREAM = chat({ stream: true, stream_options: { include_usage: true } });

const BROKEN_STREAMS: [string, FaultKind, number, Ending][] = [
  ["stall after the headers", { type: "stall", at: "body" }, 0, "silent"],
  ["stall after 2 tokens", { type: "stall", afterTokens: 2 }, 2, "silent"],
  ["stall after more tokens than there are", { type: "stall", afterTokens: 9 }, 3, "silent"],
  ["stall after the finish", { type: "stall", at: "finish" }, 4, "silent"],
  ["stall at the end", { type: "stall", at: "end" }, 6, "silent"],
  ["cut after the headers", { type: "cut" }, 0, "broken"],
  ["cut after 2 tokens", { type: "cut", afterTokens: 2 }, 2, "broken"],
  ["cut after the finish", { type: "cut", at: "finish" }, 4, "broken"],
  ["clean cut after 2 tokens", { type: "cut", afterTokens: 2, clean: true }, 2, "end"],
  ["empty stream", { type: "empty-stream" }, 0, "end"],
];

for (const [name, fault, frames, expected] of BROKEN_STREAMS) {
  onBothDoors(`faults: ${name}`, withFault(fault, CHAT), async (door) => {
    const response = await door.post(CHAT, STREAM);
    assertEquals(response.status, 200);
    assertEquals(response.headers.get("Content-Type"), "text/event-stream");
    const { text, how } = await endOf(response, expected);
    assertEquals(framesOf(text).length, frames);
    assertEquals(how, expected);
    const next = await door.post(CHAT, STREAM);
    assertEquals(framesOf(await next.text()).length, 6, "only once");
  });
}

onBothDoors(
  "faults: stall before the headers",
  withFault({ type: "stall" }),
  async (door, fake) => {
    const sent = door.post(CHAT, STREAM, AbortSignal.timeout(100));
    assertEquals((await assertRejects(() => sent, DOMException)).name, "TimeoutError");
    await until(() => fake.requests[0]!.aborted);
  },
);

for (const fault of [{ type: "refuse" }, { type: "cut", at: "headers" }] as const) {
  onBothDoors(`faults: ${fault.type}, no answer`, withFault(fault), async (door, fake) => {
    await assertRejects(() => door.get("/v1/models"), TypeError);
    // A real fetch may repeat a request on its own: Deno's does.
    assert(
      fake.requests.every(({ aborted, chunksWritten }) => !aborted && chunksWritten === 0) ||
        fake.requests.length > 1,
    );
  });
}

Deno.test("faults: within the process, causes have codes", async () => {
  const codeOf = async (fault: FaultKind) => {
    const error = await assertRejects(() => open(withFault(fault)()).get("/"), TypeError);
    return (error.cause as { code: string }).code;
  };
  assertEquals(await codeOf({ type: "refuse" }), "ECONNREFUSED");
  assertEquals(await codeOf({ type: "cut", at: "headers" }), "ECONNRESET");
});

onBothDoors("faults: JSON bodies", () => {
  const faults = [
    { type: "cut" },
    { type: "cut", clean: true },
    { type: "bad-json" },
    { type: "stall", at: "body" },
    { type: "empty-stream" },
    { type: "error-frame", message: "Model is unloaded." },
  ] as const;
  return { faults: faults.map((fault) => ({ path: "/v1/models", fault })) };
}, async (door) => {
  for (const expected of ["broken", "end", "end", "silent"] as const) {
    const { text, how } = await endOf(await door.get("/v1/models"), expected);
    assertEquals(how, expected);
    assertEquals(text.slice(0, 11), '{\n  "data":');
    assertThrows(() => JSON.parse(text), SyntaxError);
  }
  assertEquals(await (await door.get("/v1/models")).text(), "");
  const error = await door.get("/v1/models");
  assertEquals(error.status, 400);
  assertEquals(await error.text(), '{"error":"Model is unloaded."}');
});

onBothDoors(
  "faults: an error frame ends the stream",
  withFault({ type: "error-frame", message: "Channel Error", afterTokens: 1 }),
  async (door) => {
    const { text, how } = await endOf(await door.post(CHAT, STREAM), "end");
    const [token, error, ...rest] = text.split("\n\n");
    assert(token!.startsWith("data: "));
    assertEquals(
      error,
      'event: error\ndata: {"error":{"message":"Channel Error"},"message":"Channel Error"}',
    );
    assertEquals([rest, how], [[""], "end"]);
  },
);

onBothDoors(
  "faults: broken JSON in a frame",
  withFault({ type: "bad-json", afterTokens: 2 }),
  async (door) => {
    const { text } = await endOf(await door.post(CHAT, STREAM), "end");
    const [one, two, three, rest] = text.split("\n\n");
    JSON.parse(one!.slice(6));
    JSON.parse(two!.slice(6));
    assertThrows(() => JSON.parse(three!.slice(6)), SyntaxError);
    assertEquals(rest, "");
  },
);

onBothDoors("faults: a server that has no model ready", () => ({
  faults: [
    { fault: { type: "loading" } },
    { fault: { type: "loading", words: "ollama", retryAfter: 3 } },
  ],
}), async (door) => {
  const said: unknown[] = [];
  for (let turn = 0; turn < 2; turn++) {
    const response = await door.post(CHAT, STREAM);
    said.push([response.status, response.headers.get("retry-after"), await response.json()]);
  }
  assertEquals(said, [
    [503, null, { error: { code: 503, message: "Loading model", type: "unavailable_error" } }],
    [503, "3", { error: "server busy, please try again.  maximum pending requests exceeded" }],
  ]);
  await (await door.post(CHAT, STREAM)).text();
});

onBothDoors("faults: any answer", () => ({
  faults: [
    { fault: { type: "respond", status: 200, body: { error: "Model is unloaded." } } },
    { fault: { type: "respond", body: "oops", headers: { "Content-Type": "text/plain" } } },
    { fault: { type: "respond", status: 204 } },
    { fault: { type: "rate-limit", retryAfter: 7 } },
    { fault: { type: "html" } },
    {
      fault: {
        type: "respond",
        status: 200,
        body: "data: x\n\n",
        headers: { "content-type": "text/event-stream" },
      },
    },
  ],
}), async (door) => {
  const said: unknown[] = [];
  for (let turn = 0; turn < 6; turn++) {
    const response = await door.post(CHAT, STREAM);
    const { headers } = response;
    said.push([
      response.status,
      headers.get("Content-Type"),
      headers.get("Retry-After"),
      (await response.text()).slice(0, 30),
    ]);
  }
  const json = "application/json; charset=utf-8";
  assertEquals(said, [
    [200, json, null, '{"error":"Model is unloaded."}'],
    [500, "text/plain", null, "oops"],
    [204, json, null, ""],
    [429, json, "7", '{"error":"Too many requests"}'],
    [502, "text/html", null, "<!DOCTYPE html>\n<html><head><t"],
    [200, "text/event-stream", null, "data: x\n\n"],
  ]);
});

onBothDoors("faults: a redirect", () => ({
  faults: [
    { path: "/v1/models", times: 2, fault: { type: "redirect", location: "/lmstudio-greeting" } },
    { path: CHAT, fault: { type: "redirect", location: "/elsewhere", status: 303 } },
    { path: "/round", times: Infinity, fault: { type: "redirect", location: "/round" } },
  ],
}), async (door, fake, kind) => {
  const followed = await door.get("/v1/models");
  assertEquals(followed.redirected, true);
  assert(followed.url.endsWith("/lmstudio-greeting"));
  assertEquals(await followed.json(), { lmstudio: true });
  assertEquals(await (await door.post(CHAT, chat())).json(), {
    error: "Unexpected endpoint or method. (GET /elsewhere)",
  });
  await assertRejects(() => door.get("/round"), TypeError);
  if (kind === "listen") return;
  const manual = await fake.fetch(`${BASE}/v1/models`, { redirect: "manual" });
  assertEquals([manual.status, manual.headers.get("Location")], [307, "/lmstudio-greeting"]);
  await assertRejects(() => fake.fetch(`${BASE}/round`, { redirect: "error" }), TypeError);
});

Deno.test("faults: a delay, which can be aborted", async () => {
  using time = new FakeTime();
  const door = open({ faults: [{ times: 2, fault: { type: "delay", ms: 500 } }] });
  const start = Date.now();
  const late = await settle(time, door.get("/lmstudio-greeting"));
  assertEquals(await late.json(), { lmstudio: true });
  assertEquals(Date.now() - start, 500);
  const controller = new AbortController();
  const aborted = door.post(CHAT, chat(), controller.signal);
  await time.tickAsync(10);
  controller.abort("enough");
  assertEquals(await assertRejects(() => aborted), "enough");
});

Deno.test("faults: which requests they hit", async () => {
  const door = open({
    faults: [
      { path: /^\/api\//, skip: 1, times: 2, fault: { type: "html", status: 500 } },
      { path: "/v1/models", times: Infinity, fault: { type: "html", status: 501 } },
      { path: "/api/v0/models", fault: { type: "html", status: 503 } },
    ],
  });
  const statuses: number[] = [];
  for (
    const path of [
      "/api/v0/models",
      "/v1/models",
      "/api/v0/models",
      "/api/v1/models?x",
      "/api/v1/models",
      "/v1/models",
    ]
  ) {
    const response = await door.get(path);
    statuses.push(response.status);
    await response.body?.cancel();
  }
  // The pattern let the first request through, and the path hit it.
  assertEquals(statuses, [503, 501, 500, 500, 200, 501]);
});

// --- Listening --------------------------------------------------------------------------------

Deno.test("listen: a given port, several servers, one state", async () => {
  const fake = createFakeLMStudio();
  const first = await fake.listen();
  await assertRejects(() => fake.listen({ port: first.port }), Error);
  assertEquals(first.url, `http://127.0.0.1:${first.port}`);
  await first[Symbol.asyncDispose]();
  await first[Symbol.asyncDispose]();
  await assertRejects(() => fetch(first.url), TypeError);

  await using again = await fake.listen({ port: first.port });
  await using other = await fake.listen();
  for (const { url } of [again, other]) await (await fetch(`${url}/v1/models`)).body?.cancel();
  assertEquals(fake.requests.length, 2);
});

Deno.test("listen: disposal closes open connections", async () => {
  const fake = createFakeLMStudio({
    tokenMs: 30,
    replies: () => "word ".repeat(10_000),
    faults: [{ path: "/v1/models", fault: { type: "stall" } }],
  });
  const server = await fake.listen();
  const door = doorTo(fetch, server.url);
  const stalled = assertRejects(() => door.get("/v1/models"), TypeError);
  const response = await door.post(CHAT, chat({ stream: true }));
  const reader = response.body!.getReader();
  await reader.read();
  await until(() => fake.requests.length === 2);
  await server[Symbol.asyncDispose]();
  await stalled;
  await assertRejects(async () => {
    while (!(await reader.read()).done);
  }, TypeError);
  assertEquals(fake.requests.map(({ completed }) => completed), [false, false]);
});

Deno.test("listen: the bytes of a stream", async () => {
  const fake = createFakeLMStudio({ models: [MODEL], replies: ["Grüezi"] });
  await using server = await fake.listen();
  using connection = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
  const body = JSON.stringify(chat({ stream: true }));
  await connection.write(new TextEncoder().encode(
    `POST ${CHAT} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  ));
  const text = await new Response(connection.readable).text();
  const [head = "", ...rest] = text.split("\r\n\r\n");
  assertMatch(head, /^HTTP\/1\.1 200 OK\r\n/);
  assertMatch(head, /^Transfer-Encoding: chunked$/im);
  const [size, first] = rest.join("\r\n\r\n").split("\r\n");
  assertMatch(first!, /^data: \{.*"content":"Grüezi".*\}\n\n$/);
  assertEquals(Number.parseInt(size!, 16), new TextEncoder().encode(first).length);
  assert(text.endsWith("data: [DONE]\n\n\r\n0\r\n\r\n"));
});

Deno.test("options: values that would be ignored are refused by name", () => {
  const wrong: [Record<string, unknown>, string][] = [
    [{ jit: "yes" }, 'jit is "yes", not true or false'],
    [{ tokenMs: "5" }, 'tokenMs is "5", not a number'],
    [{ firstTokenMs: -1 }, "firstTokenMs is -1, not a number"],
    [{ streamCalls: "one" }, 'streamCalls is "one", not one of "in-pieces", "whole"'],
    [{ streamFinish: "first" }, 'streamFinish is "first", not one of "at-end"'],
    [{ streamHeaders: "late" }, 'streamHeaders is "late", not one of "at-once"'],
    [{ reasoningField: "thoughts" }, 'reasoningField is "thoughts", not one of'],
    [{ apiToken: "" }, "apiToken is empty or not a string"],
    [{ models: [{ id: "m", loaded: "no" }] }, 'models[0].loaded is "no"'],
    [{ faults: [{ fault: { type: "stall", at: "middle" } }] }, 'faults[0].fault.at is "middle"'],
    [{ faults: [{ times: -1, fault: { type: "cut" } }] }, "faults[0].times is -1"],
    [
      { faults: [{ path: 5, fault: { type: "html" } }] },
      "faults[0].path is 5, not a string or a pattern",
    ],
    [{ faults: [{ fault: { type: "delay", ms: "1s" } }] }, 'faults[0].fault.ms is "1s"'],
  ];
  for (const [options, words] of wrong) {
    const error = assertThrows(() => createFakeLMStudio(options), TypeError);
    assertStringIncludes(error.message, `Cannot create the fake: ${words}`);
  }
  createFakeLMStudio({
    faults: [{ path: /x/, times: Infinity, fault: { type: "stall", at: "end" } }],
  });
});
