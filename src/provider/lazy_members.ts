/**
 * Members that few programs use, loaded on first use, so that a program that only streams answers does not load the
 * rest. A request is checked after its member has loaded, so an invalid one rejects, as everywhere else.
 *
 * @module
 */

import type { ItemSource, Route, RouteRequest, StreamedRoute } from "../api/route.ts";
import type { ChatApi, ChatEvent, ChatRequest, ChatResponse } from "../core/chat.ts";
import type { DecisionRequest, DecisionResponse } from "../core/decisions.ts";
import { callSite, fromCaller } from "../core/errors.ts";
import type { EventStream } from "../core/event_stream.ts";
import { importOnUse, snapshot } from "../core/import_on_use.ts";
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
import type { ResponsesAnswer, ResponsesApi, ResponsesRequest } from "../core/responses.ts";
import type { ResponsesEvent } from "../core/responses_events.ts";
import type { DeepPartial, JsonSchema, SchemaOutput, StandardSchema } from "../core/schema.ts";
import type { TextCompletionRequest, TextCompletionResponse } from "../core/text.ts";
import type { RunToolsRequest, RunToolsResult, ToolEvent, ToolStream } from "../core/tool_loop.ts";
import type {
  CallOptions,
  CompletionStream,
  EmbeddingRequest,
  EmbeddingResponse,
  ModelInfo,
} from "../core/types.ts";
import type { ModelManager } from "../members/models.ts";
import type { ObjectRequest, ObjectResponse } from "../members/objects.ts";
import { call, heedingAbort, importForCall, openStream } from "../server/calls.ts";
import type { Server } from "../server/server.ts";
import { ChunkStream, ItemStream, type OpenSource } from "../server/stream.ts";

type Load<T> = () => Promise<T>;

const loadChat = async () => (await import("../api/chat.ts")).CHAT;
const loadResponses = async () => (await import("../api/responses.ts")).RESPONSES;
const loadText = async () => (await import("../api/text.ts")).TEXT;
const loadDecisions = () => import("../members/decisions.ts");
const loadDownload = () => import("../members/download.ts");
const loadEmbeddings = () => import("../members/embeddings.ts");
const loadModels = () => import("../members/models.ts");
const loadObjects = () => import("../members/objects.ts");
const loadTools = () => import("../members/tools.ts");

/** Implements `LMStudioProvider.chat`. */
export class LazyChat implements ChatApi {
  readonly #server: Server;

  constructor(server: Server) {
    this.#server = server;
  }

  async send(request: ChatRequest, options?: CallOptions): Promise<ChatResponse> {
    return await fromCaller(() => ask(this.#server, loadChat, "chat", request, options));
  }

  stream(request: ChatRequest, options?: CallOptions): EventStream<ChatEvent, ChatResponse> {
    return streamItems(this.#server, loadChat, "stream a chat", request, options);
  }
}

/** Implements `LMStudioProvider.responses`. */
export class LazyResponses implements ResponsesApi {
  readonly #server: Server;

  constructor(server: Server) {
    this.#server = server;
  }

  async create(request: ResponsesRequest, options?: CallOptions): Promise<ResponsesAnswer> {
    return await fromCaller(() =>
      ask(this.#server, loadResponses, "create a response", request, options)
    );
  }

  stream(
    request: ResponsesRequest,
    options?: CallOptions,
  ): EventStream<ResponsesEvent, ResponsesAnswer> {
    return streamItems(this.#server, loadResponses, "stream a response", request, options);
  }
}

/** Implements `LMStudioProvider.completeText`. */
export async function completeText(
  server: Server,
  request: string | TextCompletionRequest,
  options: CallOptions | undefined,
): Promise<TextCompletionResponse> {
  return await ask(server, loadText, "complete text", request, options);
}

/** Implements `LMStudioProvider.streamText`. */
export function streamText(
  server: Server,
  request: string | TextCompletionRequest,
  options: CallOptions | undefined,
): CompletionStream<TextCompletionResponse> {
  const action = "stream text";
  const open = opening(server, loadText, action, request, options);
  return new ChunkStream({ action, service: server.service }, options, open);
}

/** Implements `LMStudioProvider.models`. */
export class LazyModels implements ModelsApi {
  readonly #server: Server;
  #manager: ModelManager | undefined;

  constructor(server: Server) {
    this.#server = server;
  }

  async get(name: string, options?: CallOptions): Promise<ModelInfo> {
    return await fromCaller(async () => {
      return await (await this.#load("find a model", options)).get(name, options);
    });
  }

  async load(name: string, load?: LoadOptions, options?: CallOptions): Promise<LoadedModel> {
    return await fromCaller(async () => {
      const given = snapshot(load);
      return await (await this.#load("load a model", options)).load(name, given, options);
    });
  }

  async unload(nameOrInstance: string, options?: CallOptions): Promise<string[]> {
    return await fromCaller(async () => {
      return await (await this.#load("unload a model", options)).unload(nameOrInstance, options);
    });
  }

  async ensureLoaded(
    name: string,
    load?: EnsureLoadedOptions,
    options?: CallOptions,
  ): Promise<ModelLease> {
    return await fromCaller(async () => {
      const given = snapshot(load);
      return await (await this.#load("load a model", options)).ensureLoaded(name, given, options);
    });
  }

  download(
    model: string,
    download?: DownloadOptions,
    options?: CallOptions,
  ): EventStream<DownloadProgress, DownloadProgress> {
    return streamOf(this.#server, "download a model", options, async (signal, verb) => {
      const { openDownload } = await importOnUse(loadDownload, verb);
      return openDownload(this.#server, verb, model, download, options, signal);
    });
  }

  downloadStatus(
    jobId: string,
    options?: CallOptions & Pick<DownloadOptions, "pollIntervalMs">,
  ): DownloadStatus {
    const verb = "follow a download";
    // Captured here, because by the time `await` calls `then`, the caller is no longer on the stack.
    const site = callSite(this.downloadStatus);
    const follow = (): EventStream<DownloadProgress, DownloadProgress> =>
      streamOf(this.#server, verb, options, async (signal) => {
        const { openJob } = await importOnUse(loadDownload, verb);
        return openJob(this.#server, verb, jobId, options, signal);
      });
    const look = async (): Promise<DownloadProgress> => {
      const { lookAtJob } = await importForCall(loadDownload, verb, options);
      return await lookAtJob(this.#server, verb, jobId, options);
    };
    return {
      [Symbol.asyncIterator]: () => follow()[Symbol.asyncIterator](),
      then: (onFulfilled, onRejected) => fromCaller(look, site).then(onFulfilled, onRejected),
    };
  }

  /** Shares one manager among all calls, so that calls for the same model share a load. */
  async #load(action: string, options: CallOptions | undefined): Promise<ModelManager> {
    const { ModelManager } = await importForCall(loadModels, action, options);
    return this.#manager ??= new ModelManager(this.#server);
  }
}

/** Implements `ModelProvider.embed`. */
export async function embed(
  server: Server,
  request: EmbeddingRequest,
  options: CallOptions | undefined,
): Promise<EmbeddingResponse> {
  const given = snapshot(request);
  const { embed } = await importForCall(loadEmbeddings, "embed", options);
  return await embed(server, given, options);
}

/** Implements `LMStudioProvider.decide`. */
export async function decide<Answers extends DecisionResponse>(
  server: Server,
  request: DecisionRequest,
  options: CallOptions | undefined,
): Promise<Answers> {
  const given = snapshot(request);
  const { decide } = await importForCall(loadDecisions, "decide", options);
  return await decide(server, given, options) as Answers;
}

/** Implements `LMStudioProvider.completeObject`. */
export async function completeObject<Schema extends StandardSchema | JsonSchema>(
  server: Server,
  request: ObjectRequest<Schema>,
  options: CallOptions | undefined,
): Promise<ObjectResponse<SchemaOutput<Schema>>> {
  const given = snapshot(request);
  const { completeObject } = await importForCall(loadObjects, "complete an object", options);
  return await heedingAbort(options, () => completeObject(server, given, options));
}

/** Implements `LMStudioProvider.streamObject`. */
export function streamObject<Schema extends StandardSchema | JsonSchema>(
  server: Server,
  request: ObjectRequest<Schema>,
  options: CallOptions | undefined,
): EventStream<DeepPartial<SchemaOutput<Schema>>, ObjectResponse<SchemaOutput<Schema>>> {
  return streamOf(server, "stream an object", options, async (signal, verb) => {
    const given = snapshot(request);
    const { openObjectStream } = await importOnUse(loadObjects, verb);
    return await openObjectStream(server, given, options, signal);
  });
}

/** Implements `LMStudioProvider.runTools`. */
export async function runTools(
  server: Server,
  request: RunToolsRequest,
  options: CallOptions | undefined,
): Promise<RunToolsResult> {
  const given = snapshot(request);
  const { runTools } = await importForCall(loadTools, "run tools", options);
  return await heedingAbort(options, () => runTools(server, given, options));
}

/** Implements `LMStudioProvider.streamTools`. */
export function streamTools(
  server: Server,
  request: RunToolsRequest,
  options: CallOptions | undefined,
): ToolStream {
  const action = "run tools";
  return new ToolEvents({ action, service: server.service }, options, async (signal) => {
    const given = snapshot(request);
    const { openToolStream } = await importOnUse(loadTools, action);
    return openToolStream(server, given, options, signal);
  });
}

class ToolEvents extends ItemStream<ToolEvent, RunToolsResult> implements ToolStream {
  result(): Promise<RunToolsResult> {
    return this.response();
  }
}

/** Loads a route, then calls it. */
async function ask<Request extends RouteRequest, Answer>(
  server: Server,
  load: Load<Route<Request, Answer>>,
  verb: string,
  request: unknown,
  options: CallOptions | undefined,
): Promise<Answer> {
  const given = snapshot(request);
  return await call(server, await importForCall(load, verb, options), verb, given, options);
}

/** Returns a function that loads a route, then opens its stream. */
function opening<Request extends RouteRequest, Answer, Item>(
  server: Server,
  load: Load<StreamedRoute<Request, Answer, Item>>,
  verb: string,
  request: unknown,
  options: CallOptions | undefined,
): OpenSource<Item, Answer> {
  return async (signal): Promise<ItemSource<Item, Answer>> => {
    const given = snapshot(request);
    return await openStream(server, await importOnUse(load, verb), verb, given, options, signal);
  };
}

/** Creates a stream of the items of a route that loads when the stream opens. */
function streamItems<Request extends RouteRequest, Answer, Item>(
  server: Server,
  load: Load<StreamedRoute<Request, Answer, Item>>,
  verb: string,
  request: unknown,
  options: CallOptions | undefined,
): EventStream<Item, Answer> {
  return streamOf(server, verb, options, opening(server, load, verb, request, options));
}

function streamOf<Item, Answer>(
  { service }: Server,
  action: string,
  options: { readonly signal?: AbortSignal | undefined } | undefined,
  open: (signal: AbortSignal, action: string) => Promise<ItemSource<Item, Answer>>,
): EventStream<Item, Answer> {
  return new ItemStream({ action, service }, options, (signal) => open(signal, action));
}
