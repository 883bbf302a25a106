/**
 * What a streamed token costs the client, beside a hand-written loop over the same bytes in the same run.
 * Machines are noisy, so only the ratio counts. The bytes come from memory: no network is in the figures.
 *
 *     npx --yes deno@2.9 task bench
 */
import { LMStudioProvider } from "../mod.ts";

const TOKENS = 20_000;
const ROUNDS = 15;
/** What a socket gives at a time. */
const READ_BYTES = 16 * 1024;

const body = encodeStream(TOKENS);

function encodeStream(tokens: number): Uint8Array<ArrayBuffer> {
  const frame = (choice: object, more: object = {}): string =>
    `data: ${
      JSON.stringify({
        id: "chatcmpl-um3b2l9t12bzrtha63q8",
        object: "chat.completion.chunk",
        created: 1747835957,
        model: "qwen/qwen3-8b",
        system_fingerprint: "qwen/qwen3-8b",
        choices: [choice],
        ...more,
      })
    }\n\n`;
  const frames = Array.from({ length: tokens }, (_, index) =>
    frame({
      index: 0,
      delta: { role: "assistant", content: ` word${index % 100}` },
      logprobs: null,
      finish_reason: null,
    }));
  const usage = { prompt_tokens: 12, completion_tokens: tokens, total_tokens: tokens + 12 };
  frames.push(frame({ index: 0, delta: {}, logprobs: null, finish_reason: "stop" }));
  frames.push(frame({}, { choices: [], usage }), "data: [DONE]\n\n");
  return new TextEncoder().encode(frames.join(""));
}

function respond(): Promise<Response> {
  let at = 0;
  const stream = new ReadableStream<Uint8Array>({
    pull(controller) {
      if (at >= body.byteLength) return controller.close();
      controller.enqueue(body.slice(at, at += READ_BYTES));
    },
  });
  const headers = { "content-type": "text/event-stream" };
  return Promise.resolve(new Response(stream, { headers }));
}

const provider = new LMStudioProvider({ fetch: respond, env: {}, model: "qwen/qwen3-8b" });

const contestants: Record<string, () => Promise<number>> = {
  "@patinox/lmstudio": async () => {
    let length = 0;
    for await (const { content } of provider.streamCompletion("Go.")) length += content.length;
    return length;
  },
  // No errors, no tools, no reasoning, no abort, no timers: the least that shows the text.
  "fetch + scan + JSON.parse": async () => {
    let length = 0;
    for await (const content of handWritten()) length += content.length;
    return length;
  },
};

async function* handWritten(): AsyncGenerator<string> {
  const response = await respond();
  const decoder = new TextDecoder();
  let buffer = "";
  for await (const bytes of response.body!) {
    buffer += decoder.decode(bytes, { stream: true });
    let from = 0;
    for (let end = buffer.indexOf("\n\n"); end !== -1; end = buffer.indexOf("\n\n", from)) {
      const data = buffer.slice(from + "data: ".length, end);
      from = end + 2;
      if (data === "[DONE]") return;
      const content = JSON.parse(data).choices[0]?.delta?.content;
      if (content) yield content;
    }
    buffer = buffer.slice(from);
  }
}

const times: Record<string, number[]> = {};
let expected: number | undefined;
for (let round = -2; round < ROUNDS; round++) {
  for (const [name, run] of Object.entries(contestants)) {
    const startedAt = performance.now();
    const length = await run();
    const elapsed = performance.now() - startedAt;
    expected ??= length;
    if (length !== expected) throw new Error(`${name} gave ${length} characters, not ${expected}`);
    if (round >= 0) (times[name] ??= []).push(elapsed);
  }
}

const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1]!;
const medians = Object.entries(times).map(([name, values]) => [name, median(values)] as const);
const [, base] = medians.at(-1)!;
console.log(`${TOKENS} tokens, median of ${ROUNDS} rounds, in turn`);
for (const [name, ms] of medians) {
  const perToken = (ms * 1000 / TOKENS).toFixed(2).padStart(6);
  console.log(`${name.padEnd(28)}${perToken} µs per token   ${(ms / base).toFixed(2)} ×`);
}
