/**
 * The tool loop: answers of the model and runs of its tools in turn, until an answer asks for none. `runTools`
 * and `streamTools` are the same loop, with whole answers and with streamed ones.
 *
 * @module
 */

import type { FetchImage } from "../api/images.ts";
import { addUsage } from "../api/usage.ts";
import { COMPLETION_REQUEST } from "../api/completion_request.ts";
import { COMPLETIONS } from "../api/completions.ts";
import { TOOLS } from "../api/rare_fields.ts";
import type { ItemSource } from "../api/route.ts";
import { type ApiError, isProviderError, providerError } from "../core/errors.ts";
import type { Message, Tool, ToolCall } from "../core/messages.ts";
import {
  callback,
  checkCallOptions,
  count,
  extend,
  flag,
  type RefusalMaker,
} from "../core/checks.ts";
import { ToolsByName } from "../core/tool_names.ts";
import type { RunToolsRequest, RunToolsResult, ToolEvent } from "../core/tool_loop.ts";
import type {
  CallOptions,
  CompletionRequest,
  CompletionResponse,
  PartialAnswer,
  StreamingChunk,
  Usage,
} from "../core/types.ts";
import { listenToAbort, untilAborted } from "../transport/timers.ts";
import { ask, openPrepared, prepareChecked, type PreparedCall } from "../server/calls.ts";
import type { Server } from "../server/server.ts";
import { keepingPartial } from "./kept_partial.ts";
import { CallIds, repairAnswer, toMessages } from "./tool_answer.ts";
import { decideCall, runCall, unknownTool } from "./tool_call.ts";
import { type CallOutcome, type ImageUse, ToldResults } from "./tool_result.ts";

const ACTION = "run tools";
const DEFAULT_MAX_ROUNDS = 8;
const TOOLS_REQUEST = extend<CompletionRequest, Omit<RunToolsRequest, keyof CompletionRequest>>(
  COMPLETION_REQUEST,
  { ...TOOLS.rules, maxRounds: count, onToolCall: callback, parallel: flag },
  { form: "an object", between: TOOLS.settings.between ?? [] },
);

/** As `LMStudioProvider.runTools`. */
export async function runTools(
  server: Server,
  request: RunToolsRequest,
  options: CallOptions | undefined,
): Promise<RunToolsResult> {
  const loop = new ToolLoop(server, { request, options, streamSignal: undefined });
  const events: ToolEvent[] = [];
  while (!await loop.fill(events)) events.length = 0;
  return loop.response();
}

/** The events of `LMStudioProvider.streamTools`. */
export function openToolStream(
  server: Server,
  request: RunToolsRequest,
  options: CallOptions | undefined,
  streamSignal: AbortSignal,
): ItemSource<ToolEvent, RunToolsResult> {
  return new ToolLoop(server, { request, options, streamSignal });
}

/** Arguments of the loop as they were given, so not checked. */
interface LoopInput {
  readonly request: unknown;
  readonly options: unknown;
  /** Of the stream that the events are for; without one there are whole answers and no chunks. */
  readonly streamSignal: AbortSignal | undefined;
}

/** The request in its parts. */
interface LoopSetup {
  readonly completion: CompletionRequest;
  readonly tools: readonly Tool[];
  readonly options: CallOptions;
  readonly maxRounds: number;
  readonly isParallel: boolean;
  readonly onToolCall: RunToolsRequest["onToolCall"];
}

/** A call, and the tool it is for, if there is one. */
interface PlannedCall {
  readonly call: ToolCall;
  readonly tool: Tool | undefined;
}

/** An answer, and its last chunk, which is given out when it is known whether the answer is the last. */
interface Answer {
  readonly response: CompletionResponse;
  readonly finalChunk: StreamingChunk | undefined;
}

class ToolLoop implements ItemSource<ToolEvent, RunToolsResult> {
  readonly #server: Server;
  readonly #refusal: RefusalMaker;
  readonly #input: LoopInput;
  readonly #events: AsyncGenerator<readonly ToolEvent[], void, undefined>;
  /** Aborted by the caller, by leaving, and by a failure: what still runs then is for nobody. */
  readonly #controller = new AbortController();
  #stream: ItemSource<StreamingChunk, CompletionResponse> | undefined;
  #lastAnswer: CompletionResponse | undefined;
  #result: RunToolsResult | undefined;

  constructor(server: Server, input: LoopInput) {
    this.#server = server;
    this.#refusal = server.refusalMaker(ACTION);
    this.#input = input;
    this.#events = this.#run();
  }

  async fill(items: ToolEvent[]): Promise<boolean> {
    const { done, value } = await this.#events.next();
    if (done === true) return true;
    for (const event of value) items.push(event);
    return this.#isOver;
  }

  /** Whether the model needs no more tools: nothing comes after the events given last. */
  get #isOver(): boolean {
    return this.#result !== undefined;
  }

  partial(): PartialAnswer | undefined {
    const partial = this.#stream?.partial();
    if (partial !== undefined || this.#lastAnswer === undefined) return partial;
    const { content, reasoning, toolCalls } = this.#lastAnswer;
    return { content, ...(reasoning === undefined ? {} : { reasoning }), toolCalls };
  }

  response(): RunToolsResult {
    if (this.#result === undefined) throw new TypeError("The tool loop is not over");
    return this.#result;
  }

  close(): void {
    if (!this.#isOver) this.#abort(new DOMException("The stream is over", "AbortError"));
    // Whatever it waits for has ended with the signal.
    this.#events.return().catch(() => {});
  }

  #abort(reason: unknown): void {
    this.#stream?.close();
    this.#controller.abort(reason);
  }

  async *#run(): AsyncGenerator<readonly ToolEvent[], void, undefined> {
    const setup = this.#check();
    const signal = this.#input.streamSignal ?? setup.options.signal;
    signal?.throwIfAborted();
    const onAbort = (): void => this.#controller.abort(signal?.reason);
    const stopListening = listenToAbort(signal, onAbort);
    try {
      yield* this.#converse(setup);
    } catch (error) {
      this.#abort(error);
      throw error;
    } finally {
      stopListening();
      this.#stream?.close();
    }
  }

  /** Refuses what cannot be run, but for what writing the request refuses. */
  #check(): LoopSetup {
    const refusal = this.#refusal;
    const { request, options } = this.#input;
    const checked = checkCallOptions(options, refusal);
    const { maxRounds = DEFAULT_MAX_ROUNDS, onToolCall, parallel, ...completion } = TOOLS_REQUEST(
      request,
      "",
      refusal,
    );
    return {
      completion,
      tools: completion.tools ?? [],
      options: checked,
      maxRounds,
      isParallel: parallel !== false,
      onToolCall,
    };
  }

  async *#converse(setup: LoopSetup): AsyncGenerator<readonly ToolEvent[], void, undefined> {
    const { maxRounds } = setup;
    const messages = toMessages(setup.completion.messages);
    const ids = new CallIds(messages);
    const { signal } = this.#controller;
    const own = { ...setup.options, signal };
    const streamSignal = this.#input.streamSignal === undefined ? undefined : signal;
    const fetchImage = fetchOnce(this.#server.imageFetcher(ACTION, own, streamSignal));
    let completion = setup.completion;
    let usage: Usage | undefined;
    let told: ToldResults | undefined;
    let seesImages = true;
    // Not checked again: what the caller gave was, and the loop itself added the rest.
    const prepareRound = () =>
      this.#attempt(() => {
        const request = { ...completion, messages };
        const more = { signal, fetchImage };
        return prepareChecked(this.#server, COMPLETIONS, ACTION, request, setup.options, more);
      });
    for (let round = 1;; round++) {
      let prepared = await prepareRound();
      let answer: Answer;
      try {
        answer = yield* this.#answer(prepared, round);
      } catch (error) {
        if (!seesImages || told?.hasImages !== true || !isRefusedContent(error)) throw error;
        if (this.#stream?.partial() !== undefined) throw error;
        // Which models see images a listing may not tell: this one does not, and is told what there is.
        seesImages = false;
        messages.length -= told.messages().length;
        for (const message of told.blindMessages()) messages.push(message);
        prepared = await prepareRound();
        answer = yield* this.#answer(prepared, round);
      }
      const response = repairAnswer(answer.response, ids);
      this.#lastAnswer = response;
      messages.push(response.message);
      usage = addUsage(usage, response.usage);
      const calls = planCalls(response, setup);
      if (calls.length === 0) {
        this.#result = { response, messages, rounds: round, ...(usage ? { usage } : {}) };
      }
      const chunk = answer.finalChunk;
      if (chunk !== undefined) yield [{ type: "chunk", round, chunk }];
      if (this.#isOver) return;
      if (round === maxRounds) throw this.#limitError(prepared.action, maxRounds);
      const use = { refusal: this.#refusal, fetchImage };
      told = yield* this.#runCalls(calls, messages, round, setup, use);
      // One by one: an answer may have more calls than a function takes arguments.
      for (const message of seesImages ? told.messages() : told.blindMessages()) {
        messages.push(message);
      }
      completion = {
        ...completion,
        // What was chosen for the first round is asked to the end, whatever is loaded meanwhile.
        model: prepared.model,
        toolChoice: laterChoice(completion.toolChoice),
      };
    }
  }

  async *#answer(
    prepared: PreparedCall<CompletionRequest, CompletionResponse, typeof COMPLETIONS>,
    round: number,
  ): AsyncGenerator<readonly ToolEvent[], Answer, undefined> {
    if (this.#input.streamSignal === undefined) {
      const response = await this.#attempt(() => ask(prepared));
      return { response, finalChunk: undefined };
    }
    const stream = openPrepared(prepared);
    this.#stream = stream;
    let isAll = false;
    while (!isAll) {
      const chunks: StreamingChunk[] = [];
      let failure: { readonly error: unknown } | undefined;
      try {
        isAll = await this.#attempt(() => stream.fill(chunks));
      } catch (error) {
        failure = { error };
      }
      const finalChunk = isAll ? chunks.pop() : undefined;
      if (isAll) this.#stream = undefined;
      yield chunks.map((chunk): ToolEvent => ({ type: "chunk", round, chunk }));
      if (failure !== undefined) throw failure.error;
      if (isAll) return { response: await stream.response(), finalChunk };
    }
    throw new TypeError("The stream is over");
  }

  /** Asks the server; what had arrived before a failure is not lost with it. */
  async #attempt<T>(ask: () => Promise<T>): Promise<T> {
    const { signal } = this.#controller;
    return await keepingPartial(ask, () => this.partial(), (error) => error !== signal.reason);
  }

  /** Runs the calls of an answer, and gives the messages that answer them, in the order of the calls. */
  async *#runCalls(
    calls: readonly PlannedCall[],
    messages: readonly Message[],
    round: number,
    setup: LoopSetup,
    use: ImageUse,
  ): AsyncGenerator<readonly ToolEvent[], ToldResults, undefined> {
    const isCut = this.#lastAnswer?.finishReason === "length";
    const outcomes = new Map<PlannedCall, CallOutcome>();
    for (const group of setup.isParallel ? [calls] : calls.map((call) => [call])) {
      for (const { call } of group) yield [{ type: "call", round, call: { ...call } }];
      for (const next of inOrderOfEnd(this.#start(group, messages, isCut, setup, use))) {
        const { planned, call, outcome } = await untilAborted(next, this.#controller.signal);
        outcomes.set(planned, outcome);
        const { blindResult: _, ...shown } = outcome;
        yield [{ type: "result", round, call: { ...call }, ...shown }];
      }
    }
    const untold = { result: "", isError: false };
    return new ToldResults(calls.map((planned) => ({
      call: planned.call,
      outcome: outcomes.get(planned) ?? untold,
    })));
  }

  /** Starts calls that run together. People are asked one thing at a time: `onToolCall` about one after the other. */
  #start(
    group: readonly PlannedCall[],
    messages: readonly Message[],
    isCut: boolean,
    { tools, onToolCall }: LoopSetup,
    use: ImageUse,
  ): Promise<FinishedCall>[] {
    const { signal } = this.#controller;
    const running: Promise<FinishedCall>[] = [];
    // One for all: a copy for each would be as many messages as the calls of two rounds multiplied.
    const conversation = [...messages];
    let asked: Promise<unknown> = Promise.resolve();
    for (const planned of group) {
      const { call, tool } = planned;
      const decided = asked.then(() => {
        signal.throwIfAborted();
        return tool === undefined
          ? unknownTool(call.name, tools)
          : decideCall(call, onToolCall, this.#refusal);
      });
      const finished = decided.then(async (decision): Promise<FinishedCall> => {
        // The question may have taken long.
        signal.throwIfAborted();
        if (tool === undefined || "result" in decision) {
          return { planned, call, outcome: decision as CallOutcome };
        }
        // Its own signal: at the eleventh tool that listens and does not stop, Node 20 warns of a leak, and those that
        // are done would still be told of an abort. So does the MCP SDK, which then cancels calls that were answered.
        const own = new AbortController();
        const stopListening = listenToAbort(signal, () => own.abort(signal.reason));
        const context = { toolCallId: call.id, signal: own.signal, messages: conversation };
        const outcome = await runCall(decision, tool, context, isCut, use);
        stopListening();
        return { planned, call: decision, outcome };
      });
      // Nobody waits for it after an abort.
      finished.catch(() => {});
      asked = decided;
      running.push(finished);
    }
    return running;
  }

  #limitError(action: string, maxRounds: number): ApiError {
    const answers = maxRounds === 1 ? "1 answer" : `${maxRounds} answers`;
    return providerError(
      "tool_loop_limit",
      `Cannot ${action}: after ${answers}, which is maxRounds, the model still calls tools`,
      {
        service: this.#server.service,
        endpoint: this.#server.config.baseUrl,
        partial: this.partial(),
      },
    );
  }
}

interface FinishedCall {
  readonly planned: PlannedCall;
  /** As it was run. */
  readonly call: ToolCall;
  readonly outcome: CallOutcome;
}

/**
 * Results of promises in the order in which they settle. Each is listened to once: `Promise.race` of those that are left
 * listens to all of them again for each that ends.
 */
function inOrderOfEnd<T>(promises: readonly Promise<T>[]): Promise<T>[] {
  const settle: ((promise: Promise<T>) => void)[] = [];
  const ordered = promises.map(() => new Promise<T>((resolve) => settle.push(resolve)));
  let ended = 0;
  for (const promise of promises) {
    const onEnd = (): void => settle[ended++]?.(promise);
    promise.then(onEnd, onEnd);
  }
  // Nobody waits for the others after a failure.
  for (const promise of ordered) promise.catch(() => {});
  return ordered;
}

/** The calls to run; none where the caller is to run one: the others of that answer wait for it. */
function planCalls(
  { toolCalls }: CompletionResponse,
  { tools, completion }: LoopSetup,
): PlannedCall[] {
  if (completion.toolChoice === "none") return [];
  const byName = new ToolsByName(tools);
  const calls = toolCalls.map((call): PlannedCall => {
    const tool = byName.get(call.name);
    return { tool, call: tool === undefined ? call : { ...call, name: tool.name } };
  });
  const isForCaller = calls.some(({ tool }) => tool !== undefined && tool.execute === undefined);
  return isForCaller ? [] : calls;
}

function isRefusedContent(error: unknown): boolean {
  return isProviderError(error) && error.code === "unsupported_content";
}

/** Asked again, the model could never stop calling. */
function laterChoice(choice: CompletionRequest["toolChoice"]): CompletionRequest["toolChoice"] {
  return choice === undefined || choice === "none" ? choice : "auto";
}

/** Every round sends the whole conversation: what was fetched for the first is not fetched again. */
function fetchOnce(fetchImage: FetchImage): FetchImage {
  const fetched = new Map<string, Uint8Array>();
  return async (url, path, failed) => {
    const bytes = fetched.get(url.href) ?? await fetchImage(url, path, failed);
    fetched.set(url.href, bytes);
    return bytes;
  };
}
