import { assert, assertEquals, assertThrows } from "@std/assert";
import { SseDecoder, type SseEvent, SseLimitError } from "../src/transport/sse.ts";

const encoder = new TextEncoder();

interface Case {
  readonly hazard: string;
  readonly stream: string | Uint8Array;
  /** A string is the data of an event without a name. */
  readonly events: readonly (string | SseEvent)[];
  readonly end?: string | SseEvent;
}

const CASES: readonly Case[] = [
  { hazard: "empty stream", stream: "", events: [] },
  { hazard: "one event", stream: "data: a\n\n", events: ["a"] },
  {
    hazard: "several events",
    stream: "data: a\n\ndata: b\n\ndata: c\n\n",
    events: ["a", "b", "c"],
  },
  {
    hazard: "token frames as LM Studio sends them",
    stream: 'data: {"a":"Hel"}\n\ndata: {"a":"lo: x"}\n\ndata: [DONE]\n\n',
    events: ['{"a":"Hel"}', '{"a":"lo: x"}', "[DONE]"],
  },
  {
    hazard: "named events",
    stream: "event: delta\ndata: a\n\nevent:done\ndata: b\n\n",
    events: [{ event: "delta", data: "a" }, { event: "done", data: "b" }],
  },
  {
    hazard: "name after its data",
    stream: "data: a\nevent: late\n\n",
    events: [{ event: "late", data: "a" }],
  },
  {
    hazard: "last of several names",
    stream: "event: a\nevent: b\ndata: x\n\n",
    events: [{ event: "b", data: "x" }],
  },
  {
    hazard: "name without a colon takes the name back",
    stream: "event: a\nevent\ndata: x\n\n",
    events: ["x"],
  },
  {
    hazard: "name does not outlive an event without data",
    stream: "event: ghost\n\ndata: x\n\n",
    events: ["x"],
  },
  {
    hazard: "name does not outlive its event",
    stream: "event: once\ndata: x\n\ndata: y\n\n",
    events: [{ event: "once", data: "x" }, "y"],
  },
  { hazard: "CRLF", stream: "data: a\r\n\r\ndata: b\r\n\r\n", events: ["a", "b"] },
  { hazard: "CR", stream: "data: a\r\rdata: b\r\r", events: ["a", "b"] },
  {
    hazard: "mixed line ends",
    stream: "data: a\r\n\ndata: b\n\r\ndata: c\r\r\ndata: d\n\rdata: e\r\n\r",
    events: ["a", "b", "c", "d", "e"],
  },
  {
    hazard: "CRLF is one line end between lines of one event",
    stream: "data: a\r\ndata: b\r\n\r\n",
    events: ["a\nb"],
  },
  { hazard: "CR inside an event", stream: "data: a\rdata: b\r\r", events: ["a\nb"] },
  {
    hazard: "other characters that look like line ends",
    stream: "data: a\u0085b\u2028c\u2029d\u000be\u000cf\n\n",
    events: ["a\u0085b\u2028c\u2029d\u000be\u000cf"],
  },
  { hazard: "blank lines between events", stream: "\n\n\r\n\rdata: a\n\n\n\n", events: ["a"] },
  { hazard: "byte order mark", stream: "\ufeffdata: a\n\n", events: ["a"] },
  { hazard: "byte order mark alone", stream: "\ufeff", events: [] },
  {
    hazard: "second byte order mark is a part of the field's name",
    stream: "\ufeff\ufeffdata: a\n\ndata: b\n\n",
    events: ["b"],
  },
  {
    hazard: "byte order mark later on is text",
    stream: "data: a\n\n\ufeffdata: b\n\ndata: \ufeffc\n\n",
    events: ["a", "\ufeffc"],
  },
  {
    hazard: "comments",
    stream: ":\n: keep-alive\n:data: no\ndata: a\n: between\ndata: b\n:\n\n: end\n\n",
    events: ["a\nb"],
  },
  {
    hazard: "comment between two events",
    stream: "data: a\n\n:x\n\ndata: b\n\n",
    events: ["a", "b"],
  },
  { hazard: "several data lines", stream: "data: a\ndata: b\ndata: c\n\n", events: ["a\nb\nc"] },
  { hazard: "empty data line", stream: "data:\n\ndata: \n\ndata\n\n", events: ["", "", ""] },
  { hazard: "several empty data lines", stream: "data\ndata:\ndata: \n\n", events: ["\n\n"] },
  {
    hazard: "empty line within the data",
    stream: "data: a\ndata\ndata: b\n\n",
    events: ["a\n\nb"],
  },
  {
    hazard: "only one space after the colon is dropped",
    stream: "data:a\n\ndata: a\n\ndata:  a\n\ndata:\ta\n\ndata: a \n\n",
    events: ["a", "a", " a", "\ta", "a "],
  },
  { hazard: "colons in the data", stream: "data::a\n\ndata: : b:\n\n", events: [":a", ": b:"] },
  {
    hazard: "id and retry",
    stream: "id: 1\nretry: 10\ndata: a\n\nid\nretry: x\n\ndata: b\nid: 2\u0000\n\n",
    events: ["a", "b"],
  },
  {
    hazard: "unknown fields and near misses",
    stream: "dataa: x\ndat: x\n data: x\nDATA: x\ndata : x\nevents: x\nfoo\ndata: a\n\n",
    events: ["a"],
  },
  { hazard: "NUL in the data", stream: "data: a\u0000b\n\n", events: ["a\u0000b"] },
  { hazard: "HTML instead of events", stream: "<html>\n<p>x: y</p>\n\n</html>", events: [] },
  { hazard: "unterminated line", stream: "data: a\n\ndata: [DONE]", events: ["a"], end: "[DONE]" },
  { hazard: "unterminated event", stream: "data: a\n\ndata: b\n", events: ["a"], end: "b" },
  { hazard: "unterminated event after CRLF", stream: "data: b\r\n", events: [], end: "b" },
  {
    hazard: "unterminated event of several lines",
    stream: "event: x\ndata: a\ndata: b",
    events: [],
    end: { event: "x", data: "a\nb" },
  },
  { hazard: "unterminated field without a colon", stream: "data: a\ndata", events: [], end: "a\n" },
  { hazard: "unterminated field name", stream: "data: a\n\ndat", events: ["a"] },
  { hazard: "unterminated name without data", stream: "data: a\n\nevent: x", events: ["a"] },
  { hazard: "unterminated comment", stream: "data: a\n\n: data", events: ["a"] },
  { hazard: "unterminated comment within an event", stream: "data: a\n: b", events: [], end: "a" },
  {
    hazard: "characters of two, three and four bytes",
    stream: "event: é\ndata: ü→😀\n\ndata: 你好\ndata: 🇨🇭\n\n",
    events: [{ event: "é", data: "ü→😀" }, "你好\n🇨🇭"],
  },
  {
    hazard: "invalid UTF-8",
    stream: bytesOf("data: a", [0xff], "b", [0xc3], "c", [0xe2, 0x82], "\n\n", "data: d\n\n"),
    events: ["a\ufffdb\ufffdc\ufffd", "d"],
  },
  {
    hazard: "invalid UTF-8: overlong, surrogate, beyond Unicode",
    stream: bytesOf(
      "data:",
      [0xc0, 0x80],
      "|",
      [0xed, 0xa0, 0x80],
      "|",
      [0xf4, 0x90, 0x80, 0x80],
      "\n\n",
    ),
    events: ["\ufffd\ufffd|\ufffd\ufffd\ufffd|\ufffd\ufffd\ufffd\ufffd"],
  },
  {
    hazard: "body that ends inside a character",
    stream: bytesOf("data: a\n\ndata: b", [0xf0, 0x9f, 0x98]),
    events: ["a"],
    end: "b\ufffd",
  },
  {
    hazard: "body that ends inside a byte order mark",
    stream: Uint8Array.of(0xef, 0xbb),
    events: [],
  },
];

for (const { hazard, stream, events, end } of CASES) {
  Deno.test(`SseDecoder, at every cut: ${hazard}`, () => {
    const bytes = typeof stream === "string" ? encoder.encode(stream) : stream;
    const expected = { events: events.map(named), end: end === undefined ? undefined : named(end) };
    assertEquals(referenceDecode(bytes), expected, "reference");
    assertEquals(decode([bytes]), expected, "whole");
    assertEquals(decode(cut(bytes, () => 1)), expected, "byte by byte");
    for (let at = 0; at <= bytes.length; at++) {
      const parts = [bytes.subarray(0, at), new Uint8Array(), bytes.subarray(at)];
      assertEquals(decode(parts), expected, `cut at ${at}`);
    }
  });
}

Deno.test("SseDecoder dispatches an event with the byte that completes it", () => {
  for (const blank of ["\n\n", "\r\r", "\r\n\r", "\n\r", "\r\n\n"]) {
    const decoder = new SseDecoder();
    const stream = encoder.encode(`data: a${blank}`);
    assertEquals(decoder.feed(stream.subarray(0, -1)), []);
    assertEquals(decoder.feed(stream.subarray(-1)), [named("a")], JSON.stringify(blank));
  }
});

Deno.test("SseDecoder swallows the LF that follows a dispatched CR, and only one", () => {
  const decoder = new SseDecoder();
  assertEquals(decoder.feed(encoder.encode("data: a\r\r")), [named("a")]);
  assertEquals(decoder.feed(new Uint8Array()), []);
  assertEquals(decoder.feed(encoder.encode("\ndata: b\r")), []);
  assertEquals(decoder.feed(encoder.encode("\n")), []);
  assertEquals(decoder.feed(encoder.encode("\n")), [named("b")]);
});

Deno.test("SseDecoder accepts a view of a larger buffer, and does not keep it", () => {
  const buffer = encoder.encode("xxdata: a\n\ndata: byyyyy");
  const decoder = new SseDecoder();
  assertEquals(decoder.feed(buffer.subarray(2, 18)), [named("a")]);
  buffer.fill(0);
  assertEquals(decoder.end(), named("b"));
});

Deno.test("SseDecoder agrees with the reference on random streams, cut at random", () => {
  const random = mulberry32(20260117);
  const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)] as T;
  const tokens: readonly (string | readonly number[])[] = [
    ..."\n|\n|\n\n|\r|\r|\r\n|\r\n|data|data:|data: |data: x|event|event: |event: e|id: |:|: |:c| "
      .split("|"),
    ...'x|abc|é|→|😀|\ufeff|\u0000|data: {"a":1}\n\n|event: e\ndata: y\r\n\r\n'.split("|"),
    [0xff],
    [0xe2, 0x82],
    [0xf0],
  ];
  for (let round = 0; round < 3_000; round++) {
    const parts = Array.from({ length: Math.floor(random() * 24) }, () => pick(tokens));
    const bytes = bytesOf(...parts);
    const expected = referenceDecode(bytes);
    const longest = pick([2, 5, 40]);
    const message = `round ${round}: ${JSON.stringify(parts)}`;
    assertEquals(decode([bytes]), expected, message);
    const chunks = cut(bytes, () => Math.floor(random() * longest));
    assertEquals(decode(chunks), expected, message);
    // Close to the bound the decoder takes another path and counts; with enough room the result is the same.
    const enough =
      encoder.encode(new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes)).length;
    assertEquals(decode([bytes], enough), expected, message);
    assertEquals(decode(chunks, enough), expected, message);
  }
});

Deno.test("SseDecoder takes linear time for one event in thousands of chunks", () => {
  const hazards: Record<string, (chunks: number) => Uint8Array[]> = {
    "one data line": (chunks) => framed("data: ", Array(chunks).fill("x".repeat(64)), "\n\n"),
    "one data line of three-byte characters": (chunks) =>
      framed("data: ", Array(chunks).fill("→".repeat(21)), "\n\n"),
    "many data lines": (chunks) =>
      framed("", Array(chunks).fill(`data: ${"x".repeat(57)}\n`), "\n"),
    "many data lines, cut elsewhere": (chunks) =>
      framed("data", Array(chunks).fill(`: ${"x".repeat(57)}\ndata`), "\n\n"),
    "many comments within an event": (chunks) =>
      framed("data: x\n", Array(chunks).fill(`: ${"x".repeat(61)}\n`), "\n"),
    "one comment": (chunks) => framed("data: x\n:", Array(chunks).fill("x".repeat(64)), "\n\n"),
    "one line of no meaning": (chunks) =>
      framed("data: x\n", Array(chunks).fill("x".repeat(64)), "\n\n"),
  };
  for (const [hazard, chunks] of Object.entries(hazards)) {
    for (const spare of [16 * 1024 * 1024, 1]) { // far from the bound, and just below it
      const body = chunks(16_000);
      const size = body.reduce((sum, chunk) => sum + chunk.length, 0);
      const decoder = new SseDecoder({ maxEventBytes: size + spare });
      let events = 0;
      const work = charactersProcessed(() => {
        for (const chunk of body) events += decoder.feed(chunk).length;
      });
      assertEquals(events, 1, hazard);
      // A decoder that rescans its buffer for each chunk would read 8 000 times the size.
      assert(work < 32 * size, `${hazard}: ${work / size} characters of work per byte`);
    }
  }
});

Deno.test("SseDecoder takes linear time for many short lines in one chunk", () => {
  for (const line of ["data\n", "x\n", ":\n", "\n", "event\n", "data: x\n\n", "data\r"]) {
    const bytes = encoder.encode(line.repeat(20_000));
    const decoder = new SseDecoder();
    const work = charactersProcessed(() => decoder.feed(bytes));
    assert(work < 32 * bytes.length, `${JSON.stringify(line)}: ${work / bytes.length}`);
  }
});

Deno.test("SseDecoder refuses an event beyond the bound, wherever it is cut", () => {
  // The data and the unfinished line count; line breaks count only as part of the data.
  const refused: Record<string, [size: number, stream: string]> = {
    "a data line": [26, "data: abcdefghijklmnopqrst\n\n"],
    "a line without end": [26, "data: abcdefghijklmnopqrst"],
    "a line that is no field": [20, "abcdefghijklmnopqrst\n\n"],
    "a name": [12, "event: abcde\ndata: x\n\n"],
    "an id": [12, "id: abcdefgh\ndata: x\n\n"],
    "many data lines": [3 + 7, "data: a\ndata: b\ndata: c\n\n"],
    "a line without end after other data": [3 + 7, "data: a\ndata: b\ndata: c"],
    "many empty data lines": [15 + 4, `${"data\n".repeat(17)}\n`],
    "a comment after much data": [14, ": xxxxxxxxxxxxxx\ndata: abcdefgh\n: xxxxxxxxxxxxxx\n\n"],
    "two-byte characters": [6 + 8, "data: éééé\n\n"],
    "three-byte characters": [6 + 12, "data: →→→→\n\n"],
    "four-byte characters": [6 + 16, "data: 😀😀😀😀\n\n"],
    "CRLF": [3 + 7, "data: a\r\ndata: b\r\ndata: c\r\n\r\n"],
  };
  for (const [hazard, [size, stream]] of Object.entries(refused)) {
    const bytes = encoder.encode(`data: ok\n\n${stream}`);
    const expected = referenceDecode(bytes);
    const wholeAndCut = [[bytes], cut(bytes, () => 1)];
    for (let at = 0; at <= bytes.length; at++) {
      wholeAndCut.push([bytes.subarray(0, at), bytes.subarray(at)]);
    }
    for (const chunks of wholeAndCut) {
      assertEquals(decode(chunks, size), expected, `${hazard}: ${size} bytes are enough`);
      const events: SseEvent[] = [];
      const error = assertThrows(
        () => decode(chunks, size - 1, events),
        SseLimitError,
        `larger than ${size - 1} bytes`,
        hazard,
      );
      assertEquals(error.maxEventBytes, size - 1);
      assertEquals(events, [named("ok")], `${hazard}: what was complete before is not lost`);
    }
  }
});

Deno.test("SseDecoder refuses at once when the bytes completed nothing", () => {
  for (const character of ["x", "é", "→", "😀"]) {
    const bytes = encoder.encode(`data: ${character.repeat(1000)}`);
    const decoder = new SseDecoder({ maxEventBytes: bytes.length - 1 });
    assertThrows(() => decoder.feed(bytesOf([...bytes], "\n\n")), SseLimitError);
  }
});

Deno.test("SseDecoder keeps refusing after the bound", () => {
  const decoder = new SseDecoder({ maxEventBytes: 10 });
  assertEquals(decoder.feed(encoder.encode("data: a\n\ndata: too long")), [named("a")]);
  assertThrows(() => decoder.feed(encoder.encode("\n\ndata: b\n\n")), SseLimitError);
  assertThrows(() => decoder.feed(new Uint8Array()), SseLimitError);
  assertThrows(() => decoder.end(), SseLimitError);
});

Deno.test("SseDecoder bounds one event, not the stream", () => {
  const decoder = new SseDecoder({ maxEventBytes: 16 });
  const bytes = encoder.encode("event: e\ndata: abc\ndata: def\n\ndata: 12345\n\n");
  for (let round = 0; round < 100; round++) assertEquals(decoder.feed(bytes).length, 2);
  assertEquals(decoder.end(), undefined);
});

Deno.test("SseDecoder's bound is 16 MiB by default", () => {
  const prefix = encoder.encode("data: ");
  const rest = new Uint8Array(16 * 1024 * 1024 - prefix.length).fill(0x78);
  const decoder = new SseDecoder();
  decoder.feed(prefix);
  decoder.feed(rest);
  const error = assertThrows(() => decoder.feed(encoder.encode("x")), SseLimitError);
  assertEquals(error.maxEventBytes, 16 * 1024 * 1024);
  assertEquals(error.name, "SseLimitError");
});

Deno.test("SseDecoder buffers nothing of an endless comment", () => {
  for (const comment of [":", ": ", "data: x\n:"]) {
    const decoder = new SseDecoder({ maxEventBytes: 64 });
    decoder.feed(encoder.encode(comment));
    const noise = encoder.encode(": noise ".repeat(8 * 1024));
    for (let chunk = 0; chunk < 100; chunk++) assertEquals(decoder.feed(noise), []);
    // Buffered data would have to be scanned now.
    assert(charactersProcessed(() => decoder.feed(encoder.encode("\n"))) < 100);
    const [event] = decoder.feed(encoder.encode("data: y\n\n"));
    assertEquals(event?.data.at(-1), "y");
  }
});

Deno.test("SseDecoder buffers nothing of endless comments and blank lines", () => {
  const decoder = new SseDecoder({ maxEventBytes: 64 });
  const noise = encoder.encode(": noise\n\n:\r\n\r\nid: 1\nretry: 2\n\n".repeat(256));
  for (let chunk = 0; chunk < 100; chunk++) assertEquals(decoder.feed(noise), []);
  assertEquals(decoder.feed(encoder.encode("data: y\n\n")), [named("y")]);
});

/** The standard, implemented as directly as possible: the whole text, split into lines. */
function referenceDecode(bytes: Uint8Array): { events: SseEvent[]; end: SseEvent | undefined } {
  const lines = new TextDecoder().decode(bytes).split(/\r\n|\r|\n/);
  const events: SseEvent[] = [];
  let event = "";
  let data: string[] = [];
  lines.forEach((line, index) => {
    const isLast = index === lines.length - 1;
    const [, field, value = ""] = /^([^:]*)(?:: ?([^]*))?$/.exec(line) ?? [];
    if (line !== "" && field === "event") event = value;
    if (line !== "" && field === "data") data.push(value);
    if (line === "" && !isLast) {
      if (data.length > 0) events.push({ event, data: data.join("\n") });
      event = "";
      data = [];
    }
  });
  return { events, end: data.length > 0 ? { event, data: data.join("\n") } : undefined };
}

function decode(chunks: readonly Uint8Array[], maxEventBytes?: number, events: SseEvent[] = []) {
  const decoder = new SseDecoder({ maxEventBytes });
  for (const chunk of chunks) events.push(...decoder.feed(chunk));
  return { events, end: decoder.end() };
}

function named(event: string | SseEvent): SseEvent {
  return typeof event === "string" ? { event: "", data: event } : event;
}

function bytesOf(...parts: readonly (string | readonly number[])[]): Uint8Array {
  return Uint8Array.from(
    parts.flatMap((part) => typeof part === "string" ? [...encoder.encode(part)] : part),
  );
}

function framed(head: string, chunks: readonly string[], tail: string): Uint8Array[] {
  return [head, ...chunks, tail].map((chunk) => encoder.encode(chunk));
}

/** Chunks of the lengths that `nextLength` returns; zero is allowed. */
function cut(bytes: Uint8Array, nextLength: () => number): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  for (let at = 0; at < bytes.length;) {
    const length = nextLength();
    chunks.push(bytes.subarray(at, at + length));
    at += length;
  }
  return chunks;
}

function mulberry32(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * Counts the characters that built-in functions read while `run` runs: unlike time, this is the same on
 * every machine. A function not known to read less counts the whole text it is called on.
 */
function charactersProcessed(run: () => void): number {
  let work = 0;
  const restore: (() => void)[] = [];
  const count = (
    prototype: object,
    name: string,
    cost: (self: unknown, args: unknown[], result: unknown) => number,
  ) => {
    const descriptor = Object.getOwnPropertyDescriptor(prototype, name);
    const original: unknown = descriptor?.value;
    if (descriptor === undefined || typeof original !== "function") return;
    const counting = function (this: unknown, ...args: unknown[]): unknown {
      const result: unknown = Reflect.apply(original, this, args);
      work += cost(this, args, result);
      return result;
    };
    Object.defineProperty(prototype, name, { ...descriptor, value: counting });
    restore.push(() => Object.defineProperty(prototype, name, descriptor));
  };
  const size = (value: unknown) => String(value).length;
  const constant = new Set(["charAt", "charCodeAt", "codePointAt", "at"]);
  const ofArgument = new Set(["startsWith", "endsWith"]);
  const ofResult = new Set(["slice", "substring", "substr"]);
  for (const name of Object.getOwnPropertyNames(String.prototype)) {
    if (["constructor", "toString", "valueOf", "indexOf", "includes"].includes(name)) continue;
    count(String.prototype, name, (self, args, result) => {
      if (constant.has(name)) return 1;
      return size(ofArgument.has(name) ? args[0] : ofResult.has(name) ? result : self);
    });
  }
  count(String.prototype, "indexOf", (self, args, result) => {
    const from = Number(args[1] ?? 0);
    return (result === -1 ? size(self) : Number(result) + 1) - from;
  });
  // Like `indexOf` it stops at the match, but does not say where.
  count(String.prototype, "includes", (self, args, result) => {
    return result === true ? String(self).search(String(args[0])) + 1 : size(self);
  });
  count(RegExp.prototype, "test", (_self, args) => size(args[0]));
  count(Array.prototype, "join", (_self, _args, result) => size(result));
  count(TextDecoder.prototype, "decode", (_self, _args, result) => size(result));
  count(TextEncoder.prototype, "encode", (_self, args) => size(args[0]));
  try {
    run();
  } finally {
    for (const undo of restore) undo();
  }
  return work;
}
