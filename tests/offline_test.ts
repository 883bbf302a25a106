/**
 * What the tests rely on in `@std/*`. This file passes with both the real packages and the adapters of
 * `tests/offline/`, so that no test can pass with one and fail with the other.
 */
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertNotEquals,
  assertObjectMatch,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { parse } from "@std/dotenv";
import { ServerSentEventStream } from "@std/http/server-sent-event-stream";
import { FakeTime } from "@std/testing/time";
import { assertType, type IsExact } from "@std/testing/types";

class Point {
  x = 1;
}

Deno.test("assertEquals: structure, prototypes and keys count", () => {
  const record: Record<string, number> = Object.assign(Object.create(null), { a: 1 });
  const same: [unknown, unknown][] = [
    [0, -0],
    [NaN, NaN],
    [record, { a: 1 }],
    [new Set([{ a: 1 }]), new Set([{ a: 1 }])],
    [new Map([[{ a: 1 }, 2]]), new Map([[{ a: 1 }, 2]])],
    [new Uint8Array([1]), new Uint8Array([1])],
    [new URL("http://a/"), new URL("http://a")],
  ];
  const other: [unknown, unknown][] = [
    [{ a: undefined }, {}],
    [new Point(), { x: 1 }],
    [[1, 2], [2, 1]],
    [new Uint8Array([1]), new Int8Array([1])],
    [new Error("a"), new TypeError("a")],
    [new Date(1), new Date(2)],
  ];
  for (const [a, b] of same) assertEquals(a, b);
  for (const [a, b] of other) {
    assertNotEquals(a, b);
    assertThrows(() => assertEquals(a, b));
  }
  assertThrows(() => assertStrictEquals(0, -0));
});

Deno.test("assertObjectMatch: only the named properties, at every depth", () => {
  assertObjectMatch({ a: { b: 1, c: 2 }, d: [{ e: 1, f: 2 }, 3] }, { a: { b: 1 }, d: [{ e: 1 }] });
  assertThrows(() => assertObjectMatch({ a: { b: 1 } }, { a: { b: 2 } }));
  assertThrows(() => assertObjectMatch({ a: [1] }, { a: [1, 2] }));
  assertThrows(() => assertObjectMatch({}, { a: undefined }));
});

Deno.test("assertRejects: accepts a rejection, not a throw, and returns the error", async () => {
  const error = await assertRejects(
    () => Promise.reject(new TypeError("no way")),
    TypeError,
    "way",
  );
  assertInstanceOf(error, TypeError);
  assertType<IsExact<typeof error, TypeError>>(true);
  const thrower = () => {
    throw new TypeError("no way");
  };
  await assertThrowsLater(() => assertRejects(thrower, TypeError));
  await assertThrowsLater(() => assertRejects(() => Promise.resolve()));
  await assertThrowsLater(() => assertRejects(() => Promise.reject(new Error("a")), TypeError));
  await assertThrowsLater(() => assertRejects(() => Promise.reject(new Error("a")), Error, "b"));
});

async function assertThrowsLater(run: () => Promise<unknown>): Promise<void> {
  const failed = await run().then(() => false, () => true);
  assert(failed);
}

Deno.test("FakeTime: timers run in order, and only when time advances", async () => {
  using time = new FakeTime(1_000);
  const seen: string[] = [];
  const note = (name: string) => seen.push(`${name} ${Date.now()}`);
  setTimeout(() => {
    note("a");
    setTimeout(note, 0, "nested");
  }, 10);
  setTimeout(note, 10, "b");
  const interval = setInterval(note, 10, "i");
  assertEquals(typeof interval, "number");
  clearTimeout(setTimeout(note, 5, "cleared"));
  time.tick(9);
  assertEquals(seen, []);
  time.tick(15);
  assertEquals(seen, ["a 1010", "b 1010", "i 1010", "nested 1010", "i 1020"]);
  clearInterval(interval);

  const signal = AbortSignal.timeout(100);
  await time.nextAsync();
  assertEquals([time.now, signal.aborted], [1_124, true]);
  setTimeout(() => {
    throw new Error("boom");
  }, 1);
  assertThrows(() => time.tick(5), Error, "boom");
  assertEquals(Date.now(), 1_125);
  assert(await FakeTime.restoreFor(() => Date.now()) > 1_000_000);
});

Deno.test("IsExact: tells optional, wider and unknown types apart", () => {
  assertType<IsExact<{ a: 1; b: string }, { a: 1; b: string }>>(true);
  assertType<IsExact<{ a?: 1 }, { a: 1 }>>(false);
  assertType<IsExact<{ a: unknown }, { a: 1 }>>(false);
  assertType<IsExact<"a" | "b", "a">>(false);
});

Deno.test("dotenv and server-sent events: written and read", async () => {
  assertEquals(parse("# c\nA=1\nexport B='x y'\nC=\"a\\nb\"\n"), { A: "1", B: "x y", C: "a\nb" });
  const messages = ReadableStream.from([{ comment: "c" }, { event: "e", data: "1\n2", id: 7 }]);
  const bytes = messages.pipeThrough(new ServerSentEventStream());
  assertEquals(await new Response(bytes).text(), ":c\n\nevent:e\ndata:1\ndata:2\nid:7\n\n");
});
