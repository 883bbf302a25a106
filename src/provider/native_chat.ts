/**
 * LM Studio's own chat, over one server.
 *
 * @module
 */

import { importChatSchemas, requestChat } from "../api/native_chat.ts";
import { checkChatRequest } from "../api/native_chat_checks.ts";
import { encodeChatRequest } from "../api/native_chat_request.ts";
import { NativeChatStream } from "../api/native_chat_stream.ts";
import type { ThinkTags } from "../api/think_splitter.ts";
import type { EventStream } from "../core/event_stream.ts";
import type { ChatApi, ChatEvent, ChatRequest, ChatResponse } from "../core/native_chat.ts";
import { checkCallOptions } from "../core/request_checks.ts";
import type { CallOptions } from "../core/types.ts";
import { LazyStream } from "./lazy_stream.ts";
import type { ServerModels } from "./server_models.ts";

/** `LMStudioProvider.chat`. */
export class ServerChat implements ChatApi {
  readonly #server: ServerModels;

  constructor(server: ServerModels) {
    this.#server = server;
  }

  async send(request: ChatRequest, options?: CallOptions): Promise<ChatResponse> {
    const startedAt = performance.now();
    const server = this.#server;
    const { checked, body, action, tags } = await this.#encode("chat", request, options);
    const answer = await requestChat(server.transport, body, action, checked, startedAt, tags);
    if (answer.stats.modelLoadMs !== undefined) server.forget();
    return answer;
  }

  stream(request: ChatRequest, options?: CallOptions): EventStream<ChatEvent, ChatResponse> {
    const server = this.#server;
    const label = { action: "stream a chat", service: server.service };
    let source: NativeChatStream | undefined;
    return new LazyStream<ChatEvent, ChatResponse>({
      open: async (signal) => {
        const { checked, body, action, tags } = await this.#encode(
          label.action,
          request,
          options,
          signal,
        );
        source = new NativeChatStream(server.transport, {
          body,
          action,
          options: checked,
          tags,
          onModelLoad: () => server.forget(),
        });
        return source;
      },
      callerSignal: options?.signal,
      label,
      isFinal: (event) => source?.isFinal(event) === true,
    });
  }

  /** Everything that can be refused is, before anything is sent; the model is looked for last. */
  async #encode(
    verb: string,
    input: unknown,
    options: unknown,
    signal?: AbortSignal,
  ): Promise<EncodedChat> {
    const refuse = this.#server.refuse(verb);
    const checked = checkCallOptions(options, refuse);
    const request = checkChatRequest(input, refuse);
    const own = signal === undefined ? checked : { ...checked, signal };
    const fetchImage = this.#server.imageFetcher(verb, checked, signal);
    const fields = await encodeChatRequest(request, refuse, fetchImage);
    await importChatSchemas(verb);
    const { body, action } = await this.#server.withModel(verb, request.model, fields, own);
    return { checked: own, body, action, tags: this.#server.thinkTags(request.reasoningTags) };
  }
}

/** A request, ready to be sent. */
interface EncodedChat {
  readonly checked: CallOptions;
  readonly body: Record<string, unknown>;
  readonly action: string;
  readonly tags: ThinkTags;
}
