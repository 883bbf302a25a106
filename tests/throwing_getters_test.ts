/** Options and requests whose fields throw when read: a rejection, for streams at the first pull. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  FallbackProvider,
  isProviderError,
  LMStudioProvider,
  LocalProvider,
  OpenAICompatibleProvider,
} from "../mod.ts";
import { createFakeLMStudio } from "../src/testing/mod.ts";

const THROWN = new Error("thrown by a getter");

function throwing(name: string): Record<string, never> {
  return Object.defineProperty({}, name, {
    enumerable: true,
    get: () => {
      throw THROWN;
    },
  }) as Record<string, never>;
}

Deno.test("streams: a throwing getter in the options is a rejection at the first pull", async () => {
  const fake = createFakeLMStudio({ models: ["m"] });
  const lmstudio = new LMStudioProvider({ env: {}, fetch: fake.fetch, model: "m" });
  const local = new LocalProvider({ env: {}, fetch: fake.fetch });
  const methods: Record<string, (options: Record<string, never>) => AsyncIterable<unknown>> = {
    streamCompletion: (options) => lmstudio.streamCompletion("?", options),
    streamText: (options) => lmstudio.streamText("?", options),
    streamTools: (options) => lmstudio.streamTools({ messages: "?" }, options),
    streamObject: (options) =>
      lmstudio.streamObject({ messages: "?", schema: { type: "object" } }, options),
    "chat.stream": (options) => lmstudio.chat.stream({ input: "?" }, options),
    "responses.stream": (options) => lmstudio.responses.stream({ input: "?" }, options),
    "models.download": (options) => lmstudio.models.download("m", undefined, options),
    "local.streamCompletion": (options) => local.streamCompletion("?", options),
    "fallback.streamCompletion": (options) =>
      new FallbackProvider([lmstudio]).streamCompletion("?", options),
  };
  for (const [method, open] of Object.entries(methods)) {
    for (const name of ["signal", "headers"]) {
      const pulled = open(throwing(name))[Symbol.asyncIterator]().next();
      assertEquals(await assertRejects(() => pulled), THROWN, `${method}, ${name}`);
    }
  }
  assertEquals(fake.requests, []);
});

Deno.test("streams: a signal whose fields throw is a rejection at the first pull", async () => {
  const fake = createFakeLMStudio({ models: ["m"] });
  const lmstudio = new LMStudioProvider({ env: {}, fetch: fake.fetch, model: "m" });
  for (const name of ["addEventListener", "aborted"]) {
    const options = { signal: throwing(name) } as unknown as Record<string, never>;
    for (
      const open of [
        () => lmstudio.streamCompletion("?", options),
        () => lmstudio.streamText("?", options),
        () => lmstudio.chat.stream({ input: "?" }, options),
        () => new FallbackProvider([lmstudio]).streamCompletion("?", options),
      ]
    ) {
      const stream = open();
      await assertRejects(() => stream[Symbol.asyncIterator]().next(), name);
    }
  }
  assertEquals(fake.requests, []);
});

/** A method, called with a throwing value as one of its arguments. */
type Call = (thrower: never) => PromiseLike<unknown> | AsyncIterable<unknown>;

/** Reads the first part of an answer: of a stream its first item. */
async function begin(call: () => PromiseLike<unknown> | AsyncIterable<unknown>): Promise<unknown> {
  let begun: PromiseLike<unknown> | AsyncIterable<unknown>;
  try {
    begun = call();
  } catch (error) {
    throw new Error("thrown at once", { cause: error });
  }
  return Symbol.asyncIterator in begun
    ? await begun[Symbol.asyncIterator]().next()
    : await (begun as PromiseLike<unknown>);
}

/** Methods that accept a request, each with the fields that it reads. */
function requestCalls(
  fetch: typeof globalThis.fetch,
): Record<string, readonly [call: Call, fields: string]> {
  const options = { env: {}, fetch, model: "m", embeddingModel: "m" };
  const lmstudio = new LMStudioProvider(options);
  const local = new LocalProvider(options);
  const fallback = new FallbackProvider([lmstudio, local]);
  const compatible = new OpenAICompatibleProvider({ name: "x", baseUrl: "http://x:1", ...options });
  const completion = "model messages temperature stop tools toolChoice schema reasoning " +
    "logitBias extraBody reasoningTags ttlSeconds";
  const embedding = "model input dimensions batchSize concurrency onProgress";
  const text = "model prompt stop maxTokens";
  const chat = "model input systemPrompt integrations previousResponseId store reasoningTags";
  const responses = "model input instructions tools toolChoice previousResponseId reasoning";
  const calls: Record<string, readonly [call: Call, fields: string]> = {
    completeText: [(request) => lmstudio.completeText(request), text],
    streamText: [(request) => lmstudio.streamText(request), text],
    completeObject: [(request) => lmstudio.completeObject(request), `${completion} maxRepairs`],
    streamObject: [(request) => lmstudio.streamObject(request), `${completion} maxRepairs`],
    runTools: [(request) => lmstudio.runTools(request), `${completion} maxRounds onToolCall`],
    streamTools: [(request) => lmstudio.streamTools(request), `${completion} maxRounds onToolCall`],
    "chat.send": [(request) => lmstudio.chat.send(request), chat],
    "chat.stream": [(request) => lmstudio.chat.stream(request), chat],
    "responses.create": [(request) => lmstudio.responses.create(request), responses],
    "responses.stream": [(request) => lmstudio.responses.stream(request), responses],
    "models.load": [(load) => lmstudio.models.load("m", load), "contextLength flashAttention"],
    "models.ensureLoaded": [(load) => lmstudio.models.ensureLoaded("m", load), "contextLength"],
    "models.download": [(load) => lmstudio.models.download("m", load), "quantization"],
  };
  for (const [name, provider] of Object.entries({ lmstudio, local, fallback, compatible })) {
    calls[`${name}.complete`] = [(request) => provider.complete(request), completion];
    calls[`${name}.streamCompletion`] = [(given) => provider.streamCompletion(given), completion];
    calls[`${name}.embed`] = [(request) => provider.embed(request), embedding];
  }
  return calls;
}

Deno.test("requests: a throwing getter of a field is a rejection, for streams at the first pull", async () => {
  const fake = createFakeLMStudio({ models: ["m"] });
  for (const [method, [call, fields]] of Object.entries(requestCalls(fake.fetch))) {
    for (const name of fields.split(" ")) {
      const request = { messages: "?", input: "?", prompt: "?", schema: {}, tools: [] };
      Object.defineProperty(request, name, Object.getOwnPropertyDescriptor(throwing(name), name)!);
      const error = await assertRejects(() => begin(() => call(request as never)));
      assertEquals(error, THROWN, `${method}, ${name}: ${error}`);
    }
  }
  assertEquals(generated(fake), []);
});

Deno.test("requests: a throwing getter deep in a request is a rejection", async () => {
  const fake = createFakeLMStudio({ models: ["m"] });
  const calls = requestCalls(fake.fetch);
  const inRequest: Record<string, (deep: unknown) => object> = {
    "messages role": (deep) => ({ messages: [deep] }),
    "messages content": (deep) => ({ messages: [Object.assign(deep as object, { role: "user" })] }),
    "messages type": (deep) => ({ messages: [{ role: "user", content: [deep] }] }),
    "messages image": (deep) => ({
      messages: [{ role: "user", content: [Object.assign(deep as object, { type: "image" })] }],
    }),
    "messages id": (deep) => ({ messages: [{ role: "assistant", toolCalls: [deep] }] }),
    "tools name": (deep) => ({ messages: "?", tools: [deep] }),
    "tools parameters": (deep) => ({
      messages: "?",
      tools: [Object.assign(deep as object, { name: "t" })],
    }),
    "tools type": (deep) => ({ messages: "?", tools: [{ name: "t", parameters: deep }] }),
    "toolChoice name": (deep) => ({ messages: "?", tools: [], toolChoice: deep }),
    "schema type": (deep) => ({ messages: "?", schema: deep }),
    "schema ~standard": (deep) => ({ messages: "?", schema: deep }),
    "stop 0": (deep) => ({ messages: "?", stop: deep }),
    "logitBias 5": (deep) => ({ messages: "?", logitBias: deep }),
    "extraBody own": (deep) => ({ messages: "?", extraBody: deep }),
    "reasoningTags open": (deep) => ({ messages: "?", reasoningTags: [deep] }),
    "input 0": (deep) => ({ input: deep }),
    "input type": (deep) => ({ input: [deep] }),
    "integrations type": (deep) => ({ input: "?", integrations: [deep] }),
    "prompt 0": (deep) => ({ prompt: deep }),
  };
  for (const [path, requestWith] of Object.entries(inRequest)) {
    const [field = "", name = ""] = path.split(" ");
    for (const [method, [call, fields]] of Object.entries(calls)) {
      if (!fields.split(" ").includes(field)) continue;
      // Refused for another reason or with the getter's exception, but never thrown synchronously and never sent.
      const error = await assertRejects(() =>
        begin(() => call(requestWith(throwing(name)) as never))
      );
      assert(error === THROWN || isProviderError(error), `${method}, ${path}: ${error}`);
    }
  }
  assertEquals(generated(fake), []);
});

Deno.test("requests: a proxy that throws on every access is a rejection", async () => {
  const fake = createFakeLMStudio({ models: ["m"] });
  const fail = (): never => {
    throw THROWN;
  };
  const proxy = new Proxy({}, { get: fail, has: fail, ownKeys: fail, getPrototypeOf: fail });
  const list = new Proxy([], { get: fail, has: fail, ownKeys: fail });
  for (const [method, [call, fields]] of Object.entries(requestCalls(fake.fetch))) {
    const requests = [proxy, list, ...fields.split(" ").map((name) => ({ [name]: proxy }))];
    for (const request of requests) {
      const error = await assertRejects(() => begin(() => call(request as never)));
      assert(
        error === THROWN || isProviderError(error),
        `${method}, ${Object.keys(request === proxy || request === list ? {} : request)}: ${error}`,
      );
    }
  }
  assertEquals(generated(fake), []);
});

Deno.test("models and lookups: throwing getters in names and options are rejections", async () => {
  const fake = createFakeLMStudio({ models: ["m"] });
  const options = { env: {}, fetch: fake.fetch };
  const lmstudio = new LMStudioProvider(options);
  const calls: Record<string, (given: never, options?: never) => PromiseLike<unknown>> = {
    "models.get": (...given) => lmstudio.models.get(...given),
    "models.load": (name, given) => lmstudio.models.load(name, undefined, given),
    "models.unload": (...given) => lmstudio.models.unload(...given),
    "models.ensureLoaded": (name, given) => lmstudio.models.ensureLoaded(name, undefined, given),
    "models.downloadStatus": (...given) => lmstudio.models.downloadStatus(...given),
  };
  const providers = {
    lmstudio,
    local: new LocalProvider(options),
    fallback: new FallbackProvider([lmstudio]),
  };
  for (const [name, provider] of Object.entries(providers)) {
    calls[`${name}.listModels`] = (_, given) => provider.listModels(given);
    calls[`${name}.supportsModel`] = (...given) => provider.supportsModel(...given);
    calls[`${name}.modelCapabilities`] = (...given) => provider.modelCapabilities(...given);
  }
  const name = Object.defineProperty({}, Symbol.toPrimitive, {
    get: () => {
      throw THROWN;
    },
  });
  for (const [method, call] of Object.entries(calls)) {
    const given = method.endsWith("listModels") ? [] : [name];
    for (const odd of given) await assertRejects(() => begin(() => call(odd as never)));
    for (const field of ["signal", "headers", "timeoutMs"]) {
      const error = await assertRejects(() =>
        begin(() => call("m" as never, throwing(field) as never))
      );
      assertEquals(error, THROWN, `${method}, ${field}: ${error}`);
    }
  }
  assertEquals(generated(fake), []);
});

/** Requests other than the greeting and the listings. */
function generated({ requests }: ReturnType<typeof createFakeLMStudio>): string[] {
  return requests.map(({ method, path }) => `${method} ${path}`)
    .filter((request) => !request.startsWith("GET "));
}
