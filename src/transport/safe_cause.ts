/**
 * What a runtime threw, as the cause of an error of ours: whoever prints an error prints its causes too, and runtimes
 * put the whole address into them (Deno), or the bytes that came, which may be an echo (Node).
 *
 * @module
 */

import { withoutUnseen } from "../core/plain_text.ts";

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
