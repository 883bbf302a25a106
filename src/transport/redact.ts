/**
 * Keeps secrets and prompts out of what we repeat of a server's words: servers echo tokens, headers and
 * parts of the request in their errors.
 *
 * @module
 */

import { unescapeJson } from "./error_wording.ts";

const MASK = "***";
/** Text this long that also stands in a prompt is taken for an echo of it. */
const ECHO_LENGTH = 16;
/** Prompts shorter than this are ordinary words: masking them would hide the server's message. */
const SHORTEST_PROMPT = 4;
/** What is shown is far shorter; a long body must not be searched whole. */
const SEARCHED_LENGTH = 4096;
/** A secret's first characters, as some servers show them, give enough of it away. */
const SECRET_PREFIX = 8;
/** A body holds JSON as text, twice over at most. */
const MAX_ESCAPES = 3;

const HASH_FACTOR = 0x01000193;
/** `HASH_FACTOR` to the power of `ECHO_LENGTH - 1`, of 32 bits: what the oldest character counts by. */
const OLDEST_FACTOR = Array.from({ length: ECHO_LENGTH - 1 }).reduce<number>(
  (product) => Math.imul(product, HASH_FACTOR),
  1,
);

/** Fields of a request that hold what the user says. */
const PROMPT_FIELDS: ReadonlySet<string> = new Set([
  "messages",
  "input",
  "prompt",
  "suffix",
  "system_prompt",
  "instructions",
]);
/** Fields inside them that hold names, not text. */
const NAME_FIELDS: ReadonlySet<string> = new Set([
  "role",
  "type",
  "id",
  "name",
  "tool_call_id",
  "call_id",
]);

/**
 * A function that masks secrets, and echoes of the prompts in `body`, in any text.
 *
 * @param secrets tokens and header values; those in the `integrations` of `body` are added.
 */
export function createRedactor(
  secrets: readonly string[],
  body: unknown,
): (text: string) => string {
  // Collected on the first error, not per request.
  let prompts: readonly string[] | undefined;
  let hidden: readonly string[] | undefined;
  const mask = (text: string): string => {
    prompts ??= collectPrompts(body);
    hidden ??= [...secrets, ...collectIntegrationHeaders(body)].flatMap(withoutScheme);
    let result = text;
    for (const secret of hidden) result = maskSecret(result, secret);
    for (const prompt of prompts) {
      const word = prompt.trim();
      if (word.length >= SHORTEST_PROMPT && word.length < ECHO_LENGTH) {
        result = maskWord(result, word);
      }
    }
    return maskEchoes(result, prompts);
  };
  return (text) => {
    let shown = mask(text.slice(0, SEARCHED_LENGTH));
    let plain = shown;
    // In JSON and in addresses the same characters are spelled otherwise, in JSON within JSON twice over.
    for (let depth = 0; depth < MAX_ESCAPES && /[\\%]/.test(plain); depth++) {
      plain = unescapeJson(unescapePercent(plain));
      const clean = mask(plain);
      if (clean !== plain) shown = plain = clean;
    }
    return shown;
  };
}

function unescapePercent(text: string): string {
  return text.replace(/(?:%[0-9a-f]{2})+/gi, (encoded) => {
    try {
      return decodeURIComponent(encoded);
    } catch {
      return encoded;
    }
  });
}

/** `Bearer abc` is echoed as a whole or without its scheme; text with more spaces is no credential. */
function withoutScheme(secret: string): string[] {
  const [, ...rest] = secret.split(" ");
  return rest.length === 1 ? [secret, ...rest] : [secret];
}

function maskSecret(text: string, secret: string): string {
  if (secret === "") return text;
  if (secret.length < SECRET_PREFIX) return maskWord(text, secret);
  const prefix = secret.slice(0, SECRET_PREFIX);
  let result = "";
  let from = 0;
  for (let at = text.indexOf(prefix); at !== -1; at = text.indexOf(prefix, from)) {
    let length = prefix.length;
    while (length < secret.length && text[at + length] === secret[length]) length++;
    result += text.slice(from, at) + MASK;
    from = at + length;
    // What goes on in the same word is the rest of it in another spelling, such as `%3A` for a colon.
    while (/[\w%:.*+/=~-]/.test(text[from] ?? "")) from++;
  }
  return result + text.slice(from);
}

/** Masks a short text where it stands alone, not inside another word. */
function maskWord(text: string, word: string): string {
  let result = "";
  let from = 0;
  for (let at = text.indexOf(word); at !== -1; at = text.indexOf(word, at + 1)) {
    const isInside = /\w/.test(text[at - 1] ?? "") || /\w/.test(text[at + word.length] ?? "");
    if (at < from || isInside) continue;
    result += text.slice(from, at) + MASK;
    from = at + word.length;
  }
  return result + text.slice(from);
}

/** Masks every stretch of `ECHO_LENGTH` characters that also stands in a prompt. */
function maskEchoes(text: string, prompts: readonly string[]): string {
  // Found by a hash that moves along the prompts in one pass: searching 4 MB of them for each stretch
  // took 6 s, during which nothing else ran.
  const starts = new Map<number, number[]>();
  // By the low bits of the hash: most stretches of a prompt are not in the text, and this is cheaper to ask.
  const mayHave = new Uint8Array(2 ** 16);
  forEachStretch(text, (hash, start) => {
    mayHave[hash & 0xffff] = 1;
    const others = starts.get(hash);
    if (others === undefined) starts.set(hash, [start]);
    else others.push(start);
  });
  const isEcho = new Uint8Array(text.length);
  for (const prompt of prompts) {
    if (starts.size === 0) break;
    forEachStretch(prompt, (hash, at) => {
      if (mayHave[hash & 0xffff] === 0) return;
      const stretch = prompt.slice(at, at + ECHO_LENGTH);
      const found = starts.get(hash)?.filter((start) => text.startsWith(stretch, start)) ?? [];
      for (const start of found) isEcho.fill(1, start, start + ECHO_LENGTH);
      // Once is enough: a line of dashes would be found at each of its places, in each of its places.
      if (found.length > 0) starts.delete(hash);
    });
  }
  let result = "";
  for (let at = 0, end = 0; at < text.length; at = end) {
    const next = isEcho.indexOf(1 - (isEcho[at] ?? 0), at);
    end = next === -1 ? text.length : next;
    result += isEcho[at] === 1 ? MASK : text.slice(at, end);
  }
  return result;
}

/** Calls back with a hash of each stretch of `ECHO_LENGTH` characters, and where it starts. */
function forEachStretch(text: string, callback: (hash: number, start: number) => void): void {
  let hash = 0;
  for (let at = 0; at < text.length; at++) {
    const leaving = at < ECHO_LENGTH ? 0 : text.charCodeAt(at - ECHO_LENGTH);
    hash = Math.imul(hash - Math.imul(leaving, OLDEST_FACTOR), HASH_FACTOR) + text.charCodeAt(at) |
      0;
    if (at >= ECHO_LENGTH - 1) callback(hash, at - ECHO_LENGTH + 1);
  }
}

function collectPrompts(body: unknown): string[] {
  const prompts: string[] = [];
  const collect = (value: unknown): void => {
    if (typeof value === "string") prompts.push(value);
    else if (typeof value === "object" && value !== null) {
      for (const [name, field] of Object.entries(value)) if (!NAME_FIELDS.has(name)) collect(field);
    }
  };
  if (typeof body === "object" && body !== null) {
    for (const [name, field] of Object.entries(body)) if (PROMPT_FIELDS.has(name)) collect(field);
  }
  return prompts;
}

/** Values of the headers that a native chat hands on to MCP servers. */
function collectIntegrationHeaders(body: unknown): string[] {
  const { integrations } = (body ?? {}) as { readonly integrations?: unknown };
  if (!Array.isArray(integrations)) return [];
  return (integrations as readonly ({ readonly headers?: unknown } | null)[])
    .flatMap((integration) => Object.values(integration?.headers ?? {}))
    .filter((value) => typeof value === "string");
}
