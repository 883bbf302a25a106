/**
 * Frames that differ only in their text: the JSON around it is remembered and not parsed again, which must make no
 * difference. Each frame is read twice, alone and after others: alone it is parsed.
 */
import { assertEquals, assertInstanceOf } from "@std/assert";
import { LMStudioProvider, StreamError, type StreamingChunk } from "../mod.ts";
import { rejection } from "./support/wire.ts";

type Route = "completions" | "reasoning" | "text";

/** A frame with this text, written into it literally. */
function frame(body: string, route: Route = "completions"): string {
  const start = '{"id":"c-1","object":"x","model":"m","choices":[{"index":0,';
  const end = ',"logprobs":null,"finish_reason":null}]}';
  if (route === "text") return `${start}"text":"${body}"${end}`;
  const field = route === "reasoning" ? "reasoning_content" : "content";
  return `${start}"delta":{"role":"assistant","${field}":"${body}"}${end}`;
}

function connect(frames: readonly string[]): LMStudioProvider {
  const text = [...frames, "[DONE]"].map((data) => `data: ${data}\n\n`).join("");
  const headers = { "content-type": "text/event-stream" };
  const fetch = () => Promise.resolve(new Response(text, { headers }));
  return new LMStudioProvider({ env: {}, model: "m", fetch });
}

function open(frames: readonly string[], route: Route = "completions") {
  const lmstudio = connect(frames);
  return route === "text" ? lmstudio.streamText("Hi") : lmstudio.streamCompletion("Hi");
}

async function read(frames: readonly string[], route?: Route): Promise<StreamingChunk[]> {
  const chunks: StreamingChunk[] = [];
  for await (const chunk of open(frames, route)) chunks.push(chunk);
  return chunks.filter(({ isFinal }) => !isFinal);
}

const LEARNT = ["one", " two", " three"];

Deno.test("frames: text is read as JSON defines it, in any spelling", async () => {
  const bodies = [
    "a",
    " word",
    "\\n",
    "\\u00e9",
    "é",
    "\\ud83d\\ude00",
    "😀",
    '\\"',
    "\\\\",
    "\\\\\\n",
    "\\/",
    "assistant",
    "x".repeat(5000),
    '{\\"a\\":\\"b\\"}',
    "\u2028",
    "\\u0000",
  ];
  for (const route of ["completions", "reasoning", "text"] as const) {
    const before = LEARNT.map((body) => frame(body, route));
    for (const body of bodies) {
      const chunks = await read([...before, frame(body, route)], route);
      const text = JSON.parse(`"${body}"`);
      const { content, reasoning = "" } = chunks.at(-1) ?? { content: "" };
      assertEquals(content + reasoning, text, `${route}: ${body}`);
      assertEquals(chunks.length, 4);
    }
    // All in one stream, each repeated.
    const all = [...bodies, ...bodies.toReversed()];
    const chunks = await read([...before, ...all.map((body) => frame(body, route))], route);
    assertEquals(
      chunks.slice(3).map(({ content, reasoning = "" }) => content + reasoning),
      all.map((body) => JSON.parse(`"${body}"`)),
    );
  }
});

Deno.test("frames: a lookalike of a text is read correctly", async () => {
  const frames = [
    // More fields, or a repeated one, between the same beginning and end.
    frame('a","reasoning_content":"b'),
    frame('a","content":"b'),
    frame('a"},"finish_reason":"length","delta":{"content":"b'),
    frame('a","tool_calls":[{"index":0,"function":{"name":"f","arguments":"{}"}}],"content":"'),
    frame('a"},"usage":{"prompt_tokens":1},"delta":{"content":"'),
    frame(""),
    // The same text in another place.
    '{"id":"c-1","model":"m","choices":[{"index":1,"delta":{"content":"other"}}]}',
    '{"id":"c-1","model":"m","choices":[]}',
    '{"id":"c-1","model":"m","choices":[{"index":0,"delta":{"content":["parts"]}}]}',
    frame("x").replace('"finish_reason":null', '"finish_reason":"stop"'),
    frame("x").replace('"role":"assistant"', '"role":"tool"'),
  ];
  for (const one of frames) {
    const alone = await read([one]);
    const behind = await read([...LEARNT.map((body) => frame(body)), one]);
    assertEquals(behind.slice(LEARNT.length), alone, one);
    assertEquals(behind.slice(0, 3).map(({ content }) => content), LEARNT);
  }
});

Deno.test("frames: text that is not JSON is malformed_stream, with the partial answer", async () => {
  for (const body of ["a\\", "\\x", 'a"b', "\\u12", '"', "tab\there"]) {
    const frames = [...LEARNT.map((text) => frame(text)), frame(body), frame("more")];
    const error = await rejection(open(frames).response());
    assertInstanceOf(error, StreamError, body);
    assertEquals([error.code, error.partial?.content], ["malformed_stream", "one two three"], body);
  }
});

Deno.test("frames: raw is the last frame, while the answer is that of all frames", async () => {
  for (const route of ["completions", "text"] as const) {
    const frames = [...LEARNT, " four"].map((body) => frame(body, route));
    const response = await open(frames, route).response();
    assertEquals(response.raw, JSON.parse(frames[3] ?? ""));
    assertEquals([response.id, response.model], ["c-1", "m"]);
    const text = "text" in response ? response.text : response.content;
    assertEquals(text, "one two three four");
  }
});

Deno.test("frames: frames that are all different, or change sometimes, are read as well", async () => {
  const ids = (every: number) =>
    Array.from(
      { length: 300 },
      (_, i) => frame(` w${i}`).replace("c-1", `c-${Math.floor(i / every)}`),
    );
  for (const every of [1, 2, 50]) {
    const chunks = await read(ids(every));
    assertEquals(
      chunks.map(({ content }) => content).join(""),
      Array.from({ length: 300 }, (_, i) => ` w${i}`).join(""),
    );
  }
});

Deno.test("frames: a frame of an error event is an error, whatever it looks like", async () => {
  const frames = LEARNT.map((body) => `data: ${frame(body)}\n\n`).join("");
  const text = `${frames}event: error\ndata: ${frame("x")}\n\n`;
  const fetch = () =>
    Promise.resolve(new Response(text, { headers: { "content-type": "text/event-stream" } }));
  const lmstudio = new LMStudioProvider({ env: {}, model: "m", fetch });
  const error = await rejection(lmstudio.streamCompletion("Hi").response());
  assertInstanceOf(error, Error);
  assertEquals((error as StreamError).partial?.content, "one two three");
});
