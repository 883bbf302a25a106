/**
 * The functions of `@std/assert` that the tests use, on `node:assert/strict`,
 * for networks that reach npm but not JSR. `tests/run.ts` chooses.
 */
import nodeAssert, { AssertionError } from "node:assert/strict";
import { inspect } from "node:util";

export { AssertionError };

// deno-lint-ignore no-explicit-any
type Constructor<T> = abstract new (...args: any[]) => T;
type Falsy = false | 0 | 0n | "" | null | undefined;
type Loose = Record<PropertyKey, unknown>;

export function assert(expr: unknown, msg = ""): asserts expr {
  if (!expr) refuse(msg);
}

export function assertFalse(expr: unknown, msg = ""): asserts expr is Falsy {
  if (expr) refuse(msg);
}

export function assertEquals<T>(actual: T, expected: T, msg?: string): void {
  if (equal(actual, expected)) return;
  // Called for its readable diff; it is stricter than `equal`, so it throws as well.
  try {
    nodeAssert.deepEqual(actual, expected);
  } catch (error) {
    const difference = error instanceof Error ? error.message : String(error);
    refuse(`Values are not equal${suffix(msg)}\n${difference}`, actual, expected);
  }
  refuse(
    `Values are not equal${suffix(msg)}\n${inspect(actual)}\n${inspect(expected)}`,
    actual,
    expected,
  );
}

export function assertNotEquals<T>(actual: T, expected: T, msg?: string): void {
  if (!equal(actual, expected)) return;
  refuse(`Expected actual: ${inspect(actual)} not to be: ${inspect(expected)}${suffix(msg)}`);
}

export function assertStrictEquals<T>(
  actual: unknown,
  expected: T,
  msg?: string,
): asserts actual is T {
  try {
    nodeAssert.equal(actual, expected);
  } catch (error) {
    const difference = error instanceof Error ? error.message : String(error);
    refuse(`Values are not strictly equal${suffix(msg)}\n${difference}`, actual, expected);
  }
}

export function assertNotStrictEquals<T>(actual: T, expected: T, msg?: string): void {
  if (!Object.is(actual, expected)) return;
  refuse(`Expected "actual" to not be strictly equal to: ${inspect(actual)}${suffix(msg)}`);
}

export function assertExists<T>(actual: T, msg?: string): asserts actual is NonNullable<T> {
  if (actual !== undefined && actual !== null) return;
  refuse(`Expected actual: "${actual}" to not be null or undefined${suffix(msg)}`);
}

export function assertMatch(actual: string, expected: RegExp, msg?: string): void {
  if (expected.test(actual)) return;
  refuse(`Expected actual: "${actual}" to match: "${expected}"${suffix(msg)}`);
}

export function assertNotMatch(actual: string, expected: RegExp, msg?: string): void {
  if (!expected.test(actual)) return;
  refuse(`Expected actual: "${actual}" to not match: "${expected}"${suffix(msg)}`);
}

export function assertStringIncludes(actual: string, expected: string, msg?: string): void {
  if (actual.includes(expected)) return;
  refuse(`Expected actual: "${actual}" to contain: "${expected}"${suffix(msg)}`);
}

export function assertArrayIncludes<T>(
  actual: ArrayLike<T> & object,
  expected: ArrayLike<T> & object,
  msg?: string,
): void {
  const all = Array.from(actual);
  const missing = Array.from(expected).filter((item) => !all.some((other) => equal(item, other)));
  if (missing.length === 0) return;
  refuse(
    `Expected actual: "${inspect(actual)}" to include: "${inspect(expected)}"${suffix(msg)}\n` +
      `missing: ${inspect(missing)}`,
  );
}

export function assertAlmostEquals(
  actual: number,
  expected: number,
  tolerance: number = Number.isFinite(expected) ? Math.abs(expected * 1e-7) : 1e-7,
  msg?: string,
): void {
  if (Object.is(actual, expected) || Math.abs(expected - actual) <= tolerance) return;
  refuse(
    `Expected actual: "${actual}" to be close to "${expected}" within ${tolerance}${suffix(msg)}`,
  );
}

export function assertGreater<T>(actual: T, expected: T, msg?: string): void {
  if (!(actual > expected)) refuse(msg ?? `Expect ${inspect(actual)} > ${inspect(expected)}`);
}

export function assertGreaterOrEqual<T>(actual: T, expected: T, msg?: string): void {
  if (!(actual >= expected)) refuse(msg ?? `Expect ${inspect(actual)} >= ${inspect(expected)}`);
}

export function assertLess<T>(actual: T, expected: T, msg?: string): void {
  if (!(actual < expected)) refuse(msg ?? `Expect ${inspect(actual)} < ${inspect(expected)}`);
}

export function assertLessOrEqual<T>(actual: T, expected: T, msg?: string): void {
  if (!(actual <= expected)) refuse(msg ?? `Expect ${inspect(actual)} <= ${inspect(expected)}`);
}

export function assertInstanceOf<T extends Constructor<unknown>>(
  actual: unknown,
  expectedType: T,
  msg = "",
): asserts actual is InstanceType<T> {
  if (actual instanceof expectedType) return;
  refuse(
    `Expected object to be an instance of "${expectedType.name}" but was ` +
      `${inspect(actual)}${suffix(msg)}`,
  );
}

/** Passes when every property named in `expected` is in `actual` with an equal value. */
export function assertObjectMatch(
  // deno-lint-ignore no-explicit-any
  actual: Record<PropertyKey, any>,
  expected: Record<PropertyKey, unknown>,
  msg?: string,
): void {
  const [some, all] = [actual, expected].map((from) => pickOwn(from, expected, new Map()));
  assertEquals(some, all, msg);
}

export function assertThrows(fn: () => unknown, msg?: string): unknown;
export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  ErrorClass: Constructor<E>,
  msgIncludes?: string,
  msg?: string,
): E;
export function assertThrows(
  fn: () => unknown,
  classOrMsg?: Constructor<Error> | string,
  msgIncludes?: string,
  msg?: string,
): unknown {
  const note = typeof classOrMsg === "string" ? classOrMsg : msg;
  try {
    fn();
  } catch (error) {
    if (typeof classOrMsg === "function") assertIsError(error, classOrMsg, msgIncludes, msg);
    return error;
  }
  refuse(`Expected function to throw${suffix(note)}`);
}

export function assertRejects(fn: () => PromiseLike<unknown>, msg?: string): Promise<unknown>;
export function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  ErrorClass: Constructor<E>,
  msgIncludes?: string,
  msg?: string,
): Promise<E>;
export async function assertRejects(
  fn: () => PromiseLike<unknown>,
  classOrMsg?: Constructor<Error> | string,
  msgIncludes?: string,
  msg?: string,
): Promise<unknown> {
  const note = typeof classOrMsg === "string" ? classOrMsg : msg;
  let promise: PromiseLike<unknown>;
  try {
    promise = fn();
  } catch {
    refuse(`Function throws when expected to reject${suffix(note)}`);
  }
  // A value that is not a promise is refused, and so is a synchronous throw.
  if (typeof promise?.then !== "function") {
    refuse(`Function throws when expected to reject${suffix(note)}`);
  }
  try {
    await promise;
  } catch (error) {
    if (typeof classOrMsg === "function") assertIsError(error, classOrMsg, msgIncludes, msg);
    return error;
  }
  refuse(`Expected function to reject${suffix(note)}`);
}

export function assertIsError<E extends Error = Error>(
  error: unknown,
  ErrorClass?: Constructor<E>,
  msgMatches?: string | RegExp,
  msg?: string,
): asserts error is E {
  if (!(error instanceof Error)) refuse(`Expected "error" to be an Error object${suffix(msg)}`);
  if (ErrorClass !== undefined && !(error instanceof ErrorClass)) {
    refuse(
      `Expected error to be instance of "${ErrorClass.name}", but was ` +
        `"${error.constructor.name}"${suffix(msg)}`,
    );
  }
  if (!msgMatches) return;
  const matches = typeof msgMatches === "string"
    ? error.message.includes(msgMatches)
    : msgMatches.test(error.message);
  if (matches) return;
  refuse(
    `Expected error message to include ${inspect(msgMatches)}, but got ` +
      `${JSON.stringify(error.message)}${suffix(msg)}`,
  );
}

export function fail(msg?: string): never {
  refuse(`Failed assertion${suffix(msg)}`);
}

export function unreachable(msg?: string): never {
  refuse(`Unreachable${suffix(msg)}`);
}

/**
 * Structural equality as in `@std/assert`, which differs slightly from `node:util`'s: `0` equals `-0`,
 * an object without a prototype equals a plain one, and an `undefined` property is not absent.
 */
export function equal(a: unknown, b: unknown): boolean {
  return same(a, b, new Map());
}

function same(a: unknown, b: unknown, seen: Map<unknown, unknown>): boolean {
  if (a === b || Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (!samePrototype(a, b)) return false;
  if (a instanceof Date && b instanceof Date) return Object.is(a.getTime(), b.getTime());
  if (a instanceof RegExp || a instanceof URL || a instanceof URLSearchParams) {
    return String(a) === String(b);
  }
  if (a instanceof ArrayBuffer && b instanceof ArrayBuffer) {
    return same(new Uint8Array(a), new Uint8Array(b), seen);
  }
  if (ArrayBuffer.isView(a) && !(a instanceof DataView)) {
    const [one, two] = [a, b].map((view) => Array.from(view as unknown as ArrayLike<unknown>));
    return same(one, two, seen);
  }
  if (seen.get(a) === b) return true;
  seen.set(a, b);
  if (a instanceof Set && b instanceof Set) {
    const others = [...b];
    return a.size === b.size && [...a].every((x) => others.some((y) => same(x, y, seen)));
  }
  if (a instanceof Map && b instanceof Map) {
    const others = [...b];
    return a.size === b.size &&
      [...a].every(([key, value]) =>
        b.has(key)
          ? same(value, b.get(key), seen)
          : others.some(([k, v]) => same(key, k, seen) && same(value, v, seen))
      );
  }
  const keys = comparedKeys(a);
  if (keys.size !== comparedKeys(b).size) return false;
  for (const key of keys) {
    if (!(key in b) || !same((a as Loose)[key], (b as Loose)[key], seen)) return false;
  }
  return true;
}

function samePrototype(a: object, b: object): boolean {
  const [pa, pb] = [a, b].map((x) => Object.getPrototypeOf(x) ?? Object.prototype);
  return pa === pb;
}

/** Own keys; for a class instance also those of its prototypes, so that getters count. */
function comparedKeys(value: object): Set<PropertyKey> {
  const keys = new Set<PropertyKey>();
  const plain = Array.isArray(value) || samePrototype(value, {});
  for (
    let object: object | null = value;
    object !== null && object !== Object.prototype;
    object = plain ? null : Object.getPrototypeOf(object)
  ) {
    for (const key of Reflect.ownKeys(object)) {
      keys.add(key);
    }
  }
  return keys;
}

/** The properties of `from` that `by` has. */
function pick(from: unknown, by: unknown, seen: Map<object, unknown>): unknown {
  if (typeof from !== "object" || typeof by !== "object" || from === null || by === null) {
    return from;
  }
  if (seen.has(from)) return seen.get(from);
  if (Array.isArray(from) && Array.isArray(by)) {
    const items: unknown[] = [];
    seen.set(from, items);
    by.slice(0, from.length).forEach((item, i) => items.push(pick(from[i], item, seen)));
    return items;
  }
  if (from instanceof Map && by instanceof Map) {
    const entries = [...from].filter(([key]) => by.has(key));
    return new Map(entries.map(([key, value]) => [key, pick(value, by.get(key), seen)]));
  }
  if (from instanceof Set && by instanceof Set) {
    return new Set([...from].filter((item) => by.has(item)));
  }
  if (from instanceof RegExp || from instanceof Date) return from;
  return pickOwn(from, by, seen);
}

function pickOwn(from: object, by: object, seen: Map<object, unknown>): unknown {
  const picked: Loose = {};
  seen.set(from, picked);
  for (const key of Reflect.ownKeys(by)) {
    if (Object.hasOwn(from, key)) {
      picked[key] = pick((from as Loose)[key], (by as Loose)[key], seen);
    }
  }
  return picked;
}

function suffix(msg: string | undefined): string {
  return msg ? `: ${msg}` : ".";
}

function refuse(message: string, actual?: unknown, expected?: unknown): never {
  throw new AssertionError({ message, actual, expected, stackStartFn: refuse });
}
