/**
 * Masks secrets in a recording: API tokens, header values and prompts, including their echoes in the answer. A mask has as
 * many bytes as the text it replaces, so that body chunks keep their boundaries.
 *
 * @module
 */

import { isRecord } from "../core/fields.ts";
import { isJson } from "../core/plain_text.ts";
import { concatenate } from "../transport/body.ts";
import { decodePercent } from "../transport/redact.ts";

/** Mask character. It needs no escape in JSON, in plain text or in a URL. */
const FILL = 0x78; // x
/** Minimum length of a part of a prompt that counts as its echo. */
const ECHO_LENGTH = 12;
/** Minimum length of a part of a secret that counts as its echo: some servers show the first characters. */
const SECRET_LENGTH = 8;
/** Minimum length of a prompt that is masked as a whole; shorter ones are ordinary words. */
const SHORTEST_PROMPT = 4;

/** Layers of JSON inside JSON strings that are unwrapped. */
const MOST_DEPTH = 3;
/** Of longer texts, mostly images, only this many characters are searched for. */
const LONGEST_SEARCHED = 200_000;

/** Request headers whose values reveal nothing about the sender. */
const PLAIN_HEADERS: ReadonlySet<string> = new Set([
  "accept",
  "accept-encoding",
  "accept-language",
  "cache-control",
  "connection",
  "content-length",
  "content-type",
  "host",
  "origin",
  "access-control-request-headers",
  "access-control-request-method",
  "sec-fetch-mode",
  "transfer-encoding",
  "user-agent",
]);
/** Response headers whose values are private to one client. */
const PRIVATE_ANSWER_HEADERS = /^(?:set-cookie|www-authenticate|authorization|x-request-id)$/i;

/** Request fields that hold names and settings rather than prompts. */
const NAME_FIELDS: ReadonlySet<string> = new Set([
  "model",
  "role",
  "type",
  "object",
  "id",
  "tool_call_id",
  "call_id",
  "previous_response_id",
  "response_format",
  "reasoning_effort",
  "effort",
  "reasoning",
  "tool_choice",
  "encoding_format",
  "detail",
  "format",
  "quantization",
  "instance_id",
  "job_id",
  "status",
]);
/** Fields that hold a JSON Schema. Its names and structure are kept; its descriptions are masked. */
const SCHEMA_FIELDS: ReadonlySet<string> = new Set(["parameters", "schema", "input_schema"]);
const SCHEMA_WORDS: ReadonlySet<string> = new Set(["type", "$ref", "format", "required"]);

/** Texts that must not appear in a recording. */
export interface Secrets {
  /** Masked even if only some of their characters are repeated. */
  readonly tokens: readonly string[];
  /** What the user wrote. */
  readonly prompts: readonly string[];
}

// --- Requests ---------------------------------------------------------------------------------

/** Masks a request, and collects the texts to mask in its answer. */
export function redactRequest(
  { path, headers, body }: {
    readonly path: string;
    readonly headers: Readonly<Record<string, string>>;
    readonly body: unknown;
  },
): { path: string; headers: Record<string, string>; body: unknown; secrets: Secrets } {
  const tokens: string[] = [];
  const prompts: string[] = [];
  const shownHeaders: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    const isPlain = PLAIN_HEADERS.has(name.toLowerCase());
    shownHeaders[name.toLowerCase()] = isPlain ? value : "***";
    if (!isPlain) tokens.push(value, ...value.split(/[\s,;=]+/));
  }
  const [pathname = "", query] = path.split(/\?(.*)/s);
  const shownQuery = query?.replace(/=([^&]*)/g, (_, value: string) => {
    tokens.push(value, decodePercent(value));
    return "=***";
  });
  const shownBody = typeof body === "string"
    ? (prompts.push(body), "***")
    : redactValue(body, "", { tokens, prompts }, false);
  return {
    path: shownQuery === undefined ? pathname : `${pathname}?${shownQuery}`,
    headers: shownHeaders,
    body: shownBody,
    secrets: {
      tokens: tokens.filter((token) => token.length >= SHORTEST_PROMPT),
      prompts: prompts.filter((prompt) => prompt.length >= SHORTEST_PROMPT),
    },
  };
}

function redactValue(
  value: unknown,
  field: string,
  found: { tokens: string[]; prompts: string[] },
  isSchema: boolean,
): unknown {
  if (typeof value === "string") {
    const isName = isSchema ? SCHEMA_WORDS.has(field) : NAME_FIELDS.has(field) || field === "name";
    // A name of several words is text: questions to decision models are named that way.
    if (isName && !/\s/.test(value)) return value;
    found.prompts.push(value);
    return "***";
  }
  if (Array.isArray(value)) return value.map((entry) => redactValue(entry, field, found, isSchema));
  if (!isRecord(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, entry], at) => {
      if (name === "headers" && isRecord(entry)) {
        for (const secret of Object.values(entry)) {
          if (typeof secret === "string") found.tokens.push(secret, ...secret.split(/\s+/));
        }
        return [name, Object.fromEntries(Object.keys(entry).map((key) => [key, "***"]))];
      }
      const value = redactValue(entry, name, found, isSchema || SCHEMA_FIELDS.has(name));
      if (!/\s/.test(name)) return [name, value];
      found.prompts.push(name);
      return [`*** ${at + 1}`, value];
    }),
  );
}

// --- Answers ----------------------------------------------------------------------------------

/** Masks the headers of an answer. */
export function redactHeaders(
  headers: readonly (readonly [string, string])[],
  secrets: Secrets,
): [string, string][] {
  return headers.map(([name, value]) => [
    name,
    PRIVATE_ANSWER_HEADERS.test(name)
      ? "***"
      : new TextDecoder().decode(redactBytes(new TextEncoder().encode(value), secrets)),
  ]);
}

/** Masks the chunks of an answer's body, each keeping its length. */
export function redactChunks(chunks: readonly Uint8Array[], secrets: Secrets): Uint8Array[] {
  const clean = redactBytes(concatenate(chunks), secrets);
  let at = 0;
  return chunks.map(({ length }) => clean.slice(at, at += length));
}

function redactBytes(bytes: Uint8Array, { tokens, prompts }: Secrets): Uint8Array {
  const result = bytes.slice();
  const marks = new Marks(tokens, prompts);
  if (marks.isEmpty) return result;
  // First the raw text, then the content of its JSON strings. The strings of one field are joined, because a stream
  // carries only a few characters per frame.
  const text = spellOut(bytes);
  const strings = readStrings(text.characters);
  const isLoose = looseCharacters(text.characters);
  const fill = ({ starts, ends }: Spelled, at: number): void => {
    result.fill(FILL, starts[at], ends[at]);
  };
  marks.find(text.characters, (from, to, isToken) => {
    for (let at = from; at < to; at++) if (isToken || isLoose(at)) fill(text, at);
  });
  for (const parts of strings) {
    let spelled = joined(parts, text);
    // A backslash may belong to the prompt, so the strings are searched before and after removing each layer of escapes.
    for (let depth = 0;; depth++) {
      const { characters } = spelled;
      marks.find(characters, (from, to) => {
        for (let at = from; at < to; at++) fill(spelled, at);
      });
      if (depth === MOST_DEPTH || !characters.includes("\\")) break;
      spelled = unescaped(spelled);
    }
  }
  return result;
}

/**
 * Tells which characters are outside JSON: those on lines that are not JSON. Inside JSON the raw text is not masked,
 * because a prompt that is itself JSON would mask the braces of an answer.
 */
function looseCharacters(text: string): (at: number) => boolean {
  if (isJson(text)) return () => false;
  const loose: [from: number, to: number][] = [];
  let from = 0;
  for (const line of text.split("\n")) {
    if (!isJson(line.replace(/^\s*data:/, ""))) loose.push([from, from + line.length]);
    from += line.length + 1;
  }
  return (at) => loose.some(([start, end]) => at >= start && at < end);
}

/** Characters, with the bytes that each one stands for. */
interface Spelled {
  readonly characters: string;
  readonly starts: readonly number[];
  readonly ends: readonly number[];
}

/** Decodes bytes to characters; a byte that is not UTF-8 becomes one character. */
function spellOut(bytes: Uint8Array): Spelled {
  const starts: number[] = [];
  const ends: number[] = [];
  const decoder = new TextDecoder();
  let characters = "";
  for (let at = 0; at < bytes.length;) {
    const first = bytes[at] ?? 0;
    const length = first < 0x80 ? 1 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 1;
    const text = length === 1 && first < 0x80
      ? String.fromCharCode(first)
      : decoder.decode(bytes.subarray(at, at + length));
    for (let unit = 0; unit < text.length; unit++) {
      starts.push(at);
      ends.push(Math.min(at + length, bytes.length));
    }
    characters += text;
    at += length;
  }
  return { characters, starts, ends };
}

/** Position of a JSON string's characters in the text. */
interface JsonString {
  readonly from: number;
  readonly to: number;
}

/** Group for keys; no field has this name. */
const KEYS = "\n";
const STRING = /"((?:[^"\\]|\\.)*)"(\s*:)?/gs;

/** The JSON strings of a text, grouped by field. */
function readStrings(text: string): JsonString[][] {
  const byField = new Map<string, JsonString[]>();
  let field = "";
  for (const match of text.matchAll(STRING)) {
    const [, content = "", colon] = match;
    const isKey = colon !== undefined;
    if (isKey) field = content;
    // Keys are structure and are kept, even if a prompt contains them, except those of several words.
    if (isKey && !/\s/.test(content)) continue;
    const from = match.index + 1;
    const group = isKey ? KEYS : field;
    const list = byField.get(group) ?? [];
    list.push({ from, to: from + content.length });
    byField.set(group, list);
  }
  return [...byField.values()];
}

const ESCAPE = /\\(?:u([\da-fA-F]{4})|(.))/gsy;
const ESCAPED: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t", b: "\b", f: "\f" };

/** Joins strings without unescaping them. */
function joined(strings: readonly JsonString[], { characters, starts, ends }: Spelled): Spelled {
  return {
    characters: strings.map(({ from, to }) => characters.slice(from, to)).join(""),
    starts: strings.flatMap(({ from, to }) => starts.slice(from, to)),
    ends: strings.flatMap(({ from, to }) => ends.slice(from, to)),
  };
}

/** Removes one layer of JSON escapes. */
function unescaped({ characters, starts, ends }: Spelled): Spelled {
  const result = { characters: "", starts: [] as number[], ends: [] as number[] };
  for (let at = 0; at < characters.length;) {
    ESCAPE.lastIndex = at;
    const match = ESCAPE.exec(characters);
    const length = match?.[0].length ?? 1;
    const [, code, letter = ""] = match ?? [];
    result.characters += match === null
      ? characters[at]
      : code === undefined
      ? ESCAPED[letter] ?? letter
      : String.fromCharCode(Number.parseInt(code, 16));
    result.starts.push(starts[at] ?? 0);
    result.ends.push(ends[at + length - 1] ?? 0);
    at += length;
  }
  return result;
}

/** Finds secrets and echoes of prompts, whatever their case and white space. */
class Marks {
  /** Substrings by length; tokens and prompts use different lengths. */
  readonly #stretches = new Map<number, Set<string>>();
  readonly #words: readonly string[];

  constructor(tokens: readonly string[], prompts: readonly string[]) {
    const words = new Set<string>();
    const add = (text: string, length: number): void => {
      const start = text.slice(0, LONGEST_SEARCHED);
      for (
        const spelled of new Set([
          start,
          decodePercent(start),
          encodeURIComponent(wellFormed(start)),
        ])
      ) {
        const folded = fold(spelled);
        if (folded.length < length) {
          if (folded.length >= SHORTEST_PROMPT) words.add(folded);
          continue;
        }
        const set = this.#stretches.get(length) ?? new Set<string>();
        this.#stretches.set(length, set);
        for (let at = 0; at + length <= folded.length; at++) set.add(folded.slice(at, at + length));
      }
    };
    for (const token of tokens) add(token, SECRET_LENGTH);
    for (const prompt of prompts) {
      add(prompt, ECHO_LENGTH);
      // Short lines are matched as a whole.
      for (const line of prompt.split(/[\r\n]+/)) {
        if (line.length < ECHO_LENGTH) add(line.trim(), ECHO_LENGTH);
      }
    }
    this.#words = [...words];
  }

  get isEmpty(): boolean {
    return this.#stretches.size === 0 && this.#words.length === 0;
  }

  find(text: string, mark: (from: number, to: number, isToken: boolean) => void): void {
    const folded = fold(text);
    for (const [length, stretches] of this.#stretches) {
      for (let at = 0; at + length <= folded.length; at++) {
        if (stretches.has(folded.slice(at, at + length))) {
          mark(at, at + length, length === SECRET_LENGTH);
        }
      }
    }
    for (const word of this.#words) {
      for (let at = folded.indexOf(word); at !== -1; at = folded.indexOf(word, at + 1)) {
        // Inside a longer word, a short match is a different word.
        if (
          /[\p{L}\p{N}]/u.test(folded[at - 1] ?? "") ||
          /[\p{L}\p{N}]/u.test(folded[at + word.length] ?? "")
        ) continue;
        mark(at, at + word.length, false);
      }
    }
  }
}

/** Folds case and white space one character to one, so that positions stay valid. */
function fold(text: string): string {
  const lower = text.toLowerCase();
  return (lower.length === text.length ? lower : text).replace(/\s/g, " ");
}

function wellFormed(text: string): string {
  return text.replace(
    /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g,
    "?",
  );
}
