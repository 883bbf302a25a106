/**
 * The bundle of `mod.ts` in a Chromium page that sends requests to hosts of other origins.
 *
 * Pages need a server started with `lms server start --cors`. Since Chromium 142, pages from the internet
 * also need https and the user's permission for the local network, which the browser requests on its own.
 * Pages from this machine need no permission.
 */

import assert from "node:assert/strict";
import * as moduleOnDeno from "../../mod.ts";
import type { FakeLMStudioOptions } from "../../src/testing/mod.ts";
import { check, until } from "./checks.ts";
import { Chromium } from "./chromium.ts";
import { lastRequest, startHost, startSteppedHost } from "./host.ts";
import { freePort } from "./processes.ts";

type Module = typeof moduleOnDeno;

const ROOT = new URL("../../", import.meta.url);
const MODEL = "qwen/qwen3-8b";
const CHAT = "/v1/chat/completions";
const PAGE = "<!DOCTYPE html><title>LM Studio</title><link rel=icon href=data:,>";
/** Makes Chromium treat a page as if it came from the internet. */
const FROM_THE_INTERNET = { "content-security-policy": "treat-as-public-address" };
const WITH_CORS: FakeLMStudioOptions = { models: [MODEL], cors: true };

export async function checkBrowser(program: string, folder: string): Promise<void> {
  const bundle = `${folder}/lmstudio.js`;
  if (!await check("browser: deno bundle makes one file of the module", () => makeBundle(bundle))) {
    return;
  }
  const site = new Site(bundle);
  let browser: Chromium | undefined;
  const hasStarted = await check("browser: Chromium starts", async () => {
    browser = await Chromium.start(program, folder);
  });
  if (hasStarted && browser !== undefined) await checkPages(browser, site);
  await browser?.[Symbol.asyncDispose]();
  await site[Symbol.asyncDispose]();
}

async function checkPages(browser: Chromium, site: Site): Promise<void> {
  const { origin } = site;
  const page = await browser.open(`${origin}/`);

  await check("browser: importing the bundle throws nothing and exports every name", async () => {
    const names = await page.run((lmstudio) => Object.keys(lmstudio));
    assert.deepEqual(names.sort(), Object.keys(moduleOnDeno).sort());
    assert.deepEqual(page.complaints, []);
  });

  await check(
    "browser: a page lists, completes and embeds on a server of another origin",
    async () => {
      await using host = await startHost({
        ...WITH_CORS,
        models: [MODEL, "text-embedding-nomic"],
        replies: ["Hello from your machine."],
      });
      const result = await page.run(async ({ LMStudioProvider }, baseUrl) => {
        const lmstudio = new LMStudioProvider({ baseUrl });
        const { embeddings } = await lmstudio.embed({ input: ["sea", "ocean"] });
        return {
          models: (await lmstudio.listModels()).map(({ id, loaded }) => [id, loaded]),
          content: (await lmstudio.complete("Hello?")).content,
          vectors: embeddings.map((vector) => vector.length),
        };
      }, host.url);
      assert.deepEqual(result, {
        models: [[MODEL, true], ["text-embedding-nomic", true]],
        content: "Hello from your machine.",
        vectors: [768, 768],
      });
      assert.equal(lastRequest(host, CHAT).headers.origin, origin);
    },
  );

  await check("browser: a token passes the browser's preflight", async () => {
    const apiToken = "sk-lm-12345678:abcdefghijklmnopqrst";
    await using host = await startHost({ ...WITH_CORS, apiToken });
    const ids = await page.run(
      async ({ LMStudioProvider }, baseUrl, apiToken) =>
        (await new LMStudioProvider({ baseUrl, apiToken }).listModels()).map(({ id }) => id),
      host.url,
      apiToken,
    );
    assert.deepEqual(ids, [MODEL]);
    assert.deepEqual(host.fake.requests.map(({ method }) => method), ["OPTIONS", "GET"]);
    assert.equal((await page.failure(list, host.url)).code, "unauthorized");
  });

  await check("browser: each chunk arrives before the server writes the next one", async () => {
    const words = ["One ", "by ", "one ", "they ", "come."];
    await using host = startSteppedHost({ ...WITH_CORS, replies: [{ content: words }] });
    const arrived: string[] = [];
    const written: number[] = [];
    site.onArrival = (text) => {
      arrived.push(text);
      written.push(lastRequest(host, CHAT).chunksWritten);
      host.allow(arrived.length < words.length ? 1 : Infinity);
    };
    host.allow(1);
    const finishReason = await page.run(streamAndTell, host.url, MODEL);
    assert.equal(finishReason, "stop");
    assert.deepEqual(arrived, words);
    assert.deepEqual(written, words.map((_, index) => index + 1));
  });

  // Chromium keeps reading for up to five seconds, to reuse the connection, before it closes it.
  await check("browser: an abort, and leaving the loop, stop the server", async () => {
    await using host = await startHost({
      ...WITH_CORS,
      faults: [1, 1].map((afterTokens) => ({ path: CHAT, fault: { type: "stall", afterTokens } })),
    });
    const { message } = await page.failure(
      async ({ LMStudioProvider }, baseUrl, model) => {
        const controller = new AbortController();
        const { signal } = controller;
        const lmstudio = new LMStudioProvider({ baseUrl, model });
        for await (const _ of lmstudio.streamCompletion("Go on.", { signal })) {
          controller.abort("enough");
        }
      },
      host.url,
      MODEL,
    );
    assert.equal(message, "enough");
    await until(() => lastRequest(host, CHAT).aborted);
    await page.run(
      async ({ LMStudioProvider }, baseUrl, model) => {
        const lmstudio = new LMStudioProvider({ baseUrl, model });
        for await (const _ of lmstudio.streamCompletion("Go on.")) break;
      },
      host.url,
      MODEL,
    );
    await until(() => lastRequest(host, CHAT).aborted);
    assert.equal(host.fake.requests.filter(({ method }) => method === "POST").length, 2);
  });

  await check("browser: a stream that breaks off leaves its partial text", async () => {
    await using host = await startHost({
      ...WITH_CORS,
      replies: ["Up and up it goes."],
      faults: [{ path: CHAT, fault: { type: "stall", afterTokens: 2 } }],
    });
    const arrived: string[] = [];
    site.onArrival = async (text) => {
      arrived.push(text);
      if (arrived.length === 2) await host[Symbol.asyncDispose]();
    };
    const { kind, code, partial } = await page.failure(streamAndTell, host.url, MODEL);
    assert.deepEqual([kind, code, partial?.content], ["network", "connection_reset", "Up and"]);
  });

  await check("browser: a server without CORS is blocked_by_browser, with the remedy", async () => {
    await using host = await startHost({ models: [MODEL] });
    for (const body of [list, complete, stream]) {
      const { kind, code, hint, attempts } = await page.failure(body, host.url, MODEL);
      assert.deepEqual([kind, code, attempts], ["network", "blocked_by_browser", 1]);
      assert.match(hint ?? "", /`lms server start --cors`/);
    }
    assert.deepEqual(host.fake.requests.filter(({ method }) => method === "POST"), []);
  });

  await check("browser: a port where nothing listens is connection_refused", async () => {
    const url = `http://127.0.0.1:${freePort()}`;
    for (const body of [list, complete, stream]) {
      const { kind, code, hint } = await page.failure(body, url, MODEL);
      assert.deepEqual([kind, code], ["network", "connection_refused"]);
      assert.match(hint ?? "", /lms server start/);
    }
  });

  await check("browser: a redirect is not followed", async () => {
    await using host = await startHost({
      ...WITH_CORS,
      faults: [{ fault: { type: "redirect", location: "/elsewhere" }, times: Infinity }],
    });
    const { kind } = await page.failure(complete, host.url, MODEL);
    assert.equal(kind, "api");
    assert.deepEqual(host.fake.requests.filter(({ path }) => path === "/elsewhere"), []);
  });

  await check("browser: configuration files are refused by name", async () => {
    const { code, message } = await page.failure(({ LMStudioProvider }) => {
      new LMStudioProvider({ configFile: "lmstudio.json" });
    });
    assert.equal(code, "invalid_configuration");
    assert.match(message, /lmstudio\.json/);
  });

  await check("browser: a page from the internet needs the user's permission", async () => {
    await using host = await startHost(WITH_CORS);
    const remote = await browser.open(`${origin}/from-the-internet`);
    await browser.setPermission("loopback-network", "denied", origin);
    const { code, hint } = await remote.failure(list, host.url);
    assert.equal(code, "blocked_by_browser");
    assert.match(hint ?? "", /browser's settings/);
    assert.deepEqual(host.fake.requests, []);
    await browser.setPermission("loopback-network", "granted", origin);
    assert.deepEqual(await remote.run(list, host.url), [MODEL]);
  });
}

// These run in the page.

async function list({ LMStudioProvider }: Module, baseUrl: string): Promise<string[]> {
  return (await new LMStudioProvider({ baseUrl }).listModels()).map(({ id }) => id);
}

async function complete(
  { LMStudioProvider }: Module,
  baseUrl: string,
  model: string,
): Promise<string> {
  return (await new LMStudioProvider({ baseUrl, model }).complete("Go on.")).content;
}

async function stream(
  { LMStudioProvider }: Module,
  baseUrl: string,
  model: string,
): Promise<string> {
  const chunks = new LMStudioProvider({ baseUrl, model }).streamCompletion("Go on.");
  return (await chunks.response()).content;
}

/** Reports every chunk except the last one, and waits for a confirmation before it continues. */
async function streamAndTell(
  { LMStudioProvider }: Module,
  baseUrl: string,
  model: string,
): Promise<string> {
  const chunks = new LMStudioProvider({ baseUrl, model }).streamCompletion("Go on.");
  for await (const { content, isFinal, finishReason } of chunks) {
    if (isFinal) return finishReason ?? "";
    await fetch("/arrived", { method: "POST", body: content });
  }
  return "no final chunk";
}

// These serve it.

/** Serves pages and the bundle, and receives what pages report. */
class Site implements AsyncDisposable {
  readonly origin: string;
  /** Called with the body that a page sends to `/arrived`, before the page gets an answer. */
  onArrival: (text: string) => void | Promise<void> = () => {};
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  readonly #bundle: string;

  constructor(bundle: string) {
    this.#bundle = bundle;
    const options = { hostname: "127.0.0.1", port: 0, onListen() {} };
    this.#server = Deno.serve(options, (request) => this.#answer(request));
    this.origin = `http://127.0.0.1:${this.#server.addr.port}`;
  }

  async #answer(request: Request): Promise<Response> {
    const html = { "content-type": "text/html" };
    switch (new URL(request.url).pathname) {
      case "/":
        return new Response(PAGE, { headers: html });
      case "/from-the-internet":
        return new Response(PAGE, { headers: { ...html, ...FROM_THE_INTERNET } });
      case "/lmstudio.js":
        return new Response(await Deno.readFile(this.#bundle), {
          headers: { "content-type": "text/javascript" },
        });
      case "/arrived":
        await this.onArrival(await request.text());
        return new Response();
      default:
        return new Response(null, { status: 404 });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}

async function makeBundle(file: string): Promise<void> {
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["bundle", "--quiet", "--platform", "browser", "--output", file, "mod.ts"],
    cwd: ROOT,
    stdin: "null",
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
}
