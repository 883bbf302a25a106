/**
 * A conformance suite for `ModelProvider`: what callers may rely on in any provider. It needs no test
 * framework.
 *
 * @module
 */

import { isProviderError } from "../core/errors.ts";
import type { ErrorKind } from "../core/error_codes.ts";
import type { ModelInfo, ModelProvider, StreamingChunk } from "../core/types.ts";

/**
 * Creates a provider to test. In the `working` situation its server is up and has a language model; in the
 * `unreachable` situation there is no server. A factory without parameters is tested on working servers only.
 */
export type ProviderFactory = (
  situation: "working" | "unreachable",
) => ModelProvider | Promise<ModelProvider>;

/** Options of the suite. */
export interface ConformanceOptions {
  /**
   * Registers one case; pass `Deno.test` or the `test` of `node:test` or `bun:test`.
   * @default {run the cases one after another and reject with all failures}
   */
  test?: ((name: string, run: () => Promise<void>) => unknown) | undefined;
  /**
   * Which situations to test.
   * @default {both, or only `working` if the factory has no parameters}
   */
  situations?: readonly ("working" | "unreachable")[] | undefined;
}

/** One guarantee of the interface. */
interface Case {
  readonly name: string;
  readonly situation: "working" | "unreachable";
  readonly run: (provider: ModelProvider) => Promise<void>;
}

const PROMPT = "Say hello, please.";
const NOBODY = "no-such-publisher/no-such-model-0b";

/**
 * Tests a provider: listings, whole and streamed answers, embeddings, refusal of bad input, aborts, and an
 * unreachable server.
 *
 * @param name name of the provider, used in the names of the cases.
 * @param factory creates a provider for each case.
 * @returns once every case has passed or, with `options.test`, has been registered.
 * @throws {AggregateError} naming every case that failed, with the reasons in `errors`.
 *
 * @example
 * ```ts
 * import { LMStudioProvider } from "jsr:@patinox/lmstudio";
 * import { createFakeLMStudio, testModelProvider } from "jsr:@patinox/lmstudio/testing";
 *
 * const { fetch } = createFakeLMStudio();
 * await testModelProvider("lmstudio", () => new LMStudioProvider({ fetch, env: {} }));
 * ```
 */
export async function testModelProvider(
  name: string,
  factory: ProviderFactory,
  options: ConformanceOptions = {},
): Promise<void> {
  const failures: Error[] = [];
  const situations = options.situations ??
    (factory.length === 0 ? ["working"] : ["working", "unreachable"]);
  const cases = CASES.filter(({ situation }) => situations.includes(situation));
  for (const { name: caseName, situation, run } of cases) {
    const fullName = `${name}: ${caseName}`;
    const runCase = async (): Promise<void> => await run(await factory(situation));
    if (options.test !== undefined) {
      // Sub-tests such as `t.step` must end before the next one begins.
      await options.test(fullName, runCase);
      continue;
    }
    try {
      await runCase();
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      failures.push(new Error(`${fullName}: ${reason}`, { cause }));
    }
  }
  if (failures.length > 0) {
    const list = failures.map(({ message }) => `- ${message}`).join("\n");
    throw new AggregateError(
      failures,
      `${failures.length} of ${cases.length} cases failed\n${list}`,
    );
  }
}

const CASES: readonly Case[] = [
  working("has a name", async (provider) => {
    check(isText(provider.name), "name is empty");
    await Promise.resolve();
  }),
  working("lists models with the fields callers need", async (provider) => {
    const models = await provider.listModels();
    check(models.length > 0, "the working server lists no model");
    for (const model of models) {
      check(isText(model.id) && isText(model.name), "a model has no id or no name");
      check(isText(model.provider) && isText(model.type), `${model.id} has no provider or no type`);
      check(model.capabilities.maxTokens > 0, `${model.id} has no maxTokens above 0`);
    }
    check(new Set(models.map(({ id }) => id)).size === models.length, "an id is listed twice");
  }),
  working("completes text", async (provider) => {
    const response = await provider.complete({
      model: await chatModel(provider),
      messages: PROMPT,
    });
    check(isText(response.content), "content is empty");
    check(
      isText(response.model) && isText(response.finishReason),
      "model or finishReason is empty",
    );
    check(response.message.role === "assistant", "message does not have the role assistant");
    check(response.message.content === response.content, "message and content differ");
    check(response.toolCalls.length === 0, "toolCalls is not empty, though no tool was offered");
    check("raw" in response, "raw is missing");
  }),
  working("completes a conversation without changing it", async (provider) => {
    const messages = [
      { role: "system", content: "Be brief." },
      PROMPT,
      { role: "assistant", content: "Hello." },
      { role: "user", content: [{ type: "text", text: "Once more." }] },
    ] as const;
    const before = JSON.stringify(messages);
    const { content } = await provider.complete({ model: await chatModel(provider), messages });
    check(isText(content), "content is empty");
    check(JSON.stringify(messages) === before, "the caller's messages were changed");
  }),
  working("completes several requests at once", async (provider) => {
    const model = await chatModel(provider);
    const responses = await Promise.all(
      Array.from({ length: 5 }, () => provider.complete({ model, messages: PROMPT })),
    );
    check(responses.every(({ content }) => isText(content)), "an answer is empty");
  }),
  working("streams chunks, and only the last one is final", async (provider) => {
    const stream = provider.streamCompletion({
      model: await chatModel(provider),
      messages: PROMPT,
    });
    const chunks: StreamingChunk[] = [];
    for await (const chunk of stream) chunks.push(chunk);
    const last = chunks.at(-1);
    check(chunks.filter(({ isFinal }) => isFinal).length === 1, "not exactly one chunk is final");
    check(last?.isFinal === true, "the last chunk is not final");
    check(
      isText(last?.finishReason) && isText(last?.model),
      "the final chunk lacks finishReason or model",
    );
    const { content } = await stream.response();
    check(
      chunks.map((chunk) => chunk.content).join("") === content,
      "chunks and response() differ",
    );
    check(isText(content), "content is empty");
  }),
  working("returns a streamed answer as a whole", async (provider) => {
    const request = { model: await chatModel(provider), messages: PROMPT };
    const stream = provider.streamCompletion(request);
    const response = await stream.response();
    check(isText(response.content), "content is empty");
    check(response.message.content === response.content, "message and content differ");
    check(await stream.response() === response, "response() does not return the same answer again");
    const whole = await provider.complete(request);
    for (const field of Object.keys(whole)) {
      // Some servers count tokens only for answers that are not streamed.
      check(field === "usage" || field in response, `response() has no ${field}`);
    }
  }),
  working("streams as text only, and as web streams", async (provider) => {
    const request = { model: await chatModel(provider), messages: PROMPT };
    const texts: string[] = [];
    for await (const text of provider.streamCompletion(request).textStream) texts.push(text);
    check(isText(texts.join("")), "textStream is empty");
    const bytes = await new Response(provider.streamCompletion(request).toTextStream()).text();
    check(isText(bytes), "toTextStream() is empty");
    const reader = provider.streamCompletion(request).toReadableStream().getReader();
    let isFinal = false;
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      ({ isFinal } = next.value);
    }
    check(isFinal, "toReadableStream() does not end with the final chunk");
  }),
  working("reports that a stream has started, and keeps its first chunk", async (provider) => {
    const request = { model: await chatModel(provider), messages: PROMPT };
    const stream = provider.streamCompletion(request);
    await stream.started();
    let text = "";
    for await (const { content } of stream) text += content;
    const { content } = await stream.response();
    check(text === content, "a chunk is lost after started()");
    const response = await provider.streamCompletion(request).toResponse({ status: 203 });
    check(response.status === 203, "toResponse() does not have the status it was given");
    check(isText(await response.text()), "toResponse() is empty");
  }),
  working("allows one consumer per stream", async (provider) => {
    const stream = provider.streamCompletion({
      model: await chatModel(provider),
      messages: PROMPT,
    });
    for await (const _ of stream) { /* drained */ }
    await rejectsWith("invalid-request", async () => {
      for await (const _ of stream) { /* refused */ }
    });
  }),
  working("ends quietly on break, and response() rejects", async (provider) => {
    const stream = provider.streamCompletion({
      model: await chatModel(provider),
      messages: PROMPT,
    });
    for await (const _ of stream) break;
    await rejectsWith("stream", () => stream.response());
    await stream.cancel();
  }),
  working("cancels with a reason, and more than once", async (provider) => {
    const stream = provider.streamCompletion({
      model: await chatModel(provider),
      messages: PROMPT,
    });
    const iterator = stream[Symbol.asyncIterator]();
    await iterator.next();
    const reason = new Error("enough");
    await stream.cancel(reason);
    await stream.cancel();
    check((await iterator.next()).done === true, "the iteration continues after cancel()");
    check(
      await rejection(() => stream.response()) === reason,
      "response() rejects with another reason",
    );
  }),
  working("ends a stream on disposal", async (provider) => {
    const stream = provider.streamCompletion({
      model: await chatModel(provider),
      messages: PROMPT,
    });
    const iterator = stream[Symbol.asyncIterator]();
    await iterator.next();
    await stream[Symbol.asyncDispose]();
    check((await iterator.next()).done === true, "the iteration continues after disposal");
    await rejectsWith("stream", () => stream.response());
  }),
  working("refuses bad input before sending", async (provider) => {
    const requests: unknown[] = [
      { model: "", messages: PROMPT },
      { messages: [] },
      { messages: "" },
      { messages: PROMPT, temperature: Number.NaN },
      { messages: PROMPT, temperature: "hot" },
      { messages: PROMPT, maxTokens: 0 },
      { messages: PROMPT, max_tokens: 10 },
      { messages: [{ role: "nobody", content: "" }] },
    ];
    for (const request of requests) {
      const what = JSON.stringify(request);
      await rejectsWith("invalid-request", () => provider.complete(request as string), what);
      const stream = provider.streamCompletion(request as string);
      await rejectsWith("invalid-request", () => stream.response(), what);
    }
    for (const input of [[], "", ["text", ""]]) {
      await rejectsWith("invalid-request", () => provider.embed({ input }), JSON.stringify(input));
    }
    await rejectsWith("invalid-request", () => provider.supportsModel(""));
    const unknownOption = { retry: 1 } as object;
    await rejectsWith("invalid-request", () => provider.complete(PROMPT, unknownOption));
  }),
  working("rejects with the reason of an aborted signal", async (provider) => {
    const reason = { stopped: true };
    const options = { signal: AbortSignal.abort(reason) };
    const calls: Record<string, () => Promise<unknown>> = {
      listModels: () => provider.listModels(options),
      complete: () => provider.complete(PROMPT, options),
      streamCompletion: () => provider.streamCompletion(PROMPT, options).response(),
      embed: () => provider.embed({ input: "text" }, options),
      supportsModel: () => provider.supportsModel(NOBODY, options),
      modelCapabilities: () => provider.modelCapabilities(NOBODY, options),
    };
    for (const [method, call] of Object.entries(calls)) {
      check(await rejection(call) === reason, `${method} does not reject with signal.reason`);
    }
  }),
  working("rejects with the reason of a signal aborted during a stream", async (provider) => {
    const controller = new AbortController();
    const request = { model: await chatModel(provider), messages: PROMPT };
    const stream = provider.streamCompletion(request, { signal: controller.signal });
    const iterator = stream[Symbol.asyncIterator]();
    await iterator.next();
    const reason = new Error("stop");
    controller.abort(reason);
    check(
      await rejection(() => iterator.next()) === reason,
      "the next pull does not reject with it",
    );
    check(
      await rejection(() => stream.response()) === reason,
      "response() does not reject with it",
    );
  }),
  working("embeds in order, or rejects with a ProviderError", async (provider) => {
    const inputs = ["The sea is wide.", "Seven", "Trains leave on time in winter."];
    const models = await provider.listModels();
    if (!models.some(({ capabilities }) => capabilities.supportsEmbeddings)) {
      await rejectsWith(undefined, () => provider.embed({ input: inputs }));
      return;
    }
    const model = models.find(({ capabilities }) => capabilities.supportsEmbeddings)?.id;
    const { embeddings } = await provider.embed({ model, input: inputs });
    check(embeddings.length === inputs.length, "not one vector per input");
    const width = embeddings[0]?.length ?? 0;
    check(
      width > 0 && embeddings.every((vector) => vector.length === width),
      "the vectors differ in length",
    );
    check(embeddings.every((vector) => vector.every(Number.isFinite)), "a value is not finite");
    const { embeddings: [alone = []] } = await provider.embed({ model, input: inputs[0] ?? "" });
    const nearest = embeddings.map((vector) => distance(vector, alone));
    check(nearest.indexOf(Math.min(...nearest)) === 0, "the vectors are not in the inputs' order");
  }),
  working("knows which models it has", async (provider) => {
    const [model] = await provider.listModels();
    check(
      await provider.supportsModel(model?.id ?? ""),
      "supportsModel is false for a listed model",
    );
    const capabilities = await provider.modelCapabilities(model?.id ?? "");
    check(
      capabilities?.maxTokens === model?.capabilities.maxTokens,
      "modelCapabilities and the listing differ",
    );
    check(
      !await provider.supportsModel(NOBODY),
      "supportsModel is true for a model that does not exist",
    );
    check(
      await provider.modelCapabilities(NOBODY) === undefined,
      "modelCapabilities knows a model that does not exist",
    );
  }),
  unreachable("rejects with an error that has a hint", async (provider) => {
    const request = { model: "any-model", messages: "my private words" };
    const calls: Record<string, () => Promise<unknown>> = {
      listModels: () => provider.listModels(),
      complete: () => provider.complete(request),
      streamCompletion: () => provider.streamCompletion(request).response(),
      started: () => provider.streamCompletion(request).started(),
      embed: () => provider.embed({ model: "any-model", input: "my private words" }),
    };
    for (const [method, call] of Object.entries(calls)) {
      const error = await rejection(call);
      check(isProviderError(error), `${method} rejects with something other than a ProviderError`);
      check(isText(error.hint), `${method} rejects without a hint`);
      const said = `${error.message} ${JSON.stringify(error)}`;
      check(!said.includes("private words"), `the error of ${method} quotes the prompt`);
    }
  }),
  unreachable("reports every model as unknown", async (provider) => {
    check(!await provider.supportsModel("any-model"), "supportsModel is not false");
    check(
      await provider.modelCapabilities("any-model") === undefined,
      "modelCapabilities is not undefined",
    );
  }),
];

function working(name: string, run: Case["run"]): Case {
  return { name, situation: "working", run };
}

function unreachable(name: string, run: Case["run"]): Case {
  return { name: `without a server, ${name}`, situation: "unreachable", run };
}

/** A language model; a loaded one if there is any. */
async function chatModel(provider: ModelProvider): Promise<string> {
  const models = await provider.listModels();
  const isForChat = ({ capabilities }: ModelInfo): boolean => !capabilities.supportsEmbeddings;
  const model = models.find((model) => isForChat(model) && model.loaded === true) ??
    models.find(isForChat);
  check(model !== undefined, "the working server lists no language model");
  return model.id;
}

function check(condition: boolean, problem: string): asserts condition {
  if (!condition) throw new Error(problem);
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}

async function rejection(call: () => Promise<unknown>): Promise<unknown> {
  let pending: Promise<unknown>;
  try {
    pending = call();
  } catch {
    throw new Error("it throws at once instead of rejecting");
  }
  try {
    await pending;
  } catch (error) {
    return error;
  }
  throw new Error("it does not reject");
}

async function rejectsWith(
  kind: ErrorKind | undefined,
  call: () => Promise<unknown>,
  what = "",
): Promise<void> {
  const expected = kind === undefined ? "a ProviderError" : `a ProviderError of kind ${kind}`;
  let error: unknown;
  try {
    error = await rejection(call);
  } catch (problem) {
    throw new Error(
      `expected ${expected}${what && ` for ${what}`}, but ${(problem as Error).message}`,
    );
  }
  if (!isProviderError(error, kind)) {
    const found = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    throw new Error(`expected ${expected}${what && ` for ${what}`}, got ${found}`);
  }
}

function distance(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, value, index) => sum + (value - (b[index] ?? 0)) ** 2, 0);
}
