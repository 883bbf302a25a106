/** Conversations longer than the context: messages that must stay do, and those that belong together are not separated. */
import { type TrimTask, trimToFit } from "../../src/core/context_policy.ts";
import type { Message } from "../../src/core/messages.ts";
import {
  countFrame,
  countMessage,
  noCounts,
  TokenEstimator,
} from "../../src/core/token_estimate.ts";
import { check, checkSame, fc, type Property, property } from "./harness.ts";

const words = fc.oneof(
  fc.nat(400).map((length) => "word ".repeat(length)),
  fc.string({ unit: "binary", maxLength: 20 }),
);
const image: Message = {
  role: "user",
  content: [{ type: "image", image: "data:image/png;base64,iVBORw0KGgo=" }],
};

/** Some messages of a turn; tool calls are followed by their results. */
const chunks: fc.Arbitrary<Message[]> = fc.oneof(
  words.map((content): Message[] => [{ role: "user", content }]),
  words.map((content): Message[] => [{ role: "assistant", content }]),
  words.map((content): Message[] => [{ role: "system", content }]),
  words.map((content): Message[] => [{ role: "developer", content }]),
  fc.tuple(words, fc.integer({ min: 1, max: 3 }), fc.boolean(), words).map(
    ([result, count, hasImage, reasoning]): Message[] => {
      const toolCalls = Array.from({ length: count }, (_, index) => ({
        id: `c${index}`,
        name: "look",
        arguments: '{"a":1}',
      }));
      return [
        { role: "assistant", content: "", reasoning, toolCalls },
        ...toolCalls.map(({ id }): Message => ({ role: "tool", toolCallId: id, content: result })),
        ...(hasImage ? [image] : []),
      ];
    },
  ),
);

const task = fc.record({
  groups: fc.array(chunks, { maxLength: 10 }),
  policy: fc.constantFrom("rollingWindow" as const, "truncateMiddle" as const),
  contextLength: fc.integer({ min: 1, max: 3000 }),
  maxTokens: fc.constantFrom(undefined, -1, 1, 50, 5000),
  learnt: fc.array(fc.integer({ min: 1, max: 4000 }), { maxLength: 8 }),
  refused: fc.constantFrom(undefined, 1, 900, 1e9),
  withReasoning: fc.boolean(),
});

export const TRIMMING: readonly Property[] = [
  property("trimming", 8_000, task, ({ groups, policy, learnt, refused, ...rest }) => {
    // Copies, so that each message is a separate object.
    const messages = groups.flat().map((message) => ({ ...message }));
    const estimator = new TokenEstimator();
    for (const tokens of learnt) {
      const counts = noCounts();
      countMessage({ role: "user", content: "word ".repeat(tokens) }, counts);
      estimator.learn(counts, tokens);
    }
    const given: TrimTask = {
      policy,
      messages,
      frame: countFrame(),
      estimator,
      ...rest,
      isRefused: refused !== undefined,
      refusedTokens: refused,
    };
    const trimmed = trimToFit(given);
    if (trimmed === undefined) return;
    const sent = trimmed.messages;
    const { dropped, sentTokens, promptTokens } = trimmed.info;
    check(dropped.length > 0, "trimmed, but nothing is dropped");
    checkSame(sent, messages.filter((message) => sent.includes(message)), "order of what is sent");
    checkSame(
      messages.filter((message) => !sent.includes(message)),
      dropped,
      "what is dropped and what is sent are not the whole",
    );
    checkSame(trimmed.kept?.map((index) => messages[index]), sent, "indexes of what is sent");
    const isUser = (message: Message): boolean => message.role === "user";
    const lastUser = messages.findLastIndex((message) =>
      isUser(message) && Array.isArray(message.content) === false
    );
    messages.forEach((message, index) => {
      const isPinned = message.role === "system" || message.role === "developer";
      const mustStay = isPinned || (lastUser !== -1 && index >= lastUser);
      check(!mustStay || sent.includes(message), () => `message ${index} must stay`);
    });
    sent.forEach((message, index) => {
      if (message.role === "assistant" && message.toolCalls !== undefined) {
        const results = sent.slice(index + 1, index + 1 + message.toolCalls.length);
        check(
          results.length === message.toolCalls.length &&
            results.every(({ role }) => role === "tool"),
          "a call without its results",
        );
      }
      if (message.role !== "tool") return;
      const before = messages.indexOf(message);
      const caller = messages.slice(0, before).findLast(({ role }) => role === "assistant");
      check(caller !== undefined && sent.includes(caller), "a result without its call");
    });
    check(
      Number.isFinite(sentTokens) && Number.isFinite(promptTokens),
      "tokens that are no number",
    );
  }),
];
