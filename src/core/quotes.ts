/**
 * Quotes around a value: a shell takes them away, an `.env` editor, a container's settings and a copied page do not.
 *
 * @module
 */

const PAIRS: ReadonlySet<string> = new Set(['""', "''", "``", "“”", "„“", "‘’", "‚‘", "«»"]);

/** The text without white space and quotes around it. */
export function unquote(text: string): string {
  let inner = text.trim();
  while (inner.length > 1 && PAIRS.has(`${inner[0]}${inner.at(-1)}`)) {
    inner = inner.slice(1, -1).trim();
  }
  return inner;
}
