/**
 * `LMStudioProvider.responses`.
 *
 * @module
 */

import { requestResponse } from "../api/responses.ts";
import { checkResponsesRequest, encodeResponsesRequest } from "../api/responses_request.ts";
import { ResponsesStream } from "../api/responses_stream.ts";
import type { EventStream } from "../core/event_stream.ts";
import { checkCallOptions } from "../core/request_checks.ts";
import type { ResponsesAnswer, ResponsesApi, ResponsesRequest } from "../core/responses.ts";
import type { ResponsesEvent } from "../core/responses_events.ts";
import type { CallOptions } from "../core/types.ts";
import { LazyStream } from "./lazy_stream.ts";
import type { ServerModels } from "./server_models.ts";

/** The route `/v1/responses` of one server. */
export class Responses implements ResponsesApi {
  readonly #server: ServerModels;

  constructor(server: ServerModels) {
    this.#server = server;
  }

  async create(request: ResponsesRequest, options?: CallOptions): Promise<ResponsesAnswer> {
    const startedAt = performance.now();
    const server = this.#server;
    const verb = "create a response";
    const { checked, fields, named } = await this.#encode(verb, request, options);
    const { model, body, action } = await server.withModel(verb, named, fields, checked);
    const response = await requestResponse(server.transport, body, action, checked, startedAt);
    const rest = server.rest(checked, startedAt);
    await server.checkAnswer({ action, model, body }, response.model, rest, { response });
    return response;
  }

  stream(
    request: ResponsesRequest,
    options?: CallOptions,
  ): EventStream<ResponsesEvent, ResponsesAnswer> {
    const server = this.#server;
    const label = { action: "stream a response", service: server.service };
    const open = async (signal: AbortSignal): Promise<ResponsesStream> => {
      const verb = label.action;
      const { checked, fields, named } = await this.#encode(verb, request, options, signal);
      const own: CallOptions = { ...checked, signal };
      const { model, body, action } = await server.withModel(verb, named, fields, own);
      return new ResponsesStream(server.transport, {
        body,
        action,
        options: own,
        onModel: (answered, arrived) =>
          server.checkAnswer({ action, model, body }, answered, own, arrived),
      });
    };
    return new LazyStream({
      open,
      callerSignal: options?.signal,
      label,
      isFinal: isAnswer,
    });
  }

  /** Everything that can be refused is, before anything is sent. */
  async #encode(
    action: string,
    input: unknown,
    options: unknown,
    signal?: AbortSignal,
  ): Promise<{ named: string | undefined; checked: CallOptions; fields: Record<string, unknown> }> {
    const refuse = this.#server.refuse(action);
    const checked = checkCallOptions(options, refuse);
    const request = checkResponsesRequest(input, refuse);
    const fetchImage = this.#server.imageFetcher(action, checked, signal);
    const fields = await encodeResponsesRequest(request, refuse, fetchImage);
    return { named: request.model, checked, fields };
  }
}

/** Whether the answer is whole with this event: after one that failed comes the error. */
function isAnswer(event: ResponsesEvent): boolean {
  if (event.type !== "response.completed" && event.type !== "response.incomplete") return false;
  // Typed as what is documented; what came may lack it.
  const response: { readonly status?: unknown } | undefined = event.response;
  return response?.status !== "failed";
}
