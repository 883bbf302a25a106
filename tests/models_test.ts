/** Names, loading and unloading: `LMStudioProvider.models`. */

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
  type CallStatus,
  InvalidRequestError,
  LMStudioProvider,
  type LMStudioProviderOptions,
  type ModelLease,
  ModelNotAvailableError,
  OpenAICompatibleProvider,
  TimeoutError,
} from "../mod.ts";
import {
  createFakeLMStudio,
  type FakeLMStudio,
  type FakeLMStudioOptions,
} from "../src/testing/mod.ts";
import { cpuTimeMs } from "./support/cpu_time.ts";
import { inFakeTime } from "./support/puppet.ts";
import { fetchOf, fixture, fixtureAnswer, json, serveStub } from "./support/stub_server.ts";

const V1 = "GET /api/v1/models";
const LOAD = "POST /api/v1/models/load";
const UNLOAD = "POST /api/v1/models/unload";
const QWEN = "qwen/qwen3-8b";
const GPT = "openai/gpt-oss-20b";

function open(
  options: FakeLMStudioOptions = {},
  own: LMStudioProviderOptions = {},
): { fake: FakeLMStudio; lmstudio: LMStudioProvider } {
  const fake = createFakeLMStudio(options);
  const lmstudio = new LMStudioProvider({ fetch: fake.fetch, env: {}, maxRetries: 0, ...own });
  return { fake, lmstudio };
}

function sent(fake: FakeLMStudio, route: string): unknown[] {
  return fake.requests.filter(({ method, path }) => `${method} ${path}` === route)
    .map(({ body }) => body);
}

async function instancesOf(lmstudio: LMStudioProvider, name: string): Promise<string[]> {
  const { instances = [] } = await lmstudio.models.get(name);
  return instances.map(({ id }) => id);
}

async function failure(promise: PromiseLike<unknown>): Promise<unknown> {
  return await promise.then(() => assert(false, "it did not reject"), (error) => error);
}

async function unavailable(promise: PromiseLike<unknown>): Promise<ModelNotAvailableError> {
  const error = await failure(promise);
  assertInstanceOf(error, ModelNotAvailableError);
  return error;
}

// --- get --------------------------------------------------------------------------------------

Deno.test("get: the model, in any spelling of its name", async () => {
  const { lmstudio } = open({
    models: [{ id: QWEN, instances: [QWEN, `${QWEN}:2`, "my-alias"] }, GPT],
  });
  for (
    const name of [
      QWEN,
      "qwen3-8b",
      "Qwen/Qwen3-8B",
      `${QWEN}@q4_k_m`,
      "QWEN3-8b@Q4_K_M",
      "qwen3-8b:2",
    ]
      .concat(`${QWEN}:2`, "my-alias", " qwen3-8b ")
  ) {
    assertEquals((await lmstudio.models.get(name)).id, QWEN, name);
  }
});

Deno.test("get: always sends a request", async () => {
  const { fake, lmstudio } = open({ models: [QWEN] });
  await lmstudio.models.get(QWEN);
  await lmstudio.models.get(QWEN);
  assertEquals(sent(fake, V1).length, 2);
});

Deno.test("get: an unknown name is an error that suggests the closest", async () => {
  const { lmstudio } = open({ models: [GPT, "google/gemma-3-4b", QWEN, "qwen/qwen3-14b"] });
  const error = await unavailable(lmstudio.models.get("qwen3-8x"));
  assertEquals([error.code, error.model], ["model_not_found", "qwen3-8x"]);
  assertStringIncludes(error.message, `Cannot find model "qwen3-8x": the server does not have it`);
  assertStringIncludes(error.message, `${QWEN}, qwen/qwen3-14b`);
  assertEquals(error.available?.[0], QWEN);
  assertEquals(error.available?.length, 4);

  const part = await unavailable(lmstudio.models.get("gemma"));
  assertEquals(part.available?.[0], "google/gemma-3-4b");
});

Deno.test("get: without any model there is no suggestion", async () => {
  const { lmstudio } = open({ models: [] });
  const error = await unavailable(lmstudio.models.get(QWEN));
  assertStringIncludes(error.message, "the server has no models");
  assertEquals(error.available ?? [], []);
});

Deno.test("get: a short name with two publishers means the loaded one, otherwise an error names both", async () => {
  const both = (a: boolean, b: boolean) =>
    open({ models: [{ id: "a/m-7b", loaded: a }, { id: "b/m-7b", loaded: b }] }).lmstudio.models;
  assertEquals((await both(false, true).get("m-7b")).id, "b/m-7b");
  assertEquals((await both(true, true).get("A/M-7B")).id, "a/m-7b");
  for (const models of [both(false, false), both(true, true)]) {
    const error = await unavailable(models.get("m-7b"));
    assertEquals([error.code, error.available], ["model_not_found", ["a/m-7b", "b/m-7b"]]);
    assertStringIncludes(error.message, "a/m-7b, b/m-7b");
    assertStringIncludes(error.hint, "publisher");
  }
});

Deno.test("get: for an ambiguous name the error says what is missing: publisher, variant or both", async () => {
  const missing = async (name: string, ...ids: string[]) => {
    const { lmstudio } = open({ models: ids.map((id) => ({ id, loaded: false })) });
    const { code, hint, available } = await unavailable(lmstudio.models.get(name));
    assertEquals([code, available], ["model_not_found", ids]);
    return [hint.includes("publisher"), hint.includes("variant")];
  };
  assertEquals(await missing("m-7b", "a/m-7b", "b/m-7b"), [true, false]);
  assertEquals(await missing("m-7b", "a/m-7b@q4_k_m", "a/m-7b@q8_0"), [false, true]);
  assertEquals(await missing("a/m-7b", "a/m-7b@q4_k_m", "a/m-7b@q8_0"), [false, true]);
  assertEquals(await missing("m-7b", "m-7b@4bit", "m-7b@8bit"), [false, true]);
  assertEquals(await missing("m-7b", "a/m-7b@q4_k_m", "b/m-7b@q8_0"), [true, true]);
  assertEquals(await missing("m-7b@q4", "a/m-7b@q4", "b/m-7b@q4", "b/m-7b"), [true, true]);
  assertEquals(await missing("M-7B", "m-7b", "m-7B"), [false, false]);
});

Deno.test("get: a named instance has its own context, and instance names are suggested, too", async () => {
  const { lmstudio: { models } } = open({
    models: [
      { id: QWEN, instances: [{ id: "long-chats", contextLength: 32_768 }, QWEN] },
      { id: GPT, instances: [{ id: `${GPT}:2`, contextLength: 9000 }] },
    ],
  });
  const contextOf = async (name: string) => (await models.get(name)).loadedContextLength;
  assertEquals([await contextOf(QWEN), await contextOf("long-chats")], [4096, 32_768]);
  assertEquals([await contextOf(GPT), await contextOf("gpt-oss-20b:2")], [9000, 9000]);
  const error = await unavailable(models.get("long-chat s"));
  assertStringIncludes(error.message, "the closest names are long-chats,");
});

Deno.test("get: the closest of 20 000 names is found at once", async () => {
  const key = (index: number) => `publisher-${index % 100}/some-model-${index}-instruct-gguf`;
  const ids = Array.from({ length: 20_000 }, (_, index) => key(index));
  await using server = serveStub({
    [V1]: json({ models: ids.map((key) => ({ key, type: "llm", loaded_instances: [] })) }),
  });
  const { models } = new LMStudioProvider({ baseUrl: server.url, env: {} });
  await models.get(ids[7]!);
  for (
    const [name, nearest] of [
      ["some-modle-12345-instruct-gguf", ids[12_345]!],
      ["sme-model-777-instruct-guf", ids[777]!],
      [`${"x".repeat(99)}`, undefined],
    ] as const
  ) {
    const usedBefore = cpuTimeMs();
    const error = await unavailable(models.get(name));
    assert(cpuTimeMs() - usedBefore < 1000, name);
    assertEquals(error.available?.length, 200);
    if (nearest !== undefined) assertEquals(error.available?.[0], nearest);
  }
});

Deno.test("get: works with every version", async () => {
  for (const version of ["0.3.5", "0.3.16", "0.3.29", "0.4.0", "0.4.20"]) {
    const { lmstudio } = open({ version, models: [QWEN] });
    assertEquals((await lmstudio.models.get("qwen3-8b")).id, QWEN, version);
  }
});

// --- refusals ---------------------------------------------------------------------------------

Deno.test("refusals: invalid arguments are refused by name, and nothing is sent", async () => {
  const { fake, lmstudio: { models } } = open();
  // deno-lint-ignore no-explicit-any -- what callers without types hand in
  const wrong = (value: unknown): any => value;
  const cases: [PromiseLike<unknown>, string][] = [
    [models.get(wrong(undefined)), "name is undefined"],
    [models.get(" "), "name cannot be empty"],
    [
      models.get("m", wrong({ timeout: 5 })),
      `unknown option "timeout" (did you mean "timeoutMs"?)`,
    ],
    [models.load(wrong(5)), "name is 5, not a string"],
    [models.load("m", wrong({ context_length: 5 })), `did you mean "contextLength"?`],
    [models.load("m", wrong({ ttl: 5 })), `unknown option "ttl"`],
    [models.load("m", wrong({ unloadOnDispose: true })), `unknown option "unloadOnDispose"`],
    [models.load("m", { contextLength: 0 }), "contextLength is 0, not a whole number above 0"],
    [models.load("m", { contextLength: 1.5 }), "contextLength is 1.5"],
    [models.load("m", { numExperts: NaN }), "numExperts is NaN"],
    [models.load("m", wrong({ flashAttention: "yes" })), `flashAttention is "yes", not true or`],
    [models.load("m", wrong("8192")), `the load options are "8192", not an object`],
    [models.ensureLoaded("", {}), "name cannot be empty"],
    [models.ensureLoaded("m", wrong({ unloadOnDispose: 1 })), "unloadOnDispose is 1"],
    [models.ensureLoaded("m", {}, wrong({ signal: 1 })), "signal is 1, not an AbortSignal"],
    [models.unload(wrong(undefined)), "nameOrInstance is undefined"],
  ];
  // All run at once; one that fails before it is awaited must not be unhandled.
  for (const [call] of cases) call.then(undefined, () => {});
  for (const [call, words] of cases) {
    const error = await failure(call);
    assertInstanceOf(error, InvalidRequestError, words);
    assertStringIncludes(error.message, words);
    assertEquals(error.attempts, 0);
  }
  assertEquals(fake.requests.length, 0);
});

// --- load -------------------------------------------------------------------------------------

Deno.test("load: returns the instance, the load time and the configuration", async () => {
  await using server = serveStub({
    [V1]: fixtureAnswer("listings/v1.json"),
    [LOAD]: fixtureAnswer("answers/load_config.json"),
  });
  const { models } = new LMStudioProvider({ baseUrl: server.url, env: {} });
  assertEquals(await models.load("gemma-4-26b-a4b"), {
    instanceId: GPT,
    type: "llm",
    loadTimeSeconds: 9.099,
    config: {
      contextLength: 16384,
      evalBatchSize: 512,
      flashAttention: true,
      numExperts: 4,
      offloadKvCacheToGpu: true,
    },
  });
});

Deno.test("load: if the answer has no configuration, there is none", async () => {
  const listing = JSON.stringify({ models: [{ key: GPT, type: "llm", loaded_instances: [] }] });
  await using server = serveStub({
    [V1]: { body: listing },
    [LOAD]: fixtureAnswer("answers/load.json"),
  });
  const { models } = new LMStudioProvider({ baseUrl: server.url, env: {} });
  assertEquals(await models.load(GPT), {
    instanceId: GPT,
    type: "llm",
    loadTimeSeconds: 9.099,
  });
});

Deno.test("load: options are sent under their names on the wire, and no field the server does not know", async () => {
  const { fake, lmstudio } = open({ models: [{ id: GPT, loaded: false, numExperts: 4 }] });
  const { config } = await lmstudio.models.load("gpt-oss-20b", {
    contextLength: 8192,
    evalBatchSize: 256,
    flashAttention: false,
    numExperts: 2,
    offloadKvCacheToGpu: false,
  });
  assertEquals(sent(fake, LOAD), [{
    model: GPT,
    context_length: 8192,
    eval_batch_size: 256,
    flash_attention: false,
    num_experts: 2,
    offload_kv_cache_to_gpu: false,
    echo_load_config: true,
  }]);
  assertEquals(config, {
    contextLength: 8192,
    evalBatchSize: 256,
    flashAttention: false,
    numExperts: 2,
    offloadKvCacheToGpu: false,
  });
});

Deno.test("load: adds an instance each time, and the selected variant under the model's own id", async () => {
  const { fake, lmstudio } = open({ models: [QWEN] });
  assertEquals((await lmstudio.models.load(QWEN)).instanceId, `${QWEN}:2`);
  assertEquals((await lmstudio.models.load("qwen3-8b@Q4_K_M")).instanceId, `${QWEN}:3`);
  const [, second] = sent(fake, LOAD) as { model: string }[];
  assertEquals(second?.model, QWEN);
});

Deno.test("load: a listed id is sent as listed, including its @", async () => {
  const ids = ["unsloth/qwen3-8b_gguf@q4_k_m", "mlx-community/gemma-3@4bit", "GPT-oss-20b@MXFP4"];
  const { fake, lmstudio } = open({ models: ids.map((id) => ({ id, loaded: false })) });
  const names = [...ids, "Qwen3-8B_GGUF@Q4_K_M", "qwen3-8b_gguf", "gemma-3", "gpt-oss-20b@mxfp4"];
  for (const name of names) await lmstudio.models.load(name);
  assertEquals(
    (sent(fake, LOAD) as { model: string }[]).map(({ model }) => model),
    [...ids, ids[0], ids[0], ids[1], ids[2]],
  );
  for (const name of [...ids, "gemma-3@4BIT"]) {
    const { alreadyLoaded } = await lmstudio.models.ensureLoaded(name);
    assertEquals(alreadyLoaded, true, name);
    assert(await lmstudio.supportsModel(name), name);
  }
  await lmstudio.models.unload("gemma-3@4bit");
  assertEquals((await lmstudio.models.ensureLoaded("gemma-3@4bit")).instanceId, ids[1]);
  const body = sent(fake, LOAD).at(-1) as { model: string };
  assertEquals(body.model, ids[1]);
});

Deno.test("load: of several variants the selected one; you select another in LM Studio", async () => {
  const variants = [`${QWEN}@q8_0`, `${QWEN}@q4_k_m`, `${QWEN}@6bit`];
  const { fake, lmstudio: { models } } = open({ models: [{ id: QWEN, loaded: false, variants }] });
  assertEquals((await models.load("qwen3-8b@Q8_0")).instanceId, QWEN);
  for (const [name, word] of [["qwen3-8b@Q4_K_M", "choose yours"], [`${QWEN}@q2_k`, "download"]]) {
    const error = await unavailable(models.load(name!));
    assertEquals(error.code, "model_not_found");
    for (const part of ["LM Studio", `now "${QWEN}@q8_0"`, "My Models", word!, `"${QWEN}"`]) {
      assertStringIncludes(error.hint, part);
    }
  }
  const bodies = sent(fake, LOAD) as { model: string }[];
  assertEquals(
    bodies.map(({ model }) => model),
    [QWEN, `${QWEN}@q4_k_m`, `${QWEN}@q2_k`],
  );
  await models.unload(QWEN);
  const error = await unavailable(models.ensureLoaded(`${QWEN}@6bit`));
  assertStringIncludes(error.hint, "choose yours");
});

Deno.test("load: another variant is not loaded instead of a missing one", async () => {
  const { fake, lmstudio } = open({ models: [QWEN] });
  const error = await unavailable(lmstudio.models.load(`${QWEN}@q8_0`));
  assertEquals(error.code, "model_not_found");
  assertEquals((sent(fake, LOAD)[0] as { model: string }).model, `${QWEN}@q8_0`);
  assertEquals(await instancesOf(lmstudio, QWEN), [QWEN]);
});

Deno.test("load: failures keep their codes", async () => {
  const failing = async (loadError: string) => {
    const { lmstudio } = open({ models: [{ id: QWEN, loaded: false, loadError }] });
    return await unavailable(lmstudio.models.load(QWEN));
  };
  const full = await failing("Model loading was stopped due to insufficient system resources.");
  assertEquals([full.code, full.retriable], ["insufficient_resources", false]);
  assertStringIncludes(full.message, `Cannot load model "${QWEN}": Model loading was stopped`);
  assertEquals((await failing("It exited before becoming healthy.")).code, "model_load_failed");
  const { lmstudio } = open({ models: [QWEN] });
  assertEquals(
    (await unavailable(lmstudio.models.load("nobody/has-this"))).code,
    "model_not_found",
  );
});

Deno.test("load: an answer without an instance id is a ParseError, one without its time is not", async () => {
  const listing = { models: [{ key: QWEN, type: "embedding", loaded_instances: [] }] };
  const answering = (answer: unknown) => serveStub({ [V1]: json(listing), [LOAD]: json(answer) });
  {
    await using server = answering({ status: "loaded" });
    const { models } = new LMStudioProvider({ baseUrl: server.url, env: {} });
    const error = await assertRejects(() => models.load(QWEN));
    assertEquals((error as { code?: unknown }).code, "malformed_response");
  }
  await using server = answering({ instance_id: "x", load_time_seconds: null, load_config: 5 });
  const { models } = new LMStudioProvider({ baseUrl: server.url, env: {} });
  const { loadTimeSeconds, ...rest } = await models.load(QWEN);
  assertEquals(rest, { instanceId: "x", type: "embedding" });
  assert(loadTimeSeconds >= 0 && loadTimeSeconds < 10);
});

Deno.test("load: is not retried if it may have run", async () => {
  const { fake, lmstudio } = open({
    models: [QWEN],
    faults: [{ path: "/api/v1/models/load", fault: { type: "respond", status: 503 }, times: 5 }],
  }, { maxRetries: 3 });
  assertInstanceOf(await failure(lmstudio.models.load(QWEN)), ApiError);
  assertEquals(sent(fake, LOAD).length, 1);
});

Deno.test("load: has no default timeout, and the caller's covers all of it", async () => {
  await inFakeTime(async (pass) => {
    const { lmstudio } = open({ models: [QWEN], loadMs: 600_000 });
    const loading = lmstudio.models.load(QWEN);
    await pass(0);
    // Time for the check whether the server is running at all.
    for (const ms of [5000, 1, 1, 600_000, 1]) await pass(ms);
    assertEquals((await loading).loadTimeSeconds, 600);

    const limited = failure(lmstudio.models.load(QWEN, {}, { timeoutMs: 50 }));
    await pass(60);
    await pass(60);
    const error = await limited;
    assertInstanceOf(error, TimeoutError);
    assertEquals([error.code, error.timeoutMs], ["timeout_total", 50]);
  });
});

Deno.test("load: a listing from before a load is not used after it", async () => {
  const { lmstudio } = open({ models: [{ id: QWEN, loaded: false, maxContextLength: 40_000 }] });
  assertEquals((await lmstudio.modelCapabilities(QWEN))?.maxTokens, 40_000);
  await lmstudio.models.load(QWEN, { contextLength: 1024 });
  assertEquals((await lmstudio.modelCapabilities(QWEN))?.maxTokens, 1024);
  await lmstudio.models.unload(QWEN);
  assertEquals((await lmstudio.modelCapabilities(QWEN))?.maxTokens, 40_000);
});

Deno.test("load and ensureLoaded: onStatus reports waiting, then loading once a second", async () => {
  for (const method of ["load", "ensureLoaded"] as const) {
    await inFakeTime(async (pass) => {
      const { lmstudio } = open({ models: [{ id: QWEN, loaded: false }], loadMs: 2500 });
      const told: CallStatus[] = [];
      const onStatus = (status: CallStatus) => void told.push(status);
      const loading = lmstudio.models[method](QWEN, {}, { onStatus });
      await pass(0);
      for (let step = 0; step < 8; step++) {
        await pass(400);
        await pass(1);
      }
      await loading;
      const loads = told.filter(({ phase }) => phase === "loading").length;
      assertEquals(told[0], { phase: "waiting" });
      assertEquals(told.slice(1), Array(loads).fill({ phase: "loading" }));
      assert(loads === 3, `${loads}`);
    });
  }
});

Deno.test("load and ensureLoaded: an exception from onStatus ends the call and its request", async () => {
  for (const method of ["load", "ensureLoaded"] as const) {
    for (const isAsync of [false, true]) {
      const { fake, lmstudio } = open({ models: [{ id: QWEN, loaded: false }], loadMs: 10_000 });
      const reason = new Error("enough");
      const onStatus = ({ phase }: CallStatus): void => {
        if (phase !== "loading") return;
        if (isAsync) return Promise.reject(reason) as unknown as void;
        throw reason;
      };
      const error = await failure(lmstudio.models[method](QWEN, {}, { onStatus }));
      assertStrictEquals(error, reason);
      await new Promise((resolve) => setTimeout(resolve, 5));
      assertEquals(fake.requests.filter(({ completed, aborted }) => !completed && !aborted), []);
    }
  }
});

// --- ensureLoaded -----------------------------------------------------------------------------

Deno.test("ensureLoaded: twenty concurrent calls, in any spelling, are one load", async () => {
  const { fake, lmstudio } = open({ models: [{ id: QWEN, loaded: false }], loadMs: 5 });
  const names = [QWEN, "qwen3-8b", "QWEN3-8B", `${QWEN}@q4_k_m`];
  const leases = await Promise.all(
    Array.from({ length: 20 }, (_, index) => lmstudio.models.ensureLoaded(names[index % 4]!)),
  );
  assertEquals(sent(fake, LOAD).length, 1);
  assertEquals(new Set(leases.map(({ instanceId }) => instanceId)), new Set([QWEN]));
  assertEquals(new Set(leases.map(({ alreadyLoaded }) => alreadyLoaded)), new Set([false]));

  const later = await lmstudio.models.ensureLoaded(QWEN);
  assertEquals([later.instanceId, later.alreadyLoaded], [QWEN, true]);
  assertEquals(sent(fake, LOAD).length, 1);
});

Deno.test("ensureLoaded: one load, even if each call fetches its own listing at another time", async () => {
  const fake = createFakeLMStudio({ models: [{ id: QWEN, loaded: false }] });
  let delay = 0;
  const lmstudio = new LMStudioProvider({
    env: {},
    fetch: async (input, init) => {
      const response = await fake.fetch(input, init);
      // The listing is outdated when it arrives.
      if (String(input).endsWith("/api/v1/models")) {
        await new Promise((resolve) => setTimeout(resolve, delay += 3));
      }
      return response;
    },
  });
  await Promise.all(
    Array.from(
      { length: 6 },
      (_, index) =>
        lmstudio.models.ensureLoaded(QWEN, {}, { headers: { "x-caller": String(index) } }),
    ),
  );
  assertEquals(sent(fake, LOAD).length, 1);
});

Deno.test("ensureLoaded: one caller's abort ends only its own wait", async () => {
  const { fake, lmstudio } = open({ models: [{ id: QWEN, loaded: false }], loadMs: 20 });
  const controller = new AbortController();
  const first = failure(lmstudio.models.ensureLoaded(QWEN, {}, { signal: controller.signal }));
  const second = lmstudio.models.ensureLoaded(QWEN);
  await new Promise((resolve) => setTimeout(resolve, 5));
  const reason = new Error("no more patience");
  controller.abort(reason);
  assertStrictEquals(await first, reason);
  assertEquals((await second).instanceId, QWEN);
  assertEquals(sent(fake, LOAD).length, 1);
});

Deno.test("ensureLoaded: when all callers have aborted, the request ends, and the next call starts anew", async () => {
  const { fake, lmstudio } = open({ models: [{ id: QWEN, loaded: false }], loadMs: 20 });
  const { signal } = new AbortController();
  const controllers = [new AbortController(), new AbortController()];
  const calls = controllers.map(({ signal }) =>
    failure(lmstudio.models.ensureLoaded(QWEN, {}, { signal }))
  );
  await new Promise((resolve) => setTimeout(resolve, 5));
  for (const controller of controllers) controller.abort("left");
  assertEquals(await Promise.all(calls), ["left", "left"]);
  await new Promise((resolve) => setTimeout(resolve, 2));
  assertEquals(fake.requests.filter(({ aborted }) => aborted).length, 1);
  assertEquals((await lmstudio.models.ensureLoaded(QWEN, {}, { signal })).instanceId, QWEN);
});

Deno.test("ensureLoaded: an aborted signal sends nothing", async () => {
  const { fake, lmstudio } = open();
  assertEquals(
    await failure(lmstudio.models.ensureLoaded(GPT, {}, { signal: AbortSignal.abort("no") })),
    "no",
  );
  assertEquals(fake.requests.length, 0);
});

Deno.test("ensureLoaded: each caller has its own timeout", async () => {
  const { fake, lmstudio } = open({ models: [{ id: QWEN, loaded: false }], loadMs: 500 });
  // Late enough that the load cannot win, even on a busy machine.
  const patient = lmstudio.models.ensureLoaded(QWEN);
  const error = await failure(lmstudio.models.ensureLoaded(QWEN, {}, { timeoutMs: 10 }));
  assertInstanceOf(error, TimeoutError);
  assertEquals((await patient).instanceId, QWEN);
  assertEquals(sent(fake, LOAD).length, 1);
});

Deno.test("ensureLoaded: a failure reaches everyone waiting, and is not cached", async () => {
  const { fake, lmstudio } = open({
    models: [{ id: QWEN, loaded: false }],
    faults: [{
      path: "/api/v1/models/load",
      fault: {
        type: "respond",
        status: 400,
        body: fixture("errors/load_guardrails_native.json"),
      },
    }],
  });
  const both = [lmstudio.models.ensureLoaded(QWEN), lmstudio.models.ensureLoaded("qwen3-8b")];
  for (const error of await Promise.all(both.map(failure))) {
    assertEquals((error as ModelNotAvailableError).code, "insufficient_resources");
  }
  assertEquals(sent(fake, LOAD).length, 1);
  assertEquals((await lmstudio.models.ensureLoaded(QWEN)).alreadyLoaded, false);
});

Deno.test("ensureLoaded: a load that fails for too much context does not fail a caller asking for less", async () => {
  const { fake, lmstudio } = open({
    models: [{ id: QWEN, loaded: false }],
    faults: [{
      path: "/api/v1/models/load",
      fault: {
        type: "respond",
        status: 400,
        body: fixture("errors/load_guardrails_native.json"),
      },
    }],
  });
  const [large, small] = await Promise.allSettled([
    lmstudio.models.ensureLoaded(QWEN, { contextLength: 131_072 }),
    lmstudio.models.ensureLoaded(QWEN),
  ]);
  assertEquals([large.status, small.status], ["rejected", "fulfilled"]);
  assertEquals(sent(fake, LOAD).length, 2);
});

Deno.test("ensureLoaded: an instance with less context does not count, one with more does", async () => {
  const { lmstudio } = open({ models: [{ id: QWEN, contextLength: 4096 }] });
  const enough = await lmstudio.models.ensureLoaded(QWEN, { contextLength: 4096 });
  assertEquals([enough.instanceId, enough.alreadyLoaded], [QWEN, true]);
  assertEquals(enough.contextLength, 4096);
  const larger = await lmstudio.models.ensureLoaded(QWEN, { contextLength: 8192 });
  assertEquals([larger.instanceId, larger.alreadyLoaded], [`${QWEN}:2`, false]);
  assertEquals(larger.contextLength, 8192);
  const again = await lmstudio.models.ensureLoaded(QWEN, { contextLength: 6000 });
  assertEquals([again.instanceId, again.alreadyLoaded], [`${QWEN}:2`, true]);
});

Deno.test("ensureLoaded: concurrent calls with different contexts each get what they asked for", async () => {
  const { fake, lmstudio } = open({ models: [{ id: QWEN, loaded: false }], loadMs: 3 });
  const [small, large] = await Promise.all([
    lmstudio.models.ensureLoaded(QWEN, { contextLength: 2048 }),
    lmstudio.models.ensureLoaded(QWEN, { contextLength: 8192 }),
  ]);
  assertEquals([small.contextLength, large.contextLength], [2048, 8192]);
  assertEquals(sent(fake, LOAD).length, 2);
});

Deno.test("ensureLoaded: less context than requested is reported, and does not cause repeated loads", async () => {
  const { fake, lmstudio } = open({
    models: [{ id: QWEN, loaded: false, maxContextLength: 4096 }],
  });
  const lease = await lmstudio.models.ensureLoaded(QWEN, { contextLength: 100_000 });
  assertEquals(lease.contextLength, 4096);
  await lmstudio.models.ensureLoaded(QWEN, { contextLength: 100_000 });
  assertEquals(sent(fake, LOAD).length, 1);

  // A server that gives less without announcing it.
  const instances: unknown[] = [];
  await using server = serveStub({
    [V1]: () => json({ models: [{ key: QWEN, type: "llm", loaded_instances: instances }] }),
    [LOAD]: () => {
      const load_config = { context_length: 2048 };
      instances.push({ id: QWEN, config: load_config });
      return json({ type: "llm", instance_id: QWEN, load_time_seconds: 1, load_config });
    },
  });
  const other = new LMStudioProvider({ baseUrl: server.url, env: {} });
  for (const alreadyLoaded of [false, true]) {
    const lease = await other.models.ensureLoaded(QWEN, { contextLength: 8192 });
    assertEquals([lease.alreadyLoaded, lease.contextLength], [alreadyLoaded, 2048]);
  }
  assertEquals(server.on(LOAD).length, 1);
});

/** Loads that give less than requested, but report what was requested. */
const AUTO_FIT = { id: QWEN, loaded: false, maxContextLength: 131_072, fittingContextLength: 8192 };

Deno.test("auto-fit: the lease has the listed context, and no other instance is loaded to get more", async () => {
  const { fake, lmstudio: { models } } = open({ models: [AUTO_FIT] });
  const first = await models.ensureLoaded(QWEN, { contextLength: 65_536 });
  assertEquals(
    [first.instanceId, first.alreadyLoaded, first.contextLength],
    [QWEN, false, 8192],
  );
  for (const contextLength of [65_536, 32_768, 131_072, 500_000, 8192, 4096, undefined]) {
    const lease = await models.ensureLoaded("qwen3-8b", { contextLength });
    assertEquals([lease.instanceId, lease.alreadyLoaded, lease.contextLength], [QWEN, true, 8192]);
  }
  assertEquals(sent(fake, LOAD).length, 1);
});

Deno.test("auto-fit: four runs of a program leave one instance", async () => {
  const { fake } = open({ models: [AUTO_FIT] });
  const loaded: unknown[] = [];
  for (let run = 0; run < 4; run++) {
    const { models } = new LMStudioProvider({ fetch: fake.fetch, env: {} });
    const lease = await models.ensureLoaded(QWEN, { contextLength: 65_536 });
    loaded.push([lease.instanceId, lease.alreadyLoaded, lease.contextLength]);
    const { instances = [] } = await models.get(QWEN);
    assertEquals(instances.map(({ id }) => id), [QWEN], `run ${run}`);
    await models.ensureLoaded(QWEN, { contextLength: 65_536 });
  }
  const there = [QWEN, true, 8192];
  assertEquals(loaded, [[QWEN, false, 8192], there, there, there]);
  // Each run finds out once that it cannot get more.
  assertEquals([sent(fake, LOAD).length, sent(fake, UNLOAD).length], [4, 3]);
});

Deno.test("auto-fit: an instance that got more than the existing ones stays, and one under another id will do", async () => {
  const more = open({ models: [{ ...AUTO_FIT, instances: [{ id: QWEN, contextLength: 2048 }] }] });
  const lease = await more.lmstudio.models.ensureLoaded(QWEN, { contextLength: 65_536 });
  assertEquals([lease.instanceId, lease.contextLength], [`${QWEN}:2`, 8192]);
  assertEquals(await instancesOf(more.lmstudio, QWEN), [QWEN, `${QWEN}:2`]);

  const alias = open({
    models: [{ ...AUTO_FIT, instances: [{ id: "mine", contextLength: 8192 }] }],
  });
  const other = await alias.lmstudio.models.ensureLoaded(QWEN, { contextLength: 16_384 });
  assertEquals(
    [other.instanceId, other.alreadyLoaded, other.contextLength],
    ["mine", true, 8192],
  );
  assertEquals(await instancesOf(alias.lmstudio, QWEN), ["mine"]);
});

Deno.test("auto-fit: all waiting callers share one load, and none of them unloads existing instances", async () => {
  const { fake, lmstudio } = open({
    models: [{ ...AUTO_FIT, instances: [{ id: QWEN, contextLength: 8192 }] }],
    loadMs: 3,
  });
  const take = (contextLength: number) =>
    lmstudio.models.ensureLoaded(QWEN, { contextLength, unloadOnDispose: true });
  const leases = await Promise.all([take(65_536), take(32_768), take(65_536), take(9000)]);
  for (const lease of leases) {
    assertEquals([lease.instanceId, lease.alreadyLoaded], [QWEN, true]);
    await lease[Symbol.asyncDispose]();
  }
  assertEquals(sent(fake, LOAD).length, 1);
  assertEquals(sent(fake, UNLOAD), [{ instance_id: `${QWEN}:2` }]);
  assertEquals(await instancesOf(lmstudio, QWEN), [QWEN]);
});

Deno.test("auto-fit: an instance that cannot be unloaded again is used", async () => {
  const { lmstudio } = open({
    models: [{ ...AUTO_FIT, instances: [{ id: QWEN, contextLength: 8192 }] }],
    faults: [{ path: "/api/v1/models/unload", fault: { type: "respond", status: 500 } }],
  });
  const lease = await lmstudio.models.ensureLoaded(QWEN, { contextLength: 65_536 });
  assertEquals([lease.instanceId, lease.contextLength], [`${QWEN}:2`, 8192]);
});

Deno.test("auto-fit: two programs loading at the same time do not unload each other's instance", async () => {
  const fake = createFakeLMStudio({ models: [AUTO_FIT], loadMs: 5 });
  const leases = await Promise.all(
    [1, 2].map(() =>
      new LMStudioProvider({ fetch: fake.fetch, env: {} }).models
        .ensureLoaded(QWEN, { contextLength: 65_536 })
    ),
  );
  const there = await instancesOf(new LMStudioProvider({ fetch: fake.fetch, env: {} }), QWEN);
  for (const { instanceId } of leases) assert(there.includes(instanceId), instanceId);
});

Deno.test("ensureLoaded: if the listing fails after the load, the load's own answer counts", async () => {
  const { lmstudio } = open({
    models: [{ id: QWEN, loaded: false }],
    faults: [{ path: "/api/v1/models", skip: 1, fault: { type: "respond", status: 500 } }],
  });
  const lease = await lmstudio.models.ensureLoaded(QWEN, { contextLength: 6000 });
  assertEquals([lease.instanceId, lease.contextLength], [QWEN, 6000]);
});

Deno.test("ensureLoaded: an instance with unknown context counts, and the lease has no context", async () => {
  await using server = serveStub({
    [V1]: json({ models: [{ key: QWEN, type: "llm", loaded_instances: [{ id: QWEN }] }] }),
  });
  const { models } = new LMStudioProvider({ baseUrl: server.url, env: {} });
  const lease = await models.ensureLoaded(QWEN, { contextLength: 8192 });
  assertEquals([lease.instanceId, lease.alreadyLoaded], [QWEN, true]);
  assertEquals("contextLength" in lease, false);
});

Deno.test("ensureLoaded: a named instance, or an alias", async () => {
  const { fake, lmstudio } = open({ models: [{ id: QWEN, instances: [QWEN, "mine"] }] });
  assertEquals((await lmstudio.models.ensureLoaded("mine")).instanceId, "mine");
  assertEquals((await lmstudio.models.ensureLoaded("qwen3-8b")).instanceId, QWEN);
  assertEquals(sent(fake, LOAD).length, 0);
});

// --- leases -----------------------------------------------------------------------------------

Deno.test("lease: unloads what was loaded for it, once, and only if requested", async () => {
  const { fake, lmstudio } = open({ models: [{ id: QWEN, loaded: false }, GPT] });
  {
    await using lease = await lmstudio.models.ensureLoaded(QWEN, { unloadOnDispose: true });
    assertEquals(await instancesOf(lmstudio, QWEN), [lease.instanceId]);
    await Promise.all([lease[Symbol.asyncDispose](), lease[Symbol.asyncDispose]()]);
    assertEquals(await instancesOf(lmstudio, QWEN), []);
  }
  assertEquals(sent(fake, UNLOAD), [{ instance_id: QWEN }]);
  {
    await using _ = await lmstudio.models.ensureLoaded(QWEN);
  }
  {
    await using loaded = await lmstudio.models.ensureLoaded(GPT, { unloadOnDispose: true });
    assertEquals(loaded.alreadyLoaded, true);
  }
  assertEquals(sent(fake, UNLOAD).length, 1);
  assertEquals(await instancesOf(lmstudio, QWEN), [QWEN]);
  assertEquals(await instancesOf(lmstudio, GPT), [GPT]);
});

Deno.test("lease: the last of several callers sharing a load unloads it, including later callers", async () => {
  const { fake, lmstudio } = open({ models: [{ id: QWEN, loaded: false }] });
  const take = () => lmstudio.models.ensureLoaded(QWEN, { unloadOnDispose: true });
  const leases = await Promise.all([take(), take(), take()]);
  leases.push(await take());
  for (const lease of leases) {
    assertEquals(sent(fake, UNLOAD).length, 0);
    await lease[Symbol.asyncDispose]();
  }
  assertEquals(sent(fake, UNLOAD).length, 1);
  assertEquals(await instancesOf(lmstudio, QWEN), []);
});

Deno.test("lease: one without unloadOnDispose keeps the model loaded", async () => {
  const { fake, lmstudio } = open({ models: [{ id: QWEN, loaded: false }] });
  const [first, second] = await Promise.all([
    lmstudio.models.ensureLoaded(QWEN, { unloadOnDispose: true }),
    lmstudio.models.ensureLoaded(QWEN),
  ]);
  await second[Symbol.asyncDispose]();
  await first[Symbol.asyncDispose]();
  assertEquals(sent(fake, UNLOAD).length, 0);
});

Deno.test("lease: a caller that asks while the last lease is disposed gets an instance that stays", async () => {
  const { lmstudio } = open({
    models: [{ id: QWEN, loaded: false }],
    faults: [{ path: "/api/v1/models/unload", fault: { type: "delay", ms: 10 } }],
  });
  const first = await lmstudio.models.ensureLoaded(QWEN, { unloadOnDispose: true });
  const disposal = first[Symbol.asyncDispose]();
  const second = await lmstudio.models.ensureLoaded(QWEN);
  await disposal;
  assertEquals(second.alreadyLoaded, false);
  assertEquals(await instancesOf(lmstudio, QWEN), [second.instanceId]);
});

Deno.test("lease: one disposed while others still wait leaves the model to them", async () => {
  const { fake, lmstudio } = open({ models: [{ id: QWEN, loaded: false }], loadMs: 5 });
  const use = async () => {
    await using lease = await lmstudio.models.ensureLoaded(QWEN, { unloadOnDispose: true });
    assertEquals(lease.alreadyLoaded, false);
  };
  await Promise.all([use(), use(), use()]);
  assertEquals([sent(fake, LOAD).length, sent(fake, UNLOAD).length], [1, 1]);
});

Deno.test("lease: an already unloaded model is not an error, any other failure is", async () => {
  const { lmstudio } = open({ models: [{ id: QWEN, loaded: false }] });
  const other = { unloadOnDispose: true };
  const gone = await lmstudio.models.ensureLoaded(QWEN, other);
  assertEquals(await lmstudio.models.unload(QWEN), [QWEN]);
  // Somebody else loaded it again: this lease must not unload it.
  const { instanceId } = await lmstudio.models.load(QWEN);
  await gone[Symbol.asyncDispose]();
  assertEquals(await instancesOf(lmstudio, QWEN), [instanceId]);

  const { lmstudio: failing } = open({
    models: [{ id: QWEN, loaded: false }],
    faults: [{ path: "/api/v1/models/unload", fault: { type: "respond", status: 500 } }],
  });
  const lease: ModelLease = await failing.models.ensureLoaded(QWEN, other);
  const error = await failure(lease[Symbol.asyncDispose]());
  assertInstanceOf(error, ApiError);
  assertStringIncludes(error.message, `Cannot unload model "${QWEN}"`);
});

// --- unload -----------------------------------------------------------------------------------

Deno.test("unload: all instances of a model, or the one named instance", async () => {
  const models = [{ id: QWEN, instances: [QWEN, `${QWEN}:2`, "mine"] }, GPT];
  const run = async (name: string) => {
    const { lmstudio } = open({ models });
    return [await lmstudio.models.unload(name), await instancesOf(lmstudio, QWEN)];
  };
  assertEquals(await run("Qwen3-8B"), [[QWEN, `${QWEN}:2`, "mine"], []]);
  assertEquals(await run(QWEN), [[QWEN, `${QWEN}:2`, "mine"], []]);
  assertEquals(await run(`${QWEN}:2`), [[`${QWEN}:2`], [QWEN, "mine"]]);
  assertEquals(await run("mine"), [["mine"], [QWEN, `${QWEN}:2`]]);
  // The number names the second instance: if it is gone, the others are not meant.
  assertEquals(await run(`${QWEN}:3`), [[], [QWEN, `${QWEN}:2`, "mine"]]);
});

Deno.test("unload: returns [] if nothing is loaded; a name with two publishers is an error", async () => {
  const others = ["a/twin", "b/twin"].map((id) => ({ id, loaded: false }));
  const { fake, lmstudio } = open({ models: [{ id: QWEN, loaded: false }, ...others] });
  assertEquals(await lmstudio.models.unload("qwen3-8b"), []);
  const error = await unavailable(lmstudio.models.unload("twin"));
  assertEquals([error.code, error.available], ["model_not_found", ["a/twin", "b/twin"]]);
  assertEquals(sent(fake, UNLOAD).length, 0);
});

Deno.test("unload: an unknown name is an error that suggests the closest", async () => {
  const { fake, lmstudio } = open({
    models: [{ id: QWEN, instances: ["my-alias"] }, { id: GPT, loaded: false }],
  });
  for (
    const [name, nearest] of [
      ["qwen3-8x", QWEN],
      ["my-alais", "my-alias"],
      ["gpt-oss-20", GPT],
      ["nobody/has-this", undefined],
    ] as const
  ) {
    const error = await unavailable(lmstudio.models.unload(name));
    assertEquals([error.code, error.model], ["model_not_found", name]);
    assertStringIncludes(
      error.message,
      `Cannot unload model "${name}": the server does not have it; the closest names are `,
    );
    assertEquals(error.available?.length, 3);
    if (nearest !== undefined) assertEquals(error.available?.[0], nearest);
    assertStringIncludes(error.hint, "listModels()");
  }
  assertEquals(await instancesOf(lmstudio, QWEN), ["my-alias"]);
  assertEquals(sent(fake, UNLOAD).length, 4, "the server may know what it does not list");
});

Deno.test("unload: an unlisted name is sent to the server", async () => {
  const { fake, lmstudio } = open({ models: [QWEN] });
  const unknown = await unavailable(lmstudio.models.unload("my-alias"));
  assertEquals([unknown.code, unknown.available], ["model_not_found", [QWEN]]);
  assertEquals(sent(fake, UNLOAD), [{ instance_id: "my-alias" }]);
  // Some builds list no instances of loaded models.
  await using server = serveStub({
    [V1]: json({ models: [{ key: QWEN, type: "llm", loaded_instances: [] }] }),
    [UNLOAD]: json({ instance_id: "my-alias" }),
  });
  const { models } = new LMStudioProvider({ baseUrl: server.url, env: {} });
  assertEquals(await models.unload("my-alias"), ["my-alias"]);
});

Deno.test("unload: an instance that has gone in the meantime counts as unloaded", async () => {
  await using server = serveStub({
    [V1]: json({ models: [{ key: QWEN, type: "llm", loaded_instances: [{ id: QWEN }] }] }),
    [UNLOAD]: json({ error: "No such thing." }, 404),
  });
  const { models } = new LMStudioProvider({ baseUrl: server.url, env: {} });
  assertEquals(await models.unload(QWEN), [QWEN]);
});

Deno.test("unload: a call waiting for the model's answer gets an error", async () => {
  const { lmstudio } = open({ models: [QWEN], replies: ["a b c d e f"], tokenMs: 2 });
  const received: string[] = [];
  const error = await failure((async () => {
    for await (const text of lmstudio.streamCompletion("Hello.").textStream) {
      received.push(text);
      if (received.length === 2) await lmstudio.models.unload(QWEN);
    }
  })());
  assertInstanceOf(error, ApiError);
  assertEquals([error.code, error.retriable], ["model_unloaded", true]);
  assertEquals(error.partial?.content, received.join(""));
});

Deno.test("auto-evict: an answer interrupted by another client's load is an error with the partial answer", async () => {
  const fake = createFakeLMStudio({
    models: [{ id: QWEN, loaded: false }, { id: GPT, loaded: false }],
    replies: ["one two three four five", "Other."],
    tokenMs: 2,
  });
  const client = () => new LMStudioProvider({ fetch: fake.fetch, env: {}, maxRetries: 0 });
  const received: string[] = [];
  const error = await failure((async () => {
    const stream = client().streamCompletion({ model: QWEN, messages: "Count." });
    for await (const text of stream.textStream) {
      received.push(text);
      if (received.length > 1) continue;
      const { content } = await client().complete({ model: GPT, messages: "Hello." });
      assertEquals(content, "Other.");
    }
  })());
  assertInstanceOf(error, ApiError);
  assertEquals([error.code, error.retriable], ["model_unloaded", true]);
  assertEquals(error.partial?.content, "one");
});

Deno.test("auto-evict: no kind of answer is lost silently", async () => {
  const model = QWEN;
  const kinds: ((lmstudio: LMStudioProvider) => Promise<unknown>)[] = [
    (lmstudio) => lmstudio.complete({ model, messages: "Count." }),
    (lmstudio) => lmstudio.streamCompletion({ model, messages: "Count." }).response(),
    (lmstudio) => lmstudio.completeText({ model, prompt: "Count." }),
    (lmstudio) => lmstudio.streamText({ model, prompt: "Count." }).response(),
    (lmstudio) => lmstudio.chat.send({ model, input: "Count." }),
    (lmstudio) => lmstudio.chat.stream({ model, input: "Count." }).response(),
    (lmstudio) => lmstudio.responses.create({ model, input: "Count." }),
    (lmstudio) => lmstudio.responses.stream({ model, input: "Count." }).response(),
  ];
  for (const ask of kinds) {
    const started = Promise.withResolvers<void>();
    const answers = ["Ready.", "one two three four five six", "Other."];
    const { lmstudio, fake } = open({
      models: [{ id: QWEN, loaded: false }, { id: GPT, loaded: false }],
      replies: () => {
        if (answers.length === 2) started.resolve();
        return answers.shift();
      },
      tokenMs: 10,
    });
    await lmstudio.complete({ model, messages: "Load." });
    const other = new LMStudioProvider({ fetch: fake.fetch, env: {} });
    const [error] = await Promise.all([
      failure(ask(lmstudio)),
      started.promise.then(() => other.complete({ model: GPT, messages: "Hello." })),
    ]);
    assertInstanceOf(error, ApiError);
    assertEquals([error.code, error.retriable], ["model_unloaded", true], ask.toString());
  }
});

Deno.test("auto-evict: explicitly loaded models stay", async () => {
  const { lmstudio } = open({
    models: [{ id: QWEN, loaded: false }, { id: GPT, loaded: false }],
  });
  await lmstudio.models.ensureLoaded(QWEN);
  await lmstudio.complete({ model: GPT, messages: "Hello." });
  assertEquals(await instancesOf(lmstudio, QWEN), [QWEN]);
});

// --- versions ---------------------------------------------------------------------------------

Deno.test("versions: before 0.4.0 the error names the version needed, and nothing is requested twice", async () => {
  for (const version of ["0.3.5", "0.3.16", "0.3.29"]) {
    const { fake, lmstudio } = open({ version, models: [{ id: QWEN, loaded: false }] });
    const calls = [
      () => lmstudio.models.load(QWEN),
      () => lmstudio.models.unload(QWEN),
      () => lmstudio.models.download("a/b").response(),
      () => lmstudio.models.downloadStatus("job_1"),
    ];
    let asked: number | undefined;
    for (const call of calls) {
      const error = await failure(call());
      assertInstanceOf(error, ApiError);
      assertEquals([error.code, error.retriable], ["unsupported_by_server", false]);
      assertStringIncludes(error.hint, "0.4.0");
      assertEquals(fake.requests.length, asked ??= fake.requests.length);
    }
    assertEquals(fake.requests.filter(({ method }) => method === "POST"), []);
  }
});

Deno.test("versions: a model that an older server lists as loaded is not loaded again", async () => {
  const { lmstudio } = open({ version: "0.3.29", models: [QWEN, { id: GPT, loaded: false }] });
  await using lease = await lmstudio.models.ensureLoaded("qwen3-8b", { contextLength: 2048 });
  assertEquals([lease.instanceId, lease.alreadyLoaded], [QWEN, true]);
  for (const [name, contextLength] of [[GPT, undefined], [QWEN, 8192]] as const) {
    const error = await failure(lmstudio.models.ensureLoaded(name, { contextLength }));
    assertEquals((error as ApiError).code, "unsupported_by_server");
  }
});

Deno.test("versions: an unexpected endpoint, under 200 or 404, means an old server", async () => {
  for (const status of [200, 404]) {
    const unexpected = { error: "Unexpected endpoint or method. (POST /api/v1/models/load)" };
    await using server = serveStub({
      [V1]: json({ models: [{ key: QWEN, type: "llm", loaded_instances: [{ id: QWEN }] }] }),
      [LOAD]: json(unexpected, status),
      [UNLOAD]: json(unexpected, status),
    });
    const { models } = new LMStudioProvider({ baseUrl: server.url, env: {} });
    for (const call of [() => models.load(QWEN), () => models.unload(QWEN)]) {
      const error = await failure(call());
      assertInstanceOf(error, ApiError);
      assertEquals(error.code, "unsupported_by_server");
      assertStringIncludes(error.hint, "0.4.0");
    }
    assertEquals([server.on(LOAD).length, server.on(UNLOAD).length], [1, 1]);
  }
});

Deno.test("versions: an older server that lists only loaded models is reported as too old, not as lacking the model", async () => {
  const { lmstudio } = open({
    version: "0.3.29",
    jit: false,
    models: [{ id: GPT, loaded: false }],
  });
  const error = await failure(lmstudio.models.ensureLoaded(GPT));
  assertEquals((error as ApiError).code, "unsupported_by_server");
});

Deno.test("versions: an unreadable listing does not mean an old server", async () => {
  await using server = serveStub({
    [V1]: json({ models: [{ key: 5 }] }),
    "GET /api/v0/models": { body: v0([GPT]) },
    [LOAD]: fixtureAnswer("answers/load.json"),
  });
  const { models } = new LMStudioProvider({ baseUrl: server.url, env: {} });
  assertEquals((await models.load(GPT)).instanceId, GPT);
});

Deno.test("versions: a server updated during the run is noticed", async () => {
  await inFakeTime(async (pass) => {
    let fake = createFakeLMStudio({ version: "0.3.29", models: [{ id: QWEN, loaded: false }] });
    const lmstudio = new LMStudioProvider({
      env: {},
      fetch: (input, init) => fake.fetch(input, init),
    });
    const error = await failure(lmstudio.models.ensureLoaded(QWEN));
    assertEquals((error as ApiError).code, "unsupported_by_server");
    fake = createFakeLMStudio({ models: [{ id: QWEN, loaded: false }] });
    await pass(31_000);
    assertEquals((await lmstudio.models.ensureLoaded(QWEN)).instanceId, QWEN);
  });
});

Deno.test("versions: if no listing exists, the server decides what a name means", async () => {
  await using server = serveStub({ [LOAD]: fixtureAnswer("answers/load.json") });
  const { models } = new LMStudioProvider({ baseUrl: server.url, env: {} });
  assertEquals((await models.load(GPT)).instanceId, GPT);
  assertEquals(server.on(LOAD)[0]?.body.model, GPT);
});

// --- the choice of a model --------------------------------------------------------------------

function v0(ids: string[]): string {
  const entry = (id: string) => ({ id, type: "llm", state: "loaded" });
  return JSON.stringify({ data: ids.map(entry) });
}

Deno.test("choice: instances of one model in an older listing are one model", async () => {
  const asked = async (...ids: string[]) => {
    const answer = {
      id: "1",
      model: "x",
      choices: [{ message: { content: "" }, finish_reason: "stop" }],
    };
    await using server = serveStub({
      "GET /api/v0/models": { body: v0(ids) },
      "POST /v1/chat/completions": json(answer),
    });
    const lmstudio = new LMStudioProvider({ baseUrl: server.url, env: {} });
    await lmstudio.complete("Hello.");
    return server.on("POST /v1/chat/completions")[0]?.body.model;
  };
  assertEquals(await asked("x", "x:2"), "x");
  assertEquals(await asked("x:2", "x"), "x");
  assertEquals(await asked("x:2", "x:3"), "x:2");
  const error = await unavailable(asked("x", "x:2", "y"));
  assertEquals([error.code, error.available], ["no_model_loaded", ["x", "y"]]);
});

Deno.test("choice: hints for other servers do not name LM Studio's commands", async () => {
  for (const ids of [[], ["a", "b"]]) {
    const other = new OpenAICompatibleProvider({
      name: "other",
      baseUrl: "http://127.0.0.1:9",
      fetch: fetchOf(json({ data: ids.map((id) => ({ id })) })),
      env: {},
    });
    for (const call of [other.complete("Hello."), other.embed({ input: "a" })]) {
      const error = await unavailable(call);
      assertEquals(error.code, "no_model_loaded");
      assertEquals(/lms |LM Studio/.test(error.hint), false, error.hint);
    }
  }
});
