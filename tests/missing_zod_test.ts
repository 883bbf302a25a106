/** What a user sees where zod, which is loaded on first use, is not there. */
import { assertEquals, assertRejects, assertStrictEquals, assertStringIncludes } from "@std/assert";
import { UnknownProviderError } from "../mod.ts";
import { importSchemas } from "../src/core/import_on_use.ts";
import { runScript } from "./support/script.ts";

Deno.test("zod: a module that does not load is an error with a remedy, and is tried again", async () => {
  const cause = new TypeError("Cannot find package 'zod'");
  let tries = 0;
  const load = () => ++tries === 1 ? Promise.reject(cause) : Promise.resolve({ here: true });
  const error = await assertRejects(() => importSchemas(load, "list models"), UnknownProviderError);
  assertEquals([error.code, error.retriable], ["unknown", false]);
  assertStrictEquals(error.cause, cause);
  assertStringIncludes(error.message, "Cannot list models: zod, which reads the answer, did not");
  assertStringIncludes(error.hint, "deno add npm:zod");
  assertEquals(await importSchemas(load, "list models"), { here: true });
});

Deno.test("zod: without it chats work, and what needs it says so", async () => {
  const map = encodeURIComponent('{"imports":{"zod":"file:///nowhere/zod.js"}}');
  const script = `
    import { LMStudioProvider } from "mod";
    const answer = (path) => path.endsWith("/models")
      ? { models: [{ type: "llm", key: "m", loaded_instances: [{ id: "m", config: {} }] }] }
      : { model: "m", choices: [{ message: { content: "Hi." } }] };
    const paths = [];
    const fetch = (url) => paths.push(new URL(url).pathname) && Promise.resolve(Response.json(answer(new URL(url).pathname)));
    const lmstudio = new LMStudioProvider({ env: {}, fetch });
    console.log((await lmstudio.complete({ model: "m", messages: "Hi" })).content);
    for (const call of [
      () => lmstudio.listModels(),
      () => lmstudio.complete("Hi"),
      () => lmstudio.supportsModel("m"),
      () => lmstudio.chat.send({ model: "m", input: "Hi" }),
      () => lmstudio.chat.stream({ model: "m", input: "Hi" }).response(),
      () => lmstudio.models.downloadStatus("job_1").then((status) => status),
    ]) {
      const { name, kind, message } = await call().then((value) => ({ message: value }), (error) => error);
      console.log(name, kind, message.split(".")[0]);
    }
    // What is done once must not be done in vain.
    console.log(paths.includes("/api/v1/chat"));
  `;
  const { output, errors } = await runScript(script, [`--import-map=data:application/json,${map}`]);
  const failed = (action: string) =>
    `UnknownProviderError unknown Cannot ${action}: zod, which reads the answer, did not load`;
  const actions = [
    "list models",
    "complete",
    "look up a model",
    "chat",
    "stream a chat",
    'follow download "job_1"',
  ];
  assertEquals([output, errors], [["Hi.", ...actions.map(failed), "false"].join("\n"), ""]);
});

Deno.test("parts: one that does not load is an error of ours, which names the call", async () => {
  const missing = ["transport/forward", "members/embeddings", "members/chat"];
  const imports = Object.fromEntries(
    missing.map((part) => [
      new URL(`../src/${part}.ts`, import.meta.url).href,
      "file:///nowhere/part.ts",
    ]),
  );
  const map = encodeURIComponent(JSON.stringify({ imports }));
  const script = `
    import { LMStudioProvider } from "mod";
    const fetch = () => Promise.resolve(Response.json({}));
    const lmstudio = new LMStudioProvider({ env: {}, fetch });
    const client = lmstudio.toOpenAI();
    for (const call of [
      () => client.fetch(client.baseURL + "/models"),
      () => lmstudio.embed({ model: "m", input: "a" }),
      () => lmstudio.chat.send({ model: "m", input: "Hi" }),
    ]) {
      const { name, kind, message } = await call().then((value) => ({ message: value }), (error) => error);
      console.log(name, kind, message.split(".")[0]);
    }
  `;
  const { output, errors } = await runScript(script, [`--import-map=data:application/json,${map}`]);
  const failed = ["send a request", "embed", "chat"].map((action) =>
    `UnknownProviderError unknown Cannot ${action}: a part of this package did not load`
  );
  assertEquals([output, errors], [failed.join("\n"), ""]);
});
