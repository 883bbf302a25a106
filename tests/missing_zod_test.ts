/** What a user sees if zod, or a part of this package, fails to load on first use. */
import { assertEquals, assertRejects, assertStrictEquals, assertStringIncludes } from "@std/assert";
import { FallbackProvider, LMStudioProvider, LocalProvider, UnknownProviderError } from "../mod.ts";
import { ERROR_CODES } from "../src/core/error_codes.ts";
import { importSchemas } from "../src/core/import_schemas.ts";
import { runScript } from "./support/script.ts";

Deno.test("zod: a module that fails to load is an error with a remedy, and is tried again", async () => {
  const cause = new TypeError("Cannot find package 'zod'");
  let tries = 0;
  const load = () => ++tries === 1 ? Promise.reject(cause) : Promise.resolve({ here: true });
  const error = await assertRejects(() => importSchemas(load, "list models"), UnknownProviderError);
  assertEquals([error.code, error.retriable], ["unknown", false]);
  assertStrictEquals(error.cause, cause);
  assertStringIncludes(error.message, "Cannot list models: zod, which reads the answer, did not");
  assertStringIncludes(error.hint, "deno add npm:zod");
  assertEquals(await importSchemas(load, "list models"), { here: true });
});

Deno.test("zod: without it completions and listings work, and calls that need it say so", async () => {
  const map = encodeURIComponent('{"imports":{"zod":"file:///nowhere/zod.js"}}');
  const script = `
    import { LMStudioProvider } from "mod";
    const answer = (path) => path.endsWith("/models")
      ? { models: [{ type: "llm", key: "m", loaded_instances: [{ id: "m", config: {} }] }] }
      : { model: "m", choices: [{ message: { content: "Hi." } }] };
    const paths = [];
    const fetch = (url) => paths.push(new URL(url).pathname) && Promise.resolve(Response.json(answer(new URL(url).pathname)));
    const lmstudio = new LMStudioProvider({ env: {}, fetch });
    console.log((await lmstudio.complete({ model: "m", messages: "Hi" })).content);
    console.log((await lmstudio.listModels())[0].id, await lmstudio.supportsModel("m"));
    console.log((await lmstudio.complete("Hi")).content);
    for (const call of [
      () => lmstudio.chat.send({ model: "m", input: "Hi" }),
      () => lmstudio.chat.stream({ model: "m", input: "Hi" }).response(),
      () => lmstudio.models.downloadStatus("job_1").then((status) => status),
    ]) {
      const { name, kind, message } = await call().then((value) => ({ message: value }), (error) => error);
      console.log(name, kind, message.split(".")[0]);
    }
    // A step that runs only once must not be lost.
    console.log(paths.includes("/api/v1/chat"));
  `;
  const { output, errors } = await runScript(script, [`--import-map=data:application/json,${map}`]);
  const failed = (action: string) =>
    `UnknownProviderError unknown Cannot ${action}: zod, which reads the answer, did not load`;
  const actions = ["chat", "stream a chat", 'follow download "job_1"'];
  assertEquals([output, errors], [
    ["Hi.", "m true", "Hi.", ...actions.map(failed), "false"].join("\n"),
    "",
  ]);
});

Deno.test("members: a module that fails to load is one of our errors, naming the call", async () => {
  const missing = ["transport/forward", "members/embeddings", "api/chat"];
  const imports = Object.fromEntries(
    missing.map((part) => [
      new URL(`../src/${part}.ts`, import.meta.url).href,
      "file:///nowhere/part.ts",
    ]),
  );
  const map = encodeURIComponent(JSON.stringify({ imports }));
  const script = `
    import { LMStudioProvider } from "mod";
    const fetch = () => Promise.resolve(Response.json({}));
    const lmstudio = new LMStudioProvider({ env: {}, fetch });
    const client = lmstudio.toOpenAI();
    for (const call of [
      () => client.fetch(client.baseURL + "/models"),
      () => lmstudio.embed({ model: "m", input: "a" }),
      () => lmstudio.chat.send({ model: "m", input: "Hi" }),
    ]) {
      const { name, kind, message } = await call().then((value) => ({ message: value }), (error) => error);
      console.log(name, kind, message.split(".")[0]);
    }
  `;
  const { output, errors } = await runScript(script, [`--import-map=data:application/json,${map}`]);
  const failed = ["send a request", "embed", "chat"].map((action) =>
    `UnknownProviderError unknown Cannot ${action}: a part of this package did not load`
  );
  assertEquals([output, errors], [failed.join("\n"), ""]);
});

Deno.test("members: if discovery modules fail to load, constructors still work, and errors name the call", async () => {
  const missing = ["members/local", "members/fallback", "members/found_config", "discovery/search"];
  const imports = Object.fromEntries(
    missing.map((part) => [
      new URL(`../src/${part}.ts`, import.meta.url).href,
      "file:///nowhere/part.ts",
    ]),
  );
  const map = encodeURIComponent(JSON.stringify({ imports }));
  const script = `
    import { createDefaultProvider, FallbackProvider, LMStudioProvider, LocalProvider, ServiceDiscovery } from "mod";
    const fetch = () => Promise.resolve(Response.json({ lmstudio: true }));
    const discovery = {
      discover: () => Promise.resolve([]),
      find: () => Promise.resolve({ type: "lmstudio", endpoint: "http://127.0.0.1:9" }),
    };
    const options = { env: {}, fetch, discovery };
    const local = new LocalProvider(options);
    const fallback = new FallbackProvider([new LMStudioProvider(options)]);
    const servers = new ServiceDiscovery({ env: {}, fetch });
    for (const call of [
      () => local.listModels(),
      () => local.complete("Hi"),
      () => local.streamCompletion("Hi").response(),
      () => local.embed({ input: "a" }),
      () => local.supportsModel("m"),
      () => local.modelCapabilities("m"),
      () => fallback.listModels(),
      () => fallback.complete("Hi"),
      () => fallback.streamCompletion("Hi").started(),
      () => fallback.embed({ input: "a" }),
      () => fallback.supportsModel("m"),
      () => fallback.modelCapabilities("m"),
      () => LMStudioProvider.discover(options),
      () => createDefaultProvider(options),
      () => servers.discover(),
      () => servers.find(),
    ]) {
      const { name, kind, message } = await call().then((value) => ({ message: value }), (error) => error);
      console.log(name, kind, message.split(".")[0]);
    }
    console.log(servers.availableServices().length, servers.serviceInfo("lmstudio"));
  `;
  const { output, errors } = await runScript(script, [`--import-map=data:application/json,${map}`]);
  const methods = [
    "list models",
    "complete",
    "stream a completion",
    "embed",
    "look up a model",
    "look up a model's capabilities",
  ];
  const searches = ["find LM Studio", "find LM Studio", "find servers", "find a server"];
  const failed = [...methods, ...methods, ...searches].map((action) =>
    `UnknownProviderError unknown Cannot ${action}: a part of this package did not load`
  );
  assertEquals([output, errors], [[...failed, "0 undefined"].join("\n"), ""]);
});

Deno.test("members: a request that changes while a module loads is sent as it was at the call", async () => {
  const sent: string[] = [];
  const fetch: typeof globalThis.fetch = (_, init) => {
    sent.push(JSON.parse(String(init?.body)).model);
    return Promise.resolve(
      Response.json({ model: sent.at(-1), choices: [{ message: { content: "Hi." } }] }),
    );
  };
  const lmstudio = new LMStudioProvider({ env: {}, fetch });
  const service = {
    type: "lmstudio" as const,
    endpoint: "http://127.0.0.1:1234",
    models: ["then"],
    status: "available" as const,
    lastHealthCheck: new Date(),
    consecutiveFailures: 0,
    metrics: { averageResponseMs: 0, modelCount: 1, successRate: 1 },
  };
  const discovery = {
    discover: () => Promise.resolve([service]),
    find: () => Promise.resolve(service),
  };
  for (
    const provider of [
      new FallbackProvider([lmstudio]),
      new LocalProvider({ env: {}, fetch, discovery }),
    ]
  ) {
    const request = { model: "then", messages: "Hi" };
    const answer = provider.complete(request);
    request.model = "later";
    await answer;
  }
  assertEquals(sent, ["then", "then"]);
});

for (
  const [how, part] of [
    ["do not load", "file:///nowhere/part.ts"],
    ["never come", "data:text/javascript,await new Promise(() => {})"],
  ] as const
) {
  Deno.test(`members: if the likely causes ${how}, a failed connection is explained by its code`, async () => {
    const missing = ["core/connection_hints", "platform/surroundings"];
    const imports = Object.fromEntries(
      missing.map((file) => [new URL(`../src/${file}.ts`, import.meta.url).href, part]),
    );
    const map = encodeURIComponent(JSON.stringify({ imports }));
    const script = `
    import { LMStudioProvider } from "mod";
    const cause = Object.assign(new TypeError("fetch failed"), {
      cause: Object.assign(new Error("connect"), { code: "EHOSTUNREACH" }),
    });
    const silent = () => new Promise(() => {});
    for (const [fetch, options] of [[() => Promise.reject(cause), {}], [silent, { timeoutMs: 20 }]]) {
      const lmstudio = new LMStudioProvider({ baseUrl: "http://10.0.0.7:1234", env: {}, fetch, maxRetries: 0 });
      const error = await lmstudio.listModels(options).catch((error) => error);
      console.log(error.name, error.code, error.retriable, error.message, error.cause === cause);
    }
    // A module that never loads would be a runtime error at exit.
    Deno.exit();
  `;
    const { output, errors } = await runScript(script, [
      `--import-map=data:application/json,${map}`,
    ]);
    assertEquals([output, errors], [
      [
        "NetworkError connection_refused true Cannot list models: http://10.0.0.7:1234 cannot be reached. " +
        `${ERROR_CODES.connection_refused.hint} true`,
        "TimeoutError timeout_total true Cannot list models: the server did not finish within 20 ms. " +
        `${ERROR_CODES.timeout_total.hint} false`,
      ].join("\n"),
      "",
    ]);
  });
}

/** Runs a script with parts of `src/` replaced by other modules. */
async function runWithParts(
  parts: Readonly<Record<string, string>>,
  script: string,
): Promise<string> {
  const imports = Object.fromEntries(
    Object.entries(parts).map(([part, module]) => [
      new URL(`../src/${part}.ts`, import.meta.url).href,
      module,
    ]),
  );
  const map = encodeURIComponent(JSON.stringify({ imports }));
  const { output, errors } = await runScript(script, [`--import-map=data:application/json,${map}`]);
  assertEquals(errors, "");
  return output;
}

Deno.test("members: an abort does not wait for a module that never loads", async () => {
  const never = "data:text/javascript,await new Promise(() => {})";
  const parts = [
    "api/tool_use",
    "api/text",
    "members/embeddings",
    "members/models",
    "members/tools",
    "members/local",
    "members/fallback",
    "server/models",
    "server/queue",
    "transport/forward",
  ];
  const output = await runWithParts(
    Object.fromEntries(parts.map((part) => [part, never])),
    `
    import { FallbackProvider, LMStudioProvider, LocalProvider } from "mod";
    const options = { env: {}, fetch: () => Promise.reject(new Error("sent")) };
    const lmstudio = new LMStudioProvider(options);
    const busy = new LMStudioProvider({ ...options, fetch: () => new Promise(() => {}), maxConcurrency: 1 });
    busy.complete({ model: "m", messages: "Hi" });
    const { fetch, baseURL } = lmstudio.toOpenAI();
    const tools = [{ name: "now", execute: () => 1 }];
    const request = { model: "m", messages: "Hi", tools };
    const failures = [];
    const calls = [
      (call) => lmstudio.complete(request, call),
      (call) => lmstudio.streamCompletion(request, call).response(),
      (call) => lmstudio.complete("Hi", call),
      (call) => lmstudio.completeText({ model: "m", prompt: "Hi" }, call),
      (call) => lmstudio.streamText({ model: "m", prompt: "Hi" }, call).started(),
      (call) => lmstudio.embed({ model: "m", input: "Hi" }, call),
      (call) => lmstudio.models.get("m", call),
      (call) => lmstudio.runTools(request, call),
      (call) => lmstudio.streamTools(request, call).result(),
      (call) => new LocalProvider(options).complete("Hi", call),
      (call) => new LocalProvider(options).streamCompletion("Hi", call).response(),
      (call) => new FallbackProvider([lmstudio]).embed({ input: "Hi" }, call),
      (call) => busy.complete({ model: "m", messages: "Hi" }, call),
      (call) => busy.streamCompletion({ model: "m", messages: "Hi" }, call).response(),
      (call) => fetch(baseURL + "/models", call),
      (call) => fetch(new Request(baseURL + "/models", call)),
    ];
    for (const call of calls) {
      const controller = new AbortController();
      const answer = call({ signal: controller.signal });
      setTimeout(() => controller.abort("enough"), 10);
      failures.push(await Promise.race([
        answer.then(() => "answered", (reason) => reason),
        new Promise((resolve) => setTimeout(resolve, 2000, "hangs: " + call)),
      ]));
    }
    const stream = lmstudio.streamCompletion(request);
    const first = stream[Symbol.asyncIterator]().next();
    setTimeout(() => stream.cancel(), 10);
    failures.push((await first).done);
    console.log(failures.join(" "));
    Deno.exit();
  `,
  );
  assertEquals(output, [...Array(16).fill("enough"), "true"].join(" "));
});

Deno.test("members: if loading a module takes all the time of a call, nothing is sent", async () => {
  const part = new URL("../src/api/tool_use.ts", import.meta.url).href;
  const slow =
    `await new Promise((resolve) => setTimeout(resolve, 200)); export * from "${part}?";`;
  const output = await runWithParts(
    { "api/tool_use": `data:text/javascript,${encodeURIComponent(slow)}` },
    `
    import { LMStudioProvider } from "mod";
    let sent = 0;
    const fetch = () => (sent++, new Promise(() => {}));
    const lmstudio = new LMStudioProvider({ env: {}, fetch });
    const request = { model: "m", messages: "Hi", tools: [{ name: "now" }] };
    const error = await lmstudio.complete(request, { timeoutMs: 100 }).catch((error) => error);
    console.log(error.code, error.attempts, error.hint, sent);
  `,
  );
  const hint = "Raise `timeoutMs`: it expired before the request could be sent.";
  assertEquals(output, `timeout_total 0 ${hint} 0`);
});
