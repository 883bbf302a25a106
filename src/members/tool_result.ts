/**
 * Tool results in the form in which the model gets them: text, and images in a message of their own.
 *
 * @module
 */

import type { FetchImage } from "../api/images.ts";
import { importOnUse } from "../core/import_on_use.ts";
import { bytesOf, kindAndSize, notShown } from "../core/mcp_result.ts";
import type { ContentPart, ImagePart, Message, ToolCall } from "../core/messages.ts";
import type { RefusalMaker } from "../core/checks.ts";
import { isRecord } from "../core/fields.ts";

/** Outcome of a call, as reported to the model. */
export interface CallOutcome {
  readonly result: string;
  readonly isError: boolean;
  /** Images to show the model as well. */
  readonly images?: ImagePart[];
  /** If there are images, the result for a model that cannot see them. */
  readonly blindResult?: string;
}

/** Functions to fetch images and to reject bad ones. */
export interface ImageUse {
  readonly refusal: RefusalMaker;
  readonly fetchImage: FetchImage;
}

/** Placeholder for an image in the text of a result. */
export const SHOWN_BELOW = "[image, shown below]";

/**
 * Outcome of a call that succeeded. Images are read right away, so that the model learns of a bad one and they are not
 * fetched again with each round.
 */
export async function outcomeOf(value: unknown, use: ImageUse): Promise<CallOutcome> {
  const parts = partsOf(value);
  if (parts === undefined) return { result: toText(value), isError: false };
  const { encodeImages } = await importOnUse(() => import("../api/images.ts"), "send images");
  const texts: string[] = [];
  const blindTexts: string[] = [];
  const images: ImagePart[] = [];
  for (const part of parts) {
    if (part.type === "text") {
      texts.push(part.text);
      blindTexts.push(part.text);
      continue;
    }
    const description = notShown(describeImage(part));
    blindTexts.push(description);
    try {
      const placed = [{ part, path: "the tool's image" }];
      const [image = ""] = await encodeImages(placed, use.refusal, use.fetchImage);
      images.push({ type: "image", image });
      texts.push(SHOWN_BELOW);
    } catch {
      texts.push(description);
    }
  }
  const shown = images.length === 0 ? {} : { images, blindResult: blindTexts.join("\n") };
  return { result: texts.join("\n"), isError: false, ...shown };
}

/** A call and its outcome. */
export interface SettledCall {
  readonly call: ToolCall;
  readonly outcome: CallOutcome;
}

/** Messages that report the outcomes of an answer's calls to the model, in the order of the calls. */
export class ToldResults {
  readonly #calls: readonly SettledCall[];

  constructor(calls: readonly SettledCall[]) {
    this.#calls = calls;
  }

  get hasImages(): boolean {
    return this.#calls.some(({ outcome }) => outcome.images !== undefined);
  }

  /** The results, then a message with the images, because tool messages can only hold text. */
  messages(): Message[] {
    const content = this.#calls.flatMap(({ call, outcome: { images } }): ContentPart[] =>
      images === undefined
        ? []
        : [{ type: "text", text: `The tool ${call.name} returned:` }, ...images]
    );
    const results = this.#calls.map(({ call, outcome }) => resultOf(call, outcome.result));
    return content.length === 0 ? results : [...results, { role: "user", content }];
  }

  /** The results for a model that cannot see images. */
  blindMessages(): Message[] {
    return this.#calls.map(({ call, outcome: { result, blindResult = result } }) =>
      resultOf(call, blindResult)
    );
  }
}

function resultOf(call: ToolCall, content: string): Message {
  return { role: "tool", toolCallId: call.id, content };
}

/** The parts of a result that contains images; `undefined` for any other result. */
function partsOf(value: unknown): ContentPart[] | undefined {
  const parts: unknown[] = Array.isArray(value) ? value : [value];
  if (!parts.every((part) => isImage(part) || isText(part))) return undefined;
  return parts.some(isImage) ? parts as ContentPart[] : undefined;
}

const IMAGE_FIELDS: ReadonlySet<string> = new Set(["type", "image", "mediaType"]);

/** Whether a value is an image part, and not an object of the tool's own that resembles one. */
function isImage(part: unknown): part is ImagePart {
  if (!isRecord(part) || part.type !== "image") return false;
  if (!Object.keys(part).every((key) => IMAGE_FIELDS.has(key))) return false;
  const { image } = part;
  if (typeof image === "string") return /^\s*(?:data:|https?:)/i.test(image);
  return image instanceof Uint8Array || image instanceof Blob || image instanceof URL;
}

function isText(part: unknown): boolean {
  return isRecord(part) && part.type === "text" && typeof part.text === "string";
}

function describeImage({ image, mediaType }: ImagePart): string {
  if (image instanceof Uint8Array) return kindAndSize("image", mediaType, image.byteLength);
  if (image instanceof Blob) return kindAndSize("image", mediaType ?? image.type, image.size);
  const text = String(image).trim();
  const data = /^data:([^;,]*)[^,]*,/i.exec(text);
  if (data === null) return "image, which could not be fetched";
  return kindAndSize("image", mediaType ?? data[1], bytesOf(text.slice(data[0].length)));
}

function toText(value: unknown): string {
  if (typeof value === "string") return value;
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch {
    // A cycle or a BigInt: the runtime's message would not help the model.
    throw new Error("the tool's result cannot be written as JSON");
  }
  // `undefined`, a function or a symbol has no JSON, but the model needs a result.
  return text ?? "null";
}
