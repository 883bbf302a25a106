import {
  type CallOptions,
  type CompletionRequest,
  type CompletionResponse,
  type CompletionStream,
  type EmbeddingRequest,
  type EmbeddingResponse,
  isProviderError,
  type ModelCapabilities,
  type ModelInfo,
  type ModelProvider,
  OpenAICompatibleProvider,
} from "../mod.ts";

interface Props {
  default_generation_settings?: { n_ctx?: number };
}

/** llama.cpp's server: OpenAI-compatible routes, and the context length at `/props`. */
export class LlamaCppProvider implements ModelProvider {
  readonly name = "llamacpp";
  readonly #routes: OpenAICompatibleProvider;
  readonly #props: string;

  constructor(baseUrl = "http://127.0.0.1:8080") {
    this.#routes = new OpenAICompatibleProvider({
      name: this.name,
      service: "llama.cpp",
      baseUrl,
    });
    this.#props = `${baseUrl}/props`;
  }

  async listModels(options?: CallOptions): Promise<ModelInfo[]> {
    const models = await this.#routes.listModels(options);
    const response = await fetch(this.#props, { signal: options?.signal ?? null });
    const props = (response.ok ? await response.json() : {}) as Props;
    const length = props.default_generation_settings?.n_ctx;
    return models.map((model) => ({
      ...model,
      loaded: true,
      capabilities: { ...model.capabilities, maxTokens: length || model.capabilities.maxTokens },
    }));
  }

  complete(
    request: string | CompletionRequest,
    options?: CallOptions,
  ): Promise<CompletionResponse> {
    return this.#routes.complete(request, options);
  }

  streamCompletion(request: string | CompletionRequest, options?: CallOptions): CompletionStream {
    return this.#routes.streamCompletion(request, options);
  }

  embed(request: EmbeddingRequest, options?: CallOptions): Promise<EmbeddingResponse> {
    return this.#routes.embed(request, options);
  }

  supportsModel(model: string, options?: CallOptions): Promise<boolean> {
    return this.#routes.supportsModel(model, options);
  }

  async modelCapabilities(
    model: string,
    options?: CallOptions,
  ): Promise<ModelCapabilities | undefined> {
    if (!await this.supportsModel(model, options)) return undefined;
    try {
      return (await this.listModels(options)).find(({ id }) => id === model)?.capabilities;
    } catch (error) {
      if (isProviderError(error)) return undefined; // the server does not answer
      throw error;
    }
  }
}
