/**
 * One wording means one thing in every form it can take: as an answer with an error status, under 200, and as an event
 * in streams of completions, the native chat and responses.
 */
import { assert, assertEquals, assertInstanceOf, assertStringIncludes } from "@std/assert";
import {
  type CompletionRequest,
  isProviderError,
  LMStudioProvider,
  ProviderError,
} from "../mod.ts";
import type { KnownCode } from "../src/core/error_codes.ts";
import { events, fetchOf, json, type StubAnswer } from "./support/stub_server.ts";
import { rejection } from "./support/wire.ts";

const MODEL = "qwen/qwen3-8b";
const IN_STREAM = "Error in iterating prediction stream: ";

function provider(answer: StubAnswer): LMStudioProvider {
  return new LMStudioProvider({ env: {}, fetch: fetchOf(answer), model: MODEL, maxRetries: 0 });
}

/** Every form an error can take, with the call that gets it. */
const WAYS: Readonly<Record<string, (error: unknown) => Promise<unknown>>> = {
  "an answer": (error) =>
    rejection(provider(json({ error }, 400)).complete({ messages: "Hi", model: MODEL })),
  "under 200": (error) => rejection(provider(json({ error })).complete("Hi")),
  "under 200 where a stream was asked for": (error) =>
    rejection(provider(json({ error })).streamCompletion("Hi").response()),
  "an event": (error) => {
    const body = `event: error\ndata: ${JSON.stringify({ error })}\n\n`;
    return rejection(provider(events(body)).streamCompletion("Hi").response());
  },
  "an answer of the native chat": (error) =>
    rejection(provider(json({ error }, 500)).chat.send({ input: "Hi" })),
  "an event of the native chat": (error) => {
    const inner = typeof error === "string" ? { type: "internal_error", message: error } : error;
    const body = `event: chat.start\ndata: ${
      JSON.stringify({ type: "chat.start", model_instance_id: MODEL })
    }\n\nevent: error\ndata: ${JSON.stringify({ type: "error", error: inner })}\n\n`;
    return rejection(provider(events(body)).chat.stream({ input: "Hi" }).response());
  },
  "an event of responses": (error) => {
    const body = `data: ${JSON.stringify({ type: "error", error })}\n\n`;
    return rejection(provider(events(body)).responses.stream({ input: "Hi" }).response());
  },
};

const WORDINGS: readonly [error: unknown, code: KnownCode, retriable: boolean, hint: string][] = [
  [
    `${IN_STREAM}ValueError: Vision add-on is not loaded, but images were provided for processing`,
    "unsupported_content",
    false,
    "leave the images out",
  ],
  ["Invalid image detected at index 0 ", "unsupported_content", false, "PNG or JPEG"],
  [`${IN_STREAM}ValueError: 'type' must be a string`, "unsupported_response_format", false, "JSON"],
  [
    "JSON schema conversion failed:\nUnrecognized schema: true",
    "unsupported_response_format",
    false,
    "grammar",
  ],
  [
    "Pattern must start with '^' and end with '$'",
    "unsupported_response_format",
    false,
    "grammar",
  ],
  [`${IN_STREAM}StopIteration: `, "server_error", true, "Try again"],
  ["received prediction-error", "server_error", true, "Try again"],
  [
    'Failed to load model "qwen/qwen3-8b". Error: Operation canceled.',
    "model_unloaded",
    true,
    "Send the request again",
  ],
  ['Cannot find model "qwen/qwen3-8b".', "model_not_found", false, "listModels()"],
  ["Model does not exist", "model_not_found", false, "listModels()"],
  [
    {
      type: "mcp_connection_error",
      message: "Unable to connect to remote MCP server 'a' at url 'http://10.0.0.2/mcp'. URL " +
        "resolves to a non-public address. We only allow public addresses.",
    },
    "invalid_request",
    false,
    "fromMcpTool()",
  ],
  [
    {
      type: "invalid_request",
      message: "Tool for MCP server 'a' requires a non-empty 'server_url'",
      param: "tools",
    },
    "invalid_request",
    false,
    "mcp.json",
  ],
  [
    { type: "plugin_connection_error", message: "Plugin 'a/b' not found" },
    "invalid_request",
    false,
    "mcp/<name>",
  ],
];

for (const [error, code, retriable, hint] of WORDINGS) {
  const name = typeof error === "string" ? error : String((error as { message: string }).message);
  Deno.test(`wordings: ${name.slice(0, 70).trim()} is ${code} in every form`, async (t) => {
    for (const [way, fail] of Object.entries(WAYS)) {
      await t.step(way, async () => {
        const failure = await fail(error);
        assertInstanceOf(failure, ProviderError);
        assertEquals([failure.code, failure.retriable], [code, retriable]);
        assertStringIncludes(failure.hint, hint);
      });
    }
  });
}

/** Similar errors, in the wording of engines, apps and libraries. */
const OTHER_WORDINGS: Readonly<Record<string, readonly string[]>> = {
  model_not_found: [
    "Model not found in downloaded models: a/b@q8",
    "a/b@q8 not found in downloaded models",
  ],
  model_unloaded: [
    'Failed to load model "a". Error: The operation was aborted.',
    'Failed to load model "a". Error: Operation aborted',
  ],
  model_load_failed: ['Failed to load model "a". Error: Model loading aborted.'],
  insufficient_resources: [
    'Failed to load model "a". Error: Model loading aborted due to insufficient system resources.',
  ],
  unsupported_response_format: [
    'Unsupported JSON Schema structure {"a": 1}',
    `${IN_STREAM}NotImplementedError: The minItems keyword is not supported in JSON schema`,
    `${IN_STREAM}ValueError: Unexpected schema: {'type': 'a'}`,
    "Failed to build grammar from JSON schema",
    "error: JSON schema to grammar conversion failed",
  ],
  unsupported_content: [
    "Model has no vision capabilities but images were provided",
    "Images were provided but the model is text-only",
    "This text-only model can't process images",
    "Image at index 0 is invalid",
    "Invalid base64 image",
  ],
  server_error: ["prediction-error", `${IN_STREAM}KeyError: 'image'`],
};

for (const [code, wordings] of Object.entries(OTHER_WORDINGS)) {
  Deno.test(`wordings: similar ones are ${code}`, async () => {
    for (const words of wordings) {
      for (const fail of Object.values(WAYS)) {
        const failure = await fail(words);
        assertInstanceOf(failure, ProviderError);
        assertEquals(failure.code, code, words);
      }
    }
  });
}

Deno.test("wordings: the field that a server names is in the message in every form", async (t) => {
  const error = { type: "invalid_request_error", message: "Invalid input", param: "frequency" };
  for (const [way, fail] of Object.entries(WAYS)) {
    await t.step(way, async () => {
      const failure = await fail(error);
      assert(isProviderError(failure, "invalid-request"), String(failure));
      assertStringIncludes(failure.message, ": frequency: Invalid input");
    });
  }
});

Deno.test("wordings: a schema refused by the engine is the one that was sent", async () => {
  const complete = (request: CompletionRequest) =>
    rejection(
      provider(json({ error: "JSON schema conversion failed:\nx" }, 400)).complete(request),
    );
  const parameters = { type: "object", properties: {} };
  const tools = [{ name: "f", parameters }];
  const cases: [CompletionRequest, KnownCode][] = [
    [{ messages: "Hi", tools }, "invalid_tool_schema"],
    [{ messages: "Hi", schema: parameters }, "unsupported_response_format"],
    [{ messages: "Hi", schema: parameters, tools }, "unsupported_response_format"],
  ];
  for (const [request, code] of cases) {
    const failure = await complete(request);
    assertInstanceOf(failure, ProviderError);
    assertEquals(failure.code, code);
  }
});

Deno.test("wordings: a quantization that cannot be chosen yet says what to leave out", async () => {
  const error = {
    type: "not_implemented",
    message:
      "Specifying quantizations for downloading models with LM Studio Model Catalog identifiers is coming soon",
  };
  const { models } = provider(json({ error }, 400));
  const failure = await rejection((async () => {
    for await (const _ of models.download("ibm/granite-4-micro", { quantization: "Q4_K_M" }));
  })());
  assertInstanceOf(failure, ProviderError);
  assertEquals([failure.code, failure.retriable], ["unsupported_by_server", false]);
  assertStringIncludes(failure.hint, "Leave `quantization` out");
});
