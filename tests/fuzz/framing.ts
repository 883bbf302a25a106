/** Event streams: split like an independent parser does, wherever they are cut, and never beyond the bound. */
import { createParser } from "npm:eventsource-parser@^3.0.6";
import { SseDecoder, type SseEvent, SseLimitError } from "../../src/transport/sse.ts";
import { checkSame, fc, type Property, property } from "./harness.ts";

const NAMES = ["data", "event", "id", "retry", "Data", "data ", "", "x", "\ufeffdata"];
const VALUES = [
  "[DONE]",
  "{}",
  "",
  " ",
  "  ",
  ":",
  "a: b",
  "é😀",
  "\ufeff",
  "\0",
  "\u2028",
  "\x85",
  "日本",
];
const ENDS = ["\n", "\r\n", "\r", "\n\n", "\r\r", "\r\n\r\n", "\n\r", ""];

const line = fc.tuple(
  fc.constantFrom(...NAMES),
  fc.constantFrom(":", ": ", "", ":  ", " :"),
  fc.oneof(fc.constantFrom(...VALUES), fc.string({ unit: "binary", maxLength: 12 })),
  fc.constantFrom(...ENDS),
).map((parts) => parts.join(""));

const encoder = new TextEncoder();
/** Realistic lines, or any bytes. */
const stream: fc.Arbitrary<Uint8Array> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.array(line, { maxLength: 12 }).map((lines) => encoder.encode(lines.join(""))),
  },
  {
    weight: 1,
    arbitrary: fc.array(
      fc.oneof(line.map((text) => encoder.encode(text)), fc.uint8Array({ maxLength: 6 })),
      { maxLength: 8 },
    ).map(join),
  },
).chain((bytes) =>
  fc.boolean().map((hasMark) => hasMark ? join([encoder.encode("\ufeff"), bytes]) : bytes)
);

/** Positions of cuts, modulo the length. */
export const places: fc.Arbitrary<number[]> = fc.array(fc.nat(4000), { maxLength: 8 });

export function join(chunks: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(chunks.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

/** The chunks between the cuts; an empty one between two equal positions. */
export function cutAt<T extends { readonly length: number; slice(from: number, to: number): T }>(
  whole: T,
  at: readonly number[],
): T[] {
  const cuts = [0, ...at.map((place) => place % (whole.length + 1)), whole.length];
  cuts.sort((one, other) => one - other);
  return cuts.slice(1).map((to, index) => whole.slice(cuts[index]!, to));
}

function decode(chunks: readonly Uint8Array[]): SseEvent[] {
  const decoder = new SseDecoder();
  const events = chunks.flatMap((chunk) => decoder.feed(chunk));
  const last = decoder.end();
  return last === undefined ? events : [...events, last];
}

/** The parser drops an event without a blank line after it; the decoder leaves that to its caller. */
function oracle(bytes: Uint8Array): SseEvent[] {
  const events: SseEvent[] = [];
  const parser = createParser({
    onEvent: ({ event = "", data }) => void events.push({ event, data }),
  });
  parser.feed(`${new TextDecoder().decode(bytes)}\n\n`);
  return events;
}

/** The events of a stream with a bound, and whether the bound was exceeded. */
function bounded(chunks: readonly Uint8Array[], maxEventBytes: number): unknown {
  const decoder = new SseDecoder({ maxEventBytes });
  const events: SseEvent[] = [];
  try {
    for (const chunk of chunks) events.push(...decoder.feed(chunk));
    const last = decoder.end();
    return { events, last };
  } catch (error) {
    if (!(error instanceof SseLimitError)) throw error;
    return { events, isExceeded: true };
  }
}

export const FRAMING: readonly Property[] = [
  property("framing", 14_000, fc.tuple(stream, places), ([bytes, at]) => {
    const expected = oracle(bytes);
    checkSame(decode([bytes]), expected, "events of the whole");
    checkSame(decode(cutAt(bytes, at)), expected, "events of the chunks");
  }),
  property("framing-bytes", 2_000, stream, (bytes) => {
    const chunks = Array.from(bytes, (byte) => Uint8Array.of(byte));
    checkSame(decode(chunks), oracle(bytes), "events of single bytes");
  }),
  property("framing-bound", 4_000, fc.tuple(stream, places, fc.integer({ min: 1, max: 40 })), (
    [bytes, at, bound],
  ) => {
    checkSame(bounded(cutAt(bytes, at), bound), bounded([bytes], bound), `with ${bound} bytes`);
  }),
];
