/** `contextOverflowPolicy` through every method that takes it, against a server with a real tokenizer. */
import { assert, assertEquals, assertGreater, assertLess, assertRejects } from "@std/assert";
import {
  type CompletionRequest,
  InvalidRequestError,
  LMStudioProvider,
  type Message,
  tool,
  type TrimInfo,
} from "../mod.ts";
import { ConversationMaker } from "./support/conversations.ts";
import { LLAMA } from "./support/llama.ts";

const MODEL = "qwen/qwen3-8b";
const CONTEXT = 4096;
const QUESTION: Message = { role: "user", content: "And why is that?" };

/** One request as the server saw it. */
interface Seen {
  readonly messages: readonly Record<string, unknown>[];
  readonly tokens: number;
  readonly isRefused: boolean;
}

interface ServerOptions {
  /** What a refusal says; numbers stand for `P` and `C`. */
  readonly wording?: string;
  /** Refuses in the first event of a stream, under 200. */
  readonly refusesInStream?: boolean;
  /** The text of answers. */
  readonly answers?: (round: number) => Record<string, unknown>;
  /** The context in its listing; `null` where it has none. */
  readonly listed?: number | null;
}

const WORDING =
  "request (P tokens) exceeds the available context size (C tokens), try increasing it";

function events(parts: readonly string[]): Response {
  return new Response(parts.join(""), { headers: { "content-type": "text/event-stream" } });
}

/** A server that counts tokens, and refuses what does not fit. */
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
    (sum, { content, tool_calls: calls = "" }) =>
      sum + 5 + LLAMA.countTokens(String(content) + (calls === "" ? "" : JSON.stringify(calls))),
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

/** Lets the provider answer five beginnings of the conversation. */
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
    for await (const piece of stream.textStream) text += piece;
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
    Deno.test(`${name}, ${policy}: cut before it is sent, once the model is known`, async () => {
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

    Deno.test(`${name}, ${policy}: cut by the numbers of a refusal, and sent once more`, async () => {
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

  Deno.test(`${name}: a policy that is none is refused before anything is sent`, async () => {
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

Deno.test("answers teach without a policy, too, whole and streamed", async () => {
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

Deno.test("a refusal without numbers is the error as without a policy", async () => {
  const wording =
    "The number of tokens to keep from the initial prompt is greater than the context length.";
  const { lmstudio, seen } = serverOf({ wording });
  const error = await assertRejects(
    () => lmstudio.complete({ messages: LONG, contextOverflowPolicy: "rollingWindow" }),
    InvalidRequestError,
  );
  assertEquals([error.code, seen.length], ["context_overflow", 1]);
});

Deno.test("a refusal as the first event of a stream is cut by its numbers, too", async () => {
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

Deno.test("a question that alone is longer than the context is sent once, and the error is the server's", async () => {
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

Deno.test("where no listing tells the context, or a wrong one, the refusal does, also for later calls", async () => {
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

Deno.test("a function decides what is sent; what cannot be sent is refused in its name", async () => {
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
    "contextOverflowPolicy gave what cannot be sent: messages cannot be empty",
  );
  const given = { messages: LONG, contextOverflowPolicy: () => Promise.resolve(LONG) };
  await assertRejects(
    () => lmstudio.complete(given as unknown as CompletionRequest),
    InvalidRequestError,
    "contextOverflowPolicy gave what cannot be sent: messages is an object, not an array",
  );
});

Deno.test("what a policy or onTrim throws is what the call rejects with", async () => {
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

Deno.test("strings are messages, and neighbours are one", async () => {
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
  // The history is whole, whatever was sent.
  assertEquals(messages.slice(0, LONG.length), [...LONG]);
  assertGreater(response.trimmed?.dropped.length ?? 0, 0);
  assertEquals(seen.filter(({ isRefused }) => isRefused).length, 1);
});
