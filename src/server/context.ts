/**
 * Conversations that are kept within the context of their model: what each model has taught of its tokens, and the
 * requests with less of a conversation. Loaded by the first request that has a `contextOverflowPolicy`.
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

/** Models whose tokens are remembered; each takes 33 kB. */
const MAX_MODELS = 32;

/** Facts about a model. */
interface Model {
  readonly estimator: TokenEstimator;
  /** The context that a refusal told, against what was listed then: another listing is of another load. */
  refusal?: { readonly contextLength: number; readonly listed: number | undefined };
}

const MODELS = new WeakMap<Server, Map<string, Model>>();

function modelOf(server: Server, name: string): Model {
  const models = MODELS.get(server) ?? new Map<string, Model>();
  MODELS.set(server, models);
  const key = name.toLowerCase();
  const model = models.get(key) ?? { estimator: new TokenEstimator() };
  // The one that was asked least recently goes first.
  models.delete(key);
  models.set(key, model);
  for (const oldest of models.keys()) {
    if (models.size <= MAX_MODELS) break;
    models.delete(oldest);
  }
  return model;
}

/** Learns from the tokens that a server counted of a prompt. */
export function learn(server: Server, { model, body, promptTokens }: CountedPrompt): void {
  const counts = frameOf(body);
  for (const message of wireMessages(body)) {
    countMessage(messageOf(message), counts, message.reasoning_content !== undefined);
  }
  modelOf(server, model).estimator.learn(counts, promptTokens);
}

/** A request that is ready to be sent. */
interface ReadyCall extends AddressedRequest {
  readonly server: Server;
  readonly options: CallOptions;
}

/** A request that is sent whole or cut. */
interface Attempt<Call> {
  readonly call: Call;
  readonly info: TrimInfo | undefined;
}

/** Asks for an answer to as much of the conversation as fits. @param send sends it as it is. */
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

/** The same for a streamed answer. A refusal that comes as the first event of a stream is one, too. */
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
      if (source === undefined || attempt === undefined) throw new TypeError("Nothing was asked");
      return withInfo(await source.response(), attempt.info);
    },
    close(): void {
      isClosed = true;
      source?.close();
    },
  };
}

/** One request, and how much of it is sent. */
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

  /** The first attempt: cut where it is known that the whole would not fit. */
  async first(): Promise<Attempt<Call>> {
    const contextLength = await this.#contextLength();
    if (contextLength === undefined) return { call: this.#whole, info: undefined };
    return await this.#cut({ contextLength }) ?? { call: this.#whole, info: undefined };
  }

  /** The attempt after a refusal; `undefined` where that was another error, had no numbers, or was the second. */
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
    // Less would be needed, and nothing more may go.
    if (next === undefined) return undefined;
    return wireMessages(next.call.body).length < wireMessages(call.body).length ||
        typeof this.#overflow.policy === "function"
      ? next
      : undefined;
  }

  async #contextLength(): Promise<number | undefined> {
    // Of a model nobody knows nothing is cut: its context need not be asked for.
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

  /** The messages of a function, which may be anything. */
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
      `contextOverflowPolicy gave what cannot be sent: ${state}`,
      code,
      hint,
    );
  };
}

/** The answer, which tells what was left out for it. */
function withInfo<Answer>(answer: Answer, info: TrimInfo | undefined): Answer {
  if (info !== undefined) (answer as { trimmed?: TrimInfo }).trimmed = info;
  return answer;
}

/** A failure, whose answer tells that as well. */
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

/** The message that one on the wire says; the very one it was made of, where that was kept. */
function messageOf(encoded: Readonly<Record<string, unknown>>): Message {
  return sourceOf(encoded) ?? decodeMessage(encoded);
}

function decodeMessage(encoded: Readonly<Record<string, unknown>>): Message {
  const {
    role,
    content,
    reasoning_content: thoughts,
    tool_call_id: toolCallId,
    tool_calls: calls,
  } = encoded;
  const text = typeof content === "string" ? content : "";
  if (role === "tool") return { role, content: text, toolCallId: String(toolCallId) };
  if (role === "assistant") {
    const reasoning = typeof thoughts === "string" ? thoughts : undefined;
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
