/**
 * Thousands of streams, many at a time, that end in every possible way: read, abandoned, aborted, broken off, timed out.
 * `deno task soak [--streams 10000] [--parallel 64] [--seed N]` reports memory, sockets and listeners.
 */
import { isProviderError, LMStudioProvider } from "../../mod.ts";
import { randomizer } from "../support/random.ts";
import { listenElsewhere, type Servers } from "./servers.ts";

/** How the streams ended, and what they left behind. */
export interface Soaked {
  readonly streams: number;
  /** Streams by how they ended. */
  readonly ends: Readonly<Record<string, number>>;
  /** Unhandled rejections, and errors that are not ours. */
  readonly faults: readonly string[];
  /** Listeners that calls left on a signal that outlives them. */
  readonly listeners: number;
  /** Answers that a server is still writing although nobody reads them. */
  readonly unfinished: number;
}

/** Settings of a soak. */
export interface SoakOptions {
  readonly streams: number;
  readonly parallel: number;
  readonly seed: number;
  /** Timeouts are this many times longer: on a machine that is busy with other tests every stream would time out. */
  readonly patience?: number;
  /** Called after every thousand streams. */
  readonly onThousand?: (streams: number) => void;
}

const REASON = new Error("aborted by the soak");

/** A signal that a whole program shares, with a count of its listeners. */
function sharedSignal(): { signal: AbortSignal; listeners(): number } {
  const { signal } = new AbortController();
  let count = 0;
  const { addEventListener, removeEventListener } = signal;
  signal.addEventListener = function (...args: Parameters<typeof addEventListener>) {
    count++;
    addEventListener.apply(signal, args);
  } as typeof addEventListener;
  signal.removeEventListener = function (...args: Parameters<typeof removeEventListener>) {
    count--;
    removeEventListener.apply(signal, args);
  } as typeof removeEventListener;
  return { signal, listeners: () => count };
}

/** Runs the streams against the servers. */
export async function soak(
  servers: Servers,
  { streams, parallel, seed, patience = 1, onThousand }: SoakOptions,
): Promise<Soaked> {
  const random = randomizer(seed);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
  const ends: Record<string, number> = {};
  const faults: string[] = [];
  const shared = sharedSignal();
  const onUnhandled = (event: PromiseRejectionEvent): void => {
    event.preventDefault();
    faults.push(`unhandled: ${Deno.inspect(event.reason)}`);
  };
  globalThis.addEventListener("unhandledrejection", onUnhandled);
  const providers = servers.urls.map((baseUrl) =>
    new LMStudioProvider({
      env: {},
      baseUrl,
      model: "m",
      maxRetries: 0,
      firstTokenTimeoutMs: 150 * patience,
      idleTimeoutMs: 80 * patience,
    })
  );
  const open = {
    streamCompletion: (lmstudio: LMStudioProvider, signal: AbortSignal) =>
      lmstudio.streamCompletion("Hello", { signal }),
    streamText: (lmstudio: LMStudioProvider, signal: AbortSignal) =>
      lmstudio.streamText("Hello", { signal }),
    chat: (lmstudio: LMStudioProvider, signal: AbortSignal) =>
      lmstudio.chat.stream({ input: "Hello" }, { signal }),
    responses: (lmstudio: LMStudioProvider, signal: AbortSignal) =>
      lmstudio.responses.stream({ input: "Hello" }, { signal }),
  };
  const one = async (): Promise<void> => {
    const how = pick([
      "read",
      "read",
      "response",
      "leave",
      "abort",
      "abort",
      "cancel",
      "readable",
      "started",
      "never",
    ]);
    const controller = new AbortController();
    const signal = how === "abort" ? controller.signal : shared.signal;
    const start = pick(Object.values(open));
    const stream = start(pick(providers), signal);
    const most = Math.floor(random() * 6);
    const delay = random() * 30;
    try {
      switch (how) {
        case "response":
          await stream.response();
          break;
        case "readable": {
          const reader = stream.toReadableStream().getReader();
          for (let count = 0; count < most; count++) await reader.read();
          await reader.cancel();
          break;
        }
        case "started":
          await stream.started();
          await stream[Symbol.asyncDispose]();
          break;
        case "never":
          break;
        default: {
          if (how === "abort") setTimeout(() => controller.abort(REASON), delay);
          if (how === "cancel") setTimeout(() => void stream.cancel(), delay);
          let count = 0;
          for await (const _ of stream) if (how === "leave" && ++count > most) break;
        }
      }
      ends[how] = (ends[how] ?? 0) + 1;
    } catch (error) {
      const end = error === REASON ? "aborted" : isProviderError(error) ? error.code : "foreign";
      ends[end] = (ends[end] ?? 0) + 1;
      if (end === "foreign") faults.push(Deno.inspect(error));
    }
  };
  let started = 0;
  let done = 0;
  const worker = async (): Promise<void> => {
    while (started < streams) {
      started++;
      await one();
      if (++done % 1000 === 0) onThousand?.(done);
    }
  };
  try {
    await Promise.all(Array.from({ length: parallel }, worker));
    // A call made now, on its own, has nothing to wait for.
    await Promise.all(providers.map(async (lmstudio, index) => {
      const onQueue = (): void => {
        faults.push(`server ${index}: a place in the queue is not given back`);
      };
      const stream = lmstudio.streamCompletion("Hello", { onQueue });
      await stream.started().catch(() => {});
      await stream.cancel();
    }));
    // Aborts later than their stream still have to fire, and the servers have to notice the earlier ones.
    let unfinished = await servers.unfinished();
    for (let wait = 0; wait < 40 && unfinished > 0; wait++) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      unfinished = await servers.unfinished();
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
    return { streams: done, ends, faults, listeners: shared.listeners(), unfinished };
  } finally {
    globalThis.removeEventListener("unhandledrejection", onUnhandled);
  }
}

/** Open TCP connections of this process; `undefined` if they cannot be counted. */
export function openSockets(): number | undefined {
  try {
    const table = Deno.readTextFileSync("/proc/self/net/tcp");
    const inodes = new Set(table.split("\n").slice(1).map((line) => line.trim().split(/\s+/)[9]));
    const links = [...Deno.readDirSync("/proc/self/fd")].map(({ name }) => {
      try {
        return Deno.readLinkSync(`/proc/self/fd/${name}`);
      } catch {
        return "";
      }
    });
    return links.filter((link) => inodes.has(/^socket:\[(\d+)\]$/.exec(link)?.[1] ?? "none"))
      .length;
  } catch {
    return undefined;
  }
}

/** Memory in use after garbage collection, in MB, so that the time of a collection does not matter. */
function heapMb(): number {
  const { gc } = globalThis as { gc?: () => void };
  gc?.();
  return Math.round(Deno.memoryUsage().heapUsed / 1e5) / 10;
}

/** Number of streams after which caches and pools have reached their size. */
const WARM_UP = 2000;
/** How much the heap may grow after that. */
const MOST_GROWTH_MB = 4;

if (import.meta.main) {
  const given = new Map(
    Array.from(
      { length: Deno.args.length / 2 },
      (_, at) => [Deno.args[2 * at]!, Number(Deno.args[2 * at + 1])],
    ),
  );
  const streams = given.get("--streams") ?? 10_000;
  const parallel = given.get("--parallel") ?? 64;
  const seed = given.get("--seed") ?? Math.floor(Math.random() * 2 ** 31);
  console.log(`seed ${seed}`);
  const heaps: [streams: number, mb: number][] = [];
  let mostSockets = 0;
  const servers = await listenElsewhere();
  const socketsBefore = openSockets();
  const startedAt = performance.now();
  const soaked = await soak(servers, {
    streams,
    parallel,
    seed,
    onThousand: (count) => {
      heaps.push([count, heapMb()]);
      mostSockets = Math.max(mostSockets, openSockets() ?? 0);
      console.log(`${count} streams, ${heaps.at(-1)?.[1]} MB, ${openSockets() ?? "?"} sockets`);
    },
  });
  const seconds = (performance.now() - startedAt) / 1000;
  await servers[Symbol.asyncDispose]();
  await new Promise((resolve) => setTimeout(resolve, 500));
  const socketsAfter = openSockets();
  const warm = heaps.find(([count]) => count >= WARM_UP)?.[1];
  const growth = warm === undefined ? 0 : Math.round(((heaps.at(-1)?.[1] ?? 0) - warm) * 10) / 10;
  const isClean = soaked.faults.length === 0 && soaked.listeners === 0 && soaked.unfinished === 0 &&
    growth <= MOST_GROWTH_MB && (socketsAfter ?? 0) <= (socketsBefore ?? 0) &&
    mostSockets <= 3 * parallel;
  console.log(
    `ends: ${Object.entries(soaked.ends).map(([end, count]) => `${end} ${count}`).join(", ")}`,
  );
  for (const fault of soaked.faults.slice(0, 10)) console.error(fault);
  console.log(
    `${soaked.streams} streams in ${seconds.toFixed(0)} s, ${soaked.faults.length} faults, ` +
      `${soaked.listeners} listeners and ${soaked.unfinished} answers left, heap grown by ${growth} MB, ` +
      `sockets ${socketsBefore} before, ${mostSockets} at most, ${socketsAfter} after: ${
        isClean ? "clean" : "NOT CLEAN"
      }`,
  );
  Deno.exit(isClean ? 0 : 1);
}
