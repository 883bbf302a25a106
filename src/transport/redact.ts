/**
 * Keeps secrets and prompts out of what we repeat of a server's words: servers echo tokens, headers and
 * parts of the request in their errors. Has the one rule for whatever of a server stands in a message, be it an
 * error's text, the name of a model or a tool, or a key of an object.
 *
 * @module
 */

import { withoutUnseen } from "../core/plain_text.ts";
import { cutText, onOneLine } from "../core/plain_text.ts";
import type { CallOptions } from "../core/types.ts";
import { unescapeJson } from "./error_wording.ts";

const MASK = "***";
const MAX_SHOWN_CHARS = 200;
/** Text this long that also stands in a prompt is taken for an echo of it. */
const ECHO_LENGTH = 16;
/** Prompts shorter than this are ordinary words: masking them would hide the server's message. */
const SHORTEST_PROMPT = 4;
/** What is shown is far shorter; a long body must not be searched whole. */
const SEARCHED_LENGTH = 4096;
/** More than a stretch of `ECHO_LENGTH` characters and than most secrets, each spelled as an escape. */
const LOOK_AHEAD = 256;
/** A secret's first characters, as some servers show them, give enough of it away. */
const SECRET_PREFIX = 8;
/** A body holds JSON as text, twice over at most. */
const MAX_ESCAPES = 3;
const LINE_BREAK = /^(?:\s|\\+[nrt])+/;

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
 * @param secrets tokens and header values; those in the `integrations` and `tools` of `body` are added.
 */
export function createRedactor(
  secrets: readonly string[],
  body: unknown,
): (text: string) => string {
  // Collected on the first error, not per request.
  let prompts: Prompts | undefined;
  let hidden: readonly string[] | undefined;
  const mask = (text: string, shownLength: number): string => {
    prompts ??= readPrompts(collectPrompts(body));
    hidden ??= [...secrets, ...collectIntegrationSecrets(body)].flatMap(withoutScheme);
    // All are looked for in the text as it came: a mask in an echo would leave short pieces beside it.
    const marks = new Uint8Array(text.length);
    for (const secret of hidden) markSecret(text, secret, marks);
    const spelled = spell(text);
    markWords(text, spelled, prompts, marks);
    markEchoes(spelled, prompts.folded, marks);
    return render(text.slice(0, shownLength), marks);
  };
  return (text) => {
    // What goes on behind the end of what is shown tells whether that end is an echo.
    let shown = mask(text.slice(0, SEARCHED_LENGTH + LOOK_AHEAD), SEARCHED_LENGTH);
    let plain = shown;
    // In JSON and in addresses the same characters are spelled otherwise, in JSON within JSON twice over.
    for (let depth = 0; depth < MAX_ESCAPES && /[\\%]/.test(plain); depth++) {
      plain = unescapeJson(unescapePercent(plain));
      const clean = mask(plain, plain.length);
      if (clean !== plain) shown = plain = clean;
    }
    return shown;
  };
}

// --- Showing what a server said ---------------------------------------------------------------

/**
 * Redacted, on one line, at most 200 characters. The order matters: a secret that is cut is not found.
 *
 * @param redact masks secrets and echoes of prompts, as `createRedactor` gives it.
 */
export function showWords(text: string, redact: (text: string) => string): string {
  return cutText(mask(onOneLine(redactEscaped(text, redact))), MAX_SHOWN_CHARS);
}

/**
 * Shows what a server says in the errors of a call, by `showWords`.
 *
 * @param body of the request: an echo of its prompts is masked.
 */
export function wordsOf(
  server: SecretSettings,
  options: CallOptions,
  body?: Readonly<Record<string, unknown>>,
): (text: string) => string {
  const redact = createRedactor(secretsOf(server, options), body);
  return (text) => showWords(text, redact);
}

/** Redacts text that may hold JSON as well: there a prompt has backslashes where its author wrote none. */
function redactEscaped(text: string, redact: (text: string) => string): string {
  let shown = redact(text);
  let plain = shown;
  for (let depth = 0; depth < MAX_ESCAPES && plain.includes("\\"); depth++) {
    plain = unescapeJson(plain);
    const clean = redact(plain);
    if (clean !== plain) shown = plain = clean;
  }
  return shown;
}

/** Removes what a server may echo of credentials and of the request, whatever `redact` knows. */
function mask(text: string): string {
  return text
    .replace(/\b(api[ _-]?(?:token|key)(?: provided)?\W{0,3}[:=]\W{0,3})[^\s"'`,;]+/gi, "$1***")
    .replace(
      /\b(((?:proxy-)?authorization|x-api-key)\W{0,3}[:=]\W{0,3}(?:(?:bearer|basic) )?)(?!(?:bearer|basic) |\$LM_API_TOKEN)[^\s"'`,;]+/gi,
      "$1***",
    )
    .replace(/\b(bearer )(?!\$LM_API_TOKEN|(?:tokens?|scheme) )[^\s"'`,;]+/gi, "$1***")
    .replace(/\bsk-[\w*.:-]{4,}/gi, "sk-***")
    .replace(/,? ?(?:\.\.\.)?"[^"]{0,100}"(?:\.\.\.)? is not valid JSON/g, " is not valid JSON");
}

// --- Spellings --------------------------------------------------------------------------------

/**
 * What one text may be spelled as in another: white space and its escapes, `\\u00e9` and `\\xe9`, other escapes,
 * percent encoding, HTML. Any number of backslashes counts as one escape, so that neither the depth of JSON
 * within JSON matters nor what the user wrote with backslashes. Linear: no run is read twice. A blank between two words
 * is plain already: most of what a prompt has of these, and each one found costs a call.
 */
const SPELLINGS =
  // deno-lint-ignore no-control-regex -- JSON spells control characters as escapes.
  /(?! (?:[^\s\\\0-\x1f]|$))(?:[\s\0-\x1f]|\\+(?:[nrtbf]|u00[01][\da-fA-F]|u0020)|\\+(?=[\s\0-\x1f]))+|\\+u([\da-fA-F]{4})|\\+x([\da-fA-F]{2})|\\+|((?:%[\da-fA-F]{2})+)|&(?:(quot|apos|lt|gt|amp)|#(\d{1,5})|#x([\da-fA-F]{1,4}));/g;
/** Whether a line has any of them. */
// deno-lint-ignore no-control-regex -- as above.
const SPELLED = /[\\%&\t\v\f\0-\x1f]|\s\s|[^\S ]/;
const ENTITIES: Readonly<Record<string, string>> = {
  quot: '"',
  apos: "'",
  lt: "<",
  gt: ">",
  amp: "&",
};

function plainSpelling(
  spelling: string,
  ...[unicode, latin, percent, entity, decimal, hex]: readonly (string | undefined)[]
): string {
  if (percent !== undefined) return unescapePercent(percent);
  if (entity !== undefined) return ENTITIES[entity] ?? "";
  if (decimal !== undefined) return String.fromCharCode(Number(decimal));
  const code = unicode ?? latin ?? hex;
  if (code !== undefined) {
    const character = String.fromCharCode(parseInt(code, 16));
    return character === "\\" ? "" : character;
  }
  return /^\\+$/.test(spelling) ? "" : " ";
}

/** A text in its plain spelling, and where each of its characters stands in the text itself. */
interface Spelled {
  readonly plain: string;
  readonly starts: readonly number[];
  readonly ends: readonly number[];
}

function spell(text: string): Spelled {
  let plain = "";
  const starts: number[] = [];
  const ends: number[] = [];
  const add = (characters: string, start: number, end: number): void => {
    for (let at = 0; at < characters.length; at++) {
      starts.push(start);
      ends.push(end);
    }
    plain += characters;
  };
  let from = 0;
  const copyTo = (end: number): void => {
    for (; from < end; from++) add(text[from] ?? "", from, from + 1);
  };
  for (const match of text.matchAll(SPELLINGS)) {
    const [spelling, ...groups] = match;
    copyTo(match.index);
    from += spelling.length;
    add(plainSpelling(spelling, ...groups), match.index, from);
  }
  copyTo(text.length);
  return { plain, starts, ends };
}

/** What is looked for of the prompts, all in plain spelling. */
interface Prompts {
  /** Without case: folded once, and not again for each text that is masked. */
  readonly folded: readonly string[];
  /** Whole prompts that are too short for an echo of a part. */
  readonly words: ReadonlySet<string>;
  /** Whole lines of prompts, as short. */
  readonly lines: ReadonlySet<string>;
}

function readPrompts(prompts: readonly string[]): Prompts {
  const isShort = (text: string): boolean =>
    text.length >= SHORTEST_PROMPT && text.length < ECHO_LENGTH;
  const toPlain = (text: string): string =>
    text.replace(
      SPELLINGS,
      (spelling, ...groups) => plainSpelling(spelling, ...groups.slice(0, 6)),
    );
  const plain = prompts.map(toPlain);
  const lines = new Set<string>();
  for (const prompt of prompts) {
    if (!/[\r\n]/.test(prompt)) continue;
    // Each once: logs and tables say the same a thousand times.
    for (const line of new Set(prompt.split(/[\r\n]+/))) {
      // Longer ones are echoes by themselves; escapes make a line no more than 6 times as long.
      if (line.length > 6 * ECHO_LENGTH) continue;
      const word = (SPELLED.test(line) ? toPlain(line) : line).trim();
      if (isShort(word)) lines.add(word);
    }
  }
  return {
    folded: plain.map(foldCase),
    words: new Set(plain.map((text) => text.trim()).filter(isShort)),
    lines,
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

function render(text: string, marks: Uint8Array): string {
  let result = "";
  for (let at = 0, end = 0; at < text.length; at = end) {
    const next = marks.indexOf(1 - (marks[at] ?? 0), at);
    end = next === -1 ? text.length : Math.min(next, text.length);
    result += marks[at] === 1 ? MASK : text.slice(at, end);
  }
  return result;
}

function markSecret(text: string, secret: string, marks: Uint8Array): void {
  if (secret === "") return;
  const isShort = secret.length < SECRET_PREFIX;
  // Of a short one another case is another word.
  const [where, what] = isShort ? [text, secret] : [foldCase(text), foldCase(secret)];
  const prefix = what.slice(0, SECRET_PREFIX);
  let from = 0;
  for (let at = where.indexOf(prefix); at !== -1; at = where.indexOf(prefix, from)) {
    from = endOfSecret(where, at + prefix.length, what.slice(prefix.length));
    if (isShort) {
      if (isInsideWord(text, at, from)) continue;
    } else {
      // What goes on in the same word is the rest of it in another spelling, such as `%3A` for a colon.
      while (/[\w%:.*+/=~-]/.test(text[from] ?? "")) from++;
    }
    marks.fill(1, at, from);
  }
  // Some show the end of a key, so that its owner knows which it is.
  if (what.length < 2 * SECRET_PREFIX) return;
  const end = what.slice(-SECRET_PREFIX);
  for (let at = where.indexOf(end); at !== -1; at = where.indexOf(end, at + 1)) {
    marks.fill(1, at, at + end.length);
  }
}

/** How far a secret goes on, lines that it is broken into included. */
function endOfSecret(text: string, start: number, rest: string): number {
  let end = start;
  for (const character of rest) {
    const [space = ""] = text[end] === character
      ? []
      : LINE_BREAK.exec(text.slice(end, end + 16)) ?? [];
    if (text[end + space.length] !== character) break;
    end += space.length + 1;
  }
  return end;
}

/** ASCII letters alone: of others some change their length. */
function foldCase(text: string): string {
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}

/** Whether a short text is but a part of another word. */
function isInsideWord(text: string, start: number, end: number): boolean {
  return /\w/.test(text[start - 1] ?? "") || /\w/.test(text[end] ?? "");
}

/** Marks short prompts, and short lines where they stand as a line or in quotes: else they are but words. */
function markWords(text: string, spelled: Spelled, prompts: Prompts, marks: Uint8Array): void {
  const { words, lines } = prompts;
  const { plain, starts, ends } = spelled;
  if (words.size === 0 && lines.size === 0) return;
  for (let at = 0; at < plain.length; at++) {
    if (plain[at] === " " || /\w/.test(plain[at - 1] ?? "")) continue;
    for (let length = ECHO_LENGTH - 1; length >= SHORTEST_PROMPT; length--) {
      const end = at + length;
      const word = plain.slice(at, end);
      if (word.length < length || !(words.has(word) || lines.has(word))) continue;
      const start = starts[at] ?? 0;
      const behind = ends[end - 1] ?? 0;
      if (isInsideWord(plain, at, end)) continue;
      if (!words.has(word) && !isLine(text, start, behind)) continue;
      marks.fill(1, start, behind);
      break;
    }
  }
}

function isLine(text: string, start: number, end: number): boolean {
  const before = text.slice(Math.max(0, start - 8), start);
  const after = text.slice(end, end + 8);
  return (start === 0 && end === text.length) ||
    /(?:[\r\n"'`]|\\[nr]|\*\*\*)[ \t]*$/.test(before) ||
    /^[ \t]*(?:[\r\n"'`]|\\+[nr"]|\*\*\*)/.test(after);
}

/** Marks every stretch of `ECHO_LENGTH` characters that also stands in a prompt. */
function markEchoes(
  { plain: text, starts: from, ends }: Spelled,
  prompts: readonly string[],
  marks: Uint8Array,
): void {
  // Found by a hash that moves along the prompts in one pass: searching 4 MB of them for each stretch
  // took 6 s, during which nothing else ran.
  const starts = new Map<number, number[]>();
  // By the low bits of the hash: most stretches of a prompt are not in the text, and this is cheaper to ask.
  const mayHave = new Uint8Array(2 ** 16);
  const folded = foldCase(text);
  forEachStretch(folded, (hash, start) => {
    mayHave[hash & 0xffff] = 1;
    const others = starts.get(hash);
    if (others === undefined) starts.set(hash, [start]);
    else others.push(start);
  });
  for (const prompt of prompts) {
    if (starts.size === 0) break;
    forEachStretch(prompt, (hash, at) => {
      if (mayHave[hash & 0xffff] === 0) return;
      const others = starts.get(hash);
      if (others === undefined) return;
      const stretch = prompt.slice(at, at + ECHO_LENGTH);
      const found = others.filter((start) => folded.startsWith(stretch, start));
      for (const start of found) marks.fill(1, from[start], ends[start + ECHO_LENGTH - 1]);
      // Once is enough: a line of dashes would be found at each of its places, in each of its places.
      if (found.length > 0) starts.delete(hash);
    });
  }
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
  if (typeof body !== "object" || body === null) return prompts;
  // Not by recursion: what another client sends may be nested without end.
  const waiting: unknown[] = Object.entries(body)
    .flatMap(([name, field]) => PROMPT_FIELDS.has(name) ? [field] : []);
  for (
    let value = waiting.pop();
    waiting.length > 0 || value !== undefined;
    value = waiting.pop()
  ) {
    if (typeof value === "string") prompts.push(value);
    if (typeof value !== "object" || value === null) continue;
    for (const [name, field] of Object.entries(value)) {
      if (!NAME_FIELDS.has(name)) waiting.push(field);
    }
  }
  return prompts;
}

/**
 * What the server is to hand on to MCP servers, of a native chat and of responses: values of headers, and what in
 * their addresses may be a key.
 */
function collectIntegrationSecrets(body: unknown): string[] {
  const { integrations, tools } = (body ?? {}) as { readonly [field: string]: unknown };
  const servers = [integrations, tools].filter(Array.isArray)
    .flat() as readonly (Integration | null)[];
  return servers
    .flatMap((integration) => [
      ...Object.values(integration?.headers ?? {}),
      ...secretsOfAddress(integration?.server_url),
    ])
    .filter((value) => typeof value === "string");
}

interface Integration {
  readonly headers?: unknown;
  readonly server_url?: unknown;
}

/** What of a server's settings nobody else is to see. */
interface SecretSettings {
  readonly apiToken?: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
}

/** What is sent with a call that nobody else is to see. */
export function secretsOf(server: SecretSettings, options: CallOptions): string[] {
  const headers = [...Object.values(server.headers), ...Object.values(options.headers ?? {})];
  return [server.apiToken ?? "", ...headers].filter((secret) => secret !== "");
}

/** A query as a whole, and what in it may be a key: `20` and `asc` are words. */
export function secretsOfQuery(query: string): string[] {
  if (query.length < 2) return [];
  const values = [...new URLSearchParams(query).values()];
  return [query, ...values.filter((value) => value.length >= SECRET_PREFIX)];
}

function secretsOfAddress(address: unknown): string[] {
  if (typeof address !== "string") return [];
  try {
    const { username, password, searchParams } = new URL(address);
    return [username, password, ...searchParams.values()].filter((part) => part !== "");
  } catch {
    return [];
  }
}

// --- from safe_cause ---

const DEEPEST = 5;
/** What is looked at of what others hang on their errors, such as a whole request. */
const MOST_VALUES = 1000;
/** What programs tell failures apart by. */
const KEPT = ["code", "errno", "syscall", "hostname", "address", "port"] as const;

/**
 * The cause itself where nothing in it is secret, else a copy that has only what is not.
 *
 * @param redact masks secrets in a text.
 */
export function safeCause(
  cause: unknown,
  redactWords: (text: string) => string,
  depth = 0,
): unknown {
  // A certificate or a header may have put in what rewrites a terminal's line.
  const redact = (text: string): string => withoutUnseen(redactWords(text), "lines");
  if (typeof cause === "string") return redact(cause);
  if (!(cause instanceof Error)) return cause;
  if (depth > DEEPEST) return undefined;
  const inner = safeCause(cause.cause, redact, depth + 1);
  const parts: unknown = Reflect.get(cause, "errors");
  const safeParts = Array.isArray(parts)
    ? parts.map((part) => safeCause(part, redact, depth + 1))
    : undefined;
  const isSafe = inner === cause.cause &&
    (safeParts ?? []).every((part, index) => part === (parts as unknown[])[index]) &&
    isHarmless(cause, redact);
  return isSafe ? cause : copyOf(cause, inner, safeParts, redact);
}

/** Whether nothing that is printed of an error, but for its causes, has to be masked. */
function isHarmless(error: Error, redact: (text: string) => string): boolean {
  const seen = new Set<unknown>([error, error.cause]);
  const waiting: unknown[] = [error.message, error.stack, ...Object.values(error)];
  for (let count = 0; waiting.length > 0; count++) {
    const value = waiting.pop();
    // `redact` also cuts: what is that long is not known to be harmless.
    if (count > MOST_VALUES || (typeof value === "string" && redact(value) !== value)) return false;
    if (typeof value !== "object" || value === null || seen.has(value)) continue;
    seen.add(value);
    // One by one: a list of hundreds of thousands is more than a call takes arguments.
    const add = (part: unknown): void => void waiting.push(part);
    if (value instanceof Headers || value instanceof Map) [...value].flat().forEach(add);
    if (!(value instanceof Uint8Array)) Object.values(value).forEach(add);
  }
  return true;
}

function copyOf(
  error: Error,
  cause: unknown,
  errors: unknown[] | undefined,
  redact: (text: string) => string,
): Error {
  const options = cause === undefined ? {} : { cause };
  const message = redact(error.message);
  const copy = errors === undefined
    ? new Error(message, options)
    : new AggregateError(errors, message, options);
  const fields: Record<string, unknown> = { name: error.name };
  for (const name of KEPT) {
    const value: unknown = Reflect.get(error, name);
    if (typeof value === "number") fields[name] = value;
    if (typeof value === "string") fields[name] = redact(value);
  }
  for (const [name, value] of Object.entries(fields)) {
    Object.defineProperty(copy, name, { value, configurable: true, writable: true });
  }
  // The place where the copy was made tells nothing.
  copy.stack = redact(error.stack ?? `${error.name}: ${message}`);
  return copy;
}
