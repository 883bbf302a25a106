/**
 * The one call and the one stream that serve every route. Members that send several requests, such as the tool loop,
 * use the steps: `prepare`, then `ask` or `openPrepared`.
 *
 * @module
 */

import type { FetchImage } from "../api/images.ts";
import type {
  AnswerReader,
  ArrivedAnswer,
  Body,
  ItemSource,
  ModelType,
  Overflow,
  Place,
  Route,
  RouteRequest,
  StreamedRoute,
} from "../api/route.ts";
import type { ThinkTags } from "../api/think_splitter.ts";
import type { ToolUse } from "../api/tool_use.ts";
import { checkCallOptions } from "../core/checks.ts";
import { importOnUse } from "../core/import_on_use.ts";
import type { CallOptions, StreamingChunk, Usage } from "../core/types.ts";
import type { JsonAnswer, TransportRequest } from "../transport/transport.ts";
import type { Queue, Visit } from "./queue.ts";
import type { AddressedRequest, ComparedAnswer, Server } from "./server.ts";
import { untilAborted } from "../transport/timers.ts";
import { callerSignalOf, ChunkStream } from "./stream.ts";

/** A checked request with its model, ready to send. */
export interface PreparedCall<
  Request extends RouteRequest,
  Answer,
  Asked extends Route<Request, Answer> = Route<Request, Answer>,
> extends AddressedRequest {
  readonly server: Server;
  readonly route: Asked;
  readonly request: Request;
  readonly options: CallOptions;
  /** Time at which the call began. */
  readonly startedAt: number;
  readonly tags: ThinkTags;
  readonly toolUse: ToolUse | undefined;
  /** Keeps the conversation within the context; if absent, the server decides. */
  readonly within: { readonly overflow: Overflow; readonly context: Context } | undefined;
}

/** Module that is imported if a request needs it. */
type Context = typeof import("./context.ts");

/** Parts of a preparation that a member may replace. */
export interface PrepareOptions {
  /** The signal of a stream, used instead of the caller's. */
  readonly signal?: AbortSignal;
  readonly fetchImage?: FetchImage;
}

/**
 * Sends a request and returns its answer.
 *
 * @param verb completes "Cannot …".
 */
export function call<Request extends RouteRequest, Answer>(
  server: Server,
  route: Route<Request, Answer>,
  verb: string,
  input: unknown,
  options: CallOptions | undefined,
): Promise<Answer> {
  const preparing = prepare(server, route, verb, input, options);
  const answer = preparing.then(ask);
  const signal = callerSignalOf(options);
  if (signal === undefined || signal.aborted) return answer;
  // Next to the answer's own chain, not in it: calls are sent in order, whether they have a signal or not.
  answer.catch(() => {});
  return untilAborted(preparing, signal).then(() => answer);
}

/**
 * Opens the stream of an answer. Before its first `fill()`, only what encoding the request needs is sent.
 *
 * @param verb completes "Cannot …".
 */
export async function openStream<Request extends RouteRequest, Answer, Item>(
  server: Server,
  route: StreamedRoute<Request, Answer, Item>,
  verb: string,
  input: unknown,
  options: unknown,
  signal: AbortSignal,
): Promise<ItemSource<Item, Answer>> {
  return openPrepared(await prepare(server, route, verb, input, options, { signal }));
}

/** Runs a call and ends it at once on abort, even while a module loads. @param options as the caller gave them. */
export async function heedingAbort<T>(
  options: CallOptions | undefined,
  run: () => Promise<T>,
): Promise<T> {
  const signal = callerSignalOf(options);
  // A signal that was already aborted is left to the checks, which may have more to say.
  return signal?.aborted === true ? await run() : await untilAborted(run(), signal);
}

/** Imports a module for a call; an abort ends the wait. @param options as the caller gave them. */
export async function importForCall<Module>(
  load: () => Promise<Module>,
  action: string,
  options: CallOptions | undefined,
): Promise<Module> {
  // Always awaits a signal, real or not, so that calls keep their order.
  return await untilAborted(importOnUse(load, action), callerSignalOf(options) ?? NEVER);
}

const NEVER = new AbortController().signal;

/** Makes a stream of chunks for the caller. */
export function streamChunks<Request extends RouteRequest, Answer>(
  server: Server,
  route: StreamedRoute<Request, Answer, StreamingChunk>,
  verb: string,
  input: unknown,
  options: CallOptions | undefined,
): ChunkStream<Answer> {
  const open = (signal: AbortSignal): Promise<ItemSource<StreamingChunk, Answer>> =>
    openStream(server, route, verb, input, options, signal);
  return new ChunkStream({ action: verb, service: server.service }, options, open);
}

/**
 * Checks and encodes a request, and chooses its model. Anything that can be refused is refused before anything is sent;
 * the model is chosen last.
 */
export function prepare<
  Request extends RouteRequest,
  Answer,
  Asked extends Route<Request, Answer>,
>(
  server: Server,
  route: Asked & Route<Request, Answer>,
  verb: string,
  input: unknown,
  options: unknown,
  own?: PrepareOptions,
): Promise<PreparedCall<Request, Answer, Asked>> {
  const refusal = server.refusalMaker(verb);
  let checked: CallOptions;
  let request: Request;
  try {
    checked = checkCallOptions(options, refusal);
    request = route.check(input, refusal);
  } catch (error) {
    return Promise.reject(error);
  }
  return prepareChecked(server, route, verb, request, checked, own);
}

/**
 * Encodes a request and chooses its model; the request and the options are already checked. For the rounds of one
 * conversation: checking all of it in every round would be quadratic.
 */
export async function prepareChecked<
  Request extends RouteRequest,
  Answer,
  Asked extends Route<Request, Answer>,
>(
  server: Server,
  route: Asked & Route<Request, Answer>,
  verb: string,
  request: Request,
  options: CallOptions,
  { signal, fetchImage }: PrepareOptions = {},
): Promise<PreparedCall<Request, Answer, Asked>> {
  const startedAt = performance.now();
  const called = signal === undefined ? options : { ...options, signal };
  // Awaited only if there is something to await: most requests have none of this.
  const encoded = route.encode(request, {
    action: verb,
    refusal: server.refusalMaker(verb),
    fetchImage: fetchImage ?? server.imageFetcher(verb, options, signal),
  });
  const fields = encoded instanceof Promise ? await encoded : encoded;
  if (route.load !== undefined) await route.load(verb);
  const use = route.toolUse?.(request, fields, verb);
  const toolUse = use && await use;
  const overflow = route.overflow?.(request);
  const within = overflow && {
    overflow,
    context: await importOnUse(() => import("./context.ts"), verb),
  };
  const addressing = server.withModel(verb, request.model, fields, called, route.modelType);
  const { model, body, action } = addressing instanceof Promise ? await addressing : addressing;
  const tags = server.thinkTags(request.reasoningTags);
  return {
    model,
    body,
    action,
    server,
    route,
    request,
    options: called,
    startedAt,
    tags,
    toolUse,
    within,
  };
}

/** Sends a prepared request and returns the whole answer. */
export function ask<Request extends RouteRequest, Answer>(
  prepared: PreparedCall<Request, Answer>,
): Promise<Answer> {
  const { within } = prepared;
  if (within === undefined) return askOnce(prepared);
  return within.context.askWithin(prepared, within.overflow, askOnce);
}

async function askOnce<Request extends RouteRequest, Answer>(
  prepared: PreparedCall<Request, Answer>,
): Promise<Answer> {
  const { server, route, body, options, startedAt, tags, toolUse } = prepared;
  const request = requestOf(prepared, body);
  const turn = new Turn(prepared, startedAt);
  let sent: JsonAnswer;
  let elapsedMs: number;
  try {
    const entered = turn.enter();
    if (entered !== undefined) await entered;
    const sentAt = performance.now();
    sent = await server.transport.json(request, options, Infinity, startedAt);
    elapsedMs = performance.now() - sentAt;
  } finally {
    turn.leave();
  }
  const { value, context } = sent;
  const decoding = { context, sent: body, elapsedMs, tags, toolUse };
  const decoded = route.decode(value, decoding);
  const answer = decoded instanceof Promise ? await decoded : decoded;
  if (route.hasLoaded?.(answer) === true) server.dropListing();
  const model = route.answeredBy?.(answer);
  if (model !== undefined) {
    const response = answer as ComparedAnswer;
    const rest = server.remaining(options, startedAt);
    const check = server.checkAnswer(prepared, model, rest, { response });
    if (check !== undefined) await check;
  }
  noteUsage(prepared, (answer as { readonly usage?: Usage }).usage);
  route.judge?.(answer, decoding);
  return answer;
}

/** Opens the stream of a prepared request. Nothing is sent before its first `fill()`. */
export function openPrepared<Request extends RouteRequest, Answer, Item>(
  prepared: PreparedCall<Request, Answer, StreamedRoute<Request, Answer, Item>>,
): ItemSource<Item, Answer> {
  const { within } = prepared;
  if (within === undefined) return openOnce(prepared);
  return within.context.streamWithin(prepared, within.overflow, openOnce);
}

function openOnce<Request extends RouteRequest, Answer, Item>(
  prepared: PreparedCall<Request, Answer, StreamedRoute<Request, Answer, Item>>,
): AnswerReader<Item, Answer> {
  const { server, route, body, options, tags, toolUse } = prepared;
  const { transport } = server;
  return route.stream({
    transport,
    request: requestOf(prepared, { ...body, ...route.streamFields(body) }),
    options,
    tags,
    toolUse,
    onAnsweredBy: (model, arrived) =>
      server.checkAnswer(prepared, model, options, arrived as ArrivedAnswer<ComparedAnswer>),
    onModelLoad: () => server.dropListing(),
    onUsage: (usage) => noteUsage(prepared, usage),
    place: new Turn(prepared),
  });
}

function noteUsage<Request extends RouteRequest, Answer>(
  { server, route, model, body, within }: PreparedCall<Request, Answer>,
  usage: Usage | undefined,
): void {
  if (usage === undefined || route.overflow === undefined) return;
  const { promptTokens } = usage;
  if (within !== undefined) {
    return within.context.learn(server, { model, body, promptTokens });
  }
  server.noteCounted({ model, body, promptTokens });
}

function requestOf<Request extends RouteRequest, Answer>(
  { route, action, model, tags }: PreparedCall<Request, Answer>,
  body: Body,
): TransportRequest {
  const { path, since } = route;
  return {
    method: "POST",
    path,
    body,
    policy: route.policy(body),
    action,
    model,
    since,
    partialOf: (value) => route.partialOf?.(value, tags),
  };
}

// --- Turns --------------------------------------------------------------------------------------

/** Requests in progress at one server. Its queue is imported with the first request that may have to wait. */
interface Entrance {
  readonly inside: Set<Visit>;
  queue?: Queue;
}

/** By base URL: a program may have several providers for one server. */
const ENTRANCES = new Map<string, Entrance>();
/** By server, if the user passes a `fetch`: it may lead anywhere. */
const OWN_ENTRANCES = new WeakMap<Visit["server"], Entrance>();

function entranceOf(server: Visit["server"]): Entrance {
  const { fetch, baseUrl } = server.config;
  const known = fetch === undefined ? ENTRANCES.get(baseUrl) : OWN_ENTRANCES.get(server);
  if (known !== undefined) return known;
  const entrance: Entrance = { inside: new Set() };
  if (fetch === undefined) ENTRANCES.set(baseUrl, entrance);
  else OWN_ENTRANCES.set(server, entrance);
  return entrance;
}

/** Whether a request can be sent next to those in progress, whatever a queue would decide. */
function isFree({ server, model, isGeneration }: Visit, inside: ReadonlySet<Visit>): boolean {
  if (inside.size === 0) return true;
  for (const other of inside) if (other.model !== model) return false;
  // A listing may set another limit, which only the queue reads: if there is one, the second request needs the queue.
  const usual = server.recentModels(Infinity) === undefined ? server.usualParallel : 1;
  return !isGeneration || inside.size < (server.config.maxConcurrency ?? usual);
}

/** One request's turn: it waits for its place, holds it, and gives it up. A class, because every request has one. */
class Turn implements Visit, Place {
  readonly server: Server;
  readonly model: string;
  readonly action: string;
  readonly options: CallOptions;
  readonly startedAt: number | undefined;
  readonly isGeneration: boolean;
  unreadSince: number | undefined = undefined;
  hasLeft = false;
  readonly #entrance: Entrance;

  constructor(
    { server, route, model, action, options }: AddressedRequest & {
      readonly server: Server;
      readonly route: { readonly modelType?: ModelType };
      readonly options: CallOptions;
    },
    startedAt?: number,
  ) {
    this.server = server;
    this.model = model;
    this.action = action;
    this.options = options;
    this.startedAt = startedAt;
    // Embeddings have their own `concurrency`, but loading their model may evict one that is generating.
    this.isGeneration = route.modelType !== "embedding";
    this.#entrance = entranceOf(server);
  }

  enter(): Promise<void> | undefined {
    const { config, mayEvict, usualParallel } = this.server;
    if (!mayEvict && (config.maxConcurrency ?? usualParallel) === Infinity) return undefined;
    const { inside, queue } = this.#entrance;
    if (queue !== undefined) return queue.enter(this);
    if (!isFree(this, inside)) return this.#queue();
    inside.add(this);
    return undefined;
  }

  async #queue(): Promise<void> {
    const { action, options } = this;
    const { Queue } = await importForCall(() => import("./queue.ts"), action, options);
    const entrance = this.#entrance;
    await (entrance.queue ??= new Queue(entrance.inside)).enter(this);
  }

  leave(): void {
    this.hasLeft = true;
    this.#entrance.inside.delete(this);
    this.#entrance.queue?.leave(this);
  }
}
