/**
 * The scenario's tools, on any runtime: checks with a time limit, raw servers, the runtime's own
 * command for a child process. No test framework: a runtime's own would hide its globals, its event
 * loop and its exit, which are tested here.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createServer as createHttpServer } from "node:http";
import { createServer as createTcpServer } from "node:net";
import process from "node:process";
import { fileURLToPath } from "node:url";

/** From `run.ts`: the exports of every entry point, and the arguments a child needs before its script. */
export const { entries, childFlags } = JSON.parse(process.argv[2] ?? "null") ??
  { entries: {}, childFlags: [] };

export const RUNTIME = "Deno" in globalThis ? "deno" : "Bun" in globalThis ? "bun" : "node";
export const NODE_MAJOR = RUNTIME === "node" ? Number(process.versions.node.split(".")[0]) : 0;
/** The model of raw servers, named in every request so that no listing is needed. */
export const MODEL = "raw/model";

/** Nothing here takes a second if all is well, but the machine may be busy. */
const CHECK_LIMIT_MS = 20_000;
const CHILD_LIMIT_MS = 15_000;

let passed = 0;
let failed = 0;

/** Runs one check immediately, reports a failure, and continues. */
export async function check(name, run) {
  try {
    await within(CHECK_LIMIT_MS, run());
    passed++;
  } catch (error) {
    failed++;
    console.error(`${name}: ${describe(error)}`);
  }
}

/** Prints the count, which `run.ts` shows, and sets the exit code. The program must end on its own. */
export function summarize() {
  console.log(`${passed} of ${passed + failed} checks`);
  process.exitCode = failed > 0 ? 1 : 0;
}

/** The reason a promise rejects with. */
export async function failureOf(promise) {
  let value;
  try {
    value = await promise;
  } catch (error) {
    return error;
  }
  throw new Error(`did not fail, but gave ${JSON.stringify(value)?.slice(0, 200)}`);
}

/** Fails unless the error has these fields; `hint`, `message` and others may be patterns. */
export function assertFields(error, expected) {
  try {
    for (const [name, value] of Object.entries(expected)) {
      if (value instanceof RegExp) assert.match(String(error?.[name]), value, name);
      else assert.deepEqual(error?.[name], value, name);
    }
  } catch (mismatch) {
    throw new Error(`${mismatch.message}\nof ${describe(error)}`);
  }
}

/** Reads a stream to its end or its failure. */
export async function drain(stream) {
  const chunks = [];
  let error;
  try {
    for await (const chunk of stream) chunks.push(chunk);
  } catch (caught) {
    error = caught;
  }
  return { chunks, error, text: chunks.map(({ content }) => content).join("") };
}

/** A `node:http` server while `use` runs. */
export function withHttp(handler, use) {
  const server = createHttpServer(handler);
  return whileListening(server, use, () => server.closeAllConnections());
}

/** A `node:net` server while `use` runs, for what no HTTP server would do. */
export function withTcp(onSocket, use) {
  const open = new Set();
  const server = createTcpServer((socket) => {
    open.add(socket);
    socket.on("close", () => open.delete(socket));
    // The client may leave at any time.
    socket.on("error", () => {});
    onSocket(socket);
  });
  return whileListening(server, use, () => open.forEach((socket) => socket.destroy()));
}

/** A frame of a streamed answer as LM Studio writes it. */
export function frame(content, finishReason = null) {
  const choice = { index: 0, delta: { content }, finish_reason: finishReason };
  const data = { id: "raw", object: "chat.completion.chunk", model: MODEL, choices: [choice] };
  return `data: ${JSON.stringify(data)}\n\n`;
}

/** A whole answer as LM Studio writes it. */
export function completion(content) {
  const choice = { index: 0, message: { role: "assistant", content }, finish_reason: "stop" };
  const usage = { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 };
  return JSON.stringify({ id: "raw", model: MODEL, choices: [choice], usage });
}

/** Waits until `isTrue()`; fails after a while. */
export async function until(isTrue, what) {
  const deadline = performance.now() + 5_000;
  while (!isTrue()) {
    if (performance.now() > deadline) throw new Error(`${what} did not happen`);
    await sleep(5);
  }
}

export function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/**
 * Runs a script in this folder on this runtime and waits until it ends on its own. Returns its output and
 * the time from its last line to its end.
 */
export async function runScript(name, args, { env = {} } = {}) {
  const path = fileURLToPath(new URL(name, import.meta.url));
  const child = spawn(process.execPath, [...childFlags, path, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...env },
  });
  let output = "";
  let errors = "";
  let wroteAt = performance.now();
  child.stdout.on("data", (data) => {
    output += data;
    wroteAt = performance.now();
  });
  child.stderr.on("data", (data) => errors += data);
  const timer = setTimeout(() => child.kill("SIGKILL"), CHILD_LIMIT_MS);
  try {
    const code = await new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (status, signal) => resolve(signal ?? status));
    });
    const endedAfterMs = performance.now() - wroteAt;
    return { code, output: output.trim(), errors: errors.trim(), endedAfterMs };
  } finally {
    clearTimeout(timer);
  }
}

async function whileListening(server, use, closeConnections) {
  await new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  try {
    return await use(`http://127.0.0.1:${server.address().port}`);
  } finally {
    // A connection that is just being accepted is not among those closed the first time.
    const timer = setInterval(closeConnections, 20);
    await new Promise((resolve) => {
      server.close(resolve);
      closeConnections();
    });
    clearInterval(timer);
  }
}

async function within(ms, promise) {
  let timer;
  const tooLate = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`still running after ${ms / 1000} s`)), ms);
  });
  try {
    return await Promise.race([promise, tooLate]);
  } finally {
    clearTimeout(timer);
  }
}

/** The error's message and origin: the stack frames of this folder and of the package. */
function describe(error) {
  if (!(error instanceof Error)) return JSON.stringify(error) ?? String(error);
  const frames = (error.stack ?? "").split("\n").filter((line) =>
    /^\s+at .*(?:\/checks_|\/src\/)/.test(line)
  );
  const code = error.kind !== undefined ? ` (code ${error.code})` : "";
  return [`${error.name}: ${error.message}${code}`, ...frames.slice(0, 4)].join("\n");
}
