/** The classes, kinds, codes and defaults of §3 of the design, and how errors are printed, cloned and compared. */
import {
  assert,
  assertEquals,
  assertFalse,
  assertInstanceOf,
  assertStrictEquals,
  assertStringIncludes,
} from "@std/assert";
import {
  AllProvidersFailedError,
  type AnyProviderError,
  ApiError,
  AuthenticationError,
  type CompletionResponse,
  ConfigurationError,
  type ErrorKind,
  InvalidRequestError,
  isProviderError,
  ModelNotAvailableError,
  NetworkError,
  ParseError,
  ProviderError,
  type ProviderErrorOptions,
  RateLimitedError,
  SerializationError,
  StreamError,
  TimeoutError,
  UnknownProviderError,
} from "../mod.ts";
import { ERROR_CODES, isKnownCode } from "../src/core/error_codes.ts";

/** Copied from §3: class, kind, codes, and which of the codes are retriable, in the same order. */
const TABLE = `
ApiError | api | server_error model_crashed model_unloaded unexpected_endpoint not_lm_studio unsupported_by_server tool_loop_limit tool_choice_ignored job_not_found model_loading | yes no yes no no no no no no yes
NetworkError | network | connection_refused connection_reset service_not_found permission_denied blocked_by_browser | yes yes yes no no
AuthenticationError | authentication | unauthorized forbidden | no
RateLimitedError | rate-limited | rate_limited | yes
ModelNotAvailableError | model-not-available | model_not_found no_model_loaded model_not_loaded model_load_failed insufficient_resources wrong_model_type model_substituted | no
InvalidRequestError | invalid-request | invalid_request context_overflow unsupported_content invalid_tool_schema unsupported_response_format previous_response_not_found | no
TimeoutError | timeout | timeout_connect timeout_first_token timeout_idle timeout_total | yes
ConfigurationError | configuration | invalid_configuration | no
AllProvidersFailedError | all-providers-failed | all_providers_failed | no
SerializationError | serialization | serialization_failed | no
StreamError | stream | stream_truncated malformed_stream | yes no
ParseError | parse | malformed_response | no
UnknownProviderError | unknown | unknown | no
`;

interface Row {
  readonly name: string;
  readonly kind: ErrorKind;
  readonly code: string;
  readonly retriable: boolean;
}

const ROWS: readonly Row[] = TABLE.trim().split("\n").flatMap((line) => {
  const [name = "", kind = "", codes = "", flags = ""] = line.split("|").map((cell) => cell.trim());
  const answers = flags.split(" ");
  return codes.split(" ").map((code, at) => ({
    name,
    kind: kind as ErrorKind,
    code,
    retriable: (answers[at] ?? answers[0]) === "yes",
  }));
});

const MESSAGE = "Cannot complete: the sky fell";

/** Creates one error of each class, as users and the package do. */
const MAKERS: Readonly<Record<string, (options: ProviderErrorOptions) => AnyProviderError>> = {
  ApiError: (options) => new ApiError(MESSAGE, options),
  NetworkError: (options) => new NetworkError(MESSAGE, options),
  AuthenticationError: (options) => new AuthenticationError(MESSAGE, options),
  RateLimitedError: (options) => new RateLimitedError(MESSAGE, options),
  ModelNotAvailableError: (options) => new ModelNotAvailableError(MESSAGE, options),
  InvalidRequestError: (options) => new InvalidRequestError(MESSAGE, options),
  TimeoutError: (options) =>
    new TimeoutError(MESSAGE, { ...options, phase: "idle", timeoutMs: 1_000 }),
  ConfigurationError: (options) => new ConfigurationError(MESSAGE, options),
  AllProvidersFailedError: (options) =>
    new AllProvidersFailedError(MESSAGE, { ...options, errors: [] }),
  SerializationError: (options) => new SerializationError(MESSAGE, options),
  StreamError: (options) => new StreamError(MESSAGE, options),
  ParseError: (options) => new ParseError(MESSAGE, options),
  UnknownProviderError: (options) => new UnknownProviderError(MESSAGE, options),
};

const CLASSES: readonly (abstract new (...args: never[]) => AnyProviderError)[] = [
  ApiError,
  NetworkError,
  AuthenticationError,
  RateLimitedError,
  ModelNotAvailableError,
  InvalidRequestError,
  TimeoutError,
  ConfigurationError,
  AllProvidersFailedError,
  SerializationError,
  StreamError,
  ParseError,
  UnknownProviderError,
];

function make(
  { name, code }: Pick<Row, "name" | "code">,
  more: Partial<ProviderErrorOptions> = {},
) {
  const maker = MAKERS[name];
  assert(maker !== undefined, name);
  return maker({ code, ...more });
}

function occurrences(text: string, part: string): number {
  return text.split(part).length - 1;
}

const ANSWER: CompletionResponse = {
  id: "1",
  model: "other",
  message: { role: "assistant", content: "SECRET ANSWER" },
  content: "SECRET ANSWER",
  toolCalls: [],
  finishReason: "stop",
  raw: {},
};

Deno.test("errors: the codes match the table, each with its kind and its default", () => {
  assertEquals(Object.keys(ERROR_CODES).sort(), ROWS.map(({ code }) => code).sort());
  for (const { code, kind, retriable } of ROWS) {
    assert(isKnownCode(code), code);
    assertEquals([ERROR_CODES[code].kind, ERROR_CODES[code].retriable], [kind, retriable], code);
  }
  for (const name of ["", "constructor", "toString", "__proto__", "SERVER_ERROR"]) {
    assertFalse(isKnownCode(name), name);
  }
});

for (const row of ROWS) {
  Deno.test(`errors: ${row.name} with code ${row.code}`, () => {
    const error = make(row);
    assertEquals(
      [error.name, error.kind, error.code, error.retriable, error.attempts],
      [row.name, row.kind, row.code, row.retriable, 1],
    );
    assertInstanceOf(error, ProviderError);
    assertInstanceOf(error, Error);
    const classes = CLASSES.filter((known) => error instanceof known).map(({ name }) => name);
    assertEquals(classes, [row.name]);
    assert(isProviderError(error));
    for (const { kind } of ROWS) assertEquals(isProviderError(error, kind), kind === row.kind);

    assert(error.hint !== "");
    assertEquals(error.message, `${MESSAGE}. ${error.hint}`);
    assertEquals(occurrences(error.message, error.hint), 1);
    assertEquals(String(error), `${row.name}: ${error.message}`);
    assert(error.stack?.includes(error.message));
    // One or two sentences, ending with a period.
    assert(/^[A-Z`].*[.)]$/.test(error.hint), error.hint);
    assertFalse(/[\n\r]| {2}/.test(error.hint), error.hint);
    // Unknown fields are absent.
    for (const name of ["service", "endpoint", "status", "retryAfterMs", "partial", "cause"]) {
      assertFalse(name in error, name);
    }
  });
}

Deno.test("errors: options override the code's defaults", () => {
  for (const row of ROWS) {
    const cause = new TypeError("fetch failed");
    const error = make(row, {
      service: "Ollama",
      endpoint: "http://127.0.0.1:11434/v1/models",
      status: 418,
      retriable: !row.retriable,
      retryAfterMs: 500,
      attempts: 3,
      hint: "Look up.",
      cause,
    });
    assertEquals(
      [
        error.service,
        error.endpoint,
        error.status,
        error.retriable,
        error.retryAfterMs,
        error.attempts,
        error.hint,
        error.message,
      ],
      [
        "Ollama",
        "http://127.0.0.1:11434/v1/models",
        418,
        !row.retriable,
        500,
        3,
        "Look up.",
        `${MESSAGE}. Look up.`,
      ],
    );
    assertStrictEquals(error.cause, cause);
  }
});

Deno.test("errors: undefined means absent", () => {
  const plain = make({ name: "ApiError", code: "server_error" });
  const error = make({ name: "ApiError", code: "server_error" }, {
    service: undefined,
    endpoint: undefined,
    status: undefined,
    retriable: undefined,
    retryAfterMs: undefined,
    attempts: undefined,
    hint: undefined,
    partial: undefined,
    cause: undefined,
  });
  assertEquals(error.toJSON(), plain.toJSON());
  assertEquals(Object.getOwnPropertyNames(error).sort(), Object.getOwnPropertyNames(plain).sort());
  assertEquals(make({ name: "ApiError", code: "server_error" }, { attempts: 0 }).attempts, 0);
});

Deno.test("errors: the message and the hint are two sentences, whatever the message ends with", () => {
  const ends: [string, string][] = [
    ["Cannot list: no", "Cannot list: no. Try."],
    ["Cannot list: no.", "Cannot list: no. Try."],
    ["Cannot list: no!", "Cannot list: no! Try."],
    ["Cannot list: no?", "Cannot list: no? Try."],
    ["Cannot list: no…", "Cannot list: no… Try."],
    ["Cannot list: (no)", "Cannot list: (no). Try."],
  ];
  for (const [message, whole] of ends) {
    assertEquals(new ApiError(message, { code: "server_error", hint: "Try." }).message, whole);
  }
  assertEquals(
    new ApiError("Cannot list: no", { code: "server_error", hint: "" }).message,
    "Cannot list: no",
  );
});

Deno.test("errors: each class has its own fields", () => {
  const model = new ModelNotAvailableError(MESSAGE, {
    code: "model_substituted",
    model: "asked",
    available: ["other"],
    response: ANSWER,
  });
  assertEquals([model.model, model.available, model.response], ["asked", ["other"], ANSWER]);
  const overflow = new InvalidRequestError(MESSAGE, {
    code: "context_overflow",
    promptTokens: 20_016,
    contextLength: 16_384,
  });
  assertEquals([overflow.promptTokens, overflow.contextLength], [20_016, 16_384]);
  const timeout = new TimeoutError(MESSAGE, {
    code: "timeout_first_token",
    phase: "first-token",
    timeoutMs: 5,
  });
  assertEquals([timeout.phase, timeout.timeoutMs], ["first-token", 5]);
  const issues = [{ message: "not a number", path: ["a", 0] }];
  const parse = new ParseError(MESSAGE, { code: "malformed_response", issues, bodySnippet: "{" });
  assertEquals([parse.issues, parse.bodySnippet], [issues, "{"]);
  const limited = new RateLimitedError(MESSAGE, { code: "rate_limited", retryAfterMs: 0 });
  assertEquals(limited.retryAfterMs, 0);
  const all = new AllProvidersFailedError(MESSAGE, {
    code: "all_providers_failed",
    errors: [timeout, "boom"],
  });
  assertEquals(all.errors, [timeout, "boom"]);
});

Deno.test("errors: toJSON has the known fields, but neither answer, cause nor stack", () => {
  const error = new ModelNotAvailableError(MESSAGE, {
    code: "model_substituted",
    service: "LM Studio",
    endpoint: "http://127.0.0.1:1234/v1/chat/completions",
    status: 200,
    attempts: 2,
    model: "asked",
    available: ["other"],
    response: ANSWER,
    partial: { content: "SECRET PARTIAL", toolCalls: [] },
    cause: new Error("SECRET CAUSE"),
  });
  const json = error.toJSON();
  assertEquals(json, {
    name: "ModelNotAvailableError",
    message: error.message,
    kind: "model-not-available",
    code: "model_substituted",
    retriable: false,
    attempts: 2,
    hint: error.hint,
    service: "LM Studio",
    endpoint: "http://127.0.0.1:1234/v1/chat/completions",
    status: 200,
    model: "asked",
    available: ["other"],
  });
  assertEquals(JSON.parse(JSON.stringify({ error })), { error: json });
  assertFalse(JSON.stringify(error).includes("SECRET"));
  // Code can still read them.
  assertEquals(error.partial?.content, "SECRET PARTIAL");
  assertEquals(error.response?.model, "other");
  assertInstanceOf(error.cause, Error);
});

Deno.test("errors: a printed error shows neither the answer nor its partial text", async () => {
  const { inspect } = await import("node:util");
  const error = new ModelNotAvailableError(MESSAGE, {
    code: "model_substituted",
    response: ANSWER,
    partial: { content: "SECRET PARTIAL", reasoning: "SECRET REASONING", toolCalls: [] },
  });
  for (const text of [Deno.inspect(error), inspect(error, { depth: 9 }), String(error.stack)]) {
    assertFalse(text.includes("SECRET"), text);
    assertStringIncludes(text, MESSAGE);
    // The class name appears once, at the start.
    assert(text.startsWith("ModelNotAvailableError: "), text);
  }
  assertFalse(Object.keys(error).some((key) => ["partial", "response", "cause"].includes(key)));
});

Deno.test("errors: toJSON of several errors has ours in full, and only the names of others", () => {
  const inner = new NetworkError("Cannot list: no", { code: "connection_refused" });
  const error = new AllProvidersFailedError(MESSAGE, {
    code: "all_providers_failed",
    errors: [inner, new TypeError("SECRET"), "SECRET", { SECRET: 1 }, null, undefined],
  });
  const json = error.toJSON();
  assertEquals(json.errors, [
    inner.toJSON(),
    "TypeError",
    "string",
    "object",
    "object",
    "undefined",
  ]);
  assertFalse(JSON.stringify(error).includes("SECRET"));
  const nested = new AllProvidersFailedError(MESSAGE, {
    code: "all_providers_failed",
    errors: [error],
  });
  assertEquals(nested.toJSON().errors, [json]);
});

Deno.test("isProviderError: false for anything else", () => {
  const others = [
    undefined,
    null,
    0,
    "ApiError",
    Symbol("ApiError"),
    {},
    [],
    () => {},
    new Error("x"),
    new DOMException("x", "AbortError"),
    { name: "ApiError", kind: "api", code: "server_error", retriable: true, message: "x" },
    Object.create(null),
    make({ name: "ApiError", code: "server_error" }).toJSON(),
  ];
  for (const value of others) {
    assertFalse(isProviderError(value));
    assertFalse(isProviderError(value, "api"));
  }
});

Deno.test("isProviderError: works across copies of the package, where instanceof does not", async () => {
  const copy: typeof import("../mod.ts") = await import(
    new URL("../mod.ts?copy", import.meta.url).href
  );
  // A second copy of the entry would share its modules with the first; this one has its own errors.
  const errors: typeof import("../src/core/errors.ts") = await import(
    new URL("../src/core/errors.ts?copy", import.meta.url).href
  );
  assertStrictEquals(copy.ApiError, ApiError);
  assert(errors.ApiError !== ApiError);
  const theirs = new errors.TimeoutError(MESSAGE, {
    code: "timeout_idle",
    phase: "idle",
    timeoutMs: 1,
  });
  assertFalse(theirs instanceof ProviderError);
  assert(isProviderError(theirs) && isProviderError(theirs, "timeout"));
  assertFalse(isProviderError(theirs, "network"));
  const ours = make({ name: "ApiError", code: "server_error" });
  assert(errors.isProviderError(ours) && errors.isProviderError(ours, "api"));
  const all = new AllProvidersFailedError(MESSAGE, {
    code: "all_providers_failed",
    errors: [theirs],
  });
  assertEquals(all.toJSON().errors, [theirs.toJSON()]);
});

Deno.test("isProviderError: narrows by kind", () => {
  const error: unknown = make({ name: "TimeoutError", code: "timeout_idle" });
  assert(isProviderError(error, "timeout"));
  assertEquals(error.phase, "idle");
});

/** Compiles only if every kind is handled. */
function describeKind(error: AnyProviderError): string {
  switch (error.kind) {
    case "api":
    case "network":
    case "authentication":
    case "configuration":
    case "serialization":
    case "stream":
    case "unknown":
      return error.code;
    case "rate-limited":
      return `${error.retryAfterMs}`;
    case "model-not-available":
      return `${error.model}`;
    case "invalid-request":
      return `${error.contextLength}`;
    case "timeout":
      return error.phase;
    case "all-providers-failed":
      return `${error.errors.length}`;
    case "parse":
      return `${error.bodySnippet}`;
    default: {
      const never: never = error;
      return never;
    }
  }
}

Deno.test("errors: a switch over kind is exhaustive", () => {
  for (const row of ROWS) assertEquals(typeof describeKind(make(row)), "string");
});

Deno.test("errors: custom codes are not retriable, and need their own hint", () => {
  const error = new ApiError("Cannot translate: too long", { code: "too_long" });
  assertEquals(
    [error.code, error.kind, error.retriable, error.hint, error.message],
    ["too_long", "api", false, "", "Cannot translate: too long"],
  );
  const other = new ApiError("Cannot translate: busy", {
    code: "constructor",
    retriable: true,
    hint: "Wait.",
  });
  assertEquals(
    [other.code, other.retriable, other.message],
    ["constructor", true, "Cannot translate: busy. Wait."],
  );
});

class QuotaError extends RateLimitedError {
  static {
    Object.defineProperty(this.prototype, "name", { value: "QuotaError" });
  }
  readonly left = 0;
}

class OtherServerError extends ProviderError {
  override readonly kind = "api";
}

Deno.test("errors: subclasses are errors of the package", () => {
  const quota = new QuotaError(MESSAGE, { code: "rate_limited" });
  assertInstanceOf(quota, RateLimitedError);
  assert(isProviderError(quota, "rate-limited"));
  assertEquals([quota.name, quota.retriable, quota.toJSON().left], ["QuotaError", true, 0]);
  assert(Deno.inspect(quota).startsWith("QuotaError: "));
  const other = new OtherServerError(MESSAGE, { code: "mine" });
  assert(isProviderError(other, "api"));
  assertEquals(other.toJSON().kind, "api");
});

Deno.test("errors: a structured clone keeps the message, not the class", () => {
  const error = make({ name: "NetworkError", code: "connection_refused" });
  const clone: unknown = structuredClone(error);
  assertInstanceOf(clone, Error);
  assertEquals(clone.message, error.message);
  assertFalse(isProviderError(clone));
  // As plain data it survives completely.
  assertEquals(structuredClone(error.toJSON()), error.toJSON());
});

Deno.test("errors: hints are short and name a remedy", () => {
  const hints = ROWS.map(({ code }) => [code, isKnownCode(code) ? ERROR_CODES[code].hint : ""]);
  for (const [code = "", hint = ""] of hints) {
    assert(hint.length >= 10 && hint.length <= 160, `${code}: ${hint}`);
    assertFalse(/TODO|undefined|sorry|please/i.test(hint), `${code}: ${hint}`);
  }
  assertStringIncludes(ERROR_CODES.blocked_by_browser.hint, "lms server start --cors");
  assertStringIncludes(ERROR_CODES.permission_denied.hint, "--allow-net");
  assertStringIncludes(ERROR_CODES.unauthorized.hint, "apiToken");
});
