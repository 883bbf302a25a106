/**
 * Results of MCP tools, converted for the model, with placeholders for parts it cannot see.
 *
 * @see https://modelcontextprotocol.io/specification/2025-06-18/server/tools
 * @module
 */

import type { ContentPart, ImagePart } from "./messages.ts";
import { isRecord } from "./fields.ts";

/** Converts an MCP result to a tool's result; throws if the MCP result reports a failure. */
export function readMcpResult(result: unknown): unknown {
  const described = describeResult(result);
  if (isRecord(result) && result.isError === true) throw new Error(failureText(described));
  return described;
}

/** Returns text; content parts if there are images; or another value, sent like any tool's result. */
function describeResult(result: unknown): unknown {
  // Does not follow the protocol.
  if (!isRecord(result)) return result;
  const { content, structuredContent, toolResult } = result;
  const parts = Array.isArray(content) ? content : [];
  if (parts.length === 0) return structuredContent ?? toolResult ?? "";
  const hasImages = result.isError !== true && parts.some((part) => imageOf(part) !== undefined);
  if (!hasImages) return parts.map(describePart).join("\n");
  return parts.map((part): ContentPart =>
    imageOf(part) ?? { type: "text", text: describePart(part) }
  );
}

/** Converts a part to an image, if it is one in a format that models accept. */
function imageOf(part: unknown): ImagePart | undefined {
  if (!isRecord(part) || part.type !== "image" || typeof part.data !== "string") return undefined;
  const { data, mimeType: mediaType } = part;
  if (mediaType !== "image/png" && mediaType !== "image/jpeg") return undefined;
  return { type: "image", image: `data:${mediaType};base64,${data}`, mediaType };
}

function failureText(described: unknown): string {
  if (described === "") return "the tool failed";
  return typeof described === "string" ? described : JSON.stringify(described);
}

/** Text of a part, or a placeholder if the model cannot see it. */
function describePart(part: unknown): string {
  if (!isRecord(part)) return notShown("a part without a type");
  const { type } = part;
  if (type === "text" && typeof part.text === "string") return part.text;
  if (type === "image" || type === "audio") {
    return notShown(kindAndSize(type, part.mimeType, bytesOf(part.data)));
  }
  if (type === "resource_link") return `[resource ${words(part.name, part.uri, part.description)}]`;
  if (type === "resource" && isRecord(part.resource)) {
    const { uri, mimeType, text, blob } = part.resource;
    if (typeof text === "string") return `[resource ${words(uri)}]\n${text}`;
    return notShown(`${kindAndSize("resource", mimeType, bytesOf(blob))}, ${words(uri)}`);
  }
  return notShown(typeof type === "string" ? `a part of type ${type}` : "a part without a type");
}

/** Placeholder for something the model cannot see. */
export function notShown(what: string): string {
  return `[not shown: ${what}]`;
}

/** Describes a part by kind, media type and size. */
export function kindAndSize(kind: string, mimeType: unknown, bytes: number): string {
  return `${kind}, ${words(mimeType) || "unknown type"}, ${bytes} bytes`;
}

/** Number of bytes that a base64 text encodes. */
export function bytesOf(data: unknown): number {
  if (typeof data !== "string") return 0;
  return Math.floor(data.replace(/=+$/, "").length * 3 / 4);
}

function words(...values: unknown[]): string {
  return values.filter((value) => typeof value === "string" && value !== "").join(" ");
}
