/**
 * `POST /v1/embeddings`: vectors for texts.
 *
 * @see https://lmstudio.ai/docs/developer/openai-compat/embeddings
 * @module
 */

import { isRecord } from "../core/fields.ts";
import type { CallOptions, EmbeddingResponse } from "../core/types.ts";
import type { ErrorContext } from "../transport/error_mapping.ts";
import { malformedResponse, type Transport } from "../transport/transport.ts";
import { decodeUsage } from "./answer_parts.ts";

const BROKEN_VECTORS =
  "The engine computes broken vectors: load the model again, and if that does not help try another " +
  "quantization or another version of the runtime.";
const MIXED_UP_VECTORS =
  "The server gives other vectors than were asked for: try `batchSize: 1`, or another version of the server.";

/** Embeds the texts in one request. @param startedAt when the call began that this request is part of. */
export async function requestEmbeddings(
  transport: Transport,
  model: string,
  input: readonly string[],
  action: string,
  options: CallOptions,
  startedAt: number,
): Promise<EmbeddingResponse> {
  const { value, context } = await transport.json(
    {
      method: "POST",
      path: "/v1/embeddings",
      // LM Studio always sends floats; others send base64 unless told.
      body: { model, input, encoding_format: "float" },
      policy: "stateless",
      action,
      model,
    },
    options,
    Infinity,
    startedAt,
  );
  return decodeEmbeddings(value, input.length, context);
}

/** Decodes an answer with `count` vectors. */
function decodeEmbeddings(
  value: unknown,
  count: number,
  context: ErrorContext,
): EmbeddingResponse {
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
  const usage = decodeUsage(value.usage);
  return {
    model: typeof value.model === "string" && value.model !== ""
      ? value.model
      : context.model ?? "",
    embeddings,
    ...(usage === undefined ? {} : { usage }),
  };
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
