/**
 * Schemas from every zod version in use, and values that are not schemas: raw shapes, fields without `properties`, JSON
 * Schema with values that JSON cannot hold. Only this file imports old versions: nothing published depends on them.
 */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { type } from "npm:arktype@^2.2.9";
import * as v from "npm:valibot@^1.5.0";
import * as z from "zod";
import * as mini from "zod/mini";
import z322 from "npm:zod@3.22.4";
import z325 from "npm:zod@3.25.76";
import * as z325v4 from "npm:zod@3.25.76/v4";
import * as z325mini from "npm:zod@3.25.76/v4-mini";
import * as z400 from "npm:zod@4.0.0";
import * as z405 from "npm:zod@4.0.5";
import * as mini405 from "npm:zod@4.0.5/mini";
import * as z41 from "npm:zod@4.1.12";
import * as z45 from "npm:zod@4.5.0";
import { InvalidRequestError, type JsonSchema, LMStudioProvider, tool } from "../mod.ts";
import { createFakeLMStudio, type FakeReply } from "../src/testing/mod.ts";

function connect(replies: readonly FakeReply[] = []) {
  const fake = createFakeLMStudio({ replies });
  const bodies = () =>
    fake.requests.filter(({ method }) => method === "POST")
      .map(({ body }) => body as Record<string, unknown>);
  return { lmstudio: new LMStudioProvider({ fetch: fake.fetch, env: {} }), bodies };
}

interface Asked {
  readonly properties: Record<string, Record<string, unknown>>;
  readonly required: string[];
  readonly description?: string;
  readonly [keyword: string]: unknown;
}

function askedOf(body: Record<string, unknown> | undefined): Asked {
  const format = body?.response_format as { json_schema: { schema: Asked } };
  return format.json_schema.schema;
}

/** The part of zod 4 that is the same in all of its versions. */
type Zod4 = Pick<
  typeof z,
  "object" | "string" | "number" | "array" | "enum" | "discriminatedUnion" | "literal"
>;

const CLASSIC = { z400, z405, z41, z45, z325v4, z } as unknown as Record<string, Zod4>;

function trip(zod: Zod4) {
  return zod.object({
    city: zod.string().min(1).describe("Where to"),
    days: zod.number().int().default(3),
    by: zod.array(zod.enum(["train", "ship"])).optional(),
    stay: zod.discriminatedUnion("kind", [
      zod.object({ kind: zod.literal("hotel"), stars: zod.number() }),
      zod.object({ kind: zod.literal("tent") }),
    ]),
  }).meta({ description: "A trip" });
}

const ANSWER = { city: "Oslo", stay: { kind: "tent" } };

for (const [name, zod] of Object.entries(CLASSIC)) {
  Deno.test(`schemas: ${name} is sent with its descriptions, and validated`, async () => {
    const { lmstudio, bodies } = connect([{ content: JSON.stringify(ANSWER) }]);
    const { object } = await lmstudio.completeObject({ messages: "Hi", schema: trip(zod) });
    // The schema's defaults show that it validated the answer.
    assertEquals(object, { city: "Oslo", days: 3, stay: { kind: "tent" } });
    const asked = askedOf(bodies()[0]);
    assertEquals(asked.required, ["city", "stay"]);
    assertEquals(asked.properties.city, { type: "string", minLength: 1, description: "Where to" });
    assertEquals(asked.properties.days?.default, 3);
    assertEquals(asked.properties.by?.items, { type: "string", enum: ["train", "ship"] });
    assert("oneOf" in (asked.properties.stay ?? {}) || "anyOf" in (asked.properties.stay ?? {}));
    assertEquals(asked.description, "A trip");
  });
}

const MINI = { mini, mini405, z325mini } as unknown as Record<string, typeof mini>;

for (const [name, zod] of Object.entries(MINI)) {
  Deno.test(`schemas: ${name} is sent and validated, and a tool gets its arguments`, async () => {
    const schema = zod.object({
      city: zod.string().check(zod.minLength(2)),
      days: zod._default(zod.number(), 3),
    });
    const call = { name: "rain", arguments: '{"city":"Oslo"}' };
    const { lmstudio, bodies } = connect([
      { content: '{"city":"O"}' },
      { content: '{"city":"Oslo"}' },
      { toolCalls: [call] },
      { content: "Rain." },
    ]);
    const { object } = await lmstudio.completeObject({ messages: "Hi", schema, maxRepairs: 1 });
    assertEquals(object, { city: "Oslo", days: 3 });
    assertEquals(askedOf(bodies()[0]).properties, {
      city: { type: "string", minLength: 2 },
      days: { type: "number", default: 3 },
    });
    const given: unknown[] = [];
    await lmstudio.runTools({
      messages: "Rain?",
      tools: [tool({ name: "rain", parameters: schema, execute: (args) => void given.push(args) })],
    });
    assertEquals(given, [{ city: "Oslo", days: 3 }]);
    const [{ function: sent } = { function: undefined }] = bodies()[2]?.tools as {
      function: { parameters: Asked };
    }[];
    assertEquals(sent?.parameters.required, ["city"]);
  });
}

Deno.test("schemas: a recursive schema of an old zod has references that engines know", async () => {
  const node = z405.object({
    name: z405.string(),
    get children() {
      return z405.array(node);
    },
  });
  const { lmstudio, bodies } = connect([{ content: '{"name":"a","children":[]}' }]);
  await lmstudio.completeObject({ messages: "Hi", schema: node });
  const items = askedOf(bodies()[0]).properties.children?.items;
  assertEquals(items, { $ref: "#/definitions/self" });
});

Deno.test("schemas: every method that accepts tools or a schema accepts those of an old zod", async () => {
  const parameters = z405.object({ city: z405.string() });
  const tools = [{ name: "rain", parameters }];
  const { lmstudio, bodies } = connect(Array.from({ length: 5 }, () => ({ content: "Hi." })));
  await lmstudio.complete({ messages: "Hi", tools, schema: parameters });
  await lmstudio.streamCompletion({ messages: "Hi", tools }).response();
  await lmstudio.streamTools({ messages: "Hi", tools }).result();
  await lmstudio.responses.create({ input: "Hi", tools });
  await lmstudio.responses.stream({ input: "Hi", tools }).response();
  const found = bodies().map(({ tools }) => JSON.stringify(tools));
  assertEquals(found.length, 5);
  for (const text of found) assertStringIncludes(text, '"properties":{"city":{"type":"string"}}');
});

Deno.test("schemas: additions by the caller during conversion apply to the next request", async () => {
  const { lmstudio, bodies } = connect([{ content: "Hi." }]);
  const messages = ["one"];
  const tools = [{ name: "a", parameters: z405.object({}) }];
  const answer = lmstudio.complete({ messages, tools });
  messages.push("two");
  tools.push({ name: "b", parameters: z405.object({}) });
  await answer;
  assertEquals(bodies()[0]?.messages, [{ role: "user", content: "one" }]);
  assertEquals((bodies()[0]?.tools as unknown[]).length, 1);
});

// --- What is refused --------------------------------------------------------------------------

const REFUSED: [what: string, schema: unknown, state: string, hint: string][] = [
  ["zod 3.22", z322.object({ a: z322.string() }), ", made with zod 3, cannot", "zod/v4"],
  [
    "zod 3 of 3.25",
    z325.object({}),
    ", made with zod 3, cannot provide JSON Schema",
    "npm:zod@4",
  ],
  ["a date of an old zod", z405.object({ at: z405.date() }), "cannot be written as JSON", "plain"],
  ["a raw shape", { name: z.string() }, '"name"', "z.object({ … })"],
  ["a raw shape of an old zod", { born: z405.number() }, '"born"', "z.object({ … })"],
  ["a raw shape of zod/mini", { name: mini.string() }, '"name"', "z.object({ … })"],
  [
    "a raw shape of zod 3",
    { name: z322.string() },
    "is a schema made with zod 3: a raw",
    "z.object(",
  ],
  [
    "a raw shape of Valibot",
    { name: v.string() },
    "is a schema made with valibot: a raw",
    "v.object(",
  ],
  [
    "a raw shape of ArkType",
    { name: type("string") },
    "is a schema made with arktype",
    "type({ … })",
  ],
  [
    "a raw shape with the names of keywords",
    { title: z.string(), type: z.string() },
    '"title"',
    "",
  ],
  ["one field that is a schema", { type: "object", name: z.string() }, '"name"', "z.object"],
  [
    "schemas of a library within JSON Schema",
    { type: "object", properties: { name: z.string() } },
    "properties.name",
    "z.object",
  ],
  ["definitions of ArkType", { name: "string", age: "number" }, '"name", "age"', "properties"],
  ["fields alone", { city: { type: "string" } }, 'found "city"', '{ type: "object"'],
  ["fields named as keywords", { title: { type: "string" } }, '"title"', "properties"],
  ["a field named type", { type: { type: "string" }, n: {} }, '"type"', "properties"],
  ["constructors", { name: String, age: Number }, "is a function", "JSON Schema"],
  ["a constructor within", { type: "object", properties: { a: { type: Date } } }, "a.type", ""],
  ["a regular expression", { type: "string", pattern: /a/ }, "pattern", ""],
  ["a name that is not there", { type: "object", required: [undefined] }, "required[0]", ""],
  ["a hole", { enum: ["a", , "b"] }, "enum[1]", ""],
  ["a number that is none", { type: "number", maximum: NaN }, "maximum", ""],
  ["a promise", Promise.resolve({}), " is an instance of Promise", "plain JSON Schema"],
  ["OpenAI's frame", { name: "x", strict: true, schema: { type: "object" } }, '"strict"', "inner"],
];

for (const [what, schema, state, hint] of REFUSED) {
  Deno.test(`schemas: ${what} is refused as schema and as parameters`, async () => {
    const { lmstudio, bodies } = connect();
    const wrong = schema as JsonSchema;
    const tools = [{ name: "rain", parameters: wrong }];
    const calls: [string, () => Promise<unknown>][] = [
      ["unsupported_response_format", () => lmstudio.complete({ messages: "m", schema: wrong })],
      [
        "unsupported_response_format",
        () => lmstudio.completeObject({ messages: "m", schema: wrong }),
      ],
      ["invalid_tool_schema", () => lmstudio.complete({ messages: "m", tools })],
      ["invalid_tool_schema", () => lmstudio.streamCompletion({ messages: "m", tools }).response()],
      ["invalid_tool_schema", () => lmstudio.runTools({ messages: "m", tools })],
      ["invalid_tool_schema", () => lmstudio.responses.create({ input: "m", tools })],
    ];
    for (const [code, call] of calls) {
      const error = await assertRejects(call, InvalidRequestError);
      assertStringIncludes(error.message, state);
      assertStringIncludes(error.hint, hint);
      assertEquals([error.code, error.attempts], [code, 0]);
      if (code === "invalid_tool_schema") assertStringIncludes(error.message, 'tool "rain"');
    }
    assertEquals(bodies(), []);
  });
}

Deno.test("schemas: a type that JSON Schema does not have is refused", async () => {
  const { lmstudio, bodies } = connect();
  const refused: [schema: unknown, state: string, hint: string][] = [
    [{ type: "json_schema", json_schema: { schema: {} } }, '"json_schema", not one of', "inner"],
    [{ type: "OBJECT", properties: {} }, '"OBJECT", not one of object, array', ""],
    [{ type: ["string", "undefined"] }, '"undefined", not one of', ""],
  ];
  for (const [schema, state, hint] of refused) {
    const error = await assertRejects(
      () => lmstudio.completeObject({ messages: "m", schema: schema as JsonSchema }),
      InvalidRequestError,
    );
    assertStringIncludes(error.message, `the type of schema is ${state}`);
    assertStringIncludes(error.hint, hint);
  }
  const error = await assertRejects(
    () => lmstudio.completeObject({ messages: "m", schema: Promise.resolve({}) as JsonSchema }),
    InvalidRequestError,
  );
  assertStringIncludes(error.message, ": schema is an instance of Promise");
  assertEquals(bodies(), []);
});

Deno.test("schemas: plain JSON Schema is sent unchanged, custom keywords included", async () => {
  const shared = { type: "string" };
  const schemas: JsonSchema[] = [
    {},
    { $ref: "#/$defs/a", $defs: { a: { type: "object" } } },
    { properties: { title: { type: "string" }, type: { enum: ["a", null] } } },
    { anyOf: [{ type: "object" }, { type: "null" }] },
    { type: "object", properties: { a: shared, b: shared }, additionalProperties: false },
    // `undefined` means absent, as everywhere.
    { type: "object", description: undefined },
    { type: "object", "x-order": ["a"] } as JsonSchema,
    Object.assign(Object.create(null), { type: "object", default: { at: new Date(0) } }),
  ];
  const { lmstudio, bodies } = connect(schemas.map(() => ({ content: "{}" })));
  for (const schema of schemas) await lmstudio.completeObject({ messages: "Hi", schema });
  assertEquals(bodies().map(askedOf) as unknown[], JSON.parse(JSON.stringify(schemas)));
});

// --- Types ------------------------------------------------------------------------------------

declare const lmstudio: LMStudioProvider;

/** Compiled, not run. */
function compiles(..._: unknown[]): void {}

Deno.test("schemas: a raw shape does not compile", () => {
  const shape = { name: z.string() };
  const wrong = () => {
    // @ts-expect-error z.object({ … })
    lmstudio.completeObject({ messages: "m", schema: shape });
    // @ts-expect-error z.object({ … })
    lmstudio.completeObject({ messages: "m", schema: { name: z.string() } });
    // @ts-expect-error z.object({ … })
    lmstudio.complete({ messages: "m", schema: shape });
    // @ts-expect-error z.object({ … })
    lmstudio.complete({ messages: "m", schema: { title: z.string(), items: z.array(z.string()) } });
    // @ts-expect-error z.object({ … })
    lmstudio.complete({ messages: "m", tools: [{ name: "t", parameters: shape }] });
    // @ts-expect-error z.object({ … })
    tool({ name: "t", parameters: shape });
    // @ts-expect-error z.object({ … })
    tool({ name: "t", parameters: { name: z405.string() }, execute: () => {} });
    // @ts-expect-error v.object({ … })
    tool({ name: "t", parameters: { name: v.string() } });
    // @ts-expect-error type({ … })
    tool({ name: "t", parameters: { name: "string" } });
    // @ts-expect-error zod 4
    tool({ name: "t", parameters: z322.object({ name: z322.string() }) });
  };
  compiles(wrong);
});

Deno.test("schemas: JSON Schema compiles, however it is typed", () => {
  interface Draft7 {
    $id?: string;
    type?: "object" | "string";
    properties?: { [name: string]: Draft7 | boolean };
    items?: Draft7 | boolean | (Draft7 | boolean)[];
    required?: string[];
  }
  const use = (draft7: Draft7, record: Record<string, unknown>, listed: {
    [field: string]: unknown;
    type: "object";
    properties?: { [name: string]: object } | undefined;
    required?: string[] | undefined;
  }) => {
    for (const schema of [draft7, record, listed]) {
      lmstudio.complete({ messages: "m", schema, tools: [{ name: "t", parameters: schema }] });
      lmstudio.completeObject({ messages: "m", schema });
      tool({ name: "t", parameters: schema });
    }
    const read: Record<string, unknown> = {} as JsonSchema;
    return read;
  };
  compiles(use);
});
