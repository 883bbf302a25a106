/**
 * Text that others wrote, as it may stand in a message: on one line, with nothing in it that rewrites that line.
 *
 * @module
 */

/**
 * Control characters (of terminals, C1 included), format characters (marks of direction, what has no width), halves of
 * characters, and line ends: what is not seen, but changes how all around it is. Not NUL, which does nothing.
 */
const UNSEEN = /(?:(?!\0)[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}])+/gu;

/** The text on one line, without what cannot be seen in it. */
export function onOneLine(text: string): string {
  return text.replace(/[\s\p{Cc}\p{Cf}\p{Cs}]+/gu, " ").trim();
}

/** The text with blanks in place of what cannot be seen; line breaks and tabs stay where they are wanted. */
export function withoutUnseen(text: string, keep?: "lines"): string {
  return text.replace(
    UNSEEN,
    (unseen) => keep === "lines" && /^[\r\n\t]+$/.test(unseen) ? unseen : " ",
  );
}

/** The start of a text that is longer than this, and that it goes on. */
export function cutText(text: string, length: number): string {
  if (text.length <= length) return text;
  // Not between the halves of a character outside the basic plane.
  return `${text.slice(0, length - 1).replace(/[\ud800-\udbff]$/, "")}…`;
}

/** The text as JSON that shows what cannot be seen as escapes. */
export function quoteText(text: string): string {
  return JSON.stringify(text).replace(
    UNSEEN,
    (unseen) => unseen.split("").map(escapeUnit).join(""),
  );
}

function escapeUnit(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
