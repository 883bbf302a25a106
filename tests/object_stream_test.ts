/** Objects while they are written: partial ones, then the validated one; otherwise like `completeObject`. */
import {
  assert,
  assertEquals,
  assertNotStrictEquals,
  assertRejects,
  assertStrictEquals,
  assertStringIncludes,
} from "@std/assert";
import { assertType, type IsExact } from "@std/testing/types";
import * as z from "zod";
import {
  type AnyProviderError,
  type CallOptions,
  type DeepPartial,
  type EventStream,
  InvalidRequestError,
  isProviderError,
  type JsonSchema,
  LMStudioProvider,
  ModelNotAvailableError,
  type ObjectRequest,
  type ObjectResponse,
  ParseError,
  type StandardSchema,
  StreamError,
} from "../mod.ts";
import { createFakeLMStudio, type FakeReply } from "../src/testing/mod.ts";
import { events, fetchOf, gate, serveStub } from "./support/stub_server.ts";
import { answer, event, FINISH, rejection, token } from "./support/wire.ts";

const CHAT = "POST /v1/chat/completions";
const person = z.object({ name: z.string(), born: z.number().int() });
const ADA = { name: "Ada", born: 1815 };

type AnySchema = StandardSchema | JsonSchema;

function connect(replies: readonly FakeReply[]) {
  const fake = createFakeLMStudio({ replies });
  return { fake, lmstudio: new LMStudioProvider({ fetch: fake.fetch, env: {}, maxRetries: 0 }) };
}

/** A stream of an answer with these events. */
function streamOf(
  body: Parameters<typeof events>[0],
  request: Partial<ObjectRequest<AnySchema>> = {},
  options?: CallOptions,
) {
  const lmstudio = new LMStudioProvider({
    env: {},
    fetch: fetchOf(events(body)),
    model: "m",
    maxRetries: 0,
  });
  return lmstudio.streamObject({ messages: "Who?", schema: person, ...request }, options);
}

/** All items, and the error that ended them, if any. */
async function drain<Item>(
  stream: AsyncIterable<Item>,
): Promise<{ items: Item[]; error: unknown }> {
  const items: Item[] = [];
  try {
    for await (const item of stream) items.push(item);
  } catch (error) {
    return { items, error };
  }
  return { items, error: undefined };
}

const CHUNKS = ['{"na', 'me": "A', "da", '", "born"', ": 18", "15", "}"].map(token);

// --- Types ------------------------------------------------------------------------------------

Deno.test("streamObject: items are partial at every depth, the final object is not", () => {
  const { lmstudio } = connect([]);
  const types = async () => {
    const schema = z.object({
      title: z.string(),
      author: z.object({ name: z.string(), born: z.number().nullable() }),
      tags: z.array(z.object({ word: z.string() })),
      pair: z.tuple([z.string(), z.object({ n: z.number() })]),
      kind: z.enum(["a", "b"]).optional(),
      any: z.unknown(),
    });
    const stream = lmstudio.streamObject({ messages: "Hi", schema });
    type Output = z.output<typeof schema>;
    type Item = typeof stream extends AsyncIterable<infer Item> ? Item : never;
    assertType<IsExact<Item, DeepPartial<Output>>>(true);
    assertType<
      IsExact<Item, {
        title?: string;
        author?: { name?: string; born?: number | null };
        tags?: { word?: string }[];
        pair?: [string?, { n?: number }?];
        kind?: "a" | "b" | undefined;
        any?: unknown;
      }>
    >(true);
    assertType<IsExact<typeof stream, EventStream<DeepPartial<Output>, ObjectResponse<Output>>>>(
      true,
    );
    for await (const { author, tags = [] } of stream) {
      author?.name?.trim();
      for (const { word } of tags) word?.trim();
      // @ts-expect-error it may not be there yet
      author.name;
    }
    assertType<IsExact<Awaited<ReturnType<typeof stream.response>>, ObjectResponse<Output>>>(true);
    assertType<IsExact<DeepPartial<string | Date | null>, string | Date | null>>(true);
    assertType<IsExact<DeepPartial<Record<string, { n: number }>>, Record<string, { n?: number }>>>(
      false,
    );
    assertType<IsExact<DeepPartial<readonly string[]>, string[]>>(true);
    assertType<IsExact<DeepPartial<unknown>, unknown>>(true);
    type Branded = string & z.BRAND<"id">;
    assertType<IsExact<DeepPartial<{ id: Branded }>, { id?: Branded }>>(true);
    // @ts-expect-error a schema is needed
    lmstudio.streamObject({ messages: "Hi" });
  };
  assertEquals(typeof types, "function");
});

// --- Items ------------------------------------------------------------------------------------

Deno.test("streamObject: the object as it grows, then the validated one", async () => {
  const schema = z.object({
    name: z.string().transform((name) => name.toUpperCase()),
    born: z.number().int(),
    tags: z.array(z.string()).default([]),
  });
  const stream = streamOf([...CHUNKS, FINISH], { schema });
  const { items, error } = await drain(stream);
  assertEquals(error, undefined);
  const validated = { name: "ADA", born: 1815, tags: [] };
  assertEquals(items, [
    {},
    { name: "A" },
    { name: "Ada" },
    { name: "Ada", born: 1815 },
    validated,
  ]);
  const { object, response } = await stream.response();
  assertEquals(object, validated);
  assertEquals(response.content, '{"name": "Ada", "born": 1815}');
  assertEquals(response.finishReason, "stop");
});

Deno.test("streamObject: items do not change later, and belong to the caller", async () => {
  const schema = z.object({ list: z.array(z.object({ n: z.number() })) });
  const stream = streamOf([...'{"list":[{"n":1},{"n":2}]}'].map(token).concat(FINISH), { schema });
  const seen: string[] = [];
  const kept: DeepPartial<z.output<typeof schema>>[] = [];
  for await (const item of stream as AsyncIterable<typeof kept[number]>) {
    seen.push(JSON.stringify(item));
    const copy = structuredClone(item);
    item.list?.push({ n: 99 });
    kept.push(copy);
  }
  assertEquals(kept.map((item) => JSON.stringify(item)), seen);
  assert(!seen.some((text) => text.includes("99")), seen.join());
  assertEquals(new Set(seen).size, seen.length - 1, "only the validated one is as the one before");
});

Deno.test("streamObject: no item for reasoning, for white space or for text after the object", async () => {
  const reasoning = event({ reasoning_content: '{"name":"Bob"}' });
  const { items } = await drain(
    streamOf([
      reasoning,
      token("<think>{}</think>"),
      token("\n```json\n"),
      token('{"name":"Ada",'),
      token("   "),
      token('"born":1815}'),
      token("\n```"),
      token("\n"),
      FINISH,
    ]),
  );
  assertEquals(items, [{ name: "Ada" }, ADA, ADA]);
});

Deno.test("streamObject: an object within the reasoning, lists and texts, and a server that does not stream", async () => {
  const reasoning = await drain(
    streamOf([event({ reasoning_content: JSON.stringify(ADA) }), FINISH]),
  );
  assertEquals(reasoning.items, [ADA]);
  const list = await drain(
    streamOf([token("[1,"), token("2]"), FINISH], { schema: z.array(z.number()) }),
  );
  assertEquals(list.items, [[1], [1, 2], [1, 2]]);
  const text = await drain(streamOf([token('"a'), token('b"'), FINISH], { schema: z.string() }));
  assertEquals(text.items, ["a", "ab", "ab"]);
  const number = await drain(streamOf([token("4"), token("2"), FINISH], { schema: z.number() }));
  assertEquals(number.items, [42]);
  const none = await drain(streamOf([token("null"), FINISH]));
  assertEquals([none.items, none.error instanceof ParseError], [[], true]);
  const plain = streamOf([token("{}"), FINISH], { schema: { type: "object" } });
  assertEquals((await drain(plain)).items, [{}, {}]);
  const whole = new LMStudioProvider({
    env: {},
    fetch: fetchOf({ body: answer(JSON.stringify(ADA)) }),
    model: "m",
  });
  const request = { messages: "Who?", schema: person };
  assertEquals((await drain(whole.streamObject(request))).items, [ADA, ADA]);
});

// --- As completeObject ------------------------------------------------------------------------

Deno.test("streamObject: sends the same request and fails the same way as completeObject", async () => {
  const thrown = new RangeError("mine");
  const throwing = {
    "~standard": {
      ...person["~standard"],
      validate: () => {
        throw thrown;
      },
    },
  } as unknown as StandardSchema;
  const cases: Record<string, [FakeReply[], Partial<ObjectRequest<AnySchema>>?]> = {
    "an object": [[JSON.stringify(ADA)], { schemaName: "person", temperature: 0 }],
    "no JSON": [["Ada, of course."]],
    "another object": [['{"name":"Ada","born":"1815"}']],
    "cut": [[JSON.stringify(ADA)], { maxTokens: 4 }],
    "nothing": [[{ content: "", reasoning: "Hm." }]],
    "calls": [[{ toolCalls: [{ name: "now" }] }], { tools: [{ name: "now" }] }],
    "a validator that throws": [["{}"], { schema: throwing }],
    "repaired": [["no", JSON.stringify(ADA)], { maxRepairs: 1 }],
    "repaired in vain": [['{"name":"Ada"}', "no", "{}"], { maxRepairs: 2 }],
    "another model": [[{ content: "{}", model: "other/model" }]],
  };
  for (const [name, [replies, more]] of Object.entries(cases)) {
    const request = { messages: "Who was Ada?", schema: person, ...more } as ObjectRequest<
      AnySchema
    >;
    const ran = await Promise.all([false, true].map(async (isStreamed) => {
      const { lmstudio, fake } = connect(replies);
      const answered = isStreamed
        ? lmstudio.streamObject(request).response()
        : lmstudio.completeObject(request);
      const seen = await answered.then(({ object, response }) => ({
        object,
        content: response.content,
        usage: response.usage,
      }), (error: AnyProviderError) => {
        assert(isProviderError(error), String(error));
        const { code, hint, partial, attempts, endpoint } = error;
        const parsed = error instanceof ParseError
          ? [error.issues, error.finishReason, error.response?.content, error.cause]
          : [];
        const message = error.message.replace("stream an object", "complete an object");
        return { code, hint, partial, attempts, endpoint, parsed, message };
      });
      const bodies = fake.requests.filter(({ method }) => method === "POST").map(({ body }) => {
        const { stream: _, stream_options: __, ...rest } = body as Record<string, unknown>;
        return rest;
      });
      return { seen, bodies };
    }));
    const [whole, streamed] = ran;
    assertEquals(streamed?.bodies, whole?.bodies, name);
    if (name !== "another model") assertEquals(streamed?.seen, whole?.seen, name);
    else {
      assertEquals((streamed?.seen as { code: string }).code, "model_substituted");
    }
  }
});

Deno.test("streamObject: an error follows the items before it, with the partial answer", async () => {
  const { items, error } = await drain(streamOf([...CHUNKS.slice(0, 4), FINISH]));
  assertEquals(items, [{}, { name: "A" }, { name: "Ada" }]);
  assert(error instanceof ParseError);
  assertStringIncludes(error.message, "Cannot stream an object with model");
  assertEquals(error.partial?.content, '{"name": "Ada", "born"');

  const cut = await drain(streamOf(CHUNKS.slice(0, 4)));
  assertEquals(cut.items, items);
  assert(cut.error instanceof StreamError);
  assertEquals([cut.error.code, cut.error.partial?.content], [
    "stream_truncated",
    '{"name": "Ada", "born"',
  ]);
});

Deno.test("streamObject: a repair starts over, and each item is independent", async () => {
  const { lmstudio, fake } = connect(['{ "name": "Bob" }', '{ "name": "Ada", "born": 1815 }']);
  const stream = lmstudio.streamObject({ messages: "Who?", schema: person, maxRepairs: 1 });
  const { items, error } = await drain(stream);
  assertEquals(error, undefined);
  const begins = items.flatMap((item, index) => Object.keys(item).length === 0 ? [index] : []);
  assertEquals(begins.length, 2);
  assertEquals(items[begins[1]! - 1], { name: "Bob" });
  assertEquals(items.at(-1), ADA);
  assertEquals((await stream.response()).response.content, '{ "name": "Ada", "born": 1815 }');
  const [, last] = fake.requests.filter(({ method }) => method === "POST");
  assertStringIncludes(JSON.stringify(last?.body), "- born: ");
});

Deno.test("streamObject: a repair that breaks off does not lose the answer before it", async () => {
  let asked = 0;
  const fetch: typeof globalThis.fetch = async (input, init) => {
    const { url } = new Request(input, init);
    if (!url.endsWith("/completions")) return new Response("{}", { status: 404 });
    const reply = ++asked % 2 === 1
      ? events(token('{"name":"Bob"}') + FINISH)
      : { status: 500, body: '{"error":"out of memory"}' };
    return await fetchOf(reply)(input, init);
  };
  const lmstudio = new LMStudioProvider({ env: {}, fetch, model: "m", maxRetries: 0 });
  const request = { messages: "Who?", schema: person, maxRepairs: 3 };
  const { items, error } = await drain(lmstudio.streamObject(request));
  assertEquals(items, [{ name: "Bob" }]);
  assert(isProviderError(error));
  assertEquals(error.partial?.content, '{"name":"Bob"}');
});

Deno.test("streamObject: an invalid request is refused at the first pull, and nothing is sent", async () => {
  const { lmstudio, fake } = connect([]);
  const refused: [request: unknown, state: string][] = [
    [{ messages: "Hi" }, "schema is missing"],
    [undefined, "the request is undefined"],
    [{ messages: "Hi", schema: person, maxRepairs: 11 }, "maxRepairs is 11"],
    [{ messages: "Hi", schema: z.object({ at: z.date() }) }, "cannot be written as JSON Schema"],
    [{ messages: "Hi", schema: person, max_tokens: 1 }, 'did you mean "maxTokens"?'],
  ];
  for (const [request, state] of refused) {
    const stream = lmstudio.streamObject(request as ObjectRequest<JsonSchema>);
    const error = await rejection(stream[Symbol.asyncIterator]().next());
    assert(error instanceof InvalidRequestError);
    assertStringIncludes(error.message, "Cannot stream an object: ");
    assertStringIncludes(error.message, state);
    await assertRejects(() => stream.response(), InvalidRequestError);
  }
  assertEquals(fake.requests.length, 0);
});

// --- A stream as any other --------------------------------------------------------------------

Deno.test("streamObject: starts at the first pull, has one consumer, and stops when the loop ends", async () => {
  const more = gate();
  await using server = serveStub({
    [CHAT]: events([CHUNKS[0]!, CHUNKS[1]!, more.opened, ...CHUNKS.slice(2), FINISH]),
  });
  const lmstudio = new LMStudioProvider({ baseUrl: server.url, env: {}, model: "m" });
  const stream = lmstudio.streamObject({ messages: "Who?", schema: person });
  await new Promise((resolve) => setTimeout(resolve, 20));
  assertEquals(server.requests.length, 0);
  await stream.started();
  for await (const item of stream) if ("name" in item) break;
  const [request] = server.on(CHAT);
  await request?.left;
  const error = await rejection(stream.response());
  assert(error instanceof StreamError);
  assertEquals(error.partial?.content, '{"name": "A');
  await assertRejects(
    () => stream[Symbol.asyncIterator]().next(),
    InvalidRequestError,
    "already has a consumer",
  );
  more.open();
});

Deno.test("streamObject: an abort ends it, also while validating and before a repair", async () => {
  const reason = new Error("enough");
  const abort = new AbortController();
  const never = {
    "~standard": { ...person["~standard"], validate: () => new Promise(() => abort.abort(reason)) },
  } as unknown as StandardSchema;
  const stream = streamOf([token("{}"), FINISH], { schema: never }, { signal: abort.signal });
  const { items, error } = await drain(stream);
  assertStrictEquals(error, reason);
  assertEquals(items, [{}]);

  const { fake } = connect(["{}", "{}", "{}"]);
  const left = new LMStudioProvider({ fetch: fake.fetch, env: {} }).streamObject({
    messages: "Hi",
    schema: {
      "~standard": { ...never["~standard"], validate: () => left.cancel(reason) },
    } as never,
    maxRepairs: 2,
  });
  assertStrictEquals(await rejection(left.response()), reason);
  assertEquals(fake.requests.filter(({ method }) => method === "POST").length, 1);
});

Deno.test("streamObject: as a web stream", async () => {
  const items: unknown[] = [];
  await streamOf([...CHUNKS, FINISH]).toReadableStream().pipeTo(
    new WritableStream({ write: (item) => void items.push(item) }),
  );
  assertEquals([items[0], items.at(-1)], [{}, ADA]);
  assertNotStrictEquals(items.at(-1), items.at(-2));
});

Deno.test("streamObject: another model's object is refused, and no part of it is yielded", async () => {
  const { lmstudio } = connect([{ content: JSON.stringify(ADA), model: "other/model" }]);
  const { items, error } = await drain(
    lmstudio.streamObject({ messages: "Hi", schema: person }),
  );
  assertEquals(items, []);
  assert(error instanceof ModelNotAvailableError);
});
