/**
 * How well `contextOverflowPolicy` keeps to a context, against a real tokenizer: the figures of docs/context.md.
 */
import {
  type ContextOverflowPolicy,
  InvalidRequestError,
  LMStudioProvider,
  type Message,
  tool,
  type TrimInfo,
} from "../../mod.ts";
import { type Conversation, ConversationMaker } from "./conversations.ts";

/** A model as on a server: a tokenizer, and a chat template around each message. */
export interface ModelUnderTest {
  readonly name: string;
  /** Tokens of a text. */
  countTokens(text: string): number;
  /** Tokens of an image. */
  readonly imageTokens: number;
}

/** Measurements of one request that did not fit. */
interface Sample {
  /** Used tokens as a share of the budget. */
  readonly used: number;
  /** The same as a share of the most that whole turns could have used. */
  readonly ofPossible: number;
}

/** Summary of all requests. */
export interface Figures {
  readonly conversations: number;
  readonly trimmed: number;
  /** The largest used share of the budget. */
  readonly mostUsed: number;
  /** Requests that used more than 1.01 of the budget. */
  readonly over: number;
  /** Share of the requests that used 0.9 of the budget, and 0.9 of what whole turns could have used. */
  readonly full: number;
  readonly fullOfPossible: number;
  readonly median: number;
  /** Requests that the server refused at first. */
  readonly refused: number;
  /** Requests that could not be answered: refused twice. */
  readonly failed: number;
  /** Broken rules, described. */
  readonly broken: readonly string[];
}

const ANSWERS_BEFORE = 5;
const LIMIT = 1.01;
const ENOUGH = 0.9;
const MODEL = "model";
const READ_FILE = tool({
  name: "read_file",
  description: "Reads a file of the project, from its beginning.",
  parameters: {
    type: "object",
    properties: { path: { type: "string" }, limit: { type: "number" } },
    required: ["path"],
  },
});

/**
 * What is known about the model: `learnt` from five answers in the same conversation, `known` from five other
 * conversations and all earlier ones, `unknown` until it refuses the whole conversation with its numbers.
 */
export type Knowledge = "learnt" | "known" | "unknown";

/** Sends conversations through one policy. */
export async function measure(
  model: ModelUnderTest,
  policy: Exclude<ContextOverflowPolicy, "error">,
  { conversations, seed, is }: { conversations: number; seed: number; is: Knowledge },
): Promise<Figures> {
  const maker = new ConversationMaker(seed);
  const run = new Run(model, policy);
  for (let index = 0; is === "known" && index < ANSWERS_BEFORE; index++) {
    const conversation = maker.next();
    await run.send(conversation, upTo(conversation, run.turnsWithin(conversation, 0.5)), false);
  }
  for (let index = 0; index < conversations; index++) {
    const conversation = maker.next();
    if (is !== "known") run.forget();
    if (is !== "learnt") {
      await run.send(conversation, upTo(conversation, conversation.turns.length), true);
      continue;
    }
    for (const share of [0.15, 0.3, 0.5, 0.7, 0.9]) {
      await run.send(conversation, upTo(conversation, run.turnsWithin(conversation, share)), false);
    }
    const first = run.turnsWithin(conversation, 1);
    for (let turns = first + 1; turns <= first + 6; turns++) {
      await run.send(conversation, upTo(conversation, turns), true);
    }
  }
  return run.figures(conversations);
}

/** The beginning of a conversation, up to an unanswered question. */
function upTo({ system, turns }: Conversation, count: number): Message[] {
  const asked = turns.slice(0, Math.max(1, count));
  const last = asked.pop() ?? [];
  return [system, ...asked.flat(), ...last.slice(0, 1)];
}

type WireMessage = Readonly<Record<string, unknown>>;

/** A provider, and a server with a tokenizer behind it. */
class Run {
  readonly #model: ModelUnderTest;
  readonly #policy: Exclude<ContextOverflowPolicy, "error">;
  readonly #counted = new Map<string, number>();
  readonly #samples: Sample[] = [];
  readonly #broken = new Set<string>();
  #lmstudio = this.#connect();
  #contextLength = 0;
  #refused = 0;
  #failed = 0;

  constructor(model: ModelUnderTest, policy: Exclude<ContextOverflowPolicy, "error">) {
    this.#model = model;
    this.#policy = policy;
  }

  /** Makes the next conversation use a model never seen before. */
  forget(): void {
    this.#lmstudio = this.#connect();
  }

  #connect(): LMStudioProvider {
    const fetch = (input: RequestInfo | URL, init?: RequestInit): Promise<Response> => {
      const url = new URL(input instanceof Request ? input.url : input);
      const body = typeof init?.body === "string" ? JSON.parse(init.body) : undefined;
      return Promise.resolve(this.#serve(url.pathname, body));
    };
    return new LMStudioProvider({ fetch, model: MODEL, env: {} });
  }

  #serve(pathname: string, body: Record<string, unknown> | undefined): Response {
    if (pathname === "/api/v1/models") {
      const loaded = { id: MODEL, config: { context_length: this.#contextLength } };
      const model = { key: MODEL, type: "llm", loaded_instances: [loaded] };
      return Response.json({ models: [{ ...model, max_context_length: 131072 }] });
    }
    const messages = body?.messages as readonly WireMessage[];
    const tokens = this.#promptTokens(messages, body?.tools);
    if (tokens >= this.#contextLength) {
      this.#refused++;
      const error =
        `request (${tokens} tokens) exceeds the available context size (${this.#contextLength} tokens)`;
      return Response.json({ error }, { status: 400 });
    }
    const message = { role: "assistant", content: "Yes." };
    return Response.json({
      id: "chatcmpl-1",
      model: MODEL,
      choices: [{ index: 0, message, finish_reason: "stop" }],
      usage: { prompt_tokens: tokens, completion_tokens: 2, total_tokens: tokens + 2 },
    });
  }

  /** Number of turns that fill this share of the context. */
  turnsWithin({ turns, contextLength }: Conversation, share: number): number {
    let tokens = 0;
    const over = turns.findIndex((turn) => {
      tokens += turn.reduce((sum, message) => sum + this.#tokensOf(message), 0);
      return tokens > contextLength * share;
    });
    return over < 0 ? turns.length : over;
  }

  /** @param isMeasured whether the request counts if it is shortened. */
  async send(
    { contextLength, topics }: Conversation,
    messages: readonly Message[],
    isMeasured: boolean,
  ): Promise<void> {
    if (contextLength !== this.#contextLength) {
      this.#contextLength = contextLength;
      await this.#lmstudio.listModels();
    }
    const tools = topics.some((topic) => topic === "log" || topic === "json") ? [READ_FILE] : [];
    try {
      const contextOverflowPolicy = this.#policy;
      const { trimmed, usage } = await this.#lmstudio.complete({
        messages,
        tools,
        contextOverflowPolicy,
      });
      if (!isMeasured || trimmed === undefined) return;
      this.#check(messages, trimmed);
      const budget = contextLength * 15 / 16;
      const tokens = usage?.promptTokens ?? Infinity;
      const possible = this.#possible(messages, trimmed, tokens, budget);
      this.#samples.push({ used: tokens / budget, ofPossible: tokens / possible });
    } catch (error) {
      if (!(error instanceof InvalidRequestError)) throw error;
      this.#failed++;
    }
  }

  /** Tokens after adding back as many dropped turns as fit, newest first. */
  #possible(
    messages: readonly Message[],
    { dropped }: TrimInfo,
    tokens: number,
    budget: number,
  ): number {
    const gone = new Set(dropped);
    let possible = tokens;
    let turn = 0;
    for (let index = messages.length - 1; index >= 0; index--) {
      const message = messages[index];
      if (message === undefined || !gone.has(message)) continue;
      turn += this.#tokensOf(message);
      if (message.role !== "user") continue;
      if (possible + turn > budget) break;
      possible += turn;
      turn = 0;
    }
    return possible;
  }

  #check(messages: readonly Message[], { dropped }: TrimInfo): void {
    const gone = new Set(dropped);
    const sent = messages.filter((message) => !gone.has(message));
    const { role } = sent[1] ?? {};
    if (role !== "user") this.#broken.add(`the first turn sent begins with ${role}`);
    if (sent[0] !== messages[0]) this.#broken.add("the system message is gone");
    if (sent.at(-1) !== messages.at(-1)) this.#broken.add("the last message is gone");
    const calls = new Set<string>();
    const results = new Set<string>();
    for (const message of sent) {
      if (message.role === "tool") results.add(message.toolCallId);
      if (message.role !== "assistant") continue;
      for (const { id } of message.toolCalls ?? []) calls.add(id);
    }
    const same = calls.size === results.size && [...calls].every((id) => results.has(id));
    if (!same) this.#broken.add("a call is without its result, or a result without its call");
  }

  #promptTokens(messages: readonly WireMessage[], tools: unknown): number {
    const start = tools === undefined ? TEMPLATE_START : TEMPLATE_START + JSON.stringify(tools);
    let tokens = this.#count(start);
    for (const { content, tool_calls: calls = [] } of messages) {
      tokens += this.#tokensAround(content, calls as readonly WireCall[]);
    }
    return tokens;
  }

  #tokensOf(message: Message): number {
    const calls = message.role === "assistant" ? message.toolCalls ?? [] : [];
    return this.#tokensAround(message.content, calls.map((call) => ({ function: call })));
  }

  #tokensAround(content: unknown, calls: readonly WireCall[]): number {
    let tokens = TOKENS_AROUND;
    if (typeof content === "string") tokens += this.#count(content);
    else if (Array.isArray(content)) {
      for (const { type, text } of content) {
        tokens += type === "text" ? this.#count(text) : this.#model.imageTokens;
      }
    }
    for (const { function: { name, arguments: written } } of calls) {
      tokens += this.#count(
        `<tool_call>\n{"name": "${name}", "arguments": ${written}}\n</tool_call>`,
      );
    }
    return tokens;
  }

  #count(text: string): number {
    const known = this.#counted.get(text);
    if (known !== undefined) return known;
    const tokens = text === "" ? 0 : this.#model.countTokens(text);
    this.#counted.set(text, tokens);
    return tokens;
  }

  figures(conversations: number): Figures {
    const used = this.#samples.map((sample) => sample.used).sort((a, b) => a - b);
    const share = (has: (sample: Sample) => boolean) =>
      this.#samples.filter(has).length / this.#samples.length;
    return {
      conversations,
      trimmed: used.length,
      mostUsed: used.at(-1) ?? 0,
      over: used.filter((value) => value > LIMIT).length,
      full: share((sample) => sample.used >= ENOUGH),
      fullOfPossible: share((sample) => sample.ofPossible >= ENOUGH),
      median: used[used.length >> 1] ?? 0,
      refused: this.#refused,
      failed: this.#failed,
      broken: [...this.#broken],
    };
  }
}

interface WireCall {
  readonly function: { readonly name: string; readonly arguments: string };
}

/** `<|im_start|>role\n` and `<|im_end|>\n`. */
const TOKENS_AROUND = 5;
const TEMPLATE_START = "Reasoning effort: medium. Cutting knowledge date: December 2025.\n";
