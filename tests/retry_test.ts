/** What is retried, and after what delay (§5 of the design). */
import { assert, assertEquals, assertFalse } from "@std/assert";
import {
  type AnyProviderError,
  ApiError,
  ModelNotAvailableError,
  NetworkError,
  ParseError,
  RateLimitedError,
  StreamError,
  TimeoutError,
} from "../mod.ts";
import {
  backoffMs,
  type FailedAttempt,
  loadingDelayMs,
  parseRetryAfter,
  type RetryPolicy,
  shouldRetry,
} from "../src/core/retry.ts";

const MESSAGE = "Cannot list models: no";

const FAILURES: Readonly<Record<string, AnyProviderError>> = {
  refused: new NetworkError(MESSAGE, { code: "connection_refused" }),
  reset: new NetworkError(MESSAGE, { code: "connection_reset" }),
  permission: new NetworkError(MESSAGE, { code: "permission_denied" }),
  connectTimeout: new TimeoutError(MESSAGE, {
    code: "timeout_connect",
    phase: "connect",
    timeoutMs: 1,
  }),
  "408": new ApiError(MESSAGE, { code: "server_error", status: 408 }),
  "429": new RateLimitedError(MESSAGE, { code: "rate_limited", status: 429 }),
  "500": new ApiError(MESSAGE, { code: "server_error", status: 500 }),
  "502": new ApiError(MESSAGE, { code: "server_error", status: 502 }),
  "503": new ApiError(MESSAGE, { code: "server_error", status: 503 }),
  "504": new ApiError(MESSAGE, { code: "server_error", status: 504 }),
  loading: new ApiError(MESSAGE, { code: "model_loading", status: 503 }),
  unloaded: new ApiError(MESSAGE, { code: "model_unloaded", status: 400 }),
  crashed: new ApiError(MESSAGE, { code: "model_crashed", status: 400 }),
  noModel: new ModelNotAvailableError(MESSAGE, { code: "no_model_loaded", status: 400 }),
  cut: new StreamError(MESSAGE, { code: "stream_truncated", status: 200 }),
  malformed: new ParseError(MESSAGE, { code: "malformed_response", status: 200 }),
};

/** The failures after which each kind of call is retried, on a fresh origin, before any answer. */
const RETRIED: Readonly<Record<RetryPolicy, readonly string[]>> = {
  read: ["refused", "reset", "connectTimeout", "408", "429", "502", "503", "504", "loading"],
  stateless: ["refused", "429", "503", "loading"],
  stateful: ["refused", "loading"],
};

function attempt(more: Partial<FailedAttempt> = {}): FailedAttempt {
  return {
    policy: "read",
    elapsedMs: 10,
    originUsedBefore: false,
    isBroken: true,
    answer: "none",
    wasReset: false,
    ...more,
  };
}

for (const policy of ["read", "stateless", "stateful"] as const) {
  Deno.test(`retry: what a ${policy} call is retried after`, () => {
    for (const [name, error] of Object.entries(FAILURES)) {
      assertEquals(
        shouldRetry(error, attempt({ policy })),
        RETRIED[policy].includes(name),
        `${policy}: ${name}`,
      );
    }
  });
}

Deno.test("retry: nothing once a byte of the body has arrived", () => {
  for (const policy of ["read", "stateless", "stateful"] as const) {
    for (const [name, error] of Object.entries(FAILURES)) {
      const late = attempt({ policy, answer: "body", originUsedBefore: true });
      assertFalse(shouldRetry(error, late), `${policy}: ${name}`);
    }
  }
});

Deno.test("retry: a reset generation is retried only if the connection was a dead pooled one", () => {
  const { reset } = FAILURES;
  assert(reset !== undefined);
  const dead = attempt({ policy: "stateless", originUsedBefore: true, elapsedMs: 999 });
  assert(shouldRetry(reset, dead));
  assertFalse(shouldRetry(reset, { ...dead, originUsedBefore: false }));
  assertFalse(shouldRetry(reset, { ...dead, elapsedMs: 1_000 }));
  assertFalse(shouldRetry(reset, { ...dead, answer: "headers" }));
  assertFalse(shouldRetry(reset, { ...dead, wasReset: true }));
  assertFalse(shouldRetry(reset, { ...dead, policy: "stateful" }));
});

Deno.test("backoffMs: full jitter below a doubling limit", () => {
  const highest = [1, 2, 3, 4, 5, 6, 7, 10, 1_000].map((n) => backoffMs(n, undefined, () => 1));
  assertEquals(highest, [250, 500, 1_000, 2_000, 4_000, 8_000, 8_000, 8_000, 8_000]);
  assertEquals(backoffMs(3, undefined, () => 0), 0);
  assertEquals(backoffMs(3, undefined, () => 0.5), 500);
});

Deno.test("loadingDelayMs: 1 s, doubling to 10 s, until it would be too late", () => {
  const open = { elapsedMs: 0, limitMs: 600_000 };
  assertEquals([1, 2, 3, 4, 5, 6, 100].map((times) => loadingDelayMs(times, undefined, open)), [
    1_000,
    2_000,
    4_000,
    8_000,
    10_000,
    10_000,
    10_000,
  ]);
  assertEquals([0, 500, 3_000, 1e9].map((asked) => loadingDelayMs(1, asked, open)), [
    1_000,
    1_000,
    3_000,
    60_000,
  ]);
  assertEquals(loadingDelayMs(1, undefined, { elapsedMs: 8_999, limitMs: 10_000 }), 1_000);
  assertEquals(loadingDelayMs(1, undefined, { elapsedMs: 9_000, limitMs: 10_000 }), undefined);
  // A minute, if the call has no timeout.
  assertEquals(loadingDelayMs(1, undefined, { elapsedMs: 58_999, limitMs: Infinity }), 1_000);
  assertEquals(loadingDelayMs(1, undefined, { elapsedMs: 59_000, limitMs: Infinity }), undefined);
});

Deno.test("backoffMs: the server's delay wins, without jitter, at most 60 s", () => {
  const never = () => {
    throw new Error("no jitter");
  };
  const asked = [0, 1, 5_000, 60_000, 60_001, 1e12, Infinity];
  assertEquals(
    asked.map((ms) => backoffMs(1, ms, never)),
    [0, 1, 5_000, 60_000, 60_000, 60_000, 60_000],
  );
});

Deno.test("parseRetryAfter: seconds", () => {
  const seconds: [string, number][] = [
    ["0", 0],
    ["1", 1_000],
    ["120", 120_000],
    [" 5 ", 5_000],
    ["1.5", 1_500],
    ["0.0001", 1],
    ["007", 7_000],
  ];
  for (const [text, ms] of seconds) assertEquals(parseRetryAfter(text, 0), ms, text);
});

Deno.test("parseRetryAfter: the three forms of an HTTP date; a past one is 0", () => {
  const now = Date.UTC(1994, 10, 6, 8, 49, 30);
  for (
    const text of [
      "Sun, 06 Nov 1994 08:49:37 GMT",
      "Sunday, 06-Nov-94 08:49:37 GMT",
      "Sun Nov  6 08:49:37 1994",
    ]
  ) {
    assertEquals(parseRetryAfter(text, now), 7_000, text);
    assertEquals(parseRetryAfter(text, now + 60_000), 0, text);
  }
});

Deno.test("parseRetryAfter: anything else is ignored", () => {
  const unreadable = [
    null,
    "",
    "  ",
    "-5",
    "+5",
    "1e3",
    "0x10",
    "5 s",
    "soon",
    "maybe 5",
    "May 5",
    "Infinity",
    "NaN",
    "12:00:00",
    "Sun, 99 Nov 1994 08:49:37 GMT",
  ];
  for (const text of unreadable) assertEquals(parseRetryAfter(text, 0), undefined, String(text));
});
