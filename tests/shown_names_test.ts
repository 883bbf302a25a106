/**
 * Names and words that a server chooses, as messages show them: on one line, without control characters, and without
 * anything that was sent. It may be the name of a model, a tool, an instance, a job or a key.
 */
import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import * as z from "zod";
import {
  type CallOptions,
  LMStudioProvider,
  LocalProvider,
  ModelNotAvailableError,
  ParseError,
  ProviderError,
} from "../mod.ts";
import { quote } from "../src/core/fields.ts";
import { rejection } from "./support/wire.ts";

const TOKEN = "sk-lm-Abcd1234:QrStUvWxYz9876543210";
const HEADER = "gatewayKeyKd83hfFs02jd";
const CALL_KEY = "callersCredentialXq4471";
const PROMPT = "Please tell of Quetzalcoatl Marzipan Featherstonehaugh, will you?";
const FORBIDDEN = ["abcd1234", "9876543210", "kd83hffs", "xq4471", "quetzalcoatl", "marzipan"];
const OPTIONS: CallOptions = { headers: { "x-call-key": CALL_KEY } };

/** Terminal control sequences, each in its own name, and what was sent. */
const NAMES: Readonly<Record<string, string>> = {
  "an escape sequence": "evil\u001b[2J\u001b]0;title\u0007",
  "C1 controls": "evil\u009b31m\u0085\u0090payload\u009c",
  "marks of direction": "evil\u202egpj.exe\u2066\u2069\u200f",
  "what has no width": "ev\u200bil\u2060\ufeff\u00ad",
  "line ends": "evil\r\n\u2028\u2029Error: all is well",
  "half a character": "evil\ud800",
  "tags": "evil\u{e0041}\u{e0001}",
  "the token": `evil ${TOKEN}`,
  "a header": `evil:${HEADER}`,
  "a header of the call": `x-call-key=${CALL_KEY}`,
  "the prompt": PROMPT,
  "a part of the prompt, in other case": "tell of QUETZALCOATL MARZIPAN feather",
  "the prompt as JSON": JSON.stringify(PROMPT),
  "far too much": `evil ${"x".repeat(100_000)}`,
};

/** Everything that may be printed of an error, or logged. */
function printed(error: ProviderError): string {
  const json = JSON.stringify(error);
  const fields = Object.entries(error).map(([key, value]) => `${key}: ${JSON.stringify(value)}`);
  const inspected = Deno.inspect(error, { depth: 20, strAbbreviateSize: 1e6 });
  return [error.message, error.hint, String(error), error.stack, json, ...fields, inspected]
    .join("\n").replaceAll("\n", " ");
}

function check(name: string, error: unknown): void {
  assert(error instanceof ProviderError, `${name}: ${Deno.inspect(error)}`);
  const text = printed(error);
  const unseen = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u.exec(text);
  assertEquals(unseen?.[0].codePointAt(0)?.toString(16), undefined, `${name}: ${error.message}`);
  const leaked = FORBIDDEN.filter((word) => text.toLowerCase().includes(word));
  assertEquals(leaked, [], `${name}: ${error.message}`);
  assert(error.message.length < 1500, `${name}: ${error.message.length}`);
}

type Respond = (name: string, path: string) => unknown;

function provider(name: string, respond: Respond, more = {}): LMStudioProvider {
  return new LMStudioProvider({
    apiToken: TOKEN,
    headers: { "x-api-key": HEADER },
    env: {},
    maxRetries: 0,
    fetch: (input) => {
      const body = respond(name, new URL(String(input)).pathname);
      if (body instanceof Response) return Promise.resolve(body);
      return Promise.resolve(Response.json(body, { status: body === undefined ? 404 : 200 }));
    },
    ...more,
  });
}

function forEachName(respond: Respond, call: (lmstudio: LMStudioProvider) => unknown) {
  return async () => {
    for (const [kind, name] of Object.entries(NAMES)) {
      const lmstudio = provider(name, respond);
      check(kind, await rejection(Promise.resolve(call(lmstudio))));
    }
  };
}

const entry = (key: string, more = {}) => ({ type: "llm", key, loaded_instances: [], ...more });
const listed = (...models: unknown[]) => ({ models });

// --- The answering model ------------------------------------------------------------------------

const answering: Respond = (name, path) => {
  if (path.endsWith("/models")) return listed(entry("m"), entry(name));
  if (path.endsWith("/embeddings")) {
    return { model: name, data: [{ index: 0, embedding: [1, 2] }] };
  }
  return {
    model: name,
    status: "completed",
    choices: [{ message: { content: "Hi" }, text: "Hi" }],
    output: [{ type: "message", content: [{ type: "output_text", text: "Hi" }] }],
  };
};
const MESSAGES = { model: "m", messages: PROMPT };
const ANSWERED: Readonly<Record<string, (lmstudio: LMStudioProvider) => unknown>> = {
  complete: (lmstudio) => lmstudio.complete(MESSAGES, OPTIONS),
  streamCompletion: (lmstudio) => lmstudio.streamCompletion(MESSAGES, OPTIONS).response(),
  completeText: (lmstudio) => lmstudio.completeText({ model: "m", prompt: PROMPT }, OPTIONS),
  streamText: (lmstudio) => lmstudio.streamText({ model: "m", prompt: PROMPT }, OPTIONS).response(),
  completeObject: (lmstudio) =>
    lmstudio.completeObject({ ...MESSAGES, schema: { type: "object" } }, OPTIONS),
  streamObject: (lmstudio) =>
    lmstudio.streamObject({ ...MESSAGES, schema: { type: "object" } }, OPTIONS).response(),
  runTools: (lmstudio) => lmstudio.runTools({ ...MESSAGES, tools: [] }, OPTIONS),
  "responses.create": (lmstudio) =>
    lmstudio.responses.create({ model: "m", input: PROMPT }, OPTIONS),
  "responses.stream": (lmstudio) =>
    lmstudio.responses.stream({ model: "m", input: PROMPT }, OPTIONS).response(),
  embed: (lmstudio) => lmstudio.embed({ model: "m", input: PROMPT }, OPTIONS),
};
for (const [method, call] of Object.entries(ANSWERED)) {
  Deno.test(`the model that answered ${method} is shown plain`, forEachName(answering, call));
}

Deno.test("models that answered the batches of one call are shown plain", async () => {
  for (const [kind, name] of Object.entries(NAMES)) {
    let batch = 0;
    const respond: Respond = (_name, path) =>
      path.endsWith("/embeddings")
        ? { model: batch++ === 0 ? "m" : name, data: [{ index: 0, embedding: [1] }] }
        : listed();
    const lmstudio = provider(name, respond, { onModelSubstituted: "ignore" });
    const request = { model: "m", input: [PROMPT, "sea"], batchSize: 1 };
    const error = await rejection(lmstudio.embed(request, OPTIONS));
    check(kind, error);
    assert(error instanceof ParseError && error.message.includes("answered, then"));
  }
});

// --- A model in the listing ---------------------------------------------------------------------

const several: Respond = (name, path) =>
  path.endsWith("/models")
    ? listed(
      entry("a", { loaded_instances: [{ id: "a" }] }),
      entry(name, { loaded_instances: [{ id: name }] }),
      { ...entry("e"), type: "embedding" },
      { ...entry(`${name} 2`), type: "embedding" },
    )
    : undefined;
const only: Respond = (name, path) =>
  path.endsWith("/models")
    ? listed(
      entry(name, { loaded_instances: [{ id: name }] }),
      { ...entry(`${name} 2`), type: "embedding" },
    )
    : Response.json({ error: "The model has crashed without additional information" }, {
      status: 400,
    });
const notFound: Respond = (name, path) =>
  path.endsWith("/models") ? only(name, path) : Response.json({
    error: { message: "Model not found", code: "model_not_found" },
  }, { status: 404 });
const LISTED: Readonly<Record<string, (lmstudio: LMStudioProvider) => unknown>> = {
  complete: (lmstudio) => lmstudio.complete(PROMPT, OPTIONS),
  streamCompletion: (lmstudio) => lmstudio.streamCompletion(PROMPT, OPTIONS).response(),
  completeText: (lmstudio) => lmstudio.completeText({ prompt: PROMPT }, OPTIONS),
  "responses.create": (lmstudio) => lmstudio.responses.create({ input: PROMPT }, OPTIONS),
  embed: (lmstudio) => lmstudio.embed({ input: PROMPT }, OPTIONS),
};
for (const [method, call] of Object.entries(LISTED)) {
  Deno.test(`one of several models is shown plain by ${method}`, forEachName(several, call));
  Deno.test(`the only model is shown plain by ${method}`, forEachName(only, call));
  Deno.test(`the only model, not found, is shown plain by ${method}`, forEachName(notFound, call));
}

Deno.test("the nearest models are shown plain", async () => {
  for (const [kind, name] of Object.entries(NAMES)) {
    // No prompt is sent to this route.
    if (kind.includes("prompt")) continue;
    const lmstudio = provider(name, several);
    for (const call of ["get", "load", "ensureLoaded"] as const) {
      const error = await rejection(
        call === "get"
          ? lmstudio.models.get("nothing", OPTIONS)
          : lmstudio.models[call]("nothing", {}, OPTIONS),
      );
      check(kind, error);
      assertInstanceOf(error, ModelNotAvailableError);
      assertEquals(error.available?.length, 4);
    }
  }
});

Deno.test("a copy that cannot be unloaded is shown plain", async () => {
  for (const [kind, name] of Object.entries(NAMES)) {
    if (kind.includes("prompt")) continue;
    const respond: Respond = (_name, path) => {
      if (path.endsWith("/models")) return listed(entry("m"));
      return path.endsWith("/load")
        ? { instance_id: name, load_config: { context_length: 8 } }
        : Response.json({ error: "Boom" }, { status: 500 });
    };
    const lmstudio = provider(name, respond);
    const lease = await lmstudio.models.ensureLoaded("m", { unloadOnDispose: true }, OPTIONS);
    check(kind, await rejection(Promise.resolve(lease[Symbol.asyncDispose]())));
  }
});

Deno.test("models of other servers are shown plain", async () => {
  for (const [kind, name] of Object.entries(NAMES)) {
    const local = new LocalProvider({
      apiToken: TOKEN,
      headers: { "x-api-key": HEADER },
      env: {},
      discovery: { candidates: [{ type: "lmstudio", endpoint: "http://127.0.0.1:9" }] },
      fetch: (input) =>
        Promise.resolve(Response.json(
          String(input).endsWith("greeting") ? { lmstudio: true } : listed(entry(name)),
        )),
    });
    const tries = [
      () => local.complete({ model: "nothing", messages: PROMPT }, OPTIONS),
      () => local.embed({ model: "nothing", input: PROMPT }, OPTIONS),
    ];
    for (const call of tries) {
      const error = await rejection(call());
      check(kind, error);
      assertInstanceOf(error, ModelNotAvailableError);
      assertEquals(error.available?.length, 1);
    }
  }
});

// --- The content of an answer -------------------------------------------------------------------

const answer = (content: string, more = {}, finish = "stop") => ({
  model: "m",
  choices: [{ message: { content, ...more }, finish_reason: finish }],
});

Deno.test(
  "a tool that was called instead of an answer is shown plain",
  forEachName(
    (name) => answer("", { tool_calls: [{ id: "1", function: { name, arguments: "{}" } }] }),
    (lmstudio) => lmstudio.completeObject({ ...MESSAGES, schema: { type: "object" } }, OPTIONS),
  ),
);

Deno.test(
  "a finish reason is shown plain",
  forEachName(
    (name) => answer("no JSON", {}, name),
    (lmstudio) => lmstudio.completeObject({ ...MESSAGES, schema: { type: "object" } }, OPTIONS),
  ),
);

Deno.test(
  "a key of an object is shown plain",
  forEachName(
    (name) => answer(JSON.stringify({ [name]: 1, deep: { [name]: "x" } })),
    (lmstudio) => {
      const schema = z.strictObject({ deep: z.record(z.string(), z.number()) });
      return lmstudio.completeObject({ ...MESSAGES, schema }, OPTIONS);
    },
  ),
);

Deno.test("a schema's own words are shown plain, in the issues as well", async () => {
  for (const [kind, name] of Object.entries(NAMES)) {
    const schema = {
      "~standard": {
        version: 1,
        vendor: "own",
        jsonSchema: { input: () => ({ type: "object" }), output: () => ({ type: "object" }) },
        validate: () => ({ issues: [{ message: `not ${name}`, path: ["a", name] }] }),
      },
    } as const;
    const lmstudio = provider(name, () => answer("{}"));
    const error = await rejection(lmstudio.completeObject({ ...MESSAGES, schema }, OPTIONS));
    check(kind, error);
    assertInstanceOf(error, ParseError);
    const [issue] = error.issues ?? [];
    assert(issue !== undefined && !/[\p{Cc}\p{Cf}\p{Cs}]/u.test(issue.message), issue?.message);
    assertEquals(issue.path, ["a", name]);
  }
});

Deno.test("the start of an invalid answer is shown plain", async () => {
  for (const [kind, name] of Object.entries(NAMES)) {
    const lmstudio = provider(name, () => ({ output: name, [name]: name, choices: name }));
    for (const method of ["complete", "completeText", "responses.create"]) {
      const error = await rejection(Promise.resolve(ANSWERED[method]?.(lmstudio)));
      check(kind, error);
      assertInstanceOf(error, ParseError);
      const snippet = error.bodySnippet ?? "";
      assert(snippet !== "" && snippet.length <= 200, snippet);
      assert(!/[\p{Cc}\p{Cf}\p{Cs}]/u.test(snippet), snippet);
      const leaked = FORBIDDEN.filter((word) => snippet.toLowerCase().includes(word));
      assertEquals(leaked, [], `${kind}: ${snippet}`);
    }
  }
});

Deno.test("the reason and the id of a failed download are shown plain", async () => {
  for (const [kind, name] of Object.entries(NAMES)) {
    if (kind.includes("prompt")) continue;
    const failed: Respond = (_name, path) =>
      path.endsWith("/models") ? listed() : { job_id: "j", status: "failed", error: name };
    const strange: Respond = (_name, path) =>
      path.endsWith("/models")
        ? listed()
        : path.endsWith("/download")
        ? { job_id: name, status: "downloading" }
        : Response.json({ error: "Boom" }, { status: 400 });
    for (const respond of [failed, strange]) {
      const lmstudio = provider(name, respond);
      const download = async () => {
        for await (const _ of lmstudio.models.download("m", { pollIntervalMs: 1 }, OPTIONS));
      };
      check(kind, await rejection(download()));
    }
  }
});

// --- The runtime's words ------------------------------------------------------------------------

Deno.test("a cause is printed without terminal control sequences", async () => {
  for (const name of Object.values(NAMES).slice(0, 4)) {
    const inner = Object.assign(new Error(`certificate of ${name}`), { code: "ERR_TLS" });
    const cause = new TypeError("fetch failed", { cause: inner });
    const lmstudio = new LMStudioProvider({
      env: {},
      maxRetries: 0,
      fetch: () => Promise.reject(cause),
    });
    const error = await rejection(lmstudio.complete(MESSAGES));
    assertInstanceOf(error, ProviderError);
    const text = Deno.inspect(error) + (error.cause as Error).stack +
      ((error.cause as Error).cause as Error).message;
    assert(!/[\p{Cc}\p{Cf}]/u.test(text.replaceAll("\n", "")), JSON.stringify(text));
    assert(text.includes("certificate of"));
  }
});

Deno.test("invisible characters are shown as escapes, and no character is cut in half", () => {
  assertEquals(
    quote('a"\n\u001b\u009b\u202e\u2028\ufeff'),
    '"a\\"\\n\\u001b\\u009b\\u202e\\u2028\\ufeff"',
  );
  assertEquals(quote("\u{e0041}"), '"\\udb40\\udc41"');
  assertEquals(quote("é–日本🎉"), '"é–日本🎉"');
  assertEquals(quote("🎉".repeat(60)), `"${"🎉".repeat(40)}…"`);
});
