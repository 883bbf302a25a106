/**
 * The twelve cases of the Rust original's mock tests, under their names, against a stub server. Expected
 * errors are this module's own: `docs/from-patinox.md` says what changed and why.
 */

import {
  assert,
  assertEquals,
  assertGreater,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import {
  ApiError,
  type CompletionRequest,
  InvalidRequestError,
  LMStudioProvider,
  ModelNotAvailableError,
  ParseError,
} from "../mod.ts";

interface Stub {
  readonly provider: LMStudioProvider;
  /** Method and path of each request, in order. */
  readonly asked: readonly string[];
}

/** A server with these routes; it answers 404 to everything else, as the original's mock did. */
async function withStub(
  routes: Record<string, () => Response>,
  run: (stub: Stub) => Promise<void>,
): Promise<void> {
  const asked: string[] = [];
  const handler = ({ method, url }: Request) => {
    const route = `${method} ${new URL(url).pathname}`;
    asked.push(route);
    return routes[route]?.() ?? new Response("Not Found", { status: 404 });
  };
  await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, handler);
  const baseUrl = `http://127.0.0.1:${server.addr.port}`;
  await run({ provider: new LMStudioProvider({ baseUrl, maxRetries: 0, env: {} }), asked });
}

/** A provider that must not send any request. */
function providerWithoutServer(): LMStudioProvider {
  return new LMStudioProvider({
    baseUrl: "http://unused",
    env: {},
    fetch: () => {
      throw new Error("A request was sent");
    },
  });
}

function listing(...ids: string[]): Record<string, () => Response> {
  const data = ids.map((id) => ({ id, object: "model", created: 1677610602 }));
  return { "GET /v1/models": () => Response.json({ data }) };
}

const REQUEST: CompletionRequest = {
  model: "gpt-3.5-turbo",
  messages: ["Hello"],
  maxTokens: 100,
  temperature: 0.7,
};

Deno.test("list_models_success_with_mock_response", async () => {
  await withStub(listing("llama-2-7b", "code-llama-13b"), async ({ provider, asked }) => {
    const models = await provider.listModels();
    assertEquals(models.map(({ name }) => name), ["llama-2-7b", "code-llama-13b"]);
    for (const { provider, capabilities } of models) {
      assertEquals(provider, "lmstudio");
      assertGreater(capabilities.maxTokens, 0);
    }
    // LM Studio's own listings contain more, so they are requested first.
    assertEquals(asked, ["GET /api/v1/models", "GET /api/v0/models", "GET /v1/models"]);
  });
});

Deno.test("list_models_handles_http_404_error", async () => {
  await withStub({}, async ({ provider }) => {
    // A connection was made, so this is not a NetworkError: another server is at that address.
    const error = await assertRejects(() => provider.listModels(), ApiError);
    assertEquals([error.kind, error.code, error.status], ["api", "not_lm_studio", 404]);
    assertStringIncludes(error.message, "Cannot list models: ");
    assertStringIncludes(error.message, "404");
    assertStringIncludes(error.hint, "Check the base URL");
  });
});

Deno.test("list_models_handles_invalid_json_response", async () => {
  const invalid = () =>
    new Response("{ invalid json }", { headers: { "Content-Type": "application/json" } });
  await withStub({ "GET /v1/models": invalid }, async ({ provider }) => {
    const error = await assertRejects(() => provider.listModels(), ParseError);
    assertEquals([error.kind, error.code], ["parse", "malformed_response"]);
    assertStringIncludes(error.message, "the answer is not JSON");
    assertEquals(error.bodySnippet, "{ invalid json }");
  });
});

Deno.test("complete_success_with_mock_response", async () => {
  const answer = () =>
    Response.json({
      id: "chatcmpl-123",
      object: "chat.completion",
      created: 1677610602,
      model: "gpt-3.5-turbo",
      choices: [{
        index: 0,
        message: { role: "assistant", content: "Hello! How can I help you today?" },
        finish_reason: "stop",
      }],
      usage: { prompt_tokens: 10, completion_tokens: 20, total_tokens: 30 },
    });
  await withStub({ "POST /v1/chat/completions": answer }, async ({ provider, asked }) => {
    const response = await provider.complete(REQUEST);
    assertEquals(response.content, "Hello! How can I help you today?");
    assertEquals(response.model, "gpt-3.5-turbo");
    assertEquals(response.finishReason, "stop");
    assertEquals(response.usage, { promptTokens: 10, completionTokens: 20, totalTokens: 30 });
    assertEquals(asked, ["POST /v1/chat/completions"]);
  });
});

Deno.test("complete_handles_empty_model_name_validation", async () => {
  const error = await assertRejects(
    () => providerWithoutServer().complete({ ...REQUEST, model: "" }),
    InvalidRequestError,
    "model cannot be empty",
  );
  assertEquals([error.kind, error.code, error.attempts], ["invalid-request", "invalid_request", 0]);
});

Deno.test("complete_handles_empty_messages_validation", async () => {
  const error = await assertRejects(
    () => providerWithoutServer().complete({ ...REQUEST, messages: [] }),
    InvalidRequestError,
    "messages cannot be empty",
  );
  assertEquals([error.kind, error.code, error.attempts], ["invalid-request", "invalid_request", 0]);
});

Deno.test("complete_handles_http_500_error", async () => {
  const broken = () => new Response("Internal Server Error", { status: 500 });
  await withStub({ "POST /v1/chat/completions": broken }, async ({ provider, asked }) => {
    const error = await assertRejects(() => provider.complete(REQUEST), ApiError);
    assertEquals([error.kind, error.code, error.status], ["api", "server_error", 500]);
    assert(error.retriable);
    assertStringIncludes(error.message, "the server answered 500 Internal Server Error");
    // The model may still be working on the first one.
    assertEquals(asked.length, 1);
  });
});

Deno.test("supports_model_returns_false_when_model_not_in_list", async () => {
  await withStub(listing("llama-2-7b"), async ({ provider }) => {
    assertEquals(await provider.supportsModel("gpt-4"), false);
  });
});

Deno.test("supports_model_returns_true_when_model_in_list", async () => {
  await withStub(listing("llama-2-7b", "gpt-3.5-turbo"), async ({ provider }) => {
    assertEquals(await provider.supportsModel("gpt-3.5-turbo"), true);
  });
});

Deno.test("model_capabilities_returns_none_when_list_models_fails", async () => {
  const unavailable = () => new Response("Service Unavailable", { status: 503 });
  const routes = { "GET /api/v1/models": unavailable, "GET /v1/models": unavailable };
  await withStub(routes, async ({ provider }) => {
    assertEquals(await provider.modelCapabilities("gpt-3.5-turbo"), undefined);
    const error = await assertRejects(() => provider.listModels(), ApiError);
    assertEquals([error.kind, error.code, error.status], ["api", "server_error", 503]);
  });
});

Deno.test("model_capabilities_returns_some_when_model_found", async () => {
  await withStub(listing("gpt-3.5-turbo"), async ({ provider }) => {
    const capabilities = await provider.modelCapabilities("gpt-3.5-turbo");
    assert(capabilities !== undefined);
    assertGreater(capabilities.maxTokens, 0);
    // This listing says nothing about tools and images; LM Studio's own listings do.
    assertEquals(capabilities.supportsTools, false);
    assertEquals(capabilities.supportsVision, false);
    assertEquals(capabilities.supportsStreaming, true);
  });
});

// In the original: "embed_returns_not_supported_error". LM Studio already had an embeddings route when that
// was written, so it is used here; a model that cannot embed is still an error.
Deno.test("embed_works", async () => {
  const vectors = () =>
    Response.json({
      object: "list",
      data: [{ object: "embedding", index: 0, embedding: [0.25, -0.5, 1] }],
      model: "text-embedding-ada-002",
      usage: { prompt_tokens: 0, total_tokens: 0 },
    });
  await withStub({ "POST /v1/embeddings": vectors }, async ({ provider }) => {
    const response = await provider.embed({
      model: "text-embedding-ada-002",
      input: ["test text"],
    });
    assertEquals(response.model, "text-embedding-ada-002");
    assertEquals(response.embeddings, [[0.25, -0.5, 1]]);
  });
  const refusal = () =>
    Response.json({
      error: {
        message: 'Failed to load model "gpt-3.5-turbo". Error: Model is not embedding.',
        type: "invalid_request_error",
        param: "model",
        code: "model_not_found",
      },
    }, { status: 404 });
  await withStub({ "POST /v1/embeddings": refusal }, async ({ provider }) => {
    const error = await assertRejects(
      () => provider.embed({ model: "gpt-3.5-turbo", input: ["test text"] }),
      ModelNotAvailableError,
    );
    assertEquals([error.kind, error.code], ["model-not-available", "wrong_model_type"]);
  });
});
