/** Every kind of error a connection can cause. What `fetch` rejects with differs on every runtime. */
import { isProviderError, LMStudioProvider } from "@patinox/lmstudio";
import assert from "node:assert/strict";
import {
  assertFields,
  check,
  completion,
  drain,
  failureOf,
  frame,
  MODEL,
  RUNTIME,
  withHttp,
  withTcp,
} from "./harness.mjs";

await check("a port that nobody listens on", async () => {
  const url = await withTcp(() => {}, (url) => url);
  const refused = { name: "NetworkError", kind: "network", code: "connection_refused" };
  for (const error of await failuresOf(url)) {
    assertFields(error, {
      ...refused,
      retriable: true,
      attempts: 1,
      message: /refused the connection/,
    });
  }
  // Even a generation is retried if no connection was made.
  const again = providerOf(url, { maxRetries: 1 });
  assertFields(await failureOf(again.complete("?")), { ...refused, attempts: 2 });
});

/** Names below `.invalid` never resolve (RFC 6761), but without a network the lookup may take long. */
await check("a name that cannot be resolved", async () => {
  const startedAt = performance.now();
  const provider = providerOf("http://lmstudio.invalid:1234", { connectTimeoutMs: 1_000 });
  const error = await failureOf(provider.listModels());
  const elapsedMs = performance.now() - startedAt;
  if (error.code === "timeout_connect") assertFields(error, { phase: "connect" });
  else assertFields(error, { code: "connection_refused", message: /name that cannot be resolved/ });
  assert.ok(elapsedMs < 5_000, `took ${elapsedMs} ms`);
});

/** Servers that end a connection before they answer. */
const HANG_UPS = {
  "a reset before the headers": (socket) => socket.once("data", () => socket.resetAndDestroy()),
  "a connection closed before the headers": (socket) => socket.once("data", () => socket.end()),
  "a connection closed within the headers": (socket) =>
    socket.once("data", () => socket.end("HTTP/1.1 200 OK\r\ncontent-type: appl")),
};
for (const [name, hangUp] of Object.entries(HANG_UPS)) {
  await check(name, async () => {
    let requests = 0;
    await withTcp((socket) => {
      socket.on("data", () => requests++);
      hangUp(socket);
    }, async (url) => {
      for (const error of await failuresOf(url)) {
        assertFields(error, { kind: "network", code: "connection_reset", partial: undefined });
      }
      // Never a second generation while one may still be running.
      requests = 0;
      const error = await failureOf(providerOf(url, { maxRetries: 2 }).complete("?"));
      assertFields(error, { code: "connection_reset", attempts: 1 });
      assert.equal(requests, 1);
    });
  });
}

await check("a pooled connection that the server has closed is not a failure", async () => {
  let connections = 0;
  const body = completion("hello");
  await withTcp((socket) => {
    // Each connection serves one request, and breaks without warning at the next.
    const isFirst = connections++ === 0;
    let served = 0;
    socket.on("data", () => {
      if (served++ > 0) return socket.destroy();
      const connection = isFirst ? "keep-alive" : "close";
      const head = `content-type: application/json\r\ncontent-length: ${body.length}\r\n`;
      socket.write(`HTTP/1.1 200 OK\r\n${head}connection: ${connection}\r\n\r\n${body}`);
    });
  }, async (url) => {
    const provider = providerOf(url, { maxRetries: 2 });
    assert.equal((await provider.complete("?")).content, "hello");
    assert.equal((await provider.complete("?")).content, "hello");
    assert.equal(connections, 2);
  });
});

await check("a reset within the body", async () => {
  const head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 5000\r\n\r\n";
  await withTcp((socket) => {
    socket.once("data", () => socket.write(head + '{"choices":[', () => breakSoon(socket)));
  }, async (url) => {
    for (const error of await failuresOf(url, { streams: false })) {
      assertFields(error, { kind: "network", code: "connection_reset" });
    }
  });
});

await check("a reset within a stream", async () => {
  const head =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
  const text = frame("so far");
  await withTcp((socket) => {
    const chunk = `${text.length.toString(16)}\r\n${text}\r\n`;
    socket.once("data", () => socket.write(head + chunk, () => breakSoon(socket)));
  }, async (url) => {
    const { error } = await drain(providerOf(url).streamCompletion("?"));
    const partial = { content: "so far", toolCalls: [] };
    assertFields(error, { kind: "network", code: "connection_reset", partial });
  });
});

/** Answers that are errors: status, body, headers, and what the error must contain. */
const JSON_TYPE = { "content-type": "application/json" };
const HTML = "<!DOCTYPE html><html><head><title>Proxy</title></head><body>no</body></html>";
const ANSWERS = {
  "401": [401, '{"error":{"message":"no token","code":"invalid_api_key"}}', JSON_TYPE, {
    name: "AuthenticationError",
    kind: "authentication",
    code: "unauthorized",
    status: 401,
  }],
  "403": [403, "", {}, { kind: "authentication", code: "forbidden", status: 403 }],
  "404 of a model": [404, '{"error":"Model \\"x\\" not found"}', JSON_TYPE, {
    kind: "model-not-available",
    code: "model_not_found",
  }],
  "429 with Retry-After in seconds": [429, "", { "retry-after": "7" }, {
    name: "RateLimitedError",
    kind: "rate-limited",
    code: "rate_limited",
    retryAfterMs: 7_000,
  }],
  "500": [500, '{"error":"engine failed"}', JSON_TYPE, {
    name: "ApiError",
    kind: "api",
    code: "server_error",
    status: 500,
    message: /engine failed/,
  }],
  "an error under 200": [200, '{"error":"something broke"}', JSON_TYPE, {
    kind: "api",
    status: 200,
  }],
  "an unexpected endpoint under 200": [
    200,
    '{"error":"Unexpected endpoint or method. (POST /v1/chat/completions)"}',
    JSON_TYPE,
    { kind: "api", code: "unexpected_endpoint" },
  ],
  "JSON cut short": [200, '{"choices":[{"mess', JSON_TYPE, {
    name: "ParseError",
    kind: "parse",
    code: "malformed_response",
  }],
  "an HTML page under 200": [200, HTML, { "content-type": "text/html" }, {
    kind: "api",
    code: "not_lm_studio",
  }],
  // Deno and Bun use HTTP_PROXY even for loopback, and the proxy finds no server there.
  "the 502 of a proxy": [502, HTML, { "content-type": "text/html" }, {
    kind: "api",
    status: 502,
    hint: /NO_PROXY=127\.0\.0\.1,localhost/,
  }],
};
for (const [name, [status, body, headers, expected]] of Object.entries(ANSWERS)) {
  await check(name, async () => {
    await withHttp((_, reply) => reply.writeHead(status, headers).end(body), async (url) => {
      for (const error of await failuresOf(url)) assertFields(error, expected);
    });
  });
}

await check("429 with Retry-After as a date", () => {
  const date = new Date(Date.now() + 30_000).toUTCString();
  return withHttp(
    (_, reply) => reply.writeHead(429, { "retry-after": date }).end(),
    async (url) => {
      const { retryAfterMs } = await failureOf(providerOf(url).complete("?"));
      assert.ok(retryAfterMs > 20_000 && retryAfterMs <= 30_000, String(retryAfterMs));
    },
  );
});

await check("a request is sent again after 429, as soon as the server allows", async () => {
  let requests = 0;
  await withHttp((_, reply) => {
    if (++requests === 1) reply.writeHead(429, { "retry-after": "0" }).end();
    else reply.writeHead(200, JSON_TYPE).end(completion("now"));
  }, async (url) => {
    const { content } = await providerOf(url, { maxRetries: 1 }).complete("?");
    assert.equal(content, "now");
    assert.equal(requests, 2);
  });
});

await check("a redirect is not followed", async () => {
  let followed = 0;
  await withHttp(
    (_, reply) => reply.end(String(followed++)),
    (target) =>
      withHttp(
        (_, reply) => reply.writeHead(307, { location: `${target}/v1` }).end(),
        async (url) => {
          for (const error of await failuresOf(url)) {
            assertFields(error, { kind: "api", status: 307, retriable: false });
            assert.ok(error.hint.includes(target), error.hint);
          }
          assert.equal(followed, 0);
        },
      ),
  );
});

await check("a server that does not speak HTTP", async () => {
  await withTcp(
    (socket) => socket.once("data", () => socket.end("220 mail ready\r\n")),
    async (url) => {
      for (const error of await failuresOf(url)) assertFields(error, { kind: "network" });
    },
  );
});

if (RUNTIME === "deno") {
  await check("a host that Deno may not connect to", async () => {
    const error = await failureOf(providerOf("http://not-allowed.invalid:4321").complete("?"));
    assertFields(error, {
      code: "permission_denied",
      hint: /--allow-net=not-allowed\.invalid:4321/,
    });
  });
}

function providerOf(baseUrl, options) {
  return new LMStudioProvider({ baseUrl, model: MODEL, env: {}, maxRetries: 0, ...options });
}

/** The errors of a whole answer and of a stream. */
async function failuresOf(url, { streams = true } = {}) {
  const provider = providerOf(url);
  const errors = [await failureOf(provider.complete("?"))];
  if (streams) {
    const { error } = await drain(provider.streamCompletion("?"));
    assert.notEqual(error, undefined, "the stream did not fail");
    errors.push(error);
  }
  for (const error of errors) {
    assert.ok(isProviderError(error), `${error?.stack ?? error}`);
    assert.ok(error.endpoint.startsWith(url), error.endpoint);
    assert.notEqual(error.hint, "");
    JSON.stringify(error);
  }
  return errors;
}

/** Waits until the client has received the data, since a reset may overtake it. */
function breakSoon(socket) {
  setTimeout(() => socket.resetAndDestroy(), 50);
}
