/** Bodies that no server should send: recorded ones with some places changed to anything at all. */
import { fc } from "./harness.ts";

const FIXTURES = new URL("../../fixtures/", import.meta.url);

/** Literal JSON text, even if `JSON.stringify` would not write it. */
class Raw {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

/** One body: JSON, or the events of a stream. */
export interface Body {
  readonly name: string;
  readonly isStream: boolean;
  /** For a stream, a list with the data of each event; text if it is not JSON. */
  readonly value: unknown;
  readonly events?: readonly (string | undefined)[];
}

/** Bodies from a folder of `fixtures/`, from files with matching names. */
export function recorded(folder: string, fitting: RegExp): Body[] {
  return [...Deno.readDirSync(new URL(folder, FIXTURES))].map(({ name }) => name)
    .filter((name) => fitting.test(name) && /\.(json|sse)$/.test(name)).sort()
    .map((name) => {
      const text = Deno.readTextFileSync(new URL(folder + name, FIXTURES));
      return name.endsWith(".json")
        ? { name, isStream: false, value: parse(text) }
        : streamed(name, text);
    });
}

/** A body written here. */
export function inline(name: string, value: unknown): Body {
  return { name, isStream: false, value };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return new Raw(text.trim());
  }
}

function streamed(name: string, text: string): Body {
  const blocks = text.replaceAll("\r\n", "\n").split("\n\n").filter((block) =>
    block.includes("data:")
  );
  return {
    name,
    isStream: true,
    value: blocks.map((block) => parse(/^data: ?(.*)$/m.exec(block)?.[1] ?? "")),
    events: blocks.map((block) => /^event: ?(.*)$/m.exec(block)?.[1]),
  };
}

const DEEP = 4000;
const VALUES: readonly string[] = [
  "null",
  "true",
  "false",
  "0",
  "-1",
  "1.5",
  "1e999",
  "-1e999",
  "1e308",
  "9007199254740993",
  "-0",
  '""',
  '" "',
  "[]",
  "{}",
  "[null]",
  "[[]]",
  '"\\ud800"',
  '"\\udc00\\ud800"',
  '"\\u0000\\u001b[31m\\u0085\\u202e"',
  '"constructor"',
  '"__proto__"',
  '"hasOwnProperty"',
  '"[DONE]"',
  '"stop"',
  '"tool_calls"',
  '"<think>"',
  '"</think>"',
  '"error"',
  '"null"',
  '"1"',
  '{"error":"x"}',
  '{"error":{"message":{},"code":[]}}',
  '{"message":null}',
  '{"__proto__":{"polluted":1,"type":"x","error":"y"}}',
  '{"constructor":{"prototype":{"polluted":1}}}',
  '{"toJSON":1,"then":1,"toString":1,"length":1e9}',
  '{"then":{}}',
  '{"length":3,"0":"a"}',
  '["__proto__"]',
  '"data:image/png;base64,AAAA"',
  '"AACAPwAAAEA="',
  '"2025-10-03T15:33:23.496Z"',
  `${"[".repeat(DEEP)}${"]".repeat(DEEP)}`,
  `${'{"a":'.repeat(DEEP)}1${"}".repeat(DEEP)}`,
  `"${"x".repeat(20_000)}"`,
  `"${"\\u001b".repeat(3000)}"`,
  "[1,2,3]",
  "[0.1,1e999]",
  '{"a":1,"a":2}',
  `[${"{},".repeat(300)}{}]`,
];
/** Not even JSON. */
const BROKEN: readonly string[] = [
  "",
  "{",
  "[",
  '"',
  "undefined",
  "NaN",
  "Infinity",
  "{'a':1}",
  "<html>",
  "data: x",
  "\0",
  "\ufeff{}",
  "{}{}",
  "[1,]",
  "01",
  "tru",
  " ",
  "[DONE]",
];

/** A change of one place. */
export interface Edit {
  /** Index among all places in the body, modulo their number. */
  readonly place: number;
  readonly how: "put" | "drop" | "twice" | "rename";
  readonly text: string;
  /** Used instead of a number half of the time: lookalikes get further than other values. */
  readonly number: string | undefined;
}

const NUMBERS: readonly string[] = [
  "0",
  "-1",
  "-0",
  "0.5",
  "1e999",
  "-1e999",
  "1e308",
  "9007199254740993",
  "5e-324",
  "-5e-324",
];

/** JSON of any value, and text that is not JSON. */
export const anyJson: fc.Arbitrary<string> = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...VALUES) },
  { weight: 1, arbitrary: fc.constantFrom(...BROKEN) },
  { weight: 2, arbitrary: fc.jsonValue({ maxDepth: 3 }).map((value) => JSON.stringify(value)) },
  {
    weight: 1,
    arbitrary: fc.string({ unit: "binary", maxLength: 10 }).map((text) => JSON.stringify(text)),
  },
  { weight: 1, arbitrary: fc.double().map(String) },
);
export const edits: fc.Arbitrary<Edit[]> = fc.array(
  fc.record({
    place: fc.nat(2000),
    how: fc.constantFrom(
      "put" as const,
      "put" as const,
      "put" as const,
      "drop" as const,
      "twice" as const,
      "rename" as const,
    ),
    text: anyJson,
    number: fc.constantFrom(undefined, ...NUMBERS, ...NUMBERS.map(() => undefined)),
  }),
  { minLength: 1, maxLength: 4 },
);

/** The body to send. */
export function written({ isStream, value, events }: Body, changes: readonly Edit[]): string {
  let changed = value;
  for (const change of changes) changed = edit(changed, change);
  if (!isStream || !Array.isArray(changed)) return write(changed);
  return changed.map((data, index) => {
    const event = events?.[index];
    return `${event === undefined ? "" : `event: ${event}\n`}data: ${write(data)}\n\n`;
  }).join("");
}

function write(value: unknown): string {
  if (value instanceof Raw) return value.text;
  if (Array.isArray(value)) return `[${value.map(write).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  return `{${
    Object.entries(value).map(([key, field]) => `${JSON.stringify(key)}:${write(field)}`).join(",")
  }}`;
}

function edit(value: unknown, { place, how, text, number }: Edit): unknown {
  let left = place % count(value);
  const change = (part: unknown): unknown => {
    if (left-- === 0) return new Raw(typeof part === "number" ? number ?? text : text);
    if (typeof part !== "object" || part === null || part instanceof Raw) return part;
    const entries = Object.entries(part);
    const result: [string, unknown][] = [];
    for (const [key, field] of entries) {
      const isHere = left === 0;
      const changed = left < 0 ? field : change(field);
      if (!isHere || how === "put") result.push([key, changed]);
      else if (how === "twice") {
        result.push([key, field], [`${key}${Array.isArray(part) ? "" : "2"}`, field]);
      } else if (how === "rename") result.push([Array.isArray(part) ? key : "__proto__", field]);
    }
    if (Array.isArray(part)) return result.map(([, field]) => field);
    const copy: Record<string, unknown> = Object.create(null);
    for (const [key, field] of result) copy[key] = field;
    return copy;
  };
  return change(value);
}

function count(value: unknown): number {
  if (typeof value !== "object" || value === null || value instanceof Raw) return 1;
  return Object.values(value).reduce((sum: number, part) => sum + count(part), 1);
}
