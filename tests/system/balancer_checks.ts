/** Two LM Studio hosts behind nginx, used through `LMStudioProvider`. */

import assert from "node:assert/strict";
import { isProviderError, LMStudioProvider } from "../../mod.ts";
import type { AnyProviderError, LMStudioProviderOptions, StreamingChunk } from "../../mod.ts";
import type { FakeFault, FakeLMStudioOptions } from "../../src/testing/mod.ts";
import { check, rejection, until } from "./checks.ts";
import { type Host, lastRequest, startHost, startSteppedHost } from "./host.ts";
import { readDocumentedConfig, startNginx } from "./nginx.ts";

const MODEL = "qwen/qwen3-8b";
const CHAT = "/v1/chat/completions";
const CLIENT_TOKEN = "CLIENT_TOKEN";
const HOST_TOKEN = "HOST_TOKEN";
/** Configuration lines that replace the client's API token with the hosts'. */
const TOKEN_LINES = /^ *(if \(\$http_authorization|proxy_set_header Authorization).*\n/gm;
const LONG = "Up and up and up it goes.";
const CALLS = 8;

interface BegunStream {
  readonly chunks: AsyncIterator<StreamingChunk>;
  /** The pull that sent the request. */
  readonly first: Promise<IteratorResult<StreamingChunk>>;
}

export async function checkBalancer(nginx: string, folder: string): Promise<void> {
  const documented = await readDocumentedConfig();
  const balance = (a: Host, b: Host, config = documented) =>
    startNginx(nginx, folder, config, [a.port, b.port]);

  await check(
    "nginx: listings and answers come through the path prefix, from both hosts",
    async () => {
      await using a = await startHost(hostOptions("A"));
      await using b = await startHost(hostOptions("B"));
      await using balancer = await balance(a, b);
      const lmstudio = connect(balancer.url);
      assert.deepEqual((await lmstudio.listModels()).map(({ id }) => id), [MODEL]);
      assert.deepEqual([...a.fake.requests, ...b.fake.requests].map(({ path }) => path), [
        "/api/v1/models",
      ]);
      const answers = new Set<string>();
      for (let calls = 0; calls < CALLS; calls++) {
        answers.add((await lmstudio.complete("Who is it?")).content);
      }
      assert.deepEqual([...answers].sort(), ["A", "B"]);
    },
  );

  await check("nginx: the hosts get their own token, and a wrong one stays outside", async () => {
    await using a = await startHost(hostOptions("A"));
    await using b = await startHost(hostOptions("B"));
    await using balancer = await balance(a, b);
    await connect(balancer.url).complete("Who is it?");
    const sent = [...a.fake.requests, ...b.fake.requests].map(({ headers }) => headers);
    assert.deepEqual(sent.map(({ authorization }) => authorization), [`Bearer ${HOST_TOKEN}`]);
    const error = await failure(connect(balancer.url, { apiToken: "wrong" }).listModels());
    assert.deepEqual([error.kind, error.code, error.status], [
      "authentication",
      "unauthorized",
      401,
    ]);
    assert.match(error.endpoint ?? "", /\/lm\/api\/v1\/models$/);
    assert.match(error.hint ?? "", /apiToken/);
    assert.equal(a.fake.requests.length + b.fake.requests.length, 1);
  });

  await check("nginx: without the token lines the client's own token is passed on", async () => {
    await using a = await startHost(hostOptions("A"));
    await using b = await startHost(hostOptions("B"));
    const passing = documented.replace(TOKEN_LINES, "");
    assert.equal(documented.split("\n").length - passing.split("\n").length, 2);
    await using balancer = await balance(a, b, passing);
    await connect(balancer.url, { apiToken: HOST_TOKEN }).complete("Who is it?");
    const error = await failure(connect(balancer.url).complete("Who is it?"));
    assert.equal(error.code, "unauthorized");
  });

  await check("nginx: a request with images of 12 MB passes", async () => {
    const options = { ...hostOptions("A"), models: [{ id: MODEL, vision: true }] };
    await using a = await startHost(options);
    await using b = await startHost(options);
    await using balancer = await balance(a, b);
    const image = new Uint8Array(9_000_000);
    image.set([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
    const content = [{ type: "text" as const, text: "What is it?" }, {
      type: "image" as const,
      image,
    }];
    const { content: answer } = await connect(balancer.url).complete({
      messages: [{ role: "user", content }],
    });
    assert.equal(answer, "A");
  });

  await check("nginx: each chunk arrives before the host writes the next one", async () => {
    const words = ["One ", "by ", "one ", "they ", "come."];
    await using host = startSteppedHost({ ...hostOptions(""), replies: [{ content: words }] });
    await using balancer = await balance(host, host);
    const arrived: string[] = [];
    host.allow(1);
    for await (const { content, isFinal } of connect(balancer.url).streamCompletion("Go on.")) {
      if (isFinal) continue;
      arrived.push(content);
      const { chunksWritten, completed } = lastRequest(host, CHAT);
      assert.deepEqual([chunksWritten, completed], [arrived.length, false]);
      host.allow(arrived.length < words.length ? 1 : Infinity);
    }
    assert.deepEqual(arrived, words);
    assert.equal(lastRequest(host, CHAT).completed, true);
  });

  await check("nginx: leaving the loop stops the host, and so does an abort", async () => {
    await using host = await startHost({
      ...hostOptions(LONG),
      faults: [stallAfter(2), stallAfter(0)],
    });
    await using balancer = await balance(host, host);
    const lmstudio = connect(balancer.url);
    for await (const { content } of lmstudio.streamCompletion("Go on.")) {
      assert.equal(content, "Up");
      break;
    }
    await until(() => lastRequest(host, CHAT).aborted);
    const controller = new AbortController();
    const pending = rejection(
      lmstudio.streamCompletion("Go on.", { signal: controller.signal }).response(),
    );
    await until(() => host.fake.requests.length === 2);
    controller.abort("enough");
    assert.equal(await pending, "enough");
    await until(() => lastRequest(host, CHAT).aborted);
  });

  await check(
    "nginx: a host dies: its running calls and the next ones go to the other host",
    async () => {
      await using b = await startHost(hostOptions("B"));
      await using a = await startHost({ ...hostOptions(""), replies: () => new Promise(() => {}) });
      await using balancer = await balance(a, b);
      // All of them must be running when the host dies.
      const lmstudio = connect(balancer.url, { maxConcurrency: 2 * CALLS });
      const calls: Promise<string>[] = [];
      for (let call = 0; call < CALLS; call++) {
        calls.push(lmstudio.complete("Who is it?").then(({ content }) => content));
        calls.push(textOf(lmstudio, "Who is it?"));
      }
      const answers = Promise.all(calls);
      answers.catch(() => {});
      await until(() => a.fake.requests.length > CALLS / 2);
      await until(() => a.fake.requests.length + b.fake.requests.length === calls.length);
      await a[Symbol.asyncDispose]();
      assert.deepEqual(await answers, calls.map(() => "B"));
      for (let call = 0; call < CALLS; call++) {
        assert.equal(
          await textOf(lmstudio, "And now?"),
          "B",
        );
      }
    },
  );

  await check("nginx: a host dies: its running streams fail with their partial text", async () => {
    await using b = await startHost(hostOptions("B"));
    await using a = await startHost({ ...hostOptions(LONG), faults: [stallAfter(2)] });
    await using balancer = await balance(a, b);
    const lmstudio = connect(balancer.url);
    const { chunks, first } = await beginOn(a, lmstudio);
    const read = [await first, await chunks.next()].map(({ value }) => value?.content);
    assert.deepEqual(read, ["Up", " and"]);
    const rest = failure(chunks.next());
    await a[Symbol.asyncDispose]();
    const error = await rest;
    assert.equal(error.partial?.content, "Up and");
    assert.equal(error.retriable, true);
    assert.match(error.code, /^(connection_reset|stream_truncated)$/);
    assert.equal(await textOf(lmstudio, "And now?"), "B");
  });

  await check(
    "nginx: a host dies after its headers: no partial text, and a retry helps",
    async () => {
      await using b = await startHost(hostOptions("B"));
      await using a = await startHost({ ...hostOptions(LONG), faults: [stallAfter(0)] });
      await using balancer = await balance(a, b);
      let answers = 0;
      const lmstudio = connect(balancer.url, {
        fetch: async (input, init) => {
          const response = await fetch(input, init);
          answers++;
          return response;
        },
      });
      const { first } = await beginOn(a, lmstudio);
      const requests = a.fake.requests.length + b.fake.requests.length;
      await until(() => answers === requests);
      const pending = failure(first);
      await a[Symbol.asyncDispose]();
      const { retriable, partial } = await pending;
      assert.deepEqual([retriable, partial], [true, undefined]);
      assert.equal(await textOf(lmstudio, "And now?"), "B");
    },
  );

  await check("nginx: a host that is back gets requests again", async () => {
    await using b = await startHost(hostOptions("B"));
    const a = await startHost(hostOptions("A"));
    await using balancer = await balance(a, b);
    const lmstudio = connect(balancer.url);
    await a[Symbol.asyncDispose]();
    for (let call = 0; call < CALLS; call++) {
      assert.equal(await textOf(lmstudio, "Who is it?"), "B");
    }
    await using back = await startHost(hostOptions("A"), a.port);
    // nginx does not use a failed host for ten seconds.
    while (back.fake.requests.length === 0) {
      assert.match(await textOf(lmstudio, "Who is it?"), /^[AB]$/);
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  });

  await check("nginx: without any host the error is its 502, and says so", async () => {
    const a = await startHost(hostOptions("A"));
    const b = await startHost(hostOptions("B"));
    await using balancer = await balance(a, b);
    await Promise.all([a[Symbol.asyncDispose](), b[Symbol.asyncDispose]()]);
    const lmstudio = connect(balancer.url, { maxRetries: 1 });
    const listing = await failure(lmstudio.listModels());
    const { attempts } = listing;
    assert.deepEqual([listing.code, listing.status, attempts], ["server_error", 502, 2]);
    const completion = await failure(lmstudio.complete("Who is it?"));
    assert.deepEqual([completion.code, completion.status, completion.attempts], [
      "server_error",
      502,
      1,
    ]);
    assert.match(completion.message, /the server answered 502 Bad Gateway/);
    assert.match(completion.hint ?? "", /NO_PROXY|between/);
    assert.equal(completion.retriable, true);
  });

  await check("nginx: if nginx itself is gone, the connection is refused", async () => {
    await using host = await startHost(hostOptions("A"));
    const balancer = await balance(host, host);
    await balancer[Symbol.asyncDispose]();
    const error = await failure(connect(balancer.url, { maxRetries: 0 }).complete("Who is it?"));
    assert.deepEqual([error.kind, error.code], ["network", "connection_refused"]);
    assert.match(error.hint ?? "", /check the address/);
  });
}

function hostOptions(answer: string): FakeLMStudioOptions {
  return { models: [MODEL], apiToken: HOST_TOKEN, replies: () => answer };
}

/** A stream that goes silent after this many tokens, until the client leaves. */
function stallAfter(afterTokens: number): FakeFault {
  return { path: CHAT, fault: { type: "stall", afterTokens } };
}

/** The provider as a user creates it, without the environment. */
function connect(baseUrl: string, options: LMStudioProviderOptions = {}): LMStudioProvider {
  return new LMStudioProvider({
    baseUrl,
    apiToken: CLIENT_TOKEN,
    model: MODEL,
    env: {},
    ...options,
  });
}

/** Starts streams until this host has one: nginx chooses which host gets a request. */
async function beginOn(host: Host, lmstudio: LMStudioProvider): Promise<BegunStream> {
  for (;;) {
    const stream = lmstudio.streamCompletion("Go on.");
    const chunks = stream[Symbol.asyncIterator]();
    const first = chunks.next();
    first.catch(() => {});
    await Promise.race([first, until(() => host.fake.requests.length > 0)]);
    if (host.fake.requests.length > 0) return { chunks, first };
    await stream.cancel();
  }
}

async function textOf(lmstudio: LMStudioProvider, prompt: string): Promise<string> {
  let text = "";
  for await (const { content } of lmstudio.streamCompletion(prompt)) text += content;
  return text;
}

async function failure(promise: Promise<unknown>): Promise<AnyProviderError> {
  const error = await rejection(promise);
  if (!isProviderError(error)) throw error;
  return error;
}
