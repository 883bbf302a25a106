/** `POST /v1/embeddings` of the fake: vectors with a little meaning. */

import type { ModelStore } from "./fake_models.ts";
import { decodeBody, hash32, jsonAnswer, refuse, type Route } from "./fake_wire.ts";

const GRAM_LENGTH = 3;
const CHARACTERS_PER_TOKEN = 4;
/** A shared word says more about two texts than a shared part of a word. */
const WORD_WEIGHT = 2;

/** The route for embeddings. */
export function embeddingRoutes(models: ModelStore): Route[] {
  return [{
    method: "POST",
    path: "/v1/embeddings",
    async handle(call) {
      const body = decodeBody(call);
      const inputs = typeof body.input === "string" ? [body.input] : body.input;
      if (!isTexts(inputs)) {
        throw refuse(400, "'input' field must be a string or an array of strings");
      }
      const { model, contextLength } = await models.acquire(body.model, "embedding", call.signal);
      if (inputs.includes("")) throw refuse(400, `Failed to embed string: n_tokens = 0`);
      const asked = model.obeysDimensions && typeof body.dimensions === "number"
        ? body.dimensions
        : model.dimensions;
      if (asked > model.dimensions) {
        throw refuse(400, `'dimensions' is at most ${model.dimensions}`);
      }
      return jsonAnswer({
        object: "list",
        data: inputs.map((input, index) => ({
          object: "embedding",
          // Text beyond the context is dropped silently.
          embedding: embed(input.slice(0, contextLength * CHARACTERS_PER_TOKEN), asked),
          index,
        })),
        model: model.variant,
        usage: { prompt_tokens: 0, total_tokens: 0 },
      });
    },
  }];
}

/**
 * A vector of length 1: counts of the text's words and three-letter sequences, spread over the dimensions
 * by hash. Texts that share words or stems end up close to each other.
 */
function embed(text: string, dimensions: number): number[] {
  const vector = new Array<number>(dimensions).fill(0);
  const add = (feature: string, weight: number) => {
    const hash = hash32(feature);
    const index = hash % dimensions;
    vector[index] = (vector[index] ?? 0) + (hash & 0x10000 ? weight : -weight);
  };
  const words = text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [text];
  for (const word of words) {
    add(`word ${word}`, WORD_WEIGHT);
    const padded = ` ${word} `;
    for (let start = 0; start + GRAM_LENGTH <= padded.length; start++) {
      add(padded.slice(start, start + GRAM_LENGTH), 1);
    }
  }
  const length = Math.hypot(...vector);
  // If all features cancel out, there is nothing to normalize.
  if (length === 0) vector[0] = 1;
  // Engines compute float32, even if they print more digits.
  return length === 0 ? vector : vector.map((value) => Math.fround(value / length));
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}
