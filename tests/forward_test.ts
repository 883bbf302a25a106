/** The `fetch` of `toOpenAI()`: what it sends, returns and refuses. */
import { assert, assertEquals, assertInstanceOf, assertStringIncludes } from "@std/assert";
import {
  ApiError,
  InvalidRequestError,
  isProviderError,
  LMStudioProvider,
  type LMStudioProviderOptions,
  NetworkError,
  type OpenAIClientOptions,
  ParseError,
  StreamError,
  TimeoutError,
} from "../mod.ts";
import { inFakeTime, Puppet } from "./support/puppet.ts";
import { deafServer, rawServer } from "./support/raw_server.ts";
import { cut, events, fetchOf, serveStub, type StubAnswer } from "./support/stub_server.ts";
import { answer, event, FINISH, rejection, token } from "./support/wire.ts";

const TOKEN = "sk-lm-abcd1234:abcdefghij0123456789";
const CHAT = "http://127.0.0.1:1234/v1/chat/completions";
const EMBEDDINGS = "http://127.0.0.1:1234/v1/embeddings";
const STREAM = post({ model: "m", messages: [], stream: true });

function openAI(options: LMStudioProviderOptions): OpenAIClientOptions {
  return new LMStudioProvider({ env: {}, ...options }).toOpenAI();
}

/** A request as clients send it. */
function post(body: unknown, headers: Record<string, string> = {}): RequestInit {
  return {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(body),
  };
}

/** Gives every request this answer. */
function answering(reply: StubAnswer): OpenAIClientOptions["fetch"] {
  return openAI({ fetch: fetchOf(reply) }).fetch;
}

/** What is sent for this request. */
async function sent(
  options: LMStudioProviderOptions,
  input: Parameters<typeof fetch>[0],
  init?: RequestInit,
): Promise<{ url: string; init: RequestInit; headers: Headers }> {
  const puppet = new Puppet();
  const { fetch } = openAI({ ...options, fetch: puppet.fetch });
  const pending = fetch(input, init);
  while (puppet.calls.length === 0) await new Promise((resolve) => setTimeout(resolve));
  const { url, init: seen } = puppet.last;
  puppet.last.respond();
  puppet.last.end();
  await (await pending).text();
  return { url, init: seen, headers: new Headers(seen.headers) };
}

// --- What is sent ------------------------------------------------------------------------------

Deno.test("forward: the provider's base URL and API token, or a placeholder", () => {
  const pick = (options: LMStudioProviderOptions) => {
    const { baseURL, apiKey } = openAI(options);
    return [baseURL, apiKey];
  };
  assertEquals(pick({}), ["http://127.0.0.1:1234/v1", "lm-studio"]);
  assertEquals(pick({ baseUrl: "my-host/v1/", apiToken: TOKEN }), [
    "http://my-host:1234/v1",
    TOKEN,
  ]);
  assertEquals(pick({ baseUrl: "https://host/lm/api/v1" })[0], "https://host/lm/v1");
});

Deno.test("forward: strings, URLs and Requests with any kind of body arrive unchanged", async () => {
  const form = new FormData();
  form.set("file", new Blob(["text"]), "a.txt");
  const bodies: [BodyInit, string][] = [
    ['{"a":"ä"}', '{"a":"ä"}'],
    [new TextEncoder().encode('{"a":"ä"}'), '{"a":"ä"}'],
    [new TextEncoder().encode("bytes").buffer, "bytes"],
    [new Blob(["blob"]), "blob"],
    [new URLSearchParams({ a: "b c" }), "a=b+c"],
    [new Blob(["str", "eam"]).stream(), "stream"],
    [form, 'name="file"'],
  ];
  for (const [body, text] of bodies) {
    const { init } = await sent({}, new URL(CHAT), { method: "POST", body });
    assertStringIncludes(await new Response(init.body).text(), text);
    const { init: again, headers } = await sent({}, CHAT, {
      method: "PUT",
      headers: { "content-type": "x/y" },
      body: text,
    });
    assertEquals([again.method, headers.get("content-type")], ["PUT", "x/y"]);
  }
  const request = new Request(`${CHAT}?a=b`, post({ model: "m" }, { "x-a": "1" }));
  const { url, init, headers } = await sent({}, request);
  assertEquals([url, init.method], [`${CHAT}?a=b`, "POST"]);
  assertEquals([headers.get("x-a"), headers.get("content-type")], ["1", "application/json"]);
  assertEquals(await new Response(init.body).text(), '{"model":"m"}');
  const bare = await sent({}, "http://127.0.0.1:1234/v1/models");
  assertEquals([bare.init.method, bare.init.body], ["GET", undefined]);
});

Deno.test("forward: a body that is a stream, and a form, reach a server", async () => {
  const seen: string[] = [];
  await using server = rawServer(async (connection) => {
    seen.push(await connection.request());
    await connection.respond(200, "{}", { connection: "close" });
  });
  const { baseURL, fetch } = openAI({ baseUrl: server.url });
  const form = new FormData();
  form.set("a", "b");
  const init = { method: "POST", duplex: "half" };
  for (const body of [new Blob(['{"a":1}']).stream(), form]) {
    await (await fetch(`${baseURL}/files`, { ...init, body })).text();
  }
  assertStringIncludes(seen[0] ?? "", '{"a":1}');
  assertStringIncludes(seen[1] ?? "", 'name="a"');
  assert(/content-type: multipart\/form-data; *boundary=/i.test(seen[1] ?? ""));
});

Deno.test("forward: the client's other fetch options are passed on", async () => {
  const dispatcher = {};
  const init = { ...post({}), dispatcher, keepalive: true, redirect: "follow" } as RequestInit;
  const { init: seen } = await sent({}, CHAT, init);
  const { dispatcher: kept, keepalive, redirect } = seen as Record<string, unknown>;
  assertEquals([kept === dispatcher, keepalive, redirect], [true, true, "manual"]);
});

Deno.test("forward: the provider's headers are used unless the client has its own", async () => {
  const headers = { "x-tenant": "blue", "x-trace": "provider" };
  const { headers: seen } = await sent({ headers }, CHAT, post({}, { "X-Trace": "client" }));
  assertEquals([seen.get("x-tenant"), seen.get("x-trace")], ["blue", "client"]);
});

Deno.test("forward: the provider authenticates unless the client has its own key", async () => {
  const authorization = async (options: LMStudioProviderOptions, client?: string) => {
    const own: Record<string, string> = client === undefined ? {} : { authorization: client };
    return (await sent(options, CHAT, post({}, own))).headers.get("authorization");
  };
  const placeholder = "Bearer lm-studio";
  assertEquals(await authorization({}, placeholder), null);
  assertEquals(await authorization({}, "bearer  lm-studio"), null);
  assertEquals(await authorization({}), null);
  assertEquals(await authorization({ apiToken: TOKEN }), `Bearer ${TOKEN}`);
  assertEquals(await authorization({ apiToken: TOKEN }, `Bearer ${TOKEN}`), `Bearer ${TOKEN}`);
  assertEquals(await authorization({ apiToken: TOKEN }, placeholder), `Bearer ${TOKEN}`);
  assertEquals(await authorization({ apiToken: "lm-studio" }, placeholder), placeholder);
  assertEquals(await authorization({ apiToken: TOKEN }, "Bearer other"), "Bearer other");
  const proxied = { apiToken: TOKEN, headers: { Authorization: "Basic eA==" } };
  assertEquals(await authorization(proxied, `Bearer ${TOKEN}`), "Basic eA==");
});

Deno.test("forward: no other address is requested, so that no API token gets there", async () => {
  const puppet = new Puppet();
  const { fetch } = openAI({
    baseUrl: "http://my-host:1234/lm",
    apiToken: TOKEN,
    fetch: puppet.fetch,
  });
  const addresses = [
    "http://other-host:1234/lm/v1/models",
    "http://my-host:1235/lm/v1/models",
    "https://my-host:1234/lm/v1/models",
    "http://my-host:1234/v1/models",
    "http://my-host:1234/lmx/v1/models",
    "http://my-host:1234/lm/../v1/models",
    "http://my-host:1234/lm/%2e%2e/v1/models",
    "http://my-host:1234@other-host/lm/v1/models",
    "data:text/plain,hello",
  ];
  for (const address of addresses) {
    const error = await rejection(fetch(address, post({}, { authorization: `Bearer ${TOKEN}` })));
    assertInstanceOf(error, InvalidRequestError);
    assertStringIncludes(error.hint, "`baseURL`");
    assert(!JSON.stringify(error).includes(TOKEN));
  }
  assertInstanceOf(await rejection(fetch("/v1/models")), InvalidRequestError);
  assertEquals(puppet.calls.length, 0);
});

Deno.test("forward: a key in the query is sent, and shown nowhere", async () => {
  const puppet = new Puppet();
  const { fetch } = openAI({ fetch: puppet.fetch });
  const failed = rejection(fetch(`${CHAT}?key=secret-1#secret-2`, post({})));
  while (puppet.calls.length === 0) await new Promise((resolve) => setTimeout(resolve));
  assertEquals(puppet.last.url, `${CHAT}?key=secret-1`);
  puppet.last.fail(new TypeError("fetch failed"));
  const error = await failed;
  assertInstanceOf(error, NetworkError);
  assertEquals(error.endpoint, CHAT);
  assert(!JSON.stringify(error).includes("secret"));
});

// --- What comes back ---------------------------------------------------------------------------

Deno.test("forward: an answer is returned with its status, headers and body", async () => {
  for (const status of [200, 400, 401, 404, 429, 500, 503]) {
    const body = status === 200 ? answer("Hi") : '{"error" : {"message": "No."}}';
    let requests = 0;
    const { fetch } = openAI({
      fetch: (input, init) => {
        requests++;
        return fetchOf({ status, body, headers: { "x-request-id": "7" } })(input, init);
      },
    });
    const response = await fetch(CHAT, post({ model: "m" }));
    assertEquals([response.status, response.ok], [status, status === 200]);
    assertEquals(response.headers.get("x-request-id"), "7");
    assertEquals(await response.text(), body);
    // The client has its own retries.
    assertEquals(requests, 1);
  }
});

Deno.test("forward: bodies that are not text, and missing ones, are returned unchanged", async () => {
  const bytes = new Uint8Array([0, 255, 128, 10]);
  const binary = { headers: { "content-type": "audio/mpeg" }, body: [bytes] };
  const response = await answering(binary)(CHAT, post({}));
  assertEquals(new Uint8Array(await response.arrayBuffer()), bytes);
  const { fetch } = openAI({ fetch: () => Promise.resolve(new Response(null, { status: 204 })) });
  const empty = await fetch(CHAT, post({}));
  assertEquals([empty.status, empty.body], [204, null]);
  const notJson = await answering({ body: "{ not JSON" })(CHAT, post({}));
  assertEquals(await notJson.text(), "{ not JSON");
});

Deno.test("forward: an error under 200 becomes a 400 with the same body, except for texts", async () => {
  const errors = [
    '{"error":"Unexpected endpoint or method. (POST /v1/x)"}',
    '{"error":{"message":"No.","type":"t","param":null,"code":"c"}}',
    ' \n{"type":"error","error":{"type":"api_error","message":"No."}}',
    '{"id":"resp_1","status":"failed","error":{"code":"server_error","message":"No."}}',
  ];
  const wrapped = '{"error":{"message":"Unexpected endpoint or method. (POST /v1/x)"}}';
  const types = ["application/json; charset=utf-8", "text/plain", "text/html"];
  for (const body of errors) {
    for (const type of types) {
      for (const init of [STREAM, post({ model: "m" }), {}]) {
        const response = await answering({ body, headers: { "content-type": type } })(CHAT, init);
        const isText = typeof JSON.parse(body).error === "string";
        assertEquals([response.status, await response.text()], [400, isText ? wrapped : body]);
        const json = "application/json; charset=utf-8";
        assertEquals(response.headers.get("content-type"), isText ? json : type);
      }
    }
  }
});

Deno.test("forward: a text error becomes an object, under every status and in streams", async () => {
  const cases: [body: string, expected: string][] = [
    ['{"error":"No models loaded."}', '{"error":{"message":"No models loaded."}}'],
    [' {\n"error" : "Größe \\"x\\"" }\n', '{"error":{"message":"Größe \\"x\\""}}'],
    ['{"error":"No.","code":7}', '{"error":{"message":"No."},"code":7}'],
    ['{"error":{"message":"No.","error":"x"}}', '{"error":{"message":"No.","error":"x"}}'],
    ['{"error":[{"message":"No."}]}', '{"error":[{"message":"No."}]}'],
    ['{"error":""}', '{"error":""}'],
    ['{"detail":"Not Found"}', '{"detail":"Not Found"}'],
    ['<html>"error":"x"</html>', '<html>"error":"x"</html>'],
    ['{"error":"cut', '{"error":"cut'],
    ["", ""],
    ['{"error":"' + "x".repeat(70_000) + '"}', '{"error":"' + "x".repeat(70_000) + '"}'],
  ];
  for (const [body, expected] of cases) {
    for (const status of [400, 404, 500, 503]) {
      for (const chunks of [[body], cut(body, 7)]) {
        const headers = { "content-length": String(new TextEncoder().encode(body).length) };
        const answer = { status, body: chunks, ...(body === expected ? {} : { headers }) };
        const response = await answering(answer)(CHAT, post({}));
        assertEquals([response.status, await response.text()], [status, expected]);
        assertEquals(response.headers.get("content-length"), null);
      }
    }
  }
  const frames = [
    `data: {"choices":[{"index":0,"delta":{"content":"\\"error\\":\\"x\\""}}]}\n\n`,
    'event: error\ndata: {"error":"Model unloaded."}\n\n',
  ];
  const stream = await answering({
    headers: { "content-type": "text/event-stream" },
    body: frames.join(""),
  })(CHAT, STREAM);
  assertEquals(
    await stream.text(),
    `${frames[0]}event: error\ndata: {"error":{"message":"Model unloaded."}}\n\n`,
  );
});

Deno.test("forward: an empty `error` does not count as one", async () => {
  for (const error of [null, "", false, 0]) {
    const body = JSON.stringify({ id: "resp_1", status: "completed", error, output: [] });
    const response = await answering({ body })("http://127.0.0.1:1234/v1/responses", post({}));
    assertEquals([response.status, await response.text()], [200, body]);
  }
});

Deno.test("forward: only a client that requests base64 vectors gets them", async () => {
  const vectors = [[0.5, -2, 1.5e-5], [1, 2, 3]];
  const body = JSON.stringify({
    object: "list",
    data: vectors.map((embedding, index) => ({ object: "embedding", index, embedding })),
    model: "e",
    usage: { prompt_tokens: 0, total_tokens: 0 },
  });
  const headers = { "content-length": String(body.length) };
  const fetch = answering({ body, headers });
  const encoded = await fetch(EMBEDDINGS, post({ input: "a", encoding_format: "base64" }));
  assertEquals(encoded.headers.get("content-length"), null);
  const { data, ...rest } = await encoded.json();
  const decoded = data.map(({ embedding }: { embedding: string }) => {
    const bytes = Uint8Array.from(atob(embedding), (char) => char.charCodeAt(0));
    return [...new Float32Array(bytes.buffer)];
  });
  assertEquals(decoded, vectors.map((vector) => vector.map(Math.fround)));
  const { object, model, usage } = JSON.parse(body);
  assertEquals(rest, { object, model, usage });
  for (const format of ["float", undefined]) {
    const plain = await fetch(EMBEDDINGS, post({ input: "a", encoding_format: format }));
    assertEquals(await plain.text(), body);
  }
  // Vectors that are already encoded, and entries that are not vectors, are passed on unchanged.
  for (const embedding of ["AAAAPw==", null, ["a"], [[1]]]) {
    const odd = JSON.stringify({ data: [{ index: 0, embedding }, null] });
    const kept = await answering({ body: odd })(EMBEDDINGS, post({ encoding_format: "base64" }));
    assertEquals(await kept.text(), odd);
  }
});

Deno.test("forward: a long vector is encoded completely", async () => {
  const embedding = Array.from({ length: 100_000 }, (_, index) => index);
  const body = JSON.stringify({ data: [{ index: 0, embedding }] });
  const response = await answering({ body })(EMBEDDINGS, post({ encoding_format: "base64" }));
  const { data } = await response.json();
  const bytes = Uint8Array.from(atob(data[0].embedding), (char) => char.charCodeAt(0));
  assertEquals([...new Float32Array(bytes.buffer)], embedding);
});

// --- Streams -----------------------------------------------------------------------------------

Deno.test("forward: a stream is returned event by event, wherever the network cuts it", async () => {
  const body = token("Ä\n") + event({ content: "b" }) + FINISH;
  for (const size of [1, 7, 1000]) {
    const response = await answering(events(cut(body, size)))(CHAT, STREAM);
    assertEquals(response.headers.get("content-type"), "text/event-stream");
    assertEquals(await response.text(), body);
  }
});

Deno.test("forward: event names and lines stay, comments and anything after [DONE] are dropped", async () => {
  const named = 'event: response.created\ndata: {"type":"response.created"}\n\n';
  const body =
    `: hello\n\n${named}id: 7\nretry: 5\ndata: a\ndata:b\n\n\ndata: [DONE]\n\ndata: x\n\n`;
  const url = "http://127.0.0.1:1234/v1/responses";
  const response = await answering(events(body))(url, STREAM);
  assertEquals(await response.text(), `${named}data: a\ndata: b\n\ndata: [DONE]\n\n`);
});

Deno.test("forward: a stream without its content type, or not requested, is still a stream", async () => {
  const body = token("Hi") + FINISH;
  const untyped = { body, headers: { "content-type": "application/octet-stream" } };
  assertEquals(await (await answering(untyped)(CHAT, STREAM)).text(), body);
  assertEquals(await (await answering(events(body))(CHAT, post({}))).text(), body);
});

Deno.test("forward: a stream that breaks off is an error, unless its finish reason has arrived", async () => {
  const cases: [string, StubAnswer["end"], string | undefined][] = [
    [token("Hi"), "close", "stream_truncated"],
    ["", "close", "stream_truncated"],
    [": nothing\n\n", "close", "stream_truncated"],
    [token("Hi"), "break", "connection_reset"],
    [event({ content: "a" }, ""), "close", "stream_truncated"],
    [event({}, "stop"), "close", undefined],
    [event({}, "stop"), "break", undefined],
    [token("Hi") + "data: [DONE]", "close", undefined],
    [token("Hi") + 'data: {"error":{"message":"Crashed"}}\n\n', "close", undefined],
    [token("Hi") + 'event: error\ndata: {"message":"x"}\n\n', "close", undefined],
    [token('"error": {} "finish_reason":"stop"'), "close", "stream_truncated"],
  ];
  for (const [body, end, code] of cases) {
    await using server = serveStub({ "POST /v1/chat/completions": events(body, end) });
    const { baseURL, fetch } = openAI({ baseUrl: server.url });
    const response = await fetch(`${baseURL}/chat/completions`, STREAM);
    assertEquals(response.status, 200);
    const text = response.text();
    if (code === undefined) {
      assertEquals((await text).trim(), body.trim());
      continue;
    }
    const error = await rejection(text);
    assertInstanceOf(error, code === "stream_truncated" ? StreamError : NetworkError, body);
    assertEquals(error.code, code);
    assertStringIncludes(error.message, "Cannot send POST /v1/chat/completions: ");
  }
});

Deno.test("forward: on other routes the end of a stream is unknown", async () => {
  const body = 'data: {"type":"response.created"}\n\n';
  const response = await answering(events(body))("http://127.0.0.1:1234/v1/responses", STREAM);
  assertEquals(await response.text(), body);
});

Deno.test("forward: an answer that is not a stream although one was requested is not a success", async () => {
  const page = "<!DOCTYPE html><title>Sign in</title>";
  const cases = [
    [answer("Hi"), "application/json", "malformed_response"],
    [page, "text/html", "not_lm_studio"],
  ] as const;
  for (const [body, type, code] of cases) {
    const response = await answering({ body, headers: { "content-type": type } })(CHAT, STREAM);
    assertEquals(response.status, 400);
    const { error } = await response.json();
    assertEquals(error.code, code);
    assertStringIncludes(error.message, "Cannot send POST /v1/chat/completions: ");
    const broken = await answering(events(body))(CHAT, STREAM);
    const reason = await rejection(broken.text());
    assertInstanceOf(reason, code === "not_lm_studio" ? ApiError : ParseError);
    assertEquals(reason.code, code);
  }
});

Deno.test("forward: a page instead of an answer is not a success, on any route", async () => {
  const page = "<!DOCTYPE html><title>Sign in</title>";
  const routes: [url: string, init: RequestInit][] = [
    [CHAT, post({ model: "m" })],
    ["http://127.0.0.1:1234/v1/models", {}],
  ];
  for (const [url, init] of routes) {
    const headers = { "content-type": "text/html", "content-length": String(page.length) };
    const response = await answering({ body: page, headers })(url, init);
    assertEquals(response.status, 400);
    assertEquals(response.headers.get("content-length"), null);
    const { error } = await response.json();
    assertEquals([error.type, error.code], ["api", "not_lm_studio"]);
    assertStringIncludes(error.message, "with an HTML page");
  }
});

Deno.test("forward: with several choices, the stream does not end with the first", async () => {
  await inFakeTime(async (pass) => {
    const puppet = new Puppet();
    const { fetch } = openAI({ fetch: puppet.fetch });
    const pending = fetch(CHAT, post({ stream: true, n: 2 }));
    await pass(0);
    puppet.last.respond(200, { "content-type": "text/event-stream" });
    const text = (await pending).text();
    puppet.last.send(event({}, "stop"));
    await pass(10_000);
    puppet.last.send(token("more") + "data: [DONE]\n\n");
    await pass(0);
    assertEquals(await text, event({}, "stop") + token("more") + "data: [DONE]\n\n");
  });
});

// --- Timers, aborts, failures ------------------------------------------------------------------

/** A stream in fake time, its request already there. */
async function streaming(
  options: LMStudioProviderOptions,
  run: (
    puppet: Puppet,
    response: Promise<Response>,
    pass: (ms: number) => Promise<void>,
  ) => Promise<void>,
): Promise<void> {
  await inFakeTime(async (pass) => {
    const puppet = new Puppet();
    const { fetch } = openAI({ connectTimeoutMs: Infinity, fetch: puppet.fetch, ...options });
    const response = fetch(CHAT, STREAM);
    response.catch(() => {});
    await pass(0);
    await run(puppet, response, pass);
  });
}

async function phaseOf(promise: Promise<unknown>): Promise<string> {
  const error = await rejection(promise);
  assertInstanceOf(error, TimeoutError);
  return error.phase;
}

Deno.test("forward: a server that accepts no connection is given up", async () => {
  await using server = await deafServer();
  const { baseURL, fetch } = openAI({ baseUrl: server.url, connectTimeoutMs: 40 });
  assertEquals(await phaseOf(fetch(`${baseURL}/chat/completions`, STREAM)), "connect");
});

Deno.test("forward: the first-token and idle timeouts of a stream", async () => {
  const options = { firstTokenTimeoutMs: 600, idleTimeoutMs: 200 };
  await streaming(options, async (puppet, response, pass) => {
    await pass(601);
    assertEquals(await phaseOf(response), "first-token");
    assert(puppet.last.signal.aborted);
  });
  await streaming(options, async (puppet, response, pass) => {
    await pass(300);
    puppet.last.respond(200, { "content-type": "text/event-stream" });
    const reader = (await response).body!.getReader();
    const read = reader.read();
    read.catch(() => {});
    puppet.last.send(event({ role: "assistant", content: "" }));
    await pass(0);
    await read;
    // The empty chunk was not a token.
    const silent = reader.read();
    silent.catch(() => {});
    await pass(301);
    assertEquals(await phaseOf(silent), "first-token");
    assert(puppet.last.isCancelled);
  });
  await streaming(options, async (puppet, response, pass) => {
    puppet.last.respond(200, { "content-type": "text/event-stream" });
    const reader = (await response).body!.getReader();
    puppet.last.send(token("a"));
    await reader.read();
    // A slow client does not count as the server's silence.
    await pass(10_000);
    puppet.last.send(token("b"));
    await reader.read();
    const silent = reader.read();
    silent.catch(() => {});
    await pass(201);
    assertEquals(await phaseOf(silent), "idle");
  });
});

Deno.test("forward: early events of /v1/responses do not count as a first token", async () => {
  const options = { firstTokenTimeoutMs: 600, idleTimeoutMs: 200, connectTimeoutMs: Infinity };
  await inFakeTime(async (pass) => {
    const puppet = new Puppet();
    const { fetch } = openAI({ ...options, fetch: puppet.fetch });
    const pending = fetch("http://127.0.0.1:1234/v1/responses", STREAM);
    await pass(0);
    puppet.last.respond(200, { "content-type": "text/event-stream" });
    const reader = (await pending).body!.getReader();
    for (const type of ["created", "in_progress", "output_item.added", "content_part.added"]) {
      puppet.last.send(`data: {"type":"response.${type}","response":{"status":"x"}}\n\n`);
      await reader.read();
    }
    const next = reader.read();
    await pass(500);
    puppet.last.send('data: {"type":"response.output_text.delta","delta":"Hi"}\n\n');
    await next;
    const silent = reader.read();
    silent.catch(() => {});
    await pass(201);
    assertEquals(await phaseOf(silent), "idle");
  });
});

Deno.test("forward: timeoutMs covers a whole answer; a listing has 30 s", async () => {
  await inFakeTime(async (pass) => {
    const puppet = new Puppet();
    const options = { fetch: puppet.fetch, connectTimeoutMs: Infinity };
    const { fetch } = openAI({ ...options, timeoutMs: 1000 });
    const cutShort = fetch(CHAT, post({}));
    cutShort.catch(() => {});
    await pass(0);
    await pass(600);
    puppet.last.respond();
    puppet.last.send("{");
    await pass(401);
    assertEquals(await phaseOf(cutShort), "total");
    assert(puppet.last.isCancelled);

    const unlimited = openAI(options).fetch;
    const listing = unlimited("http://127.0.0.1:1234/v1/models");
    listing.catch(() => {});
    await pass(0);
    const generation = unlimited(CHAT, post({}));
    await pass(0);
    await pass(30_001);
    assertEquals(await phaseOf(listing), "total");
    await pass(1_000_000);
    puppet.last.respond();
    puppet.last.send(answer("Hi"));
    puppet.last.end();
    assertEquals((await generation).status, 200);
  });
});

Deno.test("forward: an error with an endless body does not keep the client waiting", async () => {
  await inFakeTime(async (pass) => {
    const puppet = new Puppet();
    const { fetch } = openAI({ fetch: puppet.fetch });
    const pending = fetch(CHAT, post({}));
    await pass(0);
    puppet.last.respond(500);
    puppet.last.send("{");
    const response = await pending;
    assertEquals(response.status, 500);
    const text = response.text();
    text.catch(() => {});
    await pass(5001);
    assertEquals(await phaseOf(text), "idle");
    assert(puppet.last.isCancelled);
  });
});

Deno.test("forward: an abort rejects with the caller's reason, before and during a body", async () => {
  const reason = new Error("enough");
  const aborted = AbortSignal.abort(reason);
  const puppet = new Puppet();
  const { fetch } = openAI({ fetch: puppet.fetch });
  assertEquals(await rejection(fetch(CHAT, { ...STREAM, signal: aborted })), reason);
  assertEquals(await rejection(fetch(new Request(CHAT, { signal: aborted }))), reason);
  assertEquals(puppet.calls.length, 0);
  for (const type of ["text/event-stream", "application/json", "audio/mpeg"]) {
    for (const isWithin of [false, true]) {
      const controller = new AbortController();
      const count = puppet.calls.length;
      const pending = fetch(CHAT, { ...post({}), signal: controller.signal });
      const outcome = rejection(pending.then((response) => response.text()));
      while (puppet.calls.length === count) await new Promise((resolve) => setTimeout(resolve));
      if (isWithin) {
        puppet.last.respond(200, { "content-type": type });
        puppet.last.send(token("Hi"));
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      controller.abort(reason);
      assertEquals(await outcome, reason, `${type} ${isWithin}`);
      assert(puppet.last.signal.aborted);
      if (isWithin) assert(puppet.last.isCancelled);
    }
  }
});

Deno.test("forward: cancelling a body stops the server", async () => {
  for (const type of ["text/event-stream", "audio/mpeg"]) {
    const puppet = new Puppet();
    const { fetch } = openAI({ fetch: puppet.fetch });
    const pending = fetch(CHAT, post({}));
    while (puppet.calls.length === 0) await new Promise((resolve) => setTimeout(resolve));
    puppet.last.respond(200, { "content-type": type });
    await (await pending).body!.cancel();
    assert(puppet.last.isCancelled);
    assert(puppet.last.signal.aborted);
  }
});

Deno.test("forward: a broken connection rejects, or breaks the body", async () => {
  for (const type of ["application/json", "audio/mpeg", "text/event-stream"]) {
    const puppet = new Puppet();
    const { fetch } = openAI({ fetch: puppet.fetch });
    const pending = fetch(CHAT, post({}));
    while (puppet.calls.length === 0) await new Promise((resolve) => setTimeout(resolve));
    puppet.last.respond(200, { "content-type": type });
    puppet.last.fail(new TypeError("terminated"));
    const error = await rejection(pending.then((response) => response.text()));
    assertInstanceOf(error, NetworkError);
    assertEquals([error.code, error.attempts], ["connection_reset", 1]);
  }
});

Deno.test("forward: a redirect is refused, naming its target", async () => {
  const headers = { location: "http://elsewhere:1234/v1/chat/completions" };
  const error = await rejection(
    answering({ status: 307, headers })(CHAT, post({}, { authorization: `Bearer ${TOKEN}` })),
  );
  assert(isProviderError(error, "api"));
  assertEquals(error.code, "not_lm_studio");
  assertStringIncludes(error.hint, "elsewhere");
});

Deno.test("forward: a custom `fetch` that returns no response is reported", async () => {
  const { fetch } = openAI({ fetch: () => Promise.resolve({} as Response) });
  const error = await rejection(fetch(CHAT, post({})));
  assert(isProviderError(error, "unknown"));
});

Deno.test("forward: two at a time are independent", async () => {
  const puppet = new Puppet();
  const { fetch } = openAI({ fetch: puppet.fetch });
  const controller = new AbortController();
  const first = rejection(fetch(CHAT, { ...post({}), signal: controller.signal }));
  const second = fetch(CHAT, post({}));
  while (puppet.calls.length < 2) await new Promise((resolve) => setTimeout(resolve));
  controller.abort();
  await first;
  puppet.last.respond();
  puppet.last.send(answer("Hi"));
  puppet.last.end();
  assertEquals(await (await second).text(), answer("Hi"));
});
