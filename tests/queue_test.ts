/** Many calls at once: how many are sent, in which order, and which wait because their model would unload others. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import {
  type CallOptions,
  ConfigurationError,
  FallbackProvider,
  LMStudioProvider,
  type LMStudioProviderOptions,
  LocalProvider,
  type ModelInfo,
  OpenAICompatibleProvider,
  TimeoutError,
  tool,
} from "../mod.ts";
import { type Clock, Queue, type QueuedServer, type Visit } from "../src/server/queue.ts";
import { createFakeLMStudio, type FakeLMStudioOptions } from "../src/testing/mod.ts";
import { runLoad } from "./support/queue_load.ts";
import { rejection } from "./support/wire.ts";

const A = "maker/a";
const B = "maker/b";

/** A fake, its provider, and the number of running requests. */
function provide(options: FakeLMStudioOptions = {}, more: LMStudioProviderOptions = {}) {
  const fake = createFakeLMStudio({ models: [A], firstTokenMs: 10, ...options });
  const seen = { now: 0, most: 0 };
  const fetch = async (input: RequestInfo | URL, init?: RequestInit): Promise<Response> => {
    if (init?.method !== "POST") return await fake.fetch(input, init);
    seen.most = Math.max(seen.most, ++seen.now);
    let isOver = false;
    const over = (): void => {
      if (!isOver) seen.now--;
      isOver = true;
    };
    try {
      const response = await fake.fetch(input, init);
      const reader = response.body?.getReader();
      const body = new ReadableStream<Uint8Array>({
        pull: async (controller) => {
          const next = await reader?.read().catch((error) => {
            over();
            throw error;
          });
          if (next?.value !== undefined) return controller.enqueue(next.value);
          over();
          controller.close();
        },
        cancel: async (reason) => {
          over();
          await reader?.cancel(reason);
        },
      }, { highWaterMark: 0 });
      return new Response(body, response);
    } catch (error) {
      over();
      throw error;
    }
  };
  const lmstudio = new LMStudioProvider({ env: {}, fetch, model: A, ...more });
  return { fake, lmstudio, seen, fetch };
}

const asked = ({ requests }: ReturnType<typeof createFakeLMStudio>) =>
  requests.filter(({ method }) => method === "POST").map(({ body }) =>
    body as {
      model: string;
      messages: { content: string }[];
    }
  );
const listings = ({ requests }: ReturnType<typeof createFakeLMStudio>) =>
  requests.filter(({ method }) => method === "GET").length;
const times = <T>(count: number, make: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, index) => make(index));

Deno.test("queue: 200 requests for three models of which one fits at a time: none is interrupted, and each model loads once", async () => {
  for (const seed of [1, 2, 3]) {
    const load = { requests: 200, models: 3, seed, callers: 200 };
    const { answered, cut, loads, told } = await runLoad({ ...load, isQueued: true });
    assertEquals({ answered, cut }, { answered: 200, cut: 0 });
    assertEquals(loads, 3);
    assert(told >= 190, `${told} were told`);
  }
});

Deno.test("queue: without it such requests unload each other's models", async () => {
  const { cut } = await runLoad({
    requests: 200,
    models: 3,
    seed: 1,
    callers: 200,
    isQueued: false,
  });
  assert(cut > 0);
});

Deno.test("queue: looping callers lose nothing, and share loads", async () => {
  const { answered, loads } = await runLoad({
    requests: 200,
    models: 3,
    seed: 1,
    callers: 24,
    isQueued: true,
  });
  assertEquals(answered, 200);
  // In order of arrival it would be about 130.
  assert(loads <= 60, `${loads} loads`);
});

Deno.test("queue: four generations of a model at once, if no listing gives a number", async () => {
  const { fake, lmstudio, seen } = provide();
  await Promise.all(times(12, () => lmstudio.complete("Hi")));
  assertEquals(seen.most, 4);
  assertEquals(listings(fake), 0);
});

Deno.test("queue: as many at once as the listing allows for the instance", async () => {
  const { fake, fetch, seen } = provide();
  const listing = {
    models: [{
      type: "llm",
      key: A,
      display_name: "A",
      max_context_length: 8192,
      loaded_instances: [
        { id: A, config: { context_length: 4096, parallel: 2 } },
        { id: `${A}:2`, config: { context_length: 4096, parallel: 3 } },
      ],
    }],
  };
  const lmstudio = new LMStudioProvider({
    env: {},
    fetch: async (input, init) =>
      init?.method === "POST" ? await fetch(input, init) : Response.json(listing),
    model: A,
  });
  await lmstudio.listModels();
  await Promise.all(times(8, () => lmstudio.complete("Hi")));
  assertEquals(seen.most, 2);
  await Promise.all(times(8, () => lmstudio.complete({ model: `${A}:2`, messages: "Hi" })));
  assertEquals([seen.most, fake.requests.length], [3, 16]);
});

Deno.test("queue: maxConcurrency covers all models together, and Infinity means no limit", async () => {
  const models = { models: [A, B] };
  const two = provide(models, { maxConcurrency: 2 });
  await Promise.all(
    times(12, (index) => two.lmstudio.complete({ model: index % 2 === 0 ? A : B, messages: "Hi" })),
  );
  assertEquals(two.seen.most, 2);

  const all = provide(models, { maxConcurrency: Infinity });
  await Promise.all(times(12, () => all.lmstudio.complete("Hi")));
  assertEquals(all.seen.most, 12);
});

Deno.test("queue: providers for one address in one program wait for each other", async () => {
  const fake = createFakeLMStudio({ models: [A, B], firstTokenMs: 10 });
  await using server = await fake.listen();
  await using elsewhere = await fake.listen();
  const told: number[] = [];
  const ask = (url: string, own = {}) =>
    new LMStudioProvider({ env: {}, baseUrl: url, maxConcurrency: 1, ...own })
      .complete({ model: A, messages: "Hi" }, { onQueue: ({ position }) => told.push(position) });
  await Promise.all([ask(server.url), ask(elsewhere.url), ask(server.url, { fetch })]);
  assertEquals(told, []);
  await Promise.all([ask(server.url), ask(server.url)]);
  assertEquals(told, [1]);
});

Deno.test("queue: every way to generate counts", async () => {
  const { lmstudio, seen } = provide({}, { maxConcurrency: 1 });
  const { responses, chat } = lmstudio;
  await Promise.all([
    lmstudio.complete("Hi"),
    lmstudio.completeText("Hi"),
    responses.create({ input: "Hi" }),
    chat.send({ input: "Hi" }),
    lmstudio.streamCompletion("Hi").response(),
    lmstudio.streamText("Hi").response(),
    responses.stream({ input: "Hi" }).response(),
    chat.stream({ input: "Hi" }).response(),
    lmstudio.runTools({ messages: "Hi", tools: [] }),
  ]);
  assertEquals(seen.most, 1);
});

Deno.test("queue: requests are sent in order, and onQueue reports their positions", async () => {
  const { fake, lmstudio } = provide({}, { maxConcurrency: 1 });
  const told = times(4, (): number[] => []);
  await Promise.all(
    times(4, (index) =>
      lmstudio.complete(`${index}`, {
        onQueue: ({ position }) => told[index]?.push(position),
      })),
  );
  assertEquals(told, [[], [1], [2, 1], [3, 2, 1]]);
  assertEquals(asked(fake).map(({ messages }) => messages[0]?.content), ["0", "1", "2", "3"]);
});

Deno.test("queue: onStatus reports that a call is waiting", async () => {
  const { lmstudio } = provide({}, { maxConcurrency: 1 });
  const phases: string[] = [];
  await Promise.all([
    lmstudio.complete("Hi"),
    lmstudio.streamCompletion("Hi", { onStatus: ({ phase }) => phases.push(phase) }).response(),
  ]);
  assertEquals(phases, ["waiting", "waiting", "generating"]);
});

Deno.test("queue: an aborted call leaves at once, and the next one takes its place", async () => {
  const { fake, lmstudio } = provide({ firstTokenMs: 50 }, { maxConcurrency: 1 });
  const controller = new AbortController();
  const first = lmstudio.complete("0");
  const positions: number[] = [];
  const second = lmstudio.complete("1", { signal: controller.signal });
  const third = lmstudio.complete("2", { onQueue: ({ position }) => positions.push(position) });
  while (positions.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  const reason = new Error("enough");
  controller.abort(reason);
  assertEquals(await rejection(second), reason);
  assertEquals(asked(fake).length, 1);
  assertEquals(positions, [2, 1]);
  await Promise.all([first, third]);
  assertEquals(asked(fake).map(({ messages }) => messages[0]?.content), ["0", "2"]);
});

Deno.test("queue: a stream that is left while waiting is never sent", async () => {
  const { fake, lmstudio } = provide({ firstTokenMs: 30 }, { maxConcurrency: 1 });
  const first = lmstudio.complete("0");
  const stream = lmstudio.streamCompletion("1");
  const reading = (async () => {
    for await (const _ of stream);
  })();
  const third = lmstudio.complete("2");
  await new Promise((resolve) => setTimeout(resolve, 10));
  await stream.cancel();
  await reading;
  await Promise.all([first, third]);
  assertEquals(asked(fake).map(({ messages }) => messages[0]?.content), ["0", "2"]);
});

Deno.test("queue: a stream holds its place until it ends, is left or fails", async () => {
  const endings: [string, FakeLMStudioOptions, (iterator: AsyncIterator<unknown>) => unknown][] = [
    ["ends", {}, async (iterator) => {
      while ((await iterator.next()).done !== true);
    }],
    ["is left", {}, (iterator) => iterator.return?.()],
    ["fails", {
      faults: [{ path: "/v1/chat/completions", fault: { type: "cut", afterTokens: 1 } }],
    }, async (iterator) => {
      await rejection((async () => {
        while ((await iterator.next()).done !== true);
      })());
    }],
  ];
  for (const [name, options, end] of endings) {
    const { fake, lmstudio } = provide(options, { maxConcurrency: 1, maxRetries: 0 });
    const iterator = lmstudio.streamCompletion("0")[Symbol.asyncIterator]();
    await iterator.next();
    const next = lmstudio.complete("1");
    await new Promise((resolve) => setTimeout(resolve, 20));
    assertEquals(asked(fake).length, 1, name);
    await end(iterator);
    await next;
    assertEquals(asked(fake).length, 2, name);
  }
});

Deno.test("queue: timeoutMs covers the wait, the timeouts of a stream do not", async () => {
  const { fake, lmstudio } = provide({ firstTokenMs: 80 }, { maxConcurrency: 1 });
  const first = lmstudio.complete("0");
  const late = lmstudio.complete("1", { timeoutMs: 20 });
  const stream = lmstudio.streamCompletion("2", {
    connectTimeoutMs: 40,
    firstTokenTimeoutMs: 150,
    timeoutMs: 20,
  });
  const third = lmstudio.streamCompletion("3", { firstTokenTimeoutMs: 150 });
  const answers = Promise.all([stream.response(), third.response()]);
  const error = await rejection(late);
  assert(error instanceof TimeoutError);
  assertEquals([error.code, error.phase, error.timeoutMs, error.retriable], [
    "timeout_total",
    "total",
    20,
    true,
  ]);
  assertEquals(
    error.message.split(". ")[0]?.split(" (")[0],
    `Cannot complete with model "${A}": the request was still queued after 20 ms`,
  );
  assertStringIncludes(error.hint ?? "", "onQueue");
  await first;
  await answers;
  assertEquals(asked(fake).length, 3);
});

Deno.test("queue: an exception from onQueue ends only that call", async () => {
  const { fake, lmstudio } = provide({}, { maxConcurrency: 1 });
  const thrown = new Error("no");
  const first = lmstudio.complete("0");
  const at = lmstudio.complete("1", {
    onQueue: () => {
      throw thrown;
    },
  });
  const later = lmstudio.complete("2", {
    onQueue: () => Promise.reject(thrown) as unknown as void,
  });
  assertEquals(await Promise.all([rejection(at), rejection(later)]), [thrown, thrown]);
  await Promise.all([first, lmstudio.complete("3")]);
  assertEquals(asked(fake).length, 2);
});

Deno.test("queue: loaded models answer side by side", async () => {
  const { fake, lmstudio, seen } = provide({ models: [A, B], firstTokenMs: 40 });
  await Promise.all(
    times(8, (index) => lmstudio.complete({ model: index % 2 === 0 ? A : B, messages: "Hi" })),
  );
  assertEquals([seen.most, listings(fake)], [8, 1]);
});

Deno.test("queue: requests for loaded models keep their order, whichever model they are for", async () => {
  const { fake, lmstudio } = provide({ models: [A, B] }, { maxConcurrency: 1 });
  await Promise.all(
    times(
      10,
      (index) => lmstudio.complete({ model: index % 2 === 0 ? A : B, messages: `${index}` }),
    ),
  );
  assertEquals(asked(fake).map(({ messages }) => Number(messages[0]?.content)), times(10, Number));
});

Deno.test("queue: a model that is not loaded waits until the others are done, in any spelling and for embeddings", async () => {
  const loads: ((lmstudio: LMStudioProvider) => Promise<unknown>)[] = [
    (lmstudio) => lmstudio.complete({ model: B, messages: "Hi" }),
    (lmstudio) => lmstudio.complete({ model: "b", messages: "Hi" }),
    (lmstudio) => lmstudio.embed({ model: "maker/e", input: ["Hi"] }),
  ];
  for (const load of loads) {
    const { lmstudio, seen } = provide({
      models: [{ id: A, loaded: false }, { id: B, loaded: false }, {
        id: "maker/e",
        type: "embedding",
        loaded: false,
      }],
      firstTokenMs: 20,
    }, { onModelSubstituted: "ignore" });
    // The fake knows no short names: only the time of the request matters.
    const stream = lmstudio.streamCompletion({ model: A, messages: "Hi" });
    const iterator = stream[Symbol.asyncIterator]();
    await iterator.next();
    let isOver = false;
    const other = load(lmstudio).catch(() => {}).finally(() => isOver = true);
    await new Promise((resolve) => setTimeout(resolve, 40));
    assertEquals([isOver, seen.most], [false, 1]);
    await stream.response().catch(() => {});
    while ((await iterator.next()).done !== true);
    await other;
  }
});

Deno.test("queue: embeddings keep their own concurrency", async () => {
  const { lmstudio, seen } = provide({ models: [A, { id: "maker/e", type: "embedding" }] }, {
    maxConcurrency: 1,
  });
  await Promise.all([
    lmstudio.embed({ model: "maker/e", input: times(8, String), batchSize: 1, concurrency: 8 }),
    lmstudio.complete("Hi"),
  ]);
  assert(seen.most >= 8, `${seen.most}`);
});

Deno.test("queue: sequential calls fetch no listing, whatever model they name", async () => {
  const { fake, lmstudio } = provide({
    models: [{ id: A, loaded: false }, { id: B, loaded: false }],
  });
  for (const model of [A, B, A]) {
    await lmstudio.complete({ model, messages: "Hi" });
    await lmstudio.streamCompletion({ model, messages: "Hi" }).response();
  }
  assertEquals([asked(fake).length, listings(fake)], [6, 0]);
});

Deno.test("queue: maxConcurrency is a whole number above 0, or Infinity", async () => {
  for (const maxConcurrency of [0, -1, 1.5, NaN, "2", null]) {
    for (
      const make of [
        () => new LMStudioProvider({ env: {}, maxConcurrency: maxConcurrency as number }),
        () => new LocalProvider({ env: {}, maxConcurrency: maxConcurrency as number }),
        () =>
          new OpenAICompatibleProvider({
            name: "x",
            baseUrl: "http://nas",
            maxConcurrency: maxConcurrency as number,
          }),
      ]
    ) {
      const error = await rejection((async () => await Promise.resolve(make()))());
      assert(error instanceof ConfigurationError);
      assertStringIncludes(error.message, "maxConcurrency");
      assertStringIncludes(error.message, "a whole number above 0, or Infinity");
    }
  }
  const options = { onQueue: 1 } as unknown as CallOptions;
  assertStringIncludes(
    (await rejection(new LMStudioProvider({ env: {} }).complete("Hi", options)) as Error).message,
    "onQueue is 1, not a function",
  );
});

Deno.test("queue: other servers have only the limit you set; FallbackProvider passes onQueue on", async () => {
  const { seen, fetch } = provide();
  const given = { name: "x", baseUrl: "http://nas", fetch, model: A };
  await Promise.all(times(12, () => new OpenAICompatibleProvider(given).complete("Hi")));
  assertEquals(seen.most, 12);

  const limited = provide();
  const strict = new OpenAICompatibleProvider({
    ...given,
    fetch: limited.fetch,
    maxConcurrency: 2,
  });
  const positions: number[] = [];
  const onQueue = ({ position }: { position: number }) => positions.push(position);
  await Promise.all(times(3, () => new FallbackProvider([strict]).complete("Hi", { onQueue })));
  assertEquals([limited.seen.most, positions], [2, [1]]);
});

Deno.test("queue: a tool may send requests, and a repair is one more request", async () => {
  const { lmstudio } = provide({
    replies: [{ toolCalls: [{ name: "ask", arguments: {} }] }, "inner", "done", "no JSON", "{}"],
  }, { maxConcurrency: 1 });
  const ask = tool({
    name: "ask",
    execute: async () => (await lmstudio.complete("Inner?")).content,
  });
  const { response } = await lmstudio.runTools({ messages: "Outer?", tools: [ask] });
  assertEquals(response.content, "done");
  const { object } = await lmstudio.completeObject({
    messages: "An object",
    schema: { type: "object" },
    maxRepairs: 1,
  });
  assertEquals(object, {});
});

// --- The queue itself, with simulated time --------------------------------------------------------

/** A queue with simulated time, for a server with some loaded models. */
function bench(loaded: readonly string[] | undefined, maxConcurrency = Infinity) {
  const timers = new Set<{ at: number; onTime: () => void }>();
  const clock: Clock & { time: number } = {
    time: 1000,
    now: () => clock.time,
    startTimer: (ms, onTime) => {
      const timer = { at: clock.time + ms, onTime };
      timers.add(timer);
      return () => timers.delete(timer);
    },
  };
  const listing = (loaded ?? []).map((id) => ({ id, loaded: true }) as ModelInfo);
  const server: QueuedServer = {
    service: "LM Studio",
    config: { baseUrl: "http://127.0.0.1:1234", maxConcurrency },
    usualParallel: 4,
    mayEvict: true,
    recentModels: () => listing,
    listTogether: () => Promise.reject(new Error("none")),
  };
  const queue = new Queue([], clock);
  const sent: string[] = [];
  const visits = new Map<string, Visit>();
  return {
    sent,
    ask(model: string, name: string): void {
      const visit = { server, model, action: "ask", options: {}, isGeneration: true };
      visits.set(name, visit);
      const entered = queue.enter(visit);
      if (entered === undefined) sent.push(name);
      else entered.then(() => sent.push(name), () => {});
    },
    async end(name: string): Promise<void> {
      queue.leave(visits.get(name)!);
      await new Promise((resolve) => setTimeout(resolve, 0));
    },
    leaveUnread(name: string): void {
      visits.get(name)!.unreadSince = clock.time;
    },
    async pass(ms: number): Promise<void> {
      const until = clock.time + ms;
      for (;;) {
        const [next] = [...timers].filter(({ at }) => at <= until).sort((a, b) => a.at - b.at);
        if (next === undefined) break;
        timers.delete(next);
        clock.time = Math.max(clock.time, next.at);
        next.onTime();
        await new Promise((resolve) => setTimeout(resolve, 0));
      }
      clock.time = until;
    },
  };
}

Deno.test("queue: later requests for the loaded model go first, but for a minute at most", async () => {
  const { ask, end, pass, sent } = bench(undefined);
  ask(A, "a1");
  ask(B, "b1");
  await pass(59_000);
  ask(A, "a2");
  await end("a1");
  await pass(2_000);
  ask(A, "a3");
  ask(B, "b2");
  assertEquals(sent, ["a1", "a2"]);
  await end("a2");
  await pass(1);
  assertEquals(sent, ["a1", "a2", "b1", "b2"]);
  // Requests that arrived while it waited follow it, in order.
  await end("b1");
  await end("b2");
  await pass(30);
  assertEquals(sent, ["a1", "a2", "b1", "b2", "a3"]);
});

Deno.test("queue: at most 32 later requests go first", async () => {
  const { ask, end, pass, sent } = bench(undefined, 1);
  ask(A, "a0");
  ask(B, "b");
  for (let index = 0; !sent.includes("b"); index++) {
    assert(index < 40, "starves");
    ask(A, `a${index + 1}`);
    await end(`a${index}`);
    await pass(index < 31 ? 0 : 30);
  }
  assertEquals(sent.length, 34);
});

Deno.test("queue: requests that arrived before the limits were reached count as one group, however many", async () => {
  const { ask, end, pass, sent } = bench(undefined, 1);
  const names = times(100, (index) => `a${index}`);
  ask(A, "a0");
  ask(B, "b");
  for (const name of names.slice(1)) ask(A, name);
  for (const name of names) {
    await end(name);
    await pass(5000);
  }
  assertEquals(sent, [...names, "b"]);
});

Deno.test("queue: with several loaded models, one that is not loaded gets its turn, too", async () => {
  const { ask, end, pass, sent } = bench([A, B], Infinity);
  ask(A, "a0");
  ask(B, "b0");
  ask("maker/c", "c");
  await pass(61_000);
  ask(A, "a1");
  await end("a0");
  ask(A, "a2");
  assertEquals(sent, ["a0", "b0"]);
  await end("b0");
  await pass(1);
  assertEquals(sent, ["a0", "b0", "c"]);
});

Deno.test("queue: before another model loads, the queue waits for callers in a loop", async () => {
  const { ask, end, pass, sent } = bench(undefined);
  ask(A, "a0");
  ask(B, "b");
  await end("a0");
  await pass(10);
  ask(A, "a1");
  assertEquals(sent, ["a0", "a1"]);
  await end("a1");
  await pass(24);
  assertEquals(sent, ["a0", "a1"]);
  await pass(1);
  assertEquals(sent, ["a0", "a1", "b"]);
});

Deno.test("queue: a stream that is never read does not hold its place forever", async () => {
  const { ask, leaveUnread, pass, sent, end } = bench(undefined, 1);
  ask(A, "a0");
  leaveUnread("a0");
  ask(B, "b");
  await pass(9_000);
  assertEquals(sent, ["a0"]);
  await pass(2_000);
  assertEquals(sent, ["a0", "b"]);
  await end("a0");
  await end("b");
});
