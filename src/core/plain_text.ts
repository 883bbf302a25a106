/**
 * Text from outside: its JSON, and making it safe for messages, on one line and without invisible characters that could
 * rewrite that line.
 *
 * @module
 */

/** Not JSON, so that it is not mistaken for an empty object. */
const TOO_DEEP = "(nested too deeply to write)";

/**
 * Writes a value parsed from JSON as JSON again; `""` for `undefined`. All runtimes can parse values nested thousands
 * of levels deep, but Node 20 runs out of stack writing them.
 */
export function jsonText(value: unknown): string {
  try {
    return JSON.stringify(value) ?? "";
  } catch {
    return TOO_DEEP;
  }
}

/** Parses a JSON text; returns `undefined` for any other text. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Tests whether a text is JSON. */
export function isJson(text: string): boolean {
  return parseJson(text) !== undefined;
}

/**
 * Invisible characters that change how the text around them is shown: control characters (C1 included), format
 * characters (direction marks, zero-width characters), lone surrogates and line separators. Not NUL, which has no
 * effect.
 */
const UNSEEN = /(?:(?!\0)[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}])+/gu;

/** Puts text on one line, without invisible characters. */
export function onOneLine(text: string): string {
  return text.replace(/[\s\p{Cc}\p{Cf}\p{Cs}]+/gu, " ").trim();
}

/** Replaces invisible characters by spaces; with `"lines"`, keeps line breaks and tabs. */
export function withoutUnseen(text: string, keep?: "lines"): string {
  return text.replace(
    UNSEEN,
    (unseen) => keep === "lines" && /^[\r\n\t]+$/.test(unseen) ? unseen : " ",
  );
}

/** Cuts a text that is longer than `length`, and marks the cut with `…`. */
export function cutText(text: string, length: number): string {
  if (text.length <= length) return text;
  // Do not cut a surrogate pair in half.
  return `${text.slice(0, length - 1).replace(/[\ud800-\udbff]$/, "")}…`;
}

/** Quotes text as JSON, with invisible characters as escapes. */
export function quoteText(text: string): string {
  return JSON.stringify(text).replace(
    UNSEEN,
    (unseen) => unseen.split("").map(escapeUnit).join(""),
  );
}

function escapeUnit(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** Names the part of a request that cannot be written as JSON: the first such field, else the whole request. */
export function describeUnwritable(fields: Readonly<Record<string, unknown>>): string {
  const name = Object.keys(fields).find((name) => {
    try {
      JSON.stringify(fields[name]);
      return false;
    } catch {
      return true;
    }
  });
  return `${name === undefined ? "" : `the field "${cutText(name, 60)}" of `}the request`;
}
