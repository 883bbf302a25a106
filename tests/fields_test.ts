/** Unknown fields and options: refused by name, suggesting the likely one. */
import { assert, assertEquals, assertFalse, assertLess, assertStringIncludes } from "@std/assert";
import { FIELD_REMARKS } from "../src/core/field_remarks.ts";
import * as fields from "../src/core/fields.ts";
import { cpuTimeMs } from "./support/cpu_time.ts";

/** The message once the remarks are loaded. */
function describeUnknownField(
  value: object,
  known: ReadonlySet<string>,
  noun: "field" | "option",
): string | undefined {
  return fields.describeUnknownField(value, known, noun, FIELD_REMARKS);
}

function nearestName(name: string, known: Iterable<string>): string | undefined {
  return fields.nearestName(name, known, FIELD_REMARKS);
}

const REQUEST = new Set([
  "model",
  "messages",
  "temperature",
  "topP",
  "topK",
  "minP",
  "maxTokens",
  "stop",
  "seed",
  "presencePenalty",
  "frequencyPenalty",
  "repeatPenalty",
  "logitBias",
  "tools",
  "toolChoice",
  "schema",
  "schemaName",
  "reasoning",
  "ttlSeconds",
  "draftModel",
  "extraBody",
]);
const OPTIONS = new Set([
  "baseUrl",
  "apiToken",
  "model",
  "embeddingModel",
  "timeoutMs",
  "connectTimeoutMs",
  "firstTokenTimeoutMs",
  "idleTimeoutMs",
  "maxRetries",
  "modelCacheTtlMs",
  "maxConcurrency",
  "reasoningTags",
  "headers",
  "fetch",
  "onModelSubstituted",
  "configFile",
  "envFile",
  "env",
]);

const MEANT: readonly (readonly [known: Set<string>, written: string, meant: string])[] = [
  // Names on the wire.
  [REQUEST, "max_tokens", "maxTokens"],
  [REQUEST, "top_p", "topP"],
  [REQUEST, "top_k", "topK"],
  [REQUEST, "tool_choice", "toolChoice"],
  [REQUEST, "frequency_penalty", "frequencyPenalty"],
  [REQUEST, "logit_bias", "logitBias"],
  [REQUEST, "draft_model", "draftModel"],
  [REQUEST, "TEMPERATURE", "temperature"],
  // Names in other libraries.
  [REQUEST, "max_completion_tokens", "maxTokens"],
  [REQUEST, "maxOutputTokens", "maxTokens"],
  [REQUEST, "num_predict", "maxTokens"],
  [REQUEST, "stopSequences", "stop"],
  [REQUEST, "response_format", "schema"],
  [REQUEST, "reasoning_effort", "reasoning"],
  [REQUEST, "functions", "tools"],
  [REQUEST, "prompt", "messages"],
  [REQUEST, "ttl", "ttlSeconds"],
  [OPTIONS, "apiKey", "apiToken"],
  [OPTIONS, "api_key", "apiToken"],
  [OPTIONS, "token", "apiToken"],
  [OPTIONS, "baseURL", "baseUrl"],
  [OPTIONS, "base_url", "baseUrl"],
  [OPTIONS, "endpoint", "baseUrl"],
  [OPTIONS, "host", "baseUrl"],
  [OPTIONS, "timeout", "timeoutMs"],
  [OPTIONS, "retries", "maxRetries"],
  // Misspelt.
  [REQUEST, "mesages", "messages"],
  [REQUEST, "temprature", "temperature"],
  [REQUEST, "modle", "model"],
  [REQUEST, "presencePenality", "presencePenalty"],
  [OPTIONS, "header", "headers"],
  [OPTIONS, "idleTimeout", "idleTimeoutMs"],
  [OPTIONS, "envfiles", "envFile"],
];

Deno.test("fields: the intended field is suggested", () => {
  for (const [known, written, meant] of MEANT) {
    assertEquals(nearestName(written, known), meant, written);
    assertEquals(
      describeUnknownField({ [written]: 1 }, known, "option"),
      `unknown option "${written}" (did you mean "${meant}"?)`,
    );
  }
});

Deno.test("fields: nothing is suggested if no name is close", () => {
  for (const written of ["banana", "x", "zzzzzzzz", "", "日本語", "streaming_mode_flag", "-_-"]) {
    assertEquals(nearestName(written, REQUEST), undefined, written);
    assertEquals(
      describeUnknownField({ [written]: 1 }, REQUEST, "field"),
      `unknown field "${written}"`,
    );
  }
  assertEquals(nearestName("model", []), undefined);
  // An alias of a field this object does not have.
  assertEquals(nearestName("api_key", REQUEST), undefined);
});

Deno.test("fields: some have a better answer than a suggestion", () => {
  assertEquals(
    describeUnknownField({ stream: true }, REQUEST, "field"),
    'unknown field "stream" (use streamCompletion() to stream)',
  );
  assertStringIncludes(
    describeUnknownField({ n: 2 }, REQUEST, "field") ?? "",
    "one answer per request",
  );
});

Deno.test("fields: undefined means absent, null does not; known and inherited fields pass", () => {
  assertEquals(describeUnknownField({}, REQUEST, "field"), undefined);
  assertEquals(describeUnknownField({ banana: undefined }, REQUEST, "field"), undefined);
  assertEquals(describeUnknownField({ model: 1, stop: null }, REQUEST, "field"), undefined);
  assertEquals(describeUnknownField(Object.create({ banana: 1 }), REQUEST, "field"), undefined);
  assertEquals(
    describeUnknownField({ banana: null }, REQUEST, "field"),
    'unknown field "banana"',
  );
});

Deno.test("fields: the first unknown field is named", () => {
  assertStringIncludes(
    describeUnknownField({ model: "m", apple: 1, banana: 2 }, REQUEST, "field") ?? "",
    '"apple"',
  );
});

Deno.test("fields: names of Object's own members are treated like any other", () => {
  for (
    const name of [
      "constructor",
      "toString",
      "valueOf",
      "hasOwnProperty",
      "isPrototypeOf",
      "__proto__",
    ]
  ) {
    const value = JSON.parse(`{"${name}": 1}`);
    assertEquals(nearestName(name, REQUEST), undefined, name);
    assertEquals(
      describeUnknownField(value, REQUEST, "field"),
      `unknown field "${name}"`,
    );
  }
});

Deno.test("fields: an extremely long name costs neither time nor space, and has no suggestion", () => {
  const usedBefore = cpuTimeMs();
  for (const length of [61, 99, 101, 300, 301, 1_000, 1_000_000]) {
    const name = "x".repeat(length);
    assertEquals(nearestName(name, REQUEST), undefined, String(length));
    const text = describeUnknownField({ [name]: 1 }, REQUEST, "field") ?? "";
    assertLess(text.length, 100);
    assert(text.startsWith(`unknown field "${"x".repeat(60)}`));
  }
  const many = Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`model${i}`, 1]));
  assertEquals(
    describeUnknownField(many, REQUEST, "field"),
    'unknown field "model0" (did you mean "model"?)',
  );
  assertLess(cpuTimeMs() - usedBefore, 2_000);
});

Deno.test("fields: a name that is shown cannot break the line", () => {
  const text = describeUnknownField({ 'a"b\n\u001b[31m\u0000': 1 }, REQUEST, "field") ?? "";
  assertFalse([...text].some((character) => character < " "), JSON.stringify(text));
  assertStringIncludes(text, '"a\\"b\\n');
  // Cut in the middle of a surrogate pair.
  const cut = describeUnknownField({ ["x".repeat(59) + "😀"]: 1 }, REQUEST, "field") ?? "";
  assertEquals(new TextDecoder().decode(new TextEncoder().encode(cut)), cut);
});
