/** Masking of recordings: random prompts and secrets, spelled and cut in random ways, leave no trace. */
import { assert, assertEquals } from "@std/assert";
import { redactChunks, redactRequest } from "../src/cli/redaction.ts";
import { randomizer } from "./support/random.ts";

const ALPHABET = [
  ...'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 \n\t"\\/äöüéñ漢字仮名🎁👩‍👧{}[]:,',
];

function textOf(random: () => number, length: number): string {
  return Array.from({ length }, () => ALPHABET[Math.floor(random() * ALPHABET.length)]).join("");
}

/** The same text as servers repeat it. */
const SPELLINGS: ((text: string) => string)[] = [
  (text) => JSON.stringify({ error: `cannot take ${text}` }),
  (text) => JSON.stringify({ error: JSON.stringify({ error: { message: text } }) }),
  (text) => JSON.stringify({ error: text.toUpperCase() }),
  // In Python's notation.
  (text) =>
    JSON.stringify({ error: text }).replace(
      /[^\x20-\x7e]/g,
      (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
    ),
  (text) => `Error: ${text} is too long`,
  // In a stream, with two code units per frame and surrogates separated.
  (text) =>
    Array.from(
      { length: Math.ceil(text.length / 2) },
      (_, at) =>
        `data: ${
          JSON.stringify({ choices: [{ delta: { content: text.slice(2 * at, 2 * at + 2) } }] })
        }\n\n`,
    ).join(""),
];

Deno.test("redaction: no part of a prompt or an API token survives, however it is spelled and cut", () => {
  const random = randomizer(13);
  for (let round = 0; round < 300; round++) {
    const prompt = textOf(random, 30 + Math.floor(random() * 60));
    const token = textOf(random, 24).replace(/[^a-zA-Z0-9]/g, "k");
    const { body, headers, secrets } = redactRequest({
      path: "/v1/chat/completions",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: { model: "m", messages: [{ role: "user", content: prompt }] },
    });
    assertEquals(body, { model: "m", messages: [{ role: "user", content: "***" }] });
    assertEquals(headers, { authorization: "***", "content-type": "application/json" });
    for (const [at, spell] of SPELLINGS.entries()) {
      const spelled = spell(`${prompt} (${token})`);
      const bytes = new TextEncoder().encode(spelled);
      const cuts = [
        0,
        ...Array.from({ length: 4 }, () => Math.floor(random() * bytes.length)).sort((a, b) =>
          a - b
        ),
      ];
      const chunks = cuts.map((cut, index) => bytes.slice(cut, cuts[index + 1]));
      const clean = redactChunks(chunks, secrets);
      assertEquals(clean.map(({ length }) => length), chunks.map(({ length }) => length));
      const text = new TextDecoder().decode(Uint8Array.from(clean.flatMap((chunk) => [...chunk])));
      const plain = plainOf(text, at === SPELLINGS.length - 1).toLowerCase().replace(/\s/g, " ");
      for (const secret of [prompt, token]) {
        const folded = secret.toLowerCase().replace(/\s/g, " ");
        const length = secret === token ? 8 : 12;
        for (let start = 0; start + length <= folded.length; start++) {
          const stretch = folded.slice(start, start + length);
          assert(
            !plain.includes(stretch),
            `${JSON.stringify(stretch)} of spelling ${at} is in ${text}`,
          );
        }
      }
      // JSON stays JSON: a masked recording can be read.
      if (at < 4) JSON.parse(text);
    }
  }
});

Deno.test("redaction: the model's own text stays, byte for byte", () => {
  const { secrets } = redactRequest({
    path: "/v1/chat/completions",
    headers: { authorization: "Bearer sk-lm-12345678:abcdefghij0123456789" },
    body: { messages: [{ role: "user", content: 'Say {"role": "user"} and "content": in JSON.' }] },
  });
  const answer = JSON.stringify({
    choices: [{ message: { role: "assistant", content: "Here you are, of my own." } }],
  });
  const [clean] = redactChunks([new TextEncoder().encode(answer)], secrets);
  assertEquals(new TextDecoder().decode(clean), answer);
});

Deno.test("redaction: bytes that are not text are passed on", () => {
  const { secrets } = redactRequest({
    path: "/",
    headers: {},
    body: { input: "a prompt of some length" },
  });
  const bytes = Uint8Array.from({ length: 256 }, (_, at) => at);
  assertEquals(redactChunks([bytes], secrets), [bytes]);
});

/** The contents of all strings in a text; for a stream, joined in order. */
function plainOf(text: string, isStream: boolean): string {
  if (isStream) {
    return [...text.matchAll(/"content":("(?:[^"\\]|\\.)*")/g)].map(([, content = '""']) =>
      JSON.parse(content)
    ).join("");
  }
  let plain = text;
  for (let depth = 0; depth < 3; depth++) {
    plain += plain.replace(
      /\\u([\da-f]{4})/gi,
      (_, code) => String.fromCharCode(parseInt(code, 16)),
    )
      .replace(/\\n/g, "\n").replace(/\\t/g, "\t").replace(/\\(.)/g, "$1");
  }
  return plain;
}
