/** A server must neither fill the memory nor hold a call forever: we bound every body. */
import { assert, assertEquals, assertInstanceOf, assertLess } from "@std/assert";
import {
  ApiError,
  LMStudioProvider,
  type LMStudioProviderOptions,
  ParseError,
  type PartialAnswer,
  ProviderError,
  StreamError,
} from "../mod.ts";
import { CHAT } from "../src/api/chat.ts";
import { COMPLETIONS } from "../src/api/completions.ts";
import { RESPONSES } from "../src/api/responses.ts";
import type { StreamedCall } from "../src/api/route.ts";
import { TEXT } from "../src/api/text.ts";
import { thinkTags } from "../src/api/think_splitter.ts";
import { Transport } from "../src/transport/transport.ts";
import { inFakeTime, Puppet } from "./support/puppet.ts";
import { rawServer } from "./support/raw_server.ts";
import { answer, gate, rejection, token } from "./support/wire.ts";

const KIB = 1024;
const encoder = new TextEncoder();

function provider(options: LMStudioProviderOptions): LMStudioProvider {
  return new LMStudioProvider({ model: "m", env: {}, maxRetries: 0, ...options });
}

/** A body that never ends, made as it is read. */
class Endless {
  bytes = 0;
  isCancelled = false;
  readonly #chunk: Uint8Array<ArrayBuffer>;
  readonly #start: Uint8Array<ArrayBuffer>;

  constructor(chunk: string, start = "") {
    this.#chunk = encoder.encode(chunk);
    this.#start = encoder.encode(start);
  }

  stream(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return new ReadableStream({
      pull: (controller) => {
        const chunk = this.bytes === 0 && this.#start.length > 0 ? this.#start : this.#chunk;
        this.bytes += chunk.length;
        controller.enqueue(chunk);
      },
      cancel: () => void (this.isCancelled = true),
    }, { highWaterMark: 0 });
  }

  fetch(status: number, headers: Record<string, string> = {}): typeof fetch {
    return () => Promise.resolve(new Response(this.stream(), { status, headers }));
  }
}

Deno.test("an error's body is read up to 64 KiB, and the rest is dropped", async () => {
  for (const status of [400, 401, 404, 500, 503]) {
    for (const start of ["", '{"error":{"message":"', "<html>"]) {
      const body = new Endless("x".repeat(16 * KIB), start);
      const lmstudio = provider({ fetch: body.fetch(status) });
      const error = await rejection(lmstudio.complete("Hello"));
      assertInstanceOf(error, ProviderError);
      assertEquals(error.status, status);
      assertLess(body.bytes, 64 * KIB + 2 * 16 * KIB);
      assert(body.isCancelled);
      assertLess(error.message.length, 600);
    }
  }
});

Deno.test("an error's body is bounded for streams as well", async () => {
  const body = new Endless("x".repeat(16 * KIB));
  const lmstudio = provider({ fetch: body.fetch(500) });
  const error = await rejection(lmstudio.streamCompletion("Hello").response());
  assertInstanceOf(error, ApiError);
  assertLess(body.bytes, 64 * KIB + 2 * 16 * KIB);
  assert(body.isCancelled);
});

Deno.test("a redirect's body is bounded", async () => {
  const body = new Endless("x".repeat(16 * KIB));
  const headers = { location: "http://127.0.0.1:1/" };
  const error = await rejection(provider({ fetch: body.fetch(307, headers) }).complete("Hello"));
  assertInstanceOf(error, ApiError);
  assertLess(body.bytes, 64 * KIB + 2 * 16 * KIB);
  assert(body.isCancelled);
});

Deno.test("a server that writes an endless error is cut off", async () => {
  const left = gate();
  await using server = rawServer(async (connection) => {
    await connection.request();
    await connection.startChunked(500);
    while (await connection.chunk("x".repeat(64 * KIB)));
    left.open();
  });
  const error = await rejection(provider({ baseUrl: server.url }).complete("Hello"));
  assertInstanceOf(error, ApiError);
  await left.opened;
});

Deno.test("an error whose body does not end is thrown after 5 s, with the part received so far", async () => {
  await inFakeTime(async (pass) => {
    const puppet = new Puppet();
    const lmstudio = provider({ fetch: puppet.fetch, connectTimeoutMs: Infinity });
    const rejected = rejection(lmstudio.complete("Hello"));
    await pass(0);
    puppet.last.respond(500);
    puppet.last.send("engine on fire");
    await pass(4999);
    assert(!puppet.last.isCancelled);
    await pass(1);
    const error = await rejected;
    assertInstanceOf(error, ApiError);
    assertEquals([error.code, error.status], ["server_error", 500]);
    assert(error.message.includes("engine on fire"));
    assert(puppet.last.isCancelled);
  });
});

Deno.test("timeoutMs and abort apply while an error's body is read", async () => {
  for (const end of ["timeout", "abort"]) {
    await inFakeTime(async (pass) => {
      const puppet = new Puppet();
      const lmstudio = provider({ fetch: puppet.fetch, connectTimeoutMs: Infinity });
      const controller = new AbortController();
      const options = end === "abort" ? { signal: controller.signal } : { timeoutMs: 100 };
      const rejected = rejection(lmstudio.complete("Hello", options));
      await pass(0);
      puppet.last.respond(500);
      puppet.last.send("x");
      await pass(100);
      controller.abort("enough");
      const error = await rejected;
      if (end === "abort") assertEquals(error, "enough");
      else assertEquals((error as ProviderError).code, "timeout_total");
      assert(puppet.last.isCancelled);
    });
  }
});

Deno.test("an error whose body breaks off is thrown with the part received so far", async () => {
  await using server = rawServer(async (connection) => {
    await connection.request();
    await connection.respond(500, "engine on fire", { "content-length": "1000" });
  });
  const error = await rejection(provider({ baseUrl: server.url }).complete("Hello"));
  assertInstanceOf(error, ApiError);
  assert(error.message.includes("engine on fire"));
});

Deno.test("an endless event is malformed_stream", async () => {
  for (const start of ["data: ", "event: ", "field: ", "data: {}\ndata: "]) {
    const body = new Endless("x".repeat(1024 * KIB), start);
    const lmstudio = provider({ fetch: body.fetch(200) });
    const error = await rejection(lmstudio.streamCompletion("Hello").response());
    assertInstanceOf(error, StreamError);
    assertEquals([error.code, error.retriable], ["malformed_stream", false]);
    assertLess(body.bytes, 19 * KIB * KIB);
    assert(body.isCancelled);
  }
});

Deno.test("an endless event keeps the chunks before it", async () => {
  const body = new Endless("x".repeat(1024 * KIB), token("Once upon") + "data: ");
  const stream = provider({ fetch: body.fetch(200) }).streamCompletion("Hello");
  const error = await rejection(stream.response());
  assertInstanceOf(error, StreamError);
  assertEquals(error.partial, { content: "Once upon", toolCalls: [] });
});

Deno.test("endless JSON instead of a stream is malformed_response", async () => {
  for (const start of ["{", "[", "<html>", "\n \ufeff{"]) {
    const body = new Endless("x".repeat(1024 * KIB), start);
    const lmstudio = provider({ fetch: body.fetch(200) });
    const error = await rejection(lmstudio.streamCompletion("Hello").response());
    assertInstanceOf(error, ProviderError);
    assertEquals(error.code, start === "<html>" ? "not_lm_studio" : "malformed_response");
    assertLess(body.bytes, 19 * KIB * KIB);
    assert(body.isCancelled);
  }
});

Deno.test("JSON instead of a stream is read, however it is cut", async () => {
  const whole = `\ufeff\r\n \t${answer("Hi")}\n`;
  const bytes = encoder.encode(whole);
  for (const size of [1, 2, 3, 7, bytes.length]) {
    let at = 0;
    const stream = new ReadableStream<Uint8Array<ArrayBuffer>>({
      pull: (controller) => {
        if (at >= bytes.length) return controller.close();
        controller.enqueue(bytes.slice(at, at += size));
      },
    });
    const lmstudio = provider({ fetch: () => Promise.resolve(new Response(stream)) });
    assertEquals((await lmstudio.streamCompletion("Hello").response()).content, "Hi");
  }
});

Deno.test("a stream may begin with white space and a byte order mark", async () => {
  for (const start of ["\n\n", "\ufeff", "\r\n", "\ufeff\n", " \n", "\t\n\n"]) {
    const text = start + token("Hi") + "data: [DONE]\n\n";
    for (const size of [1, text.length * 3]) {
      const bytes = encoder.encode(text);
      let at = 0;
      const stream = new ReadableStream<Uint8Array<ArrayBuffer>>({
        pull: (controller) => {
          if (at >= bytes.length) return controller.close();
          controller.enqueue(bytes.slice(at, at += size));
        },
      });
      const lmstudio = provider({ fetch: () => Promise.resolve(new Response(stream)) });
      assertEquals((await lmstudio.streamCompletion("Hello").response()).content, "Hi");
    }
  }
});

Deno.test("endless white space ends with the first-token timeout", async () => {
  const body = new Endless(" \n".repeat(KIB));
  const lmstudio = provider({ fetch: body.fetch(200), firstTokenTimeoutMs: 50 });
  // A body without pauses would leave no time for a timer, so this one pauses.
  const slow = body.stream.bind(body);
  body.stream = () =>
    slow().pipeThrough(
      new TransformStream({
        transform: async (chunk, controller) => {
          await new Promise((resolve) => setTimeout(resolve, 1));
          controller.enqueue(chunk);
        },
      }),
    );
  const error = await rejection(lmstudio.streamCompletion("Hello").response());
  assertInstanceOf(error, ProviderError);
  assertEquals(error.code, "timeout_first_token");
});

Deno.test("an answer beyond the bound is malformed_response, and is not retried", async () => {
  const body = new Endless("x".repeat(KIB), '{"a":"');
  let requests = 0;
  const transport = new Transport({
    baseUrl: "http://127.0.0.1:1234",
    service: "LM Studio",
    headers: {},
    connectTimeoutMs: 5000,
    firstTokenTimeoutMs: 5000,
    idleTimeoutMs: 5000,
    maxRetries: 2,
    env: {},
    fetch: (...input) => {
      requests++;
      return body.fetch(200)(...input);
    },
  }, 100 * KIB);
  const request = { method: "GET", path: "/x", policy: "read", action: "look" } as const;
  const error = await rejection(transport.json(request, {}, Infinity));
  assertInstanceOf(error, ParseError);
  assertEquals([error.code, requests, error.attempts], ["malformed_response", 1, 1]);
  assertEquals(
    error.message.split(".")[0],
    "Cannot look: the answer is larger than 102400 bytes",
  );
  assert((error.bodySnippet?.length ?? 999) <= 200);
  assertLess(body.bytes, 103 * KIB);
  assert(body.isCancelled);
});

Deno.test("an endless listing is cut off after 64 MiB per route", async () => {
  const limit = 64 * KIB * KIB;
  const body = new Endless(" ".repeat(KIB * KIB));
  const read: number[] = [];
  const fetch: typeof globalThis.fetch = () => {
    read.push(body.bytes);
    return Promise.resolve(new Response(body.stream()));
  };
  const error = await rejection(provider({ fetch }).listModels());
  assertInstanceOf(error, ParseError);
  assertEquals(error.code, "malformed_response");
  assert(error.message.includes(`is larger than ${limit} bytes`), error.message);
  read.push(body.bytes);
  for (const [route, start] of read.slice(0, -1).entries()) {
    assertLess(read[route + 1]! - start, limit + 4 * KIB * KIB);
  }
});

Deno.test("an answer as large as the bound is read", async () => {
  const text = JSON.stringify("x".repeat(98));
  const transport = new Transport({
    baseUrl: "http://127.0.0.1:1234",
    service: "LM Studio",
    headers: {},
    connectTimeoutMs: 5000,
    firstTokenTimeoutMs: 5000,
    idleTimeoutMs: 5000,
    maxRetries: 0,
    fetch: () => Promise.resolve(new Response(text)),
  }, text.length);
  const request = { method: "GET", path: "/x", policy: "read", action: "look" } as const;
  assertEquals((await transport.json(request, {}, Infinity)).value, "x".repeat(98));
});

// --- Not a stream ------------------------------------------------------------------------------

Deno.test("an answer that is not a stream is reported as such, not as an empty stream", async () => {
  const streamed = (body: string, type: string) => {
    const headers = { "content-type": type };
    const lmstudio = provider({ fetch: () => Promise.resolve(new Response(body, { headers })) });
    return rejection(lmstudio.streamCompletion("Hello").response());
  };
  for (const body of ["Internal Server Error", "oops", "null", "one\n\ntwo\n"]) {
    for (const type of ["text/plain", "application/json", ""]) {
      const error = await streamed(body, type);
      assertInstanceOf(error, ParseError);
      assertEquals([error.code, error.status], ["malformed_response", 200]);
      assertEquals([error.retriable, error.bodySnippet], [false, body.replace(/\s+/g, " ").trim()]);
    }
    const error = await streamed(body, "text/event-stream; charset=utf-8");
    assertInstanceOf(error, StreamError);
    assertEquals([error.code, error.retriable, error.status], ["malformed_stream", false, 200]);
  }
  for (const body of ["", "\n\n", ": ping\n\n", 'data: {"a', "data"]) {
    for (const type of ["text/plain", "text/event-stream"]) {
      const error = await streamed(body, type);
      assertInstanceOf(error, StreamError);
      assertEquals([error.code, error.status], ["stream_truncated", 200]);
    }
  }
});

Deno.test("an answer of another shape keeps its status", async () => {
  const fetch = () => Promise.resolve(new Response('{"x":1}', { status: 203 }));
  const lmstudio = provider({ fetch });
  const calls = [() => lmstudio.complete("Hi"), () => lmstudio.embed({ model: "m", input: "Hi" })];
  for (const call of calls) {
    const error = await rejection(call());
    assertInstanceOf(error, ParseError);
    assertEquals([error.code, error.status], ["malformed_response", 203]);
  }
});

// --- Text that never ends ----------------------------------------------------------------------

Deno.test("a stream's text is bounded like a whole answer, and the text so far is kept", async () => {
  const chunk = "x".repeat(KIB);
  const chat = (delta: object) => `data: ${JSON.stringify({ choices: [{ index: 0, delta }] })}\n\n`;
  const call = (name?: string) => ({
    tool_calls: [{
      index: 0,
      function: { ...(name === undefined ? {} : { name }), arguments: chunk },
    }],
  });
  const kinds: [name: string, start: string, chunk: string, kept: keyof PartialAnswer][] = [
    ["text", "", token(chunk), "content"],
    ["reasoning", "", chat({ reasoning_content: chunk }), "reasoning"],
    ["reasoning in the text", token("<think>"), token(chunk), "reasoning"],
    ["arguments", chat(call("look")), chat(call()), "toolCalls"],
  ];
  const open: [
    kind: string,
    start: string,
    chunk: string,
    kept: keyof PartialAnswer,
    stream: (call: StreamedCall<unknown>) => { fill(items: never[]): Promise<boolean> },
  ][] = [
    ...kinds.map(([name, start, text, kept]): (typeof open)[number] => [
      name,
      start,
      text,
      kept,
      (call) => COMPLETIONS.stream(call),
    ]),
    [
      "text completions",
      "",
      `data: ${JSON.stringify({ choices: [{ index: 0, text: chunk }] })}\n\n`,
      "content",
      (call) => TEXT.stream(call),
    ],
    [
      "the native chat",
      "",
      `data: ${JSON.stringify({ type: "message.delta", content: chunk })}\n\n`,
      "content",
      (call) => CHAT.stream(call),
    ],
    [
      "responses",
      "",
      `data: ${JSON.stringify({ type: "response.output_text.delta", delta: chunk })}\n\n`,
      "content",
      (call) => RESPONSES.stream(call),
    ],
  ];
  for (const [name, start, text, kept, stream] of open) {
    const body = new Endless(text, start);
    const transport = new Transport({
      baseUrl: "http://127.0.0.1:1234",
      service: "LM Studio",
      headers: {},
      connectTimeoutMs: 5000,
      firstTokenTimeoutMs: 5000,
      idleTimeoutMs: 5000,
      maxRetries: 0,
      fetch: body.fetch(200, { "content-type": "text/event-stream" }),
    }, 100 * KIB);
    const source = stream({ ...STREAMED_CALL, transport });
    const error = await rejection((async () => {
      while (!await source.fill([]));
    })());
    assertInstanceOf(error, StreamError, name);
    assertEquals([error.code, error.retriable], ["malformed_stream", false], name);
    assertEquals(
      error.message.split(".")[0],
      "Cannot stream: the answer is longer than 102400 characters",
    );
    const partial = error.partial?.[kept];
    const arrived = Array.isArray(partial) ? partial[0]?.arguments ?? "" : partial ?? "";
    assert(arrived.length >= 98 * KIB && arrived.length <= 101 * KIB, `${name}: ${arrived.length}`);
    assert(body.isCancelled, name);
  }
});

const STREAMED_CALL: Omit<StreamedCall<unknown>, "transport"> = {
  request: { method: "POST", path: "/x", body: {}, policy: "stateless", action: "stream" },
  options: {},
  tags: thinkTags(undefined),
  onAnsweredBy: () => {},
  onModelLoad: () => {},
};

Deno.test("listings: a model with a field nested five thousand deep is a model like any other", async () => {
  const deep = "[".repeat(5000) + "]".repeat(5000);
  const body = `{"models":[{"type":"llm","key":"m","field":${deep}}]}`;
  const fetch = () =>
    Promise.resolve(new Response(body, { headers: { "content-type": "application/json" } }));
  const provider = new LMStudioProvider({ env: {}, fetch });
  assertEquals((await provider.listModels()).map(({ id }) => id), ["m"]);
  assertEquals((await provider.models.get("m")).id, "m");
});
