/**
 * Embeddings: one vector per input, in order, whatever form the server uses; batches, and what ends
 * them; which model is chosen and which may answer.
 */
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertLessOrEqual,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
} from "@std/assert";
import {
  ApiError,
  type CallOptions,
  type EmbeddingRequest,
  type EmbeddingResponse,
  InvalidRequestError,
  isProviderError,
  LMStudioProvider,
  type LMStudioProviderOptions,
  ModelNotAvailableError,
  ParseError,
  TimeoutError,
} from "../mod.ts";
import { createFakeLMStudio } from "../src/testing/mod.ts";
import { withClock } from "./support/clock.ts";
import {
  fixtureAnswer,
  gate,
  json,
  serveStub,
  type StubAnswer,
  type StubRequest,
  type StubServer,
} from "./support/stub_server.ts";

const EMBED = "POST /v1/embeddings";
const V1 = "GET /api/v1/models";
const OPENAI = "GET /v1/models";
const MODEL = "text-embedding-nomic-embed-text-v1.5";

function connect(server: StubServer, options: LMStudioProviderOptions = {}): LMStudioProvider {
  return new LMStudioProvider({ baseUrl: server.url, env: {}, maxRetries: 0, ...options });
}

async function failure(promise: Promise<unknown>): Promise<unknown> {
  return await promise.then(() => assert(false, "it did not reject"), (error) => error);
}

function inputsOf(request: StubRequest): string[] {
  return request.body.input as string[];
}

/** A vector that identifies its text by the number in it and by its length. */
function vectorOf(text: string): number[] {
  return [Number(/\d+/.exec(text)?.[0] ?? -1), text.length, 0.5];
}

function texts(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `text ${index}`);
}

/** An answer with a vector for each input. */
function vectors(request: StubRequest, more: object = {}): StubAnswer {
  const data = inputsOf(request).map((text, index) => ({
    object: "embedding",
    embedding: vectorOf(text),
    index,
  }));
  const usage = { prompt_tokens: data.length * 2, total_tokens: data.length * 2 };
  return json({ object: "list", data, model: `${MODEL}@q4_k_m`, usage, ...more });
}

/** The outcome for an answer with these entries as `data`. */
async function embedding(data: unknown, count = 2): Promise<EmbeddingResponse> {
  await using server = serveStub({ [EMBED]: json({ object: "list", data, model: MODEL }) });
  return await connect(server).embed({ model: MODEL, input: texts(count) });
}

function base64(numbers: readonly number[]): string {
  const view = new DataView(new ArrayBuffer(4 * numbers.length));
  numbers.forEach((number, index) => view.setFloat32(4 * index, number, true));
  return btoa(String.fromCharCode(...new Uint8Array(view.buffer)));
}

/** Vectors of four numbers, or of as many as requested from a server that obeys. */
function wide(
  request: StubRequest,
  obeys = false,
  encode = (v: number[]): unknown => v,
): StubAnswer {
  const { input, dimensions = 4 } = request.body as { input: string[]; dimensions?: number };
  const data = input.map((_, index) => ({
    index,
    embedding: encode([3, 4, index, 12].slice(0, obeys ? dimensions : 4)),
  }));
  return json({ object: "list", data, model: MODEL });
}

// --- The request and its answer ---------------------------------------------------------------

Deno.test("embed: a text, as documented", async () => {
  await using server = serveStub({ [EMBED]: fixtureAnswer("answers/embeddings.json") });
  const response = await connect(server).embed({ model: MODEL, input: "Some text" });
  assertEquals(response, {
    model: "text-embedding-nomic-embed-text-v1.5@q4_k_m",
    embeddings: [[-0.016731496900320053, 0.028460891917347908, -0.1407836228609085]],
    usage: { promptTokens: 0, completionTokens: 0, totalTokens: 0 },
  });
  assertEquals(server.requests.map(({ body }) => body), [
    // Clients that leave the format out read floats as base64 from some servers.
    { model: MODEL, input: ["Some text"], encoding_format: "float" },
  ]);
});

Deno.test("embed: several texts, with their vectors in the same order", async () => {
  await using server = serveStub({ [EMBED]: vectors });
  const { embeddings } = await connect(server).embed({ model: MODEL, input: texts(3) });
  assertEquals(embeddings, texts(3).map(vectorOf));
  const shuffled = await embedding([
    { index: 2, embedding: [2] },
    { index: 0, embedding: [0] },
    { index: 1, embedding: [1] },
  ], 3);
  assertEquals(shuffled.embeddings, [[0], [1], [2]]);
  const unnumbered = await embedding([{ embedding: [7] }, { embedding: [8] }]);
  assertEquals(unnumbered.embeddings, [[7], [8]]);
});

Deno.test("embed: the caller's texts are sent unchanged", async () => {
  await using server = serveStub({ [EMBED]: vectors });
  const input: readonly string[] = Object.freeze([" spaced ", "\n", "Grüße 世界 👩‍🚀"]);
  await connect(server).embed({ model: MODEL, input });
  assertEquals(inputsOf(server.requests[0]!), [...input]);
});

Deno.test("embed: a list that is cleared after the call", async () => {
  await using server = serveStub({ [EMBED]: vectors, [V1]: fixtureAnswer("listings/v1.json") });
  const queue = texts(3);
  const lmstudio = connect(server, { onModelSubstituted: "ignore" });
  const answer = lmstudio.embed({ input: queue, batchSize: 2 });
  queue.length = 0;
  assertEquals((await answer).embeddings, texts(3).map(vectorOf));
});

Deno.test("embed: base64 vectors", async () => {
  const numbers = [0.5, -1.25, 3, 0];
  const { embeddings } = await embedding([
    { index: 0, embedding: base64(numbers) },
    { index: 1, embedding: base64([...numbers].reverse()) },
  ]);
  assertEquals(embeddings, [numbers, [...numbers].reverse()]);
});

Deno.test("embed: invalid vectors, or not one per text, are a ParseError", async (t) => {
  const good = { index: 0, embedding: [1, 2] };
  const cases: [name: string, data: unknown, state: string][] = [
    ["no data", undefined, "the answer has no data"],
    ["data that is no list", {}, "the answer has no data"],
    ["too few", [good], "the number of vectors in the answer is 1, not 2"],
    ["too many", [good, good, good], "the number of vectors in the answer is 3, not 2"],
    ["none", [], "the number of vectors in the answer is 0, not 2"],
    ["one twice", [good, good], "unexpected index 0"],
    ["beyond the end", [good, { index: 2, embedding: [1, 2] }], "unexpected index 2"],
    ["before the start", [good, { index: -1, embedding: [1, 2] }], "unexpected index -1"],
    ["a half", [good, { index: 0.5, embedding: [1, 2] }], "unexpected index 0.5"],
    ["ragged", [good, { index: 1, embedding: [1, 2, 3] }], "vector 1 has 3 numbers"],
    ["empty", [good, { index: 1, embedding: [] }], "vector 1 is empty"],
    ["all empty", [{ embedding: [] }, { embedding: [] }], "vector 0 is empty"],
    ["empty text", [good, { index: 1, embedding: "" }], "vector 1 is empty"],
    ["null in it", [good, { index: 1, embedding: [1, null] }], "vector 1 has a value that is no"],
    ["text in it", [good, { index: 1, embedding: [1, "2"] }], "vector 1 has a value that is no"],
    ["no vector", [good, { index: 1 }], "vector 1 is neither"],
    ["null", [good, null], "vector 1 is neither"],
    ["an object", [good, { index: 1, embedding: { 0: 1 } }], "vector 1 is neither"],
    ["no base64", [good, { index: 1, embedding: "%%%" }], "vector 1 is neither"],
    ["base64 of half a number", [good, { index: 1, embedding: "AAAAAAA=" }], "vector 1 is neither"],
    [
      "NaN in base64",
      [good, { index: 1, embedding: base64([1, NaN]) }],
      "vector 1 has a value that is not a number",
    ],
  ];
  for (const [name, data, state] of cases) {
    await t.step(name, async () => {
      const error = await assertRejects(() => embedding(data), ParseError);
      assertStringIncludes(error.message, state);
      assertStringIncludes(error.message, `Cannot embed with model "${MODEL}": `);
      assertEquals([error.code, error.retriable], ["malformed_response", false]);
      // If there are vectors, the address is right.
      const isAddress = state === "the answer has no data";
      assertEquals(error.hint.includes("Check the base URL"), isAddress, error.hint);
    });
  }
  await t.step("a number JSON cannot hold", async () => {
    const body = '{"data":[{"index":0,"embedding":[1,1e999]}]}';
    await using server = serveStub({ [EMBED]: { body } });
    await assertRejects(
      () => connect(server).embed({ model: MODEL, input: "text" }),
      ParseError,
      "not a number",
    );
  });
  await t.step("nothing that is JSON", async () => {
    await using server = serveStub({ [EMBED]: { body: '{"data":[' } });
    await assertRejects(() => connect(server).embed({ model: MODEL, input: "text" }), ParseError);
  });
});

Deno.test("embed: an answer without usage or model", async () => {
  const response = await embedding([{ embedding: [1] }], 1);
  assertEquals(response, { model: MODEL, embeddings: [[1]] });
  await using server = serveStub({ [EMBED]: json({ data: [{ embedding: [1] }] }) });
  const anonymous = await connect(server).embed({ model: MODEL, input: "text" });
  assertEquals(anonymous.model, MODEL);
});

Deno.test("embed: server errors get the class their wording implies", async () => {
  const cases: [answer: StubAnswer, code: string][] = [
    [fixtureAnswer("errors/wrong_type_not_embedding.json", 404), "wrong_model_type"],
    [fixtureAnswer("errors/crashed_null.json", 400), "model_crashed"],
    [fixtureAnswer("errors/crashed_null.json"), "model_crashed"],
    [fixtureAnswer("errors/unexpected_endpoint.json"), "unexpected_endpoint"],
  ];
  for (const [answer, code] of cases) {
    await using server = serveStub({ [EMBED]: answer });
    const error = await failure(connect(server).embed({ model: MODEL, input: "text" }));
    assert(isProviderError(error), String(error));
    assertEquals(error.code, code);
  }
});

Deno.test("embed: invalid input is refused by name and position, and nothing is sent", async (t) => {
  const cases: [request: unknown, state: string][] = [
    [undefined, "the request is undefined"],
    ["text", "the request is "],
    [{}, "input is undefined"],
    [{ input: "" }, "input cannot be empty"],
    [{ input: [] }, "input cannot be empty"],
    [{ input: ["a", "b", ""] }, "input[2] cannot be empty"],
    [{ input: ["", "b"] }, "input[0] cannot be empty"],
    [{ input: ["a", 5] }, "input[1] is 5"],
    [{ input: [[1, 2]] }, "input[0] is "],
    [{ input: 5 }, "input is 5"],
    [{ input: "a", model: "" }, "model cannot be empty"],
    [{ input: "a", model: 5 }, "model is 5"],
    [{ input: "a", batchSize: 0 }, "batchSize is 0"],
    [{ input: "a", batchSize: 1.5 }, "batchSize is 1.5"],
    [{ input: "a", concurrency: 0 }, "concurrency is 0"],
    [{ input: "a", concurrency: Infinity }, "concurrency is Infinity"],
    [{ input: "a", onProgress: 5 }, "onProgress is 5"],
    [{ inputs: ["a"] }, 'unknown field "inputs" (did you mean "input"?)'],
    [{ texts: ["a"] }, 'did you mean "input"?'],
    [{ input: "a", batch_size: 5 }, 'did you mean "batchSize"?'],
    [{ input: "a", dimension: 5 }, 'unknown field "dimension" (did you mean "dimensions"?)'],
  ];
  await using server = serveStub({ [EMBED]: vectors, [V1]: fixtureAnswer("listings/v1.json") });
  for (const [request, state] of cases) {
    await t.step(`${JSON.stringify(request)}`, async () => {
      const error = await assertRejects(
        () => connect(server).embed(request as EmbeddingRequest),
        InvalidRequestError,
      );
      assertStringIncludes(error.message, `Cannot embed: `);
      assertStringIncludes(error.message, state);
      assertEquals([error.code, error.attempts], ["invalid_request", 0]);
    });
  }
  await t.step("options", async () => {
    const options = { batchSize: 5 } as CallOptions;
    await assertRejects(
      () => connect(server).embed({ input: "a" }, options),
      InvalidRequestError,
      'unknown option "batchSize"',
    );
  });
  assertEquals(server.requests.length, 0);
});

// --- Dimensions and long texts ----------------------------------------------------------------

Deno.test("dimensions: a server that obeys is left alone", async () => {
  await using server = serveStub({ [EMBED]: (request) => wide(request, true) });
  const response = await connect(server).embed({ model: MODEL, input: texts(2), dimensions: 2 });
  assertEquals(response, { model: MODEL, embeddings: [[3, 4], [3, 4]] });
  assertEquals(server.requests[0]?.body, {
    model: MODEL,
    input: texts(2),
    encoding_format: "float",
    dimensions: 2,
  });
  const all = await connect(server).embed({ model: MODEL, input: "a", dimensions: 4 });
  assertEquals(all, { model: MODEL, embeddings: [[3, 4, 0, 12]] });
});

Deno.test("dimensions: if the server ignores them, vectors are cut and normalized to length 1", async () => {
  for (const encode of [(vector: number[]) => vector, base64]) {
    await using server = serveStub({ [EMBED]: (request) => wide(request, false, encode) });
    const lmstudio = connect(server);
    const request = { model: MODEL, input: texts(3), dimensions: 2, batchSize: 2 };
    assertEquals(await lmstudio.embed(request), {
      model: MODEL,
      embeddings: [[0.6, 0.8], [0.6, 0.8], [0.6, 0.8]],
      truncated: "client",
    });
    assertEquals(server.requests.map(({ body }) => body.dimensions), [2, 2]);
    const { embeddings: [, second = []] } = await lmstudio.embed({ ...request, dimensions: 3 });
    assert(Math.abs(Math.hypot(...second) - 1) < 1e-12);
    assertEquals(second.map((value) => Math.round(value * Math.sqrt(26))), [3, 4, 1]);
    assertEquals("truncated" in await lmstudio.embed({ model: MODEL, input: "a" }), false);
  }
  await using zero = serveStub({
    [EMBED]: json({ data: [{ index: 0, embedding: [0, 0, 1] }], model: MODEL }),
  });
  const { embeddings } = await connect(zero).embed({ model: MODEL, input: "a", dimensions: 2 });
  assertEquals(embeddings, [[0, 0]]);
});

Deno.test("dimensions: one truncated batch is reported, and all vectors have the same length", async () => {
  let batch = 0;
  await using server = serveStub({ [EMBED]: (request) => wide(request, batch++ > 0) });
  const request = { model: MODEL, input: texts(2), dimensions: 2, batchSize: 1 };
  const { embeddings, truncated } = await connect(server).embed(request);
  assertEquals([embeddings, truncated], [[[0.6, 0.8], [3, 4]], "client"]);
});

Deno.test("dimensions: more than the model has is an error that gives its number", async () => {
  await using server = serveStub({ [EMBED]: (request) => wide(request) });
  const error = await failure(
    connect(server).embed({ model: MODEL, input: texts(4), dimensions: 5, batchSize: 1 }),
  );
  assertInstanceOf(error, InvalidRequestError);
  assertEquals([error.code, error.retriable], ["invalid_request", false]);
  assertStringIncludes(
    error.message,
    "vectors have 4 numbers, fewer than the 5 dimensions requested",
  );
  assertStringIncludes(error.hint, "Request at most 4 dimensions");
  assertEquals(server.requests.length, 1);
});

Deno.test("dimensions: invalid values are refused, and nothing is sent", async () => {
  await using server = serveStub({});
  for (const dimensions of [0, -1, 1.5, NaN, Infinity, "256", null, true]) {
    const request = { model: MODEL, input: "a", dimensions } as EmbeddingRequest;
    const error = await failure(connect(server).embed(request));
    assertInstanceOf(error, InvalidRequestError);
    assertStringIncludes(error.message, "Cannot embed: dimensions is ");
    assertStringIncludes(error.message, "not a whole number above 0");
  }
  assertEquals(server.requests.length, 0);
});

Deno.test("dimensions: through the fake, which ignores them by default", async () => {
  for (const obeysDimensions of [undefined, true]) {
    const models = [{ id: MODEL, obeysDimensions }];
    const { fetch } = createFakeLMStudio({ models });
    const lmstudio = new LMStudioProvider({ env: {}, fetch });
    const { embeddings: [vector = []], truncated } = await lmstudio.embed({
      input: "The sea is deep and wide, and the ocean is deeper.",
      dimensions: 64,
    });
    assertEquals([vector.length, truncated], [64, obeysDimensions ? undefined : "client"]);
    assert(Math.abs(Math.hypot(...vector) - 1) < 1e-6);
    const error = await failure(lmstudio.embed({ input: "sea", dimensions: 1000 }));
    assertInstanceOf(error, InvalidRequestError);
  }
});

Deno.test("long texts: a warning for each that is probably cut, by the loaded context", async () => {
  const models = [{ id: MODEL, maxContextLength: 2048, contextLength: 512 }];
  const fake = createFakeLMStudio({ models });
  const lmstudio = new LMStudioProvider({ env: {}, fetch: fake.fetch });
  const long = "The sea is deep and wide today. ".repeat(100);
  const input = ["short", long, "x ".repeat(200), long];
  const { embeddings, warnings = [] } = await lmstudio.embed({ input, batchSize: 2 });
  assertEquals(embeddings.length, 4);
  assertEquals(warnings.map(({ code, index, contextLength }) => [code, index, contextLength]), [
    ["input_truncated", 1, 512],
    ["input_truncated", 3, 512],
  ]);
  // 800 words and full stops.
  assert(warnings.every(({ estimatedTokens: tokens }) => tokens > 600 && tokens < 1000));
  assertEquals("warnings" in await lmstudio.embed({ input: "short" }), false);
  // Text that the server drops makes no difference.
  const [one, other] = (await lmstudio.embed({ input: [long, long + " And dark."] })).embeddings;
  assertEquals(one, other);
});

Deno.test("long texts: no request is sent to learn a context, and a listed one is remembered", async () => {
  const fake = createFakeLMStudio({ models: [{ id: MODEL, contextLength: 512 }] });
  const lmstudio = new LMStudioProvider({ env: {}, fetch: fake.fetch, modelCacheTtlMs: 1 });
  const request = { model: MODEL, input: "The sea is deep. ".repeat(400) };
  assertEquals((await lmstudio.embed(request)).warnings, undefined);
  assertEquals(fake.requests.map(({ path }) => path), ["/v1/embeddings"]);
  await lmstudio.listModels();
  await new Promise((resolve) => setTimeout(resolve, 10));
  const sent = fake.requests.length;
  assertEquals((await lmstudio.embed(request)).warnings?.length, 1);
  assertEquals(fake.requests.length, sent + 1);
});

// --- Batches ----------------------------------------------------------------------------------

Deno.test("batches: 64 texts per request, one request at a time", async () => {
  let active = 0;
  let most = 0;
  await using server = serveStub({
    [EMBED]: async (request) => {
      most = Math.max(most, ++active);
      await Promise.resolve();
      active--;
      return vectors(request);
    },
  });
  const progress: [number, number][] = [];
  const { embeddings, usage } = await connect(server).embed({
    model: MODEL,
    input: texts(150),
    onProgress: (done, total) => void progress.push([done, total]),
  });
  assertEquals(embeddings, texts(150).map(vectorOf));
  assertEquals(server.requests.map((request) => inputsOf(request).length), [64, 64, 22]);
  assertEquals(progress, [[64, 150], [128, 150], [150, 150]]);
  assertEquals(usage, { promptTokens: 300, completionTokens: 0, totalTokens: 300 });
  assertEquals(most, 1, "engines have crashed under parallel embedding");
});

Deno.test("batches: several at a time, in order whichever finishes first", async () => {
  const waiting: (() => void)[] = [];
  const arrived = [gate(), gate(), gate()];
  await using server = serveStub({
    [EMBED]: async (request) => {
      const mine = gate();
      waiting.push(mine.open);
      arrived[waiting.length - 1]?.open();
      await mine.opened;
      return vectors(request);
    },
  });
  const progress: number[] = [];
  const pending = connect(server).embed({
    model: MODEL,
    input: texts(6),
    batchSize: 2,
    concurrency: 2,
    onProgress: (done) => void progress.push(done),
  });
  await arrived[1]!.opened;
  assertEquals(server.requests.length, 2, "no more than two at a time");
  waiting[1]!();
  await arrived[2]!.opened;
  waiting[2]!();
  waiting[0]!();
  const { embeddings } = await pending;
  assertEquals(embeddings, texts(6).map(vectorOf));
  assertEquals(progress, [2, 4, 6]);
});

Deno.test("batches: long texts close a batch early, and a very long one is alone", async () => {
  await using server = serveStub({ [EMBED]: vectors });
  const half = 512 * 1024;
  const lengths = [half, half - 10, 10, 1, 3 * half, half + 1, half, 5, 5];
  const input = lengths.map((length, index) => `${index} `.padEnd(length, "x").slice(0, length));
  const { embeddings } = await connect(server).embed({ model: MODEL, input, batchSize: 3 });
  assertEquals(embeddings.map(([, length]) => length), lengths);
  assertEquals(
    server.requests.map((request) => inputsOf(request).map(({ length }) => length)),
    [[half, half - 10, 10], [1], [3 * half], [half + 1], [half, 5, 5]],
  );
});

Deno.test("batches: progress only grows, whichever batch finishes first", async () => {
  const gates = [gate(), gate(), gate()];
  await using server = serveStub({
    [EMBED]: async (request) => {
      const [first = ""] = inputsOf(request);
      await gates[Number(/\d+/.exec(first)) / 2]?.opened;
      return vectors(request);
    },
  });
  const told: number[][] = [];
  const steps = [0, 1, 2].map(() => gate());
  const pending = connect(server).embed({
    model: MODEL,
    input: texts(5),
    batchSize: 2,
    concurrency: 3,
    onProgress: (done, total) => {
      told.push([done, total]);
      steps[told.length - 1]?.open();
    },
  });
  for (const [step, index] of [2, 0, 1].entries()) {
    gates[index]?.open();
    await steps[step]?.opened;
  }
  assertEquals((await pending).embeddings, texts(5).map(vectorOf));
  assertEquals(told, [[1, 5], [3, 5], [5, 5]]);
});

Deno.test("batches: no more workers than batches, and any size", async () => {
  for (const [count, batchSize, requests] of [[3, 1, 3], [3, 3, 1], [3, 1000, 1]] as const) {
    await using server = serveStub({ [EMBED]: vectors });
    const request = { model: MODEL, input: texts(count), batchSize, concurrency: 100 };
    assertEquals((await connect(server).embed(request)).embeddings, texts(count).map(vectorOf));
    assertEquals(server.requests.length, requests);
  }
});

Deno.test("batches: vectors of different lengths are refused", async () => {
  await using server = serveStub({
    [EMBED]: (request) => {
      const isFirst = inputsOf(request).includes("text 0");
      return json({ data: [{ embedding: isFirst ? [1, 2] : [1, 2, 3] }], model: MODEL });
    },
  });
  const error = await assertRejects(
    () => connect(server).embed({ model: MODEL, input: texts(2), batchSize: 1 }),
    ParseError,
  );
  assertStringIncludes(error.message, "the vectors have 2 numbers, then 3");
});

Deno.test("batches: usage is summed over the batches that report it", async () => {
  await using server = serveStub({
    [EMBED]: (request) =>
      vectors(request, inputsOf(request).includes("text 1") ? { usage: null } : {}),
  });
  const { usage } = await connect(server).embed({ model: MODEL, input: texts(3), batchSize: 1 });
  assertEquals(usage, { promptTokens: 4, completionTokens: 0, totalTokens: 4 });
});

Deno.test("batches: the first failure ends the call and all running requests", async () => {
  const bad = gate();
  await using server = serveStub({
    [EMBED]: async (request) => {
      if (!inputsOf(request).includes("text 1")) return { body: [new Promise(() => {})] };
      await bad.opened;
      return fixtureAnswer("errors/crashed_null.json", 400);
    },
  });
  const pending = failure(
    connect(server).embed({ model: MODEL, input: texts(9), batchSize: 1, concurrency: 3 }),
  );
  bad.open();
  const error = await pending;
  assertInstanceOf(error, ApiError);
  assertEquals(error.code, "model_crashed");
  const others = server.requests.filter((request) => !inputsOf(request).includes("text 1"));
  await Promise.all(others.map(({ left }) => left));
  assertLessOrEqual(server.requests.length, 3);
});

Deno.test("batches: after a failure no more progress is reported", async () => {
  const asked = gate();
  await using server = serveStub({
    [V1]: () => {
      asked.open();
      return { end: "hang" };
    },
    [EMBED]: async (request) => {
      // The first batch waits for the listing, to see whether another model answered.
      if (inputsOf(request).includes("text 0")) return vectors(request, { model: "someone/else" });
      await asked.opened;
      return fixtureAnswer("errors/crashed_null.json", 400);
    },
  });
  const progress: number[] = [];
  const error = await failure(
    connect(server).embed({
      model: MODEL,
      input: texts(2),
      batchSize: 1,
      concurrency: 2,
      onProgress: (done) => void progress.push(done),
    }),
  );
  assertInstanceOf(error, ApiError);
  assertEquals(error.code, "model_crashed");
  await server.on(V1)[0]?.left;
  assertEquals(progress, []);
});

Deno.test("batches: an exception from onProgress ends the call", async () => {
  await using server = serveStub({ [EMBED]: vectors });
  const thrown = new Error("enough");
  const error = await failure(
    connect(server).embed({
      model: MODEL,
      input: texts(3),
      batchSize: 1,
      onProgress: () => {
        throw thrown;
      },
    }),
  );
  assertStrictEquals(error, thrown);
  assertEquals(server.requests.length, 1);
});

Deno.test("batches: an abort rejects with its reason and stops the server", async () => {
  const arrived = gate();
  await using server = serveStub({
    [EMBED]: (request) => {
      if (inputsOf(request).includes("text 0")) return vectors(request);
      arrived.open();
      return { end: "hang" };
    },
  });
  const controller = new AbortController();
  const { signal } = controller;
  const request = { model: MODEL, input: texts(3), batchSize: 1 };
  const pending = failure(connect(server).embed(request, { signal }));
  await arrived.opened;
  const reason = { why: "enough" };
  controller.abort(reason);
  assertStrictEquals(await pending, reason);
  await server.requests[1]?.left;
  assertEquals(server.requests.length, 2);

  const before = failure(connect(server).embed(request, { signal }));
  assertStrictEquals(await before, reason);
  assertEquals(server.requests.length, 2);
});

Deno.test("batches: after an abort in onProgress no further batch is sent", async () => {
  await using server = serveStub({ [EMBED]: vectors });
  const controller = new AbortController();
  const error = await failure(
    connect(server).embed({
      model: MODEL,
      input: texts(3),
      batchSize: 1,
      onProgress: () => controller.abort("enough"),
    }, { signal: controller.signal }),
  );
  assertEquals(error, "enough");
  assertEquals(server.requests.length, 1);
});

Deno.test("batches: timeoutMs covers all of them, and choosing the model", async () => {
  for (const slow of [EMBED, V1]) {
    await withClock(async (pass) => {
      let count = 0;
      await using server = serveStub({
        [V1]: () => {
          if (slow === V1) pass(60_000);
          return fixtureAnswer("listings/v1.json");
        },
        [EMBED]: (request) => {
          if (slow === EMBED && count++ === 0) {
            pass(60_000);
            return vectors(request, { model: "" });
          }
          return { end: "hang" };
        },
      });
      const request = { input: texts(3), batchSize: 1 };
      const error = await assertRejects(
        () => connect(server).embed(request, { timeoutMs: 60_000 }),
        TimeoutError,
      );
      assertEquals([error.code, error.timeoutMs], ["timeout_total", 60_000]);
    });
  }
});

// --- Which model is chosen, and which may answer ----------------------------------------------

interface Listed {
  key: string;
  type?: string;
  loaded?: string[];
}

function v1Listing(models: readonly Listed[]): StubAnswer {
  return json({
    models: models.map(({ key, type = "embedding", loaded = [] }) => ({
      key,
      type,
      loaded_instances: loaded.map((id) => ({ id })),
    })),
  });
}

/** The chosen model, or the error, if the request names no model. */
async function chosen(
  listing: StubAnswer | undefined,
  options: LMStudioProviderOptions = {},
  model?: string,
): Promise<unknown> {
  await using server = serveStub({
    ...(listing === undefined ? {} : { [V1]: listing }),
    [EMBED]: (request) => vectors(request, { model: request.body.model }),
  });
  return await connect(server, options).embed({ model, input: "text" }).then(
    () => server.on(EMBED)[0]?.body.model,
    (error) => {
      assertInstanceOf(error, ModelNotAvailableError);
      assertEquals(error.code, "no_model_loaded");
      assertEquals(server.on(EMBED).length, 0);
      return error;
    },
  );
}

Deno.test("model: the request's or else embeddingModel, never the chat model", async () => {
  const options = { embeddingModel: "configured", model: "chat" };
  assertEquals(await chosen(undefined, options, "asked"), "asked");
  assertEquals(await chosen(undefined, options), "configured");
  assertEquals(await chosen(v1Listing([{ key: "only" }]), { model: "chat" }), "only");
});

Deno.test("model: otherwise the loaded embedding model, or else the only one listed", async () => {
  const llm = { key: "qwen/qwen3-8b", type: "llm", loaded: ["qwen/qwen3-8b"] };
  assertEquals(await chosen(v1Listing([llm, { key: "a" }, { key: "b", loaded: ["b"] }])), "b");
  assertEquals(await chosen(v1Listing([llm, { key: "a" }])), "a");
  assertEquals(await chosen(v1Listing([llm, { key: "a", loaded: ["search"] }])), "search");
  await using server = serveStub({
    [OPENAI]: fixtureAnswer("listings/openai.json"),
    [EMBED]: (request) => vectors(request),
  });
  await connect(server).embed({ input: "text" });
  assertEquals(server.on(EMBED)[0]?.body.model, MODEL);
});

Deno.test("model: several or none are an error that names the candidates", async () => {
  const several = await chosen(v1Listing([{ key: "a" }, { key: "b" }]));
  assertInstanceOf(several, ModelNotAvailableError);
  assertEquals(several.available, ["a", "b"]);
  assertStringIncludes(several.message, "several embedding models (a, b)");
  assertStringIncludes(several.hint, "embeddingModel");
  const loaded = await chosen(
    v1Listing([{ key: "a", loaded: ["a"] }, { key: "b", loaded: ["b"] }, { key: "c" }]),
  );
  assertInstanceOf(loaded, ModelNotAvailableError);
  assertEquals(loaded.available, ["a", "b"]);
  const none = await chosen(v1Listing([{ key: "qwen/qwen3-8b", type: "llm" }]));
  assertInstanceOf(none, ModelNotAvailableError);
  assertStringIncludes(none.message, "no embedding model");
  assertStringIncludes(none.hint, "lms get");
});

Deno.test("model: if the only embedding model is listed as a language model, the error says where to change that", async () => {
  const llm = (key: string) => ({ key, type: "llm" });
  const named = await chosen(v1Listing([llm("qwen/qwen3-8b"), llm("qwen/qwen3-embedding-4b")]));
  assertInstanceOf(named, ModelNotAvailableError);
  assertEquals([named.code, named.available], ["no_model_loaded", ["qwen/qwen3-embedding-4b"]]);
  assertStringIncludes(
    named.message,
    "no embedding model (listed as language models: qwen/qwen3-embedding-4b)",
  );
  assertStringIncludes(named.hint, '"Override Domain Type" to "Text Embedding"');
  // Its name does not show what it is.
  const unnamed = await chosen(v1Listing([llm("baai/bge-m3")]));
  assertInstanceOf(unnamed, ModelNotAvailableError);
  assertStringIncludes(unnamed.hint, '"Override Domain Type" to "Text Embedding"');
  const empty = await chosen(v1Listing([]));
  assertInstanceOf(empty, ModelNotAvailableError);
  assert(!empty.hint.includes("Override"), empty.hint);
});

Deno.test("substitution: a variant or an alias is the same model", async () => {
  const answered = async (asked: string, model: string) => {
    await using server = serveStub({
      [V1]: fixtureAnswer("listings/v1_alias.json"),
      [EMBED]: (request) => vectors(request, { model }),
    });
    return (await connect(server).embed({ model: asked, input: "text" })).model;
  };
  const key = `${MODEL}-embedding`;
  for (const name of [key, `${key}@f16`, `${key}:2`, key.toUpperCase(), "search"]) {
    assertEquals(await answered(key, name), name);
  }
  assertEquals(await answered("search", key), key);
  for (const name of [MODEL, "text-embedding-other", "google/gemma-4-26b-a4b"]) {
    const error = await assertRejects(() => answered(key, name), ModelNotAvailableError);
    assertEquals([error.code, error.model], ["model_substituted", key]);
    assertEquals((error.response as EmbeddingResponse).embeddings.length, 1);
  }
});

Deno.test("substitution: thrown at the first batch, ignored, or reported once", async () => {
  await using server = serveStub({
    [V1]: fixtureAnswer("listings/v1.json"),
    [EMBED]: (request) => vectors(request, { model: "someone/else" }),
  });
  const request = { model: MODEL, input: texts(4), batchSize: 1 };
  await assertRejects(() => connect(server).embed(request), ModelNotAvailableError);
  assertEquals(server.on(EMBED).length, 1);
  const ignoring = connect(server, { onModelSubstituted: "ignore" });
  assertEquals((await ignoring.embed(request)).embeddings.length, 4);
  const told: [string, string][] = [];
  const telling = connect(server, {
    onModelSubstituted: ({ requested, answered }) => void told.push([requested, answered]),
  });
  assertEquals((await telling.embed(request)).model, "someone/else");
  assertEquals(told, [[MODEL, "someone/else"]]);
});

Deno.test("substitution: in a later batch too", async () => {
  await using server = serveStub({
    [V1]: fixtureAnswer("listings/v1.json"),
    [EMBED]: (request) =>
      vectors(request, inputsOf(request).includes("text 2") ? { model: "someone/else" } : {}),
  });
  const request = { model: MODEL, input: texts(4), batchSize: 1 };
  const error = await assertRejects(() => connect(server).embed(request), ModelNotAvailableError);
  assertEquals(error.code, "model_substituted");
});

Deno.test("embed: 50 calls at a time, each with its own vectors", async () => {
  await using server = serveStub({ [EMBED]: vectors });
  const lmstudio = connect(server);
  const answers = await Promise.all(
    texts(50).map((input) => lmstudio.embed({ model: MODEL, input })),
  );
  assertEquals(answers.map(({ embeddings }) => embeddings[0]), texts(50).map(vectorOf));
});

Deno.test("embed: similar texts have similar vectors, through the fake", async () => {
  const fake = createFakeLMStudio();
  const lmstudio = new LMStudioProvider({ env: {}, fetch: fake.fetch });
  const { embeddings } = await lmstudio.embed({
    input: ["the cat sat on the mat", "a cat on a mat", "quarterly tax report"],
  });
  const [cat, mat, tax] = embeddings;
  const dot = (a: number[], b: number[]) => a.reduce((sum, x, index) => sum + x * b[index]!, 0);
  assert(dot(cat!, mat!) > dot(cat!, tax!));
});

Deno.test("substitution: for an unlisted name the error gives the nearest one", async () => {
  const embedders = [MODEL, "text-embedding-bge-m3", "text-embedding-qwen3-0.6b"];
  const fake = createFakeLMStudio({
    models: [...embedders.map((id, index) => ({ id, loaded: index === 0 })), "qwen/qwen3-8b"],
  });
  const lmstudio = new LMStudioProvider({ fetch: fake.fetch, env: {} });
  for (
    const [name, nearest] of [
      ["text-embedding-bge-m4", "text-embedding-bge-m3"],
      ["qwen3-0.6b-embed", "text-embedding-qwen3-0.6b"],
      ["nomic-embed-txt-v1.5", MODEL],
    ] as const
  ) {
    const error = await failure(lmstudio.embed({ model: name, input: "sea" }));
    assertInstanceOf(error, ModelNotAvailableError);
    assertEquals([error.code, error.model], ["model_substituted", name]);
    assertStringIncludes(error.message, `answered instead; the server does not have "${name}"`);
    const [, near = ""] = error.message.split("the closest names are ");
    assert(near.split(",").slice(0, 2).some((id) => id.trim() === nearest), error.message);
    assert(!near.includes("qwen/qwen3-8b"), "a language model is no remedy");
  }
});

// --- Models listed with the wrong type --------------------------------------------------------

const QWEN = "qwen/qwen3-embedding-4b";
const LLM_LISTING = json({
  models: [{ key: QWEN, type: "llm", loaded_instances: [] }, { key: MODEL, type: "embedding" }],
});

Deno.test("embed: a model that LM Studio mistakes for a language model is reported, with where to change that", async (t) => {
  const refusals: Record<string, StubAnswer> = {
    "no models loaded": fixtureAnswer("errors/no_models_string.json", 400),
    "no models loaded, in its older words": fixtureAnswer("errors/no_models_object.json", 404),
    "an unknown name": fixtureAnswer("errors/model_invalid_identifier.json", 400),
    "the wrong type": fixtureAnswer("errors/wrong_type_not_embedding.json", 404),
  };
  for (const [name, answer] of Object.entries(refusals)) {
    await t.step(name, async () => {
      await using server = serveStub({ [EMBED]: answer, [V1]: LLM_LISTING });
      const model = "Qwen3-Embedding-4B";
      const error = await failure(connect(server).embed({ model, input: "sea" }));
      assertInstanceOf(error, ModelNotAvailableError);
      assertEquals([error.code, error.model, error.retriable], ["wrong_model_type", model, false]);
      assertStringIncludes(
        error.message,
        `Cannot embed with model "${model}": the server lists it as a language model`,
      );
      for (const part of ["Override Domain Type", "Text Embedding", "My Models"]) {
        assertStringIncludes(error.hint, part);
      }
      assert(isProviderError(error.cause), "what the server said is the cause");
    });
  }
  await t.step("another model answers instead", async () => {
    const answer = { model: MODEL, data: [{ index: 0, embedding: [1, 2] }] };
    await using server = serveStub({ [EMBED]: json(answer), [V1]: LLM_LISTING });
    const error = await failure(connect(server).embed({ model: QWEN, input: "sea" }));
    assertInstanceOf(error, ModelNotAvailableError);
    assertEquals(error.code, "model_substituted");
    assertStringIncludes(error.message, "as a language model");
    assertStringIncludes(error.hint, "Override Domain Type");
  });
});

Deno.test('embed: "no model loaded" stays that error if the type is correct or unknown', async () => {
  const refusal = fixtureAnswer("errors/no_models_string.json", 400);
  const cases: [model: string, listings: Record<string, StubAnswer>][] = [
    [MODEL, { [V1]: LLM_LISTING }],
    ["nobody/has-this", { [V1]: LLM_LISTING }],
    // This listing has no types: an apparent language model may be something else.
    [QWEN.replace("embedding", "vectors"), {
      [OPENAI]: json({ data: [{ id: "qwen/qwen3-vectors-4b" }] }),
    }],
    [QWEN, { [V1]: json({ error: "Channel Error" }, 500) }],
  ];
  for (const [model, listings] of cases) {
    await using server = serveStub({ [EMBED]: refusal, ...listings });
    const error = await failure(connect(server).embed({ model, input: "sea" }));
    assert(isProviderError(error), String(error));
    assertEquals(error.code, "no_model_loaded", model);
  }
});

Deno.test("embed: an abort ends the look at the listing", async () => {
  const arrived = gate();
  await using server = serveStub({
    [EMBED]: fixtureAnswer("errors/no_models_string.json", 400),
    [V1]: () => {
      arrived.open();
      return { end: "hang" };
    },
  });
  const controller = new AbortController();
  const { signal } = controller;
  const pending = failure(connect(server).embed({ model: QWEN, input: "sea" }, { signal }));
  await arrived.opened;
  const reason = new Error("enough");
  controller.abort(reason);
  assertStrictEquals(await pending, reason);
});
