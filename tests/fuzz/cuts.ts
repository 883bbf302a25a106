/** Streams cut anywhere, by the network or by the model, have the same result as uncut ones; broken off, a part of it. */
import { isProviderError, LMStudioProvider, type StreamingChunk } from "../../mod.ts";
import { type Body, recorded, written } from "./bodies.ts";
import { cutAt, places } from "./framing.ts";
import { check, checkSame, fc, type Property, property, show } from "./harness.ts";
import { callText, taggedText, TOOLS } from "./texts.ts";

const encoder = new TextEncoder();

interface Route {
  readonly bodies: readonly Body[];
  open(lmstudio: LMStudioProvider): AsyncIterable<unknown> & { response(): Promise<unknown> };
}

const REQUEST = { model: "m", messages: "Hello there" };
const ROUTES: readonly Route[] = [
  {
    bodies: recorded("streams/", /^(?!native)/),
    open: (lmstudio) => lmstudio.streamCompletion({ ...REQUEST, tools: [{ name: "look" }] }),
  },
  {
    bodies: recorded("streams/text/", /./),
    open: (lmstudio) => lmstudio.streamText({ model: "m", prompt: "Hi" }),
  },
  {
    bodies: recorded("streams/", /^native/),
    open: (lmstudio) => lmstudio.chat.stream({ model: "m", input: "Hello" }),
  },
  {
    bodies: recorded("responses/", /sse$/),
    open: (lmstudio) => lmstudio.responses.stream({ model: "m", input: "Hello" }),
  },
];

function providerOf(chunks: readonly Uint8Array[]): LMStudioProvider {
  const fetch: typeof globalThis.fetch = () => {
    const left = [...chunks];
    const body = new ReadableStream({
      pull: (controller) => {
        const chunk = left.shift();
        if (chunk === undefined) controller.close();
        else controller.enqueue(chunk);
      },
    });
    return Promise.resolve(
      new Response(body, { headers: { "content-type": "text/event-stream" } }),
    );
  };
  return new LMStudioProvider({ env: {}, maxRetries: 0, fetch, onModelSubstituted: "ignore" });
}

/** The result of a stream: its items joined, its answer or its error. */
async function outcome(route: Route, chunks: readonly Uint8Array[]): Promise<Outcome> {
  const stream = route.open(providerOf(chunks));
  const items: unknown[] = [];
  try {
    for await (const item of stream) items.push(item);
    return { items: joined(items), answer: withoutTimes(await stream.response()) };
  } catch (error) {
    check(isProviderError(error), () => `a foreign error: ${Deno.inspect(error)}`);
    const { kind, code, message, partial } = error;
    return { items: joined(items), error: { kind, code, message, partial } };
  }
}

interface Outcome {
  readonly items: Joined;
  readonly answer?: unknown;
  readonly error?: {
    readonly kind: string;
    readonly code: string;
    readonly message: string;
    readonly partial: { readonly content: string; readonly reasoning?: string } | undefined;
  };
}

interface Joined {
  readonly content: string;
  readonly reasoning: string;
  readonly calls: Readonly<Record<string, string>>;
  readonly events: readonly unknown[];
}

/** The cuts may affect how many chunks there are, but not their content. */
function joined(items: readonly unknown[]): Joined {
  let content = "";
  let reasoning = "";
  const calls: Record<string, string> = {};
  const events: unknown[] = [];
  for (const item of items) {
    if (typeof item !== "object" || item === null || !("isFinal" in item)) {
      events.push(withoutTimes(item));
      continue;
    }
    const chunk = item as StreamingChunk;
    content += chunk.content;
    reasoning += chunk.reasoning ?? "";
    for (const { index, id = "", name = "", arguments: text = "" } of chunk.toolCalls ?? []) {
      calls[index] = `${calls[index] ?? ""}${id}${name}${text}`;
    }
    if (chunk.isFinal) {
      events.push({ finishReason: chunk.finishReason, model: chunk.model, usage: chunk.usage });
    }
  }
  return { content, reasoning, calls, events };
}

function withoutTimes(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value, (key, field) => key === "stats" ? undefined : field));
}

/** A completion as a server streams it, with its text in these chunks. */
export function framed(parts: readonly string[], lineEnd: string, comment: boolean): Uint8Array {
  const frame = (delta: object, finish: string | null = null): string =>
    `data: ${
      JSON.stringify({ id: "x", model: "m", choices: [{ index: 0, delta, finish_reason: finish }] })
    }${lineEnd}${lineEnd}`;
  const frames = parts.map((content) =>
    `${comment ? `: wait${lineEnd}` : ""}${frame({ content })}`
  );
  return encoder.encode(
    `${frame({ role: "assistant" })}${frames.join("")}${
      frame({}, "stop")
    }data: [DONE]${lineEnd}${lineEnd}`,
  );
}

const drawn = fc.record({ route: fc.nat(ROUTES.length - 1), body: fc.nat(100), at: places });

function bytesOf({ route, body }: { route: number; body: number }): [Route, Uint8Array] {
  const chosen = ROUTES[route]!;
  return [chosen, encoder.encode(written(chosen.bodies[body % chosen.bodies.length]!, []))];
}

export const CUTS: readonly Property[] = [
  property("cuts", 6_000, drawn, async ({ at, ...rest }) => {
    const [route, bytes] = bytesOf(rest);
    const whole = await outcome(route, [bytes]);
    checkSame(await outcome(route, cutAt(bytes, at)), whole, "what the chunks give");
  }),
  property(
    "cuts-of-texts",
    6_000,
    fc.record({
      text: fc.oneof(taggedText, callText),
      at: places,
      network: places,
      lineEnd: fc.constantFrom("\n", "\r\n", "\r"),
      comment: fc.boolean(),
    }),
    async ({ text, at, network, lineEnd, comment }) => {
      const open = (lmstudio: LMStudioProvider) =>
        lmstudio.streamCompletion({ ...REQUEST, tools: TOOLS as never });
      const route: Route = { bodies: [], open };
      // On the wire half a character can only be an escape, which JSON.stringify writes.
      const whole = await outcome(route, [framed([text], "\n", false)]);
      const chunks = cutAt(framed(cutAt<string>(text, at), lineEnd, comment), network);
      const cut = await outcome(route, chunks);
      const ids = (calls: unknown): string => show(calls).replace(/call_\w+|\b\d{9}\b/g, "ID");
      checkSame([cut.items.content, cut.items.reasoning], [
        whole.items.content,
        whole.items.reasoning,
      ], "chunks");
      checkSame(ids(answerOf(cut)), ids(answerOf(whole)), "the answer");
    },
  ),
  property(
    "cuts-of-objects",
    4_000,
    fc.record({
      value: fc.dictionary(
        fc.string({ unit: "binary", maxLength: 4 }),
        fc.jsonValue({ maxDepth: 3 }),
        { maxKeys: 4 },
      ),
      indent: fc.constantFrom(undefined, 2, "\t"),
      around: fc.constantFrom(["", ""], ["```json\n", "\n```"], ["\n ", " \n"], ["", "}"], [
        "",
        ",",
      ]),
      lost: fc.constantFrom(0, 0, 0, 1, 3),
      at: places,
      network: places,
    }),
    async ({ value, indent, around: [before, after], lost, at, network }) => {
      const open = (lmstudio: LMStudioProvider) =>
        lmstudio.streamObject({ ...REQUEST, schema: { type: "object" } });
      const route: Route = { bodies: [], open };
      const json = JSON.stringify(value, undefined, indent);
      const text = `${before}${json.slice(0, json.length - lost)}${after}`;
      const whole = await outcome(route, [framed([text], "\n", false)]);
      const cut = await outcome(
        route,
        cutAt(framed(cutAt<string>(text, at), "\n", false), network),
      );
      checkSame([cut.answer, cut.error], [whole.answer, whole.error], "the object");
      if (lost > 0 || /[},]/.test(after ?? "")) return;
      checkSame(
        (cut.answer as { object: unknown }).object,
        JSON.parse(json),
        "what the model wrote",
      );
      checkSame(cut.items.events.at(-1), JSON.parse(json), "the last item");
      for (const item of cut.items.events) {
        check(
          isPartOf(item, JSON.parse(json)),
          () => `an item that is no part of it: ${show(item)}`,
        );
      }
    },
  ),
  property("breaks", 4_000, fc.tuple(drawn, fc.nat(100_000)), async ([{ at, ...rest }, length]) => {
    const [route, bytes] = bytesOf(rest);
    const whole = await outcome(route, [bytes]);
    const start = bytes.slice(0, length % bytes.length);
    const { items, answer, error } = await outcome(route, cutAt(start, at));
    check(whole.items.content.startsWith(items.content), "text that is not in the whole");
    check(whole.items.reasoning.startsWith(items.reasoning), "reasoning that is not in the whole");
    if (answer !== undefined) {
      // After the finish reason only usage and stats follow.
      return checkSame(
        answerOf({ items, answer }),
        answerOf(whole),
        "the answer of a stream that was cut off",
      );
    }
    check(error !== undefined, "neither an answer nor an error");
    if (whole.error === undefined) {
      check(error.kind === "stream", () => `broken off, but ${error.kind}: ${error.message}`);
    }
    check(
      (error.partial?.content ?? "").startsWith(items.content) || items.content === "",
      () => `lost of what had arrived: ${show([error.partial, items])}`,
    );
  }),
];

function answerOf({ answer, error }: Outcome): unknown {
  if (answer === undefined) return error;
  const { content, text, reasoning, toolCalls, finishReason, status } = answer as Record<
    string,
    unknown
  >;
  return { content, text, reasoning, toolCalls, finishReason, status };
}

/** Whether a value can grow into another while a model writes: texts and lists grow, fields are added. */
function isPartOf(part: unknown, whole: unknown): boolean {
  if (typeof part === "string") return typeof whole === "string" && whole.startsWith(part);
  if (typeof part !== "object" || part === null) return Object.is(part, whole);
  if (typeof whole !== "object" || whole === null) return false;
  return Array.isArray(part) === Array.isArray(whole) &&
    Object.entries(part).every(([key, value]) =>
      Object.hasOwn(whole, key) && isPartOf(value, Reflect.get(whole, key))
    );
}
