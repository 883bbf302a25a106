/**
 * Typed objects: what is sent, which part of an answer is the object, what is an error and what the error contains; with
 * zod 4, Valibot, ArkType and plain JSON Schema.
 */
import {
  assert,
  assertEquals,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
} from "@std/assert";
import { assertType, type IsExact } from "@std/testing/types";
import { toStandardJsonSchema } from "npm:@valibot/to-json-schema@^1.8.0";
import { type } from "npm:arktype@^2.2.9";
import * as v from "npm:valibot@^1.5.0";
import * as z from "zod";
import {
  InvalidRequestError,
  type JsonSchema,
  LMStudioProvider,
  ModelNotAvailableError,
  type ObjectRequest,
  type ObjectResponse,
  ParseError,
  type StandardSchema,
} from "../mod.ts";
import {
  createFakeLMStudio,
  type FakeLMStudioOptions,
  type FakeReply,
} from "../src/testing/mod.ts";

type Body = Record<string, unknown> & {
  messages: { role: string; content: unknown }[];
  response_format: { type: string; json_schema: { name: string; schema: Record<string, unknown> } };
};

const person = z.object({ name: z.string(), born: z.number().int() });
const ADA = { name: "Ada", born: 1815 };

/** A provider with a fake that gives these answers, and the bodies of its completion requests. */
function connect(replies: readonly FakeReply[] = [], options: FakeLMStudioOptions = {}) {
  const fake = createFakeLMStudio({ replies, ...options });
  const bodies = (): Body[] =>
    fake.requests.filter(({ method }) => method === "POST").map(({ body }) => body as Body);
  return { lmstudio: new LMStudioProvider({ fetch: fake.fetch, env: {} }), bodies, fake };
}

/** The error of a call. */
async function failure(
  replies: readonly FakeReply[],
  request: Partial<ObjectRequest<StandardSchema | JsonSchema>> = {},
): Promise<{ error: ParseError; bodies: Body[] }> {
  const { lmstudio, bodies } = connect(replies);
  const error = await assertRejects(
    () => lmstudio.completeObject({ messages: "Who was Ada?", schema: person, ...request }),
    ParseError,
  );
  assertEquals([error.code, error.kind, error.retriable], ["malformed_response", "parse", false]);
  return { error, bodies: bodies() };
}

// --- Types ------------------------------------------------------------------------------------

Deno.test("objects: the type is the schema's output", () => {
  const { lmstudio } = connect();
  const ask = <S extends StandardSchema | JsonSchema>(schema: S) =>
    lmstudio.completeObject({ messages: "Hi", schema });
  /** Compiled, not run. */
  const types = async () => {
    const ofZod = await ask(
      z.object({ n: z.string().transform(Number), o: z.string().optional() }),
    );
    assertType<IsExact<typeof ofZod.object, { n: number; o?: string | undefined }>>(true);
    const ofValibot = await ask(
      toStandardJsonSchema(v.object({ n: v.pipe(v.string(), v.transform(Number)) })),
    );
    assertType<IsExact<typeof ofValibot.object, { n: number }>>(true);
    const ofArk = await ask(type({ n: "string.numeric.parse", "list?": "string[]" }));
    assertType<IsExact<typeof ofArk.object, { n: number; list?: string[] }>>(true);
    const ofPlain = await ask({ type: "object" });
    assertType<IsExact<typeof ofPlain.object, unknown>>(true);
    const ofList = await ask(z.array(z.number()));
    assertType<IsExact<typeof ofList, ObjectResponse<number[]>>>(true);
    // @ts-expect-error a schema is needed
    await lmstudio.completeObject({ messages: "Hi" });
    // @ts-expect-error a name is text
    ofZod.object.n.trim();
    // @ts-expect-error text alone has no schema
    await lmstudio.completeObject("Hi");
  };
  assertEquals(typeof types, "function");
});

// --- What is sent, and what comes back --------------------------------------------------------

Deno.test("objects: the schema is sent, and the answer is validated", async () => {
  const { lmstudio, bodies } = connect([JSON.stringify({ ...ADA, more: true })]);
  const { object, response } = await lmstudio.completeObject({
    messages: [{ role: "system", content: "Be brief." }, "Who was Ada?"],
    schema: person,
    schemaName: "person",
    temperature: 0,
  });
  assertEquals(object, ADA);
  assertEquals([response.finishReason, JSON.parse(response.content).more], ["stop", true]);
  const [body] = bodies();
  assertEquals(body?.response_format.type, "json_schema");
  assertEquals(body?.response_format.json_schema.name, "person");
  assertEquals(body?.response_format.json_schema.schema.required, ["name", "born"]);
  assertEquals([body?.temperature, body?.maxRepairs, body?.stream], [0, undefined, undefined]);
  assertEquals(bodies().length, 1);
});

for (
  const [library, schema] of [
    ["zod", z.object({ n: z.string().transform(Number), d: z.number().default(3) })],
    [
      "Valibot",
      toStandardJsonSchema(
        v.object({ n: v.pipe(v.string(), v.transform(Number)), d: v.optional(v.number(), 3) }),
      ),
    ],
    ["ArkType", type({ n: "string.numeric.parse", d: "number = 3" })],
  ] as const
) {
  Deno.test(`objects: with ${library}, the input schema is sent and the output returned`, async () => {
    const { lmstudio, bodies } = connect(['{"n": "5"}', '{"n": 5}']);
    const ask = () => lmstudio.completeObject({ messages: "Hi", schema: schema as StandardSchema });
    assertEquals((await ask()).object, { n: 5, d: 3 });
    const sent = bodies()[0]?.response_format.json_schema.schema;
    assertEquals((sent?.properties as { n: { type: string } }).n.type, "string");
    assertEquals(sent?.required, ["n"]);
    const error = await assertRejects(ask, ParseError);
    assertEquals(error.issues?.map(({ path }) => path), [["n"]]);
    assert((error.issues?.[0]?.message ?? "").length > 3);
    assertStringIncludes(error.message, "the answer does not match the schema: n: ");
    assertEquals(error.partial?.content, '{"n": 5}');
  });

  Deno.test(`objects: the fake answers with what ${library}'s schema requires`, async () => {
    const schemas = {
      zod: z.object({
        list: z.array(z.enum(["a", "b"])).min(1),
        pair: z.tuple([z.string(), z.number()]),
      }),
      Valibot: toStandardJsonSchema(
        v.object({
          list: v.pipe(v.array(v.picklist(["a", "b"])), v.minLength(1)),
          pair: v.tuple([v.string(), v.number()]),
        }),
      ),
      ArkType: type({ list: "('a'|'b')[] >= 1", pair: ["string", "number"] }),
    };
    const { lmstudio } = connect();
    const { object } = await lmstudio.completeObject({
      messages: "Hi",
      schema: schemas[library] as StandardSchema,
    });
    assertEquals(object, { list: ["a"], pair: ["text", 0] });
  });
}

interface Tree {
  v: string;
  kids: Tree[];
}
const tree: z.ZodType<Tree> = z.object({
  v: z.string(),
  get kids() {
    return z.array(tree);
  },
});

Deno.test("objects: a recursive schema refers to itself by name, with an object at the top level", async () => {
  const recursive: [string, StandardSchema, unknown][] = [
    ["zod", tree, { v: "a", kids: [{ v: "b", kids: [] }] }],
    ["ArkType", type.module({ link: { v: "string", "next?": "link" } }).link, {
      v: "a",
      next: { v: "b" },
    }],
  ];
  for (const [library, schema, value] of recursive) {
    const { lmstudio, bodies } = connect([JSON.stringify(value)]);
    assertEquals((await lmstudio.completeObject({ messages: "Hi", schema })).object, value);
    const sent = bodies()[0]?.response_format.json_schema.schema ?? {};
    assertEquals([sent.type, sent.$ref], ["object", undefined], library);
    const references = [...JSON.stringify(sent).matchAll(/"\$ref":"([^"]*)"/g)].map(([, to]) => to);
    assert(references.length > 0);
    for (const reference of references) {
      const [, name = ""] = /^#\/definitions\/(\w+)$/.exec(reference ?? "") ?? [];
      assert(Object.hasOwn(sent.definitions as object, name), `${library}: ${reference}`);
    }
    const { object } = await connect().lmstudio.completeObject({ messages: "Hi", schema });
    assertEquals((object as { v: string }).v, "text", library);
  }
});

Deno.test("objects: fields named like keywords are not keywords", async () => {
  const written = {
    type: "object",
    properties: {
      $ref: { const: { $ref: "#" } },
      default: { $ref: "#" },
      self: { type: "array", items: { $ref: "#" }, default: [{ $ref: "#" }] },
    },
    $defs: { self: { type: "string" } },
  };
  const schema: StandardSchema = {
    "~standard": {
      version: 1,
      vendor: "mine",
      validate: (value) => ({ value }),
      jsonSchema: { input: () => written, output: () => ({}) },
    },
  };
  const { lmstudio, bodies } = connect(["{}"]);
  await lmstudio.completeObject({ messages: "Hi", schema });
  const sent = bodies()[0]?.response_format.json_schema.schema as typeof written & {
    $defs: { self_: typeof written };
  };
  assertEquals(sent.properties.$ref, { const: { $ref: "#" } });
  assertEquals(sent.properties.default, { $ref: "#/$defs/self_" });
  assertEquals(sent.properties.self, {
    type: "array",
    items: { $ref: "#/$defs/self_" },
    default: [{ $ref: "#" }],
  });
  assertEquals(sent.$defs.self, { type: "string" });
  assertEquals(sent.$defs.self_.properties, sent.properties);
});

Deno.test("objects: plain JSON Schema is sent unchanged, and the answer is only parsed", async () => {
  const schema = { type: "object", properties: { self: { $ref: "#" } }, required: ["self"] };
  const { lmstudio, bodies } = connect(['{"other": 1}']);
  const { object } = await lmstudio.completeObject({ messages: "Hi", schema });
  assertEquals(object, { other: 1 });
  assertEquals(bodies()[0]?.response_format.json_schema.schema, schema);
});

Deno.test("objects: what counts as JSON", async () => {
  const object = '{"name": "Ada", "born": 1815}';
  const taken = [
    object,
    ` \n\uFEFF${object}\n`,
    `\`\`\`json\n${object}\n\`\`\``,
    `\`\`\`\n${object}\n\`\`\`\n`,
    `\`\`\`json ${object}\`\`\``,
    `\`\`\`\`JSON\r\n${object}\r\n\`\`\`\``,
    `<think>\nBorn in {1815}?\n</think>\n\n${object}`,
  ];
  for (const reply of taken) {
    const { lmstudio } = connect([reply]);
    const answer = await lmstudio.completeObject({ messages: "Hi", schema: person });
    assertEquals(answer.object, ADA, reply);
  }
  const refused = [
    `Here you are: ${object}`,
    `${object} I hope that helps.`,
    `Here:\n\`\`\`json\n${object}\n\`\`\``,
    `\`\`\`json\n${object}\n\`\`\`\nThere.`,
    `\`\`\`json\n${object}`,
    "```",
    "``````",
    "I cannot answer that.",
    `${object}${object}`,
  ];
  for (const reply of refused) {
    const { error } = await failure([reply]);
    assertStringIncludes(error.message, "the answer is not JSON. Set `maxRepairs` ", reply);
    assertEquals(error.partial?.content, reply);
    assertEquals(error.finishReason, "stop");
    assertEquals(error.issues?.length, 1);
  }
});

Deno.test("objects: lists, strings and numbers, if the schema asks for them", async () => {
  const cases: [StandardSchema | JsonSchema, string, unknown][] = [
    [z.array(z.number()), "[1, 2]", [1, 2]],
    [z.enum(["yes", "no"]), '"yes"', "yes"],
    [z.boolean(), "true", true],
    [z.null(), "null", null],
    [{ type: "number" }, "12", 12],
  ];
  for (const [schema, reply, value] of cases) {
    const { lmstudio } = connect([reply]);
    const { object } = await lmstudio.completeObject({ messages: "Hi", schema });
    assertEquals(object, value);
  }
});

Deno.test("objects: a model that writes the object into its reasoning", async () => {
  const { lmstudio } = connect([{ content: "", reasoning: JSON.stringify(ADA) }]);
  const { object, response } = await lmstudio.completeObject({ messages: "Hi", schema: person });
  assertEquals(object, ADA);
  assertEquals(response.content, "");
  const invalid = await failure([{ content: "", reasoning: '{"name": 5}' }], { maxRepairs: 0 });
  assertEquals(invalid.error.issues?.length, 2);
  // A number within the reasoning is not an answer.
  for (const reasoning of ["Ada, I think.", "1815"]) {
    const { error } = await failure([{ content: " \n", reasoning }], {
      schema: { type: "number" },
    });
    assertStringIncludes(error.message, "the model wrote reasoning but no answer");
    assertStringIncludes(error.hint, 'reasoning: "off"');
    assertEquals(error.partial?.reasoning, reasoning);
  }
});

// --- What is an error -------------------------------------------------------------------------

Deno.test("objects: the error for an answer that does not match has text, issues and finish reason", async () => {
  const content = '{"name": 5, "born": "1815"}';
  const { error, bodies } = await failure([content]);
  assertEquals(bodies.length, 1);
  assertEquals(error.issues?.map(({ path }) => path), [["name"], ["born"]]);
  assertEquals(error.issues?.map(({ message }) => message), [
    "Invalid input: expected string, received number",
    "Invalid input: expected number, received string",
  ]);
  assertEquals(error.partial, { content, toolCalls: [] });
  assertEquals([error.finishReason, error.response?.content], ["stop", content]);
  assert((error.response?.usage?.totalTokens ?? 0) > 0);
  assertEquals([error.attempts, error.service, error.bodySnippet], [1, "LM Studio", content]);
  assertEquals(error.endpoint, "http://127.0.0.1:1234/v1/chat/completions");
  assertStringIncludes(
    error.message,
    "the answer does not match the schema: name: Invalid input: expected string, received number; " +
      "born: Invalid input: expected number, received string. Set `maxRepairs` ",
  );
});

Deno.test("objects: a logged error does not show the answer, or only its start", async () => {
  const long = "x".repeat(5000);
  const schema = z.object({
    keys: z.record(z.string(), z.number()),
    list: z.array(
      z.string().refine((text) => text === "", { error: ({ input }) => `not ${input}` }),
    ),
  });
  const content = JSON.stringify({ keys: { [long]: "a" }, list: [long, long, long] });
  const { error } = await failure([content], { schema });
  assertEquals(error.issues?.length, 4);
  assert(error.message.length < 800, error.message);
  assertStringIncludes(error.message, "; and 1 more");
  assertEquals(JSON.parse(JSON.stringify(error)).issues, undefined);
  assert(!Deno.inspect({ ...error }).includes("xxx"));
});

Deno.test("objects: text of the answer quoted in an issue is not in the message", async () => {
  // ArkType quotes the value.
  const schema = type({
    email: "string.email",
    phone: "number < 5",
    kind: "'a' | 'b'",
    born: "string",
  });
  const content = '{"email":"ada at lovelace","phone":4915512345,"kind":"string","born":1815}';
  const { error } = await failure([content], { schema });
  for (const words of ["ada", "lovelace", "4915512345"]) {
    assert(!`${Deno.inspect(error)}${JSON.stringify(error)}`.includes(words), error.message);
  }
  // The message still says what is expected, and the program has the full text.
  assertStringIncludes(error.message, "born must be a string (was a number)");
  assertEquals(error.issues?.length, 4);
  assertStringIncludes(JSON.stringify(error.issues), "ada at lovelace");
});

Deno.test("objects: neither prompt nor API token is in the message", async () => {
  const secret = "The launch code is 4711-0815";
  const token = "sk-lm-abcdefgh12345678";
  const fake = createFakeLMStudio({
    apiToken: token,
    replies: [JSON.stringify({ name: `${secret} ${token}` })],
  });
  const lmstudio = new LMStudioProvider({ fetch: fake.fetch, env: {}, apiToken: token });
  // ArkType quotes the value.
  const schema = type({ name: "string.email" });
  const error = await assertRejects(
    () => lmstudio.completeObject({ messages: secret, schema }),
    ParseError,
  );
  assertStringIncludes(error.message, "name: ");
  for (const text of [error.message, JSON.stringify(error), error.bodySnippet ?? ""]) {
    assert(!text.includes("4711") && !text.includes("abcdefgh"), text);
  }
});

Deno.test("objects: an answer cut at the limit is reported as such, and is not repaired", async () => {
  const content = '{"name": "Ada, Coun';
  const limited = await failure([{ content, finishReason: "length" }], {
    maxTokens: 8,
    maxRepairs: 3,
  });
  assertStringIncludes(limited.error.message, "the answer was cut off at maxTokens (8) before");
  assertStringIncludes(limited.error.hint, "Raise `maxTokens`");
  assertEquals([limited.error.finishReason, limited.error.partial?.content], ["length", content]);
  assertEquals([limited.bodies.length, limited.error.issues?.length], [1, 1]);

  const full = await failure([{ content, finishReason: "length" }]);
  assertStringIncludes(full.error.message, "the answer was cut off at the context length before");
  const thinking = await failure([{ reasoning: "Hm, ", content: "", finishReason: "length" }], {
    maxTokens: 2,
  });
  assertStringIncludes(thinking.error.hint, "reasoning counts towards the limit");
  // 18 of 1815.
  const number = await failure([{ content: "18", finishReason: "length" }], { schema: z.number() });
  assertEquals(number.error.finishReason, "length");
});

Deno.test("objects: complete JSON is accepted even if the answer was cut after it", async () => {
  const { lmstudio } = connect([{
    content: `${JSON.stringify(ADA)}\n\n\n`,
    finishReason: "length",
  }]);
  const { object } = await lmstudio.completeObject({ messages: "Hi", schema: person });
  assertEquals(object, ADA);
});

Deno.test("objects: a model that calls tools instead", async () => {
  const tools = [{ name: "weather" }, { name: "now" }];
  const reply: FakeReply = { toolCalls: [{ name: "weather" }, { name: "weather" }] };
  const { error, bodies } = await failure([reply], { tools, maxRepairs: 2 });
  assertStringIncludes(error.message, 'the model called "weather" instead of answering');
  assertStringIncludes(error.hint, 'toolChoice: "none"');
  assertEquals([error.finishReason, error.partial?.toolCalls.length], ["tool_calls", 2]);
  assertEquals((bodies[0]?.tools as unknown[]).length, 2);
  assertEquals(bodies.length, 1);
});

Deno.test("objects: a validator that is slow, throws, rejects or returns nothing", async () => {
  const late = z.object({
    name: z.string().refine(async (name) => await Promise.resolve(name) === "Ada"),
  });
  const { lmstudio } = connect(['{"name":"Ada"}', '{"name":"Bob"}']);
  const ask = () => lmstudio.completeObject({ messages: "Hi", schema: late });
  assertEquals((await ask()).object, { name: "Ada" });
  assertEquals((await assertRejects(ask, ParseError)).issues?.map(({ path }) => path), [["name"]]);

  const thrown = new RangeError("my secret");
  const validators: [validate: unknown, cause?: unknown][] = [
    [() => {
      throw thrown;
    }, thrown],
    [() => Promise.reject(thrown), thrown],
    [() => undefined],
    [() => 5],
    [() => ({ issues: [null] })],
  ];
  for (const [validate, cause] of validators) {
    const schema = {
      "~standard": { ...z.object({})["~standard"], validate },
    } as unknown as StandardSchema;
    const { error } = await failure(["{}"], { schema });
    assertStringIncludes(error.message, "validating the answer threw ");
    assert(!error.message.includes("secret"));
    if (cause !== undefined) assertStrictEquals(error.cause, cause);
    assertEquals([error.issues?.length, error.partial?.content], [1, "{}"]);
  }
});

Deno.test("objects: a validator that refuses without a reason", async () => {
  for (const issues of [[], 5]) {
    const schema = {
      "~standard": { ...person["~standard"], validate: () => ({ issues }) },
    } as unknown as StandardSchema;
    const { error } = await failure(["{}"], { schema });
    assertStringIncludes(error.message, "the schema: Rejected without a reason.");
  }
});

Deno.test("objects: with a schema that has no validator the answer is only parsed", async () => {
  const { validate: _, ...standard } = person["~standard"];
  const schema = { "~standard": standard } as unknown as StandardSchema;
  const { lmstudio } = connect(["[1]"]);
  assertEquals((await lmstudio.completeObject({ messages: "Hi", schema })).object, [1]);
});

// --- Repairs ----------------------------------------------------------------------------------

Deno.test("objects: a repair sends the model its answer and the issues", async () => {
  const wrong = '{"name": "Ada", "born": "1815"}';
  const { lmstudio, bodies } = connect([wrong, "Sorry!", JSON.stringify(ADA)]);
  const schema = person.extend({ tags: z.array(z.object({ t: z.string() })).optional() });
  const messages = ["Who was Ada?", { role: "system" as const, content: "Be brief." }];
  const { object, response } = await lmstudio.completeObject({ messages, schema, maxRepairs: 2 });
  assertEquals(object, ADA);
  assertEquals(response.content, JSON.stringify(ADA));
  const [first, second, third] = bodies();
  assertEquals(bodies().length, 3);
  assertEquals(second?.messages.slice(0, 2), first?.messages);
  assertEquals(second?.messages[2], { role: "assistant", content: wrong });
  assertEquals(second?.messages[3]?.role, "user");
  assertStringIncludes(
    String(second?.messages[3]?.content),
    "- born: Invalid input: expected number, received string\n",
  );
  // Only the last answer is sent: contexts are small.
  assertEquals(third?.messages.map(({ content }) => content).slice(0, 3), [
    "Who was Ada?",
    "Be brief.",
    "Sorry!",
  ]);
  assertStringIncludes(String(third?.messages[3]?.content), "not JSON");
  assertEquals(third?.response_format, first?.response_format);
  assertEquals([third?.model, messages.length], [first?.model, 2]);
});

Deno.test("objects: repairs are limited, and the error is about the last answer", async () => {
  const replies = ["one", "", '{"name": 3}'];
  const { error, bodies } = await failure(replies, { maxRepairs: 2 });
  assertEquals([bodies.length, error.attempts, error.partial?.content], [3, 3, '{"name": 3}']);
  assertStringIncludes(
    error.message,
    "the answer does not match the schema after 2 repairs: name: ",
  );
  // It was already repaired.
  assertEquals(error.hint.includes("maxRepairs"), false);
  // An empty answer is not repeated to the model.
  assertEquals(bodies[2]?.messages.map(({ role }) => role), ["user", "user"]);
});

Deno.test("objects: of many issues the model gets the first ones, with their paths", async () => {
  const schema = z.array(z.object({ "a b": z.object({ c: z.number() }) }));
  const wrong = JSON.stringify(Array.from({ length: 30 }, () => ({ "a b": { c: "x" } })));
  const { lmstudio, bodies } = connect([wrong, "[]"]);
  await lmstudio.completeObject({ messages: "Hi", schema, maxRepairs: 1 });
  const told = String(bodies()[1]?.messages.at(-1)?.content).split("\n");
  assertStringIncludes(told[1] ?? "", '- [0]["a b"].c: Invalid input');
  assertEquals(told.filter((line) => line.startsWith("- [")).length, 20);
  assert(told.includes("- and 10 more"));
});

Deno.test("objects: the timeout covers the call and its repairs", async () => {
  const { lmstudio } = connect(Array.from({ length: 11 }, () => "no"), { firstTokenMs: 30 });
  const request = { messages: "Hi", schema: person, maxRepairs: 10 };
  const error = await assertRejects(() => lmstudio.completeObject(request, { timeoutMs: 75 }));
  assertEquals((error as { code?: string }).code, "timeout_total");
});

Deno.test("objects: a caller's abort ends the call, also between answers and while validating", async () => {
  const reason = new Error("enough");
  const abort = new AbortController();
  const never = {
    "~standard": { ...person["~standard"], validate: () => new Promise(() => abort.abort(reason)) },
  } as unknown as StandardSchema;
  const { lmstudio } = connect(["{}"]);
  const error = await assertRejects(() =>
    lmstudio.completeObject({ messages: "Hi", schema: never }, { signal: abort.signal })
  );
  assertStrictEquals(error, reason);

  const between = new AbortController();
  const fake = createFakeLMStudio({
    replies: () => {
      if (fake.requests.length > 2) between.abort(reason);
      return "no";
    },
  });
  const other = new LMStudioProvider({ fetch: fake.fetch, env: {} });
  const request = { messages: "Hi", schema: person, maxRepairs: 10 };
  const stopped = await assertRejects(() =>
    other.completeObject(request, { signal: between.signal })
  );
  assertStrictEquals(stopped, reason);
  assert(fake.requests.length < 5);
});

Deno.test("objects: an object from another model is refused", async () => {
  const { lmstudio } = connect([{ content: JSON.stringify(ADA), model: "other/model" }]);
  await assertRejects(
    () => lmstudio.completeObject({ messages: "Hi", schema: person }),
    ModelNotAvailableError,
    "answered instead",
  );
});

// --- What is refused --------------------------------------------------------------------------

Deno.test("objects: an invalid request is refused, and nothing is sent", async () => {
  const mini = {
    "~standard": { version: 1, vendor: "zod", validate: (value: unknown) => ({ value }) },
  };
  const odd = (input: () => unknown) => ({
    "~standard": { ...mini["~standard"], jsonSchema: { input } },
  });
  const refused: [request: unknown, state: string, hint?: string][] = [
    ["Hi", "schema is missing", "`schema`"],
    [undefined, "the request is undefined"],
    [null, "the request is null"],
    [{ messages: "Hi" }, "schema is missing", "complete()"],
    [{ messages: "Hi", schema: undefined }, "schema is missing"],
    [{ messages: "Hi", schema: null }, "schema is null, not a schema"],
    [{ messages: "Hi", schema: "person" }, "schema is a string, not a schema"],
    [{ messages: "Hi", schema: [] }, "schema is an array, not a schema", "plain JSON Schema"],
    [{ messages: "Hi", schema: mini }, "cannot provide JSON Schema", "toStandardJsonSchema"],
    [
      { messages: "Hi", schema: v.object({}) },
      "made with valibot, cannot provide JSON Schema",
    ],
    [{ messages: "Hi", schema: z.object({ at: z.date() }) }, "cannot be written as JSON Schema"],
    [
      { messages: "Hi", schema: toStandardJsonSchema(v.object({ at: v.date() })) },
      "made with valibot, cannot be written as JSON Schema",
    ],
    [{ messages: "Hi", schema: odd(() => undefined) }, "cannot be written as JSON Schema"],
    [{ messages: "Hi", schema: odd(() => "{}") }, "cannot be written as JSON Schema"],
    [{ messages: "Hi", schema: odd(() => Promise.resolve({})) }, "cannot be written"],
    [{ messages: "Hi", schema: person, maxRepairs: 11 }, "maxRepairs is 11, not a whole number"],
    [{ messages: "Hi", schema: person, maxRepairs: -1 }, "maxRepairs is -1"],
    [{ messages: "Hi", schema: person, maxRepairs: 0.5 }, "maxRepairs is 0.5"],
    [{ messages: "Hi", schema: person, maxRepairs: "1" }, 'maxRepairs is "1"'],
    [{ messages: "Hi", schema: person, maxRepair: 1 }, 'did you mean "maxRepairs"?'],
    [{ messages: "Hi", schema: person, max_tokens: 1 }, 'did you mean "maxTokens"?'],
    [{ messages: "", schema: person }, "messages cannot be empty"],
    [
      { messages: "Hi", schema: person, extraBody: { response_format: { type: "json_object" } } },
      'extraBody may not set "response_format"',
    ],
  ];
  const { lmstudio, fake } = connect();
  for (const [request, state, hint = ""] of refused) {
    const error = await assertRejects(
      () => lmstudio.completeObject(request as ObjectRequest<JsonSchema>),
      InvalidRequestError,
      state,
    );
    assertStringIncludes(error.message, "Cannot complete an object: ");
    assertStringIncludes(error.hint, hint);
    assertEquals(error.attempts, 0);
  }
  const options = { timeout: 5 } as Record<string, unknown>;
  await assertRejects(
    () => lmstudio.completeObject({ messages: "Hi", schema: person }, options),
    InvalidRequestError,
    'unknown option "timeout"',
  );
  assertEquals(fake.requests.length, 0);
});
