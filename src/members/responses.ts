/**
 * `LMStudioProvider.responses`.
 *
 * @module
 */

import { requestResponse } from "../api/responses.ts";
import { checkResponsesRequest, encodeResponsesRequest } from "../api/responses_request.ts";
import { ResponsesStream } from "../api/responses_stream.ts";
import type { ThinkTags } from "../api/think_splitter.ts";
import { checkCallOptions } from "../core/request_checks.ts";
import type { ResponsesAnswer, ResponsesRequest } from "../core/responses.ts";
import type { CallOptions } from "../core/types.ts";
import type { ServerModels } from "../server/server_models.ts";

/** As `LMStudioProvider.responses.create`. */
export async function createResponse(
  server: ServerModels,
  request: ResponsesRequest,
  options: CallOptions | undefined,
): Promise<ResponsesAnswer> {
  const startedAt = performance.now();
  const verb = "create a response";
  const { checked, fields, named, tags } = await encode(server, verb, request, options);
  const addressed = await server.withModel(verb, named, fields, checked);
  const { body, action } = addressed;
  const response = await requestResponse(server.transport, body, action, checked, startedAt, tags);
  const rest = server.rest(checked, startedAt);
  await server.checkAnswer(addressed, response.model, rest, { response });
  return response;
}

/** The events of `LMStudioProvider.responses.stream`. */
export async function openResponseStream(
  server: ServerModels,
  verb: string,
  request: ResponsesRequest,
  options: CallOptions | undefined,
  signal: AbortSignal,
): Promise<ResponsesStream> {
  const { checked, fields, named, tags } = await encode(server, verb, request, options, signal);
  const own: CallOptions = { ...checked, signal };
  const addressed = await server.withModel(verb, named, fields, own);
  const { body, action } = addressed;
  return new ResponsesStream(server.transport, {
    body,
    action,
    options: own,
    tags,
    onModel: (answered, arrived) => server.checkAnswer(addressed, answered, own, arrived),
  });
}

interface Encoded {
  readonly named: string | undefined;
  readonly checked: CallOptions;
  readonly fields: Record<string, unknown>;
  /** Tags around thoughts in the answer's texts. */
  readonly tags: ThinkTags;
}

/** Everything that can be refused is, before anything is sent. */
async function encode(
  server: ServerModels,
  action: string,
  input: unknown,
  options: unknown,
  signal?: AbortSignal,
): Promise<Encoded> {
  const refuse = server.refuse(action);
  const checked = checkCallOptions(options, refuse);
  const request = checkResponsesRequest(input, refuse);
  const fetchImage = server.imageFetcher(action, checked, signal);
  const fields = await encodeResponsesRequest(request, refuse, fetchImage, action);
  return { named: request.model, checked, fields, tags: server.thinkTags(request.reasoningTags) };
}
