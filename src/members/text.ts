/**
 * `completeText` and `streamText` over one server.
 *
 * @module
 */

import { checkTextRequest, encodeTextRequest, requestText, TextStream } from "../api/text.ts";
import { checkCallOptions } from "../core/request_checks.ts";
import type { TextCompletionRequest, TextCompletionResponse } from "../core/text.ts";
import type { CallOptions } from "../core/types.ts";
import type { ServerModels } from "../server/server_models.ts";

/** As `LMStudioProvider.completeText`. */
export async function completeText(
  server: ServerModels,
  input: string | TextCompletionRequest,
  options: CallOptions | undefined,
): Promise<TextCompletionResponse> {
  const startedAt = performance.now();
  const verb = "complete text";
  const { request, checked, fields } = encode(server, verb, input, options);
  const addressed = await server.withModel(verb, request.model, fields, checked);
  const { body, action } = addressed;
  const response = await requestText(server.transport, body, action, checked, startedAt);
  const rest = server.rest(checked, startedAt);
  await server.checkAnswer(addressed, response.model, rest, { response });
  return response;
}

/** The chunks of `LMStudioProvider.streamText`. */
export async function openTextStream(
  server: ServerModels,
  verb: string,
  input: string | TextCompletionRequest,
  options: CallOptions | undefined,
  signal: AbortSignal,
): Promise<TextStream> {
  const { request, checked, fields } = encode(server, verb, input, options);
  const own: CallOptions = { ...checked, signal };
  const addressed = await server.withModel(verb, request.model, fields, own);
  const { body, action } = addressed;
  return new TextStream(server.transport, {
    body,
    action,
    options: own,
    onModel: (answered, arrived) => server.checkAnswer(addressed, answered, own, arrived),
  });
}

/** Everything that can be refused is, before anything is sent. */
function encode(
  server: ServerModels,
  action: string,
  input: unknown,
  options: unknown,
): {
  request: TextCompletionRequest;
  checked: CallOptions;
  fields: Record<string, unknown>;
} {
  const refuse = server.refuse(action);
  const checked = checkCallOptions(options, refuse);
  const request = checkTextRequest(input, refuse);
  return { request, checked, fields: encodeTextRequest(request) };
}
