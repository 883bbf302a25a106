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
import { quote } from "../core/fields.ts";
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
    const { request, checked, fields } = this.#encode("complete text", input, options);
    const model = request.model ?? await server.chatModel("complete text", checked, fields);
    const action = `complete text with model ${quote(model)}`;
    const body = { model, ...fields };
    const response = await requestText(server.transport, body, action, checked, startedAt);
    const rest = server.rest(checked, startedAt);
    await server.checkAnswer(action, model, response.model, rest, { response });
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
      const { request, checked, fields } = this.#encode(label.action, input, options);
      const own: CallOptions = { ...checked, signal };
      const model = request.model ?? await server.chatModel(label.action, own, fields);
      const action = `${label.action} with model ${quote(model)}`;
      return new TextStream(server.transport, {
        body: { model, ...fields },
        action,
        options: own,
        onModel: (answered, arrived) => server.checkAnswer(action, model, answered, own, arrived),
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
