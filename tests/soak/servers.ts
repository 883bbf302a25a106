/** Listening fakes, each with its own fault. Run as a program it prints their addresses, and their state on request. */
import {
  createFakeLMStudio,
  type FakeLMStudio,
  type FakeLMStudioOptions,
} from "../../src/testing/mod.ts";

const TEXT = Array.from({ length: 12 }, (_, index) => `word ${index} `);
const every = { times: Infinity, path: /\/(?:completions|responses|chat)$/ };

/** The fault of each server; servers without one appear several times. */
const FAULTS: readonly FakeLMStudioOptions[] = [
  {},
  { tokenMs: 1 },
  { tokenMs: 5, firstTokenMs: 5 },
  { faults: [{ ...every, fault: { type: "cut", at: "body", afterTokens: 3 } }] },
  { faults: [{ ...every, fault: { type: "cut", at: "body", afterTokens: 2, clean: true } }] },
  { faults: [{ ...every, fault: { type: "cut", at: "headers" } }] },
  { faults: [{ ...every, fault: { type: "stall", afterTokens: 2 } }] },
  { faults: [{ ...every, fault: { type: "stall", at: "headers" } }] },
  {
    faults: [{ ...every, fault: { type: "error-frame", message: "engine died", afterTokens: 2 } }],
  },
  { faults: [{ ...every, fault: { type: "bad-json", afterTokens: 2 } }] },
  { faults: [{ ...every, fault: { type: "html", status: 502 } }] },
  { faults: [{ ...every, fault: { type: "respond", status: 500, body: { error: "x" } } }] },
  { faults: [{ ...every, fault: { type: "empty-stream" } }] },
  { faults: [{ ...every, fault: { type: "delay", ms: 10 } }] },
];

/** The servers, until they are disposed of. */
export interface Servers extends AsyncDisposable {
  readonly urls: readonly string[];
  /** Answers that are neither complete nor abandoned by the client. */
  unfinished(): Promise<number>;
}

/** Servers in this process. */
export async function listenHere(): Promise<Servers> {
  const fakes = FAULTS.map((options) =>
    createFakeLMStudio({ models: ["m"], replies: () => ({ content: TEXT }), ...options })
  );
  const listeners = await Promise.all(fakes.map((fake) => fake.listen()));
  return {
    urls: listeners.map(({ url }) => url),
    // Servers that break the connection themselves neither complete the answer nor see the client leave.
    unfinished: () =>
      Promise.resolve(countOf(fakes.filter((_, index) => !breaksOff(FAULTS[index]!)))),
    [Symbol.asyncDispose]: async () => {
      await Promise.all(listeners.map((listener) => listener[Symbol.asyncDispose]()));
    },
  };
}

function breaksOff({ faults = [] }: FakeLMStudioOptions): boolean {
  return faults.some(({ fault }) => fault.type === "cut" && fault.clean !== true);
}

function countOf(fakes: readonly FakeLMStudio[]): number {
  return fakes.flatMap(({ requests }) => requests)
    .filter(({ path, aborted, completed }) => every.path.test(path) && !aborted && !completed)
    .length;
}

/** Servers in a separate process, so that their memory is not measured with the client's. */
export async function listenElsewhere(): Promise<Servers> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", import.meta.url],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const writer = child.stdin.getWriter();
  let pending = "";
  const line = async (): Promise<string> => {
    while (!pending.includes("\n")) {
      const { value, done } = await lines.read();
      if (done) throw new Error("The servers have ended");
      pending += value;
    }
    const [first, ...rest] = pending.split("\n");
    pending = rest.join("\n");
    return first ?? "";
  };
  const urls: readonly string[] = JSON.parse(await line());
  return {
    urls,
    unfinished: async () => {
      await writer.write(new TextEncoder().encode("unfinished\n"));
      return JSON.parse(await line());
    },
    [Symbol.asyncDispose]: async () => {
      await writer.close();
      await lines.cancel();
      await child.status;
    },
  };
}

if (import.meta.main) {
  const servers = await listenHere();
  console.log(JSON.stringify(servers.urls));
  // Runs until the soak closes its end of the pipe.
  for await (const _ of Deno.stdin.readable) {
    console.log(JSON.stringify(await servers.unfinished()));
  }
  await servers[Symbol.asyncDispose]();
}
