/** The public types of §2 to §4 of the design. The type checker runs these tests; Deno only starts them. */
import { assertEquals } from "@std/assert";
import { assertType, type IsExact, type IsNullable } from "@std/testing/types";
import * as z from "zod";
import {
  type AnyProviderError,
  type ApiError,
  type AssistantMessage,
  type CallOptions,
  type ChatEvent,
  type ChatIntegration,
  type CompletionRequest,
  type CompletionResponse,
  type CompletionStream,
  type ConfigEntry,
  type ContentPart,
  type DecisionResponse,
  type EmbeddingRequest,
  type EmbeddingResponse,
  type EmbeddingWarning,
  type ErrorKind,
  type GenerationStats,
  isProviderError,
  type JsonSchema,
  LMStudioProvider,
  type LMStudioProviderOptions,
  type LoadedInstance,
  type Message,
  type ModelCapabilities,
  type ModelInfo,
  ModelNotAvailableError,
  type ModelProvider,
  type OverflowInfo,
  type PartialAnswer,
  type ProviderError,
  resolveConfig,
  type ResolvedConfig,
  type ResponsesAnswer,
  type ResponsesEvent,
  type ServiceInfo,
  type StandardSchema,
  type StreamingChunk,
  type TextCompletionRequest,
  type TextCompletionResponse,
  type TimeoutError,
  type Tool,
  type ToolCall,
  type ToolCallDelta,
  type ToolMessage,
  type TrimInfo,
  type Usage,
} from "../mod.ts";

/** Values of these types are never created: code that uses them is compiled, not run. */
declare const provider: ModelProvider;
declare const response: CompletionResponse;
declare const stream: CompletionStream;
declare const message: Message;
declare const chunk: StreamingChunk;

/** Compiled, not run. */
function compiles(..._: unknown[]): void {}

type Absent<T, Kept extends keyof T = never> = { [K in Exclude<keyof T, Kept>]: undefined };
/** The optional fields. */
type OptionalKeys<T> = {
  [K in keyof T]-?: Record<never, never> extends Pick<T, K> ? K : never;
}[keyof T];

Deno.test("types: LMStudioProvider is a ModelProvider", () => {
  const lmstudio: ModelProvider = new LMStudioProvider({ env: {} });
  assertEquals(lmstudio.name, "lmstudio");
  assertType<IsExact<LMStudioProvider["name"], "lmstudio">>(true);
  assertType<IsExact<ModelProvider["name"], string>>(true);
  assertType<
    IsExact<
      keyof ModelProvider,
      | "name"
      | "listModels"
      | "complete"
      | "streamCompletion"
      | "embed"
      | "supportsModel"
      | "modelCapabilities"
    >
  >(true);
});

Deno.test("types: what the methods accept and return", () => {
  type Method<K extends keyof ModelProvider> = ModelProvider[K];
  assertType<IsExact<Method<"listModels">, (options?: CallOptions) => Promise<ModelInfo[]>>>(true);
  assertType<
    IsExact<
      Method<"complete">,
      (request: string | CompletionRequest, options?: CallOptions) => Promise<CompletionResponse>
    >
  >(true);
  assertType<
    IsExact<
      Method<"streamCompletion">,
      (request: string | CompletionRequest, options?: CallOptions) => CompletionStream
    >
  >(true);
  assertType<
    IsExact<
      Method<"embed">,
      (request: EmbeddingRequest, options?: CallOptions) => Promise<EmbeddingResponse>
    >
  >(true);
  assertType<
    IsExact<Method<"supportsModel">, (model: string, options?: CallOptions) => Promise<boolean>>
  >(true);
  assertType<
    IsExact<
      Method<"modelCapabilities">,
      (model: string, options?: CallOptions) => Promise<ModelCapabilities | undefined>
    >
  >(true);
  for (const name of ["listModels", "complete", "streamCompletion", "embed"] as const) {
    assertType<IsExact<LMStudioProvider[typeof name], ModelProvider[typeof name]>>(true);
  }
});

Deno.test("types: fields of arguments", () => {
  assertType<
    IsExact<
      keyof CallOptions,
      | "signal"
      | "headers"
      | "maxRetries"
      | "timeoutMs"
      | "connectTimeoutMs"
      | "firstTokenTimeoutMs"
      | "idleTimeoutMs"
      | "onStatus"
      | "onQueue"
    >
  >(true);
  assertType<
    IsExact<
      keyof CompletionRequest,
      | "model"
      | "messages"
      | "temperature"
      | "topP"
      | "topK"
      | "minP"
      | "maxTokens"
      | "stop"
      | "seed"
      | "presencePenalty"
      | "frequencyPenalty"
      | "repeatPenalty"
      | "logitBias"
      | "tools"
      | "toolChoice"
      | "textToolCalls"
      | "sendReasoning"
      | "schema"
      | "schemaName"
      | "reasoning"
      | "reasoningTags"
      | "ttlSeconds"
      | "draftModel"
      | "contextOverflowPolicy"
      | "onTrim"
      | "extraBody"
    >
  >(true);
  assertType<
    IsExact<
      keyof EmbeddingRequest,
      "model" | "input" | "dimensions" | "batchSize" | "concurrency" | "onProgress"
    >
  >(true);
  assertType<
    IsExact<
      CompletionRequest["reasoning"],
      "off" | "on" | "low" | "medium" | "high" | undefined
    >
  >(true);
  assertType<
    IsExact<Parameters<NonNullable<EmbeddingRequest["onProgress"]>>, [done: number, total: number]>
  >(true);
  assertType<
    IsExact<
      CompletionRequest["contextOverflowPolicy"],
      "error" | "truncateMiddle" | "rollingWindow" | ((info: OverflowInfo) => Message[]) | undefined
    >
  >(true);
  type Status = Parameters<NonNullable<CallOptions["onStatus"]>>[0];
  assertType<
    IsExact<Status, {
      phase: "waiting" | "loading" | "processing" | "generating";
      progress?: number;
    }>
  >(true);
});

Deno.test("types: only necessary fields are required", () => {
  assertType<
    IsExact<Exclude<keyof CompletionRequest, OptionalKeys<CompletionRequest>>, "messages">
  >(true);
  assertType<IsExact<Exclude<keyof EmbeddingRequest, OptionalKeys<EmbeddingRequest>>, "input">>(
    true,
  );
  assertType<IsExact<OptionalKeys<CallOptions>, keyof CallOptions>>(true);
  assertType<IsExact<OptionalKeys<LMStudioProviderOptions>, keyof LMStudioProviderOptions>>(true);
  const wrong = () => {
    // @ts-expect-error messages are needed
    provider.complete({ model: "m" });
    // @ts-expect-error input is needed
    provider.embed({ model: "m" });
    // @ts-expect-error a request is needed
    provider.complete();
    // @ts-expect-error a tool needs a name
    const tool: Tool = { description: "d" };
    compiles(tool);
  };
  compiles(wrong);
});

Deno.test("types: undefined means absent in all arguments", () => {
  const use = (
    call: Absent<CallOptions>,
    completion: Absent<CompletionRequest, "messages">,
    embedding: Absent<EmbeddingRequest, "input">,
    options: Absent<LMStudioProviderOptions>,
    tool: Absent<Tool, "name">,
  ) => {
    provider.complete({ ...completion, messages: "m" }, call);
    provider.embed({ ...embedding, input: "i" }, call);
    compiles(new LMStudioProvider(options), resolveConfig(options, undefined));
    provider.complete({ messages: "m", tools: [{ ...tool, name: "n" }] });
    const messages: Message[] = [
      { role: "system", content: "c", name: undefined },
      { role: "assistant", content: undefined, reasoning: undefined, toolCalls: undefined },
      { role: "user", content: [{ type: "image", image: "data:", mediaType: undefined }] },
    ];
    compiles(messages);
  };
  compiles(use);
});

Deno.test("types: fields of results are present or absent, never undefined", () => {
  const wrong = () => {
    // @ts-expect-error absent, not undefined
    const usage: Usage = {
      promptTokens: 1,
      completionTokens: 1,
      totalTokens: 2,
      reasoningTokens: undefined,
    };
    // @ts-expect-error absent, not undefined
    const delta: ToolCallDelta = { index: 0, id: undefined };
    // @ts-expect-error absent, not undefined
    const chunk: StreamingChunk = { content: "", isFinal: false, reasoning: undefined };
    compiles(usage, delta, chunk);
  };
  compiles(wrong);
});

Deno.test("types: fields of results", () => {
  assertType<
    IsExact<Usage, {
      promptTokens: number;
      completionTokens: number;
      totalTokens: number;
      reasoningTokens?: number;
      cachedTokens?: number;
    }>
  >(true);
  assertType<
    IsExact<
      ToolCall,
      { id: string; name: string; arguments: string; source?: "text" }
    >
  >(true);
  assertType<
    IsExact<
      ToolCallDelta,
      { index: number; id?: string; name?: string; arguments?: string; source?: "text" }
    >
  >(true);
  assertType<
    IsExact<PartialAnswer, { content: string; reasoning?: string; toolCalls: ToolCall[] }>
  >(true);
  assertType<
    IsExact<EmbeddingResponse, {
      model: string;
      embeddings: number[][];
      truncated?: "client";
      warnings?: EmbeddingWarning[];
      usage?: Usage;
    }>
  >(true);
  assertType<
    IsExact<EmbeddingWarning, {
      code: "input_truncated";
      index: number;
      estimatedTokens: number;
      contextLength: number;
    }>
  >(true);
  assertType<
    IsExact<ModelCapabilities, {
      maxTokens: number;
      supportsTools: boolean;
      trainedForTools?: boolean;
      supportsVision: boolean;
      supportsStreaming: boolean;
      supportsEmbeddings: boolean;
      supportsReasoning: boolean;
      inputCostPer1k?: number;
      outputCostPer1k?: number;
      speedTier: "instant" | "fast" | "standard" | "slow";
      qualityTier: "lite" | "standard" | "premium" | "ultra";
    }>
  >(true);
  assertType<
    IsExact<Omit<CompletionResponse, "finishReason" | "message">, {
      id: string;
      model: string;
      content: string;
      reasoning?: string;
      toolCalls: ToolCall[];
      usage?: Usage;
      stats?: GenerationStats;
      trimmed?: TrimInfo;
      raw: unknown;
    }>
  >(true);
  assertType<
    IsExact<Omit<StreamingChunk, "finishReason">, {
      content: string;
      isFinal: boolean;
      reasoning?: string;
      toolCalls?: ToolCallDelta[];
      model?: string;
      usage?: Usage;
      stats?: GenerationStats;
    }>
  >(true);
  assertType<
    IsExact<Omit<ModelInfo, "type">, {
      id: string;
      name: string;
      provider: string;
      capabilities: ModelCapabilities;
      loaded?: boolean;
      maxContextLength?: number;
      loadedContextLength?: number;
      publisher?: string;
      architecture?: string;
      quantization?: string;
      format?: string;
      params?: string;
      sizeBytes?: number;
      reasoning?: { options: string[]; default?: string };
      variants?: string[];
      selectedVariant?: string;
      instances?: LoadedInstance[];
      raw: unknown;
    }>
  >(true);
  assertType<
    IsExact<Pick<LoadedInstance, "id" | "contextLength" | "parallel">, {
      id: string;
      contextLength?: number;
      parallel?: number;
    }>
  >(true);
  assertType<
    IsExact<
      keyof GenerationStats,
      | "tokensPerSecond"
      | "timeToFirstTokenMs"
      | "generationMs"
      | "modelLoadMs"
      | "stopReason"
      | "draft"
      | "source"
    >
  >(true);
  assertType<IsExact<GenerationStats["source"], "server" | "measured">>(true);
});

Deno.test("types: text completions", () => {
  const sampling = { temperature: 1, topP: 1, topK: 1, minP: 0, maxTokens: -1, seed: 1 };
  const more: Required<Omit<TextCompletionRequest, keyof typeof sampling>> = {
    model: "m",
    prompt: "Once",
    suffix: "end.",
    echo: true,
    stop: ["a"],
    presencePenalty: 0,
    frequencyPenalty: 0,
    repeatPenalty: 1,
    logitBias: { 1: 2 },
    ttlSeconds: 1,
    draftModel: "d",
    extraBody: {},
  };
  compiles({ ...sampling, ...more } satisfies TextCompletionRequest);
  assertType<
    IsExact<OptionalKeys<TextCompletionRequest>, keyof Absent<TextCompletionRequest, "prompt">>
  >(
    true,
  );
  assertType<
    IsExact<
      ReturnType<LMStudioProvider["streamText"]>,
      CompletionStream<TextCompletionResponse>
    >
  >(true);
  assertType<
    IsExact<TextCompletionResponse, {
      id: string;
      model: string;
      text: string;
      finishReason: CompletionResponse["finishReason"];
      usage?: Usage;
      stats?: GenerationStats;
      raw: unknown;
    }>
  >(true);
  compiles((lmstudio: LMStudioProvider) => {
    // @ts-expect-error a text completion has no messages
    lmstudio.completeText({ prompt: "x", messages: "Hi" });
    // @ts-expect-error the prompt is needed
    lmstudio.streamText({});
  });
});

Deno.test("types: open unions keep their members, and accept others", () => {
  const use = (reason: CompletionResponse["finishReason"], type: ModelInfo["type"]) => {
    const texts: string[] = [reason, type];
    const own: (typeof reason)[] = ["stop", "length", "tool_calls", "content_filter"];
    const types: (typeof type)[] = ["llm", "embedding", "vlm"];
    compiles(texts, own, types);
  };
  compiles(use);
  // In an open union, `string` must not have absorbed the known members.
  assertType<IsExact<CompletionResponse["finishReason"], string>>(false);
  assertType<IsExact<ModelInfo["type"], string>>(false);
  assertType<IsExact<ProviderError["code"], string>>(false);
  assertType<IsNullable<CompletionResponse["finishReason"]>>(false);
});

Deno.test("types: messages are discriminated by role", () => {
  const use = () => {
    switch (message.role) {
      case "system":
      case "developer":
      case "user":
        assertType<IsExact<typeof message.content, string | readonly ContentPart[]>>(true);
        return message.name;
      case "assistant":
        assertType<IsExact<typeof message, AssistantMessage>>(true);
        return message.toolCalls?.[0]?.arguments;
      case "tool":
        assertType<IsExact<typeof message, ToolMessage>>(true);
        return message.toolCallId;
      default: {
        const never: never = message;
        return never;
      }
    }
  };
  const wrong = () => {
    // @ts-expect-error a tool's message needs the call's id
    const tool: Message = { role: "tool", content: "c" };
    // @ts-expect-error no such role
    const function_: Message = { role: "function", content: "c" };
    // @ts-expect-error a user has no tool calls
    const user: Message = { role: "user", content: "c", toolCalls: [] };
    const text: ContentPart[] = [{ type: "text", text: "t" }];
    // @ts-expect-error content of a tool is text
    const parts: Message = { role: "tool", toolCallId: "1", content: text };
    // @ts-expect-error no such part
    const audio: ContentPart = { type: "audio", audio: "" };
    // @ts-expect-error an image part has an image
    const image: ContentPart = { type: "image", text: "t" };
    compiles(tool, function_, user, parts, audio, image);
  };
  compiles(use, wrong);
});

Deno.test("types: messages are a text, or texts and messages in an array, read-only or not", () => {
  const use = () => {
    provider.complete("Hello");
    provider.complete({ messages: "Hello" });
    provider.complete({ messages: ["Hello", { role: "user", content: "you" }, "there"] });
    provider.complete({ messages: [{ role: "user", content: "Hello" }, response.message] });
    const messages = ["Hello", { role: "assistant", content: "Hi" }] as const;
    const stop = ["a", "b"] as const;
    const tools = [{ name: "t", parameters: { type: "object", properties: {} } }] as const;
    const parts = [{ type: "text", text: "t" }, {
      type: "image",
      image: new URL("data:,"),
    }] as const;
    provider.complete({ messages, stop, tools, toolChoice: { name: "t" } });
    provider.complete({ messages: [{ role: "user", content: parts }] });
    provider.embed({ input: ["a", "b"] as const });
    provider.embed({ input: "a" });
    const frozen = Object.freeze({
      messages: Object.freeze(["a"]),
      logitBias: Object.freeze({ 1: 2 }),
    });
    provider.complete(frozen);
    const images: ContentPart[] = [
      { type: "image", image: new Uint8Array() },
      { type: "image", image: new Blob(), mediaType: "image/png" },
    ];
    // Answers are pushed into the history.
    const history: Message[] = [];
    history.push(response.message, { role: "tool", toolCallId: "1", content: "ok" });
    const mixed: (string | Message)[] = [...history, "next"];
    provider.complete({ messages: mixed });
    compiles(images);
  };
  compiles(use);
});

Deno.test("types: misspelt and foreign fields do not compile", () => {
  const wrong = () => {
    // @ts-expect-error maxTokens
    provider.complete({ messages: "m", max_tokens: 5 });
    // @ts-expect-error streamCompletion()
    provider.complete({ messages: "m", stream: true });
    // @ts-expect-error a number
    provider.complete({ messages: "m", temperature: "0" });
    // @ts-expect-error one of the words, or a name
    provider.complete({ messages: "m", toolChoice: "any" });
    // @ts-expect-error no null
    provider.complete({ messages: "m", model: null });
    // @ts-expect-error tokens are not taken
    provider.embed({ input: [1, 2] });
    // @ts-expect-error apiToken
    compiles(new LMStudioProvider({ apiKey: "k" }));
    // @ts-expect-error baseUrl
    compiles(new LMStudioProvider({ baseURL: "u" }));
    // @ts-expect-error an AbortSignal
    provider.listModels({ signal: new AbortController() });
    // @ts-expect-error a listener does not promise
    provider.complete("m", { onStatus: 5 });
  };
  compiles(wrong);
});

Deno.test("types: schemas of a library, plain JSON Schema, and Standard Schema by hand", () => {
  const City = z.object({ city: z.string(), days: z.number().optional() });
  const plain: JsonSchema = { type: "object", properties: { city: { type: "string" } } };
  const byHand: StandardSchema<string, number> = {
    "~standard": { version: 1, vendor: "mine", validate: (value) => ({ value: Number(value) }) },
  };
  const use = () => {
    for (const schema of [City, plain, byHand]) {
      provider.complete({ messages: "m", schema });
      provider.complete({ messages: "m", tools: [{ name: "t", parameters: schema }] });
    }
    provider.complete({
      messages: "m",
      schema: { type: "object", properties: { a: { enum: ["x"] } }, required: ["a"] } as const,
    });
  };
  const standard: StandardSchema<z.input<typeof City>, z.output<typeof City>> = City;
  compiles(use, standard);
});

Deno.test("types: a stream is iterated, awaited and disposed", () => {
  const use = async () => {
    for await (const chunk of stream) assertType<IsExact<typeof chunk, StreamingChunk>>(true);
    for await (const text of stream.textStream) assertType<IsExact<typeof text, string>>(true);
    const iterable: AsyncIterable<StreamingChunk> = stream;
    const disposable: AsyncDisposable = stream;
    await using held = provider.streamCompletion("m");
    const whole = await held.response();
    const cancelled = await held.cancel("enough");
    const body = new Response(stream.toTextStream());
    const chunks = stream.toReadableStream();
    assertType<IsExact<typeof whole, CompletionResponse>>(true);
    assertType<IsExact<typeof cancelled, void>>(true);
    assertType<IsExact<typeof chunks, ReadableStream<StreamingChunk>>>(true);
    compiles(iterable, disposable, body);
    // @ts-expect-error it is read-only
    stream.textStream = held.textStream;
    // @ts-expect-error it is not a promise
    const { content } = await stream;
    compiles(content);
  };
  compiles(use);
});

Deno.test("types: isProviderError narrows, by kind if one is named", () => {
  const use = (error: unknown, any: AnyProviderError) => {
    if (isProviderError(error)) {
      assertType<IsExact<typeof error, AnyProviderError>>(true);
      const known: ProviderError = error;
      compiles(known.hint, known.code, known.retriable, known.attempts);
      if (error.kind === "timeout") assertType<IsExact<typeof error, TimeoutError>>(true);
    } else {
      assertType<IsExact<typeof error, unknown>>(true);
    }
    if (isProviderError(error, "timeout")) {
      assertType<IsExact<typeof error, TimeoutError>>(true);
      assertType<IsExact<typeof error.phase, "connect" | "first-token" | "idle" | "total">>(true);
    }
    if (isProviderError(error, "api")) assertType<IsExact<typeof error, ApiError>>(true);
    if (any instanceof ModelNotAvailableError) {
      assertType<
        IsExact<
          typeof any.response,
          | CompletionResponse
          | DecisionResponse
          | EmbeddingResponse
          | ResponsesAnswer
          | TextCompletionResponse
          | undefined
        >
      >(true);
    }
    // @ts-expect-error no such kind
    isProviderError(error, "timeouts");
    // @ts-expect-error not on every error
    if (isProviderError(error)) compiles(error.phase);
  };
  compiles(use);
  assertType<
    IsExact<
      ErrorKind,
      | "api"
      | "network"
      | "authentication"
      | "rate-limited"
      | "model-not-available"
      | "invalid-request"
      | "timeout"
      | "configuration"
      | "all-providers-failed"
      | "serialization"
      | "stream"
      | "parse"
      | "unknown"
    >
  >(true);
  assertType<IsExact<AnyProviderError["kind"], ErrorKind>>(true);
});

Deno.test("types: codes can be switched on, and may be from a later version", () => {
  const use = (error: AnyProviderError) => {
    const code: string = error.code;
    if (error.code === "connection_refused" || error.code === "of_a_later_version") return code;
    return undefined;
  };
  compiles(use);
});

Deno.test("types: the configuration is read-only", () => {
  const config = resolveConfig({}, {});
  assertType<IsExact<typeof config, ResolvedConfig>>(true);
  assertType<IsExact<ResolvedConfig["baseUrl"], string>>(true);
  assertType<IsExact<ResolvedConfig["timeoutMs"], number | undefined>>(true);
  assertType<
    IsExact<ConfigEntry["source"], "default" | "file" | "dotenv" | "environment" | "option">
  >(true);
  assertType<IsExact<ConfigEntry["origin"], string | undefined>>(true);
  const wrong = () => {
    // @ts-expect-error read-only
    config.baseUrl = "u";
    // @ts-expect-error read-only
    config.headers.a = "b";
    // @ts-expect-error a record of texts
    resolveConfig({}, { LMSTUDIO_MAX_RETRIES: 3 });
  };
  const use = () => {
    // The environment types of `process` and Deno.
    resolveConfig({}, Deno.env.toObject());
    resolveConfig({ env: Deno.env.toObject() });
    const own: Record<string, string | undefined> = { LMSTUDIO_HOST: undefined };
    resolveConfig({ env: own }, own);
  };
  compiles(wrong, use);
});

Deno.test("types: a custom provider needs only the interface", () => {
  class Mine implements ModelProvider {
    readonly name = "mine";
    listModels(): Promise<ModelInfo[]> {
      return Promise.resolve([]);
    }
    complete(request: string | CompletionRequest): Promise<CompletionResponse> {
      const content = typeof request === "string" ? request : "";
      return Promise.resolve({
        id: "1",
        model: "m",
        message: { role: "assistant", content },
        content,
        toolCalls: [],
        finishReason: "stop",
        raw: undefined,
      });
    }
    streamCompletion(): CompletionStream {
      throw new Error("not here");
    }
    embed(): Promise<EmbeddingResponse> {
      return Promise.resolve({ model: "m", embeddings: [] });
    }
    supportsModel(): Promise<boolean> {
      return Promise.resolve(false);
    }
    modelCapabilities(): Promise<undefined> {
      return Promise.resolve(undefined);
    }
  }
  const mine: ModelProvider = new Mine();
  assertEquals(mine.name, "mine");
  compiles(() => chunk);
});

Deno.test("types: unexported members of unions are reached by narrowing", () => {
  type One<Union, Type extends string> = Extract<Union, { type: Type }>;
  assertType<
    IsExact<One<ResponsesEvent, "response.output_text.annotation.added">["annotation"], unknown>
  >(true);
  compiles((event: ResponsesEvent) => {
    assertType<IsExact<typeof event.sequence_number, number | undefined>>(true);
    if (event.type === "response.completed") {
      assertType<IsExact<typeof event.response.id, string>>(true);
    }
    if (event.type === "response.output_text.delta") {
      assertType<IsExact<typeof event.delta, string>>(true);
    }
    if (event.type === "response.reasoning_summary_part.done") {
      assertType<IsExact<typeof event.part.type, string>>(true);
    }
  });
  compiles((event: ChatEvent) => {
    if (event.type === "error") assertType<IsExact<typeof event.error.message, string>>(true);
  });
  compiles(
    { type: "plugin", id: "mcp/playwright" } satisfies ChatIntegration,
    { type: "ephemeral_mcp", serverLabel: "a", serverUrl: "https://a" } satisfies ChatIntegration,
    { type: "text", text: "a" } satisfies ContentPart,
    { role: "developer", content: "a" } satisfies Message,
  );
  assertType<IsExact<ServiceInfo["metrics"]["successRate"], number>>(true);
  assertType<IsExact<NonNullable<GenerationStats["draft"]>["acceptedTokens"], number | undefined>>(
    true,
  );
});
