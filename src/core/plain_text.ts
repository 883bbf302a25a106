/**
 * Text that others wrote: JSON in it, and the form in which it may stand in a message, on one line and with nothing
 * that rewrites that line.
 *
 * @module
 */

/** No JSON, so that nobody takes it for an empty object. */
const TOO_DEEP = "(nested too deeply to be written)";

/**
 * JSON of a value that was JSON; `""` for `undefined`. Runtimes read what is nested thousands of times, but not all of
 * them can write it: Node 20 has no stack for it.
 */
export function jsonText(value: unknown): string {
  try {
    return JSON.stringify(value) ?? "";
  } catch {
    return TOO_DEEP;
  }
}

/** Value of a JSON text; `undefined` for any other text. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * Control characters (of terminals, C1 included), format characters (marks of direction, what has no width), halves of
 * characters, and line ends: what is not seen, but changes how all around it is. Not NUL, which does nothing.
 */
const UNSEEN = /(?:(?!\0)[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}])+/gu;

/** Text on one line, without what cannot be seen in it. */
export function onOneLine(text: string): string {
  return text.replace(/[\s\p{Cc}\p{Cf}\p{Cs}]+/gu, " ").trim();
}

/** Text with blanks in place of what cannot be seen; line breaks and tabs stay where they are wanted. */
export function withoutUnseen(text: string, keep?: "lines"): string {
  return text.replace(
    UNSEEN,
    (unseen) => keep === "lines" && /^[\r\n\t]+$/.test(unseen) ? unseen : " ",
  );
}

/** Start of a text that is longer than `length`, with a sign that it was cut. */
export function cutText(text: string, length: number): string {
  if (text.length <= length) return text;
  // Not between the halves of a character outside the basic plane.
  return `${text.slice(0, length - 1).replace(/[\ud800-\udbff]$/, "")}…`;
}

/** Text as JSON that shows what cannot be seen as escapes. */
export function quoteText(text: string): string {
  return JSON.stringify(text).replace(
    UNSEEN,
    (unseen) => unseen.split("").map(escapeUnit).join(""),
  );
}

function escapeUnit(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** What of a request cannot be written as JSON: the first field that cannot, else all of it. */
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
