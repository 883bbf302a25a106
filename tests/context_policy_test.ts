/** Which messages are sent if a conversation does not fit: the rules, with a model whose tokens are easy to count. */
import { assert, assertEquals, assertLess } from "@std/assert";
import { maxPromptTokens, type TrimTask, trimToFit } from "../src/core/context_policy.ts";
import type { Message } from "../src/core/messages.ts";
import { countFrame, countMessage, TokenEstimator } from "../src/core/token_estimate.ts";
import { ConversationMaker } from "./support/conversations.ts";
import { cpuTimeMs } from "./support/cpu_time.ts";

const WORDS = "one two three four five six seven eight nine ten ";
const SYSTEM: Message = { role: "system", content: "Be brief." };

/** A token is four characters, and each message costs four extra tokens. */
function tokensOf(messages: readonly Message[]): number {
  return messages.reduce((sum, message) => sum + 4 + JSON.stringify(message).length / 4, 0);
}

function countsOf(messages: readonly Message[]): Float64Array {
  const counts = countFrame();
  for (const message of messages) countMessage(message, counts);
  return counts;
}

/** An estimator that has learned from five answers. */
function taught(): TokenEstimator {
  const estimator = new TokenEstimator();
  for (let length = 1; length <= 5; length++) {
    const messages = [SYSTEM, user(length), answer(length)];
    assert(estimator.learn(countsOf(messages), tokensOf(messages)));
  }
  return estimator;
}

function user(length = 2): Message {
  return { role: "user", content: WORDS.repeat(length) };
}

function answer(length = 2): Message {
  return { role: "assistant", content: WORDS.repeat(length) };
}

function called(id: string): Message {
  return { role: "assistant", toolCalls: [{ id, name: "find", arguments: '{"key":"a word"}' }] };
}

function result(toolCallId: string, length = 2): Message {
  return { role: "tool", toolCallId, content: WORDS.repeat(length) };
}

/** Indexes of the messages that are sent, if some are dropped. */
function sentOf(
  policy: TrimTask["policy"],
  messages: readonly Message[],
  contextLength: number,
  more: Partial<TrimTask> = {},
): number[] | undefined {
  const task = { policy, messages, frame: countFrame(), estimator: taught(), contextLength };
  return trimToFit({ ...task, ...more })?.messages.map((message) => messages.indexOf(message));
}

Deno.test("a conversation that fits is sent unchanged", () => {
  assertEquals(sentOf("rollingWindow", [SYSTEM, user(), answer(), user()], 4096), undefined);
});

Deno.test("nothing is cut before the model has answered once", () => {
  const messages = [SYSTEM, user(400), answer(400), user()];
  assertEquals(
    sentOf("rollingWindow", messages, 1024, { estimator: new TokenEstimator() }),
    undefined,
  );
});

Deno.test("before the fifth answer, a conversation is cut only if it is expected to overflow", () => {
  // Another language: the estimate is not certain.
  const messages: Message[] = [
    SYSTEM,
    ...Array(8).fill([
      { role: "user", content: "Пекарни здесь открываются в пять утра. ".repeat(8) },
      { role: "assistant", content: "Дождь шёл два дня. ".repeat(8) },
    ]).flat(),
    user(),
  ];
  const learnt = (answers: number) => {
    const estimator = new TokenEstimator();
    for (let length = 1; length <= answers; length++) {
      const counts = countsOf([SYSTEM, user(length)]);
      assert(estimator.learn(counts, tokensOf([SYSTEM, user(length)])));
    }
    return estimator;
  };
  const { tokens, atMost } = learnt(4).estimate(countsOf(messages));
  const contextLength = Math.ceil((tokens + atMost) / 2 * 16 / 15);
  const sent = (answers: number) =>
    sentOf("rollingWindow", messages, contextLength, { estimator: learnt(answers) });
  assertEquals(sent(4), undefined);
  assert(sent(5) !== undefined);
});

Deno.test("a refused conversation is cut by the refusal's numbers, whatever else is known", () => {
  const messages = [SYSTEM, user(40), answer(40), user(40), answer(40), user()];
  const estimator = new TokenEstimator();
  const refusedTokens = tokensOf(messages);
  estimator.learn(countsOf(messages), refusedTokens);
  const sent = sentOf("rollingWindow", messages, 1900, {
    estimator,
    isRefused: true,
    refusedTokens,
  });
  assertEquals(sent, [0, 3, 4, 5]);
});

Deno.test("rollingWindow drops whole turns, the oldest first, and no system message", () => {
  const later: Message = { role: "developer", content: "In English." };
  const messages = [
    SYSTEM,
    ...[user(10), answer(10)],
    later,
    ...[user(10), answer(10)],
    ...[user(10), answer(10)],
    user(),
  ];
  assertEquals(sentOf("rollingWindow", messages, 640), [0, 3, 6, 7, 8]);
  assertEquals(sentOf("rollingWindow", messages, 900), [0, 3, 4, 5, 6, 7, 8]);
});

Deno.test("truncateMiddle keeps the beginning and the end", () => {
  const turn = () => [user(10), answer(10)];
  const messages = [SYSTEM, ...turn(), ...turn(), ...turn(), ...turn(), user()];
  assertEquals(sentOf("truncateMiddle", messages, 900), [0, 1, 2, 7, 8, 9]);
  // The first turn is too long to fit with the question: the newest turns are worth more.
  const long = [SYSTEM, user(90), answer(10), ...turn(), ...turn(), user()];
  assertEquals(sentOf("truncateMiddle", long, 900), [0, 3, 4, 5, 6, 7]);
  // A turn in the middle is too long: as much of the beginning as fits is kept instead.
  const wide = [SYSTEM, ...turn(), ...turn(), user(50), answer(50), user()];
  assertEquals(sentOf("truncateMiddle", wide, 1000), [0, 1, 2, 3, 4, 7]);
});

Deno.test("the last user message and everything after it stay, even if they alone do not fit", () => {
  const messages = [SYSTEM, user(10), answer(10), user(60), called("a"), result("a", 60)];
  for (const policy of ["rollingWindow", "truncateMiddle"] as const) {
    assertEquals(sentOf(policy, messages, 512), [0, 3, 4, 5]);
    assertEquals(sentOf(policy, messages.slice(3), 512), undefined);
  }
});

Deno.test("of a turn with many tool calls, the question stays, and the newest calls with their results", () => {
  const messages = [
    SYSTEM,
    user(),
    ...["a", "b", "c", "d"].flatMap((id) => [called(id), result(id, 10)]),
    answer(),
    user(),
  ];
  assertEquals(sentOf("rollingWindow", messages, 560), [0, 1, 6, 7, 8, 9, 10, 11]);
});

/** Images from a tool, which follow its result. */
const SHOWN: Message = {
  role: "user",
  content: [{ type: "text", text: "The tool find returned:" }, { type: "image", image: "data:," }],
};

Deno.test("images from a tool belong to its turn, and are not a question", () => {
  const [first, second] = [{ ...SHOWN }, { ...SHOWN }];
  const turn = [user(), called("a"), result("a"), first, called("b"), result("b"), second];
  const messages = [SYSTEM, user(30), answer(30), ...turn];
  for (const policy of ["rollingWindow", "truncateMiddle"] as const) {
    assertEquals(sentOf(policy, messages, 1500), [0, 3, 4, 5, 6, 7, 8, 9]);
    // The next message after an abandoned loop is a question.
    const next = [...messages, user(), answer(), user()];
    assertEquals(sentOf(policy, next, 512), [0, 10, 11, 12]);
  }
});

Deno.test("images from a tool stay with its result, wherever the cut is", () => {
  const turnOf = (id: string) => [user(), called(id), result(id, 10), { ...SHOWN }, answer(5)];
  const messages = [SYSTEM, ...["a", "b", "c", "d"].flatMap(turnOf), user()];
  const isSame = (sent: readonly number[], at: number) =>
    sent.includes(at) === sent.includes(at + 1);
  let cuts = 0;
  for (const policy of ["rollingWindow", "truncateMiddle"] as const) {
    for (let contextLength = 256; contextLength < 8192; contextLength += 256) {
      const sent = sentOf(policy, messages, contextLength);
      if (sent === undefined) continue;
      for (const [at, message] of messages.entries()) {
        if (message.role === "tool") {
          assert(isSame(sent, at), `${policy} ${contextLength}: ${sent}`);
        }
      }
      cuts++;
    }
  }
  assert(cuts > 20);
});

Deno.test("a result that follows the next question keeps its tool call, and the turn of that call", () => {
  const messages = [
    SYSTEM,
    ...[user(20), answer(20)],
    ...[user(), called("late")],
    ...[user(), result("late"), answer()],
  ];
  for (const policy of ["rollingWindow", "truncateMiddle"] as const) {
    assertEquals(sentOf(policy, messages, 512), [0, 3, 4, 5, 6, 7]);
  }
});

Deno.test("no tool call is separated from its result, wherever the cut is", () => {
  const maker = new ConversationMaker(3);
  let cuts = 0;
  for (let round = 0; round < 40; round++) {
    const { system, turns } = maker.next();
    const messages = [system, ...turns.flat()];
    while (messages.at(-1)?.role !== "user") messages.pop();
    for (const policy of ["rollingWindow", "truncateMiddle"] as const) {
      for (const contextLength of [512, 1024, 2048, 4096]) {
        const task = { policy, messages, frame: countFrame(), estimator: taught(), contextLength };
        const sent = trimToFit(task)?.messages ?? [];
        const calls = sent.flatMap((message) =>
          message.role === "assistant" ? (message.toolCalls ?? []).map(({ id }) => id) : []
        );
        const results = sent.flatMap((message) =>
          message.role === "tool" ? [message.toolCallId] : []
        );
        assertEquals(calls, results);
        assertEquals(sent[1]?.role, "user");
        assertEquals([sent[0], sent.at(-1)], [messages[0], messages.at(-1)]);
        cuts++;
      }
    }
  }
  assertEquals(cuts, 320);
});

Deno.test("a function learns what does not fit, and decides", () => {
  const messages = [SYSTEM, user(50), answer(50), user()];
  let told: unknown[] = [];
  const trimmed = trimToFit({
    policy: ({ messages, contextLength, maxPromptTokens, promptTokens, countTokens }) => {
      const sent = messages.slice(-1);
      told = [messages, contextLength, maxPromptTokens];
      assert(promptTokens > 1000 && countTokens(messages) > promptTokens);
      assertLess(countTokens(sent), 100);
      return sent;
    },
    messages,
    frame: countFrame(),
    estimator: taught(),
    contextLength: 1024,
  });
  assertEquals(told, [messages, 1024, 960]);
  assertEquals(trimmed?.messages, messages.slice(-1));
  assertEquals(trimmed?.info.dropped, messages.slice(0, -1));
  assertEquals(trimmed?.info.policy, "custom");
});

Deno.test("the dropped messages are reported, with their tokens", () => {
  const messages = [SYSTEM, user(50), answer(50), user()];
  const task = { messages, frame: countFrame(), estimator: taught(), contextLength: 1024 };
  const info = trimToFit({ ...task, policy: "rollingWindow" })?.info;
  assertEquals(info?.dropped, messages.slice(1, 3));
  assertEquals(info?.cause, "estimate");
  assertEquals(info?.contextLength, 1024);
  for (
    const [told, sent] of [[info?.promptTokens, messages], [info?.sentTokens, [SYSTEM, user()]]]
  ) {
    const tokens = tokensOf(sent as Message[]);
    assertLess(Math.abs(Number(told) - tokens), 10 + 0.05 * tokens);
  }
});

Deno.test("room for the answer: as requested, at most half the context; a sixteenth by default", () => {
  assertEquals(maxPromptTokens(8192, 1000), 7192);
  assertEquals(maxPromptTokens(8192, 100_000), 4096);
  assertEquals(maxPromptTokens(8192, undefined), 7680);
  assertEquals(maxPromptTokens(8192, -1), 7680);
});

Deno.test("a count that cannot belong to this prompt is ignored", () => {
  const estimator = taught();
  const counts = countsOf([user(50)]);
  const before = estimator.estimate(counts);
  for (const nonsense of [0, 3, Number.NaN, 1e9]) {
    assertEquals(estimator.learn(counts, nonsense), false);
  }
  assertEquals(estimator.estimate(counts), before);
  assertEquals(estimator.answers, 5);
});

Deno.test("images, tools and reasoning count if they are sent", () => {
  const { tokens } = taught().estimate(countsOf([user()]));
  const shown: Message = {
    role: "user",
    content: [{ type: "text", text: WORDS.repeat(2) }, { type: "image", image: "data:," }],
  };
  assertLess(tokens + 100, taught().estimate(countsOf([shown])).tokens);
  const tools = countFrame(JSON.stringify(Array(20).fill({ name: "find" })));
  countMessage(user(), tools);
  assertLess(tokens + 50, taught().estimate(tools).tokens);
  const reasoning: Message = { role: "assistant", content: "", reasoning: WORDS.repeat(50) };
  const [without, withReasoning] = [countFrame(), countFrame()];
  countMessage(reasoning, without);
  countMessage(reasoning, withReasoning, true);
  const estimator = taught();
  assertLess(estimator.estimate(without).tokens + 500, estimator.estimate(withReasoning).tokens);
});

Deno.test("a decision about eight times as much takes at most eight times as long", () => {
  const estimator = taught();
  /** The best of several runs: the machine may be busy. */
  const timeFor = (turns: number): number => {
    const messages = [SYSTEM, ...Array(turns).fill([user(10), answer(10)]).flat(), user()];
    return Math.min(...Array.from({ length: 20 }, () => {
      const usedBefore = cpuTimeMs();
      trimToFit({
        policy: "truncateMiddle",
        messages,
        frame: countFrame(),
        estimator,
        contextLength: 16384,
      });
      return cpuTimeMs() - usedBefore;
    }));
  };
  timeFor(200);
  // Quadratic work would take 64 times as long.
  assertLess(timeFor(1600) / timeFor(200), 24);
});
