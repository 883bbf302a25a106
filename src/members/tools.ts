/**
 * The tool loop: asks the model and runs the tools it calls, until an answer calls none. `runTools` and `streamTools`
 * share this loop; the first uses whole answers, the second streamed ones.
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

/** Implements `LMStudioProvider.runTools`. */
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

/** Opens the source of events for `LMStudioProvider.streamTools`. */
export function openToolStream(
  server: Server,
  request: RunToolsRequest,
  options: CallOptions | undefined,
  streamSignal: AbortSignal,
): ItemSource<ToolEvent, RunToolsResult> {
  return new ToolLoop(server, { request, options, streamSignal });
}

/** Unchecked arguments of the loop. */
interface LoopInput {
  readonly request: unknown;
  readonly options: unknown;
  /** Signal of the stream that reads the events; if absent, answers are not streamed and there are no chunks. */
  readonly streamSignal: AbortSignal | undefined;
}

/** The checked request, in parts. */
interface LoopSetup {
  readonly completion: CompletionRequest;
  readonly tools: readonly Tool[];
  readonly options: CallOptions;
  readonly maxRounds: number;
  readonly isParallel: boolean;
  readonly onToolCall: RunToolsRequest["onToolCall"];
}

/** A call, and the tool it names, if that exists. */
interface PlannedCall {
  readonly call: ToolCall;
  readonly tool: Tool | undefined;
}

/** An answer, and its last chunk, which is held back until it is clear whether the answer is the last one. */
interface Answer {
  readonly response: CompletionResponse;
  readonly finalChunk: StreamingChunk | undefined;
}

class ToolLoop implements ItemSource<ToolEvent, RunToolsResult> {
  readonly #server: Server;
  readonly #refusal: RefusalMaker;
  readonly #input: LoopInput;
  readonly #events: AsyncGenerator<readonly ToolEvent[], void, undefined>;
  /** Aborted by the caller, when the stream is left, and by an error, so that nothing keeps running. */
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

  /** Whether the conversation has ended: no event follows those returned last. */
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
    // The signal has ended whatever it was waiting for.
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

  /** Checks the request, apart from what encoding it checks. */
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
    // Not checked again: the caller's part is already checked, and the loop added the rest.
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
        // A listing may not say which models see images. This one does not, so it gets descriptions.
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
      // One by one: spreading many calls could exceed the argument limit of `push`.
      for (const message of seesImages ? told.messages() : told.blindMessages()) {
        messages.push(message);
      }
      completion = {
        ...completion,
        // The model chosen for the first round answers all rounds, even if others are loaded meanwhile.
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

  /** Asks the server; if that fails, the error carries what was received so far. */
  async #attempt<T>(ask: () => Promise<T>): Promise<T> {
    const { signal } = this.#controller;
    return await keepingPartial(ask, () => this.partial(), (error) => error !== signal.reason);
  }

  /** Runs the calls of an answer and returns their results, in the order of the calls. */
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

  /** Starts calls that run together. `onToolCall` gets them one at a time, since it may ask a person. */
  #start(
    group: readonly PlannedCall[],
    messages: readonly Message[],
    isCut: boolean,
    { tools, onToolCall }: LoopSetup,
    use: ImageUse,
  ): Promise<FinishedCall>[] {
    const { signal } = this.#controller;
    const running: Promise<FinishedCall>[] = [];
    // Shared by all calls: a copy for each would make memory grow quadratically with their number.
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
        // `onToolCall` may have taken long.
        signal.throwIfAborted();
        if (tool === undefined || "result" in decision) {
          return { planned, call, outcome: decision as CallOutcome };
        }
        // Each call gets its own signal. On a shared one, Node 20 would warn of a leak at the eleventh listener, and
        // calls that are done would still see an abort: the MCP SDK, for one, would cancel calls already answered.
        const own = new AbortController();
        const stopListening = listenToAbort(signal, () => own.abort(signal.reason));
        const context = { toolCallId: call.id, signal: own.signal, messages: conversation };
        const outcome = await runCall(decision, tool, context, isCut, use);
        stopListening();
        return { planned, call: decision, outcome };
      });
      // After an abort, nothing awaits it.
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
      `Cannot ${action}: the model still calls tools after ${answers} (maxRounds)`,
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
  /** The call as it was run. */
  readonly call: ToolCall;
  readonly outcome: CallOutcome;
}

/**
 * Returns promises for the same results in the order in which they settle. Each promise gets one listener, whereas
 * repeated `Promise.race` would add a listener to all the remaining ones each time.
 */
function inOrderOfEnd<T>(promises: readonly Promise<T>[]): Promise<T>[] {
  const settle: ((promise: Promise<T>) => void)[] = [];
  const ordered = promises.map(() => new Promise<T>((resolve) => settle.push(resolve)));
  let ended = 0;
  for (const promise of promises) {
    const onEnd = (): void => settle[ended++]?.(promise);
    promise.then(onEnd, onEnd);
  }
  // After a failure, nothing awaits the others.
  for (const promise of ordered) promise.catch(() => {});
  return ordered;
}

/** The calls to run. None if the caller has to run one of them: the others in that answer then wait for it. */
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

/** Tool choice for later rounds: with a choice that demands a call, the model could never stop. */
function laterChoice(choice: CompletionRequest["toolChoice"]): CompletionRequest["toolChoice"] {
  return choice === undefined || choice === "none" ? choice : "auto";
}

/** Caches fetched images, because every round sends the whole conversation. */
function fetchOnce(fetchImage: FetchImage): FetchImage {
  const fetched = new Map<string, Uint8Array>();
  return async (url, path, failed) => {
    const bytes = fetched.get(url.href) ?? await fetchImage(url, path, failed);
    fetched.set(url.href, bytes);
    return bytes;
  };
}
