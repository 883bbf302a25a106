/**
 * Node's own `fetch`, which gives up after 300 s without headers and after 300 s between two chunks of a
 * body. Both limits are shortened here, which the same request with plain `fetch` proves. A dispatcher
 * that a user has installed instead of Node's must be used.
 */
import { LMStudioProvider } from "@patinox/lmstudio";
import { createFakeLMStudio } from "@patinox/lmstudio/testing";
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createRequire } from "node:module";
import { connect } from "node:net";
import {
  assertFields,
  check,
  completion,
  drain,
  failureOf,
  frame,
  MODEL,
  NODE_MAJOR,
  sleep,
  withHttp,
  withTcp,
} from "./harness.mjs";

const CAP_MS = 300;
/** Late enough: undici checks its clock every 500 ms. */
const SILENCE_MS = 1_800;
const LLM = "qwen/qwen3-8b";
const EMBEDDER = "text-embedding-nomic-embed-text-v1.5";
/** An address that only a mock or a proxy can reach. */
const ELSEWHERE = "http://lmstudio.invalid:1234";
/** The two keys of undici's global dispatcher: for releases up to 7, and for 8 (and Node 26) and later. */
const KEYS = [1, 2].map((version) => Symbol.for(`undici.globalDispatcher.${version}`));
/** Releases of the package that run on this Node, installed by `run.ts` as `undici6`... */
const PACKAGES = [6, 7, ...(NODE_MAJOR >= 22 ? [8] : [])];

const require = createRequire(import.meta.url);
// Node creates its dispatcher when its fetch is first accessed.
void globalThis.Response;

await check("the shortened limits of Node's own agent cut plain fetch, not the provider", () => {
  const { constructor: Agent } = globalThis[KEYS[0]];
  const caps = { headersTimeout: CAP_MS, bodyTimeout: CAP_MS };
  return keepingDispatcher(async () => {
    for (const key of KEYS) if (globalThis[key] !== undefined) globalThis[key] = new Agent(caps);
    await assertCapsLifted();
  });
});

/** Dispatchers that users may have installed instead of Node's, from a release of the package `undici`. */
const WITH_UNDICI = {
  "a user's own dispatcher gets every request": (undici) =>
    withFake(async (url) => {
      const { dispatcher, seen } = watchingDispatcher(undici);
      undici.setGlobalDispatcher(dispatcher);
      await fetch(url).then((response) => response.text());
      assert.equal(seen.length, 1, "plain fetch does not use it");
      await useAll(url);
      assert.deepEqual(seen.slice(1), Array(4).fill({ headersTimeout: 0, bodyTimeout: 0 }));
    }),
  "its MockAgent answers in the server's place": async (undici) => {
    const mock = new undici.MockAgent();
    mock.disableNetConnect();
    mock.get(ELSEWHERE)
      .intercept({ path: "/v1/chat/completions", method: "POST" })
      .reply(200, completion("mocked"), { headers: { "content-type": "application/json" } });
    undici.setGlobalDispatcher(mock);
    const provider = providerOf(ELSEWHERE);
    assert.equal((await provider.complete("?")).content, "mocked");
    // Requests unknown to the mock fail: nothing bypasses it.
    assertFields(await failureOf(provider.complete("?")), { kind: "network" });
  },
  "its ProxyAgent is the way to the server": (undici) =>
    withFake((url) =>
      withProxy(url, async (proxy) => {
        undici.setGlobalDispatcher(new undici.ProxyAgent(proxy.url));
        await useAll(ELSEWHERE);
        assert.ok(proxy.count > 0);
      })
    ),
  "late headers are waited for through its ProxyAgent too": (undici) =>
    withHttp(async ({ method }, reply) => {
      if (method === "POST") await sleep(800);
      reply.writeHead(200, { "content-type": "application/json" }).end(completion("late"));
    }, (url) =>
      withProxy(url, async (proxy) => {
        undici.setGlobalDispatcher(new undici.ProxyAgent(proxy.url));
        const provider = providerOf(ELSEWHERE, { connectTimeoutMs: 200 });
        assert.equal((await provider.complete("?")).content, "late");
      })),
  "its own fetch may take the place of Node's": (undici) =>
    withFake(async (url) => {
      const native = globalThis.fetch;
      const { dispatcher, seen } = watchingDispatcher(undici);
      undici.setGlobalDispatcher(dispatcher);
      globalThis.fetch = undici.fetch;
      try {
        await useAll(url);
      } finally {
        globalThis.fetch = native;
      }
      assert.deepEqual(seen, Array(4).fill({ headersTimeout: 0, bodyTimeout: 0 }));
    }),
};
await check(
  "shortened limits of a user's own agent cut plain fetch, not the provider",
  async () => {
    await keepingDispatcher(async () => {
      const undici = require(`undici${PACKAGES.at(-1)}`);
      undici.setGlobalDispatcher(new undici.Agent({ headersTimeout: CAP_MS, bodyTimeout: CAP_MS }));
      await assertCapsLifted();
    });
  },
);

for (const version of PACKAGES) {
  for (const [name, run] of Object.entries(WITH_UNDICI)) {
    // Imported here: undici 8 replaces Node's dispatcher as soon as it is imported.
    const runIsolated = () => keepingDispatcher(() => run(require(`undici${version}`)));
    await check(`undici ${version}: ${name}`, runIsolated);
  }
}

/** Each answer is silent for longer than the limits: before its headers, or within its body. */
async function assertCapsLifted() {
  await withHttp(async ({ url }, reply) => {
    const isStream = url.startsWith("/stream");
    const type = isStream ? "text/event-stream" : "application/json";
    const [start, end] = isStream
      ? [frame("a"), `${frame("b", "stop")}data: [DONE]\n\n`]
      : [" ", completion("ab")];
    if (url.includes("/headers/")) await sleep(SILENCE_MS);
    reply.writeHead(200, { "content-type": type });
    reply.write(start);
    if (url.includes("/body/")) await sleep(SILENCE_MS);
    reply.end(end);
  }, async (url) => {
    const plain = async (path) => {
      const response = await fetch(url + path, { method: "POST", body: "{}" });
      return await response.text();
    };
    const complete = async (path) => (await providerOf(url + path).complete("?")).content;
    const stream = async (path) => {
      const { text, error } = await drain(providerOf(url + path).streamCompletion("?"));
      if (error !== undefined) throw error;
      return text;
    };
    const [headers, body, ...contents] = await Promise.all([
      failureOf(plain("/headers/plain")),
      failureOf(plain("/body/plain")),
      complete("/headers/whole"),
      complete("/body/whole"),
      stream("/stream/headers/"),
      stream("/stream/body/"),
    ]);
    assert.equal(headers.cause?.code, "UND_ERR_HEADERS_TIMEOUT", "plain fetch is not cut");
    assert.equal(body.cause?.code, "UND_ERR_BODY_TIMEOUT", "plain fetch is not cut");
    assert.deepEqual(contents, ["ab", "ab", "ab", "ab"]);
  });
}

/** Lists, completes, streams and embeds: four requests. */
async function useAll(url) {
  const provider = new LMStudioProvider({ baseUrl: url, env: {}, maxRetries: 0 });
  assert.equal((await provider.listModels()).length, 2);
  assert.equal((await provider.complete({ model: LLM, messages: "?" })).content, "ok");
  const { text, error } = await drain(provider.streamCompletion({ model: LLM, messages: "?" }));
  assert.equal(error, undefined);
  assert.equal(text, "ok");
  assert.equal((await provider.embed({ model: EMBEDDER, input: "sea" })).embeddings.length, 1);
}

function providerOf(baseUrl, options) {
  return new LMStudioProvider({ baseUrl, model: MODEL, env: {}, maxRetries: 0, ...options });
}

/** Restores Node's own dispatcher afterwards; the keys cannot be removed once they exist. */
async function keepingDispatcher(use) {
  const before = KEYS.map((key) => globalThis[key] ?? globalThis[KEYS[0]]);
  try {
    await use();
  } finally {
    KEYS.forEach((key, i) => {
      if (globalThis[key] !== undefined) globalThis[key] = before[i];
    });
  }
}

/** A custom dispatcher, and the limits it was called with. */
function watchingDispatcher({ Agent, Dispatcher }) {
  const agent = new Agent();
  const seen = [];
  class Watching extends Dispatcher {
    dispatch(options, handler) {
      const { headersTimeout, bodyTimeout } = options;
      seen.push({ headersTimeout, bodyTimeout });
      return agent.dispatch(options, handler);
    }
  }
  return { dispatcher: new Watching(), seen };
}

async function withFake(use) {
  const server = await createFakeLMStudio({ models: [LLM, EMBEDDER], replies: () => "ok" })
    .listen();
  try {
    return await use(server.url);
  } finally {
    await server[Symbol.asyncDispose]();
  }
}

/** A proxy that leads to this server whatever the host, by tunnel or by forwarding, as the client requests. */
function withProxy(target, use) {
  const state = { url: "", count: 0 };
  return withTcp((socket) => {
    const server = connect({ host: "127.0.0.1", port: Number(new URL(target).port) });
    server.on("error", () => {});
    server.on("close", () => socket.destroy());
    socket.on("close", () => server.destroy());
    server.on("data", (data) => socket.write(data));
    socket.on("data", (data) => {
      const text = data.toString("latin1");
      const isTunnel = text.startsWith("CONNECT ");
      const forwarded = text.replace(/^([A-Z]+) http:\/\/[^/]+/, "$1 ");
      if (isTunnel || forwarded !== text) state.count++;
      if (isTunnel) socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
      else server.write(Buffer.from(forwarded, "latin1"));
    });
  }, (url) => use(Object.assign(state, { url })));
}
