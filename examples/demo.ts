/**
 * A half-minute tour of the module: `deno task demo`.
 *
 * Uses the configured LM Studio or, if none is configured, the one on this machine; if none answers, a fake one.
 */
import process from "node:process";
import * as z from "zod";
import {
  type AnyProviderError,
  isProviderError,
  LMStudioProvider,
  type ModelInfo,
  tool,
} from "../mod.ts";
import { createFakeLMStudio, type FakeListener, type FakeReply } from "../src/testing/mod.ts";

// If the reader, such as `head`, leaves early, there is nobody left to write for.
process.stdout.on("error", () => process.exit(1));

const PROMPT = "In two sentences: why run a language model on your own machine?";
const FAKE_ANSWER =
  "Because what you write stays with you: no account, no bill, and it works on a train. It is also " +
  "yours to choose, so the model that answers today is still there tomorrow.";
const TOOL_PROMPT = "What day is it today? Ask the clock, and answer in one sentence.";
const OBJECT_PROMPT = "Ada Lovelace, born in London in 1815, wrote the first program.";
/** The fake's answers, in the order of the requests. */
const FAKE_REPLIES: readonly FakeReply[] = [
  FAKE_ANSWER,
  { toolCalls: [{ name: "clock" }] },
  "It is the day the clock says.",
  '{"name":"Ada Lovelace","born":1815}',
];
const SENTENCES = [
  "The cat sleeps on the sofa.",
  "A cat is sleeping on the old sofa.",
  "The invoice is due on Friday.",
] as const;
const MISSING_MODEL = "nobody/has-this-model";

/** The default timeouts are meant for large models and would be too long for a tour. */
const PATIENCE = { firstTokenTimeoutMs: 120_000, timeoutMs: 120_000 };
const FINDING = { timeoutMs: 10_000, connectTimeoutMs: 2_000, maxRetries: 0 };

interface Server {
  readonly provider: LMStudioProvider;
  readonly models: readonly ModelInfo[];
  /** Set if LM Studio did not answer. */
  readonly fake?: FakeListener;
}

async function demo(): Promise<void> {
  exemptThisMachineFromProxies();
  const { provider, models, fake } = await findServer();
  try {
    await part("Models", () => showModels(models));
    await part("A streamed answer", () => streamAnswer(provider, models));
    await part("A tool", () => callTool(provider, models));
    await part("A typed object", () => readObject(provider, models));
    await part("Embeddings", () => compareSentences(provider, models));
    await part("An error", () => showError(provider));
  } finally {
    await fake?.[Symbol.asyncDispose]();
  }
}

/** Runs a part of the tour; if it fails, prints what to do, and the tour continues. */
async function part(title: string, run: () => void | Promise<void>): Promise<void> {
  print(`\n${title}\n${"-".repeat(title.length)}\n`);
  try {
    await run();
  } catch (error) {
    if (!isProviderError(error)) throw error;
    print(`\n${error.message}\n`);
  }
}

// --- Finding the server -----------------------------------------------------------------------

async function findServer(): Promise<Server> {
  const provider = new LMStudioProvider();
  const { value: address, origin = "the default" } = provider.explainConfig()
    .find(({ key }) => key === "baseUrl") ?? {};
  print(`Looking for LM Studio at ${address} (${origin}).\n`);
  try {
    const models = await provider.listModels(FINDING);
    print("It answers.\n");
    return { provider, models };
  } catch (error) {
    if (!isProviderError(error)) throw error;
    if (isAbsence(error)) {
      print("No LM Studio answers there, so this demo starts a fake one and uses that.\n");
    } else {
      print(`${error.message}\nUntil then, this demo starts a fake one and uses that.\n`);
    }
    return await startFake();
  }
}

function isAbsence({ code }: AnyProviderError): boolean {
  return code === "connection_refused" || code === "timeout_connect";
}

async function startFake(): Promise<Server> {
  const fake = await createFakeLMStudio({
    replies: FAKE_REPLIES,
    firstTokenMs: 400,
    tokenMs: 40,
  }).listen();
  // The environment's settings are meant for the real server.
  const provider = new LMStudioProvider({ baseUrl: fake.url, env: {} });
  return { provider, models: await provider.listModels(FINDING), fake };
}

/** Deno and Bun use HTTP_PROXY even for requests to this machine. */
function exemptThisMachineFromProxies(): void {
  const { env } = process;
  const proxy = env.HTTP_PROXY || env.http_proxy;
  if (!proxy || env.NO_PROXY || env.no_proxy) return;
  env.NO_PROXY = "127.0.0.1,localhost";
  print("HTTP_PROXY is set: your own programs need NO_PROXY=127.0.0.1,localhost as well.\n");
}

// --- The parts --------------------------------------------------------------------------------

function showModels(models: readonly ModelInfo[]): void {
  if (models.length === 0) {
    return print("There are no models yet. Download one with `lms get qwen/qwen3-4b`.\n");
  }
  const head = ["model", "type", "loaded", "context", "size", "quantization"];
  const rows = models.map((model) => [
    model.id,
    model.type,
    model.loaded === undefined ? "?" : model.loaded ? "yes" : "no",
    String(model.loadedContextLength ?? model.maxContextLength ?? "?"),
    model.sizeBytes === undefined ? "?" : `${(model.sizeBytes / 1e9).toFixed(1)} GB`,
    model.quantization ?? "?",
  ]);
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0))
  );
  for (const row of [head, ...rows]) {
    print(`${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ").trimEnd()}\n`);
  }
}

async function streamAnswer(
  provider: LMStudioProvider,
  models: readonly ModelInfo[],
): Promise<void> {
  print(`> ${PROMPT}\n`);
  const stream = provider.streamCompletion({
    model: firstLoaded(provider, models),
    messages: PROMPT,
    maxTokens: 2_000,
  }, PATIENCE);
  let isReasoning = false;
  for await (const { content, reasoning } of stream) {
    if (reasoning && !isReasoning) print("(reasoning …) ");
    isReasoning ||= Boolean(reasoning);
    print(content);
  }
  const { model, finishReason, usage, stats } = await stream.response();
  print("\n\n");
  if (finishReason === "length") print("The answer was cut off at 2000 tokens.\n");
  print(`model  ${model}\n`);
  if (usage !== undefined) {
    print(`usage  ${usage.promptTokens} tokens in, ${usage.completionTokens} tokens out\n`);
  }
  const { tokensPerSecond, timeToFirstTokenMs = 0, source } = stats ?? {};
  if (tokensPerSecond !== undefined) {
    print(
      `speed  ${tokensPerSecond.toFixed(1)} tokens/s, the first one after ` +
        `${(timeToFirstTokenMs / 1000).toFixed(2)} s (${source})\n`,
    );
  }
}

async function callTool(provider: LMStudioProvider, models: readonly ModelInfo[]): Promise<void> {
  print(`> ${TOOL_PROMPT}\n`);
  const clock = tool({
    name: "clock",
    description: "Date and time",
    execute: () => {
      const now = new Date().toString();
      print(`clock  ${now}\n`);
      return now;
    },
  });
  const { response } = await provider.runTools({
    model: firstLoaded(provider, models),
    messages: TOOL_PROMPT,
    tools: [clock],
    maxTokens: 2_000,
  }, PATIENCE);
  print(`${response.content}\n`);
}

async function readObject(provider: LMStudioProvider, models: readonly ModelInfo[]): Promise<void> {
  print(`> ${OBJECT_PROMPT}\n`);
  const { object } = await provider.completeObject({
    model: firstLoaded(provider, models),
    messages: OBJECT_PROMPT,
    schema: z.object({ name: z.string(), born: z.number().int() }),
    maxTokens: 2_000,
  }, PATIENCE);
  print(`name   ${object.name}\nborn   ${object.born}\n`);
}

/** With several models loaded, the provider would require a name: the tour uses the first. */
function firstLoaded(
  provider: LMStudioProvider,
  models: readonly ModelInfo[],
): string | undefined {
  const configured = provider.explainConfig().find(({ key }) => key === "model")?.value;
  if (typeof configured === "string") return configured;
  return models.find(({ type, loaded }) => type !== "embedding" && loaded === true)?.id;
}

async function compareSentences(
  provider: LMStudioProvider,
  models: readonly ModelInfo[],
): Promise<void> {
  const candidates = models.filter(({ type }) => type === "embedding");
  const configured = provider.explainConfig().find(({ key }) => key === "embeddingModel")?.value;
  const first = candidates.find(({ loaded }) => loaded === true) ?? candidates[0];
  const { model, embeddings } = await provider.embed({
    model: typeof configured === "string" ? configured : first?.id,
    input: SENTENCES,
  }, PATIENCE);
  print(`${embeddings.length} vectors of ${embeddings[0]?.length} numbers by ${model}\n\n`);
  for (const [a, b] of [[0, 1], [0, 2], [1, 2]] as const) {
    const similarity = cosine(embeddings[a] ?? [], embeddings[b] ?? []);
    print(`${similarity.toFixed(2).padStart(5)}  "${SENTENCES[a]}" and "${SENTENCES[b]}"\n`);
  }
}

/** Cosine similarity: 1 for the same direction, 0 for nothing in common. */
function cosine(a: readonly number[], b: readonly number[]): number {
  const dot = a.reduce((sum, value, index) => sum + value * (b[index] ?? 0), 0);
  return dot / (Math.hypot(...a) * Math.hypot(...b));
}

async function showError(provider: LMStudioProvider): Promise<void> {
  print(`Asking for the model "${MISSING_MODEL}":\n\n`);
  try {
    await provider.complete({ model: MISSING_MODEL, messages: "Hello", maxTokens: 1 }, PATIENCE);
  } catch (error) {
    if (!isProviderError(error)) throw error;
    const { name, code, retriable, hint, message } = error;
    print(`class    ${name}\n`);
    print(`code     ${code}, ${retriable ? "a retry can help" : "a retry does not help"}\n`);
    print(`message  ${message.replace(hint, "").trim()}\n`);
    print(`hint     ${hint}\n`);
  }
}

function print(text: string): void {
  process.stdout.write(text);
}

try {
  await demo();
} catch (error) {
  // An invalid setting: nothing was sent yet.
  if (!isProviderError(error, "configuration")) throw error;
  print(`${error.message}\n`);
  process.exitCode = 1;
}
