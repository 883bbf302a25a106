/**
 * Examines a server step by step, from its address to the tokens it generates. Steps only report what they see;
 * `causes.ts` draws the conclusion.
 *
 * @module
 */

import { isProviderError } from "../core/errors.ts";
import {
  addressOf,
  askWho,
  describePlace,
  lookElsewhere,
  readProxy,
  resolveName,
  tryConnections,
} from "./connection_steps.ts";
import {
  type Facts,
  type Finding,
  type Place,
  type Question,
  skip,
  type Step,
} from "./findings.ts";
import {
  askForOrigin,
  callTool,
  countModels,
  embed,
  generate,
  guessVersion,
  makeObject,
  readContext,
  tryToken,
} from "./model_steps.ts";

/** Every step, in order. */
const STEPS: readonly (readonly [name: string, step: Step, needs?: "lmstudio" | "model"])[] = [
  ["address", addressOf],
  ["name", resolveName],
  ["connection", tryConnections],
  ["who answers", askWho],
  ["elsewhere", lookElsewhere],
  ["this program", describePlace],
  ["proxy", readProxy],
  ["token", tryToken, "lmstudio"],
  ["version", guessVersion, "lmstudio"],
  ["models", countModels, "lmstudio"],
  ["context", readContext, "model"],
  ["first token", generate, "model"],
  ["tools", callTool, "model"],
  ["typed object", makeObject, "model"],
  ["embedding", embed, "lmstudio"],
  ["CORS", askForOrigin, "lmstudio"],
];

/** Examines a server step by step, and calls `onFinding` with each finding as soon as it is known. */
export async function examine(
  question: Question,
  place: Place,
  onFinding: (finding: Finding) => void | Promise<void>,
): Promise<Facts> {
  const facts: Facts = {
    question,
    baseUrl: question.config.baseUrl,
    surroundings: place.surroundings(),
    refusedAddresses: [],
  };
  for (const [name, step, needs] of STEPS) {
    const missing = whatIsMissing(facts, needs);
    const finding = missing === undefined ? await step(facts, place) : skip(missing);
    await onFinding({ step: name, ...finding });
  }
  return facts;
}

function whatIsMissing(
  { who, listing, model, generation }: Facts,
  needs: "lmstudio" | "model" | undefined,
): string | undefined {
  if (needs === undefined) return undefined;
  if (who !== "lmstudio") return "there is no LM Studio to ask";
  if (needs === "lmstudio") return undefined;
  if (!Array.isArray(listing)) return "there is no model to ask";
  if (model === undefined) return "no model is known to be loaded";
  return isProviderError(generation) ? "the model produced no token" : undefined;
}
