/** Tool calls that a model wrote into its text: extracted in every known format, whole and cut anywhere, or left as text. */
import { assert, assertEquals, assertLess, assertMatch } from "@std/assert";
import type { CallableTool, TextToolCall } from "../src/api/text_call_formats.ts";
import {
  LONGEST_CALL,
  takeToolCalls,
  type TextAndCalls,
  TextToolCalls,
} from "../src/api/text_tool_calls.ts";
import { cpuTimeMs } from "./support/cpu_time.ts";

const fixtures = new URL("../fixtures/calls/", import.meta.url);

const TYPES = { s: "string", i: "integer", b: "boolean", o: "object", a: "array" } as const;

/** A tool whose parameters are defined by letters; all are required except those in `optional`. */
function tool(
  name: string,
  fields: Record<string, keyof typeof TYPES> = {},
  optional: string[] = [],
) {
  const properties = Object.fromEntries(
    Object.entries(fields).map(([field, type]) => [field, { type: TYPES[type] }]),
  );
  const required = Object.keys(fields).filter((field) => !optional.includes(field));
  return { name, parameters: { type: "object", properties, required } };
}

const TOOLS: readonly CallableTool[] = [
  tool("get_delivery_date", { order_id: "s" }),
  tool("send_email", { to: "s", subject: "s" }),
  tool("open_browser"),
  tool("read", { path: "s", limit: "i", line_start: "i", line_end: "i" }, [
    "limit",
    "line_start",
    "line_end",
  ]),
  tool("glob", { pattern: "s" }),
  tool("get_file_info", { path: "s" }),
  tool("bash", { command: "s", cwd: "s" }, ["cwd"]),
  tool("list_mailboxes"),
  tool("list_directory", { path: "s" }),
  tool("search_files", { pattern: "s", target: "s", path: "s", output_mode: "s" }),
  tool("mempalace_mempalace_search", { query: "s", wing: "s", room: "s" }),
  tool("run_javascript", { javascript: "s", timeout_seconds: "i" }),
  tool("exec", { command: "s", timeout: "i" }),
  tool("get_ecs_instructions", { data: "o" }),
  tool("write", { filePath: "s", content: "s" }),
  tool("get_weather", { location: "s" }),
  tool("search", { query: "s" }),
  tool("file_view", { path: "s", view_range: "a" }),
];

const call = (name: string, args: Record<string, unknown>): TextToolCall => ({
  name,
  arguments: JSON.stringify(args),
});

/** What each fixture contains: the calls, and the text around them. */
const FIXTURES: Readonly<Record<string, { calls: TextToolCall[]; text?: string }>> = {
  hermes: { calls: [call("get_delivery_date", { order_id: "123" })] },
  tool_request: { calls: [call("get_delivery_date", { order_id: "123" })] },
  tool_request_two: {
    calls: [call("send_email", { to: "John", subject: "meeting" }), call("open_browser", {})],
  },
  function_tags: { calls: [call("read", { path: "src/main.ts", limit: 40 })] },
  function_tags_bare: {
    calls: [call("glob", { pattern: "**/*.cpp" })],
    text: "I need to search for C++ files in your project directory. Let me look.\n\n",
  },
  glm: {
    calls: [
      call("get_file_info", { path: "file1.jpg" }),
      call("get_file_info", { path: "file2.jpg" }),
    ],
  },
  glm_lines: {
    calls: [call("bash", { command: "grep -n 'pattern' notes.md", cwd: "/path/to/repo" })],
  },
  glm_no_arguments: { calls: [call("list_mailboxes", {})] },
  lfm2: { calls: [call("list_directory", { path: "desktop" })] },
  lfm2_several_arguments: {
    calls: [call("search_files", {
      pattern: "README*",
      target: "content",
      path: "/home/user1/workspace",
      output_mode: "files_only",
    })],
  },
  bracketed_name: {
    calls: [call("mempalace_mempalace_search", {
      query: "codename",
      wing: "personal",
      room: "identities",
    })],
  },
  harmony: {
    calls: [call("run_javascript", {
      javascript: "console.log('Hello, world!');",
      timeout_seconds: 5,
    })],
  },
  harmony_no_namespace: {
    calls: [call("exec", { command: "openclaw gateway --help", timeout: 10000 })],
  },
  harmony_start: { calls: [call("get_ecs_instructions", { data: { envs: { sd: {} } } })] },
  harmony_no_tags: {
    calls: [call("read", { path: "/path/to/file", line_start: 1, line_end: 400 })],
  },
  minimax: {
    calls: [call("write", { filePath: "test.html", content: "<html>...</html>" })],
  },
  gemma4: { calls: [call("get_weather", { location: "London" })] },
  gemma4_json: { calls: [call("bash", { command: "ls" })] },
  gemma4_parentheses: { calls: [call("search", { query: "blockchain news" })] },
  bare_json: { calls: [call("get_weather", { location: "Paris" })] },
  bare_tool_calls: {
    calls: [call("file_view", { path: "src/util.rs", view_range: [20, 40] })],
  },
};

const decoded = ({ text, calls }: TextAndCalls) => ({
  text,
  calls: calls.map(({ name, arguments: args }) => ({ name, arguments: JSON.parse(args) })),
});

/** Feeds chunks one after another. */
function stream(chunks: Iterable<string>, tools = TOOLS, isJsonAsked = false): TextAndCalls {
  const reader = new TextToolCalls(tools, isJsonAsked);
  let text = "";
  const calls: TextToolCall[] = [];
  for (const chunk of chunks) {
    const taken = reader.feed(chunk);
    text += taken.text;
    calls.push(...taken.calls);
  }
  const last = reader.end();
  return { text: text + last.text, calls: [...calls, ...last.calls] };
}

/** Cut at UTF-16 code units, finer than any server cuts. */
const inUnits = (text: string): string[] => text.split("");

/** Every cut into two, and one character at a time. */
function assertSameForAnyCut(text: string, expected: TextAndCalls, tools = TOOLS): void {
  for (let at = 1; at < text.length; at++) {
    assertEquals(
      stream([text.slice(0, at), text.slice(at)], tools),
      expected,
      `cut at ${at}: ${text}`,
    );
  }
  assertEquals(stream(inUnits(text), tools), expected);
}

function* inChunks(text: string, length: number): Generator<string> {
  for (let at = 0; at < text.length; at += length) yield text.slice(at, at + length);
}

const readFixture = (name: string) => Deno.readTextFile(new URL(`${name}.txt`, fixtures));

Deno.test("every fixture has an expectation, and every expectation a fixture", async () => {
  const names: string[] = [];
  for await (const { name } of Deno.readDir(fixtures)) {
    if (name.endsWith(".txt")) names.push(name.slice(0, -".txt".length));
  }
  assertEquals(names.sort(), Object.keys(FIXTURES).sort());
  const sources = await Deno.readTextFile(new URL("SOURCES.md", fixtures));
  for (const name of names) assert(sources.includes(`\`${name}.txt\``), name);
});

for (const [name, { calls, text = "" }] of Object.entries(FIXTURES)) {
  Deno.test(`${name}: a call, whole and cut anywhere`, async () => {
    const written = await readFixture(name);
    const found = takeToolCalls(written, TOOLS);
    assertEquals(decoded(found), decoded({ text, calls }));
    assertSameForAnyCut(written, found);
  });

  Deno.test(`${name}: text if the tool was not declared`, async () => {
    const written = await readFixture(name);
    const others = TOOLS.filter((one) => !calls.some((found) => found.name === one.name));
    const found = takeToolCalls(written, others);
    assertEquals(found, { text: written, calls: [] });
    assertSameForAnyCut(written, found, others);
  });

  Deno.test(`${name}: text in a code fence and in quotes`, async () => {
    const written = await readFixture(name);
    const only = written.slice(text.length);
    for (
      const spoken of [
        "It looks so:\n\n```\n" + only + "\n```\n\nThen I wait.",
        "````md\n```\n" + only + "\n```\n````",
        "```json\n" + only,
        ...(only.includes("\n") ? [] : ["Write `" + only + "` to call it."]),
        ...(calls.length > 1
          ? []
          : ["It is written “" + only + "”.", 'Write "' + only + '" to call.']),
      ]
    ) {
      const found = takeToolCalls(spoken, TOOLS);
      assertEquals(found, { text: spoken, calls: [] });
      assertSameForAnyCut(spoken, found);
    }
  });

  Deno.test(`${name}: text if the arguments do not match`, async () => {
    const written = await readFixture(name);
    const strict = calls.map((one) => ({
      name: one.name,
      parameters: { type: "object", properties: {}, required: ["something_else"] },
    }));
    assertEquals(takeToolCalls(written, strict), { text: written, calls: [] });
    const wrong = calls.map((one) => ({
      name: one.name,
      parameters: {
        type: "object",
        properties: Object.fromEntries(
          Object.keys(JSON.parse(one.arguments)).map((key) => [key, { type: "null" }]),
        ),
      },
    }));
    if (calls.every((one) => one.arguments === "{}")) return;
    assertEquals(
      takeToolCalls(written, wrong).calls,
      calls.some((one) => one.arguments === "{}") ? [call("open_browser", {})] : [],
    );
  });

  Deno.test(`${name}: text if it breaks off`, async () => {
    const written = await readFixture(name);
    for (let length = 0; length < written.length; length++) {
      const cut = written.slice(0, length);
      const { text: left, calls: found } = takeToolCalls(cut, TOOLS);
      if (found.length > 0) continue;
      assertEquals(left, cut);
      const reader = new TextToolCalls(TOOLS);
      assertEquals(reader.feed(cut).text + reader.held(), cut);
    }
  });
}

Deno.test("text before, between and after calls stays, mere white space around them does not", () => {
  const weather = (city: string) =>
    `<tool_call>\n{"name": "get_weather", "arguments": {"location": "${city}"}}\n</tool_call>`;
  const oslo = call("get_weather", { location: "Oslo" });
  const rome = call("get_weather", { location: "Rome" });
  for (
    const [written, text, calls] of [
      [`Let me look.\n${weather("Oslo")}`, "Let me look.\n", [oslo]],
      [`${weather("Oslo")}\nOne moment.`, "\nOne moment.", [oslo]],
      [`One${weather("Oslo")}two`, "Onetwo", [oslo]],
      [`\n\n${weather("Oslo")}\n\n`, "", [oslo]],
      [`${weather("Oslo")}\n${weather("Rome")}`, "", [oslo, rome]],
      [`${weather("Oslo")} and ${weather("Rome")}.`, " and .", [oslo, rome]],
      [`A < b, [c] and ${weather("Oslo")}`, "A < b, [c] and ", [oslo]],
      [`He said "yes".${weather("Oslo")}`, 'He said "yes".', [oslo]],
      ["`a` " + weather("Oslo") + " `b", "`a`  `b", [oslo]],
      ["```\ncode\n```\n" + weather("Oslo"), "```\ncode\n```\n", [oslo]],
    ] as const
  ) {
    const found = takeToolCalls(written, TOOLS);
    assertEquals(decoded(found), decoded({ text, calls }), written);
    assertSameForAnyCut(written, found);
  }
});

Deno.test("a text without calls stays the same", () => {
  for (
    const text of [
      "",
      " ",
      "\n\n",
      "Hello.",
      "  Hello. \n",
      "1 < 2, a[0], <b>x</b> and [a link](https://example.com)",
      "<tool_call>",
      "<tool_call>\n",
      "<tool_call>\nget_weather is a tool.\n</tool_call>",
      '<tool_call>\n["name": "get_delivery_date", function: "date"]\n</tool_call>',
      '<tool_call>\n{"name": "get_weather", "arguments": {"location": "Oslo"}\n</tool_call>',
      '<tool_call>{"name": "get_weather"}</tool_call>',
      '<tool_call>{"name": "get_weather", "arguments": {"location": "Oslo"}, "why": "x"}</tool_call>',
      '<tool_call>{"name": "get_weather", "arguments": "Oslo"}</tool_call>',
      '<tool_call>{"name": 1, "arguments": {}}</tool_call>',
      "<function=get_weather>Oslo</function>",
      "<function=get_weather>\n<parameter=location>\nOslo\n</function>",
      "<tool_call>get_weather\n<arg_key>location</arg_key>\nOslo</tool_call>",
      "<|tool_call_start|>[get_weather(location=Oslo)]<|tool_call_end|>",
      "<|tool_call_start|>[get_weather(location='Oslo'), shout(text='x')]<|tool_call_end|>",
      "<|tool_call>call:get_weather{location:Oslo}<tool_call|>",
      "[get_weather]\nWhat it does: [END_TOOL_REQUEST] ends it.",
      "[get_weather](https://example.com)",
      '{"name": "get_weather"}',
      '{"name": "Ada", "arguments": {"location": "Oslo"}}',
      '{"name": "get_weather", "arguments": {"location": "Oslo"}} is what I would write.',
      'I would write {"name": "get_weather", "arguments": {"location": "Oslo"}}',
      '{"text": "<tool_call>{}</tool_call>", "more": "<function=open_browser></function>"}',
      "commentary to=get_weather would be the channel.",
      "commentary on the game",
    ]
  ) {
    const found = takeToolCalls(text, TOOLS);
    assertEquals(found, { text, calls: [] });
    assertSameForAnyCut(text, found);
  }
});

Deno.test("bare JSON is an answer, not a call, if JSON was requested", () => {
  for (const name of ["bare_json", "bare_tool_calls"] as const) {
    const text = Deno.readTextFileSync(new URL(`${name}.txt`, fixtures));
    assertEquals(takeToolCalls(text, TOOLS, true), { text, calls: [] });
    assertEquals(stream(inUnits(text), TOOLS, true), { text, calls: [] });
  }
  const marked = '<tool_call>{"name": "open_browser", "arguments": {}}</tool_call>';
  assertEquals(takeToolCalls(marked, TOOLS, true).calls, [call("open_browser", {})]);
});

Deno.test("arguments stay as the model wrote them", () => {
  const written = '{ "id": 12345678901234567890, "note": "}, \\"arguments\\": {", "n": 1.0 }';
  const tools = [tool("look")];
  for (
    const text of [
      `<tool_call>{"name": "look", "arguments": ${written}}</tool_call>`,
      `<tool_call>{"arguments": ${written}, "name": "look", "id": "7"}</tool_call>`,
      `[look]\n${written}\n[END_TOOL_REQUEST]`,
      `{"name": "look", "parameters": ${written}}`,
    ]
  ) {
    assertEquals(takeToolCalls(text, tools).calls, [{ name: "look", arguments: written }]);
  }
  assertEquals(
    takeToolCalls('<tool_call>{"name": "look", "arguments": "{\\"a\\": 1}"}</tool_call>', tools)
      .calls,
    [{ name: "look", arguments: '{"a": 1}' }],
  );
});

Deno.test("closing markers inside values do not end a call", () => {
  for (
    const [text, content] of [
      [
        '<tool_call>{"name": "write", "arguments": {"filePath": "a", "content": "</tool_call>\\n</tool_call>"}}</tool_call>',
        "</tool_call>\n</tool_call>",
      ],
      [
        "<tool_call>\n<function=write>\n<parameter=filePath>\na\n</parameter>\n<parameter=content>\n</tool_call> </parameter> x\n</parameter>\n</function>\n</tool_call>",
        "</tool_call> </parameter> x",
      ],
      [
        "<function=write>\n<parameter=filePath>\na\n</parameter>\n<parameter=content>\n</function>\n</parameter>\n</function>",
        "</function>",
      ],
      [
        "<tool_call>write\n<arg_key>filePath</arg_key>\n<arg_value>a</arg_value>\n<arg_key>content</arg_key>\n<arg_value></arg_value> and </tool_call></arg_value>\n</tool_call>",
        "</arg_value> and </tool_call>",
      ],
    ] as const
  ) {
    const found = takeToolCalls(text, TOOLS);
    assertEquals(
      decoded(found),
      decoded({ text: "", calls: [call("write", { filePath: "a", content })] }),
    );
    assertSameForAnyCut(text, found);
  }
});

Deno.test("several functions in one tag are several calls", () => {
  const one = (path: string) =>
    `<function=get_file_info>\n<parameter=path>\n${path}\n</parameter>\n</function>`;
  const text = `<tool_call>\n${one("a")}\n${one("b")}\n</tool_call>`;
  const found = takeToolCalls(text, TOOLS);
  assertEquals(found.calls, [
    call("get_file_info", { path: "a" }),
    call("get_file_info", { path: "b" }),
  ]);
  assertEquals(found.text, "");
  assertSameForAnyCut(text, found);
});

Deno.test("bare values get the type the schema gives them", () => {
  const parameters = {
    type: "object",
    properties: {
      text: { type: "string" },
      count: { type: "integer" },
      ratio: { type: "number" },
      on: { type: "boolean" },
      list: { type: "array", items: { type: "string" } },
      item: { $ref: "#/$defs/item" },
      maybe: { anyOf: [{ type: "integer" }, { type: "null" }] },
      mode: { enum: ["fast", "slow"] },
    },
    $defs: { item: { type: "object", properties: { a: { type: "integer" } }, required: ["a"] } },
  };
  const tools = [{ name: "look", parameters }];
  const written = (key: string, value: string) =>
    `<function=look>\n<parameter=${key}>\n${value}\n</parameter>\n</function>`;
  for (
    const [key, value, expected] of [
      ["text", "40", "40"],
      ["text", "true", "true"],
      ["text", "\n two lines \n", "\n two lines \n"],
      ["count", "40", 40],
      ["ratio", "0.5", 0.5],
      ["on", "True", true],
      ["on", "false", false],
      ["list", '["a", "b"]', ["a", "b"]],
      ["item", '{"a": 1}', { a: 1 }],
      ["maybe", "None", null],
      ["maybe", "3", 3],
      ["mode", "fast", "fast"],
      ["unknown", "40", "40"],
    ] as const
  ) {
    const [found] = takeToolCalls(written(key, value), tools).calls;
    assertEquals(JSON.parse(found?.arguments ?? "null"), { [key]: expected }, `${key}: ${value}`);
  }
  for (
    const [key, value] of [
      ["count", "many"],
      ["count", "0.5"],
      ["on", "yes"],
      ["list", "[1]"],
      ["item", "{}"],
      ["maybe", "no"],
      ["mode", "medium"],
    ] as const
  ) {
    assertEquals(takeToolCalls(written(key, value), tools).calls, [], `${key}: ${value}`);
  }
});

Deno.test("Python's and Gemma's literals are values", () => {
  const tools = [tool("look")];
  for (
    const [text, expected] of [
      ["<|tool_call_start|>[look()]<|tool_call_end|>", {}],
      [
        `<|tool_call_start|>[look(a=1, b=-2.5, c=True, d=None, e=['x', "y"], f={"k": [1, 2,]}, )]<|tool_call_end|>`,
        { a: 1, b: -2.5, c: true, d: null, e: ["x", "y"], f: { k: [1, 2] } },
      ],
      [
        String.raw`<|tool_call_start|>[look(a='it\'s\n\u00e9 \d', b="a, b) ]")]<|tool_call_end|>`,
        { a: "it's\né \\d", b: "a, b) ]" },
      ],
      [
        `<|tool_call>call:look{a:<|"|>x, "y": {z}<|"|>,b:[1,<|"|>two<|"|>],c:{d:true},<|"|>e f<|"|>:null}<tool_call|>`,
        { a: 'x, "y": {z}', b: [1, "two"], c: { d: true }, "e f": null },
      ],
    ] as const
  ) {
    const found = takeToolCalls(text, tools);
    assertEquals(found.calls.map((one) => JSON.parse(one.arguments)), [expected], text);
    assertEquals(found.text, "");
    assertSameForAnyCut(text, found, tools);
  }
  const two = "<|tool_call_start|>[look(a=1), look(a=2)]<|tool_call_end|>";
  assertEquals(takeToolCalls(two, tools).calls.length, 2);
  for (const bad of ["a=1_0", "a=", "a", "a='x", "a=[1", "a=1 b=2", "=1", "a=" + "[".repeat(500)]) {
    const text = `<|tool_call_start|>[look(${bad})]<|tool_call_end|>`;
    assertEquals(takeToolCalls(text, tools), { text, calls: [] });
  }
});

Deno.test("a name in the server's spelling is the declared one", () => {
  const tools = [tool("getWeather", { location: "s" })];
  const text =
    '[TOOL_REQUEST]{"name": "get_weather", "arguments": {"location":"Oslo"}}[END_TOOL_REQUEST]';
  assertEquals(takeToolCalls(text, tools).calls, [call("getWeather", { location: "Oslo" })]);
  const two = [...tools, tool("GetWeather", { location: "s" })];
  assertEquals(takeToolCalls(text, two), { text, calls: [] });
});

Deno.test("text is yielded at once if it cannot begin a call", () => {
  const reader = new TextToolCalls(TOOLS);
  for (
    const [chunk, given] of [
      ["Hello", "Hello"],
      [", a < b", ", a < b"],
      [" and <", " and "],
      ["b>", "<b>"],
      ["<tool_call>", ""],
      ["\nis a tag", "<tool_call>\nis a tag"],
      [". [read", ". "],
      ["](x)", "[read](x)"],
    ] as const
  ) {
    assertEquals(reader.feed(chunk).text, given, chunk);
  }
  const json = new TextToolCalls(TOOLS);
  assertEquals(json.feed('{"name": "Ada"').text, '{"name": "Ada"');
  assertEquals(json.feed(', "age": 3}').text, ', "age": 3}');
});

Deno.test("a call is yielded as soon as it is complete", async () => {
  const reader = new TextToolCalls(TOOLS);
  const written = await readFixture("hermes");
  assertEquals(reader.feed(written.slice(0, -1)).calls, []);
  assertEquals(reader.feed(">").calls.length, 1);
});

Deno.test("an unterminated call is text, and holds back no more than a bound", () => {
  const begin = '<tool_call>{"name": "write", "arguments": {"content": "';
  const text = begin + "x".repeat(2 * LONGEST_CALL);
  const reader = new TextToolCalls(TOOLS);
  let given = 0;
  let fed = 0;
  for (let at = 0; at < text.length; at += 4096) {
    const chunk = text.slice(at, at + 4096);
    fed += chunk.length;
    given += reader.feed(chunk).text.length;
    assertLess(fed - given, LONGEST_CALL + 8192);
  }
  given += reader.end().text.length;
  assertEquals(given, text.length);
  // The result is the same for any cut, and the next call is found.
  const next = '<tool_call>{"name": "open_browser", "arguments": {}}</tool_call>';
  const whole = takeToolCalls(text + next, TOOLS);
  assertEquals(whole.calls.length, 1);
  const streamed = stream(inChunks(text + next, 1000));
  assert(streamed.text === whole.text && streamed.calls.length === 1);
});

Deno.test("hostile texts take linear time", () => {
  const hazards = (many: (chunk: string) => string): Readonly<Record<string, string>> => ({
    "opening tags": many("<tool_call>"),
    "opening tags with a brace": many("<tool_call>{"),
    "objects never closed": many('<tool_call>{"a":"'),
    "functions in values": many("<function=read>\n<parameter=path>\n"),
    "closing tags in values": "<function=read>\n<parameter=path>\n" + many("</function>"),
    "closing tags in a text": '<tool_call>{"a":"' + many("</tool_call>"),
    "values that never end": "<tool_call>read\n<arg_key>path</arg_key><arg_value>" +
      many("</arg_value>x</tool_call>"),
    "brackets": many("["),
    "names in brackets": many("[read"),
    "white space behind tags": many("<tool_call>" + " ".repeat(60)),
    "white space alone": many(" "),
    "backticks": many("`"),
    "calls": many('<tool_call>{"name":"open_browser","arguments":{}}</tool_call>\n'),
    "lists": "<|tool_call_start|>[read(path=" + many("[") + "<|tool_call_end|>",
    "deep JSON": '<tool_call>{"name":"read","arguments":' + many('{"a":') + "</tool_call>",
    "a long name": "[" + many("a"),
    "channels": many("<|channel|>commentary to=read<|message|>{"),
  });
  const hazardsOf = (length: number) =>
    hazards((chunk) => chunk.repeat(Math.ceil(length / chunk.length)));
  const half = hazardsOf(500_000);
  for (const [hazard, text] of Object.entries(hazardsOf(1_000_000))) {
    const timeOf = (text: string): number => {
      const usedBefore = cpuTimeMs();
      const whole = takeToolCalls(text, TOOLS);
      const streamed = stream(inChunks(text, 5));
      const took = cpuTimeMs() - usedBefore;
      assert(streamed.text === whole.text, hazard);
      assertEquals(streamed.calls.length, whole.calls.length, hazard);
      if (hazard !== "calls") assert(whole.text === text, hazard);
      return took;
    };
    // Twice the text takes twice as long; if each chunk looked at all before it, four times.
    const halfTime = timeOf(half[hazard]!);
    assertLess(timeOf(text), 3 * halfTime + 500, hazard);
  }
});

Deno.test("circular schemas end", () => {
  const text = '<tool_call>{"name": "look", "arguments": {"a": {"a": {}}}}</tool_call>';
  for (
    const parameters of [
      { $ref: "#" },
      { anyOf: [{ $ref: "#" }, { $ref: "#" }] },
      { allOf: [{ $ref: "#" }, { $ref: "#" }, { $ref: "#" }], type: "object" },
      { properties: { a: { $ref: "#" } }, type: "object" },
      { $ref: "https://example.com/schema" },
      { type: "somebody's own" },
    ]
  ) {
    assertEquals(takeToolCalls(text, [{ name: "look", parameters }]).calls.length, 1);
  }
  assertMatch(text, /look/);
});
