/** `/v1/completions` of the fake, byte for byte; and that the fake refuses unknown options by name. */
import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import {
  createFakeLMStudio,
  type FakeLMStudioOptions,
  type FaultKind,
} from "../src/testing/mod.ts";

const MODEL = "qwen/qwen3-8b";
const PROMPT = "the meaning of life is";

async function ask(
  options: FakeLMStudioOptions,
  body: Record<string, unknown> = {},
): Promise<{ status: number; text: string }> {
  const fake = createFakeLMStudio({ models: [MODEL], replies: ["To be."], ...options });
  const response = await fake.fetch("http://127.0.0.1:1234/v1/completions", {
    method: "POST",
    body: JSON.stringify({ prompt: PROMPT, ...body }),
  });
  return { status: response.status, text: await response.text() };
}

/** The decoded frames, without fields that differ from run to run. */
function framesOf(text: string): unknown[] {
  return text.split("\n\n").filter((frame) => frame !== "").map((frame) => {
    const data = frame.replace(/^data: /, "");
    if (data === "[DONE]") return data;
    const { id: _, created: __, ...rest } = JSON.parse(data);
    return rest;
  });
}

Deno.test("completions: a whole answer", async () => {
  const { text } = await ask({});
  const { id, created, ...rest } = JSON.parse(text);
  assert(/^cmpl-[a-z0-9]{21}$/.test(id), id);
  assert(Number.isInteger(created));
  assertEquals(rest, {
    object: "text_completion",
    model: MODEL,
    choices: [{ index: 0, text: "To be.", logprobs: null, finish_reason: "stop" }],
    usage: { prompt_tokens: 6, completion_tokens: 2, total_tokens: 8 },
    stats: {},
  });
});

Deno.test("completions: streamed, with usage if requested", async () => {
  const frame = (text: string, finish_reason: string | null = null) => ({
    object: "text_completion",
    model: MODEL,
    choices: [{ index: 0, text, logprobs: null, finish_reason }],
  });
  const frames = [frame("To"), frame(" be."), frame("", "stop")];
  const usage = { prompt_tokens: 6, completion_tokens: 2, total_tokens: 8 };
  const last = { object: "text_completion", model: MODEL, choices: [], usage };
  const asked = { stream: true, stream_options: { include_usage: true } };
  assertEquals(framesOf((await ask({}, { stream: true })).text), [...frames, "[DONE]"]);
  assertEquals(framesOf((await ask({}, asked)).text), [...frames, last, "[DONE]"]);
  const old = await ask({ version: "0.3.17" }, asked);
  assertEquals(framesOf(old.text), [...frames, "[DONE]"]);
});

Deno.test("completions: echo, limit and stop text", async () => {
  const textOf = async (body: Record<string, unknown>) => {
    const [choice] = JSON.parse((await ask({ replies: ["one two three"] }, body)).text).choices;
    return [choice.text, choice.finish_reason];
  };
  assertEquals(await textOf({ echo: true, max_tokens: 1 }), [`${PROMPT}one`, "length"]);
  assertEquals(await textOf({ stop: "thr" }), ["one two ", "stop"]);
});

Deno.test("completions: invalid requests are refused", async () => {
  const missing = await ask({}, { prompt: undefined });
  assertEquals([missing.status, missing.text], [400, `{"error":"'prompt' field is required"}`]);
  assertEquals((await ask({}, { prompt: [1] })).status, 400);
  const overflow = await ask(
    { models: [{ id: MODEL, contextLength: 4 }], version: "0.4.19" },
    {},
  );
  assertEquals(overflow.status, 400);
  assertStringIncludes(overflow.text, "n_keep: 6>= n_ctx: 4");
  const frame = await ask({ models: [{ id: MODEL, contextLength: 4 }] }, { stream: true });
  assertEquals(frame.status, 200);
  assertStringIncludes(frame.text, "event: error\n");
});

Deno.test("completions: models and faults work as for chat completions", async () => {
  assertEquals(JSON.parse((await ask({}, { model: "other" })).text).model, MODEL);
  assertEquals((await ask({ substitution: false }, { model: "other" })).status, 400);
  const fault: FaultKind = { type: "error-frame", message: "Model is unloaded.", afterTokens: 1 };
  const { text } = await ask({ faults: [{ path: "/v1/completions", fault }] }, { stream: true });
  assertStringIncludes(text, '"text":"To"');
  assertStringIncludes(text, 'event: error\ndata: {"error":{"message":"Model is unloaded."}');
});

Deno.test("unknown options are refused, suggesting the likely name", () => {
  const refused: [options: unknown, message: string][] = [
    ["x", 'the options are "x", not an object'],
    [{ replys: ["Hi"] }, 'unknown option "replys" (did you mean "replies"?)'],
    [{ jitLoad: 5 }, 'unknown option "jitLoad" (did you mean "jitLoadMs"?)'],
    [
      { models: [{ id: MODEL, contextLenght: 5 }] },
      'models[0] has an unknown field "contextLenght"',
    ],
    [{ models: [{ loaded: true }] }, "models[0].id is undefined, not a string"],
    [{ models: MODEL }, 'models is "qwen/qwen3-8b", not an array'],
    [{ replies: [{ text: "Hi" }] }, 'replies[0] has an unknown field "text"'],
    [
      { faults: [{ paths: "/", fault: { type: "html" } }] },
      'faults[0] has an unknown field "paths"',
    ],
    [{ faults: [{ type: "html" }] }, 'faults[0] has an unknown field "type"'],
    [
      { faults: [{ fault: { type: "stal" } }] },
      'faults[0].fault.type is "stal" (did you mean "stall"?), not one of "refuse"',
    ],
    [
      { faults: [{ fault: { type: "cut", afterToken: 1 } }] },
      'faults[0].fault has an unknown field "afterToken" (did you mean "afterTokens"?)',
    ],
    [{ faults: [{ fault: undefined }] }, "faults[0].fault is undefined, not an object"],
    [{ faults: {} }, "faults is an object, not an array"],
    [{ faults: () => [] }, "faults is a function, not an array"],
  ];
  for (const [options, message] of refused) {
    const error = assertThrows(() => createFakeLMStudio(options as FakeLMStudioOptions), TypeError);
    assertStringIncludes(error.message, `Cannot create the fake: ${message}`);
  }
});

Deno.test("undefined means absent for the fake, too", async () => {
  const { status } = await ask({
    replies: undefined,
    models: [{ id: MODEL, loaded: undefined }],
    faults: [{ path: "/elsewhere", skip: undefined, fault: { type: "html", status: undefined } }],
    ...{ unknown: undefined },
  });
  assertEquals(status, 200);
});
