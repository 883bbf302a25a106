/** `<think>…</think>` and other tags in an answer, whole and cut anywhere. */
import { assert, assertEquals } from "@std/assert";
import {
  splitAsStreamed,
  type SplitText,
  splitThinking,
  ThinkSplitter,
  thinkTags,
} from "../src/api/think_splitter.ts";
import { cpuTimeMs } from "./support/cpu_time.ts";

const CASES:
  readonly (readonly [hazard: string, text: string, reasoning: string, content: string])[] = [
    ["nothing", "", "", ""],
    ["no tag", "Hello.", "", "Hello."],
    ["the usual", "<think>\nHm.\n</think>\n\nHello.", "Hm.", "Hello."],
    ["no white space at all", "<think>Hm.</think>Hello.", "Hm.", "Hello."],
    [
      "white space of all kinds",
      " \r\n\t<think> \t Hm. \r\n </think> \u00a0\n Hello.",
      "Hm.",
      "Hello.",
    ],
    ["white space inside stays", "<think>a \n\n b</think>c \n\n d", "a \n\n b", "c \n\n d"],
    ["white space at the end of the answer stays", "<think>a</think>b \n", "a", "b \n"],
    ["no reasoning", "<think>\n\n</think>\n\nHello.", "", "Hello."],
    ["no reasoning, no line between", "<think></think>Hello.", "", "Hello."],
    ["nothing answered", "<think>Hm.</think>", "Hm.", ""],
    ["nothing answered but white space", "<think>Hm.</think>\n\n", "Hm.", ""],
    ["nothing at all in both", "<think></think>", "", ""],
    ["only white space", " \n ", "", " \n "],
    ["white space before an answer stays", "\n Hello.", "", "\n Hello."],

    ["unterminated", "<think>Hm. Hello.", "Hm. Hello.", ""],
    ["unterminated, with white space", "<think>\nHm.\n\n", "Hm.", ""],
    ["unterminated, nothing else", "<think>", "", ""],
    ["unterminated, white space alone", "<think>\n \n", "", ""],
    ["ends in a closing tag cut short", "<think>Hm.</thin", "Hm.</thin", ""],
    ["ends in a closing tag cut short after white space", "<think>Hm. \n<", "Hm. \n<", ""],
    ["ends in an opening tag cut short", "<thin", "", "<thin"],
    ["ends in its first character", " <", "", " <"],

    ["a tag like it", "<thinking>Hm.</thinking>Hello.", "", "<thinking>Hm.</thinking>Hello."],
    ["another tag", "<b>Hello.</b>", "", "<b>Hello.</b>"],
    ["another case", "<THINK>Hm.</THINK>Hello.", "", "<THINK>Hm.</THINK>Hello."],
    ["almost a tag", "<think\n>Hm.</think>", "", "<think\n>Hm.</think>"],
    ["a tag later", "Say <think>x</think> to think.", "", "Say <think>x</think> to think."],
    [
      "a block in a line, after reasoning",
      "<think>a</think>One <think>x</think> two.",
      "a\n\nx",
      "One two.",
    ],
    ["a block with lines of its own in a line", "One <think>\nx\n</think> two.", "x", "One two."],
    ["a block in a word", "One<think>x</think>two.", "x", "Onetwo."],
    ["a block on lines of its own in a text", "One\n<think>\nx\n</think>\ntwo.", "x", "One\ntwo."],
    [
      "a block that begins at the end of a line",
      "One:<think>\nx\n</think>\ntwo.",
      "x",
      "One:\ntwo.",
    ],
    ["tags among words", "The <think> tag, and </think>.", "", "The <think> tag, and </think>."],
    ["a tag and a comma", "It is <think>, not <b>.", "", "It is <think>, not <b>."],
    ["a tag in quotes", 'It is "<think>" here.', "", 'It is "<think>" here.'],
    ["a tag in an attribute", 'Set tag="<think>".', "", 'Set tag="<think>".'],
    ["a block behind a quote", 'He said "hi."<think>x</think> So.', "x", 'He said "hi." So.'],
    ["a tag in brackets", "A tag (<think>) here.", "", "A tag (<think>) here."],
    [
      "reasoning behind code",
      "Do `a` and\n```\nb\n```\n<think>c</think>d",
      "c",
      "Do `a` and\n```\nb\n```\nd",
    ],
    [
      "a code span that is never closed ends with its line",
      "A ` b\n<think>c</think>d",
      "c",
      "A ` b\nd",
    ],
    [
      "a tag later, after thinking",
      "<think>a</think>b <think>c</think>",
      "a\n\nc",
      "b ",
    ],
    ["a second block", "<think>a</think><think>b</think>c", "a\n\nb", "c"],
    [
      "a third block",
      "<think>a</think>\n<think>b</think>c\n<think>d</think>",
      "a\n\nb\n\nd",
      "c\n",
    ],
    ["a block after text", "Let me see.\n<think>a</think>\nHello.", "a", "Let me see.\nHello."],
    ["a block after a sentence", "Let me see. <think>a</think> Hello.", "a", "Let me see. Hello."],
    ["words on both sides of a block", "<think>a</think>b<think>c</think> d", "a\n\nc", "b d"],
    ["a block that is never closed, after text", "b.\n<think>c", "c", "b.\n"],
    ["a tag in a code span", "Hi.\n`<think>` a </think>", "", "Hi.\n`<think>` a </think>"],
    [
      "a tag in a block of code",
      "Hi.\n```xml\n<think>\na\n</think>\n```\nb",
      "",
      "Hi.\n```xml\n<think>\na\n</think>\n```\nb",
    ],
    [
      "a tag among the words of a model that thinks",
      "<think>a</think>I use <think> for that.",
      "a",
      "I use <think> for that.",
    ],
    ["an answer in JSON", '{"a": "x.\\n<think>b</think>"}', "", '{"a": "x.\\n<think>b</think>"}'],
    ["an array", '[1, "\\n<think>b</think>"]', "", '[1, "\\n<think>b</think>"]'],
    ["the closing tag first", "</think>\n\nHello.", "", "Hello."],
    ["the closing tag first, after white space", "\n</think>Hello.", "", "Hello."],

    ["Mistral's tags", "[THINK]Hm.[/THINK]Hello.", "Hm.", "Hello."],
    ["an array like Mistral's tags", "[THIN, 5]", "", "[THIN, 5]"],
    ["Gemma's channel", "<|channel>thought\nHm.\n<channel|>Hello.", "Hm.", "Hello."],
    [
      "the channels of gpt-oss",
      "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Hello.",
      "Hm.",
      "Hello.",
    ],
    ["an answer alone of gpt-oss", "<|channel|>final<|message|>Hello.", "", "Hello."],
    ["Seed's tags", "<seed:think>Hm.</seed:think>Hello.", "Hm.", "Hello."],
    [
      "reasoning of gpt-oss that ends with the channel of the answer",
      "<|channel|>analysis<|message|>Hm.<|channel|>final<|message|>Hello.",
      "Hm.",
      "Hello.",
    ],
    [
      "two blocks of gpt-oss",
      "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>analysis<|message|>b<|end|>" +
      "<|start|>assistant<|channel|>final<|message|>c",
      "a\n\nb",
      "c",
    ],
    ["no reasoning by Gemma", "<|channel>thought\n<channel|>Hello.", "", "Hello."],
    [
      "Seed's tags, and a block after text",
      "Hi.<seed:think>Hm.</seed:think>Hello.",
      "Hm.",
      "Hi.Hello.",
    ],
    [
      "other models' tags in reasoning",
      "<think>[THINK]a[/THINK]</think>b",
      "[THINK]a[/THINK]",
      "b",
    ],
    ["Kimi's tags", "◁think▷Hm.◁/think▷Hello.", "Hm.", "Hello."],
    ["Command's tags", "<|START_THINKING|>Hm.<|END_THINKING|>Hello.", "Hm.", "Hello."],
    ["an opening tag inside", "<think>a <think> b</think>c", "a <think> b", "c"],
    ["a closing tag later", "<think>a</think>b</think>c", "a", "b</think>c"],
    ["closing tags alone", "a</think>b</think>c", "", "a</think>b</think>c"],
    ["a closing tag, and an opening one behind", "a</think>b<think>", "", "a</think>b<think>"],
    [
      "tag beginnings inside",
      "<think>a < b </ c </t d </thin e</think>f",
      "a < b </ c </t d </thin e",
      "f",
    ],
    ["a closing tag begun twice", "<think>a</</think>b", "a</", "b"],
    ["a closing tag begun and begun again", "<think>a</thi</think>b", "a</thi", "b"],
    ["more than one byte a character", "<think>日本 😀</think>é😀", "日本 😀", "é😀"],
  ];

/** Whole answers whose opening tag was in the prompt; a stream has already yielded its beginning by then. */
const LONE:
  readonly (readonly [hazard: string, text: string, reasoning: string, content: string])[] = [
    ["as templates have it", "Hm.\n</think>\n\nHello.", "Hm.", "Hello."],
    ["no white space at all", "Hm.</think>Hello.", "Hm.", "Hello."],
    ["white space of all kinds", "\n Hm. \r\n\t</think> \u00a0\nHello. ", "Hm.", "Hello. "],
    ["at the end of its line", "Hm. </think>\nHello.", "Hm.", "Hello."],
    ["on the line of the answer", "Hm.\n</think> Hello.", "Hm.", "Hello."],
    ["nothing answered", "Hm.\n</think>", "Hm.", ""],
    [
      "quotes and code in the reasoning",
      '`a` "b"\n```\nc\n```\n</think>d',
      '`a` "b"\n```\nc\n```',
      "d",
    ],
    ["an unpaired apostrophe before", "That's it'</think>Hello.", "That's it'", "Hello."],
    ["of Mistral", "Hm.\n[/THINK]\nHello.", "Hm.", "Hello."],
    ["of Gemma", "Hm.\n<channel|>Hello.", "Hm.", "Hello."],
    ["code in the answer", "Hm.\n</think>\n`a`\n```\nb\n```", "Hm.", "`a`\n```\nb\n```"],
  ];

/** A closing tag that the text only mentions. */
const MENTIONED: readonly string[] = [
  "The tag </think> ends it.",
  "End it with </think>, always.",
  "End it (</think>) always.",
  "Use `</think>` for that.",
  "Use `a </think>\nb` for that.",
  'Stop at "</think>".',
  "Stop at \u201c</think>\u201d.",
  "Like so:\n```html\nHm.\n</think>\nHello.\n```\n",
  "Like so:\n```html\nHm.\n</think>\nHello.",
  "a</think>b</think>c",
  '{"text": "Hm.</think>Hello."}',
];

function join(chunks: readonly SplitText[]): SplitText {
  return {
    content: chunks.map(({ content }) => content).join(""),
    reasoning: chunks.map(({ reasoning }) => reasoning).join(""),
  };
}

function feed(chunks: readonly string[]): SplitText {
  const splitter = new ThinkSplitter();
  return join([...chunks.map((chunk) => splitter.feed(chunk)), splitter.end()]);
}

for (const [hazard, text, reasoning, content] of CASES) {
  Deno.test(`think: ${hazard}`, () => {
    const expected = { content, reasoning };
    assertEquals(splitThinking(text), expected);
    assertEquals(splitAsStreamed(text), expected);
    assertEquals(feed([text]), expected);
    assertEquals(feed([...text]), expected, "by characters");
    assertEquals(feed(text.split("")), expected, "by code units");
    assertEquals(
      feed(["", ...text.split("").flatMap((unit) => [unit, ""])]),
      expected,
      "with empty chunks",
    );
    for (let first = 0; first <= text.length; first++) {
      for (let second = first; second <= text.length; second++) {
        assertEquals(
          feed([text.slice(0, first), text.slice(first, second), text.slice(second)]),
          expected,
          `cut at ${first} and ${second}`,
        );
      }
    }
  });
}

for (const [hazard, text, reasoning, content] of LONE) {
  Deno.test(`think: without its opening tag: ${hazard}`, () => {
    assertEquals(splitThinking(text), { reasoning, content });
    assertEquals(splitAsStreamed(text), { reasoning: "", content: text });
    assertEquals(feed([...text]), { reasoning: "", content: text });
  });
}

Deno.test("think: without its opening tag: followed by another block", () => {
  assertEquals(splitThinking("a\n</think>\nb\n<think>c</think>d"), {
    reasoning: "a\n\nc",
    content: "b\nd",
  });
});

Deno.test("think: custom tags, in addition to the known ones", () => {
  const tags = thinkTags([{ open: "<thought>", close: "</thought>" }]);
  for (const [open, close] of [["<thought>", "</thought>"], ["<think>", "</think>"]]) {
    const text = `${open}Hm.${close}Hello.`;
    assertEquals(splitThinking(text, tags), { reasoning: "Hm.", content: "Hello." });
  }
  const pair = thinkTags([["\n§ thinking\n", "§ answer\n"]]);
  assertEquals(splitThinking("§ thinking\nHm.\n§ answer\nHello.", pair), {
    reasoning: "Hm.",
    content: "Hello.",
  });
  assertEquals(splitThinking("Hm.\n</thought>Hello.", tags), {
    reasoning: "Hm.",
    content: "Hello.",
  });
});

Deno.test("think: a closing tag that the text mentions stays in the answer", () => {
  for (const text of MENTIONED) assertEquals(splitThinking(text), { reasoning: "", content: text });
});

Deno.test("think: unambiguous text is yielded at once", () => {
  const splitter = new ThinkSplitter();
  const seen = ["<think>", "Hm", ".", " Well", "</thi", "nk>", "\n", "Hel", "lo", " <think>"]
    .map((chunk) => splitter.feed(chunk));
  assertEquals(seen.map(({ reasoning }) => reasoning), [
    "",
    "Hm",
    ".",
    " Well",
    "",
    "",
    "",
    "",
    "",
    "",
  ]);
  assertEquals(
    seen.map(({ content }) => content),
    ["", "", "", "", "", "", "", "Hel", "lo", " "],
  );
  // It may be a second block, or a word.
  assertEquals(splitter.end(), { content: "<think>", reasoning: "" });
});

Deno.test("think: an answer without tags is not held back", () => {
  const splitter = new ThinkSplitter();
  assertEquals(splitter.feed("H"), { content: "H", reasoning: "" });
  assertEquals(splitter.feed("<b"), { content: "<b", reasoning: "" });
  // This may be the first character of a tag, as long as nothing follows.
  assertEquals(splitter.feed("<"), { content: "", reasoning: "" });
  assertEquals(splitter.held(), { content: "<", reasoning: "" });
  assertEquals(splitter.feed("i"), { content: "<i", reasoning: "" });
  assertEquals(new ThinkSplitter().feed("<tx"), { content: "<tx", reasoning: "" });
});

Deno.test("think: no text, and empty text", () => {
  assertEquals(feed([]), { content: "", reasoning: "" });
  assertEquals(feed(["", ""]), { content: "", reasoning: "" });
});

Deno.test("think: texts full of tags and lookalikes take no longer per tag", () => {
  const units = [
    "<think>a</think>",
    "<think>a</think>b",
    "a <think> b ",
    "`<think>` ",
    "< ",
    "<|channel|>analysis<|message|>a<|end|>",
    "[THINK]a[/THINK]\n",
    "</think>",
  ];
  for (const unit of units) {
    const time = (length: number): number => {
      const usedBefore = cpuTimeMs();
      splitThinking(unit.repeat(length));
      splitThinking(`a${unit.repeat(length)}`);
      return cpuTimeMs() - usedBefore;
    };
    time(500);
    const [short, long] = [time(2_000), time(32_000)];
    assert(long < 64 * Math.max(short, 4), `${unit}: ${short} ms, then ${long} ms`);
  }
});

Deno.test("think: a model that writes only line breaks does not slow us down", () => {
  const time = (before: string, lines: number): number => {
    const usedBefore = cpuTimeMs();
    feed([before, ...Array.from({ length: lines }, () => "\n"), "end"]);
    return cpuTimeMs() - usedBefore;
  };
  for (const before of ["", "<think>", "<think>a", "<think>a</think>"]) {
    time(before, 1_000);
    // Sixteen times the text takes 16 × as long if linear, 256 × if every chunk rescans all before it.
    const [short, long] = [time(before, 10_000), time(before, 160_000)];
    assert(long < 64 * Math.max(short, 4), `${before}: ${short} ms, then ${long} ms`);
  }
  for (const unit of ["\n", " ", "`", "```\n", "x "]) {
    const whole = (length: number): number => {
      const usedBefore = cpuTimeMs();
      splitThinking(`${unit.repeat(length)}</think>${unit.repeat(length)}`);
      return cpuTimeMs() - usedBefore;
    };
    whole(1_000);
    const [short, long] = [whole(10_000), whole(160_000)];
    assert(long < 64 * Math.max(short, 4), `${JSON.stringify(unit)}: ${short} ms, then ${long} ms`);
  }
});
