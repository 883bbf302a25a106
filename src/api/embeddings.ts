/**
 * `POST /v1/embeddings`: vectors for texts.
 *
 * @see https://lmstudio.ai/docs/developer/openai-compat/embeddings
 * @module
 */

import { isRecord } from "../core/fields.ts";
import {
  arrayOf,
  callback,
  count,
  describe,
  nonEmptyText,
  required,
  type Rule,
  table,
  text,
  textOr,
} from "../core/checks.ts";
import type { EmbeddingRequest, EmbeddingResponse } from "../core/types.ts";
import { callError } from "../transport/error_mapping.ts";
import { malformedResponse } from "../transport/transport.ts";
import { decodeUsage } from "./answer_parts.ts";
import type { Decoding, Route } from "./route.ts";

const input: Rule<string | string[]> = (value, of, refusal) => {
  const each = arrayOf(textOr(text), { form: "a string or an array of strings", show: describe });
  if (Array.isArray(value) && value.length === 0) throw refusal(`${of} cannot be empty: it is []`);
  return textOr(each)(value, of, refusal);
};

const EMBEDDING_REQUEST = table<EmbeddingRequest>({
  model: nonEmptyText,
  input: required(input),
  dimensions: count,
  batchSize: count,
  concurrency: count,
  onProgress: callback,
}, { whole: "the request is" });

/**
 * The embeddings route. Whether another model answered is for the caller to check, since each batch of a call may be
 * answered by a different one.
 */
export const EMBEDDINGS: Route<EmbeddingRequest, EmbeddingResponse> = {
  path: "/v1/embeddings",
  modelType: "embedding",
  policy: () => "stateless",
  // A copy: callers may empty their queue once the call is made.
  check: (request, refusal) => EMBEDDING_REQUEST(request, "", refusal),
  encode: ({ input, dimensions }) => ({
    input: typeof input === "string" ? [input] : input,
    // LM Studio always sends floats; others send base64 unless asked for floats.
    encoding_format: "float",
    ...(dimensions === undefined ? {} : { dimensions }),
  }),
  decode: decodeEmbeddings,
};

const BROKEN_VECTORS =
  "The engine computes broken vectors: load the model again, or try another quantization or runtime version.";
const MIXED_UP_VECTORS =
  "The server returned the wrong vectors: try `batchSize: 1`, or another server version.";

/** Decodes an answer, which must have one vector for each text sent. */
function decodeEmbeddings(value: unknown, { context, sent }: Decoding): EmbeddingResponse {
  const count = Array.isArray(sent.input) ? sent.input.length : 1;
  const fail = (state: string, hint?: string): Error => {
    // Vectors in an error message would help nobody.
    const { data: _, ...rest } = isRecord(value) ? value : { value };
    return malformedResponse(state, rest, context, undefined, hint);
  };
  if (!isRecord(value) || !Array.isArray(value.data)) throw fail("the answer has no data");
  if (value.data.length !== count) {
    const state = `the number of vectors in the answer is ${value.data.length}, not ${count}`;
    throw fail(state, MIXED_UP_VECTORS);
  }
  const embeddings: number[][] = [];
  for (const [position, entry] of value.data.entries()) {
    const index = isRecord(entry) && typeof entry.index === "number" ? entry.index : position;
    if (
      !Number.isInteger(index) || index < 0 || index >= count || embeddings[index] !== undefined
    ) {
      throw fail(`the answer has a vector with the unexpected index ${index}`, MIXED_UP_VECTORS);
    }
    embeddings[index] = decodeVector(isRecord(entry) ? entry.embedding : undefined, index, fail);
  }
  const width = embeddings[0]?.length ?? 0;
  const ragged = embeddings.findIndex((vector) => vector.length !== width);
  if (ragged !== -1) {
    const state = `vector ${ragged} has ${
      embeddings[ragged]?.length
    } numbers, but vector 0 has ${width}`;
    throw fail(state, MIXED_UP_VECTORS);
  }
  const asked = typeof sent.dimensions === "number" ? sent.dimensions : width;
  if (width < asked) {
    const state =
      `the model's vectors have ${width} numbers, fewer than the ${asked} dimensions requested`;
    const hint = `Request at most ${width} dimensions, or use a model with more.`;
    throw callError(context, "invalid_request", state, { hint });
  }
  const usage = decodeUsage(value.usage);
  return {
    model: typeof value.model === "string" && value.model !== ""
      ? value.model
      : context.model ?? "",
    embeddings: width === asked ? embeddings : embeddings.map((vector) => shorten(vector, asked)),
    ...(width === asked ? {} : { truncated: "client" as const }),
    ...(usage === undefined ? {} : { usage }),
  };
}

/** The first numbers of a vector, scaled back to length 1. */
function shorten(vector: readonly number[], dimensions: number): number[] {
  const first = vector.slice(0, dimensions);
  let squares = 0;
  for (const value of first) squares += value * value;
  const length = Math.sqrt(squares);
  return length === 0 ? first : first.map((value) => value / length);
}

function decodeVector(
  wire: unknown,
  index: number,
  fail: (state: string, hint: string) => Error,
): number[] {
  const vector: unknown = typeof wire === "string" ? decodeBase64(wire) : wire;
  if (!Array.isArray(vector)) {
    throw fail(`vector ${index} is neither numbers nor base64`, MIXED_UP_VECTORS);
  }
  if (vector.length === 0) throw fail(`vector ${index} is empty`, BROKEN_VECTORS);
  if (!areFinite(vector)) {
    throw fail(`vector ${index} has a value that is not a number`, BROKEN_VECTORS);
  }
  return vector;
}

/** Whether all are finite numbers. A plain loop: `every` took a seventh of a call for 64 vectors of 1536 numbers. */
function areFinite(vector: readonly unknown[]): vector is number[] {
  for (let at = 0; at < vector.length; at++) {
    if (!Number.isFinite(vector[at])) return false;
  }
  return true;
}

/** Decodes base64 of little-endian float32 numbers; `undefined` if it is not valid. */
function decodeBase64(text: string): number[] | undefined {
  let binary: string;
  try {
    binary = atob(text);
  } catch {
    return undefined;
  }
  if (binary.length % 4 !== 0) return undefined;
  const bytes = new Uint8Array(binary.length);
  for (let at = 0; at < binary.length; at++) bytes[at] = binary.charCodeAt(at);
  const view = new DataView(bytes.buffer);
  const numbers: number[] = [];
  for (let at = 0; at < binary.length; at += 4) numbers.push(view.getFloat32(at, true));
  return numbers;
}
