/** Servers that are too old for a route: one error, remembered for a while, and noticed after an update. */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { type AnyProviderError, isProviderError, LMStudioProvider } from "../mod.ts";
import { createFakeLMStudio } from "../src/testing/mod.ts";
import { inFakeTime } from "./support/puppet.ts";
import { events, json, serveStub, unexpectedEndpoint } from "./support/stub_server.ts";

const MODEL = "qwen/qwen3-8b";
const REQUEST = { model: MODEL, input: "Hi" };

/** Routes that not every version has: the call that uses them, and the first version with them. */
const NEWER: [name: string, since: string, ask: (lmstudio: LMStudioProvider) => unknown][] = [
  ["chat.send", "0.4.0", ({ chat }) => chat.send(REQUEST)],
  ["chat.stream", "0.4.0", ({ chat }) => chat.stream(REQUEST).response()],
  ["responses.create", "0.3.29", ({ responses }) => responses.create(REQUEST)],
  ["responses.stream", "0.3.29", ({ responses }) => responses.stream(REQUEST).response()],
  ["models.load", "0.4.0", ({ models }) => models.load(MODEL)],
  ["models.unload", "0.4.0", ({ models }) => models.unload(MODEL)],
  ["models.download", "0.4.0", ({ models }) => models.download(MODEL).response()],
  ["models.downloadStatus", "0.4.0", ({ models }) => models.downloadStatus("job_1")],
];

const V1 = { models: [{ key: MODEL, type: "llm", loaded_instances: [{ id: MODEL }] }] };

async function failure(call: unknown): Promise<AnyProviderError> {
  const error = await Promise.resolve(call).then(() => undefined, (error: unknown) => error);
  assert(isProviderError(error), String(error));
  return error;
}

for (const status of [200, 404]) {
  for (const [name, since, ask] of NEWER) {
    Deno.test(`${name}: a route that is missing, under ${status}, is requested once`, async () => {
      await using server = serveStub({ "GET /api/v1/models": json(V1) }, (request) => ({
        ...unexpectedEndpoint(request),
        status,
      }));
      const lmstudio = new LMStudioProvider({ baseUrl: server.url, env: {} });
      const asked = () => server.requests.filter(({ path }) => path !== "/api/v1/models").length;
      const first = await failure(ask(lmstudio));
      assertEquals([first.code, first.attempts, asked()], ["unsupported_by_server", 1, 1]);
      assertStringIncludes(first.hint, since);
      const second = await failure(ask(lmstudio));
      assertEquals([second.code, second.attempts, asked()], ["unsupported_by_server", 0, 1]);
      assertEquals(
        [second.message, second.hint, second.endpoint],
        [first.message, first.hint, first.endpoint],
      );
    });
  }
}

Deno.test("a missing route says nothing about others, or about another provider's server", async () => {
  await using server = serveStub({});
  const lmstudio = new LMStudioProvider({ baseUrl: server.url, env: {} });
  for (const ask of [NEWER[0]![2], NEWER[2]![2]]) {
    assertEquals((await failure(ask(lmstudio))).attempts, 1);
  }
  const other = new LMStudioProvider({ baseUrl: server.url, env: {} });
  assertEquals((await failure(other.chat.send(REQUEST))).attempts, 1);
});

Deno.test("an error from a tool's own server does not mean a missing route", async () => {
  const error = { type: "error", message: "Unexpected endpoint or method. (POST /mcp)" };
  const stream = events(`data: ${JSON.stringify(error)}\n\n`);
  await using server = serveStub({ "POST /v1/responses": stream, "POST /api/v1/chat": stream });
  const { chat, responses } = new LMStudioProvider({ baseUrl: server.url, env: {} });
  for (const attempts of [1, 1]) {
    assertEquals((await failure(chat.stream(REQUEST).response())).attempts, attempts);
    assertEquals((await failure(responses.stream(REQUEST).response())).attempts, attempts);
  }
});

Deno.test("a feature that a server does not implement does not mean a missing route", async () => {
  const error = { error: { type: "not_implemented", message: "Not yet" } };
  await using server = serveStub({ "POST /api/v1/chat": json(error, 400) });
  const { chat } = new LMStudioProvider({ baseUrl: server.url, env: {} });
  for (const attempts of [1, 1]) {
    const { code, ...rest } = await failure(chat.send(REQUEST));
    assertEquals([code, rest.attempts], ["unsupported_by_server", attempts]);
  }
});

Deno.test("a server updated during the run is noticed after half a minute", async () => {
  await inFakeTime(async (pass) => {
    let fake = createFakeLMStudio({ version: "0.3.16" });
    const lmstudio = new LMStudioProvider({
      env: {},
      fetch: (input, init) => fake.fetch(input, init),
    });
    const model = "qwen/qwen3-8b";
    await failure(lmstudio.chat.send({ model, input: "Hi" }));
    await failure(lmstudio.responses.stream({ model, input: "Hi" }).response());
    fake = createFakeLMStudio({ models: [model] });
    await pass(29_000);
    await failure(lmstudio.chat.send({ model, input: "Hi" }));
    assertEquals(fake.requests, []);
    await pass(2_000);
    assert((await lmstudio.chat.send({ model, input: "Hi" })).content !== "");
    assert((await lmstudio.responses.create({ model, input: "Hi" })).text !== "");
  });
});
