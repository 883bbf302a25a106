/**
 * Every known error wording, as raw bodies in fixtures/errors (with their sources in SOURCES.md there),
 * and what must be true for any body: no secret in the message, bounded, linear, never a throw.
 */
import { assert, assertEquals, assertInstanceOf, assertStringIncludes } from "@std/assert";
import {
  type AnyProviderError,
  ApiError,
  AuthenticationError,
  InvalidRequestError,
  ModelNotAvailableError,
  ParseError,
  ProviderError,
  RateLimitedError,
} from "../src/core/errors.ts";
import type { KnownCode } from "../src/core/error_codes.ts";
import {
  type ErrorContext,
  errorFromResponse,
  errorFromUndecodable,
  errorFromWire,
  readWireError,
} from "../src/transport/error_mapping.ts";
import { createRedactor } from "../src/transport/redact.ts";
import { cpuTimeMs } from "./support/cpu_time.ts";
import { randomizer } from "./support/random.ts";

const FIXTURES = new URL("../fixtures/errors/", import.meta.url);
const ENDPOINT = "http://127.0.0.1:1234/v1/chat/completions";
const MODEL = "qwen/qwen3-8b";
const PROXY_HINT = "Set NO_PROXY=127.0.0.1,localhost.";
const RETRIABLE: readonly KnownCode[] = [
  "server_error",
  "model_unloaded",
  "model_loading",
  "rate_limited",
];

const CLASSES = {
  api: ApiError,
  authentication: AuthenticationError,
  "invalid-request": InvalidRequestError,
  "model-not-available": ModelNotAvailableError,
  parse: ParseError,
  "rate-limited": RateLimitedError,
} as const;

const KINDS: Partial<Record<KnownCode, keyof typeof CLASSES>> = {
  server_error: "api",
  model_crashed: "api",
  model_unloaded: "api",
  unexpected_endpoint: "api",
  not_lm_studio: "api",
  unsupported_by_server: "api",
  job_not_found: "api",
  model_loading: "api",
  unauthorized: "authentication",
  forbidden: "authentication",
  rate_limited: "rate-limited",
  model_not_found: "model-not-available",
  no_model_loaded: "model-not-available",
  model_not_loaded: "model-not-available",
  model_load_failed: "model-not-available",
  insufficient_resources: "model-not-available",
  wrong_model_type: "model-not-available",
  invalid_request: "invalid-request",
  context_overflow: "invalid-request",
  unsupported_content: "invalid-request",
  invalid_tool_schema: "invalid-request",
  unsupported_response_format: "invalid-request",
  previous_response_not_found: "invalid-request",
  malformed_response: "parse",
};

function context(overrides: Partial<ErrorContext> = {}): ErrorContext {
  return {
    action: `complete with model "${MODEL}"`,
    service: "LM Studio",
    endpoint: ENDPOINT,
    attempts: 1,
    model: MODEL,
    redact: (text) => text,
    ...overrides,
  };
}

function respond(
  status: number,
  bodyText: string,
  overrides?: Partial<ErrorContext>,
  headers: Record<string, string> = {},
  now?: number,
): AnyProviderError {
  return errorFromResponse(
    { status, headers: new Headers(headers), bodyText },
    context(overrides),
    now,
  );
}

function fromText(message: string, status?: number): AnyProviderError {
  return errorFromWire({ message }, status, context());
}

/** The state: the part of the message between the action and the hint. */
function stateOf(error: AnyProviderError): string {
  const prefix = `Cannot complete with model "${MODEL}": `;
  assert(error.message.startsWith(prefix), error.message);
  assert(error.message.endsWith(error.hint), error.message);
  return error.message.slice(prefix.length, error.message.length - error.hint.length - 1);
}

// --- Known wordings ---------------------------------------------------------------------------

interface Expected {
  /** Statuses this body is sent with; "frame" is an error event inside a 200 stream. */
  by: readonly (number | "frame")[];
  code: KnownCode;
  promptTokens?: number;
  contextLength?: number;
  available?: readonly string[];
  /** Must be in the state. */
  state?: string;
  /** Must be in the hint. */
  hint?: string;
}

const CATALOG: Record<string, Expected> = {
  "unexpected_endpoint.json": {
    by: [200, 404],
    code: "unexpected_endpoint",
    state: "Unexpected endpoint or method. (POST /chat/completions)",
    hint: "base URL",
  },
  "unexpected_endpoint_native.json": { by: [404, 200], code: "unexpected_endpoint" },

  "auth_missing.json": { by: [401, 200, 400, 403], code: "unauthorized", hint: "apiToken" },
  "auth_malformed.json": { by: [401, 400], code: "unauthorized", state: "Malformed LM Studio API" },
  "auth_malformed_stars.json": { by: [401], code: "unauthorized" },
  "auth_messages.json": { by: [401, 400], code: "unauthorized" },
  "plugin_forbidden.json": { by: [403, 400], code: "forbidden", hint: "plugin" },

  "no_models_string.json": { by: [400, 200], code: "no_model_loaded" },
  "no_models_object.json": { by: [404, 400], code: "no_model_loaded" },
  "no_models_responses.json": { by: [400, 500], code: "no_model_loaded" },

  "model_not_found_list.json": {
    by: [404, 400],
    code: "model_not_found",
    available: [
      "gemma-3-27b-it-qat",
      "qwen2.5-coder-7b-instruct",
      "text-embedding-nomic-embed-text-v1.5",
    ],
  },
  "model_invalid_identifier.json": {
    by: [400, 404],
    code: "model_not_found",
    available: ["qwen/qwen3-8b", "openai/gpt-oss-20b"],
  },
  "model_none_downloaded.json": { by: [400], code: "model_not_found" },
  "model_identifier_v0.json": { by: [400], code: "model_not_found" },
  "model_not_found_native.json": { by: [404, 400, "frame"], code: "model_not_found" },
  "model_not_loaded.json": { by: [400], code: "model_not_loaded" },

  "load_aborted_python_repr.txt": {
    by: [404],
    code: "insufficient_resources",
    state: 'Failed to load model "bartowski/Llama-3.2-3B-Instruct-GGUF". Error: Model loading',
  },
  "load_guardrails.json": { by: [404, 400], code: "insufficient_resources" },
  "load_guardrails_native.json": { by: [400, 500], code: "insufficient_resources" },
  "load_failed.json": { by: [400, 404], code: "model_load_failed" },
  "load_failed_exit_code.json": { by: [400], code: "model_load_failed" },
  "load_failed_engine.json": { by: [400, 500], code: "model_load_failed" },
  "wrong_type_not_embedding.json": { by: [404, 400], code: "wrong_model_type" },
  "wrong_type_not_llm.json": { by: [404, 400], code: "wrong_model_type" },

  "crashed_null.json": { by: [400, "frame"], code: "model_crashed" },
  "crashed_number.json": { by: [400], code: "model_crashed" },
  "unloaded_by_user.json": { by: [400, 500], code: "model_unloaded" },
  "unloaded.json": { by: [400, "frame"], code: "model_unloaded" },
  "unloaded_instance.json": { by: ["frame"], code: "model_unloaded" },
  "engine_fetch_failed.json": { by: [400], code: "server_error" },
  "engine_fetch_failed_responses.json": { by: [500], code: "server_error" },
  "engine_lm_link.json": { by: [400], code: "server_error" },
  "engine_channel_error.json": { by: [400, "frame"], code: "server_error" },
  "engine_slot_wait.json": { by: [400], code: "server_error" },
  "engine_peg_native.json": {
    by: [400, "frame"],
    code: "server_error",
    state: "The model produced output that does not match the expected peg-native format",
  },

  "context_keep_first.json": {
    by: [400],
    code: "context_overflow",
    promptTokens: 111490,
    contextLength: 32768,
    hint: "111490",
  },
  "context_n_keep.json": {
    by: [400],
    code: "context_overflow",
    promptTokens: 13055,
    contextLength: 4096,
  },
  "context_n_keep_bare.json": { by: [400], code: "context_overflow" },
  "context_truncate.json": {
    by: [400, "frame"],
    code: "context_overflow",
    promptTokens: 15028,
    contextLength: 7424,
    hint: "15028",
  },
  "context_llama_server.json": {
    by: [400],
    code: "context_overflow",
    promptTokens: 270010,
    contextLength: 262144,
    state: "request (270010 tokens) exceeds the available context size (262144 tokens), try",
  },
  "context_llama_server_cut.txt": {
    by: [400],
    code: "context_overflow",
    promptTokens: 270010,
    contextLength: 262144,
    state: "request (270010 tokens) exceeds the available context size (262144 tokens), try incre",
  },
  "context_frame_mlx.json": {
    by: ["frame", 200],
    code: "context_overflow",
    promptTokens: 31430,
    contextLength: 30000,
  },
  "context_frame_llama_server.json": {
    by: ["frame"],
    code: "context_overflow",
    promptTokens: 20016,
    contextLength: 16384,
  },
  "context_exceeded_chat.json": {
    by: [400, "frame"],
    code: "context_overflow",
    state: "Context size has been exceeded.",
  },
  "context_exceeded_responses.json": { by: [500], code: "context_overflow" },
  "context_messages.json": { by: ["frame", 500], code: "context_overflow" },

  "context_mid_generation.json": {
    by: [400, "frame", 500],
    code: "context_overflow",
    contextLength: 4096,
    state: "Reached context length of 4096 tokens",
    hint: "larger context length",
  },
  "context_mid_generation_old.json": {
    by: [400, "frame"],
    code: "context_overflow",
    contextLength: 4096,
  },
  "context_input_length.json": {
    by: [400],
    code: "context_overflow",
    promptTokens: 6491,
    contextLength: 1500,
  },
  "context_channel_error.json": {
    by: [400, "frame"],
    code: "context_overflow",
    state: "Context size has been exceeded.",
  },
  "context_llama_server_input.json": {
    by: [400, "frame"],
    code: "context_overflow",
    promptTokens: 1682,
    contextLength: 1024,
    state: "input (1682 tokens) is larger than the max context size (1024 tokens). skipping",
  },
  "context_batch_size.json": {
    by: [400, 500],
    code: "context_overflow",
    promptTokens: 979,
    hint: "evaluation batch size",
  },

  "messages_required.json": { by: [400], code: "invalid_request" },
  "messages_invalid.json": { by: [400], code: "invalid_request" },
  "messages_leak.json": { by: [400], code: "invalid_request" },
  "messages_not_iterable.json": { by: [400], code: "invalid_request" },
  "messages_content_null.json": { by: [400], code: "invalid_request", hint: "content" },
  "jinja.json": { by: [400, 500, "frame"], code: "invalid_request", hint: "template" },
  "jinja_frame.json": { by: ["frame", 400], code: "invalid_request", hint: "template" },
  "jinja_engine.json": {
    by: [400, 500, "frame"],
    code: "invalid_request",
    state: "Jinja Exception: No user query found in messages.",
    hint: "template",
  },
  "jinja_native.json": { by: [500], code: "invalid_request", hint: "template" },

  "tools_zod_discriminator.json": {
    by: [400],
    code: "invalid_tool_schema",
    state: "13.function.parameters.type: Invalid discriminator value. Expected 'object'",
  },
  "tools_zod_properties.json": {
    by: [400],
    code: "invalid_tool_schema",
    state: "0.function.parameters.properties: Required",
  },
  "tools_responses.json": {
    by: [400],
    code: "invalid_tool_schema",
    state: "tools.0: Invalid input",
  },
  "zod_other_path.json": {
    by: [400],
    code: "invalid_request",
    state: "temperature: Expected number, received string",
  },
  "tool_choice_object.json": { by: [400], code: "invalid_request", hint: "required" },
  "response_format_json_object.json": { by: [400], code: "unsupported_response_format" },
  "response_format_old.json": { by: [400], code: "unsupported_response_format" },
  "grammar.json": {
    by: [400, "frame"],
    code: "unsupported_response_format",
    state: "Failed to initialize samplers: failed to parse grammar",
    hint: "grammar",
  },
  "images_unsupported.json": { by: [400], code: "unsupported_content" },
  "images_url.json": { by: [400], code: "unsupported_content", hint: "PNG or JPEG" },
  "images_add_on.json": {
    by: [400, 200, 500, "frame"],
    code: "unsupported_content",
    hint: "sees images",
  },
  "images_invalid.json": {
    by: [400, 200, "frame"],
    code: "unsupported_content",
    hint: "PNG or JPEG",
  },
  "schema_type.json": {
    by: [400, 200, 500, "frame"],
    code: "unsupported_response_format",
    hint: "grammar",
  },
  "schema_conversion.json": {
    by: [400, 200, "frame"],
    code: "unsupported_response_format",
    state: "JSON schema conversion failed: Unrecognized schema: true",
    hint: "a tool's parameters",
  },
  "schema_ref.json": {
    by: [400, 500, "frame"],
    code: "unsupported_response_format",
    state: "unsupported $ref #",
  },
  "schema_pattern.json": { by: [400, 200, "frame"], code: "unsupported_response_format" },
  "engine_mlx_stop.json": { by: [400, 200, 500, "frame"], code: "server_error" },
  "engine_mlx_index.json": { by: [400, 200, "frame"], code: "server_error" },
  "engine_prediction_error.json": { by: [400, 200, "frame"], code: "server_error" },
  "load_cancelled.json": {
    by: [400, 404, 200, "frame"],
    code: "model_unloaded",
    hint: "Send the request again",
  },
  "unloaded_in_queue.json": { by: [400, 200, "frame"], code: "model_unloaded" },
  "model_cannot_find.json": { by: [400, 404, 200, "frame"], code: "model_not_found" },
  "model_does_not_exist.json": { by: [400, 404, 200, "frame"], code: "model_not_found" },
  "mcp_not_public.json": {
    by: [400, 500, 200, "frame"],
    code: "invalid_request",
    state: "non-public address",
    hint: "mcp.json",
  },
  "mcp_server_url.json": {
    by: [400, 200, "frame"],
    code: "invalid_request",
    state: "tools: Tool for MCP server 'files'",
    hint: "fromMcpTool()",
  },
  "plugin_not_found.json": {
    by: [400, 500, 200, "frame"],
    code: "invalid_request",
    hint: "mcp/<name>",
  },
  "download_quantization.json": {
    by: [400, 501, 200, "frame"],
    code: "unsupported_by_server",
    hint: "Leave `quantization` out",
  },
  "param_named.json": {
    by: [400, 200, "frame"],
    code: "invalid_request",
    state: "top_p: Expected number, received string",
  },
  "embeddings_input.json": { by: [400], code: "invalid_request", hint: "input" },
  "embeddings_empty.json": { by: [400, 500], code: "invalid_request", hint: "empty" },

  "native_required.json": { by: [400], code: "invalid_request", state: '"model" is required' },
  "native_unrecognized_keys.json": { by: [400], code: "invalid_request", hint: "extraBody" },
  "native_reasoning_setting.json": { by: [400], code: "invalid_request", hint: "reasoning" },
  "native_reasoning_none.json": { by: [400], code: "invalid_request", hint: "reasoning" },
  "native_job_not_found.json": { by: [404, 400], code: "job_not_found" },
  "native_mcp.json": {
    by: [400, 500, "frame"],
    code: "server_error",
    state: "Failed to connect to MCP server 'files': 401 Unauthorized",
  },
  "native_plugin.json": { by: [400, 500, "frame"], code: "server_error" },
  "native_internal.json": { by: [500, 400, "frame"], code: "server_error" },
  "native_unknown.json": { by: [500, 400, "frame"], code: "server_error" },
  "native_not_implemented.json": { by: [400, 501, "frame"], code: "unsupported_by_server" },
  "previous_response.json": { by: [400, 404, 500], code: "previous_response_not_found" },
  "messages_effort.json": { by: [400], code: "invalid_request" },

  "ollama_model_not_found.json": { by: [404], code: "model_not_found" },
  "ollama_tools.json": { by: [400], code: "invalid_request", hint: "tools" },
  "ollama_memory.json": { by: [500], code: "insufficient_resources" },
  "ollama_context.json": { by: [400], code: "context_overflow" },
  "ollama_terminated.json": { by: [500], code: "model_crashed" },
  "openai_context.json": {
    by: [400],
    code: "context_overflow",
    promptTokens: 9001,
    contextLength: 8192,
  },

  "openai_context_completion.json": {
    by: [400],
    code: "context_overflow",
    promptTokens: 3107,
    contextLength: 4097,
  },
  "vllm_context.json": {
    by: [400],
    code: "context_overflow",
    promptTokens: 91714,
    contextLength: 40960,
  },

  "proxy_502.html": { by: [502], code: "server_error", state: "the server answered 502 Bad" },
  "proxy_403.html": {
    by: [403],
    code: "forbidden",
    state: "the server answered 403 Forbidden",
    hint: "such as a proxy or firewall",
  },
  "loading_llama_server.json": {
    by: [503, 500, 200, "frame"],
    code: "model_loading",
    hint: "Wait",
  },
  "loading_ollama_busy.json": { by: [503, 500, "frame"], code: "model_loading", hint: "Wait" },
  "loading_unavailable.json": { by: [503], code: "model_loading", state: "Not yet." },
  "nginx_413.html": { by: [413], code: "invalid_request", hint: "client_max_body_size" },
  "nginx_401.html": { by: [401], code: "unauthorized", hint: "Something between you and" },
  "cloudflare_522.html": {
    by: [520, 521, 522, 523, 524, 525, 526, 527],
    code: "server_error",
    state: "with an HTML page",
    hint: "Something between you and",
  },
  "cloudflare_524.txt": {
    by: [520, 521, 522, 523, 524, 525, 526, 527],
    code: "server_error",
    state: "error code: 524",
    hint: "Something between you and",
  },
  "express_413.html": { by: [413], code: "invalid_request", hint: "Send less at once" },
  "express_404.html": {
    by: [404],
    code: "invalid_request",
    state: "the server answered 404 Not Found with an HTML page",
    hint: "base URL",
  },
  "fastapi_404.json": { by: [404], code: "invalid_request", hint: "base URL" },
  "empty.txt": { by: [500, 503], code: "server_error", state: "with an empty body" },
  "plain_503.txt": {
    by: [503],
    code: "server_error",
    state: "the server answered 503 Service Unavailable: upstream connect error",
  },
  "unknown_wording.json": {
    by: [500, 503, "frame", 200],
    code: "server_error",
    state: "Flux capacitor misaligned",
  },
};

function mapFixture(bodyText: string, by: number | "frame"): AnyProviderError {
  if (by !== "frame" && by >= 300) return respond(by, bodyText);
  const wire = readWireError(JSON.parse(bodyText));
  assert(wire !== undefined, bodyText);
  return errorFromWire(wire, by === "frame" ? undefined : by, context());
}

for (const [file, expected] of Object.entries(CATALOG)) {
  for (const by of expected.by) {
    Deno.test(`${file} by ${by} is ${expected.code}`, async () => {
      const error = mapFixture(await Deno.readTextFile(new URL(file, FIXTURES)), by);
      assertEquals(error.code, expected.code);
      const kind = KINDS[expected.code];
      assert(kind !== undefined);
      assertEquals(error.kind, kind);
      assertInstanceOf(error, CLASSES[kind]);
      assertEquals(error.retriable, RETRIABLE.includes(expected.code));
      assertEquals(error.status, by === "frame" ? undefined : by);
      assertEquals(error.endpoint, ENDPOINT);
      assertEquals(error.service, "LM Studio");
      assertEquals(error.attempts, 1);
      const state = stateOf(error);
      assert(state.length > 0 && state.length <= 201, state);
      assertStringIncludes(state, expected.state ?? "");
      assertStringIncludes(error.hint, expected.hint ?? "");
      if (error.kind === "invalid-request") {
        assertEquals(error.promptTokens, expected.promptTokens);
        assertEquals(error.contextLength, expected.contextLength);
      }
      if (error.kind === "model-not-available") {
        assertEquals(error.model, MODEL);
        assertEquals(error.available, expected.available);
      }
    });
  }
}

Deno.test("every fixture is in the table, and has its source listed", async () => {
  const sources = await Deno.readTextFile(new URL("SOURCES.md", FIXTURES));
  const files = [];
  for await (const { name } of Deno.readDir(FIXTURES)) if (name !== "SOURCES.md") files.push(name);
  assertEquals(files.sort(), Object.keys(CATALOG).sort());
  assertEquals(files.filter((file) => !sources.includes(`\`${file}\``)), []);
});

Deno.test("a route that only newer versions have is reported as such, with the version", async () => {
  const bodyText = await Deno.readTextFile(new URL("unexpected_endpoint.json", FIXTURES));
  const wire = readWireError(JSON.parse(bodyText));
  assert(wire !== undefined);
  const since = "0.3.29";
  for (
    const error of [errorFromWire(wire, 200, context({ since })), respond(404, bodyText, { since })]
  ) {
    assertInstanceOf(error, ApiError);
    assertEquals([error.code, error.retriable], ["unsupported_by_server", false]);
    assertStringIncludes(error.hint, "Update LM Studio to 0.3.29 or later");
    assertStringIncludes(stateOf(error), "Unexpected endpoint or method.");
  }
  // Any other error on such a route keeps its meaning.
  const page = respond(404, "<!doctype html><title>nginx</title>", { since });
  assertEquals(page.code, "invalid_request");
  assertEquals(fromText("No models loaded.", 400).code, "no_model_loaded");
});

// --- Wordings that vary -----------------------------------------------------------------------

Deno.test("case, quotes, numbers, line breaks and cuts do not change the meaning", () => {
  const same: [KnownCode, string[]][] = [
    ["no_model_loaded", [
      "No models\\n loaded",
      "NO MODELS LOADED",
      "no models\n loaded.",
      "No model is loaded.",
    ]],
    ["wrong_model_type", [
      "Error: Model is not an embedding model",
      "`text-embedding-x` … Model is not LLM",
    ]],
    ["context_overflow", [
      "trying to keep the first 9 tokens when the context overflows",
      "Context size has been exceeded",
      "context length exceeded",
      "request (5 tokens) exceeds the available context size",
      'x: {"error":{"code":400,"type":"exceed_context_size_error","message":"too long"}}',
      "Input does not fit in context length",
    ]],
    ["model_unloaded", ["Model unloaded.", "model was unloaded", "MODEL UNLOADED BY USER"]],
    ["model_crashed", ["The model has crashed", "Error: The model has\ncrashed without"]],
    ["model_not_found", [
      "Model `x` not found.",
      'Model \\"a b\\" not found',
      "Model 'a b' not found",
      "invalid model identifier `x`",
      "There are no downloaded embedding models.",
    ]],
    ["unsupported_response_format", [
      "`response_format.type` must be `json_schema` or `text`",
      '"response_format.type" must be "json_schema"',
      "Failed to parse grammar",
    ]],
    ["unsupported_content", [
      "Model does not support image input",
      "`url` field must be a base64 encoded image",
    ]],
    ["insufficient_resources", [
      "Not enough resources to load the model with the current settings",
      "CUDA error: out of memory",
    ]],
  ];
  for (const [code, texts] of same) {
    for (const text of texts) assertEquals(fromText(text, 400).code, code, text);
  }
});

Deno.test("one kind of error has one code, whatever engine, version or case the wording comes from", async (t) => {
  const kinds: [KnownCode, hint: string, string[]][] = [
    ["unsupported_content", "sees images", [
      "This model does not support image inputs",
      "Images are not supported by the loaded model",
      "image input is not supported - hint: if this is unexpected, you may need to provide the mmproj",
      "ValueError: VISION ADD-ON IS NOT LOADED, but images were provided",
      "The vision adapter was not found for this model",
      "qwen3 is not a vision model",
      "this model is missing data required for image input",
      "Model does not support multimodal input",
      "The model is not multimodal and cannot process images",
    ]],
    ["unsupported_content", "PNG or JPEG", [
      "Invalid image detected at index 12",
      "Error in iterating prediction stream: UnidentifiedImageError: cannot identify image file",
      "Failed to decode the image",
      "Corrupted image",
    ]],
    ["unsupported_response_format", "grammar", [
      "JSON Schema Conversion failed: Unrecognized schema: {}",
      'ValueError: "type" must be a string',
      "pattern must start with \`^\` and end with \`$\`",
      "Error in iterating prediction stream: NotImplementedError: Unsupported JSON schema",
      "Failed to convert JSON schema to a grammar",
      "Invalid schema for response_format 'answer'",
      "Error in iterating prediction stream: ValueError: 'properties' must be an object",
      "ValueError: 'maxLength' must be an integer",
      "parse: error parsing grammar: unknown escape at \\d",
    ]],
    ["model_loading", "Wait", [
      "Loading the model, 40 %",
      "unexpected server status: llm server loading model",
      "Model qwen/qwen3-8b is still loading",
      "The model 'x' is being loaded",
      "Model is not ready",
      "Server is busy",
    ]],
    ["server_error", "Try again", [
      "Error in iterating prediction stream: RuntimeError: [metal::malloc] failed",
      "ERROR IN ITERATING PREDICTION STREAM: AssertionError: ",
      "Received prediction-error: null",
    ]],
    ["model_unloaded", "Send the request again", [
      "Failed to load model. Error: Operation cancelled.",
      'Error: Failed to load "qwen/qwen3-8b": the load was canceled',
      "Model loading was cancelled",
      "Loading of qwen/qwen3-8b has been canceled",
      "The operation was canceled while loading the model",
    ]],
    ["model_not_found", "listModels()", [
      "cannot find model 'x/y'",
      "Could not find the model \`x/y\`",
      "The model \`x/y\` does not exist",
      "Model with id x/y doesn't exist.",
      "No such model: x",
      "Unknown model: x",
      "No model found with key x/y",
    ]],
    ["invalid_request", "mcp.json", [
      "URL resolves to a non-public address.",
      "Unable to connect to remote MCP server 'a'. We only allow public addresses.",
      "Tool for MCP server 'x' requires a non-empty \"server_url\" field",
    ]],
    ["invalid_request", "mcp/<name>", [
      "Cannot find plugin 'mcp/files'",
      "Could not find plugin with identifier 'mcp/files'",
      "Invalid plugin identifier: files",
      "Plugin with identifier 'a/b' is not installed",
      "The plugin 'a/b' does not exist",
    ]],
    ["invalid_tool_schema", "parameters", ["Invalid schema for function 'get_weather'"]],
    ["invalid_request", "template", [
      "Unable to generate parser for this template. Automatic parser generation failed: \n" +
      "While executing CallExpression at line 163, column 57 in source",
    ]],
  ];
  for (const [code, hint, texts] of kinds) {
    for (const text of texts) {
      await t.step(text, () => {
        for (const status of [400, 500, 200, undefined]) {
          const error = fromText(text, status);
          assertEquals(error.code, code);
          assertStringIncludes(error.hint, hint);
          assertEquals(error.retriable, RETRIABLE.includes(code));
        }
      });
    }
  }
});

Deno.test("similar wording keeps its own meaning", () => {
  const cases: [string, KnownCode][] = [
    ["Failed to load model. Error: exit code 1", "model_load_failed"],
    ["Error loading model: not a GGUF file", "model_load_failed"],
    ["Loading model failed", "model_load_failed"],
    ["model loading failed", "model_load_failed"],
    ["Could not connect to plugin 'mcp/files'.", "invalid_request"],
    ["Cannot find model of instance reference abc", "model_unloaded"],
    [
      "Error in iterating prediction stream: ValueError: The number of tokens exceeds the context length",
      "context_overflow",
    ],
  ];
  for (const [text, code] of cases) assertEquals(fromText(text, 400).code, code, text);
  // An error from a plugin's tool server is not LM Studio's own.
  const quoted = { type: "mcp_connection_error", message: "MCP server 'a' said: model not found" };
  assertEquals(errorFromWire(quoted, 400, context()).code, "server_error");
  // The field belongs to the tools, but their schemas are not wrong.
  const remote = {
    type: "external_connector_error",
    code: "http_error",
    param: "tools",
    message: "Error retrieving tool list from MCP server: 'files'.",
  };
  const failed = errorFromWire(remote, 400, context());
  assertEquals([failed.code, failed.retriable], ["server_error", true]);
});

Deno.test("a refused schema is the tools' if the request has no other", () => {
  const text = "JSON schema conversion failed: Unrecognized schema: true";
  for (const message of [text, "Failed to initialize samplers: failed to parse grammar"]) {
    const error = errorFromWire({ message }, 400, context({ hasToolSchemasAlone: true }));
    assertEquals([error.code, error.retriable], ["invalid_tool_schema", false]);
    assertStringIncludes(error.hint, "a tool's parameters");
  }
});

Deno.test("the field that a server names is in the message, once", () => {
  const cases: [error: Record<string, unknown>, state: string][] = [
    [{ message: "Required", param: "input" }, "input: Required"],
    [{ message: "Invalid 'input': it is empty", param: "input" }, "Invalid 'input': it is empty"],
    [{ message: "No.", param: "tools.3.name" }, "tools.3.name: No."],
    [{ message: "No.", param: null }, "No."],
    [{ message: "No.", param: "x".repeat(500) }, "No."],
    [{ message: "No.", param: 7 }, "7: No."],
    [{ message: "No.", param: "\u001b[31m\u202esampler" }, "[31m sampler: No."],
  ];
  for (const [error, state] of cases) {
    const wire = readWireError({ error });
    assert(wire !== undefined);
    for (const status of [400, 200, undefined]) {
      const shown = stateOf(errorFromWire(wire, status, context()));
      assertEquals(shown.slice(0, state.length), state);
    }
  }
  const wordless = respond(400, '{"error":{"type":"invalid_request","param":"top_k"}}');
  assertStringIncludes(stateOf(wordless), "400 Bad Request (invalid_request, top_k)");
  const secret = readWireError({ error: { message: "No.", param: "sk-lm-abcd1234:efgh" } });
  assert(!errorFromWire(secret!, 400, context()).message.includes("efgh"));
});

Deno.test("a nested type decides even if the wording is unknown", () => {
  const error = fromText(
    'Engine protocol predict request returned 400: {"error":{"code":400,"message":"too much",' +
      '"type":"exceed_context_size_error","n_prompt_tokens":12,"n_ctx":8}}',
    400,
  );
  assertEquals(error.code, "context_overflow");
  assert(error.kind === "invalid-request");
  assertEquals([error.promptTokens, error.contextLength], [12, 8]);
  assertEquals(stateOf(error), "too much.");
});

Deno.test("errors nested twice are read to the innermost", () => {
  const engine = JSON.stringify({
    error: { code: 400, message: "deep words", type: "exceed_context_size_error", n_ctx: 7 },
  });
  const outer = JSON.stringify({ error: { message: `engine said: ${engine}` } });
  const error = fromText(`Engine protocol predict request failed: ${outer}`, 400);
  assertEquals(error.code, "context_overflow");
  assertEquals(stateOf(error), "deep words.");
});

Deno.test("an overflow is recognized with its numbers, however deep and however wrapped", async (t) => {
  const said =
    "request (20016 tokens) exceeds the available context size (16384 tokens), try increasing it";
  const inner: Record<string, string> = {
    "words alone": said,
    "an error": JSON.stringify({
      error: { code: 400, message: said, type: "exceed_context_size_error" },
    }),
    "numbers in fields alone": JSON.stringify({
      error: {
        message: "no",
        type: "exceed_context_size_error",
        n_prompt_tokens: 20016,
        n_ctx: 16384,
      },
    }),
    "bare, without error": JSON.stringify({ code: 400, message: said, type: "server_error" }),
    "an error that is text": JSON.stringify({ error: said }),
  };
  const wraps: ((text: string) => string)[] = [
    (text) => `Engine protocol predict request returned 400: ${text}`,
    (text) => JSON.stringify({ error: text }),
    (text) => JSON.stringify({ error: { message: text, type: "internal_error", code: "unknown" } }),
    (text) => `Channel Error\n- Caused By: Error: ${text}`,
    (text) => `${text}. Error Data: n/a, Additional Data: n/a`,
    (text) => JSON.stringify(text),
  ];
  for (const [name, text] of Object.entries(inner)) {
    await t.step(name, () => {
      for (let depth = 0; depth <= 7; depth++) {
        for (let first = 0; first < wraps.length; first++) {
          let wrapped = text;
          for (let layer = 0; layer < depth; layer++) {
            wrapped = wraps[(first + layer) % wraps.length]!(wrapped);
          }
          for (const status of [400, 500, undefined]) {
            const error = fromText(wrapped, status);
            assertEquals(error.code, "context_overflow", `${depth}: ${wrapped}`);
            assert(error.kind === "invalid-request");
            assertEquals([error.promptTokens, error.contextLength], [20016, 16384], wrapped);
          }
        }
      }
    });
  }
});

Deno.test("a truncated error inside a whole one is read as far as it goes", () => {
  const text =
    'Engine protocol predict request returned 400: {"error":{"code":400,"message":"too \\"lon';
  assertEquals(stateOf(fromText(text, 400)), 'too "lon.');
});

Deno.test("data quoted in an error is not mistaken for the error", () => {
  const text = 'Cannot take {"message":"hi","role":"user"}';
  assertEquals(stateOf(fromText(text, 400)), `${text}.`);
});

Deno.test("only a context overflow has numbers", () => {
  const error = fromText("odd (n_keep: 9 >= n_ctx: 4)", 400);
  assert(error.kind === "invalid-request");
  assertEquals(error.code, "invalid_request");
  assert(!("promptTokens" in error) && !("contextLength" in error));
  assert(!error.hint.includes("9"), error.hint);
});

Deno.test("a truncated list of models loses its last name", () => {
  const list = (message: string) => {
    const error = fromText(message, 400);
    assert(error.kind === "model-not-available");
    return error.available;
  };
  const text = 'Invalid model identifier "x". Use a downloaded model (e.g., a/b, `c`, a/b, d';
  assertEquals(list(`${text})`), ["a/b", "c", "d"]);
  assertEquals(list(text), ["a/b", "c"]);
  assertEquals(list("Model 'x' not found.\n\nYour models:\n\n- a/b\n* c\n…\n"), ["a/b", "c"]);
  assertEquals(list("Model 'x' not found.\n\nYour models:\n\n"), undefined);
});

Deno.test("errors in other servers' shapes are reported with the status", () => {
  const body = {
    object: "error",
    message: "max_tokens is odd",
    type: "BadRequestError",
    code: 400,
  };
  const error = respond(400, JSON.stringify(body));
  assertEquals(error.code, "invalid_request");
  assertEquals(stateOf(error), "the server answered 400 Bad Request: max_tokens is odd.");
});

Deno.test("unknown engine failures are mapped by the engine's own status", () => {
  const engine = (code: number) => `Engine protocol predict request returned ${code}: `;
  assertEquals(
    fromText(`${engine(400)}{"error":{"code":400,"message":"odd"}}`, 400).code,
    "invalid_request",
  );
  assertEquals(
    fromText(`${engine(500)}{"error":{"code":500,"message":"odd"}}`, 400).code,
    "server_error",
  );
  assertEquals(fromText(`${engine(400)}odd`, 400).code, "invalid_request");
  assertEquals(fromText(`${engine(503)}odd`, 400).code, "server_error");
});

Deno.test("a failed load that mentions the context is not a context overflow", () => {
  const message = 'Failed to load model "x". Error: context length 99 exceeds the context size';
  assertEquals(fromText(message, 400).code, "model_load_failed");
  const native = { type: "model_load_failed", message: "Context size has been exceeded." };
  assertEquals(errorFromWire(native, 400, context()).code, "model_load_failed");
});

Deno.test("without a requested model there is no `model`", () => {
  const error = errorFromWire({ message: "No models loaded." }, 400, context({ model: undefined }));
  assert(error.kind === "model-not-available");
  assert(!("model" in error));
});

// --- Statuses ---------------------------------------------------------------------------------

Deno.test("the status decides if no wording does", () => {
  const byStatus: [number, KnownCode][] = [
    [400, "invalid_request"],
    [401, "unauthorized"],
    [403, "forbidden"],
    [404, "invalid_request"],
    [405, "invalid_request"],
    [407, "invalid_request"],
    [408, "server_error"],
    [409, "invalid_request"],
    [413, "invalid_request"],
    [418, "invalid_request"],
    [422, "invalid_request"],
    [429, "rate_limited"],
    [500, "server_error"],
    [501, "server_error"],
    [502, "server_error"],
    [503, "server_error"],
    [504, "server_error"],
    [599, "server_error"],
    [0, "not_lm_studio"],
    [302, "not_lm_studio"],
  ];
  for (const [status, code] of byStatus) {
    for (const body of ["", "<html></html>", "words", '{"error":"words"}', '{"ok":true}', "[]"]) {
      const error = respond(status, body);
      assertEquals(error.code, code, `${status} ${body}`);
      // A browser hides the status.
      assertEquals(error.status, status === 0 ? undefined : status);
    }
  }
});

Deno.test("for 413 the hint says what to make smaller", () => {
  assertStringIncludes(respond(413, "").hint, "smaller");
});

Deno.test("wording takes precedence over the status", () => {
  for (const status of [400, 404, 429, 500, 503]) {
    assertEquals(respond(status, '{"error":"No models loaded."}').code, "no_model_loaded");
  }
  assertEquals(respond(401, '{"error":"No models loaded."}').code, "unauthorized");
});

Deno.test("an error's type takes precedence over the status", () => {
  const wire = (type: string) => ({ message: "odd", type });
  for (const status of [200, 400, 500, undefined]) {
    for (const type of ["internal_error", "server_error", "unknown", "mcp_connection_error"]) {
      assertEquals(errorFromWire(wire(type), status, context()).code, "server_error", type);
    }
    for (const type of ["invalid_request", "invalid_request_error"]) {
      assertEquals(errorFromWire(wire(type), status, context()).code, "invalid_request", type);
    }
  }
  assertEquals(errorFromWire(wire("invalid_request"), 403, context()).code, "forbidden");
  assertEquals(errorFromWire(wire("invalid_request"), 429, context()).code, "rate_limited");
});

Deno.test("Retry-After is read as seconds and as a date", () => {
  const now = Date.UTC(2026, 8, 1, 12, 0, 0);
  const wait = (value: string, status = 429) =>
    respond(status, "", {}, { "retry-after": value }, now).retryAfterMs;
  assertEquals(wait("7"), 7000);
  assertEquals(wait("Tue, 01 Sep 2026 12:00:30 GMT"), 30_000);
  assertEquals(wait("soon"), undefined);
  assertEquals(wait("2", 503), 2000);
  assertEquals(respond(429, "").retryAfterMs, undefined);
  assertStringIncludes(respond(429, "", {}, { "retry-after": "7" }).hint, "7 s");
  assertEquals(
    respond(429, '{"error":"slow down"}', {}, { "retry-after": "1" }).retryAfterMs,
    1000,
  );
});

Deno.test("a redirect is refused, naming its target without credentials or query", () => {
  const target = (location: string, overrides?: Partial<ErrorContext>) =>
    respond(307, "", overrides, { location });
  const error = target("https://user:hunter2@models.example/lm/v1/chat/completions?key=hunter2#x");
  assertEquals(error.code, "not_lm_studio");
  assertStringIncludes(error.message, "the server answered 307 Temporary Redirect");
  assertStringIncludes(error.hint, "https://models.example/lm/v1/chat/completions");
  assert(!error.message.includes("hunter2"));
  assertStringIncludes(target("/elsewhere").hint, "http://127.0.0.1:1234/elsewhere");
  assert(!target("javascript:alert(1)").hint.includes("alert"));
  assert(!target("http://[").hint.includes("["));
  const redact = (text: string) => text.replaceAll("s3cret", "***");
  assert(!target("http://h/s3cret", { redact }).message.includes("s3cret"));
});

Deno.test("the proxy hint is for gateway errors and foreign bodies, not for the server's own errors", () => {
  const proxyHint = PROXY_HINT;
  for (const status of [407, 502, 503, 504]) {
    assertStringIncludes(respond(status, "", { proxyHint }).hint, PROXY_HINT, String(status));
  }
  for (const status of [403, 404, 500]) {
    assertStringIncludes(respond(status, "<html>", { proxyHint }).hint, PROXY_HINT);
  }
  assert(!respond(503, '{"error":"No models loaded."}', { proxyHint }).hint.includes("NO_PROXY"));
  // Only the server has its errors in this shape.
  for (const status of [400, 407, 502, 503, 504, 522]) {
    for (const body of ['{"error":"odd"}', '{"error":{"message":"odd","type":"odd"}}']) {
      for (const overrides of [{ proxyHint }, {}]) {
        const { hint } = respond(status, body, overrides);
        assert(!/NO_PROXY|[Bb]etween here and/.test(hint), hint);
      }
    }
  }
  assert(!respond(500, "", { proxyHint }).hint.includes("NO_PROXY"));
  // vLLM's shape.
  const vllm = '{"object":"error","message":"odd","type":"InternalServerError","code":502}';
  assert(!respond(502, vllm, { proxyHint }).hint.includes("NO_PROXY"));
  assert(!respond(503, vllm).hint.includes("between"));
});

Deno.test("an answer from a proxy in between is reported as such", () => {
  const challenge = (scheme: string) => ({ "www-authenticate": `${scheme} realm="lab"` });
  for (const scheme of ["Basic", "basic", "Digest", "Negotiate", "NTLM"]) {
    for (const body of ["", "Unauthorized", "<html>401</html>", '{"detail":"no"}']) {
      const error = respond(401, body, {}, challenge(scheme));
      assertEquals([error.code, error.kind], ["unauthorized", "authentication"]);
      assertStringIncludes(error.hint, "requires its own sign-in");
      assert(!error.hint.includes("LM_API_TOKEN"));
      const own = { proxyHint: PROXY_HINT, unauthorizedHint: "Give the token." };
      assertStringIncludes(respond(401, body, own, challenge(scheme)).hint, "its own sign-in");
      assertStringIncludes(respond(401, body, own, challenge(scheme)).hint, PROXY_HINT);
    }
  }
  // A proxy's own refusal, and one that requires authentication.
  for (
    const [body, headers] of [
      ['{"error":{"message":"no","code":"invalid_api_key"}}', challenge("Basic")],
      ["", challenge("Bearer")],
      ["", {}],
    ] as const
  ) assertStringIncludes(respond(401, body, {}, headers).hint, "LM_API_TOKEN");

  // LM Studio's own refusals are JSON.
  for (
    const body of [
      "error code: 1020",
      "Access denied by policy 17",
      "Forbidden",
      "",
      "RBAC: denied",
    ]
  ) {
    const error = respond(403, body);
    assertEquals([error.code, error.kind], ["forbidden", "authentication"]);
    assertStringIncludes(error.hint, "such as a proxy or firewall, rejects", body);
    assertStringIncludes(respond(403, body, { proxyHint: PROXY_HINT }).hint, PROXY_HINT);
  }
  for (const body of ['{"message":"no"}', '{"detail":"Not allowed"}', '{"error":"no"}']) {
    assertStringIncludes(respond(403, body).hint, "API token", body);
  }
  const plugin = "Permission denied to use plugin 'mcp/playwright'.";
  assertStringIncludes(respond(403, plugin).hint, "Allow plugins");

  for (const status of [500, 501, 508, 529]) {
    assertStringIncludes(respond(status, "<html>").hint, "Something between you and", `${status}`);
  }
  assertStringIncludes(respond(407, "").hint, "A proxy between you and the server");
  assertStringIncludes(respond(413, "").hint, "Send less at once");
  assertStringIncludes(respond(403, '{"error":"no"}').hint, "API token");
  assertStringIncludes(respond(429, "<html>").hint, "Wait");
});

Deno.test("partial and attempts are passed on", () => {
  const partial = { content: "Hel", toolCalls: [] };
  const error = errorFromWire({ message: "odd" }, undefined, context({ partial, attempts: 3 }));
  assertEquals(error.partial, partial);
  assertEquals(error.attempts, 3);
});

// --- Bodies that cannot be decoded ------------------------------------------------------------

function undecodable(bodyText: string, overrides?: Partial<ErrorContext>): AnyProviderError {
  return errorFromUndecodable(
    { status: 200, bodyText },
    "the answer is not JSON",
    context(overrides),
  );
}

Deno.test("a page instead of an answer comes from another server", () => {
  for (
    const page of ["<!DOCTYPE html><p>x", "\uFEFF\n <html>", "<?xml version='1.0'?>", "<!-- -->"]
  ) {
    const error = undecodable(page, { proxyHint: PROXY_HINT });
    assertInstanceOf(error, ApiError);
    assertEquals(error.code, "not_lm_studio");
    assertStringIncludes(error.message, "the server answered 200 OK with an HTML page");
    assertStringIncludes(error.hint, PROXY_HINT);
  }
});

Deno.test("any other body is malformed, with its start shown", () => {
  const body = `{"choices":[{"message":{"content":"${"x".repeat(300)}`;
  const error = undecodable(body);
  assertInstanceOf(error, ParseError);
  assertEquals(error.code, "malformed_response");
  assertStringIncludes(error.message, "the answer is not JSON");
  assertEquals(error.bodySnippet?.length, 200);
  assert(error.bodySnippet?.startsWith('{"choices":[{"message"'));
  assert(error.bodySnippet?.endsWith("…"));
  assertEquals(error.status, 200);
  assertStringIncludes(
    undecodable("Ollama is running", { proxyHint: PROXY_HINT }).hint,
    PROXY_HINT,
  );
  assert(!undecodable('{"a":', { proxyHint: PROXY_HINT }).hint.includes(PROXY_HINT));
  assertEquals(undecodable("").code, "malformed_response");
});

Deno.test("of a body that is not JSON the first 60 characters are shown, redacted before cutting", () => {
  const said = (body: string, overrides?: Partial<ErrorContext>): string =>
    undecodable(body, overrides).message.split("the answer is not JSON")[1] ?? "";
  assert(said("Ollama is running").startsWith(': "Ollama is running". '));
  assert(said("").startsWith(": it is empty. "));
  assert(said("  \n").startsWith(": it is empty. "));
  assert(said('{"a":"b').startsWith(': "{"a":"b". '));
  const long = "0123456789".repeat(10);
  assert(said(long).startsWith(`: "${long.slice(0, 60)}…". `));
  // A character outside the basic plane is not cut in two.
  assert(said(`${long.slice(0, 59)}😀${long}`).startsWith(`: "${long.slice(0, 59)}…". `));
  assert(said("a\u001b[31m\r\nb\u202ec").startsWith(': "a [31m b c". '));
  // A secret at the edge would be cut into something that is no longer recognized.
  const secret = "sk-lm-abcdefgh:0123456789";
  const redact = (text: string): string => text.replaceAll(secret, "***");
  const echo = `${long.slice(0, 50)} ${secret} behind`;
  assert(said(echo, { redact }).startsWith(`: "${long.slice(0, 50)} *** beh`));
  // JSON of an unexpected shape is still JSON.
  assert(said('{"fine":true}').startsWith(". "));
});

Deno.test("an error instead of an answer is that error", () => {
  assertEquals(undecodable('{"error":"No models loaded."}').code, "no_model_loaded");
  assertEquals(undecodable('{"error":null}').code, "malformed_response");
});

// --- The five shapes --------------------------------------------------------------------------

Deno.test("readWireError accepts every error shape and nothing else", () => {
  const some: [unknown, ReturnType<typeof readWireError>][] = [
    [{ error: "text" }, { message: "text" }],
    [{ error: { message: "m", type: "t", param: "p", code: "c" } }, {
      message: "m",
      type: "t",
      code: "c",
      param: "p",
    }],
    [{ error: { message: "m", type: "t", param: null, code: null } }, { message: "m", type: "t" }],
    [{ error: { message: "inner" }, message: "outer" }, { message: "inner" }],
    [{ error: { type: "t" }, message: "outer" }, { message: "outer", type: "t" }],
    [{ type: "error", error: { type: "api_error", message: "m" } }, {
      message: "m",
      type: "api_error",
    }],
    [{ error: { code: 400, message: "m", n_prompt_tokens: 5, n_ctx: 4 } }, {
      message: "m",
      code: "400",
      promptTokens: 5,
      contextLength: 4,
    }],
    [{ error: { title: "Failed", cause: "n_tokens = 0" } }, { message: "Failed: n_tokens = 0" }],
    [{ error: {} }, { message: "" }],
    [{ error: true, message: "m" }, { message: "m" }],
  ];
  for (const [body, wire] of some) assertEquals(readWireError(body), wire, JSON.stringify(body));
  const none = [
    undefined,
    null,
    1,
    "error",
    [],
    [{ error: "x" }],
    {},
    { error: null },
    { error: "" },
    { error: "  " },
    { error: undefined },
    { error: false },
    { message: "m" },
    { choices: [], error: null },
    { status: "failed", response: { error: { message: "m" } } },
  ];
  for (const body of none) assertEquals(readWireError(body), undefined, JSON.stringify(body));
});

Deno.test("an error without a message says so", () => {
  const error = respond(500, '{"error":{}}');
  assertStringIncludes(error.message, "the server answered 500 Internal Server Error");
  const frame = errorFromWire({ message: "", type: "odd_type" }, undefined, context());
  assertStringIncludes(frame.message, "an error without a message (odd_type)");
  const typed = respond(500, '{"error":{"type":"odd_type"}}');
  assertStringIncludes(typed.message, "500 Internal Server Error (odd_type)");
});

// --- What must never be in a message ----------------------------------------------------------

Deno.test("a token's characters are never shown, even without redact", async () => {
  const secrets = ["22aac52a71", "sk-bogus-E", "AbCdEf", "Zm9vOmJhcg", "K3yK3yK3y"];
  const bodies = [
    await Deno.readTextFile(new URL("auth_malformed.json", FIXTURES)),
    await Deno.readTextFile(new URL("auth_malformed_stars.json", FIXTURES)),
    '{"error":"Authorization: Bearer AbCdEf.123 was refused"}',
    '{"error":"bearer\\n AbCdEf"}',
    '{"error":"Authorization: Basic Zm9vOmJhcg== was refused"}',
    '{"error":{"message":"Incorrect API key provided: K3yK3yK3y. Find yours at x"}}',
    '{"error":"x-api-key: K3yK3yK3y"}',
    '{"error":"headers were {\\"authorization\\":\\"Bearer AbCdEf\\",\\"x-api-key\\":\\"K3yK3yK3y\\"}"}',
    '{"error":"token sk-lm-AbCdEf12:AbCdEf1234567890abcd is unknown"}',
    "Bearer AbCdEf",
    '{"authorization": "Bearer AbCdEf"',
  ];
  for (const body of bodies) {
    for (const status of [400, 401, 403, 500, 502]) {
      const error = respond(status, body);
      const text = JSON.stringify(error) + error.message + error.hint + String(error.stack);
      for (const secret of secrets) assert(!text.includes(secret), `${secret} in ${text}`);
    }
    const text = JSON.stringify(undecodable(body));
    for (const secret of secrets) assert(!text.includes(secret), `${secret} in ${text}`);
  }
  assertStringIncludes(
    respond(401, bodies[0] ?? "").message,
    "Malformed LM Studio API token provided: *** Ensure you are using a valid token.",
  );
  assertStringIncludes(
    respond(401, await Deno.readTextFile(new URL("auth_missing.json", FIXTURES))).message,
    "An LM Studio API token is required to make requests to this server",
  );
});

Deno.test("everything from the server is redacted before it is cut or collapsed", () => {
  const prompt = 'my "private"\n  prompt';
  const redact = createRedactor([], { input: prompt });
  const engine = JSON.stringify({ error: { code: 500, message: `bad input ${prompt}!` } });
  const bodies = [
    JSON.stringify({ error: `bad input ${prompt}` }),
    JSON.stringify({ error: { message: `bad input ${prompt}`, type: prompt, code: prompt } }),
    JSON.stringify({ error: { message: "", type: prompt } }),
    JSON.stringify({ error: { message: "odd", param: `tools.${prompt}` } }),
    JSON.stringify({ error: `Engine protocol predict request returned 500: ${engine}` }),
    JSON.stringify({
      error: JSON.stringify([{ code: "custom", path: ["tools", prompt], message: prompt }]),
    }),
    JSON.stringify({ error: `${"x".repeat(170)} ${prompt}` }),
    `bad input ${prompt}`,
    `{"error": "cut ${prompt}`,
    JSON.stringify({ detail: prompt }),
    `{"error": "cut ${prompt.replace("y", "\\\\u0079").replaceAll('"', '\\\\"')}`,
  ];
  for (const body of bodies) {
    for (const status of [400, 500]) {
      const error = respond(status, body, { redact });
      for (const word of ["private", 'prompt"', 'my "']) {
        assert(!error.message.includes(word), error.message);
      }
    }
    const shown = undecodable(body, { redact });
    assert(!JSON.stringify(shown).includes("private"), JSON.stringify(shown));
  }
  const list = { error: { message: 'Model "x" not found.\n\nYour models:\n\nsecret-model\n' } };
  const error = respond(404, JSON.stringify(list), {
    redact: (t) => t.replaceAll("secret", "***"),
  });
  assert(error.kind === "model-not-available");
  assertEquals(error.available, ["***-model"]);
});

Deno.test("parts of a body quoted by a JSON parser are left out", () => {
  const bodies = [
    `Unexpected token 'm', ..."content": my private"... is not valid JSON`,
    `Unexpected token 'm', "my private" is not valid JSON`,
  ];
  for (const body of bodies) {
    const error = fromText(body, 400);
    assert(!error.message.includes("private"), error.message);
    assertStringIncludes(error.message, "is not valid JSON");
  }
});

Deno.test("a stack trace is not shown", async () => {
  const body = await Deno.readTextFile(new URL("jinja_native.json", FIXTURES));
  assert(!respond(500, body).message.includes("llmworker"));
});

Deno.test("the state is one line of at most 200 characters", () => {
  const error = respond(400, JSON.stringify({ error: `a\u001b[31m\r\n\t b${"x".repeat(500)}` }));
  const state = stateOf(error);
  assert(state.startsWith("a [31m b"), state);
  // The period before the hint is not the server's.
  assertEquals(state.replace(/\.$/, "").length, 200);
  assertStringIncludes(state, "…");
  // deno-lint-ignore no-control-regex
  assert(!/[\u0000-\u001f\u007f-\u009f\u2028\u202e]/.test(error.message));
  const emoji = stateOf(respond(400, JSON.stringify({ error: "😀".repeat(300) })));
  assertEquals(new TextDecoder().decode(new TextEncoder().encode(emoji)), emoji);
});

// --- Any input --------------------------------------------------------------------------------

// deno-fmt-ignore
const WORDS = [
  "error", "message", "type", "code", "param", "{", "}", "[", "]", '"', "'", "\\", "\n", ":", ",",
  "No models loaded", "Failed to load model", "(e.g., ", "Your models:\n", "n_ctx: 9", "null", "…",
  "Engine protocol predict request returned 400: ", "Bearer ", "<", "😀", "\ud83d", "\u0000", "İ",
  "model_not_found", "first 9 tokens", "tools", "__proto__", "path", "issues", "1e999", "-1",
];

function randomText(random: () => number): string {
  let text = "";
  for (let left = Math.floor(random() * 12); left > 0; left--) {
    text += WORDS[Math.floor(random() * WORDS.length)];
  }
  return text;
}

function randomValue(random: () => number, depth = 0): unknown {
  switch (Math.floor(random() * (depth > 3 ? 5 : 8))) {
    case 0:
      return null;
    case 1:
      return random() < 0.5;
    case 2:
      return [0, -1, 1.5, 2 ** 60, 404][Math.floor(random() * 5)];
    case 3:
      return randomText(random);
    case 4:
      return JSON.stringify({ error: { message: randomText(random), n_ctx: random() } });
    case 5:
      return Array.from({ length: Math.floor(random() * 3) }, () => randomValue(random, depth + 1));
    default: {
      const keys = [
        "error",
        "message",
        "type",
        "code",
        "param",
        "path",
        "n_ctx",
        "detail",
        "cause",
      ];
      return Object.fromEntries(
        keys.filter(() => random() < 0.4).map((key) => [key, randomValue(random, depth + 1)]),
      );
    }
  }
}

Deno.test("no input makes the mapping throw, and every state is bounded", () => {
  const random = randomizer(42);
  const statuses = [
    0,
    100,
    200,
    204,
    302,
    400,
    401,
    403,
    404,
    413,
    429,
    500,
    502,
    599,
    999,
    NaN,
    -1,
  ];
  for (let i = 0; i < 5000; i++) {
    const status = statuses[i % statuses.length] ?? 500;
    const value = randomValue(random);
    const bodyText = i % 3 === 0 ? randomText(random) : JSON.stringify(value) ?? "";
    const cut = i % 5 === 0 ? bodyText.slice(0, Math.floor(random() * bodyText.length)) : bodyText;
    const wire = readWireError(value);
    const errors = [
      respond(status, cut, { proxyHint: PROXY_HINT }, { location: "/x", "retry-after": "x" }),
      errorFromUndecodable({ status, bodyText: cut }, randomText(random), context()),
      ...(wire === undefined ? [] : [errorFromWire(wire, undefined, context())]),
    ];
    for (const error of errors) {
      assertInstanceOf(error, ProviderError);
      assert(stateOf(error).length <= 201, error.message);
      JSON.stringify(error);
    }
  }
});

Deno.test("masking an error of 64 KiB against a prompt of 1 MiB is fast", () => {
  const mib = 1024 * 1024;
  const words = Array.from({ length: mib / 8 }, (_, index) => `word${index} `).join("");
  const prompts = [
    words,
    words.replaceAll(" ", "\n"),
    "ab cd\n".repeat(mib / 6),
    JSON.stringify(words),
    "&#65;".repeat(mib / 5),
    "\\".repeat(mib),
    "-".repeat(mib),
  ];
  for (const prompt of prompts) {
    const echoes = [
      prompt.slice(0, 65536),
      JSON.stringify({ error: JSON.stringify({ message: prompt.slice(0, 20_000) }) }),
      '"a'.repeat(32_768),
    ];
    for (const bodyText of echoes) {
      let ms = Infinity;
      for (let run = 0; run < 3 && ms > 1000; run++) {
        const redact = createRedactor(["sk-lm-abcdefgh"], { messages: [{ content: prompt }] });
        const usedBefore = cpuTimeMs();
        errorFromResponse({ status: 500, headers: new Headers(), bodyText }, context({ redact }));
        ms = Math.min(ms, cpuTimeMs() - usedBefore);
      }
      assert(ms < 2000, `${JSON.stringify(prompt.slice(0, 20))}: ${ms} ms`);
    }
  }
});

Deno.test("64 KiB of anything takes linear time", () => {
  // deno-fmt-ignore
  const units = [
    "{", "[", "}", "]", "\\", '"', "'", "`", " ", "\n", "\t", "a", "1", "1,", ",", ".", "<", "(",
    '{"', "[{", '\\"', "\\n", "'message':'", '"message":"', '"message":', '\\"message\\":\\"',
    "Bearer ", "bearer", "api token ", "api key provided: ", "sk-", "sk-a", "authorization: ",
    "model ", "model '", "model x not ", "models ", "failed to ", "failed to embed ",
    "context length ", "context ", "exceeds ", "first 1 ", "n_keep: ", "(e.g., ", "your models:\n",
    "image ", "tool_choice", "engine protocol ", "returned 4", "not valid JSON",
    '" is not valid JSON', '..."', "response ", "previous_response ", "requires ", "reasoning ",
    "Jinja Exception: ", "\n    at ", "not found ", "😀", "\ud83d", "İ", '{"error":',
    '{"error":{"message":"', "[[", '{"a":',
  ];
  for (const unit of units) {
    const text = unit.repeat(Math.ceil(65536 / unit.length)).slice(0, 65536);
    const bodies = [text, JSON.stringify({ error: text }), `{"error":"x ${text}`];
    // A busy machine slows one run; quadratic matching (seconds instead of milliseconds) slows all three.
    let ms = Infinity;
    for (let run = 0; run < 3 && ms > 500; run++) {
      const usedBefore = cpuTimeMs();
      for (const body of bodies) {
        respond(500, body);
        undecodable(body);
      }
      ms = Math.min(ms, cpuTimeMs() - usedBefore);
    }
    assert(ms < 1000, `${JSON.stringify(unit)}: ${ms} ms`);
  }
});

Deno.test("for a server that is not LM Studio, a wrong address has that server's remedy", () => {
  const service = "vLLM";
  const errors = [
    undecodable("hello", { service }),
    undecodable("<html>", { service }),
    undecodable("hello", { service, proxyHint: PROXY_HINT }),
    respond(404, "", { service }),
    respond(404, "<html>", { service }),
  ];
  for (const { hint } of errors) {
    assert(hint.startsWith("Check the base URL: it must be the root of a server with"), hint);
  }
});
