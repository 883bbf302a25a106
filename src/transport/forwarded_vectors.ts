/**
 * Vectors in the encoding that another client asked for. LM Studio ignores `encoding_format` and always sends numbers. A
 * client that asked for base64, as several do by default, would decode these numbers as base64 and get vectors of a
 * quarter of the length, mostly zeros, without an error.
 *
 * @module
 */

import { isRecord } from "../core/fields.ts";

const BYTES_PER_CALL = 8192;

/** Returns the answer with its vectors in base64; `undefined` if there is nothing to change. */
export function withBase64Vectors(value: unknown): Record<string, unknown> | undefined {
  if (!isRecord(value) || !Array.isArray(value.data)) return undefined;
  let isChanged = false;
  const data = value.data.map((entry: unknown) => {
    if (!isRecord(entry) || !isVector(entry.embedding)) return entry;
    isChanged = true;
    return { ...entry, embedding: toBase64(entry.embedding) };
  });
  return isChanged ? { ...value, data } : undefined;
}

function isVector(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((item) => typeof item === "number");
}

/** Encodes as little-endian float32, which keeps all the precision that models have. */
function toBase64(vector: readonly number[]): string {
  const bytes = new Uint8Array(vector.length * 4);
  const view = new DataView(bytes.buffer);
  vector.forEach((number, index) => view.setFloat32(index * 4, number, true));
  let binary = "";
  // In parts, because all bytes at once would exceed the argument limit of a call.
  for (let at = 0; at < bytes.length; at += BYTES_PER_CALL) {
    binary += String.fromCharCode(...bytes.subarray(at, at + BYTES_PER_CALL));
  }
  return btoa(binary);
}
