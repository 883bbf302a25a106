/**
 * Values of JSON: those that a server sent, read and written again, and whether one is an object.
 *
 * @module
 */

/** Whether a value is an object that is no array. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** No JSON, so that nobody takes it for an empty object. */
const TOO_DEEP = "(nested too deeply to be written)";

/**
 * The JSON of a value that was JSON; `""` for `undefined`. Runtimes read what is nested thousands of times, but not
 * all of them can write it: Node 20 has no stack for it.
 */
export function jsonText(value: unknown): string {
  try {
    return JSON.stringify(value) ?? "";
  } catch {
    return TOO_DEEP;
  }
}

/** The value of a JSON text; undefined when it is none. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
