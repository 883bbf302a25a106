/**
 * Keeps secrets and prompts out of what we repeat of a server's words: servers echo tokens, headers and
 * parts of the request in their errors.
 *
 * @module
 */

const MASK = "***";
/** Text this long that also stands in a prompt is taken for an echo of it. */
const ECHO_LENGTH = 16;
/** Prompts shorter than this are ordinary words: masking them would hide the server's message. */
const SHORTEST_PROMPT = 4;
/** What is shown is far shorter; a long body must not be searched whole. */
const SEARCHED_LENGTH = 4096;
/** A secret's first characters, as some servers show them, give enough of it away. */
const SECRET_PREFIX = 8;

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
const NAME_FIELDS: ReadonlySet<string> = new Set(["role", "type", "id", "tool_call_id", "call_id"]);

/** A function that masks these secrets, and echoes of the prompts in `body`, in any text. */
export function createRedactor(
  secrets: readonly string[],
  body: unknown,
): (text: string) => string {
  let corpus: string | undefined;
  return (text) => {
    let result = text.slice(0, SEARCHED_LENGTH);
    for (const secret of secrets) result = maskSecret(result, secret);
    // Collected on the first error, not per request.
    corpus ??= collectPrompts(body).join("\0");
    return maskEchoes(result, corpus);
  };
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

function maskEchoes(text: string, corpus: string): string {
  let result = text;
  for (const prompt of corpus.split("\0")) {
    const word = prompt.trim();
    if (word.length >= SHORTEST_PROMPT && word.length < ECHO_LENGTH) {
      result = maskWord(result, word);
    }
  }
  let masked = "";
  let from = 0;
  for (let at = 0; at + ECHO_LENGTH <= result.length;) {
    const found = corpus.indexOf(result.slice(at, at + ECHO_LENGTH));
    if (found === -1) {
      at++;
      continue;
    }
    let length = ECHO_LENGTH;
    while (at + length < result.length && result[at + length] === corpus[found + length]) length++;
    masked += result.slice(from, at) + MASK;
    at += length;
    from = at;
  }
  return masked + result.slice(from);
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
