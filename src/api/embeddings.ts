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
  const each = arrayOf(textOr(text), { form: "text or an array of texts", show: describe });
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
 * The route of embeddings. That another model answered is for the caller to see to: of the batches of a call each may be
 * answered by another.
 */
export const EMBEDDINGS: Route<EmbeddingRequest, EmbeddingResponse> = {
  path: "/v1/embeddings",
  modelType: "embedding",
  policy: () => "stateless",
  // A copy: callers empty a queue once it is handed in.
  check: (request, refusal) => EMBEDDING_REQUEST(request, "", refusal),
  encode: ({ input, dimensions }) => ({
    input: typeof input === "string" ? [input] : input,
    // LM Studio always sends floats; others send base64 unless told.
    encoding_format: "float",
    ...(dimensions === undefined ? {} : { dimensions }),
  }),
  decode: decodeEmbeddings,
};

const BROKEN_VECTORS =
  "The engine computes broken vectors: load the model again, and if that does not help try another " +
  "quantization or another version of the runtime.";
const MIXED_UP_VECTORS =
  "The server gives other vectors than were asked for: try `batchSize: 1`, or another version of the server.";

/** Decodes an answer with a vector for each of the texts that were sent. */
function decodeEmbeddings(value: unknown, { context, sent }: Decoding): EmbeddingResponse {
  const count = Array.isArray(sent.input) ? sent.input.length : 1;
  const fail = (state: string, hint?: string): Error => {
    // The vectors say nothing to people.
    const { data: _, ...rest } = isRecord(value) ? value : { value };
    return malformedResponse(state, rest, context, undefined, hint);
  };
  if (!isRecord(value) || !Array.isArray(value.data)) throw fail("the answer has no data");
  if (value.data.length !== count) {
    const state = `the answer has ${value.data.length} vectors for ${count} inputs`;
    throw fail(state, MIXED_UP_VECTORS);
  }
  const embeddings: number[][] = [];
  for (const [position, entry] of value.data.entries()) {
    const index = isRecord(entry) && typeof entry.index === "number" ? entry.index : position;
    if (
      !Number.isInteger(index) || index < 0 || index >= count || embeddings[index] !== undefined
    ) {
      throw fail(`the answer has a vector with index ${index}, out of place`, MIXED_UP_VECTORS);
    }
    embeddings[index] = decodeVector(isRecord(entry) ? entry.embedding : undefined, index, fail);
  }
  const width = embeddings[0]?.length ?? 0;
  const ragged = embeddings.findIndex((vector) => vector.length !== width);
  if (ragged !== -1) {
    const state = `vector ${ragged} has ${
      embeddings[ragged]?.length
    } numbers, vector 0 has ${width}`;
    throw fail(state, MIXED_UP_VECTORS);
  }
  const asked = typeof sent.dimensions === "number" ? sent.dimensions : width;
  if (width < asked) {
    const state = `the model's vectors have ${width} numbers, fewer than dimensions (${asked})`;
    const hint = `Ask for ${width} dimensions at most, or name a model that has more.`;
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

/** The first numbers of a vector, as a vector of length 1. */
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
    throw fail(`vector ${index} has a value that is no number`, BROKEN_VECTORS);
  }
  return vector;
}

/** Whether all are finite numbers. A loop: of 64 vectors of 1536 numbers `every` took a seventh of the whole call. */
function areFinite(vector: readonly unknown[]): vector is number[] {
  for (let at = 0; at < vector.length; at++) {
    if (!Number.isFinite(vector[at])) return false;
  }
  return true;
}

/** Numbers of little-endian float32 in base64; `undefined` when it is none. */
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
