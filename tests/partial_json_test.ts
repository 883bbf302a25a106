/** JSON that is still being written: every value yielded is a prefix of the whole, whatever the chunks. */
import { assert, assertEquals, assertLess, assertNotStrictEquals } from "@std/assert";
import { PartialJson } from "../src/core/partial_json.ts";
import { cpuTimeMs } from "./support/cpu_time.ts";
import { randomizer } from "./support/random.ts";

/** The values yielded for these chunks. */
function read(chunks: Iterable<string>): unknown[] {
  const json = new PartialJson();
  const values: unknown[] = [];
  for (const chunk of chunks) {
    json.feed(chunk);
    const next = json.next();
    if (next !== undefined) values.push(next.value);
  }
  return values;
}

/** Integers below a bound, in a reproducible order. */
function random(seed: number): (below: number) => number {
  const next = randomizer(seed);
  return (below) => Math.floor(next() * below);
}

const TEXTS = [
  "",
  "a",
  'q"',
  "\\",
  "line\n",
  "é",
  "世界",
  "👩‍🚀",
  "\ud800",
  "\u0000",
  "__proto__",
  "true",
];

/** Without keys that are a single escape: V8's `JSON.parse` was observed to return a backslash for `\u0000`. */
const KEYS = TEXTS.filter((text) => text !== "\ud800" && text !== "\u0000");

function anyValue(next: (below: number) => number, depth = 0): unknown {
  const kind = next(depth > 4 ? 5 : 8);
  const text = () => TEXTS[next(TEXTS.length)] + String(next(100));
  if (kind === 0) return text();
  if (kind === 1) return next(2) === 0;
  if (kind === 2) return null;
  if (kind === 3) return (next(2_000_000) - 1_000_000) / [1, 7, 1e30][next(3)]!;
  if (kind === 4) return TEXTS[next(TEXTS.length)];
  if (kind < 7) {
    return JSON.parse(
      `{${
        Array.from(
          { length: next(5) },
          () =>
            `${JSON.stringify(KEYS[next(KEYS.length)])}:${
              JSON.stringify(anyValue(next, depth + 1))
            }`,
        ).join()
      }}`,
    );
  }
  return Array.from({ length: next(5) }, () => anyValue(next, depth + 1));
}

function cut(text: string, next: (below: number) => number): string[] {
  const chunks: string[] = [];
  for (let at = 0; at < text.length;) {
    const length = 1 + next(6);
    chunks.push(text.slice(at, at + length));
    at += length;
  }
  return chunks;
}

/** Whether one value can grow into the other. */
function isBeginning(part: unknown, whole: unknown): boolean {
  if (typeof part === "string") return typeof whole === "string" && whole.startsWith(part);
  if (typeof part !== "object" || part === null) return Object.is(part, whole);
  if (typeof whole !== "object" || whole === null) return false;
  if (Array.isArray(part)) {
    return Array.isArray(whole) && part.length <= whole.length &&
      part.every((item, index) => isBeginning(item, whole[index]));
  }
  return Object.entries(part).every(([key, value]) =>
    Object.hasOwn(whole, key) &&
    isBeginning(value, Object.entries(whole).find(([k]) => k === key)?.[1])
  );
}

Deno.test("partial JSON: each value is a prefix of the next, and the last one equals JSON.parse's", () => {
  const next = random(7);
  for (let round = 0; round < 2000; round++) {
    const value = [anyValue(next)];
    const text = JSON.stringify(value, null, next(3));
    const fence = next(2) === 0 ? ["", ""] : ["```json\n", "\n```"];
    const values = read(cut(fence[0] + text + fence[1], next));
    const whole = JSON.parse(text);
    assertEquals(values.at(-1), whole, text);
    for (const [index, part] of values.entries()) {
      assert(isBeginning(part, values[index + 1] ?? whole), `${text}: ${JSON.stringify(part)}`);
    }
  }
});

Deno.test("partial JSON: one value per chunk that changes something, none for others", () => {
  assertEquals(
    read([
      '{"',
      'name"',
      ": ",
      '"A',
      'da"',
      ',\n "born',
      '": 18',
      "15",
      ', "tags": [',
      "tr",
      "ue, ",
      "{",
      "}",
      "]",
      "}",
    ]),
    [
      {},
      { name: "A" },
      { name: "Ada" },
      { name: "Ada", born: 1815, tags: [] },
      { name: "Ada", born: 1815, tags: [true] },
      { name: "Ada", born: 1815, tags: [true, {}] },
    ],
  );
});

Deno.test("partial JSON: half an escape or half a character is not yielded", () => {
  assertEquals(
    read(['["', "a\\", "n", "\\u00", "e9", "\\ud83d", "\\ude00", "\ud83d", '\ude00"', "]"]),
    [
      [""],
      ["a"],
      ["a\n"],
      ["a\né"],
      ["a\né😀"],
      ["a\né😀😀"],
    ],
  );
});

Deno.test("partial JSON: a code fence, leading white space, and literals and strings at the top level", () => {
  assertEquals(read([" \n``", "`js", "on\n", "[1", "]\n", "```"]), [[], [1]]);
  assertEquals(read(["```{", '"a":1}', "```"]), [{}, { a: 1 }]);
  assertEquals(read(['"a', 'b"', "more"]), ["a", "ab"]);
  // These are yielded complete or not at all: they have no partial values.
  assertEquals(read(["nu", "ll"]), []);
  assertEquals(read(["12", "3"]), []);
});

Deno.test("partial JSON: invalid JSON is yielded up to the error", () => {
  const broken: [string, unknown[]][] = [
    ["The answer: {}", []],
    ["``[1]", []],
    ['{"a" 1}', [{}]],
    ["{a: 1}", [{}]],
    ["[1 2]", [[1]]],
    ["[01]", [[]]],
    ["[-]", [[]]],
    ["[truex]", [[true]]],
    ["[nope]", [[]]],
    ['["\\x"]', [[""]]],
    ['["\\u00g0"]', [[""]]],
    ['["\n"]', [[""]]],
    ["[1}", [[1]]],
    ["[1,]", [[1]]],
    ['{"a":1,}', [{ a: 1 }]],
    ["[]{}", [[]]],
  ];
  for (const [text, values] of broken) assertEquals(read([text]), values, text);
  // Any input can be read.
  const next = random(3);
  for (let round = 0; round < 500; round++) {
    const text = [...JSON.stringify(anyValue(next))];
    text[next(text.length)] = '"{[]},:\\x0'[next(10)]!;
    read(cut(text.join(""), next));
  }
});

Deno.test("partial JSON: values are copies that share nothing with later ones", () => {
  const json = new PartialJson();
  json.feed('{"list":[1,{"a":"b');
  const first = json.next()?.value as { list: unknown[] };
  first.list.push("mine");
  json.feed('c"}]');
  const second = json.next()?.value as { list: unknown[] };
  assertEquals(second, { list: [1, { a: "bc" }] });
  assertNotStrictEquals(first.list[1], second.list[1]);
});

Deno.test("partial JSON: a field named __proto__ is an ordinary field", () => {
  const [value] = read(['{"__proto__":{"a":1}}']);
  assertEquals(Object.entries(value as object), [["__proto__", { a: 1 }]]);
  assertEquals((value as { a?: unknown }).a, undefined);
});

Deno.test("partial JSON: endlessly nested lists are not followed", () => {
  const values = read(Array.from({ length: 100_000 }, () => "["));
  assertLess(values.length, 1000);
});

Deno.test("partial JSON: time is linear in the length of the text", () => {
  const time = (items: number): number => {
    const list = Array.from({ length: items }, (_, id) => ({ id, name: `name ${id}` }));
    const text = JSON.stringify({ list, long: "x".repeat(items) });
    const chunks = text.match(/.{1,4}/gs) ?? [];
    const usedBefore = cpuTimeMs();
    assert(read(chunks).length > 100);
    return cpuTimeMs() - usedBefore;
  };
  time(1000);
  // Ten times the text would take a hundred times as long if each token read or copied all of it.
  const least = (items: number): number => Math.min(time(items), time(items), time(items));
  const [one, ten] = [least(1000), least(10_000)];
  assertLess(ten, 40 * one);
});
