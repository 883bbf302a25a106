/** What is measured: the clients, and the calls of each row. */

/** A client: its file, its package, and its name in the tables. */
export interface Client {
  /** File in `clients/`. */
  file: string;
  /** Absent if the client is not a package. */
  specifier?: string;
  label: string;
}

export const CLIENT_NAMES = [
  "ours",
  "openai",
  "ai-sdk",
  "ours-ai-sdk",
  "langchain",
  "ollama",
  "hand-written",
  "full-listing",
  "drain",
] as const;
export type ClientName = (typeof CLIENT_NAMES)[number];

export const CLIENTS: Readonly<Record<ClientName, Client>> = {
  ours: { file: "ours", specifier: "@patinox/lmstudio", label: "@patinox/lmstudio" },
  openai: { file: "openai", specifier: "openai", label: "openai" },
  "ai-sdk": {
    file: "ai_sdk",
    specifier: "@ai-sdk/openai-compatible",
    label: "@ai-sdk/openai-compatible",
  },
  "ours-ai-sdk": {
    file: "ours_ai_sdk",
    specifier: "@patinox/lmstudio/ai-sdk",
    label: "@patinox/lmstudio/ai-sdk",
  },
  langchain: { file: "langchain", specifier: "@langchain/openai", label: "@langchain/openai" },
  ollama: { file: "ollama", specifier: "ollama", label: "ollama" },
  "hand-written": { file: "hand_written", label: "fetch + scan + JSON.parse" },
  "full-listing": { file: "full_listing", label: "fetch + JSON.parse, all metadata" },
  drain: { file: "drain", label: "bytes read and discarded" },
};

/** One row: the same calls, made by several clients. */
export interface Row {
  id: string;
  title: string;
  unit: "µs" | "ms" | "MB" | "kB";
  clients: readonly ClientName[];
  /** The client that the ratios in the tables are relative to. */
  against: ClientName;
  /** A function that each client's file exports, or something other than a call. */
  method: "stream" | "completion" | "embeddings" | "listing" | "import" | "bundle";
  /** How the server sends the answer: the first part of the path. */
  pace: readonly [kind: "whole" | "events" | "cut", tokens: number];
  atOnce: number;
  /** Calls before the measured ones. */
  warmUp: number;
  /** Measured calls. */
  calls: number;
  /** Divides microseconds or bytes per call into the row's unit. */
  divisor: number;
  value: "cpuUs" | "peakBytes";
}

/** Clients that stream, complete and embed. */
const CALLERS: readonly ClientName[] = CLIENT_NAMES.filter((name) => name !== "full-listing");
const PACKAGES: readonly ClientName[] = ["ours", "openai", "ai-sdk", "langchain", "ollama"];
const LISTERS: readonly ClientName[] = [
  "ours",
  "openai",
  "ollama",
  "hand-written",
  "full-listing",
  "drain",
];

const CALL = { clients: CALLERS, against: "openai", atOnce: 1, value: "cpuUs" } as const;
const STREAM = { ...CALL, method: "stream", unit: "µs" } as const;
const TOKENS = 20_000;
const PACED_TOKENS = 2_000;
const STREAMS_AT_ONCE = 64;
const TOKENS_OF_EACH = 50;
const MANY_TOKENS = 200_000;

export const ROWS: readonly Row[] = [
  {
    ...STREAM,
    id: "stream",
    title: "stream of 20 000 tokens, as fast as possible, per token",
    pace: ["whole", TOKENS],
    warmUp: 3,
    calls: 6,
    divisor: TOKENS,
  },
  {
    ...STREAM,
    id: "events",
    title: "stream with one event per write, at a steady pace, per token",
    pace: ["events", PACED_TOKENS],
    warmUp: 1,
    calls: 3,
    divisor: PACED_TOKENS,
  },
  {
    ...STREAM,
    id: "cut",
    title: "stream cut at random places, at a steady pace, per token",
    pace: ["cut", PACED_TOKENS],
    warmUp: 1,
    calls: 3,
    divisor: PACED_TOKENS,
  },
  {
    ...STREAM,
    id: "at-once",
    title: "64 streams at once, at a steady pace, per token",
    pace: ["events", TOKENS_OF_EACH],
    atOnce: STREAMS_AT_ONCE,
    warmUp: 1,
    calls: 2,
    divisor: STREAMS_AT_ONCE * TOKENS_OF_EACH,
  },
  {
    ...STREAM,
    id: "long",
    title: "stream of 200 000 tokens in a new process, per token",
    pace: ["whole", MANY_TOKENS],
    warmUp: 0,
    calls: 1,
    divisor: MANY_TOKENS,
  },
  {
    ...STREAM,
    id: "memory",
    title: "peak memory of the process for a stream of 200 000 tokens",
    unit: "MB",
    value: "peakBytes",
    pace: ["whole", MANY_TOKENS],
    warmUp: 0,
    calls: 1,
    divisor: 1e6,
  },
  {
    ...CALL,
    id: "completion",
    title: "whole completion",
    method: "completion",
    unit: "µs",
    pace: ["whole", 0],
    warmUp: 400,
    calls: 1_200,
    divisor: 1,
  },
  {
    ...CALL,
    id: "embeddings",
    title: "embeddings, 64 × 1536, requested as floats",
    method: "embeddings",
    unit: "ms",
    pace: ["whole", 0],
    warmUp: 6,
    calls: 20,
    divisor: 1_000,
  },
  {
    ...CALL,
    id: "listing",
    title: "listing of 500 models, ours with all metadata",
    method: "listing",
    unit: "ms",
    clients: LISTERS,
    pace: ["whole", 0],
    warmUp: 20,
    calls: 60,
    divisor: 1_000,
  },
  {
    ...CALL,
    id: "import",
    title: "cold import",
    method: "import",
    unit: "ms",
    clients: PACKAGES,
    pace: ["whole", 0],
    warmUp: 0,
    calls: 5,
    divisor: 1_000,
  },
  {
    ...CALL,
    id: "bundle",
    title: "bundle of a program that streams one completion, minified and gzipped, without zod",
    method: "bundle",
    unit: "kB",
    clients: PACKAGES,
    pace: ["whole", 0],
    warmUp: 0,
    calls: 1,
    divisor: 1,
  },
];

/** The row with fewer calls: enough to see whether it meets its bar, too few to quote. */
export function quick(row: Row): Row {
  return { ...row, warmUp: Math.ceil(row.warmUp / 3), calls: Math.ceil(row.calls / 3) };
}
