/**
 * Keeps conversations within the context of their model: learns how each model counts tokens, and trims requests.
 * Imported with the first request that has a `contextOverflowPolicy`.
 *
 * @module
 */

import { encodeMessages, messages as conversation, sourceOf } from "../api/completion_request.ts";
import type { ItemSource, Overflow } from "../api/route.ts";
import { type TrimInfo, type TrimTask, trimToFit } from "../core/context_policy.ts";
import { isProviderError } from "../core/errors.ts";
import type { ContentPart, Message } from "../core/messages.ts";
import { describeType, type RefusalMaker } from "../core/checks.ts";
import { countFrame, countMessage, type Counts, TokenEstimator } from "../core/token_estimate.ts";
import type { CallOptions, PartialAnswer } from "../core/types.ts";
import type { AddressedRequest, CountedPrompt, Server } from "./server.ts";

/** Models for which token estimates are remembered; each takes 33 kB. */
const MAX_MODELS = 32;

/** What is known about a model. */
interface Model {
  readonly estimator: TokenEstimator;
  /** The context length from a refusal, and the one listed then: if another is listed, the model was loaded again. */
  refusal?: { readonly contextLength: number; readonly listed: number | undefined };
}

const MODELS = new WeakMap<Server, Map<string, Model>>();

function modelOf(server: Server, name: string): Model {
  const models = MODELS.get(server) ?? new Map<string, Model>();
  MODELS.set(server, models);
  const key = name.toLowerCase();
  const model = models.get(key) ?? { estimator: new TokenEstimator() };
  // Map order is order of use: the least recently used model goes first.
  models.delete(key);
  models.set(key, model);
  for (const oldest of models.keys()) {
    if (models.size <= MAX_MODELS) break;
    models.delete(oldest);
  }
  return model;
}

/** Learns from the number of tokens that a server counted for a prompt. */
export function learn(server: Server, { model, body, promptTokens }: CountedPrompt): void {
  const counts = frameOf(body);
  for (const message of wireMessages(body)) {
    countMessage(messageOf(message), counts, message.reasoning_content !== undefined);
  }
  modelOf(server, model).estimator.learn(counts, promptTokens);
}

/** A request that is ready to send. */
interface ReadyCall extends AddressedRequest {
  readonly server: Server;
  readonly options: CallOptions;
}

/** One attempt at a request, with the whole conversation or part of it. */
interface Attempt<Call> {
  readonly call: Call;
  readonly info: TrimInfo | undefined;
}

/** Requests an answer to as much of the conversation as fits. @param send sends a request unchanged. */
export async function askWithin<Call extends ReadyCall, Answer>(
  whole: Call,
  overflow: Overflow,
  send: (call: Call) => Promise<Answer>,
): Promise<Answer> {
  const fitting = new Fitting(whole, overflow);
  let attempt = await fitting.first();
  for (;;) {
    try {
      return withInfo(await send(attempt.call), attempt.info);
    } catch (error) {
      const next = await fitting.after(attempt, error);
      if (next === undefined) throw failedWith(error, attempt.info);
      attempt = next;
    }
  }
}

/** Does the same for a streamed answer. The first event of a stream may be a refusal, too. */
export function streamWithin<Call extends ReadyCall, Answer, Item>(
  whole: Call,
  overflow: Overflow,
  open: (call: Call) => ItemSource<Item, Answer>,
): ItemSource<Item, Answer> {
  const fitting = new Fitting(whole, overflow);
  let attempt: Attempt<Call> | undefined;
  let source: ItemSource<Item, Answer> | undefined;
  let isClosed = false;
  const begin = (next: Attempt<Call>): ItemSource<Item, Answer> => {
    attempt = next;
    source = open(next.call);
    if (isClosed) source.close();
    return source;
  };
  return {
    async fill(items: Item[]): Promise<boolean> {
      const current = source ?? begin(await fitting.first());
      const before = items.length;
      try {
        return await current.fill(items);
      } catch (error) {
        const isEmpty = items.length === before && current.partial() === undefined;
        const next = isEmpty && attempt !== undefined
          ? await fitting.after(attempt, error)
          : undefined;
        if (next === undefined) throw failedWith(error, attempt?.info);
        begin(next);
        return false;
      }
    },
    partial: (): PartialAnswer | undefined => source?.partial(),
    async response(): Promise<Answer> {
      if (source === undefined || attempt === undefined) throw new TypeError("No request was sent");
      return withInfo(await source.response(), attempt.info);
    },
    close(): void {
      isClosed = true;
      source?.close();
    },
  };
}

/** Fits one request into the context. */
class Fitting<Call extends ReadyCall> {
  readonly #whole: Call;
  readonly #overflow: Overflow;
  readonly #messages: readonly Message[];
  readonly #frame: Counts;
  readonly #model: Model;
  #listed: number | undefined;
  #hasRefused = false;

  constructor(whole: Call, overflow: Overflow) {
    const { server, model, body } = whole;
    this.#whole = whole;
    this.#overflow = overflow;
    this.#messages = wireMessages(body).map(messageOf);
    this.#frame = frameOf(body);
    for (const prompt of server.takeCounted()) learn(server, prompt);
    this.#model = modelOf(server, model);
  }

  /** The first attempt: trimmed if the whole is known not to fit. */
  async first(): Promise<Attempt<Call>> {
    const contextLength = await this.#contextLength();
    if (contextLength === undefined) return { call: this.#whole, info: undefined };
    return await this.#cut({ contextLength }) ?? { call: this.#whole, info: undefined };
  }

  /** The attempt after a refusal; `undefined` for other errors, for one without numbers, and after a second refusal. */
  async after(
    { call }: Attempt<Call>,
    error: unknown,
  ): Promise<Attempt<Call> | undefined> {
    if (this.#hasRefused || !isProviderError(error, "invalid-request")) return undefined;
    const { code, promptTokens, contextLength } = error;
    if (code !== "context_overflow" || promptTokens === undefined || contextLength === undefined) {
      return undefined;
    }
    this.#hasRefused = true;
    this.#model.refusal = { contextLength, listed: this.#listed };
    const { server, model, body } = call;
    learn(server, { model, body, promptTokens });
    const isWhole = call === this.#whole;
    const next = await this.#cut({
      contextLength,
      isRefused: true,
      refusedTokens: isWhole ? promptTokens : undefined,
    });
    // It would have to be shorter still, but nothing more may be dropped.
    if (next === undefined) return undefined;
    return wireMessages(next.call.body).length < wireMessages(call.body).length ||
        typeof this.#overflow.policy === "function"
      ? next
      : undefined;
  }

  async #contextLength(): Promise<number | undefined> {
    // Without any answer from this model nothing can be estimated, so its context need not be looked up.
    if (this.#model.estimator.answers === 0) return undefined;
    const { server, model, options, action } = this.#whole;
    this.#listed = (await server.find(model, options, action))?.loadedContextLength;
    const { refusal } = this.#model;
    return refusal?.listed === this.#listed ? refusal?.contextLength : this.#listed;
  }

  async #cut(
    known: Pick<TrimTask, "contextLength" | "isRefused" | "refusedTokens">,
  ): Promise<Attempt<Call> | undefined> {
    const { policy, onTrim, maxTokens, withReasoning } = this.#overflow;
    const wire = wireMessages(this.#whole.body);
    const trimmed = trimToFit({
      ...known,
      policy: typeof policy === "function" ? (info) => this.#checked(policy(info)) : policy,
      messages: this.#messages,
      frame: this.#frame,
      estimator: this.#model.estimator,
      maxTokens,
      withReasoning,
    });
    if (trimmed === undefined) return undefined;
    const { kept, messages, info } = trimmed;
    const sent = kept === undefined
      ? await this.#encode(messages)
      : kept.map((index) => wire[index]);
    onTrim?.(info);
    return { call: { ...this.#whole, body: { ...this.#whole.body, messages: sent } }, info };
  }

  /** Checks the messages that a policy function returned, which may be anything. */
  #checked(messages: Message[]): Message[] {
    if (!Array.isArray(messages)) {
      throw this.#refusal(`messages is ${describeType(messages)}, not an array`);
    }
    conversation(messages, "messages", this.#refusal);
    return messages;
  }

  async #encode(messages: readonly Message[]): Promise<Record<string, unknown>[]> {
    const { server, options, action } = this.#whole;
    const { withReasoning } = this.#overflow;
    const fetchImage = server.imageFetcher(action, options);
    return await encodeMessages(messages, this.#refusal, fetchImage, {
      withReasoning,
      isTraced: true,
    });
  }

  readonly #refusal: RefusalMaker = (state, code, hint) => {
    const { server, action } = this.#whole;
    return server.refusalMaker(action)(
      `contextOverflowPolicy returned invalid messages: ${state}`,
      code,
      hint,
    );
  };
}

/** Adds to an answer what was dropped for it. */
function withInfo<Answer>(answer: Answer, info: TrimInfo | undefined): Answer {
  if (info !== undefined) (answer as { trimmed?: TrimInfo }).trimmed = info;
  return answer;
}

/** Does the same for the answer that an error carries. */
function failedWith(error: unknown, info: TrimInfo | undefined): unknown {
  if (isProviderError(error) && "response" in error && error.response !== undefined) {
    withInfo(error.response, info);
  }
  return error;
}

function frameOf({ tools, response_format: format }: Readonly<Record<string, unknown>>): Counts {
  return countFrame(textOf(tools), textOf(format));
}

function wireMessages({ messages }: Readonly<Record<string, unknown>>): Record<string, unknown>[] {
  return Array.isArray(messages) ? messages : [];
}

function textOf(value: unknown): string {
  return value === undefined ? "" : JSON.stringify(value);
}

/** The message behind an encoded one: the caller's own, if it was recorded. */
function messageOf(encoded: Readonly<Record<string, unknown>>): Message {
  return sourceOf(encoded) ?? decodeMessage(encoded);
}

function decodeMessage(encoded: Readonly<Record<string, unknown>>): Message {
  const {
    role,
    content,
    reasoning_content: reasoningContent,
    tool_call_id: toolCallId,
    tool_calls: calls,
  } = encoded;
  const text = typeof content === "string" ? content : "";
  if (role === "tool") return { role, content: text, toolCallId: String(toolCallId) };
  if (role === "assistant") {
    const reasoning = typeof reasoningContent === "string" ? reasoningContent : undefined;
    if (!Array.isArray(calls)) return { role, content: text, reasoning };
    const toolCalls = calls.map(({ id, function: { name, arguments: written } }) => ({
      id,
      name,
      arguments: written,
    }));
    return { role, content: text, reasoning, toolCalls };
  }
  const parts = Array.isArray(content)
    ? content.map((part): ContentPart =>
      part.type === "text" ? part : { type: "image", image: part.image_url.url }
    )
    : text;
  return { role: role === "system" || role === "developer" ? role : "user", content: parts };
}
