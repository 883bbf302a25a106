/** What is refused of a call's options, and how it is told. */
import {
  assertEquals,
  assertFalse,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { type CallOptions, InvalidRequestError } from "../mod.ts";
import { checkCallOptions, refusal } from "../src/core/request_checks.ts";

const refuse = refusal("list models", "LM Studio");

function refused(options: unknown): string {
  const error = assertThrows(() => checkCallOptions(options, refuse), InvalidRequestError);
  assertEquals([error.code, error.attempts, error.service], ["invalid_request", 0, "LM Studio"]);
  assertStringIncludes(error.message, "Cannot list models: ");
  return error.message;
}

Deno.test("call options: every one may be there, absent or undefined", () => {
  const all: Required<CallOptions> = {
    signal: new AbortController().signal,
    headers: { "x-a": "b" },
    maxRetries: 0,
    timeoutMs: Infinity,
    connectTimeoutMs: 0.5,
    firstTokenTimeoutMs: 1,
    idleTimeoutMs: 1e9,
    onStatus: () => {},
  };
  assertEquals(checkCallOptions(all, refuse), all);
  assertStrictEquals(checkCallOptions(all, refuse).signal, all.signal);
  assertEquals(checkCallOptions(undefined, refuse), {});
  assertEquals(checkCallOptions({}, refuse), {});
  const absent = Object.fromEntries(Object.keys(all).map((name) => [name, undefined]));
  assertEquals(
    Object.values(checkCallOptions(absent, refuse)).some((value) => value !== undefined),
    false,
  );
});

Deno.test("call options: what the caller changes later changes nothing", () => {
  const headers: Record<string, string | undefined> = { "x-a": "1", "x-b": undefined };
  const options: Record<string, unknown> = { headers, maxRetries: 1 };
  const checked = checkCallOptions(options, refuse);
  headers["x-a"] = "2";
  options.maxRetries = 5;
  assertEquals(checked, { headers: { "x-a": "1" }, maxRetries: 1 });
});

Deno.test("call options: a bad one is named with its value, never a header's or a text's", () => {
  const bad: [unknown, string][] = [
    [null, "the options are null, not an object"],
    ["S3CRET", "the options are text, not an object"],
    [[], "the options are an array"],
    [{ timeout: 5 }, 'unknown option "timeout" (did you mean "timeoutMs"?)'],
    [{ abortSignal: 5 }, '(did you mean "signal"?)'],
    [{ baseUrl: "S3CRET" }, 'unknown option "baseUrl"'],
    [{ timeoutMs: 0 }, "timeoutMs is 0"],
    [{ connectTimeoutMs: -1 }, "connectTimeoutMs is -1"],
    [{ firstTokenTimeoutMs: NaN }, "firstTokenTimeoutMs is NaN"],
    [{ idleTimeoutMs: "5s" }, 'idleTimeoutMs is "5s"'],
    [{ timeoutMs: null }, "timeoutMs is null"],
    [{ maxRetries: 11 }, "maxRetries is 11"],
    [{ maxRetries: 0.5 }, "maxRetries is 0.5"],
    [{ headers: { "x-a": "S3CRET\n" } }, 'headers has a value for "x-a"'],
    [{ headers: { "x a: S3CRET": "S3CRET" } }, 'headers has the name "x…"'],
    [{ headers: "S3CRET" }, "headers is not an object"],
    [{ onStatus: {} }, "onStatus is an object, not a function"],
    [{ signal: new AbortController() }, "signal is an object, not an AbortSignal"],
    [{ signal: { aborted: false } }, "signal is an object, not an AbortSignal"],
    [{ signal: new EventTarget() }, "signal is an object, not an AbortSignal"],
    [{ signal: null }, "signal is null, not an AbortSignal"],
    [{ signal: true }, "signal is true, not an AbortSignal"],
  ];
  for (const [options, state] of bad) {
    const message = refused(options);
    assertStringIncludes(message, state);
    assertFalse(message.includes("S3CRET"), message);
  }
});
