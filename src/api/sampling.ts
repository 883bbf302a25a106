/**
 * What every generation of the OpenAI-compatible routes can be told about how to choose tokens: checked,
 * and under its names on the wire.
 *
 * @module
 */

import {
  checkName,
  checkNumber,
  isRecord,
  type NumberRule,
  type Refuse,
} from "../core/request_checks.ts";
import { findUnwritable } from "../core/plain_data.ts";
import type { TextCompletionRequest } from "../core/text.ts";
import { describe } from "../core/value_checks.ts";

type NumberSetting = Exclude<keyof Sampling, "stop" | "logitBias" | "draftModel">;

/** What those settings that are numbers must be. */
export const SAMPLING_RULES: Readonly<Record<NumberSetting, NumberRule>> = {
  temperature: { form: "a number of 0 or more", accepts: (n) => n >= 0 && Number.isFinite(n) },
  topP: { form: "a number from 0 to 1", accepts: (n) => n >= 0 && n <= 1 },
  topK: { form: "a whole number of 0 or more", accepts: (n) => Number.isInteger(n) && n >= 0 },
  minP: { form: "a number from 0 to 1", accepts: (n) => n >= 0 && n <= 1 },
  maxTokens: {
    form: "a whole number above 0, or -1 for no limit",
    accepts: (n) => Number.isInteger(n) && (n > 0 || n === -1),
  },
  seed: { form: "a whole number", accepts: Number.isInteger },
  presencePenalty: { form: "a number", accepts: Number.isFinite },
  frequencyPenalty: { form: "a number", accepts: Number.isFinite },
  repeatPenalty: { form: "a number above 0", accepts: (n) => n > 0 && Number.isFinite(n) },
  ttlSeconds: { form: "a whole number above 0", accepts: (n) => Number.isInteger(n) && n > 0 },
};

/** The settings that chat and text completions share. */
export type Sampling = Omit<
  TextCompletionRequest,
  "model" | "prompt" | "suffix" | "echo" | "extraBody"
>;

/** Their names. */
export const SAMPLING_FIELDS: readonly (keyof Sampling)[] = [
  ...Object.keys(SAMPLING_RULES) as NumberSetting[],
  "stop",
  "logitBias",
  "draftModel",
];

/** Refuses settings that cannot be sent. */
export function checkSampling(request: Readonly<Record<string, unknown>>, refuse: Refuse): void {
  for (const name in SAMPLING_RULES) {
    if (request[name] === undefined) continue;
    checkNumber(name, request[name], SAMPLING_RULES[name as NumberSetting], refuse);
  }
  checkStop(request.stop, refuse);
  checkLogitBias(request.logitBias, refuse);
  checkName("draftModel", request.draftModel, refuse);
}

/** The settings under their names on the wire; what was not given is `undefined`. */
export function encodeSampling(request: Sampling): Record<string, unknown> {
  return {
    temperature: request.temperature,
    top_p: request.topP,
    top_k: request.topK,
    min_p: request.minP,
    max_tokens: request.maxTokens,
    stop: request.stop,
    seed: request.seed,
    presence_penalty: request.presencePenalty,
    frequency_penalty: request.frequencyPenalty,
    repeat_penalty: request.repeatPenalty,
    logit_bias: request.logitBias,
    ttl: request.ttlSeconds,
    draft_model: request.draftModel,
  };
}

/** Refuses an `extraBody` that would take away what the method itself sends. */
export function checkExtraBody(extra: unknown, reserved: readonly string[], refuse: Refuse): void {
  if (extra === undefined) return;
  if (!isRecord(extra)) throw refuse(`extraBody is ${describe(extra)}, not an object`);
  for (const name of reserved) {
    if (extra[name] !== undefined) throw refuse(`extraBody may not set "${name}"`);
  }
  const found = findUnwritable(extra);
  if (found !== undefined) {
    throw refuse(`extraBody.${found.path} is ${found.what}, which JSON cannot hold`);
  }
}

/** The body with the user's own fields, which win. */
export function withExtraBody(
  body: Readonly<Record<string, unknown>>,
  extra: TextCompletionRequest["extraBody"],
): Record<string, unknown> {
  // `undefined` means absent here too: it must not take away what is set.
  if (extra === undefined) return { ...body };
  const given = Object.entries(extra).filter(([, value]) => value !== undefined);
  return { ...body, ...Object.fromEntries(given) };
}

function checkStop(stop: unknown, refuse: Refuse): void {
  if (stop === undefined) return;
  const texts: readonly unknown[] = Array.isArray(stop) ? stop : [stop];
  // Not `find`: `undefined` may be what is found.
  const index = texts.findIndex((text) => typeof text !== "string" || text === "");
  if (texts.length > 0 && index === -1) return;
  const shown = texts.length === 0 ? stop : texts[index];
  throw refuse(`stop is ${describe(shown)}, not text or several texts, none of them empty`);
}

function checkLogitBias(bias: unknown, refuse: Refuse): void {
  if (bias === undefined) return;
  if (!isRecord(bias) || !Object.values(bias).every((value) => Number.isFinite(value))) {
    throw refuse("logitBias is not an object of token ids and numbers");
  }
}
