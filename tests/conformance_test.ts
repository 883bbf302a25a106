import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import {
  type CompletionRequest,
  type CompletionStream,
  LMStudioProvider,
  type ModelProvider,
  type StreamingChunk,
} from "../mod.ts";
import { createFakeLMStudio, testModelProvider } from "../src/testing/mod.ts";
import { closedPort } from "./support/raw_server.ts";

function overFake(situation: "working" | "unreachable" = "working"): LMStudioProvider {
  return situation === "working"
    ? new LMStudioProvider({ fetch: createFakeLMStudio().fetch, env: {} })
    : new LMStudioProvider({
      baseUrl: `127.0.0.1:${closedPort()}`,
      env: {},
      maxRetries: 0,
    });
}

await testModelProvider("LMStudioProvider", (situation) => overFake(situation), {
  test: (name, run) => Deno.test(name, run),
});

Deno.test("conformance: over a real connection, on 0.3 and 0.4", async () => {
  for (const version of ["0.3.16", "0.4.20"]) {
    await using server = await createFakeLMStudio({ version }).listen();
    await testModelProvider(version, () => new LMStudioProvider({ baseUrl: server.url, env: {} }));
  }
});

/** A correct provider, except for one method. */
function broken(override: (right: ModelProvider) => Partial<ModelProvider>): () => ModelProvider {
  return () => {
    const right = overFake();
    const methods: ModelProvider = {
      name: right.name,
      listModels: (options) => right.listModels(options),
      complete: (request, options) => right.complete(request, options),
      streamCompletion: (request, options) => right.streamCompletion(request, options),
      embed: (request, options) => right.embed(request, options),
      supportsModel: (model, options) => right.supportsModel(model, options),
      modelCapabilities: (model, options) => right.modelCapabilities(model, options),
    };
    return { ...methods, ...override(right) };
  };
}

function withChunks(
  right: ModelProvider,
  change: (chunks: AsyncIterable<StreamingChunk>) => AsyncIterable<StreamingChunk>,
): (request: string | CompletionRequest) => CompletionStream {
  return (request) => {
    const stream = right.streamCompletion(request);
    return {
      started: () => stream.started(),
      toResponse: (init) => stream.toResponse(init),
      response: () => stream.response(),
      cancel: (reason) => stream.cancel(reason),
      textStream: stream.textStream,
      toReadableStream: () => stream.toReadableStream(),
      toTextStream: () => stream.toTextStream(),
      [Symbol.asyncDispose]: () => stream[Symbol.asyncDispose](),
      [Symbol.asyncIterator]: () => change(stream)[Symbol.asyncIterator](),
    };
  };
}

const DEFECTS: Record<string, [Parameters<typeof broken>[0], string]> = {
  "no name": [() => ({ name: "" }), "name is empty"],
  "no models": [() => ({ listModels: () => Promise.resolve([]) }), "lists no model"],
  "an empty answer": [
    (right) => ({
      complete: async (request, options) => ({
        ...await right.complete(request, options),
        content: "",
      }),
    }),
    "content is empty",
  ],
  "two final chunks": [
    (right) => ({
      streamCompletion: withChunks(right, async function* (chunks) {
        for await (const chunk of chunks) yield { ...chunk, isFinal: true };
      }),
    }),
    "not exactly one chunk is final",
  ],
  "a stream that loses text": [
    (right) => ({
      streamCompletion: withChunks(right, async function* (chunks) {
        let count = 0;
        for await (const chunk of chunks) if (count++ !== 1) yield chunk;
      }),
    }),
    "chunks and response() differ",
  ],
  "started() that consumes the first chunk": [
    (right) => ({
      streamCompletion: (request, options) => {
        const stream = right.streamCompletion(request, options);
        const iterator = stream[Symbol.asyncIterator]();
        return {
          ...withChunks(right, (chunks) => chunks)(request),
          response: () => stream.response(),
          started: async () => {
            await iterator.next();
          },
          [Symbol.asyncIterator]: () => iterator,
        };
      },
    }),
    "a chunk is lost after started()",
  ],
  "disposal that stops nothing": [
    (right) => ({
      streamCompletion: (request) => ({
        ...withChunks(right, (chunks) => chunks)(request),
        [Symbol.asyncDispose]: () => Promise.resolve(),
      }),
    }),
    "the iteration continues after disposal",
  ],
  "bad input let through": [
    (right) => ({
      complete: (_request, options) => right.complete("anything", options),
    }),
    "expected a ProviderError of kind invalid-request",
  ],
  "refusals that are thrown": [
    (right) => ({
      supportsModel: (model, options) => {
        if (model === "") throw new TypeError("empty");
        return right.supportsModel(model, options);
      },
    }),
    "throws at once",
  ],
  "an abort that is wrapped": [
    (right) => ({
      listModels: (options) =>
        right.listModels(options).catch((cause) => {
          throw new Error("Aborted", { cause });
        }),
    }),
    "listModels does not reject with signal.reason",
  ],
  "vectors out of order": [
    (right) => ({
      embed: async (request, options) => {
        const response = await right.embed(request, options);
        return { ...response, embeddings: response.embeddings.toReversed() };
      },
    }),
    "not in the inputs' order",
  ],
  "support for a model that does not exist": [
    () => ({ supportsModel: () => Promise.resolve(true) }),
    "supportsModel is true for a model that does not exist",
  ],
};

for (const [defect, [override, problem]] of Object.entries(DEFECTS)) {
  Deno.test(`conformance: ${defect} is noticed`, async () => {
    const error = await assertRejects(
      () => testModelProvider("broken", broken(override)),
      AggregateError,
    );
    assertStringIncludes(error.message, problem);
    assert(error.errors.every((failure) => failure.message.startsWith("broken: ")));
  });
}

Deno.test("conformance: an unreachable server that pretends to answer is noticed", async () => {
  const factory = (_situation: string) => overFake();
  const error = await assertRejects(() => testModelProvider("liar", factory), AggregateError);
  assertEquals(error.errors.length, 1);
  assertStringIncludes(error.message, "without a server, rejects with an error that has a hint");
});
