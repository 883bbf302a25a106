/** Whatever a server answers, the result is an answer of the declared types or one of our errors. */
import {
  type EventStream,
  isProviderError,
  LMStudioProvider,
  LocalProvider,
  OpenAICompatibleProvider,
  ServiceDiscovery,
  type Tool,
} from "../../mod.ts";
import { type Body, edits, inline, recorded, written } from "./bodies.ts";
import { cutAt, places } from "./framing.ts";
import { check, fc, type Property, property } from "./harness.ts";
import * as shapes from "./shapes.ts";

type Call = readonly [name: string, shape: shapes.Shape, run: (providers: Providers) => unknown];

/** The objects that calls are made on. */
interface Providers {
  readonly lmstudio: LMStudioProvider;
  readonly local: LocalProvider;
  readonly compatible: OpenAICompatibleProvider;
  readonly discovery: ServiceDiscovery;
}

/** A route, the bodies observed on it, and the call that uses it. */
interface Target {
  readonly path: RegExp;
  readonly bodies: readonly Body[];
  readonly calls: readonly Call[];
}

const ENDPOINT = "http://127.0.0.1:9";
const MESSAGES = { model: "m", messages: "Hello there" };
const TOOL: Tool = {
  name: "look",
  parameters: { type: "object", properties: {} },
  execute: () => "seen",
};
const TOOLS = { ...MESSAGES, tools: [TOOL], maxRounds: 2 };
const SCHEMA = { ...MESSAGES, schema: { type: "object" }, maxRepairs: 1 } as const;
const INPUT = { model: "m", input: "Hello there" };
const PROMPT = { model: "m", prompt: "Hello there" };
const QUESTIONS = {
  calm: { type: "predicate", instructions: "?" },
  team: { type: "choice", instructions: "?", choices: ["a", "b"] },
  grade: { type: "score", instructions: "?", levels: ["low", "high"] },
} as const;

/** Reads a stream to its end; each item must have its type. */
async function drain(
  stream: AsyncIterable<unknown>,
  item: shapes.Shape,
  answer: () => Promise<unknown> = () => (stream as EventStream<unknown, unknown>).response(),
): Promise<unknown> {
  let isOver = false;
  for await (const part of stream) {
    checkShape(part, item, "an item");
    check(!isOver, "an item behind the final one");
    isOver = item === shapes.chunk && Reflect.get(part as object, "isFinal") === true;
  }
  check(isOver || item !== shapes.chunk, "no final chunk");
  return await answer();
}

function checkShape(value: unknown, shape: shapes.Shape, name: string): void {
  const problem = shape(value, name);
  check(problem === undefined, problem ?? "");
}

const completions = (
  name: string,
  of: (providers: Providers) => Pick<LMStudioProvider, "complete" | "streamCompletion">,
): Call[] => [
  [`${name}complete`, shapes.completion, (given) => of(given).complete(MESSAGES)],
  [
    `${name}streamCompletion`,
    shapes.completion,
    (given) => drain(of(given).streamCompletion(MESSAGES), shapes.chunk),
  ],
];

const DECISIONS = [
  { type: "predicate", name: "calm", probability: 0.5 },
  {
    type: "choice",
    name: "team",
    choice: "a",
    confidence: 0.9,
    probabilities: [{ value: "a", probability: 0.9 }, { value: "b", probability: 0.1 }],
  },
  {
    type: "score",
    name: "grade",
    score: 0,
    confidence: 1,
    probabilities: [{ label: "low", probability: 1, value: 0 }, {
      label: "high",
      probability: 0,
      value: 1,
    }],
  },
];
const LISTING = /^\/(?:api\/v[01]|v1)\/models$/;
const ERRORS = recorded("errors/", /./);

const TARGETS: readonly Target[] = [
  {
    path: /^\/v1\/chat\/completions$/,
    bodies: [
      ...recorded("answers/", /^(chat|content_parts|draft|reasoning|think|tool_call|v0)/),
      ...recorded("streams/", /^(?!native)/),
    ],
    calls: [
      ...completions("", ({ lmstudio }) => lmstudio),
      ...completions("compatible.", ({ compatible }) => compatible as never),
      ["completeObject", shapes.object, ({ lmstudio }) => lmstudio.completeObject(SCHEMA)],
      [
        "streamObject",
        shapes.object,
        ({ lmstudio }) => drain(lmstudio.streamObject(SCHEMA), shapes.anything),
      ],
      ["runTools", shapes.toolRun, ({ lmstudio }) => lmstudio.runTools(TOOLS)],
      ["streamTools", shapes.toolRun, ({ lmstudio }) => {
        const stream = lmstudio.streamTools(TOOLS);
        return drain(stream, shapes.toolEvent, () => stream.result());
      }],
      ["toOpenAI", shapes.response, async ({ lmstudio }) => {
        const { baseURL, fetch } = lmstudio.toOpenAI();
        const body = JSON.stringify({ model: "m", messages: [] });
        const answer = await fetch(`${baseURL}/chat/completions`, { method: "POST", body });
        await answer.text();
        return answer;
      }],
    ],
  },
  {
    path: /^\/v1\/completions$/,
    bodies: [...recorded("answers/", /^text/), ...recorded("streams/text/", /./)],
    calls: [
      ["completeText", shapes.textCompletion, ({ lmstudio }) => lmstudio.completeText(PROMPT)],
      [
        "streamText",
        shapes.textCompletion,
        ({ lmstudio }) => drain(lmstudio.streamText(PROMPT), shapes.chunk),
      ],
    ],
  },
  {
    path: /^\/v1\/embeddings$/,
    bodies: [
      ...recorded("answers/", /^embeddings/),
      inline("two", {
        model: "m",
        data: [{ index: 1, embedding: [1, 2] }, { index: 0, embedding: "AACAPwAAAEA=" }],
        usage: { prompt_tokens: 1, total_tokens: 1 },
      }),
    ],
    calls: [
      ["embed", shapes.embedding, ({ lmstudio }) => lmstudio.embed({ ...INPUT, input: "a" })],
      [
        "embed one number",
        shapes.embedding,
        ({ lmstudio }) => lmstudio.embed({ model: "m", input: "a", dimensions: 1 }),
      ],
      [
        "embed two",
        shapes.embedding,
        ({ lmstudio }) => lmstudio.embed({ model: "m", input: ["a", "b"] }),
      ],
    ],
  },
  {
    path: LISTING,
    bodies: [...recorded("listings/", /./)],
    calls: [
      ["listModels", shapes.list(shapes.model), ({ lmstudio }) => lmstudio.listModels()],
      [
        "compatible.listModels",
        shapes.list(shapes.model),
        ({ compatible }) => compatible.listModels(),
      ],
      ["models.get", shapes.model, ({ lmstudio }) => lmstudio.models.get("qwen/qwen3-8b")],
      ["supportsModel", shapes.flag, ({ lmstudio }) => lmstudio.supportsModel("m")],
      [
        "modelCapabilities",
        shapes.maybeCapabilities,
        ({ lmstudio }) => lmstudio.modelCapabilities("m"),
      ],
      ["ensureLoaded", shapes.lease, ({ lmstudio }) => lmstudio.models.ensureLoaded("m")],
      ["unload", shapes.list(shapes.text), ({ lmstudio }) => lmstudio.models.unload("m")],
      ["complete, no model", shapes.completion, ({ lmstudio }) => lmstudio.complete("?")],
      ["local.listModels", shapes.list(shapes.model), ({ local }) => local.listModels()],
    ],
  },
  {
    path: /^\/v1\/responses$/,
    bodies: recorded("responses/", /./),
    calls: [
      [
        "responses.create",
        shapes.responsesAnswer,
        ({ lmstudio }) => lmstudio.responses.create(INPUT),
      ],
      [
        "responses.stream",
        shapes.responsesAnswer,
        // Events are passed on as on the wire: their types only describe them.
        ({ lmstudio }) => drain(lmstudio.responses.stream(INPUT), shapes.typed),
      ],
    ],
  },
  {
    path: /^\/api\/v1\/chat$/,
    bodies: [...recorded("answers/", /^native/), ...recorded("streams/", /^native/)],
    calls: [
      ["chat.send", shapes.chatAnswer, ({ lmstudio }) => lmstudio.chat.send(INPUT)],
      [
        "chat.stream",
        shapes.chatAnswer,
        ({ lmstudio }) => drain(lmstudio.chat.stream(INPUT), shapes.chatEvent),
      ],
    ],
  },
  {
    path: /^\/api\/v1\/models\/./,
    bodies: recorded("answers/", /^(load|unload|download)/),
    calls: [
      ["models.load", shapes.loadedModel, ({ lmstudio }) => lmstudio.models.load("m")],
      [
        "models.ensureLoaded",
        shapes.lease,
        ({ lmstudio }) => lmstudio.models.ensureLoaded("other"),
      ],
      ["models.unload", shapes.list(shapes.text), ({ lmstudio }) => lmstudio.models.unload("m")],
      [
        "models.download",
        shapes.progress,
        ({ lmstudio }) =>
          drain(lmstudio.models.download("m", { pollIntervalMs: 1 }), shapes.progress),
      ],
      [
        "models.downloadStatus",
        shapes.progress,
        ({ lmstudio }) => lmstudio.models.downloadStatus("job"),
      ],
    ],
  },
  {
    path: /^\/v1\/(?:decisions|systemone)$/,
    bodies: [
      inline("decisions", {
        id: "d",
        model: "m",
        decisions: DECISIONS,
        answers: DECISIONS,
        usage: { input_tokens: 1, output_tokens: 1, total_tokens: 2 },
      }),
      inline("output", { id: "d", model: "m", output: DECISIONS }),
    ],
    calls: [[
      "decide",
      shapes.decisions,
      ({ lmstudio }) => lmstudio.decide({ ...INPUT, questions: QUESTIONS }),
    ]],
  },
  {
    path: /^\/(?:lmstudio-greeting|api\/version|api\/tags)$/,
    bodies: [
      inline("all", {
        lmstudio: true,
        version: "0.9.1",
        models: [{ name: "a", model: "a", key: "b", details: { families: ["x"] } }],
      }),
    ],
    calls: [
      [
        "probe lmstudio",
        shapes.maybeService,
        ({ discovery }) => discovery.probe("lmstudio", ENDPOINT),
      ],
      ["probe ollama", shapes.maybeService, ({ discovery }) => discovery.probe("ollama", ENDPOINT)],
      [
        "healthCheck",
        shapes.maybeService,
        ({ discovery }) => discovery.healthCheck("lmstudio", ENDPOINT),
      ],
    ],
  },
];

const GOOD_LISTING = JSON.stringify({
  models: [{
    type: "llm",
    key: "m",
    loaded_instances: [{ id: "m", config: { context_length: 4096 } }],
    max_context_length: 8192,
  }],
});
const GOOD_COMPLETION = JSON.stringify({
  id: "x",
  model: "m",
  choices: [{ message: { content: "{}" }, finish_reason: "stop" }],
});
/** Enough requests for any call, then it ends: downloads are polled until they are done. */
const MOST_REQUESTS = 12;

const STATUSES = [
  200,
  200,
  200,
  200,
  200,
  200,
  201,
  204,
  206,
  302,
  400,
  401,
  403,
  404,
  405,
  408,
  409,
  413,
  422,
  429,
  500,
  502,
  503,
  504,
  599,
];
const TYPES = [
  "application/json",
  "text/event-stream",
  "text/event-stream; charset=utf-8",
  "text/html",
  "text/plain",
  "application/x-ndjson",
  "",
];

const drawn = fc.record({
  target: fc.nat(TARGETS.length - 1),
  source: fc.constantFrom("own", "own", "own", "own", "own", "errors", "others"),
  body: fc.nat(300),
  edits,
  status: fc.constantFrom(...STATUSES),
  type: fc.constantFrom(undefined, undefined, undefined, ...TYPES),
  at: places,
  retryAfter: fc.constantFrom(
    undefined,
    undefined,
    undefined,
    "0",
    "-1",
    "x",
    "1e9",
    "Thu, 01 Jan 1970 00:00:00 GMT",
  ),
});

const encoder = new TextEncoder();

export const ANSWERS: readonly Property[] = [
  property(
    "answers",
    18_000,
    drawn,
    async ({ target, source, body, edits, status, type, at, retryAfter }) => {
      const { path, bodies, calls } = TARGETS[target]!;
      const all = source === "own"
        ? bodies
        : source === "errors"
        ? ERRORS
        : TARGETS.flatMap((other) => other.bodies);
      const chosen = all[body % all.length]!;
      const text = written(chosen, edits);
      const respond = (): Response => {
        const headers = new Headers();
        headers.set(
          "content-type",
          type ?? (chosen.isStream ? "text/event-stream" : "application/json"),
        );
        if (retryAfter !== undefined) headers.set("retry-after", retryAfter);
        if (status === 204) return new Response(null, { status, headers });
        const chunks = cutAt(encoder.encode(text), at);
        const stream = new ReadableStream({
          pull: (controller) => {
            const chunk = chunks.shift();
            if (chunk === undefined) controller.close();
            else controller.enqueue(chunk);
          },
        });
        return new Response(stream, { status, headers });
      };
      for (const [name, shape, run] of calls) {
        let asked = 0;
        const fetch: typeof globalThis.fetch = (input, init) => {
          const { pathname } = new URL(new Request(input, init).url);
          asked++;
          if (asked > MOST_REQUESTS) return Promise.resolve(new Response('{"status":"completed"}'));
          if (path.test(pathname)) return Promise.resolve(respond());
          return Promise.resolve(
            new Response(LISTING.test(pathname) ? GOOD_LISTING : GOOD_COMPLETION),
          );
        };
        const providers = providersWith(fetch);
        await checkCall(name, shape, () => run(providers), text);
        check(asked > 0, `${name}: nothing is sent`);
      }
    },
  ),
];

function providersWith(fetch: typeof globalThis.fetch): Providers {
  const options = {
    env: {},
    maxRetries: 0,
    baseUrl: ENDPOINT,
    fetch,
  } as const;
  const candidates = [{ type: "lmstudio", endpoint: ENDPOINT }] as const;
  return {
    lmstudio: new LMStudioProvider({ ...options, onModelSubstituted: "ignore" }),
    compatible: new OpenAICompatibleProvider({ name: "other", ...options }),
    get local() {
      return new LocalProvider({ ...options, discovery: { candidates } });
    },
    get discovery() {
      return new ServiceDiscovery({ env: {}, fetch, candidates });
    },
  };
}

async function checkCall(
  name: string,
  shape: shapes.Shape,
  run: () => unknown,
  text: string,
): Promise<void> {
  const sent = `\n  sent: ${text.slice(0, 1000)}`;
  let answer: unknown;
  try {
    answer = await run();
  } catch (error) {
    if (error instanceof Error && error.name === "Broken") {
      error.message = `${name}: ${error.message}${sent}`;
      throw error;
    }
    check(isProviderError(error), () => `${name}: a foreign error: ${Deno.inspect(error)}${sent}`);
    const told = JSON.stringify(error);
    check(told.length < 20_000, () => `${name}: an error of ${told.length} characters${sent}`);
    check(
      Deno.inspect(error).length < 200_000,
      () => `${name}: an error that fills the screen${sent}`,
    );
    check(
      !/(?![\0\t\n])[\p{Cc}\u202a-\u202e]/u.test(error.message),
      () => `${name}: unseen characters: ${JSON.stringify(error.message)}${sent}`,
    );
    check(error.kind !== "timeout", () => `${name}: waits in vain: ${error.message}${sent}`);
    check(error.kind !== "configuration", () => `${name}: ${error.message}${sent}`);
    check(
      error.kind !== "network" || error.code !== "connection_refused",
      () => `${name}: ${error.message}${sent}`,
    );
    return;
  }
  const problem = shape(answer, name);
  check(problem === undefined, () => `${problem}${sent}`);
}
