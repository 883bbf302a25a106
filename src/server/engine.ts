/**
 * The `ModelProvider` methods over one server. What differs between kinds of servers is in a `Dialect`.
 *
 * @module
 */

import { requestCompletion } from "../api/completions.ts";
import { checkCompletionRequest } from "../api/completion_checks.ts";
import { encodeCompletionRequest } from "../api/completion_request.ts";
import { ChatStream } from "../api/completion_stream.ts";
import type { FetchImage } from "../api/images.ts";
import { LISTING_ACTION } from "../api/models.ts";
import type { ThinkTags } from "../api/think_splitter.ts";
import { checkCallOptions, checkName } from "../core/request_checks.ts";
import type {
  CallOptions,
  CompletionRequest,
  CompletionResponse,
  CompletionStream,
  ModelCapabilities,
  ModelInfo,
} from "../core/types.ts";
import { LazyCompletionStream } from "./completion_stream.ts";
import { callerSignalOf } from "./lazy_stream.ts";
import type { AddressedRequest, ServerModels } from "./server_models.ts";

/** A completion request, ready to be sent. */
export interface PreparedCompletion extends AddressedRequest {
  readonly options: CallOptions;
  /** When the call began. */
  readonly startedAt: number;
  /** Tags of thoughts in the answer's text. */
  readonly tags: ThinkTags;
}

/** What every program needs of a provider. */
export class Engine {
  /** The server all of it is asked of. */
  readonly server: ServerModels;

  constructor(server: ServerModels) {
    this.server = server;
  }

  /** As `ModelProvider.listModels`. */
  async listModels(options: CallOptions | undefined): Promise<ModelInfo[]> {
    const checked = checkCallOptions(options, this.server.refuse(LISTING_ACTION));
    return await this.server.list(checked, LISTING_ACTION);
  }

  /** As `ModelProvider.complete`. */
  async complete(
    input: string | CompletionRequest,
    options: CallOptions | undefined,
  ): Promise<CompletionResponse> {
    return await this.answer(await this.prepare("complete", input, options));
  }

  /** As `ModelProvider.streamCompletion`. */
  streamCompletion(
    input: string | CompletionRequest,
    options: CallOptions | undefined,
  ): CompletionStream {
    const action = "stream a completion";
    const { service } = this.server;
    const open = async (signal: AbortSignal): Promise<ChatStream> =>
      this.openStream(await this.prepare(action, input, options, { signal }));
    return new LazyCompletionStream(open, callerSignalOf(options), { action, service });
  }

  /**
   * Checks and writes a request, and chooses its model. Everything that can be refused is, before anything is sent.
   *
   * @param action completes "Cannot …".
   * @param own `signal` is a stream's, in place of the caller's; `fetchImage` is for who fetches in a way of its own.
   */
  async prepare(
    action: string,
    input: unknown,
    options: unknown,
    own: { readonly signal?: AbortSignal; readonly fetchImage?: FetchImage } = {},
  ): Promise<PreparedCompletion> {
    const startedAt = performance.now();
    const server = this.server;
    const refuse = server.refuse(action);
    const checked = checkCallOptions(options, refuse);
    const request = checkCompletionRequest(input, refuse);
    const called = own.signal === undefined ? checked : { ...checked, signal: own.signal };
    const fetchImage = own.fetchImage ?? server.imageFetcher(action, checked, own.signal);
    const fields = await encodeCompletionRequest(request, refuse, fetchImage, action);
    const addressed = await server.withModel(action, request.model, fields, called);
    const tags = server.thinkTags(request.reasoningTags);
    return { ...addressed, options: called, startedAt, tags };
  }

  /** The whole answer to a request. */
  async answer(prepared: PreparedCompletion): Promise<CompletionResponse> {
    const { body, action, options, startedAt, tags } = prepared;
    const server = this.server;
    const { transport } = server;
    const response = await requestCompletion(transport, body, action, options, startedAt, tags);
    const rest = server.rest(options, startedAt);
    await server.checkAnswer(prepared, response.model, rest, { response });
    return response;
  }

  /** The answer to a request as it is generated. Nothing is sent before its first pull. */
  openStream(prepared: PreparedCompletion): ChatStream {
    const { body, action, options, tags } = prepared;
    const server = this.server;
    return new ChatStream(server.transport, {
      body,
      action,
      options,
      tags,
      onModel: (answered, arrived) => server.checkAnswer(prepared, answered, options, arrived),
    });
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

  async #find(
    model: string,
    options: CallOptions | undefined,
    action: string,
  ): Promise<ModelInfo | undefined> {
    const refuse = this.server.refuse(action);
    const checked = checkCallOptions(options, refuse);
    checkName("model", model ?? null, refuse);
    return await this.server.find(model, checked, action);
  }
}
