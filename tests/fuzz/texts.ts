/** Texts of models, cut anywhere: reasoning and tool calls are extracted as from the whole, and nothing is lost. */
import { takeToolCalls, TextToolCalls } from "../../src/api/text_tool_calls.ts";
import {
  splitAsStreamed,
  splitThinking,
  ThinkSplitter,
  thinkTags,
} from "../../src/api/think_splitter.ts";
import { cutAt, places } from "./framing.ts";
import { check, checkSame, fc, type Property, property } from "./harness.ts";

const TAGS = [
  "<think>",
  "</think>",
  "<thinking>",
  "<thin",
  "</thi",
  "<",
  ">",
  "</",
  "[THINK]",
  "[/THINK]",
  "<seed:think>",
  "</seed:think>",
  "◁think▷",
  "◁/think▷",
  "<|channel>thought\n",
  "<channel|>",
  "<|channel|>analysis<|message|>",
  "<|end|>",
  "<|start|>assistant",
  "<|channel|>final<|message|>",
  "<|START_THINKING|>",
  "<|END_THINKING|>",
  "<mine>",
  "</mine>",
  "§",
  "§§",
  "aab",
  "aaab",
  "aa",
];
const AROUND = [
  "`",
  "```",
  "```\n",
  '"',
  "'",
  "“",
  "”",
  "(",
  ")",
  " ",
  "\n",
  "\n\n",
  "\t",
  "\r\n",
  ". ",
  ", ",
  "{",
  "}",
  '{"a":',
  "[1, ",
];
const PARTS = [
  ...TAGS,
  ...AROUND,
  "a",
  "Hello",
  "é",
  "😀",
  "\ud83d",
  "\ude00",
  "\u00a0",
  "\ufeff",
  "\0",
];

/** Texts full of tags, whole and broken. */
export const taggedText: fc.Arbitrary<string> = fc.array(
  fc.oneof(
    { weight: 9, arbitrary: fc.constantFrom(...PARTS) },
    { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 4 }) },
  ),
  { maxLength: 16 },
).map((parts) => parts.join(""));

const OWN = [undefined, [["<mine>", "</mine>"]], [["§", "§§"]], [{
  open: "aab",
  close: "aaab",
}]] as const;

/** Tags with few different letters, so that one begins like another, or within it. */
const drawnTags = fc.array(
  fc.tuple(
    fc.string({ unit: fc.constantFrom("a", "b", "<", "§", "`"), minLength: 1, maxLength: 4 }),
    fc.string({ unit: fc.constantFrom("a", "b", ">", "/", "\u00e9"), minLength: 1, maxLength: 4 }),
  ).filter(([open, close]) => open !== close),
  { minLength: 1, maxLength: 3 },
);
const drawnText = fc.string({
  unit: fc.constantFrom("a", "b", "<", ">", "/", "§", "`", "\n", " ", "\u00e9"),
  maxLength: 30,
});

const split = fc.oneof(
  { weight: 3, arbitrary: fc.tuple(taggedText, places, fc.constantFrom(...OWN)) },
  { weight: 1, arbitrary: fc.tuple(drawnText, places, drawnTags) },
);

/** White space may be dropped next to tags. */
function letters(written: string): string {
  return written.replace(/\s/g, "");
}

function isWithin(part: string, whole: string): boolean {
  let at = 0;
  // Not by characters: halves of two may meet after a tag between them is removed.
  for (const unit of part.split("")) {
    at = whole.indexOf(unit, at);
    if (at === -1) return false;
    at += unit.length;
  }
  return true;
}

const WORDS = Array.from({ length: 40 }, (_, index) => `w${index}.`);

const CALLS = [
  "<tool_call>",
  "</tool_call>",
  '{"name": "look", "arguments": {"a": 1}}',
  '{"name":"look","arguments":{}}',
  "[TOOL_REQUEST]",
  "[END_TOOL_REQUEST]",
  "[TOOL_CALLS]",
  '[{"name": "look", "arguments": {"b": "</tool_call>"}}]',
  "look",
  "<function=look>",
  "</function>",
  "<parameter=a>",
  "</parameter>",
  "<|tool_call|>",
  "<|tool_call>call:look{a:1}<tool_call|>",
  "[look(a=1)]",
  "<|tool_call_start|>[look(a=1, b='x')]<|tool_call_end|>",
  "<arg_key>a</arg_key>",
  "<arg_value>1</arg_value>",
  "<|channel|>commentary to=functions.look<|message|>{}",
  "<|call|>",
  '<invoke name="look">',
  "</invoke>",
  "<minimax:tool_call>",
  '{"name": "other", "arguments": {}}',
  "{",
  "}",
  "[",
  "]",
  '"',
  "look{",
  "<",
  "</",
  "[ARGS]",
  "```json\n",
  "```",
  "`",
];
/** Texts full of calls, whole and broken. */
export const callText: fc.Arbitrary<string> = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom(...CALLS) },
    { weight: 2, arbitrary: fc.constantFrom(...AROUND, "Hello", "é😀") },
  ),
  { maxLength: 12 },
).map((parts) => parts.join(""));
/** Tool calls in formats observed from servers and models. */
const RECORDED = [...Deno.readDirSync(new URL("../../fixtures/calls/", import.meta.url))]
  .filter(({ name }) => name.endsWith(".txt"))
  .map(({ name }) => name).sort()
  .map((name) => Deno.readTextFileSync(new URL(`../../fixtures/calls/${name}`, import.meta.url)));

/** The tools of those calls. */
export const TOOLS: readonly {
  readonly name: string;
  readonly parameters: Readonly<Record<string, unknown>>;
}[] = ["look", "get_delivery_date", "get_weather", "open_browser", "search", "add"].map((name) => ({
  name,
  parameters: { type: "object", properties: { a: {}, b: {} } },
}));

export const TEXTS: readonly Property[] = [
  property("tags", 8_000, split, ([written, at, own]) => {
    const tags = thinkTags(own);
    const whole = splitAsStreamed(written, tags);
    const splitter = new ThinkSplitter(tags);
    const parts = cutAt<string>(written, at).map((chunk) => splitter.feed(chunk));
    parts.push(splitter.end());
    const chunks = {
      content: parts.map(({ content }) => content).join(""),
      reasoning: parts.map(({ reasoning }) => reasoning).join(""),
    };
    checkSame(chunks, whole, "reasoning and text of the chunks");
    for (const { content, reasoning } of [whole, splitThinking(written, tags)]) {
      check(isWithin(letters(content), letters(written)), "text that is not in the answer");
      check(isWithin(letters(reasoning), letters(written)), "reasoning that is not in the answer");
    }
  }),
  property(
    "tags-lose-nothing",
    4_000,
    fc.array(fc.constantFrom(...TAGS.slice(0, -5), ...AROUND), { maxLength: 16 }),
    (parts) => {
      const written = parts.map((part, index) => `${WORDS[index]}${part}`).join("");
      for (const { content, reasoning } of [splitAsStreamed(written), splitThinking(written)]) {
        for (const word of WORDS.slice(0, parts.length)) {
          const times = `${reasoning}\0${content}`.split(word).length - 1;
          check(
            times === 1,
            () => `"${word}" is there ${times} times: ${show(content, reasoning)}`,
          );
        }
      }
    },
  ),
  property(
    "text-calls",
    8_000,
    fc.tuple(
      fc.oneof({ weight: 3, arbitrary: callText }, fc.constantFrom(...RECORDED)),
      places,
      fc.boolean(),
    ),
    ([written, at, isJsonAsked]) => {
      const whole = takeToolCalls(written, TOOLS, isJsonAsked);
      const reader = new TextToolCalls(TOOLS, isJsonAsked);
      const parts = cutAt<string>(written, at).map((chunk) => reader.feed(chunk));
      parts.push(reader.end());
      const chunks = {
        text: parts.map((part) => part.text).join(""),
        calls: parts.flatMap(({ calls }) => calls),
      };
      checkSame(chunks, whole, "text and calls of the chunks");
      for (const { name, arguments: given } of whole.calls) {
        check(
          TOOLS.some((tool) => tool.name === name),
          () => `a call to ${name}, which is not declared`,
        );
        const value: unknown = JSON.parse(given);
        check(
          typeof value === "object" && value !== null && !Array.isArray(value),
          "arguments that are no object",
        );
      }
      check(isWithin(letters(whole.text), letters(written)), "text that is not in the answer");
      if (whole.calls.length === 0) checkSame(whole.text, written, "text without a call");
    },
  ),
];

function show(content: string, reasoning: string): string {
  return JSON.stringify({ content, reasoning });
}
