/**
 * What few programs use, loaded on first use: a program that streams one answer pays for streaming one answer.
 * Checks run once a member is there, so what is refused is a rejection, as everywhere.
 *
 * @module
 */

import { importOnUse, snapshot } from "../core/import_on_use.ts";
import { callSite, fromCaller } from "../core/errors.ts";
import type { EventStream } from "../core/event_stream.ts";
import type {
  DownloadOptions,
  DownloadProgress,
  DownloadStatus,
  EnsureLoadedOptions,
  LoadedModel,
  LoadOptions,
  ModelLease,
  ModelsApi,
} from "../core/model_management.ts";
import type { ChatApi, ChatEvent, ChatRequest, ChatResponse } from "../core/chat.ts";
import type { ResponsesAnswer, ResponsesApi, ResponsesRequest } from "../core/responses.ts";
import type { ResponsesEvent } from "../core/responses_events.ts";
import type { JsonSchema, SchemaOutput, StandardSchema } from "../core/schema.ts";
import type { TextCompletionRequest, TextCompletionResponse } from "../core/text.ts";
import type { RunToolsRequest, RunToolsResult, ToolEvent, ToolStream } from "../core/tool_loop.ts";
import type {
  CallOptions,
  CompletionStream,
  EmbeddingRequest,
  EmbeddingResponse,
  ModelInfo,
} from "../core/types.ts";
import { LazyCompletionStream } from "../server/completion_stream.ts";
import type { Engine } from "../server/engine.ts";
import { callerSignalOf, type ItemSource, LazyStream } from "../server/lazy_stream.ts";
import type { ModelManager } from "../members/models.ts";
import type { ServerModels } from "../server/server_models.ts";
import type { ObjectRequest, ObjectResponse } from "../members/objects.ts";

/** `LMStudioProvider.chat`. */
export class LazyChat implements ChatApi {
  readonly #server: ServerModels;

  constructor(server: ServerModels) {
    this.#server = server;
  }

  async send(request: ChatRequest, options?: CallOptions): Promise<ChatResponse> {
    return await fromCaller(async () => {
      const given = snapshot(request);
      const { sendChat } = await importOnUse(importChat, "chat");
      return await sendChat(this.#server, given, options);
    });
  }

  stream(request: ChatRequest, options?: CallOptions): EventStream<ChatEvent, ChatResponse> {
    return lazyStream(this.#server, "stream a chat", options, async (signal, verb) => {
      const given = snapshot(request);
      const { openChatStream } = await importOnUse(importChat, verb);
      return await openChatStream(this.#server, verb, given, options, signal);
    });
  }
}

/** `LMStudioProvider.responses`. */
export class LazyResponses implements ResponsesApi {
  readonly #server: ServerModels;

  constructor(server: ServerModels) {
    this.#server = server;
  }

  async create(request: ResponsesRequest, options?: CallOptions): Promise<ResponsesAnswer> {
    return await fromCaller(async () => {
      const given = snapshot(request);
      const { createResponse } = await importOnUse(importResponses, "create a response");
      return await createResponse(this.#server, given, options);
    });
  }

  stream(
    request: ResponsesRequest,
    options?: CallOptions,
  ): EventStream<ResponsesEvent, ResponsesAnswer> {
    return lazyStream(this.#server, "stream a response", options, async (signal, verb) => {
      const given = snapshot(request);
      const { openResponseStream } = await importOnUse(importResponses, verb);
      return await openResponseStream(this.#server, verb, given, options, signal);
    });
  }
}

/** `LMStudioProvider.models`. */
export class LazyModels implements ModelsApi {
  readonly #server: ServerModels;
  #manager: ModelManager | undefined;

  constructor(server: ServerModels) {
    this.#server = server;
  }

  async get(name: string, options?: CallOptions): Promise<ModelInfo> {
    return await fromCaller(async () => {
      return await (await this.#load("find a model")).get(name, options);
    });
  }

  async load(name: string, load?: LoadOptions, options?: CallOptions): Promise<LoadedModel> {
    return await fromCaller(async () => {
      const given = snapshot(load);
      return await (await this.#load("load a model")).load(name, given, options);
    });
  }

  async unload(nameOrInstance: string, options?: CallOptions): Promise<string[]> {
    return await fromCaller(async () => {
      return await (await this.#load("unload a model")).unload(nameOrInstance, options);
    });
  }

  async ensureLoaded(
    name: string,
    load?: EnsureLoadedOptions,
    options?: CallOptions,
  ): Promise<ModelLease> {
    return await fromCaller(async () => {
      const given = snapshot(load);
      return await (await this.#load("load a model")).ensureLoaded(name, given, options);
    });
  }

  download(
    model: string,
    download?: DownloadOptions,
    options?: CallOptions,
  ): EventStream<DownloadProgress, DownloadProgress> {
    return lazyStream(this.#server, "download a model", options, async (signal, verb) => {
      const { openDownload } = await importOnUse(importDownload, verb);
      return openDownload(this.#server, verb, model, download, options, signal);
    });
  }

  downloadStatus(
    jobId: string,
    options?: CallOptions & Pick<DownloadOptions, "pollIntervalMs">,
  ): DownloadStatus {
    const verb = "follow a download";
    // Taken here: `await` calls `then` when the caller is on no stack any more.
    const site = callSite(this.downloadStatus);
    const follow = (): EventStream<DownloadProgress, DownloadProgress> =>
      lazyStream(this.#server, verb, options, async (signal) => {
        const { openJob } = await importOnUse(importDownload, verb);
        return openJob(this.#server, verb, jobId, options, signal);
      });
    const look = async (): Promise<DownloadProgress> => {
      const { lookAtJob } = await importOnUse(importDownload, verb);
      return await lookAtJob(this.#server, verb, jobId, options);
    };
    return {
      [Symbol.asyncIterator]: () => follow()[Symbol.asyncIterator](),
      then: (onFulfilled, onRejected) => fromCaller(look, site).then(onFulfilled, onRejected),
    };
  }

  /** One manager for all calls: those for the same model share a load. */
  async #load(action: string): Promise<ModelManager> {
    const { ModelManager } = await importOnUse(() => import("../members/models.ts"), action);
    return this.#manager ??= new ModelManager(this.#server);
  }
}

const importChat = () => import("../members/chat.ts");
const importResponses = () => import("../members/responses.ts");
const importDownload = () => import("../members/download.ts");

/** As `ModelProvider.embed`. */
export async function embed(
  server: ServerModels,
  request: EmbeddingRequest,
  options: CallOptions | undefined,
): Promise<EmbeddingResponse> {
  const given = snapshot(request);
  const { embed } = await importOnUse(() => import("../members/embeddings.ts"), "embed");
  return await embed(server, given, options);
}

/** As `LMStudioProvider.completeText`. */
export async function completeText(
  server: ServerModels,
  request: string | TextCompletionRequest,
  options: CallOptions | undefined,
): Promise<TextCompletionResponse> {
  const given = snapshot(request);
  const { completeText } = await importOnUse(() => import("../members/text.ts"), "complete text");
  return await completeText(server, given, options);
}

/** As `LMStudioProvider.streamText`. */
export function streamText(
  server: ServerModels,
  request: string | TextCompletionRequest,
  options: CallOptions | undefined,
): CompletionStream<TextCompletionResponse> {
  const action = "stream text";
  const { service } = server;
  const open = async (signal: AbortSignal) => {
    const given = snapshot(request);
    const { openTextStream } = await importOnUse(() => import("../members/text.ts"), action);
    return await openTextStream(server, action, given, options, signal);
  };
  return new LazyCompletionStream(open, callerSignalOf(options), { action, service });
}

/** As `LMStudioProvider.completeObject`. */
export async function completeObject<Schema extends StandardSchema | JsonSchema>(
  server: ServerModels,
  request: ObjectRequest<Schema>,
  options: CallOptions | undefined,
): Promise<ObjectResponse<SchemaOutput<Schema>>> {
  const given = snapshot(request);
  const load = () => import("../members/objects.ts");
  const { completeObject } = await importOnUse(load, "complete an object");
  return await completeObject(server, given, options);
}

/** As `LMStudioProvider.runTools`. */
export async function runTools(
  engine: Engine,
  server: ServerModels,
  request: RunToolsRequest,
  options: CallOptions | undefined,
): Promise<RunToolsResult> {
  const given = snapshot(request);
  const { runTools } = await importOnUse(() => import("../members/tools.ts"), "run tools");
  return await runTools(engine, server, given, options);
}

/** As `LMStudioProvider.streamTools`. */
export function streamTools(
  engine: Engine,
  server: ServerModels,
  request: RunToolsRequest,
  options: CallOptions | undefined,
): ToolStream {
  const action = "run tools";
  const open = async (signal: AbortSignal): Promise<ItemSource<ToolEvent, RunToolsResult>> => {
    const given = snapshot(request);
    const { openToolStream } = await importOnUse(() => import("../members/tools.ts"), action);
    return openToolStream(engine, server, given, options, signal);
  };
  const label = { action, service: server.service };
  return new LazyToolStream({ open, callerSignal: callerSignalOf(options), label });
}

class LazyToolStream extends LazyStream<ToolEvent, RunToolsResult> implements ToolStream {
  result(): Promise<RunToolsResult> {
    return this.response();
  }
}

function lazyStream<Item, Answer>(
  { service }: ServerModels,
  action: string,
  options: CallOptions | undefined,
  open: (signal: AbortSignal, action: string) => Promise<ItemSource<Item, Answer>>,
): EventStream<Item, Answer> {
  return new LazyStream({
    open: (signal) => open(signal, action),
    callerSignal: callerSignalOf(options),
    label: { action, service },
  });
}
