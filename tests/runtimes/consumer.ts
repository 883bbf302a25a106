/** A user's program that TypeScript checks against the declarations, with the libraries users may have. */
import {
  type CompletionStream,
  isProviderError,
  LMStudioProvider,
  type Message,
  type ModelProvider,
} from "@patinox/lmstudio";
import {
  createLMStudio,
  type LanguageModelV4,
  type LanguageModelV4CallOptions,
} from "@patinox/lmstudio/ai-sdk";
import { createFakeLMStudio } from "@patinox/lmstudio/testing";

/** Uses a little of everything. */
export async function main(provider: ModelProvider = new LMStudioProvider()): Promise<string> {
  const fake = createFakeLMStudio({ models: ["qwen/qwen3-8b"], replies: () => "Hello." });
  await using server = await fake.listen();
  const { signal } = new AbortController();
  const own = new LMStudioProvider({
    baseUrl: server.url,
    fetch: fake.fetch,
    maxRetries: undefined,
  });
  const history: Message[] = [{ role: "user", content: "Hello" }];
  try {
    const { message, usage } = await own.complete({ messages: history, temperature: 0 }, {
      signal,
    });
    history.push(message);
    await using stream: CompletionStream = provider.streamCompletion({ messages: history });
    let text = "";
    for await (const { content, isFinal } of stream) text += isFinal ? "\n" : content;
    const { embeddings } = await own.embed({ input: [text, "ocean"] });
    const [model] = await own.listModels();
    return `${text} ${usage?.totalTokens} ${
      embeddings[0]?.length
    } ${model?.capabilities.maxTokens}`;
  } catch (error) {
    if (isProviderError(error, "timeout")) return `${error.phase} ${error.timeoutMs}`;
    if (!isProviderError(error)) throw error;
    switch (error.kind) {
      case "rate-limited":
        return String(error.retryAfterMs);
      case "model-not-available":
        return `${error.model} ${error.available?.join()}`;
      default:
        return `${error.code} ${error.hint} ${error.partial?.content}`;
    }
  }
}

/** A web server's response, with its own status if there is no answer. */
export async function respond(stream: CompletionStream): Promise<Response> {
  try {
    await stream.started();
    return await stream.toResponse({ headers: { "x-accel-buffering": "no" } });
  } catch (error) {
    return isProviderError(error)
      ? new Response(error.hint, { status: 502 })
      : new Response(stream.toTextStream());
  }
}

/** Uses a model as the AI SDK does, without the AI SDK. */
export async function generate(model: LanguageModelV4 = createLMStudio()()): Promise<string> {
  const call: LanguageModelV4CallOptions = {
    prompt: [{ role: "user", content: [{ type: "text", text: "Hello" }] }],
    tools: [{ type: "function", name: "now", inputSchema: { type: "object" } }],
  };
  const { content, warnings } = await model.doGenerate(call);
  const [part] = content;
  const text = part?.type === "text" ? part.text : part?.type === "tool-call" ? part.input : "";
  const reader = (await model.doStream(call)).stream.getReader();
  const { value } = await reader.read();
  return `${text} ${warnings.length} ${value?.type === "error" ? value.error : value?.type}`;
}
