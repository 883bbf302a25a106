/** `contextOverflowPolicy` through every method that accepts it, against a server with a real tokenizer. */
import { assert, assertEquals, assertGreater, assertLess, assertRejects } from "@std/assert";
import {
  ApiError,
  type CompletionRequest,
  InvalidRequestError,
  LMStudioProvider,
  type Message,
  type RunToolsRequest,
  type RunToolsResult,
  tool,
  type TrimInfo,
} from "../mod.ts";
import { ConversationMaker } from "./support/conversations.ts";
import { LLAMA } from "./support/llama.ts";

const MODEL = "qwen/qwen3-8b";
const CONTEXT = 4096;
const IMAGE_TOKENS = 300;
const QUESTION: Message = { role: "user", content: "And why is that?" };

/** One request as the server received it. */
interface Seen {
  readonly messages: readonly Record<string, unknown>[];
  readonly tokens: number;
  readonly isRefused: boolean;
}

interface ServerOptions {
  /** Wording of the refusal; numbers replace `P` and `C`. */
  readonly wording?: string;
  /** Refuses in the first event of a stream, under 200. */
  readonly refusesInStream?: boolean;
  /** The answers' text. */
  readonly answers?: (round: number) => Record<string, unknown>;
  /** Refuses images. */
  readonly isBlind?: boolean;
  /** The context in the listing; `null` if the listing has none. */
  readonly listed?: number | null;
}

const WORDING =
  "request (P tokens) exceeds the available context size (C tokens), try increasing it";

function events(parts: readonly string[]): Response {
  return new Response(parts.join(""), { headers: { "content-type": "text/event-stream" } });
}

/** A server that counts tokens, and refuses requests that do not fit. */
function serverOf(options: ServerOptions = {}): { seen: Seen[]; lmstudio: LMStudioProvider } {
  const { listed = CONTEXT, wording = WORDING, answers = () => ({ content: "Because." }) } =
    options;
  const seen: Seen[] = [];
  const fetch = async (input: RequestInfo | URL, init?: RequestInit): Promise<Response> => {
    const { pathname } = new URL(input instanceof Request ? input.url : input);
    if (pathname.startsWith("/api/v1")) {
      return Response.json({ error: `Unexpected endpoint or method. (GET ${pathname})` });
    }
    if (pathname === "/api/v0/models") {
      return Response.json({
        object: "list",
        data: [{
          id: MODEL,
          object: "model",
          type: "llm",
          state: "loaded",
          max_context_length: 131072,
          ...(listed === null ? {} : { loaded_context_length: listed }),
        }],
      });
    }
    const body = JSON.parse(await new Response(init?.body).text());
    const tokens = tokensOf(body);
    const isRefused = tokens >= CONTEXT;
    seen.push({ messages: body.messages, tokens, isRefused });
    if (options.isBlind === true && JSON.stringify(body).includes("image_url")) {
      return Response.json({ error: "Model does not support images" }, { status: 400 });
    }
    if (isRefused) {
      const error = wording.replace("P", String(tokens)).replace("C", String(CONTEXT));
      return options.refusesInStream === true
        ? events([`event: error\ndata: ${JSON.stringify({ error: { message: error } })}\n\n`])
        : Response.json({ error }, { status: 400 });
    }
    const message = { role: "assistant", ...answers(seen.length) };
    const usage = { prompt_tokens: tokens, completion_tokens: 3, total_tokens: tokens + 3 };
    const rest = { id: "chatcmpl-1", model: MODEL, usage };
    const finish_reason = "tool_calls" in message ? "tool_calls" : "stop";
    if (body.stream !== true) {
      return Response.json({ ...rest, choices: [{ index: 0, message, finish_reason }] });
    }
    const frames = [
      { ...rest, usage: undefined, choices: [{ index: 0, delta: message, finish_reason: null }] },
      { ...rest, choices: [{ index: 0, delta: {}, finish_reason }] },
    ];
    return events([
      ...frames.map((frame) => `data: ${JSON.stringify(frame)}\n\n`),
      "data: [DONE]\n\n",
    ]);
  };
  return { seen, lmstudio: new LMStudioProvider({ fetch, model: MODEL, env: {} }) };
}

function tokensOf(body: { messages: Record<string, unknown>[]; tools?: unknown }): number {
  const { messages, tools = "" } = body;
  return messages.reduce(
    (sum, { content, reasoning_content: reasoning = "", tool_calls: calls = "" }) => {
      const parts: { type: string; text?: string }[] = Array.isArray(content)
        ? content
        : [{ type: "text", text: String(content) }];
      const text = parts.map(({ text = "" }) => text).join("") + reasoning +
        (calls === "" ? "" : JSON.stringify(calls));
      const images = parts.filter(({ type }) => type === "image_url").length;
      return sum + 5 + images * IMAGE_TOKENS + LLAMA.countTokens(text);
    },
    10 + (tools === "" ? 0 : LLAMA.countTokens(JSON.stringify(tools))),
  );
}

/** A conversation much longer than the context. */
const LONG: readonly Message[] = (() => {
  const maker = new ConversationMaker(5);
  for (;;) {
    const { system, turns, topics } = maker.next();
    if (topics.some((topic) => topic !== "English" && topic !== "code")) continue;
    return [system, ...turns.flat().slice(0, 60), QUESTION];
  }
})();

/** Sends five beginnings of the conversation, so that the provider learns from the answers. */
async function teach(lmstudio: LMStudioProvider): Promise<void> {
  for (const length of [3, 5, 7, 9, 11]) {
    await lmstudio.complete({
      messages: [...LONG.slice(0, length), QUESTION],
      contextOverflowPolicy: "rollingWindow",
    });
  }
}

const METHODS: Record<
  string,
  (lmstudio: LMStudioProvider, request: CompletionRequest) => Promise<TrimInfo | undefined>
> = {
  complete: async (lmstudio, request) => (await lmstudio.complete(request)).trimmed,
  streamCompletion: async (lmstudio, request) => {
    const stream = lmstudio.streamCompletion(request);
    let text = "";
    for await (const chunk of stream.textStream) text += chunk;
    assert(text.length > 0);
    return (await stream.response()).trimmed;
  },
  completeObject: async (lmstudio, request) => {
    const schema = { type: "object" } as const;
    return (await lmstudio.completeObject({ ...request, schema })).response.trimmed;
  },
  runTools: async (lmstudio, request) => (await lmstudio.runTools(request)).response.trimmed,
  streamTools: async (lmstudio, request) => {
    const stream = lmstudio.streamTools(request);
    for await (const _ of stream);
    return (await stream.result()).response.trimmed;
  },
};
const ANSWERS = () => ({ content: '{"why": "because"}' });

for (const [name, run] of Object.entries(METHODS)) {
  for (const policy of ["rollingWindow", "truncateMiddle"] as const) {
    Deno.test(`${name}, ${policy}: shortened before sending, once the model is known`, async () => {
      const { lmstudio, seen } = serverOf({ answers: ANSWERS });
      await teach(lmstudio);
      seen.length = 0;
      const told: TrimInfo[] = [];
      const onTrim = (info: TrimInfo): void => void told.push(info);
      const trimmed = await run(lmstudio, {
        messages: LONG,
        contextOverflowPolicy: policy,
        onTrim,
      });
      assertEquals(told, [trimmed]);
      assertEquals(trimmed?.policy, policy);
      assertEquals(trimmed?.cause, "estimate");
      assertEquals(trimmed?.contextLength, CONTEXT);
      assertEquals(seen.length, 1);
      const [request] = seen;
      assertLess(request?.tokens ?? Infinity, CONTEXT * 15 / 16 * 1.01);
      assertGreater(request?.tokens ?? 0, CONTEXT * 15 / 16 * 0.8);
      assertEquals(request?.messages.length, LONG.length - (trimmed?.dropped.length ?? 0));
      assertEquals(request?.messages[0]?.content, LONG[0]?.content);
      assertEquals(request?.messages.at(-1)?.content, QUESTION.content);
    });

    Deno.test(`${name}, ${policy}: shortened by the numbers in a refusal, and sent once more`, async () => {
      const { lmstudio, seen } = serverOf({ answers: ANSWERS });
      const trimmed = await run(lmstudio, { messages: LONG, contextOverflowPolicy: policy });
      assertEquals(seen.map(({ isRefused }) => isRefused), [true, false]);
      assertEquals(trimmed?.cause, "refusal");
      assertEquals(trimmed?.promptTokens, seen[0]?.tokens);
    });
  }

  Deno.test(`${name}: without a policy the server decides`, async () => {
    const { lmstudio, seen } = serverOf({ answers: ANSWERS });
    await teach(lmstudio);
    seen.length = 0;
    for (const contextOverflowPolicy of [undefined, "error"] as const) {
      const error = await assertRejects(
        () => run(lmstudio, { messages: LONG, contextOverflowPolicy }),
        InvalidRequestError,
      );
      assertEquals(error.code, "context_overflow");
    }
    assertEquals(seen.length, 2);
  });

  Deno.test(`${name}: an invalid policy is refused before anything is sent`, async () => {
    const { lmstudio, seen } = serverOf();
    const request = { messages: "Hello", contextOverflowPolicy: "truncate" };
    const error = await assertRejects(
      () => run(lmstudio, request as unknown as CompletionRequest),
      InvalidRequestError,
      'contextOverflowPolicy is "truncate", not "error", "truncateMiddle", "rollingWindow" or a function',
    );
    assertEquals(error.code, "invalid_request");
    await assertRejects(
      () => run(lmstudio, { messages: "Hello", onTrim: 1 } as unknown as CompletionRequest),
      InvalidRequestError,
      "onTrim is 1, not a function",
    );
    assertEquals(seen, []);
  });
}

Deno.test("answers are learned from even without a policy, whole and streamed", async () => {
  for (const run of [METHODS.complete, METHODS.streamCompletion]) {
    const { lmstudio, seen } = serverOf();
    for (const length of [3, 5, 7, 9, 11]) {
      await run?.(lmstudio, { messages: [...LONG.slice(0, length), QUESTION] });
    }
    const contextOverflowPolicy = "rollingWindow";
    const trimmed = await run?.(lmstudio, { messages: LONG, contextOverflowPolicy });
    assertEquals([trimmed?.cause, seen.length], ["estimate", 6]);
  }
});

Deno.test("a refusal without numbers is the same error as without a policy", async () => {
  const wording =
    "The number of tokens to keep from the initial prompt is greater than the context length.";
  const { lmstudio, seen } = serverOf({ wording });
  const error = await assertRejects(
    () => lmstudio.complete({ messages: LONG, contextOverflowPolicy: "rollingWindow" }),
    InvalidRequestError,
  );
  assertEquals([error.code, seen.length], ["context_overflow", 1]);
});

Deno.test("after a refusal as the first event of a stream, the request is shortened, too", async () => {
  const wording =
    "Input does not fit in context length. The input has P tokens, but the context length only supports C tokens.";
  const { lmstudio, seen } = serverOf({ wording, refusesInStream: true });
  const stream = lmstudio.streamCompletion({
    messages: LONG,
    contextOverflowPolicy: "rollingWindow",
  });
  const { content, trimmed } = await stream.response();
  assertEquals([content, trimmed?.cause, seen.length], ["Because.", "refusal", 2]);
});

Deno.test("a question longer than the context is sent once, and the error is the server's", async () => {
  const { lmstudio, seen } = serverOf();
  const messages: Message[] = [{ role: "user", content: "word ".repeat(5000) }];
  for (const contextOverflowPolicy of ["rollingWindow", "truncateMiddle"] as const) {
    const error = await assertRejects(
      () => lmstudio.complete({ messages, contextOverflowPolicy }),
      InvalidRequestError,
    );
    assertEquals(error.code, "context_overflow");
  }
  assertEquals(seen.length, 2);
});

Deno.test("if no listing has the right context, the refusal does, for later calls as well", async () => {
  for (const [listed, refusals] of [[null, 1], [2 * CONTEXT, 2]] as const) {
    const { lmstudio, seen } = serverOf({ listed });
    for (let round = 0; round < 4; round++) {
      await lmstudio.complete({ messages: LONG, contextOverflowPolicy: "rollingWindow" });
    }
    assertEquals(seen.filter(({ isRefused }) => isRefused).length, refusals);
    assertEquals(seen.slice(-2).map(({ isRefused }) => isRefused), [false, false]);
  }
});

Deno.test("a repair of an object is kept within the context, too", async () => {
  const { lmstudio, seen } = serverOf({
    answers: (round) => ({ content: round > 6 ? '{"why": "because"}' : "word ".repeat(300) }),
  });
  await teach(lmstudio);
  const { object, response } = await lmstudio.completeObject({
    messages: LONG,
    schema: { type: "object" },
    maxRepairs: 1,
    contextOverflowPolicy: "rollingWindow",
  });
  assertEquals(object, { why: "because" });
  assertGreater(response.trimmed?.dropped.length ?? 0, 0);
  assertEquals(seen.filter(({ isRefused }) => isRefused).length, 0);
});

Deno.test("a function decides what is sent; an invalid result is refused as the function's", async () => {
  const { lmstudio, seen } = serverOf();
  const { trimmed } = await lmstudio.complete({
    messages: LONG,
    contextOverflowPolicy: ({ messages, contextLength }) => {
      assertEquals(contextLength, CONTEXT);
      return messages.slice(-1);
    },
  });
  assertEquals(seen.at(-1)?.messages, [{ role: "user", content: QUESTION.content }]);
  assertEquals(trimmed?.dropped, LONG.slice(0, -1));
  await assertRejects(
    () => lmstudio.complete({ messages: LONG, contextOverflowPolicy: () => [] }),
    InvalidRequestError,
    "contextOverflowPolicy returned invalid messages: messages cannot be empty",
  );
  const given = { messages: LONG, contextOverflowPolicy: () => Promise.resolve(LONG) };
  await assertRejects(
    () => lmstudio.complete(given as unknown as CompletionRequest),
    InvalidRequestError,
    "contextOverflowPolicy returned invalid messages: messages is an object, not an array",
  );
});

Deno.test("the call rejects with whatever a policy or onTrim throws", async () => {
  const { lmstudio } = serverOf();
  const own = new Error("enough");
  const fail = (): never => {
    throw own;
  };
  for (const more of [{ contextOverflowPolicy: fail }, { onTrim: fail }]) {
    const request = { messages: LONG, contextOverflowPolicy: "rollingWindow", ...more } as const;
    assertEquals(await lmstudio.complete(request).catch((error) => error), own);
    assertEquals(await lmstudio.streamCompletion(request).response().catch((error) => error), own);
  }
});

Deno.test("strings are messages, and adjacent ones are joined", async () => {
  const { lmstudio, seen } = serverOf();
  const words = "one two three four five six seven ";
  const messages = [
    words.repeat(600),
    { role: "assistant", content: words.repeat(200) },
    "first",
    "second",
  ] as const;
  const { trimmed } = await lmstudio.complete({ messages, contextOverflowPolicy: "rollingWindow" });
  assertEquals(seen.at(-1)?.messages, [{ role: "user", content: "first\n\nsecond" }]);
  assertEquals(trimmed?.dropped, [{ role: "user", content: messages[0] }, messages[1]]);
});

Deno.test("a tool loop is kept within the context round by round", async () => {
  const { lmstudio, seen } = serverOf({
    answers: (round) =>
      round > 4 ? { content: "Done." } : {
        content: "",
        tool_calls: [{
          id: `call_${round}`,
          type: "function",
          function: { name: "read", arguments: "{}" },
        }],
      },
  });
  const read = tool({ name: "read", execute: () => "one two three ".repeat(60) });
  const { messages, response } = await lmstudio.runTools({
    messages: LONG,
    tools: [read],
    contextOverflowPolicy: "rollingWindow",
  });
  assertEquals(response.content, "Done.");
  // The history is complete, whatever was sent.
  assertEquals(messages.slice(0, LONG.length), [...LONG]);
  assertGreater(response.trimmed?.dropped.length ?? 0, 0);
  assertEquals(seen.filter(({ isRefused }) => isRefused).length, 1);
});

/** The conversation, with a model that reasons before it answers. */
const WITH_REASONING = LONG.map((message): Message =>
  message.role === "assistant"
    ? { ...message, reasoning: "The question is what they want to know. ".repeat(4) }
    : message
);

Deno.test("reasoning that is sent back counts, even from answers without a policy", async () => {
  for (const isStreamed of [false, true]) {
    const { lmstudio, seen } = serverOf();
    const ask = async (request: CompletionRequest) =>
      isStreamed
        ? await lmstudio.streamCompletion(request).response()
        : await lmstudio.complete(request);
    for (const length of [3, 5, 7, 9, 11]) {
      const messages = [...WITH_REASONING.slice(0, length), QUESTION];
      await ask({ messages, sendReasoning: true });
    }
    seen.length = 0;
    for (const contextOverflowPolicy of ["rollingWindow", "truncateMiddle"] as const) {
      const request = { messages: WITH_REASONING, contextOverflowPolicy };
      const [withReasoning, without] = [
        (await ask({ ...request, sendReasoning: true })).trimmed,
        (await ask(request)).trimmed,
      ];
      assertGreater(withReasoning?.dropped.length ?? 0, without?.dropped.length ?? 0);
      const [first, second] = seen.splice(0);
      for (const { tokens = 0, isRefused } of [first ?? {}, second ?? {}] as Partial<Seen>[]) {
        assertEquals(isRefused, false);
        assertLess(tokens, CONTEXT * 15 / 16 * 1.01);
        assertGreater(tokens, CONTEXT * 15 / 16 * 0.8);
      }
      const hasReasoning = (sent: Seen | undefined) =>
        sent?.messages.some(({ reasoning_content: reasoning }) => reasoning !== undefined);
      assertEquals([hasReasoning(first), hasReasoning(second)], [true, false]);
    }
  }
});

Deno.test("reasoning in the messages a function returns is sent back, too", async () => {
  const { lmstudio, seen } = serverOf();
  const reasoning = "Because I think so.";
  for (const sendReasoning of [true, false]) {
    await lmstudio.complete({
      messages: LONG,
      sendReasoning,
      contextOverflowPolicy: () => [QUESTION, { role: "assistant", reasoning }, QUESTION],
    });
    assertEquals(seen.at(-1)?.messages[1], {
      role: "assistant",
      content: "",
      ...(sendReasoning ? { reasoning_content: reasoning } : {}),
    });
  }
});

/** Runs the tools of a request, whole and streamed. */
const LOOPS: Record<
  string,
  (lmstudio: LMStudioProvider, request: RunToolsRequest) => Promise<RunToolsResult>
> = {
  runTools: (lmstudio, request) => lmstudio.runTools(request),
  streamTools: (lmstudio, request) => lmstudio.streamTools(request).result(),
};
const CALL = (round: number) => ({
  content: "",
  tool_calls: [{
    index: 0,
    id: `call_${round}`,
    type: "function",
    function: { name: "read", arguments: "{}" },
  }],
});
const TEXT_CALL = { content: '<tool_call>\n{"name": "read", "arguments": {}}\n</tool_call>' };
const PIXEL = "data:image/png;base64," +
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==";

for (const [name, run] of Object.entries(LOOPS)) {
  Deno.test(`${name}: tool calls in the text and their results are kept within the context`, async () => {
    const { lmstudio, seen } = serverOf({
      answers: (round) => round > 4 ? { content: "Done." } : TEXT_CALL,
    });
    const read = tool({ name: "read", execute: () => "one two three ".repeat(60) });
    const { messages, response } = await run(lmstudio, {
      messages: LONG,
      tools: [read],
      contextOverflowPolicy: "rollingWindow",
    });
    assertEquals(response.content, "Done.");
    assertGreater(response.trimmed?.dropped.length ?? 0, 0);
    assertEquals(messages.slice(0, LONG.length), [...LONG]);
    assertEquals(seen.filter(({ isRefused }) => isRefused).length, 1);
    const sent = seen.at(-1)?.messages ?? [];
    const from = sent.findIndex(({ content }) => content === QUESTION.content);
    assertEquals(sent.slice(from).map(({ role }) => role), [
      "user",
      ...Array(3).fill(["assistant", "tool"]).flat(),
    ]);
  });

  for (const isBlind of [false, true]) {
    const whose = isBlind ? "of a model that sees none" : "of tools";
    Deno.test(`${name}: the question is sent with the images ${whose}, whatever is dropped`, async () => {
      const { lmstudio, seen } = serverOf({
        isBlind,
        answers: (round) => round > 9 ? { content: "Done." } : CALL(round),
      });
      const read = tool({ name: "read", execute: () => ({ type: "image", image: PIXEL }) });
      const { messages, response } = await run(lmstudio, {
        messages: LONG,
        tools: [read],
        maxRounds: 10,
        contextOverflowPolicy: "rollingWindow",
      });
      assertEquals(response.content, "Done.");
      assertGreater(response.trimmed?.dropped.length ?? 0, 0);
      assertEquals(messages.slice(0, LONG.length), [...LONG]);
      for (const { messages: sent } of seen) {
        const from = sent.findIndex(({ content }) => content === QUESTION.content);
        assertGreater(from, 0);
        const round = isBlind ? ["assistant", "tool"] : ["assistant", "tool", "user"];
        const roles = sent.slice(from + 1).map(({ role }) => role);
        if (isBlind && roles.at(-1) === "user") roles.pop();
        assertEquals(roles, Array(roles.length / round.length).fill(round).flat());
      }
    });
  }
}

Deno.test("tool images that do not fit with their question are the server's error", async () => {
  const { lmstudio, seen } = serverOf({ answers: CALL });
  const read = tool({ name: "read", execute: () => ({ type: "image", image: PIXEL }) });
  for (const contextOverflowPolicy of ["rollingWindow", "truncateMiddle"] as const) {
    const error = await assertRejects(
      () =>
        lmstudio.runTools({ messages: LONG, tools: [read], maxRounds: 20, contextOverflowPolicy }),
      InvalidRequestError,
    );
    assertEquals(error.code, "context_overflow");
  }
  for (const { messages } of seen) {
    assert(messages.some(({ content }) => content === QUESTION.content));
  }
});

Deno.test("the partial answer of an error says what was left out", async () => {
  const { lmstudio } = serverOf();
  const request: CompletionRequest = {
    messages: LONG,
    tools: [{ name: "read" }],
    toolChoice: "required",
    contextOverflowPolicy: "rollingWindow",
  };
  for (
    const ask of [
      () => lmstudio.complete(request),
      () => lmstudio.streamCompletion(request).response(),
    ]
  ) {
    const error = await assertRejects(ask, ApiError);
    assertEquals(error.code, "tool_choice_ignored");
    const { response } = error;
    assert(response !== undefined && "trimmed" in response);
    assertGreater(response.trimmed?.dropped.length ?? 0, 0);
  }
});
