/**
 * `POST /v1/responses` of the fake (since 0.3.29): one response, whole or streamed, and the stored earlier ones.
 * The order, ids and fields of a stream come from recordings made in 2026-01; the rest follows OpenAI's
 * documentation.
 */

import type { Instance, ModelStore } from "./fake_models.ts";
import type { FakeAnswer } from "./fake_options.ts";
import { checkResponsesInput, countTokens, hasImages } from "./fake_responses_request.ts";
import { argumentTokens, type Script, textTokens } from "./fake_script.ts";
import {
  type Answer,
  type Call,
  decodeBody,
  encodeFrame,
  type Frame,
  type IdSource,
  jsonAnswer,
  type JsonObject,
  Refusal,
  refusedAs,
  type Route,
  sleep,
} from "./fake_wire.ts";

/** How the route behaves. */
export interface ResponsesOptions {
  readonly firstTokenMs: number;
  readonly tokenMs: number;
  readonly callArguments: "everywhere" | "done-only" | "deltas-only";
}

/** An item of the output, with the tokens its text is streamed in. */
interface Item {
  readonly type: "reasoning" | "message" | "function_call";
  readonly id: string;
  readonly tokens: readonly string[];
  /** Id and name of a tool call. */
  readonly call?: { readonly id: string; readonly name: string };
}

/** A finished response that only has to be sent. */
interface Generation {
  readonly items: readonly Item[];
  /** The response without output, status and usage. */
  readonly head: JsonObject;
  readonly isLimited: boolean;
  readonly usage: JsonObject;
}

/** The route for responses. */
export function responsesRoutes(
  models: ModelStore,
  script: Script,
  ids: IdSource,
  options: ResponsesOptions,
): Route[] {
  /** Tokens of each stored conversation, by the id of its last response. */
  const stored = new Map<string, number>();
  const handle = async (call: Call): Promise<Answer> => {
    const body = decodeBody(call);
    checkResponsesInput(body);
    const previous = body.previous_response_id;
    const history = typeof previous === "string" ? stored.get(previous) : 0;
    if (history === undefined) throw unknownPrevious(String(previous));
    const instance = await refusedAs(
      models.acquire(body.model, "llm", call.signal),
      (error) => encodeError({ param: "model", ...error }),
    );
    if (hasImages(body) && !instance.model.vision) {
      throw refuseWith(400, "Model does not support images. Please use a model that does.");
    }
    const promptTokens = history + countTokens(body);
    if (promptTokens > instance.contextLength) throw overflow();
    const answer = await script.next(body);
    const generation = generate(answer, body, instance, promptTokens, ids);
    const { id } = generation.head;
    const store = (): void => {
      if (body.store !== false) {
        stored.set(String(id), promptTokens + countOutput(generation.items));
      }
    };
    if (body.stream === true) {
      return {
        kind: "stream",
        frames: framesOf(generation, instance, options, call.signal, store),
        errorFrame: (message) => errorFrame(message),
      };
    }
    await sleep(options.firstTokenMs, call.signal);
    await sleep(options.tokenMs * Math.max(0, countOutput(generation.items) - 1), call.signal);
    if (instance.unloaded) throw refuseWith(400, "Model unloaded by user or API request.");
    store();
    return jsonAnswer(encodeResponse(generation, (text) => text));
  };
  return [{ method: "POST", path: "/v1/responses", since: "0.3.29", handle }];
}

function refuseWith(
  status: number,
  message: string,
  more: { type?: string; param?: string; code?: string } = {},
): Refusal {
  return new Refusal(status, encodeError({ message, ...more }));
}

/** On this route every error is an object, even one that is plain text for completions. */
function encodeError({ message, ...more }: JsonObject): JsonObject {
  return { error: { message, type: "invalid_request_error", param: null, code: null, ...more } };
}

function unknownPrevious(id: string): Refusal {
  const message =
    `Prediction history node with id '${id}' not found while attempting to build chat history chain`;
  const code = "previous_response_not_found";
  return refuseWith(400, message, { param: "previous_response_id", code });
}

function overflow(): Refusal {
  const message =
    "Engine protocol predict stream returned an error: Context size has been exceeded.";
  return refuseWith(500, message, { type: "internal_error", code: "unknown" });
}

function generate(
  answer: FakeAnswer,
  body: JsonObject,
  instance: Instance,
  promptTokens: number,
  ids: IdSource,
): Generation {
  const limit = typeof body.max_output_tokens === "number" ? body.max_output_tokens : Infinity;
  let left = limit;
  let isLimited = answer.finishReason === "length";
  const items: Item[] = [];
  const add = (type: Item["type"], prefix: string, all: readonly string[], more = {}): void => {
    const tokens = all.slice(0, left);
    if (tokens.length < all.length) isLimited = true;
    left -= tokens.length;
    const isCut = tokens.length === 0 && all.length > 0;
    if (!isCut) items.push({ type, id: `${prefix}_${ids.alphanumeric(21)}`, tokens, ...more });
  };
  const reasoning = textTokens(answer.reasoning);
  const content = textTokens(answer.content);
  const calls = answer.toolCalls ?? [];
  if (reasoning.length > 0) add("reasoning", "rs", reasoning);
  if (content.length > 0 || calls.length === 0) add("message", "msg", content);
  for (const { id = `call_${ids.digits(16)}`, name, arguments: value = {} } of calls) {
    const text = typeof value === "string" ? value : JSON.stringify(value);
    add("function_call", "fc", argumentTokens(text), { call: { id, name } });
  }
  const input = answer.usage?.promptTokens ?? promptTokens;
  const output = answer.usage?.completionTokens ?? countOutput(items);
  const reasoningCount = countOutput(items.filter(({ type }) => type === "reasoning"));
  return {
    items,
    isLimited,
    head: {
      id: `resp_${ids.hex(48)}`,
      object: "response",
      created_at: Math.floor(Date.now() / 1_000),
      model: answer.model ?? instance.id,
      previous_response_id: body.previous_response_id ?? null,
      instructions: body.instructions ?? null,
      max_output_tokens: body.max_output_tokens ?? null,
      store: body.store !== false,
    },
    usage: {
      input_tokens: input,
      input_tokens_details: { cached_tokens: 0 },
      output_tokens: output,
      output_tokens_details: { reasoning_tokens: answer.usage?.reasoningTokens ?? reasoningCount },
      total_tokens: answer.usage?.totalTokens ?? input + output,
    },
  };
}

function countOutput(items: readonly Item[]): number {
  return items.reduce((sum, { tokens }) => sum + tokens.length, 0);
}

/** @param repeated the arguments that an item repeats from its call. */
function encodeResponse(
  { head, items, isLimited, usage }: Generation,
  repeated: (text: string) => string,
): JsonObject {
  return {
    ...head,
    status: isLimited ? "incomplete" : "completed",
    error: null,
    incomplete_details: isLimited ? { reason: "max_output_tokens" } : null,
    output: items.map((item) => {
      const text = item.tokens.join("");
      const said = item.type === "function_call" ? repeated(text) : text;
      return encodeItem(item, said, "completed");
    }),
    usage,
  };
}

function encodeItem({ type, id, call }: Item, text: string, status: string): JsonObject {
  switch (type) {
    case "reasoning":
      return { id, type, summary: [], content: text === "" ? [] : [encodePart(type, text)] };
    case "message": {
      const isBegun = text !== "" || status === "completed";
      const content = isBegun ? [encodePart(type, text)] : [];
      return { id, type, status, role: "assistant", content };
    }
    case "function_call":
      return { id, type, status, call_id: call?.id, name: call?.name, arguments: text };
  }
}

function encodePart(type: "reasoning" | "message", text: string): JsonObject {
  return type === "reasoning"
    ? { type: "reasoning_text", text }
    : { type: "output_text", text, annotations: [], logprobs: [] };
}

async function* framesOf(
  generation: Generation,
  instance: Instance,
  options: ResponsesOptions,
  signal: AbortSignal,
  store: () => void,
): AsyncGenerator<Frame, void, undefined> {
  let sequence = 0;
  const frame = (kind: Frame["kind"], type: string, fields: JsonObject): Frame => {
    const event = { type, sequence_number: sequence++, ...fields };
    return { kind, text: encodeFrame(event, type) };
  };
  const begun = { ...generation.head, status: "in_progress", output: [], usage: null };
  yield frame("mark", "response.created", { response: begun });
  yield frame("mark", "response.in_progress", { response: begun });
  await sleep(options.firstTokenMs, signal);
  let isFirst = true;
  const { callArguments } = options;
  const repeated = (text: string): string =>
    callArguments === "everywhere" ? text : callArguments === "done-only" ? "{}" : "";
  for (const [output_index, item] of generation.items.entries()) {
    const { id: item_id, type, tokens } = item;
    const text = tokens.join("");
    const of = type === "function_call"
      ? { item_id, output_index }
      : { item_id, output_index, content_index: 0 };
    const added = encodeItem(item, "", "in_progress");
    yield frame("mark", "response.output_item.added", { output_index, item: added });
    if (type !== "function_call") {
      const part = encodePart(type, "");
      yield frame("mark", "response.content_part.added", { ...of, part });
    }
    for (const delta of tokens) {
      if (!isFirst) await sleep(options.tokenMs, signal);
      isFirst = false;
      if (instance.unloaded) {
        const text = errorFrame("Model unloaded by user or API request.", sequence++);
        return yield { kind: "end", text };
      }
      // A call is written silently.
      if (type !== "function_call" || callArguments === "deltas-only") {
        yield frame("token", `response.${DELTAS[type]}.delta`, { ...of, delta });
      }
    }
    if (type === "function_call") {
      const isTold = callArguments !== "deltas-only";
      const whole = { arguments: isTold ? text : "" };
      yield frame(isTold ? "token" : "mark", `response.${DELTAS[type]}.done`, { ...of, ...whole });
    } else yield frame("mark", `response.${DELTAS[type]}.done`, { ...of, text });
    if (type !== "function_call") {
      const part = encodePart(type, text);
      yield frame("mark", "response.content_part.done", { ...of, part });
    }
    const done = encodeItem(item, type === "function_call" ? repeated(text) : text, "completed");
    yield frame("mark", "response.output_item.done", { output_index, item: done });
  }
  store();
  const end = generation.isLimited ? "response.incomplete" : "response.completed";
  yield frame("end", end, { response: encodeResponse(generation, repeated) });
}

const DELTAS: Readonly<Record<Item["type"], string>> = {
  reasoning: "reasoning_text",
  message: "output_text",
  function_call: "function_call_arguments",
};

/** This frame is OpenAI's: none from LM Studio was observed. */
function errorFrame(message: string, sequence_number = 0): string {
  return encodeFrame(
    { type: "error", code: null, message, param: null, sequence_number },
    "error",
  );
}
