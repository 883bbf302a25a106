/**
 * Redaction of secrets and prompts. Servers echo tokens, headers and parts of the request in their errors, and runtimes
 * put whole addresses and received bytes into theirs. Any text from a server that appears in a message goes through
 * here, be it an error, the name of a model or a tool, or a key of an object.
 *
 * @module
 */

import { isRecord } from "../core/fields.ts";
import { cutText, onOneLine, withoutUnseen } from "../core/plain_text.ts";
import type { CallOptions } from "../core/types.ts";

const MASK = "***";
const MAX_SHOWN_CHARS = 200;
/** Text of this length that also occurs in a prompt counts as an echo of it. */
const ECHO_LENGTH = 16;
/** Prompts shorter than this are ordinary words: masking them would hide the server's message. */
const SHORTEST_PROMPT = 4;
/** Length up to which a body is searched: much less of it is shown. */
const SEARCHED_LENGTH = 4096;
/** Longer than `ECHO_LENGTH` characters, and than most secrets, with each character written as an escape. */
const LOOK_AHEAD = 256;
/** Number of characters at the start or end of a secret that give too much away. Some servers show them. */
const SECRET_PART = 8;

/** Fields of a request that hold the user's text. */
const PROMPT_FIELDS = [
  ...["messages", "input", "prompt", "suffix", "system_prompt", "instructions"],
  // For decisions, and for Anthropic's messages.
  ...["questions", "state", "system"],
];
/** Fields inside these that hold names, not text. */
const NAME_FIELDS = ["role", "type", "id", "name", "tool_call_id", "call_id"];

/**
 * Returns a function that masks secrets, and echoes of the prompts in `body`, in any text, even if JSON, an address or
 * HTML encodes them.
 *
 * @param secrets tokens and header values; those in the `integrations` and `tools` of `body` are added.
 */
export function createRedactor(
  secrets: readonly string[],
  body: unknown,
): (text: string) => string {
  // Collected on the first error, not for each request.
  let hidden: Hidden | undefined;
  return (text) => {
    hidden ??= collectHidden(secrets, body);
    // Look further than what is shown, to recognize an echo at its end.
    const searched = text.slice(0, SEARCHED_LENGTH + LOOK_AHEAD);
    // Everything is searched in the original text: a mask within an echo would leave fragments around it.
    const marks = new Uint8Array(searched.length);
    const spelled = spell(searched);
    const squeezed = withoutBlanks(spelled);
    markWords(spelled, hidden.words, marks);
    for (const secret of hidden.secrets) markSecret(searched, squeezed, secret, marks);
    markEchoes(spelled, hidden.prompts, marks);
    return render(searched.slice(0, SEARCHED_LENGTH), marks);
  };
}

/**
 * Prepares text from a server to be shown: redacted, on one line, at most 200 characters. The order matters, because a
 * secret that is cut is not found.
 *
 * @param redact masks secrets and echoes of prompts: the result of `createRedactor`.
 */
export function showWords(text: string, redact: (text: string) => string): string {
  return cutText(maskKeys(onOneLine(redact(text))), MAX_SHOWN_CHARS);
}

/**
 * Returns a function that prepares a server's words for the errors of a call, with `showWords`.
 *
 * @param body the body of the request, whose prompts are masked.
 */
export function wordsOf(
  server: SecretSettings,
  options: CallOptions,
  body?: Readonly<Record<string, unknown>>,
): (text: string) => string {
  let redact: ((text: string) => string) | undefined;
  return (text) => showWords(text, redact ??= createRedactor(secretsOf(server, options), body));
}

/** Masks credentials, even unknown ones, by the words around them, and parts of a body that JSON parsers quote. */
function maskKeys(text: string): string {
  return text
    .replace(
      /\b((?:(?:api[ _-]?(?:token|key)(?: provided)?|(?:proxy-)?authorization|x-api-key)\W{0,3}[:=]\W{0,3})(?:(?:bearer|basic) )?|bearer )(?!(?:bearer|basic|tokens?|scheme) |\$LM_API_TOKEN)[^\s"'`,;]+/gi,
      "$1***",
    )
    .replace(/\bsk-[\w*.:-]{4,}/gi, "sk-***")
    .replace(/,? ?(?:\.\.\.)?"[^"]{0,100}"(?:\.\.\.)? is not valid JSON/g, " is not valid JSON");
}

// --- Spellings --------------------------------------------------------------------------------

/**
 * Encoded spellings of a text: white space and its escapes, `\\u00e9` and `\\xe9`, other escapes, percent encoding, HTML.
 * Any number of backslashes, or of `25` after a `%`, counts as one escape, so that neither the depth of JSON within JSON
 * matters nor the user's own backslashes. Linear: no run is read twice. A single blank between words is left out: it is
 * by far the most frequent match, and each match costs a call.
 */
const SPELLINGS =
  // deno-lint-ignore no-control-regex -- JSON spells control characters as escapes.
  /(?! (?:[^\s\\\0-\x1f]|$))(?:[\s\0-\x1f]|\\+(?:[nrtbf]|u00[01][\da-fA-F]|u0020)|\\+(?=[\s\0-\x1f]))+|\\+(?:u([\da-fA-F]{4})|x([\da-fA-F]{2}))|\\+|((?:%(?:25)*[\da-fA-F]{2})+)|&(?:(quot|apos|lt|gt|amp)|#(\d{1,5})|#x([\da-fA-F]{1,4}));/g;
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
  if (percent !== undefined) {
    const decoded = decodePercent(percent.replace(/%(?:25)+(?=[\da-f]{2})/gi, "%"));
    return decoded.includes("%") ? decoded : toPlain(decoded);
  }
  if (entity !== undefined) return ENTITIES[entity] ?? "";
  if (decimal !== undefined) return String.fromCharCode(Number(decimal));
  const code = unicode ?? latin ?? hex;
  if (code !== undefined) {
    const character = String.fromCharCode(parseInt(code, 16));
    return character === "\\" ? "" : character;
  }
  return /^\\+$/.test(spelling) ? "" : " ";
}

/** Decodes percent encoding; returns it unchanged if its bytes are not text. */
export function decodePercent(encoded: string): string {
  try {
    return decodeURIComponent(encoded);
  } catch {
    return encoded;
  }
}

/** Decodes a text to its plain spelling. */
function toPlain(text: string): string {
  return text.replace(
    SPELLINGS,
    (spelling, ...groups) => plainSpelling(spelling, ...groups.slice(0, 6)),
  );
}

/** A text in its plain spelling, with the position of each character in the original. */
interface Spelled {
  plain: string;
  readonly starts: number[];
  readonly ends: number[];
}

function spell(text: string): Spelled {
  const spelled: Spelled = { plain: "", starts: [], ends: [] };
  let from = 0;
  for (const match of text.matchAll(SPELLINGS)) {
    const [spelling, ...groups] = match;
    for (; from < match.index; from++) add(spelled, text[from] ?? "", from, from + 1);
    from += spelling.length;
    add(spelled, plainSpelling(spelling, ...groups), match.index, from);
  }
  for (; from < text.length; from++) add(spelled, text[from] ?? "", from, from + 1);
  return spelled;
}

function add(spelled: Spelled, characters: string, start: number, end: number): void {
  spelled.plain += characters;
  for (let at = 0; at < characters.length; at++) {
    spelled.starts.push(start);
    spelled.ends.push(end);
  }
}

/** Removes blanks and case, since a secret may be wrapped anywhere. */
function withoutBlanks({ plain, starts, ends }: Spelled): Spelled {
  const squeezed: Spelled = { plain: "", starts: [], ends: [] };
  for (let at = 0; at < plain.length; at++) {
    if (plain[at] !== " ") add(squeezed, plain[at] ?? "", starts[at] ?? 0, ends[at] ?? 0);
  }
  squeezed.plain = foldCase(squeezed.plain);
  return squeezed;
}

/** Converts to lower case, but only ASCII letters, since some others change their length. */
function foldCase(text: string): string {
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}

// --- Marks ------------------------------------------------------------------------------------

/** Marks short texts where they occur as words in the same case. In another case they are different words. */
function markWords(
  { plain, starts, ends }: Spelled,
  words: ReadonlySet<string>,
  marks: Uint8Array,
): void {
  if (words.size === 0) return;
  for (let at = 0; at < plain.length; at++) {
    if (plain[at] === " " || /\w/.test(plain[at - 1] ?? "")) continue;
    // Look up the text at this position: there may be a hundred thousand words, each a text to embed.
    for (let end = at + ECHO_LENGTH - 1; end > at; end--) {
      if (/\w/.test(plain[end] ?? "") || !words.has(plain.slice(at, end))) continue;
      marks.fill(1, starts[at], ends[end - 1]);
      break;
    }
  }
}

/** Marks the first characters of a secret with as much of the rest as follows, and its last characters alone. */
function markSecret(
  text: string,
  { plain, starts, ends }: Spelled,
  secret: string,
  marks: Uint8Array,
): void {
  const mark = (part: string): void => {
    for (let at = plain.indexOf(part); at !== -1;) {
      let end = at + part.length;
      while (end - at < secret.length && plain[end] === secret[end - at]) end++;
      let behind = ends[end - 1] ?? 0;
      // The rest of the word may be the rest of the secret in an unknown spelling.
      while (/[\w%:.*+/=~-]/.test(text[behind] ?? "")) behind++;
      marks.fill(1, starts[at], behind);
      at = plain.indexOf(part, end);
    }
  };
  mark(secret.slice(0, SECRET_PART));
  // Some servers show the end of a key, so that its owner recognizes it.
  if (secret.length >= 2 * SECRET_PART) mark(secret.slice(-SECRET_PART));
}

const HASH_FACTOR = 0x01000193;
/** `HASH_FACTOR` to the power of `ECHO_LENGTH - 1`, in 32 bits: the factor of the oldest character. */
const OLDEST_FACTOR = Array.from({ length: ECHO_LENGTH - 1 }).reduce<number>(
  (product) => Math.imul(product, HASH_FACTOR),
  1,
);

/** Marks each stretch of `ECHO_LENGTH` characters that also occurs in a prompt. */
function markEchoes(
  { plain: text, starts: from, ends }: Spelled,
  prompts: readonly string[],
  marks: Uint8Array,
): void {
  // Uses a rolling hash in one pass over the prompts. Searching 4 MB of them for each stretch took 6 s, during which
  // nothing else ran.
  const starts = new Map<number, number[]>();
  // Filter by the low bits of the hash: most stretches of a prompt are not in the text, and this check is cheaper.
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
      // Once is enough: each stretch of a line of dashes would match all the others.
      if (found.length > 0) starts.delete(hash);
    });
  }
}

/** Calls back with the hash and the start of each stretch of `ECHO_LENGTH` characters. */
function forEachStretch(text: string, callback: (hash: number, start: number) => void): void {
  let hash = 0;
  for (let at = 0; at < text.length; at++) {
    const leaving = at < ECHO_LENGTH ? 0 : text.charCodeAt(at - ECHO_LENGTH);
    hash = Math.imul(hash - Math.imul(leaving, OLDEST_FACTOR), HASH_FACTOR) + text.charCodeAt(at) |
      0;
    if (at >= ECHO_LENGTH - 1) callback(hash, at - ECHO_LENGTH + 1);
  }
}

/** Replaces each run of marked characters with a mask. */
function render(text: string, marks: Uint8Array): string {
  let result = "";
  for (let at = 0, end = 0; at < text.length; at = end) {
    const next = marks.indexOf(1 - (marks[at] ?? 0), at);
    end = next === -1 ? text.length : Math.min(next, text.length);
    result += marks[at] === 1 ? MASK : text.slice(at, end);
  }
  return result;
}

// --- What is hidden ---------------------------------------------------------------------------

/** Texts to mask, in plain spelling. */
interface Hidden {
  /** Short secrets, and prompts too short to be recognized by a part. */
  readonly words: ReadonlySet<string>;
  /** Long secrets, without case and blanks. */
  readonly secrets: readonly string[];
  /** Prompts, without case. */
  readonly prompts: readonly string[];
}

function collectHidden(given: readonly string[], body: unknown): Hidden {
  const secrets = [...given, ...collectIntegrationSecrets(body)].flatMap(withoutScheme)
    .map((secret) => toPlain(secret).trim()).filter((secret) => secret !== "");
  const prompts = collectPrompts(body).map(toPlain);
  const shortPrompts = prompts.map((prompt) => prompt.trim())
    .filter(({ length }) => length >= SHORTEST_PROMPT && length < ECHO_LENGTH);
  const isLong = (secret: string): boolean => secret.replaceAll(" ", "").length >= SECRET_PART;
  return {
    words: new Set([...secrets.filter((secret) => !isLong(secret)), ...shortPrompts]),
    secrets: secrets.filter(isLong).map((secret) => foldCase(secret.replaceAll(" ", ""))),
    prompts: prompts.map(foldCase),
  };
}

function collectPrompts(body: unknown): string[] {
  const prompts: string[] = [];
  if (typeof body !== "object" || body === null) return prompts;
  // Not recursive, because another client's request may be nested very deeply.
  const waiting: unknown[] = PROMPT_FIELDS.map((name): unknown => Reflect.get(body, name));
  while (waiting.length > 0) {
    const value = waiting.pop();
    if (typeof value === "string") prompts.push(value);
    if (typeof value !== "object" || value === null) continue;
    for (const [name, field] of Object.entries(value)) {
      // Only text is skipped, because a question may have one of these names.
      if (typeof field !== "string" || !NAME_FIELDS.includes(name)) waiting.push(field);
      // Here the names of fields are the choices.
      if (name === "criteria" && isRecord(field)) waiting.push(Object.keys(field));
    }
  }
  return prompts;
}

/**
 * Secrets for MCP servers, in the requests of chat and responses: header values, and parts of addresses that may be a
 * key.
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

/** Settings of a server that must stay secret. */
interface SecretSettings {
  readonly apiToken?: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
}

/** Secrets sent with a call. */
export function secretsOf(server: SecretSettings, options: CallOptions): string[] {
  const headers = [...Object.values(server.headers), ...Object.values(options.headers ?? {})];
  return [server.apiToken ?? "", ...headers].filter((secret) => secret !== "");
}

/** A whole query, and its values that may be keys, unlike `20` or `asc`. */
export function secretsOfQuery(query: string): string[] {
  if (query.length < 2) return [];
  const values = [...new URLSearchParams(query).values()];
  return [query, ...values.filter((value) => value.length >= SECRET_PART)];
}

function secretsOfAddress(address: unknown): string[] {
  if (typeof address !== "string") return [];
  try {
    const { username, password, searchParams } = new URL(address);
    return [username, password, ...searchParams.values()];
  } catch {
    return [];
  }
}

/** `Bearer abc` may be echoed with or without its scheme. Text with more spaces is not a credential. */
function withoutScheme(secret: string): string[] {
  const [, ...rest] = secret.split(" ");
  return rest.length === 1 ? [secret, ...rest] : [secret];
}

// --- Causes -----------------------------------------------------------------------------------

const DEEPEST = 5;
/** Maximum number of values to check in an error, which may carry a whole request. */
const MOST_VALUES = 1000;
/** Fields by which programs tell errors apart. */
const KEPT = ["code", "errno", "syscall", "hostname", "address", "port"] as const;

/**
 * Returns a cause for one of our errors: the original if nothing in it is secret, else a redacted copy.
 *
 * @param redactWords masks secrets in a text.
 */
export function safeCause(
  cause: unknown,
  redactWords: (text: string) => string,
  depth = 0,
): unknown {
  // A certificate or a header may contain characters that overwrite a line in the terminal.
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

/** Whether nothing that is printed of an error, apart from its causes, has to be masked. */
function isHarmless(error: Error, redact: (text: string) => string): boolean {
  const seen = new Set<unknown>([error, error.cause]);
  const waiting: unknown[] = [error.message, error.stack, ...Object.values(error)];
  for (let count = 0; waiting.length > 0; count++) {
    const value = waiting.pop();
    // `redact` also cuts, so a text that long counts as harmful.
    if (count > MOST_VALUES || (typeof value === "string" && redact(value) !== value)) return false;
    if (typeof value !== "object" || value === null || seen.has(value)) continue;
    seen.add(value);
    // One by one: spreading a list of hundreds of thousands would exceed the argument limit of a call.
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
  // Where the copy was made is of no use.
  copy.stack = redact(error.stack ?? `${error.name}: ${message}`);
  return copy;
}
