/**
 * Properties checked on random cases, for the tests and for `deno task fuzz`. A failure names the case and the command
 * that repeats it.
 */
import fc from "npm:fast-check@^4.11.0";

export { fc };

/** One property, and its share of all cases. */
export interface Property {
  readonly name: string;
  /** Cases of this property per 100 000. */
  readonly share: number;
  make(): fc.IRawProperty<unknown>;
}

/** A property of one random value, which is printed on failure. */
export function property<T>(
  name: string,
  share: number,
  drawn: fc.Arbitrary<T>,
  hold: (value: T) => void | Promise<void>,
): Property {
  const make = (): fc.IRawProperty<unknown> =>
    fc.asyncProperty(drawn, async (value) => {
      await inTime(async () => await hold(value));
      checkPrototypes();
      checkUnhandled();
    }) as fc.IRawProperty<unknown>;
  return { name, share, make };
}

/** Result of a run. */
export interface Outcome {
  readonly name: string;
  readonly cases: number;
  readonly seed: number;
  readonly ms: number;
  /** Absent if the property holds. */
  readonly failure?: string;
}

/** Runs a number of cases of a property. @param path of one case, as printed by a failure. */
export async function runProperty(
  { name, make }: Property,
  cases: number,
  seed: number,
  path?: string,
): Promise<Outcome> {
  const startedAt = performance.now();
  const details = await observingRejections(async () =>
    await fc.check(make(), {
      numRuns: cases,
      seed,
      // The search for a smaller case must end even if each of them hangs.
      interruptAfterTimeLimit: Math.max(60_000, cases * 100),
      ...path === undefined ? {} : { path },
    })
  );
  const outcome = { name, cases: details.numRuns, seed, ms: performance.now() - startedAt };
  if (!details.failed) return outcome;
  const error = details.errorInstance;
  const failure = details.counterexample === null
    ? `${name}: was not over in time`
    : `${name}: does not hold after ${details.numRuns} cases\n` +
      `  again: deno task fuzz --only ${name} --seed ${seed} --path ${details.counterexamplePath}\n` +
      `  case: ${cut(fc.stringify(details.counterexample))}\n` +
      `  ${cut(error instanceof Error ? error.stack ?? error.message : String(error))}`;
  return { ...outcome, failure };
}

/** A failure of a property. */
export class Broken extends Error {
  override readonly name = "Broken";
}

/** Fails the case. */
export function check(holds: boolean, message: string | (() => string)): asserts holds {
  if (!holds) throw new Broken(typeof message === "string" ? message : message());
}

/** Fails the case if two values print differently. */
export function checkSame(actual: unknown, expected: unknown, what: string): void {
  const [one, other] = [show(actual), show(expected)];
  check(one === other, () => `${what}\n  is        ${cut(one)}\n  should be ${cut(other)}`);
}

/** A value as text, including lone surrogates and `undefined`. */
export function show(value: unknown): string {
  return fc.stringify(value);
}

function cut(text: string): string {
  return text.length > 3000 ? `${text.slice(0, 3000)}… (${text.length} characters)` : text;
}

/** Many times as long as a case takes: anything longer is a hang. */
const CASE_LIMIT_MS = 10_000;

async function inTime(run: () => Promise<void>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const startedAt = performance.now();
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Broken("a call hangs")), CASE_LIMIT_MS);
  });
  try {
    await Promise.race([run(), late]);
  } finally {
    clearTimeout(timer);
  }
  const took = performance.now() - startedAt;
  check(took < CASE_LIMIT_MS, () => `a call takes ${took} ms`);
}

const PROTOTYPES = [Object, Array, String, Number, Function, Promise, Error, Map, Set].map(
  ({ prototype }) => ({ prototype: prototype as object, keys: keysOf(prototype) }),
);

function keysOf(prototype: object): string {
  return Reflect.ownKeys(prototype).map(String).join();
}

function checkPrototypes(): void {
  for (const { prototype, keys } of PROTOTYPES) {
    check(keysOf(prototype) === keys, () => `a prototype is changed: ${keysOf(prototype)}`);
  }
}

let unhandled: unknown[] = [];

async function observingRejections<T>(run: () => Promise<T>): Promise<T> {
  const observe = (event: PromiseRejectionEvent): void => {
    event.preventDefault();
    unhandled.push(event.reason);
  };
  globalThis.addEventListener("unhandledrejection", observe);
  try {
    const result = await run();
    // Unhandled rejections are reported after the microtasks of the last case.
    await new Promise((resolve) => setTimeout(resolve, 0));
    checkUnhandled();
    return result;
  } finally {
    globalThis.removeEventListener("unhandledrejection", observe);
  }
}

function checkUnhandled(): void {
  const reasons = unhandled;
  unhandled = [];
  check(
    reasons.length === 0,
    () => `nobody handles ${reasons.map((reason) => Deno.inspect(reason)).join()}`,
  );
}
