/** Streamed tool calls, with all known defects of LM Studio versions (lmstudio-behaviour.md §2.5). */
import { assertEquals } from "@std/assert";
import type { ToolCall, ToolCallDelta } from "../mod.ts";
import { ToolCallAssembler } from "../src/api/tool_call_assembler.ts";

interface WireFunction {
  name?: unknown;
  arguments?: unknown;
}

function delta(index: unknown, id: unknown, wireFunction?: WireFunction): Record<string, unknown> {
  return {
    ...(index === undefined ? {} : { index }),
    ...(id === undefined ? {} : { id }),
    type: "function",
    ...(wireFunction === undefined ? {} : { function: wireFunction }),
  };
}

/** Feeds one list of wire calls after another; returns the deltas and the calls. */
function assemble(lists: readonly unknown[]): { deltas: ToolCallDelta[]; calls: ToolCall[] } {
  const assembler = new ToolCallAssembler();
  const deltas = lists.flatMap((list) => assembler.feed(list));
  return { deltas, calls: assembler.calls() };
}

/** Assembles deltas as a consumer should: by index, in order. */
function fromDeltas(deltas: readonly ToolCallDelta[]): ToolCall[] {
  const calls: ToolCall[] = [];
  for (const { index, id, name, arguments: text } of deltas) {
    const call = calls[index] ??= { id: "", name: "", arguments: "" };
    if (id !== undefined) call.id = id;
    if (name !== undefined) call.name = name;
    if (text !== undefined) call.arguments += text;
  }
  return calls;
}

const WEATHER: ToolCall = { id: "814890118", name: "get_weather", arguments: '{"city":"Paris"}' };
const TIME: ToolCall = { id: "814890119", name: "get_time", arguments: '{"zone":"CET"}' };

const DEFECTS: readonly (readonly [title: string, lists: readonly unknown[], calls: ToolCall[]])[] =
  [
    ["no calls", [[], undefined, null, "x", {}, [], 5], []],
    [
      "as documented: named first, then fragments",
      [
        [delta(0, "814890118", { name: "get_weather", arguments: "" })],
        [{ index: 0, function: { arguments: '{"' } }],
        [{ index: 0, function: { arguments: 'city":"Paris' } }],
        [{ index: 0, function: { arguments: '"}' } }],
      ],
      [WEATHER],
    ],
    [
      "whole in one delta",
      [[delta(0, "814890118", { name: "get_weather", arguments: '{"city":"Paris"}' })]],
      [WEATHER],
    ],
    [
      "no arguments",
      [[delta(0, "1", { name: "ping", arguments: "" })], [delta(0, "2", { name: "pong" })]],
      [{ id: "1", name: "ping", arguments: "" }, { id: "2", name: "pong", arguments: "" }],
    ],
    [
      "up to 0.3.15: type and an empty name in every fragment",
      [
        [delta(0, "814890118", { name: "get_weather", arguments: "" })],
        [delta(0, undefined, { name: "", arguments: '{"city":' })],
        [delta(0, undefined, { name: "", arguments: '"Paris"}' })],
      ],
      [WEATHER],
    ],
    [
      "an empty id in every fragment",
      [
        [delta(0, "814890118", { name: "get_weather", arguments: "" })],
        [delta(0, "", { name: "", arguments: '{"city":"Paris"}' })],
      ],
      [WEATHER],
    ],
    [
      "id and name repeated in every fragment",
      [
        [delta(0, "814890118", { name: "get_weather", arguments: '{"city"' })],
        [delta(0, "814890118", { name: "get_weather", arguments: ':"Paris"}' })],
      ],
      [WEATHER],
    ],
    [
      "null where there is nothing",
      [
        [delta(0, "814890118", { name: "get_weather", arguments: null })],
        [delta(0, null, { name: null, arguments: '{"city":"Paris"}' })],
      ],
      [WEATHER],
    ],
    [
      "0.3.21: a delta without a function, first",
      [
        [delta(0, "")],
        [delta(0, "814890118", { name: "get_weather", arguments: '{"city":"Paris"}' })],
      ],
      [WEATHER],
    ],
    [
      "0.3.21: a delta without a function, as another call",
      [
        [delta(0, "")],
        [delta(1, "814890118", { name: "get_weather", arguments: '{"city":"Paris"}' })],
      ],
      [WEATHER],
    ],
    [
      "0.3.21: a delta without a function, last",
      [
        [delta(0, "814890118", { name: "get_weather", arguments: '{"city":"Paris"}' })],
        [delta(0, "")],
        [delta(1, "")],
      ],
      [WEATHER],
    ],
    [
      "an id before its name",
      [
        [delta(0, "814890118")],
        [delta(0, undefined, { name: "get_weather" })],
        [delta(0, undefined, { arguments: '{"city":"Paris"}' })],
      ],
      [WEATHER],
    ],
    [
      "an id after its name",
      [
        [delta(0, "", { name: "get_weather", arguments: '{"city":' })],
        [delta(0, "814890118", { arguments: '"Paris"}' })],
      ],
      [WEATHER],
    ],
    [
      "two calls, one after the other",
      [
        [delta(0, "814890118", { name: "get_weather", arguments: '{"city":' })],
        [delta(0, undefined, { arguments: '"Paris"}' })],
        [delta(1, "814890119", { name: "get_time", arguments: '{"zone":' })],
        [delta(1, undefined, { arguments: '"CET"}' })],
      ],
      [WEATHER, TIME],
    ],
    [
      "two calls in one delta, then in turns",
      [
        [
          delta(0, "814890118", { name: "get_weather", arguments: "" }),
          delta(1, "814890119", { name: "get_time", arguments: "" }),
        ],
        [delta(1, undefined, { arguments: '{"zone"' })],
        [delta(0, undefined, { arguments: '{"city"' })],
        [
          delta(1, undefined, { arguments: ':"CET"}' }),
          delta(0, undefined, { arguments: ':"Paris"}' }),
        ],
      ],
      [WEATHER, TIME],
    ],
    [
      "numbers with gaps, that do not begin at 0",
      [
        [delta(3, "814890118", { name: "get_weather", arguments: '{"city":"Paris"}' })],
        [delta(7, "814890119", { name: "get_time", arguments: '{"zone":' })],
        [delta(7, undefined, { arguments: '"CET"}' })],
      ],
      [WEATHER, TIME],
    ],
    [
      "every call numbered 0, one after the other",
      [
        [delta(0, "814890118", { name: "get_weather", arguments: '{"city":' })],
        [delta(0, undefined, { arguments: '"Paris"}' })],
        [delta(0, "814890119", { name: "get_time", arguments: '{"zone":' })],
        [delta(0, undefined, { arguments: '"CET"}' })],
      ],
      [WEATHER, TIME],
    ],
    [
      "every call numbered 0, ids in every fragment, in turns",
      [
        [delta(0, "814890118", { name: "get_weather", arguments: '{"city":' })],
        [delta(0, "814890119", { name: "get_time", arguments: '{"zone":' })],
        [delta(0, "814890118", { arguments: '"Paris"}' })],
        [delta(0, "814890119", { arguments: '"CET"}' })],
      ],
      [WEATHER, TIME],
    ],
    [
      "no numbers: by id, fragments without one go to the last",
      [
        [delta(undefined, "814890118", { name: "get_weather", arguments: '{"city":' })],
        [delta(undefined, undefined, { arguments: '"Paris"}' })],
        [delta(undefined, "814890119", { name: "get_time", arguments: '{"zone":' })],
        [delta(undefined, "814890119", { arguments: '"CET"}' })],
      ],
      [WEATHER, TIME],
    ],
    [
      "arguments as an object",
      [[delta(0, "814890118", { name: "get_weather", arguments: { city: "Paris" } })]],
      [WEATHER],
    ],
    [
      "arguments that are not JSON stay as they are",
      [[delta(0, "1", { name: "t", arguments: "{city: Paris" })]],
      [{ id: "1", name: "t", arguments: "{city: Paris" }],
    ],
    [
      "several calls under one number, without ids: whole ones",
      [
        [delta(0, undefined, { name: "get_weather", arguments: '{"city":"Paris"}' })],
        [delta(0, undefined, { name: "get_time", arguments: '{"zone":"CET"}' })],
      ],
      [{ ...WEATHER, id: "call_0" }, { ...TIME, id: "call_1" }],
    ],
    [
      "several calls under one number, without ids: the same tool, named first",
      [
        [delta(0, undefined, { name: "get_time", arguments: "" })],
        [delta(0, undefined, { arguments: '{"zone":"C}' })],
        [delta(0, undefined, { arguments: 'ET"}' })],
        [delta(0, undefined, { name: "get_time", arguments: "" })],
        [delta(0, undefined, { arguments: ' {"zone":"\\"}"}' })],
      ],
      [
        { id: "call_0", name: "get_time", arguments: '{"zone":"C}ET"}' },
        { id: "call_1", name: "get_time", arguments: ' {"zone":"\\"}"}' },
      ],
    ],
    [
      "several calls under one number, without ids: the second without a word of arguments in the first",
      [
        [delta(0, undefined, { name: "get_weather", arguments: "" })],
        [delta(0, undefined, { name: "get_time", arguments: '{"zone":"CET"}' })],
      ],
      [{ id: "call_0", name: "get_weather", arguments: "" }, { ...TIME, id: "call_1" }],
    ],
    [
      "an id of its own in every fragment of one call",
      [
        [delta(0, "c1", { name: "shell", arguments: "" })],
        [delta(0, "c2", { arguments: '{"command":' })],
        [delta(0, "c3", { arguments: '"ls"' })],
        [delta(0, "c4", { arguments: "}" })],
      ],
      [{ id: "c1", name: "shell", arguments: '{"command":"ls"}' }],
    ],
    [
      "an id of its own in every fragment, then another call",
      [
        [delta(0, "c1", { name: "shell", arguments: '{"a":' })],
        [delta(0, "c2", { arguments: "1}" })],
        [delta(0, "c3", { name: "shell", arguments: "{" })],
        [delta(0, "c4", { arguments: "}" })],
      ],
      [
        { id: "c1", name: "shell", arguments: '{"a":1}' },
        { id: "c3", name: "shell", arguments: "{}" },
      ],
    ],
    [
      "an id of its own and the name in every fragment of one call",
      [
        [delta(0, "c1", { name: "shell", arguments: '{"command":' })],
        [delta(0, "c2", { name: "shell", arguments: '"ls"' })],
        [delta(0, "c3", { name: "shell", arguments: "}" })],
        [delta(0, "c4", { name: "shell", arguments: "{" })],
        [delta(0, "c5", { name: "shell", arguments: "}" })],
      ],
      [
        { id: "c1", name: "shell", arguments: '{"command":"ls"}' },
        { id: "c4", name: "shell", arguments: "{}" },
      ],
    ],
    [
      "calls without arguments that each have an id and a name",
      [
        [delta(0, "c1", { name: "now", arguments: "" })],
        [delta(0, "c2", { name: "now", arguments: "" })],
        [delta(0, "c3", { name: "now" })],
      ],
      ["c1", "c2", "c3"].map((id) => ({ id, name: "now", arguments: "" })),
    ],
    [
      "one id and one number for all of them",
      [
        [delta(0, "call", { name: "get_weather", arguments: '{"city":' })],
        [delta(0, "call", { arguments: '"Paris"}' })],
        [delta(0, "call", { name: "get_time", arguments: '{"zone":"CET"}' })],
      ],
      [{ ...WEATHER, id: "call" }, { ...TIME, id: "call" }],
    ],
    [
      "a name that is told again while the arguments come, and behind them",
      [
        [delta(0, "c1", { name: "shell", arguments: "{" })],
        [delta(0, undefined, { name: "shell", arguments: '"a":{}' })],
        [delta(0, "c1", { name: "shell", arguments: "}" })],
        [delta(0, "c1", { name: "shell", arguments: "" })],
      ],
      [{ id: "c1", name: "shell", arguments: '{"a":{}}' }],
    ],
    [
      "braces in texts, and nine deltas with ids of their own",
      [
        [delta(0, "c0", { name: "shell", arguments: "" })],
        ...['{"', "command", '":"', "echo '}", "{'", ' \\"', '}{\\""', "}"].map((text, at) => [
          delta(0, `c${at + 1}`, { arguments: text }),
        ]),
      ],
      [{ id: "c0", name: "shell", arguments: `{"command":"echo '}{' \\"}{\\""}` }],
    ],
    [
      "white space behind whole arguments is no other call",
      [
        [delta(0, "814890118", { name: "get_weather", arguments: '{"city":"Paris"}' })],
        [delta(0, undefined, { arguments: "\n" })],
      ],
      [{ ...WEATHER, arguments: '{"city":"Paris"}\n' }],
    ],
    [
      "what is no call at all",
      [[null, 5, "x", [], {}, { index: 0 }, { function: null }, { index: 0, function: [] }]],
      [],
    ],
  ];

for (const [title, lists, calls] of DEFECTS) {
  Deno.test(`tool calls: ${title}`, () => {
    const { deltas, calls: assembled } = assemble(lists);
    assertEquals(assembled, calls);
    const told = fromDeltas(deltas).map((call, index) => ({
      ...call,
      id: call.id || `call_${index}`,
    }));
    assertEquals(told, calls, "from the deltas");
    for (const delta of deltas) {
      assertEquals(Object.keys(delta).length > 1, true, "a delta says something");
      for (const value of [delta.id, delta.name, delta.arguments]) {
        assertEquals(value !== "", true, "absent, not empty");
      }
    }
    const [ids, names] = [deltas.filter(({ id }) => id), deltas.filter(({ name }) => name)];
    const withId = calls.filter(({ id }) => !id.startsWith("call_"));
    assertEquals([ids.length, names.length], [withId.length, calls.length], "each told once");
  });
}

Deno.test("tool calls: arguments are the same wherever they are cut", () => {
  const text = '{"city":"Paris \\"ü😀\\"","days":[1,2]}';
  for (let first = 0; first <= text.length; first++) {
    for (let second = first; second <= text.length; second++) {
      const { calls, deltas } = assemble([
        [delta(0, "1", { name: "t", arguments: text.slice(0, first) })],
        [delta(0, undefined, { arguments: text.slice(first, second) })],
        [delta(0, undefined, { name: "", arguments: text.slice(second) })],
      ]);
      const expected = [{ id: "1", name: "t", arguments: text }];
      assertEquals(calls, expected);
      assertEquals(fromDeltas(deltas), expected);
    }
  }
});

Deno.test("tool calls: without ids each gets its own", () => {
  const { calls } = assemble([
    [delta(0, undefined, { name: "a", arguments: "{}" })],
    [delta(1, "", { name: "b", arguments: "{}" })],
  ]);
  assertEquals(calls.map(({ name }) => name), ["a", "b"]);
  assertEquals(calls.every(({ id }) => id !== ""), true);
  assertEquals(new Set(calls.map(({ id }) => id)).size, 2);
});

Deno.test("tool calls: results of the assembler are not shared", () => {
  const assembler = new ToolCallAssembler();
  assembler.feed([delta(0, "1", { name: "t", arguments: "{" })]);
  const [early] = assembler.calls();
  assembler.feed([delta(0, undefined, { arguments: "}" })]);
  assertEquals(early?.arguments, "{");
  assertEquals(assembler.calls()[0]?.arguments, "{}");
});

Deno.test("tool calls: in a whole answer every entry is a call, numbered or not", () => {
  const entries = (indexes: readonly unknown[], ids: readonly unknown[]) =>
    [WEATHER, TIME].map(({ name, arguments: text }, at) =>
      delta(indexes[at], ids[at], { name, arguments: text })
    );
  const numberings = [[undefined, undefined], [0, 1], [0, 0], [2, 2], [1, 0], ["0", "1"]];
  for (const indexes of numberings) {
    const assembler = new ToolCallAssembler();
    assembler.feedWhole(entries(indexes, [WEATHER.id, TIME.id]));
    assertEquals(assembler.calls(), [WEATHER, TIME]);
    // Even without ids these are two calls.
    const nameless = new ToolCallAssembler();
    nameless.feedWhole(entries(indexes, [undefined, ""]));
    assertEquals(nameless.calls().map(({ name }) => name), [WEATHER.name, TIME.name]);
    assertEquals(new Set(nameless.calls().map(({ id }) => id)).size, 2);
  }
  for (const nothing of [undefined, null, [], "x", {}, [null], [delta(0, "")]]) {
    const assembler = new ToolCallAssembler();
    assembler.feedWhole(nothing);
    assertEquals(assembler.calls(), []);
  }
});

Deno.test("tool calls: fifty thousand take no longer per call than one", () => {
  const assembler = new ToolCallAssembler();
  const count = 50_000;
  for (let at = 0; at < count; at++) {
    assembler.feed([delta(0, `c${at}`, { name: "t", arguments: "{}" })]);
  }
  // Quadratic time would take minutes.
  assertEquals(assembler.calls().length, count);
});
