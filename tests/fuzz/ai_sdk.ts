/** The AI SDK's models return what the provider's own methods return, in the SDK's terms, and throw its errors alone. */
import { type CompletionResponse, isProviderError, LMStudioProvider } from "../../mod.ts";
import {
  createLMStudio,
  type LanguageModelV4,
  type LanguageModelV4CallOptions,
  type LanguageModelV4Content,
  type LanguageModelV4StreamPart,
} from "../../src/ai_sdk/mod.ts";
import { type Body, edits, recorded, written } from "./bodies.ts";
import { framed } from "./cuts.ts";
import { cutAt, places } from "./framing.ts";
import { check, checkSame, fc, type Property, property, show } from "./harness.ts";
import { callText, taggedText, TOOLS } from "./texts.ts";

const BODIES: readonly Body[] = [
  ...recorded("answers/", /^(chat|content_parts|draft|reasoning|think|tool_call|v0)/),
  ...recorded("streams/", /^(?!native)/),
  ...recorded("errors/", /./),
];
const NAMES = [
  ...["look", "get_current_weather", "get_weather", "clock", "weather", "add"],
  ...TOOLS.map(({ name }) => name),
].filter((name, at, all) => all.indexOf(name) === at);
const PARAMETERS = { type: "object", properties: {} } as const;
/** A call that the conversation already has; the answer must not reuse its id. */
const EARLIER = "call_0";
const REQUEST = {
  model: "m",
  messages: [
    { role: "user", content: "Hello" },
    { role: "assistant", content: "", toolCalls: [{ id: EARLIER, name: "look", arguments: "{}" }] },
    { role: "tool", toolCallId: EARLIER, content: "seen" },
  ],
  tools: NAMES.map((name) => ({ name, parameters: PARAMETERS })),
} as const;
const CALL: LanguageModelV4CallOptions = {
  prompt: [
    { role: "user", content: [{ type: "text", text: "Hello" }] },
    {
      role: "assistant",
      content: [{ type: "tool-call", toolCallId: EARLIER, toolName: "look", input: {} }],
    },
    {
      role: "tool",
      content: [{
        type: "tool-result",
        toolCallId: EARLIER,
        toolName: "look",
        output: { type: "text", value: "seen" },
      }],
    },
  ],
  tools: NAMES.map((name) => ({ type: "function", name, inputSchema: PARAMETERS })),
};
const encoder = new TextEncoder();

/** A server that always answers the same. */
function serverOf(
  bytes: Uint8Array,
  status: number,
  isStream: boolean,
  at: number[],
): typeof fetch {
  return () => {
    const pieces = cutAt(bytes, at);
    const body = new ReadableStream({
      pull: (controller) => {
        const piece = pieces.shift();
        if (piece === undefined) controller.close();
        else controller.enqueue(piece);
      },
    });
    const type = isStream ? "text/event-stream" : "application/json";
    return Promise.resolve(new Response(body, { status, headers: { "content-type": type } }));
  };
}

// --- What is the same -------------------------------------------------------------------------

/** An answer, or the error in its place, in the terms of both. */
interface Told {
  readonly text: string;
  readonly reasoning: string;
  readonly calls?: readonly (readonly [name: string, input: string])[];
  readonly finish?: unknown;
  readonly usage?: unknown;
  readonly response?: unknown;
  readonly code?: string;
}

/** Calls can be sent back: neither name nor arguments are blank. */
const nameOf = (name: string): string => name.trim() === "" ? "unnamed" : name;
const inputOf = (text: string): string => text.trim() === "" ? "{}" : text;

function ofAnswer(answer: CompletionResponse): Omit<Told, "text" | "reasoning"> {
  const { toolCalls, finishReason, usage, id, model } = answer;
  return {
    calls: toolCalls.map(({ name, arguments: text }) => [nameOf(name), inputOf(text)] as const),
    finish: finishReason,
    usage: [
      usage?.promptTokens,
      usage?.completionTokens,
      usage?.cachedTokens,
      usage?.reasoningTokens,
    ],
    response: [id || undefined, model || undefined],
  };
}

async function ownStream(lmstudio: LMStudioProvider): Promise<Told> {
  let [text, reasoning] = ["", ""];
  try {
    const stream = lmstudio.streamCompletion(REQUEST);
    for await (const chunk of stream) {
      text += chunk.content;
      reasoning += chunk.reasoning ?? "";
    }
    return { text, reasoning, ...ofAnswer(await stream.response()) };
  } catch (error) {
    check(isProviderError(error), "a foreign error");
    return { text, reasoning, code: error.code };
  }
}

async function ownAnswer(lmstudio: LMStudioProvider): Promise<Told> {
  try {
    const answer = await lmstudio.complete(REQUEST);
    return { text: answer.content, reasoning: answer.reasoning ?? "", ...ofAnswer(answer) };
  } catch (error) {
    check(isProviderError(error), "a foreign error");
    return { text: "", reasoning: "", code: error.code };
  }
}

/** Checks that a thrown value is an error of the SDK with ours as its cause; returns the code. */
function codeOf(error: unknown): string {
  check(error instanceof Error, () => `no error: ${show(error)}`);
  const marker = "vercel.ai.error";
  check(
    Reflect.get(error, Symbol.for(marker)) === true &&
      Reflect.get(error, Symbol.for(`${marker}.AI_APICallError`)) === true,
    () => `not the SDK's error: ${Deno.inspect(error)}`,
  );
  const { cause } = error;
  check(isProviderError(cause), () => `without our error: ${Deno.inspect(error)}`);
  check(error.message === cause.message, "with another message");
  checkSame(Reflect.get(error, "isRetryable"), cause.retriable, "isRetryable");
  checkSame(Reflect.get(error, "statusCode"), cause.status, "statusCode");
  check(typeof Reflect.get(error, "url") === "string", "no url");
  return cause.code;
}

type Finish = Extract<LanguageModelV4StreamPart, { type: "finish" }>;

function ofFinish(
  { finishReason, usage: { inputTokens, outputTokens } }: Pick<Finish, "finishReason" | "usage">,
): Pick<Told, "finish" | "usage"> {
  return {
    finish: finishReason.raw,
    usage: [
      inputTokens.total,
      outputTokens.total,
      inputTokens.cacheRead,
      outputTokens.reasoning,
    ],
  };
}

function callsOf(
  parts: readonly (LanguageModelV4Content | LanguageModelV4StreamPart)[],
): NonNullable<Told["calls"]> {
  const ids = new Set<string>([EARLIER, ""]);
  return parts.flatMap((part) => {
    if (part.type !== "tool-call") return [];
    check(!ids.has(part.toolCallId), () => `the id ${part.toolCallId} is not unique`);
    ids.add(part.toolCallId);
    return [[part.toolName, part.input] as const];
  });
}

async function sdkStream(model: LanguageModelV4): Promise<Told> {
  let parts: LanguageModelV4StreamPart[];
  try {
    parts = await Array.fromAsync((await model.doStream(CALL)).stream);
  } catch (error) {
    return { text: "", reasoning: "", code: codeOf(error) };
  }
  // Consumers send parts as JSON.
  JSON.stringify(parts);
  checkOrder(parts);
  const textOf = (type: "text-delta" | "reasoning-delta"): string =>
    parts.map((part) => part.type === type && "delta" in part ? part.delta : "").join("");
  const told = { text: textOf("text-delta"), reasoning: textOf("reasoning-delta") };
  const failed = parts.find((part) => part.type === "error");
  if (failed !== undefined) return { ...told, code: codeOf(failed.error) };
  const metadata = parts.find((part) => part.type === "response-metadata");
  return {
    ...told,
    calls: callsOf(parts),
    ...ofFinish(parts.at(-1) as Finish),
    response: [metadata?.id, metadata?.modelId],
  };
}

async function sdkAnswer(model: LanguageModelV4): Promise<Told> {
  try {
    const answer = await model.doGenerate(CALL);
    JSON.stringify(answer);
    const textOf = (type: string): string =>
      answer.content.map((part) => part.type === type && "text" in part ? part.text : "").join("");
    return {
      text: textOf("text"),
      reasoning: textOf("reasoning"),
      calls: callsOf(answer.content),
      ...ofFinish(answer),
      response: [answer.response.id, answer.response.modelId],
    };
  } catch (error) {
    return { text: "", reasoning: "", code: codeOf(error) };
  }
}

// --- The order of parts -----------------------------------------------------------------------

/** Each block begins, grows and ends once, under its own id; each call follows its input; `finish` is last. */
function checkOrder(parts: readonly LanguageModelV4StreamPart[]): void {
  const fault = orderFault(parts);
  check(fault === undefined, () => `${fault} in ${show(parts)}`);
}

function orderFault(parts: readonly LanguageModelV4StreamPart[]): string | undefined {
  const open = new Map<string, { kind: string; name: string; input: string }>();
  const used = new Set<string>();
  const ended = new Map<string, { name: string; input: string }>();
  let hasFailed = false;
  for (const [index, part] of parts.entries()) {
    const kind = part.type.replace(/-(?:start|delta|end)$/, "");
    if ((part.type === "stream-start") !== (index === 0)) return "stream-start is not first";
    if ((part.type === "finish") !== (index === parts.length - 1)) return "finish is not last";
    if (hasFailed && part.type !== "finish") return `${part.type} behind the error`;
    switch (part.type) {
      case "text-start":
      case "reasoning-start":
      case "tool-input-start": {
        const key = `${kind === "tool-input" ? "call" : "block"} ${part.id}`;
        if (part.id === "" || used.has(key)) return `the id of ${key} is not new`;
        used.add(key);
        const name = part.type === "tool-input-start" ? part.toolName : "";
        if (part.type === "tool-input-start" && name === "") return "a call without a name";
        open.set(`${kind} ${part.id}`, { kind, name, input: "" });
        const blocks = [...open.values()].filter((block) => block.kind !== "tool-input");
        if (blocks.length > 1) return "two blocks are open";
        if (kind === "tool-input" && blocks.length > 0) return "a call begins within a block";
        break;
      }
      case "text-delta":
      case "reasoning-delta":
      case "tool-input-delta": {
        const block = open.get(`${kind} ${part.id}`);
        if (block === undefined) return `${part.type} of nothing open`;
        if (part.delta === "") return "an empty delta";
        block.input += part.delta;
        break;
      }
      case "text-end":
      case "reasoning-end":
      case "tool-input-end": {
        const block = open.get(`${kind} ${part.id}`);
        if (block === undefined) return `${part.type} of nothing open`;
        open.delete(`${kind} ${part.id}`);
        if (kind === "tool-input") ended.set(part.id, block);
        break;
      }
      case "tool-call": {
        const begun = ended.get(part.toolCallId);
        if (begun === undefined) return "a tool-call before its input";
        if (begun.name !== part.toolName) return "a tool-call with another name";
        if (inputOf(begun.input) !== part.input) return "a tool-call with another input";
        break;
      }
      case "error":
        hasFailed = true;
        break;
    }
  }
  if (open.size > 0) return `${[...open.keys()].join()} left open`;
  return undefined;
}

// --- The property -----------------------------------------------------------------------------

async function compare(fetch: typeof globalThis.fetch, text: string): Promise<void> {
  const options = { env: {}, maxRetries: 0, fetch, onModelSubstituted: "ignore" } as const;
  const lmstudio = new LMStudioProvider(options);
  const model = createLMStudio(lmstudio)("m");
  const sent = `\n  sent: ${text.slice(0, 1000)}`;
  checkSame(await sdkStream(model), await ownStream(lmstudio), `the stream${sent}`);
  checkSame(await sdkAnswer(model), await ownAnswer(lmstudio), `the answer${sent}`);
}

const drawn = fc.record({
  body: fc.nat(BODIES.length - 1),
  edits: fc.oneof(fc.constant([]), edits),
  status: fc.constantFrom(200, 200, 200, 200, 400, 404, 429, 500),
  at: places,
});

/** Tags after calls: what looked like a call may turn out to be reasoning. */
const anyText: fc.Arbitrary<string> = fc.oneof(
  taggedText,
  callText,
  fc.tuple(callText, fc.constantFrom("</think>", "\n</think>\n", "<think>"), callText).map((
    parts,
  ) => parts.join("")),
);

export const AI_SDK: readonly Property[] = [
  property("ai-sdk", 6_000, drawn, async ({ body, edits, status, at }) => {
    const chosen = BODIES[body]!;
    const text = written(chosen, edits);
    await compare(serverOf(encoder.encode(text), status, chosen.isStream, at), text);
  }),
  property(
    "ai-sdk-texts",
    3_000,
    fc.record({ text: anyText, at: places, network: places }),
    async ({ text, at, network }) => {
      await compare(
        serverOf(framed(cutAt<string>(text, at), "\n", false), 200, true, network),
        text,
      );
    },
  ),
];
