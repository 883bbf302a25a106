/**
 * The parts of `@std/testing/types` that the tests use, from the npm package they came from,
 * for networks that reach npm but not JSR. `tests/run.ts` chooses.
 */
export type {
  AssertFalse,
  AssertTrue,
  Has,
  IsAny,
  IsExact,
  IsNever,
  IsNullable,
  IsUnknown,
  NotHas,
} from "npm:conditional-type-checks@^1.0.6";

/** Passes the type check if the type argument is the literal type of the argument. */
export function assertType<T extends boolean>(_expectTrue: T): void {}
