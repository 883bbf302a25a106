/** `decide`: typed questions to decision models, by either route, on every provider that has them. */
import { assert, assertEquals, assertInstanceOf, assertStringIncludes } from "@std/assert";
import { assertType, type IsExact } from "@std/testing/types";
import OpenAI from "npm:openai@^7.57.0";
import type { Decision, DecisionCreateParams } from "npm:openai@^7.57.0/resources/decisions";
import { choice, noul, score, TypeSafeClient } from "npm:@typesafe-ai/sdk@^0.6.0";
// Deno 2.9 does not find `openai` if `zod`, an optional dependency, is only imported dynamically.
import "zod";
import {
  type DecisionAnswer,
  type DecisionQuestion,
  FallbackProvider,
  InvalidRequestError,
  isProviderError,
  LMStudioProvider,
  type LMStudioProviderOptions,
  LocalProvider,
  OpenAICompatibleProvider,
  ParseError,
} from "../mod.ts";
import { createFakeLMStudio, type FakeLMStudioOptions } from "../src/testing/mod.ts";
import { json, serveStub } from "./support/stub_server.ts";
import { rejection } from "./support/wire.ts";

type Refusal = { type: "refusal" };
type PredicateAnswer = { type: "predicate"; probability: number };
type ChoiceAnswer<Value> = {
  type: "choice";
  choice: Value;
  confidence: number;
  probabilities: { value: Value; probability: number }[];
};
type ScoreAnswer = {
  type: "score";
  score: number;
  confidence: number;
  probabilities: { label: string; value: number; probability: number }[];
};
const MODEL = "typesafe/kev-4b";
const DECIDERS: FakeLMStudioOptions = {
  models: [{ id: MODEL, type: "decision", vision: true }, "qwen/qwen3-8b"],
};
const QUESTIONS = {
  angry: { type: "predicate", instructions: "Is the customer angry?" },
  team: { type: "choice", instructions: "Which team?", choices: ["billing", "technical"] },
  urgency: { type: "score", instructions: "How urgent?", levels: ["low", "middle", "high"] },
} as const;
/** A PNG of one pixel. */
const PIXEL = Uint8Array.from(
  atob(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
  ),
  (character) => character.charCodeAt(0),
);

function provide(options: FakeLMStudioOptions = {}, more: LMStudioProviderOptions = {}) {
  const fake = createFakeLMStudio({ ...DECIDERS, ...options });
  return { fake, lmstudio: new LMStudioProvider({ env: {}, fetch: fake.fetch, ...more }) };
}

/** A fake without `/v1/decisions`, like Ollama and llama.cpp. */
function systemOneOnly(fake: { fetch: typeof globalThis.fetch }): typeof globalThis.fetch {
  return (input, init) => {
    const { pathname } = new URL(input instanceof Request ? input.url : input);
    if (pathname === "/v1/decisions") return Promise.resolve(Response.json({}, { status: 404 }));
    return fake.fetch(input, init);
  };
}

// --- Answers ----------------------------------------------------------------------------------

const ROUTES = {
  "/v1/decisions": (fake: { fetch: typeof globalThis.fetch }) => fake.fetch,
  "/v1/systemone": systemOneOnly,
};

for (const [route, fetchOf] of Object.entries(ROUTES)) {
  Deno.test(`decide by ${route}: each answer by the type of its question`, async () => {
    const fake = createFakeLMStudio({
      ...DECIDERS,
      decisions: { angry: 0.97, team: "technical", urgency: 1.5 },
    });
    const lmstudio = new LMStudioProvider({ env: {}, fetch: fetchOf(fake) });
    const { answers, model, usage, raw } = await lmstudio.decide({
      model: MODEL,
      input: "I was charged twice.",
      questions: QUESTIONS,
    });
    assertEquals(answers.angry, { type: "predicate", probability: 0.97 });
    assert(answers.team.type === "choice" && answers.urgency.type === "score");
    assertEquals([answers.team.choice, answers.urgency.score], ["technical", 1.5]);
    assertEquals(answers.team.probabilities.map(({ value }) => value), ["billing", "technical"]);
    assertEquals(answers.urgency.probabilities, [
      { label: "low", value: 0, probability: 0 },
      { label: "middle", value: 1, probability: 0.5 },
      { label: "high", value: 2, probability: 0.5 },
    ]);
    assertEquals(model, MODEL);
    assert(usage !== undefined && usage.promptTokens > 0);
    assert(typeof raw === "object");
    assertEquals(fake.requests.at(-1)?.path, route);
  });

  Deno.test(`decide by ${route}: a refusal, among answers`, async () => {
    const fake = createFakeLMStudio({ ...DECIDERS, decisions: { angry: null, team: null } });
    const lmstudio = new LMStudioProvider({ env: {}, fetch: fetchOf(fake) });
    const { answers } = await lmstudio.decide({ model: MODEL, input: "x", questions: QUESTIONS });
    assertEquals([answers.angry.type, answers.team.type, answers.urgency.type], [
      "refusal",
      "refusal",
      "score",
    ]);
  });

  Deno.test(`decide by ${route}: truth values, descriptions and the order of choices`, async () => {
    const fake = createFakeLMStudio({ ...DECIDERS, decisions: { spam: false, size: "10" } });
    const lmstudio = new LMStudioProvider({ env: {}, fetch: fetchOf(fake) });
    const { answers } = await lmstudio.decide({
      model: MODEL,
      input: "x",
      questions: {
        spam: { type: "choice", instructions: "Spam?", choices: [true, false] },
        size: {
          type: "choice",
          instructions: "Size?",
          choices: [{ value: "b", description: "big" }, "10", { value: "9" }],
        },
      },
    });
    assert(answers.spam.type === "choice" && answers.size.type === "choice");
    assertEquals(answers.spam.choice, false);
    assertEquals(answers.size.choice, "10");
    assertEquals(answers.size.probabilities.map(({ value }) => value), ["b", "10", "9"]);
  });

  Deno.test(`decide by ${route}: 400 questions, some named like members of Object`, async () => {
    const fake = createFakeLMStudio({ ...DECIDERS, decisions: {} });
    const lmstudio = new LMStudioProvider({ env: {}, fetch: fetchOf(fake) });
    const names = ["constructor", "toString", ...Array.from({ length: 398 }, (_, at) => `q${at}`)];
    const questions = Object.fromEntries(
      names.map((name) => [name, { type: "predicate", instructions: name } as const]),
    );
    const { answers } = await lmstudio.decide({ model: MODEL, input: "x", questions });
    assertEquals(Object.keys(answers), names);
    assertEquals(answers.constructor, { type: "predicate", probability: 0.5 } as never);
  });
}

Deno.test("decide: types follow from the questions", async () => {
  const { lmstudio } = provide();
  const { answers } = await lmstudio.decide({
    input: "x",
    questions: {
      a: { type: "predicate", instructions: "?" },
      b: { type: "choice", instructions: "?", choices: ["x", { value: "y" }, true] },
      c: { type: "score", instructions: "?", levels: ["l", "h"] },
    },
  });
  assertType<IsExact<typeof answers.a, PredicateAnswer | Refusal>>(true);
  assertType<IsExact<typeof answers.b, ChoiceAnswer<"x" | "y" | true> | Refusal>>(true);
  assertType<IsExact<typeof answers.c, ScoreAnswer | Refusal>>(true);
});

Deno.test("decide: requests and answers match openai's types", () => {
  type Theirs = Decision["answers"][number];
  type Ours = DecisionAnswer;
  type Own<Type extends Theirs["type"]> = Omit<Extract<Theirs, { type: Type }>, "name">;
  // Compares shapes, not names: each type is assignable to the other.
  const predicateAnswer: Own<"predicate"> = {} as Extract<Ours, { type: "predicate" }>;
  const choiceAnswer: Own<"choice"> = {} as Extract<Ours, { type: "choice" }>;
  const scoreAnswer: Own<"score"> = {} as Extract<Ours, { type: "score" }>;
  const refusal: Own<"refusal"> = {} as Extract<Ours, { type: "refusal" }>;
  void [predicateAnswer, choiceAnswer, scoreAnswer, refusal];
  assertType<IsExact<Ours["type"], Theirs["type"]>>(true);
  assertType<
    IsExact<DecisionQuestion["type"], DecisionCreateParams["questions"][number]["type"]>
  >(true);
});

// --- Requests ---------------------------------------------------------------------------------

Deno.test("decide: messages, calls and images on the wire of /v1/decisions", async () => {
  const { fake, lmstudio } = provide();
  await lmstudio.decide({
    model: MODEL,
    input: [
      { role: "system", content: "Be strict." },
      "One.",
      "Two.",
      { role: "assistant", toolCalls: [{ id: "c1", name: "look", arguments: '{"a":1}' }] },
      { role: "tool", toolCallId: "c1", content: "done" },
      {
        role: "user",
        content: [{ type: "text", text: "This?" }, { type: "image", image: PIXEL }],
      },
    ],
    questions: { angry: QUESTIONS.angry },
  });
  const body = fake.requests.at(-1)?.body as DecisionCreateParams;
  const input = body.input as unknown as Record<string, unknown>[];
  assertEquals(input.slice(0, 4), [
    { type: "message", role: "system", content: "Be strict." },
    { type: "message", role: "user", content: "One.\n\nTwo." },
    { type: "function_call", call_id: "c1", name: "look", arguments: '{"a":1}' },
    { type: "function_call_output", call_id: "c1", output: "done" },
  ]);
  const [text, image] = input[4]?.content as Record<string, string>[];
  assertEquals(text, { type: "input_text", text: "This?" });
  assertEquals(image?.type, "input_image");
  assert(image?.image_url?.startsWith("data:image/png;base64,"));
  assertEquals(body.questions, [
    { type: "predicate", name: "angry", instructions: "Is the customer angry?" },
  ]);
});

Deno.test("decide: the spelling of /v1/systemone", async () => {
  const fake = createFakeLMStudio(DECIDERS);
  const lmstudio = new LMStudioProvider({ env: {}, fetch: systemOneOnly(fake) });
  await lmstudio.decide({
    model: MODEL,
    input: [{
      role: "user",
      content: [{ type: "text", text: "A" }, { type: "image", image: PIXEL }],
    }],
    questions: {
      ...QUESTIONS,
      level: {
        type: "score",
        instructions: "?",
        levels: [{ label: "low", description: "can wait" }, "high"],
      },
    },
  });
  const { state, questions, model } = fake.requests.at(-1)?.body as Record<string, unknown> & {
    state: string[];
  };
  assertEquals([model, state[0]], [MODEL, "A"]);
  assert(state[1]?.startsWith("data:image/png;base64,"));
  assertEquals(questions, {
    angry: { type: "noul", instructions: "Is the customer angry?" },
    team: {
      type: "choice",
      instructions: "Which team?",
      criteria: { billing: null, technical: null },
    },
    urgency: { type: "score", instructions: "How urgent?", criteria: ["low", "middle", "high"] },
    level: { type: "score", instructions: "?", criteria: ["low: can wait", "high"] },
  });
});

Deno.test("decide: a missing route is tried once, not on every call", async () => {
  const fake = createFakeLMStudio(DECIDERS);
  const asked: string[] = [];
  const fetch = systemOneOnly(fake);
  const lmstudio = new LMStudioProvider({
    env: {},
    fetch: (input, init) => {
      asked.push(new URL(String(input)).pathname);
      return fetch(input, init);
    },
  });
  for (let call = 0; call < 3; call++) {
    await lmstudio.decide({ model: MODEL, input: "x", questions: QUESTIONS });
  }
  assertEquals(asked.filter((path) => path === "/v1/decisions").length, 1);
});

Deno.test("decide: another server at the same address may have the other route", async () => {
  const fake = createFakeLMStudio(DECIDERS);
  let fetch = fake.fetch;
  const lmstudio = new LMStudioProvider({
    env: {},
    fetch: (input, init) => fetch(input, init),
  });
  const paths: (string | undefined)[] = [];
  for (const server of [fake.fetch, systemOneOnly(fake), fake.fetch]) {
    fetch = server;
    await lmstudio.decide({ model: MODEL, input: "x", questions: QUESTIONS });
    paths.push(fake.requests.at(-1)?.path);
  }
  assertEquals(paths, ["/v1/decisions", "/v1/systemone", "/v1/systemone"]);
});

Deno.test("decide: invalid requests are refused before anything is sent, naming the field", async (t) => {
  const predicate = QUESTIONS.angry;
  const ask = (question: unknown) => ({ input: "x", questions: { q: question } });
  const cases: [name: string, request: unknown, words: string][] = [
    ["no questions", { input: "x", questions: {} }, "questions cannot be empty"],
    ["no input", { questions: { predicate } }, "input is"],
    ["empty input", { input: "", questions: { predicate } }, "input cannot be empty"],
    ["unknown field", { input: "x", questions: { predicate }, modle: "x" }, '"model"'],
    ["no instructions", ask({ type: "predicate" }), "questions.q.instructions"],
    [
      "empty instructions",
      ask({ type: "predicate", instructions: " " }),
      "questions.q.instructions",
    ],
    ["unknown type", ask({ type: "noul", instructions: "?" }), "questions.q.type"],
    ["a list", { input: "x", questions: [predicate] }, "questions is"],
    ["no choices", ask({ type: "choice", instructions: "?" }), "questions.q.choices"],
    [
      "one choice",
      ask({ type: "choice", instructions: "?", choices: ["a"] }),
      "questions.q.choices",
    ],
    [
      "equal choices",
      ask({ type: "choice", instructions: "?", choices: ["a", { value: "a" }] }),
      "questions.q.choices",
    ],
    [
      "a number as choice",
      ask({ type: "choice", instructions: "?", choices: ["a", 1] }),
      "questions.q.choices[1]",
    ],
    [
      "equal levels",
      ask({ type: "score", instructions: "?", levels: ["a", "b", "a"] }),
      "questions.q.levels",
    ],
    [
      "401 questions",
      {
        input: "x",
        questions: Object.fromEntries(Array.from({ length: 401 }, (_, at) => [at, predicate])),
      },
      "401",
    ],
    [
      "an image by its path",
      {
        input: [{ role: "user", content: [{ type: "image", image: "./cat.png" }] }],
        questions: { predicate },
      },
      "input[0].content[0].image",
    ],
  ];
  for (const [name, request, words] of cases) {
    await t.step(name, async () => {
      const { fake, lmstudio } = provide();
      const error = await rejection(lmstudio.decide(request as never));
      assertInstanceOf(error, InvalidRequestError);
      assertStringIncludes(error.message, words);
      assertEquals(fake.requests, []);
    });
  }
});

// --- The model --------------------------------------------------------------------------------

Deno.test("decide: the model from the request, the options, the environment, or the loaded one", async (t) => {
  const models = [
    { id: "a/one", type: "decision" as const },
    { id: "b/two", type: "decision" as const, loaded: false },
    { id: "qwen/qwen3-8b" },
  ];
  const request = { input: "x", questions: { angry: QUESTIONS.angry } };
  await t.step("request", async () => {
    const { lmstudio } = provide({ models }, { decisionModel: "a/one" });
    assertEquals((await lmstudio.decide({ ...request, model: "b/two" })).model, "b/two");
  });
  await t.step("option", async () => {
    const { lmstudio } = provide({ models }, { decisionModel: "b/two" });
    assertEquals((await lmstudio.decide(request)).model, "b/two");
  });
  await t.step("environment", async () => {
    const { lmstudio } = provide({ models }, { env: { LMSTUDIO_DECISION_MODEL: "b/two" } });
    assertEquals((await lmstudio.decide(request)).model, "b/two");
    const entry = lmstudio.explainConfig().find(({ key }) => key === "decisionModel");
    assertEquals([entry?.source, entry?.origin], ["environment", "LMSTUDIO_DECISION_MODEL"]);
  });
  await t.step("the loaded one", async () => {
    const { lmstudio } = provide({ models }, { model: "qwen/qwen3-8b" });
    assertEquals((await lmstudio.decide(request)).model, "a/one");
  });
  await t.step("the only one, though none is loaded", async () => {
    const { lmstudio } = provide({ models: models.slice(1) });
    assertEquals((await lmstudio.decide(request)).model, "b/two");
  });
});

Deno.test("decide: a specific code for each obstacle", async (t) => {
  const request = { input: "x", questions: { angry: QUESTIONS.angry } };
  const codeOf = async (promise: Promise<unknown>): Promise<string> => {
    const error = await rejection(promise);
    assert(isProviderError(error));
    return error.code;
  };
  await t.step("no decision model", async () => {
    const { lmstudio } = provide({ models: ["qwen/qwen3-8b"] });
    assertEquals(await codeOf(lmstudio.decide(request)), "no_model_loaded");
  });
  await t.step("a chat model", async () => {
    const { lmstudio } = provide();
    const error = await rejection(lmstudio.decide({ ...request, model: "qwen/qwen3-8b" }));
    assert(isProviderError(error));
    assertEquals([error.kind, error.code], ["model-not-available", "wrong_model_type"]);
    assertStringIncludes(error.hint ?? "", MODEL);
  });
  await t.step("a chat model, if the listing fails meanwhile", async () => {
    const fake = createFakeLMStudio(DECIDERS);
    let listings = 0;
    const fetch: typeof globalThis.fetch = (input, init) => {
      const isListing = String(input).endsWith("/api/v1/models");
      if (!isListing || ++listings === 1) return fake.fetch(input, init);
      return Promise.resolve(Response.json({ error: "boom" }, { status: 500 }));
    };
    const lmstudio = new LMStudioProvider({ env: {}, fetch, maxRetries: 0 });
    await lmstudio.listModels();
    const asked = lmstudio.decide({ ...request, model: "qwen/qwen3-8b" });
    assertEquals(await codeOf(asked), "wrong_model_type");
  });
  await t.step("an old server", async () => {
    const { lmstudio } = provide({ version: "0.4.0" });
    assertEquals(
      await codeOf(lmstudio.decide({ ...request, model: MODEL })),
      "unsupported_by_server",
    );
  });
  await t.step("several loaded", async () => {
    const models = ["a", "b"].map((id) => ({ id, type: "decision" as const }));
    const { lmstudio } = provide({ models });
    const error = await rejection(lmstudio.decide(request));
    assert(isProviderError(error, "model-not-available"));
    assertEquals([error.code, error.available], ["no_model_loaded", ["a", "b"]]);
  });
});

Deno.test("decide: a decision model is never chosen for completions", async () => {
  const { fake, lmstudio } = provide({
    models: [{ id: MODEL, type: "decision" }, { id: "qwen/qwen3-8b" }],
  });
  await lmstudio.complete("Hello");
  assertEquals((fake.requests.at(-1)?.body as { model: string }).model, "qwen/qwen3-8b");
});

Deno.test("decide: an answer by another model is an error that has the answer", async () => {
  await using server = serveStub({
    "POST /v1/decisions": json({
      model: "other/decider",
      answers: [{ type: "predicate", name: "angry", probability: 0.5 }],
    }),
    "GET /api/v1/models": json({ models: [] }),
  });
  const lmstudio = new LMStudioProvider({ env: {}, baseUrl: server.url });
  const error = await rejection(
    lmstudio.decide({ model: MODEL, input: "x", questions: { angry: QUESTIONS.angry } }),
  );
  assert(isProviderError(error, "model-not-available"));
  assertEquals(error.code, "model_substituted");
});

// --- Bad answers ------------------------------------------------------------------------------

Deno.test("decide: an answer that does not match the questions is refused", async (t) => {
  const good = { type: "predicate", name: "angry", probability: 0.5 };
  const choiceAnswer = {
    type: "choice",
    name: "team",
    choice: "billing",
    confidence: 1,
    probabilities: [],
  };
  const cases: Record<string, unknown[]> = {
    "one is missing": [good],
    "one nobody asked": [good, choiceAnswer, { type: "predicate", name: "x", probability: 1 }],
    "another type": [good, { ...choiceAnswer, type: "predicate", probability: 1 }],
    "a choice nobody offered": [good, { ...choiceAnswer, choice: "sales" }],
    "a probability above 1": [{ ...good, probability: 1.2 }, choiceAnswer],
    "a probability that is text": [{ ...good, probability: "0.5" }, choiceAnswer],
    "null": [good, null],
  };
  for (const [name, answers] of Object.entries(cases)) {
    await t.step(name, async () => {
      await using server = serveStub({ "POST /v1/decisions": json({ model: MODEL, answers }) });
      const lmstudio = new LMStudioProvider({ env: {}, baseUrl: server.url });
      const { angry, team } = QUESTIONS;
      const error = await rejection(
        lmstudio.decide({ model: MODEL, input: "x", questions: { angry, team } }),
      );
      assertInstanceOf(error, ParseError);
    });
  }
});

// --- Other providers, other clients -----------------------------------------------------------

Deno.test("decide: OpenAICompatibleProvider, LocalProvider and FallbackProvider have it", async (t) => {
  const fake = createFakeLMStudio({ ...DECIDERS, decisions: { angry: 0.9 } });
  await using server = await fake.listen();
  const request = { model: MODEL, input: "x", questions: { angry: QUESTIONS.angry } };
  const expected = { type: "predicate", probability: 0.9 };
  const compatible = new OpenAICompatibleProvider({ name: "other", baseUrl: server.url });
  const local = new LocalProvider({
    env: {},
    discovery: { candidates: [{ type: "lmstudio", endpoint: server.url }] },
  });
  const gone = new LMStudioProvider({ env: {}, baseUrl: "http://127.0.0.1:9", maxRetries: 0 });
  const providers = { compatible, local, fallback: new FallbackProvider([gone, compatible]) };
  for (const [name, provider] of Object.entries(providers)) {
    await t.step(name, async () => {
      const { answers } = await provider.decide(request);
      assertEquals(answers.angry, expected as PredicateAnswer);
    });
  }
});

Deno.test("decide: openai's client and TypeSafe's run against the fake unchanged", async (t) => {
  const decisions = { angry: 0.9, team: "billing", urgency: 2 };
  const fake = createFakeLMStudio({ ...DECIDERS, decisions });
  await using server = await fake.listen();
  await t.step("openai", async () => {
    const client = new OpenAI(
      new LMStudioProvider({ env: {}, baseUrl: server.url }).toOpenAI(),
    );
    const { answers } = await client.decisions.create({
      model: MODEL,
      input: "I was charged twice.",
      questions: [
        { type: "predicate", name: "angry", instructions: "Angry?" },
        {
          type: "score",
          name: "urgency",
          instructions: "?",
          levels: [{ label: "a" }, { label: "b" }, { label: "c" }],
        },
      ],
    });
    assertEquals(answers.map(({ type, name }) => [type, name]), [
      ["predicate", "angry"],
      ["score", "urgency"],
    ]);
  });
  await t.step("typesafe", async () => {
    const client = new TypeSafeClient({ apiKey: "lm-studio", baseURL: server.url });
    const { answers } = await client.systemOne({
      model: MODEL,
      state: "I was charged twice.",
      questions: {
        angry: noul("Is the customer angry?"),
        team: choice("Which team?", { billing: null, technical: null }),
        urgency: score("How urgent?", ["low", "middle", "high"]),
      },
    });
    assertEquals([answers.angry.noul, answers.team.choice, answers.urgency.score], [
      0.9,
      "billing",
      2,
    ]);
  });
});
