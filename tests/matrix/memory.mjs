/**
 * One call to a server with endless bodies (see `flood.mjs`), on this runtime: prints how it ended and its peak memory.
 * Arguments: the server's address, and the name of the case.
 */
import { LMStudioProvider } from "@patinox/lmstudio";
import { readFileSync } from "node:fs";
import process from "node:process";

const LIMITS = { timeoutMs: 60_000, firstTokenTimeoutMs: 3_000, idleTimeoutMs: 3_000 };
const ask = { model: "m", messages: "?" };

/** Name → body of `flood.mjs`, call, expected end, and MiB it may use on top of the program's memory before. */
export const CASES = {
  "compressed bomb, listing": ["bomb", (own) => own.listModels(), "malformed_response", 700],
  "compressed bomb, answer": ["bomb", (own) => own.complete(ask), "malformed_response", 1100],
  "compressed bomb of a known length": [
    "bomb of a known length",
    (own) => own.complete(ask),
    "malformed_response",
    1100,
  ],
  "compressed bomb, stream": [
    "bomb in a stream",
    (own) => own.streamCompletion(ask).response(),
    "malformed_stream",
    300,
  ],
  "compressed bomb, image": [
    "bomb in the place of an image",
    (own) => own.complete({ ...ask, messages: [{ role: "user", content: [imageOf(own)] }] }),
    "unsupported_content",
    400,
  ],
  "endless answer": ["endless", (own) => own.complete(ask), "malformed_response", 1100],
  "endless error": ["endless error", (own) => own.complete(ask), "server_error", 150],
  "endless event": [
    "endless stream",
    (own) => own.streamCompletion(ask).response(),
    "malformed_stream",
    300,
  ],
  "endless comments": [
    "endless comments",
    // Time spent reading is not time spent waiting.
    (own) => own.streamCompletion(ask, { firstTokenTimeoutMs: 300 }).response(),
    "timeout_first_token",
    250,
  ],
  "listing of 100 MiB": ["listing", (own) => own.listModels(), "malformed_response", 700],
  "endless answer to another client": ["endless", forward, "malformed_response", 1100],
};

function imageOf(provider) {
  const { value } = provider.explainConfig().find(({ key }) => key === "baseUrl");
  return { type: "image", image: `${value}/a.png` };
}

async function forward(provider) {
  const { baseURL, fetch } = provider.toOpenAI();
  const init = { method: "POST", body: JSON.stringify({ model: "m" }) };
  await (await fetch(`${baseURL}/chat/completions`, init)).text();
}

/** Peak memory of this process. */
function peakMib() {
  try {
    const [, kib] = /VmHWM:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"));
    return Number(kib) / 1024;
  } catch {
    // Outside Linux: the current memory.
    return process.memoryUsage().rss / 1024 / 1024;
  }
}

const [url, name] = process.argv.slice(2);
if (name !== undefined) {
  const [body, call] = CASES[name];
  const baseUrl = `${url}/${encodeURIComponent(body)}`;
  const provider = new LMStudioProvider({ baseUrl, env: {}, maxRetries: 0, ...LIMITS });
  const before = peakMib();
  const startedAt = performance.now();
  let end = "an answer";
  try {
    await call(provider);
  } catch (error) {
    end = error.code ?? String(error);
  }
  const mib = Math.round(peakMib() - before);
  console.log(JSON.stringify({ end, mib, ms: Math.round(performance.now() - startedAt) }));
}
