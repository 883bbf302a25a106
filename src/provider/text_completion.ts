/**
 * `completeText` and `streamText` over one server.
 *
 * @module
 */

import {
  checkTextRequest,
  encodeTextRequest,
  requestText,
  TextStream,
} from "../api/completions.ts";
import { checkCallOptions } from "../core/request_checks.ts";
import type { TextCompletionRequest, TextCompletionResponse } from "../core/text_completions.ts";
import type { CallOptions, CompletionStream } from "../core/types.ts";
import { LazyCompletionStream } from "./completion_stream.ts";
import type { ServerModels } from "./server_models.ts";

/** Text completions of one server. */
export class TextCompletions {
  readonly #server: ServerModels;

  constructor(server: ServerModels) {
    this.#server = server;
  }

  /** As `LMStudioProvider.completeText`. */
  async complete(
    input: string | TextCompletionRequest,
    options: CallOptions | undefined,
  ): Promise<TextCompletionResponse> {
    const startedAt = performance.now();
    const server = this.#server;
    const verb = "complete text";
    const { request, checked, fields } = this.#encode(verb, input, options);
    const { model, body, action } = await server.withModel(verb, request.model, fields, checked);
    const response = await requestText(server.transport, body, action, checked, startedAt);
    const rest = server.rest(checked, startedAt);
    await server.checkAnswer({ action, model, body }, response.model, rest, { response });
    return response;
  }

  /** As `LMStudioProvider.streamText`. */
  stream(
    input: string | TextCompletionRequest,
    options: CallOptions | undefined,
  ): CompletionStream<TextCompletionResponse> {
    const server = this.#server;
    const label = { action: "stream text", service: server.service };
    const open = async (signal: AbortSignal): Promise<TextStream> => {
      const verb = label.action;
      const { request, checked, fields } = this.#encode(verb, input, options);
      const own: CallOptions = { ...checked, signal };
      const { model, body, action } = await server.withModel(verb, request.model, fields, own);
      return new TextStream(server.transport, {
        body,
        action,
        options: own,
        onModel: (answered, arrived) =>
          server.checkAnswer({ action, model, body }, answered, own, arrived),
      });
    };
    return new LazyCompletionStream(open, options?.signal, label);
  }

  /** Everything that can be refused is, before anything is sent. */
  #encode(
    action: string,
    input: unknown,
    options: unknown,
  ): {
    request: TextCompletionRequest;
    checked: CallOptions;
    fields: Record<string, unknown>;
  } {
    const refuse = this.#server.refuse(action);
    const checked = checkCallOptions(options, refuse);
    const request = checkTextRequest(input, refuse);
    return { request, checked, fields: encodeTextRequest(request) };
  }
}
