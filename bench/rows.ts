/** What is measured: the clients, and what each row asks of them. */

/** A client, the package that it is, and how the tables call it. */
export interface Client {
  /** Its file in `clients/`. */
  file: string;
  /** Absent where it is nobody's package. */
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
  drain: { file: "drain", label: "bytes read and dropped" },
};

/** One row: the same thing asked of several clients. */
export interface Row {
  id: string;
  title: string;
  unit: "µs" | "ms" | "MB" | "kB";
  clients: readonly ClientName[];
  /** What the ratios are against, in the tables. */
  against: ClientName;
  /** A function that each client's file exports, or what is not a call. */
  method: "stream" | "completion" | "embeddings" | "listing" | "import" | "bundle";
  /** How the server sends it: the first part of its path. */
  pace: readonly [kind: "whole" | "events" | "cut", tokens: number];
  atOnce: number;
  /** Calls before the first that counts, and those that count. */
  warmUp: number;
  calls: number;
  /** One call in the row's unit, from microseconds. */
  divisor: number;
  value: "cpuUs" | "peakBytes";
}

/** Those that stream, complete and embed. */
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
    title: "stream in pieces cut at random, at a steady pace, per token",
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
    title: "embeddings, 64 × 1536, asked for as floats",
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
    title: "bundle of a program that streams one completion, minified and gzipped, zod apart",
    method: "bundle",
    unit: "kB",
    clients: PACKAGES,
    pace: ["whole", 0],
    warmUp: 0,
    calls: 1,
    divisor: 1,
  },
];

/** Less of each: enough to see whether all is well, not to quote. */
export function quick(row: Row): Row {
  return { ...row, warmUp: Math.ceil(row.warmUp / 3), calls: Math.ceil(row.calls / 3) };
}
