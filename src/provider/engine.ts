/**
 * The `ModelProvider` methods over one server. What differs between kinds of servers is in a `Dialect`.
 *
 * @module
 */

import { requestCompletion } from "../api/chat.ts";
import { checkCompletionRequest } from "../api/chat_checks.ts";
import { encodeCompletionRequest } from "../api/chat_request.ts";
import { ChatStream } from "../api/chat_stream.ts";
import { quote } from "../core/fields.ts";
import { checkCallOptions, checkName } from "../core/request_checks.ts";
import type {
  CallOptions,
  CompletionRequest,
  CompletionResponse,
  CompletionStream,
  EmbeddingRequest,
  EmbeddingResponse,
  ModelCapabilities,
  ModelInfo,
} from "../core/types.ts";
import { LazyCompletionStream } from "./completion_stream.ts";
import { checkEmbeddingRequest, embedInBatches } from "./embedding.ts";
import type { ServerModels } from "./server_models.ts";

/** Everything a provider does, but its name. */
export class Engine {
  readonly #server: ServerModels;

  constructor(server: ServerModels) {
    this.#server = server;
  }

  /** As `ModelProvider.listModels`. */
  async listModels(options: CallOptions | undefined): Promise<ModelInfo[]> {
    return await this.#server.list(
      checkCallOptions(options, this.#server.refuse("list models")),
    );
  }

  /** As `ModelProvider.complete`. */
  async complete(
    input: string | CompletionRequest,
    options: CallOptions | undefined,
  ): Promise<CompletionResponse> {
    const startedAt = performance.now();
    const server = this.#server;
    const { request, checked, fields } = await this.#encode("complete", input, options);
    const model = request.model ?? await server.chatModel("complete", checked);
    const action = `complete with model ${quote(model)}`;
    const body = { model, ...fields };
    const response = await requestCompletion(server.transport, body, action, checked, startedAt);
    const rest = server.rest(checked, startedAt);
    await server.checkAnswer(action, model, response.model, rest, { response });
    return response;
  }

  /** As `ModelProvider.streamCompletion`. */
  streamCompletion(
    input: string | CompletionRequest,
    options: CallOptions | undefined,
  ): CompletionStream {
    const server = this.#server;
    const label = { action: "stream a completion", service: server.service };
    const open = async (signal: AbortSignal): Promise<ChatStream> => {
      const { request, checked, fields } = await this.#encode(
        label.action,
        input,
        options,
        signal,
      );
      const own: CallOptions = { ...checked, signal };
      const model = request.model ?? await server.chatModel(label.action, own);
      const action = `${label.action} with model ${quote(model)}`;
      return new ChatStream(server.transport, {
        body: { model, ...fields },
        action,
        options: own,
        onModel: (answered, arrived) => server.checkAnswer(action, model, answered, own, arrived),
      });
    };
    return new LazyCompletionStream(open, options?.signal, label);
  }

  /** As `ModelProvider.embed`. */
  async embed(
    input: EmbeddingRequest,
    options: CallOptions | undefined,
  ): Promise<EmbeddingResponse> {
    const startedAt = performance.now();
    const server = this.#server;
    const refuse = server.refuse("embed");
    const checked = checkCallOptions(options, refuse);
    const request = checkEmbeddingRequest(input, refuse);
    const model = request.model ?? await server.embeddingModel("embed", checked);
    const action = `embed with model ${quote(model)}`;
    const known = new Set<string>();
    const onBatch = async (response: EmbeddingResponse, signal: AbortSignal): Promise<void> => {
      // Every batch may be answered by another model; each is told once.
      if (known.has(response.model)) return;
      known.add(response.model);
      const rest = { ...server.rest(checked, startedAt), signal };
      await server.checkAnswer(action, model, response.model, rest, { response });
    };
    const batch = { transport: server.transport, model, action, options: checked, startedAt };
    return await embedInBatches(request, batch, onBatch);
  }

  /** As `ModelProvider.supportsModel`. */
  async supportsModel(model: string, options: CallOptions | undefined): Promise<boolean> {
    return await this.#find(model, options, "look up a model") !== undefined;
  }

  /** As `ModelProvider.modelCapabilities`. */
  async modelCapabilities(
    model: string,
    options: CallOptions | undefined,
  ): Promise<ModelCapabilities | undefined> {
    const found = await this.#find(model, options, "look up a model's capabilities");
    return found === undefined ? undefined : { ...found.capabilities };
  }

  /** Everything that can be refused is, before anything is sent. */
  async #encode(
    action: string,
    input: unknown,
    options: unknown,
    streamSignal?: AbortSignal,
  ): Promise<{
    request: CompletionRequest;
    checked: CallOptions;
    fields: Record<string, unknown>;
  }> {
    const refuse = this.#server.refuse(action);
    const checked = checkCallOptions(options, refuse);
    const request = checkCompletionRequest(input, refuse);
    const fetchImage = streamSignal === undefined
      ? this.#server.imageFetcher(action, checked)
      // `timeoutMs` is not for streams.
      : this.#server.imageFetcher(action, { signal: streamSignal }, Infinity);
    const fields = await encodeCompletionRequest(request, refuse, fetchImage);
    return { request, checked, fields };
  }

  async #find(
    model: string,
    options: CallOptions | undefined,
    action: string,
  ): Promise<ModelInfo | undefined> {
    const refuse = this.#server.refuse(action);
    const checked = checkCallOptions(options, refuse);
    checkName("model", model ?? null, refuse);
    return await this.#server.find(model, checked);
  }
}
