/**
 * What goes wrong below HTTP, as a user sees it. The codes decide what is retried (`retry_test.ts`), so a
 * connection that was never made must not be mistaken for one that broke, or the other way round.
 */
import {
  assert,
  assertEquals,
  assertFalse,
  assertInstanceOf,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { ApiError, type LMStudioProviderOptions, NetworkError, StreamError } from "../mod.ts";
import { LMStudioProvider } from "../mod.ts";
import { explainFailedSend } from "../src/transport/no_answer.ts";
import { closedPort, rawServer } from "./support/raw_server.ts";
import { runScript } from "./support/script.ts";
import { answer, event, gate, LISTING, rejection, token } from "./support/wire.ts";

function provider(baseUrl: string, options: LMStudioProviderOptions = {}): LMStudioProvider {
  return new LMStudioProvider({ baseUrl, model: "m", env: {}, maxRetries: 0, ...options });
}

async function networkError(promise: Promise<unknown>): Promise<NetworkError> {
  const error = await rejection(promise);
  assertInstanceOf(error, NetworkError);
  assertEquals(error.kind, "network");
  assertEquals(error.service, "LM Studio");
  return error;
}

Deno.test("a closed port is connection_refused, whatever the call", async () => {
  const lmstudio = provider(`http://127.0.0.1:${closedPort()}`);
  const calls = [
    () => lmstudio.listModels(),
    () => lmstudio.complete("Hello"),
    () => lmstudio.streamCompletion("Hello").response(),
    () => lmstudio.embed({ model: "m", input: "text" }),
  ];
  for (const call of calls) {
    const error = await networkError(call());
    assertEquals(error.code, "connection_refused");
    assertEquals([error.retriable, error.attempts, error.status], [true, 1, undefined]);
    assertStringIncludes(error.hint, "lms server start");
    assertMatch(error.message, /^Cannot .*: http:\/\/127\.0\.0\.1:\d+ refused the connection\. /);
    assert(error.cause !== undefined);
  }
});

Deno.test("the error for a missing server says where it looked", async () => {
  const port = closedPort();
  const error = await networkError(provider(`http://127.0.0.1:${port}/prefix/`).listModels());
  assertEquals(error.endpoint, `http://127.0.0.1:${port}/prefix/api/v1/models`);
});

Deno.test("a name that cannot be resolved is connection_refused", async () => {
  // Too long for DNS: fails the same way with and without a network.
  const host = `${"a".repeat(64)}.invalid`;
  const { code, output } = await runScript(
    `import { LMStudioProvider } from "mod";
    const options = { baseUrl: "http://${host}", maxRetries: 0, env: {} };
    await new LMStudioProvider(options).listModels().catch((error) =>
      console.log(error.name, error.code, error.message)
    );`,
    [`--allow-net=${host}`],
  );
  assertEquals(code, 0);
  assertStringIncludes(output, "NetworkError connection_refused Cannot list models: http://aaaa");
  assertStringIncludes(output, "has a host name that cannot be resolved");
});

Deno.test("a connection that breaks before any answer is connection_reset", async () => {
  for (const end of ["reset", "close"]) {
    await using server = rawServer(async (connection) => {
      if (end === "reset") await connection.taste();
      else await connection.request();
    });
    for (const call of ["list", "complete", "stream"] as const) {
      const lmstudio = provider(server.url);
      const error = await networkError(
        call === "list"
          ? lmstudio.listModels()
          : call === "complete"
          ? lmstudio.complete("Hello")
          : lmstudio.streamCompletion("Hello").response(),
      );
      assertEquals([error.code, error.retriable], ["connection_reset", true]);
      assertStringIncludes(error.message, "closed the connection before it answered");
      assertEquals(error.partial, undefined);
    }
    assertEquals(server.connections, 3);
  }
});

Deno.test("an answer that is cut is connection_reset", async () => {
  const body = answer("All of it");
  for (const end of ["reset", "close"]) {
    const headersCame = gate();
    await using server = rawServer(async (connection) => {
      if (end === "reset") await connection.taste();
      else await connection.request();
      await connection.respond(200, body.slice(0, 20), { "content-length": `${body.length}` });
      await headersCame.opened;
    });
    const spy: typeof fetch = async (...input) => {
      const response = await fetch(...input);
      headersCame.open();
      return response;
    };
    const error = await networkError(provider(server.url, { fetch: spy }).complete("Hello"));
    assertEquals(error.code, "connection_reset");
    assertStringIncludes(error.message, "the connection broke before the answer was complete");
    assert(error.cause !== undefined);
  }
});

Deno.test("a stream that is cut is connection_reset, with the partial answer", async () => {
  for (const end of ["reset", "close"]) {
    const seen = gate();
    await using server = rawServer(async (connection) => {
      if (end === "reset") await connection.taste();
      else await connection.request();
      await connection.startChunked();
      await connection.chunk(token("Once upon"));
      await seen.opened;
    });
    const stream = provider(server.url).streamCompletion("Tell a story");
    const texts: string[] = [];
    const error = await networkError((async () => {
      for await (const { content } of stream) {
        texts.push(content);
        seen.open();
      }
    })());
    assertEquals(texts, ["Once upon"]);
    assertEquals(error.code, "connection_reset");
    assertEquals(error.partial, { content: "Once upon", toolCalls: [] });
    assertEquals(await rejection(stream.response()), error);
  }
});

Deno.test("a stream that is cut after its finish reason is complete", async () => {
  await using server = rawServer(async (connection) => {
    await connection.request();
    await connection.startChunked();
    await connection.chunk(token("All of it") + event({}, "length"));
  });
  const response = await provider(server.url).streamCompletion("Hello").response();
  assertEquals([response.content, response.finishReason], ["All of it", "length"]);
});

Deno.test("a stream that ends cleanly without a finish reason is stream_truncated", async () => {
  await using server = rawServer(async (connection) => {
    await connection.request();
    await connection.startChunked();
    await connection.chunk(token("Once upon"));
    await connection.chunk("");
    await connection.gone();
  });
  const error = await rejection(provider(server.url).streamCompletion("Hello").response());
  assertInstanceOf(error, StreamError);
  assertEquals([error.code, error.retriable], ["stream_truncated", true]);
  assertEquals(error.partial, { content: "Once upon", toolCalls: [] });
});

Deno.test("a body that ends with the connection is not cut", async () => {
  await using server = rawServer(async (connection) => {
    await connection.request();
    await connection.write("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n" + LISTING);
  });
  assertEquals((await provider(server.url).listModels()).map((model) => model.id), ["m"]);
});

Deno.test("a missing permission is permission_denied, with the flag to add", async () => {
  const { code, output } = await runScript(
    `import { LMStudioProvider } from "mod";
    const lmstudio = new LMStudioProvider({ baseUrl: "127.0.0.1:4321" });
    for (const call of [
      () => lmstudio.listModels(),
      () => lmstudio.complete({ model: "m", messages: "Hello" }),
      () => lmstudio.streamCompletion({ model: "m", messages: "Hello" }).response(),
    ]) {
      await call().catch((error) =>
        console.log(error.name, error.code, error.retriable, error.attempts, error.hint)
      );
    }`,
    ["--allow-net=127.0.0.1:1"],
  );
  assertEquals(code, 0);
  const line = "NetworkError permission_denied false 1 " +
    "Allow it; in Deno, use `--allow-net=127.0.0.1:4321`.";
  assertEquals(output.split("\n"), [line, line, line]);
});

Deno.test("a redirect is refused: its target is in the hint, and nothing reaches it", async () => {
  await using target = rawServer(async (connection) => {
    await connection.request();
    await connection.respond(200, LISTING);
  });
  for (const status of [301, 302, 303, 307, 308]) {
    await using server = rawServer(async (connection) => {
      await connection.request();
      await connection.respond(status, "", { location: `${target.url}/elsewhere?secret=1` });
    });
    const lmstudio = provider(server.url, {
      apiToken: "sk-lm-abcdefgh:01234567890123456789",
      headers: { "x-api-key": "very-secret-key" },
    });
    let asked = 0;
    for (const call of [() => lmstudio.listModels(), () => lmstudio.complete("Hello")]) {
      const error = await rejection(call());
      assertInstanceOf(error, ApiError);
      assertEquals([error.code, error.status, error.retriable], ["not_lm_studio", status, false]);
      assertStringIncludes(error.hint, target.url);
      assertFalse(error.hint.includes("secret"));
      // The other routes of the listing would be redirected, too.
      assertEquals([error.attempts, server.connections], [1, ++asked]);
    }
  }
  assertEquals(target.connections, 0);
});

Deno.test("a redirect that a browser hides is refused as well", async () => {
  // What browsers return for `redirect: "manual"`: no status, no headers, no body.
  const hidden = new Response(null, { status: 200 });
  Object.defineProperties(hidden, {
    type: { value: "opaqueredirect" },
    status: { value: 0 },
    ok: { value: false },
  });
  const lmstudio = provider("http://127.0.0.1:1", { fetch: () => Promise.resolve(hidden) });
  const error = await rejection(lmstudio.listModels());
  assertInstanceOf(error, ApiError);
  assertEquals([error.code, error.status], ["not_lm_studio", undefined]);
  assertStringIncludes(error.hint, "redirects are not followed");
});

Deno.test("https to a server that speaks plain http says so", async () => {
  await using server = rawServer(async (connection) => {
    await connection.write("HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n");
    await connection.gone();
  });
  const error = await networkError(provider(server.url.replace("http", "https")).listModels());
  assertEquals(error.code, "connection_refused");
  assertStringIncludes(error.message, "the TLS handshake with https://127.0.0.1:");
  assertStringIncludes(error.hint, "plain http");
});

Deno.test("a server that does not speak HTTP is told apart from one that hangs up", async () => {
  await using server = rawServer(async (connection) => {
    await connection.request();
    await connection.write("SSH-2.0-OpenSSH_9.6\r\n");
  });
  const error = await networkError(provider(server.url).listModels());
  assertEquals(error.code, "connection_reset");
  assertStringIncludes(error.message, "is not HTTP");
});

Deno.test("a port that fetch refuses is connection_refused, before any connection", async () => {
  const { output } = await runScript(
    `import { LMStudioProvider } from "mod";
    const options = { baseUrl: "http://127.0.0.1:6000", maxRetries: 0, env: {} };
    await new LMStudioProvider(options).listModels().catch((error) =>
      console.log(error.code, error.message)
    );`,
    ["--allow-net=127.0.0.1"],
  );
  assertStringIncludes(output, "connection_refused");
  assertStringIncludes(output, "does not connect to port 6000");
});

Deno.test("an exception from a custom fetch is a network error, too", async () => {
  for (const thrown of [new Error("no luck"), "no luck", undefined]) {
    for (
      const own of [() => Promise.reject(thrown), () => {
        throw thrown;
      }]
    ) {
      const error = await networkError(provider("http://127.0.0.1:1", { fetch: own }).listModels());
      assertEquals(error.code, "connection_reset");
      assertEquals(error.cause, thrown);
    }
  }
});

// --- In a browser, where every failure looks the same -------------------------------------------

/** Runs with the globals of a page, as far as the module reads them. */
async function asPage(run: () => Promise<void>): Promise<void> {
  const names = ["Deno", "process", "document"] as const;
  const own = names.map((name) => Object.getOwnPropertyDescriptor(globalThis, name));
  const page = { Deno: undefined, process: undefined, document: {} };
  for (const name of names) {
    Object.defineProperty(globalThis, name, { value: page[name], configurable: true });
  }
  try {
    await run();
  } finally {
    names.forEach((name, index) => {
      const descriptor = own[index];
      if (descriptor === undefined) Reflect.deleteProperty(globalThis, name);
      else Object.defineProperty(globalThis, name, descriptor);
    });
  }
}

Deno.test("a page that the server's CORS settings exclude is blocked_by_browser", async () => {
  const asked: [string, RequestInit | undefined][] = [];
  await asPage(async () => {
    const own: typeof fetch = (url, init) => {
      asked.push([String(url), init]);
      return init?.mode === "no-cors"
        ? Promise.resolve(Response.error())
        : Promise.reject(new TypeError("Failed to fetch"));
    };
    const options = { fetch: own, apiToken: "token", headers: { "x-api-key": "key" } };
    const error = await networkError(provider("http://127.0.0.1:1234", options).listModels());
    assertEquals([error.code, error.retriable], ["blocked_by_browser", false]);
    assertStringIncludes(error.hint, "lms server start --cors");
  });
  assertEquals(asked.length, 2);
  assertEquals(asked[1]?.[0], "http://127.0.0.1:1234/lmstudio-greeting");
  assertEquals(asked[1]?.[1]?.headers, undefined);
});

Deno.test("a page that finds no server: connection_refused", async () => {
  await asPage(async () => {
    const own = () => Promise.reject(new TypeError("Failed to fetch"));
    const lmstudio = provider("http://127.0.0.1:1234", { fetch: own });
    const error = await networkError(lmstudio.complete("Hello"));
    assertEquals(error.code, "connection_refused");
    assertStringIncludes(error.message, "http://127.0.0.1:1234 cannot be reached");
    assertStringIncludes(error.hint, "lms server start");
  });
});

Deno.test("a page can time out and abort a request to a server that never answers", async () => {
  await asPage(async () => {
    const own: typeof fetch = (_url, init) =>
      init?.mode === "no-cors"
        ? new Promise(() => {})
        : Promise.reject(new TypeError("Failed to fetch"));
    const lmstudio = provider("http://127.0.0.1:1234", { fetch: own, connectTimeoutMs: 20 });
    assertEquals((await networkError(lmstudio.listModels())).code, "connection_refused");
    const controller = new AbortController();
    const listed = lmstudio.listModels({ signal: controller.signal, connectTimeoutMs: 60_000 });
    setTimeout(() => controller.abort("enough"), 5);
    assertEquals(await rejection(listed), "enough");
  });
});

// --- The runtimes' errors, observed on Deno 2.9, Node 20 to 24 and Bun 1.4 ---------------------

const failed = (cause: unknown): Error => new TypeError("fetch failed", { cause });
const coded = (code: string, more: object = {}): Error =>
  Object.assign(new Error(`something ${code}`), { code, ...more });
const denoSays = (words: string): Error =>
  failed(new Error(`error sending request for url (http://127.0.0.1:1234/v1/models): ${words}`));

const SEEN: readonly (readonly [name: string, error: unknown, code: string, words: string])[] = [
  ["Node", failed(coded("ECONNREFUSED", { syscall: "connect" })), "connection_refused", "refused"],
  [
    "Node, IPv6 and IPv4",
    failed(new AggregateError([coded("ECONNREFUSED"), coded("ECONNREFUSED")])),
    "connection_refused",
    "refused",
  ],
  ["Node", failed(coded("ENOTFOUND")), "connection_refused", "resolved"],
  ["Node", failed(coded("EAI_AGAIN")), "connection_refused", "resolved"],
  ["Node", failed(coded("UND_ERR_CONNECT_TIMEOUT")), "connection_refused", "in time"],
  ["Node", failed(coded("EHOSTUNREACH", { syscall: "connect" })), "connection_refused", "reached"],
  ["Node", failed(coded("ETIMEDOUT", { syscall: "connect" })), "connection_refused", "in time"],
  // The connection had been made: the request may have run.
  [
    "Node",
    failed(coded("ETIMEDOUT", { syscall: "read" })),
    "connection_reset",
    "before an answer arrived",
  ],
  [
    "Node",
    failed(coded("EHOSTUNREACH", { syscall: "write" })),
    "connection_reset",
    "before an answer arrived",
  ],
  ["Node", failed(coded("UND_ERR_SOCKET")), "connection_reset", "closed"],
  ["Node", failed(coded("ECONNRESET", { syscall: "read" })), "connection_reset", "closed"],
  ["Node", failed(coded("EPIPE")), "connection_reset", "closed"],
  ["Node", failed(coded("HPE_INVALID_CONSTANT")), "connection_reset", "not HTTP"],
  [
    "Node 24",
    failed(Object.assign(new Error("Response does not match"), { name: "HTTPParserError" })),
    "connection_reset",
    "not HTTP",
  ],
  ["Node", failed(new Error("bad port")), "connection_refused", "does not connect to port"],
  ["Node", failed(coded("ERR_ACCESS_DENIED")), "permission_denied", "not allowed"],
  ["Bun", coded("ConnectionRefused"), "connection_refused", "refused"],
  ["Bun", coded("ECONNREFUSED"), "connection_refused", "refused"],
  ["Bun", coded("FailedToOpenSocket"), "connection_refused", "refused"],
  ["Bun", coded("ECONNRESET"), "connection_reset", "closed"],
  ["Bun", coded("ConnectionClosed"), "connection_reset", "closed"],
  ["Bun", coded("Malformed_HTTP_Response"), "connection_reset", "not HTTP"],
  [
    "Deno, Linux",
    denoSays("client error (Connect): tcp connect error: Connection refused (os error 111)"),
    "connection_refused",
    "refused",
  ],
  [
    "Deno, macOS",
    denoSays("client error (Connect): tcp connect error: Connection refused (os error 61)"),
    "connection_refused",
    "refused",
  ],
  [
    "Deno, Windows, in another language",
    denoSays("client error (Connect): tcp connect error: Verbindung verweigert (os error 10061)"),
    "connection_refused",
    "refused",
  ],
  [
    "Deno",
    denoSays("client error (Connect): tcp connect error: No route to host (os error 113)"),
    "connection_refused",
    "reached",
  ],
  [
    "Deno",
    denoSays("client error (Connect): tcp connect error: timed out (os error 110)"),
    "connection_refused",
    "in time",
  ],
  [
    "Deno",
    denoSays("client error (SendRequest): connection error: timed out (os error 110)"),
    "connection_reset",
    "closed",
  ],
  [
    "Deno",
    denoSays("client error (SendRequest): connection error: unreachable (os error 113)"),
    "connection_reset",
    "closed",
  ],
  [
    "Deno",
    denoSays("client error (Connect): something new"),
    "connection_refused",
    "could not connect to",
  ],
  ["Deno", denoSays("client error (SendRequest): something new"), "connection_reset", "closed"],
  [
    "Deno",
    new TypeError("Fetch failed: Requests to port 6000 are blocked"),
    "connection_refused",
    "does not connect to port",
  ],
  ["a browser", new TypeError("Failed to fetch"), "connection_reset", "before an answer arrived"],
  ["nobody", undefined, "connection_reset", "before an answer arrived"],
];

for (const [runtime, error, code, words] of SEEN) {
  const inner = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const said = inner instanceof Error ? inner.message : String(inner);
  Deno.test(`${runtime} saying "${said}" is ${code}`, () => {
    const explained = explainFailedSend(error, "http://127.0.0.1:6000/v1/models");
    assertEquals(explained.code, code);
    assertStringIncludes(explained.state, words);
  });
}

Deno.test("words in an address are not mistaken for the cause", () => {
  const url = "http://dns error.lan/tls/ssl/certificate/unreachable";
  for (
    const message of [
      `error sending request for url (${
        url.replaceAll(" ", "%20")
      }): client error (SendRequest): x`,
      `Malformed fetching "http://tls.lan/bad%20port/certificate"`,
    ]
  ) {
    const { code } = explainFailedSend(new Error(message), "https://tls.lan/ssl/v1/models");
    assertEquals(code, "connection_reset");
  }
});

Deno.test("only requests over TLS have TLS failures", () => {
  for (
    const cause of [
      coded("DEPTH_ZERO_SELF_SIGNED_CERT"),
      coded("ERR_SSL_WRONG_VERSION_NUMBER"),
      new Error("client error (Connect): invalid peer certificate: UnknownIssuer"),
      new Error("client error (Connect): received corrupt message of type InvalidContentType"),
      new Error("client error (Connect): tls handshake eof"),
      new Error(
        "Client network socket disconnected before secure TLS connection was established",
      ),
    ]
  ) {
    const { code, state } = explainFailedSend(failed(cause), "https://127.0.0.1/v1/models");
    assertEquals(code, "connection_refused");
    assertStringIncludes(state, "TLS handshake");
    const plain = explainFailedSend(failed(cause), "http://127.0.0.1/v1/models");
    assertFalse(plain.state.includes("TLS"));
  }
});
