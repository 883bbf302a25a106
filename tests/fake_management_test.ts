/** The fake's model management behaves on the wire as LM Studio's known behavior is described. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { createFakeLMStudio, type FakeLMStudioOptions } from "../src/testing/mod.ts";
import { inFakeTime } from "./support/puppet.ts";

const QWEN = "qwen/qwen3-8b";
const LOAD = "/api/v1/models/load";
const UNLOAD = "/api/v1/models/unload";
const DOWNLOAD = "/api/v1/models/download";

type Json = Record<string, unknown>;

function open(options: FakeLMStudioOptions) {
  const { fetch } = createFakeLMStudio(options);
  const send = async (path: string, init: RequestInit): Promise<[number, Json]> => {
    const response = await fetch(`http://127.0.0.1:1234${path}`, init);
    return [response.status, await response.json()];
  };
  const get = (path: string) => send(path, {});
  const post = (path: string, body: unknown) =>
    send(path, { method: "POST", body: JSON.stringify(body) });
  const loaded = async (): Promise<unknown[]> => {
    const [, { models }] = await get("/api/v1/models");
    return (models as { loaded_instances: { id: string }[] }[])
      .flatMap(({ loaded_instances }) => loaded_instances.map(({ id }) => id));
  };
  return { get, post, loaded };
}

Deno.test("load: adds an instance each time, and returns its configuration if asked to", async () => {
  const { post, loaded, get } = open({ models: [{ id: QWEN, loaded: false }] });
  assertEquals(await post(LOAD, { model: QWEN }), [200, {
    type: "llm",
    instance_id: QWEN,
    load_time_seconds: 0,
    status: "loaded",
  }]);
  const [status, body] = await post(LOAD, {
    model: QWEN,
    context_length: 1024,
    flash_attention: false,
    echo_load_config: true,
  });
  const load_config = {
    context_length: 1024,
    eval_batch_size: 512,
    flash_attention: false,
    offload_kv_cache_to_gpu: true,
  };
  assertEquals([status, body.instance_id, body.load_config], [200, `${QWEN}:2`, load_config]);
  assertEquals(await loaded(), [QWEN, `${QWEN}:2`]);
  const [, listing] = await get("/api/v1/models");
  const [model] = listing.models as { loaded_instances: { config: Json }[] }[];
  assertEquals(model?.loaded_instances[1]?.config, { ...load_config, parallel: 4 });
});

Deno.test("load: the instance gets the context that fits, but the answer repeats the one asked for", async () => {
  const { post, get } = open({ models: [{ id: QWEN, loaded: false, fittingContextLength: 8192 }] });
  const load = async (context_length?: number) => {
    const body = { model: QWEN, context_length, echo_load_config: true };
    const [, { load_config }] = await post(LOAD, body);
    return (load_config as Json).context_length;
  };
  assertEquals([await load(), await load(6000), await load(65_536)], [4096, 6000, 65_536]);
  const [, { models }] = await get("/api/v1/models");
  const [{ loaded_instances }] = models as [{ loaded_instances: { config: Json }[] }];
  assertEquals(loaded_instances.map(({ config }) => config.context_length), [4096, 6000, 8192]);
});

Deno.test("load: the selected variant is loaded, another one is refused", async () => {
  const variants = [`${QWEN}@q8_0`, `${QWEN}@q4_k_m`];
  const { post, loaded } = open({ models: [{ id: QWEN, loaded: false, variants }] });
  const [status, { error }] = await post(LOAD, { model: variants[1] });
  assertEquals([status, (error as Json).type], [404, "model_not_found"]);
  assertMatch(String((error as Json).message), /not found in downloaded models/);
  assertEquals((await post(LOAD, { model: variants[0] }))[0], 200);
  assertEquals(await loaded(), [QWEN]);
});

Deno.test("load: unknown and missing fields and wrong types are refused", async () => {
  const { post } = open({ models: [QWEN] });
  const refused = async (body: unknown, path = LOAD) => {
    const [status, { error }] = await post(path, body);
    assertEquals(status, 400);
    return error as Json;
  };
  assertEquals(await refused({ model: QWEN, ttl: 60 }), {
    type: "invalid_request",
    message: "Unrecognized key(s) in object: 'ttl'",
    code: "unrecognized_keys",
  });
  assertEquals(await refused({}), {
    type: "invalid_request",
    message: '"model" is required',
    code: "missing_required_parameter",
    param: "model",
  });
  assertEquals((await refused({ model: QWEN, context_length: "8k" })).param, "context_length");
  assertEquals((await refused({ model: QWEN }, UNLOAD)).param, "instance_id");
  assertEquals((await refused({ model: QWEN, pause: true }, DOWNLOAD)).code, "unrecognized_keys");
});

Deno.test("load: takes time, and fails like the real one", async () => {
  await inFakeTime(async (pass) => {
    const { post } = open({
      models: [QWEN, { id: "a/b", loadError: "Model loading was stopped." }],
      loadMs: 9000,
    });
    const loading = post(LOAD, { model: QWEN });
    await pass(9000);
    assertEquals((await loading)[1].load_time_seconds, 9);
    const failing = post(LOAD, { model: "a/b" });
    await pass(9000);
    assertEquals(await failing, [400, {
      error: { type: "model_load_failed", message: "Model loading was stopped." },
    }]);
    const [status, { error }] = await post(LOAD, { model: "nobody/has-this" });
    assertEquals([status, (error as Json).type], [404, "model_not_found"]);
  });
});

Deno.test("unload: the named instance; 404 for an unknown one", async () => {
  const { post, loaded } = open({ models: [{ id: QWEN, instances: [QWEN, `${QWEN}:2`] }] });
  assertEquals(await post(UNLOAD, { instance_id: QWEN }), [200, { instance_id: QWEN }]);
  assertEquals(await loaded(), [`${QWEN}:2`]);
  assertEquals((await post(UNLOAD, { instance_id: QWEN }))[0], 404);
});

Deno.test("download: a job that advances with each status request, then a downloaded model", async () => {
  const { get, post } = open({
    models: [],
    downloads: [{ model: "a/b", sizeBytes: 1000, progress: [0.1, "paused", 0.5, 1] }],
  });
  const [, started] = await post(DOWNLOAD, { model: "a/b" });
  assertMatch(String(started.job_id), /^job_\d{10}$/);
  const path = `${DOWNLOAD}/status/${started.job_id}`;
  const looks = [started];
  for (let look = 0; look < 4; look++) looks.push((await get(path))[1]);
  assertEquals(looks.map(({ status, downloaded_bytes }) => [status, downloaded_bytes]), [
    ["downloading", 100],
    ["paused", 100],
    ["downloading", 500],
    ["completed", 1000],
    ["completed", 1000],
  ]);
  assertEquals(looks.map(({ bytes_per_second }) => bytes_per_second !== undefined), [
    true,
    false,
    true,
    false,
    false,
  ]);
  assertEquals(await post(DOWNLOAD, { model: "a/b" }), [200, { status: "already_downloaded" }]);
  const [, { models }] = await get("/api/v1/models");
  assertEquals((models as Json[]).map(({ key, size_bytes }) => [key, size_bytes]), [["a/b", 1000]]);
});

Deno.test("download: a failure gives a reason only if one is set; an unknown model is 404", async () => {
  const link = "https://huggingface.co/a/b-GGUF";
  const { get, post } = open({
    downloads: [{ model: link, progress: ["failed"], error: "Checksum failed" }],
  });
  const [, failed] = await post(DOWNLOAD, { model: link, quantization: "Q4_K_M" });
  assertEquals([failed.status, failed.error], ["failed", "Checksum failed"]);
  assertEquals((await post(DOWNLOAD, { model: "nobody/has-this" }))[0], 404);
  const [status, { error }] = await get(`${DOWNLOAD}/status/job_0`);
  assertEquals([status, (error as Json).type], [404, "job_not_found"]);
});

Deno.test("versions: before 0.4.0 these are unexpected endpoints, with status 200", async () => {
  const { get, post } = open({ version: "0.3.29", models: [QWEN] });
  for (const path of [LOAD, UNLOAD, DOWNLOAD]) {
    const error = `Unexpected endpoint or method. (POST ${path})`;
    assertEquals(await post(path, { model: QWEN }), [200, { error }]);
  }
  const [status, body] = await get(`${DOWNLOAD}/status/job_0`);
  assertEquals(status, 200);
  assert("error" in body);
});

Deno.test("auto-evict: on by default, since 0.3.9", async () => {
  const asked = async (options: FakeLMStudioOptions) => {
    const models = ["a/a", "b/b"].map((id) => ({ id, loaded: false }));
    const { get, post } = open({ models, ...options });
    for (const { id } of models) {
      await post("/v1/chat/completions", { model: id, messages: [{ role: "user", content: "" }] });
    }
    const [, { data }] = await get("/api/v0/models");
    return (data as Json[]).map(({ state }) => state);
  };
  assertEquals(await asked({}), ["not-loaded", "loaded"]);
  assertEquals(await asked({ autoEvict: false }), ["loaded", "loaded"]);
  assertEquals(await asked({ version: "0.3.8" }), ["loaded", "loaded"]);
});
