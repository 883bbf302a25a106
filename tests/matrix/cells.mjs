/**
 * Cells of the matrix: one fault and one method each; all methods of a fault run at once. A cell passes if it has the
 * expected outcome, in time, with the expected number of requests, and leaves nothing behind: no waiting connection,
 * no timer, no listener on the caller's signal.
 */
import { LMStudioProvider } from "@patinox/lmstudio";
import { createFakeLMStudio } from "@patinox/lmstudio/testing";
import { AsyncLocalStorage } from "node:async_hooks";
import process from "node:process";
import { inspect } from "node:util";
import { concerns, expectationOf, FAULTS } from "./faults.mjs";
import { METHODS, PROMPT, SERVER, StatusError } from "./methods.mjs";
import { startProxy, WARM_PATH } from "./proxy.mjs";

/** Far beyond every timeout: a cell that takes this long would never end. */
const CELL_LIMIT_MS = 15_000;
/** Time to finish for everything that is cancelled without waiting. */
const LEFT_MS = 1500;
/** For faults that end by themselves. */
const LONG_LIMITS = {
  timeoutMs: 10_000,
  connectTimeoutMs: 5_000,
  firstTokenTimeoutMs: 10_000,
  idleTimeoutMs: 5_000,
};

/** Secrets that no error may show and no other server may get; the prompt is in `methods.mjs`. */
const SECRETS = {
  token: "sk-lm-Abcd1234:QrStUvWxYz9876543210",
  header: "key-of-the-gateway-5591",
  prompt: PROMPT,
};

const cellOf = new AsyncLocalStorage();
const { setTimeout, clearTimeout, setInterval, clearInterval } = globalThis;

const RUNTIME = "Deno" in globalThis ? "deno" : "Bun" in globalThis ? "bun" : "node";
/** How late a busy machine may be. */
const SLACK_MS = 4000;

/** Runs all cells of these faults and methods (by default all); returns the result of each. */
export async function runCells(
  { faults = Object.keys(FAULTS), methods = Object.keys(METHODS) } = {},
) {
  const strays = [];
  const onStray = (error) => strays.push(error);
  process.on("unhandledRejection", onStray);
  const restore = watchTimers();
  const results = [];
  try {
    for (const fault of faults) {
      const concerned = methods.filter((method) => concerns(FAULTS[fault], METHODS[method].kind));
      const row = await Promise.all(concerned.map((method) => runCell(fault, method)));
      for (const stray of strays.splice(0)) {
        row[0].problems.push(`unhandled rejection: ${stray?.stack ?? stray}`);
      }
      results.push(...row);
    }
  } finally {
    restore();
    process.off("unhandledRejection", onStray);
  }
  return results;
}

async function runCell(faultName, methodName) {
  const fault = FAULTS[faultName];
  const method = METHODS[methodName];
  const expected = expectationOf(fault, methodName, method.kind, RUNTIME);
  const cell = { fault: faultName, method: methodName, kind: method.kind, expected };
  const fake = createFakeLMStudio(SERVER);
  const server = await fake.listen();
  const proxy = await startProxy(server.url, method.target, fault);
  const timers = new Map();
  const signal = watchedSignal();
  const problems = [];
  try {
    const limits = fault.limits ?? LONG_LIMITS;
    const lmstudio = new LMStudioProvider({
      baseUrl: proxy.url,
      env: {},
      maxRetries: 1,
      model: "none/such",
      apiToken: SECRETS.token,
      headers: { "x-api-key": SECRETS.header },
      ...limits,
    });
    if (fault.isWarm) {
      // Neither the route of the fault nor a listing that would be cached.
      await (await lmstudio.toOpenAI().fetch(proxy.url + WARM_PATH)).text();
      await sleep(60);
    }
    const startedAt = performance.now();
    const outcome = await within(
      CELL_LIMIT_MS,
      cellOf.run(timers, () => outcomeOf(method, lmstudio, { signal })),
    );
    const ms = performance.now() - startedAt;
    const hits = proxy.hits();
    const actual = hits === 1 ? outcome.told : `${outcome.told} ×${hits}`;
    if (!expected.split(" | ").includes(actual)) {
      problems.push(`${actual} in place of ${expected}: ${outcome.detail}`);
    }
    if (ms > limits.timeoutMs + SLACK_MS) problems.push(`took ${Math.round(ms)} ms`);
    problems.push(...outcome.leaks);
    if (proxy.elsewhere() !== "") problems.push(`another server was sent ${proxy.elsewhere()}`);
    await settled(() => proxy.busy() === 0 && timers.size === 0 && signal.listeners() === 0);
    if (proxy.busy() > 0) problems.push(`${proxy.busy()} connections are left waiting`);
    if (signal.listeners() > 0) problems.push(`${signal.listeners()} listeners are left`);
    for (const stack of timers.values()) problems.push(`a timer is left: ${stack}`);
    return { ...cell, outcome: actual, ms: Math.round(ms), problems };
  } catch (error) {
    return { ...cell, outcome: "?", problems: [...problems, String(error?.stack ?? error)] };
  } finally {
    await proxy.close();
    await server[Symbol.asyncDispose]();
  }
}

/** The outcome of a call: a word for the table, details for debugging, and anything it should not have shown. */
async function outcomeOf({ call, isRight, kind }, lmstudio, options) {
  try {
    const value = await call(lmstudio, options);
    if (isRight(value)) return { told: "right", detail: "", leaks: [] };
    const isUnknown = kind === "question" && (value === false || value === undefined);
    const detail = JSON.stringify(value)?.slice(0, 300);
    return { told: isUnknown ? "false" : "as it came", detail, leaks: [] };
  } catch (error) {
    const outcome = { detail: String(error?.stack ?? error), leaks: leaksOf(error) };
    if (error instanceof StatusError) return { told: `status ${error.status}`, ...outcome };
    if (typeof error?.kind !== "string") return { told: `a foreign ${error?.name}`, ...outcome };
    return { told: `${error.kind}/${error.code}`, ...outcome };
  }
}

/** Secrets in everything visible of an error, and characters that a terminal would act on. */
function leaksOf(error) {
  const shown = {
    message: error.message,
    hint: error.hint ?? "",
    stack: error.stack,
    toJSON: JSON.stringify(error),
    inspect: inspect(error, { depth: 20, showHidden: true, maxStringLength: Infinity }),
    "Deno.inspect": globalThis.Deno?.inspect(error, { depth: 20, strAbbreviateSize: 1e9 }) ?? "",
  };
  for (let cause = error.cause, depth = 0; cause && depth < 5; cause = cause.cause, depth++) {
    shown[`cause ${depth}`] = `${cause} ${cause.stack} ${cause.data} ${JSON.stringify(cause)}`;
  }
  const leaks = [];
  for (const [where, text] of Object.entries(shown)) {
    for (const [what, secret] of Object.entries(SECRETS)) {
      const at = text.indexOf(secret);
      if (at !== -1) {
        leaks.push(`the ${what} is in ${where}: ${text.slice(Math.max(0, at - 80), at + 80)}`);
      }
    }
    // Properties of a cause are printed in quotes.
    if (!where.startsWith("cause") && /(?!\n)[\p{Cc}\p{Cf}]/u.test(text)) {
      leaks.push(`control characters are in ${where}: ${JSON.stringify(text).slice(0, 300)}`);
    }
  }
  return leaks;
}

/** Records the timers of each cell and where they were set, except those of Node's own `fetch`. */
function watchTimers() {
  const note = (timer) => {
    const stack = new Error().stack.split("\n").slice(3).join("\n");
    if (!/^\s*at [^\n]*node:internal/.test(stack)) cellOf.getStore()?.set(timer, stack);
    return timer;
  };
  globalThis.setTimeout = (onTime, ms, ...args) => {
    const timers = cellOf.getStore();
    const timer = setTimeout(
      (...given) => {
        timers?.delete(timer);
        onTime(...given);
      },
      ms,
      ...args,
    );
    return note(timer);
  };
  globalThis.clearTimeout = (timer) => {
    cellOf.getStore()?.delete(timer);
    clearTimeout(timer);
  };
  globalThis.setInterval = (...args) => note(setInterval(...args));
  globalThis.clearInterval = (timer) => {
    cellOf.getStore()?.delete(timer);
    clearInterval(timer);
  };
  return () => Object.assign(globalThis, { setTimeout, clearTimeout, setInterval, clearInterval });
}

/** A caller's signal that counts its listeners. */
function watchedSignal() {
  const { signal } = new AbortController();
  const listening = new Set();
  const { addEventListener, removeEventListener } = signal;
  return Object.assign(signal, {
    addEventListener(type, listener, ...rest) {
      listening.add(listener);
      addEventListener.call(signal, type, listener, ...rest);
    },
    removeEventListener(type, listener, ...rest) {
      listening.delete(listener);
      removeEventListener.call(signal, type, listener, ...rest);
    },
    listeners: () => listening.size,
  });
}

async function settled(isSettled) {
  const deadline = performance.now() + LEFT_MS;
  while (!isSettled() && performance.now() < deadline) await sleep(10);
}

async function within(ms, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`has not ended after ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
