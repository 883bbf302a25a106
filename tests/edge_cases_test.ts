/** Cases that are easily forgotten: late rejections, aborts just before leaving a loop, odd names. */
import { assert, assertEquals, assertInstanceOf, assertStringIncludes } from "@std/assert";
import {
  isProviderError,
  LMStudioProvider,
  LocalProvider,
  ModelNotAvailableError,
  ParseError,
  StreamError,
} from "../mod.ts";
import { createFakeLMStudio } from "../src/testing/mod.ts";

const MODEL = "qwen/qwen3-8b";

function answerWith(respond: (path: string) => Response | undefined): LMStudioProvider {
  const fake = createFakeLMStudio({ models: [MODEL] });
  const fetch = (input: string | URL | Request, init?: RequestInit): Promise<Response> => {
    const response = respond(new URL(String(input)).pathname);
    return response === undefined ? fake.fetch(input, init) : Promise.resolve(response);
  };
  return new LMStudioProvider({ fetch, env: {}, model: MODEL, maxRetries: 0 });
}

async function rejection(call: () => Promise<unknown>): Promise<unknown> {
  try {
    await call();
  } catch (error) {
    return error;
  }
  throw new Error("it did not reject");
}

function sse(...contents: string[]): Response {
  const frames = contents.map((content) =>
    `data: ${
      JSON.stringify({ id: "c", model: MODEL, choices: [{ index: 0, delta: { content } }] })
    }\n\n`
  );
  return new Response(frames.join(""), { headers: { "content-type": "text/event-stream" } });
}

Deno.test("an abort right before leaving the loop is the reason there is no answer", async () => {
  const provider = answerWith(() => undefined);
  const controller = new AbortController();
  const reason = new Error("user pressed stop");
  const stream = provider.streamCompletion("Hello", { signal: controller.signal });
  for await (const _ of stream) {
    controller.abort(reason);
    break;
  }
  assertEquals(await rejection(() => stream.response()), reason);
});

Deno.test("an async onStatus that rejects ends the call with its reason", async () => {
  const reason = new Error("no terminal");
  const onStatus = () => Promise.reject(reason);
  const provider = answerWith(() => undefined);
  assertEquals(await rejection(() => provider.complete("Hello", { onStatus })), reason);
});

Deno.test("text held back for a possible tag is part of the partial answer", async () => {
  for (const [content, expected] of [["<thi", "<thi"], ["\n\n", "\n\n"]] as const) {
    const provider = answerWith((path) => path.endsWith("completions") ? sse(content) : undefined);
    const error = await rejection(() => provider.streamCompletion("Hello").response());
    assertInstanceOf(error, StreamError);
    assertEquals(error.partial?.content, expected);
  }
});

Deno.test("a model name of any length and kind is shown short and plain", async () => {
  const name = `evil\u001b[2J${"x".repeat(5000)}`;
  const body = { id: "c", model: name, choices: [{ index: 0, message: { content: "Hi" } }] };
  const provider = answerWith((path) =>
    path.endsWith("completions") ? Response.json(body) : undefined
  );
  const error = await rejection(() => provider.complete("Hello"));
  assertInstanceOf(error, ModelNotAvailableError);
  assertEquals(error.code, "model_substituted");
  assert(error.message.length < 500 && !error.message.includes("\u001b"), error.message);
});

Deno.test("an alias set after the last listing is not a substitution", async () => {
  let listings = 0;
  const entry = (instances: string[]) => ({
    models: [{ type: "llm", key: MODEL, loaded_instances: instances.map((id) => ({ id })) }],
  });
  const body = { id: "c", model: "my-alias", choices: [{ index: 0, message: { content: "Hi" } }] };
  const provider = answerWith((path) =>
    path.endsWith("completions")
      ? Response.json(body)
      : Response.json(entry(listings++ === 0 ? [] : ["my-alias"]))
  );
  await provider.listModels();
  assertEquals((await provider.complete("Hello")).content, "Hi");
  assertEquals(listings, 2);
});

Deno.test("an answer that cannot be decoded is on the error, but not in logs", async () => {
  const provider = answerWith((path) =>
    path.endsWith("completions") ? Response.json({ text: "the private answer" }) : undefined
  );
  const error = await rejection(() => provider.complete("Hello"));
  assertInstanceOf(error, ParseError);
  assertStringIncludes(error.bodySnippet ?? "", "the private answer");
  assert(!(JSON.stringify(error) + Deno.inspect(error)).includes("private answer"));
});

Deno.test("batches answered by two different models are refused, whatever is allowed", async () => {
  let batches = 0;
  const fetch = () =>
    Promise.resolve(Response.json({
      model: batches++ === 0 ? "e" : "zzz",
      data: [{ index: 0, embedding: [1, 2] }],
    }));
  const provider = new LMStudioProvider({
    fetch,
    env: {},
    embeddingModel: "e",
    onModelSubstituted: "ignore",
  });
  const error = await rejection(() => provider.embed({ input: ["a", "b"], batchSize: 1 }));
  assertInstanceOf(error, ParseError);
  assertStringIncludes(error.message, '"e" answered, then "zzz"');
});

Deno.test("headers and API token reach LM Studio, but no other server found", async () => {
  const seen: [string, string | null, string | null][] = [];
  await using ollama = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
    const { pathname } = new URL(request.url);
    const { headers } = request;
    seen.push([pathname, headers.get("authorization"), headers.get("x-key")]);
    if (pathname === "/api/version") return Response.json({ version: "0.9.0" });
    if (pathname === "/api/tags") return Response.json({ models: [{ name: "llama3:latest" }] });
    if (pathname === "/v1/models") return Response.json({ data: [{ id: "llama3:latest" }] });
    return Response.json({
      id: "c",
      model: "llama3:latest",
      choices: [{ index: 0, message: { content: "Hi" }, finish_reason: "stop" }],
    });
  });
  const local = new LocalProvider({
    apiToken: "TOK",
    headers: { "x-key": "SECRET" },
    discovery: {
      candidates: [{ type: "ollama", endpoint: `http://127.0.0.1:${ollama.addr.port}` }],
    },
    env: {},
  });
  assertEquals((await local.complete({ model: "llama3", messages: "Hello" })).content, "Hi");
  assert(seen.some(([path]) => path === "/v1/chat/completions"));
  assertEquals(seen.filter(([, token, key]) => token !== null || key !== null), []);
});

Deno.test("the framework's model variable ranks above a file and below LM Studio's own variable", async () => {
  const file = await Deno.makeTempFile({ suffix: ".json" });
  try {
    await Deno.writeTextFile(file, JSON.stringify({ model: "file-model" }));
    const asked = async (env: Record<string, string>): Promise<unknown> => {
      const fake = createFakeLMStudio({ models: ["env-model", "own-model", "file-model"] });
      const { createDefaultProvider } = await import("../mod.ts");
      const provider = await createDefaultProvider({
        configFile: file,
        env: { LMSTUDIO_BASE_URL: "http://127.0.0.1:1234", ...env },
        fetch: fake.fetch,
      });
      await provider.complete("Hello");
      return (fake.requests.at(-1)?.body as { model?: unknown } | undefined)?.model;
    };
    assertEquals(await asked({}), "file-model");
    assertEquals(await asked({ PATINOX_MODEL_DEFAULT: "env-model" }), "env-model");
    assertEquals(
      await asked({ PATINOX_MODEL_DEFAULT: "env-model", LMSTUDIO_MODEL: "own-model" }),
      "own-model",
    );
  } finally {
    await Deno.remove(file);
  }
});

Deno.test("an endlessly nested answer is an answer or an error, even if it cannot be written as JSON", async () => {
  const { stringify } = JSON;
  const deep = `${'{"a":'.repeat(5000)}1${"}".repeat(5000)}`;
  const call = `{"name":"look","arguments":${deep}}`;
  const item = `{"type":"function_call","call_id":"1",${call.slice(1)}`;
  const event = `{"type":"tool_call","tool":"look","arguments":${deep},"output":"x"}`;
  const bodies = [
    `{"model":"m","choices":[{"message":{"tool_calls":[{"id":"1","function":${call}}]}}]}`,
    `{"model":"m","output":[${item}]}`,
    `{"model_instance_id":"m","output":[${event},{"type":"message","content":${deep}}],"stats":{}}`,
    `data: {"model":"m","choices":[{"delta":{"tool_calls":[{"index":0,"function":${call}}]}}]}\n\n`,
    `data: {"type":"tool_call.arguments","tool":"look","arguments":${deep}}\n\n`,
    `data: {"type":"response.output_item.done","item":${item}}\n\n`,
    deep,
  ];
  // Node 20 does this.
  const limited = (...args: Parameters<typeof stringify>): string => {
    const text = stringify(...args);
    if (text?.includes('{"a":'.repeat(3000))) {
      throw new RangeError("Maximum call stack size exceeded");
    }
    return text;
  };
  for (const body of bodies) {
    const type = body.startsWith("data") ? "text/event-stream" : "application/json";
    const lmstudio = new LMStudioProvider({
      env: {},
      maxRetries: 0,
      fetch: () => Promise.resolve(new Response(body, { headers: { "content-type": type } })),
    });
    const calls = [
      () => lmstudio.complete({ model: "m", messages: "hi" }),
      () => lmstudio.streamCompletion({ model: "m", messages: "hi" }).response(),
      () => lmstudio.completeText({ model: "m", prompt: "hi" }),
      () => lmstudio.responses.create({ model: "m", input: "hi" }),
      () => lmstudio.responses.stream({ model: "m", input: "hi" }).response(),
      () => lmstudio.chat.send({ model: "m", input: "hi" }),
      () => lmstudio.chat.stream({ model: "m", input: "hi" }).response(),
    ];
    for (const call of calls) {
      JSON.stringify = limited as typeof stringify;
      try {
        await call();
      } catch (error) {
        assert(isProviderError(error), String(error));
      } finally {
        JSON.stringify = stringify;
      }
    }
  }
});
