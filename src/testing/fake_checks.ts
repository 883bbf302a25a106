/** Refuses unknown options, fields and faults: a test with a misspelt fault would pass for the wrong reason. */

import { describe } from "../core/checks.ts";
import { describeUnknownField, nearestName, quote } from "../core/fields.ts";
import type {
  FakeAnswer,
  FakeDownload,
  FakeFault,
  FakeLMStudioOptions,
  FakeModel,
  FakeToolCall,
  FakeToolRun,
  FaultKind,
} from "./fake_options.ts";
import { checkExchange } from "./fake_recording.ts";
import { isObject } from "./fake_wire.ts";

/** Every field of a type: a field added to the type does not compile until it is added here. */
type Fields<T> = Record<keyof T, true>;

const OPTIONS: Fields<FakeLMStudioOptions> = {
  models: true,
  replies: true,
  decisions: true,
  apiToken: true,
  version: true,
  listing: true,
  oddEntries: true,
  jit: true,
  jitLoadMs: true,
  loadMs: true,
  autoEvict: true,
  downloads: true,
  integrations: true,
  firstTokenMs: true,
  tokenMs: true,
  streamHeaders: true,
  streamCalls: true,
  streamFinish: true,
  reasoningField: true,
  callArguments: true,
  substitution: true,
  cors: true,
  strict: true,
  recording: true,
  faults: true,
};

const MODEL: Fields<FakeModel> = {
  id: true,
  type: true,
  loaded: true,
  instances: true,
  variants: true,
  displayName: true,
  publisher: true,
  architecture: true,
  quantization: true,
  bitsPerWeight: true,
  format: true,
  sizeBytes: true,
  params: true,
  maxContextLength: true,
  contextLength: true,
  fittingContextLength: true,
  tools: true,
  vision: true,
  reasoning: true,
  numExperts: true,
  dimensions: true,
  obeysDimensions: true,
  loadError: true,
};

type FakeInstance = Exclude<NonNullable<FakeModel["instances"]>[number], string>;
const INSTANCE: Fields<FakeInstance> = { id: true, contextLength: true };

const ANSWER: Fields<FakeAnswer> = {
  content: true,
  reasoning: true,
  toolCalls: true,
  toolRuns: true,
  finishReason: true,
  usage: true,
  model: true,
};

const DOWNLOAD: Fields<FakeDownload> = {
  model: true,
  sizeBytes: true,
  progress: true,
  error: true,
  bytesPerSecond: true,
};

const TOOL_RUN: Fields<FakeToolRun> = {
  tool: true,
  arguments: true,
  output: true,
  failure: true,
};

const TOOL_CALL: Fields<FakeToolCall> = { name: true, arguments: true, id: true };

const FAULT: Fields<FakeFault> = { path: true, skip: true, times: true, fault: true };

const FAULT_KINDS: { [Type in FaultKind["type"]]: Fields<Extract<FaultKind, { type: Type }>> } = {
  refuse: { type: true },
  stall: { type: true, at: true, afterTokens: true },
  cut: { type: true, at: true, afterTokens: true, clean: true },
  delay: { type: true, ms: true },
  "error-frame": {
    type: true,
    message: true,
    afterTokens: true,
    errorType: true,
    withEnd: true,
  },
  respond: { type: true, status: true, body: true, headers: true },
  "bad-json": { type: true, afterTokens: true },
  html: { type: true, status: true },
  redirect: { type: true, location: true, status: true },
  "empty-stream": { type: true },
  "rate-limit": { type: true, retryAfter: true },
  loading: { type: true, words: true, retryAfter: true },
};

// Values are checked as well: one of the wrong type would be silently ignored.
const FLAGS = [
  "jit",
  "autoEvict",
  "integrations",
  "substitution",
  "cors",
  "strict",
  "loaded",
  "tools",
  "vision",
  "obeysDimensions",
];
const AMOUNTS = [
  ...["jitLoadMs", "loadMs", "firstTokenMs", "tokenMs", "skip", "times", "afterTokens", "ms"],
  ...[
    "sizeBytes",
    "bytesPerSecond",
    "maxContextLength",
    "contextLength",
    "fittingContextLength",
    "dimensions",
  ],
];
const CHOICES: Readonly<Record<string, readonly string[]>> = {
  listing: ["lmstudio", "llama.cpp", "vllm"],
  streamHeaders: ["at-once", "at-first-token"],
  streamCalls: ["in-pieces", "whole", "under-one-index"],
  streamFinish: ["at-end", "beside-pieces"],
  reasoningField: ["reasoning_content", "reasoning", "think-tags"],
  callArguments: ["everywhere", "done-only", "deltas-only"],
  at: ["headers", "start", "body", "finish", "end"],
};

/** Throws a `TypeError` that names the unknown option, field or fault and suggests the likely one. */
export function checkFakeOptions(options: FakeLMStudioOptions): void {
  if (!isObject(options)) throw unusable(`the options are ${describe(options)}, not an object`);
  const unknown = describeUnknownField(options, new Set(Object.keys(OPTIONS)), "option");
  if (unknown !== undefined) throw unusable(unknown);
  checkValues("", { ...options });
  const { models, replies, decisions, faults, downloads, apiToken, recording } = options;
  if (typeof recording !== "string") {
    for (const [path, exchange] of entriesOf("recording", recording)) checkExchange(exchange, path);
  }
  if (apiToken !== undefined && (typeof apiToken !== "string" || apiToken === "")) {
    throw unusable("apiToken is empty or not a string");
  }
  for (const [path, model] of entriesOf("models", models)) {
    if (typeof model === "string") continue;
    const { id, instances } = checkFields(path, model, MODEL);
    if (typeof id !== "string") throw unusable(`${path}.id is ${describe(id)}, not a string`);
    for (const [at, instance] of entriesOf(`${path}.instances`, instances)) {
      if (typeof instance === "string") continue;
      const { id } = checkFields(at, instance, INSTANCE);
      if (typeof id !== "string") throw unusable(`${at}.id is ${describe(id)}, not a string`);
    }
  }
  if (typeof replies !== "function") {
    for (const [path, reply] of entriesOf("replies", replies)) checkReply(path, reply);
  }
  if (decisions !== undefined && typeof decisions !== "function" && !isObject(decisions)) {
    throw unusable(`decisions is ${describe(decisions)}, not an object or a function`);
  }
  for (const [path, download] of entriesOf("downloads", downloads)) {
    const { model } = checkFields(path, download, DOWNLOAD);
    if (typeof model !== "string") {
      throw unusable(`${path}.model is ${describe(model)}, not a string`);
    }
  }
  for (const [path, entry] of entriesOf("faults", faults)) {
    const { fault, path: where } = checkFields(path, entry, FAULT);
    if (where !== undefined && typeof where !== "string" && !(where instanceof RegExp)) {
      throw unusable(`${path}.path is ${describe(where)}, not a string or a pattern`);
    }
    checkFaultKind(`${path}.fault`, fault);
  }
}

function checkReply(path: string, reply: unknown): void {
  // A list may have gaps: they stand for the default answer.
  if (typeof reply === "string" || reply === undefined) return;
  const { toolCalls, toolRuns } = checkFields(path, reply, ANSWER);
  for (const [at, run] of entriesOf(`${path}.toolRuns`, toolRuns)) checkFields(at, run, TOOL_RUN);
  for (const [at, call] of entriesOf(`${path}.toolCalls`, toolCalls)) {
    checkFields(at, call, TOOL_CALL);
  }
}

function checkFaultKind(path: string, fault: unknown): void {
  if (!isObject(fault)) throw unusable(`${path} is ${describe(fault)}, not an object`);
  const { type } = fault;
  if (typeof type !== "string" || !Object.hasOwn(FAULT_KINDS, type)) {
    const known = Object.keys(FAULT_KINDS);
    const nearest = typeof type === "string" ? nearestName(type, known) : undefined;
    const advice = nearest === undefined ? "" : ` (did you mean ${quote(nearest)}?)`;
    const list = known.map(quote).join(", ");
    throw unusable(`${path}.type is ${describe(type)}${advice}, not one of ${list}`);
  }
  checkFields(path, fault, FAULT_KINDS[type as FaultKind["type"]]);
}

function checkFields(
  path: string,
  value: unknown,
  known: Readonly<Record<string, true>>,
): Readonly<Record<string, unknown>> {
  if (!isObject(value)) throw unusable(`${path} is ${describe(value)}, not an object`);
  const unknown = describeUnknownField(value, new Set(Object.keys(known)), "field");
  if (unknown !== undefined) throw unusable(`${path} has an ${unknown}`);
  checkValues(`${path}.`, value);
  return value;
}

function checkValues(path: string, values: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(values)) {
    if (value === undefined) continue;
    const choices = Object.hasOwn(CHOICES, name) ? CHOICES[name] : undefined;
    const form = FLAGS.includes(name) && typeof value !== "boolean"
      ? "true or false"
      : AMOUNTS.includes(name) && !(typeof value === "number" && value >= 0)
      ? "a number of 0 or more"
      : choices !== undefined && !choices.some((choice) => choice === value)
      ? `one of ${choices.map(quote).join(", ")}`
      : undefined;
    if (form !== undefined) throw unusable(`${path}${name} is ${describe(value)}, not ${form}`);
  }
}

/** The entries of a list with their paths; none if the list is absent. */
function entriesOf(name: string, list: unknown): [path: string, value: unknown][] {
  if (list === undefined) return [];
  if (!Array.isArray(list)) throw unusable(`${name} is ${describe(list)}, not an array`);
  return list.map((value: unknown, index) => [`${name}[${index}]`, value]);
}

function unusable(state: string): TypeError {
  return new TypeError(`Cannot create the fake: ${state}`);
}
