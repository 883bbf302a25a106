/**
 * LM Studio's own chat, over one server.
 *
 * @module
 */

import { importChatSchemas, requestChat } from "../api/chat.ts";
import { checkChatRequest } from "../api/chat_checks.ts";
import { encodeChatRequest } from "../api/chat_request.ts";
import { NativeChatStream } from "../api/chat_stream.ts";
import type { ThinkTags } from "../api/think_splitter.ts";
import type { ChatRequest, ChatResponse } from "../core/chat.ts";
import { checkCallOptions } from "../core/request_checks.ts";
import type { CallOptions } from "../core/types.ts";
import type { ServerModels } from "../server/server_models.ts";

/** As `LMStudioProvider.chat.send`. */
export async function sendChat(
  server: ServerModels,
  request: ChatRequest,
  options: CallOptions | undefined,
): Promise<ChatResponse> {
  const startedAt = performance.now();
  const { checked, body, action, tags } = await encode(server, "chat", request, options);
  const answer = await requestChat(server.transport, body, action, checked, startedAt, tags);
  if (answer.stats.modelLoadMs !== undefined) server.forget();
  return answer;
}

/** The events of `LMStudioProvider.chat.stream`. */
export async function openChatStream(
  server: ServerModels,
  verb: string,
  request: ChatRequest,
  options: CallOptions | undefined,
  signal: AbortSignal,
): Promise<NativeChatStream> {
  const { checked, body, action, tags } = await encode(server, verb, request, options, signal);
  return new NativeChatStream(server.transport, {
    body,
    action,
    options: checked,
    tags,
    onModelLoad: () => server.forget(),
  });
}

/** Everything that can be refused is, before anything is sent; the model is looked for last. */
async function encode(
  server: ServerModels,
  verb: string,
  input: unknown,
  options: unknown,
  signal?: AbortSignal,
): Promise<EncodedChat> {
  const refuse = server.refuse(verb);
  const checked = checkCallOptions(options, refuse);
  const request = checkChatRequest(input, refuse);
  const own = signal === undefined ? checked : { ...checked, signal };
  const fetchImage = server.imageFetcher(verb, checked, signal);
  const fields = await encodeChatRequest(request, refuse, fetchImage);
  await importChatSchemas(verb);
  const { body, action } = await server.withModel(verb, request.model, fields, own);
  return { checked: own, body, action, tags: server.thinkTags(request.reasoningTags) };
}

/** A request, ready to be sent. */
interface EncodedChat {
  readonly checked: CallOptions;
  readonly body: Record<string, unknown>;
  readonly action: string;
  readonly tags: ThinkTags;
}
